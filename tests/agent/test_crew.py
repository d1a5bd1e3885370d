"""A backlog is carried by several processes: real ones, and a real mailhub."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ssmtp import configfile
from ssmtp.agent import crew
from ssmtp.agent import mate as mates_own
from ssmtp.agent.crew import Line
from ssmtp.agent.link import Ear
from ssmtp.agent.sender import Sender
from ssmtp.errors import SystemTrouble
from tests.agent import sending
from tests.agent.sending import PYTHON, ROOT, Mailhub, Post, until

pytestmark = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="there is one processor only"
)

MANY = 150  # more than the sender keeps for itself


class Gate(dict[str, str]):
    """Replies of a mailhub that says what it thinks of a content when it may.

    `held` are the connections that wait, counted from 1, and `key` is where.
    """

    def __init__(self) -> None:
        self.held = {*range(1, 100)}
        self.key = "DOT"
        self.opened = threading.Event()
        self.here = threading.local()

    def get(self, key: str, default: Any = None) -> Any:
        if key == self.key and self.here.number in self.held:
            assert self.opened.wait(60)
        return super().get(key, default)


class Doorkeeper(Mailhub):
    """A mailhub with such a gate."""

    def _serve(self, connection: Any) -> None:
        assert isinstance(self.replies, Gate)
        self.replies.here.number = self.connections
        super()._serve(connection)


class Second(Gate):
    """Greets the second connection late; the first is not over before that one came."""

    def __init__(self) -> None:
        super().__init__()
        self.key, self.held = "GREETING", {2}
        self.came = threading.Event()
        self.contents = 0

    def get(self, key: str, default: Any = None) -> Any:
        if key == "GREETING" and self.here.number == 2:
            self.came.set()
        self.contents += key == "DOT"
        if self.contents == 20:
            assert self.came.wait(60)
        return super().get(key, default)


@pytest.fixture
def gate(request: pytest.FixtureRequest) -> Gate:
    kind: type[Gate] = getattr(request, "param", Gate)
    return kind()


@pytest.fixture
def post(tmp_path: Path, gate: Gate) -> Iterator[Post]:
    hub = Doorkeeper(replies=gate)
    hub.start()
    made = Post(tmp_path, hub)
    configure(made, 4)
    try:
        yield made
    finally:
        gate.opened.set()
        made.end()
        hub.stop()


def configure(post: Post, connections: int, *lines: str) -> None:
    often = "MessagesPerConnection=100000"
    post.configure(f"Connections={connections}", often, *lines)


def mates(pid: int) -> list[int]:
    """Return the processes that a sender has made."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            facts = path.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(facts[1]) == pid:
            found.append(int(path.parent.name))
    return found


def ended(pid: int) -> bool:
    try:
        facts = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
    except OSError:
        return True
    return facts.startswith("Z")  # nobody has asked for its exit code


def carried(post: Post) -> dict[int, set[str]]:
    """Return which process has which messages: who has the lock on the file."""
    names = {item.stat().st_ino: item.name for item in (post.spool / "queue").iterdir()}
    found: dict[int, set[str]] = {}
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        name = names.get(int(words[5].rpartition(":")[2]))
        if words[1] == "FLOCK" and name is not None:
            found.setdefault(int(words[4]), set()).add(name)
    return found


def fill(post: Post, begin: int = 0) -> list[str]:
    return [post.add(f"m{number}") for number in range(begin, begin + MANY)]


def arrived(post: Post) -> Counter[str]:
    return Counter(mail.field("Subject")[0] for mail in post.hub.mails)


IMPATIENT = "carrier.STOP_SECONDS = sender.MATE_SECONDS = crew.HUNG = 0.5"


def start_with(post: Post, change: str) -> subprocess.Popen[bytes]:
    """Start a sender after a change to its modules."""
    words = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        f"from ssmtp.agent import carrier, crew, forks, memory, sender; {change};"
        "sys.exit(sender.run(sys.argv[2], sys.argv[3], None))"
    )
    places = (str(ROOT / "src"), str(post.conf), str(post.spool))
    process = subprocess.Popen([PYTHON, "-IS", "-c", words, *places])
    post.processes.append(process)
    return process


def both_carry(
    post: Post, *, each: int = 2, impatient: bool = False
) -> tuple[int, int]:
    """Start a sender, wait until all connections are in use; return it and its mate.

    That is when a message has begun on each. An impatient one waits for no mate that
    hangs.
    """
    sender = (start_with(post, IMPATIENT) if impatient else post.start()).pid

    def busy() -> bool:
        found = [*carried(post).values()]
        begun = {entry.id for entry in post.entries() if entry.crashed}
        return [each, each] == [len(names & begun) for names in found]

    until(busy)
    (mate,) = {*carried(post)} - {sender}
    return sender, mate


def subjects(post: Post, names: set[str]) -> set[str]:
    entries = [entry for entry in post.entries() if entry.id in names]
    return {entry.message_id.strip("<").partition("@")[0] for entry in entries}


EVERYTHING = {f"m{number}" for number in range(MANY)}


def test_backlog(post: Post, gate: Gate) -> None:
    """Two processes carry a backlog over the connections allowed, each message once."""
    fill(post)
    both_carry(post)
    until(lambda: post.site().get("connections") == 4)
    gate.opened.set()
    post.drained()
    until(lambda: len(post.logged()) == MANY)

    assert dict.fromkeys(EVERYTHING, 1) == arrived(post)
    assert 4 == post.hub.connections
    assert Counter(sent=MANY) == Counter(line["event"] for line in post.logged())


def test_few_messages_wake_nobody(post: Post, gate: Gate) -> None:
    """What the sender's own connections can take is not handed out."""
    gate.opened.set()
    for number in range(20):
        post.add(f"m{number}")
    sender = post.start().pid
    post.drained()
    (mate,) = mates(sender)

    tasks = [*Path(f"/proc/{mate}/task").iterdir()]
    assert 1 == len(tasks)


def test_what_is_not_ordinary(post: Post, gate: Gate, tmp_path: Path) -> None:
    """Messages with a mailhub of their own reach it from the midst of a backlog."""
    gate.opened.set()
    other = Mailhub()
    other.start()
    for number in range(MANY):
        own = [] if number % 3 else [f"127.0.0.1:{other.port}"]
        post.add(f"m{number}", mailhubs=own)
    post.start()
    post.drained()
    other.stop()

    there = Counter(mail.field("Subject")[0] for mail in other.mails)
    assert dict.fromkeys((f"m{n}" for n in range(0, MANY, 3)), 1) == there
    assert dict.fromkeys(EVERYTHING - {*there}, 1) == arrived(post)


@pytest.mark.parametrize("hangs", ["connection", "process"])
def test_nothing_waits_for_a_slow_mate(post: Post, gate: Gate, hangs: str) -> None:
    """What a mate has not begun goes out, though its connection or itself hangs."""
    configure(post, 2)
    if hangs == "connection":
        gate.held = {2}
        fill(post)
        post.start()
    else:
        fill(post)
        _, mate = both_carry(post, each=1)
        os.kill(mate, signal.SIGSTOP)
        gate.opened.set()
    until(lambda: post.queue.count() == 1)

    assert EVERYTHING == {*arrived(post)} | subjects(post, {*post.queue.ids()})
    if hangs == "process":
        os.kill(mate, signal.SIGCONT)
    gate.opened.set()
    post.drained()
    assert dict.fromkeys(EVERYTHING, 1) == arrived(post)


def test_mate_is_killed(post: Post, gate: Gate) -> None:
    """A mate's death loses nothing; twice comes only what it was sending, in doubt."""
    fill(post)
    sender, mate = both_carry(post)
    theirs = carried(post)[mate]
    doubtful = subjects(post, theirs)
    os.kill(mate, signal.SIGKILL)
    until(lambda: mate not in mates(sender))
    gate.opened.set()
    post.drained()

    assert EVERYTHING == {*arrived(post)}
    twice = {name for name, times in arrived(post).items() if times > 1}
    assert twice <= doubtful
    lines = [line for line in post.logged() if line["event"] == "failed"]
    assert theirs == {line["id"] for line in lines if line["in_doubt"]}


def test_sender_is_killed(post: Post, gate: Gate) -> None:
    """Its mate ends what it has begun, and itself; the next sender does the rest."""
    fill(post)
    sender, mate = both_carry(post)
    doubtful = subjects(post, carried(post)[sender])
    os.kill(sender, signal.SIGKILL)
    post.processes[0].wait(20)
    gate.opened.set()
    until(lambda: ended(mate))
    begun = post.queue.count()
    post.start()
    post.drained()

    assert MANY - 2 == begun
    assert EVERYTHING == {*arrived(post)}
    assert {name for name, times in arrived(post).items() if times > 1} <= doubtful


def test_end_in_order(post: Post, gate: Gate) -> None:
    """SIGTERM to all of them lets what is under way come to its end, and no more."""
    fill(post)
    sender, mate = both_carry(post)
    for pid in (mate, sender):
        os.kill(pid, signal.SIGTERM)
    gate.opened.set()

    assert 0 == post.processes[0].wait(20)
    assert ended(mate)
    # A mate may be faster than what it is told.
    assert 4 <= len(post.hub.mails) == MANY - post.queue.count() < MANY
    assert not any(entry.crashed for entry in post.entries())


def test_hung_mate_at_the_end(post: Post, gate: Gate) -> None:
    """A mate that hangs is killed in the end, and what it had is sent again."""
    fill(post)
    sender, mate = both_carry(post, impatient=True)
    theirs = carried(post)[mate]
    os.kill(mate, signal.SIGSTOP)
    os.kill(sender, signal.SIGTERM)
    gate.opened.set()

    assert 0 == post.processes[0].wait(20)
    assert ended(mate)
    assert theirs == {entry.id for entry in post.entries() if entry.crashed}


def test_mate_that_hangs_for_long(post: Post, gate: Gate) -> None:
    """A mate that does not answer is killed, and what it had is sent again."""
    fill(post)
    sender, mate = both_carry(post, impatient=True)
    theirs = carried(post)[mate]
    os.kill(mate, signal.SIGSTOP)
    gate.opened.set()
    until(lambda: post.queue.count() == len(theirs))
    post.processes[0].send_signal(signal.SIGHUP)
    until(lambda: mate not in mates(sender))
    post.drained()

    assert EVERYTHING == {*arrived(post)}
    assert theirs == {line["id"] for line in post.logged() if line.get("in_doubt")}


def test_password_refused_to_a_mate(post: Post, gate: Gate) -> None:
    """One refusal counts for all: nobody tries the password again."""
    post.hub.users["me"] = "pw-12345"
    configure(post, 2, "AuthUser=me", "AuthPass=pw-12345")
    post.add("first")
    sender = post.start()
    until(lambda: carried(post))
    gate["AUTH"] = "535 5.7.8 wrong"
    fill(post)
    sender.send_signal(signal.SIGHUP)
    until(lambda: post.site()["kind"] == "auth")
    sender.send_signal(signal.SIGHUP)
    gate.opened.set()
    post.drained()

    assert 1 == len(post.site()["refusals"])
    assert 2 == post.hub.connections
    assert dict.fromkeys({"first", *EVERYTHING}, 1) == arrived(post)


@pytest.mark.parametrize("asked", [True, False])
def test_another_mailhub_in_a_drain(post: Post, gate: Gate, asked: bool) -> None:
    """A new Mailhub= holds for the next message of each process."""
    fill(post)
    sender, _ = both_carry(post)
    begun = {name for names in carried(post).values() for name in names}
    other = Mailhub()
    other.start()
    often = "MessagesPerConnection=100000"
    post.configure("Connections=4", often, mailhub=f"127.0.0.1:{other.port}")
    if asked:
        os.kill(sender, signal.SIGHUP)
    until(lambda: len(other.mails) > 1)
    gate.opened.set()
    post.drained()
    other.stop()

    assert len(begun) == len(post.hub.mails)
    assert MANY - len(begun) == len(other.mails)


def test_trouble_of_a_mate(post: Post, gate: Gate) -> None:
    """What a mate met with has the exit code that the direct way has for it."""
    gate["GREETING"] = "554 5.3.2 no mail here"
    config = configfile.load(str(post.conf))
    jobs = {"jobs": [post.add("m0")], "forced": [], "most": 1}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        there = mates_own.Mate(theirs, config, post.queue)
        thread = threading.Thread(target=there.run, args=(json.dumps(jobs).encode(),))
        thread.start()
        ours.settimeout(20)
        word = json.loads(ours.recv(mates_own.PACKET_MOST))
        while "trouble" not in word:
            word = json.loads(ours.recv(mates_own.PACKET_MOST))
        ours.shutdown(socket.SHUT_WR)
        thread.join(20)
        made = Sender(config, post.queue, Ear(None))
        made.crew._heard(Line(0, ours), word)
        made.commits.close()
        made.ear.close()

    assert 69 == made.default.site.record(0, 0)["exit"]


@pytest.mark.parametrize("why", ["recall", "trouble"])
def test_mate_tries_nothing_early_that_it_gave_back(post: Post, why: str) -> None:
    """That a message was to be tried at once is forgotten by who gives it back."""
    name = post.add("m0")
    claim = post.queue.claim(name)
    assert claim is not None
    with claim:
        claim.settle([(0, "deferred", "450 4.2.0 later")], time.time() + 3600)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        there = mates_own.Mate(theirs, configfile.load(str(post.conf)), post.queue)
        jobs = {"jobs": [name], "forced": [name], "most": 1}
        there._heard(json.dumps(jobs).encode())
        if why == "recall":
            there._heard(b'{"recall": true}')
        else:
            there.disk_trouble(SystemTrouble("no disk"))
        there._heard(json.dumps({**jobs, "forced": []}).encode())
        tried = there.next_claim(there.default)
        there.commits.close()

    assert tried is None
    assert [name] == there._word["yours"]


@pytest.mark.parametrize("waiting", [54, 150, 300, 2000])
def test_all_mates_have_their_share(post: Post, waiting: int) -> None:
    """Of what waits each mate is handed as much as any other, as far as it divides."""
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(3)]
    lines = [Line(0, ours) for ours, _ in pairs]
    made = Sender(configfile.load(str(post.conf)), post.queue, Ear(None), lines)
    made.default.jobs.extend(str(number) for number in range(waiting))
    made.crew._hand_out()
    for pair in pairs:
        for end in pair:
            end.close()
    made.commits.close()
    made.ear.close()

    shares = sorted(len(line.out) for line in lines)
    assert shares[-1] - shares[0] <= 2
    assert min(waiting - crew.BACKLOG, 3 * crew.BATCH) == sum(shares)


def runs(post: Post, pid: int) -> bool:
    """Tell whether this sender has begun to work."""
    path = post.spool / "site.json"
    return path.exists() and json.loads(path.read_text())["pid"] == pid


@pytest.mark.slow
@pytest.mark.parametrize("gate", [Second], indirect=True, ids=["late"])
def test_mate_that_hangs_while_it_logs_in(post: Post, gate: Gate) -> None:
    """It is killed in the end, for nobody else may log in meanwhile."""
    post.hub.users["me"] = "pw-12345"
    often = "MessagesPerConnection=60"
    post.configure("Connections=2", often, "AuthUser=me", "AuthPass=pw-12345")
    fill(post)
    sender = start_with(post, f"{IMPATIENT}; forks.wanted = lambda: 1")
    until(lambda: post.hub.connections == 2)
    (mate,) = mates(sender.pid)
    os.kill(mate, signal.SIGSTOP)
    post.drained()

    assert dict.fromkeys(EVERYTHING, 1) == arrived(post)
    assert mate not in mates(sender.pid)


class Forgetful(dict[str, str]):
    """Replies of a mailhub that knows the password no more from some moment on.

    It thinks about AUTH for a while. `refused` is how often it has refused it.
    """

    def __init__(self, known: int) -> None:
        self.known = known
        self.refused = 0
        self.hub: Mailhub | None = None

    def __contains__(self, key: object) -> bool:
        assert self.hub is not None
        return key == "AUTH" and len(self.hub.mails) >= self.known

    def get(self, key: str, default: Any = None) -> Any:
        if key != "AUTH":
            return super().get(key, default)
        self.refused += 1
        threading.Event().wait(0.05)
        return "535 5.7.8 wrong"


def refused_again(post: Post, pid: int, replies: Forgetful, tries: int) -> None:
    """Wait until this sender knows that the password was refused so many times."""
    until(lambda: runs(post, pid) and post.site()["kind"] == "auth")
    until(lambda: replies.refused == tries)


@pytest.mark.parametrize("others", [0, 1, 3])
def test_password_changed_in_a_drain(tmp_path: Path, others: int) -> None:
    """AUTH is tried at most twice an hour, by all processes and all runs together."""
    replies = Forgetful(60)
    with sending.post(tmp_path, users={"me": "pw-12345"}, replies=replies) as post:
        replies.hub = post.hub
        # A mate that was recalled may have had one message on a connection.
        lines = ("Connections=8", "MessagesPerConnection=2", "IdleTimeout=1s")
        post.configure(*lines, "AuthUser=me", "AuthPass=pw-12345")
        fill(post)
        for tries in (1, 2, 2):
            often = "memory.EVERY = 0.2"  # connections that end are no news
            sender = start_with(post, f"forks.wanted = lambda: {others}; {often}")
            refused_again(post, sender.pid, replies, tries)
            sender.send_signal(signal.SIGHUP)
            until(lambda: post.site()["connections"] == 0)
            sender.terminate()
            assert 0 == sender.wait(20)

            assert tries == replies.refused == len(post.site()["refusals"])
        everything = {*arrived(post)} | subjects(post, {*post.queue.ids()})
        assert EVERYTHING == everything
        assert 1 == max(arrived(post).values())


@pytest.mark.slow
def test_outcomes_of_many_recipients(
    post: Post, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What became of messages to thousands of people finds its way to the sender."""
    monkeypatch.setattr(mates_own, "REPORT_SECONDS", 30.0)
    gate["RCPT"] = "451 4.3.0 later"
    people = [f"r{number}@x.test" for number in range(3500)]
    names = [post.add(f"m{number}", *people) for number in range(8)]
    jobs = {"jobs": names, "forced": [], "most": 8}
    over: list[str] = []
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        there = mates_own.Mate(theirs, configfile.load(str(post.conf)), post.queue)
        thread = threading.Thread(target=there.run, args=(json.dumps(jobs).encode(),))
        thread.start()
        ours.settimeout(20)
        while len(over) < len(names):
            word = json.loads(ours.recv(mates_own.PACKET_MOST))
            over += [found[0] for found in word["over"]]
        ours.shutdown(socket.SHUT_WR)
        thread.join(20)

    assert {*names} == {*over}
