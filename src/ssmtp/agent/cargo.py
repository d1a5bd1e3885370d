"""A queued message as the dialogue wants it: its envelope, and its content to render.

The content lies in the queue as it goes on the wire, for a mailhub with 8BITMIME and
SMTPUTF8. Only for one that lacks what it needs it is taken apart once more, and
rendered as on the direct road.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from ssmtp import address, intake, message
from ssmtp.address import Address
from ssmtp.content import Content
from ssmtp.envelope import Envelope
from ssmtp.errors import InputRefused
from ssmtp.intake import Intake
from ssmtp.message import Message
from ssmtp.spool.queue import Claim, Entry


class Cargo(Message):
    """The message of a claim. `close` it, for it may have a file of its own."""

    __slots__ = ("_claim", "_intake")

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._intake: Intake | None = None
        self.message_id = claim.entry.message_id
        self.notes = []

    @property
    def needs_smtputf8(self) -> bool:
        """Whether a header field holds more than ASCII (RFC 6532)."""
        return self._claim.entry.smtputf8

    def render(self, smtputf8: bool, eightbitmime: bool) -> Content:
        """Return the content for a mailhub with or without these two extensions."""
        entry = self._claim.entry
        if (smtputf8 or not entry.smtputf8) and (eightbitmime or not entry.eightbit):
            return _Stored(self._claim)
        if self._intake is None:
            self._intake = intake.from_blocks(b"", self._claim.blocks())
        restored = message.restore(self._intake)
        return restored.render(smtputf8, eightbitmime)

    def close(self) -> None:
        """Give the disk space back."""
        if self._intake is not None:
            self._intake.body.close()
            self._intake = None


class _Stored(Content):
    """Content as it lies in the queue."""

    __slots__ = ("_claim",)

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        entry = claim.entry
        self.size = entry.octets
        self.eightbit = entry.eightbit

    @property
    def header(self) -> bytes:  # type: ignore[override]
        """The header section, for who watches."""
        return header(self._claim)

    def blocks(self) -> Iterator[bytes]:
        """Yield all of it; may be called again."""
        return self._claim.blocks()


def header(claim: Claim) -> bytes:
    """Return the header section of a queued message with its empty line."""
    found = b""
    for block in claim.blocks():
        found += block
        if len(found) >= claim.entry.header:
            break
    return found[: claim.entry.header]


def envelope(entry: Entry, numbers: list[int]) -> Envelope:
    """Return the envelope for these recipients; raises `InputRefused`."""
    wanted = [entry.recipients[number] for number in numbers]
    made = Envelope(
        mailbox(entry.reverse_path) if entry.reverse_path else None,
        [mailbox(recipient.address) for recipient in wanted],
        ret=entry.ret,
        envid=entry.envid,
        body=entry.body,
    )
    wishes = [(recipient.notify, recipient.orcpt) for recipient in wanted]
    if any(map(any, wishes)):
        made.wishes = wishes
    return made


@lru_cache(1024)
def mailbox(text: str) -> Address:
    """Make an address again from its text; raises `InputRefused`."""
    box = address.parse_one(text, "the envelope")
    if box is None or box.domain is None:
        raise InputRefused("an address of the envelope is none")
    return address.make(box.local, box.domain, "the envelope")
