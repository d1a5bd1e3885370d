"""esmtp: ~/.esmtprc and /etc/esmtprc, a default identity and others by sender."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ssmtp.ctl.migrate import accounts, server
from ssmtp.ctl.migrate.sources import Places
from ssmtp.ctl.migrate.sources import read as read_text
from ssmtp.ctl.migrate.taken import Draft, Entry, Rule
from ssmtp.ctl.words import _

# ruff: noqa: E501 (a row of the table is a line)
TITLE = "esmtp"
FILES = ("~/.esmtprc", "/etc/esmtprc")
RULES = (
    Rule("hostname", "Mailhub", note=_("without a port 587")),
    Rule("username", "AuthUser"),
    Rule("password", "AuthPassFile"),
    Rule("starttls", "UseSTARTTLS", note=_("disabled and enabled are not taken over with a password: it is required")),
    Rule("helo", "Hostname"),
    Rule("qualifydomain", "RewriteDomain"),
    Rule("force reverse_path", "revaliases", _("FromLineOverride=no, and a line in revaliases")),
    Rule("identity", "-C", _("one identity is taken; each other gets a file of its own")),
    Rule("force sender", "", _("ForceFrom=yes writes your address into From instead")),
    Rule("certificate_passphrase", "", _("the key has to be readable without: openssl rsa -in key -out plain, then TLSKey=plain")),
    Rule("message_id", "", _("a missing Message-ID is always added")),
    Rule("preconnect", "", _("nothing is run before a connection: let systemd keep the tunnel up, or use Proxy=socks5://")),
    Rule("mda", "", _("nothing is delivered on this machine: Root= and Aliases= say who gets mail for local names")),
    Rule("force_mda", "", _("nothing is delivered on this machine: Root= and Aliases= say who gets mail for local names")),
)  # fmt: skip
KEYWORDS = {rule.key.partition(" ")[0] for rule in RULES}
SECRETS = ("password", "certificate_passphrase")
WORDS = re.compile(
    r"""(?P<gap>[ \t\r]+|\#[^\n]*)
      | (?P<line>\n)
      | (?P<equals>=)
      | "(?P<double>(?:[^"\\\n]|\\.)*)"
      | '(?P<single>(?:[^'\\\n]|\\.)*)'
      | (?P<word>[^\s"'=\#]+)""",
    re.VERBOSE,
)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
MODES = {"disabled": "none", "enabled": "opportunistic", "required": "starttls"}


@dataclass
class Identity:
    """Some options, and the address that chooses them; "default" has none."""

    name: str
    at: Entry
    options: dict[str, Entry] = field(default_factory=dict)


def find(places: Places) -> list[Path]:
    """Return the files that are there."""
    return places.find(("/etc/esmtprc",), (places.home and places.home / ".esmtprc",))


def read(draft: Draft, paths: list[Path], places: Places, wanted: str | None) -> None:
    """Take over the wanted identity, or the default one."""
    known = _identities(draft, paths[0])
    chosen = accounts.choose(known, wanted)
    _take(draft, chosen)
    same = _login(chosen)
    for other in known.values():
        if other is not chosen:
            accounts.other(
                draft, other.at, other.name, other.name, _login(other) == same
            )


def _login(identity: Identity) -> dict[str, str]:
    keys = ("hostname", "username", "password", "starttls")
    return {key: e.value for key, e in identity.options.items() if key in keys}


def statements(path: Path) -> Iterator[Entry]:
    """Yield keyword and value; the equal sign may be blanks, lines mean nothing."""
    number, secret = 1, 0
    waiting: list[tuple[int, str, bool]] = []
    text = read_text(path) + "\n"
    at = 0
    while at < len(text):
        found = WORDS.match(text, at)
        if found is None:
            raise Entry(path, number, text[at], "").wrong(
                _("a quote is not closed"), _("close it, and run this again")
            )
        at = found.end()
        if found["line"]:
            number += 1
        elif not found["gap"] and not found["equals"]:
            quoted = found["word"] is None
            said = found["word"]
            if said is None:
                said = _unescaped(found["double"] or found["single"] or "")
            if not waiting and number == secret and said not in KEYWORDS:
                # What stands behind a password may be the rest of it.
                raise Entry(path, number, "password", "").wrong(
                    _("more than one word stands there"), _("put quotes around it")
                )
            waiting.append((number, said, quoted))
            if (entry := _statement(path, waiting)) is not None:
                waiting = []
                secret = number if entry.key in SECRETS else 0
                yield entry
    if waiting:
        line, word, _quoted = waiting[0]
        raise Entry(path, line, word if word in KEYWORDS else "", "").wrong(
            _("the value is missing"), _("add it, or take the line out")
        )


def _statement(path: Path, words: list[tuple[int, str, bool]]) -> Entry | None:
    """Return a statement once it is complete."""
    line, keyword, quoted = words[0]
    if quoted or (keyword == "force" and len(words) == 2 and words[1][2]):
        raise Entry(path, line, "", "").wrong(
            _("a value stands where a keyword should"), _("correct the line")
        )
    wanted = 2
    if keyword == "force":
        wanted = 3
        keyword = " ".join(word for _line, word, _quoted in words[:2])
    return Entry(path, line, keyword, words[-1][1]) if len(words) == wanted else None


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda at: ESCAPES.get(at[1], at[1]), text)


def _identities(draft: Draft, path: Path) -> dict[str, Identity]:
    first = Identity("default", Entry(path, 0, "identity", "default"))
    found: dict[str, Identity] = {}
    current = first
    for entry in statements(path):
        if entry.key == "identity":
            current = found.setdefault(entry.value, Identity(entry.value, entry))
            continue
        if entry.key in SECRETS:
            draft.hide(entry.value)
        # The program that delivers mail here belongs to no identity.
        where = first if entry.key in ("mda", "force_mda") else current
        where.options[entry.key] = entry
    if not found or first.options.keys() - {"mda", "force_mda"}:
        return {"default": first, **found}
    # Without options of its own, the default is the first identity.
    chosen = next(iter(found.values()))
    chosen.options.update(first.options)
    return {"default": chosen, **found}


def _take(draft: Draft, identity: Identity) -> None:
    said = identity.options
    host = said.get("hostname")
    if host is None:
        raise identity.at.wrong(
            _("there is no hostname"), _("add it, or name another one with --account")
        )
    name, _colon, service = host.value.partition(":")
    found = server.hub(host, name, server.port(host, service) if service else 587)
    user, password = said.get("username"), said.get("password")
    mode = MODES.get(said["starttls"].value, "") if "starttls" in said else "none"
    if not mode:
        raise said["starttls"].wrong(
            _("it is neither enabled, disabled nor required"), _("write one of these")
        )
    if password:
        found = server.in_numbers(draft, host, found, mode)
    server.take_hub(draft, host, found)
    if user:
        draft.take(user, "AuthUser", user.value)
    if password:
        draft.keep_password(password, password.value)
    at = said.get("starttls") or host._replace(key="starttls")
    server.protect(draft, at, found, mode, password is not None)
    if identity.name != "default":
        accounts.sender(draft, identity.at, identity.name)
    draft.set("FromLineOverride", "yes")
    for key, entry in said.items():
        if key == "helo":
            accounts.hostname(draft, entry, entry.value)
        elif key == "qualifydomain":
            accounts.hostname(draft, entry, entry.value, "RewriteDomain")
        elif key == "force reverse_path":
            draft.set("FromLineOverride", "no")
            address = entry.value.replace("%u", "*").replace("%%", "%")
            accounts.sender(draft, entry, address)
        elif key not in ("hostname", "username", "password", "starttls"):
            draft.leave(entry)
