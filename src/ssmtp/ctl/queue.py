"""`ssmtpctl queue`: look at the messages that could not be sent, and deal with them."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from typing import Any

from ssmtp.ctl import complain
from ssmtp.errors import EX_OK, EX_TEMPFAIL, Failure, UsageError
from ssmtp.options import Options
from ssmtp.signals import Signals
from ssmtp.spool import failed, listing
from ssmtp.spool.entry import Entry
from ssmtp.spool.keptfile import escape

EXAMPLES = """\
Examples:
  ssmtpctl queue                      list what is kept, oldest first
  ssmtpctl queue show 7f3a9c04        one message, with its envelope
  ssmtpctl queue retry 7f3a9c04       send it again
  ssmtpctl queue retry --all          send all of them again
  ssmtpctl queue drop 7f3a9c04        throw it away
"""

EPILOG = """\
An id may be shortened to its beginning or its end, as long as only one message has it.

States:
  deferred   send it again, once the reason is gone
  refused    the mailhub said never, or the message cannot be sent as it is
  in-doubt   the mailhub may have it already: sending it again may deliver it twice
  damaged    the file is not as it was written; it is never sent
"""

STATES = {
    "deferred": "it can be sent again, once the reason is gone",
    "refused": "refused for good; something has to change before it can be sent",
    "in-doubt": "the mailhub may have it already, so that a retry may deliver it twice",
    "damaged": "the file is not as it was written, and will not be sent",
}


def add(subparsers: Any) -> None:
    """Describe the verb and its own commands."""
    parser = subparsers.add_parser(
        "queue",
        help="list, show, retry and drop the messages that could not be sent",
        examples=EXAMPLES,
        epilog=EPILOG,
    )
    _listing_options(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    _listing_options(commands.add_parser("list", help="list them (the default)"))

    show = commands.add_parser("show", help="show one message and why it is here")
    show.add_argument("id", metavar="ID")
    show.add_argument("--json", action="store_true", default=argparse.SUPPRESS)

    retry = commands.add_parser("retry", help="send messages again")
    retry.add_argument("ids", metavar="ID", nargs="*")
    retry.add_argument("--all", action="store_true", help="all but those in doubt")
    retry.add_argument(
        "--in-doubt",
        action="store_true",
        help="with --all: also those that may have been delivered already",
    )
    retry.add_argument(
        "-C",
        dest="config",
        metavar="FILE",
        help="the configuration to use instead of the one of the run that failed",
    )
    retry.add_argument("-v", "--verbose", action="store_true", help="show the dialogue")
    retry.add_argument("--json", action="store_true", default=argparse.SUPPRESS)

    drop = commands.add_parser("drop", help="remove messages for good")
    drop.add_argument("ids", metavar="ID", nargs="+")
    drop.add_argument("--json", action="store_true", default=argparse.SUPPRESS)


def _listing_options(parser: argparse.ArgumentParser) -> None:
    # Suppressed defaults: given before the command, they must survive it.
    parser.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help="for programs: one JSON array",
    )
    parser.add_argument(
        "--all-users",
        action="store_true",
        default=argparse.SUPPRESS,
        help="root only: what is kept for everybody",
    )


def run(args: argparse.Namespace) -> int:
    """Do what `queue` was asked to do; return 0 only when all of it was done."""
    args.json = getattr(args, "json", False)
    args.all_users = getattr(args, "all_users", False)
    command = {
        None: list_,
        "list": list_,
        "show": show,
        "retry": retry,
        "drop": drop,
    }[args.command]
    return command(args)


def list_(args: argparse.Namespace) -> int:
    """Print a table, or a JSON array."""
    if args.all_users and os.getuid() != 0:
        raise UsageError("--all-users is for root only", "leave it out to see yours")
    entries = failed.all_entries() if args.all_users else failed.entries()
    if args.json:
        print(json.dumps([facts(entry) for entry in entries], indent=2))
    elif not entries:
        print(listing.EMPTY)
    else:
        _table(entries)
    return EX_OK


def show(args: argparse.Namespace) -> int:
    """Print one message as its file has it, and on standard error what it means."""
    entry = failed.load(args.id)
    if args.json:
        told = facts(entry)
        if not entry.damage:
            text = b"".join(entry.blocks())
            told["message"] = text.decode("utf-8", "backslashreplace")
        print(json.dumps(told, indent=2))
        return EX_OK
    say = sys.stderr.write
    say(f"{escape(entry.id)}: {entry.state}, {STATES[entry.state]}\n")
    if entry.damage:
        say(f"The file {escape(entry.damage)}.\n")
    say(f"{escape(entry.path)}\n\n")
    sys.stderr.flush()
    if entry.stamp is None:
        return EX_OK
    fd = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(fd, "rb") as file:
        if sys.stdout.isatty():
            for line in file:
                words = line.rstrip(b"\n").decode("utf-8", "surrogateescape")
                print(_harmless(words))
        else:
            shutil.copyfileobj(file, sys.stdout.buffer)
    return EX_OK


def retry(args: argparse.Namespace) -> int:
    """Send messages again and say what became of each."""
    if bool(args.ids) == args.all:
        raise UsageError(
            "retry takes either ids or --all", "`ssmtpctl queue` lists the ids"
        )
    told = []
    code = EX_OK
    entries = failed.entries()
    if not args.all:
        named = (failed.choose(word, entries) for word in args.ids)
        entries = list({entry.path: entry for entry in named}.values())
    for entry in entries:
        if args.all and entry.state == "in-doubt" and not args.in_doubt:
            result = "skipped"
            words = (
                "in doubt: the mailhub may have it already; to send it all the same: "
                f"ssmtpctl queue retry {entry.id}"
            )
            code = code or EX_TEMPFAIL
        else:
            try:
                words, result = _resend(entry, args), "sent"
            except Failure as failure:
                words, result = failure.sentence(), "kept"
                code = failure.exit_code
        told.append({"id": entry.id, "result": result, "reason": words})
        if not args.json:
            out = sys.stdout if result == "sent" else sys.stderr
            print(f"{escape(entry.id)}: {result}: {escape(words)}", file=out)
    if args.json:
        print(json.dumps(told, indent=2))
    elif not entries:
        print(listing.EMPTY)
    return code


def drop(args: argparse.Namespace) -> int:
    """Remove messages and say what they were."""
    among = failed.entries()
    # All ids are looked up first: a mistyped one must not leave half of it done.
    named = (failed.choose(word, among) for word in args.ids)
    chosen = {entry.path: entry for entry in named}
    told = []
    code = EX_OK
    for entry in chosen.values():
        try:
            failed.drop_entry(entry)
        except OSError as error:
            code = EX_TEMPFAIL
            print(f"{escape(entry.path)}: {error.strerror}", file=sys.stderr)
            continue
        except Failure as failure:
            code = failure.exit_code
            complain(failure)
            continue
        told.append(facts(entry))
        if not args.json:
            print(f"{escape(entry.id)}: dropped: {_summary(entry)}")
    if args.json:
        print(json.dumps(told, indent=2))
    return code


def _resend(entry: Entry, args: argparse.Namespace) -> str:
    """Send one message, whose file goes away then; return the mailhub's words."""
    from ssmtp import accounts, delivery

    watch = None
    if args.verbose:
        from ssmtp import trace

        watch = trace.Trace(lambda line: print(escape(line), file=sys.stderr))
    wanted = Options("ssmtpctl")
    wanted.config_path = args.config
    signals = Signals()
    request = delivery.Request(
        wanted,
        accounts.caller(),
        os.environ,
        entry.head.arguments,
        watch,
        signals.hold,
    )
    with signals:
        receipt = delivery.retry(entry, request)
    return f"{receipt.hub} said {receipt.reply}"


def facts(entry: Entry) -> dict[str, object]:
    """Return what JSON listings tell about an entry."""
    head = entry.head
    return {
        "id": entry.id,
        "state": entry.state,
        "path": entry.path,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(head.time)),
        "size": entry.size,
        "uid": head.uid,
        "kind": head.kind,
        "exit": head.exit_code,
        "reason": listing.reason(entry),
        "reply": head.reply or None,
        "message_id": head.message_id or None,
        "from": head.reverse_path,
        "to": head.recipients,
        "config": head.config_path or None,
        "arguments": head.arguments,
    }


def _table(entries: list[Entry]) -> None:
    rows = [("ID", "AGE", "SIZE", "STATE", "SENDER", "RECIPIENTS", "REASON")]
    rows += [
        (
            escape(entry.id),
            _age(time.time() - entry.head.time),
            _size(entry.size),
            entry.state,
            escape(listing.sender(entry)),
            _recipients(entry),
            escape(listing.reason(entry)),
        )
        for entry in entries
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    room = shutil.get_terminal_size((0, 0)).columns if sys.stdout.isatty() else 0
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
        line = "  ".join([*cells, row[6]])
        print(line if not room or len(line) <= room else line[: room - 1] + "…")


def _summary(entry: Entry) -> str:
    return (
        f"{_size(entry.size)} from {escape(listing.sender(entry))}"
        f" to {_recipients(entry)}"
    )


def _recipients(entry: Entry) -> str:
    recipients = entry.head.recipients
    if not recipients:
        return "?"
    more = f" +{len(recipients) - 1}" if len(recipients) > 1 else ""
    return escape(recipients[0]) + more


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"


def _size(octets: int) -> str:
    if octets < 1000:
        return f"{octets} B"
    if octets < 1_000_000:
        return f"{octets / 1000:.1f} kB"
    return f"{octets / 1_000_000:.1f} MB"


def _harmless(line: str) -> str:
    """Return a line for a terminal; tabs and backslashes stay as they are."""
    return "".join(c if c.isprintable() or c == "\t" else escape(c) for c in line)
