"""What users have asked for, counted by several processes in one table."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import threading

import pytest

from ssmtp.agent.tally import MINUTE, USERS, Tally

ALICE, BOB = 1001, 1002


def test_tokens_come_back():
    """A burst takes all tokens; they come back evenly within a minute."""
    tally = Tally()

    assert [True, True, False] == [tally.take(ALICE, 100.0, 2) for _ in range(3)]
    assert tally.take(BOB, 100.0, 2)
    assert not tally.take(ALICE, 100.0 + MINUTE / 2 - 1, 2)
    assert tally.take(ALICE, 100.0 + MINUTE / 2, 2)


def test_what_was_added():
    """Messages and octets of each user are summed up."""
    tally = Tally()
    tally.add(ALICE, 5)
    tally.take(ALICE, 100.0, 2)
    tally.add(ALICE, 7)

    assert (2, 12) == tally.added(ALICE)
    assert (0, 0) == tally.added(BOB)


def test_what_is_being_queued():
    """A message counts from the moment it comes, once, and no more when it has gone."""
    tally = Tally()
    tally.add(ALICE, 5)
    found = [tally.come(ALICE, 7), tally.come(ALICE, 8), tally.come(BOB, 9)]
    tally.go(ALICE, 7)
    found.append(tally.come(ALICE, 1))

    assert [(1, 5), (2, 12), (0, 0), (2, 13)] == found
    assert (1, 5) == tally.added(ALICE)


def _forked(tally: Tally, *octets: int) -> int:
    """Let a process of its own begin to queue messages of Alice's, and die."""
    pid = os.fork()
    if not pid:
        tally.forked()
        for size in octets:
            tally.come(ALICE, size)
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_who_has_died_takes_no_place():
    """What one who has died was queueing is in the files or nowhere; others' stay."""
    tally = Tally(shared=True)
    tally.add(ALICE, 5)
    tally.take(ALICE, 100.0, 1)
    tally.come(ALICE, 7)
    dead, hung = _forked(tally, 10, 20), _forked(tally, 100)
    before = tally.come(BOB, 1), tally.come(ALICE, 0)
    tally.go(ALICE, 0)
    tally.died(dead)
    tally.died(dead)
    added = tally.added(ALICE)
    after = [tally.come(ALICE, 8)]
    for octets in (7, 8):
        tally.go(ALICE, octets)
    after.append(tally.come(ALICE, 9))
    tally.died(hung)

    assert ((0, 0), (5, 142)) == before
    assert (3, 35) == added
    assert [(5, 142), (4, 135)] == after
    assert (4, 135) == tally.added(ALICE)
    assert not tally.take(ALICE, 100.0, 1)


def test_death_of_one_that_never_came():
    """Who dies before he has counted anything changes nothing."""
    tally = Tally(shared=True)
    tally.come(ALICE, 7)
    tally.died(12345)

    assert (1, 7) == tally.come(ALICE, 8)


def test_table_is_full():
    """When there are too many users, who sent nothing for longest is forgotten."""
    tally = Tally()
    for uid in range(USERS + 1):
        tally.take(uid, 100.0 + uid, 1)
    last = 100.0 + USERS

    assert tally.take(0, last, 1)  # nothing is known of the first one any more
    assert not tally.take(USERS, last, 1)
    assert not tally.take(USERS - 1, last, 1)


def test_processes_and_threads_together():
    """Nobody gets more tokens, and nothing is lost, however many count at once."""
    tally = Tally(shared=True)
    read, write = os.pipe()
    children = []
    for _ in range(2):
        pid = os.fork()
        if not pid:
            threads = [
                threading.Thread(target=_count, args=(tally, write)) for _ in range(3)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            os._exit(0)
        children.append(pid)
    os.close(write)
    for pid in children:
        os.waitpid(pid, 0)
    with open(read, "rb") as taken:
        tokens = len(taken.read())

    assert 500 == tokens
    assert (1200, 3600) == tally.added(ALICE)


def _count(tally: Tally, write: int) -> None:
    for _ in range(200):
        tally.add(ALICE, 3)
        if tally.take(ALICE, 100.0, 500):
            os.write(write, b"x")


def test_lock_dies_with_its_holder():
    """A process that is killed while it counts stops nobody."""
    tally = Tally(shared=True)
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        tally._lock.__enter__()
        os.write(write, b"x")
        threading.Event().wait()
    os.read(read, 1)
    os.kill(pid, 9)
    tally.add(ALICE, 1)
    os.waitpid(pid, 0)
    os.close(read)
    os.close(write)

    assert (1, 1) == tally.added(ALICE)


def test_lock_of_one_that_hangs():
    """Who hangs at the wrong moment stops nobody for longer than a moment."""
    tally = Tally(shared=True)
    tally.add(ALICE, 5)
    out, into = os.pipe()
    pid = os.fork()
    if not pid:
        with tally._lock:
            os.write(into, b"!")
            while True:
                signal.pause()
    os.read(out, 1)
    found: list[tuple[int, int]] = []

    def count() -> None:
        for _ in range(1000):
            tally.add(ALICE, 5)
        found.append(tally.added(ALICE))

    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    thread.join(20)
    in_time = list(found)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    thread.join()
    os.close(out)
    os.close(into)

    assert [(1001, 5005)] == in_time


def test_no_locks_left(monkeypatch):
    """Where the system has no lock to give, counting goes on without one."""
    tally = Tally(shared=True)

    def lockf(fd: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", lockf)
    tally.add(ALICE, 1)
    tally.add(ALICE, 2)

    assert (2, 3) == tally.added(ALICE)


@pytest.mark.parametrize("shared", [False, True])
def test_counted_together(shared):
    """What is counted in one go is there for others when all of it is."""
    tally = Tally(shared=shared)
    tally.add(ALICE, 1)
    found: list[tuple[int, int]] = []
    other = threading.Thread(target=lambda: found.append(tally.come(ALICE, 0)))
    with tally.together():
        tally.add(ALICE, 5)
        other.start()
        other.join(0.05)
        tally.add(ALICE, 7)
        tally.go(ALICE, 0)
    other.join(10)

    assert [(3, 13)] == found
    assert (3, 13) == tally.added(ALICE)
