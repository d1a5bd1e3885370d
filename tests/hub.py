"""A small mailhub for the tests: it captures, and answers as it is told.

It is written apart from the project's own server, so that one does not excuse the
other's mistakes. It keeps the state of a real server (RCPT before an accepted MAIL is
503, DATA without an accepted recipient is 554).
"""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

EXTENSIONS = ("PIPELINING", "SIZE 200000000", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING")


@dataclass
class Mail:
    """One accepted message: the envelope as it was said, the content as received."""

    mail: str
    rcpts: list[str]
    data: bytes
    tls: bool
    user: str | None
    bdat: bool

    @property
    def sender(self) -> str:
        return self.mail.partition("<")[2].rpartition(">")[0]

    @property
    def recipients(self) -> list[str]:
        return [r.partition("<")[2].rpartition(">")[0] for r in self.rcpts]

    @property
    def header(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[0] + b"\r\n"

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]

    def field(self, name: str) -> list[str]:
        """Return the unfolded bodies of all fields of that name."""
        text = self.header.decode("utf-8", "surrogateescape")
        unfolded = text.replace("\r\n ", " ").replace("\r\n\t", " ")
        pairs = (line.partition(":") for line in unfolded.split("\r\n"))
        return [b.strip() for n, _, b in pairs if n.strip().lower() == name.lower()]


@dataclass
class Hub:
    """A listening mailhub; `replies` overrides the answer to a verb.

    `replies` maps a verb (GREETING, EHLO, MAIL, RCPT, DATA, DOT, QUIT, AUTH…) to the
    raw text to send; "close" drops the connection, "hang" never answers. `RCPT#2` is
    the second RCPT.
    """

    tls: str = "none"  # none | starttls | implicit
    users: dict[str, str] = field(default_factory=dict)
    mechanisms: str = "PLAIN LOGIN"
    extensions: tuple[str, ...] = EXTENSIONS
    replies: dict[str, str] = field(default_factory=dict)
    context: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    path: str | None = None
    mails: list[Mail] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    def start(self) -> None:
        if self.path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(self.path)
        else:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            self.listener = socket.socket(family)
            self.listener.bind((self.host, 0))
            self.port = self.listener.getsockname()[1]
        self.listener.listen(20)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(
                target=self._serve, args=(connection,), daemon=True
            ).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError, ssl.SSLError), connection:
            if not self.path:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = _Session(self, connection)
            try:
                session.run()
            finally:
                session.socket.close()


class _Session:
    def __init__(self, hub: Hub, connection: socket.socket) -> None:
        self.hub, self.socket, self.buffer = hub, connection, b""
        self.secure = False
        self.user: str | None = None
        self.counts: dict[str, int] = {}
        self.reset()

    def reset(self) -> None:
        self.mail: str | None = None
        self.rcpts: list[str] = []
        self.chunks = b""

    def wrap(self) -> None:
        assert self.hub.context is not None
        self.socket = self.hub.context.wrap_socket(self.socket, server_side=True)
        self.secure, self.buffer = True, b""

    def fill(self) -> None:
        data = self.socket.recv(1 << 16)
        if not data:
            raise EOFError
        self.buffer += data

    def line(self) -> str:
        while b"\n" not in self.buffer:
            self.fill()
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.rstrip(b"\r").decode("utf-8", "surrogateescape")

    def say(self, text: str) -> None:
        self.socket.sendall(text.encode("utf-8", "surrogateescape") + b"\r\n")

    def answer(self, verb: str, default: str) -> bool:
        """Send the scripted or default reply; return whether it was positive."""
        self.counts[verb] = self.counts.get(verb, 0) + 1
        numbered = f"{verb}#{self.counts[verb]}"
        text = self.hub.replies.get(numbered, self.hub.replies.get(verb, default))
        if text == "close":
            raise EOFError
        if text == "hang":
            while True:  # until the client has gone
                self.fill()
        self.say(text)
        return text[:1] in "23"

    def run(self) -> None:
        if self.hub.tls == "implicit":
            self.wrap()
        self.answer("GREETING", "220 hub.test ESMTP")
        while True:
            line = self.line()
            self.hub.commands.append(line)
            verb = line.partition(" ")[0].upper()
            step = getattr(self, "on_" + verb.lower(), None)
            if step is None:
                self.answer(verb, "500 5.5.1 what?")
            elif step(line) is False:
                return

    def on_ehlo(self, line: str) -> None:
        offers = list(self.hub.extensions)
        if self.hub.tls == "starttls" and not self.secure:
            offers.append("STARTTLS")
        if self.hub.users:
            offers.append(f"AUTH {self.hub.mechanisms}")
        rows = ["hub.test", *offers]
        marks = ["-"] * (len(rows) - 1) + [" "]
        text = "\r\n".join(f"250{m}{r}" for m, r in zip(marks, rows, strict=True))
        self.answer("EHLO", text)

    def on_helo(self, line: str) -> None:
        self.answer("HELO", "250 hub.test")

    def on_starttls(self, line: str) -> None:
        if self.answer("STARTTLS", "220 2.0.0 go ahead"):
            self.wrap()

    def on_auth(self, line: str) -> None:
        words = line.split()
        if "AUTH" in self.hub.replies:
            self.answer("AUTH", "")
            return
        if words[1] == "PLAIN":
            text = words[2] if len(words) > 2 else self.challenge("334 ")
            _, user, password = base64.b64decode(text).decode().split("\0")
        elif words[1] == "LOGIN":
            text = words[2] if len(words) > 2 else self.challenge("334 VXNlcm5hbWU6")
            user = base64.b64decode(text).decode()
            password = base64.b64decode(self.challenge("334 UGFzc3dvcmQ6")).decode()
        else:
            self.say("504 5.5.4 no such mechanism")
            return
        if self.hub.users.get(user) == password:
            self.user = user
            self.say("235 2.7.0 ok")
        else:
            self.say("535 5.7.8 wrong")

    def challenge(self, text: str) -> str:
        self.say(text)
        return self.line()

    def on_mail(self, line: str) -> None:
        if self.hub.users and not self.user:
            self.say("530 5.7.0 authentication required")
        elif self.answer("MAIL", "250 2.1.0 ok"):
            self.reset()
            self.mail = line

    def on_rcpt(self, line: str) -> None:
        if self.mail is None:
            self.say("503 5.5.1 MAIL first")
        elif self.answer("RCPT", "250 2.1.5 ok"):
            self.rcpts.append(line)

    def on_data(self, line: str) -> None:
        if not self.rcpts:
            self.say("554 5.5.1 no valid recipients")
            return
        if not self.answer("DATA", "354 go"):
            return
        self.buffer = b"\r\n" + self.buffer
        while b"\r\n.\r\n" not in self.buffer:
            self.fill()
        raw, _, self.buffer = self.buffer.partition(b"\r\n.\r\n")
        self.take((raw + b"\r\n").replace(b"\r\n.", b"\r\n")[2:], bdat=False)

    def on_bdat(self, line: str) -> None:
        words = line.split()
        size = int(words[1])
        while len(self.buffer) < size:
            self.fill()
        chunk, self.buffer = self.buffer[:size], self.buffer[size:]
        if not self.rcpts:
            self.say("554 5.5.1 no valid recipients")
            return
        self.chunks += chunk
        if len(words) > 2:
            self.take(self.chunks, bdat=True)
        else:
            self.say("250 2.0.0 chunk")

    def take(self, data: bytes, *, bdat: bool) -> None:
        mail = Mail(self.mail or "", self.rcpts, data, self.secure, self.user, bdat)
        if self.hub.replies.get("DOT", "250")[:1] == "2":
            self.hub.mails.append(mail)
        self.answer("DOT", "250 2.0.0 queued as 4F2A1")
        self.reset()

    def on_rset(self, line: str) -> None:
        self.reset()
        self.answer("RSET", "250 2.0.0 ok")

    def on_quit(self, line: str) -> bool:
        self.answer("QUIT", "221 2.0.0 bye")
        return False


@contextlib.contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """Run a mailhub for the length of a `with` block."""
    hub.start()
    try:
        yield hub
    finally:
        hub.stop()
