"""Threads that synchronise: each file is, and what fails is told of the right one."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from ssmtp.spool import syncers
from ssmtp.spool.commit import NewFile
from ssmtp.spool.syncers import Syncers


def made(place: Path, count: int) -> list[NewFile]:
    flags = os.O_RDWR | os.O_CREAT
    return [
        NewFile(os.open(place / str(at), flags), "", str(at)) for at in range(count)
    ]


@pytest.fixture
def threads():
    all_ = Syncers()
    yield all_
    all_.close()


@pytest.mark.parametrize("count", [1, 2, 3 * syncers.MOST])
@pytest.mark.parametrize("alone", [False, True])
def test_each_is_synchronised(tmp_path, monkeypatch, threads, count, alone):
    """All files are, with threads or without, and errors stand where they belong."""
    if alone:
        monkeypatch.setattr(threading.Thread, "start", _no_room)
    files = made(tmp_path, count)
    bad = files[count // 2]
    seen: list[int] = []

    def fsync(fd: int) -> None:
        time.sleep(0.001)
        seen.append(fd)
        if fd == bad.fd:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    threads.synchronise(files)

    assert sorted(file.fd for file in files) == sorted(seen)
    assert [bad] == [file for file in files if file.error is not None]
    for file in files:
        os.close(file.fd)


def _no_room(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_thread_that_stumbles(tmp_path, monkeypatch, threads):
    """What was not synchronised for whatever reason is not taken for it."""
    files = made(tmp_path, 2)

    def fsync(fd: int) -> None:
        if fd == files[0].fd:
            raise MemoryError

    monkeypatch.setattr(os, "fsync", fsync)
    threads.synchronise(files)

    assert isinstance(files[0].error, OSError)
    assert files[1].error is None
    for file in files:
        os.close(file.fd)


def test_the_end(tmp_path, threads):
    """Nothing is left of the threads when the directory is closed."""
    before = set(threading.enumerate())
    files = made(tmp_path, 3)
    threads.synchronise(files)
    mine = set(threading.enumerate()) - before
    threads.close()
    for thread in mine:
        thread.join(10)

    assert [syncers.NAME] * 3 == [thread.name for thread in mine]
    assert not any(thread.is_alive() for thread in mine)
    for file in files:
        os.close(file.fd)
