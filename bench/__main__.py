"""Measures, prints the table, and writes it into docs/performance.md.

    python3 -m bench [--pairs N] [--keep] [SECTION...]

It needs root, for namespaces of its own: what it starts sees neither the network nor
the mail system of the machine, and the machine sees nothing of it. The page is written
when all sections were measured.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from bench import line, machine, programs, stage
from bench.report import Report
from bench.sections import SECTIONS

PAGE = programs.CHECKOUT / "docs/performance.md"
INSIDE = "SSMTP_BENCH_INSIDE"  # set behind unshare: what could not be fetched
ALL_THERE = "nothing"


def main() -> int:
    """Run as a command."""
    words = argparse.ArgumentParser(prog="make bench", description=__doc__)
    words.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}")
    words.add_argument("--pairs", type=int, default=15, help="runs of each program")
    words.add_argument("--cache", type=Path, default=_cache())
    chosen = words.parse_args()
    unknown = set(chosen.sections) - set(SECTIONS)
    if unknown:
        words.error(f"there is no section {', '.join(sorted(unknown))}")
    if os.geteuid() != 0:
        words.error("it needs root, for mount, PID and network namespaces")
    if not os.environ.get(INSIDE):
        return _enter(chosen.cache)
    return measure(chosen.sections or list(SECTIONS), chosen.pairs, chosen.cache)


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("SSMTP_PEERS") or Path(home) / "ssmtp-peers")


def _enter(cache: Path) -> int:
    """Fetch the peers while there is a network; then go on without one."""
    troubles = programs.unpack(cache)
    if not (cache / "postfix/.archives").exists():
        print(f"bench: no mailhub: {'; '.join(troubles)}", file=sys.stderr)
        return 69
    env = {**os.environ, INSIDE: "\n".join(troubles) or ALL_THERE}
    argv = ["unshare", "--net", "--mount", sys.executable, "-m", "bench", *sys.argv[1:]]
    os.execvpe("unshare", argv, env)


def measure(sections: list[str], pairs: int, cache: Path) -> int:
    """Measure, print and write; return the exit code."""
    line.up()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=cache) as name:
        with stage.open_stage(cache, Path(name), pairs) as ready:
            fetched = os.environ[INSIDE].splitlines()
            missing = [t for t in fetched if t != ALL_THERE] + ready.missing
            report = Report(
                {p.name: p.title for p in ready.programs},
                machine.facts(ready.programs, missing),
            )
            for section in sections:
                print(f"bench: {section}", file=sys.stderr)
                report.parts.append(SECTIONS[section](ready))
    seconds = time.monotonic() - begun
    command = "make bench" + (
        f" ARGS='{' '.join(sys.argv[1:])}'" if sys.argv[1:] else ""
    )
    report.facts.append(("made by", f"`{command}` in {seconds / 60:.0f} minutes"))
    print(report.markdown())
    if sections == list(SECTIONS):
        report.write(PAGE)
        print(f"bench: {PAGE} was written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
