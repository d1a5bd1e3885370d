"""What one run of the sender leaves for the next, and for people: `site.json`.

All of it may be lost: then mailhubs are tried as if nothing was known of them. People
are told of it by the acceptor (`status`).
"""

from __future__ import annotations

import json
import math
import os
import time
from typing import TYPE_CHECKING

from ssmtp.agent import status
from ssmtp.agent.loop import boottime
from ssmtp.agent.site import Site, refused_ago

if TYPE_CHECKING:
    from ssmtp.agent.sender import Sender

EVERY = 60.0  # seconds


class Memory:
    """The file, for one sender; `records` are of mailhubs not met in this run yet."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.records: dict[tuple[str, ...], dict[str, object]] = {}
        self._at = 0.0

    def changed(self) -> None:
        """Have it written soon."""
        self._at = 0.0

    def soon(self, now: float) -> None:
        """Have it written within a second."""
        self._at = min(self._at, now + 1.0)

    def keep(self, now: float) -> None:
        """Write it when it is time for that."""
        if now >= self._at:
            self._at = now + EVERY
            self.write(running=True)

    def write(self, *, running: bool) -> None:
        """Write how things are."""
        sender = self.sender
        now, wall = boottime(), time.time()
        active = len(sender.active) + sender.crew.active
        pause = sender.rate.wait(now)
        text = json.dumps(
            {
                "version": 1,
                "time": int(wall),
                "awake": int(time.monotonic()),
                "pid": os.getpid(),
                "running": running,
                "ready": len(sender.lookout.seen) - active,
                "active": active,
                **sender.counts,
                "last_sent": sender.last_sent,
                "rate": sender.rate.record(now, wall),
                "rate_until": math.ceil(wall + pause) if pause else None,
                "configuration": sender.changes.mark,
                "sites": self._sites(now, wall),
            },
            indent=1,
        )
        path = os.path.join(sender.queue.path, status.NAME)
        try:
            fd = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "w") as file:
                file.write(text + "\n")
            os.rename(f"{path}.new", path)
        except OSError:
            pass  # it is told again in a minute

    def _sites(self, now: float, wall: float) -> list[dict[str, object]]:
        sender, sites = self.sender, []
        for pool in sender.pools.values():
            record = pool.site.record(now, wall)
            others = sender.crew.connections if pool is sender.default else 0
            record["connections"] = len(pool.workers) + others
            record["default"] = pool is sender.default
            sites.append(record)
        for known in self.records.values():
            if refused_ago(known, wall):
                sites.append({**known, "default": False})
        return sites

    def restore(self) -> None:
        """Take over what the run before knew about mailhubs, and what it has sent.

        Mailhubs that only single messages name are met again later (`recall`).
        """
        sender = self.sender
        try:
            path = os.path.join(sender.queue.path, status.NAME)
            with open(path, "rb") as file:
                found = json.load(file)
            mended = sender.changes.missed(found.get("configuration"))
            for record in found["sites"]:
                if mended:
                    record["refusals"] = []  # it is another password, perhaps
                self.records[tuple(record["mailhubs"])] = record
            # Known here and not by `changes`: it was set back in between.
            sender.changes.set_back(found["time"] - time.time())
            for name in sender.counts:
                sender.counts[name] = max(0, int(found.get(name, 0)))
            self.recall(sender.default.site)
            sender.rate.restore(found["rate"], boottime(), time.time())
        except (OSError, ValueError, KeyError, TypeError):
            pass

    def recall(self, site: Site) -> None:
        """Tell a site what an earlier run knew of it."""
        record = self.records.pop(site.mailhubs, None)
        if record is not None:
            site.restore(record, boottime(), time.time())
