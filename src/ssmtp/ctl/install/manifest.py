"""The record of an installation: what was written, and what was there before.

It is written before anything that it tells of, so that a run that was killed can be
finished or undone by the next.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any

from ssmtp.ctl.words import _
from ssmtp.errors import ConfigError

NAME = "manifest.json"
FORM = 1


@dataclass
class Entry:
    """A path that an installation writes.

    `ours` holds the fingerprints that it may have by our hand. `before` tells what was
    there: nothing, saved (it lies beside, see `changes.SAVED`), or the same.
    """

    ours: list[str]
    before: str = "nothing"


@dataclass
class Manifest:
    """What an installation has written; paths are those below --root."""

    version: str = ""
    python: str = ""
    agent: bool = False
    trees: list[str] = field(default_factory=list)
    """Names of the directories with the code, the newest first."""
    directories: list[str] = field(default_factory=list)
    """Directories that were made, an outer one before those inside."""
    files: dict[str, Entry] = field(default_factory=dict)
    access: dict[str, list[list[int]]] = field(default_factory=dict)
    """Path → uid, gid and mode, before and after."""

    def text(self) -> bytes:
        """Return what stands in the file."""
        return (json.dumps({"form": FORM, **asdict(self)}, indent=1) + "\n").encode()


def read(folder: str) -> Manifest | None:
    """Return the record that lies in a directory, None when there is none.

    Raises `ConfigError` when it cannot be understood.
    """
    path = os.path.join(folder, NAME)
    try:
        with open(path, encoding="utf-8") as file:
            told: dict[str, Any] = json.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise _unknown(path, str(error)) from None
    try:
        if told.pop("form") != FORM:
            raise _unknown(path, _("it is of another version"))
        told["files"] = {name: Entry(**entry) for name, entry in told["files"].items()}
        return Manifest(**told)
    except (AttributeError, KeyError, TypeError) as error:
        raise _unknown(path, repr(error)) from None


def _unknown(path: str, why: str) -> ConfigError:
    return ConfigError(
        _("{path} is no record of an installation: {reason}").format(
            path=path, reason=why
        ),
        _("use the ssmtpctl that wrote it"),
    )
