"""What holds for every test: no trace is left outside of its own directories."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from ssmtp.spool import places

# No deadline: the machine is shared. No database where the checkout is read-only.
settings.register_profile("ssmtp", deadline=None)
settings.register_profile("read-only", deadline=None, database=None)
settings.load_profile("ssmtp" if os.access(".", os.W_OK) else "read-only")


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Messages that tests fail to send are kept below a directory of the tests."""
    state = tmp_path_factory.mktemp("state")
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(state)
    yield state
    if before is None:
        del os.environ["XDG_STATE_HOME"]
    else:
        os.environ["XDG_STATE_HOME"] = before


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Stand-ins for /var/tmp and /tmp."""
    first, second = tmp_path / "var-tmp", tmp_path / "tmp"
    for directory in (first, second):
        directory.mkdir()
        directory.chmod(0o1777)
    monkeypatch.setattr(places, "SHARED", (str(first), str(second)))
    monkeypatch.delenv("XDG_STATE_HOME")
    return first, second
