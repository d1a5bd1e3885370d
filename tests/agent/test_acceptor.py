"""The acceptor: who calls, what it takes, how it refuses, and how it ends."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import platform
import pwd
import resource
import select
import shutil
import signal
import socket
import threading
import time
import types

import pytest

from ssmtp import direct
from ssmtp.agent import acceptor as acceptors
from ssmtp.agent import link, verbs
from ssmtp.agent.acceptor import Acceptor
from ssmtp.agent.answers import CHANGES_MOST, PACE
from ssmtp.errors import AuthRefused, ConfigError, SystemTrouble, UsageError
from ssmtp.spool import queuerecords
from ssmtp.spool.queue import Draft, Recipient
from tests.agent.agents import PYTHON, ROOT, STRANGERS, Box, Peer, inside

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root: other users")
ALICE, BOB = STRANGERS
TGKILL = {"x86_64": 234, "aarch64": 131, "riscv64": 131}.get(platform.machine())


def test_greeting(agent):
    """EHLO offers what the design says, and the private extension."""
    with Peer(agent.socket) as peer:
        greeting = peer.reply()
        [offers] = peer.say("EHLO me")

    assert greeting.startswith("220 ")
    assert {
        *("PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN"),
        *("ENHANCEDSTATUSCODES", "XSUBMIT", "HELP"),
    } == {line[4:] for line in offers.splitlines()[1:]}


def test_many_messages_on_one_connection(agent):
    """A connection takes as many messages as its client has."""
    with Peer(agent.socket).greet() as peer:
        answers = [peer.message()[2] for _ in range(5)]

    names = [answer.removeprefix("250 2.0.0 queued as ") for answer in answers]
    assert sorted(names) == sorted(entry.id for entry in agent.fresh())


def test_data(agent):
    """A client that knows no BDAT may say DATA."""
    with Peer(agent.socket).greet() as peer:
        peer.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA")
        [answer] = peer.say("Subject: x\r\n\r\n..dot\r\n.")

    [entry] = agent.fresh()
    assert f"250 2.0.0 queued as {entry.id}" == answer
    assert agent.content(entry).endswith(b"\r\n\r\n.dot\r\n")


@pytest.mark.parametrize(
    "end",
    [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r\n.\r",
        "\r.\r\n",
        "\n.\r",
        "\r\n\0.\r\n",
        "\r\n.\0\r\n",
    ],
)
def test_only_one_end_of_data(agent, end):
    """Nothing but CR LF . CR LF ends a message, whoever wrote its text."""
    hidden = "MAIL FROM:<x@y.example>\r\nRCPT TO:<z@y.example>\r\nDATA\r\nhi\r\n.\r\n"
    with Peer(agent.socket).greet() as peer:
        peer.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA")
        peer.socket.sendall(f"Subject: x\r\n\r\nx{end}{hidden}".encode())
        first = peer.reply()

    assert first.startswith("250")
    assert ["a@b.example"] == [entry.reverse_path for entry in agent.fresh()]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("MAIL FROM:<a@b@c>", "501"),
        ("MAIL FROM:<a@b.example> XFROM=SOME", "501"),
        ("MAIL FROM:<> XNAME=+ZZ", "501"),
        ("MAIL FROM:<> XREAD=yes", "501"),
        ("MAIL FROM:<> XUID=0", "555"),
        ("XLIST everything", "501"),
        ("XSHOW", "501"),
        ("XSHOW no-such", "550"),
        ("XDROP ../../etc/passwd", "550"),
        ("XCLIENT ADDR=1.2.3.4", "500"),
        ("AUTH PLAIN AGEAYg==", "502"),
        ("STARTTLS", "502"),
        ("BDAT x", "421"),
        ("x" * 5000, "500"),
        ("MAIL FROM:<a@b.example>\x00", "500"),
    ],
)
def test_nonsense(agent, line, code):
    """What makes no sense is refused, and nobody else notices."""
    with Peer(agent.socket).greet() as peer, Peer(agent.socket).greet() as other:
        [answer] = peer.say(line)
        fine = other.message()

    assert code == answer[:3]
    assert fine[2].startswith("250")


def test_too_many_mistakes(agent):
    """A client that only makes mistakes is sent away."""
    with Peer(agent.socket).greet() as peer:
        answers = peer.say(*["what"] * 20)

    assert "421" == answers[-1][:3]


@pytest.mark.parametrize("cut", range(0, 120, 7))
def test_clients_that_vanish(agent, cut):
    """A client that hangs up anywhere leaves nothing, and disturbs nobody."""
    text = (
        b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
        b"BDAT 60 LAST\r\nSubject: x\r\n\r\nhello, this is never finished"
    )
    peer = Peer(agent.socket)
    peer.socket.sendall(text[:cut])
    peer.close()
    with Peer(agent.socket).greet() as other:
        answer = other.message()[2]

    assert answer.startswith("250")
    assert 1 == len(agent.fresh())


def test_xread_needs_a_recipient_somewhere(agent):
    """Without RCPT, and nobody in the header, the message is refused as a mistake."""
    with Peer(agent.socket).greet() as peer:
        peer.say("MAIL FROM:<> XFROM=NONE XREAD")
        peer.socket.sendall(b"BDAT 14 LAST\r\nSubject: x\r\n\r\n")
        answer = peer.reply()

    assert answer.startswith("554 5.5.4 nobody to send to")
    assert [] == agent.fresh()


def test_too_big(box):
    """MaxMessageSize holds, for what SIZE says and for what comes."""
    box.configure("MaxMessageSize=10K")
    box.start()
    with Peer(box.socket).greet() as peer:
        [told] = peer.say("MAIL FROM:<a@b.example> SIZE=20000")
        untold = peer.message(content="Subject: x\r\n\r\n" + "x" * 20000 + "\r\n")
        fine = peer.message()
    done = box.sendmail("a@b.example", text="x\n" * 10000)

    assert ("552", "552", "250") == (told[:3], untold[2][:3], fine[2][:3])
    assert 65 == done.returncode
    assert 1 == len(box.entries())


# Who calls, and what for


@needs_root
def test_identity_comes_from_the_kernel(box):
    """Mail belongs to who has sent it, whatever the client says."""
    box.configure("FromLineOverride=no")
    box.start()
    done = box.sendmail(
        "-f", "root@example.org", "a@b.example", uid=ALICE, LOGNAME="root", USER="root"
    )
    [entry] = box.entries()

    assert (0, b"") == (done.returncode, done.stderr)
    assert (ALICE, f"uid{ALICE}") == (entry.uid, entry.login)
    assert f"uid{ALICE}@example.org" == entry.reverse_path


@needs_root
def test_own_mail_only(box):
    """A user sees and touches his own mail; root sees and touches all of it."""
    box.start()
    for uid in STRANGERS:
        box.sendmail("secret@b.example", uid=uid)
    mine, other = (e.id for e in sorted(box.entries(), key=lambda e: e.uid))
    listed = box.sendmail("-bp", uid=ALICE).stdout.decode()
    everything = box.sendmail("-bp").stdout.decode()
    answers = _as_user(ALICE, box, "XLIST all", f"XSHOW {other}", f"XDROP {other}")
    answers += _as_user(ALICE, box, f"XHOLD {other}", f"XRELEASE {other}", "XLIST")
    dropped = _as_user(ALICE, box, f"XDROP {mine[-8:]}")

    assert (True, False) == (mine in listed, other in listed)
    assert (True, True) == (mine in everything, other in everything)
    assert [550] * 5 == [int(answer[:3]) for answer in answers[:5]]
    assert other not in "".join(answers).replace(f"no message {other}", "")
    assert "250" == dropped[0][:3]
    assert [other] == [entry.id for entry in box.entries()]


@needs_root
def test_nobody_in_particular(box):
    """Users of other namespaces all look alike: they may send, and see nothing."""
    box.start()
    done = box.sendmail("a@b.example", uid=65534)
    [answer] = _as_user(65534, box, "XLIST")

    assert 0 == done.returncode
    assert "550" == answer[:3]


def _as_user(uid: int, box: Box, *lines: str) -> list[str]:
    """Say lines to the agent as another user; return the replies."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            with Peer(box.socket).greet() as peer:
                os.write(writes, json.dumps(peer.say(*lines)).encode())
        finally:
            os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as answers:
        text = answers.read()
    os.waitpid(child, 0)
    found: list[str] = json.loads(text)
    return found


@needs_root
def test_connections_of_one_user(box):
    """One user cannot take all connections."""
    box.configure("MaxConnections=3")
    box.start()
    peers = [Peer(box.socket) for _ in range(3)]
    greetings = [peer.reply() for peer in peers]
    until = time.monotonic() + 10
    while greetings[-1][:3] == "421" and time.monotonic() < until:
        # The look whether it had started may count for a moment.
        peers.pop().close()
        peers.append(Peer(box.socket))
        greetings[-1] = peers[-1].reply()
    with Peer(box.socket) as fourth:
        refused = fourth.reply()
    done = box.sendmail("a@b.example", uid=ALICE)
    peers[0].close()
    until = time.monotonic() + 10
    again = ""
    while not again.startswith("220") and time.monotonic() < until:
        with Peer(box.socket) as fifth:
            again = fifth.reply()
    for peer in peers:
        peer.close()

    assert ["220"] * 3 == [greeting[:3] for greeting in greetings]
    assert "421 4.7.0" == refused[:9]
    assert 0 == done.returncode
    assert "220" == again[:3]


@needs_root
def test_messages_of_one_user(box):
    """One user cannot fill the queue for the others, in number, size or speed."""
    box.configure("MaxQueuedMessages=2", "MaxMessagesPerMinute=4")
    box.start()
    codes = [box.sendmail("a@b.example", uid=ALICE) for _ in range(3)]
    other = box.sendmail("a@b.example", uid=BOB)

    assert [0, 0, 75] == [done.returncode for done in codes]
    assert b"MaxQueuedMessages" in codes[2].stderr
    assert 0 == other.returncode
    assert 1 == len(box.kept())


def test_octets_of_one_user(box):
    """What is too much for the queue is refused while it comes, and not for ever."""
    box.configure("MaxQueuedSize=3M")
    box.start()
    with Peer(box.socket).greet() as peer:
        [told] = peer.say("MAIL FROM:<a@b.example> SIZE=5000000")
        line = "x" * 70 + "\r\n"
        untold = peer.message(content="Subject: x\r\n\r\n" + line * 70000)
        fine = peer.message()

    assert ("452 4.3.1", "452 4.3.1") == (told[:9], untold[2][:9])
    assert "250" == fine[2][:3]


@needs_root
def test_who_ends_meanwhile_counts_once(box, monkeypatch):
    """The last who fits gets in, though another one ends while room is looked for."""
    box.configure("MaxQueuedMessages=2")
    with inside(box) as agent:
        tally, queue = agent.hall._tally, agent.hall.queue
        real = queue.usage
        assert (0, 0) == real(ALICE)
        tally.come(ALICE, 10)

        def usage(*arguments, **more):
            if tally.added(ALICE) == (0, 0):
                draft = Draft(ALICE, "ann", "", [Recipient("a@example.org")])
                queue.add(draft, [b"Subject: x\r\n\r\n"])
                tally.go(ALICE, 10)
            return real(*arguments, **more)

        monkeypatch.setattr(queue, "usage", usage)
        with agent.hall.place(ALICE, 10):
            found = real(ALICE, fresh=False)

    assert 1 == found[0]


def test_recipients_take_room_too(box):
    """Many recipients are no way to fill more of the disk than one's part."""
    box.configure("MaxQueuedSize=100K")
    box.start()
    names = [f"RCPT TO:<{'x' * 60}{number}@d.example>" for number in range(100)]
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Peer(box.socket)).greet() for _ in range(20)]
        for peer in peers:
            peer.say("MAIL FROM:<a@b.example>", *names)
        for peer in peers:
            peer.socket.sendall(b"BDAT 14 LAST\r\nSubject: x\r\n\r\n")
        answers = [peer.reply() for peer in peers]
    taken = sum(entry.size for entry in box.entries())

    assert {"250", "452"} == {answer[:3] for answer in answers}
    assert 90_000 < taken < 100 << 10


@pytest.mark.parametrize(
    ("limit", "content", "most"),
    [("MaxQueuedMessages=5", "", 5), ("MaxQueuedSize=1M", "x" * 400_000 + "\r\n", 2)],
)
def test_limits_hold_for_what_comes_at_the_same_time(box, limit, content, most):
    """Who begins many messages before he ends one gets no more into the queue."""
    box.configure("MaxConnections=50", limit)
    box.start()
    text = f"Subject: x\r\n\r\n{content}".encode()
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Peer(box.socket)).greet() for _ in range(12)]
        for peer in peers:
            peer.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
        for peer in peers:
            peer.socket.sendall(b"BDAT %d\r\n%b" % (len(text), text))
            peer.reply()
        for peer in peers:
            peer.socket.sendall(b"BDAT 0 LAST\r\n")
        answers = [peer.reply() for peer in peers]
    refused = [answer for answer in answers if answer[:3] != "250"]

    assert most == len(box.entries())
    assert most + len(refused) == len(peers)
    assert {f"452 4.3.1 {limit.partition('=')[0]}"} == {
        f"{answer[:9]} {answer.partition('(')[2].partition(')')[0]}"
        for answer in refused
    }


def test_allow_sender(box):
    """AllowSender holds for the reverse-path and for From, as 77 says."""
    box.configure(f"AllowSender=uid{ALICE}:own,*@shop.example")
    box.start()
    words = ["a@b.example"]
    own = box.sendmail(*words, uid=ALICE)
    shop = box.sendmail("-f", "me@shop.example", *words, uid=ALICE)
    path = box.sendmail("-f", "ceo@corp.example", *words, uid=ALICE)
    author = box.sendmail(
        "-f", "me@shop.example", *words, uid=ALICE, text="From: ceo@corp.example\n\nx\n"
    )
    nobody = box.sendmail(*words, uid=BOB)
    codes = [done.returncode for done in (own, shop, path, author, nobody)]

    assert [0, 0, 77, 77, 77] == codes
    assert b"may not send as ceo@corp.example" in author.stderr


def test_full_disk(box):
    """Without room the message is refused as 452, and kept by its sender."""
    box.configure("MinFreeSpace=99%")
    box.start()
    done = box.sendmail("a@b.example")
    with Peer(box.socket).greet() as peer:
        answer = peer.message()[2]

    assert 75 == done.returncode
    assert b"MinFreeSpace" in done.stderr
    assert "452 4.3.1" == answer[:9]
    assert (1, []) == (len(box.kept()), box.entries())


@pytest.mark.parametrize("part", ["queue", "failed"])
def test_queue_that_was_removed(box, part):
    """Without its queue the acceptor ends, so that the next one makes another."""
    box.start()
    shutil.rmtree(box.spool / part)
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(box.socket))
        code = box.process.wait(30)
    words = box.log()
    box.start()

    assert 75 == code
    assert f"{box.spool}/{part} was removed while the agent ran; start it" in words
    assert 0 == box.sendmail("a@b.example").returncode


# Clients that are slow, and an agent that ends


def test_slow_client(box):
    """A client that says nothing, or dribbles, is sent away."""
    with inside(box, idle_seconds=0.3, message_seconds=0.6):
        idle, slow = Peer(box.socket).greet(), Peer(box.socket).greet()
        slow.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
        slow.socket.sendall(b"BDAT 100000 LAST\r\n")
        with contextlib.suppress(OSError):
            while not _readable(slow.socket):
                slow.socket.sendall(b"x\r\n")
        answers = [idle.reply(), slow.reply()]
        for peer in (idle, slow):
            peer.close()

    assert ["421", "421"] == [answer[:3] for answer in answers]
    assert [] == box.entries()


def _dribble(peer, piece):
    """Say the same again and again until there is an answer; return it."""
    begun = time.monotonic()
    with contextlib.suppress(OSError):
        while not _readable(peer.socket) and time.monotonic() < begun + 4:
            peer.socket.sendall(piece)
    peer.socket.settimeout(0.1)
    return peer.reply()


@pytest.mark.parametrize("first", ["", "BDAT 100000\r\n"])
def test_command_that_never_ends(box, first):
    """Who dribbles a command, or what belongs to none, is sent away, too."""
    with inside(box, idle_seconds=0.5):
        with Peer(box.socket).greet() as peer:
            peer.socket.sendall(first.encode())
            answer = _dribble(peer, b"x")

    assert "421 4.3.2 you took too long" == answer


def test_message_that_is_too_big_and_never_ends(box):
    """What will be refused has no more time to come than any other message."""
    box.configure("MaxMessageSize=1K")
    with inside(box, idle_seconds=5, message_seconds=0.5):
        with Peer(box.socket).greet() as peer:
            peer.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA")
            peer.socket.sendall(b"x" * 3000)
            answer = _dribble(peer, b"x\r\n")

    assert "421 4.3.2 you took too long" == answer
    assert [] == box.entries()


def test_time_of_a_message_that_is_no_more(box):
    """A message that is given up, or refused, has no time that could be over."""
    box.configure("MaxQueuedSize=1M")
    with inside(box, message_seconds=0.3):
        peers = [Peer(box.socket).greet() for _ in range(2)]
        peers[0].say("MAIL FROM:<a@b.example>", "RSET")
        peers[1].say("MAIL FROM:<a@b.example> SIZE=2000000")
        time.sleep(0.4)  # nothing is to be said meanwhile
        heard = [peer.say("NOOP")[0] for peer in peers]
        for peer in peers:
            peer.close()

    assert ["250 2.0.0 ok"] * 2 == heard


def _readable(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], 0.1)[0])


def test_client_that_does_not_read(box):
    """A client that never takes its replies ends; others go on."""
    with inside(box, idle_seconds=0.3) as acceptor:
        deaf = Peer(box.socket)
        with contextlib.suppress(OSError):
            deaf.socket.settimeout(1)
            while True:
                deaf.socket.sendall(b"NOOP\r\n" * 10000)
        deaf.close()
        with Peer(box.socket).greet() as peer:
            answer = peer.message()[2]
        until = time.monotonic() + 10
        while acceptor.sessions.threads and time.monotonic() < until:
            time.sleep(0.01)

        assert set() == acceptor.sessions.threads
    assert "250" == answer[:3]


def test_sigterm(box):
    """Sessions hear 421, a message that is under way is taken first, and exit is 0."""
    box.start()
    idle, busy = Peer(box.socket).greet(), Peer(box.socket).greet()
    busy.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
    busy.socket.sendall(b"BDAT 21 LAST\r\nSubject: x\r\n")
    threading.Timer(0.3, busy.socket.sendall, [b"\r\nhello\r\n"]).start()
    code = box.stop()
    answers = [idle.reply(), busy.reply(), busy.reply()]
    for peer in (idle, busy):
        peer.close()

    assert 0 == code
    assert ["421", "250", "421"] == [answer[:3] for answer in answers]
    assert 1 == len(box.entries())
    assert not box.socket.exists()


@pytest.mark.skipif(TGKILL is None, reason="the number of tgkill(2) is not known")
def test_sigterm_of_another_thread(box):
    """SIGTERM ends it though the main thread is not the one that is interrupted."""
    box.start()
    assert box.process is not None
    pid = box.process.pid
    # The first one listens to the sender; that of the session at the start may be gone.
    other = min({*map(int, os.listdir(f"/proc/{pid}/task"))} - {pid})
    ctypes.CDLL(None).syscall(TGKILL, pid, other, signal.SIGTERM)

    assert 0 == box.process.wait(10)
    assert not box.socket.exists()


def test_message_that_outlasts_the_agent(box):
    """Who is cut off at the end of the agent hears that this is why."""
    with inside(box, grace_seconds=0.2):
        peer = Peer(box.socket).greet()
        peer.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
        peer.socket.sendall(b"BDAT 21 LAST\r\nSubject: x\r\n")
    answer = peer.reply()
    peer.close()

    assert "421 4.3.2 the agent is being restarted, try again" == answer


def test_message_that_begins_when_the_agent_ends(box):
    """Who goes on with another message hears in time that there is no time for it."""
    head = "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 14 LAST\r\n"

    def go_on() -> None:
        until = time.monotonic() + 10
        while not acceptor.hall._ending and time.monotonic() < until:
            time.sleep(0.01)
        peer.socket.sendall(f"Subject: x\r\n\r\n{head}".encode())

    with inside(box, grace_seconds=1.0) as acceptor:
        peer = Peer(box.socket).greet()
        peer.socket.sendall(head.encode())
        answers = [peer.reply(), peer.reply()]
        thread = threading.Thread(target=go_on)
        thread.start()
    thread.join()
    peer.socket.settimeout(0.1)
    answers += [peer.reply() for _ in range(4)]
    peer.close()

    assert ["250"] * 5 + ["421"] == [answer[:3] for answer in answers]


def test_no_memory_to_wait_with(box, monkeypatch):
    """When memory is short for a moment, the acceptor waits, and goes on."""
    errors = [errno.ENOMEM] * 2

    class Poll:
        def __init__(self) -> None:
            self.real = select.poll()
            self.register = self.real.register

        def poll(self) -> list[tuple[int, int]]:
            if errors:
                number = errors.pop()
                raise OSError(number, os.strerror(number))
            return self.real.poll()

    short = types.SimpleNamespace(poll=Poll, POLLIN=select.POLLIN)
    monkeypatch.setattr(acceptors, "select", short)
    with inside(box), Peer(box.socket).greet() as peer:
        answer = peer.message()[2]

    assert "250" == answer[:3]
    assert [] == errors


def test_no_descriptors_left(box):
    """Without descriptors the acceptor waits until somebody hangs up."""
    box.configure("MaxConnections=100")
    box.start()
    assert box.process is not None
    resource.prlimit(box.process.pid, resource.RLIMIT_NOFILE, (24, 24))
    peers = [Peer(box.socket) for _ in range(30)]
    for peer in peers[:25]:
        peer.close()
    done = box.sendmail("a@b.example")
    for peer in peers:
        peer.close()

    assert (0, b"") == (done.returncode, done.stderr)


def test_identity_without_descriptors(box):
    """Who cannot be looked up is taken for nobody else, and told so."""
    said: list[str] = []
    box.start()
    assert box.process is not None
    pid = box.process.pid
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    taken = 0
    for more in range(5):
        used = max(map(int, os.listdir(f"/proc/{pid}/fd"))) + 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + more, hard))
        box.own.touch()  # what was known of users is to be looked up again
        with Peer(box.socket) as peer:
            peer.socket.settimeout(0.5)
            with contextlib.suppress(OSError):
                said.append(peer.reply())
                greeted = said[-1].startswith("220")
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (1024, hard))
                if greeted:
                    peer.say("EHLO me")
                    taken += peer.message()[2].startswith("250")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (1024, hard))
    logins = [entry.login for entry in box.entries()]

    assert taken
    assert {"220", "421"} == {words[:3] for words in said}
    assert [pwd.getpwuid(os.getuid()).pw_name] * taken == logins


def test_memory_of_a_big_message(box):
    """A message of 40 MB takes hardly more memory than one of 40 kB."""
    box.start()
    assert box.process is not None
    box.sendmail("a@b.example", text="x\n" * 20000)
    before = _peak(box.process.pid)
    done = box.sendmail("a@b.example", text=("x" * 79 + "\n") * 500_000)
    after = _peak(box.process.pid)

    assert 0 == done.returncode
    assert after - before < 4 << 20


def _peak(pid: int) -> int:
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


def test_memory_is_nobodys_business(box):
    """The acceptor cannot be traced by a process of its own user."""
    box.start()
    assert box.process is not None

    # What is not dumpable belongs to root as far as /proc is concerned (proc(5)).
    with open(f"/proc/{box.process.pid}/limits", encoding="ascii") as file:
        line = next(line for line in file if line.startswith("Max core file size"))
    assert "0" == line.split()[4]


# Configuration


def test_configuration_is_read_again(box):
    """A change holds for the next message; a mistake is told, and changes nothing."""
    box.start()
    box.sendmail("bob")
    text = box.own.read_text()
    box.own.write_text(text.replace("example.org", "example.com"))
    box.sendmail("bob")
    box.own.write_text("rewriteDomain=example.net\nNoSuchKey=1\n")
    done = box.sendmail("bob")
    found = [entry.recipients[0].address for entry in box.entries()]

    assert 0 == done.returncode
    assert ["bob@example.com"] * 2 + ["bob@example.org"] == sorted(found)
    assert "unknown key NoSuchKey" in box.log()


@pytest.mark.parametrize(
    ("least", "more", "uid"),
    [
        ("MaxQueuedMessages=1", "MaxQueuedMessages=5", None),
        ("MaxMessageSize=100", "MaxMessageSize=10k", None),
        ("MaxConnections=1", "MaxConnections=5", None),
        pytest.param(
            "MaxMessagesPerMinute=1",
            "MaxMessagesPerMinute=100000000",
            ALICE,
            marks=needs_root,
        ),
    ],
)
def test_limit_is_raised(box, least, more, uid):
    """A limit that refuses all that comes can be raised while the agent runs."""
    text = "Subject: x\n\n" + "hello\n" * 100
    box.configure(least)
    box.start()
    box.sendmail("a@b.example", text="x", uid=uid)
    with seated(box):
        refused = box.sendmail("a@b.example", text=text, uid=uid)
        box.configure(more)
        done = box.sendmail("a@b.example", text=text, uid=uid)

    assert 0 != refused.returncode
    assert (0, b"") == (done.returncode, done.stderr)


def seated(box: Box) -> Peer:
    """Come in, as soon as whoever was there before has left his place."""
    while True:
        peer = Peer(box.socket)
        if peer.reply().startswith("220 "):
            peer.say("EHLO me")
            return peer
        peer.close()


@pytest.mark.parametrize("text", ["", "hostname=box.test\n"])
def test_configuration_that_is_just_being_written(box, text):
    """A file that was emptied, to be written in a moment, costs no mail."""
    box.start()
    box.own.write_text(text)
    during = box.sendmail("a@b.example")
    box.configure("MaxQueuedMessages=1")
    after = box.sendmail("a@b.example")

    assert (0, b"") == (during.returncode, during.stderr)
    assert "no mailhub is set any more" in box.log()
    assert b"MaxQueuedMessages" in after.stderr


@needs_root
def test_configuration_that_becomes_readable(box):
    """Who is told that the file cannot be read need not write it anew after that."""
    os.chown(box.place, ALICE, ALICE)
    box.start(ALICE)
    box.configure("MaxQueuedMessages=1")
    box.own.chmod(0o600)
    before = [box.sendmail("a@b.example").returncode for _ in range(2)]
    told = box.log()
    box.own.chmod(0o644)
    after = box.sendmail("a@b.example")

    assert [0, 0] == before
    assert "cannot be read" in told
    assert 75 == after.returncode
    assert b"MaxQueuedMessages" in after.stderr


def test_configuration_changes_while_it_is_read(box, monkeypatch):
    """What is written behind the back of who reads is read the next time."""
    read = direct.site

    def site(path: str) -> direct.Site:
        found = read(path)
        box.configure("MaxQueuedMessages=50")
        return found

    with inside(box) as agent:
        monkeypatch.setattr(direct, "site", site)
        box.configure("MaxQueuedMessages=5")
        renewed = [agent.hall.renew(), agent.hall.renew()]
        most = agent.hall.config.max_queued_messages

    assert [True, True] == renewed
    assert 50 == most


def test_limit_is_raised_during_a_session(box):
    """Who stays connected need not come anew when his limit has been raised."""
    box.configure("MaxQueuedMessages=1")
    box.start()
    with Peer(box.socket).greet() as peer:
        first, refused = peer.message(), peer.message()
        box.configure("MaxQueuedMessages=5")
        again = peer.message()

    assert ("250", "452", "250") == (first[2][:3], refused[0][:3], again[2][:3])


def test_revaliases(box):
    """revaliases beside the agent's configuration decide on address and mailhub."""
    box.start()
    with open(box.own.parent / "revaliases", "w", encoding="ascii") as file:
        file.write("root:me@corp.example:hub.example:587\n")
    box.sendmail("a@b.example")
    [entry] = box.entries()

    if os.getuid() == 0:
        assert ("me@corp.example", ["hub.example:587"]) == (
            entry.reverse_path,
            entry.mailhubs,
        )


def test_password_is_not_kept_in_memory(box):
    """What the configuration says about passwords is forgotten at once."""
    box.configure("AuthUser=me", "AuthPass=secret-9", "AuthPassFile=/x")
    box.own.chmod(0o600)
    with inside(box) as acceptor:
        found = acceptor.hall.config

        assert [None] * 3 == [found.auth_user, found.auth_pass, found.auth_pass_file]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["NoSuchKey=1"], "unknown key"),
        (["ListenLoopback=127.0.0.1:1"], "ListenIdentity"),
    ],
)
def test_wrong_configuration(box, lines, words):
    """A wrong configuration ends the acceptor at its start, with a sentence."""
    box.configure(*lines)

    with pytest.raises((ConfigError, SystemTrouble), match=words):
        Acceptor(str(box.own), str(box.socket), str(box.spool))


# The queue


def test_verbs(agent):
    """The queue can be listed, shown, held, released and dropped."""
    path = str(agent.socket)
    agent.sendmail("-f", "me@b.example", "v@d.example", text="Subject: Grüße\n\nx\n")
    [entry] = agent.fresh()
    [row] = [row for row in verbs.call(path, "XLIST") if row["id"] == entry.id]
    shown = verbs.call(path, f"XSHOW {entry.id[-10:]}")
    verbs.call(path, f"XHOLD {entry.id}")
    held = verbs.call(path, f"XSHOW {entry.id}")[0]["state"]
    verbs.call(path, f"XRELEASE {entry.id}")
    released = verbs.call(path, f"XSHOW {entry.id}")[0]["state"]
    [status] = verbs.call(path, "XSTATUS")
    verbs.call(path, f"XDROP {entry.id}")

    assert ("me@b.example", ["v@d.example"], "waiting") == (
        row["from"],
        row["to"],
        row["state"],
    )
    assert {"line": "Subject: Grüße"} in shown
    assert {"recipient": "v@d.example", "state": "waiting", "reply": ""} in shown
    assert ("held", "waiting") == (held, released)
    assert "away" == status["sender"]
    assert entry.id not in [row["id"] for row in verbs.call(path, "XLIST all")]


def test_trouble_with_the_mailhub(box):
    """While the mailhub is in trouble, that is why a message waits."""
    box.start()
    box.sendmail("a@b.example")
    trouble = {"state": "trouble", "mailhubs": ["m:1"], "what": "no way", "next_try": 9}
    (box.spool / "site.json").write_text(json.dumps({"sites": [trouble, 1]}))
    [row] = verbs.call(str(box.socket), "XLIST")
    (box.spool / "site.json").write_text("no json")
    [again] = verbs.call(str(box.socket), "XLIST")

    assert ("no way", 9) == (row["reason"], row["next"])
    assert ("", None) == (again["reason"], again["next"])


def test_why_it_waits_for_the_others(box):
    """What was said of those who have it, or never will, is no reason to wait."""
    box.start()
    box.sendmail("a@b.example", "c@d.example", "e@f.example", "g@h.example")
    queue = box.queue()
    claim = queue.claim(box.entries()[0].id)
    assert claim is not None
    reasons = []
    for number, state, reply in (
        (0, "sent", "250 2.0.0 ok"),
        (1, "reported", "550 5.1.1 no"),
        (2, "deferred", "451 4.2.0 later"),
    ):
        with claim:
            claim.settle([(number, state, reply)], time.time() + 60)
        [row] = verbs.call(str(box.socket), "XLIST")
        reasons.append(row["reason"])
        claim = queue.claim(row["id"])
        assert claim is not None
    claim.release()
    queue.close()

    assert ["", "", "451 4.2.0 later"] == reasons


def test_why_it_waits_for_its_report(box):
    """Of what was refused, and waits for room for the report, the refusal is told."""
    box.start()
    box.sendmail("a@b.example", "c@d.example")
    queue = box.queue()
    with queue.claim(box.entries()[0].id) as claim:
        claim.settle([(0, "sent", "250 2.0.0 ok"), (1, "refused", "550 5.1.1 no")])
    [row] = verbs.call(str(box.socket), "XLIST")
    queue.close()

    assert ("waiting", "550 5.1.1 no") == (row["state"], row["reason"])


def test_rate_limit_is_why_it_waits(box):
    """Of a message that `RateLimit` holds up it is told why, and until when."""
    box.start()
    box.sendmail("a@b.example")
    soon, past = int(time.time()) + 50, int(time.time()) - 1
    rows = []
    for until in (soon, past, None, "x"):
        (box.spool / "site.json").write_text(json.dumps({"rate_until": until}))
        rows += verbs.call(str(box.socket), "XLIST")
    (box.spool / "site.json").write_text(json.dumps({"rate_until": soon}))
    queue = box.queue()
    claim = queue.claim(box.entries()[0].id)
    assert claim is not None
    with claim:
        claim.settle([(0, "deferred", "451 4.2.0 later")], soon + 10.0)
    queue.close()
    [tried] = verbs.call(str(box.socket), "XLIST")

    found = [("RateLimit" in row["reason"], row["next"]) for row in rows]
    assert [(True, soon), (False, None), (False, None), (False, None)] == found
    assert "451 4.2.0 later" == tried["reason"]
    assert soon < tried["next"]


@needs_root
def test_who_pushes_without_end(box):
    """One user's wishes come to the sender at a pace; root's come at once."""
    box.start()
    ear = link.Ear(str(box.socket.parent / "sender.sock"))
    assert ear.words(5)
    os.seteuid(ALICE)
    try:
        peer = Peer(box.socket).greet()
    finally:
        os.seteuid(0)
    begun = time.monotonic()
    answers = peer.say(*["XFLUSH"] * 30)
    took = time.monotonic() - begun
    said: list[object] = []
    while len(said) < 30 and (words := ear.words(5)):
        said += [word.get("uid") for word in words]
    peer.close()
    ear.close()

    assert {"250"} == {answer[:3] for answer in answers}
    assert [ALICE] * 30 == said
    assert took >= 30 * PACE


@needs_root
def test_who_holds_and_releases_without_end(box):
    """What a user has noted of a message does not fill the disk; root goes on."""
    box.start()
    box.sendmail("a@b.example", uid=ALICE)
    (entry,) = box.entries()
    released = queuerecords.render(("released", time.time(), ""))

    def answers(uid: int) -> list[str]:
        os.seteuid(uid)
        try:
            peer = Peer(box.socket).greet()
        finally:
            os.seteuid(0)
        with peer:
            return peer.say(*[f"{verb} {entry.id}" for verb in ("XHOLD", "XRELEASE")])

    before = answers(ALICE)
    with (box.spool / "queue" / entry.id).open("ab") as file:
        file.write(released * (CHANGES_MOST * 2 // len(released)))
    after, by_root = answers(ALICE), answers(0)

    assert ["250", "250"] == [said[:3] for said in before]
    assert all(f"452 4.3.1 {entry.id} was changed" in said for said in after), after
    assert ["250", "250"] == [said[:3] for said in by_root]


def test_verbs_that_fail(agent, tmp_path):
    """What cannot be answered is a failure with the right exit code."""
    path = str(agent.socket)

    with pytest.raises(UsageError, match="no message nosuch"):
        verbs.call(path, "XDROP nosuch")
    with pytest.raises(UsageError, match="may be any of"):
        agent.sendmail("a@b.example")
        agent.sendmail("a@b.example")
        verbs.call(path, "XDROP 2")
    with pytest.raises(SystemTrouble, match="does not answer"):
        verbs.call(str(tmp_path / "none"), "XLIST")


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (b"451 4.3.0 no room; free some", "no room; free some"),
        (b"450 4.2.1 it is being sent just now", "%s; try again later"),
    ],
)
def test_next_step_is_said_once(tmp_path, said, sentence):
    """What the agent says of the next step is not followed by another one."""
    path = str(tmp_path / "sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def answer():
            with listener.accept()[0] as peer:
                peer.sendall(b"220 x\r\n250 x\r\n" + said + b"\r\n")
                while peer.recv(100):
                    pass

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(SystemTrouble) as refused:
            verbs.call(path, "XHOLD x")
        thread.join(20)

    words = said[10:].decode()
    assert sentence.replace("%s", words) == refused.value.sentence()


@needs_root
def test_denied_verbs_are_77(box):
    """Asking for everybody's mail is refused as a matter of rights."""
    box.start()
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from ssmtp.agent import verbs\n"
        "from ssmtp.errors import Failure\n"
        "try: verbs.call(sys.argv[2], 'XLIST all')\n"
        "except Failure as failure: sys.exit(failure.exit_code)\n"
    )
    import subprocess

    done = subprocess.run(
        [PYTHON, "-ISc", code, str(ROOT / "src"), str(box.socket)],
        user=ALICE,
        group=ALICE,
        extra_groups=[],
        timeout=20,
    )

    assert AuthRefused.exit_code == done.returncode


@pytest.mark.slow
def test_long_list(box):
    """Two thousand messages are listed line by line, by a client of any speed."""
    box.start()
    queue = box.queue()
    text = b"Subject: x\r\n\r\nx\r\n"
    original = os.fsync
    os.fsync = lambda fd: None
    try:
        for number in range(2000):
            to = [Recipient(f"user{number}@example.net")]
            queue.add(Draft(os.getuid(), "me", "a@b.example", to, header=14), [text])
    finally:
        os.fsync = original
        queue.close()
    rows = list(verbs.rows(str(box.socket), "XLIST"))

    assert 2000 == len({row["id"] for row in rows})
