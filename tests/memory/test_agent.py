"""The memory of the agent does not grow with the messages that come at one time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.agents import ROOT, Box

WRITERS = 10
GROWTH = 3072  # KiB


def peak(place: Path, octets: int) -> int:
    """Return what an acceptor needs, in KiB, for messages that come all at once."""
    place.mkdir()
    box = Box(place)
    box.configure("MaxQueuedSize=1G")
    box.start()
    try:
        assert box.process is not None
        writers = [sys.executable, str(ROOT / "bench" / "writers.py")]
        words = [str(box.socket), str(WRITERS), str(WRITERS), str(octets), "data"]
        subprocess.run(
            [*writers, *words], check=True, stdout=subprocess.DEVNULL, timeout=120
        )
        status = Path(f"/proc/{box.process.pid}/status").read_text()

        assert WRITERS == len(box.entries())
    finally:
        box.stop()
    return int(status.partition("VmHWM:")[2].split()[0])


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_large_messages_at_once(tmp_path: Path) -> None:
    """Ten messages of 20 MB at a time need less than 3 MiB more than ten small ones."""
    small = peak(tmp_path / "small", 10_000)
    large = peak(tmp_path / "large", 20_000_000)

    assert large - small < GROWTH
