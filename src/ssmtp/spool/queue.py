"""The queue of the agent: where a message is safe until the mailhub has it.

    PATH/           0700, of the user that runs the agent
        queue/      one file for each message (`queuefile` tells its form)
        failed/     those that came to nothing, until somebody requeues or drops them
        corrupt/    whatever was found in queue/ that is no good message

The rules:

1. `add` returns when the message will survive a power cut, and not before (`commit`).
   When it raises, there is no message.
2. A message leaves queue/ when it is done, moved to failed/, or dropped by people;
   `Claim` has all three. Nothing else removes one, not even damage.
3. Whoever works on a message holds the lock on its file, and looks again whether the
   name still leads to it. A lock dies with its holder; there are no lock files.
4. No file in queue/ stops the others. What is not ours, a link, damaged or of a form
   that never was goes to corrupt/. What a later version wrote, and what cannot be read
   now, stays where it is and is passed over. All of it is told once.
5. The name tells owner and age, and the time of the file when somebody is to look at
   it: when the next try is due, or a warning (0: never, it is held). So no list opens
   files. The records in the file count where they differ: whoever claims a message
   reads them.

The processes of the agent share the directory and know nothing of each other.
"""

from __future__ import annotations

import errno
import heapq
import math
import os
import time

from ssmtp.errors import SystemTrouble
from ssmtp.spool import (
    durable,
    queueentry,
    queuenames,
    queuewriter,
    recovery,
    space,
)
from ssmtp.spool.keptfile import escape
from ssmtp.spool.queueclaim import Claim
from ssmtp.spool.queuefile import Damaged, Draft, Entry, Newer, Recipient
from ssmtp.spool.queuenames import owner_of
from ssmtp.spool.queueusage import Usage
from ssmtp.spool.space import Forbidden, NoSpace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ssmtp.spool.commit import Folder, NewFile
    from ssmtp.spool.queueusage import Ledger

__all__ = ["Claim", "Draft", "Entry", "NoSpace", "Queue", "Recipient", "owner_of"]

# No pause between two tries is longer, in seconds. A time that is farther off came
# from a clock that was wrong, and means now.
LONGEST = 5 * 3600.0

# When a file that could not be read, or is newer than we, is looked at again.
_LOOK_AGAIN = 3600.0

# A share of any disk that is less than one inode of it, and more than none.
_SOME = 1e-12

# Octets from which on a message is looked at for the room that it leaves.
_LARGE = 1 << 14

# Troubles of one file, with its mode or an attribute of its own at the end. Any other
# error is one of this process or of the whole disk.
_OF_THE_FILE = (errno.EIO, errno.EUCLEAN, errno.EBADMSG, errno.EACCES, errno.EPERM)


class Queue:
    """An open queue; all methods may be called from several threads.

    Everything raises SystemTrouble (75) when the disk does not do as it should. Ids
    that are none are like those that are gone.
    """

    def __init__(
        self,
        path: str,
        folders: list[Folder],
        owner: int,
        least: tuple[float, int],
        tell: Callable[[str], None],
    ) -> None:
        self.path = path
        self.owner = owner
        self.queue, self.failed, self.corrupt = folders
        self._least = least
        self._tell = tell
        self._usage = Usage(self._sizes)
        # What is passed over, and until when.
        self._passed: dict[str, float] = {}

    @classmethod
    def open(
        cls,
        path: str,
        *,
        make: bool = False,
        owner: int | None = None,
        least: tuple[float, int] = (0.0, 0),
        tell: Callable[[str], None] = lambda sentence: None,
    ) -> Queue:
        """Open the queue in a directory, or make it first.

        `least` is `MinFreeSpace` (share, octets); `tell` gets a sentence about every
        file that is passed over. Raises ConfigError (78) for a directory that is not
        ours or not on a local disk.
        """
        owner = os.geteuid() if owner is None else owner
        try:
            if make:
                recovery.make(path)
            folders = recovery.open_folders(path, owner)
        except OSError as error:
            raise space.trouble(f"the queue {path} cannot be used", error) from None
        return cls(path, folders, owner, least, tell)

    def close(self) -> None:
        """Close the directories; claims stay what they are."""
        for folder in (self.queue, self.failed, self.corrupt):
            folder.close()

    def recover(self) -> None:
        """Put in order what a crash may have left; any number of times, at any time.

        What was never finished is removed, foreign files go to corrupt/, and all that
        is there becomes durable.
        """
        try:
            durable.sweep(self.queue.fd, math.inf)
            for _ in self._items(self.queue):
                pass
            for folder in (self.queue, self.failed, self.corrupt):
                folder.sync()
        except OSError as error:
            raise space.trouble(f"{self.path} cannot be put in order", error) from None

    def add(self, draft: Draft, blocks: Iterable[bytes]) -> str:
        """Put a message into the queue, durably, and return its id.

        The blocks are the content in wire form. Raises NoSpace or SystemTrouble, or
        what the blocks raise; then it is not in the queue.
        """
        file = self.begin(draft, blocks)
        self.publish([file])
        if file.error is not None:
            raise not_queued(file.error) from None
        return file.name

    def begin(self, draft: Draft, blocks: Iterable[bytes]) -> NewFile:
        """Begin to put a message into the queue: `publish` has to follow.

        Raises what `add` raises.
        """
        if not draft.recipients:
            raise ValueError("a message without recipients")
        self.check_room(draft.uid)
        draft.time = draft.time or int(time.time())
        name = queuenames.new_id(draft.time, draft.uid)

        def fill(fd: int) -> int:
            size = queuewriter.fill(fd, draft, name, blocks)
            if size > _LARGE:
                self.check_room(draft.uid)  # what is to stay free is not for this one
            return size

        try:
            return self.queue.begin(name, fill)
        except queuewriter.BrokenOff as end:
            raise end.error from None
        except OSError as error:
            raise not_queued(error) from None

    def publish(self, files: list[NewFile]) -> None:
        """Put messages into the queue, durably, as far as their `error` stays None."""
        self.queue.publish(files)
        with self._usage.ledger.together():
            for file in files:
                if file.error is None:
                    self._usage.ledger.add(owner_of(file.name) or 0, file.size)

    def abandon(self, file: NewFile) -> None:
        """Leave nothing of a message that was begun, and is not to be published."""
        self.queue.abandon(file)

    def check_there(self) -> None:
        """Raise SystemTrouble when a directory was removed: it can take nothing."""
        for folder in (self.queue, self.failed, self.corrupt):
            if not os.fstat(folder.fd).st_nlink:
                what = f"{folder.path} was removed while the agent ran"
                raise SystemTrouble(what, "start it again, if nothing else does")

    def check_room(self, uid: int, *, some: bool = False) -> None:
        """Raise NoSpace unless there is room for a message of this user.

        With `some` there has to be any, though nothing is to stay free.
        """
        share, octets = self._least
        least = (max(share, _SOME), max(octets, 1)) if some else self._least
        try:
            space.check_room(self.queue.fd, self.path, uid, least)
        except OSError as error:
            raise space.trouble(f"{self.path} cannot be used", error) from None

    def ids(self, uid: int | None = None) -> Iterator[str]:
        """Yield the ids of all, or of one user, in no order; sorting is by age."""
        return _of_user(self._items(self.queue), uid)

    def failed_ids(self, uid: int | None = None) -> Iterator[str]:
        """Yield the ids of what lies in failed/, as `ids` does."""
        return _of_user(self._items(self.failed), uid)

    def count(self) -> int:
        """Return how many messages are queued."""
        return sum(1 for _ in self.ids())

    def due(
        self, now: float, limit: int, after: tuple[float, str] | None = None
    ) -> list[tuple[float, str]]:
        """Return (when, id) of those that are due next, the soonest first.

        With `after`, the last of another list, those that come behind it. What is held
        or passed over is not among them. A time beyond all reason is now.
        """
        times = self._times(now)
        if after is not None:
            times = (one for one in times if one > after)
        return heapq.nsmallest(limit, times)

    def usage(
        self, uid: int, *, fresh: bool = True, added: tuple[int, int] | None = None
    ) -> tuple[int, int]:
        """Return the messages a user has queued, and their octets with the failed ones.

        Without `fresh` it may be more than he has: what has left since the last count.
        `added` takes the place of what the ledger says now.
        """
        return self._usage.of(uid, fresh=fresh, added=added)

    def known_usage(
        self, uid: int, *, added: tuple[int, int] | None = None
    ) -> tuple[int, int]:
        """Return `usage` as it was counted last; raises SystemTrouble if it never was.

        A thread counts the files again when it is time for that.
        """
        return self._usage.known(uid, added)

    def share(self, ledger: Ledger) -> None:
        """Count in one ledger with other processes what is added."""
        self._usage.ledger = ledger

    def look(self, name: str, *, failed: bool = False) -> Entry | None:
        """Read a message without locking it; None when it is gone or no good one."""
        opened = self._open(name, self.failed if failed else self.queue, lock=False)
        if opened is None:
            return None
        durable.close(opened[0])
        return opened[1]

    def content(self, name: str, *, failed: bool = False) -> Iterator[bytes]:
        """Yield the content of a message, for people; nothing when it is gone."""
        opened = self._open(name, self.failed if failed else self.queue, lock=False)
        if opened is None:
            return
        fd, entry, _ = opened
        try:
            yield from queueentry.blocks(fd, entry, 0)
        except OSError as error:
            raise space.trouble(f"{name} cannot be read", error) from None
        finally:
            durable.close(fd)

    def claim(self, name: str) -> Claim | None:
        """Lock a message; None when it is held, gone, no good one, or somebody's.

        A message whose end was decided, but not reached when somebody was killed,
        reaches it now.
        """
        claim = self._claim(name, self.queue)
        if claim is None:
            return None
        try:
            if claim.entry.done:
                claim.done()
            elif claim.entry.failed:
                claim.move(self.queue, self.failed)
            elif claim.entry.held:
                claim.show_next()
                claim.release()
            else:
                return claim
        except Forbidden:
            self._pass_over(
                name, self.queue, "is over, but its mode or an attribute keeps it here"
            )
        return None

    def drop(self, name: str, *, failed: bool = False) -> bool:
        """Remove a message for good; False when it is gone or being sent."""
        claim = self._claim(name, self.failed if failed else self.queue)
        if claim is None:
            return False
        claim.done()
        return True

    def hold(self, name: str) -> bool:
        """Keep a message from being tried; False when it is gone or being sent."""
        return self._note(name, "held")

    def release(self, name: str) -> bool:
        """Make a message due now, held or not; False when it is gone or being sent."""
        return self._note(name, "released")

    def requeue(self, name: str) -> bool:
        """Give a failed message a new life in the queue; False when it is gone."""
        claim = self._claim(name, self.failed)
        if claim is None:
            return False
        with claim:
            claim.note("requeued")
            claim.move(self.failed, self.queue)
        self._usage.ledger.add(claim.entry.uid, 0)  # its octets count already
        return True

    def _items(self, folder: Folder) -> Iterator[os.DirEntry[str]]:
        """Yield what is called like a message; put away what is not."""
        try:
            # A descriptor of its own: the scans of two threads would share a position.
            fd = queueentry.open_file(".", folder.fd, os.O_DIRECTORY)
        except OSError as error:
            raise space.trouble(f"{folder.path} cannot be read", error) from None
        try:
            with os.scandir(fd) as found:
                for item in found:
                    if owner_of(item.name) is not None:
                        yield item
                    elif folder is self.queue and not item.name.startswith("."):
                        self._put_away(item.name, folder, "is called like no message")
        except OSError as error:
            raise space.trouble(f"{folder.path} cannot be read", error) from None
        finally:
            durable.close(fd)

    def _times(self, now: float) -> Iterator[tuple[float, str]]:
        for item in self._items(self.queue):
            if item.name in self._passed and not self._look_again(item.name):
                continue
            found = self._stat(item, self.queue)
            when = found.st_mtime if found is not None else 0
            if when:
                yield (when if when <= now + LONGEST else now), item.name

    def _sizes(self) -> Iterator[tuple[int, int, bool]]:
        for folder in (self.queue, self.failed):
            for item in self._items(folder):
                found = self._stat(item, folder)
                if found is not None:
                    uid = owner_of(item.name) or 0
                    yield uid, found.st_size, folder is self.queue

    def _stat(self, item: os.DirEntry[str], folder: Folder) -> os.stat_result | None:
        try:
            return item.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._cannot_read(item.name, folder, error)
            return None

    def _open(
        self, name: str, folder: Folder, *, lock: bool
    ) -> tuple[int, Entry, bytes] | None:
        """Open and read a message; None when it is gone, locked, or no good one."""
        if owner_of(name) is None:
            return None
        try:
            return queueentry.open_entry(name, folder.fd, self.owner, lock=lock)
        except FileNotFoundError:
            pass
        except Damaged as what:
            self._put_away(name, folder, str(what))
        except Newer as what:
            self._pass_over(name, folder, str(what))
        except OSError as error:
            self._cannot_read(name, folder, error)
        return None

    def _claim(self, name: str, folder: Folder) -> Claim | None:
        opened = self._open(name, folder, lock=True)
        if opened is None:
            return None
        fd, entry, content = opened
        return Claim(fd, entry, content, folder, self.failed)

    def _put_away(self, name: str, folder: Folder, what: str) -> None:
        """Move what is no message to corrupt/, and tell it."""
        try:
            where = recovery.put_away(name, folder, self.corrupt)
        except FileNotFoundError:
            return
        except OSError as error:
            self._pass_over(
                name, folder, f"{what}, and cannot be moved ({error.strerror})"
            )
        else:
            self._tell(f"{folder.path}/{escape(name)} {what}; now it is {where}")

    def _cannot_read(self, name: str, folder: Folder, error: OSError) -> None:
        """Pass over a file that the disk does not give; raise any other trouble."""
        if error.errno not in _OF_THE_FILE:
            raise space.trouble(f"{name} cannot be read", error) from None
        self._pass_over(name, folder, f"cannot be read ({error.strerror})")

    def _pass_over(self, name: str, folder: Folder, what: str) -> None:
        if name not in self._passed:
            self._tell(f"{folder.path}/{escape(name)} {what}")
        self._passed[name] = time.monotonic() + _LOOK_AGAIN

    def _look_again(self, name: str) -> bool:
        return time.monotonic() > self._passed[name]

    def _note(self, name: str, record: str) -> bool:
        claim = self._claim(name, self.queue)
        if claim is None:
            return False
        with claim:
            claim.note(record)
        return True


def not_queued(error: OSError) -> SystemTrouble:
    """Return the failure that such an error is for a message on its way in."""
    return space.trouble("the message cannot be queued", error)


def _of_user(items: Iterator[os.DirEntry[str]], uid: int | None) -> Iterator[str]:
    for item in items:
        if uid is None or owner_of(item.name) == uid:
            yield item.name
