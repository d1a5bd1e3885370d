"""The time of a message: how a Date field is written, and whether one can be read."""

from __future__ import annotations

_DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_DAY = 86400


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
        days, seconds = divmod(self.seconds + 60 * self.offset_minutes, _DAY)
        year, month, day = _civil(days)
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        sign = "-" if self.offset_minutes < 0 else "+"
        hours, minutes = divmod(abs(self.offset_minutes), 60)
        return (
            f"{_DAYS[(days + 3) % 7]}, {day:02} {_MONTHS[month - 1]} {year:04} "
            f"{clock} {sign}{hours:02}{minutes:02}"
        )


def _civil(days: int) -> tuple[int, int, int]:
    """Return year, month and day of a day counted from 1970-01-01.

    Counts in years that begin in March, so that the leap day comes last.
    """
    days += 719468
    era, of_era = divmod(days, 146097)
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    return year + era * 400 + (month <= 2), month, day


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
