"""The further processes of the acceptor: who holds a session makes no difference."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from ssmtp.agent import link
from tests.agent.agents import STRANGERS, Box, Peer
from tests.agent.agents import box as boxes

pytestmark = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="one processor, so one process"
)


@pytest.fixture
def box() -> Iterator[Box]:
    """A box with an acceptor in it."""
    with boxes() as made:
        made.configure("MaxConnections=50")
        made.start()
        yield made


def clerks(box: Box) -> list[int]:
    """The processes that the acceptor has forked."""
    assert box.process is not None
    pid = box.process.pid
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def connections(pid: int) -> int:
    """How many Unix sockets a process has open."""
    names = os.listdir(f"/proc/{pid}/fd")
    return sum(os.readlink(f"/proc/{pid}/fd/{n}").startswith("socket:") for n in names)


def until(done: Callable[[], bool], what: str) -> None:
    """Wait for something to become so."""
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def several(box: Box, count: int = 8) -> list[Peer]:
    """Open connections, each of which has been greeted."""
    return [Peer(box.socket).greet() for _ in range(count)]


def close(peers: list[Peer]) -> None:
    for peer in peers:
        peer.close()


def test_sessions_are_spread(box):
    """Many sessions at a time are held by all processes, and all of them take mail."""
    before = [connections(pid) for pid in clerks(box)]
    peers = several(box)
    held = [connections(pid) for pid in clerks(box)]
    answers = [peer.message()[2] for peer in peers]
    close(peers)

    assert before
    assert all(now > then for then, now in zip(before, held, strict=True))
    assert {"250"} == {answer[:3] for answer in answers}
    assert len(peers) == len(box.entries())


def test_one_session_wakes_nobody(box):
    """What comes one by one is taken by the first process alone."""
    before = [connections(pid) for pid in clerks(box)]
    with Peer(box.socket).greet() as peer:
        held = [connections(pid) for pid in clerks(box)]
        answer = peer.message()[2]

    assert before == held
    assert "250" == answer[:3]


def test_clerk_is_killed(box):
    """What a killed process had acknowledged is queued, and its places are free."""
    box.stop()
    box.configure("MaxConnections=8")
    box.start()
    peers = several(box)
    answers = [peer.message()[2] for peer in peers]
    killed = clerks(box)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not clerks(box), "the acceptor does not notice")
    lost = sum(not _talks(peer) for peer in peers)
    again = several(box, lost)
    answers += [peer.message()[2] for peer in again]
    close(again)
    close(peers)

    assert 0 < lost < len(peers)
    assert {"250"} == {answer[:3] for answer in answers}
    assert len(peers) + lost == len(box.entries())
    assert f"a process of the acceptor ({killed[0]}) has died" in box.log()


def _talks(peer: Peer) -> bool:
    try:
        return peer.say("NOOP") != [""]
    except OSError:
        return False


def test_acceptor_is_killed(box):
    """Nobody of a killed acceptor stays, and the next one finds its place free."""
    assert box.process is not None
    peers = several(box)
    left = clerks(box)
    box.process.kill()
    box.process.wait()
    answers = [peer.reply() for peer in peers]
    until(lambda: not any(map(_lives, left)), "a process stays")
    box.start()
    with Peer(box.socket).greet() as peer:
        taken = peer.message()[2]
    close(peers)

    assert {"", "421"} == {answer[:3] for answer in answers}
    assert "250" == taken[:3]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


def test_message_under_way_at_the_end(box):
    """Whoever holds it, what is under way is taken, idle sessions hear 421."""
    idle = several(box)
    busy = several(box)
    for peer in busy:
        peer.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
        peer.socket.sendall(b"BDAT 21 LAST\r\nSubject: x\r\n")

    def rest() -> None:
        for peer in busy:
            peer.socket.sendall(b"\r\nhello\r\n")

    timer = threading.Timer(0.3, rest)
    timer.start()
    code = box.stop()
    heard = [peer.reply()[:3] for peer in idle]
    taken = [(peer.reply()[:3], peer.reply()[:3]) for peer in busy]
    close([*idle, *busy])

    assert 0 == code
    assert {"421"} == set(heard)
    assert {("250", "421")} == set(taken)
    assert len(busy) == len(box.entries())


_SEND = """
import socket, sys
def reply(stream):
    while (line := stream.readline())[3:4] == b"-":
        pass
    return line[:3].decode()
peers = []
for _ in range(8):
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(sys.argv[1])
    peers.append((peer, peer.makefile("rb")))
for peer, stream in peers:
    reply(stream)
    peer.sendall(b"EHLO x\\r\\n")
    reply(stream)
for _ in range(2):
    for peer, stream in peers:
        peer.sendall(b"RSET\\r\\nMAIL FROM:<>\\r\\n")
        reply(stream)
        print(reply(stream))
        peer.sendall(b"RCPT TO:<c@d.example>\\r\\nBDAT 14 LAST\\r\\n")
        peer.sendall(b"Subject: x\\r\\n\\r\\n")
        reply(stream)
        reply(stream)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for another user")
@pytest.mark.parametrize("limit", ["MaxMessagesPerMinute=5", "MaxQueuedMessages=5"])
def test_limits_hold_for_all_processes_together(box, limit):
    """A user gets no more by asking several processes."""
    box.stop()
    box.configure("MaxConnections=50", limit)
    box.start()
    done = subprocess.run(
        [sys.executable, "-IS", "-c", _SEND, str(box.socket)],
        capture_output=True,
        text=True,
        check=True,
        user=STRANGERS[0],
        group=STRANGERS[0],
        extra_groups=[],
        timeout=50,
    )
    answers = done.stdout.split()

    assert 5 == len(box.entries())
    assert ["250"] * 5 == [answer for answer in answers if answer == "250"]
    assert 16 == len(answers)


def test_wait_at_a_clerk(box):
    """Any process tells the sender of a message, and tells --wait what became of it."""
    ear = link.Ear(str(box.socket.parent / "sender.sock"))
    assert [{"flush": None, "rescan": True}] == ear.words(5)
    peers = several(box, 2)  # these are the first process's
    before = [connections(pid) for pid in clerks(box)]
    during: list[int] = []

    def sender() -> None:
        for word in ear.words(20):
            during.extend(connections(pid) for pid in clerks(box))
            ear.done(word["new"], 550, "5.1.1", "no such user")

    thread = threading.Thread(target=sender)
    thread.start()
    done = box.sendmail("--wait", "a@b.example")
    thread.join()
    plain = box.sendmail("a@b.example")
    said = ear.words(20)
    ear.close()
    close(peers)

    assert sum(during) > sum(before)
    assert (67, 0) == (done.returncode, plain.returncode)
    assert b"no such user" in done.stderr
    assert [["new"]] == [list(word) for word in said]


def test_one_processor():
    """Where there is one processor there is one process."""
    with boxes() as made:
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(mine)})
        try:
            made.start()
        finally:
            os.sched_setaffinity(0, mine)
        peers = several(made, 5)
        answers = [peer.message()[2] for peer in peers]
        close(peers)

        assert [] == clerks(made)
    assert {"250"} == {answer[:3] for answer in answers}
