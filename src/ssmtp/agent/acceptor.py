"""The half of the agent that takes messages: many users at its door, no way out.

It has no network and no password, and opens no path that a client names. Most
connections of a process share a thread (`lobby`), the others have their own: nearly all
of their time goes into waiting for a client or for the disk, and messages that come at
the same time share that wait. What goes wrong with a client ends its connection, and
nothing else.

The submit socket may be opened by everybody; who calls is what the kernel says
(SO_PEERCRED). The loopback listener is for programs that speak SMTP and cannot be asked
who they are: all of them write as `ListenIdentity`.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import time
from collections.abc import Iterable

from ssmtp import configfile, guard, journal
from ssmtp.agent import aside, forks, listening, places
from ssmtp.agent.clerks import Clerks
from ssmtp.agent.hall import BUSY, Hall
from ssmtp.agent.link import Switchboard
from ssmtp.agent.sessions import Sessions, refuse, tell
from ssmtp.agent.tally import Tally
from ssmtp.config import Config
from ssmtp.errors import ConfigError, SystemTrouble
from ssmtp.spool.queue import Queue

CREDENTIALS = struct.Struct("iII")  # pid, uid, gid: struct ucred


def run(config_path: str, listen: str | None, spool: str | None) -> int:
    """Accept mail until SIGTERM; return the exit code. Raises `Failure` at the start.

    `listen` is the path of the submit socket, when none was handed over; `spool` that
    of the queue.
    """
    # The configuration is read again when it has changed, unasked.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    guard.hide()
    guard.one_heap()
    journal.lasting = True
    aside.begin()
    acceptor = Acceptor(config_path, listen, spool, clerks=forks.wanted())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: acceptor.stop())
    # Another thread may be the one that is interrupted; then no handler is called.
    signal.set_wakeup_fd(acceptor.bell)
    try:
        acceptor.serve()
    finally:
        signal.set_wakeup_fd(-1)
        acceptor.close()
    return 0


class Acceptor:
    """The listeners and what is behind them."""

    def __init__(
        self,
        config_path: str,
        listen: str | None,
        spool: str | None,
        *,
        clerks: int = 0,
        **seconds: float,
    ) -> None:
        """`clerks` is the number of further processes, for who has no threads yet."""
        config = configfile.load(config_path)
        self._made: list[listening.Listener] = []
        self._listeners: list[socket.socket] = []
        self._wake, self.bell = os.pipe()  # a word in it ends `serve`
        os.set_blocking(self.bell, False)
        place = places.spool_path(config, spool)
        queue = Queue.open(place, make=True, least=config.min_free_space, tell=tell)
        try:
            queue.recover()
            path = self._listen(config, listen)
            self._board = Switchboard(places.link_path(path))
            tally = Tally(shared=clerks > 0)
            self.hall = Hall(
                config_path, queue, self._board, tell, tally=tally, **seconds
            )
        except BaseException:
            self._stop_listening()
            queue.close()
            raise
        self._count(queue)
        self.sessions = Sessions(self.hall, self.hall.leave)
        self.clerks = Clerks(self.hall, self.sessions.begin)
        self._board.joined = self.clerks.joined
        try:
            self._stranger = self._loopback_identity()
            self.clerks.fork(clerks, self._forget)
            self._board.start()
        except BaseException:
            self.close()
            raise

    def _count(self, queue: Queue) -> None:
        """Know from the beginning what each user has, in all processes."""
        try:
            queue.usage(0, fresh=False)
        except SystemTrouble:
            pass  # who has a message is told

    def _listen(self, config: Config, path: str | None) -> str:
        """Take what was handed over, and make what is missing; return the path."""
        self._listeners = listening.inherited()
        names = [one for one in self._listeners if one.family == socket.AF_UNIX]
        if not names:
            made = listening.submit(places.socket_path(config, path))
            self._made.append(made)
            self._listeners.append(made.socket)
            names = [made.socket]
        # `agent run` hands over what it has opened, and opens what is new at SIGHUP.
        supervised = aside.WANTED in os.environ
        self._open_loopback(() if supervised else config.listen_loopback)
        return str(names[0].getsockname())

    def _open_loopback(self, wanted: Iterable[tuple[str, int]]) -> None:
        """Listen where nobody listens for us yet; raises `ConfigError` for others."""
        there = set()
        for one in self._listeners:
            if one.family == socket.AF_UNIX:
                continue
            host, port = one.getsockname()[:2]
            if not _is_loopback(host):
                raise ConfigError(
                    f"a socket at {host} was handed over, which is not loopback",
                    "let ListenStream= name 127.0.0.1 or [::1]",
                )
            there.add((host, port))
        for host, port in wanted:
            if (host, port) not in there:
                self._listeners.append(listening.loopback(host, port))
                there.add((host, port))

    def _loopback_identity(self) -> int | None:
        """Return the uid in whose name mail from the loopback listeners is sent."""
        if all(one.family == socket.AF_UNIX for one in self._listeners):
            return None
        return listening.identity(self.hall.config)

    def serve(self) -> None:
        """Accept connections until `stop`.

        Raises SystemTrouble when the queue was removed: whoever starts us anew makes
        another one, and who calls meanwhile waits.
        """
        poll = select.poll()
        by_fd = {}
        for one in self._listeners:
            one.setblocking(False)
            by_fd[one.fileno()] = one
        # Who has left is heard before somebody is let in.
        for fd in (self._wake, *self.clerks.lines, *by_fd):
            poll.register(fd, select.POLLIN)
        while True:
            try:
                ready = [fd for fd, _ in poll.poll()]
            except OSError as error:
                if error.errno not in forks.SHORT:
                    raise
                time.sleep(forks.BREATH)
                continue
            if self._wake in ready:
                return
            # Before somebody is let in whose mail could not be taken.
            self.hall.queue.check_there()
            for fd in ready:
                if fd in by_fd:
                    self._accept(by_fd[fd])
                elif not self.clerks.hear(fd):
                    poll.unregister(fd)

    def stop(self) -> None:
        """End `serve`; may be called from a signal handler, and often."""
        try:
            os.write(self.bell, b"!")
        except OSError:
            pass

    def close(self) -> None:
        """Let the sessions come to their end, and leave nothing behind."""
        self._stop_listening()
        self.clerks.end()
        self.sessions.end()
        self.clerks.join()
        self._board.close()
        self.hall.queue.close()
        for fd in (self.hall.closing, self._wake, self.bell):
            os.close(fd)

    def _forget(self) -> None:
        """Close what a clerk must not hold: whoever comes next has to find it free."""
        for one in self._listeners:
            one.close()
        for made in self._made:
            os.close(made.lock)
        os.close(self._wake)
        os.close(self.bell)

    def _stop_listening(self) -> None:
        for made in self._made:
            made.close()
        for one in self._listeners:
            one.close()

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in BUSY:
                time.sleep(forks.BREATH)  # until somebody hangs up
            return
        uid = self._uid(sock)
        if uid is None:
            sock.close()
            return
        if why := self.hall.enter(uid):
            with sock:
                refuse(sock, why)
        elif not self.clerks.take(sock, uid, len(self.sessions)):
            if not self.sessions.begin(sock, uid):
                time.sleep(forks.BREATH)

    def _uid(self, sock: socket.socket) -> int | None:
        """Return who calls; None for somebody who is not to be there."""
        try:
            if sock.family == socket.AF_UNIX:
                size = CREDENTIALS.size
                peer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
                return int(CREDENTIALS.unpack(peer)[1])
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Routes can be strange, and sockets can be handed over to anywhere.
            inside = _is_loopback(sock.getpeername()[0])
        except OSError:  # it has gone
            return None
        return self._stranger if inside else None


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host in ("::1", "::ffff:127.0.0.1")
