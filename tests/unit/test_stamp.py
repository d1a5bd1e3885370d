"""Dates in header fields."""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp.stamp import Stamp, is_date


def test_form():
    """A date looks as RFC 5322 section 3.3 wants, and as the classic wrote it."""
    stamp = Stamp(1_795_289_509, 0, "x")

    assert "Sat, 21 Nov 2026 19:31:49 +0000" == stamp.date()


@given(st.integers(0, 250_000_000_000), st.integers(-14 * 60, 14 * 60))
def test_like_the_standard_library(seconds, offset):
    """Every moment is written as Python's own formatter does."""
    zone = timezone(timedelta(minutes=offset))
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)

    expected = email.utils.format_datetime(moment.astimezone(zone))
    assert expected == Stamp(seconds, offset, "x").date()


@given(st.integers(0, 4_000_000_000), st.integers(-14 * 60, 14 * 60))
def test_own_dates_can_be_read(seconds, offset):
    """What is written here is a date."""
    assert is_date(Stamp(seconds, offset, "x").date())


@pytest.mark.parametrize(
    "text",
    [
        "Thu, 01 Jan 1970 00:00:00 +0000",
        "Thu, 1 Jan 1970 00:00 +0000",
        "1 jan 70 00:00:00 GMT",
        "Thu,01 Jan 1970 00:00:00 +0000",
        "THU, 1 JAN 1970 23:59:60 -0330",
        "Thu, 1 Jan 1970 00:00:00 +0000 (UTC)",
        "Thu, 1 Jan 1970 00:00:00",
        "Thu, 1 Jan 100 00:00:00 EST",
    ],
)
def test_dates(text):
    """Dates of RFC 5322, the obsolete forms included, are dates; others agree."""
    assert is_date(text)
    assert email.utils.parsedate_tz(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "fixed",
        "2026-11-21T19:31:49Z",
        "Sat Nov 21 19:31:49 2026",
        "Sat Nov 21 19:31:49 UTC 2026",
        "Sam, 21 Nov 2026 19:31:49 +0000",
        "Sat, 32 Nov 2026 19:31:49 +0000",
        "Sat, 0 Nov 2026 19:31:49 +0000",
        "Sat, 021 Nov 2026 19:31:49 +0000",
        "Sat, 21 Nev 2026 19:31:49 +0000",
        "Sat, 21 Nov 20260 19:31:49 +0000",
        "Sat, 21 Nov 6 19:31:49 +0000",
        "Sat, 21 Nov 2026 24:31:49 +0000",
        "Sat, 21 Nov 2026 19:60:49 +0000",
        "Sat, 21 Nov 2026 19:31:61 +0000",
        "Sat, 21 Nov 2026 19 +0000",
        "Sat, 21 Nov 2026 19:31:49:00 +0000",
        "Sat, 21 Nov 2026 019:31:49 +0000",
        "Sat, 21 Nov 2026 19:31:49 +000",
        "Sat, 21 Nov 2026 19:31:49 +00:00",
        "Sat, 21 Nov 2026 19:31:49 +0000 more",
        "Sat, 21 Nov 2026 19:31:49 Europe/Madrid",
        "Sat, 21 Nov",
        "\u2028Sat, 21 Nov 2026 19:31:49 +0000",
        "Sat, 21\x0bNov 2026 19:31:49 +0000",
        "(Sat, 21 Nov 2026 19:31:49 +0000)",
        "Sat, 2¹ Nov 2026 19:31:49 +0000",
    ],
)
def test_no_dates(text):
    """What some reader may not understand is no date."""
    assert not is_date(text)


@given(st.text(st.sampled_from("0123456789 :,+-SatNovGMT("), max_size=40))
def test_readable_by_others(text):
    """Whatever passes for a date here is one for Python's parser."""
    assert not is_date(text) or email.utils.parsedate_tz(text) is not None
