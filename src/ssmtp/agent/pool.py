"""The connections to one mailhub (and its fallbacks), kept warm, and what they carry.

A `Worker` is one connection: a generator that opens it, takes message after message,
and waits in between until it has been idle for too long. The next message of a
connection waits until the outcome of the one before is durable; so the more
connections, the more share one wait for the disk.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from ssmtp import accounts, submission
from ssmtp.agent import aftermath, cargo
from ssmtp.agent.cargo import Cargo
from ssmtp.agent.loop import READABLE, Driver, Idle, Task, boottime, call
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
    from ssmtp.agent.sender import Sender

Talk = Generator[Any, Any, Any]

GO_ON, LEAVE = "go on", "leave"
NOBODY = Envelope(None, [])


class Pool:
    """The connections to one mailhub, and the messages that wait for one.

    `jobs` are ids, `hands` are claims that have begun and need another connection.
    """

    def __init__(self, sender: Sender, hubs: list[Mailhub]) -> None:
        self.sender = sender
        self.hubs = hubs
        self.site = Site(tuple(map(str, hubs)))
        self.jobs: deque[str] = deque()
        self.hands: deque[Claim] = deque()
        self.workers: set[Worker] = set()
        self.idle: list[Worker] = []
        # What this mailhub was found not to take.
        self.careful = self.data = self.bare = False

    @property
    def opening(self) -> int:
        """How many connections are not ready yet."""
        return sum(1 for worker in self.workers if worker.relay is None)

    def dispatch(self, now: float) -> None:
        """Give the waiting messages to idle connections, or open new ones."""
        wanted = len(self.jobs) + len(self.hands)
        while wanted > 0 and self.idle:
            self.idle.pop().wake(GO_ON)
            wanted -= 1
        opening = self.opening
        wanted -= opening
        ready = len(self.workers) - opening
        most = self.sender.config.connections
        while wanted > 0 and self.site.may_open(now, ready, opening, most):
            Worker(self).start()
            opening += 1
            wanted -= 1

    def failed(self, failure: Failure) -> None:
        """Note that there is no connection to be had."""
        self.sender.give_back(self)
        if self.site.failed(boottime(), failure, random.random()):
            self.sender.note(failure.sentence(), bad=True)
        self.sender.changed()

    def opened(self) -> None:
        """Note that a connection is ready."""
        kind = self.site.kind
        if self.site.opened(boottime()):
            self.sender.note(f"{self.hubs[0]} can be used again ({kind})")
        self.sender.changed()

    def judged(self, result: Result) -> None:
        """Note how the mailhub took a message."""
        if result.odd:
            self.careful = True
        if result.busy:
            first = next((o.failure for o in result.outcomes if o.failure), None)
            what = first.what if first is not None else f"{self.hubs[0]} is busy"
            if self.site.stumbled(boottime(), what, random.random()):
                self.sender.note(what, bad=True)
                self.sender.changed()
        elif self.site.worked(boottime()):
            self.sender.note(f"{self.hubs[0]} takes messages again")
            self.sender.changed()


class Worker:
    """One connection, from its opening to its end."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.sender = pool.sender
        self.relay: Relay | None = None
        self.driver: Driver | None = None
        self.task: Task | None = None

    def start(self) -> None:
        """Begin to connect."""
        self.pool.workers.add(self)
        loop = self.sender.loop
        if self.sender.threads:
            self.driver = Driver(loop, self._run(), self._ended)
        else:
            self.task = loop.start(self._run(), self._ended)

    def wake(self, word: str) -> None:
        """Let an idle connection go on, or leave."""
        if self.driver is not None:
            self.driver.wake(word)
        elif self.task is not None:
            self.sender.loop.wake(self.task, word)

    def interrupt(self, words: str) -> None:
        """Break off what is being waited for."""
        if self.driver is not None:
            self.driver.interrupt(Broken(words))
        elif self.task is not None:
            self.sender.loop.interrupt(self.task, Broken(words))

    def _ended(self, value: object, error: BaseException | None) -> None:
        self.pool.workers.discard(self)
        if self in self.pool.idle:
            self.pool.idle.remove(self)
        if error is not None:
            self.sender.stumbled_over(error)

    def _run(self) -> Talk:
        pool = self.pool
        try:
            channel, relay = yield from self._open()
        except Failure as failure:
            pool.failed(failure)
            return
        except Broken:
            return  # told to leave
        except Exception as error:
            pool.failed(bug(error))
            raise
        try:
            self.relay = relay
            relay.careful = pool.careful
            pool.opened()
            while (yield from self._next(channel, relay)):
                pass
        except Broken:
            pass  # it has ended while it was idle
        finally:
            channel.close()

    def _open(self) -> Talk:
        config = self.sender.fresh_config()
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

        return (yield from submission.reach(config, hubs, 0, self.sender.trace, begin))

    def _next(self, channel: Channel, relay: Relay) -> Talk:
        """Take the next message, or wait for one; False when it is time to leave."""
        claim = self.sender.next_claim(self.pool)
        if claim is not None:
            return (yield from self._carry(channel, relay, claim))
        if self.sender.stopping:
            yield from channel.converse(relay.farewell())
            return False
        self.pool.idle.append(self)
        until = boottime() + self.sender.config.idle_timeout
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
        sender, entry = self.sender, claim.entry
        numbers = aftermath.turn(entry, relay.offers.limits.get("RCPTMAX", 0))
        begun = boottime()
        if sender.begins(claim):
            yield sender.commits.work(claim.begin)
        load = Cargo(claim)
        try:
            result = yield from self._submit(channel, relay, load, claim, numbers)
        except Again as again:
            self.pool.data = self.pool.data or again.data
            self.pool.hands.append(claim)
            return False
        except SystemTrouble as failure:
            sender.disk_trouble(failure)
            yield from sender.put_back(claim)
            return False
        except Exception as error:
            # After three times it is put aside; until then it may be chance.
            sender.stumbled_over(error)
            sender.forget(claim)
            return False
        finally:
            load.close()
            self.pool.bare = self.pool.bare or relay.session.facts.bare
        if result.stale:
            self.pool.hands.append(claim)
            return False
        if result.trouble is not None:
            self.pool.failed(result.trouble)
            yield from sender.put_back(claim)
            return False
        for outcome in result.outcomes:
            outcome.number = numbers[outcome.number]
        self.pool.judged(result)
        hub = relay.session.hub
        yield from sender.settle(claim, result, hub, boottime() - begun)
        return result.usable

    def _submit(
        self,
        channel: Channel,
        relay: Relay,
        load: Cargo,
        claim: Claim,
        numbers: list[int],
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
        limits = [self.sender.config.messages_per_connection]
        if "MAILMAX" in relay.offers.limits:
            limits.append(relay.offers.limits["MAILMAX"])
        last = relay.done + 1 >= min(limits) or self.sender.stopping
        return (yield from channel.converse(relay.give(envelope, load, last=last)))
