"""The option table, as a caller of the commands meets it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ssmtp
from ssmtp.errors import EXIT_CODES
from ssmtp.options import TABLE
from tests.hub import Hub, running

ROOT = Path(__file__).parents[2]
BIN = ROOT / "bin"
MAN = ROOT / "docs" / "man"


def run(name: str, *args: str, text: str = "", **more) -> subprocess.CompletedProcess:
    """Call one of the commands as a program would."""
    more.setdefault("env", {})
    return subprocess.run(
        [BIN / name, *args],
        input=text.encode(),
        capture_output=True,
        timeout=30,
        cwd="/",
        **more,
    )


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "ssmtp.conf"
    path.write_text("Mailhub=127.0.0.1:9\nRewriteDomain=corp.test\n")
    return path


@pytest.mark.parametrize("name", ["ssmtp", "sendmail", "mailq", "newaliases"])
def test_help(name):
    """--help goes to standard output, begins with examples and exits 0."""
    done = run(name, "--help")

    assert (0, b"") == (done.returncode, done.stderr)
    assert done.stdout.startswith(b"Examples:\n")
    for row in TABLE:
        assert f"  -{row.name}".encode() in done.stdout


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(option):
    """--version, and -V alone, print the version on standard output."""
    done = run("sendmail", option)

    assert (0, b"") == (done.returncode, done.stderr)
    assert f"ssmtp {ssmtp.__version__}\n".encode() == done.stdout


@pytest.mark.parametrize(
    "args",
    [
        ["-bd"],
        ["-bt"],
        ["-bz"],
        ["-z", "a@b.example"],
        ["--frobnicate"],
        ["a@b.example", "-am"],
        ["-N", "sometimes", "a@b.example"],
        ["-f", "-t"],
    ],
)
def test_refused(args):
    """A wrong option is refused with 64 and one sentence, before anything is read."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stdin, os.fdopen(writing, "wb"):
        # The pipe stays open and empty: whoever reads from it waits for ever.
        done = subprocess.run(
            [BIN / "sendmail", *args], stdin=stdin, capture_output=True, timeout=20
        )

    assert (64, b"") == (done.returncode, done.stdout)
    assert done.stderr.startswith(b"sendmail: ")
    assert 1 == done.stderr.count(b"\n")


@pytest.mark.parametrize("args", [[], ["-i"], ["-oi", "-v"], ["-V", "a@b.example"]])
def test_nobody_to_send_to(args, conf, tmp_path):
    """Without a recipient nothing is sent, and the exit code says so."""
    env = {"XDG_STATE_HOME": str(tmp_path)}
    done = run("sendmail", f"-C{conf}", *args, text="Subject: s\n\nb\n", env=env)

    assert 64 == done.returncode
    assert done.stderr


@pytest.mark.parametrize(
    "call", [("newaliases",), ("sendmail", "-bi"), ("sendmail", "-I")]
)
def test_newaliases(call):
    """newaliases does nothing, successfully and silently, without a configuration."""
    done = run(*call)

    assert (0, b"", b"") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("call", [("mailq",), ("sendmail", "-bp"), ("ssmtp", "-bp")])
def test_mailq(call, tmp_path):
    """mailq lists what is kept, on standard output and without a configuration."""
    done = run(*call, env={"XDG_STATE_HOME": str(tmp_path)})

    assert (0, b"") == (done.returncode, done.stderr)
    # Whoever runs the tests may have kept mail of their own below /var/tmp.
    assert done.stdout.startswith((b"Mail queue is empty\n", b"-Queue ID-"))


@pytest.mark.parametrize(
    "args",
    [
        ["-X", "{file}"],
        ["-X{file}"],
        ["-D{file}"],
        ["-oQ{dir}"],
        ["-oA{file}"],
        ["-O", "QueueDirectory={dir}"],
        ["-OLogFile={file}"],
    ],
)
def test_options_write_no_file(args, conf, tmp_path):
    """Options that name files are ignored: nothing is written where they say."""
    with running(Hub()) as hub:
        conf.write_text(f"Mailhub=127.0.0.1:{hub.port}\nRewriteDomain=corp.test\n")
        place = tmp_path / "web"
        place.mkdir()
        words = [word.format(file=place / "shell.php", dir=place) for word in args]
        done = run("sendmail", f"-C{conf}", *words, "a@b.example", text="<?php ?>\n")

    assert (0, b"") == (done.returncode, done.stderr)
    assert [] == list(place.iterdir())
    assert [["a@b.example"]] == [mail.recipients for mail in hub.mails]


def test_password_option_leaves_no_trace(conf, tmp_path):
    """A password of -ap is not in the output and not in what is kept."""
    state = tmp_path / "state"
    done = run(
        "sendmail",
        f"-C{conf}",
        "-v",
        "-auuser",
        "-ap",
        "hunter2#",
        "a@b.example",
        text="Subject: s\n\nb\n",
        env={"XDG_STATE_HOME": str(state)},
    )
    kept = [path.read_bytes() for path in state.rglob("*") if path.is_file()]

    assert 75 == done.returncode
    assert kept
    for octets in (done.stdout, done.stderr, *kept):
        assert b"hunter2" not in octets


def test_manual_is_up_to_date():
    """The manual pages hold the tables as the program has them."""
    done = subprocess.run(
        [sys.executable, MAN / "generate.py", "--check"], capture_output=True, text=True
    )

    assert (0, "") == (done.returncode, done.stdout)


def test_manual_is_complete():
    """The manual names every option, exit code, file and variable."""
    page = (MAN / "ssmtp.8").read_text()

    for row in TABLE:
        assert f"\\-{row.name}" in page
    for code, _ in EXIT_CODES:
        assert f"\\fB{code}\\fR" in page
    for section in ("ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES"):
        assert f"\n.SH {section}\n" in page
    assert "list of processes" in page
