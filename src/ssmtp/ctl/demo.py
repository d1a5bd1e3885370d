"""`ssmtpctl demo`: the whole way of one mail, on this machine, before your eyes.

A mailhub on loopback (TLS with a certificate made on the spot, AUTH required) receives
a mail from `sendmail -t -v` under a classic configuration. Everything lies in one
private directory that is removed at the end. What is claimed at the end was looked up
in what the mailhub received.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ssmtp
from ssmtp import accounts
from ssmtp.ctl import certificate, scratch
from ssmtp.ctl.mailhub import Mailhub, Received
from ssmtp.ctl.sink import shown
from ssmtp.ctl.words import _, counted
from ssmtp.errors import EX_OK, SystemTrouble
from ssmtp.values import DOTS

USER = "demo"
SECONDS = 60
ROOT_GOES_TO = "admin@example.org"
BCC = "secret.friend@example.net"
CC = "colleague@example.net"

MESSAGE = f"""\
To: root
Cc: "Colleague, A." <{CC}>
Bcc: {BCC}
Subject: Grüße aus der Küche

Der Kühlschrank meldet: 4 °C, alles in Ordnung.
.
The line above is a lone dot, and this one comes after it.
"""

EXAMPLES = """\
Examples:
  ssmtpctl demo          see a mail delivered through TLS and AUTH
  ssmtpctl demo --json   only what was checked, and whether it was so
"""
EPILOG = """\
Nothing leaves this machine, nothing is left behind; it takes a few seconds. The exit
status is 1 if a check fails.
"""


def add(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "demo",
        help=_("send a mail to an embedded mailhub, and show all of it"),
        examples=EXAMPLES,
        epilog=EPILOG,
    )
    parser.add_argument(
        "--json", action="store_true", help=_("print the checks only, as JSON")
    )


def run(args: argparse.Namespace) -> int:
    """Run the demo; return 1 if a check fails."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    tale = io.StringIO() if args.json else sys.stdout
    with contextlib.redirect_stdout(tale):
        with _signals(), scratch.directory("ssmtp-demo-") as directory:
            checks = _demonstrate(directory)
        gone = _("nothing is left behind ({directory} is gone)")
        checks.append(Check(not directory.exists(), gone.format(directory=directory)))
        code = _verdict(checks)
    if args.json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    return code


@dataclass(frozen=True)
class Check:
    """One thing that the demo promises, and whether it came true."""

    passed: bool
    promise: str


@dataclass(frozen=True)
class Taken:
    """What the mailhub received."""

    received: Received
    content: bytes

    @property
    def recipients(self) -> list[str]:
        return [path.text for path in self.received.recipients]

    def fields(self, name: str) -> list[str]:
        """Return the decoded bodies of the fields of that name."""
        from email import message_from_bytes, policy

        message = message_from_bytes(self.content, policy=policy.default)
        return [str(body) for body in message.get_all(name, [])]

    def body(self) -> str:
        from email import message_from_bytes, policy

        message = message_from_bytes(self.content, policy=policy.default)
        text: str = message.get_content()
        return text.replace("\r\n", "\n")


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the demo as Ctrl-C does, so that it cleans up."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _demonstrate(directory: Path) -> list[Check]:
    sendmail = _sendmail()
    password = secrets.token_urlsafe(12)
    authority, cert, key = certificate.make(directory)
    _title(_("1. A mailhub that is not easily satisfied"))
    taken: list[Taken] = []

    def handle(received: Received) -> None:
        received.content.seek(0)
        taken.append(Taken(received, received.content.read()))

    hub = Mailhub(
        handle,
        tls="starttls",
        context=certificate.server_context(cert, key),
        users={USER: password},
    )
    hub.start()
    try:
        print(
            _(
                "It listens on 127.0.0.1, port {port}, takes mail over TLS only, and "
                "only after\nAUTH. Its certificate was made a moment ago."
            ).format(port=hub.port)
        )
        conf = _configure(directory, hub.port, authority, password)
        done = _send(sendmail, conf, directory)
    finally:
        hub.close(grace=2.0)
    _title(_("5. The message as it arrived"))
    if not taken:
        print(_("Nothing arrived."))
    for one in taken:
        _show(one)
    return _checks(done, taken, password, directory)


def _sendmail() -> list[str]:
    """Find the sendmail that belongs to this code, not the system's."""
    package = Path(ssmtp.__file__).resolve().parent
    checkout = package.parent.parent / "bin" / "sendmail"
    if package.parent.name == "src" and os.access(checkout, os.X_OK):
        return [os.fspath(checkout)]
    called = Path(sys.argv[0])
    for ssmtpctl in (called.absolute(), called.resolve()):
        sendmail = ssmtpctl.with_name("sendmail")
        if ssmtpctl.name == "ssmtpctl" and os.access(sendmail, os.X_OK):
            return [os.fspath(sendmail)]
    raise SystemTrouble(
        _("the sendmail command of this installation was not found"),
        _("install the package again, or run bin/ssmtpctl demo from a checkout"),
    )


def _configure(directory: Path, port: int, authority: Path, password: str) -> Path:
    """Write ssmtp.conf and revaliases as people have had them for twenty years."""
    login = accounts.caller().login
    conf = directory / "ssmtp.conf"
    text = f"""\
root={ROOT_GOES_TO}
mailhub={_localhost(port)}:{port}
rewriteDomain=example.org
hostname=laptop.example.org
FromLineOverride=YES
UseTLS=YES
UseSTARTTLS=YES
TLS_CA_File={authority}
AuthUser={USER}
AuthPass={password}
"""
    revaliases = f"{login}:me@example.org\n"
    _private(conf, text)
    _private(directory / "revaliases", revaliases)
    _title(_("2. The configuration, a classic one"))
    print(_("ssmtp.conf (for its owner's eyes only, mode 0600):"))
    _indented(text.replace(password, DOTS))
    print(_("revaliases (who you are: your login, and your address):"))
    _indented(revaliases)
    return conf


def _localhost(port: int) -> str:
    """Return the name of this machine's loopback; not every container knows it."""
    try:
        found = socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)
    except OSError:
        found = []
    return "localhost" if any(x[4][0] == "127.0.0.1" for x in found) else "127.0.0.1"


def _private(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(fd, "w", encoding="utf-8") as file:
        file.write(text)


def _send(
    sendmail: list[str], conf: Path, directory: Path
) -> subprocess.CompletedProcess[bytes]:
    words = [*sendmail, "-t", "-i", "-v", "-C", os.fspath(conf)]
    _title(_("3. The command, and the message on its standard input"))
    _indented("$ " + shlex.join(words))
    print(_("-t takes the recipients from the header, -v shows the dialogue."))
    _indented(MESSAGE)
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "XDG_STATE_HOME": os.fspath(directory / "state"),
    }
    try:
        done = subprocess.run(
            words,
            input=MESSAGE.encode(),
            capture_output=True,
            env=environment,
            cwd="/",
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SystemTrouble(
            _("sendmail did not do its work: {reason}").format(reason=error)
        ) from None
    _title(_("4. The dialogue"))
    print(_("Secrets are shown as dots."))
    for line in done.stderr.splitlines():
        _indented(shown(line))
    return done


def _show(one: Taken) -> None:
    received = one.received
    print(_("The envelope, which the recipients do not get to see:"))
    _indented(_("from <{address}>").format(address=received.sender.text))
    for recipient in one.recipients:
        _indented(_("to   <{address}>").format(address=recipient))
    print(_("The message:"))
    for line in one.content.split(b"\r\n")[:-1]:
        _indented(shown(line))


def _checks(
    done: subprocess.CompletedProcess[bytes],
    taken: list[Taken],
    password: str,
    directory: Path,
) -> list[Check]:
    """Compare what was promised with what the mailhub received."""
    dialogue = done.stderr.decode("utf-8", "replace")
    kept = [path for path in (directory / "state").rglob("*") if path.is_file()]
    arrived = counted(
        "{number} message arrived", "{number} messages arrived", len(taken)
    )
    status = _("sendmail's exit status is {status}")
    checks = [
        Check(done.returncode == 0, status.format(status=done.returncode)),
        Check(len(taken) == 1, arrived.format(number=len(taken))),
        Check(not kept, _("nothing had to be kept for another try")),
        Check(password not in dialogue, _("the password is not in the dialogue")),
    ]
    if len(taken) != 1:
        return checks
    one = taken[0]
    received = one.received
    content = one.content.decode("utf-8", "replace")
    typed_body = MESSAGE.partition("\n\n")[2]
    tls = received.tls or _("no TLS")
    return [
        *checks,
        Check(
            tls.startswith(("TLSv1.2", "TLSv1.3")) and ", verified" in dialogue,
            _("delivered over {tls}, certificate verified").format(tls=tls),
        ),
        Check(
            received.user == USER,
            _("logged in as {user} ({mechanism})").format(
                user=received.user, mechanism=received.mechanism
            ),
        ),
        Check(
            ROOT_GOES_TO in one.recipients and "root" not in one.recipients,
            _("root became {address}").format(address=ROOT_GOES_TO),
        ),
        Check(
            CC in one.recipients,
            _("the Cc recipient gets it: {address}").format(address=CC),
        ),
        Check(
            BCC in one.recipients and BCC not in content and not one.fields("Bcc"),
            _("the Bcc recipient gets it and stays secret: {address}").format(
                address=BCC
            ),
        ),
        Check(
            received.sender.text == "me@example.org"
            and "me@example.org" in "".join(one.fields("From")),
            _("it comes from me@example.org, as revaliases says"),
        ),
        Check(
            len(one.fields("Date")) == 1 and len(one.fields("Message-ID")) == 1,
            _("Date and Message-ID were added"),
        ),
        Check(
            one.fields("Subject") == ["Grüße aus der Küche"]
            and one.body() == typed_body,
            _("subject and text arrived as they were typed, umlauts, lone dot and all"),
        ),
    ]


def _verdict(checks: list[Check]) -> int:
    _title(_("6. Was it all true?"))
    for check in checks:
        print(f"  [{_('ok') if check.passed else _('FAILED')}] {check.promise}")
    if not all(check.passed for check in checks):
        print("\n" + _("Something is not as it should be: please report it."))
        return 1
    print("\n" + _("Watch the mail of your own programs: ssmtpctl sink --help"))
    return EX_OK


def _title(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def _indented(text: str) -> None:
    for line in text.splitlines() or [""]:
        print(f"    {line}".rstrip())
