"""What the replies of one transaction mean for each recipient; the ledger of `relay`.

A 5xx counts as *refused* unless something odd was seen in the same transaction: then
nothing that was said in it is believed, time may cure it, and once the content has left
the message is in doubt.
"""

from __future__ import annotations

from ssmtp.envelope import Envelope
from ssmtp.errors import (
    EX_NOPERM,
    AuthRefused,
    Deferred,
    InDoubt,
    InputRefused,
    MessageRefused,
    RecipientRefused,
)
from ssmtp.smtp import phases, verdicts
from ssmtp.smtp.reply import escaped
from ssmtp.smtp.transact import parameter_refused
from ssmtp.smtp.verdicts import LATER, positive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssmtp.errors import Failure
    from ssmtp.receipt import Receipt
    from ssmtp.smtp.reply import Reply
    from ssmtp.smtp.session import Session
    from ssmtp.smtp.steps import Broken

SENT, REFUSED, DEFERRED, DOUBT = "sent", "refused", "deferred", "doubt"


class Outcome:
    """What became of one recipient, by its number in the envelope that was given.

    `failure` says why; None when it was sent. `text` is the mailhub's reply, or ours.
    """

    __slots__ = ("failure", "number", "state", "text")

    def __init__(
        self, number: int, state: str, text: str, failure: Failure | None = None
    ) -> None:
        self.number = number
        self.state = state
        self.text = text
        self.failure = failure

    def __repr__(self) -> str:
        return f"<Outcome {self.number} {self.state} {self.text!r}>"


class Result:
    """What became of one message on one connection.

    `usable`: the connection may be given another one. `stale`: nothing happened, try
    another connection now. `busy`: it was not the message that stood in the way.
    `odd`: the mailhub's replies are not to be trusted. `trouble` concerns the whole
    mailhub; then there are no outcomes. `receipt` is there if anybody got the message.
    """

    __slots__ = ("busy", "odd", "outcomes", "receipt", "stale", "trouble", "usable")

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.receipt: Receipt | None = None
        self.usable = False
        self.stale = False
        self.busy = False
        self.odd = False
        self.trouble: AuthRefused | None = None


class OutOfStep(Exception):
    """Replies came that cannot be those to our questions; `words` say which."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class Plainer(Exception):
    """All was refused for its parameters: say it without."""


class Ledger:
    """The replies of one transaction as they come in, and the result that they make.

    `content` is the reply to DATA until that to the content takes its place.
    """

    __slots__ = ("_numbers", "content", "mail", "rcpts", "result", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.result = Result()
        self._numbers = list(range(len(session.facts.envelope.recipients)))
        self.forget()

    def forget(self) -> None:
        """Begin anew with the same recipients."""
        self.mail: Reply | None = None
        self.rcpts: list[Reply] = []
        self.content: Reply | None = None

    @property
    def taken(self) -> bool:
        """Whether MAIL and at least one RCPT were accepted."""
        first = self.mail
        return first is not None and positive(first) and any(map(positive, self.rcpts))

    # -- before anything is said

    def without_utf8(self) -> bool:
        """Refuse those who have no address in ASCII; False if nobody is left."""
        facts = self.session.facts
        whole = facts.envelope
        fit = [n for n, r in enumerate(whole.recipients) if r.is_ascii]
        if len(fit) == len(self._numbers):
            return True
        for number, recipient in enumerate(whole.recipients):
            if not recipient.is_ascii:
                failure = InputRefused(
                    f"the address {escaped(str(recipient))} needs SMTPUTF8, "
                    f"which {self.session.hub} does not offer",
                    "use an address in ASCII letters",
                )
                self._note(number, failure)
        self._numbers = [self._numbers[n] for n in fit]
        facts.envelope = rest = Envelope(
            whole.reverse_path,
            [whole.recipients[n] for n in fit],
            whole.notify,
            whole.ret,
            whole.envid,
            whole.body,
        )
        if whole.wishes is not None:
            rest.wishes = [whole.wishes[n] for n in fit]
        self.result.usable = not fit
        return bool(fit)

    def refuse(self, failure: InputRefused) -> None:
        """Refuse the whole message, of which the mailhub has heard nothing."""
        self._every(failure)
        self.result.usable = True

    # -- what the replies mean

    def check_envelope(self, mail: bytes, rcpts: list[bytes]) -> None:
        """Raise when replies contradict each other, or want less of us."""
        first = self.mail
        assert first is not None
        if not positive(first):
            if any(map(positive, self.rcpts)):
                raise OutOfStep(f"answered MAIL with {first}, and RCPT with yes")
            unwanted = parameter_refused(first, mail)
        else:
            unwanted = bool(self.rcpts) and all(
                map(parameter_refused, self.rcpts, rcpts)
            )
        last = self.content
        if unwanted and (last is None or last.code >= 400):
            self._unsay()
            raise Plainer

    def settle(self) -> None:
        """Write down one outcome for each recipient."""
        session, result = self.session, self.result
        first, last = self.mail, self.content
        assert first is not None
        result.usable = True
        if not positive(first):
            self._mail_refused(first)
            return
        refusals = [
            None if positive(reply) else self._recipient(number, reply)
            for number, reply in enumerate(self.rcpts)
        ]
        troubles = [f for f in refusals if isinstance(f, AuthRefused)]
        if len(troubles) == len(refusals):
            result.trouble = troubles[0]
            return
        verdict = None
        if last is not None and not positive(last):
            verdict = verdicts.content(session, last, committed=True)
            verdict.phase = phases.CONTENT.name
        text = str(last)
        for number, refusal in enumerate(refusals):
            why = refusal or verdict
            if why is not None:
                self._note(number, why)
            else:
                assert last is not None
                result.outcomes.append(Outcome(self._numbers[number], SENT, text))
        codes = [reply.code for reply in self.rcpts]
        if 421 in codes or (last is not None and last.code == 421):
            result.usable, result.busy = False, True

    def _mail_refused(self, reply: Reply) -> None:
        failure = verdicts.mail(self.session, reply)
        if isinstance(failure, AuthRefused):
            self.result.trouble = failure
            return
        failure.phase = phases.MAIL.name
        self.result.busy = reply.code < 500
        self.result.usable = reply.code != 421
        self._every(failure)

    def _recipient(self, number: int, reply: Reply) -> Failure | None:
        """Return what the reply to one RCPT means; None when it was accepted."""
        if positive(reply):
            return None
        session = self.session
        name = escaped(str(session.facts.envelope.recipients[number]))
        failure = verdicts.rcpt_refused(session, name, reply)
        if self._is_one_too_many(number, reply):
            failure = verdicts.rcpt_later(session, name, reply)
        if isinstance(failure, AuthRefused) and not verdicts.wants_auth(reply):
            # It condemns neither the account nor the other recipients.
            failure = RecipientRefused(failure.what, failure.next_step, reply=reply)
            failure.exit_code = EX_NOPERM
        failure.recipient = name
        failure.phase = phases.RCPT.name
        return failure

    def _is_one_too_many(self, number: int, reply: Reply) -> bool:
        """Tell a 552 that wants a transaction of its own (RFC 5321 §4.5.3.1.10)."""
        old = reply.code == 552 and reply.status in (None, "5.5.3")
        return old and any(map(positive, self.rcpts[:number]))

    # -- when it did not go through

    def odd(self, words: str) -> None:
        """Take nothing for granted that was said in this transaction."""
        session, result = self.session, self.result
        result.odd, result.usable, result.receipt = True, False, None
        result.trouble = None
        failure: Failure
        if session.stage == "content":
            failure = verdicts.doubt(session, words)
        else:
            failure = Deferred(f"{session.hub} {words}", LATER)
        failure.phase = session.phase.name
        self._rest(failure)

    def broken(self, broken: Broken, *, old: bool) -> None:
        """Settle what a broken connection leaves open; `old`: it had worked before."""
        session, result = self.session, self.result
        result.usable, result.receipt = False, None
        answer, first = broken.answer, self.mail
        result.odd = bool(broken.garbled) or (answer is not None and answer.code != 421)
        if session.stage == "transaction" and first is None and old and not broken.late:
            result.stale = True
            return
        if first is not None and not positive(first) and not result.odd:
            if not any(map(positive, self.rcpts)):
                self._unsay()
                self._mail_refused(first)
                result.usable = False
                return
        last = self.rcpts[-1] if self.rcpts and self.content is None else None
        if last is not None and last.code == 421 and not result.odd:
            # It ended the session there: what we wrote behind it was not read.
            session.stage, broken.answer = "transaction", last
        failure = verdicts.broken(session, broken)
        failure.phase = session.phase.name
        result.busy = session.stage == "transaction"
        self._rest(failure)

    def _rest(self, failure: Failure) -> None:
        """Give every open recipient the same outcome, but for clear refusals."""
        result = self.result
        self._unsay()
        known = {outcome.number: outcome for outcome in result.outcomes}
        believed = not result.odd and self.mail is not None and positive(self.mail)
        for number, whole in enumerate(self._numbers):
            why = None
            if believed and number < len(self.rcpts):
                why = self._recipient(number, self.rcpts[number])
            why = why or failure
            known[whole] = Outcome(whole, _state(why), _text(why), why)
        result.outcomes = [known[number] for number in sorted(known)]

    def _unsay(self) -> None:
        """Take back all outcomes but refusals of our own, which no reply has made."""
        kept = [o for o in self.result.outcomes if isinstance(o.failure, InputRefused)]
        self.result.outcomes = kept

    def _every(self, failure: Failure) -> None:
        for number in range(len(self._numbers)):
            self._note(number, failure)

    def _note(self, number: int, failure: Failure) -> None:
        whole = self._numbers[number]
        self.result.outcomes.append(
            Outcome(whole, _state(failure), _text(failure), failure)
        )


def _state(failure: Failure) -> str:
    if isinstance(failure, InDoubt):
        return DOUBT
    if isinstance(failure, (InputRefused, MessageRefused, RecipientRefused)):
        return REFUSED
    return DEFERRED


def _text(failure: Failure) -> str:
    if failure.reply is not None and not isinstance(failure, InDoubt):
        return str(failure.reply)
    return failure.what
