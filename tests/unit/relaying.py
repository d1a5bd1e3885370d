"""A mailhub in memory that takes message after message, and knows what it took.

`Hub` parses what the client says as a real one does. It can be told to misbehave, and
to be lazy: then an answer leaves only when the client waits for one, so that nothing
that is too much is seen before its time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from ssmtp import address
from ssmtp.body import Body
from ssmtp.envelope import Envelope
from ssmtp.message import Message
from ssmtp.smtp.outcomes import Result
from ssmtp.smtp.relay import Opening, Relay
from ssmtp.smtp.reply import Garbled, Inbox
from ssmtp.smtp.session import Facts
from ssmtp.smtp.steps import Again, Await, Broken, Flight
from tests.listener import Listener
from tests.throwing import throw

PIPELINING = ("PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SMTPUTF8", "DSN")
CHUNKING = (*PIPELINING, "CHUNKING")

Tamper = Callable[[int, str, bytes], "list[bytes | None]"]


class Content:
    """Content as the dialogue knows it; its number stands in the body."""

    def __init__(self, number: int, size: int = 0) -> None:
        self.header = b"Subject: relay\r\n\r\n"
        self.body = b"message %d\r\n.\r\n" % number + b"x\r\n" * (size // 3)
        self.size = len(self.header) + len(self.body)
        self.eightbit = False

    def blocks(self) -> Iterator[bytes]:
        yield self.header
        yield self.body


class Numbered(Message):
    """A message as the dialogue knows it."""

    def __init__(self, number: int, size: int = 0, utf8: bool = False) -> None:
        super().__init__([], Body(), f"<{number}@relay.test>", [])
        self._content = Content(number, size)
        self._utf8 = utf8

    @property
    def needs_smtputf8(self) -> bool:
        return self._utf8

    def render(self, smtputf8: bool, eightbitmime: bool) -> Any:
        return self._content


class Hub(Listener):
    """One connection to a mailhub. `took` has (message, recipient) for all it accepted.

    `answers` overrides texts: by verb, by verb and number of the message (`RCPT/2`), or
    by recipient (`r1@example.net`). `tamper` is given the number, verb and octets of an
    answer and returns the pieces to send; None closes the connection.
    """

    def __init__(
        self,
        offers: tuple[str, ...] = CHUNKING,
        answers: dict[str, str] | None = None,
        tamper: Tamper | None = None,
        *,
        lazy: bool = False,
        statuses: bool = True,
    ) -> None:
        super().__init__()
        self.offers = offers
        self.answers = answers or {}
        self.tamper = tamper
        self.lazy = lazy
        self.statuses = statuses
        self.said: list[str] = []
        self.flights: list[list[str]] = []
        self.took: list[tuple[int, str]] = []
        self.pieces: list[bytes | None] = []
        self.ended = False
        self.count = self.messages = 0
        self.rcpts: list[str] | None = None
        self.answer("GREETING", "220 hub.test")

    def answer(self, verb: str, default: str, *keys: str) -> str:
        for key in (*keys, f"{verb}/{self.messages}", verb):
            if key in self.answers:
                default = self.answers[key]
                break
        text = default
        if not self.statuses:
            words = text.split(" ", 2)
            text = " ".join(w for w in words if w.count(".") != 2)
        octets = text.encode() + b"\r\n"
        pieces: list[bytes | None] = [octets]
        if self.tamper is not None:
            pieces = self.tamper(self.count, verb, octets)
        self.count += 1
        self.pieces += pieces
        if None in pieces or default[:3] == "421":
            self.closed = True
        return default

    def give(self, *, waiting: bool) -> bytes:
        """Return the octets that have arrived; what a lazy one has, one by one."""
        given = b""
        while self.pieces:
            if self.pieces[0] is None:
                self.ended = self.ended or waiting or not self.lazy
                break
            if self.lazy and not waiting:
                break
            piece = self.pieces.pop(0)
            given += piece or b""
            if self.lazy:
                break
        if not self.pieces and self.closed and (waiting or not self.lazy):
            self.ended = True
        return given

    def heard_line(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        self.said.append(text)
        verb = text.partition(" ")[0]
        if verb == "EHLO":
            rows = ["hub.test", *self.offers]
            lines = [f"250-{row}" for row in rows[:-1]] + [f"250 {rows[-1]}"]
            self.answer(verb, "\r\n".join(lines))
        elif verb == "MAIL":
            self.messages += 1
            good = self.answer(verb, "250 2.1.0 ok")[0] == "2"
            self.rcpts = [] if good else None
        elif verb == "RCPT":
            name = text.partition("<")[2].partition(">")[0]
            if self.rcpts is None:
                self.answer("-", "503 5.5.1 MAIL first")
            elif self.answer(verb, "250 2.1.5 ok", name)[0] == "2":
                self.rcpts.append(name)
        elif verb == "DATA":
            if self.rcpts:
                self.reading = self.answer(verb, "354 go")[:3] == "354"
            else:
                self.answer("-", self.answers.get("DATA!", "554 5.5.1 no recipients"))
                self.reading = self.answers.get("DATA!", "")[:3] == "354"
        elif verb == "BDAT":
            self.need = int(text.split()[1])
        elif verb == "RSET":
            self.rcpts = None
            self.answer(verb, "250 2.0.0 flushed")
        elif verb == "QUIT":
            self.answer(verb, "221 2.0.0 bye")
            self.closed = True
        else:
            self.answer(verb, "500 5.5.1 what?")

    def heard_content(self, content: bytes) -> None:
        if not self.rcpts:
            self.answer("-", "503 5.5.1 no valid recipients")
            return
        number = int(content.partition(b"message ")[2].split()[0])
        reply = f"250 2.0.0 queued as Q{number}X"
        if self.answer("CONTENT", reply)[0] == "2":
            self.took += [(number, name) for name in self.rcpts]
        self.rcpts = None


class Warm:
    """A connection that is kept: a hub, what came from it, and the relay over it."""

    def __init__(self, hub: Hub, **more: Any) -> None:
        self.hub = hub
        self.inbox = Inbox()
        # What happens instead of writing the content; returns whether it was written.
        self.hurdle: Callable[[Flight], bool] | None = None
        nobody = Envelope(None, [])
        facts = Facts("hub.test:25", "client.test", "none", nobody, Numbered(0), **more)
        self.relay: Relay = self.perform(Opening(facts))

    def send(
        self, number: int, count: int = 1, *, size: int = 0, last: bool = False
    ) -> Result:
        """Submit a message to r0, r1 … and return what became of it."""
        message = Numbered(number, size)
        result: Result = self.perform(
            self.relay.give(envelope(count), message, last=last)
        )
        return result

    def perform(self, dialogue: Any) -> Any:
        """Do what a dialogue says, as `ssmtp.wire.channel` does."""
        talk = dialogue.converse()
        answer: Any = None
        trouble: Exception | None = None
        while True:
            try:
                step = throw(talk, trouble) if trouble else talk.send(answer)
            except StopIteration as end:
                return end.value
            trouble = None
            try:
                if isinstance(step, Flight):
                    answer = self._fly(step)
                elif isinstance(step, Await):
                    answer = self._await()
            except Garbled as garbled:
                trouble = Broken("said nonsense", garbled=garbled.first or b"?")
            except Broken as broken:
                trouble = broken

    def _fly(self, flight: Flight) -> bool:
        hub = self.hub
        self.inbox.feed(hub.give(waiting=False))
        if not self.inbox.empty:
            first = self.inbox.take()
            raise Broken("spoke before it was asked", answer=first, garbled=b"")
        if hub.ended:
            raise Broken("closed the connection")
        if flight.content is not None and self.hurdle is not None:
            return self.hurdle(flight)
        data = flight.head + b"".join(flight.content or ()) + flight.tail
        flight.committed = flight.content is not None
        before = len(hub.said)
        hub.hear(data)
        hub.flights.append([line.split()[0] for line in hub.said[before:]])
        return True

    def _await(self) -> Any:
        for _ in range(1000):
            reply = self.inbox.take()
            if reply is not None:
                return reply
            data = self.hub.give(waiting=True)
            if not data:
                break
            self.inbox.feed(data)
        if self.hub.ended:
            raise Broken("closed the connection")
        raise Broken("took longer than 300 s", late=True)


def envelope(count: int = 1, **more: Any) -> Envelope:
    """Return an envelope to r0@example.net, r1@example.net …"""
    names = [address.make(f"r{i}", "example.net", "to") for i in range(count)]
    return Envelope(address.make("s", "example.org", "-f"), names, **more)


def states(result: Result) -> list[str]:
    """Return what became of each recipient, in order."""
    assert [outcome.number for outcome in result.outcomes] == list(
        range(len(result.outcomes))
    )
    return [outcome.state for outcome in result.outcomes]


LIES: tuple[Callable[[random.Random, bytes], list[bytes | None]], ...] = (
    lambda r, o: [b"250 ok\r\n", o],
    lambda r, o: [o, b"250 ok\r\n"],
    lambda r, o: [b"250 2.1.5 ok\r\n", o],
    lambda r, o: [b"250 2.0.0 ok\r\n", o],
    lambda r, o: [o, o],
    lambda r, o: [b"550 5.1.1 no\r\n", o],
    lambda r, o: [b"451 4.3.0 later\r\n", o],
    lambda r, o: [b"354 go\r\n", o],
    lambda r, o: [o, b"354 go\r\n"],
    lambda r, o: [b"421 4.3.2 away\r\n", None],
    lambda r, o: [o, b"421 4.3.2 away\r\n", None],
    lambda r, o: [None],
    lambda r, o: [o, None],
    lambda r, o: [b"250 ok\r\n", None],
    lambda r, o: [b"250 2.0.0 ok\r\n", None],
    lambda r, o: [o[: r.randrange(len(o))], None],
    lambda r, o: [b"250-" + o[4:], None],
    lambda r, o: [b"250-one\r\n", o],
    lambda r, o: [r.randbytes(r.randrange(1, 40)), o],
    lambda r, o: [o, r.randbytes(r.randrange(1, 40))],
    lambda r, o: [b""],
    lambda r, o: [b"%d what\r\n" % r.randrange(300, 600)],
)


def attempts_again(warm: Warm, number: int, count: int) -> Result | None:
    """Submit a message; None when a new connection is wanted."""
    try:
        return warm.send(number, count)
    except Again:
        return None
