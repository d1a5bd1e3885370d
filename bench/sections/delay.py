"""The same with a round trip between client and mailhub, and the flights it takes."""

from __future__ import annotations

import json
import select
import subprocess
import sys

from bench import line
from bench.programs import CHECKOUT
from bench.report import Goal, Part, Row, ms
from bench.stage import KINDS, NAGLE, ROUND_TRIPS, Stage
from bench.turns import Turns

WATCHED = 0.05  # seconds: the round trip that has bounds
FLIGHTS = {"tls": 3, "starttls": 5}
PATIENCE = 5.0  # seconds for the line to tell what it saw


class Line:
    """A line with a delay, and the flights of the connections `seen` on it."""

    def __init__(self, number: int, round_trip: float) -> None:
        self.host = line.address(number, 2)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.line", str(number), str(round_trip)],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.seen: list[tuple[int, int]] = []
        assert self._process.stdout is not None
        self._out = self._process.stdout
        if self._out.readline() != "ready\n":
            raise OSError("no TUN device can be made")

    def look(self) -> None:
        """Note the flights of SMTP, and those of nothing but TLS."""
        if not select.select([self._out], [], [], PATIENCE)[0]:
            raise OSError("no connection ended on the line")
        said = json.loads(self._out.readline())
        self.seen.append((said["smtp"], said["tls"]))

    def stop(self) -> None:
        """Take the line away."""
        self._process.communicate()


def measure(stage: Stage) -> Part:
    """Run every program over every line, on every road."""
    part = Part("One message with a round trip (ms; flights of SMTP + of TLS only)")
    for number, round_trip in enumerate(ROUND_TRIPS, 1):
        try:
            there = Line(number, round_trip)
        except OSError as error:
            part.notes.append(f"With a round trip: not there ({error}).")
            return part
        try:
            for kind, words in _kinds(round_trip).items():
                programs = stage.named("ours", "msmtp")
                if round_trip == WATCHED and kind in KINDS:
                    programs = [p for p in stage.programs if p.delivers]
                there.seen.clear()
                road = stage.road(kind, there.host)
                taken = stage.turns(programs, road, after=there.look)
                # In turns: the last round says it all.
                last = there.seen[-len(programs) :]
                flights = dict(zip(taken.outcomes, last, strict=True))
                part.rows.append(_row(round_trip, words, taken, flights))
                if round_trip == WATCHED:
                    part.goals += _goals(kind, taken, flights)
        finally:
            there.stop()
    return part


def _kinds(round_trip: float) -> dict[str, str]:
    return {**KINDS, **NAGLE} if round_trip == WATCHED else KINDS


def _row(
    round_trip: float, words: str, taken: Turns, flights: dict[str, tuple[int, int]]
) -> Row:
    cells = {}
    for name in taken.outcomes:
        smtp, tls = flights[name]
        cells[name] = f"{ms(taken.wall(name))} ({smtp}{f' + {tls}' if tls else ''})"
    ratio = taken.ratio("ours", "msmtp") if "msmtp" in cells else None
    return Row(f"{round_trip * 1000:.0f} ms, {words}", cells, ratio)


def _goals(kind: str, taken: Turns, flights: dict[str, tuple[int, int]]) -> list[Goal]:
    goals = []
    if kind in FLIGHTS:
        most, (smtp, _) = FLIGHTS[kind], flights["ours"]
        goals.append(
            Goal(f"client flights, {KINDS[kind]}", f"{most}", str(smtp), smtp <= most)
        )
    if kind == "tls":
        wall, cpu = taken.wall("ours"), taken.cpu("ours")
        least = 6 * WATCHED + cpu
        goals.append(
            Goal(
                "wall at 50 ms round trip, 465",
                "≤ 1.15 × (6 round trips + own CPU)",
                f"{wall / least:.2f} × ({ms(wall)} ms)",
                wall <= 1.15 * least,
            )
        )
        if "msmtp" in taken.outcomes:
            ratio = taken.ratio("ours", "msmtp")
            goals.append(
                Goal(
                    "wall at 50 ms round trip, 465",
                    "≤ 0.75 of msmtp",
                    f"{ratio:.2f}",
                    ratio <= 0.75,
                )
            )
    return goals
