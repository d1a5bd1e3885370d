"""What replies and broken connections mean: whose fault, how far, when again.

Everything the dialogue can fail with is made here, so that scope and time
(`ssmtp.errors`) can be read in one place. An explicit 5xx to MAIL, RCPT, DATA or the
content is for good; all else can be cured by time, or by who keeps the configuration.
"""

from __future__ import annotations

from ssmtp.errors import (
    AuthRefused,
    Deferred,
    Failure,
    InDoubt,
    MessageRefused,
    NetworkTrouble,
    RecipientRefused,
    SiteTrouble,
)
from ssmtp.smtp import phases
from ssmtp.smtp.reply import escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssmtp.smtp.reply import Reply
    from ssmtp.smtp.session import Session
    from ssmtp.smtp.steps import Broken

LATER = "try again later"
IMPOSTOR = "somebody may be playing the mailhub; nothing more was said to it"


def positive(reply: Reply) -> bool:
    """Whether a reply is 2xx: each of them is acceptance (RFC 5321 §4.2.1)."""
    return 200 <= reply.code <= 299


def mail(session: Session, reply: Reply) -> Failure:
    """Return what a refusal of MAIL means."""
    path = session.facts.envelope.reverse_path
    sender = f"<{escaped(str(path)) if path is not None else ''}>"
    if wants_auth(reply):
        return unauthenticated(session, reply)
    if reply.code == 552 or reply.status in ("5.2.3", "5.3.4"):
        # RFC 1870 §6.1
        return MessageRefused(
            f"{session.hub} refused the message for its size: {reply}",
            "make it smaller",
            reply=reply,
        )
    if reply.code >= 500:
        return MessageRefused(
            f"{session.hub} refused the sender {sender}: {reply}",
            "set an address that it accepts (-f, revaliases, RewriteDomain)",
            reply=reply,
        )
    if reply.code >= 400:
        return _later(session, f"does not take the sender {sender} now", reply)
    return _later(session, "answered MAIL with what makes no sense", reply)


def rcpt(session: Session, replies: list[Reply]) -> Failure:
    """Return what refusals among the first replies to RCPT mean for all recipients."""
    names = [escaped(str(name)) for name in session.facts.envelope.recipients]
    bad = [
        (name, reply)
        for name, reply in zip(names, replies, strict=False)
        if not positive(reply)
    ]
    # What is refused for good decides: time does not cure it.
    recipient, reply = next(((n, r) for n, r in bad if r.code >= 500), bad[0])
    name = recipient
    if len(names) > 1:
        name += f" ({len(bad)} of {len(names)} recipients, so nobody got the message)"
    failure = rcpt_refused(session, name, reply)
    failure.recipient = recipient
    return failure


def rcpt_refused(session: Session, name: str, reply: Reply) -> Failure:
    """Return what a refusal of RCPT means for this one recipient."""
    if wants_auth(reply):
        return unauthenticated(session, reply)
    if reply.code >= 500:
        if session.facts.credentials is not None and _no_relay(reply):
            return AuthRefused(
                f"{session.hub} does not let this account send to {name}: {reply}",
                "check AuthUser and the sender address",
                reply=reply,
            )
        return RecipientRefused(
            f"{session.hub} refused {name}: {reply}",
            "correct the address, or leave it out",
            reply=reply,
        )
    if reply.code >= 400:
        return rcpt_later(session, name, reply)
    return _later(session, "answered RCPT with what makes no sense", reply)


def rcpt_later(session: Session, name: str, reply: Reply) -> Failure:
    """Return what it means that a recipient is not taken now."""
    return _later(session, f"does not take {name} now", reply)


def data(session: Session, reply: Reply) -> Failure:
    """Return what an answer to DATA other than 354 means."""
    if reply.code >= 400:
        return content(session, reply, committed=False)
    return Deferred(
        f"{session.hub} answered DATA with {reply.code} instead of 354: {reply}",
        f"nothing was sent; {LATER}",
        reply=reply,
    )


def content(session: Session, reply: Reply, *, committed: bool) -> Failure:
    """Return what an answer to the content other than the acceptance means."""
    if wants_auth(reply):
        return unauthenticated(session, reply)
    if reply.code >= 500:
        return MessageRefused(
            f"{session.hub} refused the message: {reply}",
            "its own words say why",
            reply=reply,
        )
    if reply.code >= 400:
        return _later(session, "does not take the message now", reply)
    if committed:
        return doubt(session, f"answered it with {reply}", reply)
    return Deferred(
        f"{session.hub} answered the message before it had it: {reply}",
        f"nothing was accepted; {LATER}",
        reply=reply,
    )


def doubt(session: Session, does: str, reply: Reply | None = None) -> InDoubt:
    """Return the failure of a message that may have been accepted."""
    message_id = escaped(session.facts.message.message_id)
    return InDoubt(
        f"in doubt: {session.hub} was given message {message_id} and {does}",
        "it may have been accepted, so look for it before sending it again",
        reply=reply,
    )


def broken(session: Session, broken: Broken) -> Failure:
    """Return what a broken connection means at this stage."""
    hub, phase = session.hub, session.phase
    answer = broken.answer
    if answer is not None and answer.code == 421:
        # RFC 5321 §3.8: a server that shuts down may say so at any time.
        words = f"ended the session: {answer}"
    else:
        words = f"{broken.words}{_evidence(session, broken)} while {phase.doing}"
    if session.stage == "content":
        return doubt(session, words, answer)
    if session.stage == "transaction":
        return Deferred(f"{hub} {words}", LATER, reply=answer)
    step = LATER
    if phase is phases.TLS and (answer is not None or broken.garbled):
        # Behind STARTTLS it is no wrong port, but somebody on the way (CVE-2011-0411).
        step = IMPOSTOR
        if session.facts.tls == "implicit":
            step = (
                "set UseSTARTTLS=Yes as well if this port begins in clear, as 587 does"
            )
    elif "certificate required" in broken.words:
        # RFC 8446 §6.2: in TLS 1.3 this comes when we think that all is well.
        step = "set UseTLSCert and TLSCert"
    elif phase is phases.GREETING and not session.greeted:
        words, step = _no_greeting(session, broken, words)
    elif phase is phases.AUTH:
        step += other_binding(session.mechanism or "")
    if broken.garbled or answer is not None:
        return SiteTrouble(f"{hub} {words}", step, reply=answer)
    return NetworkTrouble(f"{hub} {words}", step)


def credentials(mechanism: str) -> str:
    """Return what to do about credentials that were refused."""
    if mechanism == "EXTERNAL":
        return "check TLSCert, and that the mailhub knows it"
    if mechanism in ("XOAUTH2", "OAUTHBEARER"):
        return "the access token may have expired: check what AuthPassCommand prints"
    step = "check AuthUser and the password (some mailhubs want an app password)"
    return step + other_binding(mechanism)


def other_binding(mechanism: str) -> str:
    """Return the way out when a mailhub binds SCRAM to TLS by other means than we.

    A server cannot say which channel bindings it knows. Dovecot 2.4 hangs up when it is
    given tls-server-end-point.
    """
    bare = mechanism.removesuffix("-PLUS")
    if bare == mechanism:
        return ""
    return f"; where other channel bindings are in use, set AuthMethod={bare}"


def _evidence(session: Session, broken: Broken) -> str:
    if broken.answer is not None:
        return f" ({broken.answer})"
    # Once secrets were said, a server that echoes them must not be quoted in pieces.
    if broken.garbled and not session.hide:
        return f" ({escaped(broken.garbled[:40])!r})"
    return ""


OTHER_PROTOCOLS = (
    (b"SSH-", "SSH"),
    (b"HTTP/", "HTTP"),
    (b"+OK", "POP3"),
    (b"* OK", "IMAP"),
    (b"RFB ", "VNC"),
)


def _no_greeting(session: Session, broken: Broken, words: str) -> tuple[str, str]:
    """Guess from a missing greeting what listens on that port."""
    first = broken.garbled
    if first[:2] in (b"\x15\x03", b"\x16\x03"):
        return (
            "speaks TLS from the first octet",
            "set UseTLS=Yes without UseSTARTTLS, as for port 465",
        )
    for beginning, protocol in OTHER_PROTOCOLS:
        if first.startswith(beginning):
            return f"speaks {protocol}, not SMTP", "check host and port of Mailhub"
    if first and not first.startswith(b"220"):
        return (
            f"does not greet like a mailhub, but says {escaped(first[:40])!r}",
            "check host and port of Mailhub",
        )
    if broken.late and session.secured is None:
        step = "a port that wants TLS at once (465) is silent like this, and needs"
        return words, f"{step} UseTLS=Yes without UseSTARTTLS; else {LATER}"
    return words, LATER


def _later(session: Session, does: str, reply: Reply) -> Deferred:
    return Deferred(f"{session.hub} {does}: {reply}", LATER, reply=reply)


def wants_auth(reply: Reply) -> bool:
    """Whether a refusal means that AUTH is missing or not enough (RFC 4954 §6)."""
    return reply.code in (530, 534, 535, 538)


def _no_relay(reply: Reply) -> bool:
    # RFC 3463 §3.8: 5.7.1 is "not authorized". Old servers just say it in words.
    return reply.status == "5.7.1" or "relay" in reply.text.lower()


def unauthenticated(session: Session, reply: Reply) -> AuthRefused:
    """Return what a refusal for want of AUTH means."""
    step = "check AuthUser and the password"
    if session.facts.credentials is None:
        step = "set AuthUser and a password"
    return AuthRefused(
        f"{session.hub} wants authentication: {reply}", step, reply=reply
    )
