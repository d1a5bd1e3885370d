"""What all connections of the acceptor share: configuration, limits, queue, the link.

The configuration is read anew when one of its files has changed. One that is wrong then
is told in the log, and the one before holds on: a typo must not cost mail. What it says
about passwords is thrown away at once; the acceptor has no use for them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from ssmtp import direct
from ssmtp.accounts import Caller
from ssmtp.agent import status
from ssmtp.agent.limits import Limits
from ssmtp.agent.link import Mouth, Switchboard, Word
from ssmtp.agent.tally import Tally
from ssmtp.config import Config
from ssmtp.errors import ConfigError, Deferred, Failure
from ssmtp.spool.queue import Queue, owner_of

PASSWD = "/etc/passwd"
FRESH = 300.0  # seconds for which an account is believed, for users of no file
AWAY = 3.0  # seconds for which --wait waits for a sender, or for its word
LAST = 15.0  # seconds for its word about what has left: it waits for the disk
SLICE = 0.5  # seconds until --wait looks again how things are
BUSY = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)  # that passes
SECRETS = (
    "auth_pass",
    "auth_pass_command",
    "auth_pass_credential",
    "auth_pass_file",
    "auth_user",
    "proxy",
)

Stamp = tuple[object, ...]
# Called with the id of a message, and what tells that nobody waits any more.
Asks = Callable[[str, Callable[[], bool]], Word]


class Unknown(Exception):
    """A name of which nobody can tell at once whether a user has it."""


class Hall:
    """The acceptor's common state; all methods may be called by any thread.

    `closing` is a descriptor that becomes readable when the agent ends. `message`,
    `idle` and `grace` are how long a message may take, how long a client may be silent,
    and how long a message may take once the agent is ending.
    """

    def __init__(
        self,
        path: str,
        queue: Queue,
        link: Switchboard,
        tell: Callable[[str], None],
        *,
        idle_seconds: float = 300.0,
        message_seconds: float = 900.0,
        grace_seconds: float = 5.0,
        wait_seconds: float = 600.0,
        tally: Tally | None = None,
    ) -> None:
        self.path = path
        self.queue = queue
        self.link: Mouth = link
        self._board = link
        self._asks: Asks | None = None
        self.idle_seconds = idle_seconds
        self.message_seconds = message_seconds
        self.grace_seconds = grace_seconds
        self.wait_seconds = wait_seconds
        self.closing, self._close = os.pipe()
        self._ending = False
        self._tell = tell
        self._lock = threading.Lock()
        self.mistake: str | None = None  # in the configuration as it is now
        self._site = _without_secrets(direct.site(path))
        self._stamp = self._files()
        self._accounts: dict[int, tuple[direct.Account, direct.Account, float]] = {}
        self._callers: dict[int, tuple[Caller, float]] = {}
        self._tally = tally or Tally()
        queue.share(self._tally)
        self._limits = Limits(self._site.config, self._tally)

    @property
    def config(self) -> Config:
        """The configuration that holds now."""
        return self._site.config

    def renew(self) -> bool:
        """Read the configuration anew if it has changed; return whether it has."""
        with self._lock:
            return self._renew()

    def account(self, caller: Caller) -> direct.Account:
        """Return what the configuration says about a user; raises `ConfigError`."""
        with self._lock:
            self._renew()
            now = time.monotonic()
            known = self._accounts.get(caller.uid)
            if known is not None and now < known[2]:
                return known[0]
            site = self._site
        # Outside of the lock: a directory of users may take its time.
        account = direct.account_of(site, caller)
        names = account.names.asking(_ask_nobody)
        quick = direct.Account(account.config, account.identity, names)
        with self._lock:
            if self._site is site:
                self._accounts[caller.uid] = (account, quick, now + FRESH)
        return account

    def known_account(self, caller: Caller) -> direct.Account | None:
        """Return what `account` has found for a user, if that was lately.

        It asks nobody about users: where `account` would, `Unknown` is raised.
        """
        with self._lock:
            known = self._accounts.get(caller.uid)
        return known[1] if known is not None and time.monotonic() < known[2] else None

    def caller(self, uid: int) -> Caller | None:
        """Return a user of whom was `told` lately."""
        with self._lock:
            self._renew()
            known = self._callers.get(uid)
        return known[0] if known is not None and time.monotonic() < known[1] else None

    def told(self, caller: Caller) -> None:
        """Remember for a while who a user is."""
        if caller.home is None:
            return  # perhaps it could not be looked up
        with self._lock:
            self._callers[caller.uid] = (caller, time.monotonic() + FRESH)

    def enter(self, uid: int) -> str:
        """Count a connection in; return why it is not to be, or nothing."""
        with self._lock:
            why = self._limits.enter(uid)
            if why and self._renew():
                why = self._limits.enter(uid)
            return why

    def leave(self, uid: int) -> None:
        """Count a connection out."""
        with self._lock:
            self._limits.leave(uid)

    def admit(self, uid: int, size: int) -> None:
        """Raise `Deferred` when a user may not send another message now."""
        try:
            self._admit(uid, size)
        except Deferred:
            if not self.renew():
                raise
            self._admit(uid, size)

    def admits(self, uid: int, size: int) -> bool:
        """Do as `admit`, if that takes no time; False, and nothing done, otherwise."""
        try:
            self._limits.room(uid, *self.queue.known_usage(uid), size)
            self._limits.message(uid, time.monotonic())
        except Failure:
            return False
        return True

    def keeps(self, uid: int, size: int) -> bool:
        """Keep a place until it is `gone`, if that takes no time; False otherwise."""
        try:
            self._come(uid, size, self.queue.known_usage)
        except Failure:
            return False
        return True

    def _admit(self, uid: int, size: int) -> None:
        self.room(uid, size)
        self._limits.message(uid, time.monotonic())

    def room(self, uid: int, size: int) -> None:
        """Raise `Deferred` when so many octets more are too many for a user."""
        try:
            self._limits.room(uid, *self.queue.usage(uid, fresh=False), size)
        except Deferred:
            # Perhaps something has left since it was counted.
            self._limits.room(uid, *self.queue.usage(uid), size)

    @contextlib.contextmanager
    def place(self, uid: int, size: int) -> Iterator[None]:
        """Keep a place for a message while it is queued; raises `Deferred` without one.

        Of those that come at the same time, none takes the place of another.
        """
        usage = partial(self.queue.usage, fresh=False)
        try:
            self._come(uid, size, usage)
        except Deferred:
            self.queue.usage(uid)  # as in `room`, without a place: it may take a while
            self._come(uid, size, usage)
        try:
            yield
        finally:
            self._tally.go(uid, size)

    def gone(self, places: Iterable[tuple[int, int]]) -> None:
        """Give up places that `keeps` has kept, of users and sizes."""
        with self._tally.together():
            for uid, size in places:
                self._tally.go(uid, size)

    def _come(self, uid: int, size: int, usage: Callable[..., tuple[int, int]]) -> None:
        added = self._tally.come(uid, size)
        try:
            self._limits.room(uid, *usage(uid, added=added), size)
        except BaseException:
            self._tally.go(uid, size)
            raise

    def clerk_died(self, pid: int) -> None:
        """Give up the places that a process kept which has died."""
        self._tally.died(pid)

    def forked(self, link: Mouth, asks: Asks, tell: Callable[[str], None]) -> None:
        """Be the hall of a process of its own, which asks another one for verdicts.

        What is wrong with the configuration goes to `tell`.
        """
        os.close(self.closing)
        os.close(self._close)
        self.closing, self._close = os.pipe()
        self._tally.forked()
        self.link = link
        self._asks = asks
        self._tell = tell

    def verdict(self, name: str, left: Callable[[], bool]) -> Word:
        """Tell the sender of a message, and return what it says of it.

        It is queued, so whatever goes wrong here is a word, and no failure. Once
        somebody has `left` who waits, any word will do.
        """
        if self._asks is not None:
            return self._asks(name, left)
        try:
            return self._verdict(name, left)
        except Failure as failure:
            return word_of(450, "4.3.0", failure.what)

    def _verdict(self, name: str, left: Callable[[], bool]) -> Word:
        link = self._board
        link.expect(name)
        try:
            since = time.time()
            link.new(name)
            begun = time.monotonic()
            while (waited := time.monotonic() - begun) < self.wait_seconds:
                if found := link.wait(name, min(SLICE, self.wait_seconds)):
                    return found
                entry = self.queue.look(name)
                if entry is None:
                    # The word waits for the disk, is on its way, or was said too early.
                    return link.wait(name, LAST) or self._gone(name)
                if entry.held:
                    # When it was the sender who held it, there is a word on its way.
                    return link.wait(name, AWAY) or _held(name)
                trouble = status.of(
                    entry.mailhubs, status.troubles(self.queue.path, since)
                )
                if trouble is not None:
                    return word_of(*trouble[:3])
                if self._ending or left():
                    return word_of(450, "4.3.2", "the agent is being restarted")
                if not link.connected and waited > AWAY:
                    return word_of(450, "4.3.2", "no sender is there to send it")
            return word_of(450, "4.4.7", f"no verdict within {self.wait_seconds:g} s")
        finally:
            link.forget(name)

    def _gone(self, name: str) -> Word:
        """Return what is known of a message that is no longer queued."""
        failed = self.queue.look(name, failed=True)
        if failed is not None:
            return word_of(554, "5.0.0", failed.failed or "it could not be sent")
        return word_of(451, "4.4.7", "it has left the queue; the log tells why")

    def close(self) -> None:
        """Tell every session that the agent ends."""
        self._ending = True
        os.close(self._close)

    def octets(self, uid: int | None) -> int:
        """Return how much of the disk the messages of a user take, or of all."""
        if uid is not None:
            return self.queue.usage(uid)[1]
        names = (*self.queue.ids(), *self.queue.failed_ids())
        owners = enumerate({owner_of(name) or 0 for name in names})
        # One fresh look is enough for all of them.
        return sum(self.queue.usage(one, fresh=not at)[1] for at, one in owners)

    def _files(self) -> Stamp:
        aliases = self._site.config.aliases
        files = (self.path, direct.beside_it(self.path), PASSWD, aliases)
        return tuple(_stamp(file) for file in files if file)

    def _renew(self) -> bool:
        stamp = self._files()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        self._accounts.clear()
        self._callers.clear()
        try:
            site = direct.site(self.path)
            check_mailhubs(bool(self.config.mailhubs), site.config)
        except Failure as failure:
            cause = failure.__context__
            if isinstance(cause, OSError) and cause.errno in BUSY:
                self._stamp = ()  # nobody has seen what it says: look again
                return False
            self.mistake = f"{failure.sentence()} (what held before still holds)"
            self._tell(self.mistake)
            return False
        self.mistake = None
        self._site = _without_secrets(site)
        self._limits.config = self._site.config
        return True


def _ask_nobody(name: str) -> int | None:
    raise Unknown(name)


def _held(name: str) -> Word:
    step = f"`ssmtpctl queue release {name}` sends it"
    return word_of(450, "4.0.0", f"it is held (ssmtpctl queue hold): {step}")


def check_mailhubs(before: bool, config: Config) -> None:
    """Raise `ConfigError` when there were mailhubs before, and are none now.

    Somebody is about to write the file, and has emptied it first.
    """
    if before and not config.mailhubs:
        raise ConfigError(
            f"{config.path}: no mailhub is set any more", "add a line Mailhub=host:port"
        )


def _stamp(path: str) -> Stamp:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    # Who may read it belongs to it, so the time is that of any change.
    return found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev


def _without_secrets(site: direct.Site) -> direct.Site:
    for name in SECRETS:
        setattr(site.config, name, None)
    return site


def word_of(code: int, status: str, text: str) -> Word:
    """Return the verdict that the sender would say so."""
    return {"code": code, "status": status, "text": text}
