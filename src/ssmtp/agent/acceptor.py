"""The half of the agent that takes messages: many users at its door, no way out.

It has no network and no password, and opens no path that a client names. Every
connection has a thread of its own: nearly all of its time goes into waiting for a
client or for the disk, and messages that come at the same time share that wait (the
queue commits them together). What goes wrong with a client ends its connection, and
nothing else.

The submit socket may be opened by everybody; who calls is what the kernel says
(SO_PEERCRED). The loopback listener is for programs that speak SMTP and cannot be asked
who they are: all of them write as `ListenIdentity`.
"""

from __future__ import annotations

import errno
import os
import pwd
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterable

from ssmtp import accounts, configfile, guard, journal
from ssmtp.accounts import Caller
from ssmtp.agent import listening, places
from ssmtp.agent.answers import VERBS
from ssmtp.agent.desk import Desk
from ssmtp.agent.hall import Hall
from ssmtp.agent.link import Switchboard
from ssmtp.config import Config
from ssmtp.errors import ConfigError, bug
from ssmtp.smtp.rules import EXTENSIONS, Rules
from ssmtp.spool.queue import Queue

CREDENTIALS = struct.Struct("iII")  # pid, uid, gid: struct ucred
STACK = 256 * 1024  # octets, for each connection
BUSY = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
BREATH = 0.2  # seconds until the next try when descriptors have run out


def run(config_path: str, listen: str | None, spool: str | None) -> int:
    """Accept mail until SIGTERM; return the exit code. Raises `Failure` at the start.

    `listen` is the path of the submit socket, when none was handed over; `spool` that
    of the queue.
    """
    guard.hide()
    guard.one_heap()
    # Our threads share what openlog(3) knows; a socket for each line they do not.
    journal.guest = True
    acceptor = Acceptor(config_path, listen, spool)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: acceptor.stop())
    try:
        acceptor.serve()
    finally:
        acceptor.close()
    return 0


class Acceptor:
    """The listeners and what is behind them."""

    def __init__(
        self, config_path: str, listen: str | None, spool: str | None, **seconds: float
    ) -> None:
        config = configfile.load(config_path)
        self._made: list[listening.Listener] = []
        self._listeners: list[socket.socket] = []
        self._threads: set[threading.Thread] = set()
        self._wake, self._stop = os.pipe()
        place = places.spool_path(config, spool)
        queue = Queue.open(place, make=True, least=config.min_free_space, tell=_tell)
        try:
            queue.recover()
            path = self._listen(config, listen)
            self.hall = Hall(
                config_path,
                queue,
                Switchboard(places.link_path(path)),
                _tell,
                **seconds,
            )
        except BaseException:
            self._stop_listening()
            queue.close()
            raise
        try:
            self._stranger = self._loopback_identity()
            self.hall.link.start()
        except BaseException:
            self.close()
            raise

    def _listen(self, config: Config, path: str | None) -> str:
        """Take what was handed over, and make what is missing; return the path."""
        self._listeners = listening.inherited()
        names = [one for one in self._listeners if one.family == socket.AF_UNIX]
        if not names:
            made = listening.submit(places.socket_path(config, path))
            self._made.append(made)
            self._listeners.append(made.socket)
            names = [made.socket]
        self._open_loopback(config.listen_loopback)
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

    def _loopback_identity(self) -> Caller | None:
        """Return in whose name mail from the loopback listeners is sent."""
        if all(one.family == socket.AF_UNIX for one in self._listeners):
            return None
        login = self.hall.config.listen_identity
        if not login:
            raise ConfigError(
                f"{self.hall.path}: ListenLoopback needs ListenIdentity",
                "name the user in whose name such mail is sent",
            )
        try:
            return accounts.caller_of(pwd.getpwnam(login).pw_uid)
        except KeyError:
            raise ConfigError(
                f"{self.hall.path}: ListenIdentity: there is no user {login}",
                "name a user of this machine",
            ) from None

    def serve(self) -> None:
        """Accept connections until `stop`."""
        threading.stack_size(STACK)
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        by_fd = {}
        for one in self._listeners:
            one.setblocking(False)
            poll.register(one, select.POLLIN)
            by_fd[one.fileno()] = one
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if self._wake in ready:
                return
            for fd in ready:
                self._accept(by_fd[fd])

    def stop(self) -> None:
        """End `serve`; may be called from a signal handler, and often."""
        try:
            os.write(self._stop, b"!")
        except OSError:
            pass

    def close(self) -> None:
        """Let the sessions come to their end, and leave nothing behind."""
        self._stop_listening()
        self.hall.close()
        until = time.monotonic() + self.hall.grace_seconds + 1
        for thread in list(self._threads):
            thread.join(max(0.0, until - time.monotonic()))
        self.hall.link.close()
        self.hall.queue.close()
        for fd in (self.hall.closing, self._wake, self._stop):
            os.close(fd)

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
                time.sleep(BREATH)  # until somebody hangs up
            return
        try:
            thread = threading.Thread(target=self._receive, args=(sock,), daemon=True)
            self._threads.add(thread)
            thread.start()
        except RuntimeError:  # no more threads
            self._threads.discard(thread)
            sock.close()
            time.sleep(BREATH)

    def _receive(self, sock: socket.socket) -> None:
        """Hold the session of one connection."""
        try:
            with sock:
                self._hold(sock)
        except OSError:
            pass  # the client is gone
        except Exception as error:  # a mistake of ours ends no other session
            _tell(bug(error).what)
        finally:
            self._threads.discard(threading.current_thread())

    def _hold(self, sock: socket.socket) -> None:
        caller = self._caller(sock)
        if caller is None:
            return
        unix = sock.family == socket.AF_UNIX
        why = self.hall.enter(caller.uid)
        if why:
            sock.settimeout(1.0)
            sock.sendall(f"421 4.7.0 {why}; try again later\r\n".encode())
            return
        try:
            Desk(self.hall, sock, self._rules(unix), caller, submitter=unix).run()
        finally:
            self.hall.leave(caller.uid)

    def _caller(self, sock: socket.socket) -> Caller | None:
        if sock.family == socket.AF_UNIX:
            size = CREDENTIALS.size
            peer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
            return accounts.caller_of(CREDENTIALS.unpack(peer)[1])
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Routes can be strange, and sockets can be handed over to anywhere.
        inside = _is_loopback(sock.getpeername()[0])
        return self._stranger if inside else None

    def _rules(self, unix: bool) -> Rules:
        return Rules(
            os.uname().nodename,
            greeting="ESMTP ssmtp",
            extensions=(*EXTENSIONS, "XSUBMIT") if unix else EXTENSIONS,
            size_limit=self.hall.config.max_message_size or 0,
            bare_names=True,
            verbs=VERBS if unix else (),
        )


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host in ("::1", "::ffff:127.0.0.1")


def _tell(sentence: str) -> None:
    journal.note(sentence, bad=True)
    try:
        sys.stderr.write(f"ssmtp: {sentence}\n")
    except OSError:
        pass
