"""`ssmtpctl setup`: find the mailhub of an address, try it, write the configuration.

`discovery` finds, `trial` tries, `draft` says what is to be written, `secretplace`
where the password goes, and `writing` writes it, all of it or nothing. Nobody is asked
what a flag has answered, and nothing is written that did not work.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from ssmtp.ctl import complain
from ssmtp.ctl.setup import answers, target, trying, writing
from ssmtp.ctl.setup.questions import Asker
from ssmtp.ctl.setup.secretplace import STORES
from ssmtp.ctl.words import _
from ssmtp.errors import Failure

EXAMPLES = """\
Examples:
  ssmtpctl setup you@example.com
  sudo ssmtpctl setup --root-to ops@example.com you@example.com
  ssmtpctl setup --yes --password-command 'pass show mail' you@example.com
  ssmtpctl setup --server mail.example.com --port 587 --user you you@example.com
  ssmtpctl setup --server ses:eu-west-1 --user AKIA... you@example.com
  ssmtpctl setup --dry-run you@example.com
"""
EPILOG = """\
The server comes from the table of providers, else from the SRV records of the domain,
its autoconfig file, its MX records, or its name. The account is tried before anything
is written, and the configuration that was there is kept beside the new one.

--server also takes the name of a provider, such as sendgrid, postmark, mailgun,
proton-token or ses:REGION. There is no flag for the password itself, because everybody
on the machine can read the arguments of a program.
"""


SOURCES = ("--password-file", "--password-command", "--password-stdin")


def _discreet(error: Callable[[str], NoReturn]) -> Callable[[str], NoReturn]:
    """Keep a password from being said again, which argparse does with what it refuses.

    `--password=…` is taken for an abbreviation of several flags.
    """

    def refuse(message: str) -> NoReturn:
        flags = [word.strip(",:;'") for word in message.split()]
        if any(flag.startswith("--pass") and flag not in SOURCES for flag in flags):
            message = _(
                "a password is not for the command line, where everybody can read it:"
                " there are --password-file, --password-command and --password-stdin"
            )
        error(message)

    return refuse


def add(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "setup",
        help=_("find your mailhub, test it, and write the configuration"),
        examples=EXAMPLES,
        epilog=EPILOG,
    )
    parser.error = _discreet(parser.error)
    parser.add_argument(
        "address",
        nargs="?",
        metavar=_("ADDRESS"),
        help=_("the address of your account"),
    )
    _server(parser)
    _password(parser)
    _mail(parser)
    _run_options(parser)


def _server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--server", metavar=_("HOST"), help=_("the mailhub, or a provider")
    )
    parser.add_argument("--port", type=int, metavar=_("N"), help=_("465, 587…"))
    parser.add_argument(
        "--tls",
        choices=("implicit", "starttls", "none"),
        help=_("from the first octet, after STARTTLS, or not at all"),
    )
    parser.add_argument(
        "--ca-file", metavar=_("FILE"), help=_("an authority of your own")
    )
    parser.add_argument(
        "--user", metavar=_("NAME"), help=_("the user name; '' for no authentication")
    )
    parser.add_argument(
        "--auth-method", metavar=_("NAME"), help=_("the one to use, such as XOAUTH2")
    )


def _password(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--password-file", metavar=_("FILE"), help=_("its first line is the password")
    )
    source.add_argument(
        "--password-command", metavar=_("COMMAND"), help=_("it prints the password")
    )
    source.add_argument(
        "--password-stdin", action="store_true", help=_("read it from standard input")
    )
    parser.add_argument(
        "--store",
        choices=STORES,
        help=_("where the password is kept (default: a file of its own, mode 0600)"),
    )


def _mail(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from",
        dest="from_",
        metavar=_("ADDRESS"),
        help=_("the sender, if it is another"),
    )
    parser.add_argument(
        "--name", metavar=_("TEXT"), help=_("the name beside that address")
    )
    parser.add_argument(
        "--root-to", metavar=_("ADDRESS"), help=_("who gets the mail of the machine")
    )


def _run_options(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--system", action="store_true", help=_("write /etc/ssmtp/ssmtp.conf")
    )
    where.add_argument(
        "--user-file", action="store_true", help=_("write ~/.config/ssmtp/ssmtp.conf")
    )
    parser.add_argument(
        "-C", dest="config", metavar=_("FILE"), help=_("write this file")
    )
    parser.add_argument("--yes", action="store_true", help=_("confirm everything"))
    parser.add_argument(
        "--no-test", action="store_true", help=_("do not try the account")
    )
    parser.add_argument(
        "--force", action="store_true", help=_("write although the test has failed")
    )
    parser.add_argument(
        "--dry-run", action="store_true", help=_("test, show, and write nothing")
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help=_("show the dialogue")
    )
    parser.add_argument(
        "--json", action="store_true", help=_("for programs: what was done")
    )


def run(args: argparse.Namespace) -> int:
    """Find, try, show, write; returns an exit code of sysexits.h."""
    asker = Asker(sure=args.yes, mute=args.json)
    told: dict[str, object] = {"result": "failed"}
    try:
        where = target.choose(args)
        account = answers.gather(args, asker)
        told["found"] = account.servers[0].found
        result = trying.first_that_works(args, asker, where, account, told)
        return writing.write(args, asker, where, result, told)
    except Failure as failure:
        told["exit"] = failure.exit_code
        told["reason"] = failure.what
        told["next_step"] = failure.next_step
        complain(failure)
        return failure.exit_code
    finally:
        if args.json:
            writing.print_json(told)
