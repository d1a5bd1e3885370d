"""The machine and the programs, for the head of the report."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from bench.programs import PYTHON, Program


def facts(programs: list[Program], missing: list[str]) -> list[tuple[str, str]]:
    """Return what somebody has to know who wants to repeat it."""
    python = _said(PYTHON, "-ISc", "import sys; print(sys.version.split()[0])")
    openssl = _said(PYTHON, "-ISc", "import ssl; print(ssl.OPENSSL_VERSION)")
    rows = [
        ("processor", f"{_processor()}, {os.cpu_count()} cores"),
        (
            "memory",
            f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        ),
        ("system", f"{_system()}, Linux {platform.release()}"),
        ("Python", f"{python}, {openssl}"),
        ("load before", " ".join(f"{load:.1f}" for load in os.getloadavg())),
    ]
    rows += [(p.title, p.version()) for p in programs]
    rows += [("not there", trouble) for trouble in missing]
    return rows


def _said(*words: str) -> str:
    return subprocess.run(
        words, capture_output=True, text=True, check=True
    ).stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _system() -> str:
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return platform.system()
