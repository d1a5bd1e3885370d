"""What all programs say about a mailhub, in the words of ssmtp.conf.

Here stands the one rule for what is not safe: a password never goes out unencrypted or
to an unverified mailhub because another program was told so. The safe setting is
written, and what is said names the lines that go back.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from ssmtp.config import Mailhub
from ssmtp.ctl.migrate.taken import Draft, Entry
from ssmtp.ctl.words import _
from ssmtp.values import is_ipv4, is_ipv6, mailhub, mechanism

SERVICES = {
    "smtp": 25,
    "mail": 25,
    "submission": 587,
    "smtps": 465,
    "ssmtp": 465,
    "submissions": 465,
    "urd": 465,
}
# What distributions call the certificates that are trusted anyway.
SYSTEM_TRUST = (
    "system",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/certs",
    "/etc/ssl/certs/",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/ca-bundle.pem",
)
ECHO = re.compile(
    r"""\s*(?:/\S*/)?echo\s+(?:-n\s+)?"""
    r"""(?:'([^']+)'|"([^"$`\\]+)"|([\w.@%+=:,/-]+))\s*"""
)
LOOPBACK = {"localhost": "127.0.0.1", "localhost.localdomain": "127.0.0.1"}


def port(entry: Entry, text: str) -> int:
    """Return a port that is given as a number or as the name of a service."""
    number = SERVICES.get(text.lower())
    if number is None and text.isascii() and text.isdigit() and len(text) < 6:
        number = int(text)
    if number is None or not 0 < number < 65536:
        raise entry.wrong(_("this is no port"), _("write a number from 1 to 65535"))
    return number


def hub(entry: Entry, host: str, number: int | None) -> Mailhub:
    """Return a mailhub; raises `ConfigError` for what is none."""
    bare = host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host
    text = f"[{bare}]" if is_ipv6(bare) else bare
    try:
        found = mailhub(f"{text}:{number}" if number else text)
    except ValueError as error:
        # Of `mailhub ...` the end of a sentence.
        raise entry.wrong(
            _("it cannot be a mailhub: it {reason}").format(reason=error),
            _("correct it there, and run this again"),
        ) from None
    return found


def to_loopback(found: Mailhub) -> bool:
    """Tell whether a mailhub is this machine, in numbers or as a socket."""
    host = found.host or ""
    return bool(found.path) or host == "::1" or (is_ipv4(host) and host[:4] == "127.")


def take_hub(draft: Draft, entry: Entry, found: Mailhub, why: str = "") -> None:
    """Write a mailhub."""
    standard = found.port == 25 and not found.explicit_port
    text = str(found).removesuffix(":25") if standard else str(found)
    draft.take(entry, "Mailhub", text, why)


def by_port(number: int) -> str:
    """Return what TLS mode a port means when neither UseTLS nor UseSTARTTLS is set."""
    return {465: "implicit", 587: "starttls"}.get(number, "opportunistic")


def protect(
    draft: Draft, entry: Entry, found: Mailhub, mode: str, secret: bool
) -> None:
    """Write what makes TLS happen as `mode` says, or safer than that.

    `mode` is implicit, starttls (required), opportunistic or none; `entry` is the key
    that says so (or that leaves it out), and `secret` whether a password goes along.
    """
    usual = by_port(found.port)
    if found.path:
        return
    if mode == "implicit":
        if usual == "implicit":
            draft.tell(entry, _("nothing: port 465 means TLS from the first octet"))
        else:
            draft.take(entry, "UseTLS", "yes")
    elif mode == "starttls":
        if usual == "implicit":
            draft.tell(
                entry,
                _("nothing: port 465 means TLS from the first octet"),
                _("port 465 does not speak STARTTLS"),
            )
        elif usual == "starttls":
            draft.tell(entry, _("nothing: port 587 means that STARTTLS is required"))
        else:
            draft.take(entry, "UseSTARTTLS", "yes")
    elif to_loopback(found):
        _on_this_machine(draft, entry, usual, mode)
    elif secret:
        _demand(draft, entry, usual, mode)
    elif usual == "opportunistic":
        why = ""
        if mode == "none":
            why = _("STARTTLS is used if the mailhub offers it; UseTLS=no turns it off")
        draft.tell(entry, _("nothing: STARTTLS if it is offered"), why)
    else:
        draft.unsafe(
            entry,
            _("nothing: the port means TLS, verified"),
            _("to go back to a connection without TLS: UseTLS=no"),
        )


def _on_this_machine(draft: Draft, entry: Entry, usual: str, mode: str) -> None:
    if usual != "opportunistic" or mode == "none":
        draft.take(entry, "UseTLS", "no", _("nobody listens in on this machine"))
    else:
        draft.tell(entry, _("nothing: STARTTLS if it is offered"))


def _demand(draft: Draft, entry: Entry, usual: str, mode: str) -> None:
    ours = _("nothing: the port means TLS, verified")
    if usual == "opportunistic":
        draft.set("UseSTARTTLS", "yes")
        ours = "UseSTARTTLS=yes"
    if mode == "none":
        why = _(
            "the password would go out unencrypted, so TLS is required; to go back:"
            " UseSTARTTLS=no, UseTLS=no and AllowCleartextAuth=yes"
        )
    else:
        why = _(
            "the password would go out unencrypted when TLS is not offered, so it is"
            " required; to go back: UseSTARTTLS=no and AllowCleartextAuth=yes"
        )
    draft.unsafe(entry, ours, why)


def in_numbers(draft: Draft, entry: Entry, found: Mailhub, mode: str) -> Mailhub:
    """Write this machine as a number where a password goes there without TLS.

    A name may lead elsewhere, so ssmtp would refuse to send a password there.
    """
    number = LOOPBACK.get((found.host or "").lower())
    if number is None or mode not in ("none", "opportunistic"):
        return found
    draft.notes.append(
        _(
            "{name} is written as {number}: without TLS the password goes to this"
            " machine only, and a name may lead elsewhere"
        ).format(name=found.host, number=number)
    )
    return Mailhub(number, found.port, None, found.explicit_port)


def unverified(draft: Draft, entry: Entry, secret: bool) -> None:
    """Say that the certificate is verified, although it was not."""
    back = "TLSVerify=no, AllowCleartextAuth=yes" if secret else "TLSVerify=no"
    why = _(
        "the mailhub's certificate is verified now. If it is your own: TLS_CA_File= or"
        " TLSFingerprint=; to go back: {lines}"
    ).format(lines=back)
    draft.unsafe(entry, _("nothing: TLSVerify is yes"), why)


def trust_file(draft: Draft, entry: Entry, path: str, key: str = "TLS_CA_File") -> None:
    """Write which certificates are trusted; those of the system are anyway."""
    if path in SYSTEM_TRUST:
        draft.tell(entry, _("nothing: these certificates are trusted anyway"))
    else:
        draft.take(entry, key, path, _("these are trusted besides those of the system"))


def fingerprint(draft: Draft, entry: Entry, text: str) -> None:
    """Write a fingerprint, if it is of the one kind that we compare."""
    digits = re.sub(r"[^0-9a-fA-F]", "", text)
    if len(digits) == 64:
        draft.take(entry, "TLSFingerprint", digits.lower())
        return
    draft.unsafe(
        entry,
        _("nothing: the certificate is verified"),
        _(
            "only SHA-256 is compared. To pin the certificate, add the line"
            " TLSFingerprint= with what openssl x509 -noout -fingerprint -sha256 says"
        ),
    )


def client_certificate(
    draft: Draft, certificate: Entry | None, key: Entry | None
) -> None:
    """Write which client certificate is shown to the mailhub."""
    for entry, ours in ((certificate, "TLSCert"), (key, "TLSKey")):
        if entry is None:
            continue
        if entry.value.startswith("pkcs11:"):
            draft.leave(entry, _("ssmtp reads keys from files only"))
            continue
        draft.set("UseTLSCert", "yes")
        draft.take(entry, ours, entry.value)


def method(draft: Draft, entry: Entry, name: str) -> None:
    """Write the mechanism for AUTH, if it is one of ours."""
    try:
        ours = mechanism(name)
    except ValueError:
        draft.leave(entry, _("ssmtp has no such mechanism; the best one is taken"))
        return
    if ours is None:
        draft.tell(entry, _("nothing: the best that the mailhub offers is taken"))
    else:
        draft.take(entry, "AuthMethod", ours)


def command(draft: Draft, entry: Entry, text: str) -> None:
    """Write a command for the password, with a shell around it where it needs one.

    `echo secret` is no command but a password in disguise: it becomes a file.
    """
    if said := ECHO.fullmatch(text):
        draft.keep_password(entry, said[1] or said[2] or said[3])
        return
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    plain = bool(words) and not re.search(r"[|&;<>()$`*?\[\]{}~#!\n]", text)
    if words and Path(words[0]).name in ("echo", "printf"):
        draft.hide(*words[1:])
    listed = words if plain else ["sh", "-c", text]
    value = ", ".join(
        '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in listed
    )
    draft.set("AuthPassCommand", f"[{value}]")
    draft.tell(entry, _("AuthPassCommand, the same command"))
