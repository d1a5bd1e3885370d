"""Starts programs and measures them: a process of its own, in the root of a program.

    starter.py ROOT MESSAGES

A line on standard input is a run, as JSON; a line on standard output what came of it.
All programs are started from here in the same way, ours too (its root is /), so that
nothing but the programs differs. Seconds are those of the whole process, from just
before it is started until it has been waited for.
"""

from __future__ import annotations

import json
import os
import resource  # noqa: F401 - wait4 wants it, and finds nothing behind a chroot
import signal
import sys
import time
from types import FrameType

IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def main() -> None:
    """Run what standard input says until it ends."""
    root, messages = sys.argv[1:]
    directory = os.open(messages, os.O_RDONLY)
    if root != "/":
        os.chroot(root)
    os.chdir("/")
    for line in sys.stdin:
        print(json.dumps(_run(directory, **json.loads(line))), flush=True)


def _run(
    directory: int,
    argv: list[str],
    env: dict[str, str],
    text: str,
    pipe: bool,
    most: float,
) -> dict[str, float | str]:
    """Run a program with a message on standard input: a file, or a pipe fed from it.

    After `most` seconds it is ended.
    """
    said = os.memfd_create("said")
    source = os.open(text, os.O_RDONLY, dir_fd=directory)
    feeder = 0
    if pipe:
        source, feeder = _feed(source)
    begun = time.perf_counter()
    child = os.posix_spawn(
        argv[0],
        argv,
        env,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, source, 0),
            (os.POSIX_SPAWN_DUP2, said, 1),
            (os.POSIX_SPAWN_DUP2, said, 2),
        ],
        setsigdef=IGNORED_BY_PYTHON,
    )
    os.close(source)

    def late(number: int, frame: FrameType | None) -> None:
        os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, most)
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - begun
    signal.setitimer(signal.ITIMER_REAL, 0)
    if feeder:
        os.kill(feeder, signal.SIGKILL)
        os.waitpid(feeder, 0)
    words = os.pread(said, 4000, 0).decode("utf-8", "replace")
    os.close(said)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "wall": seconds,
        "cpu": usage.ru_utime + usage.ru_stime,
        "said": words,
    }


def _feed(source: int) -> tuple[int, int]:
    """Copy a file into a pipe from a process of its own, as a caller does."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        try:
            while block := os.read(source, 65536):
                while block:
                    block = block[os.write(writer, block) :]
        finally:
            os._exit(0)
    os.close(writer)
    os.close(source)
    return reader, child


if __name__ == "__main__":
    main()
