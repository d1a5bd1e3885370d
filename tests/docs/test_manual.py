"""The manual pages: clean for mandoc, complete, and the same in both languages."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ssmtp.config import KEYS, parse
from tests.docs.pages import ROOT

MAN = ROOT / "docs" / "man"
NAMES = ("ssmtp.8", "ssmtp.conf.5", "ssmtpctl.8")
PAGES = sorted(MAN.rglob("*.[1-9]"))


def page(name: str) -> str:
    """Return a page without what roff wants."""
    text = (MAN / name).read_text("utf-8")
    text = re.sub(r"\\f.|\\&", "", text)
    return text.replace("\\-", "-").replace("\\e", "\\")


def loaded(name: str) -> object:
    """Import a module of docs/man."""
    spec = importlib.util.spec_from_file_location(f"man_{name}", MAN / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    environ = dict(os.environ)
    sys.path.insert(0, str(MAN))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(MAN))
        # It chooses a language, for the whole of its process.
        os.environ.clear()
        os.environ.update(environ)
    return module


def test_mandoc_has_nothing_to_say():
    """mandoc -T lint finds nothing in any page, not even a question of style."""
    if not shutil.which("mandoc"):
        assert not os.environ.get("SSMTP_REQUIRE_MANDOC"), "mandoc is not installed"
        pytest.skip("no mandoc")
    done = subprocess.run(
        ["mandoc", "-T", "lint", *PAGES], capture_output=True, text=True
    )

    assert (0, "") == (done.returncode, done.stdout + done.stderr)


def test_pages_are_up_to_date():
    """Every table is as the program has it, and every sentence is translated."""
    done = subprocess.run(
        [sys.executable, MAN / "generate.py", "--check"], capture_output=True, text=True
    )

    assert (0, "") == (done.returncode, done.stdout)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_key_has_its_facts(key, tmp_path):
    """The page has default, version and an example, which changes something."""
    text = page("ssmtp.conf.5")
    entry = re.search(rf"^{key.name}=.*?(?=^\.TP|^\.\\\")", text, re.M | re.S)
    assert entry is not None
    facts = re.search(
        rf"Default: (.+)\. Since (2\.64|2\.64 \(Fedora\)|3\.0\.0)\."
        rf" Example: ({key.name}=.+)$",
        " ".join(entry[0].split()),
    )
    assert facts is not None, entry[0]
    line = facts[3].replace("AB:CD:12:…", "AB:" * 31 + "AB")
    plain = parse(b"", str(tmp_path / "ssmtp.conf"))
    config = parse(line.encode(), str(tmp_path / "ssmtp.conf"))

    assert getattr(plain, key.attribute) != getattr(config, key.attribute)


def test_every_verb_and_option_is_in_the_page():
    """ssmtpctl(8) has each command, with each option that its --help shows."""
    text = page("ssmtpctl.8")
    found = 0
    for words, _, parser in loaded("verbs").commands():  # type: ignore[attr-defined]
        section = re.search(
            rf"^\.SS {words}$.*?(?=^\.SS|^\.SH|^\.\\\")", text, re.M | re.S
        )
        assert section is not None, words
        for option in re.findall(r"^  (-\S+?),? ", parser.format_help(), re.M):
            if option != "-h":
                assert option in section[0], f"{words} {option}"
                found += 1

    assert found > 40


def shape(text: str, name: str) -> list[str]:
    """Return what a translation has to have: the requests, and bold terms as they are.

    Names of values are prose, and so are headings but those of the commands.
    """
    kept = []
    lines = text.splitlines()
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith(".SS") and name == "ssmtpctl.8":
            kept.append(line)
        elif line.startswith((".SH", ".SS", ".PP", ".TP", ".IP", ".nf", ".\\")):
            kept.append(line.split()[0])
        if line == ".TP" and after.startswith((".B", "\\fB")):
            kept.append(re.sub(r"\\fI.*?\\fR", "", after))
    return kept


@pytest.mark.parametrize("name", NAMES)
def test_translation_is_complete(name):
    """The Spanish page has each section, term, key, option and verb of the English."""
    english, spanish = ((MAN / path / name).read_text("utf-8") for path in ("", "es"))

    assert len(shape(english, name)) > 50
    assert shape(english, name) == shape(spanish, name)


def test_installations_have_every_page():
    """pip, the Debian packages and ssmtpctl install lay down all pages."""
    project = (ROOT / "pyproject.toml").read_text()
    links = (ROOT / "debian" / "ssmtp-ng-mta.links").read_text()
    for path in PAGES:
        folder = path.parent.relative_to(MAN)
        target = Path("share/man", folder, f"man{path.suffix[1:]}", path.name)
        line = f'"{path.relative_to(ROOT).as_posix()}" = "{target.as_posix()}"'
        assert line in project
    for section in ("man8", "es/man8"):
        for name in ("sendmail", "mailq", "newaliases"):
            assert f"usr/share/man/{section}/{name}.8.gz" in links
