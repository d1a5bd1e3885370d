"""A session with the mailhub that ends before there is a message.

The dialogue is that of every message (`smtp.dialogue`), up to RCPT; then RSET and QUIT.
`Glance` goes only as far as TLS, trusts everybody and says no secret: it is for looking
at certificates that nobody can trust.
"""

from __future__ import annotations

import ssl
import time
import warnings
from collections.abc import Generator, Iterable
from typing import Any

from ssmtp import accounts
from ssmtp.config import Config, Mailhub
from ssmtp.ctl.doctor.case import Case
from ssmtp.errors import Failure
from ssmtp.smtp import phases, transact, verdicts
from ssmtp.smtp.dialogue import Dialogue, guarded, introduce
from ssmtp.smtp.offers import Offers
from ssmtp.smtp.reply import Reply
from ssmtp.smtp.sasl import Credentials
from ssmtp.smtp.steps import Again, Flight, Secured
from ssmtp.submission import Attempt
from ssmtp.trace import Trace
from ssmtp.wire import blocking
from ssmtp.wire.connect import Link

GLANCE_MOST = 8.0  # seconds for an answer of which nothing but words depends


class Watch(Trace):
    """What was seen of a session, whatever became of it."""

    def __init__(self) -> None:
        super().__init__(lambda line: None)
        self.greeting: Reply | None = None
        self.hellos: list[Reply] = []
        self.replies: dict[str, Reply] = {}
        self.tls: Secured | None = None
        self.verb = ""
        self.waiting = False
        self.begun = time.monotonic()

    def sent(self, lines: Iterable[str]) -> None:
        """Remember which command was said."""
        verb = next((line.split()[0] for line in lines if line.split()), "?")
        if verb != "QUIT":  # nobody waits for its answer
            self.verb = verb
            self.waiting = True

    def received(self, reply: Reply) -> None:
        """Remember what was answered to it."""
        self.waiting = False
        if not self.verb:
            self.greeting = reply
        elif self.verb in ("EHLO", "HELO"):
            self.hellos.append(reply)
        else:
            self.replies[self.verb] = reply

    def secured(self, secured: Secured) -> None:
        """Remember version and cipher."""
        self.tls = secured


class Probe(Dialogue):
    """The conversation; without `envelope` it ends before MAIL."""

    __slots__ = ("envelope", "offers", "size")

    def __init__(self, facts: Any, envelope: bool) -> None:
        super().__init__(facts)
        self.envelope = envelope
        self.offers: Offers | None = None
        self.size = 0

    def converse(self) -> Generator[Any, Any, Any]:
        """Go as far as a message would, and take it back."""
        return guarded(self.session, self._walk())

    def _walk(self) -> Generator[Any, Any, None]:
        session = self.session
        self.offers = yield from introduce(session)
        if self.envelope:
            content, mail, rcpts = transact.written(session, self.offers)
            self.size = content.size
            session.stage = "transaction"
            yield Flight(mail, phases.MAIL)
            reply = yield from session.reply(phases.MAIL)
            if not verdicts.positive(reply):
                raise verdicts.mail(session, reply)
            replies = []
            for rcpt in rcpts:
                yield Flight(rcpt, phases.RCPT)
                replies.append((yield from session.reply(phases.RCPT)))
            if not all(map(verdicts.positive, replies)):
                raise verdicts.rcpt(session, replies)
            yield from session.ask("RSET", phases.MAIL)
        yield from session.leave()


class Seen:
    """What came of a session: `phase` is where it stopped, `failure` why."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.failure: Failure | None = None
        self.phase = ""
        self.offers: Offers | None = None
        self.size = 0  # octets of the message that would be sent
        self.mechanism: str | None = None
        self.ehlo = ""
        self.mode = "none"
        self.private = False


def run(
    case: Case, hub: Mailhub, credentials: Credentials | None, envelope: bool
) -> Seen:
    """Talk to the mailhub as a message would; `envelope`: up to RCPT."""
    config = case.config
    assert config is not None
    attempt = Attempt(config, hub, 0, Watch())
    return _driven(case, attempt, credentials, envelope)


def _driven(
    case: Case, attempt: Attempt, credentials: Credentials | None, envelope: bool
) -> Seen:
    watch = attempt.trace
    assert isinstance(watch, Watch)
    seen = Seen(watch)
    seen.mode = attempt.mode
    dialogues: list[Probe] = []

    def begin(whose: Attempt, link: Link, bare: bool, data: bool) -> Dialogue:
        assert case.envelope is not None
        assert case.message is not None
        facts = whose.facts(
            link,
            case.envelope,
            case.message,
            accounts.ehlo_name(whose.config),
            credentials,
            bare=bare,
            data=data,
        )
        seen.ehlo, seen.private = facts.ehlo, facts.private
        dialogues.append(Probe(facts, envelope))
        return dialogues[-1]

    try:
        channel, _outcome = blocking.run(attempt.converse(begin))
        channel.close()
    except Failure as failure:
        seen.failure = failure
    except Again:
        pass  # only who has a message to send goes on from there
    if dialogues:
        session = dialogues[-1].session
        seen.phase = session.phase.name
        seen.offers, seen.mechanism = dialogues[-1].offers, session.mechanism
        seen.size = dialogues[-1].size
    return seen


class _Lenient(ssl.SSLContext):
    """A context that takes whatever it is shown, and remembers it."""

    made: ssl.SSLObject | None = None

    def wrap_bio(self, *args: Any, **more: Any) -> ssl.SSLObject:
        """Remember the session, which knows the certificate once it is set up."""
        self.made = super().wrap_bio(*args, **more)
        return self.made


class Glance(Attempt):
    """A session that ends as soon as TLS is there; nobody is verified."""

    def __init__(self, config: Config, hub: Mailhub, mode: str) -> None:
        super().__init__(config, hub, 0, Watch())
        self.mode = mode
        self.lenient = _lenient(config)

    def _context(self, wanted: bool) -> ssl.SSLContext:
        return self.lenient

    def _clocks(self) -> phases.Clocks:
        clocks = super()._clocks()
        clocks.command = min(clocks.command, GLANCE_MOST)
        return clocks

    def certificate(self) -> bytes:
        """Return the mailhub's certificate in DER, or nothing."""
        made = self.lenient.made
        try:
            return (made.getpeercert(True) if made is not None else None) or b""
        except ValueError:  # TLS was never set up
            return b""

    def version(self) -> str:
        """Return the version of TLS, or nothing."""
        made = self.lenient.made
        return (made.version() if made is not None and self.certificate() else "") or ""


def _lenient(config: Config) -> _Lenient:
    made = _Lenient(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made.minimum_version = ssl.TLSVersion.TLSv1
    if config.use_tls_cert:
        try:
            made.load_cert_chain(config.tls_cert, config.tls_key or None, lambda: "")
        except (OSError, ValueError):
            pass  # the strict one has said so
    return made


def glance(case: Case, hub: Mailhub, mode: str) -> tuple[Glance, Seen]:
    """Look at the TLS of a mailhub; `mode` is implicit or starttls."""
    config = case.config
    assert config is not None
    attempt = Glance(config, hub, mode)
    return attempt, _driven(case, attempt, None, False)
