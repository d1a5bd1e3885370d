"""What holds for every failure of a dialogue, wherever it goes: it can be read."""

from __future__ import annotations

import pytest

from ssmtp.errors import Failure

# Sentences may begin with these, though they are no small letters.
NAMES = ("AUTH", "AuthMethod", "CRAM-MD5")


def check_words(failure: Failure) -> None:
    """What happened and what to do next stand within a line: no capitals, no stop."""
    what, step = failure.what, failure.next_step

    for text in (what, step):
        assert text.isprintable(), text
        assert "None" not in text
        assert not text.endswith((".", " ", ",")), text
        first = text.partition(" ")[0].partition("=")[0]
        assert not first[:1].isupper() or first in NAMES, text
    assert what


@pytest.fixture
def failures_read_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every failure that the test brings about is checked when it is made."""
    real = Failure.__init__

    def init(self, *args, **more):
        real(self, *args, **more)
        check_words(self)

    monkeypatch.setattr(Failure, "__init__", init)
