"""SIGKILL at every system call: nothing is lost, or sent twice unawares."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.proof.conftest import LONG, sample
from tests.proof.promises import (
    check_delivered,
    check_people,
    check_queued,
    check_tidy,
    finish,
)
from tests.proof.trace import Stage

pytestmark = [
    pytest.mark.usefixtures("strace"),
    pytest.mark.timeout(LONG, method="signal"),
]

# How files get their names; `ordered` as on a file system that keeps an order.
WAYS = pytest.mark.parametrize("way", ["unordered", "hidden", "ordered"])


def kill(stage: Stage, verb: str, point: tuple[str, int]) -> None:
    name, number = point
    status = stage.run(verb, f"--inject={name}:signal=SIGKILL:when={number}")
    assert status in (-signal.SIGKILL, 128 + signal.SIGKILL)


@WAYS
def test_killed_in_enqueueing(tmp_path: Path, way: str) -> None:
    """A caller that is told "queued" can rely on it, whenever the queue is killed."""
    points = Stage(tmp_path / "dry", way=way).points("enqueue")
    for at, point in enumerate(sample(points)):
        stage = Stage(tmp_path / str(at), way=way)
        kill(stage, "enqueue", point)
        assert 0 == stage.run("recover")
        check_tidy(stage)
        check_queued(stage)


@WAYS
def test_killed_in_delivery(tmp_path: Path, way: str) -> None:
    """Every message reaches its end, whenever the sender is killed."""
    begin = Stage(tmp_path / "begin", way=way)
    assert 0 == begin.run("enqueue")
    points = begin.copy(tmp_path / "dry").points("deliver")
    for at, point in enumerate(sample(points)):
        stage = begin.copy(tmp_path / str(at))
        kill(stage, "deliver", point)
        finish(stage)
        check_tidy(stage)
        check_delivered(stage)


@WAYS
def test_killed_in_what_people_do(tmp_path: Path, way: str) -> None:
    """What people were told has been done, and no message goes with a half of it."""
    begin = Stage(tmp_path / "begin", way=way)
    assert 0 == begin.run("enqueue")
    points = begin.copy(tmp_path / "dry").points("people")
    for at, point in enumerate(sample(points)):
        stage = begin.copy(tmp_path / str(at))
        kill(stage, "people", point)
        assert 0 == stage.run("recover")
        check_tidy(stage)
        check_people(stage)


@WAYS
def test_killed_in_recovery(tmp_path: Path, way: str) -> None:
    """Recovery from a crash survives a crash at any point of its own."""
    begin = Stage(tmp_path / "begin", way=way)
    leave_a_mess(begin)
    points = begin.copy(tmp_path / "dry").points("recover")
    for at, point in enumerate(sample(points)):
        stage = begin.copy(tmp_path / str(at))
        kill(stage, "recover", point)
        for _ in range(2):
            assert 0 == stage.run("recover")
        assert ["core"] == [
            path.name.partition(".")[0] for path in (stage.spool / "corrupt").iterdir()
        ]
        for path in (stage.spool / "corrupt").iterdir():
            path.unlink()
        check_queued(stage)
        finish(stage)
        check_delivered(stage)


def leave_a_mess(stage: Stage) -> None:
    """Leave a queue as a crash does: a file that was never finished, a foreign one."""
    assert 0 == stage.run("enqueue")
    (stage.spool / "queue" / ".0123456789abcdef").write_bytes(b"ssmtp queued mess")
    (stage.spool / "queue" / "core").write_bytes(b"\x7fELF")
