"""Root's `sendmail -q` for all users: no user can hold it up or deceive it."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from ssmtp.errors import EX_TEMPFAIL
from ssmtp.spool import others, places

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")


@pytest.fixture
def command(monkeypatch):
    """Let `others.run` start a Python program instead of this command."""

    def use(source: str) -> None:
        monkeypatch.setattr(sys, "argv", ["/dev/null"])
        words = ["/usr/bin/env", "python3", "-c", source]
        monkeypatch.setattr(sys, "orig_argv", [*words, "/dev/null"])

    return use


@needs_root
def test_a_stopped_process_does_not_hold_root_up(command, monkeypatch):
    """A user who stops the process that sends their mail delays root for a while."""
    monkeypatch.setattr(others, "SECONDS", 0.5)
    monkeypatch.setattr(others, "GRACE", 0.1)
    command("import os; os.kill(os.getpid(), 19)")

    code, lines = others.run(65534, [])

    assert EX_TEMPFAIL == code
    assert ["ended, for it took more than 0 s"] == lines


@needs_root
def test_a_pipe_that_is_kept_open_does_not_hold_root_up(command):
    """A process that a user leaves behind with our pipe keeps nobody waiting."""
    command(
        "import os, time\nprint('done', flush=True)\n"
        "if not os.fork(): os.setsid(); time.sleep(1); print('late', flush=True)"
    )

    code, lines = others.run(65534, [])

    assert (0, ["done"]) == (code, lines)


@needs_root
def test_endless_output_is_cut(command):
    """Of what a user's process prints only so much is taken into root's memory."""
    command("print('x' * 10_000_000)")

    _, lines = others.run(65534, [])

    assert others.LIMIT == len("".join(lines))


@needs_root
def test_a_failure_is_seen_though_sigchld_is_ignored(command):
    """Mail that stays makes the exit code 75 when the caller ignores SIGCHLD, too."""
    command("raise SystemExit(75)")
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        code, _ = others.run(65534, [])
        after = signal.getsignal(signal.SIGCHLD)
    finally:
        signal.signal(signal.SIGCHLD, before)

    assert EX_TEMPFAIL == code
    assert signal.SIG_IGN == after


@needs_root
def test_owners_are_found_without_reading_their_files(tmp_path, monkeypatch):
    """Whose mail is kept is told by the directories, whatever lies in them."""
    monkeypatch.setattr(places, "SHARED", (str(tmp_path),))
    for uid in (1000, 1001):
        (tmp_path / f"ssmtp-{uid}").mkdir(0o700)
        os.chown(tmp_path / f"ssmtp-{uid}", uid, uid)
    (tmp_path / "ssmtp-1000/big").touch()
    os.chown(tmp_path / "ssmtp-1000/big", 1000, 1000)
    (tmp_path / "ssmtp-1001/.hidden").touch()
    monkeypatch.delattr(os, "pread")

    assert [1000] == others.owners()
