"""Revaliases of any octets: an identity with a clean address, or a refusal."""

from __future__ import annotations

from ssmtp import accounts, config
from ssmtp.errors import ConfigError, InputRefused

PATH = "/etc/ssmtp/revaliases"
CONFIG = config.parse(
    b"mailhub=hub.example\nrewriteDomain=corp.example\nhostname=h.example\n", "conf"
)


def run(data: bytes) -> None:
    """Read the octets as revaliases, and ask for each login in it."""
    entries = accounts.parse_revaliases(data, PATH)
    logins = dict.fromkeys(["alice", *(entry.login for entry in entries)])
    for login in list(logins)[:20]:
        caller = accounts.Caller(1000, login, "Alice, Room 1", None)
        try:
            identity = accounts.identify(caller, CONFIG, entries)
        except (ConfigError, InputRefused) as error:
            # A login comes from the password database and is nobody's mistake here.
            assert isinstance(error, ConfigError) or login != "alice"
            assert error.sentence()
            continue
        assert identity.mailhubs
        assert not any(char < " " for char in str(identity.address))
        assert identity.address.domain
