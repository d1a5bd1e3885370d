"""What the answers become: the settings of ssmtp.conf, and the lines of revaliases."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from ssmtp import accounts
from ssmtp.config import KEYS, Config, uncommented, unquoted
from ssmtp.ctl import confwriter
from ssmtp.ctl.confwriter import Setting
from ssmtp.ctl.setup import providers
from ssmtp.ctl.setup.discovery import Server
from ssmtp.ctl.words import _
from ssmtp.errors import ConfigError, UsageError
from ssmtp.values import BLANKS, shown

# What setup decides; all else is taken over from the configuration that was there.
DECIDED = {
    *("mailhub", "remoteport", "usetls", "usestarttls", "tlsverify", "root"),
    *("authuser", "authpass", "authpassfile", "authpasscommand", "authpasscredential"),
    *("authmethod", "useoldauth", "allowcleartextauth", "fromlineoverride"),
    *("forcefrom", "rewritedomain"),
}


@dataclass(frozen=True)
class Answers:
    """What is known about the account, from flags, questions and discovery."""

    address: str
    sender: str
    name: str
    user: str
    root: str
    server: Server
    method: str
    ca_file: str


def text(answers: Answers, password: Sequence[Setting], before: str) -> str:
    """Return the configuration; raises `Failure` when it cannot hold an answer."""
    server = answers.server
    settings = [Setting("mailhub", server.mailhub(), _where(server))]
    settings += tls(server, answers.ca_file)
    if answers.user:
        words = _("Who the mailhub knows us as.")
        settings.append(Setting("AuthUser", answers.user, words))
        if answers.method:
            settings.append(Setting("AuthMethod", answers.method))
        settings += password
    root = _("Who gets the mail for root and the other users of the system.")
    settings.append(Setting("root", answers.root, root))
    settings.append(_domain(answers))
    settings.append(_override(answers))
    settings += _taken_over(before, settings)
    heading = _(
        "Written by ssmtpctl setup, to be read and changed by you. Each line is"
        " key=value;\nssmtp.conf(5) tells all keys. revaliases, beside this file, says"
        " which local user\nwrites under which address."
    )
    return confwriter.text(settings, heading)


def _where(server: Server) -> str:
    if server.provider is not None:
        words = _("Where the mail goes: {name}.").format(name=server.provider.name)
    else:
        words = _("Where the mail goes.")
    if server.tls == "implicit":
        return words + " " + _("TLS from the first octet.")
    if server.tls == "starttls":
        return words + " " + _("STARTTLS is required.")
    return words


def tls(server: Server, ca_file: str) -> list[Setting]:
    """Return the settings about TLS that the port does not say by itself."""
    settings = []
    if server.tls == "implicit" and server.port != 465:
        settings.append(Setting("UseTLS", "yes"))
    elif server.tls == "starttls" and server.port not in (465, 587):
        settings.append(Setting("UseSTARTTLS", "yes"))
    elif server.tls == "none":
        words = _("Without TLS: anybody on the way can read the mail.")
        settings.append(Setting("UseTLS", "no", words))
    if ca_file:
        words = _("Whom to trust besides the authorities that the system knows.")
        settings.append(Setting("TLS_CA_File", ca_file, words))
    return settings


def _domain(answers: Answers) -> Setting:
    """Set RewriteDomain where no local name can become the address of a stranger.

    The domain is that of an organization when this machine has a name in it, or when it
    is one of those that a provider serves, and not the provider's own.
    """
    domain = answers.sender.rpartition("@")[2]
    here = accounts.host(Config("ssmtp.conf")).lower()
    ours = here.endswith("." + domain.lower()) or answers.server.hosted
    if ours and not providers.is_public(domain):
        words = _("The domain of local names, as in a mail to bob.")
        return Setting("rewriteDomain", domain, words)
    return Setting(
        "",
        "",
        _(
            "rewriteDomain is not set: mail to a local name, such as bob, must not go"
            " to a stranger\nwho happens to be bob@{domain}."
        ).format(domain=domain),
    )


def _override(answers: Answers) -> Setting:
    provider = answers.server.provider
    if provider is not None and provider.strict:
        words = _(
            "Programs may not choose the sender: {name} takes none but the account's"
            " own."
        ).format(name=provider.name)
        return Setting("FromLineOverride", "no", words)
    return Setting(
        "FromLineOverride", "yes", _("Programs may choose the sender of their mail.")
    )


def _taken_over(before: str, settings: Sequence[Setting]) -> list[Setting]:
    """Return the settings of before that no answer is about."""
    known = {key.name.lower(): key for key in KEYS}
    decided = DECIDED | {setting.key.lower() for setting in settings}
    hub = next(value for key, value, _words in settings if key == "mailhub")
    lines = [*_lines(before)]
    if hub not in [value for name, value in lines if name == "mailhub"]:
        decided.add("tlsfingerprint")  # it was that of another mailhub
    kept: list[Setting] = []
    for name, value in lines:
        key = known.get(name)
        if key is None or name in decided or not value:
            continue
        words = "" if kept else _("Taken over from the configuration of before.")
        value = value if key.kind == "command" else unquoted(value)
        kept.append(Setting(key.name, value, words))
    return kept


def _lines(before: str) -> list[tuple[str, str]]:
    """Return the keys, in small letters, and the values of a configuration."""
    found = []
    for line in before.splitlines():
        name, equals, value = uncommented(line).partition("=")
        if equals:
            found.append((name.strip(BLANKS).lower(), value.strip(BLANKS)))
    return found


def revaliases(path: str, logins: Sequence[str], sender: str, name: str) -> str:
    """Return the lines of revaliases with those of `logins` put in their place."""
    address = _named(sender, name)
    lines = (confwriter.read(path) or "").splitlines()
    for login in logins:
        line = f"{login}:{address}"
        places = [
            at
            for at, old in enumerate(lines)
            if old.partition("#")[0].partition(":")[0].strip(BLANKS) == login
            and ":" in old.partition("#")[0]
        ]
        if places:
            lines[places[-1]] = line
            for at in reversed(places[:-1]):
                del lines[at]
        else:
            lines.append(line)
    return "".join(f"{line}\n" for line in lines)


def _named(sender: str, name: str) -> str:
    """Return the address with a name before it, as revaliases can hold it."""
    if not name:
        return sender
    plain = name.replace(" ", "").replace("-", "").replace("'", "").replace(".", "")
    quoted = name if plain.isalnum() and "." not in name else f'"{name}"'
    text = f"{quoted} <{sender}>"
    try:
        found = accounts.parse_revaliases(f"me:{text}".encode(), "revaliases")
        good = [(line.login, line.address, line.mailhub) for line in found]
        if good != [("me", text, None)] or '"' in name or not name.isprintable():
            raise ValueError
    except (ValueError, ConfigError):
        raise UsageError(
            _("--name cannot be {name}").format(name=shown(name)),
            _("leave # and quotes out"),
        ) from None
    return text


def beside(path: str) -> str:
    """Return the path of the revaliases that belong to a configuration."""
    return os.path.join(os.path.dirname(path), "revaliases")
