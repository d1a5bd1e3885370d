"""A directory of the queue: new files and changed names become durable together.

A message is safe once its file has been synchronised, has got its name, and the
directory has been synchronised too. The last step is shared (*group commit*): whoever
comes while one `fsync` is running waits for the next one, and one thread does that for
all who wait. Each still returns only after an `fsync` that began behind its own change.

Here a directory that cannot be synchronised is an error: what is not durable must not
be acknowledged. A failing `fsync` is never tried again.
"""

from __future__ import annotations

import errno
import os
import threading

from ssmtp.spool import durable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


# What linkat(2) says where a file without a name cannot be given one.
_NO_LINK = (errno.ENOENT, errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP)


class _Round:
    """One `fsync`, what came of it, and a gate for each who waits for it."""

    __slots__ = ("ended", "errno", "gates")

    def __init__(self) -> None:
        self.ended = False
        self.errno = errno.EIO  # until it is known to be good
        self.gates: list[threading.Lock] = []


class Folder:
    """An open directory; `path` is the name that people are told."""

    def __init__(self, fd: int, path: str) -> None:
        self.fd = fd
        self.path = path
        self._lock = threading.Lock()
        self._next = _Round()
        self._running = False
        # Such files are given their name by way of /proc.
        self._unnamed = os.path.isdir("/proc/self/fd")

    def close(self) -> None:
        """Close the directory."""
        durable.close(self.fd)

    def sync(self) -> None:
        """Make all changes of names that were made before durable; raises OSError."""
        gate = None
        with self._lock:
            turn = self._next
            if self._running:
                gate = threading.Lock()
                gate.acquire()
                turn.gates.append(gate)
            self._running = True
        if gate is not None:
            try:
                gate.acquire()
            except BaseException:
                self._leave(turn, gate)
                raise
        self._go_on(turn)
        if turn.errno:
            raise OSError(turn.errno, os.strerror(turn.errno))

    def try_sync(self) -> OSError | None:
        """Make all changes of names durable that were made before; return the error."""
        try:
            self.sync()
        except OSError as error:
            return error
        return None

    def _leave(self, turn: _Round, gate: threading.Lock) -> None:
        """Wait no longer, unless others rely on us already."""
        try:
            turn.gates.remove(gate)
        except ValueError:
            self._go_on(turn)

    def _go_on(self, turn: _Round) -> None:
        """Do what is to be done behind an open gate."""
        if turn.ended:
            _wake(turn.gates)
        else:
            self._run(turn)

    def _run(self, turn: _Round) -> None:
        """Run the `fsync` of a round, and let somebody run the next one."""
        with self._lock:
            self._next = _Round()
        try:
            os.fsync(self.fd)
            turn.errno = 0
        except OSError as error:
            turn.errno = error.errno or errno.EIO
        finally:
            with self._lock:
                turn.ended = True
                self._running = _wake(self._next.gates)
            _wake(turn.gates)

    def create(self, name: str, fill: Callable[[int], None]) -> None:
        """Make the new file `name`, 0600, with what `fill` writes, durably.

        Until then the file is locked, so that nobody takes it before its time. Raises
        OSError, or what `fill` raises; there is no such file then.
        """
        fd, hidden = self._begin()
        try:
            fill(fd)
            os.fsync(fd)
            self._publish(fd, hidden, name)
            hidden = ""
            try:
                self.sync()
            except BaseException:
                self._withdraw(name)
                raise
        finally:
            if hidden:
                _remove(self.fd, hidden)
            durable.close(fd)

    def _begin(self) -> tuple[int, str]:
        """Open a new, locked file; without a name, if the system can do that."""
        fd = durable.unnamed(self.fd) if self._unnamed else -1
        if fd < 0:
            self._unnamed = False
            return durable.hidden_file(self.fd)
        durable.lock(fd)
        return fd, ""

    def _publish(self, fd: int, hidden: str, name: str) -> None:
        if hidden:
            # This could overwrite, but names of messages never come back. A link would
            # leave two names behind when we are killed before the first one goes.
            os.rename(hidden, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
            return
        try:
            os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=self.fd)
        except OSError as error:
            if error.errno in _NO_LINK:
                self._unnamed = False  # the next one takes the other way
            raise

    def _withdraw(self, name: str) -> None:
        """Take back what was not made durable: its sender is told that it failed."""
        try:
            os.unlink(name, dir_fd=self.fd)
            os.fsync(self.fd)
        except OSError:
            pass


def _wake(gates: list[threading.Lock]) -> bool:
    """Open the gate of one who waits, who opens the next; False if nobody does.

    To wake all at once would have them wait for each other.
    """
    if gates:
        gates.pop().release()
        return True
    return False


def _remove(directory: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except OSError:
        pass
