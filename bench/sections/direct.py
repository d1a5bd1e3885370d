"""Direct submission on loopback: plain, STARTTLS + AUTH, TLS + AUTH."""

from __future__ import annotations

from bench.report import Goal, Part, Row, ms
from bench.stage import KINDS, NAGLE, Stage
from bench.turns import Failed, Turns


def measure(stage: Stage) -> Part:
    """Run every program on every road, and those with a queue up to their queue."""
    part = Part("One message on loopback (ms, whole process)")
    deliver = [p for p in stage.programs if p.delivers]
    for kind, words in {**KINDS, **NAGLE}.items():
        taken = stage.turns(deliver, stage.road(kind))
        part.rows.append(_row(words, taken))
        if kind == "tls":
            part.goals += _goals(taken)
    queue = [p for p in stage.programs if not p.delivers]
    if queue:
        try:
            taken = stage.turns(queue, stage.road("plain"))
            part.rows.append(_row("handed to a queue, not delivered", taken))
        except Failed as failed:
            part.notes.append(f"Handed to a queue: {failed}")
    return part


def _row(words: str, taken: Turns) -> Row:
    names = taken.outcomes
    ratio = taken.ratio("ours", "msmtp") if {"ours", "msmtp"} <= set(names) else None
    return Row(words, {name: ms(taken.wall(name)) for name in names}, ratio)


def _goals(taken: Turns) -> list[Goal]:
    goals = []
    for name, most in (("msmtp", 0.35), ("ssmtp", 0.05)):
        if name in taken.outcomes:
            ratio = taken.ratio("ours", name)
            goals.append(
                Goal(
                    "whole process, implicit TLS + AUTH, loopback",
                    f"≤ {most} of {name}",
                    f"{ratio:.3f}",
                    ratio <= most,
                )
            )
    if "msmtp" in taken.outcomes:
        ratio = taken.ratio("ours", "msmtp", "cpu")
        goals.append(
            Goal(
                "CPU seconds, TLS + AUTH",
                "≤ 1.5 of msmtp",
                f"{ratio:.2f}",
                ratio <= 1.5,
            )
        )
    return goals
