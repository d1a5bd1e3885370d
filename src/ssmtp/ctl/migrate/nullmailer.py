"""nullmailer: /etc/nullmailer, one small file for each setting, and `remotes`."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from ssmtp.config import Mailhub
from ssmtp.ctl.migrate import accounts, server
from ssmtp.ctl.migrate.sources import Places, first_line, lines
from ssmtp.ctl.migrate.taken import Draft, Entry, Rule, Told
from ssmtp.ctl.words import _
from ssmtp.errors import ConfigError

# ruff: noqa: E501 (a row of the table is a line)
TITLE = "nullmailer"
FILES = ("/etc/nullmailer/*", "/etc/mailname")
RULES = (
    Rule("remotes", "Mailhub", _("the host of each line; the first one has the user and the password")),
    Rule("port", "Mailhub"),
    Rule("starttls", "UseSTARTTLS", note=_("without any TLS, STARTTLS is used if it is offered, and required with a password")),
    Rule("ssl", "UseTLS"),
    Rule("tls", "UseTLS"),
    Rule("insecure", "TLSVerify", note=_("it is not taken over: the certificate is verified")),
    Rule("user", "AuthUser"),
    Rule("pass", "AuthPassFile"),
    Rule("auth-login", "AuthMethod"),
    Rule("source", "SourceAddress"),
    Rule("x509cafile", "TLS_CA_File"),
    Rule("x509certfile", "TLSCert"),
    Rule("x509keyfile", "TLSKey"),
    Rule("me", "Hostname", note=_("not where helohost is; it needs a dot, or defaultdomain")),
    Rule("helohost", "Hostname"),
    Rule("defaulthost", "RewriteDomain"),
    Rule("defaultdomain", "RewriteDomain", _("it completes names without a dot in me and defaulthost; addresses keep theirs")),
    Rule("mailname", "RewriteDomain, Hostname", note=_("where no other file says them")),
    Rule("adminaddr", "Root", _("Root gets the mail of system accounts (uid below MinUserId); for other local users write Aliases")),
    Rule("allmailfrom", "revaliases", _("a sender belongs to a login: add a line for each other user who sends")),
    Rule("queuelifetime", "QueueLifetime", _("for the agent; without it nothing is queued")),
    Rule("idhost", "", _("Message-ID fields get Hostname")),
    Rule("pausetime", "", _("the agent has a schedule of its own")),
    Rule("maxpause", "", _("the agent has a schedule of its own")),
    Rule("sendtimeout", "", _("each wait has its limit: ConnectTimeout, CommandTimeout, DataTimeout")),
    Rule("bounceto", "", _("reports go to the sender of the message")),
    Rule("doublebounceto", "", _("a report that cannot be delivered is not reported")),
    Rule("x509crlfile", "", _("put the list into the file that TLS_CA_File names")),
    Rule("x509fmtder", "", _("ssmtp reads PEM: openssl x509 -inform der makes it")),
    Rule("tls-anon-auth", "", _("ssmtp wants a certificate: TLSFingerprint= pins one of your own")),
)  # fmt: skip
SETTINGS = (
    "remotes", "me", "defaultdomain", "defaulthost", "helohost", "idhost", "adminaddr",
    "allmailfrom", "pausetime", "maxpause", "sendtimeout", "queuelifetime", "bounceto",
    "doublebounceto",
)  # fmt: skip


@dataclass
class Remote:
    """A line of `remotes`."""

    at: Entry
    hub: Mailhub
    options: dict[str, Entry] = field(default_factory=dict)

    def mode(self) -> str:
        """Return how TLS happens."""
        if "ssl" in self.options or "tls" in self.options:
            return "implicit"
        return "starttls" if "starttls" in self.options else "none"

    def like(self, first: Remote) -> bool:
        """Tell whether one configuration can hold both."""
        shared = {"port"}
        mine, theirs = (
            {key: e.value for key, e in r.options.items() if key not in shared}
            for r in (self, first)
        )
        return mine == theirs and server.by_port(self.hub.port) == server.by_port(
            first.hub.port
        )


def find(places: Places) -> list[Path]:
    """Return `remotes`, if it is there, and the small files beside it."""
    names = tuple(f"/etc/nullmailer/{name}" for name in SETTINGS)
    found = places.find(names, ())
    if not any(path.name == "remotes" for path in found):
        return []
    return sorted(found, key=lambda path: path.name != "remotes")


def read(draft: Draft, paths: list[Path], places: Places, wanted: str | None) -> None:
    """Take over the remotes and the settings beside them."""
    remotes = [path for path in paths if path.name == "remotes"]
    if not remotes:
        raise ConfigError(
            _("nullmailer's remotes is not among the files"), _("name it with --from")
        )
    found = _remotes(draft, remotes[0])
    if not found:
        raise Entry(remotes[0], 0, "remotes", "").wrong(
            _("it names no host"), _("ssmtp needs a mailhub: ssmtpctl setup")
        )
    _take(draft, found)
    values = {path.name: first_line(path) for path in paths if path.name != "remotes"}
    for path in paths:
        if path.name != "remotes" and values[path.name]:
            _setting(draft, Entry(path, 1, path.name, values[path.name]), values)
    path = places.locate("/etc/mailname")
    if name := first_line(path):
        _mailname(draft, Entry(path, 1, "mailname", name))
    if "allmailfrom" not in values:
        draft.set("FromLineOverride", "yes")


def _mailname(draft: Draft, entry: Entry) -> None:
    """Take the name of the machine for what no other file names."""
    if not draft.has("RewriteDomain"):
        accounts.hostname(draft, entry, entry.value, "RewriteDomain")
    if not draft.has("Hostname"):
        accounts.hostname(draft, entry, entry.value)


def _remotes(draft: Draft, path: Path) -> list[Remote]:
    found = []
    for number, line in lines(path):
        if not line.strip() or line.lstrip()[0] == "#":
            continue
        at = Entry(path, number, "remotes", "")
        try:
            words = shlex.split(line)
        except ValueError:
            raise at.wrong(
                _("a quote is not closed"), _("close it, and run this again")
            ) from None
        options = [word.removeprefix("--").partition("=") for word in words[2:]]
        given = {
            name: Entry(path, number, name, text) for name, _equals, text in options
        }
        if "pass" in given:
            if not given["pass"].value:
                # What stands behind it may be the password.
                raise given["pass"].wrong(
                    _("it has no value"), _("write pass= and the password behind it")
                )
            draft.hide(given["pass"].value)
        protocol = words[1] if len(words) > 1 else "smtp"
        if protocol != "smtp":
            draft.leave(at, _("ssmtp speaks SMTP; this line is for another protocol"))
            continue
        port = given.get("port")
        implicit = "ssl" in given or "tls" in given
        chosen = server.port(port, port.value) if port else (465 if implicit else None)
        at = at._replace(value=words[0])
        found.append(Remote(at, server.hub(at, words[0], chosen), given))
    return found


def _take(draft: Draft, remotes: list[Remote]) -> None:
    first = remotes[0]
    given = first.options
    secret = "user" in given or "pass" in given
    mode = first.mode()
    if secret:
        first.hub = server.in_numbers(draft, first.at, first.hub, mode)
    draft.set("Mailhub", _plain(first.hub))
    draft.told.append(_taken(first))
    mode_at = next(
        (given[k] for k in ("ssl", "tls", "starttls") if k in given), first.at
    )
    server.protect(draft, mode_at, first.hub, mode, secret)
    _options(draft, given, secret)
    for remote in remotes[1:]:
        if remote.like(first):
            draft.set("Mailhub", _plain(remote.hub))
            draft.told.append(_taken(remote))
        else:
            draft.leave(
                remote.at,
                _(
                    "all mailhubs share one user, one password and one kind of TLS, and"
                    " this one has others than the first"
                ),
            )


def _plain(hub: Mailhub) -> str:
    return str(hub) if hub.explicit_port else str(hub).removesuffix(":25")


def _taken(remote: Remote) -> Told:
    return Told("taken", remote.at, f"Mailhub={_plain(remote.hub)}", "")


def _options(draft: Draft, given: dict[str, Entry], secret: bool) -> None:
    for name, entry in given.items():
        if name == "port":
            draft.tell(entry, _("the port in Mailhub"))
        elif name == "user":
            draft.take(entry, "AuthUser", entry.value)
        elif name == "pass":
            draft.keep_password(entry, entry.value)
        elif name == "auth-login":
            draft.take(entry, "AuthMethod", "LOGIN")
        elif name == "insecure":
            server.unverified(draft, entry, secret)
        elif name == "source":
            draft.take(entry, "SourceAddress", entry.value)
        elif name == "x509cafile":
            server.trust_file(draft, entry, entry.value)
        elif name in ("ssl", "tls", "starttls", "x509certfile", "x509keyfile"):
            continue
        else:
            draft.leave(entry)
    server.client_certificate(
        draft, given.get("x509certfile"), given.get("x509keyfile")
    )


def _setting(draft: Draft, entry: Entry, values: dict[str, str]) -> None:
    """Take one of the small files; only its first line counts."""
    key, value = entry.key, entry.value
    domain = values.get("defaultdomain", "")
    full = value if "." in value or not domain else f"{value}.{domain}"
    if key == "me" and "helohost" in values:
        draft.leave(entry, _("helohost is used: the mailhub sees one name only"))
    elif key in ("me", "helohost"):
        accounts.hostname(draft, entry, full)
    elif key == "defaulthost":
        accounts.hostname(draft, entry, full, "RewriteDomain")
    elif key == "defaultdomain":
        draft.tell(entry, _("the end of names without a dot"))
    elif key == "adminaddr":
        addresses = ", ".join(re.split(r"[,\s]+", value.strip(", ")))
        draft.take(entry, "Root", addresses)
    elif key == "allmailfrom":
        draft.alias_sender(entry, "root" if draft.system else draft.login, value)
    elif key == "queuelifetime" and value.isdigit() and int(value):
        draft.take(entry, "QueueLifetime", value)
    else:
        draft.leave(entry)
