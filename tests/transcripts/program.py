"""Runs a transcript end to end: the real command, with a written configuration."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import Certificates
from tests.transcripts import play

ROOT = Path(__file__).parents[2]
SENDMAIL = ROOT / "bin" / "sendmail"
PASSWORD = "s3cret-word"
# The password as it is, in base64, and as PLAIN has it.
SECRETS = (b"s3cret-word", b"czNjcmV0LXdvcmQ", b"AHVzZXIAczNjcmV0LXdvcmQ")
LIMIT = 25.0  # seconds for a run; its own time-outs are far below


@dataclass
class Run:
    """What the caller of the command saw, and what is left behind."""

    exit_code: int
    stderr: str
    kept: list[Path]


def configuration(transcript: play.Transcript, certificates: Certificates) -> list[str]:
    """Return the lines of ssmtp.conf for a transcript, its `${names}` filled in."""
    rows = [
        re.sub(r"\$\{([a-z-]+)\}", lambda name: certificates.text(name[1]), row)
        for row in transcript.config
    ]
    if not any(row.startswith("TLS_CA_") for row in rows):
        rows.append(f"TLS_CA_File={certificates.text('authority')}")
    return rows


def run(
    transcript: play.Transcript,
    certificates: Certificates,
    directory: Path,
    python: str | None = None,
    environment: dict[str, str] | None = None,
) -> Run:
    """Send the message of a transcript with bin/sendmail to a mailhub that plays it.

    `python` is another interpreter than the one that the command names itself. Raises
    `play.Mismatch` for what the client did against the transcript, and asserts that the
    password is nowhere.
    """
    hub = play.Mailhub(transcript, certificates.context, exact=False)
    rows = [
        f"Mailhub={transcript.host}:{hub.port}",
        "Hostname=client.test",
        "FromLineOverride=Yes",
        f"ConnectTimeout={transcript.seconds}",
        f"CommandTimeout={transcript.seconds}",
        f"DataTimeout={transcript.seconds}",
        *configuration(transcript, certificates),
    ]
    if transcript.host != "127.0.0.1":
        rows[0] = f"Mailhub={transcript.host}:2525"
        rows.append(f"Proxy=http://127.0.0.1:{hub.port}")
    path = directory / "ssmtp.conf"
    path.write_text("\n".join(rows) + "\n")
    path.chmod(0o600)
    options = {"notify": "-N", "ret": "-R", "envid": "-V"}
    words = [str(SENDMAIL), "-C", str(path), "-i", "-f", "s@example.org"]
    for name, value in transcript.envelope.items():
        words += [options[name], value]
    command = [*words, "--", *transcript.recipients]
    if python is not None:
        command[:1] = [python, "-IS", str(SENDMAIL)]
    state = directory / "state"
    done = subprocess.run(
        command,
        input=(play.HEADER + transcript.body).replace(b"\r\n", b"\n"),
        capture_output=True,
        timeout=LIMIT,
        cwd="/",
        env={
            "XDG_STATE_HOME": str(state),
            "PATH": os.environ["PATH"],
            **(environment or {}),
        },
    )
    hub.finish()
    folder = state / "ssmtp" / "failed"
    kept = sorted(folder.iterdir()) if folder.is_dir() else []
    assert not done.stdout, done.stdout
    if transcript.never_sent:
        assert play.MARK not in hub.seen, "the body left the client"
    for text in (done.stderr, *(file.read_bytes() for file in kept)):
        assert not any(secret in text for secret in SECRETS), text
    return Run(done.returncode, done.stderr.decode("utf-8"), kept)


def judge(transcript: play.Transcript, run: Run) -> None:
    """Assert that what came of it is what the transcript expects.

    Besides: success is silent, a failure is one sentence that can be shown, and the
    message is kept whole unless the mailhub has it.
    """
    assert (transcript.exit_code, run.stderr) == (run.exit_code, run.stderr)
    if not run.exit_code:
        assert run.stderr == ""
        assert run.kept == []
        return
    line, end = run.stderr[:-1], run.stderr[-1:]
    assert end == "\n"
    assert line.startswith("sendmail: ")
    assert line.isprintable()
    for text in transcript.said:
        assert text in line
    assert len(run.kept) == 1
    assert play.MARK in run.kept[0].read_bytes()
