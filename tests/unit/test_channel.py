"""One connection while many commands are being written, and as many answers come."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Generator
from typing import Any

import pytest

from ssmtp.smtp import phases
from ssmtp.smtp.phases import Clocks
from ssmtp.smtp.reply import Reply
from ssmtp.smtp.steps import Await, Broken, Flight
from ssmtp.wire import blocking
from ssmtp.wire.channel import Channel

RCPT = b"RCPT TO:<somebody.with.a.name@department.example.org>\r\n"
RECIPIENTS = 20_000


class Envelope:
    """A dialogue of one flight of commands; returns the replies to them."""

    def converse(self) -> Generator[Any, Any, list[Reply]]:
        yield Flight(RCPT * RECIPIENTS, phases.MAIL)
        replies = []
        for _ in range(RECIPIENTS):
            replies.append((yield Await(phases.RCPT)))
        return replies


def said(play: Callable[[socket.socket], None]) -> list[Reply]:
    """Say the envelope to a mailhub that plays; return its replies."""
    ours, theirs = socket.socketpair()

    def work() -> None:
        with theirs:
            try:
                play(theirs)
            except OSError:
                pass

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    ours.setblocking(False)
    channel = Channel(ours, Clocks(command=5.0))
    try:
        replies: list[Reply] = blocking.run(channel.converse(Envelope()))
        return replies
    finally:
        channel.close()
        thread.join(10)


def test_many_answers_to_many_recipients() -> None:
    """A mailhub that answers before it reads on is read while the rest is written."""

    def play(sock: socket.socket) -> None:
        with sock.makefile("rb") as stream:
            for number, _ in enumerate(stream):
                sock.sendall(b"250 2.1.5 %d%b\r\n" % (number, b" and so on" * 30))

    replies = said(play)

    assert RECIPIENTS == len(replies)
    assert f"2.1.5 {RECIPIENTS - 1} and" == replies[-1].lines[0][:15]


def test_more_than_was_asked() -> None:
    """A mailhub that talks without end while commands are written is left."""

    def play(sock: socket.socket) -> None:
        sock.recv(100)
        while True:
            sock.sendall(b"250 yes\r\n" * 1000)

    with pytest.raises(Broken, match="said far more than it was asked"):
        said(play)


def test_what_is_no_answer() -> None:
    """What is no reply stops the writing at once."""

    def play(sock: socket.socket) -> None:
        sock.recv(100)
        sock.sendall(b"250 yes\r\nwhat?\r\n")
        with sock.makefile("rb") as stream:
            stream.read()

    with pytest.raises(Broken, match="no reply"):
        said(play)
