"""Aliases of any octets: addresses, or a refusal; no program, no file, no circle."""

from __future__ import annotations

from ssmtp import accounts, config
from ssmtp.errors import ConfigError, InputRefused

PATH = "/etc/aliases"
CONFIG = config.parse(
    b"mailhub=hub.example\nrewriteDomain=corp.example\naliases=/etc/aliases\n"
    b"root=ops@corp.example\nMinUserId=1000\n",
    "conf",
)
USERS = {"root": 0, "daemon": 1, "alice": 1000}


def run(data: bytes) -> None:
    """Read the octets as /etc/aliases, and ask for each name in it."""
    try:
        aliases = accounts.parse_aliases(data, PATH)
    except ConfigError as error:
        assert error.what.startswith(PATH)
        return
    names = accounts.LocalNames(CONFIG, aliases, USERS.get)
    for name in ["root", "alice", *list(aliases)[:20]]:
        try:
            found = names.recipient(name)
            assert names.author(name) == found[0]
        except (ConfigError, InputRefused) as error:
            assert error.sentence()
            continue
        for one in found:
            assert not any(char < " " for char in str(one))
            assert one.domain
            assert one.local[:1] not in "|/" or str(one)[0] == '"' or "@" in str(one)
