"""What happens to a queued message, as lines below it; `queuefile` tells their form."""

from __future__ import annotations

import binascii

from ssmtp.spool.keptfile import escape, seconds, unescape
from ssmtp.spool.queuefile import DOUBT, OPEN, OUTCOMES, WAITING, stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ssmtp.spool.queuefile import Entry

    # Its name, when it was (seconds since 1970), and what more there is to say.
    Record = tuple[str, float, str]

_REPLY_LIMIT = 2000  # characters


def render(record: Record) -> bytes:
    """Return the line to append; whatever is in the details stays on that line."""
    name, at, details = record
    text = (
        f"{name}: {stamp(at)} {escape(details)}" if details else f"{name}: {stamp(at)}"
    )
    line = text.encode("utf-8", "surrogateescape")
    return b"%s %08x\n" % (line, binascii.crc32(line))


def of_outcomes(outcomes: Iterable[tuple[int, str, str]], at: float) -> list[Record]:
    """Return records of (recipient, state, reply); those that agree share one."""
    groups: dict[tuple[str, str], list[int]] = {}
    for recipient, state, reply in outcomes:
        if state not in OUTCOMES:
            raise ValueError(state)
        groups.setdefault((state, reply[:_REPLY_LIMIT]), []).append(recipient)
    return [
        (state, at, f"{_ranges(sorted(numbers))} {reply}")
        for (state, reply), numbers in groups.items()
    ]


def read(entry: Entry, line: bytes) -> None:
    """Let a line, without its end, change an entry; a bad one changes none."""
    text, _, crc = line.rpartition(b" ")
    try:
        if len(crc) != 8 or int(crc, 16) != binascii.crc32(text):
            return
        name, _, value = text.decode().partition(": ")
        when, _, details = value.partition(" ")
        apply(entry, (name, seconds(when), unescape(details)))
    except (ValueError, IndexError):
        return


def apply(entry: Entry, record: Record) -> None:
    """Let a record change an entry; raises ValueError for what cannot be."""
    name, at, details = record
    if name == "begin":
        entry.attempts += 1
        entry.crashed += 1
        entry.last_try = int(at)
        entry.begun = True
    elif name in OUTCOMES:
        entry.crashed, entry.begun = 0, False
        entry.cleared = entry.cleared and name != DOUBT
        if name in OPEN:
            entry.put_off = at
        numbers, _, reply = details.partition(" ")
        for number in _numbers(numbers, len(entry.recipients)):
            entry.recipients[number].state = name
            entry.recipients[number].reply = reply
    elif name == "next":
        entry.crashed, entry.begun = 0, False
        entry.next = float(int(at))
        entry.rounds += 0 < entry.put_off < entry.next
        entry.put_off = 0.0
    elif name == "warned":
        entry.warned = True
    elif name in ("held", "released"):
        entry.held = name == "held"
        entry.begun = entry.begun and entry.held
        entry.cleared = entry.cleared or not entry.held
        entry.next = 0.0
    elif name == "failed":
        entry.failed = details or "no reason was given"
    elif name == "done":
        entry.done = True
    elif name == "requeued":
        entry.since = int(at)
        entry.failed, entry.next, entry.crashed, entry.rounds = "", 0.0, 0, 0
        entry.held = entry.warned = entry.begun = False
        for recipient in entry.recipients:
            if recipient.state not in ("sent", "relayed"):
                recipient.state = WAITING


def _ranges(numbers: list[int]) -> str:
    """Write sorted numbers shortly: 0,2-4."""
    parts: list[tuple[int, int]] = []
    for at in numbers:
        if parts and at <= parts[-1][1] + 1:
            parts[-1] = (parts[-1][0], at)
        else:
            parts.append((at, at))
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def _numbers(text: str, end: int) -> list[int]:
    """Read what `_ranges` wrote; raises ValueError for numbers that cannot be."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        span = range(int(first), int(last or first) + 1)
        if span.start < 0 or span.stop > end:
            raise ValueError(text)
        found += span
    return found
