"""What follows from an outcome: records, the next try, reports, the end of a message.

`plan` decides (pure); `carry_out` does it, in an order in which a crash at any point
costs nobody a message and nobody a report:

1. the outcomes, durably, so that nobody who has the message gets it again;
2. the report to its sender, durably in the queue itself;
3. that the sender has been told (`reported`);
4. the message leaves: removed when all have it, else to failed/.

Whoever finds a message with a refusal that was not reported goes on at 2; so it is when
there is no room for the report.
"""

from __future__ import annotations

import math
import random
import time

from ssmtp import accounts, bounce
from ssmtp.agent import cargo, schedule
from ssmtp.config import Config
from ssmtp.errors import Failure
from ssmtp.smtp.outcomes import DEFERRED, DOUBT, REFUSED, SENT, Outcome
from ssmtp.spool.queue import Claim, Draft, Entry, NoSpace, Queue, Recipient
from ssmtp.stamp import Stamp

EXPIRED = "expired"
RELAYED = "relayed"  # sent, but nobody will confirm that to who wishes it
OWED = frozenset((REFUSED, EXPIRED))
CLOSED = frozenset((*OWED, "reported"))
CRASHES_MOST = 3
SOON = 900.0  # seconds until what could not be carried out is tried again


class Unreported(NoSpace):
    """There is no room for a report; what it is about was noted, and waits for it."""


class Plan:
    """What is to be noted: outcomes by recipient, the next try, whether to warn.

    `at_once` says that the try goes on with other recipients, `holds` that it goes on
    when somebody says so. `size_most` is how many octets the mailhub takes, 0 if it did
    not say.
    """

    __slots__ = (
        "at_once",
        "failure",
        "holds",
        "next_try",
        "records",
        "size_most",
        "warn",
    )

    def __init__(self) -> None:
        self.records: list[tuple[int, str, str]] = []
        self.next_try = 0.0
        self.at_once = False
        self.holds = False
        self.size_most = 0
        self.warn = False
        self.failure: Failure | None = None

    @property
    def reports(self) -> bool:
        """Whether a message of our own may come of it, which is queued, too."""
        return self.warn or any(
            state in OWED or state == RELAYED for _, state, _ in self.records
        )

    def sends_all(self, entry: Entry) -> bool:
        """Tell whether every recipient of the message has it now."""
        done = set()
        for number, state, _ in self.records:
            if state != SENT:
                return False
            done.add(number)
        for number, recipient in enumerate(entry.recipients):
            if recipient.state != SENT and number not in done:
                return False
        return True


def plan(
    entry: Entry,
    outcomes: list[Outcome],
    config: Config,
    now: float,
    chance: float,
    *,
    confirms: bool = True,
) -> Plan:
    """Decide what follows; the outcomes have the numbers of the entry.

    `now` is the wall clock, `chance` from 0.0 to 1.0; `confirms` says that the mailhub
    tells the sender of a delivery, if he wishes that (DSN, RFC 3461).
    """
    made = Plan()
    waits = prompt = ends = False
    sent = SENT in [outcome.state for outcome in outcomes]
    for outcome in outcomes:
        state = outcome.state
        if state == DOUBT and config.hold_in_doubt:
            made.holds = True
        elif state in (DEFERRED, DOUBT):
            if schedule.expired(
                now, entry.since, entry.next, config.queue_lifetime, entry.rounds + 1
            ):
                state, ends = EXPIRED, True
            else:
                waits = True
                prompt = prompt or (sent and _too_many(outcome))
        elif state == SENT and not confirms and _wishes(entry, outcome.number):
            state = RELAYED
        made.records.append((outcome.number, state, outcome.text))
        if made.failure is None or outcome.state == REFUSED:
            made.failure = outcome.failure or made.failure
    tried = {outcome.number for outcome in outcomes}
    left = [number for number in entry.open if number not in tried]
    made.at_once = prompt or bool(
        left and (sent or ends or any(_is_new(entry, n) for n in left))
    )
    if made.holds:
        made.at_once = waits = False  # nobody gets it before somebody has looked
    if made.at_once:
        made.next_try = now
    else:
        made.next_try = schedule.next_try(
            now, entry.since, config.queue_lifetime, entry.rounds + 1, chance
        )
    made.warn = waits and not prompt and warning_due(entry, config, now)
    return made


def turn(entry: Entry, most: int, domains: int = 0) -> list[int]:
    """Return to whom a message is to go now, when `most` may be told at once (0: all).

    They are in so many domains at most (0: any). Those who have not been tried come
    first, then chance decides.
    """
    numbers = entry.open
    if not domains and (not most or len(numbers) <= most):
        return numbers
    chance = {number: random.random() for number in numbers}
    numbers.sort(key=lambda n: n if _is_new(entry, n) else len(chance) + chance[n])
    if domains:
        first = [*dict.fromkeys(domain_of(entry, n) for n in numbers)][:domains]
        numbers = [n for n in numbers if domain_of(entry, n) in first]
    return sorted(numbers[: most or None])


def domain_of(entry: Entry, number: int) -> str:
    """Return the domain of a recipient."""
    return entry.recipients[number].address.rpartition("@")[2].lower()


def _is_new(entry: Entry, number: int) -> bool:
    return entry.recipients[number].state == "waiting"


def _too_many(outcome: Outcome) -> bool:
    """Tell whether the mailhub took as many recipients as it takes at once."""
    failure = outcome.failure
    reply = failure.reply if failure is not None else None
    # RFC 5321 §4.5.3.1.10; a 552 that is for good is no deferral.
    return reply is not None and (reply.code in (452, 552) or reply.status == "4.5.3")


def carry_out(made: Plan, claim: Claim, queue: Queue, config: Config, hub: str) -> None:
    """Note what follows, durably, and release the claim; raises `SystemTrouble`."""
    with claim:
        if made.records:
            claim.settle(made.records, made.next_try)
        finish(claim, queue, config, hub, made.size_most)
        if made.warn and claim.fd >= 0:
            _warn(claim, queue, config, hub)
        if made.holds and claim.fd >= 0:
            claim.note("held")
        elif claim.fd >= 0:
            show_next(claim, config)


def show_next(claim: Claim, config: Config) -> None:
    """Have a message looked at when it is due, or when its sender is to be warned."""
    entry = claim.entry
    after = entry.since + config.warning_after
    warns = _has_sender(entry) and not entry.warned and time.time() < after
    claim.show_next(after if warns else math.inf)


def warning_due(entry: Entry, config: Config, now: float) -> bool:
    """Tell whether the sender is to be warned of a message that waits."""
    return not entry.warned and schedule.warning_due(
        now, entry.since, entry.next, config.warning_after
    )


def finish(
    claim: Claim, queue: Queue, config: Config, hub: str, size_most: int = 0
) -> None:
    """Report what is to be reported, and end a message that nobody waits for.

    No report is larger than `size_most` because of the message in it (0: any size).
    """
    entry = claim.entry
    relayed = [n for n, r in enumerate(entry.recipients) if r.state == RELAYED]
    if relayed:
        _queue(_report(bounce.RELAYED, relayed, claim, config, hub), claim, queue)
        records = [(n, SENT, entry.recipients[n].reply) for n in relayed]
        claim.settle(records, entry.next)
    owed = [n for n, r in enumerate(entry.recipients) if r.state in OWED]
    reason = next((_reason(entry, n) for n in owed), "")
    if owed:
        told = [n for n in owed if _wants(entry, n, "FAILURE")]
        if told:
            report = _report(bounce.FAILED, told, claim, config, hub, size_most)
            _queue(report, claim, queue)
        records = [(n, "reported", entry.recipients[n].reply) for n in owed]
        claim.settle(records, entry.next)
    if entry.open:
        return
    closed = [n for n, r in enumerate(entry.recipients) if r.state in CLOSED]
    if closed:
        claim.to_failed(reason or _reason(entry, closed[0]))
    else:
        claim.done()


def _warn(claim: Claim, queue: Queue, config: Config, hub: str) -> None:
    """Tell the sender that it takes time, once."""
    entry = claim.entry
    told = [n for n in entry.open if _wants(entry, n, "DELAY")]
    if told:
        _queue(_report(bounce.DELAYED, told, claim, config, hub), claim, queue)
    planned = entry.next
    claim.warned()
    if entry.next != planned:
        claim.settle([], planned)


def _queue(report: tuple[Draft, list[bytes]], claim: Claim, queue: Queue) -> None:
    """Queue a report about a message; raises `Unreported` and `SystemTrouble`."""
    try:
        queue.add(*report)
    except NoSpace as failure:
        if claim.entry.open:
            claim.show_next()  # then once more
        else:
            claim.settle([], time.time() + SOON)
        words = f"the report about {claim.id} has to wait: {failure.what}"
        raise Unreported(words, failure.next_step) from failure


def _wants(entry: Entry, number: int, event: str) -> bool:
    """Tell whether the sender is to hear of this (RFC 3461 section 4.1)."""
    if not _has_sender(entry):
        return False
    notify = entry.recipients[number].notify
    return notify is None or event in notify.upper().split(",")


def _has_sender(entry: Entry) -> bool:
    """Tell whether there is somebody to report to: never about a report."""
    return entry.kind == "message" and bool(entry.reverse_path)


def _wishes(entry: Entry, number: int) -> bool:
    """Tell whether the sender wishes to hear of a delivery."""
    asked = entry.recipients[number].notify is not None
    return asked and _wants(entry, number, "SUCCESS")


def _reason(entry: Entry, number: int) -> str:
    recipient = entry.recipients[number]
    return f"{recipient.address}: {recipient.reply}"


def _report(
    action: str,
    numbers: list[int],
    claim: Claim,
    config: Config,
    hub: str,
    size_most: int = 0,
) -> tuple[Draft, list[bytes]]:
    entry = claim.entry
    now = stamp(time.time())
    header = cargo.header(claim)
    full = entry.ret == "FULL" and entry.octets <= bounce.FULL_MOST
    full = full and action == bounce.FAILED
    full = full and not any(_is_too_large(entry.recipients[n].reply) for n in numbers)
    original = bounce.Original(
        entry.message_id,
        stamp(entry.time),
        header,
        b"".join(claim.blocks()) if full else None,
        entry.envid,
    )
    victims = [
        bounce.Victim(
            entry.recipients[n].address,
            entry.recipients[n].orcpt,
            entry.recipients[n].reply,
        )
        for n in numbers
    ]
    until = None
    if action == bounce.DELAYED:
        until = stamp(entry.since + config.queue_lifetime)
    host = accounts.host(config)

    def written() -> bytes:
        return bounce.report(
            action,
            victims,
            original,
            to=entry.reverse_path,
            host=host,
            domain=accounts.domain(config),
            hub=hub,
            now=now,
            tried=stamp(entry.last_try) if entry.last_try else now,
            until=until,
        )

    content = written()
    if full and 0 < size_most < len(content):
        original.content = None
        content = written()
    made = draft(
        "bounce" if action == bounce.FAILED else "warning",
        entry.reverse_path,
        content,
        owner=(entry.uid, entry.login),
        mailhubs=entry.mailhubs,
        name=bounce.message_id(host, now),
    )
    return made, [content]


def _is_too_large(reply: str) -> bool:
    """Tell whether its size was in a message's way; a report is not to share that."""
    status = reply[4:].partition(" ")[0]
    # RFC 1870 section 6.1, RFC 3463 section 3.3 and 3.4; the last are words of ours.
    large = reply.startswith("552") or status in ("5.2.3", "5.3.4")
    return large or (reply.startswith("the message has ") and " octets, " in reply)


def draft(
    kind: str,
    to: str,
    content: bytes,
    *,
    owner: tuple[int, str],
    mailhubs: list[str],
    name: str,
) -> Draft:
    """Return the draft of a message of our own, with the null reverse-path.

    `owner` is a uid and its login, `name` the Message-ID.
    """
    header = content.index(b"\r\n\r\n") + 4
    return Draft(
        *owner,
        "",
        [Recipient(to, notify="NEVER")],
        header=header,
        message_id=name,
        kind=kind,
        smtputf8=not (content[:header].isascii() and to.isascii()),
        eightbit=not content[header:].isascii(),
        mailhubs=mailhubs,
    )


def stamp(at: float) -> Stamp:
    """Return a time of the wall clock as header fields want it."""
    offset = time.localtime(at).tm_gmtoff // 60
    return Stamp(int(at), offset, f"{random.getrandbits(80):020x}")
