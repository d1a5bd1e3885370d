"""The agent and what waits: is it there, does each half run, how old is the queue."""

from __future__ import annotations

import errno
import os
import time
from typing import Any

from ssmtp import handoff
from ssmtp.agent import places, verbs
from ssmtp.config import Config
from ssmtp.ctl.agent import judged
from ssmtp.ctl.doctor.case import Case
from ssmtp.ctl.doctor.findings import Report
from ssmtp.ctl.listed import age
from ssmtp.ctl.words import _, counted
from ssmtp.errors import EX_TEMPFAIL, Failure
from ssmtp.spool import failed, space
from ssmtp.spool.entry import Entry

PATIENCE = 5.0  # seconds for the agent to answer
LOOKED_AT = 1000  # messages; a longer queue is not listed for a sentence
UNTRUE = ("damaged", "corrupt")


def find_road(case: Case) -> None:
    """Find out which way a message takes, as `handoff` decides it."""
    try:
        case.road = handoff.road(case.request)
        if case.road is not None:
            case.road.paths = [verbs.first(case.road.paths)]
    except Failure as failure:
        case.no_road = failure


def road(report: Report, case: Case) -> None:
    """Say which way a message takes."""
    if case.no_road is not None:
        report.failed("road", case.no_road)
    elif case.road is None:
        report.ok("road", _("Mail goes straight to the mailhub, without an agent."))
    else:
        text = _("Mail goes to the agent at {path}, which sends it.")
        report.ok("road", text.format(path=case.road.path), agent=case.road.path)


def check(report: Report, case: Case) -> None:
    """Look at the agent that mail would go to, or at those that are there."""
    if case.road is not None:
        _agent(report, case, case.road.path, wanted=True)
    else:
        for path in handoff.agents(None, case.request.environ):
            _agent(report, case, path, wanted=False)
    _kept(report)


def _agent(report: Report, case: Case, path: str, *, wanted: bool) -> None:
    try:
        told = verbs.call(path, "XSTATUS", PATIENCE)[0]
    except (Failure, IndexError) as error:
        what = error.what if isinstance(error, Failure) else str(error)
        if path not in what:
            text = _("What answers at {path} is no agent, or not ready: {what}")
            what = text.format(path=path, what=what)
        step = _("start it: systemctl start ssmtp.socket, or ssmtpctl agent run")
        if os.strerror(errno.EACCES) in what:
            step = _("let the calling user write to {path}").format(path=path)
        if wanted and case.agent_only:
            report.error("agent.acceptor", f"{what}.", step, EX_TEMPFAIL)
        else:
            text = _("{what}. Mail goes straight to the mailhub as long as that lasts.")
            report.warn("agent.acceptor", text.format(what=what), step)
        return
    report.ok("agent.acceptor", _("The agent at {path} answers.").format(path=path))
    _sender(report, told, wanted)
    _queue(report, case, told)
    _held(report, path, told["messages"])
    if wanted and case.config is not None:
        _room(report, case.config, path)


def _sender(report: Report, told: dict[str, Any], wanted: bool) -> None:
    code, words = judged(told)
    if not code:
        report.ok("agent.sender", _("Its sender runs, and has no trouble to tell of."))
        return
    name, step = "agent.site", _("see what is above, or type: ssmtpctl agent status")
    if told["sender"] != "connected":
        name = "agent.sender"
        words = _("The sender of the agent does not run, so its queue only grows")
        step = _("systemctl start ssmtp-sender, or ssmtpctl agent run")
    if wanted:
        report.error(name, f"{words}.", step, code)
    else:
        report.warn(name, f"{words}.", step)


def _queue(report: Report, case: Case, told: dict[str, Any]) -> None:
    count, oldest = told["messages"], told["oldest"]
    if not count:
        report.ok("agent.queue", _("Its queue is empty."))
    else:
        waiting = time.time() - oldest if oldest else 0.0
        text = counted(
            "{count} message waits in its queue, the oldest for {age}.",
            "{count} messages wait in its queue, the oldest for {age}.",
            count,
        ).format(count=count, age=age(waiting))
        limit = case.config.warning_after if case.config is not None else 14400.0
        if waiting > limit:
            step = _("ssmtpctl queue, which says why")
            report.warn("agent.queue", text, step, messages=count)
        else:
            report.ok("agent.queue", text, messages=count)
    if told["failed"]:
        text = counted(
            "{count} message was given up.",
            "{count} messages were given up.",
            told["failed"],
        )
        step = _("ssmtpctl queue, then ssmtpctl queue release ID, or drop ID")
        report.warn("agent.failed", text.format(count=told["failed"]), step)


def _held(report: Report, path: str, count: int) -> None:
    """Count the messages that wait until somebody lets them go."""
    if not 0 < count <= LOOKED_AT:
        return
    try:
        rows = verbs.call(path, "XLIST", PATIENCE)
    except Failure:
        return  # it has answered before; the count is all that is missing
    held = [row["id"] for row in rows if row.get("state") == "held"]
    if held:
        text = counted(
            "{count} message is held, and is not sent until it is released.",
            "{count} messages are held, and are not sent until they are released.",
            len(held),
        )
        step = _("ssmtpctl queue release {id}").format(id=held[0])
        report.warn("agent.held", text.format(count=len(held)), step, ids=held)


def _room(report: Report, config: Config, socket: str) -> None:
    """See whether the queue's disk has room and is of a kind that keeps its word."""
    usual = places.SYSTEM_SPOOL if socket == handoff.SYSTEM_SOCKET else None
    try:
        path = places.spool_path(config, config.spool or usual)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except Failure as failure:
        report.skip("spool.space", f"{failure.what}.")
        return
    except OSError as error:
        text = _("The room for the queue was not looked at: {path}: {why}.")
        report.skip("spool.space", text.format(path=path, why=error.strerror))
        return
    try:
        space.check_kind(fd, path)
        space.check_room(fd, path, os.getuid(), config.min_free_space)
        _count_corrupt(report, path)
    except Failure as failure:
        report.failed("spool.space", failure)
    else:
        found = os.fstatvfs(fd)
        free = found.f_bavail * found.f_frsize / 1_000_000
        text = _("{free:.0f} MB are free for the queue in {path}.")
        report.ok("spool.space", text.format(free=free, path=path))
    finally:
        os.close(fd)


def _count_corrupt(report: Report, path: str) -> None:
    try:
        names = os.listdir(os.path.join(path, "corrupt"))
    except OSError:
        return
    if names:
        text = counted(
            "{count} file in {path} is not as it was written, and is never sent.",
            "{count} files in {path} are not as they were written, and never sent.",
            len(names),
        )
        report.warn(
            "spool.corrupt",
            text.format(count=len(names), path=os.path.join(path, "corrupt")),
            _("look at them, then remove them"),
        )


def _kept(report: Report) -> None:
    """Name the messages that this user's failed runs have kept."""
    entries: list[Entry] = failed.entries()
    if not entries:
        report.ok("kept", _("No message of yours is kept after a failed run."))
        return
    text = counted(
        "{count} message of yours is kept after a failed run, the oldest for {age}.",
        "{count} messages of yours are kept after failed runs, the oldest for {age}.",
        len(entries),
    )
    waiting = time.time() - min(entry.head.time for entry in entries)
    report.warn(
        "kept",
        text.format(count=len(entries), age=age(waiting)),
        _("ssmtpctl queue; once the cause is gone: ssmtpctl queue retry --all"),
        messages=len(entries),
    )
    broken = sum(entry.state in UNTRUE for entry in entries)
    if broken:
        text = counted(
            "{count} of them is damaged.", "{count} of them are damaged.", broken
        )
        step = _("ssmtpctl queue show ID, then ssmtpctl queue drop ID")
        report.warn("kept.damaged", text.format(count=broken), step)
