"""A handler of `logging` that mails what was logged, many records in one message.

    handler = MailHandler("ops@example.org", seconds=60)
    handler.setLevel(logging.ERROR)
    logging.getLogger().addHandler(handler)

Rules

1. Whoever logs never waits and never gets an exception: a record is formatted and put
   into a queue, which a thread of the handler empties.
2. The first record opens a batch. It is sent when `seconds` have passed, when `most`
   records are in it, or at once for a record of level `at_once`.
3. While the mailhub cannot be used the batch waits and grows up to `most`; what comes
   then is counted, not kept. At the end of the program, what could not be sent is kept
   as any message is.
4. What the thread of the handler itself logs is not mailed: it would never end.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from typing import TYPE_CHECKING

import ssmtp
from ssmtp.api import send  # now, because imports may fail while a program ends

if TYPE_CHECKING:
    from ssmtp.compose import Mailboxes

PAUSE_FIRST, PAUSE_LONGEST = 5.0, 900.0  # seconds, after the mailhub could not be used
SUBJECT_MOST = 120  # characters
RECORD_MOST = 20_000  # characters of one record


class _Flush:
    """Asks the thread to send what there is, and tells when it has tried."""

    def __init__(self, last: bool) -> None:
        self.last = last
        self.done = threading.Event()


class MailHandler(logging.Handler):
    """Mail log records to `to`.

    `seconds` is how long a batch is gathered, `most` how many records it may have;
    with 1 every record is a message. `patience` is how many seconds `flush` and `close`
    wait. `subject` stands before the first record's own words.
    """

    def __init__(
        self,
        to: Mailboxes,
        *,
        level: int | str = logging.NOTSET,
        subject: str = "",
        from_: str | None = None,
        config: str | None = None,
        seconds: float = 10.0,
        most: int = 1000,
        at_once: int = logging.CRITICAL,
        patience: float = 5.0,
    ) -> None:
        super().__init__(level)
        self.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
        )
        self.to = to
        self.subject = subject
        self.from_ = from_
        self.config = config
        self.seconds = seconds
        self.most = most
        self.at_once = at_once
        self.patience = patience
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        # Its put may be interrupted by a signal handler that logs; no lock is taken.
        self._queue: queue.SimpleQueue[tuple[int, str] | _Flush] = queue.SimpleQueue()
        self._worker: threading.Thread | None = None
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record; return at once, whatever happens."""
        try:
            if threading.current_thread() is self._worker:
                return
            if self._process != os.getpid():
                self._begin()  # a fork: queue and thread are the parent's
            if self._queue.qsize() >= self.most:
                self._dropped += 1
                return
            self._queue.put((record.levelno, self.format(record)[:RECORD_MOST]))
            self._start()
        except Exception:
            self.handleError(record)

    def _start(self) -> None:
        if self._worker is None:
            self._worker = threading.Thread(
                target=_Worker(self, self._queue).run, name="ssmtp-log", daemon=True
            )
            self._worker.start()

    def flush(self) -> None:
        """Send now what is queued; wait for that no longer than `patience`."""
        self._finish(_Flush(last=False))

    def close(self) -> None:
        """Send what is queued, or have it kept, and end the thread."""
        self._finish(_Flush(last=True))
        self._worker = None
        super().close()

    def _finish(self, flush: _Flush) -> None:
        if self._worker is not None and self._process == os.getpid():
            self._queue.put(flush)
            flush.done.wait(self.patience)

    def dropped(self) -> int:
        """Return how many records found no room since this was asked last."""
        count, self._dropped = self._dropped, 0
        return count


class _Worker:
    """The thread of a handler: gathers batches and sends them."""

    def __init__(
        self, handler: MailHandler, source: queue.SimpleQueue[tuple[int, str] | _Flush]
    ) -> None:
        self.handler = handler
        self.source = source
        self.batch: list[str] = []
        self.due = 0.0  # monotonic
        self.pause = PAUSE_FIRST

    def run(self) -> None:
        """Go on until the handler is closed."""
        while True:
            left = max(0.0, self.due - time.monotonic()) if self.batch else None
            try:
                item = self.source.get(timeout=left)
            except queue.Empty:
                self.send()
                continue
            if isinstance(item, _Flush):
                self.send(keep=item.last)
                item.done.set()
                if item.last:
                    return
                continue
            self.take(*item)

    def take(self, level: int, text: str) -> None:
        """Put a record into the batch; send it if that was the last it needed."""
        handler = self.handler
        if not self.batch:
            self.due = time.monotonic() + handler.seconds
        if len(self.batch) >= handler.most:
            handler._dropped += 1  # the mailhub is away
            return
        self.batch.append(text)
        waiting = self.pause > PAUSE_FIRST
        full = len(self.batch) >= handler.most or level >= handler.at_once
        if full and not waiting:
            self.send()

    def send(self, keep: bool = False) -> None:
        """Send the batch; without `keep` it stays for later when that may help."""
        if not self.batch:
            return
        handler = self.handler
        dropped = handler.dropped()
        try:
            send(
                to=handler.to,
                from_=handler.from_,
                subject=self.title(),
                text=self.text(dropped),
                headers={"Auto-Submitted": "auto-generated"},
                config=handler.config,
                keep=keep,
            )
        except ssmtp.Failure as failure:
            complain(f"log records not mailed: {failure.whole_sentence()}")
            if failure.when != "never" and not keep:
                handler._dropped += dropped
                self.due = time.monotonic() + self.pause
                self.pause = min(self.pause * 2, PAUSE_LONGEST)
                return
        except Exception as error:  # a mistake in `to`, for one: nothing can be sent
            complain(f"log records not mailed: {type(error).__name__}: {error}")
        self.batch.clear()
        self.pause = PAUSE_FIRST

    def title(self) -> str:
        """Return the subject: the first record in one line, and how many more."""
        first = " ".join(self.batch[0].split("\n", 1)[0].split())
        words = "".join(c if c.isprintable() else "?" for c in first)[:SUBJECT_MOST]
        more = f" (and {len(self.batch) - 1} more)" if len(self.batch) > 1 else ""
        return f"{self.handler.subject} {words}{more}".strip()

    def text(self, dropped: int) -> str:
        """Return the records, and how many there was no room for."""
        texts = list(self.batch)
        if dropped:
            texts.append(f"{dropped} more records found no room here.")
        return "\n".join(texts) + "\n"


def complain(text: str) -> None:
    """Say on standard error what logging cannot say, as logging itself does."""
    if logging.raiseExceptions and sys.stderr is not None:
        try:
            print(f"ssmtp: {text}", file=sys.stderr)
        except (OSError, ValueError):
            pass
