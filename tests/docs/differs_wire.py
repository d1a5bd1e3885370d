"""Differences from the classic in what goes over the wire, is logged and is kept."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ssmtp import accounts
from tests.docs.differs import Ours, differs
from tests.docs.pages import ROOT
from tests.hub import EXTENSIONS

PASSWORD = "secret-9"
USERS = {"me": PASSWORD}
LOGIN = ("AuthUser=me", f"AuthPass={PASSWORD}")


@differs("checks no certificate, sends no server name (SNI), takes TLS 1.0 and 1.1")
def certificate(ours: Ours) -> None:
    trusted = f"TLS_CA_File={ours.certificates.text('authority')}"
    context = ours.certificates.context
    for kind in ("self-signed", "other-name", "tls1.1"):
        ours.hub("UseTLS=yes", trusted, tls="implicit", context=context(kind))
        ours.refused(75)
    asked: list[object] = []
    good = context("good")
    good.sni_callback = lambda _, name, __: asked.append(name)
    ours.hub("UseTLS=yes", trusted, where="localhost", tls="implicit", context=good)
    assert 0 == ours.run("a@b.test").code
    assert ["localhost"] == asked


@differs("sends the password over a connection without TLS")
def clear(ours: Ours) -> None:
    hub = ours.hub(*LOGIN, where="localhost", users=USERS)
    ours.refused(77)
    assert not any(line.startswith("AUTH") for line in hub.commands)
    lines = (f"mailhub=localhost:{hub.port}", "AllowCleartextAuth=yes")
    for more in (lines, (f"mailhub=127.0.0.1:{hub.port}",)):
        ours.configure(*LOGIN, *more)
        assert "me" == ours.sent().user


@differs(
    "no TLS for `UseSTARTTLS` with blanks around the `=`, spelled `true`, or in a file"
    " with CRLF"
)
def spelling(ours: Ours) -> None:
    hub = ours.hub()
    for line in ("UseSTARTTLS = yes", "UseSTARTTLS=true"):
        ours.configure(f"mailhub=127.0.0.1:{hub.port}", line, end="\r\n")
        assert "STARTTLS" in ours.refused(75)


@differs("no TLS, unless `UseTLS` or `UseSTARTTLS` is set")
def port(ours: Ours) -> None:
    for number, words in (
        (465, "TLS from the first octet"),
        (587, "STARTTLS, required"),
        (25, "STARTTLS if it is offered"),
    ):
        assert words in ours.explained(f"mailhub=mail.example:{number}")


@differs("hangs when `UseSTARTTLS` is set for port 465")
def implicit(ours: Ours) -> None:
    said = ours.explained("mailhub=mail.example:465", "UseTLS=yes", "UseSTARTTLS=yes")

    assert "TLS from the first octet" in said


@differs("goes on without a client certificate that cannot be loaded")
def client(ours: Ours) -> None:
    context = ours.certificates.context("good")
    lines = ("UseTLS=yes", "TLSVerify=no", "UseTLSCert=yes", "TLSCert=/nowhere.pem")
    ours.hub(*lines, tls="implicit", context=context)

    assert "/nowhere.pem" in ours.refused(78)


@differs("writes the password to the system log: `Debug`, a key given twice, `-ap`")
def logged(ours: Ours) -> None:
    ours.hub("Debug=yes", *LOGIN, f"AuthPass={PASSWORD}", users=USERS)
    ours.sent("-ap", PASSWORD, "a@b.test")
    ours.run("-v", "a@b.test")

    said = ours.log.read_text()
    assert "AUTH" in said
    for form in (PASSWORD, "AG1lAHNlY3JldC05", "c2VjcmV0LTk"):
        assert form not in said


@differs("runs set-gid `mail`, and follows links for `dead.letter`")
def privileges(ours: Ours) -> None:
    ours.hub(replies={"MAIL": "451 later"})
    ours.refused(75)

    assert 0o600 == ours.kept()[0].stat().st_mode & 0o7777
    assert not (ROOT / "bin" / "ssmtp").stat().st_mode & 0o6000


@differs("reads a password that everybody may read")
def readable(ours: Ours) -> None:
    ours.hub(*LOGIN, users=USERS)
    ours.conf.chmod(0o644)

    assert "chmod" in ours.refused(78)


@differs("takes a line end in an argument over into the SMTP dialogue")
def injected(ours: Ours) -> None:
    hub = ours.hub()
    ours.refused(65, "a@b.test\r\nRCPT TO:<evil@b.test>")

    assert 0 == hub.connections


@differs(
    "does not stuff dots in the header section: a line with a dot ends the message"
    " there"
)
def stuffed(ours: Ours) -> None:
    hub = ours.hub(extensions=("PIPELINING",))
    text = "first\n.\nMAIL FROM:<evil@b.test>\n"
    mail = ours.sent(text=text)

    assert text.encode().replace(b"\n", b"\r\n") == mail.body
    assert 1 == len(hub.mails)


@differs("transmits `Bcc` unless `-t` is given")
def blind(ours: Ours) -> None:
    ours.hub()
    mail = ours.sent(text="Bcc: c@d.test\nResent-Bcc: e@d.test\n\nbody\n")

    assert [] == mail.field("Bcc") == mail.field("Resent-Bcc")
    assert b"d.test" not in mail.data


@differs("adds `X-Originating-IP` from the environment")
def address(ours: Ours) -> None:
    ours.hub()
    ours.env["REMOTE_ADDR"] = "192.0.2.99"

    assert b"192.0.2.99" not in ours.sent().data


@differs("sends text without a header section as header fields")
def headless(ours: Ours) -> None:
    ours.hub()

    assert b"begin 644 f\r\nend\r\n" == ours.sent(text="begin 644 f\nend\n").body


@differs("sends an mbox `From ` line")
def mbox(ours: Ours) -> None:
    ours.hub()
    text = "From me Thu Jan  1 00:00:00 1970\nSubject: x\n\nbody\n"

    assert b"From me" not in ours.sent(text=text).data


@differs("leaves `From: root` and `To: bob` as they are")
def bare(ours: Ours) -> None:
    hub = ours.hub("FromLineOverride=yes")
    text = "From: bob\nTo: bob\n\nbody\n"
    mail = ours.sent("-t", text=text)
    assert ["bob@box.test"] == mail.field("To") == mail.field("From")
    ours.configure(f"mailhub=127.0.0.1:{hub.port}")
    mail = ours.sent("-t", text=text)
    assert "bob" not in mail.field("From")[0]
    assert mail.sender in mail.field("From")[0]


@differs("is confused by comments, groups, quotes, several authors and folded fields")
def addresses(ours: Ours) -> None:
    ours.hub("FromLineOverride=yes")
    text = (
        "From: a@x.test (one, two),\n b@x.test\n"
        'To: Team: c@x.test, "D, E" <d@x.test>;\n'
        "Cc: f@x.test (f)\nSender: a@x.test\n\nbody\n"
    )
    mail = ours.sent("-t", text=text)
    assert [f"{name}@x.test" for name in "cdf"] == mail.recipients
    assert "a@x.test" == mail.sender
    for unclear in ('"c@x.test', "c@x.test d@x.test"):
        assert 65 == ours.run("-t", text=f"To: {unclear}\n\nbody\n").code


@differs("sends twice to a recipient who is named twice")
def twice(ours: Ours) -> None:
    ours.hub()

    assert ["a@b.test"] == ours.sent("a@b.test", "a@b.test").recipients


@differs("knows nothing of `Resent-To`")
def resent(ours: Ours) -> None:
    ours.hub()
    text = "Resent-To: new@b.test\nResent-From: me@b.test\nTo: old@b.test\n\nbody\n"

    assert ["new@b.test"] == ours.sent("-t", text=text).recipients


@differs("adds no Message-ID, and no To")
def added(ours: Ours) -> None:
    ours.hub()
    mail = ours.sent()

    assert mail.field("Message-ID")
    assert mail.field("To")


@differs("passes a bare CR on; a NUL takes the rest of its line")
def controls(ours: Ours) -> None:
    ours.hub()
    body = ours.sent(text=b"Subject: x\n\none\rtwo\nthree\0four\n").body

    assert b"\r" not in body.replace(b"\r\n", b"")
    assert b"\n" not in body.replace(b"\r\n", b"")
    assert b"\0" not in body
    assert b"four" in body
    assert "NUL" in ours.log.read_text()


@differs("loses an octet of very long lines, and the end of very long fields")
def long(ours: Ours) -> None:
    ours.hub()
    field = "word " * 900 + "end"
    mail = ours.sent(text=f"X-Long: {field}\nSubject: x\n\n{'x' * 2047}\n")

    assert [field] == mail.field("X-Long")
    assert 998 >= max(map(len, mail.data.split(b"\r\n")))
    assert 2047 == mail.body.replace(b"=\r\n", b"").count(b"x")


@differs("sends 8-bit text as it is, whatever the mailhub takes")
def eight(ours: Ours) -> None:
    text = "Subject: x\nContent-Type: text/plain; charset=utf-8\n\nGrüße\n"
    ours.hub(extensions=("PIPELINING",))
    assert ours.sent(text=text).data.isascii()
    ours.hubs.clear()
    hub = ours.hub(extensions=EXTENSIONS)
    assert "Grüße\r\n".encode() == ours.sent(text=text).body
    assert "BODY=8BITMIME" in hub.mails[0].mail


@differs("writes the full name of the passwd entry as it is")
def gecos(ours: Ours) -> None:
    ours.hub()
    field = ours.sent("-F", 'Carol "CJ" Jones', "a@b.test").field("From")[0]
    assert r'"Carol \"CJ\" Jones"' in field
    assert "Ann Example" == accounts.full_name("& Example, Room 5", "ann")


@differs("cannot send for a uid without a passwd entry")
def nobody(ours: Ours) -> None:
    hub = ours.hub()
    alone = ["unshare", "--user", "--map-user=64001", "--map-group=64001"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("no user namespaces; tests/install/test_bare.py has it with root")
    done = subprocess.run(
        [*alone, *ours.words("a@b.test")], input=b"\n", env=ours.env, timeout=30
    )

    assert 0 == done.returncode
    assert "uid64001@box.test" == hub.mails[0].sender


@differs("says HELO, with a name that may have no dot")
def greeting(ours: Ours) -> None:
    hub = ours.hub()
    ours.conf.write_text(ours.conf.read_text().replace("box.test", "box"))
    ours.sent()
    assert "EHLO [127.0.0.1]" == hub.commands[0]
    hub.replies["EHLO"] = "502 5.5.1 what?"
    ours.sent()
    assert "HELO [127.0.0.1]" in hub.commands


@differs("uses LOGIN or CRAM-MD5, whatever is offered")
def mechanism(ours: Ours) -> None:
    ours.hub(*LOGIN, users=USERS, mechanisms="PLAIN")

    assert "me" == ours.sent().user


@differs("waits after each command")
def pipelined(ours: Ours) -> None:
    ours.hub()
    mail = ours.sent("-N", "never", "a@b.test")

    assert mail.bdat
    assert "SIZE=" in mail.mail
    assert "NOTIFY=NEVER" in mail.rcpts[0]


@differs("connects before it has read the message")
def first(ours: Ours) -> None:
    hub = ours.hub()
    pipe = subprocess.PIPE
    process = subprocess.Popen(ours.words("a@b.test"), stdin=pipe, env=ours.env)
    assert process.stdin is not None
    # More than a pipe holds, so that most of it has been read when write returns.
    process.stdin.write(b"Subject: x\n\n" + b"line\n" * 40_000)
    process.stdin.flush()
    assert 0 == hub.connections
    process.stdin.close()
    assert 0 == process.wait(30)
    assert 1 == hub.connections


@differs("hangs when QUIT is not answered")
def quit_(ours: Ours) -> None:
    ours.hub(replies={"QUIT": "hang"})

    assert b"body\r\n" == ours.sent().body


@differs("shows the last line of a reply")
def reply(ours: Ours) -> None:
    hub = ours.hub(replies={"MAIL": "550-5.7.1 the reason\r\n550 5.7.1 see our page"})
    said = ours.refused(69)

    for words in ("the reason", "see our page", f"127.0.0.1:{hub.port}", "retry"):
        assert words in said


@differs("sleeps a second for each message")
def sleeps(ours: Ours) -> None:
    ours.hub()
    trace = ours.place / "trace"
    calls = "trace=clock_nanosleep,?nanosleep,?pause"
    words = ["strace", "-f", "-qq", "-o", str(trace), "-e", calls]
    try:
        subprocess.run([*words, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no strace, or no leave to use it")
    done = subprocess.run([*words, *ours.words("a@b.test")], input=b"\n", env=ours.env)

    assert 0 == done.returncode
    assert "sleep" not in trace.read_text()


@differs("appends what was not yet read to `dead.letter`, without the header")
def kept(ours: Ours) -> None:
    ours.hub(replies={"MAIL": "451 4.3.0 later"})
    home = Path(ours.env["HOME"])
    home.mkdir()
    ours.refused(75, text="Subject: kept\n\nall of it\n")
    (path,) = ours.kept()

    for words in (b"Subject: kept", b"all of it", b"a@b.test"):
        assert words in path.read_bytes()
    assert [] == os.listdir(home)


@differs("logs `Sent mail for …` with the reply to QUIT")
def success(ours: Ours) -> None:
    ours.hub()
    mail = ours.sent()

    said = ours.log.read_text()
    assert f"Sent mail for {mail.sender} (250 2.0.0 queued as 4F2A1)" in said
    for words in ("uid=", "username=", "outbytes=", mail.field("Message-ID")[0]):
        assert words in said
