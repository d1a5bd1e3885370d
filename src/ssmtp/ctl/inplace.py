"""Files put in their place whole, in directories that are not ours alone.

The spool has `durable` for that, which takes every hidden file of its directories for
one of its own, and removes the old ones. Beside a configuration there may be anything,
such as the files of a home directory: here only what has our ending is removed, and
only when nobody writes it any more.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable

from ssmtp.spool import durable

ENDING = ".ssmtp-new"


def replace(directory: int, name: str, fill: Callable[[int], None]) -> None:
    """Put a new file in the place of `name`, at once and durably; raises OSError.

    `fill` writes it, and may change its mode, which is 0600.
    """
    with contextlib.ExitStack() as stack:
        hidden = _written(directory, name, fill, stack)
        os.rename(hidden, name, src_dir_fd=directory, dst_dir_fd=directory)
    durable.synchronise(directory)


def create(directory: int, name: str, fill: Callable[[int], None]) -> None:
    """Do the same for a new file; raises FileExistsError when the name is taken."""
    with contextlib.ExitStack() as stack:
        hidden = _written(directory, name, fill, stack)
        try:
            os.link(hidden, name, src_dir_fd=directory, dst_dir_fd=directory)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            if name in os.listdir(directory):
                raise FileExistsError(name) from None
            os.rename(hidden, name, src_dir_fd=directory, dst_dir_fd=directory)
    durable.synchronise(directory)


def _written(
    directory: int,
    name: str,
    fill: Callable[[int], None],
    stack: contextlib.ExitStack,
) -> str:
    """Write a hidden file and return its name; the stack removes and closes it."""
    _sweep(directory, name)
    hidden = f".{name}.{os.urandom(8).hex()}{ENDING}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(hidden, flags, 0o600, dir_fd=directory)
    stack.callback(os.close, fd)
    stack.callback(_remove, directory, hidden)
    durable.lock(fd)
    fill(fd)
    os.fsync(fd)
    return hidden


def _remove(directory: int, name: str) -> None:
    with contextlib.suppress(OSError):  # it was renamed
        os.unlink(name, dir_fd=directory)


def _sweep(directory: int, name: str) -> None:
    """Remove what runs that were killed left of this file."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    for found in os.listdir(directory):
        if not (found.startswith(f".{name}.") and found.endswith(ENDING)):
            continue
        with contextlib.suppress(OSError):
            fd = os.open(found, flags, dir_fd=directory)
            try:
                if stat.S_ISREG(os.fstat(fd).st_mode) and durable.lock(fd):
                    os.unlink(found, dir_fd=directory)
            finally:
                os.close(fd)
