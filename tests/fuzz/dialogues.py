"""Hold very many dialogues with hostile mailhubs, reproducibly.

    python -m tests.fuzz.dialogues --count 1000000 --seed 1

The same count and seed make the same dialogues and the same table of outcomes. A
dialogue that goes wrong is written to build/fuzz/dialogue, for `tests.fuzz.run`.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import hashlib
import os
import random
import signal
import sys
import time
from collections import Counter
from typing import Any, NoReturn

from tests.fuzz.choices import Choices
from tests.fuzz.run import FOUND, HANG
from tests.fuzz.targets import dialogue

BLOCK = 5000
SIZES = (20, 40, 80, 160)  # octets of choices; behind them the mailhub is honest


def block(seed: int, number: int, count: int) -> tuple[Counter[str], list[bytes]]:
    """Hold the dialogues of one block; return outcomes, and what went wrong."""

    def late(*_: Any) -> NoReturn:
        raise AssertionError(f"a dialogue took {HANG} s")

    signal.signal(signal.SIGALRM, late)
    rng = random.Random(f"{seed}/{number}")
    outcomes: Counter[str] = Counter()
    wrong = []
    for _ in range(count):
        data = rng.randbytes(rng.choice(SIZES))
        signal.alarm(HANG)
        try:
            outcomes[dialogue.play(Choices(data))] += 1
        except Exception as error:
            outcomes[f"WRONG {type(error).__name__}: {error}"] += 1
            wrong.append(data)
    signal.alarm(0)
    return outcomes, wrong


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.dialogues")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    begun = time.monotonic()
    outcomes: Counter[str] = Counter()
    wrong: list[bytes] = []
    sizes = [
        min(BLOCK, options.count - done) for done in range(0, options.count, BLOCK)
    ]
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        seeds = [options.seed] * len(sizes)
        for found, bad in pool.map(block, seeds, range(len(sizes)), sizes):
            outcomes += found
            wrong += bad
    for name, number in sorted(outcomes.items()):
        print(f"{number:9} {name}")
    (FOUND / "dialogue").mkdir(parents=True, exist_ok=True)
    for data in wrong[:20]:
        path = FOUND / "dialogue" / f"crash-{hashlib.sha1(data).hexdigest()}"
        path.write_bytes(data)
        print(f"to see it again: python -m tests.fuzz.run dialogue {path}")
    rate = options.count / (time.monotonic() - begun)
    print(
        f"{options.count} dialogues, seed {options.seed}, {rate:.0f} a second; "
        f"{len(wrong)} went wrong"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
