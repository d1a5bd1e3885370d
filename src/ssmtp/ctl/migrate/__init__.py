"""`ssmtpctl migrate`: take over the configuration of another program.

The other program's files are read and never touched. Each program has a module here,
with a table of its keys (`RULES`), `find`, which looks for its files, and `read`, which
fills a `Draft` with what it becomes; `plan` writes that, `render` tells it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from ssmtp.accounts import caller
from ssmtp.ctl import confwriter, say
from ssmtp.ctl.migrate import choice, plan, render
from ssmtp.ctl.migrate.choice import PROGRAMS as PROGRAMS
from ssmtp.ctl.migrate.choice import Found
from ssmtp.ctl.migrate.sources import Places, shortened
from ssmtp.ctl.migrate.taken import Draft
from ssmtp.ctl.words import _
from ssmtp.errors import EX_OK, EX_USAGE, UsageError
from ssmtp.values import shown

ROOT = Path("/")
EXAMPLES = """\
Examples:
  ssmtpctl migrate --dry-run          what is here, and what would become of it
  ssmtpctl migrate msmtp              take over ~/.msmtprc, or /etc/msmtprc
  ssmtpctl migrate postfix --from /mnt/old/etc/postfix --dry-run
  ssmtpctl migrate msmtp --account work --output ~/.config/ssmtp/work/ssmtp.conf
  sudo ssmtpctl migrate exim --yes    for the whole machine, without a question
"""
EPILOG = """\
The files of the other program are read, and never changed. Whatever is written here is
shown before; the old file is kept beside the new one. docs/migrating.md has the tables.
"""


def add(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "migrate",
        help=_("take over the configuration of another program"),
        examples=EXAMPLES,
        epilog=EPILOG,
    )
    parser.add_argument(
        "program",
        nargs="?",
        choices=tuple(PROGRAMS),
        metavar=_("PROGRAM"),
        help=_("one of: {names}").format(names=", ".join(PROGRAMS)),
    )
    parser.add_argument(
        "--from",
        dest="from_",
        nargs="+",
        action="extend",
        default=[],
        metavar=_("PATH"),
        help=_("its files, or a directory with them"),
    )
    parser.add_argument(
        "--output", metavar=_("FILE"), help=_("where the configuration will be")
    )
    parser.add_argument(
        "--account", metavar=_("NAME"), help=_("which of several accounts to take")
    )
    scope = parser.add_mutually_exclusive_group()
    scope.add_argument(
        "--user-file", action="store_true", help=_("write your own configuration")
    )
    scope.add_argument(
        "--system", action="store_true", help=_("write that of the whole machine")
    )
    parser.add_argument(
        "--dry-run", action="store_true", help=_("show everything, write nothing")
    )
    parser.add_argument(
        "--yes", action="store_true", help=_("write without a question")
    )
    parser.add_argument("--json", action="store_true", help=_("for programs"))


def run(args: argparse.Namespace) -> int:
    """Find, read, show, ask and write."""
    system = args.system or (not args.user_file and os.geteuid() == 0)
    places = _places(args, system)
    target = _target(args, places, system)

    def read(found: Found) -> Draft:
        rules = choice.module(found.program).RULES
        draft = Draft(found.program, rules, target.parent, system, caller().login)
        choice.module(found.program).read(draft, found.paths, places, args.account)
        return draft

    def tell(line: str) -> None:
        if not args.json:
            print(line)

    found = choice.choose(args.program, places, read, tell)
    scoped = args.output or args.user_file or args.system or args.from_
    if found.program == "ssmtp" and not scoped:
        # It is ours already, where it lies.
        target = found.paths[0]
    module = choice.module(found.program)
    draft = read(found)
    files = ", ".join(shortened(path, places.home) for path in found.paths)
    heading = _("Taken over from {program}: {files}").format(
        program=module.TITLE, files=files
    )
    planned = plan.make(draft, target, heading)
    difference = planned.difference()
    if not args.json:
        print(f"{module.TITLE}: {files}\n")
        render.show(draft, places.home)
        render.difference(draft, difference)
    if args.dry_run or not planned.changes():
        return _not_written(args, draft, planned, found, difference)
    if not args.yes and not _agreed(args):
        if args.json:
            _json(draft, planned, found, difference, [])
        say(_("ssmtpctl: nothing is written; with --yes it is, without a question"))
        return EX_USAGE
    written = plan.write(planned, draft)
    if args.json:
        _json(draft, planned, found, difference, written)
    else:
        _tell_written(written, planned, places, system)
    return EX_OK


def _places(args: argparse.Namespace, system: bool) -> Places:
    home = os.environ.get("HOME") or caller().home or ""
    own = Path(home) if home.startswith("/") else None
    folder = os.environ.get("XDG_CONFIG_HOME") or ""
    settings = Path(folder) if folder.startswith("/") else own and own / ".config"
    given = tuple(Path(name).absolute() for name in args.from_)
    return Places(ROOT, own, settings, system, given)


def _target(args: argparse.Namespace, places: Places, system: bool) -> Path:
    if args.output:
        return Path(args.output).absolute()
    if system:
        return places.root / "etc/ssmtp/ssmtp.conf"
    if places.config_home is None:
        raise UsageError(
            _("there is no home directory to write to"), _("name a file with --output")
        )
    return places.config_home / "ssmtp/ssmtp.conf"


def _agreed(args: argparse.Namespace) -> bool:
    """Ask, where there is somebody to ask."""
    somebody = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
    if args.json or not somebody:
        return False
    try:
        answer = input(_("Write this? [y/N] "))
    except EOFError:
        return False
    return answer.strip().lower()[:1] in (_("y"), "y")


def _not_written(
    args: argparse.Namespace,
    draft: Draft,
    planned: plan.Plan,
    found: Found,
    difference: str,
) -> int:
    if args.json:
        _json(draft, planned, found, difference, [])
    elif planned.changes():
        print(_("Nothing is written: this was a dry run."))
    else:
        print(_("Nothing is to be written: all of it is there already."))
    return EX_OK


def _tell_written(
    written: list[tuple[Path, str | None]],
    planned: plan.Plan,
    places: Places,
    system: bool,
) -> None:
    print()
    for path, backup in written:
        told = _("Written: {path}").format(path=shown(str(path)))
        if backup:
            told = _("Written: {path}, the old one is {backup}").format(
                path=shown(str(path)), backup=shown(backup)
            )
        print(told)
    if system and planned.password and planned.password.stat().st_mode & 0o040 == 0:
        print(
            _(
                "Only root can read the password. Let the agent send for the others"
                " (docs/agent.md), or give the file to a group of theirs:"
                " chgrp mail {path}; chmod 640 {path}"
            ).format(path=shown(str(planned.password)))
        )
    print(_("Try it: ssmtpctl send -C {path} -s Test -m 'It works.' you@example.org")
          .format(path=shown(str(planned.config))))  # fmt: skip


def _json(
    draft: Draft,
    planned: plan.Plan,
    found: Found,
    difference: str,
    written: list[tuple[Path, str | None]],
) -> None:
    lines = [line for line in planned.text.splitlines() if line.strip()]
    settings = [confwriter.masked(line) for line in lines if line[0] != "#"]
    told = {
        "program": found.program,
        "files": [str(path) for path in found.paths],
        "output": str(planned.config),
        **render.facts(draft, settings),
        "difference": draft.masked(difference),
        "written": [str(path) for path, _backup in written],
        "backups": [backup for _path, backup in written if backup],
    }
    print(json.dumps(told, indent=2))
