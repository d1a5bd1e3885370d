"""Each real server with content: what was written is what arrives."""

from __future__ import annotations

import hashlib
import re

import pytest

from tests.peers.capture import Capture
from tests.peers.marks import every_peer, simple
from tests.peers.servers import (
    LIMIT,
)
from tests.peers.submit import Client, fresh

LONG = b"".join(b"word %d " % n for n in range(2000))

BODIES = {
    "dots": b".\n..\n...\n.leading\n. \n.\nend\n",
    "dots first and last": b".first\nmiddle\n.",
    "from lines": b"From the start\nFrom someone Sat Jan  3\n>From quoted\n",
    "crlf": b"one\r\ntwo\r\n.\r\n\r\nthree\r\n",
    "8-bit": "Grüße, žluťoučký kůň, 日本語\n".encode(),
    "latin-1": b"Gr\xfc\xdfe\n",
    "long lines": LONG + b"\n.\n" + LONG + b"\n",
    "long lines in utf-8": "žluťoučký ".encode() * 300 + b"\n",
    "blank lines": b"\n\n\nthree before, two after\n\n\n",
    "blanks at ends": b"trailing blanks  \ttab\t\n \n\t\n",
    "looks like a reply": b"250 2.0.0 Ok\n354 go on\nQUIT\nRSET\n",
    "equals signs": b"a=3D b=\n=\n==\n",
}


@every_peer
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_body_arrives_intact(client: Client, far_end: Capture, body: bytes) -> None:
    """What the body says arrives as it was, whatever the way it was written."""
    token = fresh()
    client.configure()
    declared = b"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
    if body == BODIES["latin-1"]:
        declared = declared.replace(b"utf-8", b"iso-8859-1")
    if max(body) > 127:
        declared += b"Content-Transfer-Encoding: 8bit\n"
    outcome = client.run("-i", "-t", message=declared + simple(token, body))

    assert (0, "") == (outcome.status, outcome.stderr)
    whole = body if body.endswith(b"\n") else body + b"\n"
    assert whole.replace(b"\r\n", b"\n") == far_end.wait(token).body


@every_peer
def test_an_empty_body(client: Client, far_end: Capture) -> None:
    """A message may be all header."""
    token = fresh()
    client.configure()
    outcome = client.run("-t", message=f"To: {token}@example.net\n".encode())

    assert (0, "") == (outcome.status, outcome.stderr)
    assert far_end.wait(token).body in (b"", b"\n")


@every_peer
def test_a_header_in_utf8(client: Client, far_end: Capture) -> None:
    """Raw UTF-8 in the header is understood at the far end, in whichever form."""
    token = fresh()
    client.configure()
    outcome = client.run(
        "-t",
        message=(
            f"From: Žofie Nováková <ann@example.org>\nTo: {token}@example.net\n"
            "Subject: Příliš žluťoučký kůň\n\nTěší mě\n"
        ).encode(),
    )

    assert (0, "") == (outcome.status, outcome.stderr)
    mail = far_end.wait(token)
    assert "Příliš žluťoučký kůň" == mail.message["Subject"]
    assert "Žofie Nováková <ann@example.org>" == str(mail.message["From"])
    assert "Těší mě\n".encode() == mail.body


@every_peer
@pytest.mark.parametrize("tls", ["implicit", "starttls"])
@pytest.mark.parametrize("megabytes", [1, 20])
def test_a_large_message(
    client: Client, far_end: Capture, megabytes: int, tls: str
) -> None:
    """Megabytes arrive as they were, with a dot at every place of a block."""
    token = fresh()
    client.configure(tls)
    line = b".%s\n" % (b"0123456789" * 7)
    body = line * (megabytes * 1_000_000 // len(line))
    outcome = client.run("-i", "-t", message=simple(token, body))

    assert (0, "") == (outcome.status, outcome.stderr)
    arrived = far_end.wait(token).body
    assert len(body) == len(arrived)
    assert hashlib.sha256(body).digest() == hashlib.sha256(arrived).digest()


@every_peer
def test_a_message_over_the_limit_is_not_sent(client: Client) -> None:
    """A message larger than SIZE allows is exit 65, before any of it is sent."""
    token = fresh()
    client.configure()
    outcome = client.run(
        "-v", "-t", message=simple(token, (b"y" * 78 + b"\n") * (LIMIT // 79 + 1))
    )

    assert 65 == outcome.status, outcome.stderr[-2000:]
    said = "".join(re.findall(r"\[->\].*", outcome.stderr))
    assert not re.search("DATA|BDAT", said), said
    assert 1 == len(outcome.kept)
    assert [] == client.arrived(token)
