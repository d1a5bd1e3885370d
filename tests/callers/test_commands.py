"""What scripts of packages and administrators ask of sendmail, besides sending."""

from __future__ import annotations

import re

import pytest

from tests.callers.box import Box, Done

EX_USAGE = 64
EMPTY = "Mail queue is empty\n"


@pytest.mark.parametrize("user", ["root", "you"])
@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("/usr/bin/mailq", EMPTY),
        ("/usr/sbin/sendmail -bp", EMPTY),
        ("/usr/bin/newaliases", ""),
        ("/usr/sbin/sendmail -bi", ""),
        ("/usr/sbin/sendmail -q", ""),
        ("/usr/sbin/sendmail -qf", ""),
    ],
)
def test_quiet(box: Box, command: str, said: str, user: str) -> None:
    """With nothing to do, they end with 0 and say no more than that."""
    assert Done(0, said) == box.run(command, user=user)
    assert [] == box.arrived(0)


@pytest.mark.parametrize(
    "command",
    [
        "/usr/sbin/sendmail -bd",
        "/usr/sbin/sendmail -bd -q30m",
        "/usr/sbin/sendmail -t",
        "/usr/sbin/sendmail -i",
        "/usr/sbin/sendmail --no-such-option user@example.com",
    ],
)
def test_refused(box: Box, command: str) -> None:
    """What is not to be had, or has nobody to go to, is refused in a sentence."""
    done = box.run(command, stdin=b"Subject: hello\n\ntext\n")

    assert EX_USAGE == done.status, done.output
    assert re.fullmatch(r"sendmail: .*\n", done.output), done.output
    assert [] == box.arrived(0)


def test_a_recipient_that_is_refused(box: Box) -> None:
    """Who is refused for good is named, and the status is that of sysexits.h."""
    box.relay.refused.add("gone@example.com")
    done = box.run("/usr/sbin/sendmail -i gone@example.com", stdin=b"\ntext\n")

    assert 67 == done.status
    assert "gone@example.com" in done.output
    assert [] == box.arrived(0)


def test_a_silent_mailhub_and_an_impatient_caller(box: Box) -> None:
    """A caller that ends it before the mailhub has said a word loses no mail."""
    box.hub_falls_silent()
    done = box.run(
        "timeout --preserve-status 1 /usr/sbin/sendmail user@example.com",
        stdin=b"Subject: hello\n\ntext\n",
    )

    assert 0 != done.status
    assert "user@example.com" in box.run("/usr/bin/mailq").output
