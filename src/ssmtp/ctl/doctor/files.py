"""The first station: which configuration holds, who may read it, is each line clear."""

from __future__ import annotations

import errno
import grp
import os
import stat

from ssmtp import configfile, direct
from ssmtp.ctl.doctor import lines
from ssmtp.ctl.doctor.case import Case
from ssmtp.ctl.doctor.findings import Finding, Report
from ssmtp.ctl.words import _, counted
from ssmtp.errors import EX_CONFIG, ConfigError, Failure


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
    case.config = lines.parsed(report, case, _home(case))
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
    what, step = failure.what, failure.next_step
    if os.path.islink(case.path) and not os.path.exists(case.path):
        where = os.path.realpath(case.path)
        what = _("{path} is a link to {where}, which does not exist")
        what = what.format(path=case.path, where=where)
        step = _("let the link name a file that exists, or type: ssmtpctl setup")
    elif os.strerror(errno.EACCES) in what:
        step = _let_in(case, step)
    report.error("config.file", what, step, failure.exit_code, path=case.path)


def _let_in(case: Case, step: str) -> str:
    """Say how the caller comes to read a configuration that is closed to him."""
    login = case.request.caller.login
    folder = _closed_folder(case.path)
    group = _group_of(folder or case.path)
    if group:
        text = _(
            "{step}; to join the group: sudo usermod -aG {group} {login}, and log in"
            " again"
        )
        return text.format(step=step, group=group, login=login)
    place = folder or case.path
    wanted = "x" if folder else "r"
    if os.stat(place).st_uid == os.getuid():
        return _("chmod u+{wanted} {path}").format(wanted=wanted, path=place)
    if case.path == _own_place(case):
        return _("sudo chown {login} {path}").format(login=login, path=place)
    return _("{step}; what keeps it from that is {path}").format(step=step, path=place)


def _closed_folder(path: str) -> str:
    """Return the first directory on a path that the caller cannot go through."""
    at = path.find("/", 1)
    while at > 0:
        if os.path.isdir(path[:at]) and not os.access(path[:at], os.X_OK):
            return path[:at]
        at = path.find("/", at + 1)
    return ""


def _group_of(place: str) -> str:
    """Return the group, not root's, that may read what others may not."""
    found = os.stat(place)
    if not found.st_gid or not found.st_mode & stat.S_IRGRP:
        return ""
    try:
        return grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        return ""


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
        if own and _kept_away(report, case, own):
            return
        text = _("There is no configuration: neither {own} nor {system} exists.")
        if not own:
            text = _("There is no configuration: {system} does not exist.")
        text = text.format(own=own, system=configfile.SYSTEM_FILE)
    report.error("config.file", text, step, EX_CONFIG, path=case.path)


def _kept_away(report: Report, case: Case, own: str) -> bool:
    """Tell of a configuration of the user's own that is there and is not read."""
    folder = _closed_folder(own)
    if folder:
        text = _("{path} is closed to this user, so {own} cannot be looked for.")
        text, step = text.format(path=folder, own=own), _let_in_folder(case, folder)
    elif os.path.lexists(own):
        text = _("{path} belongs to another user, and so it is not read.")
        text = text.format(path=own)
        step = _("sudo chown {login} {path}").format(
            login=case.request.caller.login, path=own
        )
    else:
        return False
    report.error("config.file", text, step, EX_CONFIG, path=own)
    return True


def _let_in_folder(case: Case, folder: str) -> str:
    if os.stat(folder).st_uid == os.getuid():
        return _("chmod u+{wanted} {path}").format(wanted="x", path=folder)
    login = case.request.caller.login
    return _("sudo chown {login} {path}").format(login=login, path=folder)


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
        step = _("chmod go-w {path}").format(path=path)
        if found.st_uid not in (0, os.getuid()):
            step = _("chown {uid} {path}").format(uid=os.getuid(), path=path)
            open_to = True
        if open_to:
            report.add(
                Finding(
                    "config.writable",
                    "warning",
                    _("Others can change {path} (mode {mode}, uid {uid}).").format(
                        path=path,
                        mode=f"{stat.S_IMODE(found.st_mode):04o}",
                        uid=found.st_uid,
                    ),
                    step,
                )
            )


def keys_told(count: int) -> str:
    """Say how many keys are set."""
    text = counted(
        "{count} line sets something.", "{count} lines set something.", count
    )
    return text.format(count=count)
