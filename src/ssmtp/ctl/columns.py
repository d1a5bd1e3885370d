"""How many columns of a terminal a text takes: most letters one, East Asian ones two.

For the tables of `ssmtpctl`; whoever writes mail has a name of any script.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator


def width(text: str) -> int:
    """Return how many columns a text without control characters takes."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me"):  # stands on the one before
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def padded(text: str, columns: int) -> str:
    """Return a text with blanks behind it until it takes so many columns."""
    return text + " " * (columns - width(text))


def cut(text: str, columns: int) -> str:
    """Return a text that fits; what is left out is told by a sign at its end."""
    if width(text) <= columns:
        return text
    return next(_pieces(text, columns - 1), "") + "…"


def wrapped(text: str, columns: int) -> list[str]:
    """Return a text as lines that fit, broken at blanks where there are some."""
    lines: list[str] = []
    for word in text.split():
        for piece in _pieces(word, columns):
            line = f"{lines[-1]} {piece}" if lines else piece
            if lines and width(line) <= columns:
                lines[-1] = line
            else:
                lines.append(piece)
    return lines


def _pieces(text: str, columns: int) -> Iterator[str]:
    """Yield a text in pieces that fit, none of which is empty."""
    piece, room = "", columns
    for letter in text:
        takes = _width(letter)
        if takes > room and piece:
            yield piece
            piece, room = "", columns
        piece += letter
        room -= takes
    if piece:
        yield piece
