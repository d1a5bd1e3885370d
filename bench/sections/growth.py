"""Cost as the work grows: size from a pipe and a file, recipients, header fields."""

from __future__ import annotations

from statistics import median

from bench.plot import Curve, curves
from bench.programs import Program
from bench.report import Goal, Part, Row, mb, ms
from bench.stage import Stage, text
from bench.turns import Failed, Turns

SIZES = {"1 kB": 10**3, "100 kB": 10**5, "1 MB": 10**6, "10 MB": 10**7}
HUGE = {"100 MB": 10**8}
RECIPIENTS = (1, 10, 100, 1000)
MEMORY_RUNS = 3


def measure(stage: Stage) -> Part:
    """Run ours and msmtp in turns with ever more work."""
    part = Part("More work (ms, plain unless said otherwise)")
    pair = stage.named("ours", "msmtp")
    times: dict[str, Curve] = {}
    memories: dict[str, Curve] = {}
    for words, size in {**SIZES, **HUGE}.items():
        stage.write(words, text(size))
        memory_cells = {}
        for program in pair:
            peak = _memory(stage, program, words)
            memory_cells[program.name] = mb(peak)
            memories.setdefault(program.title, []).append((size, peak * 1024 / 1e6))
        for pipe in (False, True):
            taken = stage.turns(pair, stage.road("plain"), words, pipe=pipe)
            source = "a pipe" if pipe else "a file"
            part.rows.append(_row(f"{words} from {source}", taken))
            for program in pair:
                name = f"{program.title}, {source}"
                point = (size, taken.wall(program.name) * 1000)
                times.setdefault(name, []).append(point)
            if size == 10**8:
                part.goals += _throughput(taken, f"100 MB from {source}")
        if size == 10**8:
            taken = stage.turns(pair, stage.road("tls"), words)
            part.rows.append(_row(f"{words} from a file, TLS + AUTH", taken))
            part.goals += _throughput(taken, "100 MB from a file, TLS + AUTH")
            peak = memories["ours"][-1][1]
            part.goals.append(
                Goal("peak memory, 100 MB", "≤ 30 MB", f"{peak:.1f} MB", peak <= 30)
            )
        part.rows.append(Row(f"peak MB, {words}", memory_cells))
        (stage.messages / words).unlink()
    _two_megabytes(stage, part)
    _recipients(stage, part)
    fields = b"".join(b"X-Field-%d: some value\n" % n for n in range(990))
    stage.write("fields", text(len(fields) + 1000, fields))
    part.rows.append(
        _row("1,000 header fields", stage.turns(pair, stage.road("plain"), "fields"))
    )
    part.plots["performance-time.svg"] = curves(
        "Time against size (whole process, plain, loopback)",
        "octets",
        "milliseconds",
        times,
    )
    part.plots["performance-memory.svg"] = curves(
        "Peak memory against size", "octets", "megabytes", memories
    )
    return part


def _row(words: str, taken: Turns) -> Row:
    ratio = taken.ratio("ours", "msmtp") if "msmtp" in taken.outcomes else None
    return Row(words, {n: ms(taken.wall(n)) for n in taken.outcomes}, ratio)


def _memory(stage: Stage, program: Program, message: str) -> float:
    argv = [*program.configure(stage.road("plain")), "ann@example.org"]
    return median(
        program.memory(argv, message, pipe=True, most=60) for _ in range(MEMORY_RUNS)
    )


def _throughput(taken: Turns, words: str) -> list[Goal]:
    if "msmtp" not in taken.outcomes:
        return []
    ratio = taken.ratio("ours", "msmtp")
    return [Goal(words, "throughput ≥ msmtp's", f"{1 / ratio:.2f} ×", ratio <= 1)]


def _two_megabytes(stage: Stage, part: Part) -> None:
    stage.write("2 MB", text(2 * 10**6))
    pair = stage.named("ours", "msmtp")
    taken = stage.turns(pair, stage.road("plain"), "2 MB", pipe=True)
    row = _row("2 MB from a pipe", taken)
    for classic in stage.named("ssmtp"):
        argv = [*classic.configure(stage.road("plain")), "ann@example.org"]
        outcome = classic.run(argv, "2 MB", pipe=True)
        row.cells[classic.name] = f"{ms(outcome.wall)} (one run)"
    part.rows.append(row)
    if row.ratio is not None:
        part.goals.append(
            Goal("2 MB through a pipe", "≤ msmtp", f"{row.ratio:.2f}", row.ratio <= 1)
        )


def _recipients(stage: Stage, part: Part) -> None:
    pair = stage.named("ours", "msmtp")
    for count in RECIPIENTS:
        names = tuple(f"person{n}@example.org" for n in range(count))
        try:
            taken = stage.turns(pair, stage.road("plain"), recipients=names)
        except Failed as failed:
            part.notes.append(f"{count} recipients: {failed}")
            continue
        part.rows.append(_row(f"{count:,} recipients", taken))
