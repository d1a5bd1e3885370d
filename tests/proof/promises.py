"""The promises of the queue, checked from outside: what the world saw, what is there.

- I1 what was acknowledged is there, whole, exactly once;
- I2 what was refused is not there;
- I3 what was cut off is there whole, or not at all;
- I4 a message is gone only when all of its recipients are done, or the sender was told;
- I5 everybody gets a copy, and a second one only when the first one was in doubt;
- I6 recovery may run at any time and any number of times;
- I7 nothing that we made is ever taken for a foreign file;
- I8 no lock outlives its holder.
"""

from __future__ import annotations

import os
import time
from collections import Counter

from ssmtp.spool.queue import Entry, Queue
from tests.proof import program
from tests.proof.trace import Stage


class Seen:
    """What the world has seen of all runs so far."""

    def __init__(self, stage: Stage) -> None:
        self.queued: dict[str, str] = {}
        self.refused: list[str] = []
        self.doubts: set[str] = set()
        self.copies: Counter[tuple[str, int]] = Counter()
        self.bounced: set[str] = set()
        self.bounces: set[str] = set()
        self.troubles: set[str] = set()
        self.settled: set[str] = set()
        self.again: set[str] = set()  # accepted once more behind its durable outcome
        self.did: dict[str, list[str]] = {}  # what people were told has been done
        for word, *rest in stage.lines():
            if word == "queued":
                self.queued[rest[1]] = rest[0]
            elif word == "trouble":
                self.refused.append(rest[0])
                self.troubles.add(rest[0])
            elif word == "doubt":
                self.doubts.add(rest[0])
            elif word == "settled":
                self.settled.add(rest[0])
            elif word == "did":
                self.did.setdefault(rest[0], []).append(rest[1])
            elif word == "accepted":
                if rest[0] in self.settled:
                    self.again.add(rest[0])
                self.copies[rest[0], int(rest[1])] += 1
                if len(rest) > 2:
                    self.bounces.add(rest[0])
                    self.bounced.add(rest[2].strip("<>").partition("@")[0])


def entries(stage: Stage) -> dict[str, Entry]:
    """Claim every message, which proves that it is whole and free, and read it."""
    found = {}
    queue = Queue.open(str(stage.spool), make=True)
    try:
        for name in sorted(queue.ids()):
            claim = queue.claim(name)
            if claim is None:
                entry = queue.look(name)
                if entry is not None:
                    assert entry.held
                    found[name] = entry
                continue  # else its end had been decided, and has come now
            with claim:
                found[name] = claim.entry
                wanted = b"".join(program.content(kind_of(claim.entry)))
                assert wanted == b"".join(claim.blocks())
    finally:
        queue.close()
    return found


def kind_of(entry: Entry) -> str:
    return "bounce" if entry.kind == "bounce" else entry.envid or ""


def check_tidy(stage: Stage) -> None:
    """I6 and I7: after recovery nothing is left over, and nothing was put away."""
    assert [] == [n for n in os.listdir(stage.spool / "queue") if n.startswith(".")]
    assert [] == os.listdir(stage.spool / "corrupt")


def check_queued(stage: Stage) -> None:
    """I1 to I3, behind `enqueue`."""
    there = entries(stage)
    seen = Seen(stage)
    kinds = Counter(entry.envid for entry in there.values())

    assert set(seen.queued) <= set(there)
    for name, kind in seen.queued.items():
        assert kind == there[name].envid
    assert all(count == 1 for count in kinds.values())
    if "all" not in seen.refused:
        assert set(kinds).isdisjoint(seen.refused)
    # What was queued at once is all that can be cut off before the word on it.
    assert len(there) <= len(seen.queued) + program.AT_ONCE


def check_delivered(stage: Stage, *, power_cut: bool = False) -> None:
    """I4 and I5, once everything was tried to its end.

    A power cut may take the note away that a try has begun.
    """
    there = entries(stage)
    seen = Seen(stage)
    failed = set(os.listdir(stage.spool / "failed"))
    both = range(len(program.RECIPIENTS))
    for name, kind in seen.queued.items():
        copies = [seen.copies[name, number] for number in both]
        if kind in ("done", "large", "batch"):
            assert all(copies)
            assert name not in there
            assert name not in failed
        elif kind == "partial":
            assert copies[0] >= 1
            assert 0 == copies[1]
            assert [1] == there[name].open
        elif kind == "held":
            assert copies[0] >= 1
            assert 0 == copies[1]
            assert there[name].held
        elif kind == "later":
            assert [0, 0] == copies
            assert [0, 1] == there[name].open
            assert there[name].next > time.time()
        elif kind == "refused":
            assert [0, 0] == copies
            assert name in seen.bounced
            assert name in failed
        else:
            assert [0, 0] == copies
            assert name in failed
    for (name, _), count in seen.copies.items():
        if count > 1 and not power_cut:
            assert name in seen.doubts | seen.troubles
        assert count <= 2
    assert set() == seen.again
    # A bounce is sent twice at most: killed between its queueing and the note on it.
    assert len(seen.bounces) <= 2


def check_people(stage: Stage) -> None:
    """I1 and I4, behind `people`: what they were told holds, nothing else is gone."""
    there = entries(stage)
    seen = Seen(stage)
    failed = set(os.listdir(stage.spool / "failed"))

    assert failed.isdisjoint(there)
    for name, kind in seen.queued.items():
        wishes = program.WISHES.get(kind, [])
        did = seen.did.get(name, [])
        if "drop" in did:
            assert name not in there
            assert name not in failed
        elif "drop" not in wishes:
            assert name in failed or name in there
        if not wishes:
            assert name in there
        elif did == wishes:
            assert (did[-1] == "fail") == (name in failed)
            assert (did[-1] == "hold") == (name in there and there[name].held)
            assert did[-1] != "requeue" or not there[name].failed


def finish(stage: Stage) -> None:
    """Deliver undisturbed until nothing is due."""
    assert 0 == stage.run("finish")
