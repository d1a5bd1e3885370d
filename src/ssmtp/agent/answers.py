"""What the acceptor answers about the queue: own mail to everybody, all of it to root.

    XLIST [all]          a line of JSON for each message
    XSHOW ID             the message, its recipients, the lines of its header section
    XDROP ID             remove it for good
    XHOLD ID             do not try it until it is released
    XRELEASE ID          try it again, also one that lies in failed/
    XFLUSH [ID]          try it, or all of one's own, now
    XLOG WORD            what became of the messages with this id, Message-ID or address
    XSTATUS              how much there is, and how the sender fares

An ID may be the beginning or the end of one. Who asks is what the kernel says about the
connection; a message of somebody else does not exist for others.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from ssmtp import journal
from ssmtp.agent import receipts, status
from ssmtp.agent.hall import Hall
from ssmtp.errors import Failure
from ssmtp.smtp.outcomes import REFUSED, SENT
from ssmtp.spool.queue import Entry, owner_of

VERBS = ("XLIST", "XSHOW", "XDROP", "XHOLD", "XRELEASE", "XFLUSH", "XLOG", "XSTATUS")
STRANGER = 65534  # also everybody of another user namespace: nobody in particular
# What everybody is told of a mailhub.
TOLD = ("mailhubs", "state", "kind", "what", "next_step", "next_try")
LISTED = 10  # recipients in a line of XLIST
OLDEST = 100  # messages that XSTATUS looks at
TEXT_MOST = 300  # characters of a reason
OWED = (REFUSED, "expired")  # until there is a report
# Octets of what was noted of a message, from which on its user changes it no more.
CHANGES_MOST = 1 << 18
RECIPIENT_MOST = 1 << 15  # more for each recipient: long replies, for five days
PACE = 0.01  # seconds between two words for the sender that a user causes
# Who asks again and again for what is long, or costs others something, holds up nobody
# but himself.
_TURNS: dict[tuple[int, str], threading.Lock] = {}


class Denied(Exception):
    """An answer other than 250."""

    def __init__(self, code: int, status: str, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.status = status


class Asker:
    """Who asks; `trusted` may see and do everything."""

    def __init__(self, uid: int, trusted: bool, hall: Hall) -> None:
        self.uid = uid
        self.trusted = trusted
        self.hall = hall
        self.queue = hall.queue

    def owners(self, everybody: bool) -> int | None:
        """Return whose messages are meant, None for all."""
        if everybody and self.trusted:
            return None
        if everybody:
            raise Denied(550, "5.7.1", "only root sees the mail of all users")
        if self.uid == STRANGER:
            raise Denied(550, "5.7.1", "who you are cannot be told from here")
        return self.uid


def to(word: str, argument: str, asker: Asker) -> Iterator[str]:
    """Yield the lines of an answer; raises `Denied`, or `Failure` for the disk."""
    for found in ANSWERS[word](argument, asker):
        yield json.dumps(found)


def _list(argument: str, asker: Asker) -> Iterator[dict[str, Any]]:
    if argument not in ("", "all"):
        raise Denied(501, "5.5.4", "XLIST takes nothing, or all")
    owner = asker.owners(argument == "all" or asker.trusted)
    delays = status.delays(asker.queue.path)
    for entry, failed in _entries(asker, owner):
        yield row(entry, failed, asker.hall, delays)


def _entries(asker: Asker, owner: int | None) -> Iterator[tuple[Entry, bool]]:
    """Yield what a user has, or all: what is queued, then what has failed."""
    for failed in (False, True):
        names = asker.queue.failed_ids(owner) if failed else asker.queue.ids(owner)
        for name in sorted(names):
            entry = asker.queue.look(name, failed=failed)
            if entry is not None:
                yield entry, failed


def row(
    entry: Entry, failed: bool, hall: Hall, delays: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return what a list tells of a message.

    While its mailhub is in trouble nothing is tried, so that is why it waits; the rate
    limit is, if it has no reason of its own.
    """
    found = _row(entry, failed, hall)
    if found["state"] == "waiting":
        delay = status.of(entry.mailhubs, delays)
        if delay is not None and (delay[2] != status.LIMITED or not found["reason"]):
            found["reason"], found["next"] = delay[2][:TEXT_MOST], delay[3]
    found["pause"] = status.auth_pause(entry.mailhubs, delays)
    return found


def _row(entry: Entry, failed: bool, hall: Hall) -> dict[str, Any]:
    return {
        "id": entry.id,
        "time": entry.time,
        "uid": entry.uid,
        "login": entry.login,
        "from": entry.reverse_path,
        "to": [recipient.address for recipient in entry.recipients[:LISTED]],
        "recipients": len(entry.recipients),
        "octets": entry.octets,
        "state": _state(entry, failed, hall),
        "attempts": entry.attempts,
        "next": entry.next or None,
        "reason": _reason(entry),
        "kind": entry.kind,
        "message_id": entry.message_id,
    }


def _state(entry: Entry, failed: bool, hall: Hall) -> str:
    if failed:
        return "failed"
    if entry.held:
        return "held"
    if entry.begun and hall.link.connected:
        return "active"  # and no word about it yet
    if any(recipient.state == "doubt" for recipient in entry.recipients):
        return "in-doubt"
    return "waiting"


def _reason(entry: Entry) -> str:
    if entry.failed:
        return entry.failed[:TEXT_MOST]
    # What was said of those who have it, or never will, is no reason to wait.
    waiting = [entry.recipients[number].reply for number in entry.open]
    if not waiting:  # but for the report of what was given up
        waiting = [one.reply for one in entry.recipients if one.state in OWED]
    reason = next((reply[:TEXT_MOST] for reply in waiting if reply), "")
    if not reason and entry.held and entry.in_doubt:
        return "in doubt: the agent ended while it was sending it"
    return reason


def _show(argument: str, asker: Asker) -> Iterator[dict[str, Any]]:
    name, failed = _find(argument, asker)
    entry = asker.queue.look(name, failed=failed)
    if entry is None:
        raise _gone(name)
    yield row(entry, failed, asker.hall, status.delays(asker.queue.path))
    for recipient in entry.recipients:
        yield {
            "recipient": recipient.address,
            "state": receipts.STATES.get(recipient.state, recipient.state),
            "reply": recipient.reply,
        }
    section = b""
    for block in asker.queue.content(name, failed=failed):
        section += block
        if len(section) >= entry.header:
            break
    for line in section[: entry.header].splitlines():
        yield {"line": line.decode("utf-8", "backslashreplace")}


def _drop(argument: str, asker: Asker) -> Iterator[dict[str, Any]]:
    name, failed = _find(argument, asker)
    entry = asker.queue.look(name, failed=failed)
    if not asker.queue.drop(name, failed=failed):
        raise _busy(name)
    journal.note(f"{name} was dropped by uid {asker.uid}")
    if entry is not None:
        reply = f"by uid {asker.uid}"
        dropped = [
            (number, "dropped", reply)
            for number, recipient in enumerate(entry.recipients)
            if recipient.state != SENT
        ]
        receipts.note(asker.queue.path, entry, dropped)
    yield {"id": name}


def _hold(argument: str, asker: Asker) -> Iterator[dict[str, Any]]:
    name, failed = _find(argument, asker)
    if failed:
        raise Denied(550, "5.5.1", f"{name} is not tried any more")
    _check_changes(asker.queue.look(name), asker)
    if not asker.queue.hold(name):
        raise _busy(name)
    yield {"id": name}


def _release(argument: str, asker: Asker) -> Iterator[dict[str, Any]]:
    name, failed = _find(argument, asker)
    _check_changes(asker.queue.look(name, failed=failed), asker)
    again = asker.queue.requeue if failed else asker.queue.release
    if not again(name):
        raise _busy(name)
    _push(asker, name)
    yield {"id": name}


def _flush(argument: str, asker: Asker) -> Iterator[dict[str, Any]]:
    if not argument:
        # It costs one probe of the mailhub, and none of the others' mail a try.
        _push(asker, None)
        yield {"sender": _sender(asker)}
        return
    name, failed = _find(argument, asker)
    entry = asker.queue.look(name, failed=failed)
    if entry is not None and entry.held and not failed:
        raise Denied(550, "5.5.1", f"{name} is held until it is released")
    if failed:
        _check_changes(entry, asker)
        if not asker.queue.requeue(name):
            raise _busy(name)
    _push(asker, name)
    hubs = entry.mailhubs if entry is not None else []
    pause = status.auth_pause(hubs, status.troubles(asker.queue.path))
    yield {"id": name, "sender": _sender(asker), "pause": pause}


def _check_changes(entry: Entry | None, asker: Asker) -> None:
    """Deny a user one more change of a message whose file has grown by many."""
    if entry is None or asker.trusted:
        return
    grown = entry.size - entry.offset - entry.octets
    if grown > CHANGES_MOST + RECIPIENT_MOST * len(entry.recipients):
        words = f"{entry.id} was changed too often; leave it, drop it, or ask root"
        raise Denied(452, "4.3.1", words)


def _push(asker: Asker, name: str | None) -> None:
    """Have the sender try it, or all of one's own, at a pace that it can follow."""
    if asker.trusted:
        asker.hall.link.flush(name)
        return
    with _turn(asker, "XFLUSH"):
        asker.hall.link.flush(name, None if name else asker.uid)
        time.sleep(PACE)


def _turn(asker: Asker, what: str) -> threading.Lock:
    return _TURNS.setdefault((asker.uid, what), threading.Lock())


def _log(argument: str, asker: Asker) -> Iterator[dict[str, Any]]:
    if not argument.strip("<>"):
        raise Denied(501, "5.5.4", "name a message or an address")
    owner = asker.owners(asker.trusted)
    if asker.trusted:
        yield from _known(argument, asker, owner)
        return
    with _turn(asker, "XLOG"):
        yield from _known(argument, asker, owner)


def _known(word: str, asker: Asker, owner: int | None) -> Iterator[dict[str, Any]]:
    # What a mailhub says of one recipient names the whole message.
    with _record():
        names = receipts.named_by_hub(asker.queue.path, word, owner)
    past = _past(word, asker, owner, names)
    found: Iterator[dict[str, Any]] = itertools.chain(
        past, _present(word, asker, owner, names)
    )
    first = next(found, None)
    if first is None:
        # It may have left the queue meanwhile.
        first = next(found := _past(word, asker, owner, names), None)
    if first is None:
        raise Denied(550, "5.1.1", f"nothing is known of {word[:60]}")
    yield first
    yield from found


def _past(
    word: str, asker: Asker, owner: int | None, names: set[str]
) -> Iterator[dict[str, Any]]:
    with _record():
        for found in receipts.find(asker.queue.path, word, owner, names):
            number = len(found["to"])
            yield {**found, "to": _named(found["to"], word), "recipients": number}


@contextlib.contextmanager
def _record() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        words = f"the record of messages cannot be read: {error.strerror}"
        raise Denied(451, "4.3.0", words) from None


def _present(
    word: str, asker: Asker, owner: int | None, names: set[str]
) -> Iterator[dict[str, Any]]:
    """Yield what `XLIST` tells of the messages that are meant and are still here."""
    delays = status.delays(asker.queue.path)
    for entry, failed in _entries(asker, owner):
        to = [recipient.address for recipient in entry.recipients]
        addresses = [entry.reverse_path, *to]
        if entry.id in names or receipts.is_meant(
            word, entry.id, entry.message_id, addresses
        ):
            told = row(entry, failed, asker.hall, delays)
            yield {"now": {**told, "to": _named(to, word)}}


def _named(addresses: list[str], word: str) -> list[str]:
    """Return the first of many addresses, and the one that was asked for."""
    word = word.strip("<>").casefold()
    rest = [one for one in addresses[LISTED:] if one.casefold() == word]
    return addresses[:LISTED] + rest


def _status(argument: str, asker: Asker) -> Iterator[dict[str, Any]]:
    owner = None if asker.trusted else asker.uid
    names = sorted(asker.queue.ids(owner))
    # What cannot be read stays, and so comes to be the oldest.
    looked = {name: asker.queue.look(name) for name in names[:OLDEST]}
    oldest = next((entry for entry in looked.values() if entry is not None), None)
    octets = asker.hall.octets(owner)
    disk = _disk(asker)
    # Where nothing can be written its silence says nothing.
    hung = disk is None and status.is_hung(asker.queue.path)
    yield {
        "messages": len(names),
        "octets": octets,
        "oldest": oldest.time if oldest is not None else None,
        "unread": _unread(asker, [name for name in looked if looked[name] is None]),
        "failed": sum(1 for _ in asker.queue.failed_ids(owner)),
        "sender": "away" if hung else _sender(asker),
        "disk": disk,
        "configuration": _mistake(asker),
        "site": _site(asker, names),
    }


def _unread(asker: Asker, names: list[str]) -> int:
    """Count the messages of these that cannot be read, and have not just left."""
    return len({*names}.intersection(asker.queue.ids())) if names else 0


def _disk(asker: Asker) -> str | None:
    """Return why no mail can be taken, however well the mailhub fares."""
    folder, fd = asker.queue.queue.path, asker.queue.queue.fd
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"nothing can be written into {folder}"
    try:
        if not os.path.samestat(os.stat(folder), os.fstat(fd)):
            return f"{folder} was replaced while the agent ran; start it again"
        asker.queue.check_room(STRANGER, some=True)
    except OSError as error:
        return f"{folder}: {error.strerror}"
    except Failure as failure:
        return failure.sentence()
    return None


def _mistake(asker: Asker) -> str | None:
    """Return what is wrong with the configuration; not all may read what is there."""
    asker.hall.renew()
    if asker.hall.mistake is None or asker.trusted:
        return asker.hall.mistake
    return "the configuration is wrong (what held before still holds)"


def _site(asker: Asker, names: list[str]) -> Any:
    """Return how the mailhubs fare: those that the asker's messages go to."""
    found = status.read(asker.queue.path)
    if asker.trusted or found is None:
        return found
    entries = [asker.queue.look(name) for name in names]
    wanted = [[], *(entry.mailhubs for entry in entries if entry is not None)]
    sites = [
        {name: one.get(name) for name in TOLD}
        for one in found["sites"]
        if any(status.is_of(one, mailhubs) for mailhubs in wanted)
    ]
    return {"sites": sites}


def _sender(asker: Asker) -> str:
    return "connected" if asker.hall.link.connected else "away"


ANSWERS: dict[str, Callable[[str, Asker], Iterator[dict[str, Any]]]] = {
    "XLIST": _list,
    "XSHOW": _show,
    "XDROP": _drop,
    "XHOLD": _hold,
    "XRELEASE": _release,
    "XFLUSH": _flush,
    "XLOG": _log,
    "XSTATUS": _status,
}


def _find(word: str, asker: Asker) -> tuple[str, bool]:
    """Return the one message of the asker's that a word names, and if it has failed."""
    if not word:
        raise Denied(501, "5.5.4", "name a message")
    owner = None if asker.trusted else asker.owners(False)
    of = None if "/" in word else owner_of(word)
    if of is not None and owner in (None, of):
        # A whole id needs no list of what may be thousands.
        for failed in (False, True):
            if asker.queue.look(word, failed=failed) is not None:
                return word, failed
    found = []
    for failed, names in (
        (False, asker.queue.ids(owner)),
        (True, asker.queue.failed_ids(owner)),
    ):
        for name in names:
            if name == word:
                return name, failed
            if name.startswith(word) or name.endswith(word):
                found.append((name, failed))
    if not found:
        raise Denied(550, "5.1.1", f"no message {word[:60]} is in the queue")
    if len(found) > 1:
        words = f"{word[:60]} may be any of {len(found)} messages"
        raise Denied(550, "5.5.4", words)
    return found[0]


def _busy(name: str) -> Denied:
    return Denied(450, "4.2.1", f"{name} is being sent just now, or has left the queue")


def _gone(name: str) -> Denied:
    return Denied(550, "5.1.1", f"{name} has left the queue")
