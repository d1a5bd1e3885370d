"""What each user has asked of the acceptor, counted by all its processes together.

It lies in memory that they have shared since the fork, and is changed under a lock that
dies with its holder. Times are those of CLOCK_MONOTONIC, the same for all of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

from ssmtp.agent import forks

MINUTE = 60.0
PATIENCE = 1.0  # seconds for who holds the lock; it takes microseconds
EAGER = 100  # looks at the lock before anybody sleeps, for nobody has it for long
GLANCE = 0.0002  # seconds between two looks after that

USERS = 1024  # of more than these, those that sent nothing for longest are forgotten
_USED = struct.Struct("=Q")
_PIDS = struct.Struct(f"={forks.MOST}Q")
# The uid, the tokens it had and when that was; messages and octets: of what it has
# added, and of what is being queued, in the first process and in each further one.
_ROW = struct.Struct(f"=QddQQ{2 * (1 + forks.MOST)}Q")
_ADDED, _COMING = 3, 5  # where they stand
_BEGIN = 64
_NOTHING = (0,) * (2 + 2 * (1 + forks.MOST))

Row = tuple[Any, ...]


class Tally:
    """The table; all methods may be called by any thread of any of the processes."""

    def __init__(self, *, shared: bool = False) -> None:
        """`shared` says that processes forked from here on count in it, too."""
        self._table = mmap.mmap(-1, _BEGIN + USERS * _ROW.size)
        self._lock = _Shared() if shared else threading.RLock()
        self._places: dict[int, int] = {}
        self._mine = _COMING

    def forked(self) -> None:
        """Be that of a further process, whose messages count until it has died."""
        with self._lock:
            pids = [*_PIDS.unpack_from(self._table, _USED.size)]
            if 0 in pids:
                number = pids.index(0)
                pids[number] = os.getpid()
                _PIDS.pack_into(self._table, _USED.size, *pids)
                self._mine = _COMING + 2 * (1 + number)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Lock the table once for all that is counted within."""
        with self._lock:
            yield

    def take(self, uid: int, now: float, most: int) -> bool:
        """Take one of `most` tokens, which come back within a minute, if there is one.

        A user who is new has all of them. `now` is in seconds.
        """
        with self._lock:
            at, (_, tokens, since, *counts) = self._row(uid)
            full = float(most)
            left = min(full, tokens + (now - since) * most / MINUTE) if since else full
            if left < 1:
                return False
            _ROW.pack_into(self._table, at, uid, left - 1, now, *counts)
            return True

    def add(self, uid: int, octets: int) -> None:
        """Count a message that was queued."""
        with self._lock:
            at, row = self._row(uid)
            self._write(at, row, _ADDED, row[_ADDED] + 1, row[_ADDED + 1] + octets)

    def added(self, uid: int) -> tuple[int, int]:
        """Return how many messages and octets were added for a user, ever.

        What is just being added may count, or not.
        """
        at = self._places.get(uid, 0)
        if at:
            row = _ROW.unpack_from(self._table, at)
            if row[0] == uid:
                return row[_ADDED:_COMING]
        with self._lock:
            return self._row(uid)[1][_ADDED:_COMING]

    def come(self, uid: int, octets: int) -> tuple[int, int]:
        """Count a message that is being queued.

        Return the messages and octets that were added for this user before, ever, with
        those that are being queued, too.
        """
        with self._lock:
            at, row = self._row(uid)
            mine = self._mine
            self._write(at, row, mine, row[mine] + 1, row[mine + 1] + octets)
            # Of all processes, and of what was added: every other one is a number.
            return sum(row[_ADDED::2]), sum(row[_ADDED + 1 :: 2])

    def go(self, uid: int, octets: int) -> None:
        """Count it no more: it was added, or came to nothing."""
        with self._lock:
            at, row = self._row(uid)
            mine = self._mine
            less = (max(0, row[mine] - 1), max(0, row[mine + 1] - octets))
            self._write(at, row, mine, *less)

    def died(self, pid: int) -> None:
        """Count as added what a further process was queueing when it died.

        It may have been, and files are counted before anybody is refused for it.
        """
        with self._lock:
            pids = _PIDS.unpack_from(self._table, _USED.size)
            if pid not in pids:
                return
            its = _COMING + 2 * (1 + pids.index(pid))
            for at, found in self._rows().items():
                row = [*found]
                row[_ADDED] += row[its]
                row[_ADDED + 1] += row[its + 1]
                row[its : its + 2] = 0, 0
                _ROW.pack_into(self._table, at, *row)

    def all(self) -> dict[int, tuple[int, int]]:
        """Return the messages and octets that were added, for all users."""
        with self._lock:
            return {row[0]: row[_ADDED:_COMING] for row in self._rows().values()}

    def _write(self, at: int, row: Row, place: int, messages: int, octets: int) -> None:
        """Write a row with other numbers in one place of it."""
        rest = row[place + 2 :]
        _ROW.pack_into(self._table, at, *row[:place], messages, octets, *rest)

    def _rows(self) -> dict[int, Row]:
        """Return all rows by where they are."""
        (used,) = _USED.unpack_from(self._table)
        places = range(_BEGIN, _BEGIN + used * _ROW.size, _ROW.size)
        return {place: _ROW.unpack_from(self._table, place) for place in places}

    def _row(self, uid: int) -> tuple[int, Row]:
        """Return where the row of a user is, and the row; make one if there is none."""
        at = self._places.get(uid, 0)
        if at:
            row = _ROW.unpack_from(self._table, at)
            if row[0] == uid:
                return at, row
        rows = self._rows()
        found = [place for place, row in rows.items() if row[0] == uid]
        if found:
            at = found[0]
        else:
            if len(rows) < USERS:
                at = _BEGIN + len(rows) * _ROW.size
                _USED.pack_into(self._table, 0, len(rows) + 1)
            else:
                at = min(rows, key=lambda place: rows[place][2])
            rows[at] = (uid, 0.0, 0.0, *_NOTHING)
            _ROW.pack_into(self._table, at, *rows[at])
        if len(self._places) >= USERS:
            self._places.clear()
        self._places[uid] = at
        return at, rows[at]


class _Shared:
    """A lock between processes, and between the threads of each.

    A process that hangs while it holds the lock stops nobody: the others go on without,
    and may miscount by what they do at the very same moment.
    """

    def __init__(self) -> None:
        self._threads = threading.RLock()
        self._depth = 0
        self._file = os.memfd_create("tally", os.MFD_CLOEXEC)
        self._hung = False

    def __enter__(self) -> None:
        self._threads.acquire()
        try:
            if not self._depth:
                self._hung = not self._taken(0.0 if self._hung else PATIENCE)
            self._depth += 1
        except BaseException:
            self._threads.release()
            raise

    def _taken(self, patience: float) -> bool:
        until, looks = 0.0, 0
        while True:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except OSError:  # somebody has it, or the system has no locks left
                now = time.monotonic()
                until = until or now + patience
                if now >= until:
                    return False
                looks += 1
                if looks < EAGER:
                    os.sched_yield()
                else:
                    time.sleep(GLANCE)

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        try:
            if not self._depth:
                fcntl.lockf(self._file, fcntl.LOCK_UN)
        except OSError:
            pass  # the next one gives it back
        finally:
            self._threads.release()
