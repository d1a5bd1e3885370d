"""CPU time, peak memory and instructions of each road, and the interpreter's floor."""

from __future__ import annotations

import re
from functools import partial
from shutil import which
from statistics import median

from bench.programs import CHECKOUT, PYTHON, RECIPIENT, Program
from bench.report import Goal, Part, Row, mb, millions, ms
from bench.stage import KINDS, SMALL, Stage
from bench.turns import take

MEMORY_RUNS = 5
LIMITS = {"version": 3, "plain": 60, "tls": 100}  # millions; the first above the floor


def measure(stage: Stage) -> Part:
    """Measure ours on each road, the others where they deliver."""
    part = Part("What each road costs")
    (ours,) = stage.named("ours")
    alone = {
        "the interpreter: python3 -IS -c pass": [PYTHON, "-IS", "-c", "pass"],
        "--version": [str(CHECKOUT / "bin/sendmail"), "--version"],
        "mailq": [str(CHECKOUT / "bin/mailq")],
    }
    counts: dict[str, int | None] = {}
    counter = _Counter(stage, ours)
    for words, argv in alone.items():
        taken = take({"ours": partial(ours.run, argv, SMALL)}, stage.pairs)
        part.rows.append(Row(f"CPU ms, {words}", {"ours": ms(taken.cpu("ours"))}))
        counts[words] = counter.count(argv)
    deliver = [p for p in stage.programs if p.delivers]
    for kind, words in KINDS.items():
        road = stage.road(kind)
        taken = stage.turns(deliver, road)
        cells = {name: ms(taken.cpu(name)) for name in taken.outcomes}
        ratio = taken.ratio("ours", "msmtp", "cpu") if "msmtp" in cells else None
        part.rows.append(Row(f"CPU ms, {words}", cells, ratio))
        counts[kind] = counter.count([*ours.configure(road), RECIPIENT])
    for kind, words in KINDS.items():
        road = stage.road(kind)
        cells = {}
        for program in deliver:
            argv = [*program.configure(road), RECIPIENT]
            cells[program.name] = mb(_memory(program, argv))
        part.rows.append(Row(f"peak MB, {words}", cells))
    for words, count in counts.items():
        shown = "not there" if count is None else millions(count)
        part.rows.append(
            Row(f"instructions (M), {KINDS.get(words, words)}", {"ours": shown})
        )
    part.goals += _goals(counts)
    return part


def _memory(program: Program, argv: list[str]) -> float:
    return median(
        program.memory(argv, SMALL, pipe=False, most=60) for _ in range(MEMORY_RUNS)
    )


class _Counter:
    """Counts the instructions of a run with callgrind, if there is valgrind."""

    def __init__(self, stage: Stage, ours: Program) -> None:
        self._ours = ours
        self._env: dict[str, str] = {}
        self._valgrind = which("valgrind")
        private = stage.unpacked / "valgrind/usr"
        if self._valgrind is None and (private / "bin/valgrind").exists():
            self._valgrind = str(private / "bin/valgrind")
            self._env["VALGRIND_LIB"] = str(private / "libexec/valgrind")

    def count(self, argv: list[str]) -> int | None:
        """Return the instructions of one run of ours."""
        if self._valgrind is None:
            return None
        if argv[0] != PYTHON:
            argv = [PYTHON, "-IS", *argv]
        words = [
            self._valgrind,
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            *argv,
        ]
        self._ours.env.update(self._env)
        said = self._ours.run(words, SMALL).said
        found = re.search(r"Collected : (\d+)", said)
        return int(found[1]) if found else None


def _goals(counts: dict[str, int | None]) -> list[Goal]:
    floor, version, _, plain, _, tls = counts.values()
    if floor is None or version is None or plain is None or tls is None:
        return []
    bounds = {
        "--version": (version - floor, 3e6, f"≤ floor + 3 M ({millions(floor)} M)"),
        "direct plain": (plain, 60e6, "≤ 60 M"),
        "direct TLS": (tls, 100e6, "≤ 100 M"),
    }
    return [
        Goal(
            f"instructions, {name}",
            bound,
            f"{'floor + ' if name == '--version' else ''}{millions(count)} M",
            count <= most,
        )
        for name, (count, most, bound) in bounds.items()
    ]
