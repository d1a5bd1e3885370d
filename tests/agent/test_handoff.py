"""`sendmail` and the agent: which road a message takes, and what its caller hears."""

from __future__ import annotations

import contextlib
import json
import os
import posix
import re
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ssmtp import bs, delivery, handoff, intake
from ssmtp.agent import link
from ssmtp.agent.clerks import ALONE
from ssmtp.agent.site import Site
from ssmtp.errors import (
    AuthRefused,
    ConfigError,
    InDoubt,
    MailhubRefused,
    NetworkTrouble,
    UnknownHost,
)
from ssmtp.options import scan
from ssmtp.signals import Signals
from ssmtp.smtp.reply import Reply
from ssmtp.spool import failed
from ssmtp.spool.queue import Queue
from ssmtp.wire.channel import Channel
from tests.agent.agents import STRANGERS, Box, Peer, pretender, scripted, silent
from tests.hub import Hub, running

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root: other users")
OK = "250 2.1.0 ok\r\n"


@pytest.fixture
def hub(box: Box):
    """A mailhub that the callers' configuration knows; the road is up to the test."""
    with running(Hub()) as hub:
        box.configure(client="")
        text = box.conf.read_text().replace("127.0.0.1:1", f"127.0.0.1:{hub.port}")
        # As if it were the usual one: a configuration that is named means another road.
        usual = box.place / "home" / ".config" / "ssmtp" / "ssmtp.conf"
        usual.parent.mkdir(parents=True)
        usual.write_text(text)
        box.conf = Path()
        yield hub


def test_queued_and_silent(agent):
    """The message is in the queue when sendmail ends, with exit 0 and no word."""
    done = agent.sendmail("ann@example.net", text="Subject: first\n\nhello\n")

    assert (0, b"", b"") == (done.returncode, done.stdout, done.stderr)
    [entry] = agent.fresh()
    assert ["ann@example.net"] == [r.address for r in entry.recipients]
    assert b"Subject: first\r\n" in agent.content(entry)
    assert agent.content(entry).endswith(b"\r\n\r\nhello\r\n")
    assert (os.getuid(), "message") == (entry.uid, entry.kind)
    assert [] == agent.kept()


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (["-f", "bob@example.com", "a@b.example"], {"from": "bob@example.com"}),
        (["-f", "bob", "a@b.example"], {"from": "bob@example.org"}),
        (["-f", "", "a@b.example"], {"from": ""}),
        (["-f", "<>", "a@b.example"], {"from": ""}),
        (["-f", "Bob B <bob@example.com>", "a@b.example"], {"from": "bob@example.com"}),
        (["bob"], {"to": ["bob@example.org"]}),
        (["Bob B <b@c.example>, d@e.example"], {"to": ["b@c.example", "d@e.example"]}),
        (['"b c"@d.example'], {"to": ['"b c"@d.example']}),
        (["a@b.example", "a@b.example"], {"to": ["a@b.example"]}),
        (["-t"], {"to": ["t@dest.example", "h@dest.example"]}),
        (["-t", "more@b.example"], {"to": ["more@b.example", "t@dest.example"]}),
        (["-N", "never", "-t"], {"notify": "NEVER", "to": ["t@dest.example"]}),
        (["-N", "failure,delay", "a@b.example"], {"notify": "FAILURE,DELAY"}),
        (
            ["-R", "hdrs", "-V", "x +=y", "a@b.example"],
            {"ret": "HDRS", "envid": "x +=y"},
        ),
        (["-B", "8bitmime", "a@b.example"], {"body": "8BITMIME"}),
        (["-i", "-oi", "-odb", "-L", "a +=é", "a@b.example"], {}),
        (["jörg@example.com"], {"to": ["jörg@example.com"], "utf8": True}),
        (["jörg@example.com"], {"body": None}),
        (["-B", "8BITMIME", "jörg@example.com"], {"body": "8BITMIME"}),
    ],
)
def test_options(agent, words, facts):
    """What the command line says arrives, whichever road the message takes."""
    text = "To: t@dest.example\nBcc: h@dest.example\nSubject: s\n\nhello\n"
    done = agent.sendmail(*words, text=text)

    assert (0, b"") == (done.returncode, done.stderr)
    [entry] = agent.fresh()
    found = {
        "from": entry.reverse_path,
        "to": [r.address for r in entry.recipients],
        "notify": entry.recipients[0].notify,
        "ret": entry.ret,
        "envid": entry.envid,
        "body": entry.body,
        "utf8": entry.smtputf8,
    }
    if "-t" in words:
        found["to"] = found["to"][: len(facts.get("to", []))]
    assert facts == {name: found[name] for name in facts}
    assert b"h@dest.example" not in agent.content(entry)


def test_a_bare_name_is_no_original_recipient(agent):
    """ORCPT tells an address (RFC 3461 section 4.2), so none is told of a bare name."""
    done = agent.sendmail("-N", "success", "bob", "ann@example.net")

    assert (0, b"") == (done.returncode, done.stderr)
    [entry] = agent.fresh()
    assert [
        ("bob@example.org", None),
        ("ann@example.net", "rfc822;ann@example.net"),
    ] == [(recipient.address, recipient.orcpt) for recipient in entry.recipients]


def test_full_name(agent):
    """The name of -F arrives, whatever its letters."""
    agent.sendmail("-F", "Jörg +=x", "a@b.example", text="Subject: s\n\nx\n")

    content = agent.content(*agent.fresh())
    assert b"From: =?utf-8?b?SsO2cmcgKz14?= <" in content.replace(b"=2B", b"+")


MESSAGES = {
    "plain": b"Subject: s\n\nhello\n",
    "no header": b"just text\nand more\n",
    "empty": b"",
    "no end": b"Subject: s\n\nno newline",
    "dots": b"Subject: s\n\n.\n..\n.x\n",
    "CRLF": b"Subject: s\r\n\r\nhello\r\n",
    "stray CR": b"Subject: s\n\na\rb\n",
    "NUL": b"Subject: s\n\na\0b\n",
    "mbox": b"From bob Sat Nov 21 20:00:00 2026\nSubject: s\n\nFrom here\n",
    "8 bit": "Subject: é\n\nGrüße\n".encode(),
    "Latin-1": b"Subject: \xe9\n\n\xfc\n",
    "long line": b"Subject: s\n\n" + b"x" * 3000 + b"\n",
    "bare names": b"From: root\nTo: bob, ann\nSubject: s\n\nx\n",
    "no empty line": b"Subject: s\nthis is text\n",
    "big": b"Subject: s\n\n" + b"0123456789 " * 7 * 9000,
}


@pytest.mark.parametrize("text", MESSAGES.values(), ids=list(MESSAGES))
def test_both_roads_repair_alike(agent, text):
    """What the agent queues is what the direct road would have sent."""
    with running(Hub()) as hub:
        conf = agent.place / "direct.conf"
        line = agent.own.read_text().replace("127.0.0.1:1", f"127.0.0.1:{hub.port}")
        conf.write_text(line)
        direct = agent.sendmail("a@b.example", text=text, conf=conf)
        queued = agent.sendmail("a@b.example", text=text)

    assert (0, 0) == (direct.returncode, queued.returncode)
    content = agent.content(*agent.fresh())
    assert _timeless(hub.mails[0].data) == _timeless(content)


def _timeless(content: bytes) -> bytes:
    return re.sub(rb"(?m)^(Date|Message-ID|Received):.*\r\n", b"", content)


@pytest.mark.parametrize(
    ("words", "text", "code"),
    [
        (["a@b@c"], "x\n", 65),
        (["-f", "a@b@c", "d@e.example"], "x\n", 65),
        (["a@b.example"], "X: a\0b\n\nx\n", 65),
        (["-t"], "Subject: nobody\n\nx\n", 64),
        (["-t"], "To: a@b@c\n\nx\n", 65),
        ([], "x\n", 64),
    ],
)
def test_refusals(agent, words, text, code):
    """What cannot be sent has the exit code and the sentence of the direct road."""
    direct = agent.place / "direct.conf"
    direct.write_text(agent.own.read_text())
    done = agent.sendmail(*words, text=text)
    other = agent.sendmail(*words, text=text, conf=direct)

    assert (code, code) == (done.returncode, other.returncode)
    assert other.stderr.partition(b" [")[0] == done.stderr.partition(b" [")[0]
    assert [] == agent.fresh()


def test_more_recipients_than_an_agent_takes(agent):
    """What no time can cure is not to be tried again later (65)."""
    done = agent.sendmail(*(f"u{number}@b.example" for number in range(10_001)))

    assert 65 == done.returncode
    assert b"there are more than 10000 recipients; send the message in" in done.stderr
    assert [] == agent.fresh()


# Which road


def test_direct_without_a_socket(box, hub):
    """Where there is no agent, mail goes straight to the mailhub."""
    done = box.sendmail("a@b.example")

    assert (0, b"") == (done.returncode, done.stderr)
    assert 1 == len(hub.mails)


def test_direct_when_the_agent_is_dead(box, hub):
    """A socket that nobody listens at is as good as none."""
    with pretender(box.socket, silent):
        pass
    box.start()
    assert box.process is not None
    box.process.kill()
    box.process.wait()
    box.process = None
    done = box.sendmail("a@b.example")

    assert (0, b"") == (done.returncode, done.stderr)
    assert 1 == len(hub.mails)


@pytest.mark.slow
def test_direct_when_the_agent_is_silent(box, hub):
    """Nobody waits long for an agent that does not greet."""
    with pretender(box.socket, silent):
        done = box.sendmail("a@b.example", "-v")

    assert 0 == done.returncode
    assert b"took longer than 2 s" in done.stderr
    assert 1 == len(hub.mails)


@pytest.mark.parametrize(
    "act",
    [
        lambda peer: None,
        lambda peer: peer.socket.sendall(b"421 4.3.2 later\r\n"),
        lambda peer: peer.socket.sendall(b"554 5.3.2 no service\r\n"),
        lambda peer: peer.socket.sendall(b"SSH-2.0\r\n"),
        lambda peer: (peer.socket.sendall(b"220 x\r\n"), peer.stream.readline()),
        lambda peer: (
            peer.socket.sendall(b"220 x\r\n"),
            peer.stream.readline(),
            peer.socket.sendall(b"250-x\r\n250 PIPELINING\r\n"),
            peer.stream.readline(),
        ),
    ],
    ids=["hangs up", "421", "554", "another protocol", "no EHLO", "another server"],
)
def test_direct_before_anything_is_handed_over(box, hub, act):
    """Whatever goes wrong before MAIL, the message takes the other road."""
    with pretender(box.socket, act):
        done = box.sendmail("a@b.example")

    assert (0, b"") == (done.returncode, done.stderr)
    assert 1 == len(hub.mails)


@pytest.mark.parametrize(
    "replies",
    [["421 4.3.2 going"], ["250 ok", "421 4.3.2 going"]],
    ids=["MAIL", "RCPT"],
)
def test_direct_when_the_agent_ends_before_it_has_taken_anything(box, hub, replies):
    """Of an agent that ends at MAIL or RCPT the message is taken the other road."""
    with pretender(box.socket, scripted(*(f"{reply}\r\n" for reply in replies), "")):
        done = box.sendmail("a@b.example")

    assert (0, b"") == (done.returncode, done.stderr)
    assert ([], 1) == (box.kept(), len(hub.mails))


def test_agent_when_it_is_there(box, hub):
    """Where an agent listens, mail goes to it and not to the mailhub."""
    box.start()
    done = box.sendmail("a@b.example")

    assert (0, b"") == (done.returncode, done.stderr)
    assert ([], 1) == (hub.mails, len(box.entries()))


@pytest.mark.parametrize(
    ("words", "env"),
    [(["-au", "me"], {}), (["-am", "PLAIN"], {}), ([], {"SSMTP_CONF": "direct.conf"})],
)
def test_direct_when_another_account_is_named(box, hub, words, env):
    """Credentials or a configuration of the caller's are not for the agent."""
    box.start()
    other = box.place / "direct.conf"
    text = box.own.read_text().replace("127.0.0.1:1", f"127.0.0.1:{hub.port}")
    other.write_text(text)
    env = {name: str(box.place / value) for name, value in env.items()}
    box.sendmail(*words, "a@b.example", **env)

    assert [] == box.entries()


def test_delivery_direct(box, hub):
    """Delivery=direct leaves the agent alone."""
    box.start()
    usual = box.place / "home/.config/ssmtp/ssmtp.conf"
    usual.write_text(usual.read_text() + "delivery = Direct # now\n")
    done = box.sendmail("a@b.example")

    assert 0 == done.returncode
    assert (1, []) == (len(hub.mails), box.entries())


def test_delivery_that_cannot_be_meant(box, hub):
    """Which road is meant is not guessed: a misspelt one is an error (78)."""
    box.start()
    usual = box.place / "home/.config/ssmtp/ssmtp.conf"
    usual.write_text(usual.read_text() + "Delivery=dircet\n")
    done = box.sendmail("a@b.example")

    assert 78 == done.returncode
    assert b"Delivery" in done.stderr
    assert ([], [], 1) == (hub.mails, box.entries(), len(box.kept()))


def test_delivery_agent_never_goes_direct(box, hub):
    """Delivery=agent: without an agent the message is kept, and exit 75 says so."""
    usual = box.place / "home/.config/ssmtp/ssmtp.conf"
    usual.write_text(usual.read_text() + "Delivery=agent\n")
    absent = box.sendmail("a@b.example")
    with pretender(box.socket, lambda peer: None):
        dumb = box.sendmail("a@b.example")

    assert (75, 75) == (absent.returncode, dumb.returncode)
    assert b"cannot be reached: No such file or directory" in absent.stderr
    assert 2 == len(box.kept())
    assert [] == hub.mails


@pytest.mark.parametrize(
    ("line", "ends"),
    [("Delivery=agent\u00a0", "\n"), ("\f\u00a0Delivery\v=agent", "\n"), ("", "\r")],
    ids=["a blank of the web", "other blanks", "lines of an old Mac"],
)
def test_delivery_agent_however_it_is_written(box, hub, line, ends):
    """What the parser takes for Delivery=agent never leads straight to the mailhub."""
    usual = box.place / "home/.config/ssmtp/ssmtp.conf"
    text = f"{usual.read_text()}{line or 'Delivery=agent'}\n".replace("\n", ends)
    usual.write_bytes(text.encode())
    done = box.sendmail("a@b.example")

    assert 75 == done.returncode
    assert ([], 1) == (hub.mails, len(box.kept()))


@pytest.mark.parametrize(
    ("conf", "place"),
    [
        (lambda box: box.conf, "~/run/submit.sock"),
        (lambda box: os.path.relpath(box.conf, "/"), "run/submit.sock"),
    ],
    ids=["home", "a configuration that was named from here"],
)
def test_agent_socket_as_the_agent_reads_it(box, conf, place):
    """Where AgentSocket leads does not depend on who reads it, nor from where."""
    box.start()
    box.conf.write_text(f"{box.own.read_text()}AgentSocket={place}\nDelivery=agent\n")
    done = box.sendmail("a@b.example", conf=conf(box), HOME=str(box.place))

    assert (0, b"") == (done.returncode, done.stderr)
    assert 1 == len(box.entries())


def test_an_agent_that_is_dead_does_not_hide_the_next(box, tmp_path, monkeypatch):
    """Behind a socket of one's own that nobody listens at there is the system's."""
    with socket.socket(socket.AF_UNIX) as dead:
        (tmp_path / "ssmtp").mkdir()
        dead.bind(str(tmp_path / "ssmtp/submit.sock"))
    box.start()
    monkeypatch.setattr(handoff, "SYSTEM_SOCKET", str(box.socket))
    box.conf.write_text(f"{box.own.read_text()}Delivery=agent\n")
    environ = {
        "SSMTP_CONF": str(box.conf),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "XDG_STATE_HOME": str(box.state),
    }
    request = delivery.Request(scan("sendmail", ["a@b.example"]), None, environ, [])
    taken = intake.from_blocks(b"", [b"Subject: x\n\nhello\n"])
    receipt = delivery.deliver(request, taken)

    [entry] = box.entries()
    assert entry.id == receipt.queue_id


@pytest.mark.parametrize(
    "full",
    [
        lambda peer: peer.socket.sendall(b"421 4.7.0 uid 0 has 20 connections\r\n"),
        scripted("421 4.3.2 the agent is being restarted\r\n", ""),
    ],
    ids=["full", "being restarted"],
)
def test_delivery_agent_waits_for_its_turn(box, full):
    """Without another road, an agent that takes nobody just now is asked again."""
    acts = [full, full, scripted(*[OK] * 2, "250 2.0.0 queued as X\r\n")]

    def act(peer: Peer) -> None:
        acts.pop(0)(peer)

    with pretender(box.socket, act):
        done = box.sendmail("a@b.example")

    assert (0, b"") == (done.returncode, done.stderr)
    assert ([], []) == (acts, box.kept())


def test_who_cannot_read_the_configuration_waits_for_his_turn(box, monkeypatch):
    """Who has no other road to take asks a full agent again, too."""
    monkeypatch.setattr(handoff, "SYSTEM_SOCKET", str(box.socket))
    monkeypatch.setattr("ssmtp.configfile.SYSTEM_FILE", str(box.place))  # no file
    environ = {"HOME": str(box.place), "XDG_STATE_HOME": str(box.state)}
    request = delivery.Request(scan("sendmail", ["a@b.example"]), None, environ, [])
    taken = intake.from_blocks(b"", [b"Subject: x\n\nhello\n"])
    acts = [
        lambda peer: peer.socket.sendall(b"421 4.7.0 uid 0 has 20 connections\r\n"),
        scripted(*[OK] * 2, "250 2.0.0 queued as X\r\n"),
    ]

    def act(peer: Peer) -> None:
        acts.pop(0)(peer)

    with pretender(box.socket, act):
        receipt = delivery.deliver(request, taken)

    assert ([], []) == (acts, box.kept())
    assert str(box.socket) in receipt.hub


def test_no_agent_to_be_found(box, monkeypatch):
    """Where an agent is wanted and none is there, what is to be done is a command."""
    monkeypatch.setattr(handoff, "SYSTEM_SOCKET", str(box.socket))
    box.conf.write_text("mailhub=127.0.0.1:1\nDelivery=agent\n")
    wanted = scan("sendmail", ["ann@example.net"])
    request = delivery.Request(wanted, None, {"SSMTP_CONF": str(box.conf)}, [])
    with pytest.raises(handoff.Unreachable) as failure:
        handoff.road(request)

    assert (
        f"there is no agent at {box.socket}; "
        "start it (ssmtpctl agent run), or set Delivery=auto"
    ) == failure.value.sentence()


@needs_root
def test_unreadable_configuration(box):
    """Who may not read the configuration can send through the agent, and only so."""
    box.configure("AuthUser=me", "AuthPass=secret-9")
    box.own.chmod(0o600)
    box.start()
    line = f"AgentSocket={box.socket}\n"
    usual = box.place / "home/.config/ssmtp/ssmtp.conf"
    usual.parent.mkdir(parents=True)
    usual.write_text(line)
    first = box.sendmail("a@b.example", uid=STRANGERS[0], conf=Path())
    box.stop()
    second = box.sendmail("a@b.example", uid=STRANGERS[0], conf=Path())

    assert [STRANGERS[0]] == [entry.uid for entry in box.entries()]
    assert ["uid64001"] == [entry.login for entry in box.entries()]
    assert (0, b"") == (first.returncode, first.stderr)
    assert 75 == second.returncode
    assert b"this user cannot send without it" in second.stderr
    assert 1 == len(box.kept())


def test_own_configuration_is_not_for_the_systems_agent(box, monkeypatch):
    """Whoever wrote down a mailhub does not use the system's by accident."""
    box.start()
    monkeypatch.setattr(handoff, "SYSTEM_SOCKET", str(box.socket))
    own = box.place / "home/.config/ssmtp/ssmtp.conf"
    own.parent.mkdir(parents=True)
    environ = {"HOME": str(box.place / "home")}
    request = delivery.Request(scan("sendmail", ["a@b"]), None, environ, [])
    monkeypatch.setattr("ssmtp.configfile.SYSTEM_FILE", str(box.place / "none"))
    usual = handoff.road(request)
    own.write_text("mailhub=mine.example\n")
    with_own = handoff.road(request)
    own.write_text("mailhub=mine.example\nDelivery=agent\n")
    asked = handoff.road(request)

    assert usual is not None
    assert (str(box.socket), False) == (usual.path, usual.only)
    assert with_own is None
    assert asked is not None
    assert asked.only


def test_own_agent_comes_first(tmp_path, monkeypatch):
    """The runtime directory counts when it is the caller's own."""
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    mine = handoff.sockets(environ)
    monkeypatch.setattr(posix, "getuid", lambda: STRANGERS[0])
    others = handoff.sockets(environ)

    assert [f"{tmp_path}/ssmtp/submit.sock", handoff.SYSTEM_SOCKET] == mine
    assert [handoff.SYSTEM_SOCKET] == others
    assert [handoff.SYSTEM_SOCKET] == handoff.sockets({"XDG_RUNTIME_DIR": "here"})


# After the message was handed over


def test_in_doubt(box, hub):
    """An agent that took the message and said nothing may have it: no other road."""
    with pretender(box.socket, scripted(OK, OK, "")):
        done = box.sendmail("a@b.example")

    assert 75 == done.returncode
    assert b"in doubt" in done.stderr
    assert [] == hub.mails
    assert [b"in-doubt"] == [
        path.read_bytes().partition(b"\nstate: ")[2].split()[0] for path in box.kept()
    ]


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("554 5.5.4 nobody to send to", 64),
        ("554 5.6.0 that cannot be sent", 65),
        ("550 5.1.1 no such", 67),
        ("554 5.0.0 no", 69),
        ("552 5.3.4 too big", 65),
        ("454 4.7.0 you may not", 77),
        ("451 4.3.5 line 3 is wrong", 78),
        ("452 4.3.1 the disk is full", 75),
        ("450 4.7.1 too fast", 75),
        ("421 4.3.2 going", 75),
    ],
)
def test_exit_codes(box, hub, reply, code):
    """What the agent refuses has the exit code that the direct road would have."""
    with pretender(box.socket, scripted(OK, OK, f"{reply}\r\n")):
        done = box.sendmail("a@b.example")

    assert code == done.returncode
    assert reply.split(" ", 2)[2].encode() in done.stderr
    assert ([], 1) == (hub.mails, len(box.kept()))


@pytest.mark.parametrize("given", ["a@b@c", "Jörg <", "two words"])
def test_sender_that_is_no_address_where_nobody_asks(box, given):
    """Without FromLineOverride any -f will do, as on the direct road."""
    box.configure("FromLineOverride=no")
    box.start()
    with running(Hub()) as hub:
        conf = box.place / "direct.conf"
        line = box.own.read_text().replace("127.0.0.1:1", f"127.0.0.1:{hub.port}")
        conf.write_text(line)
        direct = box.sendmail("-f", given, "a@b.example", conf=conf)
    queued = box.sendmail("-f", given, "a@b.example")

    assert (0, b"") == (direct.returncode, direct.stderr)
    assert (0, b"") == (queued.returncode, queued.stderr)
    [entry] = box.entries()
    assert hub.mails[0].sender == entry.reverse_path


def test_next_step_is_told_once(box):
    """What the agent has said of the next step is not said again."""
    box.configure("MaxQueuedMessages=1")
    box.start()
    box.sendmail("a@b.example")
    done = box.sendmail("a@b.example")
    said = done.stderr.partition(b" [kept")[0]

    assert 75 == done.returncode
    assert said.endswith(b"and that is all (MaxQueuedMessages); try again later")


def test_every_exit_code_has_its_reply():
    """What -bs says of a failure, the hand-off understands."""
    from ssmtp.smtp import exits
    from ssmtp.smtp.reply import Reply

    for code, (number, status) in exits.REPLIES.items():
        kind = exits.kind(Reply(number, [f"{status} words"]))

        assert code == kind.exit_code


def test_kept_message_goes_to_the_agent_later(box, hub):
    """What was kept because the agent was away goes to it, when it is back."""
    usual = box.place / "home/.config/ssmtp/ssmtp.conf"
    usual.write_text(usual.read_text() + "Delivery=agent\n")
    away = box.sendmail("a@b.example", "-f", "me@example.org")
    box.start()
    again = box.sendmail("-q")

    assert (75, 0) == (away.returncode, again.returncode)
    assert ["me@example.org"] == [entry.reverse_path for entry in box.entries()]
    assert ([], []) == (hub.mails, box.kept())


def test_what_failed_on_the_direct_road_goes_to_the_agent_later(box, hub):
    """What the mailhub did not take waits in the agent's queue from now on."""
    hub.replies["MAIL"] = "451 4.3.0 later"
    first = box.sendmail("a@b.example", "-f", "me@example.org", "-N", "delay")
    box.start()
    again = box.sendmail("-q")
    [entry] = box.entries()

    assert (75, 0) == (first.returncode, again.returncode)
    assert "me@example.org" == entry.reverse_path
    wishes = [(r.address, r.notify) for r in entry.recipients]
    assert [("a@b.example", "DELAY")] == wishes
    assert ([], []) == (hub.mails, box.kept())


def test_kept_message_waits_for_the_agent_again(box, hub):
    """Who cannot do without the agent hears that (75), whenever he tries."""
    usual = box.place / "home/.config/ssmtp/ssmtp.conf"
    usual.write_text(f"{usual.read_text()}AuthUser=me\nAuthPassFile=/no/password\n")
    first = box.sendmail("a@b.example")
    again = box.sendmail("-q")

    assert (75, 75) == (first.returncode, again.returncode)
    assert b"this user cannot send without it" in again.stderr
    assert 1 == len(box.kept())


def test_what_was_to_be_waited_for_goes_to_the_agent_once(box):
    """Whoever sends a kept message again waits for no mailhub: it is in the queue."""
    away = box.sendmail("--wait", "a@b.example")
    box.start()
    again = [box.sendmail("-q").returncode for _ in range(2)]

    assert (75, [0, 0]) == (away.returncode, again)
    assert ([], 1) == (box.kept(), len(box.entries()))


@pytest.mark.parametrize("agent", [True, False], ids=["agent", "direct"])
def test_signal_when_the_message_was_taken(box, hub, monkeypatch, agent):
    """Once the other end has said that it has the message, no signal denies it."""
    if agent:
        box.start()
    original = Channel.close

    def close(channel: Channel) -> None:
        original(channel)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Channel, "close", close)
    environ = {"HOME": str(box.place / "home"), "XDG_STATE_HOME": str(box.state)}
    signals = Signals()
    request = delivery.Request(
        scan("sendmail", ["a@b.example"]), None, environ, [], settle=signals.hold
    )
    taken = intake.from_blocks(b"", [b"Subject: x\n\nhello\n"])
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        with signals:
            delivery.deliver(request, taken)
    finally:
        signal.signal(signal.SIGTERM, before)

    assert [signal.SIGTERM] == came
    assert ([], 1) == (box.kept(), len(hub.mails) + len(box.entries() if agent else []))


# Other ways in


@pytest.mark.parametrize(
    ("road", "words", "replies", "states"),
    [
        ("agent", ["--wait"], [OK, OK, "451 4.3.0 queued as X; no\r\n"], []),
        ("agent", [], [OK, OK], ["in-doubt"]),
        ("direct", [], [OK, OK], ["in-doubt"]),
    ],
    ids=["waited", "in doubt", "direct"],
)
def test_signal_when_it_may_have_been_taken(
    box, monkeypatch, road, words, replies, states
):
    """A signal that comes too late does not have a message sent once more."""
    box.conf.write_text(
        f"Delivery={road}\nAgentSocket={box.socket}\nMailhub=unix:{box.socket}\n"
    )
    original = Channel.close

    def close(channel: Channel) -> None:
        original(channel)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Channel, "close", close)
    environ = {"SSMTP_CONF": str(box.conf), "XDG_STATE_HOME": str(box.state)}
    options = scan("sendmail", [*words, "a@b.example"])
    taken = intake.from_blocks(b"", [b"Subject: x\n\nhello\n"])
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    signals = Signals()
    request = delivery.Request(options, None, environ, [], settle=signals.hold)
    try:
        with (
            pretender(box.socket, scripted(*replies)),
            signals,
            pytest.raises((handoff.Queued, InDoubt)),
        ):
            delivery.deliver(request, taken)
    finally:
        signal.signal(signal.SIGTERM, before)

    assert states == [entry.state for entry in failed.entries(environ)]


@pytest.mark.parametrize(
    ("verdict", "reply"),
    [
        ((451, "4.3.0", "greylisted"), "250 2.0.0 Ok: queued as {id}; "),
        ((550, "5.1.1", "no such user"), "550 5.1.1 queued as {id}; "),
    ],
    ids=["not now", "never"],
)
def test_bs_that_waits(box, verdict, reply):
    """A program that speaks SMTP is not told to bring again what is in the queue."""
    box.start()
    ear = link.Ear(str(box.socket.parent / "sender.sock"))
    assert ear.words(5)

    def sender() -> None:
        for word in ear.words(20):
            ear.done(word["new"], *verdict)
            ear.say()

    thread = threading.Thread(target=sender)
    thread.start()
    session = (
        "EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<bs@d.example>\r\n"
        "DATA\r\nSubject: s\r\n\r\nx\r\n.\r\nQUIT\r\n"
    )
    done = box.sendmail("-bs", "--wait", text=session)
    thread.join()
    ear.close()

    [entry] = box.entries()
    assert reply.format(id=entry.id) in done.stdout.decode()
    assert [] == box.kept()


def test_bs(agent):
    """A session on standard input hands its messages over, too."""
    session = (
        "EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<bs@d.example>\r\n"
        "DATA\r\nSubject: s\r\n\r\nx\r\n.\r\nQUIT\r\n"
    )
    done = agent.sendmail("-bs", text=session)

    [entry] = agent.fresh()
    assert ["bs@d.example"] == [r.address for r in entry.recipients]
    assert f"queued as {entry.id}".encode() in done.stdout


def test_verbose(agent):
    """-v shows the dialogue with the agent, and under which name it is queued."""
    done = agent.sendmail("-v", "v@d.example")

    assert b"[->] RCPT TO:<v@d.example>" in done.stderr
    assert agent.fresh()[0].id.encode() in done.stderr


def test_mailq(agent):
    """mailq lists what the agent has."""
    agent.sendmail("listed@d.example")
    done = agent.sendmail("-bp")

    assert agent.fresh()[0].id.encode() in done.stdout
    assert b"listed@d.example" in done.stdout
    assert (0, b"") == (done.returncode, done.stderr)


def test_mailq_without_an_answer(box):
    """mailq says when the agent cannot be asked, and not that its queue is empty."""
    with pretender(box.socket, lambda peer: None):
        done = box.sendmail("-bp")

    assert 75 == done.returncode
    assert b"hung up" in done.stderr
    assert b"" == done.stdout


# --wait


@pytest.mark.parametrize(
    ("verdict", "code", "words"),
    [
        ((250, "2.0.0", "Ok: queued as 4F2A1"), 0, b""),
        ((550, "5.1.1", "no such user"), 67, b"no such user"),
        ((554, "5.7.1", "spam"), 69, b"spam"),
        ((451, "4.3.0", "greylisted"), 75, b"; the agent will try again\n"),
        ((451, "4.0.0", "X is held (HoldInDoubt)"), 75, b"held (HoldInDoubt)\n"),
    ],
)
def test_wait(box, verdict, code, words):
    """--wait ends with the mailhub's verdict; what is queued is kept only there."""
    box.start()
    ear = link.Ear(str(box.socket.parent / "sender.sock"))
    assert [{"flush": None, "rescan": True}] == ear.words(5)

    def sender() -> None:
        for word in ear.words(20):
            ear.done(word["new"], *verdict)
            ear.say()

    thread = threading.Thread(target=sender)
    thread.start()
    done = box.sendmail("--wait", "a@b.example")
    thread.join()
    ear.close()

    assert code == done.returncode
    assert words in done.stderr
    assert ([], 1) == (box.kept(), len(box.entries()))
    if code:
        assert f"queued as {box.entries()[0].id}".encode() in done.stderr


@pytest.mark.parametrize("others", [0, ALONE])
def test_wait_for_an_agent_that_ends(box, others):
    """Who waits, at any process, hears that the agent is restarted; it is queued."""
    box.start()
    peers = [Peer(box.socket).greet() for _ in range(others)]
    ear = link.Ear(str(box.socket.parent / "sender.sock"))
    assert ear.words(5)

    def sender() -> None:
        assert ear.words(20)
        box.stop()

    thread = threading.Thread(target=sender)
    thread.start()
    done = box.sendmail("--wait", "a@b.example")
    thread.join()
    ear.close()
    for peer in peers:
        peer.close()

    assert 75 == done.returncode
    assert b"the agent is being restarted" in done.stderr
    assert ([], 1) == (box.kept(), len(box.entries()))


@pytest.mark.parametrize("others", [0, ALONE])
def test_wait_without_descriptors(box, others):
    """Who waits, at any process, hears of the agent's trouble that it is queued."""
    box.start()
    assert box.process is not None
    first = box.process.pid
    peers = [Peer(box.socket).greet() for _ in range(others)]
    ear = link.Ear(str(box.socket.parent / "sender.sock"))
    assert ear.words(5)

    def sender() -> None:
        assert ear.words(20)
        resource.prlimit(first, resource.RLIMIT_NOFILE, (3, 1024))

    thread = threading.Thread(target=sender)
    thread.start()
    done = box.sendmail("--wait", "a@b.example")
    thread.join()
    resource.prlimit(first, resource.RLIMIT_NOFILE, (1024, 1024))
    ear.close()
    for peer in peers:
        peer.close()

    assert 75 == done.returncode
    assert f"queued as {box.entries()[0].id}".encode() in done.stderr
    assert b"Too many open files" in done.stderr
    assert ([], 1) == (box.kept(), len(box.entries()))


@contextlib.contextmanager
def meanwhile(box: Box, act: Callable[[Queue, str], object]) -> Iterator[None]:
    """Be a sender that says nothing; act on the queue once a message has come."""
    ear = link.Ear(str(box.socket.parent / "sender.sock"))
    assert ear.words(5)

    def sender() -> None:
        [word] = ear.words(20)
        queue = box.queue()
        act(queue, word["new"])
        queue.close()

    thread = threading.Thread(target=sender)
    thread.start()
    yield
    thread.join()
    ear.close()


@pytest.mark.slow
@pytest.mark.parametrize(("failed", "code"), [(True, 69), (False, 75)])
def test_wait_for_a_word_that_is_lost(box, failed, code):
    """A message that is gone was not sent, as long as nobody says so."""
    box.start()

    def end(queue: Queue, name: str) -> None:
        claim = queue.claim(name)
        assert claim is not None
        if failed:
            claim.to_failed("no such user")
        else:
            claim.done()

    with meanwhile(box, end):
        done = box.sendmail("--wait", "a@b.example")

    assert code == done.returncode
    assert b"try again" not in done.stderr


@pytest.mark.slow
def test_wait_for_what_somebody_holds(box):
    """Who waits for a message that is held hears so, and who is to end that."""
    box.start()
    with meanwhile(box, lambda queue, name: queue.hold(name)):
        done = box.sendmail("--wait", "a@b.example")

    [entry] = box.entries()
    assert 75 == done.returncode
    assert done.stderr.endswith(f"queue release {entry.id}` sends it\n".encode())
    assert [] == box.kept()


@pytest.mark.parametrize(
    "failure",
    [
        AuthRefused("no!", reply=Reply(535, ["5.7.8 no"])),
        ConfigError("no!"),
        UnknownHost("no!"),
        MailhubRefused("no!", reply=Reply(554, ["5.7.1 go away"])),
        NetworkTrouble("no!"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_wait_while_the_mailhub_is_in_trouble(box, failure):
    """Who waits hears why nothing is tried now, with the exit code of the direct way.

    Whatever it is, the message is queued.
    """
    box.start()
    ear = link.Ear(str(box.socket.parent / "sender.sock"))
    assert ear.words(5)
    site = Site(())
    site.failed(0.0, failure, 0.5)

    def sender() -> None:
        assert ear.words(20)
        trouble = site.record(0.0, time.time())
        status = {"time": int(time.time()) + 1, "sites": [trouble]}
        (box.spool / "site.json").write_text(json.dumps(status))

    thread = threading.Thread(target=sender)
    thread.start()
    done = box.sendmail("--wait", "a@b.example")
    thread.join()
    ear.close()

    assert failure.exit_code == done.returncode
    assert b"no!" in done.stderr
    assert b"the agent will try again" in done.stderr
    assert ([], 1) == (box.kept(), len(box.entries()))


@pytest.mark.parametrize("words", [["a@b.example"], ["--wait", "a@b.example"]])
def test_wait_is_an_option_like_any(words):
    """--wait may stand anywhere before the recipients."""
    options = scan("sendmail", words)

    assert ("--wait" in words, ["a@b.example"]) == (options.wait, options.recipients)
    assert "send" == options.mode
    assert bs.arguments(options)[-1] == "a@b.example"
