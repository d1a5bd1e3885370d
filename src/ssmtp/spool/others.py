"""Root's `sendmail -q`: each user's kept mail, sent by a process of that user.

Root never sends a kept message of somebody else: the file, the configuration and the
password command that it names are that user's word. So a process with that user's
rights does it, away from root's terminal, environment and directory; what it says comes
back through a pipe.
"""

from __future__ import annotations

import os
import sys

from ssmtp.spool import failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PATH = "/usr/local/bin:/usr/bin:/bin"


def owners() -> list[int]:
    """Return the uids of all other users of whom something is kept."""
    found = {entry.owner for entry in failed.all_entries({})}
    return sorted(found - {os.getuid()})


def run(uid: int, arguments: Sequence[str]) -> tuple[int, list[str]]:
    """Run this command as that user; return its exit code, and the lines it printed.

    Raises OSError when the user may not run it.
    """
    import pwd
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
    done = subprocess.run(
        [*interpreter, os.path.abspath(sys.argv[0]), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=environ,
        user=uid,
        group=group,
        extra_groups=groups,
        start_new_session=True,
        check=False,
    )
    return done.returncode, done.stdout.decode("utf-8", "replace").splitlines()
