"""A configuration as it may be shown: with dots in the place of its secrets."""

from __future__ import annotations

import re

from ssmtp.ctl.words import _
from ssmtp.keys import KEYS
from ssmtp.values import BLANKS, DOTS, shown

_KNOWN = {key.name.lower(): key for key in KEYS}
# A word for a password, and what may stand between it and the password.
_SECRETIVE = re.compile(
    r"(?i)\b\w*(?:pas+w?|pwd|secret|token)(?!\w*(?:file|command|cred))\w*[ \t]*[=:]?"
)
_LOGIN = re.compile(r"(://[^:@/\s]*:)[^@/\s]+@")


def both(old: str, new: str) -> tuple[list[str], list[str]]:
    """Return the lines of a configuration before and after, to be compared.

    Dots that stand for another password than before say so.
    """
    # Our own comments speak of passwords, but hold none.
    ours = {line for line in new.splitlines() if line.startswith("#")}
    before, after = _masked(old, ours), _masked(new, ours)
    known = set(old.splitlines())
    for at, line in enumerate(new.splitlines()):
        if DOTS in after[at] and line not in known and after[at] in before:
            after[at] += " " + _("(another one)")
    return before, after


def _masked(written: str, harmless: set[str]) -> list[str]:
    return [line if line in harmless else masked(line) for line in written.splitlines()]


def masked(line: str) -> str:
    """Return a line of a configuration as it may be shown: secrets are dots.

    What cannot be understood may be a password that lost its key, so only its first
    word is shown; what stands behind a word for passwords is never shown.
    """
    bare = line.strip(BLANKS)
    name, equals, value = bare.partition("=")
    key = _KNOWN.get(name.strip(BLANKS).lower()) if equals else None
    if key is not None and key.kind == "secret":
        return f"{name.rstrip(BLANKS)}={DOTS if value.strip(BLANKS) else ''}"
    if key is not None:
        return shown(_LOGIN.sub(rf"\1{DOTS}@", line.rstrip("\r")))
    found = _SECRETIVE.search(bare)
    if found is not None:
        return shown(bare[: found.end()] + DOTS)
    if bare and not bare.startswith("#"):
        word = name.rstrip(BLANKS)
        return shown(f"{word}={DOTS}") if equals and " " not in word else DOTS
    return shown(_LOGIN.sub(rf"\1{DOTS}@", line.rstrip("\r")))
