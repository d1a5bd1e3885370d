"""The code of an installation: a directory of its own for each version of it.

The directory is named after what is in it, is made whole under another name, and never
changes after that. Launchers that are put in place later lead there. The one before
stays until the next installation: a run that began with it still finds its modules.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ssmtp import __version__
from ssmtp.ctl.install.ground import Ground, Refused, ways_up
from ssmtp.ctl.words import _
from ssmtp.errors import SystemTrouble
from ssmtp.values import shown

USUAL = "/usr/bin/python3"
_GROUPS = """\
import sys
sys.path.insert(0, sys.argv[1])
from ssmtp import bytegroups
bytegroups.make()
"""
KEPT = 2  # trees: this one and the one before


def contents(code: dict[str, Path], shared: dict[str, Path]) -> dict[str, bytes]:
    """Return what the directory holds: path → content, without bytecode."""
    files = {name: path.read_bytes() for name, path in code.items()}
    for name, path in shared.items():
        files[f"share/{name}"] = path.read_bytes()
    return files


def name(files: dict[str, bytes]) -> str:
    """Return the name of the directory that holds these files."""
    whole = hashlib.sha256()
    for path, content in sorted(files.items()):
        whole.update(f"{path}\0{len(content)}\0".encode() + content)
    return f"{__version__}-{whole.hexdigest()[:12]}"


def is_whole(ground: Ground, path: str, files: dict[str, bytes]) -> bool:
    """Tell whether the directory is there, with every file as it should be."""
    top = Path(ground.real(path))
    try:
        return all((top / n).read_bytes() == content for n, content in files.items())
    except OSError:
        return False


def make(ground: Ground, path: str, files: dict[str, bytes], python: str) -> None:
    """Make the directory and compile what is in it, for this interpreter."""
    real = ground.real(path)
    if not is_whole(ground, path, files):
        ground.remove_tree(path)
        building = f"{os.path.dirname(real)}/.{os.path.basename(path)}.building"
        shutil.rmtree(building, ignore_errors=True)
        for place, content in files.items():
            file = Path(building, place)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        _compile(building, path, python)
        os.sync()
        os.rename(building, real)
    else:
        _compile(real, path, python)


def sweep(ground: Ground, base: str) -> None:
    """Remove what a run that was killed had begun."""
    for path in Path(ground.real(base)).glob(".*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)


def _compile(place: str, final: str, python: str) -> None:
    """Compile all modules, so that no other user has to; raises `SystemTrouble`."""
    command = [python, "-IS", "-m", "compileall", "-q"]
    # By time and size of the source, whatever the environment says: see bytecode.py.
    command += ["--invalidation-mode", "timestamp", "-s", place, "-p", final]
    for words in (
        [*command, f"{place}/ssmtp"],
        [python, "-ISc", _GROUPS, place],
    ):
        run = subprocess.run(words, capture_output=True, text=True, check=False)
        if run.returncode:
            said = (run.stdout + run.stderr).strip().rpartition("\n")[2]
            raise SystemTrouble(
                _("{path} cannot compile the code: {reason}").format(
                    path=shown(python), reason=shown(said)
                ),
                _("name another interpreter with --python"),
            )


def interpreter(named: str | None, before: str, system: bool) -> str:
    """Return the path of the interpreter for the launchers.

    That is `named`, else that of the installation `before`, else the system's own, else
    the one that runs this. Raises `Refused` when it is too old, or when others who send
    mail could not run it.
    """
    running = os.path.realpath(getattr(sys, "_base_executable", ""))
    for path in [named] if named else [before, USUAL, running]:
        if not path or not _is_fit(path):
            continue
        if system and not _is_open(path):
            step = _(
                "install Python 3.11 or later as {path}, or name another interpreter"
                " with --python"
            )
            raise Refused(
                _("other users cannot run {path}").format(path=shown(path)),
                step.format(path=USUAL),
            )
        return os.path.abspath(path)
    raise Refused(
        _("{path} is no Python 3.11 or later").format(path=shown(named or USUAL)),
        _("name an interpreter with --python"),
    )


def _is_fit(path: str) -> bool:
    script = "import sys; sys.exit(sys.version_info < (3, 11))"
    try:
        run = subprocess.run([path, "-ISc", script], capture_output=True, check=False)
    except OSError:
        return False
    return run.returncode == 0


def _is_open(path: str) -> bool:
    """Tell whether everybody may run this program."""
    return all(
        os.stat(step).st_mode & 0o001
        for place in (path, os.path.realpath(path))
        for step in ways_up(place)
    )
