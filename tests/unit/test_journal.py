"""What the system log and LogFile= say about a message."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import sys
import tempfile
import threading
import time
import types
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp import address, journal
from ssmtp.envelope import Envelope
from ssmtp.errors import (
    AuthRefused,
    ConfigError,
    Deferred,
    Failure,
    InDoubt,
    MailhubRefused,
    MessageRefused,
    NetworkTrouble,
    RecipientRefused,
    SiteTrouble,
    SystemTrouble,
    UnknownHost,
    UsageError,
)
from ssmtp.receipt import Receipt
from ssmtp.smtp.reply import Reply


class Syslog(types.ModuleType):
    """A system log that remembers."""

    LOG_PID, LOG_MAIL, LOG_ERR, LOG_INFO = 1, 16, 3, 6

    def __init__(self) -> None:
        super().__init__("syslog")
        self.opened: list[tuple[str, int, int]] = []
        self.lines: list[tuple[int, str]] = []

    def openlog(self, ident: str, option: int, facility: int) -> None:
        self.opened.append((ident, option, facility))

    def syslog(self, priority: int, line: str) -> None:
        self.lines.append((priority, line))


@pytest.fixture
def log(monkeypatch):
    module = Syslog()
    monkeypatch.setitem(sys.modules, "syslog", module)
    return module


def mailbox(text: str) -> address.Address:
    local, _, domain = text.rpartition("@")
    return address.make(local, domain, "a test")


def envelope(sender: str | None = "bob@example.org", *to: str) -> Envelope:
    return Envelope(
        mailbox(sender) if sender else None,
        [mailbox(name) for name in to or ("ann@example.org",)],
    )


def receipt() -> Receipt:
    return Receipt(
        "hub.example.org:587",
        Reply(250, ["2.0.0 Ok: queued as 4Bc1"]),
        412,
        0.25,
        "TLSv1.3 TLS_AES_256_GCM_SHA384",
        "PLAIN",
    )


def log_sent(**more):
    facts = {
        "envelope": envelope(),
        "message_id": "<1@box>",
        "login": "bob",
        "uid": 1000,
        **more,
    }
    return journal.sent(receipt(), **facts)


def log_failed(failure: Failure, **more):
    facts = {
        "envelope": envelope(),
        "message_id": "<1@box>",
        "login": "bob",
        "uid": 1000,
        "hub": "hub:25",
        **more,
    }
    return journal.failed(failure, **facts)


def test_every_repair_is_logged(log, tmp_path):
    """A bare CR and a NUL that were replaced are told to the log, sent or not."""
    file = tmp_path / "log.json"
    repairs = ["2 CR outside of line ends replaced by blanks", "1 NUL replaced"]

    log_sent(repairs=repairs, log_file=str(file))
    log_failed(Deferred("later"), repairs=repairs)

    assert ["; ".join(repairs) in line for _, line in log.lines] == [True, True]
    assert repairs == json.loads(file.read_text())["repairs"]


def test_nothing_repaired_is_nothing_said(log, tmp_path):
    """A message that needed no repair has no word about repairs in its log line."""
    file = tmp_path / "log.json"

    log_sent(repairs=[], log_file=str(file))

    assert "repairs" not in log.lines[0][1] + file.read_text()


def test_success_is_one_line_that_begins_as_the_classic_one(log):
    """Old filters match the beginning; what they did not have comes after it."""
    trouble = log_sent()

    assert "" == trouble
    assert [("sSMTP", 1, 16)] == log.opened
    assert [
        " ".join(
            (
                "Sent mail for bob@example.org (250 2.0.0 Ok: queued as 4Bc1)",
                "uid=1000 username=bob outbytes=412 msgid=<1@box>",
                "mailhub=hub.example.org:587 queue_id=4Bc1 seconds=0.25",
                "tls=TLSv1.3 TLS_AES_256_GCM_SHA384 auth=PLAIN",
                "nrcpt=1 to=<ann@example.org>",
            )
        )
    ] == [line for _, line in log.lines]
    assert 6 == log.lines[0][0]


def test_the_null_reverse_path_is_shown_as_such(log):
    """A bounce has no sender, and the line says so."""
    log_sent(envelope=envelope(None))

    assert log.lines[0][1].startswith("Sent mail for <> (250 ")


BUSY = Reply(451, ["4.3.0 busy"])
NO = Reply(550, ["5.1.1 no such user"])


def told(failure: Failure, **facts: str) -> Failure:
    for name, fact in facts.items():
        setattr(failure, name, fact)
    return failure


@pytest.mark.parametrize(
    ("failure", "begin"),
    [
        (
            NetworkTrouble("cannot connect"),
            "Cannot open hub:25: cannot connect exit=75",
        ),
        (UnknownHost("no such name"), "Cannot open hub:25: no such name exit=68"),
        (SiteTrouble("certificate"), "Cannot open hub:25: certificate exit=75"),
        (MailhubRefused("no", reply=NO), "Invalid response SMTP server: no exit=69"),
        (
            told(SiteTrouble("busy", reply=BUSY), phase="greeting"),
            "Invalid response SMTP server: busy exit=75",
        ),
        (
            told(SiteTrouble("busy", reply=BUSY), phase="EHLO"),
            "451 4.3.0 busy (H): busy exit=75",
        ),
        (
            AuthRefused("wrong", reply=Reply(535, ["5.7.8 no"])),
            "Authorization failed (535 5.7.8 no): wrong exit=77",
        ),
        (
            told(RecipientRefused("no", reply=NO), recipient="x@example.org"),
            "RCPT TO:<x@example.org> (550 5.1.1 no such user): no exit=67",
        ),
        (
            told(Deferred("x", reply=BUSY), recipient="x@example.org"),
            "RCPT TO:<x@example.org> (451 4.3.0 busy): x exit=75",
        ),
        (MessageRefused("no", reply=NO), "550 5.1.1 no such user: no exit=69"),
        (Deferred("not now", reply=BUSY), "451 4.3.0 busy: not now exit=75"),
        (InDoubt("gone"), "Connection lost in middle of processing: gone exit=75"),
        (UsageError("nobody to send to"), "nobody to send to exit=64"),
        (ConfigError("no file"), "no file exit=78"),
        (SystemTrouble("no memory"), "no memory exit=75"),
    ],
)
def test_failure_is_one_line_that_begins_as_the_classic_one(log, failure, begin):
    """Whatever the classic said about it comes first, at priority err."""
    log_failed(failure)
    [(priority, line)] = log.lines

    assert 3 == priority
    assert line.startswith(begin + " uid=1000 username=bob")


def test_what_the_agent_refuses_is_said_once(log):
    """Where our own reply says all of it, the log does not say it twice."""
    words = "no room for new mail: only 3 MB are free in /spool"
    failure = Deferred(words, reply=Reply(452, [f"4.3.1 {words}"]))
    journal.failed(failure, login="bob", uid=1000)

    ((_, line),) = log.lines
    assert line.startswith(f"452 4.3.1 {words} exit=75 ")


def test_several_recipients_do_not_make_up_which_one_was_refused(log):
    """Without knowing which one was refused, no address is blamed."""
    to = envelope("bob@d.org", "ann@d.org", "bea@d.org")
    log_failed(RecipientRefused("no", reply=NO), envelope=to)

    assert log.lines[0][1].startswith("550 5.1.1 no such user: no exit=67")


def test_a_failure_tells_where_the_message_is_kept(log):
    """The id that ssmtpctl queue wants is in the line."""
    failure = NetworkTrouble("no way")
    failure.kept_id = "20261121-211409-7f3a9c04"
    log_failed(failure)

    assert " kept=20261121-211409-7f3a9c04 " in log.lines[0][1]


def test_a_failure_before_anything_is_known_is_logged(log):
    """Without envelope, message or mailhub the line is still written."""
    log_failed(ConfigError("bad"), envelope=None, message_id="", hub="")

    assert [(3, "bad exit=78 uid=1000 username=bob")] == log.lines


@given(st.text(), st.text())
def test_no_value_can_forge_a_second_line(text, login):
    """Control characters and line ends are escaped, and the line stays short."""
    module = Syslog()
    failure = Deferred(text, reply=Reply(451, [text]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "syslog", module)
        log_failed(failure, message_id=text, login=login, hub=text)
    [(_, line)] = module.lines

    assert line.isprintable()
    assert len(line.encode()) <= 1000


def test_many_recipients_do_not_push_the_facts_out(log):
    """The list of recipients is what is cut off."""
    to = [f"recipient{n}@example.org" for n in range(500)]
    log_sent(envelope=envelope("bob@example.org", *to))
    [(_, line)] = log.lines

    assert "nrcpt=500 to=<recipient0@example.org>," in line
    assert line.endswith("…")
    assert len(line.encode()) <= 1000


def test_a_log_file_gets_a_json_line_for_each_message(log, tmp_path):
    """One object on one line, appended, in a file that only its owner reads."""
    path = tmp_path / "log"
    old = os.umask(0)
    try:
        log_sent(log_file=str(path))
    finally:
        os.umask(old)
    log_failed(MessageRefused("no\nway", reply=NO), log_file=str(path))
    sent, failed = (json.loads(line) for line in path.read_text().splitlines())

    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert "sent" == sent["event"]
    assert ["ann@example.org"] == sent["to"]
    assert ("bob@example.org", "<1@box>", 412) == (
        sent["from"],
        sent["msgid"],
        sent["size"],
    )
    assert ("4Bc1", 0.25, "PLAIN") == (sent["queue_id"], sent["seconds"], sent["auth"])
    assert sent["time"].endswith("Z")
    assert ("failed", 69, "no\nway") == (
        failed["event"],
        failed["exit"],
        failed["reason"],
    )
    assert "550 5.1.1 no such user" == failed["reply"]


def test_a_log_file_is_never_reached_through_a_link(log, tmp_path):
    """A link in the place of the log file is not followed, and the message is sent."""
    target = tmp_path / "target"
    target.write_text("")
    (tmp_path / "link").symlink_to(target)
    trouble = log_sent(log_file=str(tmp_path / "link"))

    assert "could not be written" in trouble
    assert "" == target.read_text()
    assert 1 == len(log.lines)


@pytest.mark.parametrize("name", ["", "nowhere/log", "bad\0name", "pipe"])
def test_a_log_that_cannot_be_written_fails_nothing(log, tmp_path, name):
    """A directory, a missing place, a pipe nobody reads: words for -v, no failure."""
    os.mkfifo(tmp_path / "pipe")
    trouble = log_sent(log_file=str(tmp_path / name))

    assert "could not be written" in trouble


def test_a_broken_system_log_fails_nothing(monkeypatch, tmp_path):
    """Without a syslog module, the log file is still written."""
    monkeypatch.setitem(sys.modules, "syslog", None)
    path = tmp_path / "log"
    trouble = log_sent(log_file=str(path))

    assert trouble.startswith("the system log could not be written")
    assert path.exists()


def test_a_system_log_that_hangs_holds_nothing_up(log, monkeypatch, tmp_path):
    """When its socket is full, a line is left out, and that is said."""
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "log"))
    monkeypatch.setattr(journal, "PATIENCE", 0.01)
    monkeypatch.setattr(journal, "_nobody_until", 0.0)
    with (
        contextlib.ExitStack() as others,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon,
    ):
        daemon.bind(journal.SOCKET)
        full = False
        while not full:
            # One alone may run into a limit of its own before the daemon's.
            other = others.enter_context(
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            )
            other.connect(journal.SOCKET)
            other.setblocking(False)
            full = True
            with contextlib.suppress(BlockingIOError):
                while True:
                    other.send(b"x")
                    full = False

        assert "the system log takes no lines" == journal.dialogue("lost")
        while True:
            try:
                daemon.recv(16, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
        assert "" == journal.dialogue("kept")
    assert [(6, "kept")] == log.lines


def test_the_dialogue_is_logged_line_by_line(log):
    """Debug=yes sends each line of the dialogue to the log."""
    journal.dialogue("[->] EHLO box\r")

    assert [(6, "[->] EHLO box\\r")] == log.lines


def test_the_real_system_log_takes_it():
    """With or without /dev/log, odd characters and all."""
    assert "" == log_sent(login="b\0ö\udcff\n")


def test_a_long_log_file_line_lists_a_hundred_recipients(log, tmp_path):
    """Their number is told; the list is not endless."""
    path = Path(tmp_path / "log")
    to = [f"r{n}@example.org" for n in range(150)]
    log_sent(envelope=envelope("bob@example.org", *to), log_file=str(path))
    [line] = [json.loads(text) for text in path.read_text().splitlines()]

    assert (150, 100) == (line["recipients"], len(line["to"]))


@given(st.text(), st.none() | st.floats(0, 1e6), st.lists(st.text(), max_size=3))
def test_a_line_of_the_log_file_is_json(text, seconds, repairs):
    """Whatever stands in it, the line is ASCII and what `json` would have written."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "log")
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "syslog", Syslog())
            failure = Deferred(text, reply=Reply(451, [text]))
            facts = {"message_id": text, "login": text, "hub": text}
            log_failed(
                failure, seconds=seconds, repairs=repairs, log_file=str(path), **facts
            )
        line = path.read_text("ascii")
    told = json.loads(line)

    assert json.dumps(told) + "\n" == line
    assert text == told.get("reason", "")
    assert repairs == told.get("repairs", [])
    assert (seconds is None) == ("seconds" not in told)


@pytest.fixture
def lasting(monkeypatch, tmp_path):
    """The agent's log: what is open stays open."""
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "socket"))
    state = {"lasting": True, "_log": None, "_file": None, "_nobody_until": 0.0}
    for name, value in state.items():
        monkeypatch.setattr(journal, name, value)


def test_a_system_log_that_is_not_there_is_found_again(lasting):
    """Who looked in vain does not look for each line, but does so before long."""
    missing = [log_sent(), log_sent()]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(journal.SOCKET)
        daemon.setblocking(False)
        until = time.monotonic() + 10
        while log_sent() and time.monotonic() < until:
            time.sleep(0.01)
        heard = daemon.recv(2000)

    assert "No such file" in missing[0]
    assert journal.NOBODY == missing[1]
    assert b"Sent mail" in heard


def test_a_log_file_that_was_rotated_is_found_at_once(lasting, tmp_path):
    """Renamed, removed or replaced by a link: each line goes where the name leads."""
    path = tmp_path / "log"
    said = [log_sent(log_file=str(path), name=str(n)) for n in range(2)]
    path.rename(tmp_path / "log.1")
    log_sent(log_file=str(path), name="2")
    path.rename(tmp_path / "log.2")
    path.touch()
    log_sent(log_file=str(path), name="3")
    path.unlink()
    log_sent(log_file=str(path), name="4")
    log_sent(log_file=str(tmp_path / "other"), name="5")
    path.rename(tmp_path / "log.3")
    path.symlink_to(tmp_path / "log.3")
    link = log_sent(log_file=str(path), name="6")

    def names(file: str) -> list[str]:
        lines = (tmp_path / file).read_text().splitlines()
        return [json.loads(line)["id"] for line in lines]

    assert not any("log file" in words for words in said)
    assert [["0", "1"], ["2"], ["4"], ["5"]] == [
        names(file) for file in ("log.1", "log.2", "log.3", "other")
    ]
    assert "could not be written" in link


def test_lines_of_many_threads_stay_whole(lasting, tmp_path):
    """All threads share a socket and a file, also while the file is rotated."""
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(journal.SOCKET)
        daemon.settimeout(10)
        heard: list[bytes] = []

        def listen():
            while len(heard) < 400:
                heard.append(daemon.recv(2000))

        def talk(thread):
            for number in range(100):
                log_sent(log_file=str(path), name=f"{thread}-{number}")

        def rotate():
            for number in range(20):
                with contextlib.suppress(FileNotFoundError):
                    path.rename(tmp_path / f"log.{number}")

        threads = [threading.Thread(target=work) for work in (listen, rotate)]
        threads += [threading.Thread(target=talk, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = "".join(file.read_text() for file in tmp_path.glob("log*")).splitlines()

    wanted = {f"{thread}-{number}" for thread in range(4) for number in range(100)}
    assert wanted == {json.loads(line)["id"] for line in lines}
    assert 400 == len(lines)
    assert {f" id={one} ".encode() for one in wanted} == {
        b" id=%s " % line.partition(b" id=")[2].partition(b" ")[0] for line in heard
    }


def test_lines_of_a_file_that_are_written_together(tmp_path):
    """What is kept for several files comes to each of them whole, and once."""
    pages = journal.Pages()
    names = ["1", "2", "3"]
    files = {"1": "a", "2": "b", "3": "a"}
    for name in names:
        journal.queued(
            name,
            envelope=envelope(),
            message_id="<1@box>",
            login="bob",
            uid=1000,
            size=1,
            log_file=pages.of(str(tmp_path / files[name])),
        )
    before = list(tmp_path.iterdir())
    said = [pages.write(), pages.write()]
    found = {
        path.name: [json.loads(line)["id"] for line in path.read_text().splitlines()]
        for path in tmp_path.iterdir()
    }

    assert [] == before
    assert ["", ""] == said
    assert {"a": ["1", "3"], "b": ["2"]} == found


def test_lines_that_cannot_be_written(tmp_path):
    """A file that cannot be written is told, and costs the others nothing."""
    pages = journal.Pages()
    for path, line in ((tmp_path / "no" / "a", b"x"), (tmp_path / "b", b"y")):
        page = pages.of(str(path))
        assert page is not None
        page.lines.append(line)

    assert "could not be written" in pages.write()
    assert b"y" == (tmp_path / "b").read_bytes()


def test_lines_for_a_pipe_are_whole(tmp_path):
    """A pipe that has little room takes whole lines, or none, and that is told."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    pages = journal.Pages()
    page = pages.of(str(path))
    assert page is not None
    page.lines += [b"x" * 999 + b"\n"] * 200  # a pipe holds 64 KiB
    said = pages.write()
    found = b""
    while data := _read(reader):
        found += data
    os.close(reader)

    assert "could not be written" in said
    assert found
    assert {1000} == {len(line) for line in found.splitlines(keepends=True)}


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except BlockingIOError:
        return b""
