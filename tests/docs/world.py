"""A machine for recipes: an /etc, a network and names of its own, in namespaces.

`unshare --mount --net` starts `python -m tests.docs.world NAMESPACE`, with the name of
the mount namespace outside. It plays each recipe of docs/configuration.md with its
trial of `trials`, names and ports as they stand in the page, and prints for each
heading what went wrong, as JSON. Nothing of the machine around it is changed: all that
is mounted here is gone with the process.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

from tests import hub
from tests.certificates import CHAINS, Certificates
from tests.docs import pages

PAGE = pages.ROOT / "docs" / "configuration.md"
RECIPE = re.compile(r"^```(ini|console) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
USERS = {"root": 0, "www-data": 33, "backup": 34, "ann": 1000, "you": 1001}
MAIL = "To: ann@example.net\nSubject: test\n\nIt works.\n"
COPIED = ("ld.so.cache", "localtime", "alternatives", "ssl/openssl.cnf")


def sections(text: str) -> dict[str, str]:
    """Return the sections of the page that hold a recipe, by heading."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return {heading: part for heading, part in pairs if RECIPE.search(part)}


class Provider(hub.Hub):
    """A mailhub with a name and a port, as a provider runs it."""

    def __init__(self, world: World, name: str, port: int, **more: object) -> None:
        super().__init__(**more)  # type: ignore[arg-type]
        self.port, self.host = port, world.address(name)
        if self.tls != "none" and self.context is None:
            self.context = world.certificates(name)

    def start(self) -> None:
        self.listener = socket.create_server((self.host, self.port))
        threading.Thread(target=self._accept, daemon=True).start()


class World:
    """A machine with nothing but a recipe on it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.etc, self.home = place / "etc", place / "home"
        self.public = Certificates(place)
        self.hubs: list[hub.Hub] = []
        self.names: dict[str, str] = {}
        self.environ: dict[str, str] = {}
        for path in (self.etc, self.home, place / "bin"):
            path.mkdir()
        self._settle()

    def _settle(self) -> None:
        for name in COPIED:
            source, target = Path("/etc", name), self.etc / name
            target.parent.mkdir(exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True)
            elif source.exists():
                shutil.copy(source, target)
        (self.etc / "ssl" / "certs").mkdir(parents=True)
        (self.etc / "nsswitch.conf").write_text("passwd: files\nhosts: files\n")
        (self.etc / "group").write_text("mail:x:0:\nssmtp:x:0:\n")
        _mount(self.etc, "/etc")
        _mount(None, "/run")
        _mount(None, "/var/spool")
        _loopback()

    def clean(self, heading: str) -> None:
        """Be a machine that has nothing to do with the recipe before."""
        for one in self.hubs:
            one.stop()
        self.hubs, self.environ = [], {}
        for place in (self.etc / "ssmtp", self.home, Path("/run"), Path("/var/spool")):
            place.mkdir(exist_ok=True)
            for path in place.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.log_in("you")
        self.state = self.place / re.sub(r"\W+", "-", heading)

    def log_in(self, login: str) -> None:
        """Make the uid that everything runs as the one of this login."""
        rows = [f"{login}:x:0:0::{self.home}:/bin/sh\n"]
        rows += [f"{n}:x:{uid}:{uid}::/:/bin/sh\n" for n, uid in USERS.items()]
        (self.etc / "passwd").write_text("".join(rows))

    def address(self, name: str) -> str:
        """Return the address of a host, which exists from now on."""
        self.names.setdefault(name, f"127.0.0.{len(self.names) + 2}")
        rows = [f"{address} {host}\n" for host, address in self.names.items()]
        (self.etc / "hosts").write_text("127.0.0.1 localhost\n" + "".join(rows))
        return self.names[name]

    def certificates(self, name: str, of: Certificates | None = None) -> ssl.SSLContext:
        """Return the TLS context of a host, of the authority that all trust."""
        CHAINS[name] = lambda authority: authority.issue(name)
        return (of or self.public).context(name)

    def provider(self, name: str, port: int, **more: object) -> Provider:
        """Start a mailhub."""
        made = Provider(self, name, port, **more)
        made.start()
        self.hubs.append(made)
        return made

    def lay(self, path: str, text: str) -> None:
        """Write a file of the recipe."""
        place = Path(path.replace("~", str(self.home), 1))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(0o640)

    def follow(self, text: str) -> None:
        """Lay the files of a recipe down and type its commands, in order."""
        for kind, name, content in RECIPE.findall(text):
            if kind == "ini":
                self.lay(name, content)
                continue
            assert name == "recipe", f"{kind} {name} is not run by anything"
            for command, expected in pages.commands(content):
                done = self.run(["bash", "-c", command])
                said = (done.stdout + done.stderr).decode()
                assert 0 == done.returncode, f"$ {command}\n{said}"
                assert pages.is_like(expected, said), f"$ {command}\n{said}"

    def run(
        self, command: list[str], text: str = ""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command as the user who is logged in."""
        return subprocess.run(
            command,
            input=text.encode(),
            capture_output=True,
            env=self.env(),
            timeout=30,
        )

    def env(self) -> dict[str, str]:
        """Return the environment of commands."""
        return {
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "PATH": f"{self.place / 'bin'}:{pages.ROOT / 'bin'}:/usr/bin:/bin",
            "SSL_CERT_FILE": self.public.text("authority"),
            "XDG_STATE_HOME": str(self.state),
            **self.environ,
        }

    def send(self, *words: str, text: str = MAIL) -> tuple[int, str]:
        """Send a mail; return the exit code and what was said."""
        done = self.run(["sendmail", *(words or ("-t",))], text)
        return done.returncode, done.stderr.decode()

    def command(self, name: str, script: str) -> None:
        """Put a command into the path, for AuthPassCommand."""
        path = self.place / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


def _mount(source: Path | None, target: str) -> None:
    words = ["--bind", str(source)] if source else ["-t", "tmpfs", "none"]
    subprocess.run(["mount", *words, target], check=True)


def _loopback() -> None:
    """Bring the loopback interface up (netdevice(7): SIOCSIFFLAGS, IFF_UP)."""
    with socket.socket() as any_one:
        request = struct.pack("16sH14x", b"lo", 1)
        fcntl.ioctl(any_one, 0x8914, request)


def main(arguments: list[str]) -> int:
    from tests.docs.trials import TRIALS

    found: dict[str, str | None] = {}
    os.umask(0o022)
    if os.readlink("/proc/self/ns/mnt") in arguments or not arguments:
        return 64  # never lay an /etc over somebody's own
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for heading, text in sections(PAGE.read_text("utf-8")).items():
            try:
                world.clean(heading)
                TRIALS[heading](world, text)
            except Exception:
                found[heading] = traceback.format_exc()
            else:
                found[heading] = None
    json.dump(found, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
