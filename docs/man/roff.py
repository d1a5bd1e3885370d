"""Write text as roff has it, in lines that `mandoc -T lint` does not mind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

WIDTH = 78  # of a line, as mandoc counts: a letter beyond ASCII is \[u00F1]


def roff(text: str) -> str:
    """Write plain text so that roff prints it as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return guarded(text)


def guarded(line: str) -> str:
    """Keep roff from taking a line of text for a request."""
    return "\\&" + line if line[:1] in (".", "'") else line


def wrapped(text: str) -> Iterator[str]:
    """Yield a paragraph of roff in lines of a length that can be read."""
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if line and length(longer) > WIDTH:
            yield guarded(line)
            line = word
        else:
            line = longer
    if line:
        yield guarded(line)


def length(text: str) -> int:
    """Return how long mandoc finds a line."""
    return sum(1 if letter.isascii() else 8 for letter in text)


def filled(text: str) -> Iterator[str]:
    """Yield a paragraph of plain text."""
    return wrapped(text.replace("\\", "\\e").replace("-", "\\-"))


def paragraphs(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a list of terms, in roff, and what they mean, in plain text."""
    for term, meaning in rows:
        yield ".TP"
        yield term
        yield from filled(meaning)


def shown(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines of plain text that stay as they are."""
    yield ".PP"
    yield ".nf"
    yield ".RS"
    for line in lines:
        yield roff(line)
    yield ".RE"
    yield ".fi"
