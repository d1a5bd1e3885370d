"""What a mailhub offers in its answer to EHLO (RFC 5321 §4.1.1.1)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Offers:
    """Keywords in capitals; the AUTH mechanisms; `size` in octets, 0 for no limit.

    `limits` are the numbers that LIMITS names (RFC 9422). A keyword counts as a whole
    (STARTTLSX is not STARTTLS). One that holds anything but ASCII letters, digits and
    hyphens does not count. A SIZE that is no number is no limit.
    """

    __slots__ = ("auth", "keywords", "limits", "size")

    def __init__(self, lines: Iterable[str]) -> None:
        self.keywords: set[str] = set()
        self.auth: list[str] = []
        self.size = 0
        self.limits: dict[str, int] = {}
        for line in lines:
            # Some letters outside of ASCII have capitals within.
            words = [w.upper() if w.isascii() else w for w in line.split()]
            if words and words[0].startswith("AUTH="):
                # The form of an early draft, still sent for old clients.
                words[0:1] = ["AUTH", words[0][5:]]
            if words and words[0].isascii() and words[0].replace("-", "").isalnum():
                self._add(words)

    def __contains__(self, keyword: str) -> bool:
        return keyword in self.keywords

    def _add(self, words: list[str]) -> None:
        self.keywords.add(words[0])
        if words[0] == "AUTH":
            # A hostile list has thousands: each word is looked at once only.
            found = [w for w in words[1:] if w and w.isascii()]
            self.auth = list(dict.fromkeys([*self.auth, *found]))
        elif words[0] == "SIZE" and len(words) > 1:
            self.size = _number(words[1])
        elif words[0] == "LIMITS":
            for word in words[1:]:
                name, _, digits = word.partition("=")
                if _number(digits):
                    self.limits[name] = _number(digits)


def _number(digits: str) -> int:
    """Return a number in ASCII digits, 0 for what is none."""
    plain = digits.isascii() and digits.isdigit() and len(digits) <= 20
    return int(digits) if plain else 0
