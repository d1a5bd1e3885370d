"""The files beside the configuration: revaliases and aliases."""

from __future__ import annotations

import os

from ssmtp import accounts, configfile, direct
from ssmtp.ctl.doctor.case import Case
from ssmtp.ctl.doctor.findings import Report
from ssmtp.ctl.words import _
from ssmtp.errors import Failure
from ssmtp.values import BLANKS


def site(report: Report, case: Case) -> direct.Site | None:
    """Read both; None when mail stops at one of them, as `direct.site` has it."""
    config = case.config
    assert config is not None
    path = direct.beside_it(case.path)
    found: list[accounts.Revalias] = []
    try:
        text = configfile.read_text(path, "revaliases", missing_ok=True)
        found = accounts.parse_revaliases(text, path) if text else []
    except Failure as failure:
        if os.access(path, os.R_OK):
            report.failed("people.revaliases", failure)
            return None
        report.warn(
            "people.revaliases",
            _("{what}, so nobody has a line there.").format(what=failure.what),
            failure.next_step,
        )
    else:
        _passed_over(report, text or b"", path)
    aliases: dict[str, list[str]] = {}
    if config.aliases:
        try:
            text = configfile.read_text(config.aliases, "aliases")
            aliases = accounts.parse_aliases(text or b"", config.aliases)
        except Failure as failure:
            what = failure.what
            if not os.path.lexists(config.aliases):
                what = _("Aliases names {path}, which does not exist")
                what = what.format(path=config.aliases)
            report.error("people.aliases", what, failure.next_step, failure.exit_code)
            return None
    return direct.Site(config, found, aliases)


def _passed_over(report: Report, text: bytes, path: str) -> None:
    """Warn of lines of revaliases that name nobody."""
    for number, raw in enumerate(text.decode("utf-8", "replace").split("\n"), 1):
        line = raw.partition("#")[0].strip(f"{BLANKS}\ufeff")
        if line and (":" not in line or line[0] == ":"):
            report.warn(
                "people.revaliases",
                _(
                    "{path}, line {number} has no login and colon: it is passed over."
                ).format(path=path, number=number),
                _("write login:address, such as {login}:you@example.org").format(
                    login=line.split()[0].partition("=")[0].strip(":") or "ann"
                ),
                line=number,
            )
