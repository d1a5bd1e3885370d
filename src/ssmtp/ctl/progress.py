"""A bar on the terminal while a large message is on its way."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from ssmtp import extras
from ssmtp.body import Body
from ssmtp.ctl.words import _
from ssmtp.intake import Intake

LARGE = 5_000_000  # octets; less is gone before anybody could read a bar
SECONDS_BETWEEN = 0.2


class Watched(Body):
    """A body that tells how many octets of it have been read, whoever reads them."""

    __slots__ = ("_body", "_tell")

    def __init__(self, body: Body, tell: Callable[[int], None]) -> None:
        super().__init__()
        self.size, self.long_lines = body.size, body.long_lines
        self.eightbit, self.utf8 = body.eightbit, body.utf8
        self._body = body
        self._tell = tell

    def blocks(self) -> Iterator[bytes]:
        """Yield the body, and tell how far it has got."""
        done = 0
        for block in self._body.blocks():
            yield block
            done += len(block)
            self._tell(done)

    def close(self) -> None:
        """Close the body."""
        self._body.close()


@contextlib.contextmanager
def shown(intake: Intake, *, quiet: bool) -> Iterator[None]:
    """Show a bar for a large message, if standard error is a terminal and free."""
    if quiet or intake.body.size < LARGE or not sys.stderr.isatty():
        yield
        return
    rich = _rich(intake.body.size) if extras.optional("rich") else None
    with rich or _plain(intake.body.size) as tell:
        intake.body = Watched(intake.body, tell)
        yield


@contextlib.contextmanager
def _rich(total: int) -> Iterator[Callable[[int], None]]:
    from rich import progress
    from rich.console import Console

    with progress.Progress(
        progress.TextColumn(_("sending")),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)


@contextlib.contextmanager
def _plain(total: int) -> Iterator[Callable[[int], None]]:
    latest = 0.0
    form = "\r" + _("sending {percent:3} % of {total} octets")

    def tell(done: int) -> None:
        nonlocal latest
        if time.monotonic() - latest >= SECONDS_BETWEEN:
            latest = time.monotonic()
            sys.stderr.write(form.format(percent=done * 100 // total, total=total))
            sys.stderr.flush()

    try:
        yield tell
    finally:
        # Blanks over it, not an escape sequence: any terminal understands them.
        width = len(form.format(percent=100, total=total)) - 1
        sys.stderr.write("\r" + " " * width + "\r")
        sys.stderr.flush()
