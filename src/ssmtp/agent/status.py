"""What the sender has written down about its mailhubs (`site.json` beside the queue).

The acceptor reads it to tell people why their mail waits. It may be old, of another
version, or not there: then nothing is known.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ssmtp.errors import EX_CONFIG, EX_NOPERM, EX_TEMPFAIL
from ssmtp.smtp import exits

NAME = "site.json"
LIMITED = "as many as RateLimit allows have been sent"
# Seconds; a sender that works has written it anew after two minutes at most.
HUNG = 300.0
# Kinds of trouble that a person has to end, by the exit code that says so.
EXITS = {"auth": EX_NOPERM, "login": EX_NOPERM, "configuration": EX_CONFIG}


def exit_code(kind: object) -> int:
    """Return what a kind of trouble with a mailhub is as an exit code."""
    return EXITS.get(str(kind), EX_TEMPFAIL)


def read(spool: str) -> Any:
    """Return all of it, None if there is nothing; what is no site is left out."""
    try:
        with open(os.path.join(spool, NAME), encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict):
        return None
    for name in ("rate", "configuration"):
        found.pop(name, None)  # is the sender's own
    sites = found.get("sites")
    found["sites"] = [
        one
        for one in (sites if isinstance(sites, list) else [])
        if isinstance(one, dict)
        and isinstance(one.get("state"), str)
        and isinstance(one.get("mailhubs"), list)
    ]
    return found


def is_hung(spool: str) -> bool:
    """Tell whether the sender has written nothing for so long that it hangs.

    By a clock that never jumps, and that stands still while the machine sleeps.
    """
    found = read(spool) or {}
    awake = found.get("awake")
    return isinstance(awake, int) and time.monotonic() - awake > HUNG


def is_of(one: dict[str, Any], mailhubs: list[str]) -> bool:
    """Tell whether a site is that of messages with these mailhubs.

    A message that names no mailhubs has those of the configuration. What has None in
    their place is of all.
    """
    if one["mailhubs"] is None:
        return True
    if mailhubs:
        return bool(mailhubs == one["mailhubs"])
    return bool(one.get("default", True))


def troubles(spool: str, since: float = 0.0) -> list[dict[str, Any]]:
    """Return what is known of mailhubs in trouble, if it was written after `since`.

    `since` is a time of the wall clock; the file knows whole seconds.
    """
    found = read(spool)
    if found is None:
        return []
    written = found.get("time")
    if since and not (isinstance(written, int | float) and written >= int(since)):
        return []
    return [one for one in found["sites"] if one["state"] == "trouble"]


def delays(spool: str) -> list[dict[str, Any]]:
    """Return what mail may wait for: troubles, and the rate limit behind them."""
    made = troubles(spool)
    until = (read(spool) or {}).get("rate_until")
    if isinstance(until, int) and until > time.time():
        made.append({"mailhubs": None, "what": LIMITED, "next_try": until})
    return made


def auth_pause(mailhubs: list[str], among: list[dict[str, Any]]) -> int | None:
    """Return how long a message with these mailhubs waits, whoever wants it tried now.

    That is a time of the wall clock, None if it can be tried.
    """
    for one in among:
        until = one.get("next_try")
        if one.get("kind") == "auth" and is_of(one, mailhubs):
            return until if isinstance(until, int) and until > time.time() else None
    return None


def of(
    mailhubs: list[str], among: list[dict[str, Any]]
) -> tuple[int, str, str, Any] | None:
    """Return the trouble that a message with these mailhubs waits for, if any.

    Code and status of a reply, a sentence, and the time of the next try.
    """
    for one in among:
        if is_of(one, mailhubs):
            known = one.get("exit")
            if not isinstance(known, int):
                known = exit_code(one.get("kind"))
            code, status = exits.SITES.get(known, exits.LATER)
            return code, status, str(one.get("what")), one.get("next_try")
    return None
