"""A configuration of any octets: understood, or refused by file and line; no secret."""

from __future__ import annotations

from ssmtp import config
from ssmtp.errors import ConfigError

PATH = "/etc/ssmtp/ssmtp.conf"
SECRETS = ("authpass", "proxy")


def run(data: bytes) -> None:
    """Read the octets as ssmtp.conf."""
    try:
        read = config.parse(data, PATH)
    except ConfigError as error:
        assert error.what.startswith(PATH)
        _check_secrets(data, error.sentence())
        return
    for hub in read.mailhubs:
        assert config.tls_mode(read, hub) in (
            "implicit",
            "starttls",
            "opportunistic",
            "none",
        )
        assert hub.path is not None or 0 < hub.port < 65536
        assert str(hub)
    for seconds in (read.connect_timeout, read.command_timeout, read.data_timeout):
        assert 0 < seconds < 1e9
    for note in read.notes:
        _check_secrets(data, note)
    assert read.min_user_id >= 0
    for secret in (read.auth_pass, read.proxy):
        _check_secrets(data, f"{secret} {secret!r}")


def _check_secrets(data: bytes, text: str) -> None:
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        name, _, value = line.partition("=")
        if name.strip().lower() == "authpass":
            secret = value.strip().strip("\"'").split(" ")[0]
        elif name.strip().lower() == "proxy" and "@" in value:
            secret = value.rpartition("@")[0].rpartition(":")[2]
        else:
            continue
        # A short word may stand in any sentence.
        assert len(secret) < 12 or secret not in text
