"""The login: where the password comes from, how it is shown, and why it is refused."""

from __future__ import annotations

from ssmtp import credentials
from ssmtp.config import Mailhub
from ssmtp.ctl.doctor import refusals, tls
from ssmtp.ctl.doctor.case import Case
from ssmtp.ctl.doctor.findings import Report
from ssmtp.ctl.doctor.probe import Seen
from ssmtp.ctl.reasons import PASSWORDS
from ssmtp.ctl.words import _
from ssmtp.errors import EX_NOPERM, AuthRefused, ConfigError, Failure
from ssmtp.smtp.offers import Offers

BLANK = " \t\u00a0"
QUOTES = "\"'"
GROUP = 4  # letters; Google shows an app password in four such groups
APP_PASSWORD = 16
GOOGLE = (".gmail.com", ".google.com", ".googlemail.com")


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
        report.failed("auth.settings", failure)
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
    case.oddities = oddities(secret, [hub.host or "" for hub in hubs], config.auth_pass)
    for oddity in case.oddities:
        report.warn("auth.odd-password", oddity, _("correct the line, if it is wrong"))


def _nobody(report: Report, case: Case) -> None:
    config = case.config
    assert config is not None
    given = [name for name, attribute in PASSWORDS if getattr(config, attribute)]
    if given:
        report.warn(
            "auth.no-user",
            _("There is {key}, but no AuthUser: nobody logs in.").format(
                key=", ".join(given)
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


def oddities(secret: str, hosts: list[str], written: object) -> list[str]:
    """Return what is strange about a password, in sentences that do not show it."""
    found = []
    google = any(f".{host.lower()}".endswith(GOOGLE) for host in hosts)
    groups = secret.replace("\u00a0", " ").split(" ")
    four = [GROUP] * GROUP == [len(group) for group in groups]
    if secret and secret[0] in BLANK:
        found.append(_("The password begins with a blank."))
    if secret and secret[-1] in BLANK:
        found.append(_("The password ends with a blank."))
    if secret and (secret[0] in QUOTES or secret[-1] in QUOTES):
        found.append(_("The password begins or ends with a quote, which is sent, too."))
    if four and not google:
        found.append(
            _(
                "The password has blanks between four groups, as Google shows its app"
                " passwords; for this mailhub the blanks are sent."
            )
        )
    elif not four and not found and any(char in BLANK for char in secret):
        found.append(_("The password has a blank in it, which is sent, too."))
    if not secret.isascii():
        found.append(_("The password has letters outside of ASCII; mailhubs differ."))
    if google and secret and not _is_app_password(secret) and written is not None:
        found.append(
            _("The password does not look like an app password of Google (16 letters).")
        )
    return found


def _is_app_password(secret: str) -> bool:
    plain = secret.replace(" ", "")
    return len(plain) == APP_PASSWORD and plain.isascii() and plain.isalnum()


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
    known = refusals.find(failure.reply, hub.host)
    if known is not None:
        what, step = known.sentence(what), known.step()
    elif failure.reply is not None and failure.exit_code == EX_NOPERM:
        what = _("The mailhub does not accept user and password: {what}").format(
            what=what
        )
    if case.oddities and failure.reply is not None:
        step = " ".join((f"{step}.", *case.oddities))
    if failure.reply is None:
        name = "auth.mechanism" if _safe(case, seen) else "auth.clear"
    facts = {} if known is None else {"known": known.id, "source": known.source}
    finding = report.error(name, what, step, failure.exit_code, **facts)
    finding.fatal = tls.passes_not(failure)
