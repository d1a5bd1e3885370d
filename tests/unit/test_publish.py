"""Files that get their names together: who has one is durable, the others are not."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ssmtp.spool import extents, space
from ssmtp.spool.commit import Folder, NewFile


@pytest.fixture
def folder(tmp_path: Path):
    folder = Folder(os.open(tmp_path, os.O_RDONLY), str(tmp_path))
    yield folder
    folder.close()


@pytest.fixture
def order(folder: Folder, monkeypatch: pytest.MonkeyPatch):
    """Let the file system keep this order."""
    return lambda kept: monkeypatch.setattr(folder, "order", kept)


class Synchronised:
    """Notes what is synchronised, and fails for some."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fds: list[int] = []
        self.failing: dict[int, BaseException] = {}
        real = os.fsync

        def fsync(fd: int) -> None:
            self.fds.append(fd)
            if fd in self.failing:
                raise self.failing[fd]
            real(fd)

        monkeypatch.setattr(os, "fsync", fsync)


@pytest.fixture
def synchronised(monkeypatch: pytest.MonkeyPatch) -> Synchronised:
    return Synchronised(monkeypatch)


def begun(folder: Folder, *names: str) -> list[NewFile]:
    def begin(name: str) -> NewFile:
        return folder.begin(name, lambda fd: os.write(fd, name.encode()))

    return [begin(name) for name in names]


def there(folder: Folder) -> dict[str, str]:
    names = os.listdir(folder.path)
    return {name: Path(folder.path, name).read_text() for name in names}


@pytest.mark.parametrize(
    ("kept", "files"),
    [
        (space.FORGETFUL, [0, 0, 1, 1, 2, 2]),
        (space.NO_ORDER, [0, 1, 2]),
        (space.IN_ORDER, [2]),
        (space.ON_ONE_DISK, []),
    ],
)
def test_what_is_synchronised(folder, order, synchronised, monkeypatch, kept, files):
    """Each file, the last one or none, as the file system wants it; then the names."""
    order(kept)
    monkeypatch.setattr(extents, "wait", lambda fd, size: None)
    made = begun(folder, "a", "b", "c")
    fds = [file.fd for file in made]
    folder.publish(made)
    *each, last = synchronised.fds

    assert sorted(fds[number] for number in files) == sorted(each)
    assert folder.fd == last
    assert {"a": "a", "b": "b", "c": "c"} == there(folder)
    assert [1, 1, 1] == [file.size for file in made]
    assert [None] * 3 == [file.error for file in made]


@pytest.mark.parametrize("kept", [space.NO_ORDER, space.ON_ONE_DISK])
def test_one_alone(folder, order, synchronised, kept):
    """A single file is synchronised before it has its name, everywhere."""
    order(kept)
    [file] = begun(folder, "a")
    fd = file.fd
    folder.publish([file])

    assert [fd, folder.fd] == synchronised.fds


@pytest.mark.parametrize("hidden", [False, True])
def test_a_name_that_is_taken(folder, order, hidden):
    """One that gets no name leaves the others theirs, and nothing of itself."""
    order(space.ON_ONE_DISK)
    os.mkdir(Path(folder.path, "b"))
    folder._unnamed = not hidden
    made = begun(folder, "a", "b", "c")
    folder.publish(made)
    os.rmdir(Path(folder.path, "b"))

    assert {"a": "a", "c": "c"} == there(folder)
    assert [None, None] == [made[0].error, made[2].error]
    assert isinstance(made[1].error, OSError)


@pytest.mark.parametrize("kept", [space.NO_ORDER, space.IN_ORDER])
def test_content_that_cannot_be_written(folder, order, monkeypatch, kept):
    """What the disk does not take of one file is told of this one."""
    order(kept)
    made = begun(folder, "a", "b", "c")
    bad = made[1].fd
    place, written = (os, "fsync") if kept == space.NO_ORDER else (extents, "wait")
    real = getattr(place, written)

    def fail(fd: int, *more: int) -> None:
        if fd == bad:
            raise OSError(errno.EIO, "Input/output error")
        real(fd, *more)

    monkeypatch.setattr(place, written, fail)
    folder.publish(made)

    assert {"a": "a", "c": "c"} == there(folder)
    assert made[1].error is not None
    assert errno.EIO == made[1].error.errno


@pytest.mark.parametrize("kept", [space.IN_ORDER, space.ON_ONE_DISK])
def test_names_that_are_not_durable(folder, order, synchronised, kept):
    """When the directory cannot be synchronised none of them is there."""
    order(kept)
    made = begun(folder, "a", "b")
    synchronised.failing[folder.fd] = OSError(errno.EIO, "Input/output error")
    folder.publish(made)

    assert {} == there(folder)
    assert [errno.EIO] * 2 == [file.error.errno for file in made if file.error]


@pytest.mark.parametrize("hidden", [False, True])
def test_interrupted_in_naming(folder, order, monkeypatch, hidden):
    """Who is interrupted between two names has given none."""
    order(space.ON_ONE_DISK)
    folder._unnamed = not hidden
    calls = []

    def interrupted(real):
        def give(*arguments, **more):
            real(*arguments, **more)
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt

        return give

    made = begun(folder, "a", "b", "c")
    for what in ("rename", "link"):
        monkeypatch.setattr(os, what, interrupted(getattr(os, what)))
    with pytest.raises(KeyboardInterrupt):
        folder.publish(made)

    assert {} == there(folder)


def test_a_file_system_that_has_stopped(folder, order, monkeypatch):
    """A journal that failed for somebody else is found out; `fsync` says nothing."""

    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "removexattr", read_only)
    order(space.NO_ORDER)
    unknown = begun(folder, "a")
    folder.publish(unknown)
    order(space.ON_ONE_DISK)
    made = begun(folder, "b", "c")
    folder.publish(made)

    assert {"a": "a"} == there(folder)
    assert [errno.EROFS] * 2 == [file.error.errno for file in made if file.error]


def test_a_name_that_would_not_last(folder, order, monkeypatch):
    """A file that has to be synchronised with its name has none when it cannot be."""
    order(space.FORGETFUL)
    made = begun(folder, "a", "b")
    bad, calls = made[1].fd, []
    real = os.fsync

    def fail(fd: int) -> None:
        calls.append(fd)
        if calls.count(bad) == 2 and fd == bad:
            raise OSError(errno.EIO, "Input/output error")
        real(fd)

    monkeypatch.setattr(os, "fsync", fail)
    folder.publish(made)

    assert {"a": "a"} == there(folder)
    assert made[0].error is None
    assert made[1].error is not None


def test_interrupted(folder, order, synchronised):
    """Who is interrupted has queued nothing, and keeps nothing open."""
    order(space.ON_ONE_DISK)
    made = begun(folder, "a", "b")
    fds = [file.fd for file in made]
    synchronised.failing[folder.fd] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        folder.publish(made)

    assert {} == there(folder)
    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
