"""The configurations of other programs below files/, and what must become of each.

A case is a directory: `etc` and `home` are the files as they lie on a machine, and
`expected` is what migrate makes of them: the settings, `[password]`, `[revaliases]`,
`[keys]` (what became of each key) and `[notes]` (how each one begins).
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from ssmtp import ctl
from ssmtp.ctl import migrate

FILES = Path(__file__).parent / "files"
LOGINS = {"root": 0, "www-data": 33, "backup": 34}


@dataclass
class Told:
    """What a run of `ssmtpctl migrate` said and did."""

    code: int
    out: str
    err: str

    @property
    def facts(self):
        """What --json said."""
        return json.loads(self.out)


def cases() -> list[Path]:
    """Return the directories of all cases."""
    return sorted(path for path in FILES.glob("*/*") if path.is_dir())


def name_of(case: Path) -> str:
    """Return what a case is called in the list of tests."""
    return f"{case.parent.name}/{case.name}"


@contextlib.contextmanager
def machine(root: Path) -> Iterator[None]:
    """Be on a machine with these files, as the user `you`, whatever this one is."""

    def by_name(name: str) -> pwd.struct_passwd:
        return pwd.struct_passwd((name, "x", LOGINS[name], 0, "", "/", "/bin/sh"))

    you = SimpleNamespace(login="you", home=str(root / "home"))
    environment = {"HOME": str(root / "home"), "LC_ALL": "C"}
    with (
        mock.patch.object(migrate, "ROOT", root),
        mock.patch.object(migrate, "caller", return_value=you),
        mock.patch.object(pwd, "getpwnam", by_name),
        mock.patch.dict(os.environ, environment),
    ):
        os.environ.pop("XDG_CONFIG_HOME", None)
        yield


def run(root: Path, *words: str) -> Told:
    """Run `ssmtpctl migrate` on such a machine."""
    out, err = io.StringIO(), io.StringIO()
    with (
        machine(root),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch("sys.stdin", io.StringIO()),
    ):
        try:
            code = ctl.main(["migrate", *words])
        except SystemExit as ended:
            code = int(str(ended.code))
    return Told(code, out.getvalue(), err.getvalue())


def words(case: Path, folder: Path) -> list[str]:
    """Return the command line for a case."""
    scope = "--user-file" if (case / "home").is_dir() else "--system"
    account = case / "account"
    chosen = ["--account", account.read_text().strip()] if account.exists() else []
    output = ["--output", f"{folder}/ssmtp.conf"]
    return [case.parent.name, scope, *output, *chosen, "--yes", "--json"]


def outcome(case: Path, folder: Path, told: Told) -> str:
    """Return what came of taking a case over into a folder, as `expected` has it."""
    assert 0 == told.code, told.err
    facts = told.facts
    parts = [*facts["settings"]]
    for number, line in enumerate(parts):
        parts[number] = line.replace(str(folder), "@").replace(str(case), "~")
    passwords = sorted(folder.glob("password*"))
    if passwords:
        parts += ["[password]", *(path.read_text().rstrip("\n") for path in passwords)]
    if (folder / "revaliases").exists():
        lines = (folder / "revaliases").read_text().splitlines()
        parts += ["[revaliases]", *lines]
    parts.append("[keys]")
    for key in facts["keys"]:
        place = f"{Path(key['file']).name}:{key['line'] or '-'}"
        parts.append(f"{key['outcome']} {key['key']} {place}")
    if facts["notes"]:
        notes = (note.replace(str(case), "~") for note in facts["notes"])
        parts += ["[notes]", *(note[:50].rstrip() for note in notes)]
    return "\n".join(parts) + "\n"
