"""What is killed, starved and cut off: a user of the queue that does all it can do.

`program.py VERB SPOOL WORLD` runs as a process of its own, with one thread, so that its
system calls can be counted. WORLD is a file outside of the spool that stands for
everybody else: what the mailhub has accepted, and what a caller has been told. Each
line in it was written by one system call, so it is true when it is there.

- `enqueue` queues one message of each kind, the last of them together, and writes
  `queued KIND ID` when it may.
- `deliver` does with each message what its kind says, and writes `accepted ID NUMBER`
  where a mailhub would have taken it for a recipient.
- `finish` does that again and again, as if started anew, until nothing is left to do.
- `people` does with messages what people may want (`WISHES`), and writes `did ID WORD`
  when they may be told so.
- `recover` puts the spool in order.

`settled ID` is written when an outcome is durable, `doubt ID` when a try had no end,
and `trouble …` when the queue refuses; the next message is tried all the same.

With `step` a point is written to standard output before each call that changes the
disk, and one octet read from standard input before it is made. With `short=NUMBER` that
call that writes takes half of what it is given.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "src"))

from ssmtp.errors import Failure
from ssmtp.spool import space, syncers
from ssmtp.spool.queue import Claim, Draft, Queue, Recipient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ssmtp.spool.commit import NewFile

LATER = 3600.0

CHANGES = (
    "fdatasync fsync ftruncate link mkdir open posix_fadvise "
    "pwrite rename unlink utime write".split()
)
real_write = os.write

# What is to become of a message; `large` is one that does not fit into one write.
KINDS = ("done", "large", "batch", "partial", "refused", "later", "held", "crashing")
TOGETHER = ("large", "batch")  # made durable together, behind all the others
AT_ONCE = 4  # the last of them are queued together
RECIPIENTS = ["ann@example.org", "joe@example.org"]

# What people do with a message of each kind; `fail` is what the sender does before.
WISHES = {
    "done": ["drop"],
    "large": ["hold"],
    "batch": ["hold", "release"],
    "partial": ["fail", "requeue"],
    "refused": ["fail", "drop"],
    "later": ["fail"],
}


def content(kind: str) -> list[bytes]:
    """Return the blocks of a message of this kind."""
    blocks = [b"Subject: %s\r\n\r\n" % kind.encode(), b"Hello\r\n"]
    return blocks + [b"0123456789abcdef" * 4096] * 9 if kind == "large" else blocks


def enqueue(queue: Queue, world: int) -> None:
    for kind in KINDS[:-AT_ONCE]:
        try:
            name = queue.add(draft(kind), content(kind))
        except Failure as failure:
            say(world, f"trouble {kind} {failure.what}")
        else:
            say(world, f"queued {kind} {name}")
    begun: dict[str, NewFile] = {}
    for kind in KINDS[-AT_ONCE:]:
        try:
            begun[kind] = queue.begin(draft(kind), content(kind))
        except Failure as failure:
            say(world, f"trouble {kind} {failure.what}")
    queue.publish([*begun.values()])
    for kind, file in begun.items():
        if file.error is None:
            say(world, f"queued {kind} {file.name}")
        else:
            say(world, f"trouble {kind} {file.error.strerror}")


def draft(kind: str) -> Draft:
    made = Draft(1000, "bob", "bob@example.org", [Recipient(a) for a in RECIPIENTS])
    made.envid = kind
    return made


def step() -> None:
    """Wait for leave before each call that changes the disk."""
    for name in CHANGES:
        setattr(os, name, stepped(getattr(os, name)))
    fcntl.ioctl = stepped(fcntl.ioctl)  # type: ignore[assignment]


def stepped(call: Callable[..., object]) -> Callable[..., object]:
    def wait_and_call(*arguments: object, **more: object) -> object:
        real_write(1, b".")
        os.read(0, 1)
        return call(*arguments, **more)

    return wait_and_call


def shorten(number: int) -> None:
    """Let one call write half of what it is given, as a disk or a signal may do."""
    left = number

    def half(call: Callable[..., int]) -> Callable[..., int]:
        def write(fd: int, data: bytes, *place: int) -> int:
            nonlocal left
            left -= 1
            most = len(data) // 2 if left == 0 and len(data) > 1 else len(data)
            return call(fd, memoryview(data)[:most], *place)

        return write

    os.write, os.pwrite = half(os.write), half(os.pwrite)


def deliver(queue: Queue, world: int) -> None:
    queue.recover()
    now = time.time()
    unlinked: list[Claim] = []
    for when, name in queue.due(now, 100):
        if when > now:
            break
        try:
            claim = queue.claim(name)
            if claim is None:
                continue
            with contextlib.ExitStack() as held:
                held.enter_context(claim)
                if attempt(queue, claim, world):
                    held.pop_all()
                    unlinked.append(claim)
                else:
                    say(world, f"settled {name}")
        except Failure as failure:
            say(world, f"trouble {name} {failure.what}")
    failed = queue.queue.try_sync() if unlinked else None
    for claim in unlinked:
        try:
            claim.unlinked(failed)
            say(world, f"settled {claim.id}")
        except Failure as failure:
            say(world, f"trouble {claim.id} {failure.what}")


def people(queue: Queue, world: int) -> None:
    """Do what people may do; who cannot be served is not told that he was."""
    for name in sorted(queue.ids()):
        entry = queue.look(name)
        for word in WISHES.get(entry.envid or "", ()) if entry else ():
            try:
                if not wish(queue, name, word):
                    break
                say(world, f"did {name} {word}")
            except Failure as failure:
                say(world, f"trouble {name} {failure.what}")
                break


def wish(queue: Queue, name: str, word: str) -> bool:
    if word == "fail":
        claim = queue.claim(name)
        if claim is not None:
            claim.to_failed("refused")
        return claim is not None
    if word == "drop":
        return queue.drop(name) or queue.drop(name, failed=True)
    return {"hold": queue.hold, "release": queue.release, "requeue": queue.requeue}[
        word
    ](name)


def attempt(queue: Queue, claim: Claim, world: int) -> bool:
    """Send one message, and write down what came of it.

    True when it has left, and that is still to be made durable.
    """
    entry = claim.entry
    if entry.crashed:
        say(world, f"doubt {claim.id}")
    if entry.crashed > 2:
        claim.to_failed("it crashed us")
        return False
    if entry.open:
        claim.begin()
    for _ in claim.blocks():
        pass
    kind = entry.envid
    if kind == "crashing":
        claim.release()
    elif kind == "later":
        claim.settle(all_of(claim, "deferred", "451 later"), time.time() + LATER)
    elif kind == "held":
        accept(claim, 0, world)
        claim.note("held")  # as somebody wants who does not trust that mailhub
    elif kind == "partial":
        outcomes = [(1, "deferred", "451")]
        if 0 in entry.open:
            accept(claim, 0, world)
            outcomes.append((0, "sent", "250"))
        claim.settle(outcomes, time.time() + LATER)
    elif kind == "refused":
        refuse(queue, claim)
    else:
        for number in entry.open:
            accept(claim, number, world)
        if kind in TOGETHER:
            try:
                claim.unlink()
            except OSError as error:
                claim.unlinked(error)
            return True
        claim.done()
    return False


def refuse(queue: Queue, claim: Claim) -> None:
    """Tell the sender, durably, before the message leaves the queue."""
    if claim.entry.open:
        claim.settle(all_of(claim, "refused", "550 no"))
    if claim.entry.recipients[0].state == "refused":
        bounce = Draft(1000, "bob", "", [Recipient("bob@example.org")], kind="bounce")
        bounce.envid = "done"
        bounce.message_id = f"<{claim.id}@bounce>"
        name = queue.add(bounce, content("bounce"))
        claim.settle(all_of(claim, "reported", name))
    claim.to_failed("refused")


def all_of(claim: Claim, state: str, reply: str) -> list[tuple[int, str, str]]:
    return [(at, state, reply) for at in range(len(claim.entry.recipients))]


def accept(claim: Claim, number: int, world: int) -> None:
    say(world, f"accepted {claim.id} {number} {claim.entry.message_id}")


def say(world: int, line: str) -> None:
    try:
        real_write(world, line.encode() + b"\n")
    except OSError:  # the fault was not meant for the world
        real_write(world, line.encode() + b"\n")


def main() -> int:
    verb, spool, path = sys.argv[1:4]
    if "hidden" in sys.argv:
        del os.O_TMPFILE
    syncers.MOST = 0  # one thread alone
    if "ordered" in sys.argv:
        space.order = lambda fd: space.IN_ORDER
    elif "forgetful" in sys.argv:
        space.order = lambda fd: space.FORGETFUL
    elif "unordered" in sys.argv:
        space.order = lambda fd: space.NO_ORDER
    world = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    if "step" in sys.argv:
        step()
    for word in sys.argv:
        if word.startswith("short="):
            shorten(int(word[6:]))
    os.getpgid(0)  # the system calls count from here on
    try:
        # A message that crashes us three times is given up with the fourth try.
        for _ in range(5 if verb == "finish" else 1):
            run(verb, spool, world)
    except Failure as failure:
        say(world, f"trouble all {failure.what}")
        return failure.exit_code
    return 0


def run(verb: str, spool: str, world: int) -> None:
    queue = Queue.open(spool, make=True, tell=lambda text: say(world, f"told {text}"))
    if verb == "enqueue":
        enqueue(queue, world)
    elif verb == "recover":
        queue.recover()
    elif verb == "people":
        people(queue, world)
    else:
        deliver(queue, world)
    queue.close()


if __name__ == "__main__":
    sys.exit(main())
