"""How much of the queue each user has, for the limits of the acceptor.

What is added is counted at once, by all processes that share a ledger; that something
has left is seen when the files are counted again. So what is known is never too little
but for reports, and files are counted when somebody comes to a limit, not before.
"""

from __future__ import annotations

import contextlib
import threading
import time

from ssmtp.errors import SystemTrouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from typing import Protocol

    Counts = dict[int, tuple[int, int]]

    class Ledger(Protocol):
        """Messages and octets that were ever added, by user."""

        def together(self) -> AbstractContextManager[None]: ...

        def add(self, uid: int, octets: int) -> None: ...

        def added(self, uid: int) -> tuple[int, int]: ...

        def all(self) -> Counts: ...


# How much of the time may go into counting, and how soon it may be done again.
_SHARE = 0.05
_PAUSE = 0.02
_WAIT = 1.0  # seconds for which somebody waits for that
_LATEST = 60.0  # seconds: for what nobody adds here, as reports

_NOTHING = (0, 0)


class OwnLedger:
    """The ledger of a process that shares none."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._of: Counts = {}

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Lock it once for all that is counted within."""
        with self._lock:
            yield

    def add(self, uid: int, octets: int) -> None:
        """Count a message."""
        with self._lock:
            messages, before = self._of.get(uid, _NOTHING)
            self._of[uid] = (messages + 1, before + octets)

    def added(self, uid: int) -> tuple[int, int]:
        """Return the messages and octets of a user."""
        return self._of.get(uid, _NOTHING)

    def all(self) -> Counts:
        """Return those of all users."""
        with self._lock:
            return dict(self._of)


class Usage:
    """Messages and octets of each user.

    `list_all` yields (uid, octets, whether it is queued) of every file: the octets of a
    failed message count, too, but it is not one that waits.
    """

    def __init__(self, list_all: Callable[[], Iterable[tuple[int, int, bool]]]) -> None:
        self.ledger: Ledger = OwnLedger()
        self._list_all = list_all
        self._lock = threading.Lock()
        self._found: tuple[Counts, Counts] | None = None  # counted; added before
        self._aside = threading.Lock()  # held by a thread that counts for others
        self._spent = 0.0
        self._begun = self._at = -_LATEST

    def of(
        self, uid: int, *, fresh: bool, added: tuple[int, int] | None = None
    ) -> tuple[int, int]:
        """Return (messages, octets) of a user; raises what `list_all` raises.

        With `fresh` what has left by now counts no more: files are counted again, and
        that is waited for, unless it took so long the last time that it has to rest.
        `added` takes the place of what the ledger says now.
        """
        asked = time.monotonic()
        while wait := self._look(asked, fresh=fresh):
            time.sleep(wait)
        return self._sum(uid, added)

    def known(self, uid: int, added: tuple[int, int] | None = None) -> tuple[int, int]:
        """Return that as it was counted last, without waiting; raises SystemTrouble."""
        due = time.monotonic() - self._at >= _LATEST
        if due and self._aside.acquire(blocking=False):
            try:
                threading.Thread(target=self._count_aside, daemon=True).start()
            except RuntimeError:  # no more threads
                self._aside.release()
        return self._sum(uid, added)

    def _count_aside(self) -> None:
        try:
            self._look(time.monotonic(), fresh=False)
        except SystemTrouble:
            pass  # who comes to a limit counts again, and is told
        finally:
            self._aside.release()

    def _sum(self, uid: int, added: tuple[int, int] | None) -> tuple[int, int]:
        found = self._found
        if found is None:
            raise SystemTrouble("the queue was not counted yet", "try again later")
        messages, octets = found[0].get(uid, _NOTHING)
        before = found[1].get(uid, _NOTHING)
        now = added or self.ledger.added(uid)
        # A ledger may have forgotten a user in between.
        return (
            messages + max(0, now[0] - before[0]),
            octets + max(0, now[1] - before[1]),
        )

    def _look(self, asked: float, *, fresh: bool) -> float:
        """Count if that is wanted; return the seconds until it may be done."""
        with self._lock:
            now = time.monotonic()
            pause = self._at + max(_PAUSE, self._spent / _SHARE) - now
            if now - self._at >= _LATEST:
                self._count(now)
            elif fresh and self._begun < asked:
                if pause > 0:
                    return pause if pause < _WAIT else 0.0
                self._count(now)
        return 0.0

    def _count(self, now: float) -> None:
        # First this, for what is added meanwhile may be seen or not: rather twice.
        before = self.ledger.all()
        counted: Counts = {}
        for uid, octets, queued in self._list_all():
            messages, size = counted.get(uid, _NOTHING)
            counted[uid] = (messages + queued, size + octets)
        self._found = counted, before
        self._begun = now
        self._at = time.monotonic()
        self._spent = self._at - now
