"""The sockets on which the agent is spoken to: made by hand, or handed over.

systemd hands over sockets that are open already (sd_listen_fds(3)), and so does
`ssmtpctl agent run`: then nobody is refused while the acceptor starts anew.

A socket made by hand is held by a lock on a file beside it, which dies with its holder.
So a socket whose lock is free is a leftover and may be replaced.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import socket
import stat
from collections.abc import MutableMapping

from ssmtp.agent import places
from ssmtp.config import Config
from ssmtp.errors import ConfigError, SystemTrouble

BACKLOG = 512
FIRST_FD = 3  # SD_LISTEN_FDS_START
FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)


class Listener:
    """A submit socket that we made; `close` takes it away.

    `socket` listens at `path`; `lock` is the descriptor that says that we live, and
    has to stay open in whoever takes the socket over.
    """

    def __init__(self, listening: socket.socket, path: str, lock: int) -> None:
        self.socket = listening
        self.path = path
        self.lock = lock
        self._file = _file(path)

    def close(self) -> None:
        """Stop listening, and remove the socket if it is still ours."""
        try:
            if _file(self.path) == self._file:
                os.unlink(self.path)
        except OSError:
            pass
        self.socket.close()
        os.close(self.lock)


def submit(path: str, owner: tuple[int, int] | None = None) -> Listener:
    """Listen at a path, for everybody; the directory is made when it is missing.

    `owner` is the uid and gid to whom the directory is to belong. Raises `ConfigError`
    for a place that is not fit, `SystemTrouble` when it is taken.
    """
    places.check_length(path)
    _directory(os.path.dirname(path), owner)
    lock = _lock(path)
    try:
        _clear(path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(path)
            os.chmod(path, 0o666)
            listening.listen(BACKLOG)
        except BaseException:
            listening.close()
            raise
    except OSError as error:
        os.close(lock)
        raise SystemTrouble(
            f"cannot listen at {path}: {error.strerror}", "choose another place"
        ) from None
    except BaseException:
        os.close(lock)
        raise
    return Listener(listening, path, lock)


def loopback(host: str, port: int) -> socket.socket:
    """Listen at a loopback address in numbers; raises `SystemTrouble`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # Where there is no IPv6, this fails already.
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, port))
            listening.listen(BACKLOG)
        except BaseException:
            listening.close()
            raise
    except OSError as error:
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        step = "end the program that listens there, or change ListenLoopback"
        if error.errno == errno.EACCES:
            step = "start the agent as root, or choose a port from 1024 on"
        raise SystemTrouble(
            f"cannot listen at {place}: {error.strerror}", step
        ) from None
    return listening


def identity(config: Config) -> int:
    """Return the uid in whose name mail from the loopback listeners is sent.

    Raises `ConfigError` when there is no such user.
    """
    login = config.listen_identity
    if not login:
        raise ConfigError(
            f"{config.path}: ListenLoopback needs ListenIdentity",
            "name the user in whose name such mail is sent",
        )
    try:
        return pwd.getpwnam(login).pw_uid
    except KeyError:
        raise ConfigError(
            f"{config.path}: ListenIdentity: there is no user {login}",
            "name a user of this machine",
        ) from None


def inherited(environ: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """Return the sockets that were handed over to this process, once.

    The variables are taken away, so that no child believes them meant for itself.
    Raises `ConfigError` for a socket that nobody can connect to.
    """
    meant = environ.pop("LISTEN_PID", "") == str(os.getpid())
    count = environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if not meant or not count.isdecimal():
        return []
    found = []
    for fd in range(FIRST_FD, FIRST_FD + int(count)):
        try:
            os.set_inheritable(fd, False)
            one = socket.socket(fileno=fd)
            good = one.family in FAMILIES and one.type == socket.SOCK_STREAM
            good = good and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
        except OSError:  # no socket
            good = False
        if not good:
            raise ConfigError(
                "a socket was handed over that nobody can connect to",
                "let the unit have ListenStream= only, and Accept=no",
            )
        # Beside its path lies what else the agent needs.
        if one.family == socket.AF_UNIX and str(one.getsockname())[:1] != "/":
            raise ConfigError(
                "a socket without a path was handed over",
                "let ListenStream= name a path that begins with /",
            )
        found.append(one)
    return found


def _file(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino


def _directory(path: str, owner: tuple[int, int] | None) -> None:
    """Make the directory of the socket, in which nobody else may put anything."""
    try:
        made = not os.path.isdir(path)
        places.make(path)
        found = os.stat(path)
        if owner is not None and made:
            os.chown(path, *owner)
            found = os.stat(path)
    except OSError as error:
        raise SystemTrouble(
            f"cannot make {path}: {error.strerror}", "choose another place"
        ) from None
    uid = os.getuid() if owner is None else owner[0]
    if found.st_uid not in (0, os.getuid(), uid) or stat.S_IMODE(found.st_mode) & 0o022:
        raise ConfigError(
            f"others can write to {path}, where the socket is to be",
            "give the socket a directory of its own",
        )
    if owner is not None and found.st_uid != uid:
        # The other half's socket is to be beside it, and is made without root's rights.
        raise ConfigError(
            f"{path} belongs to uid {found.st_uid}, and the agent runs as uid {uid}",
            f"give it away (chown {uid} {path}), or name another place with --listen",
        )


def _lock(path: str) -> int:
    try:
        fd = os.open(
            path + ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
    except OSError as error:
        raise SystemTrouble(
            f"cannot make {path}.lock: {error.strerror}", "choose another place"
        ) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise _taken(path) from None
    return fd


def _clear(path: str) -> None:
    """Remove what a dead agent left; refuse to take the place of a living one."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ConfigError(f"{path} is there, and is no socket", "choose another place")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            os.unlink(path)
        else:
            raise _taken(path)


def _taken(path: str) -> SystemTrouble:
    return SystemTrouble(
        f"another agent is there already, and listens at {path}",
        "end it first, or choose another socket",
    )
