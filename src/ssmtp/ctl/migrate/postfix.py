"""Postfix as a null client: main.cf, and the tables that it names."""

from __future__ import annotations

import re
from pathlib import Path

from ssmtp.accounts import uid_of
from ssmtp.config import Mailhub
from ssmtp.ctl.migrate import accounts, aliasfile, maincf, server, sources
from ssmtp.ctl.migrate.maincf import Main
from ssmtp.ctl.migrate.parameters import RULES as RULES
from ssmtp.ctl.migrate.sources import Places
from ssmtp.ctl.migrate.taken import Draft, Entry
from ssmtp.ctl.words import _

TITLE = "Postfix"
FILES = ("/etc/postfix/main.cf", "/etc/postfix/sasl_passwd", "/etc/postfix/generic")
LEVELS = {
    "": "none",
    "none": "none",
    "may": "opportunistic",
    "encrypt": "starttls",
    "dane": "starttls",
    "dane-only": "starttls",
    "fingerprint": "starttls",
    "verify": "starttls",
    "secure": "starttls",
}
NARROW = re.compile("smtp_(tls|sasl)_")
SENDERS = ("smtp_generic_maps", "sender_canonical_maps", "canonical_maps")


def find(places: Places) -> list[Path]:
    """Return main.cf, if it is there, and the tables beside it."""
    found = places.find(FILES, ())
    return sorted(
        (path for path in found if path.name == "main.cf" or places.given),
        key=lambda path: path.name != "main.cf",
    )


def read(draft: Draft, paths: list[Path], places: Places, wanted: str | None) -> None:
    """Take over the relay host, who logs in there, and the names."""
    main = maincf.read(paths[0], places)
    hubs = _relays(main)
    mode, at = _mode(main, hubs[0][0])
    login = _login(draft, main, places, hubs[0][0], hubs[0][1])
    for number, (entry, found, why) in enumerate(hubs):
        if login and not number:
            found = server.in_numbers(draft, entry, found, mode)
            hubs[0] = (entry, found, why)
        server.take_hub(draft, entry, found, why)
    if login:
        entry, user, password = login
        draft.take(entry, "AuthUser", user)
        draft.keep_password(entry, password)
    server.protect(draft, at, hubs[0][1], mode, login is not None)
    _trust(draft, main, at)
    _names(draft, main, places)
    for key in SENDERS:
        _senders(draft, main.entry(key), places)
    _routes(draft, main.entry("sender_dependent_relayhost_maps"), places)
    _rest(draft, main, places)
    # With Postfix, -f sets the sender for everybody.
    draft.set("FromLineOverride", "yes")


def _relays(main: Main) -> list[tuple[Entry, Mailhub, str]]:
    """Return the mailhubs; without brackets Postfix asks the DNS for an MX."""
    found = []
    for key in ("relayhost", "smtp_fallback_relay", "fallback_relay"):
        entry = main.entry(key)
        if entry is None:
            continue
        for word in re.split(r"[,\s]+", entry.value.strip()):
            if not word or word == "$relayhost":
                continue
            text, number = word.removeprefix("smtp:").removeprefix("smtps:"), None
            if (not text.startswith("[") and text.count(":") == 1) or "]:" in text:
                text, _colon, service = text.rpartition(":")
                number = server.port(entry, service)
            why = ""
            if not text.startswith("["):
                why = _(
                    "Postfix asks the DNS for the MX of {name}; ssmtp connects to that"
                    " very host. If it takes no mail, write the name of its MX"
                ).format(name=text)
            found.append((entry, server.hub(entry, text, number), why))
    if not found:
        entry = main.entry("relayhost") or Entry(main.path, 0, "relayhost", "")
        raise entry.wrong(
            _("there is none: Postfix delivers by itself"),
            _("ssmtp needs a mailhub: ssmtpctl setup"),
        )
    return found


def _mode(main: Main, relay: Entry) -> tuple[str, Entry]:
    """Return how TLS happens, and the line that says so."""
    level = main.entry("smtp_tls_security_level")
    wrapped = main.entry("smtp_tls_wrappermode")
    if wrapped and main.yes(wrapped):
        return "implicit", wrapped
    if level and level.value:
        if level.value not in LEVELS:
            raise level.wrong(
                _("this is no level of TLS security"), _("correct it there")
            )
        return LEVELS[level.value], level
    for key, mode in (
        ("smtp_enforce_tls", "starttls"),
        ("smtp_use_tls", "opportunistic"),
    ):
        entry = main.entry(key)
        if entry and main.yes(entry):
            return mode, entry
    return "none", relay._replace(key="smtp_tls_security_level", line=0)


def _login(
    draft: Draft, main: Main, places: Places, relay: Entry, found: Mailhub
) -> tuple[Entry, str, str] | None:
    """Return who logs in at the relay host, as the password table has it."""
    enabled = main.entry("smtp_sasl_auth_enable")
    table = main.entry("smtp_sasl_password_maps")
    if enabled and not main.yes(enabled):
        for entry in (enabled, table):
            if entry:
                draft.leave(
                    entry, _("smtp_sasl_auth_enable is no, so there is no AUTH")
                )
        return None
    if enabled is None or table is None or not table.value:
        if enabled:
            draft.leave(enabled, _("there is no table of passwords"))
        return None
    wanted = [word for word in re.split(r"[,\s]+", relay.value) if word][:1]
    names = [*wanted, *(word.partition("]")[0].strip("[") for word in wanted)]
    names += [found.host or "", f"{found.host}:{found.port}"]
    names += [f"[{found.host}]", f"[{found.host}]:{found.port}"]
    rows = list(maincf.table(draft, table, places))
    for row in rows:
        draft.hide(row.value, row.value.partition(":")[2])
    by_name = {row.key.lower(): row for row in reversed(rows)}
    for name in [name.lower() for name in names] + ["*"]:
        if name in by_name:
            row = by_name[name]
            draft.tell(enabled, "AuthUser")
            draft.tell(table, _("AuthUser and AuthPassFile"))
            user, _colon, password = row.value.partition(":")
            for other in rows:
                if other is not row:
                    draft.leave(
                        _named(other, table), _("it is for another mailhub or sender")
                    )
            return _named(row, table), user, password
    draft.leave(enabled, _("the table of passwords has no line for the relay host"))
    if not any(told.entry is table for told in draft.told):
        draft.leave(table, _("it has no line for the relay host"))
    return None


def _named(row: Entry, table: Entry) -> Entry:
    """Return a row of a table under the name of the parameter that names the table."""
    return row._replace(key=table.key, value="")


def _trust(draft: Draft, main: Main, at: Entry) -> None:
    level = main.value("smtp_tls_security_level")
    if level in ("may", "encrypt") or (
        not level and at.key != "smtp_tls_security_level"
    ):
        draft.notes.append(
            _(
                "Postfix does not verify the mailhub's certificate at this level, and"
                " ssmtp does. If it is your own: TLS_CA_File= or TLSFingerprint="
            )
        )
    if level in ("dane", "dane-only"):
        draft.notes.append(
            _("ssmtp has no DANE: the certificate is verified with the system's list")
        )
    for key, ours in (
        ("smtp_tls_CAfile", "TLS_CA_File"),
        ("smtp_tls_CApath", "TLS_CA_Dir"),
    ):
        if (entry := main.entry(key)) and entry.value:
            server.trust_file(draft, entry, entry.value, ours)
    pins = main.entry("smtp_tls_fingerprint_cert_match")
    for word in re.split(r"[,\s|]+", pins.value if pins else ""):
        if word and pins:
            server.fingerprint(draft, pins, word)
    shown, private = main.entry("smtp_tls_cert_file"), main.entry("smtp_tls_key_file")
    chain = main.entry("smtp_tls_chain_files")
    if chain and chain.value:
        shown, private = chain, None
    if shown and shown.value and shown.value != "none":
        server.client_certificate(
            draft, shown, private if private and private.value else None
        )


def _names(draft: Draft, main: Main, places: Places) -> None:
    helo, own = main.entry("smtp_helo_name"), main.entry("myhostname")
    if helo and helo.value and helo.value != main.value("myhostname"):
        accounts.hostname(draft, helo, helo.value)
        if own:
            draft.leave(
                own, _("smtp_helo_name is used: the mailhub sees one name only")
            )
    else:
        if helo:
            draft.tell(helo, "Hostname")
        if own and own.value:
            accounts.hostname(draft, own, own.value)
    masquerade = main.entry("masquerade_domains")
    domains = re.split(r"[,\s]+", masquerade.value) if masquerade else []
    domain = next((word for word in domains if word and word[0] != "!"), "")
    origin = main.entry("myorigin")
    if origin and origin.value:
        text = origin.value
        if text.startswith("/"):
            text = sources.first_line(places.locate(text))
        if domain and text.endswith(f".{domain}"):
            draft.leave(origin, _("masquerade_domains makes it shorter"))
        elif text:
            accounts.hostname(draft, origin, text, "RewriteDomain")
        else:
            draft.leave(origin, _("{path} is not there").format(path=origin.value))
    if masquerade and domain and not draft.has("RewriteDomain"):
        accounts.hostname(draft, masquerade, domain, "RewriteDomain")
    elif masquerade and domain:
        draft.leave(masquerade, _("myorigin is such a domain already"))


def _senders(draft: Draft, entry: Entry | None, places: Places) -> None:
    """Write the lines that give a login another address."""
    if entry is None or not entry.value:
        return
    rows = list(maincf.table(draft, entry, places))
    if rows:
        draft.tell(entry, "revaliases")
    for row in rows:
        local, at, _domain = row.key.partition("@")
        at_row = _named(row, entry)
        if not local and at and row.value[:1] == "@":
            accounts.hostname(draft, at_row, row.value, "RewriteDomain")
        elif uid_of(local) is not None and "@" in row.value:
            draft.alias_sender(at_row, local, row.value)
        elif not local:
            draft.leave(
                at_row,
                _("a sender belongs to a login: add a line login:{address}").format(
                    address=row.value
                ),
            )
        else:
            draft.leave(
                at_row, _("{name} is no login of this machine").format(name=row.key)
            )


def _routes(draft: Draft, entry: Entry | None, places: Places) -> None:
    """Write the lines that give a login another mailhub."""
    if entry is None or not entry.value:
        return
    for row in maincf.table(draft, entry, places):
        local = row.key.partition("@")[0]
        at_row = _named(row, entry)
        hub = row.value.replace("[", "").replace("]", "")
        login = next(
            (
                name
                for name, rest in draft.revaliases.items()
                if rest.partition(":")[0].lower() == row.key.lower()
            ),
            local if local and uid_of(local) is not None else None,
        )
        if login and hub and ":" not in hub.partition(":")[2]:
            draft.alias_sender(at_row, login, row.key, hub=str(hub))
        else:
            draft.leave(
                at_row,
                _(
                    "{name} is no login of this machine; a mailhub belongs to a login,"
                    " or to a configuration of its own: sendmail -C"
                ).format(name=row.key),
            )


def _rest(draft: Draft, main: Main, places: Places) -> None:
    done = {told.entry.key for told in draft.told}
    for entry in main.entries():
        key, value = entry.key, entry.value
        if key in done:
            continue
        if key == "alias_maps" and value:
            _aliases(draft, entry, places)
        elif key == "smtp_bind_address" and value:
            draft.take(entry, "SourceAddress", value)
        elif key == "smtp_sasl_mechanism_filter" and re.fullmatch(r"[\w-]+", value):
            server.method(draft, entry, value)
        elif key in ("smtp_connect_timeout", "smtp_data_done_timeout"):
            ours = "ConnectTimeout" if "connect" in key else "DataTimeout"
            draft.take(entry, ours, value)
        elif key in ("maximal_queue_lifetime", "delay_warning_time"):
            ours = "QueueLifetime" if "queue" in key else "WarningAfter"
            _lasting(draft, entry, ours)
        elif key == "message_size_limit" and value not in ("", "0"):
            draft.take(entry, "MaxMessageSize", value)
        elif main.is_used(key):
            draft.tell(
                entry, _("its value is put in where ${name} stands").format(name=key)
            )
        elif (rule := draft.rule(key)) and rule.key == "smtp_*" and NARROW.match(key):
            # A misspelled name would else be passed over, and it is about safety.
            draft.unknown(entry)
        elif rule and rule.ours:
            draft.leave(entry, _("it says nothing that ssmtp has to know"))
        else:
            draft.leave(entry)


def _lasting(draft: Draft, entry: Entry, ours: str) -> None:
    """Take a time; Postfix counts days unless it says otherwise, and 0 is off."""
    number = re.fullmatch(r"(\d+)([smhdw]?)", entry.value)
    if number is None:
        raise entry.wrong(_("this is no time"), _("correct it there"))
    unit = number[2] or ("d" if ours == "QueueLifetime" else "h")
    if not int(number[1]):
        draft.leave(entry, _("ssmtp has no such end; the default is kept"))
    elif unit == "w":
        draft.take(entry, ours, f"{int(number[1]) * 7}d")
    else:
        draft.take(entry, ours, f"{number[1]}{unit}")


def _aliases(draft: Draft, entry: Entry, places: Places) -> None:
    for word in re.split(r"[,\s]+", entry.value):
        kind, _colon, path = word.partition(":")
        if kind in maincf.TEXT_TABLES and path.startswith("/"):
            aliasfile.take(draft, entry, path, places)
            return
    draft.leave(entry, _("ssmtp reads a text file like /etc/aliases"))
