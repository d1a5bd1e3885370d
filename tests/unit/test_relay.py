"""Message after message on one connection: `ssmtp.smtp.relay` and `outcomes`."""

from __future__ import annotations

import random

import pytest

from ssmtp import address
from ssmtp.envelope import Envelope
from ssmtp.errors import (
    EX_NOPERM,
    EX_NOUSER,
    AuthRefused,
    InputRefused,
    MailhubRefused,
    MessageRefused,
    SiteTrouble,
)
from ssmtp.smtp import exits
from ssmtp.smtp.relay import Glance
from ssmtp.smtp.reply import Reply
from ssmtp.smtp.sasl import Credentials
from ssmtp.smtp.steps import Again, Broken, Flight
from ssmtp.values import Secret
from tests.unit.relaying import (
    CHUNKING,
    LIES,
    PIPELINING,
    Hub,
    Numbered,
    Warm,
    attempts_again,
    envelope,
    states,
)

LOGIN = Credentials("me", lambda: Secret("secret"))
OFFERS = {"chunking": CHUNKING, "pipelining": PIPELINING, "neither": ("8BITMIME",)}
EVERY = pytest.mark.parametrize("offers", OFFERS.values(), ids=OFFERS)


@EVERY
def test_message_after_message(offers: tuple[str, ...]) -> None:
    """A connection carries many messages, each to all of its recipients."""
    hub = Hub(offers)
    warm = Warm(hub)

    results = [warm.send(n, 1 + n % 3) for n in range(6)]

    assert all(result.usable and result.receipt for result in results)
    assert [["sent"] * (1 + n % 3) for n in range(6)] == [states(r) for r in results]
    assert {(n, f"r{k}@example.net") for n in range(6) for k in range(1 + n % 3)} == {
        *hub.took
    }


def test_flights() -> None:
    """The first message shows its envelope first; later ones go in one flight."""
    hub = Hub()
    warm = Warm(hub)
    warm.send(1, 2)
    warm.send(2, 2)
    warm.send(3, size=70_000)
    warm.send(4, last=True)

    assert [
        ["EHLO"],
        ["MAIL", "RCPT", "RCPT"],
        ["BDAT", "RSET"],
        [],
        ["MAIL", "RCPT", "RCPT", "BDAT", "RSET"],
        [],
        ["MAIL", "RCPT"],
        ["BDAT", "RSET"],
        [],
        ["MAIL", "RCPT", "BDAT", "QUIT"],
    ] == hub.flights


def test_flights_without_chunking() -> None:
    """With PIPELINING alone DATA ends the first flight (RFC 2920)."""
    hub = Hub(PIPELINING)
    Warm(hub).send(1)

    assert [["EHLO"], ["MAIL", "RCPT", "DATA"], ["RSET"], []] == hub.flights


@EVERY
@pytest.mark.parametrize("number", [1, 2])
def test_partial_refusal(offers: tuple[str, ...], number: int) -> None:
    """Each recipient has its own outcome; the others get the message."""
    answers = {"r1@example.net": "550 5.1.1 nobody", "r2@example.net": "450 4.2.1 full"}
    hub = Hub(offers, answers)
    warm = Warm(hub)
    for before in range(1, number):
        warm.send(before)

    result = warm.send(number, 4)

    assert ["sent", "refused", "deferred", "sent"] == states(result)
    assert "550 5.1.1 nobody" == result.outcomes[1].text
    assert [(number, "r0@example.net"), (number, "r3@example.net")] == hub.took[-2:]
    assert ["sent"] == states(warm.send(9))


@EVERY
def test_nobody_is_taken(offers: tuple[str, ...]) -> None:
    """When all are refused no content is taken, and the connection goes on."""
    hub = Hub(offers, {"RCPT/1": "550 5.1.1 no", "RCPT/2": "550 5.1.1 no"})
    warm = Warm(hub)

    assert ["refused", "refused"] == states(warm.send(1, 2))
    assert ["refused"] == states(warm.send(2))
    assert ["sent"] == states(warm.send(3))


def test_data_accepted_for_nobody() -> None:
    """Behind a 354 for nobody the connection is given up, and nothing is said."""
    hub = Hub(PIPELINING, {"RCPT": "550 5.1.1 no", "DATA!": "354 go"})

    result = Warm(hub).send(1)

    assert [["EHLO"], ["MAIL", "RCPT", "DATA"]] == hub.flights
    assert ["refused"] == states(result)
    assert not result.usable
    assert not hub.took


@EVERY
def test_sender_refused(offers: tuple[str, ...]) -> None:
    """A 5xx to MAIL refuses the message for everybody, a 4xx defers it."""
    hub = Hub(offers, {"MAIL/1": "550 5.7.1 not you", "MAIL/2": "451 4.3.0 later"})
    warm = Warm(hub)
    first, second = warm.send(1, 2), warm.send(2, 2)

    assert ["refused", "refused"] == states(first)
    assert ["deferred", "deferred"] == states(second)
    assert second.busy
    assert not first.busy
    assert ["sent"] == states(warm.send(3))


@EVERY
def test_content_refused(offers: tuple[str, ...]) -> None:
    """The answer to the content is that of all who were accepted."""
    answers = {
        "CONTENT/1": "554 5.6.0 spam",
        "CONTENT/2": "452 4.3.1 full",
        "r1@example.net": "550 5.1.1 nobody",
    }
    warm = Warm(Hub(offers, answers))

    assert ["refused", "refused"] == states(warm.send(1, 2))
    assert ["deferred", "refused"] == states(warm.send(2, 2))
    assert ["sent", "refused"] == states(warm.send(3, 2))


@EVERY
def test_auth_wanted(offers: tuple[str, ...]) -> None:
    """530 concerns the mailhub, and says nothing about a message."""
    for answers in (
        {"MAIL": "530 5.7.0 authenticate"},
        {"RCPT": "530 5.7.0 authenticate"},
    ):
        result = Warm(Hub(offers, answers)).send(1, 2)

        assert isinstance(result.trouble, AuthRefused)
        assert not result.outcomes


@EVERY
def test_login_that_has_expired(offers: tuple[str, ...]) -> None:
    """530 on a connection that had worked concerns that connection (OAuth's token)."""
    for verb in ("MAIL", "RCPT"):
        for code in (530, 535):
            hub = Hub(offers, {f"{verb}/2": f"{code} 5.7.0 token expired"})
            warm = Warm(hub)
            warm.send(1)

            result = warm.send(2, 2)

            assert result.stale
            assert result.trouble is None
            assert not result.outcomes


def test_relaying_denied_is_the_recipients_own() -> None:
    """A recipient that the mailhub will not relay to does not stop the others.

    Whoever waits for it learns that it is the account that may not.
    """
    answers = {"r0@example.net": "554 5.7.1 relay access denied"}
    for credentials, expected in ((None, EX_NOUSER), (LOGIN, EX_NOPERM)):
        warm = Warm(Hub((*CHUNKING, "AUTH PLAIN"), answers))
        warm.relay.session.facts.credentials = credentials
        result = warm.send(1, 2)

        assert ["refused", "sent"] == states(result)
        assert result.trouble is None
        why = result.outcomes[0].failure
        assert why is not None
        assert expected == why.exit_code
        said, status = exits.verdict(why)
        assert expected == exits.kind(Reply(said, [f"{status} no"])).exit_code


@pytest.mark.parametrize("reply", [None, Reply(554, ["5.7.1 no"])])
def test_the_message_itself_is_refused(reply: Reply | None) -> None:
    """Who waits for the agent is told alike of a refusal by the mailhub and by us."""
    for kind in (MessageRefused, InputRefused):
        code, status = exits.verdict(kind("no", reply=reply))

        found = exits.kind(Reply(code, [f"{status} no"]))
        assert found is kind


@EVERY
@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("552 too many recipients", "deferred"),
        ("552 5.5.3 too many recipients", "deferred"),
        ("552 5.2.2 mailbox full", "refused"),
        ("550 5.5.3 too many recipients", "refused"),
    ],
)
def test_too_many_recipients(offers: tuple[str, ...], text: str, state: str) -> None:
    """552 once meant too many recipients (RFC 5321 §4.5.3.1.10): the rest go later."""
    some = Warm(Hub(offers, {"r1@example.net": text, "r2@example.net": text}))
    nobody = Warm(Hub(offers, {"RCPT": text}))

    assert ["sent", state, state] == states(some.send(1, 3))
    assert ["refused"] * 3 == states(nobody.send(1, 3))


@EVERY
def test_421_everywhere(offers: tuple[str, ...]) -> None:
    """421 ends the connection: nothing is refused for it, and nothing falsely sent."""
    for verb in ("MAIL", "RCPT", "DATA", "CONTENT", "RSET"):
        for number in (1, 2):
            hub = Hub(offers, {f"{verb}/{number}": "421 4.3.2 shutting down"})
            warm = Warm(hub)
            for before in range(1, number):
                warm.send(before)
            result = warm.send(number, 2)
            if verb == "DATA" and "CHUNKING" in offers:
                continue

            assert not result.usable, (verb, number)
            if verb == "MAIL" and number == 2:
                assert result.stale
            elif verb == "RSET":
                assert ["sent", "sent"] == states(result)
            else:
                assert ["deferred", "deferred"] == states(result), (verb, number)


def test_an_old_connection() -> None:
    """What fails before MAIL was answered on a warm connection is no deferral."""
    hub = Hub()
    warm = Warm(hub)
    warm.send(1)
    hub.pieces.append(None)
    hub.closed = True

    result = warm.send(2)

    assert result.stale
    assert not result.outcomes
    with pytest.raises(Broken):
        warm.perform(Glance())


def test_parameters_refused() -> None:
    """A mailhub that does not take its own parameters gets the message without."""
    offers = (*CHUNKING, "SIZE")
    for number in (1, 2):
        hub = Hub(offers)
        warm = Warm(hub)
        for before in range(1, number):
            warm.send(before)
        hub.answers = {f"MAIL/{number}": "555 5.5.4 what is SIZE?"}

        assert ["sent"] == states(warm.send(number))
        assert "MAIL FROM:<s@example.org>" in hub.said
        hub.answers = {"MAIL": "501 5.5.4 no"}
        assert ["refused"] == states(warm.send(7))


def test_parameters_refused_of_another_message() -> None:
    """Who has no address in ASCII gets mail though parameters were refused before."""
    hub = Hub((*CHUNKING, "SIZE"), {"MAIL/1": "555 5.5.4 what is SIZE?"})
    warm = Warm(hub)
    whole = Envelope(None, [address.make("jörg", "example.net", "to")])

    assert ["sent"] == states(warm.send(1))
    assert ["sent"] == states(warm.perform(warm.relay.give(whole, Numbered(2))))
    assert "MAIL FROM:<> SIZE=32 BODY=8BITMIME SMTPUTF8" in hub.said
    assert ["sent"] == states(warm.send(3))


def test_bdat_unknown() -> None:
    """CHUNKING that is offered and not known is left out on a new connection."""
    hub = Hub(answers={"CONTENT": "502 5.5.1 BDAT?"})
    with pytest.raises(Again) as again:
        Warm(hub).send(1)

    assert again.value.data
    assert ["sent"] == states(Warm(Hub(), data=True).send(1))


def test_too_large() -> None:
    """A message over SIZE is refused without being said."""
    hub = Hub((*CHUNKING, "SIZE 100"))
    warm = Warm(hub)

    assert ["refused"] == states(warm.send(1, size=300))
    assert ["EHLO client.test"] == hub.said
    assert ["sent"] == states(warm.send(2))


def test_address_without_ascii_form() -> None:
    """Who has no address in ASCII is refused where there is no SMTPUTF8, alone."""
    hub = Hub(("PIPELINING", "8BITMIME"))
    warm = Warm(hub)
    whole = envelope(2)
    whole.recipients.insert(1, address.make("jörg", "example.net", "to"))
    result = warm.perform(warm.relay.give(whole, Numbered(1)))

    assert ["sent", "refused", "sent"] == states(result)
    assert "needs SMTPUTF8" in result.outcomes[1].text
    only = Envelope(None, [address.make("jörg", "example.net", "to")])
    assert ["refused"] == states(warm.perform(warm.relay.give(only, Numbered(2))))
    assert ["sent"] == states(warm.send(3))


@pytest.mark.parametrize("answer", ["421 4.3.2 bye", "555 5.5.4 BODY?"])
def test_address_without_ascii_form_and_more_trouble(answer: str) -> None:
    """What else the mailhub has against a message makes no refusal unsaid."""
    hub = Hub(("PIPELINING", "8BITMIME", "SIZE"), {"MAIL/1": answer})
    warm = Warm(hub)
    whole = envelope(1)
    whole.recipients.append(address.make("jörg", "example.net", "to"))
    result = warm.perform(warm.relay.give(whole, Numbered(1)))

    expected = "deferred" if answer.startswith("4") else "sent"
    assert [expected, "refused"] == states(result)
    assert "needs SMTPUTF8" in result.outcomes[1].text


def test_delivery_reports() -> None:
    """NOTIFY and ORCPT of each recipient are passed on."""
    hub = Hub()
    warm = Warm(hub)
    whole = envelope(3, ret="HDRS", envid="e1")
    whole.wishes = [("NEVER", None), (None, "rfc822;a+2Bb@example.net"), (None, None)]
    warm.perform(warm.relay.give(whole, Numbered(1)))

    assert [
        "MAIL FROM:<s@example.org> RET=HDRS ENVID=e1",
        "RCPT TO:<r0@example.net> NOTIFY=NEVER ORCPT=rfc822;r0@example.net",
        "RCPT TO:<r1@example.net> ORCPT=rfc822;a+2Bb@example.net",
        "RCPT TO:<r2@example.net>",
    ] == hub.said[1:5]


def test_shifted_by_one() -> None:
    """An extra 250 in front of a refusal is not taken for the acceptance."""
    for lazy in (False, True):
        for statuses in (False, True):
            for verb in ("RCPT", "CONTENT", "MAIL"):

                def tamper(
                    number: int, said: str, octets: bytes, verb: str = verb
                ) -> list[bytes | None]:
                    extra = said == verb and number > 5
                    return [b"250 ok\r\n", octets] if extra else [octets]

                answers = {"CONTENT/2": "554 5.6.0 spam"}
                hub = Hub(CHUNKING, answers, tamper, lazy=lazy, statuses=statuses)
                warm = Warm(hub)
                warm.send(1)
                result = warm.send(2)

                assert states(result)[0] in ("doubt", "deferred"), (lazy, verb)
                assert result.odd
                assert not result.usable


def test_careful_mode() -> None:
    """An odd mailhub gets one message a connection, and QUIT tells."""
    hub = Hub()
    warm = Warm(hub)
    warm.relay.careful = True
    result = warm.send(1)

    assert ["sent"] == states(result)
    assert not result.usable
    assert ["BDAT", "QUIT"] == hub.flights[-1]

    hub = Hub(answers={"QUIT": "554 5.6.0 spam"})
    warm = Warm(hub)
    warm.relay.careful = True

    assert ["doubt"] == states(warm.send(1))


def test_dropped_behind_the_content() -> None:
    """Without an answer to the content the message is in doubt, not lost."""
    for verb, state in (("CONTENT", "doubt"), ("RCPT", "deferred")):

        def tamper(
            number: int, said: str, octets: bytes, verb: str = verb
        ) -> list[bytes | None]:
            return [None] if said == verb else [octets]

        result = Warm(Hub(tamper=tamper)).send(1)

        assert [state] == states(result)
        assert not result.usable


def test_dropped_behind_the_acceptance() -> None:
    """A queue id, or a status, makes an acceptance believed that stands alone."""
    for text, state in (
        ("250 2.0.0 queued as ABC123", "sent"),
        ("250 ok", "doubt"),
        ("250 2.1.5 ok", "doubt"),
    ):
        hub = Hub(
            answers={"CONTENT": text},
            tamper=lambda n, v, o: [None] if v == "RSET" else [o],
        )

        assert [state] == states(Warm(hub).send(1)), text


@pytest.mark.parametrize("offers", [("8BITMIME",), ("CHUNKING",)])
@pytest.mark.parametrize("where", ["CONTENT", "RSET"])
def test_dropped_behind_what_was_asked_alone(
    offers: tuple[str, ...], where: str
) -> None:
    """Where all is said one by one, an acceptance was the answer to the content."""
    for text, state in (
        ("250 ok", "sent"),
        ("250 2.1.5 ok", "sent"),
        ("221 bye", "doubt"),
        ("550 5.7.1 no", "refused"),
    ):
        hub = Hub(
            offers,
            {"CONTENT": text},
            lambda n, v, o: [o, None][v == "RSET" :] if v == where else [o],
        )
        result = Warm(hub).send(1)

        assert [state] == states(result), text
        assert not result.usable


def test_opening_fails() -> None:
    """What is refused before MAIL is the trouble of the mailhub, not of a message."""
    with pytest.raises(MailhubRefused):
        Warm(Hub(answers={"GREETING": "554 5.7.1 go away"}))
    with pytest.raises(SiteTrouble):
        Warm(Hub(answers={"GREETING": "421 4.3.2 busy"}))
    with pytest.raises(SiteTrouble):
        Warm(Hub(answers={"EHLO": "451 4.3.0 later"}))


@pytest.mark.parametrize("seed", range(4))
def test_never_falsely_sent(seed: int) -> None:
    """Whatever a mailhub does wrong once, nothing is taken for sent that was not."""
    rng = random.Random(seed)
    seen = set()
    for _ in range(600):
        offers = rng.choice(list(OFFERS.values()))
        where, lie = rng.randrange(2, 40), rng.choice(LIES)
        answers = {}
        for number in range(1, 6):
            for verb, text in (
                ("CONTENT", "554 5.6.0 no"),
                ("CONTENT", "451 4.6.0 later"),
                ("RCPT", "550 5.1.1 no"),
                ("MAIL", "451 4.1.0 later"),
            ):
                if rng.random() < 0.15:
                    answers[f"{verb}/{number}"] = text

        def tamper(
            number: int,
            verb: str,
            octets: bytes,
            where: int = where,
            lie: object = lie,
            offers: tuple[str, ...] = offers,
        ) -> list[bytes | None]:
            if number != where or not callable(lie):
                return [octets]
            if verb == "CONTENT" and octets[:1] != b"2":
                # Who says so instead has taken it, and who says it first to a client
                # that asked nothing else.
                told: list[bytes | None] = lie(rng, octets)
                first = "PIPELINING" not in offers and told[0] == b"250 2.0.0 ok\r\n"
                return told if octets in told and not first else [octets]
            made: list[bytes | None] = lie(rng, octets)
            return made

        hub = Hub(
            offers,
            answers,
            tamper,
            lazy=rng.random() < 0.5,
            statuses=rng.random() < 0.5,
        )
        warm = Warm(hub)
        for number in range(1, 6):
            count = rng.randrange(1, 4)
            result = attempts_again(warm, number, count)
            if result is None:
                break
            for outcome in result.outcomes:
                seen.add(outcome.state)
                if outcome.state == "sent":
                    assert (number, f"r{outcome.number}@example.net") in hub.took
            if not result.usable:
                break

    assert {"sent", "refused", "deferred", "doubt"} == seen


def test_farewell() -> None:
    """A connection that is no longer needed ends with QUIT."""
    hub = Hub()
    warm = Warm(hub)
    warm.send(1)
    warm.perform(warm.relay.farewell())

    assert "QUIT" == hub.said[-1]


@EVERY
@pytest.mark.parametrize("text", ["250 2.0.0 queued as X", "554 5.6.0 no"])
def test_the_last_message(offers: tuple[str, ...], text: str) -> None:
    """Behind the last message QUIT takes the place of RSET."""
    hub = Hub(offers, {"CONTENT": text})
    result = Warm(hub).send(1, last=True)

    assert ["sent" if text[0] == "2" else "refused"] == states(result)
    assert not result.usable
    assert ["QUIT"] == [line for line in hub.said if line in ("QUIT", "RSET")]


@pytest.mark.parametrize("offers", [("8BITMIME",), ("CHUNKING",)])
@pytest.mark.parametrize("more", ["550 5.7.1 no", "221 2.0.0 bye", "nonsense"])
@pytest.mark.parametrize(
    ("text", "state"), [("250 2.0.0 ok", "sent"), ("250 ok", "doubt")]
)
def test_more_than_an_acceptance(
    offers: tuple[str, ...], more: str, text: str, state: str
) -> None:
    """What was asked alone is believed if its status says what it answers."""
    hub = Hub(
        offers,
        {"CONTENT": text},
        lambda n, v, o: [o + more.encode() + b"\r\n"] if v == "CONTENT" else [o],
    )
    result = Warm(hub).send(1)

    assert [state] == states(result)
    assert not result.usable


@pytest.mark.parametrize("offers", [("8BITMIME",), ("CHUNKING",)])
@pytest.mark.parametrize(
    ("more", "state"),
    [
        ("250 2.1.5 <r1> ok", "sent"),
        ("250 2.1.5 <r1> ok\r\n250 2.1.5 <r2> ok", "sent"),
        ("250 2.1.5 <r1> ok\r\n550 5.1.1 <r2> no", "doubt"),
        ("250 2.1.5 <r1> ok\r\n221 2.0.0 bye", "doubt"),
    ],
)
def test_an_acceptance_for_each(offers: tuple[str, ...], more: str, state: str) -> None:
    """Who accepts the content for each recipient, as in LMTP, has accepted it."""
    hub = Hub(
        offers,
        {"CONTENT": "250 2.1.5 <r0> ok"},
        lambda n, v, o: [o + more.encode() + b"\r\n"] if v == "CONTENT" else [o],
    )
    result = Warm(hub).send(1, 3)

    assert [state] * 3 == states(result)
    assert not result.usable
    said = "said 250 2.1.5 <r0> ok, and then spoke before it was asked"
    assert (said in result.outcomes[0].text) is (state == "doubt")


@pytest.mark.parametrize(
    ("text", "state", "words"),
    [
        ("250 2.0.0 ok", "deferred", "accepted it before it had it: 250 2.0.0 ok"),
        ("452 4.3.1 no", "deferred", "was not given all of it (452 4.3.1 no)"),
        ("552 5.3.4 no", "refused", "552 5.3.4 no"),
    ],
)
def test_answered_before_it_was_written(text: str, state: str, words: str) -> None:
    """An answer to content that was not written to its end accepts nothing."""
    hub = Hub()
    warm = Warm(hub)

    def hurdle(flight: Flight) -> bool:
        hub.answer("CONTENT", text)
        return False

    warm.hurdle = hurdle
    result = warm.send(1)

    assert [state] == states(result)
    assert not result.usable
    assert words in result.outcomes[0].text
    assert words in repr(result.outcomes[0])


def test_wishes_of_those_who_are_left() -> None:
    """When an address cannot be sent, the wishes of the others stay theirs."""
    hub = Hub(("DSN",))
    warm = Warm(hub)
    names = [address.make(n, "example.net", "to") for n in ("a", "ü", "c")]
    wrapping = Envelope(None, names)
    wrapping.wishes = [("NEVER", None), ("DELAY", None), ("SUCCESS", "rfc822;x@y")]
    result = warm.perform(warm.relay.give(wrapping, Numbered(1)))

    assert ["sent", "refused", "sent"] == states(result)
    assert [
        "RCPT TO:<a@example.net> NOTIFY=NEVER ORCPT=rfc822;a@example.net",
        "RCPT TO:<c@example.net> NOTIFY=SUCCESS ORCPT=rfc822;x@y",
    ] == [line for line in hub.said if line.startswith("RCPT")]
