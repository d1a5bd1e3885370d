"""TLS: the same outcome on every Python of this machine, and on every road to trust.

The cases are transcripts (tests/transcripts); here they are played again by each
interpreter from 3.11 on that can be found.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.certificates import Certificates
from tests.hostile import pythons
from tests.transcripts import play, program

PYTHONS = pythons.found()
BY_NAME = {transcript.name: transcript for transcript in play.all_of_them()}

# The cases that have to come out alike; TLS is all that is different between them.
CASES = (
    "certificate-expired",
    "certificate-future",
    "certificate-self-signed",
    "certificate-stranger",
    "certificate-other-name",
    "certificate-cn-only",
    "certificate-nul-in-name",
    "certificate-wildcard",
    "certificate-wildcard-too-deep",
    "certificate-chain",
    "certificate-missing-intermediate",
    "certificate-for-clients",
    "certificate-revoked",
    "certificate-not-revoked",
    "certificate-old-list",
    "authority-without-key-usage",
    "pin-match",
    "pin-mismatch",
    "pin-of-the-key",
    "client-certificate",
    "client-certificate-not-configured",
    "client-certificate-without-key",
    "tls-weak-key",
    "tls-1.1-only",
    "tls-1.2",
    "tls-1.3",
    "tls-dh-1024",
    "tls-null-cipher",
    "tls-huge-chain",
    "tls-alert-handshake-failure",
    "tls-alert-in-greeting",
    "tls-alert-in-ehlo",
    "tls-alert-in-auth",
    "tls-alert-in-mail",
    "tls-alert-in-rcpt",
    "tls-alert-in-data",
    "tls-alert-in-body",
    "tls-alert-behind-dot",
    "tls-alert-behind-acceptance",
    "tls-plaintext-behind-farewell",
    "starttls-answered-before-asked",
    "starttls-injected",
    "starttls-injected-fragment",
    "starttls-stripped",
    "starttls-then-plaintext",
    "tls-port-speaks-plaintext",
    "plain-port-speaks-tls",
    "auth-plain",
)


@pytest.mark.parametrize("version", PYTHONS)
@pytest.mark.parametrize("name", CASES)
def test_every_python(
    name: str, version: str, certificates: Certificates, tmp_path: Path
) -> None:
    """What comes of a session does not depend on the version of Python."""
    transcript = BY_NAME[name]
    run = program.run(transcript, certificates, tmp_path, PYTHONS[version])

    program.judge(transcript, run)


def trusting(*rows: str) -> play.Transcript:
    """Return a session with a good certificate, and that configuration."""
    good = BY_NAME["tls-1.2"]
    return replace(good, config=["UseTLS=Yes", *rows], seconds=10.0)


def distrusting(*rows: str, words: str = "not trusted here") -> play.Transcript:
    """Return a session that ends at the certificate."""
    bad = BY_NAME["certificate-stranger"]
    return replace(bad, config=["UseTLS=Yes", *rows], said=[words])


def rehashed(directory: Path, *texts: str) -> Path:
    """Make a directory as `openssl rehash` leaves it."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not there")
    directory.mkdir()
    for number, text in enumerate(texts):
        (directory / f"{number}.pem").write_text(text)
    subprocess.run(["openssl", "rehash", directory], check=True, capture_output=True)
    return directory


ROADS = ("file", "plain directory", "hashed directory", "environment")


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("good", [True, False], ids=["good", "bad"])
def test_every_road_to_trust(
    road: str,
    good: bool,
    certificates: Certificates,
    tmp_path: Path,
) -> None:
    """Whatever way trust is configured, a good certificate passes and a bad one not."""
    path = Path(certificates.text("authority"))
    environment: dict[str, str] = {}
    row = f"TLS_CA_File={path}"
    if road == "plain directory":
        folder = tmp_path / "plain"
        folder.mkdir()
        (folder / "authority.pem").write_text(path.read_text())
        row = f"TLS_CA_Dir={folder}"
    elif road == "hashed directory":
        row = f"TLS_CA_Dir={rehashed(tmp_path / 'hashed', path.read_text())}"
    elif road == "environment":
        environment["SSL_CERT_FILE"] = str(path)
        # Says nothing by itself, and keeps the runner from naming the authority.
        row = f"TLS_CA_File={certificates.text('plain-authority')}"
    transcript = trusting(row) if good else distrusting(row)
    run = program.run(transcript, certificates, tmp_path, environment=environment)

    program.judge(transcript, run)


@pytest.mark.parametrize("hashed", [True, False], ids=["hashed", "plain"])
@pytest.mark.parametrize("revoked", [True, False], ids=["revoked", "good"])
def test_list_in_a_directory(
    hashed: bool, revoked: bool, certificates: Certificates, tmp_path: Path
) -> None:
    """A list of revoked certificates in TLS_CA_Dir is honoured."""
    text = Path(certificates.text("authority-and-crl")).read_text()
    authority, mark, rest = text.partition("-----BEGIN X509 CRL-----")
    if hashed:
        folder = rehashed(tmp_path / "hashed", authority, mark + rest)
    else:
        folder = tmp_path / "plain"
        folder.mkdir()
        (folder / "authority.pem").write_text(authority)
        (folder / "revoked.crl").write_text(mark + rest)
    transcript = trusting(f"TLS_CA_Dir={folder}")
    if revoked:
        name = "certificate-revoked"
        transcript = replace(
            BY_NAME[name], config=["UseTLS=Yes", f"TLS_CA_Dir={folder}"]
        )
    run = program.run(transcript, certificates, tmp_path)

    program.judge(transcript, run)
