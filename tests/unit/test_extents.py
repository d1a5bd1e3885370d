"""What the file system tells of a file's content, and when it is not believed."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path

import pytest

from ssmtp.spool import extents

LAST, DELAYED, UNWRITTEN, INLINE = 0x001, 0x004, 0x800, 0x200


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch):
    """Let a file have extents: begin, length, flags."""

    def tell(*found: tuple[int, int, int]) -> None:
        def ioctl(fd: int, number: int, buffer: bytearray) -> None:
            struct.pack_into("=I", buffer, 20, len(found))
            for at, (begin, length, flags) in enumerate(found):
                place = 32 + 56 * at
                struct.pack_into("=QQQ16xI", buffer, place, begin, 7, length, flags)

        monkeypatch.setattr(fcntl, "ioctl", ioctl)

    return tell


@pytest.fixture
def synchronised(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    fds: list[int] = []
    monkeypatch.setattr(os, "fsync", fds.append)
    return fds


@pytest.mark.parametrize(
    "found",
    [
        [(0, 4096, LAST)],
        [(0, 4096, 0), (4096, 4096, LAST)],
        [(0, 3000, LAST | INLINE)],
    ],
)
def test_all_is_written(tell, synchronised, found) -> None:
    """A file whose extents hold all of it needs nothing else."""
    tell(*found)
    extents.wait(7, 3000)

    assert [] == synchronised


@pytest.mark.parametrize(
    "found",
    [
        [],
        [(0, 2048, LAST)],
        [(0, 4096, LAST | DELAYED)],
        [(0, 4096, LAST | UNWRITTEN)],
        [(4096, 4096, LAST)],
        [(0, 2048, 0), (2049, 4096, LAST)],
        [(0, 2048, 0), (2048, 4096, LAST | UNWRITTEN)],
    ],
)
def test_something_is_missing(tell, synchronised, found) -> None:
    """What was not written is an error, though nobody has told of one."""
    tell(*found)
    with pytest.raises(OSError, match="Input/output error"):
        extents.wait(7, 3000)

    assert [] == synchronised


def test_more_than_are_listed(tell, synchronised) -> None:
    """A file of very many pieces is synchronised."""
    most = extents._MOST
    tell(*[(at * 4096, 4096, 0) for at in range(most)])
    extents.wait(7, (most + 1) * 4096)

    assert [7] == synchronised


def test_others_go_on(tmp_path: Path) -> None:
    """While the disk is waited for other threads run (CPython: up to 1024 octets)."""
    assert len(extents._ASK) <= 1024


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EACCES, errno.EINTR])
def test_where_nothing_can_be_waited_for(monkeypatch, synchronised, number) -> None:
    """Where extents are not told a file is synchronised."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "ioctl", refuse)
    extents.wait(7, 3000)

    assert [7] == synchronised


def test_a_disk_that_does_not_take_it(monkeypatch, synchronised) -> None:
    """An error of the disk is one, and is not tried away."""

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "ioctl", fail)
    with pytest.raises(OSError, match="Input"):
        extents.wait(7, 3000)

    assert [] == synchronised


@pytest.mark.parametrize("size", [0, 3000, 1 << 20])
def test_a_real_file(tmp_path: Path, size: int) -> None:
    """A file of this machine is written, whatever it lies on."""
    with (tmp_path / "file").open("wb") as file:
        os.write(file.fileno(), b"x" * size)
        extents.begin(file.fileno())
        extents.wait(file.fileno(), size)
