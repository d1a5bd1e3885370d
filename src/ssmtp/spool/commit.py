"""A directory of the queue: new files and changed names become durable together.

A message is safe once its file has been synchronised, has got its name, and the
directory has been synchronised too. The last step is shared (*group commit*): whoever
comes while one `fsync` is running waits for the next one, and one thread does that for
all who wait. Each still returns only after an `fsync` that began behind its own change.

Files that are published at the same time share all steps where the file system makes
changes durable in their order (`space.order`): their content is written, and waited
for, they get their names, and then one `fsync` has all of that durable. To synchronise
each of them would have the disk finish its work as often. Elsewhere all of them are
synchronised at the same time (`syncers`).

Here a directory that cannot be synchronised is an error: what is not durable must not
be acknowledged. A failing `fsync` is never tried again.
"""

from __future__ import annotations

import errno
import os
import threading

from ssmtp.spool import durable, extents, space
from ssmtp.spool.syncers import Syncers

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


class NewFile:
    """A file that is to have a name; `error` says why it never will.

    `size` is in octets.
    """

    __slots__ = ("error", "fd", "hidden", "name", "size")

    def __init__(self, fd: int, hidden: str, name: str) -> None:
        self.fd = fd
        self.hidden = hidden
        self.name = name
        self.size = 0
        self.error: OSError | None = None


class Folder:
    """An open directory; `path` is the name that people are told.

    `order` is that of its file system (`space.order`), looked up unless it is given.
    """

    def __init__(self, fd: int, path: str, order: int | None = None) -> None:
        self.fd = fd
        self.path = path
        self._lock = threading.Lock()
        self._next = _Round()
        self._running = False
        self._syncers = Syncers()
        self.order = space.order(fd) if order is None else order
        # Such files are given their name by way of /proc.
        self._unnamed = os.path.isdir("/proc/self/fd")

    def close(self) -> None:
        """Close the directory."""
        self._syncers.close()
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
            if self.order >= space.IN_ORDER:
                durable.check_alive(self.fd)
            turn.errno = 0
        except OSError as error:
            turn.errno = error.errno or errno.EIO
        finally:
            with self._lock:
                turn.ended = True
                self._running = _wake(self._next.gates)
            _wake(turn.gates)

    def begin(self, name: str, fill: Callable[[int], int]) -> NewFile:
        """Begin the new file `name`, 0600, with what `fill` writes: its size.

        `publish` has to follow. Until then the file is locked, so that nobody takes it
        before its time. Raises OSError, or what `fill` raises; there is no such file
        then.
        """
        fd, hidden = self._begin()
        file = NewFile(fd, hidden, name)
        try:
            file.size = fill(fd)
        except BaseException:
            self.abandon(file)
            raise
        return file

    def publish(self, files: list[NewFile]) -> None:
        """Give files their names, durably; of those that get none, `error` says why.

        Whatever else is raised, none of them is there then.
        """
        try:
            order = self.order if len(files) > 1 else space.NO_ORDER
            if order <= space.NO_ORDER:
                self._syncers.synchronise(files)
            else:
                _write_back(files)
            self._commit([file for file in files if file.error is None], order)
        finally:
            for file in files:
                self.abandon(file)

    def _commit(self, files: list[NewFile], order: int) -> None:
        tried: list[NewFile] = []
        try:
            for file in files:
                tried.append(file)
                self._name(file)
            named = self._kept([file for file in files if file.error is None])
            if not named:
                return
            if order == space.IN_ORDER:
                # What it flushes is the disk of the content; the journal may have its
                # own, and be all that a directory flushes. That has to follow all the
                # same: a file alone may leave out names (fast_commit).
                os.fsync(named[-1].fd)
            self.sync()
        except BaseException as error:
            self._withdraw([file for file in tried if file.error is None])
            if not isinstance(error, OSError):
                raise
            for file in files:
                file.error = file.error or error

    def _kept(self, files: list[NewFile]) -> list[NewFile]:
        """Return the files whose names will last, once the directory is synchronised.

        Where that does not even tell that they have one, they are synchronised again.
        """
        if self.order != space.FORGETFUL or not files:
            return files
        self._syncers.synchronise(files)
        self._withdraw([file for file in files if file.error is not None])
        return [file for file in files if file.error is None]

    def abandon(self, file: NewFile) -> None:
        """Close a file; nothing of it stays that has no name."""
        if file.hidden:
            _remove(self.fd, file.hidden)
        durable.close(file.fd)

    def _begin(self) -> tuple[int, str]:
        """Open a new, locked file; without a name, if the system can do that."""
        fd = durable.unnamed(self.fd) if self._unnamed else -1
        if fd < 0:
            self._unnamed = False
            return durable.hidden_file(self.fd)
        durable.lock(fd)
        return fd, ""

    def _name(self, file: NewFile) -> None:
        try:
            if file.hidden:
                # This could overwrite, but names of messages never come back. A link
                # would leave two behind when we are killed before the first one goes.
                os.rename(
                    file.hidden, file.name, src_dir_fd=self.fd, dst_dir_fd=self.fd
                )
                file.hidden = ""
            else:
                os.link(f"/proc/self/fd/{file.fd}", file.name, dst_dir_fd=self.fd)
        except OSError as error:
            file.error = error
            if error.errno in _NO_LINK:
                self._unnamed = False  # the next one takes the other way

    def _withdraw(self, files: list[NewFile]) -> None:
        """Take back what was not made durable: its sender is told that it failed."""
        if not files:
            return
        for file in files:
            _remove(self.fd, file.name)
        try:
            os.fsync(self.fd)
        except OSError:
            pass


def _write_back(files: list[NewFile]) -> None:
    """Have the content of files written; what follows makes it durable."""
    for file in files:
        extents.begin(file.fd)
    for file in files:
        try:
            extents.wait(file.fd, file.size)
        except OSError as error:
            file.error = error


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
