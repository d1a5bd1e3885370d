"""`ssmtpctl queue` and `mailq`: what could not be sent is seen, sent again, dropped."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from ssmtp import address, ctl, intake
from ssmtp.envelope import Envelope
from ssmtp.errors import ConfigError, InDoubt, MessageRefused, NetworkTrouble
from ssmtp.spool import failed
from tests.hub import Hub, running

BIN = Path(__file__).parents[2] / "bin"
TEXT = b"From: bob@d.org\nTo: ann@d.org\nSubject: caf\xc3\xa9\n\nhello\n.\n"


class Queue:
    """A failed store of its own, a configuration, and a way to call ssmtpctl queue."""

    def __init__(self, tmp: Path, capsys: pytest.CaptureFixture[Any]) -> None:
        self.conf = tmp / "ssmtp.conf"
        self.capsys = capsys

    def configure(self, hub: Hub) -> None:
        self.conf.write_text(f"mailhub=127.0.0.1:{hub.port}\nhostname=box.test\n")

    def keep(self, reason=None, *, raw=False, argv=("-t",)) -> Any:
        from ssmtp import message

        taken = intake.from_blocks(b"", [TEXT])
        envelope = Envelope(
            address.make("bob", "d.org", "a test"),
            [address.make("ann", "d.org", "a test")],
        )
        return failed.keep(
            reason=reason or NetworkTrouble("no way", "try later"),
            intake=taken,
            message=None if raw else message.restore(taken),
            envelope=None if raw else envelope,
            argv=list(argv),
            config_path=str(self.conf),
        )

    def call(self, *words: str) -> tuple[int, str, str]:
        try:
            code = ctl.main(["queue", *words])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = self.capsys.readouterr()
        return code, out, err


@pytest.fixture
def queue(shared, tmp_path, capsys):
    return Queue(tmp_path, capsys)


@pytest.fixture
def hub():
    with running(Hub()) as hub:
        yield hub


def test_an_empty_queue_says_so(queue):
    """Nothing kept is no error."""
    assert (0, "Mail queue is empty\n", "") == queue.call()
    assert (0, "[]\n", "") == queue.call("--json")
    assert (0, "Mail queue is empty\n", "") == queue.call("retry", "--all")


def test_the_list_tells_what_a_person_needs(queue):
    """Id, age, size, state, sender, recipients and reason, one line each."""
    kept = queue.keep()
    os.utime(kept.path)
    code, out, err = queue.call()
    head, row = out.splitlines()

    assert (0, "") == (code, err)
    assert ["ID", "AGE", "SIZE", "STATE", "SENDER", "RECIPIENTS", "REASON"] == (
        head.split()
    )
    assert row.startswith(f"{kept.id}  ")
    assert row.endswith(" B  deferred  bob@d.org  ann@d.org   no way; try later")


def test_a_state_directory_is_a_queue_of_its_own(queue, tmp_path, monkeypatch):
    """With one set, what lies elsewhere is neither listed, sent again nor dropped."""
    kept = queue.keep()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    assert (0, "Mail queue is empty\n", "") == queue.call()
    assert (0, "Mail queue is empty\n", "") == queue.call("retry", "--all")
    assert 64 == queue.call("drop", kept.id)[0]


def test_the_list_is_also_for_programs(queue):
    """--json works before and after `list`."""
    kept = queue.keep(MessageRefused("too ugly"))
    for words in (("--json",), ("list", "--json"), ("--json", "list")):
        code, out, _ = queue.call(*words)
        [entry] = json.loads(out)

        assert 0 == code
        assert (kept.id, "refused", 69) == (entry["id"], entry["state"], entry["exit"])
        assert ("bob@d.org", ["ann@d.org"]) == (entry["from"], entry["to"])
        assert ("repaired", kept.path) == (entry["kind"], entry["path"])
        assert str(queue.conf) == entry["config"]


def test_show_prints_the_file_as_it_is(queue):
    """Standard output is what cat shows; what it means is on standard error."""
    kept = queue.keep(InDoubt("no answer"))
    run = subprocess.run(
        [BIN / "ssmtpctl", "queue", "show", kept.id],
        capture_output=True,
        env={"XDG_STATE_HOME": str(Path(kept.path).parents[2])},
        timeout=20,
    )
    assert 64 == run.returncode  # it lies in no state directory

    state = Path(kept.path).parent / "state" / "ssmtp" / "failed"
    state.mkdir(parents=True)
    moved = state / kept.id
    os.rename(kept.path, moved)
    run = subprocess.run(
        [BIN / "ssmtpctl", "queue", "show", kept.id[-6:]],
        capture_output=True,
        env={"XDG_STATE_HOME": str(state.parents[1])},
        timeout=20,
    )

    assert 0 == run.returncode
    assert moved.read_bytes() == run.stdout
    assert b"in-doubt, the mailhub may have it already" in run.stderr


def test_show_where_nobody_reads_what_it_means(queue, monkeypatch):
    """The message is shown all the same."""
    kept = queue.keep()
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr("sys.stderr", full)
        code, out, _ = queue.call("show", kept.id)

    assert (0, Path(kept.path).read_text()) == (code, out)


def test_show_of_a_damaged_file_says_what_is_wrong(shared, tmp_path, capfdbinary):
    """What there is of it is still printed; a link is not followed."""
    kept = Queue(tmp_path, capfdbinary).keep()
    path = Path(kept.path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    (path.parent / "link").symlink_to("/etc/passwd")
    codes = [ctl.main(["queue", "show", word]) for word in (kept.id, "link")]
    out, err = capfdbinary.readouterr()

    assert [0, 0] == codes
    assert whole[:-1] == out
    assert b"damaged" in err
    assert b"The file is not whole" in err
    assert b"The file is a symbolic link" in err
    assert b"root:" not in out


def test_show_on_a_terminal_shows_no_control_characters(queue, monkeypatch):
    """What is harmless in a file may not be on a terminal."""
    from ssmtp.ctl import listed

    lines = ["a\tb \\ é", "\x1b[2J", "\udcff"]

    assert ["a\tb \\ é", "\\u001b[2J", "\\xff"] == [listed.harmless(x) for x in lines]


def test_show_is_also_for_programs(queue):
    """--json gives the facts and the message."""
    kept = queue.keep()
    code, out, _ = queue.call("show", kept.id, "--json")

    assert 0 == code
    assert TEXT.decode() == json.loads(out)["message"]


def test_retry_sends_and_removes(queue, hub):
    """The same envelope and message arrive; the file is gone."""
    queue.configure(hub)
    kept = queue.keep()
    code, out, err = queue.call("retry", kept.id)
    [mail] = hub.mails

    assert (0, "") == (code, err)
    assert f"{kept.id}: sent: 127.0.0.1:{hub.port} said 250 " in out
    assert ("bob@d.org", ["ann@d.org"]) == (mail.sender, mail.recipients)
    assert ["café"] == mail.field("Subject")
    assert b"hello\r\n.\r\n" == mail.body
    assert [] == failed.entries()


def test_retry_of_what_was_read_takes_the_whole_road(queue, hub):
    """A message that was never repaired is repaired now, with its arguments."""
    queue.configure(hub)
    queue.keep(ConfigError("no file"), raw=True, argv=("-t", "bea@d.org"))
    code, _, err = queue.call("retry", "--all")
    [mail] = hub.mails

    assert (0, "") == (code, err)
    assert {"ann@d.org", "bea@d.org"} == set(mail.recipients)
    assert 1 == len(mail.field("Message-ID"))
    assert [] == failed.entries()


def test_retry_that_fails_keeps_the_message_and_the_new_reason(queue, hub):
    """The exit code is that of the new failure, and nothing is kept twice."""
    queue.configure(hub)
    hub.replies["MAIL"] = "550 5.7.1 not you"
    kept = queue.keep()
    code, out, err = queue.call("retry", kept.id)
    [entry] = failed.entries()

    assert (69, "") == (code, out)
    assert err.startswith(f"{kept.id}: kept: ")
    assert "550 5.7.1 not you" in err
    assert (kept.id, "refused") == (entry.id, entry.state)
    assert "not you" in entry.head.reason


def test_retry_of_all_leaves_out_what_is_in_doubt(queue, hub):
    """Sending twice is for a person to decide, and the sentence says how."""
    queue.configure(hub)
    doubtful = queue.keep(InDoubt("no answer"))
    queue.keep()
    code, out, err = queue.call("retry", "--all")

    assert 75 == code
    assert 1 == len(hub.mails) == out.count(": sent: ")
    assert f"{doubtful.id}: skipped: in doubt" in err
    assert f"ssmtpctl queue retry {doubtful.id}" in err
    assert [doubtful.id] == [entry.id for entry in failed.entries()]

    code, _, _ = queue.call("retry", "--all", "--in-doubt")

    assert 0 == code
    assert 2 == len(hub.mails)
    assert [] == failed.entries()


def test_retry_of_a_damaged_message_sends_nothing(queue, hub):
    """What is not whole never goes out."""
    queue.configure(hub)
    kept = queue.keep()
    whole = Path(kept.path).read_bytes()
    Path(kept.path).write_bytes(whole[:-3])
    code, out, err = queue.call("retry", "--all")

    assert (65, "") == (code, out)
    assert "is not whole" in err
    assert 0 == hub.connections


def test_retry_for_programs(queue, hub):
    """--json tells the result for each message."""
    queue.configure(hub)
    first = queue.keep()
    second = queue.keep(InDoubt("no answer"))
    _, out, _ = queue.call("retry", "--all", "--json")
    results = {told["id"]: told["result"] for told in json.loads(out)}

    assert {first.id: "sent", second.id: "skipped"} == results


@pytest.mark.parametrize(
    "words", [("retry",), ("retry", "x", "--all"), ("retry", "x"), ("drop", "x")]
)
def test_what_cannot_be_meant_is_refused(queue, words):
    """Exit 64 with a next step, and nothing is done."""
    kept = queue.keep()
    code, out, err = queue.call(*words)

    assert (64, "") == (code, out)
    assert "`ssmtpctl queue` lists" in err
    assert os.path.exists(kept.path)


def test_drop_removes_and_says_what(queue):
    """It asks nothing, and tells what is gone."""
    first, second = queue.keep(), queue.keep()
    code, out, err = queue.call("drop", first.id)

    assert (0, "") == (code, err)
    assert out.startswith(f"{first.id}: dropped: ")
    assert "from bob@d.org to ann@d.org" in out
    assert [second.id] == [entry.id for entry in failed.entries()]


def test_drop_of_what_cannot_be_removed_says_so(queue):
    """A directory in the store is nobody's message, and stays."""
    kept = queue.keep()
    (Path(kept.path).parent / "folder").mkdir()
    code, _, err = queue.call("drop", "folder", kept.id)

    assert 75 == code
    assert "folder: Is a directory" in err
    assert not os.path.exists(kept.path)


def test_drop_leaves_alone_what_is_being_sent(queue):
    """A message in the hands of another process is not dropped."""
    kept = queue.keep()
    with failed.claim(failed.load(kept.id)):
        code, out, err = queue.call("drop", kept.id)

    assert (75, "") == (code, out)
    assert "in use by another process" in err


def test_drop_for_programs(queue):
    """--json tells what is gone."""
    kept = queue.keep()
    code, out, _ = queue.call("drop", kept.id, "--json")

    assert 0 == code
    assert [kept.id] == [told["id"] for told in json.loads(out)]


def test_retry_can_show_the_dialogue(queue, hub):
    """-v shows it on standard error, as sendmail -v does."""
    queue.configure(hub)
    kept = queue.keep()
    code, _, err = queue.call("retry", "-v", kept.id)

    assert 0 == code
    assert "[->] MAIL FROM:<bob@d.org>" in err


def test_work_goes_on_where_nobody_reads_of_it(queue, monkeypatch):
    """`queue drop ID... | head -1` drops all of them, however many there are."""
    names = [queue.keep().id for _ in range(4)]
    reader, writer = os.pipe()
    os.close(reader)
    # Each line is written at once.
    with open(writer, "w", buffering=1) as nobody, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", nobody)
        code = ctl.main(["queue", "drop", *names])

    assert 0 == code
    assert [] == failed.entries()


def test_retry_goes_on_where_nobody_reads_the_dialogue(queue, hub, monkeypatch):
    """A message that the mailhub has taken is not kept because of `-v`."""
    queue.configure(hub)
    kept = queue.keep()
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr("sys.stderr", full)
        code, *_ = queue.call("retry", "-v", kept.id)

    assert 0 == code
    assert 1 == len(hub.mails)
    assert (0, "[]\n", "") == queue.call("--json")


@pytest.mark.parametrize("raw", [False, True])
def test_retry_with_another_configuration(queue, hub, tmp_path, raw):
    """-C FILE is used instead of the configuration of the run that failed."""
    queue.conf.write_text("mailhub=127.0.0.1:1\n")
    kept = queue.keep(raw=raw)
    other = tmp_path / "other.conf"
    other.write_text(f"mailhub=127.0.0.1:{hub.port}\nhostname=other.test\n")
    code, _, err = queue.call("retry", "-C", str(other), kept.id)

    assert (0, "") == (code, err)
    assert 1 == len(hub.mails)
    assert "EHLO other.test" == hub.commands[0]


def test_a_mistyped_id_leaves_the_others_alone(queue):
    """Either all ids are known or nothing is dropped."""
    kept = queue.keep()
    code, _, err = queue.call("drop", kept.id, "nothing")

    assert 64 == code
    assert "no message nothing is kept" in err
    assert os.path.exists(kept.path)


def test_two_retries_at_once_send_once(queue, hub):
    """While one process sends a message, another one leaves it alone."""
    queue.configure(hub)
    kept = queue.keep()
    with failed.claim(failed.load(kept.id)):
        code, _, err = queue.call("retry", kept.id)

    assert 75 == code
    assert "in use by another process" in err
    assert 0 == hub.connections


def test_retries_of_several_processes_send_each_message_once(
    queue, hub, tmp_path, monkeypatch
):
    """However many people retry at the same time, nothing goes out twice."""
    queue.configure(hub)
    state = str(tmp_path / "state")
    monkeypatch.setenv("XDG_STATE_HOME", state)
    for _ in range(6):
        queue.keep()
    processes = [
        subprocess.Popen(
            [BIN / "ssmtpctl", "queue", "retry", "--all"],
            env={"XDG_STATE_HOME": state},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(3)
    ]
    codes = [process.wait(30) for process in processes]

    assert {0, 75} >= set(codes)
    assert 6 == len(hub.mails)
    assert [] == failed.entries()


@pytest.mark.skipif(os.getuid() == 0, reason="root may")
def test_only_root_sees_everybody_s(queue):
    """Others are told to leave it out."""
    code, _, err = queue.call("--all-users")

    assert 64 == code
    assert "root" in err


def test_control_characters_reach_no_terminal(queue):
    """Whatever a file or its name holds, the list stays a list."""
    kept = queue.keep(NetworkTrouble("no\x1b[2Jway\nforged"))
    (Path(kept.path).parent / "odd\n\x1bname").write_text("")
    code, out, _ = queue.call()

    assert 0 == code
    assert 3 == len(out.splitlines())
    assert "\x1b" not in out


def test_ages_and_sizes_are_for_people(queue):
    """Days, hours, minutes; B, kB, MB."""
    from ssmtp.ctl import listed

    ages = [listed.age(seconds) for seconds in (-5, 59, 60, 7199, 86400 * 3)]
    sizes = [listed.size(octets) for octets in (0, 999, 1000, 100_000_000)]

    assert ["0 s", "59 s", "1 min", "1 h", "3 d"] == ages
    assert ["0 B", "999 B", "1.0 kB", "100.0 MB"] == sizes


def test_mailq_lists_what_is_kept(queue, tmp_path):
    """`mailq` and `sendmail -bp` print the same list on standard output."""
    state = tmp_path / "state"
    os.environ["XDG_STATE_HOME"] = str(state)
    try:
        kept = queue.keep()
    finally:
        del os.environ["XDG_STATE_HOME"]
    env = {"XDG_STATE_HOME": str(state), "TZ": "UTC0"}
    runs = [
        subprocess.run(words, capture_output=True, text=True, env=env, timeout=20)
        for words in ([str(BIN / "mailq")], [str(BIN / "sendmail"), "-bp"])
    ]
    day = time.strftime("%a %b %d", time.gmtime())

    assert [0, 0] == [run.returncode for run in runs]
    assert ["", ""] == [run.stderr for run in runs]
    assert runs[0].stdout == runs[1].stdout
    assert any(
        line.startswith(kept.id) and day in line for line in runs[0].stdout.splitlines()
    )


def test_help_begins_with_examples(queue):
    """Every help text of the queue shows how it is used first."""
    code, out, _ = queue.call("--help")

    assert 0 == code
    assert out.startswith("Examples:\n  ssmtpctl queue ")


def test_what_was_sent_and_cannot_be_removed_is_not_sent_again(queue, hub, monkeypatch):
    """A sent message whose file cannot be removed is in doubt: no retry repeats it."""

    def refuse(entry: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    queue.configure(hub)
    queue.keep()
    monkeypatch.setattr(failed, "remove", refuse)
    first, _, _ = queue.call("retry", "--all")
    second, _, err = queue.call("retry", "--all")

    assert (0, 75) == (first, second)
    assert "in doubt" in err
    assert 1 == len(hub.mails)
