"""A configuration, a mailhub on the loopback interface, a doctor to look at them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from ssmtp import accounts, guard
from ssmtp.ctl import main
from tests.certificates import Certificates
from tests.hub import Hub, running

ROOT = Path(__file__).parents[2]
USER, PASSWORD = "me@corp.test", "secret-9"
ME = accounts.caller().login


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """Certificates of all kinds."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@dataclass
class Told:
    """What the doctor said: the text, or the object for programs."""

    code: int
    text: str
    findings: list[dict[str, Any]] = field(default_factory=list)

    def all(self, name: str) -> list[dict[str, Any]]:
        """Return the findings of this id."""
        return [finding for finding in self.findings if finding["id"] == name]

    def one(self, name: str) -> dict[str, Any]:
        """Return the one finding of this id."""
        [finding] = self.all(name)
        return finding

    def states(self, state: str) -> list[str]:
        """Return the ids of the findings in a state, in order."""
        return [f["id"] for f in self.findings if f["state"] == state]

    @property
    def first(self) -> dict[str, Any]:
        """The first line that fails."""
        return next(f for f in self.findings if f["state"] == "error")


class Bench:
    """A place with a configuration; `doctor` examines it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.conf = place / "etc" / "ssmtp.conf"
        self.conf.parent.mkdir(mode=0o700)
        self.environ = {
            "LC_ALL": "C",
            "PATH": "/usr/bin:/bin",
            "XDG_STATE_HOME": str(place / "state"),
        }

    def configure(self, *lines: str, mode: int = 0o600) -> None:
        """Write the configuration, for an impatient sender."""
        common = ("hostname=box.corp.test", "ConnectTimeout=2", "CommandTimeout=2")
        self.write("\n".join((*common, *lines)) + "\n", mode)

    def write(self, text: str, mode: int = 0o600) -> None:
        """Write the configuration as it stands."""
        self.conf.write_text(text)
        self.conf.chmod(mode)

    def doctor(self, *words: str, uid: int | None = None) -> Told:
        """Run `ssmtpctl doctor --json`, in this process when nobody else is asked."""
        words = ("--json", "-C", str(self.conf), *words)
        if uid is not None:
            done = self.run(*words, uid=uid)
            return _told(done.returncode, done.stdout.decode())
        said = io.StringIO()
        with (
            contextlib.redirect_stdout(said),
            patch.dict(os.environ, self.environ, clear=True),
        ):
            code = main(["doctor", *words])
        return _told(code, said.getvalue())

    def run(
        self, *words: str, uid: int | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `ssmtpctl doctor`."""
        done = subprocess.run(
            [ROOT / "bin" / "ssmtpctl", "doctor", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=self.environ,
            cwd="/",
            timeout=50,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
        )

        assert b"" == done.stderr
        return done


def _told(code: int, text: str) -> Told:
    told = json.loads(text)

    assert told["exit"] == code
    return Told(code, text, told["findings"])


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A place to examine."""
    monkeypatch.setattr(guard, "guest", True)
    return Bench(tmp_path)


@pytest.fixture
def square(monkeypatch):
    """A place to examine that every user can come to."""
    monkeypatch.setattr(guard, "guest", True)
    with tempfile.TemporaryDirectory(prefix="ssmtp-doctor-") as place:
        made = Bench(Path(place))
        for folder in (made.place, made.conf.parent):
            folder.chmod(0o755)
        yield made


@pytest.fixture
def hub():
    """A mailhub in clear, at which `USER` may log in."""
    with running(Hub()) as one:
        yield one


@pytest.fixture
def secure(certificates):
    """Return a function that starts a mailhub with TLS and a kind of certificate."""
    started: list[Hub] = []

    def start(kind: str = "good", tls: str = "implicit", **more: Any) -> Hub:
        more.setdefault("users", {USER: PASSWORD})
        one = Hub(tls=tls, context=certificates.context(kind), **more)
        one.start()
        started.append(one)
        return one

    yield start
    for one in started:
        one.stop()


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="it takes root to be another")
