"""What was tried is shown as a difference, confirmed, and written; or nothing is.

The password comes first, in a file of its own, then the configuration, in one step,
then revaliases. Whoever interrupts this finds the old configuration or the new one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import sys
from dataclasses import replace

from ssmtp import accounts, configfile, ctl, extras, handoff
from ssmtp.ctl import confwriter
from ssmtp.ctl.setup import draft
from ssmtp.ctl.setup.questions import Asker
from ssmtp.ctl.setup.target import Target
from ssmtp.ctl.setup.trying import Result
from ssmtp.ctl.words import _
from ssmtp.errors import EX_OK

UNITS = "ssmtp-acceptor.service ssmtp-sender.service"
RESTART_SYSTEM = f"sudo systemctl try-restart {UNITS}"
RESTART_USER = f"systemctl --user try-restart {UNITS}"


def write(
    args: argparse.Namespace,
    asker: Asker,
    where: Target,
    result: Result,
    told: dict[str, object],
) -> int:
    """Show what would change, let it be confirmed, and write it."""
    account = result.account
    if _bare(result.text) == _bare(where.before):
        # Comments are for people, who may have written better ones.
        result = replace(result, text=where.before)
    beside = draft.beside(where.path)
    lines = draft.revaliases(beside, where.logins, account.sender, account.name)
    difference = confwriter.difference(where.path, result.text)
    difference += confwriter.difference(beside, lines, secretive=False)
    told.update(_facts(where, result, difference))
    same = not difference and result.text == where.before
    if difference:
        _show(asker, difference)
    if args.dry_run:
        told["result"] = "unchanged" if same else "would-write"
        asker.say(_("Nothing was written: --dry-run."))
        return EX_OK
    if not same:
        asker.confirm(_("Write this to {path}?").format(path=where.path))
    _put(where, result, beside, lines, told)
    if same:
        told["result"] = "unchanged"
        asker.say(_("Nothing to change in {path}.").format(path=where.path))
    else:
        told["result"] = "written"
        asker.say(_("Written: {path}").format(path=where.path))
        for key in ("backup", "revaliases_backup"):
            if told[key]:
                asker.say(_("What was there: {path}").format(path=told[key]))
    _advise(args, asker, where, result, told)
    return EX_OK


def _bare(text: str) -> list[str]:
    """Return the lines of a configuration that are neither comments nor empty."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _put(
    where: Target, result: Result, beside: str, lines: str, told: dict[str, object]
) -> None:
    made = None
    try:
        made = result.place.write()
        told["backup"] = confwriter.save(
            where.path, result.text, mode=where.access.mode, group=where.access.group
        )
    except BaseException:
        # A password that no configuration names is of no use to anybody.
        if made is not None and confwriter.read(where.path) != result.text:
            with contextlib.suppress(OSError):
                os.unlink(made)
        raise
    told["revaliases_backup"] = confwriter.save(
        beside,
        lines,
        mode=0o644 if where.access.system else 0o600,
        group=where.access.group,
        secretive=False,
    )


def _facts(where: Target, result: Result, difference: str) -> dict[str, object]:
    """Return what JSON tells; secrets are dots in the difference already."""
    account, server = result.account, result.server
    return {
        "path": where.path,
        "revaliases": draft.beside(where.path),
        "backup": None,
        "revaliases_backup": None,
        "mailhub": str(server),
        "tls": server.tls,
        "provider": server.provider.id if server.provider is not None else None,
        "user": account.user or None,
        "from": account.sender,
        "root": account.root,
        "store": account.store if account.user else None,
        "steps": result.place.steps,
        "difference": difference,
    }


def _show(asker: Asker, difference: str) -> None:
    """Print a difference, in colour where that is welcome."""
    if asker.mute:
        return
    colours = {"+": "green", "-": "red", "@": "cyan"}
    if (
        sys.stdout.isatty()
        and not os.environ.get("NO_COLOR")
        and extras.optional("rich") is not None
    ):
        from rich.console import Console
        from rich.text import Text

        console = Console(highlight=False)
        for line in difference.splitlines():
            style = "bold" if line[:3] in ("+++", "---") else colours.get(line[:1], "")
            console.print(Text(line, style=style), soft_wrap=True)
    else:
        print(difference, end="", flush=True)


def _advise(
    args: argparse.Namespace,
    asker: Asker,
    where: Target,
    result: Result,
    told: dict[str, object],
) -> None:
    """Name the next commands; those of a person first."""
    steps = result.place.steps
    if steps:
        asker.say(_("The password is still to be stored. As an administrator, type:"))
        for step in steps:
            asker.say(f"  {step}")
    if told["result"] == "written" and _has_agent(where):
        asker.say(
            _("An agent is running. To let it read this: {command}").format(
                command=RESTART_SYSTEM if where.access.system else RESTART_USER
            )
        )
    command = ["ssmtpctl", "send", "-s", "Test", "-m", "It works."]
    if "doctor" in ctl.VERBS:
        command = ["ssmtpctl", "doctor", "--send"]
    wins = configfile.find(None, os.environ, accounts.caller().home)
    if wins != where.path:
        command += ["-C", where.path]
        if not args.config:
            asker.say(
                _("Note: you yourself send by another configuration, {path}").format(
                    path=wins
                )
            )
    command.append(result.account.address)
    told["next"] = shlex.join(command)
    asker.say(_("Send a mail to try it: {command}").format(command=told["next"]))


def _has_agent(where: Target) -> bool:
    """Tell whether the agent that reads this configuration is there."""
    system = handoff.SYSTEM_SOCKET
    sockets = handoff.agents(where.path, os.environ)
    return any((path == system) == where.access.system for path in sockets)


def print_json(told: dict[str, object]) -> None:
    """Print what was done, for programs."""
    print(json.dumps(told, indent=2, ensure_ascii=False))
