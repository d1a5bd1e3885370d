"""How the two halves talk: one word a line, in JSON, over a socket of their own.

    acceptor → sender   {"flush": null, "rescan": true}   it listens; look yourself
                        {"new": ID}                  there is a message
                        {"flush": ID} {"flush": null}   try it, or all, now
                        {"flush": null, "uid": UID}     try all of this user's now
    sender → acceptor   {"done": ID, "code": 250, "status": "2.0.0", "text": "…"}

No mail depends on a word. One that is lost, because the other half is away or does not
listen, costs time: the sender looks through the queue when the acceptor has answered,
and every now and then. Nobody but the user of the agent can open the socket (0600).
"""

from __future__ import annotations

import json
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from ssmtp.errors import SystemTrouble

Word = dict[str, Any]
LINE_MOST = 65536  # octets of a word
AGAIN = 1.0  # seconds between two attempts to connect
LATEST = 5.0
UNSAID_MOST = 4000  # verdicts that are kept until they can be said; a turn has hundreds
STALE = 3.0  # seconds after which nobody waits for one of them
TOGETHER = 16384  # octets of them that are said at once: the kernel cuts none in two
EARLY_MOST = 100  # verdicts that are remembered for who asks in a moment


class Mouth:
    """Says words to the sender that is attached, if there is one, and never waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sender: socket.socket | None = None

    @property
    def connected(self) -> bool:
        """Whether a sender listens."""
        return self._sender is not None

    def attach(self, sender: socket.socket | None) -> None:
        """Talk to this sender from now on; hang up on the one before."""
        with self._lock:
            before, self._sender = self._sender, sender
        if before is not None:
            self._leave(before)

    def new(self, name: str) -> None:
        """Say that there is a message."""
        self._say({"new": name})

    def flush(self, name: str | None, uid: int | None = None) -> None:
        """Ask for a message, all of a user's, or all there are to be tried now."""
        self._say({"flush": name} if uid is None else {"flush": name, "uid": uid})

    def _say(self, word: Word) -> None:
        line = _line(word)
        with self._lock:
            sender = self._sender
            if sender is None:
                return
            try:
                sent = sender.send(line, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except OSError:
                sent = 0
            if sent < len(line):
                # It is behind. It will look for itself when it comes back.
                self._sender = None
                self._leave(sender)

    def _leave(self, sender: socket.socket) -> None:
        _shut(sender)


class Switchboard(Mouth):
    """The acceptor's end: it listens, for one sender at a time; the latest counts.

    `joined` is called with each sender that comes, and with None when it has gone.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.joined: Callable[[socket.socket | None], None] = lambda sender: None
        self._order = threading.Lock()  # what `joined` is told last is what is true
        self._waiting: dict[str, list[Word]] = {}
        self._early: dict[str, Word] = {}
        self._told = threading.Condition(self._lock)
        self._listener: socket.socket | None = None
        self._inode = 0

    def start(self) -> None:
        """Listen; raises `SystemTrouble`."""
        try:
            self._listener = self._bound()
        except OSError as error:
            raise SystemTrouble(
                f"cannot listen at {self.path}: {error.strerror}", "see who owns it"
            ) from error
        threading.Thread(target=self._accept, name="link", daemon=True).start()

    def _bound(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if os.path.lexists(self.path):
                os.unlink(self.path)
            before = os.umask(0o177)
            try:
                listener.bind(self.path)
            finally:
                os.umask(before)
            self._inode = os.lstat(self.path).st_ino  # another may take its place
            listener.listen(4)
        except BaseException:
            listener.close()
            raise
        return listener

    def close(self) -> None:
        """Stop listening, and hang up."""
        if self._listener is not None:
            _shut(self._listener)
            try:
                if os.lstat(self.path).st_ino == self._inode:
                    os.unlink(self.path)
            except OSError:
                pass
        with self._lock:
            if self._sender is not None:
                _shut(self._sender)
            self._told.notify_all()

    def expect(self, name: str) -> None:
        """Remember what will be said about a message, or just was, for `wait`."""
        with self._lock:
            word = self._early.pop(name, None)
            self._waiting[name] = [] if word is None else [word]

    def forget(self, name: str) -> None:
        """Expect nothing more."""
        with self._lock:
            self._waiting.pop(name, None)

    def wait(self, name: str, seconds: float) -> Word | None:
        """Return the verdict about an expected message; None when it comes too late."""
        until = time.monotonic() + seconds
        with self._lock:
            while not self._waiting[name]:
                left = until - time.monotonic()
                if left <= 0:
                    return None
                self._told.wait(left)
            return self._waiting[name][0]

    def _accept(self) -> None:
        listener = self._listener
        assert listener is not None
        while True:
            try:
                sender, _ = listener.accept()
            except OSError:
                if listener.fileno() < 0:
                    return
                time.sleep(AGAIN)
                continue
            self._join(sender)
            # Only from here on it hears of what is new.
            self._say({"flush": None, "rescan": True})
            thread = threading.Thread(
                target=self._listen, args=(sender,), name="link", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # no more threads: let it come again
                self._join(None)
                sender.close()

    def _leave(self, sender: socket.socket) -> None:
        _hang_up(sender)  # what it has said before is heard to the end by `_listen`

    def _join(self, sender: socket.socket | None) -> None:
        with self._order:
            self.attach(sender)
            self.joined(sender)

    def _listen(self, sender: socket.socket) -> None:
        try:
            for word in _words(sender):
                name = word.get("done")
                with self._lock:
                    waiting = self._waiting.get(name) if name else None
                    if waiting is not None:
                        waiting.append(word)
                        self._told.notify_all()
                    elif name:
                        # The sender may be faster than who has queued it.
                        self._early[name] = word
                        if len(self._early) > EARLY_MOST:
                            del self._early[next(iter(self._early))]
        except OSError:
            pass
        with self._order:
            with self._lock:
                if self._sender is sender:
                    self._sender = None
            if self._sender is None:
                self.joined(None)
        sender.close()


class Ear:
    """The sender's end. It never raises, and connects again by itself.

    `words` and `fileno` are for one thread, `done`, `say` and `wake` for any.
    """

    def __init__(self, path: str | None) -> None:
        self.path = path
        self._socket: socket.socket | None = None
        self._held = b""
        self._next = 0.0
        self._pause = AGAIN
        self._lock = threading.Lock()
        self._unsaid: deque[tuple[float, bytes]] = deque(maxlen=UNSAID_MOST)
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waker, False)

    def fileno(self) -> int:
        """Return the descriptor to wait for, -1 while nobody is connected."""
        return -1 if self._socket is None else self._socket.fileno()

    def words(self, seconds: float = 0.0) -> list[Word]:
        """Return what was said; wait so many seconds for it.

        Once the acceptor listens the first word is {"flush": null, "rescan": true}.
        """
        until = time.monotonic() + seconds
        while True:
            self._connect()
            self.say()
            found = self._read()
            left = until - time.monotonic()
            if found or left <= 0:
                return found
            if self._wait(left):
                return self._read()

    def done(self, name: str, code: int, status: str, text: str) -> None:
        """Have it said what became of a message (`say`)."""
        word = {"done": name, "code": code, "status": status, "text": text[:2000]}
        with self._lock:
            self._unsaid.append((time.monotonic(), _line(word)))

    def say(self) -> None:
        """Say what there is to say; what cannot be said now stays, for a while.

        Each time the acceptor is woken costs as much as many words.
        """
        flags = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
        with self._lock:
            while self._socket is not None and (lines := self._next_lines()):
                said = b"".join(lines)
                try:
                    sent = self._socket.send(said, flags)
                except BlockingIOError:
                    return
                except OSError:
                    sent = 0
                if sent < len(said):
                    # Half a word would spoil the next; `words` connects again.
                    _hang_up(self._socket)
                    return
                for _ in lines:
                    self._unsaid.popleft()

    def _next_lines(self) -> list[bytes]:
        """Return what is said at once."""
        lines: list[bytes] = []
        room = TOGETHER
        for _, line in self._unsaid:
            room -= len(line)
            if room < 0 and lines:
                break
            lines.append(line)
        return lines

    def _forget_stale(self) -> None:
        """Forget what nobody waits for any more: an acceptor that is gone has told."""
        oldest = time.monotonic() - STALE
        while self._unsaid and self._unsaid[0][0] < oldest:
            self._unsaid.popleft()

    def wake(self) -> None:
        """Let `words` return."""
        try:
            os.write(self._waker, b"!")
        except OSError:
            pass

    def close(self) -> None:
        """Hang up."""
        self._hang_up()
        os.close(self._woken)
        os.close(self._waker)

    def _connect(self) -> None:
        if self._socket is not None or self.path is None:
            return
        now = time.monotonic()
        if now < self._next:
            return
        fresh = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            fresh.setblocking(False)
            fresh.connect(self.path)
        except OSError:
            fresh.close()
            self._next = now + self._pause
            self._pause = min(self._pause * 2, LATEST)
            return
        self._pause, self._held = AGAIN, b""
        with self._lock:
            self._socket = fresh
            self._forget_stale()

    def _read(self) -> list[Word]:
        if self._socket is None:
            return []
        try:
            data = self._socket.recv(LINE_MOST)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self._hang_up()
            self._next = time.monotonic() + AGAIN
            return []
        lines = (self._held + data).split(b"\n")
        self._held = lines.pop()[:LINE_MOST]
        return [word for line in lines if (word := _word(line))]

    def _wait(self, seconds: float) -> bool:
        """Wait for a word, or the next attempt to connect; True when woken."""
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        if self._socket is not None:
            poll.register(self._socket, select.POLLIN)
        elif self.path is not None:
            seconds = min(seconds, max(0.0, self._next - time.monotonic()))
        ready = [fd for fd, _ in poll.poll(int(seconds * 1000) + 1)]
        if self._woken not in ready:
            return False
        try:
            os.read(self._woken, 4096)
        except OSError:
            pass
        return True

    def _hang_up(self) -> None:
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None


def _line(word: Word) -> bytes:
    return json.dumps(word).encode("ascii") + b"\n"


def _words(source: socket.socket) -> Iterator[Word]:
    """Yield words as they come, until the other end hangs up; raises OSError."""
    held = b""
    while data := source.recv(LINE_MOST):
        lines = (held + data).split(b"\n")
        held = lines.pop()
        if len(held) > LINE_MOST:
            return
        yield from (word for line in lines if (word := _word(line)))


def _word(line: bytes) -> Word:
    """Return a word, an empty one for what is none."""
    try:
        word = json.loads(line)
    except ValueError:
        return {}
    return word if isinstance(word, dict) else {}


def _hang_up(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def _shut(one: socket.socket) -> None:
    _hang_up(one)
    one.close()
