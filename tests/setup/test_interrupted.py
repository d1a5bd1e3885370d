"""Whatever ends a run while it writes, the old account is whole, or the new one is."""

from __future__ import annotations

import subprocess
import sys

from tests.setup.conftest import ADDRESS, PASSWORD, ROOT

# Does the same again and again, in a process that kills itself at the nth system call
# that changes something; says whose account there is then.
PROGRAM = """
import os, pathlib, signal, sys
from ssmtp import config
from ssmtp.ctl import main
import ssmtp.ctl.setup.writing

folder = pathlib.Path(sys.argv[1])
file = folder / "ssmtp.conf"

def deadly(name, left=[0]):
    real = getattr(os, name)
    def call(*args, **more):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **more)
    setattr(os, name, call)
    return left

for number in range(1, 100):
    for path in folder.iterdir():
        path.unlink()
    (folder / "password").write_text("pw-12345\\n")
    file.write_text("mailhub=old.example.org\\nAuthUser=old\\nAuthPassFile=password\\n")
    child = os.fork()
    if child == 0:
        names = ("write", "fsync", "rename", "link", "fchmod", "unlink")
        [deadly(name) for name in names][0][0] = number
        sys.stdout = sys.stderr
        os._exit(main(["setup", *sys.argv[2:]]))
    _, status = os.waitpid(child, 0)
    found = config.parse(file.read_bytes(), str(file))
    password = pathlib.Path(found.auth_pass_file).read_text().strip()
    print(os.waitstatus_to_exitcode(status), found.auth_user, password[:2])
    if status == 0:
        break
"""


def test_killed_at_every_step(desk):
    """SIGKILL at each system call leaves one of the two accounts, never a mixture."""
    desk.config.parent.mkdir(parents=True)
    (desk.home / "secret").write_text(PASSWORD + "\n")
    done = subprocess.run(
        [
            *(sys.executable, "-c", PROGRAM, str(desk.config.parent), ADDRESS),
            *("--server", "mail.example.org:465", "--password-file", "secret"),
            *("--user-file", "--yes", "--no-test"),
        ],
        capture_output=True,
        text=True,
        cwd=desk.home,
        env=desk.environ | {"PYTHONPATH": str(ROOT / "src")},
        check=True,
        timeout=60,
    )
    told = done.stdout.splitlines()
    first, last = f"-9 old {'pw-12345'[:2]}", f"-9 {ADDRESS} {PASSWORD[:2]}"

    assert {first, last} == set(told[:-1])
    assert last.replace("-9 ", "0 ", 1) == told[-1]
    assert sorted(told[:-1], reverse=True) == told[:-1]
    assert len(told) > 8
