"""The sections of the benchmark, in the order of the report.

Each is a module with a function `measure` that is given the stage and returns a part of
the report. A new one needs nothing but a line here.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.report import Part
from bench.sections import costs, delay, direct, growth, parsing, queue
from bench.stage import Stage

SECTIONS: dict[str, Callable[[Stage], Part]] = {
    "direct": direct.measure,
    "delay": delay.measure,
    "costs": costs.measure,
    "growth": growth.measure,
    "parsing": parsing.measure,
    "queue": queue.measure,
}
