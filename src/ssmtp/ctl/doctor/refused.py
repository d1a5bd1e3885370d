"""What a mailhub means that does not take our name or our sender, and what to do."""

from __future__ import annotations

from ssmtp import direct
from ssmtp.config import Mailhub
from ssmtp.ctl.doctor.case import Case
from ssmtp.ctl.doctor.probe import Seen
from ssmtp.ctl.words import _
from ssmtp.errors import EX_NOPERM, Failure
from ssmtp.smtp.reply import Reply

NAME = (501, 504, 550, 553)  # replies to EHLO that are about the name
NAMES = ("helo", "ehlo", "hostname", "host name", "fqdn", "fully", "domain")
OTHERS = ("LMTP", "FTP")  # which greet with 220, too
# RFC 3463 section 3.2: the domain of the recipient, that of the sender.
NO_DOMAIN = (".1.2", ".1.8")


def hello(hub: Mailhub, seen: Seen, failure: Failure) -> tuple[str, str]:
    """Say why EHLO was refused; of all that it can mean the name is only one."""
    reply, greeting = failure.reply, seen.watch.greeting
    assert reply is not None
    text = reply.text.lower()
    said = set(greeting.text.upper().split()) if greeting is not None else set()
    if other := next((name for name in OTHERS if name in said), ""):
        what = _("{hub} speaks {other}, not SMTP: {reply}")
        step = _("check host and port of Mailhub")
    elif reply.code < 500:
        what = _("{hub} is not ready: {reply}")
        step = _("try again later")
    elif reply.code in (500, 502):
        what = _("{hub} does not know EHLO, so it has neither TLS nor a login: {reply}")
        step = _("check host and port of Mailhub")
    elif reply.code in NAME or any(name in text for name in NAMES):
        what = _("{hub} does not accept our name {name} in EHLO: {reply}")
        step = _(
            "set Hostname to a full name that the DNS knows, such as host.example.org"
        )
    else:
        what = _("{hub} refuses to talk to this machine: {reply}")
        step = _("ask its administrator whether this machine may use it")
    return what.format(hub=hub, name=seen.ehlo, reply=reply, other=other), step


def sender(case: Case, hub: Mailhub, failure: Failure) -> tuple[str, str]:
    """Say why the sender was refused, and what would make it another one."""
    reply = failure.reply
    assert reply is not None
    if failure.exit_code == EX_NOPERM:
        return _nobody(case, hub, failure)
    path = case.envelope.reverse_path if case.envelope is not None else None
    what, step = failure.what, failure.next_step
    if path is not None and unknown_domain(reply):
        what = _("{hub} finds no domain {domain}, and so refuses the sender: {reply}")
        what = what.format(hub=hub, domain=path.domain, reply=reply)
        step = _("set RewriteDomain to the domain of your mail")
    elif reply.code < 500 or reply.code == 552:
        return what, step
    user = case.config.auth_user or "" if case.config is not None else ""
    login = case.request.caller.login
    own = case.site.revaliases if case.site is not None else []
    if written := [one for one in own if one.login == login and one.address]:
        place = _("{path}, line {line}")
        place = place.format(path=written[-1].path, line=written[-1].line)
        step = _("correct the sender in {place}").format(place=place)
    elif "@" in user and str(path).lower() != user.lower():
        text = _("{step}; or add the line {login}:{user} to {path} (revaliases)")
        step = text.format(
            step=step,
            login=login,
            user=user,
            path=direct.beside_it(case.path),
        )
    return what, step


def _nobody(case: Case, hub: Mailhub, failure: Failure) -> tuple[str, str]:
    """Say why nobody has logged in, where the mailhub wants a login."""
    config = case.config
    if config is None or config.auth_user or not case.unused:
        return failure.what, failure.next_step
    text = _("{hub} wants a login, and there is {key} but no AuthUser: {reply}")
    what = text.format(hub=hub, key=case.unused, reply=failure.reply)
    return what, _("add a line AuthUser=you@example.org")


def unknown_domain(reply: Reply) -> bool:
    """Whether the mailhub has looked a domain up, and there is none."""
    status, text = reply.status or "", reply.text.lower()
    found = "domain not found" in text or "domain does not exist" in text
    # The same status is said of senders that are blocked.
    about = any(word in text for word in ("domain", "host", "resolv", "dns"))
    return found or (about and status.endswith(NO_DOMAIN))
