"""What `ssmtpctl migrate` will write, and how it gets there: the password, the
configuration, revaliases. Each file is whole at any time, and nothing is overwritten
but what was kept under another name before.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ssmtp.accounts import parse_revaliases
from ssmtp.address import parse_one
from ssmtp.config import parse
from ssmtp.ctl import confwriter, inplace
from ssmtp.ctl.confwriter import Refused, Setting
from ssmtp.ctl.migrate import sources
from ssmtp.ctl.migrate.taken import Draft
from ssmtp.ctl.words import _
from ssmtp.errors import ConfigError, InputRefused, SystemTrouble
from ssmtp.keys import KEYS
from ssmtp.spool import durable
from ssmtp.values import shown

ORDER = {key.name: number for number, key in enumerate(KEYS)}


@dataclass
class Plan:
    """The files that are to be, and those that are there already."""

    config: Path
    text: str
    password: Path | None
    password_is_there: bool
    revaliases: Path
    aliases_text: str
    aliases_before: str

    def changes(self) -> bool:
        """Tell whether there is anything to write."""
        before = _there(self.config)
        new_password = self.password is not None and not self.password_is_there
        return (
            before != self.text
            or self.aliases_text != self.aliases_before
            or new_password
        )

    def difference(self) -> str:
        """Return what would change in the configuration and in revaliases."""
        told = confwriter.difference(str(self.config), self.text)
        if self.aliases_text != self.aliases_before:
            added = self.aliases_text[len(self.aliases_before) :].splitlines()
            told += f"--- {self.revaliases}\n+++ {self.revaliases}\n"
            told += "".join(f"+{shown(line)}\n" for line in added if line)
        return told


def make(draft: Draft, config: Path, heading: str) -> Plan:
    """Decide what is written where; raises `ConfigError` for what cannot be."""
    beside = config.name.removesuffix(".conf")
    beside = "" if beside == "ssmtp" else f"{beside}."
    password, there = None, False
    if draft.password is not None:
        password, there = _password_place(config.parent, f"{beside}password", draft)
        draft.set("AuthPassFile", str(password))
    elif draft.text is None:
        draft.settings = [s for s in draft.settings if s.key != "AuthPassFile"]
    text = draft.text
    if text is None:
        settings = sorted(draft.settings, key=lambda setting: ORDER[setting.key])
        lines = [Setting(s.key, s.value, s.comment) for s in settings]
        text = confwriter.text(lines, heading)
    parse(text.encode("utf-8", "surrogateescape"), str(config))
    revaliases = config.parent / "revaliases"
    before = _there(revaliases) or ""
    return Plan(
        config, text, password, there, revaliases, _aliases(draft, before), before
    )


def _there(path: Path) -> str | None:
    return sources.read(path) if sources.exists(path) else None


def _password_place(folder: Path, name: str, draft: Draft) -> tuple[Path, bool]:
    """Return a name that is free, or that of a file with this very password.

    A file that another configuration may still need is left alone.
    """
    for number in range(1, 1000):
        path = folder / (name if number == 1 else f"{name}.{number}")
        if not sources.exists(path):
            return path, False
        if sources.read(path).partition("\n")[0] == draft.password:
            mode = path.stat().st_mode
            if path.is_file() and not mode & (stat.S_IRWXO | stat.S_IWGRP):
                return path, True
    raise ConfigError(
        _("{path} cannot be written: there are too many").format(path=folder / name),
        _("remove those that nobody needs"),
    )


def _aliases(draft: Draft, before: str) -> str:
    """Return revaliases with our lines at its end, where they count."""
    known = {
        line.login: (line.address, line.mailhub or "")
        for line in parse_revaliases(before.encode("utf-8", "surrogateescape"), "")
    }
    new = ""
    for login, rest in draft.revaliases.items():
        line = f"{login}:{rest}\n"
        found = parse_revaliases(line.encode("utf-8", "surrogateescape"), "")
        if not found or "#" in line or not _is_sender(found[0].address):
            raise ConfigError(
                _("revaliases cannot hold the sender {address}").format(
                    address=shown(rest)
                ),
                _("correct it in the other program's files"),
            )
        if known.get(login) != (found[0].address, found[0].mailhub or ""):
            new += line
    gap = "" if not before or before.endswith("\n") else "\n"
    return before + gap + new if new else before


def _is_sender(text: str) -> bool:
    try:
        return not text or parse_one(text, "revaliases") is not None
    except InputRefused:
        return False


def write(plan: Plan, draft: Draft) -> list[tuple[Path, str | None]]:
    """Write the files, the configuration after the password that it names.

    Returns their paths, each with that of the old one. Raises `Failure`.
    """
    try:
        return list(_written(plan, draft))
    except OSError as error:
        what = _("{path} cannot be changed: {reason}").format(
            path=shown(str(error.filename or plan.config.parent)),
            reason=error.strerror,
        )
        if isinstance(error, PermissionError):
            step = _("run this as root, or as the user whose file it is")
            raise Refused(what, step) from None
        raise SystemTrouble(what, _("put that right, and run this again")) from None


def _written(plan: Plan, draft: Draft) -> Iterator[tuple[Path, str | None]]:
    if draft.system and not plan.config.parent.exists():
        # All users read the configuration; the password is closed by itself.
        plan.config.parent.mkdir(parents=True)
        plan.config.parent.chmod(0o755)
    group, shared = _readers(plan.config.parent, draft.system)
    closed = 0o640 if shared else 0o600
    if plan.password is not None and not plan.password_is_there:
        assert draft.password is not None
        path = str(plan.password)
        confwriter.put_secret(path, draft.password, mode=closed, group=group)
        yield plan.password, None
    config = parse(plan.text.encode("utf-8", "surrogateescape"), str(plan.config))
    public = draft.system and not config.has_secret and not shared
    if _there(plan.config) != plan.text:
        mode = 0o644 if public else closed
        yield (
            plan.config,
            confwriter.save(str(plan.config), plan.text, mode=mode, group=group),
        )
    if plan.aliases_text != plan.aliases_before:
        mode = 0o644 if draft.system else 0o600
        yield plan.revaliases, _put_aliases(plan, mode)


def _readers(folder: Path, system: bool) -> tuple[int, bool]:
    """Return the group that reads the system's files: as the directory has it.

    Packages make it 0750 and give it to those who send mail, or to the agent.
    """
    if system and folder.is_dir():
        about = folder.stat()
        if about.st_gid and about.st_mode & stat.S_IRGRP:
            return about.st_gid, True
    return -1, False


def _put_aliases(plan: Plan, mode: int) -> str | None:
    folder, name = plan.revaliases.parent, plan.revaliases.name
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        backup = None
        if sources.exists(plan.revaliases):
            mode = stat.S_IMODE(plan.revaliases.stat().st_mode)
            backup = f"{name}.saved-{time.strftime('%Y%m%d-%H%M%S')}"
            inplace.replace(fd, backup, _filled(plan.aliases_before, mode))
        inplace.replace(fd, name, _filled(plan.aliases_text, mode))
    finally:
        os.close(fd)
    return str(folder / backup) if backup else None


def _filled(text: str, mode: int) -> Callable[[int], None]:
    def fill(fd: int) -> None:
        durable.write(fd, text.encode("utf-8", "surrogateescape"))
        os.fchmod(fd, mode)

    return fill
