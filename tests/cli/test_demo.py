"""`ssmtpctl demo` shows a delivered mail, checks it, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from ssmtp.ctl import demo

ROOT = Path(__file__).parents[2]
SSMTPCTL = ROOT / "bin" / "ssmtpctl"

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="no openssl command"
)


def environment(tmp: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp)}


def test_demo(tmp_path):
    """Everything that the demo promises is true, without HOME and from anywhere."""
    done = subprocess.run(
        [SSMTPCTL, "demo"],
        capture_output=True,
        cwd="/",
        env=environment(tmp_path),
        timeout=60,
        check=False,
    )
    out = done.stdout.decode()

    assert (0, b"") == (done.returncode, done.stderr)
    assert "FAILED" not in out
    assert out.count("[ok]") == 13
    assert "[->] BDAT " in out
    assert "To: admin@example.org" in out
    assert [] == list(tmp_path.iterdir())


def test_json(tmp_path):
    """With --json a program reads the checks."""
    done = subprocess.run(
        [SSMTPCTL, "demo", "--json"],
        capture_output=True,
        env=environment(tmp_path),
        timeout=60,
        check=False,
    )
    checks = json.loads(done.stdout)

    assert (0, b"") == (done.returncode, done.stderr)
    assert [True] * 13 == [check["passed"] for check in checks]
    assert all(check["promise"] for check in checks)


def test_link(tmp_path):
    """The demo finds its sendmail through a link, as bin/ssmtpctl does."""
    link = tmp_path / "ssmtpctl"
    link.symlink_to(SSMTPCTL)
    done = subprocess.run(
        [link, "demo"],
        capture_output=True,
        cwd=tmp_path,
        env=environment(tmp_path),
        timeout=60,
        check=False,
    )

    assert 0 == done.returncode
    assert str(ROOT / "bin" / "sendmail").encode() in done.stdout


def test_without_openssl(tmp_path):
    """Without openssl the demo says what to install."""
    done = subprocess.run(
        [SSMTPCTL, "demo"],
        capture_output=True,
        env={"PATH": "/nowhere", "TMPDIR": str(tmp_path)},
        timeout=60,
        check=False,
    )

    assert 75 == done.returncode
    assert b"apt install openssl" in done.stderr
    assert 1 == len(done.stderr.splitlines())
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(tmp_path, number):
    """Interrupted at any point, the demo cleans up."""
    slow = tmp_path / "bin"
    slow.mkdir()
    (slow / "openssl").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    (slow / "openssl").chmod(0o755)
    tmp = tmp_path / "tmp"
    tmp.mkdir()
    # Whoever runs the tests in the background may have had SIGINT ignored, which would
    # be inherited; what is caught here is not.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [SSMTPCTL, "demo"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(tmp) | {"PATH": str(slow)},
        )
    finally:
        signal.signal(signal.SIGINT, before)
    while not list(tmp.glob("*/*.cnf")):
        os.sched_yield()
    process.send_signal(number)
    _, err = process.communicate(timeout=20)

    assert 75 == process.returncode
    assert b"ssmtpctl: interrupted\n" == err
    assert [] == list(tmp.iterdir())


def test_reader_that_has_seen_enough(tmp_path):
    """A reader that goes away early leaves nothing behind either."""
    process = subprocess.Popen(
        [SSMTPCTL, "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    select.select([process.stdout], [], [], 20)
    process.stdout.close()

    assert b"" == process.stderr.read()
    process.wait(20)
    process.stderr.close()
    assert [] == list(tmp_path.iterdir())


def test_a_check_that_fails(capsys):
    """A promise that did not come true is shown, and is the exit status."""
    assert 1 == demo._verdict([demo.Check(True, "a"), demo.Check(False, "b")])
    out = capsys.readouterr().out

    assert "[ok] a" in out
    assert "[FAILED] b" in out


def test_the_checks_can_fail(tmp_path):
    """A mailhub that got nothing, and a run that failed, are noticed."""
    done = subprocess.CompletedProcess([], 75, b"", b"the password is hush")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "kept").write_text("x")
    checks = demo._checks(done, [], "hush", tmp_path)

    assert [False] * 4 == [check.passed for check in checks]
