"""`ssmtpctl doctor`: walk the road of a message, and say at each step what is there.

Each module looks at one station; the order below is that of the road. A check goes on
past an error where what follows still makes sense, and the first error names the cause.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

from ssmtp.config import Mailhub
from ssmtp.ctl.doctor import (
    files,
    logfile,
    login,
    names,
    people,
    reach,
    render,
    rivals,
    sending,
    settings,
    spool,
    talk,
)
from ssmtp.ctl.doctor.case import Case, hurried, made
from ssmtp.ctl.doctor.findings import Finding, Report
from ssmtp.ctl.words import _
from ssmtp.errors import bug

EXAMPLES = """\
Examples:
  ssmtpctl doctor                          why does mail not go out?
  ssmtpctl doctor ann@example.org          would a mail to Ann be accepted?
  ssmtpctl doctor --send you@example.org   send a test message, wait for its receipt
  ssmtpctl doctor -C test.conf --json      another configuration, for programs
"""
EPILOG = """\
Nothing is sent without --send: the session with the mailhub ends before the message.
The password is tried once; it is never shown.

Exit codes: 0 mail would go out; else that of the first error, as sendmail has it:
78 configuration, 77 login, 75 network or TLS, 69 refused, 68 unknown mailhub.
"""


def add(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "doctor",
        help=_("find out why mail does not go out, and say what to do"),
        examples=EXAMPLES,
        epilog=EPILOG,
    )
    parser.add_argument(
        "address", nargs="?", metavar=_("ADDRESS"), help=_("whom a mail would be for")
    )
    parser.add_argument(
        "--send", action="store_true", help=_("send a test message, too")
    )
    parser.add_argument(
        "-C", dest="config", metavar=_("FILE"), help=_("the configuration")
    )
    parser.add_argument(
        "--json", action="store_true", help=_("for programs: the findings")
    )


def run(args: argparse.Namespace) -> int:
    """Look at everything, tell it, and return the exit code of the first error."""
    lines = None if args.json else render.Lines()
    report = Report(lines or (lambda finding: None))
    case = made(args.config, args.address)
    examine(report, case, send=args.send)
    if lines is not None:
        lines.verdict(report)
    else:
        print(render.as_json(report, case))
    return report.exit_code


def examine(report: Report, case: Case, *, send: bool = False) -> None:
    """Go from station to station; what is found goes into the report."""
    report.section = _("Configuration")
    _guarded(report, rivals.clock, report)
    _guarded(report, spool.find_road, case)
    _guarded(report, files.check, report, case)
    _guarded(report, settings.check, report, case)
    if case.config is not None or case.road is not None:
        _guarded(report, spool.road, report, case)
    report.section = _("People")
    _guarded(report, people.check, report, case)
    if case.account is not None and not case.stop:
        report.section = _("Login")
        _guarded(report, login.prepare, report, case)
    _mailhubs(report, case)
    report.section = _("Agent and queue")
    _guarded(report, spool.check, report, case)
    report.section = _("This machine")
    _guarded(report, rivals.check, report)
    _guarded(report, logfile.check, report, case)
    if send:
        report.section = _("Test message")
        _guarded(report, sending.check, report, case)


def _guarded(report: Report, check: Callable[..., None], *args: Any) -> None:
    """Let a mistake of ours be one finding, and not the end of all others."""
    try:
        check(*args)
    except Exception as error:
        if os.environ.get("SSMTP_TRACEBACK"):
            raise
        mistake = bug(error)
        report.error("doctor.bug", mistake.what, mistake.next_step, mistake.exit_code)


def _mailhubs(report: Report, case: Case) -> None:
    """Try each mailhub; a later one that works makes up for those before it."""
    account = case.account
    report.section = _("Mailhub")
    if account is None or case.stop or case.envelope is None or case.config is None:
        text = _("The mailhub was not asked: what is wrong above comes first.")
        if report.first("error") is None:
            text = _("The mailhub was not asked: only the agent knows which it is.")
        report.skip("mailhub", text)
        return
    hurried(case.config)
    parts = []
    for hub in account.identity.mailhubs:
        report.section = _("Mailhub {hub}").format(hub=hub)
        # One mailhub is told of as it goes; of several it is not yet known what counts.
        several = len(account.identity.mailhubs) > 1
        part = report.part() if several else report
        _guarded(part, _mailhub, part, case, hub)
        parts.append(part)
        if part.first("error") is None or any(_final(f) for f in part.findings):
            break
    works = parts[-1].first("error") is None
    for part in parts:
        if part is report:
            continue
        for finding in part.findings:
            if works and finding.state == "error":
                finding.state = "warning"
        report.join(part)
    report.section = _("Name of the sender")
    _guarded(report, names.sender_domain, report, case)


def _final(finding: Finding) -> bool:
    return finding.state == "error" and finding.fatal


def _mailhub(report: Report, case: Case, hub: Mailhub) -> None:
    found = names.check(report, case, hub)
    if found and reach.check(report, case, hub, found):
        talk.check(report, case, hub)
