"""AUTH (RFC 4954): one mechanism, one try, and never in clear without leave.

The mechanisms are generators in `sasl`; here is what surrounds them: base64, the
command and its continuations, limits, and what the replies mean. Nothing that goes
wrong here says anything about the message.
"""

from __future__ import annotations

import binascii

from ssmtp.errors import AuthRefused, InputRefused, SiteTrouble
from ssmtp.smtp import lines, phases, sasl, verdicts
from ssmtp.smtp.reply import DOTS
from ssmtp.smtp.steps import Flight

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssmtp.smtp.offers import Offers
    from ssmtp.smtp.reply import Reply
    from ssmtp.smtp.sasl import Credentials, Exchange
    from ssmtp.smtp.session import Session
    from ssmtp.smtp.steps import Talk

INITIAL_MOST = 500  # octets of base64 on the AUTH line; Microsoft wants no more


def authenticate(session: Session, credentials: Credentials, offers: Offers) -> Talk:
    """Authenticate, or raise `AuthRefused` (77) or `SiteTrouble` (75)."""
    secured = session.secured
    safe = session.facts.private or (secured is not None and secured.verified)
    binding = None
    if secured is not None and any("SCRAM-" in m.upper() for m in offers.auth):
        binding = secured.binding  # nothing else binds
    if not safe and not credentials.cleartext_ok:
        raise _exposed(session)
    if not offers.auth:
        raise AuthRefused(
            f"{session.hub} does not offer AUTH, and nothing is sent without it",
            "check port and UseSTARTTLS, or take AuthUser out of the configuration",
        )
    mechanism = sasl.choose(offers.auth, credentials, tls=safe, binding=binding)
    secret = credentials.secret().reveal()
    exchange = sasl.exchange(
        mechanism,
        credentials.user,
        secret,
        binding=binding,
        offered=offers.auth,
        nonce=session.facts.nonce,
        old_auth=credentials.old_auth,
    )
    session.mechanism = mechanism
    session.keep_hidden(secret)
    initial = next(exchange)
    text = ""
    if initial is not None:
        # RFC 4954 §4: an empty initial response is a "=".
        text = binascii.b2a_base64(initial, newline=False).decode() or "="
        session.keep_hidden(text)
    if 0 < len(text) <= INITIAL_MOST:
        line = lines.command(f"AUTH {mechanism} {text}", most=lines.AUTH_MOST)
        yield Flight(line, phases.AUTH, [f"AUTH {mechanism} {DOTS}"])
        initial = None
    else:
        yield Flight(lines.command(f"AUTH {mechanism}"), phases.AUTH)
    reply = yield from session.reply(phases.AUTH)
    yield from _answer(session, exchange, reply, initial)


def _exposed(session: Session) -> AuthRefused:
    """Say why the password stays here, and what would let it go."""
    hub = session.hub
    name, _, port = hub.rpartition(":")
    what = f"no AUTH with {hub} without verified TLS: the password could be read"
    if session.secured is not None:
        what = f"no AUTH with {hub}, which TLSVerify=no does not verify"
        step = "take it out: TLS_CA_File or TLSFingerprint can say whom to trust"
    elif name.lower() == "localhost":
        what = f"no AUTH in clear with {hub}: a name may lead to another machine"
        step = f"write Mailhub=127.0.0.1:{port}, or set UseTLS=yes or UseSTARTTLS=yes"
    else:
        step = "set UseTLS=yes or UseSTARTTLS=yes, as its port wants"
    return AuthRefused(what, f"{step} (or AllowCleartextAuth=yes, if you must)")


def _answer(
    session: Session, exchange: Exchange, reply: Reply, answer: bytes | None
) -> Talk:
    """Answer challenges; `answer` is an initial response still to be sent."""
    # Every mechanism ends by itself: to a challenge too many it raises `AuthRefused`.
    while reply.code == 334:
        if answer is None:
            try:
                answer = exchange.send(_challenge(session, reply))
            except AuthRefused:
                yield from _cancel(session)
                raise
        try:
            line = lines.response(answer or b"")
        except InputRefused as refused:
            # SCRAM says the mailhub's own nonce back to it, however long that is.
            yield from _cancel(session)
            raise AuthRefused(refused.what, "try another AuthMethod") from None
        session.keep_hidden(line[:-2].decode())
        answer = None
        yield Flight(line, phases.AUTH, [DOTS])
        reply = yield from session.reply(phases.AUTH)
    # Who says yes to the command alone has not even seen the credentials.
    _judge(session, exchange, reply, early=answer is not None)


def _challenge(session: Session, reply: Reply) -> bytes:
    text = reply.challenge.strip()
    try:
        if len(text) > sasl.CHALLENGE_LIMIT:
            raise ValueError
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise AuthRefused(
            f"{session.hub} sent an AUTH challenge that is not base64",
            "nothing more was said to it; try another AuthMethod",
            reply=reply,
        ) from None


def _cancel(session: Session) -> Talk:
    # RFC 4954 §4. Its 501 is not waited for: nothing depends on it.
    yield from session.say(lines.CANCEL)


def _judge(session: Session, exchange: Exchange, reply: Reply, *, early: bool) -> None:
    """Return if the reply that ended the exchange means that we are authenticated."""
    hub, mechanism = session.hub, session.mechanism
    if reply.code == 235:
        if not early:
            try:
                exchange.send(None)
            except StopIteration:
                return
        raise AuthRefused(
            f"{hub} ended AUTH {mechanism} too early",
            verdicts.IMPOSTOR,
            reply=reply,
        )
    if reply.code >= 500 and reply.code != 503:
        raise AuthRefused(
            f"{hub} refused AUTH {mechanism}: {reply}",
            verdicts.credentials(mechanism or ""),
            reply=reply,
        )
    raise SiteTrouble(
        f"{hub} answered AUTH {mechanism} with {reply}", "try again later", reply=reply
    )
