"""Room for more mail, and file systems that are fit for a queue."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssmtp.errors import ConfigError
from ssmtp.spool import space
from ssmtp.spool.queue import Draft, NoSpace, Queue, Recipient


def room(
    monkeypatch: pytest.MonkeyPatch,
    *,
    blocks: int = 0,
    inodes: int = 0,
    all_inodes=1000,
    all_blocks=1000,
) -> None:
    """Let the file system have so many of 1,000 blocks of 1 MB, and inodes, free."""
    sizes = (1_000_000, 1_000_000, all_blocks, blocks, blocks)
    found = os.statvfs_result((*sizes, all_inodes, inodes, inodes, 0, 255))
    monkeypatch.setattr(os, "fstatvfs", lambda fd: found)


def refused(uid: int, least: tuple[float, int]) -> str:
    try:
        space.check_room(0, "/spool", uid, least)
    except NoSpace as failure:
        return failure.sentence()
    return ""


@pytest.mark.parametrize(
    ("uid", "blocks", "least", "good"),
    [
        (1000, 50, (0.05, 0), True),
        (1000, 49, (0.05, 0), False),
        (0, 49, (0.05, 0), True),
        (0, 24, (0.05, 0), False),
        (1000, 70, (0.0, 70_000_000), True),
        (1000, 69, (0.0, 70_000_000), False),
        (0, 35, (0.0, 70_000_000), True),
        (1000, 0, (0.0, 0), True),
    ],
)
def test_space_is_kept_free(
    monkeypatch: pytest.MonkeyPatch, uid: int, blocks: int, least, good: bool
) -> None:
    """Mail is turned away while some space is left, and root's a little later."""
    room(monkeypatch, blocks=blocks, inodes=1000)

    assert good == (not refused(uid, least))


@pytest.mark.parametrize(("blocks", "inodes"), [(0, 9), (9, 0)])
def test_a_disk_that_is_really_full(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, blocks: int, inodes: int
) -> None:
    """Where nothing is to stay free it is known that nothing is free, for status."""
    queue = Queue.open(str(tmp_path))
    room(monkeypatch, blocks=1, inodes=1)
    queue.check_room(7, some=True)
    room(monkeypatch, blocks=blocks, inodes=inodes)
    queue.check_room(7)

    with pytest.raises(NoSpace, match="no room for new mail: only 0 "):
        queue.check_room(7, some=True)
    queue.close()


def test_no_space_is_kept_free_of_what_has_no_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file system without a size (ramfs, tmpfs with size=0) is never too full."""
    room(monkeypatch, all_blocks=0)

    assert "" == refused(7, (0.0, 70_000_000))


def test_mounts_of_which_nobody_can_tell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A queue of which /proc tells something only now and then is no worse for that."""
    numbers = iter([b"", b"", b"7", b"7", b"", b"7", b"7"])
    monkeypatch.setattr(space, "mount", lambda fd: next(numbers))
    monkeypatch.setattr(space, "order", lambda fd: space.NO_ORDER)

    Queue.open(str(tmp_path)).close()


@pytest.mark.parametrize(
    ("uid", "inodes", "of", "good"),
    [(7, 50, 1000, True), (7, 49, 1000, False), (0, 49, 1000, True), (7, 0, 0, True)],
)
def test_inodes_are_kept_free(
    monkeypatch: pytest.MonkeyPatch, uid: int, inodes: int, of: int, good: bool
) -> None:
    """The same share of inodes is kept, where their number is fixed."""
    room(monkeypatch, blocks=1000, inodes=inodes, all_inodes=of)

    assert good == (not refused(uid, (0.05, 0)))


def test_a_full_disk_is_said_so_that_one_can_act(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The sentence says how much is left, where, and which key decides."""
    queue = Queue.open(str(tmp_path), least=(0.05, 0))
    room(monkeypatch, blocks=12, inodes=1000)
    with pytest.raises(NoSpace) as caught:
        queue.add(Draft(7, "bob", "", [Recipient("a@example.org")]), [b"x"])
    queue.close()

    sentence = caught.value.sentence()
    assert "only 12 MB are free" in sentence
    assert str(tmp_path) in sentence
    assert "MinFreeSpace" in sentence
    assert [] == os.listdir(tmp_path / "queue")


def test_a_large_message_leaves_free_what_is_to_stay_free(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A message that fits only into what is to stay free is refused, and goes."""
    queue = Queue.open(str(tmp_path), least=(0.05, 0))

    def content() -> Iterator[bytes]:
        yield b"x" * 300_000
        room(monkeypatch, blocks=49, inodes=1000)

    room(monkeypatch, blocks=60, inodes=1000)
    with pytest.raises(NoSpace, match="only 49 MB are free"):
        queue.add(Draft(7, "bob", "", [Recipient("a@example.org")]), content())
    assert [] == os.listdir(tmp_path / "queue")

    room(monkeypatch, blocks=60, inodes=1000)
    name = queue.add(Draft(0, "root", "", [Recipient("a@example.org")]), content())
    queue.close()

    assert [name] == os.listdir(tmp_path / "queue")


@pytest.mark.parametrize(
    ("kind", "good"),
    [
        ("nfs4", False),
        ("cifs", False),
        ("orangefs", False),
        ("fuse.sshfs", False),
        ("fuse", False),
        ("fuseblk", True),
        ("ext4", True),
        ("", True),
    ],
)
def test_only_local_disks_are_safe(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, good: bool
) -> None:
    """A queue on a network file system is refused with its name."""
    monkeypatch.setattr(space, "filesystem", lambda fd: kind)
    if good:
        Queue.open(str(tmp_path)).close()
    else:
        with pytest.raises(ConfigError, match=f"on {kind}, where"):
            Queue.open(str(tmp_path))


@pytest.mark.parametrize(("path", "kind"), [("/proc", "proc"), ("/sys", "sysfs")])
def test_the_kind_of_a_file_system_is_known(path: str, kind: str) -> None:
    """The mount of an open file is found, whatever its path is called."""
    if not os.path.ismount(path):
        pytest.skip(f"{path} is not mounted")
    fd = os.open(path, os.O_RDONLY)
    try:
        assert kind == space.filesystem(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("kind", "task", "journals", "release", "order"),
    [
        ("ext4", "77", ["sda1-8"], "6.1.0-37-amd64", space.ON_ONE_DISK),
        ("ext3", "77", ["sda1-8"], "5.8", space.ON_ONE_DISK),
        ("ext4", "77", ["sda1"], "6.1", space.IN_ORDER),  # a disk of its own
        ("ext4", "77", ["sda10-8", "sda1-x"], "6.1", space.IN_ORDER),  # others'
        ("ext4", "0", None, "6.1", space.IN_ORDER),  # in a container
        ("ext4", "77", ["sda1-8"], "5.7.19", space.NO_ORDER),
        ("ext4", "77", ["sda1-8"], "strange", space.NO_ORDER),
        ("ext4", "<none>", ["sda1-8"], "6.1", space.FORGETFUL),
        ("ext2", "", [], "6.1", space.FORGETFUL),
        ("ext4", "", [], "6.1", space.FORGETFUL),  # nothing is known
        ("xfs", "", [], "6.1", space.NO_ORDER),
        ("overlay", "77", ["sda1-8"], "6.1", space.NO_ORDER),
        ("", "", [], "6.1", space.NO_ORDER),
    ],
)
def test_order(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: str,
    task: str,
    journals: list[str] | None,
    release: str,
    order: int,
) -> None:
    """Only what is known to keep an order is relied upon."""

    def listed(path: str) -> list[str]:
        if journals is None:
            raise FileNotFoundError(path)
        return journals

    name = os.uname_result(("Linux", "box", release, "", "x86_64"))
    monkeypatch.setattr(space, "filesystem", lambda fd: kind)
    monkeypatch.setattr(os.path, "realpath", lambda path: "/sys/devices/x/sda1")
    monkeypatch.setattr(os, "listdir", listed)
    monkeypatch.setattr(os, "uname", lambda: name)
    lines = {"/sys/fs/ext4/sda1/journal_task": task}
    monkeypatch.setattr(space, "_line", lambda path: lines.get(path, ""))
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        assert order == space.order(fd)
    finally:
        os.close(fd)
