"""The mailhub's name: its addresses, and what the DNS says of the sender's domain."""

from __future__ import annotations

import difflib
import socket
import time
from typing import Any

from ssmtp import extras
from ssmtp.config import Mailhub
from ssmtp.ctl.doctor import settings
from ssmtp.ctl.doctor.case import Case
from ssmtp.ctl.doctor.findings import Finding, Report
from ssmtp.ctl.setup import providers
from ssmtp.ctl.words import _, counted
from ssmtp.errors import Failure, UnknownHost
from ssmtp.submission import Attempt
from ssmtp.wire import blocking, connect
from ssmtp.wire.connect import Address

RESOLVERS = "/etc/resolv.conf"
NEAR = 0.85  # of 1.0, as difflib counts: two letters of ten
SECONDS = 4.0  # for a question to the DNS


def check(report: Report, case: Case, hub: Mailhub) -> list[Address]:
    """Look the mailhub up as a message would; return its addresses."""
    config = case.config
    assert config is not None
    begun = time.monotonic()
    try:
        route = Attempt(config, hub, 0, None).route
        found = blocking.run(connect.addresses(route))
    except Failure as failure:
        step = failure.next_step
        if isinstance(failure, UnknownHost):
            step = _unknown(case, hub)
        finding = Finding(
            "dns.name", "error", failure.what, step, exit=failure.exit_code
        )
        finding.fatal = False
        if not _resolvers():
            finding.next += _("; {path} names no name server").format(path=RESOLVERS)
        report.add(finding)
        return []
    took = (time.monotonic() - begun) * 1000
    asked = route.proxy.host if route.proxy is not None else route.host
    if hub.path is not None or asked == found[0].sockaddr[0]:
        return found  # nothing was looked up
    text = counted(
        "{host} has {count} address, found in {time:.0f} ms: {addresses}.",
        "{host} has {count} addresses, found in {time:.0f} ms: {addresses}.",
        len(found),
    )
    shown = [address.shown.rpartition(":")[0] for address in found]
    report.ok(
        "dns.name",
        text.format(
            host=asked, count=len(found), time=took, addresses=", ".join(shown)
        ),
        addresses=shown,
        seconds=round(took / 1000, 3),
    )
    return found


def _unknown(case: Case, hub: Mailhub) -> str:
    """Say where the name is written, and which well-known one is like it."""
    step = _("check Mailhub in {place}").format(place=settings.place(case, hub))
    known = [provider.host for provider in providers.table()]
    for near in difflib.get_close_matches((hub.host or "").lower(), known, 1, NEAR):
        text = _("{step}; is it {host} that was meant?")
        step = text.format(step=step, host=near)
    return step


def _resolvers() -> bool:
    try:
        with open(RESOLVERS, encoding="ascii", errors="replace") as file:
            return any(line.split()[:1] == ["nameserver"] for line in file)
    except OSError:
        return False


def sender_domain(report: Report, case: Case) -> None:
    """Ask whether reports about the mail could come back to the sender's domain."""
    if case.envelope is None or case.envelope.reverse_path is None:
        return
    domain = str(case.envelope.reverse_path).rpartition("@")[2]
    resolver = _resolver()
    if resolver is None:
        report.skip(
            "dns.sender",
            _(
                "Whether {domain} can get mail was not looked up: dnspython is not"
                " installed."
            ).format(domain=domain),
        )
        return
    kind = _kind(resolver, domain)
    if kind == "nowhere":
        report.warn(
            "dns.sender",
            _("The sender's domain {domain} gets no mail, by the DNS.").format(
                domain=domain
            ),
            _(
                "set RewriteDomain to the domain of your mail, or write a line of"
                " revaliases; mailhubs refuse such senders"
            ),
        )
    elif kind:
        text = _("The sender's domain {domain} gets mail ({kind} record).")
        report.ok("dns.sender", text.format(domain=domain, kind=kind))
    else:
        text = _("Whether {domain} can get mail was not found out: the DNS is silent.")
        report.skip("dns.sender", text.format(domain=domain))


def _resolver() -> Any:
    if extras.optional("dns") is None:
        return None
    try:
        from importlib import import_module

        return import_module("dns.resolver")
    except ImportError:
        return None


def _kind(resolver: Any, domain: str) -> str:
    """Return by which record mail gets there, "nowhere", or nothing when unknown."""
    for kind in ("MX", "AAAA", "A"):
        try:
            answer = resolver.resolve(domain, kind, lifetime=SECONDS)
        except resolver.NXDOMAIN:
            return "nowhere"
        except resolver.NoAnswer:
            continue
        except Exception:  # whatever a resolver has: then nothing is known
            return ""
        # RFC 7505: a lone dot says that there is no mail.
        names = {str(getattr(record, "exchange", "")) for record in answer}
        return "nowhere" if names == {"."} else kind
    return "nowhere"


def family(address: Address) -> str:
    """Return IPv4, IPv6 or nothing."""
    return {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}.get(
        socket.AddressFamily(address.family), ""
    )
