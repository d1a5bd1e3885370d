"""Change the code in small ways, one at a time, and count the changes no test notices.

    python -m tests.mutation.run                          all of smtp/ and address
    python -m tests.mutation.run 'ssmtp.smtp.lines.*'     a part of it
    python -m tests.mutation.run --sample 500             so many of them, by lot

mutmut makes the changes and runs the tests, in a copy under build/mutation; what is
changed, and which tests are run, stands in pyproject.toml. A change counts as noticed
when a test fails, when the tests cannot be collected any more, or when they take much
longer than before (it loops). What no test reaches counts as not noticed. The names of
the survivors are printed; `mutmut show NAME` in build/mutation shows each.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPY = ROOT / "build" / "mutation"
# What mutmut writes for a change: the exit code of pytest, or its own.
SURVIVED = (0, 5, 33, 34, 35)  # passed, or no test was there to run
LATE = (-24, 24, 36, 152, 255)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.run")
    parser.add_argument("names", nargs="*", help="of changes, with wildcards")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--most", type=float, default=15.0, help="survivors, in %%")
    parser.add_argument("--sample", type=int, help="try so many, by lot")
    parser.add_argument("--seed", type=int, default=1, help="of the lot")
    given = parser.parse_args()
    begun = time.monotonic()
    copy()
    names = given.names
    if given.sample:
        # There is no way to make the changes without trying any.
        mutmut(given.jobs, ["none of them"], stdout=subprocess.DEVNULL)
        every = [name for _, codes in modules() for name in codes]
        names = random.Random(given.seed).sample(every, min(given.sample, len(every)))
    done = mutmut(given.jobs, names)
    if done.returncode:
        return done.returncode
    found = [(module, tried(codes)) for module, codes in modules()]
    minutes = (time.monotonic() - begun) / 60
    return report([pair for pair in found if pair[1]], given.most, minutes)


def mutmut(
    jobs: int, names: list[str], stdout: int | None = None
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(jobs)]
    return subprocess.run(
        [*command, *names],
        cwd=COPY,
        env=environment(),
        stdout=stdout,
        stderr=None if stdout is None else subprocess.STDOUT,
    )


def copy() -> None:
    """Copy what the tests need, so that the checkout stays as it is."""
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    for name in ("src", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, COPY / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", COPY)


def environment() -> dict[str, str]:
    """Return the environment without what pytest or a caller may have left in it."""
    return {n: v for n, v in os.environ.items() if not n.startswith(("PYTEST", "XDG"))}


def modules() -> Iterator[tuple[str, dict[str, int | None]]]:
    """Yield each module, with the exit code of every change; None: not tried."""
    for path in sorted((COPY / "mutants").rglob("*.meta")):
        name = str(path.relative_to(COPY / "mutants" / "src")).removesuffix(".meta")
        yield name, json.loads(path.read_text("utf-8"))["exit_code_by_key"]


def tried(codes: dict[str, int | None]) -> dict[str, int]:
    return {name: code for name, code in codes.items() if code is not None}


def report(found: list[tuple[str, dict[str, int]]], most: float, minutes: float) -> int:
    """Print the figures; return 1 when there are too many survivors."""
    total: Counter[str] = Counter()
    print(f"\n{'module':34} {'changes':>7} {'killed':>7} {'late':>5} {'survived':>8}")
    for module, codes in found:
        counts = Counter(map(outcome, codes.values()))
        total += counts
        print(row(module, counts))
    print(row("all", total))
    for _, codes in found:
        for name, code in codes.items():
            if outcome(code) == "survived":
                print(f"survived: {name}")
    share = 100 * total["survived"] / max(1, total.total())
    print(f"{share:.1f} % survived; {most:g} % may; {minutes:.0f} minutes")
    return int(share > most or not total)


def outcome(code: int) -> str:
    if code in SURVIVED:
        return "survived"
    return "late" if code in LATE else "killed"


def row(name: str, counts: Counter[str]) -> str:
    cells = f"{counts['killed']:7} {counts['late']:5} {counts['survived']:8}"
    share = 100 * counts["survived"] / counts.total()
    return f"{name:34} {counts.total():7} {cells} {share:5.1f} %"


if __name__ == "__main__":
    sys.exit(main())
