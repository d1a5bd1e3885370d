"""The log of one's own: LogFile, which no message waits for."""

from __future__ import annotations

import os

from ssmtp.ctl.doctor.case import Case
from ssmtp.ctl.doctor.findings import Report
from ssmtp.ctl.words import _


def check(report: Report, case: Case) -> None:
    """See whether a line could be added; the file is not made for that."""
    path = case.config.log_file if case.config is not None else None
    if not path:
        return
    why = _trouble(path)
    if why:
        report.warn(
            "log.file",
            _(
                "LogFile={path} cannot be written: {why}. Mail goes out without it."
            ).format(path=path, why=why),
            _("make it writable for who sends, or name another file with LogFile"),
        )
    else:
        report.ok("log.file", _("LogFile={path} can be written.").format(path=path))


def _trouble(path: str) -> str:
    """Return why a file cannot be appended to, nothing if it can."""
    folder = os.path.dirname(path) or "."
    if os.path.islink(path):
        return _("it is a link, and none is followed")
    if os.path.isdir(path):
        return _("it is a directory")
    if not os.path.isdir(folder):
        return _("{folder} does not exist").format(folder=folder)
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        return _("permission denied")
    return ""
