"""Classic sSMTP: its files are ours. What means something else here is said."""

from __future__ import annotations

from pathlib import Path

from ssmtp.accounts import parse_revaliases
from ssmtp.config import parse
from ssmtp.ctl.migrate.sources import Places, exists, lines
from ssmtp.ctl.migrate.sources import read as read_text
from ssmtp.ctl.migrate.taken import Draft, Entry, Rule
from ssmtp.ctl.words import _
from ssmtp.keys import KEYS
from ssmtp.values import BLANKS, Mailhub

# ruff: noqa: E501 (a row of the table is a line)
TITLE = "sSMTP"
FILES = ("/etc/ssmtp/ssmtp.conf", "/etc/ssmtp/revaliases")
RULES = (
    Rule("mailhub", "Mailhub", _("a second line is a fallback; with classic sSMTP it took the place of the first")),
    Rule("UseTLS", "UseTLS", _("the certificate is verified; without the key the port decides")),
    Rule("UseSTARTTLS", "UseSTARTTLS", _("required; on port 465 TLS begins with the first octet")),
    Rule("AuthUser", "AuthUser", _("of several lines the last one counts, not the first")),
    Rule("AuthPass", "AuthPass", _("#, = and blanks belong to it; it goes over verified TLS only")),
    Rule("AuthMethod", "AuthMethod", _("without it the best one that the mailhub offers is taken, not LOGIN")),
    Rule("FromLineOverride", "FromLineOverride", _("with yes, -f sets the reverse-path as well")),
    Rule("rewriteDomain", "RewriteDomain", _("names without a domain in header fields get it, too")),
    Rule("hostname", "Hostname", _("the mailhub sees it in EHLO; it needs a dot")),
    Rule("Debug", "Debug", _("passwords are never logged")),
    Rule("root", "Root"),
    Rule("MinUserId", "MinUserId"),
    Rule("UseTLSCert", "UseTLSCert", _("a certificate that cannot be loaded is an error")),
    Rule("TLSCert", "TLSCert"),
    Rule("TLSKey", "TLSKey"),
    Rule("TLS_CA_File", "TLS_CA_File"),
    Rule("TLS_CA_Dir", "TLS_CA_Dir"),
    Rule("UseOldAUTH", "UseOldAUTH"),
    Rule("RemotePort", "RemotePort"),
    Rule("AddHeader", "AddHeader"),
    Rule("revaliases", "revaliases", _("read as it is; a display name may stand before the address")),
)  # fmt: skip


def find(places: Places) -> list[Path]:
    """Return the configuration, if it is there."""
    found = places.find(FILES, ())
    return sorted(
        (path for path in found if path.name != "revaliases" or places.given),
        key=lambda path: path.name == "revaliases",
    )


def read(draft: Draft, paths: list[Path], places: Places, wanted: str | None) -> None:
    """Keep every line as it is written, comments and all."""
    path = paths[0]
    text = read_text(path)
    # What the parser refuses, it refuses here with file, line and key.
    config = parse(text.encode("utf-8", "surrogateescape"), str(path))
    ours = {key.name.lower(): key.name for key in KEYS}
    own = {rule.key.lower(): rule for rule in RULES}
    for number, line in lines(path):
        bare = line.strip(BLANKS)
        if not bare or bare[0] == "#":
            continue
        name = bare.partition("=")[0].strip(BLANKS)
        rule = own.get(name.lower())
        entry = Entry(path, number, rule.key if rule else name, "")
        draft.tell(entry, ours[name.lower()])
    for secret in (config.auth_pass, config.proxy and config.proxy.password):
        if secret:
            draft.hide(secret.reveal())
    draft.text = text
    if config.auth_pass and not _encrypted(config.mailhubs, config.use_tls):
        at = next(
            (t.entry for t in draft.told if t.entry.key == "UseTLS"),
            Entry(path, 0, "UseTLS", ""),
        )
        draft.unsafe(
            at,
            _("kept, and no password is sent: exit 77"),
            _(
                "the password would go out unencrypted. Take the line out, or write"
                " UseSTARTTLS=yes; to go on as before: AllowCleartextAuth=yes"
            ),
        )
    if config.use_tls is None and config.use_starttls is None:
        draft.notes.append(
            _(
                "neither UseTLS nor UseSTARTTLS is set: classic sSMTP used no TLS; here"
                " port 465 and 587 mean it, and on any other it is used when offered"
            )
        )
    revaliases = path.with_name("revaliases")
    if exists(revaliases):
        entry = Entry(revaliases, 0, "revaliases", "")
        draft.tell(entry, "revaliases")
        octets = read_text(revaliases).encode("utf-8", "surrogateescape")
        for row in parse_revaliases(octets, str(revaliases)):
            hub = f":{row.mailhub}" if row.mailhub else ""
            draft.revaliases[row.login] = f"{row.address}{hub}"


def _encrypted(hubs: list[Mailhub], use_tls: bool | None) -> bool:
    return use_tls is not False or not hubs
