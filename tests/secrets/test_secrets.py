"""A password is in no output, no log, no file and no other process's view."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.hub import Hub, running
from tests.secrets.box import MESSAGE, PASSWORD, USER, Box, forms
from tests.secrets.parrot import parrot

CLEAR = "AllowCleartextAuth=yes"
TOKEN = "ya29.a0AfH6SMBx-kangaroo_7/+~token"


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def sources(box: Box) -> dict[str, list[str]]:
    """Return the lines of ssmtp.conf for each place that a password may come from."""
    file = box.given / "password"
    file.write_text(PASSWORD + "\n", encoding="utf-8")
    file.chmod(0o600)
    command = box.given / "command"
    command.write_text(f"#!/bin/sh\necho {shlex.quote(PASSWORD)}\n", encoding="utf-8")
    command.chmod(0o700)
    return {
        "AuthPass": [f'AuthPass="{PASSWORD}"'],
        "AuthPassFile": [f"AuthPassFile={file}"],
        "AuthPassCommand": [f"AuthPassCommand={command}"],
    }


def hub() -> Hub:
    return Hub(users={USER: PASSWORD})


@pytest.mark.parametrize("source", ["AuthPass", "AuthPassFile", "AuthPassCommand"])
@pytest.mark.parametrize("mechanisms", ["PLAIN", "LOGIN"])
def test_success(box: Box, source: str, mechanisms: str) -> None:
    """Nothing that is said about a message that was sent holds the password."""
    with running(Hub(users={USER: PASSWORD}, mechanisms=mechanisms)) as one:
        keys = (f"Mailhub=127.0.0.1:{one.port}", f"AuthUser={USER}", "Debug=yes", CLEAR)
        box.configure(*keys, *sources(box)[source])
        done = box.run("-v", "you@dest.test")

    assert 0 == done.returncode
    assert USER == one.mails[0].user
    assert b"AUTH" in done.stderr
    assert "Sent mail" in box.log.read_text("utf-8")
    box.check()


@pytest.mark.parametrize("password", ["word", "name", "Pass", "2.7.0", "sword:"])
@pytest.mark.parametrize("mechanisms", ["PLAIN", "LOGIN"])
def test_password_that_looks_like_something(
    box: Box, password: str, mechanisms: str
) -> None:
    """A password that stands in what a mailhub says, even in base64, does no harm."""
    with running(Hub(users={USER: password}, mechanisms=mechanisms)) as one:
        keys = (f"Mailhub=127.0.0.1:{one.port}", f"AuthUser={USER}", CLEAR)
        box.configure(*keys, f"AuthPass={password}")
        done = box.run("you@dest.test")

    assert (0, b"") == (done.returncode, done.stderr)
    assert 1 == len(one.mails)


@pytest.mark.parametrize("form", [["-ap", PASSWORD], [f"-ap{PASSWORD}"]])
@pytest.mark.parametrize("known", [True, False])
def test_on_the_command_line(box: Box, form: list[str], known: bool) -> None:
    """A password among the arguments is not kept with the message that failed."""
    with running(Hub(users={USER: PASSWORD if known else "other"})) as one:
        box.configure(f"Mailhub=127.0.0.1:{one.port}", "Debug=yes", CLEAR)
        done = box.run("-v", "-au", USER, *form, "you@dest.test")

    assert (0 if known else 77) == done.returncode
    assert (not known) == len(box.kept())
    box.check()


MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256")


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("code", [435, 535, 421, 200])
def test_refused_with_an_echo(box: Box, mechanism: str, code: int) -> None:
    """A mailhub that refuses AUTH and says the password back is not quoted with it."""
    with parrot("AUTH", code, mechanism) as bird:
        box.configure(*_parrot_keys(bird.port, mechanism))
        done = box.run("-v", "you@dest.test")
        listed = box.run("queue", name="ssmtpctl")
        shown = box.run("queue", "show", box.kept()[0].name, name="ssmtpctl")
        box.run("queue", "retry", "-v", box.kept()[0].name, name="ssmtpctl")
        box.run("-bp")
        box.run("-q", "-v")

    assert done.returncode in (75, 77)
    assert (0, 0) == (listed.returncode, shown.returncode)
    assert bird.heard
    box.check(PASSWORD, *bird.heard)


@pytest.mark.parametrize("mechanism", MECHANISMS[:3])
@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("MAIL", 550),
        ("RCPT", 451),
        ("RCPT", 550),
        ("CONTENT", 554),
        ("CONTENT", 250),
        ("unasked", 250),
        ("unasked", 421),
        ("garbled", 250),
    ],
)
def test_echoed_later(box: Box, mechanism: str, where: str, code: int) -> None:
    """What a mailhub remembers of AUTH is not quoted at any later place either."""
    with parrot(where, code, mechanism) as bird:
        box.configure(*_parrot_keys(bird.port, mechanism))
        done = box.run("-v", "you@dest.test")

    assert (where, code) == ("CONTENT", 250) or done.returncode
    assert bird.heard
    box.check(PASSWORD, *bird.heard)


def test_smtp_session(box: Box) -> None:
    """A program that submits through -bs is not told the password either."""
    text = b"EHLO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nx\r\n.\r\n"
    with parrot("RCPT", 550) as bird:
        box.configure(*_parrot_keys(bird.port, "PLAIN"))
        done = box.run("-bs", "-v", text=text + b"QUIT\r\n")

    assert b"\n550 " in done.stdout
    box.check(PASSWORD, *bird.heard)


def _parrot_keys(port: int, mechanism: str) -> list[str]:
    return [
        f"Mailhub=127.0.0.1:{port}",
        f"AuthUser={USER}",
        f'AuthPass="{PASSWORD}"',
        f"AuthMethod={mechanism}",
        "Debug=yes",
        CLEAR,
    ]


@pytest.mark.parametrize(("where", "code"), [("AUTH", 535), ("RCPT", 550)])
@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
@pytest.mark.parametrize("token", [TOKEN, TOKEN * 150], ids=["short", "long"])
def test_access_token(
    box: Box, where: str, code: int, mechanism: str, token: str
) -> None:
    """An access token is a password, however long it is."""
    command = box.given / "token"
    command.write_text(f"#!/bin/sh\necho '{token}'\n")
    command.chmod(0o700)
    with parrot(where, code, mechanism, token) as bird:
        keys = _parrot_keys(bird.port, mechanism)
        keys[2] = f"AuthPassCommand={command}"
        box.configure(*keys)
        done = box.run("-v", "you@dest.test")

    assert done.returncode
    assert bird.heard
    assert TOKEN[:20].encode() not in box.everything()
    box.check(token, *bird.heard)


@pytest.mark.parametrize(
    "line",
    [
        f"AuthPas={PASSWORD}",
        f"AuthPass {PASSWORD}",
        f"AuthPass: {PASSWORD}",
        f'AuthPass="{PASSWORD}\nAuthPassword={PASSWORD}',
        f"AuthPass={PASSWORD}\0",
        f"AuthPass={PASSWORD}\nAuthPassFile=/nowhere",
        f"Proxy=http://user:{PASSWORD}@proxy.test:none",
        f"Proxy=gopher://user:{PASSWORD}@proxy.test:80",
        f"Proxy=socks5://user:{PASSWORD}@",
        f"Proxy=user:{PASSWORD}",
        f'AuthPassCommand=["echo", "{PASSWORD}"',
        f"AuthPassCommand=/nowhere/prog {PASSWORD.replace('&', '')}",
        f"AuthMethod={PASSWORD}",
        f"Mailhub=user:{PASSWORD}@hub.test",
    ],
)
def test_errors_of_the_configuration(box: Box, line: str) -> None:
    """A mistake on the line of a password is told without the password."""
    box.configure("Mailhub=127.0.0.1:9", f"AuthUser={USER}", CLEAR, line)
    done = box.run("-v", "you@dest.test")

    assert done.returncode in (75, 77, 78)
    assert done.stderr
    if not line.startswith(("AuthMethod", "Mailhub")):
        # There a password has no business, and what stands there must be shown.
        box.check()


def test_open_to_others(box: Box) -> None:
    """That others can read the password is said without saying it."""
    box.configure("Mailhub=127.0.0.1:9", f'AuthPass="{PASSWORD}"', mode=0o644)
    done = box.run("-v", "you@dest.test")

    assert 78 == done.returncode
    box.check()


@pytest.mark.parametrize("answer", ["http", "socks"])
def test_proxy(box: Box, answer: str) -> None:
    """The password of a proxy is not said back when the proxy does so."""
    quoted = forms(PASSWORD)["URL, everything"].decode()
    heard: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            heard.append(connection.recv(9999))
            if answer == "socks":
                connection.sendall(b"\5\2")
                heard.append(connection.recv(999))
                connection.sendall(b"\1\1")
                return
            login = heard[0].partition(b"Basic ")[2].partition(b"\r")[0]
            connection.sendall(b"HTTP/1.1 407 No " + login + b" really\r\n\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    scheme = "http" if answer == "http" else "socks5"
    port = server.getsockname()[1]
    proxy = f"Proxy={scheme}://me:{quoted}@127.0.0.1:{port}"
    box.configure("Mailhub=hub.test:25", proxy, "Debug=yes")
    done = box.run("-v", "you@dest.test")
    thread.join()
    server.close()

    assert 77 == done.returncode
    assert len(b"".join(heard)) > 20
    box.check()
    box.check(f"me:{PASSWORD}")


def test_demonstration(box: Box) -> None:
    """What the demonstration shows has dots where its password was."""
    done = box.run("demo", name="ssmtpctl")

    assert 0 == done.returncode
    assert "AUTH" in done.stdout.decode()
    for line in done.stdout.decode().splitlines():
        if " AUTH " in line and "->" in line:
            assert "••••" in line


def test_other_processes(box: Box) -> None:
    """`ps` does not show the password, and no core file would hold it."""
    with running(Hub(replies={"GREETING": "hang"})) as one:
        box.configure(f"Mailhub=127.0.0.1:{one.port}", CLEAR)
        words = box.words("-au", USER, f"-ap{PASSWORD}", "-ap", PASSWORD, "a@dest.test")
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=box.env
        ) as process:
            try:
                assert process.stdin is not None
                process.stdin.write(MESSAGE)
                process.stdin.close()
                for _ in range(1000):
                    if one.connections:
                        break
                    time.sleep(0.01)
                about = Path(f"/proc/{process.pid}")
                arguments = (about / "cmdline").read_bytes()
                limits = (about / "limits").read_text()
                dumped = (about / "coredump_filter").read_text()
                seen = arguments + (about / "environ").read_bytes()
            finally:
                process.kill()

    assert one.connections
    assert USER.encode() in arguments
    assert PASSWORD.encode() not in seen
    core = next(line for line in limits.splitlines() if "core" in line)
    assert ["0", "0"] == core.split()[4:6]
    assert 0 == int(dumped, 16)


def test_the_box_sees_a_leak(box: Box) -> None:
    """Each form of a secret would be noticed."""
    for name, form in forms(PASSWORD).items():
        (box.left / "file").write_bytes(b"x" + form + b"y")
        with pytest.raises(AssertionError):
            box.check()
        assert name
    (box.left / "file").unlink()
    box.said = b"x"
    box.check()


# -- a mistake of ours

BEFORE_READING = ("ssmtp.options:scan", "ssmtp.intake:read", "ssmtp.signals:Signals")
WITH_THE_MESSAGE = (
    "ssmtp.accounts:caller",
    "ssmtp.delivery:Request",
    "ssmtp.delivery:deliver",
    "ssmtp.configfile:find",
    "ssmtp.configfile:load",
    "ssmtp.config:parse",
    "ssmtp.accounts:identify",
    "ssmtp.accounts:LocalNames",
    "ssmtp.message:parse",
    "ssmtp.message:repair",
    "ssmtp.message:Message.render",
    "ssmtp.envelope:build",
    "ssmtp.stamp:Stamp",
    "ssmtp.credentials:from_config",
    "ssmtp.submission:submit",
    "ssmtp.submission:attempts",
    "ssmtp.wire.connect:connect",
    "ssmtp.wire.blocking:wait",
    "ssmtp.wire.channel:Channel.converse",
    "ssmtp.wire.channel:Channel._fly",
    "ssmtp.smtp.dialogue:Dialogue",
    "ssmtp.smtp.dialogue:_converse",
    "ssmtp.smtp.offers:Offers",
    "ssmtp.smtp.lines:command",
    "ssmtp.smtp.sasl:choose",
    "ssmtp.smtp.sasl:exchange",
    "ssmtp.smtp.reply:Inbox.take",
    "ssmtp.trace:Trace.sent",
)


@pytest.mark.parametrize("bug", [*BEFORE_READING, *WITH_THE_MESSAGE])
def test_mistake_of_ours(box: Box, bug: str) -> None:
    """A bug is exit 70 and one sentence with its place; the message is kept."""
    with running(hub()) as one:
        keys = (f"Mailhub=127.0.0.1:{one.port}", f"AuthUser={USER}", CLEAR)
        box.configure(*keys, f'AuthPass="{PASSWORD}"')
        done = box.run("-v", "you@dest.test", bug=bug)

    said = [line for line in done.stderr.splitlines() if not line.startswith(b"[")]
    assert 70 == done.returncode
    assert 1 == len(said)
    assert b"internal error: RuntimeError (launch.py:" in said[0]
    assert [] == one.mails
    kept = box.kept()
    assert (bug in WITH_THE_MESSAGE) == len(kept)
    if kept:
        assert kept[0].name.encode() in said[0]
        assert kept[0].read_bytes().endswith(b"\n\nbody\n")
        assert "internal error: RuntimeError" in box.log.read_text("utf-8")
    box.check()


def test_mistake_in_the_log(box: Box) -> None:
    """A bug in the log changes nothing about what became of the message."""
    with running(Hub()) as one:
        box.configure(f"Mailhub=127.0.0.1:{one.port}")
        sent = box.run("-v", "you@dest.test", bug="ssmtp.journal:sent")
    box.configure(f"Mailhub=127.0.0.1:{one.port}")
    failed = box.run("-v", "you@dest.test", bug="ssmtp.journal:failed")

    assert (0, 1) == (sent.returncode, len(one.mails))
    assert 75 == failed.returncode
    assert 1 == len(box.kept())
    assert box.kept()[0].name.encode() in failed.stderr
    box.check()


@pytest.mark.parametrize(
    "bug",
    [
        "ssmtp.spool.failed:keep",
        "ssmtp.spool.places:for_writing",
        "ssmtp.spool.failed:_write",
        "ssmtp.spool.keptfile:Head.render",
    ],
)
def test_mistake_in_the_store(box: Box, bug: str) -> None:
    """A bug in the store does not hide what happened, and owns up to the loss."""
    box.configure("Mailhub=127.0.0.1:9")
    done = box.run("you@dest.test", bug=bug)

    assert 75 == done.returncode
    assert 1 == done.stderr.count(b"\n")
    assert b"could NOT be kept (internal error: RuntimeError (" in done.stderr
    assert [] == box.kept()
    box.check()


@pytest.mark.parametrize("bug", ["ssmtp.delivery:deliver", "ssmtp.smtp.server:Session"])
def test_mistake_in_a_session(box: Box, bug: str) -> None:
    """A bug during -bs never looks like an acceptance."""
    text = b"EHLO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nx\r\n.\r\n"
    with running(hub()) as one:
        box.configure(f"Mailhub=127.0.0.1:{one.port}")
        done = box.run("-bs", text=text, bug=bug)

    assert 70 == done.returncode
    assert b"internal error: RuntimeError (" in done.stderr
    assert b"\n250 2.0.0" not in done.stdout
    assert [] == one.mails
    box.check()


@pytest.mark.parametrize("verb", ["queue", "demo", "version"])
def test_mistake_in_a_tool(box: Box, verb: str) -> None:
    """A bug in ssmtpctl is one sentence too."""
    module = {"queue": "ssmtp.spool.failed:entries"}.get(verb, f"ssmtp.ctl.{verb}:run")
    done = box.run(verb, name="ssmtpctl", bug=module)

    assert 70 == done.returncode
    assert 1 == done.stderr.count(b"\n")
    box.check()


def test_interpreter_from_outside(box: Box) -> None:
    """What the environment says to Python cannot switch tracebacks on."""
    box.configure("Mailhub=127.0.0.1:9")
    box.env |= {"PYTHONDEVMODE": "1", "PYTHONFAULTHANDLER": "1", "PYTHONVERBOSE": "1"}
    done = box.run("you@dest.test", bug="ssmtp.submission:submit")

    assert 70 == done.returncode
    assert 1 == done.stderr.count(b"\n")
    assert os.environ.get("PYTHONVERBOSE") is None
