"""The programs with a queue behind a socket: both halves of ours, and Postfix's.

Both queues lie beside each other on a file system that is made for them, for on an old
one it may take longer to find a free inode than all else together, now for the one and
now for the other. They are emptied between measurements. Postfix has the defaults of
Debian but for what this needs: it takes mail from the loopback, relays it to the
smtp-sink, and asks no name server. Its queue manager can be left out, so that what
comes in stays where it is; then nothing slows its cleanup down (`in_flow_delay`), for
nobody would say go on.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import sinks
from bench.programs import CHECKOUT, PYTHON
from tests.peers.box import Box

CONNECTIONS = 20
PORT = 2599
PATIENCE = 60.0
DISK = 2 << 30  # octets

_MAIN = """\
compatibility_level = 3.6
myhostname = client.example.org
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relayhost = [127.0.0.1]:{sink}
disable_dns_lookups = yes
maillog_file = /var/log/postfix.log
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
in_flow_delay = 0
default_destination_concurrency_limit = {connections}
initial_destination_concurrency = {connections}
"""
_QMGR = "qmgr unix n - n 300 1 qmgr\n"
_MASTER = f"""\
127.0.0.1:{PORT} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
flush unix n - n 1000? 0 flush
postlog unix-dgram n - n - 1 postlogd
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
local unix - n n - - local
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""
_PARTS = "active bounce corrupt defer deferred flush hold incoming private saved trace"


class Trouble(Exception):
    """A queue that does not do what it was measured for."""


class Postfix:
    """A Postfix that takes mail and relays it; `target` is where writers connect."""

    target = f"127.0.0.1:{PORT}"

    def __init__(self, root: Path, place: Path) -> None:
        place.mkdir()
        self.box = box = Box(root, place)
        main = _MAIN.format(sink=sinks.PORTS["plain"], connections=CONNECTIONS)
        box.write("/etc/postfix/main.cf", main)
        box.directory("/var/spool/postfix", 0, 0)
        for part in _PARTS.split():
            box.directory(f"/var/spool/postfix/{part}", 201, 0, 0o700)
        box.directory("/var/spool/postfix/maildrop", 201, 208, 0o730)
        box.directory("/var/spool/postfix/public", 201, 208, 0o710)
        box.directory("/var/spool/postfix/pid", 0, 0)
        box.directory("/var/lib/postfix", 201, 201)

    def start(self) -> None:
        """Start it without its queue manager, and wait until it listens."""
        self.box.write("/etc/postfix/master.cf", _MASTER)
        self.box.start("/usr/sbin/postfix start-fg")
        wait_for(lambda: b"daemon started" in self._log(), "Postfix does not start")

    def deliver(self) -> None:
        """Start the queue manager."""
        self.box.write("/etc/postfix/master.cf", _MASTER + _QMGR)
        os.kill(self._master(), signal.SIGHUP)

    def stop(self) -> None:
        """End it, and throw away what is queued."""
        self.box.stop()
        for part in ("incoming", "active", "deferred"):
            _empty(self.box.file(f"/var/spool/postfix/{part}"))
        self.box.file("/var/log/postfix.log").unlink(missing_ok=True)

    def empty(self) -> None:
        """Throw away what has come in."""
        _empty(self.box.file("/var/spool/postfix/incoming"))

    def count(self) -> int:
        """Return how many messages wait; raises `Trouble` for one that is deferred."""
        spool = self.box.file("/var/spool/postfix")
        counts = [
            sum(len(files) for _, _, files in os.walk(spool / part))
            for part in ("deferred", "incoming", "active")
        ]
        if counts[0]:
            raise Trouble("Postfix deferred a message")
        return sum(counts)

    def _log(self) -> bytes:
        try:
            return self.box.file("/var/log/postfix.log").read_bytes()
        except FileNotFoundError:
            return b""

    def _master(self) -> int:
        for link in Path("/proc").glob("[0-9]*/root"):
            try:
                inside = os.readlink(link).startswith(str(self.box.place))
                name = (link.parent / "comm").read_text()
            except OSError:  # it has ended
                continue
            if inside and name == "master\n":
                return int(link.parent.name)
        raise Trouble("Postfix has no master")


class Agent:
    """Both halves of ours; `target` is the socket of the acceptor."""

    def __init__(self, place: Path) -> None:
        place.mkdir()
        self.place = place
        self.spool = place / "spool"
        self.target = str(place / "submit.sock")
        self.conf = place / "agent.conf"
        self.client = place / "client.conf"
        self.configure(f"{sinks.LOOPBACK}:{sinks.PORTS['plain']}", "UseSTARTTLS=no")
        self._halves: dict[str, subprocess.Popen[bytes]] = {}

    def configure(self, hub: str, *lines: str) -> None:
        """Write the configuration of the agent, and that of its callers."""
        common = "rewriteDomain=example.org\nFromLineOverride=yes\n"
        self.conf.write_text(
            f"{common}mailhub={hub}\n"
            + "".join(f"{line}\n" for line in lines)
            + f"LogFile={self.place}/agent.log\nConnections={CONNECTIONS}\n"
            "MessagesPerConnection=100000\nMaxQueuedMessages=1000000\n"
            "MaxQueuedSize=100G\nMaxMessagesPerMinute=10000000\nMaxConnections=100\n"
        )
        self.conf.chmod(0o600)
        self.client.write_text(
            f"{common}Delivery=agent\nAgentSocket={self.target}\nmailhub=127.0.0.1:1\n"
        )

    def start(self, *halves: str) -> None:
        """Start `accept`, `send` or both, and wait until they work."""
        for half in halves:
            link = str(self.place / "sender.sock")
            where = ["--listen", self.target] if half == "accept" else ["--link", link]
            words = [PYTHON, "-IS", str(CHECKOUT / "bin/ssmtpctl"), "agent", half]
            words += ["-C", str(self.conf), "--spool", str(self.spool), *where]
            self._halves[half] = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stderr=(self.place / "errors").open("ab"),
                env={"PATH": "/usr/bin:/bin"},
            )
            if half == "accept":
                wait_for(lambda: _greets(self.target), "our acceptor does not start")

    def deliver(self) -> None:
        """Start the sender."""
        self.start("send")

    def end(self) -> None:
        """End it; what is queued stays."""
        for half in ("send", "accept"):
            process = self._halves.pop(half, None)
            if process is not None:
                process.terminate()
                process.wait(PATIENCE)

    def stop(self) -> None:
        """End it, and throw away what is queued."""
        self.end()
        self.empty()

    def empty(self) -> None:
        """Throw away what has come in."""
        _empty(self.spool / "queue")

    def count(self) -> int:
        """Return how many messages wait."""
        return len(os.listdir(self.spool / "queue"))

    def peak(self, half: str) -> float:
        """Return the peak of a half's resident memory, in KiB.

        That is the peaks of its processes together; what a forked one still shares with
        the first counts once.
        """
        pid = self._halves[half].pid
        forked = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        peaks = [_kibibytes(f"{one}/status", "VmHWM:") for one in (str(pid), *forked)]
        shared = [
            _kibibytes(f"{one}/smaps_rollup", f"Shared_{kind}:")
            for one in forked
            for kind in ("Clean", "Dirty")
        ]
        return sum(peaks) - sum(shared)


@contextmanager
def disk(place: Path) -> Iterator[tuple[Path, str]]:
    """Make a file system of its own for queues; yield where, and what it is.

    Where that cannot be done it is the place itself.
    """
    image, there = place / "disk.img", place / "disk"
    there.mkdir()
    try:
        for words in (
            f"fallocate -l {DISK} {image}",
            f"mkfs.ext4 -q -F {image}",
            f"mount -o loop {image} {there}",
        ):
            subprocess.run(words.split(), check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        yield there, "the disk of the cache, for no file system of its own can be made"
        return
    try:
        yield there, "ext4, made for it, on a loop device"
    finally:
        subprocess.run(["umount", "--lazy", str(there)], check=True)


def _kibibytes(file: str, name: str) -> float:
    text = Path("/proc", file).read_text()
    return float(text.partition(name)[2].split()[0])


def wait_for(done: Callable[[], bool], words: str) -> None:
    """Wait until something is so; raises `Trouble` with these words."""
    until = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > until:
            raise Trouble(words)
        time.sleep(0.002)


def _greets(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
            return probe.recv(3) == b"220"
        except OSError:
            return False


def _empty(folder: Path) -> None:
    for path, _, files in os.walk(folder):
        for name in files:
            os.unlink(os.path.join(path, name))
