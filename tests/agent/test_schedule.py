"""Time: when messages and mailhubs are tried again, and what jumping clocks do."""

from __future__ import annotations

import errno
import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ssmtp.agent import lookout, schedule, status
from ssmtp.agent.rate import Rate
from ssmtp.agent.sender import Sender
from ssmtp.agent.site import AUTH_PAUSE, HOUR, LONGEST_PAUSE, STUMBLES, Site
from ssmtp.errors import AuthRefused, ConfigError, NetworkTrouble, SiteTrouble
from ssmtp.smtp.reply import Reply
from ssmtp.smtp.sasl import Credentials
from ssmtp.spool.queue import NoSpace
from ssmtp.values import Secret
from tests.agent.simulated import DAY, World
from tests.unit.relaying import Hub, Warm

LIFE = 5 * DAY


def refused() -> AuthRefused:
    return AuthRefused("refused", reply=Reply(535, ["5.7.8 wrong"]))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


# -- one message


def test_pauses() -> None:
    """1, 5, 15, 30 minutes, then hourly up to 4 h, each 20 % sooner or later."""
    planned = [schedule.pause(tries, 0.5) for tries in range(1, 11)]

    assert [1, 5, 15, 30, 60, 120, 180, 240, 240, 240] == [p / 60 for p in planned]
    assert (48.0, 72.0) == (schedule.pause(1, 0.0), schedule.pause(1, 1.0))


def test_the_last_try_ends_the_life() -> None:
    """A message is tried once more when its life ends, and not long behind that."""
    assert LIFE == schedule.next_try(LIFE - HOUR, 0, LIFE, 20, 0.5)
    assert LIFE + 4 * HOUR - 30 == schedule.next_try(LIFE - 30, 0, LIFE, 20, 0.5)


def test_expiry() -> None:
    """A message expires by a try that was made in time, after its life has ended."""
    assert not schedule.expired(LIFE - 1, 0, LIFE - 1, LIFE, 40)
    assert schedule.expired(LIFE, 0, LIFE, LIFE, 40)


def test_expiry_after_a_jump() -> None:
    """A try that comes days too late or too early ends nothing, nor does the first."""
    assert not schedule.expired(LIFE, 0, 0, LIFE, 40)
    assert not schedule.expired(LIFE, 0, 300, LIFE, 40)
    assert not schedule.expired(LIFE, 0, LIFE + 5 * DAY, LIFE, 40)
    assert not schedule.expired(-5 * DAY, 0, 300, LIFE, 40)


def test_half_a_life_of_tries() -> None:
    """However old the clock makes it, a message is tried for half of its life."""
    assert [1, 2, 3, 9, 21] == [
        schedule.tries_within(seconds) for seconds in (0, 60, 360, 12 * HOUR, LIFE / 2)
    ]
    assert not schedule.expired(LIFE, 0, LIFE, LIFE, 20)
    assert schedule.expired(LIFE, 0, LIFE, LIFE, 21)
    assert schedule.expired(100, 0, 100, 90, 1)


# -- a mailhub


def test_network_pause_grows() -> None:
    """The probes of a mailhub that cannot be reached become rare, 15 min at most."""
    site, now, pauses = Site(("h:25",)), 0.0, []
    for _ in range(12):
        site.failed(now, NetworkTrouble("down"), 0.5)
        pauses.append(site.next_try - now)
        now = site.next_try

    assert [10, 20, 40, 80, 160, 320, 640] == pauses[:7]
    assert {LONGEST_PAUSE} == {*pauses[7:]}


def test_one_probe() -> None:
    """While there is trouble one connection is tried, when its time has come."""
    site = Site(("h:25",))
    assert site.may_open(0, 0, 0, 4)
    assert not site.may_open(0, 0, 1, 4)
    site.failed(0, NetworkTrouble("down"), 0.5)

    assert not site.may_open(9, 0, 0, 4)
    assert site.may_open(10, 0, 0, 4)
    assert not site.may_open(10, 0, 1, 4)
    site.opened(10)
    assert site.may_open(10, 1, 2, 4)
    assert not site.may_open(10, 1, 3, 4)


def test_nudges() -> None:
    """New mail shortens a pause of the network, a flush ends it; AUTH's goes on."""
    site = Site(("h:25",))
    for now in range(8):
        site.failed(now, NetworkTrouble("down"), 0.5)
    site.nudge(20)
    assert 20 >= site.next_try
    site.failed(20, NetworkTrouble("down"), 0.5)
    site.nudge(21)
    assert 30 == site.next_try
    site.nudge(21, hard=True)
    assert 21 == site.next_try
    site.failed(21, NetworkTrouble("down"), 0.5)
    site.nudge(21.1, hard=True)
    assert 22 == site.next_try

    site.failed(40, refused(), 0.0)
    site.nudge(41, hard=True)

    assert 40 + AUTH_PAUSE == site.next_try


def test_news_is_told_once() -> None:
    """A trouble is news when it begins or changes, and when it ends."""
    site = Site(("h:25",))

    assert site.failed(0, NetworkTrouble("down"), 0.5)
    assert not site.failed(10, NetworkTrouble("down"), 0.5)
    assert site.failed(20, SiteTrouble("babbles"), 0.5)
    assert not site.news_due(100, 3600)
    assert site.news_due(3600, 3600)
    site.told = True
    assert not site.news_due(7200, 3600)
    assert site.opened(7300)
    assert not site.opened(7301)


def test_no_news_while_mail_goes_out() -> None:
    """Nobody is told of silence while an old connection still carries mail."""
    site = Site(("h:25",))
    site.opened(0)
    site.failed(1, SiteTrouble("no more connections"), 0.5)
    site.worked(3000)

    assert not site.news_due(3700, 3600)
    assert site.news_due(6600, 3600)


def test_busy_mailhub() -> None:
    """Many messages in a row that the mailhub would not look at are its trouble."""
    site = Site(("h:25",))
    site.opened(0)

    found = [site.stumbled(0, "busy", 0.5) for _ in range(STUMBLES + 2)]

    assert [False] * (STUMBLES - 1) + [True, False, False] == found
    assert not site.opened(50)
    assert "busy" == site.kind
    assert site.worked(50)


def test_an_old_connection_is_no_password() -> None:
    """What still works on an old connection does not end the pause of AUTH."""
    site = Site(("h:25",))
    site.opened(0)
    site.failed(1, refused(), 0.0)
    site.worked(2)
    for _ in range(STUMBLES):
        site.stumbled(3, "busy", 0.5)

    assert "auth" == site.kind
    assert not site.may_open(1 + AUTH_PAUSE - 1, 0, 0, 4)


def test_connections_after_refusals() -> None:
    """Twice an hour holds, too, where a connection comes about in between."""
    site = Site(("h:25",))
    for now in (0, 1):
        site.failed(now, refused(), 0.0)
        site.opened(now)

    assert "" == site.kind
    assert not site.may_open(HOUR - 1, 0, 0, 4)
    assert not site.may_log_in(HOUR - 1)
    assert site.may_open(HOUR, 0, 0, 4)
    assert site.may_log_in(HOUR)


def test_our_own_refusal_is_no_try() -> None:
    """A password that cannot be read was said to nobody."""
    site = Site(("h:25",))
    site.failed(0, AuthRefused("there is no password"), 0.5)
    assert "login" == site.kind
    site.failed(0, ConfigError("broken"), 0.5)

    assert "configuration" == site.kind
    assert not site.refusals


@pytest.mark.parametrize(
    ("offer", "answer"),
    [("PLAIN", "334 "), ("LOGIN", "334 VXNlcm5hbWU6"), ("SCRAM-SHA-256", "334 cj14")],
)
def test_a_login_that_we_break_off_is_a_try(offer: str, answer: str) -> None:
    """A mailhub that was told the password, or a proof, is told twice an hour."""
    known = Credentials("me", lambda: Secret("secret"))
    hub = Hub((f"AUTH {offer}",), {"AUTH": answer, "bWU=": answer, "c2VjcmV0": answer})
    with pytest.raises(AuthRefused) as caught:
        Warm(hub, credentials=known, private=True, nonce="nonce")
    site = Site(("h:25",))
    site.failed(0, caught.value, 0.5)

    assert "*" == hub.said[-1]
    assert "auth" == site.kind
    site.nudge(60, hard=True)
    assert not site.may_open(AUTH_PAUSE - 1, 0, 0, 4)


def test_restarts_try_no_password_more_often() -> None:
    """What was refused is known after a restart: two tries in any hour."""
    now, wall, tries = 0.0, 1e9, []
    record: dict[str, object] = {}
    for _ in range(60):
        site = Site(("h:25",))
        site.restore(record, now, wall + now)
        if site.may_open(now, 0, 0, 4):
            tries.append(now)
            site.failed(now, refused(), 0.0)
        record = site.record(now, wall + now)
        now += 300

    assert all(c - a >= HOUR for a, c in itertools.pairwise(tries[::2]))
    assert 8 <= len(tries) <= 10


def test_one_restart_is_no_third_try() -> None:
    """A try right after a restart counts: no hour has three, whatever comes next."""
    first = Site(("h:25",))
    first.failed(0, refused(), 0.0)
    site = Site(("h:25",))
    site.restore(first.record(60, 1e9 + 60), 60, 1e9 + 60)
    assert site.may_open(60, 0, 0, 4)
    site.failed(60, refused(), 0.0)
    assert not site.may_open(HOUR - 1, 0, 0, 4)
    site.failed(100, NetworkTrouble("down"), 0.5)
    site.nudge(200, hard=True)

    assert not site.may_open(HOUR - 1, 0, 0, 4)
    assert site.may_open(HOUR + 1, 0, 0, 4)


def test_one_shows_the_way() -> None:
    """Connections are opened all at once only right after one that came about."""
    site = Site(("h:25",))
    site.failed(0, NetworkTrouble("down"), 0.5)
    site.opened(0)
    site.worked(1000)

    assert site.may_open(1, 1, 2, 4)
    assert not site.may_open(1, 1, 2, 4, login=True)
    assert site.may_open(1, 3, 0, 4, login=True)
    assert not site.may_open(1, 1, 3, 4)
    assert site.may_open(1000, 2, 0, 4)
    assert not site.may_open(1000, 0, 1, 4)
    assert not site.may_open(1000, 2, 1, 4)


# -- a rate


def test_rate() -> None:
    """No span of that length has more messages than the limit says."""
    rate, now, times = Rate((3, 60.0)), 0.0, []
    for _ in range(10):
        now += rate.wait(now)
        rate.take(now)
        times.append(now)
        now += 1

    assert [0, 1, 2, 60, 61, 62, 120, 121, 122, 180] == times


def test_rate_of_another_run() -> None:
    """A restart makes no span shorter, not by half a second either."""
    for tenth in range(10):
        before, after = Rate((2, 60.0)), Rate((2, 60.0))
        for now in (100.0, 100.0 + tenth / 10):
            before.take(now)
        after.restore(before.record(105.0, 5000.0), 105.0, 5000.0)

        for now in (105.0, 150.0):
            assert 0 <= after.wait(now) - before.wait(now) < 1
            before.take(now)
            after.take(now)


def test_rate_of_a_configuration_read_again() -> None:
    """What went before counts under the next limit as well."""
    rate = Rate((3, 60.0))
    for now in range(3):
        rate.take(now)
    rate.change((3, 60.0))
    assert 50 == rate.wait(10)
    rate.change((2, 20.0))

    assert 11 == rate.wait(10)
    assert 0.0 == Rate(None).wait(0.0)


# -- the sender, days long


def test_network_unplugged_for_an_hour(world: World) -> None:
    """Without a network mail waits, one probe for all, and goes out behind it."""
    world.network = False
    for number in range(50):
        world.add(f"<{number}@x>")

    def plug_in() -> None:
        world.network = True

    world.at(HOUR, plug_in)
    world.run(2 * HOUR)

    assert [] == world.left()
    assert 50 == len(world.tried)
    assert HOUR <= world.tried[0][0] - 1000 <= HOUR + LONGEST_PAUSE * 1.2
    assert len([at for at in world.opened if at < HOUR]) < 15
    assert 1 == sum("cannot connect" in text for text in world.logged)


def test_wrong_password_for_a_day(world: World) -> None:
    """A wrong password costs two tries an hour, no message, and one notice."""
    world.password = False
    for number in range(20):
        world.add(f"<{number}@x>")

    def correct() -> None:
        world.password = True

    world.at(DAY, correct)
    world.run(DAY - 1)
    tries = world.opened[:]

    assert len(tries) <= 48
    assert all(c - a >= HOUR for a, c in zip(tries, tries[2:], strict=False))
    assert ["message"] * 20 == [k for k in world.kinds() if k != "notice"]
    assert 1 == world.kinds().count("notice")
    assert 1 == sum("refused the password" in text for text in world.logged)
    world.run(DAY + 2 * HOUR)
    assert [] == world.left()


def test_notice_tells_the_administrator(world: World) -> None:
    """The notice goes to Root=, names the trouble, and is no message of anybody's."""
    world.network = False
    world.add("<1@x>")
    world.run(5 * HOUR)
    name = next(
        name
        for name in world.queue.ids()
        if (entry := world.queue.look(name)) and entry.kind == "notice"
    )
    entry = world.queue.look(name)
    text = b"".join(world.queue.content(name)).decode()

    assert entry is not None
    assert ["ops@example.org"] == [r.address for r in entry.recipients]
    assert "" == entry.reverse_path
    assert "Auto-Submitted: auto-generated\r\n" in text
    assert "cannot connect to hub.test:25" in text


def test_notice_waits_for_the_disk(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notice that a full disk had no room for is written later, once."""
    world.network = False
    world.add("<1@x>")
    add = world.queue.add

    def full(*given: Any) -> str:
        if world.boot < 1000 + 6 * HOUR:
            raise NoSpace("the disk is full")
        return add(*given)

    monkeypatch.setattr(world.queue, "add", full)
    world.run(8 * HOUR)

    assert ["message", "notice"] == world.kinds()


def test_no_mail_waits_for_a_notice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without room for a notice the mail for other mailhubs goes out as always."""
    world.network = False
    world.add("<1@x>")
    add = world.queue.add

    def full(draft: Any, blocks: Any) -> str:
        if draft.kind == "notice":
            raise NoSpace("the disk is full")
        return add(draft, blocks)

    monkeypatch.setattr(world.queue, "add", full)
    blocked: list[bool] = []

    def look(sender: Sender) -> None:
        for hour in range(5, 10):
            world.at(hour * HOUR, lambda: blocked.append(sender.is_blocked(world.boot)))

    world.run(10 * HOUR, look)

    assert [False] * 5 == blocked
    later = [line for line in world.logged if "is told later" in line]
    assert 20 < len(later) < 30  # four times an hour


def test_who_waits_hears_that_it_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that is held after a crash is a verdict for who waits for one."""
    world = World(tmp_path, monkeypatch, HoldInDoubt="yes")
    name = world.add("<1@x>")
    claim = world.queue.claim(name)
    assert claim is not None
    claim.begin()
    claim.release()
    told: list[Any] = []

    def listen(sender: Sender) -> None:
        monkeypatch.setattr(sender.ear, "done", lambda *words: told.append(words))

    world.run(HOUR, listen)

    assert [(name, 451)] == [words[:2] for words in told]


def test_what_is_held_owes_no_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal that a crash left unreported is told before a doubt is held."""
    world = World(tmp_path, monkeypatch, HoldInDoubt="yes")
    name = world.add("<1@x>", "ann@example.net", "eve@example.net")
    claim = world.queue.claim(name)
    assert claim is not None
    with claim:
        outcomes = [(0, "refused", "550 5.1.1 who?"), (1, "doubt", "it hung up")]
        claim.settle(outcomes, world.boot + world.offset)
    world.run(60)
    entry = world.queue.look(name)

    assert entry is not None
    assert entry.held
    assert ["reported", "doubt"] == [one.state for one in entry.recipients]
    assert 1 == len(world.tried)
    assert [] == world.tries("<1@x>")


def test_quarantine_waits_for_the_disk(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be put into failed/ is not said to be there, and stays."""
    name = world.add("<1@x>")
    rename = os.rename

    def broken(source: str, to: str, **more: Any) -> None:
        if source == name:
            raise OSError(errno.EIO, "Input/output error")
        rename(source, to, **more)

    for _ in range(3):
        claim = world.queue.claim(name)
        assert claim is not None
        claim.begin()
        claim.release()
    monkeypatch.setattr(os, "rename", broken)
    world.run(300)

    assert ["<1@x>"] == world.left()
    assert not any("was put into failed/" in text for text in world.logged)
    assert any("cannot be moved" in text for text in world.logged)


def test_a_new_message_shortens_the_pause(world: World) -> None:
    """A flush, as when the network comes up, probes at once."""
    world.network = False
    world.add("<1@x>")

    def up(made: object) -> None:
        def look() -> None:
            world.network = True
            made.look_wanted = True  # type: ignore[attr-defined]

        world.at(3000, look)

    world.run(3100, up)

    assert [] == world.left()
    assert 3000 <= world.tries("<1@x>")[0] <= 3062


def test_deferred_message(world: World) -> None:
    """A message that is deferred is tried after 1, 5, 15, 30, 60 … minutes."""
    world.judge = lambda name: "451 4.2.0 later"
    world.add("<1@x>")
    world.run(12 * HOUR)
    tries = world.tries("<1@x>")
    pauses = [b - a for a, b in itertools.pairwise(tries)]

    assert 8 <= len(tries) <= 10
    for planned, taken in zip(schedule.PAUSES, pauses, strict=False):
        assert 0.8 * planned - 1 <= taken <= 1.2 * planned + 62


def test_warning_and_expiry(world: World) -> None:
    """The sender is warned once after 4 h, and told after 5 days; the rest stays."""
    world.judge = lambda name: (
        "451 4.2.0 later" if name == "<1@x>" else "250 2.0.0 queued as B2"
    )
    world.add("<1@x>")
    world.run(6 * DAY)

    assert [] == world.left()
    assert ["<1@x>"] == [
        entry.message_id
        for name in world.queue.failed_ids()
        if (entry := world.queue.look(name, failed=True))
    ]
    reports = [name for _, name in world.tried if name != "<1@x>"]
    assert 2 == len(reports)
    assert 5 * DAY <= world.tries("<1@x>")[-1] <= 5 * DAY + 5 * HOUR


@pytest.mark.parametrize("seed", range(5))
def test_warning_comes_in_time(world: World, seed: int) -> None:
    """The warning waits for no try, and moves none."""
    random.seed(seed)
    world.judge = lambda name: (
        "451 4.2.0 later" if name == "<1@x>" else "250 2.0.0 queued as F6"
    )
    world.add("<1@x>")
    world.run(12 * HOUR)
    tries = world.tries("<1@x>")

    assert [4 * HOUR] == [
        pytest.approx(at - 1000, abs=2) for at, name in world.tried if name != "<1@x>"
    ]
    for pause, (before, after) in zip(
        schedule.PAUSES, itertools.pairwise(tries), strict=False
    ):
        assert 0.79 * pause <= after - before <= 1.21 * pause


def test_warning_names_the_mailhub_of_the_message(world: World) -> None:
    """What was said of a message with a mailhub of its own is that one's word."""
    world.judge = lambda name: "451 4.2.0 later"
    world.add("<1@x>", mailhubs=["other.test:25"])
    world.run(5 * HOUR)
    (text,) = [
        b"".join(world.queue.content(name))
        for name in world.queue.ids()
        if (entry := world.queue.look(name)) and entry.kind == "warning"
    ]

    assert b"those of other.test:25.\r\n" in text
    assert b"Remote-MTA: dns; other.test\r\n" in text


@pytest.mark.parametrize("jump", [5 * DAY, -5 * DAY, 400 * DAY])
def test_clock_jumps(world: World, jump: float) -> None:
    """A clock that jumps by days expires nothing that can still be sent."""
    world.judge = lambda name: (
        "451 4.2.0 later"
        if name == "<1@x>" and len(world.tries(name)) < 6
        else "250 2.0.0 queued as C3"
    )
    world.add("<1@x>")
    world.at(120, lambda: world.jump(jump))
    world.run(6 * HOUR)

    assert [] == world.left()
    assert [] == [*world.queue.failed_ids()]
    assert 6 == len(world.tries("<1@x>"))


def test_suspend(world: World) -> None:
    """A machine that slept for two days tries at once, and gives nothing up."""
    world.judge = lambda name: (
        "451 4.2.0 later"
        if name == "<1@x>" and len(world.tries(name)) < 10
        else "250 2.0.0 queued as D4"
    )
    world.add("<1@x>")
    world.at(HOUR, lambda: world.sleep(6 * DAY))
    world.run(7 * DAY)
    tries = world.tries("<1@x>")

    assert [] == world.left()
    assert [] == [*world.queue.failed_ids()]
    assert any(HOUR + 6 * DAY <= at <= HOUR + 6 * DAY + 120 for at in tries)


def test_rate_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RateLimit holds however much is queued."""
    world = World(tmp_path, monkeypatch, RateLimit="20/min")
    for number in range(50):
        world.add(f"<{number}@x>")
    told: list[float] = []

    def look() -> None:
        found = status.read(world.queue.path)
        told.append(found["rate_until"] - found["time"])

    world.at(5, look)
    world.run(3 * 60)

    assert [] == world.left()
    times = [at for at, _ in world.tried]
    assert all(b - a >= 60 for a, b in zip(times, times[20:], strict=False))
    assert 50 < told[0] <= 61


def test_rate_limit_of_two_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent before a restart counts."""
    world = World(tmp_path, monkeypatch, RateLimit="20/hour")
    for number in range(50):
        world.add(f"<{number}@x>")
    for minutes in (10, 20, 50, 70, 150):
        world.run(minutes * 60)

    assert [] == world.left()
    times = [at for at, _ in world.tried]
    assert all(b - a >= HOUR - 1 for a, b in zip(times, times[20:], strict=False))


def test_flush_of_a_long_queue(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flush tries each message once, and comes to its end, whatever is said."""
    for name, most in (("AT_ONCE", 5), ("LOOK_BELOW", 2)):
        monkeypatch.setattr(lookout, name, most)
    names = [f"m{number}" for number in range(30)]
    for name in names:
        world.add(name)
    world.judge = lambda message_id: "450 4.2.0 later"
    waited: list[str] = []

    def then(sender: Sender) -> None:
        def flush() -> None:
            waited.extend(name for _, name in world.tried)
            world.tried.clear()
            sender.flush()

        world.at(2 * HOUR, flush)

    world.run(2 * HOUR + 30, then)

    assert names == sorted(set(waited), key=names.index)
    assert names == sorted((name for _, name in world.tried), key=names.index)


@pytest.mark.parametrize("uid", [None, 1000])
def test_flush_tries_what_is_to_be_warned_of(world: World, uid: int | None) -> None:
    """A flush tries a message, too, whose sender was to be warned meanwhile."""
    world.judge = lambda name: "451 4.2.0 later"
    world.add("<1@x>")

    def then(sender: Sender) -> None:
        def down() -> None:
            world.network = False

        def up() -> None:
            world.network = True
            sender._heard(
                {"flush": None} if uid is None else {"flush": None, "uid": uid}
            )

        world.at(3.95 * HOUR, down)
        world.at(4.5 * HOUR, up)

    world.run(4.6 * HOUR, then)

    assert 4.5 * HOUR == pytest.approx(world.tries("<1@x>")[-1], abs=60)


def test_who_flushes_without_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a user wants his mail tried, it is looked for by one thread."""
    world.judge = lambda name: (
        "451 4.2.0 later" if len(world.tries(name)) == 1 else "250 2.0.0 queued as G7"
    )
    world.add("<1@x>")
    searches: list[int] = []
    ids = world.queue.ids

    def look(uid: int | None = None) -> Iterator[str]:
        if uid is not None:
            searches.append(uid)
        return ids(uid)

    monkeypatch.setattr(world.queue, "ids", look)

    def then(sender: Sender) -> None:
        def flush() -> None:
            for _ in range(100):
                sender._heard({"flush": None, "uid": 1000})

        world.at(20, flush)

    world.run(30, then)

    assert [0, 20] == [round(at) for at in world.tries("<1@x>")]
    assert 1 <= len(searches) <= 2


def wishes(world: World, sender: Sender, end: int) -> str:
    """Have the only message wished for each second until then; return its name."""
    (name,) = world.queue.ids()
    for second in range(10, end):
        world.at(second, lambda: sender._heard({"flush": name}))
    return name


def test_wishes_without_end(world: World) -> None:
    """Whoever wishes a try again and again gets twenty, and then one in a while."""
    world.judge = lambda name: "451 4.2.0 later"
    world.add("<1@x>")

    world.run(2600, lambda sender: wishes(world, sender, 2600))

    tries = world.tries("<1@x>")
    assert 20 < len([at for at in tries if at < 60]) < 40
    late = [at for at in tries if at > 2000]
    assert 8 < len(late)
    assert all(55 < b - a < 65 for a, b in itertools.pairwise(late))


def test_wishes_after_a_clock_set_back(world: World) -> None:
    """No wish waits until the clock shows again when the latest try was."""
    world.judge = lambda name: "451 4.2.0 later"
    world.add("<1@x>")

    def then(sender: Sender) -> None:
        name = wishes(world, sender, 600)
        world.at(600, lambda: world.jump(-1000))
        world.at(700, lambda: sender._heard({"flush": name}))

    world.run(900, then)

    assert 700 in [round(at) for at in world.tries("<1@x>")]


@pytest.mark.parametrize("running", [True, False])
def test_clock_set_back(world: World, running: bool) -> None:
    """Nothing waits for a time that comes again, whether the sender ran or not."""
    world.judge = lambda name: (
        "451 4.2.0 later" if len(world.tries(name)) == 1 else "250 2.0.0 queued as E5"
    )
    world.add("<1@x>")
    if running:
        world.at(30, lambda: world.jump(-3 * HOUR))
    else:
        world.run(30)
        world.jump(-3 * HOUR)
    world.run(300)

    assert [] == world.left()
