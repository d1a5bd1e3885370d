"""`ssmtpctl explain`: what would become of a message, rule by rule; nothing is sent."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from typing import Any

from ssmtp import delivery, intake, options
from ssmtp.ctl import colours
from ssmtp.ctl.reasons import explained
from ssmtp.ctl.retold import retold
from ssmtp.ctl.words import _, marked
from ssmtp.errors import EX_OK, UsageError
from ssmtp.smtp.reply import escaped

EXAMPLES = """\
Examples:
  ssmtpctl explain < message                   to whom the message itself names
  ssmtpctl explain -- ann@example.org < message
  ssmtpctl explain -- -t -f bob@example.org -C test.conf < message
  ssmtpctl explain --json < message | jq .mailhubs
"""
EPILOG = """\
What follows -- is taken as sendmail would take it; without recipients as with -t. The
exit code is that of sendmail as far as the mailhub has no part in it.
"""
TLS = {
    "implicit": marked("TLS from the first octet"),
    "starttls": marked("STARTTLS, required"),
    "opportunistic": marked("STARTTLS if it is offered"),
    "none": marked("no TLS"),
}
# What is missing in the second and the third form of the content.
LACKS = (
    marked("If the mailhub does not offer SMTPUTF8"),
    marked("If the mailhub does not offer 8BITMIME, either"),
)
SIGNS = {"added": "+", "removed": "-", "changed": "~"}
STYLES = {"  + ": "green", "  - ": "red", "  ~ ": "yellow", "  ! ": "bold"}


def add(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "explain",
        help=_("show what would become of a message, and send nothing"),
        examples=EXAMPLES,
        epilog=EPILOG,
    )
    parser.add_argument("--json", action="store_true", help=_("for programs"))
    parser.add_argument(
        "words",
        nargs="*",
        metavar=_("-- OPTION"),
        help=_("options of sendmail, recipients"),
    )


def run(args: argparse.Namespace) -> int:
    """Read a message and tell what would become of it."""
    words = [os.fsencode(w).decode("utf-8", "surrogateescape") for w in args.words]
    asked = options.scan("sendmail", words)
    if asked.mode != "send":
        raise UsageError(
            _("only what sends a message can be explained"), _("leave out -b…")
        )
    if not asked.recipients:
        asked.read_recipients = True
    terminal = os.isatty(0)
    taken = intake.read(0, dot_ends=terminal and not asked.ignore_dots, hint=terminal)
    try:
        told = explained(delivery.Request(asked, None, os.environ, words), taken)
    finally:
        taken.body.close()
    if args.json:
        print(json.dumps(told, indent=2))
    else:
        console = colours.console()
        for line in map(escaped, lines(told)):
            style = STYLES.get(line[:4], "" if line.startswith(" ") else "bold")
            colours.write(console, line, style)
    return EX_OK


def lines(told: dict[str, Any]) -> Iterator[str]:
    """Yield the explanation as text."""
    yield _("Configuration {path}").format(path=told["configuration"])
    yield from (f"  {retold(note)}" for note in told["notes"])
    if told["agent"]:
        handed = _("handed to the agent at {socket}, which reads its own")
        yield f"  {handed.format(socket=told['agent'])}"
    yield ""
    yield _("Envelope")
    yield "  " + _("from <{address}>").format(address=told["from"])
    yield f"       {told['from_rule']}"
    for one in told["to"]:
        yield "  " + _("to   <{address}>").format(address=one["address"])
        yield f"       {one['rule']}"
    yield ""
    yield _("Mailhub")
    for hub in told["mailhubs"]:
        yield f"  {hub['mailhub']}"
        yield f"       {hub['rule']}"
        yield f"       {_(TLS[hub['tls']])}: {hub['tls_rule']}"
        yield f"       AUTH: {hub['auth']}"
    yield ""
    yield _("Message")
    yield from (f"  ! {retold(note)}" for note in told["input"])
    for change in told["header"]:
        before, after = change["before"], change["after"]
        yield f"  {SIGNS[change['change']]} {before or after}"
        if before and after:
            yield f"    {after}"
        yield f"       {retold(change['rule'])}"
    yield from _forms(told["content"])


def _forms(content: list[dict[str, Any]]) -> Iterator[str]:
    best = content[0]
    yield from (f"  ! {retold(note)}" for note in best["notes"])
    yield "  " + _("{number} octets").format(number=best["size"])
    known = set(best["notes"])
    for form, lack in zip(content[1:], LACKS, strict=True):
        new = [note for note in form["notes"] if note not in known]
        known.update(new)
        if new:
            yield ""
            yield _(lack)
            yield from (f"  ! {retold(note)}" for note in new)
