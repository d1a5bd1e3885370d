"""s-nail: the variables of ~/.mailrc, /etc/s-nail.rc and /etc/mail.rc about SMTP."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from ssmtp.address import parse_list
from ssmtp.config import Mailhub
from ssmtp.ctl.migrate import accounts, aliasfile, mailrc, server
from ssmtp.ctl.migrate.mailrc import Account
from ssmtp.ctl.migrate.sources import Places
from ssmtp.ctl.migrate.taken import Draft, Entry, Rule
from ssmtp.ctl.words import _
from ssmtp.errors import InputRefused

# ruff: noqa: E501 (a row of the table is a line)
TITLE = "s-nail"
FILES = ("~/.mailrc", "/etc/s-nail.rc", "/etc/mail.rc")
_LIBRARY = _("the TLS library decides; TLSMinVersion=1.3 asks for more")
RULES = (
    Rule("mta", "Mailhub, AuthUser, AuthPassFile", note=_("user and password in it are percent-encoded; with the path of a sendmail nothing has to be done")),
    Rule("smtp", "Mailhub"),
    Rule("smtp-use-starttls", "UseSTARTTLS", note=_("without it a password is not sent in clear: STARTTLS is required")),
    Rule("smtp-auth", "AuthMethod"),
    Rule("smtp-auth-user", "AuthUser"),
    Rule("smtp-auth-password", "AuthPassFile"),
    Rule("user", "AuthUser"),
    Rule("password", "AuthPassFile"),
    Rule("tls-verify", "TLSVerify", note=_("warn and ignore are not taken over: the certificate is verified")),
    Rule("ssl-verify", "TLSVerify", note=_("warn and ignore are not taken over: the certificate is verified")),
    Rule("tls-ca-file", "TLS_CA_File"),
    Rule("ssl-ca-file", "TLS_CA_File"),
    Rule("tls-ca-dir", "TLS_CA_Dir"),
    Rule("ssl-ca-dir", "TLS_CA_Dir"),
    Rule("tls-fingerprint", "TLSFingerprint", note=_("with tls-fingerprint-digest=sha256 only; else the certificate is verified")),
    Rule("ssl-cert", "TLSCert"),
    Rule("ssl-key", "TLSKey"),
    Rule("from", "revaliases"),
    Rule("hostname", "RewriteDomain", _("the domain of names without one; s-nail uses it for From as well")),
    Rule("smtp-hostname", "Hostname", _("the name that the mailhub sees; s-nail uses it for the sender as well")),
    Rule("mta-aliases", "Aliases"),
    Rule("socks-proxy", "Proxy"),
    Rule("socket-connect-timeout", "ConnectTimeout"),
    Rule("account", "-C", _("one account is taken; each other gets a file of its own")),
    Rule("v15-compat", "", _("it says how the lines are to be read, and they were")),
    Rule("netrc-lookup", "", _("~/.netrc is not read: AuthPassFile= or AuthPassCommand=")),
    Rule("netrc-pipe", "AuthPassCommand", _("a command that prints the password alone: write it there yourself")),
    Rule("tls-config-pairs", "", _("of its pairs there are TLSCert, TLSKey and TLSMinVersion")),
    Rule("tls-config-*", "", _LIBRARY),
    Rule("tls-fingerprint-digest", "", _("fingerprints are SHA-256")),
    Rule("tls-crl-*", "", _("put the list into the file that TLS_CA_File names")),
    Rule("ssl-crl-*", "", _("put the list into the file that TLS_CA_File names")),
    Rule("tls-ca-flags", "", _LIBRARY),
    Rule("tls-ca-no-defaults", "", _("the system's certificates are trusted as well; TLSFingerprint trusts one")),
    Rule("tls-rand-file", "", _LIBRARY),
    Rule("tls-features", "", _LIBRARY),
    Rule("ssl-ca-flags", "", _LIBRARY),
    Rule("ssl-ca-no-defaults", "", _("the system's certificates are trusted as well; TLSFingerprint trusts one")),
    Rule("ssl-no-default-ca", "", _("the system's certificates are trusted as well; TLSFingerprint trusts one")),
    Rule("ssl-method", "", _LIBRARY),
    Rule("ssl-protocol", "", _LIBRARY),
    Rule("ssl-cipher-list", "", _LIBRARY),
    Rule("ssl-curves", "", _LIBRARY),
    Rule("ssl-config-*", "", _LIBRARY),
    Rule("ssl-rand-file", "", _LIBRARY),
    Rule("mta-*", "", _("it is for a sendmail that s-nail calls; ssmtp understands its options")),
    Rule("sendmail*", "", _("it names a sendmail that s-nail calls: let it be ours")),
    Rule("source", "", _("it is not followed: name that file with --from, too")),
)  # fmt: skip
# The variables that are about sending; all others are s-nail's own business.
OURS = re.compile(
    r"(smtp|mta|tls-|ssl-|socks-|socket-|netrc|user$|user-|password|from$|hostname$"
    r"|v15-compat|sendmail|source$)"
)
PORTS = {"smtp": None, "submission": 587, "smtps": 465, "submissions": 465}


def find(places: Places) -> list[Path]:
    """Return the files that speak of SMTP; every machine has the others."""
    own = (places.home and places.home / ".mailrc",)
    found = places.find(("/etc/s-nail.rc", "/etc/mail.rc"), own)
    return [path for path in found if places.given or mailrc.speaks_of_smtp(path)]


def read(draft: Draft, paths: list[Path], places: Places, wanted: str | None) -> None:
    """Take over the wanted account, or what is set outside of any."""
    known: dict[str, Account] = {}
    # s-nail reads the system's file first, and the user's own may change all of it.
    for path in [*paths[1:], paths[0]] if not places.given else paths:
        mailrc.read(path, known)
    base = known.pop("")
    if wanted is None and (base.variables.keys() & {"mta", "smtp"} or not known):
        chosen = base
    else:
        chosen = accounts.choose(known, wanted)
        chosen.variables = {**base.variables, **chosen.variables}
    for account in [base, *known.values()]:
        for entry in account.variables.values():
            if "password" in entry.key:
                draft.hide(entry.value, unquote(entry.value))
            draft.hide(*re.findall(r"://[^:@/]*:([^@/]+)@", entry.value))
    _take(draft, chosen, places)
    for account in known.values():
        if account is not chosen:
            sender = account.variables.get("from")
            accounts.other(
                draft, account.at, account.name, sender and sender.value, False
            )


class Lookup:
    """Variables that exist for a user at a host, for a host, and plain."""

    def __init__(self, variables: dict[str, Entry]) -> None:
        self.variables = variables
        self.used: set[str] = set()
        self.host = self.user = ""

    def __call__(self, name: str) -> Entry | None:
        """Return the nearest one: name-USER@HOST, name-HOST, name."""
        for tail in (f"-{self.user}@{self.host}", f"-{self.host}", ""):
            if (entry := self.variables.get(name + tail)) is not None:
                self.used.add(entry.key)
                return entry._replace(key=name)
        return None


def _take(draft: Draft, account: Account, places: Places) -> None:
    look = Lookup(account.variables)
    new = "v15-compat" in account.variables
    at = look("smtp") or look("mta")
    if at is None or at.value.startswith(("/", "file:", "test")) or not at.value:
        raise (at or account.at).wrong(
            _("s-nail sends with a sendmail here, not by itself"),
            _("with ssmtp as sendmail it goes on; for a mailhub: ssmtpctl setup"),
        )
    scheme, user, password, found = _url(at, new)
    look.host = (found.host or "").lower()
    sender = account.variables.get("from")
    if not new and sender and "@" in sender.value:
        # As s-nail once had it, the chains are about the sender.
        own, _at, domain = sender.value.rpartition("@")
        look.user, look.host = own, domain
    named = look("smtp-auth-user" if not new else "user")
    if not user and named:
        user = named.value
    if new:
        look.user = user
    method = look("smtp-auth")
    secret = method.value != "none" if method else new
    word = look("smtp-auth-password" if not new else "password") or look("password")
    if not password and word:
        password = word.value
    implicit = scheme in ("smtps", "submissions")
    starttls = look("smtp-use-starttls")
    mode = "implicit" if implicit else "starttls" if starttls else "none"
    if secret:
        found = server.in_numbers(draft, at, found, mode)
    server.take_hub(draft, at, found)
    if secret:
        _credentials(draft, at, named, word, method, user, password)
    elif method or word or named:
        for entry in (method, word, named):
            if entry:
                draft.leave(entry, _("smtp-auth is none, so there is no AUTH"))
    server.protect(
        draft, starttls if starttls and not implicit else at, found, mode, secret
    )
    if starttls and implicit:
        draft.leave(starttls, _("TLS begins with the first octet already"))
    _trust(draft, look, secret)
    _rest(draft, look, places)


def _url(at: Entry, new: bool) -> tuple[str, str, str, Mailhub]:
    """Read [smtp://][user[:password]@]host[:port]; user and password are encoded."""
    scheme, separator, rest = at.value.partition("://")
    if not separator:
        scheme, rest = "smtp", at.value
    scheme = scheme.lower()
    if scheme not in PORTS:
        raise at.wrong(
            _("there is no such protocol for sending mail"),
            _("write smtp, smtps, submission or submissions before ://"),
        )
    login, _at, place = rest.rstrip("/").rpartition("@")
    user, _colon, password = login.partition(":")
    host, number = place, PORTS[scheme]
    if place[:1] == "[":
        host, _bracket, rest = place.partition("]")
        host = f"{host}]"
        number = server.port(at, rest[1:]) if rest[:1] == ":" else number
    elif ":" in place:
        host, _colon, service = place.rpartition(":")
        number = server.port(at, service)
    shown = at._replace(value="")
    return scheme, unquote(user), unquote(password), server.hub(shown, host, number)


def _credentials(
    draft: Draft,
    at: Entry,
    named: Entry | None,
    word: Entry | None,
    method: Entry | None,
    user: str,
    password: str,
) -> None:
    if method and method.value == "externanon":
        draft.take(method, "AuthMethod", "EXTERNAL")
        return
    if method:
        server.method(draft, method, method.value)
    if user:
        draft.take(named or at, "AuthUser", user)
    else:
        why = _("s-nail logs in with the login name when no user is given")
        draft.take(at, "AuthUser", draft.login, why)
    if password:
        draft.keep_password(word or at, password)
    else:
        draft.notes.append(
            _(
                "no password is in the files: s-nail asks for it, or looks into ~/.netrc."
                " Write it into a file that only you can read: AuthPassFile="
            )
        )


def _trust(draft: Draft, look: Lookup, secret: bool) -> None:
    verify = look("tls-verify") or look("ssl-verify")
    if verify and verify.value.lower() in ("warn", "ignore"):
        server.unverified(draft, verify, secret)
    elif verify:
        draft.tell(verify, _("nothing: TLSVerify is yes"))
    for old in ("tls", "ssl"):
        if entry := look(f"{old}-ca-file"):
            server.trust_file(draft, entry, entry.value)
        if entry := look(f"{old}-ca-dir"):
            server.trust_file(draft, entry, entry.value, "TLS_CA_Dir")
    if pin := look("tls-fingerprint"):
        digest = look("tls-fingerprint-digest")
        known = digest is None or digest.value.upper() in ("SHA256", "SHA-256")
        server.fingerprint(draft, pin, pin.value if digest and known else "")
    server.client_certificate(draft, look("ssl-cert"), look("ssl-key"))
    if pairs := look("tls-config-pairs"):
        _pairs(draft, pairs)


def _pairs(draft: Draft, pairs: Entry) -> None:
    taken = []
    for pair in re.split(r"(?<!\\),", pairs.value):
        name, _equals, value = pair.partition("=")
        ours = {"certificate": "TLSCert", "privatekey": "TLSKey"}.get(
            name.strip(" *").lower()
        )
        value = value.strip()
        if ours:
            draft.set("UseTLSCert", "yes")
            draft.set(ours, value)
            taken.append(ours)
        elif name.strip().lower() == "minprotocol" and value.lower() == "tlsv1.3":
            draft.set("TLSMinVersion", "1.3")
            taken.append("TLSMinVersion")
    if taken:
        draft.tell(pairs, ", ".join(taken))
    else:
        draft.leave(pairs)


def _rest(draft: Draft, look: Lookup, places: Places) -> None:
    # The address in From is what s-nail says in MAIL.
    draft.set("FromLineOverride", "yes")
    if (sender := look("from")) and sender.value:
        _sender(draft, sender)
    if (host := look("hostname")) and host.value:
        accounts.hostname(draft, host, host.value, "RewriteDomain")
    if (name := look("smtp-hostname")) and name.value:
        accounts.hostname(draft, name, name.value)
    if proxy := look("socks-proxy"):
        place = proxy.value.rpartition("://")[2]
        draft.take(proxy, "Proxy", f"socks5://{place}")
    if limit := look("socket-connect-timeout"):
        draft.take(limit, "ConnectTimeout", limit.value)
    if aliases := look("mta-aliases"):
        aliasfile.take(draft, aliases, aliases.value, places)
    others = 0
    for key, entry in look.variables.items():
        if key in look.used:
            continue
        if not OURS.match(key):
            others += 1
        elif draft.rule(key) and "@" not in key:
            draft.leave(entry, draft.rule(key).why or _unused())  # type: ignore[union-attr]
        elif re.match(r"(user|password|smtp|tls|ssl|socks|netrc)", key) and (
            "@" in key or "." in key
        ):
            draft.leave(entry, _("it is for another user or mailhub"))
        else:
            draft.unknown(entry)
    if others:
        draft.notes.append(
            _(
                "{number} other variables are for reading and writing mail: they stay"
                " with s-nail. To let it send through ssmtp: set mta=/usr/sbin/sendmail"
            ).format(number=others)
        )


def _sender(draft: Draft, entry: Entry) -> None:
    try:
        first, *_others = parse_list(entry.value, entry.where())
    except (InputRefused, ValueError):
        raise entry.wrong(
            _("this is no address"), _("correct it there, and run this again")
        ) from None
    address = f"{first.local}@{first.domain}" if first.domain else first.local
    accounts.sender(draft, entry, address, first.name or "")


def _unused() -> str:
    return _("it has no effect for this mailhub")
