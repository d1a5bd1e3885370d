"""The dialogue says what it should, and believes nothing that is not so."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp import address
from ssmtp.config import Secret
from ssmtp.envelope import Envelope
from ssmtp.errors import (
    AuthRefused,
    Deferred,
    Failure,
    InDoubt,
    InputRefused,
    Interrupted,
    MailhubRefused,
    MessageRefused,
    NetworkTrouble,
    RecipientRefused,
    SiteTrouble,
)
from ssmtp.smtp.dialogue import Dialogue
from ssmtp.smtp.sasl import Credentials
from ssmtp.smtp.steps import Again
from tests.fuzz.hub import EXTRAS, INSTEAD, decides
from tests.unit.rehearsal import (
    Content,
    Message,
    Stage,
    attempt,
    envelope,
    facts,
    perform,
)

pytestmark = pytest.mark.usefixtures("failures_read_well")
Tamper = Callable[[int, str, bytes], bytes | None]
PLAIN: tuple[str, ...] = ("8BITMIME", "SIZE 100000")
PIPELINING = (*PLAIN, "PIPELINING")
CHUNKING = (*PIPELINING, "CHUNKING")
MODES = {"plain": PLAIN, "pipelining": PIPELINING, "chunking": CHUNKING}
modes = pytest.mark.parametrize("offers", MODES.values(), ids=MODES)


@modes
@pytest.mark.parametrize("count", [1, 3])
def test_accepted(offers: tuple[str, ...], count: int) -> None:
    """In every mode the content arrives as it is, once for all recipients."""
    stage = Stage(offers)
    receipt = perform(Dialogue(facts(count=count)), stage)

    assert stage.accepted
    assert b"Subject: rehearsal\r\n\r\nbody\r\n.dot\r\n" == stage.content
    assert count == len(stage.rcpts)
    assert "1" == receipt.queue_id
    assert "hub.test:25" == receipt.hub
    assert ("BDAT" in " ".join(stage.said)) is ("CHUNKING" in offers)
    assert "QUIT" == stage.said[-1]


REFUSALS: list[tuple[str, str, type[Failure]]] = [
    ("GREETING", "421 4.3.2 busy", SiteTrouble),
    ("GREETING", "450 later", SiteTrouble),
    ("GREETING", "554 go away", MailhubRefused),
    ("GREETING", "250 hello", SiteTrouble),
    ("GREETING", "354 go", SiteTrouble),
    ("EHLO", "421 4.3.2 busy", SiteTrouble),
    ("EHLO", "550 who are you?", SiteTrouble),
    ("EHLO", "354 go", SiteTrouble),
    ("MAIL", "451 later", Deferred),
    ("MAIL", "421 closing", Deferred),
    ("MAIL", "550 5.7.1 no", MessageRefused),
    ("MAIL", "552 5.3.4 too big", MessageRefused),
    ("MAIL", "530 5.7.0 authenticate", AuthRefused),
    ("MAIL", "354 go", Deferred),
    ("RCPT1", "450 later", Deferred),
    ("RCPT1", "550 5.1.1 who?", RecipientRefused),
    ("RCPT1", "551 5.1.6 gone", RecipientRefused),
    ("RCPT1", "550 5.7.1 relaying denied", RecipientRefused),
    ("RCPT1", "530 5.7.0 authenticate", AuthRefused),
    ("RCPT1", "354 go", Deferred),
    ("CONTENT", "451 later", Deferred),
    ("CONTENT", "421 closing", Deferred),
    ("CONTENT", "550 5.7.1 spam", MessageRefused),
    ("CONTENT", "554 no", MessageRefused),
    ("CONTENT", "354 more", InDoubt),
]


@modes
@pytest.mark.parametrize(("verb", "text", "failure"), REFUSALS)
def test_refusals(
    offers: tuple[str, ...], verb: str, text: str, failure: type[Failure]
) -> None:
    """Each refusal has its scope, and the mailhub's own words are in the sentence."""
    stage = Stage(offers, {verb: text})
    with pytest.raises(failure) as caught:
        perform(Dialogue(facts()), stage)

    assert failure is type(caught.value)
    assert not stage.accepted
    assert text.split(" ", 1)[1] in caught.value.sentence()
    assert caught.value.reply is not None


@modes
@pytest.mark.parametrize("text", ["200 ok", "251 2.0.0 ok", "252 fine", "299"])
def test_any_2xx(offers: tuple[str, ...], text: str) -> None:
    """Every 2xx to MAIL, RCPT and the content is acceptance."""
    for verb in ("MAIL", "RCPT1", "CONTENT"):
        stage = Stage(offers, {verb: text})
        perform(Dialogue(facts()), stage)

        assert stage.accepted


@modes
@pytest.mark.parametrize("refused", ["RCPT1", "RCPT2", "RCPT3"])
@pytest.mark.parametrize("text", ["550 5.1.1 who?", "450 later"])
def test_all_or_nothing(offers: tuple[str, ...], refused: str, text: str) -> None:
    """One refused recipient, and nobody gets the message."""
    stage = Stage(offers, {refused: text})
    wanted = RecipientRefused if text[0] == "5" else Deferred
    with pytest.raises(wanted, match=f"r{int(refused[-1]) - 1}@example.net"):
        perform(Dialogue(facts(count=3)), stage)

    assert not stage.accepted
    assert b"" == stage.content


def test_never_decides_over_later() -> None:
    """When one recipient is refused for now and one for good, it is for good."""
    replies = {"RCPT1": "450 later", "RCPT3": "550 5.1.1 who?"}
    with pytest.raises(RecipientRefused, match="r2@example.net .2 of 3"):
        perform(Dialogue(facts(count=3)), Stage(PIPELINING, replies))


@modes
def test_data_refused(offers: tuple[str, ...]) -> None:
    """DATA may be refused for good, for now, or make no sense."""
    if "CHUNKING" in offers:
        return
    for text, failure in (
        ("554 no", MessageRefused),
        ("451 later", Deferred),
        ("250 ok", Deferred),
        ("399 go", Deferred),
    ):
        stage = Stage(offers, {"DATA": text})
        with pytest.raises(failure):
            perform(Dialogue(facts()), stage)

        assert b"" == stage.content


def test_parameters() -> None:
    """Only what is offered is used."""
    wrapping = envelope(notify="NEVER", ret="HDRS", envid="x y", body="8BITMIME")
    every = Stage(("SIZE", "8BITMIME", "SMTPUTF8", "DSN"))
    perform(Dialogue(facts(envelope=wrapping)), every)
    none = Stage()
    perform(Dialogue(facts(envelope=wrapping)), none)

    assert [
        "MAIL FROM:<s@example.org> SIZE=34 BODY=8BITMIME RET=HDRS ENVID=x+20y",
        "RCPT TO:<r0@example.net> NOTIFY=NEVER ORCPT=rfc822;r0@example.net",
    ] == every.said[1:3]
    assert ["MAIL FROM:<s@example.org>", "RCPT TO:<r0@example.net>"] == none.said[1:3]


def test_null_reverse_path() -> None:
    """The null reverse-path is said as it is."""
    stage = Stage()
    perform(Dialogue(facts(envelope=envelope(sender=None))), stage)

    assert "MAIL FROM:<>" == stage.said[1]


@pytest.mark.parametrize(
    ("offers", "needed", "utf8"),
    [
        (("SMTPUTF8", "8BITMIME"), True, True),
        (("SMTPUTF8", "8BITMIME"), False, False),
        (("SMTPUTF8",), True, False),
        (("8BITMIME",), True, False),
    ],
)
def test_smtputf8(offers: tuple[str, ...], needed: bool, utf8: bool) -> None:
    """SMTPUTF8 is used where it is needed and offered (with 8BITMIME, RFC 6531)."""
    message = Message(utf8=needed)
    stage = Stage(offers)
    perform(Dialogue(facts(message=message)), stage)

    assert [(utf8, "8BITMIME" in offers)] == message.rendered
    assert stage.said[1].endswith(" BODY=8BITMIME SMTPUTF8") is utf8


def test_non_ascii_local_part() -> None:
    """A local part outside of ASCII cannot be sent without SMTPUTF8: 65."""
    wrapping = Envelope(None, [address.make("jürgen", "example.net", "to")])
    stage = Stage(("8BITMIME",))
    with pytest.raises(InputRefused):
        perform(Dialogue(facts(envelope=wrapping)), stage)
    utf8 = Stage(("8BITMIME", "SMTPUTF8"))
    perform(Dialogue(facts(envelope=wrapping)), utf8)

    assert ["EHLO client.test", "QUIT"] == stage.said
    assert "RCPT TO:<jürgen@example.net>" == utf8.said[2]


@pytest.mark.parametrize(
    ("limit", "fits"), [("33", False), ("34", True), ("0", True), ("-1", True)]
)
def test_size(limit: str, fits: bool) -> None:
    """A message over the announced size is not tried (RFC 1870)."""
    stage = Stage((f"SIZE {limit}",))
    if fits:
        perform(Dialogue(facts()), stage)
    else:
        with pytest.raises(InputRefused) as caught:
            perform(Dialogue(facts()), stage)
        assert 65 == caught.value.exit_code
        assert ["EHLO client.test", "QUIT"] == stage.said


@modes
@pytest.mark.parametrize("verb", ["MAIL", "RCPT1"])
@pytest.mark.parametrize("text", ["555 5.5.4 no", "501 5.5.4 no", "504 no"])
def test_parameter_refused(offers: tuple[str, ...], verb: str, text: str) -> None:
    """A refused parameter is left out, once, in this session or the next."""
    fact = facts(envelope=envelope(notify="NEVER"))

    def make() -> Stage:
        return Particular((*offers, "DSN"))

    class Particular(Stage):
        def answer(self, name: str, default: str) -> str:
            if name == verb and not self.said[-1].endswith(">"):
                default = text
            return super().answer(name, default)

    receipt, stage = attempt(fact, make)

    assert stage.accepted
    assert receipt.reply.code == 250


@modes
def test_address_refused_is_no_parameter(offers: tuple[str, ...]) -> None:
    """501 5.1.3 speaks of the address, and is not tried again."""
    stage = Stage(offers, {"RCPT1": "501 5.1.3 bad address"})
    with pytest.raises(RecipientRefused):
        perform(Dialogue(facts(envelope=envelope(notify="NEVER"))), stage)


@modes
def test_parameter_refused_twice(offers: tuple[str, ...]) -> None:
    """What is refused without parameters too is refused."""
    with pytest.raises(MessageRefused):
        attempt(facts(), lambda: Stage(offers, {"MAIL": "555 no"}))


def test_bdat_unknown() -> None:
    """CHUNKING offered and BDAT not known: DATA on a new connection."""

    def make() -> Stage:
        return Stage(CHUNKING, {"CONTENT": "502 5.5.1 what?"} if not done else {})

    done: list[bool] = []
    fact = facts()
    stage = make()
    with pytest.raises(Again) as again:
        perform(Dialogue(fact), stage)
    assert again.value.data
    done.append(True)
    fact.data = True
    stage = make()
    perform(Dialogue(fact), stage)

    assert stage.accepted
    assert "DATA" in stage.said


def credentials(method: str | None = None, clear: bool = False) -> Credentials:
    return Credentials("user", lambda: Secret("s3cret"), method, False, clear)


@pytest.mark.parametrize(
    ("tls", "private", "clear", "allowed"),
    [
        ("none", False, False, False),
        ("none", True, False, True),
        ("none", False, True, True),
        ("opportunistic", False, False, False),
        ("implicit", False, False, True),
    ],
)
def test_auth_in_clear(tls: str, private: bool, clear: bool, allowed: bool) -> None:
    """AUTH happens in verified TLS, on this machine, or where allowed; else 77."""
    stage = Stage(("AUTH PLAIN",), {"AUTH": "235 ok"})
    fact = facts(tls=tls, private=private, credentials=credentials(clear=clear))
    if allowed:
        receipt = perform(Dialogue(fact), stage)
        assert "PLAIN" == receipt.mechanism
    else:
        with pytest.raises(AuthRefused) as caught:
            perform(Dialogue(fact), stage)
        assert 77 == caught.value.exit_code
        assert ["EHLO client.test", "QUIT"] == stage.said


@pytest.mark.parametrize(
    ("mechanism", "words"),
    [
        ("PLAIN", "check AuthUser and the password"),
        ("XOAUTH2", "check what AuthPassCommand prints"),
        ("OAUTHBEARER", "check what AuthPassCommand prints"),
        ("EXTERNAL", "check TLSCert"),
        ("SCRAM-SHA-1-PLUS", "set AuthMethod=SCRAM-SHA-1"),
    ],
)
def test_what_to_check(mechanism: str, words: str) -> None:
    """A refusal says what to look at, which depends on the mechanism."""
    stage = Stage((f"AUTH {mechanism}",), {"AUTH": "535 5.7.8 no"})
    fact = facts(tls="implicit", credentials=credentials(mechanism), nonce="x")
    with pytest.raises(AuthRefused) as caught:
        perform(Dialogue(fact), stage)

    assert words in caught.value.next_step


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("535 5.7.8 no", AuthRefused),
        ("534 5.7.9 weak", AuthRefused),
        ("538 5.7.11 clear", AuthRefused),
        ("530 5.7.0 no", AuthRefused),
        ("501 5.5.2 what", AuthRefused),
        ("504 5.5.4 what", AuthRefused),
        ("454 4.7.0 later", SiteTrouble),
        ("432 4.7.12 later", SiteTrouble),
        ("421 4.3.2 bye", SiteTrouble),
        ("503 5.5.1 already", SiteTrouble),
        ("250 ok", SiteTrouble),
        ("354 go", SiteTrouble),
    ],
)
def test_auth_replies(text: str, failure: type[Failure]) -> None:
    """What AUTH is answered with says nothing about the message, and is final."""
    stage = Stage(("AUTH PLAIN LOGIN",), {"AUTH": text})
    with pytest.raises(failure) as caught:
        perform(Dialogue(facts(tls="implicit", credentials=credentials())), stage)

    assert failure is type(caught.value)
    assert "site" == caught.value.scope
    assert 1 == sum(line.startswith("AUTH") for line in stage.said)
    assert not any(line.startswith("MAIL") for line in stage.said)


def test_interrupted_in_doubt() -> None:
    """A signal behind the dot leaves the message in doubt; before it does not."""
    for kind in (Interrupted("interrupted"), KeyboardInterrupt()):
        talk = Dialogue(facts()).converse()
        stage = Stage(PLAIN)
        step = next(talk)
        committed = False
        while not committed:
            reply = None
            if hasattr(step, "head"):
                data = step.head + b"".join(step.content or ()) + step.tail
                stage.hear(data)
                committed = step.content is not None
                step.committed = committed
                step = talk.send(True)
            else:
                from ssmtp.smtp.reply import Inbox

                inbox = Inbox()
                inbox.feed(stage.out)
                stage.out = b""
                reply = inbox.take()
                step = talk.send(reply)
        with pytest.raises(InDoubt, match="interrupted"):
            talk.throw(kind)

    talk = Dialogue(facts()).converse()
    next(talk)
    with pytest.raises(Interrupted):
        talk.throw(Interrupted("interrupted"))


# -- one fault at a time, everywhere

FAULTS: list[tuple[str, bytes | None]] = [
    *(("extra", octets) for octets in EXTRAS),
    *(("instead", octets) for octets in INSTEAD),
    ("instead", None),
]


@modes
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    "content", ["250 2.0.0 queued", "554 5.6.0 no", "451 4.3.0 no"]
)
def test_one_fault(offers: tuple[str, ...], count: int, content: str) -> None:
    """Whichever single answer is lost, doubled or garbled, "sent" is never a lie."""
    answers = 12
    for number in range(answers):
        for fault in FAULTS:
            stage = Stage(offers, {"CONTENT": content}, one_fault(number, *fault))
            try:
                perform(Dialogue(facts(count=count)), stage)
            except (Failure, Again) as failure:
                # A reply that says no may be a lie about what was accepted; nothing
                # but the mailhub's own words can make us believe it.
                lied = isinstance(failure, Failure) and failure.reply is not None
                if stage.accepted and not lied:
                    assert isinstance(failure, InDoubt), (number, fault, stage.said)
            else:
                assert stage.accepted, (number, fault, stage.said)


def one_fault(number: int, kind: str, what: bytes | None) -> Tamper:
    """Spoil the answer of this number, with something extra or something else."""

    def tamper(count: int, verb: str, octets: bytes) -> bytes | None:
        if count != number:
            return octets
        if kind == "instead" and what is not None and decides(what, verb):
            return octets  # a lie that nobody can see through
        if kind == "extra" and what is not None:
            return octets + what
        return what

    return tamper


@given(st.integers(0, 2**32), st.sampled_from(sorted(MODES)))
def test_random_answers(seed: int, mode: str) -> None:
    """Random answers make receipts or failures, never anything else."""
    rng = random.Random(seed)

    def tamper(number: int, verb: str, octets: bytes) -> bytes | None:
        dice = rng.random()
        if dice < 0.8:
            return octets
        if dice < 0.85:
            return None
        if dice < 0.9:
            return rng.randbytes(rng.randrange(40))
        return b"%d %s\r\n" % (rng.randrange(100, 700), rng.randbytes(3).hex().encode())

    stage = Stage(MODES[mode], {}, tamper)
    try:
        receipt = perform(Dialogue(facts(count=rng.choice((1, 1, 2, 3)))), stage)
    except (Failure, Again) as failure:
        if isinstance(failure, Failure):
            assert failure.sentence().isprintable()
    else:
        assert 200 <= receipt.reply.code <= 299


@pytest.mark.parametrize(
    ("closing", "sent"),
    [
        ("221 bye", True),
        ("500 what?", True),
        ("502 what?", True),
        ("421 bye", False),
        ("554 5.6.0 no", False),
        ("354 go", False),
        ("451 later", False),
    ],
)
def test_witness(closing: str, sent: bool) -> None:
    """In one flight, the answer to QUIT tells whether answers were shifted."""
    replies = {
        "QUIT": closing,
        "CONTENT": "250 ok",
        "MAIL": "250 ok",
        "RCPT1": "250 ok",
    }
    stage = Stage(CHUNKING, replies)
    if sent:
        perform(Dialogue(facts()), stage)
    else:
        with pytest.raises(InDoubt):
            perform(Dialogue(facts()), stage)


def test_content_that_is_not_clean() -> None:
    """Content with a bare LF is not sent: a bug of ours, and nothing is ended."""
    from ssmtp.errors import Bug

    for offers in MODES.values():
        stage = Stage(offers)
        message = Message(Content(b"a\n.\n"))
        with pytest.raises(Bug):
            perform(Dialogue(facts(message=message)), stage)
        assert not stage.accepted


def test_network_trouble_before_mail() -> None:
    """A connection that ends before MAIL is the network's fault, and for later."""
    stage = Stage(PLAIN, tamper=lambda n, verb, o: None if verb == "EHLO" else o)
    with pytest.raises(NetworkTrouble, match="closed the connection while answering"):
        perform(Dialogue(facts()), stage)
