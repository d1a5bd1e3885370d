"""`sendmail -bs` from the outside, spoken to as frameworks do."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.hub import Hub, running

ROOT = Path(__file__).parents[2]
SENDMAIL = ROOT / "bin" / "sendmail"


class Caller:
    """A program that holds a session in lockstep."""

    def __init__(self, tmp: Path, port: int, *lines: str, conf: bool = True) -> None:
        self.state = tmp / "state"
        self.conf = tmp / "ssmtp.conf"
        if conf:
            text = (
                f"mailhub=127.0.0.1:{port}\nhostname=box.test\n"
                "rewriteDomain=corp.test\nroot=ops@corp.test\n"
            )
            self.conf.write_text(text + "".join(f"{line}\n" for line in lines))
            self.conf.chmod(0o600)
        self.process = subprocess.Popen(
            [SENDMAIL, "-bs", "-C", self.conf],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env={"XDG_STATE_HOME": str(self.state)},
        )

    def answer(self) -> str:
        """Read one reply, and return its last line."""
        assert self.process.stdout is not None
        while True:
            line = self.process.stdout.readline().decode("ascii")
            if line[3:4] != "-":
                return line.removesuffix("\r\n")

    def say(self, line: str) -> str:
        self.send(line.encode() + b"\r\n")
        return self.answer()

    def send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def message(self, sender: str, *recipients: str, text: str) -> str:
        """Send one message, and return the reply to it."""
        replies = [self.say(f"MAIL FROM:<{sender}>")]
        replies += [self.say(f"RCPT TO:<{r}>") for r in recipients]

        assert ["250"] * len(replies) == [reply[:3] for reply in replies]
        assert "354" == self.say("DATA")[:3]

        return self.say(text + "\r\n.")

    def end(self) -> tuple[int, bytes, bytes]:
        """Close our end; return exit code, the rest of the output, standard error."""
        pipes = self.process
        assert pipes.stdin is not None
        assert pipes.stdout is not None
        assert pipes.stderr is not None
        pipes.stdin.close()
        out, err = pipes.stdout.read(), pipes.stderr.read()
        pipes.stdout.close()
        pipes.stderr.close()
        return pipes.wait(20), out, err

    def kept(self) -> list[Path]:
        folder = self.state / "ssmtp" / "failed"
        return sorted(folder.iterdir()) if folder.is_dir() else []


def test_symfony(tmp_path):
    """Symfony's dialogue sends three messages in one session, silently."""
    with running(Hub()) as hub:
        caller = Caller(tmp_path, hub.port, "FromLineOverride=yes")

        assert "220" == caller.answer()[:3]
        assert "250" == caller.say("EHLO [127.0.0.1]")[:3]
        text = "From: Shop <shop@box.test>\r\nSubject: one\r\n\r\n..dot\r\nbody"
        assert "250" == caller.message("shop@box.test", "c@d.example", text=text)[:3]
        assert "250" == caller.say("RSET")[:3]
        assert "250" == caller.say("NOOP")[:3]
        reply = caller.message("shop@box.test", "c@d.example", "root", text=text)
        assert "250" == reply[:3]
        assert "250" == caller.say("MAIL FROM:<half@box.test>")[:3]
        assert "250" == caller.say("RSET")[:3]
        assert "250" == caller.message("", "c@d.example", text=text)[:3]
        assert "221" == caller.say("QUIT")[:3]
        assert (0, b"", b"") == caller.end()

    assert ["shop@box.test", "shop@box.test", ""] == [m.sender for m in hub.mails]
    assert ["c@d.example", "ops@corp.test"] == hub.mails[1].recipients
    assert [b".dot\r\nbody\r\n"] * 3 == [mail.body for mail in hub.mails]
    assert [] == caller.kept()


def test_pipelined_from_a_file(tmp_path):
    """A whole session piped in with LF line ends works, and needs no QUIT."""
    with running(Hub()) as hub:
        caller = Caller(tmp_path, hub.port)
        caller.send(b"MAIL FROM:<a@b.example>\nRCPT TO:<c@d.example>\nDATA\nhi\n.\n")
        code, out, err = caller.end()

    assert (0, b"") == (code, err)
    assert b"250 2.0.0 Ok" in out.splitlines()[-1]
    assert [b"hi\r\n"] == [mail.body for mail in hub.mails]


@pytest.mark.parametrize(
    ("replies", "reply"),
    [
        ({"RCPT": "550 5.1.1 no such user"}, "550 5.1.1"),
        ({"RCPT": "450 4.2.1 greylisted"}, "450 4.2.1"),
        ({"MAIL": "553 5.7.1 not you"}, "553 5.7.1"),
        ({"DOT": "554 5.7.1 spam"}, "554 5.7.1"),
        ({"DOT": "452 4.3.1 no space"}, "452 4.3.1"),
        ({"GREETING": "554 5.3.2 go away"}, "451 4.3.0"),
        ({"EHLO": "421 4.3.2 later"}, "451 4.3.0"),
    ],
)
def test_refusals(tmp_path, replies, reply):
    """What the mailhub says is passed on with code and words; the session goes on."""
    with running(Hub(replies=replies)) as hub:
        caller = Caller(tmp_path, hub.port)
        caller.answer()
        caller.say("EHLO c")
        said = caller.message("a@b.example", "c@d.example", text="Subject: x\r\n\r\ny")

        assert reply == said[:9]
        assert next(iter(replies.values()))[10:] in said
        assert "250" == caller.say("NOOP")[:3]
        assert (0, b"", b"") == caller.end()
    assert [] == hub.mails
    assert 1 == len(caller.kept())


def test_mailhub_down(tmp_path):
    """A mailhub that is down is 4xx, and the message is kept."""
    with running(Hub()) as hub:
        port = hub.port
    caller = Caller(tmp_path, port)
    caller.answer()
    reply = caller.message("a@b.example", "c@d.example", text="Subject: x\r\n\r\ny")

    assert "451 4.3.0" == reply[:9]
    assert "Connection refused" in reply
    assert (0, b"", b"") == caller.end()
    assert 1 == len(caller.kept())
    assert b"c@d.example" in caller.kept()[0].read_bytes()


def test_no_configuration(tmp_path):
    """A missing configuration is our trouble, not the message's."""
    caller = Caller(tmp_path, 0, conf=False)
    caller.answer()
    reply = caller.message("a@b.example", "c@d.example", text="Subject: x\r\n\r\ny")

    assert "451 4.3.5" == reply[:9]
    assert "ssmtp.conf" in reply
    assert (0, b"", b"") == caller.end()


def test_signal_while_submitting(tmp_path):
    """A signal in the middle of a submission keeps the message, and says so."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        caller = Caller(tmp_path, silent.getsockname()[1])
        caller.answer()
        caller.say("EHLO c")
        caller.say("MAIL FROM:<a@b.example>")
        caller.say("RCPT TO:<c@d.example>")
        caller.say("DATA")
        caller.send(b"Subject: x\r\n\r\ny\r\n.\r\n")
        silent.settimeout(20)
        connection, _ = silent.accept()
        with connection:
            caller.process.send_signal(signal.SIGTERM)
            reply = caller.answer()
            code, out, err = caller.end()

    assert "451 4.3.0" == reply[:9]
    assert b"421 4.3.2" == out[:9]
    assert (-signal.SIGTERM, b"") == (code, err)
    assert 1 == len(caller.kept())


def test_signal_between_messages(tmp_path):
    """A signal between messages ends the program as signals do."""
    with running(Hub()) as hub:
        caller = Caller(tmp_path, hub.port)
        caller.answer()
        caller.message("a@b.example", "c@d.example", text="Subject: x\r\n\r\ny")
        caller.process.send_signal(signal.SIGTERM)
        code = caller.process.wait(20)
        caller.end()

    assert -signal.SIGTERM == code
    assert 1 == len(hub.mails)


def test_large_message(tmp_path):
    """A message of 9 MB takes no more memory than a small one."""
    with running(Hub()) as hub:
        caller = Caller(tmp_path, hub.port)
        caller.answer()
        caller.say("MAIL FROM:<a@b.example>")
        caller.say("RCPT TO:<c@d.example>")
        caller.say("DATA")
        caller.send(b"Subject: x\r\n\r\n")
        line = b"." * 70 + b"\r\n"
        for _ in range(9 * 1024 * 1024 // len(line) // 1000):
            caller.send((b"." + line) * 1000)
        caller.send(b".\r\n")

        assert "250" == caller.answer()[:3]
        status = Path(f"/proc/{caller.process.pid}/status")
        peak = int(
            next(x for x in status.read_text().splitlines() if "VmHWM" in x).split()[1]
        )
        assert peak < 30_000
        caller.end()
    assert 9_000_000 < len(hub.mails[0].body)
