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

from ssmtp.conversation import Conversation
from ssmtp.errors import EX_OK, EX_TEMPFAIL, Failure
from ssmtp.options import copied
from ssmtp.signals import Signals
from ssmtp.smtp.paths import from_xtext
from ssmtp.smtp.rules import Rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ssmtp.delivery import Request
    from ssmtp.intake import Intake
    from ssmtp.options import Options
    from ssmtp.receipt import Receipt

    Parameters = dict[str, str | None]
    Submit = Callable[[str, list[str], Parameters, Intake], Receipt]


def serve(request: Request) -> int:
    """Hold the session that `sendmail -bs` was called for; return the exit code."""
    signals = Signals()

    def submit(
        reverse_path: str, recipients: list[str], parameters: Parameters, taken: Intake
    ) -> Receipt:
        from ssmtp import delivery

        options = options_for(request.options, reverse_path, recipients, parameters)
        one = delivery.Request(
            options,
            None,
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


class _Session(Conversation):
    """A session whose messages are submitted by a function."""

    __slots__ = ("settled", "submitting")

    def __init__(
        self,
        rules: Rules,
        submit: Submit,
        stdin: int,
        stdout: int,
        settled: Callable[[], None],
    ) -> None:
        super().__init__(rules, stdin, stdout)
        self.submitting = submit
        self.settled = settled

    def submit(self, taken: Intake) -> str:
        transaction = self.session.transaction
        assert transaction is not None
        parameters = dict(transaction.sender.parameters)
        notify = notify_of([path.parameters for path in transaction.recipients])
        if notify:
            parameters["NOTIFY"] = notify
        try:
            receipt = self.submitting(
                transaction.sender.text,
                [path.text for path in transaction.recipients],
                parameters,
                taken,
            )
        except Failure as failure:
            from ssmtp.handoff import Queued

            if isinstance(failure, Queued) and failure.when != "never":
                return f"Ok: {failure.what}"  # else its sender would bring it again
            raise
        name = receipt.queue_id
        words = f"Ok: queued as {name}" if name else "Ok: submitted"
        return f"{words} by {receipt.hub}"

    def answered(self) -> None:
        self.settled()


def notify_of(recipients: list[Parameters]) -> str | None:
    """Unite what the recipients wish; our own client has one wish for all of them."""
    given = [p["NOTIFY"] or "" for p in recipients if "NOTIFY" in p]
    if not given:
        return None
    wishes = {word for text in given for word in text.upper().split(",")}
    if len(given) < len(recipients):
        wishes.add("FAILURE")  # what a recipient without a wish gets
    if wishes != {"NEVER"}:
        wishes.discard("NEVER")
    return ",".join(w for w in ("NEVER", "SUCCESS", "FAILURE", "DELAY") if w in wishes)


def options_for(
    given: Options, reverse_path: str, recipients: list[str], parameters: Parameters
) -> Options:
    """Make the command line that would have sent this one message."""
    return fill(copied(given), reverse_path, recipients, parameters)


def fill(
    options: Options, reverse_path: str, recipients: list[str], parameters: Parameters
) -> Options:
    """Write into options what a session has said about one message."""
    options.mode = "send"
    options.read_recipients = False
    options.recipients = recipients
    options.reverse_path = reverse_path
    options.ignore_dots = True
    options.notify = parameters.get("NOTIFY") or options.notify
    options.ret = (parameters.get("RET") or options.ret or "").upper() or None
    envid = parameters.get("ENVID")
    options.envid = from_xtext(envid) if envid else options.envid
    options.body = (parameters.get("BODY") or options.body or "").upper() or None
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
