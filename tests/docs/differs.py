"""ssmtp in a directory of its own, to try what docs/differences.md says of it.

A check is registered under the first cell of its row: what the classic does.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.certificates import Certificates
from tests.docs.pages import ROOT
from tests.hub import Hub, Mail
from tests.secrets.box import LAUNCH

MAIL = "Subject: x\n\nbody\n"
Check = Callable[["Ours"], None]
CHECKS: dict[str, Check] = {}


def differs(row: str) -> Callable[[Check], Check]:
    """Register a check for the row of the page that begins with this cell."""

    def registered(check: Check) -> Check:
        assert row not in CHECKS
        CHECKS[row] = check
        return check

    return registered


class Done:
    """What a run came to."""

    def __init__(self, done: subprocess.CompletedProcess[bytes]) -> None:
        self.code = done.returncode
        self.out = done.stdout.decode()
        self.err = done.stderr.decode()


class Ours:
    """A place with a configuration, mailhubs, a system log and what is kept."""

    def __init__(self, place: Path, certificates: Certificates) -> None:
        self.place = place
        self.certificates = certificates
        self.conf = place / "ssmtp.conf"
        self.log = place / "syslog"
        self.hubs: list[Hub] = []
        self.env = {
            "HOME": str(place / "home"),
            "PATH": "/usr/bin:/bin",
            "XDG_STATE_HOME": str(place / "state"),
        }

    def hub(self, *conf: str, where: str = "", **more: object) -> Hub:
        """Start a mailhub, and write a configuration that leads to it."""
        made = Hub(**more)  # type: ignore[arg-type]
        made.start()
        self.hubs.append(made)
        self.configure(f"mailhub={where or '127.0.0.1'}:{made.port}", *conf)
        return made

    def configure(self, *lines: str, mode: int = 0o600, end: str = "\n") -> None:
        text = end.join(("hostname=box.test", *lines)) + end
        self.conf.write_text(text, encoding="utf-8", newline="")
        self.conf.chmod(mode)

    def words(self, *args: str, name: str = "sendmail", conf: bool = True) -> list[str]:
        launch = [sys.executable, "-IS", str(LAUNCH), str(ROOT / "src"), str(self.log)]
        named = ["-C", str(self.conf)] if conf else []
        return [*launch, "-", "-", f"/bin/{name}", *named, *args]

    def run(
        self,
        *args: str,
        text: str | bytes = MAIL,
        name: str = "sendmail",
        conf: bool = True,
    ) -> Done:
        """Run a command to its end."""
        done = subprocess.run(
            self.words(*args, name=name, conf=conf),
            input=text.encode() if isinstance(text, str) else text,
            capture_output=True,
            env=self.env,
            cwd=self.place,
            timeout=30,
        )
        assert b"Traceback" not in done.stderr
        return Done(done)

    def sent(self, *args: str, text: str | bytes = MAIL) -> Mail:
        """Send a mail, which arrives at the first mailhub."""
        done = self.run(*(args or ("a@b.test",)), text=text)

        assert (0, "") == (done.code, done.err)
        assert self.hubs[0].mails
        return self.hubs[0].mails[-1]

    def refused(self, code: int, *args: str, text: str | bytes = MAIL) -> str:
        """Send a mail, which does not arrive; return what is said."""
        done = self.run(*(args or ("a@b.test",)), text=text)

        assert code == done.code, done.err
        assert not any(hub.mails for hub in self.hubs)
        return done.err

    def explained(self, *conf: str) -> str:
        """Return what `ssmtpctl explain` says for a configuration."""
        self.configure(*conf)
        words = ("explain", "--", "-C", str(self.conf), "a@b.test")
        done = self.run(*words, name="ssmtpctl", conf=False)

        assert 0 == done.code, done.err
        return done.out

    def kept(self) -> list[Path]:
        return sorted(self.place.glob("state/ssmtp/failed/*"))

    def close(self) -> None:
        for hub in self.hubs:
            hub.stop()


def rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of the page's tables of differences."""
    inside = False
    for line in text.splitlines():
        if not line.startswith("| "):
            inside = False
            continue
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if cells[0] == "classic sSMTP":
            inside = True
        elif inside and not cells[0].startswith("---"):
            yield cells
