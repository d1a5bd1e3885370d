"""A certificate authority for one afternoon, made with the `openssl` command.

For the demo and the sink: what it signs is for this machine's own names only, its keys
live in a private directory, and both go when the program ends.
"""

from __future__ import annotations

import os
import ssl
import subprocess
from pathlib import Path

from ssmtp.ctl.words import _
from ssmtp.errors import SystemTrouble

CONFIGURATION = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[mailhub]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = {subjects}
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""
SUBJECTS = "DNS:localhost, IP:127.0.0.1, IP:::1"


def make(directory: Path) -> tuple[Path, Path, Path]:
    """Make an authority and a certificate for localhost, valid for two days.

    Returns the paths of the authority's certificate, the mailhub's certificate and its
    key. Raises `SystemTrouble` if there is no `openssl`, or if it fails.
    """
    for name in ("authority", "mailhub"):
        path = directory / f"{name}.cnf"
        path.write_text(
            CONFIGURATION.format(name=f"ssmtp {name}", subjects=SUBJECTS),
            encoding="ascii",
        )
        _openssl(
            directory,
            f"ecparam -name prime256v1 -genkey -noout -out {name}.key",
        )
    _openssl(
        directory,
        "req -new -x509 -config authority.cnf -extensions authority -sha256 "
        "-key authority.key -days 2 -out authority.pem",
    )
    _openssl(
        directory,
        "req -new -config mailhub.cnf -key mailhub.key -sha256 -out mailhub.csr",
    )
    _openssl(
        directory,
        "x509 -req -in mailhub.csr -CA authority.pem -CAkey authority.key "
        "-set_serial 2 -days 2 -sha256 -extfile mailhub.cnf -extensions mailhub "
        "-out mailhub.pem",
    )
    # Nothing else will ever be signed.
    (directory / "authority.key").unlink()
    return (
        directory / "authority.pem",
        directory / "mailhub.pem",
        directory / "mailhub.key",
    )


def server_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """Return the TLS settings of a mailhub; raises `SystemTrouble`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise SystemTrouble(
            _("{file} cannot be used as a certificate: {reason}").format(
                file=certificate, reason=error
            ),
            _("give a PEM file with --cert, and its key with --key"),
        ) from None
    return context


def _openssl(directory: Path, words: str) -> None:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "RANDFILE": os.fspath(directory / "random"),
    }
    try:
        done = subprocess.run(
            ["openssl", *words.split()],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            umask=0o077,
            timeout=60,
            check=False,
        )
    except FileNotFoundError:
        raise SystemTrouble(
            _(
                "the openssl command is not here, and it is needed to make a"
                " certificate"
            ),
            _("install it (Debian, Ubuntu: apt install openssl)"),
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SystemTrouble(
            _("openssl cannot be run: {reason}").format(reason=error)
        ) from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "backslashreplace").strip().splitlines()
        reason = said[-1] if said else _("no reason")
        raise SystemTrouble(
            _("openssl {command} failed: {reason}").format(
                command=words.split()[0], reason=reason
            ),
            _("give a certificate with --cert and --key"),
        )
