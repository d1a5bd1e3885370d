"""How much of the queue each user has, for the limits of the acceptor."""

from __future__ import annotations

import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# How much of the time may go into counting, and how soon it may be done again.
_SHARE = 0.05
_PAUSE = 0.02


class Usage:
    """Messages and octets of each user, counted again now and then.

    `list_all` yields (uid, octets, whether it is queued) of every file: the octets of a
    failed message count, too, but it is not one that waits.
    """

    def __init__(self, list_all: Callable[[], Iterable[tuple[int, int, bool]]]) -> None:
        self._list_all = list_all
        self._lock = threading.Lock()
        self._of: dict[int, list[int]] = {}
        self._again = 0.0

    def of(self, uid: int) -> tuple[int, int]:
        """Return (messages, octets) of a user; raises what `list_all` raises."""
        with self._lock:
            now = time.monotonic()
            if now >= self._again:
                self._of = self._count()
                spent = time.monotonic() - now
                self._again = now + max(_PAUSE, spent / _SHARE)
            messages, octets = self._of.get(uid, (0, 0))
            return messages, octets

    def add(self, uid: int, octets: int) -> None:
        """Count a new message at once."""
        with self._lock:
            one = self._of.setdefault(uid, [0, 0])
            one[0] += 1
            one[1] += octets

    def _count(self) -> dict[int, list[int]]:
        usage: dict[int, list[int]] = {}
        for uid, octets, queued in self._list_all():
            one = usage.setdefault(uid, [0, 0])
            one[0] += queued
            one[1] += octets
        return usage
