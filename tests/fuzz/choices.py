"""Octets as a source of choices, so that every engine can drive every target."""

from __future__ import annotations

from itertools import pairwise


class Choices:
    """Takes decisions from octets; when they are used up, every decision is 0."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def pick(self, count: int) -> int:
        """Return a number below `count`, which is at most 256."""
        at = self._at
        if at >= len(self._data):
            return 0
        self._at = at + 1
        return self._data[at] % count

    def octets(self, most: int) -> bytes:
        """Return up to `most` octets; how many is a decision too."""
        size = self.pick(most + 1)
        taken = self._data[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def rest(self) -> bytes:
        """Return all that is left."""
        taken = self._data[self._at :]
        self._at = len(self._data)
        return taken

    def pieces(self, data: bytes, most: int = 4) -> list[bytes]:
        """Cut data into up to `most` pieces."""
        return _cut(data, self._cuts(most))

    def rest_in_pieces(self, most: int = 4) -> list[bytes]:
        """Return all that is left, cut into up to `most` pieces."""
        cuts = self._cuts(most)
        return _cut(self.rest(), cuts)

    def _cuts(self, most: int) -> list[int]:
        return sorted(self.pick(256) for _ in range(self.pick(most)))


def _cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *(cut * len(data) // 255 for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]
