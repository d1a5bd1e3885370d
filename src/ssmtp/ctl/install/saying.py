"""What an installation says that it does: a line for each step, or JSON at the end."""

from __future__ import annotations

import json
import os
import sys

from ssmtp.ctl.words import _, marked
from ssmtp.spool.keptfile import escape

WORDS = (
    marked("code"),
    marked("enable"),
    marked("group"),
    marked("keep"),
    marked("link"),
    marked("next"),
    marked("none"),
    marked("note"),
    marked("remove"),
    marked("restore"),
    marked("save"),
    marked("start"),
    marked("stop"),
    marked("there"),
    marked("write"),
)


class Teller:
    """Says what is done, and to what."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._width = max(len(_(word)) for word in WORDS) + 1
        self._steps: list[dict[str, str]] = []

    def __call__(self, word: str, text: str) -> None:
        """Say one step; `word` is one of `WORDS`."""
        assert word in WORDS
        if self._as_json:
            self._steps.append({"step": word, "what": text})
        else:
            _print(f"{_(word):<{self._width}}{escape(text)}")

    def end(self) -> None:
        """Print what is for a program."""
        if self._as_json:
            _print(json.dumps(self._steps, indent=2))


def _print(text: str) -> None:
    """Print; who listens may go away before the work is done, and that goes on."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        nobody = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nobody, sys.stdout.fileno())
        os.close(nobody)
