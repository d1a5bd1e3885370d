"""A mail goes out with what migrate has written, for each program."""

from __future__ import annotations

import os
import ssl
import subprocess
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import load_pem_x509_certificate

from tests.hub import Hub, running
from tests.migrate import cases

SENDMAIL = Path(__file__).parents[2] / "bin/sendmail"
USER, PASSWORD = "me", "pass word#=:1"
# What each program is told about a mailhub at localhost: port, authority, fingerprint.
FILES = {
    "msmtp": {
        "home/.msmtprc": """\
account default
host localhost
port {port}
tls on
tls_trust_file {authority}
auth on
user me
password "pass word#=:1"
from %U@example.org
"""
    },
    "nullmailer": {
        "etc/nullmailer/remotes": "localhost smtp --port={port} --starttls"
        " --x509cafile={authority} --user=me --pass='pass word#=:1'\n",
        "etc/nullmailer/defaulthost": "example.org\n",
    },
    "dma": {
        "etc/dma/dma.conf": """\
SMARTHOST localhost
PORT {port}
AUTHPATH /etc/dma/auth.conf
SECURETRANSFER
STARTTLS
FINGERPRINT {fingerprint}
MASQUERADE example.org
NULLCLIENT
""",
        "etc/dma/auth.conf": "me|localhost:pass word#=:1\n",
    },
    "esmtp": {
        "home/.esmtprc": """\
hostname = localhost:{port}
username = me
password = "pass word#=:1"
starttls = disabled
qualifydomain = example.org
"""
    },
    "postfix": {
        "etc/postfix/main.cf": """\
relayhost = [localhost]:{port}
myorigin = example.org
smtp_tls_security_level = encrypt
smtp_tls_CAfile = {authority}
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd
""",
        "etc/postfix/sasl_passwd": "[localhost]:{port} me:pass word#=:1\n",
    },
    "exim": {
        "etc/exim4/update-exim4.conf.conf": """\
dc_eximconfig_configtype='smarthost'
dc_smarthost='localhost::{port}'
dc_hide_mailname='true'
dc_readhost='example.org'
""",
        "etc/exim4/exim4.conf.localmacros": """\
REMOTE_SMTP_SMARTHOST_HOSTS_REQUIRE_TLS = *
REMOTE_SMTP_SMARTHOST_TLS_VERIFY_CERTIFICATES = {authority}
""",
        "etc/exim4/passwd.client": "localhost:me:pass word#=:1\n",
    },
    "s-nail": {
        "home/.mailrc": """\
set v15-compat
set mta=smtp://me:pass%20word%23=%3A1@localhost:{port} smtp-use-starttls
set tls-ca-file={authority} hostname=example.org
"""
    },
    "ssmtp": {
        "etc/ssmtp/ssmtp.conf": """\
mailhub=localhost:{port}
rewriteDomain=example.org
UseSTARTTLS=YES
TLS_CA_File={authority}
AuthUser=me
AuthPass=pass word#=:1
"""
    },
}


@pytest.fixture(scope="module")
def mailhub(tmp_path_factory):
    """A mailhub with STARTTLS and a login, and what a client has to know of it."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    leaf = load_pem_x509_certificate(certificate.cert_chain_pems[0].bytes())
    pin = leaf.fingerprint(hashes.SHA256()).hex().upper()
    return {"context": context}, {"authority": path, "fingerprint": pin}


@pytest.mark.parametrize("name", FILES)
def test_delivery(name, mailhub, tmp_path):
    """The mailhub gets the mail, with the login, and with TLS if that was asked for."""
    more, known = mailhub
    tls = "none" if name == "esmtp" else "starttls"
    with running(Hub(tls=tls, users={USER: PASSWORD}, **more)) as hub:
        for path, text in FILES[name].items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.format(port=hub.port, **known))
        output = tmp_path / "new/ssmtp.conf"
        scope = "--user-file" if (tmp_path / "home").exists() else "--system"
        told = cases.run(tmp_path, name, scope, "--yes", f"--output={output}")
        sent = subprocess.run(
            [SENDMAIL, "-C", output, "ann@example.com"],
            input=b"Subject: moved\n\nhere\n",
            capture_output=True,
            env={**os.environ, "HOME": str(tmp_path)},
        )

    assert (0, "") == (told.code, told.err)
    assert (0, b"", b"") == (sent.returncode, sent.stdout, sent.stderr)
    [mail] = hub.mails
    assert (USER, tls == "starttls") == (mail.user, mail.tls)
    assert ["ann@example.com"] == mail.recipients
    assert b"here\r\n" == mail.body
    assert mail.sender.endswith("@example.org")
    assert PASSWORD not in told.out
