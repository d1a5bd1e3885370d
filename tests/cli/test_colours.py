"""Lists are in colour on a terminal, with rich, and plain everywhere else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MESSAGE = b"From: ann@example.org\nTo: bob\n\nhi\n"


def said(tmp_path, *command, rich=True, colour=True, terminal=True):
    """Return what a command says on a terminal, or into a file."""
    conf = tmp_path / "ssmtp.conf"
    conf.write_text("mailhub=127.0.0.1:1\nhostname=box.example.org\n")
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r});"
        "from ssmtp import extras, ctl;"
        f"extras._searched = not {rich}; sys.exit(ctl.main({list(command)!r}))"
    )
    ours, theirs = pty.openpty()
    run = subprocess.run(
        [sys.executable, "-I" if rich else "-IS", "-c", program],
        input=MESSAGE,
        stdout=theirs if terminal else subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=20,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "XDG_STATE_HOME": str(tmp_path),
            "SSMTP_CONF": str(conf),
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm-256color",
            **({} if colour else {"NO_COLOR": "1"}),
        },
    )
    os.close(theirs)
    text = run.stdout or b""
    try:
        while terminal and (block := os.read(ours, 65536)):
            text += block
    except OSError:
        pass  # nobody holds the other end any more
    finally:
        os.close(ours)
    return text.decode()


@pytest.mark.parametrize("command", [("queue",), ("explain", "--", "-t")], ids=str)
def test_colours(tmp_path, command):
    """There are colours on a terminal with rich, unless NO_COLOR is set."""
    pytest.importorskip("rich")
    said(tmp_path, "send", "-m", "x", "ann@example.org")
    plain = said(tmp_path, *command, colour=False)
    coloured = said(tmp_path, *command)

    assert "\x1b[" in coloured
    assert "\x1b[" not in plain
    assert "\x1b[" not in said(tmp_path, *command, rich=False)
    assert "\x1b[" not in said(tmp_path, *command, terminal=False)
    assert "bob" in plain or "deferred" in plain
