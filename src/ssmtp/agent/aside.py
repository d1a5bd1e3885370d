"""What the agent says on standard error: of itself, and its log if there is no other.

That is what containers keep. A reader that hangs holds no mail up: then lines are lost.
"""

from __future__ import annotations

import os
import select

from ssmtp import journal

STDERR = 2
LINE_MOST = select.PIPE_BUF  # octets; so much a pipe takes that is ready (pipe(7))
FLAGS = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
WANTED = "SSMTP_AGENT_RUN"  # in the environment of halves that `agent run` has started


def begin() -> None:
    """Have lines go there that the system log does not take, if that is wanted."""
    if WANTED in os.environ:
        journal.otherwise = tell


def tell(line: str) -> None:
    """Write a line of the log, if that is possible at once."""
    write(f"ssmtp[{os.getpid()}]: {line}\n")


def write(line: str) -> None:
    """Write a line as it is, if that is possible at once."""
    octets = line.encode(errors="backslashreplace")
    if len(octets) > LINE_MOST:
        octets = octets[: LINE_MOST - 1] + b"\n"
    fd = _terminal()
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    try:
        if poll.poll(0) == [(fd, select.POLLOUT)]:
            os.write(fd, octets)
    except OSError:
        pass
    finally:
        if fd != STDERR:
            os.close(fd)


def _terminal() -> int:
    """Open the terminal that standard error is so that nothing waits for it.

    One that is ready may have room for less than a line. Others share our descriptor,
    so it stays as it is; it is returned for what is no terminal, or not ours to open.
    """
    try:
        if os.isatty(STDERR):
            return os.open(f"/proc/self/fd/{STDERR}", FLAGS)
    except OSError:
        pass
    return STDERR
