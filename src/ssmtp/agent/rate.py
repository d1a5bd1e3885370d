"""At most so many messages in any span of so many seconds (`RateLimit=`); pure."""

from __future__ import annotations

import math
from collections import deque

SMALL = 1000


class Rate:
    """The times of the latest messages, as many as the limit has.

    Counted as those do who set such limits: no span of that length has more.
    """

    def __init__(self, limit: tuple[int, float] | None) -> None:
        self._times: deque[float] = deque()
        self.change(limit)

    def change(self, limit: tuple[int, float] | None) -> None:
        """Take another limit, before which those count that went under this one."""
        self._count, self._seconds = limit or (0, 0.0)
        self._times = deque(self._times, maxlen=self._count or None)

    @property
    def is_small(self) -> bool:
        """Whether the times are so few that each may be written down at once."""
        return 0 < self._count <= SMALL

    def record(self, now: float, wall: float) -> list[int]:
        """Return the times that still count, as times of the wall clock, rounded up."""
        recent = (at for at in self._times if now - at < self._seconds)
        return [math.ceil(wall + at - now) for at in recent]

    def restore(self, times: list[int], now: float, wall: float) -> None:
        """Count what an earlier run sent; if the clock was set back, as sent now."""
        self._times.extend(sorted(now - max(0.0, wall - at) for at in times))

    def wait(self, now: float) -> float:
        """Return the seconds until a message may go; 0.0 when it may go now."""
        if not self._count or len(self._times) < self._count:
            return 0.0
        return max(0.0, self._times[0] + self._seconds - now)

    def take(self, now: float) -> None:
        """Count a message that goes now."""
        if self._count:
            self._times.append(now)
