"""Octets from a mailhub become replies, within limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp.smtp import reply
from ssmtp.smtp.reply import Garbled, Inbox, Reply, forms


def replies(*pieces: bytes) -> list[Reply]:
    """Feed pieces to an inbox and take what is there after each."""
    inbox = Inbox()
    found = []
    for piece in pieces:
        inbox.feed(piece)
        while (one := inbox.take()) is not None:
            found.append(one)
    return found


def test_one_line() -> None:
    """A code and a text make a reply."""
    (one,) = replies(b"250 2.1.0 ok\r\n")

    assert (250, ["2.1.0 ok"], "2.1.0") == (one.code, one.lines, one.status)
    assert "250 2.1.0 ok" == str(one)


@pytest.mark.parametrize("text", [b"250\r\n", b"250 \r\n", b"250\n", b"250 \n"])
def test_bare_code(text: bytes) -> None:
    """A code alone is a reply, and a bare LF ends a line (RFC 5321 §4.2)."""
    (one,) = replies(text)

    assert (250, [""], None) == (one.code, one.lines, one.status)
    assert "250" == str(one)


def test_many_lines_octet_by_octet() -> None:
    """It makes no difference how the octets arrive."""
    text = b"220-one\r\n220-two\n220 three\r\n221 bye\r\n"
    split = replies(*(text[i : i + 1] for i in range(len(text))))

    assert [(220, ["one", "two", "three"]), (221, ["bye"])] == [
        (r.code, r.lines) for r in split
    ]


def test_text_joins_lines_and_says_a_status_once() -> None:
    """A text of several lines reads as one sentence."""
    (one,) = replies(b"535-5.7.8 Username not accepted.\r\n535 5.7.8  See there\r\n")

    assert "5.7.8 Username not accepted. See there" == one.text


@pytest.mark.parametrize(
    "text",
    [
        b"199 hub\r\n",
        b"600 hub\r\n",
        b"22O hub\r\n",
        b"25 ok\r\n",
        b"2500 ok\r\n",
        b"2_5 ok\r\n",
        b"\r\n",
        b"\n",
        b" 250 ok\r\n",
        b"ok\r\n",
        b"250\tok\r\n",
        b"250_ok\r\n",
        "٢٥٠ ok\r\n".encode(),
        b"250-one\r\n251 two\r\n",
        b"250-one\r\ntwo\r\n250 three\r\n",
        b"250-one\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"SSH-2.0-",
        b"+250 ok\r\n",
    ],
)
def test_garbled(text: bytes) -> None:
    """What is no reply to the letter is none at all."""
    with pytest.raises(Garbled):
        replies(text)


@pytest.mark.parametrize("text", [b"", b"2", b"25", b"250", b"250-", b"250 ok", b"\r"])
def test_incomplete(text: bytes) -> None:
    """The beginning of a reply is no reply, and is no mistake either."""
    assert [] == replies(text)


def test_cut_off_is_nothing() -> None:
    """A reply of which the last line is missing does not come out."""
    inbox = Inbox()
    inbox.feed(b"250-2.0.0 queued\r\n")

    assert inbox.take() is None
    assert not inbox.empty


def test_a_hundred_lines() -> None:
    """A reply has a hundred lines at most."""
    full = b"250-x\r\n" * 99 + b"250 x\r\n"
    (one,) = replies(full)

    assert 100 == len(one.lines)
    with pytest.raises(Garbled, match="without end"):
        replies(b"250-x\r\n" + full)


def test_long_line_is_kept_in_part() -> None:
    """Of a long line 4 KiB are kept."""
    (one,) = replies(b"250 " + b"x" * 9000 + b"\r\n")

    assert ["x" * 4096] == one.lines
    assert len(str(one)) < 1000


def test_sixty_four_kibibytes() -> None:
    """A reply has 64 KiB at most, ended or not."""
    for text in (
        b"250 " + b"x" * 70000,
        b"250 " + b"x" * 70000 + b"\r\n",
        (b"250-" + b"x" * 4000 + b"\r\n") * 20,
    ):
        with pytest.raises(Garbled, match="without end"):
            replies(text)


def test_limits_hold_for_each_reply() -> None:
    """A long session does not add up."""
    assert 50 == len(replies(*[b"250 " + b"x" * 5000 + b"\r\n"] * 50))


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("2.1.0 ok", "2.1.0"),
        ("2.0.0: queued", "2.0.0"),
        ("2.1.0", "2.1.0"),
        ("5.1.0 no", None),  # the class must be the code's
        ("2.1 ok", None),
        ("2.1.0.4 ok", None),
        ("2.1234.0 ok", None),
        ("2..0 ok", None),
        ("2.²1.0 ok", None),
        ("ok 2.1.0", None),
    ],
)
def test_status(line: str, status: str | None) -> None:
    """The enhanced status code stands first, and belongs to the code (RFC 3463 §2)."""
    assert status == Reply(250, [line]).status


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"plain", "plain"),
        ("Grüße €".encode(), "Grüße €"),
        (b"\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        (b"a\0b\x7fc", "a\\x00b\\x7fc"),
        (b"\xfc", "\\xfc"),
        ("\x9b31m".encode(), "\\x9b31m"),
        ("\u202eback".encode(), "\\u202eback"),
        (b"a\tb\rc", "a b\\x0dc"),
        ("\U000e0001".encode(), "\\ue0001"),
    ],
)
def test_escaped(text: bytes, shown: str) -> None:
    """Nothing that a terminal could act on is left."""
    assert shown == reply.escaped(text)


@given(st.binary(max_size=300))
def test_escaped_is_printable(text: bytes) -> None:
    """Whatever comes in, printable text comes out."""
    assert reply.escaped(text).isprintable()


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_anything_at_all(pieces: list[bytes]) -> None:
    """Random octets make replies, or are refused; never anything else."""
    try:
        found = replies(*pieces)
    except Garbled as garbled:
        assert len(garbled.first) <= 80
    else:
        assert all(200 <= r.code <= 599 for r in found)


@given(
    st.integers(200, 599),
    st.lists(st.text(st.characters(exclude_characters="\r\n")), min_size=1, max_size=9),
    st.data(),
)
def test_round_trip(code: int, lines: list[str], data: st.DataObject) -> None:
    """Every well-formed reply is read, however it is cut into packets."""
    encoded = [line.encode("utf-8", "surrogatepass") for line in lines]
    text = b"".join(b"%d-%b\r\n" % (code, line) for line in encoded[:-1])
    text += b"%d %b\r\n" % (code, encoded[-1])
    cut = data.draw(st.integers(0, len(text)))

    (one,) = replies(text[:cut], text[cut:])

    assert code == one.code
    assert [reply.escaped(line) for line in encoded] == one.lines


def test_without_secrets() -> None:
    """A secret that was echoed becomes dots; other replies stay what they are."""
    echo = Reply(500, ["what is AUTH PLAIN AGEAYg==?", "AGEAYg=="])

    assert ["what is AUTH PLAIN ••••?", "••••"] == echo.without(("AGEAYg==",)).lines
    assert echo is echo.without(("other",))
    assert echo is echo.without(())


@pytest.mark.parametrize(
    "said",
    [
        "pässwörd/+ &1",
        "p%C3%A4ssw%C3%B6rd/%2B%20%261",
        "p%c3%a4ssw%c3%b6rd%2f%2b%20%261",
        "p%C3%A4ssw%C3%B6rd%2F%2B+%261",
        "70c3a4737377c3b672642f2b202631",
        "cMOkc3N3w7ZyZC8rICYx",
        "AHVzZXIAcMOkc3N3w7ZyZC8rICYx",
        "dXNlcjpww6Rzc3fDtnJkLysgJjE=",
        "p\\xe4ssw\\xf6rd/+ &1",
        "p\\u00e4ssw\\u00f6rd/+ &1",
    ],
)
def test_forms_of_a_secret(said: str) -> None:
    """Whatever form a mailhub says a secret back in, too little of it is left."""
    clean = Reply(535, [f"5.7.8 you said [{said}]"])
    clean = clean.without(tuple(forms("pässwörd/+ &1")))

    assert "••••" in clean.text
    assert not any(part in clean.text for part in (said[-8:-2], said[-12:-4]))


def test_a_challenge_is_not_spoilt() -> None:
    """What hides a secret leaves base64 alone that has to be understood."""
    reply = Reply(334, ["UGFzc3dvcmQ6"]).without(tuple(forms("word")))

    assert "UGFzc3dvcmQ6" == reply.challenge
    assert "word" not in repr(reply)
    assert "••••" in reply.text
    assert "*" == Reply(250, ["UGFzc3dvcmQ6"]).challenge
