"""An agent and users of one machine, each with a real uid of its own. Needs root.

The agent is `ssmtpctl agent run` as the user `AGENT`, with a copy of the program that
everybody may read. Each user finds it as on a real machine, by a directory of his own.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
AGENT, ANN, BOB = 64101, 64102, 64103
PASSWORD = "pass word#=:1"

# What a user can do without any program of ours: octets to the socket, octets back.
TALK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as peer:
    peer.settimeout(20)
    peer.connect(sys.argv[1])
    peer.sendall(sys.stdin.buffer.read())
    peer.shutdown(socket.SHUT_WR)
    while block := peer.recv(65536):
        sys.stdout.buffer.write(block)
"""


class Town:
    """The machine: `base` is its root directory, `lines` are those of the agent."""

    def __init__(self, port: int, *lines: str) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="ssmtp-town-"))
        self.base.chmod(0o755)
        for name in ("bin", "src"):
            shutil.copytree(
                ROOT / name,
                self.base / name,
                symlinks=True,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        self.run = self._directory("run", AGENT, 0o755)
        self.spool = self._directory("spool", AGENT, 0o700)
        self.submit = self.run / "submit.sock"
        for user in (ANN, BOB):
            place = self._directory(f"user-{user}", user, 0o700)
            (place / "ssmtp").symlink_to(self.run)
            self._directory(f"state-{user}", user, 0o700)
        self._directory(f"user-{AGENT}", AGENT, 0o700).joinpath("ssmtp").symlink_to(
            self.run
        )
        self.conf = self.base / "agent.conf"
        self.configure(port, *lines)
        self.process: subprocess.Popen[bytes] | None = None
        self.log = self.base / "log"

    def configure(self, port: int, *lines: str) -> None:
        """Write the agent's configuration, with a password that users cannot read."""
        usual = (
            f"mailhub=127.0.0.1:{port}",
            "hostname=box.test",
            "rewriteDomain=example.org",
            "root=admin@example.org",
            "AuthUser=me",
            f"AuthPass={PASSWORD}",
        )
        self.conf.write_text("".join(f"{line}\n" for line in (*usual, *lines)))
        os.chown(self.conf, 0, AGENT)
        self.conf.chmod(0o640)

    def _directory(self, name: str, owner: int, mode: int) -> Path:
        path = self.base / name
        path.mkdir()
        os.chown(path, owner, owner)
        path.chmod(mode)
        return path

    def start(self) -> None:
        """Start the agent, and wait until both halves work."""
        program = self.base / "bin" / "ssmtpctl"
        paths = ["-C", self.conf, "--spool", self.spool, "--listen", self.submit]
        with self.log.open("ab") as log:
            self.process = self._popen(
                AGENT,
                [program, "agent", "run", *paths],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + 20
        while not self._works():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            select.select([], [], [], 0.02)

    def _works(self) -> bool:
        """Whether the acceptor answers, and the sender has found it."""
        if not self.submit.exists():
            return False
        said = self.talk(AGENT, b"EHLO x\r\nXSTATUS\r\nQUIT\r\n")
        return b'"sender": "connected"' in said

    def stop(self) -> int:
        """End the agent in order."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.base)

    def halves(self) -> dict[str, int]:
        """Return the process ids of the halves that run: acceptor, sender."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        found = {}
        for pid in map(int, children.read_text().split()):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"accept" in words:
                found["acceptor"] = pid
            elif b"send" in words:
                found["sender"] = pid
        return found

    def _popen(
        self, uid: int, words: list[Any], **more: Any
    ) -> subprocess.Popen[bytes]:
        env = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.base / "nobody-s-home"),
            "XDG_STATE_HOME": str(self.base / f"state-{uid}"),
            "XDG_RUNTIME_DIR": str(self.base / f"user-{uid}"),
            **more.pop("env", {}),
        }
        more.setdefault("cwd", "/")
        return subprocess.Popen(
            words, user=uid, group=uid, extra_groups=[], env=env, **more
        )

    def call(
        self, uid: int, *words: Any, text: bytes = b"", **more: Any
    ) -> tuple[int, str, str]:
        """Run a command as a user; return exit code, output and errors."""
        process = self._popen(
            uid,
            list(words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **more,
        )
        out, err = process.communicate(text, timeout=50)
        return (
            process.returncode,
            out.decode("utf-8", "replace"),
            err.decode("utf-8", "replace"),
        )

    def sendmail(
        self,
        uid: int,
        *words: str,
        text: bytes = b"Subject: hi\n\nhello\n",
        **more: Any,
    ) -> tuple[int, str, str]:
        return self.call(uid, self.base / "bin/sendmail", *words, text=text, **more)

    def ctl(self, uid: int, *words: str, **more: Any) -> tuple[int, str, str]:
        return self.call(uid, self.base / "bin/ssmtpctl", *words, **more)

    def talk(self, uid: int, octets: bytes) -> bytes:
        """Say octets to the submit socket as a user; return what comes back."""
        process = self._popen(
            uid,
            ["/usr/bin/python3", "-IS", "-c", TALK, str(self.submit)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        return process.communicate(octets, timeout=50)[0]

    def queued(self, place: str = "queue") -> list[Path]:
        return sorted((self.spool / place).iterdir())
