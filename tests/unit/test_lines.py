"""Nothing but clean lines leaves through the writers."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp.errors import Bug, InputRefused
from ssmtp.smtp import lines

pytestmark = pytest.mark.usefixtures("failures_read_well")


def test_command() -> None:
    """A command ends with CRLF."""
    assert b"EHLO a.test\r\n" == lines.command("EHLO a.test")
    assert "RCPT TO:<ü@x>\r\n".encode() == lines.command("RCPT TO:<ü@x>", utf8=True)


@pytest.mark.parametrize("char", [*map(chr, range(32)), "\x7f", "\x85", "\u2028"])
def test_control_characters(char: str) -> None:
    """No control character becomes part of a command, with UTF-8 or without."""
    for utf8 in (False, True):
        with pytest.raises(InputRefused) as caught:
            lines.command(f"MAIL FROM:<a{char}b@x>", utf8=utf8)
        if utf8 or char.isascii():
            assert caught.value.what.endswith(
                "' cannot be said to a mailhub: it holds a control character"
            )


@pytest.mark.parametrize("char", ["\x7e", "\xa0", "\u2027", "\u202a", "\u200d"])
def test_no_control_characters(char: str) -> None:
    """What is not shown need not control anything."""
    assert f"a{char}\r\n".encode() == lines.command(f"a{char}", utf8=True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ü", "'ü'"),
        ("ü" * 60, f"'{'ü' * 60}'"),
        ("ü" * 61, f"'{'ü' * 60}…'"),
        ("ü\x1b", "'ü\\\\x1b'"),
    ],
)
def test_what_is_refused_is_shown(text: str, shown: str) -> None:
    """An error shows what it is about, in part and made harmless."""
    with pytest.raises(InputRefused) as caught:
        lines.command(text)

    assert caught.value.what == (
        f"{shown} cannot be said to a mailhub:"
        " it holds characters that SMTP cannot carry"
    )


def test_non_ascii_needs_utf8() -> None:
    """Without SMTPUTF8 a command is ASCII; octets that are no text are never said."""
    with pytest.raises(InputRefused):
        lines.command("RCPT TO:<ü@x>")
    with pytest.raises(InputRefused):
        lines.command("RCPT TO:<\udcff@x>", utf8=True)


def test_long_command() -> None:
    """A command has a limit, CRLF included, and the error does not repeat it all."""
    assert 2048 == len(lines.command("X" * 2046))
    with pytest.raises(InputRefused) as caught:
        lines.command("X" * 2047)

    assert caught.value.what.endswith("it holds more than 2048 octets")
    assert len(caught.value.sentence()) < 200


def test_response() -> None:
    """A line of an AUTH exchange is base64 without line ends, with a limit."""
    assert b"AGEAYg==\r\n" == lines.response(b"\0a\0b")
    assert b"\r\n" == lines.response(b"")
    assert 1 == lines.response(b"x" * 200).count(b"\n")
    # 12,288 octets with CRLF hold 3,071 groups and no more.
    assert 12286 == len(lines.response(b"x" * 3 * 3071))
    with pytest.raises(InputRefused, match="answer to an AUTH challenge is too long"):
        lines.response(b"x" * 3 * 3072)


def joined(blocks: Iterable[bytes]) -> bytes:
    return b"".join(blocks)


@pytest.mark.parametrize(
    ("blocks", "wire"),
    [
        ([b"a\r\n"], b"a\r\n"),
        ([b".\r\n"], b"..\r\n"),
        ([b"a\r\n", b".\r\n"], b"a\r\n..\r\n"),
        ([b"a\r", b"\n", b".b\r\n"], b"a\r\n..b\r\n"),
        ([b"a", b".b\r\n"], b"a.b\r\n"),
        ([b"a\r\n.", b".\r\n"], b"a\r\n...\r\n"),
        ([b"..\r\n..\r\n"], b"...\r\n...\r\n"),
        ([b"", b".\r\n", b""], b"..\r\n"),
        ([], b""),
    ],
)
def test_dotted(blocks: list[bytes], wire: bytes) -> None:
    """A dot at the beginning of a line is doubled, wherever blocks end."""
    assert wire == joined(lines.dotted(blocks))


@given(
    st.lists(st.sampled_from([b".", b"..", b"a", b"", b".a", b"a."]), max_size=12),
    st.lists(st.integers(0, 40), max_size=5),
)
def test_dots_round_trip(parts: list[bytes], cuts: list[int]) -> None:
    """Undoing the dots gives the content back, and no lone dot is inside."""
    text = b"".join(part + b"\r\n" for part in parts)
    at = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    blocks = [text[a:b] for a, b in pairwise(at)]

    wire = joined(lines.dotted(blocks))

    assert b".\r\n" not in wire.splitlines(keepends=True)
    undone = [line.removeprefix(b".") for line in wire.splitlines(keepends=True)]
    assert text == b"".join(undone)


BARE_CR = "a bare CR was about to be sent"
BARE = "a bare CR or LF was about to be sent"
UNENDED = "the content does not end with a line end"
DIRTY = [
    ([b"a\n"], BARE),
    ([b"a\r"], UNENDED),
    ([b"a\rb\r\n"], BARE),
    ([b"a\r\n\n"], BARE),
    ([b"a\r", b"b\r\n"], BARE_CR),
    ([b"a\r", b"\r\n"], BARE_CR),
    ([b"a\r\r\n"], BARE),
    ([b"a", b"\n"], BARE),
    ([b"a\0\r\n"], "a NUL was about to be sent"),
    ([b"a\r\n", b"b"], UNENDED),
    ([b"a\n.\r\n"], BARE),
    ([b"a\r.\r\n"], BARE),
    ([b"a\r\n.\r"], UNENDED),
    ([b"a\r", b"\n\n"], BARE),
    ([b"a\r", b"\nb\r"], UNENDED),
]


@pytest.mark.parametrize(("blocks", "why"), DIRTY)
def test_dirty_content(blocks: list[bytes], why: str) -> None:
    """A bare CR or LF, a NUL or a missing line end stops the writers (smuggling)."""
    with pytest.raises(Bug, match=f"^{why}$"):
        joined(lines.dotted(blocks))
    with pytest.raises(Bug, match=f"^{why}$"):
        joined(lines.chunk(blocks, sum(map(len, blocks))))


@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", b"\0", b"\r\n"])))
def test_clean_or_refused(blocks: list[bytes]) -> None:
    """Whatever blocks are given, what passes is made of CRLF lines only."""
    passed = b""
    try:
        for block in lines.clean(blocks):
            passed += block
    except Bug:
        return
    rest = passed.replace(b"\r\n", b"")

    assert b"\r" not in rest
    assert b"\n" not in rest
    assert b"\0" not in rest


def test_chunk() -> None:
    """A chunk is exactly as long as it was announced."""
    assert b"ab\r\ncd\r\n" == joined(lines.chunk([b"ab\r\n", b"cd\r\n"], 8))
    assert b"" == joined(lines.chunk([], 0))
    assert [b"ab\r\n", b"cd\r\n"] == [*lines.chunk([b"ab\r\n", b"", b"cd\r\n"], 8)]
    assert b"BDAT 8 LAST\r\n" == lines.bdat(8)


@pytest.mark.parametrize("size", [0, 3, 7, 9, 100])
def test_chunk_of_another_length(size: int) -> None:
    """When content is not as long as announced, its end is never given out."""
    given_out = b""
    why = "shorter" if size > 8 else "longer"
    with pytest.raises(Bug, match=f"^the content is {why} than announced$"):
        for block in lines.chunk([b"ab\r\n", b"cd\r\n"], size):
            given_out += block

    assert len(given_out) < max(size, 1)


@pytest.mark.parametrize(
    ("text", "encoded"),
    [("aXbc", "aXbc"), ("a+b=c d", "a+2Bb+3Dc+20d"), ("~!", "~!"), ("", "")],
)
def test_xtext(text: str, encoded: str) -> None:
    """A DSN parameter is written as xtext (RFC 3461 §4)."""
    assert encoded == lines.xtext(text, "it")


@pytest.mark.parametrize("text", ["a\r\nb", "ü", "\0"])
def test_xtext_refused(text: str) -> None:
    """A DSN parameter is printable ASCII."""
    with pytest.raises(InputRefused, match="it holds"):
        lines.xtext(text, "it")
