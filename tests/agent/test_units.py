"""The unit files that run the agent under systemd: they are right, and a small box."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARE = ROOT / "share"
HALVES = ("acceptor", "sender")
# What a user's manager can do for its services, and what only that of the system can.
BOX = """
    UMask NoNewPrivileges RestrictNamespaces RestrictRealtime RestrictSUIDSGID
    LockPersonality MemoryDenyWriteExecute RestrictAddressFamilies
    SystemCallArchitectures SystemCallFilter LimitCORE MemoryMax TasksMax
""".split()
WALLS = """
    User CapabilityBoundingSet AmbientCapabilities ProtectSystem ProtectHome
    PrivateTmp PrivateDevices DevicePolicy PrivateMounts ProtectClock
    ProtectHostname ProtectKernelTunables ProtectKernelModules ProtectKernelLogs
    ProtectControlGroups ProtectProc ProcSubset RemoveIPC KeyringMode
""".split()
ANALYZE = shutil.which("systemd-analyze")
REQUIRED = os.environ.get("SSMTP_USERS") == "1"

needs_systemd = pytest.mark.skipif(
    ANALYZE is None and not REQUIRED, reason="no systemd-analyze"
)


def analyze(*words: str | Path, env: dict[str, str] | None = None) -> tuple[int, str]:
    run = subprocess.run(
        [ANALYZE or "systemd-analyze", "--no-pager", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(env or {})},
        timeout=30,
    )
    return run.returncode, run.stdout


def settings(kind: str, unit: str) -> dict[str, list[str]]:
    """Return what a unit says: each key with all of its values."""
    found: dict[str, list[str]] = {}
    for line in (SHARE / "systemd" / kind / unit).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@needs_systemd
@pytest.mark.parametrize("kind", ["system", "user"])
def test_units_are_right(kind, tmp_path):
    """systemd finds nothing to complain of in any unit."""
    units = tmp_path / "units"
    units.mkdir()
    for path in sorted((SHARE / "systemd" / kind).iterdir()):
        # The program is looked for; here it lies in the checkout.
        text = path.read_text().replace("/usr/bin/ssmtpctl", str(ROOT / "bin/ssmtpctl"))
        (units / path.name).write_text(text)
    code, said = analyze(
        "verify",
        f"--{kind}",
        "--man=no",
        *sorted(units.iterdir()),
        env={"XDG_RUNTIME_DIR": str(tmp_path)},
    )

    about_ours = [line for line in said.splitlines() if "ssmtp" in line]
    assert [] == about_ours
    assert 0 == code, said


@needs_systemd
@pytest.mark.parametrize(
    ("unit", "most"),
    [("ssmtp-acceptor", 0.5), ("ssmtp-sender", 1.2), ("ssmtp-flush", 0.5)],
)
def test_exposure(unit, most):
    """What a broken-into half could do is little: systemd rates it, 10 is the worst."""
    path = SHARE / "systemd" / "system" / f"{unit}.service"
    _, said = analyze("security", "--offline=yes", path)

    rated = re.search(r"Overall exposure level for .*: ([0-9.]+) ", said)
    assert rated, said
    assert float(rated[1]) <= most, said


@pytest.mark.parametrize("name", [*HALVES, "flush"])
@pytest.mark.parametrize(("kind", "keys"), [("system", BOX + WALLS), ("user", BOX)])
def test_each_has_its_box(kind, keys, name):
    """Nothing that systemd can take away from a service is left to it."""
    unit = settings(kind, f"ssmtp-{name}.service")

    assert [] == [key for key in keys if key not in unit]
    assert ["0"] == unit["LimitCORE"]


def test_only_the_halves_reach_the_queue():
    """Both halves write into the queue, and nothing else does."""
    written = {
        name: settings("system", f"ssmtp-{name}.service").get("ReadWritePaths")
        for name in (*HALVES, "flush")
    }
    both = ["/run/ssmtp /var/spool/ssmtp"]

    assert {"acceptor": both, "sender": both, "flush": None} == written
    flush = settings("system", "ssmtp-flush.service")
    assert ["-/var/spool/ssmtp"] == flush["InaccessiblePaths"]


def test_the_acceptor_sees_who_calls():
    """The acceptor's unit alone does not take the users' numbers away from it."""
    for name, private in ("acceptor", None), ("sender", ["yes"]), ("flush", ["yes"]):
        unit = settings("system", f"ssmtp-{name}.service")
        assert private == unit.get("PrivateUsers")
    assert ["0666"] == settings("system", "ssmtp.socket")["SocketMode"]


def test_only_the_sender_has_network_and_password():
    """The acceptor has neither network nor credential, the sender does not listen."""
    acceptor = settings("system", "ssmtp-acceptor.service")
    sender = settings("system", "ssmtp-sender.service")

    assert ["yes"] == acceptor["PrivateNetwork"]
    assert ["AF_UNIX"] == acceptor["RestrictAddressFamilies"]
    assert "LoadCredential" not in acceptor
    assert ["ssmtp.password"] == sender["LoadCredential"]
    assert "Sockets" not in sender


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("kind", ["system", "user"])
def test_what_is_forbidden_does_not_kill(kind, half):
    """A forbidden system call fails like any other, so that no mail hangs on it."""
    unit = settings(kind, f"ssmtp-{half}.service")

    assert ["EPERM"] == unit["SystemCallErrorNumber"]
    assert ["always"] == unit["Restart"]
    assert ["0"] == unit["StartLimitIntervalSec"]


@pytest.mark.parametrize("kind", ["system", "user"])
def test_units_run_commands_that_exist(kind):
    """Each ExecStart is a command that ssmtpctl knows."""
    for path in (SHARE / "systemd" / kind).glob("*.service"):
        (command,) = settings(kind, path.name)["ExecStart"]
        program, *words = command.split()
        run = subprocess.run(
            [ROOT / "bin" / "ssmtpctl", *words, "--help"],
            capture_output=True,
            text=True,
            timeout=20,
        )

        assert "/usr/bin/ssmtpctl" == program
        assert 0 == run.returncode, run.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="makes files of another user")
@pytest.mark.skipif(
    shutil.which("systemd-sysusers") is None and not REQUIRED, reason="no systemd"
)
def test_user_and_directories(tmp_path):
    """The user and the directories are made as the units want to have them."""
    (tmp_path / "etc").mkdir()
    mail = tmp_path / "var" / "spool" / "ssmtp" / "queue" / "mail"
    for again in (False, True):
        for tool, name in (("sysusers", "sysusers.d"), ("tmpfiles", "tmpfiles.d")):
            subprocess.run(
                [
                    f"systemd-{tool}",
                    f"--root={tmp_path}",
                    *(["--create", "--remove"] if tool == "tmpfiles" else []),
                    str(SHARE / name / "ssmtp.conf"),
                ],
                check=True,
                timeout=20,
            )
        if not again:
            mail.parent.mkdir()
            mail.write_text("kept")

    assert "kept" == mail.read_text()
    passwd = (tmp_path / "etc" / "passwd").read_text()
    (entry,) = [line for line in passwd.splitlines() if line.startswith("ssmtp:")]
    uid = int(entry.split(":")[2])
    assert 0 < uid < 1000
    assert "nologin" in entry
    for path, mode in (("run/ssmtp", 0o755), ("var/spool/ssmtp", 0o700)):
        found = (tmp_path / path).stat()
        assert (uid, mode) == (found.st_uid, found.st_mode & 0o7777)
