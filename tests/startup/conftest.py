"""The mailhub at the end of each road."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.hub import Hub, running


@pytest.fixture
def hub(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hub]:
    """A mailhub, and a configuration for it: plain, or TLS and AUTH."""
    hub = Hub()
    lines = ["hostname=box.test", "rewriteDomain=example.org"]
    if request.param == "tls":
        import ssl

        authority = trustme.CA()
        hub.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(hub.context)
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        hub.tls, hub.users = "implicit", {"me": "word"}
        lines += [
            "UseTLS=yes",
            f"TLS_CA_File={tmp_path / 'ca.pem'}",
            "AuthUser=me",
            "AuthPass=word",
        ]
    with running(hub):
        conf = tmp_path / "ssmtp.conf"
        conf.write_text("\n".join([f"mailhub=127.0.0.1:{hub.port}", *lines, ""]))
        conf.chmod(0o600)
        yield hub
