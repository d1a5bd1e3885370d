"""Start-up is a feature: each road loads the modules that are listed, and no others.

The lists lie beside this file, one module on a line, without those that the interpreter
loads for itself. A module that is not needed any more may stay in a list; one that is
new has to be put there by somebody who knows what it costs (`python3 -X importtime`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent import agents
from tests.startup.roads import MESSAGE, PYTHON, ROOT

HERE = Path(__file__).parent

# The lists are those of this version; on others the library is built otherwise, and
# only our own modules and the notoriously slow ones are looked at.
LISTED_FOR = (3, 11)
SLOW = {
    "argparse",
    "asyncio",
    "base64",
    "calendar",
    "contextlib",
    "dataclasses",
    "datetime",
    "email",
    "enum",
    "inspect",
    "json",
    "logging",
    "pathlib",
    "re",
    "smtplib",
    "socket",
    "subprocess",
    "tempfile",
    "threading",
    "typing",
}


def loaded(*words: str, env: dict[str, str], text: bytes = b"") -> set[str]:
    """Return the names of all modules that a run imports."""
    run = subprocess.run(
        [PYTHON, "-IS", "-X", "importtime", *words],
        input=text,
        capture_output=True,
        env=env,
        timeout=20,
    )
    lines = run.stderr.decode().splitlines()
    said = [line for line in lines if not line.startswith("import time:")]
    assert 0 == run.returncode, said
    return {
        line.rpartition("|")[2].strip()
        for line in lines
        if line.startswith("import time:")
    }


@pytest.fixture(scope="module")
def bare() -> set[str]:
    """What the interpreter loads for itself."""
    return loaded("-c", "", env={})


def compare(road: str, modules: set[str]) -> None:
    """Compare with the list of a road; SSMTP_WRITE_LISTS=1 writes it anew."""
    path = HERE / f"{road}.txt"
    if os.environ.get("SSMTP_WRITE_LISTS"):
        path.write_text("".join(f"{name}\n" for name in sorted(modules)))
    listed = set(path.read_text().split())
    version = subprocess.run(
        [PYTHON, "-ISc", "import sys; print(*sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
    )
    if tuple(map(int, version.stdout.split())) != LISTED_FOR:
        modules = {
            name
            for name in modules
            if name in SLOW or name.partition(".")[0] == "ssmtp"
        }
    newcomers = sorted(modules - listed)

    assert [] == newcomers, (
        f"the road {road!r} imports modules that are not in {path.relative_to(ROOT)}: "
        f"{', '.join(newcomers)}. Import them where they are needed, or, if the road "
        "needs them and their cost is known, add them to the list."
    )


@pytest.mark.parametrize("hub", ["plain"], indirect=True)
def test_plain_road(bare, hub, tmp_path):
    """A message to a mailhub in clear."""
    modules = loaded(
        str(ROOT / "bin" / "sendmail"),
        "-C",
        str(tmp_path / "ssmtp.conf"),
        "-t",
        env={"XDG_STATE_HOME": str(tmp_path)},
        text=MESSAGE,
    )

    assert 1 == len(hub.mails)
    compare("plain", modules - bare)


@pytest.mark.parametrize("hub", ["tls"], indirect=True)
def test_tls_road(bare, hub, tmp_path):
    """A message to a mailhub through TLS, with AUTH."""
    modules = loaded(
        str(ROOT / "bin" / "sendmail"),
        "-C",
        str(tmp_path / "ssmtp.conf"),
        "-t",
        env={"XDG_STATE_HOME": str(tmp_path)},
        text=MESSAGE,
    )

    assert ["me"] == [mail.user for mail in hub.mails]
    compare("tls", modules - bare)


def test_handoff_road(bare, tmp_path):
    """A message to the agent: no configuration, no header repair, no spool."""
    with agents.box() as box:
        box.start()
        modules = loaded(
            str(ROOT / "bin" / "sendmail"),
            *("-C", str(box.conf), "-t"),
            env={"XDG_STATE_HOME": str(tmp_path), "HOME": str(tmp_path)},
            text=MESSAGE,
        )

        assert 1 == len(box.entries())
    assert {"ssmtp.config", "ssmtp.message", "ssl", "_ssl"}.isdisjoint(modules)
    compare("handoff", modules - bare)


def test_mailq_road(bare, tmp_path):
    """A listing of the kept messages."""
    kept = tmp_path / "ssmtp" / "failed"
    kept.mkdir(parents=True)
    (kept / "20261121-211409-7f3a9c04").write_text(
        "ssmtp kept message 1\nstate: deferred\nkind: as-read\n"
        "time: 2026-11-21T21:14:09Z\nreason: no way\n\n\nhello\n"
    )
    modules = loaded(str(ROOT / "bin" / "mailq"), env={"XDG_STATE_HOME": str(tmp_path)})

    compare("mailq", modules - bare)


def test_version_road(bare):
    """Next to nothing."""
    modules = loaded(str(ROOT / "bin" / "sendmail"), "--version", env={})

    compare("version", modules - bare)


def test_the_slow_modules_are_on_no_list():
    """Nobody lists one of them in a hurry."""
    for path in HERE.glob("*.txt"):
        listed = set(path.read_text().split())

        assert sorted(listed) == path.read_text().split(), f"{path.name} is not sorted"
        if path.stem != "tls":
            assert set() == listed & SLOW, path.name


def test_launchers_are_run_as_they_are_measured():
    """What is measured is what the first line of the launchers says."""
    first = (ROOT / "bin" / "sendmail").read_text().splitlines()[0]

    assert f"#!{PYTHON} -IS" == first
    assert sys.version_info >= (3, 11)
