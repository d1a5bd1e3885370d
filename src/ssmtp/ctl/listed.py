"""How messages look in the lists of `ssmtpctl queue`, be they kept or queued."""

from __future__ import annotations

import shutil
import sys
import time

from ssmtp.ctl import colours, columns
from ssmtp.ctl.queued import Row
from ssmtp.ctl.retold import retold
from ssmtp.ctl.words import _
from ssmtp.spool import listing
from ssmtp.spool.entry import Entry
from ssmtp.spool.keptfile import escape

# Of states, by what a person has to do about them; those that are well are green.
STYLES = {
    "damaged": "bold red",
    "deferred": "yellow",
    "failed": "red",
    "held": "cyan",
    "in-doubt": "bold yellow",
    "refused": "red",
}


def facts(entry: Entry | Row) -> dict[str, object]:
    """Return what JSON listings tell about an entry."""
    if isinstance(entry, Row):
        return entry.facts()
    head = entry.head
    return {
        "id": entry.id,
        "state": entry.state,
        "path": entry.path,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(head.time)),
        "size": entry.size,
        "uid": head.uid,
        "kind": head.kind,
        "exit": head.exit_code,
        "reason": listing.reason(entry),
        "reply": head.reply or None,
        "message_id": head.message_id or None,
        "from": head.reverse_path,
        "to": head.recipients,
        "config": head.config_path or None,
        "arguments": head.arguments,
    }


def time_of(entry: Entry | Row) -> float:
    """Return since when a message is here."""
    return entry.told["time"] if isinstance(entry, Row) else entry.head.time


def _cells(entry: Entry | Row) -> tuple[str, str, str, str, str]:
    """Return size, state, sender, recipients and reason as lists show them."""
    if isinstance(entry, Row):
        row = entry.told
        sender = row["from"] or "<>"
        cells = (row["octets"], row["state"], sender, entry.recipients, entry.reason)
    else:
        sender, reason = listing.sender(entry), listing.reason(entry)
        cells = (entry.size, entry.state, sender, _recipients(entry), reason)
    told = (*cells[2:4], retold(cells[4]))
    return (size(cells[0]), cells[1], *(escape(cell) for cell in told))


def table(entries: list[Entry | Row]) -> None:
    """Print a line for each message; where a terminal is too narrow, several lines."""
    rows = [
        (
            *(_("ID"), _("AGE"), _("SIZE"), _("STATE")),
            *(_("SENDER"), _("RECIPIENTS"), _("REASON")),
        )
    ]
    rows += [
        (escape(entry.id), age(time.time() - time_of(entry)), *_cells(entry))
        for entry in entries
    ]
    widths = [max(columns.width(row[number]) for row in rows) for number in range(6)]
    room = shutil.get_terminal_size((0, 0)).columns if sys.stdout.isatty() else 0
    console = colours.console()
    begin = sum(widths[:3]) + 3 * len("  ")
    lines = [_line(row, widths) for row in rows]
    narrow = 0 < room < max(map(columns.width, lines))
    for row, line in zip(rows, lines, strict=True):
        first, *more = _block(row, widths, room) if narrow else [line]
        if row is rows[0]:
            colours.write(console, first, "bold")
            continue
        style = STYLES.get(row[3], "green")
        colours.write(console, first, style, begin, begin + len(row[3]))
        for one in more:
            colours.write(console, one, "")


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    """Return cells in columns; the last one is as long as it is."""
    *rest, last = cells
    padded = map(columns.padded, rest, widths)
    return "  ".join([*padded, last])


def _block(row: tuple[str, ...], widths: list[int], room: int) -> list[str]:
    """Return a message in lines that fit, with all of the reason in the last ones."""
    indent = " " * 4
    people = f"{indent}{row[4]}  {row[5]}"
    lines = [_line(row[:4], widths), people]
    short = [columns.cut(line, room) for line in lines]
    why = columns.wrapped(row[6], max(room - len(indent), 20))
    return [*short, *(indent + line for line in why)]


def summary(entry: Entry | Row) -> str:
    """Say what a message was."""
    octets, _state, sender, recipients, _reason = _cells(entry)
    return _("{size} from {sender} to {recipients}").format(
        size=octets, sender=sender, recipients=recipients
    )


def _recipients(entry: Entry) -> str:
    recipients = entry.head.recipients
    if not recipients:
        return "?"
    more = f" +{len(recipients) - 1}" if len(recipients) > 1 else ""
    return recipients[0] + more


def age(seconds: float) -> str:
    """Say how long something has lasted."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"


def size(octets: int) -> str:
    """Say how large something is."""
    if octets < 1000:
        return f"{octets} B"
    if octets < 1_000_000:
        return f"{octets / 1000:.1f} kB"
    return f"{octets / 1_000_000:.1f} MB"


def harmless(line: str) -> str:
    """Return a line for a terminal; tabs and backslashes stay as they are."""
    return "".join(c if c.isprintable() or c == "\t" else escape(c) for c in line)
