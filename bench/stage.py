"""What every section of the benchmark works with: programs, mailhubs, messages."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import sinks
from bench.programs import PEERS, RECIPIENT, SENDER, Gone, Ours, Program, Road
from bench.turns import Run, Turns, take

KINDS = {"plain": "plain", "starttls": "STARTTLS + AUTH", "tls": "TLS + AUTH"}
NAGLE = {"tls-nagle": "TLS + AUTH, mailhub without TCP_NODELAY"}
ROUND_TRIPS = (0.02, 0.05, 0.15)  # seconds
SMALL = "1k"


class Stage:
    """Programs and mailhubs, ready; `pairs` is how often each is run in turns."""

    def __init__(self, unpacked: Path, place: Path, pairs: int) -> None:
        self.unpacked = unpacked
        self.place = place
        self.pairs = pairs
        self.messages = place / "messages"
        self.messages.mkdir()
        self.missing: list[str] = []
        self.programs: list[Program] = []
        addresses = sinks.addresses(len(ROUND_TRIPS))
        self.authority = sinks.Authority(place, addresses)
        self.write(SMALL, text(1000))

    def write(self, name: str, content: bytes) -> None:
        """Write a message that programs get on standard input."""
        (self.messages / name).write_bytes(content)

    def named(self, *names: str) -> list[Program]:
        """Return the programs of these names that are there."""
        return [p for p in self.programs if p.name in names]

    def road(self, kind: str, host: str = sinks.LOOPBACK) -> Road:
        """Return the road of that kind, as a program's configuration has it."""
        return Road(kind.partition("-")[0], host, sinks.PORTS[kind])

    def turns(
        self,
        programs: list[Program],
        road: Road,
        message: str = SMALL,
        *,
        recipients: tuple[str, ...] = (RECIPIENT,),
        pipe: bool = False,
        after: Callable[[], None] = lambda: None,
    ) -> Turns:
        """Run programs in turns on one road; call `after` after each run."""

        def run(program: Program) -> Run:
            argv = [*program.configure(road), *recipients]
            return lambda: program.run(argv, message, pipe=pipe)

        runs = {program.name: run(program) for program in programs}
        return take(runs, self.pairs, after)


@contextmanager
def open_stage(unpacked: Path, place: Path, pairs: int) -> Iterator[Stage]:
    """Start the mailhubs and the programs, and end them."""
    with ExitStack() as ends:
        stage = Stage(unpacked, place, pairs)
        (place / "box").mkdir()
        hubs = sinks.Sinks(unpacked / "postfix", place / "box", stage.authority)
        ends.callback(hubs.stop)
        hubs.start()
        time = unpacked / "msmtp/usr/bin/time"
        ours = Ours(place, stage.messages, stage.authority.file, str(time))
        ends.callback(ours.stop)
        stage.programs.append(ours)
        for peer in PEERS:
            try:
                program = peer(unpacked, place, stage.messages, stage.authority.file)
            except Gone as gone:
                stage.missing.append(str(gone))
                continue
            ends.callback(program.stop)
            stage.programs.append(program)
        yield stage


def text(size: int, fields: bytes = b"") -> bytes:
    """Return a message of `size` octets, with lines as people write them."""
    head = f"From: {SENDER}\nTo: {RECIPIENT}\nSubject: a message\n".encode()
    head += b"Date: Sat, 21 Nov 2026 21:14:09 +0000\nMessage-ID: <1@example.org>\n"
    head += fields + b"\n"
    line = b"The quick brown fox jumps over the lazy dog, and again and again.\n"
    body = line * (max(0, size - len(head)) // len(line) + 1)
    return (head + body)[: size - 1] + b"\n"


def remove(place: Path) -> None:
    """Remove what was copied and written."""
    shutil.rmtree(place, ignore_errors=True)
