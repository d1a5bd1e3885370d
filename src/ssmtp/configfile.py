"""Where the configuration is, and how it gets off the disk.

The file is opened once; what it is, who may read it and what is in it are all asked of
that open descriptor, so that nobody can exchange it in between.
"""

from __future__ import annotations

import errno
import posix
import stat

from ssmtp.environment import environ
from ssmtp.errors import ConfigError, Failure, SystemTrouble
from ssmtp.values import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssmtp.config import Config

SYSTEM_FILE = "/etc/ssmtp/ssmtp.conf"
LARGEST = 1 << 20  # octets
# Of these the file is innocent.
_PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EINTR)


def find(option: str | None, environ: Mapping[str, str], home: str | None) -> str:
    """Return the path of the configuration to read; `home` is for when HOME is unset.

    -C, else SSMTP_CONF, else the user's own file if there is one, else the system's.
    A file of the user's that is there but cannot be read is still the one: going on
    to the next would send mail in a way that nobody wrote down. One that belongs to
    somebody else is not the user's own: HOME can come from whoever called su or sudo,
    and a configuration names commands to run.
    """
    if option is not None:
        return option
    named = environ.get("SSMTP_CONF")
    if named:
        return named
    folder = environ.get("XDG_CONFIG_HOME") or ""
    if not folder.startswith("/"):
        # A relative path is to be ignored, says the XDG base directory specification.
        own = environ.get("HOME") or ""
        own = own if own.startswith("/") else home or ""
        folder = f"{own.rstrip('/')}/.config" if own else ""
    if folder:
        path = f"{folder.rstrip('/')}/ssmtp/ssmtp.conf"
        try:
            owner = posix.lstat(path).st_uid
        except (OSError, ValueError):
            pass
        else:
            if owner in (0, posix.getuid()):
                return path
    return SYSTEM_FILE


def load(path: str) -> Config:
    """Read and parse a configuration file.

    Raises `ConfigError` when it is missing, unreadable, wrong, holds a secret that
    others can read, or is another user's and names commands or files to use.
    """
    text, mode, owner = _read(path, "the configuration")
    if text is None:
        raise ConfigError(
            f"{shown(path)} does not exist",
            "write one with a line Mailhub=host:port, or name another with -C",
        )
    from ssmtp import config as configuration

    config = configuration.parse(text, path, home() if b"~/" in text else None)
    if config.has_secret:
        from ssmtp import guard

        guard.no_core()
    if config.has_secret and mode & 0o007:
        # The group of a system-wide file is who may send mail (Debian: mail).
        wanted = "640" if owner == 0 else "600"
        raise ConfigError(
            f"{shown(path)} holds a password and is open to others (mode {mode:04o})",
            f"chmod {wanted} {_quoted(path)}",
        )
    if owner not in (0, posix.getuid()):
        _harmless(config, owner)
    return config


def _harmless(config: Config, owner: int) -> None:
    """Refuse keys by which another user would run, read or write in our name.

    A file can change hands after it was named: one in /tmp that a kept message goes
    back to, one behind a link that is turned round.
    """
    for name, value in (
        ("AuthPassCommand", config.auth_pass_command),
        ("AuthPassFile", config.auth_pass_file),
        ("AuthPassCredential", config.auth_pass_credential),
        ("LogFile", config.log_file),
        ("Spool", config.spool),
    ):
        if value:
            raise ConfigError(
                f"{shown(config.path)} has a line {name}, and belongs to another user"
                f" (uid {owner})",
                f"chown {posix.getuid()} {_quoted(config.path)}",
            )


def read_text(path: str, what: str, *, missing_ok: bool = False) -> bytes | None:
    """Return the content of a file beside the configuration, None if it is missing.

    `what` is what errors call it: revaliases, aliases. Raises `ConfigError` when it
    cannot be read, or is missing and that is not fine.
    """
    text, _, _ = _read(path, what)
    if text is None and not missing_ok:
        raise ConfigError(
            f"{what}: {shown(path)} does not exist", "write it, or correct its path"
        )
    return text


def _read(path: str, what: str) -> tuple[bytes | None, int, int]:
    """Return content, mode and owner of a regular file; None, 0, 0 if it is missing."""
    # O_NONBLOCK: the open of a FIFO returns at once, and is then refused.
    flags = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY
    try:
        fd = posix.open(path, flags)
    except (FileNotFoundError, NotADirectoryError) as error:
        if isinstance(error, FileNotFoundError) and not _is_link(path):
            return None, 0, 0
        raise _unreadable(path, what, error) from None
    except OSError as error:
        raise _unreadable(path, what, error) from None
    except ValueError:
        raise ConfigError(
            f"{what}: {shown(path)} is no path", "name an existing file"
        ) from None
    try:
        found = posix.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(
                f"{shown(path)} is not a regular file", "name a file with the settings"
            )
        blocks = []
        size = 0
        while block := posix.read(fd, 65536):
            blocks.append(block)
            size += len(block)
            if size > LARGEST:
                raise ConfigError(
                    f"{shown(path)} is larger than 1 MiB", f"that cannot be {what}"
                )
        return b"".join(blocks), stat.S_IMODE(found.st_mode), found.st_uid
    except OSError as error:
        raise _unreadable(path, what, error) from None
    finally:
        posix.close(fd)


def _unreadable(path: str, what: str, error: OSError) -> Failure:
    if error.errno in _PASSING:
        return SystemTrouble(
            f"{shown(path)} cannot be read now: {error.strerror}", "try again later"
        )
    step = f"correct the path of {what}"
    if isinstance(error, PermissionError):
        step = f"let the calling user read it{_group_hint(path)}"
    elif isinstance(error, FileNotFoundError):
        step = "the link points nowhere"
    return ConfigError(f"{shown(path)} cannot be read: {error.strerror}", step)


def _group_hint(path: str) -> str:
    """Name the group that may read the file, for that is how packages install it."""
    try:
        found = posix.stat(path)
    except OSError:
        # Then it is the directory: packages make that 0750 root:mail.
        try:
            found = posix.stat(path[: path.rfind("/") + 1] or ".")
        except OSError:
            return ""
    if not found.st_mode & stat.S_IRGRP:
        return ""
    import grp

    try:
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        group = str(found.st_gid)
    return f", for example as a member of group {shown(group)}, or set up the agent"


def _quoted(path: str) -> str:
    """Write a path so that it can be typed to a shell."""
    plain = path.replace("/", "").replace(".", "").replace("-", "").replace("_", "")
    if plain.isascii() and plain.isalnum():
        return path
    return "'" + shown(path).replace("'", "'\\''") + "'"


def _is_link(path: str) -> bool:
    try:
        return stat.S_ISLNK(posix.lstat(path).st_mode)
    except OSError:
        return False


def home() -> str | None:
    """Return what `~` means in a configuration."""
    named = environ().get("HOME", "")
    if named.startswith("/"):
        return named
    import pwd

    try:
        return pwd.getpwuid(posix.getuid()).pw_dir
    except KeyError:
        return None
