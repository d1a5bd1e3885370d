"""No command stands in a page that nothing tries.

A fenced block of a page is run by `pages` (its first line says `run`), is a recipe of
docs/configuration.md that `world` plays, or has a comment above it:

    <!-- caller: NAME -->         tests/callers gives it to a program
    <!-- followed: NAME -->       tests/install types it below a systemd of its own
    <!-- not run: REASON -->      no command, or none that can be tried anywhere

The rest stands in `ELSEWHERE`, with the file that runs it and the words of it there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from ssmtp.contrib.mailsink import mailsink as mailsink
from tests.docs import pages, world

ROOT = pages.ROOT
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(
    r"(?:^<!-- ([^\n]*) -->\n+)?^ *```([^\n]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL
)
FOLLOWED = {
    "agent.md": "tests/install/test_agent_page.py",
    "callers.md": "tests/install/test_onfailure.py",
}
CI = ".ci/run"
# Commands that take another machine, never end, or ask a person; and who runs them.
ELSEWHERE = {
    "sudo apt install ./dist/ssmtp-ng_*.deb ./dist/ssmtp-ng-mta_*.deb": (
        "tests/debian/inside.sh",
        "apt install /packages/ssmtp-ng-mta_*.deb",
    ),
    "bin/ssmtpctl sink": ("tests/cli/test_sink.py", '"sink"'),
    "make demo": (CI, "make demo"),
    "make test": (CI, "make test"),
    "make coverage": (CI, "make coverage"),
    "make fuzz SECONDS_EACH=60 DIALOGUES=1000000 SEED=1": (CI, "make fuzz SECONDS"),
    "ssmtpctl migrate --dry-run": ("tests/docs/test_blocks.py", "def test_migrating"),
    "ssmtpctl migrate msmtp": ("tests/docs/test_blocks.py", "def test_migrating"),
    "$ ssmtpctl setup you@gmail.com": ("tests/setup/test_terminal.py", "Password for"),
}
# What takes hours and measures rather than proves: their pages hold what came of it.
BY_HAND = {
    "make bench",
    "make mutate",
    'make mutate ARGS="--sample 500"',
    "make mutate ARGS=\"'ssmtp.smtp.lines.*'\"",
}
# Those that prove nothing about the program, and `deb`, which tests/debian/run.sh runs.
UNPROVED = {"bench", "deb", "format", "man", "mutate", "nightly", "setup", "soak"}


def blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield comment, first line and content of each fenced block of a page."""
    for at in BLOCK.finditer(text):
        yield at[1] or "", at[2], at[3]


def untried(name: str, text: str) -> list[str]:
    """Return the first lines of the blocks that nothing tries."""
    recipes: set[tuple[str, ...]] = set(
        world.RECIPE.findall(world.PAGE.read_text("utf-8"))
    )
    return [
        content.splitlines()[0]
        for mark, kind, content in blocks(text)
        if not _is_tried(name, mark, kind, content, recipes)
    ]


def _is_tried(
    name: str, mark: str, kind: str, content: str, recipes: set[tuple[str, ...]]
) -> bool:
    if kind.endswith(" run") or (*kind.partition(" ")[::2], content) in recipes:
        return True
    way, _, what = mark.partition(": ")
    if way == "caller":
        return name == "callers.md"
    if way == "followed":
        return f'"{what}"' in (ROOT / FOLLOWED[name]).read_text("utf-8")
    if way == "not run":
        return what != ""
    lines = [line for line in content.splitlines() if kind == "" or line[:1] == "$"]
    return bool(lines) and set(lines) <= {*ELSEWHERE, *BY_HAND}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_block_is_tried(path):
    """Each block is run, is given to a program, or says why nothing can try it."""
    assert [] == untried(path.name, path.read_text("utf-8"))


def test_pages_hold_blocks():
    """They are found: most pages have some."""
    found = {path.name: len(list(blocks(path.read_text("utf-8")))) for path in PAGES}

    assert 30 < found["callers.md"]
    for path in PAGES:
        assert path.read_text("utf-8").count("```") == 2 * found[path.name], path


def test_what_is_new_is_missed():
    """A block that nobody has thought of makes the test above fail."""
    block = "```\nssmtpctl frobnicate\n```\n"

    assert ["ssmtpctl frobnicate"] == untried("page.md", block)
    assert ["a"] == untried("page.md", "<!-- not run: -->\n```\na\n```\n")
    assert ["a"] == untried("agent.md", "<!-- followed: nothing -->\n```\na\n```\n")
    assert ["a=b"] == untried("page.md", "```ini /etc/ssmtp/ssmtp.conf\na=b\n```\n")


@pytest.mark.parametrize("command", ELSEWHERE)
def test_what_is_tried_elsewhere_is(command):
    """The file that runs it is there, and has the words."""
    path, words = ELSEWHERE[command]

    assert words in (ROOT / path).read_text("utf-8")


def targets() -> set[str]:
    """Return the targets of make that any page names."""
    return {
        target
        for path in PAGES
        for target in re.findall(
            r"(?:`|^)make (\w+)", path.read_text("utf-8"), re.MULTILINE
        )
    }


def test_targets_of_make():
    """Each that a page names is one, and .ci/run runs it unless it takes hours."""
    known = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert known is not None
    ran = (ROOT / CI).read_text()

    assert 8 < len(targets())
    for target in targets():
        assert target in known[1].split()
        if target not in UNPROVED:
            assert f"make {target}" in ran, target


def test_migrating(mailsink, tmp_path):
    """What docs/migrating.md shows first tells what there is, and takes it over."""
    text = (ROOT / "docs" / "migrating.md").read_text("utf-8")
    look, take = (content.strip() for mark, kind, content in blocks(text) if not kind)
    (tmp_path / ".msmtprc").write_text(
        "defaults\nauth on\ntls on\naccount default\nhost mail.example.org\n"
        "from you@example.org\nuser you\npassword open-sesame\n"
    )
    (tmp_path / ".msmtprc").chmod(0o600)
    page = pages.Page(tmp_path / "page.md", tmp_path, mailsink)
    del page.environ["SSMTP_CONF"]
    said = page.shell(look)
    ours = tmp_path / ".config" / "ssmtp" / "ssmtp.conf"

    assert "mail.example.org" in said
    assert not ours.exists()
    page.shell(f"{take} --yes --user-file")
    assert "Mailhub=mail.example.org" in ours.read_text()
