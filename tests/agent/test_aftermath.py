"""What follows from outcomes: records, reports, and the end of a message."""

from __future__ import annotations

import errno
import time
from pathlib import Path
from typing import Any

import pytest

from ssmtp import config as configuration
from ssmtp.agent import aftermath, cargo
from ssmtp.agent.cargo import Cargo
from ssmtp.agent.notices import verdict
from ssmtp.errors import (
    Deferred,
    InDoubt,
    InputRefused,
    MessageRefused,
    RecipientRefused,
    SystemTrouble,
)
from ssmtp.smtp import exits
from ssmtp.smtp.outcomes import Outcome
from ssmtp.smtp.reply import Reply
from ssmtp.spool import durable
from ssmtp.spool.queue import Claim, Draft, Entry, NoSpace, Queue, Recipient

HEADER = b"Subject: hello\r\nMessage-ID: <1@x>\r\n\r\n"
CONFIG = configuration.parse(b"Mailhub=hub.test\nHostname=client.test\n", "x.conf")


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue.open(str(tmp_path / "spool"), make=True)


def add(queue: Queue, *to: Recipient, **more: Any) -> Claim:
    recipients = list(to) or [Recipient("ann@example.net")]
    body = more.pop("content", b"body\r\n")
    draft = Draft(
        1000,
        "bob",
        more.pop("reverse_path", "bob@example.org"),
        recipients,
        header=len(HEADER),
        message_id="<1@x>",
        **more,
    )
    claim = queue.claim(queue.add(draft, [HEADER + body]))
    assert claim is not None
    claim.begin()
    return claim


def refused(number: int) -> Outcome:
    reply = Reply(550, ["5.1.1 no such user"])
    failure = RecipientRefused("refused", reply=reply)
    return Outcome(number, "refused", str(reply), failure)


def deferred(number: int, code: int = 450) -> Outcome:
    reply = Reply(code, ["4.5.3 too many"] if code == 452 else ["4.2.1 full"])
    return Outcome(number, "deferred", str(reply), Deferred("later", reply=reply))


def sent(number: int) -> Outcome:
    return Outcome(number, "sent", "250 2.0.0 queued as A1")


def settle(
    queue: Queue,
    claim: Claim,
    *outcomes: Outcome,
    now: float = 0.0,
    confirms: bool = True,
) -> None:
    made = aftermath.plan(
        claim.entry,
        list(outcomes),
        CONFIG,
        now or time.time(),
        chance=0.5,
        confirms=confirms,
    )
    aftermath.carry_out(made, claim, queue, CONFIG, "hub.test:25")


def entries(queue: Queue, *, failed: bool = False) -> list[Entry]:
    names = sorted(queue.failed_ids() if failed else queue.ids())
    found = [queue.look(name, failed=failed) for name in names]
    return [entry for entry in found if entry is not None]


def test_sent_to_all(queue: Queue) -> None:
    """A message that everybody has leaves the queue, and leaves nothing."""
    settle(
        queue,
        add(queue, Recipient("a@x.test"), Recipient("b@x.test")),
        sent(0),
        sent(1),
    )

    assert [] == entries(queue)
    assert [] == entries(queue, failed=True)


def test_refused(queue: Queue) -> None:
    """The sender is told of a refusal; the message lies in failed/ with the reason."""
    settle(queue, add(queue), refused(0))
    bounce = entries(queue)[0]
    original = entries(queue, failed=True)[0]

    assert ("bounce", "") == (bounce.kind, bounce.reverse_path)
    assert [("bob@example.org", "NEVER")] == [
        (r.address, r.notify) for r in bounce.recipients
    ]
    assert "ann@example.net: 550 5.1.1 no such user" == original.failed
    assert "reported" == original.recipients[0].state
    assert b"Subject: hello\r\n" in b"".join(queue.content(bounce.id))


def test_some_sent_some_refused_some_wait(queue: Queue) -> None:
    """Each recipient's outcome counts; the message waits for those who are left."""
    three = [Recipient(f"{name}@x.test") for name in "abc"]
    settle(queue, add(queue, *three), sent(0), refused(1), deferred(2))
    kinds = {entry.kind: entry for entry in entries(queue)}

    assert {"message", "bounce"} == {*kinds}
    assert ["sent", "reported", "deferred"] == [
        recipient.state for recipient in kinds["message"].recipients
    ]
    assert kinds["message"].next > time.time() + 40
    claim = queue.claim(kinds["message"].id)
    assert claim is not None
    claim.begin()
    settle(queue, claim, sent(2))

    assert ["bounce"] == [entry.kind for entry in entries(queue)]
    assert ["<1@x>"] == [e.message_id for e in entries(queue, failed=True)]


def test_nobody_is_told_of_a_report(queue: Queue) -> None:
    """There is no bounce for a bounce, a notice, or the null reverse-path."""
    for more in (
        {"kind": "bounce", "reverse_path": ""},
        {"kind": "notice", "reverse_path": ""},
        {"kind": "warning", "reverse_path": ""},
        {"reverse_path": ""},
    ):
        settle(queue, add(queue, **more), refused(0))

    assert [] == entries(queue)
    assert 4 == len(entries(queue, failed=True))


def test_notify(queue: Queue) -> None:
    """NOTIFY decides who is reported (RFC 3461)."""
    wishes = [None, "NEVER", "SUCCESS", "FAILURE,DELAY"]
    four = [Recipient(f"{n}@x.test", wish) for n, wish in enumerate(wishes)]
    settle(queue, add(queue, *four), *map(refused, range(4)))
    text = b"".join(queue.content(entries(queue)[0].id))

    assert [True, False, False, True] == [
        b"Final-Recipient: rfc822; %d@x.test" % n in text for n in range(4)
    ]


def test_notify_of_success(queue: Queue) -> None:
    """Whom no mailhub will tell of a delivery hears that it was handed on (RFC 3461
    section 5.2.2); nobody else does, and the message is sent for all that."""
    wishes = [None, "NEVER", "SUCCESS,FAILURE", "FAILURE,DELAY"]
    four = [Recipient(f"{n}@x.test", wish) for n, wish in enumerate(wishes)]
    outcomes = [sent(n) for n in range(4)]
    settle(queue, add(queue, *four), *outcomes)
    settle(queue, add(queue, four[0], reverse_path=""), sent(0), confirms=False)
    confirmed = entries(queue)
    settle(queue, add(queue, *four), *outcomes, confirms=False)
    [report] = entries(queue)
    text = b"".join(queue.content(report.id))

    assert [] == confirmed == entries(queue, failed=True)
    assert ("warning", "") == (report.kind, report.reverse_path)
    assert [False, False, True, False] == [
        b"Final-Recipient: rfc822; %d@x.test" % n in text for n in range(4)
    ]
    assert b"Action: relayed\r\nStatus: 2.0.0\r\n" in text
    assert b"Remote-MTA: dns; hub.test\r\n" in text


def test_one_handed_on_and_one_refused(queue: Queue) -> None:
    """Each of them is reported, once, also when the disk was full in between."""
    two = [Recipient(f"{name}@x.test", "SUCCESS,FAILURE") for name in "ab"]
    claim = add(queue, *two)
    made = aftermath.plan(
        claim.entry, [sent(0), refused(1)], CONFIG, time.time(), 0.5, confirms=False
    )
    with claim:
        claim.settle(made.records, made.next_try)  # and there we were killed
    again = queue.claim(claim.id)
    assert again is not None
    aftermath.carry_out(aftermath.Plan(), again, queue, CONFIG, "hub.test:25")
    kinds = sorted(entry.kind for entry in entries(queue))
    [failed] = entries(queue, failed=True)

    assert ["bounce", "warning"] == kinds
    assert ["sent", "reported"] == [r.state for r in failed.recipients]


def test_ret_full(queue: Queue) -> None:
    """RET=FULL sends the message back, unless it is large."""
    settle(queue, add(queue, ret="FULL"), refused(0))
    settle(queue, add(queue, ret="FULL", content=b"x" * 998 + b"\r\n"), refused(0))
    large = (b"x" * 70 + b"\r\n") * 20_000
    settle(queue, add(queue, ret="FULL", content=large), refused(0))
    sizes = sorted(entry.octets for entry in entries(queue))

    assert sizes[0] < sizes[1] < sizes[0] + 1100
    assert sizes[2] < 3000


@pytest.mark.parametrize(("most", "whole"), [(0, True), (4500, True), (3500, False)])
def test_ret_full_and_the_size_of_the_mailhub(
    queue: Queue, most: int, whole: bool
) -> None:
    """What the mailhub can only just take is not sent back, to be refused for that."""
    claim = add(queue, ret="FULL", content=b"x\r\n" * 1000)
    made = aftermath.plan(claim.entry, [refused(0)], CONFIG, time.time(), 0.5)
    made.size_most = most
    aftermath.carry_out(made, claim, queue, CONFIG, "hub.test:465")
    (report,) = (b"".join(queue.content(name)) for name in queue.ids())

    assert whole == (b"x\r\nx\r\n" in report)
    assert HEADER in report


def test_report_waits_for_the_disk(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message whose report cannot be queued stays, and is reported later, once."""
    claim = add(queue)
    name = claim.id

    def full(*_: object) -> None:
        raise SystemTrouble("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(queue, "add", full)
        with pytest.raises(SystemTrouble):
            settle(queue, claim, refused(0))

    assert ["refused"] == [r.state for r in entries(queue)[0].recipients]
    again = queue.claim(name)
    assert again is not None
    aftermath.carry_out(aftermath.Plan(), again, queue, CONFIG, "hub.test:25")

    assert ["bounce"] == [entry.kind for entry in entries(queue)]
    assert [name] == [entry.id for entry in entries(queue, failed=True)]


@pytest.mark.parametrize("got", [False, True])
def test_no_room_for_the_outcome(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, got: bool
) -> None:
    """A full disk makes no crash of a try by which nobody has got the message."""
    two = [Recipient(f"{name}@x.test") for name in "ab"]
    claim = add(queue, *two)
    name = claim.id

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(durable, "write", full)
        with pytest.raises(NoSpace):
            settle(queue, claim, deferred(0), sent(1) if got else refused(1))
    entry = queue.look(name)

    assert entry is not None
    assert ["waiting", "waiting"] == [r.state for r in entry.recipients]
    assert int(got) == entry.crashed


def test_doubt_is_tried_again(queue: Queue) -> None:
    """A message in doubt stays open (RFC 1047)."""
    doubt = Outcome(0, "doubt", "no answer", InDoubt("in doubt: no answer"))
    settle(queue, add(queue), doubt)

    assert [0] == entries(queue)[0].open
    assert "doubt" == entries(queue)[0].recipients[0].state


def test_doubt_is_held(queue: Queue) -> None:
    """With HoldInDoubt=yes nobody gets a message in doubt before it is released."""
    text = b"Mailhub=hub.test\nHoldInDoubt=yes\n"
    config = configuration.parse(text, "x.conf")
    claim = add(queue, *(Recipient(f"{n}@x.test") for n in range(3)))
    doubt = Outcome(0, "doubt", "no answer", InDoubt("in doubt: no answer"))
    made = aftermath.plan(claim.entry, [doubt, sent(1)], config, time.time(), 0.5)
    aftermath.carry_out(made, claim, queue, config, "hub.test")

    assert not made.at_once
    (entry,) = entries(queue)
    assert (True, True, [0, 2]) == (entry.held, entry.in_doubt, entry.open)
    queue.release(entry.id)
    (entry,) = entries(queue)
    assert (False, False, [0, 2]) == (entry.held, entry.in_doubt, entry.open)


def test_a_release_holds_until_the_next_doubt(queue: Queue) -> None:
    """What was released is held again by a doubt of its own, and by no other try."""
    claim = add(queue, *(Recipient(f"{n}@x.test") for n in range(2)))
    name = claim.id
    doubt = [(0, "doubt", "no answer")]
    claim.settle(doubt)
    claim.release()
    seen = []
    for outcomes in ([], [(1, "sent", "250 ok")], None, doubt):
        queue.release(name)
        again = queue.claim(name)
        assert again is not None
        again.begin()
        if outcomes is not None:
            again.settle(outcomes)
        again.release()
        seen.append(entries(queue)[0].in_doubt)

    assert [False, False, True, True] == seen


@pytest.mark.parametrize("code", [452, 552])
def test_too_many_recipients(queue: Queue, code: int) -> None:
    """Those whom the mailhub does not take at once follow at once (RFC 5321)."""
    three = [Recipient(f"{name}@x.test") for name in "abc"]
    settle(queue, add(queue, *three), sent(0), sent(1), deferred(2, code))
    assert entries(queue)[0].next <= time.time()

    settle(queue, add(queue), deferred(0, code))

    assert max(entry.next for entry in entries(queue)) > time.time() + 40


def test_few_at_once(queue: Queue) -> None:
    """Where few may be told at once all have their turn, and none is hurried twice."""
    five = [Recipient(f"{name}@x.test") for name in "abcde"]
    claim = add(queue, *five)
    assert [0, 1] == aftermath.turn(claim.entry, 2)
    assert [0, 1, 2, 3, 4] == aftermath.turn(claim.entry, 0)
    now = time.time()
    seen = set()
    for first, soon in ((0, True), (2, True), (4, False)):
        numbers = aftermath.turn(claim.entry, 2)
        seen.update(numbers)
        assert first in numbers
        outcomes = [deferred(number) for number in numbers]
        made = aftermath.plan(claim.entry, outcomes, CONFIG, now, chance=0.5)
        assert soon == (made.next_try == now)
        claim.settle(made.records, made.next_try)

    assert {0, 1, 2, 3, 4} == seen


def test_pauses_do_not_count_transactions(queue: Queue) -> None:
    """Who has to wait waits as after one try, however many transactions it took."""
    ten = [Recipient(f"r{number}@x.test") for number in range(10)]
    claim = add(queue, *ten)
    name, planned = claim.id, []
    for number in [*range(10), 3, 5]:
        claim.begin()
        now = time.time()
        made = aftermath.plan(claim.entry, [deferred(number)], CONFIG, now, chance=0.5)
        claim.settle(made.records, made.next_try)
        planned.append(round(made.next_try - now))
        claim.release()
        claim = queue.claim(name)  # type: ignore[assignment]

    assert [*[0] * 9, 60, 300, 900] == planned


def test_pauses_of_a_new_life(queue: Queue) -> None:
    """What was given up and is sent again is tried as often as a new message."""
    claim = add(queue)
    for _ in range(10):
        claim.begin()
        claim.settle([(0, "deferred", "450 4.2.1 full")], time.time() + 60)
    claim.to_failed("expired")
    assert queue.requeue(claim.id)
    again = queue.claim(claim.id)
    assert again is not None
    again.begin()
    settle(queue, again, deferred(0))

    assert entries(queue)[0].next < time.time() + 80


def test_warning(queue: Queue) -> None:
    """A delay is told once; with NOTIFY only to those who want it."""
    ann, eve = Recipient("ann@x.test"), Recipient("eve@x.test", "NEVER")
    claim = add(queue, ann, eve, time=int(time.time()) - 5 * 3600)
    claim.settle([(0, "deferred", "450 x")], time.time())
    settle(queue, claim, deferred(0), deferred(1))
    kinds = {entry.kind: entry for entry in entries(queue)}
    text = b"".join(queue.content(kinds["warning"].id))

    assert {"message", "warning"} == {*kinds}
    assert kinds["message"].warned
    assert kinds["message"].next > time.time()
    assert b"ann@x.test" in text
    assert b"eve@x.test" not in text
    claim = queue.claim(kinds["message"].id)  # type: ignore[assignment]
    claim.begin()
    settle(queue, claim, deferred(0), deferred(1))

    assert 2 == len(entries(queue))


def test_when_it_was_tried_last(queue: Queue) -> None:
    """A report tells the time of the last try, however long it had to wait itself."""
    claim = add(queue)
    claim.entry.last_try = 1_699_963_200
    settle(queue, claim, refused(0))
    (report,) = (b"".join(queue.content(name)) for name in queue.ids())

    assert b"\r\nLast-Attempt-Date: Tue, 14 Nov 2023 " in report


def test_expired(queue: Queue) -> None:
    """At the end of its life the sender is told; the message lies in failed/."""
    now = time.time()
    claim = add(queue, time=int(now) - 5 * 86400)
    for _ in range(25):
        claim.begin()
        claim.settle([(0, "deferred", "450 4.2.1 full")], now + 60)
    settle(queue, claim, deferred(0))

    assert ["bounce"] == [entry.kind for entry in entries(queue)]
    assert b"450 4.2.1 full" in b"".join(queue.content(entries(queue)[0].id))
    assert 1 == len(entries(queue, failed=True))


def test_expiry_does_not_count_transactions(queue: Queue) -> None:
    """What a jump of the clock makes old is tried for half of its life (RFC 5321)."""
    now = time.time()
    ten = [Recipient(f"r{number}@x.test") for number in range(10)]
    claim = add(queue, *ten, time=int(now) - 5 * 86400)
    for _ in range(3):
        for number in range(10):
            claim.begin()
            claim.settle([(number, "deferred", "450 x")], now + 60 * (number == 9))
    made = aftermath.plan(claim.entry, [deferred(0)], CONFIG, now, chance=0.5)

    assert [(0, "deferred")] == [record[:2] for record in made.records]


def test_all_expire_together(queue: Queue) -> None:
    """With the last try of one recipient the others, too, have theirs at once."""
    now = time.time()
    two = [Recipient(f"{name}@x.test") for name in "ab"]
    claim = add(queue, *two, time=int(now) - 5 * 86400)
    for _ in range(25):
        claim.begin()
        claim.settle([(n, "deferred", "450 4.2.1 full") for n in (0, 1)], now + 60)
    made = aftermath.plan(claim.entry, [deferred(1)], CONFIG, now, chance=0.5)

    assert [(1, "expired")] == [record[:2] for record in made.records]
    assert made.at_once
    assert now == made.next_try


def test_verdict(queue: Queue) -> None:
    """Whoever waits hears the worst of it, whichever transaction it was in."""
    both = Recipient("ann@example.net"), Recipient("bob@example.net")
    made, entry = aftermath.Plan(), add(queue, *both).entry
    for records, expected in (
        ([(0, "sent", "250 2.0.0 queued")], (250, "2.0.0", "250 2.0.0 queued")),
        ([(0, "sent", "250 ok"), (1, "deferred", "450 4.2.1 full")], (451, "4.2.1")),
        ([(0, "refused", "550 5.1.1 no"), (1, "deferred", "450 x")], (554, "5.1.1")),
        ([(0, "deferred", "450 x"), (1, "refused", "550 no")], (554, "5.0.0")),
    ):
        made.records = records

        assert expected == verdict(made, entry)[: len(expected)]

    entry.recipients[0].state, entry.recipients[0].reply = "reported", "550 5.1.1 no"
    made.records = [(1, "sent", "250 2.0.0 queued")]

    assert (554, "5.1.1", "550 5.1.1 no") == verdict(made, entry)


def test_verdict_says_whose_fault_it_is(queue: Queue) -> None:
    """The exit code of --wait is the one that the direct road has for a refusal.

    That is by what was refused. The status that the mailhub gives its reply may be one
    that means something else between the agent and its client.
    """
    entry = add(queue).entry
    for word in ("5.7.1", "5.1.0", "5.1.1", "5.3.4", "5.5.4", "5.6.0", "5.7.8"):
        reply = Reply(550, [f"{word} no"])
        for failure in (
            RecipientRefused("nobody of that name", reply=reply),
            MessageRefused("spam", reply=reply),
            InputRefused("too large"),
        ):
            made = aftermath.Plan()
            made.records, made.failure = [(0, "refused", str(reply))], failure
            code, status, _ = verdict(made, entry)

            assert type(failure) is exits.kind(Reply(code, [f"{status} no"]))


def test_verdict_of_a_deferral_is_not_taken_for_our_own(queue: Queue) -> None:
    """A mailhub that cannot read its configuration says nothing about ours."""
    made, entry = aftermath.Plan(), add(queue).entry
    for _, status in exits.REPLIES.values():
        made.records = [(0, "deferred", f"451 {status} not now")]
        code, found, _ = verdict(made, entry)

        assert Deferred is exits.kind(Reply(code, [f"{found} not now"]))


# -- the message as the dialogue wants it


def test_cargo_as_it_lies(queue: Queue) -> None:
    """What the mailhub can take goes as it lies in the queue."""
    claim = add(queue, eightbit=True, content="ä\r\n".encode())
    load = Cargo(claim)

    assert HEADER + "ä\r\n".encode() == b"".join(load.render(True, True).blocks())
    assert HEADER == load.render(True, True).header


def test_cargo_for_seven_bits(queue: Queue) -> None:
    """For a mailhub without 8BITMIME it is encoded as on the direct road."""
    claim = add(queue, eightbit=True, content="ä\r\n".encode())
    load = Cargo(claim)
    content = load.render(False, False)
    text = b"".join(content.blocks())
    load.close()

    assert text.isascii()
    assert len(text) == content.size
    assert b"=C3=A4\r\n" in text
    assert b"Content-Transfer-Encoding: quoted-printable\r\n" in text


def test_envelope(queue: Queue) -> None:
    """The envelope is that of the recipients that are left, with their wishes."""
    claim = add(
        queue,
        Recipient("a@x.test"),
        Recipient("b@x.test", "NEVER"),
        Recipient("c@x.test", None, "rfc822;c@y.test"),
        ret="HDRS",
    )
    made = cargo.envelope(claim.entry, [1, 2])

    assert ["b@x.test", "c@x.test"] == [str(r) for r in made.recipients]
    assert [("NEVER", None), (None, "rfc822;c@y.test")] == made.wishes
    assert "bob@example.org" == str(made.reverse_path)
    assert "HDRS" == made.ret
