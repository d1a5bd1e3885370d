"""Plays the mailhub's part of a transcript (see docs/transcripts.md)."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
HEADER = b"From: <s@example.org>\r\nSubject: transcript\r\n\r\n"
BODY = b"BODY-OF-THE-MESSAGE\r\n.a line with a dot\r\n"
PATIENCE = 8.0  # seconds without a word from the client, before the test fails
MARK = b"BODY-OF-THE-MESSAGE"


@dataclass
class Transcript:
    """A file, parsed: what the client is given, what is said, what must come of it."""

    name: str
    requirement: str
    config: list[str] = field(default_factory=list)
    recipients: list[str] = field(default_factory=lambda: ["a@example.net"])
    octets: int = 0  # of the body, if it is to be large
    eightbit: bool = False
    seconds: float = 4.0  # each time-out
    envelope: dict[str, str] = field(default_factory=dict)
    steps: list[tuple[str, str]] = field(default_factory=list)
    expect: str = ""
    says: list[str] = field(default_factory=list)
    never_sent: bool = False

    @property
    def body(self) -> bytes:
        """The body in CRLF form."""
        if self.eightbit:
            return BODY + "Grüße\r\n".encode()
        line = b"0123456789" * 7 + b"\r\n"
        return BODY + line * (self.octets // len(line))


def load(path: Path) -> Transcript:
    """Read a transcript file."""
    lines = path.read_text("utf-8").splitlines()
    it = Transcript(path.stem, lines[0].removeprefix("#").strip())
    for number, line in enumerate(lines[1:], 2):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        word, _, rest = line.partition(":" if ": " in line + " " else " ")
        word, rest = word.strip(), rest.strip()
        if word in ("S", "C", "S raw"):
            it.steps.append((word, rest))
        elif word == "config":
            it.config.append(rest)
        elif word == "to":
            it.recipients = rest.split()
        elif word == "octets":
            it.octets = int(rest)
        elif word == "eightbit":
            it.eightbit = True
        elif word == "seconds":
            it.seconds = float(rest)
        elif word == "envelope":
            it.envelope = dict(pair.split("=", 1) for pair in rest.split())
        elif word == "expect":
            it.expect = rest
        elif word == "says":
            it.says.append(rest)
        elif word == "never sent":
            it.never_sent = True
        elif line.split()[0] in VERBS:
            it.steps.append((line.split()[0], line.partition(" ")[2].strip()))
        else:
            raise ValueError(f"{path.name}:{number}: what is {line!r}?")
    if not it.expect:
        raise ValueError(f"{path.name}: nothing is expected")
    return it


def all_of_them() -> Iterator[Transcript]:
    """Yield every transcript of this directory."""
    for path in sorted(HERE.glob("*.smtp")):
        yield load(path)


class Mismatch(AssertionError):
    """The client did something else than the transcript says."""


VERBS = {
    "again": "the client connects once more",
    "content": "the client sends the message",
    "cut": "close the connection, without a word in TLS",
    "drop": "close the connection",
    "half-close": "say that nothing more will be said, and go on listening",
    "hang": "say nothing more until the client has gone",
    "part": "take so many octets of the message",
    "quit": "hear QUIT, then say 221 and close",
    "reset": "break the connection off",
    "split": "what follows goes into another packet",
    "stall": "do not even listen for so many seconds",
    "tls": "set up TLS, with a certificate of this name",
    "wait": "wait so many seconds",
}


class Mailhub:
    """Plays one transcript to one client; `finish` raises what went wrong."""

    def __init__(
        self, transcript: Transcript, contexts: Callable[[str], ssl.SSLContext]
    ) -> None:
        self.transcript = transcript
        self.contexts = contexts
        self.seen = bytearray()
        self.buffer = b""
        self.last = ""
        self.error: BaseException | None = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.port: int = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def finish(self) -> None:
        """Wait for the end, and raise what the client did wrong."""
        self.thread.join(PATIENCE * 2)
        self.listener.close()
        if self.error is not None:
            raise self.error
        if self.thread.is_alive():
            raise Mismatch("the mailhub is still waiting")

    def _run(self) -> None:
        try:
            self._accept()
            self._play()
        except (Mismatch, ValueError) as error:
            self.error = error
        except OSError as error:
            self.error = Mismatch(f"the connection broke: {error!r}")
        finally:
            self.socket.close()

    def _accept(self) -> None:
        self.socket, _ = self.listener.accept()
        self.socket.settimeout(PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def _play(self) -> None:
        out = b""
        for word, rest in [*self.transcript.steps, ("end", "")]:
            if word == "S":
                out += rest.encode("utf-8") + b"\r\n"
                continue
            if word == "S raw":
                out += rest.encode("latin-1").decode("unicode_escape").encode("latin-1")
                continue
            if out:
                self.socket.sendall(out)
                out = b""
            if word == "C":
                self._hear(rest)
            elif word == "end":
                self._end()
            else:
                getattr(self, "do_" + word.replace("-", "_"))(rest)

    # -- listening

    def _fill(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            raise Mismatch(
                f"the client said nothing more after {self.last!r}"
            ) from None
        except (ConnectionError, ssl.SSLError):
            data = b""
        self.seen += data
        self.buffer += data
        return bool(data)

    def _line(self) -> str | None:
        while b"\n" not in self.buffer:
            if not self._fill():
                return None
        line, _, self.buffer = self.buffer.partition(b"\n")
        if not line.endswith(b"\r"):
            raise Mismatch(f"a line without CRLF: {line!r}")
        return line[:-1].decode("utf-8")

    def _hear(self, pattern: str) -> None:
        line = self._line()
        if pattern == "(nothing)":
            if line is not None:
                raise Mismatch(f"the client should have left, and said {line!r}")
            return
        if line is None:
            raise Mismatch(f"the client left before {pattern!r}, after {self.last!r}")
        if not _matches(line, pattern):
            raise Mismatch(f"the client said {line!r}, not {pattern!r}")
        self.last = line

    def _end(self) -> None:
        """After the last line the client may say QUIT, and goes."""
        left = []
        while (line := self._line()) is not None:
            left.append(line)
        if self.buffer:
            left.append(repr(self.buffer[:80]))
        if left not in ([], ["QUIT"]):
            raise Mismatch(f"the client went on: {left[:5]}")

    # -- verbs

    def do_again(self, rest: str) -> None:
        self.socket.close()
        self._accept()

    def do_content(self, rest: str) -> None:
        wanted = HEADER + self.transcript.body
        if self.last.startswith("BDAT "):
            size = int(self.last.split()[1])
            while len(self.buffer) < size:
                if not self._fill():
                    raise Mismatch("the client left in the chunk")
            got, self.buffer = self.buffer[:size], self.buffer[size:]
        else:
            # The five octets that end it may be the first three after a line.
            self.buffer = b"\r\n" + self.buffer
            while b"\r\n.\r\n" not in self.buffer:
                if not self._fill():
                    raise Mismatch("the client left in the content")
            got, _, self.buffer = self.buffer.partition(b"\r\n.\r\n")
            got = (got + b"\r\n")[2:].replace(b"\r\n.", b"\r\n")
            self.last = "."
        if rest != "any" and got != wanted:
            raise Mismatch(f"the content is {got[:200]!r}, not {wanted[:200]!r}")

    def do_part(self, rest: str) -> None:
        while len(self.buffer) < int(rest):
            if not self._fill():
                raise Mismatch("the client left in the content")
        if self.buffer.endswith(b"\r\n.\r\n"):
            raise Mismatch("the client ended the content")
        self.buffer = b""

    def do_drop(self, rest: str) -> None:
        self._shut(socket.SHUT_WR)
        while self._fill():
            pass
        self.buffer = b""

    def do_cut(self, rest: str) -> None:
        self.socket.shutdown(socket.SHUT_WR)
        while self._fill():
            pass
        self.buffer = b""

    def do_half_close(self, rest: str) -> None:
        self._shut(socket.SHUT_WR)

    def do_hang(self, rest: str) -> None:
        while self._fill():
            self.buffer = b""
        self.buffer = b""

    def do_quit(self, rest: str) -> None:
        self._hear("QUIT")
        self.socket.sendall(b"221 2.0.0 bye\r\n")
        self._shut(socket.SHUT_WR)

    def do_reset(self, rest: str) -> None:
        linger = struct.pack("ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()
        self.socket = socket.socket()  # nothing more is heard
        self.socket.close()
        self._line = lambda: None  # type: ignore[method-assign]

    def do_split(self, rest: str) -> None:
        time.sleep(0.05)  # the only way to have two packets

    def do_stall(self, rest: str) -> None:
        time.sleep(float(rest))

    def do_wait(self, rest: str) -> None:
        time.sleep(float(rest))

    def do_tls(self, rest: str) -> None:
        context = self.contexts(rest or "good")
        try:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        except (ssl.SSLError, ConnectionError):
            self._line = lambda: None  # type: ignore[method-assign]

    def _shut(self, how: int) -> None:
        try:
            if isinstance(self.socket, ssl.SSLSocket):
                self.socket = self.socket.unwrap()
            self.socket.shutdown(how)
        except (OSError, ValueError):
            pass


def _matches(line: str, pattern: str) -> bool:
    """Compare a line with a pattern in which `*` stands for anything."""
    first, *others = pattern.split("*")
    if not others:
        return line == pattern
    if not line.startswith(first):
        return False
    at = len(first)
    for part in others[:-1]:
        at = line.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return line.endswith(others[-1]) and len(line) - len(others[-1]) >= at
