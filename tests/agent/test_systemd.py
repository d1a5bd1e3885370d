"""The units do their work below a systemd of their own, in their boxes.

It is booted in namespaces, with a copy-on-write view of this machine (`boot.sh`), so
that nothing of it stays. Each script below is run there as root and prints lines.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
from pathlib import Path

import pytest

from tests.agent.town import PASSWORD

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
APART = "unshare --mount --pid --ipc --uts --net --fork --kill-child".split()
GROUPS = Path("/sys/fs/cgroup/systemd")

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("SSMTP_USERS") != "1",
        reason="boots a systemd: run it as root with SSMTP_USERS=1, as .ci/run does",
    ),
    pytest.mark.slow,
]

# A mailhub that wants the password, the configuration of docs/agent.md, and the units.
BEGIN = f"""
set -u
say() {{ echo "$1: $2"; }}
as_nobody() {{ setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }}
mail() {{ printf 'Subject: %s\\n\\nhello\\n' "$1"; }}
until_true() {{ for _ in $(seq 200); do "$@" && return; sleep 0.1; done; }}
install -d -m 700 /etc/credstore
printf '%s\\n' '{PASSWORD}' | install -m 600 /dev/stdin /etc/credstore/ssmtp.password
mkdir -p /etc/ssmtp
cat >/etc/ssmtp/ssmtp.conf <<END
mailhub=127.0.0.1:2525
root=admin@example.org
hostname=box.test
AuthUser=me
AuthPassCredential=ssmtp.password
Delivery=agent
END
ip link set lo up 2>/dev/null
hub() {{
    ssmtpctl sink --json --auth 'me:{PASSWORD}' --dir /out/mails >/out/hub 2>&1 &
    hub=$!
    until_true grep -q listening /out/hub
}}
arrived() {{ test "$(ls /out/mails 2>/dev/null | wc -l)" -ge "$1"; }}
PATH=$PATH:/checkout/bin
"""


def boot(tmp_path: Path, script: str) -> dict[str, str]:
    """Run a script below a systemd; return the lines that it says, by their names."""
    path = tmp_path / "script"
    path.write_text(BEGIN + script + "\necho over >/out/over\n")
    out = tmp_path / "out"
    out.mkdir()
    os.mkfifo(out / "over")
    groups = set(GROUPS.rglob("*/"))
    with (tmp_path / "errors").open("wb") as errors:
        process = subprocess.Popen(
            [*APART, "bash", HERE / "boot.sh", ROOT, out, path],
            stdout=errors,
            stderr=errors,
        )
        try:
            over = until(out / "over", process.pid)
        finally:
            kill(process)
    for group in sorted(set(GROUPS.rglob("*/")) - groups, reverse=True):
        with contextlib.suppress(OSError):
            group.rmdir()
    said = (tmp_path / "errors").read_text()
    if (out / "log").exists():
        said += (out / "log").read_text()
    print(said)
    assert over, said
    pairs = (line.partition(": ") for line in said.splitlines())
    return {name: value for name, _, value in pairs}


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a tree of processes; its root is the first of a namespace."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    roots = [os.pidfd_open(int(pid)) for pid in children.read_text().split()]
    process.kill()
    process.wait()
    for root in roots:
        select.select([root], [], [], 20)
        os.close(root)


def until(fifo: Path, pid: int) -> bool:
    """Wait until the script says that it is over; False when its systemd has ended."""
    end = os.pidfd_open(pid)
    ear = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return ear in select.select([ear, end], [], [], 50)[0]
    finally:
        os.close(ear)
        os.close(end)


def test_a_message_goes_its_way(tmp_path):
    """A user without the password sends mail; status, queue and log tell of it."""
    said = boot(
        tmp_path,
        """
        hub
        systemctl enable --now --quiet ssmtp.socket ssmtp-sender.service
        mail first | as_nobody sendmail -f '' x@example.net; say exit $?
        until_true arrived 1
        say password "$(as_nobody cat /etc/credstore/ssmtp.password 2>&1 | tail -1)"
        say queue "$(as_nobody ssmtpctl queue 2>&1 | tail -1)"
        ssmtpctl agent status; say status $?
        say spool "$(stat -c '%U %a' /var/spool/ssmtp)"
        say socket "$(stat -c '%a' /run/ssmtp/submit.sock)"
        say link "$(stat -c '%U %a' /run/ssmtp/sender.sock)"
        say states "$(systemctl is-active ssmtp-acceptor ssmtp-sender | xargs)"
        say uid "$(grep Uid /proc/$(systemctl show -p MainPID --value \\
            ssmtp-acceptor)/status | cut -f2 | xargs id -un)"
        journalctl --no-pager -u 'ssmtp*' -p warning
        say logged "$(journalctl --no-pager | grep -c 'Queued mail for')"
        """,
    )
    (mail,) = (tmp_path / "out" / "mails").iterdir()

    assert "Subject: first" in mail.read_text()
    assert "0" == said["exit"]
    assert "Permission denied" in said["password"]
    assert "Mail queue is empty" == said["queue"]
    assert "0" == said["status"]
    assert "ssmtp 700" == said["spool"]
    assert "666" == said["socket"]
    assert "ssmtp 600" == said["link"]
    assert "active active" == said["states"]
    assert "ssmtp" == said["uid"]
    assert "1" == said["logged"]


def test_mail_waits_for_the_network(tmp_path):
    """What was queued while the mailhub was away goes when the name servers change."""
    said = boot(
        tmp_path,
        """
        systemctl enable --now --quiet ssmtp.socket ssmtp-sender.service \\
            ssmtp-flush.path
        mail waits | as_nobody sendmail -f '' x@example.net; say exit $?
        until_true eval 'ssmtpctl agent status | grep -q refused'
        ssmtpctl agent status; say status $?
        ssmtpctl queue
        hub
        echo nameserver 127.0.0.1 >/etc/resolv.conf
        until_true arrived 1
        say mails "$(ls /out/mails | wc -l)"
        ran() { systemctl show -p ExecMainCode --value ssmtp-flush | grep -q 1; }
        until_true ran
        say flush "$(systemctl show -p ExecMainStatus --value ssmtp-flush)"
        journalctl --no-pager -u 'ssmtp*'
        """,
    )

    assert "0" == said["exit"]
    assert "75" == said["status"]
    assert "1" == said["mails"]
    assert "0" == said["flush"]


def test_halves_that_are_killed_come_back(tmp_path):
    """SIGKILL of either half costs neither mail nor, for long, service."""
    said = boot(
        tmp_path,
        """
        hub
        systemctl enable --now --quiet ssmtp.socket ssmtp-sender.service
        mail first | as_nobody sendmail -f '' x@example.net; say first $?
        until_true arrived 1
        systemctl kill -s KILL ssmtp-acceptor ssmtp-sender
        until_true ssmtpctl agent status
        mail second | as_nobody sendmail -f '' x@example.net; say second $?
        until_true arrived 2
        say mails "$(ls /out/mails | wc -l)"
        journalctl --no-pager -u 'ssmtp*'
        """,
    )

    assert ("0", "0", "2") == (said["first"], said["second"], said["mails"])


def test_programs_that_only_speak_smtp(tmp_path):
    """A socket on the loopback interface serves them in the name of one user."""
    said = boot(
        tmp_path,
        """
        hub
        echo ListenIdentity=daemon >>/etc/ssmtp/ssmtp.conf
        mkdir -p /etc/systemd/system/ssmtp.socket.d
        printf '[Socket]\\nListenStream=127.0.0.1:25\\n' \\
            >/etc/systemd/system/ssmtp.socket.d/override.conf
        systemctl daemon-reload
        systemctl enable --now --quiet ssmtp.socket ssmtp-sender.service
        as_nobody python3 - <<END
import smtplib
with smtplib.SMTP("127.0.0.1", 25, timeout=20) as client:
    client.sendmail("daemon@box.test", ["x@example.net"], "Subject: tcp\\n\\nhello")
    print("said: thanks")
END
        until_true arrived 1
        say mails "$(ls /out/mails | wc -l)"
        journalctl --no-pager -u 'ssmtp*'
        """,
    )

    assert "thanks" == said["said"]
    assert "1" == said["mails"]


def test_an_agent_of_ones_own(tmp_path):
    """The units for users do the same below a user's manager, with his own files."""
    said = boot(
        tmp_path,
        f"""
        hub
        rm /etc/ssmtp/ssmtp.conf
        useradd --create-home --uid 1777 eve
        install -d -o eve -m 700 /run/user /run/user/1777
        chmod 755 /run/user
        cat >/etc/systemd/system/eve.service <<END
[Service]
User=eve
Type=notify
Delegate=yes
Environment=XDG_RUNTIME_DIR=/run/user/1777
ExecStart=/lib/systemd/systemd --user --log-target=journal
END
        own=~eve/.config
        mkdir -p $own/ssmtp $own/systemd/user
        cp /checkout/share/systemd/user/* $own/systemd/user/
        printf '%s\\n' mailhub=127.0.0.1:2525 AuthUser=me \\
            'AuthPass="{PASSWORD}"' >$own/ssmtp/ssmtp.conf
        chmod 600 $own/ssmtp/ssmtp.conf
        chown -R eve ~eve
        systemctl daemon-reload
        systemctl start eve
        as_eve() {{
            setpriv --reuid=1777 --regid=1777 --clear-groups \\
                env HOME=/home/eve XDG_RUNTIME_DIR=/run/user/1777 "$@"
        }}
        as_eve systemctl --user enable --now --quiet ssmtp.socket \\
            ssmtp-sender.service ssmtp-flush.path
        mail own | as_eve sendmail x@example.net; say exit $?
        until_true arrived 1
        say mails "$(ls /out/mails | wc -l)"
        as_eve ssmtpctl agent status; say status $?
        as_eve systemctl --user start ssmtp-flush; say flush $?
        say spool "$(stat -c '%U %a' /home/eve/.local/state/ssmtp/spool)"
        journalctl --no-pager | grep -i ssmtp
        """,
    )

    assert ("0", "1", "0", "0") == tuple(
        said[name] for name in ("exit", "mails", "status", "flush")
    )
    assert "eve 700" == said["spool"]
