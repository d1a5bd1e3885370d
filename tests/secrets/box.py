"""A place to run commands in, and to collect every octet that they leave behind."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAUNCH = Path(__file__).with_name("launch.py")
USER = "wombat@corp.test"
PASSWORD = "Zx9-kängaroo w=t&%~Q7/+"
MESSAGE = b"From: a@corp.test\nTo: you@dest.test\nSubject: s\n\nbody\n"


def forms(secret: str, user: str = USER) -> dict[str, bytes]:
    """Return the forms of a secret that nobody may see."""
    octets = secret.encode()
    plain = base64.b64encode(f"\0{user}\0{secret}".encode())
    found = {
        "clear": octets,
        "base64": base64.b64encode(octets).rstrip(b"="),
        "PLAIN": plain.rstrip(b"="),
        "its end": plain[4 * ((len(user) + 4) // 3) :],
        "URL": urllib.parse.quote(secret).encode(),
        "URL, everything": urllib.parse.quote(secret, safe="").encode(),
        "URL, form": urllib.parse.quote_plus(secret).encode(),
        "hexadecimal": octets.hex().encode(),
        "JSON": json.dumps(secret)[1:-1].encode(),
        "repr": repr(octets)[2:-1].encode(),
        "escaped": secret.encode("unicode_escape"),
        "latin-1": secret.encode("latin-1"),
        "a part": octets[4:14],
        "bearer": base64.b64encode(
            f"user={user}\1auth=Bearer {secret}\1\1".encode()
        ).rstrip(b"="),
    }
    return {name: form for name, form in found.items() if len(form) >= 8}


class Box:
    """A private directory with a configuration, a failed store and a system log."""

    def __init__(self, tmp: Path) -> None:
        self.tmp = tmp
        self.given = tmp / "given"  # what holds the secret because we put it there
        self.left = tmp / "left"  # what the commands leave
        self.given.mkdir()
        self.left.mkdir()
        self.conf = self.given / "ssmtp.conf"
        self.log = self.left / "syslog"
        self.said = b""
        self.env = {"XDG_STATE_HOME": str(self.left / "state"), "TZ": "UTC0"}

    def configure(self, *lines: str, mode: int = 0o600) -> None:
        common = ("hostname=box.test", f"LogFile={self.left / 'log'}")
        self.conf.write_text("\n".join((*lines, *common)) + "\n", encoding="utf-8")
        self.conf.chmod(mode)

    def words(self, *args: str, name: str = "sendmail", bug: str = "-") -> list[str]:
        """Return the command line of one of the commands."""
        launch = [sys.executable, "-IS", str(LAUNCH), str(ROOT / "src")]
        conf = [] if name == "ssmtpctl" else ["-C", str(self.conf)]
        what = "-" if bug == "-" else PASSWORD
        return [*launch, str(self.log), bug, what, f"/bin/{name}", *conf, *args]

    def run(
        self,
        *args: str,
        text: bytes = MESSAGE,
        name: str = "sendmail",
        bug: str = "-",
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end, and remember what it said."""
        done = subprocess.run(
            self.words(*args, name=name, bug=bug),
            input=text,
            capture_output=True,
            env=self.env,
            cwd=self.left,
            timeout=30,
        )
        self.said += done.stdout + done.stderr
        assert b"Traceback" not in done.stderr
        return done

    def kept(self) -> list[Path]:
        folder = self.left / "state" / "ssmtp" / "failed"
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def everything(self) -> bytes:
        """Return every octet that was printed, logged or written to a file."""
        files = [path for path in self.left.rglob("*") if path.is_file()]
        return self.said + b"\n".join(path.read_bytes() for path in files)

    def check(self, secret: str = PASSWORD, *more: bytes) -> None:
        """Raise unless the secret is nowhere, in no form."""
        everything = self.everything()
        assert everything
        lower = everything.lower()
        for name, form in forms(secret).items():
            assert form not in everything, name
            assert form.lower() not in lower, name
        for line in filter(None, more):
            assert line not in everything, line
