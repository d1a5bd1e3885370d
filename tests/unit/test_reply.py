"""Octets from a mailhub become replies, within limits."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp.smtp import reply
from ssmtp.smtp.reply import Garbled, Inbox, Reply, forms, hidden


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


def test_the_same_reply_again() -> None:
    """A connection that lasts has many replies, old ones and new ones among them."""
    texts = []
    for n in range(40):
        texts += ["250 2.1.0 ok", "354 go", f"250 2.0.0 queued as {n}", "535 5.7.8 no"]
    found = replies("".join(f"{text}\r\n" for text in texts).encode())

    assert texts == [str(one) for one in found]


def test_a_line_of_many_is_no_reply_of_its_own() -> None:
    """What was a reply before may be the last line of another one."""
    found = replies(b"250 2.1.0 ok\r\n", b"250-hub\r\n250 2.1.0 ok\r\n")

    assert [["2.1.0 ok"], ["hub", "2.1.0 ok"]] == [one.lines for one in found]


NONE = "something that is no reply"
TWO = "a reply with two codes"


@pytest.mark.parametrize(
    ("text", "why", "first"),
    [
        (b"199 hub\r\n", NONE, b"199 hub"),
        (b"600 hub\r\n", NONE, b"600 hub"),
        (b"22O hub\r\n", NONE, b"22O hub"),
        (b"25 ok\r\n", NONE, b"25 ok"),
        (b"2500 ok\r\n", NONE, b"2500 ok"),
        (b"2_5 ok\r\n", NONE, b"2_5 ok"),
        (b"\r\n", NONE, b""),
        (b"\n", NONE, b""),
        (b" 250 ok\r\n", NONE, b" 250 ok"),
        (b"ok\r\n", NONE, b"ok"),
        (b"250\tok\r\n", NONE, b"250\tok"),
        (b"250_ok\r\n", NONE, b"250_ok"),
        (b"250x\r\n", NONE, b"250x"),
        ("٢٥٠ ok\r\n".encode(), NONE, "٢٥٠ ok".encode()),
        (b"250-one\r\n251 two\r\n", TWO, b"251 two"),
        (b"250-one\r\n251 " + b"y" * 99 + b"\n", TWO, b"251 " + b"y" * 76),
        (b"250-one\r\ntwo\r\n250 three\r\n", NONE, b"two"),
        (b"250-one\r\n\r\n", NONE, b""),
        (b"\x15\x03\x01\x00\x02\x02\x28", NONE, b"\x15\x03\x01\x00\x02\x02\x28"),
        (b"SSH-2.0-", NONE, b"SSH-2.0-"),
        (b"250x", NONE, b"250x"),
        (b"hello" + b"y" * 99, NONE, b"hello" + b"y" * 75),
        (b"hello" + b"y" * 99 + b"\n", NONE, b"hello" + b"y" * 75),
        (b"+250 ok\r\n", NONE, b"+250 ok"),
    ],
)
def test_garbled(text: bytes, why: str, first: bytes) -> None:
    """What is no reply to the letter is none at all; its beginning is told."""
    with pytest.raises(Garbled) as caught:
        replies(text)

    assert why == caught.value.why == str(caught.value)
    assert first == caught.value.first


@pytest.mark.parametrize(
    "text", [b"", b"2", b"25", b"250", b"250-", b"250 ok", b"\r", b"250\r"]
)
def test_incomplete(text: bytes) -> None:
    """The beginning of a reply is no reply, and is no mistake either."""
    assert [] == replies(text)


@pytest.mark.parametrize("code", [200, 599])
def test_codes_at_the_limits(code: int) -> None:
    """Codes go from 200 to 599; a second reply may have another one."""
    first, second = replies(b"%d-x\r\n%d x\r\n421 bye\r\n" % (code, code))

    assert (code, 421) == (first.code, second.code)


@pytest.mark.parametrize(
    ("line", "text"), [(b"250 ok \t\r\n", "ok  "), (b"250 MAX\r\r\n", "MAX")]
)
def test_line_end(line: bytes, text: str) -> None:
    """Nothing but CR and LF is cut off at the end of a line."""
    (one,) = replies(line)

    assert [text] == one.lines


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
    with pytest.raises(Garbled, match="^a reply without end$") as caught:
        replies(b"250-x\r\n" * 100 + b"250 " + b"y" * 99 + b"\r\n")
    assert b"250 " + b"y" * 76 == caught.value.first


def test_long_line_is_kept_in_part() -> None:
    """Of a long line 4 KiB are kept."""
    (one,) = replies(b"250 " + b"x" * 9000 + b"\r\n")

    assert ["x" * 4096] == one.lines
    assert len(str(one)) < 1000


BIG = b"250-" + b"x" * 4000 + b"\r\n"


@pytest.mark.parametrize(
    ("text", "first"),
    [
        (b"250 " + b"x" * 65533, b"250 " + b"x" * 76),
        (b"250 " + b"x" * 65531 + b"\r\n", b"250 " + b"x" * 76),
        (BIG * 16 + b"250 " + b"y" * 1436 + b"\n", b"250 " + b"y" * 76),
        (BIG * 16 + b"250 " + b"y" * 1437, b"250 " + b"y" * 76),
    ],
)
def test_over_sixty_four_kibibytes(text: bytes, first: bytes) -> None:
    """A reply has 64 KiB at most with its line ends, ended or not."""
    with pytest.raises(Garbled, match=r"^a reply without end$") as caught:
        replies(text)

    assert first == caught.value.first


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (b"250 " + b"x" * 65532, 0),
        (b"250 " + b"x" * 65530 + b"\r\n", 1),
        (BIG * 16 + b"250 " + b"y" * 1434 + b"\r\n", 1),
    ],
)
def test_sixty_four_kibibytes(text: bytes, count: int) -> None:
    """Exactly 64 KiB are no mistake."""
    assert 65536 == len(text)
    assert count == len(replies(text))


def test_what_is_there() -> None:
    """How much came, and how it begins, can be told before it is a reply."""
    inbox = Inbox()
    assert (True, 0, b"?") == (inbox.empty, len(inbox), inbox.start)

    inbox.feed(b"25")
    inbox.feed(b"0-" + b"x" * 90)
    assert (False, 94, b"250-" + b"x" * 76) == (inbox.empty, len(inbox), inbox.start)


def test_limits_hold_for_each_reply() -> None:
    """A long session does not add up."""
    assert 50 == len(replies(*[b"250 " + b"x" * 5000 + b"\r\n"] * 50))


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("2.1.0 ok", "2.1.0"),
        ("2.0.0: queued", "2.0.0"),
        ("2.1.0", "2.1.0"),
        (" 2.1.0 ok", "2.1.0"),
        ("2.123.456 ok", "2.123.456"),
        ("2.0.0X ok", None),
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
    assert 500 == echo.without(("AGEAYg==",)).code
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


@given(
    st.text(min_size=2, max_size=20),
    st.binary(max_size=5),
    st.binary(max_size=5),
)
def test_forms_within_base64(secret: str, before: bytes, after: bytes) -> None:
    """In whatever a secret was put for base64, all of it but one character is found."""
    octets = secret.encode("utf-8", "surrogateescape")
    said = base64.b64encode(before + octets + after).decode()
    whole = len(octets) * 8 // 6 - 1

    assert any(form in said for form in forms(secret) if len(form) >= whole)


def test_forms_in_order() -> None:
    """Long forms come first: the beginning of one may be another."""
    found = forms("pässwörd/+ &1")

    assert sorted(map(len, found), reverse=True) == [*map(len, found)]
    assert {"70c3a4", "70C3A4", "cMOk"} <= {*forms("pä")}


def test_forms_of_one_character() -> None:
    """A password of one character does not make dots of everything."""
    assert "a b" == hidden("a b", forms("x"))


def test_forms_of_what_is_no_text() -> None:
    """A password that is not UTF-8 has forms, too."""
    found = forms(b"s\xe9cret".decode("utf-8", "surrogateescape"))

    assert {"s\\xe9cret", "s%E9cret", "73e963726574", "c+ljcmV0"} <= {*found}


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("abcdefghijkl", "••••"),
        ("abcdefghijk", "••••"),
        ("abcdefgh", "••••"),
        ("abcdefg", "abcdefg"),
        ("abcdefghiXkl", "••••Xkl"),
        ("x abcdefghi, abcdefghi y", "x ••••, •••• y"),
        ("efghijkl", "••••"),
        ("fghijkl", "fghijkl"),
        ("x efghijkl y", "x •••• y"),
        ("efghijklm", "••••m"),
        ("dXefghijkl", "dX••••"),
        ("bcdefghijk", "bcdefghijk"),
    ],
)
def test_pieces_of_a_secret(line: str, shown: str) -> None:
    """The beginning and the end of a secret are hidden too, from 8 characters on."""
    assert shown == hidden(line, ["abcdefghijkl"])


@pytest.mark.parametrize("begin", [0, 2])
def test_what_two_forms_end_with(begin: int) -> None:
    """The end that forms have in common does not leave the beginning of one."""
    secret = "Zx9-kängaroo w=t&%~Q7/+"
    line = hidden(f"you said [{secret[begin:]}]", forms(secret))

    assert "you said [••••]" == line


def test_a_secret_made_of_dots() -> None:
    """What hides a secret may make another of its neighbours; that is hidden too."""
    secret = "a••••bcdef"

    assert "••••" == hidden("a" + secret + "bcdef", [secret])


def test_short_secrets_have_no_pieces() -> None:
    """Of a short secret nothing is hidden but the whole."""
    assert "abcdefg ••••" == hidden("abcdefg abcdefgh", ["abcdefgh"])
    assert "••••i" == hidden("abcdefghi", ["abcdefgh"])


def test_a_challenge_is_not_spoilt() -> None:
    """What hides a secret leaves base64 alone that has to be understood."""
    reply = Reply(334, ["UGFzc3dvcmQ6"]).without(tuple(forms("word")))

    assert "UGFzc3dvcmQ6" == reply.challenge
    assert "word" not in repr(reply)
    assert "••••" in reply.text
    assert "*" == Reply(250, ["UGFzc3dvcmQ6"]).challenge
