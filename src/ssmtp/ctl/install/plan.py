"""What an installation consists of: every file, with its place, content and mode.

Nothing here looks at what is there already; that is for `changes`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ssmtp.ctl.install import launchers

# The names of the one program, with the folder that each belongs to.
LINKS = (("sbin", "sendmail"), ("bin", "mailq"), ("bin", "newaliases"))
PAGE_LINKS = ("sendmail", "mailq", "newaliases")
WITH_SBIN = ("/usr", "/usr/local")
COMPLETIONS = {
    "bash": "share/bash-completion/completions",
    "zsh": "share/zsh/site-functions",
    "fish": "share/fish/vendor_completions.d",
}
UNIT_PROGRAM = "/usr/bin/ssmtpctl"


@dataclass(frozen=True)
class Item:
    """A file or a link to be there.

    What is `private` is its owner's: it is written only where there is nothing yet.
    """

    path: str
    content: bytes = b""
    link: str = ""
    mode: int = 0o644
    private: bool = False


@dataclass(frozen=True)
class Layout:
    """Where everything goes, in absolute paths below the --root of the day."""

    prefix: str
    config: str  # directory of the configuration
    units: str  # directory of the systemd units
    system: bool  # for the machine, not for one user

    @property
    def base(self) -> str:
        """The directory that is all ours: code, and the record of what was written."""
        return f"{self.prefix}/lib/ssmtp"

    def command(self, folder: str, name: str) -> str:
        """Return the path of a command; few systems have sbin directories."""
        folder = folder if self.prefix in WITH_SBIN else "bin"
        return f"{self.prefix}/{folder}/{name}"


def layout(prefix: str, home: str, config_home: str) -> Layout:
    """Return the layout for a prefix; one inside the home directory is for one user."""
    inside = home not in ("", "/") and f"{prefix}/".startswith(f"{home}/")
    if inside:
        return Layout(
            prefix, f"{config_home}/ssmtp", f"{config_home}/systemd/user", False
        )
    return Layout(prefix, "/etc/ssmtp", "/etc/systemd/system", True)


def items(
    where: Layout, shared: dict[str, Path], python: str, tree: str, agent: bool
) -> list[Item]:
    """Return all there is to install, `sendmail` itself last."""
    return [
        *_pages(where, shared),
        *_completions(where, shared),
        *(_units(where, shared) if agent else ()),
        _configuration(where, shared),
        *_commands(where, python, tree),
    ]


def _pages(where: Layout, shared: dict[str, Path]) -> Iterator[Item]:
    for name, path in shared.items():
        if not name.startswith("man/"):
            continue
        target = f"{where.prefix}/share/{name}"
        yield Item(target, path.read_bytes())
        if os.path.basename(name) == "ssmtp.8":
            for link in PAGE_LINKS:
                yield Item(f"{os.path.dirname(target)}/{link}.8", link="ssmtp.8")


def _completions(where: Layout, shared: dict[str, Path]) -> Iterator[Item]:
    for name, path in shared.items():
        kind, _, rest = name.partition("/")
        shell, _, file = rest.partition("/")
        if kind != "completions":
            continue
        folder = f"{where.prefix}/{COMPLETIONS[shell]}"
        yield Item(f"{folder}/{file}", path.read_bytes())
        # Shells that look for a file by the name of the command.
        if file == "ssmtp":
            yield Item(f"{folder}/sendmail", link="ssmtp")
        elif file == "ssmtp.fish":
            yield Item(f"{folder}/sendmail.fish", link="ssmtp.fish")


def _units(where: Layout, shared: dict[str, Path]) -> Iterator[Item]:
    kind = "system" if where.system else "user"
    program = where.command("bin", "ssmtpctl")
    for name, path in shared.items():
        folder, _, file = name.rpartition("/")
        if folder == f"systemd/{kind}":
            text = path.read_text().replace(UNIT_PROGRAM, program)
            yield Item(f"{where.units}/{file}", text.encode())
        elif folder in ("sysusers.d", "tmpfiles.d") and where.system:
            yield Item(f"/etc/{name}", path.read_bytes())


def _configuration(where: Layout, shared: dict[str, Path]) -> Item:
    return Item(
        f"{where.config}/ssmtp.conf",
        shared["ssmtp.conf"].read_bytes(),
        mode=0o640 if where.system else 0o600,
        private=True,
    )


def _commands(where: Layout, python: str, tree: str) -> Iterator[Item]:
    for folder, name in (("bin", "ssmtpctl"), ("sbin", "ssmtp")):
        text = launchers.text(name, python, tree)
        yield Item(where.command(folder, name), text.encode(), mode=0o755)
    program = where.command("sbin", "ssmtp")
    for folder, name in reversed(LINKS):
        path = where.command(folder, name)
        yield Item(path, link=os.path.relpath(program, os.path.dirname(path)))
    # Where programs looked for it before there was /usr/sbin.
    old = f"{where.prefix}/lib/sendmail"
    new = where.command("sbin", "sendmail")
    yield Item(old, link=os.path.relpath(new, os.path.dirname(old)))
