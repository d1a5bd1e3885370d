"""This machine: who else is `sendmail` here, and does its clock tell the time."""

from __future__ import annotations

import os
import shutil
import time

import ssmtp
from ssmtp.ctl.doctor.findings import Report
from ssmtp.ctl.words import _

# Where programs look for it: the Linux Standard Base names the first two.
PLACES = ("/usr/sbin/sendmail", "/usr/lib/sendmail")
LOOKED_AT = 65536  # octets of a program
# How a part of the path of a program begins, dots and hyphens being slashes.
HINTS = (
    ("/postfix", "Postfix"),
    ("/exim", "Exim"),
    ("/msmtp", "msmtp"),
    ("/nullmailer", "nullmailer"),
    ("/opensmtpd", "OpenSMTPD"),
    ("/smtpctl", "OpenSMTPD"),
    ("/dma/", "DragonFly Mail Agent"),
    ("/busybox", "BusyBox"),
    ("/esmtp", "esmtp"),
    ("/sm/bin/", "Sendmail"),
    ("/sendmail/sendmail", "Sendmail"),
    ("/ssmtp/", "sSMTP, the classic one"),
)
DAY = 86400.0


def clock(report: Report) -> None:
    """Compare the clock with the files of this program, which are of the past."""
    newest = os.path.getmtime(ssmtp.__file__)
    now = time.strftime("%Y-%m-%d %H:%M %Z")
    if time.time() < newest - DAY:
        report.warn(
            "clock",
            _("The clock says {now}, and this program is newer than that.").format(
                now=now
            ),
            _("put the clock right: certificates seem not valid yet, or expired"),
        )
    else:
        report.ok("clock", _("The clock says {now}.").format(now=now))


def check(report: Report) -> None:
    """Tell what programs get when they call `sendmail`."""
    found = {place: owner(place) for place in _places()}
    if not found:
        report.warn(
            "sendmail",
            _("There is no sendmail here: cron and others cannot send mail."),
            _("sudo ssmtpctl install"),
        )
        return
    for place, who in found.items():
        if who == "ssmtp":
            report.ok("sendmail", _("{path} is this program.").format(path=place))
            continue
        report.warn(
            "sendmail",
            _(
                "{path} is not this program, but {who}: what programs send goes there."
            ).format(path=place, who=who),
            _("sudo ssmtpctl install --replace, or leave it if that is meant"),
            path=place,
            real=os.path.realpath(place),
        )


def _places() -> list[str]:
    """Return the names by which a sendmail is found, each file once."""
    found: dict[str, str] = {}
    first = shutil.which("sendmail")
    for place in (*PLACES, *([first] if first else [])):
        if os.path.lexists(place):
            found.setdefault(os.path.realpath(place), place)
    return list(found.values())


def owner(place: str) -> str:
    """Return whose program it is: ssmtp for ours, else the name of a known one."""
    real = os.path.realpath(place)
    try:
        with open(real, "rb") as file:
            start = file.read(LOOKED_AT)
    except OSError as error:
        return _("something that cannot be read ({why})").format(why=error.strerror)
    if b"from ssmtp.sendmail import" in start or b"ssmtp.sendmail:main" in start:
        return "ssmtp"
    path = real.lower().replace(".", "/").replace("-", "/") + "/"
    for hint, who in HINTS:
        if hint in path:
            return f"{who} ({real})"
    if b"postfix" in start.lower():
        return f"Postfix ({real})"
    return _("another program ({path})").format(path=real)
