"""One message after the other on a connection that stays open; the agent's dialogue.

The direct road (`transact`) is all or nothing, says QUIT, and is done. Here a
connection is opened once (`Opening`) and then given message after message (`Relay`),
and every recipient has an outcome of its own (`outcomes`).

    first message of a connection, or a large one    MAIL RCPT… / BDAT LAST RSET
    later ones, with PIPELINING and CHUNKING         MAIL RCPT… BDAT LAST RSET
    PIPELINING                                       MAIL RCPT… DATA / content RSET
    neither                                          one by one

Rules

1. Strict accounting as in `dialogue`: as many replies as questions, and nothing unread
   before a flight or behind the last reply. A connection on which anything odd was seen
   gets no second message.
2. **RSET is the witness** that QUIT is on the direct road: it is written behind the
   content, and the message counts as sent only when both were answered as they should
   be. If the replies were shifted by one (an extra 250 in front of a refusal), the
   refusal turns up as the answer to RSET, and the message is in doubt. The first
   message shows its envelope before its content, so that whoever answers twice is found
   out before. Where replies have status codes, those of MAIL and RCPT (x.1.y) cannot
   pass for that of the content.
3. A connection that ends where RSET was to be answered is no witness. Then it takes a
   queue id, or such a status, to believe the acceptance, unless all was asked one by
   one: then nothing but the content was left to be answered.
4. After a doubt that the replies themselves raised, a mailhub is taken for odd:
   `careful` connections carry one message, in steps, with QUIT behind it.
5. What fails before MAIL was answered on a connection that had worked only says that
   the connection had grown old (`stale`), and nothing about the message. So does a
   demand to log in: a token of OAuth has its time.
"""

from __future__ import annotations

from ssmtp.errors import InDoubt, InputRefused
from ssmtp.smtp import lines, phases
from ssmtp.smtp.dialogue import Dialogue, guarded, introduce
from ssmtp.smtp.outcomes import Ledger, OutOfStep, Plainer
from ssmtp.smtp.steps import Again, Broken, Flight, commands
from ssmtp.smtp.transact import (
    ONE_FLIGHT_MOST,
    addressed,
    as_shown,
    is_no_envelope_reply,
    receipt_of,
    witness,
    written,
)
from ssmtp.smtp.verdicts import positive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from ssmtp.content import Content
    from ssmtp.envelope import Envelope
    from ssmtp.message import Message
    from ssmtp.smtp.offers import Offers
    from ssmtp.smtp.outcomes import Result
    from ssmtp.smtp.reply import Reply
    from ssmtp.smtp.session import Session
    from ssmtp.smtp.steps import Talk

RESET = phases.Phase("RSET", "answering RSET", "command")
SILENCE = Flight(b"", RESET)  # says nothing, and hears that nothing was said


class Opening(Dialogue):
    """The conversation that makes a connection ready for messages."""

    __slots__ = ()

    def converse(self) -> Generator[Any, Any, Relay]:  # type: ignore[override]
        """Greet, upgrade, authenticate. Raises `Failure`."""
        return guarded(self.session, _open(self.session))


def _open(session: Session) -> Generator[Any, Any, Relay]:
    offers = yield from introduce(session)
    return Relay(session, offers)


class Relay:
    """A connection that is ready for messages. `done` counts those it carried.

    `dirty`: a transaction was begun that RSET has not ended.
    """

    __slots__ = (
        "careful",
        "chunking",
        "dirty",
        "done",
        "offers",
        "pipelining",
        "session",
        "utf8",
    )

    def __init__(self, session: Session, offers: Offers) -> None:
        self.session = session
        self.offers = offers
        self.pipelining = "PIPELINING" in offers
        self.chunking = "CHUNKING" in offers
        self.utf8 = offers.keywords >= {"SMTPUTF8", "8BITMIME"}
        self.careful = False
        self.dirty = False
        self.done = 0

    def give(
        self, envelope: Envelope, message: Message, *, last: bool = False
    ) -> Transaction:
        """Return the conversation about one message; `last` ends the connection."""
        facts = self.session.facts
        if facts.bare and self.utf8 and envelope.needs_smtputf8:
            facts.bare = False  # this one cannot do without parameters
        facts.envelope = envelope
        facts.message = message
        return Transaction(self, last or self.careful)

    def farewell(self) -> Farewell:
        """Return the conversation that ends the connection."""
        return Farewell(self.session)


class Farewell:
    """QUIT, whose answer nobody waits for."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def converse(self) -> Talk:
        """Say QUIT."""
        self._session.polite = True
        return self._session.leave()


class Glance:
    """A look at a connection that is not in use; raises `Broken` when it has ended."""

    __slots__ = ()

    def converse(self) -> Talk:
        """Say nothing, which is only possible while nothing is unread."""
        yield SILENCE


class Transaction:
    """The conversation about one message; never raises a `Failure` of the mailhub."""

    __slots__ = ("_last", "_ledger", "_relay", "_session")

    def __init__(self, relay: Relay, last: bool) -> None:
        self._relay = relay
        self._session = relay.session
        self._last = last
        self._ledger = Ledger(relay.session)

    def converse(self) -> Generator[Any, Any, Result]:
        """Submit the message to each recipient that is taken.

        Raises `Again` when a new connection would do better, and what our own side
        fails with (`SystemTrouble`, `Bug`).
        """
        session, relay, ledger = self._session, self._relay, self._ledger
        result = ledger.result
        session.stage = "transaction"
        session.polite = False
        try:
            try:
                yield from self._transact()
            except Plainer:
                session.facts.bare = True
                relay.dirty = True
                ledger.forget()
                yield from self._transact()
        except InputRefused as failure:
            ledger.refuse(failure)
        except OutOfStep as odd:
            ledger.odd(odd.words)
        except Broken as broken:
            ledger.broken(broken, old=relay.done > 0)
        if ledger.mail is not None:
            old = relay.done > 0
            relay.done += 1
            ended = ledger.mail.code == 421 or result.trouble is not None
            if ended and old and not result.odd:
                result.outcomes.clear()
                result.trouble, result.stale = None, True
        session.stage = "session"
        result.outcomes.sort(key=lambda outcome: outcome.number)
        return result

    def _transact(self) -> Talk:
        relay, session, ledger = self._relay, self._session, self._ledger
        offers = relay.offers
        if not relay.utf8 or session.facts.bare:
            if not ledger.without_utf8():
                return
        content, mail, rcpts = written(session, offers)
        if offers.size and content.size > offers.size:
            # RFC 1870 §6.1: known before it is tried.
            raise InputRefused(
                f"the message has {content.size} octets, and {session.hub} takes "
                f"{offers.size} at most",
                "make it smaller",
            )
        pipelining = relay.pipelining
        chunking = relay.chunking and not session.facts.data
        small = content.size <= ONE_FLIGHT_MOST and relay.done and not relay.careful
        if pipelining and chunking and small:
            yield from self._one_flight(content, mail, rcpts)
            return
        if pipelining:
            yield from self._envelope_at_once(mail, rcpts, not chunking)
        else:
            yield from self._envelope_by_steps(mail, rcpts, not chunking)
        ledger.check_envelope(mail, rcpts)
        reply = ledger.content
        if reply is not None and reply.code < 400 and reply.code != 354:
            raise OutOfStep(f"answered DATA with {reply}")
        relay.dirty = True
        taken = ledger.taken
        if not taken and reply is not None and reply.code == 354:
            # RFC 2920 §3.1 has a lone dot here. Without it no server that is out of
            # step can make a message of nothing; the connection ends instead.
            ledger.settle()
            ledger.result.usable = False
        elif taken and (reply is None or reply.code == 354):
            ledger.content = None
            yield from self._content(content, chunking, pipelining)
        else:
            ledger.settle()
            yield from self._nothing_more()

    # -- the envelope

    def _cleaned(self) -> Talk:
        """Hear the answer to the RSET that a dirty connection was sent first."""
        reply = yield self._session.due(phases.MAIL)
        if not positive(reply):
            raise Broken("did not answer RSET with 250", answer=reply)
        self._relay.dirty = False

    def _reset(self) -> bytes:
        return lines.RSET if self._relay.dirty else b""

    def _envelope_at_once(self, mail: bytes, rcpts: list[bytes], data: bool) -> Talk:
        head = self._reset() + mail + b"".join(rcpts) + (lines.DATA if data else b"")
        yield Flight(head, phases.MAIL)
        yield from self._hear_envelope(len(rcpts))
        if data:
            self._ledger.content = yield self._session.due(phases.DATA)

    def _hear_envelope(self, count: int) -> Talk:
        session, ledger = self._session, self._ledger
        if self._relay.dirty:
            yield from self._cleaned()
        ledger.mail = yield session.due(phases.MAIL)
        for _ in range(count):
            ledger.rcpts.append((yield session.due(phases.RCPT)))

    def _envelope_by_steps(self, mail: bytes, rcpts: list[bytes], data: bool) -> Talk:
        session, ledger = self._session, self._ledger
        if self._relay.dirty:
            yield Flight(lines.RSET, phases.MAIL)
            yield from self._cleaned()
        yield Flight(mail, phases.MAIL)
        ledger.mail = mail_reply = yield session.due(phases.MAIL)
        if not positive(mail_reply):
            return
        for rcpt in rcpts:
            yield Flight(rcpt, phases.RCPT)
            ledger.rcpts.append((yield session.due(phases.RCPT)))
        if data and ledger.taken:
            yield Flight(lines.DATA, phases.DATA)
            ledger.content = yield session.due(phases.DATA)

    # -- the content

    def _content(self, content: Content, chunking: bool, pipelining: bool) -> Talk:
        """Send the content after its envelope was answered."""
        session = self._session
        if chunking:
            head, tail = lines.bdat(content.size), b""
            blocks = lines.chunk(content.blocks(), content.size)
        else:
            head, tail = b"", lines.FINAL_DOT
            blocks = lines.dotted(content.blocks())
        if pipelining:
            tail += self._last_word()
        flight = Flight(
            head,
            phases.CONTENT,
            lambda: [*commands(head), *as_shown(content)],
            content=blocks,
            tail=tail,
        )
        whole = yield from session.write(flight)
        if not (yield from self._verdict(content, whole, flight)):
            return
        if pipelining:
            yield from self._witness(())
        elif self._last:
            yield from session.say(lines.QUIT)
            self._ledger.result.usable = False
        else:
            yield from self._asked_alone()
            return
        yield from self._nothing_more()

    def _asked_alone(self) -> Talk:
        """Hear whether all was in step where nothing but the content had been asked.

        Then a status that belongs to no envelope is enough, whatever a mailhub adds.
        """
        try:
            yield from self._ask_witness()
            yield from self._nothing_more()
        except OutOfStep as odd:
            if not self._is_certain() and not (yield from self._says_it_again(odd)):
                raise
            self._ledger.result.usable = False

    def _is_certain(self) -> bool:
        """Whether the acceptance cannot have been the answer to anything else."""
        ledger = self._ledger
        mail, reply = ledger.mail, ledger.content
        assert mail is not None
        assert reply is not None
        return positive(reply) and is_no_envelope_reply(reply, (mail, *ledger.rcpts))

    def _says_it_again(self, odd: OutOfStep) -> Generator[Any, Any, bool]:
        """Hear whether what is too much are acceptances, one for each as LMTP has it.

        Whichever of them is the answer to the content, it was taken.
        """
        ledger, broken = self._ledger, odd.__cause__
        if not isinstance(broken, Broken) or broken.answer is None:
            return False
        rest = yield from self._session.rest(len(ledger.rcpts) - 1)
        said = (ledger.content, broken.answer, *rest)
        return all(r is not None and positive(r) and r.code != 221 for r in said)

    def _one_flight(self, content: Content, mail: bytes, rcpts: list[bytes]) -> Talk:
        """MAIL RCPT… BDAT LAST RSET at once."""
        ledger = self._ledger
        head = self._reset() + mail + b"".join(rcpts) + lines.bdat(content.size)
        flight = Flight(
            head,
            phases.CONTENT,
            lambda: [*commands(head), *as_shown(content)],
            content=lines.chunk(content.blocks(), content.size),
            tail=self._last_word(),
            before=len(rcpts) + 1 + self._relay.dirty,
        )
        whole = yield from self._session.write(flight)
        yield from self._hear_envelope(len(rcpts))
        assert ledger.mail is not None
        yield from self._verdict(content, whole, flight)
        yield from self._witness((ledger.mail, *ledger.rcpts))
        ledger.check_envelope(mail, rcpts)
        yield from self._nothing_more()

    def _last_word(self) -> bytes:
        return lines.QUIT if self._last else lines.RSET

    def _verdict(
        self, content: Content, whole: bool, flight: Flight
    ) -> Generator[Any, Any, bool]:
        """Hear what the mailhub says of the content, and settle it for everybody.

        False when that is all: it refused the content before it had all of it.
        """
        ledger = self._ledger
        reply = ledger.content = yield self._session.due(phases.CONTENT)
        if flight.head and ledger.taken and reply.code in (500, 502, 504):
            # It offered CHUNKING, and does not know BDAT.
            raise Again(data=True)
        accepted = positive(reply)
        if not whole:
            if accepted:
                raise OutOfStep(f"accepted it before it had it: {reply}")
            if reply.code < 500 or flight.before:
                # Somebody may have been refused while it was being written.
                raise Broken(f"was not given all of it ({reply})")
            ledger.settle()
            ledger.result.usable = False
            return False
        if accepted and not ledger.taken:
            raise OutOfStep(f"said {reply} though nobody was to get it")
        if not accepted and reply.code < 400:
            raise OutOfStep(f"answered it with {reply}")
        ledger.settle()
        if accepted:
            ledger.result.receipt = receipt_of(self._session, reply, content)
        return True

    def _ask_witness(self) -> Talk:
        """Ask what rides along with the content where there is PIPELINING."""
        try:
            yield Flight(lines.RSET, RESET)
        except Broken as broken:
            if broken.garbled or broken.answer is not None:
                reply = self._ledger.content
                raise OutOfStep(f"said {reply}, and then {broken.words}") from broken
            self._believe(broken.words, (), ended=not broken.late)
            return
        yield from self._witness(())

    def _witness(self, before: tuple[Reply, ...]) -> Talk:
        """Hear whether all answers were in step (rules 2 and 3)."""
        ledger = self._ledger
        result, reply = ledger.result, ledger.content
        assert reply is not None
        usable, result.usable = result.usable, False
        if self._last:
            if positive(reply):
                try:
                    yield from witness(self._session, reply, before)
                except InDoubt as doubt:
                    raise OutOfStep(doubt.what.partition(" and ")[2]) from doubt
            return
        if reply.code == 221 or (before and positive(reply) and addressed(reply)):
            raise OutOfStep(f"said {reply}, which may belong to something else")
        try:
            closing = yield self._session.due(RESET)
        except Broken as broken:
            if broken.garbled or broken.answer is not None:
                raise OutOfStep(f"said {reply}, and then {broken.words}") from broken
            self._believe(broken.words, before, ended=not broken.late)
            return
        if closing.code == 421:
            self._believe(f"said {closing}", before)
        elif not positive(closing) or closing.code == 221:
            does = f"answered RSET with {closing}"
            raise OutOfStep(f"{does}, so that its {reply.code} proves nothing")
        else:
            self._relay.dirty = False
            result.usable = usable

    def _believe(
        self, words: str, before: tuple[Reply, ...], *, ended: bool = False
    ) -> None:
        """Let a lone acceptance stand if it cannot have been anything else."""
        reply, receipt = self._ledger.content, self._ledger.result.receipt
        assert reply is not None
        self._ledger.result.usable = False
        if not positive(reply) or (receipt is not None and receipt.queue_id):
            return
        if ended and not self._relay.pipelining and reply.code != 221:
            return  # nothing else was asked, as on the direct road
        if not before or not is_no_envelope_reply(reply, before):
            raise OutOfStep(f"said {reply}, and then {words}")

    def _nothing_more(self) -> Talk:
        """See to it that nothing is unread once all was answered."""
        if not self._ledger.result.usable:
            return
        try:
            yield SILENCE
        except Broken as broken:
            self._ledger.result.usable = False
            answer = broken.answer
            if broken.garbled or (answer is not None and answer.code != 421):
                raise OutOfStep(broken.words) from broken
