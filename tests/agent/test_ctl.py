"""`ssmtpctl queue` and `ssmtpctl agent status` over an agent's queue."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import shutil
import socket
import struct
import subprocess
import termios
import threading
import time
import types
from pathlib import Path
from typing import Any

import pytest

from ssmtp.agent import answers, schedule, status, verbs
from ssmtp.agent.link import Ear
from ssmtp.agent.places import link_path
from ssmtp.agent.site import STUMBLES
from ssmtp.ctl import agent as verb
from ssmtp.ctl import main, queued
from ssmtp.errors import SystemTrouble
from ssmtp.smtp import reply
from ssmtp.spool import listing
from tests.agent import sending
from tests.agent.agents import ROOT, STRANGERS, Box, pretender, silent
from tests.agent.sending import until


@pytest.fixture
def machine(box: Box) -> Box:
    """A box whose agent (the acceptor, so that nothing is sent) runs."""
    box.start()
    return box


def ctl(box: Box, *words: str) -> tuple[int, str, str]:
    """Run ssmtpctl as somebody in whose configuration the agent is."""
    run = box.sendmail(
        *words, program="ssmtpctl", conf=Path(), SSMTP_CONF=str(box.conf), text=""
    )
    return run.returncode, run.stdout.decode(), run.stderr.decode()


def queue(box: Box, recipient: str = "ann@example.net") -> str:
    """Let the agent queue a message; return its id."""
    run = box.sendmail("-f", "me@example.org", recipient)
    assert 0 == run.returncode, run.stderr
    return box.fresh()[0].id


def keep(box: Box, before: str = "=agent", after: str = "=direct") -> str:
    """Let a message be kept by a run with a changed configuration; return its id."""
    text = box.conf.read_text()
    box.conf.write_text(text.replace(before, after))
    run = box.sendmail("-f", "me@example.org", "kept@example.net")
    box.conf.write_text(text)
    assert 75 == run.returncode, run.stderr
    return box.kept()[0].name


def test_both_places_are_one_list(machine):
    """What was kept and what is queued stands in one list, oldest first."""
    kept, queued = keep(machine), queue(machine)
    code, out, err = ctl(machine, "queue")
    lines = out.splitlines()

    assert (0, "") == (code, err)
    assert ["ID", kept, queued] == [line.split()[0] for line in lines]
    assert "deferred" in lines[1]
    assert "Connection refused" in lines[1]
    assert ["waiting", "me@example.org", "ann@example.net"] == lines[2].split()[5:8]
    assert lines[2].endswith("not tried yet")


@pytest.mark.parametrize("columns", [30, 80, 500])
def test_the_list_on_a_terminal(machine, columns, tmp_path):
    """No line is longer than the terminal is wide, and why a message waits is told all
    the same."""
    name = queue(machine)
    site(machine, {**USUAL, **DOWN, "what": "cannot connect to the mailhub " * 3})
    ours, theirs = pty.openpty()
    size = struct.pack("HHHH", 24, columns, 0, 0)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
    run = subprocess.Popen(
        [ROOT / "bin" / "ssmtpctl", "queue"],
        stdin=theirs,
        stdout=theirs,
        env={
            "SSMTP_CONF": str(machine.conf),
            "NO_COLOR": "1",
            "LC_ALL": "C.UTF-8",
            "XDG_STATE_HOME": str(tmp_path),  # and not what is kept on this machine
        },
    )
    os.close(theirs)
    with open(ours, "rb") as terminal, contextlib.suppress(OSError):
        lines = []
        while line := terminal.readline().decode():
            lines.append(line.rstrip("\r\n"))

    assert 0 == run.wait()
    assert max(map(len, lines)) <= columns
    assert name[: columns - 1] in lines[1]
    words = " ".join(" ".join(lines).split())
    assert words.endswith("to the mailhub cannot connect to the mailhub ; next try now")


def test_mailq_tells_when_a_message_is_tried(machine):
    """mailq tells why a message waits, how often it was tried, and when it is next."""
    queue(machine)
    site(machine, {**USUAL, **DOWN, "next_try": 2000000000})
    run = machine.sendmail(program="mailq", TZ="UTC0")

    assert b"      (waiting: no way; next try Wed May 18 03:33:20)\n" in run.stdout


def test_what_mailq_tells_of_tries():
    """A message that was tried says so, and one that is due is not in the future."""
    row = {
        "id": "n-1",
        "uid": 1,
        "octets": 5,
        "time": 1,
        "from": "a@b",
        "to": ["c@d"],
        "recipients": 1,
        "state": "waiting",
        "reason": "450 x",
        "next": 5.0,
    }
    once, often = (
        listing.reason(listing.queued({**row, "attempts": number})) for number in (1, 7)
    )

    assert "waiting: 450 x; tried once; next try now" == once
    assert "waiting: 450 x; tried 7 times; next try now" == often


@pytest.mark.parametrize(
    ("reason", "attempts", "expected"),
    [
        ("", 0, "not tried yet"),
        ("", 1, "tried 1 time"),  # being sent now
        ("the mailhub is away", 0, "the mailhub is away"),
        ("450 busy", 2, "450 busy; tried 2 times"),
    ],
)
def test_what_the_list_tells_of_tries(reason, attempts, expected):
    """What is on its way for the first time is not said to be untried."""
    told = {"id": "n-1", "reason": reason, "attempts": attempts, "state": "active"}

    assert expected == queued.Row("/run/s", told).reason


def test_the_list_is_also_for_programs(machine):
    """The JSON list tells of queued messages what it tells of kept ones, and more."""
    kept, queued = keep(machine), queue(machine)
    code, out, _ = ctl(machine, "queue", "--json")
    first, second = json.loads(out)

    assert 0 == code
    assert [kept, queued] == [first["id"], second["id"]]
    for name in ("id", "state", "time", "size", "uid", "reason", "from", "to"):
        assert type(first[name]) is type(second[name])
    assert str(machine.socket) == second["agent"]
    assert ["ann@example.net"] == second["to"]


def test_show(machine):
    """A message is shown with its recipients and its header section; an end of the id
    is enough."""
    name = queue(machine)
    code, out, _ = ctl(machine, "queue", "show", name[-8:])
    as_json = json.loads(ctl(machine, "queue", "show", name, "--json")[1])

    assert 0 == code
    assert out.startswith(f"{name}: waiting\nfrom       me@example.org (uid ")
    assert "recipient  ann@example.net: waiting\n" in out
    assert "\nSubject: x\n" in out
    assert ["ann@example.net"] == [each["recipient"] for each in as_json["recipients"]]
    assert "Subject: x" in as_json["header"]


def test_show_and_list_tell_programs_alike(machine):
    """What a program reads of one message has the names and forms of the list."""
    keep(machine)
    queue(machine)
    listed = json.loads(ctl(machine, "queue", "--json")[1])
    shown = [
        json.loads(ctl(machine, "queue", "show", each["id"], "--json")[1])
        for each in listed
    ]

    for one, same in zip(listed, shown, strict=True):
        one.pop("recipients", None)  # how many; shown is what became of each
        assert one == {name: same[name] for name in one}


def test_hold_and_release(machine):
    """A held message is listed as such until it is released."""
    name = queue(machine)
    held = ctl(machine, "queue", "hold", name)
    listed = ctl(machine, "queue")[1]
    released = ctl(machine, "queue", "release", name)

    assert (0, "") == (held[0], held[2])
    assert held[1].startswith(f"{name}: held: ")
    assert "  held  " in listed
    assert released[1].startswith(f"{name}: released: ")
    assert "  waiting  " in ctl(machine, "queue")[1]


def test_what_became_of_each_recipient(tmp_path):
    """`show` calls it what the list and the log call it."""
    with sending.post(tmp_path) as post:
        name = post.add("one", "a@x.test", "b@x.test", "c@x.test")
        claim = post.queue.claim(name)
        assert claim is not None
        claim.begin()
        claim.settle([(0, "doubt", "?"), (1, "relayed", "250 ok"), (2, "refused", "5")])
        claim.release()
        link: Any = types.SimpleNamespace(connected=True)
        hall: Any = types.SimpleNamespace(queue=post.queue, link=link)
        told = [
            *map(json.loads, answers.to("XSHOW", name, answers.Asker(0, True, hall)))
        ]

    states = [each["state"] for each in told if "recipient" in each]
    assert ["in-doubt", "sent", "refused"] == states


def test_what_was_released_is_not_being_sent(tmp_path):
    """A message in doubt that somebody has released waits until it is begun again."""
    with sending.post(tmp_path) as post:
        name = post.add("one")
        claim = post.queue.claim(name)
        assert claim is not None
        claim.begin()
        claim.release()
        link: Any = types.SimpleNamespace(connected=True, flush=lambda *_: None)
        hall: Any = types.SimpleNamespace(queue=post.queue, link=link)
        asker = answers.Asker(0, True, hall)
        states = []
        for words in (("XLIST", "all"), ("XHOLD", name), ("XRELEASE", name)):
            list(answers.to(*words, asker))
            states += [
                json.loads(row)["state"] for row in answers.to("XLIST", "all", asker)
            ]

    assert ["active", "held", "waiting"] == states


def test_release_after_a_long_life(tmp_path):
    """What the mailhub said to many recipients, for days, is no change of the user's:
    he may have it tried anew."""
    tries = schedule.tries_within(5 * 86400)
    with sending.post(tmp_path) as post:
        name = post.add("one", *[f"n{number}@x.test" for number in range(20)])
        claim = post.queue.claim(name)
        assert claim is not None
        for state in [*["deferred"] * tries, "reported"]:
            claim.begin()
            claim.settle(
                [(n, state, f"450 {n} {'x' * reply.TEXT_MOST}") for n in range(20)]
            )
        claim.to_failed("no")
        link: Any = types.SimpleNamespace(connected=True, flush=lambda *_: None)
        hall: Any = types.SimpleNamespace(queue=post.queue, link=link)
        list(answers.to("XRELEASE", name, answers.Asker(1000, False, hall)))

        assert [name] == list(post.queue.ids())


def test_drop(machine):
    """Dropped messages are gone, the kept one and the queued one."""
    kept, queued = keep(machine), queue(machine)
    code, out, err = ctl(machine, "queue", "drop", kept, queued)

    assert (0, "") == (code, err)
    assert [f"{kept}: dropped", f"{queued}: dropped"] == [
        ":".join(line.split(":")[:2]) for line in out.splitlines()
    ]
    assert [] == machine.entries()
    assert [] == machine.kept()


@pytest.mark.parametrize("command", ["show", "retry", "drop", "hold", "release"])
def test_a_mistyped_id(machine, command):
    """An id that nobody has is wrong usage (64), and nothing happens."""
    name = queue(machine)
    code, out, err = ctl(machine, "queue", command, "no-such-id")

    assert (64, "") == (code, out)
    assert "no message no-such-id" in err
    assert [name] == [entry.id for entry in machine.entries()]


def test_a_kept_message_cannot_be_held(machine):
    """Hold and release are for what is sent by itself; else they say so (64)."""
    code, _, err = ctl(machine, "queue", "hold", keep(machine))

    assert 64 == code
    assert "ssmtpctl queue retry" in err


def test_retry(machine):
    """Retry lets the agent try a queued message, and sends a kept one; where nobody is
    there to try it, it says so."""
    kept, queued = keep(machine, "submit.sock", "no.sock"), queue(machine)
    code, out, err = ctl(machine, "queue", "retry", "--all")

    assert 75 == code, err
    assert f"{queued}: queued: it is tried as soon as the sender runs\n" in out
    assert f"{kept}: sent: " in out
    # The kept one has gone to the agent, as any new message would.
    assert [] == machine.kept()
    assert 2 == len(machine.entries())


def test_flush(machine, box):
    """Flush is heard by the agent; without one it says so (69)."""
    assert (0, "", "") == ctl(machine, "queue", "flush")
    machine.stop()
    code, _, err = ctl(machine, "queue", "flush")
    assert 69 == code
    assert "no agent" in err


def test_flush_reaches_every_agent(machine, monkeypatch, tmp_path, capsys):
    """An agent that does not answer keeps no other from being told."""
    sockets = [str(tmp_path / "dead"), str(machine.socket)]
    monkeypatch.setattr("ssmtp.handoff.agents", lambda *_: sockets)
    code = main(["queue", "flush", "--json"])
    out, err = capsys.readouterr()

    assert (75, {"agents": sockets[1:]}) == (code, json.loads(out))
    assert f"the agent ({sockets[0]}) does not answer" in err


def test_an_agent_that_does_not_answer(machine):
    """The list tells what it can, and that an agent does not answer (75)."""
    kept = keep(machine)
    assert machine.process is not None
    machine.process.kill()
    machine.process.wait()
    code, out, err = ctl(machine, "queue")

    assert 75 == code
    assert kept in out
    assert f"the agent ({machine.socket}) does not answer: Connection refused" in err


@pytest.mark.parametrize(
    "words", ["", "retry --all", "show 7f3a", "retry 7f3a", "drop 7f3a", "hold 7f3a"]
)
def test_what_an_agent_has_that_does_not_answer(machine, words):
    """Nobody says then that a queue is empty, that a message is not there (64), or that
    all of it was done (0)."""
    assert machine.process is not None
    machine.process.kill()
    machine.process.wait()
    code, out, err = ctl(machine, "queue", *words.split())

    assert (75, "") == (code, out)
    said = f"the agent ({machine.socket}) does not answer: Connection refused"
    assert [f"ssmtpctl: {said}; see that it runs"] == err.splitlines()


def test_an_agent_that_hangs(box, monkeypatch):
    """Whoever asks an agent that hangs hears of it before he gives up himself."""
    monkeypatch.setattr(verbs, "GREETING_SECONDS", 0.1)
    with pretender(box.socket, silent), pytest.raises(SystemTrouble, match="timed out"):
        verbs.call(str(box.socket), "XLIST")


def test_a_question_waits_for_its_turn(tmp_path):
    """Where many call at once, who asks is not turned away."""
    path = str(tmp_path / "submit.sock")
    with (
        socket.socket(socket.AF_UNIX) as listener,
        socket.socket(socket.AF_UNIX) as one,
    ):
        listener.bind(path)
        listener.settimeout(20)
        listener.listen(0)
        one.connect(path)  # and nobody else can, until this one is taken
        answers = []
        asking = threading.Thread(
            target=lambda: answers.append(verbs.call(path, "XSTATUS"))
        )
        asking.start()
        asking.join(0.1)
        listener.accept()[0].close()
        peer, _ = listener.accept()
        with peer:
            peer.sendall(b'220 x\r\n250 x\r\n250-2.0.0 {"a": 1}\r\n250 2.0.0 ok\r\n')
            asking.join(20)

    assert [[{"a": 1}]] == answers


def test_a_pause_of_auth_is_not_cut_short(machine, monkeypatch, capsys):
    """Who wants a message tried while the password is refused is told when it will be:
    75."""
    name = queue(machine)
    later = int(time.time()) + 1000
    site(machine, {**USUAL, **DOWN, "kind": "auth", "next_try": later})
    (told,) = verbs.call(str(machine.socket), f"XFLUSH {name}")
    monkeypatch.setenv("SSMTP_CONF", str(machine.conf))
    monkeypatch.setattr(queued, "command", lambda *_: {**told, "sender": "connected"})
    code = main(["queue", "retry", name])
    out = capsys.readouterr().out
    site(machine, {**USUAL, **DOWN, "kind": "auth"})
    (over,) = verbs.call(str(machine.socket), f"XFLUSH {name}")
    site(machine, {**USUAL, **DOWN, "kind": "network", "next_try": later})
    (cut,) = verbs.call(str(machine.socket), f"XFLUSH {name}")

    assert 75 == code
    assert (
        f"{name}: queued: the mailhub has refused the credentials; next try in " in out
    )
    assert [later, None, None] == [each["pause"] for each in (told, over, cut)]


def test_all_are_tried_by_one_word(machine, monkeypatch, capsys):
    """`retry --all` asks each agent once, however long its queue; each message still
    says what its own mailhub's password makes of it."""
    names = [queue(machine), queue(machine)]
    later = int(time.time()) + 1000
    site(machine, {**USUAL, **DOWN, "kind": "auth", "next_try": later})
    asked = []
    call = verbs.call

    def counted(path, line, *more):
        asked.append(line)
        return [{**told, "sender": "connected"} for told in call(path, line, *more)]

    monkeypatch.setattr(verbs, "call", counted)
    monkeypatch.setenv("SSMTP_CONF", str(machine.conf))
    monkeypatch.setenv("XDG_STATE_HOME", str(machine.state))
    code = main(["queue", "retry", "--all"])
    out = capsys.readouterr().out
    as_json = json.loads(ctl(machine, "queue", "--json")[1])

    assert 75 == code
    assert ["XFLUSH"] == asked
    for name in names:
        assert f"{name}: queued: the mailhub has refused the credentials" in out
    assert "pause" not in as_json[0]


def test_an_agent_that_ends_is_asked_once(machine, monkeypatch, capsys):
    """Where the agent answers no more, `retry --all` says so of each of its messages,
    and does not wait for it again and again."""
    names = [queue(machine), queue(machine)]
    asked = []

    def gone(path, line, *_):
        asked.append(line)
        raise SystemTrouble("the agent hung up", "try again")

    monkeypatch.setattr(verbs, "call", gone)
    monkeypatch.setenv("SSMTP_CONF", str(machine.conf))
    monkeypatch.setenv("XDG_STATE_HOME", str(machine.state))
    code = main(["queue", "retry", "--all"])
    out = capsys.readouterr().out

    assert 75 == code
    assert ["XFLUSH"] == asked
    assert [f"{name}: queued: the agent hung up" for name in sorted(names)] == sorted(
        line.partition(";")[0] for line in out.splitlines()
    )


def test_a_whole_id_needs_no_list(machine, monkeypatch):
    """Who names a message by its whole id does not wait for a look at all others, and
    still reaches only what is his own, and in the queue."""
    name = queue(machine)
    spool = machine.queue()
    folder = machine.spool / "queue"
    beside = machine.spool / "abcdeTabc" / f"ab-{name.partition('-')[2]}"
    beside.parent.mkdir()
    shutil.copyfile(folder / name, beside)
    beside.chmod(0o600)
    path = f"../{beside.parent.name}/{beside.name}"
    hall: Any = types.SimpleNamespace(queue=spool)
    monkeypatch.setattr(spool, "ids", lambda _=None: pytest.fail("a list was made"))
    found = answers._find(name, answers.Asker(os.getuid(), False, hall))
    monkeypatch.setattr(spool, "ids", lambda _=None: iter(()))
    for uid, trusted, word in [(64001, False, name), (0, True, path)]:
        with pytest.raises(answers.Denied, match="no message"):
            answers._find(word, answers.Asker(uid, trusted, hall))
    spool.close()

    assert (name, False) == found
    assert beside.exists()


def test_what_is_held_is_named_when_all_are_tried(machine):
    """`retry --all` passes over what is held, and says how to have it sent."""
    name = queue(machine)
    ctl(machine, "queue", "hold", name)
    code, out, err = ctl(machine, "queue", "retry", "--all")

    assert (0, "") == (code, err)
    assert "1 message waits for `ssmtpctl queue release`\n" == out
    assert [] == json.loads(ctl(machine, "queue", "retry", "--all", "--json")[1])


def test_what_is_held_is_not_tried(machine):
    """Who wants a held message tried is told that it has to be released."""
    name = queue(machine)
    ctl(machine, "queue", "hold", name)
    code, out, err = ctl(machine, "queue", "retry", name)
    state = json.loads(ctl(machine, "queue", "--json")[1])[0]["state"]

    assert 0 != code
    assert "tries it now" not in out
    assert f"{name} is held until it is released" in out + err
    assert "held" == state


def test_status_counts_what_has_failed(machine):
    """What was given up takes room, too, also of a user who has nothing else."""
    name = queue(machine)
    before = json.loads(ctl(machine, "agent", "status", "--json")[1])["octets"]
    messages = machine.queue()
    claim = messages.claim(name)
    assert claim is not None
    claim.to_failed("no")
    messages.close()
    told = json.loads(ctl(machine, "agent", "status", "--json")[1])

    assert (0, 1) == (told["messages"], told["failed"])
    assert told["octets"] > before > 0


def test_status_counts_what_cannot_be_read(machine):
    """What a later version has left is told of, and does not hide how long the others
    wait."""
    newer, name = queue(machine), queue(machine)
    path = machine.spool / "queue" / newer
    first = path.rename(path.with_name(f"20200101T000000{newer[15:]}"))
    first.write_bytes(re.sub(rb"^([^\n]*)\b1\n", rb"\g<1>99\n", first.read_bytes()))
    _, out, _ = ctl(machine, "agent", "status")
    told = json.loads(ctl(machine, "agent", "status", "--json")[1])
    (row,) = json.loads(ctl(machine, "queue", "--json")[1])

    assert "2 messages waiting, the oldest for 0.0 h; 1 that this version cannot" in out
    assert (1, 2) == (told["unread"], told["messages"])
    assert name == row["id"]


def test_status_without_a_sender(machine):
    """Without a sender nothing is sent: exit 75, in words and as JSON."""
    queue(machine)
    code, out, _ = ctl(machine, "agent", "status")
    told = json.loads(ctl(machine, "agent", "status", "--json")[1])

    assert 75 == code
    assert "the sender does not run" in out
    assert "1 message waiting" in out
    assert (75, 1, "away") == (told["exit"], told["messages"], told["sender"])


def test_status_of_a_sender_that_hangs(machine):
    """A sender that has done nothing for minutes is as good as none."""
    path, told = machine.spool / "site.json", []
    ear = Ear(link_path(str(machine.socket)))
    until(ear.words)
    for ago in (100, 400):
        awake = int(time.monotonic()) - ago
        path.write_text(json.dumps({"version": 1, "awake": awake, "sites": []}))
        told.append(json.loads(ctl(machine, "agent", "status", "--json")[1]))
    ear.close()

    assert [(0, "connected"), (75, "away")] == [(t["exit"], t["sender"]) for t in told]


def test_a_busy_mailhub_is_no_news_about_others(tmp_path):
    """What everybody is told of a mailhub names no address of somebody's mail."""
    with sending.post(tmp_path) as post:
        said = "451 4.3.0 <bob@example.org> not now"
        post.hub.replies = {"MAIL": said}
        for number in range(STUMBLES):
            post.add(f"m{number}")
        with post.sender():
            until(lambda: status.troubles(str(post.spool)))
        (trouble,) = status.troubles(str(post.spool))

    assert "busy" == trouble["kind"]
    hub = f"127.0.0.1:{post.hub.port}"
    assert f"{hub} takes no message now: 451 4.3.0" == trouble["what"]


def test_status_without_an_agent(box):
    """No agent is exit 69, for programs too."""
    code, _, err = ctl(box, "agent", "status")
    as_json = ctl(box, "agent", "status", "--json")

    assert 69 == code
    assert "there is no agent; start one (ssmtpctl agent run), or" in err
    told = json.loads(as_json[1])
    assert (69, 69, None) == (as_json[0], told["exit"], told["agent"])


@pytest.mark.parametrize("words", ["", "retry --all"])
def test_no_queue_is_empty_whose_agent_is_down(box, words):
    """Where mail goes to an agent only, and it is gone, nobody knows what it has."""
    listed = ctl(box, "queue", *words.split())
    mailq = box.sendmail("-bp")
    said = f"the agent ({box.socket}) does not answer: No such file or directory"

    assert (75, "", f"ssmtpctl: {said}; see that it runs\n") == listed
    assert (75, b"") == (mailq.returncode, mailq.stdout)
    assert said in mailq.stderr.decode()


def test_who_is_behind_an_agent_that_is_dead(machine, monkeypatch, capsys):
    """Status and doctor ask whom mail goes to: the first that somebody listens for."""
    dead = machine.place / "dead.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(dead))
    both = [str(dead), str(machine.socket)]
    monkeypatch.setattr("ssmtp.handoff.sockets", lambda _: [*both])
    text = re.sub("AgentSocket=.*\n", "", machine.conf.read_text())
    machine.conf.write_text(text)
    monkeypatch.setenv("SSMTP_CONF", str(machine.conf))
    main(["agent", "status", "--json"])
    status = json.loads(capsys.readouterr().out)
    main(["doctor", "--json"])
    doctor = json.loads(capsys.readouterr().out)["findings"]

    assert str(machine.socket) == status["agent"]
    [road] = [finding for finding in doctor if finding["id"] == "road"]
    assert str(machine.socket) == road["facts"]["agent"]


def site(box: Box, *sites: dict[str, object]) -> None:
    """Let the sender have written this about its mailhubs."""
    told = {"sent": 7, "sites": list(sites)}
    (box.spool / "site.json").write_text(json.dumps(told))


OWN = {"mailhubs": ["own.example:25"], "default": False}
USUAL = {"mailhubs": ["127.0.0.1:1"], "default": True}
DOWN = {"state": "trouble", "what": "no way", "next_try": 9}


def test_status_of_an_agent_that_no_file_names(machine, monkeypatch, tmp_path, capsys):
    """Who names a configuration that is not there is not told of another agent: 78."""
    monkeypatch.setattr("ssmtp.handoff.sockets", lambda _: [str(machine.socket)])
    missing = tmp_path / "missing.conf"
    code = main(["agent", "status", "-C", str(missing)])
    out, err = capsys.readouterr()

    assert (78, "") == (code, out)
    assert f"{missing} does not exist" in err


def test_a_message_waits_for_its_own_mailhub(machine):
    """The trouble of a mailhub that only others use is no reason to wait."""
    queue(machine)
    site(machine, {**USUAL, "state": "ok"}, {**OWN, **DOWN})
    others = json.loads(ctl(machine, "queue", "--json")[1])
    site(machine, {**USUAL, **DOWN}, {**OWN, "state": "ok"})
    usual = json.loads(ctl(machine, "queue", "--json")[1])

    assert [("", None)] == [(each["reason"], each["next"]) for each in others]
    assert ["no way"] == [each["reason"] for each in usual]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: another user")
def test_status_for_everybody(machine):
    """Monitoring need not be root: all are told how the usual mailhub fares, and of
    others only who waits for them; how much was sent is root's."""
    site(machine, {**USUAL, **DOWN, "kind": "auth", "since": 1}, {**OWN, **DOWN})
    run = machine.sendmail(
        *("agent", "status", "--json"),
        program="ssmtpctl",
        conf=Path(),
        SSMTP_CONF=str(machine.conf),
        uid=STRANGERS[0],
    )
    (told,) = json.loads(run.stdout)["site"]["sites"]
    metrics = machine.sendmail(
        *("agent", "status", "--metrics"),
        program="ssmtpctl",
        conf=Path(),
        SSMTP_CONF=str(machine.conf),
        uid=STRANGERS[0],
    )

    assert (["127.0.0.1:1"], "no way", "auth") == (
        told["mailhubs"],
        told["what"],
        told["kind"],
    )
    assert b'ssmtp_mailhub_up{mailhub="127.0.0.1:1"} 0\n' in metrics.stdout
    assert b"_total" not in metrics.stdout
    assert (
        b"ssmtp_sent_total 7\n"
        in ctl(machine, "agent", "status", "--metrics")[1].encode()
    )


@pytest.mark.parametrize("text", ["", "[]", '{"sites": 5}', '{"sites": [1, {}]}'])
def test_status_of_a_damaged_file(machine, text):
    """What is not known of the mailhubs is left out."""
    (machine.spool / "site.json").write_text(text)
    code, out, err = ctl(machine, "agent", "status")

    assert (75, "") == (code, err)
    assert "the sender does not run" in out


def test_status_of_a_full_disk(box):
    """Where there is no room for mail, not all is well: 75, and metrics say so."""
    box.configure("MinFreeSpace=1000T")
    box.start()
    told = json.loads(ctl(box, "agent", "status", "--json")[1])
    metrics = ctl(box, "agent", "status", "--metrics")[1]
    code, words = verb.judged({**told, "sender": "connected"})

    assert "no room for new mail" in told["disk"]
    assert (75, told["disk"]) == (code, words)
    assert "ssmtp_queue_open 0\n" in metrics


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: another user")
def test_status_of_a_wrong_configuration(machine):
    """A mistake in the configuration is told although what held before still holds:
    78. What stands in the file is for those who may read it."""

    def told(uid: int | None = None) -> dict[str, object]:
        words = ("agent", "status", "--json")
        env = {"program": "ssmtpctl", "conf": Path(), "SSMTP_CONF": str(machine.conf)}
        run = machine.sendmail(*words, uid=uid, **env)
        return {**json.loads(run.stdout), "sender": "connected"}

    right = told()
    machine.configure("UseTLS=perhaps")
    wrong, others = told(), told(STRANGERS[0])
    metrics = ctl(machine, "agent", "status", "--metrics")[1]
    code, words = verb.judged(wrong)
    queue(machine)
    machine.configure("UseTLS=yes")

    assert (None, None) == (right["configuration"], told()["configuration"])
    assert 78 == code
    assert "UseTLS" in words
    assert "perhaps" in words
    assert words.endswith("(what held before still holds)")
    assert (78, "the configuration is wrong (what held before still holds)") == (
        verb.judged(others)
    )
    # A sender that has died meanwhile does not come back by itself.
    away, why = verb.judged({**wrong, "sender": "away"})
    assert (78, f"the sender does not run, so nothing is sent; {words}") == (away, why)
    assert "ssmtp_configuration_ok 0\n" in metrics


def test_status_of_a_queue_that_was_replaced(box):
    """A new directory in the place of the queue is not the agent's queue."""
    box.start()
    before = json.loads(ctl(box, "agent", "status", "--json")[1])
    (box.spool / "queue").rename(box.spool / "moved")
    (box.spool / "queue").mkdir(0o700)
    told = json.loads(ctl(box, "agent", "status", "--json")[1])
    code, words = verb.judged({**told, "sender": "connected"})

    assert before["disk"] is None
    assert (75, told["disk"]) == (code, words)
    assert words.endswith("/queue was replaced while the agent ran; start it again")


def test_metrics_are_as_prometheus_wants_them(machine):
    """Each metric has a meaning and a type before its values, once."""
    site(machine, {**USUAL, "state": "ok"}, {**OWN, **DOWN})
    lines = ctl(machine, "agent", "status", "--metrics")[1].splitlines()
    names = [line.split()[2] for line in lines if line.startswith("# HELP ")]
    typed = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
    values = [re.split("[ {]", line)[0] for line in lines if line[0] != "#"]

    assert names == typed == list(dict.fromkeys(values))
    assert len(names) == len(set(names))


def test_metrics(machine):
    """Prometheus gets numbers, and a zero when there is no agent."""
    queue(machine)
    code, out, _ = ctl(machine, "agent", "status", "--metrics")
    machine.stop()
    code_without, out_without, _ = ctl(machine, "agent", "status", "--metrics")

    assert (75, 69) == (code, code_without)
    assert {"ssmtp_up 1", "ssmtp_sender_up 0", "ssmtp_queue_messages 1"} <= set(
        out.splitlines()
    )
    assert "ssmtp_up 0" == out_without.splitlines()[-1]


SITE = {
    "mailhubs": ["hub.example:465"],
    "what": "hub.example:465 refused AUTH",
    "next_step": "check the password",
    "next_try": None,
}


@pytest.mark.parametrize(
    ("kind", "state", "expected"),
    [
        ("", "ok", 0),
        ("network", "trouble", 75),
        ("mailhub", "trouble", 75),
        ("auth", "trouble", 77),
        ("login", "trouble", 77),
        ("configuration", "trouble", 78),
    ],
)
def test_what_monitoring_sees(kind, state, expected):
    """The exit code says whose turn it is: time's (75), or a person's (77, 78)."""
    site = {**SITE, "kind": kind, "state": state}
    code, words = verb.judged({"sender": "connected", "site": {"sites": [site]}})

    assert expected == code
    assert state == "ok" or "hub.example:465 refused AUTH; check the password" in words


def test_what_monitoring_sees_of_several_mailhubs():
    """What a person has to end is told before what time may cure, and a mailhub of
    which little is known is told all the same."""
    down = {**SITE, "kind": "network", "state": "trouble"}
    refused = {**SITE, "mailhubs": ["other:25"], "kind": "auth", "state": "trouble"}
    both = verb.judged({"sender": "connected", "site": {"sites": [down, refused]}})
    bare = {"mailhubs": [7], "state": "trouble"}
    little = verb.judged({"sender": "connected", "site": {"sites": [bare]}})

    assert 77 == both[0]
    assert both[1].startswith("other:25: ")
    assert (75, "7: ?") == little
