"""Jobs: programs that run commands at a time, and mail what these say."""

from __future__ import annotations

from tests.callers.caller import PLAIN, TEXT, Caller, head, page

# Cron's clock is shortly before the full minute: it waits three seconds, not sixty.
CRON = """\
rm /etc/cron.d/*
faketime -f +$(( (117 - $(date +%-S)) % 60 ))s cron -f >/dev/null 2>&1 </dev/null &
"""
ROOT = "admin@example.org"
ADMIN = (ROOT,)

CALLERS = [
    Caller(
        "cron: at the minute",
        f"crontab -u you /home/you/crontab; {CRON}",
        by="root",
        sender=ROOT,
        files={
            "crontab": page("crontab"),
            "backup.sh": "#!/bin/sh\ncat ~/said\n",
            "said": TEXT,
        },
        subject="Cron <you@box> sh backup.sh",
        told="logs: got status 0x004b",
    ),
    Caller(
        "cron: root's job",
        f"crontab /root/crontab; {CRON}",
        user="root",
        to=ADMIN,
        sender=ROOT,
        files={"crontab": "* * * * * cat said\n", "said": TEXT},
        subject="Cron <root@box> cat said",
        told="logs: got status 0x004b",
    ),
    Caller(
        "cron: system's crontab, two in MAILTO",
        f"""\
printf '%s\\n' MAILTO=user@example.com,ann '* * * * * you cat said' >/etc/crontab
{CRON}
""",
        by="root",
        sender=ROOT,
        to=("user@example.com", "ann@example.org"),
        files={"said": TEXT},
        told="logs: got status 0x004b",
    ),
    Caller(
        "cron: no line end",
        f"crontab -u you /home/you/crontab; {CRON}",
        by="root",
        sender=ROOT,
        files={
            "crontab": """\
MAILTO=user@example.com
* * * * * printf 'a\\%s' "$(cat said)"
""",
            "said": TEXT,
        },
        text="a" + TEXT,
        told="logs: got status 0x004b",
    ),
    Caller(
        "cronie",
        "/usr/sbin/sendmail -FCronDaemon -i -odi -oem -oi -t -f root",
        user="root",
        to=ADMIN,
        sender=ROOT,
        author='"(Cron Daemon)" <admin@example.org>',
        stdin=head(
            'From: "(Cron Daemon)" <root>',
            "To: root",
            "Subject: Cron <root@box> ./job",
            "Auto-Submitted: auto-generated",
            "Precedence: bulk",
        ),
    ),
    Caller(
        "anacron",
        "anacron -f -n -d -s -t /root/anacrontab",
        user="root",
        to=ADMIN,
        sender=ROOT,
        files={"anacrontab": "1 0 daily cat /root/said\n", "said": TEXT},
        prints=".*Normal exit.*",
        told="says: Tried to mail output|exited with status",
    ),
    Caller(
        "at",
        "atd -f >/dev/null 2>&1 </dev/null &"
        " runuser -u you -- sh -c 'cd; at now -f said.sh'",
        by="root",
        to=("you@example.org",),
        files={"said.sh": "cat /home/you/said\n", "said": TEXT},
        prints=".*job 1 at .*",
        told="nobody",
    ),
    Caller(
        "sudo",
        "sudo -n true",
        agent=True,
        count=2,
        keeps=2,
        to=ADMIN,
        files={
            "/etc/sudoers.d/mail": page("sudo"),
            "/etc/sudoers.d/test": """\
Defaults mail_always
you ALL=(ALL) NOPASSWD: ALL
""",
        },
        text=None,
        told="nobody",
    ),
    Caller(
        "sudo: wrong password",
        "echo wrong | sudo -S -k true",
        agent=True,
        to=ADMIN,
        files={
            "/etc/sudoers.d/mail": page("sudo"),
            "/etc/sudoers.d/test": "you ALL=(ALL) ALL\n",
        },
        text=None,
        status=1,
        prints=".*",
        told="nobody",
    ),
    Caller(
        "systemd: OnFailure",
        "sh /usr/local/bin/notify backup.service",
        user="root",
        environ={"PATH": "/usr/bin"},
        to=ADMIN,
        sender="systemd@example.org",
        files={
            "/usr/local/bin/notify": page("onfailure-script"),
            "/usr/bin/systemctl": f"#!/bin/sh\ncat <<'END'\n{PLAIN}END\n",
        },
        subject="backup.service has failed",
        text=PLAIN,
    ),
    Caller(
        "systemd-cron",
        "sendmail -i -B8BITMIME root",
        user="root",
        to=ADMIN,
        sender=ROOT,
        stdin=head(
            "From: root (systemd-cron)", "To: root", "Subject: [box] job output"
        ),
        author=ROOT,
    ),
    Caller(
        "logrotate",
        """\
chmod 644 logrotate.conf
/usr/sbin/logrotate -f -s /root/state logrotate.conf
""",
        user="root",
        to=("user@example.com",),
        files={
            "logrotate.conf": page("logrotate"),
            "/var/log/app.log": PLAIN,
            "/var/log/app.log.1": PLAIN,
        },
        subject="/var/log/app.log.2",
        text=PLAIN,
        told="nobody",
    ),
    Caller(
        "dpkg: a script of a package",
        "mkdir -p p/DEBIAN; mv control postinst p/DEBIAN; chmod 755 p/DEBIAN/postinst;"
        " dpkg-deb -b p p.deb >/dev/null; dpkg -i p.deb >/dev/null",
        user="root",
        to=ADMIN,
        files={
            "control": """\
Package: p
Version: 1
Architecture: all
Maintainer: a <a@example.org>
Description: p
""",
            "postinst": """\
#!/bin/sh
set -e
/usr/sbin/sendmail root <<END
Subject: p

Done.
END
""",
        },
        subject="p",
        text="Done.\n",
    ),
]
