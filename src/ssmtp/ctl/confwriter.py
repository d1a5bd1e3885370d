"""How `ssmtpctl` writes an ssmtp.conf: readable, whole, and never without a way back.

`setup` and `migrate` say which settings there are; here they become a file that the
parser (`config`) reads as it was meant. What was there before is kept under another
name, and nobody gets to see a password of the old file or of the new one.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ssmtp import config as configuration
from ssmtp.config import Secret, uncommented, unquoted
from ssmtp.ctl import inplace, masking
from ssmtp.ctl.masking import masked as masked
from ssmtp.ctl.words import _
from ssmtp.errors import EX_NOPERM, ConfigError, Failure, SystemTrouble
from ssmtp.keys import KEYS, LISTS, Key
from ssmtp.spool import durable
from ssmtp.values import BLANKS, shown

_KNOWN = {key.name.lower(): key for key in KEYS}


class Setting(NamedTuple):
    """A line of the configuration, and what a person reads above it.

    Without a key, only the comment is written.
    """

    key: str
    value: str
    comment: str = ""


class Refused(Failure):
    """A file that may not be written; what was there is as it was."""

    exit_code = EX_NOPERM
    culprit = "caller"
    when = "never"


def text(settings: Sequence[Setting], heading: str) -> str:
    """Return a commented configuration that is read back as it was meant.

    Raises `ConfigError` for a key that is unknown, and for a value that the format
    cannot hold. No secret is in the error.
    """
    parts = [_comment(heading)] if heading else []
    for setting in settings:
        part = _comment(setting.comment) if setting.comment else ""
        if setting.key:
            part += _line(setting.key, setting.value) + "\n"
        if part and (setting.comment or not parts):
            part = "\n" + part if parts else part
        parts.append(part)
    written = "".join(parts)
    _check(settings, written)
    return written


def _comment(words: str) -> str:
    lines = (shown(line.rstrip()) for line in words.splitlines())
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def _line(name: str, value: str) -> str:
    """Write a key with its value, in quotes where it needs them."""
    key = _KNOWN.get(name.lower())
    if key is None:
        raise ConfigError(
            _("there is no key {key}").format(key=shown(name)),
            _("see ssmtp.conf(5) for those that there are"),
        )
    quotes = ("",) if key.kind == "command" else ("", '"', "'")
    if "\n" not in value and "\r" not in value:
        for quote in quotes:
            line = f"{name}={quote}{value}{quote}"
            if _read_back(key, line) == value:
                return line
    raise ConfigError(
        _("the value of {key} cannot be written into a configuration").format(key=name),
        _("it may hold no line ends, and not both kinds of quotes beside a #"),
    )


def _read_back(key: Key, line: str) -> str:
    """Return the value that the parser takes from a line."""
    value = uncommented(line).strip(BLANKS).partition("=")[2].strip(BLANKS)
    if key.kind != "command":
        value = unquoted(value)
    return value if key.kind == "secret" else value.strip(BLANKS)


def _check(settings: Sequence[Setting], written: str) -> None:
    """Let the parser read it, and compare what is text with what it was to be."""
    octets = written.encode("utf-8", "surrogateescape")
    # A relative path stays what it is under a name that is relative, too.
    config = configuration.parse(octets, "ssmtp.conf")
    meant = {setting.key.lower(): setting for setting in settings if setting.key}
    for name, setting in meant.items():
        key = _KNOWN[name]
        found = getattr(config, key.attribute)
        if isinstance(found, Secret):
            found = found.reveal()
        if key.kind in LISTS or not isinstance(found, str):
            continue
        if key.kind in ("text", "path", "secret") and found != setting.value:
            raise ConfigError(
                _("the value of {key} cannot be written into a configuration").format(
                    key=key.name
                ),
                _("it would be read as something else"),
            )


def difference(path: str, new: str, *, secretive: bool = True) -> str:
    """Return a unified diff of what is there and what would be; secrets are dots.

    A file that is not `secretive`, such as revaliases, holds none.
    """
    there = read(path)
    if secretive:
        old, fresh = masking.both(there or "", new)
    else:
        old, fresh = (there or "").splitlines(), new.splitlines()
    lines = difflib.unified_diff(old, fresh, path, path, "", _("(new)"), lineterm="")
    return "".join(line.rstrip() + "\n" for line in lines)


def read(path: str) -> str | None:
    """Return the text of the file; None when there is none. Raises `Failure`."""
    try:
        with _told(path), open(path, "rb") as file:
            octets = file.read(1 << 20)
    except FileNotFoundError:
        return None
    return octets.decode("utf-8", "surrogateescape")


def save(
    path: str,
    new: str,
    *,
    mode: int = 0o600,
    group: int = -1,
    secretive: bool = True,
) -> str | None:
    """Put the configuration in its place at once; return the path of the old one.

    The owner, the group and their rights are those of the file that was there; what
    holds a secret is closed to others. A new file has `mode` and `group`. The same text
    once more changes nothing. Raises `Failure`; then all is as it was.
    """
    path = os.path.realpath(path)
    octets = new.encode("utf-8", "surrogateescape")
    there = read(path)
    if there == new:
        return None
    with _told(path):
        folder = _open_folder(os.path.dirname(path), group)
        try:
            backup = None
            if there is not None:
                backup = _keep(path, there, folder)
            access = _access(path, new if secretive else "", mode, group)
            _put(folder, os.path.basename(path), octets, *access)
        finally:
            os.close(folder)
    return backup


def _access(path: str, new: str, mode: int, group: int) -> tuple[int, int, int]:
    """Return mode, owner and group of the file to be; -1 for what stays as it comes."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return mode, -1, group
    octets = new.encode("utf-8", "surrogateescape")
    shared = 0o040 if configuration.parse(octets, path).has_secret else 0o044
    return 0o600 | found.st_mode & shared, found.st_uid, found.st_gid


def _open_folder(folder: str, group: int) -> int:
    if not os.path.isdir(folder):
        os.makedirs(os.path.dirname(folder), mode=0o755, exist_ok=True)
        os.mkdir(folder, 0o700)
        if group >= 0:
            os.chown(folder, -1, group)
            os.chmod(folder, 0o750)
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _keep(path: str, there: str, folder: int) -> str:
    """Write what is there under another name, closed to others; return its path."""
    octets = there.encode("utf-8", "surrogateescape")
    stamp = time.strftime("%Y%m%d-%H%M%S")
    name = f"{os.path.basename(path)}.saved-{stamp}"
    owner = os.stat(path).st_uid

    def fill(fd: int) -> None:
        durable.write(fd, octets)
        _give(fd, owner, -1)

    for number in range(1000):
        chosen = f"{name}-{number}" if number else name
        try:
            inplace.create(folder, chosen, fill)
        except FileExistsError:
            continue
        return os.path.join(os.path.dirname(path), chosen)
    raise FileExistsError(name)


def put_secret(path: str, secret: str, *, mode: int = 0o600, group: int = -1) -> None:
    """Write a file whose first line is a password, at once; raises `Failure`."""
    octets = secret.encode("utf-8", "surrogateescape") + b"\n"
    with _told(path):
        folder = _open_folder(os.path.dirname(path), group)
        try:
            _put(folder, os.path.basename(path), octets, mode, -1, group)
        finally:
            os.close(folder)


def _put(
    folder: int, name: str, octets: bytes, mode: int, owner: int, group: int
) -> None:
    def fill(fd: int) -> None:
        durable.write(fd, octets)
        _give(fd, owner, group)
        os.fchmod(fd, mode)

    inplace.replace(folder, name, fill)


def _give(fd: int, owner: int, group: int) -> None:
    """Give a file to its owner and group, as far as we may."""
    found = os.fstat(fd)
    if owner in (-1, found.st_uid) and group in (-1, found.st_gid):
        return
    if os.geteuid() == 0:
        os.fchown(fd, owner, group)
    elif group in os.getgroups():
        os.fchown(fd, -1, group)


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """Turn what the system refuses into a sentence; FileNotFoundError passes."""
    try:
        yield
    except FileNotFoundError:
        raise
    except PermissionError as error:
        raise Refused(
            _("{path} cannot be changed: {reason}").format(
                path=shown(path), reason=error.strerror
            ),
            _("run this as root, or as the user whose file it is"),
        ) from None
    except OSError as error:
        raise SystemTrouble(
            _("{path} cannot be changed: {reason}").format(
                path=shown(path), reason=error.strerror
            ),
            _("put that right, and run this again"),
        ) from None
