"""What is counted: python3 work.py KIND SIZE SIZE, under callgrind.

A call of getppid(2), which nothing else here makes, stands before and behind the work
at each size, so that callgrind can write down the instructions between.
"""

from __future__ import annotations

import gc
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

# Run as a script, it knows no package; under callgrind pathlib takes a second.
ROOT = __file__.rpartition("/tests/")[0]
sys.path[:0] = [f"{ROOT}/src", ROOT]

from bench import shapes  # noqa: E402
from ssmtp import accounts, author, config, content, envelope, intake  # noqa: E402
from ssmtp import header as headers  # noqa: E402
from ssmtp.options import scan  # noqa: E402
from ssmtp.smtp import lines, reply  # noqa: E402

BLOCK = 65536
SETTINGS = config.parse(b"mailhub=hub.example:25\nrewriteDomain=example.org\n", "-")


def _blocks(text: bytes) -> Iterator[bytes]:
    for at in range(0, len(text), BLOCK):
        yield text[at : at + BLOCK]


def body(text: bytes) -> None:
    """Read a body, bring it into 7 bits, and write it with its dots doubled."""
    read = intake.from_blocks(b"Subject: x", _blocks(text))
    fields = headers.parse(read.header)
    for utf8 in (True, False):
        made = content.render(fields, read.body, smtputf8=utf8, eightbitmime=utf8)
        for _ in lines.dotted(made.blocks()):
            pass


def recipients(words: list[str]) -> None:
    """Build the envelope for so many recipients."""
    caller = accounts.caller()
    identity = accounts.identify(caller, SETTINGS, [])
    names = accounts.LocalNames(SETTINGS, {}, lambda name: 2000)
    envelope.build(scan("sendmail", words), [], SETTINGS, identity, names)


def replies(text: bytes) -> None:
    """Read what a mailhub says, as it comes."""
    inbox = reply.Inbox()
    for at in range(0, len(text), 1000):
        inbox.feed(text[at : at + 1000])
        while inbox.take() is not None:
            pass


BODIES: dict[str, Callable[[int], bytes]] = {
    "short lines": lambda size: b"hello\n" * (size // 6),
    "one long line": lambda size: b"x" * size,
    "empty lines": lambda size: b"\n" * size,
    "dots": lambda size: b".\n" * (size // 2),
    "carriage returns": lambda size: b"\r" * size,
    "eight bits": lambda size: "größer\n".encode() * (size // 9),
    "one long line of eight bits": lambda size: "ö".encode() * (size // 2),
    "NULs": lambda size: b"\0" * size,
}
RECIPIENTS = {
    "addresses": lambda size: [f"ann{n}@example.org" for n in range(size // 20)],
    "bare names": lambda size: [f"ann{n}" for n in range(size // 10)],
    "one argument": lambda size: ["ann@example.org, " * (size // 17) + "bob"],
}
REPLIES = {"pipelined": lambda size: b"250 2.1.5 fine\r\n" * (size // 16)}


KINDS = ("header", "long header", "body", "recipients", "replies")


def work(kind: str) -> tuple[dict[str, Any], Any]:
    """Return what makes input of a size, by name, and what is done with it."""
    if kind.endswith("header"):
        return {**shapes.SHAPES, **shapes.ODD}, shapes.repairer(ascii_only=True)
    others: dict[str, tuple[dict[str, Any], Any]] = {
        "body": (BODIES, body),
        "recipients": (RECIPIENTS, recipients),
        "replies": (REPLIES, replies),
    }
    return others[kind]


def main() -> None:
    kind = sys.argv[1]
    makers, run = work(kind)
    if kind == "long header":
        # What is read with regular expressions from 128 KiB on is so from the start.
        import re  # noqa: F401

        author._LONGEST = author._LONG
    gc.disable()
    for make in makers.values():
        run(make(1000))  # what is imported when it is needed
        for size in map(int, sys.argv[2:]):
            given = make(size)
            posix.getppid()
            run(given)
            posix.getppid()


if __name__ == "__main__":
    main()
