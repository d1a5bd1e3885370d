"""The examples of the documentation do what the documentation says."""

from __future__ import annotations

import pytest

from ssmtp.contrib.mailsink import mailsink as mailsink
from tests.docs import pages

# The Spanish README has the same commands: test_readme.py.
TEXTS = [pages.ROOT / "README.md", *sorted((pages.ROOT / "docs").glob("*.md"))]
PAGES = [path for path in TEXTS if pages.blocks(path.read_text())]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_page(path, mailsink, tmp_path):
    """Every example of the page can be followed to its end."""
    pages.Page(path, tmp_path, mailsink).run()


def test_there_are_examples():
    """The pages that show sessions and code are among those that are run."""
    assert {"README.md", "ctl.md", "python.md"} <= {path.name for path in PAGES}


def played(text, mailsink, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text)
    pages.Page(page, tmp_path, mailsink).run()


@pytest.mark.parametrize(
    "text",
    [
        "```console run\n$ echo one\ntwo\n```\n",
        "```console run\n$ false\n```\n",
        "```python run\nassert False\n```\n",
        "```python run\n>>> 1 + 1\n3\n```\n",
        "<!-- $ echo unexpected -->\n",
        "<!-- python: assert kept() -->\n",
    ],
)
def test_what_is_wrong_is_found(text, mailsink, tmp_path):
    """An example that does not do what it says fails, with the line of the page."""
    with pytest.raises(AssertionError, match=r"page.md, line [12]"):
        played(text, mailsink, tmp_path)


def test_what_is_right(mailsink, tmp_path):
    """What is not marked is not run, and names live as long as the page."""
    played(
        "```python\nno code at all\n```\n\n"
        "<!-- $ echo hello > file -->\n\n"
        "```console run\n$ cat file; pwd\nhel...\n/...\n```\n\n"
        "```python run\nx = 1\n```\n\n```python run\n>>> x + 1\n2\n```\n",
        mailsink,
        tmp_path,
    )
