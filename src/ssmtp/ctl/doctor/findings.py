"""What `ssmtpctl doctor` has found out, one sentence for each thing that it looked at.

A finding has an id that never changes, so that scripts can look for it. Whatever is
said goes through `Report`, which takes out what may be a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ssmtp.ctl.retold import retold
from ssmtp.errors import EX_CONFIG, EX_OK, Failure
from ssmtp.smtp.reply import escaped, forms, hidden

# With which the sentences of the road begin, but for the names of mailhubs and files.
ARTICLES = ("a", "cannot", "in", "internal", "it", "no", "nothing", "the", "there")
SECRET_LEAST = 4  # characters; a shorter one would turn every text to dots


@dataclass
class Finding:
    """One thing that was looked at.

    `state` is ok, note, warning, error or skipped; `next` is what to type or do, `exit`
    the code of sysexits.h of an error. `fatal` says that no other mailhub is tried.
    """

    id: str
    state: str
    text: str
    next: str = ""
    section: str = ""
    exit: int = EX_OK
    fatal: bool = True
    details: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """Return what JSON tells of it."""
        found: dict[str, Any] = {
            "id": self.id,
            "state": self.state,
            "section": self.section,
            "text": self.text,
            "next": self.next or None,
        }
        if self.state == "error":
            found["exit"] = self.exit
        return {**found, **({"facts": self.facts} if self.facts else {})}


class Report:
    """The findings so far; `tell` is given each one as soon as it is there."""

    def __init__(self, tell: Callable[[Finding], None]) -> None:
        self.tell = tell
        self.findings: list[Finding] = []
        self.section = ""
        self._hide: tuple[str, ...] = ()

    def keep_hidden(self, secret: str) -> None:
        """Let a secret appear in nothing that is said from now on, in no form."""
        known = {f for f in forms(secret) if len(f) >= SECRET_LEAST} | {*self._hide}
        self._hide = tuple(sorted(known, key=len, reverse=True))

    def part(self) -> Report:
        """Return a report whose findings are held back, for `join` to take over."""
        report = Report(lambda finding: None)
        report.section, report._hide = self.section, self._hide
        return report

    def join(self, other: Report) -> None:
        """Take over the findings of a part."""
        self._hide = other._hide
        for finding in other.findings:
            self.add(finding)

    def add(self, finding: Finding) -> None:
        """Take in a finding, and tell it."""
        finding.section = finding.section or self.section
        finding.text = self._clean(sentence(finding.text))
        finding.next = self._clean(retold(finding.next))
        finding.details = [self._clean(line) for line in finding.details]
        finding.facts = self._harmless(finding.facts)
        self.findings.append(finding)
        self.tell(finding)

    def _clean(self, text: str) -> str:
        return hidden(escaped(text), self._hide)

    def _harmless(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._clean(value)
        if isinstance(value, dict):
            return {name: self._harmless(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._harmless(one) for one in value]
        return value

    def ok(
        self, name: str, text: str, details: Iterable[str] = (), **facts: Any
    ) -> None:
        """Say that something is as it should be."""
        self.add(Finding(name, "ok", text, details=[*details], facts=facts))

    def note(self, name: str, text: str, step: str = "", **facts: Any) -> None:
        """Say what is worth knowing."""
        self.add(Finding(name, "note", text, step, facts=facts))

    def warn(self, name: str, text: str, step: str = "", **facts: Any) -> None:
        """Say what is wrong, though mail goes out."""
        self.add(Finding(name, "warning", text, step, facts=facts))

    def skip(self, name: str, text: str, step: str = "") -> None:
        """Say what could not be looked at."""
        self.add(Finding(name, "skipped", text, step))

    def error(
        self, name: str, text: str, step: str = "", code: int = EX_CONFIG, **facts: Any
    ) -> Finding:
        """Say why mail does not go out."""
        finding = Finding(name, "error", text, step, exit=code, facts=facts)
        self.add(finding)
        return finding

    def failed(self, name: str, failure: Failure, **facts: Any) -> Finding:
        """Say why mail does not go out, in the words of the station that knows."""
        return self.error(
            name, failure.what, failure.next_step, failure.exit_code, **facts
        )

    def first(self, state: str) -> Finding | None:
        """Return the first finding in a state."""
        return next((f for f in self.findings if f.state == state), None)

    def count(self, state: str) -> int:
        """Count the findings in a state."""
        return sum(finding.state == state for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """The exit code of the first error, 0 when mail goes out."""
        first = self.first("error")
        return first.exit if first is not None else EX_OK


def sentence(text: str) -> str:
    """Begin with a capital, unless it is a name that begins; end as sentences do."""
    begins = text.partition(" ")[0] in ARTICLES
    text = retold(text)
    if begins:
        text = text[:1].upper() + text[1:]
    return text if text[-1:] in ".!?)" else f"{text}."
