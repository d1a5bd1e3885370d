"""`ssmtpctl log`: what became of a message, from the agent's own record."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ssmtp import journal
from ssmtp.agent import answers, aside, receipts
from ssmtp.agent.sessions import tell
from tests.agent.agents import ROOT, STRANGERS, Box, Peer
from tests.agent.sending import Post, until
from tests.agent.sending import post as a_post
from tests.agent.test_ctl import ctl, keep, queue

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root: other users")
ALICE, BOB = STRANGERS


@pytest.fixture
def post(tmp_path):
    """A mailhub and a queue whose sender does not run yet."""
    with a_post(tmp_path) as made:
        yield made


@pytest.fixture
def machine(box: Box) -> Box:
    """A box whose agent (the acceptor, so that nothing is sent) runs."""
    box.start()
    return box


def line(name: str = "n-1", **more: Any) -> str:
    """What the record has of a message that was sent."""
    found = {
        "time": 1795358089.669,
        "id": name,
        "queued": 1795358000,
        "uid": os.getuid(),
        "login": "me",
        "message_id": f"<{name}@box.test>",
        "from": "me@example.org",
        "state": "sent",
        "to": ["ann@example.net"],
        "reply": "250 2.0.0 Ok: queued as 4F2A1",
        "mailhub": "hub.example:465",
        "queue_id": "4F2A1",
        "seconds": 0.5,
    }
    return json.dumps({**found, **more}) + "\n"


def record(box: Box, *lines: str, name: str = receipts.NAME) -> Path:
    """Let the record consist of these lines."""
    path = box.spool / name
    path.write_text("".join(lines))
    return path


def asker(post: Post, uid: int = 1000) -> answers.Asker:
    """Somebody who asks an acceptor that has no sender."""
    link = SimpleNamespace(connected=False)
    hall: Any = SimpleNamespace(queue=post.queue, link=link)
    return answers.Asker(uid, uid == 0, hall)


def known(post: Post, word: str) -> list[dict[str, Any]]:
    return list(receipts.find(str(post.spool), word, None))


def test_every_outcome_is_recorded(post):
    """Who got a message, who was refused and who has to wait: each with the mailhub's
    words, and what was taken with the mailhub's own id."""
    post.hub.replies = {"RCPT#2": "550 5.1.1 nobody", "RCPT#3": "450 4.2.1 busy"}
    with post.sender():
        name = post.add("one", "ann@example.net", "bob@example.net", "cy@example.net")
        until(lambda: len(known(post, name)) == 3)
    told = {each["state"]: each for each in known(post, name)}

    assert {"sent", "refused", "deferred"} == set(told)
    assert 0o600 == (post.spool / receipts.NAME).stat().st_mode & 0o777
    assert (["ann@example.net"], "4F2A1") == (
        told["sent"]["to"],
        told["sent"]["queue_id"],
    )
    assert "queued as 4F2A1" in told["sent"]["reply"]
    assert f"127.0.0.1:{post.hub.port}" == told["sent"]["mailhub"]
    assert (["bob@example.net"], "550 5.1.1 nobody", None) == (
        told["refused"]["to"],
        told["refused"]["reply"],
        told["refused"]["queue_id"],
    )
    assert ["cy@example.net"] == told["deferred"]["to"]


def test_a_crash_is_recorded(post):
    """When the sender dies on the way, the record says in doubt, and then the end."""
    post.hub.replies["DOT"] = post.hub.replies["BDAT"] = "hang"
    name = post.add("one")
    process = post.start()
    until(lambda: post.hub.mails or any("BDAT" in c for c in post.hub.commands))
    process.kill()
    process.wait(20)
    post.hub.replies.clear()
    with post.sender():
        post.drained()

    assert ["in-doubt", "sent"] == [each["state"] for each in known(post, name)]


def test_counters_never_fall(post):
    """What has been counted is counted on by the next sender, for monitoring."""
    for name in ("one", "two"):
        with post.sender():
            post.add(name)
            post.drained()
    told = json.loads((post.spool / "site.json").read_text())

    assert 2 == told["sent"]


def test_a_record_that_cannot_be_written_costs_no_mail(post):
    """Mail goes out, and leaves the queue, though nothing can be recorded."""
    (post.spool / receipts.NAME).mkdir()
    with post.sender():
        post.add("one")
        post.drained()

    assert 1 == len(post.hub.mails)


@pytest.mark.parametrize(
    "word",
    [
        *("n-1", "n-", "-1", "<n-1@box.test>", "n-1@box.test", "N-1@BOX.test"),
        *("ann@example.net", "Ann@Example.NET", "<me@example.org>", "4F2A1"),
    ],
)
def test_what_a_message_is_known_by(machine, word):
    """The id or a part of it, the Message-ID, an address, the mailhub's id."""
    record(
        machine,
        line(),
        line("x-2", to=["z@x.test"], message_id="", queue_id="", **{"from": ""}),
    )
    code, out, err = ctl(machine, "log", word)

    assert (0, "") == (code, err)
    assert out == (
        "n-1: from me@example.org, queued 2026-11-22T14:33:20Z, <n-1@box.test>\n"
        "  2026-11-22T14:34:49Z  ann@example.net: sent: "
        "hub.example:465 said 250 2.0.0 Ok: queued as 4F2A1\n"
    )


def test_the_log_is_also_for_programs(machine):
    """JSON has the messages, each with what it came to, the oldest first."""
    later = line("a-2", time=1795358099, queued=1795358001)
    record(machine, line(state="deferred", reply="450 busy", queue_id=None), later)
    record(machine, name=receipts.OLD)
    with (machine.spool / receipts.NAME).open("a") as file:
        file.write(line(time=1795358111))
    code, out, _ = ctl(machine, "log", "ann@example.net", "--json")
    first, second = json.loads(out)

    assert 0 == code
    assert ["n-1", "a-2"] == [first["id"], second["id"]]
    assert ["deferred", "sent"] == [each["state"] for each in first["events"]]
    assert [None, "4F2A1"] == [each["queue_id"] for each in first["events"]]
    assert "2026-11-22T14:34:49Z" == first["events"][0]["time"]
    assert first["now"] is None


def test_a_message_that_still_waits(machine):
    """What was not tried yet is told with its state, and so is what will be tried."""
    name = queue(machine)
    record(machine, line(name, state="deferred", reply="450 4.2.1 busy"))
    code, out, _ = ctl(machine, "log", name[-9:])
    (as_json,) = json.loads(ctl(machine, "log", "ann@example.net", "--json")[1])

    assert 0 == code
    assert "ann@example.net: deferred: 450 4.2.1 busy\n" in out
    assert out.endswith("\n  now: waiting: not tried yet\n")
    assert ("waiting", 1) == (as_json["now"]["state"], len(as_json["events"]))


def test_what_a_mailhub_calls_a_message_is_all_of_it(machine):
    """Who knows the mailhub's id only is told of every try and of what still waits."""
    name = queue(machine)
    waits = line(
        name, state="deferred", reply="450 4.2.1 busy", queue_id=None, to=["z@x.test"]
    )
    record(machine, waits, line(name), line("x-2", queue_id="4F2A10"))
    by_hub = ctl(machine, "log", "4F2A1")
    by_id = ctl(machine, "log", name)

    assert by_id == by_hub
    assert "z@x.test: deferred: 450 4.2.1 busy\n" in by_hub[1]
    assert "\n  now: waiting: " in by_hub[1]


def test_mailhub_that_calls_all_the_same(post, monkeypatch):
    """However many messages have one name there, the record is read through but once
    more, and no line is compared with each of them."""
    meant = [line(f"n-{n}", queue_id="2.0.0") for n in range(50)]
    tries = [line(f"n-{n}", state="deferred", queue_id=None) for n in range(50)]
    others = [line(f"x-{n}", queue_id=None) for n in range(50)]
    (post.spool / receipts.NAME).write_text("".join([*meant, *tries, *others]))
    words: list[str] = []
    needles = receipts._needles

    def look(word: str) -> list[bytes]:
        words.append(word)
        return needles(word)

    monkeypatch.setattr(receipts, "_needles", look)
    told = [json.loads(each) for each in answers.to("XLOG", "2.0.0", asker(post, 0))]

    assert 2 * [f"n-{n}" for n in range(50)] == [each["id"] for each in told]
    assert ["2.0.0"] * 2 == words


def test_what_was_dropped(machine):
    """Whoever looks for a message that somebody threw away is told so."""
    name = queue(machine)
    ctl(machine, "queue", "drop", name)
    code, out, _ = ctl(machine, "log", name)

    assert 0 == code
    assert out.endswith(f"  ann@example.net: dropped: by uid {os.getuid()}\n")


def test_a_damaged_record(machine):
    """A line that a crash has cut off hides no other, and the next one is whole."""
    name = queue(machine)
    half = line()[:40]
    strange = ['{"to": 5}\n', "[]\n", "n-1\n", '{"n-1": "ann@example.net"}\n']
    strange += [line("a-2", to="ann@example.net"), line("a-3", time=float("inf"))]
    record(machine, half + "\n", *strange, line("a-1", time="n-1"), line(), half)
    ctl(machine, "queue", "drop", name)
    found = json.loads(ctl(machine, "log", "ann@example.net", "--json")[1])

    assert ["n-1", name] == [each["id"] for each in found]


def test_a_record_that_was_put_away(machine):
    """What stands in the older of the two files is found, too, and before the other."""
    record(machine, line(state="deferred", reply="450 x"), name=receipts.OLD)
    record(machine, line(time=1795358100))
    (found,) = json.loads(ctl(machine, "log", "n-1", "--json")[1])

    assert ["deferred", "sent"] == [each["state"] for each in found["events"]]


def test_a_record_that_is_full(post, monkeypatch):
    """A full record is put away, and so it never takes more than twice its size."""
    name = post.add("one")
    entry = post.queue.look(name)
    monkeypatch.setattr(receipts, "SIZE_MOST", 2000)
    for number in range(40):
        receipts.note(str(post.spool), entry, [(0, "deferred", f"450 {number}")])
    numbers = [int(each["reply"][4:]) for each in known(post, name)]
    sizes = [(post.spool / n).stat().st_size for n in (receipts.NAME, receipts.OLD)]

    assert numbers == list(range(numbers[0], 40))
    assert len(numbers) > 4
    assert max(sizes) < 2500


@pytest.mark.parametrize("words", [["log", "nobody"], ["log", "nobody", "--json"]])
def test_nothing_is_known(machine, words):
    """A word that stands for nothing is exit 64, with a sentence."""
    record(machine, line())
    code, out, err = ctl(machine, *words)

    assert 64 == code
    assert "nothing is known of nobody" in err
    assert "the system log has what went out without an agent" in err
    assert out == "" or json.loads(out)["exit"] == 64


@pytest.mark.parametrize("word", ["nobodyé@例.example", "no\\body\U0001f600"])
def test_what_is_not_known_is_said_as_it_was_asked(machine, word):
    """A letter beyond ASCII comes back as it is."""
    code, _, err = ctl(machine, "log", word)
    shown = word.replace("\\", "\\\\")  # as all output has it

    assert 64 == code
    assert f"nothing is known of {shown};" in err


def test_there_is_no_record_yet(machine):
    """Without a record there is what lies in the queue."""
    name = queue(machine)

    assert 64 == ctl(machine, "log", "nobody")[0]
    assert name in ctl(machine, "log", "ann@example.net")[1]


def test_a_record_that_cannot_be_read(machine):
    """It is said that the record cannot be read (75), and why."""
    (machine.spool / receipts.NAME).mkdir()
    code, out, err = ctl(machine, "log", "ann@example.net")

    assert (75, "") == (code, out)
    assert "the record of messages cannot be read: Is a directory" in err


@pytest.mark.parametrize("name", [receipts.NAME, receipts.OLD])
def test_a_pipe_in_the_place_of_the_record(machine, name):
    """Nobody waits for the other end of a pipe, neither who asks nor who writes."""
    os.mkfifo(machine.spool / name)
    queued = queue(machine)
    with Peer(machine.socket) as peer:
        peer.greet()
        (log, drop) = peer.say(f"XLOG {queued}", f"XDROP {queued}")

    assert f'"id": "{queued}"' in log
    assert drop.startswith("250")


def test_two_put_the_record_away(post, monkeypatch):
    """A line is not lost because another process puts the full record away just now."""
    name = post.add("one")
    entry = post.queue.look(name)
    monkeypatch.setattr(receipts, "SIZE_MOST", 1)
    receipts.note(str(post.spool), entry, [(0, "deferred", "450 first")])
    path, old = post.spool / receipts.NAME, post.spool / receipts.OLD
    monkeypatch.setattr(fcntl, "flock", lambda *_: path.rename(old))
    receipts.note(str(post.spool), entry, [(0, "deferred", "450 second")])

    assert ["450 first", "450 second"] == [each["reply"] for each in known(post, name)]


def test_it_leaves_while_somebody_asks(post, monkeypatch):
    """What is sent between the looks into the record and into the queue is found."""
    name = post.add("one")
    entry = post.queue.look(name)
    looked = post.queue.ids

    def ids(owner: int | None) -> Iterator[str]:
        if post.queue.drop(name):
            receipts.note(str(post.spool), entry, [(0, "sent", "250 ok")])
        found: Iterator[str] = looked(owner)
        return found

    monkeypatch.setattr(post.queue, "ids", ids)
    told = [json.loads(text) for text in answers.to("XLOG", name, asker(post))]

    assert ["sent"] == [each["state"] for each in told]


def test_one_question_of_a_user_at_a_time(post):
    """Who asks again and again holds up himself, and nobody else."""
    name = post.add("one")
    told = json.loads(line(name))
    (post.spool / receipts.NAME).write_text(json.dumps({**told, "uid": 1000}) + "\n")
    own, other = asker(post), asker(post, 0)
    begun = answers.to("XLOG", name, own)
    first = [next(begun)]
    again: list[str] = []
    thread = threading.Thread(
        target=lambda: again.extend(answers.to("XLOG", name, own))
    )
    thread.start()
    others = [*answers.to("XLOG", name, other)]
    thread.join(0.2)
    before = [*again]
    first += begun
    thread.join(20)

    assert 2 == len(first) == len(others)
    assert ([], first) == (before, again)


def test_what_was_given_up_and_dropped(post):
    """Who throws away what the mailhub had refused is in the record, too."""
    post.hub.replies = {"RCPT#2": "550 5.1.1 nobody"}
    with post.sender():
        name = post.add("one", "ann@example.net", "bob@example.net")
        until(lambda: list(post.queue.failed_ids(None)))
        until(lambda: len(known(post, name)) == 2)
    list(answers.to("XDROP", name, asker(post)))
    (*_, last) = known(post, name)

    assert ("dropped", ["bob@example.net"]) == (last["state"], last["to"])


def test_a_long_record_and_letters_beyond_ascii(post, monkeypatch):
    """An address is found whatever its case, and few lines are looked at closely."""
    others = [line(to=[f"n{number}@example.net"]) for number in range(500)]
    meant = line("n-2", to=["jürgen@exämple.net"])
    (post.spool / receipts.NAME).write_text("".join([*others, meant, *others]))
    close: list[bytes] = []
    read = receipts._read

    def look(row: bytes) -> receipts.Receipt | None:
        close.append(row)
        return read(row)

    monkeypatch.setattr(receipts, "_read", look)

    assert ["n-2"] == [each["id"] for each in known(post, "JÜRGEN@EXÄMPLE.net")]
    assert 1 == len(close)


@pytest.mark.parametrize("word", ["", "<>", "a\nb", "\udcff", "\x1b[31m"])
def test_no_word(machine, word):
    """What can be no id and no address is wrong usage, and the agent is not asked."""
    code, _, err = ctl(machine, "log", word)

    assert 64 == code
    assert "is no id and no address" in err
    assert "\x1b" not in err


def test_without_an_agent(box):
    """Where no agent is there is no record: 69, for programs too."""
    code, out, err = ctl(box, "log", "ann@example.net", "--json")

    assert (69, 69) == (code, json.loads(out)["exit"])
    assert "system" == json.loads(out)["culprit"]
    assert "there is no agent" in err
    assert "LogFile=" in err


def test_what_a_mailhub_says_moves_no_terminal(machine):
    """A reply or an address with control characters is shown harmlessly."""
    record(
        machine, line(reply="250 \x1b[2J\x9b31m", to=["ann@example.net", "\x1b]0;x"])
    )
    out = ctl(machine, "log", "n-1")[1]

    assert "250 \\u001b[2J\\u009b31m" in out
    assert re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", out) is None


def test_many_recipients(machine):
    """Of many recipients the first are told, and the one that was asked for."""
    to = [f"r{number}@example.net" for number in range(5000)]
    record(machine, line(to=to))
    (found,) = json.loads(ctl(machine, "log", "r4999@example.net", "--json")[1])
    (event,) = found["events"]

    assert (11, 5000) == (len(event["to"]), event["recipients"])
    assert ("r0@example.net", "r4999@example.net") == (event["to"][0], event["to"][-1])


@needs_root
def test_everybody_sees_the_own_mail(machine):
    """A user is told of the own messages, root of all."""
    record(machine, line("n-1", uid=ALICE), line("n-2", uid=BOB))
    words = ("log", "ann@example.net", "--json")
    conf = str(machine.conf)
    runs = [
        machine.sendmail(
            *words, program="ssmtpctl", conf=Path(), SSMTP_CONF=conf, uid=uid
        )
        for uid in (ALICE, BOB, 65534, None)
    ]
    told = [json.loads(run.stdout) for run in runs]

    assert ["n-1"] == [each["id"] for each in told[0]]
    assert ["n-2"] == [each["id"] for each in told[1]]
    assert 77 == told[2]["exit"]
    assert ["n-1", "n-2"] == [each["id"] for each in told[3]]


def test_what_was_kept_is_not_in_the_log(machine):
    """What no agent has had is in the queue's list, where the sentence leads."""
    name = keep(machine)
    code, _, err = ctl(machine, "log", name)

    assert 64 == code
    assert "`ssmtpctl queue`" in err


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """A process of the agent on a machine without a system log."""
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "none"))
    monkeypatch.setattr(journal, "lasting", True)
    monkeypatch.setattr(journal, "otherwise", None)
    monkeypatch.setenv(aside.WANTED, "1")
    aside.begin()
    monkeypatch.setattr(journal, "_log", None)
    monkeypatch.setattr(journal, "_nobody_until", 0.0)


def test_without_a_system_log(alone, capfd):
    """Where there is no system log, as in a container, standard error has each line,
    once."""
    journal.note("first")
    journal.note("second \x1b[31m")
    tell("third")

    begin = f"ssmtp[{os.getpid()}]: "
    said = capfd.readouterr().err.splitlines()
    assert [begin + w for w in ("first", "second \\x1b[31m", "third")] == said


def test_with_another_supervisor(monkeypatch):
    """A half that systemd or somebody else has started has its stderr left alone."""
    monkeypatch.setattr(journal, "otherwise", None)
    monkeypatch.delenv(aside.WANTED, raising=False)
    aside.begin()

    assert journal.otherwise is None


def test_nobody_waits_for_standard_error(alone, monkeypatch):
    """A pipe that is full, or that nobody reads any more, holds no mail up."""
    reading, writing = os.pipe()
    monkeypatch.setattr(aside, "STDERR", writing)
    for _ in range(3000):
        journal.note("x" * 100)
    os.set_blocking(reading, False)
    got = os.read(reading, 1 << 20)
    os.close(reading)
    journal.note("nobody")
    os.close(writing)
    journal.note("closed")

    assert 50_000 < len(got) < 300_000


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
@pytest.mark.parametrize("size", [900, 5000])
def test_reader_that_hangs(kind, size):
    """Nobody waits for who does not read standard error, however long the lines are."""
    ours, its = os.pipe() if kind == "pipe" else pty.openpty()
    line = f"{size} * 'x' + '\\n'"
    words = f"from ssmtp.agent import aside\nfor _ in range(200): aside.write({line})"
    try:
        code = subprocess.run(
            [sys.executable, "-c", words],
            env={"PYTHONPATH": str(ROOT / "src")},
            stderr=its,
            timeout=10,
        ).returncode
        said = os.read(ours, 900)
    finally:
        os.close(ours)
        os.close(its)

    assert (0, b"x" * 900) == (code, said)
