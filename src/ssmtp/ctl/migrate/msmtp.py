"""msmtp: ~/.msmtprc and /etc/msmtprc, several accounts, one of them the default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ssmtp.config import Mailhub
from ssmtp.ctl.migrate import accounts, aliasfile, server
from ssmtp.ctl.migrate.sources import Places, lines
from ssmtp.ctl.migrate.taken import Draft, Entry, Rule
from ssmtp.ctl.words import _
from ssmtp.errors import ConfigError

# ruff: noqa: E501 (a row of the table is a line)
TITLE = "msmtp"
FILES = (
    "~/.msmtprc",
    "$XDG_CONFIG_HOME/msmtp/config",
    "/etc/msmtprc",
)
RULES = (
    Rule("host", "Mailhub"),
    Rule("port", "Mailhub", note=_("without it 25, or 465 when tls_starttls is off")),
    Rule("auth", "AuthUser, AuthMethod", note=_("a method that ssmtp lacks is left out; off leaves user and password out as well")),
    Rule("user", "AuthUser"),
    Rule("password", "AuthPassFile", note=_("without password and passwordeval the keyring is asked, by secret-tool")),
    Rule("passwordeval", "AuthPassCommand", note=_("in sh -c if it needs a shell; echo SECRET becomes AuthPassFile")),
    Rule("tls", "UseTLS, UseSTARTTLS", note=_("off with a password is not taken over: STARTTLS is required")),
    Rule("tls_starttls", "UseTLS, UseSTARTTLS", note=_("no line where the port says it: 465, 587")),
    Rule("tls_nostarttls", "UseTLS", note=_("no line where the port says it: 465")),
    Rule("tls_trust_file", "TLS_CA_File", note=_("no line for the certificates of the system, which are trusted anyway")),
    Rule("tls_crl_file", "", _("put the list into the file that TLS_CA_File names")),
    Rule("tls_fingerprint", "TLSFingerprint", note=_("SHA-256 only; for others the certificate is verified")),
    Rule("tls_cert_file", "TLSCert"),
    Rule("tls_key_file", "TLSKey"),
    Rule("tls_certcheck", "TLSVerify", note=_("off is not taken over: the certificate is verified")),
    Rule("tls_nocertcheck", "TLSVerify", note=_("it is not taken over: the certificate is verified")),
    Rule("from", "revaliases, RewriteDomain", note=_("%U@domain is RewriteDomain; other patterns have no counterpart")),
    Rule("allow_from_override", "FromLineOverride", note=_("yes unless it is off")),
    Rule("from_full_name", "revaliases"),
    Rule("set_from_header", "ForceFrom", note=_("on is ForceFrom=yes; a missing From is always added")),
    Rule("domain", "Hostname", note=_("needs a dot")),
    Rule("socket", "Mailhub"),
    Rule("source_ip", "SourceAddress"),
    Rule("proxy_host", "Proxy"),
    Rule("proxy_port", "Proxy"),
    Rule("timeout", "ConnectTimeout", note=_("off has no counterpart: every wait has its limit")),
    Rule("logfile", "LogFile", _("a line of JSON for each message, in a new file")),
    Rule("aliases", "Aliases", note=_("its alias default becomes Root, which is for system accounts")),
    Rule("auto_from", "RewriteDomain"),
    Rule("maildomain", "RewriteDomain"),
    Rule("account", "-C", _("one account is taken; each other gets a file of its own")),
    Rule("defaults", "", _("its lines are taken with each account")),
    Rule("eval", "", _("it is not run: write what it prints in its place, or use AuthPassCommand")),
    Rule("protocol", "", _("ssmtp speaks SMTP; LMTP is for delivery to mailboxes")),
    Rule("ntlmdomain", "", _("NTLM is broken, and ssmtp does not have it")),
    Rule("tls_priorities", "", _("ssmtp takes TLS 1.2 and later; TLSMinVersion=1.3 asks for more")),
    Rule("tls_force_sslv3", "", _("ssmtp takes TLS 1.2 and later; TLSMinVersion=1.3 asks for more")),
    Rule("tls_min_dh_prime_bits", "", _("the TLS library decides")),
    Rule("tls_host_override", "", _("the name in Mailhub is the one that is verified; TLSFingerprint does without")),
    Rule("dsn_notify", "", _("sendmail -N asks for it, message by message")),
    Rule("dsn_return", "", _("sendmail -R asks for it, message by message")),
    Rule("set_date_header", "", _("a missing Date is always added")),
    Rule("set_msgid_header", "", _("a missing Message-ID is always added")),
    Rule("set_to_header", "", _("names without a domain are completed, other recipients stay as they are")),
    Rule("add_missing_from_header", "", _("a missing From is always added")),
    Rule("add_missing_date_header", "", _("a missing Date is always added")),
    Rule("remove_bcc_headers", "", _("Bcc is always removed")),
    Rule("keepbcc", "", _("Bcc is always removed")),
    Rule("undisclosed_recipients", "", _("To and Cc stay as they were written")),
    Rule("logfile_time_format", "", _("times in LogFile have one form, and are UTC")),
    Rule("syslog", "", _("every message is logged with facility mail")),
)  # fmt: skip
# Those that say the same in other words, or the other way round.
TURNED = {"tls_nostarttls": "tls_starttls", "tls_nocertcheck": "tls_certcheck"}


@dataclass
class Account:
    """An account, its own commands and those that it has inherited."""

    name: str
    at: Entry
    commands: dict[str, Entry] = field(default_factory=dict)


def find(places: Places) -> list[Path]:
    """Return the files that are there."""
    own = (
        places.home and places.home / ".msmtprc",
        places.config_home and places.config_home / "msmtp/config",
    )
    return places.find(("/etc/msmtprc",), own)


def read(draft: Draft, paths: list[Path], places: Places, wanted: str | None) -> None:
    """Take over the wanted account, or the default one, of the first file."""
    known: dict[str, Account] = {}
    # As msmtp has it: what the first file defines counts, the others add to it.
    for path in paths:
        for name, account in _accounts(draft, path).items():
            known.setdefault(name, account)
    if not known:
        raise ConfigError(
            _("{path} defines no account").format(path=paths[0]),
            _("name the file that does with --from"),
        )
    chosen = accounts.choose(known, wanted)
    _take(draft, chosen, places)
    same = _identity(chosen)
    for other in known.values():
        # `account default : work` is the same account by another name.
        if other is chosen or _identity(other, True) == _identity(chosen, True):
            continue
        sender = other.commands.get("from")
        alike = _identity(other) == same
        accounts.other(draft, other.at, other.name, sender and sender.value, alike)
        for key, entry in other.commands.items():
            if draft.rule(key) is None and chosen.commands.get(key) != entry:
                draft.unknown(entry)


def _identity(account: Account, sender: bool = False) -> dict[str, str]:
    """Return what decides where and as whom mail goes."""
    return {
        key: entry.value
        for key, entry in account.commands.items()
        if sender or key not in ("from", "from_full_name", "logfile", "syslog")
    }


def commands(path: Path) -> Iterator[Entry]:
    """Yield the commands of a file: a word and the rest of the line."""
    for number, line in lines(path):
        line = line.strip(" \t")
        if not line or line[0] == "#":
            continue
        word, _blank, rest = line.replace("\t", " ", 1).partition(" ")
        rest = rest.strip(" \t")
        if len(rest) > 1 and rest[0] == rest[-1] == '"':
            rest = rest[1:-1]
        yield Entry(path, number, word, rest)


def _accounts(draft: Draft, path: Path) -> dict[str, Account]:
    """Read the accounts of a file, inheritance and defaults resolved."""
    found: dict[str, Account] = {}
    defaults: dict[str, Entry] = {}
    current: dict[str, Entry] | None = None
    for entry in commands(path):
        if entry.key == "defaults":
            current = defaults
        elif entry.key == "account":
            account = _begin(entry, found, defaults)
            current = found.setdefault(account.name, account).commands
        elif entry.key == "eval":
            draft.leave(entry)
        else:
            if current is None:
                # A file without any account line describes the default account.
                first = Account("default", entry._replace(key="account"))
                current = found.setdefault("default", first).commands
            current.pop(TURNED.get(entry.key, entry.key), None)
            current[entry.key] = entry
            if entry.key == "password":
                draft.hide(entry.value)
    return found


def _begin(
    entry: Entry, found: dict[str, Account], defaults: dict[str, Entry]
) -> Account:
    name, _colon, bases = entry.value.partition(":")
    name = name.strip()
    if not name:
        raise entry.wrong(_("the name is missing"), _("write account NAME"))
    if name in found:
        raise entry.wrong(
            _("there is an account of this name already"), _("rename one of them")
        )
    account = Account(name, entry, dict(defaults))
    for base in filter(None, (word.strip() for word in bases.split(","))):
        if base not in found:
            raise entry.wrong(
                _("the account {name} is not defined before").format(name=base),
                _("put its definition above this line"),
            )
        account.commands.update(found[base].commands)
    return account


def _on(entry: Entry | None, usual: bool) -> bool:
    """Read on and off; no value means on."""
    if entry is None:
        return usual
    if entry.key in TURNED:
        return False
    if entry.value not in ("", "on", "off"):
        raise entry.wrong(_("it is neither on nor off"), _("write on or off"))
    return entry.value != "off"


def _take(draft: Draft, account: Account, places: Places) -> None:
    said = account.commands
    tls = _on(said.get("tls"), False)
    starttls_at = said.get("tls_starttls") or said.get("tls_nostarttls")
    starttls = _on(starttls_at, True)
    mode = ("starttls" if starttls else "implicit") if tls else "none"
    auth = said.get("auth")
    secret = auth is not None and auth.value not in ("off", "external")
    found, place = _hub(draft, account, tls and not starttls, mode if secret else "")
    _credentials(draft, said, found, secret)
    tls_at = said.get("tls") or place._replace(key="tls", line=place.line)
    server.protect(draft, starttls_at or tls_at, found, mode, secret)
    if starttls_at and said.get("tls"):
        draft.tell(said["tls"], _("as tls_starttls says"))
    _trust(draft, said, secret, tls)
    _sender(draft, said, places)
    _rest(draft, said, places)


def _hub(
    draft: Draft, account: Account, implicit: bool, mode: str
) -> tuple[Mailhub, Entry]:
    said = account.commands
    socket, host, port = said.get("socket"), said.get("host"), said.get("port")
    if socket is not None and socket.value:
        found = Mailhub(None, 0, socket.value)
        server.take_hub(draft, socket, found)
        for entry in (host, port):
            if entry:
                draft.leave(entry, _("the socket is used instead"))
        return found, socket
    if host is None or not host.value:
        raise account.at.wrong(
            _("this account has no host"), _("add it there, or name another account")
        )
    number = server.port(port, port.value) if port else (465 if implicit else None)
    found = server.hub(host, host.value, number)
    if mode:
        found = server.in_numbers(draft, host, found, mode)
    server.take_hub(draft, host, found)
    if port:
        draft.tell(port, f"Mailhub={found}")
    return found, host


def _credentials(
    draft: Draft, said: dict[str, Entry], found: Mailhub, secret: bool
) -> None:
    auth, user = said.get("auth"), said.get("user")
    password, command = said.get("password"), said.get("passwordeval")
    if auth is None or auth.value == "off":
        why = _("auth is off in msmtp, so there is no AUTH")
        for entry in (auth, user, password, command):
            if entry:
                draft.leave(entry, why)
        return
    if auth.value in ("", "on"):
        draft.tell(auth, _("nothing: the best that the mailhub offers is taken"))
    else:
        server.method(draft, auth, auth.value)
    if user and user.value:
        draft.take(user, "AuthUser", user.value)
    elif secret:
        raise auth.wrong(
            _("auth is on, but there is no user"), _("add it there, or turn auth off")
        )
    if password and password.value:
        draft.keep_password(password, password.value)
        if command:
            draft.leave(command, _("the password is used instead"))
    elif command and command.value:
        server.command(draft, command, command.value)
    elif secret:
        assert user is not None
        keyring = f'["secret-tool", "lookup", "host", "{found.host}", "service", "smtp", "user", "{user.value}"]'
        draft.take(
            user._replace(key="password"),
            "AuthPassCommand",
            keyring,
            _(
                "there is no password in the file, so the keyring is asked, as msmtp"
                " does; ~/.netrc and the terminal are not"
            ),
        )


def _trust(draft: Draft, said: dict[str, Entry], secret: bool, tls: bool) -> None:
    check = said.get("tls_certcheck") or said.get("tls_nocertcheck")
    if check:
        if _on(check, True):
            draft.tell(check, _("nothing: TLSVerify is yes"))
        else:
            server.unverified(draft, check, secret)
    if trust := said.get("tls_trust_file"):
        if trust.value:
            server.trust_file(draft, trust, trust.value)
        elif "tls_fingerprint" not in said:
            server.unverified(draft, trust, secret)
    if (crl := said.get("tls_crl_file")) and crl.value:
        draft.leave(crl)
    pin = said.get("tls_fingerprint")
    if pin and pin.value and not (check and not _on(check, True)):
        server.fingerprint(draft, pin, pin.value)
    elif pin:
        draft.leave(pin, _("tls_certcheck off made it count for nothing"))
    shown, key = said.get("tls_cert_file"), said.get("tls_key_file")
    server.client_certificate(
        draft,
        shown if shown and shown.value else None,
        key if key and key.value else None,
    )


def _sender(draft: Draft, said: dict[str, Entry], places: Places) -> None:
    sender, name = said.get("from"), said.get("from_full_name")
    if _on(said.get("auto_from"), False):
        draft.tell(said["auto_from"], _("nothing: the sender is LOGIN@RewriteDomain"))
        if (domain := said.get("maildomain")) and domain.value:
            draft.take(domain, "RewriteDomain", domain.value)
        for entry in filter(None, (sender, name)):
            draft.leave(entry, _("auto_from counts instead"))
    elif sender and sender.value:
        address = accounts.filled(sender.value, draft.login, places)
        accounts.sender(draft, sender, address, name.value if name else "")
        if name:
            draft.tell(name, _("the name before the address in revaliases"))
    elif name:
        draft.leave(name, _("a name stands before an address, and there is no from"))
    override = said.get("allow_from_override")
    why = _(
        "without -f it is the From field that counts, not from; with no, always your own"
        " address"
    )
    if _on(override, True):
        draft.set("FromLineOverride", "yes")
        if override:
            draft.tell(override, "FromLineOverride=yes", why)
    elif override:
        draft.take(override, "FromLineOverride", "no")
    header = said.get("set_from_header")
    if header and header.value in ("", "on"):
        draft.take(header, "ForceFrom", "yes")
    elif header and header.value == "off":
        draft.leave(header, _("a missing From is always added"))
    elif header:
        draft.tell(header, _("nothing: a missing From is added, another stays"))


def _rest(draft: Draft, said: dict[str, Entry], places: Places) -> None:
    """Take the keys that stand alone, and say what becomes of all others."""
    for key, entry in said.items():
        if any(told.entry.key == key for told in draft.told):
            continue
        if key == "domain" and entry.value:
            accounts.hostname(draft, entry, accounts.filled(entry.value, "", places))
        elif key == "source_ip" and entry.value:
            draft.take(entry, "SourceAddress", entry.value)
        elif key == "proxy_host" and entry.value:
            port = said.get("proxy_port")
            number = f":{port.value}" if port and port.value else ""
            draft.take(entry, "Proxy", f"socks5://{entry.value}{number}")
            if port:
                draft.tell(port, _("the port in Proxy"))
        elif key == "timeout" and entry.value not in ("", "off"):
            why = _("for replies there are CommandTimeout and DataTimeout")
            draft.take(entry, "ConnectTimeout", entry.value, why)
        elif key == "timeout":
            draft.leave(entry, _("every wait has its limit: ConnectTimeout and others"))
        elif key == "logfile" and entry.value not in ("", "-"):
            draft.take(entry, "LogFile", f"{entry.value}.json")
        elif key == "aliases" and entry.value:
            aliasfile.take(draft, entry, entry.value, places, catch_all="default")
        elif draft.rule(key) is None:
            draft.unknown(entry)
        elif key in ("auto_from", "maildomain", "proxy_port"):
            draft.leave(entry, _("it has no effect in msmtp, either"))
        elif key in (
            "tls_fingerprint",
            "tls_crl_file",
            "tls_cert_file",
            "tls_key_file",
        ):
            draft.leave(entry, _("it is empty"))
        elif entry.value or not draft.rule(key).ours:  # type: ignore[union-attr]
            draft.leave(entry)
