"""AUTH with any challenges: no proof, no success; the password goes in no other way."""

from __future__ import annotations

from ssmtp.errors import AuthRefused
from ssmtp.smtp import sasl
from tests.fuzz.choices import Choices

SECRET = "S3cret-Wörd"
NONCE = "fyko+d2lbbFgONRv9qkxdawL"
MECHANISMS = (*sasl.MECHANISMS, "NONSENSE")
NO_PASSWORD = ("SCRAM", "CRAM", "EXTERNAL")
TOKEN = "ya29.token"


def run(data: bytes) -> None:
    """Answer challenges of one mechanism, as the dialogue would."""
    choices = Choices(data)
    mechanism = MECHANISMS[choices.pick(len(MECHANISMS))]
    binding = b"b" * 32 if choices.pick(2) else None
    yes_after = choices.pick(5)
    old_auth = bool(choices.pick(2))
    challenges = choices.rest().split(b"\n")
    secret = TOKEN if mechanism in ("XOAUTH2", "OAUTHBEARER") else SECRET
    said: list[bytes] = []
    proved = False
    try:
        talk = sasl.exchange(
            mechanism,
            "user",
            secret,
            binding=binding,
            offered=[mechanism],
            nonce=NONCE,
            old_auth=old_auth,
        )
        said.append(next(talk) or b"")
        for number, challenge in enumerate(challenges[:12]):
            if number == yes_after:
                break
            said.append(talk.send(challenge) or b"")
        proved = _yes(talk)
    except AuthRefused as refused:
        assert secret not in refused.sentence()
        assert refused.sentence().isprintable()
    except StopIteration:
        raise AssertionError("it ended before the mailhub said yes") from None
    assert len(said) < 8, "it answers for ever"
    if mechanism.startswith(NO_PASSWORD):
        assert not any(secret.encode() in response for response in said)
    if mechanism.startswith("SCRAM"):
        assert not proved, "the mailhub cannot know the password"


def _yes(talk: sasl.Exchange) -> bool:
    try:
        talk.send(None)
    except StopIteration:
        return True
    raise AssertionError("it goes on after the mailhub said yes")
