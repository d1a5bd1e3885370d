"""The driver for asyncio: the same generators, awaited instead of polled."""

from __future__ import annotations

import asyncio
import threading
import time

from ssmtp.wire.blocking import getaddrinfo
from ssmtp.wire.wait import READ, WRITE, Lookup, Wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any, TypeVar

    T = TypeVar("T")


async def run(task: Generator[Any, Any, T]) -> T:
    """Drive a generator of the wire to its end and return its value.

    When the surrounding task is cancelled, the generator is closed, which closes its
    sockets.
    """
    answer: Any = None
    try:
        while True:
            try:
                request = task.send(answer)
            except StopIteration as end:
                value: T = end.value
                return value
            if isinstance(request, Wait):
                answer = await wait(request)
            else:
                answer = await lookup(request)
    finally:
        task.close()


async def wait(request: Wait) -> set[int]:
    """Wait for descriptors; return those that are ready."""
    loop = asyncio.get_running_loop()
    ready: set[int] = set()
    woken = asyncio.Event()

    def wake(fd: int) -> None:
        ready.add(fd)
        woken.set()

    for fd, events in request.wanted.items():
        if events & READ:
            loop.add_reader(fd, wake, fd)
        if events & WRITE:
            loop.add_writer(fd, wake, fd)
    try:
        left = max(0.0, request.deadline - time.monotonic())
        async with asyncio.timeout(left):
            await woken.wait()
    except TimeoutError:
        pass
    finally:
        for fd in request.wanted:
            loop.remove_reader(fd)
            loop.remove_writer(fd)
    return ready


async def lookup(request: Lookup) -> list[Any] | OSError:
    """Resolve a name on a thread of its own, for the resolver knows no deadline.

    The thread is left behind when it is late. One of the loop's executor would be
    waited for when the loop ends.
    """
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[list[Any] | OSError] = loop.create_future()

    def settle(answer: list[Any] | OSError) -> None:
        if not answered.done():
            answered.set_result(answer)

    def work() -> None:
        answer = getaddrinfo(request)
        try:
            loop.call_soon_threadsafe(settle, answer)
        except RuntimeError:  # the loop has ended
            pass

    try:
        threading.Thread(target=work, daemon=True).start()
    except RuntimeError:  # no threads to be had: then without a deadline
        return getaddrinfo(request)
    try:
        async with asyncio.timeout(max(0.0, request.deadline - time.monotonic())):
            return await answered
    except TimeoutError:
        return TimeoutError("the name server does not answer")
