"""The first station: which configuration holds, who may read it, is each line clear."""

from __future__ import annotations

import os
import stat

from ssmtp import config as configuration
from ssmtp import configfile, direct
from ssmtp.ctl.doctor.case import Case
from ssmtp.ctl.doctor.findings import Finding, Report
from ssmtp.ctl.words import _, counted
from ssmtp.errors import EX_CONFIG, ConfigError, Failure

LINES_MOST = 2000  # each is looked at by itself up to here


def check(report: Report, case: Case) -> None:
    """Find the configuration and read it, each line for itself."""
    case.path = direct.config_path(case.request)
    try:
        text = configfile.read_text(case.path, "the configuration", missing_ok=True)
    except Failure as failure:
        _unreadable(report, case, failure)
        return
    if text is None:
        _missing(report, case)
        return
    report.ok(
        "config.file",
        _("The configuration is {path}: {why}.").format(path=case.path, why=_why(case)),
        path=case.path,
    )
    _others(report, case)
    case.text = text
    case.config = _parsed(report, case)
    if case.config is None:
        return
    if not case.faulty:
        _whole(report, case)
    _changeable(report, os.path.dirname(case.path), case.path)
    _changeable(report, direct.beside_it(case.path))


def _unreadable(report: Report, case: Case, failure: Failure) -> None:
    if case.road is not None:
        report.note(
            "config.file",
            _("{what}; your mail goes to the agent, which reads its own.").format(
                what=failure.what
            ),
        )
        return
    report.failed("config.file", failure, path=case.path)


def _missing(report: Report, case: Case) -> None:
    if case.road is not None:
        report.note(
            "config.file",
            _("You have no configuration; your mail goes to the agent."),
        )
        return
    step = _("ssmtpctl setup")
    if case.path != configfile.SYSTEM_FILE:
        text = _("{path} does not exist, though {why}.")
        text = text.format(path=case.path, why=_why(case))
    else:
        own = _own_place(case)
        text = _("There is no configuration: neither {own} nor {system} exists.")
        if not own:
            text = _("There is no configuration: {system} does not exist.")
        text = text.format(own=own, system=configfile.SYSTEM_FILE)
    report.error("config.file", text, step, EX_CONFIG, path=case.path)


def _why(case: Case) -> str:
    """Say why it is this file."""
    if case.request.options.config_path is not None:
        return _("-C names it")
    if case.request.environ.get("SSMTP_CONF"):
        return _("SSMTP_CONF names it")
    if case.path != configfile.SYSTEM_FILE:
        return _("it is your own")
    return _("it is that of the system, and you have none of your own")


def _own_place(case: Case) -> str:
    """Return where the user's own configuration would lie; the rule is `find`'s."""
    environ = case.request.environ
    folder = environ.get("XDG_CONFIG_HOME", "")
    if not folder.startswith("/"):
        home = environ.get("HOME", "")
        home = home if home.startswith("/") else case.request.caller.home or ""
        folder = f"{home.rstrip('/')}/.config" if home else ""
    return f"{folder.rstrip('/')}/ssmtp/ssmtp.conf" if folder else ""


def _others(report: Report, case: Case) -> None:
    """Name configurations that are there and are not read."""
    own = _own_place(case)
    if own and own != case.path and os.path.lexists(own):
        named = case.path != configfile.SYSTEM_FILE
        if named:
            text = _("{path} is there, too, and is not read.").format(path=own)
            report.note("config.other", text)
        else:
            report.warn(
                "config.other",
                _("{path} belongs to another user, and so it is not read.").format(
                    path=own
                ),
                _("chown {uid} {path}").format(uid=os.getuid(), path=own),
            )
    if case.path != configfile.SYSTEM_FILE and os.path.exists(configfile.SYSTEM_FILE):
        text = _("{path} is there, too, and is not read.")
        report.note("config.system", text.format(path=configfile.SYSTEM_FILE))


def _parsed(report: Report, case: Case) -> configuration.Config | None:
    """Parse what can be understood, and tell of each line that cannot."""
    home = _home(case)
    lines = case.text.split(b"\n")
    # Whoever saved it as UTF-16 is told so once.
    if len(lines) <= LINES_MOST and b"\0" not in case.text:
        for at, line in enumerate(lines):
            try:
                configuration.parse(b"\n" * at + line, case.path, home)
            except ConfigError as failure:
                case.faulty = True
                lines[at] = b""
                report.failed("config.line", failure, line=at + 1)
    try:
        found = configuration.parse(b"\n".join(lines), case.path, home)
    except ConfigError as failure:
        if not case.faulty:
            report.failed("config.line", failure)
        case.faulty = True
        return None
    return found


def _home(case: Case) -> str | None:
    home = case.request.environ.get("HOME", "")
    return home if home.startswith("/") else case.request.caller.home


def _whole(report: Report, case: Case) -> None:
    """Let the reader of the hot road judge: mode, owner, and whatever else it wants."""
    config = case.config
    assert config is not None
    try:
        mode = stat.S_IMODE(os.stat(case.path).st_mode)
        configfile.load(case.path)
    except OSError as error:
        report.failed("config.file", ConfigError(f"{case.path}: {error.strerror}"))
    except Failure as failure:
        opened = config.has_secret and mode & 0o007
        name = "config.mode" if opened else "config.owner"
        report.failed(name, failure, mode=f"{mode:04o}")
    else:
        text = _("No password stands in it, and others may read it (mode {mode}).")
        if config.has_secret:
            text = _("It holds a password, and others cannot read it (mode {mode}).")
        elif not mode & 0o007:
            text = _("Others cannot read it (mode {mode}).")
        report.ok("config.mode", text.format(mode=f"{mode:04o}"), mode=f"{mode:04o}")


def _changeable(report: Report, *paths: str) -> None:
    """Warn of what others could change, and so decide where mail goes."""
    for path in paths:
        try:
            found = os.stat(path)
        except OSError:
            continue
        open_to = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
        if open_to or found.st_uid not in (0, os.getuid()):
            report.add(
                Finding(
                    "config.writable",
                    "warning",
                    _("Others can change {path} (mode {mode}, uid {uid}).").format(
                        path=path,
                        mode=f"{stat.S_IMODE(found.st_mode):04o}",
                        uid=found.st_uid,
                    ),
                    _("chmod go-w {path}").format(path=path),
                )
            )


def keys_told(count: int) -> str:
    """Say how many keys are set."""
    text = counted(
        "{count} line sets something.", "{count} lines set something.", count
    )
    return text.format(count=count)
