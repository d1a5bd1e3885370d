"""8-bit multipart messages for mailhubs without 8BITMIME."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage, MIMEPart

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp import multipart
from tests.unit import strategies as mine
from tests.unit.compose import Sent, send

HEAD = "MIME-Version: 1.0\nSubject: s\nContent-Type: {}\n\n"


def parsed(sent: Sent) -> EmailMessage:
    data = sent.wire(eightbitmime=False)
    assert data.isascii()
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def payloads(message: MIMEPart) -> list[bytes]:
    return [
        part.get_payload(decode=True).replace(b"\r\n", b"\n")  # type: ignore[union-attr]
        for part in message.walk()
        if not part.is_multipart()
    ]


def test_each_part():
    """Every 8-bit part becomes quoted-printable, and the others stay as they are."""
    text = (
        HEAD.format('multipart/mixed; boundary="b 1"')
        + "preamble ü\n"
        + "--b 1\nContent-Type: text/plain; charset=utf-8\n\nñandú = 1\n\n"
        + "--b 1\nContent-Type: text/plain\n\nplain =\n"
        + "--b 1  \nContent-Transfer-Encoding: base64\n\nAAEC\n"
        + "--b 1\n\nno header ü\n"
        + "--b 1--\nepilogue ü\n"
    )
    sent = send(text)
    wire = sent.body(eightbitmime=False).decode("ascii")

    assert ["ñandú = 1\n".encode(), b"plain =", b"\0\1\2", "no header ü".encode()] == (
        payloads(parsed(sent))
    )
    assert "\r\nContent-Type: text/plain\r\n\r\nplain =\r\n" in wire
    assert "\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n" in wire
    assert wire.startswith("preamble ??\r\n--b 1\r\n")
    assert not sent.message.render(False, False).eightbit
    assert text.partition("\n\n")[2].replace("\n", "\r\n").encode() == sent.body()


@pytest.mark.parametrize(
    ("kind", "encoding", "text"),
    [
        ("text/plain", "7bit", "plain"),
        ("application/octet-stream", "base64", "AAEC"),
        ("message/delivery-status", "7bit", "Action: failed"),
        ("multipart/signed", "7bit", "x"),
        ("multipart/mixed", "7bit", "x"),
    ],
)
def test_header_of_a_part_that_needs_nothing_else(kind, encoding, text):
    """A name beyond ASCII is encoded, though the part itself stays as it is."""
    part = f"Content-Type: {kind}\nContent-Transfer-Encoding: {encoding}\n"
    part += f'Content-Disposition: attachment; filename="ü.txt"\n\n{text}\n'
    sent = send(HEAD.format("multipart/mixed; boundary=b") + f"--b\n{part}--b--\n")
    wire = sent.body(eightbitmime=False)

    assert wire.isascii()
    assert f"\r\n\r\n{text}\r\n--b--\r\n".encode() in wire
    assert b"filename*=utf-8''%C3%BC.txt\r\n" in wire


def test_header_of_a_message_within():
    """The header of a message that is attached is encoded as that of our own."""
    within = "--b\nContent-Type: message/rfc822\n\nSubject: ü\n\nplain\n--b--\n"
    message = parsed(send(HEAD.format("multipart/mixed; boundary=b") + within))

    assert ["s", None, "ü"] == [part["Subject"] for part in message.walk()][:3]


def test_nested():
    """Parts within parts are found, and so are messages within."""
    text = (
        HEAD.format("multipart/mixed; boundary=a")
        + "--a\nContent-Type: multipart/alternative; boundary=ab\n"
        + "Content-Transfer-Encoding: 8bit\n\n"
        + "--ab\nContent-Type: text/plain; charset=utf-8\n\nü\n"
        + "--ab\nContent-Type: text/html; charset=utf-8\n\n<p>ö\n--ab--\n"
        + "--a\nContent-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\n"
        + "Subject: innerü\n\ninner ä\n"
        + "--a--\n"
    )
    sent = send(text)
    message = parsed(sent)

    assert ["ü".encode(), "<p>ö".encode(), "inner ä".encode()] == payloads(message)
    kinds = [part.get_content_type() for part in message.walk()]
    assert 2 == kinds.count("text/plain")
    assert "8bit" not in sent.wire(eightbitmime=False).decode()


def test_outer_encoding():
    """The encoding that the message states for the whole is made true."""
    text = HEAD.format("multipart/mixed; boundary=b\nContent-Transfer-Encoding: 8bit")
    sent = send(text + "--b\n\nü\n--b--\n")

    assert "8bit" == sent.field("Content-Transfer-Encoding")
    assert "7bit" == sent.field("Content-Transfer-Encoding", eightbitmime=False)


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/signed; boundary=b",
        "multipart/encrypted; boundary=b",
        "multipart/mixed",
        "application/octet-stream",
    ],
)
def test_left_alone(kind):
    """What is signed, or has no structure to follow, is sent as it is."""
    sent = send(HEAD.format(kind) + "--b\n\nü\n--b--\n")
    content = sent.message.render(False, False)

    assert sent.body() == sent.body(eightbitmime=False)
    assert content.eightbit


def test_signed_part():
    """A signed part within others is not touched, and the others are."""
    text = (
        HEAD.format("multipart/mixed; boundary=a")
        + "--a\nContent-Type: multipart/signed; boundary=s\n\n--s\n\nü\n--s--\n"
        + "--a\n\nö\n--a--\n"
    )
    sent = send(text)
    wire = sent.body(eightbitmime=False)

    assert "--s\r\n\r\nü\r\n--s--\r\n".encode() in wire
    assert b"=C3=B6" in wire
    assert sent.message.render(False, False).eightbit


def test_digest():
    """The parts of a digest are messages when they do not say otherwise."""
    text = (
        HEAD.format("multipart/digest; boundary=b") + "--b\n\nSubject: x\n\nü\n--b--\n"
    )
    wire = send(text).body(eightbitmime=False)

    assert (
        b"--b\r\n\r\nSubject: x\r\nContent-Transfer-Encoding: quoted-printable\r\n"
        in wire
    )
    assert b"=C3=BC" in wire


def test_message_in_message():
    """A message that carries another is looked into."""
    sent = send(HEAD.format("message/rfc822") + "Subject: x\n\nü\n")

    assert b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=BC" in sent.body(
        eightbitmime=False
    )


def test_nearly_a_boundary():
    """A line that only begins like a boundary is a line of the part."""
    text = HEAD.format("multipart/mixed; boundary=b") + "--b\n\nü\n--bc\nö\n--b--\n"

    assert ["ü\n--bc\nö".encode()] == payloads(parsed(send(text)))


@pytest.mark.parametrize(
    "kind", ["multipart/mixed", "message/delivery-status", "message/partial; id=x"]
)
def test_parts_left_alone(kind):
    """A part that cannot be looked into is passed on."""
    part = f"--b\nContent-Type: {kind}\n\nX: ü\n--b--\n"
    sent = send(HEAD.format("multipart/mixed; boundary=b") + part)

    assert part.replace("\n", "\r\n").encode() == sent.body(eightbitmime=False)


def test_report_beyond_ascii():
    """What may be encoded for all that it is a message is (RFC 6533 section 4)."""
    kind = "message/global-delivery-status"
    part = f"--b\nContent-Type: {kind}\n\nX: ü\n--b--\n"
    wire = send(HEAD.format("multipart/mixed; boundary=b") + part).body(
        eightbitmime=False
    )

    assert b"Content-Transfer-Encoding: quoted-printable\r\n\r\nX: =C3=BC\r\n" in wire


def test_depth():
    """Parts are followed into a depth that no honest message has."""
    text = "".join(
        f"--b{i}\nContent-Type: multipart/mixed; boundary=b{i + 1}\n\n"
        for i in range(40)
    )
    sent = send(HEAD.format("multipart/mixed; boundary=b0") + text + "--b40\n\nü\n")

    assert "ü".encode() in sent.body(eightbitmime=False)


def test_addresses_of_a_message_within():
    """An address without an ASCII form in a message within stops nothing."""
    sent = send(HEAD.format("message/rfc822") + "To: jürgen@x\nSubject: ä\n\nü\n")
    wire = sent.body(eightbitmime=False)

    assert b"To: j?rgen@x\r\nSubject: =?utf-8?b?w6Q=?=\r\n" in wire


def test_parts_without_a_header():
    """A part that begins with text instead of a header is passed on."""
    part = "--b\nno field\n\nü\n--b--\n"
    sent = send(HEAD.format("multipart/mixed; boundary=b") + part)

    assert part.replace("\n", "\r\n").encode() == sent.body(eightbitmime=False)


def test_parts_without_a_header_end():
    """A part that ends within its header is passed on as it is."""
    text = HEAD.format("multipart/mixed; boundary=b") + "--b\nX: y\n--b\n\nü\n--b--\n"
    wire = send(text).body(eightbitmime=False)

    assert wire.startswith(b"--b\r\nX: y\r\n--b\r\n")
    assert b"=C3=BC" in wire


def test_large_parts():
    """A part of any length comes through, with lines of any length."""
    big = ("ü" * 100 + "\n") * 2000 + "x" * 200_000 + "ö\n"
    text = HEAD.format("multipart/mixed; boundary=b") + f"--b\n\n{big}--b--\n"
    message = parsed(send(text))

    assert [big[:-1].encode()] == payloads(message)


lines = st.lists(
    mine.line_texts.filter(lambda x: not x.startswith("--")), max_size=5
).map("\n".join)


@given(st.lists(lines, min_size=1, max_size=4), st.booleans())
def test_payloads_survive(texts, nested):
    """Whatever the parts hold, it is decoded to the same octets."""
    parts = (
        "".join(f"--i\nContent-Type: text/plain\n\n{t}\n" for t in texts) + "--i--\n"
    )
    if nested:
        body = HEAD.format("multipart/mixed; boundary=o")
        body += f"--o\nContent-Type: multipart/mixed; boundary=i\n\n{parts}--o--\n"
    else:
        body = HEAD.format("multipart/mixed; boundary=i") + parts
    sent = send(body)

    assert [t.encode() for t in texts] == payloads(parsed(sent))


@given(
    st.lists(
        st.sampled_from(
            [
                "--b",
                "--b--",
                "--c",
                "",
                "x",
                "ü",
                "Content-Type: multipart/mixed; boundary=c",
                "A: b",
                " c",
                "--",
            ]
        ),
        max_size=25,
    )
)
def test_never_a_crash(pieces):
    """Any structure is followed or passed on, and no line is lost."""
    text = HEAD.format("multipart/mixed; boundary=b") + "\n".join(pieces)
    sent = send(text)
    wire = sent.body(eightbitmime=False)

    assert wire.count(b"--b") == sent.body().count(b"--b")
    assert not wire or wire.endswith(b"\r\n")


def test_pieces():
    """What is no line yet is passed on at the end; nothing becomes nothing."""
    assert [b"a\r\n", b"b"] == list(multipart._lines(iter([b"a\r", b"\nb"])))
    assert [] == list(multipart._Parts("b", "").run(iter([])))


@pytest.mark.parametrize(
    ("value", "boundary"),
    [
        ("multipart/mixed; boundary=b", "b"),
        ('multipart/mixed; BOUNDARY = "a;\\"b"; x=y', 'a;"b'),
        ("multipart/mixed; boundary=b c", "b"),
        ("multipart/mixed; boundary=", ""),
        ("multipart/mixed; boundary", ""),
        ("multipart/mixed", ""),
    ],
)
def test_parameter(value, boundary):
    """A parameter is found by name, quoted or not."""
    assert boundary == multipart.parameter(value, "boundary")
