"""What the sender notices without being told: a clock set back, a mended configuration.

Both are looked for as long as it runs. Neither is needed for mail to go out some time;
they are why it does so soon.
"""

from __future__ import annotations

import binascii
import contextlib
import os
import time
from typing import TYPE_CHECKING

from ssmtp.agent.loop import boottime
from ssmtp.credentials.file import credential
from ssmtp.errors import Failure

if TYPE_CHECKING:
    from ssmtp.agent.sender import Sender

SET_BACK = 30.0  # seconds by which a clock is set back when it has not only drifted
EVERY = 10.0  # seconds between two looks at the configuration


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

    def soon(self) -> None:
        """Have the configuration looked at with the next look."""
        self._at = 0.0

    def follow(self, now: float) -> None:
        """Try soon what was in trouble, if the configuration is another.

        Whoever changed it wants to see whether it works now. Only asking for everything
        to be tried is not enough: accounts are locked that way.
        """
        if self.is_another():
            for pool in self.sender.pools.values():
                pool.site.mended(now)

    def _mended(self, now: float) -> None:
        """Follow a configuration that has changed; try soon what was in trouble."""
        sender = self.sender
        if now < self._at or sender.default.opening or sender.crew.turnstile.busy:
            return  # what was begun with the one before may still be refused
        self._at = now + EVERY
        stamps = sender.stamps()
        if stamps != self.stamps:
            self.stamps = stamps
            self.follow(now)
        with contextlib.suppress(Failure):  # which is told once somebody connects
            sender.fresh_config()

    def missed(self, mark: object) -> bool:
        """Tell whether it was changed since another run has left this mark of it."""
        return isinstance(mark, int) and mark != self.mark

    @property
    def mark(self) -> int:
        """What the next run knows the configuration by that was followed last.

        An octet is enough to see most changes, and too little to tell a password by.
        """
        return self._contents & 0xFF

    def is_another(self) -> bool:
        """Tell whether what was written anew is not what it was, and note it."""
        before, self._contents = self._contents, self._digest()
        return before != self._contents

    def _digest(self) -> int:
        """Return what tells one configuration, and one password, from another."""
        config = self.sender.config
        digest = 0
        for path in filter(None, (config.path, config.auth_pass_file)):
            if not os.path.isfile(path):
                continue  # a pipe gives what it has but once
            try:
                with open(path, "rb") as file:
                    digest = binascii.crc32(file.read(), digest)
            except OSError:
                pass
        if config.auth_pass_credential:
            with contextlib.suppress(Failure):
                secret = credential(config.auth_pass_credential)
                octets = secret.encode("utf-8", "surrogateescape")
                digest = binascii.crc32(octets, digest)
        return digest
