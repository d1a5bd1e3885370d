"""Where a process of the acceptor holds its sessions while nothing takes its time.

One thread says what is mostly to be said: it takes small messages whose user is known,
and puts all that came meanwhile into the queue together. Each thread that works fights
with the others for the interpreter, at every system call, and each message that is made
durable by itself has the disk finish what it does: so this takes about half as long as
a thread for each connection.

Whatever may take its time, and whatever goes wrong, is left to a thread of its own,
which begins again with the message or command, and has the session to its end: `Desk`
alone knows how a message is refused. Only the disk is waited for here, by all together.
While it does not answer, who comes anew gets a thread, too (`stuck`).
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from ssmtp import journal
from ssmtp.accounts import Caller
from ssmtp.agent import forks
from ssmtp.agent.desk import RESTARTED, Desk, Ready
from ssmtp.agent.hall import Hall
from ssmtp.errors import bug
from ssmtp.smtp.events import (
    Abandoned,
    Begin,
    Content,
    End,
    Event,
    Recipient,
    Sender,
)
from ssmtp.smtp.rules import Rules
from ssmtp.spool.commit import NewFile
from ssmtp.spool.queue import not_queued

PIECE = 1 << 14  # octets that one client may say before the next is heard
SMALL = 1 << 16  # octets of a message; a larger one gets a thread
FEW = 100  # recipients of a message, likewise
TOGETHER = 64  # messages that are queued together at most
MOMENT = 1  # millisecond for which the disk waits for who is coming
RECENT = 0.005  # seconds since he was told to go on
LINGER = 0.005  # seconds at most until a message is queued: others are just coming
STUCK = 0.1  # seconds after which nobody more waits for the disk here

# Called with a session that needs a thread, and the event it is to begin with.
Aside = Callable[[Desk, "Event | None"], None]


class Waiting:
    """A message that lies in the queue once `file` has its name."""

    __slots__ = ("desk", "file", "octets", "ready")

    def __init__(self, desk: Desk, ready: Ready, octets: int, file: NewFile) -> None:
        self.desk = desk
        self.ready = ready
        self.octets = octets
        self.file = file


class Lobby:
    """The sessions of one thread; others may call `enter`, and ask how it is.

    `aside` is called for a session that needs a thread, `left` with the uid of one that
    has ended.
    """

    def __init__(
        self,
        hall: Hall,
        aside: Aside,
        left: Callable[[int], None],
        tell: Callable[[str], None],
    ) -> None:
        self.hall = hall
        self._aside = aside
        self._left = left
        self._tell = tell
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = False  # the agent ends
        self._ended = False  # nobody is here any more
        self._new: deque[Desk] = deque()
        self._desks: dict[int, Desk] = {}
        self._messages: list[Waiting] = []
        # Whose message waits for the disk; whether they have said more meanwhile.
        self._waiting: dict[int, bool] = {}
        self._since: float | None = None  # when this turn began
        self._renewed = False  # whether the configuration was looked at in this turn
        self._next = 0.0  # when somebody will have taken too long
        self._poll = select.poll()
        self._woken = self._waker = -1

    def __len__(self) -> int:
        """Return how many are here."""
        return len(self._new) + len(self._desks)

    @property
    def stuck(self) -> bool:
        """Whether this turn takes too long: the disk does not answer, as a rule."""
        since = self._since
        return since is not None and time.monotonic() - since > STUCK

    def enter(self, sock: socket.socket, rules: Rules, caller: Caller) -> bool:
        """Hold a session here; False when this cannot be done."""
        with self._lock:
            if self._ended or self.stuck or not self._begun():
                return False
            self._new.append(Desk(self.hall, sock, rules, caller))
            try:
                os.write(self._waker, b"!")
            except BlockingIOError:
                pass  # it is awake
            except OSError:
                self._new.pop()
                return False
        return True

    def join(self, seconds: float) -> None:
        """Wait until all have left, once the hall is closed."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _begun(self) -> bool:
        """Begin, when the first one comes: no thread survives a fork."""
        if self._thread is None:
            try:
                self._woken, self._waker = os.pipe()
            except OSError:
                return False
            for fd in (self._woken, self._waker):
                os.set_blocking(fd, False)
            for fd in (self._woken, self.hall.closing):
                self._poll.register(fd, select.POLLIN)
            thread = threading.Thread(target=self._run, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads
                os.close(self._woken)
                os.close(self._waker)
                self._poll = select.poll()
                return False
            self._thread = thread
        return True

    def _run(self) -> None:
        try:
            while not self._closing:
                self._turn()
        except Exception as error:  # a mistake of ours costs no session
            self._tell(bug(error).what)
        for message in self._messages:  # begun, and begun again by a thread
            self.hall.queue.abandon(message.file)
        self._places_gone(self._messages)
        with self._lock:
            self._ended = True  # nobody comes any more
            self._welcome()
        for desk in list(self._desks.values()):
            self._guarded(desk, self._farewell)
        os.close(self._woken)
        os.close(self._waker)

    def _farewell(self, desk: Desk) -> None:
        if self._closing and desk.session.transaction is None:
            self._dismiss(desk, RESTARTED)
        else:
            self._give_away(desk, None)

    def _guarded(self, desk: Desk, what: Callable[[Desk], None]) -> None:
        """Do something with a session; a mistake of ours ends no other."""
        try:
            what(desk)
        except Exception as error:
            self._tell(bug(error).what)
            if self._desks.get(desk.stdin) is desk:
                self._end(desk)

    def _turn(self) -> None:
        try:
            self._hear()
        except OSError as error:
            if error.errno not in forks.SHORT:
                raise
            time.sleep(forks.BREATH)
        self._queue()

    # Clients

    def _hear(self) -> None:
        """Wait for clients, and hear all who say something, until nobody does."""
        self._since = None
        ready = self._poll.poll(self._patience())
        self._since = now = time.monotonic()
        until = now + LINGER
        self._renewed = False
        while ready:
            for fd, _ in ready:
                if fd == self._woken:
                    self._welcome()
                elif fd == self.hall.closing:
                    self._closing = True
                elif fd in self._desks:  # else it has left within this turn
                    self._guarded(self._desks[fd], self._step)
            if len(self._messages) >= TOGETHER or time.monotonic() > until:
                break
            ready = self._more() if not self._closing else []
        if now >= self._next:
            self._expire(now)

    def _more(self) -> list[tuple[int, int]]:
        """Return who says something just now, or in a moment."""
        ready = self._poll.poll(0)
        if not ready and self._messages and self._is_coming():
            ready = self._poll.poll(MOMENT)
        return ready

    def _is_coming(self) -> bool:
        """Whether somebody was just told to go on with a message."""
        since = time.monotonic() - RECENT
        return any(
            desk.said > since
            and desk.session.transaction is not None
            and fd not in self._waiting
            for fd, desk in self._desks.items()
        )

    def _patience(self) -> float | None:
        """Return the milliseconds after which somebody has taken too long."""
        if self._messages:
            return 0
        if not self._desks:
            return None
        now = time.monotonic()
        self._next = min(desk.deadline(desk.heard) for desk in self._desks.values())
        return max(0.0, self._next - now) * 1000 + 1

    def _expire(self, now: float) -> None:
        for fd, desk in list(self._desks.items()):
            if desk.deadline(desk.heard) <= now and fd not in self._waiting:
                self._dismiss(desk, "you took too long")

    def _welcome(self) -> None:
        try:
            os.read(self._woken, 4096)
        except BlockingIOError:
            pass
        while self._new:
            desk = self._new.popleft()
            self._desks[desk.stdin] = desk
            self._poll.register(desk.stdin, select.POLLIN)
            self._guarded(desk, self._go_on)

    def _step(self, desk: Desk) -> None:
        """Hear what a client says next."""
        if desk.stdin in self._waiting:
            # It has its answer first; until then it is heard no more.
            self._poll.unregister(desk.stdin)
            self._waiting[desk.stdin] = True
            return
        try:
            data = desk.sock.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            self._end(desk)
            return
        desk.heard = time.monotonic()
        desk.session.receive(data)
        self._go_on(desk)

    def _go_on(self, desk: Desk) -> None:
        """Do what a client has said, as far as that takes no time."""
        if self._advance(desk) and self._tell_all(desk) and desk.session.closed:
            self._end(desk)

    def _advance(self, desk: Desk) -> bool:
        """Take what has come; False when others go on with the session."""
        session = desk.session
        while (event := session.next_event()) is not None:
            if isinstance(event, Content):
                assert desk.held is not None
                desk.held.append(event.block)
                desk.size += len(event.block)
                if desk.size > SMALL:
                    return self._give_away(desk, None)
            elif isinstance(event, Sender):
                if desk.check(event.path) and not self.hall.admits(
                    *desk.coming(event.path)
                ):
                    return self._give_away(desk, event)
            elif isinstance(event, Recipient):
                assert session.transaction is not None
                if len(session.transaction.recipients) >= FEW:
                    return self._give_away(desk, event)
                desk.check(event.path, True)
            elif isinstance(event, Begin):
                desk.held, desk.size = [], 0
                desk.complete = False
            elif isinstance(event, End):
                desk.complete = True
                if self._take(desk):
                    return False
                return self._give_away(desk, None)
            elif isinstance(event, Abandoned):
                desk.held = None
            else:
                return self._give_away(desk, event)
        return True

    def _tell_all(self, desk: Desk) -> bool:
        """Say what there is to say; False when the client does not listen."""
        data = desk.session.output()
        if not data:
            return True
        try:
            sent = desk.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._end(desk)
            return False
        desk.said = time.monotonic()
        if sent < len(data):
            desk.unsaid = data[sent:]
            return self._give_away(desk, None)
        return True

    def _dismiss(self, desk: Desk, words: str) -> None:
        """Have a client leave, with these words."""
        desk.session.shut_down(words)
        try:
            desk.sock.send(desk.session.output())
        except OSError:
            pass
        self._end(desk)

    def _end(self, desk: Desk) -> None:
        self._forget(desk)
        # Before the client sees the end: the next connection may be its own.
        self._left(desk.caller.uid)
        desk.sock.close()

    def _give_away(self, desk: Desk, event: Event | None) -> bool:
        """Have a thread go on with a session; return that nobody here does."""
        desk.unsaid += desk.session.output()
        self._forget(desk)
        self._aside(desk, event)
        return False

    def _forget(self, desk: Desk) -> None:
        self._poll.unregister(desk.stdin)
        del self._desks[desk.stdin]

    # Messages

    def _take(self, desk: Desk) -> bool:
        """Begin to queue a message; False when that is not done here."""
        if not self._renewed:  # once in a turn
            self.hall.renew()
            self._renewed = True
        account = self.hall.known_account(desk.caller)
        if account is None or desk.wants("XWAIT"):
            return False
        uid = desk.caller.uid
        try:
            ready = desk.ready(account)
            octets = ready.octets
            if not self.hall.keeps(uid, octets):
                return False
        except Exception:  # the thread comes across it again
            return False
        try:
            file = self.hall.queue.begin(ready.draft, ready.content.blocks())
        except Exception:
            self.hall.gone([(uid, octets)])
            return False
        self._messages.append(Waiting(desk, ready, octets, file))
        self._waiting[desk.stdin] = False
        return True

    def _places_gone(self, messages: list[Waiting]) -> None:
        self.hall.gone([(one.desk.caller.uid, one.octets) for one in messages])

    def _queue(self) -> None:
        """Put into the queue what has come, and answer."""
        messages, self._messages = self._messages, []
        if not messages:
            return
        files = [one.file for one in messages]
        try:
            self.hall.queue.publish(files)
        except Exception as error:
            for one in messages:
                one.desk.trouble = bug(error)
        for one in messages:
            if one.file.error is not None:
                one.desk.trouble = not_queued(one.file.error)
            elif one.desk.trouble is None:
                one.desk.held = None  # whatever comes, it is queued once
        self._places_gone(messages)
        self._log([one for one in messages if one.desk.trouble is None])
        for one in messages:
            self._guarded(one.desk, partial(self._answer, one))

    def _log(self, messages: list[Waiting]) -> None:
        pages = journal.Pages()
        try:
            for one in messages:
                page = pages.of(one.ready.account.config.log_file)
                one.desk.log(one.file.name, one.ready, page)
            pages.write()
        except Exception as error:  # they are queued, and that is what must be said
            self._tell(bug(error).what)

    def _answer(self, message: Waiting, desk: Desk) -> None:
        file = message.file
        if self._waiting.pop(desk.stdin):
            self._poll.register(desk.stdin, select.POLLIN)
        message.ready.taken.body.close()
        if desk.trouble is not None:
            self._give_away(desk, None)
            return
        desk.session.answer(250, "2.0.0", desk.queued(file.name))
        # Before anything else that was said already: it may wait for the disk, too.
        if self._tell_all(desk) and not self._closing:
            self._go_on(desk)
