"""The thread that holds most sessions: what it shares, and what it leaves to others."""

from __future__ import annotations

import errno
import os
import select
import threading
import time

import pytest

from ssmtp import journal
from ssmtp.agent import lobby
from ssmtp.errors import SystemTrouble
from ssmtp.spool.commit import Folder
from ssmtp.spool.queue import Queue
from tests.agent.agents import Peer, inside

MESSAGE = (
    b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
    b"BDAT 19 LAST\r\nSubject: x\r\n\r\nhey\r\n"
)


class Door:
    """Has the queue wait before it publishes, and counts what it gets at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Event()
        self.counts: list[int] = []
        publish = Queue.publish

        def wait(queue, files) -> None:
            self.counts.append(len(files))
            self.reached.set()
            self.open.wait(20)
            publish(queue, files)

        monkeypatch.setattr(Queue, "publish", wait)
        monkeypatch.setattr(lobby, "STUCK", 60.0)

    def close(self) -> None:
        self.open.clear()
        self.reached.clear()


@pytest.fixture
def door(monkeypatch) -> Door:
    return Door(monkeypatch)


def said(peer: Peer, seconds: float = 0.2) -> bool:
    return bool(select.select([peer.socket], [], [], seconds)[0])


def test_all_that_comes_meanwhile_is_queued_together(box, door):
    """While the disk works for one message the others gather; each has its answer."""
    with inside(box):
        first = Peer(box.socket).greet()
        first.message()
        others = [Peer(box.socket).greet() for _ in range(6)]
        door.close()
        door.counts.clear()
        first.socket.sendall(MESSAGE)
        assert door.reached.wait(10)
        for number, peer in enumerate(others):
            peer.socket.sendall(MESSAGE.replace(b"hey", b"%03d" % number))
        early = [said(peer, 0.05) for peer in (first, *others)]
        door.open.set()
        answers = [[peer.reply() for _ in range(3)][2] for peer in (first, *others)]
        for peer in (first, *others):
            peer.close()
    names = [answer.removeprefix("250 2.0.0 queued as ") for answer in answers]
    texts = {entry.id: box.content(entry) for entry in box.entries()}

    assert [False] * 7 == early
    assert [1, 6] == door.counts
    for number, name in enumerate(names[1:]):
        assert texts[name].endswith(b"\r\n\r\n%03d\r\n" % number)


def test_messages_in_one_go(box):
    """Who says several messages without waiting has all answers, in their order."""
    with inside(box), Peer(box.socket).greet() as peer:
        peer.socket.sendall(MESSAGE * 5 + b"NOOP\r\nQUIT\r\n")
        answers = [peer.reply()[:3] for _ in range(17)]
        end = peer.reply()

    assert [*["250"] * 16, "221"] == answers
    assert "" == end
    assert 5 == len(box.entries())


@pytest.mark.parametrize("size", [100, lobby.SMALL - 100, lobby.SMALL + 100, 300_000])
@pytest.mark.parametrize("piece", [977, 1 << 20])
def test_messages_of_any_size(box, size, piece):
    """A message is the same whoever takes it, however it comes; so is the next."""
    text = (b"Subject: x\r\n\r\n" + b"0123456789abcdefghijklm\r\n" * (size // 25))[
        :size
    ]
    text = text[:-2] + b"\r\n"
    with inside(box), Peer(box.socket).greet() as peer:
        for _ in range(2):
            peer.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA")
            whole = text + b".\r\n"
            for at in range(0, len(whole), piece):
                peer.socket.sendall(whole[at : at + piece])
            assert "250" == peer.reply()[:3]
    body = text.partition(b"\r\n\r\n")[2]

    assert [body] * 2 == [
        box.content(entry).partition(b"\r\n\r\n")[2] for entry in box.entries()
    ]


@pytest.mark.parametrize("size", [20, lobby.SMALL + 1])
def test_message_that_is_given_up(box, size):
    """RSET in the middle of a message leaves nothing of it; the next one is whole."""
    with inside(box), Peer(box.socket).greet() as peer:
        peer.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
        peer.socket.sendall(b"BDAT %d\r\n" % size + b"x" * size)
        chunk = peer.reply()
        [reset] = peer.say("RSET")
        answer = peer.message()[2]
    [entry] = box.entries()

    assert ["250", "250", "250"] == [one[:3] for one in (chunk, reset, answer)]
    assert box.content(entry).endswith(b"\r\n\r\nhello\r\n")


@pytest.mark.parametrize(
    ("number", "answer"), [(errno.EIO, "451 4.3.0"), (errno.ENOSPC, "452 4.3.1")]
)
def test_disk_that_fails(box, door, monkeypatch, number, answer):
    """What could not be made durable is refused, all of it, and is not there."""

    def fail(folder) -> None:
        raise OSError(number, os.strerror(number))

    with inside(box):
        peers = [Peer(box.socket).greet() for _ in range(3)]
        peers[0].message()
        door.close()
        for peer in peers:
            peer.socket.sendall(MESSAGE)
        with monkeypatch.context() as broken:
            broken.setattr(Folder, "sync", fail)
            door.open.set()
            refused = [[peer.reply() for _ in range(3)][2] for peer in peers]
        left = box.entries()
        taken = [peer.message()[2] for peer in peers]
        for peer in peers:
            peer.close()

    assert [answer] * 3 == [one[:9] for one in refused]
    assert all(os.strerror(number) in one for one in refused)
    assert 1 == len(left)
    assert all(one.startswith("250") for one in taken)


def test_disk_that_hangs(box, door, monkeypatch):
    """While the disk does not answer, who comes anew is served, and can ask why."""
    monkeypatch.setattr(lobby, "STUCK", 0.1)
    with inside(box):
        with Peer(box.socket).greet() as peer:
            peer.message()
            door.close()
            peer.socket.sendall(MESSAGE)
            assert door.reached.wait(10)
            time.sleep(0.2)
            with Peer(box.socket).greet() as other:
                [status] = other.say("XSTATUS")
            waiting = said(peer)
            door.open.set()
            answers = [peer.reply()[:3] for _ in range(3)]
            again = peer.message()[2]

    assert '"messages": 1' in status
    assert not waiting
    assert ["250"] * 3 == answers
    assert "250" == again[:3]


def test_mistake_in_the_queue(box, monkeypatch):
    """What nobody has foreseen is refused and told; the others go on."""
    publish = Queue.publish

    def stumble(queue, files) -> None:
        monkeypatch.setattr(Queue, "publish", publish)
        raise ValueError("no such thing")

    with inside(box):
        peers = [Peer(box.socket).greet() for _ in range(2)]
        peers[0].message()
        monkeypatch.setattr(Queue, "publish", stumble)
        refused = peers[0].message()[2]
        taken = [peer.message()[2] for peer in peers]
        for peer in peers:
            peer.close()

    assert "451 4.3.0" == refused[:9]
    assert "internal error: ValueError" in refused
    assert all(one.startswith("250") for one in taken)
    assert 3 == len(box.entries())


def test_end_while_the_disk_works(box, door):
    """What waits for the disk when the agent ends is answered before the farewell."""
    with inside(box) as acceptor:
        peer = Peer(box.socket).greet()
        peer.message()
        door.close()
        peer.socket.sendall(MESSAGE)
        assert door.reached.wait(10)
        threading.Timer(0.3, door.open.set).start()
        acceptor.stop()
    answers = [peer.reply() for _ in range(5)]
    peer.close()

    assert ["250", "250", "250", "421", ""] == [one[:3] for one in answers]
    assert 2 == len(box.entries())


def test_who_talks_while_his_message_waits(box, door):
    """What is said behind a message is heard after its answer, and disturbs nobody."""
    with inside(box):
        peer, other = Peer(box.socket).greet(), Peer(box.socket).greet()
        peer.message()
        door.close()
        peer.socket.sendall(MESSAGE)
        assert door.reached.wait(10)
        peer.socket.sendall(b"NOOP\r\n" * 3)
        other.socket.sendall(MESSAGE)
        quiet = not said(peer)
        door.open.set()
        answers = [peer.reply()[:3] for _ in range(6)]
        others = [other.reply()[:3] for _ in range(3)]
        peer.close()
        other.close()

    assert quiet
    assert ["250"] * 6 == answers
    assert ["250"] * 3 == others


def test_places_are_given_back(box, door):
    """However a session ends, its user may come again as often as before."""
    box.configure("MaxConnections=3", "MaxQueuedMessages=1000")
    with inside(box) as acceptor:
        for how in (b"", MESSAGE[:60], MESSAGE, MESSAGE + b"QUIT\r\n", b"XLIST\r\n"):
            for _ in range(4):
                peers = [Peer(box.socket).greet() for _ in range(3)]
                for peer in peers:
                    peer.socket.sendall(how)
                for peer in peers:
                    peer.close()
                until = time.monotonic() + 10
                while len(acceptor.sessions) and time.monotonic() < until:
                    time.sleep(0.002)
                assert 0 == len(acceptor.sessions)
        with Peer(box.socket).greet() as peer:
            answer = peer.message()[2]

    assert answer.startswith("250")


def test_answer_before_the_next_message_waits(box, door, monkeypatch):
    """Of several messages that were said in one go each is answered when it is safe."""
    with inside(box), Peer(box.socket).greet() as peer:
        peer.message()
        calls = len(door.counts)
        publish = Queue.publish

        def first_only(queue, files) -> None:
            if len(door.counts) > calls:
                door.open.clear()
            publish(queue, files)

        monkeypatch.setattr(Queue, "publish", first_only)
        peer.socket.sendall(MESSAGE * 3)
        answers = [peer.reply()[:3] for _ in range(3)]
        quiet = not said(peer)
        monkeypatch.setattr(Queue, "publish", publish)
        door.open.set()
        rest = [peer.reply()[:3] for _ in range(6)]

    assert ["250"] * 3 == answers
    assert quiet
    assert ["250"] * 6 == rest


def test_disk_that_hangs_elsewhere(box, monkeypatch):
    """Whatever holds up the thread of all, who comes anew is served."""
    monkeypatch.setattr(lobby, "STUCK", 0.1)
    go_on, reached = threading.Event(), threading.Event()
    begin = Queue.begin

    def wait(queue, *arguments):
        reached.set()
        go_on.wait(20)
        return begin(queue, *arguments)

    with inside(box), Peer(box.socket).greet() as peer:
        peer.message()
        monkeypatch.setattr(Queue, "begin", wait)
        peer.socket.sendall(MESSAGE)
        assert reached.wait(10)
        time.sleep(0.2)
        with Peer(box.socket) as other:
            greeting = other.reply()
        go_on.set()
        answers = [peer.reply()[:3] for _ in range(3)]

    assert "220" == greeting[:3]
    assert ["250"] * 3 == answers


@pytest.mark.parametrize("first", [[], ["MAIL FROM:<a@b.example>"], ["", "DATA"]])
def test_silence(box, first):
    """Who says nothing is sent away, also in the middle of a message."""
    envelope = ["MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>"]
    lines = [*envelope, "DATA"] if "DATA" in first else first
    with inside(box, idle_seconds=0.4), Peer(box.socket).greet() as peer:
        for line in lines:
            peer.say(line)
        begun = time.monotonic()
        answer = peer.reply()

    assert "421 4.3.2 you took too long" == answer
    assert time.monotonic() - begun < 10


def test_configuration_that_changes_in_a_session(box):
    """The next message of an open session is sent as the new configuration says."""
    with inside(box), Peer(box.socket).greet() as peer:
        peer.message(sender="<bob>")
        box.configure("RewriteDomain=new.example")
        peer.message(sender="<bob>")
        peer.message(sender="<bob>")
    paths = sorted(entry.reverse_path for entry in box.entries())

    assert ["bob@example.org", "bob@new.example", "bob@new.example"] == paths


def test_files_that_cannot_be_counted(box, monkeypatch):
    """Who cannot be told how much he has is told that, and may go on."""

    def fail(*_: object, **__: object) -> tuple[int, int]:
        raise SystemTrouble("it cannot be read", "try again later")

    with inside(box), Peer(box.socket).greet() as peer:
        peer.message()
        with monkeypatch.context() as broken:
            broken.setattr(Queue, "known_usage", fail)
            broken.setattr(Queue, "usage", fail)
            [refused] = peer.say("MAIL FROM:<a@b.example>")
        taken = peer.message()[2]

    assert "451 4.3.0 it cannot be read; try again later" == refused
    assert taken.startswith("250")


def test_many_recipients(box):
    """A message for very many is taken like any other."""
    count = 2 * lobby.FEW
    to = [f"RCPT TO:<c{at}@d.example>" for at in range(count)]
    with inside(box), Peer(box.socket).greet() as peer:
        answers = peer.say("MAIL FROM:<a@b.example>", *to)
        [answer] = peer.say("BDAT 14 LAST\r\nSubject: x\r\n")
    [entry] = box.entries()

    assert all(one.startswith("250") for one in (*answers, answer))
    assert count == len(entry.recipients)


def test_mistake_behind_the_queue(box, monkeypatch):
    """What lies in the queue is queued once, whatever goes wrong behind that."""

    def fail(pages) -> str:
        raise MemoryError

    with inside(box):
        peers = [Peer(box.socket).greet() for _ in range(2)]
        peers[0].message()
        with monkeypatch.context() as broken:
            broken.setattr(journal.Pages, "write", fail)
            answers = [peer.message()[2] for peer in peers]
        answers += [peer.message()[2] for peer in peers]
        for peer in peers:
            peer.close()

    assert all(one.startswith("250") for one in answers)
    assert 5 == len(box.entries())


def test_who_hangs_up_behind_his_message(box, door, monkeypatch):
    """Nobody is kept busy by a client that has left while the disk works."""
    looks: list[int] = []
    more = lobby.Lobby._more

    def counted(hall):
        looks.append(1)
        return more(hall)

    with inside(box):
        peers = [Peer(box.socket).greet() for _ in range(2)]
        peers[0].message()
        monkeypatch.setattr(lobby.Lobby, "_more", counted)
        for peer in peers:
            peer.socket.sendall(MESSAGE)
            peer.close()
        until = time.monotonic() + 10
        while len(box.entries()) < 3 and time.monotonic() < until:
            time.sleep(0.01)

    assert 3 == len(box.entries())
    assert len(looks) < 50


def test_question_in_the_middle_of_a_message(box):
    """What is asked between two chunks is refused, and the message goes on."""
    with inside(box), Peer(box.socket).greet() as peer:
        peer.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
        peer.socket.sendall(b"BDAT 12\r\nSubject: x\r\nXSTATUS\r\nBDAT 2 LAST\r\n\r\n")
        answers = [peer.reply()[:3] for _ in range(3)]

    assert ["250", "503", "250"] == answers
    assert 1 == len(box.entries())
