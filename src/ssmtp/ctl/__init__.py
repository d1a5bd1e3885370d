"""`ssmtpctl`: the commands that people type. One verb is one module of this package.

A verb's module offers `add(subparsers)`, which describes it to argparse, and
`run(args)`, which does it and returns an exit code of sysexits.h. It is imported only
when it is called, so the verbs may use comfortable libraries. To add one, write the
module and name it in `VERBS`.
"""

from __future__ import annotations

import argparse
import atexit
import errno
import importlib
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TextIO

from ssmtp.ctl import words
from ssmtp.ctl.words import _
from ssmtp.errors import (
    EX_TEMPFAIL,
    EX_USAGE,
    Failure,
    SystemTrouble,
    UsageError,
    bug,
)

# What a disk says that takes no more.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

VERBS = {
    "setup": "find your mailhub, test it, and write the configuration",
    "migrate": "take over the configuration of another program",
    "send": "send a mail with files, from the command line",
    "explain": "show what would become of a message, and send nothing",
    "doctor": "find out why mail does not go out, and say what to do",
    "demo": "send a mail to an embedded mailhub, and show all of it",
    "sink": "run a mailhub on this machine that shows what it is sent",
    "queue": "list, show, retry, hold and drop the messages that are not sent yet",
    "log": "tell what became of a message that the agent had",
    "agent": "run the agent that queues and sends, and ask how it is",
    "install": "make ssmtp the sendmail of this machine, or of you alone",
    "uninstall": "take away what install has written, and bring back what was there",
    "version": "print the version, and what it runs on",
}

EXAMPLES = """\
Examples:
  ssmtpctl setup you@example.com    find your mailhub, test it, and configure it
  ssmtpctl migrate --dry-run        take over what msmtp, Postfix or others have
  ssmtpctl demo                     see a mail delivered through TLS and AUTH
  ssmtpctl send -s Hi -m Hello. ann@example.org   write a mail, with files if you like
  ssmtpctl explain -- -t < message  see what would become of a message, and why
  ssmtpctl doctor                   why does mail not go out, and what to do?
  ssmtpctl sink --port 2525         watch the mail that programs send
  ssmtpctl queue                    list what could not be sent
  ssmtpctl queue retry --all        send it again
  ssmtpctl log ann@example.org      what became of the mail for Ann?
  ssmtpctl agent status             is the mail of this machine going out?
"""


class Parser(argparse.ArgumentParser):
    """An argument parser whose help begins with examples, and that exits with 64.

    `for_programs`: what is wrong is told as JSON, too.
    """

    for_programs = False

    def __init__(self, *args: Any, examples: str = "", **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        if options.get("epilog"):
            options["epilog"] = words.page(options["epilog"])
        super().__init__(*args, **options)
        self.examples = words.page(examples) if examples else ""

    def format_help(self) -> str:
        """Return the examples, then what argparse has to say."""
        text = super().format_help()
        return f"{self.examples.rstrip()}\n\n{text}" if self.examples else text

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and what to do, in one line; exit 64."""
        if Parser.for_programs:
            wrong = UsageError(message, f"try {self.prog} --help")
            print(json.dumps(facts(wrong), indent=2))
        said = _("{program}: {mistake}; try {program} --help")
        say(said.format(program=self.prog, mistake=message))
        self.exit(EX_USAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `ssmtpctl` and return the exit code (sysexits.h)."""
    _open_what_is_closed()
    given = list(sys.argv[1:] if argv is None else argv)
    wanted = next((word for word in given if not word.startswith("-")), None)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Mailhubs say what they like, in letters that the locale may not have.
        sys.stdout.reconfigure(errors="backslashreplace")
    # What follows -- is not for us.
    Parser.for_programs = "--json" in given[: [*given, "--"].index("--")]
    if Parser.for_programs:
        words.for_programs()  # before the verb makes tables of texts
    else:
        words.begin()
    parser = Parser(
        prog="ssmtpctl",
        description=_("Look after the mail that this machine submits."),
        examples=EXAMPLES,
    )
    parser.add_argument(
        "--version", action="store_true", help=_("print the version and exit")
    )
    subparsers = parser.add_subparsers(
        dest="verb", metavar=_("COMMAND"), title=_("commands"), parser_class=Parser
    )
    run: Callable[[argparse.Namespace], int] | None = None
    for verb, summary in VERBS.items():
        if verb == wanted:
            module = importlib.import_module(f"ssmtp.ctl.{verb}")
            module.add(subparsers)
            run = module.run
        else:
            subparsers.add_parser(verb, help=_(summary))
    try:
        args = parser.parse_args(given)
    except SystemExit:  # --help, or a wrong command line
        trouble = _unwritten()
        if trouble is None:
            raise
        complain(trouble)
        return trouble.exit_code
    if args.version:
        from ssmtp.ctl import version

        run = version.run
    if run is None:
        say(parser.format_help().rstrip("\n"))
        return EX_USAGE
    return _run(run, args)


def _open_what_is_closed() -> None:
    """Send to nowhere what the caller has closed, before a socket gets its number.

    What goes to standard output goes there whole.

    There is still nothing to be read from a standard input that was closed: its end
    would be an empty mail.
    """
    if sys.stdin is None:
        os.open(os.devnull, os.O_WRONLY)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
    # Where nobody may wait for a pipe, Python's streams lose what is too much for it.
    if not os.get_blocking(1):
        os.set_blocking(1, True)
        atexit.register(os.set_blocking, 1, False)  # others may write there, too


def _run(run: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    if getattr(args, "json", False):
        words.for_programs()
    try:
        code = run(args)
        sys.stdout.flush()
        return code
    except Failure as failure:
        if getattr(args, "json", False):
            print(json.dumps(facts(failure), indent=2))
        complain(failure)
        _unwritten()  # of the two troubles this is the lesser
        return failure.exit_code
    except BrokenPipeError:
        # Whoever read our output has seen enough, as in `ssmtpctl queue | head`.
        _let_go(sys.stdout)
        return 0
    except KeyboardInterrupt:
        say("ssmtpctl: " + _("interrupted"))
        return EX_TEMPFAIL
    except Exception as error:
        if os.environ.get("SSMTP_TRACEBACK"):
            raise
        mistake = _unwritten() or _no_room(error) or bug(error)
        complain(mistake)
        return mistake.exit_code


def say(sentence: str) -> None:
    """Print on standard error; where that takes nothing, the exit code says enough."""
    try:
        print(sentence, file=sys.stderr)
    except OSError:
        _let_go(sys.stderr)


def tell(sentence: str) -> None:
    """Print what was done; that somebody has read enough of it ends no work."""
    try:
        print(sentence)
    except BrokenPipeError:
        _let_go(sys.stdout)


def _let_go(stream: TextIO) -> None:
    """Let nothing complain at the end of what was not written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _unwritten() -> Failure | None:
    """Return why standard output takes nothing, if it is so: a full disk, say.

    That whoever read it has seen enough is no trouble.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _let_go(sys.stdout)
    except OSError as error:
        return _unwritable(error)
    return None


def _no_room(error: Exception) -> Failure | None:
    """Return why standard output took nothing, when it was too much to be kept back.

    Then nothing is left that could be tried again. Files that a verb opens have names.
    """
    if isinstance(error, OSError) and error.filename is None and error.errno in FULL:
        return _unwritable(error)
    return None


def _unwritable(error: OSError) -> Failure:
    _let_go(sys.stdout)
    return SystemTrouble(
        _("standard output cannot be written: {why}").format(why=error.strerror),
        _("see that there is room"),
    )


def facts(failure: Failure) -> dict[str, object]:
    """Return what JSON tells about what did not work."""
    return {
        "result": "failed",
        "exit": failure.exit_code,
        "when": failure.when,
        "culprit": failure.culprit,
        "reason": failure.what,
        "next_step": failure.next_step,
        "reply": None if failure.reply is None else str(failure.reply),
        "recipient": failure.recipient or None,
        "kept": failure.kept,
        "id": failure.kept_id,
    }


def complain(failure: Failure, about: str = "ssmtpctl") -> None:
    """Print a failure on standard error, in one line that a terminal may show."""
    from ssmtp.ctl.retold import whole_sentence
    from ssmtp.spool.keptfile import escape

    say(f"{about}: {escape(whole_sentence(failure))}")
