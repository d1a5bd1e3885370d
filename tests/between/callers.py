#!/usr/bin/env python3
"""Let real callers hand their mail to an agent, and judge what the relay receives.

    tests/between/callers.py HARNESS [ARGUMENT...]

HARNESS is the directory of the callers' harness (see its README; it needs root, and the
tree of callers that it installs). The agent holds the password: no user can read the
configuration. As with every program that has a queue, exit 0 means *queued* here.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
QUEUES = "self.queues = kind in ("
SETUP = """\
install -d -m 0755 /run/ssmtp; install -d -m 0700 /var/spool/ssmtp
printf 'MaxMessagesPerMinute=1000\\n' >>/etc/ssmtp/ssmtp.conf
/opt/sut/bin/ssmtpctl agent run --user root >/run/ssmtp/log 2>&1 </dev/null &
for _ in $(seq 100); do [ -S /run/ssmtp/sender.sock ] && break; sleep 0.05; done"""


def main() -> int:
    """Run the harness from a copy that knows that this program has a queue now."""
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 64
    with tempfile.TemporaryDirectory(prefix="callers-") as place:
        copy = Path(place) / "callers"
        shutil.copytree(sys.argv[1], copy)
        inside = copy / "inside.py"
        text = inside.read_text()
        assert 1 == text.count(QUEUES), "the harness has changed"
        inside.chmod(0o644)
        inside.write_text(text.replace(QUEUES, f"{QUEUES}'ours', "))
        done = subprocess.run(
            [
                *(sys.executable, copy / "run.py", "--program", CHECKOUT),
                *("--conf-mode", "0600", "--no-group-mail", "--setup", SETUP),
                *sys.argv[2:],
            ]
        )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
