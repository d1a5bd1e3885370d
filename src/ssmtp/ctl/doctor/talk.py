"""What the mailhub says from its greeting to RCPT, and what each refusal means."""

from __future__ import annotations

from ssmtp.config import Mailhub
from ssmtp.ctl import listed
from ssmtp.ctl.doctor import keyfiles, login, probe, refusals, refused, settings, tls
from ssmtp.ctl.doctor.case import Case
from ssmtp.ctl.doctor.findings import Report
from ssmtp.ctl.doctor.probe import Seen
from ssmtp.ctl.words import _
from ssmtp.errors import (
    EX_DATAERR,
    AuthRefused,
    ConfigError,
    InputRefused,
    NetworkTrouble,
    RecipientRefused,
)
from ssmtp.smtp import verdicts
from ssmtp.smtp.offers import Offers
from ssmtp.smtp.reply import Reply

# In which order a session comes to them; with TLS from the first octet TLS is first.
STEPS = ("greeting", "hello", "starttls", "tls", "auth", "sender", "recipient")
IMPLICIT = ("tls", "greeting", "hello", "auth", "sender", "recipient")
SMALL = 1_000_000  # octets; a photograph is larger
PHASES = {
    "greeting": "greeting",
    "EHLO": "hello",
    "STARTTLS": "starttls",
    "TLS": "tls",
    "AUTH": "auth",
    "MAIL": "sender",
    "RCPT": "recipient",
}


def check(report: Report, case: Case, hub: Mailhub) -> None:
    """Have a session with the mailhub, and tell of it step by step."""
    seen = probe.run(case, hub, case.credentials, not case.locked)
    failed = stopped(seen)
    if failed == "files":
        assert seen.failure is not None
        assert case.config is not None
        keyfiles.bad(report, case.config, seen.failure)
        return
    if failed == "address":
        assert seen.failure is not None
        report.failed("people.address", seen.failure)
        return
    for step in IMPLICIT if seen.mode == "implicit" else STEPS:
        if step == failed:
            _bad(report, case, hub, seen, step)
            return
        _good(report, case, hub, seen, step)


def stopped(seen: Seen) -> str:
    """Return the step at which a session ended, nothing when it came to its end."""
    failure, watch = seen.failure, seen.watch
    if failure is None:
        return ""
    if isinstance(failure, ConfigError):
        return "files"
    if isinstance(failure, InputRefused):
        return "address"
    step = PHASES.get(seen.phase, "greeting")
    if isinstance(failure, AuthRefused) and step not in ("sender", "recipient"):
        return "auth"
    if step == "hello" and not watch.waiting and failure.reply is None:
        # EHLO was answered well, and what it offers is not enough.
        return "starttls" if watch.hellos else "greeting"
    return step


def _good(report: Report, case: Case, hub: Mailhub, seen: Seen, step: str) -> None:
    watch = seen.watch
    if step == "greeting" and watch.greeting is not None:
        text = _("{hub} greets: {reply}")
        report.ok("smtp.greeting", text.format(hub=hub, reply=watch.greeting))
    elif step == "hello" and watch.hellos:
        _hello(report, hub, seen)
    elif step == "tls":
        tls.good(report, case, hub, seen)
    elif step == "auth":
        login.good(report, case, hub, seen)
    elif step == "sender" and (reply := watch.replies.get("MAIL")):
        _sender(report, case, seen, reply)
    elif step == "recipient" and (reply := watch.replies.get("RCPT")):
        assert case.envelope is not None
        names = ", ".join(map(str, case.envelope.recipients))
        text = _("{hub} takes mail for {names}: {reply}")
        report.ok("smtp.recipient", text.format(hub=hub, names=names, reply=reply))


def _hello(report: Report, hub: Mailhub, seen: Seen) -> None:
    first = seen.watch.hellos[0]
    offers = ", ".join(line.strip() for line in first.lines[1:]) or _("nothing")
    report.ok(
        "smtp.hello",
        _("It accepts our name {name}, and offers {offers}.").format(
            name=seen.ehlo, offers=offers
        ),
        ehlo=seen.ehlo,
        offers=[line.strip() for line in first.lines[1:]],
    )


def _sender(report: Report, case: Case, seen: Seen, reply: Reply) -> None:
    assert case.envelope is not None
    text = _("It accepts the sender {sender}: {reply}")
    sender = str(case.envelope.reverse_path or "<>")
    report.ok("smtp.sender", text.format(sender=sender, reply=reply), sender=sender)
    size = seen.offers.size if seen.offers is not None else 0
    if size:
        text = _("It takes messages of up to {size}.")
        report.ok("smtp.size", text.format(size=listed.size(size)), octets=size)
        step = _("ask its administrator to take larger ones")
        text = _("Messages larger than {size} are refused: that is very little.")
        text = text.format(size=listed.size(size))
        if size < seen.size:
            report.error("smtp.size", text, step, EX_DATAERR, octets=size)
        elif size < SMALL:
            report.warn("smtp.size", text, step, octets=size)
        least = case.config.max_message_size if case.config is not None else None
        if least and least > size:
            report.note(
                "smtp.size",
                _("MaxMessageSize lets larger ones into the queue than it takes."),
                _("set MaxMessageSize={size}").format(size=size),
            )


def _bad(report: Report, case: Case, hub: Mailhub, seen: Seen, step: str) -> None:
    failure = seen.failure
    assert failure is not None
    if step in ("auth", "sender", "recipient") and _wants_tls(seen):
        _clear(report, hub, seen)
    elif step == "tls":
        tls.bad(report, case, hub, seen)
    elif step == "auth":
        login.bad(report, case, hub, seen)
    elif step == "greeting":
        _greeting(report, case, hub, seen)
    elif step == "recipient" and isinstance(failure, RecipientRefused):
        _recipient(report, case, hub, seen)
    else:
        name = "tls.starttls" if step == "starttls" else f"smtp.{step}"
        what, next_step = failure.what, failure.next_step
        known = refusals.find(failure.reply, hub.host)
        if known is not None:
            what, next_step = known.sentence(what), known.step()
        elif failure.reply is not None and step == "hello":
            what, next_step = refused.hello(hub, seen, failure)
        elif failure.reply is not None and step == "sender":
            what, next_step = refused.sender(case, hub, failure)
        elif failure.reply is not None and refused.unknown_domain(failure.reply):
            next_step = _("check the domain of the address")
        next_step = tls.hurried(case.config, failure, next_step)
        finding = report.error(name, what, next_step, failure.exit_code)
        finding.fatal = tls.passes_not(failure)


def _wants_tls(seen: Seen) -> bool:
    """Whether the connection is in clear, and the mailhub would have it by TLS."""
    failure, watch = seen.failure, seen.watch
    if watch.tls is not None or failure is None:
        return False
    if failure.reply is not None:
        # RFC 4954 section 6: 538 is "encryption required".
        return failure.reply.code == 538 or "STARTTLS" in failure.reply.text.upper()
    offers = Offers(watch.hellos[-1].lines[1:]) if watch.hellos else Offers(())
    return "STARTTLS" in offers and not offers.auth and isinstance(failure, AuthRefused)


def _clear(report: Report, hub: Mailhub, seen: Seen) -> None:
    """Say that the mailhub waits for STARTTLS."""
    failure = seen.failure
    assert failure is not None
    text = _("{hub} takes nothing without TLS, and the connection is in clear")
    what = text.format(hub=hub)
    if failure.reply is not None:
        what = f"{what}: {failure.reply}"
    else:
        text = _("{hub} offers no login before TLS, and the connection is in clear")
        what = text.format(hub=hub)
    step = _("take UseTLS=no out, or set UseSTARTTLS=yes")
    finding = report.error("tls.wanted", what, step, failure.exit_code)
    finding.fatal = tls.passes_not(failure)


def _no_relay(reply: Reply | None) -> bool:
    # RFC 3463 §3.8: 5.7.1 is "not authorized". Old servers just say it in words.
    return reply is not None and (
        reply.status == "5.7.1" or "relay" in reply.text.lower()
    )


def _recipient(report: Report, case: Case, hub: Mailhub, seen: Seen) -> None:
    failure = seen.failure
    assert failure is not None
    known = refusals.find(failure.reply, hub.host)
    if known is not None:
        what = known.sentence(failure.what)
        report.error("smtp.recipient", what, known.step(), failure.exit_code)
        return
    if _no_relay(failure.reply):
        report.error(
            "smtp.relay",
            _("{hub} does not take mail for others from this machine: {reply}").format(
                hub=hub, reply=failure.reply
            ),
            _("set AuthUser and a password, or ask its administrator to let us"),
            failure.exit_code,
        )
        return
    if case.address:
        report.failed("smtp.recipient", failure)
        return
    what = _("Mail for root does not arrive: {what}").format(what=failure.what)
    lines = settings.origins(case.text).get("root", [])
    if case.config is not None and case.config.root and lines:
        # Somebody wants that mail, and waits for it in vain.
        place = _("{path}, line {line}").format(path=case.path, line=lines[-1])
        step = _("correct Root in {place}").format(place=place)
        report.error("smtp.recipient", what, step, failure.exit_code)
        return
    report.warn("smtp.recipient", what, _("set Root to an address that exists"))


def _greeting(report: Report, case: Case, hub: Mailhub, seen: Seen) -> None:
    """Find out what listens there, when it does not greet as a mailhub does."""
    failure = seen.failure
    assert failure is not None
    what, step = failure.what, failure.next_step
    silent = isinstance(failure, NetworkTrouble)
    known = refusals.find(failure.reply, hub.host)
    if known is not None:
        what, step = known.sentence(what), known.step()
    elif silent and step.endswith(verdicts.LATER):
        step = _(
            "check host and port of Mailhub (587, 465 or 25), and ask its administrator"
            " whether this machine may use it"
        )
    if silent and seen.mode != "implicit" and hub.path is None:
        about, other = probe.glance(case, hub, "implicit")
        if about.certificate():
            what = _(
                "{hub} speaks TLS from the first octet, and the configuration has us"
                " wait for a greeting in clear."
            ).format(hub=hub)
            step = _("set UseTLS=yes and take UseSTARTTLS out, or use port 465")
        elif other.failure is not None and not isinstance(
            other.failure, NetworkTrouble
        ):
            what = _("{hub} does not greet, so it is no mailhub: {why}").format(
                hub=hub, why=other.failure.what
            )
            step = _("check host and port of Mailhub")
    step = tls.hurried(case.config, failure, step)
    finding = report.error("smtp.greeting", what, step, failure.exit_code)
    finding.fatal = tls.passes_not(failure)
