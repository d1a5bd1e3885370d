"""As whom a user may write: the rules of `AllowSender`.

They hold for the reverse-path and for every address that the header gives as author or
sender, as they are after the repair. The null reverse-path is nobody's name.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from ssmtp.direct import Account
from ssmtp.envelope import Envelope
from ssmtp.errors import AuthRefused
from ssmtp.message import Message

FIELDS = ("from", "sender", "resent-from", "resent-sender")


def check(account: Account, login: str, envelope: Envelope, message: Message) -> None:
    """Raise `AuthRefused` (77) if this user may not send this message as it is."""
    rules = account.config.allow_senders
    if not rules:
        return
    own = str(account.identity.address)
    names = [] if envelope.reverse_path is None else [str(envelope.reverse_path)]
    names += [
        f"{box.local}@{box.domain}"
        for field in message.fields
        if field.key in FIELDS
        for box in field.mailboxes()
    ]
    for name in names:
        if not allowed(rules, login, own, name):
            raise AuthRefused(
                f"{login} may not send as {name} (AllowSender)",
                "write under another address, or ask who keeps this machine",
            )


def allowed(
    rules: list[tuple[str, list[str]]], login: str, own: str, name: str
) -> bool:
    """Whether a user may write under an address; case does not count."""
    for who, patterns in rules:
        if who not in ("*", login):
            continue
        for pattern in patterns:
            if pattern == "own":
                if name.lower() == own.lower():
                    return True
            elif fnmatchcase(name.lower(), pattern.lower().replace("[", "[[]")):
                return True
    return not rules
