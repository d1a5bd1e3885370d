"""One message to one mailhub, now: the dialogue, the wire and the credentials together.

The mailhubs are tried in order, the next one when one cannot be used before MAIL.
Everything is one generator, `attempts`; `submit` drives it for the command line, and
`submit_async` for asyncio.
"""

from __future__ import annotations

import posix
import time

from ssmtp.config import tls_mode
from ssmtp.errors import (
    Bug,
    ConfigError,
    InDoubt,
    InputRefused,
    NetworkTrouble,
    SiteTrouble,
    UnknownHost,
)
from ssmtp.smtp.dialogue import Dialogue
from ssmtp.smtp.phases import Clocks
from ssmtp.smtp.session import Facts
from ssmtp.smtp.steps import Again
from ssmtp.wire import connect
from ssmtp.wire.channel import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from ssl import SSLContext
    from typing import Any

    from ssmtp.config import Config, Mailhub
    from ssmtp.envelope import Envelope
    from ssmtp.errors import Failure
    from ssmtp.message import Message
    from ssmtp.receipt import Receipt
    from ssmtp.smtp.sasl import Credentials
    from ssmtp.smtp.steps import Secured, StartTls
    from ssmtp.trace import Trace
    from ssmtp.wire.connect import Link


def submit(
    message: Message,
    envelope: Envelope,
    config: Config,
    mailhubs: Sequence[Mailhub],
    ehlo_name: str | None,
    family: int = 0,
    credentials: Credentials | None = None,
    trace: Trace | None = None,
) -> Receipt:
    """Submit a message to the first mailhub that can be used; raise `Failure`.

    `family` is 0, 4 or 6; without an `ehlo_name` our address is said. All or nothing:
    either every recipient was accepted, or nobody has the message.
    """
    from ssmtp.wire import blocking

    return blocking.run(
        attempts(
            message, envelope, config, mailhubs, ehlo_name, family, credentials, trace
        )
    )


async def submit_async(
    message: Message,
    envelope: Envelope,
    config: Config,
    mailhubs: Sequence[Mailhub],
    ehlo_name: str | None,
    family: int = 0,
    credentials: Credentials | None = None,
    trace: Trace | None = None,
) -> Receipt:
    """Do as `submit` does, without blocking the event loop."""
    from ssmtp.wire import aio

    return await aio.run(
        attempts(
            message, envelope, config, mailhubs, ehlo_name, family, credentials, trace
        )
    )


def attempts(
    message: Message,
    envelope: Envelope,
    config: Config,
    mailhubs: Sequence[Mailhub],
    ehlo_name: str | None,
    family: int,
    credentials: Credentials | None,
    trace: Trace | None,
) -> Generator[Any, Any, Receipt]:
    """Try the mailhubs in order; the driver does the waiting."""
    begun = time.monotonic()

    def begin(attempt: Attempt, link: Link, bare: bool, data: bool) -> Dialogue:
        return Dialogue(
            attempt.facts(
                link, envelope, message, ehlo_name, credentials, bare=bare, data=data
            )
        )

    receipt: Receipt
    channel, receipt = yield from reach(config, mailhubs, family, trace, begin)
    channel.close_late()
    receipt.seconds = time.monotonic() - begun
    return receipt


def reach(
    config: Config,
    mailhubs: Sequence[Mailhub],
    family: int,
    trace: Trace | None,
    begin: Callable[[Attempt, Link, bool, bool], Dialogue],
) -> Generator[Any, Any, tuple[Channel, Any]]:
    """Connect to the first mailhub that can be used, and have a conversation with it.

    `begin` makes the conversation; its last arguments are those of `Facts`. What it
    ends with is returned, and its channel, which the caller closes.
    """
    failures: list[Failure] = []
    for hub in mailhubs:
        attempt = Attempt(config, hub, family, trace)
        try:
            return (yield from attempt.converse(begin))
        except (SiteTrouble, UnknownHost) as failure:
            # Before MAIL: it says nothing about the message.
            failures.append(failure)
            if failure.reply is not None and failure.reply.code >= 500:
                break  # no "not now", but an answer
            if trace is not None:
                trace.note(failure.what)
    raise _none(failures)


def _none(failures: list[Failure]) -> Failure:
    """Make one failure of those of all mailhubs; what time can cure comes first."""
    if not failures:
        return ConfigError("no mailhub is configured", "set Mailhub")
    chief = next((f for f in failures if isinstance(f, SiteTrouble)), failures[0])
    # A proxy that cannot be reached fails all mailhubs in the same words.
    words = "; and ".join({f.what: None for f in (chief, *failures)})
    if words == chief.what:
        return chief
    failure = type(chief)(words, chief.next_step, reply=chief.reply)
    failure.__cause__ = chief.__cause__
    return failure


class Attempt:
    """All that is tried with one mailhub."""

    __slots__ = ("_contexts", "config", "host", "hub", "mode", "route", "trace")

    def __init__(
        self, config: Config, hub: Mailhub, family: int, trace: Trace | None
    ) -> None:
        self.config = config
        self.hub = hub
        self.trace = trace
        self.host = _ascii(hub)
        self.mode = tls_mode(config, hub)
        self.route = connect.Route(
            hub,
            self.host,
            family,
            config.connect_timeout,
            config.source_address,
            None if hub.path is not None else config.proxy,
        )
        self._contexts: dict[bool, SSLContext] = {}

    def converse(
        self, begin: Callable[[Attempt, Link, bool, bool], Dialogue]
    ) -> Generator[Any, Any, tuple[Channel, Any]]:
        """Connect, and have the conversation that `begin` makes (see `reach`)."""
        meanwhile = self._meanwhile()
        found = yield from connect.addresses(self.route)
        bare = data = False
        silent: NetworkTrouble | None = None
        while True:
            try:
                link = yield from connect.connect(
                    self.route, found, meanwhile, self.trace
                )
            except NetworkTrouble:
                # An address that was reached tells more than the others.
                if silent is not None:
                    raise silent from None
                raise
            channel = Channel(link.sock, self._clocks(), self.trace, link.early)
            if self.mode != "none":
                channel.start = self._starter(link.deadline)
            dialogue = begin(self, link, bare, data)
            through = False
            try:
                outcome = yield from channel.converse(dialogue)
                through = True
                return channel, outcome
            except Again as again:
                if again.bare <= bare and again.data <= data:
                    raise Bug("the same was to be tried again") from again
                bare, data = bare or again.bare, data or again.data
            except InDoubt:
                through = True
                channel.close_late()
                raise
            except NetworkTrouble as trouble:
                # An address that accepts and then says nothing is as good as dead.
                found = [a for a in found if a is not link.address]
                if dialogue.greeted or not found:
                    raise
                silent = silent or trouble
                if self.trace is not None:
                    self.trace.note(trouble.what)
            finally:
                if not through:
                    channel.close()

    def facts(
        self,
        link: Link,
        envelope: Envelope,
        message: Message,
        ehlo_name: str | None,
        credentials: Credentials | None,
        *,
        bare: bool = False,
        data: bool = False,
    ) -> Facts:
        """Return what a dialogue on this connection has to know."""
        return Facts(
            str(self.hub),
            ehlo_name or link.name,
            self.mode,
            envelope,
            message,
            credentials,
            private=link.private,
            nonce=posix.urandom(18).hex(),
            bare=bare,
            data=data,
        )

    def _meanwhile(self) -> Callable[[], None] | None:
        """What can be done while the network is busy: import ssl, read certificates."""
        if self.mode == "none":
            return None
        if self.config.use_tls_cert:
            # What cannot be loaded is a mistake to be told before anybody is bothered.
            self._context(True)
            return None
        if self.mode == "opportunistic":
            return None
        return self._prepare

    def _prepare(self) -> None:
        self._context(True)

    def _context(self, wanted: bool) -> SSLContext:
        if wanted not in self._contexts:
            from ssmtp.wire import tls

            self._contexts[wanted] = tls.context(self.config, wanted)
        return self._contexts[wanted]

    def _starter(self, deadline: float) -> Any:
        """Return what a channel is to do at a StartTls step."""

        def start(channel: Channel, step: StartTls) -> Generator[Any, Any, Secured]:
            from ssmtp.wire import tls

            until = deadline
            if self.mode != "implicit":
                until = time.monotonic() + self.config.connect_timeout
            return tls.start(
                channel,
                self._context(step.wanted),
                self.config,
                str(self.hub),
                self.host,
                step.wanted,
                until,
            )

        return start

    def _clocks(self) -> Clocks:
        config = self.config
        return Clocks(
            config.connect_timeout, config.command_timeout, config.data_timeout
        )


def _ascii(hub: Mailhub) -> str:
    """Return the mailhub's name with A-labels (RFC 5890)."""
    host = hub.host or ""
    if host.isascii():
        return host
    from ssmtp.address import to_ascii

    try:
        return to_ascii(host, "Mailhub")
    except InputRefused as error:
        raise ConfigError(error.what, error.next_step) from error
