"""Questions to the agent about its queue: the client's side of `answers`.

`mailq`, `sendmail -q` and `ssmtpctl queue` ask. An answer can be long, so it is read
line by line.
"""

from __future__ import annotations

import json
import os
import re
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from ssmtp import handoff
from ssmtp.errors import AuthRefused, Failure, SystemTrouble, UsageError

Row = dict[str, Any]
LINE_MOST = 1 << 20  # octets
GREETING_SECONDS = 10.0  # for an agent that hangs
LATER = "try again later"
# A letter beyond ASCII, as a reply spells it.
SPELLED = re.compile(r"\\(?:x[89a-f][0-9a-f]|u[0-9a-f]{4}|U000[0-9a-f]{5})")


def agents(
    environ: Mapping[str, str] = os.environ, config_path: str | None = None
) -> list[str]:
    """Return the sockets that are there, this user's own first."""
    return handoff.agents(config_path, environ)


def first(sockets: list[str]) -> str:
    """Return the socket that mail goes by: the first that somebody listens at."""
    for path in sockets[:-1]:
        try:
            handoff.reach([path], handoff.PATIENCE)[0].close()
        except handoff.Unreachable:
            continue
        return path
    return sockets[-1]


def call(path: str, line: str, timeout: float = 60.0) -> list[Row]:
    """Say one command to the agent at a socket, and return its answer."""
    return list(rows(path, line, timeout))


def rows(path: str, line: str, timeout: float = 60.0) -> Iterator[Row]:
    """Say one command, and yield its answer as it comes.

    Raises UsageError (64) for a message that is not there, AuthRefused (77) for what is
    not for this user, SystemTrouble (75) when the agent does not answer.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            patience = min(timeout, GREETING_SECONDS)
            # Blocking, so that it waits for its turn when many call at once (unix(7)).
            limit = struct.pack("@ll", int(patience), int(patience % 1 * 1_000_000))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            sock.connect(path)
            sock.settimeout(patience)
            with sock.makefile("rb") as stream:
                _greeted(stream, path)
                sock.sendall(b"EHLO localhost\r\n")
                for _ in _reply(stream, path):
                    pass
                sock.settimeout(timeout)
                sock.sendall(line.encode() + b"\r\n")
                for text in _reply(stream, path):
                    if text.startswith("{"):
                        yield json.loads(text)
                sock.sendall(b"QUIT\r\n")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SystemTrouble(
            f"the agent ({path}) does not answer: {why}", "see that it runs"
        ) from error


def _greeted(stream: BinaryIO, path: str) -> None:
    for _ in _reply(stream, path):
        pass


def _reply(stream: BinaryIO, path: str) -> Iterator[str]:
    """Yield the lines of one reply without their status; raises `Failure`."""
    while True:
        line = stream.readline(LINE_MOST)
        if not line.endswith(b"\n"):
            raise SystemTrouble(f"the agent ({path}) hung up", "try again")
        code, mark = line[:3], line[3:4]
        text = line[4:].decode("ascii", "replace").rstrip("\r\n")
        status, _, words = text.partition(" ")
        if code[:1] != b"2":
            raise _refused(code, status, words)
        yield words if status[:2] == "2." else text
        if mark != b"-":
            return


def _refused(code: bytes, status: str, words: str) -> Failure:
    words = SPELLED.sub(lambda found: chr(int(found[0][2:], 16)), words)
    if status == "5.7.1":
        return AuthRefused(words)
    if code[:1] == b"5":
        return UsageError(words, "`ssmtpctl queue` lists what is there")
    what, known, step = words.rpartition("; ")
    return SystemTrouble(what, step) if known else SystemTrouble(words, LATER)
