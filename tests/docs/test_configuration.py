"""The recipes of docs/configuration.md do what the page says, as they stand there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from tests.docs import pages, world

TEXT = world.PAGE.read_text("utf-8")
HEADINGS = list(world.sections(TEXT))


@pytest.fixture(scope="module")
def played() -> dict[str, str | None]:
    """Play all of them, once; for each, what went wrong."""
    unshare = ["unshare", "--mount", "--net"]
    if os.getuid() != 0:
        unshare.append("--map-root-user")
    try:
        subprocess.run([*unshare, "mount", "-t", "tmpfs", "none", "/run"], check=True)
    except (OSError, subprocess.CalledProcessError):
        if os.environ.get("SSMTP_REQUIRE_RECIPES"):
            raise
        pytest.skip("needs namespaces (user namespaces, or root)")
    outside = os.readlink("/proc/self/ns/mnt")
    done = subprocess.run(
        [*unshare, sys.executable, "-m", "tests.docs.world", outside],
        capture_output=True,
        text=True,
        cwd=pages.ROOT,
        env={**os.environ, "PYTHONPATH": f"{pages.ROOT / 'src'}:{pages.ROOT}"},
    )
    assert 0 == done.returncode, done.stderr
    found: dict[str, str | None] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("heading", HEADINGS)
def test_recipe(heading, played):
    """The mail arrives as the recipe says, and what it says of refusals is so."""
    assert played[heading] is None, played[heading]


def test_every_block_is_tried():
    """No file and no command stands in the page that is not part of a recipe."""
    marks = re.findall(r"^```(.+)$", TEXT, re.MULTILINE)

    assert len(marks) == len(world.RECIPE.findall(TEXT))
    assert 15 < len(HEADINGS)


def test_it_lays_nothing_over_somebodys_own():
    """Without namespaces of its own, the world refuses to begin."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.docs.world", os.readlink("/proc/self/ns/mnt")],
        cwd=pages.ROOT,
        env={**os.environ, "PYTHONPATH": f"{pages.ROOT / 'src'}:{pages.ROOT}"},
    )

    assert 64 == done.returncode
