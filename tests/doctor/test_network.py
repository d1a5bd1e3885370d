"""Addresses, fallbacks, the sender's domain; this machine and its clock."""

from __future__ import annotations

import errno
import os
import socket
import sys
import types

import pytest

import ssmtp
from ssmtp import configfile
from ssmtp.config import Mailhub
from ssmtp.ctl.doctor import (
    case,
    certificate,
    findings,
    names,
    people,
    reach,
    rivals,
)
from ssmtp.wire.connect import Address
from tests.doctor.conftest import PASSWORD, USER
from tests.hub import Hub, running
from tests.unit.test_connect import black_hole


@pytest.fixture
def report():
    """A report that nobody reads aloud."""
    return findings.Report(lambda finding: None)


def examined(path):
    """Return a case with the configuration at a path."""
    one = case.made(str(path), None)
    one.path = str(path)
    one.config = configfile.load(str(path))
    return one


def bound(host: str) -> int:
    """Return the error of connecting to an IPv6 address."""
    with socket.socket(socket.AF_INET6) as one:
        one.settimeout(1)
        return one.connect_ex((host, 1))


@pytest.mark.parametrize(
    ("host", "reason", "state", "words"),
    [
        ("::1", errno.ECONNREFUSED, "warning", "IPv6 does not work: [::1]:"),
        ("ff0e::1", errno.ENETUNREACH, "note", "This machine has no IPv6"),
    ],
)
def test_broken_ipv6(bench, hub, report, host, reason, state, words):
    """An IPv6 address that does not answer, while the IPv4 one does."""
    if bound(host) != reason:
        pytest.skip("IPv6 is another here")
    bench.configure(f"mailhub=127.0.0.1:{hub.port}")
    found = [
        Address(socket.AF_INET6, (host, hub.port, 0, 0), f"[{host}]:{hub.port}"),
        Address(socket.AF_INET, ("127.0.0.1", hub.port), f"127.0.0.1:{hub.port}"),
    ]
    mailhub = Mailhub("127.0.0.1", hub.port)
    answers = reach.check(report, examined(bench.conf), mailhub, found)

    assert answers
    assert ["tcp.connect", "dns.ipv6"] == [f.id for f in report.findings]
    assert state == report.findings[1].state
    assert words in report.findings[1].text


def test_no_way(bench):
    """A network that is not there is not a mailhub that does not run."""
    bench.configure("mailhub=[ff0e::1]:25")
    told = bench.doctor()

    assert (75, "tcp.unreachable") == (told.code, told.first["id"])
    assert "Network is unreachable" in told.first["text"]


def test_blocked_and_no_ipv6(bench, report):
    """What cannot be reached by IPv6 at all does not hide that a port is blocked."""
    with black_hole() as (host, port):
        bench.configure(f"mailhub={host}:{port}", "ConnectTimeout=0.5")
        found = [
            Address(socket.AF_INET6, ("ff0e::1", port, 0, 0), "[ff0e::1]"),
            Address(socket.AF_INET, (host, port), f"{host}:{port}"),
        ]
        mailhub = Mailhub(host, port)
        answers = reach.check(report, examined(bench.conf), mailhub, found)

    assert not answers
    assert "tcp.silent" == report.findings[0].id


def test_one_address_of_several(bench, hub, report):
    """A dead address among living ones is a warning."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", "ConnectTimeout=0.5")
    with black_hole() as (host, port):
        found = [
            Address(socket.AF_INET, (host, port), f"{host}:{port}"),
            Address(socket.AF_INET, ("127.0.0.1", hub.port), f"127.0.0.1:{hub.port}"),
        ]
        answers = reach.check(
            report, examined(bench.conf), Mailhub("127.0.0.1", hub.port), found
        )

    assert answers
    assert ["ok", "warning"] == [finding.state for finding in report.findings]


def test_lookup_is_told(bench, hub):
    """A name is looked up, its addresses and the time are told."""
    bench.configure(f"mailhub=localhost:{hub.port}")
    told = bench.doctor().one("dns.name")

    assert "127.0.0.1" in told["facts"]["addresses"]
    assert told["facts"]["seconds"] >= 0


def test_unix_socket(bench, tmp_path):
    """A mailhub may be a socket of this machine."""
    path = str(tmp_path / "s")
    with running(Hub(path=path)):
        bench.configure(f"mailhub=unix:{path}")
        told = bench.doctor()
    gone = bench.doctor()

    assert 0 == told.code
    assert "note" == told.one("tls.none")["state"]
    assert (75, "tcp.closed") == (gone.code, gone.first["id"])


def test_dead_proxy(bench):
    """A proxy that is not there is the cause, not the mailhub."""
    bench.configure("mailhub=mail.corp.test:587", "Proxy=socks5://127.0.0.1:1")
    told = bench.doctor()

    assert (75, "tcp.closed") == (told.code, told.first["id"])
    assert "the proxy socks5://127.0.0.1:1" in told.first["text"]


def test_fallback(bench, hub):
    """When the second mailhub works, what is wrong with the first is a warning."""
    bench.configure("mailhub=127.0.0.1:1", f"mailhub=127.0.0.1:{hub.port}")
    told = bench.doctor()

    assert 0 == told.code
    assert "warning" == told.one("tcp.closed")["state"]
    assert "Mailhub 127.0.0.1:1" == told.one("tcp.closed")["section"]
    assert "ok" == told.one("smtp.sender")["state"]


def test_no_fallback_for_a_password(bench, hub):
    """A refused login is final: the next mailhub is not asked, as for mail."""
    with running(Hub(users={USER: "another"})) as first:
        bench.configure(
            *(f"mailhub=127.0.0.1:{port}" for port in (first.port, hub.port)),
            *(f"AuthUser={USER}", f"AuthPass={PASSWORD}"),
        )
        told = bench.doctor()

    assert (77, "auth.login") == (told.code, told.first["id"])
    assert 0 == hub.connections


def test_both_are_dead(bench):
    """Two mailhubs that cannot be reached are two errors."""
    bench.configure("mailhub=127.0.0.1:1", "mailhub=127.0.0.1:2")
    told = bench.doctor()

    assert 75 == told.code
    assert ["error", "error"] == [f["state"] for f in told.all("tcp.closed")]


@pytest.mark.parametrize("kind", ["good", "expired", "other-name", "chain", "nul-name"])
def test_certificates_are_read(certificates, kind):
    """What a certificate says is read as `cryptography` reads it."""
    from cryptography.hazmat.primitives.serialization import Encoding

    leaf = certificates.chain(kind)[0]
    found = certificate.read(leaf.public_bytes(Encoding.DER))

    assert found is not None
    assert leaf.not_valid_after_utc.timestamp() == found.ends
    assert leaf.not_valid_before_utc.timestamp() == found.begins
    assert leaf.subject.rfc4514_string() == f"CN={found.subject}"
    assert leaf.issuer.rfc4514_string() == f"CN={found.issuer}"
    assert (kind == "expired") == found.expired
    if kind == "good":
        assert ["127.0.0.1", "localhost"] == sorted(found.names)


@pytest.mark.parametrize("cut", [0, 1, 20, 60, 200, 300])
def test_what_is_no_certificate(certificates, cut):
    """Octets that are no certificate are none, and nothing worse."""
    from cryptography.hazmat.primitives.serialization import Encoding

    der = certificates.chain("good")[0].public_bytes(Encoding.DER)

    assert certificate.read(der[:cut]) is None
    assert certificate.read(b"\x30\x82\xff\xff" + der[:cut]) is None


def test_expires_soon(bench, secure, certificates, monkeypatch):
    """A certificate that will end within days is worth a warning."""
    from tests.certificates import CHAINS, DAY, HERE, NOW

    soon = {"soon": lambda c: c.issue(*HERE, before=NOW + 3 * DAY)}
    monkeypatch.setitem(CHAINS, "soon", soon["soon"])
    hub = secure("soon")
    bench.configure(
        f"mailhub=127.0.0.1:{hub.port}",
        *("UseTLS=yes", f"TLS_CA_File={certificates.text('authority')}"),
        *(f"AuthUser={USER}", f"AuthPass={PASSWORD}"),
    )
    told = bench.doctor()

    assert 0 == told.code
    assert "it holds for 2 days more" in told.one("tls.expiry")["text"]


def test_unverified(bench, secure):
    """TLS that is not verified is told of."""
    hub = secure("stranger", "starttls", users={})
    bench.configure(f"mailhub=127.0.0.1:{hub.port}")
    told = bench.doctor()

    assert 0 == told.code
    assert "was not verified" in told.one("tls.version")["text"]
    assert "note" == told.one("tls.unverified")["state"]


class Resolver(types.ModuleType):
    """As much of dns.resolver as the doctor uses, with records of its own."""

    class NXDOMAIN(Exception):
        pass

    class NoAnswer(Exception):
        pass

    def __init__(self, records):
        super().__init__("dns.resolver")
        self.records = records

    def resolve(self, name, kind, lifetime):
        found = self.records.get(kind, self.NoAnswer)
        if isinstance(found, list):
            return [types.SimpleNamespace(exchange=one) for one in found]
        raise found


def found_out(monkeypatch, bench, report, records):
    """Return what is said of the sender's domain, with these records in the DNS."""
    if records is not None:
        monkeypatch.setitem(sys.modules, "dns", types.ModuleType("dns"))
        monkeypatch.setitem(sys.modules, "dns.resolver", Resolver(records))
    else:
        monkeypatch.setitem(sys.modules, "dns", None)
    bench.configure("mailhub=127.0.0.1:1")
    one = examined(bench.conf)
    people.check(report, one)
    names.sender_domain(report, one)
    return report.findings[-1]


@pytest.mark.parametrize(
    ("records", "state", "words"),
    [
        ({"MX": ["mx.corp.test."]}, "ok", "(MX record)"),
        ({"A": [None]}, "ok", "(A record)"),
        ({"MX": ["."]}, "warning", "gets no mail"),
        ({"MX": Resolver.NXDOMAIN}, "warning", "gets no mail"),
        ({}, "warning", "gets no mail"),
        ({"MX": TimeoutError}, "skipped", "the DNS is silent"),
        (None, "skipped", "dnspython is not installed"),
    ],
)
def test_sender_domain(monkeypatch, bench, report, records, state, words):
    """Whether reports can come back; what cannot be looked up is said to be skipped."""
    finding = found_out(monkeypatch, bench, report, records)

    assert ("dns.sender", state) == (finding.id, finding.state)
    assert words in finding.text


@pytest.mark.parametrize(
    ("content", "name", "who"),
    [
        (b"#!/usr/bin/python3\nfrom ssmtp.sendmail import main\n", "ssmtp", "ssmtp"),
        (b"\x7fELF /etc/postfix", "sendmail", "Postfix"),
        (b"\x7fELF", "exim4", "Exim"),
        (b"\x7fELF", "msmtp", "msmtp"),
        (b"\x7fELF", "ssmtp", "sSMTP, the classic one"),
        (b"#!/bin/sh\n", "sendmail", "another program"),
    ],
)
def test_whose_sendmail(tmp_path, monkeypatch, report, content, name, who):
    """Who answers to the name of sendmail."""
    program = tmp_path / name
    program.write_bytes(content)
    program.chmod(0o755)
    link = tmp_path / "link"
    link.symlink_to(program)
    monkeypatch.setattr(rivals, "PLACES", (str(link), str(program)))
    monkeypatch.setenv("PATH", "/nonexistent")
    rivals.check(report)
    [finding] = report.findings

    assert ("ok" if who == "ssmtp" else "warning") == finding.state
    assert str(link) in finding.text
    if who != "ssmtp":
        assert f"is not this program, but {who} " in finding.text
        assert "ssmtpctl install --replace" in finding.next


def test_first_in_path(tmp_path, monkeypatch, report):
    """A sendmail that only PATH leads to counts, too; none at all is a warning."""
    monkeypatch.setattr(rivals, "PLACES", (str(tmp_path / "none"),))
    monkeypatch.setenv("PATH", str(tmp_path))
    rivals.check(report)
    (tmp_path / "sendmail").write_text("#!/bin/sh\n")
    (tmp_path / "sendmail").chmod(0o755)
    rivals.check(report)

    assert "There is no sendmail here" in report.findings[0].text
    assert str(tmp_path / "sendmail") in report.findings[1].text


def test_clock(monkeypatch, report, tmp_path):
    """A clock that is behind this program's own files cannot be right."""
    rivals.clock(report)
    future = tmp_path / "future.py"
    future.touch()
    os.utime(future, (4e9, 4e9))
    monkeypatch.setattr(ssmtp, "__file__", str(future))
    rivals.clock(report)

    assert ["ok", "warning"] == [finding.state for finding in report.findings]
    assert "certificates" in report.findings[1].next
