"""The README's other ways: `pip install .`, `pipx install .`, `uv tool install .`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.install.trees import ROOT

COMMANDS = ("ssmtp", "sendmail", "mailq", "newaliases", "ssmtpctl")

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("SSMTP_REQUIRE_INSTALL") != "1",
        reason="fetches pipx, uv and what builds a wheel: SSMTP_REQUIRE_INSTALL=1",
    ),
    pytest.mark.slow,
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with pip, pipx and uv; its directory of commands.

    Beside it lies what builds a wheel, for uv has an index and certificates of its own.
    """
    place = tmp_path_factory.mktemp("tools")
    subprocess.run(["/usr/bin/python3", "-m", "venv", place], check=True)
    pip = [str(place / "bin/pip"), "--quiet"]
    subprocess.run([*pip, "install", "pipx", "uv"], check=True)
    wheels = place / "wheels"
    subprocess.run([*pip, "download", "--dest", wheels, "hatchling"], check=True)
    (place / "uv.toml").write_text(f'no-index = true\nfind-links = ["{wheels}"]\n')
    return place / "bin"


@pytest.mark.parametrize(
    "words",
    [
        ("pip", "install", "."),
        ("pipx", "install", "."),
        ("uv", "tool", "install", "--python", "/usr/bin/python3", "."),
    ],
    ids=lambda words: words[0],
)
def test_five_commands(words, tools, tmp_path):
    """All five are there and run, away from the checkout; and it stays as it was."""
    checkout = tmp_path / "checkout"
    ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, checkout, symlinks=True, ignore=ignored)
    bin_ = tools if words[0] == "pip" else tmp_path / "bin"
    environ = {
        **{name: text for name, text in os.environ.items() if name != "PYTHONPATH"},
        "PIPX_BIN_DIR": str(bin_),
        "PIPX_HOME": str(tmp_path / "pipx"),
        "UV_CONFIG_FILE": str(tools.parent / "uv.toml"),
        "UV_TOOL_BIN_DIR": str(bin_),
        "UV_TOOL_DIR": str(tmp_path / "uv"),
    }
    run = subprocess.run(
        [tools / words[0], *words[1:]],
        cwd=checkout,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    assert 0 == run.returncode, run.stdout
    for name in COMMANDS:
        done = subprocess.run(
            [bin_ / name, "--version"], cwd="/", capture_output=True, text=True
        )
        assert (0, "", True) == (
            done.returncode,
            done.stderr,
            done.stdout.startswith("ssmtp"),
        )
    for name in ("README.md", "README.es.md"):
        assert f"`{' '.join(words[:2])}" in (ROOT / name).read_text("utf-8")
