"""Finds the interpreters of this machine that ssmtp can run on."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path

NEWEST = 20  # of the minor versions that are looked for


@functools.cache
def found() -> dict[str, str]:
    """Return one path for each version, as 3.12.1, that has the `ssl` module."""
    places = [Path(place) for place in os.get_exec_path()] + [Path("/usr/bin")]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    places += sorted(pyenv.glob("versions/*/bin"))
    names = ["python3", *(f"python3.{minor}" for minor in range(11, NEWEST))]
    versions: dict[str, str] = {}
    seen: set[Path] = set()
    for place in places:
        for path in (place / name for name in names):
            real = path.resolve()
            # Not path.is_file(), which raises where a directory may not be entered.
            if not os.path.isfile(path) or real in seen or "shims" in real.parts:
                continue
            seen.add(real)
            version = _version(real)
            if version:
                versions.setdefault(version, str(real))
    return dict(sorted(versions.items()))


def _version(path: Path) -> str:
    """Return the version of an interpreter, "" if it will not do."""
    asked = "import ssl, sys; print(sys.version_info > (3, 11), sys.version.split()[0])"
    try:
        done = subprocess.run(
            [path, "-IS", "-c", asked], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    good, _, version = done.stdout.strip().partition(" ")
    return version if good == "True" else ""
