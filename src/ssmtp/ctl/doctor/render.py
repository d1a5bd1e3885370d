"""How the findings look: lines as they come for a person, one object for a program."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from typing import Any

from ssmtp import extras
from ssmtp.ctl.doctor.case import Case
from ssmtp.ctl.doctor.findings import Finding, Report
from ssmtp.ctl.words import _, counted

STYLES = {
    "ok": "green",
    "note": "cyan",
    "warning": "yellow",
    "error": "bold red",
    "skipped": "dim",
}
INDENT = 2


class Lines:
    """Prints findings as they come, under the headings of their sections."""

    def __init__(self) -> None:
        self.section = ""
        self.width = max(map(len, map(word, STYLES)))
        self.console = _console()
        columns = shutil.get_terminal_size((0, 0)).columns if _terminal() else 0
        self.columns = max(columns, 40) if columns else 0

    def __call__(self, finding: Finding) -> None:
        """Print a finding."""
        if finding.section != self.section:
            print(("\n" if self.section else "") + finding.section)
            self.section = finding.section
        margin = " " * (INDENT + self.width + 2)
        first = f"{word(finding.state):<{self.width}}"
        lines = self._wrapped(finding.text, margin)
        self._styled(" " * INDENT, first, STYLES[finding.state], "  " + lines[0])
        for line in lines[1:]:
            print(margin + line)
        for line in finding.details:
            print(f"{margin}{line}")
        if finding.next:
            for line in self._wrapped(step(finding.next), margin):
                print(margin + line)
        sys.stdout.flush()

    def _wrapped(self, text: str, margin: str) -> list[str]:
        if not self.columns:
            return [text]
        return textwrap.wrap(
            text,
            max(20, self.columns - len(margin)),
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]

    def _styled(self, before: str, text: str, style: str, behind: str) -> None:
        if self.console is None:
            print(f"{before}{text}{behind}")
            return
        from rich.text import Text

        line = Text.assemble(before, (text, style), behind)
        self.console.print(line, soft_wrap=True, highlight=False)

    def verdict(self, report: Report) -> None:
        """Print what it comes to."""
        first = report.first("error")
        print()
        if first is None:
            self._styled("", told(report), STYLES["ok"], "")
        else:
            self._styled("", told(report), STYLES["error"], "")
            print(" " * INDENT + first.text)
            if first.next:
                print(" " * INDENT + step(first.next))


def step(text: str) -> str:
    """Write a next step."""
    return _("next: {step}").format(step=text)


def word(state: str) -> str:
    """Return the word for a state."""
    return {
        "ok": _("ok"),
        "note": _("note"),
        "warning": _("warning"),
        "error": _("error"),
        "skipped": _("skipped"),
    }[state]


def told(report: Report) -> str:
    """Say in one sentence what it comes to."""
    if report.first("error") is not None:
        return _("Mail does not go out.")
    warnings = report.count("warning")
    if not warnings:
        return _("Mail goes out.")
    text = counted(
        "Mail goes out, with {count} warning.",
        "Mail goes out, with {count} warnings.",
        warnings,
    )
    return text.format(count=warnings)


def as_json(report: Report, case: Case) -> str:
    """Return all of it for programs."""
    found: dict[str, Any] = {
        "exit": report.exit_code,
        "verdict": told(report),
        "configuration": case.path or None,
        "agent": case.road.path if case.road is not None else None,
        "findings": [finding.told() for finding in report.findings],
    }
    return json.dumps(found, indent=2)


def _terminal() -> bool:
    return sys.stdout.isatty()


def _console() -> Any:
    """Return a console of `rich`, where colours are wanted and to be had."""
    if not _terminal() or os.environ.get("NO_COLOR") or not extras.optional("rich"):
        return None
    from rich.console import Console

    return Console()
