"""What an answer to EHLO offers: keywords are words, and no mechanism is made up."""

from __future__ import annotations

from ssmtp.config import Secret
from ssmtp.errors import AuthRefused
from ssmtp.smtp import sasl
from ssmtp.smtp.offers import Offers
from ssmtp.smtp.reply import escaped
from tests.fuzz.choices import Choices

METHODS = (None, "PLAIN", "SCRAM-SHA-256-PLUS", "XOAUTH2", "plain", "NONSENSE")


def run(data: bytes) -> None:
    """Read the lines of one answer, and choose a mechanism of those offered."""
    choices = Choices(data)
    method = METHODS[choices.pick(len(METHODS))]
    safe, bound = bool(choices.pick(2)), choices.pick(2)
    lines = [escaped(line) for line in choices.rest().split(b"\n")]
    offers = Offers(lines)

    assert offers.size >= 0
    for keyword in offers.keywords:
        assert keyword.isascii()
        assert keyword.replace("-", "").isalnum()
        assert any(keyword in line.upper() for line in lines)
    words = {word for line in lines for word in line.upper().split()}
    words |= {word.removeprefix("AUTH=") for word in words}
    assert words.issuperset(offers.auth)
    credentials = sasl.Credentials("user", lambda: Secret("password"), method)
    try:
        chosen = sasl.choose(
            offers.auth, credentials, tls=safe, binding=b"b" if bound else None
        )
    except AuthRefused as refused:
        assert refused.sentence().isprintable()
        return
    assert safe
    assert chosen in offers.auth
    assert method is None or chosen == method.upper()
    assert bound or not chosen.endswith("-PLUS")
