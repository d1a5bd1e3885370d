"""A mailhub with an account, certificates, and `ssmtpctl setup` to configure it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.certificates import Certificates
from tests.hub import Hub, running

ROOT = Path(__file__).parents[2]
ADDRESS = "me@example.org"
PASSWORD = "secret-9"


@dataclass
class Desk:
    """A home directory with the program, run as a person without a terminal would."""

    home: Path
    more: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.home / ".config/ssmtp/ssmtp.conf"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "PATH": os.environ["PATH"],
            "XDG_STATE_HOME": str(self.home / "state"),
            **self.more,
        }

    def files(self) -> dict[str, bytes]:
        """Return all there is in the home directory, but for what tests put there."""
        return {
            str(path.relative_to(self.home)): path.read_bytes()
            for path in sorted(self.home.rglob("*"))
            if path.is_file() and path.parent != self.home
        }

    def run(
        self, *words: str, stdin: str = "", program: str = "ssmtpctl"
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the checkout."""
        done = subprocess.run(
            [str(ROOT / "bin" / program), *words],
            input=stdin.encode(),
            capture_output=True,
            env=self.environ,
            cwd=self.home,
            check=False,
            timeout=60,
        )
        assert PASSWORD.encode() not in done.stdout + done.stderr
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    def setup(
        self, *words: str, stdin: str = PASSWORD + "\n"
    ) -> subprocess.CompletedProcess[str]:
        """Run setup for the user, with the password on standard input."""
        return self.run("setup", "--user-file", *words, stdin=stdin)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    home = tmp_path / "home"
    home.mkdir()
    return Desk(home)


@pytest.fixture
def hub(certificates: Certificates) -> Iterator[Hub]:
    """A mailhub that speaks TLS from the first octet and knows one account."""
    made = Hub(
        tls="implicit",
        users={ADDRESS: PASSWORD, "me": PASSWORD},
        context=certificates.context("good"),
    )
    with running(made):
        yield made


@pytest.fixture
def flags(hub: Hub, certificates: Certificates) -> list[str]:
    """All that setup has to be told about that mailhub."""
    return [
        *("--server", "127.0.0.1", "--port", str(hub.port), "--tls", "implicit"),
        *("--ca-file", certificates.text("authority"), "--password-stdin"),
    ]
