"""What was sent leaves the queue, and the disk is waited for by many at once."""

from __future__ import annotations

import errno
import os
import queue
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ssmtp.agent.commits import BEHIND_MOST, Commits
from ssmtp.errors import SystemTrouble
from ssmtp.spool.queue import Claim, Draft, Queue, Recipient
from tests.agent.sending import until

Posted = queue.Queue[Callable[[], None]]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Queue]:
    opened = Queue.open(str(tmp_path), make=True)
    yield opened
    opened.close()


@pytest.fixture
def posted() -> Posted:
    return queue.Queue()


@pytest.fixture
def commits(box: Queue, posted: Posted) -> Iterator[Commits]:
    made = Commits(box.queue, posted.put)
    yield made
    made.close()


def claims(box: Queue, count: int) -> list[Claim]:
    found = []
    for _ in range(count):
        draft = Draft(1000, "bob", "bob@x.test", [Recipient("ann@x.test")], header=2)
        claim = box.claim(box.add(draft, [b"\r\nhello\r\n"]))
        assert claim is not None
        found.append(claim)
    return found


def ask(commits: Commits, claim: Claim) -> list[BaseException | None]:
    """Have a message removed; what is said of it comes into the list."""
    told: list[BaseException | None] = []
    commits.done(claim).begin(lambda _, error: told.append(error))
    return told


def test_many_wait_for_the_disk_once(
    box: Queue, commits: Commits, posted: Posted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told before the directory is synchronised, which is done for all."""
    held = claims(box, 5)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    told = [ask(commits, claim) for claim in held]
    assert [] == synced
    assert [[]] * 5 == told

    commits.go_on()
    end = posted.get(timeout=10)
    assert [box.queue.fd] == synced
    assert [[]] * 5 == told
    end()

    assert [[None]] * 5 == told
    assert [-1] * 5 == [claim.fd for claim in held]
    assert [] == list(box.ids())


def test_what_comes_while_the_disk_is_busy_shares_the_next_wait(
    box: Queue, commits: Commits, posted: Posted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait that has begun is none for what is removed behind it."""
    first, *rest = claims(box, 4)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    told = [ask(commits, first)]
    commits.go_on()
    told += [ask(commits, claim) for claim in rest]
    commits.go_on()
    posted.get(timeout=10)()
    assert [[None], [], [], []] == told
    assert 1 == len(synced)

    commits.go_on()
    posted.get(timeout=10)()
    assert [[None]] * 4 == told
    assert 2 == len(synced)


def test_a_disk_that_fails_is_told_to_all(
    box: Queue, commits: Commits, posted: Posted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose name may come back is told, and its file says that it is over."""
    held = claims(box, 3)
    files = [os.dup(claim.fd) for claim in held]

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    told = [ask(commits, claim) for claim in held]
    commits.go_on()
    posted.get(timeout=10)()

    for claim, file, (error,) in zip(held, files, told, strict=True):
        assert isinstance(error, SystemTrouble)
        assert claim.id in str(error)
        assert b"done: " == os.pread(file, 10_000, 0).splitlines()[-1][:6]
        os.close(file)


def test_a_name_that_stays_is_told(
    box: Queue, commits: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that cannot be removed is none of the others' trouble."""
    bad, good = claims(box, 2)
    unlink = os.unlink

    def fail(name: str, *, dir_fd: int) -> None:
        if name == bad.id:
            raise OSError(errno.EIO, "Input/output error")
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", fail)
    told = ask(commits, bad)
    until(lambda: told)

    assert isinstance(told[0], SystemTrouble)
    assert [] == ask(commits, good)
    assert [bad.id] == list(box.ids())


def test_the_next_begins_unless_the_disk_is_behind(
    box: Queue, commits: Commits, posted: Posted
) -> None:
    """So many removals may be under way, and no more."""
    held = claims(box, BEHIND_MOST)
    behind = []
    for claim in held:
        behind.append(commits.is_behind)
        ask(commits, claim)
    behind.append(commits.is_behind)
    commits.go_on()
    behind.append(commits.is_behind)
    posted.get(timeout=10)()
    behind.append(commits.is_behind)

    assert [False] * BEHIND_MOST + [True, True, False] == behind
