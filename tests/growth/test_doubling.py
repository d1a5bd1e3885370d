"""Twice the work takes twice the instructions: nothing in a message makes us slow.

The instructions are counted by callgrind, for time says more about the machine. Where
work grows with the square, a doubled input takes four times as many.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.growth.work import KINDS, work
from tests.startup.roads import PYTHON

WORK = Path(__file__).with_name("work.py")
SIZES = (1 << 14, 1 << 15)
# Twice, and something for what steps: a table that is doubled, a block begun.
MOST = 2.2


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", KINDS)
def test_twice_the_work_takes_twice_the_instructions(kind, tmp_path):
    """Linear in its size, whatever a message, a command line or a mailhub holds."""
    counts = counted(kind, tmp_path)
    ratios = {name: twice / once for name, (once, twice) in counts.items()}

    assert set(work(kind)[0]) == set(counts)
    assert all(once > 10_000 for once, _ in counts.values())
    assert {} == {name: ratio for name, ratio in ratios.items() if ratio > MOST}


def counted(kind: str, place: Path) -> dict[str, tuple[int, int]]:
    """Return the instructions of each work at both sizes."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        reason = "valgrind is not there (.ci/run packages installs it)"
        if os.environ.get("SSMTP_REQUIRE_VALGRIND") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    run = subprocess.run(
        [
            *(valgrind, "--tool=callgrind", "--dump-before=getppid"),
            f"--callgrind-out-file={place / 'out'}",
            *(PYTHON, "-sPS", str(WORK), kind, *map(str, SIZES)),
        ],
        capture_output=True,
        text=True,
        env={"PYTHONHASHSEED": "0"},
        timeout=170,
    )
    assert 0 == run.returncode, run.stderr
    # Dumps are numbered from the start; those of even numbers end with the work.
    return {
        name: (_total(place / f"out.{n}"), _total(place / f"out.{n + 2}"))
        for n, name in zip(range(2, 4096, 4), work(kind)[0], strict=False)
    }


def _total(dump: Path) -> int:
    found = re.search(r"^totals: (\d+)", dump.read_text(), re.M)
    assert found is not None
    return int(found[1])
