"""Whatever is broken, the first failing line of the doctor names it."""

from __future__ import annotations

import contextlib
import os
import socket
import threading

import pytest

from tests.doctor.conftest import PASSWORD, USER, needs_root
from tests.hub import Hub, running
from tests.unit.test_connect import black_hole

LOGIN = (f"AuthUser={USER}", f"AuthPass={PASSWORD}")
TLS = ("UseTLS=yes",)


def first(told):
    """Return what a script would look at."""
    return told.code, told.first["id"], told.first["text"], told.first["next"] or ""


@pytest.mark.parametrize(
    ("kind", "name", "words", "step"),
    [
        ("expired", "tls.expired", "has expired: 1 day ago, on ", "administrator"),
        ("other-name", "tls.name", "but for mail.example.org", "Mailhub=mail.ex"),
        ("self-signed", "tls.self-signed", "self-signed", "TLS_CA_File"),
        ("missing-intermediate", "tls.issuer", "issuer", "trusted here: "),
        ("future", "tls.future", "not valid yet: it begins on ", "put the clock right"),
        ("client-purpose", "tls.certificate", "not made for servers", "administrator"),
        ("cn-only", "tls.name", "but for no host at all", "TLSFingerprint"),
        ("tls1.1", "tls.old", "speaks TLSv1.1 at most", "TLS 1.2"),
        ("cbc-only", "tls.handshake", "no cipher suite", "forward secrecy"),
    ],
)
@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_certificates(bench, secure, certificates, kind, name, words, step, tls):
    """What is wrong with TLS is said in words, and nothing secret is sent there."""
    hub = secure(kind, tls)
    bench.configure(
        f"mailhub=127.0.0.1:{hub.port}",
        f"TLS_CA_File={certificates.text('authority')}",
        "UseTLS=yes" if tls == "implicit" else "UseSTARTTLS=yes",
        *LOGIN,
    )
    code, found, text, next_ = first(bench.doctor())

    assert (75, name) == (code, found)
    assert words in text
    assert step in next_
    assert not [line for line in hub.commands if line.startswith("AUTH")]


def test_unknown_authority(bench, secure):
    """An authority that nobody here knows is named, and so are those who are known."""
    hub = secure("stranger")
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", *TLS, *LOGIN)
    code, name, text, step = first(bench.doctor())

    assert (75, "tls.issuer") == (code, name)
    assert "it is from Somebody else" in text
    assert "TLS_CA_File" in step


def test_wrong_password(bench, secure, certificates):
    """A refused login is said in plain words, with the mailhub's own behind."""
    hub = secure()
    ca = f"TLS_CA_File={certificates.text('authority')}"
    mailhub = f"mailhub=127.0.0.1:{hub.port}"
    bench.configure(mailhub, ca, *TLS, f"AuthUser={USER}", "AuthPass=pw-12345")
    told = bench.doctor()

    assert (77, "auth.login") == first(told)[:2]
    assert "does not accept user and password" in told.first["text"]
    assert "535 5.7.8 wrong" in told.first["text"]
    assert "check AuthUser and the password" in told.first["next"]
    assert 1 == sum(line.startswith("AUTH") for line in hub.commands)


def test_password_with_blanks(bench, secure, certificates):
    """A blank at the end of a refused password is suspected, and its line named."""
    hub = secure()
    ca = f"TLS_CA_File={certificates.text('authority')}"
    bench.configure(
        f"mailhub=127.0.0.1:{hub.port}",
        *(ca, *TLS, f"AuthUser={USER}", f'AuthPass="{PASSWORD} "'),
    )
    told = bench.doctor()

    assert "ends with a blank" in told.one("auth.odd-password")["text"]
    assert (77, "auth.login") == first(told)[:2]
    assert told.first["text"].endswith("wrong. The password ends with a blank.")
    assert f"stand in {bench.conf}, lines 7, 8" in told.first["next"]


def test_unknown_name(bench):
    """A mailhub that does not exist."""
    bench.configure("mailhub=no-such-host.invalid:587", *LOGIN)
    code, name, text, step = first(bench.doctor())

    assert "dns.name" == name
    assert code in (68, 75)  # 75 where there is no name server to be sure
    assert "no-such-host.invalid" in text
    assert step


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def test_closed_port(bench):
    """Nobody listens."""
    port = closed_port()
    bench.configure(f"mailhub=127.0.0.1:{port}")
    code, name, text, step = first(bench.doctor())

    assert (75, "tcp.closed") == (code, name)
    assert f"Nothing listens on port {port} of 127.0.0.1" in text
    assert "Mailhub" in step


def test_silent_port(bench):
    """A port that swallows everything."""
    with black_hole() as (host, port):
        bench.configure(f"mailhub={host}:{port}", "ConnectTimeout=0.5")
        code, name, text, _step = first(bench.doctor())

    assert (75, "tcp.silent") == (code, name)
    assert f"on port {port} or any other" in text


@needs_root
def test_blocked_port(bench):
    """A port that swallows everything, while another one for mail answers."""
    with black_hole() as (host, port), contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        try:
            listener.bind((host, 465))
        except OSError:
            pytest.skip("port 465 is taken")
        listener.listen(5)
        bench.configure(f"mailhub={host}:{port}", "ConnectTimeout=0.5")
        code, name, text, step = first(bench.doctor())

    assert (75, "tcp.blocked") == (code, name)
    assert f"Port {port} of {host} is blocked" in text
    assert "set Mailhub=127.0.0.1:465" in step


@pytest.mark.parametrize("port_465", [pytest.param(True, marks=needs_root), False])
def test_tls_port_with_starttls(bench, certificates, secure, port_465):
    """UseSTARTTLS where TLS begins at once: harmless on port 465, fatal elsewhere."""
    hub = secure()
    ca = f"TLS_CA_File={certificates.text('authority')}"
    if not port_465:
        bench.configure(f"mailhub=127.0.0.1:{hub.port}", "UseSTARTTLS=yes", ca, *LOGIN)
        code, name, text, step = first(bench.doctor())

        assert (75, "smtp.greeting") == (code, name)
        assert "speaks TLS from the first octet" in text
        assert "take UseSTARTTLS out" in step
        return
    bench.configure("mailhub=127.0.0.1:465", "UseSTARTTLS=yes", ca, *LOGIN)
    told = bench.doctor()

    assert "trap.465-starttls" == told.states("warning")[0]
    assert "take UseSTARTTLS out" in told.one("trap.465-starttls")["next"]


def test_clear_port_with_tls(bench, secure, certificates):
    """UseTLS where the mailhub begins in clear."""
    hub = secure(tls="starttls")
    ca = f"TLS_CA_File={certificates.text('authority')}"
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", *TLS, ca, *LOGIN)
    code, name, text, step = first(bench.doctor())

    assert (75, "tls.clear") == (code, name)
    assert "begins in clear" in text
    assert "UseSTARTTLS=yes" in step


def test_no_starttls(bench, hub):
    """STARTTLS is wanted, and the mailhub has it not."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", "UseSTARTTLS=yes")
    code, name, text, _step = first(bench.doctor())

    assert (75, "tls.starttls") == (code, name)
    assert "does not offer STARTTLS" in text


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o666])
def test_open_to_others(bench, hub, mode):
    """A password that others can read."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", *LOGIN, mode=mode)
    told = bench.doctor()

    assert (78, "config.mode") == first(told)[:2]
    assert f"open to others (mode {mode:04o})" in told.first["text"]
    assert told.first["next"].startswith("chmod 6")
    assert "auth.mechanism" == told.states("error")[1]  # it goes on


def test_refused_sender(bench):
    """The mailhub does not want mail from this address."""
    with running(Hub(replies={"MAIL": "550 5.7.1 not from you"})) as hub:
        bench.configure(f"mailhub=127.0.0.1:{hub.port}")
        code, name, text, step = first(bench.doctor())

    assert (69, "smtp.sender") == (code, name)
    assert "550 5.7.1 not from you" in text
    assert "revaliases" in step
    assert ["RSET"] != hub.commands[-1:]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("Mialhub=127.0.0.1:25", "Mailhub"),
        ("AuthUsr=me", "AuthUser"),
        ("UseStartTSL=yes", "UseSTARTTLS"),
        ("rewritedomian=corp.test", "RewriteDomain"),
    ],
)
def test_typo(bench, hub, line, key):
    """A key that does not exist: the nearest one is named, and the rest looked at."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", line)
    told = bench.doctor()

    assert (78, "config.line") == first(told)[:2]
    assert f"line 5: unknown key {line.partition('=')[0]}" in told.first["text"]
    assert key in told.first["next"]
    assert "ok" == told.one("smtp.sender")["state"]


def test_typo_in_the_only_mailhub(bench):
    """Without the line there is no mailhub; the typo is still the one thing to tell."""
    bench.configure("Mialhub=127.0.0.1:25")
    told = bench.doctor()

    assert ["config.line"] == told.states("error")
    assert "the nearest known key is Mailhub" in told.first["next"]


def test_every_bad_line(bench, hub):
    """Each line is read by itself, so that all mistakes are found at once."""
    bench.configure(
        f"mailhub=127.0.0.1:{hub.port}", "Prot=25", "UseTLS=maybe", "what is this"
    )
    told = bench.doctor()

    assert [5, 6, 7] == [f["facts"]["line"] for f in told.all("config.line")]


@contextlib.contextmanager
def chatter(answer: bytes, at_once: bool):
    """Somebody who is no mailhub: speaks at once, or answers what is said."""

    def serve(listener):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                threading.Thread(target=talk, args=(peer,), daemon=True).start()

    def talk(peer):
        with peer, contextlib.suppress(OSError):
            if not at_once:
                peer.recv(4096)
            peer.sendall(answer)
            peer.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("answer", "at_once", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False, "speaks HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", True, "speaks SSH, not SMTP"),
        (b"* OK IMAP4rev1 ready\r\n", True, "speaks IMAP, not SMTP"),
        (b"hello\r\n", True, "does not greet like a mailhub"),
    ],
)
def test_no_mailhub(bench, answer, at_once, words):
    """Something else listens: a web server, SSH, IMAP."""
    with chatter(answer, at_once) as port:
        bench.configure(f"mailhub=127.0.0.1:{port}", "CommandTimeout=0.5")
        code, name, text, step = first(bench.doctor())

    assert (75, "smtp.greeting") == (code, name)
    assert words in text
    assert "check host and port of Mailhub" in step


@pytest.mark.parametrize(
    ("reply", "code"), [("554 5.7.1 go away", 69), ("421 4.3.2 too busy", 75)]
)
def test_greeting(bench, reply, code):
    """A mailhub that greets with no."""
    with running(Hub(replies={"GREETING": reply})) as hub:
        bench.configure(f"mailhub=127.0.0.1:{hub.port}")
        told = bench.doctor()

    assert (code, "smtp.greeting") == first(told)[:2]
    assert reply in told.first["text"]


def test_refused_name(bench):
    """A mailhub that does not like our name."""
    with running(Hub(replies={"EHLO": "550 5.7.1 who is that"})) as hub:
        bench.write(f"mailhub=127.0.0.1:{hub.port}\nhostname=localhost\n")
        told = bench.doctor()

    assert "trap.hostname" == told.states("warning")[0]
    assert "Hostname=localhost is no full name" in told.one("trap.hostname")["text"]
    assert "smtp.hello" == told.first["id"]
    assert "does not accept our name [127.0.0.1]" in told.first["text"]
    assert "set Hostname" in told.first["next"]


@pytest.mark.parametrize(
    ("mechanisms", "method", "words"),
    [
        ("XOAUTH2 OAUTHBEARER", "", "offers no AUTH mechanism that can be used"),
        ("LOGIN CRAM-MD5", "AuthMethod=PLAIN", "PLAIN"),
        ("GSSAPI NTLM", "", "GSSAPI"),
    ],
)
def test_mechanisms(bench, secure, certificates, mechanisms, method, words):
    """No common mechanism: what is offered is named, and nothing is tried."""
    hub = secure(mechanisms=mechanisms)
    ca = f"TLS_CA_File={certificates.text('authority')}"
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", *TLS, ca, *LOGIN, method)
    code, name, text, _step = first(bench.doctor())

    assert (77, "auth.mechanism") == (code, name)
    assert words in text


def test_only_login(bench, secure, certificates):
    """LOGIN will do, inside TLS."""
    hub = secure(mechanisms="LOGIN")
    ca = f"TLS_CA_File={certificates.text('authority')}"
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", *TLS, ca, *LOGIN)
    told = bench.doctor()

    assert 0 == told.code
    assert "LOGIN" == told.one("auth.login")["facts"]["mechanism"]


def test_no_login_in_clear(bench):
    """A password does not go in clear to what may be another machine."""
    with running(Hub(users={USER: PASSWORD})) as hub:
        bench.configure(f"mailhub=localhost:{hub.port}", *LOGIN)
        code, name, text, step = first(bench.doctor())

    assert (77, "auth.clear") == (code, name)
    assert "No AUTH in clear" in text
    assert "Mailhub=127.0.0.1:" in step


def test_login_wanted(bench):
    """A mailhub that takes nothing without a login."""
    with running(Hub(users={USER: PASSWORD})) as hub:
        bench.configure(f"mailhub=127.0.0.1:{hub.port}")
        told = bench.doctor()

    assert (77, "smtp.sender") == first(told)[:2]
    assert "wants authentication" in told.first["text"]
    assert "set AuthUser" in told.first["next"]
    assert "note" == told.one("auth.offered")["state"]


@pytest.mark.parametrize("text", ["", "# nothing\n\n", "\n\n"])
def test_empty(bench, text):
    """A file in which nothing is set."""
    bench.write(text)
    code, name, said, step = first(bench.doctor())

    assert (78, "config.empty") == (code, name)
    assert "is empty" in said
    assert "ssmtpctl setup" in step


def test_no_mailhub_line(bench):
    """A file that names no mailhub."""
    bench.write("root=me@corp.test\n")
    code, name, said, step = first(bench.doctor())

    assert (78, "config.mailhub") == (code, name)
    assert "no mailhub is set" in said
    assert "Mailhub=" in step


@needs_root
def test_unreadable(square):
    """A file that this user cannot read."""
    square.configure("mailhub=127.0.0.1:1")
    told = square.doctor(uid=64123)

    assert (78, "config.file") == first(told)[:2]
    assert "cannot be read: Permission denied" in told.first["text"]
    assert "let the calling user read it" in told.first["next"]


def test_named_and_missing(bench):
    """A file that -C names, and that is not there."""
    code, name, said, step = first(bench.doctor())

    assert (78, "config.file") == (code, name)
    assert "does not exist, though -C names it" in said
    assert "ssmtpctl setup" in step


def test_none_at_all(bench):
    """A machine without a configuration, a user without HOME."""
    if os.path.exists("/etc/ssmtp/ssmtp.conf"):
        pytest.skip("this machine has a configuration")
    bench.environ["XDG_CONFIG_HOME"] = str(bench.place / "none")
    done = bench.run()

    assert 78 == done.returncode
    assert b"There is no configuration: neither " in done.stdout
    assert b"next: ssmtpctl setup" in done.stdout
