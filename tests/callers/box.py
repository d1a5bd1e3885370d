"""A machine of its own for each caller: the root of root.sh, our commands, a mailhub.

The machine consists of namespaces (mounts, processes, network, host name), so that its
loopback, its /dev/log and its daemons are its own. What is written lies in memory. All
of it is gone, with everything that runs in it, when its first process is killed.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shlex
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.callers.relay import PASSWORD, USER, Mail, Relay

T = TypeVar("T")
CHECKOUT = Path(__file__).parents[2]
BEGIN = Path(__file__).parent / "begin.sh"
SECONDS = 30
PORT = 587

FILES = {
    "/etc/hosts": "127.0.0.1 localhost\n127.0.0.1 mail.example.org\n"
    "127.0.1.1 box.example.org box\n",
    "/etc/resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
    "/etc/hostname": "box\n",
    "/etc/mailname": "example.org\n",
    "/etc/ssmtp/revaliases": "",
    "/etc/ssmtp/ssmtp.conf": "root=admin@example.org\n"
    f"mailhub=mail.example.org:{PORT}\n"
    "rewriteDomain=example.org\n"
    "FromLineOverride=yes\n"
    "TLS_CA_File=/etc/ssl/box.pem\n"
    f"AuthUser={USER}\nAuthPass={PASSWORD}\n",
}


@dataclass(frozen=True)
class Done:
    """What came of a command."""

    status: int
    output: str


class Box:
    """The machine while it runs; `stop` it."""

    def __init__(
        self, layers: list[Path], place: Path, relay: Relay, ca: bytes
    ) -> None:
        self.relay = relay
        self.log: list[str] = []
        self._silent: socket.socket | None = None
        lower = ":".join(map(str, layers))
        self._process = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid"),
                *("--net", "--uts", "--ipc", "--fork", "--kill-child=KILL"),
                *("sh", str(BEGIN), lower, str(place)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdout
        said = self._process.stdout.readline()
        assert b"ready\n" == said, said + self._process.stdout.read()
        parent = self._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
        self.pid = int(children.split()[0])
        self._in_network(_raise_loopback)
        self._syslog = self._listen_to_syslog()
        for path, text in FILES.items():
            self.write(path, text)
        self.write("/etc/ssl/box.pem", ca)
        self.path("/etc/ssmtp/ssmtp.conf").chmod(0o640)
        for path in ("/etc/ssmtp", "/etc/ssmtp/ssmtp.conf"):
            os.chown(self.path(path), 0, 8)
        self._let_all_send()
        self.hub_comes_back()

    def _let_all_send(self) -> None:
        """Make all users members of the group that reads the configuration."""
        accounts = self.path("/etc/passwd").read_text().splitlines()
        names = ",".join(account.split(":")[0] for account in accounts)
        group = self.path("/etc/group").read_text()
        self.write("/etc/group", group.replace("\nmail:x:8:", f"\nmail:x:8:{names}", 1))

    def stop(self) -> None:
        """End all that runs."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()
        self._syslog.shutdown(socket.SHUT_RDWR)
        if self._silent:
            self._silent.close()

    def path(self, path: str) -> Path:
        """Say where the test finds a file of the machine (no absolute link)."""
        return Path(f"/proc/{self.pid}/root") / path.lstrip("/")

    def write(
        self, path: str, text: str | bytes, user: str = "root", mode: int | None = None
    ) -> None:
        """Write a file, for a user, with the directories that it needs."""
        target = self.path(path)
        uid, gid = self.ids(user)
        for directory in [*reversed(target.parents)]:
            if not directory.exists():
                directory.mkdir()
                os.chown(directory, uid, gid)
        target.write_bytes(text.encode() if isinstance(text, str) else text)
        os.chown(target, uid, gid)
        if mode is not None:
            target.chmod(mode)

    def ids(self, user: str) -> tuple[int, int]:
        """Return uid and gid of a user of the machine."""
        uid, gid, _ = self._account(user)
        return uid, gid

    def home(self, user: str) -> str:
        """Return the home directory of a user of the machine."""
        return self._account(user)[2]

    def _account(self, user: str) -> tuple[int, int, str]:
        for line in self.path("/etc/passwd").read_text().splitlines():
            name, _, uid, gid, _, home, _ = line.split(":")
            if name == user:
                return int(uid), int(gid), home
        raise KeyError(user)

    def run(
        self,
        command: str,
        *,
        user: str = "you",
        stdin: bytes = b"",
        environ: Mapping[str, str] | None = None,
        seconds: float = SECONDS,
    ) -> Done:
        """Run a command of the shell; output and errors are one text."""
        done = subprocess.run(
            [*self._entered(user, environ), "sh", "-c", command],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
        )
        return Done(done.returncode, done.stdout.decode("utf-8", "replace"))

    def _entered(self, user: str, environ: Mapping[str, str] | None) -> list[str]:
        home = self.home(user)
        here = home if self.path(home).is_dir() else "/"
        path = "/usr/local/bin:/usr/bin:/bin"
        variables = {
            "HOME": home,
            "LANG": "C.UTF-8",
            "LOGNAME": user,
            "PATH": f"/usr/local/sbin:/usr/sbin:/sbin:{path}"
            if user == "root"
            else path,
            "SHELL": "/bin/sh",
            "TERM": "dumb",
            "USER": user,
        }
        variables = variables if environ is None else dict(environ)
        groups = ["--init-groups"] if user != "root" else ["--clear-groups"]
        return [
            *("nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--uts"),
            *("--ipc", "--root", "setpriv", f"--reuid={user}", f"--regid={user}"),
            *(*groups, "env", "-i", "-C", here),
            *(f"{name}={value}" for name, value in variables.items()),
        ]

    def starts_agent(self) -> None:
        """Let an agent send the mail of all, and nobody else read the password."""
        self.path("/etc/ssmtp/ssmtp.conf").chmod(0o600)
        run = "ssmtpctl agent run --user root >/run/agent.log 2>&1 </dev/null &"
        self.run(run, user="root")
        self.until(lambda: "sender.sock" in self.run("ls /run/ssmtp").output)

    def hub_goes_away(self) -> None:
        """Let nobody listen at the mailhub's port."""
        self.relay.close()

    def hub_falls_silent(self) -> None:
        """Let the mailhub take connections, and never say a word."""
        self.hub_goes_away()
        self._silent = self._in_network(_listen)

    def hub_comes_back(self) -> None:
        """Let the mailhub take mail."""
        self.relay.open(self._in_network(_listen))

    def arrived(self, count: int = 1, seconds: float = SECONDS) -> list[Mail]:
        """Return all that arrived, when nobody is sending any more."""
        self.relay.wait(count, seconds)
        self.until(lambda: not self.sending())
        return self.relay.wait(0, 0)

    def sending(self) -> list[str]:
        """List the command lines of ours that still run."""
        found = []
        for process in self.path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = process.read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if b"python3" in words[0] and any(b"sendmail" in word for word in words):
                found.append(shlex.join(word.decode() for word in words))
        return found

    def until(self, is_so: Callable[[], object], seconds: float = SECONDS) -> None:
        """Wait for something that is the case soon."""
        deadline = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < deadline, f"waited in vain; log: {self.log}"
            time.sleep(0.02)

    def _listen_to_syslog(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(str(self.path("/dev/log")))
        self.path("/dev/log").chmod(0o666)

        def listen() -> None:
            while said := listener.recv(65536):
                text = said.decode("utf-8", "replace").strip("\0\n")
                self.log.append(text.partition(">")[2])
            listener.close()

        threading.Thread(target=listen, daemon=True).start()
        return listener

    def _in_network(self, work: Callable[[], T]) -> T:
        """Do something in the machine's network, of which sockets remain a part."""
        made: list[T] = []

        def enter() -> None:
            # The whole of a thread moves, and no other (setns(2)).
            network = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
            try:
                assert 0 == ctypes.CDLL(None).setns(network, 0)
                made.append(work())
            finally:
                os.close(network)

        mover = threading.Thread(target=enter)
        mover.start()
        mover.join()
        return made[0]


def _listen() -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", PORT))
    listener.listen()
    return listener


def _raise_loopback() -> None:
    """Set IFF_UP and IFF_RUNNING (netdevice(7))."""
    with socket.socket() as control:
        request = struct.pack("16sh22x", b"lo", 0x1 | 0x40)
        fcntl.ioctl(control, 0x8914, request)
