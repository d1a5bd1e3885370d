"""Send very many messages through an agent whose world keeps failing, and count.

    python -m tests.soak.run --count 100000 --faults 0.1 --seed 1

Ten writers hand messages over the socket; processes of both halves are killed at random
and started again; a share of everything that the mailhub does goes wrong. At the end

* every message that was acknowledged has arrived, or lies in failed/ with a reason
  that the mailhub gave;
* what arrived twice is among those that the log called in doubt, or whose writer got
  no answer and gave it once more;
* in the last part, when nobody is killed, neither half has got more descriptors, and
  their memory has not grown by 1 MB.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from ssmtp.spool.queue import Queue
from tests.soak import hub

ROOT = Path(__file__).parents[2]
PYTHON = "/usr/bin/python3"
WRITERS = 10
KILL_EVERY = (2.0, 6.0)  # seconds
QUIET = 0.3  # the share of messages in whose time nobody is killed
GROWTH_MOST = 1024  # KiB
STEADY = 10_000  # messages; a shorter run is all warming up
CONFIG = """\
Mailhub=127.0.0.1:{port}
Hostname=box.test
RewriteDomain=example.org
FromLineOverride=yes
LogFile={log}
Connections=8
CommandTimeout=20
DataTimeout=20
MaxQueuedMessages=10000000
MaxQueuedSize=100G
MaxMessagesPerMinute=100000000
MaxConnections=1000
MinFreeSpace=1M
"""


class Half:
    """One half of the agent, started again whenever it has been killed."""

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.kills = 0
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [PYTHON, "-IS", str(ROOT / "bin" / "ssmtpctl"), "agent", *self.words],
            stdin=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """Kill its first process, all of them, or another one than the first.

        The first is started again; without it the others have to end by themselves.
        """
        others = self.forked()
        whom = random.choice(("first", "all", "other" if others else "first"))
        if whom == "other":
            _kill(random.choice(others))
        else:
            self.process.kill()
            for pid in others if whom == "all" else []:
                _kill(pid)
            self.process.wait()
            self.start()
        self.kills += 1

    def look_again(self) -> None:
        """Have it look at everything, if it can hear that by now."""
        status = self._status(self.process.pid)
        caught = re.search(r"SigCgt:\s+(\w+)", status)
        if caught and int(caught[1], 16) >> (signal.SIGHUP - 1) & 1:
            self.process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def forked(self) -> list[int]:
        """Return the further processes."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(word) for word in children.split()]

    def size(self) -> tuple[int, int]:
        """Return the memory of its processes in KiB, and their descriptors."""
        pids = [self.process.pid, *self.forked()]
        sizes = [re.search(r"VmRSS:\s+(\d+)", self._status(pid)) for pid in pids]
        descriptors = [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]
        return sum(int(size[1]) for size in sizes if size), sum(descriptors)

    def _status(self, pid: int) -> str:
        return Path(f"/proc/{pid}/status").read_text()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Writers:
    """Threads that hand over messages, each until it has got its answer."""

    def __init__(self, path: Path, count: int) -> None:
        self.path = str(path)
        self.count = count
        self.next = 0
        self.acknowledged: set[int] = set()
        self.unanswered: set[int] = set()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._write) for _ in range(WRITERS)]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    @property
    def going(self) -> bool:
        return any(thread.is_alive() for thread in self.threads)

    def _write(self) -> None:
        number = self._take()
        while number < self.count:
            try:
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.settimeout(30)
                    sock.connect(self.path)
                    with sock.makefile("rb") as replies:
                        self._greet(sock, replies)
                        while number < self.count:
                            self.unanswered.add(number)
                            sock.sendall(message(number))
                            codes = [_reply(replies) for _ in range(3)]
                            if codes == [250, 250, 250]:
                                self.unanswered.discard(number)
                                with self.lock:
                                    self.acknowledged.add(number)
                                number = self._take()
                            elif codes[2] < 500:
                                self.unanswered.discard(number)
                                time.sleep(0.05)
            except (OSError, EOFError):
                time.sleep(0.05)

    def _take(self) -> int:
        with self.lock:
            self.next += 1
            return self.next - 1

    def _greet(self, sock: socket.socket, replies: object) -> None:
        if _reply(replies) != 220:
            raise EOFError
        sock.sendall(b"EHLO writer.test\r\n")
        if _reply(replies) != 250:
            raise EOFError


def _reply(replies: object) -> int:
    while True:
        line = replies.readline()  # type: ignore[attr-defined]
        if not line.endswith(b"\n"):
            raise EOFError
        if line[3:4] != b"-":
            return int(line[:3])


def message(number: int) -> bytes:
    """Return a message and its commands, in one flight."""
    content = (
        b"From: bob@example.org\r\nTo: r@example.net\r\nSubject: soak\r\n"
        b"Message-ID: <%d@soak.test>\r\nX-Number: %d\r\n\r\n" % (number, number)
    ) + b"It is one of many.\r\n" * (number % 50)
    commands = (
        b"MAIL FROM:<bob@example.org>\r\nRCPT TO:<r@example.net>\r\nBDAT %d LAST\r\n"
    )
    return commands % len(content) + content


def main(words: list[str]) -> int:
    """Do what the command line says; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.run")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--faults", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--place", help="a directory on the disk to be used")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(dir=options.place, prefix="soak") as place:
        return soak(Path(place), options.count, options.faults, options.seed)


def soak(
    place: Path,
    count: int,
    faults: float,
    seed: int,
    kill_every: tuple[float, float] = KILL_EVERY,
) -> int:
    """Run it in an empty directory."""
    random.seed(seed)
    listener = socket.create_server(("127.0.0.1", 0))
    notes, log, conf = place / "taken", place / "log", place / "ssmtp.conf"
    conf.write_text(CONFIG.format(port=listener.getsockname()[1], log=log))
    conf.chmod(0o600)
    spool, path = place / "spool", place / "submit.sock"
    queue = Queue.open(str(spool), make=True)
    server = multiprocessing.get_context("fork").Process(
        target=hub.serve, args=(listener, notes, faults, seed), daemon=True
    )
    server.start()
    notes.touch()
    taken = notes.open("rb")
    common = ["-C", str(conf), "--spool", str(spool)]
    accept = Half(["accept", *common, "--listen", str(path)])
    send = Half(["send", *common, "--link", str(place / "sender.sock")])
    begun = time.monotonic()
    sizes: list[list[tuple[int, int]]] = []
    try:
        writers = Writers(path, count)
        writers.start()
        next_kill = time.monotonic() + 2 * kill_every[0]
        flush_at = time.monotonic() + 2.0
        arrived = 0
        while writers.going or queue.count():
            time.sleep(0.1)
            now = time.monotonic()
            arrived += taken.read().count(b"\n")
            if now > flush_at:
                # Nobody waits for an hour here.
                send.look_again()
                flush_at = now + 2.0
            if arrived < count * (1 - QUIET):
                if now > next_kill:
                    # In turn, the sender first.
                    (send, accept)[send.kills > accept.kills].kill()
                    flush_at = now + 2.0
                    next_kill = now + random.uniform(*kill_every)
            else:
                sizes.append([accept.size(), send.size()])
        sizes.append([accept.size(), send.size()])
        codes = [accept.stop(), send.stop()]
    finally:
        for half in (accept, send):
            half.process.kill()
            half.process.wait()
        server.kill()
        server.join()
        listener.close()
        taken.close()
    seconds = time.monotonic() - begun
    kills = accept.kills, send.kills
    return judge(queue, writers, notes, log, sizes, codes, kills, seconds)


def judge(
    queue: Queue,
    writers: Writers,
    notes: Path,
    log: Path,
    sizes: list[list[tuple[int, int]]],
    codes: list[int],
    kills: tuple[int, int],
    seconds: float,
) -> int:
    """Count, print, and say whether all promises were kept."""
    times: dict[int, list[float]] = {}
    for line in notes.read_text().splitlines():
        taken, when = line.split()
        times.setdefault(int(taken), []).append(float(when))
    arrived = Counter({number: len(found) for number, found in times.items()})
    failed: dict[int, str] = {}
    reports = 0
    for name in queue.failed_ids():
        entry = queue.look(name, failed=True)
        if entry is not None and entry.message_id.endswith("@soak.test>"):
            failed[int(entry.message_id[1:].partition("@")[0])] = entry.failed
        else:
            reports += 1
    doubted = Counter[int]()
    for line in log.read_text().splitlines():
        fact = json.loads(line)
        if fact.get("in_doubt") and fact["msgid"].endswith("@soak.test>"):
            doubted[int(fact["msgid"][1:].partition("@")[0])] += 1
    lost = writers.acknowledged - {*arrived} - {*failed}
    crashed = {n for n, reason in failed.items() if "crash" in reason}
    unanswered = given_again(queue, arrived, log)
    twice = {n for n, times in arrived.items() if times > 1}
    unexplained = {n for n in twice if not doubted[n] and n not in unanswered}
    # Half of the quiet time is for warming up.
    warm = sizes[len(sizes) // 2]
    growth = [last[0] - first[0] for first, last in zip(warm, sizes[-1], strict=True)]
    fds = [last[1] - first[1] for first, last in zip(warm, sizes[-1], strict=True)]
    print(
        f"{len(writers.acknowledged)} messages in {seconds:.0f} s, "
        f"{kills[0]} kills of the acceptor and {kills[1]} of the sender; "
        f"{len(lost)} lost, {len(failed)} refused, {len(twice)} arrived twice, "
        f"{len(unexplained)} of them without a doubt; "
        f"{sum(doubted.values())} doubts, {len(crashed)} put aside, "
        f"{reports} reports in failed/; memory {growth} KiB, descriptors {fds}, "
        f"exit codes {codes}; "
        f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime:.0f} s of processor"
    )
    good = not lost and not unexplained and codes == [0, 0]
    if len(writers.acknowledged) >= STEADY:
        good = good and max(growth) < GROWTH_MOST and max(fds) <= 0
    if not good:
        print("lost:", sorted(lost)[:20], "unexplained:", sorted(unexplained)[:20])
        for number in sorted(unexplained):
            print(number, "arrived at", *map(stamped, times[number]))
        names = {f"<{number}@soak.test>" for number in lost | unexplained}
        for line in log.read_text().splitlines():
            if json.loads(line).get("msgid") in names:
                print(line[:400])
    return 0 if good else 1


def stamped(when: float) -> str:
    """Return a time as the log writes it."""
    shown = time.strftime("%H:%M:%S", time.gmtime(when))
    return f"{shown}.{int(when % 1 * 1000):03d}"


def given_again(queue: Queue, arrived: Counter[int], log: Path) -> set[int]:
    """Return the messages that were queued more than once, under several ids."""
    names: dict[str, set[str]] = {}
    for line in log.read_text().splitlines():
        fact = json.loads(line)
        if fact.get("event") == "sent":
            names.setdefault(fact["msgid"], set()).add(fact["id"])
        elif fact.get("event") == "queued":
            names.setdefault(fact["msgid"], set()).add(fact["id"])
    return {
        int(msgid[1:].partition("@")[0])
        for msgid, ids in names.items()
        if len(ids) > 1 and msgid.endswith("@soak.test>")
    }


if __name__ == "__main__":
    os.nice(5)
    sys.exit(main(sys.argv[1:]))
