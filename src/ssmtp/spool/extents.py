"""Wait until the content of a file lies on the disk, as the file system tells it.

`fsync` does that and more: it has the disk finish its work, for each file. Where one
`fsync` of a directory is enough for many files (`space.order`), their content has to be
there before. FIEMAP_FLAG_SYNC writes it and waits, and then the extents are listed
(Linux, Documentation/filesystems/fiemap.rst). They are looked at, for an error of
writing is reported once, to whoever waits first, and some are reported to nobody: then
an extent is missing, or is not written.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

# ioctl(2), as most processors number it, and its argument: from the first octet to the
# last, synchronised before, and so many extents.
_FIEMAP = 0xC020660B
_MOST = 17  # with more the buffer is over 1024 octets, and `ioctl` keeps the GIL
_HEAD = struct.Struct("=QQIIII")  # begin, length, flags, found, room, reserved
_EXTENT = struct.Struct("=QQQ16xI12x")  # begin, place, length, flags
_ASK = _HEAD.pack(0, 2**64 - 1, 1, 0, _MOST, 0) + bytes(_EXTENT.size * _MOST)
_LAST, _UNKNOWN, _DELAYED, _UNWRITTEN = 0x001, 0x002, 0x004, 0x800

_OF_THE_DISK = (
    *(errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS),
    *(errno.EUCLEAN, errno.EBADMSG),
)


def begin(fd: int) -> None:
    """Begin to write a file's content, so that `wait` waits less long.

    That is what Linux does first to forget what is cached; pages that are not written
    yet it cannot forget.
    """
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError:
        pass  # then it begins when it is waited for


def wait(fd: int, size: int) -> None:
    """Wait until so many octets, all of a file, were given to the disk.

    Where that cannot be told, `fsync` is called. Raises OSError.
    """
    buffer = bytearray(_ASK)
    try:
        fcntl.ioctl(fd, _FIEMAP, buffer)
    except OSError as error:
        if error.errno in _OF_THE_DISK:
            raise
        os.fsync(fd)
        return
    end, ended = _written(buffer)
    if end >= size:
        return
    if not ended:
        os.fsync(fd)  # there are more than are listed
        return
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def _written(buffer: bytearray) -> tuple[int, bool]:
    """Return up to where all is written, and whether no more extents are to be seen."""
    found = _HEAD.unpack_from(buffer)[3]
    end, flags = 0, _LAST
    for at in range(min(found, _MOST)):
        place = _HEAD.size + at * _EXTENT.size
        begin, _, length, flags = _EXTENT.unpack_from(buffer, place)
        if begin > end or flags & (_UNKNOWN | _DELAYED | _UNWRITTEN):
            return end, True
        end = begin + length
    return end, bool(flags & _LAST) or found < _MOST
