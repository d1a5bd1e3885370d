"""What each user has asked of the acceptor, counted by all its processes together.

It lies in memory that they have shared since the fork, and is changed under a lock that
dies with its holder. Times are those of CLOCK_MONOTONIC, the same for all of them.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
import time

MINUTE = 60.0
PATIENCE = 1.0  # seconds for who holds the lock; it takes microseconds
GLANCE = 0.0002  # seconds between two looks at the lock

USERS = 1024  # of more than these, those that sent nothing for longest are forgotten
_USED = struct.Struct("=Q")
# The uid, the tokens it had and when that was; messages and octets: of what it has
# added, and of what is being queued.
_ROW = struct.Struct("=QddQQQQ")
_BEGIN = 64

Row = tuple[int, float, float, int, int, int, int]


class Tally:
    """The table; all methods may be called by any thread of any of the processes."""

    def __init__(self, *, shared: bool = False) -> None:
        """`shared` says that processes forked from here on count in it, too."""
        self._table = mmap.mmap(-1, _BEGIN + USERS * _ROW.size)
        self._lock = _Shared() if shared else threading.Lock()
        self._places: dict[int, int] = {}

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
            at, (*begin, messages, before, some, of_them) = self._row(uid)
            more = (messages + 1, before + octets)
            _ROW.pack_into(self._table, at, *begin, *more, some, of_them)

    def added(self, uid: int) -> tuple[int, int]:
        """Return how many messages and octets were added for a user, ever."""
        with self._lock:
            return self._row(uid)[1][3:5]

    def come(self, uid: int, octets: int) -> tuple[int, int]:
        """Count a message that is being queued.

        Return the messages and octets that were added for this user before, ever, with
        those that are being queued, too.
        """
        with self._lock:
            at, row = self._row(uid)
            messages, added, more, coming = row[3:]
            _ROW.pack_into(self._table, at, *row[:5], more + 1, coming + octets)
            return messages + more, added + coming

    def go(self, uid: int, octets: int) -> None:
        """Count it no more: it was added, or came to nothing."""
        with self._lock:
            at, (*begin, messages, before) = self._row(uid)
            less = (max(0, messages - 1), max(0, before - octets))
            _ROW.pack_into(self._table, at, *begin, *less)

    def all_go(self) -> None:
        """Count nothing that is being queued: who does it may have died."""
        with self._lock:
            for place, (*begin, _, _) in self._rows().items():
                _ROW.pack_into(self._table, place, *begin, 0, 0)

    def all(self) -> dict[int, tuple[int, int]]:
        """Return the messages and octets that were added, for all users."""
        with self._lock:
            return {row[0]: row[3:5] for row in self._rows().values()}

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
            rows[at] = (uid, 0.0, 0.0, 0, 0, 0, 0)
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
        self._threads = threading.Lock()
        self._file = os.memfd_create("tally", os.MFD_CLOEXEC)
        self._hung = False

    def __enter__(self) -> None:
        self._threads.acquire()
        try:
            self._hung = not self._taken(0.0 if self._hung else PATIENCE)
        except BaseException:
            self._threads.release()
            raise

    def _taken(self, patience: float) -> bool:
        until = 0.0
        while True:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                now = time.monotonic()
                until = until or now + patience
                if now >= until:
                    return False
                time.sleep(GLANCE)

    def __exit__(self, *_: object) -> None:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_UN)
        finally:
            self._threads.release()
