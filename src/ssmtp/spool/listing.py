"""What `mailq` prints: the kept messages in the form that Postfix made familiar.

Monitoring programs read it. Some look for the last line, as it is with Postfix, others
for the total that sendmail prints.
"""

from __future__ import annotations

import time

from ssmtp.spool.keptfile import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from ssmtp.spool.entry import Entry

EMPTY = "Mail queue is empty"

_WIDTH = 23
_HEADING = (
    f"{'-Queue ID-':<{_WIDTH}}  --Size-- ----Arrival Time---- -Sender/Recipient-------"
)


def lines(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield the listing line by line, without line ends.

    A message is one block: id, octets, local time and sender, then the reason in
    parentheses, then the recipients, then an empty line.
    """
    count = octets = 0
    for entry in entries:
        if not count:
            yield _HEADING
        count += 1
        octets += entry.size
        head = entry.head
        when = time.strftime("%a %b %d %H:%M:%S", time.localtime(head.time))
        yield (
            f"{escape(entry.id):<{_WIDTH}} {entry.size:>9}"
            f" {when:>20}  {escape(sender(entry))}"
        )
        yield f"      ({escape(reason(entry))})"
        indent = " " * (_WIDTH + 33)
        for recipient in head.recipients:
            yield indent + escape(recipient)
        yield ""
    if not count:
        yield EMPTY
        return
    yield f"                Total requests: {count}"
    requests = "Request" if count == 1 else "Requests"
    yield f"-- {(octets + 1023) // 1024} Kbytes in {count} {requests}."


def queued(row: Mapping[str, Any]) -> Entry:
    """Return what the agent tells of a message (`XLIST`) as an entry of the list."""
    from ssmtp.spool.entry import Entry

    entry = Entry("", str(row["id"]), int(row["uid"]))
    entry.size = int(row["octets"])
    head = entry.head
    head.time = int(row["time"])
    head.reverse_path = str(row["from"])
    head.recipients = list(map(str, row["to"]))
    more = int(row["recipients"]) - len(head.recipients)
    if more > 0:
        head.recipients.append(f"and {more} more")
    head.reason = "; ".join(_why(row))
    return entry


def _why(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield why a queued message waits, how often it was tried, and when it will be."""
    yield f"{row['state']}: {row['reason']}" if row["reason"] else row["state"]
    if number := row.get("attempts"):
        yield f"tried {number} times" if number > 1 else "tried once"
    if row["state"] == "waiting" and row.get("next"):
        at = row["next"]
        when = time.strftime("%a %b %d %H:%M:%S", time.localtime(at))
        yield f"next try {when}" if at > time.time() else "next try now"


def sender(entry: Entry) -> str:
    """Return the reverse-path as lists show it."""
    if entry.head.reverse_path is None:
        return "(as read)"
    return entry.head.reverse_path or "<>"


def reason(entry: Entry) -> str:
    """Return why a message is here, in one sentence."""
    if entry.damage:
        return f"the file {entry.damage}"
    words = entry.head.reason
    if entry.state == "in-doubt" and not words.startswith("in doubt"):
        return f"in doubt: {words}"
    return words
