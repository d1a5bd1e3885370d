"""Whose configuration is to be taken over: the one that is named, or the only one."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ssmtp.ctl.migrate.sources import Places, exists, shortened
from ssmtp.ctl.migrate.taken import Draft
from ssmtp.ctl.retold import sentence
from ssmtp.ctl.words import _
from ssmtp.errors import ConfigError, Failure, UsageError
from ssmtp.values import shown

# The name that people type, and the module that reads the files.
PROGRAMS = {
    "msmtp": "msmtp",
    "nullmailer": "nullmailer",
    "dma": "dma",
    "esmtp": "esmtp",
    "postfix": "postfix",
    "exim": "exim",
    "s-nail": "snail",
    "ssmtp": "classic",
}
# File names that tell whose they are, for --from without a program.
TELLING = {
    "msmtprc": "msmtp",
    ".msmtprc": "msmtp",
    "remotes": "nullmailer",
    "nullmailer": "nullmailer",
    "dma.conf": "dma",
    "dma": "dma",
    "esmtprc": "esmtp",
    ".esmtprc": "esmtp",
    "main.cf": "postfix",
    "postfix": "postfix",
    "update-exim4.conf.conf": "exim",
    "exim4": "exim",
    ".mailrc": "s-nail",
    "mail.rc": "s-nail",
    "s-nail.rc": "s-nail",
    "ssmtp.conf": "ssmtp",
}


@dataclass
class Found:
    """A configuration that was found, and why it cannot be taken over, if so."""

    program: str
    paths: list[Path]
    trouble: str = ""


def module(program: str) -> ModuleType:
    """Return the module that reads the files of a program."""
    return importlib.import_module(f"ssmtp.ctl.migrate.{PROGRAMS[program]}")


def choose(
    program: str | None,
    places: Places,
    read: Callable[[Found], Draft],
    say: Callable[[str], None],
) -> Found:
    """Return the one configuration to take over; raises `Failure` if it is not one.

    Without a program all are tried with `read`, and `say` tells what was found.
    """
    if program is None and places.given:
        names = (TELLING.get(path.name) for path in places.given)
        program = next(filter(None, names), None)
        if program is None:
            raise UsageError(
                _("the name of {path} does not tell whose file it is").format(
                    path=shown(str(places.given[0]))
                ),
                _("name the program: ssmtpctl migrate PROGRAM --from PATH"),
            )
    if program is not None:
        return _only(program, places)
    found = [
        Found(name, paths)
        for name in PROGRAMS
        if name != "ssmtp" and (paths := module(name).find(places))
    ]
    for one in found:
        try:
            read(one)
        except Failure as failure:
            one.trouble = sentence(failure)
    usable = [one for one in found if not one.trouble]
    for one in found:
        files = ", ".join(shortened(path, places.home) for path in one.paths)
        say(f"{one.program}: {files}: {one.trouble or _('can be taken over')}")
    if found:
        say("")
    if len(usable) == 1:
        return usable[0]
    if usable:
        raise UsageError(
            _("there are several configurations: {names}").format(
                names=", ".join(one.program for one in usable)
            ),
            _("name one: ssmtpctl migrate {name}").format(name=usable[0].program),
        )
    own = module("ssmtp").find(places)
    if own and not found:
        return Found("ssmtp", own)
    raise ConfigError(
        _("no configuration of another program is here that can be taken over"),
        _("name its files with --from, or begin with ssmtpctl setup"),
    )


def _only(program: str, places: Places) -> Found:
    wanted = module(program)
    for path in places.given:
        if not exists(path):
            raise UsageError(
                _("{path} is not there").format(path=shown(str(path))),
                _("correct what --from names"),
            )
    paths = wanted.find(places)
    if not paths:
        raise ConfigError(
            _("no configuration of {program} is here").format(program=wanted.TITLE),
            _("looked for {files}; name another with --from").format(
                files=", ".join(wanted.FILES)
            ),
        )
    return Found(program, paths)
