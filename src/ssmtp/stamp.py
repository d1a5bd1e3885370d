"""The time of a message: how a Date field is written, and whether one can be read."""

from __future__ import annotations

import time  # for its calendar; the clock is read elsewhere

_DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


class Stamp:
    """The moment of sending, and a word that no other message has.

    `seconds` since the epoch, `offset_minutes` east of Greenwich.
    """

    __slots__ = ("offset_minutes", "seconds", "unique")

    def __init__(self, seconds: int, offset_minutes: int, unique: str) -> None:
        self.seconds = seconds
        self.offset_minutes = offset_minutes
        self.unique = unique

    def date(self) -> str:
        """Return the date as header fields have it (RFC 5322 section 3.3)."""
        t = time.gmtime(self.seconds + 60 * self.offset_minutes)
        sign = "-" if self.offset_minutes < 0 else "+"
        hours, minutes = divmod(abs(self.offset_minutes), 60)
        return (
            f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon - 1]} {t.tm_year:04}"
            f" {t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} {sign}{hours:02}{minutes:02}"
        )


def is_date(value: str) -> bool:
    """Whether this is a date that every reader understands (RFC 5322 section 3.3).

    The obsolete zones and two-digit years of section 4.3 are fine.
    """
    if not value.isascii() or not value.replace("\t", " ").isprintable():
        return False
    if "(" in value:
        value = value.partition("(")[0]
    words = value.replace(",", ", ").split()
    if words and words[0].endswith(","):
        if words[0][:3].title() not in _DAYS:
            return False
        words = words[1:]
    if not 4 <= len(words) <= 5:
        return False
    day, month, year, clock = words[:4]
    zone = words[4] if len(words) > 4 else "+0000"
    return (
        _within(day, 1, 31)
        and len(day) <= 2
        and month.title() in _MONTHS
        and len(year) in (2, 3, 4)
        and _within(year, 0, 9999)
        and _is_clock(clock.split(":"))
        and _is_zone(zone)
    )


def _is_clock(parts: list[str]) -> bool:
    return len(parts) in (2, 3) and all(
        len(p) <= 2 and _within(p, 0, top)
        for p, top in zip(parts, (23, 59, 60), strict=False)
    )


def _is_zone(zone: str) -> bool:
    if zone[:1] in ("+", "-"):
        return len(zone) == 5 and _within(zone[1:], 0, 9959)
    return zone.isascii() and zone.isalpha() and len(zone) <= 5


def _within(digits: str, least: int, most: int) -> bool:
    return digits.isascii() and digits.isdigit() and least <= int(digits[:9]) <= most
