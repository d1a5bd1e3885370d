"""Colours on a terminal, by `rich`: where it is installed, and NO_COLOR is not set."""

from __future__ import annotations

import os
import sys
from typing import Any

from ssmtp import extras


def console() -> Any:
    """Return a console of `rich`, or None where no colours are wanted or to be had."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return None
    if extras.optional("rich") is None:
        return None
    from rich.console import Console

    return Console()


def write(console: Any, line: str, style: str, begin: int = 0, end: int = -1) -> None:
    """Print a line, with a part of it in a style where there is a console."""
    if console is None:
        print(line)
        return
    from rich.text import Text

    text = Text(line)
    text.stylize(style, begin, end if end >= 0 else None)
    console.print(text, soft_wrap=True, highlight=False)
