"""What a message of the queue is called, so that its file need not be opened.

`20261121T211409-1000-mfrggzdfmztwq2lknnwg23tpoa` is the time (UTC), the uid of the
owner, and 130 random bits in base 32. Names sort by age and never come back.
"""

from __future__ import annotations

import os

from ssmtp.spool.queuefile import stamp

_TIME = len("20261121T211409-")
_RANDOM = 26

# Each of the letters stands for as many octets as the others.
_LETTERS = b"abcdefghijklmnopqrstuvwxyz234567" * 8


def new_id(at: float, uid: int) -> str:
    """Return a name that nobody has had before."""
    when = stamp(at).replace("-", "").replace(":", "")[:-1]
    return f"{when}-{uid}-{os.urandom(_RANDOM).translate(_LETTERS).decode()}"


def owner_of(name: str) -> int | None:
    """Return the uid in the name of a message; None when it is no such name."""
    uid, _, word = name[_TIME:].partition("-")
    good = (
        name.isascii()
        and name[8:9] == "T"
        and name[_TIME - 1 : _TIME] == "-"
        and len(word) == _RANDOM
        and word.isalnum()
        and uid.isdigit()
        and len(uid) <= 10
    )
    return int(uid) if good else None
