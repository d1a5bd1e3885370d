"""What became of a message that the mailhub took: the other half of `Failure`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssmtp.envelope import Envelope
    from ssmtp.smtp.reply import Reply


class Receipt:
    """The mailhub accepted the message for every recipient.

    `reply` is its answer to the content; `size` counts octets of the content as sent;
    `seconds` is the time from the first connection attempt to that answer. `tls` names
    version and cipher, None in clear; `verified` says whether the certificate was.
    `message_id` and `envelope` are those of the message as it was sent.
    """

    __slots__ = (
        "envelope",
        "hub",
        "mechanism",
        "message_id",
        "queue_id",
        "reply",
        "seconds",
        "size",
        "tls",
        "verified",
    )

    def __init__(
        self,
        hub: str,
        reply: Reply,
        size: int,
        seconds: float = 0.0,
        tls: str | None = None,
        mechanism: str | None = None,
        verified: bool = False,
    ) -> None:
        self.hub = hub
        self.reply = reply
        self.queue_id = queue_id(reply.text)
        self.size = size
        self.seconds = seconds
        self.tls = tls
        self.mechanism = mechanism
        self.verified = verified
        self.message_id = ""
        self.envelope: Envelope | None = None

    @property
    def recipients(self) -> list[str]:
        """The addresses that the message was accepted for."""
        return list(map(str, self.envelope.recipients)) if self.envelope else []

    def __repr__(self) -> str:
        return f"<Receipt {self.hub} {self.reply}>"


def queue_id(text: str) -> str | None:
    """Find the name under which the mailhub keeps the message, if it says so.

    Postfix says "queued as X", Exim "id=X", Sendmail and OpenSMTPD "X Message
    accepted", and Gmail "OK  time X - gsmtp".
    """
    words = text.replace("<", " ").replace(">", " ").split()
    for i, word in enumerate(words):
        if word.lower() == "as" and i and words[i - 1].lower() == "queued":
            return _name(words[i + 1 : i + 2])
        if word.lower().startswith("id="):
            return _name([word[3:]])
        if word.lower() == "message" and words[i + 1 : i + 2] == ["accepted"] and i:
            return _name([words[i - 1]])
        if word == "gsmtp" and i > 1 and words[i - 1] == "-":
            return _name([words[i - 2]])
    return None


def _name(words: list[str]) -> str | None:
    name = words[0].strip(".,;:()[]\"'") if words else ""
    return name if any(c.isdigit() for c in name) and len(name) <= 128 else None
