"""Whether the file system of the queue is fit for it, and has room for more.

Mail is turned away while there is still room: records about messages that are queued
already, and everything else on that file system, have to be written, too. Half of what
is kept free may be used by root, whose mail tells of such troubles.
"""

from __future__ import annotations

import errno
import os

from ssmtp.errors import ConfigError, SystemTrouble

# Where locks, links or fsync are not what they are on a local disk, or where the other
# end decides whether they are.
_REMOTE = frozenset(
    "9p afs beegfs ceph cifs coda gfs2 glusterfs gpfs lustre ncpfs nfs nfs4 ocfs2 "
    "orangefs pvfs2 smb2 smb3 smbfs".split()
)
# What `order` returns.
FORGETFUL, NO_ORDER, IN_ORDER, ON_ONE_DISK = range(4)

# Since then the wait for content to be written reports its errors (`extents`).
_TELLS_ERRORS = (5, 8)

_FUSE_BUT_LOCAL = frozenset(("fuseblk", "fuse.fuse-overlayfs"))


class NoSpace(SystemTrouble):
    """There is no room for more mail now (452, 4.3.1)."""


class Forbidden(SystemTrouble):
    """The mode or an attribute of a file forbids what was to be done with it."""


def trouble(what: str, error: OSError) -> SystemTrouble:
    """Return the failure that an error of the disk is; a full disk is NoSpace."""
    sentence = f"{what}: {error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace(sentence, "make room on that disk, then try again")
    if error.errno in (errno.EACCES, errno.EPERM):
        return Forbidden(sentence, "try again later")
    return SystemTrouble(sentence, "try again later")


def check_room(fd: int, path: str, uid: int, least: tuple[float, int]) -> None:
    """Raise NoSpace unless enough is left for mail of this user.

    `least` is what `MinFreeSpace` says: the share of space and inodes, or the octets,
    that stay free.
    """
    found = os.fstatvfs(fd)
    share, octets = least
    if uid == 0:
        share, octets = share / 2, octets // 2
    free = found.f_bavail * found.f_frsize
    # Some file systems have no fixed size, or number of inodes, and say 0.
    if found.f_blocks and free < max(octets, share * found.f_blocks * found.f_frsize):
        raise _too_little(f"only {_megabytes(free)} are free in {path}")
    if found.f_files and found.f_favail < share * found.f_files:
        raise _too_little(f"only {found.f_favail} inodes are free in {path}")


def check_kind(fd: int, path: str) -> None:
    """Raise ConfigError when the directory lies on a file system over the network."""
    kind = filesystem(fd)
    fuse = kind == "fuse" or kind.startswith("fuse.")
    if kind in _REMOTE or (fuse and kind not in _FUSE_BUT_LOCAL):
        raise ConfigError(
            f"{path} lies on {kind}, where a queue is not safe",
            "let Spool name a directory on a local disk",
        )


def filesystem(fd: int) -> str:
    """Return the type of the file system that holds an open file, or nothing."""
    number = mount(fd)
    try:
        with open("/proc/self/mountinfo", "rb") as lines:
            for line in lines:
                if line.split(b" ", 1)[0] == number:
                    return line.partition(b" - ")[2].split(b" ", 1)[0].decode()
    except (OSError, ValueError, IndexError):
        pass
    return ""


def order(fd: int) -> int:
    """Return what one `fsync` makes durable of all that was done before.

    FORGETFUL: ext2, or ext4 without a journal, which do not even make durable that a
    file which had no name has one. NO_ORDER: nothing, as far as it is known here.
    IN_ORDER: on ext4 with a journal, whatever was changed before what is synchronised,
    also other files and names; and content that was written already, by one `fsync` of
    such a file. ON_ONE_DISK: the same by one of a directory, for the journal lies among
    the rest and flushes it. The kernel tells that in /sys and /proc.
    """
    try:
        device = os.fstat(fd).st_dev
        kind = filesystem(fd)
    except OSError:
        return NO_ORDER
    if not kind.startswith("ext"):
        return NO_ORDER
    number = f"{os.major(device)}:{os.minor(device)}"
    name = os.path.basename(os.path.realpath(f"/sys/dev/block/{number}"))
    if not _line(f"/sys/fs/ext4/{name}/journal_task").isdigit():
        return FORGETFUL
    if _kernel() < _TELLS_ERRORS:
        return NO_ORDER
    try:
        journals = os.listdir("/proc/fs/jbd2")
    except OSError:
        return IN_ORDER
    # One with a disk of its own has no number of an inode behind its name.
    inside = any(
        one.startswith(f"{name}-") and one[len(name) + 1 :].isdigit()
        for one in journals
    )
    return ON_ONE_DISK if inside else IN_ORDER


def _kernel() -> tuple[int, ...]:
    words = os.uname().release.replace("-", ".").replace("+", ".").split(".")
    return tuple(int(word) for word in words[:2] if word.isdecimal())


def _line(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.readline(80).strip().decode("ascii", "replace")
    except OSError:
        return ""


def mount(fd: int) -> bytes:
    """Return the number of the mount through which a file was opened, or nothing.

    One file system may have several, and no file is renamed from one to another.
    """
    try:
        with open(f"/proc/self/fdinfo/{fd}", "rb") as lines:
            return next(line.split()[1] for line in lines if line[:7] == b"mnt_id:")
    except (OSError, StopIteration, IndexError):
        return b""


def _too_little(what: str) -> NoSpace:
    return NoSpace(f"no room for new mail: {what}", "free some, or lower MinFreeSpace")


def _megabytes(octets: int) -> str:
    return f"{octets / 1_000_000:.0f} MB"
