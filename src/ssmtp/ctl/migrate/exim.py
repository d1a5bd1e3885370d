"""Exim as Debian configures it for a smarthost: update-exim4.conf.conf, passwd.client."""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from ssmtp.accounts import uid_of
from ssmtp.config import Mailhub
from ssmtp.ctl.migrate import accounts, aliasfile, server, sources
from ssmtp.ctl.migrate.sources import Places, first_line, lines
from ssmtp.ctl.migrate.taken import Draft, Entry, Rule
from ssmtp.ctl.words import _
from ssmtp.errors import ConfigError
from ssmtp.values import is_ipv6

# ruff: noqa: E501 (a row of the table is a line)
TITLE = "Exim"
FILES = (
    "/etc/exim4/update-exim4.conf.conf",
    "/etc/exim4/passwd.client",
    "/etc/exim4/exim4.conf.localmacros",
    "/etc/email-addresses",
    "/etc/mailname",
    "/etc/aliases",
)
_LISTENS = _("ssmtp takes mail from this machine only, by sendmail; see ListenLoopback")
_LOCAL = _(
    "nothing is delivered on this machine: Root= and Aliases= say who gets mail for local names"
)
_BUILD = _("it is about how Debian puts Exim's configuration together")
RULES = (
    Rule("dc_smarthost", "Mailhub", note=_("each of them, with port; TLS as the port says, required with a password")),
    Rule("passwd.client", "AuthUser, AuthPassFile", note=_("the first line that fits the smarthost, by name, * or ^")),
    Rule("dc_readhost", "RewriteDomain", note=_("with dc_hide_mailname=true; else mailname")),
    Rule("dc_hide_mailname", "RewriteDomain"),
    Rule("mailname", "RewriteDomain, Hostname"),
    Rule("email-addresses", "revaliases", note=_("for logins of this machine")),
    Rule("aliases", "Aliases"),
    Rule("REMOTE_SMTP_SMARTHOST_HOSTS_REQUIRE_TLS", "UseSTARTTLS"),
    Rule("REMOTE_SMTP_SMARTHOST_HOSTS_AVOID_TLS", "UseTLS"),
    Rule("REMOTE_SMTP_SMARTHOST_PROTOCOL", "UseTLS"),
    Rule("REMOTE_SMTP_SMARTHOST_TLS_VERIFY_CERTIFICATES", "TLS_CA_File"),
    Rule("REMOTE_SMTP_SMARTHOST_TLS_CERTIFICATE", "TLSCert"),
    Rule("REMOTE_SMTP_SMARTHOST_PRIVATEKEY", "TLSKey"),
    Rule("REMOTE_SMTP_HELO_DATA", "Hostname"),
    Rule("REMOTE_SMTP_INTERFACE", "SourceAddress"),
    Rule("AUTH_CLIENT_ALLOW_NOTLS_PASSWORDS", "AllowCleartextAuth", note=_("it is not taken over: STARTTLS is required")),
    Rule("MAIN_HARDCODE_PRIMARY_HOSTNAME", "Hostname"),
    Rule("dc_eximconfig_configtype", "", _("ssmtp is what Exim calls a satellite: all mail goes to the mailhub")),
    Rule("dc_other_hostnames", "", _LOCAL),
    Rule("dc_localdelivery", "", _LOCAL),
    Rule("dc_mailname_in_oh", "", _LOCAL),
    Rule("dc_local_interfaces", "", _LISTENS),
    Rule("dc_relay_domains", "", _LISTENS),
    Rule("dc_relay_nets", "", _LISTENS),
    Rule("dc_minimaldns", "", _("nothing but the mailhub is looked up")),
    Rule("dc_use_split_config", "", _BUILD),
    Rule("CFILEMODE", "", _BUILD),
    Rule("ue4c_keepcomments", "", _BUILD),
    Rule("MAIN_TLS_*", "", _LISTENS),
    Rule("MAIN_*", "", _("it is about Exim as a server")),
    Rule("REMOTE_SMTP_*", "", _("ssmtp has no such setting; what a mailhub offers is used as it should be")),
    Rule("CHECK_*", "", _LISTENS),
    Rule("AUTH_SERVER_*", "", _LISTENS),
)  # fmt: skip


def find(places: Places) -> list[Path]:
    """Return update-exim4.conf.conf, if it is there, and what belongs to it."""
    found = places.find(FILES[:4], ())
    main = [path for path in found if path.name == "update-exim4.conf.conf"]
    return main + [path for path in found if path not in main and places.given]


def read(draft: Draft, paths: list[Path], places: Places, wanted: str | None) -> None:
    """Take over the smarthosts, who logs in there, and the names."""
    said = {entry.key: entry for entry in settings(paths[0])}
    kind = said.get("dc_eximconfig_configtype")
    if kind is None:
        raise ConfigError(
            _("{path} has no dc_eximconfig_configtype").format(path=paths[0]),
            _("name Debian's update-exim4.conf.conf with --from"),
        )
    if kind.value not in ("smarthost", "satellite"):
        raise kind.wrong(
            _("Exim delivers by itself here"),
            _("ssmtp needs a mailhub: ssmtpctl setup"),
        )
    macros = _macros(places)
    hubs = _hubs(said, kind)
    host = said["dc_smarthost"]
    mode, at = _mode(macros, hubs[0], host)
    login = _login(draft, places, hubs)
    if login:
        # Debian's Exim sends passwords over TLS only, unless a macro says otherwise.
        cleartext = macros.get("AUTH_CLIENT_ALLOW_NOTLS_PASSWORDS")
        if cleartext is None and mode == "opportunistic":
            mode = "starttls"
        elif cleartext:
            hubs[0] = server.in_numbers(draft, host, hubs[0], mode)
            at = cleartext
    for found in hubs:
        server.take_hub(draft, host, found)
    if login:
        entry, user, password = login
        draft.take(entry, "AuthUser", user)
        draft.keep_password(entry, password)
    server.protect(draft, at, hubs[0], mode, login is not None)
    draft.notes.append(
        _(
            "Exim does not insist on the mailhub's certificate, and ssmtp does. If it is"
            " your own: TLS_CA_File= or TLSFingerprint="
        )
    )
    _names(draft, said, macros, places)
    _files(draft, places)
    draft.set("FromLineOverride", "yes")
    for entry in [*said.values(), *macros.values()]:
        if not any(told.entry.key == entry.key for told in draft.told):
            draft.leave(entry, _unused(draft, entry))


def _unused(draft: Draft, entry: Entry) -> str:
    rule = draft.rule(entry.key)
    return _("it says nothing that ssmtp has to know") if rule and rule.ours else ""


def settings(path: Path) -> Iterator[Entry]:
    """Yield the assignments of a file that a shell reads: name='value'."""
    for number, line in lines(path):
        line = line.strip()
        if not line or line[0] == "#":
            continue
        name, equals, value = line.partition("=")
        entry = Entry(path, number, name, "")
        try:
            words = shlex.split(value, comments=True)
        except ValueError:
            raise entry.wrong(
                _("a quote is not closed"), _("close it, and run this again")
            ) from None
        if not equals or not re.fullmatch(r"\w+", name) or len(words) > 1:
            raise entry._replace(key=name.split(" ")[0]).wrong(
                _("this is no line name='value'"), _("correct it there")
            )
        yield entry._replace(value=words[0] if words else "")


def _macros(places: Places) -> dict[str, Entry]:
    path = places.locate("/etc/exim4/exim4.conf.localmacros")
    found: dict[str, Entry] = {}
    if sources.exists(path):
        for number, line in lines(path):
            name, equals, value = line.partition("=")
            if equals and re.fullmatch(r"\s*\w+\s*", name):
                entry = Entry(path, number, name.strip(), value.strip())
                found[entry.key] = entry
    return found


def _hubs(said: dict[str, Entry], kind: Entry) -> list[Mailhub]:
    entry = said.get("dc_smarthost")
    words = split_hosts(entry.value) if entry else []
    if entry is None or not words:
        raise (entry or kind).wrong(
            _("there is no smarthost"), _("ssmtp needs a mailhub: ssmtpctl setup")
        )
    found = []
    for word in words:
        number = None
        host = word
        if word[:1] == "[":
            host, _bracket, rest = word[1:].partition("]")
            number = server.port(entry, rest[1:]) if rest[:1] == ":" else None
        elif not is_ipv6(word) and ":" in word:
            host, _colon, service = word.rpartition(":")
            number = server.port(entry, service)
        # `byname` and the like may stand behind the host in a list of Exim.
        found.append(server.hub(entry, host.split(" ")[0], number))
    return found


def split_hosts(text: str) -> list[str]:
    """Split a list of hosts: at semicolons, or at single colons as it once was.

    Colons within an item are doubled.
    """
    text = text.strip()
    if text.startswith("<;"):
        text = text[2:] + ";"
    if ";" in text:
        items = text.split(";")
    else:
        items = [
            item.replace("\0", "::") for item in re.sub("::", "\0", text).split(":")
        ]
    words = [item.strip() for item in items]
    return [_single(word) for word in words if word]


def _single(word: str) -> str:
    """Write doubled colons as single ones, where all of them are doubled."""
    runs = re.findall(":+", word)
    if all(len(run) % 2 == 0 for run in runs):
        return word.replace("::", ":")
    return word


def _mode(macros: dict[str, Entry], found: Mailhub, host: Entry) -> tuple[str, Entry]:
    protocol = macros.get("REMOTE_SMTP_SMARTHOST_PROTOCOL")
    if protocol and protocol.value == "smtps":
        return "implicit", protocol
    if found.port == 465:
        return "implicit", host
    if required := macros.get("REMOTE_SMTP_SMARTHOST_HOSTS_REQUIRE_TLS"):
        return "starttls", required
    if (
        avoided := macros.get("REMOTE_SMTP_SMARTHOST_HOSTS_AVOID_TLS")
    ) and avoided.value:
        return "none", avoided
    return "opportunistic", host


def _login(
    draft: Draft, places: Places, hubs: list[Mailhub]
) -> tuple[Entry, str, str] | None:
    """Return who logs in, by the first line of passwd.client that fits."""
    path = places.locate("/etc/exim4/passwd.client")
    if not sources.exists(path):
        return None
    rows = []
    for number, line in lines(path):
        line = line.strip()
        if not line or line[0] == "#":
            continue
        entry = Entry(path, number, "passwd.client", "")
        place, colon, rest = line.partition(":")
        user, second, password = rest.strip().partition(":")
        if not colon or not second or not user:
            raise entry.wrong(
                _("this is no line host:user:password"), _("correct it there")
            )
        draft.hide(password)
        rows.append((entry, place.strip().strip('"'), user, password))
    hosts = [hub.host or "" for hub in hubs]
    fitting = [row for row in rows if any(_fits(row[1], host) for host in hosts)]
    if not fitting and len(rows) == 1:
        fitting = rows
        draft.notes.append(
            _(
                "{where}: the line is for {name}, the name that the smarthost's address"
                " leads back to; it is taken for the smarthost"
            ).format(where=rows[0][0].where(), name=rows[0][1])
        )
    for row in rows:
        if not fitting or row is not fitting[0]:
            draft.leave(row[0], _("it is not the first line for the smarthost"))
    return (fitting[0][0], fitting[0][2], fitting[0][3]) if fitting else None


def _fits(pattern: str, host: str) -> bool:
    """Tell whether a line is for a host; * stands first only, ^ begins a regex."""
    if pattern.startswith("^"):
        try:
            return re.search(pattern, host, re.IGNORECASE) is not None
        except re.error:
            return False
    return fnmatch.fnmatchcase(host.lower(), pattern.lower())


def _names(
    draft: Draft, said: dict[str, Entry], macros: dict[str, Entry], places: Places
) -> None:
    path = places.locate("/etc/mailname")
    name = first_line(path)
    mailname = Entry(path, 1, "mailname", name)
    hidden, readhost = said.get("dc_hide_mailname"), said.get("dc_readhost")
    if hidden and hidden.value == "true" and readhost and readhost.value:
        draft.tell(hidden, f"RewriteDomain={readhost.value}")
        accounts.hostname(draft, readhost, readhost.value, "RewriteDomain")
    elif name:
        accounts.hostname(draft, mailname, name, "RewriteDomain")
    if readhost and not draft.has("RewriteDomain"):
        draft.leave(readhost, _("dc_hide_mailname is false, so Exim uses mailname"))
    for key in ("REMOTE_SMTP_HELO_DATA", "MAIN_HARDCODE_PRIMARY_HOSTNAME"):
        if key in macros and "$" not in macros[key].value and not draft.has("Hostname"):
            accounts.hostname(draft, macros[key], macros[key].value)
    for key, ours in (
        ("REMOTE_SMTP_INTERFACE", "SourceAddress"),
        ("REMOTE_SMTP_SMARTHOST_TLS_VERIFY_CERTIFICATES", "TLS_CA_File"),
    ):
        if key in macros:
            server.trust_file(draft, macros[key], macros[key].value, ours)
    server.client_certificate(
        draft,
        macros.get("REMOTE_SMTP_SMARTHOST_TLS_CERTIFICATE"),
        macros.get("REMOTE_SMTP_SMARTHOST_PRIVATEKEY"),
    )


def _files(draft: Draft, places: Places) -> None:
    path = places.locate("/etc/email-addresses")
    if sources.exists(path):
        for number, line in lines(path):
            login, colon, address = line.partition("#")[0].partition(":")
            login, address = login.strip(), address.strip()
            if not colon or not address:
                continue
            entry = Entry(path, number, "email-addresses", "")
            local = login.partition("@")[0]
            if uid_of(local) is None:
                why = _("{name} is no login of this machine").format(name=login)
                draft.leave(entry, why)
            else:
                draft.alias_sender(entry, local, address)
    aliases = Entry(places.locate("/etc/aliases"), 0, "aliases", "")
    if sources.exists(aliases.path):
        aliasfile.take(draft, aliases, "/etc/aliases", places)
