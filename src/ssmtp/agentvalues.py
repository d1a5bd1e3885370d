"""What the value of a key of the agent may be: text in, value out, as in `values`.

Apart from there because a message on the direct road seldom meets such a key: this is
imported when one has a value.
"""

from __future__ import annotations

from ssmtp.values import BLANKS, is_ipv4, is_ipv6, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ROADS = ("auto", "direct", "agent")
DURATIONS = {"s": 1, "m": 60, "h": 3600, "d": 86400}  # seconds
SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}  # octets
PERIODS = {
    **dict.fromkeys(("s", "sec", "second"), 1.0),
    **dict.fromkeys(("m", "min", "minute"), 60.0),
    **dict.fromkeys(("h", "hour"), 3600.0),
    **dict.fromkeys(("d", "day"), 86400.0),
}  # seconds
LONGEST = 366 * 86400  # seconds that a message may wait
MOST = 10**9


def _road(value: str) -> str:
    word = value.lower()
    if word not in ROADS:
        raise ValueError(f"is auto, direct or agent, not {shown(value[:40])!r}")
    return word


def _duration(value: str) -> float:
    """Read a number of seconds, or one of minutes, hours or days."""
    number, unit = value, 1
    if value[-1:].lower() in DURATIONS:
        number, unit = value[:-1].rstrip(BLANKS), DURATIONS[value[-1].lower()]
    if not _digits(number):
        raise ValueError(
            f"needs a duration such as 90s, 15m, 4h or 5d, not {shown(value[:40])!r}"
        )
    seconds = float(int(number) * unit)
    if not 0 < seconds <= LONGEST:
        raise ValueError("needs more than 0 and at most 366 days")
    return seconds


def _count(value: str) -> int:
    if not _digits(value) or not 0 < int(value) <= MOST:
        raise ValueError(f"needs a number from 1 on, not {shown(value[:40])!r}")
    return int(value)


def _size(value: str) -> int:
    """Read a number of octets; K, M, G and T are powers of 1,024."""
    number = value.lower().removesuffix("b").removesuffix("i")
    unit = number[-1:] if number[-1:] in SIZES else ""
    number = number.removesuffix(unit).rstrip(BLANKS)
    if not _digits(number) or not 0 < int(number) * SIZES[unit] < 1 << 60:
        raise ValueError(
            f"needs a number of octets such as 50M or 2G, not {shown(value[:40])!r}"
        )
    return int(number) * SIZES[unit]


def _share(value: str) -> tuple[float, int]:
    """Read a part of a whole in percent, or a number of octets; the other one is 0."""
    if value[-1:] != "%":
        return 0.0, _size(value)
    number = value[:-1].rstrip(BLANKS)
    if not _digits(number) or int(number) > 99:
        raise ValueError(f"needs a share from 0% to 99%, not {shown(value[:40])!r}")
    return int(number) / 100, 0


def _rate(value: str) -> tuple[int, float]:
    """Read how many in how many seconds: 20/min."""
    number, slash, period = value.partition("/")
    number, period = number.rstrip(BLANKS), period.strip(BLANKS).lower()
    if not slash or not _digits(number) or not 0 < int(number) <= MOST:
        period = ""
    if period not in PERIODS:
        raise ValueError(
            f"needs a rate such as 2/s, 20/min or 500/hour, not {shown(value[:40])!r}"
        )
    return int(number), PERIODS[period]


def _senders(value: str) -> tuple[str, list[str]]:
    """Read who may write as whom: a login name, a colon, patterns with commas."""
    login, colon, rest = value.partition(":")
    login = login.strip(BLANKS)
    patterns = [pattern.strip(BLANKS) for pattern in rest.split(",")]
    if not colon or not login or not all(patterns):
        raise ValueError("needs LOGIN:PATTERN, such as www-data:*@shop.example")
    if len((login + " ".join(patterns)).split()) != len(patterns):
        raise ValueError("has a blank within a login name or a pattern")
    return login, patterns


def _loopback(value: str) -> tuple[str, int]:
    """Read where to listen: a loopback address in numbers, and a port (25)."""
    host, colon, port = value.rpartition(":")
    if not colon or (value[:1] == "[" and value[-1:] == "]"):
        host, port = value, "25"
    bare = host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host
    inside = bare.startswith("127.") if is_ipv4(bare) else _is_loopback6(host, bare)
    if not inside:
        raise ValueError(
            "needs a loopback address in numbers, such as 127.0.0.1:25 or [::1]:25,"
            f" not {shown(value[:60])!r}"
        )
    if not _digits(port) or not 0 < int(port) < 65536:
        raise ValueError(f"needs a port from 1 to 65535, not {shown(port[:40])!r}")
    # As the kernel spells it, so that one address has one name.
    name = "::1" if ":" in bare else ".".join(str(int(n)) for n in bare.split("."))
    return name, int(port)


def _is_loopback6(host: str, bare: str) -> bool:
    """Tell whether this is ::1 in brackets; its other forms are not worth a parser."""
    return host != bare and is_ipv6(bare) and bare in ("::1", "0:0:0:0:0:0:0:1")


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 15


READERS: dict[str, Callable[[str], object]] = {
    "number": _count,
    "duration": _duration,
    "address:port": _loopback,
    "rate": _rate,
    "auto, direct or agent": _road,
    "login:patterns": _senders,
    "share or size": _share,
    "size": _size,
}
