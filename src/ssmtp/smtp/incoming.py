"""Content as a server receives it: where it ends, and what its octets are.

A reader is given blocks of input cut anywhere, and gives back the content in them and
what is left over once the content has ended. Memory is one block.
"""

from __future__ import annotations


class Data:
    """Content after DATA: dots are unstuffed, and a line that is a dot ends it.

    With `lf`, LF and CR LF both end a line; otherwise CR LF alone does, and a bare CR
    or LF is content like any other octet (RFC 5321 §2.3.8, §4.5.2).
    """

    __slots__ = ("_carry", "_dotted", "_finals", "_first", "_line_end")

    def __init__(self, lf: bool) -> None:
        self._line_end = b"\n" if lf else b"\r\n"
        self._dotted = self._line_end + b"."
        self._finals = (b"\n.\n", b"\n.\r\n") if lf else (b"\r\n.\r\n",)
        # As if a line end had come before: the very first octet may be a dot.
        self._carry = self._line_end
        self._first = True

    def take(self, fresh: bytes) -> tuple[bytes, bytes | None]:
        """Return the content in `fresh`, and what follows the end, None before it.

        What could be the beginning of the end is carried over to the next block, so
        neither the end nor a stuffed dot can hide between two blocks.
        """
        data = self._carry + fresh
        line_end = self._line_end
        end, after = len(data), -1
        for final in self._finals:
            at = data.find(final, 0, end)
            if at >= 0:
                end, after = at + len(line_end), at + len(final)
        rest: bytes | None = None
        if after >= 0:
            rest = data[after:]
        else:
            end -= max([_overlap(data, final) for final in self._finals])
            self._carry = data[end:]
        content = data[:end].replace(self._dotted, line_end)
        if self._first and content:
            self._first = False
            content = content[len(line_end) :]
        return content, rest


class Chunk:
    """A chunk after BDAT: so many octets, whatever they are (RFC 3030 §2)."""

    __slots__ = ("_left",)

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, fresh: bytes) -> tuple[bytes, bytes | None]:
        """Return the content in `fresh`, and what follows the end, None before it."""
        content = fresh[: self._left]
        self._left -= len(content)
        return content, None if self._left else fresh[len(content) :]


def _overlap(data: bytes, final: bytes) -> int:
    """Return how much of the end of `data` could be the beginning of `final`."""
    for length in range(min(len(final) - 1, len(data)), 0, -1):
        if data.endswith(final[:length]):
            return length
    return 0
