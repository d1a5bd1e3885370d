"""A password in a file: one of the user's own, or a systemd credential."""

from __future__ import annotations

import os
import stat

from ssmtp.errors import AuthRefused, ConfigError

LIMIT = 16384  # octets of a first line that may be a password


def read(path: str) -> str:
    """Return the first line of a password file that nobody else can read.

    Owner and mode are those of the opened file, so that a swap in between does not
    matter. Raises `ConfigError` with the command to type.
    """
    what = f"AuthPassFile {path}"
    fd = _open(path, what)
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise ConfigError(f"{what} is not a regular file", "name a plain file")
        if about.st_uid not in (0, os.getuid(), os.geteuid()):
            raise ConfigError(
                f"{what} belongs to another user (uid {about.st_uid})",
                f"chown {os.getuid()} {path}",
            )
        if about.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
            raise ConfigError(
                f"{what} holds a password and is open to others (mode "
                f"{stat.S_IMODE(about.st_mode):04o})",
                f"chmod o-rwx,g-w {path}",
            )
        return _first_line(_read(fd, what), what)
    finally:
        os.close(fd)


def credential(name: str) -> str:
    """Return the first line of a systemd credential (LoadCredential=, systemd.exec).

    Raises `ConfigError` when systemd handed none over.
    """
    if "/" in name or "\0" in name or name in (".", ".."):
        raise ConfigError(
            f"AuthPassCredential={name} is a path, not a name",
            f"for a path there is AuthPassFile={name}",
        )
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise ConfigError(
            f"AuthPassCredential={name}: systemd has passed no credentials "
            "(CREDENTIALS_DIRECTORY is not set)",
            f"add LoadCredential={name}:/path to the unit that calls this program",
        )
    path = os.path.join(directory, name)
    what = f"AuthPassCredential {name}"
    try:
        fd = _open(path, what)
    except ConfigError as error:
        raise ConfigError(
            error.what, f"add LoadCredential={name}:/path to the unit"
        ) from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ConfigError(f"{what} ({path}) is not a regular file")
        return _first_line(_read(fd, what), what)
    finally:
        os.close(fd)


def _open(path: str, what: str) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    try:
        return os.open(path, flags)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        step = (
            f"let uid {os.getuid()} read it: as its owner, or as one of its group"
            if isinstance(error, PermissionError)
            else "correct the path, or make the file"
        )
        raise ConfigError(f"{what} cannot be read: {reason}", step) from None


def _read(fd: int, what: str) -> bytes:
    text = b""
    try:
        while len(text) <= LIMIT and b"\n" not in text:
            block = os.read(fd, LIMIT)
            if not block:
                break
            text += block
    except OSError as error:
        raise ConfigError(f"{what} cannot be read: {error.strerror}") from None
    return text


def _first_line(text: bytes, what: str) -> str:
    line, newline, _ = text.partition(b"\n")
    if not newline and len(line) > LIMIT:
        raise ConfigError(f"{what}: the first line is too long for a password")
    line = line.rstrip(b"\r")
    if not line:
        raise AuthRefused(f"{what} has an empty first line", "write the password there")
    return line.decode("utf-8", "surrogateescape")


def absolute(path: str, config_path: str | None) -> str:
    """Expand `~`, and take a relative path from the configuration's directory."""
    if path.startswith("~"):
        path = expanded(path)
    beside = os.path.dirname(os.path.abspath(config_path)) if config_path else "/"
    return os.path.join(beside, path)


def expanded(path: str) -> str:
    login, slash, rest = path[1:].partition("/")
    home = "" if login else os.environ.get("HOME", "")
    if not home.startswith("/"):
        import pwd

        try:
            home = (pwd.getpwnam(login) if login else pwd.getpwuid(os.getuid())).pw_dir
        except KeyError:
            raise ConfigError(
                f"AuthPassFile={path}: there is no such home directory",
                "write the whole path",
            ) from None
    return home + slash + rest
