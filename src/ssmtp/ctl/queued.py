"""What lies in the queue of an agent, for `ssmtpctl queue`.

It is seen and dealt with over the agent's socket, for nobody but the agent can read the
queue itself; who is asking, the kernel tells it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

from ssmtp import handoff
from ssmtp.agent import verbs
from ssmtp.ctl.words import _, counted
from ssmtp.errors import Failure, UsageError


class Row:
    """A message in the queue of the agent at `socket`; `told` is what that says."""

    def __init__(self, socket: str, told: dict[str, Any]) -> None:
        self.socket = socket
        self.told = told
        self.id: str = told["id"]
        self.path = f"{socket}:{self.id}"

    @property
    def reason(self) -> str:
        """Why it is still here, and when it is tried again."""
        words = [self.told["reason"]] if self.told["reason"] else []
        number = self.told["attempts"]
        if not number and not words:
            words.append(_("not tried yet"))
        elif number:
            tried = counted("tried {number} time", "tried {number} times", number)
            words.append(tried.format(number=number))
        if self.told["state"] == "waiting" and self.told["next"]:
            words.append(when(self.told["next"]))
        return "; ".join(words)

    @property
    def recipients(self) -> str:
        """The first recipient, and how many more there are."""
        first = self.told["to"][0] if self.told["to"] else "?"
        more = self.told["recipients"] - 1
        return f"{first} +{more}" if more > 0 else first

    def facts(self) -> dict[str, object]:
        """Return what JSON listings tell; times are those of the agent's host, UTC."""
        told = dict(self.told)
        told.pop("pause", None)  # is in the words about a retry
        for name in ("time", "next"):
            told[name] = told[name] and utc(told[name])
        return {**told, "size": told.pop("octets"), "agent": self.socket}


def rows(everybody: bool, troubles: list[Failure]) -> list[Row]:
    """Return what the agents have queued for us (root: everybody), oldest first.

    An agent that does not answer is one more of the `troubles`.
    """
    found: list[Row] = []
    for socket in handoff.agents(None, os.environ, down=True):
        try:
            line = "XLIST all" if everybody else "XLIST"
            found += [Row(socket, told) for told in verbs.rows(socket, line)]
        except Failure as failure:
            troubles.append(failure)
    return found


def command(row: Row, verb: str) -> dict[str, Any]:
    """Let the agent do something with a message: XDROP, XHOLD, XRELEASE, XFLUSH.

    Returns what it answers.
    """
    return verbs.call(row.socket, f"{verb} {row.id}")[0]


def push(row: Row, agents: dict[str, dict[str, Any] | Failure]) -> dict[str, Any]:
    """Let its agent try all that waits, once; return what that answers for this one.

    `agents` are those that were asked, and their answers.
    """
    if row.socket not in agents:
        try:
            agents[row.socket] = verbs.call(row.socket, "XFLUSH")[0]
        except Failure as failure:
            agents[row.socket] = failure
    answer = agents[row.socket]
    if isinstance(answer, Failure):
        raise answer
    return {**answer, "pause": row.told.get("pause")}


def flush(troubles: list[Failure]) -> list[str]:
    """Let every agent try all that waits, now; return the sockets of those that do.

    An agent that does not answer is one more of the `troubles`.
    """
    found = []
    for socket in handoff.agents(None, os.environ):
        try:
            verbs.call(socket, "XFLUSH")
            found.append(socket)
        except Failure as failure:
            troubles.append(failure)
    return found


def details(row: Row) -> list[dict[str, Any]]:
    """Return all that the agent tells of one message."""
    return verbs.call(row.socket, f"XSHOW {row.id}")


def shown(row: Row, told: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what a person sees of one message, without its text."""
    head, *rest = told
    yield f"{row.id}: {head['state']}"
    names = (_("from"), _("queued"), _("reason"), _("recipient"))
    width = max(map(len, names)) + 2
    sender, since, reason, recipient = (f"{name:<{width}}" for name in names)
    yield f"{sender}{head['from'] or '<>'} (uid {head['uid']}, {head['login']})"
    yield f"{since}{utc(head['time'])}"
    yield f"{reason}{row.reason}"
    for each in rest:
        if "line" not in each:
            reply = f": {each['reply']}" if each.get("reply") else ""
            yield f"{recipient}{each['recipient']}: {each['state']}{reply}"
    yield ""
    for each in rest:
        if "line" in each:
            yield each["line"]


def only_queued(entry: object, verb: str) -> Row:
    """Return a row; raises `UsageError` for what lies in the failed store."""
    if isinstance(entry, Row):
        return entry
    raise UsageError(
        _("{command} is for messages in the queue of an agent").format(command=verb),
        _("what is kept waits for `ssmtpctl queue retry` anyway"),
    )


def when(at: float) -> str:
    """Say how long it is until the next try."""
    left = at - time.time()
    if left < 1:
        return _("next try now")
    number, unit = int(left), "s"
    for name, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if left >= length:
            number, unit = int(left // length), name
            break
    return _("next try in {number} {unit}").format(number=number, unit=unit)


def utc(at: float) -> str:
    """Return a time of the wall clock in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
