#!/usr/bin/env python3
"""Judge an agent with the servers and inputs that misbehave.

    tests/between/hostile.py HARNESS [ARGUMENT...]

HARNESS is the directory of the hostile harness (see its README). Each case has an agent
of its own (`sendmail` beside this file), and the exit code is the verdict of --wait. A
failing case that disputed.tsv does not list fails the run, and so does a listed one
that passes: the table says what is so, not what once was. Where the reason begins with
"by chance" it may pass, for then a busy machine decides.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def disputed() -> dict[str, str]:
    """Read the table: name of the case, reason; its first line is a heading."""
    lines = (HERE / "disputed.tsv").read_text().splitlines()[1:]
    return dict(line.split("\t") for line in lines if line)


def run(harness: Path, arguments: list[str]) -> dict[str, bool]:
    """Run the cases; say of each whether one of its variants failed."""
    failed: dict[str, bool] = {}
    with tempfile.NamedTemporaryFile(suffix=".json") as seen:
        command = [sys.executable, str(harness / "run.py"), "--json", seen.name]
        table = ["--table", str(harness / "shared.json")]
        subprocess.run([*command, *table, "--binary", HERE / "sendmail", *arguments])
        for one in json.load(seen)["results"]:
            if one["status"] != "skipped":
                bad = one["status"] != "passed"
                failed[one["id"]] = failed.get(one["id"], False) or bad
    return failed


def main() -> int:
    """Run all cases, and compare with the table."""
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 64
    listed = disputed()
    failed = run(Path(sys.argv[1]), sys.argv[2:])
    wrong = [name for name, bad in sorted(failed.items()) if bad and name not in listed]
    sure = [name for name in sorted(listed) if not listed[name].startswith("by chance")]
    stale = [name for name in sure if failed.get(name) is False]
    for name in wrong:
        print(f"between: {name} fails and is not listed in disputed.tsv")
    for name in stale:
        print(f"between: {name} is listed in disputed.tsv and does not fail")
    print(f"between: {len(failed) - len(wrong)} as expected, {len(wrong + stale)} not")
    return 1 if wrong or stale or not failed else 0


if __name__ == "__main__":
    sys.exit(main())
