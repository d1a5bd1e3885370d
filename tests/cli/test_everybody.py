"""What root's mailq and sendmail -q do for the other users of a machine."""

from __future__ import annotations

import os
import posix
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.hub import Hub, running

CHECKOUT = Path(__file__).parents[2]
# In a mount namespace, so that nothing but what is kept here is in /var/tmp and /tmp;
# the checkout, which may lie in one of them, is shown elsewhere before.
# The first configuration is no good: what is kept then is sent as whoever retries it.
SCRIPT = """
set -eu
mount --bind "$CHECKOUT" /mnt
BIN=/mnt/bin
mount -t tmpfs -o mode=1777 none /var/tmp
mount -t tmpfs -o mode=1777 none /tmp
conf=/var/tmp/ssmtp.conf
echo nonsense=yes >$conf
printf 'Subject: s\\n\\nb\\n' | setpriv --reuid 4242 --regid 4242 --clear-groups \
    "$BIN/sendmail" -C $conf a@dest.test 2>/dev/null || test $? = 78
"$BIN/mailq"
printf 'mailhub=127.0.0.1:%s\\nhostname=box.test\\n' "$PORT" >$conf
"$BIN/sendmail" -q
"$BIN/mailq"
"""


@pytest.fixture
def environment() -> dict[str, str]:
    """Skip where there is no other user to be, or no namespace to be had."""
    if os.getuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root and util-linux")
    for command in (
        f"setpriv --reuid 4242 --clear-groups test -x {CHECKOUT}/bin/sendmail",
        "unshare --mount mount -t tmpfs none /var/tmp",
    ):
        if subprocess.run(command.split(), capture_output=True).returncode:
            pytest.skip("needs mount namespaces and a checkout that all may read")
    return {"CHECKOUT": str(CHECKOUT), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def test_root_sees_and_sends_what_is_kept_for_all(environment) -> None:
    """Root's mailq lists what any user has kept, and -q sends it as that user."""
    hub = Hub()
    with running(hub):
        environment["PORT"] = str(hub.port)
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", SCRIPT],
            capture_output=True,
            env=environment,
            timeout=30,
        )

    assert (0, b"") == (done.returncode, done.stderr)
    assert b"nonsense" in done.stdout
    assert done.stdout.endswith(b"in 1 Request.\nMail queue is empty\n")
    assert ["uid4242@box.test"] == [mail.sender for mail in hub.mails]


def test_root_is_told_what_stays(environment) -> None:
    """What cannot be sent for a user is said with the uid, and the exit code is 75."""
    script = SCRIPT.replace("mailhub=127.0.0.1:%s\\nhostname", "bad=%s\\nhostname")
    environment["PORT"] = "1"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        capture_output=True,
        env=environment,
        timeout=30,
    )

    assert 75 == done.returncode
    assert done.stderr.startswith(b"uid 4242: sendmail: ")
    assert 1 == done.stderr.count(b"\n")


def test_a_store_that_is_named_is_the_only_one(tmp_path, monkeypatch) -> None:
    """With XDG_STATE_HOME set, root looks after that store and no other."""
    from ssmtp import sendmail

    monkeypatch.setattr(posix, "getuid", lambda: 0)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    everybody = sendmail._for_everybody()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    assert (True, False) == (everybody, sendmail._for_everybody())
