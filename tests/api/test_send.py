"""`ssmtp.send`: a receipt, or an error that says all there is to say."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from email.mime.text import MIMEText
from pathlib import Path

import pytest

import ssmtp
from ssmtp import journal

ROOT = Path(__file__).parents[2]
ONE = "ann@example.org"


@pytest.fixture
def send(mailsink, kept):
    """`ssmtp.send` with a configuration that leads to the sink."""
    with mailsink.config.open("a") as file:
        file.write("Hostname=me.example\n")

    def call(*args, **given):
        return ssmtp.send(*args, config=given.pop("config", mailsink.config), **given)

    return call


def test_a_receipt(send, mailsink):
    """The receipt says who took the message, for whom, and under which names."""
    receipt = send(to=ONE, bcc="b@example.org", subject="Hi", text="Hello.")
    [mail] = mailsink.messages

    assert f"127.0.0.1:{mailsink.port}" == receipt.hub
    assert 250 == receipt.reply.code
    assert "SINK1" == receipt.queue_id
    assert mail["Message-ID"] == receipt.message_id
    assert [ONE, "b@example.org"] == receipt.recipients == mail.recipients
    assert len(mail.octets) == receipt.size
    assert "Hello." == mail.text
    assert b"b@example.org" not in mail.octets


@pytest.mark.parametrize(
    ("sender", "override", "expected"),
    [
        (None, "yes", "me@shop.example"),
        ("bounces@shop.example", "yes", "bounces@shop.example"),
        ("", "no", ""),
    ],
)
def test_the_reverse_path(send, mailsink, sender, override, expected):
    """Author and reverse-path are chosen as sendmail lets its caller choose them."""
    with mailsink.config.open("a") as file:
        file.write(f"FromLineOverride={override}\n")
    send(to=ONE, text="x", from_="Me <me@shop.example>", sender=sender)
    [mail] = mailsink.messages

    assert expected == mail.sender
    assert "Me <me@shop.example>" == mail["From"]


def unusual(**options) -> EmailMessage:
    message = EmailMessage(policy=policy.default.clone(**options))
    message["To"] = f"Ann Ä <{ONE}>"
    message["Cc"] = "b@example.org"
    message["Bcc"] = "c@example.org"
    message["Subject"] = "Grüße " * 20
    message.set_content("From the start\nhällo\n.\nend\n")
    message.add_attachment(b"\0\xff", "application", "x-odd", filename="ä.bin")
    return message


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"utf8": True},
        {"linesep": "\r\n", "cte_type": "7bit"},
        {"linesep": "\r"},
        {"max_line_length": 40},
        {"mangle_from_": True, "raise_on_defect": True},
    ],
)
def test_policies(send, mailsink, options):
    """A message arrives whole, whatever its policy wants of its lines."""
    send(unusual(**options))
    [mail] = mailsink.messages
    body = mail.message.get_body()
    assert body is not None
    [part] = mail.message.iter_attachments()

    assert [ONE, "b@example.org", "c@example.org"] == mail.recipients
    assert None is mail["Bcc"]
    assert b"c@example.org" not in mail.octets
    assert ("Grüße " * 20).strip() == str(mail["Subject"]).strip()
    assert "From the start\nhällo\n.\nend" == mail.text
    assert ("ä.bin", b"\0\xff") == (part.get_filename(), part.get_content())


def test_old_messages(send, mailsink):
    """A message of the older kind, and one that is octets, are as good."""
    old = MIMEText("hällo\n", _charset="iso-8859-1")
    old["To"] = ONE
    send(old)
    send(b"To: ann@example.org\nSubject: raw\n\nhi\n")
    with_defects = message_from_bytes(b"To: a@x.example\nno field\n\nhi\n")
    send(with_defects)

    assert ["hällo", "hi"] == [mail.text for mail in mailsink.messages[:2]]
    assert ["a@x.example"] == mailsink.messages[2].recipients


def test_recipients_win(send, mailsink):
    """Recipients that are given take the place of those in the header."""
    send(unusual(), to="dora@example.org")

    assert ["dora@example.org"] == mailsink.messages[0].recipients


@pytest.mark.parametrize("whom", [{"to": []}, {"to": None, "bcc": ""}, {}])
def test_nobody(send, mailsink, kept, whom):
    """An empty list of recipients never means those of the header."""
    with pytest.raises(ssmtp.UsageError, match="nobody to send to"):
        send(unusual(), **{"to": [], **whom})
    with pytest.raises(ssmtp.UsageError, match="nobody to send to"):
        send(text="x", **whom)

    assert [] == mailsink.messages
    assert [] == kept()


@pytest.mark.parametrize("kind", [Message, EmailMessage])
def test_no_field_begins_another(send, mailsink, kind):
    """A line end in a field of a message cannot make a recipient."""
    message = kind()
    message["To"] = ONE
    # Behind the back of the checks of the library.
    message._headers.append(("Subject", "x\nBcc: evil@x.example"))
    with pytest.raises(ssmtp.InputRefused, match="Subject"):
        send(message)

    assert [] == mailsink.messages


def test_a_message_that_cannot_be_written(send):
    """What the library cannot write is an error of ours."""
    message = EmailMessage()
    message["To"] = ONE
    message["Content-Transfer-Encoding"] = "8bit"
    message.set_payload(7)  # type: ignore[call-overload]

    with pytest.raises(ssmtp.InputRefused, match="cannot be written"):
        send(message)


@pytest.mark.parametrize(
    ("args", "given"),
    [((object(),), {}), ((), {"to": [1]}), ((b"x",), {"to": ONE, "text": "x"})],
)
def test_mistakes(send, kept, args, given):
    """A mistake in the call is a TypeError, and nothing is kept."""
    with pytest.raises(TypeError):
        send(*args, **given)

    assert [] == kept()


def test_a_refusal(send, mailsink, kept):
    """A refusal is of its class, says who was refused, and where the message is."""
    mailsink.refuse("recipient", "550 5.1.1 Who?", address="bob@")
    with pytest.raises(ssmtp.RecipientRefused) as caught:
        send(to=[ONE, "bob@example.org"], text="x")
    failure = caught.value
    [path] = kept()

    assert ("never", "recipient", 67) == (
        failure.when,
        failure.scope,
        failure.exit_code,
    )
    assert "bob@example.org" == failure.recipient
    assert "550 5.1.1 Who?" == str(failure.reply)
    assert str(path) == failure.kept


@pytest.mark.parametrize(
    ("stage", "reply", "kind"),
    [
        ("content", "554 5.7.1 Spam", ssmtp.MessageRefused),
        ("content", "451 4.3.0 Later", ssmtp.Deferred),
        ("connection", "421 4.3.2 Busy", ssmtp.SiteTrouble),
    ],
)
def test_kinds_of_failures(send, mailsink, kept, stage, reply, kind):
    """Each way to fail is a class of its own; keep=False keeps nothing."""
    mailsink.refuse(stage, reply)
    with pytest.raises(kind):
        send(to=ONE, text="x", keep=False)

    assert [] == kept()


def test_what_is_kept_can_be_sent(send, mailsink, kept):
    """A message that was kept before anything was known goes to all when retried."""
    config = mailsink.config.with_name("later.conf")
    with pytest.raises(ssmtp.ConfigError):
        send(to=ONE, bcc="b@example.org", text="x", config=config)
    config.write_text(mailsink.config.read_text())
    [path] = kept()
    text = path.read_text()
    subprocess.run(
        [ROOT / "bin" / "ssmtpctl", "queue", "retry", "--all"],
        check=True,
        capture_output=True,
    )

    assert [ONE, "b@example.org"] == mailsink.messages[0].recipients
    assert "b@example.org" not in text.partition("\n\n")[2]
    assert [] == kept()


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_interrupts_are_the_programs(send, mailsink, kept, interrupt):
    """Ctrl-C stays Ctrl-C, and the message is kept."""

    def stop(*_: object) -> None:
        raise interrupt

    before = signal.signal(signal.SIGALRM, stop)
    real = mailsink._hub._handle
    waiting = threading.Event()

    def hang(received):
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        waiting.wait(10)
        real(received)

    mailsink._hub._handle = hang
    try:
        with pytest.raises(interrupt):
            send(to=ONE, text="x")
    finally:
        waiting.set()
        signal.signal(signal.SIGALRM, before)

    assert 1 == len(kept())


def test_a_program_that_handles_an_interrupt(send, mailsink):
    """A program may send while it handles a Ctrl-C of before."""
    mailsink.refuse("content", "451 4.3.0 Later")
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        with pytest.raises(ssmtp.Deferred):
            send(to=ONE, text="last words", keep=False)


def test_threads(send, mailsink):
    """Many threads send at once, and each message arrives once."""
    threads = [
        threading.Thread(target=send, kwargs={"to": ONE, "text": f"number {at}"})
        for at in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {f"number {at}" for at in range(12)} == {m.text for m in mailsink.messages}
    assert 12 == len(mailsink.messages)


def test_async(send, mailsink):
    """Tasks send at the same time; a refusal is raised where it is awaited."""
    mailsink.refuse("recipient", "550 5.1.1 Who?", address="bad@")

    async def main():
        return await asyncio.gather(
            *(
                ssmtp.send_async(to=to, text="x", config=mailsink.config)
                for to in ("a@x.example", "bad@x.example", "b@x.example")
            ),
            return_exceptions=True,
        )

    good, bad, other = asyncio.run(main())

    assert ["a@x.example"] == good.recipients
    assert isinstance(bad, ssmtp.RecipientRefused)
    assert ["b@x.example"] == other.recipients


def test_async_cancelled(send, mailsink):
    """A message on its way arrives, though the task that waits is cancelled."""

    async def main():
        task = asyncio.create_task(
            ssmtp.send_async(to=ONE, text="x", config=mailsink.config)
        )
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        def judge(stage, address):
            with contextlib.suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(begun.set)

        mailsink._hub._judge = judge
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert 1 == len(mailsink.wait())


GUEST = """
import os, resource, signal, sys
sys.path.insert(0, sys.argv[1])
import ssmtp
def state():
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    handlers = [signal.getsignal(number) for number in range(1, 30)]
    return limits, handlers, sorted(os.listdir("/proc/self/fd")), os.getcwd()
before = state()
ssmtp.send(to="ann@example.org", text="x" * 400_000, config=sys.argv[2])
try:
    ssmtp.send(to="bob@example.org", text="x" * 400_000, config=sys.argv[2])
except ssmtp.RecipientRefused:
    pass
assert before == state(), (before, state())
assert "syslog" not in sys.modules
with open("/proc/self/coredump_filter") as file:
    print(file.read().strip())
"""


def test_a_guest_leaves_its_host_alone(mailsink, kept):
    """No handler, descriptor, limit or setting of the program's process is changed."""
    with mailsink.config.open("a") as file:
        file.write("AuthUser=me\nAuthPass=pw-12345\n")
    mailsink.config.chmod(0o600)
    mailsink._hub._rules.users = {"me": "pw-12345"}
    mailsink._hub._rules.auth_in_clear = True
    mailsink.refuse("recipient", "550 5.1.1 Who?", address="bob@")
    done = subprocess.run(
        [sys.executable, "-c", GUEST, ROOT / "src", mailsink.config],
        capture_output=True,
        text=True,
    )
    filter_ = Path("/proc/self/coredump_filter").read_text().strip()

    assert (0, "") == (done.returncode, done.stderr)
    assert filter_ == done.stdout.strip()
    assert ["me"] == [mail.user for mail in mailsink.messages]


def test_the_log_line_of_a_guest(send, mailsink, tmp_path, monkeypatch):
    """The system log gets the line of sendmail, and syslog(3) is not touched."""
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind(str(tmp_path / "log"))
    log.settimeout(10)
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "log"))
    monkeypatch.setattr(journal, "guest", True)
    with log:
        send(to=ONE, text="x")
        mailsink.refuse("recipient", "550 5.1.1 Who?")
        with pytest.raises(ssmtp.RecipientRefused):
            send(to=ONE, text="x")
        good, bad = log.recv(2000).decode(), log.recv(2000).decode()
    head = rf"[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d sSMTP\[{os.getpid()}\]: "

    assert re.match(rf"<22>{head}Sent mail for \S+@me.example \(250 ", good)
    assert re.match(rf"<19>{head}RCPT TO:<{ONE}> \(550 ", bad)


THREAD = """
import signal, sys, threading
sys.path.insert(0, sys.argv[1])
import ssmtp
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
def work():
    try:
        ssmtp.send(to="ann@example.org", text="x", config=sys.argv[2])
    except ssmtp.Failure as failure:
        print(type(failure).__name__, failure)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def test_a_password_command_in_a_thread(mailsink, kept):
    """Where the program makes its exit status unreadable, that is what is said."""
    with mailsink.config.open("a") as file:
        file.write("AuthUser=me\nAuthPassCommand=/bin/echo x\n")
    mailsink._hub._rules.users = {"me": "x"}
    mailsink._hub._rules.auth_in_clear = True
    done = subprocess.run(
        [sys.executable, "-c", THREAD, ROOT / "src", mailsink.config],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.startswith("AuthRefused AuthPassCommand /bin/echo cannot be run")


def test_import_is_free():
    """`import ssmtp` loads nothing but the package; names come when they are used."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); before = set(sys.modules);"
        "import ssmtp; print(*set(sys.modules) - before);"
        "print(*(name for name in ssmtp.__all__ if name not in dir(ssmtp)));"
        "ssmtp.Failure; print('ssmtp.api' in sys.modules);"
        "ssmtp.send; print(callable(ssmtp.send_async))"
    )
    done = subprocess.run(
        [sys.executable, "-ISc", code, ROOT / "src"], capture_output=True, text=True
    )

    assert ("ssmtp\n\nFalse\nTrue\n", "") == (done.stdout, done.stderr)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = ssmtp.no_such_name  # type: ignore[attr-defined]


def test_every_error_is_public():
    """Every class of errors.py that send can raise has a public name."""
    from ssmtp import errors

    internal = {"Interrupted"}
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.Failure)
    }

    assert classes - internal <= set(ssmtp.__all__)
    assert all(getattr(ssmtp, name) for name in ssmtp.__all__)
    assert (ROOT / "src" / "ssmtp" / "py.typed").exists()


def test_a_fork(send, mailsink):
    """A child process sends asynchronously with threads of its own."""

    async def main():
        await ssmtp.send_async(to=ONE, text="x", config=mailsink.config)

    asyncio.run(main())
    child = os.fork()
    if not child:
        code = 1
        try:
            asyncio.run(main())
            code = 0
        finally:
            os._exit(code)

    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert 2 == len(mailsink.wait(2))
