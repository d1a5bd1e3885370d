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
MESSAGES ?= 100000
SEED ?= 1

.PHONY: help demo test lint fuzz bench proof soak nightly coverage mutate man deb format setup clean

help:
	@echo 'make demo    send a mail to an embedded mailhub through TLS and AUTH, and show it'
	@echo 'make test    run every test that needs no root (ARGS=... goes to pytest)'
	@echo 'make lint    ruff, mypy --strict, import rules, manual pages up to date'
	@echo 'make fuzz    hostile input for every parser, and a million hostile dialogues'
	@echo '             (SECONDS_EACH=60 DIALOGUES=1000000 SEED=1)'
	@echo 'make bench   speed and size beside other programs, into docs/performance.md (root;'
	@echo '             ARGS="direct delay" for some sections, ARGS="--pairs 5" for speed)'
	@echo 'make proof   kill, starve and cut off the queue at every point (root, strace)'
	@echo 'make soak    a hundred thousand messages through an agent that is killed again'
	@echo '             and again, to a mailhub that fails (MESSAGES=100000 SEED=1)'
	@echo 'make nightly proof and soak, one after the other'
	@echo 'make coverage  do the unit tests cover what decides on a message, each branch of it?'
	@echo 'make mutate  change smtp/ and address in small ways: do the tests notice?'
	@echo 'make man     write the tables of the program into manual pages and completions, and'
	@echo '             its texts into the catalogues of other languages'
	@echo 'make deb     build the Debian packages into dist/ (debhelper, dh-python)'
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
	$(BIN)/python docs/words/generate.py --check
	$(BIN)/python docs/man/generate.py --check
	$(BIN)/python docs/completions/generate.py --check

# Atheris is not there for every Python; the targets do without.
fuzz: $(STAMP)
	@$(BIN)/python -c 'import atheris' 2>/dev/null \
	    || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	        --no-input --editable '.[fuzz]' \
	    || echo 'make: no atheris for this Python, so inputs are made without it'
	$(BIN)/python -m tests.fuzz.run --seconds $(SECONDS_EACH) --seed $(SEED)
	$(BIN)/python -m tests.fuzz.dialogues --count $(DIALOGUES) --seed $(SEED)

# The peers are fetched from Debian, into ~/.cache/ssmtp-peers and nowhere else.
bench:
	@/usr/bin/python3 -m bench $(ARGS)

soak: $(STAMP)
	$(BIN)/python -m tests.soak.run --count $(MESSAGES) --seed $(SEED)

# As root: else the disks that are full and the power cuts are left out, with a reason.
proof: $(STAMP)
	SSMTP_PROOF=$${SSMTP_PROOF:-all} $(BIN)/python -m pytest -n $(JOBS) tests/proof $(ARGS)

# Every point of the proof and the whole soak, for a machine that has the night for it.
nightly: proof soak

# With the same seed each time, so that what was covered stays so.
coverage: $(STAMP)
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest tests/unit --hypothesis-seed=1 $(ARGS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

mutate: $(STAMP)
	@$(BIN)/python -m pip show --quiet mutmut 2>/dev/null \
	    || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	        --no-input --editable '.[mutation]'
	$(BIN)/python -m tests.mutation.run $(ARGS)

# The catalogue last: it complains of what only a person can translate.
man: $(STAMP)
	$(BIN)/python docs/man/generate.py
	$(BIN)/python docs/completions/generate.py
	$(BIN)/python docs/words/generate.py

# From a copy: debhelper would leave its files here, and the packages beside the checkout.
deb:
	rm -rf build/deb
	mkdir -p build/deb/ssmtp-ng dist
	tar --create --exclude-vcs --exclude=__pycache__ bin debian docs share src *.md LICENSE \
	    | tar --extract --directory build/deb/ssmtp-ng
	cd build/deb/ssmtp-ng && dpkg-buildpackage --build=binary --no-sign
	cp build/deb/*.deb build/deb/*.changes build/deb/*.buildinfo dist/

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
