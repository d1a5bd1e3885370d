"""`_ssl` in the place of `ssl`: the same names, the same settings, and a way back."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from ssmtp import config
from ssmtp.wire import openssl, tls
from tests.hub import Hub, running

SOURCE = Path(__file__).parents[2] / "src"
NAMES = [name for name in dir(openssl) if name.isupper() and name[:4] != "TLS_"]
SETTINGS = (
    "check_hostname",
    "hostname_checks_common_name",
    "minimum_version",
    "maximum_version",
    "options",
    "verify_flags",
    "verify_mode",
)


def test_names_mean_what_they_mean_in_ssl():
    """Constants and classes are those of the public module."""
    names = {name for name in NAMES if name != "TYPE_CHECKING"}
    names |= {name for name in vars(openssl) if name.startswith("SSL")}
    names |= {"MemoryBIO"}
    names -= {"SSLContext", "SSLObject"}

    assert len(names) > 10
    for name in names:
        assert getattr(ssl, name) == getattr(openssl, name), name
    assert (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3) == (
        openssl.TLS_1_2,
        openssl.TLS_1_3,
    )


@pytest.mark.parametrize(
    "lines", ["", "TLSMinVersion=1.3", "TLSVerify=no", f"TLSFingerprint={'ab' * 32}"]
)
def test_a_context_has_the_settings_of_a_public_one(lines, monkeypatch):
    """Whatever makes the connection safe is set in both alike."""
    wanted = config.parse(f"Mailhub=a.example\n{lines}\n".encode(), "-")
    small = tls.context(wanted, True)
    monkeypatch.setattr(openssl, "SSLContext", ssl.SSLContext)
    public = tls.context(wanted, True)

    assert type(small) is not type(public)
    assert [getattr(public, name) for name in SETTINGS] == [
        getattr(small, name) for name in SETTINGS
    ]
    assert public.get_ciphers() == small.get_ciphers()
    assert public.cert_store_stats() == small.cert_store_stats()


WITHOUT = """\
import ssl, sys, types
sys.modules["_ssl"] = types.ModuleType("_ssl")
sys.path.insert(0, sys.argv.pop(1))
from ssmtp.wire import openssl
assert openssl.SSLContext is ssl.SSLContext and openssl.SSLObject is ssl.SSLObject
from ssmtp.sendmail import main
sys.exit(main())
"""


@pytest.mark.parametrize("name", ["127.0.0.1", "other.test"])
def test_without_it_the_public_module_does_the_work(tmp_path, name):
    """A Python whose `_ssl` lacks what is wanted sends, and verifies, all the same."""
    authority = trustme.CA()
    hub = Hub(tls="implicit", users={"me": "word"})
    hub.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(hub.context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    conf = tmp_path / "ssmtp.conf"
    with running(hub):
        conf.write_text(
            f"mailhub=127.0.0.1:{hub.port}\nUseTLS=yes\nAuthUser=me\nAuthPass=word\n"
            f"TLS_CA_File={tmp_path / 'ca.pem'}\n"
        )
        conf.chmod(0o600)
        run = subprocess.run(
            [sys.executable, "-IS", "-c", WITHOUT, str(SOURCE), "-C", conf, "a@b.test"],
            input=b"Subject: x\n\nx\n",
            capture_output=True,
            env={"XDG_STATE_HOME": str(tmp_path)},
            timeout=20,
        )

    if name == "127.0.0.1":
        assert (0, b"") == (run.returncode, run.stderr)
        assert ["me"] == [mail.user for mail in hub.mails]
    else:
        assert 75 == run.returncode
        assert b"is not for 127.0.0.1" in run.stderr
        assert not hub.mails
