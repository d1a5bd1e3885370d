"""The failed store: what could not be submitted is kept here, and nowhere else.

The rules:

1. A message is one file (`keptfile` tells its form), 0600, in a private directory
   (`places`), written so that a run that is killed at any moment leaves no file or a
   whole one (`durable`).
2. Names with a leading dot are no entries.
3. When one directory cannot take the message, the next one gets its chance.
4. Whoever sends or drops a kept message holds a lock on the file, and looks again
   whether the name still leads to it: two people who retry cannot send twice.
5. A file that is not what it should be (truncated, changed, a link, somebody else's) is
   reported and never sent; nothing but `drop` removes it.

Temporary directories are swept on many systems (systemd: /var/tmp after 30 days).
"""

from __future__ import annotations

import fcntl
import os
import time

from ssmtp.errors import Failure, InDoubt, InputRefused, SystemTrouble, UsageError
from ssmtp.spool import durable, keptfile, places
from ssmtp.spool.entry import Entry as Entry
from ssmtp.spool.entry import head_text, look, open_file, read, verify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Protocol, TypeVar

    from ssmtp.envelope import Envelope
    from ssmtp.intake import Intake
    from ssmtp.message import Message

    class Named(Protocol):
        """Whatever has an id to be chosen by, and a path to be told from others."""

        @property
        def id(self) -> str: ...
        @property
        def path(self) -> str: ...

    Choice = TypeVar("Choice", bound=Named)


class Kept:
    """Where a message has been kept; both are None when that was impossible."""

    __slots__ = ("id", "path")

    def __init__(self, path: str | None, id: str | None) -> None:  # noqa: A002
        self.path = path
        self.id = id


def keep(
    *,
    reason: Failure,
    intake: Intake | None = None,
    message: Message | None = None,
    envelope: Envelope | None = None,
    argv: Iterable[str] = (),
    config_path: str | None = None,
    environ: Mapping[str, str] | None = None,
    uid: int | None = None,
) -> Kept:
    """Keep what was to be sent, durably, and tell `reason` where it lies.

    With a message and its envelope, the repaired message is kept; else what was read,
    with the arguments. This never raises for want of a place: then both parts of the
    result are None and the failure's next step says that nothing was kept.
    """
    head = keptfile.Head("")
    _describe(head, reason)
    head.time = int(time.time())
    head.uid = os.getuid() if uid is None else uid
    head.config_path = config_path or ""
    head.arguments = keptfile.without_passwords(argv)
    text: _Text | None = None
    if message is not None and envelope is not None:
        try:
            text = _Repaired(message)
        except Exception:  # whatever is wrong with it, what was read can still be kept
            text = None
    if text is not None and message is not None and envelope is not None:
        head.kind = "repaired"
        head.message_id = message.message_id
        head.reverse_path = _plain(envelope.reverse_path)
        head.recipients = [str(address) for address in envelope.recipients]
        head.notify, head.ret = envelope.notify, envelope.ret
        head.envid, head.body = envelope.envid, envelope.body
    elif intake is not None:
        text = _AsRead(intake)
    else:
        return Kept(None, None)
    troubles: list[str] = []
    for place in places.for_writing(
        os.environ if environ is None else environ, head.uid, troubles
    ):
        try:
            name = _write(place, head, text)
        except OSError as error:
            troubles.append(f"{place.path}: {error.strerror}")
            continue
        except Failure as failure:  # what was read has gone from its temporary file
            troubles.append(failure.what)
            continue
        finally:
            place.close()
        kept = Kept(os.path.join(place.path, name), name)
        reason.kept, reason.kept_id = kept.path, kept.id
        return kept
    why = keptfile.escape(", ".join(troubles))
    lost = f"the message could NOT be kept ({why})"
    reason.next_step = f"{reason.next_step}; {lost}" if reason.next_step else lost
    return Kept(None, None)


def entries(
    environ: Mapping[str, str] | None = None, uid: int | None = None
) -> list[Entry]:
    """Return what is kept for the calling user, oldest first, whole or not."""
    return _entries(environ, os.getuid() if uid is None else uid)


def all_entries(environ: Mapping[str, str] | None = None) -> list[Entry]:
    """Return what is kept for every user whose directory can be read (root)."""
    return _entries(environ, None)


def load(
    word: str, environ: Mapping[str, str] | None = None, uid: int | None = None
) -> Entry:
    """Return the entry with this id or path, or the only one that begins or ends so.

    Raises UsageError (64) when there is none, or more than one.
    """
    return choose(word, entries(environ, uid))


def choose(word: str, among: Iterable[Choice]) -> Choice:
    """Return the entry that `word` names, as `load` does."""
    found = []
    for entry in among:
        if word in (entry.id, entry.path):
            return entry
        if word and (entry.id.startswith(word) or entry.id.endswith(word)):
            found.append(entry)
    shown = keptfile.escape(word)
    if not found:
        raise UsageError(
            f"no message {shown} is kept", "`ssmtpctl queue` lists those that are"
        )
    if len(found) > 1:
        raise UsageError(
            f"{shown} may be any of {len(found)} kept messages",
            f"give more of the id, for instance {keptfile.escape(found[0].id)}",
        )
    return found[0]


def claim(entry: Entry) -> Entry:
    """Lock the entry and return it read anew; `release` it, or use it in a `with`.

    Raises SystemTrouble (75) when another process has it, or had it and it is gone;
    InputRefused (65) when it cannot even be opened.
    """
    gone = SystemTrouble(
        f"{keptfile.escape(entry.id)} has been sent, changed or dropped meanwhile",
        "`ssmtpctl queue` lists what is kept",
    )
    try:
        fd = open_file(entry.path)
    except FileNotFoundError:
        raise gone from None
    except OSError as error:
        raise InputRefused(
            f"{keptfile.escape(entry.id)} {entry.damage or error.strerror}",
            "nothing can be sent from it; `ssmtpctl queue drop` removes it",
        ) from None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemTrouble(
                f"{entry.id} is in use by another process", "try again when it is done"
            ) from None
        # Between open and lock somebody may have sent and removed it.
        ours = os.fstat(fd)
        try:
            named = os.stat(entry.path, follow_symlinks=False)
        except FileNotFoundError:
            named = None
        if named is None or (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino):
            raise gone
        fresh = Entry(entry.path, entry.id, entry.owner)
        read(fresh, fd)
        if not fresh.damage:
            verify(fresh, fd)
        fresh.fd = fd
        return fresh
    except BaseException:
        os.close(fd)
        raise


def remove(entry: Entry) -> None:
    """Remove an entry for good; it should be claimed.

    Raises OSError. Afterwards the removal is durable.
    """
    directory = os.open(
        os.path.dirname(entry.path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    )
    try:
        os.unlink(os.path.basename(entry.path), dir_fd=directory)
        durable.synchronise(directory)
    finally:
        os.close(directory)


def drop(
    word: str, environ: Mapping[str, str] | None = None, uid: int | None = None
) -> Entry:
    """Remove the entry that `word` names, whole or not, and return what it was."""
    entry = load(word, environ, uid)
    drop_entry(entry)
    return entry


def drop_entry(entry: Entry) -> None:
    """Remove an entry unless another process is sending it."""
    if entry.stamp is None:  # a link, a pipe, an unreadable file: nothing to lock
        remove(entry)
        return
    with claim(entry) as claimed:
        remove(claimed)


def settle(entry: Entry, failure: Failure) -> None:
    """Write into a claimed entry how the latest attempt ended.

    The new state matters most: a message that is now in doubt must not go out again by
    itself. When there is no room for a new file, the state alone is changed in place.
    """
    head = entry.head
    state = head.state
    before = (state, head.exit_code, head.reason, head.reply)
    _describe(head, failure)
    if state == "in-doubt":
        head.state = state  # no later failure takes the doubt away
    if before == (head.state, head.exit_code, head.reason, head.reply):
        return
    directory, name = os.path.split(entry.path)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        durable.replace(fd, name, lambda new: _fill(new, head, _Again(entry)))
    except OSError:
        if head.state != state:
            _patch_state(entry)
    finally:
        os.close(fd)


# Writing


class _Text:
    """A message that can be read in blocks with LF line ends, as often as wanted."""

    def blocks(self) -> Iterable[bytes]:
        raise NotImplementedError


class _Repaired(_Text):
    def __init__(self, message: Message) -> None:
        # As much as any mailhub may take: a hub that can do less gets it re-encoded
        # when it is sent again.
        self.content = message.render(smtputf8=True, eightbitmime=True)

    def blocks(self) -> Iterable[bytes]:
        return keptfile.line_feeds(self.content.blocks())


class _AsRead(_Text):
    def __init__(self, intake: Intake) -> None:
        self.intake = intake

    def blocks(self) -> Iterable[bytes]:
        return keptfile.line_feeds(self.intake.blocks())


class _Again(_Text):
    def __init__(self, entry: Entry) -> None:
        self.entry = entry

    def blocks(self) -> Iterable[bytes]:
        return self.entry.blocks()


def _describe(head: keptfile.Head, failure: Failure) -> None:
    """Put into the head what the failure says."""
    head.exit_code = failure.exit_code
    head.reason = failure.sentence()
    head.reply = str(failure.reply) if failure.reply is not None else ""
    if isinstance(failure, InDoubt):
        head.state = "in-doubt"
    else:
        head.state = "refused" if failure.when == "never" else "deferred"


def _write(place: places.Place, head: keptfile.Head, text: _Text) -> str:
    """Write one entry and return its name; raises OSError and leaves nothing then."""
    while True:
        name = time.strftime("%Y%m%d-%H%M%S-", time.gmtime(head.time))
        name += os.urandom(4).hex()
        head.id = name
        try:
            durable.create(place.fd, name, lambda fd: _fill(fd, head, text))
            return name
        except FileExistsError:
            continue  # one chance in four thousand million


def _fill(fd: int, head: keptfile.Head, text: _Text) -> None:
    """Write head and message, then the head again, now that the sums are known."""
    head.octets = head.crc32 = 0
    durable.write(fd, head.render())
    for block in text.blocks():
        durable.write(fd, block)
        head.octets += len(block)
        head.crc32 = keptfile.checksum(block, head.crc32)
    os.lseek(fd, 0, os.SEEK_SET)
    durable.write(fd, head.render())


# Reading


def _entries(environ: Mapping[str, str] | None, uid: int | None) -> list[Entry]:
    found = []
    if environ is None:
        environ = os.environ
    for place in places.for_reading(environ, uid):
        try:
            for name in os.listdir(place.fd):
                if not name.startswith("."):
                    found.append(look(place, name))
        except OSError:
            pass
        finally:
            place.close()
    found.sort(key=lambda entry: (entry.head.time, entry.id))
    return found


# Changing


def _patch_state(entry: Entry) -> None:
    """Change the state where it stands: it has a fixed width."""
    fd = os.open(entry.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        text = head_text(fd)
        mark = b"\nstate: "
        at = text.find(mark)
        if at >= 0:
            state = f"{entry.head.state:<{keptfile.STATE_WIDTH}}"
            os.pwrite(fd, state.encode(), at + len(mark))
            os.fsync(fd)
    finally:
        os.close(fd)


def _plain(address: object) -> str:
    return "" if address is None else str(address)
