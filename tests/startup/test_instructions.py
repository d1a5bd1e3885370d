"""Start-up is a feature: no road takes more instructions than its ceiling.

Time is not measured, because it says more about the machine than about the program.
Instructions repeat to one in a thousand. `ceilings.tsv` has one for each road, with the
reason for each raise; the limits below are promises, and are not to be raised.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.startup.roads import MESSAGE, PYTHON, ROOT

# As -IS, but with PYTHONHASHSEED: the order of a set must not count.
FLAGS = "-sPS"
CEILINGS = Path(__file__).with_name("ceilings.tsv")
PROMISED = {"plain": 60, "tls": 100}
VERSION_ABOVE_FLOOR = 3

Count = Callable[..., float]


@pytest.fixture
def count(tmp_path: Path) -> Count:
    """What counts the instructions of a run of Python, in millions."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        reason = "valgrind is not there (.ci/run packages installs it)"
        if os.environ.get("SSMTP_REQUIRE_VALGRIND") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    version = [PYTHON, "-ISc", "import sys; print(*sys.version_info[:2])"]
    if subprocess.run(version, capture_output=True).stdout != b"3 11\n":
        pytest.skip("the ceilings are those of Python 3.11")
    env = {"XDG_STATE_HOME": str(tmp_path), "HOME": str(tmp_path)}

    def counted(*words: str) -> float:
        python = [PYTHON, FLAGS, *words]
        _run(python, env)  # so that there is bytecode,
        _run(python, env)  # and what belongs together in one file
        callgrind = ["--tool=callgrind", "--callgrind-out-file=/dev/null"]
        said = _run([valgrind, *callgrind, *python], {**env, "PYTHONHASHSEED": "0"})
        found = re.search(r"Collected : (\d+)", said)
        assert found is not None, said
        return int(found[1]) / 1e6

    return counted


def _run(words: list[str], env: dict[str, str]) -> str:
    run = subprocess.run(words, input=MESSAGE, capture_output=True, env=env, timeout=50)
    said = run.stderr.decode()
    assert 0 == run.returncode, said
    return said


def ceilings() -> dict[str, float]:
    lines = CEILINGS.read_text().splitlines()
    rows = [line.split() for line in lines if line[:1] != "#"]
    return {row[0]: float(row[1]) for row in rows}


def compare(road: str, millions: float) -> None:
    """Compare with the ceiling of a road."""
    most = ceilings()[road]

    assert millions <= most, (
        f"the road {road!r} takes {millions:.1f} million instructions, and may take "
        f"{most:g}. Take something off it (python3 -X importtime shows what it loads), "
        f"or raise its ceiling in {CEILINGS.relative_to(ROOT)} and say there what for."
    )


def test_version_is_next_to_nothing(count):
    """`--version` takes 3 million instructions more than the interpreter, at most."""
    floor = count("-c", "pass")
    version = count(str(ROOT / "bin/sendmail"), "--version")

    assert version - floor <= VERSION_ABOVE_FLOOR
    compare("version", version)


def test_mailq_stays_below_its_ceiling(count):
    """A listing of nothing."""
    compare("mailq", count(str(ROOT / "bin/mailq")))


@pytest.mark.parametrize("hub", ["plain", "tls"], indirect=True)
def test_direct_roads_stay_below_their_ceilings(count, hub, tmp_path):
    """A message to a mailhub in clear, and one through TLS with AUTH."""
    road = "tls" if hub.users else "plain"
    conf = str(tmp_path / "ssmtp.conf")

    millions = count(str(ROOT / "bin/sendmail"), "-C", conf, "-t")

    assert 3 == len(hub.mails)
    compare(road, millions)


def test_no_ceiling_is_above_what_was_promised():
    """A raise has an end."""
    for road, most in PROMISED.items():
        assert ceilings()[road] <= most, road
