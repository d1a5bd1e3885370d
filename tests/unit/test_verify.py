"""The server's half of AUTH believes what is proved, and nothing else."""

from __future__ import annotations

import base64
import binascii
import hmac

import pytest

from ssmtp.smtp import sasl
from ssmtp.smtp.verify import ITERATIONS, verification

ODD = b"s\xe9cret".decode("utf-8", "surrogateescape")
USERS = {
    "user": "pencil",
    "open": "",
    "": "nobody",
    "a=b,c d": "x=y,z",
    b"\xe9l".decode("utf-8", "surrogateescape"): ODD,
    "=2C": "equals",
}
EVERY = ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2"]


def begun(mechanism: str):
    exchange = verification(mechanism, USERS, "nonce")
    assert exchange is not None
    next(exchange)
    return exchange


def talk(exchange, *responses: bytes | None) -> list[bytes] | str | None:
    """Send responses; return the challenges, or the user when it ends."""
    said = []
    for response in responses:
        try:
            said.append(exchange.send(response))
        except StopIteration as end:
            user: str | None = end.value
            return user
    return said


def together(mechanism: str, user: str, password: str) -> str | None:
    """Let the client's half speak to the server's."""
    client = sasl.exchange(mechanism, user, password, nonce="client")
    server = begun(mechanism)
    response = next(client)
    while True:
        try:
            challenge = server.send(response)
        except StopIteration as end:
            found: str | None = end.value
            return found
        response = client.send(challenge)


@pytest.mark.parametrize("mechanism", EVERY)
@pytest.mark.parametrize("user", ["user", "open", "a=b,c d", "=2C", ""])
def test_both_halves(mechanism: str, user: str) -> None:
    """Names and passwords of every kind pass, where the mechanism can carry them."""
    if mechanism == "XOAUTH2" and USERS[user] == "":
        return  # a token is never empty

    assert user == together(mechanism, user, USERS[user])


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_octets_that_are_no_text(mechanism: str) -> None:
    """Where a mechanism carries octets, they need not be UTF-8."""
    user = b"\xe9l".decode("utf-8", "surrogateescape")

    assert user == together(mechanism, user, ODD)
    assert together(mechanism, user, "other") is None


def test_plain_without_initial_response() -> None:
    """PLAIN without an initial response gets an empty challenge."""
    exchange = begun("PLAIN")

    assert [b""] == talk(exchange, None)
    assert "user" == talk(exchange, b"user\0user\0pencil")


@pytest.mark.parametrize("response", [b"", b"user", b"\0user", b"\0user\0pencil\0"])
def test_plain_of_another_form(response: bytes) -> None:
    """PLAIN has three parts (RFC 4616)."""
    with pytest.raises(ValueError, match="^PLAIN takes"):
        talk(begun("PLAIN"), response)


def test_prompts() -> None:
    """LOGIN asks for the name and the password, CRAM-MD5 with a fresh challenge."""
    assert [b"Username:", b"Password:"] == talk(begun("LOGIN"), None, b"user")
    assert [b"Password:"] == talk(begun("LOGIN"), b"user")
    assert [b"<nonce@ssmtp>"] == talk(begun("CRAM-MD5"), None)


@pytest.mark.parametrize("mechanism", EVERY)
def test_nothing_but_silence(mechanism: str) -> None:
    """Empty responses log nobody in, not even a user without a name."""
    users = {"": "secret", "XXXX": "XXXX"}
    exchange = verification(mechanism, users, "nonce")
    assert exchange is not None
    next(exchange)
    try:
        found = talk(exchange, None, b"", b"", b"")
    except (ValueError, binascii.Error):
        return

    assert found is None


def test_cram_md5() -> None:
    """The digest is over the challenge with the user's own password."""
    exchange = begun("CRAM-MD5")
    digest = hmac.digest(b"x=y,z", exchange.send(None), "md5").hex().encode()

    assert "a=b,c d" == talk(exchange, b"a=b,c d " + digest)
    with pytest.raises(ValueError, match="^CRAM-MD5 has no initial response"):
        talk(begun("CRAM-MD5"), b"user")


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"QUJD",
        b"user=user",
        b"user=user\1auth=Bearer pencil",
        b"user=user\1auth=Bearer pencil\1",
        b"user=user\1auth=Bearer pencil\1\1\1",
        b"name=user\1auth=Bearer pencil\1\1",
        b"user=user\1auth=Basic pencil\1\1",
    ],
)
def test_xoauth2_of_another_form(response: bytes) -> None:
    """XOAUTH2 has two attributes and nothing else."""
    with pytest.raises(ValueError, match="^XOAUTH2 takes user= and auth=Bearer$"):
        talk(begun("XOAUTH2"), response)


def test_xoauth2_refused() -> None:
    """A wrong token is told in JSON; whatever comes then, it is refused."""
    exchange = begun("XOAUTH2")
    said = talk(exchange, b"user=user\1auth=Bearer wrong\1\1")

    assert [b'{"status":"401","schemes":"bearer"}'] == said
    assert talk(exchange, b"user=user\1auth=Bearer pencil\1\1") is None


HEADER = "SCRAM: the first message has no gs2 header of ours"
NAMES = "SCRAM: the first message takes n= and r="


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (b"", HEADER),
        (b"n", HEADER),
        (b"n,n=user", HEADER),
        (b"y", HEADER),
        (b"Y,,n=user,r=x", HEADER),
        (b"p=tls-unique,,n=user,r=x", HEADER),
        (b"n,a=other,n=user,r=x", HEADER),
        (b"n,,n=user", NAMES),
        (b"n,,r=x", NAMES),
        (b"n,,m=user,r=x", NAMES),
        (b"n,,n=user,x=x", NAMES),
        (b"n,,n=user,r=", NAMES),
    ],
)
def test_scram_first_message(first: bytes, why: str) -> None:
    """The first message is in order to the letter, or the end of the exchange."""
    with pytest.raises(ValueError, match=f"^{why}$"):
        talk(begun("SCRAM-SHA-256"), first)


@pytest.mark.parametrize("flag", [b"n", b"y"])
def test_scram_challenge(flag: bytes) -> None:
    """The challenge has both nonces, a salt of 16 octets and enough iterations."""
    said = begun("SCRAM-SHA-1").send(flag + b",,n=user,r=x,later=y")
    nonce, salt, count = said.split(b",")

    assert (b"r=xnonce", b"i=4096") == (nonce, count)
    assert 16 == len(base64.b64decode(salt[2:], validate=True))
    other = verification("SCRAM-SHA-1", USERS, "other")
    assert other is not None
    next(other)
    assert salt not in other.send(b"n,,n=user,r=x")
    assert 4096 == ITERATIONS


@pytest.mark.parametrize(
    "final",
    [
        b"",
        b"c=biws,r=cnonce",
        b"c=biws,r=other,p=AAAA",
        b"c=eSws,r=cnonce,p=AAAA",
        b"r=cnonce,c=biws,p=AAAA",
        b"x=y,c=biws,r=cnonce,p=AAAA",
    ],
)
def test_scram_final_message(final: bytes) -> None:
    """The final message says the header and the nonce again."""
    exchange = begun("SCRAM-SHA-256")
    talk(exchange, b"n,,n=user,r=c")

    with pytest.raises(ValueError, match="final message does not belong to the first$"):
        talk(exchange, final)


def test_scram_proof() -> None:
    """A proof is base64 of the right length; extensions may stand before it."""
    for proof in (b"AAAA", base64.b64encode(bytes(32)), b""):
        exchange = begun("SCRAM-SHA-256")
        talk(exchange, b"n,,n=user,r=c")
        assert talk(exchange, b"c=biws,r=cnonce,x=1,p=" + proof) is None

    exchange = begun("SCRAM-SHA-256")
    talk(exchange, b"n,,n=user,r=c")
    with pytest.raises(binascii.Error):
        talk(exchange, b"c=biws,r=cnonce,p=AAAA!")
