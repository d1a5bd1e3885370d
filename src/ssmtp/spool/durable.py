"""Write one file so that it is whole, or is not there, whenever the power goes.

The order is the one that survived every crash test: a file without a name
(`O_TMPFILE`), the content, `fsync`, `linkat`, `fsync` of the directory. Linking never
overwrites. Where the system has no such files, or no /proc to link them from, a hidden
name takes their place; nobody else looks at names with a leading dot.

A failing `fsync` is never tried again: after it the kernel may take the lost pages for
written ones.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# What open(2) says when the file system or the kernel knows no O_TMPFILE.
_NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)

# Seconds after which a hidden file that nobody has locked was left by a killed run.
_STALE = 3600


def create(directory: int, name: str, fill: Callable[[int], None]) -> None:
    """Make the new file `name` in the open directory, 0600, with what `fill` writes.

    Raises FileExistsError when the name is taken, OSError when the file cannot be
    written; nothing is left behind then.
    """
    fd = unnamed(directory)
    if fd < 0:
        _by_hidden_name(directory, name, fill, _link)
    else:
        try:
            os.fchmod(fd, 0o600)
            fill(fd)
            os.fsync(fd)
            linked = _link_unnamed(fd, name, directory)
            if linked:
                _synchronise_links(fd)
        finally:
            os.close(fd)
        if not linked:
            _by_hidden_name(directory, name, fill, _link)
    try:
        synchronise(directory)
    except OSError:
        # The file is whole and in its place. Whoever throws it away now, because it
        # might be lost in a crash, has lost it for certain.
        pass


def replace(directory: int, name: str, fill: Callable[[int], None]) -> None:
    """Put a new file in the place of `name`, at once and durably; raises OSError."""
    _by_hidden_name(directory, name, fill, _rename)
    synchronise(directory)


def synchronise(directory: int) -> None:
    """Make new and removed names durable, as far as the file system can."""
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF):
            raise


def write(fd: int, data: bytes) -> None:
    """Write all of `data`; raises OSError."""
    written = 0
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:] if written else data)


def check_alive(fd: int) -> None:
    """Raise OSError if the file system has stopped to write, though nobody said so.

    An `fsync` behind a journal that has failed for somebody else says nothing. To
    remove an attribute that is not there changes nothing, and needs a journal that
    works.
    """
    try:
        os.removexattr(fd, "user.ssmtp")
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EIO):
            raise


def close(fd: int) -> None:
    """Close a file; what matters was synchronised before, so no error counts."""
    try:
        os.close(fd)
    except OSError:
        pass


def unnamed(directory: int) -> int:
    """Open a file without a name, or return -1 where there is no such thing."""
    flag = getattr(os, "O_TMPFILE", 0)
    if not flag:
        return -1
    try:
        return os.open(".", os.O_RDWR | flag | os.O_CLOEXEC, 0o600, dir_fd=directory)
    except OSError as error:
        if error.errno in _NO_TMPFILE:
            return -1
        raise


def _synchronise_links(fd: int) -> None:
    """Have it written that a file has a name; without a journal nothing else does."""
    try:
        os.fsync(fd)
    except OSError:
        pass  # as in `create`: it is in its place


def _link_unnamed(fd: int, name: str, directory: int) -> bool:
    """Give a file its name; False when that cannot be done here (no /proc)."""
    try:
        os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=directory)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS):
            raise
        return False
    return True


def hidden_file(directory: int) -> tuple[int, str]:
    """Open a new, locked file with a hidden name; raises OSError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        name = f".{os.urandom(16).hex()}"
        fd = os.open(name, flags, 0o600, dir_fd=directory)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)  # who sweeps has it for a moment
            if os.fstat(fd).st_nlink:
                return fd, name
        except OSError:
            return fd, name
        os.close(fd)  # it was swept before it was ours


def _by_hidden_name(
    directory: int,
    name: str,
    fill: Callable[[int], None],
    publish: Callable[[int, str, str], None],
) -> None:
    sweep(directory)
    fd, hidden = hidden_file(directory)
    try:
        os.fchmod(fd, 0o600)
        fill(fd)
        os.fsync(fd)
        publish(directory, hidden, name)
    finally:
        try:
            os.unlink(hidden, dir_fd=directory)
        except OSError:
            pass  # renamed
        os.close(fd)


def _link(directory: int, hidden: str, name: str) -> None:
    try:
        os.link(hidden, name, src_dir_fd=directory, dst_dir_fd=directory)
    except FileExistsError:
        raise
    except OSError:  # no hard links here; the name is a random one
        _rename(directory, hidden, name)


def _rename(directory: int, hidden: str, name: str) -> None:
    os.rename(hidden, name, src_dir_fd=directory, dst_dir_fd=directory)


def lock(fd: int) -> bool:
    """Lock the file until it is closed; False when somebody else has it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def sweep(directory: int, before: float | None = None) -> None:
    """Remove hidden files of runs that were killed in writing.

    `before` is a time in seconds since 1970, some time ago unless it is given.
    """
    if before is None:
        before = time.time() - _STALE
    for name in os.listdir(directory):
        if not name.startswith("."):
            continue
        try:
            fd = os.open(
                name,
                os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
                dir_fd=directory,
            )
        except OSError:
            continue
        try:
            found = os.fstat(fd)
            stale = found.st_mtime < before
            if stat.S_ISREG(found.st_mode) and stale and lock(fd):
                os.unlink(name, dir_fd=directory)
        except OSError:
            pass
        finally:
            os.close(fd)
