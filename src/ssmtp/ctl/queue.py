"""`ssmtpctl queue`: look at the messages that are not sent yet, and deal with them.

They lie in two places: in the failed store of the user, whom a failed run has told, and
in the queue of an agent, which sends them by itself (`queued`).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from typing import Any

from ssmtp.ctl import complain, listed, queued, say, tell
from ssmtp.ctl.queued import Row
from ssmtp.ctl.retold import retold, sentence
from ssmtp.ctl.words import _, counted, marked
from ssmtp.errors import (
    EX_OK,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
    Failure,
    SystemTrouble,
    UsageError,
)
from ssmtp.options import Options
from ssmtp.signals import Signals
from ssmtp.spool import failed
from ssmtp.spool.entry import Entry
from ssmtp.spool.keptfile import escape

EXAMPLES = """\
Examples:
  ssmtpctl queue                      list what is kept or queued, oldest first
  ssmtpctl queue show 7f3a9c04        one message, with its envelope
  ssmtpctl queue retry 7f3a9c04       send it again
  ssmtpctl queue retry --all          send all of them again
  ssmtpctl queue drop 7f3a9c04        throw it away
  ssmtpctl queue hold 7f3a9c04        let it wait in the agent's queue until released
  ssmtpctl queue flush                the network is up: let the agent try everything
"""

EPILOG = """\
An id may be shortened to its beginning or its end, as long as only one message has it.

States of what is kept by a run that failed:
  deferred   send it again, once the reason is gone
  refused    the mailhub said never, or the message cannot be sent as it is
  in-doubt   the mailhub may have it already: sending it again may deliver it twice
  damaged    the file is not as it was written; it is never sent
States of what the agent has queued:
  waiting    sent when its time comes
  active     being sent now
  in-doubt   the mailhub may have it already; it is sent again, or held (HoldInDoubt)
  held       waits until it is released
  failed     given up; its sender was told
"""

STATES = {
    "deferred": marked("it can be sent again, once the reason is gone"),
    "refused": marked(
        "refused for good; something has to change before it can be sent"
    ),
    "in-doubt": marked(
        "the mailhub may have it already, so that a retry may deliver it twice"
    ),
    "damaged": marked("the file is not as it was written, and will not be sent"),
}


def add(subparsers: Any) -> None:
    """Describe the verb and its own commands."""
    parser = subparsers.add_parser(
        "queue",
        help=_("list, show, retry, hold and drop the messages that are not sent yet"),
        examples=EXAMPLES,
        epilog=EPILOG,
    )
    _listing_options(parser)
    commands = parser.add_subparsers(dest="command", metavar=_("COMMAND"))

    _listing_options(commands.add_parser("list", help=_("list them (the default)")))

    show = commands.add_parser("show", help=_("show one message and why it is here"))
    show.add_argument("id", metavar="ID")
    _json_option(show)

    retry = commands.add_parser("retry", help=_("send messages again"))
    retry.add_argument("ids", metavar="ID", nargs="*")
    retry.add_argument("--all", action="store_true", help=_("all but those in doubt"))
    retry.add_argument(
        "--in-doubt",
        action="store_true",
        help=_("with --all: also those that may have been delivered already"),
    )
    retry.add_argument(
        "-C",
        dest="config",
        metavar=_("FILE"),
        help=_("the configuration to use instead of the one of the run that failed"),
    )
    retry.add_argument(
        "-v", "--verbose", action="store_true", help=_("show the dialogue")
    )
    _json_option(retry)

    drop = commands.add_parser("drop", help=_("remove messages for good"))
    drop.add_argument("ids", metavar="ID", nargs="+")
    _json_option(drop)

    for name, help_ in (
        ("hold", _("keep messages in the agent's queue until they are released")),
        ("release", _("let the agent send messages that were held or given up")),
    ):
        command = commands.add_parser(name, help=help_)
        command.add_argument("ids", metavar="ID", nargs="+")
        _json_option(command)

    flush = commands.add_parser(
        "flush",
        help=_("let the agent try everything now, as when the network comes up"),
    )
    _json_option(flush)


def _json_option(parser: argparse.ArgumentParser) -> None:
    # Suppressed default: given before the command, it must survive it.
    parser.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help=_("for programs"),
    )


def _listing_options(parser: argparse.ArgumentParser) -> None:
    # Suppressed defaults: given before the command, they must survive it.
    parser.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help=_("for programs: one JSON array"),
    )
    parser.add_argument(
        "--all-users",
        action="store_true",
        default=argparse.SUPPRESS,
        help=_("root only: what is kept for everybody"),
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
        "hold": hold,
        "release": release,
        "flush": flush,
    }[args.command]
    return command(args)


def list_(args: argparse.Namespace) -> int:
    """Print a table, or a JSON array."""
    if args.all_users and os.getuid() != 0:
        raise UsageError(
            _("--all-users is for root only"), _("leave it out to see yours")
        )
    troubles: list[Failure] = []
    entries: list[Entry | Row] = []
    entries += failed.all_entries() if args.all_users else failed.entries()
    entries += queued.rows(os.getuid() == 0, troubles)
    entries.sort(key=listed.time_of)
    if args.json:
        print(json.dumps([listed.facts(entry) for entry in entries], indent=2))
    elif entries:
        listed.table(entries)
    elif not _is_unheard(troubles):
        print(_("Mail queue is empty"))
    return _told(troubles)


def show(args: argparse.Namespace) -> int:
    """Print one message as its file has it, and on standard error what it means."""
    (entry,) = _chosen([args.id])
    if isinstance(entry, Row):
        return _show_queued(entry, args)
    if args.json:
        told = listed.facts(entry)
        if not entry.damage:
            text = b"".join(entry.blocks())
            told["message"] = text.decode("utf-8", "backslashreplace")
        print(json.dumps(told, indent=2))
        return EX_OK
    say(f"{escape(entry.id)}: {entry.state}, {_(STATES[entry.state])}")
    if entry.damage:
        say(_("The file {damage}.").format(damage=escape(retold(entry.damage))))
    say(f"{escape(entry.path)}\n")
    if entry.stamp is None:
        return EX_OK
    fd = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(fd, "rb") as file:
        if sys.stdout.isatty():
            for line in file:
                words = line.rstrip(b"\n").decode("utf-8", "surrogateescape")
                print(listed.harmless(words))
        else:
            shutil.copyfileobj(file, sys.stdout.buffer)
    return EX_OK


def retry(args: argparse.Namespace) -> int:
    """Send messages again and say what became of each."""
    if bool(args.ids) == args.all:
        raise UsageError(
            _("retry takes either ids or --all"), _("`ssmtpctl queue` lists the ids")
        )
    told = []
    left = 0
    agents: dict[str, dict[str, Any] | Failure] = {}
    troubles: list[Failure] = []
    entries = _everything(troubles) if args.all else _chosen(args.ids)
    code = _told(troubles)
    for entry in entries:
        if isinstance(entry, Row):
            if args.all and entry.told["state"] in ("held", "failed"):
                left += 1
                continue
            try:
                if args.all:
                    answer = queued.push(entry, agents)
                else:
                    answer = queued.command(entry, "XFLUSH")
                words, result = _("the agent tries it now"), marked("queued")
                if answer.get("sender") == "away":
                    words = _("it is tried as soon as the sender runs")
                    code = EX_TEMPFAIL
                elif until := answer.get("pause"):
                    words = _("the mailhub has refused the credentials; {next}")
                    words = words.format(next=queued.when(until))
                    code = EX_TEMPFAIL
            except Failure as failure:
                words, result = sentence(failure), "queued"
                code = failure.exit_code
        elif args.all and entry.state == "in-doubt" and not args.in_doubt:
            result = marked("skipped")
            words = _(
                "in doubt: the mailhub may have it already; to send it all the same: "
                "ssmtpctl queue retry {id}"
            ).format(id=entry.id)
            code = code or EX_TEMPFAIL
        else:
            try:
                words, result = _resend(entry, args), marked("sent")
            except Failure as failure:
                words, result = sentence(failure), marked("kept")
                code = failure.exit_code
        told.append({"id": entry.id, "result": result, "reason": words})
        if not args.json:
            speak = say if result in ("kept", "skipped") else tell
            speak(f"{escape(entry.id)}: {_(result)}: {escape(words)}")
    if args.json:
        print(json.dumps(told, indent=2))
    elif not entries and not _is_unheard(troubles):
        print(_("Mail queue is empty"))
    elif left:
        words = counted(
            "{number} message waits for `ssmtpctl queue release`",
            "{number} messages wait for `ssmtpctl queue release`",
            left,
        )
        print(words.format(number=left))
    return code


def drop(args: argparse.Namespace) -> int:
    """Remove messages and say what they were."""
    told = []
    code = EX_OK
    # All ids are looked up first: a mistyped one must not leave half of it done.
    for entry in _chosen(args.ids):
        try:
            if isinstance(entry, Row):
                queued.command(entry, "XDROP")
            else:
                failed.drop_entry(entry)
        except OSError as error:
            code = EX_TEMPFAIL
            say(f"{escape(entry.path)}: {error.strerror}")
            continue
        except Failure as failure:
            code = failure.exit_code
            complain(failure)
            continue
        told.append(listed.facts(entry))
        if not args.json:
            tell(f"{escape(entry.id)}: {_('dropped')}: {listed.summary(entry)}")
    if args.json:
        print(json.dumps(told, indent=2))
    return code


def hold(args: argparse.Namespace) -> int:
    """Keep messages in the agent's queue."""
    return _command(args, "hold", "XHOLD", marked("held"))


def release(args: argparse.Namespace) -> int:
    """Let the agent send what was held, or given up."""
    return _command(args, "release", "XRELEASE", marked("released"))


def _command(args: argparse.Namespace, name: str, verb: str, done: str) -> int:
    chosen = [queued.only_queued(entry, name) for entry in _chosen(args.ids)]
    told = []
    code = EX_OK
    for row in chosen:
        try:
            queued.command(row, verb)
        except Failure as failure:
            code = failure.exit_code
            complain(failure)
            continue
        told.append({"id": row.id, "result": done})
        if not args.json:
            tell(f"{escape(row.id)}: {_(done)}: {listed.summary(row)}")
    if args.json:
        print(json.dumps(told, indent=2))
    return code


def flush(args: argparse.Namespace) -> int:
    """Let every agent try what waits; 69 when there is none."""
    troubles: list[Failure] = []
    agents = queued.flush(troubles)
    if not agents and troubles:
        raise troubles[0]
    if args.json:
        print(json.dumps({"agents": agents}, indent=2))
    if not agents:
        words = _("there is no agent, so nothing is queued")
        say(f"ssmtpctl: {words}")
        return EX_UNAVAILABLE
    return _told(troubles)


def _everything(troubles: list[Failure]) -> list[Entry | Row]:
    """Return what is ours, in both places; for root the whole queue of an agent.

    An agent that does not answer is one more of the `troubles`.
    """
    entries: list[Entry | Row] = [*failed.entries()]
    return entries + queued.rows(os.getuid() == 0, troubles)


def _chosen(words: list[str]) -> list[Entry | Row]:
    """Return the messages that these ids name, each once.

    What is not found may be with an agent that does not answer: then that is said.
    """
    troubles: list[Failure] = []
    among = _everything(troubles)
    try:
        named = [failed.choose(word, among) for word in words]
    except UsageError:
        if troubles:
            raise troubles[0] from None
        raise
    _told(troubles)
    return list({entry.path: entry for entry in named}.values())


def _is_unheard(troubles: list[Failure]) -> bool:
    """Tell whether an agent did not answer, so that nobody knows what it has."""
    return any(isinstance(failure, SystemTrouble) for failure in troubles)


def _told(troubles: list[Failure]) -> int:
    """Complain of agents that do not answer; return the exit code."""
    for failure in troubles:
        complain(failure)
    return EX_TEMPFAIL if troubles else EX_OK


def _show_queued(row: Row, args: argparse.Namespace) -> int:
    told = queued.details(row)
    if args.json:
        rest = told[1:]
        more = {
            "recipients": [each for each in rest if "line" not in each],
            "header": [each["line"] for each in rest if "line" in each],
        }
        print(json.dumps({**Row(row.socket, told[0]).facts(), **more}, indent=2))
        return EX_OK
    for line in queued.shown(row, told):
        print(listed.harmless(line))
    return EX_OK


def _resend(entry: Entry, args: argparse.Namespace) -> str:
    """Send one message, whose file goes away then; return the mailhub's words."""
    from ssmtp import accounts, delivery

    watch = None
    if args.verbose:
        from ssmtp import trace

        watch = trace.Trace(lambda line: say(escape(line)))
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
    return _("{mailhub} said {reply}").format(mailhub=receipt.hub, reply=receipt.reply)
