"""An acceptor as a process of its own, and what a caller does with it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ssmtp.agent.acceptor import Acceptor
from ssmtp.spool.queue import Entry, Queue

ROOT = Path(__file__).parents[2]
PYTHON = "/usr/bin/python3"
STRANGERS = (64001, 64002)  # uids that no passwd file knows
CONFIG = """\
mailhub=127.0.0.1:1
hostname=box.test
rewriteDomain=example.org
FromLineOverride=yes
"""


class Box:
    """A directory that every user can enter, with a configuration and a socket.

    `conf` is that of the callers, `own` that of the agent.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.conf = place / "client.conf"
        self.own = place / "agent.conf"
        self.socket = place / "run" / "submit.sock"
        self.spool = place / "spool"
        self.state = place / "state"
        self.state.mkdir()
        self.state.chmod(0o1777)
        self.seen: set[str] = set()
        self.process: subprocess.Popen[bytes] | None = None
        self.configure()

    def configure(self, *lines: str, client: str = "Delivery=agent\n") -> None:
        """Write both configurations; `lines` are more of the agent's."""
        self.own.write_text(CONFIG + "".join(f"{line}\n" for line in lines))
        self.conf.write_text(f"{CONFIG}AgentSocket={self.socket}\n{client}")

    def start(self, uid: int | None = None) -> None:
        """Start the acceptor, and wait until it listens; `uid` is who runs it."""
        with (self.place / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(PYTHON, "-IS", str(ROOT / "bin" / "ssmtpctl"), "agent", "accept"),
                    *("-C", str(self.own), "--listen", str(self.socket)),
                    *("--spool", str(self.spool)),
                ],
                stdin=subprocess.DEVNULL,
                stderr=log,
                env={"PATH": "/usr/bin:/bin"},
                user=uid,
                group=uid,
                extra_groups=None if uid is None else [],
            )
        until = time.monotonic() + 20
        while not self.answers():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < until, self.log()
            time.sleep(0.02)

    def answers(self) -> bool:
        """Whether somebody greets at the socket; his session is over then."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(2)
            probe.connect(str(self.socket))
            probe.sendall(b"QUIT\r\n")
            return probe.makefile("rb").read()[:3] == b"220"
        return False

    def stop(self) -> int:
        """End the acceptor; return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self.process = None
        return code

    def log(self) -> str:
        """What the acceptor said on standard error."""
        return (self.place / "agent.log").read_text()

    def sendmail(
        self,
        *words: str,
        text: str | bytes = "Subject: x\n\nhello\n",
        uid: int | None = None,
        conf: Path | None = None,
        program: str = "sendmail",
        **env: str,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command of ours; `uid` is who runs it.

        An empty `conf` leaves it to the command to find its configuration.
        """
        home = self.place / "home"
        conf = self.conf if conf is None else conf
        named = [] if conf == Path() else ["-C", str(conf)]
        state = self.state
        if uid is not None:  # who finds another's store has one in /var/tmp
            state = self.state / str(uid)
            state.mkdir(exist_ok=True)
            os.chown(state, uid, uid)
        return subprocess.run(
            [str(ROOT / "bin" / program), *named, *words],
            input=text.encode() if isinstance(text, str) else text,
            capture_output=True,
            env={"XDG_STATE_HOME": str(state), "HOME": str(home), **env},
            cwd="/",
            timeout=50,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
        )

    def queue(self) -> Queue:
        """The queue as it lies on the disk."""
        return Queue.open(str(self.spool), owner=self.spool.stat().st_uid)

    def entries(self) -> list[Entry]:
        """What is in the queue, in the order of its coming."""
        queue = self.queue()
        try:
            found = [queue.look(name) for name in queue.ids()]
        finally:
            queue.close()
        entries = [entry for entry in found if entry is not None]
        return sorted(entries, key=lambda entry: (entry.time, entry.id))

    def content(self, entry: Entry) -> bytes:
        """The content of a queued message."""
        queue = self.queue()
        try:
            return b"".join(queue.content(entry.id))
        finally:
            queue.close()

    def kept(self) -> list[Path]:
        """What lies in the failed store."""
        return sorted(self.state.rglob("failed/*"))

    def fresh(self) -> list[Entry]:
        """What came into the queue since this was asked the last time."""
        found = [entry for entry in self.entries() if entry.id not in self.seen]
        self.seen.update(entry.id for entry in found)
        return found


@contextlib.contextmanager
def box() -> Iterator[Box]:
    """Make a box, and end what runs in it."""
    place = Path(tempfile.mkdtemp(prefix="ssmtp-agent-"))
    place.chmod(0o755)
    made = Box(place)
    try:
        yield made
    finally:
        if made.process is not None:
            made.process.kill()
            made.process.wait()
        shutil.rmtree(place)


class Peer:
    """A connection to an agent, spoken by hand."""

    def __init__(self, path: Path | str | tuple[str, int]) -> None:
        if isinstance(path, tuple):
            self.socket = socket.create_connection(path, 20)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(20)
            self.socket.connect(str(path))
        self.stream = self.socket.makefile("rb")

    def reply(self) -> str:
        """Read one reply; return it without its line ends, "" when they hung up."""
        lines = []
        while line := self.stream.readline().decode():
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                break
        return "\n".join(lines)

    def say(self, *lines: str) -> list[str]:
        """Say lines at once, and return as many replies."""
        self.socket.sendall("".join(f"{line}\r\n" for line in lines).encode())
        return [self.reply() for _ in lines]

    def greet(self) -> Peer:
        """Say hello."""
        self.reply()
        self.say("EHLO me")
        return self

    def message(
        self,
        sender: str = "<a@b.example>",
        recipient: str = "<c@d.example>",
        content: str = "Subject: x\r\n\r\nhello\r\n",
    ) -> list[str]:
        """Hand a message over; return the replies to MAIL, RCPT and the content."""
        envelope = f"MAIL FROM:{sender}\r\nRCPT TO:{recipient}\r\n"
        head = f"{envelope}BDAT {len(content.encode())} LAST\r\n"
        self.socket.sendall((head + content).encode())
        return [self.reply(), self.reply(), self.reply()]

    def close(self) -> None:
        """Hang up."""
        self.stream.close()
        self.socket.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def pretender(path: Path, act: Callable[[Peer], None]) -> Iterator[None]:
    """Listen in an agent's place, and let `act` deal with each connection."""
    path.parent.mkdir(exist_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o666)
    listener.listen(5)
    peers = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            peer = Peer.__new__(Peer)
            peer.socket, peer.stream = connection, connection.makefile("rb")
            peers.append(peer)
            with contextlib.suppress(OSError):
                act(peer)
            if act is not silent:
                peer.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)
        for peer in peers:
            peer.close()
        os.unlink(path)


def silent(peer: Peer) -> None:
    """Accept, and never say a word."""


def scripted(*replies: str) -> Callable[[Peer], None]:
    """Greet and answer EHLO as an agent does; then give these replies, and hang up.

    A reply is given for each command; that to BDAT once its content was read.
    """

    def act(peer: Peer) -> None:
        peer.socket.sendall(b"220 box.test\r\n")
        peer.stream.readline()
        offers = "PIPELINING CHUNKING 8BITMIME SMTPUTF8 DSN SIZE XSUBMIT".split()
        rows = "".join(f"250-{offer}\r\n" for offer in offers)
        peer.socket.sendall(f"250-box.test\r\n{rows}250 HELP\r\n".encode())
        for reply in replies:
            line = peer.stream.readline().split()
            if line[:1] == [b"BDAT"]:
                peer.stream.read(int(line[1]))
            peer.socket.sendall(reply.encode())
        if not replies or replies[-1]:
            peer.stream.readline()  # QUIT

    return act


@contextlib.contextmanager
def inside(
    box: Box,
    idle_seconds: float = 300.0,
    message_seconds: float = 900.0,
    grace_seconds: float = 5.0,
) -> Iterator[Acceptor]:
    """An acceptor in this process, with clocks of its own."""
    acceptor = Acceptor(
        str(box.own),
        str(box.socket),
        str(box.spool),
        idle_seconds=idle_seconds,
        message_seconds=message_seconds,
        grace_seconds=grace_seconds,
    )
    thread = threading.Thread(target=acceptor.serve)
    thread.start()
    try:
        yield acceptor
    finally:
        acceptor.stop()
        thread.join(20)
        acceptor.close()
