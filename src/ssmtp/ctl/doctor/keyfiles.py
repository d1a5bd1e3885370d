"""The files that TLS needs, certificates and keys: what is wrong with one of them."""

from __future__ import annotations

import os

from ssmtp.config import Config
from ssmtp.ctl.doctor.findings import Report
from ssmtp.ctl.words import _
from ssmtp.errors import Failure

KEY = b"PRIVATE KEY-----"
CERTIFICATE = b"-----BEGIN CERTIFICATE"
SEQUENCE = b"\x30"  # with which DER begins (X.690)
MOST = 1 << 20  # octets of a file that are looked at


def bad(report: Report, config: Config, failure: Failure) -> None:
    """Tell why a file cannot be used; `failure` is what TLS said of it."""
    what, step = failure.what, failure.next_step
    key, path = _culprit(config, what)
    if key and not os.path.exists(path):
        step = _("correct the path in {key}, or take the line out").format(key=key)
    elif key and not os.access(path, os.R_OK):
        step = _("let the calling user read it: {path}").format(path=path)
        if key.startswith("TLS_CA"):
            step = _("chmod a+r {path}").format(path=path)
    elif key in ("TLSCert", "TLSKey"):
        what, step = _own(config, what, step)
    elif key and _content(path)[:1] == SEQUENCE:
        step = _("bring it into PEM form: openssl x509 -inform DER -in {path}")
        step = step.format(path=path)
    report.error("tls.files", what, step, failure.exit_code)


def _own(config: Config, what: str, step: str) -> tuple[str, str]:
    """Say what is wrong with our own certificate and its key."""
    path, key = config.tls_cert, config.tls_key or config.tls_cert
    if CERTIFICATE not in _content(path):
        text = _("{path}, which TLSCert names, has no certificate in PEM form in it")
        return text.format(path=path), _("name the file of the certificate")
    if KEY not in _content(key):
        text = _("{path} has no private key in it")
        return text.format(path=key), _("name the file of the key with TLSKey")
    if "encrypted" in what:
        text = _(
            "take the encryption off (openssl pkey -in {path}), and protect the file"
        )
        return what, text.format(path=key)
    if "mismatch" in what:
        text = _("the key in {key} is not that of the certificate in {path}")
        return text.format(key=key, path=path), _(
            "name the key that belongs to the certificate with TLSKey"
        )
    return what, step


def _culprit(config: Config, what: str) -> tuple[str, str]:
    """Return the key and the path of the file at fault, nothing if it is not known."""
    named = (
        ("TLS_CA_File", config.tls_ca_file),
        ("TLS_CA_Dir", config.tls_ca_dir),
        ("TLSKey", config.tls_key),
        ("TLSCert", config.tls_cert),
    )
    found = [(key, path) for key, path in named if path and f"{key}={path}" in what]
    unusable = [(key, path) for key, path in found if not os.access(path, os.R_OK)]
    return (unusable or found or [("", "")])[0]


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MOST)
    except OSError:
        return b""
