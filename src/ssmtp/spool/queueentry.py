"""Read one file of the queue through its descriptor.

Whatever lies in the queue may be foreign, torn or changed. What is no good message
raises Damaged, what a later version wrote raises Newer; an error of the disk is neither
and stays an OSError, for nobody's mail is bad because we cannot read.
"""

from __future__ import annotations

import binascii
import errno
import fcntl
import os
import stat

from ssmtp.spool import durable, queuefile, queuerecords
from ssmtp.spool.queuefile import HEAD_LIMIT, TRAILER_SIZE, Damaged, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 1 << 16

# A small message is read at once, with its records.
_FIRST = BLOCK + (1 << 14)


def open_file(name: str, directory: int, flags: int = os.O_RDONLY) -> int:
    """Open a file without following a link or waiting for anybody; raises OSError."""
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    return os.open(name, flags, dir_fd=directory)


def open_entry(
    name: str, directory: int, owner: int, *, lock: bool
) -> tuple[int, Entry, bytes] | None:
    """Open and read a message; return its descriptor, and its content if it is small.

    With `lock` it is ready for records to be appended, and its checksum was compared;
    None when somebody else has the lock, or had it and the message is gone. Raises
    FileNotFoundError and other OSErrors, Damaged, or Newer.
    """
    # A look before it is opened: the name may stand for a device.
    _check(os.stat(name, dir_fd=directory, follow_symlinks=False), owner)
    fd = open_file(name, directory, os.O_RDWR | os.O_APPEND if lock else os.O_RDONLY)
    kept = False
    try:
        if lock and not _locked(fd):
            return None
        found = os.fstat(fd)
        if lock and not _is_named(found, name, directory):
            return None
        size = found.st_size
        entry, content = read(fd, name, size)
        if lock:
            _verify(fd, entry, content)
            if entry.size < size:
                os.ftruncate(fd, entry.size)  # a torn line would spoil the next one
        kept = True
        return fd, entry, content
    finally:
        if not kept:
            durable.close(fd)


def read(fd: int, name: str, size: int) -> tuple[Entry, bytes]:
    """Read an entry; return what of the content was read by the way, too.

    That is all of it or nothing. Raises Damaged, Newer or OSError.
    """
    text = _read(fd, min(size, _FIRST), 0)
    queuefile.check_first_line(text)
    end = text.find(b"\n\n")
    while end < 0:
        more = _read(fd, BLOCK, len(text))
        # No head has a NUL; a file of holes costs nothing and would take for ever.
        if not more or len(text) > HEAD_LIMIT or b"\0" in more:
            raise Damaged("is not whole")
        text += more
        end = text.find(b"\n\n", max(0, len(text) - len(more) - 1))
    head = text[: end + 2]
    entry = queuefile.parse_head(head, name)
    entry.offset = len(head)
    entry.size = size
    below = entry.offset + entry.octets
    if below + TRAILER_SIZE > size:
        raise Damaged("is not whole")
    tail = text[below:]
    whole = len(tail) >= TRAILER_SIZE
    if not whole:
        tail = _read(fd, min(size - below, BLOCK), below)
    queuefile.parse_trailer(tail[:TRAILER_SIZE], head, entry)
    _apply_records(fd, entry, tail[TRAILER_SIZE:], below + len(tail))
    return entry, text[entry.offset : below] if whole else b""


def blocks(fd: int, entry: Entry, offset: int) -> Iterator[bytes]:
    """Yield the content from an offset on; raises OSError."""
    at = entry.offset + offset
    end = entry.offset + entry.octets
    while at < end:
        block = os.pread(fd, min(BLOCK, end - at), at)
        if not block:
            raise OSError(errno.EIO, "the file has become shorter")
        at += len(block)
        yield block


def _apply_records(fd: int, entry: Entry, text: bytes, at: int) -> None:
    """Apply the records in `text`, and those from `at` on; pass over a torn last one.

    `entry.size` becomes the end of the last line that is whole. What goes on and on
    without a line end was written by nobody, and is torn.
    """
    held: list[bytes] = []  # of a line whose end is still to come
    octets = 0
    while True:
        *lines, rest = text.split(b"\n")
        if lines:
            lines[0] = b"".join((*held, lines[0]))
            held.clear()
            octets = 0
            for line in lines:
                queuerecords.read(entry, line)
        held.append(rest)
        octets += len(rest)
        if at >= entry.size or octets > HEAD_LIMIT:
            break
        text = os.pread(fd, BLOCK, at)
        if not text:
            break
        at += len(text)
    entry.size = at - octets


def _read(fd: int, octets: int, at: int) -> bytes:
    """Read so much, or up to the end of the file."""
    text = os.pread(fd, octets, at)
    while len(text) < octets:
        more = os.pread(fd, octets - len(text), at + len(text))
        if not more:
            break
        text += more
    return text


def _verify(fd: int, entry: Entry, content: bytes) -> None:
    """Compare the content with its checksum."""
    crc = binascii.crc32(content)
    if len(content) < entry.octets:
        for block in blocks(fd, entry, 0):
            crc = binascii.crc32(block, crc)
    if crc != entry.content_crc:
        raise Damaged("has been changed")


def _check(found: os.stat_result, owner: int) -> None:
    """Raise Damaged for what the queue cannot have made."""
    if not stat.S_ISREG(found.st_mode):
        raise Damaged("is not a file")
    if found.st_uid != owner:
        raise Damaged("belongs to another user")
    if found.st_nlink > 1:
        raise Damaged("has more than one name")


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_named(found: os.stat_result, name: str, directory: int) -> bool:
    """Whether the name still leads to this file: it may be done since."""
    named = os.stat(name, dir_fd=directory, follow_symlinks=False)
    return named.st_ino == found.st_ino and named.st_dev == found.st_dev
