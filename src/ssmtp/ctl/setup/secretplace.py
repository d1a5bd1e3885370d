"""Where the password of an account is kept, so that few can read it.

A password never gets into a file that the configuration of before names: what is
written is a new one, so that a run that is killed leaves the old account whole, and the
backup still leads to its own password.
"""

from __future__ import annotations

import importlib
import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from ssmtp import extras
from ssmtp.ctl import confwriter
from ssmtp.ctl.confwriter import Setting
from ssmtp.ctl.words import _
from ssmtp.errors import ConfigError, Failure, UsageError
from ssmtp.values import shown

STORES = ("file", "credential", "keyring", "command", "inline")
CREDENTIAL = "ssmtp.password"  # what the units of the agent load


@dataclass
class Place:
    """What the configuration says about the password, and what is to be done.

    `write` puts the password there, and returns the file that was not there before.
    `steps` are commands that are left to a person.
    """

    settings: list[Setting] = field(default_factory=list)
    write: Callable[[], str | None] = lambda: None
    steps: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Access:
    """Who may read what is written: the mode of new files, and their group or -1."""

    mode: int
    group: int
    system: bool


def checked(password: str) -> str:
    """Return a password that can be kept and sent; raises `UsageError`."""
    if any(char in password for char in "\0\r\n"):
        raise UsageError(
            _("a password has one line"), _("take the line ends out of it")
        )
    if not password:
        raise UsageError(_("the password is empty"), _("give the right one"))
    return password


def place(
    store: str,
    path: str,
    access: Access,
    account: tuple[str, str],
    password: str | None,
    command: str | None,
) -> Place:
    """Return where the password of an `account` (user, mailhub) goes."""
    if store == "command":
        if command is None:
            raise UsageError(
                _("there is no command for the password"), _("give --password-command")
            )
        words = _("A command that prints the password as its first line.")
        return Place([Setting("AuthPassCommand", command, words)])
    if store == "credential":
        return _credential(access)
    if password is None:
        raise UsageError(
            _("there is no password to keep"), _("give --password-file or -stdin")
        )
    if store == "keyring":
        return _keyring(access, account, password)
    if store == "inline":
        words = _("The password. This file must stay closed to others.")
        return Place([Setting("AuthPass", password, words)])
    return _file(path, access, password)


def _file(path: str, access: Access, password: str) -> Place:
    target = _free(os.path.dirname(path), password)
    words = _("The first line of this file is the password. Nobody else may read it.")
    if access.mode & 0o040:
        words = _(
            "The first line of this file is the password. Root and the group of the"
            " file may read it."
        )

    def write() -> str | None:
        if _holds(target, password):
            if not stat.S_IMODE(os.stat(target).st_mode) & 0o027:
                return None
            confwriter.put_secret(
                target, password, mode=access.mode, group=access.group
            )
            return None
        confwriter.put_secret(target, password, mode=access.mode, group=access.group)
        return target

    return Place([Setting("AuthPassFile", target, words)], write)


def _free(folder: str, password: str) -> str:
    """Return the first name that is not taken by another password."""
    for number in range(1, 1000):
        name = "password" if number == 1 else f"password-{number}"
        path = os.path.join(folder, name)
        if not os.path.lexists(path) or _holds(path, password):
            return path
    raise ConfigError(
        _("{path} is full of old passwords").format(path=shown(folder)),
        _("remove those that are not in use"),
    )


def _holds(path: str, password: str) -> bool:
    try:
        with open(path, "rb") as file:
            line = file.readline(1 << 16).rstrip(b"\r\n")
    except OSError:
        return False
    return line == password.encode("utf-8", "surrogateescape")


def _credential(access: Access) -> Place:
    """Keep it where systemd alone can read it; the agent is given it, nobody else."""
    if not access.system:
        raise UsageError(
            _("a credential is for the agent of the system"),
            _("take --store file or --store keyring, or configure with --system"),
        )
    store = f"/etc/credstore.encrypted/{CREDENTIAL}"
    encrypt = f"sudo systemd-creds encrypt --name={CREDENTIAL} - {store}"
    line = f"LoadCredentialEncrypted={CREDENTIAL}:{store}"
    unit = "/etc/systemd/system/ssmtp-sender.service.d/password.conf"
    drop_in = f"sudo install -D -m 644 /dev/stdin {unit}"
    steps = [
        "sudo mkdir -p -m 700 /etc/credstore.encrypted",
        f"systemd-ask-password -n | {encrypt}",
        f"printf '[Service]\\n{line}\\n' | {drop_in}",
        "sudo systemctl daemon-reload",
        "sudo systemctl restart ssmtp-sender.service",
    ]
    agent_only = _("Nobody but the agent has the password, so all mail goes by it.")
    settings = [
        Setting(
            "AuthPassCredential",
            CREDENTIAL,
            _("The password is a credential of systemd, which the agent is given."),
        ),
        Setting("Delivery", "agent", agent_only),
    ]
    return Place(settings, steps=steps)


def _keyring(access: Access, account: tuple[str, str], password: str) -> Place:
    """Keep it in the keyring of this user, by whichever program there is for it."""
    if access.system:
        raise UsageError(
            _("a keyring belongs to one user, and the system has none"),
            _("take --store file or --store credential"),
        )
    user, host = account
    service = f"ssmtp:{host}"
    if extras.optional("keyring") is not None:
        program = shutil.which("keyring")
        head = [program] if program else [sys.executable, "-m", "keyring"]
        get = [*head, "get", service, user]

        def write() -> None:
            keyring = importlib.import_module("keyring")
            try:
                keyring.set_password(service, user, password)
            except Exception as error:  # each backend has errors of its own
                raise _refused(str(error)) from None

    else:
        program = shutil.which("secret-tool")
        if program is None:
            raise ConfigError(
                _("there is neither the library keyring nor the program secret-tool"),
                _("install one of them (pip install keyring), or take --store file"),
            )
        names = ["service", service, "account", user]
        get = [program, "lookup", *names]
        store = [program, "store", f"--label=ssmtp: {user}", *names]

        def write() -> None:
            done = subprocess.run(
                store,
                input=password.encode("utf-8", "surrogateescape"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                check=False,
            )
            if done.returncode:
                raise _refused(done.stderr.decode("utf-8", "replace").strip())

    words = _("The password is in the keyring, from where this command takes it.")
    return Place([Setting("AuthPassCommand", shlex.join(get), words)], write)


def _refused(reason: str) -> Failure:
    return ConfigError(
        _("the keyring does not take the password: {reason}").format(
            reason=shown(reason)
        ),
        _("unlock it, or take --store file"),
    )
