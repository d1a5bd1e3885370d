"""Who may log in: one connection at a time, of all processes of the sender.

When the password has been changed, the first who tries the old one is refused, and
nobody else must try it (`site`): accounts are locked after too many tries. So the next
one's turn comes only when the sender knows how the one before has fared. The sender's
own connections ask for a turn, and those of its `mate`s do by a word (`crew`).
"""

from __future__ import annotations

from collections.abc import Callable


class Turnstile:
    """Those who have asked, in order; the first of them has the turn."""

    def __init__(self) -> None:
        self._line: dict[object, Callable[[], None]] = {}

    @property
    def busy(self) -> bool:
        """Whether anybody has the turn."""
        return bool(self._line)

    def ask(self, who: object, give: Callable[[], None]) -> None:
        """Let somebody have a turn, now or later: `give` is called then."""
        self._line[who] = give
        if self.is_turn_of(who):
            give()

    def is_turn_of(self, who: object) -> bool:
        """Tell whether it is somebody's turn."""
        return next(iter(self._line), None) is who

    def over(self, who: object) -> None:
        """Let the next one have the turn of somebody who needs it no more, or did."""
        mine = self.is_turn_of(who)
        self._line.pop(who, None)
        if mine:
            for give in [*self._line.values()][:1]:
                give()
