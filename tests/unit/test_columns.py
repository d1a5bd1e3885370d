"""Tables and lines of `ssmtpctl` for letters that take two columns, or none."""

from __future__ import annotations

import pytest

from ssmtp.ctl import columns, listed
from ssmtp.ctl.queued import Row

NAMES = (
    "ann@example.org",
    "山田太郎@例え.jp",
    "가나다@example.kr",
    "e\u0301va@example.org",
)


@pytest.mark.parametrize(
    ("text", "expected"), [("abc", 3), ("山a", 3), ("e\u0301", 1), ("ｆ", 2), ("", 0)]
)
def test_width(text: str, expected: int) -> None:
    """East Asian letters take two columns, combining marks none."""
    assert expected == columns.width(text)


def test_columns_stand_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    """The reason begins in the same column, whatever script a sender has."""
    row = {"time": 0, "octets": 5, "state": "waiting", "next": None, "attempts": 0}
    row |= {"to": ["b@c.example"], "recipients": 1, "reason": "WHY"}
    rows = [{**row, "id": f"n{n}", "from": name} for n, name in enumerate(NAMES)]
    listed.table([Row("socket", row) for row in rows])
    _, *lines = capsys.readouterr().out.splitlines()

    assert 1 == len({columns.width(line.partition("WHY")[0]) for line in lines})


@pytest.mark.parametrize("room", [20, 21, 40])
def test_lines_fit(room: int) -> None:
    """What is wrapped or cut is as wide as there is room; wrapped, nothing is lost."""
    text = "the mailhub said " + "山田太郎" * 9 + " and  more"
    lines = columns.wrapped(text, room)

    assert room >= max(map(columns.width, lines))
    assert "".join(text.split()) == "".join("".join(lines).split())
    assert columns.cut(text, room).endswith("…")
    assert room >= columns.width(columns.cut(text, room))
    assert "short" == columns.cut("short", room)
    assert [] == columns.wrapped("", room)
