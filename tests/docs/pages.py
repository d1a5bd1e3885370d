"""Runs the examples of a page of the documentation, in their order.

A fenced block whose first line says `run` is run:

    ```python run        statements, or a doctest when it holds `>>>`
    ```console run       `$ command` and the output that is expected of it

What a reader need not see stands in a comment of a line of its own:

    <!-- $ printf x > file -->              a command
    <!-- python: assert 1 == len(kept()) --> a statement

In outputs `...` stands for any text. A page has a directory of its own, a mailhub on
the loopback interface (`mailsink` in statements) that `$SSMTP_CONF` leads to, and a
failed store (`kept()`); the commands of bin/ are on the path, behind those that a page
makes in `stubs`, and `$CHECKOUT` is this checkout. Statements of a page share their
names.
"""

from __future__ import annotations

import contextlib
import doctest
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ssmtp.contrib.mailsink import Sink

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w+) run\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HIDDEN = re.compile(r"^<!-- (?:(\$)|python:) (.*) -->$", re.MULTILINE)
SECONDS = 30


@dataclass(frozen=True)
class Block:
    """Something to run, and the number of its line in the page."""

    kind: str  # python, console, hidden command
    text: str
    line: int


def blocks(text: str) -> list[Block]:
    """Return what is to be run of a page, in order."""
    found = [
        (at.start(), Block(at[1], at[2], text.count("\n", 0, at.start()) + 2))
        for at in FENCE.finditer(text)
    ]
    for at in HIDDEN.finditer(text):
        kind = "command" if at[1] else "python"
        line = text.count("\n", 0, at.start()) + 1
        found.append((at.start(), Block(kind, at[2], line)))
    return [block for _, block in sorted(found, key=lambda pair: pair[0])]


def named(text: str, mark: str) -> dict[str, str]:
    """Return the blocks of a page that stand below `<!-- MARK: NAME -->`, by name."""
    fence = rf"^<!-- {mark}: ([\w-]+) -->\n+```\w*\n(.*?)^```$"
    found = re.findall(fence, text, re.MULTILINE | re.DOTALL)
    assert len(found) == len(dict(found)), "a name was given twice"
    return dict(found)


@dataclass
class Page:
    """A page while it is run; `place` is its directory."""

    path: Path
    place: Path
    sink: Sink

    def __post_init__(self) -> None:
        self.state = self.place / "state"
        self.environ = {
            "CHECKOUT": str(ROOT),
            "HOME": str(self.place),
            "LC_ALL": "C.UTF-8",
            "PATH": f"{self.place / 'stubs'}:{ROOT / 'bin'}:/usr/bin:/bin",
            "SSMTP_CONF": str(self.sink.config),
            "XDG_STATE_HOME": str(self.state),
        }
        self.names: dict[str, object] = {"mailsink": self.sink, "kept": self.kept}

    def kept(self) -> list[Path]:
        """Return what could not be sent."""
        return list(self.state.glob("ssmtp/failed/*"))

    def run(self) -> None:
        """Run all of it; raises `AssertionError` that names the line."""
        with _here(self.place, self.environ):
            for block in blocks(self.path.read_text("utf-8")):
                try:
                    self.play(block)
                except Exception as error:
                    where = f"{self.path.name}, line {block.line}"
                    raise AssertionError(f"{where}: {error!r}\n{error}") from error

    def play(self, block: Block) -> None:
        """Run one block."""
        if block.kind == "console":
            self.console(block)
        elif block.kind == "command":
            said = self.shell(block.text)
            assert "" == said, said
        elif ">>>" in block.text:
            self.doctest(block)
        else:
            # The lines of the page, for tracebacks.
            code = "\n" * (block.line - 1) + block.text
            exec(compile(code, str(self.path), "exec"), self.names)

    def doctest(self, block: Block) -> None:
        """Compare what the prompts of Python answer."""
        test = doctest.DocTestParser().get_doctest(
            block.text, self.names, self.path.name, str(self.path), block.line - 1
        )
        told: list[str] = []
        runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
        runner.run(test, out=told.append, clear_globs=False)
        self.names.update(test.globs)
        assert not runner.failures, "".join(told)

    def console(self, block: Block) -> None:
        """Compare what the commands of a session say."""
        for command, expected in commands(block.text):
            said = self.shell(command)
            assert is_like(expected, said), f"$ {command}\n{said}"

    def shell(self, command: str) -> str:
        """Run a command, which must end with 0; return all that it says."""
        done = subprocess.run(
            ["bash", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.place,
            env=self.environ,
            timeout=SECONDS,
        )
        said = done.stdout.decode()
        assert 0 == done.returncode, f"exit {done.returncode} of: {command}\n{said}"
        return said


def commands(session: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a session, and what is expected of it."""
    for part in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield command, expected


def is_like(expected: str, said: str) -> bool:
    """Tell whether an output is what was expected; `...` is any text."""
    pieces = map(re.escape, expected.rstrip("\n").split("..."))
    lines = [line.rstrip() for line in said.splitlines()]
    return re.fullmatch(".*?".join(pieces), "\n".join(lines), re.DOTALL) is not None


@contextlib.contextmanager
def _here(place: Path, environ: dict[str, str]) -> Iterator[None]:
    """Be in a directory, with an environment, for as long as statements run."""
    before, directory = dict(os.environ), os.getcwd()
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(place)
    try:
        yield
    finally:
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(before)
