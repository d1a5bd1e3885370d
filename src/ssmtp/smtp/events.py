"""What happens in a server's session, for the driver to know or to do.

For each message: Sender, Recipient (one or more), Begin, Content*, and End or
Abandoned. The rules for answering are told in `server`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssmtp.smtp.paths import Path


class Event:
    """Something that the driver has to know or to do."""

    __slots__ = ()


class Sender(Event):
    """MAIL: accepted unless refused."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path


class Recipient(Event):
    """RCPT: accepted unless refused."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path


class Begin(Event):
    """The content of a message follows; `session.transaction` is its envelope."""

    __slots__ = ()


class Content(Event):
    """A block of the message, without dot-stuffing, line ends as they came."""

    __slots__ = ("block",)

    def __init__(self, block: bytes) -> None:
        self.block = block


class End(Event):
    """The message is complete: `answer` says what became of it."""

    __slots__ = ()


class Abandoned(Event):
    """The message that was begun will not be completed."""

    __slots__ = ()


class Verb(Event):
    """A command that only this listener knows: `reply` answers it."""

    __slots__ = ("argument", "word")

    def __init__(self, word: str, argument: str) -> None:
        self.word = word
        self.argument = argument


class StartTls(Event):
    """The client wants TLS now."""

    __slots__ = ()


class Transaction:
    """The envelope that MAIL and RCPT have built so far."""

    __slots__ = ("recipients", "sender")

    def __init__(self, sender: Path) -> None:
        self.sender = sender
        self.recipients: list[Path] = []
