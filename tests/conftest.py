"""What holds for every test: no trace is left outside of its own directories."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from ssmtp import guard, journal
from ssmtp.spool import places

# English, whatever the machine speaks. Tests of other languages ask for them.
for _name in [*os.environ]:
    if _name == "LANGUAGE" or _name.startswith("LC_"):
        del os.environ[_name]
os.environ["LANG"] = "C.UTF-8"

# No deadline: the machine is shared. The same input each time: a commit is not to
# blame for what chance finds, which `--hypothesis-profile=chance` looks for.
settings.register_profile("ssmtp", deadline=None, derandomize=True)
settings.register_profile("chance", deadline=None, database=None, max_examples=500)
settings.load_profile("ssmtp")


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


@pytest.fixture(autouse=True)
def nobodys_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    """That one test has imported the Python API changes nothing for the others."""
    monkeypatch.setattr(guard, "guest", False)
    monkeypatch.setattr(journal, "guest", False)


# The passwords of the tests, each in the forms in which no command may say it.
PASSWORDS = (b"pass word#=:1", b"secret-9", b"pw-12345", b"no-such-password")
UNSPEAKABLE = [
    *PASSWORDS,
    *(base64.b64encode(word).rstrip(b"=") for word in PASSWORDS),
    *(base64.b64encode(b"\0me\0" + word).rstrip(b"=") for word in PASSWORDS),
]


@pytest.fixture(autouse=True)
def no_password_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test runs to its end, no password is in its output."""
    real = subprocess.Popen.communicate

    def communicate(self, *args, **more):
        found = real(self, *args, **more)
        for said in found:
            if isinstance(said, bytes):
                assert not any(form in said for form in UNSPEAKABLE)
        return found

    monkeypatch.setattr(subprocess.Popen, "communicate", communicate)


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
