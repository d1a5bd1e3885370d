"""Can the mailhub be reached: every address for itself, and what stands between."""

from __future__ import annotations

import errno
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor

from ssmtp.config import Mailhub
from ssmtp.ctl.doctor.case import Case
from ssmtp.ctl.doctor.findings import Finding, Report
from ssmtp.ctl.doctor.names import family
from ssmtp.ctl.doctor.settings import NOT_FOR_MAIL, place
from ssmtp.ctl.words import _
from ssmtp.errors import EX_TEMPFAIL, AuthRefused, Failure
from ssmtp.submission import Attempt
from ssmtp.wire import blocking, connect
from ssmtp.wire.connect import Address, Route

PORTS = (465, 587, 25, 2525)
AT_ONCE = 16
NO_WAY = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class Tried:
    """What came of connecting to one address; without a `failure` it answered."""

    def __init__(self, address: Address, seconds: float, failure: Failure | None):
        self.address = address
        self.seconds = seconds
        self.failure = failure

    @property
    def nowhere(self) -> bool:
        """Whether this machine has no way to such an address."""
        what = self.failure.what if self.failure is not None else ""
        return any(os.strerror(code) in what for code in NO_WAY)

    def silent(self, route: Route) -> bool:
        """Whether nothing answered at all, not even with a refusal."""
        return self.failure is not None and self.seconds > 0.9 * route.seconds


def check(report: Report, case: Case, hub: Mailhub, found: list[Address]) -> bool:
    """Connect to each address; return whether one of them answers."""
    config = case.config
    assert config is not None
    route = Attempt(config, hub, 0, None).route
    with ThreadPoolExecutor(AT_ONCE) as threads:
        tried = list(threads.map(lambda address: _try(route, address), found))
    good = [one for one in tried if one.failure is None]
    if not good:
        _closed(report, case, hub, route, tried)
        return False
    for one in good:
        report.ok(
            "tcp.connect",
            _("{address} answers, after {time:.0f} ms.").format(
                address=one.address.shown, time=one.seconds * 1000
            ),
            address=one.address.shown,
            seconds=round(one.seconds, 3),
        )
    bad = [one for one in tried if one.failure is not None]
    if any(family(one.address) == "IPv4" for one in good):
        bad = _without_ipv6(report, bad)
    for one in bad:
        text = _("{address} does not answer; others do.")
        report.warn("tcp.address", text.format(address=one.address.shown))
    return True


def _without_ipv6(report: Report, bad: list[Tried]) -> list[Tried]:
    """Tell of IPv6 addresses that cannot be reached while IPv4 works; return others."""
    sixes = [one for one in bad if family(one.address) == "IPv6"]
    if sixes and all(one.nowhere for one in sixes):
        text = _("This machine has no IPv6, so {address} is passed over.")
        report.note("dns.ipv6", text.format(address=sixes[0].address.shown))
    elif sixes:
        report.warn(
            "dns.ipv6",
            _(
                "IPv6 does not work: {address} cannot be reached, IPv4 can. Each mail"
                " may wait a moment for it."
            ).format(address=sixes[0].address.shown),
            _("put IPv6 of this machine or network in order"),
        )
    return [one for one in bad if one not in sixes]


def _try(route: Route, address: Address) -> Tried:
    begun = time.monotonic()
    try:
        link = blocking.run(connect.connect(route, [address]))
    except Failure as failure:
        return Tried(address, time.monotonic() - begun, failure)
    link.sock.close()
    return Tried(address, time.monotonic() - begun, None)


def _closed(
    report: Report, case: Case, hub: Mailhub, route: Route, tried: list[Tried]
) -> None:
    # An address of a family that this machine does not have tells nothing.
    tried = [one for one in tried if not one.nowhere] or tried
    first = tried[0].failure
    assert first is not None
    special = hub.path or route.proxy or route.source
    if special or isinstance(first, AuthRefused):
        step = _special(hub, route, first)
        finding = report.error("tcp.closed", first.what, step, first.exit_code)
        finding.fatal = isinstance(first, AuthRefused)
        return
    others = _answering(tried[0].address, hub.port, route.seconds)
    listed = " and ".join(map(str, others))
    silent = all(one.silent(route) for one in tried)
    known = {"host": hub.host, "port": hub.port, "others": listed}
    step = _("check host and port of Mailhub in {place}, and that the mailhub runs")
    step = step.format(place=place(case, hub))
    if others:
        step = _("set Mailhub={host}:{best}").format(host=hub.host, best=others[0])
    elif hub.port in NOT_FOR_MAIL:
        step = _("set Mailhub={host}:465 or Mailhub={host}:587").format(host=hub.host)
    if silent and others:
        name = "tcp.blocked"
        text = _(
            "Port {port} of {host} is blocked: nothing answers there, but port {others}"
            " does. Your provider or a firewall does not let it through."
        )
        step = _("{step}, or ask who runs the network").format(step=step)
    elif silent:
        name = "tcp.silent"
        text = _(
            "{host} does not answer, on port {port} or any other for mail: the network"
            " is down, or a firewall stands between."
        )
        step = _("see that this machine is online; ask who runs the network")
    elif os.strerror(errno.ECONNREFUSED) not in first.what:
        name = "tcp.unreachable"
        text = _("There is no way from here to {host}: {why}.")
        step = _("see that this machine is online, and what its firewall says")
    elif others:
        name = "tcp.closed"
        text = _(
            "Nothing listens on port {port} of {host}: {why}. Port {others} answers."
        )
    else:
        name = "tcp.closed"
        text = _("Nothing listens on port {port} of {host}: {why}.")
    finding = Finding(
        name,
        "error",
        text.format(**known, why=first.what),
        step,
        exit=EX_TEMPFAIL,
        fatal=False,
        facts={"tried": [one.address.shown for one in tried], "answering": others},
    )
    report.add(finding)


def _special(hub: Mailhub, route: Route, first: Failure) -> str:
    """Say what to do about what stands between this machine and the mailhub."""
    if os.strerror(errno.EADDRNOTAVAIL) in first.what and route.source:
        return _("set SourceAddress to an address of this machine, or take it out")
    if hub.path is not None and os.strerror(errno.EACCES) in first.what:
        return _("let the calling user write to {path}").format(path=hub.path)
    if hub.path is not None:
        return _("start the program that listens on {path}, or correct Mailhub").format(
            path=hub.path
        )
    return first.next_step


def _answering(address: Address, port: int, seconds: float) -> list[int]:
    """Return the usual ports of mailhubs that answer at an address."""

    def answers(other: int) -> bool:
        target = (address.sockaddr[0], other)
        try:
            socket.create_connection(target, min(seconds, 5.0)).close()
        except OSError:
            return False
        return True

    others = [other for other in PORTS if other != port]
    with ThreadPoolExecutor(len(others)) as threads:
        found = threads.map(answers, others)
    return [other for other, there in zip(others, found, strict=True) if there]
