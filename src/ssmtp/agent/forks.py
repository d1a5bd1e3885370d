"""Further processes of a half of the agent, for Python runs on one processor in each.

They are forked before there are threads, which no fork takes along, and each has one
end of a socket whose packets are its words with the first process (`clerks`, `crew`).
"""

from __future__ import annotations

import errno
import gc
import json
import os
import socket
import time
from collections.abc import Callable
from typing import NoReturn

from ssmtp import journal
from ssmtp.agent.link import Word
from ssmtp.errors import EX_OK, EX_SOFTWARE

MOST = 3
PACKET_MOST = 65536  # octets
SHORT = (errno.ENOMEM, errno.ENOBUFS)  # of memory, which passes
BREATH = 0.2  # seconds until the next try


def wanted() -> int:
    """Return how many this machine is worth: one for each processor but the first."""
    if not hasattr(os, "sched_getaffinity"):  # not Linux
        return 0
    return min(MOST, len(os.sched_getaffinity(0)) - 1)


def fork(
    count: int, serve: Callable[[socket.socket], None]
) -> list[tuple[int, socket.socket]]:
    """Make so many, or as many as there can be; return their pids and sockets.

    Each calls `serve` with its end of the socket, holds none of the others', and ends.
    What `serve` raises it has told already.
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
            _be(serve, theirs)
        theirs.close()
        made.append((pid, ours))
    return made


def say(line: socket.socket, word: Word, *fds: int) -> bool:
    """Say a word to one of them, with descriptors; False when it does not listen."""
    flags = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
    try:
        socket.send_fds(line, [json.dumps(word).encode("ascii")], fds, flags)
    except OSError:
        return False
    return True


def hear(line: socket.socket) -> tuple[bytes, list[int]]:
    """Wait for a packet of one of them, with a descriptor; nothing when it has ended.

    Raises OSError.
    """
    while True:
        try:
            packet, fds, _, _ = socket.recv_fds(line, PACKET_MOST, 1)
        except ConnectionResetError:
            pass  # it ended with something unread; what it said before comes behind
        except OSError as error:
            if error.errno not in SHORT:
                raise
            time.sleep(BREATH)
        else:
            return packet, fds


def _be(serve: Callable[[socket.socket], None], line: socket.socket) -> NoReturn:
    code = EX_SOFTWARE
    try:
        serve(line)
        code = EX_OK
    finally:
        os._exit(code)
