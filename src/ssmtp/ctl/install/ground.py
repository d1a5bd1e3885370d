"""The file system as an installation sees it, below the directory named with --root.

Whatever is put somewhere is put there whole: it is made beside its place under a hidden
name, which the next run removes if this one is killed, and then renamed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from ssmtp.ctl.words import _
from ssmtp.errors import EX_NOPERM, Failure, SystemTrouble
from ssmtp.values import shown

HIDDEN = ".ssmtp-new"


class Refused(Failure):
    """An installation that is not done, because of what is there; nothing changed."""

    exit_code = EX_NOPERM
    culprit = "caller"
    when = "never"


class Ground:
    """Reads and changes files; every path is one below --root."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")

    def real(self, path: str) -> str:
        """Return where a path of the installation lies now."""
        return self.root + path

    def fingerprint(self, path: str) -> str | None:
        """Tell what lies at a path: None for nothing, else a word to compare."""
        real = self.real(path)
        try:
            found = os.lstat(real)
            if stat.S_ISLNK(found.st_mode):
                return link_print(os.readlink(real))
            if stat.S_ISREG(found.st_mode):
                return content_print(Path(real).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Refused(
                _("{path} cannot be read: {reason}").format(
                    path=shown(real), reason=error.strerror
                ),
                _("run this as root"),
            ) from None
        return "directory" if stat.S_ISDIR(found.st_mode) else "special"

    def exists(self, path: str) -> bool:
        """Tell whether anything has this name, be it a link to nowhere."""
        return os.path.lexists(self.real(path))

    def mode(self, path: str) -> int:
        """Return the permissions of what lies there."""
        return stat.S_IMODE(os.lstat(self.real(path)).st_mode)

    def same(self, one: str, other: str) -> bool:
        """Tell whether two names are of one and the same file."""
        a, b = os.lstat(self.real(one)), os.lstat(self.real(other))
        return (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)

    def missing(self, path: str) -> list[str]:
        """Return the directories that a path lacks, the outermost first."""
        found = []
        folder = os.path.dirname(path)
        while folder != "/" and not os.path.isdir(self.real(folder)):
            found.append(folder)
            folder = os.path.dirname(folder)
        return found[::-1]

    def obstacle(self, path: str) -> str | None:
        """Tell why nothing can be put at a path, None if it can."""
        folder = os.path.dirname(path)
        while not os.path.lexists(self.real(folder)) and folder != "/":
            folder = os.path.dirname(folder)
        real = self.real(folder) or "/"
        if not os.path.isdir(real):
            return _("{path} is no directory").format(path=shown(real))
        try:
            if os.statvfs(real).f_flag & os.ST_RDONLY:
                read_only = _("{path} is on a read-only file system")
                return read_only.format(path=shown(real))
        except OSError:
            pass
        if not os.access(real, os.W_OK | os.X_OK):
            return _("{path} cannot be written to").format(path=shown(real))
        return None

    def put(self, path: str, content: bytes, mode: int, group: int = -1) -> None:
        """Put a file at a path, instead of what is there."""
        hidden = self._hidden(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(hidden, flags, 0o600)
        try:
            with open(fd, "wb", closefd=False) as file:
                file.write(content)
            if group >= 0:
                os.fchown(fd, -1, group)
            os.fchmod(fd, mode)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(hidden, self.real(path))

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link at a path, instead of what is there."""
        hidden = self._hidden(path)
        os.symlink(target, hidden)
        os.rename(hidden, self.real(path))

    def keep(self, path: str, saved: str) -> None:
        """Give what lies at a path a second name; where that cannot be, another one."""
        try:
            os.link(self.real(path), self.real(saved), follow_symlinks=False)
        except OSError:  # a file system without hard links
            os.rename(self.real(path), self.real(saved))

    def restore(self, saved: str, path: str) -> None:
        """Bring back what was kept."""
        if self.exists(path) and self.same(saved, path):
            os.unlink(self.real(saved))  # rename(2) leaves both names then
        else:
            os.rename(self.real(saved), self.real(path))

    def remove(self, path: str) -> None:
        """Remove a file or a link."""
        os.unlink(self.real(path))

    def sweep(self, path: str) -> None:
        """Remove what a run that was killed left beside a path."""
        self._hidden(path)

    def make_directory(self, path: str, mode: int = 0o755, group: int = -1) -> None:
        """Make a directory with exactly this mode, at once."""
        hidden = self._hidden(path)
        os.mkdir(hidden, 0o700)
        if group >= 0:
            os.chown(hidden, -1, group)
        os.chmod(hidden, mode)
        os.rename(hidden, self.real(path))

    def found(self, folders: list[str], name: str, content: bytes) -> None:
        """Make directories, each inside the one before, with a file in the innermost.

        They are there with the file, or they are not there.
        """
        outer, inner = folders[0], folders[-1]
        hidden = self._hidden(outer)
        place = hidden + inner[len(outer) :]
        os.makedirs(place)
        Path(place, name).write_bytes(content)
        os.rename(hidden, self.real(outer))

    def remove_directory(self, path: str) -> bool:
        """Remove a directory if it is empty; tell whether it is gone."""
        try:
            os.rmdir(self.real(path))
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def remove_tree(self, path: str) -> None:
        """Remove a directory with all that is in it: first its name, then the rest."""
        if self.exists(path):
            hidden = self._hidden(path)
            os.rename(self.real(path), hidden)
            shutil.rmtree(hidden)

    def lock(self, folder: str) -> int:
        """Lock a directory until the descriptor is closed; raises `Refused`."""
        fd = os.open(self.real(folder), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise Refused(
                _("another run is at work in {folder}").format(
                    folder=shown(self.real(folder))
                ),
                _("wait for its end"),
            ) from None
        return fd

    def _hidden(self, path: str) -> str:
        """Return the hidden name beside a path, with nothing there."""
        folder, name = os.path.split(self.real(path))
        hidden = os.path.join(folder, f".{name}{HIDDEN}")
        if os.path.isdir(hidden) and not os.path.islink(hidden):
            shutil.rmtree(hidden)
        else:
            try:
                os.unlink(hidden)
            except (FileNotFoundError, NotADirectoryError):
                pass
        return hidden


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turn what the system refuses into a sentence; the next run goes on from there."""
    try:
        yield
    except PermissionError as error:
        raise Refused(_words(error), _("run this as root")) from None
    except OSError as error:
        raise SystemTrouble(
            _words(error),
            _("put that right, and run this again: it goes on from there"),
        ) from None


def _words(error: OSError) -> str:
    name = shown(os.fsdecode(error.filename)) if error.filename else _("a file")
    return _("{path} cannot be changed: {reason}").format(
        path=name, reason=error.strerror
    )


def content_print(content: bytes) -> str:
    """Return the fingerprint of a file with this content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def link_print(target: str) -> str:
    """Return the fingerprint of a link to this target."""
    return f"link:{target}"


def ways_up(path: str) -> Iterator[str]:
    """Yield a path and the directories that it lies in, up to the root."""
    while path != "/":
        yield path
        path = os.path.dirname(path)
    yield "/"
