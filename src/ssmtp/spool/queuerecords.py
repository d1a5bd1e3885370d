"""What happens to a queued message, as lines below it; `queuefile` tells their form."""

from __future__ import annotations

import binascii

from ssmtp.spool.keptfile import escape, seconds, unescape
from ssmtp.spool.queuefile import OUTCOMES, WAITING, stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ssmtp.spool.queuefile import Entry

_REPLY_LIMIT = 2000  # characters


def record(name: str, at: float, details: str = "") -> bytes:
    """Return one line to append; whatever is in the details stays on that line."""
    text = f"{name}: {stamp(at)}"
    if details:
        text += f" {escape(details)}"
    line = text.encode("utf-8", "surrogateescape")
    return b"%s %08x\n" % (line, binascii.crc32(line))


def outcome_records(outcomes: Iterable[tuple[int, str, str]], at: float) -> list[bytes]:
    """Return the lines for (recipient, state, reply); those that agree share one."""
    groups: dict[tuple[str, str], list[int]] = {}
    for recipient, state, reply in outcomes:
        if state not in OUTCOMES:
            raise ValueError(state)
        groups.setdefault((state, reply[:_REPLY_LIMIT]), []).append(recipient)
    return [
        record(state, at, f"{_ranges(sorted(numbers))} {reply}")
        for (state, reply), numbers in groups.items()
    ]


def apply(entry: Entry, line: bytes) -> None:
    """Let one record, without its line end, change an entry; a bad one changes none."""
    text, _, crc = line.rpartition(b" ")
    try:
        if len(crc) != 8 or int(crc, 16) != binascii.crc32(text):
            return
        name, _, value = text.decode().partition(": ")
        when, _, details = value.partition(" ")
        _apply(entry, name, when, unescape(details))
    except (ValueError, IndexError):
        return


def _apply(entry: Entry, name: str, when: str, details: str) -> None:
    if name == "begin":
        entry.attempts += 1
        entry.crashed += 1
        entry.last_try = seconds(when)
    elif name in OUTCOMES:
        entry.crashed = 0
        numbers, _, reply = details.partition(" ")
        for at in _numbers(numbers, len(entry.recipients)):
            entry.recipients[at].state = name
            entry.recipients[at].reply = reply
    elif name == "next":
        entry.crashed = 0
        entry.next = float(seconds(when))
    elif name == "warned":
        entry.warned = True
    elif name in ("held", "released"):
        entry.held = name == "held"
        entry.next = 0.0
    elif name == "failed":
        entry.failed = details or "no reason was given"
    elif name == "done":
        entry.done = True
    elif name == "requeued":
        entry.since = seconds(when)
        entry.failed, entry.next, entry.crashed = "", 0.0, 0
        entry.held = entry.warned = False
        for recipient in entry.recipients:
            if recipient.state != "sent":
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
