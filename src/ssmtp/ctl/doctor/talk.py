"""What the mailhub says from its greeting to RCPT, and what each refusal means."""

from __future__ import annotations

from ssmtp.config import Mailhub
from ssmtp.ctl import listed
from ssmtp.ctl.doctor import login, probe, refusals, tls
from ssmtp.ctl.doctor.case import Case
from ssmtp.ctl.doctor.findings import Report
from ssmtp.ctl.doctor.probe import Seen
from ssmtp.ctl.words import _
from ssmtp.errors import AuthRefused, ConfigError, NetworkTrouble, RecipientRefused
from ssmtp.smtp.reply import Reply

# In which order a session comes to them; with TLS from the first octet TLS is first.
STEPS = ("greeting", "hello", "starttls", "tls", "auth", "sender", "recipient")
IMPLICIT = ("tls", "greeting", "hello", "auth", "sender", "recipient")
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
        report.failed("tls.files", seen.failure)
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
    if step == "tls":
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
        if step == "hello" and failure.reply is not None:
            what = _("{hub} does not accept our name {name} in EHLO: {reply}").format(
                hub=hub, name=seen.ehlo, reply=failure.reply
            )
            next_step = _(
                "set Hostname to a full name that the DNS knows, such as"
                " host.example.org"
            )
        known = refusals.find(failure.reply, hub.host)
        if known is not None:
            what, next_step = known.sentence(what), known.step()
        elif failure.reply is not None and _wants_tls(seen, failure.reply):
            name = "tls.wanted"
            text = _("{hub} takes nothing without TLS, and the connection is in clear")
            what = f"{text.format(hub=hub)}: {failure.reply}"
            next_step = _("take UseTLS=no out, or set UseSTARTTLS=yes")
        finding = report.error(name, what, next_step, failure.exit_code)
        finding.fatal = tls.passes_not(failure)


def _wants_tls(seen: Seen, reply: Reply) -> bool:
    return seen.watch.tls is None and "STARTTLS" in reply.text.upper()


def _no_relay(reply: Reply | None) -> bool:
    # RFC 3463 §3.8: 5.7.1 is "not authorized". Old servers just say it in words.
    return reply is not None and (
        reply.status == "5.7.1" or "relay" in reply.text.lower()
    )


def _recipient(report: Report, case: Case, hub: Mailhub, seen: Seen) -> None:
    failure = seen.failure
    assert failure is not None
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
    report.warn(
        "smtp.recipient",
        _("Mail for root does not arrive: {what}").format(what=failure.what),
        _("set Root to an address that exists"),
    )


def _greeting(report: Report, case: Case, hub: Mailhub, seen: Seen) -> None:
    """Find out what listens there, when it does not greet as a mailhub does."""
    failure = seen.failure
    assert failure is not None
    what, step = failure.what, failure.next_step
    silent = isinstance(failure, NetworkTrouble)
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
    finding = report.error("smtp.greeting", what, step, failure.exit_code)
    finding.fatal = tls.passes_not(failure)
