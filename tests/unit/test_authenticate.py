"""AUTH as the mailhub sees it: one mechanism, one try, nothing in clear."""

from __future__ import annotations

import binascii
import hmac

import pytest

from ssmtp.config import Secret
from ssmtp.errors import AuthRefused, Failure, NetworkTrouble, SiteTrouble
from ssmtp.smtp.dialogue import Dialogue
from ssmtp.smtp.sasl import Credentials
from ssmtp.smtp.steps import Secured
from tests.unit.rehearsal import Stage, facts, perform

pytestmark = pytest.mark.usefixtures("failures_read_well")
PASSWORD = "s3cret-word"


def base64(text: bytes) -> str:
    return binascii.b2a_base64(text, newline=False).decode()


def credentials(
    method: str | None = None, password: str = PASSWORD, **more: bool
) -> Credentials:
    return Credentials("user", lambda: Secret(password), method, **more)


def refused(
    stage: Stage, fact_credentials: Credentials | None = None, **more: object
) -> Failure:
    """Submit inside of TLS, and return the failure that this ends with."""
    who = fact_credentials or credentials()
    with pytest.raises(Failure) as caught:
        perform(Dialogue(facts(credentials=who, **{"tls": "implicit", **more})), stage)

    assert not stage.accepted
    assert not any(line.startswith("MAIL") for line in stage.said)
    return caught.value


def test_plain() -> None:
    """PLAIN says all in one line, which nobody is shown; the receipt names it."""
    stage = Stage(("AUTH PLAIN LOGIN",), auth=["235 2.7.0 ok"])
    receipt = perform(Dialogue(facts(tls="implicit", credentials=credentials())), stage)

    said = base64(b"\0user\0" + PASSWORD.encode())
    assert f"AUTH PLAIN {said}" == stage.said[1]
    assert "AUTH PLAIN ••••" in stage.shown
    assert stage.accepted
    assert ("PLAIN", "TLSv1.3 SUITE", True) == (
        receipt.mechanism,
        receipt.tls,
        receipt.verified,
    )
    assert ["greeting", "EHLO", "AUTH", "MAIL", "RCPT"] == stage.phases[:5]


def test_login() -> None:
    """LOGIN answers two prompts; neither answer is shown."""
    script = ["334 " + base64(b"Name?"), "334 " + base64(b"Word?"), "235 ok"]
    stage = Stage(("AUTH LOGIN",), auth=script)
    perform(Dialogue(facts(tls="implicit", credentials=credentials())), stage)

    assert ["AUTH LOGIN", base64(b"user"), base64(PASSWORD.encode())] == stage.said[1:4]
    assert ["AUTH LOGIN", "••••", "••••"] == stage.shown[1:4]
    assert stage.accepted


def test_login_as_of_old() -> None:
    """With the old form of LOGIN, the user name rides along with the command."""
    stage = Stage(("AUTH LOGIN",), auth=["334 " + base64(b"Word?"), "235 ok"])
    who = credentials(old_auth=True)
    perform(Dialogue(facts(tls="implicit", credentials=who)), stage)

    user = base64(b"user")
    assert [f"AUTH LOGIN {user}", base64(PASSWORD.encode())] == stage.said[1:3]


def test_cram_md5() -> None:
    """CRAM-MD5 answers the challenge with a digest, and never says the password."""
    challenge = b"<1@hub.test>"
    stage = Stage(("AUTH CRAM-MD5",), auth=["334 " + base64(challenge), "235 ok"])
    perform(Dialogue(facts(tls="implicit", credentials=credentials())), stage)

    digest = hmac.digest(PASSWORD.encode(), challenge, "md5").hex()
    assert base64(b"user " + digest.encode()) == stage.said[2]


def test_external() -> None:
    """EXTERNAL's empty initial response is a "=" (RFC 4954 §4)."""
    stage = Stage(("AUTH EXTERNAL",), auth=["235 ok"])
    perform(Dialogue(facts(tls="implicit", credentials=credentials("EXTERNAL"))), stage)

    assert "AUTH EXTERNAL =" == stage.said[1]


@pytest.mark.parametrize(("length", "lines"), [(369, 1), (370, 2)])
def test_long_initial_response(length: int, lines: int) -> None:
    """An initial response of more than 500 octets waits for the 334."""
    response = base64(b"\0user\0" + b"x" * length)
    script = ["334 ", "235 ok"] if lines == 2 else ["235 ok"]
    stage = Stage(("AUTH PLAIN",), auth=script)
    who = credentials(password="x" * length)
    perform(Dialogue(facts(tls="implicit", credentials=who)), stage)

    said = "AUTH PLAIN" if lines == 2 else "AUTH PLAIN " + response
    assert said == stage.said[1]
    assert (len(response) > 500) is (lines == 2)
    assert (response == stage.said[2]) is (lines == 2)


def test_yes_to_the_command_alone() -> None:
    """A 235 to AUTH comes too early when the credentials were not said yet."""
    who = credentials(password="x" * 600)
    failure = refused(Stage(("AUTH PLAIN",), auth=["235 ok"]), who)

    assert type(failure) is AuthRefused
    assert "hub.test:25 ended AUTH PLAIN too early" == failure.what
    assert failure.next_step.startswith("somebody may be playing the mailhub")
    assert "235 ok" == str(failure.reply)


def test_response_over_the_limit() -> None:
    """A challenge that makes the answer too long is cancelled (RFC 4954 §4)."""
    challenge = b"r=fresh" + b"x" * 9180 + b",s=QQ==,i=4096"
    script = ["334 " + base64(challenge), "501 cancelled"]
    stage = Stage(("AUTH SCRAM-SHA-256",), auth=script)
    failure = refused(stage, nonce="fresh")

    assert type(failure) is AuthRefused
    assert "the answer to an AUTH challenge is too long for SMTP" == failure.what
    assert "try another AuthMethod" == failure.next_step
    assert "*" == stage.said[2]


def test_channel_binding() -> None:
    """In TLS, SCRAM is bound to the certificate where the mailhub can do it."""
    stage = Stage(("AUTH SCRAM-SHA-256 SCRAM-SHA-256-PLUS",), auth=["535 5.7.8 no"])
    refused(stage, nonce="fresh")

    verb, mechanism, first = stage.said[1].split()
    assert ("AUTH", "SCRAM-SHA-256-PLUS") == (verb, mechanism)
    assert b"p=tls-server-end-point,,n=user,r=fresh" == binascii.a2b_base64(first)


@pytest.mark.parametrize("later", [False, True])
def test_what_is_bound_to(later: bool) -> None:
    """What to bind to may be worked out when somebody asks, and is so once."""
    asked: list[int] = []

    def work() -> bytes:
        asked.append(1)
        return b"binding"

    secured = Secured("TLSv1.3", "SUITE", True, work if later else b"binding")

    assert (b"binding", b"binding") == (secured.binding, secured.binding)
    assert later == len(asked)


def test_missing_binding_is_noticed() -> None:
    """What was offered is told to SCRAM, so that a -PLUS taken out is noticed."""
    stage = Stage(("AUTH SCRAM-SHA-256",), auth=["535 5.7.8 no"])
    refused(stage, nonce="fresh")

    first = binascii.a2b_base64(stage.said[1].split()[2])
    assert b"y,,n=user,r=fresh" == first


@pytest.mark.parametrize(
    ("hub", "more", "what", "step"),
    [
        ("hub.test:25", {}, "no AUTH with hub.test:25 without", "set UseTLS=yes or "),
        (
            "localhost:25",
            {},
            "no AUTH in clear with localhost:25: a name may",
            "write Mailhub=127.0.0.1:25, or",
        ),
        (
            "LOCALHOST:587",
            {},
            "no AUTH in clear with LOCALHOST:587: a name may",
            "write Mailhub=127.0.0.1:587, or",
        ),
        (
            "hub.test:25",
            {"tls": "implicit"},
            "no AUTH with hub.test:25, which TLSVerify=no does not verify",
            "take it out: TLS_CA_File or TLSFingerprint can say",
        ),
    ],
)
def test_exposed(hub: str, more: dict[str, str], what: str, step: str) -> None:
    """Why the password stays here depends on how it would have gone."""
    stage = Stage(("AUTH PLAIN",), verified=False)
    fact = facts(**{"tls": "none", "credentials": credentials(), **more})
    fact.hub = hub
    with pytest.raises(AuthRefused) as caught:
        perform(Dialogue(fact), stage)

    assert what in caught.value.what
    assert caught.value.next_step.startswith(step)
    assert caught.value.next_step.endswith("AllowCleartextAuth=yes, if you must)")
    assert ["EHLO client.test", "QUIT"] == stage.said


def test_no_auth_offered() -> None:
    """With AuthUser set, nothing is submitted without AUTH."""
    failure = refused(Stage(("SIZE",)))

    assert type(failure) is AuthRefused
    assert "hub.test:25 does not offer AUTH" in failure.what
    assert failure.next_step.startswith("check port and UseSTARTTLS, or take AuthUser")


def test_endless_challenges() -> None:
    """A mailhub that asks for ever is told to stop."""
    stage = Stage(("AUTH LOGIN",), auth=["334 "] * 50)
    failure = refused(stage, credentials("LOGIN"))

    assert type(failure) is AuthRefused
    assert "asks for more than AUTH LOGIN has to say" in failure.what
    assert ["AUTH LOGIN", base64(b"user"), base64(PASSWORD.encode()), "*"] == (
        stage.said[1:]
    )


@pytest.mark.parametrize(
    "text", ["334 !", "334 dXNlcg", "334-dXNl\r\n334 cg==", "334 " + "A" * 12292]
)
def test_challenge_that_is_no_base64(text: str) -> None:
    """A challenge that is not base64, or over the limit, is cancelled (RFC 4954 §4)."""
    stage = Stage(("AUTH LOGIN",), auth=[text, "501 cancelled"])
    failure = refused(stage)

    assert type(failure) is AuthRefused
    assert "hub.test:25 sent an AUTH challenge that is not base64" in failure.what
    assert failure.next_step.startswith("nothing more was said to it")
    assert failure.reply is not None
    assert ["EHLO client.test", "AUTH LOGIN", "*"] == stage.said
    assert "AUTH" == failure.phase


def test_longest_challenge() -> None:
    """A challenge of 12,288 octets of base64 is answered."""
    stage = Stage(("AUTH LOGIN",), auth=["334 " + "A" * 12288, "334 ", "235 ok"])
    perform(Dialogue(facts(tls="implicit", credentials=credentials())), stage)

    assert stage.accepted


def test_yes_too_early() -> None:
    """A 235 before the exchange is complete is not believed."""
    failure = refused(Stage(("AUTH LOGIN",), auth=["235 ok"]))

    assert type(failure) is AuthRefused
    assert 77 == failure.exit_code
    assert "yes before AUTH LOGIN was complete" in failure.what


def test_scram_not_proved() -> None:
    """A mailhub that says yes without the proof that SCRAM asks for is not believed."""
    failure = refused(Stage(("AUTH SCRAM-SHA-256",), auth=["235 ok"]), nonce="fresh")

    assert type(failure) is AuthRefused
    assert "did not prove that it knows the password" in failure.what


def test_more_is_asked() -> None:
    """A challenge behind the last answer of PLAIN is cancelled."""
    stage = Stage(("AUTH PLAIN",), auth=["334 ", "501 cancelled"])
    failure = refused(stage)

    assert "asks for more than AUTH PLAIN has to say" in failure.what
    assert ["*"] == stage.said[2:]


REFUSALS: list[tuple[str, type[Failure], str, str]] = [
    ("535 5.7.8 no", AuthRefused, "refused AUTH PLAIN: 535 5.7.8 no", "check AuthUser"),
    ("500 what?", AuthRefused, "refused AUTH PLAIN: 500 what?", "check AuthUser"),
    ("503 5.5.1 so?", SiteTrouble, "answered AUTH PLAIN with 503 5.5.1", "try again"),
    ("454 4.7.0 no", SiteTrouble, "answered AUTH PLAIN with 454 4.7.0", "try again"),
    ("236 ok", SiteTrouble, "answered AUTH PLAIN with 236 ok", "try again"),
]


@pytest.mark.parametrize(("text", "failure", "what", "step"), REFUSALS)
def test_refused(text: str, failure: type[Failure], what: str, step: str) -> None:
    """The mailhub's own words are told, and what to look at; QUIT is said."""
    stage = Stage(("AUTH PLAIN",), auth=[text])
    caught = refused(stage)

    assert failure is type(caught)
    assert what in caught.what
    assert caught.next_step.startswith(step)
    assert text == str(caught.reply)
    assert "AUTH" == caught.phase
    assert "QUIT" == stage.said[-1]


def test_connection_lost() -> None:
    """Where a bound mechanism is hung up on, the sentence says how to do without."""
    mechanism = "SCRAM-SHA-256-PLUS"
    stage = Stage(
        (f"AUTH {mechanism}",), tamper=lambda n, verb, o: None if n == 2 else o
    )
    failure = refused(stage, nonce="fresh")

    assert type(failure) is NetworkTrouble
    assert "closed the connection while checking the credentials" in failure.what
    assert failure.next_step.endswith("set AuthMethod=SCRAM-SHA-256")


def test_echo_is_hidden() -> None:
    """What a mailhub says back of a password is dots, in whatever form."""
    said = base64(b"\0user\0" + PASSWORD.encode())
    text = f"535 wrong: {said} or {PASSWORD} or {PASSWORD.encode().hex()}"
    failure = refused(Stage(("AUTH PLAIN",), auth=[text]))

    assert "wrong: ••••" in failure.what
    assert not any(form in failure.what for form in text.split()[2::2])


def test_echo_later_is_hidden() -> None:
    """Every later reply is looked through as well."""
    stage = Stage(
        ("AUTH PLAIN",), {"MAIL": f"550 not with {PASSWORD}"}, auth=["235 ok"]
    )
    with pytest.raises(Failure, match="550 not with ••••"):
        perform(Dialogue(facts(tls="implicit", credentials=credentials())), stage)


@pytest.mark.parametrize(("password", "shown"), [("abc", "abc"), ("abcd", "••••")])
def test_short_secrets(password: str, shown: str) -> None:
    """A password of less than four characters would turn every text to dots."""
    stage = Stage(("AUTH PLAIN",), auth=[f"535 you said {password}"])

    assert f"you said {shown}" in refused(stage, credentials(password=password)).what
