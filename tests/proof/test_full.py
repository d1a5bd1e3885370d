"""Disks that are really full: by size, by inodes, by the limit of a file."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ssmtp.errors import EX_TEMPFAIL, ConfigError
from ssmtp.spool.queue import Draft, NoSpace, Queue, Recipient
from tests.proof import disks
from tests.proof.promises import check_queued, check_tidy
from tests.proof.trace import Stage


@pytest.fixture
def tmpfs(tmp_path: Path, need: Callable[[str], None]):
    """Return a function that mounts a file system in memory of a given size."""
    need(disks.tmpfs_trouble())
    mounts: list[Path] = []

    def make(options: str) -> Path:
        path = tmp_path / f"disk{len(mounts)}"
        path.mkdir()
        disks.mount("-t", "tmpfs", "-o", options, "tmpfs", path)
        mounts.append(path)
        return path

    yield make
    for path in mounts:
        subprocess.run(["umount", path], check=True)


def draft() -> Draft:
    return Draft(1000, "bob", "bob@example.org", [Recipient("ann@example.org")])


def fill(queue: Queue, content: bytes) -> list[str]:
    """Queue messages until there is no room."""
    names = []
    with pytest.raises(NoSpace) as caught:
        for _ in range(1000):
            names.append(queue.add(draft(), [content]))

    assert caught.value.sentence().startswith("the message cannot be queued: No space")
    return names


@pytest.mark.parametrize("options", ["size=400k", "size=8m,nr_inodes=24"])
@pytest.mark.parametrize("size", [100, 3000, 300_000])
def test_a_full_disk_loses_nothing(
    tmpfs: Callable[[str], Path], options: str, size: int
) -> None:
    """On a full disk all that was queued can be sent, and that makes room for more."""
    if "inodes" in options:
        size = min(size, 3000)
    content = b"Subject: x\r\n\r\n" + b"x" * size + b"\r\n"
    queue = Queue.open(str(tmpfs(options) / "spool"), make=True)
    names = fill(queue, content)

    assert names
    assert sorted(names) == sorted(queue.ids())
    for name in names:
        claim = queue.claim(name)
        assert claim is not None
        assert content == b"".join(claim.blocks())
        try:
            claim.begin()
        except NoSpace:  # no room for the note, so it would not be tried yet
            claim.release()
            assert queue.drop(name)
        else:
            claim.done()
    assert [] == os.listdir(queue.queue.path)
    assert len(names) == len(fill(queue, content))
    queue.close()


def test_what_is_to_stay_free_stays_free(tmpfs: Callable[[str], Path]) -> None:
    """However large the messages are, none takes of the space that is kept free."""
    least = 3_000_000
    path = tmpfs("size=8m")
    queue = Queue.open(str(path / "spool"), make=True, least=(0.0, least))
    with pytest.raises(NoSpace, match="are free in"):
        for _ in range(10):
            queue.add(draft(), [b"x" * 2_000_000])
    found = os.statvfs(path)

    assert 2 == queue.count()
    assert found.f_bavail * found.f_frsize >= least
    queue.close()


@pytest.mark.parametrize("bind", [False, True])
def test_a_queue_is_on_one_file_system(
    tmp_path: Path, need: Callable[[str], None], bind: bool
) -> None:
    """A directory mounted into the queue is refused: no message could move there."""
    need(disks.tmpfs_trouble())
    spool, other = tmp_path / "spool", tmp_path / "other"
    Queue.open(str(spool), make=True).close()
    other.mkdir(0o700)
    kind = ["--bind", other] if bind else ["-t", "tmpfs", "-o", "mode=700", "tmpfs"]
    with (
        disks.mounted(spool / "failed", *kind),
        pytest.raises(ConfigError, match="failed lies on another file system than"),
    ):
        Queue.open(str(spool)).close()


def test_outcomes_that_do_not_fit_are_said(tmpfs: Callable[[str], Path]) -> None:
    """A full disk that takes no record leaves those that are there as they are."""
    queue = Queue.open(str(tmpfs("size=400k") / "spool"), make=True)
    name = queue.add(draft(), [b"x" * 3000])
    claim = queue.claim(name)
    assert claim is not None
    claim.settle([(0, "deferred", "451 " + "x" * 1500)])
    fill(queue, b"x" * 100)
    with pytest.raises(NoSpace):
        for _ in range(10):
            claim.settle([(0, "doubt", "y" * 1900)])
    claim.release()
    entry = queue.look(name)

    assert entry is not None
    assert entry.recipients[0].state in ("deferred", "doubt")
    for other in list(queue.ids()):
        if other != name:
            assert queue.drop(other)
    claim = queue.claim(name)
    assert claim is not None
    claim.settle([(0, "refused", "550")])
    claim.release()
    entry = queue.look(name)
    assert entry is not None
    assert "refused" == entry.recipients[0].state
    queue.close()


@pytest.mark.parametrize("limit", [5000, 400_000])
def test_a_limit_on_files_is_no_crash(tmp_path: Path, limit: int) -> None:
    """A write that is cut short by a limit ends with a sentence, and leaves nothing."""
    stage = Stage(tmp_path)
    done = subprocess.run(
        stage.command("enqueue"),
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    words = [line[0] for line in stage.lines()]

    assert b"" == done.stderr
    assert done.returncode in (0, EX_TEMPFAIL)
    assert 1 == words.count("trouble")
    check_queued(stage)
    check_tidy(stage)
