"""What the agent says on standard error: of itself, and its log if there is no other.

That is what containers keep. A reader that hangs holds no mail up: then lines are lost.
"""

from __future__ import annotations

import os
import select

from ssmtp import journal

STDERR = 2
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
    poll = select.poll()
    poll.register(STDERR, select.POLLOUT)
    try:
        # A pipe that is ready takes more than a line has (pipe(7)).
        if poll.poll(0) == [(STDERR, select.POLLOUT)]:
            os.write(STDERR, line.encode(errors="backslashreplace"))
    except OSError:
        pass
