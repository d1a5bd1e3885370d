"""Programs that watch a machine, and tell its administrator."""

from __future__ import annotations

from tests.callers.caller import PLAIN, TEXT, Caller, page

ROOT = "admin@example.org"

CALLERS = [
    Caller(
        "mdadm",
        "mdadm --monitor --scan --oneshot --test",
        user="root",
        to=(ROOT,),
        sender="root@box.example.org",
        files={
            "/etc/mdadm/mdadm.conf": page("mdadm")
            + "ARRAY /dev/md0 UUID=3aaa0122:29827cfa:5331ad66:ca767371\n"
        },
        text=None,
        prints=".*",
        told="nobody",
    ),
    Caller(
        "smartd",
        "/usr/share/smartmontools/smartd_warning.sh",
        user="root",
        to=(ROOT, "user@example.com"),
        environ={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "SMARTD_ADDRESS": "root user@example.com",
            "SMARTD_DEVICE": "/dev/sda",
            "SMARTD_DEVICEINFO": "A DISK, S/N:1",
            "SMARTD_DEVICETYPE": "auto",
            "SMARTD_FAILTYPE": "CurrentPendingSector",
            "SMARTD_MAILER": "",
            "SMARTD_MESSAGE": "Device: /dev/sda [SAT], 8 sectors",
            "SMARTD_NEXTDAYS": "1",
            "SMARTD_PREVCNT": "0",
            "SMARTD_TFIRST": "",
        },
        subject="SMART error (CurrentPendingSector) detected on host: box",
        text=None,
        told="says: sendmail: ",
    ),
    Caller(
        "logwatch",
        """\
now=$(date '+%b %e %T')
said='Failed password for root from 192.0.2.7 port 1 ssh2'
echo "$now box sshd[1]: $said" >/var/log/auth.log
logwatch --range today --service sshd
""",
        user="root",
        to=(ROOT,),
        sender="logwatch@example.org",
        files={"/etc/logwatch/conf/logwatch.conf": page("logwatch")},
        subject="Logwatch for box.example.org (Linux)",
        text=None,
        told="nobody",
    ),
    Caller(
        "fail2ban",
        """\
rm -f /etc/fail2ban/jail.d/*
mv jail.local /etc/fail2ban
: >app.log
mkdir -p /run/fail2ban
fail2ban-server -b start >/dev/null
until fail2ban-client status app >/dev/null 2>&1
do sleep 0.1
done
fail2ban-client set app banip 192.0.2.7
""",
        user="root",
        to=(ROOT,),
        sender="fail2ban@example.org",
        files={
            "/etc/fail2ban/filter.d/app.conf": """\
[Definition]
failregex = ^bad <HOST>$
""",
            "jail.local": page("fail2ban")
            + """\
[app]
enabled = true
filter = app
backend = polling
logpath = /root/app.log
""",
        },
        count=2,
        keeps=3,
        text=None,
        prints="(.*WARNING.*)?1\n",
        told="nobody",
    ),
    Caller(
        "unattended-upgrades",
        """\
echo >/etc/apt/sources.list
cp /usr/share/unattended-upgrades/50unattended-upgrades /etc/apt/apt.conf.d
unattended-upgrade
""",
        user="root",
        to=(ROOT,),
        sender=ROOT,
        files={"/etc/apt/apt.conf.d/51mail": page("unattended-upgrades")},
        subject="unattended-upgrades result for box.example.org: SUCCESS",
        text=None,
        told="nobody",
    ),
    Caller(
        "apt-listchanges",
        """\
mkdir -p p/DEBIAN p/usr/share/doc/p
mv control p/DEBIAN
gzip -n <changelog >p/usr/share/doc/p/changelog.gz
dpkg-deb -b p p.deb >/dev/null
apt-listchanges --profile=apt --show-all p.deb
""",
        user="root",
        to=(ROOT,),
        files={
            "/etc/apt/listchanges.conf": page("apt-listchanges"),
            "control": """\
Package: p
Version: 2
Architecture: all
Maintainer: a <a@example.org>
Description: p
""",
            "changelog": """\
p (2) unstable; urgency=low

  * Better.

 -- a <a@example.org>  Sat, 21 Nov 2026 10:00:00 +0000
""",
        },
        text=None,
        prints=".*",
        told="says: sendmail: ",
    ),
    Caller(
        "cron-apt",
        """\
echo >/etc/apt/sources.list
rm -f /etc/cron-apt/action.d/3-download
cron-apt -s
""",
        user="root",
        to=(ROOT,),
        prints=".*",
        files={"/etc/cron-apt/config": page("cron-apt") + "RUNSLEEP=0\n"},
        text=None,
        told="nobody",
    ),
    Caller(
        "apticron",
        "echo >/etc/apt/sources.list; apticron",
        user="root",
        to=(ROOT,),
        prints=".*",
        files={"/etc/apticron/apticron.conf": page("apticron")},
        subject="No updates for box.example.org",
        text=None,
    ),
    Caller(
        "backupninja",
        "chmod 600 /etc/backup.d/10.sh; backupninja --now",
        user="root",
        to=(ROOT,),
        status=1,
        prints=".*",
        files={"/etc/backup.d/10.sh": "warning the disk is full\n"},
        subject="backupninja: box.example.org WARNING",
        text=None,
        told="nobody",
    ),
    Caller(
        "chkrootkit",
        "mv chkrootkit /usr/sbin; chkrootkit-daily",
        user="root",
        to=(ROOT,),
        prints=".*",
        files={
            "chkrootkit": "#!/bin/sh\necho INFECTED\n",
            "/etc/chkrootkit/chkrootkit.conf": page("chkrootkit"),
        },
        text=None,
    ),
    Caller(
        "logcheck",
        """\
echo "$(date '+%b %e %T') box app[1]: something odd" >/var/log/app.log
chmod 644 /var/log/app.log
echo /var/log/app.log >/etc/logcheck/logcheck.logfiles
rm -rf /etc/logcheck/logcheck.logfiles.d
mkdir -p /run/lock/logcheck
chown logcheck /run/lock/logcheck
runuser -u logcheck -- /usr/sbin/logcheck
""",
        by="root",
        user="logcheck",
        to=(ROOT,),
        text=None,
    ),
    Caller(
        "rkhunter",
        "chmod 755 /usr/bin/rkhunter; /etc/cron.daily/rkhunter",
        user="root",
        to=(ROOT,),
        files={
            "/etc/default/rkhunter": page("rkhunter"),
            "/usr/bin/rkhunter": f"#!/bin/sh\ncat <<'END'\n{TEXT}END\n",
        },
        told="says: sendmail: ",
    ),
    Caller(
        "reportbug",
        "python3 send.py",
        to=("submit@example.net",),
        files={
            "text": PLAIN,
            "send.py": """\
import sys
from reportbug import submit
import reportbug.ui.text_ui
submit.ui = reportbug.ui.text_ui
submit.ui.menu = submit.ui.yes_no = lambda *asked, **more: sys.exit(1)
submit.send_report('Package: hello\\n\\n' + open('text').read(), [], None,
    'You Yourself <you@example.org>', 'submit@example.net', '', '',
    [('X-Debbugs-Cc', 'ann@example.org')], package='hello', charset='utf-8',
    mta='/usr/sbin/sendmail', smtphost=None, draftpath='/tmp')
""",
        },
        text=None,
        told="says: sendmail: ",
        prints=".*",
    ),
    Caller(
        "calendar",
        "cd /home/you; mkdir .calendar; mv calendar .calendar; chown -R you: .calendar;"
        ' touch /etc/calendar/default; sed -i "s|^|$(date +%m/%d)|" .calendar/calendar;'
        " calendar -a",
        by="root",
        agent=True,
        to=("you@example.org",),
        files={"calendar": "\tA day to remember\n"},
        text=None,
        told="nobody",
    ),
    Caller(
        "popularity-contest",
        "touch /var/log/popularity-contest; /etc/cron.daily/popularity-contest --crond",
        user="root",
        to=("survey@example.com",),
        files={
            "/etc/popularity-contest.conf": """\
MY_HOSTID="0123456789abcdef0123456789abcdef"
PARTICIPATE="yes"
USEHTTP="no"
MAILTO="survey@example.com"
ENCRYPT="no"
"""
        },
        text=None,
        told="nobody",
    ),
    Caller(
        "a check of a monitor",
        page("monit"),
        user="root",
        to=("user@example.com",),
        files={},
        text="No answer for five minutes.\n",
        subject="web1 is DOWN",
    ),
    Caller(
        "watchdog",
        "/usr/lib/sendmail -i root",
        user="root",
        to=(ROOT,),
        environ={},
        stdin="To: root\nSubject: box is going down!\n\nThe load is too high.\n",
        text="The load is too high.\n",
    ),
    Caller(
        "arpwatch",
        "/usr/sbin/sendmail -odi root",
        user="root",
        to=(ROOT,),
        sender="arpwatch@example.org",
        stdin="From: arpwatch (Arpwatch box)\nTo: root\nSubject: new station\n\n"
        "            hostname: box\n",
        text="            hostname: box\n",
    ),
    Caller(
        "ZFS's zed",
        "/usr/sbin/sendmail root",
        user="root",
        to=(ROOT,),
        environ={"PATH": "/usr/bin", "ZED_PID": "1"},
        stdin="Subject: ZFS scrub_finish event\n\n" + PLAIN,
        subject="ZFS scrub_finish event",
        text=PLAIN,
    ),
]
