"""What a mailhub offers in its answer to EHLO (RFC 5321 §4.1.1.1)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Offers:
    """Keywords in capitals; the AUTH mechanisms; `size` in octets, 0 for no limit.

    A keyword counts as a whole (STARTTLSX is not STARTTLS). One that holds anything but
    letters, digits and hyphens does not count. A SIZE that is no number is no limit.
    """

    __slots__ = ("auth", "keywords", "size")

    def __init__(self, lines: Iterable[str]) -> None:
        self.keywords: set[str] = set()
        self.auth: list[str] = []
        self.size = 0
        for line in lines:
            words = line.upper().split()
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
            self.auth += [w for w in words[1:] if w and w not in self.auth]
        elif words[0] == "SIZE" and len(words) > 1:
            digits = words[1]
            if digits.isascii() and digits.isdigit() and len(digits) <= 20:
                self.size = int(digits)
