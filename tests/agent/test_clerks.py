"""The further processes of the acceptor: who holds a session makes no difference."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from ssmtp.agent import forks, link
from ssmtp.agent.clerks import Clerk, Clerks
from ssmtp.agent.hall import Hall
from ssmtp.agent.tally import Tally
from ssmtp.errors import Deferred
from ssmtp.spool.queue import Queue
from tests.agent.agents import STRANGERS, Box, Peer
from tests.agent.agents import box as boxes

pytestmark = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="one processor, so one process"
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: other users")


@pytest.fixture
def box() -> Iterator[Box]:
    """A box with an acceptor in it."""
    with boxes() as made:
        made.configure("MaxConnections=50")
        made.start()
        yield made


def clerks(box: Box) -> list[int]:
    """The processes that the acceptor has forked."""
    assert box.process is not None
    pid = box.process.pid
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def connections(pid: int) -> int:
    """How many Unix sockets a process has open."""
    found = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found += os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")
    return found


def until(done: Callable[[], bool], what: str) -> None:
    """Wait for something to become so."""
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def several(box: Box, count: int = 8) -> list[Peer]:
    """Open connections, each of which has been greeted."""
    return [Peer(box.socket).greet() for _ in range(count)]


def close(peers: list[Peer]) -> None:
    for peer in peers:
        peer.close()


def test_sessions_are_spread(box):
    """Many sessions at a time are held by all processes, and all of them take mail."""
    before = [connections(pid) for pid in clerks(box)]
    peers = several(box)
    held = [connections(pid) for pid in clerks(box)]
    answers = [peer.message()[2] for peer in peers]
    close(peers)

    assert before
    assert all(now > then for then, now in zip(before, held, strict=True))
    assert {"250"} == {answer[:3] for answer in answers}
    assert len(peers) == len(box.entries())


def test_one_session_wakes_nobody(box):
    """What comes one by one is taken by the first process alone."""
    before = [connections(pid) for pid in clerks(box)]
    with Peer(box.socket).greet() as peer:
        held = [connections(pid) for pid in clerks(box)]
        answer = peer.message()[2]

    assert before == held
    assert "250" == answer[:3]


@pytest.mark.parametrize("others", [0, 2], ids=["first process", "clerk"])
def test_place_of_who_has_left_is_free(box, others):
    """Who has seen the end of a connection may come again at once."""
    box.stop()
    box.configure(f"MaxConnections={others + 1}")
    box.start()
    peers = several(box, others)
    greetings = []
    for _ in range(100):
        with Peer(box.socket) as peer:
            greetings.append(peer.reply()[:3])
            peer.socket.sendall(b"QUIT\r\n")
            peer.stream.read()
    close(peers)

    assert {"220"} == set(greetings)


@pytest.mark.parametrize("others", [0, 2], ids=["first process", "clerk"])
def test_place_of_who_waits_no_more_is_free(box, others):
    """Who is ended while he waits for a verdict does not fill his own limit."""
    box.stop()
    box.configure(f"MaxConnections={others + 1}")
    box.start()
    ear = link.Ear(str(box.socket.parent / "sender.sock"))
    assert ear.words(5)
    peers = several(box, others)
    with Peer(box.socket).greet() as waiting:
        waiting.say("MAIL FROM:<a@b.example> XWAIT", "RCPT TO:<c@d.example>")
        waiting.socket.sendall(b"BDAT 14 LAST\r\nSubject: x\r\n\r\n")
        said = ear.words(5)
        with Peer(box.socket) as early:
            refused = early.reply()[:3]

    def free() -> bool:
        with Peer(box.socket) as peer:
            return peer.reply()[:3] == "220"

    until(free, "his place is still taken")
    close(peers)
    ear.close()

    assert ["new"] == list(said[0])
    assert "421" == refused


def test_clerk_is_killed(box):
    """What a killed process had acknowledged is queued, and its places are free."""
    box.stop()
    box.configure("MaxConnections=8")
    box.start()
    peers = several(box)
    answers = [peer.message()[2] for peer in peers]
    killed = clerks(box)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not clerks(box), "the acceptor does not notice")
    lost = sum(not _talks(peer) for peer in peers)
    again = several(box, lost)
    answers += [peer.message()[2] for peer in again]
    close(again)
    close(peers)

    assert 0 < lost < len(peers)
    assert {"250"} == {answer[:3] for answer in answers}
    assert len(peers) + lost == len(box.entries())
    assert f"a process of the acceptor ({killed[0]}) has died" in box.log()


def test_places_of_one_that_died_are_free(tmp_path):
    """What a killed process was queueing takes nobody's place; the others' stays."""
    uid = STRANGERS[0]
    conf = tmp_path / "agent.conf"
    conf.write_text("mailhub=m.example\nMaxQueuedMessages=2\n")
    queue = Queue.open(str(tmp_path / "spool"), make=True)
    tally = Tally(shared=True)
    hall = Hall(
        str(conf), queue, link.Switchboard(str(tmp_path / "s")), print, tally=tally
    )
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if not pid:
        tally.forked()
        with hall.place(uid, 10):
            os._exit(0)
    theirs.close()
    crowd = Clerks(hall, lambda sock, uid: False)
    crowd._by_fd[ours.fileno()] = Clerk(pid, ours)
    # The new process may still be about to close its copy.
    assert select.select([ours], [], [], 20)[0]
    refused = None
    with hall.place(uid, 10):
        heard = crowd.hear(ours.fileno())
        with hall.place(uid, 10):
            found = hall.queue.usage(uid)
            try:
                hall.place(uid, 10).__enter__()
            except Deferred as error:
                refused = error
    hall.close()
    os.close(hall.closing)
    queue.close()

    assert not heard
    assert (0, 0) == found
    assert refused is not None
    assert "uid 64001 has 2 messages in the queue" in refused.what


def test_configuration_is_read_once_there_are_descriptors(tmp_path):
    """A change that could not be looked at holds as soon as it can."""
    conf = tmp_path / "agent.conf"
    conf.write_text("mailhub=m.example\n")
    queue = Queue.open(str(tmp_path / "spool"), make=True)
    told: list[str] = []
    hall = Hall(str(conf), queue, link.Switchboard(str(tmp_path / "s")), told.append)
    conf.write_text("mailhub=m.example\nMaxQueuedMessages=7\n")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, limits[1]))
    try:
        early = hall.renew()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    late = hall.renew()
    hall.close()
    os.close(hall.closing)
    queue.close()

    assert (False, True) == (early, late)
    assert (7, []) == (hall.config.max_queued_messages, told)


def test_word_that_there_is_no_memory_for(monkeypatch):
    """When memory is short for a moment, what was said is heard a moment later."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    real = socket.recv_fds
    errors = [errno.ENOMEM, errno.ENOBUFS]

    def recv_fds(*arguments):
        if errors:
            number = errors.pop()
            raise OSError(number, os.strerror(number))
        return real(*arguments)

    monkeypatch.setattr(socket, "recv_fds", recv_fds)
    monkeypatch.setattr(forks, "BREATH", 0.0)
    theirs.send(b"{}")
    heard = forks.hear(ours)
    ours.close()
    theirs.close()

    assert (b"{}", []) == heard
    assert [] == errors


def test_clerk_that_hangs(box):
    """One that takes no connection any more is soon handed none."""
    hung = clerks(box)
    for pid in hung:
        os.kill(pid, signal.SIGSTOP)
    peers: list[Peer] = []
    greeted: list[bool] = [False]
    end = time.monotonic() + 20
    while not all(greeted) and time.monotonic() < end:
        fresh = [Peer(box.socket) for _ in range(4)]
        peers += fresh
        greeted = [bool(select.select([one.socket], [], [], 0.3)[0]) for one in fresh]
    done = box.sendmail("a@b.example")
    for pid in hung:
        os.kill(pid, signal.SIGKILL)
    close(peers)

    assert (0, b"") == (done.returncode, done.stderr)


def test_clerk_is_killed_before_it_has_listened(box):
    """One that dies with connections that it has not taken yet costs nobody his."""
    mine = several(box, 2)
    killed = clerks(box)
    for pid in killed:
        os.kill(pid, signal.SIGSTOP)
    unheard = [Peer(box.socket) for _ in killed]
    waiting = select.select([peer.socket for peer in unheard], [], [], 0.3)[0] == []
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    said = [peer.reply() for peer in unheard]
    mine += several(box, 2)
    answers = [peer.message()[2][:3] for peer in mine]
    close([*mine, *unheard])

    assert waiting
    assert {"220"} == {words[:3] for words in said}
    assert {"250"} == set(answers)
    assert f"a process of the acceptor ({killed[0]}) has died" in box.log()


def test_clerk_without_descriptors(box):
    """A connection that one has no descriptor for is held by the first process."""
    peers = several(box, 2)
    for pid in clerks(box):
        taken = set(map(int, os.listdir(f"/proc/{pid}/fd")))
        free = min(set(range(len(taken) + 1)) - taken)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, free))
    peers += several(box, 4)
    answers = [peer.message()[2][:3] for peer in peers]
    close(peers)

    assert ["250"] * 6 == answers


@needs_root
def test_places_of_all_who_have_left_are_free(box):
    """Who leaves behind another one has his place back at once, too."""
    assert box.process is not None
    box.stop()
    box.configure("MaxConnections=3")
    box.start()
    mine = several(box, 2)  # the first process's
    held = connections(box.process.pid)
    os.seteuid(STRANGERS[0])
    others = several(box, 1)
    os.seteuid(0)
    mine += several(box, 1)
    until(lambda: connections(box.process.pid) <= held, "it keeps what it has given")
    box.process.send_signal(signal.SIGSTOP)
    for peer in (*others, mine[2]):
        peer.socket.sendall(b"QUIT\r\n")
        assert peer.reply()[:3] == "221"
        peer.stream.read()
    again = Peer(box.socket)
    box.process.send_signal(signal.SIGCONT)
    said = again.reply()
    close([*mine, *others, again])

    assert "220" == said[:3]


def test_wrong_configuration_is_told_once(box):
    """However many processes there are, one of them tells what is wrong, each time."""
    told: list[int] = []
    for wrong in ("MaxConnections=many", "MaxConnections=few"):
        box.own.write_text(f"{box.own.read_text()}{wrong}\n")
        close(several(box))
        until(lambda: box.log().count("still holds") > len(told), "nobody tells")
        close(several(box))
        told.append(box.log().count("still holds"))

    assert [1, 2] == told


def _talks(peer: Peer) -> bool:
    try:
        return peer.say("NOOP") != [""]
    except OSError:
        return False


def test_acceptor_is_killed(box):
    """Nobody of a killed acceptor stays, and the next one finds its place free."""
    assert box.process is not None
    peers = several(box)
    left = clerks(box)
    box.process.kill()
    box.process.wait()
    answers = [peer.reply() for peer in peers]
    until(lambda: not any(map(_lives, left)), "a process stays")
    box.start()
    with Peer(box.socket).greet() as peer:
        taken = peer.message()[2]
    close(peers)

    assert {"", "421"} == {answer[:3] for answer in answers}
    assert "250" == taken[:3]


def test_acceptor_is_killed_before_it_has_listened(box):
    """What is under way is taken, though the first process heard no more who left."""
    assert box.process is not None
    peers = several(box)
    gone = several(box)
    for peer in peers:
        peer.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
        peer.socket.sendall(b"BDAT 14 LAST\r\n")
    box.process.send_signal(signal.SIGSTOP)
    left = clerks(box)
    held = sum(map(connections, left))
    close(gone)
    until(lambda: sum(map(connections, left)) < held, "nobody leaves")
    box.process.kill()
    box.process.wait()
    answers = []
    for peer in peers:
        try:
            peer.socket.sendall(b"Subject: x\r\n\r\n")
            answers.append(peer.reply()[:3])
        except OSError:
            pass  # the first process had it
    close(peers)

    assert "250" in answers
    assert {"250", ""} >= set(answers)
    assert "internal error" not in box.log()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


def test_message_under_way_at_the_end(box):
    """Whoever holds it, what is under way is taken, idle sessions hear 421."""
    idle = several(box)
    busy = several(box)
    for peer in busy:
        peer.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
        peer.socket.sendall(b"BDAT 21 LAST\r\nSubject: x\r\n")

    def rest() -> None:
        for peer in busy:
            peer.socket.sendall(b"\r\nhello\r\n")

    timer = threading.Timer(0.3, rest)
    timer.start()
    code = box.stop()
    heard = [peer.reply()[:3] for peer in idle]
    taken = [(peer.reply()[:3], peer.reply()[:3]) for peer in busy]
    close([*idle, *busy])

    assert 0 == code
    assert {"421"} == set(heard)
    assert {("250", "421")} == set(taken)
    assert len(busy) == len(box.entries())


_SEND = """
import socket, sys
def reply(stream):
    while (line := stream.readline())[3:4] == b"-":
        pass
    return line[:3].decode()
peers = []
for _ in range(8):
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(sys.argv[1])
    peers.append((peer, peer.makefile("rb")))
for peer, stream in peers:
    reply(stream)
    peer.sendall(b"EHLO x\\r\\n")
    reply(stream)
for _ in range(2):
    for peer, stream in peers:
        peer.sendall(b"RSET\\r\\nMAIL FROM:<>\\r\\n")
        reply(stream)
        print(reply(stream))
        peer.sendall(b"RCPT TO:<c@d.example>\\r\\nBDAT 14 LAST\\r\\n")
        peer.sendall(b"Subject: x\\r\\n\\r\\n")
        reply(stream)
        reply(stream)
"""


@needs_root
@pytest.mark.parametrize("limit", ["MaxMessagesPerMinute=5", "MaxQueuedMessages=5"])
def test_limits_hold_for_all_processes_together(box, limit):
    """A user gets no more by asking several processes."""
    box.stop()
    box.configure("MaxConnections=50", limit)
    box.start()
    done = subprocess.run(
        [sys.executable, "-IS", "-c", _SEND, str(box.socket)],
        capture_output=True,
        text=True,
        check=True,
        user=STRANGERS[0],
        group=STRANGERS[0],
        extra_groups=[],
        timeout=50,
    )
    answers = done.stdout.split()

    assert 5 == len(box.entries())
    assert ["250"] * 5 == [answer for answer in answers if answer == "250"]
    assert 16 == len(answers)


def test_wait_at_a_clerk(box):
    """Any process tells the sender of a message, and tells --wait what became of it."""

    def sockets() -> list[int]:
        return [connections(pid) for pid in clerks(box)]

    alone = sockets()
    ear = link.Ear(str(box.socket.parent / "sender.sock"))
    assert [{"flush": None, "rescan": True}] == ear.words(5)
    peers = several(box, 2)  # these are the first process's
    # Who has not read yet that there is a sender is handed no connection.
    until(lambda: sum(sockets()) == sum(alone) + len(alone), "no way to the sender")
    before = sockets()
    during: list[int] = []

    def sender() -> None:
        for word in ear.words(20):
            during.extend(sockets())
            ear.done(word["new"], 550, "5.1.1", "no such user")
            ear.say()

    thread = threading.Thread(target=sender)
    thread.start()
    done = box.sendmail("--wait", "a@b.example")
    thread.join()
    plain = box.sendmail("a@b.example")
    said = ear.words(20)
    ear.close()
    close(peers)

    assert sum(during) > sum(before)
    assert (67, 0) == (done.returncode, plain.returncode)
    assert b"no such user" in done.stderr
    assert [["new"]] == [list(word) for word in said]


@pytest.fixture
def strangers_box() -> Iterator[Box]:
    """A box with an acceptor that runs as a user whose threads can be limited."""
    with boxes() as made:
        made.configure("MaxConnections=50")
        os.chown(made.place, STRANGERS[0], STRANGERS[0])
        made.start(STRANGERS[0])
        yield made


def _threads(box: Box, more: bool) -> None:
    """Let the first process have more threads than it has, or no more."""
    assert box.process is not None
    most = resource.getrlimit(resource.RLIMIT_NPROC)[1] if more else 1
    subprocess.run(
        ["prlimit", f"--pid={box.process.pid}", f"--nproc={most}:"],
        user=STRANGERS[0],
        group=STRANGERS[0],
        extra_groups=[],
        check=True,
    )


@needs_root
def test_wait_at_a_clerk_without_threads(strangers_box):
    """Who cannot be waited for is told that his mail is queued, or not taken at all."""
    box = strangers_box
    ear = link.Ear(str(box.socket.parent / "sender.sock"))
    assert ear.words(5)
    peers = several(box)
    _threads(box, False)
    for peer in peers:
        peer.say("MAIL FROM:<a@b.example> XWAIT", "RCPT TO:<c@d.example>")
        peer.socket.sendall(b"BDAT 14 LAST\r\nSubject: x\r\n\r\n")
    told: list[str] = []
    while words := ear.words(3):
        for word in words:
            told.append(word["new"])
            ear.done(word["new"], 250, "2.0.0", "Ok")
            ear.say()
    answers = [peer.reply() for peer in peers]
    ear.close()
    close(peers)
    refused = [one for one in answers if one.startswith("421 4.7.0 there are too many")]

    assert {entry.id for entry in box.entries()} == set(told)
    assert len(peers) == len(told) + len(refused)
    assert all("queued as" in one for one in answers if one not in refused)
    assert any("too many wait" in answer for answer in answers)


@needs_root
def test_connection_without_a_thread(strangers_box):
    """Who cannot be served now is told so, and not cut off without a word."""
    box = strangers_box
    _threads(box, False)
    with Peer(box.socket).greet() as peer:
        taken = peer.message()[2]
        head = "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 14 LAST"
        peer.socket.sendall(f"{head}\r\nSubject: x\r\n\r\nNOOP\r\nXLIST\r\n".encode())
        *more, said = [peer.reply() for _ in range(5)]

    assert taken.startswith("250")
    assert ["250"] * 4 == [one[:3] for one in more]
    assert "421 4.7.0 there are too many connections; try again later" == said


@needs_root
def test_sender_comes_when_there_are_no_threads(strangers_box):
    """A sender that could not be listened to is heard when it comes again."""
    box = strangers_box
    hello = [{"flush": None, "rescan": True}]
    _threads(box, False)
    ear = link.Ear(str(box.socket.parent / "sender.sock"))
    assert hello == ear.words(5)
    assert [] == ear.words(0.1)
    _threads(box, True)
    said = ear.words(10)
    with Peer(box.socket).greet() as peer:
        answer = peer.message()[2]
    new = ear.words(5)
    ear.close()

    assert hello == said
    assert answer.endswith(new[0]["new"])


def test_one_processor():
    """Where there is one processor there is one process."""
    with boxes() as made:
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(mine)})
        try:
            made.start()
        finally:
            os.sched_setaffinity(0, mine)
        peers = several(made, 5)
        answers = [peer.message()[2] for peer in peers]
        close(peers)

        assert [] == clerks(made)
    assert {"250"} == {answer[:3] for answer in answers}


def test_hangup_is_no_end(box):
    """SIGHUP, which asks daemons to read their configuration, ends no process of it."""
    assert box.process is not None
    before = clerks(box)
    for pid in (*before, box.process.pid):
        os.kill(pid, signal.SIGHUP)
    done = box.sendmail("a@b.example")

    assert 0 == done.returncode
    assert before == clerks(box)
