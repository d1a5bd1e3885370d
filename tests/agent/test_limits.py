"""What one user may ask for, and as whom a user may write: pure rules."""

from __future__ import annotations

import pytest

from ssmtp import config
from ssmtp.agent import senders
from ssmtp.agent.limits import CONNECTIONS, FOR_ROOT, Limits
from ssmtp.agent.tally import MINUTE, Tally
from ssmtp.errors import Deferred

ALICE, BOB, ROOT = 1001, 1002, 0


def limits(*lines: str) -> Limits:
    """Limits as a configuration has them."""
    text = "".join(f"{line}\n" for line in ("mailhub=m.example", *lines))
    return Limits(config.parse(text.encode(), "/x/ssmtp.conf"), Tally())


def test_connections():
    """A user has so many connections at a time; those that end count no more."""
    found = limits("MaxConnections=2")

    assert ["", ""] == [found.enter(ALICE), found.enter(ALICE)]
    assert "MaxConnections" in found.enter(ALICE)
    assert "" == found.enter(BOB)
    found.leave(ALICE)
    assert "" == found.enter(ALICE)


def test_connections_in_all():
    """When users have taken all places, root still gets in."""
    found = limits(f"MaxConnections={CONNECTIONS}")
    places = [found.enter(uid) for uid in range(1000, 1000 + CONNECTIONS - FOR_ROOT)]

    assert {""} == set(places)
    assert "which is enough" in found.enter(ALICE)
    assert "" == found.enter(ROOT)


def test_messages_in_a_minute():
    """A burst may use up a whole minute; after that it goes on at the same rate."""
    found = limits("MaxMessagesPerMinute=3")
    for _ in range(3):
        found.message(ALICE, 100.0)
    with pytest.raises(Deferred) as refused:
        found.message(ALICE, 100.0)
    found.message(BOB, 100.0)
    found.message(ALICE, 100.0 + MINUTE / 3)
    with pytest.raises(Deferred):
        found.message(ALICE, 101.0 + MINUTE / 3)

    assert refused.value.reply is not None
    assert (450, "4.7.1") == (refused.value.reply.code, refused.value.reply.status)
    assert "MaxMessagesPerMinute" in refused.value.what


def test_root_is_not_slowed_down():
    """Root could change the limit, so it does not hold for root."""
    found = limits("MaxMessagesPerMinute=1")

    for _ in range(5):
        found.message(ROOT, 1.0)


@pytest.mark.parametrize(
    ("messages", "octets", "more", "key"),
    [
        (0, 0, 0, None),
        (9, 999, 0, None),
        (10, 0, 0, "MaxQueuedMessages"),
        (0, 1000, 0, "MaxQueuedSize"),
        (0, 900, 100, "MaxQueuedSize"),
        (0, 900, 99, None),
    ],
)
def test_room(messages, octets, more, key):
    """A full part of the queue is told as such, with the key, and not for ever."""
    found = limits("MaxQueuedMessages=10", "MaxQueuedSize=1000")
    if key is None:
        found.room(ALICE, messages, octets, more)
        return
    with pytest.raises(Deferred) as refused:
        found.room(ALICE, messages, octets, more)

    assert key in refused.value.what
    assert refused.value.reply is not None
    assert 452 == refused.value.reply.code


RULES = [("*", ["own"]), ("www", ["*@shop.example", "info@a?.example"]), ("x", ["[a]"])]


@pytest.mark.parametrize(
    ("login", "name", "allowed"),
    [
        ("bob", "bob@box.example", True),
        ("bob", "BOB@Box.example", True),
        ("bob", "ann@box.example", False),
        ("bob", "a@shop.example", False),
        ("www", "a@shop.example", True),
        ("www", "a@Shop.Example", True),
        ("www", "a@b.shop.example", False),
        ("www", "info@ab.example", True),
        ("www", "info@abc.example", False),
        ("www", "bob@box.example", True),
        ("x", "a", False),
        ("x", "[a]", True),
    ],
)
def test_allowed(login, name, allowed):
    """AllowSender: patterns with * and ?, case without meaning, `own` the own one."""
    assert allowed == senders.allowed(RULES, login, "bob@box.example", name)


def test_allowed_without_rules():
    """No rule: everybody as anybody. One rule: nobody else as anything."""
    assert senders.allowed([], "bob", "bob@b.example", "x@y.example")
    assert not senders.allowed(
        [("www", ["*"])], "bob", "bob@b.example", "bob@b.example"
    )
