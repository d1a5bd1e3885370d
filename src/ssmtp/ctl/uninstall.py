"""`ssmtpctl uninstall`: take an installation away, and bring back what was there."""

from __future__ import annotations

import argparse
import os
from typing import Any

# All of it now: this may be the code that is going to be removed.
from ssmtp.ctl.install import agent, changes, manifest, placed, places, tree
from ssmtp.ctl.install.ground import Ground, told
from ssmtp.ctl.install.manifest import Manifest
from ssmtp.ctl.install.plan import Layout
from ssmtp.ctl.install.saying import Teller
from ssmtp.ctl.words import _
from ssmtp.errors import EX_OK
from ssmtp.values import shown

EXAMPLES = """\
Examples:
  sudo ssmtpctl uninstall --dry-run   what would be removed, and what would come back
  sudo ssmtpctl uninstall             undo sudo ssmtpctl install
  ssmtpctl uninstall                  undo ssmtpctl install
"""
EPILOG = """\
What --replace had put aside comes back. What was changed since the installation stays,
such as your configuration, and so do mail that waits and the user of the agent.
"""


def add(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "uninstall",
        help=_("take away what install has written, and bring back what was there"),
        examples=EXAMPLES,
        epilog=EPILOG,
    )
    places(parser)


def run(args: argparse.Namespace) -> int:
    """Remove an installation."""
    where, ground = placed(args)
    base = ground.real(where.base)
    say = Teller(args.json)
    with told():
        if not args.dry_run:
            changes.tidy(ground, where.base)
        if manifest.read(base) is None:
            place = shown(ground.real(where.prefix))
            none = _("there is no installation in {place}")
            say("none", none.format(place=place))
            say.end()
            return EX_OK
        lock = ground.lock(where.base)
        try:
            known = manifest.read(base) or Manifest()
            _undo(ground, where, known, args.dry_run, say)
            if not args.dry_run:
                _remove(ground, where, known)
        finally:
            os.close(lock)
    say.end()
    return EX_OK


def _remove(ground: Ground, where: Layout, known: Manifest) -> None:
    """Remove the code, and at last the record."""
    tree.sweep(ground, where.base)
    for name in known.trees:
        ground.remove_tree(f"{where.base}/{name}")
    changes.finish(ground, where.base, known)


def _undo(
    ground: Ground, where: Layout, known: Manifest, dry: bool, say: Teller
) -> None:
    """Undo everything but the code, in the opposite order."""
    if known.agent and not dry:
        agent.stop(ground, where, say)
    agent.take_back_access(ground, known, say, dry)
    for path in reversed(known.files):
        changes.undo(ground, known, path, say, dry)
    say("remove", where.base)
    if known.agent and where.system and not dry:
        agent.remove_places(ground, say)
