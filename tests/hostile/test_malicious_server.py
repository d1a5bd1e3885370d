"""What a malicious mailhub can do that no transcript can tell."""

from __future__ import annotations

import io
import itertools
import socket
import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ssmtp import ctl, journal
from ssmtp.errors import MailhubRefused, MessageRefused
from ssmtp.smtp import phases
from ssmtp.smtp.phases import Clocks
from ssmtp.smtp.reply import Reply
from ssmtp.smtp.steps import Await, Broken, Flight
from ssmtp.spool import failed
from ssmtp.wire.channel import Channel
from tests.certificates import Certificates
from tests.hub import Hub, running
from tests.transcripts import play, program

BY_NAME = {transcript.name: transcript for transcript in play.all_of_them()}
ROUNDS = 1_000_000  # far more than fit into the time-out


class Shouting:
    """A dialogue that does nothing but write a lot."""

    def converse(self) -> Generator[Any, Any, None]:
        yield Flight(b"", phases.CONTENT, content=[bytes(1 << 16)] * 200)


def test_nothing_that_comes_stops_the_clock_of_a_write() -> None:
    """A mailhub that takes nothing is late, however much it may have to say."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    channel = Channel(ours, Clocks(command=0.05))
    task: Any = channel.converse(Shouting())

    with theirs, pytest.raises(Broken, match="took nothing") as caught:
        request = next(task)
        # As if records of TLS that mean nothing came as fast as they can be read.
        for _ in itertools.repeat(None, ROUNDS):
            request = task.send({*request.wanted})
    channel.close()

    assert caught.value.late


class Interrupted:
    """A dialogue that is spoken to between an answer and its next word."""

    def __init__(self, theirs: socket.socket, words: bytes) -> None:
        self.theirs = theirs
        self.words = words

    def converse(self) -> Generator[Any, Any, None]:
        yield Flight(b"RSET\r\n", phases.MAIL)
        self.theirs.sendall(b"250 ok\r\n")
        yield Await(phases.MAIL)
        self.theirs.sendall(self.words)
        yield Flight(b"DATA\r\n", phases.DATA)


@pytest.mark.parametrize("words", [b"250 ok\r\n", b"2", b"\n"])
def test_nothing_is_said_while_anything_is_unread(words: bytes) -> None:
    """What nobody asked for is found before the next flight, not behind it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    channel = Channel(ours, Clocks())

    with theirs:
        with pytest.raises(Broken, match="before it was asked|no reply"):
            next(channel.converse(Interrupted(theirs, words)))
        channel.close()

        assert b"RSET\r\n" == theirs.recv(100)


def test_a_nonce_without_end_condemns_no_message(
    certificates: Certificates, tmp_path: Path
) -> None:
    """SCRAM's answer holds the mailhub's nonce: where that is too long, AUTH fails."""
    ordinary = BY_NAME["scram-iterations-too-many"]
    long = "r=$nonce" + "n" * 9140 + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    steps = [
        (word, long if word == "challenge" else rest) for word, rest in ordinary.steps
    ]
    run = program.run(replace(ordinary, steps=steps), certificates, tmp_path)

    program.judge(ordinary, run)
    assert "too long" in run.stderr


DOUBTFUL = (
    "dot-closed",
    "dot-reset",
    "dot-221-then-closed",
    "reply-cut-off",
    "missing-reply-and-quit",
    "missing-reply-and-quit-unknown",
    "shifted-refusal-like-that-of-quit",
)


@pytest.mark.parametrize("name", DOUBTFUL)
def test_no_other_mailhub_gets_what_one_may_have(
    name: str, certificates: Certificates, tmp_path: Path
) -> None:
    """A message in doubt goes to no second mailhub, and to the first not again."""
    with running(Hub()) as second:
        fallback = f"Mailhub=127.0.0.1:{second.port}"
        transcript = replace(BY_NAME[name], config=[*BY_NAME[name].config, fallback])
        run = program.run(transcript, certificates, tmp_path)

    program.judge(transcript, run)
    assert "in doubt" in run.stderr
    assert 0 == second.connections


def test_a_long_reply_leaves_room_for_the_facts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However much a mailhub says, the log line names the exit code and the file."""
    lines: list[str] = []
    monkeypatch.setattr(journal, "_stuck", lambda: False)
    monkeypatch.setattr("syslog.syslog", lambda priority, line: lines.append(line))
    reply = Reply(554, ["\U0001f600" * 600])
    reason = MessageRefused(f"refused: {reply}", "ask", reply=reply)
    reason.kept_id = "20261121-211409-7f3a9c04"
    journal.failed(reason, login="bob", uid=1000)

    assert len(lines[0].encode()) <= 1000
    assert " exit=69 uid=1000 username=bob kept=20261121-211409-7f3a9c04" in lines[0]


def test_words_that_the_locale_has_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A mailhub that speaks Chinese does not keep the queue from being listed."""
    from ssmtp import intake

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    reply = Reply(554, ["再见"])
    reason = MailhubRefused(f"refused: {reply}", "ask", reply=reply)
    failed.keep(reason=reason, intake=intake.from_blocks(b"", [b"Subject: x\n\n"]))
    octets = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(octets, "latin-1"))
    code = ctl.main(["queue"])

    assert 0 == code
    assert rb"refused: 554 \u518d\u89c1" in octets.getvalue()
