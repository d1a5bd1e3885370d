"""The connections to one mailhub (and its fallbacks), kept warm, and what they carry.

A `Worker` is one connection: a generator that opens it, takes message after message,
and waits in between until it has been idle for too long. A message that was sent to
everybody has left the queue before the next one of its connection begins. Until that is
durable nobody waits but who is told of it; a power cut sends those again (`commits`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from ssmtp import accounts, submission
from ssmtp.agent import aftermath, cargo
from ssmtp.agent.cargo import Cargo
from ssmtp.agent.loop import READABLE, Elsewhere, Idle, Task, boottime, call
from ssmtp.agent.site import Site
from ssmtp.body import Body
from ssmtp.config import Mailhub
from ssmtp.credentials import from_config
from ssmtp.envelope import Envelope
from ssmtp.errors import Failure, InputRefused, SystemTrouble, bug
from ssmtp.message import Message
from ssmtp.options import Options
from ssmtp.smtp.outcomes import REFUSED, Outcome, Result
from ssmtp.smtp.relay import Glance, Opening, Relay
from ssmtp.smtp.steps import Again, Broken
from ssmtp.spool.queue import Claim
from ssmtp.wire.channel import Channel
from ssmtp.wire.connect import Link

if TYPE_CHECKING:
    from ssmtp.agent.carrier import Carrier

Talk = Generator[Any, Any, Any]

GO_ON, LEAVE = "go on", "leave"
NOBODY = Envelope(None, [])
NEXT_TURN = Elsewhere(lambda resume: resume(None, None))


class Pool:
    """The connections to one mailhub, and the messages that wait for one.

    `jobs` are ids, `hands` are claims that have begun and need another connection.
    """

    def __init__(self, carrier: Carrier, hubs: list[Mailhub]) -> None:
        self.carrier = carrier
        self.hubs = hubs
        self.site = Site(tuple(map(str, hubs)))
        self.jobs: deque[str] = deque()
        self.hands: deque[Claim] = deque()
        self.workers: set[Worker] = set()
        self.idle: list[Worker] = []
        self.leaving: set[Worker] = set()  # because there were too many
        # What this mailhub was found not to take.
        self.careful = self.data = self.bare = False

    @property
    def opening(self) -> int:
        """How many connections are not ready yet."""
        return sum(1 for worker in self.workers if worker.relay is None)

    @property
    def surplus(self) -> int:
        """How many connections there are beyond those that there may be."""
        staying = len(self.workers) - len(self.leaving)
        return staying - self.carrier.most(self)

    def dispatch(self, now: float) -> None:
        """Give the waiting messages to idle connections, or open new ones."""
        wanted = len(self.jobs) + len(self.hands)
        while wanted > 0 and self.idle:
            self.idle.pop().wake(GO_ON)
            wanted -= 1
        opening = self.opening
        wanted -= opening
        ready = len(self.workers) - opening
        most = self.carrier.most(self)
        login = self.carrier.logs_in()
        while wanted > 0 and self.site.may_open(now, ready, opening, most, login=login):
            Worker(self).start()
            opening += 1
            wanted -= 1

    def shrink(self) -> None:
        """Let idle connections end that are too many; others see for themselves."""
        for _ in range(self.surplus):
            if self.idle:
                self.idle[-1].leave()

    def failed(self, failure: Failure) -> None:
        """Note that there is no connection to be had."""
        self.carrier.give_back(self)
        self.carrier.failed(self, failure)

    def judged(self, result: Result) -> None:
        """Note how the mailhub took a message."""
        if result.odd:
            self.careful = True
        if result.busy:
            first = next((o.failure for o in result.outcomes if o.failure), None)
            what = first.what if first is not None else f"{self.hubs[0]} is busy"
            if "@" in what:
                # All users are told this, and it names one, or his message.
                what = f"{self.hubs[0]} takes no message now"
                if first is not None and first.reply is not None:
                    what += f": {first.reply.code} {first.reply.status or ''}".rstrip()
            self.carrier.stumbled(self, what)
        else:
            self.carrier.worked(self)


class Worker:
    """One connection, from its opening to its end."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.carrier = pool.carrier
        self.usual = pool is pool.carrier.default
        self.relay: Relay | None = None
        self.domains: set[str] = set()  # of recipients, where RCPTDOMAINMAX counts
        self.task: Task | None = None

    @property
    def is_left(self) -> bool:
        """Whether it was opened for the usual mailhub, which is another now."""
        return self.usual and self.pool is not self.carrier.default

    def start(self) -> None:
        """Begin to connect."""
        self.pool.workers.add(self)
        self.task = self.carrier.loop.start(self._run(), self._ended)

    def wake(self, word: str) -> None:
        """Let an idle connection go on, or leave."""
        if self.task is not None:
            self.carrier.loop.wake(self.task, word)

    def leave(self) -> None:
        """Let an idle connection end."""
        self.pool.idle.remove(self)
        self.pool.leaving.add(self)
        self.wake(LEAVE)

    def interrupt(self, words: str) -> None:
        """Break off what is being waited for."""
        if self.task is not None:
            self.carrier.loop.interrupt(self.task, Broken(words))

    def _ended(self, value: object, error: BaseException | None) -> None:
        self.pool.workers.discard(self)
        self.pool.leaving.discard(self)
        if self in self.pool.idle:
            self.pool.idle.remove(self)
        if error is not None:
            self.carrier.stumbled_over(error)
        self.carrier.turn_over(self)

    def _failed(self, failure: Failure) -> None:
        """Tell of a trouble with the mailhub, unless nobody needs it any more."""
        if not self.is_left:
            self.pool.failed(failure)

    def _run(self) -> Talk:
        pool = self.pool
        try:
            channel, relay = yield from self._open()
        except Failure as failure:
            self._failed(failure)
            return
        except Broken:
            return  # told to leave
        except Exception as error:
            self._failed(bug(error))
            raise
        try:
            self.relay = relay
            relay.careful = pool.careful
            self.carrier.opened(pool)
            self.carrier.turn_over(self)
            while (yield from self._next(channel, relay)):
                pass
        except Broken:
            pass  # it has ended while it was idle
        finally:
            channel.close()

    def _open(self) -> Talk:
        config = self.carrier.fresh_config()
        if self.usual and self.carrier.logs_in():
            yield from self.carrier.turn(self)
            config = self.carrier.fresh_config()
        if self.is_left:
            raise Broken("is no more the mailhub, and is told no password of another")
        hubs = self.pool.hubs
        credentials = from_config(config, Options("sendmail"), hubs)
        if credentials is not None and config.auth_pass_command:
            yield call(credentials.secret)
        name = accounts.ehlo_name(config)

        def begin(
            attempt: submission.Attempt, link: Link, bare: bool, data: bool
        ) -> Opening:
            return Opening(
                attempt.facts(
                    link,
                    NOBODY,
                    Message([], Body(), "", []),
                    name,
                    credentials,
                    bare=self.pool.bare,
                    data=self.pool.data,
                )
            )

        return (yield from submission.reach(config, hubs, 0, self.carrier.trace, begin))

    def _next(self, channel: Channel, relay: Relay) -> Talk:
        """Take the next message, or wait for one; False when it is time to leave."""
        surplus = self.pool.surplus > 0
        claim = None if surplus else self.carrier.next_claim(self.pool)
        if claim is not None:
            return (yield from self._carry(channel, relay, claim))
        if surplus or self.carrier.stopping:
            self.pool.leaving.add(self)
            yield from channel.converse(relay.farewell())
            return False
        self.pool.idle.append(self)
        until = boottime() + self.carrier.config.idle_timeout
        word = yield Idle(until, channel.fileno())
        if word == GO_ON:
            return True
        if self in self.pool.idle:
            self.pool.idle.remove(self)
        yield from channel.converse(Glance())
        if word == READABLE:
            return True
        yield from channel.converse(relay.farewell())
        return False

    def _carry(self, channel: Channel, relay: Relay, claim: Claim) -> Talk:
        """Submit one message; False when the connection is of no more use."""
        carrier, entry = self.carrier, claim.entry
        limits = relay.offers.limits
        domains = limits.get("RCPTDOMAINMAX", 0)
        numbers = aftermath.turn(
            entry, limits.get("RCPTMAX", 0), domains and domains - len(self.domains)
        )
        told, done = self.domains, relay.done
        if domains:
            told = told.union(aftermath.domain_of(entry, n) for n in numbers)
        begun = boottime()
        load = Cargo(claim)
        try:
            if carrier.begins(claim):
                if carrier.is_enough():
                    yield NEXT_TURN
                claim.begin()
            result = yield from self._submit(
                channel, relay, load, claim, numbers, len(told)
            )
        except Again as again:
            self.pool.data = self.pool.data or again.data
            yield from self._hand_on(claim)
            return False
        except SystemTrouble as failure:
            carrier.disk_trouble(failure)
            yield from carrier.put_back(claim)
            return False
        except Exception as error:
            # After three times it is put aside; until then it may be chance.
            carrier.stumbled_over(error)
            carrier.forget(claim)
            return False
        finally:
            load.close()
            self.pool.bare = self.pool.bare or relay.session.facts.bare
        if relay.done > done:
            self.domains = told
        if result.stale:
            yield from self._hand_on(claim)
            return False
        if result.trouble is not None:
            self._failed(result.trouble)
            yield from carrier.put_back(claim)
            return False
        for outcome in result.outcomes:
            outcome.number = numbers[outcome.number]
        self.pool.judged(result)
        hub, took = relay.session.hub, boottime() - begun
        confirms = "DSN" in relay.offers and not relay.session.facts.bare
        most = relay.offers.size
        yield from carrier.settle(
            claim, result, hub, took, confirms=confirms, size_most=most
        )
        return result.usable

    def _hand_on(self, claim: Claim) -> Talk:
        """Leave a message to another connection, if there is to be one soon."""
        if self.pool.site.kind or self.carrier.stopping or self.is_left:
            yield from self.carrier.put_back(claim)
        else:
            self.pool.hands.append(claim)

    def _submit(
        self,
        channel: Channel,
        relay: Relay,
        load: Cargo,
        claim: Claim,
        numbers: list[int],
        domains: int,
    ) -> Talk:
        try:
            envelope = cargo.envelope(claim.entry, numbers)
        except InputRefused as failure:
            result = Result()
            result.usable = True
            result.outcomes = [
                Outcome(at, REFUSED, failure.what, failure)
                for at in range(len(numbers))
            ]
            return result
        offered = relay.offers.limits
        most = self.carrier.config.messages_per_connection
        most = min(most, offered.get("MAILMAX", most))
        last = relay.done + 1 >= most or self.carrier.stopping
        last = last or domains == offered.get("RCPTDOMAINMAX")
        return (yield from channel.converse(relay.give(envelope, load, last=last)))
