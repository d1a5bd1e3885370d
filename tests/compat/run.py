#!/usr/bin/env python3
"""Run the recorded cases of classic sSMTP against bin/ssmtp, and judge the whole.

    tests/compat/run.py RUNNER [ARGUMENT...]

RUNNER is the runner that lies beside the recordings (needs root and `cryptography`). A
failing case that disputed.tsv does not list fails the run; so does a listed case that
passes, or that is not there: the table says what is so, not what once was.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
DISPUTED = Path(__file__).with_name("disputed.tsv")


def disputed() -> dict[str, str]:
    """Read the table: name of the case, reason; its first line is a heading."""
    lines = DISPUTED.read_text().splitlines()[1:]
    return dict(line.split("\t") for line in lines if line)


def run(runner: str, arguments: list[str]) -> dict[str, bool]:
    """Run the cases; say of each whether it failed."""
    with tempfile.NamedTemporaryFile(suffix=".json") as seen:
        command = [sys.executable, runner, "--binary", str(CHECKOUT / "bin/ssmtp")]
        subprocess.run([*command, "--json", seen.name, *arguments])
        cases = json.load(seen)["cases"]
    return {
        name: any(one["differs"] for one in runs) or not runs
        for name, runs in cases.items()
    }


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 64
    listed = disputed()
    failed = run(sys.argv[1], sys.argv[2:])
    wrong = [name for name, bad in sorted(failed.items()) if bad and name not in listed]
    stale = [name for name in sorted(listed) if not failed.get(name)]
    for name in wrong:
        print(f"compat: {name} fails and is not listed in {DISPUTED.name}")
    for name in stale:
        print(f"compat: {name} is listed in {DISPUTED.name} and does not fail")
    surprises = len(wrong) + len(stale)
    print(f"compat: {len(failed) - len(wrong)} as expected, {surprises} not")
    return 1 if surprises or not failed else 0


if __name__ == "__main__":
    sys.exit(main())
