"""The sessions that one process of the acceptor holds, most of them in its `lobby`.

A thread looks up who calls, unless that is known, and holds what is not for the lobby.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable

from ssmtp import accounts, journal
from ssmtp.accounts import Caller
from ssmtp.agent import aside
from ssmtp.agent.answers import VERBS
from ssmtp.agent.desk import Desk
from ssmtp.agent.hall import Hall
from ssmtp.agent.lobby import Lobby
from ssmtp.errors import Failure, bug
from ssmtp.smtp.events import Event
from ssmtp.smtp.rules import EXTENSIONS, Rules

STACK = 256 * 1024  # octets, for each connection


class Sessions:
    """Those that are held now; `left` is called with the uid of each that ends."""

    def __init__(self, hall: Hall, left: Callable[[int], None]) -> None:
        self.hall = hall
        self.lobby = Lobby(hall, self._go_on, left, tell)
        self.threads: set[threading.Thread] = set()
        self._left = left
        threading.stack_size(STACK)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.lobby) + len(self.threads)

    def begin(self, sock: socket.socket, uid: int) -> bool:
        """Hold the session of a connection; False, and it is closed, without room."""
        caller = self.hall.caller(uid)
        if caller is not None and self.lobby.enter(sock, self._rules(sock), caller):
            return True
        return self._start(lambda: self._receive(sock, uid), sock, uid)

    def end(self) -> None:
        """Let all come to their end, and wait for that as long as the hall allows."""
        self.hall.close()
        until = time.monotonic() + self.hall.grace_seconds + 1
        self.lobby.join(max(0.0, until - time.monotonic()))
        for thread in list(self.threads):
            thread.join(max(0.0, until - time.monotonic()))

    def _start(
        self,
        hold: Callable[[], bool],
        sock: socket.socket,
        uid: int,
        unsaid: bytes = b"",
    ) -> bool:
        """Have a thread hold a session, unless that says the lobby does."""

        def run() -> None:
            elsewhere = False
            try:
                elsewhere = hold()
            except OSError:
                pass  # the client is gone
            except Exception as error:  # a mistake of ours ends no other session
                tell(bug(error).what)
            finally:
                self.threads.discard(threading.current_thread())
                if not elsewhere:
                    # Before the client sees the end: the next one may be its own.
                    self._left(uid)
                    sock.close()

        thread = threading.Thread(target=run, daemon=True)
        self.threads.add(thread)
        try:
            thread.start()
        except RuntimeError:  # no more threads
            self.threads.discard(thread)
            with sock:
                refuse(sock, "there are too many connections", unsaid)
                self._left(uid)
            return False
        return True

    def _receive(self, sock: socket.socket, uid: int) -> bool:
        try:
            caller = _caller(uid)
        except OSError as error:
            refuse(sock, f"nobody can tell who you are: {error.strerror}")
            return False
        self._remember(caller)
        rules = self._rules(sock)
        if self.lobby.enter(sock, rules, caller):
            return True
        Desk(self.hall, sock, rules, caller).run()
        return False

    def _remember(self, caller: Caller) -> None:
        """Let the lobby know what it asks nobody for."""
        try:
            self.hall.told(caller)
            self.hall.account(caller)
        except Failure:
            pass  # whoever has a message is told

    def _go_on(self, desk: Desk, event: Event | None) -> None:
        """Have a thread go on with a session that the lobby does not hold any more."""

        def hold() -> bool:
            desk.resume(event)
            return False

        self._start(hold, desk.sock, desk.caller.uid, desk.unsaid)

    def _rules(self, sock: socket.socket) -> Rules:
        """Return them as the configuration is, which was just looked at."""
        unix = sock.family == socket.AF_UNIX
        return Rules(
            os.uname().nodename,
            greeting="ESMTP ssmtp",
            extensions=(*EXTENSIONS, "XSUBMIT") if unix else EXTENSIONS,
            size_limit=self.hall.config.max_message_size or 0,
            bare_names=True,
            verbs=VERBS if unix else (),
        )


def _caller(uid: int) -> Caller:
    """Return who calls; raises OSError when that cannot be looked up now."""
    caller = accounts.caller_of(uid)
    if caller.home is None:
        # There is no such user, or no descriptor left to look for him.
        os.close(os.open("/", os.O_RDONLY | os.O_CLOEXEC))
        caller = accounts.caller_of(uid)
    return caller


def refuse(sock: socket.socket, why: str, unsaid: bytes = b"") -> None:
    """Say that there is no session to be had now, behind what was to be said before."""
    words = unsaid + f"421 4.7.0 {why}; try again later\r\n".encode()
    try:
        sock.send(words, socket.MSG_DONTWAIT)
    except OSError:
        pass


def tell(sentence: str) -> None:
    """Say something about the acceptor itself, in the log and where it was started."""
    if journal.note(sentence, bad=True) and journal.otherwise is not None:
        return  # it stands there already
    aside.write(f"ssmtp: {sentence}\n")
