"""What waits for the disk, for conversations that must not (`loop`).

What was sent loses its name at once; one thread makes that durable, for all that has
come to it meanwhile: they share one wait for the disk. Anything else (outcomes,
reports) has threads of its own. As little as can be is done by threads, for each word
between two of them costs more than what it is about.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from ssmtp.agent.loop import Elsewhere, Resume, answer
from ssmtp.spool.commit import Folder
from ssmtp.spool.queue import Claim

THREADS = 4  # for what is no removal
# Removals that nobody has to wait for; what begins in one turn may come on top.
BEHIND_MOST = 64

Removal = tuple[Claim, Resume]
Works = queue.SimpleQueue[tuple[Callable[[], Any], Resume] | None]


class Commits:
    """The threads. `post` has something done by the thread of the loop.

    That one alone may call the methods.
    """

    def __init__(
        self, folder: Folder, post: Callable[[Callable[[], None]], None]
    ) -> None:
        self._folder = folder
        self._post = post
        self._works: Works = queue.SimpleQueue()
        self._syncs: queue.SimpleQueue[list[Removal] | None] = queue.SimpleQueue()
        self._removed: list[Removal] = []
        self._under_way = 0  # removals that the disk is being waited for
        self._threads = [
            *(threading.Thread(target=self._work, daemon=True) for _ in range(THREADS)),
            threading.Thread(target=self._synchronise, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_behind(self) -> bool:
        """Whether so much waits for the disk that nothing more should be begun."""
        return self._under_way + len(self._removed) >= BEHIND_MOST

    def close(self) -> None:
        """Let the threads end what they have, and wait for that."""
        if self._removed:
            self._syncs.put(self._removed)
        self._syncs.put(None)
        for _ in range(THREADS):
            self._works.put(None)
        for thread in self._threads:
            thread.join()

    def work(self, work: Callable[[], Any]) -> Elsewhere:
        """Return the request to have something done that waits for the disk."""
        return Elsewhere(lambda resume: self._works.put((work, resume)))

    def done(self, claim: Claim) -> Elsewhere:
        """Remove a message that all its recipients have.

        Return the request to have that made durable, and the claim released. When it
        cannot be, it will not be tried again as far as we can help it.
        """
        try:
            claim.unlink()
        except OSError as error:
            return self.work(partial(claim.unlinked, error))
        return Elsewhere(lambda resume: self._removed.append((claim, resume)))

    def go_on(self) -> None:
        """Have made durable what was removed since, unless the disk is busy with it."""
        if self._removed and not self._under_way:
            removed, self._removed = self._removed, []
            self._under_way = len(removed)
            self._syncs.put(removed)

    def _synchronise(self) -> None:
        while removed := self._syncs.get():
            failed = self._folder.try_sync()
            if failed is not None:
                # What is noted of each then has to be synchronised, too.
                _end(removed, failed)
                removed = []
            self._post(partial(self._durable, removed))

    def _durable(self, removed: list[Removal]) -> None:
        self._under_way = 0
        _end(removed, None)

    def _work(self) -> None:
        while found := self._works.get():
            answer(*found)


def _end(removed: list[Removal], failed: OSError | None) -> None:
    for claim, resume in removed:
        answer(partial(claim.unlinked, failed), resume)
