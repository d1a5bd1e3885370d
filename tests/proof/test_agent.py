"""SIGKILL at every system call of the two halves of the agent, while they are at work.

strace is attached when a half has started and waits, and counts the calls of each of
its threads from there on. A point is the call at which any thread comes to its number.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssmtp.agent.clerks import ALONE
from ssmtp.errors import EX_TEMPFAIL
from tests.agent.agents import Box, Peer, box
from tests.agent.sending import PYTHON, ROOT, Mailhub, Post, until
from tests.hub import _Session
from tests.proof.conftest import LONG, sample

pytestmark = [
    pytest.mark.usefixtures("asked", "strace"),
    pytest.mark.timeout(LONG, method="signal"),
]

_CALL = re.compile(r"^(\d+) +(\w+)\(")

# Of waiting there is more or less each time.
_NOT_COUNTED = frozenset(("futex", "restart_syscall", "sched_yield"))


@contextlib.contextmanager
def traced(pid: int, *options: str) -> Iterator[None]:
    """Have strace at a process; it goes when the process does, or with the context."""
    strace = subprocess.Popen(
        ["strace", "-f", "-p", str(pid), "-o", "/dev/null", *options],
        stderr=subprocess.PIPE,
    )
    assert strace.stderr is not None
    attached = strace.stderr.readline()
    assert b"attached" in attached, attached
    threading.Thread(target=strace.stderr.read, daemon=True).start()
    try:
        yield
    finally:
        _let_go(strace)
        strace.stderr.close()


def _let_go(strace: subprocess.Popen[bytes]) -> None:
    """Have strace leave its process alone, which can be waited for only then.

    It may wait for ever for a thread that it has just killed.
    """
    strace.send_signal(signal.SIGINT)
    try:
        strace.wait(10)
    except subprocess.TimeoutExpired:
        strace.kill()
        strace.wait(10)


def points(log: Path) -> list[tuple[str, int]]:
    """Return the calls in a log of strace: name, and number in its thread."""
    counts: Counter[tuple[str, str]] = Counter()
    found: dict[tuple[str, int], None] = {}
    for line in log.read_text(errors="replace").splitlines():
        call = _CALL.match(line)
        if call and call[2] not in _NOT_COUNTED:
            counts[call[1], call[2]] += 1
            found[call[2], counts[call[1], call[2]]] = None
    return list(found)


def killing(point: tuple[str, int]) -> str:
    name, number = point
    return f"--inject={name}:signal=SIGKILL:when={number}"


def forked(pid: int) -> int:
    """Return the further process that a half has, where there are two processors."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0])


def accept(box: Box, clerk: bool, *strace: str) -> int:
    """Hand a message to a traced process of the acceptor; return the exit code."""
    box.start()
    assert box.process is not None
    pid = box.process.pid
    # With so many the first process has enough, and the next goes to another.
    peers = [Peer(box.socket).greet() for _ in range(ALONE if clerk else 0)]
    with traced(forked(pid) if clerk else pid, *strace):
        code = box.sendmail("ann@example.org", text="Subject: x\n\nhello\n").returncode
    for peer in peers:
        peer.close()
    with contextlib.suppress(ProcessLookupError):
        box.process.kill()
    box.process.wait(20)
    box.process = None
    return code


several = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="one processor, so one process"
)


@pytest.mark.parametrize(
    "clerk",
    [pytest.param(False, id="first"), pytest.param(True, id="clerk", marks=several)],
)
def test_acceptor_killed(tmp_path: Path, clerk: bool) -> None:
    """What was handed over is queued once; anything else is kept by the caller."""
    log = tmp_path / "log"
    with box() as dry:
        assert 0 == accept(dry, clerk, "-o", str(log))
    for point in sample(points(log)):
        with box() as made:
            code = accept(made, clerk, killing(point))
            made.start()
            made.stop()
            queued = [made.content(entry) for entry in made.entries()]
            kept = [path.read_text() for path in made.kept()]
            told = [line for text in kept for line in text.splitlines()]
            corrupt = list((made.spool / "corrupt").iterdir())

        assert code in (0, EX_TEMPFAIL), point
        assert len(queued) <= 1
        assert all(text.endswith(b"\r\n\r\nhello\r\n") for text in queued)
        assert (code == EX_TEMPFAIL) == (len(kept) == 1)
        if code == 0:
            assert 1 == len(queued)
        elif queued:
            assert "state: in-doubt" in told
        assert [] == corrupt


class Choosy(Mailhub):
    """A mailhub that does not know `nobody`; it `thinks` about each recipient."""

    thinks = 0.0  # seconds

    def _serve(self, connection: socket.socket) -> None:
        hub = self

        class Session(_Session):
            def on_rcpt(self, line: str) -> None:
                time.sleep(hub.thinks)
                if "nobody@" in line:
                    self.say("550 5.1.1 nobody here")
                else:
                    super().on_rcpt(line)

        with contextlib.suppress(OSError, EOFError), connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Session(self, connection).run()


def start(post: Post, before: str = "") -> subprocess.Popen[bytes]:
    """Start a sender that has no acceptor, and so looks by itself."""
    run = f"from ssmtp.agent import crew, sender; {before}"
    run += "sender.run(*sys.argv[2:4], None)"
    words = [str(ROOT / "src"), str(post.conf), str(post.spool)]
    process = subprocess.Popen(
        [PYTHON, "-ISc", f"import sys; sys.path.insert(0, sys.argv[1]); {run}", *words],
        stdin=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin"},
    )
    post.processes.append(process)
    return process


def deliver(post: Post, *strace: str) -> list[str]:
    """Queue three messages for a sender that is traced; return their ids."""
    process = start(post)
    until(lambda: post.site()["state"])
    with traced(process.pid, *strace):
        names = [
            post.add("m0"),
            post.add("m1", "ann@example.net", "joe@example.net"),
            post.add("m2", "nobody@example.net"),
        ]
        process.send_signal(signal.SIGHUP)
        until(lambda: process.poll() is not None or post.queue.count() == 0)
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.wait(20)
    return names


def copies(post: Post) -> Counter[str]:
    """How often each recipient has each message, and the sender the bounce."""
    found: Counter[str] = Counter()
    for mail in post.hub.mails:
        name = mail.field("Message-ID")[0] if mail.sender else "bounce"
        found.update(f"{name} {recipient}" for recipient in mail.recipients)
    return found


WANTED = {
    "<m0@x.test> ann@example.net",
    "<m1@x.test> ann@example.net",
    "<m1@x.test> joe@example.net",
    "bounce bob@example.org",
}


@contextlib.contextmanager
def posted(place: Path) -> Iterator[Post]:
    hub = Choosy()
    hub.start()
    place.mkdir()
    made = Post(place, hub)
    try:
        yield made
    finally:
        made.end()
        hub.stop()


def test_sender_killed(tmp_path: Path) -> None:
    """Everybody gets every message; a second one only after a try without an end."""
    log = tmp_path / "log"
    with posted(tmp_path / "dry") as dry:
        deliver(dry, "-o", str(log))
        assert WANTED == set(copies(dry))
    for at, point in enumerate(sample(points(log))):
        with posted(tmp_path / str(at)) as post:
            names = deliver(post, killing(point))
            crashed = {e.message_id for e in post.entries() if e.crashed}
            for entry in post.entries():
                post.queue.release(entry.id)  # else the report of a refusal may wait
            start(post)
            post.drained()
            found = copies(post)
            failed = os.listdir(post.spool / "failed")
            corrupt = os.listdir(post.spool / "corrupt")

        assert WANTED == set(found), point
        assert [names[2]] == failed
        assert [] == corrupt
        for word, count in found.items():
            name = word.split()[0]
            assert count == 1 or (count == 2 and (name in crashed or name == "bounce"))


MANY = [f"m{number}" for number in range(8)]


def carried(post: Post, *strace: str) -> None:
    """Have messages sent by a sender whose further process is traced."""
    assert isinstance(post.hub, Choosy)
    post.hub.thinks = 0.1  # so long that the sender alone has not sent all of them
    process = start(post, "crew.BACKLOG = 1; ")
    until(lambda: post.site()["state"])
    with traced(forked(process.pid), *strace):
        for name in MANY:
            post.add(name)
        process.send_signal(signal.SIGHUP)
        until(lambda: post.queue.count() == 0)
    process.terminate()

    assert 0 == process.wait(20)


@several
def test_mate_killed(tmp_path: Path) -> None:
    """What a process of the sender had is sent by another; again only in doubt."""
    log = tmp_path / "log"
    with posted(tmp_path / "dry") as dry:
        carried(dry, "-o", str(log))
        assert "MAIL FROM:" in log.read_text(errors="replace")
    for at, point in enumerate(sample(points(log))):
        with posted(tmp_path / str(at)) as post:
            carried(post, killing(point))
            found = copies(post)
            facts = [json.loads(line) for line in post.log.read_text().splitlines()]

        doubted = {fact["msgid"] for fact in facts if fact.get("in_doubt")}
        assert {f"<{name}@x.test> ann@example.net" for name in MANY} == set(found)
        for word, count in found.items():
            assert count == 1 or (count == 2 and word.split()[0] in doubted), point
