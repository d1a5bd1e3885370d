"""Plays the mailhub's part of a transcript (see docs/transcripts.md)."""

from __future__ import annotations

import binascii
import contextlib
import os
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.transcripts import hellorequests, keyupdates

HERE = Path(__file__).parent
HEADER = (
    b"From: <s@example.org>\r\nMessage-ID: <1@transcript.test>\r\n"
    b"Subject: transcript\r\n\r\n"
)
MARK = b"BODY-OF-THE-MESSAGE"
BODY = MARK + b"\r\n.a line with a dot\r\n"
PATIENCE = 8.0  # seconds without a word from the client, before the test fails

# RFC 8446 §6
ALERTS = {
    "handshake_failure": 40,
    "protocol_version": 70,
    "internal_error": 80,
    "unrecognized_name": 112,
}


@dataclass
class Transcript:
    """A file, parsed: what the client is given, what is said, what must come of it."""

    name: str
    requirement: str
    catalogue: list[int] = field(default_factory=list)
    advisories: list[str] = field(default_factory=list)
    config: list[str] = field(default_factory=list)
    host: str = "127.0.0.1"
    recipients: list[str] = field(default_factory=lambda: ["a@example.net"])
    octets: int = 0  # of the body, if it is to be large
    eightbit: bool = False
    seconds: float = 4.0  # each time-out
    envelope: dict[str, str] = field(default_factory=dict)
    steps: list[tuple[str, str]] = field(default_factory=list)
    outcome: str = ""  # "delivered", or exit code and Failure
    said: list[str] = field(default_factory=list)
    never_sent: bool = False

    @property
    def body(self) -> bytes:
        """The body in CRLF form."""
        if self.eightbit:
            return BODY + "Grüße\r\n".encode()
        line = b"0123456789" * 7 + b"\r\n"
        return BODY + line * (self.octets // len(line))

    @property
    def exit_code(self) -> int:
        return 0 if self.outcome == "delivered" else int(self.outcome.split()[0])


SETTINGS: dict[str, Callable[[Transcript, str], object]] = {
    "catalogue": lambda it, text: it.catalogue.extend(map(int, text.split())),
    "advisory": lambda it, text: it.advisories.append(text),
    "config": lambda it, text: it.config.append(text),
    "host": lambda it, text: setattr(it, "host", text),
    "to": lambda it, text: setattr(it, "recipients", _recipients(text)),
    "octets": lambda it, text: setattr(it, "octets", int(text)),
    "eightbit": lambda it, text: setattr(it, "eightbit", True),
    "seconds": lambda it, text: setattr(it, "seconds", float(text)),
    "envelope": lambda it, text: setattr(it, "envelope", _pairs(text)),
    "expect exit": lambda it, text: setattr(it, "outcome", text),
    "expect delivered": lambda it, text: setattr(it, "outcome", "delivered"),
    "expect said": lambda it, text: it.said.append(text),
    "expect never-sent": lambda it, text: setattr(it, "never_sent", True),
}
VERBS = {
    "again": "the client connects once more",
    "alert": "send a TLS alert: of that name in clear, bad_record_mac inside TLS",
    "black-hole": "nothing ever answers on that port",
    "challenge": "send 334 and this in base64; $nonce is the client's, of SCRAM",
    "content": "the client sends the message",
    "cut": "close the connection, without a word in TLS",
    "drop": "close the connection",
    "farewell": "say TLS's last word, and leave the connection open",
    "for-ever": "send this line every 20 ms until the client has gone",
    "half-close": "say that nothing more will be said, and go on listening",
    "hello-requests": "ask for a new handshake of TLS 1.2 until the client has gone",
    "hang": "say nothing more until the client has gone",
    "key-updates": "change the keys of TLS 1.3 until the client has gone",
    "nobody": "nothing listens on that port",
    "part": "take so many octets of the message",
    "quit": "hear QUIT, then say 221 and close",
    "reset": "break the connection off",
    "split": "what follows goes into another packet",
    "stall": "do not even listen for so many seconds",
    "tls": "set up TLS, with a certificate of this kind (tests/certificates.py)",
    "tls-and": "set up TLS, with these octets in clear behind what we say first in it",
    "wait": "wait so many seconds",
}
TIMES = re.compile(r"(S|S raw|C) x(\d+)")


def _recipients(text: str) -> list[str]:
    """Read addresses; `5 people` makes five of them up."""
    if text.endswith(" people"):
        return [f"p{number}@example.net" for number in range(int(text.split()[0]))]
    return text.split()


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in text.split())


def load(path: Path) -> Transcript:
    """Read a transcript file."""
    lines = path.read_text("utf-8").splitlines()
    it = Transcript(path.stem, lines[0].removeprefix("#").strip())
    for number, line in enumerate(lines[1:], 2):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        word, colon, rest = line.partition(":")
        rest = rest.strip()
        verb, _, argument = line.partition(" ")
        if colon and word in ("S", "C", "S raw", "S clear"):
            it.steps.append((word, rest))
        elif colon and (times := TIMES.fullmatch(word)):
            it.steps += [(times[1], rest)] * int(times[2])
        elif word in SETTINGS:
            SETTINGS[word](it, rest)
        elif verb in VERBS:
            it.steps.append((verb, argument.strip()))
        else:
            raise ValueError(f"{path.name}:{number}: what is {line!r}?")
    if not it.outcome:
        raise ValueError(f"{path.name}: nothing is expected")
    return it


def all_of_them() -> Iterator[Transcript]:
    """Yield every transcript of this directory."""
    for path in sorted(HERE.glob("*.smtp")):
        yield load(path)


class Mismatch(AssertionError):
    """The client did something else than the transcript says."""


class Tls:
    """The server's end of TLS on a connected socket; it can also misbehave."""

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, behind: bytes = b""
    ) -> None:
        self.clear = sock
        self.behind = behind
        self.hello = b""  # the client's first octets
        self.answer = b""  # ours
        self.records = 0  # sent, once TLS was there
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self._until(self.session.do_handshake)

    def _until(self, action: Callable[[], object]) -> object:
        while True:
            try:
                return action()
            except ssl.SSLWantReadError:
                self._flush()
                data = self.clear.recv(65536)
                if not data:
                    raise ConnectionError from None
                self.hello = self.hello or data
                self.incoming.write(data)
            finally:
                self._flush()

    def _flush(self) -> None:
        if self.outgoing.pending:
            data = self.outgoing.read()
            self.answer = self.answer or data
            self.clear.sendall(data + self.behind)
            self.behind = b""

    def recv(self, size: int) -> bytes:
        try:
            data = self._until(lambda: self.session.read(size))
        except (ssl.SSLError, ConnectionError):
            return b""
        assert isinstance(data, bytes)
        return data

    def sendall(self, data: bytes) -> None:
        for at in range(0, len(data), 16384):
            self.session.write(data[at : at + 16384])
            self.records += 1
        self._flush()

    def close_notify(self) -> None:
        with contextlib.suppress(ssl.SSLError):
            self.session.unwrap()
        self._flush()

    def alert(self) -> None:
        """Let OpenSSL read a record that nobody made, so that it sends an alert."""
        self.incoming.write(b"\x17\x03\x03\x00\x40" + os.urandom(64))
        with contextlib.suppress(ssl.SSLError):
            self.session.read(1)
        self._flush()

    def key_updates(self) -> None:
        """Change keys until the client has gone."""
        # RFC 8446 §4.1.2: record header, handshake header and version precede it.
        made = keyupdates.records(self._log(), self.hello[11:43], self.records)
        self._until_gone(made)

    def hello_requests(self) -> None:
        """Ask for a new handshake until the client has gone."""
        randoms = self.hello[11:43], self.answer[11:43]
        self._until_gone(hellorequests.records(self._log(), *randoms, self.records))

    def _log(self) -> Path:
        log = self.session.context.keylog_filename
        assert log is not None
        return Path(log)

    def _until_gone(self, made: Iterator[bytes]) -> None:
        end = time.monotonic() + PATIENCE
        with contextlib.suppress(ConnectionError):
            for record in made:
                self.clear.sendall(record)
                if time.monotonic() > end:
                    raise Mismatch("the client listens for ever")


class Mailhub:
    """Plays one transcript to one client; `finish` raises what went wrong.

    `exact` says that the client is given the content as it must arrive; else the fields
    may be others, and only the body is compared.
    """

    def __init__(
        self,
        transcript: Transcript,
        contexts: Callable[[str], ssl.SSLContext],
        *,
        exact: bool = True,
    ) -> None:
        self.transcript = transcript
        self.contexts = contexts
        self.exact = exact
        self.seen = bytearray()
        self.buffer = b""
        self.last = ""
        self.gone = False  # nothing more is to be heard
        self.error: BaseException | None = None
        self.crowd: list[socket.socket] = []
        first = transcript.steps[0][0] if transcript.steps else ""
        backlog = 0 if first == "black-hole" else 16
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.listener.settimeout(PATIENCE)
        self.socket = self.listener  # until a client has come
        self.wire: socket.socket | Tls = self.socket
        self.port: int = self.listener.getsockname()[1]
        if first == "nobody":
            self.listener.close()
        elif first == "black-hole":
            self._crowd()
        self.thread = threading.Thread(target=self._run, daemon=True)
        if first not in ("nobody", "black-hole"):
            self.thread.start()

    def finish(self) -> None:
        """Wait for the end, and raise what the client did wrong."""
        if self.thread.ident is not None:
            self.thread.join(PATIENCE * 2)
        for sock in (self.listener, self.socket, *self.crowd):
            sock.close()
        if self.error is not None:
            raise self.error
        if self.thread.is_alive():
            raise Mismatch("the mailhub is still waiting")

    def _crowd(self) -> None:
        """Fill the queue of the listener, so that the kernel answers nobody more."""
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", self.port))
            self.crowd.append(sock)

    def _run(self) -> None:
        try:
            self._accept()
            self._play()
        except (Mismatch, ValueError, KeyError) as error:
            self.error = error
        except OSError as error:
            self.error = Mismatch(f"the connection broke: {error!r}")
        finally:
            self.socket.close()
            self.listener.close()

    def _accept(self) -> None:
        self.socket, _ = self.listener.accept()
        self.socket.settimeout(PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.wire = self.socket
        self.buffer = b""
        self.gone = False
        if self.transcript.host != "127.0.0.1":
            self._be_proxy()

    def _be_proxy(self) -> None:
        """Let the client have its mailhub behind a proxy, so that any name will do."""
        wanted = f"CONNECT {self.transcript.host}:"
        line = self._line() or ""
        if not line.startswith(wanted):
            raise Mismatch(f"the client asked the proxy for {line!r}")
        while self._line():
            pass
        self.socket.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    def _play(self) -> None:
        out = b""
        for word, rest in [*self.transcript.steps, ("end", "")]:
            if word == "S":
                out += rest.encode("utf-8") + b"\r\n"
                continue
            if word == "S raw":
                out += _octets(rest)
                continue
            self._say(out)
            out = b""
            if word == "C":
                self._hear(rest)
            elif word == "S clear":
                self.socket.sendall(_octets(rest))
            elif word == "end":
                self._end()
            else:
                getattr(self, "do_" + word.replace("-", "_"))(rest)

    def _say(self, data: bytes) -> None:
        """Send; the client may have had enough before it has read all of it."""
        if data:
            with contextlib.suppress(ConnectionError):
                self.wire.sendall(data)

    # -- listening

    def _fill(self) -> bool:
        if self.gone:
            return False
        try:
            data = self.wire.recv(65536)
        except TimeoutError:
            raise Mismatch(
                f"the client said nothing more after {self.last!r}"
            ) from None
        except ConnectionError:
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
        return line[:-1].decode("utf-8", "backslashreplace")

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

    def do_alert(self, rest: str) -> None:
        if isinstance(self.wire, Tls):
            self.wire.alert()
        else:
            self._fill()  # its ClientHello
            self.buffer = b""
            self._say(b"\x15\x03\x03\x00\x02\x02" + bytes([ALERTS[rest]]))
        self.gone = True
        self._linger()

    def do_challenge(self, rest: str) -> None:
        if "$nonce" in rest:
            rest = rest.replace("$nonce", self._nonce())
        text = binascii.b2a_base64(rest.encode(), newline=False)
        self._say(b"334 " + text + b"\r\n")

    def _nonce(self) -> str:
        """Find the client's nonce in its last line (RFC 5802 §7)."""
        first = binascii.a2b_base64(self.last.split()[-1]).decode()
        return first.rpartition("r=")[2]

    def do_content(self, rest: str) -> None:
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
        wanted = HEADER + self.transcript.body
        if not self.exact:
            got, wanted = (text.partition(b"\r\n\r\n")[2] for text in (got, wanted))
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
        self._shut()
        self._linger()

    def do_cut(self, rest: str) -> None:
        self.socket.shutdown(socket.SHUT_WR)
        self._linger()

    def do_for_ever(self, rest: str) -> None:
        line = rest.encode() + b"\r\n"
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            for _ in range(int(PATIENCE / 0.02)):
                self.wire.sendall(line)
                time.sleep(0.02)
            raise Mismatch("the client listens for ever")
        self.gone = True

    def do_farewell(self, rest: str) -> None:
        assert isinstance(self.wire, Tls)
        self.wire.close_notify()

    def do_half_close(self, rest: str) -> None:
        self._shut()

    def do_hang(self, rest: str) -> None:
        self._linger()

    def do_key_updates(self, rest: str) -> None:
        assert isinstance(self.wire, Tls)
        self.wire.key_updates()
        self.gone = True
        self.buffer = b""

    def do_hello_requests(self, rest: str) -> None:
        assert isinstance(self.wire, Tls)
        self.wire.hello_requests()
        self.gone = True
        self.buffer = b""

    def _linger(self) -> None:
        """Listen until the client has gone."""
        self.gone = False
        if isinstance(self.wire, Tls):
            with contextlib.suppress(ConnectionError):
                while data := self.wire.recv(65536):
                    self.seen += data
        with contextlib.suppress(ConnectionError):
            while self.socket.recv(65536):
                pass
        self.buffer = b""
        self.gone = True

    def do_quit(self, rest: str) -> None:
        self._hear("QUIT")
        self._say(b"221 2.0.0 bye\r\n")
        self._shut()

    def do_reset(self, rest: str) -> None:
        linger = struct.pack("ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()
        self.gone = True

    def do_split(self, rest: str) -> None:
        time.sleep(0.05)  # the only way to have two packets

    def do_stall(self, rest: str) -> None:
        time.sleep(float(rest))

    def do_wait(self, rest: str) -> None:
        time.sleep(float(rest))

    def do_tls(self, rest: str) -> None:
        self._tls(rest or "good", b"")

    def do_tls_and(self, rest: str) -> None:
        self._tls("good", _octets(rest))

    def _tls(self, kind: str, behind: bytes) -> None:
        try:
            self.wire = Tls(self.socket, self.contexts(kind), behind)
        except (ssl.SSLError, ConnectionError):
            self._linger()

    def _shut(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            if isinstance(self.wire, Tls):
                self.wire.close_notify()
            self.socket.shutdown(socket.SHUT_WR)


def _octets(text: str) -> bytes:
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")


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
