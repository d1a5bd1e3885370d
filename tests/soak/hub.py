"""The mailhub of the soak: it notes what it takes, and one in ten things goes wrong.

It is a process of its own. For each message that it takes, a line with its number is
written to a file before it says so, with the time.
"""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from pathlib import Path

EHLO = (
    b"250-hub.test\r\n250-PIPELINING\r\n250-SIZE\r\n250-ENHANCEDSTATUSCODES\r\n"
    b"250-8BITMIME\r\n250-DSN\r\n250 CHUNKING\r\n"
)
# What may happen instead of an answer; the share of each among the faults.
DROP, LATER, NEVER, CLOSING, SLOW = "drop", "later", "never", "closing", "slow"
FAULTS = (DROP, DROP, LATER, LATER, CLOSING, SLOW, NEVER)


class Session(threading.Thread):
    """One connection."""

    def __init__(self, connection: socket.socket, notes: int, share: float) -> None:
        super().__init__(daemon=True)
        self.connection = connection
        self.notes = notes
        self.share = share
        self.buffer = b""

    def run(self) -> None:
        """Answer until somebody hangs up."""
        try:
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.answer(b"220 hub.test\r\n", 0.25)
            self.serve()
        except (OSError, EOFError):
            pass
        finally:
            self.connection.close()

    def serve(self) -> None:
        mail, taken = False, 0
        while True:
            line = self.line()
            verb = line[:4].upper()
            if verb == b"EHLO":
                self.answer(EHLO, 0.1)
            elif verb == b"MAIL":
                mail, taken = self.answer(b"250 2.1.0 ok\r\n", 0.5), 0
            elif verb == b"RCPT":
                if not mail:
                    self.say(b"503 5.5.1 MAIL first\r\n")
                elif self.answer(b"250 2.1.5 ok\r\n", 1.0, never=True):
                    taken += 1
            elif verb == b"BDAT":
                content = self.read(int(line.split()[1]))
                if not mail or not taken:
                    self.say(b"503 5.5.1 nobody\r\n")
                else:
                    self.take(content)
                mail = False
            elif verb == b"RSET":
                mail = False
                self.answer(b"250 2.0.0 ok\r\n", 0.1)
            elif verb == b"QUIT":
                self.say(b"221 2.0.0 bye\r\n")
                return
            else:
                self.say(b"500 5.5.1 what\r\n")

    def note(self, word: bytes) -> None:
        """Write down that a message was taken, and when."""
        if word:
            os.write(self.notes, b"%b %.3f\n" % (word, time.time()))

    def take(self, content: bytes) -> None:
        """Take a message, or do not; or take it and say nothing."""
        # A report about a message has its header, too, but further down.
        header = content.partition(b"\r\n\r\n")[0]
        word = header.partition(b"X-Number: ")[2].partition(b"\r")[0]
        chance = random.random() * 8 / self.share if self.share else 9.0
        if chance < 1:
            fault = random.choice(FAULTS)
            if fault == LATER:
                self.say(b"451 4.3.0 later\r\n")
                return
            if fault != DROP or random.random() < 0.5:
                self.note(word)
            if fault in (DROP, CLOSING):
                raise EOFError
        else:
            self.note(word)
        self.say(b"250 2.0.0 queued as Q%dX\r\n" % random.randrange(10**9))

    def answer(self, text: bytes, weight: float, *, never: bool = False) -> bool:
        """Answer so, or go wrong; return whether it was said."""
        if random.random() < self.share * weight / 4:
            fault = random.choice(FAULTS)
            if fault == DROP:
                raise EOFError
            if fault == SLOW:
                time.sleep(0.05)
            elif fault == CLOSING:
                self.say(b"421 4.3.2 closing\r\n")
                raise EOFError
            elif fault == NEVER and never and random.random() < 0.2:
                self.say(b"550 5.1.1 no such user\r\n")
                return False
            elif fault == LATER and text[:3] == b"250" and b"-" not in text:
                self.say(b"451 4.3.0 later\r\n")
                return False
        self.say(text)
        return True

    def say(self, text: bytes) -> None:
        self.connection.sendall(text)

    def line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            self.fill()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def read(self, size: int) -> bytes:
        while len(self.buffer) < size:
            self.fill()
        text, self.buffer = self.buffer[:size], self.buffer[size:]
        return text

    def fill(self) -> None:
        data = self.connection.recv(1 << 16)
        if not data:
            raise EOFError
        self.buffer += data


def serve(listener: socket.socket, notes: Path, share: float, seed: int) -> None:
    """Serve for ever."""
    random.seed(seed)
    fd = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    while True:
        connection, _ = listener.accept()
        Session(connection, fd, share).start()
