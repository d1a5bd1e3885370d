"""Refusals of well-known providers in plain words; `refusals.json` has them.

A row: `hosts` are ends of the mailhub's name for which it holds (none: for all),
`pattern` is looked for in the whole reply, `means` and `next` are for a person, and
`source` is the public page that says so. The first row that fits is the one.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path

from ssmtp.ctl.words import _
from ssmtp.smtp.reply import Reply

PLACE = Path(__file__).with_name("refusals.json")


@dataclass(frozen=True)
class Refusal:
    """A row of the table."""

    id: str
    pattern: str
    means: str
    next: str
    source: str
    hosts: tuple[str, ...] = ()

    def fits(self, text: str, host: str) -> bool:
        """Tell whether a mailhub of this name that says this means that."""
        here = not self.hosts or any(f".{host}".endswith(f".{h}") for h in self.hosts)
        return here and re.search(self.pattern, text, re.IGNORECASE) is not None

    def sentence(self, what: str) -> str:
        """Say what it means, and then what the mailhub said."""
        text = _("{means} ({what})")
        return text.format(means=_(self.means), what=what)

    def step(self) -> str:
        """Say what to do, and where it is written."""
        return _("{step} (see {source})").format(step=_(self.next), source=self.source)


@functools.cache
def table() -> list[Refusal]:
    """Read the table."""
    rows = json.loads(PLACE.read_text("utf-8"))
    return [Refusal(**{**row, "hosts": tuple(row.get("hosts", ()))}) for row in rows]


def find(reply: Reply | None, host: str | None) -> Refusal | None:
    """Return what is known of a reply, None if nothing is."""
    if reply is None:
        return None
    name = (host or "").lower().rstrip(".")
    text = f"{reply.code} {' '.join(reply.lines)}"
    return next((row for row in table() if row.fits(text, name)), None)
