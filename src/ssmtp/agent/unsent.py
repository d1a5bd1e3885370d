"""What becomes of a claimed message that is not to be sent: it ends, waits, or is held.

Each is a conversation of the sender's loop, and forgets the message at its end.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ssmtp.agent import aftermath, notices, receipts
from ssmtp.errors import Failure
from ssmtp.smtp.outcomes import DOUBT

if TYPE_CHECKING:
    from ssmtp.agent.carrier import Talk
    from ssmtp.agent.pool import Pool
    from ssmtp.agent.sender import Sender
    from ssmtp.spool.queue import Claim, Entry


def finish(sender: Sender, claim: Claim, pool: Pool, *, warn: bool = False) -> Talk:
    """End a message that was decided before a crash; or only warn its sender."""
    sender.active.add(claim.id)
    config, queue = sender.config, sender.queue
    hub = _hub(claim.entry, pool)
    plan = aftermath.Plan()
    plan.warn = warn
    try:
        yield sender.commits.work(
            lambda: aftermath.carry_out(plan, claim, queue, config, hub)
        )
    except aftermath.Unreported as failure:
        sender.note(failure.sentence(), bad=True)
        sender.plan_look(claim.entry.next)
    except Failure as failure:
        sender.disk_trouble(failure)
    except Exception as error:
        sender.stumbled_over(error)
    sender.plan_look(time.time())  # there may be a report
    sender.over(claim.id)


def quarantine(sender: Sender, claim: Claim) -> Talk:
    """Put a message aside that was the last thing we did, three times."""
    sender.active.add(claim.id)
    tries = claim.entry.crashed
    reason = f"{tries} tries to send it were broken off by a crash of this program"
    try:
        yield sender.commits.work(lambda: claim.to_failed(reason))
    except Failure as failure:
        claim.release()
        sender.disk_trouble(failure)
    else:
        sender.note(f"{claim.id} was put into failed/: {reason}", bad=True)
        _note(sender, claim.entry, "failed", reason)
        sender.ear.done(claim.id, 554, "5.3.0", reason)
    sender.over(claim.id)


def hold(sender: Sender, claim: Claim, pool: Pool) -> Talk:
    """Let a message in doubt wait until somebody says what is to become of it."""
    sender.active.add(claim.id)
    config, queue = sender.config, sender.queue
    hub = _hub(claim.entry, pool)
    if claim.entry.crashed:
        tell_crash(sender, claim.entry)
    try:
        yield sender.commits.work(lambda: claim.note("held"))
        sentence = notices.held(claim.entry)
        sender.note(sentence, bad=True)
        sender.ear.done(claim.id, 451, "4.0.0", sentence)
        # A crash may have left a report to be made, and nobody looks at it again.
        yield sender.commits.work(lambda: aftermath.finish(claim, queue, config, hub))
    except aftermath.Unreported as failure:
        sender.note(failure.sentence(), bad=True)
    except Failure as failure:
        sender.disk_trouble(failure)
    except Exception as error:
        sender.stumbled_over(error)
    claim.release()
    sender.plan_look(time.time())  # there may be a report
    sender.over(claim.id)


def tell_crash(sender: Sender, entry: Entry) -> None:
    """Log a message that was being sent when this program ended."""
    notices.log_crash(entry, sender.config)
    _note(sender, entry, DOUBT, "this program ended while it was being sent")


def _hub(entry: Entry, pool: Pool) -> str:
    """Return the mailhub that a report names: the message's own, if it has one."""
    return entry.mailhubs[0] if entry.mailhubs else str(pool.hubs[0])


def _note(sender: Sender, entry: Entry, state: str, reason: str) -> None:
    """Write down what all open recipients of a message came to."""
    records = [(number, state, reason) for number in entry.open]
    receipts.note(sender.queue.path, entry, records)
