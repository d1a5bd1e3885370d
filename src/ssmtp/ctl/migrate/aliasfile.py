"""Files of aliases: ours points to the one that is there, if it can be followed."""

from __future__ import annotations

from ssmtp.accounts import parse_aliases
from ssmtp.ctl.migrate import sources
from ssmtp.ctl.migrate.sources import Places
from ssmtp.ctl.migrate.taken import Draft, Entry
from ssmtp.ctl.words import _
from ssmtp.values import shown

# What a target may be that only a program with local delivery can follow.
LOCAL = ("|", "/", ":include:")


def take(
    draft: Draft, entry: Entry, path: str, places: Places, *, catch_all: str = ""
) -> None:
    """Point Aliases to a file; say which lines of it lead nowhere here.

    `catch_all` is the name that the other program gives to everybody else.
    """
    file = places.locate(path)
    if not sources.exists(file):
        draft.leave(entry, _("{path} is not there").format(path=shown(str(file))))
        return
    text = sources.read(file).encode("utf-8", "surrogateescape")
    found = parse_aliases(text, str(file))
    draft.take(entry, "Aliases", str(file))
    for name, targets in found.items():
        if any(target.lstrip('"').startswith(LOCAL) for target in targets):
            draft.notes.append(
                _(
                    "{path}: the alias {name} leads to a program, a file or a list;"
                    " mail for it is refused until it names an address"
                ).format(path=shown(str(file)), name=shown(name))
            )
    if catch_all and catch_all in found:
        everybody = ", ".join(found[catch_all])
        if draft.has("Root"):
            return
        draft.set("Root", everybody)
        draft.notes.append(
            _(
                "{path}: the alias {name} is for everybody; Root={address} does it for"
                " system accounts (uid below MinUserId), other names get the domain"
            ).format(path=shown(str(file)), name=catch_all, address=shown(everybody))
        )
