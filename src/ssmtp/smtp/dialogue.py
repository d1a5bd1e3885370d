"""One message to one mailhub, as a conversation: greet, upgrade, authenticate, submit.

The dialogue is a generator. It yields steps (`ssmtp.smtp.steps`) and is sent what came
of them; it owns no socket and no clock, and reads from top to bottom like the example
session of RFC 5321 (appendix D). A driver in `ssmtp.wire` does what the steps say. The
dialogue ends with a `Receipt`, or raises a `Failure` that knows its scope; or `Again`,
when the same mailhub would take the message on a new connection, said more simply.

Rules

1. **Strict accounting.** Every flight knows how many replies it asks for. The driver
   refuses to write a flight while anything is unread: such an answer came before its
   question, from a server that is out of step or from somebody in the middle
   (CVE-2011-0411, and the extra 250 behind 354 that makes other clients say "sent").
2. **The stage decides what a broken connection means.** Before MAIL it says nothing
   about the message. In the transaction the message goes out later. Once the last octet
   of the content may have left (`Flight.committed`), only a reply tells: without one
   the message is *in doubt*, and may arrive twice.
3. **All or nothing.** One refused recipient, and the content is not sent, or not ended.
   With a single recipient the mailhub itself refuses the content when it refused the
   recipient, so all of it may go in one flight.
4. **QUIT never decides, but it may witness** (see `transact`).
5. **AUTH never happens in clear** unless the peer is this machine or the configuration
   says so, and never twice with one password. No AUTH, no MAIL.
6. What the mailhub offers before TLS is forgotten after TLS (RFC 3207 §4.2).

Where to look: `authenticate` for AUTH, `transact` for MAIL and what follows, `verdicts`
for what each refusal means, `lines` for what may be written at all.
"""

from __future__ import annotations

from ssmtp.errors import Failure, Interrupted, MailhubRefused, SiteTrouble
from ssmtp.smtp import phases, verdicts
from ssmtp.smtp.offers import Offers
from ssmtp.smtp.reply import escaped
from ssmtp.smtp.session import Session
from ssmtp.smtp.steps import Broken, StartTls
from ssmtp.smtp.transact import transact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any, TypeVar

    from ssmtp.receipt import Receipt
    from ssmtp.smtp.reply import Reply
    from ssmtp.smtp.session import Facts
    from ssmtp.smtp.steps import Talk

    T = TypeVar("T")


class Dialogue:
    """The conversation about one message."""

    __slots__ = ("session",)

    def __init__(self, facts: Facts) -> None:
        self.session = Session(facts)

    @property
    def greeted(self) -> bool:
        """Whether the mailhub has said anything; if not, another address may do."""
        return self.session.greeted

    def converse(self) -> Generator[Any, Any, Receipt]:
        """Submit the message; return the receipt. Raises `Failure` or `Again`."""
        return guarded(self.session, _converse(self.session))


def guarded(session: Session, talk: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
    """Go through with a part of the session; what breaks it off becomes a `Failure`."""
    try:
        return (yield from talk)
    except Broken as broken:
        raise verdicts.broken(session, broken) from broken
    except (Interrupted, KeyboardInterrupt):
        if session.stage == "content":
            does = "had not answered when this run was interrupted"
            raise verdicts.doubt(session, does) from None
        raise
    except Failure as failure:
        failure.phase = session.phase.name
        yield from session.leave()
        raise


def _converse(session: Session) -> Generator[Any, Any, Receipt]:
    offers = yield from introduce(session)
    return (yield from transact(session, offers))


def introduce(session: Session) -> Generator[Any, Any, Offers]:
    """Do all that comes before MAIL: greet, upgrade, authenticate."""
    facts = session.facts
    if facts.tls == "implicit":
        yield from _secure(session)
    yield from _greeting(session)
    offers = yield from _hello(session)
    if facts.tls == "starttls" and "STARTTLS" not in offers:
        raise SiteTrouble(
            f"{session.hub} does not offer STARTTLS, and nothing is sent in clear",
            "check the port: 465 wants UseTLS=Yes without UseSTARTTLS",
        )
    if facts.tls in ("starttls", "opportunistic") and "STARTTLS" in offers:
        offers = yield from _starttls(session, offers)
    if facts.credentials is not None:
        from ssmtp.smtp.authenticate import authenticate

        yield from authenticate(session, facts.credentials, offers)
    return offers


def _greeting(session: Session) -> Talk:
    reply = yield from session.reply(phases.GREETING)
    session.polite = True
    if reply.code == 220:
        return
    if reply.code >= 500:
        raise MailhubRefused(
            f"{session.hub} refuses to talk to this machine: {reply}",
            "ask its administrator whether this machine may use it",
            reply=reply,
        )
    if reply.code >= 400:
        raise SiteTrouble(
            f"{session.hub} is not ready: {reply}", "try again later", reply=reply
        )
    raise SiteTrouble(
        f"{session.hub} greets with {reply.code}, which makes no sense: {reply}",
        "check host and port of Mailhub",
        reply=reply,
    )


def _hello(session: Session) -> Generator[Any, Any, Offers]:
    facts = session.facts
    reply: Reply = yield from session.ask(f"EHLO {facts.ehlo}", phases.HELLO)
    if reply.code == 250:
        return Offers(reply.lines[1:])
    if (
        reply.code in (500, 502, 504)
        and facts.tls in ("none", "opportunistic")
        and facts.credentials is None
        and session.secured is None
    ):
        # RFC 5321 §3.2: an old server. It can do neither TLS nor AUTH.
        reply = yield from session.ask(f"HELO {facts.ehlo}", phases.HELLO)
        if reply.code == 250:
            return Offers(())
    step = "try again later"
    if reply.code in (500, 502, 504):
        step = "it can do neither TLS nor AUTH then: check host and port of Mailhub"
    elif reply.code >= 500:
        step = f"it was told the name {escaped(facts.ehlo)}: Hostname changes that"
    raise SiteTrouble(f"{session.hub} answered EHLO with {reply}", step, reply=reply)


def _starttls(session: Session, offers: Offers) -> Generator[Any, Any, Offers]:
    reply = yield from session.ask("STARTTLS", phases.STARTTLS)
    if reply.code == 220:
        yield from _secure(session)
        return (yield from _hello(session))
    if reply.code == 421:
        raise SiteTrouble(
            f"{session.hub} ended the session: {reply}", "try again later", reply=reply
        )
    if session.facts.tls == "opportunistic" and reply.code >= 400:
        # Time may give TLS to a password that cannot do without.
        if reply.code >= 500 or _free(session.facts):
            return offers
    raise SiteTrouble(
        f"{session.hub} refused STARTTLS, and nothing is sent in clear: {reply}",
        "try again later, or ask its administrator",
        reply=reply,
    )


def _secure(session: Session) -> Talk:
    # Opportunistic TLS need not be verified (RFC 7435), unless a password needs it.
    facts = session.facts
    session.phase = phases.TLS
    session.polite = False
    session.secured = yield StartTls(facts.tls != "opportunistic" or not _free(facts))
    session.polite = True


def _free(facts: Facts) -> bool:
    """Whether there is no password that must not go in clear."""
    credentials = facts.credentials
    return credentials is None or credentials.cleartext_ok or facts.private
