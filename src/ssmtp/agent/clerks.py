"""More processes of the acceptor (`forks`): they hold sessions, too.

A clerk sleeps until it is handed a connection, whose session it then holds as the first
process would. That one alone accepts, counts who is connected, and listens to the
sender; what else counts for a user stands in memory that all share (`tally`). Each word
is a packet of JSON:

    first → clerk   {"take": uid}               with the connection
                    {"sender": true}            with a way to tell the sender of mail
                    {"sender": false}           there is none now
                    {"word": ID, "code": …}     the verdict that was asked for
                    {"end": true}               let all sessions come to their end
    clerk → first   {"taken": true}             the connection is mine now
                    {"taken": false}            there was no descriptor left for it
                    {"left": uid}               a session has ended
                    {"renew": true}             the configuration is wrong, look at it
                    {"ask": ID}                 somebody waits for its verdict
                    {"enough": ID}              he waits no more

A clerk whose first process is gone ends as if it was told to. One that dies takes its
sessions with it, and what was acknowledged is in the queue; the others go on. What it
had not taken yet the first process holds itself, which keeps each connection so long.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import sys
import termios
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ssmtp.agent import forks
from ssmtp.agent.hall import SLICE, Hall, word_of
from ssmtp.agent.link import Mouth, Word
from ssmtp.agent.sessions import Sessions, tell
from ssmtp.errors import bug

ALONE = 2  # sessions that the first process holds before it wakes a clerk
DEAF = 1.0  # seconds for which one that hangs may be handed connections
PATIENCE = 10.0  # seconds beyond those that the first process itself waits


class Clerk:
    """A clerk as the first process sees it.

    `held` are the uids of its sessions, `asked` what is waited for in some of them;
    `given` is what it was handed and has not taken yet.
    """

    def __init__(self, pid: int, line: socket.socket) -> None:
        self.pid = pid
        self.line = line
        self.held: list[int] = []
        self.asked: set[str] = set()
        self.given: deque[tuple[socket.socket, int]] = deque()
        self.looked = 0.0  # when it was seen to have taken all that it was handed

    def listens(self) -> bool:
        """Whether it takes what it is handed, as far as was seen a moment ago."""
        now = time.monotonic()
        if now - self.looked >= DEAF:
            unread = fcntl.ioctl(self.line, termios.TIOCOUTQ, bytes(4))
            if int.from_bytes(unread, sys.byteorder):
                return False
            self.looked = now
        return True

    def says(self) -> bool:
        """Whether there is something to be heard, be it that it has ended."""
        poll = select.poll()
        poll.register(self.line, select.POLLIN)
        return bool(poll.poll(0))


class Clerks:
    """All clerks, for the main thread of the first process.

    `hold` holds the session of a connection in this process.
    """

    def __init__(self, hall: Hall, hold: Callable[[socket.socket, int], bool]) -> None:
        self.hall = hall
        self._hold = hold
        self._by_fd: dict[int, Clerk] = {}

    def fork(self, count: int, forget: Callable[[], None]) -> None:
        """Make so many clerks, while there are no threads.

        In each of them `forget` closes what only the first process may have.
        """
        for pid, line in forks.fork(
            count, lambda line: _serve(self.hall, line, forget)
        ):
            self._by_fd[line.fileno()] = Clerk(pid, line)

    @property
    def lines(self) -> list[int]:
        """The descriptors on which clerks are heard."""
        return list(self._by_fd)

    def take(self, sock: socket.socket, uid: int, here: int) -> bool:
        """Hand a connection over, if that is better than to hold it here.

        `here` is the number of sessions that the first process holds.
        """
        if here < ALONE:
            return False
        for clerk in sorted(self._by_fd.values(), key=lambda one: len(one.held)):
            if len(clerk.held) >= here:
                break
            if clerk.listens() and forks.say(clerk.line, {"take": uid}, sock.fileno()):
                clerk.held.append(uid)
                clerk.given.append((sock, uid))
                return True
        return False

    def hear(self, fd: int) -> bool:
        """Hear all that a clerk has to say; False when it has died."""
        clerk = self._by_fd[fd]
        while clerk.says():
            packet, _ = forks.hear(clerk.line)
            if not packet:
                del self._by_fd[fd]
                self._gone(clerk)
                return False
            self._hear(clerk, json.loads(packet))
        return True

    def _hear(self, clerk: Clerk, word: dict[str, Any]) -> None:
        if "taken" in word:
            sock, uid = clerk.given.popleft()
            if word["taken"]:
                sock.close()
            else:
                clerk.held.remove(uid)
                self._hold(sock, uid)
        elif "left" in word:
            clerk.held.remove(word["left"])
            self.hall.leave(word["left"])
        elif "renew" in word:
            self.hall.renew()
        elif "enough" in word:
            clerk.asked.discard(word["enough"])
        else:
            self._ask(clerk, word["ask"])

    def joined(self, sender: socket.socket | None) -> None:
        """Let the clerks tell a sender themselves of what is new."""
        for clerk in list(self._by_fd.values()):
            fds = [] if sender is None else [sender.fileno()]
            forks.say(clerk.line, {"sender": bool(fds)}, *fds)

    def end(self) -> None:
        """Tell all to let their sessions come to an end."""
        for clerk in self._by_fd.values():
            forks.say(clerk.line, {"end": True})
            for sock, _ in clerk.given:
                sock.close()

    def join(self) -> None:
        """Wait until all have ended, and see to it that they do."""
        until = time.monotonic() + self.hall.grace_seconds + 2
        for fd, clerk in self._by_fd.items():
            poll = select.poll()
            poll.register(fd, 0)  # it hangs up; what it says is of no use any more
            if not poll.poll(max(0, int((until - time.monotonic()) * 1000))):
                os.kill(clerk.pid, signal.SIGKILL)
            clerk.line.close()
            os.waitpid(clerk.pid, 0)
        self._by_fd.clear()

    def _ask(self, clerk: Clerk, name: str) -> None:
        clerk.asked.add(name)
        thread = threading.Thread(target=self._answer, args=(clerk, name), daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads
            clerk.asked.discard(name)
            self.hall.link.new(name)
            word = word_of(450, "4.3.0", "too many wait for their mail already")
            forks.say(clerk.line, {"word": name, **word})

    def _answer(self, clerk: Clerk, name: str) -> None:
        word = self.hall.verdict(name, lambda: name not in clerk.asked)
        if name in clerk.asked:
            clerk.asked.discard(name)
            forks.say(clerk.line, {"word": name, **word})

    def _gone(self, clerk: Clerk) -> None:
        clerk.asked.clear()
        for sock, uid in clerk.given:
            clerk.held.remove(uid)
            self._hold(sock, uid)
        for uid in clerk.held:
            self.hall.leave(uid)
        clerk.line.close()
        os.waitpid(clerk.pid, 0)
        self.hall.clerk_died(clerk.pid)
        tell(f"a process of the acceptor ({clerk.pid}) has died; the others go on")


def _serve(hall: Hall, line: socket.socket, forget: Callable[[], None]) -> None:
    """Be a clerk, to the end of this process."""
    try:
        forget()
        office = _Office(hall, line)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: line.shutdown(socket.SHUT_RD))
        office.run()
    except Exception as error:
        tell(bug(error).what)
        raise


class _Office:
    """The inside of a clerk."""

    def __init__(self, hall: Hall, line: socket.socket) -> None:
        self.line = line
        self.mouth = Mouth()
        hall.forked(self.mouth, self._verdict, lambda _: self._say({"renew": True}))
        self.hall = hall
        self.sessions = Sessions(hall, self._left)
        self._heard = threading.Condition()
        self._words: dict[str, Word] = {}
        self._ended = False

    def run(self) -> None:
        """Hold the sessions that are handed over, until the first process says so."""
        while True:
            packet, fds = forks.hear(self.line)
            if not packet:
                self.mouth.attach(None)  # so that the sender finds the next one
                break
            word = json.loads(packet)
            if "end" in word:
                break
            self._hear(word, fds)
        with self._heard:
            self._ended = True
            self._heard.notify_all()
        self.sessions.end()

    def _hear(self, word: dict[str, Any], fds: list[int]) -> None:
        if "take" in word:
            self._say({"taken": bool(fds)})
            if fds:
                self.sessions.begin(socket.socket(fileno=fds[0]), word["take"])
        elif "sender" in word:
            self.mouth.attach(socket.socket(fileno=fds[0]) if fds else None)
        elif "word" in word:
            with self._heard:
                self._words[word.pop("word")] = word
                self._heard.notify_all()

    def _left(self, uid: int) -> None:
        self._say({"left": uid})

    def _verdict(self, name: str, left: Callable[[], bool]) -> Word:
        """Have the first process wait for what the sender says of a message."""
        self._say({"ask": name})
        until = time.monotonic() + self.hall.wait_seconds + PATIENCE
        with self._heard:
            while not (name in self._words or self._ended or left()):
                if time.monotonic() > until:
                    break
                self._heard.wait(SLICE)
            word = self._words.pop(name, None)
        if word is None:
            self._say({"enough": name})
        return word or word_of(450, "4.3.2", "the agent is being restarted")

    def _say(self, word: Word) -> None:
        try:
            self.line.send(json.dumps(word).encode())
        except OSError:
            pass  # the first process is gone, and `run` is told so
