"""Further processes of a half of the agent, for Python runs on one processor in each.

They are forked before there are threads, which no fork takes along, and each has one
end of a socket whose packets are its words with the first process (`clerks`, `crew`).
"""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Callable
from typing import NoReturn

from ssmtp import journal

MOST = 3


def wanted() -> int:
    """Return how many this machine is worth: one for each processor but the first."""
    if not hasattr(os, "sched_getaffinity"):  # not Linux
        return 0
    return min(MOST, len(os.sched_getaffinity(0)) - 1)


def fork(
    count: int, serve: Callable[[socket.socket], NoReturn]
) -> list[tuple[int, socket.socket]]:
    """Make so many, or as many as there can be; return their pids and sockets.

    Each calls `serve` with its end of the socket, and holds none of the others'.
    """
    gc.freeze()  # what is there now is shared, and stays so
    made: list[tuple[int, socket.socket]] = []
    for _ in range(count):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            pid = os.fork()
        except OSError as error:
            journal.note(f"there are no more processes: {error.strerror}", bad=True)
            ours.close()
            theirs.close()
            break
        if not pid:
            for _, other in made:
                other.close()
            ours.close()
            serve(theirs)
        theirs.close()
        made.append((pid, ours))
    return made
