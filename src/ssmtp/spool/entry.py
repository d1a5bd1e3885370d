"""One file of the failed store, as it is read back.

Whatever lies in a directory of the store may be damaged, foreign or not a message at
all. Reading never fails for such a file: what is wrong with it becomes its `damage`.
Files are opened without following links and looked at through their descriptor.
"""

from __future__ import annotations

import errno
import os
import stat

from ssmtp.errors import InputRefused
from ssmtp.spool import keptfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssmtp.address import Address
    from ssmtp.envelope import Envelope
    from ssmtp.intake import Intake
    from ssmtp.options import Options
    from ssmtp.spool.places import Place

_BLOCK = 1 << 16
_LATEST = 253402300799  # the last second of the year 9999


class Entry:
    """One file of the failed store.

    `damage` says what is wrong with it, as the rest of a sentence that begins with its
    name; then `head` may be all that is known, or nothing. `size` is in octets of the
    message, 0 when it is not known.
    """

    __slots__ = (
        "damage",
        "fd",
        "head",
        "id",
        "offset",
        "owner",
        "path",
        "size",
        "stamp",
    )

    def __init__(self, path: str, name: str, owner: int) -> None:
        self.path = path
        self.id = name
        self.owner = owner
        self.head = keptfile.Head(name)
        self.damage = ""
        self.size = 0
        self.offset = 0
        # Device and inode: what the name led to when it was read.
        self.stamp: tuple[int, int] | None = None
        self.fd = -1

    @property
    def state(self) -> str:
        """deferred, refused, in-doubt, or damaged."""
        return "damaged" if self.damage else self.head.state

    @property
    def claimed(self) -> bool:
        """Whether this process holds the lock."""
        return self.fd >= 0

    def blocks(self) -> Iterator[bytes]:
        """Read the message, LF line ends, from the beginning."""
        fd = os.dup(self.fd) if self.claimed else open_file(self.path)
        try:
            at = self.offset
            while block := os.pread(fd, _BLOCK, at):
                at += len(block)
                yield block
        finally:
            os.close(fd)

    def intake(self) -> Intake:
        """Return the message as if it had just been read from standard input."""
        from ssmtp import intake

        return intake.from_blocks(b"", self.blocks())

    @property
    def envelope(self) -> Envelope | None:
        """The envelope of a repaired message; None when it was kept as it was read."""
        head = self.head
        if head.kind != "repaired":
            return None
        from ssmtp import envelope

        where = f"kept message {self.id}"
        return envelope.Envelope(
            _address(head.reverse_path, where) if head.reverse_path else None,
            [_address(recipient, where) for recipient in head.recipients],
            notify=head.notify,
            ret=head.ret,
            envid=head.envid,
            body=head.body,
        )

    def options(self) -> Options:
        """Return the command line of the run that failed, as far as it was kept.

        The configuration file is the one of that run while it exists. Raises
        UsageError (64).
        """
        from ssmtp import options

        found = options.scan("sendmail", list(self.head.arguments))
        if found.auth_pass is not None and not found.auth_pass.reveal().strip("•"):
            found.auth_pass = None  # it was not kept
        # A relative one was told where that run was.
        relative = not (found.config_path or "").startswith("/")
        if relative and os.path.exists(self.head.config_path):
            found.config_path = self.head.config_path
        return found

    def release(self) -> None:
        """Give the lock back."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Entry:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def look(place: Place, name: str) -> Entry:
    """Read the head of one file; whatever is wrong becomes its damage."""
    entry = Entry(os.path.join(place.path, name), name, place.uid)
    try:
        fd = open_file(name, place.fd)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            entry.damage = "is a symbolic link"
        else:
            entry.damage = f"cannot be read ({error.strerror})"
        return entry
    try:
        read(entry, fd)
    finally:
        os.close(fd)
    return entry


def read(entry: Entry, fd: int) -> None:
    """Fill an entry from its open file, as far as it can be believed."""
    found = os.fstat(fd)
    # Its owner may date it beyond what any calendar can show.
    entry.head.time = min(max(0, int(found.st_mtime)), _LATEST)
    if not stat.S_ISREG(found.st_mode):
        entry.damage = "is not a file"
        return
    entry.stamp = (found.st_dev, found.st_ino)
    if found.st_uid != entry.owner:
        entry.damage = "belongs to another user"
        return
    try:
        text = head_text(fd)
        head = keptfile.parse(text)
    except OSError as error:
        entry.damage = f"cannot be read ({error.strerror})"
        return
    except ValueError as error:
        entry.damage = str(error)
        return
    head.id = entry.id
    entry.head = head
    entry.offset = len(text) + 2
    entry.size = found.st_size - entry.offset
    if head.octets is not None and head.octets != entry.size:
        entry.damage = (
            f"is not whole: {entry.size} octets of the {head.octets} that were kept"
        )


def head_text(fd: int) -> bytes:
    """Return the head without its empty line; raises ValueError when it has no end."""
    text = b""
    while len(text) < keptfile.HEAD_LIMIT:
        block = os.pread(fd, _BLOCK, len(text))
        start = max(0, len(text) - 1)
        text += block
        end = text.find(b"\n\n", start)
        if end >= 0:
            return text[:end]
        # No head has a NUL; a file of nothing but holes costs its owner no disk.
        if (
            not block
            or b"\0" in block
            or not text.startswith(b"ssmtp kept "[: len(text)])
        ):
            break
    if text.startswith(b"ssmtp kept "):
        raise ValueError("is not whole: its head has no end")
    raise ValueError("is not a kept message")


def verify(entry: Entry, fd: int) -> None:
    """Read the whole message and compare its checksum."""
    if entry.head.crc32 is None:
        return
    crc32 = 0
    at = entry.offset
    while block := os.pread(fd, _BLOCK, at):
        at += len(block)
        crc32 = keptfile.checksum(block, crc32)
    if crc32 != entry.head.crc32:
        entry.damage = (
            "has been changed since it was kept"
            " (if that was meant, remove its lines octets: and crc32:)"
        )


def open_file(path: str, directory: int | None = None) -> int:
    # O_NONBLOCK: a pipe somebody put there must not hold us up.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    return os.open(path, flags, dir_fd=directory)


def _address(text: str, where: str) -> Address:
    """Make an Address again from its text; raises InputRefused (65)."""
    from ssmtp import address

    mailbox = address.parse_one(text, where)
    if mailbox is None or mailbox.domain is None:
        raise InputRefused(f"{where} has an address without a domain")
    return address.make(mailbox.local, mailbox.domain, where)
