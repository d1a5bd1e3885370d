"""What was measured, as it is printed and as it stands in docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

ABSENT = "–"


class Row:
    """One line of the table: what was measured, a cell for each program, the ratio."""

    def __init__(
        self, measure: str, cells: dict[str, str], ratio: float | None = None
    ) -> None:
        self.measure = measure
        self.cells = cells
        self.ratio = ratio


class Goal:
    """What was to be reached, and what was measured."""

    def __init__(self, measure: str, bound: str, measured: str, met: bool) -> None:
        self.measure = measure
        self.bound = bound
        self.measured = measured
        self.met = met


class Part:
    """What a section of the benchmark found; `notes` stand below its rows.

    `aims` is the heading of the table that its goals stand in.
    """

    def __init__(self, title: str, aims: str = "to reach") -> None:
        self.title = title
        self.aims = aims
        self.rows: list[Row] = []
        self.goals: list[Goal] = []
        self.notes: list[str] = []
        self.plots: dict[str, str] = {}
        """SVG by file name."""


class Report:
    """All parts, and the facts about machine and programs that belong to them."""

    def __init__(self, columns: dict[str, str], facts: list[tuple[str, str]]) -> None:
        self.columns = columns
        self.facts = facts
        self.parts: list[Part] = []

    def markdown(self) -> str:
        """Return the whole report."""
        blocks = [_table(("machine", ""), self.facts)]
        tables: dict[str, list[tuple[str, ...]]] = {}
        for part in self.parts:
            for g in part.goals:
                met = "yes" if g.met else "**no**"
                row = (g.measure, g.bound, g.measured, met)
                tables.setdefault(part.aims, []).append(row)
        for aims, rows in tables.items():
            blocks.append(_table((aims, "bound", "measured", "met"), rows))
        blocks.append(self._measures())
        for part in self.parts:
            blocks += part.notes
            blocks += [f"![{part.title}]({name})" for name in part.plots]
        return "\n\n".join(blocks) + "\n"

    def _measures(self) -> str:
        head = ("measure", *self.columns.values(), "ours ÷ msmtp")
        rows: list[tuple[str, ...]] = []
        for part in self.parts:
            rows.append((f"**{part.title}**", *[""] * (len(head) - 1)))
            for row in part.rows:
                cells = [row.cells.get(name, ABSENT) for name in self.columns]
                ratio = ABSENT if row.ratio is None else f"{row.ratio:.2f}"
                rows.append((row.measure, *cells, ratio))
        return _table(head, rows)

    def write(self, page: Path) -> None:
        """Put the report between the marks of a page, and the plots beside it."""
        begin, end = "<!-- bench: begin -->\n", "<!-- bench: end -->"
        before, _, rest = page.read_text().partition(begin)
        _, _, after = rest.partition(end)
        page.write_text(f"{before}{begin}\n{self.markdown()}\n{end}{after}")
        for part in self.parts:
            for name, svg in part.plots.items():
                (page.parent / name).write_text(svg)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" if i == 0 else "---:" for i in range(len(head)))]
    if len(head) == 2:
        lines[1] = ("---", "---")
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (*lines, *rows))


def ms(seconds: float) -> str:
    """Return a time in milliseconds, with three digits that mean something."""
    value = seconds * 1000
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def mb(kibibytes: float) -> str:
    """Return an amount of memory in megabytes."""
    return f"{kibibytes * 1024 / 1e6:.1f}"


def millions(count: float) -> str:
    """Return a number of instructions in millions."""
    return f"{count / 1e6:.1f}"
