"""Programs in which people write their mail."""

from __future__ import annotations

from tests.callers.caller import DOTS, HIDDEN, PLAIN, TEXT, Caller, page

THREE = ("user@example.com", "ann@example.org", HIDDEN)
YOU = "You Yourself <you@example.org>"

B4 = """\
import sys
from email.message import EmailMessage
import b4
command, sender = b4.get_smtp()
mail = EmailMessage()
mail["From"], mail["To"], mail["Subject"] = sender, "user@example.com", "hello"
mail.set_payload(open("../text").read())
sys.exit(1 != b4.send_mail(command, [mail], fromaddr="you@example.org"))
"""

CALLERS = [
    Caller(
        "mutt",
        f"mutt -s hello -c ann@example.org -b {HIDDEN} -- user@example.com",
        to=THREE,
        author=YOU,
        subject="hello",
        files={".muttrc": page("mutt")},
        stdin=DOTS,
        text=DOTS,
    ),
    Caller(
        "mutt: as it comes",
        "mutt -s hello -- user@example.com",
        stdin=DOTS,
        text=DOTS,
    ),
    Caller(
        "neomutt",
        f"neomutt -s hello -c ann@example.org -b {HIDDEN} -- user@example.com",
        to=THREE,
        author=YOU,
        subject="hello",
        files={".neomuttrc": page("mutt")},
        stdin=DOTS,
        text=DOTS,
    ),
    Caller(
        "mutt: a draft",
        "mutt -e 'set from=you@example.org' -H draft </dev/null",
        to=("user@example.com", HIDDEN),
        subject="hello",
        files={
            "draft": f"To: user@example.com\nBcc: {HIDDEN}\nSubject: hello\n\n{TEXT}"
        },
    ),
    Caller(
        "s-nail",
        "s-nail -s hello archuser",
        to=("someone@example.com",),
        subject="hello",
        files={".mailrc": page("s-nail")},
        stdin=DOTS,
        text=DOTS,
    ),
    Caller(
        "s-nail: as it comes",
        f"s-nail -s hello -c ann@example.org -b {HIDDEN} user@example.com",
        to=THREE,
        stdin=DOTS,
        text=DOTS,
        told="nobody",
    ),
    Caller(
        "bsd-mailx",
        f"bsd-mailx -s hello -c ann -b {HIDDEN} user@example.com",
        to=THREE,
        subject="hello",
        stdin=TEXT,
    ),
    Caller(
        "bsd-mailx: an alias",
        "bsd-mailx -s hello boss",
        to=("someone@example.com",),
        files={".mailrc": "alias boss someone@example.com\n"},
        stdin=TEXT,
    ),
    Caller(
        "mail -s, root's shell",
        page("mail"),
        user="root",
        to=("admin@example.org",),
        text="/dev/sda1 is full\n",
    ),
    Caller(
        "mailutils",
        "mail.mailutils -s hello -r you@example.org"
        f" -a 'Cc: ann@example.org' -a 'Bcc: {HIDDEN}' user@example.com",
        to=THREE,
        stdin=TEXT,
    ),
    Caller(
        "nmh",
        "mkdir Mail; /usr/bin/mh/send /home/you/draft",
        to=("user@example.com", "ann@example.org"),
        files={
            ".mh_profile": "Path: Mail\n",
            "/etc/nmh/mts.conf": page("nmh"),
            "draft": f"From: {YOU}\nTo: user@example.com\nCc: ann\n"
            f"Subject: hello\n\n{PLAIN}",
        },
        text=PLAIN,
        told="says: sendmail: ",
    ),
    Caller(
        "nmh: over -bs",
        "mkdir Mail; /usr/bin/mh/send /home/you/draft",
        files={
            ".mh_profile": "Path: Mail\n",
            "/etc/nmh/mts.conf": "mts: sendmail/smtp\nsendmail: /usr/sbin/sendmail\n",
            "draft": f"From: {YOU}\nTo: user@example.com\nSubject: hello\n\n{PLAIN}",
        },
        text=PLAIN,
    ),
    Caller(
        "Emacs: sendmail.el",
        "emacs --batch -Q -l .emacs -l send.el",
        to=THREE,
        author=YOU,
        subject="hello",
        files={
            ".emacs": page("emacs"),
            "send.el": f"""\
(mail nil "user@example.com" "hello" nil "ann@example.org")
(mail-bcc) (insert "{HIDDEN}")
(mail-text) (insert-file-contents "text")
(mail-send)
""",
            "text": DOTS,
        },
        text=DOTS,
        prints=".*",
    ),
    Caller(
        "Emacs: message.el",
        "emacs --batch -Q -l .emacs -l send.el",
        to=THREE,
        author=YOU,
        subject="hello",
        files={
            ".emacs": page("emacs"),
            "send.el": f"""\
(message-mail "user@example.com" "hello"
              '(("Cc" . "ann@example.org") ("Bcc" . "{HIDDEN}")))
(message-goto-body) (insert-file-contents "text")
(setq message-interactive t)
(message-send)
""",
            "text": DOTS,
        },
        text=DOTS,
        prints=".*",
    ),
    Caller(
        "git send-email",
        f"""\
cd repo && git init -q && git add file && git commit -q -m change
git send-email --quiet --confirm=never --suppress-cc=all -1 --bcc={HIDDEN} \\
    --to=user@example.com --cc=ann@example.org >/dev/null
""",
        to=THREE,
        author=YOU,
        subject="[PATCH] change",
        files={".gitconfig": page("git"), "repo/file": TEXT},
        text=None,
    ),
    Caller(
        "git send-email: a command",
        """\
cd repo && git init -q && git add file && git commit -q -m change
git send-email --quiet --confirm=never --suppress-cc=all -1 \\
    --sendmail-cmd='/usr/sbin/sendmail -oi' --to=user@example.com >/dev/null
""",
        author=YOU,
        subject="[PATCH] change",
        files={
            ".gitconfig": "[user]\nname = You Yourself\nemail = you@example.org\n",
            "repo/file": TEXT,
        },
        text=None,
    ),
    Caller(
        "b4",
        """\
git init -q repo; cd repo; git commit -q --allow-empty -m change; python3 ../send.py
""",
        subject="hello",
        files={
            ".gitconfig": page("git"),
            "send.py": B4,
            "text": PLAIN,
        },
        text=None,
        prints=".*",
    ),
    Caller(
        "quilt mail",
        f"""\
quilt mail --send -m 'What it is' --from 'You Yourself <you@example.org>' \\
    --sender you@example.org --to user@example.com --bcc {HIDDEN} --subject series
""",
        to=("user@example.com", HIDDEN),
        count=2,
        keeps=2,
        told="says: sendmail: ",
        files={
            "patches/one.patch": """\
Subject: first

Why.

---
--- a/a
+++ b/a
@@ -0,0 +1 @@
+x
""",
            "patches/series": "one.patch\n",
        },
        text=None,
        prints=".*",
    ),
    Caller(
        "Mercurial",
        """\
hg init repo && cd repo && cp ../text . && hg add -q text && hg commit -m change
hg email -q --rev 0 --to user@example.com --cc ann@example.org </dev/null
""",
        to=("user@example.com", "ann@example.org"),
        files={".hgrc": page("mercurial"), "text": TEXT},
        text=None,
        prints=".*",
    ),
    Caller(
        "mpack",
        "mpack -s hello text user@example.com",
        files={"text": TEXT},
        text=None,
        told="says: sendmail: ",
    ),
    Caller(
        "mime-construct",
        f"mime-construct --to user@example.com --bcc {HIDDEN} --subject hello"
        " --file text",
        to=("user@example.com", HIDDEN),
        files={"text": PLAIN},
        text=PLAIN,
    ),
    Caller(
        "mblaze",
        "mmime <draft | /usr/sbin/sendmail -t",
        to=("user@example.com", HIDDEN),
        subject="Grüße",
        files={
            "draft": f"From: you@example.org\nTo: user@example.com\nBcc: {HIDDEN}\n"
            f"Subject: Grüße\n\n{TEXT}"
        },
    ),
    Caller(
        "swaks over -bs",
        "swaks --pipe '/usr/sbin/sendmail -bs' --from you@example.org"
        " --to user@example.com --body @text --silent 2",
        files={"text": PLAIN},
        text=None,
    ),
]
