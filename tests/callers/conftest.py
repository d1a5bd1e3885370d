"""Machines for the callers, when SSMTP_CALLERS names the directory that root.sh filled.

They need root. Without that variable the callers are skipped, or fail when
SSMTP_REQUIRE_CALLERS=1 says that they have to run.
"""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.callers.box import CHECKOUT, Box
from tests.callers.relay import Relay

ROOT = Path(os.environ.get("SSMTP_CALLERS", "/nonexistent")) / "root"


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """The authority that the mailhub's certificate comes from."""
    return trustme.CA()


@pytest.fixture(scope="session")
def context(authority: trustme.CA) -> ssl.SSLContext:
    """The mailhub's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("mail.example.org").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `ssmtpctl install` writes into a system, as a layer above the root."""
    if not ROOT.is_dir():
        reason = "tests/callers/root.sh makes the root; SSMTP_CALLERS names it"
        if os.environ.get("SSMTP_REQUIRE_CALLERS") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    layer = tmp_path_factory.mktemp("installed")
    layer.chmod(0o755)
    program = CHECKOUT / "bin/ssmtpctl"
    subprocess.run(
        [program, "install", "--no-agent", "--root", layer],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return layer


@pytest.fixture
def box(
    installed: Path,
    context: ssl.SSLContext,
    authority: trustme.CA,
    tmp_path: Path,
) -> Iterator[Box]:
    """A machine with our program as its sendmail, and with the mailhub up."""
    relay = Relay(context)
    box = Box([installed, ROOT], tmp_path, relay, authority.cert_pem.bytes())
    yield box
    box.stop()
    relay.stop()
    shutil.rmtree(tmp_path, ignore_errors=True)
