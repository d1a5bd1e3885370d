"""Which mailhub takes the mail of an address: asked of those who may know.

In this order: the table of providers, the SRV records of the domain (RFC 6186, RFC
8314), its autoconfig file, the hosts that receive its mail, and names that mailhubs
often have. The first that knows anything is believed; nothing is ever sent to a server
whose certificate does not have the name that is looked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ssmtp import extras
from ssmtp.ctl.setup import autoconfig, providers
from ssmtp.ctl.setup.providers import Provider
from ssmtp.ctl.words import _
from ssmtp.values import is_ipv4, mailhub

SECONDS = 5.0  # for one answer of the DNS, and for one autoconfig file
SERVICES = (("_submissions._tcp", "implicit"), ("_submission._tcp", "starttls"))
GUESSES = (("smtp", 465), ("smtp", 587), ("mail", 465), ("mail", 587))


@dataclass(frozen=True)
class Server:
    """A mailhub that may be the right one.

    `tls` is implicit, starttls, none, or auto: what the configuration does without
    keys. Without a `user` a person is asked. `foreign`: the DNS, which anybody on the
    way can forge, names a host outside of the domain (RFC 6186 section 6). `hosted`:
    the provider serves the domain, which is therefore none of its own.
    """

    host: str
    port: int
    tls: str
    user: str = ""
    found: str = ""
    provider: Provider | None = field(default=None, compare=False)
    foreign: bool = False
    hosted: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else self.mailhub()

    def mailhub(self) -> str:
        """Return what Mailhub= is to say."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass
class Sources:
    """Who may be asked; tests put others in their place.

    `lookup` returns the records of a name, None when there is no library for that.
    `fetch` returns a file from the web or None. `answers` tells whether a mailhub is
    there, with a certificate for its name.
    """

    lookup: Callable[[str, str], list[Any] | None]
    fetch: Callable[[str], bytes | None]
    answers: Callable[[Server], bool]


def tls_of(port: int) -> str:
    """Return what a port of a provider speaks."""
    return {465: "implicit", 587: "starttls"}.get(port, "auto")


def of_provider(
    provider: Provider, host: str, address: str, found: str
) -> list[Server]:
    """Return the servers of a provider, best first."""
    user = address if provider.user == "address" else provider.user
    return [
        Server(host, port, tls_of(port), user, found, provider)
        for port in provider.ports
    ]


def find(address: str, sources: Sources, tell: Callable[[str], object]) -> list[Server]:
    """Return the servers to try, best first; an empty list if nobody knows any.

    `tell` is given a sentence about each place that was asked in vain.
    """
    domain = address.rpartition("@")[2].lower()
    known = providers.by_domain(domain)
    if known is not None:
        return of_provider(known, known.host, address, _("the table of providers"))
    for ask in (_from_srv, _from_autoconfig, _from_mx, _by_guess):
        servers = ask(domain, address, sources, tell)
        if servers:
            return [_with_provider(server) for server in servers]
    return []


def _with_provider(server: Server) -> Server:
    if server.provider is not None:
        return server
    provider = providers.by_host(server.host, server.port)
    # A password that ends up at a provider of the table is in no danger.
    foreign = server.foreign and provider is None
    return replace(server, provider=provider, foreign=foreign)


def _from_srv(
    domain: str, address: str, sources: Sources, tell: Callable[[str], object]
) -> list[Server]:
    servers = []
    for service, tls in SERVICES:
        records = sources.lookup(f"{service}.{domain}", "SRV")
        if records is None:
            tell(
                _(
                    "SRV and MX records are not looked up: dnspython is not installed"
                    " (pip install dnspython)"
                )
            )
            return []
        # RFC 2782: the lowest priority first; the weights are for large numbers.
        for _priority, _weight, port, target in sorted(
            records, key=lambda record: (record[0], -record[1])
        ):
            host = target.rstrip(".").lower()
            if not host or not _is_host(host):
                continue  # RFC 2782: "." says that there is no such service
            foreign = not f".{host}".endswith(f".{domain}")
            found = _("the SRV records of {domain}").format(domain=domain)
            servers.append(Server(host, port, tls, address, found, None, foreign))
    if not servers:
        words = _("No SRV records for submission were found at {domain}")
        tell(words.format(domain=domain))
    return servers


def _from_autoconfig(
    domain: str, address: str, sources: Sources, tell: Callable[[str], object]
) -> list[Server]:
    for url in autoconfig.addresses(address):
        text = sources.fetch(url)
        if text is None:
            continue
        found = _("the autoconfig file of {domain}").format(domain=domain)
        try:
            told = autoconfig.read(text, address)
        except ValueError as error:
            tell(_("{url} is not used: {reason}").format(url=url, reason=error))
            continue
        if told:
            return [Server(*one, found) for one in told]
    tell(_("No autoconfig file was found at {domain}").format(domain=domain))
    return []


def _from_mx(
    domain: str, address: str, sources: Sources, tell: Callable[[str], object]
) -> list[Server]:
    records = sources.lookup(domain, "MX")
    if records is None:
        return []
    hosts = [host for _preference, host in sorted(records)]
    provider = providers.by_mx(hosts)
    if provider is None:
        tell(
            _("No MX records of a known provider were found at {domain}").format(
                domain=domain
            )
        )
        return []
    found = _("the MX records of {domain}").format(domain=domain)
    servers = of_provider(provider, provider.host, address, found)
    return [replace(server, hosted=True) for server in servers]


def _by_guess(
    domain: str, address: str, sources: Sources, tell: Callable[[str], object]
) -> list[Server]:
    if not _is_host(domain):
        return []
    found = _("its name: it answers, with the right certificate")
    for name, port in GUESSES:
        server = Server(f"{name}.{domain}", port, tls_of(port), address, found)
        if sources.answers(server):
            return [server]
    tell(
        _("No smtp.{domain} or mail.{domain} answers on port 465 or 587").format(
            domain=domain
        )
    )
    return []


def _is_host(name: str) -> bool:
    try:
        return mailhub(name).host is not None and not is_ipv4(name)
    except ValueError:
        return False


def lookup(name: str, kind: str) -> list[Any] | None:
    """Return SRV records as (priority, weight, port, target), MX as (number, host).

    None without dnspython; an empty list when the DNS has none, or does not answer.
    """
    if extras.optional("dns") is None:
        return None
    resolver = importlib.import_module("dns.resolver")
    trouble = importlib.import_module("dns.exception").DNSException
    try:
        answer = resolver.resolve(name, kind, lifetime=SECONDS)
    except (trouble, OSError):
        return []
    return list(_records(answer, kind))


def _records(answer: Any, kind: str) -> Iterator[Any]:
    for record in answer:
        if kind == "SRV":
            target = record.target.to_text()
            yield record.priority, record.weight, record.port, target
        else:
            yield record.preference, record.exchange.to_text()
