"""Lets a tracer follow a generator into which an exception is thrown.

CPython 3.11 tells a tracer of the innermost generator alone that `throw` wakes up. The
generators around it, which go on when it ends, run unseen, and coverage takes their
lines for missing. 3.12 and later tell of each.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Generator, Iterator
from itertools import starmap
from typing import Any


def throw(talk: Generator[Any, Any, Any], trouble: BaseException) -> Any:
    """Throw into a generator; return what it yields next."""
    tracer = sys.gettrace()
    if tracer is None or sys.version_info >= (3, 12):
        return talk.throw(trouble)
    outer = [one for one in chain(talk) if one.gi_yieldfrom is not None]
    awaited = [one.gi_yieldfrom for one in outer]
    events = [(one.gi_frame, what, None) for one in outer for what in ("call", "line")]
    try:
        # In one line, since what is traced from here on counts as theirs.
        return [deque(starmap(tracer, events), 0), talk.throw(trouble)][1]
    finally:
        for one, inner in zip(reversed(outer), reversed(awaited), strict=True):
            if one.gi_yieldfrom is inner:  # it was not woken up
                tracer(one.gi_frame, "return", None)


def chain(talk: Any) -> Iterator[Any]:
    """Yield a generator, and those that it waits for."""
    while hasattr(talk, "gi_yieldfrom"):
        yield talk
        talk = talk.gi_yieldfrom
