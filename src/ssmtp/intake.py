"""Standard input: all of it is read, and its line ends repaired, before anything else.

Theory. Whoever pipes a message into sendmail may stall, die or write garbage. None of
that may reach the mailhub, so the message is read to its end first: the header
section into memory, the body into a `Body`, which takes little memory however long.

Rules for lines (RFC 5321 section 2.3.8):

1. A line ends with LF; one CR before it belongs to the line end. Any other CR becomes
   a blank. What leaves this module holds CRLF pairs and no other CR or LF, whatever
   came in.
2. NUL becomes a question mark in bodies. In the header section it stays, to be
   refused by `message.parse` once everything has been read.
3. A last line without its end gets one.

Rules for the header section:

1. An mbox line (`From someone Sat Nov 21 …`) at the very beginning is dropped.
2. The section goes on as long as lines are fields or their continuations. An empty
   line ends it and is dropped; any other line ends it and begins the body. So a text
   without fields is all body.
3. A section over 1 MiB is not kept in memory: the rest goes where the body goes, and
   `overflow` says so.

Everything works on blocks. Nothing here loops over the lines of a body.
"""

from __future__ import annotations

import posix

from ssmtp import header
from ssmtp.body import BLOCK, Body, Filler
from ssmtp.errors import InputUnreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HINT = (
    "Type the message: header fields, an empty line, the text. "
    "Control-D on a line of its own ends it{}.\n"
)


class Intake:
    """What was read: header section, body, and the repairs that were made.

    `header` is the header section as it was read, with bare newlines and without the
    empty line; `separated` whether an empty line stood behind it. `overflow` says
    that the section went on beyond 1 MiB: its rest is the beginning of `body`.
    """

    __slots__ = ("body", "header", "notes", "overflow", "separated")

    def __init__(
        self,
        section: bytes,
        body: Body,
        notes: list[str],
        overflow: bool = False,
        separated: bool = True,
    ) -> None:
        self.header = section
        self.body = body
        self.notes = notes
        self.overflow = overflow
        self.separated = separated

    def blocks(self) -> Iterator[bytes]:
        """Yield the whole message as it was read, in CRLF form.

        `from_blocks(b"", …)` reads it back. Where a text without fields was read, an
        empty line comes first.
        """
        section = self.header
        if not self.overflow:
            section += b"\n"
        section = section.replace(b"\n", b"\r\n")
        for at in range(0, len(section), BLOCK):
            yield section[at : at + BLOCK]
        yield from self.body.blocks()


def read(fd: int, *, dot_ends: bool, hint: bool) -> Intake:
    """Read a message from a descriptor to its end.

    With `dot_ends` a line of a single dot ends it, too. With `hint` one line on
    standard error says how to finish. Raises `InputUnreadable` (66); the descriptor
    is never changed, and one that does not block is waited for.
    """
    if hint:
        text = HINT.format(", and so does a line of a single dot" if dot_ends else "")
        try:
            posix.write(2, text.encode())
        except OSError:
            pass
    return _gather(_read_blocks(fd), dot_ends)


def from_blocks(section: bytes, blocks: Iterable[bytes]) -> Intake:
    """Take a message that comes in blocks, with any line ends.

    When `section` is empty the blocks are the whole message, else they are the body
    that belongs to this header section.
    """
    return _gather(_in_front(section, blocks) if section else blocks, False)


def _in_front(section: bytes, blocks: Iterable[bytes]) -> Iterator[bytes]:
    yield section if section.endswith(b"\n") else section + b"\n"
    yield b"\n"
    yield from blocks


def _read_blocks(fd: int) -> Iterator[bytes]:
    while True:
        try:
            block = posix.read(fd, BLOCK)
        except BlockingIOError:
            # Somebody else's descriptor is in non-blocking mode, and stays so.
            import select

            poll = select.poll()
            poll.register(fd, select.POLLIN)
            poll.poll()
            continue
        except OSError as error:
            raise InputUnreadable(
                f"standard input cannot be read: {posix.strerror(error.errno or 0)}",
                "give the message on standard input",
            ) from error
        if not block:
            return
        yield block


def _gather(blocks: Iterable[bytes], dot_ends: bool) -> Intake:
    """Split a stream of blocks into header section and body."""
    notes: list[str] = []
    lines = _newlines(blocks, notes)
    if dot_ends:
        lines = _until_dot(lines)
    section = _Section(notes)
    for block in lines:
        if section.take(block):
            break
    else:
        section.finish()
    filler = Filler(notes)
    if section.rest:
        filler.take(section.rest)
    for block in lines:
        filler.take(block)
    return Intake(
        bytes(section.kept), filler.done(), notes, section.overflow, section.separated
    )


def _newlines(blocks: Iterable[bytes], notes: list[str]) -> Iterator[bytes]:
    """Turn every line end into a bare newline, and every other CR into a blank."""
    held = b""
    strays = 0
    for block in blocks:
        block = held + block
        # A CR at the end may be half of a pair.
        held = b"\r" if block.endswith(b"\r") else b""
        if held:
            block = block[:-1]
        if b"\r" in block:
            # Where there are none but pairs, this is faster than to look for pairs.
            bare = block.replace(b"\r", b"")
            if bare.replace(b"\n", b"\r\n") != block:
                bare = block.replace(b"\r\n", b"\n")
                strays += bare.count(b"\r")
                bare = bare.replace(b"\r", b" ")
            block = bare
        if block:
            yield block
    if held:
        strays += 1
        yield b" "
    if strays:
        notes.append(f"{strays} CR outside of line ends replaced by blanks")


def _until_dot(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """End the stream before a line of a single dot."""
    held = b""
    for block in blocks:
        block = held + block
        cut = block.rfind(b"\n") + 1
        whole, held = block[:cut], block[cut:]
        if whole.startswith(b".\n"):
            return
        at = whole.find(b"\n.\n")
        if at >= 0:
            yield whole[: at + 1]
            return
        if whole:
            yield whole
    if held and held != b".":
        yield held


class _Section:
    """Finds the end of the header section in a stream of blocks."""

    __slots__ = (
        "begun",
        "judged",
        "kept",
        "notes",
        "overflow",
        "pending",
        "rest",
        "separated",
        "started",
    )

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes
        self.kept = bytearray()
        self.pending = bytearray()  # lines that cannot be judged yet
        self.rest = b""  # what belongs to the body already
        self.started = False  # the first line has been judged
        self.begun = False  # there is a field that a line may continue
        self.judged = False  # the unfinished line is too long for text, but a field
        self.separated = False
        self.overflow = False

    def take(self, block: bytes) -> bool:
        """Take a block; true once the section has ended."""
        self.pending += block
        if b"\n" not in block:
            return self._long_line()
        if not self.started and not self._decidable():
            return False
        text = bytes(self.pending)
        cut = text.rfind(b"\n") + 1
        self.pending = bytearray(text[cut:])
        self.judged = False
        if self._lines(text[:cut]):
            self.rest += self.pending
            return True
        return self._long_line()

    def finish(self) -> None:
        """Take the unfinished line: the stream has ended within the section."""
        if self.pending:
            text = bytes(self.pending)
            self._lines(text if text.endswith(b"\n") else text + b"\n")

    def _long_line(self) -> bool:
        """Judge a line that goes on and on; true when it belongs to the body."""
        if len(self.pending) <= BLOCK:
            return False
        if not self.judged:
            self.judged = True
            if not self._belongs(bytes(self.pending[:BLOCK])):
                self.rest = bytes(self.pending)
                self._note_missing_line()
                return True
        if len(self.kept) + len(self.pending) > header.SECTION_MAX:
            self.overflow = True
            self.rest = bytes(self.pending)
            return True
        return False

    def _decidable(self) -> bool:
        """Whether the first line can be judged: an mbox line needs the next one."""
        if not self.pending.startswith((b"From ", b">From ")):
            return True
        return self.pending.count(b"\n") > 2 or len(self.pending) > BLOCK

    def _belongs(self, line: bytes) -> bool:
        if line[:1] in (b" ", b"\t"):
            return self.begun
        return header.is_field(line)

    def _note_missing_line(self) -> None:
        if self.begun:
            self.notes.append("the body begins without an empty line before it")

    def _lines(self, text: bytes) -> bool:
        """Take whole lines; true when one of them ended the section."""
        start = at = 0 if self.started else self._mbox_lines(text)
        self.started = True
        # No further than to the first empty line: most of a block is body.
        if text.startswith(b"\n", at):
            end = at
        else:
            end = text.find(b"\n\n", at) + 1 or len(text)
        for line in text[at:end].split(b"\n")[:-1]:
            if not (self.begun and (line[0] == 32 or line[0] == 9)):
                if not header.is_field(line):
                    self._note_missing_line()
                    self.kept += text[start:at]
                    self.rest = text[at:]
                    return True
                self.begun = True
            at += len(line) + 1
        self.kept += text[start:at]
        if at < len(text):
            self.separated = True
            self.rest = text[at + 1 :]
            return True
        if len(self.kept) > header.SECTION_MAX:
            self.overflow = True
            return True
        return False

    def _mbox_lines(self, text: bytes) -> int:
        """Return the length of the mbox lines at the beginning of the message."""
        at = 0
        while text.startswith((b"From ", b">From "), at):
            end = text.find(b"\n", at)
            after = text[end + 1 : text.find(b"\n", end + 1)]
            line = text[at:end]
            if header.is_field(line):  # "From : someone", obsolete but a field
                break
            if not (
                _is_dated(line) or header.is_field(after) or after.startswith(b">From ")
            ):
                break
            at = end + 1
        if at:
            self.notes.append("mbox line at the beginning dropped")
        return at


def _is_dated(line: bytes) -> bool:
    """Whether a line ends like an mbox line: a day, a month, a time of day."""
    words = line.split()
    return len(words) > 5 and any(
        word.count(b":") in (1, 2) and word.replace(b":", b"").isdigit()
        for word in words[4:]
    )
