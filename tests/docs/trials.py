"""What a provider is like, and what arrives there, for each recipe by its heading.

What the EHLO of a provider offers is as its documentation and the sessions that people
show have it; its refusals are quoted in the page.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from email.utils import parseaddr
from pathlib import Path

from tests import hub
from tests.certificates import Certificates
from tests.docs import pages
from tests.docs.world import World

Trial = Callable[[World, str], None]
TRIALS: dict[str, Trial] = {}
GMAIL = (
    *("SIZE 35882577", "8BITMIME", "ENHANCEDSTATUSCODES", "PIPELINING", "CHUNKING"),
    "SMTPUTF8",
)
OFFICE = (
    *("SIZE 157286400", "PIPELINING", "DSN", "ENHANCEDSTATUSCODES", "8BITMIME"),
    *("BINARYMIME", "CHUNKING", "SMTPUTF8"),
)
FASTMAIL = ("PIPELINING", "SIZE 71000000", "ENHANCEDSTATUSCODES", "8BITMIME")
SES = ("8BITMIME",)
SECRET = "correct horse battery"


def trial(heading: str) -> Callable[[Trial], Trial]:
    def named(function: Trial) -> Trial:
        TRIALS[heading] = function
        return function

    return named


class Session(hub._Session):
    """A session that knows XOAUTH2 too: the token is the password of the user."""

    def on_auth(self, line: str) -> None:
        words = line.split()
        if words[1] != "XOAUTH2":
            super().on_auth(line)
            return
        text = words[2] if len(words) > 2 else self.challenge("334 ")
        user, bearer, *_ = base64.b64decode(text).decode().split("\1")
        user = user.removeprefix("user=")
        if f"auth=Bearer {self.hub.users.get(user)}" == bearer:
            self.user = user
            self.say("235 2.7.0 Authentication successful")
        else:
            self.challenge("334 eyJzdGF0dXMiOiI0MDAifQ==")
            self.say("535 5.7.3 Authentication unsuccessful")


hub._Session = Session  # type: ignore[misc]  # this process is for trials only


def sent(world: World, one: hub.Hub, *words: str, text: str = "") -> hub.Mail:
    """Send a mail, which arrives, and with nothing said about it."""
    before = len(one.mails)
    told = world.send(*words, text=text) if text else world.send(*words)

    assert (0, "") == told
    assert before + 1 == len(one.mails)
    return one.mails[-1]


def author(mail: hub.Mail) -> tuple[str, str]:
    """Return display name and address of the From field."""
    (field,) = mail.field("From")
    return parseaddr(field)


@trial("To begin with")
def beginning(world: World, text: str) -> None:
    at = world.provider(
        "smtp.example.org", 465, tls="implicit", users={"you@example.org": SECRET}
    )
    world.follow(text)

    assert ["ann@example.net"] == at.mails[-1].recipients
    assert ("you@example.org", True) == (at.mails[-1].user, at.mails[-1].tls)
    Path("/etc/ssmtp/ssmtp.conf").chmod(0o644)
    code, said = world.send()
    assert (78, True) == (code, "chmod" in said), said


def gmail(world: World, text: str, port: int, tls: str) -> hub.Mail:
    at = world.provider(
        "smtp.gmail.com",
        port,
        tls=tls,
        users={"you@gmail.com": "abcdefghijklmnop"},
        mechanisms="LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH",
        extensions=GMAIL,
    )
    world.follow(text)
    mail = sent(world, at)
    assert ("you@gmail.com", "you@gmail.com", True) == (
        mail.sender,
        mail.user,
        mail.tls,
    )
    mail = sent(world, at, "root", text="Subject: disk full\n\n/var\n")
    assert ["you@gmail.com"] == mail.recipients

    refusal = "534 5.7.9 Application-specific password required"
    at.replies["AUTH"] = refusal
    code, said = world.send()
    assert (77, True) == (code, refusal in said), said
    return mail


@trial("Gmail, port 465")
def gmail_465(world: World, text: str) -> None:
    gmail(world, text, 465, "implicit")

    assert "534 5.7.9 Application-specific password required" in text


@trial("Gmail, port 587")
def gmail_587(world: World, text: str) -> None:
    mail = gmail(world, text, 587, "starttls")

    assert "you@gmail.com" == author(mail)[1]


@trial("Microsoft 365")
def office(world: World, text: str) -> None:
    token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9." + "x" * 1700
    at = world.provider(
        "smtp.office365.com",
        587,
        tls="starttls",
        users={"you@example.com": token},
        mechanisms="LOGIN XOAUTH2",
        extensions=OFFICE,
    )
    world.follow(text.replace("/usr/local/bin/", str(world.place / "bin") + "/"))
    world.command("office-token", f"echo {token}")
    world.log_in("root")
    mail = sent(world, at, text="From: Cron <cron@web1>\n" + "To: ann@example.net\n\n")
    assert ("you@example.com", "you@example.com") == (mail.sender, mail.user)
    assert ("Cron", "you@example.com") == author(mail)
    assert ["Cron <cron@web1>"] == mail.field("X-Original-From")

    refusal = "550 5.7.30 Basic authentication is not supported for Client Submission"
    at.replies["AUTH"] = refusal
    world.lay(
        "/etc/ssmtp/ssmtp.conf",
        "mailhub=smtp.office365.com:587\nAuthUser=you@example.com\nAuthPass=secret\n",
    )
    code, said = world.send()
    assert (77, True, True) == (code, refusal in said, refusal in text), said
    assert "kept as" in said


@trial("Fastmail")
def fastmail(world: World, text: str) -> None:
    at = world.provider(
        "smtp.fastmail.com",
        465,
        tls="implicit",
        users={"you@fastmail.com": "2b3c4d5e6f7g8h9i"},
        mechanisms="PLAIN LOGIN",
        extensions=FASTMAIL,
    )
    world.follow(text)

    mail = sent(world, at)
    assert ("you@fastmail.com", "you@fastmail.com") == (mail.sender, mail.user)


@trial("Amazon SES")
def ses(world: World, text: str) -> None:
    password = "BM+0123456789/abcdefghijklmnopqrstuvwxyz="
    at = world.provider(
        "email-smtp.eu-west-1.amazonaws.com",
        587,
        tls="starttls",
        users={"AKIAIOSFODNN7EXAMPLE": password},
        mechanisms="PLAIN LOGIN",
        extensions=SES,
    )
    world.follow(text)
    mail = sent(world, at)
    assert ("you@example.com", True) == (mail.sender, mail.tls)

    refusal = "554 Message rejected: Email address is not verified"
    at.replies["DOT"] = refusal
    code, said = world.send()
    assert (69, True, True) == (code, refusal in said, refusal in text), said
    assert "kept as" in said
    at.users.clear()
    at.users["AKIAIOSFODNN7EXAMPLE"] = "another"
    assert 77 == world.send()[0]


@trial("A company's hub, port 25")
def company(world: World, text: str) -> None:
    at = world.provider("mail.corp.example", 25)
    world.follow(text)

    mail = sent(world, at)
    assert ("you@corp.example", None, False) == (mail.sender, mail.user, mail.tls)
    assert "EHLO web1.corp.example" == at.commands[0]
    at.stop()
    stranger = Certificates(world.place)
    context = world.certificates("another.example", stranger)
    world.hubs[0] = at = world.provider(
        "mail.corp.example", 25, tls="starttls", context=context
    )
    assert sent(world, at).tls


@trial("A company's hub, STARTTLS and an authority of its own")
def authority(world: World, text: str) -> None:
    company = Certificates(world.place / "home")
    context = world.certificates("mail.corp.example", company)
    users = {"web1": "s3cret #1"}
    at = world.provider(
        "mail.corp.example", 25, tls="starttls", users=users, context=context
    )
    world.lay("/etc/ssl/certs/corp-ca.pem", Path(company.text("authority")).read_text())
    world.follow(text)

    mail = sent(world, at)
    assert ("you@corp.example", "web1", True) == (mail.sender, mail.user, mail.tls)
    public = Path(world.public.text("authority")).read_text()
    world.lay("/etc/ssl/certs/corp-ca.pem", public)
    code, said = world.send()
    assert (75, True) == (code, "certificate" in said), said
    at.stop()
    world.hubs[0] = world.provider("mail.corp.example", 25, users=users)
    assert (75, []) == (world.send()[0], world.hubs[0].mails)


@trial("A Unix socket")
def unix(world: World, text: str) -> None:
    Path("/run/mail").mkdir()
    at = hub.Hub(path="/run/mail/smtp.sock")
    with hub.running(at):
        world.follow(text)

        assert "you@corp.example" == sent(world, at).sender


@trial("Several users, several senders")
def several(world: World, text: str) -> None:
    users = {"web1": "secret"}
    one, other = (
        world.provider(f"{name}.corp.example", 587, tls="starttls", users=users)
        for name in ("mail", "backup-mail")
    )
    world.follow(text)
    for login, at, sender in (
        ("root", one, "alerts@corp.example"),
        ("www-data", one, "noreply@shop.example"),
        ("backup", other, "backup@corp.example"),
        ("ann", one, "ann@corp.example"),
    ):
        world.log_in(login)
        mail = sent(world, at)
        assert (sender, "web1") == (mail.sender, mail.user)
        if login == "www-data":
            assert ("Shop", sender) == author(mail)
    accounts = world.etc / "passwd"
    text = accounts.read_text().replace(":0:0::", ":0:0:ann at web1,,,:", 1)
    accounts.write_text(text)
    assert ("ann at web1", "ann@corp.example") == author(sent(world, one))


@trial("One user, without root")
def user(world: World, text: str) -> None:
    at = world.provider(
        "smtp.example.org", 465, tls="implicit", users={"ann@example.org": SECRET}
    )
    world.command("pass", f'test "$*" = "show mail/example.org" && echo "{SECRET}"')
    world.lay("/etc/ssmtp/ssmtp.conf", "mailhub=other.example\nrewriteDomain=other\n")
    world.follow(text)
    world.log_in("ann")

    mail = sent(world, at)
    assert "ann@example.org" == mail.sender
    assert ("Ann Example", mail.sender) == author(mail)
    world.lay("/etc/own.conf", "mailhub=smtp.example.org:1\n")
    assert 75 == world.send("-t", "-C", "/etc/own.conf")[0]
    world.environ["SSMTP_CONF"] = "/etc/own.conf"
    assert 75 == world.send()[0]


@trial("Where the password is")
def password(world: World, text: str) -> None:
    at = world.provider(
        "smtp.example.org", 465, tls="implicit", users={"you@example.org": SECRET}
    )
    world.follow(text)
    credential = world.home / "credentials" / "ssmtp.password"
    credential.parent.mkdir()
    credential.write_text(SECRET)
    world.environ["CREDENTIALS_DIRECTORY"] = str(credential.parent)

    assert "you@example.org" == sent(world, at).user
    conf = Path("/etc/ssmtp/ssmtp.conf")
    conf.write_text(conf.read_text() + f"AuthPass={SECRET}\n")
    code, said = world.send()
    assert (78, True) == (code, "AuthPass and AuthPassCredential" in said), said


@trial("Mail for root, and names without a domain")
def names(world: World, text: str) -> None:
    at = world.provider("mail.example.org", 25)
    world.follow(text)

    assert 1 == len(at.mails)
    assert [f"{name}@example.org" for name in ("ann", "ops", "bob")] == at.mails[
        0
    ].recipients
    mail = sent(world, at, text="From: root\nTo: bob\nCc: backup\n\n")
    assert ["bob@example.org", "ann@example.org"] == mail.recipients
    assert ["bob@example.org"] == mail.field("To")


@trial("A field in every mail")
def field(world: World, text: str) -> None:
    at = world.provider("mail.example.org", 25)
    world.follow(text)

    mail = sent(world, at)
    assert ["web1"] == mail.field("X-Machine")
    assert ["ops@example.org"] == mail.field("Reply-To")
    assert mail.header.index(b"X-Machine") < mail.header.index(b"Subject")


@trial("Two mailhubs")
def two(world: World, text: str) -> None:
    world.address("mail1.example.org")
    second = world.provider("mail2.example.org", 25)
    world.follow(text)

    assert sent(world, second)
    first = world.provider("mail1.example.org", 25)
    assert sent(world, first)
    first.replies["GREETING"] = "421 4.3.2 not now"
    assert sent(world, second)
    first.replies.clear()
    first.replies["MAIL"] = "550 5.7.1 never"
    before = len(second.mails)
    assert (69, before) == (world.send()[0], len(second.mails))


@trial("Through a proxy")
def proxy(world: World, text: str) -> None:
    at = world.provider(
        "smtp.example.org", 465, tls="implicit", users={"you@example.org": "secret"}
    )
    asked: list[bytes] = []
    door = socket.create_server((world.address("proxy.example.org"), 1080))
    threading.Thread(target=socks, args=(door, asked), daemon=True).start()
    world.follow(text)
    with door:
        assert "you@example.org" == sent(world, at).user
        assert [b"smtp.example.org"] == asked


def socks(door: socket.socket, asked: list[bytes]) -> None:
    """Be a SOCKS5 proxy (RFC 1928) for one connection, by name."""
    near, _ = door.accept()
    near.recv(64)
    near.sendall(b"\5\0")
    request = near.recv(300)
    host, port = request[5 : 5 + request[4]], int.from_bytes(request[-2:], "big")
    asked.append(host)
    far = socket.create_connection((host.decode(), port))
    near.sendall(b"\5\0\0\1" + bytes(6))
    threading.Thread(target=pump, args=(far, near), daemon=True).start()
    pump(near, far)


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while octets := source.recv(1 << 16):
            target.sendall(octets)
        target.shutdown(socket.SHUT_WR)


@trial("With the agent")
def agent(world: World, text: str) -> None:
    at = world.provider(
        "smtp.example.org", 465, tls="implicit", users={"you@example.org": SECRET}
    )
    world.follow(text)
    code, said = world.send()
    assert (75, True) == (code, "agent" in said), said

    process = subprocess.Popen(
        [pages.ROOT / "bin" / "ssmtpctl", "agent", "run"],
        env=world.env(),
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 20
        while world.run(["ssmtpctl", "agent", "status"]).returncode:
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.05)
        assert (0, "") == world.send()
        while not at.mails:
            assert time.monotonic() < until
            time.sleep(0.02)
        told = world.run(["ssmtpctl", "agent", "status", "--json"]).stdout
        assert json.loads(told)
    finally:
        process.terminate()
        process.wait(20)

    assert ("you@example.org", True) == (at.mails[0].user, at.mails[0].tls)
