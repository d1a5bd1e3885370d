"""Root's `sendmail -q`: each user's kept mail, sent by a process of that user.

Root never sends a kept message of somebody else: the file, the configuration and the
password command that it names are that user's word. So a process with that user's
rights does it, away from root's terminal, environment and directory; what it says comes
back through a pipe.

That user rules this process, and can stop it, take its pipe or fill it: root waits only
so long, and listens only to so much.
"""

from __future__ import annotations

import os
import sys
import time

from ssmtp.errors import EX_TEMPFAIL
from ssmtp.spool import places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from subprocess import Popen

PATH = "/usr/local/bin:/usr/bin:/bin"
SECONDS = 900.0  # for all that one user has kept
GRACE = 5.0  # seconds between SIGTERM and SIGKILL
LIMIT = 65536  # octets of what it prints


def owners() -> list[int]:
    """Return the uids of all other users of whom something is kept."""
    found = set()
    for place in places.for_reading({}, None):
        try:
            if any(not name.startswith(".") for name in os.listdir(place.fd)):
                found.add(place.uid)
        except OSError:
            pass
        finally:
            place.close()
    return sorted(found - {os.getuid()})


def run(uid: int, arguments: Sequence[str]) -> tuple[int, list[str]]:
    """Run this command as that user; return its exit code, and the lines it printed.

    One that takes longer than `SECONDS` is ended, with exit code 75. Raises OSError
    when the user may not run it.
    """
    import pwd
    import signal
    import subprocess

    environ = {"PATH": PATH}
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        group, groups = uid, [uid]
    else:
        group = user.pw_gid
        groups = os.getgrouplist(user.pw_name, group)
        environ["HOME"] = user.pw_dir
        environ["USER"] = environ["LOGNAME"] = user.pw_name
    interpreter = sys.orig_argv[: -len(sys.argv)]
    # Where SIGCHLD is ignored no exit status could be read, and all would look well.
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        process = subprocess.Popen(
            [*interpreter, os.path.abspath(sys.argv[0]), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            cwd="/",
            env=environ,
            user=uid,
            group=group,
            extra_groups=groups,
            start_new_session=True,
        )
        with process:
            text, ended = _listen(process)
            if not ended:
                _end(process)
    finally:
        signal.signal(signal.SIGCHLD, before)
    lines = text.decode("utf-8", "replace").splitlines()
    if not ended:
        return EX_TEMPFAIL, [*lines, f"ended, for it took more than {SECONDS:.0f} s"]
    return process.returncode, lines


def _listen(process: Popen[bytes]) -> tuple[bytes, bool]:
    """Collect the start of what it prints; tell whether it ended in time.

    What others hold of the pipe once the process has ended keeps nobody waiting.
    """
    import select
    import subprocess

    assert process.stdout is not None
    fd = process.stdout.fileno()
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    text = b""
    deadline = time.monotonic() + SECONDS
    while True:
        ended = process.poll() is not None
        left = deadline - time.monotonic()
        if left <= 0:
            return text, ended
        if not poller.poll(0 if ended else min(left * 1000, 100)):
            if ended:
                return text, True
            continue
        block = os.read(fd, 4096)
        if not block:
            break
        text += block[: LIMIT - len(text)]
    try:
        process.wait(left)
    except subprocess.TimeoutExpired:
        return text, False
    return text, True


def _end(process: Popen[bytes]) -> None:
    """End the process, kindly first: it may have a message half sent."""
    import signal
    import subprocess

    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
