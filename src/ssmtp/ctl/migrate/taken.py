"""What was taken of another program's configuration, changed, left out, and why.

A module for a program fills a `Draft`, key by key, from its table of `Rule`s. The table
of docs/migrating.md is made from the same rows.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ssmtp import agentvalues
from ssmtp.address import parse_list
from ssmtp.ctl.words import _
from ssmtp.errors import ConfigError, InputRefused
from ssmtp.keys import KEYS
from ssmtp.values import DOTS, READERS, shown

KINDS = {key.name: key.kind for key in KEYS}


class Rule(NamedTuple):
    """A row: a key of the program, what it is here, and what differs or what to do.

    `key` may hold `*`. Without `ours` there is no counterpart, and `why` says so. What
    depends on the value is a `note` for the page; the program says it when it happens.
    """

    key: str
    ours: str
    why: str = ""
    note: str = ""


class Entry(NamedTuple):
    """A key with its value, and where it stands; line 0 is the file as a whole."""

    path: Path
    line: int
    key: str
    value: str

    def where(self) -> str:
        """Return file and line for a person."""
        path = shown(str(self.path))
        if not self.line:
            return path
        return _("{path}, line {line}").format(path=path, line=self.line)

    def wrong(self, reason: str, step: str) -> ConfigError:
        """Return the failure that this line is."""
        where = f"{self.where()}: {shown(self.key)}" if self.key else self.where()
        return ConfigError(f"{where}: {reason}", step)


# taken, or changed on the way; unsafe: the safe thing is written instead; left: there
# is no counterpart; unknown: the program has no such key, as far as we know.
SHORTEST = 4
PLAIN = re.compile("[A-Za-z_-]+")
# Keys that are shown with the name behind them.
NAMED = ("account ", "identity ")
OUTCOMES = ("taken", "changed", "unsafe", "left", "unknown")


class Told(NamedTuple):
    """What became of one key."""

    outcome: str
    entry: Entry
    ours: str
    why: str


class Ours(NamedTuple):
    """A line of ssmtp.conf to be."""

    key: str
    value: str
    comment: str


@dataclass
class Draft:
    """What will be written, and what is said about each key that was read.

    `folder` is where the configuration will be. `password` is what AuthPassFile will
    hold; `secrets` is all that must never be shown.
    """

    program: str
    rules: tuple[Rule, ...]
    folder: Path
    system: bool
    login: str
    settings: list[Ours] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    revaliases: dict[str, str] = field(default_factory=dict)
    password: str | None = None
    secrets: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    # A configuration that is kept as it is written, instead of `settings`.
    text: str | None = None

    def rule(self, key: str) -> Rule | None:
        """Return the row of a key; of `account work` that of `account`."""
        key = key.partition(" ")[0] if key.startswith(NAMED) else key
        for rule in self.rules:
            if key == rule.key:
                return rule
        for rule in self.rules:
            if "*" in rule.key and fnmatch.fnmatchcase(key, rule.key):
                return rule
        return None

    def has(self, key: str) -> bool:
        """Tell whether a line with this key of ours will be written."""
        return any(setting.key == key for setting in self.settings)

    def set(self, key: str, value: str, comment: str = "") -> None:
        """Write a line; of a key that makes no list the last one counts."""
        if key not in ("Mailhub", "AddHeader", "TLSFingerprint"):
            self.settings = [old for old in self.settings if old.key != key]
        new = Ours(key, value, comment)
        if new not in self.settings:
            self.settings.append(new)

    def take(self, entry: Entry, key: str, value: str, why: str = "") -> None:
        """Write a line, and say where it comes from.

        Raises `ConfigError` for a value that our key cannot have.
        """
        kind = KINDS[key]
        check = READERS.get(kind) or agentvalues.READERS.get(kind)
        if check and not value:
            raise entry.wrong(_("the value is missing"), _("add it, or take it out"))
        if key == "Root":
            self._addresses(entry, value)
        try:
            if check and kind not in ("command", "secret"):
                check(value)
        except ValueError as error:
            raise entry.wrong(
                f"{key} {error}", _("correct it there, and run this again")
            ) from None
        self.set(key, value)
        self.tell(entry, f"{key}={value}", why)

    def tell(self, entry: Entry, ours: str, why: str = "") -> None:
        """Say what a key has become; it is a change if the table says how."""
        rule = self.rule(entry.key)
        why = why or (rule.why if rule else "")
        self.told.append(Told("changed" if why else "taken", entry, ours, why))

    def unsafe(self, entry: Entry, ours: str, why: str) -> None:
        """Say that something safer is written than what was asked for."""
        self.told.append(Told("unsafe", entry, ours, why))

    def leave(self, entry: Entry, why: str = "") -> None:
        """Say that a key has no counterpart; one that the table lacks is unknown."""
        rule = self.rule(entry.key)
        if rule is None and not why:
            self.unknown(entry)
            return
        self.told.append(Told("left", entry, "", why or (rule.why if rule else "")))

    def unknown(self, entry: Entry) -> None:
        """Say that the program has no such key, and name the nearest one."""
        known = [rule.key for rule in self.rules if "*" not in rule.key]
        near = difflib.get_close_matches(entry.key, known, 1)
        why = _("{program} has no such key, as far as ssmtp knows")
        if near:
            why = _("{program} has no such key, as far as ssmtp knows: is it {key}?")
        longer = not near or len(entry.key) > len(near[0]) + 3
        if longer and not PLAIN.fullmatch(entry.key):
            # It may be a piece of a password that went astray.
            entry = entry._replace(key="…")
        why = why.format(program=self.program, key=near[0] if near else "")
        self.told.append(Told("unknown", entry, "", why))

    def hide(self, *secrets: str) -> None:
        """Remember what must not be shown."""
        self.secrets += [secret for secret in secrets if secret]

    def keep_password(self, entry: Entry, password: str) -> None:
        """Put a password into a file of its own."""
        if "\n" in password or "\r" in password:
            raise entry.wrong(
                _("the password holds a line end"), _("change the password first")
            )
        self.hide(password)
        self.password = password
        self.tell(entry, _("AuthPassFile, a file of its own that only you can read"))
        # Where it is, is known once there is a place for it.
        self.set("AuthPassFile", "")

    def _addresses(self, entry: Entry, text: str) -> None:
        """Raise `ConfigError` for what would be refused when a mail is sent."""
        try:
            parse_list(text, entry.where())
        except InputRefused:
            raise entry.wrong(
                _("this is no address"), _("correct it there, and run this again")
            ) from None

    def alias_sender(
        self, entry: Entry, login: str, sender: str, why: str = "", hub: str = ""
    ) -> None:
        """Write a line of revaliases; raises `ConfigError` for what is no address."""
        self._addresses(entry, sender)
        rest = f"{sender}:{hub}" if hub else sender
        self.revaliases[login] = rest
        text = _("{line} in revaliases").format(line=f"{login}:{rest}")
        self.tell(entry, text, why)

    def masked(self, text: str) -> str:
        """Return a text without any password in it."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            # What is shorter would make dots of ordinary words.
            if len(secret) >= SHORTEST:
                text = text.replace(secret, DOTS)
        return text
