"""What follows DATA, in the form that a mailhub takes."""

from __future__ import annotations

import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp import content
from tests.unit import strategies as mine
from tests.unit.compose import send

MIME = ("MIME-Version", "Content-Type", "Content-Transfer-Encoding")
LONG = "x" * 1200


def mime(sent, **extensions: bool) -> list[list[str]]:
    return [sent.fields(name, **extensions) for name in MIME]


def test_plain_text_is_not_touched():
    """A short ASCII text gets no MIME fields and goes out as it came."""
    sent = send("Subject: s\n\n.\nFrom here = \n\tx  \n")

    assert [[], [], []] == mime(sent)
    assert b".\r\nFrom here = \r\n\tx  \r\n" == sent.body()
    assert not sent.message.render(False, True).eightbit


def test_eight_bit_text():
    """An 8-bit text without MIME fields is said to be UTF-8, and sent as it is."""
    sent = send("Subject: s\n\nñandú\n")

    assert [["1.0"], ["text/plain; charset=utf-8"], ["8bit"]] == mime(sent)
    assert "ñandú\r\n".encode() == sent.body()
    assert sent.message.render(False, True).eightbit


def test_unknown_charset():
    """A text that is no UTF-8 is not said to be."""
    sent = send(b"Subject: s\n\n\xff\xfe\n")

    assert ["text/plain; charset=unknown-8bit"] == sent.fields("Content-Type")
    assert b"\xff\xfe\r\n" == sent.body()


def test_eight_bit_text_without_8bitmime():
    """For a mailhub without 8BITMIME it becomes quoted-printable."""
    sent = send("Subject: s\n\nñandú\n")
    wanted = [["1.0"], ["text/plain; charset=utf-8"], ["quoted-printable"]]

    assert wanted == mime(sent, eightbitmime=False)
    assert b"=C3=B1and=C3=BA\r\n" == sent.body(eightbitmime=False)
    assert not sent.message.render(False, False).eightbit


@pytest.mark.parametrize(
    ("stated", "encoding"),
    [
        ("Content-Type: text/plain; charset=iso-8859-1\n", "8bit"),
        ("content-type: TEXT/HTML\nContent-Transfer-Encoding: 7bit\n", "8bit"),
        ("Content-Type: text/plain\nContent-Transfer-Encoding: 8BIT\n", "8BIT"),
        ("MIME-Version: 1.0\nContent-Transfer-Encoding: binary\n", "binary"),
        ("Content-Type: text (a comment) /plain\n", "8bit"),
    ],
)
def test_what_is_stated_stays(stated, encoding):
    """Type and charset that the message states are kept; an untrue encoding is not."""
    sent = send(f"{stated}Subject: s\n\nñ\n")
    kind = stated.partition("\n")[0].partition(": ")[2]

    assert [encoding] == sent.fields("Content-Transfer-Encoding")
    assert ["1.0"] == sent.fields("MIME-Version")
    if stated.lower().startswith("content-type"):
        assert [kind] == sent.fields("Content-Type")


@pytest.mark.parametrize(
    "head", ["", "Content-Type: text/html; charset=utf-8\n", "MIME-Version: 1.0\n"]
)
def test_long_lines(head):
    """A text with a line over 998 octets becomes quoted-printable for every mailhub."""
    sent = send(f"{head}Subject: s\n\nfirst\n{LONG} \n.\nlast")
    body = sent.body()

    assert ["quoted-printable"] == sent.fields("Content-Transfer-Encoding")
    assert ["1.0"] == sent.fields("MIME-Version")
    assert max(map(len, body.split(b"\r\n"))) <= 76
    assert f"first\n{LONG} \n.\nlast\n".encode() == quopri.decodestring(
        body.replace(b"\r\n", b"\n")
    )


def test_998_octets():
    """A line of 998 octets is sent as it is."""
    sent = send("Subject: s\n\n" + "x" * 998 + "\n")

    assert [] == sent.fields("Content-Transfer-Encoding")
    assert b"x" * 998 + b"\r\n" == sent.body()


@pytest.mark.parametrize(
    "head",
    [
        "Content-Type: application/json\n",
        "Content-Type: multipart/mixed; boundary=b\n",
        "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n",
        "Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n",
        "Content-Type: nonsense\n",
        "Content-Transfer-Encoding: x-uuencode\n",
    ],
)
def test_other_content_stays(head):
    """What is not known to be text is sent as it is, however long its lines."""
    sent = send(f"{head}Subject: s\n\n{LONG}\n")

    assert f"{LONG}\r\n".encode() == sent.body()
    assert head.replace("\n", "\r\n").encode() in sent.wire()
    assert [] == sent.fields("MIME-Version")


def test_counted_length():
    """A Content-Length that was counted before the body was encoded is dropped."""
    sent = send(f"Content-Length: 1201\nLines: 1\nSubject: s\n\n{LONG}\n")

    assert [] == sent.fields("Content-Length") + sent.fields("Lines")


def test_second_encoding_field():
    """Of two fields for the encoding one is left when the encoding changes."""
    head = "Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: 8bit\n"
    sent = send(f"{head}Subject: s\n\n{LONG}\n")

    assert ["quoted-printable"] == sent.fields("Content-Transfer-Encoding")


@given(st.data(), mine.body_lines, st.integers(0, 3))
def test_quoted_printable(data, lines, long):
    """Quoted-printable is decoded to the same text, whatever the blocks."""
    text = "\n".join([*lines, "y " * 700 * long, "From x", ".", ""]).encode()
    wire = text.replace(b"\n", b"\r\n")
    blocks = data.draw(mine.splits(wire))
    coded = b"".join(content.quoted_printable(iter(blocks)))

    assert text == quopri.decodestring(coded.replace(b"\r\n", b"\n"))
    assert coded.isascii()
    assert all(len(line) <= 76 for line in coded.split(b"\r\n"))
    assert b"\n" not in coded.replace(b"\r\n", b"")
    assert not any(x.startswith((b"From ", b".\r")) for x in coded.split(b"\n"))
    assert not any(x.endswith((b" ", b"\t")) for x in coded.split(b"\r\n"))


def test_text_without_a_last_line_end():
    """The codec adds no line end of its own."""
    assert b"a=3D" == b"".join(content.quoted_printable(iter([b"a="])))


def test_endless_lines():
    """A line longer than many blocks is encoded without being held in memory."""
    blocks = [b"z" * 65536] * 10 + [b"\r\n"]
    pieces = list(content.quoted_printable(iter(blocks)))

    assert max(map(len, pieces)) < 400_000
    coded = b"".join(pieces)
    assert b"z" * 655360 + b"\n" == quopri.decodestring(coded.replace(b"\r\n", b"\n"))
    assert max(map(len, coded.split(b"\r\n"))) <= 76


def test_utf8_header():
    """Raw UTF-8 stays for a mailhub with SMTPUTF8, and becomes encoded words else."""
    sent = send("Subject: Größe\nFrom: José <j@x.example>\n\nb\n")

    assert sent.message.needs_smtputf8
    assert "Größe" == sent.field("Subject", smtputf8=True)
    assert "José <j@x.example>" == sent.field("From", smtputf8=True)
    assert sent.header(smtputf8=False).isascii()
    assert not send("Subject: s\n\nñ\n").message.needs_smtputf8
