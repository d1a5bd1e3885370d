"""Where the files lie that belong to us and are no code: pages, units, completions.

There are three such places: a checkout, what pip laid down, and an installation of our
own, from which another can be made. In each, a file goes by the same name:

    ssmtp.conf                    the configuration to begin with
    man/man8/ssmtp.8              manual pages; man/es/man8/ssmtp.8 is a translation
    completions/bash/ssmtp        and zsh, fish
    systemd/system/ssmtp.socket   and sysusers.d/…, tmpfiles.d/…
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterator
from pathlib import Path

import ssmtp
from ssmtp.ctl.words import _
from ssmtp.errors import UsageError

PROJECT = "ssmtp-ng"
PACKAGE = Path(ssmtp.__file__).resolve().parent


def files(package: Path = PACKAGE) -> dict[str, Path]:
    """Return the shared files by name; raises `UsageError` when there are none."""
    found = _installed(package) or _checkout(package) or _by_pip()
    if "ssmtp.conf" not in found:
        raise UsageError(
            _("the files to install do not lie beside {path}").format(path=package),
            _("start from a checkout or from what pip, pipx or uv installed"),
        )
    return found


def code(package: Path = PACKAGE) -> dict[str, Path]:
    """Return the files of the package itself, by their path below its parent."""
    return {
        path.relative_to(package.parent).as_posix(): path
        for path in sorted(package.rglob("*"))
        if path.suffix in (".py", ".json", ".mo", ".po", ".txt")
        or path.name == "py.typed"
    }


def _installed(package: Path) -> dict[str, Path]:
    return _below(package.parent / "share")


def _checkout(package: Path) -> dict[str, Path]:
    top = package.parent.parent
    if package.parent.name != "src" or not (top / "pyproject.toml").is_file():
        return {}
    pages = top / "docs" / "man"
    found = _below(top / "share")
    for page in sorted(pages.rglob("*.[1-9]")):
        language = page.parent.relative_to(pages)
        folder = Path("man", language, f"man{page.suffix[1:]}")
        found[(folder / page.name).as_posix()] = page
    return found


def _below(folder: Path) -> dict[str, Path]:
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def wrappers() -> frozenset[str]:
    """Return the real paths of the commands that pip, pipx or uv made for this code."""
    return frozenset(
        os.path.realpath(path)
        for name, path in _listed()
        if os.path.basename(os.path.dirname(name)) == "bin"
    )


def _by_pip() -> dict[str, Path]:
    found = {}
    for name, path in _listed():
        for mark, place in (("share/ssmtp/", ""), ("share/man/", "man/")):
            _, there, rest = name.partition(mark)
            if there:
                found[place + rest] = Path(path).resolve()
    return found


def _listed() -> Iterator[tuple[str, str]]:
    """Yield what pip laid down: the name in its list, and the path."""
    try:
        entries = importlib.metadata.files(PROJECT) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for entry in entries:
        yield entry.as_posix(), str(entry.locate())
