"""MAIL, RCPT and the content: how they are said, and when "sent" may be believed."""

from __future__ import annotations

from typing import Any

import pytest

from ssmtp.errors import (
    AuthRefused,
    Deferred,
    Failure,
    InDoubt,
    MessageRefused,
    RecipientRefused,
    SiteTrouble,
)
from ssmtp.receipt import Receipt
from ssmtp.smtp import phases
from ssmtp.smtp.dialogue import Dialogue
from ssmtp.smtp.phases import Clocks
from ssmtp.smtp.steps import Again, Broken, Flight
from tests.unit.rehearsal import Content, Message, Stage, envelope, facts, perform

pytestmark = pytest.mark.usefixtures("failures_read_well")
PIPELINING = ("PIPELINING",)
CHUNKING = ("PIPELINING", "CHUNKING")
MAIL = b"MAIL FROM:<s@example.org>\r\n"
RCPT = b"RCPT TO:<r0@example.net>\r\n"
SECOND = b"RCPT TO:<r1@example.net>\r\n"
TEXT = b"Subject: rehearsal\r\n\r\nbody\r\n.dot\r\n"
STUFFED = TEXT.replace(b"\r\n.", b"\r\n..")
EHLO, DATA, QUIT = b"EHLO client.test\r\n", b"DATA\r\n", b"QUIT\r\n"
BDAT = b"BDAT 34 LAST\r\n"


# -- as few flights as the mailhub allows


@pytest.mark.parametrize(
    ("offers", "count", "flights"),
    [
        (CHUNKING, 1, [MAIL + RCPT + BDAT + TEXT + QUIT]),
        (CHUNKING, 2, [MAIL + RCPT + SECOND, BDAT + TEXT + QUIT]),
        (PIPELINING, 1, [MAIL + RCPT + DATA, STUFFED + b".\r\n" + QUIT]),
        (PIPELINING, 2, [MAIL + RCPT + SECOND + DATA, STUFFED + b".\r\n" + QUIT]),
        ((), 2, [MAIL, RCPT, SECOND, DATA, STUFFED + b".\r\n", QUIT]),
        (("CHUNKING",), 1, [MAIL, RCPT, BDAT + TEXT, QUIT]),
    ],
)
def test_flights(offers: tuple[str, ...], count: int, flights: list[bytes]) -> None:
    """Everything that may go together goes together."""
    stage = Stage(offers)
    perform(Dialogue(facts(count=count)), stage)

    assert [EHLO, *flights] == stage.flights
    assert stage.accepted


@pytest.mark.parametrize(("size", "flights"), [(65536, 2), (65537, 3)])
def test_large_content(size: int, flights: int) -> None:
    """Up to 64 KiB of content ride in one flight."""
    body = b"x" * (size - 24) + b"\r\n"
    stage = Stage(CHUNKING)
    perform(Dialogue(facts(message=Message(Content(body)))), stage)

    assert flights == len(stage.flights)
    assert size == len(stage.content)


@pytest.mark.parametrize(
    ("offers", "lines"),
    [
        ((), ["Subject: rehearsal", "(34 octets in all)", ".", "QUIT"]),
        (PIPELINING, ["Subject: rehearsal", "(34 octets in all)", ".", "QUIT"]),
        (
            CHUNKING,
            ["BDAT 34 LAST", "Subject: rehearsal", "(34 octets in all)", "QUIT"],
        ),
        (("CHUNKING",), ["BDAT 34 LAST", "Subject: rehearsal", "(34 octets in all)"]),
    ],
)
def test_what_is_shown(offers: tuple[str, ...], lines: list[str]) -> None:
    """Commands and header are shown, the body is not."""
    stage = Stage(offers)
    perform(Dialogue(facts()), stage)

    at = 3 + (not {"CHUNKING"} & {*offers})
    assert [
        "EHLO client.test",
        "MAIL FROM:<s@example.org>",
        "RCPT TO:<r0@example.net>",
        *["DATA"][: at - 3],
    ] == stage.shown[:at]
    assert lines == stage.shown[at:][: len(lines)]
    assert {"QUIT"} >= {*stage.shown[at + len(lines) :]}


@pytest.mark.parametrize(
    ("offers", "names"),
    [
        ((), ["MAIL", "RCPT", "DATA", "content"]),
        (PIPELINING, ["MAIL", "RCPT", "DATA", "content", "QUIT"]),
        (CHUNKING, ["MAIL", "RCPT", "content", "QUIT"]),
    ],
)
def test_phases(offers: tuple[str, ...], names: list[str]) -> None:
    """Each reply has the time-out of its phase; that to a lone QUIT is not awaited."""
    stage = Stage(offers)
    perform(Dialogue(facts()), stage)

    assert ["greeting", "EHLO", *names] == stage.phases


def test_receipt() -> None:
    """The receipt holds the reply that counts, and how much was sent."""
    receipt = perform(Dialogue(facts()), Stage(CHUNKING))

    assert ("250 2.0.0 queued as 1", 34) == (str(receipt.reply), receipt.size)


def test_wishes_of_each_recipient() -> None:
    """NOTIFY and ORCPT may be stated for each recipient."""
    wrapping = envelope(4, notify="NEVER")
    wrapping.wishes = [
        ("DELAY", "rfc822;x@y"),
        (None, None),
        (None, "rfc822;a b"),
        ("NEVER", "utf-8;ü"),
    ]
    stage = Stage(("DSN",))
    perform(Dialogue(facts(envelope=wrapping)), stage)

    assert [
        "RCPT TO:<r0@example.net> NOTIFY=DELAY ORCPT=rfc822;x@y",
        "RCPT TO:<r1@example.net>",
        "RCPT TO:<r2@example.net>",
        "RCPT TO:<r3@example.net> NOTIFY=NEVER ORCPT=rfc822;r3@example.net",
    ] == stage.said[2:6]


# -- leaving a transaction


@pytest.mark.parametrize("text", ["550 no", "400 no"])
def test_a_lone_dot(text: str) -> None:
    """Behind a 354 that no recipient deserves, a lone dot ends nothing (RFC 2920)."""
    stage = Stage(PIPELINING, {"RCPT1": text, "RCPT2": text, "-": "354 go"})
    with pytest.raises((RecipientRefused, Deferred)):
        perform(Dialogue(facts(count=2)), stage)

    assert b".\r\nQUIT\r\n" == stage.flights[-1]
    assert 3 == len(stage.flights)


def test_a_lone_dot_after_mail() -> None:
    """The same when the sender was refused, and DATA accepted all the same."""
    stage = Stage(PIPELINING, {"MAIL": "550 no", "-": "554 no"})
    stage.tamper = lambda number, verb, o: b"354 go\r\n" if number == 5 else o
    with pytest.raises(MessageRefused):
        perform(Dialogue(facts(count=2)), stage)

    assert b".\r\nQUIT\r\n" == stage.flights[-1]


@pytest.mark.parametrize(
    ("text", "last"), [("354 go", MAIL + RCPT + SECOND + DATA), ("450 no", QUIT)]
)
@pytest.mark.parametrize("refused", ["RCPT1", "RCPT2"])
def test_half_of_the_recipients(refused: str, text: str, last: bytes) -> None:
    """When DATA is accepted for some recipients only, the connection is closed."""
    stage = Stage(PIPELINING, {refused: "550 no", "DATA": text})
    with pytest.raises(RecipientRefused):
        perform(Dialogue(facts(count=2)), stage)

    assert last == stage.flights[-1]
    assert not stage.accepted


@pytest.mark.parametrize("lost", [4, 5])
@pytest.mark.parametrize("verb", ["MAIL", "RCPT1"])
def test_replies_that_do_not_come(verb: str, lost: int) -> None:
    """When replies are missing after a refusal, nothing more is said."""
    stage = Stage(
        PIPELINING, {verb: "550 no"}, lambda number, v, o: None if number >= lost else o
    )
    with pytest.raises((MessageRefused, RecipientRefused, Deferred)):
        perform(Dialogue(facts(count=2)), stage)

    assert MAIL + RCPT + SECOND + DATA == stage.flights[-1]


def test_rest_is_read_briefly() -> None:
    """What no longer matters is not waited for as long as what does."""
    stage = Stage(PIPELINING, {"MAIL": "550 no"})
    with pytest.raises(MessageRefused) as caught:
        perform(Dialogue(facts(count=2)), stage)

    assert ["MAIL", "rest", "rest", "rest"] == stage.phases[2:]
    assert "MAIL" == caught.value.phase
    assert QUIT == stage.flights[-1]


class Picky(Stage):
    """A mailhub that refuses parameters."""

    verb = "MAIL"

    def answer(self, name: str, default: str) -> str:
        if name == self.verb and not self.said[-1].endswith(">"):
            default = "555 5.5.4 no"
        return super().answer(name, default)


@pytest.mark.parametrize("offers", [(), PIPELINING])
@pytest.mark.parametrize("verb", ["MAIL", "RCPT1"])
def test_parameters_refused(offers: tuple[str, ...], verb: str) -> None:
    """Without the parameters the message goes out in the same session."""
    stage = Picky((*offers, "SIZE", "DSN"))
    stage.verb = verb
    perform(Dialogue(facts(envelope=envelope(notify="NEVER"))), stage)

    assert stage.accepted
    assert "MAIL FROM:<s@example.org> SIZE=34" in stage.said
    assert MAIL[:-2].decode() in stage.said
    resets = stage.said.count("RSET")
    assert (0 if verb == "MAIL" and not offers else 1) == resets


def test_parameters_refused_and_no_reset() -> None:
    """Where RSET is not known, a new connection does the same."""
    stage = Picky((*PIPELINING, "SIZE"), {"RSET": "500 what?"})
    with pytest.raises(Again) as caught:
        perform(Dialogue(facts()), stage)

    assert (True, False) == (caught.value.bare, caught.value.data)
    assert not stage.accepted


@pytest.mark.parametrize(
    ("verb", "text", "again"),
    [
        ("CONTENT", "554 no", True),
        ("-", "400 no", True),
        ("-", "250 2.0.0 ok", False),
        ("-", "399 so", False),
    ],
)
def test_parameters_refused_in_one_flight(verb: str, text: str, again: bool) -> None:
    """A new connection does without them, if nothing can have been accepted."""
    stage = Picky((*CHUNKING, "SIZE"), {verb: text})
    expected: type[Exception] = Again if again else MessageRefused
    with pytest.raises(expected) as caught:
        perform(Dialogue(facts()), stage)

    if isinstance(caught.value, Again):
        assert (True, False) == (caught.value.bare, caught.value.data)


def test_parameters_refused_and_replies_lost() -> None:
    """When it cannot be known whether something was accepted, it is not tried again."""
    stage = Picky((*CHUNKING, "SIZE"), {}, lambda n, v, o: None if n >= 4 else o)
    with pytest.raises(MessageRefused):
        perform(Dialogue(facts()), stage)


@pytest.mark.parametrize(
    ("text", "tried"),
    [("501 5.5.4 no", True), ("501 5.1.3 no", False), ("503 no", False)],
)
def test_what_a_refused_parameter_is(text: str, tried: bool) -> None:
    """501 and 504 are about parameters, unless they say that the address is wrong."""
    stage = Stage(("SIZE",), {"MAIL": text})
    with pytest.raises(MessageRefused):
        perform(Dialogue(facts()), stage)

    assert tried is (MAIL[:-2].decode() in stage.said)


# -- the verdict


@pytest.mark.parametrize("offers", [(), PIPELINING, CHUNKING])
def test_content_wants_auth(offers: tuple[str, ...]) -> None:
    """A mailhub may think of AUTH as late as that."""
    stage = Stage(offers, {"CONTENT": "530 5.7.0 no"})
    with pytest.raises(AuthRefused, match="wants authentication: 530") as caught:
        perform(Dialogue(facts()), stage)

    assert "530 5.7.0 no" == str(caught.value.reply)
    assert "set AuthUser and a password" == caught.value.next_step


@pytest.mark.parametrize("text", ["500 what?", "502 what?", "504 what?"])
def test_bdat_unknown(text: str) -> None:
    """Who offers CHUNKING and does not know BDAT gets DATA on a new connection."""
    stage = Stage(CHUNKING, {"CONTENT": text})
    with pytest.raises(Again) as caught:
        perform(Dialogue(facts()), stage)

    assert (False, True) == (caught.value.bare, caught.value.data)


def test_bdat_unknown_or_quit() -> None:
    """One 500 for BDAT and QUIT together leaves the content in doubt."""
    stage = Stage(
        CHUNKING,
        {"CONTENT": "500 what?"},
        lambda n, verb, o: b"" if verb == "QUIT" else o,
    )
    with pytest.raises(InDoubt, match="said 500 what.*, and nothing more") as caught:
        perform(Dialogue(facts()), stage)

    assert "500 what?" == str(caught.value.reply)


# -- the witness


def witnessed(
    replies: dict[str, str],
    count: int = 1,
    quit_octets: bytes | None = b"",
) -> Receipt:
    """Submit; where there is no reply to QUIT among the replies, say `quit_octets`."""

    def tamper(number: int, verb: str, octets: bytes) -> bytes | None:
        return quit_octets if verb == "QUIT" and "QUIT" not in replies else octets

    stage = Stage(CHUNKING, replies, tamper)
    return perform(Dialogue(facts(count=count)), stage)


BARE = {"MAIL": "250 ok", "RCPT1": "250 ok", "CONTENT": "250 ok"}
LAST = {"CONTENT": "250 ok"}
PROVED = {"CONTENT": "250 2.0.0 ok"}
ADDRESSED = {"CONTENT": "250 2.1.5 ok"}
FAREWELL = {"CONTENT": "221 2.0.0 bye"}
LONG = b"x" * 70000 + b"\r\n"


@pytest.mark.parametrize(
    ("replies", "count", "closing", "sent"),
    [
        (BARE, 1, "221 bye", True),
        (BARE, 1, "500 what?", True),
        (BARE, 1, "509 what?", True),
        (BARE, 1, "510 what?", False),
        (BARE, 1, "499 what?", False),
        (BARE, 1, "500 what?\r\n221 bye", False),
        (BARE, 1, "250 ok\r\n221 bye", True),
        (BARE, 1, "250 ok\r\n250 ok\r\n250 ok\r\n221 bye", True),
        (BARE, 1, "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n221 bye", False),
        (BARE, 1, "421 bye", False),
        (LAST, 2, "421 bye", True),
        (LAST, 2, "422 bye", False),
        (LAST, 2, "420 bye", False),
        (LAST, 2, "500 what?", True),
        (LAST, 2, "354 go", False),
        (PROVED, 1, "451 later", True),
        (PROVED, 1, "354 go", True),
        (PROVED, 2, "451 later", False),
        (ADDRESSED, 1, "221 bye", True),
        (ADDRESSED, 1, "500 what?", False),
        (ADDRESSED, 2, "500 what?", False),
        ({**BARE, **PROVED}, 1, "451 later", False),
        ({"RCPT1": "250 2.0.0 ok", **PROVED}, 1, "451 later", False),
        (FAREWELL, 2, "221 bye", True),
        (FAREWELL, 2, "500 what?", False),
    ],
)
def test_closing(replies: dict[str, str], count: int, closing: str, sent: bool) -> None:
    """What answers QUIT tells whether the replies were in step."""
    replies = {**replies, "QUIT": closing}
    if sent:
        receipt = witnessed(replies, count)
        assert replies["CONTENT"] == str(receipt.reply)
        return
    with pytest.raises(InDoubt) as caught:
        witnessed(replies, count)

    assert "answered QUIT with" in caught.value.what
    assert "so that its 2" in caught.value.what
    assert "proves nothing" in caught.value.what
    assert replies["CONTENT"] == str(caught.value.reply)


@pytest.mark.parametrize(
    ("replies", "count", "octets", "sent"),
    [
        (BARE, 1, None, True),
        (BARE, 1, b"", False),
        (BARE, 1, b"nonsense\r\n", False),
        (BARE, 1, b"221-" + LONG, True),
        (BARE, 1, b"221 " + LONG, True),
        (BARE, 1, b"2210" + LONG, False),
        (BARE, 1, b"222 " + LONG, False),
        (LAST, 2, None, True),
        (LAST, 2, b"", True),
        (LAST, 2, b"nonsense\r\n", False),
        (PROVED, 1, b"", True),
        (PROVED, 1, b"nonsense\r\n", True),
        (PROVED, 2, b"nonsense\r\n", False),
        (ADDRESSED, 1, None, False),
        (ADDRESSED, 1, b"", False),
        (ADDRESSED, 2, b"", False),
        (FAREWELL, 1, None, False),
        (FAREWELL, 2, None, False),
        (FAREWELL, 2, b"", False),
    ],
)
def test_no_closing(
    replies: dict[str, str], count: int, octets: bytes | None, sent: bool
) -> None:
    """Where QUIT has no answer, what was said before has to be certain enough."""
    if sent:
        assert replies["CONTENT"] == str(witnessed(replies, count, octets).reply)
        return
    with pytest.raises(InDoubt) as caught:
        witnessed(replies, count, octets)

    said = replies["CONTENT"]
    assert f"and said {said}, and then " in caught.value.what
    assert said == str(caught.value.reply)


@pytest.mark.parametrize(
    ("closing", "sent"), [(b"221 bye\r\n", True), (b"", False), (None, False)]
)
def test_farewell_as_acceptance(closing: bytes | None, sent: bool) -> None:
    """A 221 to the content, step by step: QUIT has to be answered once more."""
    stage = Stage((), FAREWELL, lambda n, verb, o: closing if verb == "QUIT" else o)
    if sent:
        assert 221 == perform(Dialogue(facts()), stage).reply.code
    else:
        with pytest.raises(InDoubt):
            perform(Dialogue(facts()), stage)


# -- content that cannot be written to its end


def hindered(offers: tuple[str, ...], replies: dict[str, str], **flags: bool) -> Stage:
    """Return a mailhub that answers before it has the content."""
    stage = Stage(offers, replies)

    def hurdle(flight: Flight) -> bool:
        flight.committed = flags.get("committed", False)
        if flags.get("broken"):
            raise Broken("took nothing for 300 s", late=True)
        stage.need, stage.reading = -1, False
        stage.answer("CONTENT", "250 2.0.0 ok")
        return False

    stage.hurdle = hurdle
    return stage


@pytest.mark.parametrize("offers", [(), PIPELINING, CHUNKING])
def test_stuck(offers: tuple[str, ...]) -> None:
    """When the last octets did not leave, nothing can have been accepted."""
    with pytest.raises(Deferred, match="took nothing for 300 s while answering the me"):
        perform(Dialogue(facts()), hindered(offers, {}, broken=True))
    with pytest.raises(InDoubt, match="took nothing for 300 s"):
        perform(Dialogue(facts()), hindered(offers, {}, broken=True, committed=True))


@pytest.mark.parametrize("offers", [(), PIPELINING, CHUNKING])
@pytest.mark.parametrize(
    ("text", "failure"),
    [("250 2.0.0 ok", Deferred), ("552 no", MessageRefused), ("452 no", Deferred)],
)
def test_answered_too_early(
    offers: tuple[str, ...], text: str, failure: type[Failure]
) -> None:
    """An acceptance of what was not written is none."""
    with pytest.raises(failure) as caught:
        perform(Dialogue(facts()), hindered(offers, {"CONTENT": text}))

    assert failure is type(caught.value)
    assert ("before it had it" in caught.value.what) is (text[0] == "2")


def test_parameters_refused_while_writing() -> None:
    """When writing stopped at the refusal, nothing else has to be waited for."""
    stage = Picky((*CHUNKING, "SIZE"))

    def hurdle(flight: Flight) -> bool:
        return False

    stage.hurdle = hurdle
    with pytest.raises(Again) as caught:
        perform(Dialogue(facts()), stage)

    assert caught.value.bare
    assert ["greeting", "EHLO", "MAIL"] == stage.phases


def test_bdat_unknown_while_writing() -> None:
    """A refused BDAT that stopped the writing is tried as DATA."""
    with pytest.raises(Again) as caught:
        perform(Dialogue(facts()), hindered(CHUNKING, {"CONTENT": "500 what?"}))

    assert caught.value.data


def test_handoff_to_a_stranger() -> None:
    """What only an agent of ours understands is not said to others."""
    stage = Stage(CHUNKING)
    with pytest.raises(SiteTrouble, match="hub.test:25 is none of ours") as caught:
        perform(Dialogue(facts(handoff=" XREAD")), stage)

    assert "check AgentSocket" == caught.value.next_step
    assert ["EHLO client.test", "QUIT"] == stage.said


@pytest.mark.parametrize(
    ("handoff", "count", "flights"),
    [(" XFROM=NONE", 1, 2), (" XREAD", 0, 2), (" XREAD", 1, 3), (" XFROM=NONE", 2, 3)],
)
def test_handoff(handoff: str, count: int, flights: int) -> None:
    """One place to ask for recipients, and all of it rides in one flight."""
    stage = Stage((*CHUNKING, "XSUBMIT"))
    fact = facts(envelope=envelope(count), handoff=handoff)
    if not count:
        stage.rcpts.append("those of the header")
        stage.tamper = lambda n, verb, o: o
        stage.replies = {"-": "250 2.0.0 queued as 1"}
    perform(Dialogue(fact), stage)

    assert f"MAIL FROM:<s@example.org>{handoff}" == stage.said[1]
    assert flights == len(stage.flights)


def test_greeted() -> None:
    """Whether the mailhub has said anything decides if another address is tried."""
    silent, greeted = Dialogue(facts()), Dialogue(facts())
    with pytest.raises(Failure):
        perform(silent, Stage((), {}, lambda n, v, o: None))
    perform(greeted, Stage())

    assert not silent.greeted
    assert greeted.greeted


def test_clocks() -> None:
    """Each phase has its time; what nobody depends on gets two seconds."""
    times = {phase.name: Clocks(1, 2, 3).of(phase) for phase in phases.PHASES}

    assert {"TLS": 1, "content": 3, "QUIT": 2.0, "rest": 2.0} == {
        name: seconds for name, seconds in times.items() if name in SPECIAL
    }
    assert {2} == {seconds for name, seconds in times.items() if name not in SPECIAL}
    assert (30.0, 300.0, 600.0) == (
        Clocks().of(phases.TLS),
        Clocks().of(phases.MAIL),
        Clocks().of(phases.CONTENT),
    )
    assert 2.0 == Clocks().of(phases.QUIT)


SPECIAL = ("TLS", "content", "QUIT", "rest")


def outcome(fact: Any, stage: Stage) -> type:
    try:
        return type(perform(Dialogue(fact), stage))
    except (Failure, Again) as end:
        return type(end)


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize(
    ("offers", "ends"),
    [
        ((), "NetworkTrouble NetworkTrouble Deferred Deferred Deferred InDoubt"),
        (CHUNKING, "NetworkTrouble NetworkTrouble InDoubt InDoubt InDoubt Receipt"),
    ],
)
def test_connection_lost(offers: tuple[str, ...], ends: str, number: int) -> None:
    """What a lost connection means depends on what was given out before."""
    stage = Stage(offers, BARE, lambda n, v, o: None if n == number else o)

    assert ends.split()[number] == outcome(facts(), stage).__name__
