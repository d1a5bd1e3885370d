"""Scripts: the forms in which people write it down."""

from __future__ import annotations

from tests.callers.caller import DOTS, HIDDEN, TEXT, Caller, head, page

CALLERS = [
    Caller(
        "here-document",
        page("here"),
        to=("user@example.com", HIDDEN),
        subject="the report",
        files={"report.txt": DOTS},
        text=DOTS,
    ),
    Caller(
        "sendmail -t",
        "/usr/sbin/sendmail -t -oi",
        to=("user@example.com", "ann@example.org", HIDDEN),
        author="You Yourself <you@example.org>",
        subject="hello",
        stdin=head(
            "To: user@example.com",
            "Cc: ann",
            f"Bcc: {HIDDEN}",
            "Subject: hello",
            text=DOTS,
        ),
        text=DOTS,
    ),
    Caller(
        "pipe",
        page("shell"),
        to=("user@example.com",),
        subject="the backup is done",
        text="It took a while.\n",
    ),
    Caller(
        "a file",
        page("file"),
        to=("user@example.com", "ann@example.org"),
        subject="hello",
        files={
            "test-mail.txt": f"To:user@example.com\nCc:ann\nSubject:hello\n\n{TEXT}"
        },
    ),
    Caller(
        "a file without -t",
        "/usr/sbin/sendmail user@example.com <test-mail.txt",
        subject="hello",
        files={
            "test-mail.txt": f"To:user@example.com\nCc:ann\nSubject:hello\n\n{TEXT}"
        },
    ),
    Caller(
        "uuencode",
        page("uuencode"),
        files={"file.txt": TEXT},
        text=None,
    ),
]
