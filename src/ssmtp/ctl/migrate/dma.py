"""dma, the DragonFly Mail Agent: /etc/dma/dma.conf and /etc/dma/auth.conf."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ssmtp.config import Mailhub
from ssmtp.ctl.migrate import accounts, aliasfile, server, sources
from ssmtp.ctl.migrate.sources import Places, first_line, lines
from ssmtp.ctl.migrate.taken import Draft, Entry, Rule
from ssmtp.ctl.words import _

# ruff: noqa: E501 (a row of the table is a line)
TITLE = "dma"
FILES = ("/etc/dma/dma.conf", "/etc/dma/auth.conf", "/etc/mailname", "/etc/aliases")
RULES = (
    Rule("SMARTHOST", "Mailhub"),
    Rule("PORT", "Mailhub"),
    Rule("AUTHPATH", "AuthUser, AuthPassFile", note=_("the first line for SMARTHOST; no other")),
    Rule("auth.conf", "AuthUser, AuthPassFile"),
    Rule("SECURETRANSFER", "UseTLS, UseSTARTTLS", note=_("without it STARTTLS is used if it is offered, and required with a password")),
    Rule("SECURETRANS", "UseTLS, UseSTARTTLS"),
    Rule("STARTTLS", "UseSTARTTLS"),
    Rule("OPPORTUNISTIC_TLS", "UseSTARTTLS", note=_("with a password TLS is required")),
    Rule("INSECURE", "AllowCleartextAuth", note=_("it is not taken over: STARTTLS is required")),
    Rule("VERIFYCERT", "TLSVerify", note=_("with or without it: the certificate is verified")),
    Rule("FINGERPRINT", "TLSFingerprint"),
    Rule("CERTFILE", "TLSCert"),
    Rule("ALIASES", "Aliases", note=_("not with NULLCLIENT; * becomes Root, which is for system accounts")),
    Rule("MAILNAME", "Hostname"),
    Rule("MAILNAMEFILE", "Hostname"),
    Rule("MASQUERADE", "RewriteDomain, revaliases", note=_("a host is RewriteDomain; user@host is a sender, and FromLineOverride=no")),
    Rule("NULLCLIENT", "", _("ssmtp is always a null client: all mail goes to the mailhub")),
    Rule("SECURE", "", _("a password goes over TLS only, whatever this line says")),
    Rule("DEFER", "", _("the agent sends when the network is there")),
    Rule("FULLBOUNCE", "", _("the mailhub decides what a report holds")),
    Rule("SPOOLDIR", "", _("the agent has a queue of its own: Spool")),
    Rule("VIRTPATH", "", _("use Aliases for names without a domain")),
)  # fmt: skip
FLAGS = (
    "SECURETRANSFER", "SECURETRANS", "STARTTLS", "OPPORTUNISTIC_TLS", "INSECURE",
    "SECURE", "VERIFYCERT", "DEFER", "FULLBOUNCE", "NULLCLIENT",
)  # fmt: skip

SIGNS = "|: \t"  # that may end the host in auth.conf


def find(places: Places) -> list[Path]:
    """Return the files that are there, dma.conf first."""
    found = places.find(("/etc/dma/dma.conf", "/etc/dma/auth.conf"), ())
    if not any(path.name == "dma.conf" for path in found):
        return found if places.given else []
    return sorted(found, key=lambda path: path.name != "dma.conf")


def read(draft: Draft, paths: list[Path], places: Places, wanted: str | None) -> None:
    """Take over the smarthost, how it is reached, and the names."""
    said: dict[str, Entry] = {}
    for entry in settings(paths[0]):
        # Names count as they are written, and the last line counts.
        said[entry.key] = entry
        if entry.key in FLAGS and entry.value:
            draft.notes.append(
                _("{where}: {key} takes no value").format(
                    where=entry.where(), key=entry.key
                )
            )
    host = said.get("SMARTHOST")
    if host is None or not host.value:
        entry = host or Entry(paths[0], 0, "SMARTHOST", "")
        raise entry.wrong(
            _("there is none: dma delivers by itself"),
            _("ssmtp needs a mailhub: ssmtpctl setup"),
        )
    port = said.get("PORT")
    number = server.port(port, port.value) if port and port.value else None
    found = server.hub(host, host.value, number)
    account = _account(draft, said, places, paths, host.value)
    mode, mode_at = _mode(said, host)
    if account:
        found = server.in_numbers(draft, host, found, mode)
    server.take_hub(draft, host, found)
    if port and port.value:
        draft.tell(port, _("the port in Mailhub"))
    if account:
        entry, user, password = account
        draft.take(entry, "AuthUser", user)
        draft.keep_password(entry, password)
    _protect(draft, said, mode, mode_at, found, account is not None)
    _names(draft, said, places)
    for key, entry in said.items():
        if not any(told.entry.key == key for told in draft.told):
            draft.leave(entry, _("it is empty") if _empty(draft, entry) else "")


def _empty(draft: Draft, entry: Entry) -> bool:
    rule = draft.rule(entry.key)
    return bool(rule and rule.ours and not entry.value and entry.key not in FLAGS)


def settings(path: Path) -> Iterator[Entry]:
    """Yield the lines of dma.conf: a word, blanks, a value; # begins a comment."""
    for number, line in lines(path):
        line = line.partition("#")[0].strip()
        if line:
            word, _blank, value = line.replace("\t", " ").partition(" ")
            yield Entry(path, number, word, value.strip())


def _account(
    draft: Draft,
    said: dict[str, Entry],
    places: Places,
    paths: list[Path],
    host: str,
) -> tuple[Entry, str, str] | None:
    """Return user and password for the smarthost: `user|smarthost:password`."""
    at = said.get("AUTHPATH")
    path = places.locate(at.value if at and at.value else "/etc/dma/auth.conf")
    path = next((other for other in paths if other.name == path.name), path)
    if at is None or not at.value:
        # dma reads it when AUTHPATH says so, and not otherwise.
        return None
    if not sources.exists(path):
        draft.leave(at, _("{path} is not there").format(path=path))
        return None
    draft.tell(at, _("AuthUser and AuthPassFile"))
    found = None
    for number, line in lines(path):
        # Blanks at the end belong to the password.
        if not line.strip() or line[0] == "#":
            continue
        entry = Entry(path, number, "auth.conf", "")
        user, place, password = _login(entry, line, host)
        draft.hide(password)
        if place.lower() != host.lower():
            draft.leave(entry, _("it is for another mailhub"))
        elif found is None:
            found = (entry, user, password)
        else:
            draft.leave(entry, _("the first line for the mailhub counts"))
    return found


def _login(entry: Entry, line: str, host: str) -> tuple[str, str, str]:
    user, bar, rest = line.partition("|")
    for sign in SIGNS:
        if rest.lower().startswith(f"{host.lower()}{sign}"):
            return user, rest[: len(host)], rest[len(host) + 1 :]
    # Since dma 0.14 a second bar may take the place of the colon.
    at = min((rest.find(sign) for sign in SIGNS if sign in rest), default=-1)
    if not bar or not user or at < 1:
        raise entry.wrong(
            _("this is no line user|smarthost:password"), _("correct it there")
        )
    return user, rest[:at], rest[at + 1 :]


def _mode(said: dict[str, Entry], host: Entry) -> tuple[str, Entry]:
    """Return how TLS happens, and the line that says so."""
    secure = said.get("SECURETRANSFER") or said.get("SECURETRANS")
    if secure is None:
        return "none", host._replace(key="SECURETRANSFER", line=0)
    if "STARTTLS" not in said:
        return "implicit", secure
    if "OPPORTUNISTIC_TLS" in said:
        return "opportunistic", said["OPPORTUNISTIC_TLS"]
    return "starttls", said["STARTTLS"]


def _protect(
    draft: Draft,
    said: dict[str, Entry],
    mode: str,
    at: Entry,
    found: Mailhub,
    secret: bool,
) -> None:
    server.protect(draft, at, found, mode, secret)
    insecure = said.get("INSECURE")
    if insecure and secret and mode == "none":
        draft.told = [told for told in draft.told if told.entry is not at]
        server.protect(draft, insecure, found, mode, secret)
    elif insecure:
        draft.leave(insecure, _("there is TLS, or no password: it has no effect"))
    for key in ("SECURETRANSFER", "SECURETRANS", "STARTTLS"):
        if key in said and said[key] is not at:
            draft.tell(said[key], _("as {key} says").format(key=at.key))
    if mode != "none" and "VERIFYCERT" not in said and "FINGERPRINT" not in said:
        draft.notes.append(
            _(
                "dma does not verify the mailhub's certificate, and ssmtp does. If it"
                " is your own: TLS_CA_File= or TLSFingerprint="
            )
        )
    if "VERIFYCERT" in said:
        draft.tell(said["VERIFYCERT"], _("nothing: TLSVerify is yes"))
    if (pin := said.get("FINGERPRINT")) and pin.value:
        server.fingerprint(draft, pin, pin.value)
    if (shown := said.get("CERTFILE")) and shown.value:
        server.client_certificate(draft, shown, None)


def _names(draft: Draft, said: dict[str, Entry], places: Places) -> None:
    # MASQUERADE wins over -f.
    masked = "MASQUERADE" in said and "@" in said["MASQUERADE"].value
    draft.set("FromLineOverride", "no" if masked else "yes")
    name = said.get("MAILNAME") or said.get("MAILNAMEFILE")
    if name and name.value:
        text = name.value
        if text.startswith("/"):
            text = first_line(places.locate(text))
        if text:
            accounts.hostname(draft, name, text)
        else:
            draft.leave(name, _("{path} is not there").format(path=name.value))
    if (mask := said.get("MASQUERADE")) and mask.value:
        local, at, domain = mask.value.rpartition("@")
        if at and not domain:
            draft.alias_sender(
                mask, "root" if draft.system else draft.login, local, _one_login()
            )
        elif at and local:
            accounts.sender(draft, mask, mask.value)
        else:
            accounts.hostname(draft, mask, domain, "RewriteDomain")
    aliases = said.get("ALIASES")
    if aliases and "NULLCLIENT" in said:
        draft.leave(aliases, _("NULLCLIENT made dma pass it over"))
    elif aliases and aliases.value:
        aliasfile.take(draft, aliases, aliases.value, places, catch_all="*")
    elif "NULLCLIENT" not in said and sources.exists(places.locate("/etc/aliases")):
        usual = Entry(places.locate("/etc/aliases"), 0, "ALIASES", "")
        aliasfile.take(draft, usual, "/etc/aliases", places, catch_all="*")
    if "NULLCLIENT" not in said:
        draft.notes.append(
            _(
                "dma delivers mail for local names to mailboxes here; ssmtp sends all of"
                " it to the mailhub. Root= and Aliases= say to whom"
            )
        )


def _one_login() -> str:
    return _("a sender belongs to a login: add a line for each other user who sends")
