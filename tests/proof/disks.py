"""Small file systems of our own: in memory, and in a file that can be copied."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# The size of the image in MiB (none may be smaller), and what makes the file system.
KINDS = {
    "ext4": (16, ["mkfs.ext4", "-q", "-F", "-m", "0"]),
    "xfs": (300, ["mkfs.xfs", "-q", "-f"]),
    "btrfs": (110, ["mkfs.btrfs", "-q", "-f"]),
}


def mount(*arguments: str | Path) -> None:
    """Mount; raises OSError saying why not."""
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"mount: {done.stderr.strip()}")


@contextmanager
def mounted(path: Path, *arguments: str | Path) -> Iterator[Path]:
    """Mount there as long as it is needed."""
    path.mkdir(exist_ok=True)
    mount(*arguments, path)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def make(kind: str, image: Path, *how: str, size: int = 0) -> None:
    """Make a file system in an image; raises OSError saying why not."""
    least, command = KINDS[kind]
    with image.open("wb") as file:
        file.truncate((size or least) << 20)
    if shutil.which(command[0]) is None:
        raise OSError(f"{command[0]} is not installed")
    done = subprocess.run([*command, *how, image], capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{command[0]}: {done.stderr.strip()}")


def options(kind: str) -> str:
    """Return how an image is mounted; xfs minds that they are copies of each other."""
    return "loop,nouuid" if kind == "xfs" else "loop"


def copy(image: Path, to: Path) -> None:
    """Copy an image as it is at one moment, as a power cut would leave it.

    The system may be writing to it by itself; then the copy is taken again.
    """
    while True:
        before = image.stat().st_mtime_ns
        subprocess.run(["cp", "--sparse=always", image, to], check=True)
        if before == image.stat().st_mtime_ns:
            return


def trouble(attempt: Callable[[Path], object]) -> str:
    """Return why something cannot be done here, or nothing."""
    if os.getuid() != 0:
        return "only root can mount"
    directory = Path(tempfile.mkdtemp())
    try:
        attempt(directory)
    except OSError as error:
        return str(error)
    finally:
        shutil.rmtree(directory)
    return ""


def tmpfs_trouble() -> str:
    """Return why no file system in memory can be mounted here, or nothing."""

    def attempt(directory: Path) -> None:
        with mounted(directory / "m", "-t", "tmpfs", "tmpfs"):
            pass

    return trouble(attempt)


def image_trouble(kind: str) -> str:
    """Return why no file system of this kind can be mounted here, or nothing."""

    def attempt(directory: Path) -> None:
        make(kind, directory / "image")
        with mounted(directory / "m", "-o", options(kind), directory / "image"):
            pass

    return trouble(attempt)
