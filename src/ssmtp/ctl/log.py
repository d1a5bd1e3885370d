"""`ssmtpctl log`: what became of a message, from the agent's own record of outcomes.

The agent is asked over its socket, as for `ssmtpctl queue`: own mail is told to
everybody, all of it to root.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from typing import Any

from ssmtp import handoff
from ssmtp.agent import verbs
from ssmtp.ctl import complain, listed
from ssmtp.ctl.queued import Row, utc
from ssmtp.ctl.retold import retold
from ssmtp.ctl.words import _
from ssmtp.errors import (
    EX_OK,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
    Failure,
    SystemTrouble,
    UsageError,
)

EXAMPLES = """\
Examples:
  ssmtpctl log 20261121T211409        what became of a message: the id, or a part of it
  ssmtpctl log ann@example.org        all that was for Ann, or from her
  ssmtpctl log '<1234@example.org>'   a message by its Message-ID
  ssmtpctl log bob@example.org --json | jq .[].events
"""

EPILOG = """\
An id may be shortened to its beginning or its end; the mailhub's own id of a message
does as well. Users see their own mail, root all of it. Times are UTC.

What a message comes to, for each of its recipients:
  sent       the mailhub has it, and said so in these words
  refused    the mailhub said never
  deferred   not now; it is tried again
  in-doubt   the mailhub may have it; it is sent again, or held (HoldInDoubt)
  expired    it has waited too long, and was given up
  failed     it was put aside, because sending it went wrong again and again
  dropped    somebody has thrown it away

What waits for the mailhub was not tried yet, so that there is only the state of now.
The agent keeps the last 10 to 20 MB of this; the system log has it, too, and all that
went out without an agent.
"""


def add(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "log",
        help=_("tell what became of a message that the agent had"),
        examples=EXAMPLES,
        epilog=EPILOG,
    )
    parser.add_argument(
        "word", metavar="ID", help=_("an id, a Message-ID or an address")
    )
    parser.add_argument(
        "--json", action="store_true", help=_("for programs: one JSON array")
    )


class Told:
    """What is known of one message; `row` is its place in the queue, if it is there."""

    def __init__(self, socket: str, known: dict[str, Any]) -> None:
        self.socket = socket
        self.id: str = known["id"]
        self.known = known
        self.since: float = known.get("queued", known["time"])
        self.events: list[dict[str, Any]] = []
        self.row: Row | None = None

    def facts(self) -> dict[str, object]:
        """Return what JSON tells."""
        known = self.known
        about = {n: known[n] for n in ("id", "message_id", "uid", "login", "from")}
        names = ("state", "to", "recipients", "mailhub", "reply", "queue_id", "seconds")
        return {
            **about,
            "queued": utc(self.since),
            "agent": self.socket,
            "events": [
                {"time": utc(one["time"]), **{name: one.get(name) for name in names}}
                for one in self.events
            ],
            "now": self.row.facts() if self.row is not None else None,
        }


def run(args: argparse.Namespace) -> int:
    """Tell what is known; 64 when nothing is."""
    word = args.word.strip()
    if not word.strip("<>") or not word.isprintable():
        raise UsageError(
            _("{word} is no id and no address").format(word=repr(args.word)),
            _("`ssmtpctl queue` lists the ids"),
        )
    troubles: list[Failure] = []
    found = _found(word, troubles)
    if not found and troubles:
        first = next((one for one in troubles if _is_unheard(one)), troubles[0])
        if not _is_unheard(first):
            first.next_step = _(
                "`ssmtpctl queue` lists what is there; "
                "the system log has what went out without an agent"
            )
        raise first
    troubles = [one for one in troubles if _is_unheard(one)]
    if args.json:
        print(json.dumps([told.facts() for told in found], indent=2))
    else:
        for number, told in enumerate(found):
            if number:
                print()
            for line in _lines(told):
                print(listed.harmless(line))
    for failure in troubles:
        complain(failure)
    return EX_TEMPFAIL if troubles else EX_OK


def _found(word: str, troubles: list[Failure]) -> list[Told]:
    """Ask every agent; return the messages, the oldest first."""
    sockets = handoff.agents(None, os.environ)
    if not sockets:
        failure = SystemTrouble(
            _("there is no agent, so there is no record of what became of a message"),
            _("look into the system log, or into the file that LogFile= names"),
        )
        failure.exit_code = EX_UNAVAILABLE
        raise failure
    found: dict[tuple[str, str], Told] = {}
    for socket in sockets:
        try:
            for each in verbs.rows(socket, f"XLOG {word}"):
                known = each.get("now") or each
                key = (socket, known["id"])
                told = found.get(key) or found.setdefault(key, Told(socket, known))
                if "now" in each:
                    told.row = Row(socket, known)
                else:
                    told.events.append(each)
        except Failure as failure:
            troubles.append(failure)
    return sorted(found.values(), key=lambda told: (told.since, told.id))


def _is_unheard(failure: Failure) -> bool:
    """Tell whether an agent did not answer, rather than that it knows nothing."""
    return not isinstance(failure, UsageError)


def _lines(told: Told) -> Iterator[str]:
    known = told.known
    begin = _("{id}: from {sender}, queued {time}").format(
        id=told.id, sender=known["from"] or "<>", time=utc(told.since)
    )
    yield f"{begin}, {known['message_id']}" if known["message_id"] else begin
    for event in told.events:
        yield f"  {utc(event['time'])}  {_to(event)}: {_outcome(event)}"
    if told.row is not None:
        state, why = told.row.told["state"], retold(told.row.reason)
        yield "  " + _("now: {state}: {reason}").format(state=state, reason=why)


def _to(event: dict[str, Any]) -> str:
    more = event["recipients"] - len(event["to"])
    return ", ".join(event["to"]) + (f" +{more}" if more > 0 else "")


def _outcome(event: dict[str, Any]) -> str:
    state = event["state"]
    reply = retold(event["reply"])
    hub = event.get("mailhub")
    if state == "sent" and hub:
        said = _("{mailhub} said {reply}").format(mailhub=hub, reply=reply)
        return f"{state}: {said}"
    return f"{state}: {reply}"
