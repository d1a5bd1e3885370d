"""The providers that `setup` knows, and what each of them wants to be told.

`providers.json` is the table; a row has these fields, and all but the first four may be
missing:

    id, name   what to call it: in --server, and in a sentence
    host       the mailhub; {region} is filled in by --server ses:REGION
    ports      best first: 465 is TLS from the first octet, 587 STARTTLS
    domains    the domains of its public mailboxes
    mx         suffixes of the MX hosts of domains that it serves
    user       the user name: address (the default), a fixed word, or "" to be asked for
    hint, url  what is peculiar about its passwords (see `hint`), and where to go
    strict     it takes no sender but the account's own
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssmtp.ctl.words import _

TABLE = Path(__file__).with_name("providers.json")


@dataclass(frozen=True)
class Provider:
    """A row of the table."""

    id: str
    name: str
    host: str
    ports: tuple[int, ...]
    domains: tuple[str, ...] = ()
    mx: tuple[str, ...] = ()
    user: str = "address"
    hint: str = ""
    url: str = ""
    strict: bool = False


@functools.cache
def table() -> tuple[Provider, ...]:
    """Return all providers."""
    rows: list[dict[str, Any]] = json.loads(TABLE.read_text("utf-8"))
    for row in rows:
        for field in ("ports", "domains", "mx"):
            row[field] = tuple(row.get(field, ()))
    return tuple(Provider(**row) for row in rows)


def by_domain(domain: str) -> Provider | None:
    """Return the provider of public mailboxes in a domain."""
    wanted = domain.lower()
    return next((p for p in table() if wanted in p.domains), None)


def by_mx(hosts: list[str]) -> Provider | None:
    """Return the provider whose hosts receive the mail; the longest suffix wins."""
    best: tuple[int, Provider] | None = None
    for host in hosts:
        name = "." + host.lower().rstrip(".")
        for provider in table():
            for suffix in provider.mx:
                if name.endswith("." + suffix) and (
                    best is None or len(suffix) > best[0]
                ):
                    best = len(suffix), provider
        if best is not None:
            return best[1]
    return None


def by_name(word: str) -> tuple[Provider, str] | None:
    """Return the provider that --server names, and its host; None for a host name.

    `ses:eu-west-1` is a provider with a region.
    """
    name, _colon, region = word.partition(":")
    found = next((p for p in table() if p.id == name.lower()), None)
    if found is None or ("{region}" in found.host) != bool(region):
        return None
    if region and not region.replace("-", "").isalnum():
        return None
    return found, found.host.format(region=region.lower())


def by_host(host: str, port: int | None = None) -> Provider | None:
    """Return the provider that a mailhub belongs to."""
    name = host.lower().rstrip(".")
    for provider in table():
        head, region, tail = provider.host.partition("{region}")
        if name == provider.host:
            # At an address of this machine there may be anybody.
            if name[0].isdigit() and port not in provider.ports:
                continue
            return provider
        if region and name.startswith(head) and name.endswith(tail):
            return provider
    return None


def is_public(domain: str) -> bool:
    """Tell whether strangers have mailboxes in this domain."""
    return by_domain(domain) is not None


def hint(provider: Provider) -> str:
    """Say what a person has to know about passwords there; may be empty."""
    name, url = provider.name, provider.url
    words = {
        "app-password": _(
            "{name} takes no account password here. Make an app password: {url}"
        ),
        "two-factor": _(
            "With two-factor authentication, {name} wants an app password: {url}"
        ),
        "oauth-only": _(
            "{name} has taken no passwords from programs since September 2024, and no"
            " app passwords either, only OAuth tokens: --auth-method XOAUTH2 with a"
            " --password-command that prints one."
        ),
        "tenant": _(
            "{name} takes a password only where the administrator has Authenticated"
            " SMTP switched on for the mailbox. At the end of December 2026 it is"
            " switched off for everybody who does not ask for it; OAuth tokens stay:"
            " --auth-method XOAUTH2 with a --password-command that prints one."
        ),
        "access": _(
            "{name} lets programs in once you allow POP3 and IMAP in the settings of"
            " your mailbox. With two-factor authentication it wants an app password."
        ),
        "mail-password": _(
            "{name} has a password for mail programs of its own; set one in the"
            " settings of your mailbox."
        ),
        "bridge": _(
            "{name} is reached through Proton Mail Bridge, which has to run on this"
            " machine; it shows user name and password. For an address in a domain of"
            " your own there are SMTP tokens, too: --server proton-token"
        ),
        "token-of-address": _(
            "{name} wants the token of the address as password: {url}"
        ),
        "ses": _(
            "{name} has SMTP credentials, made from IAM but different from its keys:"
            " {url}"
        ),
        "api-key": _("{name} wants an API key as password: {url}"),
        "smtp-user": _("{name} has user names and passwords for SMTP: {url}"),
        "server-token": _(
            "{name} wants the token of a server, as user name and as password: {url}"
        ),
        "own-server-name": _(
            "{name} has other server names for Exchange and Email Pro; if this one does"
            " not know the account, its control panel names the right one for --server."
        ),
    }
    return words.get(provider.hint, "").format(name=name, url=url)
