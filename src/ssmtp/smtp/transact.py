"""MAIL, RCPT and the content: in as few flights as the mailhub allows.

    PIPELINING, CHUNKING, one recipient, small content    MAIL RCPT BDAT LAST QUIT
    PIPELINING, CHUNKING                                  MAIL RCPT… / BDAT LAST QUIT
    PIPELINING                                            MAIL RCPT… DATA / content QUIT
    neither                                               one by one, QUIT not awaited

Content goes as one chunk, whatever its size: a chunk more would be one reply more that
could be taken for another's.

QUIT never decides, but it may witness. Where it rides along with the content, its reply
is read for two seconds: 221, a 50x with nothing behind it, or a closed connection say
that questions and answers were in step. Anything else may mean that they were shifted
by one, and what looked like the acceptance belonged to RCPT: then the message is in
doubt, unless the acceptance proves by its status (RFC 3463) that it cannot have been an
answer to anything else.
"""

from __future__ import annotations

from ssmtp.errors import InputRefused, SiteTrouble
from ssmtp.receipt import Receipt
from ssmtp.smtp import lines, phases, verdicts
from ssmtp.smtp.reply import escaped
from ssmtp.smtp.steps import Again, Broken, Flight, commands
from ssmtp.smtp.verdicts import positive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from ssmtp.content import Content
    from ssmtp.envelope import Envelope
    from ssmtp.smtp.offers import Offers
    from ssmtp.smtp.reply import Reply
    from ssmtp.smtp.session import Session
    from ssmtp.smtp.steps import Talk

ONE_FLIGHT_MOST = 65536  # octets of content that ride in one flight


class Simpler(Exception):
    """The envelope was refused for its parameters; the session can go on without."""


def transact(session: Session, offers: Offers) -> Generator[Any, Any, Receipt]:
    """Submit the message to all recipients or to none; raise `Failure` or `Again`."""
    try:
        return (yield from _transaction(session, offers))
    except Simpler:
        session.facts.bare = True
        return (yield from _transaction(session, offers))


def _transaction(session: Session, offers: Offers) -> Generator[Any, Any, Receipt]:
    content, mail, rcpts = written(session, offers)
    if offers.size and content.size > offers.size:
        # RFC 1870 §6.1: known before it is tried.
        raise InputRefused(
            f"the message has {content.size} octets, and {session.hub} takes "
            f"{offers.size} at most",
            "make it smaller",
        )
    if session.facts.handoff is not None and "XSUBMIT" not in offers:
        raise SiteTrouble(f"{session.hub} is none of ours", "check AgentSocket")
    session.stage = "transaction"
    pipelining = "PIPELINING" in offers
    chunking = "CHUNKING" in offers and not session.facts.data
    # With one place to ask for recipients, be it the header, a refusal is one of all.
    from_header = " XREAD" in (session.facts.handoff or "")
    small = len(rcpts) + from_header == 1 and content.size <= ONE_FLIGHT_MOST
    if pipelining and chunking and small:
        return (yield from _one_flight(session, content, mail, rcpts))
    if pipelining:
        yield from _envelope_at_once(session, mail, rcpts, data=not chunking)
    else:
        yield from _envelope_by_steps(session, mail, rcpts, data=not chunking)
    return (yield from _content(session, content, chunking, pipelining))


def written(session: Session, offers: Offers) -> tuple[Content, bytes, list[bytes]]:
    """Render the message and write the command lines as this mailhub takes them."""
    facts, envelope = session.facts, session.facts.envelope
    offered = offers.keywords
    eightbit = "8BITMIME" in offered and not facts.bare
    # RFC 6531 §3.1: SMTPUTF8 without 8BITMIME does not exist.
    utf8 = (
        eightbit
        and "SMTPUTF8" in offered
        and (envelope.needs_smtputf8 or facts.message.needs_smtputf8)
    )
    dsn = "DSN" in offered and not facts.bare
    content = facts.message.render(utf8, eightbit)
    path = envelope.reverse_path
    mail = f"MAIL FROM:<{path.path(utf8) if path is not None else ''}>"
    if "SIZE" in offered and not facts.bare:
        mail += f" SIZE={content.size}"
    # What an agent of ours is told of the body, it would tell the mailhub.
    wide = utf8 and facts.handoff is None
    if eightbit and (content.eightbit or wide or envelope.body == "8BITMIME"):
        mail += " BODY=8BITMIME"
    if utf8:
        mail += " SMTPUTF8"
    if dsn and envelope.ret:
        mail += f" RET={envelope.ret}"
    if dsn and envelope.envid:
        mail += f" ENVID={lines.xtext(envelope.envid, 'the envelope id')}"
    mail += facts.handoff or ""
    rcpts = []
    for number, recipient in enumerate(envelope.recipients):
        rcpt = f"RCPT TO:<{recipient.path(utf8)}>"
        if dsn:
            rcpt += _wishes(envelope, number)
        rcpts.append(lines.command(rcpt, utf8=utf8))
    return content, lines.command(mail, utf8=utf8), rcpts


def _wishes(envelope: Envelope, number: int) -> str:
    """Return the parameters of RCPT that ask for delivery reports (RFC 3461 §4)."""
    notify, orcpt = envelope.notify, None
    if envelope.wishes is not None:
        notify, orcpt = envelope.wishes[number]
    text = f" NOTIFY={notify}" if notify else ""
    original = str(envelope.recipients[number])
    if orcpt and orcpt.isascii() and " " not in orcpt:
        text += f" ORCPT={orcpt}"
    elif notify and original.isascii() and "@" in original:
        text += f" ORCPT=rfc822;{lines.xtext(original, 'an address')}"
    return text


# -- the envelope


def _envelope_by_steps(
    session: Session, mail: bytes, rcpts: list[bytes], *, data: bool
) -> Talk:
    """MAIL, RCPT and DATA, each after the reply to the one before."""
    yield Flight(mail, phases.MAIL)
    reply = yield from session.reply(phases.MAIL)
    if not positive(reply):
        if parameter_refused(reply, mail):
            raise Simpler
        raise verdicts.mail(session, reply)
    replies = []
    for rcpt in rcpts:
        yield Flight(rcpt, phases.RCPT)
        reply = yield from session.reply(phases.RCPT)
        replies.append(reply)
        if not positive(reply):
            if parameter_refused(reply, rcpt):
                yield from _reset(session)
            raise verdicts.rcpt(session, replies)
    if data:
        yield Flight(lines.DATA, phases.DATA)
        yield from _data_reply(session)


def _envelope_at_once(
    session: Session, mail: bytes, rcpts: list[bytes], *, data: bool
) -> Talk:
    """MAIL, all RCPT and DATA in one flight (RFC 2920)."""
    head = mail + b"".join(rcpts) + (lines.DATA if data else b"")
    session.polite = False
    yield Flight(head, phases.MAIL)
    first = yield from session.reply(phases.MAIL)
    if not positive(first):
        rest = yield from session.rest(len(rcpts) + data)
        in_step = len(rest) == len(rcpts) + data
        yield from _give_up(session, rest, data, in_step)
        if session.polite and parameter_refused(first, mail):
            yield from _reset(session)
        raise verdicts.mail(session, first)
    replies = []
    for _ in rcpts:
        replies.append((yield from session.reply(phases.RCPT)))
    if all(map(positive, replies)):
        session.polite = True
        if data:
            yield from _data_reply(session)
        return
    rest = yield from session.rest(int(data))
    yield from _give_up(session, [*replies, *rest], data, len(rest) == int(data))
    if session.polite and all(
        positive(reply) or parameter_refused(reply, rcpt)
        for reply, rcpt in zip(replies, rcpts, strict=True)
    ):
        yield from _reset(session)
    raise verdicts.rcpt(session, replies)


def _give_up(session: Session, replies: list[Reply], data: bool, in_step: bool) -> Talk:
    """Do what must be done when DATA was said, and nobody is to get anything.

    RFC 2920 §3.1: behind a 354, a lone dot if no recipient was accepted. In any other
    case the connection is closed, so that no dot can make a message of nothing.
    """
    if not in_step:
        return
    if not data or replies[-1].code != 354:
        session.polite = True
    elif all(reply.code >= 400 for reply in replies[:-1]):
        yield from session.say(lines.FINAL_DOT + lines.QUIT)


def _data_reply(session: Session) -> Talk:
    session.polite = False
    reply = yield from session.reply(phases.DATA)
    if reply.code != 354:
        session.polite = reply.code >= 400
        raise verdicts.data(session, reply)


def _reset(session: Session) -> Talk:
    """Leave the transaction, for one without parameters."""
    reply = yield from session.ask("RSET", phases.MAIL)
    if not positive(reply):
        raise Again(bare=True)
    raise Simpler


def parameter_refused(reply: Reply, line: bytes) -> bool:
    """Whether its parameters made a command refused (RFC 5321 §4.1.1.11)."""
    if line.endswith(b">" + lines.CRLF):
        return False
    if reply.code == 555:
        return True
    addressed = reply.status is not None and reply.status.startswith("5.1.")
    return reply.code in (501, 504) and not addressed


# -- the content


def _one_flight(
    session: Session, content: Content, mail: bytes, rcpts: list[bytes]
) -> Generator[Any, Any, Receipt]:
    """MAIL RCPT BDAT LAST QUIT at once."""
    head = mail + b"".join(rcpts) + lines.bdat(content.size)
    flight = Flight(
        head,
        phases.CONTENT,
        [*commands(head), *as_shown(content), "QUIT"],
        content=lines.chunk(content.blocks(), content.size),
        tail=lines.QUIT,
        before=1 + len(rcpts),
    )
    whole = yield from session.write(flight)
    first = yield from session.reply(phases.MAIL)
    if not positive(first):
        if parameter_refused(first, mail):
            yield from _bare_again(session, flight, 1 + len(rcpts))
        raise verdicts.mail(session, first)
    before = [first]
    for rcpt in rcpts:
        second = yield from session.reply(phases.RCPT)
        if not positive(second):
            if parameter_refused(second, rcpt):
                yield from _bare_again(session, flight, 1)
            raise verdicts.rcpt(session, [second])
        before.append(second)
    reply = yield from session.reply(phases.CONTENT)
    yield from _judge(session, reply, whole, flight)
    yield from witness(session, reply, tuple(before))
    return receipt_of(session, reply, content)


def _bare_again(session: Session, flight: Flight, outstanding: int) -> Talk:
    """Start over without parameters, if nothing can have been accepted."""
    replies: list[Reply] = []
    if flight.committed:
        replies = yield from session.rest(outstanding)
        if len(replies) < outstanding:
            return
    if all(reply.code >= 400 for reply in replies):
        raise Again(bare=True)


def _content(
    session: Session, content: Content, chunking: bool, pipelining: bool
) -> Generator[Any, Any, Receipt]:
    """Send the content after all recipients were accepted, and hear the verdict."""
    shown = as_shown(content)
    if chunking:
        head = lines.bdat(content.size)
        blocks = lines.chunk(content.blocks(), content.size)
        shown = commands(head) + shown
        tail = b""
    else:
        head = b""
        blocks = lines.dotted(content.blocks())
        shown.append(".")
        tail = lines.FINAL_DOT
    if pipelining:
        shown.append("QUIT")
        tail += lines.QUIT
    flight = Flight(head, phases.CONTENT, shown, content=blocks, tail=tail)
    whole = yield from session.write(flight)
    reply = yield from session.reply(phases.CONTENT)
    yield from _judge(session, reply, whole, flight)
    if pipelining:
        yield from witness(session, reply, ())
    else:
        session.polite = True
        if reply.code == 221:
            # Who is shutting down says so too: then QUIT has no answer.
            yield from session.say(lines.QUIT)
            yield from witness(session, reply, ())
        yield from session.leave()
    return receipt_of(session, reply, content)


def _judge(session: Session, reply: Reply, whole: bool, flight: Flight) -> Talk:
    """Return if the reply is the acceptance of the content."""
    if positive(reply) and whole:
        return
    if flight.head and reply.code in (500, 502, 504):
        # It offered CHUNKING, and does not know BDAT. Or it does not know QUIT, and the
        # answer to the content was lost: then nothing more comes.
        if flight.tail and flight.committed and not (yield from session.rest(1)):
            raise verdicts.doubt(session, f"said {reply}, and nothing more", reply)
        raise Again(data=True)
    raise verdicts.content(session, reply, committed=flight.committed)


def witness(session: Session, reply: Reply, before: tuple[Reply, ...]) -> Talk:
    """Hear the answer to QUIT, which tells whether the replies were in step.

    `before` are the replies to MAIL and RCPT, when they came in the same flight.
    """
    certain = bool(before) and is_no_envelope_reply(reply, before)
    # A lone 221 may be the answer to QUIT, when that to the content was lost; a status
    # about addresses may belong to RCPT. Then silence is not enough.
    strange = reply.code == 221 or addressed(reply)
    for _ in range(4):
        try:
            closing = yield from session.reply(phases.QUIT)
        except Broken as broken:
            # A connection that ends here is no answer, which proves nothing either way.
            # Nor does a farewell without end. Silence in the one flight may be that of
            # who still ponders the content, when the replies were shifted.
            odd = broken.garbled and broken.garbled[:4] not in (b"221-", b"221 ")
            silent = broken.late and bool(before)
            if strange or ((odd or silent) and not certain):
                does = f"said {reply}, and then {broken.words}"
                raise verdicts.doubt(session, does, reply) from broken
            return
        if certain or closing.code == 221:
            return
        unknown = 500 <= closing.code <= 509 and not strange
        if unknown and not (yield from session.rest(1)):
            # It does not know QUIT. A shifted refusal would have one more behind it.
            return
        if closing.code == 421 and not before:
            # Nothing was outstanding but the content and QUIT: it is shutting down.
            return
        if not positive(closing):
            break
        # If the replies were shifted, this was the acceptance; go on to the 221.
    does = f"answered QUIT with {closing}, so that its {reply.code} proves nothing"
    raise verdicts.doubt(session, does, reply)


def is_no_envelope_reply(reply: Reply, before: tuple[Reply, ...]) -> bool:
    """Whether a reply cannot be one to MAIL or RCPT, by its status.

    RFC 3463 §3.2: x.1.y speaks of addresses. When MAIL and RCPT were answered so, and
    this was not, then it is none of theirs.
    """
    known = reply.status is not None and not addressed(reply)
    return known and all(map(addressed, before))


def addressed(reply: Reply) -> bool:
    """Whether the status of a reply speaks of addresses."""
    return reply.status is not None and reply.status.startswith("2.1.")


def receipt_of(session: Session, reply: Reply, content: Content) -> Receipt:
    """Return the receipt for an acceptance of the content."""
    secured = session.secured
    return Receipt(
        session.hub,
        reply,
        content.size,
        tls=str(secured) if secured is not None else None,
        mechanism=session.mechanism,
        verified=secured is not None and secured.verified,
    )


def as_shown(content: Content) -> list[str]:
    """Return what `-v` shows of the content."""
    shown = [escaped(line) for line in content.header.split(lines.CRLF) if line]
    return [*shown, f"({content.size} octets in all)"]
