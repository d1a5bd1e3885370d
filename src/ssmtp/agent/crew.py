"""More processes of the sender (`forks`): they carry messages, too.

A mate (`mate`) sleeps until more messages wait than the connections of the sender can
take at once. Then it is lent some of these, carries messages, and tells what came of
them. The sender alone decides when a mailhub is tried, what is due, how many
connections there are in all. Whatever is not ordinary comes back to it: another
mailhub, a crash, a time that has not come. Each word is a packet of JSON:

    sender → mate   {"jobs": [ID…], "forced": [ID…], "most": connections}
                    {"recall": true}            forget what has not begun, and say so
                    {"again": true}             read the configuration again
                    {"turn": true}              log in now; false: do not (`turnstile`)
    mate → sender   {"over": [[ID, {state: n}, verdict]…], "left": [ID…],
                     "gone": [ID…], "back": [ID…], "yours": [ID…], "look": time,
                     "trouble": [[kind, exit code, what, next step, sentence]…],
                     "busy": [what…], "disk": [sentence…],
                     "worked": true, "recalled": true,
                     "turn": true (it asks for it) or false (it needs it no more),
                     "connections": n, "active": n}

Whose message it is, the lock on its file says and nothing else; so the sender waits for
no mate, and takes messages back without asking. A mate that dies leaves what it had as
any crash does; one that is left alone ends what it has begun. One that hangs is killed
when it was recalled long ago, or the sender has to end.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

from ssmtp.agent import forks, mate
from ssmtp.agent.link import Word
from ssmtp.agent.loop import Idle, boottime
from ssmtp.agent.mate import PACKET_MOST
from ssmtp.agent.turnstile import Turnstile
from ssmtp.config import Config
from ssmtp.spool.queue import Queue

if TYPE_CHECKING:
    from ssmtp.agent.carrier import Talk
    from ssmtp.agent.sender import Sender

BACKLOG = 50  # messages that the sender keeps for itself
BATCH = 256  # messages that a mate has at a time
LEAST = 64  # of which so many must be over before it gets more
HUNG = 300.0  # seconds without an answer, which no mailhub can cause


class Line:
    """A mate as the sender sees it.

    `out` are the ids it has, `share` the connections it may have, `connections` and
    `active` what it said last. While it is `recalled` it has not yet heard of that, and
    it hangs when it has not `until` then (time.monotonic: sleep is nobody's fault).
    """

    def __init__(self, pid: int, sock: socket.socket) -> None:
        self.pid = pid
        self.sock = sock
        self.out: set[str] = set()
        self.share = self.connections = self.active = 0
        self.recalled = False
        self.until = self.turn_until = math.inf

    def hear(self) -> Word | None:
        """Return what was said, None while there is nothing; {} when it has ended."""
        try:
            packet = self.sock.recv(PACKET_MOST, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            # It ended with something unread; what it said before comes behind this.
            packet = self.sock.recv(PACKET_MOST, socket.MSG_DONTWAIT)
        word: Word = json.loads(packet) if packet else {}
        return word


def fork(config: Config, queue: Queue, count: int) -> list[Line]:
    """Make so many mates, while there are no threads."""
    made = forks.fork(count, lambda line: mate.serve(line, config, queue))
    return [Line(pid, line) for pid, line in made]


class Crew:
    """All mates, for the sender; `mine` are messages that none of them can carry.

    `lent` is how many of the connections to the usual mailhub are theirs, `end_by` when
    they must have ended.
    """

    def __init__(self, sender: Sender, lines: list[Line]) -> None:
        self.sender = sender
        self.lines = lines
        self.mine: set[str] = set()
        self.lent = 0
        self.turnstile = Turnstile()
        self.end_by = math.inf

    @property
    def connections(self) -> int:
        """How many connections they have."""
        return sum(line.connections for line in self.lines)

    @property
    def active(self) -> int:
        """How many messages they are sending."""
        return sum(line.active for line in self.lines)

    def listen(self) -> None:
        """Hear what they say from now on."""
        for line in self.lines:
            self.sender.loop.start(self._listen(line), self.sender.surprised)

    def read_again(self) -> None:
        """Have the configuration read again."""
        for line in self.lines:
            forks.say(line.sock, {"again": True})

    def dismiss(self, until: float) -> None:
        """Let them end what they have begun, and then themselves, until that time."""
        self.end_by = until
        for line in self.lines:
            with contextlib.suppress(OSError):
                line.sock.shutdown(socket.SHUT_WR)

    def press(self, now: float) -> None:
        """Kill those that have not answered or not ended in time: they hang."""
        late = now >= self.end_by
        if late:
            self.end_by = math.inf
        for line in self.lines:
            if late or (line.recalled and time.monotonic() >= line.until):
                line.until = math.inf
                os.kill(line.pid, signal.SIGKILL)
            elif time.monotonic() >= line.turn_until:
                line.turn_until = math.inf
                self._recall(line)  # nobody can log in meanwhile: does it hang?

    def share(self, now: float) -> None:
        """Hand messages out, or take them back."""
        if not self.lines:
            return
        pool = self.sender.default
        well = self._is_well(now)
        # Were the password changed, all of them would be refused the old one at once.
        proven = self.connections or pool.site.is_proven(now)
        if well and proven and len(pool.jobs) > BACKLOG:
            if self._lend():
                self._hand_out()
            return
        for line in self.lines:
            if line.out and (not well or (pool.idle and not pool.jobs)):
                self._recall(line)
            if not line.out and not line.connections and not line.recalled:
                line.share = 0
        self._count()

    def _is_well(self, now: float) -> bool:
        """Tell whether nothing asks for the eye of the sender."""
        sender, site = self.sender, self.sender.default.site
        return (
            not site.kind
            and site.last_ok is not None
            and not sender.config.rate_limit
            and sender.suspect is None
            and not sender.is_blocked(now)
        )

    def _lend(self) -> bool:
        """Lend connections; True once there are no more than all may have together."""
        pool = self.sender.default
        share = self.sender.config.connections // (len(self.lines) + 1)
        for line in self.lines:
            line.share = share
        self._count()
        pool.shrink()
        return share > 0 and len(pool.workers) <= self.sender.most(pool)

    def _recall(self, line: Line) -> None:
        """Take back what a mate has; what it has begun is locked."""
        line.recalled = forks.say(line.sock, {"recall": True})
        line.until = time.monotonic() + HUNG
        self._take_back(line)

    def _take_back(self, line: Line) -> None:
        self.sender.default.jobs.extendleft(sorted(line.out, reverse=True))
        line.out.clear()

    def _count(self) -> None:
        self.lent = sum(line.share for line in self.lines)

    def _hand_out(self) -> None:
        jobs, forced = self.sender.default.jobs, self.sender.forced
        fair = math.ceil((len(jobs) - BACKLOG) / len(self.lines))
        for line in self.lines:
            room = min(BATCH - len(line.out), fair, len(jobs) - BACKLOG)
            if line.recalled or len(line.out) > BATCH - LEAST or room <= 0:
                continue
            names = self._pick(room)
            word = {
                "jobs": names,
                "forced": [name for name in names if name in forced],
                "most": line.share,
            }
            if names and forks.say(line.sock, word):
                line.out.update(names)
            else:
                jobs.extendleft(reversed(names))

    def _pick(self, most: int) -> list[str]:
        """Take the oldest messages that wait, as far as anybody may carry them."""
        jobs = self.sender.default.jobs
        names: list[str] = []
        kept: list[str] = []
        while jobs and len(names) < most and len(kept) < BATCH:
            name = jobs.popleft()
            (kept if name in self.mine else names).append(name)
        jobs.extendleft(reversed(kept))
        return names

    # -- what they say

    def _listen(self, line: Line) -> Talk:
        while True:
            yield Idle(boottime() + 3600.0, line.sock.fileno())
            while (word := line.hear()) is not None:
                if not word:
                    self._lost(line)
                    return
                self._heard(line, word)

    def _heard(self, line: Line, word: Word) -> None:
        sender, jobs = self.sender, self.sender.default.jobs
        for name, states, verdict in word.get("over", ()):
            line.out.discard(name)
            sender.settled(name, states, verdict)
        for name in word.get("left", ()):
            line.out.discard(name)
            sender.over(name, look=1.0)
        for name in line.out.intersection(word.get("gone", ())):
            line.out.discard(name)
            sender.gone(name)
        yours = line.out.intersection(word.get("yours", ()))
        self.mine.update(yours)
        back = line.out.intersection(word.get("back", ())) | yours
        line.out -= back
        jobs.extendleft(sorted(back, reverse=True))
        if "look" in word:
            sender.plan_look(word["look"])
        self._troubles(word)
        if line.connections != word["connections"]:
            sender.changed()
        if "turn" in word:
            self._turn(line, wanted=word["turn"])
        line.connections, line.active = word["connections"], word["active"]
        line.recalled = line.recalled and "recalled" not in word

    def _troubles(self, word: dict[str, Any]) -> None:
        """Let all suffer from what one has met with."""
        sender, pool = self.sender, self.sender.default
        if "worked" in word:
            sender.worked(pool)
        for what in word.get("busy", ()):
            sender.stumbled(pool, what)
        for kind, code, what, next_step, sentence in word.get("trouble", ()):
            chance = random.random()
            if pool.site.troubled(boottime(), kind, what, next_step, chance):
                sender.note(sentence, bad=True)
            pool.site.exit_code = code
            sender.give_back(pool)
            sender.changed()
        for sentence in word.get("disk", ()):
            sender.blocked(sentence)

    def _turn(self, line: Line, *, wanted: bool) -> None:
        """Let a mate log in when its turn has come; what it was refused is known."""

        def give() -> None:
            may = self.sender.default.site.may_log_in(boottime())
            if forks.say(line.sock, {"turn": may}) and may:
                line.turn_until = time.monotonic() + HUNG
            else:
                self.turnstile.over(line)

        line.turn_until = math.inf
        self.turnstile.over(line)
        if wanted:
            self.turnstile.ask(line, give)

    def _lost(self, line: Line) -> None:
        """Take over what somebody left who has ended."""
        self.lines.remove(line)
        self._count()
        line.sock.close()
        os.waitpid(line.pid, 0)
        self._take_back(line)
        self.turnstile.over(line)
        self.sender.look()
        if not self.sender.stopping:
            self.sender.note(
                f"a process of the sender ({line.pid}) has died; the others go on",
                bad=True,
            )
