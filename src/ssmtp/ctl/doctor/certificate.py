"""What stands in a certificate, verified or not, read from its DER (RFC 5280 §4.1).

The `ssl` module tells it of verified ones only, and a person wants to know what is
wrong with the others.
"""

from __future__ import annotations

import calendar
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ssmtp.wire.certificate import _item

COMMON_NAME = bytes.fromhex("550403")
ORGANISATION = bytes.fromhex("55040a")
ALTERNATIVE_NAMES = bytes.fromhex("551d11")
DNS_NAME, IP_ADDRESS = 0x82, 0x87
UTC_TIME = 0x17
EXTENSIONS = 0xA3
DAY = 86400


@dataclass(frozen=True)
class Certificate:
    """The readable part of a certificate; times are seconds since the epoch."""

    subject: str
    issuer: str
    names: list[str]
    begins: float
    ends: float

    @property
    def days(self) -> int:
        """For how many days it still holds, or since how many it does not."""
        return int(abs(self.ends - time.time()) // DAY)

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.ends < time.time()

    @property
    def last_day(self) -> str:
        """The day on which it expires."""
        return time.strftime("%Y-%m-%d", time.gmtime(self.ends))


def read(der: bytes) -> Certificate | None:
    """Read a certificate; None when it is not as it should be."""
    try:
        return _read(der)
    except (IndexError, ValueError, OSError, OverflowError):
        return None


def _read(der: bytes) -> Certificate:
    _tag, start, _end = _item(der, 0)
    _tag, start, end = _item(der, start)
    parts = [part for part in _parts(der, start, end) if part[0] != 0xA0]
    _serial, _algorithm, issuer, validity, subject, _key, *rest = parts
    begins, ends = (_time(der, part) for part in _parts(der, *validity[1:]))
    names: list[str] = []
    for part in rest:
        if part[0] == EXTENSIONS:
            names = _names(der, part)
    return Certificate(_name(der, subject), _name(der, issuer), names, begins, ends)


Part = tuple[int, int, int]


def _parts(der: bytes, start: int, end: int) -> Iterator[Part]:
    while start < end:
        part = _item(der, start)
        yield part
        start = part[2]


def _name(der: bytes, name: Part) -> str:
    """Return the common name, or else the organisation."""
    found: dict[bytes, str] = {}
    for group in _parts(der, *name[1:]):
        for pair in _parts(der, *group[1:]):
            kind, value = _parts(der, *pair[1:])
            text = der[value[1] : value[2]].decode("utf-8", "backslashreplace")
            found[der[kind[1] : kind[2]]] = text
    return found.get(COMMON_NAME) or found.get(ORGANISATION) or "?"


def _time(der: bytes, part: Part) -> float:
    text = der[part[1] : part[2]].decode("ascii").removesuffix("Z")
    if part[0] == UTC_TIME:
        # RFC 5280 §4.1.2.5.1
        text = ("19" if text >= "50" else "20") + text
    return calendar.timegm(time.strptime(text, "%Y%m%d%H%M%S"))


def _names(der: bytes, extensions: Part) -> list[str]:
    [whole] = _parts(der, *extensions[1:])
    for extension in _parts(der, *whole[1:]):
        kind, *_critical, value = _parts(der, *extension[1:])
        if der[kind[1] : kind[2]] == ALTERNATIVE_NAMES:
            _tag, start, end = _item(der, value[1])
            return [name for p in _parts(der, start, end) if (name := _alias(der, p))]
    return []


def _alias(der: bytes, part: Part) -> str:
    value = der[part[1] : part[2]]
    if part[0] == DNS_NAME:
        return value.decode("ascii", "backslashreplace")
    if part[0] == IP_ADDRESS:
        kind = socket.AF_INET if len(value) == 4 else socket.AF_INET6
        return socket.inet_ntop(kind, value)
    return ""
