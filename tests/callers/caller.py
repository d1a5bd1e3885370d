"""What a caller is: a line of shell that makes a real program call sendmail.

To add one, put a `Caller` into the table where it belongs (`jobs`, `monitors`,
`mailers`, `languages`, `php`, `forwarders`, `shells`, `odd`): a name, a command, and
what has to arrive. So

    Caller("mailx", "mailx -s hello user@example.com", stdin=TEXT, subject="hello")

says: run by the user `you`, this ends with 0 and prints nothing; one message arrives
for user@example.com, from you@example.org, and its text is TEXT to the octet. The same
is tried with an agent, and without the mailhub: then the command ends with another
status, the message is kept, `mailq` lists it, and `sendmail -q` sends it later.

What differs is said by the fields below. The package of the program belongs into the
list in root.sh. `page("NAME")` is the example of docs/callers.md below the comment
`<!-- caller: NAME -->`: what people copy from there is what runs here. To try one:

    tests/callers/root.sh DIRECTORY
    SSMTP_CALLERS=DIRECTORY .venv/bin/python -m pytest tests/callers -k mailx
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

from tests.callers.box import Box
from tests.callers.relay import Mail
from tests.docs import pages

PAGE = pages.ROOT / "docs/callers.md"

PLAIN = f"""\
The first line.

.a dot, and more
..two dots
From here on there is more.
   blanks before and behind   \n\ta tab
{"long " * 180}end
The last line.
"""
TEXT = PLAIN.replace("The last", "Grüße, naïve café ☕\nThe last")
"""Text that a careless program damages; in UTF-8."""

DOTS = TEXT.replace("..two", ".\n..two")
"""With a line that is only a dot, for programs that do not end there themselves."""

HIDDEN = "hidden@example.com"
"""A recipient whose address may be nowhere in the message."""


@dataclass(frozen=True)
class Caller:
    """A program that calls sendmail, and what comes of it."""

    name: str
    command: str
    """A command of the shell, or several."""
    user: str = "you"
    to: tuple[str, ...] = ("user@example.com",)
    """All recipients of the envelope."""
    by: str | None = None
    """Who runs the command; None: the user. A daemon is run by root for a user."""
    sender: str | None = None
    """The sender of the envelope; None: the user's own address."""
    author: str | None = None
    """The field From; None: whatever has a domain."""
    subject: str | None = None
    text: str | None = TEXT
    """The text that arrives; None: `check` looks itself."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Files that the user has, or root if their names begin with /."""
    stdin: str | bytes = ""
    environ: Mapping[str, str] | None = None
    """All of the environment; None: as after a login."""
    count: int = 1
    status: int = 0
    prints: str = ""
    """What the caller itself prints when all is well, as a regular expression."""
    check: Callable[[Box, list[Mail]], None] | None = None
    """More to look at when the mail has arrived."""
    told: str = "status"
    """How it learns that the mail was not sent: it ends with a "status" that is not 0,
    "says: REGEX", "logs: REGEX", or it never asks: "nobody"."""
    agent: bool = False
    """It cannot read the configuration, so that the agent has to send its mail."""
    keeps: int = 1
    """How many messages are kept when the mailhub is away."""

    @property
    def address(self) -> str:
        """The sender that the envelope is to have."""
        return f"{self.user}@example.org" if self.sender is None else self.sender


@cache
def examples() -> dict[str, str]:
    """Return the examples of docs/callers.md by name."""
    return pages.named(PAGE.read_text("utf-8"), "caller")


used: set[str] = set()


def page(name: str) -> str:
    """Return an example of docs/callers.md."""
    used.add(name)
    return examples()[name]


def head(*fields: str, text: str = TEXT) -> str:
    """Return a message with these header fields that says what its text is."""
    mime = ["MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8"]
    return "\n".join([*fields, *mime, "Content-Transfer-Encoding: 8bit", "", text])
