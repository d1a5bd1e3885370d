"""docs/migrating.md says what the code does."""

from __future__ import annotations

from ssmtp.ctl import migrate
from tests.migrate import page


def test_tables():
    """Every table of the page is the one that the program reads."""
    text = page.PAGE.read_text("utf-8")

    assert set(migrate.PROGRAMS) == {found[2] for found in page.TABLE.finditer(text)}
    assert page.made(text) == text
