"""Run `program.py` under strace: list its system calls, or let one of them go wrong.

strace counts the calls of each name from the start of the process, so a point is a name
and a number. The program tells by a call that nothing else makes (`getpgid`) where it
begins; what the interpreter does before is not of interest.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

PROGRAM = Path(__file__).with_name("program.py")
PYTHON = ["/usr/bin/python3", "-I", "-S", "-B"]
MARK = "getpgid"

# How often the interpreter asks for memory differs from run to run.
_MEMORY = frozenset(("brk", "mmap", "munmap", "mremap", "madvise"))

_CALL = re.compile(r"^(?:\d+ +)?(\w+)\(")


class Stage:
    """A spool, the world around it, and the way in which files get their names."""

    def __init__(
        self, path: Path, *, way: str = "tmpfile", disk: Path | None = None
    ) -> None:
        self.spool = (disk or path) / "spool"
        self.world = path / "world"
        self.way = way
        self.words: list[str] = []  # more of the program
        path.mkdir(parents=True, exist_ok=True)

    def copy(self, path: Path) -> Stage:
        """Return another stage on which the same has happened so far."""
        shutil.copytree(self.spool.parent, path)
        other = Stage(path)
        other.way = self.way
        return other

    def command(self, verb: str) -> list[str]:
        return [
            *PYTHON,
            str(PROGRAM),
            verb,
            str(self.spool),
            str(self.world),
            self.way,
            *self.words,
        ]

    def run(self, verb: str, *strace: str) -> int:
        """Run to the end or to death; return what the shell would call its status."""
        tracer = ["strace", "-qq", "-o", "/dev/null", *strace] if strace else []
        done = subprocess.run(
            [*tracer, *self.command(verb)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={"PATH": os.environ["PATH"]},
            timeout=50,
        )
        # A mistake of ours may hide behind the fault, but not behind its traceback.
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return done.returncode

    def step(self, verb: str) -> Iterator[None]:
        """Run, and yield before each call that changes the disk, and at the end."""
        process = subprocess.Popen(
            [*self.command(verb), "step"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with process:
            while process.stdout.read(1):
                yield
                process.stdin.write(b".")
                process.stdin.flush()
            yield
        assert 0 == process.returncode

    def points(self, verb: str) -> list[tuple[str, int]]:
        """Run undisturbed, and return the system calls behind the mark, in order."""
        log = self.world.with_name("log")
        assert 0 == self.run(verb, "-o", str(log))
        counts: dict[str, int] = {}
        points: list[tuple[str, int]] | None = None
        for line in log.read_text(errors="replace").splitlines():
            found = _CALL.match(line)
            if not found:
                continue
            name = found[1]
            counts[name] = counts.get(name, 0) + 1
            if points is not None and name not in _MEMORY:
                points.append((name, counts[name]))
            elif name == MARK:
                points = []
        assert points, "the program did not come to its mark"
        return points

    def lines(self) -> list[list[str]]:
        """Return what the world has seen, in words."""
        try:
            return [line.split() for line in self.world.read_text().splitlines()]
        except FileNotFoundError:
            return []


def works() -> str:
    """Return why nothing can be traced here, or nothing."""
    try:
        done = subprocess.run(
            ["strace", "-qq", "-o", "/dev/null", "--inject=getpgid:error=EIO", "true"],
            capture_output=True,
        )
    except FileNotFoundError:
        return "strace is not installed"
    return "" if done.returncode == 0 else f"strace cannot trace: {done.stderr!r}"
