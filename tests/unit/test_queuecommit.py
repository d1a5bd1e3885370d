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
        super().__init__()
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
    while len(folder._changed._waiters) < len(callers):  # type: ignore[attr-defined]
        os.sched_yield()


def test_an_fsync_that_runs_already_is_not_enough(disk: Disk, folder: Folder) -> None:
    """Who comes while one is running gets the next one, together with all others."""
    first = Caller(folder)
    disk.wait_for(1)
    others = [Caller(folder) for _ in range(5)]
    waiting(folder, others)
    disk.calls[0].set()
    first.join(10)
    disk.wait_for(2)
    still_waiting = [caller.is_alive() for caller in others]
    disk.calls[1].set()
    for caller in others:
        caller.join(10)

    assert [True] * 5 == still_waiting
    assert 2 == len(disk.calls)


def test_a_failure_reaches_all_who_shared_it(disk: Disk, folder: Folder) -> None:
    """All who waited for an fsync that failed are told, and nobody before or after."""
    disk.failing = {1}
    first = Caller(folder)
    disk.wait_for(1)
    others = [Caller(folder) for _ in range(3)]
    waiting(folder, others)
    disk.calls[0].set()
    disk.wait_for(2)
    disk.calls[1].set()
    for caller in (first, *others):
        caller.join(10)
    last = Caller(folder)
    disk.wait_for(3)
    disk.calls[2].set()
    last.join(10)

    assert [None] + [errno.EIO] * 3 + [None] == [
        caller.error and caller.error.errno for caller in (first, *others, last)
    ]
    assert 3 == len(disk.calls)
