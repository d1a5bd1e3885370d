"""The driver of a session on our side of SMTP: octets to and from two descriptors.

`-bs` holds one over standard input and output, the agent one for each connection. What
is to be done with a message, and with senders, recipients and private commands, is for
the subclass to say.
"""

from __future__ import annotations

import os

from ssmtp import address
from ssmtp.errors import Failure, InputRefused, Interrupted
from ssmtp.smtp.events import (
    Abandoned,
    Begin,
    Content,
    End,
    Event,
    Recipient,
    Sender,
    Verb,
)
from ssmtp.smtp.exits import reply_code
from ssmtp.smtp.server import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssmtp.intake import Intake
    from ssmtp.smtp.paths import Path
    from ssmtp.smtp.rules import Rules

BLOCK = 65536


class Conversation:
    """Moves octets between two descriptors and a `Session`."""

    __slots__ = ("complete", "session", "stdin", "stdout")

    def __init__(self, rules: Rules, stdin: int, stdout: int) -> None:
        self.session = Session(rules)
        self.stdin = stdin
        self.stdout = stdout
        self.complete = False

    # What a subclass decides

    def submit(self, taken: Intake) -> str:
        """Do what is to be done with a message; return the words of its acceptance.

        Its envelope is `session.transaction`. Raises `Failure`.
        """
        raise NotImplementedError

    def sender(self, path: Path) -> None:
        """Raise `Failure` if mail from this path is not to be taken now."""

    def verb(self, event: Verb) -> None:
        """Answer a command of `Rules.verbs`."""
        raise NotImplementedError

    def answered(self) -> None:
        """Do what remains to be done once the answer about a message was written."""

    def read(self) -> bytes:
        """Return what came next, nothing at the end."""
        while True:
            try:
                return os.read(self.stdin, BLOCK)
            except BlockingIOError:
                _wait(self.stdin, True)

    def write(self, data: bytes) -> None:
        """Write all of it."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.stdout, view) :]
            except BlockingIOError:
                _wait(self.stdout, False)

    # The session

    def run(self) -> None:
        """Hold the session until QUIT or the end of input; raises OSError."""
        while (event := self.next_event()) is not None:
            self.handle(event)
        self.flush()

    def handle(self, event: Event) -> None:
        """Do what an event between messages asks for."""
        if isinstance(event, Sender):
            self.check_sender(event.path)
        elif isinstance(event, Recipient):
            self.check(event.path, True)
        elif isinstance(event, Begin):
            self.complete = False
            self.message()
        elif isinstance(event, Verb):
            self.verb(event)

    def next_event(self) -> Event | None:
        """Return the next event, reading and writing whenever there is none."""
        session = self.session
        while (event := session.next_event()) is None and not session.closed:
            self.flush()
            session.receive(self.read())
        return event

    def flush(self) -> None:
        """Write what the session has to say."""
        if output := self.session.output():
            self.write(output)

    def check_sender(self, path: Path) -> None:
        """Refuse at once a sender that cannot be, or may not be."""
        if not self.check(path):
            return
        try:
            self.sender(path)
        except Failure as failure:
            self.session.refuse(*reply_code(failure), reply_text(failure))

    def check(self, path: Path, recipient: bool = False) -> bool:
        """Refuse at once what could not be sent later."""
        try:
            boxes = address.parse_argument(path.text)
            for box in boxes:
                if box.domain is not None:
                    address.make(box.local, box.domain, "address")
            if len(boxes) > 1 or (recipient and not boxes):
                raise InputRefused("this is not one address")
        except InputRefused as refused:
            code = "5.1.3" if recipient else "5.1.7"
            self.session.refuse(501, code, refused.what)
            return False
        return True

    def message(self) -> None:
        """Take the message that has begun, submit it, and answer."""
        from ssmtp.intake import from_blocks

        taken = from_blocks(b"", self.blocks())
        try:
            if self.complete:
                self.flush()
                self.answer(taken)
                self.flush()
                self.answered()
        finally:
            taken.body.close()

    def blocks(self) -> Iterator[bytes]:
        """Yield the content as it comes in, until it is complete or abandoned."""
        while (event := self.next_event()) is not None:
            if isinstance(event, Content):
                yield event.block
            else:
                self.complete = isinstance(event, End)
                if isinstance(event, End | Abandoned):
                    return

    def answer(self, taken: Intake) -> None:
        """Submit a message, and say what became of it."""
        try:
            words = self.submit(taken)
        except Failure as failure:
            code, status = reply_code(failure)
            self.session.answer(code, status, reply_text(failure))
            if isinstance(failure, Interrupted):
                self.session.shut_down("interrupted")
        else:
            self.session.answer(250, "2.0.0", words)


def reply_text(failure: Failure) -> str:
    """Say in one line what happened, and where the message is kept."""
    text = failure.what
    if failure.reply is None and failure.next_step:
        text += f"; {failure.next_step}"
    if failure.kept_id:
        # What is long is cut at its end, and this is worth more than the rest.
        text = f"{text[:380]} (kept: ssmtpctl queue retry {failure.kept_id})"
    return text


def _wait(fd: int, for_input: bool) -> None:
    """Wait for a descriptor that somebody else has put into non-blocking mode."""
    import select

    poller = select.poll()
    poller.register(fd, select.POLLIN if for_input else select.POLLOUT)
    poller.poll()
