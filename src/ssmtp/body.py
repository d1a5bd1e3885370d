"""The body of a message: kept in CRLF form, in memory or in a file without a name.

A message of 100 MB must take no more memory than one of 100 KB, so a body that grows
goes to a private file; where there is no disk it stays in memory. What has to be known
before the first octet is sent (size, lines too long, 8-bit or not) is found while it
comes in, block by block. Nothing here loops over the lines of a body.
"""

from __future__ import annotations

import posix

from ssmtp.environment import environ
from ssmtp.errors import InputUnreadable
from ssmtp.header import LINE_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 65536
_MEMORY_MAX = 256 * 1024
_SCRATCH = ("/var/tmp", "/tmp")
_NO_FILE_YET = -1
_NO_FILE = -2


class Body:
    """The body of a message in CRLF form, as often as it is wanted.

    `size` is in octets, `long_lines` whether a line has more than `LINE_MAX` of them,
    `eightbit` whether there is an octet over 127, `utf8` whether all of it is UTF-8.
    """

    __slots__ = ("_blocks", "_fd", "eightbit", "long_lines", "size", "utf8")

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._fd = _NO_FILE_YET
        self.size = 0
        self.long_lines = False
        self.eightbit = False
        self.utf8 = True

    def blocks(self) -> Iterator[bytes]:
        """Yield the body in blocks of at most 64 KiB; may be called again."""
        if self._fd < 0:
            yield from self._blocks
            return
        at = 0
        while at < self.size:
            block = posix.pread(self._fd, min(BLOCK, self.size - at), at)
            if not block:
                raise InputUnreadable("the message was lost from the disk")
            yield block
            at += len(block)

    def close(self) -> None:
        """Give the disk space back."""
        if self._fd >= 0:
            posix.close(self._fd)
        self._fd = _NO_FILE
        self._blocks = []
        self.size = 0

    def store(self, block: bytes) -> None:
        """Append what is CRLF already."""
        if self._fd >= 0:
            self._append(block)
        else:
            self._blocks.append(block)
            if self._fd == _NO_FILE_YET and self.size + len(block) > _MEMORY_MAX:
                self._spill()
        self.size += len(block)

    def _spill(self) -> None:
        self._fd = _scratch_file()
        if self._fd < 0:
            return
        blocks, self._blocks = self._blocks, []
        for i, block in enumerate(blocks):
            if self._append(block):
                continue
            # The disk is full: `_append` has taken all back into memory.
            self._blocks += blocks[i + 1 :]
            return

    def _append(self, block: bytes) -> bool:
        """Write one block to the file, or go back to memory for good."""
        view = memoryview(block)
        try:
            while view:
                view = view[posix.write(self._fd, view) :]
        except OSError:
            written = posix.fstat(self._fd).st_size - (len(block) - len(view))
            kept = [
                posix.pread(self._fd, min(BLOCK, written - at), at)
                for at in range(0, written, BLOCK)
            ]
            posix.close(self._fd)
            self._fd = _NO_FILE
            self._blocks = [*kept, block]
            return False
        return True


def _scratch_file() -> int:
    """Open a private file without a name; negative where there is no place for it."""
    for place in (environ().get("TMPDIR", ""), *_SCRATCH):
        if not place.startswith("/"):
            continue
        try:
            return posix.open(place, posix.O_TMPFILE | posix.O_RDWR, 0o600)
        except (OSError, AttributeError):
            pass
        # Not Linux, or a file system without nameless files.
        name = f"{place}/ssmtp-{posix.urandom(16).hex()}"
        flags = (
            posix.O_RDWR
            | posix.O_CREAT
            | posix.O_EXCL
            | getattr(posix, "O_NOFOLLOW", 0)
        )
        try:
            fd = posix.open(name, flags, 0o600)
        except OSError:
            continue
        posix.unlink(name)
        return fd
    return _NO_FILE


class Filler:
    """Turns newlines into CRLF and keeps account of what the body holds."""

    __slots__ = ("body", "column", "notes", "nuls", "partial")

    def __init__(self, notes: list[str]) -> None:
        self.body = Body()
        self.notes = notes
        self.column = 0  # octets of the line that has not ended yet
        self.nuls = 0
        self.partial = b""  # an UTF-8 sequence that has not ended yet

    def take(self, block: bytes) -> None:
        body = self.body
        if b"\0" in block:
            self.nuls += block.count(b"\0")
            block = block.replace(b"\0", b"?")
        if not block.isascii() or self.partial:
            body.eightbit = True
            if body.utf8:
                self._check_utf8(block)
        if not body.long_lines:
            self._look_for_long_lines(block)
        end = block.rfind(b"\n")
        self.column = len(block) - end - 1 + (self.column if end < 0 else 0)
        block = block.replace(b"\n", b"\r\n")
        for at in range(0, len(block), BLOCK):
            body.store(block[at : at + BLOCK])

    def done(self) -> Body:
        if self.column:
            self.body.store(b"\r\n")
        if self.partial:
            self.body.utf8 = False
        if self.nuls:
            self.notes.append(f"{self.nuls} NUL replaced by question marks")
        return self.body

    def _look_for_long_lines(self, block: bytes) -> None:
        """Jump from line end to line end, as far as no line is too long."""
        start = -self.column
        while len(block) - start > LINE_MAX:
            end = block.rfind(b"\n", max(start, 0), start + LINE_MAX + 1)
            if end < 0:
                self.body.long_lines = True
                return
            start = end + 1

    def _check_utf8(self, block: bytes) -> None:
        from _codecs import utf_8_decode

        data = self.partial + block
        try:
            _, used = utf_8_decode(data, "strict", False)
        except UnicodeDecodeError:
            self.body.utf8 = False
            self.partial = b""
        else:
            self.partial = data[used:]
