"""docs/agent.md is followed, block by block, on a machine of its own.

What stands below a comment `<!-- followed: NAME -->` is typed as it stands there, below
a systemd that `tests/agent/boot.sh` boots. smtp.example.org is a mailhub on the
loopback interface, with a certificate that this machine trusts.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest
import trustme

from tests.agent.test_systemd import boot
from tests.agent.town import PASSWORD
from tests.docs import pages

TEXT = (pages.ROOT / "docs" / "agent.md").read_text("utf-8")
BLOCKS = pages.named(TEXT, "followed")

OWN = Path(__file__).read_text("utf-8")


def booted(test):
    """Mark a test that boots a systemd."""
    reason = "boots a systemd: run it as root with SSMTP_USERS=1, as .ci/run does"
    skip = pytest.mark.skipif(os.environ.get("SSMTP_USERS") != "1", reason=reason)
    return pytest.mark.slow(pytest.mark.timeout(120)(skip(test)))


def block(name: str) -> str:
    """Return a block of the page."""
    return BLOCKS[name]


def typed(name: str) -> str:
    """Return a block of the page as one command, which ends with its first failure."""
    return f"(set -e\n{block(name)})"


def machine() -> str:
    """Return a script that makes a machine without an agent, but with a mailhub."""
    authority = trustme.CA()
    issued = authority.issue_cert("smtp.example.org")
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    files = {
        "/etc/hub.pem": chain.decode(),
        "/etc/hub.key": issued.private_key_pem.bytes().decode(),
        "/etc/ssl/certs/hub.pem": authority.cert_pem.bytes().decode(),
    }
    laid = "".join(f"rm -f {p}\ncat >{p} <<END\n{t}END\n" for p, t in files.items())
    return f"""\
rm -f /etc/systemd/system/ssmtp* /usr/lib/sysusers.d/ssmtp.conf
rm -f /usr/lib/tmpfiles.d/ssmtp.conf
systemctl daemon-reload
userdel ssmtp 2>/dev/null
rm -rf /run/ssmtp /var/spool/ssmtp /etc/ssmtp /etc/credstore
mkdir -m 750 /etc/ssmtp
chgrp mail /etc/ssmtp
{laid}
ln -s hub.pem /etc/ssl/certs/$(openssl x509 -noout -hash -in /etc/ssl/certs/hub.pem).0
echo '127.0.0.1 smtp.example.org' >>/etc/hosts
opens() {{
    ssmtpctl sink --json --port 465 --tls implicit --cert /etc/hub.pem \\
        --key /etc/hub.key --auth 'you@example.org:{PASSWORD}' --dir /out/mails \\
        >/out/hub 2>&1 &
    hub=$!
    until_true grep -q listening /out/hub
}}
closes() {{ kill $hub; wait $hub; : >/out/hub; }}
password() {{ printf '%s\\n' '{PASSWORD}'; }}
is_well() {{ ssmtpctl agent status >/out/status 2>&1; }}
speaks_smtp() {{
    python3 -c 'import smtplib
smtplib.SMTP("127.0.0.1", 25).sendmail(
    "noreply@example.org", ["x@example.net"], "Subject: smtp\\n\\nhello\\n")'
}}
opens
cd /checkout
"""


def lay(path: str, *texts: str) -> str:
    """Return a command that writes a file."""
    return f"cat >{path} <<'END'\n{''.join(texts)}END\n"


def looked() -> list[str]:
    """Return the commands for who looks after the queue."""
    return [re.split(r"  +", line)[0] for line in block("queue").splitlines()]


def looks() -> str:
    """Return a script that types them, with an id for ID."""
    return "\n".join(
        f"{command.replace('ID', '$id')} >>/out/said 2>&1; say '{command}' $?"
        for command in looked()
    )


@booted
def test_with_systemd(tmp_path):
    """The units by hand: any user's mail goes out, and only the agent has the password.

    Then the port for programs that only speak SMTP, and, with the mailhub away, the
    commands for who looks after it.
    """
    _, mails, _ = block("start").splitlines()
    said = boot(
        tmp_path,
        machine()
        + f"""
{typed("units")}; say units $?
password | {typed("credential")}; say credential $?
{lay("/etc/ssmtp/ssmtp.conf", block("configuration"))}
chmod 640 /etc/ssmtp/ssmtp.conf
{typed("readable")}; say readable $?
(set +e
{block("start")}) >/out/status 2>&1
until_true arrived 1
as_nobody bash -c {shlex.quote(mails)}; say nobody $?
until_true arrived 2
until_true is_well; say well $?
say secret "$(as_nobody cat /etc/credstore/ssmtp.password 2>&1 | tail -1)"
mkdir /etc/systemd/system/ssmtp.socket.d
{lay("/etc/systemd/system/ssmtp.socket.d/override.conf", block("socket"))}
echo ListenIdentity=www-data >>/etc/ssmtp/ssmtp.conf
systemctl daemon-reload
systemctl restart ssmtp.socket; say socket $?
speaks_smtp; say smtp $?
until_true arrived 3
say mails "$(cat /out/mails/* | grep -c '^Subject: \\(test\\|smtp\\)')"
closes
as_nobody bash -c {shlex.quote(mails)}; say waits $?
id=$(mailq | grep -o '^[0-9]\\{{8\\}}T[0-9]*-[0-9A-Za-z-]*')
{looks()}
""",
    )

    assert ["0"] * 5 == [
        said[n] for n in ("units", "credential", "readable", "nobody", "well")
    ]
    assert "Permission denied" in said["secret"]
    assert ["0", "0", "3"] == [said[name] for name in ("socket", "smtp", "mails")]
    assert "0" == said["waits"]
    for command in looked():
        wanted = "75" if command == "ssmtpctl agent status" else "0"
        assert wanted == said[command], command


@booted
def test_without_systemd(tmp_path):
    """`ssmtpctl agent run`, with AllowSender and a port; then in a bare container."""
    by_file = block("configuration").replace(
        "AuthPassCredential=ssmtp.password", "AuthPassFile=/etc/ssmtp/password"
    )
    by_file += "FromLineOverride=yes\n"
    container = block("container").rstrip()
    said = boot(
        tmp_path,
        machine()
        + f"""
{lay("/etc/ssmtp/ssmtp.conf", by_file, block("senders"), block("loopback"))}
{typed("readable")}
password | {typed("user")} >/out/agent 2>&1 &
agent=$!
until_true is_well; say well $?
say secret "$(as_nobody cat /etc/ssmtp/password 2>&1 | tail -1)"
say users "$(ps -C python3 -o user= | sort -u | xargs)"
as_www() {{ setpriv --reuid=33 --regid=33 --clear-groups "$@"; }}
mail one | as_www sendmail -f noreply@example.org x@example.net; say allowed $?
mail two | as_www sendmail -f boss@example.org x@example.net 2>/out/refused
say refused $?
mail three | as_nobody sendmail -f noreply@example.org x@example.net 2>>/out/refused
say others $?
speaks_smtp; say smtp $?
until_true arrived 2
say mails "$(cat /out/mails/* | grep -c '^Subject: \\(one\\|smtp\\)')"
kill $(pgrep -o -f 'agent run'); wait $agent; say ended $?
rm -r /out/mails
mkdir -p /config /data /run/mail
mount -t tmpfs tmpfs /data
chown 4242 /run/mail /data
sed s,/etc/ssmtp/,/config/, >/config/ssmtp.conf <<'END'
{by_file}END
password | install -m 400 -o 4242 /dev/stdin /config/password
unshare --mount sh -c 'mount -o remount,bind,ro / && exec setpriv --reuid=4242 \\
    --regid=4242 --clear-groups env -i PATH=$PATH {container}' >/out/container 2>&1 &
echo AgentSocket=/run/mail/submit.sock >>/etc/ssmtp/ssmtp.conf
until_true is_well; say container $?
mail four | as_nobody sendmail x@example.net; say sent $?
until_true arrived 1
say user "$(stat -c %u /run/mail/submit.sock)"
""",
    )

    assert "0" == said["well"]
    assert "Permission denied" in said["secret"]
    assert ["0", "77", "77"] == [said[n] for n in ("allowed", "refused", "others")]
    assert ["0", "2", "0"] == [said[name] for name in ("smtp", "mails", "ended")]
    assert ["0", "0", "4242"] == [said[n] for n in ("container", "sent", "user")]


@booted
def test_for_one_user(tmp_path):
    """The units of a user, below a systemd of that user: no root, no other's mail."""
    said = boot(
        tmp_path,
        machine()
        + f"""
useradd --create-home --uid 1500 ann
install -d -m 700 -o ann -g ann /run/user/1500
cat >/run/systemd/system/ann.service <<END
[Service]
Type=notify
User=ann
Delegate=yes
Environment=XDG_RUNTIME_DIR=/run/user/1500
ExecStart=/lib/systemd/systemd --user
END
systemctl daemon-reload
systemctl start ann; say manager $?
as_ann() {{
    setpriv --reuid=ann --regid=ann --init-groups env -i PATH="$PATH" HOME=/home/ann \\
        XDG_RUNTIME_DIR=/run/user/1500 "$@"
}}
as_ann mkdir -p /home/ann/.config/systemd/user /home/ann/.config/ssmtp
as_ann cp share/systemd/user/* /home/ann/.config/systemd/user
cat >/home/ann/.config/ssmtp/ssmtp.conf <<END
mailhub=smtp.example.org:465
AuthUser=you@example.org
AuthPass={PASSWORD}
END
chown ann /home/ann/.config/ssmtp/ssmtp.conf
chmod 600 /home/ann/.config/ssmtp/ssmtp.conf
as_ann bash -c {shlex.quote("set -e; " + block("session"))}; say session $?
mail five | as_ann sendmail x@example.net; say sent $?
until_true arrived 1
until_true as_ann ssmtpctl agent status >/dev/null; say status $?
say queue "$(stat -c '%U %a' /home/ann/.local/state/ssmtp/spool)"
say mail "$(cat /out/mails/* | grep -c '^Subject: five')"
""",
    )

    assert ["0"] * 4 == [said[n] for n in ("manager", "session", "sent", "status")]
    assert ["ann 700", "1"] == [said["queue"], said["mail"]]


def test_every_block_is_followed():
    """No block is marked in the page that is not typed here."""
    wanted = re.findall(r"block\(\"(\w+)\"\)|typed\(\"(\w+)\"\)", OWN)

    assert set(BLOCKS) == {one or other for one, other in wanted}
