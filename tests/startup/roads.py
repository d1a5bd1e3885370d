"""What the roads are measured with: the interpreter of the launchers, and a message."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON = "/usr/bin/python3"
MESSAGE = (
    b"From: bob@example.org\nTo: ann@example.org\nSubject: hello\n"
    b"Date: Sat, 21 Nov 2026 21:14:09 +0000\nMessage-ID: <1@example.org>\n\nhello\n"
)
