"""`mailsink`: what a test sends is there to be looked at, and can be refused."""

from __future__ import annotations

import smtplib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def send(sink, to="ann@example.org", text="Subject: Grüße\r\n\r\nhello\r\n"):
    with smtplib.SMTP(sink.host, sink.port, "me.example") as client:
        client.sendmail("me@example.org", to, text.encode())


def test_messages(mailsink):
    """A message is there with its envelope, its fields and its text."""
    send(mailsink, ["ann@example.org", "bob@example.org"])
    [mail] = mailsink.wait()

    assert "me@example.org" == mail.sender
    assert ["ann@example.org", "bob@example.org"] == mail.recipients
    assert "Grüße" == mail["Subject"]
    assert None is mail["X-Missing"]
    assert "hello" == mail.text
    assert b"Subject: " in mail.octets
    assert "<Mail 'Grüße' to ann@example.org, bob@example.org>" == repr(mail)


def test_wait_says_what_is_missing(mailsink):
    """A message that does not come is an error that shows those that came."""
    send(mailsink)

    with pytest.raises(TimeoutError, match="1 of 2 messages.*Grüße"):
        mailsink.wait(2, seconds=0.05)


@pytest.mark.parametrize(
    ("stage", "error"),
    [
        ("sender", smtplib.SMTPSenderRefused),
        ("recipient", smtplib.SMTPRecipientsRefused),
        ("content", smtplib.SMTPDataError),
        ("connection", smtplib.SMTPConnectError),
    ],
)
def test_refusals(mailsink, stage, error):
    """Every stage can be refused, as often as was said."""
    mailsink.refuse(stage, "451 4.3.0 not today", times=1)
    with pytest.raises(error, match="not today"):
        send(mailsink)
    send(mailsink)

    assert 1 == len(mailsink.messages)


def test_refusal_of_an_address(mailsink):
    """Only the named recipient is refused, until all is forgotten."""
    mailsink.refuse("recipient", "550 who is that?", address="BOB@")
    with smtplib.SMTP(mailsink.host, mailsink.port, "me.example") as client:
        refused = client.sendmail("", ["bob@x.example", "ann@x.example"], b"\r\nhi\r\n")
    before = mailsink.wait()[0].recipients
    mailsink.clear()
    send(mailsink, ["bob@x.example"])

    assert {"bob@x.example": (550, b"5.0.0 who is that?")} == refused
    assert ["ann@x.example"] == before
    assert ["bob@x.example"] == mailsink.wait()[0].recipients


@pytest.mark.parametrize(
    ("stage", "reply"), [("sender", "250 ok"), ("helo", "550 no"), ("content", "no")]
)
def test_refusals_that_are_none(mailsink, stage, reply):
    """What cannot be said is an error where it is written."""
    with pytest.raises(ValueError):
        mailsink.refuse(stage, reply)


def test_it_ends_with_the_test(mailsink):
    """After the test nobody listens."""
    mailsink.close()

    with pytest.raises(OSError):
        socket.create_connection((mailsink.host, mailsink.port), 5).recv(1)


def test_the_plugin_imports_nothing_until_used():
    """To load the plugin costs other people's tests nothing but its own module."""
    code = (
        "import pathlib, sys, pytest; sys.path.insert(0, sys.argv[1]);"
        "before = set(sys.modules); import ssmtp.contrib.mailsink;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, ROOT / "src"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "ssmtp ssmtp.contrib ssmtp.contrib.mailsink" == done.stdout.strip()
