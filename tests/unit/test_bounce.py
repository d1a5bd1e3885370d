"""Reports to senders: `ssmtp.bounce`, read back by the standard library."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage, Message
from typing import Any

import pytest

from ssmtp import bounce
from ssmtp.bounce import DELAYED, FAILED, Original, Victim
from ssmtp.stamp import Stamp

NOW = Stamp(1_800_000_000, 60, "feed" * 5)
HEADER = b"From: bob@example.org\r\nSubject: hello\r\n\r\n"


def made(action: str = FAILED, *victims: Victim, **more: Any) -> bytes:
    original = Original(
        more.pop("message_id", "<1@x.test>"),
        Stamp(1_799_990_000, 60, "a"),
        more.pop("header", HEADER),
        more.pop("content", None),
        more.pop("envid", None),
    )
    return bounce.report(
        action,
        list(victims) or [Victim("ann@example.net", None, "550 5.1.1 no such user")],
        original,
        to=more.pop("to", "bob@example.org"),
        host=more.pop("host", "client.test"),
        domain="example.org",
        hub=more.pop("hub", "hub.test:465"),
        now=NOW,
        tried=more.pop("tried", NOW),
        **more,
    )


def read(text: bytes) -> EmailMessage:
    found = email.message_from_bytes(text, policy=email.policy.SMTP)
    assert isinstance(found, EmailMessage)
    assert not found.defects
    return found


def groups(report: EmailMessage) -> list[Message]:
    status = report.get_payload(1)
    assert isinstance(status, Message)
    assert "message/delivery-status" == status.get_content_type()
    found = status.get_payload()
    assert isinstance(found, list)
    return [group for group in found if isinstance(group, Message)]


def test_form() -> None:
    """A report is multipart/report of three parts, from nobody who reads mail."""
    report = read(made())

    assert "multipart/report" == report.get_content_type()
    assert "delivery-status" == report.get_param("report-type")
    assert [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ] == [part.get_content_type() for part in report.iter_parts()]
    assert "auto-replied" == report["Auto-Submitted"]
    assert "Mail delivery <MAILER-DAEMON@example.org>" == report["From"]
    assert "bob@example.org" == report["To"]
    assert "<1@x.test>" == report["In-Reply-To"]


def test_line_ends() -> None:
    """What goes on the wire has CRLF line ends only, and ends with one."""
    text = made(header=b"Subject: \xc3\xa4\r\n\r\n")

    assert text.endswith(b"\r\n")
    assert text.count(b"\r\n") == text.count(b"\n") == text.count(b"\r")


def test_machine_readable() -> None:
    """Programs find action, status and diagnostic of each recipient (RFC 3464)."""
    first, second, third = groups(
        read(
            made(
                FAILED,
                Victim("ann@example.net", "rfc822;a+2Bb@example.net", "550 5.1.1 no"),
                Victim("bob@example.net", None, "the mailhub broke it off"),
                envid="e1",
            )
        )
    )

    assert "dns; client.test" == first["Reporting-MTA"]
    assert "e1" == first["Original-Envelope-Id"]
    assert "rfc822;a+b@example.net" == second["Original-Recipient"]
    assert "rfc822; ann@example.net" == second["Final-Recipient"]
    assert "failed" == second["Action"]
    assert "5.1.1" == second["Status"]
    assert "dns; hub.test" == second["Remote-MTA"]
    assert "smtp; 550 5.1.1 no" == second["Diagnostic-Code"]
    assert "5.0.0" == third["Status"]
    assert third["Diagnostic-Code"] is None


@pytest.mark.parametrize(
    ("hub", "expected"),
    [
        ("hub.test:25", "dns; hub.test"),
        ("bücher.test:25", "dns; xn--bcher-kva.test"),
        ("127.0.0.1:25", "dns; [127.0.0.1]"),
        ("[::1]:25", "dns; [IPv6:::1]"),
        ("[fe80::1%eth0]:25", "dns; [IPv6:fe80::1]"),
        ("unix:/run/hub:25", None),
    ],
)
def test_remote_mta(hub: str, expected: str | None) -> None:
    """The mailhub is a domain, or an address literal (RFC 3464 section 2.3.5)."""
    _, group = groups(read(made(hub=hub)))

    assert expected == group["Remote-MTA"]


def test_delayed() -> None:
    """A warning says until when it is tried, and when it was tried last."""
    text = made(
        DELAYED,
        Victim("ann@example.net", None, "450 full"),
        tried=Stamp(1_799_995_000, 60, "a"),
        until=Stamp(1_800_400_000, 0, "b"),
    )
    group = groups(read(text))[1]

    assert "delayed" == group["Action"]
    assert "4.0.0" == group["Status"]
    assert "Tue, 19 Jan 2027" in group["Will-Retry-Until"]
    assert "Fri, 15 Jan 2027 07:36:40 +0100" == group["Last-Attempt-Date"]
    assert b"nothing has to be done" in text


def test_status_of_what_is_delayed() -> None:
    """No status of what is delayed says "for good" (RFC 3463 section 3.1)."""
    replies = ("the mailhub broke it off", "535 5.7.8 wrong", "451 4.7.1 greylisted")
    victims = [Victim("ann@example.net", None, reply) for reply in replies]
    _, *found = groups(read(made(DELAYED, *victims, until=NOW)))

    assert ["4.0.0", "4.0.0", "4.7.1"] == [group["Status"] for group in found]


def test_whole_message() -> None:
    """With RET=FULL the message itself is sent back, octet for octet."""
    content = HEADER + b"--x\r\n\xff\xfe .\r\n"
    text = made(content=content)

    assert content in text
    assert b"Content-Type: message/rfc822\r\n" in text


def test_header_alone() -> None:
    """Without RET=FULL the header is all that is sent back."""
    report = read(made())

    assert "hello" in str(report.get_payload(2))


def test_hostile_reply() -> None:
    """What a mailhub said cannot end a line or a part of the report."""
    reply = "550 no\r\nTo: x@y\n\n--" + "feed" * 5 + "=--"
    text = made(FAILED, Victim("ann@example.net", None, reply))

    assert b"\nTo: x@y" not in text
    assert 3 == len(read(text).get_payload())


@pytest.mark.parametrize("name", ["ann", "jörg"])
def test_long_words(name: str) -> None:
    """No line has more than 998 octets, whatever others said (RFC 5322 §2.1.1)."""
    victim = Victim(f"{name}@example.net", None, "550 5.1.1 " + "я" * 590)
    text = made(FAILED, victim, message_id=f"<{'x' * 980}@x>")

    assert 998 >= max(map(len, text.split(b"\r\n")))
    assert ("я" * 400).encode() in text


def test_words_of_ours() -> None:
    """What no mailhub has said is not told as its words, digits before it or not."""
    ours = Victim("ann@example.net", None, "192.0.2.1:25 hung up in the middle")
    its = Victim("eve@example.net", None, "550 5.1.1 no")
    text = made(FAILED, ours)
    _, group = groups(read(text))

    assert "5.0.0" == group["Status"]
    assert (None, None) == (group["Diagnostic-Code"], group["Remote-MTA"])
    assert b" those of hub.test" not in text
    assert b"with three digits are those of hub.test" in made(FAILED, ours, its)


def test_utf8_addresses() -> None:
    """Addresses outside of ASCII are shown as they are (RFC 6533)."""
    text = made(
        FAILED, Victim("jörg@example.net", None, "550 ä nein"), to="bøb@example.org"
    )

    assert "To: <bøb@example.org>\r\n".encode() in text
    assert "Final-Recipient: utf-8; jörg@example.net\r\n".encode() in text


@pytest.mark.parametrize(
    ("name", "wished", "kind"),
    [
        ("ann", None, "message/delivery-status"),
        ("ann", "rfc822;+FC@x", "message/global-delivery-status"),
        ("jörg", None, "message/global-delivery-status"),
    ],
)
def test_facts_beyond_ascii(name: str, wished: str | None, kind: str) -> None:
    """What programs read is ASCII, or says by its type that it is not (RFC 6533)."""
    reply = "550 ä nein"
    victims = [Victim(f"{n}@example.net", wished, reply) for n in (name, "eve")]
    text = made(FAILED, *victims)
    _, status, _ = text.split(f"--={'feed' * 5}=\r\n".encode())[1:]
    header, _, facts = status.partition(b"\r\n\r\n")

    assert f"Content-Type: {kind}" == header.decode().splitlines()[0]
    assert facts.isascii() == (b"8bit" not in header)
    assert facts.isascii() == (kind == "message/delivery-status")
    assert 2 == facts.count(b"\r\nDiagnostic-Code: smtp; 550 ")


def test_notice_of_long_words() -> None:
    """However much a mailhub said, the notice about it has no line that is too long."""
    text = bounce.notice(
        "client.test: trouble",
        f"What went wrong: 554 {'я' * 590}.\n\nIt is so.\n",
        to="ops@example.org",
        host="client.test",
        domain="example.org",
        now=NOW,
    )

    assert 998 >= max(map(len, text.split(b"\r\n")))
    assert text.endswith("яяя…\r\n\r\nIt is so.\r\n".encode())


def test_host_beyond_ascii() -> None:
    """The name of this machine is one of DNS wherever a program reads it."""
    text = made(host="bücher.example")

    assert f"<{'feed' * 5}@xn--bcher-kva.example>" == read(text)["Message-ID"]
    assert b"\r\nReporting-MTA: dns; xn--bcher-kva.example\r\n" in text


def test_notice() -> None:
    """A notice is plain text that says that no person wrote it."""
    text = bounce.notice(
        "client.test: trouble",
        "It is so.\n",
        to="ops@example.org",
        host="client.test",
        domain="example.org",
        now=NOW,
    )
    report = read(text)

    assert "auto-generated" == report["Auto-Submitted"]
    assert "It is so.\n" == report.get_content().replace("\r\n", "\n")
    assert f"<{'feed' * 5}@client.test>" == report["Message-ID"]
