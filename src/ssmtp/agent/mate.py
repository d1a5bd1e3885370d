"""A process that helps the sender: it carries what it is handed, and tells the outcome.

What is said between them stands in `crew`. It has no view of the queue and tries no
mailhub on its own: the first trouble goes to the sender, with all that has not begun.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import socket
from typing import Any

from ssmtp import journal
from ssmtp.agent.carrier import NO_TURN, TURN_SECONDS, Carrier, Talk, Verdict
from ssmtp.agent.link import Word
from ssmtp.agent.loop import LONGEST_WAIT, Idle, boottime
from ssmtp.agent.pool import GO_ON, Pool, Worker
from ssmtp.agent.site import Site, kind_of
from ssmtp.config import Config
from ssmtp.errors import Failure, SystemTrouble, bug
from ssmtp.smtp.steps import Broken
from ssmtp.spool.queue import Claim, Entry, Queue

PACKET_MOST = 1 << 18  # octets
OVER_MOST = 8  # messages in one packet: what a mailhub says can be long
REPLY_MOST = 2000  # characters of that
REPORT_SECONDS = 0.1  # until what is over is told, if it is few


def serve(line: socket.socket, config: Config, queue: Queue) -> None:
    """Be a mate, to the end of this process."""
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # They are for the sender, which then hangs up.
            signal.signal(number, lambda *_: None)
        packet = line.recv(PACKET_MOST)
        if packet:
            Mate(line, config, queue).run(packet)
    except BaseException as error:
        journal.note(bug(error).sentence(), bad=True)
        raise


class Mate(Carrier):
    """All that one process knows of its messages, and has not told yet."""

    def __init__(self, line: socket.socket, config: Config, queue: Queue) -> None:
        super().__init__(config, queue)
        self._read_again = True  # it may have changed while this process slept
        self._line = line
        self._share = 0
        self._word: Word = {}
        self._told_by = 0.0
        self._told_connections = 0
        self._asks: Worker | None = None  # for a turn; `_may` is the answer
        self._may: bool | None = None

    def run(self, packet: bytes) -> None:
        """Carry messages until the sender hangs up."""
        self._heard(packet)
        self.loop.start(self._listen(), self.surprised)
        try:
            while not self.finished():
                now = boottime()
                self.press(now)
                self.dispatch(now)
                self._report(now)
                self.pause(self._until(now))
        finally:
            self.record()  # before the disk is waited for
        self.commits.close()
        self.record()
        self._report(boottime())

    def _until(self, now: float) -> float:
        until = self.until_pressed(now) if self.stopping else now + LONGEST_WAIT
        return min(until, max(self._told_by, now)) if self._word else until

    # -- the sender

    def _listen(self) -> Talk:
        while not self.stopping:
            yield Idle(boottime() + LONGEST_WAIT, self._line.fileno())
            try:
                self._heard(self._line.recv(PACKET_MOST, socket.MSG_DONTWAIT))
            except BlockingIOError:
                pass
            except OSError:
                self._heard(b"")

    def _heard(self, packet: bytes) -> None:
        word: Word = json.loads(packet) if packet else {}
        pool = self.default
        if not word:
            pool.jobs.clear()
            self.stop(boottime())
        elif "jobs" in word:
            self._share = word["most"]
            pool.jobs.extend(word["jobs"])
            self.forced.update(word["forced"])
            pool.shrink()
            if pool.site.kind or not pool.workers:
                # All is well again, says the sender; one connection shows the way.
                pool.site = Site(pool.site.mailhubs)
        elif "recall" in word:
            pool.jobs.clear()
            self.forced.clear()
            self._word["recalled"] = True
        elif "again" in word:
            self._read_again = True
            with contextlib.suppress(Failure):  # which is told once somebody connects
                self.fresh_config()
        elif "turn" in word and self._asks is not None:
            self._may = word["turn"]
            if not self._may:
                self._give_up()
                self.give_back(pool)
            self._asks.wake(GO_ON)

    def _give_up(self) -> None:
        """Give back what has not begun."""
        jobs = self.default.jobs
        while jobs:
            self._tell("back", jobs.pop())
        self.forced.clear()

    def _tell(self, key: str, value: Any) -> None:
        """Add to a list of what the sender is to hear."""
        self._word.setdefault(key, []).append(value)

    def _is_time_to_tell(self, now: float) -> bool:
        """Tell whether the sender should hear it now; most of it can wait a little."""
        if len(self.default.workers) != self._told_connections:
            return True
        few = self._word.keys() <= {"over", "worked"}
        few = few and len(self._word.get("over", ())) < OVER_MOST
        late = now >= self._told_by or not self.active
        return bool(self._word) and (late or not few)

    def _report(self, now: float) -> None:
        """Tell the sender what there is to tell."""
        if not self._is_time_to_tell(now):
            return
        self._told_by = now + REPORT_SECONDS
        self._told_connections = len(self.default.workers)
        word, self._word = self._word, {}
        over = word.get("over", ())
        facts = {"connections": self._told_connections, "active": len(self.active)}
        for at in range(0, max(len(over), 1), OVER_MOST):
            self._say({**word, **facts, "over": over[at : at + OVER_MOST]})
            word = {}

    def _say(self, word: Word) -> None:
        try:
            self._line.send(json.dumps(word).encode("ascii"), socket.MSG_NOSIGNAL)
        except OSError:
            self._heard(b"")  # nobody is there

    # -- messages

    def most(self, pool: Pool) -> int:
        """Return how many connections this process may have."""
        return self._share

    def next_claim(self, pool: Pool) -> Claim | None:
        """Return the next message for a connection of this pool, if there is one."""
        if self.stopping:
            return None
        if pool.hands:
            return pool.hands.popleft()
        while pool.jobs:
            name = pool.jobs.popleft()
            try:
                claim = self.queue.claim(name)
            except SystemTrouble as failure:
                self._tell("back", name)
                self.disk_trouble(failure)
                return None
            if claim is None:
                self._drop("gone", name)
            elif self._is_ordinary(claim.entry):
                return claim
            else:
                claim.release()
                self._drop("yours", name)
        return None

    def _is_ordinary(self, entry: Entry) -> bool:
        return bool(
            entry.open
            and not entry.crashed
            and not entry.mailhubs
            and not self.holds(entry)
            and not self.is_early(entry)
        )

    def _drop(self, key: str, name: str) -> None:
        self.active.discard(name)
        self.begun.discard(name)
        self.forced.discard(name)
        self._tell(key, name)

    def over(self, name: str, *, look: float = 0.0) -> None:
        """Tell of a message that nothing was found out about."""
        self._drop("left", name)

    def settled(
        self,
        name: str,
        states: dict[str, int],
        verdict: Verdict | None,
    ) -> None:
        """Tell what became of a message."""
        self.active.discard(name)
        self.begun.discard(name)
        if verdict is not None:
            code, status, text = verdict
            verdict = code, status, text[:REPLY_MOST]
        self._tell("over", (name, states, verdict))

    def plan_look(self, wall: float) -> None:
        """Have the sender look through the queue when that time has come."""
        self._word["look"] = min(self._word.get("look", wall), wall)

    # -- trouble, which is the sender's

    def disk_trouble(self, failure: Failure) -> None:
        """Tell of a trouble of this machine."""
        self._tell("disk", failure.sentence())
        self._give_up()

    def failed(self, pool: Pool, failure: Failure) -> None:
        """Tell that there is no connection to be had, and try no more."""
        pool.site.failed(boottime(), failure, random.random())
        kind, code = kind_of(failure), failure.exit_code
        words = (kind, code, failure.what, failure.next_step, failure.sentence())
        self._tell("trouble", words)
        self._give_up()

    def opened(self, pool: Pool) -> None:
        """Note that a connection is ready."""
        pool.site.opened(boottime())

    def stumbled(self, pool: Pool, what: str) -> None:
        """Tell of a message that the mailhub would not look at."""
        self._tell("busy", what)

    def worked(self, pool: Pool) -> None:
        """Tell that the mailhub judges messages."""
        self._word["worked"] = True

    def turn(self, worker: Worker) -> Talk:
        """Wait until a connection may log in; raise `Broken` if it may not."""
        if self._asks is not None:
            raise Broken(NO_TURN)  # begun when there was no login yet
        self._asks, self._may = worker, None
        self._word["turn"] = True
        while self._may is None and not self.stopping:
            yield Idle(boottime() + TURN_SECONDS)
        if not self._may:
            raise Broken(NO_TURN)

    def turn_over(self, worker: Worker) -> None:
        """Note that a connection has logged in, or will not do so any more."""
        if worker is self._asks:
            self._asks = None
            self._word["turn"] = False
