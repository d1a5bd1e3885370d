"""The agent's half with the network and the password: from the queue to the mailhub.

    queue ──due──▶ jobs ──▶ carrier ──▶ over

What it knows is in the queue; all that is kept in memory may be lost. It learns of new
messages from the acceptor (`link`), and looks through the queue itself when it starts,
when a message falls due, and every now and then. How messages are carried is told in
`carrier`; when many wait, other processes carry some of them (`crew`).
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from types import FrameType
from typing import Any

from ssmtp import configfile, guard, journal
from ssmtp.agent import aftermath, crew, forks, notices, places
from ssmtp.agent.carrier import Carrier, Talk, Verdict
from ssmtp.agent.crew import Crew
from ssmtp.agent.link import Ear
from ssmtp.agent.loop import Idle, boottime, call
from ssmtp.agent.pool import Pool
from ssmtp.agent.rate import Rate
from ssmtp.config import Config
from ssmtp.errors import EX_OK, Failure, SystemTrouble
from ssmtp.spool.queue import Claim, Queue
from ssmtp.values import mailhub

AT_ONCE = 2000  # ids from one look through the queue
SEEN_MOST = 5000  # ids in memory
SORT_AT_ONCE = 200
LOOK_BELOW = 1000  # no look while there are more
LOOK_EVERY = 30.0  # seconds
GLANCE_EVERY = 1.0  # seconds; whether anything is new, where the acceptor does not say
STATUS_EVERY = 60.0
DISK_PAUSE = 60.0


def run(config_path: str, spool: str | None, link: str | None) -> int:
    """Send what is and will be queued, until SIGTERM; return the exit code.

    Raises `ConfigError` for a configuration or a queue that cannot be used.
    """
    guard.hide()
    guard.one_heap()
    journal.lasting = True
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
    sender.run()
    queue.close()
    return EX_OK


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
        super().__init__(config, queue)
        self.ear = ear
        self.crew = Crew(self, lines or [])
        self.rate = Rate(config.rate_limit)
        self.stop_wanted = self.look_wanted = False
        self.seen: set[str] = set()
        self.suspect: str | None = None
        self.counts = {"sent": 0, "refused": 0, "deferred": 0, "doubt": 0}
        self.last_sent: int | None = None
        self._look_at = self._glance_at = 0.0
        self._looking = self._sorting = False
        self._sorted: set[str] = set()
        self._flush = False
        self._stamp = -1
        self._blocked_until = 0.0
        self._status_at = 0.0
        self._restore()

    # -- the turns

    def run(self) -> None:
        """Work until told to stop."""
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
                    self._look(now)
                    self._sort()
                    self.crew.share(now)
                    self._dispatch(now)
                    self._news(now)
                self._write_status(now)
                self.loop.turn(self._until(boottime()))
        finally:
            self.commits.close()
            self.write_status(running=False)
            self.ear.close()

    def _signals(self, now: float) -> None:
        if self.look_wanted:
            self.look_wanted = False
            self._read_again = True
            self.crew.read_again()
            self.flush()
        if self.stop_wanted and not self.stopping:
            self.stop(now)
            self.crew.dismiss()
        self.press(now)

    def _until(self, now: float) -> float:
        """Return when there is something to do without being asked."""
        if self.stopping:
            return self.until_pressed(now)
        until = now + (GLANCE_EVERY if self.ear.path is None else LOOK_EVERY)
        if not self._looking and len(self.seen) <= LOOK_BELOW:
            until = min(until, max(self._look_at, now))
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
            self._add(name)
        elif word.get("rescan"):
            self.look()
        elif "flush" in word:
            name = word["flush"]
            if isinstance(name, str):
                self.forced.add(name)
                self._nudge(hard=True)
                self._add(name)
            else:
                self.flush()

    def flush(self) -> None:
        """Try everything now; AUTH's pause stays."""
        self._flush = True
        self._look_at = boottime()
        self._blocked_until = 0.0
        self._nudge(hard=True)

    def look(self) -> None:
        """Look through the queue now."""
        self._look_at = 0.0

    def _nudge(self, *, hard: bool = False) -> None:
        now = boottime()
        for pool in self.pools.values():
            pool.site.nudge(now, hard=hard)

    def _add(self, name: str) -> bool:
        if name in self.seen:
            return True
        if len(self.seen) >= SEEN_MOST:
            self._look_at = min(self._look_at or boottime() + 1.0, boottime() + 1.0)
            return False
        self.seen.add(name)
        self.default.jobs.append(name)
        return True

    def _look(self, now: float) -> None:
        """Look through the queue when it is time for that."""
        most = SEEN_MOST - AT_ONCE if self.default.site.kind else LOOK_BELOW
        if self._looking or len(self.seen) > most:
            return
        if now < self._look_at:
            if self.ear.path is not None or now < self._glance_at:
                return
            # Nobody tells us what is new: the directory does.
            self._glance_at = now + GLANCE_EVERY
            if os.fstat(self.queue.queue.fd).st_mtime_ns == self._stamp:
                return
        self._looking = True
        self._look_at = now + LOOK_EVERY
        self._stamp = os.fstat(self.queue.queue.fd).st_mtime_ns
        limit = AT_ONCE + len(self.seen)
        wall = time.time()
        search = call(lambda: self.queue.due(wall, limit))
        self.loop.start(self._take(search, wall, limit), self.surprised)

    def _sort(self) -> None:
        """While the usual mailhub is away, find the messages that have another."""
        pool = self.default
        if not pool.site.kind or self._sorting or len(self._sorted) >= len(pool.jobs):
            return
        names = [name for name in pool.jobs if name not in self._sorted][:SORT_AT_ONCE]
        self._sorting = True
        self._sorted.update(names)
        look = call(lambda: [(n, self.queue.look(n)) for n in names])
        self.loop.start(self._sort_out(look), self.surprised)

    def _sort_out(self, look: Any) -> Talk:
        try:
            found = yield look
        except SystemTrouble as failure:
            self.disk_trouble(failure)
            return
        finally:
            self._sorting = False
        others = {name: entry for name, entry in found if entry and entry.mailhubs}
        for name, entry in others.items():
            if name in self.default.jobs:
                self.default.jobs.remove(name)
                self._own_pool(entry.mailhubs).jobs.append(name)

    def _take(self, search: Any, wall: float, limit: int) -> Talk:
        try:
            found = yield search
        except SystemTrouble as failure:
            self.disk_trouble(failure)
            return
        finally:
            self._looking = False
        flush, self._flush = self._flush, False
        for when, name in found:
            if when > wall and not flush:
                soon = boottime() + when - wall
                self._look_at = min(self._look_at, soon)
                return
            if flush and when > wall:
                self.forced.add(name)
            self._add(name)
        if len(found) == limit:
            self._flush = flush
            self._look_at = boottime()  # there is more

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
            claim.show_next()
            claim.release()
            self._drop(claim.id)
            self.plan_look(entry.next)
            return False
        if entry.crashed >= aftermath.CRASHES_MOST:
            self.loop.start(self._quarantine(claim), self.surprised)
            return False
        if not entry.open:
            self.loop.start(self._finish(claim, pool), self.surprised)
            return False
        if entry.mailhubs:
            own = self._own_pool(entry.mailhubs)
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

    def begins(self, claim: Claim) -> bool:
        """Note that a message is on its way; True if that is news for its file."""
        if claim.id == self.suspect:
            self.suspect = None
        if claim.entry.crashed and claim.id not in self.begun:
            self.suspect = claim.id  # the others wait until it is over
            notices.log_crash(claim.entry, self.config)
        news = super().begins(claim)
        if news:
            self.rate.take(boottime())
        return news

    def _finish(self, claim: Claim, pool: Pool) -> Talk:
        """End a message that was decided before a crash."""
        self.active.add(claim.id)
        config, queue, hub = self.config, self.queue, str(pool.hubs[0])
        try:
            yield self.commits.work(
                lambda: aftermath.carry_out(aftermath.Plan(), claim, queue, config, hub)
            )
        except Failure as failure:
            self.disk_trouble(failure)
        except Exception as error:
            self.stumbled_over(error)
        self.plan_look(time.time())  # there may be a report
        self.over(claim.id)

    def _quarantine(self, claim: Claim) -> Talk:
        """Put a message aside that was the last thing we did, three times."""
        self.active.add(claim.id)
        tries = claim.entry.crashed
        reason = f"{tries} tries to send it were broken off by a crash of this program"
        try:
            yield self.commits.work(lambda: claim.to_failed(reason))
        except Failure as failure:
            self.disk_trouble(failure)
        self.note(f"{claim.id} was put into failed/: {reason}", bad=True)
        self.ear.done(claim.id, 554, "5.3.0", reason)
        self.over(claim.id)

    def over(self, name: str, *, look: float = 0.0) -> None:
        """Forget a message, and look through the queue after so many seconds."""
        self.active.discard(name)
        self.begun.discard(name)
        if self.suspect == name:
            self.suspect = None
        self._drop(name)
        if look:
            self._look_at = min(self._look_at, boottime() + look)

    def gone(self, name: str) -> None:
        """Forget a message that somebody else has, or that is gone."""
        self._drop(name)
        self._stamp = -1  # it may just be coming in: glance again

    def _drop(self, name: str) -> None:
        self.seen.discard(name)
        self.forced.discard(name)
        self._sorted.discard(name)
        self.crew.mine.discard(name)

    def plan_look(self, wall: float) -> None:
        """Look through the queue when that time has come."""
        self._look_at = min(self._look_at, boottime() + max(0.0, wall - time.time()))

    def settled(
        self, name: str, states: list[str], verdict: Verdict | None, *, accepted: bool
    ) -> None:
        """Forget a message; count what its recipients came to, tell the verdict."""
        self.over(name)
        for state in states:
            self.counts[state if state in self.counts else "refused"] += 1
        if accepted:
            self.last_sent = int(time.time())
        if verdict is not None:
            self.ear.done(name, *verdict)

    # -- mailhubs

    def most(self, pool: Pool) -> int:
        """Return how many connections of this pool there may be in this process."""
        lent = self.crew.lent if pool is self.default else 0
        return self.config.connections - lent

    def _own_pool(self, names: list[str]) -> Pool:
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
        self.rate = Rate(self.config.rate_limit)
        if changed:
            # Whoever changed it wants to see whether it works now. Only asking for
            # everything to be tried is not enough: accounts are locked that way.
            for pool in self.pools.values():
                pool.site.refusals.clear()

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
        for pool in self.pools.values():
            if pool.site.news_due(now, self.config.warning_after):
                pool.site.told = True
                self.changed()
                self.loop.start(self._write_notice(pool), self.surprised)

    def _write_notice(self, pool: Pool) -> Talk:
        config, queue, site = self.config, self.queue, pool.site
        try:
            yield self.commits.work(lambda: notices.write(queue, config, site))
        except Failure as failure:
            self.disk_trouble(failure)
        self.plan_look(time.time())

    def changed(self) -> None:
        """Have site.json written soon."""
        self._status_at = 0.0

    def _write_status(self, now: float) -> None:
        if now >= self._status_at:
            self._status_at = now + STATUS_EVERY
            self.write_status(running=True)

    def write_status(self, *, running: bool) -> None:
        """Write site.json, which tells people and the next run how things are."""
        now, wall = boottime(), time.time()
        sites = []
        for pool in self.pools.values():
            record = pool.site.record(now, wall)
            others = self.crew.connections if pool is self.default else 0
            record["connections"] = len(pool.workers) + others
            sites.append(record)
        active = len(self.active) + self.crew.active
        text = json.dumps(
            {
                "version": 1,
                "time": int(wall),
                "pid": os.getpid(),
                "running": running,
                "ready": len(self.seen) - active,
                "active": active,
                **self.counts,
                "last_sent": self.last_sent,
                "sites": sites,
            },
            indent=1,
        )
        path = os.path.join(self.queue.path, "site.json")
        try:
            fd = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "w") as file:
                file.write(text + "\n")
            os.rename(f"{path}.new", path)
        except OSError:
            pass  # it is told again in a minute

    def _restore(self) -> None:
        """Take over what the run before knew about its mailhubs."""
        try:
            with open(os.path.join(self.queue.path, "site.json"), "rb") as file:
                records = json.load(file)["sites"]
            for record in records:
                pool = self.pools.get(tuple(record["mailhubs"]))
                if pool is not None:
                    pool.site.restore(record, boottime(), time.time())
        except (OSError, ValueError, KeyError, TypeError):
            pass
