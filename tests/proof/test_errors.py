"""Every system call fails in every way: the caller is told, the queue stays good."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssmtp.errors import EX_TEMPFAIL
from tests.proof.conftest import LONG, sample
from tests.proof.promises import (
    check_delivered,
    check_people,
    check_queued,
    check_tidy,
    finish,
)
from tests.proof.trace import Stage

pytestmark = [pytest.mark.timeout(LONG, method="signal")]

ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EINTR", "EMFILE")

# What the queue asks of the disk. The rest is the interpreter's own business.
CALLS = (
    "close fadvise64 fchmod fdatasync flock fremovexattr fstatfs fsync ftruncate"
    " getdents64 ioctl linkat mkdir mkdirat newfstatat openat pread64 pwrite64"
    " renameat unlinkat utimensat write"
).split()


def faults(points: list[tuple[str, int]]) -> list[tuple[str, int, str]]:
    """Return each call of interest with each error, in an order that a sample mixes."""
    calls = [point for point in points if point[0] in CALLS]
    return [(*point, error) for error in ERRORS for point in calls]


def fail(stage: Stage, verb: str, fault: tuple[str, int, str]) -> None:
    name, number, error = fault
    status = stage.run(verb, f"--inject={name}:error={error}:when={number}")
    assert status in (0, EX_TEMPFAIL)


@pytest.mark.parametrize("way", ["unordered", "ordered", "forgetful"])
@pytest.mark.usefixtures("strace")
def test_failing_in_enqueueing(tmp_path: Path, way: str) -> None:
    """Whatever fails: what was acknowledged is there, what was refused is not."""
    points = Stage(tmp_path / "dry", way=way).points("enqueue")
    for at, fault in enumerate(sample(faults(points))):
        stage = Stage(tmp_path / str(at), way=way)
        fail(stage, "enqueue", fault)
        assert 0 == stage.run("recover")
        check_tidy(stage)
        check_queued(stage)


@pytest.mark.usefixtures("strace")
def test_failing_in_delivery(tmp_path: Path) -> None:
    """Whatever fails: every message reaches its end when the disk is well again."""
    begin = Stage(tmp_path / "begin")
    assert 0 == begin.run("enqueue")
    points = begin.copy(tmp_path / "dry").points("deliver")
    for at, fault in enumerate(sample(faults(points))):
        stage = begin.copy(tmp_path / str(at))
        fail(stage, "deliver", fault)
        finish(stage)
        check_tidy(stage)
        check_delivered(stage)


@pytest.mark.usefixtures("strace")
def test_failing_in_what_people_do(tmp_path: Path) -> None:
    """Whatever fails: nobody is told that it was done, and no message is gone."""
    begin = Stage(tmp_path / "begin")
    assert 0 == begin.run("enqueue")
    points = begin.copy(tmp_path / "dry").points("people")
    for at, fault in enumerate(sample(faults(points))):
        stage = begin.copy(tmp_path / str(at))
        fail(stage, "people", fault)
        assert 0 == stage.run("recover")
        check_tidy(stage)
        check_people(stage)


def short_writes(stage: Stage, verb: str) -> list[int]:
    """Return the numbers of the writes to the queue; the world's do not count."""
    before = len(stage.lines())
    names = [name for name, _ in stage.points(verb)]
    writes = names.count("write") + names.count("pwrite64")
    return list(range(1, writes - len(stage.lines()) + before + 1))


def write_half(stage: Stage, verb: str, number: int) -> None:
    """Run to the end with one write that takes half; nobody has any trouble."""
    stage.words = [f"short={number}"]
    assert 0 == stage.run(verb)
    stage.words = []
    assert "trouble" not in [line[0] for line in stage.lines()]


@pytest.mark.usefixtures("strace")
def test_short_writes_in_enqueueing(tmp_path: Path) -> None:
    """A write that takes less than it was given is gone on with: the file is whole."""
    for number in sample(short_writes(Stage(tmp_path / "dry"), "enqueue")):
        stage = Stage(tmp_path / str(number))
        write_half(stage, "enqueue", number)
        check_tidy(stage)
        check_queued(stage)


@pytest.mark.usefixtures("strace")
def test_short_writes_in_delivery(tmp_path: Path) -> None:
    """A record that is written in two parts is one, and counts."""
    begin = Stage(tmp_path / "begin")
    assert 0 == begin.run("enqueue")
    for number in sample(short_writes(begin.copy(tmp_path / "dry"), "deliver")):
        stage = begin.copy(tmp_path / str(number))
        write_half(stage, "deliver", number)
        finish(stage)
        check_tidy(stage)
        check_delivered(stage)
