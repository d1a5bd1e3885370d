"""Group commit: who shares an fsync shares what it says, and never one from before."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from ssmtp.spool.commit import Folder


class Disk:
    """Stands in for `os.fsync`: each call waits until it is let go."""

    def __init__(self) -> None:
        self.calls: list[threading.Event] = []
        self.begun = threading.Condition()
        self.failing: set[int] = set()

    def fsync(self, fd: int) -> None:
        let_go = threading.Event()
        with self.begun:
            number = len(self.calls)
            self.calls.append(let_go)
            self.begun.notify_all()
        assert let_go.wait(10)
        if number in self.failing:
            raise OSError(errno.EIO, "Input/output error")

    def wait_for(self, number: int) -> None:
        with self.begun:
            assert self.begun.wait_for(lambda: len(self.calls) >= number, 10)


class Caller(threading.Thread):
    """Calls `sync` and keeps what it raised."""

    def __init__(self, folder: Folder) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.error: OSError | None = None
        self.start()

    def run(self) -> None:
        try:
            self.folder.sync()
        except OSError as error:
            self.error = error


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(os, "fsync", disk.fsync)
    return disk


@pytest.fixture
def folder(tmp_path: Path):
    folder = Folder(os.open(tmp_path, os.O_RDONLY), str(tmp_path))
    yield folder
    folder.close()


def waiting(folder: Folder, callers: list[Caller]) -> None:
    """Wait until all callers wait for their turn."""
    while len(folder._next.gates) < len(callers):
        os.sched_yield()


def second_round(disk: Disk, folder: Folder, count: int) -> list[Caller]:
    """Let one have an fsync, and so many that came meanwhile begin the next one."""
    first = Caller(folder)
    disk.wait_for(1)
    others = [Caller(folder) for _ in range(count)]
    waiting(folder, others)
    disk.calls[0].set()
    first.join(10)
    disk.wait_for(2)
    return [first, *others]


def burst(disk: Disk, folder: Folder) -> list[Caller]:
    """Let one have an fsync, and then three that came meanwhile; return them."""
    callers = second_round(disk, folder, 3)
    disk.calls[1].set()
    for caller in callers:
        caller.join(10)
    return callers


def test_an_fsync_that_runs_already_is_not_enough(disk: Disk, folder: Folder) -> None:
    """Who comes while one is running gets the next one, together with all others."""
    _, *others = second_round(disk, folder, 5)
    still_waiting = [caller.is_alive() for caller in others]
    disk.calls[1].set()
    for caller in others:
        caller.join(10)

    assert [True] * 5 == still_waiting
    assert 2 == len(disk.calls)


def test_a_failure_reaches_all_who_shared_it(disk: Disk, folder: Folder) -> None:
    """All who waited for an fsync that failed are told, and nobody before or after."""
    disk.failing = {1}
    first, *others = burst(disk, folder)
    last = Caller(folder)
    disk.wait_for(3)
    disk.calls[2].set()
    last.join(10)

    assert [None] + [errno.EIO] * 3 + [None] == [
        caller.error and caller.error.errno for caller in (first, *others, last)
    ]
    assert 3 == len(disk.calls)


def test_every_round_wakes_its_own(disk: Disk, folder: Folder) -> None:
    """Whoever waits is served by the next fsync, and one of them runs that one."""
    rounds = []
    callers: list[Caller] = []
    for number in range(1, 4):
        fresh = [Caller(folder) for _ in range(4)] if number > 1 else [Caller(folder)]
        if number == 1:
            disk.wait_for(1)
        else:
            waiting(folder, fresh)
            disk.calls[number - 2].set()
            disk.wait_for(number)
        rounds.append(fresh)
        callers += fresh
    alive = [[caller.is_alive() for caller in fresh] for fresh in rounds[1:]]
    disk.calls[2].set()
    for caller in callers:
        caller.join(10)

    assert [[True] * 4] == alive[1:]
    assert [False] * 9 == [caller.is_alive() for caller in callers]
    assert 3 == len(disk.calls)


class Cut:
    """Stands in for a lock at which a signal ends the wait.

    A real signal may come just before the wait, which then goes on.
    """

    def __init__(self) -> None:
        self.taken = False

    def acquire(self) -> None:
        if self.taken:
            raise KeyboardInterrupt
        self.taken = True


def test_who_is_interrupted_keeps_nobody_waiting(
    disk: Disk, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal that ends one caller's wait leaves the others their fsync."""
    first = Caller(folder)
    disk.wait_for(1)
    other = Caller(folder)
    waiting(folder, [other])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(threading, "Lock", Cut)
        folder.sync()
    disk.calls[0].set()
    disk.wait_for(2)
    disk.calls[1].set()
    for caller in (first, other):
        caller.join(10)

    assert [False, False] == [caller.is_alive() for caller in (first, other)]
    assert 2 == len(disk.calls)


def test_an_fsync_that_was_cut_short_is_no_success(
    disk: Disk, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends it but its own success, nobody is told that all is safe."""
    real = disk.fsync

    def cut(fd: int) -> None:
        real(fd)
        if len(disk.calls) == 2:
            raise MemoryError

    monkeypatch.setattr(os, "fsync", cut)
    broken: list[object] = []
    monkeypatch.setattr(threading, "excepthook", broken.append)
    _, *others = burst(disk, folder)

    assert 1 == len(broken)
    assert [errno.EIO] * 2 == [
        caller.error.errno for caller in others if caller.error is not None
    ]
