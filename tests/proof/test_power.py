"""The power is cut before every change of the disk: what was acknowledged survives.

The file system lies in a file. That file is copied while the program waits, so the copy
holds what the program, and the system in its own time, have handed to the disk, and
nothing of what is still in memory. Each copy is mounted when the program has ended.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ssmtp.spool import space
from tests.proof import disks
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
    pytest.mark.usefixtures("asked"),
    pytest.mark.timeout(LONG, method="signal"),
]


class Disk:
    """An image, and what the world knows at the moment that it shows."""

    def __init__(self, path: Path, kind: str, *, way: str) -> None:
        self.path = path
        self.kind = kind
        self.way = way
        self.image = path / "image"
        path.mkdir()

    def copy(self, path: Path) -> Disk:
        """Return the same as it is now."""
        other = Disk(path, self.kind, way=self.way)
        disks.copy(self.image, other.image)
        world = self.path / "world"
        if world.exists():
            shutil.copy(world, other.path)
        return other

    @contextmanager
    def on(self) -> Iterator[Stage]:
        """Switch it on."""
        where = self.path / "disk"
        with disks.mounted(where, "-o", disks.options(self.kind), self.image) as disk:
            yield Stage(self.path, way=self.way, disk=disk)

    def cuts(self, verb: str) -> list[Disk]:
        """Run to the end, and return what a power cut at each point would leave."""
        with self.on() as stage:
            return [
                self.copy(self.path / f"{verb}{at}")
                for at, _ in enumerate(stage.step(verb))
            ]


@pytest.mark.parametrize(
    ("kind", "how", "order"),
    [
        ("ext4", [], space.ON_ONE_DISK),
        ("ext4", ["-O", "^has_journal"], space.FORGETFUL),
        ("xfs", [], space.NO_ORDER),
        ("btrfs", [], space.NO_ORDER),
    ],
)
def test_order_of_a_disk(
    tmp_path: Path, need: Callable[[str], None], kind: str, how: list[str], order: int
) -> None:
    """What the kernel tells of a file system is understood."""
    need(disks.image_trouble(kind))
    disk = Disk(tmp_path / "disk", kind, way="tmpfile")
    disks.make(kind, disk.image, *how)
    with disk.on() as stage:
        fd = os.open(stage.spool.parent, os.O_RDONLY)
        found = space.order(fd)
        os.close(fd)

    assert order == found


@pytest.mark.parametrize("kind", disks.KINDS)
def test_power_cut_while_people_work(
    tmp_path: Path, need: Callable[[str], None], kind: str
) -> None:
    """Whenever the power goes, what people were told has been done."""
    need(disks.image_trouble(kind))
    disk = Disk(tmp_path / "disk", kind, way="tmpfile")
    disks.make(kind, disk.image)
    with disk.on() as stage:
        assert 0 == stage.run("enqueue")
    for cut in sample(disk.cuts("people")):
        with cut.on() as stage:
            assert 0 == stage.run("recover")
            check_tidy(stage)
            check_people(stage)


@pytest.mark.parametrize("way", ["tmpfile", "hidden"])
@pytest.mark.parametrize("kind", disks.KINDS)
def test_power_cut(
    tmp_path: Path, need: Callable[[str], None], kind: str, way: str
) -> None:
    """Whenever the power goes, everything acknowledged is there, and is delivered."""
    need(disks.image_trouble(kind))
    disk = Disk(tmp_path / "disk", kind, way=way)
    disks.make(kind, disk.image)
    for cut in sample(disk.cuts("enqueue")):
        with cut.on() as stage:
            for _ in range(2):
                assert 0 == stage.run("recover")
            check_tidy(stage)
            check_queued(stage)
    for cut in sample(disk.cuts("deliver")):
        with cut.on() as stage:
            finish(stage)
            check_tidy(stage)
            check_delivered(stage, power_cut=True)
