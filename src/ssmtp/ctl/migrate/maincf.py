"""The grammar of Postfix: main.cf with its $names, and tables that are text."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ssmtp.ctl.migrate import sources
from ssmtp.ctl.migrate.sources import Places, lines
from ssmtp.ctl.migrate.taken import Draft, Entry
from ssmtp.ctl.words import _

# Tables whose source is a text file of keys and values, compiled or not.
TEXT_TABLES = ("hash", "btree", "lmdb", "cdb", "dbm", "texthash", "sdbm")
DEEPEST = 20  # $name that leads to $name; more is a circle
NAME = re.compile(
    r"\$(?:\{(\w+)(?:([?:])([^{}]*))?\}|\((\w+)(?:([?:])([^()]*))?\)|(\w+))"
)


class Main:
    """A main.cf that was read; the last line for a name counts."""

    def __init__(self, path: Path, places: Places) -> None:
        self.path = path
        self._raw: dict[str, Entry] = {}
        for entry in _logical(path):
            self._raw.pop(entry.key, None)
            self._raw[entry.key] = entry
        host = sources.first_line(places.locate("/etc/mailname")) or os.uname().nodename
        self._usual = {"myhostname": host, "config_directory": "/etc/postfix"}
        own = self.value("myhostname") or host
        self._usual["mydomain"] = own.partition(".")[2] or "localdomain"
        self._usual["myorigin"] = own
        self._usual["alias_maps"] = "hash:/etc/aliases"
        self._usual["default_database_type"] = "hash"

    def entries(self) -> Iterator[Entry]:
        """Yield all that the file says, with every $name put in."""
        for entry in self._raw.values():
            yield entry._replace(value=self._filled(entry.value))

    def entry(self, key: str) -> Entry | None:
        """Return what the file says about a parameter, with every $name put in."""
        raw = self._raw.get(key)
        return raw and raw._replace(value=self._filled(raw.value))

    def value(self, key: str) -> str:
        """Return the value of a parameter, "" if the file does not have it."""
        entry = self.entry(key)
        return entry.value if entry else ""

    def yes(self, entry: Entry) -> bool:
        """Read yes and no; raises `ConfigError` for anything else."""
        if entry.value.lower() not in ("yes", "no"):
            raise entry.wrong(_("it is neither yes nor no"), _("write yes or no"))
        return entry.value.lower() == "yes"

    def is_used(self, key: str) -> bool:
        """Tell whether another line names this one."""
        uses = re.compile(rf"\$[{{(]?{re.escape(key)}\b")
        return any(uses.search(entry.value) for entry in self._raw.values())

    def _filled(self, text: str, deep: int = 0) -> str:
        def put(found: re.Match[str]) -> str:
            name = found[1] or found[4] or found[7]
            sign, other = found[2] or found[5], found[3] or found[6] or ""
            raw = self._raw.get(name)
            value = raw.value if raw else self._usual.get(name, "")
            if sign == "?":
                return self._filled(other, deep + 1) if value else ""
            if sign == ":" and value:
                return self._filled(value, deep + 1)
            return self._filled(other if sign else value, deep + 1)

        return text if deep > DEEPEST else NAME.sub(put, text)


def read(path: Path, places: Places) -> Main:
    """Read a main.cf; raises `ConfigError` that names the line."""
    return Main(path, places)


def _joined(path: Path) -> Iterator[tuple[int, str]]:
    """Yield logical lines: what begins with a blank continues the line before.

    Comments and empty lines in between do not end it.
    """
    number, text = 0, ""
    for at, line in lines(path):
        bare = line.strip()
        if not bare or bare[0] == "#":
            continue
        if line[0] in " \t" and number:
            text += " " + bare
            continue
        if number:
            yield number, text
        number, text = at, bare
    if number:
        yield number, text


def _logical(path: Path) -> Iterator[Entry]:
    for number, text in _joined(path):
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not re.fullmatch(r"\w+", name):
            # What stands behind the first word may be a password.
            word = re.match(r"\w*", name)
            raise Entry(path, number, word[0] if word else "", "").wrong(
                _("this is no line name = value"), _("correct it there")
            )
        yield Entry(path, number, name, value.strip())


def table(draft: Draft, entry: Entry, places: Places) -> Iterator[Entry]:
    """Yield the rows of the tables that a parameter names, keys and values.

    What is no text is told as left out.
    """
    for word in _names(entry.value):
        kind, _colon, rest = word.partition(":")
        if kind == "static":
            yield Entry(entry.path, entry.line, "*", rest.strip("{} "))
        elif kind == "inline":
            for row in re.findall(r"\{([^{}]*)\}|([^\s,{}]+=[^\s,{}]+)", rest[1:-1]):
                key, _equals, value = (row[0] or row[1]).partition("=")
                yield Entry(entry.path, entry.line, key.strip(), value.strip())
        elif kind in TEXT_TABLES:
            path = places.locate(rest)
            if not sources.exists(path):
                draft.leave(entry, _("{path} is not there").format(path=path))
                continue
            for number, text in _joined(path):
                key, _blank, value = text.replace("\t", " ").partition(" ")
                yield Entry(path, number, key, value.strip())
        else:
            draft.leave(
                entry,
                _("ssmtp cannot ask a table of the kind {kind}").format(kind=kind),
            )


def _names(text: str) -> list[str]:
    """Split at commas and blanks outside braces."""
    found, depth, word = [], 0, ""
    for char in text:
        depth += (char == "{") - (char == "}")
        if char in ", \t" and not depth:
            found.append(word)
            word = ""
        else:
            word += char
    return [word for word in [*found, word] if word]
