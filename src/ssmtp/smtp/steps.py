"""What a dialogue asks of its driver, and what it may be told.

    StartTls(wanted)    make the connection secret      → Secured
    Flight(...)         write these octets              → whether all were written
    Await(phase)        wait for the next reply         → Reply

When the connection cannot go on, the driver throws `Broken` in at the step. `Again`
comes out of a dialogue that would do better on a new connection.
"""

from __future__ import annotations

from ssmtp.smtp.lines import CRLF
from ssmtp.smtp.reply import Reply, escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from typing import Any

    from ssmtp.smtp.phases import Phase

    # What yields steps; what it is sent depends on the step.
    Talk = Generator[Any, Any, None]


class Flight:
    """Octets to write in one go: `head`, then the blocks of `content`, then `tail`.

    `before` replies may come while content is being written: those to the commands in
    `head`. One more, or a refusal among them, and the driver stops writing; the step is
    then answered with False. The driver sets `committed` before it writes the octets
    that end the content. `shown` is what `-v` shows, worked out if anybody watches.
    """

    __slots__ = ("_shown", "before", "committed", "content", "head", "phase", "tail")

    def __init__(
        self,
        head: bytes,
        phase: Phase,
        shown: list[str] | Callable[[], list[str]] | None = None,
        content: Iterable[bytes] | None = None,
        tail: bytes = b"",
        before: int = 0,
    ) -> None:
        self.head = head
        self.phase = phase
        self._shown = shown
        self.content = content
        self.tail = tail
        self.before = before
        self.committed = False

    @property
    def shown(self) -> list[str]:
        """The lines that are shown in its place."""
        if self._shown is None:
            return commands(self.head)
        return self._shown if isinstance(self._shown, list) else self._shown()


class Await:
    """Wait for the next reply. `hide` are secrets that it might echo."""

    __slots__ = ("hide", "phase")

    def __init__(self, phase: Phase, hide: tuple[str, ...] = ()) -> None:
        self.phase = phase
        self.hide = hide


class StartTls:
    """Set up TLS; nothing may be unread. `wanted`: must the peer be verified?"""

    __slots__ = ("wanted",)

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted


class Secured:
    """What came of StartTls. `binding` is tls-server-end-point (RFC 5929 §4).

    It is a hash, so a function may be given, to be asked when somebody wants it.
    """

    __slots__ = ("_binding", "cipher", "verified", "version")

    def __init__(
        self,
        version: str,
        cipher: str,
        verified: bool,
        binding: bytes | Callable[[], bytes | None] | None,
    ) -> None:
        self.version = version
        self.cipher = cipher
        self.verified = verified
        self._binding = binding

    @property
    def binding(self) -> bytes | None:
        if callable(self._binding):
            self._binding = self._binding()
        return self._binding

    def __str__(self) -> str:
        return f"{self.version} {self.cipher}"


class Broken(Exception):
    """The connection cannot go on.

    `words` complete the sentence "the mailhub …". `late`: a time-out; `answer`: a reply
    that came unasked; `garbled`: the beginning of what was no reply.
    """

    def __init__(
        self,
        words: str,
        *,
        late: bool = False,
        answer: Reply | None = None,
        garbled: bytes = b"",
    ) -> None:
        super().__init__(words)
        self.words = words
        self.late = late
        self.answer = answer
        self.garbled = garbled


class Again(Exception):
    """Nothing was accepted; a new connection with simpler words may do.

    `bare`: without parameters to MAIL and RCPT; `data`: with DATA instead of BDAT.
    """

    def __init__(self, *, bare: bool = False, data: bool = False) -> None:
        super().__init__()
        self.bare = bare
        self.data = data


def commands(head: bytes) -> list[str]:
    """Return command lines as they may be shown."""
    return [escaped(line) for line in head.split(CRLF)[:-1]]
