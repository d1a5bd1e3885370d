"""The link between the halves: words arrive, or cost nothing but time."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssmtp.agent import verbs
from ssmtp.agent.link import EARLY_MOST, Ear, Switchboard
from tests.agent.agents import PYTHON, ROOT, Box
from tests.agent.sending import until

RESCAN = {"flush": None, "rescan": True}


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Switchboard]:
    board = Switchboard(str(tmp_path / "sender.sock"))
    board.start()
    yield board
    board.close()


@pytest.fixture
def ear(board: Switchboard) -> Iterator[Ear]:
    ear = Ear(board.path)
    assert [RESCAN] == ear.words(5)
    wait_for(lambda: board.connected)
    yield ear
    ear.close()


def wait_for(what) -> None:
    until = time.monotonic() + 10
    while not what():
        assert time.monotonic() < until
        time.sleep(0.005)


def heard(ear: Ear, count: int) -> list[dict]:
    words: list[dict] = []
    while len(words) < count:
        found = ear.words(5)
        assert found
        words += found
    return words


def test_words_arrive(board, ear):
    """The sender hears of new messages and of orders, in their order."""
    board.new("a")
    board.flush(None)
    board.flush("b")

    assert [{"new": "a"}, {"flush": None}, {"flush": "b"}] == heard(ear, 3)


def test_socket_is_private(board):
    """Nobody else can listen in."""
    assert 0o600 == stat.S_IMODE(os.stat(board.path).st_mode)


def test_socket_of_somebody_else_stays(board):
    """Who ends removes his own socket, and none that took its place."""
    other = Switchboard(board.path)
    other.start()
    board.close()
    there = os.path.exists(board.path)
    other.close()

    assert (True, False) == (there, os.path.exists(board.path))


def test_verdicts(board, ear):
    """Who waits for a message gets its verdict, also one that came early."""
    board.expect("early")
    board.expect("late")
    ear.done("early", 250, "2.0.0", "ok")
    ear.done("unknown", 250, "2.0.0", "ok")
    ear.say()
    ear.done("late", 550, "5.1.1", "no\n" * 2000)
    threading.Timer(0.05, ear.say).start()
    late = board.wait("late", 10)
    early = board.wait("early", 10)

    assert early == {"done": "early", "code": 250, "status": "2.0.0", "text": "ok"}
    assert late is not None
    assert (550, 2000) == (late["code"], len(late["text"]))


def test_waiting_ends(board):
    """A verdict that does not come is waited for no longer than was said."""
    board.expect("never")

    assert board.wait("never", 0.01) is None


def test_nobody_listens(tmp_path):
    """Words without a listener are lost, and that is no error."""
    board = Switchboard(str(tmp_path / "sock"))
    board.start()
    board.new("a")
    board.flush(None)

    assert not board.connected
    board.close()


def test_connects_again(board, ear):
    """A sender that lost the acceptor finds the next one."""
    board.close()
    assert [] == ear.words(0.05)
    second = Switchboard(board.path)
    second.start()
    try:
        found = heard(ear, 1)
        wait_for(lambda: second.connected)
        second.new("x")

        assert [RESCAN] == found
        assert [{"new": "x"}] == heard(ear, 1)
    finally:
        second.close()


def test_latest_sender_counts(board, ear):
    """A second sender takes the place of the first."""
    second = Ear(board.path)
    try:
        assert [RESCAN] == second.words(5)
        wait_for(lambda: ear.words() == [] and ear.fileno() == -1)
        board.new("a")

        assert [{"new": "a"}] == heard(second, 1)
    finally:
        second.close()


def test_next_sender_comes_while_the_last_one_goes(board):
    """Who is told of senders hears in the end that there is one."""
    told: list[bool] = []
    going = threading.Event()
    again = threading.Event()

    def joined(sender: socket.socket | None) -> None:
        if sender is None:
            going.set()
            again.wait(0.3)
        elif told:
            again.set()
        told.append(sender is not None)

    board.joined = joined
    first = Ear(board.path)
    assert [RESCAN] == first.words(5)
    first.close()
    assert going.wait(5)
    second = Ear(board.path)
    assert [RESCAN] == second.words(5)
    wait_for(lambda: len(told) == 3)
    second.close()

    assert [True, False, True] == told[:3]


def test_sender_that_does_not_listen(board, ear):
    """A sender that is behind is cut off: it will look through the queue itself."""
    for number in range(100_000):
        board.new(f"message-{number}")
        if not board.connected:
            break

    assert not board.connected


def test_verdict_while_the_link_is_broken(board, ear):
    """What is said of a message while nobody hears it is said a little later."""
    board.expect("a")
    board.attach(None)
    ear.done("a", 250, "2.0.0", "Ok")
    ear.say()
    wait_for(lambda: ear.words() == [] and ear.fileno() == -1)
    ear.done("b", 550, "5.1.1", "no")
    ear.say()
    board.expect("b")
    assert [RESCAN] == ear.words(5)
    found = [board.wait(name, 5) for name in ("a", "b")]

    assert [("a", 250), ("b", 550)] == [(word["done"], word["code"]) for word in found]


def test_verdict_that_nobody_waits_for_is_forgotten(board, monkeypatch):
    """What could not be said for long is not said any more."""
    monkeypatch.setattr("ssmtp.agent.link.STALE", 0.0)
    ear = Ear(board.path)
    ear.done("a", 250, "2.0.0", "Ok")
    ear.say()
    assert [RESCAN] == ear.words(5)
    ear.close()
    board.expect("a")

    assert board.wait("a", 0.1) is None


def test_verdict_that_is_said_late(board, ear, monkeypatch):
    """While the acceptor listens somebody may wait, however long a turn takes."""
    monkeypatch.setattr("ssmtp.agent.link.STALE", 0.0)
    board.expect("a")
    ear.done("a", 250, "2.0.0", "Ok")
    time.sleep(0.01)
    ear.say()

    assert board.wait("a", 5) is not None


def test_verdict_before_the_end(board, ear):
    """What a sender that is behind has said is heard, though it is hung up on."""
    names = [f"message-{number}" for number in range(100)]
    for name in names:
        board.expect(name)
        ear.done(name, 250, "2.0.0", "Ok" * 250)  # more than are said at once
    ear.say()
    board.attach(None)

    assert all(board.wait(name, 5) for name in names)


def test_who_is_told_of_senders_hears_of_one_that_was_cut_off(board, ear):
    """A sender that is behind is none any more, for everybody."""
    told: list[bool] = []
    board.joined = lambda sender: told.append(sender is not None)
    for number in range(100_000):
        board.new(f"message-{number}")
        if not board.connected:
            break
    wait_for(lambda: told)

    assert [False] == told


def test_deaf_ear():
    """Without a path the sender works alone."""
    ear = Ear(None)
    ear.done("x", 250, "2.0.0", "ok")
    ear.say()
    begun = time.monotonic()

    assert ([], -1) == (ear.words(0.05), ear.fileno())
    assert time.monotonic() - begun >= 0.05
    ear.close()


def test_wake(board, ear):
    """Another thread can end the wait."""
    threading.Timer(0.05, ear.wake).start()

    assert [] == ear.words(30)


def test_a_verdict_before_anybody_waits(board, ear):
    """What was said of a message is there for who begins to wait a moment later."""
    ear.done("first", 250, "2.0.0", "ok")
    ear.say()
    for number in range(EARLY_MOST):
        ear.done(f"m{number}", 250, "2.0.0", "ok")
        ear.say()
    wait_for(lambda: f"m{EARLY_MOST - 1}" in board._early)
    board.expect("m0")
    board.expect("first")

    assert board.wait("m0", 0)["code"] == 250
    assert board.wait("first", 0) is None
    assert len(board._early) < EARLY_MOST


def test_nothing_is_missed_while_connecting(board):
    """The sender is told to look once it hears of all that comes, and not before."""
    ear = Ear(board.path)
    with board._lock:
        assert [] == ear.words(0.1)

        # This is said to nobody: the acceptor has not come to the connection.
        assert not board.connected

    assert [RESCAN] == ear.words(5)
    assert board.connected
    ear.close()


@pytest.mark.parametrize("line", [b"no json\n", b"[1]\n", b"\xff\n", b"\n"])
def test_nonsense_is_no_word(tmp_path, line):
    """What is no word is passed over."""
    path = str(tmp_path / "sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        ear = Ear(path)
        assert [] == ear.words()
        connection, _ = listener.accept()
        with connection:
            connection.sendall(line + b'{"new": "a"}\n')

            assert [{"new": "a"}] == heard(ear, 1)
        ear.close()


def test_halves_by_hand_meet_where_the_configuration_says(box):
    """A sender without `--link` looks beside the socket that `AgentSocket=` names."""
    box.configure(f"AgentSocket={box.socket}")
    box.start()
    sender = subprocess.Popen(
        [
            *(PYTHON, "-IS", str(ROOT / "bin" / "ssmtpctl"), "agent", "send"),
            *("-C", str(box.own), "--spool", str(box.spool)),
        ],
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(box.place)},
    )
    try:
        until(lambda: _is_connected(box) or sender.poll() is not None)
        connected = _is_connected(box)
    finally:
        sender.terminate()
        sender.wait(30)
        box.stop()

    assert connected


def _is_connected(box: Box) -> bool:
    told = verbs.call(str(box.socket), "XSTATUS")
    return bool(told[0]["sender"] == "connected")
