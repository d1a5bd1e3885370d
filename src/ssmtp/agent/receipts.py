"""The agent's own record of what became of each message, for `ssmtpctl log`.

One line of JSON for each outcome stands in `receipts` beside the queue; when that is
full it becomes `receipts.1`, and what was there before goes. The sender and those who
help it write as things happen, the acceptor when somebody drops a message; nothing
waits for the disk, and no mail waits for this: a line that cannot be written is missing
here, and stands in the system log.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Set
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

from ssmtp.smtp.outcomes import SENT
from ssmtp.spool.queue import Entry

NAME = "receipts"
OLD = "receipts.1"
SIZE_MOST = 10_000_000  # octets in one of the two
REPLY_MOST = 2000  # characters
TIME_MOST = 1e11  # seconds; what is beyond is damaged
TEXTS = ("id", "message_id", "from", "state", "reply", "login")
NUMBERS = ("time", "queued", "uid")
STATES = {"doubt": "in-doubt", "relayed": SENT}  # as people are told
BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
# Nobody is waited for at the other end of what is no file.
FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Receipt = dict[str, Any]


def note(spool: str, entry: Entry, records: Iterable[tuple[int, str, str]]) -> None:
    """Write down what recipients came to: their numbers, the states, and why."""
    write(spool, lines(entry, records))


def lines(
    entry: Entry,
    records: Iterable[tuple[int, str, str]],
    *,
    mailhub: str = "",
    queue_id: str | None = None,
    seconds: float = 0.0,
) -> list[str]:
    """Return the lines for outcomes; those who share an outcome share a line.

    `queue_id` is the mailhub's name for what it took.
    """
    alike: dict[tuple[str, str], list[str]] = {}
    for number, state, reply in records:
        to = alike.setdefault((STATES.get(state, state), reply), [])
        to.append(entry.recipients[number].address)
    # `json.dumps`, which says the same, takes three times as long.
    who = (
        f'{{"time": {time.time():.3f}, "id": {quoted(entry.id)}, '
        f'"queued": {entry.time}, "uid": {entry.uid}, "login": {quoted(entry.login)}, '
        f'"message_id": {quoted(entry.message_id)}, '
        f'"from": {quoted(entry.reverse_path)}'
    )
    return [
        f'{who}, "state": {quoted(state)}, '
        f'"to": [{", ".join(map(quoted, to))}], "reply": {quoted(reply[:REPLY_MOST])}, '
        f'"mailhub": {quoted(mailhub)}, "seconds": {seconds:.3f}, '
        f'"queue_id": {quoted(queue_id) if queue_id and state == SENT else "null"}}}\n'
        for (state, reply), to in alike.items()
    ]


def write(spool: str, lines: list[str]) -> None:
    """Add lines to the record, if that is possible."""
    try:
        _append(os.path.join(spool, NAME), "".join(lines).encode("ascii"))
    except OSError:
        pass


def find(
    spool: str, word: str, owner: int | None, names: Set[str] = frozenset()
) -> Iterator[Receipt]:
    """Yield what is known of the messages of a user (None: all), the oldest first.

    `word` is one that `is_meant` knows; the messages with these `names` are meant, too.
    """
    for found in _records(spool, word, owner, names):
        addresses = [found["from"], *found["to"]]
        if found["id"] in names or is_meant(
            word, found["id"], found["message_id"], addresses
        ):
            yield found


def named_by_hub(spool: str, word: str, owner: int | None) -> set[str]:
    """Return the ids of those messages to which a mailhub has given this id."""
    own = word.strip("<>")
    records = _records(spool, word, owner)
    return {found["id"] for found in records if found.get("queue_id") == own}


def _records(
    spool: str, word: str, owner: int | None, names: Set[str] = frozenset()
) -> Iterator[Receipt]:
    """Yield what a word may name, or these names do; what a crash has cut off is none.

    A mailhub may call thousands of messages the same.
    """
    needles = _needles(word)
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open(fd, "rb")) for fd in _files(spool)]
        for line in itertools.chain.from_iterable(files):
            lower = line.lower()
            if not all(one in lower for one in needles) and _id(line) not in names:
                continue
            found = _read(line)
            if found and owner in (None, found["uid"]):
                yield found


def _needles(word: str) -> list[bytes]:
    """Return what must be in a line in small letters, be it about this word.

    Letters beyond ASCII have their capitals elsewhere.
    """
    parts = BEYOND_ASCII.split(word.strip("<>"))
    return [json.dumps(part)[1:-1].lower().encode() for part in parts if part]


def _id(line: bytes) -> str:
    """Return the id in a line, as `lines` has written it."""
    return line.partition(b'"id": "')[2].partition(b'"')[0].decode("ascii", "replace")


def is_meant(word: str, name: str, message_id: str, addresses: Iterable[str]) -> bool:
    """Tell whether a word is the id of a message, or its beginning or end, or its
    Message-ID, or the address of its sender or of a recipient.
    """
    word = word.strip("<>").casefold()
    if name.casefold().startswith(word) or name.casefold().endswith(word):
        return True
    known = (message_id.strip("<>"), *addresses)
    return any(word == one.casefold() for one in known)


def _read(line: bytes) -> Receipt | None:
    """Return what stands in a line, None for one that is damaged."""
    try:
        found = json.loads(line)
        texts = (*found["to"], *(found[name] for name in TEXTS))
        numbers = [found[name] for name in NUMBERS]
    except (ValueError, KeyError, TypeError):
        return None
    whole = isinstance(found["to"], list)
    whole = whole and all(isinstance(text, str) for text in texts)
    whole = whole and all(isinstance(number, int | float) for number in numbers)
    whole = whole and all(abs(number) < TIME_MOST for number in numbers)
    return found if whole else None


def _files(spool: str) -> list[int]:
    """Open what there is, the older one first; raises `OSError`."""
    found: list[int] = []
    for name in (NAME, OLD):  # in this order: the first may become the second
        try:
            fd = os.open(os.path.join(spool, name), os.O_RDONLY | FLAGS)
        except FileNotFoundError:
            continue
        if found and os.path.sameopenfile(fd, found[0]):
            os.close(fd)
        else:
            found.insert(0, fd)
    return found


def _append(path: str, data: bytes) -> None:
    fd = _opened(path)
    try:
        if os.fstat(fd).st_size >= SIZE_MOST:
            _put_away(path, fd)
            os.close(fd)
            fd = -1
            fd = _opened(path)
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            data = b"\n" + data  # somebody was cut off
        os.write(fd, data)
    finally:
        if fd >= 0:
            os.close(fd)


def _opened(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | FLAGS, 0o600)


def _put_away(path: str, fd: int) -> None:
    """Rename a file that is full, unless another process has done so."""
    fcntl.flock(fd, fcntl.LOCK_EX)
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.stat(path), os.fstat(fd)):
            os.rename(path, os.path.join(os.path.dirname(path), OLD))
