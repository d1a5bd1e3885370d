"""Header sections of up to 1 MiB, read and repaired: time as they double.

No process is started and nothing is sent: these are our own functions, called with a
message as `sendmail` calls them.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from statistics import median

from bench.report import Goal, Part, Row, ms
from bench.shapes import EIGHT_BIT, SHAPES, repairer
from bench.stage import Stage

SIZES = (1 << 17, 1 << 18, 1 << 19, (1 << 20) - 64)
RUNS = 3


def measure(stage: Stage) -> Part:
    """Time each shape at each size."""
    sizes = ", ".join(map(_shown, SIZES))
    part = Part(f"Header section read and repaired (CPU ms at {sizes})")
    gc.set_threshold(100_000)  # as bin/sendmail does
    worst, name = 0.0, ""
    repair = repairer(ascii_only=False)
    for words, shape in SHAPES.items():
        times = _times(repair, shape)
        worst, name = max((worst, name), (times[-1], words))
        part.rows.append(Row(words, {"ours": " · ".join(map(ms, times))}))
    rewrite = repairer(ascii_only=True)
    for words in EIGHT_BIT:
        shown = " · ".join(map(ms, _times(rewrite, SHAPES[words])))
        part.rows.append(Row(f"{words}, and brought into ASCII", {"ours": shown}))
    part.goals.append(
        Goal(
            "parse + repair of a 1 MiB header section",
            "< 0.2 s",
            f"{worst:.3f} s ({name})",
            worst < 0.2,
        )
    )
    return part


def _times(
    repair: Callable[[bytes], None], shape: Callable[[int], bytes]
) -> list[float]:
    sections = map(shape, SIZES)
    return [median(_timed(repair, s) for _ in range(RUNS)) for s in sections]


def _shown(size: int) -> str:
    return f"{(size + 64) >> 10} KiB"


def _timed(repair: Callable[[bytes], None], section: bytes) -> float:
    begun = time.process_time()
    repair(section)
    return time.process_time() - begun
