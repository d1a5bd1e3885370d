"""Hands messages over, as many writers do at once: the same for every server.

    writers.py TARGET WRITERS MESSAGES OCTETS WAY

TARGET is the path of a Unix socket, or HOST:PORT. WAY is `data` or `bdat`, each writer
keeping its connection, or `fresh` for a connection (and DATA) for each message.
Commands are pipelined as far as SMTP allows. All writers are one thread that waits for
all connections, so that the server has the rest of the machine. It speaks just enough
SMTP, knows nothing of ours, and prints the seconds, and the seconds of its own CPU.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections.abc import Callable

HEAD = (
    b"From: bob@example.org\r\nTo: ann@example.net\r\nSubject: one of many\r\n"
    b"Date: Sat, 21 Nov 2026 21:14:09 +0000\r\nMessage-ID: <%d.%d@example.org>\r\n\r\n"
)
LINE = b"The quick brown fox jumps over the lazy dog, and again and again.\r\n"
ENVELOPE = b"MAIL FROM:<bob@example.org>\r\nRCPT TO:<ann@example.net>\r\n"


class Writer:
    """One writer: what it says next, and how many replies it waits for first."""

    def __init__(self, target: str, number: int, octets: int, way: str) -> None:
        self.target = target
        self.number = number
        self.way = way
        self.body = LINE * max(1, (octets - len(HEAD)) // len(LINE))
        self.count = 0
        self.connect()

    def connect(self) -> None:
        """Open the connection, and wait for its greeting."""
        if self.target.startswith("/"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(self.target)
        else:
            host, _, port = self.target.rpartition(":")
            self.socket = socket.create_connection((host, int(port)))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.held = b""
        self.expected = 1
        self.next: Callable[[], None] = self.hello

    def hello(self) -> None:
        """Say who it is; a fresh connection goes on with it at once."""
        self.say(b"EHLO writer.example.org\r\n", 1, self.begin)

    def begin(self) -> None:
        """Begin a message, and with BDAT say all of it."""
        if self.way == "bdat":
            content = HEAD % (self.number, self.count) + self.body
            command = b"BDAT %d LAST\r\n" % len(content)
            self.say(ENVELOPE + command + content, 3, self.done)
        else:
            self.say(ENVELOPE + b"DATA\r\n", 3, self.content)

    def content(self) -> None:
        """Say the content."""
        text = HEAD % (self.number, self.count) + self.body + b".\r\n"
        self.say(text, 1, self.done)

    def done(self) -> None:
        """Count a message that was taken."""
        self.count += 1

    def say(self, text: bytes, replies: int, then: Callable[[], None]) -> None:
        """Say something, and go on when so many replies have come."""
        self.expected = replies
        self.next = then
        self.socket.sendall(text)

    def heard(self) -> bool:
        """Read; True when all expected replies are there."""
        data = self.socket.recv(65536)
        if not data:
            sys.exit(f"writers: hung up: {self.held!r}")
        self.held += data
        lines = self.held.split(b"\n")
        self.held = lines.pop()
        for line in lines:
            if line[:1] not in b"23":
                sys.exit(f"writers: {line!r}")
            self.expected -= line[3:4] != b"-"
        return self.expected == 0

    def leave(self) -> None:
        """End the connection as it should be ended."""
        self.socket.sendall(b"QUIT\r\n")
        self.socket.close()


def main() -> None:
    """Run as a command."""
    target, writers, messages, octets, way = sys.argv[1:]
    before = time.process_time()
    begun = time.perf_counter()
    left = int(messages)
    poll = select.epoll()
    by_fd: dict[int, Writer] = {}
    for number in range(int(writers)):
        writer = Writer(target, number, int(octets), way)
        by_fd[writer.socket.fileno()] = writer
        poll.register(writer.socket.fileno(), select.EPOLLIN)
    begin = 0
    while left:
        for fd, _ in poll.poll():
            writer = by_fd[fd]
            if not writer.heard():
                continue
            if writer.next == writer.hello or writer.next == writer.content:
                writer.next()
                continue
            if writer.next == writer.done:
                writer.done()
                left -= 1
                if way == "fresh":
                    poll.unregister(fd)
                    del by_fd[fd]
                    writer.leave()
                    if begin < int(messages):
                        writer.connect()
                        by_fd[writer.socket.fileno()] = writer
                        poll.register(writer.socket.fileno(), select.EPOLLIN)
                    continue
            if begin < int(messages):
                begin += 1
                writer.begin()
            else:
                poll.unregister(fd)
    seconds = time.perf_counter() - begun
    print(seconds, time.process_time() - before)


if __name__ == "__main__":
    main()
