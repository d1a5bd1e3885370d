"""`sendmail -bs`: an SMTP session on standard input and output.

Symfony Mailer, Laravel and others hand their mail over this way. Each message goes the
same road as one on standard input, and only when the mailhub has taken it does its
sender hear 250. What the mailhub said no to is passed on with its code; trouble at
this end is always 4xx, so that nobody throws a message away because of it.

Standard output carries replies and nothing else, standard error nothing at all: what
went wrong is in the replies, in the log, and in the failed store.
"""

from __future__ import annotations

import os

from ssmtp import address
from ssmtp.errors import (
    EX_CONFIG,
    EX_DATAERR,
    EX_NOPERM,
    EX_NOUSER,
    EX_OK,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
    EX_USAGE,
    Failure,
    InputRefused,
    Interrupted,
)
from ssmtp.signals import Signals
from ssmtp.smtp.events import (
    Abandoned,
    Begin,
    Content,
    End,
    Event,
    Recipient,
    Sender,
)
from ssmtp.smtp.rules import Rules
from ssmtp.smtp.server import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ssmtp.delivery import Request
    from ssmtp.intake import Intake
    from ssmtp.options import Options
    from ssmtp.receipt import Receipt
    from ssmtp.smtp.paths import Path

    Parameters = dict[str, str | None]
    Submit = Callable[[str, list[str], Parameters, Intake], Receipt]

BLOCK = 65536

# What a failure of ours looks like to an SMTP client, when the mailhub's own reply
# is not to be passed on. A client takes 5xx for the message's fault, for ever: only
# what is wrong with the message gets it.
REPLIES: dict[int, tuple[int, str]] = {
    EX_USAGE: (554, "5.5.4"),
    EX_DATAERR: (554, "5.6.0"),
    EX_NOUSER: (550, "5.1.1"),
    EX_UNAVAILABLE: (554, "5.0.0"),
    EX_NOPERM: (454, "4.7.0"),
    EX_CONFIG: (451, "4.3.5"),
}
LATER = (451, "4.3.0")


def serve(request: Request) -> int:
    """Hold the session that `sendmail -bs` was called for; return the exit code."""
    signals = Signals()

    def submit(
        reverse_path: str, recipients: list[str], parameters: Parameters, taken: Intake
    ) -> Receipt:
        from ssmtp import delivery

        options = _options(request.options, reverse_path, recipients, parameters)
        one = delivery.Request(
            options,
            request.caller,
            request.environ,
            arguments(options),
            request.trace,
            signals.hold,
        )
        signals.catch()
        return delivery.deliver(one, taken)

    rules = Rules(
        os.uname().nodename,
        greeting="ESMTP ssmtp",
        lenient=True,
        bare_names=True,
        error_limit=1000,
    )
    return hold(rules, submit, settled=signals.release)


def hold(
    rules: Rules,
    submit: Submit,
    *,
    stdin: int = 0,
    stdout: int = 1,
    settled: Callable[[], None] = lambda: None,
) -> int:
    """Hold a session over two descriptors until QUIT or the end of input.

    `submit` gets reverse-path, recipients, the parameters of MAIL (and NOTIFY, if any
    recipient has it) and the message; it returns a `Receipt` or raises `Failure`.
    `settled` is called after each of its answers was written. Returns 75 if the client
    does not take our replies, else 0.
    """
    try:
        _Session(rules, submit, stdin, stdout, settled).run()
    except OSError:
        return EX_TEMPFAIL
    return EX_OK


class _Session:
    """Moves octets between two descriptors and a `Session`."""

    __slots__ = ("complete", "session", "settled", "stdin", "stdout", "submit")

    def __init__(
        self,
        rules: Rules,
        submit: Submit,
        stdin: int,
        stdout: int,
        settled: Callable[[], None],
    ) -> None:
        self.session = Session(rules)
        self.submit = submit
        self.stdin = stdin
        self.stdout = stdout
        self.settled = settled
        self.complete = False

    def run(self) -> None:
        while (event := self.next_event()) is not None:
            if isinstance(event, Sender):
                self.check(event.path)
            elif isinstance(event, Recipient):
                self.check(event.path, True)
            elif isinstance(event, Begin):
                self.message()
        _write(self.stdout, self.session.output())

    def next_event(self) -> Event | None:
        """Return the next event, reading and writing whenever there is none."""
        while True:
            event = self.session.next_event()
            if event is not None or self.session.closed:
                return event
            _write(self.stdout, self.session.output())
            self.session.receive(_read(self.stdin))

    def check(self, path: Path, recipient: bool = False) -> None:
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

    def message(self) -> None:
        """Take the message that has begun, submit it, and answer."""
        from ssmtp import intake

        self.complete = False
        taken = intake.from_blocks(b"", self.blocks())
        try:
            if self.complete:
                self.answer(taken)
                _write(self.stdout, self.session.output())
                self.settled()
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
        transaction = self.session.transaction
        assert transaction is not None
        _write(self.stdout, self.session.output())
        parameters = dict(transaction.sender.parameters)
        notify = _notify([path.parameters for path in transaction.recipients])
        if notify:
            parameters["NOTIFY"] = notify
        try:
            receipt = self.submit(
                transaction.sender.text,
                [path.text for path in transaction.recipients],
                parameters,
                taken,
            )
        except Failure as failure:
            code, status = reply_code(failure)
            self.session.answer(code, status, reply_text(failure))
            if isinstance(failure, Interrupted):
                self.session.shut_down("interrupted")
        else:
            name = receipt.queue_id
            words = f"Ok: queued as {name}" if name else "Ok: submitted"
            self.session.answer(250, "2.0.0", f"{words} by {receipt.hub}")


def reply_code(failure: Failure) -> tuple[int, str]:
    """Return code and status that say of a failure how long it lasts."""
    reply = failure.reply
    if failure.scope == "site":
        return REPLIES[failure.exit_code] if _is_ours(failure) else LATER
    if reply is not None and 400 <= reply.code < 600 and reply.code != 421:
        return reply.code, reply.status or f"{reply.code // 100}.0.0"
    return REPLIES.get(failure.exit_code, LATER)


def _is_ours(failure: Failure) -> bool:
    return failure.exit_code in (EX_NOPERM, EX_CONFIG)


def reply_text(failure: Failure) -> str:
    """Say in one line what happened, and where the message is kept."""
    text = failure.what
    if failure.reply is None and failure.next_step:
        text += f"; {failure.next_step}"
    if failure.kept_id:
        # What is long is cut at its end, and this is worth more than the rest.
        text = f"{text[:380]} (kept: ssmtpctl queue retry {failure.kept_id})"
    return text


def _notify(recipients: list[Parameters]) -> str | None:
    """Unite what the recipients wish; our own client has one wish for all of them."""
    given = [p["NOTIFY"] or "" for p in recipients if "NOTIFY" in p]
    wishes = {word for text in given for word in text.upper().split(",")}
    if not wishes:
        return None
    if len(given) < len(recipients):
        wishes.add("FAILURE")  # what a recipient without a wish gets
    if wishes != {"NEVER"}:
        wishes.discard("NEVER")
    return ",".join(w for w in ("NEVER", "SUCCESS", "FAILURE", "DELAY") if w in wishes)


def _options(
    given: Options, reverse_path: str, recipients: list[str], parameters: Parameters
) -> Options:
    """Make the command line that would have sent this one message."""
    options = type(given)(given.program)
    for name in given.__slots__:
        setattr(options, name, getattr(given, name))
    options.mode = "send"
    options.read_recipients = False
    options.recipients = recipients
    options.reverse_path = reverse_path
    options.ignore_dots = True
    options.notify = parameters.get("NOTIFY") or given.notify
    options.ret = (parameters.get("RET") or given.ret or "").upper() or None
    envid = parameters.get("ENVID")
    options.envid = from_xtext(envid) if envid else given.envid
    options.body = (parameters.get("BODY") or given.body or "").upper() or None
    return options


def arguments(options: Options) -> list[str]:
    """Write the options as arguments, for the failed store. No secret is among them."""
    words = ["-i", "-f", options.reverse_path or "<>"]
    for letter, value in (
        ("-F", options.full_name),
        ("-N", options.notify),
        ("-R", options.ret),
        ("-V", options.envid),
        ("-B", options.body),
        ("-C", options.config_path),
    ):
        if value is not None:
            words += [letter, value]
    if options.family:
        words.append(f"-{options.family}")
    return [*words, "--", *options.recipients]


def from_xtext(text: str) -> str:
    """Decode xtext (RFC 3461 §4)."""
    first, *escaped = text.split("+")
    return first + "".join(chr(int(part[:2], 16)) + part[2:] for part in escaped)


def _read(fd: int) -> bytes:
    while True:
        try:
            return os.read(fd, BLOCK)
        except BlockingIOError:
            _wait(fd, True)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            _wait(fd, False)


def _wait(fd: int, for_input: bool) -> None:
    """Wait for a descriptor that somebody else has put into non-blocking mode."""
    import select

    poller = select.poll()
    poller.register(fd, select.POLLIN if for_input else select.POLLOUT)
    poller.poll()
