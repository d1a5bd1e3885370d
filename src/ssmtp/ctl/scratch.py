"""A private directory for as long as a command runs."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ssmtp.ctl.words import _
from ssmtp.errors import SystemTrouble


@contextlib.contextmanager
def directory(prefix: str) -> Iterator[Path]:
    """Make a directory that only its owner can enter, and remove it at the end.

    Raises `SystemTrouble` where there is no place for it.
    """
    try:
        path = Path(tempfile.mkdtemp(prefix=prefix))
    except OSError as error:
        raise SystemTrouble(
            _("no directory for temporary files: {reason}").format(
                reason=error.strerror
            ),
            _("make one that can be written to, and name it in TMPDIR"),
        ) from None
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
