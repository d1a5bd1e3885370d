"""The short way to our own modules ends where Python's importer would have ended."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = "/usr/bin/python3"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what a command needs, with bytecode."""
    place = tmp_path / "checkout"
    shutil.copytree(
        ROOT / "src/ssmtp",
        place / "src/ssmtp",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (place / "bin").mkdir()
    shutil.copy(ROOT / "bin/ssmtp", place / "bin/ssmtp")
    version(place)  # makes bytecode
    version(place)  # and what belongs together
    return place


def version(place: Path, *before: str) -> str:
    run = subprocess.run(
        [*(before or (PYTHON, "-IS")), str(place / "bin/ssmtp"), "--version"],
        capture_output=True,
        text=True,
        env={},
        timeout=20,
    )
    assert (0, "") == (run.returncode, run.stderr)
    return run.stdout


def cached(place: Path, module: str) -> Path:
    (found,) = (place / "src/ssmtp/__pycache__").glob(f"{module}.*.pyc")
    return found


def group(place: Path) -> Path:
    (found,) = (place / "src/ssmtp/__pycache__").glob("sendmail.*.group")
    return found


def test_bytecode_is_made_by_the_first_run(checkout):
    """Whoever owns the checkout leaves bytecode beside the source."""
    for module in ("bytecode", "sendmail", "options", "errors"):
        assert cached(checkout, module).exists()


def test_a_source_that_changed_counts(checkout):
    """Bytecode of a source that is no longer there is not run."""
    source = checkout / "src/ssmtp/sendmail.py"
    source.write_text(source.read_text().replace('f"ssmtp {', 'f"changed {'))

    assert version(checkout).startswith("changed ")


def test_bytecode_of_the_source_is_run(checkout):
    """The source itself is not read when size and time are those that were cached."""
    source = checkout / "src/ssmtp/sendmail.py"
    facts = source.stat()
    source.write_bytes(b"!" * facts.st_size)
    os.utime(source, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    assert version(checkout).startswith("ssmtp ")


def test_modules_that_belong_together_are_one_file(checkout):
    """Once two runs have made it, no other file with bytecode is read."""
    for module in ("sendmail", "options", "errors"):
        cached(checkout, module).write_bytes(b"")

    assert version(checkout).startswith("ssmtp ")
    assert b"" == cached(checkout, "options").read_bytes()


@pytest.mark.parametrize("module", ["sendmail", "options", "errors"])
def test_a_group_with_a_source_that_changed_is_made_again(checkout, module):
    """What any of its modules was is not run."""
    before = group(checkout).read_bytes()
    source = checkout / f"src/ssmtp/{module}.py"
    source.write_text(source.read_text() + "import posix\nposix.write(1, b'new ')\n")

    assert version(checkout).startswith("new ssmtp ")
    assert version(checkout).startswith("new ssmtp ")
    assert before != group(checkout).read_bytes()
    assert version(checkout).startswith("new ssmtp ")


@pytest.mark.parametrize("damage", ["empty", "cut off", "other Python", "garbage"])
def test_a_damaged_group_is_made_again(checkout, damage):
    """A full disk or a crash has left half a file, or another Python its own."""
    file = group(checkout)
    whole = file.read_bytes()
    file.write_bytes(
        {
            "empty": b"",
            "cut off": whole[:1000],
            "other Python": b"\0\0\r\n" + whole[4:],
            "garbage": whole[:16] + b"(\xff\xff\xff",
        }[damage]
    )

    assert version(checkout).startswith("ssmtp ")
    assert whole == file.read_bytes()


SESSION = """\
EHLO here\r
MAIL FROM:<ann@example.org>\r
RCPT TO:<bob@example.org>\r
DATA\r
Subject: x\r
\r
hello\r
.\r
QUIT\r
"""


@pytest.mark.parametrize("first", ["-bs", "-q", "-bp"])
def test_the_order_of_roads_does_not_matter(checkout, tmp_path, first):
    """A group that was written on one road serves all others."""
    conf = tmp_path / "ssmtp.conf"
    conf.write_text("mailhub=127.0.0.1:1\nrewriteDomain=example.org\n")
    conf.chmod(0o600)

    def run(*words: str, text: str = "Subject: x\n\nhello\n") -> tuple[int, str]:
        done = subprocess.run(
            [PYTHON, "-IS", str(checkout / "bin/ssmtp"), "-C", str(conf), *words],
            input=text,
            capture_output=True,
            text=True,
            env={"XDG_STATE_HOME": str(tmp_path)},
            timeout=20,
        )
        return done.returncode, done.stderr

    for _ in range(2):
        run(first, text=SESSION)
    for _ in range(3):
        code, said = run("ann@example.org")

        assert 75 == code, said
    assert list(checkout.rglob("direct.*.group"))


def test_who_may_not_write_there_is_not_told(checkout):
    """Without a place for a group all goes on without one."""
    group(checkout).unlink()
    home = checkout / "home"
    home.mkdir()

    version(checkout, PYTHON, "-ISc", STRANGER, str(home))

    assert not list(checkout.rglob("*.group"))


@pytest.mark.parametrize("size", [0, 10])
def test_bytecode_that_is_cut_off_is_made_again(checkout, size):
    """A full disk or a crash has left half a file."""
    group(checkout).unlink()
    file = cached(checkout, "options")
    whole = file.read_bytes()
    file.write_bytes(whole[:size])

    assert version(checkout).startswith("ssmtp ")
    assert whole == file.read_bytes()


def test_bytecode_of_another_python_is_left_alone(checkout):
    """The magic number has to be that of the interpreter."""
    file = cached(checkout, "errors")
    file.write_bytes(b"\0\0\r\n" + file.read_bytes()[4:])

    assert version(checkout).startswith("ssmtp ")


STRANGER = """\
import posix, pwd, sys
from types import SimpleNamespace
home = sys.argv.pop(1)
posix.access = lambda path, mode: False
pwd.getpwuid = lambda uid: SimpleNamespace(pw_dir=home)
script = sys.argv.pop(1)
sys.argv = [script, *sys.argv[1:]]
exec(compile(open(script).read(), script, "exec"), {"__file__": script})
"""


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o777, 0o770])
def test_a_stranger_keeps_bytecode_at_home(checkout, tmp_path, mode):
    """Where nothing can be kept beside the source, it is kept in a private home."""
    for found in (*checkout.rglob("*.pyc"), *checkout.rglob("*.group")):
        found.unlink()
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(mode)

    version(checkout, PYTHON, "-ISc", STRANGER, str(home))

    kept = {path.name.partition(".")[0] for path in home.rglob("*.pyc")}
    private = not mode & 0o022
    assert private == ({"sendmail", "options"} <= kept)
    assert private or not kept
