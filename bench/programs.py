"""The programs that are measured: ours, and the peers as Debian ships them.

Each peer runs in a copy of the root that tests/peers/unpack.sh laid out for it, so
that its files in /etc and /var are its own and nothing of the system's is touched.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.sinks import PASSWORD, USER

CHECKOUT = Path(__file__).parents[1]
PYTHON = "/usr/bin/python3"
SENDER = "bob@example.org"
RECIPIENT = "ann@example.org"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


class Gone(Exception):
    """A program that cannot be run here, and why."""


class Road:
    """How to reach a mailhub: plain, starttls or tls, an address and a port."""

    def __init__(self, kind: str, host: str, port: int) -> None:
        self.kind = kind
        self.host = host
        self.port = port


class Outcome:
    """What came of one run: seconds, and what the program said."""

    def __init__(self, code: int, wall: float, cpu: float, said: str) -> None:
        self.code = code
        self.wall = wall
        self.cpu = cpu
        self.said = said


class Program:
    """A program in a root of its own, with a process that starts it."""

    name = ""
    title = ""
    package = ""  # what unpack.sh calls it
    kinds = ("plain", "starttls", "tls")
    delivers = True  # or it only hands the message to a queue

    def __init__(self, root: Path, messages: Path, authority: Path) -> None:
        self.root = root
        self.authority = authority
        self._starter = subprocess.Popen(
            [PYTHON, "-IS", str(CHECKOUT / "bench/starter.py"), root, messages],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        self.prepare()

    def prepare(self) -> None:
        """Write what does not depend on the road."""

    def configure(self, road: Road) -> list[str]:
        """Write the configuration for a road; return the words up to the recipients."""
        raise NotImplementedError

    def version(self) -> str:
        """Return its version, as its package has it."""
        for line in (self.root / ".archives").read_text().splitlines():
            name, version, _ = line.split("_")
            if name == self.package:
                return version.replace("%3a", ":")
        return "?"

    def run(
        self, argv: list[str], text: str, *, pipe: bool = False, most: float = 60
    ) -> Outcome:
        """Run it with the message of that name on standard input."""
        words = {"argv": argv, "env": self.env, "text": text, "pipe": pipe}
        return Outcome(**self._ask({**words, "most": most}))

    def _ask(self, words: dict[str, Any]) -> dict[str, Any]:
        assert self._starter.stdin is not None
        assert self._starter.stdout is not None
        self._starter.stdin.write(json.dumps(words) + "\n")
        self._starter.stdin.flush()
        answer = self._starter.stdout.readline()
        if not answer:
            raise Gone(f"{self.title} cannot be started in {self.root}")
        said: dict[str, Any] = json.loads(answer)
        return said

    def memory(self, argv: list[str], text: str, *, pipe: bool, most: float) -> int:
        """Run it under GNU time; return its peak of resident memory, in KiB.

        A process begins with the peak of its starter, and GNU time is a small one.
        """
        outcome = self.run(
            [self.gnu_time(), "-q", "-f", "%M", *argv], text, pipe=pipe, most=most
        )
        return int(outcome.said.split()[-1])

    def gnu_time(self) -> str:
        """Return the path of GNU time, as the program sees it."""
        return "/usr/bin/time"

    def write(self, path: str, text: str, mode: int = 0o600) -> None:
        """Write a file of its root."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def stop(self) -> None:
        """End the process that starts it."""
        self._starter.communicate()


class Ours(Program):
    """`bin/sendmail` of this checkout, with the system's Python."""

    name = "ours"
    title = "ours"

    def __init__(self, place: Path, messages: Path, authority: Path, time: str) -> None:
        self.place = place
        self._time = time
        super().__init__(Path("/"), messages, authority)

    def prepare(self) -> None:
        self.env["XDG_STATE_HOME"] = str(self.place)

    def gnu_time(self) -> str:
        return self._time

    def version(self) -> str:
        words = [str(CHECKOUT / "bin/sendmail"), "--version"]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        return said.split()[-1]

    def configure(self, road: Road) -> list[str]:
        conf = self.place / "ssmtp.conf"
        lines = [f"mailhub={road.host}:{road.port}", "FromLineOverride=yes"]
        if road.kind == "plain":
            lines += ["UseSTARTTLS=no"]
        else:
            lines += [
                "UseTLS=yes",
                f"UseSTARTTLS={'yes' if road.kind == 'starttls' else 'no'}",
                f"TLS_CA_File={self.authority}",
                f"AuthUser={USER}",
                f"AuthPass={PASSWORD}",
            ]
        conf.write_text("\n".join([*lines, ""]))
        conf.chmod(0o600)
        return [str(CHECKOUT / "bin/sendmail"), "-C", str(conf), "-f", SENDER]


class Peer(Program):
    """A program of Debian's, in a root that is a copy."""

    def __init__(
        self, unpacked: Path, place: Path, messages: Path, authority: Path
    ) -> None:
        pristine = unpacked / self.package
        if not (pristine / ".archives").exists():
            raise Gone(f"{self.title}: {pristine} is not there")
        root = place / self.package
        shutil.copytree(pristine, root, symlinks=True)
        for node, number in (("null", 3), ("zero", 5), ("urandom", 9)):
            path = root / "dev" / node
            os.mknod(path, 0o020666, os.makedev(1, number))
            path.chmod(0o666)
        super().__init__(root, messages, authority)

    def prepare(self) -> None:
        self.write("/etc/hosts", "127.0.0.1 localhost\n", 0o644)
        self.write("/etc/mailname", "client.example.org\n", 0o644)
        self.write("/etc/nsswitch.conf", "passwd: files\nhosts: files\n", 0o644)
        users = ("root:x:0:0::/root:/bin/sh", "mail:x:8:8::/var/mail:/bin/false")
        self.write("/etc/passwd", "\n".join([*users, ""]), 0o644)
        self.write("/etc/group", "root:x:0:\nmail:x:8:\n", 0o644)
        trusted = Path(BUNDLE).read_text() if Path(BUNDLE).exists() else ""
        self.write(BUNDLE, trusted + self.authority.read_text(), 0o644)
        self.write("/etc/bench/authority.pem", self.authority.read_text(), 0o644)


class Msmtp(Peer):
    name = title = package = "msmtp"
    trust = BUNDLE

    def configure(self, road: Road) -> list[str]:
        lines = ["account default", f"host {road.host}", f"port {road.port}"]
        if road.kind != "plain":
            lines += [
                "tls on",
                f"tls_starttls {'on' if road.kind == 'starttls' else 'off'}",
                f"tls_trust_file {self.trust}",
                "auth plain",
                f"user {USER}",
                f"password {PASSWORD}",
            ]
        self.write("/etc/msmtprc", "\n".join([*lines, ""]))
        return ["/usr/bin/msmtp", "-C", "/etc/msmtprc", "-f", SENDER]


class Classic(Peer):
    name = package = "ssmtp"
    title = "sSMTP"

    def configure(self, road: Road) -> list[str]:
        lines = [f"mailhub={road.host}:{road.port}", "FromLineOverride=yes"]
        if road.kind != "plain":
            lines += [
                "UseTLS=yes",
                f"UseSTARTTLS={'yes' if road.kind == 'starttls' else 'no'}",
                f"AuthUser={USER}",
                f"AuthPass={PASSWORD}",
            ]
        self.write("/etc/ssmtp/ssmtp.conf", "\n".join([*lines, ""]))
        return ["/usr/sbin/ssmtp", f"-f{SENDER}"]


class Dma(Peer):
    name = title = package = "dma"

    def configure(self, road: Road) -> list[str]:
        lines = [f"SMARTHOST {road.host}", f"PORT {road.port}"]
        if road.kind != "plain":
            lines += ["AUTHPATH /etc/dma/auth.conf", "SECURETRANSFER"]
        if road.kind == "starttls":
            lines += ["STARTTLS"]
        self.write("/etc/dma/dma.conf", "\n".join([*lines, ""]), 0o644)
        self.write("/etc/dma/auth.conf", f"{USER}|{road.host}:{PASSWORD}\n", 0o644)
        # In the foreground, so that it has delivered when it ends.
        return ["/usr/sbin/dma", "-D", "-f", SENDER]


class Nullmailer(Peer):
    name = package = "nullmailer"
    title = "nullmailer-inject"
    delivers = False

    def configure(self, road: Road) -> list[str]:
        self.write("/etc/nullmailer/me", "client.example.org\n", 0o644)
        self.write("/etc/nullmailer/remotes", f"{road.host} smtp\n")
        return ["/usr/bin/nullmailer-inject", "-f", SENDER]


class Postfix(Peer):
    name = package = "postfix"
    title = "Postfix sendmail"
    delivers = False

    def prepare(self) -> None:
        super().prepare()
        self.write("/etc/postfix/main.cf", "compatibility_level = 3.6\n", 0o644)
        self.write(
            "/etc/passwd",
            "root:x:0:0::/root:/bin/sh\npostfix:x:201:201::/var/spool/postfix:\n"
            "nobody:x:65534:65534::/:\n",
            0o644,
        )
        self.write(
            "/etc/group",
            "root:x:0:\npostfix:x:201:\npostdrop:x:208:\nnogroup:x:65534:\n",
            0o644,
        )
        for part, mode in (("maildrop", 0o730), ("public", 0o710), ("pid", 0o755)):
            path = self.root / "var/spool/postfix" / part
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(mode)
            os.chown(path, 0 if part == "pid" else 201, 208)

    def configure(self, road: Road) -> list[str]:
        return ["/usr/sbin/sendmail", "-f", SENDER]

    def gnu_time(self) -> str:
        raise Gone("GNU time is not in its root")


PEERS: tuple[type[Peer], ...] = (Msmtp, Classic, Dma, Nullmailer, Postfix)


def unpack(directory: Path) -> list[str]:
    """Fetch the peers from Debian into a private directory; return what went wrong."""
    names = [peer.package for peer in PEERS]
    if shutil.which("valgrind") is None:
        names.append("valgrind")
    troubles = {name: _unpack(directory, name) for name in names}
    if any(troubles.values()):
        # A new machine has no package lists yet.
        words = ["apt-get", "--quiet=2", "update"]
        subprocess.run(words, stdout=sys.stderr, check=False)
        for name in [name for name, trouble in troubles.items() if trouble]:
            troubles[name] = _unpack(directory, name)
    return [f"{name}: {trouble}" for name, trouble in troubles.items() if trouble]


def _unpack(directory: Path, name: str) -> str:
    done = subprocess.run(
        [str(CHECKOUT / "tests/peers/unpack.sh"), str(directory), name],
        check=False,
        stdout=sys.stderr,
        stderr=subprocess.PIPE,
        text=True,
    )
    words = done.stderr.strip().splitlines() or ["?"]
    return words[-1] if done.returncode else ""
