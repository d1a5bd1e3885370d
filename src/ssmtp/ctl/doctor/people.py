"""Who mail comes from, and who gets that of root, of local users and of anybody."""

from __future__ import annotations

import pwd

from ssmtp import accounts, direct, intake, options
from ssmtp.ctl.doctor import beside
from ssmtp.ctl.doctor.case import Case
from ssmtp.ctl.doctor.findings import Report
from ssmtp.ctl.setup import providers
from ssmtp.ctl.words import _
from ssmtp.errors import ConfigError, Failure

PERSON_MOST = 60000  # uids above belong to programs again
# Ends of names that hold within a machine or a network.
LOCAL = frozenset("local localdomain localhost lan home internal intranet corp".split())
NAMED = 3  # users in a sentence

TEXT = b"Subject: ssmtpctl doctor\n\nThis is never sent.\n"


def check(report: Report, case: Case) -> None:
    """Read revaliases and aliases, and work out envelope and message of a test."""
    if case.config is None:
        return
    case.site = beside.site(report, case)
    if case.site is None:
        case.stop = True
        return
    try:
        case.account = direct.account_of(case.site, case.request.caller)
    except Failure as failure:
        case.stop = True
        if case.road is not None and not case.config.mailhubs:
            report.note(
                "config.mailhub", _("No mailhub is set; the agent has its own.")
            )
        elif case.faulty and not case.config.mailhubs:
            report.skip("config.mailhub", _("No other line names a mailhub."))
        elif case.config.mailhubs:
            report.failed("people.sender", failure)
        elif not report.first("error"):
            report.failed("config.mailhub", failure)
        return
    _sender(report, case)
    _known_here_only(report, case)
    _root(report, case)
    _strangers(report, case)
    _prepare(report, case)


def _sender(report: Report, case: Case) -> None:
    account, site = case.account, case.site
    assert account is not None
    assert site is not None
    login, config = case.request.caller.login, account.config
    lines = [r for r in site.revaliases if r.login == login and r.address]
    where = _("the login name, at {domain}").format(domain=accounts.domain(config))
    if lines:
        where = _("{path}, line {line}").format(
            path=lines[-1].path, line=lines[-1].line
        )
    hubs = [r for r in site.revaliases if r.login == login and r.mailhub]
    if hubs:
        report.note(
            "people.mailhub",
            _("Mail of {login} goes to {hub}, by {path}, line {line}.").format(
                login=login,
                hub=account.identity.mailhubs[0],
                path=hubs[-1].path,
                line=hubs[-1].line,
            ),
        )
    own = str(account.identity.address)
    override = _("FromLineOverride is not set, so callers cannot choose another sender")
    if config.from_line_override:
        override = _("callers may choose another one, by FromLineOverride")
    report.ok(
        "people.sender",
        _("Mail of {login} comes from {address} ({where}; {override}).").format(
            login=login, address=own, where=where, override=override
        ),
        address=own,
    )
    user = config.auth_user or ""
    theirs = user.rpartition("@")[2].lower()
    if _anybodys(theirs) and own.lower() != user.lower():
        report.note(
            "people.other-sender",
            _(
                "The account is {user}, and mail comes from {address}: the provider may"
                " write its own address there, or refuse it."
            ).format(user=user, address=own),
            _("add the line {login}:{user} to {path}").format(
                login=login, user=user, path=direct.beside_it(case.path)
            ),
        )


def _known_here_only(report: Report, case: Case) -> None:
    """Warn of a domain behind local names that means nothing to other machines."""
    account = case.account
    assert account is not None
    domain = account.names.domain
    config = account.config
    if not config.rewrite_domain and accounts.ehlo_name(config) is None:
        return  # told of with the name of the machine
    if _is_public(domain):
        return
    own = str(account.identity.address).lower()
    tell = report.warn if own.endswith(f"@{domain.lower()}") else report.note
    tell(
        "people.domain",
        _(
            "Addresses of local users end in @{domain}, which means nothing to other"
            " machines: mailhubs refuse such senders, and replies get lost."
        ).format(domain=domain),
        _("set RewriteDomain to the domain of your mail, such as example.org"),
    )


def _is_public(domain: str) -> bool:
    """Whether a domain can be one that the whole world knows (RFC 6761, RFC 6762)."""
    last = domain.lower().rstrip(".").rpartition(".")
    return bool(last[0]) and last[2] not in LOCAL and not last[2].isdigit()


def _root(report: Report, case: Case) -> None:
    """Say who gets the mail of root, that of cron for one."""
    account = case.account
    assert account is not None
    try:
        found = ", ".join(map(str, account.names.recipient("root")))
        rule = _(account.names.rule("root"))
    except Failure as failure:
        report.failed("people.root", failure)
        return
    text = _("Mail for root goes to {addresses}: {rule}.")
    report.ok("people.root", text.format(addresses=found, rule=rule), addresses=found)
    config = account.config
    if not config.rewrite_domain and found.lower() == f"root@{account.names.domain}":
        report.note(
            "people.root-unread",
            _(
                "Nobody may read {address}: no line says who gets the mail of root."
            ).format(address=found),
            _("set Root={address}").format(
                address=config.auth_user
                if "@" in (config.auth_user or "")
                else "you@example.org"
            ),
        )


def _anybodys(domain: str) -> bool:
    """Whether anybody may have an address there."""
    # Theirs is no host that setup knows.
    return providers.is_public(domain) or domain == "mail.com"


def _strangers(report: Report, case: Case) -> None:
    """Warn of local names that are addresses of strangers at a public service."""
    account = case.account
    assert account is not None
    domain = account.names.domain.lower()
    if not _anybodys(domain):
        return
    own = {(account.config.auth_user or "").lower()}
    own |= {line.address.lower() for line in case.site.revaliases} if case.site else own
    lost = []
    for login in ("root", *_persons(account.config.min_user_id)):
        try:
            found = [str(one).lower() for one in account.names.recipient(login)]
        except Failure:
            continue
        if f"{login.lower()}@{domain}" in found and not {*found} & own:
            lost.append(login)
    user = account.config.auth_user or ""
    if lost:
        report.warn(
            "people.strangers",
            _(
                "Mail for {users} goes to {first}@{domain} and the like: strangers at a"
                " public service."
            ).format(
                users=", ".join(lost[:NAMED]) + (" …" if lost[NAMED:] else ""),
                first=lost[0],
                domain=domain,
            ),
            _(
                "set Root={address}, and name the others in a file of Aliases; or take"
                " {key} out"
            ).format(
                address=user if "@" in user else "you@example.org",
                key="RewriteDomain" if account.config.rewrite_domain else "Hostname",
            ),
            users=lost,
        )


def _persons(least: int) -> list[str]:
    return [
        user.pw_name for user in pwd.getpwall() if least <= user.pw_uid < PERSON_MOST
    ]


def _prepare(report: Report, case: Case) -> None:
    """Work out whom a test message would reach: the address, else who gets root's."""
    account = case.account
    assert account is not None
    whom = case.address or "root"
    asked = options.scan("ssmtpctl", [*case.request.argv, "--", whom])
    taken = intake.from_blocks(b"", [TEXT])
    try:
        case.envelope, case.message = direct.prepare(account, asked, taken)
    except Failure as failure:
        case.stop = True
        name = (
            "people.aliases" if isinstance(failure, ConfigError) else "people.address"
        )
        if report.first("error") is None or case.address:
            report.failed(name, failure)
        return
    if case.address:
        found = ", ".join(map(str, case.envelope.recipients))
        rule = _("as it is written")
        if "@" not in case.address:
            rule = _(account.names.rule(case.address))
        text = _("Mail for {whom} goes to {addresses}: {rule}.")
        text = text.format(whom=case.address, addresses=found, rule=rule)
        report.ok("people.address", text, addresses=found)
        for one in case.envelope.recipients:
            domain = str(one).rpartition("@")[2]
            if "." not in domain and domain[:1] != "[":
                text = _("{address} has no whole domain: {domain} has no dot.")
                step = _("correct the address, such as {address}.example.org")
                report.warn(
                    "people.address",
                    text.format(address=one, domain=domain),
                    step.format(address=one),
                )
