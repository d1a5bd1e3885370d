"""What the sender notices without being told: a clock set back, a mended configuration.

Both are looked for as long as it runs. Neither is needed for mail to go out some time;
they are why it does so soon.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ssmtp.agent.loop import boottime

if TYPE_CHECKING:
    from ssmtp.agent.sender import Sender

SET_BACK = 30.0  # seconds by which a clock is set back when it has not only drifted
EVERY = 10.0  # seconds between two looks whether a mistake was mended


class Changes:
    """What was seen the last time, for one sender."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self._offset = time.time() - boottime()
        self._at = 0.0
        self.stamps = sender.stamps()
        self._contents = self._digest()

    def look(self, now: float) -> None:
        """Do what follows from what has changed since the last time."""
        offset = time.time() - now
        self.set_back(self._offset - offset)
        self._offset = offset
        self._mended(now)

    def set_back(self, seconds: float) -> None:
        """Try everything when the wall clock shows so much less than it should.

        All that waits would seem to have that much more time.
        """
        if seconds > SET_BACK:
            self.sender.lookout.flush()

    def _mended(self, now: float) -> None:
        """Try a mailhub soon that was in trouble when the configuration changed."""
        pools = self.sender.pools.values()
        troubled = [pool for pool in pools if pool.site.kind and not pool.opening]
        if not troubled or now < self._at:
            return
        self._at = now + EVERY
        stamps = self.sender.stamps()
        if stamps == self.stamps:
            return
        self.stamps = stamps
        if self.is_another():
            for pool in troubled:
                pool.site.mended(now)

    def is_another(self) -> bool:
        """Tell whether what was written anew is not what it was, and note it."""
        before, self._contents = self._contents, self._digest()
        return before != self._contents

    def _digest(self) -> int:
        """Return what tells one configuration, and one password, from another."""
        config = self.sender.config
        texts = []
        for path in filter(None, (config.path, config.auth_pass_file)):
            if not os.path.isfile(path):
                continue  # a pipe gives what it has but once
            try:
                with open(path, "rb") as file:
                    texts.append(file.read())
            except OSError:
                texts.append(b"")
        return hash(tuple(texts))
