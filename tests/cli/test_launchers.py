"""The commands in bin/: from a checkout, from anywhere, through links, as they are."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from ssmtp import __version__, ctl
from ssmtp.ctl import version
from ssmtp.errors import ConfigError

ROOT = Path(__file__).parents[2]
BIN = ROOT / "bin"
NAMES = ("ssmtp", "sendmail", "mailq", "newaliases", "ssmtpctl")


def call(*words: str | Path, **more) -> subprocess.CompletedProcess[str]:
    more.setdefault("env", {})
    return subprocess.run(
        words,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=20,
        **more,
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_run_without_installation(name):
    """With an empty environment, from another directory, by an absolute path."""
    run = call(BIN / name, "--version", cwd="/")

    assert (0, "") == (run.returncode, run.stderr)
    assert __version__ in run.stdout


def test_the_commands_run_by_a_relative_path():
    """As `bin/sendmail`, `./sendmail` and by way of PATH."""
    for word, where in (("bin/sendmail", ROOT), ("./sendmail", BIN)):
        assert 0 == call(word, "--version", cwd=where).returncode
    run = call("/bin/sh", "-c", "sendmail --version", env={"PATH": f"{BIN}:/bin"})
    assert 0 == run.returncode


@pytest.fixture
def links(tmp_path):
    """Absolute, relative and chained links, and one to the directory."""
    odd = tmp_path / "odd näme\n"
    (odd / "deep").mkdir(parents=True)
    (odd / "bin").symlink_to(BIN)
    (odd / "absolute").symlink_to(BIN / "ssmtp")
    (odd / "relative").symlink_to(os.path.relpath(BIN / "sendmail", odd))
    (odd / "deep" / "chained").symlink_to("../relative")
    return [
        odd / "absolute",
        odd / "relative",
        odd / "deep" / "chained",
        odd / "deep" / ".." / "bin" / "sendmail",
    ]


def test_the_commands_run_through_links(links):
    """Wherever a link stands and whatever it is called, the code is found."""
    for link in links:
        for cwd in ("/", link.parent):
            run = call(link, "--version", cwd=cwd)

            assert (0, "") == (run.returncode, run.stderr), link


def test_the_name_of_a_link_decides_what_the_command_is(tmp_path):
    """A link called mailq lists, one called newaliases does nothing, whatever it
    leads to."""
    env = {"XDG_STATE_HOME": str(tmp_path)}
    for name in ("mailq", "newaliases", "sendmail"):
        (tmp_path / name).symlink_to(BIN / "ssmtp")
    listing = call(tmp_path / "mailq", env=env)
    nothing = call(tmp_path / "newaliases", env=env)
    complaint = call(tmp_path / "sendmail", "-bz", env=env)

    assert 0 == listing.returncode
    assert listing.stdout
    assert (0, "", "") == (nothing.returncode, nothing.stdout, nothing.stderr)
    assert 64 == complaint.returncode
    assert complaint.stderr.startswith("sendmail: ")


@pytest.mark.parametrize(
    ("name", "fd"), [("sendmail", 1), ("sendmail", 2), ("ssmtpctl", 1)]
)
def test_output_that_takes_no_more_for_now(name, fd):
    """A list that is longer than a pipe comes whole even where nobody may wait for the
    pipe; a complaint is not waited for."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(theirs, b"#" * 4096)
    full = fcntl.ioctl(ours, termios.FIONREAD, bytes(4))
    program = subprocess.Popen(
        [BIN / name, "--help" if fd == 1 else "--nonsense"],
        stdin=subprocess.DEVNULL,
        stdout=theirs if fd == 1 else subprocess.DEVNULL,
        stderr=theirs if fd == 2 else subprocess.DEVNULL,
    )
    os.close(theirs)
    # Nobody reads until it has ended, or had the time for it.
    with contextlib.suppress(subprocess.TimeoutExpired):
        program.wait(20 if fd == 2 else 0.5)
    with open(ours, "rb") as stream:
        came = stream.read()[int.from_bytes(full, sys.byteorder) :]
    whole = call(BIN / name, "--help").stdout if fd == 1 else ""

    assert whole == came.decode()
    assert (64 if fd == 2 else 0) == program.wait(20)


@pytest.mark.parametrize("name", NAMES)
def test_a_pipe_of_others_stays_as_it_is(name):
    """Whoever does not wait for standard output need not wait for it afterwards."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    done = subprocess.run([BIN / name, "--version"], stdout=theirs, timeout=20)
    waits = os.get_blocking(theirs)
    os.close(ours)
    os.close(theirs)

    assert (0, False) == (done.returncode, waits)


def test_nothing_in_environment_or_directory_is_imported(tmp_path):
    """PYTHONPATH, PYTHONSTARTUP and modules in the current directory do nothing."""
    for name in ("ssmtp", "os", "posix", "sitecustomize", "usercustomize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(99)")
    env = {
        "PYTHONPATH": str(tmp_path),
        "PYTHONSTARTUP": str(tmp_path / "ssmtp.py"),
        "PYTHONHOME": str(tmp_path),
        "PYTHONINSPECT": "1",
        "HOME": str(tmp_path),
    }
    for name in NAMES:
        run = call(BIN / name, "--version", cwd=tmp_path, env=env)

        assert (0, "") == (run.returncode, run.stderr)


def test_only_the_code_of_the_checkout_is_added_to_the_path(tmp_path):
    """The directory that the launcher adds is src, found from its real place."""
    fake = tmp_path / "src" / "ssmtp"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text("")
    shutil.copy(ROOT / "src/ssmtp/bytecode.py", fake)
    (fake / "sendmail.py").write_text(
        "import sys\n"
        "def main():\n"
        "    print(sys.path[0], len(sys.path), sep='\\n', flush=True)\n"
        "    return 0\n"
    )
    (tmp_path / "bin").mkdir()
    shutil.copy(BIN / "ssmtp", tmp_path / "bin" / "ssmtp")
    (tmp_path / "link").symlink_to("bin/ssmtp")
    first, count = call(tmp_path / "link").stdout.splitlines()
    python = call("/usr/bin/python3", "-ISc", "import sys; print(len(sys.path))")

    assert os.path.samefile(first, tmp_path / "src")
    # A script has no entry of its own under -I, nor has -c.
    assert int(python.stdout) + 1 == int(count)


@pytest.mark.parametrize("name", ["ssmtp", "ssmtpctl"])
def test_an_old_interpreter_is_refused_in_one_line(name):
    """Python 3.10 gets a sentence and exit 78, not a traceback."""
    script = (
        "import sys; sys.version_info = (3, 10, 0);"
        "exec(compile(open(sys.argv[1]).read(), sys.argv[1], 'exec'))"
    )
    run = call(sys.executable, "-ISc", script, BIN / name)

    assert 78 == run.returncode
    assert f"{name}: needs Python 3.11 or later as /usr/bin/python3\n" == run.stderr


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_are_executable_and_isolated(name):
    """The first line starts an isolated interpreter without site-packages."""
    assert os.access(BIN / name, os.X_OK)
    assert "#!/usr/bin/python3 -IS" == (BIN / name).read_text().splitlines()[0]


def test_ssmtpctl_without_a_command_says_what_there_is():
    """Help on standard error, and exit 64."""
    run = call(BIN / "ssmtpctl")

    assert (64, "") == (run.returncode, run.stdout)
    assert run.stderr.startswith("Examples:\n")


def test_ssmtpctl_refuses_what_it_does_not_know():
    """One line with a next step, and exit 64."""
    for words in (("nonsense",), ("queue", "nonsense"), ("queue", "show")):
        run = call(BIN / "ssmtpctl", *words)

        assert (64, "") == (run.returncode, run.stdout)
        assert 1 == run.stderr.count("\n")
        assert "--help" in run.stderr


def test_ssmtpctl_says_what_it_runs_on():
    """`version` names the interpreter, the TLS library and the optional ones."""
    run = call(BIN / "ssmtpctl", "version")

    assert 0 == run.returncode
    assert ["ssmtp", "python", "tls", "system", "code", "extras"] == [
        line.split()[0] for line in run.stdout.splitlines()
    ]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError("no\nfile", "write one"), 78, "no\\u000afile; write one"),
        (KeyboardInterrupt(), 75, "interrupted"),
        (ZeroDivisionError("x"), 70, "internal error: ZeroDivisionError (test_"),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_a_verb_that_fails_says_so_in_one_line(capfd, monkeypatch, error, code, said):
    """Exit codes are those of sysexits.h, and there is never a traceback."""

    def fail(_):
        raise error

    monkeypatch.setattr(version, "run", fail)
    stdout = os.dup(1)
    try:
        found = ctl.main(["version"])
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
    out, err = capfd.readouterr()

    assert (code, "") == (found, out)
    assert err.startswith(f"ssmtpctl: {said}" if said else "")
    assert err.count("\n") == bool(said)


WORDS = ("version", "--help", "queue --help", "queue show --json nothing")


@pytest.mark.parametrize("words", WORDS)
def test_output_that_nobody_reads_is_no_failure(tmp_path, words):
    """`ssmtpctl --help | head -1` ends quietly, with the code that it would have."""
    command = [BIN / "ssmtpctl", *words.split()]
    environment = {"XDG_STATE_HOME": str(tmp_path)}
    whole = call(*command, env=environment)
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run(
        command, env=environment, stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)

    assert (whole.returncode, whole.stderr) == (run.returncode, run.stderr)


@pytest.mark.parametrize("words", WORDS)
def test_output_that_a_full_disk_does_not_take(tmp_path, words):
    """One line says so, and the exit code is one of sysexits.h."""
    run = call(
        *("/bin/sh", "-c", f"'{BIN}/ssmtpctl' {words} >/dev/full"),
        env={"XDG_STATE_HOME": str(tmp_path)},
    )

    expected = 64 if "nothing" in words else 75

    assert expected == run.returncode
    assert 1 == run.stderr.count("\n")
    assert run.stderr.startswith("ssmtpctl: ")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("queue show nothing", 64),
        ("queue --nonsense", 64),
        ("agent status --socket /nowhere", 69),
        ("", 64),
    ],
)
@pytest.mark.parametrize("end", ["", ">/dev/full"])
def test_complaints_that_nobody_takes(tmp_path, words, code, end):
    """Where standard error takes nothing either, the exit code is what it would be."""
    run = call(
        *("/bin/sh", "-c", f"'{BIN}/ssmtpctl' {words} 2>/dev/full {end}"),
        env={"XDG_STATE_HOME": str(tmp_path)},
    )

    assert code == run.returncode


def test_a_migration_that_nobody_reads_of(tmp_path):
    """What migrate does not write without --yes is not written, and that is 64."""
    (tmp_path / "msmtprc").write_text("account default\nhost smtp.example.org\n")
    run = call(
        "/bin/sh",
        "-c",
        f"'{BIN}/ssmtpctl' migrate msmtp --from msmtprc 2>/dev/full",
        env={"HOME": str(tmp_path)},
        cwd=tmp_path,
    )

    assert 64 == run.returncode
    assert ["msmtprc"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("explain", 66, "standard input cannot be read"),
        ("send ann@example.org", 66, "standard input is closed"),
        ("migrate msmtp --from msmtprc", 64, "--yes"),
        (
            "setup --server 127.0.0.1 --password-stdin --yes --no-test ann@example.org",
            64,
            "the password is empty",
        ),
    ],
)
def test_a_closed_standard_input_is_not_an_empty_one(tmp_path, words, code, said):
    """Nothing is sent and nothing written of what could not be read."""
    (tmp_path / "msmtprc").write_text("account default\nhost smtp.example.org\n")
    environment = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    command = f"'{BIN}/ssmtpctl' {words} <&-"
    run = call("/bin/sh", "-c", command, env=environment, cwd=tmp_path)

    assert code == run.returncode
    assert said in run.stderr
    assert ["msmtprc"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_ssmtpctl_with_closed_descriptors(tmp_path, closed):
    """The exit code is what it would be, and nothing goes where it does not belong."""
    words = f"'{BIN}/ssmtpctl' queue show --json nothing"
    redirections = " ".join(f"{fd}>&-" if fd else "<&-" for fd in closed)
    environment = {"XDG_STATE_HOME": str(tmp_path)}
    whole = call("/bin/sh", "-c", words, env=environment)
    run = call("/bin/sh", "-c", f"{words} {redirections}", env=environment)
    table = call("/bin/sh", "-c", f"'{BIN}/ssmtpctl' version {redirections}")

    assert (64, 0) == (run.returncode, table.returncode)
    assert ("" if 1 in closed else whole.stdout) == run.stdout
    assert ("" if 2 in closed else whole.stderr) == run.stderr
    assert "" == table.stderr


@pytest.mark.parametrize(
    "words",
    [
        "ssmtpctl version",
        "ssmtpctl queue --json",
        "mailq",
        "sendmail -bp",
        "sendmail --version",
    ],
)
def test_output_that_has_no_room(tmp_path, words):
    """A full disk is told as what it is, in one line, and is cured by time (75)."""
    shell = f"'{BIN}'/{words} > /dev/full"
    run = call("/bin/sh", "-c", shell, env={"XDG_STATE_HOME": str(tmp_path)})
    said = "standard output cannot be written: No space left on device"

    assert 75 == run.returncode
    assert f"{words.split()[0]}: {said}; see that there is room\n" == run.stderr


def test_much_output_that_has_no_room(tmp_path):
    """A full disk is no bug of ours (70), however much there was to be printed."""
    conf = tmp_path / "test.conf"
    conf.write_text("mailhub=127.0.0.1:1\n")
    people = ", ".join(f"somebody{number}@example.org" for number in range(1000))
    run = subprocess.run(
        ["/bin/sh", "-c", f"'{BIN}/ssmtpctl' explain > /dev/full"],
        input=f"To: {people}\n\nhello\n",
        env={"SSMTP_CONF": str(conf)},
        capture_output=True,
        text=True,
        timeout=20,
    )
    said = "ssmtpctl: standard output cannot be written: No space left on device"

    assert 75 == run.returncode, run.stderr
    assert f"{said}; see that there is room\n" == run.stderr


def test_optional_libraries_are_found_late(tmp_path):
    """Without site-packages on the path at the start, an extra is still found."""
    (tmp_path / "odd_extra.py").write_text("answer = 42\n")
    script = f"""
import sys
sys.path.insert(0, {str(ROOT / "src")!r})
before = len(sys.path)
import site
site.getsitepackages = lambda: [{str(tmp_path)!r}]
from ssmtp import extras
assert len(sys.path) == before
print(extras.optional("odd_extra").answer, sys.path[-1], extras.optional("nothing"))
print(len(sys.path) - before)
"""
    run = call("/usr/bin/python3", "-ISc", script)

    assert f"42 {tmp_path} None\n1\n" == run.stdout
