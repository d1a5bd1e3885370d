"""`ssmtp.send`: the Python API, from within a program that is not ours.

A message takes the same road as one on the standard input of `sendmail`: same
configuration, same identity, same promise. A failure that cost the caller nothing but
an exception would be a lost message, so what could not be sent is kept, and the
exception says where; `keep=False` is for programs that try again by themselves.

A guest leaves its host alone: no signal handler, no descriptor of the process, no limit
and no setting of syslog(3) is touched. Everything here may be called from any thread.
"""

from __future__ import annotations

import functools
import io
import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from email.generator import BytesGenerator
from email.message import Message
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ssmtp import delivery, guard, intake, journal, options
from ssmtp.body import BLOCK
from ssmtp.compose import addresses, compose
from ssmtp.errors import Failure, InputRefused, UsageError
from ssmtp.receipt import Receipt

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from ssmtp.attachment import Attachable, Path
    from ssmtp.compose import Mailboxes

P = ParamSpec("P")
T = TypeVar("T")

guard.guest = journal.guest = True

CONCURRENT = 8  # threads of `send_async`: a mailhub takes no more from one client


def send(
    message: Message | bytes | None = None,
    *,
    to: Mailboxes = None,
    cc: Mailboxes = None,
    bcc: Mailboxes = None,
    from_: Mailboxes = None,
    reply_to: Mailboxes = None,
    subject: str | None = None,
    text: str | bytes | None = None,
    html: str | bytes | None = None,
    attachments: Iterable[Attachable] = (),
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    sender: str | None = None,
    config: Path | None = None,
    keep: bool = True,
) -> Receipt:
    """Send a message, and return once the mailhub has taken it for every recipient.

    It is either put together from the arguments or given as a whole: an `EmailMessage`
    or octets. Then `to`, `cc` and `bcc` are who gets it; without them, those whom its
    header names are. `sender` is the reverse-path, as -f of sendmail. `config` is
    another configuration file. Raises `Failure`, of the class that says why.
    """
    road = _Road(sender, config, keep)
    if message is not None:
        made = (from_, reply_to, subject, text, html)
        if any(one is not None for one in made) or attachments or headers:
            raise TypeError("a message is either given or put together, not both")
        if to is cc is bcc is None:
            return road.take(_blocks(message), None)
        return road.take(_blocks(message), addresses(to=to, cc=cc, bcc=bcc))
    with compose(
        to=to,
        cc=cc,
        bcc=bcc,
        from_=from_,
        reply_to=reply_to,
        subject=subject,
        headers=headers,
        text=text,
        html=html,
        attachments=attachments,
    ) as draft:
        return road.take(draft.blocks(), draft.recipients)


def _awaited(call: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    @functools.wraps(call)
    async def wait(*args: P.args, **given: P.kwargs) -> T:
        import asyncio

        work = functools.partial(call, *args, **given)
        return await asyncio.get_running_loop().run_in_executor(_threads(), work)

    return wait


send_async = _awaited(send)
send_async.__name__ = send_async.__qualname__ = "send_async"
send_async.__doc__ = """Do as `send` does, without blocking the event loop.

    A message whose turn has come goes its way to the end, even if the task that waits
    for it is cancelled; one whose turn has not come is then not sent at all.
    """


@functools.cache
def _threads() -> ThreadPoolExecutor:
    """Return threads of our own: those of the loop resolve its host names as well."""
    # Not sooner: it cannot be imported by a program that is ending.
    from concurrent.futures import ThreadPoolExecutor

    os.register_at_fork(after_in_child=_threads.cache_clear)
    return ThreadPoolExecutor(CONCURRENT, "ssmtp")


class _Road:
    """How a message is sent, whatever it is."""

    def __init__(self, sender: str | None, config: Path | None, keep: bool) -> None:
        self.keep = keep
        self.arguments: list[str] = []
        if config is not None:
            self.arguments += ["-C", os.fspath(os.path.abspath(config))]
        if sender is not None:
            self.arguments += ["-f", sender]

    def take(self, blocks: Iterator[bytes], recipients: list[str] | None) -> Receipt:
        """Read the message, then deliver it; None means those whom its header names."""
        if recipients == []:
            raise UsageError("nobody to send to", "give to, cc or bcc")
        whom = ["-t"] if recipients is None else ["--", *recipients]
        arguments = [*self.arguments, *whom]
        request = delivery.Request(
            options.scan("ssmtp", arguments), None, os.environ, arguments
        )
        handled = sys.exc_info()[1]
        taken = intake.from_blocks(b"", blocks)
        try:
            return delivery.deliver(request, taken, keep=self.keep)
        except Failure as failure:
            interrupt = _interrupt(failure, handled)
            if interrupt is not None:
                raise interrupt from failure
            raise
        finally:
            taken.body.close()


def _interrupt(failure: Failure, handled: BaseException | None) -> BaseException | None:
    """Return the Ctrl-C or SystemExit that a failure comes from: it is the host's.

    What the host was handling when it called has nothing to do with it.
    """
    # A failure may be raised from itself: the causes are no chain with an end.
    wanted: list[BaseException | None] = [failure]
    for error in wanted:
        if error is not None and error is not handled:
            if not isinstance(error, Exception | GeneratorExit):
                return error
            more = (error.__cause__, error.__context__)
            wanted += [one for one in more if one not in wanted]
    return None


def _blocks(message: Message | bytes) -> Iterator[bytes]:
    """Yield a message as it stands, whatever its policy wants done to it."""
    if isinstance(message, Message):
        octets = flat(message)
    elif isinstance(message, bytes):
        octets = message
    else:
        raise TypeError(
            f"a message is an EmailMessage or bytes, not {type(message).__name__}"
        )
    for at in range(0, len(octets), BLOCK):
        yield octets[at : at + BLOCK]


def flat(message: Message) -> bytes:
    """Write a message of the standard library; raises `InputRefused` if it cannot be.

    Its policy decides how its fields are written, but not on line ends, nor on
    "From " lines: those are for mailboxes.
    """
    for name, value in message.raw_items():
        lines = value.splitlines()[1:] if isinstance(value, str) else []
        if any(line[:1] not in (" ", "\t") for line in lines):
            # The library itself writes such a value as two fields.
            raise InputRefused(f"the {name} field holds a line end", "take it out")
    policy = message.policy.clone(linesep="\n", cte_type="8bit")
    out = io.BytesIO()
    try:
        BytesGenerator(out, mangle_from_=False, policy=policy).flatten(message)
    except Exception as error:  # its own, and whatever a broken message leads to
        raise InputRefused(
            f"the message cannot be written: {type(error).__name__}: {error}",
            "correct its header fields",
        ) from error
    return out.getvalue()
