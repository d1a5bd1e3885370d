"""ssmtpctl migrate writes when it is told to, whole files, and keeps the old ones."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from tests.migrate import cases

BIN = Path(__file__).parents[2] / "bin"
GMAIL = cases.FILES / "msmtp/app-password"


@pytest.fixture
def machine(tmp_path):
    """A machine with msmtp, whose files may be changed."""
    shutil.copytree(GMAIL / "home", tmp_path / "home")
    return tmp_path


def files(root):
    """Return all files below a directory, with their content."""
    return {str(p): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def own(machine, name="ssmtp.conf"):
    """Return a file of the user's own configuration."""
    return machine / "home/.config/ssmtp" / name


def test_dry_run(machine):
    """With --dry-run everything is shown and nothing is written."""
    before = files(machine)
    told = cases.run(machine, "msmtp", "--user-file", "--dry-run", "--yes")

    assert 0 == told.code
    assert "+Mailhub=smtp.gmail.com:587\n" in told.out
    assert before == files(machine)


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_nobody_to_ask(machine, more):
    """Without a terminal and without --yes nothing is written: 64, with the reason."""
    before = files(machine)
    told = cases.run(machine, "msmtp", "--user-file", *more)

    assert 64 == told.code
    assert "nothing is written; with --yes it is" in told.err
    assert before == files(machine)


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("\n", 64), ("no\n", 64)])
def test_question(machine, answer, code):
    """On a terminal a person is asked, and only y writes."""
    main, terminal = pty.openpty()
    environment = {"HOME": str(machine / "home"), "LC_ALL": "C", "NO_COLOR": "1"}
    process = subprocess.Popen(
        [BIN / "ssmtpctl", "migrate", "msmtp", "--user-file"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**environment, "PATH": os.environ["PATH"]},
        start_new_session=True,
    )
    os.close(terminal)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(main, 4096)
    os.write(main, answer.encode())
    try:
        while block := os.read(main, 4096):
            said += block
    except OSError:
        pass  # the other end is closed
    os.close(main)

    assert code == process.wait()
    assert (code == 0) == own(machine).exists()
    assert b"pass word#=:1" not in said


def test_what_is_written(machine):
    """Configuration, password and revaliases are closed to others, and are read."""
    told = cases.run(machine, "msmtp", "--user-file", "--yes")

    assert 0 == told.code
    for name in ("ssmtp.conf", "password", "revaliases"):
        assert 0o600 == stat.S_IMODE(own(machine, name).stat().st_mode)
    assert "pass word#=:1\n" == own(machine, "password").read_text()
    assert "you:you@gmail.com\n" == own(machine, "revaliases").read_text()
    assert f"Written: {own(machine)}\n" in told.out


def test_the_old_ones_are_kept(machine):
    """What was there before is beside it, and a password file is never overwritten."""
    own(machine).parent.mkdir(parents=True)
    own(machine).write_text("Mailhub=old.example.org\n")
    own(machine, "password").write_text("an old one\n")
    own(machine, "revaliases").write_text("bob:bob@example.org")
    facts = cases.run(machine, "msmtp", "--user-file", "--yes", "--json").facts

    assert ["Mailhub=old.example.org\n", "bob:bob@example.org"] == [
        Path(path).read_text() for path in facts["backups"]
    ]
    assert "an old one\n" == own(machine, "password").read_text()
    assert "pass word#=:1\n" == own(machine, "password.2").read_text()
    aliases = own(machine, "revaliases").read_text()
    assert "bob:bob@example.org\nyou:you@gmail.com\n" == aliases
    difference = re.sub(r"\n[+]#.*", "", facts["difference"])
    assert "-Mailhub=old.example.org\n+Mailhub=smtp.gmail.com:587\n" in difference


def test_once_more(machine):
    """The second time there is nothing to write, and no backup is made."""
    cases.run(machine, "msmtp", "--user-file", "--yes")
    before = files(machine)
    told = cases.run(machine, "msmtp", "--user-file")

    assert 0 == told.code
    assert "all of it is there already" in told.out
    assert before == files(machine)


def test_system_group(machine):
    """The system's files are readable by the group that its directory belongs to."""
    etc = machine / "etc"
    shutil.copytree(cases.FILES / "postfix/wrapper/etc", etc)
    (etc / "ssmtp").mkdir(mode=0o750)
    group = os.stat(etc / "ssmtp").st_gid or 65534
    try:
        os.chown(etc / "ssmtp", -1, group)
    except PermissionError:
        pytest.skip("only root can give a directory to another group")
    told = cases.run(machine, "postfix", "--system", "--yes")

    assert 0 == told.code
    for name in ("ssmtp.conf", "password"):
        about = (etc / "ssmtp" / name).stat()
        assert (0o640, group) == (stat.S_IMODE(about.st_mode), about.st_gid)


def test_new_system_directory(machine):
    """Where the system has no configuration yet, all may read it, not the password."""
    shutil.copytree(cases.FILES / "postfix/wrapper/etc", machine / "etc")
    told = cases.run(machine, "postfix", "--system", "--yes")
    modes = {
        name: stat.S_IMODE((machine / "etc/ssmtp" / name).stat().st_mode)
        for name in (".", "ssmtp.conf", "password")
    }

    assert 0 == told.code
    assert {".": 0o755, "ssmtp.conf": 0o644, "password": 0o600} == modes
    assert "Only root can read the password" in told.out


def test_own_directory(machine):
    """Another account goes where it is told, with a password of its own there."""
    shutil.copytree(
        cases.FILES / "msmtp/three-accounts/home", machine / "home", dirs_exist_ok=True
    )
    place = machine / "home/work/ssmtp.conf"
    told = cases.run(
        machine,
        "msmtp",
        "--user-file",
        "--yes",
        "--account=work",
        f"--output={place}",
    )

    assert 0 == told.code
    assert "Mailhub=mail.corp.example:465\n" in place.read_text()
    assert "AuthUser=CORP\\bob\n" in place.read_text()
    assert "pw-12345\n" == (place.parent / "password").read_text()


def test_among_dot_files(machine):
    """A configuration beside other files leaves all of them alone."""
    for name in (".bashrc", ".profile", ".face", ".0123.txt"):
        path = machine / "home" / name
        path.write_text("precious")
        os.utime(path, (1e9, 1e9))
    output = machine / "home/mail.conf"
    before = files(machine)
    told = cases.run(machine, "msmtp", "--user-file", "--yes", f"--output={output}")

    assert 0 == told.code
    assert before.items() <= files(machine).items()
    assert "pass word#=:1\n" == (machine / "home/mail.password").read_text()


def killed_at(machine, number):
    """Run it in a process that is killed at its nth fsync; tell whether it was."""
    child = os.fork()
    if not child:
        real, count = os.fsync, 0

        def fsync(fd):
            nonlocal count
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            real(fd)

        os.fsync = fsync
        os._exit(cases.run(machine, "msmtp", "--user-file", "--yes").code)
    _pid, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_killed(machine):
    """Whenever it is killed, each file is the old one or the new one, whole."""
    old = {
        "ssmtp.conf": "Mailhub=old.example.org\n",
        "revaliases": "bob:b@example.org\n",
    }
    number, was_killed = 0, True
    while was_killed:
        number += 1
        shutil.rmtree(own(machine).parent, ignore_errors=True)
        own(machine).parent.mkdir(parents=True)
        for name, text in old.items():
            own(machine, name).write_text(text)
        was_killed = killed_at(machine, number)
        done = own(machine).read_text(), own(machine, "revaliases").read_text()
        password = own(machine, "password")

        assert done[0] == old["ssmtp.conf"] or "Mailhub=smtp.gmail.com:587\n" in done[0]
        assert done[1] in (old["revaliases"], old["revaliases"] + "you:you@gmail.com\n")
        # What names a password file comes after it.
        if done[0] != old["ssmtp.conf"]:
            assert "pass word#=:1\n" == password.read_text()

    assert number > 6
    assert done[0] != old["ssmtp.conf"]


def test_no_place(machine):
    """A directory that cannot be written to is named, and nothing is left behind."""
    output = "/proc/nowhere/ssmtp.conf"
    told = cases.run(machine, "msmtp", "--user-file", "--yes", f"--output={output}")

    assert told.code in (75, 77)
    assert "/proc/nowhere" in told.err
