"""An installation where there is next to nothing: no root, no passwd, no /dev/log.

The root of these tests has the interpreter and its libraries, read-only, and what
`ssmtpctl install` has put there. Processes have a uid without a passwd entry, no HOME,
no capabilities and no way to new privileges.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.hub import Hub, running
from tests.install.trees import SSMTPCTL, snapshot

REQUIRED = os.environ.get("SSMTP_REQUIRE_INSTALL") == "1"
# In a mount namespace. What lies on the disk of the machine is shown, not copied.
ENTER = """
set -eu
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
cd "$ROOT"
for folder in usr lib lib64 bin; do
    if [ -L /$folder ]; then
        [ -L "$ROOT/$folder" ] || cp -P /$folder "$ROOT/$folder"
    elif [ -d /$folder ]; then
        mkdir -p "$ROOT/$folder"
        mount --bind /$folder "$ROOT/$folder"
        mount -o remount,bind,ro "$ROOT/$folder"
    fi
done
mkdir -p "$ROOT/dev"
: >"$ROOT/dev/null"
mount --bind /dev/null "$ROOT/dev/null"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty root below /opt of which an installation lies."""
    if os.getuid() != 0 or not shutil.which("setpriv"):
        if REQUIRED:
            pytest.fail("must run as root, with util-linux")
        pytest.skip("needs root and util-linux")
    probe = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    if subprocess.run(probe, capture_output=True).returncode:
        if REQUIRED:
            pytest.fail("needs mount namespaces")
        pytest.skip("needs mount namespaces")
    root = tmp_path / "root"
    root.mkdir(mode=0o755)
    run = subprocess.run(
        [SSMTPCTL, "install", "--root", root, "--prefix", "/opt/ssmtp"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (0, "") == (run.returncode, run.stderr)
    return root


def inside(
    root: Path, script: str, *, uid: int = 424242, read_only: bool = True
) -> subprocess.CompletedProcess[bytes]:
    """Run a script of sh in the root, as somebody without name, home or rights."""
    enter = ENTER + ('mount -o remount,bind,ro "$ROOT"\n' if read_only else "")
    enter += (
        f'exec chroot "$ROOT" setpriv --reuid {uid} --regid {uid} --clear-groups'
        ' --no-new-privs --inh-caps=-all env -i sh -c "$SCRIPT"'
    )
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    return subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", enter],
        env={"ROOT": str(root), "SCRIPT": script, "PATH": path},
        capture_output=True,
        timeout=60,
    )


def write_configuration(root: Path, port: int) -> None:
    folder = root / "config"
    folder.mkdir(exist_ok=True)
    (folder / "ssmtp.conf").write_text(f"mailhub=127.0.0.1:{port}\nhostname=box.test\n")


SEND = (
    "printf 'Subject: s\\n\\nIt works.\\n' |"
    " SSMTP_CONF=/config/ssmtp.conf /opt/ssmtp/lib/sendmail -oi a@dest.test"
)


def test_a_mail_goes_out_of_a_bare_read_only_root(root):
    """Silently, and signed with the number of who sent it."""
    hub = Hub()
    with running(hub):
        write_configuration(root, hub.port)
        run = inside(root, SEND)

    assert (0, b"", b"") == (run.returncode, run.stdout, run.stderr)
    [mail] = hub.mails
    assert ["a@dest.test"] == mail.recipients
    assert "uid424242@box.test" == mail.sender
    assert b"It works.\r\n" == mail.body


def test_what_cannot_be_sent_is_kept_where_anything_can_be(root):
    """With the mailhub away: one line, exit 75, and the message is in /var/tmp."""
    write_configuration(root, 1)
    (root / "var/tmp").mkdir(parents=True)
    (root / "var/tmp").chmod(0o1777)
    run = inside(root, SEND, read_only=False)

    assert 75 == run.returncode
    assert 1 == run.stderr.count(b"\n")
    [kept] = (root / "var/tmp").glob("ssmtp-424242/*")
    assert b"It works." in kept.read_bytes()


def test_where_nothing_can_be_kept_that_is_said(root):
    """With the mailhub away and no place to write: not a word of a kept message."""
    write_configuration(root, 1)
    run = inside(root, SEND)

    assert 75 == run.returncode
    assert 1 == run.stderr.count(b"\n")
    assert b"kept as" not in run.stderr


def test_nothing_is_compiled_by_who_calls(root):
    """Root itself, with a disk that can be written, writes no bytecode."""
    before = snapshot(root / "opt")
    for name in ("sendmail", "ssmtpctl"):
        run = inside(root, f"/opt/ssmtp/bin/{name} --version", uid=0, read_only=False)

        assert (0, b"") == (run.returncode, run.stderr)
    assert before == snapshot(root / "opt")


def test_a_read_only_usr_is_told_and_left_alone(root):
    """Exit 77 and where else to install; nothing was changed before that was known."""
    before = snapshot(root)
    script = "/opt/ssmtp/bin/ssmtpctl install --prefix /usr --replace"
    run = inside(root, script, uid=0, read_only=False)

    assert 77 == run.returncode
    assert b"read-only file system" in run.stderr
    assert b"--prefix" in run.stderr
    assert before == {
        path: what for path, what in snapshot(root).items() if path in before
    }
    assert not (root / "etc/systemd").exists()
