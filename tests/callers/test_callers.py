"""Every caller of the tables, with the mailhub there and without it."""

from __future__ import annotations

import re
from email.utils import getaddresses

import pytest

from tests.callers import (
    caller,
    forwarders,
    jobs,
    languages,
    mailers,
    monitors,
    odd,
    php,
    shells,
)
from tests.callers.box import Box, Done
from tests.callers.caller import HIDDEN, Caller
from tests.callers.relay import Mail

TABLES = (forwarders, jobs, languages, mailers, monitors, odd, php, shells)
CALLERS = [each for table in TABLES for each in table.CALLERS]

every_caller = pytest.mark.parametrize("who", CALLERS, ids=lambda who: who.name)


@every_caller
@pytest.mark.parametrize("agent", [False, True], ids=["straight", "agent"])
def test_sent(who: Caller, agent: bool, box: Box) -> None:
    """What the caller sends arrives once and whole, and the caller sees no trouble."""
    if agent or who.agent:
        box.starts_agent()
    done = call(who, box)
    mails = box.arrived(who.count)

    assert who.status == done.status, done.output + "\n".join(box.log)
    assert re.fullmatch(who.prints, done.output, re.DOTALL), done.output
    assert who.count == len(mails), f"{mails}\n{done.output}\n{box.log}"
    for mail in mails:
        judge(who, mail)
    if who.check:
        who.check(box, mails)
    box.until(lambda: queue(who, box) == "Mail queue is empty\n")


@every_caller
def test_kept(who: Caller, box: Box) -> None:
    """Without the mailhub the caller learns it if it asks, and nothing is lost."""
    box.hub_goes_away()
    if who.agent:
        box.starts_agent()
    done = call(who, box)

    box.until(lambda: lists(who, box))
    was_told(who, box, done)
    box.until(lambda: not box.sending())

    box.hub_comes_back()
    assert Done(0, "") == box.run("/usr/sbin/sendmail -q", user=who.user)
    mails = box.arrived(who.keeps)
    assert who.keeps == len(mails), mails
    for mail in mails:
        judge(who, mail)
    box.until(lambda: queue(who, box) == "Mail queue is empty\n")


def call(who: Caller, box: Box) -> Done:
    """Write the caller's files, and run its command."""
    for path, text in who.files.items():
        if path.startswith("/"):
            box.write(path, text, mode=0o755 if text.startswith("#!") else None)
        else:
            box.write(f"{box.home(who.user)}/{path}", text, who.user)
    stdin = who.stdin if isinstance(who.stdin, bytes) else who.stdin.encode()
    user = who.by or who.user
    return box.run(who.command, user=user, stdin=stdin, environ=who.environ)


def was_told(who: Caller, box: Box, done: Done) -> None:
    """Assert that the caller learnt that its mail was not sent, in its own way."""
    way, _, text = who.told.partition(": ")
    if way == "status":
        assert 0 != done.status, done.output
    elif way == "says":
        assert re.search(text, done.output), done.output
    elif way == "logs":
        box.until(lambda: any(re.search(text, line) for line in box.log))
    else:
        assert "nobody" == way


def judge(who: Caller, mail: Mail) -> None:
    """Compare a mail with what the caller was to send."""
    assert (who.address, sorted(who.to)) == (mail.sender, sorted(mail.recipients))
    for name in ("From", "Date", "Message-ID"):
        assert mail.field(name)
    for name in ("From", "Sender", "Reply-To", "To", "Cc"):
        for _, address in getaddresses(map(str, mail.message.get_all(name, []))):
            assert "@" in address or not address, mail
    assert "Bcc" not in mail.message
    assert HIDDEN.encode() not in mail.content
    if who.author is not None:
        assert who.author == mail.field("From")
    if who.subject is not None:
        assert who.subject == mail.field("Subject")
    if who.text is not None:
        assert who.text == mail.text


def queue(who: Caller, box: Box) -> str:
    """Return what mailq says to the caller's user."""
    return box.run("/usr/bin/mailq", user=who.user).output


def lists(who: Caller, box: Box) -> bool:
    """Tell whether mailq lists as many messages as are to be kept, to their people."""
    said = queue(who, box)
    kept = re.findall(r"^\d{8}[-T]\d{6}-\w+", said, re.MULTILINE)
    return who.keeps == len(kept) and all(address in said for address in who.to)


def test_the_page_is_tried() -> None:
    """Every example that docs/callers.md marks belongs to a caller."""
    assert set(caller.examples()) == caller.used
