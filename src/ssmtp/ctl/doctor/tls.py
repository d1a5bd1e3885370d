"""TLS with the mailhub: version, certificate, names, days left, and what is wrong."""

from __future__ import annotations

import posix
import ssl
import time
from typing import Any

from ssmtp.config import Config, Mailhub
from ssmtp.ctl.doctor import certificate, probe
from ssmtp.ctl.doctor.case import Case
from ssmtp.ctl.doctor.certificate import Certificate
from ssmtp.ctl.doctor.findings import Report
from ssmtp.ctl.doctor.probe import Seen
from ssmtp.ctl.words import _, counted
from ssmtp.environment import environ
from ssmtp.errors import Failure, SiteTrouble, UnknownHost
from ssmtp.wire.openssl import default_directory
from ssmtp.wire.tls import SYSTEM

SOON = 15  # days
PATIENT = 5.0  # seconds; who waits for less gives up on good mailhubs
NAMED = 4  # names of a certificate in a sentence
OLD = ("TLSv1", "TLSv1.1")

# The numbers of X509_V_ERR_* in OpenSSL's x509_vfy.h, as in `wire.tls.DISTRUST`.
KINDS = {
    9: "tls.future",
    10: "tls.expired",
    18: "tls.self-signed",
    19: "tls.issuer",
    20: "tls.issuer",
    21: "tls.issuer",
    23: "tls.revoked",
    62: "tls.name",
    63: "tls.name",
    64: "tls.name",
}


def good(report: Report, case: Case, hub: Mailhub, seen: Seen) -> None:
    """Tell of a session that was set up."""
    secured = seen.watch.tls
    if secured is None:
        _clear(report, hub, seen)
        return
    about, _seen = probe.glance(case, hub, "implicit" if _first(seen) else "starttls")
    found = certificate.read(about.certificate())
    text = _("{version}, and the certificate was verified.")
    if not secured.verified:
        text = _("{version}; the certificate was not verified.")
    report.ok(
        "tls.version",
        text.format(version=secured),
        version=secured.version,
        cipher=secured.cipher,
        verified=secured.verified,
    )
    if not secured.verified:
        report.note(
            "tls.unverified",
            _("TLS with {hub} is not verified: no password needs it.").format(hub=hub),
            _("UseSTARTTLS=yes wants it verified"),
        )
    if found is not None:
        _certificate(report, found)


def _first(seen: Seen) -> bool:
    return seen.mode == "implicit"


def _clear(report: Report, hub: Mailhub, seen: Seen) -> None:
    if seen.private or hub.path is not None:
        report.note("tls.none", _("{hub} is this machine: no TLS.").format(hub=hub))
        return
    report.warn(
        "tls.none",
        _("Mail goes to {hub} in clear: everybody on the way can read it.").format(
            hub=hub
        ),
        _("set UseSTARTTLS=yes, or use port 465, if it offers TLS"),
    )


def _certificate(report: Report, found: Certificate) -> None:
    text = counted(
        "The certificate is for {names}, by {issuer}; it holds for {days} day more.",
        "The certificate is for {names}, by {issuer}; it holds for {days} days more.",
        found.days,
    )
    facts = facts_of(found)
    text = text.format(names=names(found), issuer=found.issuer, days=found.days)
    if found.days < SOON:
        step = _("ask its administrator whether it will be renewed in time")
        report.warn("tls.expiry", text, step, **facts)
    else:
        report.ok("tls.certificate", text, (), **facts)


def facts_of(found: Certificate) -> dict[str, Any]:
    """Return what JSON tells of a certificate."""
    return {
        "names": found.names,
        "subject": found.subject,
        "issuer": found.issuer,
        "expires": found.last_day,
        "days": -found.days if found.expired else found.days,
    }


def names(found: Certificate) -> str:
    """Write the names of a certificate for a sentence."""
    listed = found.names or [_("no host at all")]
    more = len(listed) - NAMED
    shown = ", ".join(listed[:NAMED])
    if more <= 0:
        return shown
    return _("{names} and {more} more").format(names=shown, more=more)


def bad(report: Report, case: Case, hub: Mailhub, seen: Seen) -> None:
    """Tell why TLS could not be set up, with what the certificate says of itself."""
    failure = seen.failure
    assert failure is not None
    code = getattr(failure.__cause__, "verify_code", 0)
    about, _seen = probe.glance(case, hub, "implicit" if _first(seen) else "starttls")
    found = certificate.read(about.certificate())
    version = about.version()
    name, what, step = KINDS.get(code, "tls.handshake"), failure.what, failure.next_step
    if code and name == "tls.handshake":
        name = "tls.certificate"
    elif found is not None and _pinned(case.config) and not failure.__cause__:
        name = "tls.fingerprint"
    if found is not None and name != "tls.handshake":
        what = _words(name, what, found)
    if name == "tls.issuer" or name == "tls.self-signed":
        step = _("{step} (trusted here: {places})").format(
            step=step, places=", ".join(trusted(case.config))
        )
    elif name == "tls.handshake" and version in OLD:
        name = "tls.old"
        what = _("{hub} speaks {version} at most, which is too old to be safe.").format(
            hub=hub, version=version
        )
        step = _("ask its administrator for TLS 1.2 or later")
    elif name == "tls.handshake" and _below(case.config, version):
        name = "tls.old"
        what = _(
            "{hub} speaks {version} at most, and TLSMinVersion={least} wants more."
        )
        what = what.format(
            hub=hub, version=version, least=case.config and case.config.tls_min_version
        )
        step = _("take TLSMinVersion out, or set TLSMinVersion=1.2")
    elif name == "tls.future" and found is not None:
        step = _("put the clock right (it says {now})").format(now=_now())
    elif name == "tls.expired":
        step = _("{step}; it says {now}").format(step=step, now=_now())
    elif name == "tls.name" and found is not None:
        step = _named(hub, found, step)
    elif name == "tls.handshake" and _first(seen) and _greets(case, hub):
        name = "tls.clear"
        what = _(
            "{hub} begins in clear, and the configuration wants TLS from the first"
            " octet."
        ).format(hub=hub)
        step = _("add UseSTARTTLS=yes, as for port 587; or use port 465")
    facts = facts_of(found) if found is not None else {}
    step = hurried(case.config, failure, step)
    finding = report.error(name, what, step, failure.exit_code, **facts)
    finding.fatal = passes_not(failure)


def _words(name: str, what: str, found: Certificate) -> str:
    """Add to a verdict what the certificate says of itself."""
    if name == "tls.expired":
        more = counted(
            "{what}: {days} day ago, on {day}",
            "{what}: {days} days ago, on {day}",
            found.days,
        )
        return more.format(what=what, days=found.days, day=found.last_day)
    if name == "tls.name":
        return _("{what}, but for {names}").format(what=what, names=names(found))
    if name in ("tls.issuer", "tls.self-signed"):
        return _("{what} (it is from {issuer})").format(what=what, issuer=found.issuer)
    if name == "tls.future":
        begins = time.strftime("%Y-%m-%d", time.gmtime(found.begins))
        return _("{what}: it begins on {day}").format(what=what, day=begins)
    return what


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M")


def _below(config: Config | None, version: str) -> bool:
    """Whether a version of TLS is good, but for TLSMinVersion."""
    least = config.tls_min_version if config is not None else ""
    return version == "TLSv1.2" and least.endswith("1.3")


def _named(hub: Mailhub, found: Certificate, step: str) -> str:
    """Say which name would do, where the certificate has one that can be typed."""
    plain = [name for name in found.names if "*" not in name]
    if not found.names:
        return _(
            "ask its administrator for a certificate with the name in it, or pin this"
            " one with TLSFingerprint"
        )
    if not plain:
        return step
    text = _("set Mailhub={name}:{port}, if that is the mailhub that is meant")
    return text.format(name=plain[0], port=hub.port)


def _pinned(config: Config | None) -> bool:
    return config is not None and bool(config.tls_fingerprints)


def _greets(case: Case, hub: Mailhub) -> bool:
    """Whether the mailhub greets in clear on this port."""
    _about, seen = probe.glance(case, hub, "none")
    return seen.watch.greeting is not None


def hurried(config: Config | None, failure: Failure, step: str) -> str:
    """Add to a step that we may not have waited for long enough."""
    if config is None or "took longer than" not in failure.what:
        return step
    for key, seconds in (
        ("ConnectTimeout", config.connect_timeout),
        ("CommandTimeout", config.command_timeout),
    ):
        if seconds < PATIENT:
            text = _("{step}; {key} is no more than {seconds} s")
            step = text.format(step=step, key=key, seconds=f"{seconds:g}")
    return step


def passes_not(failure: Failure) -> bool:
    """Whether no other mailhub is tried after this; the rule is that of `reach`."""
    if not isinstance(failure, SiteTrouble | UnknownHost):
        return True
    return failure.reply is not None and failure.reply.code >= 500


def trusted(config: Config | None) -> list[str]:
    """Return where certification authorities are looked for (`wire.tls`)."""
    around = environ()
    places = [around.get(name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")]
    if not any(places):
        usual = (SYSTEM, default_directory())
        places = [place for place in usual if _there(place)][:1]
        if not places:
            paths = ssl.get_default_verify_paths()
            places = [paths.openssl_cafile]
    if config is not None:
        places += [config.tls_ca_file or "", config.tls_ca_dir or ""]
    return [place for place in places if place]


def _there(place: str) -> bool:
    try:
        return bool(posix.listdir(place))
    except OSError:
        return False
