"""How `ssmtpctl migrate` tells what it found and what it does with it."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ssmtp.ctl import colours
from ssmtp.ctl.migrate.sources import shortened
from ssmtp.ctl.migrate.taken import OUTCOMES, Draft, Rule, Told
from ssmtp.ctl.words import _
from ssmtp.values import shown

STYLES = {
    "taken": "green",
    "changed": "cyan",
    "unsafe": "bold red",
    "left": "yellow",
    "unknown": "magenta",
}
HEADINGS = {
    "taken": _("Taken over"),
    "changed": _("Taken over, with a difference"),
    "unsafe": _("Not safe: something safer is written"),
    "left": _("Without a counterpart"),
    "unknown": _("Unknown"),
}


def where(told: Told, home: Path | None) -> str:
    """Return the file and line of a key, short."""
    path = shortened(told.entry.path, home)
    return f"{path}:{told.entry.line}" if told.entry.line else path


def lines(draft: Draft, home: Path | None) -> Iterator[str]:
    """Yield the report as text, a line for each key and one for each reason."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for outcome in OUTCOMES:
        rows = [told for told in draft.told if told.outcome == outcome]
        if rows:
            yield HEADINGS[outcome]
        keys = max((len(told.entry.key) for told in rows), default=0)
        places = max((len(where(told, home)) for told in rows), default=0)
        for told in rows:
            key = shown(told.entry.key)
            line = f"  {key:<{keys}}  {where(told, home):<{places}}  {told.ours}"
            yield line.rstrip()
            if told.why:
                yield from _wrapped(told.why, width, "      ")
        if rows:
            yield ""
    if draft.notes:
        yield _("Mind")
        for note in draft.notes:
            yield from _wrapped(note, width, "  ")
        yield ""


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    if width < 40:
        return [indent + text]
    return textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def show(draft: Draft, home: Path | None) -> None:
    """Print the report; in colour, and as tables, where rich is."""
    console = colours.console()
    if console is None:
        for line in lines(draft, home):
            print(draft.masked(line))
        return
    from rich.table import Table
    from rich.text import Text

    for outcome in OUTCOMES:
        rows = [told for told in draft.told if told.outcome == outcome]
        if not rows:
            continue
        table = Table(
            title=Text(HEADINGS[outcome], STYLES[outcome]),
            title_justify="left",
            box=None,
            show_header=False,
        )
        for told in rows:
            why = f"{told.ours}\n{told.why}" if told.ours and told.why else ""
            cells = (told.entry.key, where(told, home), why or told.ours or told.why)
            table.add_row(*(Text(draft.masked(cell)) for cell in cells))
        console.print(table)
        console.print()
    for note in draft.notes:
        console.print(Text(draft.masked(note), "bold"))


def difference(draft: Draft, text: str) -> None:
    """Print a diff that has no secrets in it, in colour on a terminal."""
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for line in draft.masked(text).splitlines():
        sign = {"+": "32", "-": "31", "@": "36"}.get(line[:1])
        print(f"\x1b[{sign}m{line}\x1b[0m" if colour and sign else line)


def facts(draft: Draft, settings: list[str]) -> dict[str, Any]:
    """Return the report for programs."""
    return {
        "settings": [draft.masked(line) for line in settings],
        "revaliases": [f"{login}:{rest}" for login, rest in draft.revaliases.items()],
        "keys": [
            {
                "outcome": told.outcome,
                "key": told.entry.key,
                "file": str(told.entry.path),
                "line": told.entry.line or None,
                "ours": draft.masked(told.ours) or None,
                "why": draft.masked(told.why) or None,
            }
            for told in draft.told
        ],
        "notes": [draft.masked(note) for note in draft.notes],
    }


def table(module: Any) -> Iterator[str]:
    """Yield the table of a program as it stands in docs/migrating.md.

    Keys that one reason leaves out, one behind the other, share a row.
    """
    yield f"| {module.TITLE} | ssmtp | |"
    yield "| --- | --- | --- |"
    for (ours, why), rules in itertools.groupby(module.RULES, _said):
        together = list(rules)
        for group in [[rule] for rule in together] if ours else [together]:
            keys = ", ".join(f"`{rule.key}`" for rule in group)
            yield f"| {keys} | {f'`{ours}`' if ours else 'none'} | {why} |"


def _said(rule: Rule) -> tuple[str, str]:
    why = "; ".join(filter(None, (rule.why, rule.note)))
    return rule.ours, why.replace("|", "\\|")
