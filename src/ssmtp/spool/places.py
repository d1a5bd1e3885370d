"""The private directories in which kept messages lie, and how to trust them.

A directory of the failed store is used only through a descriptor that was opened
without following a link and whose owner and type were checked with `fstat`: what a
name stands for can change, an open directory cannot.

- `$XDG_STATE_HOME/ssmtp/failed` when that variable is set. When nothing can be written
  there, `/var/tmp/ssmtp-UID-HASH` stands in for it, with the CRC-32 of the variable:
  what was kept for one state directory is found with that one, and with no other;
- `/var/tmp/ssmtp-UID` when it is not set.

Names in `/var/tmp` are free to all users, so somebody may have taken ours
(*squatting*): then a random suffix is added, and reading looks at every directory of
that form that is really ours. They are made 0700. `/tmp` serves in the same manner when
`/var/tmp` cannot be written.

Nothing is ever made in the home directory otherwise.
"""

from __future__ import annotations

import binascii
import errno
import os
import stat

from ssmtp.spool import durable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Directories that everybody may write. /var/tmp survives a restart, /tmp may not.
SHARED = ("/var/tmp", "/tmp")

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Place:
    """An open directory of the failed store; `close` it.

    `fd` is the directory, `path` the name that people are told, `uid` its owner.
    """

    __slots__ = ("fd", "path", "uid")

    def __init__(self, fd: int, path: str, uid: int) -> None:
        self.fd = fd
        self.path = path
        self.uid = uid

    def close(self) -> None:
        """Close the directory."""
        os.close(self.fd)


def for_writing(
    environ: Mapping[str, str], uid: int, troubles: list[str]
) -> Iterator[Place]:
    """Yield directories to try, the wanted one first, each made when it is missing.

    What stands in the way of one is added to `troubles`. The caller closes each place.
    """
    state = _state(environ)
    if state:
        try:
            place = _state_place(state, uid, make=True)
        except OSError as error:
            troubles.append(f"{state}: {error.strerror}")
        else:
            yield place
    for parent in SHARED:
        try:
            place = _shared_place(parent, _shared_name(state, uid), uid)
        except OSError as error:
            troubles.append(f"{parent}: {error.strerror}")
        else:
            yield place


def for_reading(environ: Mapping[str, str], uid: int | None) -> Iterator[Place]:
    """Yield the directories in which `for_writing` may have put messages.

    With uid None they are those of all users: below `SHARED` the names tell whose they
    are. Directories that are not what their name says are passed over. The caller
    closes each place.
    """
    state = _state(environ)
    if state:
        try:
            yield _state_place(state, os.getuid() if uid is None else uid, make=False)
        except OSError:
            pass
    for parent in SHARED:
        try:
            names = sorted(os.listdir(parent))
        except OSError:
            continue
        for name in names:
            stem = name.partition(".")[0]
            owner = _owner_in(stem) if uid is None else uid
            if owner is None or (uid is not None and stem != _shared_name(state, uid)):
                continue
            try:
                yield _opened(os.path.join(parent, name), owner)
            except OSError:
                pass


def _state(environ: Mapping[str, str]) -> str:
    """Return the state directory, or nothing when it is not set.

    A relative path is to be ignored, says the XDG base directory specification.
    """
    state = environ.get("XDG_STATE_HOME", "")
    return state if state.startswith("/") else ""


def _shared_name(state: str, uid: int) -> str:
    """Return the name below `SHARED` that belongs to a state directory, or to none."""
    if not state:
        return f"ssmtp-{uid}"
    return f"ssmtp-{uid}-{binascii.crc32(os.fsencode(state.rstrip('/'))):08x}"


def _owner_in(stem: str) -> int | None:
    """Return the uid in a name like `ssmtp-1000` or `ssmtp-1000-7f3a9c04`."""
    prefix, _, rest = stem.partition("-")
    digits = rest.partition("-")[0]
    if prefix != "ssmtp" or not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits)


def _state_place(state: str, uid: int, *, make: bool) -> Place:
    """Open `failed` below `ssmtp` below the state directory."""
    if make:
        os.makedirs(state, 0o700, exist_ok=True)
    fd = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Root with somebody else's environment (su, sudo -E) is not lured into a
        # directory that the other one rules.
        if os.fstat(fd).st_uid not in (0, uid):
            raise PermissionError(errno.EPERM, "belongs to another user")
        path = state
        for name in ("ssmtp", "failed"):
            path = os.path.join(path, name)
            if make:
                _make(name, fd)
            inner = os.open(name, _OPEN_DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = inner
            _check(fd, uid)
        return _private(Place(fd, path, uid))
    except BaseException:
        os.close(fd)
        raise


def _shared_place(parent: str, wanted: str, uid: int) -> Place:
    """Open our directory below `parent`, made now or before; survive squatting."""
    parent_fd = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _make(wanted, parent_fd)
        try:
            return _opened(os.path.join(parent, wanted), uid)
        except OSError:
            pass  # squatted: somebody else's directory, a file, a link
        for name in sorted(os.listdir(parent_fd)):
            if name.startswith(wanted + "."):
                try:
                    return _opened(os.path.join(parent, name), uid)
                except OSError:
                    pass
        name = f"{wanted}.{os.urandom(8).hex()}"
        _make(name, parent_fd)
        return _opened(os.path.join(parent, name), uid)
    finally:
        os.close(parent_fd)


def _make(name: str, parent_fd: int) -> None:
    """Make a private directory, durably, unless the name is taken."""
    old = os.umask(0o077)
    try:
        os.mkdir(name, 0o700, dir_fd=parent_fd)
    except FileExistsError:
        return
    finally:
        os.umask(old)
    durable.synchronise(parent_fd)


def _opened(path: str, uid: int) -> Place:
    """Open a directory that must be ours, by its path."""
    fd = os.open(path, _OPEN_DIRECTORY)
    try:
        _check(fd, uid)
        return _private(Place(fd, path, uid))
    except BaseException:
        os.close(fd)
        raise


def _check(fd: int, uid: int) -> None:
    if os.fstat(fd).st_uid != uid:
        raise PermissionError(errno.EPERM, "belongs to another user")


def _private(place: Place) -> Place:
    """Shut a directory that others can look into; what lies in it is checked anyway."""
    if stat.S_IMODE(os.fstat(place.fd).st_mode) & 0o077:
        os.fchmod(place.fd, 0o700)
    return place
