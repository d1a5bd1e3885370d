"""Who writes as whom: senders, machine names, and accounts besides the default one.

Here a sender belongs to a login (`revaliases`), and one configuration has one mailhub
with one password. Another account is a line of `revaliases` where that is enough, or a
configuration of its own, to be named with `sendmail -C`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol, TypeVar

from ssmtp.accounts import uid_of
from ssmtp.ctl.migrate.sources import Places, first_line
from ssmtp.ctl.migrate.taken import Draft, Entry
from ssmtp.ctl.words import _
from ssmtp.errors import UsageError
from ssmtp.values import READERS, shown


class Named(Protocol):
    """An account: all that is asked of it here is a name."""

    @property
    def name(self) -> str: ...


Some = TypeVar("Some", bound=Named)


def choose(known: Mapping[str, Some], wanted: str | None) -> Some:
    """Return the account to take: the one that is asked for, the default, the only."""
    names = ", ".join(shown(name) for name in known)
    if wanted is not None:
        if wanted not in known:
            raise UsageError(
                _("there is no account {name}").format(name=shown(wanted)),
                _("name one of: {names}").format(names=names),
            )
        return known[wanted]
    if "default" in known:
        return known["default"]
    if len(known) == 1:
        return next(iter(known.values()))
    raise UsageError(
        _("none of the accounts is the default one"),
        _("choose with --account: {names}").format(names=names),
    )


def other(draft: Draft, at: Entry, name: str, sender: str | None, same: bool) -> None:
    """Say what becomes of an account that is not the one to take.

    With the same mailhub and the same password as the default one (`same`), and a
    sender whose local part or whose name is a login of this machine, it is a line of
    revaliases.
    """
    at = at._replace(key=f"{at.key} {name}")
    local = (sender or "").partition("@")[0]
    login = next((word for word in (name, local) if uid_of(word) is not None), None)
    if same and sender and login and "@" in sender and login not in draft.revaliases:
        draft.alias_sender(
            at, login, sender, _("chosen by who sends, not by the name of the account")
        )
        return
    why = _(
        "a configuration has one account. Give this one a directory of its own, and"
        " choose it with sendmail -C: ssmtpctl migrate {program} --account {name}"
        " --output {folder}/{name}/ssmtp.conf"
    )
    why = why.format(program=draft.program, name=shown(name), folder=draft.folder)
    draft.leave(at, why)


def sender(draft: Draft, entry: Entry, address: str, full_name: str = "") -> None:
    """Write the address that one user, or everybody, sends mail from.

    `address` may be `*@domain`, which is each user at that domain.
    """
    local, _at, domain = address.rpartition("@")
    if re.search(r"[*?\[%]", domain) or (local != "*" and re.search(r"[*?\[%]", local)):
        draft.leave(entry, _("patterns cannot be senders; see revaliases"))
        return
    if local == "*" or not local:
        draft.take(entry, "RewriteDomain", domain)
        return
    login = "root" if draft.system else draft.login
    text = f"{_phrase(full_name)} <{address}>" if full_name else address
    why = ""
    if draft.system:
        draft.set("RewriteDomain", domain)
        why = _(
            "and RewriteDomain={domain}. A sender belongs to a login: add a line for"
            " each other user who sends as this address"
        ).format(domain=domain)
    draft.alias_sender(entry, login, text, why)


def _phrase(name: str) -> str:
    if re.fullmatch(r"[\w !#$%&'*+/=?^`{|}~-]+", name):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def filled(text: str, login: str, places: Places) -> str:
    """Put in what msmtp's patterns stand for; `*` for each user's login name."""
    machine = first_line(places.locate("/etc/mailname"))
    text = text.replace("%U", "*")
    # %H and %C are the name of this machine, which is what Hostname is by default.
    return text.replace("%M", machine) if machine else text


def hostname(draft: Draft, entry: Entry, name: str, key: str = "Hostname") -> None:
    """Write a full name of this machine (or a domain), and refuse what is none."""
    bare = name[1:] if name[:1] == "@" else name
    if re.search(r"%[HC]", name):
        draft.tell(entry, _("nothing: it is the name that the system has"))
        return
    if key == "Hostname" and "." not in bare and bare[:1] != "[":
        draft.leave(entry, _("mailhubs want a full name with a dot in it"))
        return
    try:
        READERS["domain"](bare)
    except ValueError as error:
        raise entry.wrong(
            str(error), _("correct it there, and run this again")
        ) from None
    draft.take(entry, key, bare)
