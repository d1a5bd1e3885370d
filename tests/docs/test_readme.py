"""README.md and README.es.md say the same; links and proofs of all pages are there."""

from __future__ import annotations

import re

import pytest

from ssmtp.errors import EXIT_CODES
from tests.docs.pages import ROOT

READMES = ("README.md", "README.es.md")
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_languages_have_the_same_parts():
    """The Spanish page has the sections, blocks, links and codes of the English one."""
    english, spanish = map(text, READMES)

    for pattern in (r"^#+ ", r"\]\((\S+\.md)\)", r"^\| (\d+|\[\w+\])", r"^- "):
        assert len(re.findall(pattern, english, re.M)) > 2
    for pattern in (r"^(#+) ", r"^\| (\d+|\[\w+\])", r"^(-) ", r"\((docs/\S+)\)"):
        assert re.findall(pattern, english, re.M) == re.findall(
            pattern, spanish, re.M
        ), pattern
    spanish = spanish.replace("'Funciona.'", "'It works.'")
    assert FENCE.findall(english) == FENCE.findall(spanish)


@pytest.mark.parametrize("name", READMES)
def test_exit_codes_are_those_of_the_program(name):
    """The table has every code; in English in the program's own words."""
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", text(name), re.MULTILINE)

    assert [code for code, _ in EXIT_CODES] == [int(code) for code, _ in rows]
    if name == "README.md":
        assert [words for _, words in EXIT_CODES] == [words for _, words in rows]


@pytest.mark.parametrize(
    "path",
    sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]),
    ids=lambda p: p.name,
)
def test_links_lead_somewhere(path):
    """Every link to a file of the project leads to one."""
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
        assert (path.parent / target).exists(), target


def test_files_that_are_named_as_proof_exist():
    """docs/security.md names tests that are there."""
    named = re.findall(r"`(tests/[\w./*-]+)`", text("docs/security.md"))

    assert 30 < len(named)
    for name in named:
        assert list(ROOT.glob(name)), name
