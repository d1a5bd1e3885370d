"""A short sample of `make soak`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.run import soak


@pytest.mark.slow
def test_kills_and_faults(tmp_path: Path) -> None:
    """With halves that are killed and a failing mailhub nothing is lost."""
    assert 0 == soak(tmp_path, 1200, faults=0.1, seed=1, kill_every=(0.3, 0.8))
