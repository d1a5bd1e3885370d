"""A driver and a mailhub in memory: thousands of dialogues a second, no sockets.

`Stage` plays the mailhub. It parses what the client says as a real one does, keeps
state, knows what it truly accepted, and can be told to misbehave once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ssmtp import address
from ssmtp.envelope import Envelope
from ssmtp.receipt import Receipt
from ssmtp.smtp import phases
from ssmtp.smtp.dialogue import Dialogue
from ssmtp.smtp.reply import LINE_KEPT, REPLY_MOST, Garbled, Inbox
from ssmtp.smtp.session import Facts
from ssmtp.smtp.steps import Again, Await, Broken, Flight, Secured
from tests.listener import Listener
from tests.throwing import throw

HEADER = b"Subject: rehearsal\r\n\r\n"


class Content:
    """Content as the dialogue knows it."""

    def __init__(
        self, body: bytes = b"body\r\n.dot\r\n", eightbit: bool = False
    ) -> None:
        self.header, self.body, self.eightbit = HEADER, body, eightbit
        self.size = len(HEADER) + len(body)

    def blocks(self) -> Iterator[bytes]:
        yield self.header
        yield self.body


class Message:
    """A message as the dialogue knows it; `rendered` says how it was asked for."""

    message_id = "<1@rehearsal.test>"

    def __init__(self, content: Content | None = None, utf8: bool = False) -> None:
        self.content = content or Content()
        self.needs_smtputf8 = utf8
        self.rendered: list[tuple[bool, bool]] = []

    def render(self, smtputf8: bool, eightbitmime: bool) -> Content:
        self.rendered.append((smtputf8, eightbitmime))
        return self.content


def envelope(count: int = 1, sender: str | None = "s", **more: Any) -> Envelope:
    path = address.make(sender, "example.org", "-f") if sender is not None else None
    names = [address.make(f"r{i}", "example.net", "to") for i in range(count)]
    return Envelope(path, names, **more)


def facts(**more: Any) -> Facts:
    message: Any = more.pop("message", None) or Message()
    wrapping = more.pop("envelope", None) or envelope(more.pop("count", 1))
    return Facts(
        "hub.test:25",
        "client.test",
        more.pop("tls", "none"),
        wrapping,
        message,
        **more,
    )


class Stage(Listener):
    """A mailhub in memory. `tamper` may change what one answer looks like.

    It is given the number and the verb of an answer and the octets of the honest one,
    and returns octets, or None to close the connection. `replies` overrides texts.
    `auth` are the answers to AUTH and to what follows it; `secure_offers` is offered
    inside of TLS, and `verified` says what the driver found out about the certificate.
    """

    def __init__(
        self,
        offers: tuple[str, ...] = (),
        replies: dict[str, str] | None = None,
        tamper: Callable[[int, str, bytes], bytes | None] | None = None,
        *,
        auth: Iterable[str] = (),
        secure_offers: tuple[str, ...] | None = None,
        verified: bool = True,
    ) -> None:
        super().__init__()
        self.offers = offers
        self.replies = replies or {}
        self.tamper = tamper or (lambda number, verb, octets: octets)
        self.auth = list(auth)
        self.secure_offers = secure_offers
        self.verified = verified
        self.said: list[str] = []
        # What happens instead of writing the content; returns whether it was written.
        self.hurdle: Callable[[Flight], bool] | None = None
        self.shown: list[str] = []
        self.flights: list[bytes] = []
        self.phases: list[str] = []
        self.count = 0
        self.accepted = False
        self.content = b""
        self.secure = self.exchanging = self.asked_for_proof = False
        self.out = b""
        self.rcpts: list[str] = []
        self.asked = 0
        self.mail = False
        self.answer("GREETING", "220 hub.test")

    def answer(self, verb: str, default: str) -> str:
        """Answer as told or by default; return the honest text."""
        text = self.replies.get(verb, default)
        octets = text.encode() + b"\r\n"
        changed = self.tamper(self.count, verb, octets)
        self.count += 1
        if changed is None:
            self.closed = True
        elif not self.closed:
            self.out += changed
        return text

    def heard_line(self, line: bytes) -> None:
        self._command(line.decode())

    def _command(self, line: str) -> None:
        self.said.append(line)
        verb = line.partition(" ")[0]
        if self.auth and (self.exchanging or verb == "AUTH"):
            self.exchanging = self.answer("AUTH", self.auth.pop(0))[:3] == "334"
        elif verb == "EHLO":
            rows = ["hub.test", *self.offers]
            text = "\r\n".join(f"250-{row}" for row in rows[:-1])
            last = f"250 {rows[-1]}"
            self.answer(verb, f"{text}\r\n{last}" if text else last)
        elif verb == "MAIL":
            self.mail = self.answer(verb, "250 2.1.0 ok")[0] == "2"
            self.rcpts, self.asked = [], 0
        elif verb == "RCPT":
            self.asked += 1
            default = "250 2.1.5 ok" if self.mail else "503 5.5.1 MAIL first"
            if not self.mail:
                self.answer("-", default)
            elif self.answer(f"RCPT{self.asked}", default)[0] == "2":
                self.rcpts.append(line)
        elif verb == "DATA":
            if self.rcpts:
                self.reading = self.answer(verb, "354 go")[:3] == "354"
            else:
                self.answer("-", "554 5.5.1 no valid recipients")
        elif verb == "BDAT":
            self.need = int(line.split()[1])
        elif verb == "STARTTLS":
            self.answer(verb, "220 2.0.0 go")
        elif verb == "RSET":
            self.mail, self.rcpts = False, []
            self.answer(verb, "250 2.0.0 ok")
        elif verb == "QUIT":
            before = self.out
            self.answer(verb, "221 2.0.0 bye")
            # Who says nothing is silent; else it hangs up.
            self.closed = self.closed or before != self.out
        else:
            self.answer(verb, "250 2.0.0 ok" if verb == "HELO" else "500 5.5.1 what?")

    def shake_hands(self, wanted: bool) -> Secured:
        """Set up TLS; note whether the client wants to know with whom."""
        self.secure, self.asked_for_proof = True, wanted
        if self.secure_offers is not None:
            self.offers = self.secure_offers
        return Secured("TLSv1.3", "SUITE", self.verified, b"binding")

    def heard_content(self, content: bytes) -> None:
        if not self.rcpts:
            self.answer("-", "503 5.5.1 no valid recipients")
            return
        self.content = content
        self.accepted = self.answer("CONTENT", "250 2.0.0 queued as 1")[0] == "2"


def perform(dialogue: Dialogue, stage: Stage) -> Receipt:
    """Drive a dialogue against a stage, as a driver of `ssmtp.wire` does."""
    inbox = Inbox()
    talk = dialogue.converse()
    answer: Any = None
    trouble: Exception | None = None

    def pull() -> None:
        inbox.feed(stage.out)
        stage.out = b""

    while True:
        try:
            step = throw(talk, trouble) if trouble else talk.send(answer)
        except StopIteration as end:
            receipt: Receipt = end.value
            return receipt
        trouble = None
        pull()
        try:
            if isinstance(step, Flight):
                if not inbox.empty:
                    first = inbox.take()
                    raise Broken(
                        "unasked", answer=first, garbled=b"" if first else b"?"
                    )
                if stage.closed:
                    raise Broken("closed the connection")
                stage.shown += step.shown
                if step.content is not None and stage.hurdle is not None:
                    stage.hear(step.head)
                    answer = stage.hurdle(step)
                    continue
                data = step.head + b"".join(step.content or ()) + step.tail
                step.committed = step.content is not None
                stage.flights.append(data)
                stage.hear(data)
                answer = True
            elif isinstance(step, Await):
                stage.phases.append(step.phase.name)
                whole = step.phase is phases.AUTH
                inbox.keep = REPLY_MOST if whole else LINE_KEPT
                reply = inbox.take()
                if reply is None:
                    late = not stage.closed
                    words = (
                        "took longer than 300 s" if late else "closed the connection"
                    )
                    raise Broken(words, late=late)
                answer = reply.without(step.hide)
            else:
                answer = stage.shake_hands(step.wanted)
        except Garbled as garbled:
            trouble = Broken("said nonsense", garbled=garbled.first or b"?")
        except Broken as broken:
            trouble = broken


def attempt(fact: Facts, make: Callable[[], Stage]) -> tuple[Receipt, Stage]:
    """Perform with a new stage for every `Again`, as `submission` does."""
    for _ in range(3):
        stage = make()
        try:
            return perform(Dialogue(fact), stage), stage
        except Again as again:
            assert not stage.accepted
            fact.bare = fact.bare or again.bare
            fact.data = fact.data or again.data
    raise AssertionError("again and again")
