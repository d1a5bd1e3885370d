"""The catalogue of misbehaviours is complete, and names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.transcripts import play

ROOT = Path(__file__).parents[2]
TRANSCRIPTS = {transcript.name: transcript for transcript in play.all_of_them()}


def table(heads: int) -> list[list[str]]:
    """Return the rows of docs/catalogue.md that have so many cells, without heads."""
    lines = (ROOT / "docs" / "catalogue.md").read_text("utf-8").splitlines()
    rows = [line.strip("|").split(" | ") for line in lines if line.startswith("| ")]
    cells = [[cell.strip() for cell in row] for row in rows if len(row) == heads]
    return [row for row in cells if row[0] not in ("#", "---", "whose, which")]


MISBEHAVIOURS = {int(row[0]): row[3] for row in table(4)}
BUGS = [row[2] for row in table(3)]


def names(shown: str) -> list[str]:
    return re.findall(r"`([^`]+)`", shown)


def test_every_number_is_there() -> None:
    """The numbers 1 to 144 have a row each."""
    assert list(range(1, 145)) == [int(row[0]) for row in table(4)]


@pytest.mark.parametrize("shown", [*MISBEHAVIOURS.values(), *BUGS])
def test_what_is_named_exists(shown: str) -> None:
    """A row names transcripts and tests that are there, or says why it has none."""
    found = names(shown)
    reasons = ("not yet: ", "not shown: ", "does not apply: ")

    assert found or shown.startswith(reasons)
    for name in found:
        path, _, function = name.partition("::")
        if not path.endswith(".py"):
            assert name in TRANSCRIPTS
            continue
        source = (ROOT / path).read_text("utf-8")
        assert not function or f"def {function}(" in source, name


def test_transcripts_and_rows_agree() -> None:
    """The numbers in the head of a transcript are those of the rows that name it."""
    heads = {t.name: sorted(t.catalogue) for t in TRANSCRIPTS.values()}
    rows: dict[str, list[int]] = {name: [] for name in TRANSCRIPTS}
    for number, shown in sorted(MISBEHAVIOURS.items()):
        for name in names(shown):
            if name in rows:
                rows[name].append(number)

    assert heads == rows


def test_advisories_have_a_row() -> None:
    """A transcript that was made for an advisory is named beside it."""
    made = {t.name for t in TRANSCRIPTS.values() if t.advisories}
    named = {name for shown in BUGS for name in names(shown)}

    assert made <= named


def test_most_rows_are_transcripts() -> None:
    """What a transcript can show is shown by one."""
    without = {
        number
        for number, shown in MISBEHAVIOURS.items()
        if not any(name in TRANSCRIPTS for name in names(shown))
    }

    assert {1, 2, 3, 10, 88, 133, 142, 143, 144} == without
