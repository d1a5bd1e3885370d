"""Threads that synchronise several files at the same time.

A disk that is asked for all of them at once finishes its work for all; one after the
other each would have that done for itself.
"""

from __future__ import annotations

import errno
import os
import queue
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssmtp.spool.commit import NewFile

    Done = queue.SimpleQueue[None]

MOST = 8  # threads, started when there are so many files
NAME = "syncer"


class Syncers:
    """The threads of a directory, which sleep until there is something to do."""

    def __init__(self) -> None:
        self._todo: queue.SimpleQueue[tuple[NewFile, Done] | None] = queue.SimpleQueue()
        self._threads = 0

    def synchronise(self, files: list[NewFile]) -> None:
        """Synchronise files; the error of each stands in it."""
        if len(files) == 1 or not self._enough(len(files)):
            for file in files:
                _synchronise(file)
            return
        done: Done = queue.SimpleQueue()
        for file in files:
            self._todo.put((file, done))
        for _ in files:
            done.get()

    def close(self) -> None:
        """Let the threads end."""
        for _ in range(self._threads):
            self._todo.put(None)
        self._threads = 0

    def _enough(self, count: int) -> bool:
        """Start threads for so many files; False when there can be none."""
        while self._threads < min(count, MOST):
            try:
                thread = threading.Thread(target=self._work, name=NAME, daemon=True)
                thread.start()
            except RuntimeError:  # no more threads
                break
            self._threads += 1
        return self._threads > 0

    def _work(self) -> None:
        while (found := self._todo.get()) is not None:
            file, done = found
            try:
                _synchronise(file)
            except BaseException:  # of memory, say; the thread is needed
                file.error = OSError(errno.EIO, os.strerror(errno.EIO))
            done.put(None)


def _synchronise(file: NewFile) -> None:
    try:
        os.fsync(file.fd)
    except OSError as error:
        file.error = error
