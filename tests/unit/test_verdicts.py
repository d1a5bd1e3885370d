"""What refusals and broken connections mean, and what a person is told to do."""

from __future__ import annotations

from typing import Any

import pytest

from ssmtp.config import Secret
from ssmtp.errors import (
    AuthRefused,
    Deferred,
    Failure,
    InDoubt,
    MailhubRefused,
    MessageRefused,
    NetworkTrouble,
    RecipientRefused,
    SiteTrouble,
)
from ssmtp.smtp import phases, verdicts
from ssmtp.smtp.dialogue import Dialogue
from ssmtp.smtp.reply import Reply
from ssmtp.smtp.sasl import Credentials
from ssmtp.smtp.session import Session
from ssmtp.smtp.steps import Broken, Secured
from tests.unit.rehearsal import Stage, envelope, facts, perform

pytestmark = pytest.mark.usefixtures("failures_read_well")
WHO = Credentials("user", lambda: Secret("s3cret-word"))
LATER = "try again later"


def refused(verb: str, text: str, offers: tuple[str, ...] = (), **more: Any) -> Failure:
    """Return how a submission ends when this verb is answered so."""
    stage = Stage((*offers, "AUTH PLAIN"), {verb: text}, auth=["235 ok"])
    with pytest.raises(Failure) as caught:
        perform(Dialogue(facts(**more)), stage)

    failure = caught.value
    assert not stage.accepted
    assert text == str(failure.reply)
    assert failure.what.endswith(f": {text}")
    return failure


# What is said, how it begins, and what to do.
MAIL: list[tuple[str, type[Failure], str, str]] = [
    ("399 so", Deferred, "answered MAIL with what makes no sense", LATER),
    ("400 no", Deferred, "does not take the sender <s@example.org> now", LATER),
    ("499 no", Deferred, "does not take the sender <s@example.org> now", LATER),
    (
        "500 no",
        MessageRefused,
        "refused the sender <s@example.org>",
        "set an address that it accepts (-f, revaliases, RewriteDomain)",
    ),
    ("552 no", MessageRefused, "refused the message for its size", "make it smaller"),
    (
        "550 5.2.3 no",
        MessageRefused,
        "refused the message for its size",
        "make it smaller",
    ),
    (
        "554 5.3.4 no",
        MessageRefused,
        "refused the message for its size",
        "make it smaller",
    ),
]
RCPT: list[tuple[str, type[Failure], str, str]] = [
    ("399 so", Deferred, "answered RCPT with what makes no sense", LATER),
    ("400 no", Deferred, "does not take r0@example.net now", LATER),
    (
        "500 no",
        RecipientRefused,
        "refused r0@example.net",
        "correct the address, or leave it out",
    ),
]
CONTENT: list[tuple[str, type[Failure], str, str]] = [
    ("400 no", Deferred, "does not take the message now", LATER),
    ("501 no", MessageRefused, "refused the message", "its own words say why"),
]
AUTH = [
    (f"{code} 5.7.0 no", AuthRefused, "wants authentication", "set AuthUser and a")
    for code in (530, 534, 535, 538)
]


@pytest.mark.parametrize("offers", [(), ("PIPELINING",), ("PIPELINING", "CHUNKING")])
@pytest.mark.parametrize(
    ("verb", "text", "failure", "what", "step"),
    [
        *(("MAIL", *row) for row in [*MAIL, *AUTH]),
        *(("RCPT1", *row) for row in [*RCPT, *AUTH]),
        *(("CONTENT", *row) for row in CONTENT),
    ],
)
def test_refused(
    offers: tuple[str, ...],
    verb: str,
    text: str,
    failure: type[Failure],
    what: str,
    step: str,
) -> None:
    """A refusal names who refused what, in the mailhub's words, and the next step."""
    caught = refused(verb, text, offers)

    assert failure is type(caught)
    assert caught.what.startswith(f"hub.test:25 {what}")
    assert caught.next_step.startswith(step)
    assert ("r0@example.net" if verb == "RCPT1" else "") == caught.recipient


def test_null_sender_refused() -> None:
    """The null reverse-path is shown as it is written."""
    caught = refused("MAIL", "550 no", envelope=envelope(sender=None))

    assert MessageRefused is type(caught)
    assert "refused the sender <>:" in caught.what


@pytest.mark.parametrize("verb", ["MAIL", "RCPT1"])
def test_still_not_authenticated(verb: str) -> None:
    """A mailhub that wants AUTH after AUTH has other ideas of the account."""
    caught = refused(verb, "530 5.7.0 no", tls="implicit", credentials=WHO)

    assert AuthRefused is type(caught)
    assert "check AuthUser and the password" == caught.next_step


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("550 5.7.1 no", AuthRefused),
        ("554 Relay access denied", AuthRefused),
        ("550 5.1.1 no", RecipientRefused),
        ("450 4.7.1 no", Deferred),
    ],
)
def test_account_may_not_send(text: str, failure: type[Failure]) -> None:
    """After AUTH, "no relaying" is about the account and not about the recipient."""
    caught = refused("RCPT1", text, tls="implicit", credentials=WHO)

    assert failure is type(caught)
    if failure is AuthRefused:
        assert "does not let this account send to r0@example.net:" in caught.what
        assert "check AuthUser and the sender address" == caught.next_step


def test_one_of_many_refused() -> None:
    """With several recipients the sentence counts the refused, and names the worst."""
    stage = Stage(("PIPELINING",), {"RCPT1": "450 later", "RCPT3": "550 who?"})
    with pytest.raises(RecipientRefused) as caught:
        perform(Dialogue(facts(count=3)), stage)

    assert "r2@example.net" == caught.value.recipient
    assert caught.value.what == (
        "hub.test:25 refused r2@example.net"
        " (2 of 3 recipients, so nobody got the message): 550 who?"
    )


def test_one_of_two_refused() -> None:
    """Two recipients are several, and 500 is for good."""
    stage = Stage(("PIPELINING",), {"RCPT1": "450 later", "RCPT2": "500 who?"})
    with pytest.raises(RecipientRefused) as caught:
        perform(Dialogue(facts(count=2)), stage)

    assert "r1@example.net (2 of 2 recipients, so nobody got" in caught.value.what


def test_first_of_the_deferred() -> None:
    """Where all refusals are for now, the first of them is told."""
    stage = Stage(("PIPELINING",), {"RCPT2": "450 one", "RCPT3": "451 two"})
    with pytest.raises(Deferred, match="r1@example.net .2 of 3 .*: 450 one") as caught:
        perform(Dialogue(facts(count=3)), stage)

    assert "r1@example.net" == caught.value.recipient


DATA: list[tuple[str, type[Failure], str, str]] = [
    ("250 ok", Deferred, "answered DATA with 250 instead of 354", "nothing was sent; "),
    ("399 so", Deferred, "answered DATA with 399 instead of 354", "nothing was sent; "),
    ("400 no", Deferred, "does not take the message now", LATER),
    ("500 no", MessageRefused, "refused the message", "its own words say why"),
]


@pytest.mark.parametrize("offers", [(), ("PIPELINING",)])
@pytest.mark.parametrize(("text", "failure", "what", "step"), DATA)
def test_data_refused(
    offers: tuple[str, ...], text: str, failure: type[Failure], what: str, step: str
) -> None:
    """Behind anything but 354, no content is sent."""
    caught = refused("DATA", text, offers)

    assert failure is type(caught)
    assert what in caught.what
    assert caught.next_step.startswith(step)
    assert "DATA" == caught.phase


@pytest.mark.parametrize(
    ("text", "failure", "what", "step"),
    [
        ("399 so", SiteTrouble, "greets with 399, which makes", "check host and port"),
        ("400 no", SiteTrouble, "is not ready", LATER),
        ("499 no", SiteTrouble, "is not ready", LATER),
        (
            "500 no",
            MailhubRefused,
            "refuses to talk to this machine",
            "ask its administrator",
        ),
        ("221 bye", SiteTrouble, "greets with 221, which makes", "check host and port"),
    ],
)
def test_greeting(text: str, failure: type[Failure], what: str, step: str) -> None:
    """A greeting other than 220 is told as it is; QUIT is said and nothing else."""
    caught = refused("GREETING", text)

    assert failure is type(caught)
    assert caught.what.startswith(f"hub.test:25 {what}")
    assert caught.next_step.startswith(step)
    assert "greeting" == caught.phase


# -- EHLO and HELO


@pytest.mark.parametrize("code", [500, 502, 504])
def test_helo(code: int) -> None:
    """An old mailhub that knows no EHLO gets HELO, and nothing that it cannot do."""
    stage = Stage(("SIZE 10",), {"EHLO": f"{code} what?", "HELO": "250 old"})
    perform(Dialogue(facts()), stage)

    assert ["EHLO client.test", "HELO client.test"] == stage.said[:2]
    assert "MAIL FROM:<s@example.org>" == stage.said[2]
    assert stage.accepted


@pytest.mark.parametrize(
    ("ehlo", "helo", "step"),
    [
        ("500 what?", "250 ok", ""),
        ("500 what?", "251 ok", LATER),
        ("500 what?", "550 you", "it was told the name client.test: Hostname"),
        ("501 what?", "", "it was told the name client.test: Hostname changes that"),
        ("499 what?", "", LATER),
        ("251 ok", "", LATER),
        ("502 what?", "502 what?", "it can do neither TLS nor AUTH then: check host"),
    ],
)
def test_hello_refused(ehlo: str, helo: str, step: str) -> None:
    """HELO is for 500, 502 and 504 alone; what else is answered is told."""
    stage = Stage((), {"EHLO": ehlo, "HELO": helo})
    if not step:
        perform(Dialogue(facts(tls="opportunistic")), stage)
        return
    with pytest.raises(SiteTrouble) as caught:
        perform(Dialogue(facts()), stage)

    assert f"hub.test:25 answered EHLO with {helo or ehlo}" == caught.value.what
    assert caught.value.next_step.startswith(step)
    assert (helo or ehlo) == str(caught.value.reply)
    assert bool(helo) is ("HELO client.test" in stage.said)
    assert "EHLO" == caught.value.phase


@pytest.mark.parametrize(
    "more", [{"tls": "starttls"}, {"tls": "implicit"}, {"credentials": WHO}]
)
def test_no_helo_where_it_cannot_do(more: dict[str, Any]) -> None:
    """HELO can do neither TLS nor AUTH; where they are wanted it is not said."""
    stage = Stage((), {"EHLO": "502 what?"})
    with pytest.raises(SiteTrouble) as caught:
        perform(Dialogue(facts(**more)), stage)

    assert caught.value.next_step.startswith("it can do neither TLS nor AUTH then")
    assert ["EHLO client.test", "QUIT"] == stage.said


# -- STARTTLS


def test_starttls() -> None:
    """After STARTTLS the mailhub is asked anew what it can do (RFC 3207 §4.2)."""
    stage = Stage(("STARTTLS", "SIZE 10"), secure_offers=("SIZE 100000",))
    receipt = perform(Dialogue(facts(tls="starttls")), stage)

    assert ["EHLO client.test", "STARTTLS", "EHLO client.test"] == stage.said[:3]
    assert stage.said[3].endswith("SIZE=34")
    assert stage.asked_for_proof
    assert ("TLSv1.3 SUITE", True, None) == (
        receipt.tls,
        receipt.verified,
        receipt.mechanism,
    )


def test_clear_text() -> None:
    """Without TLS the receipt says so."""
    receipt = perform(Dialogue(facts()), Stage())

    assert (None, False) == (receipt.tls, receipt.verified)


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("421 4.3.2 bye", LATER),
        ("454 4.7.0 no", "try again later, or ask its administrator"),
        ("502 what?", "try again later, or ask its administrator"),
        ("250 ok", "try again later, or ask its administrator"),
    ],
)
def test_starttls_refused(text: str, step: str) -> None:
    """Where TLS is required, nothing goes in clear."""
    stage = Stage(("STARTTLS",), {"STARTTLS": text})
    with pytest.raises(SiteTrouble) as caught:
        perform(Dialogue(facts(tls="starttls")), stage)

    assert step == caught.value.next_step
    assert text == str(caught.value.reply)
    assert "STARTTLS" == caught.value.phase
    assert ["EHLO client.test", "STARTTLS", "QUIT"] == stage.said
    why = "ended the session" if text[:3] == "421" else "and nothing is sent in clear"
    assert why in caught.value.what


def test_starttls_not_offered() -> None:
    """Where TLS is required and not offered, the sentence says what to look at."""
    stage = Stage(("SIZE",))
    with pytest.raises(SiteTrouble) as caught:
        perform(Dialogue(facts(tls="starttls")), stage)

    assert "hub.test:25 does not offer STARTTLS, and nothing" in caught.value.what
    assert caught.value.next_step.startswith("check the port: 465 wants UseTLS=Yes")
    assert ["EHLO client.test", "QUIT"] == stage.said


@pytest.mark.parametrize(
    ("text", "who", "goes_on"),
    [
        ("454 4.7.0 no", None, True),
        ("400 no", None, True),
        ("502 what?", None, True),
        ("500 what?", None, True),
        ("421 4.3.2 bye", None, False),
        ("399 so", None, False),
        ("250 ok", None, False),
        ("454 4.7.0 no", WHO, False),
        ("499 no", WHO, False),
    ],
)
def test_opportunistic_refused(
    text: str, who: Credentials | None, goes_on: bool
) -> None:
    """Opportunistic TLS does without, but a password waits for better times."""
    stage = Stage(("STARTTLS", "AUTH PLAIN"), {"STARTTLS": text}, auth=["235 ok"])
    fact = facts(tls="opportunistic", credentials=who)
    if goes_on:
        perform(Dialogue(fact), stage)
    else:
        with pytest.raises(SiteTrouble):
            perform(Dialogue(fact), stage)

    assert goes_on is stage.accepted
    assert not any(line.startswith("AUTH") for line in stage.said)


@pytest.mark.parametrize(
    ("who", "private", "wanted"),
    [
        (None, False, False),
        (WHO, False, True),
        (WHO, True, False),
        (Credentials("user", WHO.secret, cleartext_ok=True), False, False),
    ],
)
def test_opportunistic_proof(
    who: Credentials | None, private: bool, wanted: bool
) -> None:
    """Opportunistic TLS need not be verified, unless a password depends on it."""
    stage = Stage(("STARTTLS", "AUTH PLAIN"), auth=["235 ok"])
    perform(
        Dialogue(facts(tls="opportunistic", credentials=who, private=private)), stage
    )

    assert wanted is stage.asked_for_proof
    assert stage.secure


# -- broken connections


def meaning(
    broken: Broken,
    phase: phases.Phase = phases.HELLO,
    stage: str = "session",
    **more: Any,
) -> Failure:
    """Return what a broken connection means."""
    session = Session(facts())
    session.phase, session.stage = phase, stage
    session.greeted = phase is not phases.GREETING
    for name, value in more.items():
        setattr(session, name, value)
    return verdicts.broken(session, broken)


NO = Reply(550, ["5.7.1 no"])
BYE = Reply(421, ["4.3.2 bye"])


@pytest.mark.parametrize(
    ("stage", "failure", "step"),
    [
        ("session", NetworkTrouble, LATER),
        ("transaction", Deferred, LATER),
        ("content", InDoubt, "it may have been accepted, so look for it before"),
    ],
)
def test_broken(stage: str, failure: type[Failure], step: str) -> None:
    """The stage decides what a broken connection means for the message."""
    caught = meaning(Broken("closed the connection"), phases.MAIL, stage)

    assert failure is type(caught)
    assert caught.what.endswith("closed the connection while answering MAIL")
    assert "hub.test:25 " in caught.what
    assert caught.next_step.startswith(step)
    assert ("<1@rehearsal.test>" in caught.what) is (stage == "content")


@pytest.mark.parametrize(
    ("stage", "failure"),
    [("session", SiteTrouble), ("transaction", Deferred), ("content", InDoubt)],
)
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (BYE, "ended the session: 421 4.3.2 bye"),
        (NO, "spoke (550 5.7.1 no) while answering MAIL"),
    ],
)
def test_unasked_answer(
    stage: str, failure: type[Failure], answer: Reply, words: str
) -> None:
    """An answer that nobody asked for is told; 421 may come at any time."""
    caught = meaning(Broken("spoke", answer=answer), phases.MAIL, stage)

    assert failure is type(caught)
    assert caught.what.endswith(words)
    assert answer is caught.reply


def test_garbled() -> None:
    """What was no reply is quoted, in part and without what a terminal could do."""
    caught = meaning(Broken("spoke", garbled=b"\x1b[31m" + b"y" * 60))

    assert SiteTrouble is type(caught)
    quoted = "\\\\x1b[31m" + "y" * 35
    assert f"hub.test:25 spoke ('{quoted}') while answering EHLO" == caught.what


def test_garbled_after_auth() -> None:
    """Once secrets were said, what is no reply is not quoted: it may be a piece."""
    caught = meaning(Broken("spoke", garbled=b"s3cr"), hide=("s3cret-word",))

    assert SiteTrouble is type(caught)
    assert "hub.test:25 spoke while answering EHLO" == caught.what


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (Broken("spoke", answer=NO), True),
        (Broken("spoke", garbled=b"220 hub"), True),
        (Broken("broke TLS off"), False),
    ],
)
def test_clear_text_instead_of_tls(broken: Broken, told: bool) -> None:
    """Clear text where TLS was expected: the port begins in clear."""
    caught = meaning(broken, phases.TLS, facts=facts(tls="implicit"))

    assert told is caught.next_step.startswith("set UseSTARTTLS=Yes as well if")
    assert told or caught.next_step == LATER


@pytest.mark.parametrize("tls", ["starttls", "opportunistic"])
def test_clear_text_behind_starttls(tls: str) -> None:
    """Who has set UseSTARTTLS is not told to, but that there may be an attack."""
    for broken in (Broken("spoke", answer=NO), Broken("spoke", garbled=b"250-hub")):
        caught = meaning(broken, phases.TLS, facts=facts(tls=tls))

        assert SiteTrouble is type(caught)
        assert caught.next_step.startswith("somebody may be playing the mailhub")


def test_client_certificate_wanted() -> None:
    """The alert of TLS 1.3 for a missing certificate is understood (RFC 8446 §6.2)."""
    caught = meaning(Broken("broke TLS off (certificate required)"))

    assert NetworkTrouble is type(caught)
    assert "set UseTLSCert and TLSCert" == caught.next_step


@pytest.mark.parametrize(
    ("mechanism", "step"),
    [
        (None, LATER),
        ("PLAIN", LATER),
        ("SCRAM-SHA-1", LATER),
        (
            "SCRAM-SHA-1-PLUS",
            LATER
            + "; where other channel bindings are in use, set AuthMethod=SCRAM-SHA-1",
        ),
    ],
)
def test_hung_up_on_a_binding(mechanism: str | None, step: str) -> None:
    """A mailhub that hangs up in AUTH may know other channel bindings only."""
    caught = meaning(Broken("closed it"), phases.AUTH, mechanism=mechanism)

    assert step == caught.next_step


@pytest.mark.parametrize(
    ("garbled", "what", "step"),
    [
        (b"\x15\x03\x03\0\2", "speaks TLS from the first octet", "set UseTLS=Yes"),
        (b"\x16\x03\x01", "speaks TLS from the first octet", "set UseTLS=Yes without"),
        (b"SSH-2.0-OpenSSH", "speaks SSH, not SMTP", "check host and port"),
        (b"HTTP/1.1 400", "speaks HTTP, not SMTP", "check host and port"),
        (b"+OK ready", "speaks POP3, not SMTP", "check host and port"),
        (b"* OK ready", "speaks IMAP, not SMTP", "check host and port"),
        (b"RFB 003.008", "speaks VNC, not SMTP", "check host and port"),
        (
            b"hello" + b"y" * 60,
            "does not greet like a mailhub, but says 'hello" + "y" * 35 + "'",
            "check host and port",
        ),
        (b"220\tx", "spoke ('220 x') while greeting us", LATER),
    ],
)
def test_other_protocols(garbled: bytes, what: str, step: str) -> None:
    """The beginning of a greeting that is none tells what listens there."""
    caught = meaning(Broken("spoke", garbled=garbled), phases.GREETING)

    assert SiteTrouble is type(caught)
    assert f"hub.test:25 {what}" == caught.what
    assert caught.next_step.startswith(step)


def test_guesses_are_for_greetings() -> None:
    """Once the mailhub has greeted, nobody guesses what it may speak."""
    again = meaning(Broken("spoke", garbled=b"SSH-2"), phases.GREETING, greeted=True)
    later = meaning(Broken("spoke", garbled=b"SSH-2"), phases.HELLO, greeted=False)

    assert "('SSH-2')" in again.what
    assert "('SSH-2')" in later.what


TLS = Secured("TLSv1.3", "SUITE", True, None)


@pytest.mark.parametrize(
    ("late", "secured", "told"),
    [(True, None, True), (False, None, False), (True, TLS, False)],
)
def test_silent_greeting(late: bool, secured: Secured | None, told: bool) -> None:
    """A port that says nothing may want TLS at once."""
    caught = meaning(Broken("is late", late=late), phases.GREETING, secured=secured)

    assert NetworkTrouble is type(caught)
    assert "hub.test:25 is late while greeting us" == caught.what
    assert told is ("UseTLS=Yes without UseSTARTTLS" in caught.next_step)
    assert caught.next_step.endswith(LATER)


def test_content_answered_too_early() -> None:
    """An answer that comes before the content was written accepts nothing."""
    session = Session(facts())
    caught = verdicts.content(session, Reply(250, ["ok"]), committed=False)

    assert Deferred is type(caught)
    assert "hub.test:25 answered the message before it had it: 250 ok" == caught.what
    assert "nothing was accepted; try again later" == caught.next_step


def test_content_answered_with_nonsense() -> None:
    """A 3xx behind the content leaves it in doubt, with the Message-ID to look for."""
    caught = refused_content("354 more")

    assert InDoubt is type(caught)
    assert caught.what == (
        "in doubt: hub.test:25 was given message <1@rehearsal.test>"
        " and answered it with 354 more"
    )
    assert "354 more" == str(caught.reply)


def refused_content(text: str) -> Failure:
    with pytest.raises(Failure) as caught:
        perform(Dialogue(facts()), Stage((), {"CONTENT": text}))
    return caught.value
