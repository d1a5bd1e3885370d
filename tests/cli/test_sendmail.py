"""What a caller of sendmail sees, and what arrives at the mailhub."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest
import trustme

from tests.hub import Hub, running

ROOT = Path(__file__).parents[2]
SENDMAIL = ROOT / "bin" / "sendmail"
PASSWORD = "pass word#=:1"


class Site:
    """A private place with a configuration, and a way to call sendmail there."""

    def __init__(self, tmp: Path) -> None:
        self.tmp = tmp
        self.conf = tmp / "ssmtp.conf"
        self.state = tmp / "state"
        self.env = {"XDG_STATE_HOME": str(self.state), "TZ": "UTC0"}

    def configure(self, hub: Hub | None, *lines: str, mode: int = 0o600) -> None:
        where = f"mailhub=127.0.0.1:{hub.port}" if hub else ""
        common = ("hostname=box.test", "rewriteDomain=corp.test", "root=ops@corp.test")
        self.conf.write_text("\n".join((where, *common, *lines)) + "\n")
        self.conf.chmod(mode)

    def run(
        self,
        *args: str,
        text: str | bytes = "Subject: s\n\nbody\n",
        name: str = "sendmail",
        conf: bool = True,
        **more,
    ) -> subprocess.CompletedProcess:
        words = [str(ROOT / "bin" / name), *args]
        if conf:
            words[1:1] = ["-C", str(self.conf)]
        data = text.encode() if isinstance(text, str) else text
        more.setdefault("env", self.env)
        more.setdefault("cwd", "/")
        return subprocess.run(
            words, input=data, capture_output=True, timeout=30, **more
        )

    def start(self, hub: Hub, *lines: str) -> subprocess.Popen:
        """Start sendmail for one recipient, its standard input still open."""
        self.configure(hub, *lines)
        return subprocess.Popen(
            [SENDMAIL, "-C", str(self.conf), "a@dest.test"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.env,
        )

    def kept(self) -> list[Path]:
        folder = self.state / "ssmtp" / "failed"
        return sorted(folder.iterdir()) if folder.is_dir() else []


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


def secure(authority: trustme.CA, tmp: Path, *names: str, **more) -> tuple[Hub, str]:
    """Make a hub with a certificate of the authority, and the key that trusts it."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("127.0.0.1",))).configure_cert(context)
    ca = tmp / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    return Hub(context=context, **more), f"TLS_CA_File={ca}"


def test_one_message(site: Site) -> None:
    """A message on standard input reaches the mailhub in silence, exit 0."""
    with running(Hub()) as hub:
        site.configure(hub)
        done = site.run("you@dest.test")

    assert (0, b"", b"") == (done.returncode, done.stdout, done.stderr)
    [mail] = hub.mails
    assert ["you@dest.test"] == mail.recipients
    assert b"body\r\n" == mail.body
    assert ["s"] == mail.field("Subject")
    for name in ("Date", "Message-ID", "From", "Received"):
        assert 1 == len(mail.field(name)), name
    assert [] == site.kept()


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_tls_and_auth(site: Site, authority: trustme.CA, tls: str) -> None:
    """TLS is verified, the login works with blanks, # and = in the password."""
    hub, trust = secure(authority, site.tmp, tls=tls, users={"me": PASSWORD})
    with running(hub):
        keys = ["UseTLS=Yes", trust, "AuthUser=me", f'AuthPass="{PASSWORD}"']
        if tls == "starttls":
            keys.append("UseSTARTTLS = YES ")
        site.configure(hub, *keys)
        done = site.run("-t", text="To: a@dest.test\nBcc: b@dest.test\n\nx\n")

    assert (0, b"", b"") == (done.returncode, done.stdout, done.stderr)
    [mail] = hub.mails
    assert (True, "me") == (mail.tls, mail.user)
    assert ["a@dest.test", "b@dest.test"] == sorted(mail.recipients)
    assert b"b@dest.test" not in mail.data


def test_unverified_certificate(site: Site, authority: trustme.CA) -> None:
    """A certificate that cannot be verified: exit 75, nothing sent, message kept."""
    hub, _ = secure(authority, site.tmp, tls="implicit", users={"me": PASSWORD})
    with running(hub):
        site.configure(hub, "UseTLS=yes", "AuthUser=me", f"AuthPass={PASSWORD}")
        done = site.run("you@dest.test")

    assert 75 == done.returncode
    assert b"certificate" in done.stderr
    assert [] == hub.mails
    assert [] == hub.commands
    [kept] = site.kept()
    assert str(kept).encode() in done.stderr


def test_wrong_host_name(site: Site, authority: trustme.CA) -> None:
    """A certificate for another host is refused."""
    hub, trust = secure(authority, site.tmp, "elsewhere.test", tls="implicit")
    with running(hub):
        site.configure(hub, "UseTLS=yes", trust)
        done = site.run("you@dest.test")

    assert 75 == done.returncode
    assert [] == hub.commands


def test_wrong_password(site: Site, authority: trustme.CA) -> None:
    """A refused password: exit 77, said in words, kept, the password nowhere."""
    hub, trust = secure(authority, site.tmp, tls="implicit", users={"me": "other"})
    with running(hub):
        site.configure(hub, "UseTLS=1", trust, "AuthUser=me", "AuthPass=secret-9")
        done = site.run("-v", "you@dest.test")

    assert 77 == done.returncode
    assert b"535 5.7.8 wrong" in done.stderr
    assert b"secret-9" not in done.stderr + done.stdout
    [kept] = site.kept()
    assert b"secret-9" not in kept.read_bytes()
    assert 1 == sum(c.startswith("AUTH") for c in hub.commands)


def test_auth_in_clear_is_refused(site: Site) -> None:
    """Outside loopback no password goes out without TLS: exit 77, nothing sent."""
    # 127.0.0.1 is loopback, so the AUTH there is allowed; the hub must see it.
    with running(Hub(users={"me": "pw-12345"})) as hub:
        site.configure(hub, "AuthUser=me", "AuthPass=pw-12345")
        done = site.run("you@dest.test")

    assert 0 == done.returncode
    assert "me" == hub.mails[0].user


def test_refused_recipient(site: Site) -> None:
    """One recipient refused for good: exit 67, nobody gets it, message kept."""
    with running(Hub(replies={"RCPT#2": "550 5.1.1 no such user"})) as hub:
        site.configure(hub)
        done = site.run("a@dest.test", "b@dest.test")

    assert 67 == done.returncode
    assert b"550 5.1.1 no such user" in done.stderr
    assert [] == hub.mails
    assert 1 == len(site.kept())


@pytest.mark.parametrize(
    ("verb", "reply", "code"),
    [
        ("MAIL", "451 4.3.0 later", 75),
        ("MAIL", "550 5.1.0 not you", 69),
        ("RCPT", "450 4.2.0 greylisted", 75),
        ("DATA", "451 4.3.0 later", 75),
        ("DOT", "452 4.3.1 full", 75),
        ("DOT", "554 5.6.0 no", 69),
        ("GREETING", "421 4.3.2 busy", 75),
        ("GREETING", "554 5.3.2 never", 69),
    ],
)
def test_refusals(site: Site, verb: str, reply: str, code: int) -> None:
    """The mailhub's refusal decides the exit code, is quoted, and loses nothing."""
    extensions = ("PIPELINING", "8BITMIME") if verb == "DATA" else ()
    hub = Hub(replies={verb: reply}, extensions=extensions)
    with running(hub):
        site.configure(hub)
        done = site.run("you@dest.test")

    assert code == done.returncode
    assert reply.encode() in done.stderr
    assert 1 == done.stderr.count(b"\n")
    assert [] == hub.mails
    [kept] = site.kept()
    text = kept.read_bytes()
    assert b"Subject: s" in text
    assert b"you@dest.test" in text
    assert 0o600 == stat.S_IMODE(kept.stat().st_mode)


def test_no_mailhub_there(site: Site) -> None:
    """Nobody listens: exit 75, the message is kept whole, retry delivers it once."""
    hub = Hub()
    with running(hub):
        pass
    site.configure(hub)
    done = site.run("root", text="To: root\nSubject: alarm\n\n.\n..x\nlast")

    assert 75 == done.returncode
    assert 1 == len(site.kept())
    listing = site.run("-bp")
    assert b"ops@corp.test" in listing.stdout

    again = Hub()
    with running(again):
        site.configure(again)
        retry = site.run("-q", text="")

    assert (0, b"") == (retry.returncode, retry.stderr)
    [mail] = again.mails
    assert ["ops@corp.test"] == mail.recipients
    assert b".\r\n..x\r\nlast\r\n" == mail.body
    assert [] == site.kept()
    assert b"Mail queue is empty\n" == site.run(name="mailq", conf=False).stdout


def test_unknown_host(site: Site) -> None:
    """A mailhub whose name does not exist: exit 68 where DNS can say so."""
    site.configure(None, "mailhub=no-such-host.invalid")
    done = site.run("you@dest.test")

    assert done.returncode in (68, 75)  # 75 where no name server can be asked
    assert b"no-such-host.invalid" in done.stderr
    assert 1 == len(site.kept())


def test_missing_configuration(site: Site) -> None:
    """A missing configuration: exit 78, the file named, the message kept."""
    done = site.run("you@dest.test", text="Subject: precious\n\nbody\n")

    assert 78 == done.returncode
    assert str(site.conf).encode() in done.stderr
    [kept] = site.kept()
    assert b"precious" in kept.read_bytes()


def test_kept_before_the_configuration_was_right(site: Site) -> None:
    """What was kept because of a wrong key goes the whole road when it is retried."""
    site.configure(None, "mailhubb=x")
    done = site.run("root", text="From: root\nBcc: z@dest.test\n\nhello\n")
    with running(Hub()) as hub:
        site.configure(hub)
        retry = site.run("-q", text="")

    assert 78 == done.returncode
    assert b"mailhubb" in done.stderr
    assert b"mailhub" in done.stderr
    assert (0, b"") == (retry.returncode, retry.stderr)
    [mail] = hub.mails
    assert ["ops@corp.test"] == mail.recipients
    assert b"Bcc" not in mail.data
    assert b"hello\r\n" == mail.body
    assert [] == site.kept()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_unreadable_revaliases(site: Site) -> None:
    """Without the right to read revaliases one writes under one's own address."""
    with running(Hub()) as hub:
        site.configure(hub, mode=0o644)
        revaliases = site.tmp / "revaliases"
        revaliases.write_text("nobody:other@corp.test\n")
        revaliases.chmod(0o600)
        ours = [f for f in site.tmp.parents if "pytest-" in f.name or "gw" in f.name]
        for folder in (site.tmp, *ours):
            folder.chmod(0o755)
        done = site.run("-v", "a@dest.test", user=65534, env={})

    assert 0 == done.returncode
    assert b"revaliases cannot be read" in done.stderr
    assert "nobody@corp.test" == hub.mails[0].sender


def test_readable_secret(site: Site) -> None:
    """A configuration with a password that others can read: exit 78 and the chmod."""
    site.configure(None, "mailhub=localhost", "AuthUser=a", "AuthPass=b", mode=0o644)
    done = site.run("you@dest.test")

    assert 78 == done.returncode
    assert b"chmod" in done.stderr
    assert 1 == len(site.kept())


@pytest.mark.parametrize("how", ["pipe", "file", "devnull"])
def test_kinds_of_input(site: Site, how: str) -> None:
    """Pipes, files and an empty input all make a message."""
    source = site.tmp / "message"
    source.write_text("Subject: s\n\nbody\n")
    with running(Hub()) as hub:
        site.configure(hub)
        command = [str(SENDMAIL), "-C", str(site.conf), "a@dest.test"]
        with open(source if how == "file" else os.devnull) as stdin:
            if how == "pipe":
                done = site.run("a@dest.test")
            else:
                done = subprocess.run(
                    command, stdin=stdin, env=site.env, capture_output=True, timeout=30
                )

    assert (0, b"") == (done.returncode, done.stderr)
    assert 1 == len(hub.mails)


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (1, 2), (0, 1, 2)])
def test_closed_descriptors(site: Site, closed: tuple[int, ...]) -> None:
    """Closed standard descriptors never let a socket or a file take their place."""
    redirections = " ".join(f"{fd}>&-" if fd else "<&-" for fd in closed)
    with running(Hub()) as hub:
        site.configure(hub)
        done = subprocess.run(
            ["sh", "-c", f"exec {SENDMAIL} -C {site.conf} a@dest.test {redirections}"],
            input=b"Subject: s\n\nbody\n",
            capture_output=True,
            env=site.env,
            timeout=30,
        )

    assert (66 if 0 in closed else 0) == done.returncode
    assert (0 if 0 in closed else 1) == len(hub.mails)


def test_bare_environment(site: Site) -> None:
    """Cron's poorest job: no variable at all, cwd /, no HOME."""
    with running(Hub()) as hub:
        site.configure(hub)
        done = site.run("you@dest.test", env={})

    assert (0, b"", b"") == (done.returncode, done.stdout, done.stderr)


def test_hostile_environment(site: Site) -> None:
    """LOGNAME, USER, PYTHON* and REMOTE_ADDR change nothing that matters."""
    trap = site.tmp / "trap"
    trap.mkdir()
    (trap / "ssmtp.py").write_text("raise SystemExit(99)")
    (trap / "sitecustomize.py").write_text("raise SystemExit(98)")
    env = {
        "LOGNAME": "mallory",
        "USER": "mallory",
        "PYTHONPATH": str(trap),
        "PYTHONSTARTUP": str(trap / "ssmtp.py"),
        "PYTHONHOME": str(trap),
        "REMOTE_ADDR": "192.0.2.7\r\nX: y",
    }
    with running(Hub()) as hub:
        site.configure(hub)
        done = site.run("you@dest.test", env={**site.env, **env}, cwd=trap)

    assert (0, b"") == (done.returncode, done.stderr)
    [mail] = hub.mails
    assert b"mallory" not in mail.mail.encode() + mail.data
    assert b"192.0.2.7" not in mail.data


@pytest.mark.parametrize("name", ["ssmtp", "sendmail", "mailq", "newaliases"])
def test_four_names(site: Site, name: str) -> None:
    """The four names work from any directory and through links of links."""
    first = site.tmp / "first"
    first.symlink_to(ROOT / "bin" / name)
    (site.tmp / "deep").mkdir()
    second = site.tmp / "deep" / name
    second.symlink_to("../first")
    version = subprocess.run(
        [second, "--version"], capture_output=True, env={}, cwd="/", timeout=30
    )

    assert (0, b"") == (version.returncode, version.stderr)
    assert b"3.0.0" in version.stdout


def test_newaliases(site: Site) -> None:
    """newaliases and -bi exit 0 and send nothing."""
    assert 0 == site.run(name="newaliases", conf=False).returncode
    assert 0 == site.run("-bi", "someone@dest.test", conf=False).returncode


@pytest.mark.parametrize("option", ["-bd", "-bt", "-bz", "--nonsense"])
def test_refused_options(site: Site, option: str) -> None:
    """What we are not is refused with exit 64 and one sentence."""
    done = site.run(option, "a@dest.test")

    assert 64 == done.returncode
    assert 1 == done.stderr.count(b"\n")
    assert done.stderr.startswith(b"sendmail: ")


def test_nobody_to_send_to(site: Site) -> None:
    """No recipient at all is exit 64; with -t the message is kept."""
    site.configure(None, "mailhub=127.0.0.1:1")

    assert 64 == site.run().returncode
    assert [] == site.kept()
    assert 64 == site.run("-t", text="Subject: lonely\n\nx\n").returncode
    assert 1 == len(site.kept())


def give(process: subprocess.Popen, text: bytes, *, whole: bool = False) -> None:
    """Write to standard input, and close it when that is the whole message."""
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.flush()
    if whole:
        process.stdin.close()
        process.stdin = None


def terminate(process: subprocess.Popen) -> tuple[int, bytes]:
    """Send SIGTERM; return the exit code and what was said on standard error."""
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    return process.returncode, said


def test_terminated_while_sending(site: Site) -> None:
    """SIGTERM while the mailhub is silent: exit 75 and the message is kept."""
    with running(Hub(replies={"GREETING": "hang"})) as hub:
        process = site.start(hub)
        give(process, b"Subject: s\n\nbody\n", whole=True)
        while not hub.connections:
            time.sleep(0.01)
        code, said = terminate(process)

    assert 75 == code
    assert 1 == said.count(b"\n")
    assert 1 == len(site.kept())


@pytest.mark.parametrize("words", ["sendmail -q", "ssmtpctl queue retry --all"])
def test_terminated_while_sending_what_is_kept(site: Site, words: str) -> None:
    """SIGTERM once a kept message went out: it is in doubt, and -q leaves it there."""
    site.configure(None, "mailhub=127.0.0.1:1")
    site.run("a@dest.test", text="Subject: s\n\nbody\n")
    with running(Hub(replies={"DOT": "hang"})) as hub:
        site.configure(hub)
        command = f"{ROOT}/bin/{words} -C {site.conf}".split()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=site.env
        )
        while not any(line.startswith("BDAT") for line in hub.commands):
            time.sleep(0.01)
        code, _ = terminate(process)
    with running(Hub()) as again:
        site.configure(again)
        site.run("-q", text="")

    assert -signal.SIGTERM == code
    assert [] == again.mails
    [kept] = site.kept()
    assert b"\nstate: in-doubt\n" in kept.read_bytes()


def test_terminated_with_a_fallback(site: Site) -> None:
    """SIGTERM ends the run; it is no reason to try the next mailhub."""
    with running(Hub(replies={"GREETING": "hang"})) as hub, running(Hub()) as other:
        process = site.start(hub, f"mailhub=127.0.0.1:{other.port}")
        give(process, b"Subject: s\n\nbody\n", whole=True)
        while not hub.connections:
            time.sleep(0.01)
        code, _ = terminate(process)

    assert 75 == code
    assert [] == other.mails
    assert 1 == len(site.kept())


def test_terminated_while_reading(site: Site) -> None:
    """SIGTERM before the message is complete: exit 75, nothing sent or kept."""
    with running(Hub()) as hub:
        process = site.start(hub)
        give(process, b"Subject: s\n\nhalf a mess")
        assert process.stdin is not None
        # It has installed its handlers once it has drained the pipe.
        drained(process.stdin.fileno())
        code, _ = terminate(process)

    assert 75 == code
    assert [] == hub.mails
    assert [] == site.kept()


def drained(fd: int) -> None:
    """Wait until the reader of this pipe has taken everything that was written."""
    import fcntl
    import struct
    import termios

    waiting = b"\1\0\0\0"
    while struct.unpack("i", waiting)[0]:
        waiting = fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0")
        time.sleep(0.01)


def test_terminal_says_how_to_finish(site: Site) -> None:
    """At a terminal one line says how to finish, and a lone dot ends the message."""
    import pty

    with running(Hub()) as hub:
        site.configure(hub)
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [SENDMAIL, "-C", str(site.conf), "a@dest.test"],
            stdin=slave,
            stderr=subprocess.PIPE,
            env=site.env,
        )
        os.close(slave)
        os.write(master, b"Subject: s\n\nfirst\n.\n")
        code = process.wait(timeout=30)
        os.close(master)
        assert process.stderr is not None
        with process.stderr:
            said = process.stderr.read()

    assert 0 == code
    assert 1 == said.count(b"\n")
    assert b"first\r\n" == hub.mails[0].body


def test_lone_dot_in_a_pipe(site: Site) -> None:
    """In a pipe a lone dot is text, with and without -i."""
    with running(Hub()) as hub:
        site.configure(hub)
        for options in ([], ["-i"], ["-oi"]):
            site.run(*options, "a@dest.test", text="Subject: s\n\na\n.\nb\n")

    assert [b"a\r\n.\r\nb\r\n"] * 3 == [mail.body for mail in hub.mails]


def test_verbose_shows_the_dialogue(site: Site, authority: trustme.CA) -> None:
    """-v shows arrows, TLS version and cipher, and dots for secrets."""
    hub, trust = secure(authority, site.tmp, tls="implicit", users={"me": PASSWORD})
    with running(hub):
        site.configure(hub, "UseTLS=yes", trust, "AuthUser=me", f"AuthPass={PASSWORD}")
        done = site.run("-v", "you@dest.test")

    said = done.stderr.decode()
    assert 0 == done.returncode
    assert "TLSv1.3" in said
    assert "[->] MAIL FROM:" in said
    assert "[<-] 220 hub.test ESMTP" in said
    assert PASSWORD not in said
    assert "250 2.0.0 queued as 4F2A1" in said


def test_crlf_and_lf_make_the_same_wire_bytes(site: Site) -> None:
    """CRLF and LF input give the same content."""
    text = "Message-ID: <1@x.test>\nDate: Sat, 21 Nov 2026 19:31:49 +0000\n\na\n\n.b\n"
    with running(Hub()) as hub:
        site.configure(hub)
        site.run("a@dest.test", text=text)
        site.run("a@dest.test", text=text.replace("\n", "\r\n"))

    first, second = (
        [line for line in mail.data.split(b"\r\n") if not line.startswith(b"Received")]
        for mail in hub.mails
    )
    assert first == second


def test_python_too_old_or_wrong_is_not_asked() -> None:
    """The launcher starts with -I and -S, so that no site or variable matters."""
    first = SENDMAIL.read_text().splitlines()[0]

    assert "#!/usr/bin/python3 -IS" == first
