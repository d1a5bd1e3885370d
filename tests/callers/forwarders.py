"""Programs that get mail from elsewhere and pass it on, and hooks of repositories."""

from __future__ import annotations

from tests.callers.caller import DOTS, PLAIN, TEXT, Caller, head, page

EVE = head(
    "From: Eve <eve@example.net>",
    "To: you@example.org",
    "Date: Sat, 21 Nov 2026 10:00:00 +0000",
    "Message-ID: <1@example.net>",
    "Subject: hello",
    text=DOTS,
)
MBOX = f"From eve@example.net Sat Nov 21 10:00:00 2026\n{EVE}"

LDA = "/usr/lib/dovecot/dovecot-lda -c lda.conf -f eve@example.net"
COMMIT = """\
git config --global user.email you@example.org
git config --global user.name You
mkdir work; cd work; git init -q; cp ../text .; git add text
"""

# A mailbox with one message, for POP3.
POP3 = """\
import socket, subprocess, sys
text = open("text").read().replace("\\n", "\\r\\n").replace("\\r\\n.", "\\r\\n..")
listener = socket.create_server(("127.0.0.1", 0))
rc = f"poll 127.0.0.1 service {listener.getsockname()[1]} proto pop3 no dns user a"
rc += " pass b is you here no rewrite keep sslproto '' " + open("mda").read()
open(".fetchmailrc", "w").write(rc)
fetch = subprocess.Popen("chmod 600 .fetchmailrc; fetchmail -s", shell=True)
peer, _ = listener.accept()
lines = peer.makefile("rw", newline="")
def say(words):
    lines.write(words + "\\r\\n")
    lines.flush()
say("+OK")
for line in lines:
    word = line.split()[0].upper()
    if word == "STAT": say(f"+OK 1 {len(text)}")
    elif word == "CAPA": say("+OK\\r\\n.")
    elif word == "LAST": say("-ERR")
    elif word in ("LIST", "UIDL"):
        one = f"1 {len(text)}"
        say(f"+OK {one}" if line.split()[1:] else f"+OK\\r\\n{one}\\r\\n.")
    elif word in ("RETR", "TOP"): say("+OK\\r\\n" + text + ".")
    else: say("+OK")
    if word == "QUIT": break
sys.exit(fetch.wait())
"""

CALLERS = [
    Caller(
        "procmail",
        "procmail",
        sender="eve@example.net",
        author="Eve <eve@example.net>",
        subject="hello",
        files={".procmailrc": page("procmail")},
        stdin=MBOX,
        text=DOTS + "\n",
        told="says: sendmail: ",
    ),
    Caller(
        "maildrop",
        "chmod 600 .mailfilter; maildrop",
        sender="",
        author="Eve <eve@example.net>",
        files={".mailfilter": page("maildrop")},
        stdin=EVE,
        text=DOTS,
    ),
    Caller(
        "fetchmail",
        "python3 pop3.py",
        sender="eve@example.net",
        author="Eve <eve@example.net>",
        files={"mda": page("fetchmail"), "pop3.py": POP3, "text": EVE},
        text=DOTS,
        prints=".*",
        told="says: nonzero status 75",
    ),
    Caller(
        "formail",
        "formail -s /usr/sbin/sendmail -oi user@example.com",
        sender="eve@example.net",
        author="Eve <eve@example.net>",
        stdin=MBOX,
        text=DOTS.replace("\nFrom", "\n>From") + "\n",
    ),
    Caller(
        "Dovecot: Sieve redirect",
        LDA,
        sender="eve@example.net",
        author="Eve <eve@example.net>",
        files={
            "lda.conf": page("dovecot")
            + "mail_location = maildir:~/Maildir\nlog_path = /dev/stderr\n"
            "protocol lda {\n  mail_plugins = sieve\n}\n",
            ".dovecot.sieve": 'redirect "user@example.com";\n',
        },
        stdin=EVE,
        text=DOTS,
        prints=".*",
    ),
    Caller(
        "Dovecot: Sieve vacation",
        LDA + " -a you@example.org",
        to=("eve@example.net",),
        sender="",
        files={
            "lda.conf": page("dovecot")
            + """\
mail_location = maildir:~/Maildir
log_path = /dev/stderr
postmaster_address = you@example.org
protocol lda {
  mail_plugins = sieve
}
""",
            ".dovecot.sieve": """\
require "vacation"; vacation :addresses "you@example.org" "I am away.";
""",
        },
        stdin=EVE,
        text="I am away.\n",
        prints=".*",
        told="nobody",
    ),
    Caller(
        "vacation",
        "vacation -i && vacation -f .vacation.db you",
        to=("eve@example.net",),
        files={".vacation.msg": f"Subject: away\n\n{PLAIN}"},
        stdin=MBOX,
        text=PLAIN,
        told="nobody",
    ),
    Caller(
        "fetchmail's words",
        "/usr/sbin/sendmail -i -f eve@example.net -- user@example.com",
        sender="eve@example.net",
        author="Eve <eve@example.net>",
        stdin=EVE.replace("\n", "\r\n"),
        text=DOTS,
    ),
    Caller(
        "git: post-receive-email",
        f"""\
{COMMIT}
git commit -q -m 'a change'
git config hooks.mailinglist user@example.com
git config hooks.envelopesender you@example.org
new=$(git rev-parse HEAD)
echo "$(echo $new | sed s/./0/g) $new refs/heads/main" |
    sh /usr/share/git-core/contrib/hooks/post-receive-email
""",
        files={"text": TEXT},
        text=None,
    ),
    Caller(
        "git: a hook of one's own",
        f"""\
{COMMIT}
install -m 755 ../post-commit .git/hooks
git commit -q -m 'a change'
""",
        files={"text": TEXT, "post-commit": page("git-hook")},
        subject="commit in work",
        text=None,
        told="nobody",
    ),
    Caller(
        "Subversion: commit-email.pl",
        "svnadmin create repo; svn -q mkdir -m 'a change' file://$PWD/repo/dir;"
        " perl /usr/share/subversion/hook-scripts/commit-email.pl $PWD/repo 1"
        " --from you@example.org -s '[svn]' user@example.com ann",
        to=("user@example.com", "ann@example.org"),
        text=None,
        told="says: sendmail: ",
    ),
    Caller(
        "Mercurial: notify",
        """\
export HGUSER=You
hg init hub
hg init work
cp text work
cd work
hg add -q text
hg commit -m 'a change'
cp ../hgrc ../hub/.hg/
hg push -q ../hub
""",
        to=("user@example.com",),
        files={"text": TEXT, "hgrc": page("mercurial-notify")},
        text=None,
        told="says: abort: sendmail|mail failed|sendmail",
    ),
]
