"""Which messages wait: the ids that the sender has in memory, and where they come from.

The acceptor tells of new ones. Besides, the queue is looked through at the start, when
a message falls due, and every now and then; what there is no room for in memory is
found again that way.
"""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING, Any

from ssmtp.agent.loop import boottime, call
from ssmtp.errors import SystemTrouble
from ssmtp.spool.queue import owner_of

if TYPE_CHECKING:
    from ssmtp.agent.carrier import Talk
    from ssmtp.agent.sender import Sender

AT_ONCE = 2000  # ids from one look through the queue
SEEN_MOST = 5000  # ids in memory
SORT_AT_ONCE = 200
LOOK_BELOW = 1000  # no look while there are more
LOOK_EVERY = 30.0  # seconds
GLANCE_EVERY = 1.0  # seconds; whether anything is new, where the acceptor does not say


class Lookout:
    """All that one sender knows to be waiting; `seen` are the ids of it."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.seen: set[str] = set()
        self._look_at = self._glance_at = 0.0
        self._looking = self._sorting = False
        self._sorted: set[str] = set()
        # What a flush has found so far, None while there is none; and where it goes on.
        self._flushed: set[str] | None = None
        self._after: tuple[float, str] | None = None
        # What is wished too soon, and from when on it may be tried.
        self._put_off: dict[str, float] = {}
        self._put_off_until = math.inf
        # Whose mail is being looked for, and whether that is wished once more.
        self._wishes: dict[int, bool] = {}
        self._stamp = -1

    def add(self, name: str) -> None:
        """Have a message carried, or found again when there is room for it."""
        if name in self.seen:
            return
        if len(self.seen) >= SEEN_MOST:
            self._look_at = min(self._look_at or boottime() + 1.0, boottime() + 1.0)
            return
        self.seen.add(name)
        self.sender.default.jobs.append(name)

    def drop(self, name: str) -> None:
        """Forget a message."""
        self.seen.discard(name)
        self._sorted.discard(name)

    def put_off(self, name: str, seconds: float) -> None:
        """Have a message tried in so many seconds, for somebody wishes that."""
        if len(self._put_off) < SEEN_MOST:
            at = self._put_off.setdefault(name, boottime() + seconds)
            self._put_off_until = min(self._put_off_until, at)

    def _wished(self, now: float) -> None:
        """Have tried what was wished too soon, and is not so any more."""
        if now < self._put_off_until:
            return
        ripe = [name for name, at in self._put_off.items() if at <= now]
        for name in ripe:
            del self._put_off[name]
            self.sender.forced.add(name)
            self.add(name)
        self._put_off_until = min(self._put_off.values(), default=math.inf)

    # -- when to look

    def now(self) -> None:
        """Look through the queue now."""
        self._look_at = 0.0

    def soon(self, seconds: float) -> None:
        """Look through it in so many seconds, if not before."""
        self._look_at = min(self._look_at, boottime() + seconds)

    def again(self) -> None:
        """Have something seen that may just be coming in."""
        self._stamp = -1

    def flush(self) -> None:
        """Find everything, due or not."""
        self._flushed, self._after = set(), None
        self._look_at = boottime()
        # What is known already may wait for a warning only, before it is due.
        self.sender.forced.update(self.seen)

    def flush_of(self, uid: int) -> None:
        """Find all that one user has, due or not; for each user one thread looks."""
        self.sender.forced.update(n for n in self.seen if owner_of(n) == uid)
        looking = uid in self._wishes
        self._wishes[uid] = True
        if not looking:
            self.sender.loop.start(self._take_all(uid), self.sender.surprised)

    def _take_all(self, uid: int) -> Talk:
        while self._wishes[uid]:
            self._wishes[uid] = False
            search = call(lambda: list(self.sender.queue.ids(uid)))
            for name in (yield from self._read(search)) or ():
                self.sender.forced.add(name)
                self.add(name)
        del self._wishes[uid]

    def until(self, now: float) -> float:
        """Return when to look again."""
        every = GLANCE_EVERY if self.sender.ear.path is None else LOOK_EVERY
        until = max(min(now + every, self._put_off_until), now)
        if self._looking or len(self.seen) > LOOK_BELOW:
            return until
        return min(until, max(self._look_at, now))

    def look(self, now: float) -> None:
        """Look through the queue when it is time for that.

        Raises SystemTrouble when it was removed.
        """
        sender = self.sender
        self._wished(now)
        # What waits for a mailhub that is away is in the way of nobody.
        away = any(pool.site.kind for pool in sender.pools.values())
        most = SEEN_MOST - AT_ONCE if away else LOOK_BELOW
        if self._looking or len(self.seen) > most:
            return
        if now < self._look_at:
            if sender.ear.path is not None or now < self._glance_at:
                return
            # Nobody tells us what is new: the directory does.
            self._glance_at = now + GLANCE_EVERY
            if self._changed() == self._stamp:
                return
        sender.queue.check_there()  # else nobody would find what comes from now on
        self._looking = True
        self._look_at = now + LOOK_EVERY
        self._stamp = self._changed()
        after, flushed = self._after, self._flushed
        limit = AT_ONCE + (len(self.seen) if after is None else 0)
        wall = time.time()
        search = call(lambda: sender.queue.due(wall, limit, after))
        sender.loop.start(self._take(search, wall, limit, flushed), sender.surprised)

    def _changed(self) -> int:
        return os.fstat(self.sender.queue.queue.fd).st_mtime_ns

    def _take(
        self, search: Any, wall: float, limit: int, flushed: set[str] | None
    ) -> Talk:
        found = yield from self._read(search)
        self._looking = False
        if found is None:
            return
        for when, name in found:
            if flushed is None and when > wall:
                self.soon(when - wall)
                return
            if flushed is not None:
                if name in flushed:
                    continue  # it was tried, and waits once more
                flushed.add(name)
                self.sender.forced.add(name)  # what is due may be but a warning
            self.add(name)
        more = len(found) == limit
        if more:
            self._look_at = boottime()
        if flushed is not None and flushed is self._flushed:
            self._after = found[-1] if more else None
            self._flushed = flushed if more else None

    def _read(self, request: Any) -> Talk:
        """Have something read by a thread; None when the disk does not give it."""
        try:
            return (yield request)
        except SystemTrouble as failure:
            self.sender.disk_trouble(failure)
            return None

    # -- whose mailhub is another

    def sort(self) -> None:
        """While the usual mailhub is away, find the messages that have another."""
        sender, pool = self.sender, self.sender.default
        if not pool.site.kind or self._sorting or len(self._sorted) >= len(pool.jobs):
            return
        names = [name for name in pool.jobs if name not in self._sorted][:SORT_AT_ONCE]
        self._sorting = True
        self._sorted.update(names)
        look = call(lambda: [(n, sender.queue.look(n)) for n in names])
        sender.loop.start(self._sort_out(look), sender.surprised)

    def _sort_out(self, look: Any) -> Talk:
        found = (yield from self._read(look)) or ()
        self._sorting = False
        jobs = self.sender.default.jobs
        others = {name: entry for name, entry in found if entry and entry.mailhubs}
        for name, entry in others.items():
            if name in jobs:
                jobs.remove(name)
                self._sorted.discard(name)  # it counts what is still there
                self.sender.own_pool(entry.mailhubs).jobs.append(name)
