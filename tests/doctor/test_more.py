"""More that can be broken, each with the line of the doctor that names it."""

from __future__ import annotations

import socket

import pytest

from tests.agent import agents
from tests.doctor.conftest import ME, PASSWORD, USER, needs_root
from tests.hub import Hub, running

LOGIN = (f"AuthUser={USER}", f"AuthPass={PASSWORD}")


@pytest.fixture
def first(bench, hub):
    """Return a function that breaks a configuration, and what fails first."""

    def examine(*lines, port=0, words=()):
        bench.configure(f"mailhub=127.0.0.1:{port or hub.port}", *lines)
        told = bench.doctor(*words)
        finding = told.first
        return told.code, finding["id"], finding["text"] + " | " + finding["next"]

    return examine


@pytest.mark.parametrize(
    ("lines", "code", "name", "words"),
    [
        (["UseTLS=yes", "TLS_CA_File=/no/such.pem"], 78, "tls.files", "/no/such.pem"),
        (["UseTLSCert=yes", "TLSCert=/no.pem"], 78, "tls.files", "TLSCert=/no.pem"),
        (["SourceAddress=192.0.2.1"], 75, "tcp.closed", "SourceAddress=192.0.2.1"),
        (["SourceAddress=::1"], 75, "dns.name", "kind of SourceAddress"),
        (["Delivery=agent", "AgentSocket=/no/s"], 75, "agent.acceptor", "/no/s"),
        (["mailhub=smtp://127.0.0.1"], 78, "config.line", "line 5"),
        (["mailhub=127.0.0.1:58x"], 78, "config.line", "line 5"),
        (["UseSTARTTLS"], 78, "config.line", "write UseSTARTTLS=value"),
        (["AuthMethod=PLIAN", *LOGIN], 78, "config.line", "AuthMethod is one of"),
        (["root=me@@corp.test"], 78, "people.root", "Root in "),
        ([f"AuthUser={USER}"], 77, "auth.settings", "there is no password"),
        ([f"AuthUser={USER}", "AuthPass="], 77, "auth.settings", "line 6 is blank"),
        (["Proxy=socks5://127.0.0.1:1"], 75, "tcp.closed", "the proxy"),
    ],
)
def test_configurations(first, lines, code, name, words):
    """What the configuration says cannot be done."""
    found = first(*lines)

    assert (code, name) == found[:2]
    assert words in found[2]


def test_no_socket_of_an_agent(bench, hub):
    """Delivery=agent on a machine without one."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", "Delivery=agent")
    bench.environ["XDG_RUNTIME_DIR"] = str(bench.place)
    told = bench.doctor()

    assert (75, "road") == (told.code, told.first["id"])
    assert "There is no agent at " in told.first["text"]
    assert "ssmtpctl agent" in told.first["next"]


@pytest.mark.parametrize(
    ("replies", "words", "code", "name"),
    [
        ({"MAIL": "530 5.7.0 Must issue STARTTLS first"}, (), 77, "tls.wanted"),
        ({"RCPT": "554 5.7.1 Relay access denied"}, (), 67, "smtp.relay"),
        ({"RCPT": "550 5.1.1 nobody"}, ("ann@example.org",), 67, "smtp.recipient"),
        ({"RCPT": "450 4.2.0 greylisted"}, (), 75, "smtp.recipient"),
        ({"MAIL": "451 4.3.0 not now"}, (), 75, "smtp.sender"),
        ({"MAIL": "554 Message rejected: Email address is not verified."}, (), 69,
         "smtp.sender"),
        ({"GREETING": "close"}, (), 75, "smtp.greeting"),
        ({"EHLO": "close"}, (), 75, "smtp.hello"),
        ({"EHLO": "hang"}, (), 75, "smtp.hello"),
        ({"MAIL": "hang"}, (), 75, "smtp.sender"),
        ({"RCPT": "close"}, (), 75, "smtp.recipient"),
    ],
)  # fmt: skip
def test_replies(first, replies, words, code, name):
    """What a mailhub may say instead of yes."""
    [said] = replies.values()
    patience = "CommandTimeout=1" if said == "hang" else "CommandTimeout=2"
    with running(Hub(replies=replies)) as hub:
        found = first(patience, port=hub.port, words=words)

    assert (code, name) == found[:2]
    assert said in found[2] or said in ("close", "hang")


def test_mail_for_root_is_refused(bench):
    """Nobody asked about an address: that root has none is a warning."""
    with running(Hub(replies={"RCPT": "550 5.1.1 nobody"})) as hub:
        bench.configure(f"mailhub=127.0.0.1:{hub.port}")
        told = bench.doctor()

    assert 0 == told.code
    assert "warning" == told.one("smtp.recipient")["state"]
    assert "set Root" in told.one("smtp.recipient")["next"]


@pytest.mark.parametrize("reply", ["454 4.7.0 Temporary authentication failure"])
def test_login_later(first, reply):
    """A login that is refused for now."""
    with running(Hub(users={USER: PASSWORD}, replies={"AUTH": reply})) as hub:
        found = first(*LOGIN, port=hub.port)

    assert (75, "auth.later") == found[:2]
    assert reply in found[2]


def test_wrong_fingerprint(first, secure):
    """Another certificate than the one that was pinned."""
    hub = secure()
    found = first(f"TLSFingerprint={'0' * 64}", "UseTLS=yes", *LOGIN, port=hub.port)

    assert (75, "tls.fingerprint") == found[:2]
    assert "is not the one that TLSFingerprint names" in found[2]


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_client_certificate_wanted(first, secure, certificates, tls):
    """A mailhub that wants to see a certificate."""
    hub = secure("asks-certificate", tls)
    key = "UseTLS=yes" if tls == "implicit" else "UseSTARTTLS=yes"
    ca = f"TLS_CA_File={certificates.text('authority')}"
    found = first(key, ca, *LOGIN, port=hub.port)

    assert 75 == found[0]
    assert "set UseTLSCert and TLSCert" in found[2]


def test_utf16(bench):
    """A file saved in the wrong encoding is one mistake, not one for each line."""
    bench.conf.write_bytes("mailhub=x\nroot=y\n".encode("utf-16"))
    bench.conf.chmod(0o600)
    told = bench.doctor()

    assert ["config.line"] == told.states("error")
    assert "UTF-16" in told.first["text"]


def test_password_that_ends_at_a_comment(bench, secure, certificates):
    """A # that was meant as part of the password."""
    hub = secure(users={USER: "pass word#=:1 #2"})
    bench.configure(
        f"mailhub=127.0.0.1:{hub.port}",
        *("UseTLS=yes", f"TLS_CA_File={certificates.text('authority')}"),
        *(f"AuthUser={USER}", "AuthPass=pass word#=:1 #2"),
    )
    told = bench.doctor()

    assert "trap.comment" == told.states("warning")[0]
    assert "In line 8 a # behind a blank" in told.one("trap.comment")["text"]
    assert "auth.login" == told.first["id"]


def test_mail_for_itself(bench, hub):
    """An agent that would send to its own door."""
    bench.configure(
        f"mailhub=127.0.0.1:{hub.port}",
        *(f"ListenLoopback=127.0.0.1:{hub.port}", "ListenIdentity=root"),
    )
    told = bench.doctor()

    assert (78, "trap.loop") == (told.code, told.first["id"])


def test_mailhub_of_revaliases(bench, hub):
    """Another mailhub in revaliases is told of, before it is tried."""
    bench.configure("mailhub=127.0.0.1:1")
    line = f"{ME}:me@corp.test:127.0.0.1:{hub.port}\n"
    bench.conf.with_name("revaliases").write_text(line)
    told = bench.doctor()

    assert 0 == told.code
    assert f"127.0.0.1:{hub.port}, by " in told.one("people.mailhub")["text"]


@needs_root
def test_somebody_without_a_name(square, hub):
    """A uid that no passwd file knows, without HOME, can ask, too."""
    square.configure(f"mailhub=127.0.0.1:{hub.port}", mode=0o644)
    told = square.doctor(uid=64123)

    assert 0 == told.code
    assert "uid64123@box.corp.test" == told.one("people.sender")["facts"]["address"]


def test_no_configuration_but_an_agent(bench):
    """Who has no configuration has the agent's."""
    with agents.box() as box:
        box.start()
        bench.environ["XDG_RUNTIME_DIR"] = str(box.place)
        bench.environ["XDG_CONFIG_HOME"] = str(box.place / "none")
        (box.place / "ssmtp").symlink_to(box.socket.parent)
        text = bench.run().stdout.decode()
        box.stop()

    assert (
        "  note     You have no configuration; your mail goes to the agent.\n" in text
    )
    assert "skipped  The mailhub was not asked: only the agent knows" in text
    assert "The sender of the agent does not run" in text


def test_silent_after_connect(first):
    """A port that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = first(
            "CommandTimeout=0.3", "ConnectTimeout=1", port=listener.getsockname()[1]
        )

    assert (75, "smtp.greeting") == found[:2]
