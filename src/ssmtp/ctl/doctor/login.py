"""The login: where the password comes from, how it is shown, and why it is refused."""

from __future__ import annotations

from ssmtp import credentials
from ssmtp.config import Mailhub
from ssmtp.ctl.doctor import oddities, refusals, settings, tls
from ssmtp.ctl.doctor.case import Case
from ssmtp.ctl.doctor.findings import Report, sentence
from ssmtp.ctl.doctor.probe import Seen
from ssmtp.ctl.reasons import PASSWORDS
from ssmtp.ctl.words import _
from ssmtp.errors import EX_NOPERM, AuthRefused, ConfigError, Failure
from ssmtp.smtp.offers import Offers
from ssmtp.smtp.reply import Reply

CLOSED = ("account disabled", "account is disabled", " locked", "suspended")
WRITTEN = ("password", "credentials", "words")  # rows about what was written
TOKENS = ("XOAUTH2", "OAUTHBEARER")


def prepare(report: Report, case: Case) -> None:
    """Get the password, as a message would, before anybody is talked to."""
    account, config = case.account, case.config
    assert account is not None
    assert config is not None
    asked, hubs = case.request.options, account.identity.mailhubs
    try:
        found = credentials.from_config(config, asked, hubs)
    except Failure as failure:
        case.locked = True
        what = failure.what
        if isinstance(failure, AuthRefused) and not case.faulty:
            what = _blank(case) or what
        report.error("auth.settings", what, failure.next_step, failure.exit_code)
        return
    if found is None:
        _nobody(report, case)
        return
    sources = [name for name, attribute in PASSWORDS if getattr(config, attribute)]
    try:
        secret = found.secret().reveal() if sources else ""
    except Failure as failure:
        _locked(report, case, failure)
        return
    report.keep_hidden(secret)
    case.credentials = found
    text = _("Login as {user}, with the password of {source}.")
    source = ", ".join(sources) or "TLSCert"
    report.ok("auth.password", text.format(user=found.user, source=source))
    names = [hub.host or "" for hub in hubs]
    for oddity in oddities.of_password(secret, names, config.auth_pass):
        case.oddities.append(oddity)
        report.warn("auth.odd-password", oddity, _("correct the line, if it is wrong"))


def _blank(case: Case) -> str:
    """Say which line would have the password, and has none."""
    lines = settings.origins(case.text)
    for name, attribute in PASSWORDS:
        if case.config and attribute in lines and not getattr(case.config, attribute):
            text = _("AuthUser is set, but {key} in {path}, line {line} is blank")
            at = lines[attribute][-1]
            return text.format(key=name, path=case.path, line=at)
    return ""


def _nobody(report: Report, case: Case) -> None:
    config = case.config
    assert config is not None
    given = [name for name, attribute in PASSWORDS if getattr(config, attribute)]
    if given:
        case.unused = ", ".join(given)
        report.warn(
            "auth.no-user",
            _("There is {key}, but no AuthUser: nobody logs in.").format(
                key=case.unused
            ),
            _("add a line AuthUser=you@example.org"),
        )
        if config.auth_pass is not None:
            report.keep_hidden(config.auth_pass.reveal())
        return
    report.ok("auth.none", _("There is no AuthUser: mail goes out without a login."))


def _locked(report: Report, case: Case, failure: Failure) -> None:
    """Say why the password cannot be had; where an agent has it that is meant."""
    case.locked = True
    if case.road is not None and isinstance(failure, ConfigError):
        report.skip(
            "auth.password",
            _("{what}. The agent has the password, so the login is not tried.").format(
                what=failure.what
            ),
        )
        return
    report.failed("auth.password", failure)


def good(report: Report, case: Case, hub: Mailhub, seen: Seen) -> None:
    """Tell how the login went."""
    offered = seen.offers.auth if seen.offers is not None else []
    _before_tls(report, hub, seen)
    if seen.mechanism is None:
        if offered and case.credentials is None and not case.locked:
            text = _("{hub} offers a login ({offered}), and there is no AuthUser.")
            told = text.format(hub=hub, offered=", ".join(offered))
            report.note("auth.offered", told, offered=offered)
        return
    assert case.config is not None
    if case.config.auth_method:
        why = _("AuthMethod says so")
    elif seen.mechanism.startswith("SCRAM"):
        why = _("of those offered it shows the password to nobody")
    else:
        why = _("of those offered it is the best, and the connection is safe")
    report.ok(
        "auth.login",
        _("{hub} accepts the login by {mechanism}: {why} ({offered}).").format(
            hub=hub, mechanism=seen.mechanism, why=why, offered=", ".join(offered)
        ),
        mechanism=seen.mechanism,
        offered=offered,
    )


def _before_tls(report: Report, hub: Mailhub, seen: Seen) -> None:
    hellos = seen.watch.hellos
    if seen.watch.tls is None or len(hellos) < 2:
        return
    if Offers(hellos[0].lines[1:]).auth:
        text = _("{hub} would take a password before TLS, too; we never do that.")
        report.note("auth.before-tls", text.format(hub=hub))


def _safe(case: Case, seen: Seen) -> bool:
    """Whether the password was allowed to go over this connection."""
    verified = seen.watch.tls is not None and seen.watch.tls.verified
    allowed = case.config is not None and case.config.allow_cleartext_auth
    return seen.private or verified or allowed


def bad(report: Report, case: Case, hub: Mailhub, seen: Seen) -> None:
    """Tell why the login failed, in plain words."""
    failure = seen.failure
    assert failure is not None
    what, step = failure.what, failure.next_step
    name = "auth.login" if isinstance(failure, AuthRefused) else "auth.later"
    token = seen.mechanism in TOKENS and failure.exit_code == EX_NOPERM
    known = refusals.find(failure.reply, hub.host)
    if known is not None and not (token and "credentials" in known.id):
        what, step = known.sentence(what), known.step()
    elif failure.reply is not None and _closed(failure.reply):
        what = _("The mailhub has closed this account: {what}").format(what=what)
        step = _("ask its administrator why")
    elif failure.reply is not None and failure.exit_code == EX_NOPERM:
        what = _refused(what, failure.reply.code, token)
    elif failure.reply is None and not isinstance(failure, AuthRefused):
        name = "auth.broken"
        step = _(
            "check AuthUser and the password, for some mailhubs break off when they are"
            " wrong; else try again later"
        )
    elif failure.reply is None:
        name = "auth.mechanism" if _safe(case, seen) else "auth.clear"
    if failure.exit_code == EX_NOPERM and failure.reply is not None:
        user = case.credentials.user if case.credentials is not None else ""
        what = " ".join((sentence(what), *case.oddities, *oddities.of_user(user)))
        if known is None or known.id.endswith(WRITTEN):
            step = _located(case, step)
    step = tls.hurried(case.config, failure, step)
    facts = {} if known is None else {"known": known.id, "source": known.source}
    finding = report.error(name, what, step, failure.exit_code, **facts)
    finding.fatal = tls.passes_not(failure)


def _closed(reply: Reply) -> bool:
    """Whether a refusal is about the account, and not about its password."""
    # 5.7.13 is "user account disabled" in the registry of RFC 5248.
    about = any(word in reply.text.lower() for word in CLOSED)
    return reply.code >= 500 and (reply.status == "5.7.13" or about)


def _refused(what: str, code: int, token: bool) -> str:
    """Say in plain words what a refusal of AUTH means (RFC 4954 section 6)."""
    if token:
        text = _("The mailhub does not accept the access token: {what}")
    elif code in (500, 501, 502, 504):
        text = _("The mailhub does not understand this login: {what}")
    else:
        text = _("The mailhub does not accept user and password: {what}")
    return text.format(what=what)


def _located(case: Case, step: str) -> str:
    """Add to a step where user and password are written."""
    lines = settings.origins(case.text)
    found = [
        (name, lines[attribute][-1])
        for name, attribute in (("AuthUser", "auth_user"), *PASSWORDS)
        if attribute in lines and case.config and getattr(case.config, attribute)
    ]
    if len(found) < 2:
        return step
    text = _("{step}; {keys} stand in {path}, lines {lines}")
    return text.format(
        step=step,
        keys=", ".join(name for name, _line in found),
        path=case.path,
        lines=", ".join(str(line) for _name, line in found),
    )
