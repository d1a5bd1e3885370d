"""The agent's half with the network and the password: from the queue to the mailhub.

    queue ──due──▶ jobs ──claim──▶ Worker (pool) ──Result──▶ plan ──▶ commits ──▶ queue
                                                                  └─▶ log, XWAIT

What it knows is in the queue; all that is kept in memory may be lost. It learns of new
messages from the acceptor (`link`), and looks through the queue itself when it starts,
when a message falls due, and every now and then.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Generator
from types import FrameType
from typing import Any

from ssmtp import configfile, guard, journal
from ssmtp.agent import aftermath, notices, places
from ssmtp.agent.commits import Commits
from ssmtp.agent.link import Ear
from ssmtp.agent.loop import Idle, Loop, boottime, call
from ssmtp.agent.pool import LEAVE, Pool
from ssmtp.agent.rate import Rate
from ssmtp.config import Config, Mailhub
from ssmtp.errors import EX_OK, Failure, SystemTrouble, bug
from ssmtp.smtp.outcomes import DOUBT, Result
from ssmtp.spool.queue import LONGEST, Claim, Queue
from ssmtp.trace import Trace
from ssmtp.values import mailhub

Talk = Generator[Any, Any, Any]

AT_ONCE = 2000  # ids from one look through the queue
SEEN_MOST = 5000  # ids in memory
SORT_AT_ONCE = 200
LOOK_BELOW = 1000  # no look while there are more
LOOK_EVERY = 30.0  # seconds
GLANCE_EVERY = 1.0  # seconds; whether anything is new, where the acceptor does not say
STATUS_EVERY = 60.0
STOP_SECONDS = 30.0
CONNECT_SECONDS = 5.0
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
    queue.recover()
    sender = Sender(config, queue, Ear(link))
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


class Sender:
    """All that is known of the messages on their way."""

    def __init__(self, config: Config, queue: Queue, ear: Ear) -> None:
        self.config = config
        self.queue = queue
        self.ear = ear
        self.loop = Loop()
        self.commits = Commits()
        self.threads = True  # for the connections; without, the loop drives them
        self.rate = Rate(config.rate_limit)
        self.trace = Trace(journal.dialogue) if config.debug else None
        self.stop_wanted = self.look_wanted = self.stopping = False
        self.seen: set[str] = set()
        self.active: set[str] = set()
        self.begun: set[str] = set()
        self.forced: set[str] = set()
        self.suspect: str | None = None
        self.counts = {"sent": 0, "refused": 0, "deferred": 0, "doubt": 0}
        self.last_sent: int | None = None
        self._stop_by = self._connect_by = 0.0
        self._look_at = self._glance_at = 0.0
        self._looking = self._sorting = False
        self._sorted: set[str] = set()
        self._flush = False
        self._stamp = -1
        self._blocked_until = 0.0
        self._status_at = 0.0
        self._config_stamp = self._stamps()
        self._read_again = False
        self.pools: dict[tuple[str, ...], Pool] = {}
        self.default = self._pool(config.mailhubs)
        self._restore()

    # -- the turns

    def run(self) -> None:
        """Work until told to stop."""
        self.loop.lock.acquire()
        if self.ear.path is not None:
            self.loop.start(self._listen(), self._surprised)
        try:
            while True:
                now = boottime()
                self._signals(now)
                if self._finished():
                    break
                if not self.stopping:
                    self._look(now)
                    self._sort()
                    self._dispatch(now)
                    self._news(now)
                self._write_status(now)
                self.loop.turn(self._until(boottime()))
        finally:
            self.loop.lock.release()
            self.commits.close()
            self.write_status(running=False)
            self.ear.close()

    def _signals(self, now: float) -> None:
        if self.look_wanted:
            self.look_wanted = False
            self._read_again = True
            self.flush()
        if self.stop_wanted and not self.stopping:
            self.stopping = True
            self._stop_by = now + STOP_SECONDS
            self._connect_by = now + CONNECT_SECONDS
            for pool in self.pools.values():
                self.give_back(pool)
                for worker in [*pool.idle]:
                    worker.wake(LEAVE)
        if self.stopping and now >= self._stop_by:
            self._stop_by = now + STOP_SECONDS
            for pool in self.pools.values():
                for worker in [*pool.workers]:
                    worker.interrupt("was left because this program had to end")

    def _finished(self) -> bool:
        """Tell whether nothing is under way any more.

        What is being connected has a little time, so that a refused password is noted.
        """
        if not self.stopping:
            return False
        workers = [w for pool in self.pools.values() for w in pool.workers]
        if boottime() >= self._connect_by:
            workers = [worker for worker in workers if worker.relay is not None]
        return not self.active and not workers

    def _until(self, now: float) -> float:
        """Return when there is something to do without being asked."""
        if self.stopping:
            early = now < self._connect_by
            return self._connect_by if early else self._stop_by
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
        for pool in self.pools.values():
            if pool.jobs or pool.hands:
                pool.dispatch(now)

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
        self.loop.start(self._take(search, wall, limit), self._surprised)

    def _sort(self) -> None:
        """While the usual mailhub is away, find the messages that have another."""
        pool = self.default
        if not pool.site.kind or self._sorting or len(self._sorted) >= len(pool.jobs):
            return
        names = [name for name in pool.jobs if name not in self._sorted][:SORT_AT_ONCE]
        self._sorting = True
        self._sorted.update(names)
        look = call(lambda: [(n, self.queue.look(n)) for n in names])
        self.loop.start(self._sort_out(look), self._surprised)

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
                self._drop(name)
                self._stamp = -1  # it may just be coming in: glance again
            elif self._fits(claim, pool):
                return claim
        return None

    def _fits(self, claim: Claim, pool: Pool) -> bool:
        """Tell whether a message is to be sent here and now; else see to it."""
        entry = claim.entry
        now = time.time()
        if now < entry.next <= now + LONGEST and claim.id not in self.forced:
            claim.show_next()
            claim.release()
            self._drop(claim.id)
            self._plan_look(entry.next)
            return False
        if entry.crashed >= aftermath.CRASHES_MOST:
            self.loop.start(self._quarantine(claim), self._surprised)
            return False
        if not entry.open:
            self.loop.start(self._finish(claim, pool), self._surprised)
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
        self.active.add(claim.id)
        self.forced.discard(claim.id)
        if claim.id == self.suspect:
            self.suspect = None
        if claim.entry.crashed and claim.id not in self.begun:
            self.suspect = claim.id  # the others wait until it is over
            notices.log_crash(claim.entry, self.config)
        if claim.id not in self.begun:
            self.begun.add(claim.id)
            self.rate.take(boottime())
            return True
        return False

    def settle(self, claim: Claim, result: Result, hub: str, seconds: float) -> Talk:
        """Make what became of a message durable, then tell it."""
        entry = claim.entry
        made = aftermath.plan(
            entry, result.outcomes, self.config, time.time(), random.random()
        )
        if any(outcome.state == DOUBT for outcome in result.outcomes):
            # Said before anything can go wrong, for it may arrive twice.
            self._log(claim, result, hub, seconds)
        try:
            if made.sends_all(entry):
                yield self.commits.work(claim.done)
            else:
                config, queue = self.config, self.queue
                yield self.commits.work(
                    lambda: aftermath.carry_out(made, claim, queue, config, hub)
                )
        except Failure as failure:
            self.disk_trouble(failure)
            self._plan_look(time.time() + aftermath.SOON)
        except Exception as error:
            self.stumbled_over(error)
        else:
            if entry.open and not made.sends_all(entry):
                self._plan_look(made.next_try)
            if made.reports:
                self._plan_look(time.time())
        self._over(claim.id)
        self._tell(claim, result, made, hub, seconds)

    def give_back(self, pool: Pool) -> None:
        """Give back what waits for another connection, for there will be none soon."""
        while pool.hands:
            self.loop.start(self.put_back(pool.hands.popleft()), self._surprised)

    def put_back(self, claim: Claim) -> Talk:
        """Give a message back that nothing was found out about."""
        try:
            yield self.commits.work(lambda: claim.settle([], time.time()))
        except Failure as failure:
            self.disk_trouble(failure)
        claim.release()
        self._over(claim.id)
        self._look_at = min(self._look_at, boottime() + 1.0)

    def forget(self, claim: Claim) -> None:
        """Give a message back whose try leaves no word."""
        claim.release()
        self._over(claim.id)
        self._look_at = min(self._look_at, boottime() + 1.0)

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
        self._plan_look(time.time())  # there may be a report
        self._over(claim.id)

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
        self._over(claim.id)

    def _over(self, name: str) -> None:
        self.active.discard(name)
        self.begun.discard(name)
        if self.suspect == name:
            self.suspect = None
        self._drop(name)

    def _drop(self, name: str) -> None:
        self.seen.discard(name)
        self.forced.discard(name)
        self._sorted.discard(name)

    def _plan_look(self, wall: float) -> None:
        """Look through the queue when that time has come."""
        self._look_at = min(self._look_at, boottime() + max(0.0, wall - time.time()))
        self.loop.post(lambda: None)

    def _tell(
        self,
        claim: Claim,
        result: Result,
        made: aftermath.Plan,
        hub: str,
        seconds: float,
    ) -> None:
        """Log what became of a message, and say it to whoever waits."""
        states = [state for _, state, _ in made.records]
        for state in states:
            key = state if state in self.counts else "refused"
            self.counts[key] += 1
        if result.receipt is not None:
            self.last_sent = int(time.time())
        if not any(outcome.state == DOUBT for outcome in result.outcomes):
            self._log(claim, result, hub, seconds)
        if not made.at_once:
            self.ear.done(claim.id, *notices.verdict(made, claim.entry))

    def _log(self, claim: Claim, result: Result, hub: str, seconds: float) -> None:
        notices.log_outcomes(claim.entry, result, hub, seconds, self.config.log_file)

    # -- mailhubs

    def _pool(self, hubs: list[Mailhub]) -> Pool:
        key = tuple(map(str, hubs))
        if key not in self.pools:
            self.pools[key] = Pool(self, hubs)
        return self.pools[key]

    def _own_pool(self, names: list[str]) -> Pool:
        """Return the pool of mailhubs that a message names itself."""
        found = self.pools.get(tuple(names))
        if found is not None:
            return found
        try:
            return self._pool([mailhub(name) for name in names])
        except ValueError:
            self.note(f"{names[0]} is no mailhub; the configured one is used")
            return self.default

    def fresh_config(self) -> Config:
        """Return the configuration, read again if it has changed."""
        stamps = self._stamps()
        changed = stamps != self._config_stamp
        if changed or self._read_again:
            config = configfile.load(self.config.path)
            self._config_stamp, self._read_again = stamps, False
            self.config = config
            self.trace = Trace(journal.dialogue) if config.debug else None
            self.rate = Rate(config.rate_limit)
        if changed:
            # Whoever changed it wants to see whether it works now. Only asking for
            # everything to be tried is not enough: accounts are locked that way.
            for pool in self.pools.values():
                pool.site.refusals.clear()
        return self.config

    def _stamps(self) -> tuple[int, ...]:
        """Return what changes when the configuration or the password file does."""
        found = []
        for path in (self.config.path, self.config.auth_pass_file):
            if path:
                try:
                    found.append(os.stat(path).st_mtime_ns)
                except OSError:
                    found.append(-1)
        return tuple(found)

    # -- trouble, and telling of it

    def note(self, sentence: str, *, bad: bool = False) -> None:
        """Log something that concerns no single message."""
        _log(sentence, bad)

    def disk_trouble(self, failure: Failure) -> None:
        """Stop for a while: it is this machine, not the mail."""
        self._blocked_until = boottime() + DISK_PAUSE
        self.note(failure.sentence(), bad=True)

    def stumbled_over(self, error: BaseException) -> None:
        """Log a mistake of ours; the message counts it as a crash."""
        self.note(bug(error).sentence(), bad=True)

    def _surprised(self, value: object, error: BaseException | None) -> None:
        if error is not None:
            raise error

    def _news(self, now: float) -> None:
        """Write to the administrator about trouble that lasts."""
        for pool in self.pools.values():
            if pool.site.news_due(now, self.config.warning_after):
                pool.site.told = True
                self.changed()
                self.loop.start(self._write_notice(pool), self._surprised)

    def _write_notice(self, pool: Pool) -> Talk:
        config, queue, site = self.config, self.queue, pool.site
        try:
            yield self.commits.work(lambda: notices.write(queue, config, site))
        except Failure as failure:
            self.disk_trouble(failure)
        self._plan_look(time.time())

    def changed(self) -> None:
        """Have site.json written soon."""
        self._status_at = 0.0
        self.loop.post(lambda: None)

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
            record["connections"] = len(pool.workers)
            sites.append(record)
        text = json.dumps(
            {
                "version": 1,
                "time": int(wall),
                "pid": os.getpid(),
                "running": running,
                "ready": len(self.seen) - len(self.active),
                "active": len(self.active),
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
