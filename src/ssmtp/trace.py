"""What `-v` shows: the dialogue as it happens, with arrows and timings.

Arrows are those of the classic: `[->]` for what is said, `[<-]` for what comes back.
All texts arrive here escaped and without secrets (AUTH lines are dots before they get
here); escaping once more costs nothing, and then no other writer has to be trusted.
"""

from __future__ import annotations

import time

from ssmtp.smtp.reply import DOTS, escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ssmtp.smtp.reply import Reply
    from ssmtp.smtp.steps import Secured

CHALLENGE = 334  # RFC 4954 section 4


class Trace:
    """A person who watches; `say` shows one line, without its end."""

    __slots__ = ("_since", "say")

    def __init__(self, say: Callable[[str], object]) -> None:
        self.say = say
        self._since = time.monotonic()

    def sent(self, lines: Iterable[str]) -> None:
        """Show what was said, line by line."""
        self._since = time.monotonic()
        for line in lines:
            self.say(f"[->] {escaped(line)}")

    def received(self, reply: Reply) -> None:
        """Show a reply, and how long it took."""
        last = len(reply.lines) - 1
        for i, line in enumerate(reply.lines):
            if reply.code == CHALLENGE and line:
                line = DOTS  # a salt and a proof are enough to guess at a password
            mark = " " if i == last else "-"
            took = f"  ({self._took()})" if i == last else ""
            self.say(f"[<-] {reply.code}{mark}{escaped(line)}{took}")

    def secured(self, secured: Secured) -> None:
        """Show version and cipher of TLS."""
        verified = "verified" if secured.verified else "not verified"
        self.say(f"[--] {secured}, {verified}  ({self._took()})")

    def note(self, text: str) -> None:
        """Show a remark."""
        self.say(f"[--] {escaped(text)}")

    def _took(self) -> str:
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"
