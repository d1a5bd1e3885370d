"""Threads that wait for the disk, for conversations that must not (`loop`)."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from ssmtp.agent.loop import Elsewhere, Resume

THREADS = 4


class Commits:
    """The threads; `work` returns requests for the loop."""

    def __init__(self) -> None:
        self._works: queue.SimpleQueue[tuple[Callable[[], Any], Resume] | None]
        self._works = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._carry_out, daemon=True)
            for _ in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Let the threads end what they have, and wait for that."""
        for _ in range(THREADS):
            self._works.put(None)
        for thread in self._threads:
            thread.join()

    def work(self, work: Callable[[], Any]) -> Elsewhere:
        """Ask to have something done that waits for the disk."""
        return Elsewhere(lambda resume: self._works.put((work, resume)), work)

    def _carry_out(self) -> None:
        while True:
            item = self._works.get()
            if item is None:
                return
            work, resume = item
            try:
                answer = work()
            except Exception as error:
                resume(None, error)
            else:
                resume(answer, None)
