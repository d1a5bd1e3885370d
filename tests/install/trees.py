"""A tree of files before and after: what an installation did to it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

ROOT = Path(__file__).parents[2]
SSMTPCTL = ROOT / "bin" / "ssmtpctl"
SENDMAIL = "#!/bin/sh\n# another sendmail\n"


def snapshot(top: Path) -> dict[str, tuple[object, ...]]:
    """Return everything below a directory: path → kind, mode, content or target."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(top.rglob("*")):
        facts = path.lstat()
        mode = stat.S_IMODE(facts.st_mode)
        if path.is_symlink():
            found[str(path.relative_to(top))] = ("link", os.readlink(path))
        elif path.is_dir():
            found[str(path.relative_to(top))] = ("directory", mode, facts.st_gid)
        else:
            content = path.read_bytes()
            found[str(path.relative_to(top))] = ("file", mode, facts.st_gid, content)
    return found


def without_bytecode(found: dict[str, tuple[object, ...]]) -> dict[str, object]:
    """Leave out what was compiled: it tells the time of its source."""
    return {path: what for path, what in found.items() if "__pycache__" not in path}


def old_system(root: Path) -> None:
    """Make a tree with another mailer, and its configuration."""
    for folder in ("usr/sbin", "usr/bin", "usr/lib", "etc/ssmtp"):
        (root / folder).mkdir(parents=True)
    (root / "usr/sbin/sendmail").write_text(SENDMAIL)
    (root / "usr/sbin/sendmail").chmod(0o2755)
    (root / "usr/bin/mailq").symlink_to("../sbin/sendmail")
    (root / "usr/lib/sendmail").symlink_to("../sbin/sendmail")
