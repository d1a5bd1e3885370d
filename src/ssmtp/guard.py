"""What a process can do about its memory: secrets stay there, and it stays small.

Nothing here can fail: where a system lacks something, there is one hurdle less. In a
program that is not ours (`guest`) the settings of the process are left alone.
"""

from __future__ import annotations

import posix

# proc(5): where the arguments are in memory, counted behind the name of the command.
_ARG_START, _ARG_END = 45, 46
_PR_SET_DUMPABLE = 4
_M_ARENA_MAX = -8

# Set by `ssmtp.api`: we are a library in somebody else's process.
guest = False


def no_core() -> None:
    """Leave no core file, and no memory in one that somebody else writes.

    A core file of this user may be sent to people who read bug reports.
    """
    if guest:
        return
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        pass
    try:
        # The limit does not hold where core files go into a pipe (core(5)).
        fd = posix.open("/proc/self/coredump_filter", posix.O_WRONLY | posix.O_CLOEXEC)
        try:
            posix.write(fd, b"0")
        finally:
            posix.close(fd)
    except OSError:
        pass


def hide() -> None:
    """Let no other process of this user read our memory, nor a core file hold it."""
    no_core()
    _libc("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)


def one_heap() -> None:
    """Have all threads share one heap (mallopt(3)).

    With one for each, the memory of the agent grows with the connections that bring
    large messages at the same time.
    """
    _libc("mallopt", _M_ARENA_MAX, 1)


def _libc(function: str, *arguments: int) -> None:
    """Call a function of the C library, where there is one."""
    try:
        import ctypes

        getattr(ctypes.CDLL(None), function)(*arguments)
    except (ImportError, OSError, MemoryError, AttributeError):
        pass


def hide_argument(secret: str) -> None:
    """Overwrite an argument that is or ends with a secret, as `ps` shows it.

    Others may have seen it before; the time for that becomes short.
    """
    import os

    octets = os.fsencode(secret)
    try:
        with open("/proc/self/stat", "rb") as file:
            facts = file.read().rpartition(b") ")[2].split()
        start, end = int(facts[_ARG_START]), int(facts[_ARG_END])
        fd = posix.open("/proc/self/mem", posix.O_RDWR | posix.O_CLOEXEC)
        try:
            at = start
            for word in posix.pread(fd, end - start, start).split(b"\0"):
                at += len(word) + 1
                if word == octets or (word[:1] == b"-" and word.endswith(octets)):
                    posix.pwrite(fd, b"*" * len(octets), at - 1 - len(octets))
        finally:
            posix.close(fd)
    except (OSError, ValueError, IndexError, OverflowError):
        pass
