"""The time of a message: how a Date field is written, and whether one can be read."""

from __future__ import annotations

import time  # for its calendar; the clock is read elsewhere

_DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()

# Many messages of an agent have the same second.
_WRITTEN_MOST = 10
_written: dict[tuple[int, int], str] = {}


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
        moment = self.seconds, self.offset_minutes
        written = _written.get(moment)
        if written is None:
            if len(_written) >= _WRITTEN_MOST:
                _written.clear()
            written = _written[moment] = _date(*moment)
        return written


def _date(seconds: int, offset_minutes: int) -> str:
    t = time.gmtime(seconds + 60 * offset_minutes)
    sign = "-" if offset_minutes < 0 else "+"
    hours, minutes = divmod(abs(offset_minutes), 60)
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
    if words and words[0][-1] == ",":
        if not _is_among(words[0][:3], _DAYS):
            return False
        del words[0]
    if len(words) == 4:
        words.append("+0000")
    if len(words) != 5:
        return False
    day, month, year, clock, zone = words
    parts = clock.split(":")
    return (
        (day + year).isdigit()
        and day.strip("0") != ""
        and _is_within(day, "31")
        and _is_among(month, _MONTHS)
        and 2 <= len(year) <= 4
        and 2 <= len(parts) <= 3
        and clock.replace(":", "").isdigit()
        and _is_within(parts[0], "23")
        and _is_within(parts[1], "59")
        and _is_within(parts[-1], "60")
        and _is_zone(zone)
    )


def _is_among(word: str, names: list[str]) -> bool:
    return word in names or word.title() in names


def _is_within(digits: str, most: str) -> bool:
    """Whether one or two digits are a number up to another of two."""
    return len(digits) == 1 or (len(digits) == 2 and digits <= most)


def _is_zone(zone: str) -> bool:
    if zone[0] in "+-":
        return len(zone) == 5 and zone[1:].isdigit() and zone[1:] <= "9959"
    return zone.isalpha() and len(zone) <= 5
