"""One session as far as it has come: what is known, and the few things one can do.

The parts of the dialogue (`dialogue`, `authenticate`, `transact`) are generators over
this record; it holds what must outlive each of them.
"""

from __future__ import annotations

from ssmtp.smtp import lines, phases
from ssmtp.smtp.reply import forms
from ssmtp.smtp.steps import Await, Broken, Flight

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from ssmtp.envelope import Envelope
    from ssmtp.message import Message
    from ssmtp.smtp.phases import Phase
    from ssmtp.smtp.reply import Reply
    from ssmtp.smtp.sasl import Credentials
    from ssmtp.smtp.steps import Secured, Talk

SECRET_LEAST = 4  # characters; a shorter one would turn every text to dots


class Facts:
    """All that a dialogue needs to know beforehand.

    `tls` is implicit, starttls, opportunistic or none. `private` says that the peer's
    address is this machine, as the configuration names it. `nonce` is fresh, for SCRAM.
    `bare` leaves out all parameters, `data` leaves out BDAT: for a second attempt.
    `handoff` are the private parameters of MAIL that only an agent of ours understands.
    """

    __slots__ = (
        "bare",
        "credentials",
        "data",
        "ehlo",
        "envelope",
        "handoff",
        "hub",
        "message",
        "nonce",
        "private",
        "tls",
    )

    def __init__(
        self,
        hub: str,
        ehlo: str,
        tls: str,
        envelope: Envelope,
        message: Message,
        credentials: Credentials | None = None,
        private: bool = False,
        nonce: str = "",
        bare: bool = False,
        data: bool = False,
        handoff: str | None = None,
    ) -> None:
        self.hub = hub
        self.ehlo = ehlo
        self.tls = tls
        self.envelope = envelope
        self.message = message
        self.credentials = credentials
        self.private = private
        self.nonce = nonce
        self.bare = bare
        self.data = data
        self.handoff = handoff


class Session:
    """The state of a dialogue.

    `stage` decides what a broken connection means: before MAIL it is "session"; then
    "transaction", in which nothing can have been accepted; then "content", once the
    last octet of the content may have left. `polite`: a command can be said now, QUIT
    for one. `hide` are the secrets that were said, which no text of the mailhub may
    bring back to a screen or a log.
    """

    __slots__ = (
        "facts",
        "greeted",
        "hide",
        "mechanism",
        "phase",
        "polite",
        "secured",
        "stage",
    )

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.stage = "session"
        self.phase: Phase = phases.GREETING
        self.greeted = False
        self.polite = False
        self.secured: Secured | None = None
        self.mechanism: str | None = None
        self.hide: tuple[str, ...] = ()

    @property
    def hub(self) -> str:
        """What to call the mailhub in a sentence."""
        return self.facts.hub

    def ask(self, text: str, phase: Phase) -> Generator[Any, Any, Reply]:
        """Say a command and wait for its reply."""
        yield Flight(lines.command(text), phase)
        return (yield from self.reply(phase))

    def reply(self, phase: Phase) -> Generator[Any, Any, Reply]:
        """Wait for the reply that is due."""
        reply: Reply = yield self.due(phase)
        self.greeted = True
        return reply

    def due(self, phase: Phase) -> Await:
        """Return the step that waits for a reply; not for the first of a session."""
        self.phase = phase
        return Await(phase, self.hide)

    def rest(self, count: int) -> Generator[Any, Any, list[Reply]]:
        """Read replies on which nothing depends any more; they may be missing."""
        replies: list[Reply] = []
        try:
            for _ in range(count):
                replies.append((yield Await(phases.REST, self.hide)))
        except Broken:
            pass
        return replies

    def write(self, flight: Flight) -> Generator[Any, Any, bool]:
        """Write content; return whether it was written to its end."""
        self.polite = False
        self.phase = flight.phase
        try:
            whole: bool = yield flight
        finally:
            # From here on the mailhub may have the message.
            if flight.committed:
                self.stage = "content"
        return whole

    def say(self, line: bytes) -> Talk:
        """Say a last word; nothing depends on whether it arrives."""
        self.polite = False
        try:
            yield Flight(line, phases.QUIT)
        except Broken:
            pass

    def leave(self) -> Talk:
        """Say QUIT where a command can be said, and do not wait for the answer."""
        if self.polite:
            yield from self.say(lines.QUIT)

    def keep_hidden(self, secret: str) -> None:
        """Remember a secret that was or will be said, in all its forms."""
        known = {*self.hide, *forms(secret)}
        known = {form for form in known if len(form) >= SECRET_LEAST}
        # Long ones first: the beginning of one may be another.
        self.hide = tuple(sorted(known, key=len, reverse=True))
