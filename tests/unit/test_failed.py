"""The failed store: nothing is lost, nothing is shown to others, nothing goes twice."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp import address, intake
from ssmtp.envelope import Envelope
from ssmtp.errors import (
    Deferred,
    InDoubt,
    InputRefused,
    MessageRefused,
    NetworkTrouble,
    SystemTrouble,
    UsageError,
)
from ssmtp.smtp.reply import Reply
from ssmtp.spool import durable, failed, keptfile, listing, places
from ssmtp.spool.entry import Entry, read

SOURCE = Path(__file__).parents[2] / "src"
UID = os.getuid()

HEADER = b"From: bob@example.org\r\nSubject: caf\xc3\xa9\r\n\r\n"
BODY = b"first\r\n.\r\nFrom here\r\n\r\nlast\r\n"


class Content:
    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = list(blocks)

    def blocks(self) -> Iterator[bytes]:
        return iter(self._blocks)


class Message:
    """As much of a repaired message as the store asks for."""

    message_id = "<1@example.org>"

    def __init__(self, *blocks: bytes) -> None:
        self._blocks = blocks or (HEADER, BODY)

    def render(self, *, smtputf8: bool, eightbitmime: bool) -> Content:
        assert smtputf8
        assert eightbitmime
        return Content(self._blocks)


def mailbox(text: str) -> address.Address:
    local, _, domain = text.rpartition("@")
    return address.make(local, domain, "a test")


def envelope(sender: str | None = "bob@example.org", *to: str) -> Envelope:
    return Envelope(
        mailbox(sender) if sender else None,
        [mailbox(name) for name in to or ("ann@example.org",)],
        notify="FAILURE",
        ret=None,
        envid="a b",
        body=None,
    )


def keep(reason=None, *, message: Any = None, env=None, argv=("-t",), **more):
    text: Any = message or Message()
    return failed.keep(
        reason=reason or NetworkTrouble("no way to hub", "try again later"),
        message=text,
        envelope=env or envelope(),
        argv=argv,
        **{"config_path": "/etc/ssmtp/ssmtp.conf", **more},
    )


def text_of(entry: Entry) -> bytes:
    return b"".join(entry.blocks())


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def test_a_repaired_message_is_one_file_that_cat_shows(shared):
    """The file tells why it is there, then its envelope, then the message with LF."""
    reason = MessageRefused(
        "hub refused it", "change it", reply=Reply(554, ["5.7.1 too ugly"])
    )
    kept = keep(reason, env=envelope("bob@example.org", "ann@example.org", "c@d.org"))
    head, _, text = Path(kept.path).read_bytes().partition(b"\n\n")
    lines = head.decode().split("\n")

    assert f"{shared[0]}/ssmtp-{UID}/{kept.id}" == kept.path
    assert (kept.path, kept.id) == (reason.kept, reason.kept_id)
    assert "ssmtp kept message 1" == lines[0]
    for line in (
        f"id: {kept.id}",
        "state: refused ",
        "exit: 69",
        "kind: repaired",
        "reason: hub refused it; change it",
        "reply: 554 5.7.1 too ugly",
        "message-id: <1@example.org>",
        "config: /etc/ssmtp/ssmtp.conf",
        "argument: -t",
        "from: <bob@example.org>",
        "to: <ann@example.org>",
        "to: <c@d.org>",
        "notify: FAILURE",
        "envid: a b",
    ):
        assert line in lines
    assert (HEADER + BODY).replace(b"\r\n", b"\n") == text


def test_a_message_is_private_whatever_the_umask(shared):
    """File 0600, directory 0700, even with the oddest umask."""
    for umask in (0, 0o077, 0o777):
        old = os.umask(umask)
        try:
            kept = keep()
        finally:
            now = os.umask(old)

        assert umask == now
        assert 0o600 == mode(kept.path)
        assert 0o700 == mode(os.path.dirname(kept.path))


def test_what_was_kept_is_read_back(shared):
    """Envelope, wishes, arguments and message come back as they were."""
    keep(
        InDoubt("no answer to the dot"),
        env=envelope(None, "ann@example.org", '"odd name"@example.org'),
        argv=["-t", "-F", "B\nto: <evil@example.org>", "--", "x"],
    )
    [entry] = failed.entries()
    back = entry.envelope

    assert "" == entry.damage
    assert "in-doubt" == entry.state
    assert 75 == entry.head.exit_code
    assert ["-t", "-F", "B\nto: <evil@example.org>", "--", "x"] == entry.head.arguments
    assert (HEADER + BODY).replace(b"\r\n", b"\n") == text_of(entry)
    assert len(text_of(entry)) == entry.size
    assert back is not None
    assert back.reverse_path is None
    assert envelope(None, "ann@example.org", '"odd name"@example.org').recipients == (
        back.recipients
    )
    assert ("FAILURE", None, "a b", None) == (
        back.notify,
        back.ret,
        back.envid,
        back.body,
    )


def test_what_was_read_is_kept_as_it_was(shared):
    """Without an envelope, the raw message and the arguments are kept."""
    raw = b"To: x\0y\n folded\nBcc: z\n\nbody \xff\n.\nFrom end\n"
    taken = intake.from_blocks(b"", [raw])
    reason = InputRefused("NUL in the header", "mend it")
    failed.keep(reason=reason, intake=taken, argv=["-t", "ann"])
    [entry] = failed.entries()

    assert "as-read" == entry.head.kind
    assert "refused" == entry.state
    assert entry.envelope is None
    assert raw == text_of(entry)
    assert taken.header == entry.intake().header
    assert b"".join(taken.body.blocks()) == b"".join(entry.intake().body.blocks())


@pytest.mark.parametrize(
    "raw", [b"just text\n", b"\ntext\n", b"", b"From: a\n", b"\n\n\n", b"a: b\n\n\n\n"]
)
def test_text_without_fields_is_kept_as_text(shared, raw):
    """What had no header section has none after it was kept."""
    taken = intake.from_blocks(b"", [raw])
    failed.keep(reason=NetworkTrouble("x"), intake=taken)
    again = failed.entries()[0].intake()

    assert taken.header == again.header
    assert b"".join(taken.body.blocks()) == b"".join(again.body.blocks())


def test_a_message_that_cannot_be_rendered_is_kept_as_it_was_read(shared):
    """A bug in the repair does not cost the message."""

    class Broken(Message):
        def render(self, **_: bool) -> Content:
            raise ZeroDivisionError

    taken = intake.from_blocks(b"", [b"To: ann\n\nx\n"])
    keep(message=Broken(), intake=taken)
    [entry] = failed.entries()

    assert "as-read" == entry.head.kind
    assert b"To: ann\n\nx\n" == text_of(entry)


def test_line_ends_are_turned_across_block_borders(shared):
    """A CR at the end of one block and its LF in the next are one line end."""
    keep(message=Message(b"A: b\r", b"\n\r", b"\nx\r\n", b"\r", b"\n"))
    [entry] = failed.entries()

    assert b"A: b\n\nx\n\n" == text_of(entry)


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        (["-ap", "secret", "-t"], ["-t"]),
        (["-apsecret", "-t"], ["-t"]),
        (["-f", "-apname", "x"], ["-f", "-apname", "x"]),
        (["--", "-apname"], ["--", "-apname"]),
        (["-au", "-ap", "-ap"], ["-au", "-ap"]),
        (["-f"], ["-f"]),
    ],
)
def test_passwords_in_arguments_are_not_kept(given_, kept):
    """-ap and its value are left out, and nothing else is."""
    assert kept == keptfile.without_passwords(given_)


def test_a_password_made_dots_is_not_used(shared):
    """Dots in a kept command line are no password."""
    keep(argv=["-tap••••••", "-C", "/x.conf"])
    options = failed.entries()[0].options()

    assert options.auth_pass is None
    assert "/x.conf" == options.config_path


def test_a_configuration_that_was_named_from_elsewhere(shared, tmp_path):
    """The configuration of a kept message is that of its run, wherever we are now."""
    (tmp_path / "x.conf").touch()
    keep(argv=["-C", "x.conf"], config_path=str(tmp_path / "x.conf"))

    assert str(tmp_path / "x.conf") == failed.entries()[0].options().config_path


@given(st.text(), st.binary())
def test_every_value_fits_on_one_line_and_comes_back(text, octets):
    """No value can break out of its line, and none is changed."""
    for value in (text, octets.decode("utf-8", "surrogateescape")):
        escaped = keptfile.escape(value)

        assert escaped.isprintable()
        if not any(0xD800 <= ord(c) < 0xDC80 or 0xDCFF < ord(c) < 0xE000 for c in text):
            assert value == keptfile.unescape(escaped.encode().decode())


@given(st.text())
def test_any_text_can_be_unescaped(text):
    """A value that somebody wrote by hand is no reason to fail."""
    assert isinstance(keptfile.unescape(text), str)


@given(st.integers(0, 2**33))
def test_the_time_comes_back(seconds):
    """Date arithmetic of our own agrees with that of the library."""
    head = keptfile.Head("x")
    head.time = seconds

    assert seconds == keptfile.parse(head.render()[:-2]).time


@given(st.binary(max_size=200))
def test_any_octets_can_be_read_as_a_head(octets):
    """A head is read, or refused with a reason."""
    for data in (octets, keptfile.FIRST_LINE.encode() + b"\n" + octets):
        try:
            state = keptfile.parse(data).state
        except ValueError as error:
            state = str(error)

        assert state in keptfile.STATES or state.startswith(("is not", "has", "was"))


# Places


def test_the_state_directory_is_used_when_it_is_set(shared, tmp_path):
    """$XDG_STATE_HOME/ssmtp/failed is made, private, and used."""
    state = tmp_path / "deep" / "state"
    kept = keep(environ={"XDG_STATE_HOME": str(state)})

    assert str(state / "ssmtp" / "failed") == os.path.dirname(kept.path)
    assert 0o700 == mode(state / "ssmtp" / "failed")
    assert [] == os.listdir(shared[0])
    assert [kept.id] == [
        entry.id for entry in failed.entries({"XDG_STATE_HOME": str(state)})
    ]


def test_a_state_directory_is_a_store_apart(shared, tmp_path):
    """With one set, only what lies there is listed and found; else only the rest."""
    other = keep(environ={})
    env = {"XDG_STATE_HOME": str(tmp_path / "state")}

    assert [] == failed.entries(env)
    kept = keep(environ=env)
    assert [kept.id] == [entry.id for entry in failed.entries(env)]
    assert [other.id] == [entry.id for entry in failed.entries({})]
    with pytest.raises(UsageError):
        failed.load(other.id, env)
    with pytest.raises(UsageError):
        failed.load(kept.id, {})


def test_an_unusable_state_directory_has_a_stand_in_of_its_own(shared, tmp_path):
    """It lies in /var/tmp, and is found with that state directory and no other."""
    env = {"XDG_STATE_HOME": str(tmp_path / "state")}
    first = keep(environ=env)
    (tmp_path / "state").rename(tmp_path / "away")
    (tmp_path / "state").write_text("")
    kept = keep(environ=env)
    stand_in = Path(kept.path).parent

    assert (shared[0], 0o700) == (stand_in.parent, mode(stand_in))
    assert re.fullmatch(f"ssmtp-{UID}-[0-9a-f]{{8}}", stand_in.name)
    assert [kept.id] == [entry.id for entry in failed.entries(env)]
    assert [] == failed.entries({})
    assert [] == failed.entries({"XDG_STATE_HOME": str(tmp_path / "another")})

    (tmp_path / "state").unlink()
    (tmp_path / "away").rename(tmp_path / "state")

    assert {first.id, kept.id} == {entry.id for entry in failed.entries(env)}


def test_a_squatted_stand_in_is_survived(shared, tmp_path):
    """The name is no secret, so another one is used and found."""
    (tmp_path / "state").write_text("")
    env = {"XDG_STATE_HOME": str(tmp_path / "state")}
    taken = Path(keep(environ=env).path).parent
    taken.rename(tmp_path / "away")
    taken.write_text("")
    kept = keep(environ=env)

    assert Path(kept.path).parent.name.startswith(f"{taken.name}.")
    assert [kept.id] == [entry.id for entry in failed.entries(env)]
    assert [] == failed.entries({})


@pytest.mark.parametrize("value", ["relative/state", ""])
def test_a_relative_state_directory_is_ignored(shared, value):
    """It counts as not set, as the XDG base directory specification wants."""
    kept = keep(environ={"XDG_STATE_HOME": value})

    assert f"{shared[0]}/ssmtp-{UID}" == os.path.dirname(kept.path)
    assert [kept.id] == [entry.id for entry in failed.entries({})]


def test_links_in_the_state_directory_are_not_followed(shared, tmp_path):
    """A link in the place of our directory is not believed."""
    state = tmp_path / "state"
    (tmp_path / "elsewhere").mkdir()
    state.mkdir()
    (state / "ssmtp").symlink_to(tmp_path / "elsewhere")
    kept = keep(environ={"XDG_STATE_HOME": str(state)})

    assert [] == os.listdir(tmp_path / "elsewhere")
    assert kept.path.startswith(f"{shared[0]}/ssmtp-{UID}-")


def squat_with_file(path: Path, _: Path) -> None:
    path.write_text("")


def squat_with_link(path: Path, other: Path) -> None:
    path.symlink_to(other)


def squat_with_dangling_link(path: Path, other: Path) -> None:
    path.symlink_to(other / "nowhere")


def squat_with_pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    "squat",
    [squat_with_file, squat_with_link, squat_with_dangling_link, squat_with_pipe],
)
def test_squatting_is_survived(shared, tmp_path, squat):
    """Whatever stands in our place in /var/tmp, another name is used and found."""
    other = tmp_path / "other"
    other.mkdir()
    squat(shared[0] / f"ssmtp-{UID}", other)
    first, second = keep(), keep()

    assert os.path.dirname(first.path) == os.path.dirname(second.path)
    assert os.path.dirname(first.path).startswith(f"{shared[0]}/ssmtp-{UID}.")
    assert 0o700 == mode(os.path.dirname(first.path))
    assert sorted([first.id, second.id]) == sorted(e.id for e in failed.entries())
    assert [] == os.listdir(other)


@pytest.mark.skipif(UID != 0, reason="only root can make files of other users")
def test_a_foreign_directory_is_neither_used_nor_read(shared):
    """A directory with our name and another owner holds nothing of ours."""
    foreign = shared[0] / f"ssmtp-{UID}"
    foreign.mkdir(mode=0o777)
    os.chown(foreign, 1234, 1234)
    (foreign / "20260101-000000-00000000").write_text("ssmtp kept message 1\n\n")
    kept = keep()

    assert os.path.dirname(kept.path).startswith(f"{shared[0]}/ssmtp-{UID}.")
    assert [kept.id] == [entry.id for entry in failed.entries()]


@pytest.mark.skipif(UID != 0, reason="only root can make files of other users")
def test_root_is_not_lured_into_the_state_directory_of_another_user(shared, tmp_path):
    """With somebody else's environment (su, sudo -E), root keeps mail in /var/tmp."""
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, 1234, 1234)
    kept = keep(environ={"XDG_STATE_HOME": str(state)})

    assert kept.path.startswith(f"{shared[0]}/ssmtp-0-")
    assert [] == os.listdir(state)


def test_an_open_directory_of_ours_is_shut(shared):
    """Others lose their access to a directory of ours that they could enter."""
    ours = shared[0] / f"ssmtp-{UID}"
    ours.mkdir()
    ours.chmod(0o777)
    keep()

    assert 0o700 == mode(ours)


def test_the_next_directory_is_taken_when_one_cannot_be_written(shared):
    """Without /var/tmp, /tmp will do."""
    shared[0].rmdir()
    kept = keep()

    assert f"{shared[1]}/ssmtp-{UID}" == os.path.dirname(kept.path)
    assert [kept.id] == [entry.id for entry in failed.entries()]


def test_what_cannot_be_kept_anywhere_is_said(shared):
    """The failure keeps its exit code, and its sentence says that nothing was kept."""
    for directory in shared:
        directory.rmdir()
    reason = InputRefused("the address is odd", "mend it")
    kept = keep(reason)

    assert (None, None) == (kept.path, kept.id)
    assert 65 == reason.exit_code
    assert (
        "the address is odd; mend it; the message could NOT be kept"
        f" ({shared[0]}: No such file or directory,"
        f" {shared[1]}: No such file or directory)"
    ) == reason.sentence()


def test_nothing_is_kept_of_nothing(shared):
    """A run that read no message keeps none, and does not complain about it."""
    reason = UsageError("nobody to send to")
    kept = failed.keep(reason=reason)

    assert kept.path is None
    assert "nobody to send to" == reason.sentence()
    assert [] == failed.entries()


# Whole or not at all


@pytest.fixture(
    params=["nameless", "no proc", "no support", "no O_TMPFILE", "no links"]
)
def system(request, monkeypatch):
    """Systems that can do less and less of what Linux can."""
    link = os.link

    def refuse(source, name, **more):
        if request.param == "no links" or str(source).startswith("/proc"):
            raise PermissionError(errno.EPERM, "no")
        return link(source, name, **more)

    real_open = os.open

    def old(path, flags, *words, **more):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "no")
        return real_open(path, flags, *words, **more)

    if request.param == "no support":
        monkeypatch.setattr(os, "open", old)
    elif request.param != "nameless":
        monkeypatch.setattr(os, "link", refuse)
    if request.param in ("no O_TMPFILE", "no links"):
        monkeypatch.delattr(os, "O_TMPFILE")
    return request.param


def test_every_system_keeps_messages_whole(shared, system):
    """With or without O_TMPFILE, /proc and hard links, the same file comes out."""
    kept = keep()
    [entry] = failed.entries()

    assert 0o600 == mode(kept.path)
    assert [kept.id] == os.listdir(os.path.dirname(kept.path))
    assert (HEADER + BODY).replace(b"\r\n", b"\n") == text_of(entry)
    with failed.claim(entry) as claimed:
        assert "" == claimed.damage


@pytest.mark.parametrize("failing", ["write", "fsync", "fchmod"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_or_broken_disk_leaves_no_part_of_a_file(
    shared, system, monkeypatch, failing, number
):
    """What cannot be written whole disappears, and the sentence says so."""
    real = getattr(os, failing)

    def fail(fd, *more):
        if failing == "fsync" and stat.S_ISDIR(os.fstat(fd).st_mode):
            return real(fd, *more)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, failing, fail)
    reason = NetworkTrouble("no way")
    kept = keep(reason)
    monkeypatch.undo()
    left = [name for place in shared for name in os.listdir(place / f"ssmtp-{UID}")]

    assert kept.path is None
    assert "could NOT be kept" in reason.sentence()
    assert os.strerror(number) in reason.sentence()
    assert [] == left


def test_a_disk_that_fills_up_leaves_the_work_to_the_next(shared, monkeypatch):
    """When /var/tmp is full in the middle of a message, all of it goes to /tmp."""
    real = os.write
    count = 0

    def fill_up(fd, data):
        nonlocal count
        count += 1
        if count == 2:
            raise OSError(errno.ENOSPC, "full")
        return real(fd, data)

    monkeypatch.setattr(os, "write", fill_up)
    keep()
    [entry] = failed.entries()

    assert entry.path.startswith(str(shared[1]))
    assert (HEADER + BODY).replace(b"\r\n", b"\n") == text_of(entry)


def test_what_is_kept_is_safe(shared, system, monkeypatch):
    """Content first, then the name: both are on the disk when the caller is told."""
    (shared[0] / f"ssmtp-{UID}").mkdir(mode=0o700)
    words = []
    real = os.fsync

    def note(fd):
        found = os.fstat(fd)
        whole = os.listdir(shared[0] / f"ssmtp-{UID}")
        named = any(not name.startswith(".") for name in whole)
        words.append((stat.S_ISDIR(found.st_mode), named))
        real(fd)

    monkeypatch.setattr(os, "fsync", note)
    kept = keep()

    # Where a file without a name could not be linked, another has been written.
    assert (False, False) == words[0]
    # One that had no name has it only once it is synchronised again (ext2).
    again = [(False, True)] if system == "nameless" else []
    assert [(False, False), *again, (True, True)] == words[-2 - len(again) :]

    del words[:]
    with failed.claim(failed.load(kept.id)) as claimed:
        failed.settle(claimed, InDoubt("no answer"))
        assert [(False, True), (True, True)] == words
        del words[:]
        failed.remove(claimed)
    assert [(True, False)] == words


def test_a_directory_that_cannot_be_synchronised_keeps_its_file(shared, monkeypatch):
    """A whole file is not thrown away because it might be lost in a crash."""
    real = os.fsync

    def fail(fd):
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EIO, "broken")
        return real(fd)

    (shared[0] / f"ssmtp-{UID}").mkdir(mode=0o700)
    monkeypatch.setattr(os, "fsync", fail)
    kept = keep()

    assert [kept.id] == [entry.id for entry in failed.entries()]


def test_a_name_that_cannot_be_written_is_a_full_disk(shared, monkeypatch):
    """When only the name is missing and there is no room for it, it is said."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "link", full)
    reason = NetworkTrouble("no way")
    keep(reason)
    monkeypatch.undo()

    assert reason.kept is None
    assert "full" in reason.sentence()


def test_input_that_is_lost_while_it_is_kept_is_said(shared):
    """A body that cannot be read back is not reported as kept."""

    class Lost(Message):
        def render(self, **_: bool) -> Any:
            class Nothing:
                def blocks(self) -> Iterator[bytes]:
                    yield HEADER
                    raise InputRefused("the message was lost from the disk")

            return Nothing()

    reason = NetworkTrouble("no way")
    keep(reason, message=Lost())

    assert reason.kept is None
    assert "could NOT be kept (the message was lost from the disk" in reason.sentence()
    assert [] == failed.entries()


def test_a_file_size_limit_is_a_full_disk(shared):
    """RLIMIT_FSIZE does not kill the run; the message is reported as not kept."""
    script = f"""
import resource, sys
sys.path[:0] = [{str(SOURCE)!r}]
from ssmtp import intake
from ssmtp.errors import NetworkTrouble
from ssmtp.spool import failed, places
places.SHARED = {places.SHARED!r}
resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
reason = NetworkTrouble("no way")
taken = intake.from_blocks(b"", [b"A: b\\n\\n" + b"x\\n" * 60000])
failed.keep(reason=reason, intake=taken, environ={{}})
print(reason.sentence())
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20
    )

    assert "File too large" in run.stdout
    assert [] == failed.entries()


STEPS = ("open", "fchmod", "write", "fsync", "link", "unlink", "rename", "close")


@pytest.mark.parametrize("plain", [False, True])
def test_a_killed_run_leaves_a_whole_message_or_none(shared, plain):
    """Killed before any one of its system calls, it leaves nothing half-done."""
    script = f"""
import os, signal, sys
sys.path[:0] = [{str(SOURCE)!r}]
from ssmtp import intake
from ssmtp.errors import NetworkTrouble
from ssmtp.spool import durable, failed, keptfile, listing, places
from ssmtp.spool.entry import Entry, read
places.SHARED = {places.SHARED!r}
taken = intake.from_blocks(b"", [b"A: b\\n\\n" + b"body\\n" * 40000])
if {plain}:
    del os.O_TMPFILE
count = 0
last = int(sys.argv[1])
def counted(call):
    def step(*words, **more):
        global count
        count += 1
        if count > last:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*words, **more)
    return step
import stat, time, binascii, fcntl
for name in {STEPS!r}:
    setattr(os, name, counted(getattr(os, name)))
failed.keep(reason=NetworkTrouble("no way"), intake=taken, environ={{}})
"""
    code = -signal.SIGKILL
    last = 0
    outcomes = set()
    while code == -signal.SIGKILL:
        run = subprocess.Popen([sys.executable, "-ISc", script, str(last)])
        code = run.wait(20)
        found = failed.entries()

        assert all(entry.damage == "" for entry in found)
        assert all(text_of(entry).count(b"body\n") == 40000 for entry in found)
        assert len(found) in (0, 1)
        outcomes.add(len(found))
        for name in shared[0].glob("ssmtp-*/*"):
            name.unlink()
        last += 1

    assert 0 == code
    assert {0, 1} == outcomes
    assert last > 8


def test_what_a_killed_run_left_hidden_is_swept(shared, monkeypatch):
    """A hidden file goes away once it is old and nobody writes it."""
    monkeypatch.delattr(os, "O_TMPFILE")
    kept = keep()
    directory = Path(kept.path).parent
    for name in (".old", ".new", ".busy"):
        (directory / name).write_text("half of it")
    for name in (".old", ".busy"):
        os.utime(directory / name, (1, 1))
    with open(directory / ".busy", "rb") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        second = keep()

    assert {kept.id, second.id, ".new", ".busy"} == set(os.listdir(directory))
    assert {kept.id, second.id} == {entry.id for entry in failed.entries()}


def test_two_messages_of_one_moment_are_two(shared, monkeypatch):
    """A name that is taken is not overwritten."""
    words = iter([b"\1" * 4, b"\1" * 4, b"\2" * 4])
    real = os.urandom
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)
    monkeypatch.setattr(os, "urandom", lambda n: next(words) if n == 4 else real(n))
    first, second = keep(), keep()
    entries = failed.entries()

    assert "20270115-080000-01010101" == first.id
    assert "20270115-080000-02020202" == second.id
    assert [first.id, second.id] == [entry.id for entry in entries]
    assert [first.id, second.id] == [
        Path(entry.path).read_text().split("\n")[1][4:] for entry in entries
    ]


# Strange files


def test_a_truncated_file_is_reported_and_never_sent(shared):
    """Wherever a file was cut off, it is listed as damaged."""
    whole = Path(keep().path).read_bytes()
    [entry] = failed.entries()
    for length in (0, 5, 30, whole.index(b"\n\n"), len(whole) - 1):
        Path(entry.path).write_bytes(whole[:length])
        [cut] = failed.entries()

        assert "damaged" == cut.state
        with failed.claim(cut) as claimed:
            assert claimed.damage


def test_a_changed_file_is_told_from_a_mended_one(shared):
    """A changed message is not sent unless its sums were removed on purpose."""
    path = Path(keep().path)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"first", b"FIRST"))
    with failed.claim(failed.entries()[0]) as claimed:
        assert "changed" in claimed.damage
    mended = [
        line
        for line in whole.split(b"\n")
        if not line.startswith((b"octets:", b"crc32:"))
    ]
    path.write_bytes(b"\n".join(mended).replace(b"first", b"better and longer"))
    with failed.claim(failed.entries()[0]) as claimed:
        assert "" == claimed.damage
        assert b"better and longer" in text_of(claimed)


def test_strange_files_are_reported_and_do_not_disturb(shared, tmp_path):
    """Links, pipes, directories and rubbish are listed as damaged, and dropped."""
    kept = keep()
    directory = Path(kept.path).parent
    secret = tmp_path / "secret"
    secret.write_text("ssmtp kept message 1\nkind: as-read\n\nsecret\n")
    (directory / "a-link").symlink_to(secret)
    os.mkfifo(directory / "b-pipe")
    (directory / "c-directory").mkdir()
    (directory / "d-rubbish").write_bytes(os.urandom(100_000))
    (directory / "e-later").write_text("ssmtp kept message 2\n\nx")
    (directory / "f\nname").write_text("")
    found = {entry.id: entry for entry in failed.entries()}

    assert 7 == len(found)
    assert "" == found.pop(kept.id).damage
    assert "is a symbolic link" == found["a-link"].damage
    assert "is not a file" == found["b-pipe"].damage
    assert "is not a file" == found["c-directory"].damage
    assert "is not a kept message" == found["d-rubbish"].damage
    assert "was written by a later version of ssmtp" == found["e-later"].damage
    assert "is not a kept message" == found["f\nname"].damage
    for name in found:
        if name != "c-directory":
            failed.drop(name)
    assert {kept.id, "c-directory"} == set(os.listdir(directory))
    assert secret.exists()


@pytest.mark.skipif(UID != 0, reason="only root can make files of other users")
def test_files_of_other_users_are_reported(shared):
    """A file that somebody else owns is never sent."""
    kept = keep()
    os.chown(kept.path, 1234, 1234)
    [entry] = failed.entries()

    assert "belongs to another user" == entry.damage
    with failed.claim(entry) as claimed:
        assert claimed.damage


@pytest.mark.skipif(UID != 0, reason="only root sees everybody's")
def test_root_can_see_what_is_kept_for_everybody(shared):
    """all_entries looks at every user's directory; entries at one's own only."""
    ours = keep()
    theirs = keep(uid=1234, environ={})
    other = shared[0] / "ssmtp-1234"
    assert theirs.path is None  # root does not make it in somebody's name
    other.rmdir() if other.is_dir() else None
    other.mkdir(mode=0o700)
    os.rename(keep().path, other / "x")
    for path in (other, other / "x"):
        os.chown(path, 1234, 1234)

    stand_in = keep(environ={"XDG_STATE_HOME": "/proc/nowhere"})

    assert [ours.id] == [entry.id for entry in failed.entries()]
    everything = failed.all_entries()
    assert {ours.id, "x", stand_in.id} == {entry.id for entry in everything}
    assert [""] * 3 == [entry.damage for entry in everything]


# Choosing, locking, settling


def test_an_id_may_be_shortened(shared, monkeypatch):
    """The beginning or the end of an id, or the path, names a message."""
    words = iter([b"\1\0\0\1", b"\1\0\0\2"])
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)
    monkeypatch.setattr(os, "urandom", lambda n: next(words))
    first, second = keep(), keep()

    for word in (first.id, first.path, "0001", "20270115-080000-01000001"):
        assert first.id == failed.load(word).id
    for word in ("2027", "nothing", "", "/"):
        with pytest.raises(UsageError):
            failed.load(word)
    assert second.id == failed.load("0002").id


def test_a_claimed_message_cannot_be_claimed_again(shared):
    """Two people who retry, or one who retries and one who drops, do not meet."""
    keep()
    [entry] = failed.entries()
    with failed.claim(entry) as claimed:
        assert claimed.claimed
        with pytest.raises(SystemTrouble, match="in use"):
            failed.claim(entry)
        with pytest.raises(SystemTrouble, match="in use"):
            failed.drop(entry.id)
        failed.remove(claimed)
    with pytest.raises(SystemTrouble, match="meanwhile"):
        failed.claim(entry)
    assert [] == failed.entries()


def test_a_name_that_leads_elsewhere_after_the_lock_is_not_used(shared, monkeypatch):
    """Sent by another process between open and lock, a message is not sent again."""
    keep()
    [entry] = failed.entries()
    real = fcntl.flock

    def late(fd, operation):
        real(fd, operation)
        os.unlink(entry.path)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(SystemTrouble, match="meanwhile"):
        failed.claim(entry)


def test_the_latest_attempt_is_written_down(shared):
    """After a retry in doubt, the entry says so, under its old id and lock."""
    kept = keep()
    with failed.claim(failed.load(kept.id)) as claimed:
        failed.settle(claimed, InDoubt("no answer to the dot", "ask ann"))
    [entry] = failed.entries()

    assert kept.id == entry.id
    assert "in-doubt" == entry.state
    assert "no answer to the dot; ask ann" == entry.head.reason
    assert (HEADER + BODY).replace(b"\r\n", b"\n") == text_of(entry)
    assert 0o600 == mode(entry.path)
    with failed.claim(entry) as claimed:
        assert "" == claimed.damage


def test_doubt_is_written_down_even_on_a_full_disk(shared, monkeypatch):
    """Without room for a new file, the state changes where it stands."""
    kept = keep()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    safe = []
    with failed.claim(failed.load(kept.id)) as claimed:
        monkeypatch.setattr(os, "write", full)
        monkeypatch.setattr(os, "fsync", lambda fd: safe.append(os.fstat(fd).st_ino))
        failed.settle(claimed, InDoubt("no answer"))
        monkeypatch.undo()
    assert [os.stat(kept.path).st_ino] == safe
    found = os.listdir(os.path.dirname(kept.path))
    head = keptfile.parse(Path(kept.path).read_bytes().partition(b"\n\n")[0])

    assert [kept.id] == found
    assert "in-doubt" == head.state


def test_doubt_stays_whatever_happens_later(shared):
    """That the next try did not reach the mailhub says nothing about the first."""
    kept = keep(InDoubt("no answer"))
    with failed.claim(failed.load(kept.id)) as claimed:
        failed.settle(claimed, NetworkTrouble("no way"))
    [entry] = failed.entries()

    assert ("in-doubt", "no way") == (entry.state, entry.head.reason)


def test_the_same_failure_again_writes_nothing(shared):
    """A large message is not copied each time that the network is still away."""
    kept = keep(NetworkTrouble("no way"))
    before = os.stat(kept.path).st_ino
    with failed.claim(failed.load(kept.id)) as claimed:
        failed.settle(claimed, NetworkTrouble("no way"))

    assert before == os.stat(kept.path).st_ino


def test_a_retry_that_fails_again_stays_deferred(shared):
    """A deferred message can be refused the next time, and the other way round."""
    kept = keep(MessageRefused("no"))
    with failed.claim(failed.load(kept.id)) as claimed:
        failed.settle(claimed, Deferred("later", reply=Reply(451, ["4.3.0 busy"])))
    [entry] = failed.entries()

    assert ("deferred", "451 4.3.0 busy") == (entry.state, entry.head.reply)


def test_the_store_is_empty_where_there_is_none(shared):
    """Listing makes nothing."""
    assert [] == failed.entries()
    assert ["Mail queue is empty"] == list(listing.lines(failed.entries()))
    assert [] == os.listdir(shared[0])


def test_mailq_looks_like_that_of_postfix(shared, monkeypatch):
    """Id, size, time, sender; the reason; the recipients; the sum at the end, in the
    words of sendmail, too: check_mailq knows no other."""
    monkeypatch.setenv("TZ", "UTC0")
    time.tzset()
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)
    kept = keep(InDoubt("no\nanswer"), env=envelope(None, "ann@d.org", "bea@d.org"))
    lines = list(listing.lines(failed.entries()))
    monkeypatch.undo()
    time.tzset()

    assert lines[0].startswith("-Queue ID-")
    assert lines[1].startswith(kept.id)
    assert ["Fri", "Jan", "15", "08:00:00", "<>"] == lines[1].split()[2:]
    assert "      (in doubt: no\\u000aanswer)" == lines[2]
    assert ["ann@d.org", "bea@d.org"] == [line.strip() for line in lines[3:5]]
    assert ["", " " * 16 + "Total requests: 1", "-- 1 Kbytes in 1 Request."] == lines[
        5:
    ]


def test_a_synchronised_directory_may_be_of_a_system_that_cannot(monkeypatch):
    """File systems that cannot fsync a directory are no reason to fail."""

    def cannot(fd):
        raise OSError(errno.EINVAL, "no")

    monkeypatch.setattr(os, "fsync", cannot)
    durable.synchronise(0)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_large_message_takes_little_memory(shared):
    """Keeping and checking 30 MB needs no more memory than keeping 3 kB."""
    script = f"""
import sys
sys.path[:0] = [{str(SOURCE)!r}]
from ssmtp import intake
from ssmtp.errors import NetworkTrouble
from ssmtp.spool import failed, places
places.SHARED = {places.SHARED!r}
block = b"0123456789abcdef" * 4000 + b"\\n"
taken = intake.from_blocks(b"", (b"A: b\\n\\n", *[block] * 480))
failed.keep(reason=NetworkTrouble("no way"), intake=taken, environ={{}})
[entry] = failed.entries({{}})
with failed.claim(entry) as claimed:
    assert not claimed.damage
    assert claimed.size > 30_000_000
print(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])
"""
    run = subprocess.run(
        [sys.executable, "-ISc", script], capture_output=True, text=True, timeout=30
    )

    assert "" == run.stderr
    assert int(run.stdout) < 30_000


def test_a_file_dated_beyond_all_calendars_can_be_listed(shared):
    """What a user does to the date of a file keeps nobody from listing it."""
    kept = keep()
    Path(kept.path).write_text("junk")
    entry = failed.entries({})[0]
    fd = os.open(kept.path, os.O_RDONLY)

    class Far:
        st_mode, st_uid, st_size = stat.S_IFREG | 0o600, UID, 4
        st_dev = st_ino = 1
        st_mtime = 9.2e18

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fstat", lambda fd: Far)
        read(entry, fd)
    os.close(fd)

    assert any("is not a kept message" in line for line in listing.lines([entry]))


def test_a_file_of_holes_is_given_up_at_once(shared):
    """A head with a NUL is none: a huge sparse file does not hold the listing up."""
    kept = keep()
    with open(kept.path, "r+b") as file:
        file.truncate(20)
        file.truncate(1 << 34)
    blocks = []
    pread = os.pread

    def counted(fd: int, size: int, at: int) -> bytes:
        blocks.append(at)
        return pread(fd, size, at)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pread", counted)
        entry = failed.entries({})[0]

    assert "is not whole: its head has no end" == entry.damage
    assert [0] == blocks
