"""The sender with a real mailhub, real sockets and a real disk."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from ssmtp import journal
from ssmtp.agent import aftermath, lookout, loop, status
from ssmtp.agent.carrier import BEGUN_MOST
from ssmtp.agent.commits import BEHIND_MOST
from ssmtp.agent.link import Switchboard
from ssmtp.agent.sender import Sender
from ssmtp.errors import RecipientRefused
from ssmtp.smtp import exits
from ssmtp.smtp.reply import Reply
from tests.agent import sending
from tests.agent.sending import Mailhub, Post, until
from tests.hub import EXTENSIONS, Hub


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    with sending.post(tmp_path) as made:
        yield made


def subjects(hub: Hub) -> list[str]:
    return [mail.field("Subject")[0] for mail in hub.mails]


def test_drain(post: Post) -> None:
    """Everything that is queued reaches the mailhub, once, over few connections."""
    for number in range(40):
        post.add(f"m{number}", *(f"r{n}@x.test" for n in range(1 + number % 3)))
    with post.sender():
        post.drained()

    assert sorted(f"m{n}" for n in range(40)) == sorted(subjects(post.hub))
    assert post.hub.connections <= 4
    assert [] == post.entries(failed=True)


@pytest.mark.parametrize("part", ["queue", "failed", "corrupt"])
def test_queue_that_was_removed(post: Post, part: str) -> None:
    """Without its queue the sender ends: the next one finds what comes from now on,
    and puts away what it cannot send."""
    process = post.start()
    until((post.spool / "site.json").exists)
    shutil.rmtree(post.spool / part)
    process.send_signal(signal.SIGHUP)

    assert 75 == process.wait(30)


def test_content_as_queued(post: Post) -> None:
    """The content arrives octet for octet, the dots of it too."""
    body = b".\r\n..two\r\n\r\n" + "ä\r\n".encode()
    post.add("dots", body=body, eightbit=True)
    with post.sender():
        post.drained()

    assert body == post.hub.mails[0].body
    assert "BODY=8BITMIME" in post.hub.mails[0].mail


@pytest.mark.parametrize("left_out", ["CHUNKING", "PIPELINING", "8BITMIME", "SIZE"])
def test_less_able_mailhubs(tmp_path: Path, left_out: str) -> None:
    """A mailhub with fewer extensions gets the same messages."""
    offers = tuple(e for e in EXTENSIONS if not e.startswith(left_out))
    with sending.post(tmp_path, extensions=offers) as post:
        for number in range(4):
            post.add(f"m{number}", body="ä\r\n".encode(), eightbit=True)
        with post.sender():
            post.drained()

        assert 4 == len(post.hub.mails)
        text = post.hub.mails[0].data
        assert text.isascii() == (left_out == "8BITMIME")


def test_tls_and_auth(tmp_path: Path) -> None:
    """With a password the mail goes out authenticated, inside of TLS."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    with sending.post(
        tmp_path, tls="starttls", users={"me": "pw-12345"}, context=context
    ) as post:
        post.configure(
            "UseSTARTTLS=yes",
            "AuthUser=me",
            "AuthPass=pw-12345",
            f"TLS_CA_File={trusted}",
            mailhub=f"localhost:{post.hub.port}",
        )
        for number in range(5):
            post.add(f"m{number}")
        with post.sender():
            post.drained()

        assert 5 == len(post.hub.mails)
        assert all(mail.tls and mail.user == "me" for mail in post.hub.mails)


def test_warm_connection(post: Post) -> None:
    """A message that comes later finds a connection that is open."""
    with post.sender() as sender:
        for number in range(3):
            post.add(f"m{number}")
            sender.loop.post(sender.look)
            post.drained()

    assert 1 == post.hub.connections
    assert "QUIT" == post.hub.commands[-1]


def test_messages_per_connection(post: Post) -> None:
    """A connection that has carried its number of messages ends with the last one."""
    post.configure("MessagesPerConnection=2", "Connections=1")
    for number in range(6):
        post.add(f"m{number}")
    with post.sender():
        post.drained()

    assert 3 == post.hub.connections
    assert 3 == post.hub.commands.count("QUIT")


def test_limits(tmp_path: Path) -> None:
    """The mailhub's own LIMITS are kept (RFC 9422)."""
    offers = (*EXTENSIONS, "LIMITS MAILMAX=2 RCPTMAX=3")
    with sending.post(tmp_path, extensions=offers) as post:
        post.configure("Connections=1")
        post.add("m0", *(f"r{n}@x.test" for n in range(7)))
        with post.sender():
            post.drained()

        assert [3, 3, 1] == [len(mail.rcpts) for mail in post.hub.mails]
        assert 2 == post.hub.connections


def test_limit_of_domains(tmp_path: Path) -> None:
    """A connection is told no more domains than the mailhub wants (RFC 9422 §4.3)."""
    offers = (*EXTENSIONS, "LIMITS RCPTDOMAINMAX=2")
    with sending.post(tmp_path, extensions=offers) as post:
        post.configure("Connections=1")
        post.add("m0", "a@x.test", "b@y.test", "c@z.test", "d@X.test")
        post.add("m1", "a@z.test")
        with post.sender():
            post.drained()

        sessions = "\n".join(post.hub.commands).split("EHLO")[1:]
        told = [{*re.findall(r"to:<.*@(.*)>", text.lower())} for text in sessions]
        assert all(1 <= len(domains) <= 2 for domains in told)
        assert 5 == sum(len(mail.recipients) for mail in post.hub.mails)


def test_limit_of_domains_after_what_is_too_large(tmp_path: Path) -> None:
    """The domains of a message that the mailhub was not told of count for nothing."""
    offers = ("PIPELINING", "CHUNKING", "SIZE 2000", "LIMITS RCPTDOMAINMAX=1")
    with sending.post(tmp_path, extensions=offers) as post:
        post.configure("Connections=1")
        post.add("m0", "a@x.test", body=b"x" * 70 + b"\r\n" * 2000, notify="NEVER")
        post.add("m1", "b@y.test", "c@z.test")
        with post.sender():
            post.drained()

        sessions = "\n".join(post.hub.commands).split("EHLO")[1:]
        told = [{*re.findall(r"TO:<.*@(.*)>", text)} for text in sessions]
        assert [{"y.test"}, {"z.test"}] == sorted(told, key=str)


def test_one_verdict_on_several_transactions(tmp_path: Path) -> None:
    """Who waits hears of a message once, when all its recipients have been tried."""
    offers = (*EXTENSIONS, "LIMITS RCPTMAX=2")
    with sending.post(tmp_path, extensions=offers) as post:
        post.configure("Connections=1")
        post.hub.replies["RCPT#1"] = "550 5.1.1 no such user"
        board = Switchboard(str(tmp_path / "sender.sock"))
        board.start()
        name = post.add("m0", *(f"r{n}@x.test" for n in range(5)))
        board.expect(name)
        with post.sender(board.path):
            word = board.wait(name, 30)
        board.close()

    assert word is not None
    assert RecipientRefused is exits.kind(Reply(word["code"], [f"{word['status']} no"]))
    assert 4 == sum(len(mail.rcpts) for mail in post.hub.mails if mail.sender)


def test_recipients_apart(post: Post) -> None:
    """One refused recipient does not cost the others the message, and is told."""
    post.hub.replies["RCPT#2"] = "550 5.1.1 no such user"
    post.configure("Connections=1")
    name = post.add("m0", "a@x.test", "b@x.test", "c@x.test")
    with post.sender():
        until(lambda: len(post.hub.mails) == 2)
        post.drained()
    message, bounce = post.hub.mails

    assert ["a@x.test", "c@x.test"] == message.recipients
    assert ("", ["bob@example.org"]) == (bounce.sender, bounce.recipients)
    assert b"Final-Recipient: rfc822; b@x.test\r\n" in bounce.data
    assert [name] == [entry.id for entry in post.entries(failed=True)]
    sent, failed = (line for line in post.logged() if line.get("id") == name)
    assert ["a@x.test", "c@x.test"] == sent["to"]
    assert ["b@x.test"] == failed["to"]


def test_success_that_the_mailhub_does_not_tell(tmp_path: Path) -> None:
    """Who wishes to hear of a delivery hears that it was handed on, without DSN."""
    offers = tuple(word for word in EXTENSIONS if word != "DSN")
    with sending.post(tmp_path, extensions=offers) as post, post.sender() as sender:
        name = post.add("m0", notify="SUCCESS")
        post.drained()
        counts = dict(sender.counts)
        [mail, report] = post.hub.mails
    facts = [
        json.loads(line) for line in (post.spool / "receipts").read_text().splitlines()
    ]
    [fact] = [fact for fact in facts if fact["id"] == name]

    assert ["ann@example.net"] == mail.recipients
    assert ("", ["bob@example.org"]) == (report.sender, report.recipients)
    assert b"Action: relayed" in report.data
    assert [] == list((post.spool / "failed").iterdir())
    assert 0 == counts["refused"]
    assert "sent" == fact["state"]


@pytest.mark.parametrize("to", [("ann@x.test",), ("ann@x.test", "joé@x.test")])
def test_report_beyond_ascii(tmp_path: Path, to: tuple[str, ...]) -> None:
    """A report has nothing but ASCII for a mailhub that takes nothing else."""
    offers = tuple(o for o in EXTENSIONS if o not in ("8BITMIME", "SMTPUTF8"))
    with sending.post(tmp_path, extensions=offers) as post:
        post.hub.replies["RCPT#1"] = "550 5.1.1 ñandú"
        post.add("m", *to, body=b"\xc3\xb1\r\n", eightbit=True, ret="FULL")
        with post.sender():
            post.drained()
        report = post.hub.mails[0].data

        assert report.isascii()
        assert (b"utf-8; jo=C3=A9@x.test" in report) == (len(to) == 2)


@pytest.mark.parametrize("offer", ["SIZE 2000", "SIZE"])
def test_report_of_what_is_too_large(tmp_path: Path, offer: str) -> None:
    """What the mailhub found too large does not come back to it whole."""
    with sending.post(tmp_path, extensions=("8BITMIME", offer)) as post:
        if offer == "SIZE":
            post.hub.replies["RCPT#1"] = "552 5.3.4 message too big"
        post.add("m", body=b"x" * 70 + b"\r\n" * 2000, ret="FULL")
        with post.sender():
            post.drained()

        assert ["Your mail could not be delivered"] == subjects(post.hub)
        assert len(post.hub.mails[0].data) < 2000


def test_report_goes_at_once(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report does not wait until the queue is looked through again."""
    monkeypatch.setattr(lookout, "LOOK_EVERY", 3600.0)
    post.hub.replies["RCPT#1"] = "550 5.1.1 no such user"
    post.add("m0")
    with post.sender(link=str(post.place / "nobody.sock")):
        post.drained()

    assert [""] == [mail.sender for mail in post.hub.mails]


def test_deferred_is_kept(post: Post) -> None:
    """What the mailhub does not take now stays, and nobody is told yet."""
    post.hub.replies["RCPT"] = "450 4.2.1 full"
    name = post.add("m0")
    with post.sender():
        until(lambda: any(entry.attempts for entry in post.entries()))
        until(lambda: post.entries()[0].next)
    entry = post.entries()[0]

    assert (name, "deferred") == (entry.id, entry.recipients[0].state)
    assert "450 4.2.1 full" == entry.recipients[0].reply
    assert [] == post.hub.mails


def test_site_trouble_touches_no_message(post: Post) -> None:
    """What goes wrong before MAIL is written nowhere but in site.json."""
    post.hub.replies["GREETING"] = "421 4.3.2 later"
    for number in range(5):
        post.add(f"m{number}")
    with post.sender() as sender:
        until(lambda: post.site()["state"] == "trouble")
        connections = post.hub.connections
        assert "mailhub" == post.site()["kind"]
        assert [0] * 5 == [entry.attempts for entry in post.entries()]
        del post.hub.replies["GREETING"]
        sender.look_wanted = True
        sender.loop.post(lambda: None)
        post.drained()
        until(lambda: post.site()["state"] == "ok")

    assert 1 == connections


def test_wrong_password(tmp_path: Path) -> None:
    """A wrong password is tried once, and not again by a flush or a restart."""
    with sending.post(tmp_path, users={"me": "right"}) as post:
        post.configure("AuthUser=me", "AuthPass=pw-12345")
        post.add("m0")
        for _ in range(4):
            with post.sender() as sender:
                until(lambda: post.site()["kind"] == "auth")
                post.add("m1")
                sender.look_wanted = True
                sender.loop.post(lambda: None)

        assert post.hub.connections <= 2
        assert 5 == len(post.entries())


def test_who_waits_hears_of_a_wrong_password(tmp_path: Path) -> None:
    """What is new while nothing is tried has it said once more why, and soon."""
    board = Switchboard(str(tmp_path / "sender.sock"))
    board.start()
    with sending.post(tmp_path, users={"me": "right"}) as post:
        post.configure("AuthUser=me", "AuthPass=pw-12345")
        post.add("m0")
        try:
            with post.sender(board.path):
                until(lambda: board.connected and post.site()["kind"] == "auth")
                since = int(time.time()) + 1
                until(lambda: time.time() >= since)
                board.new(post.add("m1"))
                until(lambda: status.troubles(str(post.spool), since), 20)
        finally:
            board.close()

        assert 1 == post.hub.connections


def test_limit_outlives_a_kill(tmp_path: Path) -> None:
    """What went before a kill -9 counts for RateLimit, on a slow disk, too."""
    words = (
        "import sys, time; sys.path.insert(0, sys.argv[1]);"
        "from ssmtp.agent import memory, sender;"
        "write = memory.Memory.write;"
        "memory.Memory.write = lambda self, *, running:"
        " (time.sleep(0.15), write(self, running=running));"
        "sys.exit(sender.run(sys.argv[2], sys.argv[3], None))"
    )
    with sending.post(tmp_path) as post:
        post.configure("RateLimit=5/hour", "Connections=1")
        for number in range(7):
            post.add(f"m{number}")
        places = (str(sending.ROOT / "src"), str(post.conf), str(post.spool))
        sender = subprocess.Popen([sending.PYTHON, "-IS", "-c", words, *places])
        post.processes.append(sender)
        until(lambda: len(post.hub.mails) == 5)
        sender.kill()
        sender.wait(20)

        status = json.loads((post.spool / "site.json").read_text())
        assert 5 == len(status["rate"])


class Directory:
    """Stands in for `os.fsync`: that of the queue's directory waits until it may go."""

    def __init__(self, post: Post, trouble: OSError | None = None) -> None:
        self.fd = post.queue.queue.fd
        self.trouble = trouble
        self.fsync = os.fsync
        self.opened = threading.Event()

    def __call__(self, fd: int) -> None:
        if fd == self.fd:
            assert self.opened.wait(60)
            if self.trouble is not None:
                raise self.trouble
        self.fsync(fd)


def test_disk_that_hangs(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut could bring back is no more than so many messages."""
    connections, many = 3, 2 * BEHIND_MOST
    post.configure(f"Connections={connections}")
    for number in range(many):
        post.add(f"m{number}")
    disk = Directory(post)
    monkeypatch.setattr(os, "fsync", disk)
    with post.sender() as sender:
        until(lambda: sender.commits.is_behind)
        until(lambda: len(post.hub.mails) >= BEHIND_MOST)
        time.sleep(0.5)
        went = len(post.hub.mails)
        logged = [line["event"] for line in post.logged()]
        disk.opened.set()
        post.drained()

    assert BEHIND_MOST <= went <= BEHIND_MOST + BEGUN_MOST + 2 * connections
    assert {"sent"} == {*logged}  # whatever becomes of this machine
    assert went - len(logged) <= connections
    assert many == len(post.hub.mails) == len(post.logged())


def test_disk_that_dies_slowly(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the sender notes what it cannot remove it hears all that is said."""
    post.configure("Connections=3")
    for number in range(20):
        post.add(f"m{number}")
    trouble = OSError(errno.EIO, "Input/output error")
    disk = Directory(post, trouble)
    notes: list[int] = []

    def slow(fd: int) -> None:
        notes.append(fd)
        time.sleep(0.1)
        raise trouble

    monkeypatch.setattr(os, "fsync", disk)
    monkeypatch.setattr(os, "fdatasync", slow)
    worst = 0.0
    with post.sender() as sender:
        until(lambda: len(post.hub.mails) == 20)
        disk.opened.set()
        end = time.monotonic() + 60
        while len(notes) < 20:
            assert time.monotonic() < end
            heard = threading.Event()
            begun = time.monotonic()
            sender.loop.post(heard.set)
            assert heard.wait(60)
            worst = max(worst, time.monotonic() - begun)
            time.sleep(0.02)

    assert worst < 1  # for all of them it takes two seconds


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_signals_of_the_first_moments(tmp_path: Path, number: int) -> None:
    """What comes before the sender can obey is obeyed then; it does not kill."""
    words = (
        "import os, sys; sys.path.insert(0, sys.argv[1]);"
        "from ssmtp.agent import crew, sender;"
        "fork = crew.fork;"
        f"crew.fork = lambda *a: os.kill(os.getpid(), {number:d}) or fork(*a);"
        "sys.exit(sender.run(sys.argv[2], sys.argv[3], None))"
    )
    with sending.post(tmp_path) as post:
        places = (str(sending.ROOT / "src"), str(post.conf), str(post.spool))
        sender = subprocess.Popen([sending.PYTHON, "-IS", "-c", words, *places])
        post.processes.append(sender)
        if number == signal.SIGHUP:
            post.add("m")
            post.drained()
            sender.terminate()

        assert 0 == sender.wait(20)


def test_restart_is_no_third_try_at_another_mailhub(tmp_path: Path) -> None:
    """What a message's own mailhub refused is known after restarts, too."""
    with sending.post(tmp_path, users={"me": "right"}) as post:
        post.configure("AuthUser=me", "AuthPass=pw-12345", mailhub="127.0.0.1:1")
        own = (f"127.0.0.1:{post.hub.port}",)
        post.add("m0", mailhubs=list(own))
        for tries in (1, 2):

            def refused(sender: Sender, times: int = tries) -> bool:
                pool = sender.pools.get(own)
                return pool is not None and len(pool.site.refusals) == times

            with post.sender() as sender:
                until(lambda: refused(sender))
            with post.sender():
                pass  # it may end before it has looked at any message
        with post.sender() as sender:
            until(lambda: own in sender.pools)

        assert 2 == post.hub.connections


def test_flush_is_no_third_try(tmp_path: Path) -> None:
    """Asking for everything to be tried forgets no refusal of the password."""
    with sending.post(tmp_path, users={"me": "right"}) as post:
        post.configure("AuthUser=me", "AuthPass=pw-12345")
        post.add("m0")
        for tries in (1, 2):

            def refused(times: int = tries) -> bool:
                return len(post.site().get("refusals", ())) == times

            with post.sender() as sender:
                sender.look_wanted = True
                sender.loop.post(lambda: None)
                until(refused)

        assert 2 == post.hub.connections


@pytest.mark.parametrize("tries", [1, 2])
def test_mended_password_is_tried_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tries: int
) -> None:
    """A configuration that was changed is tried without waiting for the next probe."""
    monkeypatch.setattr("ssmtp.agent.changes.EVERY", 0.1)
    with sending.post(tmp_path, users={"me": "right-54321"}) as post:
        post.configure("AuthUser=me", "AuthPass=pw-12345")
        post.add("m0")
        for _ in range(tries - 1):
            with post.sender():
                until(lambda: post.site()["kind"] == "auth")
        with post.sender() as made:
            until(lambda: len(post.site().get("refusals", ())) == tries)
            stamps = made.changes.stamps
            post.configure("AuthUser=me", "AuthPass=pw-12345")  # as it was
            until(lambda: made.changes.stamps != stamps)
            post.configure("AuthUser=me", "AuthPass=right-54321")
            until(lambda: post.queue.count() == 0, 10)

        assert tries + 1 == post.hub.connections


def test_password_that_was_mended_as_another_mailhub_was_asked(tmp_path: Path) -> None:
    """Whoever finds the configuration changed first, the pause of AUTH is over."""
    with sending.post(tmp_path, users={"me": "right-54321"}) as post:
        other = sending.Mailhub(users={"me": "right-54321"})
        other.start()
        post.configure("AuthUser=me", "AuthPass=wrong-12345")
        post.add("m0")
        with post.sender() as made:
            until(lambda: post.site()["kind"] == "auth")
            until(lambda: not made.default.opening)
            made.changes._at = loop.boottime() + 3600
            post.configure("AuthUser=me", "AuthPass=right-54321")
            post.add("m1", mailhubs=[f"127.0.0.1:{other.port}"])
            made.loop.post(made.look)
            until(lambda: ["m1"] == subjects(other))
            made.changes.soon()
            until(lambda: post.queue.count() == 0, 10)
        other.stop()


def test_restored_configuration_is_tried_soon(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration that is again what it was, time and all, ends the pause."""
    monkeypatch.setattr("ssmtp.agent.changes.EVERY", 0.1)
    good, times = post.conf.read_text(), post.conf.stat()
    with post.sender() as made:
        post.conf.write_text("Mailhub\n")
        post.add("m0")
        made.loop.post(made.look)
        until(lambda: post.site()["kind"] == "configuration")
        until(lambda: made.changes.stamps == made.stamps())
        made.default.site.next_try += 1000
        saved = post.conf.with_name("saved")
        saved.write_text(good)
        saved.chmod(0o600)
        os.utime(saved, ns=(times.st_atime_ns, times.st_mtime_ns))
        saved.rename(post.conf)
        until(lambda: post.queue.count() == 0, 10)


@pytest.mark.parametrize("source", ["AuthPass", "AuthPassFile", "AuthPassCredential"])
def test_password_that_was_mended_before_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """Who corrects the password and starts the sender anew waits for no pause.

    Who writes it as it was does: accounts are locked that way.
    """
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    def write(post: Post, password: str) -> None:
        given = password
        if source != "AuthPass":
            given = str(tmp_path / "password")
            Path(given).write_text(f"{password}\n")
            Path(given).chmod(0o600)
        if source == "AuthPassCredential":
            given = "password"
        post.configure("AuthUser=me", f"{source}={given}")

    with sending.post(tmp_path, users={"me": "right-54321"}) as post:
        post.add("m0")
        for tries in (1, 2, 2, 2):
            write(post, "wrong-54321")  # as long: so its mark is surely another
            with post.sender() as sender:
                until(lambda: sender.default.jobs)
                until(lambda n=tries: len(post.site().get("refusals", ())) == n)  # type: ignore[misc]
        write(post, "right-54321")
        with post.sender():
            until(lambda: post.queue.count() == 0, 10)

        assert 3 == sum(said.startswith("AUTH") for said in post.hub.commands)


def test_password_beyond_the_locale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password that the locale has no letters for keeps no sender from starting."""

    def encode(text: str) -> bytes:
        return text.encode("latin-1", "surrogateescape")

    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "password").write_text("2\u20ac-12345\n", encoding="utf-8")
    with sending.post(tmp_path, users={"me": "2\u20ac-12345"}) as post:
        post.configure("AuthUser=me", "AuthPassCredential=password")
        post.add("m0")
        monkeypatch.setattr(os, "fsencode", encode)
        with post.sender():
            post.drained()


def test_larger_limit(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """A RateLimit= that was raised holds before the time of the old one is over."""
    monkeypatch.setattr("ssmtp.agent.changes.EVERY", 0.1)
    post.configure("RateLimit=1/day")
    for number in range(3):
        post.add(f"m{number}")
    with post.sender() as sender:
        until(lambda: post.hub.mails and sender.rate.wait(loop.boottime()))
        post.configure("RateLimit=3/day")
        until(lambda: len(post.hub.mails) == 3, 10)


def test_limit_for_warm_connections(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A RateLimit= that is new holds for a connection that is open, too."""
    monkeypatch.setattr("ssmtp.agent.changes.EVERY", 0.1)
    post.add("m0")
    with post.sender() as sender:
        post.drained()
        post.configure("RateLimit=2/day")
        until(lambda: sender.config.rate_limit)
        for number in range(1, 4):
            post.add(f"m{number}")
        sender.loop.post(sender.look)
        until(lambda: len(post.hub.mails) == 3, 10)
        until(lambda: sender.rate.wait(loop.boottime()))

    assert 1 == post.queue.count()


def test_what_is_given_up_is_logged(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the time of a message is over the log says so, not only "not now"."""
    said: list[str] = []
    monkeypatch.setattr(Sender, "note", lambda self, words, bad: said.append(words))
    post.configure("QueueLifetime=1m")
    post.hub.replies["RCPT#1"] = "451 4.7.1 not now"
    name = post.add("old", time=int(time.time()) - 120)
    claim = post.queue.claim(name)
    assert claim is not None
    claim.settle([(0, "deferred", "451 4.7.1 not now")], time.time() - 1)
    claim.release()
    with post.sender():
        until(lambda: post.entries(failed=True) and not post.entries())

    assert [f"{name} was given up: it has waited for too long (QueueLifetime)"] == said


def test_token_that_expires(tmp_path: Path) -> None:
    """A warm connection that has to log in again is left for another, without delay."""
    with sending.post(tmp_path, users={"me": "pw-12345"}) as post:
        post.configure("AuthUser=me", "AuthPass=pw-12345", "Connections=1")
        post.hub.replies["MAIL#2"] = "530 5.7.0 the token has expired"
        for number in range(3):
            post.add(f"m{number}")
        with post.sender():
            until(lambda: post.queue.count() == 0, 10)

        assert 3 == post.hub.connections
        assert [] == post.site()["refusals"]


def test_new_password_before_a_burst(tmp_path: Path) -> None:
    """A burst of messages tries a password once that was changed since it worked."""
    with sending.post(tmp_path, users={"me": "pw-12345"}) as post:
        post.configure("AuthUser=me", "AuthPass=pw-12345", "IdleTimeout=1s")
        post.add("m0")
        with post.sender() as sender:
            until(lambda: post.hub.commands[-1:] == ["QUIT"])
            post.hub.users["me"] = "another"
            for number in range(8):
                post.add(f"m{number}")
            sender.loop.post(sender.look)
            until(lambda: post.site()["kind"] == "auth")

        assert 2 == post.hub.connections
        assert 1 == len(post.site()["refusals"])


def test_another_mailhub(tmp_path: Path) -> None:
    """A new Mailhub= is followed, and the old one is not told the new password."""
    with sending.post(tmp_path, users={"me": "pw-12345"}) as post:
        other = Mailhub(users={"you": "another-67890"})
        other.start()
        post.configure("AuthUser=me", "AuthPass=pw-12345")
        post.add("m0")
        with post.sender() as sender:
            post.drained()
            new = ("AuthUser=you", "AuthPass=another-67890")
            post.configure(*new, mailhub=f"127.0.0.1:{other.port}")
            post.hub.stop_sessions()
            for number in range(1, 4):
                post.add(f"m{number}")
            sender.loop.post(sender.look)
            post.drained()
        other.stop()

        assert ["m0"] == subjects(post.hub)
        assert 1 == post.hub.connections
        assert ["m1", "m2", "m3"] == sorted(subjects(other))


def test_fallback(post: Post) -> None:
    """A second mailhub is used when the first cannot be reached."""
    post.configure(f"Mailhub=127.0.0.1:{post.hub.port}", mailhub="127.0.0.1:1")
    post.add("m0")
    with post.sender():
        post.drained()

    assert ["m0"] == subjects(post.hub)


def test_mailhub_of_the_message(post: Post) -> None:
    """A message that names another mailhub goes there, whatever ails the first."""
    post.configure(mailhub="127.0.0.1:1")
    post.add("m0")
    post.add("m1", mailhubs=[f"127.0.0.1:{post.hub.port}"])
    with post.sender():
        until(lambda: post.queue.count() == 1)

    assert ["m1"] == subjects(post.hub)


def test_word_of_the_acceptor(post: Post) -> None:
    """A word of the acceptor has a message sent, and the outcome is told."""
    board = Switchboard(str(post.place / "sender.sock"))
    board.start()
    try:
        with post.sender(board.path):
            until(lambda: board.connected)
            name = post.add("m0")
            board.expect(name)
            board.new(name)
            told = board.wait(name, 20)
    finally:
        board.close()

    assert told is not None
    assert (250, "2.0.0") == (told["code"], told["status"])


def test_held(post: Post) -> None:
    """What is held waits until it is released."""
    name = post.add("m0")
    post.queue.hold(name)
    post.add("m1")
    with post.sender() as sender:
        until(lambda: post.queue.count() == 1)
        assert ["m1"] == subjects(post.hub)
        post.queue.release(name)
        sender.loop.post(sender.look)
        post.drained()

    assert ["m1", "m0"] == subjects(post.hub)


def test_damaged_file(post: Post) -> None:
    """A damaged file stops nobody; it is put aside."""
    name = post.add("m0")
    with (post.spool / "queue" / name).open("r+b") as file:
        file.seek(200)
        file.write(b"????")
    post.add("m1")
    with post.sender():
        post.drained()

    assert ["m1"] == subjects(post.hub)
    assert 1 == len([*(post.spool / "corrupt").iterdir()])


def test_no_room_for_a_report(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report for which there is no room keeps no other message from going out."""
    monkeypatch.setattr(aftermath, "SOON", 1.0)
    post.configure("Connections=1")
    post.hub.replies["RCPT#1"] = "550 5.1.1 unknown"
    for number in range(20):
        post.add(f"m{number}")
    post.queue._least = (1.0, 0)
    with post.sender():
        until(lambda: len(post.hub.mails) == 19, 10)
        assert ["refused"] == [entry.recipients[0].state for entry in post.entries()]
        post.queue._least = (0.0, 0)
        post.drained()

    assert "MAIL FROM:<>" in post.hub.mails[-1].mail
    assert ["reported"] == [e.recipients[0].state for e in post.entries(failed=True)]


def test_own_mailhub_while_others_are_away(post: Post) -> None:
    """A message whose own mailhub works does not wait for those of other messages."""
    post.configure(mailhub="127.0.0.1:1")
    for number in range(3):
        post.add(f"m{number}", mailhubs=["127.0.0.1:2"])
    with post.sender() as sender:
        until(lambda: ("127.0.0.1:2",) in sender.pools)
        until(lambda: not sender.default.jobs)
        post.add("m3", mailhubs=[f"127.0.0.1:{post.hub.port}"])
        sender.loop.post(sender.look)
        until(lambda: ["m3"] == subjects(post.hub), 10)


class Waiting(dict[str, str]):
    """Replies, of which that to one verb comes when `go` is set."""

    def __init__(self, verb: str, reply: str) -> None:
        super().__init__()
        self.verb, self.reply = verb, reply
        self.asked, self.go = threading.Event(), threading.Event()

    def get(self, verb: str, default: Any = None) -> Any:
        if verb != self.verb:
            return default
        self.asked.set()
        self.go.wait(20)
        return self.reply


def test_no_password_for_a_mailhub_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was under way as the mailhub was changed goes to the new one if need be."""
    monkeypatch.setattr("ssmtp.agent.changes.EVERY", 0.1)
    replies = Waiting("MAIL#2", "421 4.3.2 closing")
    with sending.post(tmp_path, users={"me": "old-12345"}, replies=replies) as post:
        other = sending.Mailhub(users={"me": "new-54321"})
        other.start()
        post.configure("AuthUser=me", "AuthPass=old-12345")
        post.add("m0")
        with post.sender() as sender:
            post.drained()
            old = sender.default
            post.add("m1")
            sender.loop.post(sender.look)
            assert replies.asked.wait(20)
            hub = f"127.0.0.1:{other.port}"
            post.configure("AuthUser=me", "AuthPass=new-54321", mailhub=hub)
            until(lambda: sender.default is not old)
            replies.go.set()
            post.drained()
        other.stop()

        assert 1 == sum(said.startswith("AUTH") for said in post.hub.commands)
        assert ["m1"] == subjects(other)
        assert not old.site.kind


def test_no_trouble_with_a_mailhub_of_before(tmp_path: Path) -> None:
    """That a mailhub cannot be had, which is none any more, concerns nobody."""
    replies = Waiting("", "554 5.3.2 no service")
    with sending.post(tmp_path, replies=replies) as post:
        other = sending.Mailhub()
        other.start()
        post.add("m0")
        with post.sender() as sender:
            post.drained()
            old, replies.verb = sender.default, "GREETING"
            for number in range(1, 5):
                post.add(f"m{number}")
            sender.loop.post(sender.look)
            assert replies.asked.wait(20)
            hub = f"127.0.0.1:{other.port}"
            post.configure(mailhub=hub)
            post.add("m5", mailhubs=[hub])
            sender.loop.post(sender.look)
            until(lambda: sender.default is not old)
            replies.go.set()
            post.drained()
            until(lambda: not old.opening)
            assert not old.site.kind
        other.stop()


def test_many_for_another_mailhub_that_is_away(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many wait for a mailhub of their own, the others are found."""
    for name, number in (("AT_ONCE", 20), ("LOOK_BELOW", 10), ("SEEN_MOST", 50)):
        monkeypatch.setattr(lookout, name, number)
    for number in range(12):
        post.add(f"m{number}", mailhubs=["127.0.0.1:1"])
    with post.sender() as sender:
        until(lambda: ("127.0.0.1:1",) in sender.pools)
        until(lambda: sender.pools["127.0.0.1:1",].site.kind)
        post.add("other")
        until(lambda: ["other"] == subjects(post.hub), 10)


def test_stale_connection(post: Post) -> None:
    """A warm connection that the mailhub has closed costs no try."""
    with post.sender() as sender:
        post.add("m0")
        post.drained()
        post.hub.stop_sessions()
        post.add("m1")
        sender.loop.post(sender.look)
        post.drained()

    assert ["m0", "m1"] == subjects(post.hub)
    assert 2 == post.hub.connections
    assert ["sent", "sent"] == [line["event"] for line in post.logged()]


def test_stop_while_a_message_waits_for_a_connection(post: Post) -> None:
    """What was to go over another connection is given back when it has to end."""
    with post.sender() as sender:
        post.add("m0")
        post.drained()
        post.hub.replies["GREETING"] = "421 4.3.2 later"
        post.hub.replies["MAIL"] = "421 4.4.2 idle for too long"
        post.add("m1")
        sender.loop.post(sender.look)
        until(lambda: post.site()["state"] == "trouble")

    assert ["waiting"] == [entry.recipients[0].state for entry in post.entries()]
    assert [0] == [entry.crashed for entry in post.entries()]


class Slow(dict[str, str]):
    """Replies of a mailhub that answers one verb when it may."""

    def __init__(self, verb: str, **replies: str) -> None:
        super().__init__(replies)
        self.verb = verb
        self.asked, self.go = threading.Event(), threading.Event()

    def get(self, key: str, default: Any = None) -> Any:
        if key == self.verb:
            self.asked.set()
            assert self.go.wait(20)
        return super().get(key, default)


def test_stop_before_another_connection_was_wanted(post: Post) -> None:
    """What turns out to need another connection once it has to end is given back."""
    slow = post.hub.replies = Slow("RCPT", DOT="502 5.5.1 what is BDAT?")
    post.add("m0")
    with post.sender() as sender:
        assert slow.asked.wait(20)
        sender.stop_wanted = True
        sender.loop.post(lambda: None)
        until(lambda: sender.stopping)
        slow.go.set()

    assert 1 == post.hub.connections
    assert ["waiting"] == [entry.recipients[0].state for entry in post.entries()]
    assert [0] == [entry.crashed for entry in post.entries()]


def test_no_other_connection_is_to_be_had(tmp_path: Path) -> None:
    """What needs one while there is none is given back, not kept for half an hour."""
    with sending.post(tmp_path, users={"me": "pw-12345"}) as post:
        post.configure("AuthUser=me", "AuthPass=pw-12345", "Connections=2")
        post.add("m0")
        with post.sender() as sender:
            post.drained()
            post.hub.users["me"] = "another"
            slow = post.hub.replies = Slow("MAIL", MAIL="421 4.4.2 bye")
            names = [post.add("m1"), post.add("m2")]
            sender.loop.post(sender.look)
            until(lambda: post.site()["kind"] == "auth")
            assert slow.asked.wait(20)
            slow.go.set()
            until(lambda: all(map(post.queue.hold, names)))

        assert [0, 0] == [entry.crashed for entry in post.entries()]


def test_alone_and_at_rest(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a message is tried alone that a crash had left, nobody spins."""
    monkeypatch.setattr(lookout, "GLANCE_EVERY", 0.3)
    post.hub.replies["DOT"] = "hang"
    post.add("m0")
    crashed = post.start()
    until(lambda: any(c.startswith("BDAT") for c in post.hub.commands))
    crashed.kill()
    crashed.wait(20)
    for number in range(1, 6):
        post.add(f"m{number}")
    with post.sender() as sender:
        until(lambda: sender.suspect in sender.active)
        turn, turns, glances = sender.loop.turn, [], {sender.lookout._glance_at}

        def counted(until: float) -> None:
            turns.append(until)
            glances.add(sender.lookout._glance_at)
            turn(until)

        sender.loop.turn = counted  # type: ignore[method-assign]
        until(lambda: len(glances) == 4)
        sender.stop_wanted = True  # before the others are begun, which would hang
        post.hub.stop_sessions()

    assert 2 == post.hub.connections
    assert len(turns) < 200


def test_dropped_before_it_was_tried_alone(post: Post) -> None:
    """When what was to be tried alone is dropped, the others share again."""

    class Meeting(dict[str, str]):
        both = threading.Barrier(2, timeout=10)

        def get(self, key: str, default: Any = None) -> Any:
            if key == "MAIL":
                self.both.wait()
            return super().get(key, default)

    slow = post.hub.replies = Slow("RCPT")
    post.add("m0")
    crashed = post.add("m1")
    claim = post.queue.claim(crashed)
    assert claim is not None
    claim.begin()
    claim.release()
    with post.sender() as sender:
        until(lambda: sender.suspect == crashed)
        assert post.queue.drop(crashed)
        slow.go.set()
        post.drained()
        post.hub.replies = Meeting()
        post.add("m2")
        post.add("m3")
        sender.loop.post(sender.look)
        post.drained()

    assert ["m0", "m2", "m3"] == sorted(subjects(post.hub))


# -- as a process


def test_process(post: Post) -> None:
    """SIGTERM ends it with 0, and site.json says that nobody runs."""
    post.add("m0")
    process = post.start()
    post.drained()
    process.send_signal(signal.SIGTERM)

    assert 0 == process.wait(20)
    assert '"running": false' in (post.spool / "site.json").read_text()


def test_term_waits_for_the_answer(post: Post) -> None:
    """A message that is on its way when SIGTERM comes is finished."""
    post.hub.replies["DOT"] = "hang"
    post.add("m0")
    process = post.start()
    until(lambda: any(c.startswith("BDAT") for c in post.hub.commands))
    process.send_signal(signal.SIGTERM)
    post.hub.stop_sessions()

    assert 0 == process.wait(20)
    assert ["doubt"] == [entry.recipients[0].state for entry in post.entries()]


def test_killed_while_sending(post: Post) -> None:
    """A kill in the middle leaves the message, and it is sent again."""
    post.hub.replies["DOT"] = "hang"
    post.add("m0")
    process = post.start()
    until(lambda: any(c.startswith("BDAT") for c in post.hub.commands))
    process.kill()
    process.wait()
    del post.hub.replies["DOT"]

    assert [1] == [entry.crashed for entry in post.entries()]
    post.start()
    post.drained()
    assert ["m0"] == subjects(post.hub)


@pytest.mark.parametrize("how", ["close", "kill"])
def test_held_in_doubt(post: Post, how: str) -> None:
    """With HoldInDoubt=yes a message in doubt goes out again when somebody says so."""
    post.configure("HoldInDoubt=yes")
    post.hub.replies["DOT"] = "hang" if how == "kill" else how
    name = post.add("m0", "ann@x.test", "bea@x.test")
    post.add("m1")
    process = post.start()
    until(lambda: 1 < sum(c.startswith("BDAT") for c in post.hub.commands))
    if how == "kill":
        process.kill()
        process.wait()
        process = post.start()
    until(lambda: [1, 1] == [entry.held for entry in post.entries()])
    del post.hub.replies["DOT"]
    post.add("m2")
    process.send_signal(signal.SIGHUP)  # which tries everything
    until(lambda: "m2" in subjects(post.hub))

    assert ["m2"] == subjects(post.hub)
    assert [True, True] == [line["in_doubt"] for line in post.logged()[:2]]
    post.queue.release(name)
    process.send_signal(signal.SIGHUP)
    until(lambda: ["m2", "m0"] == subjects(post.hub))
    until(lambda: 1 == len(post.entries()))


def test_verdict_on_what_is_held(post: Post) -> None:
    """Who waits for a message that is held in doubt hears how to have it sent."""
    post.configure("HoldInDoubt=yes")
    post.hub.replies["DOT"] = "close"
    board = Switchboard(str(post.place / "sender.sock"))
    board.start()
    try:
        name = post.add("m0")
        board.expect(name)
        post.start("--link", str(post.place / "sender.sock"))
        verdict = board.wait(name, 20)
    finally:
        board.close()

    assert verdict is not None
    assert (451, "4.0.0") == (verdict["code"], verdict["status"])
    assert verdict["text"].startswith(
        f"{name} is in doubt and held (HoldInDoubt): `ssmtpctl queue release {name}`"
    )


def test_poison(post: Post) -> None:
    """What was being sent in three crashes goes to failed/, and the others go out."""
    post.hub.replies["DOT"] = "hang"
    post.configure("Connections=1")
    poison = post.add("m0")
    for number in range(1, 4):
        before = len(post.hub.commands)
        process = post.start()
        until(lambda n=before: any("BDAT" in c for c in post.hub.commands[n:]))  # type: ignore[misc]
        process.kill()
        process.wait()
        assert [number] == [entry.crashed for entry in post.entries()]
    del post.hub.replies["DOT"]
    post.add("m1")
    post.start()
    post.drained()

    assert ["m1"] == subjects(post.hub)
    assert [poison] == [entry.id for entry in post.entries(failed=True)]


def test_no_configuration(post: Post) -> None:
    """Without a configuration that can be used it ends with 78."""
    post.conf.write_text("Mailhub\n")

    assert 78 == post.start().wait(20)


# -- the log


def test_log_of_many_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent's lines share a socket; a daemon that stops and starts is no matter."""
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "log"))
    monkeypatch.setattr(journal, "PATIENCE", 0.01)
    monkeypatch.setattr(journal, "AWAY", 0.0)
    monkeypatch.setattr(journal, "lasting", True)
    monkeypatch.setattr(journal, "_log", None)
    assert "could not be written" in journal.note("nobody is there")
    for _ in range(2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
            daemon.bind(journal.SOCKET)
            assert "" == journal.note("one")
            assert "" == journal.note("two", bad=True)
            lines = [daemon.recv(1000) for _ in range(2)]
        (tmp_path / "log").unlink()

        assert lines[0].startswith(b"<22>")
        assert lines[0].endswith(b"]: one")
        assert lines[1].startswith(b"<19>")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(journal.SOCKET)
        told = [journal.note("again and again") for _ in range(2000)]

    assert "the system log takes no lines" == told[-1]
