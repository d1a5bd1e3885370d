"""`ssmtpctl agent`: run the agent or one of its halves, and ask how it is."""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

from ssmtp import configfile
from ssmtp.ctl import say
from ssmtp.ctl.retold import retold, sentence
from ssmtp.ctl.words import _, counted
from ssmtp.errors import (
    EX_CONFIG,
    EX_OK,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
    Failure,
)
from ssmtp.spool.keptfile import escape

EXAMPLES = """\
Examples:
  ssmtpctl agent status      is the mail of this machine going out?
  ssmtpctl agent run         run the agent in the foreground (containers, no systemd)
"""

EPILOG = """\
Under systemd the units ssmtp.socket, ssmtp-acceptor.service and ssmtp-sender.service
run `accept` and `send`; nobody needs to type them.

Exit codes of status: 0 all is well, 69 no agent answers, 75 the mailhub cannot be
reached for now, the sender is not there or the disk takes no more mail, 77 the mailhub
refuses the credentials, 78 the configuration is wrong. Users are told of the mailhubs
that their own mail goes to, root of all.
"""


def add(subparsers: Any) -> None:
    """Describe the verb and its own commands."""
    parser = subparsers.add_parser(
        "agent",
        help=_("run the agent that queues and sends, and ask how it is"),
        examples=EXAMPLES,
        epilog=EPILOG,
    )
    commands = parser.add_subparsers(
        dest="command", metavar=_("COMMAND"), required=True
    )

    run_ = commands.add_parser("run", help=_("run both halves in the foreground"))
    _paths(run_)
    run_.add_argument(
        "--listen", metavar=_("PATH"), help=_("the socket to make (AgentSocket=)")
    )
    run_.add_argument(
        "--user",
        metavar=_("NAME"),
        help=_("for root: the user to become (default: ssmtp, if there is one)"),
    )

    accept = commands.add_parser("accept", help=_("run the half that programs talk to"))
    _paths(accept)
    accept.add_argument(
        "--listen",
        metavar=_("PATH"),
        help=_("the socket to make, when none is handed over by systemd"),
    )

    send = commands.add_parser("send", help=_("run the half that talks to the mailhub"))
    _paths(send)
    send.add_argument(
        "--link", metavar=_("PATH"), help=_("the acceptor's socket for the sender")
    )

    status = commands.add_parser(
        "status", help=_("tell how the agent is; for monitoring")
    )
    form = status.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help=_("one JSON object"))
    form.add_argument(
        "--metrics", action="store_true", help=_("as Prometheus reads it")
    )
    status.add_argument(
        "-C", dest="config", metavar=_("FILE"), help=_("the configuration")
    )
    status.add_argument("--socket", metavar=_("PATH"), help=_("which agent to ask"))


def _paths(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-C", dest="config", metavar=_("FILE"), help=_("the configuration")
    )
    parser.add_argument(
        "--spool", metavar=_("PATH"), help=_("the directory of the queue (Spool=)")
    )


def run(args: argparse.Namespace) -> int:
    """Do what `agent` was asked to do; return its exit code."""
    command = {"run": both, "accept": accept, "send": send, "status": status}
    return command[args.command](args)


def both(args: argparse.Namespace) -> int:
    """Run both halves until a signal ends them."""
    from ssmtp.agent import supervise

    return supervise.run(_config(args), args.listen, args.spool, args.user, _say)


def accept(args: argparse.Namespace) -> int:
    """Run the acceptor."""
    from ssmtp.agent import acceptor

    return acceptor.run(_config(args), args.listen, args.spool)


def send(args: argparse.Namespace) -> int:
    """Run the sender."""
    from ssmtp.agent import places, sender

    path = _config(args)
    link = args.link
    if not link:
        link = places.link_path(places.socket_path(configfile.load(path)))
    return sender.run(path, args.spool, link)


def status(args: argparse.Namespace) -> int:
    """Say how an agent is, in words or as JSON; the exit code tells it, too."""
    from ssmtp import handoff
    from ssmtp.agent import verbs

    sockets = [args.socket]
    if not args.socket:
        if args.config and not os.path.exists(args.config):
            configfile.load(args.config)  # says so: another agent is not meant
        sockets = handoff.agents(args.config, os.environ)
    try:
        if not sockets:
            raise Failure(
                _("there is no agent"),
                _("start one (ssmtpctl agent run), or name it with --socket"),
            )
        path = verbs.first(sockets)
        told = verbs.call(path, "XSTATUS", timeout=10.0)[0]
    except Failure as failure:
        if args.metrics:
            _metrics(None)
        elif args.json:
            told = {"agent": None, "exit": EX_UNAVAILABLE, "reason": failure.sentence()}
            print(json.dumps(told, indent=2))
        else:
            say(f"ssmtpctl: agent: {escape(sentence(failure))}")
        return EX_UNAVAILABLE
    code, words = judged(told)
    if args.metrics:
        _metrics(told)
    elif args.json:
        print(json.dumps({"agent": path, "exit": code, **told}, indent=2))
    else:
        where = _("agent at {socket}").format(socket=path)
        print(f"{escape(where)}: {escape(words)}")
        print(_numbers(told))
    return code


def judged(told: dict[str, Any]) -> tuple[int, str]:
    """Return the exit code for what XSTATUS tells, and the reason in words."""
    from ssmtp.agent.status import exit_code

    if told["sender"] != "connected":
        words = _("the sender does not run, so nothing is sent")
        if told.get("configuration"):  # with that it cannot come back
            return EX_CONFIG, f"{words}; {retold(told['configuration'])}"
        return EX_TEMPFAIL, words
    if told.get("disk"):
        return EX_TEMPFAIL, retold(told["disk"])
    if told.get("configuration"):
        return EX_CONFIG, retold(told["configuration"])
    sites = [
        (exit_code(site.get("kind")), site)
        for site in (told["site"] or {}).get("sites", ())
        if site["state"] != "ok"
    ]
    if not sites:
        return EX_OK, _("all is well")
    # What a person has to end comes before what time may cure.
    code, site = max(sites, key=lambda found: found[0])
    what = retold(str(site.get("what") or "?"))
    words = f"{', '.join(map(str, site['mailhubs']))}: {what}"
    if site.get("next_step"):
        words += f"; {retold(str(site['next_step']))}"
    if isinstance(site.get("next_try"), int):
        words += "; " + _when(site["next_try"])
    return code, words


def _metrics(told: dict[str, Any] | None) -> None:
    from ssmtp.ctl import metrics

    for line in metrics.lines(told):
        print(line)


def _numbers(told: dict[str, Any]) -> str:
    number = told["messages"]
    if not number:
        words = _("nothing is waiting")
    else:
        words = counted("{number} message waiting", "{number} messages waiting", number)
        words = words.format(number=number)
        if told["oldest"]:
            hours = max(time.time() - told["oldest"], 0) / 3600
            words += ", " + _("the oldest for {hours:.1f} h").format(hours=hours)
    if number := told.get("unread"):
        unread = counted(
            "{number} that this version cannot read",
            "{number} that this version cannot read",
            number,
        )
        words += f"; {unread.format(number=number)}"
    if told["failed"]:
        number = told["failed"]
        lost = counted("{number} given up", "{number} given up", number)
        words += f"; {lost.format(number=number)} (ssmtpctl queue)"
    return words


def _when(at: float) -> str:
    left = int(at - time.time())
    if left <= 0:
        return _("tried again now")
    minutes, seconds = divmod(left, 60)
    again = _("tried again in {minutes} min {seconds} s")
    return again.format(minutes=minutes, seconds=seconds)


def _config(args: argparse.Namespace) -> str:
    """Return the configuration of an agent; that of the system has no user's own."""
    from ssmtp import accounts
    from ssmtp.agent import places

    if places.of_the_system():
        path = args.config or os.environ.get("SSMTP_CONF") or configfile.SYSTEM_FILE
    else:
        path = configfile.find(args.config, os.environ, accounts.caller().home)
    return os.path.abspath(path)


def _say(words: str) -> None:
    """Say something while the agent runs; a log that takes nothing stops no mail."""
    from ssmtp.agent import aside

    aside.write(f"ssmtpctl: agent: {escape(words)}\n")
