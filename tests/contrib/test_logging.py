"""`MailHandler` mails what was logged, and never stands in the way of who logs."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ssmtp.contrib import logging as plug

ROOT = Path(__file__).parents[2]


@pytest.fixture
def logger(mailsink):
    """A logger of its own; `logger.to(...)` makes its handler."""
    log = logging.Logger("shop")

    def to(address="ops@example.org", **options):
        options.setdefault("config", str(mailsink.config))
        log.addHandler(plug.MailHandler(address, **options))
        return log

    yield to
    for handler in log.handlers:
        handler.close()


def test_a_batch(logger, mailsink):
    """Records that come together are one message, the first of them its subject."""
    log = logger(subject="[shop]")
    log.error("disk %s is full\nreally", "/srv")
    log.warning("grüße")
    log.handlers[0].flush()
    [mail] = mailsink.messages

    assert ["ops@example.org"] == mail.recipients
    assert mail["Subject"].startswith("[shop] ")
    assert mail["Subject"].endswith("ERROR shop: disk /srv is full (and 1 more)")
    assert "full\nreally\n" in mail.text
    assert mail.text.endswith("WARNING shop: grüße")
    assert "auto-generated" == mail["Auto-Submitted"]


def test_a_batch_ends_by_itself(logger, mailsink):
    """A batch is sent when its time is over, without anybody asking."""
    logger(seconds=0.05).error("once")

    assert "once" in mailsink.wait()[0].text


@pytest.mark.parametrize(
    ("options", "level"), [({"most": 1}, "INFO"), ({"seconds": 999}, "CRITICAL")]
)
def test_some_do_not_wait(logger, mailsink, options, level):
    """A full batch and a critical record are sent at once."""
    logger(**options).log(getattr(logging, level), "now")

    assert "now" in mailsink.wait()[0].text


def test_nobody_waits_for_the_mailhub(logger, mailsink):
    """Who logs goes on while the mailhub is thinking."""
    thinking = threading.Event()
    mailsink._judge = lambda stage, address: None
    real = mailsink._hub._handle
    mailsink._hub._handle = lambda received: (thinking.wait(10), real(received))
    log = logger(most=1, patience=0.01)
    log.error("one")
    log.error("two")
    before = list(mailsink.messages)
    thinking.set()

    assert [] == before
    assert 2 == len(mailsink.wait(2))


def test_a_mailhub_that_is_away(logger, mailsink, capsys, monkeypatch):
    """What could not be sent is sent later, with what came meanwhile."""
    monkeypatch.setattr(plug, "PAUSE_FIRST", 0.05)
    mailsink.refuse("connection", "421 4.3.2 not now", times=1)
    log = logger(seconds=0.01)
    log.error("one")
    [mail] = mailsink.wait()

    assert "one" in mail.text
    assert "ssmtp: log records not mailed: " in capsys.readouterr().err


def test_a_refusal_for_good(logger, mailsink, capsys):
    """A message that will never be taken is given up, and the next one is sent."""
    mailsink.refuse("recipient", "550 5.1.1 no such user", times=1)
    log = logger()
    log.error("one")
    log.handlers[0].flush()
    log.error("two")
    log.handlers[0].flush()

    assert ["two"] == [mail.text[-3:] for mail in mailsink.messages]
    assert "no such user" in capsys.readouterr().err


def test_no_room(logger, mailsink):
    """While the mailhub is away a flood is counted, and the count is mailed."""
    mailsink.refuse("connection", "421 4.3.2 not now", times=1)
    log = logger(most=2, seconds=999)
    for number in range(5):
        log.error("flood %d", number)
    log.handlers[0].flush()
    log.handlers[0].flush()
    text = "".join(mail.text for mail in mailsink.wait())
    found = sum(f"flood {number}" in text for number in range(5))

    assert 2 == found
    assert "3 more records found no room here." in text


@pytest.mark.parametrize("broken", ["argument", "address", "config"])
def test_nobody_gets_an_exception(logger, mailsink, capsys, broken):
    """Whatever is wrong is told on standard error, never raised."""
    options = {"config": "/missing/ssmtp.conf"} if broken == "config" else {}
    log = logger("a@b\r\nc" if broken == "address" else "a@b.example", **options)
    log.error("%d", "x" if broken == "argument" else 1)
    log.handlers[0].flush()

    assert [] == mailsink.messages
    assert "" != capsys.readouterr().err


def test_what_the_thread_says_is_not_mailed(logger, mailsink, monkeypatch):
    """Where standard error leads to the log, a failure does not mail itself."""
    log = logger()

    class ToTheLog:
        def write(self, text):
            if text.strip():
                log.error("said: %s", text)

    monkeypatch.setattr(sys, "stderr", ToTheLog())
    mailsink.refuse("connection", "421 4.3.2 not now", times=1)
    log.error("one")
    log.handlers[0].flush()
    log.handlers[0].flush()

    assert ["one"] == [mail.text.split(": ", 1)[1] for mail in mailsink.messages]


PROGRAM = """
import logging, sys
sys.path.insert(0, sys.argv[1])
from ssmtp.contrib.logging import MailHandler
logging.getLogger().addHandler(MailHandler("ops@example.org", config=sys.argv[2]))
logging.error("last words")
"""


def run(config, state):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, ROOT / "src", config],
        env={**os.environ, "XDG_STATE_HOME": str(state)},
        capture_output=True,
        text=True,
    )
    assert 0 == done.returncode, done.stderr
    return done.stderr


def test_the_end_of_a_program(mailsink, tmp_path):
    """What was logged last is sent before the program ends."""
    said = run(mailsink.config, tmp_path)

    assert "" == said
    assert "last words" in mailsink.messages[0].text


def test_the_end_without_a_mailhub(mailsink, tmp_path):
    """At the end of the program what could not be sent is kept."""
    mailsink.close()
    run(mailsink.config, tmp_path)
    [kept] = (tmp_path / "ssmtp" / "failed").iterdir()

    assert "last words" in kept.read_text()


def test_a_fork(logger, mailsink):
    """A child process mails its own records, and not those of its parent."""
    log = logger(seconds=999)
    log.error("parent")
    child = os.fork()
    if not child:
        try:
            log.error("child")
            log.handlers[0].flush()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    texts = [mail.text for mail in mailsink.wait()]
    log.handlers[0].flush()

    assert ["child"] == [text.split()[-1] for text in texts]
    assert "parent" in mailsink.wait(2)[1].text
