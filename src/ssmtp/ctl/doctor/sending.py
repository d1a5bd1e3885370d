"""`doctor --send`: a test message on the usual road, and what became of it."""

from __future__ import annotations

import os
import time

from ssmtp import delivery, intake, options
from ssmtp.ctl.doctor.case import Case
from ssmtp.ctl.doctor.findings import Report
from ssmtp.ctl.words import _
from ssmtp.errors import Failure

SUBJECT = "Test message of ssmtpctl doctor"


def check(report: Report, case: Case) -> None:
    """Send a test message; with the agent, wait for the mailhub's answer."""
    if report.first("error") is not None:
        report.skip("send", _("Nothing was sent: put right what is wrong first."))
        return
    whom = case.address or "root"
    words = ["--wait", *case.request.argv, "--", whom]
    request = delivery.Request(options.scan("ssmtpctl", words), None, os.environ, words)
    taken = intake.from_blocks(b"", [_text(whom, case.request.caller.login)])
    begun = time.monotonic()
    try:
        receipt = delivery.deliver(request, taken, keep=False)
    except Failure as failure:
        report.failed("send", failure)
        return
    finally:
        taken.body.close()
    report.ok(
        "send",
        _("A message to {whom} was sent in {seconds:.1f} s: {hub} said {reply}").format(
            whom=whom,
            seconds=time.monotonic() - begun,
            hub=receipt.hub,
            reply=receipt.reply,
        ),
        mailhub=receipt.hub,
        reply=str(receipt.reply),
        queue_id=receipt.queue_id,
        message_id=receipt.message_id or None,
    )


def _text(whom: str, login: str) -> bytes:
    text = (
        f"To: {whom}\nSubject: {SUBJECT}\n\n"
        f"This was sent by `ssmtpctl doctor --send`, run by {login} on"
        f" {os.uname().nodename}.\nIf you can read it, mail goes out.\n"
    )
    return text.encode("utf-8", "surrogateescape")
