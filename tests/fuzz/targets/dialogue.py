"""A whole dialogue with a mailhub that does whatever it likes.

It ends in time, in a receipt or a failure. A receipt only when the mailhub said a
complete and well-formed 2xx in the place of the answer to the content. One accident at
most, and a receipt is the truth; a failure without a reply admits its doubt. Nothing in
clear that was to be secret, no MAIL before AUTH, no password in any text.
"""

from __future__ import annotations

import binascii
import urllib.parse
from collections.abc import Generator
from typing import Any

from ssmtp.config import Secret
from ssmtp.errors import Failure, InDoubt
from ssmtp.receipt import Receipt
from ssmtp.smtp.dialogue import Dialogue
from ssmtp.smtp.phases import Clocks
from ssmtp.smtp.sasl import Credentials
from ssmtp.smtp.session import Facts
from ssmtp.smtp.steps import Again, Broken, Flight, Secured
from ssmtp.trace import Trace
from ssmtp.wire import channel as module
from ssmtp.wire.channel import Channel
from tests.fuzz import reference
from tests.fuzz.choices import Choices
from tests.fuzz.hub import PASSWORD, USER, Hub, Line
from tests.unit.rehearsal import Content, Message, envelope

OCTETS = PASSWORD.encode()
FORMS = [
    PASSWORD,
    binascii.b2a_base64(OCTETS, newline=False).decode().rstrip("="),
    binascii.b2a_base64(f"\0{USER}\0{PASSWORD}".encode(), newline=False).decode(),
    urllib.parse.quote(PASSWORD),
    urllib.parse.quote_plus(PASSWORD),
    OCTETS.hex(),
]
CLOCKS = Clocks()
ENVELOPES = [envelope(count) for count in (1, 2, 3)]
BODIES = (b"body\r\n.dot\r\n", b".\r\n" * 3, b"", b"x" * 998 + b"\r\n")
STEPS_MOST = 400


class Watched(Dialogue):
    """A dialogue that counts its questions, for the place of each answer."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.asked = ["GREETING"]
        self.content: int | None = None

    def converse(self) -> Generator[Any, Any, Receipt]:
        talk = super().converse()
        answer: Any = None
        trouble: BaseException | None = None
        steps = 0
        while True:
            try:
                step = talk.throw(trouble) if trouble else talk.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            steps += 1
            assert steps < STEPS_MOST, "it does not end"
            if isinstance(step, Flight):
                self._count(step)
            trouble = None
            try:
                answer = yield step
            except BaseException as error:
                trouble = error

    def _count(self, flight: Flight) -> None:
        heads = flight.head.split(b"\r\n")[:-1]
        self.asked += [head.partition(b" ")[0].decode("latin-1") for head in heads]
        if flight.content is None:
            return
        tails = flight.tail.split(b"\r\n")[:-1]
        if b"." in tails:
            self.asked.append("CONTENT")
        self.content = len(self.asked) - 1
        self.asked += ["QUIT"] * tails.count(b"QUIT")


class SecureLine(Line):
    """A line that TLS can be set up on."""

    secured_at: int | None = None

    def start(self, channel: Channel, step: Any) -> Generator[Any, Any, Secured]:
        hub = self.hub
        if hub.out or hub.closed or not hub.starting or hub.choices.pick(32) == 31:
            raise Broken("said nonsense", garbled=b"?")
        self.secured_at = len(self.written)
        hub.secure, hub.buffer = True, b""
        if not self.written:
            hub.greet()
        yield from ()
        return Secured("TLSv1.3", "SUITE", step.wanted, b"binding")


def run(data: bytes) -> None:
    """Hold the dialogue that these octets stand for."""
    play(Choices(data))


def play(choices: Choices) -> str:
    """Hold a dialogue, with its further attempts; return how it ended."""
    pick = choices.pick
    tls = ("none", "starttls", "opportunistic", "implicit")[pick(4)]
    private, clear = not pick(3), bool(pick(2))
    method = (None, None, None, "LOGIN", "CRAM-MD5", "SCRAM-SHA-256")[pick(6)]
    with_password = pick(3) == 2
    content = Content(BODIES[pick(len(BODIES))], eightbit=bool(pick(2)))
    message: Any = Message(content, utf8=bool(pick(2)))
    credentials = None
    if with_password:
        secret = Secret(PASSWORD)
        credentials = Credentials(
            USER, lambda: secret, method=method, cleartext_ok=clear
        )
    facts = Facts(
        "hub.test:25",
        "client.test",
        tls,
        ENVELOPES[pick(3)],
        message,
        credentials,
        private=private,
        nonce="nonce",
    )
    for _ in range(3):
        outcome = attempt(facts, choices)
        if not isinstance(outcome, Again):
            return type(outcome).__name__
        assert facts.bare < outcome.bare or facts.data < outcome.data
        facts.bare = facts.bare or outcome.bare
        facts.data = facts.data or outcome.data
    raise AssertionError("it tries again and again")


def attempt(facts: Facts, choices: Choices) -> Receipt | Failure | Again:
    """Hold one dialogue and judge it."""
    hub = Hub(choices)
    line = SecureLine(hub)
    if facts.tls == "implicit":
        hub.starting = True
    else:
        hub.greet()
    shown: list[str] = []
    trace = Trace(shown.append) if choices.pick(2) else None
    channel = Channel(line, CLOCKS, trace)  # type: ignore[arg-type]
    channel.start = line.start
    dialogue = Watched(facts)
    outcome = _drive(channel, dialogue, hub)
    _check_secrecy(facts, hub, line, [*shown, *_texts(outcome)])
    single = hub.plain and hub.faults <= 1
    if isinstance(outcome, Receipt):
        _check_receipt(dialogue, line)
        assert hub.accepted or not single, "sent, it says, and it was not"
    elif isinstance(outcome, Again):
        assert not (hub.accepted and single), "it would send twice"
    elif hub.accepted and single and not isinstance(outcome, InDoubt):
        assert hub.faults, "an honest acceptance was not believed"
        assert outcome.reply is not None, "not sent, it says, and it was"
    return outcome


class Clock:
    """Time that passes when nothing else happens."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def _drive(channel: Channel, dialogue: Dialogue, hub: Hub) -> Receipt | Failure | Again:
    clock = Clock()
    real = vars(module)["time"]
    vars(module)["time"] = clock
    try:
        talk = channel.converse(dialogue)
        wait = next(talk)
        for _ in range(STEPS_MOST):
            if not (hub.out or hub.closed):
                clock.now = wait.deadline
            wait = talk.send({0} if hub.out or hub.closed else set())
        raise AssertionError("it waits for ever")
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    except (Failure, Again) as failure:
        return failure
    finally:
        vars(module)["time"] = real


def _texts(outcome: Receipt | Failure | Again) -> list[str]:
    if isinstance(outcome, Again):
        return []
    texts = [str(outcome.reply)] if outcome.reply is not None else []
    if isinstance(outcome, Failure):
        texts.append(outcome.sentence())
    return texts


def _check_receipt(dialogue: Watched, line: Line) -> None:
    codes, _ = reference.replies(line.seen)
    place = dialogue.content
    assert place is not None, "sent, it says, and said nothing"
    assert len(codes) > place, "sent, it says, and there was no answer"
    assert 200 <= codes[place] <= 299, "sent, it says, and the answer was no"
    assert codes[0] == 220
    # A refused MAIL may have been said again without parameters: the last one counts.
    begin = max(i for i in range(place) if dialogue.asked[i] == "MAIL")
    for verb, code in zip(dialogue.asked[begin:place], codes[begin:], strict=False):
        assert code == 354 if verb == "DATA" else 200 <= code <= 299


def _check_secrecy(facts: Facts, hub: Hub, line: SecureLine, texts: list[str]) -> None:
    for text in texts:
        assert text.isprintable()
        for form in FORMS:
            assert form not in text, "a password is shown"
    said = line.written
    clear = said if line.secured_at is None else said[: line.secured_at]
    if facts.tls in ("starttls", "implicit"):
        assert b"MAIL" not in clear, "in clear what was to be secret"
        assert b"Subject" not in clear
    credentials = facts.credentials
    if credentials is None:
        return
    if not (credentials.cleartext_ok or facts.private):
        assert b"AUTH" not in clear, "AUTH in clear"
    assert said.count(b"AUTH ") <= 1, "a second AUTH"
    if b"MAIL" in said:
        codes, _ = reference.replies(line.seen)
        assert 235 in codes, "MAIL without AUTH"
        assert b"AUTH SCRAM" not in said, "the mailhub proved nothing"
