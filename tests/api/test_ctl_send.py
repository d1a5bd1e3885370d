"""`ssmtpctl send`: a mail with files, from the command line."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from email import message_from_bytes, policy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SSMTPCTL = ROOT / "bin" / "ssmtpctl"
ONE = "ann@example.org"


@pytest.fixture
def send(mailsink, kept, tmp_path):
    """Run `ssmtpctl send`; returns exit code, standard output and standard error."""

    def run(*words, text="", **environ):
        done = subprocess.run(
            [SSMTPCTL, "send", "-C", mailsink.config, *words],
            input=text.encode() if isinstance(text, str) else text,
            capture_output=True,
            cwd=tmp_path,
            env={**os.environ, "LC_ALL": "C.UTF-8", **environ},
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        return done.returncode, out, err

    return run


def test_a_dialogue_that_nobody_can_read(mailsink, kept):
    """Where standard error takes nothing, the mail goes out all the same."""
    words = [SSMTPCTL, "send", "-v", "-C", mailsink.config, "-m", "hello", ONE]
    with open("/dev/full", "w") as full:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=full)

    assert 0 == done.returncode
    assert b"sent: " in done.stdout
    assert [[ONE]] == [mail.recipients for mail in mailsink.messages]


def test_all_of_it(send, mailsink, tmp_path):
    """Text, page, picture, file and recipients arrive as the command line has them."""
    (tmp_path / "Prüf.pdf").write_bytes(b"%PDF\0")
    (tmp_path / "plot.png").write_bytes(b"png")
    (tmp_path / "page.html").write_text("<b>ü</b><img src='plot.png'>")
    code, out, err = send(
        "-s",
        "Grüße",
        "-a",
        "Prüf.pdf",
        "--html",
        "page.html",
        "--cc",
        "Bob <bob@example.org>",
        "--bcc",
        "boss@example.org",
        "--from",
        "Mé <me@example.org>",
        "--reply-to",
        "re@example.org",
        "--header",
        "X-Ticket: 42",
        ONE,
        "dora@example.org",
        text="hällo\n",
    )
    [mail] = mailsink.messages
    page = mail.message.get_body(("html",))
    files = [part for part in mail.message.walk() if part.get_filename()]

    assert (0, "") == (code, err)
    assert f"sent: 127.0.0.1:{mailsink.port} said 250 " in out
    assert [ONE, "dora@example.org", "bob@example.org", "boss@example.org"] == (
        mail.recipients
    )
    assert b"boss@" not in mail.octets
    assert "hällo" == mail.text
    assert '<b>ü</b><img src="cid:' in page.get_content()
    assert [("plot.png", b"png"), ("Prüf.pdf", b"%PDF\0")] == [
        (part.get_filename(), part.get_content()) for part in files
    ]
    assert ("Grüße", "Mé <me@example.org>", "re@example.org", "42") == tuple(
        mail[name] for name in ("Subject", "From", "Reply-To", "X-Ticket")
    )


def test_images_that_are_not_there(send, mailsink, tmp_path):
    """Who sends a page is told which of its images the reader will not see."""
    (tmp_path / "there.png").write_bytes(b"png")
    (tmp_path / "page.html").write_text(
        "<img src=there.png><img src=gone.png><img src='cid:part'>"
        "<img src=https://x.example/web.png>Write cid:word for a part."
    )
    code, _, err = send("--html", "page.html", "-m", "text", ONE)

    assert 0 == code
    assert ["gone.png", "cid:part"] == sorted(
        (line.split()[2].rstrip(",") for line in err.splitlines()), reverse=True
    )
    assert 1 == len(mailsink.messages)


def test_the_text_can_be_an_argument(send, mailsink):
    """With -m standard input is not read."""
    send("-m", "from -m", ONE, text="from stdin")

    assert "from -m" == mailsink.messages[0].text


def test_a_text_in_the_charset_of_the_locale(send, mailsink):
    """Octets that are no UTF-8 are sent as they are, and labelled."""
    send(ONE, text=b"caf\xe9\n")
    part = mailsink.messages[0].message

    assert "unknown-8bit" == part.get_content_charset()
    assert b"caf\xe9" == bytes(part.get_payload(decode=True)).strip()


def test_dry_run(send, mailsink, kept):
    """--dry-run prints the message that would be sent, and sends nothing."""
    code, out, err = send(
        "--dry-run", "-s", "Hi", "-m", "x", "--bcc", "b@x.example", ONE
    )
    message = message_from_bytes(out.encode(), policy=policy.default)

    assert 0 == code
    assert err.endswith(f", to <{ONE}>, to <b@x.example>\n")
    assert err.startswith("not sent: from <")
    assert ("Hi", ONE, None) == (message["Subject"], message["To"], message["Bcc"])
    assert message["Date"]
    assert "\r" not in out
    assert [] == mailsink.messages
    assert [] == kept()


def test_json(send, mailsink, kept):
    """A script reads what became of the message, either way."""
    _, out, _ = send("--json", "-m", "x", ONE)
    mailsink.refuse("recipient", "550 5.1.1 Who?")
    code, bad, err = send("--json", "-m", "x", ONE)
    sent, refused = json.loads(out), json.loads(bad)
    [path] = kept()

    assert ("sent", "SINK1", [ONE]) == (
        sent["result"],
        sent["queue_id"],
        sent["to"],
    )
    assert mailsink.messages[0]["Message-ID"] == sent["message_id"]
    assert 67 == code == refused["exit"]
    assert ("failed", "never", ONE, "550 5.1.1 Who?", str(path)) == (
        refused["result"],
        refused["when"],
        refused["recipient"],
        refused["reply"],
        refused["kept"],
    )
    assert f"[kept as {path}; to send it again: ssmtpctl queue retry " in err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-m", "x"], 64, "nobody to send to"),
        (["-m", "x", "-a", "missing", ONE], 66, "missing cannot be attached"),
        (["-m", "x", "--html", "missing", ONE], 66, "missing cannot be read"),
        (["-m", "x", "-s", "a\nBcc: b@c.example", ONE], 65, "Subject"),
        (["-m", "x", "--header", "none", ONE], 64, "--header takes NAME:TEXT"),
        (["-m", "x", "a b@c.example"], 65, "To"),
    ],
)
def test_mistakes(send, mailsink, kept, words, code, said):
    """A mistake is told in one line before anything is sent or kept."""
    ended, out, err = send(*words)

    assert (code, "") == (ended, out)
    assert err.startswith("ssmtpctl")
    assert said in err
    assert 1 == err.count("\n")
    assert [] == [*mailsink.messages, *kept()]


def test_standard_input_is_closed(mailsink):
    """Without any standard input the text has to come with -m."""
    done = subprocess.run(
        [
            "sh",
            "-c",
            'exec "$@" <&-',
            "sh",
            SSMTPCTL,
            "send",
            "-C",
            mailsink.config,
            ONE,
        ],
        capture_output=True,
        text=True,
    )

    assert 66 == done.returncode
    assert "give the text with -m" in done.stderr


class Terminal:
    """A run with a terminal for standard input and error."""

    def __init__(self, command, environ) -> None:
        self.fd, slave = pty.openpty()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environ
        )
        os.close(slave)

    def until(self, word: bytes = b"") -> bytes:
        """Read until a word comes, or all of it."""
        seen = b""
        while not word or word not in seen:
            ready, _, _ = select.select([self.fd], [], [], 20)
            assert ready, seen
            try:
                block = os.read(self.fd, 4096)
            except OSError:  # the other end is closed
                block = b""
            if not block:
                break
            seen += block
        return seen

    def end(self) -> int:
        code = self.process.wait(20)
        os.close(self.fd)
        return code


def command(mailsink, *words, program=(str(SSMTPCTL),)):
    return [*program, "send", "-C", str(mailsink.config), *words, ONE]


def test_a_terminal_gets_a_hint(mailsink, kept):
    """A person at a terminal is told how to end the text."""
    terminal = Terminal(command(mailsink, "-s", "x"), dict(os.environ))
    hint = terminal.until(b"ends it.")
    os.write(terminal.fd, b"typed\n\x04")
    terminal.until()

    assert b"Control-D" in hint
    assert 0 == terminal.end()
    assert "typed" == mailsink.messages[0].text


def test_a_page_needs_no_text(mailsink, kept, tmp_path):
    """With a page nobody at a terminal is asked for a text."""
    (tmp_path / "page.html").write_text("<p>all there is")
    terminal = Terminal(
        command(mailsink, "--html", str(tmp_path / "page.html")), dict(os.environ)
    )
    terminal.until()

    assert 0 == terminal.end()
    assert "text/html" == mailsink.messages[0].message.get_content_type()


@pytest.mark.parametrize(
    ("rich", "colour"), [(True, True), (True, False), (False, True)]
)
def test_a_bar_for_a_large_file(mailsink, kept, tmp_path, rich, colour):
    """On a terminal a large file is sent with a bar, with rich in colour."""
    pytest.importorskip("rich") if rich else None
    (tmp_path / "large").write_bytes(bytes(6_000_000))
    # Without -S the packages of this interpreter are there, with it they are not.
    program = [sys.executable, "-IS" if not rich else "-I", "-c"]
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r})\n"
        "import ssmtp.extras\n"
        f"if not {rich}: ssmtp.extras._searched = True\n"
        "from ssmtp.ctl import main; sys.exit(main())"
    )
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    environ.pop("NO_COLOR", None)
    if not colour:
        environ["NO_COLOR"] = "1"
    words = ("-m", "x", "-a", str(tmp_path / "large"))
    terminal = Terminal(command(mailsink, *words, program=(*program, code)), environ)
    seen = terminal.until()

    assert 0 == terminal.end()
    assert b"sending" in seen
    assert rich is (b"MB" in seen)
    assert (rich and colour) is (b"\x1b[3" in seen)
    assert b"sent: " in seen
    assert 6_000_000 == len(
        next(mailsink.messages[0].message.iter_attachments()).get_content()
    )


def test_no_bar_where_nobody_looks(send, tmp_path):
    """Into a file nothing is written but what became of the message."""
    (tmp_path / "large").write_bytes(bytes(6_000_000))
    code, out, err = send("-m", "x", "-a", "large", ONE)

    assert (0, "", 1) == (code, err, out.count("\n"))


MEASURE = """
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_memory(mailsink, kept, tmp_path):
    """A large attachment takes no more memory than a small one."""
    path = tmp_path / "file"
    send = command(mailsink, "-m", "x", "-a", str(path))
    peaks = []
    for size in (1000, 20_000_000):
        path.write_bytes(bytes(size))
        done = subprocess.run(
            ["/usr/bin/python3", "-ISc", MEASURE, *send],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout.split()[-1]))

    assert peaks[1] < peaks[0] + 4000, peaks  # KiB
