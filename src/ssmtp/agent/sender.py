"""The agent's half with the network and the password: from the queue to the mailhub.

    queue ──due──▶ jobs ──▶ carrier ──▶ over

What it knows is in the queue; all that is kept in memory may be lost. It learns of new
messages from the acceptor (`link`), and looks through the queue itself when it starts,
when a message falls due, and every now and then. How messages are carried is told in
`carrier`; when many wait, other processes carry some of them (`crew`).
"""

from __future__ import annotations

import random
import signal
import time
from types import FrameType
from typing import Any

from ssmtp import configfile, guard, journal
from ssmtp.agent import aftermath, aside, crew, forks, notices, places, unsent
from ssmtp.agent.carrier import NO_TURN, TURN_SECONDS, Carrier, Talk, Verdict
from ssmtp.agent.changes import Changes
from ssmtp.agent.crew import Crew
from ssmtp.agent.link import Ear
from ssmtp.agent.lookout import Lookout
from ssmtp.agent.loop import Idle, boottime
from ssmtp.agent.memory import Memory
from ssmtp.agent.pool import GO_ON, Pool, Worker
from ssmtp.agent.rate import Rate
from ssmtp.config import Config, Mailhub
from ssmtp.errors import EX_OK, Failure, SystemTrouble
from ssmtp.smtp.outcomes import SENT
from ssmtp.smtp.steps import Broken
from ssmtp.spool.queue import Claim, NoSpace, Queue
from ssmtp.values import mailhub

DISK_PAUSE = 60.0
MATE_SECONDS = 3.0  # that a mate has for its end once its connections had to end


def run(config_path: str, spool: str | None, link: str | None) -> int:
    """Send what is and will be queued, until SIGTERM; return the exit code.

    Raises `ConfigError` for a configuration or a queue that cannot be used.
    """
    early = _held()
    guard.hide()
    guard.one_heap()
    journal.lasting = True
    aside.begin()
    config = configfile.load(config_path)
    path = places.spool_path(config, spool)
    queue = Queue.open(
        path,
        make=True,
        least=config.min_free_space,
        tell=lambda sentence: _log(sentence, True),
    )
    lines = crew.fork(config, queue, forks.wanted())
    queue.recover()
    sender = Sender(config, queue, Ear(link), lines)
    with_signals(sender)
    for number in early:
        signal.raise_signal(number)
    sender.run()
    queue.close()
    return EX_OK


def _held() -> list[int]:
    """Keep SIGTERM and SIGHUP until they can be obeyed; return those that came."""
    early: list[int] = []
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: early.append(number))
    return early


def with_signals(sender: Sender) -> None:
    """Let SIGTERM and SIGINT end it, and SIGHUP have it look at everything again."""

    def stop(number: int, frame: FrameType | None) -> None:
        sender.stop_wanted = True

    def look(number: int, frame: FrameType | None) -> None:
        sender.look_wanted = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, look)
    signal.set_wakeup_fd(sender.loop.waker, warn_on_full_buffer=False)


def _log(sentence: str, bad: bool = False) -> None:
    journal.note(sentence, bad=bad)


class Sender(Carrier):
    """All that is known of the messages on their way."""

    def __init__(
        self,
        config: Config,
        queue: Queue,
        ear: Ear,
        lines: list[crew.Line] | None = None,
    ) -> None:
        self.memory = Memory(self)
        super().__init__(config, queue)
        self.lookout = Lookout(self)
        self.ear = ear
        self.crew = Crew(self, lines or [])
        self.rate = Rate(config.rate_limit)
        self.stop_wanted = self.look_wanted = False
        self.suspect: str | None = None
        self.counts = {"sent": 0, "refused": 0, "deferred": 0, "doubt": 0}
        self.last_sent: int | None = None
        self._blocked_until = self._news_from = 0.0
        self.changes = Changes(self)
        self.memory.restore()

    # -- the turns

    def run(self) -> None:
        """Work until told to stop."""
        self.memory.keep(boottime())  # what another run has left is no sign of life
        if self.ear.path is not None:
            self.loop.start(self._listen(), self.surprised)
        self.crew.listen()
        try:
            while True:
                now = boottime()
                self._signals(now)
                if self.finished() and not self.crew.lines:
                    break
                if not self.stopping:
                    self.changes.look(now)
                    self.lookout.look(now)
                    self.lookout.sort()
                    self.crew.share(now)
                    self._dispatch(now)
                    self._news(now)
                self.memory.keep(now)
                self.pause(self._until(boottime()))
        finally:
            self.record()  # before the disk is waited for
            self.commits.close()
            self.record()
            self.memory.write(running=False)
            self.ear.close()

    def _signals(self, now: float) -> None:
        if self.look_wanted:
            self.look_wanted = False
            self._read_again = True
            self.changes.soon()
            self.crew.read_again()
            self.flush()
        if self.stop_wanted and not self.stopping:
            self.stop(now)
            self.crew.dismiss(self._stop_by + MATE_SECONDS)
        self.press(now)
        self.crew.press(now)

    def _until(self, now: float) -> float:
        """Return when there is something to do without being asked."""
        if self.stopping:
            return min(self.until_pressed(now), self.crew.end_by)
        until = self.lookout.until(now)
        for pool in self.pools.values():
            if pool.jobs or pool.hands:
                for at in (
                    pool.site.next_try,
                    now + self.rate.wait(now),
                    self._blocked_until,
                ):
                    if at > now:
                        until = min(until, at)
        return until

    def _dispatch(self, now: float) -> None:
        if now < self._blocked_until or self.rate.wait(now):
            return
        if self.suspect is not None and self.active:
            # Nobody gets another message now, so nobody is to be woken for one.
            if not any(pool.hands for pool in self.pools.values()):
                return
        self.dispatch(now)

    # -- what there is to do

    def _listen(self) -> Talk:
        """Hear what the acceptor says."""
        while not self.stopping:
            for word in self.ear.words():
                self._heard(word)
            yield Idle(boottime() + 1.0, self.ear.fileno())

    def _heard(self, word: dict[str, Any]) -> None:
        name = word.get("new")
        if isinstance(name, str):
            self._nudge()
            self.lookout.add(name)
            if any(pool.site.kind == "auth" for pool in self.pools.values()):
                self.memory.soon(boottime())  # who waits for it hears why it waits
        elif word.get("rescan"):
            self.look()
        elif "flush" in word:
            name = word["flush"]
            if isinstance(name, str):
                self.forced.add(name)
                self._nudge(hard=True)
                self.lookout.add(name)
            elif isinstance(word.get("uid"), int):
                self._nudge(hard=True)
                self.lookout.flush_of(word["uid"])
            else:
                self.flush()

    def flush(self) -> None:
        """Try everything now; AUTH's pause stays."""
        self.lookout.flush()
        self._blocked_until = 0.0
        self._nudge(hard=True)

    def look(self) -> None:
        """Look through the queue now."""
        self.lookout.now()

    def _nudge(self, *, hard: bool = False) -> None:
        now = boottime()
        for pool in self.pools.values():
            pool.site.nudge(now, hard=hard)

    # -- one message

    def next_claim(self, pool: Pool) -> Claim | None:
        """Return the next message for a connection of this pool, if there is one."""
        now = boottime()
        if self.stopping or now < self._blocked_until:
            return None
        if pool.hands:
            return pool.hands.popleft()
        while pool.jobs and not self.rate.wait(now):
            if self.suspect is not None and self.active:
                return None
            name = pool.jobs.popleft()
            try:
                claim = self.queue.claim(name)
            except SystemTrouble as failure:
                pool.jobs.append(name)
                self.disk_trouble(failure)
                return None
            if claim is None:
                self.gone(name)
            elif self._fits(claim, pool):
                return claim
        return None

    def _fits(self, claim: Claim, pool: Pool) -> bool:
        """Tell whether a message is to be sent here and now; else see to it."""
        entry = claim.entry
        if self.is_early(entry):
            if claim.id in self.forced:
                self.lookout.put_off(claim.id, self.wish_pause(entry))
            if aftermath.warning_due(entry, self.config, time.time()):
                self._see_to(unsent.finish(self, claim, pool, warn=True))
                return False
            aftermath.show_next(claim, self.config)
            claim.release()
            self._drop(claim.id)
            self.plan_look(entry.next)
            return False
        if entry.crashed >= aftermath.CRASHES_MOST:
            self._see_to(unsent.quarantine(self, claim))
            return False
        if not entry.open:
            self._see_to(unsent.finish(self, claim, pool))
            return False
        if self.holds(entry):
            self._see_to(unsent.hold(self, claim, pool))
            return False
        if entry.mailhubs:
            own = self.own_pool(entry.mailhubs)
            if own is not pool:
                claim.release()
                own.jobs.append(claim.id)
                return False
        elif pool is not self.default:
            claim.release()
            self.default.jobs.append(claim.id)
            return False
        if entry.crashed and self.active:
            # Perhaps it is what crashed us: nobody else shall be to blame.
            claim.release()
            self.suspect = claim.id
            pool.jobs.appendleft(claim.id)
            return False
        return True

    def _see_to(self, talk: Talk) -> None:
        self.loop.start(talk, self.surprised)

    def begins(self, claim: Claim) -> bool:
        """Note that a message is on its way; True if that is news for its file."""
        if claim.id == self.suspect:
            self.suspect = None
        if claim.entry.crashed and claim.id not in self.begun:
            self.suspect = claim.id  # the others wait until it is over
            if not self.config.hold_in_doubt:  # else it was told before it was held
                unsent.tell_crash(self, claim.entry)
        news = super().begins(claim)
        if news:
            self.rate.take(boottime())
            if self.rate.is_small:
                self.changed()  # before the mailhub hears of it
        return news

    def is_enough(self) -> bool:
        """Tell whether this turn is to end before one more message goes to a mailhub.

        A small limit is kept by every run: what counts is known before.
        """
        return super().is_enough() or self.rate.is_small

    def over(self, name: str, *, look: float = 0.0) -> None:
        """Forget a message, and look through the queue after so many seconds."""
        self.active.discard(name)
        self.begun.discard(name)
        self._drop(name)
        if look:
            self.lookout.soon(look)

    def gone(self, name: str) -> None:
        """Forget a message that somebody else has, or that is gone."""
        self._drop(name)
        self.lookout.again()  # it may just be coming in

    def _drop(self, name: str) -> None:
        self.lookout.drop(name)
        self.forced.discard(name)
        if self.suspect == name:
            self.suspect = None
        self.crew.mine.discard(name)

    def plan_look(self, wall: float) -> None:
        """Look through the queue when that time has come."""
        self.lookout.soon(max(0.0, wall - time.time()))

    def settled(
        self,
        name: str,
        states: dict[str, int],
        verdict: Verdict | None,
    ) -> None:
        """Forget a message; count what its recipients came to, tell the verdict."""
        self.over(name)
        for state, times in states.items():
            self.counts[state if state in self.counts else "refused"] += times
        if SENT in states:
            self.last_sent = int(time.time())
        if verdict is not None:
            self.ear.done(name, *verdict)

    # -- mailhubs

    def most(self, pool: Pool) -> int:
        """Return how many connections of this pool there may be in this process."""
        lent = self.crew.lent if pool is self.default else 0
        return self.config.connections - lent

    def pool_of(self, hubs: list[Mailhub]) -> Pool:
        """Return the pool of these mailhubs, with what an earlier run knew of them."""
        pool = super().pool_of(hubs)
        self.memory.recall(pool.site)
        return pool

    def own_pool(self, names: list[str]) -> Pool:
        """Return the pool of mailhubs that a message names itself."""
        found = self.pools.get(tuple(names))
        if found is not None:
            return found
        try:
            return self.pool_of([mailhub(name) for name in names])
        except ValueError:
            self.note(f"{names[0]} is no mailhub; the configured one is used")
            return self.default

    def configured(self, changed: bool) -> None:
        """Do what follows from a configuration that was read again."""
        self.rate.change(self.config.rate_limit)
        if changed:
            self.crew.read_again()
            self.changes.follow(boottime())

    def failed(self, pool: Pool, failure: Failure) -> None:
        """Note that there is no connection to be had."""
        if pool.site.failed(boottime(), failure, random.random()):
            self.note(failure.sentence(), bad=True)
        self.changed()

    def opened(self, pool: Pool) -> None:
        """Note that a connection is ready."""
        kind = pool.site.kind
        if pool.site.opened(boottime()):
            self.note(f"{pool.hubs[0]} can be used again ({kind})")
        self.changed()

    def stumbled(self, pool: Pool, what: str) -> None:
        """Note a message that the mailhub would not look at."""
        if pool.site.stumbled(boottime(), what, random.random()):
            self.note(what, bad=True)
            self.changed()

    def worked(self, pool: Pool) -> None:
        """Note that the mailhub judged a message."""
        if pool.site.worked(boottime()):
            self.note(f"{pool.hubs[0]} takes messages again")
            self.changed()

    def turn(self, worker: Worker) -> Talk:
        """Wait until a connection may log in; raise `Broken` if it may not."""
        turnstile = self.crew.turnstile
        turnstile.ask(worker, lambda: worker.wake(GO_ON))
        while not (mine := turnstile.is_turn_of(worker)) and not self.stopping:
            yield Idle(boottime() + TURN_SECONDS)
        if not mine or not worker.pool.site.may_log_in(boottime()):
            raise Broken(NO_TURN)

    def turn_over(self, worker: Worker) -> None:
        """Note that a connection has logged in, or will not do so any more."""
        self.crew.turnstile.over(worker)

    # -- trouble, and telling of it

    def disk_trouble(self, failure: Failure) -> None:
        """Stop for a while: it is this machine, not the mail."""
        self.blocked(failure.sentence())

    def is_blocked(self, now: float) -> bool:
        """Tell whether nothing is to be carried for a while."""
        return now < self._blocked_until

    def blocked(self, sentence: str) -> None:
        """Carry nothing for a while, and log why."""
        self._blocked_until = boottime() + DISK_PAUSE
        self.note(sentence, bad=True)

    def _news(self, now: float) -> None:
        """Write to the administrator about trouble that lasts."""
        if now < self._news_from:
            return
        for pool in self.pools.values():
            if self.is_blocked(now):
                return
            if pool.site.news_due(now, self.config.warning_after):
                pool.site.told = True
                self.changed()
                self.loop.start(self._write_notice(pool), self.surprised)

    def _write_notice(self, pool: Pool) -> Talk:
        config, queue, site = self.config, self.queue, pool.site
        try:
            yield self.commits.work(lambda: notices.write(queue, config, site))
        except NoSpace as failure:
            site.told = False
            self._news_from = boottime() + aftermath.SOON
            self.note(f"the administrator is told later: {failure.what}", bad=True)
        except Failure as failure:
            site.told = False
            self.disk_trouble(failure)
        self.plan_look(time.time())

    def record(self) -> None:
        """Write down what was said of messages since the last time, and tell it."""
        super().record()
        self.ear.say()

    def changed(self) -> None:
        """Have site.json written soon."""
        self.memory.changed()
