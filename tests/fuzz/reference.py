"""A second opinion on replies: strict, simple, and written apart from the program."""

from __future__ import annotations

import re

LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])([^\n]*))?")


def replies(stream: bytes) -> tuple[list[int], bool]:
    """Return the codes of the complete well-formed replies, and whether more follows.

    "More" is anything behind the last of them: half a reply, or what is none.
    """
    codes: list[int] = []
    code, count, octets = b"", 0, 0
    *lines, half = stream.split(b"\n")
    for line in lines:
        octets += len(line) + 1
        match = LINE.fullmatch(line.rstrip(b"\r"))
        count += 1
        if match is None or count > 100 or octets > 65536:
            return codes, True
        if code and match[1] != code:
            return codes, True
        code = match[1]
        if match[2] != b"-":
            codes.append(int(code))
            code, count, octets = b"", 0, 0
    return codes, bool(half) or bool(code)
