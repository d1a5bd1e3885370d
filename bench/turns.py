"""Runs programs in turns, A B A B …, so that what disturbs one disturbs the others.

A ratio is the median of the ratios of the runs that stood side by side. Every run is a
whole process, and one that fails ends the measurement: a fast failure is no result.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from bench.programs import Outcome


class Failed(Exception):
    """A program did not do what it was measured for."""


class Turns:
    """The outcomes of programs that ran in turns, by the program's name."""

    def __init__(self, outcomes: dict[str, list[Outcome]]) -> None:
        self.outcomes = outcomes

    def wall(self, name: str) -> float:
        """Return the median of the seconds that a program took."""
        return median(o.wall for o in self.outcomes[name])

    def cpu(self, name: str) -> float:
        """Return the median of its CPU seconds, user and system."""
        return median(o.cpu for o in self.outcomes[name])

    def ratio(self, name: str, other: str, what: str = "wall") -> float:
        """Return the median ratio of two programs, pair by pair."""
        pairs = zip(self.outcomes[name], self.outcomes[other], strict=True)
        ratios: list[float] = [getattr(a, what) / getattr(b, what) for a, b in pairs]
        return median(ratios)


Run = Callable[[], Outcome]


def take(
    runs: dict[str, Run], count: int, after: Callable[[], None] = lambda: None
) -> Turns:
    """Run each `count` times, and once before without counting; `after` each run."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name in runs}
    for turn in range(count + 1):
        for name, run in runs.items():
            outcome = run()
            after()
            if outcome.code:
                raise Failed(f"{name} ended with {outcome.code}: {outcome.said[:200]}")
            if turn:
                outcomes[name].append(outcome)
    return Turns(outcomes)
