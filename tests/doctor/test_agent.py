"""The agent: which half is down, what waits, how much room there is; and `--send`."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ssmtp import config, handoff
from ssmtp.agent import places, verbs
from ssmtp.ctl.doctor import case, findings, spool
from ssmtp.errors import Failure
from tests.agent import agents
from tests.doctor.conftest import Told, needs_root
from tests.hub import Hub, running


@pytest.fixture
def box():
    """A place for an agent, which does not run yet."""
    with agents.box() as made:
        yield made


def doctor(box, *words, uid=None):
    """Run the doctor as somebody in whose configuration the agent is."""
    words = ("doctor", "--json", "-C", str(box.conf), *words)
    done = box.sendmail(
        *words, program="ssmtpctl", conf=Path(), text="", uid=uid, LC_ALL="C"
    )
    told = json.loads(done.stdout)

    assert b"" == done.stderr
    assert told["exit"] == done.returncode
    return Told(done.returncode, done.stdout.decode(), told["findings"])


@pytest.fixture
def whole(box):
    """Return a function that runs both halves, for a mailhub."""
    started: list[subprocess.Popen[bytes]] = []

    def start(hub, *lines):
        box.configure(*lines)
        for path in (box.own, box.conf):
            text = path.read_text().replace("127.0.0.1:1\n", f"127.0.0.1:{hub.port}\n")
            path.write_text(text)
        paths = ["-C", box.own, "--listen", box.socket, "--spool", box.spool]
        with (box.place / "agent.log").open("ab") as log:
            started.append(
                subprocess.Popen(
                    [agents.ROOT / "bin" / "ssmtpctl", "agent", "run", *paths],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={"PATH": "/usr/bin:/bin"},
                )
            )
        until = time.monotonic() + 20
        while not works(box):
            assert started[0].poll() is None, box.log()
            assert time.monotonic() < until, box.log()
            select.select([], [], [], 0.02)

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def works(box):
    """Whether both halves run."""
    try:
        told = verbs.call(str(box.socket), "XSTATUS", 2.0)[0]
    except Failure:
        return False
    return told["sender"] == "connected"


def test_all_is_well(box, whole):
    """An agent that runs: its road, its halves, its queue."""
    with running(Hub()) as hub:
        whole(hub)
        told = doctor(box)

    assert 0 == told.code
    assert str(box.socket) == told.one("road")["facts"]["agent"]
    assert "ok" == told.one("agent.acceptor")["state"]
    assert "ok" == told.one("agent.sender")["state"]
    assert "Its queue is empty." == told.one("agent.queue")["text"]
    assert [] == hub.mails


def test_send_waits_for_the_receipt(box, whole):
    """With --send the agent is waited for, until the mailhub has the message."""
    with running(Hub()) as hub:
        whole(hub)
        told = doctor(box, "--send", "ann@example.org")

    assert 0 == told.code, told.text
    assert ["ann@example.org"] == hub.mails[0].recipients
    assert "4F2A1" in told.one("send")["text"]


def test_send_and_refused(box, whole):
    """What the mailhub says to the message itself is told, and is the exit code."""
    with running(Hub(replies={"DOT": "554 5.7.1 looks like spam"})) as hub:
        whole(hub)
        told = doctor(box, "--send", "ann@example.org")

    assert (69, "send") == (told.code, told.first["id"])
    assert "looks like spam" in told.first["text"]


def test_sender_is_down(box):
    """The half that sends is not there: mail only piles up."""
    box.start()
    with running(Hub()) as hub:
        text = box.conf.read_text()
        box.conf.write_text(text.replace("127.0.0.1:1", f"127.0.0.1:{hub.port}"))
        told = doctor(box)
    box.stop()

    assert (75, "agent.sender") == (told.code, told.first["id"])
    assert "sender of the agent does not run" in told.first["text"]
    assert "systemctl start ssmtp-sender" in told.first["next"]


def test_acceptor_is_down(box):
    """Nobody listens, and there is no other road."""
    with running(Hub()) as hub:
        text = box.conf.read_text()
        box.conf.write_text(text.replace("127.0.0.1:1", f"127.0.0.1:{hub.port}"))
        told = doctor(box)

    assert (75, "agent.acceptor") == (told.code, told.first["id"])
    assert "does not answer" in told.first["text"]
    assert "ssmtpctl agent run" in told.first["next"]


def test_acceptor_is_down_and_may_be_missed(box):
    """Nobody listens, but mail can go straight to the mailhub."""
    with running(Hub()) as hub:
        text = box.conf.read_text()
        box.conf.write_text(text.replace("127.0.0.1:1", f"127.0.0.1:{hub.port}"))
        box.conf.write_text(box.conf.read_text().replace("Delivery=agent\n", ""))
        told = doctor(box)

    assert 0 == told.code
    assert "straight to the mailhub" in told.one("road")["text"]


@needs_root
def test_socket_that_is_closed(box):
    """An agent that runs, at a socket that this user may not write to."""
    box.start()
    box.socket.chmod(0o600)
    with running(Hub()) as hub:
        text = box.conf.read_text()
        box.conf.write_text(text.replace("127.0.0.1:1", f"127.0.0.1:{hub.port}"))
        told = doctor(box, uid=64123)
    box.stop()

    assert (75, "agent.acceptor") == (told.code, told.first["id"])
    assert f"let the calling user write to {box.socket}" == told.first["next"]


def test_somebody_else_at_the_socket(box):
    """Another program that listens where the agent should."""
    box.socket.parent.mkdir(exist_ok=True)
    with running(Hub(path=str(box.socket), replies={"GREETING": "* OK IMAP"})):
        with running(Hub()) as hub:
            text = box.conf.read_text()
            box.conf.write_text(text.replace("127.0.0.1:1", f"127.0.0.1:{hub.port}"))
            told = doctor(box)

    assert (75, "agent.acceptor") == (told.code, told.first["id"])
    assert f"What answers at {box.socket} is no agent" in told.first["text"]


def test_nothing_but_a_socket(box):
    """A configuration that only leads to an agent needs no mailhub."""
    box.start()
    box.conf.write_text(f"Delivery=agent\nAgentSocket={box.socket}\n")
    told = doctor(box)
    box.stop()

    assert "note" == told.one("config.mailhub")["state"]
    assert "skipped" == told.one("mailhub")["state"]
    assert ["agent.sender"] == told.states("error")


def test_what_waits(box):
    """Messages that wait are counted; the oldest tells for how long."""
    box.start()
    for name in ("ann", "bob"):
        assert (
            0 == box.sendmail("-f", "me@example.org", f"{name}@example.net").returncode
        )
    young = doctor(box).one("agent.queue")
    box.stop()

    assert 2 == young["facts"]["messages"]
    assert "2 messages wait in its queue, the oldest for " in young["text"]


def test_what_is_held(box):
    """A message that somebody holds back is named, with how to let it go."""
    box.start()
    for name in ("ann", "bob"):
        box.sendmail("-f", "me@example.org", f"{name}@example.net")
    held = verbs.call(str(box.socket), "XLIST")[0]["id"]
    verbs.call(str(box.socket), f"XHOLD {held}")
    found = doctor(box).one("agent.held")
    box.stop()

    assert "1 message is held" in found["text"]
    assert f"ssmtpctl queue release {held}" == found["next"]


@pytest.mark.parametrize(
    ("hours", "given_up", "states"),
    [
        (3, 0, ["ok"]),
        (5, 0, ["warning"]),
        (5, 2, ["warning", "warning"]),
        (0, 1, ["ok", "warning"]),
    ],
)
def test_how_old_the_queue_is(hours, given_up, states):
    """What waits for longer than WarningAfter is a warning, and so is what is lost."""
    report = findings.Report(lambda finding: None)
    oldest = time.time() - hours * 3600
    told = {"messages": 1 if hours else 0, "oldest": oldest, "failed": given_up}
    spool._queue(report, case.made(None, None), told)

    assert states == [finding.state for finding in report.findings]
    assert not hours or f"the oldest for {hours} h" in report.findings[0].text


def test_given_up(box):
    """Messages in failed/ and corrupt/ are counted."""
    box.start()
    assert 0 == box.sendmail("-f", "me@example.org", "ann@example.net").returncode
    (box.spool / "corrupt").mkdir(exist_ok=True)
    (box.spool / "corrupt" / "x").touch()
    box.conf.write_text(f"{box.conf.read_text()}Spool={box.spool}\n")
    told = doctor(box)
    box.stop()

    assert "1 file in " in told.one("spool.corrupt")["text"]
    assert "ok" == told.one("spool.space")["state"]


def test_whose_room_it_is(monkeypatch, tmp_path):
    """Who hands his mail to the system's agent is not told of a queue of his own."""
    own, others = tmp_path / "own", tmp_path / "others"
    (own / "ssmtp" / "spool").mkdir(parents=True)
    others.mkdir()
    monkeypatch.setattr(places, "of_the_system", lambda: False)
    monkeypatch.setattr(places, "SYSTEM_SPOOL", str(others))
    monkeypatch.setenv("XDG_STATE_HOME", str(own))
    conf = config.parse(b"mailhub=hub.example\nMinFreeSpace=0%\n", "x")
    report = findings.Report(lambda finding: None)
    for socket in (handoff.SYSTEM_SOCKET, "/run/user/1000/ssmtp/submit.sock"):
        spool._room(report, conf, socket)
    ours, mine = (finding.text for finding in report.findings)

    assert f" in {others}." in ours
    assert f" in {own}/ssmtp/spool." in mine


def test_no_room(box):
    """A disk with too little room is an error before it is full."""
    box.start()
    lines = f"Spool={box.spool}\nMinFreeSpace=99%\n"
    box.conf.write_text(f"{box.conf.read_text()}{lines}")
    told = doctor(box)
    box.stop()
    free = os.statvfs(box.spool)
    if free.f_bavail > 0.99 * free.f_blocks:
        pytest.skip("this disk is all but empty")

    assert "error" == told.one("spool.space")["state"]
    assert "no room for new mail" in told.one("spool.space")["text"].lower()


@needs_root
def test_password_of_the_agent_alone(box):
    """Who cannot read the password is not told that it is wrong."""
    secret = box.place / "password"
    secret.write_text("pw-12345\n")
    secret.chmod(0o600)
    box.start()
    with running(Hub(users={"me": "pw-12345"})) as hub:
        text = box.conf.read_text()
        text = text.replace("127.0.0.1:1", f"127.0.0.1:{hub.port}")
        box.conf.write_text(f"{text}AuthUser=me\nAuthPassFile={secret}\n")
        box.conf.chmod(0o644)
        told = doctor(box, uid=agents.STRANGERS[0])
    box.stop()

    assert "skipped" == told.one("auth.password")["state"]
    assert "The agent has the password" in told.one("auth.password")["text"]
    assert not [line for line in hub.commands if line[:4] in ("AUTH", "MAIL")]
    assert ["agent.sender"] == told.states("error")


def test_kept_messages(bench, hub):
    """Mail of failed runs is not forgotten."""
    bench.configure("mailhub=127.0.0.1:1")
    subprocess.run(
        [agents.ROOT / "bin" / "sendmail", "-C", bench.conf, "ann@example.org"],
        input=b"Subject: x\n\nhello\n",
        capture_output=True,
        env=bench.environ,
    )
    bench.configure(f"mailhub=127.0.0.1:{hub.port}")
    told = bench.doctor()
    [kept] = (bench.place / "state" / "ssmtp" / "failed").iterdir()
    kept.write_bytes(kept.read_bytes()[:-3])
    damaged = bench.doctor()

    assert 1 == told.one("kept")["facts"]["messages"]
    assert "ssmtpctl queue retry --all" in told.one("kept")["next"]
    assert "1 of them is damaged." == damaged.one("kept.damaged")["text"]


def test_send_without_agent(bench, hub):
    """Without an agent --send shows what the mailhub answered; nothing is kept."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}")
    told = bench.doctor("--send", "ann@example.org")

    assert 0 == told.code
    assert ["ann@example.org"] == hub.mails[0].recipients
    assert ["Test message of ssmtpctl doctor"] == hub.mails[0].field("Subject")
    assert "4F2A1" == told.one("send")["facts"]["queue_id"]


def test_send_and_refused_without_agent(bench):
    """A test message that was refused is not kept: nobody would miss it."""
    with running(Hub(replies={"DOT": "554 5.7.1 looks like spam"})) as hub:
        bench.configure(f"mailhub=127.0.0.1:{hub.port}")
        told = bench.doctor("--send", "ann@example.org")

    assert (69, "send") == (told.code, told.first["id"])
    assert not list(bench.place.glob("state/ssmtp/failed/*"))


def test_nothing_is_sent_when_it_cannot_arrive(bench):
    """An error before makes --send pointless."""
    with running(Hub(replies={"MAIL": "550 5.7.1 not from you"})) as hub:
        bench.configure(f"mailhub=127.0.0.1:{hub.port}")
        told = bench.doctor("--send", "ann@example.org")

    assert "skipped" == told.one("send")["state"]
    assert ["smtp.sender"] == told.states("error")
    assert 1 == sum(line.startswith("MAIL") for line in hub.commands)


def test_trouble_of_the_agent(box, whole):
    """What keeps the agent from sending is told in its own words."""
    with running(Hub()) as hub:
        whole(hub)
        hub.stop()
        assert 0 == box.sendmail("-f", "me@example.org", "ann@example.net").returncode
        until = time.monotonic() + 20
        while not troubles(box):
            assert time.monotonic() < until, box.log()
            select.select([], [], [], 0.02)
        told = doctor(box)

    assert "error" == told.one("agent.site")["state"]
    assert "127.0.0.1" in told.one("agent.site")["text"]
    assert 75 == told.one("agent.site")["exit"]


def troubles(box):
    """Return the mailhubs that the agent cannot use now."""
    told = verbs.call(str(box.socket), "XSTATUS", 2.0)[0]
    return [
        one for one in (told["site"] or {}).get("sites", ()) if one["state"] != "ok"
    ]
