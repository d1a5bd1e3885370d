"""Kills `ssmtpctl install` and `uninstall` before each change, and runs them again.

    kill.py SCENARIO DIRECTORY

Prints how often it killed. What another run makes of what is left is compared with what
a run makes that nobody disturbs; on a difference it says where, and exits with 1.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / part) for part in ("src", ".")]

from ssmtp import ctl  # noqa: E402
from ssmtp.ctl.install import shared, tree  # noqa: E402
from tests.install.trees import old_system, snapshot  # noqa: E402

CHANGES = ("os.rename", "os.link", "os.symlink", "os.mkdir", "os.rmdir", "os.remove")
SCENARIOS = {
    # what is done before, what is killed, what is run then
    "install, uninstall": ("", "install", "uninstall"),
    "install, install": ("", "install", "install"),
    "uninstall, uninstall": ("install", "uninstall", "uninstall"),
    "uninstall, install": ("install", "uninstall", "install"),
}


def child(work: Callable[..., None], *arguments: object) -> int:
    """Run something in a process of its own; return how that ended."""
    pid = os.fork()
    if not pid:
        try:
            work(*arguments)
        finally:
            os._exit(70)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(verb: str, root: Path) -> None:
    """Run a verb, quietly."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    words = [verb, "--root", str(root), "--prefix", "/usr"]
    os._exit(ctl.main([*words, "--replace"] if verb == "install" else words))


def killed(verb: str, root: Path, last: int) -> None:
    """Run a verb until the change with this number, which is not made."""
    count = 0

    def look(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event not in CHANGES or ".building" in str(arguments[0]):
            return
        # What lies in a directory that is being removed has relative names.
        name = str(arguments[0])
        if not name.startswith("/") or (event == "os.remove" and not is_there(name)):
            return
        count += 1
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)
    run(verb, root)


def is_there(name: str) -> bool:
    return os.path.lexists(name)


def little(folder: Path) -> None:
    """Let there be little to install, and none of it change while this runs."""
    tree._compile = lambda place, final, python: None
    code = {name: path for name, path in shared.code().items() if "install/" in name}
    files = shared.files()
    for name, path in (*code.items(), *files.items()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / name)
    shared.code = lambda package=folder: {name: folder / name for name in code}
    shared.files = lambda package=folder: {name: folder / name for name in files}


def main(scenario: str, folder: Path) -> int:
    little(folder / "source")
    before, disturbed, after = SCENARIOS[scenario]
    start, wanted = folder / "start", folder / "wanted"
    start.mkdir()
    old_system(start)
    clean = snapshot(start)
    if before:
        assert 0 == child(run, before, start)
    shutil.copytree(start, wanted, symlinks=True)
    if after == "install":
        assert 0 == child(run, "install", wanted)
    expected = snapshot(wanted) if after == "install" else clean
    last = 0
    while True:
        last += 1
        root = folder / "root"
        shutil.copytree(start, root, symlinks=True)
        code = child(killed, disturbed, root, last)
        assert code in (0, -signal.SIGKILL), code
        assert 0 == child(run, after, root), last
        found = snapshot(root)
        for path in sorted(expected.keys() | found.keys()):
            # In the record, the order and what earlier contents were may differ.
            if path.endswith("manifest.json"):
                continue
            if expected.get(path) != found.get(path):
                print(f"{scenario}, killed before change {last}: {path} differs")
                return 1
        shutil.rmtree(root)
        if code == 0:
            print(last - 1)
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
