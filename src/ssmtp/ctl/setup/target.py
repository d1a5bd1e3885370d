"""Which configuration is to be written, and who is to be able to read it."""

from __future__ import annotations

import argparse
import os
import stat
from dataclasses import dataclass

from ssmtp import accounts, configfile
from ssmtp.ctl import confwriter
from ssmtp.ctl.install import agent
from ssmtp.ctl.install.ground import Ground
from ssmtp.ctl.setup.secretplace import Access
from ssmtp.ctl.words import _
from ssmtp.errors import UsageError
from ssmtp.values import shown


@dataclass(frozen=True)
class Target:
    """A configuration to write; `logins` are those who write under the address."""

    path: str
    access: Access
    logins: tuple[str, ...]
    before: str


def choose(args: argparse.Namespace) -> Target:
    """Return where to write, after a look whether that is possible.

    Raises `Refused` before anybody is asked for anything.
    """
    caller = accounts.caller()
    system = args.system or (
        os.geteuid() == 0 and not args.user_file and not args.config
    )
    if args.config:
        path = os.path.abspath(args.config)
        system = system or path == configfile.SYSTEM_FILE
    else:
        path = configfile.SYSTEM_FILE if system else _own(caller.home)
    before = confwriter.read(path) or ""
    _writable(path)
    logins = [caller.login]
    behind = os.environ.get("SUDO_USER")
    if system and behind and accounts.uid_of(behind) is not None:
        logins.append(behind)
    return Target(path, _access(path, system), tuple(dict.fromkeys(logins)), before)


def _own(home: str | None) -> str:
    """Return the path of the user's own file, as `configfile.find` looks for it."""
    folder = os.environ.get("XDG_CONFIG_HOME") or ""
    if not folder.startswith("/"):
        own = os.environ.get("HOME") or ""
        own = own if own.startswith("/") else home or ""
        if not own:
            raise UsageError(_("there is no home directory"), _("name a file with -C"))
        folder = f"{own.rstrip('/')}/.config"
    return f"{folder.rstrip('/')}/ssmtp/ssmtp.conf"


def _access(path: str, system: bool) -> Access:
    """Return who may read new files beside a configuration: whoever may read it."""
    if not system:
        return Access(0o600, -1, system)
    group = agent.group(Ground(""))
    try:
        found = os.stat(path)
    except OSError:
        return Access(0o640 if group >= 0 else 0o600, group, system)
    if found.st_mode & stat.S_IRGRP:
        return Access(0o640, found.st_gid, system)
    return Access(0o600, -1, system)


def _writable(path: str) -> None:
    folder = os.path.dirname(os.path.realpath(path))
    while not os.path.lexists(folder) and folder != "/":
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
        raise confwriter.Refused(
            _("{path} cannot be written: {folder} is closed to you").format(
                path=shown(path), folder=shown(folder)
            ),
            _("run this as root, or take --user-file or -C FILE"),
        )
