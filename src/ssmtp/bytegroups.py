"""Keeps what modules import together, for `bytecode` to find it in one piece.

The launchers of a checkout do it when a run has found something out; an installation
does it once, for all roads, with `make`. Where nothing can be written there is no
group, and nothing else is different.
"""

from __future__ import annotations

import sys
from _frozen_importlib_external import _write_atomic  # type: ignore[attr-defined]
from marshal import dumps

from ssmtp.bytecode import GROUP_HEAD, Finder

# What is imported late, as a message comes to it.
ENTRANCES = (
    "ssmtp.sendmail",
    "ssmtp.delivery",
    "ssmtp.signals",
    "ssmtp.direct",
    "ssmtp.guard",
    "ssmtp.wire.blocking",
    "ssmtp.wire.tls",
    "ssmtp.wire.openssl",
    "ssmtp.wire.cipher",
    "ssmtp.smtp.authenticate",
    "ssmtp.spool.failed",
    "ssmtp.conversation",
)


def keep() -> None:
    """Write the groups of this run that no file has."""
    if sys.dont_write_bytecode or sys.pycache_prefix is not None:
        return
    for path, group in Finder.fresh.items():
        try:
            _write_atomic(path, GROUP_HEAD + dumps(group), 0o644)
        except OSError:
            return
    Finder.fresh.clear()


def make() -> None:
    """Import what the roads of a message import, and keep it."""
    from importlib import import_module

    sys.meta_path.insert(0, Finder)
    for name in ENTRANCES:
        import_module(name)
    keep()
