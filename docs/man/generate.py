#!/usr/bin/env python3
"""Write the tables of the program into the manual pages.

Each page has sections between two comment lines, `.\\" begin NAME` and `.\\" end NAME`.
What stands there comes from the tables that the program itself reads, so that the
pages cannot drift. Run this after a change of a table; with --check it only tells, by
its exit status, whether there is something to write, or a sentence to translate. The
pages in another language lie in a directory of that name, with the sentences of the
tables in `pages.po`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "src"), str(HERE)]

import roff  # noqa: E402
import verbs  # noqa: E402
from catalogue import Catalogue, Say  # noqa: E402
from samples import SAMPLES  # noqa: E402

from ssmtp.agentvalues import DURATIONS, SIZES  # noqa: E402
from ssmtp.errors import EXIT_CODES  # noqa: E402
from ssmtp.keys import AGENT_KEYS, LISTS, MESSAGE_KEYS, Key  # noqa: E402
from ssmtp.options import EXAMPLES, TABLE, Option  # noqa: E402

PAGES = ("ssmtp.8", "ssmtp.conf.5", "ssmtpctl.8")
LANGUAGES = ("es",)


def option_term(row: Option, say: Say) -> str:
    term = f"\\fB\\-{row.name}\\fR"
    if not row.value:
        return term
    value = f"\\fI{roff.roff(say(row.value))}\\fR"
    return f"{term}[{value}]" if row.arity == "joined" else f"{term} {value}"


def options(status: str, say: Say) -> Iterator[str]:
    """Yield the rows of the option table that have this status."""
    return roff.paragraphs(
        (option_term(row, say), say(row.help)) for row in TABLE if row.status == status
    )


def examples(say: Say) -> Iterator[str]:
    """Yield the examples of --help."""
    for number, (command, meaning) in enumerate(EXAMPLES):
        if number:
            yield ".PP"
        yield from roff.filled(verbs.sentence(say(meaning))[:-1] + ":")
        yield from roff.shown([command.format(program="sendmail")])


def exit_codes(say: Say) -> Iterator[str]:
    """Yield the exit codes with their meaning."""
    return roff.paragraphs(
        (f"\\fB{code}\\fR", verbs.sentence(say(meaning)))
        for code, meaning in EXIT_CODES
    )


def facts(key: Key, say: Say) -> str:
    """Tell the default, the version and an example of a key, in roff."""
    since, sample, *otherwise = SAMPLES[key.name]
    default = say(otherwise[0]) if otherwise else written(key.kind, key.default)
    example = f"\\fB{roff.roff(key.name)}={roff.roff(sample)}\\fR"
    return (
        f"{say('Default:')} {roff.roff(default)}. {say('Since')} {since}."
        f" {say('Example:')} {example}"
    )


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


def keys(table: Iterable[Key], say: Say) -> Iterator[str]:
    """Yield keys of the configuration file."""
    for key in table:
        # What has a default in the table needs no sentence of its own in samples.
        assert (key.default is None or key.kind in LISTS) == (
            len(SAMPLES[key.name]) > 2
        )
        term = f"\\fB{roff.roff(key.name)}\\fR=\\fI{roff.roff(say(key.kind))}\\fR"
        yield from roff.paragraphs([(term, say(key.help))])
        yield ".br"
        yield from roff.wrapped(facts(key, say))


SECTIONS: dict[str, Callable[[Say], Iterator[str]]] = {
    "acted": lambda say: options("acted", say),
    "ignored": lambda say: options("ignored", say),
    "refused": lambda say: options("refused", say),
    "examples": examples,
    "exit codes": exit_codes,
    "keys": lambda say: keys(MESSAGE_KEYS, say),
    "keys of the agent": lambda say: keys(AGENT_KEYS, say),
    "commands": verbs.section,
}


def renewed(page: str, say: Say) -> str:
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
            lines.extend(SECTIONS[section](say))
        else:
            section = ""
    return "\n".join(lines) + "\n"


def stale(folder: Path, say: Say) -> Iterator[tuple[Path, str]]:
    """Yield the pages of a language that are not up to date, with what they lack."""
    for name in PAGES:
        path = folder / name
        page = path.read_text("utf-8")
        new = renewed(page, say)
        if new != page:
            yield path, new


def main(arguments: list[str]) -> int:
    complaints = []
    pages = list(stale(HERE, Say()))
    for language in LANGUAGES:
        catalogue = Catalogue(language)
        pages.extend(stale(HERE / language, catalogue))
        file = f"{language}/pages.po"
        complaints += [f"{file} lacks: {text}" for text in catalogue.missing()]
        complaints += [f"{file}, not used: {text}" for text in catalogue.unused()]
    for path, new in pages:
        if arguments == ["--check"]:
            name = path.relative_to(HERE)
            complaints.append(f"{name} is not up to date: run {Path(__file__).name}")
        else:
            path.write_text(new, "utf-8")
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
