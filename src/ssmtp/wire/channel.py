"""One connection to a mailhub: octets out, replies in, TLS in between.

`converse` does what a dialogue's steps say. Sockets never block, and TLS is a filter
between two memory buffers (`ssl.SSLObject`), so that the same code serves both drivers
and every wait has a deadline.

Two watches are kept, whatever is being done:

- before a flight, nothing may be unread, in our buffer or in the kernel's;
- while content is being written, whatever comes in is looked at. A refusal or a closed
  connection ends the writing, instead of being found behind 100 MB or an EPIPE. When a
  write fails, what the mailhub said before it hung up is read first.
"""

from __future__ import annotations

import _socket
import errno
import select
import time

from ssmtp.errors import Bug, Failure, Interrupted, SystemTrouble
from ssmtp.smtp.phases import AUTH
from ssmtp.smtp.reply import LINE_KEPT, REPLY_MOST, Garbled, Inbox, Reply
from ssmtp.smtp.steps import Await, Broken, Flight
from ssmtp.wire.wait import READ, WRITE, Wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable, Generator, Iterator
    from typing import Any, Protocol

    from ssmtp.smtp.phases import Clocks
    from ssmtp.smtp.steps import Secured, StartTls
    from ssmtp.trace import Trace
    from ssmtp.wire.cipher import Cipher

    Task = Generator[Any, Any, Any]

    class Conversation(Protocol):
        """What yields the steps of `ssmtp.smtp.steps`."""

        def converse(self) -> Task: ...


BLOCK = 65536
PIECE = 2 * BLOCK  # octets in one write, so that small content goes in one
# More than this unread while we write is no longer a conversation; answers to what is
# being written come on top of it, of so many octets in the mean.
FLOOD = 1 << 20
ANSWER = 1024
TCP_QUICKACK = getattr(_socket, "TCP_QUICKACK", None)  # Linux has it


class Channel:
    """A connected socket, and what is known about its other end.

    `early` are octets that came before the conversation (behind a proxy's answer).
    """

    __slots__ = (
        "_cipher",
        "_ended",
        "_hide",
        "_inbox",
        "_poll",
        "_ready",
        "_sock",
        "clocks",
        "start",
        "trace",
    )

    def __init__(
        self,
        sock: socket,
        clocks: Clocks,
        trace: Trace | None = None,
        early: bytes = b"",
    ) -> None:
        self._sock = sock
        self._poll = select.poll()
        self._poll.register(sock.fileno(), READ)
        self.clocks = clocks
        self.trace = trace
        self._inbox = Inbox()
        self._inbox.feed(early)
        self._ready: list[Reply | Broken] = []
        self._ended: Broken | None = None
        self._hide: tuple[str, ...] = ()
        self._cipher: Cipher | None = None
        self.start: Callable[[Channel, StartTls], Task] | None = None

    def close(self) -> None:
        """Close the connection, with TLS's word of farewell where it can be said."""
        if self._cipher is not None and self._ended is None:
            self._send_once(self._cipher.farewell())
        self._sock.close()

    def close_late(self) -> None:
        """Close it once the mailhub may have the message: no signal changes that."""
        try:
            self.close()
        except Interrupted:
            pass  # `Signals` remembers it

    def fileno(self) -> int:
        """Return the descriptor to wait for while nothing is said."""
        return self._sock.fileno()

    # -- the dialogue

    def converse(self, dialogue: Conversation) -> Task:
        """Do what the dialogue says until it ends; return what it returns."""
        talk = dialogue.converse()
        answer: Any = None
        trouble: BaseException | None = None
        while True:
            try:
                if trouble is not None:
                    step, trouble = talk.throw(trouble), None
                else:
                    step = talk.send(answer)
            except StopIteration as end:
                return end.value
            try:
                if isinstance(step, Await):
                    self._hide = step.hide
                    answer = self._heard()
                    if answer is None:
                        yield from self._listen(step)
                        answer = self._heard()
                elif isinstance(step, Flight):
                    answer = yield from self._fly(step)
                else:
                    answer = yield from self._secure(step)
            except (Broken, Failure, KeyboardInterrupt) as error:
                trouble = error

    def _fly(self, flight: Flight) -> Generator[Any, Any, bool]:
        """Write a flight; return False when its content was not written to the end."""
        # A secret that is said back must not escape by being cut in two.
        whole = flight.phase is AUTH or self._hide
        self._inbox.keep = REPLY_MOST if whole else LINE_KEPT
        self._in_step()
        if self.trace is not None:
            self.trace.sent(flight.shown)
        if flight.content is None:
            return (yield from self._write(flight.head + flight.tail, flight))
        written = 0
        pieces = _pieces(flight)
        while True:
            try:
                piece, last = next(pieces)
            except OSError as error:
                raise SystemTrouble(
                    f"the message cannot be read back: {error.strerror or error}"
                ) from error
            if written:
                self._pull()
                if self._stopped(flight):
                    return False
            flight.committed = last
            written += len(piece)
            going: bool = yield from self._write(piece, flight)
            if last or not going:
                return going

    def _in_step(self) -> None:
        """Raise `Broken` when anything is unread before a flight."""
        pending = self._pull()
        if not (pending or self._ready) and self._inbox.empty:
            return
        self._parse(1)
        if self._ready:
            first = self._ready[0]
            if isinstance(first, Broken):
                raise first
            first = first.without(self._hide)
            if self.trace is not None:
                self.trace.received(first)
            raise Broken("spoke before it was asked", answer=first)
        raise Broken("spoke before it was asked", garbled=self._inbox.start)

    def _stopped(self, flight: Flight) -> bool:
        """Whether something came that makes writing on senseless."""
        self._parse(flight.before + 1)
        return len(self._ready) > flight.before or any(
            isinstance(reply, Broken) or reply.code >= 400 for reply in self._ready
        )

    def _listen(self, step: Await) -> Task:
        """Wait for the next reply, or for the end."""
        seconds = self.clocks.of(step.phase)
        deadline = self._by(seconds)
        while not self._ready:
            changed = self._pull()
            while not changed:
                self._acknowledge()
                yield Wait({self._sock.fileno(): READ}, deadline)
                changed = self._take_in()
                # Records of TLS that mean nothing to us must not stop the clock.
                if not changed and time.monotonic() >= deadline:
                    raise Broken(f"took longer than {seconds:g} s", late=True)
            self._parse(1)

    def _heard(self) -> Reply | None:
        """Return the next reply as it may be seen, None when there is none yet."""
        first = self._ready.pop(0) if self._ready else self._next()
        if first is None:
            return None
        if isinstance(first, Broken):
            self._ready = [first]  # which is all that will ever be heard
            raise first
        if self._hide:
            first = first.without(self._hide)
        if self.trace is not None:
            self.trace.received(first)
        return first

    def _parse(self, count: int) -> None:
        """Have up to `count` replies ready, the last of which may be the end."""
        ready = self._ready
        while len(ready) < count:
            if ready and isinstance(ready[-1], Broken):
                return
            reply = self._next()
            if reply is None:
                return
            ready.append(reply)

    def _next(self) -> Reply | Broken | None:
        """Take a reply, or the end; None when there is neither yet."""
        try:
            return self._inbox.take() or self._ended
        except Garbled as garbled:
            words = f"said {garbled.why}"
            return Broken(words, garbled=garbled.first or b"?")

    # -- octets

    def _by(self, seconds: float) -> float:
        return time.monotonic() + seconds

    def _acknowledge(self) -> None:
        """Acknowledge at once what comes next, where the kernel lets us.

        A server without TCP_NODELAY (Postfix is one) holds its second small write back
        until the first is acknowledged, and that would take 40 ms: behind the tickets
        of TLS 1.3 comes the greeting. The kernel forgets this with what we send next.
        """
        if TCP_QUICKACK is None:
            return
        try:
            self._sock.setsockopt(_socket.IPPROTO_TCP, TCP_QUICKACK, 1)
        except OSError:  # not TCP
            pass

    def _pull(self) -> bool:
        """Take in what the kernel has, without waiting; True when anything changed."""
        if self._ended is not None:
            return True
        # To ask is cheaper than to be refused.
        return bool(self._poll.poll(0)) and self._take_in()

    def _take_in(self) -> bool:
        """Take in what the kernel has got, if it has; True when anything changed."""
        data = self._recv()
        if data is None:
            return False
        if self._cipher is not None:
            data, self._ended = self._cipher.decrypt(data, self._ended)
        self._inbox.feed(data)
        return bool(data) or self._ended is not None

    def _recv(self) -> bytes | None:
        try:
            data: bytes = self._sock.recv(BLOCK)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            self._ended = _lost(error)
            return b""
        if not data:
            self._ended = Broken("closed the connection")
        return data

    def _write(self, piece: bytes, flight: Flight) -> Generator[Any, Any, bool]:
        """Write octets. With content, False when the mailhub interrupts."""
        if self._cipher is not None:
            piece = self._cipher.encrypt(piece)
        rest = memoryview(piece)
        deadline = 0.0
        came = 0
        while rest:
            try:
                done = self._sock.send(rest)
            except (BlockingIOError, InterruptedError):
                done = 0
            except OSError as error:
                # What it said before it hung up counts for more (Postfix does so).
                self._linger()
                if self._ended is None:
                    self._ended = _lost(error)
                self._unsent(flight, rest, piece)
                return False
            if done:
                rest = rest[done:]
                deadline = 0.0
                continue
            # What is ready to be read, and means nothing, must not stop the clock.
            deadline = deadline or self._by(self.clocks.command)
            late = time.monotonic() >= deadline
            wait = Wait({self._sock.fileno(): READ | WRITE}, deadline)
            if late or not (yield wait):
                self._unsent(flight, rest, piece)
                raise Broken(f"took nothing for {self.clocks.command:g} s", late=True)
            before = len(self._inbox)
            self._pull()
            came += len(self._inbox) - before
            if flight.content is not None:
                if self._stopped(flight):
                    self._unsent(flight, rest, piece)
                    return False
            elif self._ended is not None or self._out_of_step(flight, came):
                return False
        return True

    def _out_of_step(self, flight: Flight, came: int) -> bool:
        """Whether what came while commands are written is no reply to them.

        Raises `Broken` when it is far more than they can be answered with.
        """
        asked = flight.head.count(b"\n")
        self._parse(asked)  # one by one, for behind many octets each would cost more
        if self._ready and isinstance(self._ready[-1], Broken):
            return True
        if len(self._inbox) > FLOOD or came > FLOOD + asked * ANSWER:
            raise Broken("said far more than it was asked")
        return False

    @staticmethod
    def _unsent(flight: Flight, rest: memoryview, piece: bytes) -> None:
        """Take back that the content was ended, if nothing of its last piece left."""
        if len(rest) == len(piece):
            flight.committed = False

    def _linger(self) -> None:
        """Take in all that came before the connection broke."""
        for _ in range(FLOOD // BLOCK):
            if self._ended is not None or not self._pull():
                return

    # -- TLS

    def _secure(self, step: StartTls) -> Generator[Any, Any, Secured]:
        if self.start is None:
            raise Bug("TLS is wanted, and nobody prepared it")
        # CVE-2011-0411: what came in clear must not be taken for what TLS protects.
        self._pull()
        if not self._inbox.empty and self._ended is None:
            self._plain()
        secured: Secured = yield from self.start(self, step)
        if self.trace is not None:
            self.trace.secured(secured)
        return secured

    def _plain(self) -> None:
        self._parse(1)
        words = "spoke in clear when TLS was to begin"
        first = self._ready[0] if self._ready else None
        if isinstance(first, Reply):
            raise Broken(words, answer=first)
        raise Broken(words, garbled=self._inbox.start or b"?")

    def handshake(self, cipher: Cipher, deadline: float) -> Generator[Any, Any, None]:
        """Set up TLS over what is connected.

        Raises `ssl.SSLError`, or `Broken` when the connection ends or it gets late.
        """
        done = False
        while not done:
            try:
                done = cipher.shake()
            finally:
                # An alert too, when it goes wrong.
                self._send_once(cipher.give())
            if not done:
                cipher.take((yield from self._raw(deadline)))
        self._cipher = cipher
        # What came behind the last octets of the handshake is decrypted now.
        data, self._ended = cipher.decrypt(b"", None)
        self._inbox.feed(data)

    def _raw(self, deadline: float) -> Generator[Any, Any, bytes]:
        while True:
            if time.monotonic() >= deadline:
                seconds = self.clocks.connect
                raise Broken(f"took longer than {seconds:g} s", late=True)
            data = self._recv()
            if data:
                return data
            if self._ended is not None:
                raise self._ended
            yield Wait({self._sock.fileno(): READ}, deadline)

    def _send_once(self, data: bytes) -> None:
        """Send a few octets, for which there is always room."""
        try:
            if data:
                self._sock.send(data)
        except OSError:
            pass


def _pieces(flight: Flight) -> Iterator[tuple[bytes, bool]]:
    """Yield what to write at once, of 128 KiB at most, and whether it is the last.

    The last piece ends the content; it is never written before all that precedes it.
    """
    held = flight.head
    for block in flight.content or ():
        if len(held) + len(block) > PIECE and held:
            yield held, False
            held = block
        else:
            held += block
    yield held + flight.tail, True


def _lost(error: OSError) -> Broken:
    if error.errno in (errno.ECONNRESET, errno.EPIPE):
        return Broken("broke the connection off")
    return Broken(f"is no longer reachable ({error.strerror or error})")
