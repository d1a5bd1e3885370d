"""`ssmtpctl agent run`: both halves of the agent below one process, in the foreground.

For containers and for systems whose init is not systemd. What systemd would do is done
here: open the sockets, take a user's rights, start both halves, start again a half that
has died, end both, and (as process 1 of a container) bury the orphans.

The sockets are open before a half is started and stay open when one dies, so that a
program that sends mail meanwhile waits for the next one instead of being refused. Where
we are root, the directories and sockets are made first; then root's rights are given up
for good, in this process, too.

A half that ends with 64 or 78 before it has ever lived for `SETTLED` seconds would only
do it again: then all of it ends with that code. One that has worked before is tried
again like after any other end: the mistake may be gone soon, and the other half works.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import pwd
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence

from ssmtp import configfile, direct
from ssmtp.agent import aside, listening, places
from ssmtp.agent.hall import check_mailhubs
from ssmtp.config import Config
from ssmtp.errors import (
    EX_CONFIG,
    EX_OK,
    EX_TEMPFAIL,
    EX_USAGE,
    Failure,
    SystemTrouble,
    UsageError,
)

ENDING = (signal.SIGTERM, signal.SIGINT)
WATCHED = (*ENDING, signal.SIGHUP, signal.SIGCHLD)
SETTLED = 3.0  # seconds after which a half counts as started
PAUSE_LEAST, PAUSE_MOST = 1.0, 60.0  # seconds between a death and the next start
GRACE = 35.0  # seconds for ending in order; SIGKILL loses nothing, either
HIGH_FD = 100  # above what a half's own descriptors are put to
PR_SET_PDEATHSIG = 1
UIDS = (1 << 32) - 1

Say = Callable[[str], None]


class Half:
    """One of the two: its command, its process (0: none), and when to start it."""

    def __init__(self, name: str, words: list[str], takes_sockets: bool) -> None:
        self.name = name
        self.words = words
        self.takes_sockets = takes_sockets
        self.pid = 0
        self.started = 0.0
        self.due = 0.0
        self.pause = PAUSE_LEAST
        self.settled = False  # has worked once
        self.renewed = 0.0  # until when it may end, to be started again at once; or 0


class Account:
    """The user as whom the halves run."""

    def __init__(self, name: str) -> None:
        try:
            found = pwd.getpwnam(name) if not _is_uid(name) else None
        except KeyError:
            raise UsageError(
                f"there is no user {name}", "make one, or name another with --user"
            ) from None
        self.name = name
        self.uid = found.pw_uid if found else int(name)
        self.gid = found.pw_gid if found else int(name)

    def take(self) -> None:
        """Become that user, for good."""
        if _is_uid(self.name):
            os.setgroups([])
        else:
            os.initgroups(self.name, self.gid)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)
        # What root's own variables point to is not ours.
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
            os.environ.pop(name, None)


def _is_uid(name: str) -> bool:
    """Tell whether this is a number that can be a uid (the highest means none)."""
    return name.isascii() and name.isdigit() and int(name[:11]) < UIDS


def account(wanted: str | None) -> Account | None:
    """Return whose rights to take: --user, else `ssmtp` for root, else nobody's."""
    if os.getuid() != 0:
        if wanted is not None:
            raise UsageError("only root may use --user", "leave it out")
        return None
    if wanted is None:
        try:
            pwd.getpwnam(places.USER)
        except KeyError:
            return None
        wanted = places.USER
    return None if wanted in ("root", "0") else Account(wanted)


def run(
    config_path: str, listen: str | None, spool: str | None, user: str | None, say: Say
) -> int:
    """Run both halves until SIGTERM or SIGINT; return the exit code.

    SIGHUP starts both anew, with the configuration as it is then, unless it is wrong.
    """
    whose = account(user)
    config = configfile.load(config_path)
    submit_path = places.socket_path(config, listen)
    spool_path = places.spool_path(config, spool)
    link = ["--link", places.link_path(submit_path)]
    owner = (whose.uid, whose.gid) if whose else None
    if owner:
        _private_directory(spool_path, owner)
    listener = listening.submit(submit_path, owner)
    try:
        sockets = [listener.socket, *_loopbacks(config)]
        before = bool(config.mailhubs)
        del config  # what is secret in it is no business of ours
        if whose:
            whose.take()
            # What root may read, the halves may not.
            configfile.load(config_path)
        say(f"listening at {submit_path}; the queue is {spool_path}")
        shared = ["-C", config_path, "--spool", spool_path]
        return Supervisor(
            [
                Half("acceptor", [*_ourselves(), "accept", *shared], True),
                Half("sender", [*_ourselves(), "send", *shared, *link], False),
            ],
            sockets,
            listener.lock,
            say,
            lambda: _check(config_path, sockets, before),
        ).run()
    finally:
        listener.close()


def _loopbacks(config: Config) -> list[socket.socket]:
    return [listening.loopback(*place) for place in {*config.listen_loopback}]


def _check(path: str, sockets: list[socket.socket], before: bool) -> None:
    """Raise `Failure` if an acceptor could not work with what the files say now.

    Of the sockets to hand over, those behind the first are where the files say then.
    `before` says whether there was a mailhub when we began.
    """
    config = direct.site(path).config
    check_mailhubs(before, config)
    wanted = {*config.listen_loopback}
    if wanted:
        listening.identity(config)
    there = {one.getsockname()[:2]: one for one in sockets[1:]}
    fresh = [listening.loopback(*place) for place in wanted if place not in there]
    for place, one in there.items():
        if place not in wanted:
            sockets.remove(one)
            one.close()
    sockets += fresh


def _private_directory(path: str, owner: tuple[int, int]) -> None:
    """Make the directory of the queue for a user who could not make it."""
    try:
        places.make(os.path.dirname(path))
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            return
        os.chown(path, *owner)
    except OSError as error:
        raise SystemTrouble(
            f"cannot make {path}: {error.strerror}", "name another with --spool"
        ) from None


def _ourselves() -> list[str]:
    """Return the words that started this program, up to `agent`.

    Interpreter and program are told as absolute paths: we may be in any directory.
    """
    words = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    if words and words[-1] == sys.argv[0]:
        words[-1] = os.path.abspath(words[-1])
    return [sys.executable, *words[1:], "agent"]


class Supervisor:
    """Keeps the halves alive. One thread, woken by signals and by nothing else.

    `check` raises `Failure` when they had better not be started anew now.
    """

    def __init__(
        self,
        halves: Sequence[Half],
        sockets: Sequence[socket.socket],
        lock: int,
        say: Say,
        check: Callable[[], object] = lambda: None,
    ) -> None:
        self.halves = halves
        self.check = check
        self.sockets = sockets
        self.lock = lock
        self.say = say
        self.mask: set[int] = set()

    def run(self) -> int:
        """Start the halves and watch them; return the exit code."""
        # Blocked, a signal waits for us, and process 1 gets it like any other.
        self.mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED))
        before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            return self._watch()
        finally:
            signal.signal(signal.SIGCHLD, before)
            signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)

    def _watch(self) -> int:
        while True:
            now = time.monotonic()
            for half in self.halves:
                if not half.pid and half.due <= now:
                    self._start(half)
                elif half.pid and 0 < half.renewed <= now:
                    half.renewed = now + GRACE
                    self._kill(half, signal.SIGKILL)
            times = [half.renewed if half.pid else half.due for half in self.halves]
            due = [when for when in times if when]
            number = _next_signal(min(due) - now if due else None)
            if number in ENDING:
                return self._end()
            if number == signal.SIGHUP:
                self._renew()
            code = self._bury()
            if code:
                self._end()
                return code

    def _start(self, half: Half) -> None:
        half.started = time.monotonic()
        try:
            half.pid = os.fork()
        except OSError as error:
            half.due = half.started + half.pause
            self.say(f"the {half.name} cannot be started: {error.strerror}")
            return
        if half.pid == 0:
            try:
                self._become(half)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(EX_TEMPFAIL)

    def _become(self, half: Half) -> None:
        """Be that half, in the child; does not return."""
        environ = {**os.environ, aside.WANTED: "1"}
        if half.takes_sockets:
            _hand_over([each.fileno() for each in self.sockets])
            environ["LISTEN_PID"] = str(os.getpid())
            environ["LISTEN_FDS"] = str(len(self.sockets))
        # The lock says that an agent lives; as long as a half does, that is true.
        os.set_inheritable(self.lock, True)
        # Ctrl-C at a terminal is for us: we end both in order.
        os.setpgid(0, 0)
        _die_with_parent()
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.execve(half.words[0], half.words, environ)

    def _bury(self) -> int:
        """Take note of who has died; return the code to end with, or 0."""
        code = 0
        for half, status in self._ended():
            code = code or self._died(half, status)
        return code

    def _ended(self) -> list[tuple[Half, int]]:
        """Return the halves that have died and their exit codes, and bury everybody."""
        found: list[tuple[Half, int]] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return found
            if not pid:
                return found
            for half in self.halves:
                if half.pid == pid:
                    half.pid = 0
                    found.append((half, os.waitstatus_to_exitcode(status)))

    def _died(self, half: Half, code: int) -> int:
        """Plan the next start of a half; return the code if there is no use in it."""
        now = time.monotonic()
        lived = now - half.started
        half.settled = half.settled or lived >= SETTLED
        if half.renewed:
            half.renewed = 0.0
            half.due, half.pause = now, PAUSE_LEAST
            return 0
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        if code in (EX_USAGE, EX_CONFIG) and not half.settled:
            self.say(f"the {half.name} cannot work ({how})")
            return code
        if lived >= PAUSE_MOST:
            half.pause = PAUSE_LEAST
        half.due = now + half.pause
        self.say(f"the {half.name} ended ({how}); started again in {half.pause:.0f} s")
        half.pause = min(half.pause * 2, PAUSE_MOST)
        return 0

    def _renew(self) -> None:
        try:
            self.check()
        except Failure as failure:
            self.say(f"{failure.sentence()} (nothing is started anew)")
            return
        for half in self.halves:
            half.renewed = time.monotonic() + GRACE if half.pid else 0.0
            half.due, half.pause = 0.0, PAUSE_LEAST
            self._kill(half, signal.SIGTERM)

    def _end(self) -> int:
        """End both halves, in order if they can; return the exit code."""
        for half in self.halves:
            self._kill(half, signal.SIGTERM)
        limit = time.monotonic() + GRACE
        worst = EX_OK
        while any(half.pid for half in self.halves):
            left = limit - time.monotonic()
            number = _next_signal(left) if left > 0 else signal.SIGTERM
            if number in ENDING:
                for half in self.halves:
                    self._kill(half, signal.SIGKILL)
                limit = time.monotonic() + GRACE
            for _, code in self._ended():
                if code not in (EX_OK, -signal.SIGTERM):
                    worst = EX_TEMPFAIL
        return worst

    def _kill(self, half: Half, number: int) -> None:
        if half.pid:
            try:
                os.kill(half.pid, number)
            except ProcessLookupError:
                pass


def _next_signal(seconds: float | None) -> int:
    """Wait for one of `WATCHED`; return 0 when the time is over."""
    if seconds is None:
        return signal.sigwaitinfo(WATCHED).si_signo
    found = signal.sigtimedwait(WATCHED, max(seconds, 0.0))
    return found.si_signo if found is not None else 0


def _hand_over(descriptors: list[int]) -> None:
    """Put the sockets where sd_listen_fds(3) says that they are."""
    above = listening.FIRST_FD + len(descriptors) + HIGH_FD
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in descriptors]
    for place, fd in enumerate(moved, listening.FIRST_FD):
        os.dup2(fd, place)


def _die_with_parent() -> None:
    """Let SIGTERM come when the parent is killed: two agents at once are one too many.

    Where the C library cannot be called, the lock still keeps a second one away.
    """
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    except (OSError, AttributeError):
        pass
