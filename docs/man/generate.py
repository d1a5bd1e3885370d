#!/usr/bin/env python3
"""Write the tables of the program into the manual pages.

Each page has sections between two comment lines, `.\\" begin NAME` and `.\\" end NAME`.
What stands there comes from the tables that the program itself reads, so that the
pages cannot drift. Run this after a change of a table; with --check it only tells, by
its exit status, whether there is something to write.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "src"))

from ssmtp.agentvalues import DURATIONS, SIZES  # noqa: E402
from ssmtp.errors import EXIT_CODES  # noqa: E402
from ssmtp.keys import AGENT_KEYS, LISTS, MESSAGE_KEYS, Key  # noqa: E402
from ssmtp.options import EXAMPLES, TABLE, Option  # noqa: E402

PAGES = ("ssmtp.8", "ssmtp.conf.5")


def roff(text: str) -> str:
    """Write plain text so that roff prints it as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in ".'" else text


def paragraphs(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a list of terms and what they mean."""
    for term, meaning in rows:
        yield ".TP"
        yield term
        yield roff(meaning)


def option_term(row: Option) -> str:
    term = f"\\fB\\-{row.name}\\fR"
    if not row.value:
        return term
    value = f"\\fI{roff(row.value)}\\fR"
    return f"{term}[{value}]" if row.arity == "joined" else f"{term} {value}"


def options(status: str) -> Iterator[str]:
    """Yield the rows of the option table that have this status."""
    return paragraphs(
        (option_term(row), row.help) for row in TABLE if row.status == status
    )


def examples() -> Iterator[str]:
    """Yield the examples of --help."""
    for number, (command, meaning) in enumerate(EXAMPLES):
        if number:
            yield ".PP"
        yield roff(meaning[0].upper() + meaning[1:] + ":")
        yield ".PP"
        yield ".nf"
        yield ".RS"
        yield roff(command.format(program="sendmail"))
        yield ".RE"
        yield ".fi"


def exit_codes() -> Iterator[str]:
    """Yield the exit codes with their meaning."""
    return paragraphs(
        (f"\\fB{code}\\fR", meaning[0].upper() + meaning[1:] + ".")
        for code, meaning in EXIT_CODES
    )


def key_help(key: Key) -> str:
    if key.default is None or key.kind in LISTS:
        return key.help
    return f"{key.help} The default is {written(key.kind, key.default)}."


def written(kind: str, value: object) -> str:
    """Write a default as a person would write it into the file."""
    if kind == "yes or no":
        return "yes" if value else "no"
    if kind == "share or size":
        assert isinstance(value, tuple)
        return f"{value[0]:.0%}"
    if kind not in ("seconds", "duration", "size"):
        return str(value)
    assert isinstance(value, int | float)
    units = {"duration": DURATIONS, "size": SIZES}.get(kind, {"": 1})
    unit = max(
        (unit for unit, times in units.items() if value % times == 0),
        key=lambda unit: units[unit],
    )
    number = int(value / units[unit])
    return f"{number}{unit.upper() if kind == 'size' else unit}"


def keys(table: Iterable[Key]) -> Iterator[str]:
    """Yield keys of the configuration file."""
    return paragraphs(
        (f"\\fB{roff(key.name)}\\fR=\\fI{roff(key.kind)}\\fR", key_help(key))
        for key in table
    )


SECTIONS = {
    "acted": lambda: options("acted"),
    "ignored": lambda: options("ignored"),
    "refused": lambda: options("refused"),
    "examples": examples,
    "exit codes": exit_codes,
    "keys": lambda: keys(MESSAGE_KEYS),
    "keys of the agent": lambda: keys(AGENT_KEYS),
}


def renewed(page: str) -> str:
    """Return a page with its generated sections written anew."""
    lines: list[str] = []
    section = ""
    for line in page.splitlines():
        if section and line != f'.\\" end {section}':
            continue
        lines.append(line)
        word, _, name = line.partition(" ")[2].partition(" ")
        if line.startswith('.\\" ') and word == "begin":
            section = name
            lines.extend(SECTIONS[section]())
        else:
            section = ""
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    stale = 0
    for name in PAGES:
        path = HERE / name
        page = path.read_text()
        new = renewed(page)
        if new == page:
            continue
        stale = 1
        if arguments == ["--check"]:
            print(f"{name} is not up to date: run {Path(__file__).name}")
        else:
            path.write_text(new)
    return stale if arguments == ["--check"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
