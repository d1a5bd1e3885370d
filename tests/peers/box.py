"""A server in a box: a root of its own, private /etc and /var, gone with its process.

A root is what unpack.sh laid out and is never written to. The box is a mount and a PID
namespace: the root with copies of /etc and /var over it, a new /dev, /run and /tmp.
The network is the host's loopback, so that the program under test reaches the server.
Ending the one process that holds the PID namespace ends all that runs in the box.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

_ENTER = r"""
set -eu
root=$1 box=$2
mount --bind "$root" "$box/root"
for place in etc var; do mount --bind "$box/$place" "$box/root/$place"; done
mount -t tmpfs -o mode=0755 tmpfs "$box/root/run"
mount -t tmpfs -o mode=1777 tmpfs "$box/root/tmp"
mount -t tmpfs -o mode=0755 tmpfs "$box/root/dev"
mount -t proc proc "$box/root/proc"
for node in null zero full random urandom; do
    : >"$box/root/dev/$node"
    mount --bind "/dev/$node" "$box/root/dev/$node"
done
ln -s /proc/self/fd "$box/root/dev/fd"
ln -s /proc/self/fd/1 "$box/root/dev/stdout"
ln -s /proc/self/fd/2 "$box/root/dev/stderr"
mount -o remount,bind,ro "$box/root"
shift 2
# This shell stays: it is the init of the PID namespace, and reaps.
for command; do
    chroot "$box/root" $command &
    wait $!
done
"""

_ACCOUNTS = """\
root 0 0 /root
mail 8 8 /var/mail
nobody 65534 65534 /nonexistent
postfix 201 201 /var/spool/postfix
dovecot 202 202 /nonexistent
dovenull 203 203 /nonexistent
vmail 204 204 /var/vmail
Debian-exim 205 205 /var/spool/exim4
opensmtpd 206 206 /var/lib/opensmtpd/empty
opensmtpq 207 207 /var/lib/opensmtpd/empty
"""


class Box:
    """One server's root, files and process."""

    def __init__(self, root: Path, place: Path) -> None:
        self.root = root
        self.place = place
        self._process: subprocess.Popen[bytes] | None = None
        for part in ("etc", "var"):
            shutil.copytree(root / part, place / part, symlinks=True)
        (place / "root").mkdir()
        (place / "var/log").mkdir(exist_ok=True)
        (place / "var/run").symlink_to("/run")
        accounts = [line.split() for line in _ACCOUNTS.splitlines()]
        self.write(
            "/etc/passwd",
            "".join(
                f"{name}:x:{uid}:{gid}::{home}:/bin/sh\n"
                for name, uid, gid, home in accounts
            ),
        )
        self.write(
            "/etc/group",
            "postdrop:x:208:\n"
            + "".join(f"{name}:x:{gid}:\n" for name, _, gid, _ in accounts),
        )
        self.write("/etc/hosts", "127.0.0.1 localhost\n")
        self.write("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1\n")
        self.write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")

    def file(self, path: str) -> Path:
        """Say where a file of the box's /etc or /var lies on the host."""
        return self.place / path.lstrip("/")

    def write(self, path: str, text: str | bytes, mode: int = 0o644) -> None:
        target = self.file(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode() if isinstance(text, str) else text)
        target.chmod(mode)

    def directory(self, path: str, uid: int, gid: int, mode: int = 0o755) -> None:
        self.file(path).mkdir(parents=True, exist_ok=True)
        self.file(path).chmod(mode)
        os.chown(self.file(path), uid, gid)

    def start(self, *commands: str) -> None:
        """Run commands in the box one after the other; the last is the server."""
        with (self.place / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [
                    # Whatever becomes of the tests, nothing outlives them.
                    *("setpriv", "--pdeathsig", "KILL"),
                    *("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL"),
                    *("sh", "-c", _ENTER, "box", str(self.root), str(self.place)),
                    *commands,
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
            )

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def wait_for_log(self, path: str, text: str, seconds: float = 20) -> str:
        """Wait until a log of the box holds a text; return the whole log."""
        deadline = time.monotonic() + seconds
        while text not in (log := self.log(path)):
            if time.monotonic() > deadline:
                raise AssertionError(f"{text!r} is not in the log:\n{log[-4000:]}")
            time.sleep(0.05)
        return log

    def log(self, path: str) -> str:
        try:
            return self.file(path).read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""
