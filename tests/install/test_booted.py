"""`ssmtpctl install --agent` below a systemd: it runs, and goes without a trace."""

from __future__ import annotations

import os

import pytest

from tests.agent.test_systemd import boot

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("SSMTP_USERS") != "1",
        reason="boots a systemd: run it as root with SSMTP_USERS=1, as .ci/run does",
    ),
    pytest.mark.slow,
    pytest.mark.timeout(120),
]

# A machine with classic sSMTP's configuration, and without what boot.sh has copied.
CLASSIC = """
rm -f /etc/systemd/system/ssmtp* /usr/lib/sysusers.d/ssmtp.conf
rm -f /usr/lib/tmpfiles.d/ssmtp.conf /usr/bin/ssmtpctl
systemctl daemon-reload
rm -rf /run/ssmtp /var/spool/ssmtp /etc/ssmtp
mkdir /etc/ssmtp
printf 'mailhub=127.0.0.1:2525\\nhostname=box.test\\n' >/etc/ssmtp/ssmtp.conf
chown -R root:mail /etc/ssmtp
chmod 750 /etc/ssmtp
chmod 640 /etc/ssmtp/ssmtp.conf
listed() {
    ls -l --time-style=+ /etc/ssmtp /usr/sbin/sendmail /usr/lib/sendmail 2>&1
    stat -c '%a %U:%G %n' /etc/ssmtp
    find /etc/systemd /etc/sysusers.d /etc/tmpfiles.d /usr/local/lib /run/ssmtp \
        /var/spool /usr/lib/ssmtp 2>/dev/null | sort
}
listed >/tmp/before
checksum=$(cksum </etc/ssmtp/ssmtp.conf)
/checkout/bin/ssmtpctl sink --port 2525 --dir /out/mails --quiet >/out/hub 2>&1 &
"""


def test_an_installation_with_the_agent_runs_and_goes(tmp_path):
    """Users send mail with the classic configuration, which they cannot read."""
    said = boot(
        tmp_path,
        CLASSIC
        + """
        /checkout/bin/ssmtpctl install --agent --replace >/out/install 2>&1
        say installed $?
        say directory "$(stat -c '%a %U:%G' /etc/ssmtp)"
        say file "$(stat -c '%a %U:%G' /etc/ssmtp/ssmtp.conf)"
        say units "$(systemctl is-active ssmtp.socket ssmtp-sender.service | xargs)"
        mail first | as_nobody /usr/sbin/sendmail -oi x@dest.test
        say sent $?
        until_true arrived 1
        say arrived "$(cat /out/mails/* | grep -c hello)"
        ssmtpctl agent status >/out/status
        say status $?
        ssmtpctl install >/out/again 2>&1
        say again $?
        mail second | as_nobody /usr/lib/sendmail -oi x@dest.test
        until_true arrived 2
        say second "$(cat /out/mails/* | grep -c hello)"
        ssmtpctl uninstall >/out/uninstall 2>&1
        say uninstalled $?
        say units-after "$(systemctl is-active ssmtp.socket ssmtp-sender.service \
            ssmtp-acceptor.service | sort -u | xargs)"
        listed >/tmp/after
        say different "$(diff /tmp/before /tmp/after | xargs)"
        test "$checksum" = "$(cksum </etc/ssmtp/ssmtp.conf)"
        say configuration $?
        """,
    )

    assert ["0", "750 root:ssmtp", "640 root:ssmtp", "active active"] == [
        said[name] for name in ("installed", "directory", "file", "units")
    ]
    assert ["0", "1", "0"] == [said[name] for name in ("sent", "arrived", "status")]
    assert ["0", "2"] == [said["again"], said["second"]]
    assert ["0", "inactive"] == [said["uninstalled"], said["units-after"]]
    assert ["", "0"] == [said["different"], said["configuration"]]
