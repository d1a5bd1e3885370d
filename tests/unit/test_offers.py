"""What EHLO offers is read strictly, whoever says it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp.smtp.offers import Offers


@given(st.lists(st.text(max_size=30), max_size=10))
def test_any_offers(lines: list[str]) -> None:
    """Whatever EHLO is answered with, keywords are words and sizes are numbers."""
    offers = Offers(lines)

    assert offers.size >= 0
    assert all(k.replace("-", "").isalnum() for k in offers.keywords)


@pytest.mark.parametrize(
    ("line", "keyword", "known"),
    [
        ("PIPELINING", "PIPELINING", True),
        ("pipelining ", "PIPELINING", True),
        ("PIPELINING\\x00", "PIPELINING", False),
        ("STARTTLSX", "STARTTLS", False),
        ("X-NEW", "X-NEW", True),
        ("X_NEW", "X_NEW", False),
        ("STARTTLS\u017f", "STARTTLS", False),
        ("\u017fTARTTLS", "STARTTLS", False),
        ("XSTARTTLS", "STARTTLS", False),
        ("AUTHX PLAIN", "AUTH", False),
        ("  size   10  ", "SIZE", True),
        ("", "SIZE", False),
    ],
)
def test_keywords(line: str, keyword: str, known: bool) -> None:
    """A keyword counts as a whole, in any case, with any blanks."""
    assert known is (keyword in Offers([line]))


def test_auth_lines_are_joined() -> None:
    """Several AUTH lines, in the new form and the old, make one list."""
    offers = Offers(["AUTH GSSAPI plain", "AUTH=LOGIN PLAIN X", "auth  cram-md5 "])

    assert ["GSSAPI", "PLAIN", "LOGIN", "X", "CRAM-MD5"] == offers.auth


@pytest.mark.parametrize(
    ("word", "size"),
    [
        ("10", 10),
        ("0", 0),
        ("banana", 0),
        ("-1", 0),
        ("\u00b2", 0),
        ("\u0663", 0),
        ("9" * 20, 10**20 - 1),
        ("9" * 21, 0),
        ("4294967297", 2**32 + 1),
    ],
)
def test_offered_size(word: str, size: int) -> None:
    """A SIZE that is no number is no limit."""
    assert size == Offers([f"SIZE {word}"]).size


def test_limits() -> None:
    """LIMITS has names and numbers (RFC 9422 §3); what is none does not count."""
    offers = Offers(
        ["LIMITS RCPTMAX=20 mailmax=1", "limits X=-1 W=\u00b2 Y=0 Z A=9 =7"]
    )

    assert {"RCPTMAX": 20, "MAILMAX": 1, "A": 9, "": 7} == offers.limits
    assert {} == Offers(["SIZE 10"]).limits
