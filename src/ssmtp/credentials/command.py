"""A password that a command prints, such as `pass show mail` or `secret-tool lookup …`.

Nothing that the command prints on standard output appears in a failure: the command is
named by its program, and of its standard error the last line is quoted.
"""

from __future__ import annotations

import errno
import os
import time

from ssmtp.credentials.file import LIMIT, expanded
from ssmtp.errors import AuthRefused, ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from subprocess import Popen

SECONDS = 30.0
_PASSING = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


def read(command: list[str]) -> str:
    """Run the password command without a shell, and return its first line.

    It gets nothing on standard input, a session of its own, and `SECONDS`
    seconds; whatever is left of it then is killed. Raises `ConfigError` when it cannot
    be started and `AuthRefused` when it fails.
    """
    import signal

    shown = _escaped(_octets(command[0]))
    # A caller may have left SIGCHLD ignored: then no exit status could be read, and
    # every failure would look like success.
    ignored = signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    if ignored:
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        except ValueError:
            raise _failed(
                shown, "cannot be run by a thread of a program that ignores SIGCHLD"
            ) from None
    try:
        out, err, status = _run(command, shown)
    finally:
        if ignored:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    line, newline, _ = out.partition(b"\n")
    line = line.rstrip(b"\r")
    if status is None:
        raise _failed(shown, f"has not ended within {SECONDS:.0f} s")
    if status:
        how = f"exit status {status}" if status > 0 else f"killed by signal {-status}"
        said = _last_line(err)
        if said and not (line and line in err):
            how += f"): {said}"
        else:
            how += ")"
        raise _failed(shown, f"failed ({how}")
    if not newline and len(line) > LIMIT:
        raise _failed(shown, "printed a first line that is too long for a password")
    if not line:
        raise _failed(shown, "printed no password")
    return line.decode("utf-8", "surrogateescape")


def _run(command: list[str], shown: str) -> tuple[bytes, bytes, int | None]:
    """Return what the command wrote and its exit status, None when it took too long."""
    import atexit
    import subprocess

    program = expanded(command[0]) if command[0].startswith("~") else command[0]
    try:
        process = subprocess.Popen(
            [_octets(word) for word in (program, *command[1:])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        if isinstance(error, OSError) and error.errno in _PASSING:
            raise _failed(shown, f"cannot be started now: {reason}") from None
        raise ConfigError(
            f"AuthPassCommand {shown} cannot be started: {reason}",
            "correct the command; it is run without a shell",
        ) from None

    def end() -> None:
        _end_session(process)

    atexit.register(end)  # the agent waits for it in a thread, and may end meanwhile
    with process:
        try:
            out, err, ended = _listen(process)
        finally:
            end()
            atexit.unregister(end)
    return out, err, process.returncode if ended else None


def _listen(process: Popen[bytes]) -> tuple[bytes, bytes, bool]:
    """Collect the start of stdout, the end of stderr, and whether it ended in time.

    What exceeds the limits is read and dropped, so that the command is not blocked. A
    background process that keeps the pipes open does not keep us.
    """
    import select
    import subprocess

    assert process.stdout is not None
    assert process.stderr is not None
    out_fd, err_fd = process.stdout.fileno(), process.stderr.fileno()
    poller = select.poll()
    poller.register(out_fd, select.POLLIN)
    poller.register(err_fd, select.POLLIN)
    open_pipes = 2
    out = err = b""
    deadline = time.monotonic() + SECONDS
    while open_pipes:
        ended = process.poll() is not None
        left = deadline - time.monotonic()
        if left <= 0 and not ended:
            return out, err, False
        # The pipes close when the command ends. The short wait is for one that has
        # left something behind in the background.
        ready = poller.poll(0 if ended else min(left * 1000, 100))
        if ended and not ready:
            return out, err, True
        for fd, _ in ready:
            block = os.read(fd, 4096)
            if not block:
                poller.unregister(fd)
                open_pipes -= 1
            elif fd == err_fd:
                err = (err + block)[-LIMIT:]
            elif len(out) <= LIMIT:
                out += block
        if ended and left <= 0:
            return out, err, True
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return out, err, False
    return out, err, True


def _end_session(process: Popen[bytes]) -> None:
    """Kill the command and its children if it still runs, and reap it."""
    import signal

    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except OSError:
            process.kill()
        process.wait()


def _failed(shown: str, what: str) -> AuthRefused:
    return AuthRefused(
        f"AuthPassCommand {shown} {what}", "try the command by hand, as this user"
    )


def _last_line(text: bytes) -> str:
    lines = [line for line in text.split(b"\n") if line.strip()]
    return _escaped(lines[-1].strip()) if lines else ""


def _escaped(text: bytes) -> str:
    """Make octets from outside fit for one line on a terminal."""
    shown = text.decode("utf-8", "backslashreplace")
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in shown[:200]
    )


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
