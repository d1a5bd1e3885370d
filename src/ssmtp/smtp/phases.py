"""The phases of a session: what to call each one, and how long its reply may take.

One table for the clock, for error sentences and for `-v`, so that they cannot disagree.
"""

from __future__ import annotations

QUIT_SECONDS = 2.0  # RFC 5321 does not ask for more, and a person is waiting


class Phase:
    """One step of a session.

    `doing` completes "while …" in a sentence. `clock` names the time-out of the reply:
    connect, command, data (the reply to the content) or brief (nobody depends on it).
    """

    __slots__ = ("clock", "doing", "name")

    def __init__(self, name: str, doing: str, clock: str) -> None:
        self.name = name
        self.doing = doing
        self.clock = clock


GREETING = Phase("greeting", "greeting us", "command")
HELLO = Phase("EHLO", "answering EHLO", "command")
STARTTLS = Phase("STARTTLS", "answering STARTTLS", "command")
TLS = Phase("TLS", "setting up TLS", "connect")
AUTH = Phase("AUTH", "checking the credentials", "command")
MAIL = Phase("MAIL", "answering MAIL", "command")
RCPT = Phase("RCPT", "answering RCPT", "command")
DATA = Phase("DATA", "answering DATA", "command")
CONTENT = Phase("content", "answering the message", "data")
REST = Phase("rest", "answering what no longer matters", "brief")
QUIT = Phase("QUIT", "answering QUIT", "brief")

PHASES = (
    GREETING,
    HELLO,
    STARTTLS,
    TLS,
    AUTH,
    MAIL,
    RCPT,
    DATA,
    CONTENT,
    REST,
    QUIT,
)


class Clocks:
    """The time-outs of a session, in seconds; each holds for one reply."""

    __slots__ = ("brief", "command", "connect", "data")

    def __init__(
        self,
        connect: float = 30.0,
        command: float = 300.0,
        data: float = 600.0,
        brief: float = QUIT_SECONDS,
    ) -> None:
        self.connect = connect
        self.command = command
        self.data = data
        self.brief = brief

    def of(self, phase: Phase) -> float:
        """Return how long a reply of this phase may take."""
        seconds: float = getattr(self, phase.clock)
        return seconds
