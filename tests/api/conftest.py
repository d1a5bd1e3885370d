"""A mailhub that keeps what it is sent, and a failed store of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssmtp.contrib.mailsink import mailsink as mailsink


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Return a function that lists the files of the failed store."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def files() -> list[Path]:
        return list(tmp_path.glob("state/ssmtp/failed/*"))

    return files
