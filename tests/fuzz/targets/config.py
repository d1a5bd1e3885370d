"""A configuration of any octets: understood, or refused by file and line; no secret."""

from __future__ import annotations

import re

from ssmtp import config
from ssmtp.errors import ConfigError

PATH = "/etc/ssmtp/ssmtp.conf"
PASSWORD = re.compile(r"(?i)\s*authpass[\s=:]+[\"']?([^\s\"']+)")
PROXY = re.compile(r"(?i)\s*proxy\s*=.*:([^:]+)@")


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
    whole = data.decode("utf-8", "surrogateescape")
    for line in whole.split("\n"):
        match = PASSWORD.match(line) or PROXY.match(line)
        # A short word may stand in any sentence, one that is no secret elsewhere too.
        if match and len(match[1]) >= 12 and whole.count(match[1]) == 1:
            assert match[1] not in text
