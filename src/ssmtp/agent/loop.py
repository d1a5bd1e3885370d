"""Drives the generators of `wire` and the sender's own: many conversations, one thread.

Whatever synchronises is done by other threads, which hand the answer back by `post`,
but for the end of a message that `Queue.claim` finds to be over.
What only writes (appending a line, removing a name) is done here, though it may have to
wait while the file system commits something: each step that goes to another thread and
back has both fight for the interpreter, at every system call of the other one. In
`make bench ARGS=queue`, with two processors, 3,000 messages left at 2,120, 2,510 and
2,510 a second when those steps had threads, and at 4,950 and 5,140 without.

Time is CLOCK_BOOTTIME, which goes on while the machine sleeps. A conversation that
overslept its deadline is told that the connection is broken; poll(2) does not count
the sleep, so no wait is longer than a minute.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

from ssmtp.smtp.steps import Broken
from ssmtp.wire.blocking import getaddrinfo
from ssmtp.wire.wait import READ, Lookup, Wait

LONGEST_WAIT = 60.0
# So many seconds of sleep are forgiven a conversation.
GRACE = 5.0

Talk = Generator[Any, Any, Any]
Resume = Callable[[Any, "BaseException | None"], None]


def boottime() -> float:
    """Return seconds that never jump, and that count while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Idle:
    """Ask to be woken: by `Loop.wake`, when `fd` is readable, or at `until` (boottime).

    Answered with what `wake` was given, with READABLE, or with LATE.
    """

    __slots__ = ("fd", "until")

    def __init__(self, until: float, fd: int = -1) -> None:
        self.until = until
        self.fd = fd


READABLE = "readable"
LATE = "late"


class Elsewhere:
    """Ask for something that is answered later, mostly by another thread.

    `begin` is called with a function that any thread may call with the answer, or with
    the error that is to be raised.
    """

    __slots__ = ("begin",)

    def __init__(self, begin: Callable[[Resume], None]) -> None:
        self.begin = begin


def call(work: Callable[[], Any]) -> Elsewhere:
    """Return the request to have something done by a thread of its own."""

    def begin(resume: Resume) -> None:
        threading.Thread(target=answer, args=(work, resume), daemon=True).start()

    return Elsewhere(begin)


def answer(work: Callable[[], Any], resume: Resume) -> None:
    """Do something, and resume who asked for it with what came of it."""
    try:
        value = work()
    except BaseException as error:
        resume(None, error)
    else:
        resume(value, None)


class Task:
    """A conversation on its way. `ended` is called with its value, or its error."""

    __slots__ = ("ended", "fds", "request", "talk", "turn", "until")

    def __init__(self, talk: Talk, ended: Callable[[Any, Any], None]) -> None:
        self.talk = talk
        self.ended = ended
        self.fds: list[int] = []
        self.request: Any = None
        self.until = 0.0
        self.turn = 0  # how often it was resumed: late answers are for nobody


class Loop:
    """The conversations of one thread. Others may call `post`, and nothing else."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._by_fd: dict[int, Task] = {}
        self._waiting: set[Task] = set()
        self._ready: deque[tuple[Task, Any, BaseException | None]] = deque()
        self._posted: deque[Callable[[], None]] = deque()
        self._awake = False  # whether `post` has said so since the last turn
        self._woken, self.waker = os.pipe()
        for fd in (self._woken, self.waker):
            os.set_blocking(fd, False)
        self._poll.register(self._woken, READ)

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self._woken)
        os.close(self.waker)

    def start(self, talk: Talk, ended: Callable[[Any, Any], None]) -> Task:
        """Begin a conversation within this turn, or the next."""
        task = Task(talk, ended)
        self._ready.append((task, None, None))
        return task

    def wake(self, task: Task, value: Any = None) -> None:
        """Resume a conversation that is idle."""
        if isinstance(task.request, Idle):
            self._resume(task, value)

    def interrupt(self, task: Task, error: BaseException) -> None:
        """Raise an error where a conversation waits for its connection, or is idle."""
        if isinstance(task.request, (Wait, Idle)):
            self._resume(task, None, error)

    def post(self, work: Callable[[], None]) -> None:
        """Have something done by the thread of the loop."""
        self._posted.append(work)
        if self._awake:
            return
        self._awake = True
        try:
            os.write(self.waker, b"!")
        except OSError:
            pass  # full: it is awake

    def turn(self, until: float) -> None:
        """Wait until something can go on, but not beyond `until`; and go on with it."""
        now = boottime()
        until = min((until, *(task.until for task in self._waiting)))
        seconds = max(0.0, min(until - now, LONGEST_WAIT))
        if self._ready or self._posted:
            seconds = 0.0
        # A millisecond more, because poll(2) rounds down.
        ready = self._poll.poll(int(seconds * 1000) + 1 if seconds else 0)
        for fd, _ in ready:
            if fd == self._woken:
                self._drain()
                continue
            found = self._by_fd.get(fd)
            if found is not None:
                idle = isinstance(found.request, Idle)
                self._resume(found, READABLE if idle else {fd})
        if boottime() >= until:
            self._expire()
        while self._posted:
            self._posted.popleft()()
        self._run()

    def _drain(self) -> None:
        try:
            while len(os.read(self._woken, 4096)) == 4096:
                pass
        except OSError:
            pass
        # Only now, and before what was posted is looked at: else a word that comes in
        # between would be read here, and nobody would say the next one.
        self._awake = False

    def _run(self) -> None:
        while self._ready:
            task, value, error = self._ready.popleft()
            try:
                if error is not None:
                    request = task.talk.throw(error)
                else:
                    request = task.talk.send(value)
            except StopIteration as end:
                task.ended(end.value, None)
            except Exception as failure:
                task.ended(None, failure)
            else:
                self._arrange(task, request)

    def _arrange(self, task: Task, request: Any) -> None:
        """Do what a conversation asks for."""
        task.request = request
        task.turn += 1
        if isinstance(request, Wait):
            for fd, events in request.wanted.items():
                self._watch(task, fd, events)
            task.until = boottime() + request.deadline - time.monotonic()
            self._waiting.add(task)
        elif isinstance(request, Idle):
            if request.fd >= 0:
                self._watch(task, request.fd, READ)
            task.until = request.until
            self._waiting.add(task)
        elif isinstance(request, Lookup):
            task.until = boottime() + request.deadline - time.monotonic()
            self._waiting.add(task)
            call(lambda: getaddrinfo(request)).begin(self._resumer(task))
        else:
            request.begin(self._resumer(task))

    def _resumer(self, task: Task) -> Resume:
        turn = task.turn

        def resume(value: Any, error: BaseException | None) -> None:
            def now() -> None:
                if task.turn == turn and task.request is not None:
                    self._resume(task, value, error)

            self.post(now)

        return resume

    def _watch(self, task: Task, fd: int, events: int) -> None:
        self._poll.register(fd, events)
        self._by_fd[fd] = task
        task.fds.append(fd)

    def _resume(
        self, task: Task, value: Any, error: BaseException | None = None
    ) -> None:
        if task.request is None:
            return  # several of its descriptors were ready
        for fd in task.fds:
            self._poll.unregister(fd)
            del self._by_fd[fd]
        task.fds.clear()
        task.request = None
        self._waiting.discard(task)
        self._ready.append((task, value, error))

    def _expire(self) -> None:
        now = boottime()
        for task in [task for task in self._waiting if task.until <= now]:
            request = task.request
            if isinstance(request, Idle):
                self._resume(task, LATE)
                continue
            if isinstance(request, Lookup):
                self._resume(task, TimeoutError("the name server does not answer"))
                continue
            left = request.deadline - time.monotonic()
            if left <= 0:
                self._resume(task, set())
            elif now - task.until < GRACE:
                task.until = now + left
            else:
                late = Broken("was left alone while this machine slept", late=True)
                self._resume(task, None, late)
