"""What the road of a message said in English, in the language of whoever reads it.

The road knows no gettext. Its sentences are in the catalogue all the same, and
locale/road.txt lists those that have values in them, as docs/words/road.py found them
in the source. Here a sentence is recognized again, and so are those within its values.
What nobody recognizes stays as it is, and so does what a mailhub said.
"""

from __future__ import annotations

import functools
import os
import re

from ssmtp.ctl import words
from ssmtp.ctl.words import _
from ssmtp.errors import Failure

REPLY = re.compile(r"\d{3}( |-|$)")
HOLE = re.compile(r"\{(\w+)\}")
JOINTS = ("; ", ": ", ", ")


def retold(text: str) -> str:
    """Return a sentence of the road, or one made of several, for the reader."""
    return _retold(text) if words.translating() else text


def sentence(failure: Failure) -> str:
    """Return what a failure says, and what to do about it."""
    said = retold(failure.what)
    return f"{said}; {retold(failure.next_step)}" if failure.next_step else said


def whole_sentence(failure: Failure) -> str:
    """Return the sentence, and where the message is kept if it is."""
    said = sentence(failure)
    if not failure.kept_id:
        return said
    return _(
        "{sentence} [kept as {kept}; to send it again: ssmtpctl queue retry {id}]"
    ).format(sentence=said, kept=failure.kept, id=failure.kept_id)


@functools.lru_cache(1000)  # a queue of ten thousand has few reasons
def _retold(text: str) -> str:
    if " " not in text or REPLY.match(text):
        return text
    return _known(text) or _in_pieces(text)


def _known(text: str) -> str:
    """Return a sentence that the catalogue has, "" for any other."""
    if (said := _(text)) != text:
        return said
    for form, pattern in _forms():
        if found := pattern.fullmatch(text):
            values = {name: _retold(value) for name, value in found.groupdict().items()}
            return _(form).format(**values)
    return ""


def _in_pieces(text: str) -> str:
    """Retell what is joined to another sentence, or to a mailhub or a key."""
    bare = text.lstrip("; ,")
    if bare != text:
        return text[: len(text) - len(bare)] + _retold(bare)
    if text.endswith("."):
        return f"{_retold(text[:-1])}."
    who, _blank, does = text.partition(" ")
    if said := _known(does):
        return f"{who} {said}"
    for joint in JOINTS:
        first, found, rest = text.partition(joint)
        if found:
            return f"{_retold(first)}{joint}{_retold(rest)}"
    return text


@functools.cache
def _forms() -> list[tuple[str, re.Pattern[str]]]:
    """Return the forms, the ones with the most words of their own first."""
    with open(os.path.join(words.PLACE, "road.txt"), encoding="utf-8") as file:
        forms = file.read().splitlines()
    forms.sort(key=lambda form: len(HOLE.sub("", form)), reverse=True)
    return [(form, _pattern(form)) for form in forms]


def _pattern(form: str) -> re.Pattern[str]:
    pieces = HOLE.split(form)
    made = "".join(
        f"(?P<{piece}>.*?)" if number % 2 else re.escape(piece)
        for number, piece in enumerate(pieces)
    )
    return re.compile(made, re.DOTALL)
