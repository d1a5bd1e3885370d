"""A message that one process is working on: its try, and what came of it.

The claim is a lock on the file, so it ends with its holder, however that ends. Nothing
that stands in the file is changed; what happens is appended.
"""

from __future__ import annotations

import math
import os
import time

from ssmtp.errors import SystemTrouble
from ssmtp.spool import durable, queueentry, queuerecords
from ssmtp.spool.space import NoSpace, trouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ssmtp.spool.commit import Folder
    from ssmtp.spool.queuefile import Entry
    from ssmtp.spool.queuerecords import Record


# What became of recipients who do not have the message.
NOBODY = ("deferred", "refused")


class Claim:
    """A locked message of the queue; `release` it, or use it in a `with`.

    One thread at a time uses it. Everything that fails raises SystemTrouble (75).
    """

    __slots__ = ("_begun", "_content", "_failed", "_folder", "entry", "fd", "id")

    def __init__(
        self, fd: int, entry: Entry, content: bytes, folder: Folder, failed: Folder
    ) -> None:
        self.fd = fd
        self.id = entry.id
        self.entry = entry
        self._begun = -1  # the size that the file had before `begin`
        self._content = content
        self._folder = folder
        self._failed = failed

    def blocks(self, offset: int = 0) -> Iterator[bytes]:
        """Yield the content from an offset on; a small one in one block."""
        if len(self._content) == self.entry.octets:
            if offset < len(self._content):
                yield self._content[offset:]
            return
        try:
            yield from queueentry.blocks(self.fd, self.entry, offset)
        except OSError as error:
            raise trouble(f"{self.id} cannot be read", error) from None

    def begin(self) -> None:
        """Note that a try begins, before anything of the message is sent.

        Whoever dies in the middle leaves this behind; a power cut may take it away.
        """
        size = self.entry.size
        self._append([("begin", time.time(), str(self.entry.attempts + 1))])
        self._begun = size

    def settle(
        self, outcomes: Iterable[tuple[int, str, str]], next_try: float | None = None
    ) -> None:
        """Note what came of a try, durably: (number of recipient, state, reply).

        `next_try` is when to try again, in seconds since 1970; without it the message
        is due at once. When nobody has the message and there is no room for that, the
        try has left nothing, not even its beginning: it was no crash.
        """
        outcomes = list(outcomes)
        for number, _, _ in outcomes:
            if not 0 <= number < len(self.entry.recipients):
                raise IndexError(number)
        now = time.time()
        records = queuerecords.of_outcomes(outcomes, now)
        records.append(("next", now if next_try is None else next_try, ""))
        try:
            self._append(records)
        except SystemTrouble:
            if all(state in NOBODY for _, state, _ in outcomes):
                self._forget_begin()
            raise
        self._begun = -1
        self._sync()
        self.show_next()

    def warned(self) -> None:
        """Note durably that the sender has been told of the delay."""
        self.note("warned")

    def done(self) -> None:
        """Remove the message, durably, and release it."""
        try:
            self.unlink()
        except OSError as error:
            self.unlinked(error)
        else:
            self.unlinked(self._folder.try_sync())

    def unlink(self) -> None:
        """Take the name away; raises OSError. `unlinked` is to follow in any case.

        To make it durable before is left to who calls.
        """
        self._content = b""  # many claims may wait for that, and nobody reads it again
        try:
            os.unlink(self.id, dir_fd=self._folder.fd)
        except FileNotFoundError:
            pass

    def unlinked(self, error: OSError | None) -> None:
        """Release the message, whose name is gone for good if there was no error.

        Else it is noted as well as can be that this is over, lest it is sent again.
        """
        try:
            if error is not None:
                self._note_done()
                raise trouble(f"{self.id} cannot be removed", error) from None
        finally:
            self.release()

    def _note_done(self) -> None:
        try:
            self.note("done")
        except SystemTrouble:
            pass

    def to_failed(self, reason: str) -> None:
        """Move the message to failed/, durably, and release it."""
        try:
            self.note("failed", reason)
        except NoSpace:
            pass  # moving it is what counts; the outcomes are in the file already
        self.move(self._folder, self._failed)

    def move(self, source: Folder, target: Folder) -> None:
        """Rename the message, durably, and release it."""
        try:
            os.rename(self.id, self.id, src_dir_fd=source.fd, dst_dir_fd=target.fd)
            target.sync()
            source.sync()
        except OSError as error:
            raise trouble(
                f"{self.id} cannot be moved to {target.path}", error
            ) from None
        finally:
            self.release()

    def release(self) -> None:
        """Give the message back to the queue."""
        if self.fd >= 0:
            durable.close(self.fd)
            self.fd = -1

    def note(self, name: str, details: str = "") -> None:
        """Append one record of this name, durably."""
        self._append([(name, time.time(), details)])
        self._sync()
        self.show_next()

    def show_next(self, sooner: float = math.inf) -> None:
        """Let the file's time say when the message is due: 0 while it is held.

        That is but an index; the records count. `sooner` is when somebody is to look at
        it before.
        """
        when = min(self.entry.next or time.time(), sooner)
        when = 0.0 if self.entry.held else when
        try:
            os.utime(self.fd, (when, when))
        except OSError:
            pass

    def _append(self, records: list[Record]) -> None:
        lines = b"".join(map(queuerecords.render, records))
        try:
            durable.write(self.fd, lines)
        except OSError as error:
            self._cut()
            raise trouble(f"what became of {self.id} cannot be noted", error) from None
        for record in records:
            queuerecords.apply(self.entry, record)
        self.entry.size += len(lines)

    def _forget_begin(self) -> None:
        if self._begun >= 0:
            self.entry.size = self._begun
            self._cut()

    def _cut(self) -> None:
        """Take away a line that was written in part."""
        try:
            os.ftruncate(self.fd, self.entry.size)
        except OSError:
            pass

    def _sync(self) -> None:
        try:
            os.fdatasync(self.fd)
        except OSError as error:
            raise trouble(f"what became of {self.id} is not safe", error) from None

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
