"""A small seeded mutator, for every Python on which atheris does not go.

It knows nothing of coverage: what it knows are the examples, and the words in them.
The same seed makes the same inputs.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

WORD = re.compile(rb"[A-Za-z0-9.@-]{2,40}|[^A-Za-z0-9.@\s-]{1,4}|\s{1,4}")
ODD = (
    *(bytes([c]) for c in b"\0\t\n\r \"#%'(),-./:;<=>?@[\\]{|}~\x7f\x80\xff"),
    b"\r\n",
    b"\n\n",
    b"\r\n.\r\n",
    b"\n ",
    "é".encode(),
    "日本".encode(),
    "\u2028".encode(),
    "\u0130".encode(),
    b"\xed\xa0\x80",
    b"=?utf-8?q?=0A?=",
    b"0",
    b"-1",
    b"99999999999999999999",
)


def inputs(examples: list[bytes], seed: int) -> Iterator[bytes]:
    """Yield inputs for ever: the examples first, then what can be made of them."""
    yield from examples
    rng = random.Random(seed)
    words = sorted({word for text in examples for word in WORD.findall(text)})
    pool = list(examples) or [b""]
    while True:
        text = rng.choice(pool)
        for _ in range(1 << rng.randrange(5)):
            text = _changed(text, rng, words, pool)
        if rng.random() < 0.02:
            # What was made is an example too, so that changes can add up.
            pool.append(text)
            if len(pool) > 500:
                pool.pop(len(examples) + rng.randrange(len(pool) - len(examples)))
        yield text[:100_000]


def _changed(
    text: bytes, rng: random.Random, words: list[bytes], pool: list[bytes]
) -> bytes:
    at = rng.randrange(len(text) + 1)
    to = min(len(text), at + int(rng.expovariate(0.1)))
    kind = rng.randrange(9)
    if kind == 0:
        return text[:at] + rng.randbytes(1) + text[at + 1 :]
    if kind == 1:
        return text[:at] + text[to:]
    if kind == 2:
        return text[:at] + rng.choice(ODD) + text[at:]
    if kind == 3:
        return text[:at] + rng.choice(ODD) + text[to:]
    if kind == 4 and words:
        return text[:at] + rng.choice(words) + text[at:]
    if kind == 5 and words:
        return text[:at] + rng.choice(words) + text[to:]
    if kind == 6:
        return text[:at] + text[at:to] * (1 << rng.randrange(8)) + text[to:]
    if kind == 7:
        other = rng.choice(pool)
        return text[:at] + other[rng.randrange(len(other) + 1) :]
    return text[:at] + rng.randbytes(rng.randrange(1, 6)) + text[to:]
