"""How much of the queue each user has: true at once, or soon, and cheap to know."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ssmtp.agent.tally import Tally
from ssmtp.spool import queueusage
from ssmtp.spool.queue import Draft, Queue, Recipient

CONTENT = b"Subject: test\r\n\r\n"


@pytest.fixture
def open_queue(tmp_path: Path) -> Iterator[Callable[[], Queue]]:
    """Open the same queue again and again, as several processes would."""
    opened: list[Queue] = []

    def again() -> Queue:
        opened.append(Queue.open(str(tmp_path), make=True))
        return opened[-1]

    yield again
    for queue in opened:
        queue.close()


def add(queue: Queue, uid: int = 1000) -> str:
    draft = Draft(uid, "bob", "b@example.org", [Recipient("a@example.org")])
    return queue.add(draft, [CONTENT])


def comes(queue: Queue, usage: tuple[int, int]) -> bool:
    """Wait until this is what user 1000 has."""
    deadline = time.monotonic() + 10
    while queue.usage(1000) != usage:
        if time.monotonic() > deadline:
            return False
        os.sched_yield()
    return True


def test_what_others_add_counts_soon(open_queue: Callable[[], Queue]) -> None:
    """The processes that share a queue see each other's messages come and go."""
    queue, other = open_queue(), open_queue()
    own = add(queue)
    size = queue.usage(1000)[1]

    assert (1, size) == queue.usage(1000)
    names = [add(other), add(other)]
    assert comes(queue, (3, 3 * size))
    for name in (own, *names):
        assert other.drop(name)
    assert comes(queue, (0, 0))
    assert (0, 0) == queue.usage(7)


def test_what_fails_and_comes_back(open_queue: Callable[[], Queue]) -> None:
    """A failed message is one no longer; when it is requeued, it is one again."""
    queue, other = open_queue(), open_queue()
    name = add(queue)
    assert 1 == queue.usage(1000)[0]
    claim = other.claim(name)
    assert claim is not None
    claim.to_failed("no")
    failed = os.stat(name, dir_fd=other.failed.fd).st_size

    assert comes(queue, (0, failed))
    assert other.requeue(name)
    requeued = os.stat(name, dir_fd=other.queue.fd).st_size
    assert comes(queue, (1, requeued))


def test_what_is_requeued_counts_at_once(open_queue: Callable[[], Queue]) -> None:
    """Who requeues what has failed has one message more, and no octets."""
    queue = open_queue()
    claim = queue.claim(add(queue))
    assert claim is not None
    claim.to_failed("no")
    octets = queue.usage(1000)[1]
    assert queue.requeue(claim.id)

    assert (1, octets) == queue.usage(1000, fresh=False)


def test_what_grows_counts(open_queue: Callable[[], Queue]) -> None:
    """Each try makes a file longer, and that counts."""
    queue, other = open_queue(), open_queue()
    name = add(queue)
    before = queue.usage(1000)[1]
    claim = other.claim(name)
    assert claim is not None
    with claim:
        claim.begin()
        size = claim.entry.size

    assert before < size
    assert comes(queue, (1, size))


def test_files_are_not_counted_for_each_message(
    open_queue: Callable[[], Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is certain enough for a limit costs no look at the directory."""
    queue = open_queue()
    queue.usage(1000)
    listed: list[int] = []
    real = os.scandir

    def scandir(fd: int) -> object:
        listed.append(fd)
        return real(fd)

    monkeypatch.setattr(os, "scandir", scandir)
    found = []
    for _ in range(5):
        add(queue)
        found.append(queue.usage(1000, fresh=False)[0])

    assert [1, 2, 3, 4, 5] == found
    assert [] == listed


def test_what_has_left_counts_no_more(
    open_queue: Callable[[], Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks for fresh figures waits rather than to hear of what has left."""
    monkeypatch.setattr(queueusage, "_PAUSE", 0.2)
    queue, other = open_queue(), open_queue()
    name = add(queue)
    size = queue.usage(1000)[1]
    assert other.drop(name)

    assert (1, size) == queue.usage(1000, fresh=False)
    assert (0, 0) == queue.usage(1000)


def test_nobody_waits_for_long(
    open_queue: Callable[[], Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it takes long to count, the figures of the last time have to do."""
    monkeypatch.setattr(queueusage, "_PAUSE", 50.0)
    queue, other = open_queue(), open_queue()
    name = add(queue)
    size = queue.usage(1000)[1]
    assert other.drop(name)

    assert (1, size) == queue.usage(1000)


def test_one_ledger_for_all(open_queue: Callable[[], Queue]) -> None:
    """Who shares a ledger counts what others add at once."""
    queue, other = open_queue(), open_queue()
    tally = Tally()
    queue.share(tally)
    other.share(tally)
    found = []
    for one in (queue, other, other, queue):
        add(one)
        found.append([q.usage(1000, fresh=False)[0] for q in (queue, other)])

    assert [[1, 1], [2, 2], [3, 3], [4, 4]] == found


def test_a_ledger_that_has_forgotten_a_user(open_queue: Callable[[], Queue]) -> None:
    """What was counted stays so when the ledger makes room for other users."""
    queue = open_queue()
    queue.share(Tally())
    add(queue)
    found = queue.usage(1000)
    queue.usage(1000)  # counted behind what the ledger says
    queue.share(Tally())

    assert found == queue.usage(1000, fresh=False)


def test_never_less_than_there_is(open_queue: Callable[[], Queue]) -> None:
    """However many add at the same time, nobody is told of fewer than he has."""
    queue = open_queue()
    seen: list[bool] = []

    def write() -> None:
        for number in range(1, 26):
            add(queue)
            seen.append(queue.usage(1000)[0] >= number)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(seen)
    size = os.stat(next(queue.ids()), dir_fd=queue.queue.fd).st_size
    assert comes(queue, (100, 100 * size))
