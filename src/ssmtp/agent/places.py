"""Where the agent's socket, its queue and the link between its halves lie.

The agent of the system runs as root or as the user `ssmtp`; anybody else's is his own
and lies below his own directories.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping

from ssmtp.config import Config
from ssmtp.errors import ConfigError
from ssmtp.handoff import SYSTEM_SOCKET

USER = "ssmtp"
SYSTEM_SPOOL = "/var/spool/ssmtp"
LINK = "sender.sock"
LONGEST = 107  # octets of the path of a socket (unix(7))


def of_the_system(uid: int | None = None) -> bool:
    """Tell whether an agent that runs as this user (we) is that of the system."""
    uid = os.getuid() if uid is None else uid
    try:
        return uid == 0 or pwd.getpwuid(uid).pw_name == USER
    except KeyError:
        return False


def spool_path(
    config: Config, option: str | None = None, environ: Mapping[str, str] = os.environ
) -> str:
    """Return the directory of the queue: --spool, else Spool=, else the usual one.

    Raises `ConfigError` when there is no usual one.
    """
    named = option or config.spool
    if named:
        return os.path.abspath(named)
    if of_the_system():
        return SYSTEM_SPOOL
    state = environ.get("XDG_STATE_HOME", "")
    if state.startswith("/"):
        return os.path.join(state, "ssmtp", "spool")
    home = _home(environ)
    if home:
        return os.path.join(home, ".local", "state", "ssmtp", "spool")
    raise ConfigError(
        f"uid {os.getuid()} has no home directory for the queue",
        "name a directory with Spool= or --spool",
    )


def socket_path(
    config: Config | None = None,
    option: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> str:
    """Return where to listen: --listen, else AgentSocket=, else the usual place.

    Raises `ConfigError` when there is no usual place.
    """
    named = option or (config.agent_socket if config is not None else None)
    if named:
        return os.path.abspath(named)
    if of_the_system():
        return SYSTEM_SOCKET
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        return os.path.join(runtime, "ssmtp", "submit.sock")
    raise ConfigError(
        "XDG_RUNTIME_DIR is not set, so there is no usual place for the socket",
        "name one with AgentSocket= or --listen",
    )


def link_path(submit_path: str) -> str:
    """Return the socket by which the halves talk: it lies beside the one to submit.

    Raises `ConfigError` where there can be no such socket.
    """
    path = os.path.join(os.path.dirname(submit_path), LINK)
    if path == submit_path:
        raise ConfigError(
            f"{path} is where the halves of the agent talk to each other",
            "give the socket for mail another name",
        )
    check_length(path)
    return path


def check_length(path: str) -> None:
    """Raise `ConfigError` for a path that no socket can have."""
    if len(os.fsencode(path)) > LONGEST:
        raise ConfigError(
            f"{path} is longer than {LONGEST} octets", "choose a shorter path"
        )


def make(path: str) -> None:
    """Make a directory, and those above it, that all can pass, whatever our umask is.

    Raises OSError.
    """
    before = os.umask(0o022)
    try:
        os.makedirs(path, 0o755, exist_ok=True)
    finally:
        os.umask(before)


def _home(environ: Mapping[str, str]) -> str:
    home = environ.get("HOME", "")
    if home.startswith("/"):
        return home
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return ""
