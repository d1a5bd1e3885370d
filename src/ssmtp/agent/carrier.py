"""Messages on their way in one process: claimed, carried, and over once it is durable.

    jobs ──claim──▶ Worker (pool) ──Result──▶ plan ──▶ commits ──▶ queue
                                                  └─▶ log, `settled`

The sender does this (`sender`), and so does each process that helps it (`mate`). They
differ in where ids come from, and in who is told what came of them.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Generator
from functools import partial
from typing import Any

from ssmtp import configfile, journal
from ssmtp.agent import aftermath, notices, receipts, schedule
from ssmtp.agent.commits import Commits
from ssmtp.agent.loop import Elsewhere, Loop, boottime
from ssmtp.agent.pool import LEAVE, Pool, Worker
from ssmtp.agent.site import Site
from ssmtp.config import Config, Mailhub
from ssmtp.errors import Failure, bug
from ssmtp.smtp.outcomes import DOUBT, SENT, Result
from ssmtp.spool.queue import LONGEST, Claim, Entry, Queue
from ssmtp.trace import Trace

Talk = Generator[Any, Any, Any]
Verdict = tuple[int, str, str]

STOP_SECONDS = 30.0
CONNECT_SECONDS = 5.0
TURN_SECONDS = 60.0  # between two looks whether it came
BEGUN_MOST = 20  # messages in one turn of the loop, however quick the mailhub is
NO_TURN = "is not to log in now"


class Carrier:
    """What both have; those below have a word of their own for the rest."""

    def __init__(self, config: Config, queue: Queue) -> None:
        self.config = config
        self.queue = queue
        self.loop = Loop()
        self.commits = Commits(queue.queue, self.loop.post)
        self.trace = Trace(journal.dialogue) if config.debug else None
        self.stopping = False
        self.active: set[str] = set()
        self.begun: set[str] = set()
        self.forced: set[str] = set()
        self.told: list[str] = []
        self.pages = journal.Pages()
        self._begun_now = 0
        self._stop_by = self._connect_by = 0.0
        self._config_stamp = self.stamps()
        self._read_again = False
        self.pools: dict[tuple[str, ...], Pool] = {}
        self.default = self.pool_of(config.mailhubs)

    # -- what the sender and its mates do in ways of their own

    def most(self, pool: Pool) -> int:
        """Return how many connections of this pool there may be in this process."""
        raise NotImplementedError

    def next_claim(self, pool: Pool) -> Claim | None:
        """Return the next message for a connection of this pool, if there is one."""
        raise NotImplementedError

    def over(self, name: str, *, look: float = 0.0) -> None:
        """Forget a message, and look through the queue after so many seconds."""
        raise NotImplementedError

    def settled(
        self,
        name: str,
        states: dict[str, int],
        verdict: Verdict | None,
    ) -> None:
        """Forget a message; count how many came to what, tell the verdict."""
        raise NotImplementedError

    def plan_look(self, wall: float) -> None:
        """Look through the queue when that time has come."""
        raise NotImplementedError

    def disk_trouble(self, failure: Failure) -> None:
        """Stop for a while: it is this machine, not the mail."""
        raise NotImplementedError

    def failed(self, pool: Pool, failure: Failure) -> None:
        """Note that there is no connection to be had."""
        raise NotImplementedError

    def opened(self, pool: Pool) -> None:
        """Note that a connection is ready."""
        raise NotImplementedError

    def stumbled(self, pool: Pool, what: str) -> None:
        """Note a message that the mailhub would not look at."""
        raise NotImplementedError

    def worked(self, pool: Pool) -> None:
        """Note that the mailhub judged a message."""
        raise NotImplementedError

    def turn(self, worker: Worker) -> Talk:
        """Wait until a connection may log in; raise `Broken` if it may not."""
        raise NotImplementedError

    def turn_over(self, worker: Worker) -> None:
        """Note that a connection has logged in, or will not do so any more."""
        raise NotImplementedError

    # -- one message

    def holds(self, entry: Entry) -> bool:
        """Tell whether a message is to be held: it may have arrived (RFC 1047)."""
        return self.config.hold_in_doubt and entry.in_doubt

    def is_early(self, entry: Entry) -> bool:
        """Tell whether a message is to wait for its time, which nobody cut short."""
        now = time.time()
        if not now < entry.next <= now + LONGEST:
            return False
        return entry.id not in self.forced or self.wish_pause(entry) > 0

    def wish_pause(self, entry: Entry) -> float:
        """Return the seconds until it may be tried because somebody wishes that."""
        return schedule.wish_pause(time.time(), entry.last_try, entry.rounds)

    def begins(self, claim: Claim) -> bool:
        """Note that a message is on its way; True if that is news for its file."""
        self.active.add(claim.id)
        self.forced.discard(claim.id)
        if claim.id in self.begun:
            return False
        self.begun.add(claim.id)
        self._begun_now += 1
        return True

    def is_enough(self) -> bool:
        """Tell whether this turn is to end before one more message goes to a mailhub.

        Then others go on, and what was begun is written down.
        """
        return self._begun_now > BEGUN_MOST

    def settle(
        self,
        claim: Claim,
        result: Result,
        hub: str,
        seconds: float,
        *,
        confirms: bool = True,
        size_most: int = 0,
    ) -> Talk:
        """Make what became of a message durable, then tell it.

        For a message that all have nobody waits, unless the disk is behind.
        `confirms`: the mailhub tells of a delivery who wishes that. `size_most` is how
        many octets it takes, 0 if it did not say.
        """
        entry, config, queue = claim.entry, self.config, self.queue
        now, chance = time.time(), random.random()
        made = aftermath.plan(
            entry, result.outcomes, config, now, chance, confirms=confirms
        )
        made.size_most = size_most
        doubt = any(outcome.state == DOUBT for outcome in result.outcomes)
        all_sent = made.sends_all(entry)
        if all_sent:
            request = self.commits.done(claim)
        else:
            request = self.commits.work(
                lambda: aftermath.carry_out(made, claim, queue, config, hub)
            )
        # What may arrive twice is said before anything can go wrong, and what has left
        # the queue at once: no other run of this program can tell of it.
        early = doubt or all_sent
        if early:
            self._log(entry, result, made, hub, seconds, all_sent=all_sent)
        rest = self._conclude(request, entry, made, all_sent=all_sent)
        if all_sent and not self.commits.is_behind:
            self.loop.start(rest, partial(self._concluded, entry.id))
            return
        yield from rest
        if not early:
            self._log(entry, result, made, hub, seconds, all_sent=all_sent)

    def _concluded(self, name: str, value: object, error: BaseException | None) -> None:
        if error is not None:
            self.stumbled_over(error)
            self.over(name)

    def _conclude(
        self, request: Elsewhere, entry: Entry, made: aftermath.Plan, *, all_sent: bool
    ) -> Talk:
        """Wait until it is durable, and tell who waits what became of a message."""
        try:
            yield request
        except aftermath.Unreported as failure:
            self.note(failure.sentence(), bad=True)
            self.plan_look(entry.next)
        except Failure as failure:
            self.disk_trouble(failure)
            self.plan_look(time.time() + aftermath.SOON)
        except Exception as error:
            self.stumbled_over(error)
        else:
            if made.holds:
                self.note(notices.held(entry), bad=True)
            elif entry.open and not all_sent:
                self.plan_look(made.next_try)
            if made.reports:
                self.plan_look(time.time())
        if any(state == aftermath.EXPIRED for _, state, _ in made.records):
            words = "was given up: it has waited for too long (QueueLifetime)"
            self.note(f"{entry.id} {words}", bad=True)
        states = Counter(
            SENT if state == aftermath.RELAYED else state
            for _, state, _ in made.records
        )
        verdict = None if made.at_once else notices.verdict(made, entry)
        self.settled(entry.id, states, verdict)

    def _log(
        self,
        entry: Entry,
        result: Result,
        made: aftermath.Plan,
        hub: str,
        seconds: float,
        *,
        all_sent: bool,
    ) -> None:
        page: str | journal.Page | None = self.config.log_file
        if all_sent:
            page = self.pages.of(self.config.log_file)
        else:
            self.pages.write()  # what was before stands before
        notices.log_outcomes(entry, result, hub, seconds, page)
        receipt = result.receipt
        self.told += receipts.lines(
            entry,
            made.records,
            mailhub=hub,
            queue_id=receipt.queue_id if receipt is not None else None,
            seconds=seconds,
        )

    def record(self) -> None:
        """Write down what was said of messages since the last time."""
        self.pages.write()
        if self.told:
            told, self.told = self.told, []
            receipts.write(self.queue.path, told)

    def give_back(self, pool: Pool) -> None:
        """Give back what waits for another connection, for there will be none soon."""
        while pool.hands:
            self.loop.start(self.put_back(pool.hands.popleft()), self.surprised)

    def put_back(self, claim: Claim) -> Talk:
        """Give a message back that nothing was found out about."""
        try:
            yield self.commits.work(lambda: claim.settle([], time.time()))
        except Failure as failure:
            self.disk_trouble(failure)
        self.forget(claim)

    def forget(self, claim: Claim) -> None:
        """Give a message back whose try leaves no word."""
        claim.release()
        self.over(claim.id, look=1.0)

    # -- mailhubs

    def pool_of(self, hubs: list[Mailhub]) -> Pool:
        """Return the pool of these mailhubs."""
        key = tuple(map(str, hubs))
        if key not in self.pools:
            self.pools[key] = Pool(self, hubs)
        return self.pools[key]

    def logs_in(self) -> bool:
        """Tell whether connections log in."""
        config = self.config
        return (
            bool(config.auth_user) or (config.auth_method or "").upper() == "EXTERNAL"
        )

    def dispatch(self, now: float) -> None:
        """Let messages that wait have connections."""
        for pool in self.pools.values():
            if pool.jobs or pool.hands:
                pool.dispatch(now)

    def fresh_config(self) -> Config:
        """Return the configuration, read again if it has changed."""
        stamps = self.stamps()
        changed = stamps != self._config_stamp
        if changed or self._read_again:
            config = configfile.load(self.config.path)
            self._config_stamp, self._read_again = stamps, False
            self.config = config
            self.trace = Trace(journal.dialogue) if config.debug else None
            self._follow()
            self.configured(changed)
        return self.config

    def _follow(self) -> None:
        """Let the usual mailhub be that of a configuration that was read again."""
        before, now = self.default, self.pool_of(self.config.mailhubs)
        if now is not before:
            self.default = now
            self.give_back(before)
            now.jobs.extend(before.jobs)
            before.jobs.clear()
            before.site = Site(before.site.mailhubs)

    def configured(self, changed: bool) -> None:
        """Do what follows from a configuration that was read again."""

    def stamps(self) -> tuple[int, ...]:
        """Return what changes when the configuration or the password file does."""
        found = []
        for path in (self.config.path, self.config.auth_pass_file):
            if path:
                try:
                    found.append(os.stat(path).st_mtime_ns)
                except OSError:
                    found.append(-1)
        return tuple(found)

    # -- the turns

    def pause(self, until: float) -> None:
        """Go on with what can go on; wait for that, but not beyond `until` (boottime).

        What was said of messages in the last turn is told before.
        """
        self.record()
        self.commits.go_on()
        self._begun_now = 0
        self.loop.turn(until)

    # -- the end, and trouble

    def stop(self, now: float) -> None:
        """Begin nothing more; what is under way has some time."""
        self.stopping = True
        self._stop_by = now + STOP_SECONDS
        self._connect_by = now + CONNECT_SECONDS
        for pool in self.pools.values():
            self.give_back(pool)
            for worker in [*pool.idle]:
                worker.leave()
            for worker in pool.workers:
                if worker.relay is None:
                    worker.wake(LEAVE)  # it waits for its turn in vain

    def press(self, now: float) -> None:
        """Break off what has had its time since `stop`."""
        if self.stopping and now >= self._stop_by:
            self._stop_by = now + STOP_SECONDS
            for pool in self.pools.values():
                for worker in [*pool.workers]:
                    worker.interrupt("was left because this program had to end")

    def finished(self) -> bool:
        """Tell whether nothing is under way any more.

        What is being connected has a little time, so that a refused password is noted.
        """
        if not self.stopping:
            return False
        workers = [w for pool in self.pools.values() for w in pool.workers]
        if boottime() >= self._connect_by:
            workers = [worker for worker in workers if worker.relay is not None]
        return not self.active and not workers

    def until_pressed(self, now: float) -> float:
        """Return when there is something to do once it is stopping."""
        return self._connect_by if now < self._connect_by else self._stop_by

    def note(self, sentence: str, *, bad: bool = False) -> None:
        """Log something that concerns no single message."""
        journal.note(sentence, bad=bad)

    def stumbled_over(self, error: BaseException) -> None:
        """Log a mistake of ours; the message counts it as a crash."""
        self.note(bug(error).sentence(), bad=True)

    def surprised(self, value: object, error: BaseException | None) -> None:
        """Be told of the end of a conversation that ends with no error."""
        if error is not None:
            raise error
