"""The program under test as its callers see it: arguments, input, status, output."""

from __future__ import annotations

import itertools
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.peers.capture import Capture, Mail
from tests.peers.servers import PASSWORD, USER, Peer

CHECKOUT = Path(__file__).parents[2]

_numbers = itertools.count(1)


def fresh() -> str:
    """Make a word that no other test of this run uses."""
    return f"m{os.getpid()}-{next(_numbers)}"


@dataclass(frozen=True)
class Outcome:
    """What a run of the program left behind."""

    status: int
    stdout: str
    stderr: str
    kept: list[Path]


class Client:
    """Writes a configuration for one peer, and runs the commands of the checkout."""

    def __init__(
        self, peer: Peer, authority: Path, far_end: Capture, place: Path
    ) -> None:
        self.peer = peer
        self.authority = authority
        self.far_end = far_end
        self.place = place
        self.state = place / "state"
        self.state.mkdir(exist_ok=True)

    def configure(self, tls: str = "implicit", **keys: str | int | None) -> None:
        """Write ssmtp.conf; a key given as None is left out.

        `tls` is "implicit", "starttls" or "clear", each with its port of the peer.
        """
        port = getattr(self.peer, tls)
        settings: dict[str, str | int | None] = {
            "Root": "postmaster@example.org",
            "Hostname": "client.example.org",
            "Mailhub": f"localhost:{port}",
            "FromLineOverride": "yes",
            "UseTLS": "no" if tls == "clear" else "yes",
            "UseSTARTTLS": "yes" if tls == "starttls" else "no",
            "TLS_CA_File": str(self.authority),
            "AuthUser": USER,
            "AuthPass": f'"{PASSWORD}"',
        }
        settings.update(keys)
        self.write("".join(f"{k}={v}\n" for k, v in settings.items() if v is not None))

    @property
    def configuration(self) -> Path:
        return self.place / "ssmtp.conf"

    def write(self, text: str) -> None:
        """Write the configuration as it is given."""
        self.configuration.touch(0o600)
        self.configuration.write_text(text)

    def run(
        self, *arguments: str, message: bytes = b"", command: str = "sendmail"
    ) -> Outcome:
        """Run one of the checkout's commands, at most for two minutes."""
        done = subprocess.run(
            [str(CHECKOUT / "bin" / command), *arguments],
            input=message,
            capture_output=True,
            timeout=120,
            cwd=self.place,
            env={
                "HOME": str(self.place),
                "PATH": "/usr/bin:/bin",
                "SSMTP_CONF": str(self.configuration),
                "XDG_STATE_HOME": str(self.state),
            },
        )
        failed = self.state / "ssmtp" / "failed"
        return Outcome(
            done.returncode,
            done.stdout.decode("utf-8", "backslashreplace"),
            done.stderr.decode("utf-8", "backslashreplace"),
            sorted(failed.iterdir()) if failed.is_dir() else [],
        )

    def arrived(self, token: str) -> list[Mail]:
        """List what has come through for the token, once a later mail has, too.

        The peer works on what it was given in its own time. A mail that is handed in
        afterwards and has arrived shows that it had the time.
        """
        later = fresh()
        self.configure()
        sent = self.run("-i", f"{later}@example.net", message=b"Subject: later\n\n.\n")
        assert (0, "") == (sent.status, sent.stderr)
        self.far_end.wait(later)
        return self.far_end.to(token)
