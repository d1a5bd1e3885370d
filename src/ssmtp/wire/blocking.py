"""The driver of the command line: one thread that waits in poll(2)."""

from __future__ import annotations

import select
import time

from ssmtp.wire.wait import Lookup, Wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any, TypeVar

    T = TypeVar("T")


def run(task: Generator[Any, Any, T]) -> T:
    """Drive a generator of the wire to its end and return its value."""
    answer: Any = None
    interrupt: BaseException | None = None
    while True:
        try:
            if interrupt is not None:
                # A signal handler raised. The dialogue knows what that means now.
                request = task.throw(interrupt)
                interrupt = None
            else:
                request = task.send(answer)
        except StopIteration as end:
            value: T = end.value
            return value
        try:
            if isinstance(request, Wait):
                answer = wait(request)
            else:
                answer = lookup(request)
        except BaseException as error:
            interrupt = error


def wait(request: Wait) -> set[int]:
    """Wait for descriptors; return those that are ready."""
    poll = select.poll()
    for fd, events in request.wanted.items():
        poll.register(fd, events)
    while True:
        left = request.deadline - time.monotonic()
        # A millisecond more, because poll(2) rounds down.
        ready = poll.poll(max(0, int(left * 1000) + 1) if left > 0 else 0)
        if ready or left <= 0:
            return {fd for fd, _ in ready}


def lookup(request: Lookup) -> list[Any] | OSError:
    """Resolve a name on a thread of its own, for the resolver knows no deadline.

    The thread is left behind when it is late; it ends with the process.
    """
    import _thread

    answers: list[list[Any] | OSError] = []
    done = _thread.allocate_lock()
    done.acquire()

    def work() -> None:
        try:
            answers.append(getaddrinfo(request))
        finally:
            done.release()

    try:
        _thread.start_new_thread(work, ())
    except RuntimeError:  # no threads to be had: then without a deadline
        return getaddrinfo(request)
    done.acquire(timeout=max(0.0, request.deadline - time.monotonic()))
    return answers[0] if answers else TimeoutError("the name server does not answer")


def getaddrinfo(request: Lookup) -> list[Any] | OSError:
    """Call getaddrinfo(3) and return what it returns or raises."""
    import _socket

    try:
        # As octets, because text would go through the codec for IDNA first.
        return _socket.getaddrinfo(
            request.host, request.port, request.family, _socket.SOCK_STREAM
        )
    except OSError as error:
        return error
