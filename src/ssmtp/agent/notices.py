"""What the sender says about messages and mailhubs: the log, XWAIT, the administrator.

The administrator (`Root=`) is written to once for each trouble with a mailhub, when it
has lasted for `WarningAfter`. That message waits in the queue like all others; so it
tells afterwards, and the log, `ssmtpctl agent status` and site.json tell in time.
"""

from __future__ import annotations

import time

from ssmtp import accounts, bounce, journal
from ssmtp.address import parse_list
from ssmtp.agent import cargo
from ssmtp.agent.aftermath import Plan, draft, stamp
from ssmtp.agent.loop import boottime
from ssmtp.agent.site import Site
from ssmtp.config import Config
from ssmtp.errors import Failure, InDoubt, InputRefused
from ssmtp.smtp import exits
from ssmtp.smtp.outcomes import SENT, Result
from ssmtp.spool.queue import Entry, Queue

CODES = {"sent": 250, "relayed": 250, "refused": 554, "expired": 554, "reported": 554}


def verdict(made: Plan, entry: Entry) -> tuple[int, str, str]:
    """Return code, status and text for whoever waits for this message (XWAIT).

    What earlier transactions of the same message came to counts, too.
    """
    words = {n: (r.state, r.reply) for n, r in enumerate(entry.recipients) if r.reply}
    words.update({number: (state, reply) for number, state, reply in made.records})
    worst, text = 250, ""
    for _, (state, reply) in sorted(words.items()):
        code = CODES.get(state, 451)
        if code == 554 or (code == 451 and worst == 250) or not text:
            worst, text = max(code, worst) if code != 250 else worst, reply
    status = text[4:].partition(" ")[0]
    if status[:2] != f"{worst // 100}." or status.count(".") != 2:
        status = f"{worst // 100}.0.0"
    if worst == 554 and made.failure is not None and made.failure.when == "never":
        worst, status = exits.verdict(made.failure)
    elif worst == 451 and (worst, status) in exits.REPLIES.values():
        status = "4.0.0"  # the mailhub's trouble, which is none of ours
    if worst == 451 and made.holds:
        text = held(entry)
    return worst, status, text


def log_outcomes(
    entry: Entry,
    result: Result,
    hub: str,
    seconds: float,
    log_file: str | journal.Page | None,
) -> None:
    """Log one line for those who got the message, and one for each other reason."""
    sent = [outcome.number for outcome in result.outcomes if outcome.state == SENT]
    try:
        if sent and result.receipt is not None:
            journal.sent(
                result.receipt,
                envelope=cargo.envelope(entry, sent),
                message_id=entry.message_id,
                login=entry.login,
                uid=entry.uid,
                seconds=seconds,
                log_file=log_file,
                name=entry.id,
            )
        reasons: dict[str, tuple[Failure, list[int]]] = {}
        for outcome in result.outcomes:
            if outcome.failure is not None:
                failure = outcome.failure
                reasons.setdefault(failure.what, (failure, []))[1].append(
                    outcome.number
                )
        for failure, numbers in reasons.values():
            journal.failed(
                failure,
                login=entry.login,
                uid=entry.uid,
                envelope=cargo.envelope(entry, numbers),
                message_id=entry.message_id,
                size=entry.octets,
                hub=hub,
                seconds=seconds,
                log_file=log_file,
                name=entry.id,
            )
    except InputRefused:
        journal.note(f"{entry.id} has an envelope that cannot be told", bad=True)


def log_crash(entry: Entry, config: Config) -> None:
    """Log that it is not known what came of the last try (RFC 1047)."""
    failure = InDoubt(
        f"in doubt: this program ended while it was sending message {entry.message_id}",
        "look for it before releasing it"
        if config.hold_in_doubt
        else "it is sent again, and may arrive twice",
    )
    try:
        journal.failed(
            failure,
            login=entry.login,
            uid=entry.uid,
            envelope=cargo.envelope(entry, entry.open),
            message_id=entry.message_id,
            size=entry.octets,
            hub=str(config.mailhubs[0]),
            log_file=config.log_file,
            name=entry.id,
        )
    except InputRefused:
        journal.note(f"{entry.id}: {failure.sentence()}", bad=True)


def held(entry: Entry) -> str:
    """Return the sentence about a message in doubt that waits for somebody."""
    return (
        f"{entry.id} is in doubt and held (HoldInDoubt): `ssmtpctl queue release"
        f" {entry.id}` sends it again, `ssmtpctl queue drop {entry.id}` throws it away"
    )


def write(queue: Queue, config: Config, site: Site) -> None:
    """Queue a message to the administrator about a mailhub; raises `SystemTrouble`."""
    if not config.root:
        return
    now = stamp(time.time())
    hours = site.silence(boottime()) / 3600
    host, domain = accounts.host(config), accounts.domain(config)
    lines = [
        f"No mail from {host} has reached {site.mailhubs[0]} for {hours:.1f} hours.",
        "",
        f"What went wrong: {site.what}.",
    ]
    if site.next_step:
        lines.append(f"What to do: {site.next_step}.")
    lines += [
        "",
        "All mail is kept, nothing was sent back, and it goes out by itself when the",
        "mailhub can be used again. This message was queued like all others, so the",
        "trouble was over when you got it. `ssmtpctl agent status` tells how it is",
        "now, and `ssmtpctl queue list` what is waiting.",
    ]
    for to in _administrators(config, domain):
        content = bounce.notice(
            f"{host}: trouble with the mailhub {site.mailhubs[0]}",
            "\n".join(lines) + "\n",
            to=to,
            host=host,
            domain=domain,
            now=now,
        )
        made = draft(
            "notice",
            to,
            content,
            owner=(0, "root"),
            mailhubs=[],
            name=bounce.message_id(host, now),
        )
        queue.add(made, [content])


def _administrators(config: Config, domain: str) -> list[str]:
    try:
        boxes = parse_list(config.root or "", "Root")
    except InputRefused:
        return []
    return [f"{box.local}@{box.domain or domain}" for box in boxes]
