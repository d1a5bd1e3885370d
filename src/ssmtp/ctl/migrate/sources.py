"""Where the files of other programs are, and how they are read. Nothing is written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ssmtp.ctl.words import _
from ssmtp.errors import ConfigError, InputUnreadable
from ssmtp.values import shown

LARGEST = 1 << 20  # octets


@dataclass(frozen=True)
class Places:
    """Where to look: `root` is /, and `given` is what --from names.

    With `given` nothing else is looked at: files of another machine must not be mixed
    with those of this one.
    """

    root: Path
    home: Path | None
    config_home: Path | None
    system_first: bool
    given: tuple[Path, ...] = field(default=())

    def find(self, system: tuple[str, ...], own: tuple[Path | None, ...]) -> list[Path]:
        """Return those files that exist, those that belong to the scope first."""
        if self.given:
            names = {Path(name).name for name in system}
            names |= {path.name for path in own if path}
            files = [path for path in self.given if not path.is_dir()]
            for folder in self.given:
                if folder.is_dir():
                    files += [path for path in folder.iterdir() if path.name in names]
            return files
        there = [self.root / name.lstrip("/") for name in system]
        mine = [path for path in own if path]
        every = [*there, *mine] if self.system_first else [*mine, *there]
        return [path for path in every if exists(path)]

    def locate(self, path: str) -> Path:
        """Return where a file is that a configuration names.

        Below a `given` place it is looked for by name, and nowhere else.
        """
        if path.startswith("~/") and self.home:
            path = f"{self.home}/{path[2:]}"
        if not self.given:
            return self.root / path.lstrip("/")
        name = Path(path).name
        beside = [given if given.is_dir() else given.parent for given in self.given]
        for place in [given for given in self.given if given.name == name]:
            return place
        for place in beside:
            if exists(place / name):
                return place / name
        return beside[0] / name


def exists(path: Path) -> bool:
    """Tell whether there is a file, readable or not."""
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def read(path: Path) -> str:
    """Return the text of a file; raises `InputUnreadable` or `ConfigError`."""
    try:
        octets = path.read_bytes()
    except OSError as error:
        step = _("correct the path")
        if error.errno == errno.EACCES:
            step = _("run this as a user who may read it, such as root with sudo")
        raise InputUnreadable(
            _("{path} cannot be read: {reason}").format(
                path=shown(str(path)), reason=error.strerror
            ),
            step,
        ) from None
    if b"\0" in octets or len(octets) > LARGEST:
        raise ConfigError(
            _("{path} is no text file").format(path=shown(str(path))),
            _("name the file that a person edits, not one that was made of it"),
        )
    return octets.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line, without line ends of any kind."""
    for number, line in enumerate(read(path).split("\n"), 1):
        yield number, line.rstrip("\r")


def first_line(path: Path) -> str:
    """Return the first line of a file without blanks around, "" if it is not there."""
    if not exists(path):
        return ""
    return read(path).partition("\n")[0].strip()


def shortened(path: Path, home: Path | None) -> str:
    """Return a path as people write it."""
    text = str(path)
    if home and text.startswith(f"{home}{os.sep}"):
        text = "~" + text[len(str(home)) :]
    return shown(text)
