"""What file systems do not say: content that was not written, names that are not kept.

Files are published by this process, and looked at in a copy of the image that was taken
at once behind the answer, or where they are.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from ssmtp.spool import durable
from ssmtp.spool.commit import Folder, NewFile
from tests.proof import disks
from tests.proof.conftest import LONG

pytestmark = [
    pytest.mark.usefixtures("asked"),
    pytest.mark.timeout(LONG, method="signal"),
]

ROUNDS = 3


@pytest.fixture(autouse=True)
def ext4(need: Callable[[str], None]) -> None:
    need(disks.image_trouble("ext4"))


@contextmanager
def opened(place: Path) -> Iterator[Folder]:
    folder = Folder(os.open(place, os.O_RDONLY | os.O_DIRECTORY), str(place))
    try:
        yield folder
    finally:
        folder.close()


def begun(folder: Folder, name: str, content: bytes) -> NewFile:
    def fill(fd: int) -> int:
        durable.write(fd, content)
        return len(content)

    return folder.begin(name, fill)


def _write(content: bytes, fd: int) -> None:
    durable.write(fd, content)


def whole(place: Path, contents: dict[str, bytes]) -> dict[str, bool]:
    found = {}
    for name, content in contents.items():
        path = place / name
        found[name] = path.exists() and path.read_bytes() == content
    return found


def checked(image: Path) -> Path:
    """Repair an image, as a machine does that starts."""
    done = subprocess.run(["e2fsck", "-fy", image], capture_output=True)
    assert done.returncode in (0, 1)
    return image


@pytest.mark.parametrize("size", [3000, 60_000, 4_000_000])
def test_content_is_there_with_its_name(tmp_path: Path, size: int) -> None:
    """Of several files that were published at once, none is there without its text."""
    image, copy = tmp_path / "image", tmp_path / "copy"
    disks.make("ext4", image, size=128)
    with disks.mounted(tmp_path / "disk", "-o", "loop", image) as disk:
        with opened(disk) as folder:
            for number in range(ROUNDS):
                contents = {f"{number}-{at}": os.urandom(size) for at in range(4)}
                files = [begun(folder, *item) for item in contents.items()]
                folder.publish(files)
                disks.copy(image, copy)
                with disks.mounted(tmp_path / "cut", "-o", "loop", copy) as cut:
                    found = whole(cut, contents)
                for name in contents:
                    (disk / name).unlink()

                assert [None] * 4 == [file.error for file in files]
                assert all(found.values())


@pytest.mark.parametrize("group", [0, 1])
@pytest.mark.parametrize("count", [1, 3])
def test_room_that_cannot_be_had(tmp_path: Path, count: int, group: int) -> None:
    """What the file system threw away, and told nobody, is not taken for written."""
    image = tmp_path / "image"
    disks.make("ext4", image, "-O", "^flex_bg")
    told = subprocess.run(["dumpe2fs", image], capture_output=True, text=True).stdout
    octets = int(re.findall(r"Block size:\s+(\d+)", told)[0])
    maps = [int(number) for number in re.findall(r"Block bitmap at (\d+)", told)]
    with image.open("r+b") as file:
        file.seek(maps[group] * octets + 200)
        file.write(os.urandom(300))
    options = "loop,errors=continue"
    with disks.mounted(tmp_path / "disk", "-o", options, image) as disk:
        contents = {f"m{at}": b"x" * 3000 for at in range(count)}
        with opened(disk) as folder:
            files = [begun(folder, *item) for item in contents.items()]
            folder.publish(files)
        found = whole(disk, contents)
        there = os.listdir(disk)

    assert count == 1 or any(one.error is not None for one in files)
    for one in files:
        assert found[one.name] == (one.error is None)
        assert (one.name in there) == (one.error is None)


@pytest.mark.parametrize("count", [1, 3])
def test_names_without_a_journal(tmp_path: Path, count: int) -> None:
    """Where nothing but `fsync` makes a name durable, it is there all the same."""
    image, copy = tmp_path / "image", tmp_path / "copy"
    disks.make("ext4", image, "-O", "^has_journal")
    with disks.mounted(tmp_path / "disk", "-o", "loop", image) as disk:
        contents = {f"m{at}": os.urandom(3000) for at in range(4 * count)}
        items = list(contents.items())
        with opened(disk) as folder:
            for at in range(4):
                some = items[at * count :][:count]
                files = [begun(folder, *item) for item in some]
                folder.publish(files)
                assert [None] * count == [file.error for file in files]
        disks.copy(image, copy)
    with disks.mounted(tmp_path / "cut", "-o", "loop", checked(copy)) as cut:
        found = whole(cut, contents)

    assert all(found.values())


def test_what_is_kept_without_a_journal(tmp_path: Path) -> None:
    """What the failed store keeps is there, too, the last one as well."""
    image, copy = tmp_path / "image", tmp_path / "copy"
    disks.make("ext4", image, "-O", "^has_journal")
    contents = {f"m{at}": os.urandom(3000) for at in range(4)}
    with disks.mounted(tmp_path / "disk", "-o", "loop", image) as disk:
        fd = os.open(disk, os.O_RDONLY | os.O_DIRECTORY)
        for name, content in contents.items():
            durable.create(fd, name, partial(_write, content))
        os.close(fd)
        disks.copy(image, copy)
    with disks.mounted(tmp_path / "cut", "-o", "loop", checked(copy)) as cut:
        found = whole(cut, contents)

    assert all(found.values())
