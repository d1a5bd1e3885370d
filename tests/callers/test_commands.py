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


@pytest.mark.parametrize("closed", ["<&-", "<&- >&-", "<&- >&- 2>&-"])
def test_no_input(box: Box, closed: str) -> None:
    """Without standard input there is no message, and none is made up."""
    done = box.run(f"/usr/sbin/sendmail user@example.com {closed}")

    assert 66 == done.status, done.output
    assert [] == box.arrived(0)
    assert EMPTY == box.run("/usr/bin/mailq").output


def test_a_caller_that_drops_its_groups(box: Box) -> None:
    """It cannot read the configuration: it is told what would help, nothing is lost."""
    done = box.run(
        "setpriv --reuid=you --regid=you --clear-groups"
        " /usr/sbin/sendmail user@example.com",
        user="root",
        stdin=b"\ntext\n",
    )

    assert 78 == done.status, done.output
    assert "/etc/ssmtp/ssmtp.conf cannot be read" in done.output
    assert "group mail" in done.output
    assert "agent" in done.output
    assert "kept as" in done.output
    assert Done(0, "") == box.run("/usr/sbin/sendmail -q")
    assert 1 == len(box.arrived())


@pytest.mark.parametrize("kind", ["sendmail", "postfix"])
def test_check_mailq(box: Box, kind: str) -> None:
    """The plugin of Nagios, Icinga and the like reads our mailq."""
    plugin = f"/usr/lib/nagios/plugins/check_mailq -M {kind} -w 1 -c 2"
    empty = box.run(plugin)
    box.hub_goes_away()
    for _ in "12":
        box.run("/usr/sbin/sendmail user@example.com", stdin=b"\ntext\n")
    full = box.run(plugin)

    assert 0 == empty.status, empty.output
    assert 2 == full.status, full.output


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
