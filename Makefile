# `make demo` shows what this is, `make test` and `make lint` prove it.
#
# Nothing here needs root, and nothing but Python >= 3.11 has to be there before.
# The tools of test and lint are installed by pip into .venv, once.

VENV := .venv
STAMP := $(VENV)/.installed
BIN := $(VENV)/bin
# More arguments for pytest, as in: make test ARGS='-k address -x'
ARGS ?=
JOBS ?= auto
# For make fuzz: time for each target, number and seed of the hostile dialogues.
SECONDS_EACH ?= 60
DIALOGUES ?= 1000000
SEED ?= 1

.PHONY: help demo test lint fuzz man format setup clean

help:
	@echo 'make demo    send a mail to an embedded mailhub through TLS and AUTH, and show it'
	@echo 'make test    run every test that needs no root (ARGS=... goes to pytest)'
	@echo 'make lint    ruff, mypy --strict, import rules, manual pages up to date'
	@echo 'make fuzz    hostile input for every parser, and a million hostile dialogues'
	@echo '             (SECONDS_EACH=60 DIALOGUES=1000000 SEED=1)'
	@echo 'make man     write the tables of the program into the manual pages'
	@echo 'make format  let ruff put the code in order'
	@echo 'make setup   make .venv with the development tools (test and lint do it too)'
	@echo 'make clean   remove what the targets above left'

demo:
	@bin/ssmtpctl demo

test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/man/generate.py --check

# Atheris is not there for every Python; the targets do without.
fuzz: $(STAMP)
	@$(BIN)/python -c 'import atheris' 2>/dev/null \
	    || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	        --no-input --editable '.[fuzz]' \
	    || echo 'make: no atheris for this Python, so inputs are made without it'
	$(BIN)/python -m tests.fuzz.run --seconds $(SECONDS_EACH) --seed $(SEED)
	$(BIN)/python -m tests.fuzz.dialogues --count $(DIALOGUES) --seed $(SEED)

man: $(STAMP)
	$(BIN)/python docs/man/generate.py

format: $(STAMP)
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

setup: $(STAMP)

# Debian's interpreter first: it is the one that bin/sendmail runs on. It lacks
# ensurepip unless python3-venv is installed, so others have their chance.
$(STAMP): pyproject.toml
	@set -e; \
	if $(BIN)/python -m pip --version >/dev/null 2>&1; then exit 0; fi; \
	for python in $(PYTHON) /usr/bin/python3 python3 \
	    python3.14 python3.13 python3.12 python3.11; do \
	    if "$$python" -c 'import sys, venv, ensurepip; \
	        sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "Making $(VENV) with $$python"; \
	        exec "$$python" -m venv --clear $(VENV); \
	    fi; \
	done; \
	echo 'make: no Python >= 3.11 with the venv module was found.' >&2; \
	echo 'Debian, Ubuntu: apt install python3 python3-venv' >&2; \
	echo 'Elsewhere: make setup PYTHON=/path/to/python3.11' >&2; \
	exit 1
	@echo 'Installing the development tools'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --no-input --editable '.[dev]' \
	    || { echo 'make: pip could not install the development tools' >&2; exit 1; }
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache \
	    .hypothesis .coverage .coverage.* htmlcov build dist
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
