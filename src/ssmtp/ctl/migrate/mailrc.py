"""The grammar of s-nail's startup files, as far as variables and accounts need it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ssmtp.ctl.migrate.sources import lines
from ssmtp.ctl.migrate.sources import read as read_text
from ssmtp.ctl.migrate.taken import Entry
from ssmtp.ctl.words import _
from ssmtp.errors import Failure

ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
# Modifiers that stand before a command.
MODIFIERS = ("wysh", "local", "global", "ignerr", "vput", "u", "xcall")


@dataclass
class Account:
    """Variables that are set together; "" is what stands outside of any account."""

    name: str
    at: Entry
    variables: dict[str, Entry] = field(default_factory=dict)


def speaks_of_smtp(path: Path) -> bool:
    """Tell whether a file sets up SMTP; one that cannot be read may do."""
    try:
        text = read_text(path)
    except Failure:
        return True
    return bool(re.search(r"^\s*[^#\n]*\b(smtp|submission)s?\b", text, re.MULTILINE))


def read(path: Path, known: dict[str, Account]) -> None:
    """Read a file into the accounts; raises `ConfigError` that names the line."""
    base = known.setdefault("", Account("", Entry(path, 0, "mta", "")))
    current = base
    shell = "v15-compat" in base.variables
    for number, text in _joined(path):
        command = text.split(None, 1)[0] if text.split() else ""
        at = Entry(path, number, command, "")
        if command == "account":
            words = _words(at, text, shell)
            if len(words) == 3 and words[2] == "{":
                current = known[words[1]] = Account(
                    words[1], at._replace(value=words[1])
                )
            continue
        if text.strip() == "}":
            current = base
            continue
        words = _words(at, text, shell)
        while words and words[0] in MODIFIERS:
            if words[0] == "wysh":
                words = _words(at, text, True)
            words = words[1:]
        if not words:
            continue
        if words[0] in ("set", "se"):
            for word in words[1:]:
                _set(at, word, current)
            # From here on words are read as a shell reads them.
            shell = shell or "v15-compat" in current.variables
        elif words[0] in ("unset", "uns"):
            for word in words[1:]:
                current.variables.pop(word, None)
        elif words[0] in ("source", "source_if") and len(words) > 1:
            current.variables["source"] = at._replace(key="source", value=words[1])


def _set(at: Entry, word: str, account: Account) -> None:
    name, _equals, value = word.partition("=")
    if name.startswith("no") and not _equals:
        account.variables.pop(name[2:], None)
        return
    account.variables.pop(name, None)
    account.variables[name] = at._replace(key=name, value=value)


def _joined(path: Path) -> Iterator[tuple[int, str]]:
    """Yield commands; a backslash at the end of a line joins the next one."""
    begun, text = 0, ""
    for number, line in lines(path):
        bare = line.lstrip()
        if not begun and (not bare or bare[0] == "#"):
            continue
        begun = begun or number
        if line.endswith("\\") and not line.endswith("\\\\"):
            text += bare[:-1]
            continue
        yield begun, text + (bare if text else line.strip())
        begun, text = 0, ""
    if text:
        yield begun, text


def _words(at: Entry, text: str, shell: bool) -> list[str]:
    """Split a command into words, with the quoting of a shell or with the old one."""
    words: list[str] = []
    place = 0
    while place < len(text):
        if text[place] in " \t":
            place += 1
            continue
        if text[place] == "#" and shell:
            break
        word, place = _word(at, text, place, shell)
        words.append(word)
    return words


def _word(at: Entry, text: str, place: int, shell: bool) -> tuple[str, int]:
    word = ""
    while place < len(text) and text[place] not in " \t":
        char = text[place]
        dollar = shell and text.startswith("$'", place)
        if dollar or char in "\"'":
            quote = "'" if dollar else char
            place += 2 if dollar else 1
            # Within single quotes nothing is special, unless a dollar stands before.
            escapes = dollar or quote == '"' or not shell
            end = place
            while end < len(text) and text[end] != quote:
                if text[end] == "\\" and escapes and end + 1 < len(text):
                    end += 1
                    word += ESCAPES.get(text[end], text[end]) if dollar else text[end]
                else:
                    word += text[end]
                end += 1
            if end >= len(text):
                raise at.wrong(
                    _("a quote is not closed"), _("close it, and run this again")
                )
            place = end + 1
        elif char == "\\" and place + 1 < len(text):
            word += text[place + 1]
            place += 2
        else:
            word += char
            place += 1
    return word, place
