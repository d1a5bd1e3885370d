"""`ssmtpctl sink`: a mailhub that shows every mail it is sent, and keeps none of it."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ssmtp.ctl import certificate, scratch
from ssmtp.ctl.mailhub import Mailhub, Received
from ssmtp.ctl.words import _
from ssmtp.errors import EX_OK, SystemTrouble, UsageError
from ssmtp.smtp.paths import Path as MailPath

EXAMPLES = """\
Examples:
  ssmtpctl sink                                  show what is sent to port 2525
  ssmtpctl sink --port 0 --count 1 --json        one message as JSON, any free port
  ssmtpctl sink --tls starttls --auth me:secret  like a provider's submission port
  ssmtpctl sink --dir mails --quiet              only store .eml files
"""
EPILOG = """\
Nothing that arrives is sent on. Only this machine can connect unless --host says
otherwise. Without --cert a certificate for localhost is made with the openssl command;
its authority, for TLS_CA_File, is named when the sink starts.
"""
LINES_SHOWN = 400
COLUMNS_SHOWN = 1000
GRACE_SECONDS = 2.0


def add(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "sink",
        help=_("run a mailhub on this machine that shows what it is sent"),
        examples=EXAMPLES,
        epilog=EPILOG,
    )
    parser.add_argument(
        "--port", type=int, default=2525, help=_("0 for any free one (default: 2525)")
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help=_("address to listen on (default: 127.0.0.1)"),
    )
    parser.add_argument(
        "--tls",
        choices=("none", "starttls", "implicit"),
        default="none",
        help=_("TLS after STARTTLS, from the first octet, or none (default)"),
    )
    parser.add_argument(
        "--cert", type=Path, metavar="PEM", help=_("certificate to show")
    )
    parser.add_argument("--key", type=Path, metavar="PEM", help=_("its private key"))
    parser.add_argument(
        "--auth",
        action="append",
        default=[],
        metavar=_("USER:PASSWORD"),
        help=_("demand AUTH; may be given several times"),
    )
    parser.add_argument(
        "--dir", type=Path, metavar=_("DIR"), help=_("store each message there as .eml")
    )
    parser.add_argument(
        "--count", type=int, default=0, metavar="N", help=_("end after N messages")
    )
    parser.add_argument("--json", action="store_true", help=_("one JSON object a line"))
    parser.add_argument(
        "--quiet", action="store_true", help=_("do not show the messages")
    )


def run(args: argparse.Namespace) -> int:
    """Listen until Ctrl-C, SIGTERM, or the wanted number of messages."""
    users = dict(_user(text) for text in args.auth)
    if args.key and not args.cert:
        raise UsageError(_("--key goes with --cert"), _("give both"))
    if args.cert and args.tls == "none":
        raise UsageError(
            _("--cert goes with --tls"), _("add --tls starttls or implicit")
        )
    if args.dir is not None:
        _directory(args.dir)
    show = _Show(args)
    ended = threading.Event()
    with _signals(ended), _tls(args) as (context, authority):
        hub = Mailhub(
            _counted(show, args.count, ended),
            host=args.host,
            port=args.port,
            tls=args.tls,
            context=context,
            users=users,
        )
        show.begin(hub, authority, users)
        hub.start()
        try:
            ended.wait()
        finally:
            # The sender of the last message is to hear that it was taken.
            hub.close(GRACE_SECONDS if args.count else 0.0)
    return EX_OK


def _user(text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not user or not colon or not password:
        raise UsageError(_("--auth takes USER:PASSWORD"), _("as in --auth me:secret"))
    return user, password


def _directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SystemTrouble(
            _("cannot make the directory {path}: {reason}").format(
                path=path, reason=error.strerror
            ),
            _("choose another"),
        ) from None


@contextlib.contextmanager
def _signals(ended: threading.Event) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the sink in order."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, lambda *_: ended.set()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextlib.contextmanager
def _tls(args: argparse.Namespace) -> Iterator[tuple[Any, Path | None]]:
    """Provide the TLS context, and the authority if a certificate had to be made."""
    if args.tls == "none":
        yield None, None
    elif args.cert:
        yield certificate.server_context(args.cert, args.key), None
    else:
        with scratch.directory("ssmtp-sink-") as directory:
            authority, cert, key = certificate.make(directory)
            yield certificate.server_context(cert, key), authority


def _counted(show: _Show, count: int, ended: threading.Event) -> Any:
    """Return a handler that shows each message and ends the sink after `count`."""

    def handle(received: Received) -> None:
        if count and received.number > count:
            raise OSError(errno.ECANCELED, "the sink is closing")
        try:
            show.message(received)
        except BrokenPipeError:
            ended.set()
        if count and received.number >= count:
            ended.set()

    return handle


class _Show:
    """Prints what happens, for a person or as JSON lines."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.json: bool = args.json
        self.quiet: bool = args.quiet
        self.directory: Path | None = args.dir
        self.tls: str = args.tls
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Mail holds characters that not every terminal has.
            sys.stdout.reconfigure(errors="backslashreplace")

    def begin(
        self, hub: Mailhub, authority: Path | None, users: dict[str, str]
    ) -> None:
        """Say where the sink listens, and what a configuration has to say."""
        if self.json:
            about = {"listening": {"host": hub.host, "port": hub.port, "tls": self.tls}}
            if authority:
                about["listening"]["authority"] = os.fspath(authority)
            self._line(json.dumps(about))
            return
        host = f"[{hub.host}]" if ":" in hub.host else hub.host
        listening = _("listening on {host}:{port} (Ctrl-C ends it)")
        self._line(listening.format(host=host, port=hub.port))
        if self.quiet:
            return
        lines = [f"mailhub={host}:{hub.port}"]
        if self.tls != "none":
            lines.append("UseTLS=yes")
        if self.tls == "starttls":
            lines.append("UseSTARTTLS=yes")
        if authority:
            lines.append(f"TLS_CA_File={authority}")
        for user in list(users)[:1]:
            lines += [f"AuthUser={user}", "AuthPass=" + _("(as given)")]
        self._line(_("an ssmtp.conf for it:"))
        self._line("\n".join(f"    {x}" for x in lines))

    def message(self, received: Received) -> None:
        """Show one message, and store it if that is wanted."""
        path = self._store(received) if self.directory else None
        if self.json:
            if not self.quiet:
                self._line(json.dumps(as_json(received, path)))
        elif self.quiet:
            if path is None:
                return
            self._line(f"{received.number}: {path}")
        else:
            self._line("\n".join(as_text(received, path)))

    def _line(self, text: str) -> None:
        print(text, flush=True)

    def _store(self, received: Received) -> Path:
        assert self.directory is not None
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(received.seconds))
        number = received.number
        while True:
            path = self.directory / f"{stamp}-{number:04d}.eml"
            try:
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                number += 1
                continue
            break
        received.content.seek(0)
        with open(fd, "wb") as file:
            shutil.copyfileobj(received.content, file)
        return path


def as_json(received: Received, path: Path | None) -> dict[str, Any]:
    """Return all that is known of a message; the content too, unless it is stored."""
    about: dict[str, Any] = {
        "number": received.number,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(received.seconds)),
        "peer": received.peer,
        "hello": received.hello,
        "tls": received.tls,
        "user": received.user,
        "mechanism": received.mechanism,
        "chunked": received.chunked,
        "sender": received.sender.text,
        "parameters": received.sender.parameters,
        "recipients": [path.text for path in received.recipients],
        "recipient_parameters": [path.parameters for path in received.recipients],
        "octets": received.size,
    }
    if path is not None:
        about["file"] = os.fspath(path)
        return about
    received.content.seek(0)
    content = received.content.read()
    try:
        about["content"] = content.decode()
    except UnicodeDecodeError:
        import base64

        about["content_base64"] = base64.b64encode(content).decode()
    return about


def as_text(received: Received, path: Path | None) -> Iterator[str]:
    """Yield the lines that show a message to a person, safe for a terminal."""
    clock = time.strftime("%H:%M:%S", time.localtime(received.seconds))
    yield ""
    heading = _("message {number}, {time}, {octets} octets").format(
        number=received.number, time=clock, octets=received.size
    )
    yield f"== {heading} =="
    yield f"{_('client'):<11}{_safe(received.hello)} ({received.peer})"
    yield f"TLS        {received.tls or _('none')}"
    if received.user is not None:
        by = _("{user} by {mechanism}")
        by = by.format(user=_safe(received.user), mechanism=received.mechanism)
        yield f"AUTH       {by}"
    yield f"MAIL FROM  {_path(received.sender)}"
    for recipient in received.recipients:
        yield f"RCPT TO    {_path(recipient)}"
    if path is not None:
        yield f"{_('file'):<11}{path}"
    yield ""
    for number, line in enumerate(received.lines()):
        if number == LINES_SHOWN:
            yield "    [" + _("... and so on") + "]"
            break
        yield ("    " + shown(line)).rstrip()


def _path(path: MailPath) -> str:
    words = [
        keyword if value is None else f"{keyword}={value}"
        for keyword, value in path.parameters.items()
    ]
    return _safe(" ".join([f"<{path.text}>", *words]))


def shown(line: bytes) -> str:
    """Make a line of a message fit to be shown: no control character gets through."""
    text = _safe(line[:COLUMNS_SHOWN].decode("utf-8", "backslashreplace"))
    return text + ("[...]" if len(line) > COLUMNS_SHOWN else "")


def _safe(text: str) -> str:
    return "".join(
        char
        if char.isprintable() or char == "\t"
        else char.encode("unicode_escape").decode()
        for char in text
    )
