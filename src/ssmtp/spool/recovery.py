"""The directories of the queue: made durably, trusted when opened, kept clean."""

from __future__ import annotations

import os
import stat

from ssmtp.errors import ConfigError
from ssmtp.spool import durable, space
from ssmtp.spool.commit import Folder
from ssmtp.spool.keptfile import escape

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

# Room for a suffix below the 255 octets that a name may have.
_NAME = 200


def open_folders(path: str, owner: int) -> list[Folder]:
    """Open queue/, failed/ and corrupt/ in `path`, made where they are missing.

    Raises ConfigError (78) for what is not ours or not on one local disk, OSError when
    it cannot be opened.
    """
    top = _open_folder(path, None, path, owner)
    folders: list[Folder] = []
    try:
        space.check_kind(top.fd, path)
        for name in ("queue", "failed", "corrupt"):
            _make(name, top.fd)
            inner = os.path.join(path, name)
            folders.append(_open_folder(name, top.fd, inner, owner, top.order))
            if not _are_together(folders[-1].fd, top.fd):
                raise ConfigError(
                    f"{inner} lies on another file system than {path}",
                    "a message could not move there",
                )
        # Whether they are new or not: who made them may have been killed before this.
        top.sync()
    except BaseException:
        for folder in folders:
            folder.close()
        raise
    finally:
        top.close()
    return folders


def make(path: str) -> None:
    """Make a private directory, and those above it, durably; raises OSError."""
    parent = os.path.dirname(path.rstrip("/")) or "."
    if not os.path.isdir(parent):
        make(parent)
    fd = os.open(parent, _OPEN)
    try:
        _make(path, None)
        durable.synchronise(fd)
    finally:
        durable.close(fd)


def put_away(name: str, source: Folder, corrupt: Folder) -> str:
    """Rename a file that nobody opens into corrupt/, and return where it is now.

    Raises OSError.
    """
    stem = os.fsdecode(os.fsencode(name)[:_NAME])
    new = f"{stem}.{os.urandom(4).hex()}"
    os.rename(name, new, src_dir_fd=source.fd, dst_dir_fd=corrupt.fd)
    corrupt.sync()
    source.sync()
    return escape(os.path.join(corrupt.path, new))


def _open_folder(
    name: str, directory: int | None, path: str, owner: int, order: int | None = None
) -> Folder:
    """Open a private directory of this owner without following a link."""
    try:
        fd = os.open(name, _OPEN | os.O_NOFOLLOW, dir_fd=directory)
    except NotADirectoryError:
        raise ConfigError(
            f"{path} is not a directory", "move it away, or change Spool"
        ) from None
    try:
        found = os.fstat(fd)
        if found.st_uid != owner:
            raise ConfigError(
                f"{path} belongs to uid {found.st_uid}, not to {owner}",
                "give it to the user that runs the agent, or change Spool",
            )
        if stat.S_IMODE(found.st_mode) & 0o077:
            os.fchmod(fd, 0o700)
    except BaseException:
        durable.close(fd)
        raise
    return Folder(fd, path, order)


def _are_together(fd: int, other: int) -> bool:
    """Tell whether files can be renamed from one directory to the other."""
    mounts = {space.mount(fd), space.mount(other)}
    mounts.discard(b"")  # nobody can tell
    return os.fstat(fd).st_dev == os.fstat(other).st_dev and len(mounts) < 2


def _make(path: str, directory: int | None) -> None:
    try:
        os.mkdir(path, 0o700, dir_fd=directory)
    except FileExistsError:
        pass
