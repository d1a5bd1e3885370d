"""The queue: what is in it stays, what is not a message stops nobody."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from ssmtp.errors import ConfigError, SystemTrouble
from ssmtp.spool import space
from ssmtp.spool.queue import Claim, Draft, NoSpace, Queue, Recipient, owner_of

CONTENT = b"Subject: test\r\n\r\n.\r\nCaf\xc3\xa9\r\n"


def draft(uid: int = 1000, *recipients: str, **more) -> Draft:
    return Draft(
        uid,
        "bob",
        "bob@example.org",
        [Recipient(address) for address in recipients or ("ann@example.org",)],
        header=17,
        **more,
    )


class Box:
    """A queue in a directory of its own, and what it told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[str] = []
        self.queue = self.open()

    def open(self, **more) -> Queue:
        return Queue.open(str(self.path), make=True, tell=self.told.append, **more)

    def add(self, *recipients: str, **more) -> str:
        return self.queue.add(draft(1000, *recipients, **more), [CONTENT])

    def claim(self, name: str) -> Claim:
        claim = self.queue.claim(name)
        assert claim is not None
        return claim

    def file(self, name: str) -> Path:
        return self.path / "queue" / name

    def names(self, folder: str = "queue") -> list[str]:
        return sorted(os.listdir(self.path / folder))

    def due(self) -> list[str]:
        return [name for _, name in self.queue.due(time.time(), 100)]


@pytest.fixture(autouse=True)
def unordered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the steps be those of most file systems, whatever lies under this one."""
    monkeypatch.setattr(space, "order", lambda fd: space.NO_ORDER)


@pytest.fixture
def box(tmp_path: Path):
    box = Box(tmp_path / "state" / "spool")
    yield box
    box.queue.close()


# Coming in


def test_a_message_comes_back_as_it_was_given(box: Box) -> None:
    """Envelope, wishes and content come back as they were queued, octet by octet."""
    given = Draft(
        1000,
        "b\u00f6b",
        "bob@example.org",
        [
            Recipient("ann@example.org", "NEVER"),
            Recipient("b\u00fccher@example.org", None, "rfc822;x+3Dy@example.org"),
        ],
        header=17,
        message_id="<1@example.org>",
        kind="bounce",
        smtputf8=True,
        eightbit=True,
        ret="HDRS",
        envid="a b\nto: <eve@example.org>",
        body="8BITMIME",
        mailhubs=["[one.example.org]:587", "two.example.org"],
    )
    name = box.queue.add(given, [CONTENT[:5], CONTENT[5:]])
    with box.claim(name) as claim:
        found = claim.entry
        content = b"".join(claim.blocks())

    assert CONTENT == content
    for attribute in Draft.__slots__:
        if attribute != "recipients":
            assert getattr(given, attribute) == getattr(found, attribute)
    for before, after in zip(given.recipients, found.recipients, strict=True):
        for attribute in Recipient.__slots__:
            assert getattr(before, attribute) == getattr(after, attribute)
    assert [0, 1] == found.open


@pytest.mark.parametrize("size", [0, 1, 65_000, 65_536, 262_144, 262_145, 3_000_001])
def test_contents_of_any_size(box: Box, size: int) -> None:
    """A message of any size comes back whole, also from some octet on."""
    content = b"0123456789abcde\n" * (size // 16 + 1)
    content = content[:size]
    blocks = [content[at : at + 50_000] for at in range(0, size, 50_000)]
    name = box.queue.add(draft(), blocks)
    with box.claim(name) as claim:
        assert size == claim.entry.octets
        assert content == b"".join(claim.blocks())
        assert content[size // 3 :] == b"".join(claim.blocks(size // 3))
    assert content == b"".join(box.queue.content(name))


def test_the_file_can_be_read_by_people(box: Box) -> None:
    """The file of a message is private text: what `cat` shows says it all."""
    name = box.add("ann@example.org", "joe@example.org")
    text = box.file(name).read_bytes()

    assert text.startswith(b"ssmtp queued message 1\nid: %s\n" % name.encode())
    assert (
        b"\nto: <ann@example.org>\nto: <joe@example.org>\n\nSubject: test\r\n" in text
    )
    assert b"\r\nend: 000000000027 " in text
    assert 0o600 == stat.S_IMODE(box.file(name).stat().st_mode)


def test_directories_are_private(box: Box) -> None:
    """Nobody else can look into the spool, whatever the umask was."""
    os.chmod(box.path, 0o755)
    box.open().close()
    for directory in (box.path, *(box.path / name for name in os.listdir(box.path))):
        assert 0o700 == stat.S_IMODE(directory.stat().st_mode)
    assert ["corrupt", "failed", "queue"] == sorted(os.listdir(box.path))


def test_names_tell_owner_and_age(box: Box) -> None:
    """Ids sort by age and name the owner, so that lists need not open files."""
    late = box.add(time=1_700_000_000)
    early = box.queue.add(draft(7, time=1_600_000_000), [CONTENT])

    assert [early, late] == sorted(box.queue.ids())
    assert [early] == list(box.queue.ids(7))
    assert (7, 1000) == (owner_of(early), owner_of(late))
    assert late.startswith("20231114T221320-1000-")
    assert 2 == box.queue.count()


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../queue", "x" * 44, "20231114T221320-a-" + "b" * 26]
)
def test_what_is_no_id_is_gone(box: Box, name: str) -> None:
    """A name that no message can have leads nowhere, least of all to another file."""
    assert owner_of(name) is None
    assert box.queue.claim(name) is None
    assert box.queue.look(name) is None
    assert not box.queue.drop(name)


def test_a_sender_who_goes_away_leaves_nothing(box: Box) -> None:
    """When the content breaks off, nothing is queued and nothing remains."""

    def blocks():
        yield b"x" * 300_000
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        box.queue.add(draft(), blocks())

    assert [] == box.names()


def test_a_message_needs_recipients(box: Box) -> None:
    """A message for nobody is not queued."""
    with pytest.raises(ValueError, match="without recipients"):
        box.queue.add(Draft(1000, "bob", "", []), [CONTENT])

    assert [] == box.names()


@pytest.mark.parametrize("call", ["fsync", "link", "write", "open"])
@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EIO, SystemTrouble),
        (errno.ENOSPC, NoSpace),
        (errno.EDQUOT, NoSpace),
        (errno.EMFILE, SystemTrouble),
    ],
)
def test_a_failing_disk_is_said_and_leaves_nothing(
    box: Box, monkeypatch: pytest.MonkeyPatch, call: str, number: int, kind: type
) -> None:
    """When the disk fails at any step, that is the answer, and nothing is queued."""

    def fail(*arguments: object, **more: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(SystemTrouble) as caught:
            box.add()

    assert kind is type(caught.value)
    assert os.strerror(number) in caught.value.what
    assert [] == box.names()


def test_a_directory_that_cannot_be_synchronised_takes_the_message_back(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that may not survive is taken away again, before anybody can send it."""
    real = os.fsync
    other = box.open()
    seen: list[object] = []

    def fail(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode) and not seen:
            (name,) = box.names()
            seen.append(other.claim(name))
            raise OSError(errno.EIO, "Input/output error")
        real(fd)

    monkeypatch.setattr(os, "fsync", fail)
    calls = Calls(monkeypatch)
    with pytest.raises(SystemTrouble):
        box.add()

    assert [None] == seen  # it was there, and nobody could have it
    assert [] == box.names()
    assert ["link", "unlink", "directory safe"] == calls.words[-3:]


def test_who_is_interrupted_before_it_is_safe_leaves_nothing(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that was never acknowledged is not there, whatever ended its coming."""
    real = os.fsync

    def interrupt(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode) and box.names():
            raise KeyboardInterrupt
        real(fd)

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        box.add()

    assert [] == box.names()


class Calls:
    """What is asked of the disk from now on, as words: the call and what it is for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.words: list[str] = []
        for name in ("fsync", "fdatasync", "write", "link", "rename", "unlink"):
            monkeypatch.setattr(os, name, self._noting(name, getattr(os, name)))

    def _noting(self, name: str, real):
        def call(*arguments, **more):
            done = real(*arguments, **more)
            if name.endswith("sync"):
                found = os.fstat(arguments[0])
                what = "directory" if stat.S_ISDIR(found.st_mode) else "file"
                self.words.append(f"{what} safe")
            else:
                self.words.append(name)
            return done

        return call


@pytest.mark.parametrize("name", ["link", "rename"])
def test_what_is_acknowledged_is_safe(
    box: Box, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The content is safe before it has a name, the name before anybody is told."""
    if name == "rename":
        monkeypatch.delattr(os, "O_TMPFILE")
    calls = Calls(monkeypatch)
    box.add()

    assert ["write", "file safe", name, "directory safe"] == calls.words


def _claimed(do):
    def run(box: Box, name: str) -> None:
        with box.claim(name) as claim:
            do(claim)

    return run


def _requeued(box: Box, name: str) -> None:
    box.claim(name).to_failed("no")
    assert box.queue.requeue(name)


NOTED = ["write", "file safe"]
REMOVED = ["unlink", "directory safe"]
MOVED = [*NOTED, "rename", "directory safe", "directory safe"]
WORDS = {
    "outcome": (_claimed(lambda claim: claim.settle([(0, "sent", "250")])), NOTED),
    "warned": (_claimed(lambda claim: claim.warned()), NOTED),
    "hold": (lambda box, name: box.queue.hold(name), NOTED),
    "release": (lambda box, name: box.queue.release(name), NOTED),
    "done": (_claimed(lambda claim: claim.done()), REMOVED),
    "drop": (lambda box, name: box.queue.drop(name), REMOVED),
    "failed": (_claimed(lambda claim: claim.to_failed("no")), MOVED),
    "requeue": (_requeued, MOVED * 2),
}


@pytest.mark.parametrize("word", WORDS)
def test_what_became_of_it_is_safe(
    box: Box, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """Each word on a message is safe before whoever said it goes on."""
    name = box.add()
    do, wanted = WORDS[word]
    calls = Calls(monkeypatch)
    do(box, name)

    assert wanted == calls.words


def test_what_is_found_becomes_safe(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed writer did not come to, whoever starts next makes up for."""
    box.add()
    box.file("core").write_bytes(b"what is this?")
    calls = Calls(monkeypatch)
    box.queue.recover()

    assert ["rename"] + ["directory safe"] * 5 == calls.words


@pytest.mark.parametrize("lacking", ["O_TMPFILE", "/proc"])
def test_where_files_without_a_name_are_unknown(
    box: Box, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    """Without O_TMPFILE or /proc a hidden name takes its place, and goes."""
    if lacking == "O_TMPFILE":
        monkeypatch.delattr(os, "O_TMPFILE")
    else:
        monkeypatch.setattr(os.path, "isdir", lambda path: path != "/proc/self/fd")
    queue = box.open()
    name = queue.add(draft(), [CONTENT])

    assert [name] == box.names()
    assert CONTENT == b"".join(box.claim(name).blocks())

    monkeypatch.setattr(os, "rename", lambda *a, **k: os.stat("/no/such"))
    with pytest.raises(SystemTrouble):
        queue.add(draft(), [CONTENT])
    assert [name] == box.names()


@pytest.mark.parametrize("moment", ["before", "while"])
def test_who_sweeps_disturbs_nobody_who_begins(
    box: Box, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A half that starts may take a new file for a leftover; the message comes in."""
    import fcntl

    monkeypatch.delattr(os, "O_TMPFILE")
    queue = box.open()
    real = fcntl.flock
    swept: list[str] = []

    def flock(fd: int, how: int) -> None:
        if not swept:
            swept.extend(box.names())
            other = os.open(box.file(swept[0]), os.O_RDONLY)
            real(other, fcntl.LOCK_EX)
            os.unlink(box.file(swept[0]))
            if moment == "before" or not how & fcntl.LOCK_NB:
                os.close(other)  # else it is still at it
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    name = queue.add(draft(), [CONTENT])
    queue.close()

    assert 1 == len(swept)
    assert [name] == box.names()
    assert CONTENT == b"".join(box.claim(name).blocks())


def test_leftovers_are_swept(box: Box) -> None:
    """What a killed writer left goes with the next start; who still writes goes on."""
    box.file(".0123").write_bytes(b"torn")
    os.utime(box.file(".0123"), (2e9, 2e9))
    box.file(".4567").write_bytes(b"being written")
    import fcntl

    with open(box.file(".4567"), "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        box.queue.recover()

    assert [".4567"] == box.names()


# One at a time


def test_only_one_can_have_a_message(box: Box) -> None:
    """Whoever claims a message has it alone, until it is released."""
    name = box.add()
    other = box.open()
    with box.claim(name):
        assert other.claim(name) is None
        assert box.queue.claim(name) is None
        assert not box.queue.drop(name)
        assert not box.queue.hold(name)
    again = other.claim(name)

    assert again is not None
    again.release()


def test_a_message_that_is_done_is_gone(box: Box) -> None:
    """Once done, a message is nowhere, and nobody can claim it."""
    name = box.add()
    claim = box.claim(name)
    claim.begin()
    claim.done()

    assert [] == box.names()
    assert box.queue.claim(name) is None
    assert box.queue.look(name) is None
    assert [] == list(box.queue.content(name))


def test_who_waited_for_a_message_that_is_done_does_not_get_it(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening a file and locking it, its message may be done by another."""
    import fcntl

    name = box.add()
    claim = box.claim(name)
    real = fcntl.flock

    def late(fd: int, how: int) -> None:
        if claim.fd >= 0:
            claim.done()
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", late)

    assert box.open().claim(name) is None


def test_who_waited_for_a_message_knows_what_became_of_it(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening a file and locking it, somebody may have sent it to some."""
    import fcntl

    name = box.add("a@example.org", "b@example.org")
    claim = box.claim(name)
    real = fcntl.flock

    def late(fd: int, how: int) -> None:
        if claim.fd >= 0:
            claim.settle([(0, "sent", "250 OK")])
            claim.release()
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", late)
    other = box.open().claim(name)

    assert other is not None
    with other:
        assert [1] == other.entry.open


def test_a_copy_is_not_sent(box: Box) -> None:
    """A file that somebody has copied under another name is no message."""
    name = box.add()
    copy = name[:-1] + ("b" if name[-1] == "a" else "a")
    box.file(copy).write_bytes(box.file(name).read_bytes())

    assert box.queue.claim(copy) is None
    assert [name] == box.names()
    assert "has the head of another message" in box.told[0]


def test_the_next_message_takes_the_other_way(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where /proc has gone meanwhile one message is refused, and no more."""

    def fail(*arguments: object, **more: object) -> None:
        raise OSError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(SystemTrouble):
        box.add()
    name = box.add()

    assert [name] == box.names()


# What became of it


def test_outcomes_are_kept(box: Box) -> None:
    """Each recipient has its own outcome; only the open ones are tried again."""
    name = box.add("a@example.org", "b@example.org", "c@example.org", "d@example.org")
    now = int(time.time())
    with box.claim(name) as claim:
        claim.begin()
        claim.settle(
            [
                (0, "sent", "250 2.0.0 OK"),
                (1, "deferred", "451 4.7.1 greylisted\nfor long"),
                (2, "refused", "550 5.1.1 caf\u00e9 \\ unknown"),
                (3, "deferred", "451 4.7.1 greylisted\nfor long"),
            ],
            now + 300,
        )
    entry = box.queue.look(name)

    assert entry is not None
    assert ["sent", "deferred", "refused", "deferred"] == [
        recipient.state for recipient in entry.recipients
    ]
    assert "451 4.7.1 greylisted\nfor long" == entry.recipients[3].reply
    assert "550 5.1.1 caf\u00e9 \\ unknown" == entry.recipients[2].reply
    assert [1, 3] == entry.open
    assert (1, 0, now + 300) == (entry.attempts, entry.crashed, entry.next)
    assert [(now + 300, name)] == box.queue.due(now, 10)
    assert (
        5 == box.file(name).read_bytes().partition(b"\nend: ")[2].count(b"\n") - 1 + 0
    )


def test_a_time_for_the_next_try_ends_a_try(box: Box) -> None:
    """A try that came to nothing at all, not even to an outcome, is no crash."""
    name = box.add()
    with box.claim(name) as claim:
        claim.begin()
        claim.settle([], 5.0)
    entry = box.queue.look(name)

    assert entry is not None
    assert (1, 0) == (entry.attempts, entry.crashed)


def test_crashes_are_counted(box: Box) -> None:
    """A try of which nobody wrote the end is a crash; any word ends the count."""
    name = box.add()
    for _ in range(2):
        with box.claim(name) as claim:
            claim.begin()
    entry = box.queue.look(name)
    assert entry is not None
    assert (2, 2) == (entry.attempts, entry.crashed)

    with box.claim(name) as claim:
        claim.begin()
        claim.settle([(0, "doubt", "the connection broke")])
        assert (3, 0) == (claim.entry.attempts, claim.entry.crashed)
        assert [0] == claim.entry.open


def test_a_torn_record_is_passed_over(box: Box) -> None:
    """A record that a crash has cut costs nothing but itself."""
    name = box.add()
    with box.claim(name) as claim:
        claim.settle([(0, "deferred", "451 first")], 5.0)
    whole = box.file(name).read_bytes()
    record = b"sent: 2026-11-21T21:14:11Z 0 250 2.0.0 OK 01234567\n"
    for cut in (1, len(record) - 1, len(record)):
        box.file(name).write_bytes(whole + record[:cut])
        with box.claim(name) as claim:
            assert "deferred" == claim.entry.recipients[0].state
            claim.settle([(0, "deferred", "451 second")], 6.0)
        entry = box.queue.look(name)

        assert entry is not None
        assert "451 second" == entry.recipients[0].reply


def test_a_record_that_does_not_fit_leaves_no_torn_line(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full in the middle of a record, the next one is still read."""
    name = box.add()
    real = os.write

    def short(fd: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", full)
        return real(fd, bytes(data)[:9])

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with box.claim(name) as claim:
        monkeypatch.setattr(os, "write", short)
        with pytest.raises(NoSpace):
            claim.settle([(0, "sent", "250 OK")])
        monkeypatch.setattr(os, "write", real)
        claim.settle([(0, "refused", "550 no")])
    entry = box.queue.look(name)

    assert entry is not None
    assert "refused" == entry.recipients[0].state


def test_outcomes_must_have_a_recipient(box: Box) -> None:
    """A word on somebody to whom the message does not go is not taken."""
    with box.claim(box.add()) as claim:
        with pytest.raises(IndexError):
            claim.settle([(1, "sent", "")])
        with pytest.raises(ValueError, match="gone"):
            claim.settle([(0, "gone", "")])


def test_what_cannot_be_removed_is_not_sent_again(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk does not let sent messages go, they go with the next claim."""
    names = [box.add() for _ in range(3)]
    claims = [box.claim(name) for name in names]

    def fail(*arguments: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", fail)
        with pytest.raises(NoSpace):
            claims[0].done()
        for claim in claims[1:]:
            with pytest.raises(OSError, match="No space") as failed:
                claim.unlink()
            with pytest.raises(NoSpace):
                claim.unlinked(failed.value)
    assert sorted(names) == box.names()

    assert [None] * 3 == [box.queue.claim(name) for name in names]
    assert [] == box.names()


@pytest.mark.parametrize("way", ["done", "failed"])
def test_what_cannot_leave_stops_nobody(
    box: Box, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """A file that only grows (`chattr +a`) stays when it is over; the others go on."""
    bad, good = box.add(), box.add()

    def fail(*arguments: object, **more: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "unlink" if way == "done" else "rename", fail)
    claim = box.claim(bad)
    with pytest.raises(SystemTrouble):
        claim.done() if way == "done" else claim.to_failed("no")
    found = [box.queue.claim(bad) for _ in range(2)]

    assert [None, None] == found
    assert [good] == box.due()
    assert sorted((bad, good)) == box.names()
    assert 1 == len(box.told)

    monkeypatch.undo()
    assert box.queue.claim(bad) is None
    assert [good] == box.names()


def test_what_may_come_back_is_not_sent_again(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that has gone, but not durably, may come back: then it says `done`."""
    names = [box.add() for _ in range(2)]
    claims = [box.claim(name) for name in names]
    files = [open(box.file(name), "rb") for name in names]

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SystemTrouble):
        claims[0].done()
    claims[1].unlink()
    with pytest.raises(SystemTrouble):
        claims[1].unlinked(box.queue.queue.try_sync())
    last = [file.read().splitlines()[-1] for file in files]
    for file in files:
        file.close()

    assert [b"done: ", b"done: "] == [line[:6] for line in last]


def test_who_has_it_is_not_forgotten_on_a_full_disk(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a try that left nobody with the message is as if it had never begun."""
    names = [box.add("a@example.org", "b@example.org") for _ in range(3)]
    claims = [box.claim(name) for name in names]
    for claim in claims:
        claim.begin()
    claims[2].settle([(0, "sent", "250 OK"), (1, "deferred", "452 too many")])
    real = os.write

    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", fail)
    for claim, state in zip(claims, ("sent", "deferred", "deferred"), strict=True):
        with pytest.raises(NoSpace):
            claim.settle([(1, state, "")])
        claim.release()
    monkeypatch.setattr(os, "write", real)
    entries = [box.queue.look(name) for name in names]

    assert [1, 0, 0] == [entry.crashed for entry in entries if entry]
    assert [1, 0, 1] == [entry.attempts for entry in entries if entry]
    assert ["waiting", "waiting", "sent"] == [
        entry.recipients[0].state for entry in entries if entry
    ]


def test_a_file_that_becomes_shorter_is_not_sent_as_if_whole(box: Box) -> None:
    """Whoever cuts a file that is being read causes an error, and no short mail."""
    name = box.queue.add(draft(), [b"x" * 500_000])
    with box.claim(name) as claim:
        blocks = claim.blocks()
        next(blocks)
        os.truncate(box.file(name), 100_000)

        with pytest.raises(SystemTrouble, match="has become shorter"):
            list(blocks)


# Failed ones


def test_a_full_disk_keeps_no_message_from_failing(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without room for the reason, a message goes to failed/ all the same."""
    name = box.add()
    claim = box.claim(name)

    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", fail)
    claim.to_failed("no")

    assert ([], [name]) == (box.names(), box.names("failed"))


@pytest.mark.parametrize("state", ["sent", "relayed"])
def test_nobody_gets_it_again_who_has_it(box: Box, state: str) -> None:
    """A failed message that is requeued goes to those who do not have it."""
    name = box.add("a@example.org", "b@example.org")
    claim = box.claim(name)
    claim.settle([(0, state, "250 OK"), (1, "refused", "550 no")])
    claim.to_failed("no")
    box.queue.requeue(name)

    with box.claim(name) as claim:
        assert [1] == claim.entry.open


def test_odd_files_among_the_failed_stay_there(box: Box) -> None:
    """What somebody puts beside the failed messages is no business of ours."""
    for name in ("README", "core"):
        (box.path / "failed" / name).write_bytes(b"what is this?")

    assert [] == list(box.queue.failed_ids())
    assert ["README", "core"] == box.names("failed")


def test_failed_messages_are_kept_with_the_reason(box: Box) -> None:
    """A message that comes to nothing lies in failed/, until it is requeued."""
    name = box.add("a@example.org", "b@example.org", time=1_600_000_000)
    claim = box.claim(name)
    claim.settle([(0, "sent", "250 OK"), (1, "expired", "too old")])
    claim.to_failed("nobody wanted it\nfor 5 days")
    entry = box.queue.look(name, failed=True)

    assert ([], [name]) == (box.names(), box.names("failed"))
    assert entry is not None
    assert "nobody wanted it\nfor 5 days" == entry.failed
    assert [name] == list(box.queue.failed_ids(1000))
    assert CONTENT == b"".join(box.queue.content(name, failed=True))

    assert box.queue.requeue(name)
    assert not box.queue.requeue(name)
    with box.claim(name) as claim:
        assert [1] == claim.entry.open
        assert "" == claim.entry.failed
        assert time.time() - claim.entry.since < 60
        assert 1_600_000_000 == claim.entry.time


def test_failed_messages_can_be_dropped(box: Box) -> None:
    """People may drop what failed, and what is queued."""
    failed, queued = box.add(), box.add()
    box.claim(failed).to_failed("no")

    assert not box.queue.drop(failed)
    assert box.queue.drop(failed, failed=True)
    assert box.queue.drop(queued)
    assert [] == box.names() + box.names("failed")


def test_a_move_that_was_cut_short_is_finished(box: Box) -> None:
    """Killed between reason and rename, a message reaches failed/ all the same."""
    name = box.add()
    with box.claim(name) as claim:
        claim.note("failed", "no")

    assert box.queue.claim(name) is None
    assert ([], [name]) == (box.names(), box.names("failed"))


# When


def test_the_soonest_comes_first(box: Box) -> None:
    """Those due are listed soonest first, and no more than asked for."""
    names = [box.add() for _ in range(4)]
    now = time.time()
    for name, when in zip(names, (now + 30, now - 5, now + 10, now + 20), strict=True):
        os.utime(box.file(name), (when, when))

    first = box.queue.due(now, 3)
    assert [names[1], names[2], names[3]] == [name for _, name in first]
    assert [names[0]] == [name for _, name in box.queue.due(now, 3, first[-1])]


def test_those_of_one_moment_come_in_turn(box: Box) -> None:
    """Of many that are due at the same time, the next list begins where one ended."""
    names = sorted(box.add() for _ in range(5))
    for name in names:
        os.utime(box.file(name), (1e9, 1e9))
    first = box.queue.due(2e9, 2)
    then = box.queue.due(2e9, 9, first[-1])

    assert names == [name for _, name in first + then]


def test_a_clock_that_was_wrong_delays_nothing(box: Box) -> None:
    """A time farther off than any pause means now."""
    name = box.add()
    now = time.time()
    os.utime(box.file(name), (now + 90_000, now + 90_000))

    assert [(now, name)] == box.queue.due(now, 3)


def test_held_messages_wait_for_people(box: Box) -> None:
    """A held message is not due and cannot be claimed; released, it is due at once."""
    name = box.add()
    assert box.queue.hold(name)
    assert [] == box.due()
    assert box.queue.claim(name) is None
    os.utime(box.file(name))  # as a restored backup has it

    assert box.queue.claim(name) is None
    assert [] == box.due()
    assert box.queue.release(name)
    assert [name] == box.due()
    box.claim(name).release()


def test_release_makes_a_waiting_message_due(box: Box) -> None:
    """People need not wait for the next try."""
    name = box.add()
    with box.claim(name) as claim:
        claim.settle([(0, "deferred", "451")], time.time() + 3600)
    box.queue.release(name)
    ((when, _),) = box.queue.due(time.time(), 1)

    assert when <= time.time()


def test_a_warning_is_given_once(box: Box) -> None:
    """That the sender was warned is kept, and does not change when the next try is."""
    name = box.add()
    when = int(time.time()) + 3600
    with box.claim(name) as claim:
        claim.settle([(0, "deferred", "451")], when)
        claim.warned()
    entry = box.queue.look(name)

    assert entry is not None
    assert entry.warned
    assert [(when, name)] == box.queue.due(time.time(), 1)


# Foreign files


def _replaced(change):
    def damage(path: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return damage


def _linked(path: Path) -> None:
    os.link(path, path.with_name("20231114T221320-1000-" + "b" * 26))


def _symbolic(path: Path) -> None:
    path.rename(path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved"))


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "file").write_bytes(b"")


def _holes(path: Path) -> None:
    path.write_bytes(b"")
    os.truncate(path, 1 << 40)


DAMAGES = {
    "empty": _replaced(lambda text: b""),
    "foreign": _replaced(lambda text: os.urandom(5000)),
    "holes": _holes,
    "first line only": _replaced(lambda text: text[:23]),
    "no end of the head": _replaced(lambda text: text[:100]),
    "cut in the content": _replaced(lambda text: text[: text.index(b"Caf")]),
    "cut in the trailer": _replaced(lambda text: text[:-3]),
    "recipient changed": _replaced(lambda text: text.replace(b"<ann@", b"<eve@")),
    "content changed": _replaced(lambda text: text.replace(b"Caf", b"Cof")),
    "another id": _replaced(lambda text: text.replace(b"T", b"t", 1)),
    "huge octets": _replaced(lambda text: text.replace(b"octets: 0", b"octets: 9")),
    "no octets": _replaced(lambda text: text.replace(b"octets: ", b"octavo: ")),
    "long head": _replaced(lambda text: text[:23] + b"x: y\n" * 4_000_000),
    "link": _symbolic,
    "two names": _linked,
    "pipe": _pipe,
    "directory": _directory,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_no_message_is_put_away_and_told_once(box: Box, damage: str) -> None:
    """Damaged and foreign files go to corrupt/, unopened; all others are sent."""
    bad, good = box.add(), box.add()
    DAMAGES[damage](box.file(bad))
    for name in box.due():
        claim = box.queue.claim(name)
        if claim is not None:
            claim.done()
    left = [name for name in box.names() if not name.endswith(".moved")]

    assert [] == left
    assert bad in {name.rpartition(".")[0] for name in box.names("corrupt")}
    assert good not in str(box.names("corrupt"))
    assert bad in str(box.told)
    assert len(box.names("corrupt")) == len(box.told)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_file_of_somebody_else_is_put_away(box: Box) -> None:
    """What another user owns was not queued by us."""
    name = box.add()
    os.chown(box.file(name), 12345, -1)

    assert box.queue.claim(name) is None
    assert [] == box.names()
    assert "belongs to another user" in box.told[0]


@pytest.mark.parametrize("name", ["core", "dead.letter", "\udcff\n", "x" * 250])
def test_files_with_strange_names_are_put_away(box: Box, name: str) -> None:
    """A file that is not called like a message goes to corrupt/ at the next start."""
    box.file(name).write_bytes(b"what is this?")
    box.queue.recover()

    assert [] == box.names()
    assert 1 == len(box.names("corrupt"))
    assert "\n" not in box.told[0]
    box.told[0].encode()


def test_a_message_of_a_later_version_stays(box: Box) -> None:
    """What a later version queued is left for it, told once, and stops nobody."""
    name, good = box.add(), box.add()
    path = box.file(name)
    path.write_bytes(path.read_bytes().replace(b"message 1", b"message 2", 1))
    for _ in range(2):
        assert box.queue.claim(name) is None

    assert [good] == box.due()
    assert name in box.names()
    assert 1 == len(box.told)
    assert "later version" in box.told[0]


def test_a_file_that_cannot_be_read_stays(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad sector is no fault of the message: it stays, and the others go on."""
    bad, good = box.add(), box.add()
    inode = box.file(bad).stat().st_ino
    real = os.pread

    def pread(fd: int, octets: int, at: int) -> bytes:
        if os.fstat(fd).st_ino == inode:
            raise OSError(errno.EIO, "Input/output error")
        return real(fd, octets, at)

    monkeypatch.setattr(os, "pread", pread)

    assert box.queue.claim(bad) is None
    assert [good] == box.due()
    assert sorted((bad, good)) == box.names()
    assert "Input/output error" in box.told[0]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_file_that_cannot_be_opened_stays(
    box: Box, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A file whose mode or attributes were changed is told of; the others go on."""
    bad, good = box.add(), box.add()
    real = os.open

    def opened(path: str, *rest: int, **more: int) -> int:
        if path == bad:
            raise OSError(number, os.strerror(number))
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", opened)

    assert box.queue.claim(bad) is None
    assert box.queue.look(bad) is None
    assert [good] == box.due()
    assert sorted((bad, good)) == box.names()
    assert 1 == len(box.told)
    assert os.strerror(number) in box.told[0]


@pytest.mark.skipif(os.getuid() != 0, reason="root can open everything, others cannot")
@pytest.mark.parametrize("mode", [0o000, 0o200, 0o400])
def test_a_file_of_another_mode_stops_nobody(tmp_path: Path, mode: int) -> None:
    """Without root's rights, too, a file of a strange mode is passed over."""
    os.chown(tmp_path, 64001, -1)
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.chdir(tmp_path)
            os.setresuid(64001, 64001, 64001)
            box = Box(Path("spool"))
            bad, good = box.add(), box.add()
            box.file(bad).chmod(mode)
            found = [name for name in (bad, good) if box.queue.claim(name)]
            if [good] == found and sorted((bad, good)) == box.names():
                os.write(write, b"good")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)

    with open(read, "rb") as said:
        assert b"good" == said.read()


def test_a_lack_of_descriptors_is_not_the_messages_fault(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What this process lacks is said as such, and the message stays due."""
    name = box.add()

    def fail(*arguments: object, **more: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        with pytest.raises(SystemTrouble, match="Too many open files"):
            box.queue.claim(name)
        with pytest.raises(SystemTrouble, match="Too many open files"):
            box.queue.due(0.0, 1)

    assert [name] == box.due()


# The directory


def test_a_spool_of_somebody_else_is_refused(box: Box) -> None:
    """A directory that another user owns is no place for mail."""
    with pytest.raises(ConfigError, match="belongs to uid"):
        Queue.open(str(box.path), owner=os.getuid() + 1)


@pytest.mark.parametrize("part", ["", "queue", "failed"])
@pytest.mark.parametrize("what", ["file", "link"])
def test_a_spool_is_made_of_directories(tmp_path: Path, part: str, what: str) -> None:
    """A file or a link in the place of a directory is refused."""
    path = tmp_path / "spool" / part
    path.parent.mkdir(exist_ok=True)
    if what == "file":
        path.write_bytes(b"")
    else:
        (tmp_path / "elsewhere").mkdir()
        path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ConfigError, match="is not a directory"):
        Queue.open(str(tmp_path / "spool"))


def test_a_spool_that_is_not_there(tmp_path: Path) -> None:
    """Unless it is to be made, a missing directory is said."""
    with pytest.raises(SystemTrouble, match="No such file or directory"):
        Queue.open(str(tmp_path / "spool"))


def test_new_directories_are_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every directory on the way to the first message survives a power cut."""
    synced: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    Queue.open(str(tmp_path / "a" / "b" / "spool"), make=True).close()

    for path in ("", "a", "a/b", "a/b/spool"):
        assert str(tmp_path / path).rstrip("/") in synced


# How much


def test_usage_is_that_of_each_user(box: Box) -> None:
    """What a user has queued is known at once; failed messages count as octets."""
    assert (0, 0) == box.queue.usage(1000)
    name = box.add()
    other = box.queue.add(draft(7), [CONTENT])
    size = box.file(name).stat().st_size
    assert (1, size) == box.queue.usage(1000)
    assert (1, box.file(other).stat().st_size) == box.queue.usage(7)

    fresh = box.open()
    assert (1, size) == fresh.usage(1000)
    fresh.close()

    claim = box.claim(name)
    claim.to_failed("no")
    fresh = box.open()
    assert 0 == fresh.usage(1000)[0]
    assert size <= fresh.usage(1000)[1]
    fresh.close()


def test_usage_follows_what_others_remove(box: Box) -> None:
    """What another process has sent does not count for long."""
    for _ in range(3):
        box.add()
    other = box.open()
    box.queue.usage(1000)
    for name in box.names():
        box.claim(name).done()
    deadline = time.monotonic() + 10
    while box.queue.usage(1000)[0]:
        assert time.monotonic() < deadline
    other.close()

    assert (0, 0) == box.queue.usage(1000)


def test_many_at_once(box: Box) -> None:
    """Writers and workers in many threads lose nothing and do nothing twice."""
    done: list[str] = []
    added: list[str] = []

    def write() -> None:
        for _ in range(10):
            added.append(box.add())

    def work() -> None:
        while len(done) < 60:
            for _, name in box.queue.due(time.time(), 10):
                claim = box.queue.claim(name)
                if claim is not None:
                    claim.begin()
                    claim.done()
                    done.append(name)

    threads = [threading.Thread(target=run) for run in [write] * 6 + [work] * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(added) == sorted(done)
    assert [] == box.names()


def test_a_file_of_which_nothing_is_known_stops_no_list(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk says nothing about one file, the others are still due."""
    bad, good = box.add(), box.add()
    real = os.scandir

    class Item:
        def __init__(self, item) -> None:
            self.name = item.name
            self._item = item

        def stat(self, *, follow_symlinks: bool):
            if self.name == bad:
                raise OSError(errno.EIO, "Input/output error")
            return self._item.stat(follow_symlinks=follow_symlinks)

    class Items:
        def __init__(self, fd: int) -> None:
            self._found = real(fd)

        def __enter__(self):
            return map(Item, self._found)

        def __exit__(self, *_: object) -> None:
            self._found.close()

    monkeypatch.setattr(os, "scandir", Items)

    assert [good] == box.due()
    assert 1 == box.open().usage(1000)[0]
    assert "Input/output error" in box.told[0]
