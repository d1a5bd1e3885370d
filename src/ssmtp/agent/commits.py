"""Threads that wait for the disk, for conversations that must not (`loop`).

That a try begins is written down by one thread, and another removes what was sent: it
takes all that has come meanwhile, and so they share one wait for the disk. Anything
else (outcomes, reports) has threads of its own.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from ssmtp.agent.loop import Elsewhere, Resume
from ssmtp.spool.queue import Claim, Queue

THREADS = 4  # for what is neither the begin of a try nor a removal
BATCH_MOST = 64  # messages that share one wait

Item = tuple[Any, Resume]
Items = queue.SimpleQueue[Item | None]


class Commits:
    """The threads; each method but `close` returns a request for the loop."""

    def __init__(self, messages: Queue) -> None:
        self._queue = messages
        self._works: Items = queue.SimpleQueue()
        self._begins: Items = queue.SimpleQueue()
        self._ends: Items = queue.SimpleQueue()
        self._threads = [
            *(self._thread(self._works, self._do, 1) for _ in range(THREADS)),
            self._thread(self._begins, self._begin, BATCH_MOST),
            self._thread(self._ends, self._end, BATCH_MOST),
        ]

    def close(self) -> None:
        """Let the threads end what they have, and wait for that."""
        for items in (*[self._works] * THREADS, self._begins, self._ends):
            items.put(None)
        for thread in self._threads:
            thread.join()

    def work(self, work: Callable[[], Any]) -> Elsewhere:
        """Ask to have something done that waits for the disk."""
        return Elsewhere(lambda resume: self._works.put((work, resume)))

    def begin(self, claim: Claim) -> Elsewhere:
        """Ask to have it noted that a try begins."""
        return Elsewhere(lambda resume: self._begins.put((claim, resume)))

    def done(self, claim: Claim) -> Elsewhere:
        """Ask to have a message removed that all its recipients have."""
        return Elsewhere(lambda resume: self._ends.put((claim, resume)))

    def _thread(
        self, items: Items, do: Callable[[list[Item]], None], most: int
    ) -> threading.Thread:
        def run() -> None:
            while batch := _next(items, most):
                do(batch)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def _do(self, batch: list[Item]) -> None:
        for work, resume in batch:
            _answer(work, [resume])

    def _begin(self, batch: list[Item]) -> None:
        for claim, resume in batch:
            _answer(claim.begin, [resume])

    def _end(self, batch: list[Item]) -> None:
        claims = [claim for claim, _ in batch]
        if len(claims) == 1:
            work = claims[0].done
        else:
            work = lambda: self._queue.remove(claims)  # noqa: E731
        _answer(work, [resume for _, resume in batch])


def _next(items: Items, most: int) -> list[Item]:
    """Wait for something, and return all there is; nothing when that was the end."""
    item = items.get()
    batch: list[Item] = []
    while item is not None:
        batch.append(item)
        if len(batch) == most:
            return batch
        try:
            item = items.get_nowait()
        except queue.Empty:
            return batch
    if batch:
        items.put(None)  # to be found again
    return batch


def _answer(work: Callable[[], Any], resumes: list[Resume]) -> None:
    try:
        answer, trouble = work(), None
    except Exception as error:
        answer, trouble = None, error
    for resume in resumes:
        resume(answer, trouble)
