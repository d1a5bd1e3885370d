"""`ssmtpctl send`: a mail with files, pictures and names, from one command line.

What is put together here goes the way of any message that `sendmail` is given: the
same identity, the same exit codes, kept when it cannot be sent.
"""

from __future__ import annotations

import argparse
import json
import locale
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from ssmtp import delivery, direct, intake, options
from ssmtp.body import BLOCK
from ssmtp.compose import UNKNOWN, Draft, compose
from ssmtp.ctl import progress, say
from ssmtp.ctl.words import _, marked
from ssmtp.errors import EX_OK, InputUnreadable, UsageError
from ssmtp.intake import Intake
from ssmtp.receipt import Receipt
from ssmtp.signals import Signals
from ssmtp.spool.keptfile import escape

EXAMPLES = """\
Examples:
  ssmtpctl send -s 'It works' -m 'Hello.' ann@example.org
  ssmtpctl send -s Report -a report.pdf -a plot.png ann@example.org < text
  ssmtpctl send -s News --html page.html --bcc list@example.org ann@example.org
  ssmtpctl send --dry-run -s Report -a report.pdf -m '' ann@example.org | less
"""
EPILOG = """\
Without -m the text is read from standard input. Images that the page of --html names,
and that lie in its directory or below, are sent with it; so are attachments that it
names as cid:NAME. A message that cannot be sent is kept, as by sendmail.
"""


def add(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "send",
        help=_("send a mail with files, from the command line"),
        examples=EXAMPLES,
        epilog=EPILOG,
    )
    whom = {"action": "append", "default": [], "metavar": _("ADDRESS")}
    parser.add_argument("to", nargs="*", metavar=_("ADDRESS"), help=_("who gets it"))
    parser.add_argument("-s", "--subject", metavar=_("TEXT"), help=_("the subject"))
    parser.add_argument("-m", "--message", metavar=_("TEXT"), help=_("the text itself"))
    parser.add_argument(
        "-a",
        "--attach",
        action="append",
        default=[],
        metavar=_("FILE"),
        help=_("attach a file; may be given several times"),
    )
    parser.add_argument(
        "--html", metavar=_("FILE"), help=_("a page; the text is for others")
    )
    parser.add_argument("--cc", **whom, help=_("who gets a copy that all see"))
    parser.add_argument("--bcc", **whom, help=_("who gets a copy that nobody sees"))
    parser.add_argument(
        "--from", dest="from_", metavar=_("ADDRESS"), help=_("the author")
    )
    parser.add_argument("--reply-to", metavar=_("ADDRESS"), help=_("where answers go"))
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        metavar=_("NAME:TEXT"),
        help=_("one more header field"),
    )
    parser.add_argument(
        "-C", dest="config", metavar=_("FILE"), help=_("the configuration")
    )
    parser.add_argument(
        "--dry-run", action="store_true", help=_("print the message; send nothing")
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help=_("show the dialogue")
    )
    parser.add_argument(
        "--json", action="store_true", help=_("for programs: what became of it")
    )


def run(args: argparse.Namespace) -> int:
    """Put the message together and send it."""
    if not (args.to or args.cc or args.bcc):
        raise UsageError(
            _("nobody to send to"), _("name somebody, as in ann@example.org")
        )
    signals = Signals()
    with signals:
        with _draft(args) as draft:
            _complain_of_images(args.html, draft.missing)
            taken = intake.from_blocks(b"", draft.blocks())
            request = _request(args, draft.recipients, signals)
        try:
            if args.dry_run:
                return _show(request, taken, args.json)
            with progress.shown(taken, quiet=args.verbose):
                receipt = delivery.deliver(request, taken)
        finally:
            taken.body.close()
    if args.json:
        print(json.dumps(facts(receipt), indent=2))
    else:
        told = _("{mailhub} said {reply}")
        told = told.format(mailhub=receipt.hub, reply=receipt.reply)
        print(f"{_(_state(receipt))}: {escape(told)}")
    return EX_OK


def _draft(args: argparse.Namespace) -> Draft:
    page = beside = None
    if args.html is not None:
        page, beside = _page(args.html), os.path.dirname(args.html) or "."
    return compose(
        to=map(_text, args.to),
        cc=map(_text, args.cc),
        bcc=map(_text, args.bcc),
        from_=_text(args.from_),
        reply_to=_text(args.reply_to),
        subject=_text(args.subject),
        headers=map(_field, args.header),
        text=_body(args),
        html=page,
        beside=beside,
        attachments=args.attach,
        charset=_charset(),
    )


def _complain_of_images(page: str, missing: list[str]) -> None:
    """Say which images the message goes without; the page may still be right."""
    for image in missing:
        words = _(
            "{page} names {image}, which is no image beside it; "
            "the message goes without"
        )
        say(escape(words.format(page=page, image=image)))


def _text(word: str | None) -> Any:
    """Read an argument as UTF-8, whatever the locale made of it."""
    return (
        None if word is None else os.fsencode(word).decode("utf-8", "surrogateescape")
    )


def _field(word: str) -> tuple[str, str]:
    name, colon, value = _text(word).partition(":")
    if not colon:
        raise UsageError(
            _("--header takes NAME:TEXT"), _("as in --header 'X-Ticket: 42'")
        )
    return name.strip(), value.strip()


def _page(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InputUnreadable(
            _("{path} cannot be read: {reason}").format(
                path=path, reason=error.strerror
            ),
            _("name a file with the page"),
        ) from None


def _body(args: argparse.Namespace) -> bytes | Iterable[bytes] | None:
    """Return the text: what was given, else standard input.

    With a page there need be none, so that nobody at a terminal is asked for it.
    """
    if args.message is not None:
        return os.fsencode(args.message)
    if sys.stdin is None:
        raise InputUnreadable(_("standard input is closed"), _("give the text with -m"))
    if sys.stdin.isatty():
        if args.html is not None:
            return None
        hint = _("Type the text. Control-D on a line of its own ends it.")
        say(hint)
    return _input()


def _input() -> Iterator[bytes]:
    try:
        while block := os.read(0, BLOCK):
            yield block
    except OSError as error:
        raise InputUnreadable(
            _("standard input cannot be read: {reason}").format(reason=error.strerror),
            _("give the text with -m"),
        ) from None


def _charset() -> str:
    """Return what octets are that are no UTF-8: what the locale says, if it may be."""
    name = locale.getencoding().lower()
    return UNKNOWN if name in ("utf-8", "ascii", "ansi_x3.4-1968") else name


def _request(
    args: argparse.Namespace, recipients: list[str], signals: Signals
) -> delivery.Request:
    arguments = ["-C", os.path.abspath(args.config)] if args.config else []
    arguments += ["--", *recipients]
    watch = None
    if args.verbose:
        from ssmtp import trace

        watch = trace.Trace(lambda line: say(escape(line)))
    return delivery.Request(
        options.scan("ssmtpctl", arguments),
        None,
        os.environ,
        arguments,
        watch,
        signals.hold,
    )


def _show(request: delivery.Request, taken: Intake, json_: bool) -> int:
    """Print the message as the mailhub would get it, and who would, on stderr."""
    envelope, message = direct.prepare(direct.account(request), request.options, taken)
    path = envelope.reverse_path
    sender = "" if path is None else str(path)
    recipients = list(map(str, envelope.recipients))
    content = message.render(smtputf8=True, eightbitmime=True)
    blocks = (block.replace(b"\r", b"") for block in content.blocks())
    if json_:
        text = b"".join(blocks).decode("utf-8", "backslashreplace")
        told = {"result": "not sent", "from": sender, "to": recipients}
        print(json.dumps({**told, "size": content.size, "message": text}, indent=2))
        return EX_OK
    said = [_("from <{address}>").format(address=sender)]
    said += [_("to <{address}>").format(address=one) for one in recipients]
    words = _("not sent: {envelope}").format(envelope=", ".join(said))
    say(escape(words))
    for block in blocks:
        sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()
    return EX_OK


def _state(receipt: Receipt) -> str:
    """Return sent, or queued when the agent took the message: it works out the rest."""
    return marked("sent") if receipt.envelope is not None else marked("queued")


def facts(receipt: Receipt) -> dict[str, object]:
    """Return what JSON tells about a message that was sent."""
    sender = None
    if receipt.envelope is not None:
        sender = str(receipt.envelope.reverse_path or "")
    return {
        "result": _state(receipt),
        "mailhub": receipt.hub,
        "reply": str(receipt.reply),
        "queue_id": receipt.queue_id,
        "message_id": receipt.message_id or None,
        "from": sender,
        "to": receipt.recipients,
        "size": receipt.size,
        "seconds": round(receipt.seconds, 3),
        "tls": receipt.tls,
        "verified": receipt.verified,
        "auth": receipt.mechanism,
    }
