"""Every mechanism says what its RFC says, and believes only what was proved."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp.errors import AuthRefused
from ssmtp.smtp import sasl, saslprep

BINDING = bytes(range(32))


def credentials(method: str | None = None, cleartext_ok: bool = False):
    def never():
        raise AssertionError("choosing must not fetch the secret")

    return sasl.Credentials("user", never, method, cleartext_ok=cleartext_ok)


def answers(exchange, *challenges):
    """Play the server: the responses to the given challenges, then say 235."""
    said = [next(exchange)]
    for challenge in challenges:
        said.append(exchange.send(challenge))
    with pytest.raises(StopIteration):
        exchange.send(None)
    return said


class Scram:
    """The server's half of SCRAM, written from RFC 5802 §3 for these tests."""

    def __init__(self, hash_name: str, password: bytes, iterations: int = 4096):
        self.hash_name = hash_name
        self.salt = b"pepper"
        self.iterations = iterations
        self.salted = hashlib.pbkdf2_hmac(
            hash_name, password, self.salt, max(1, min(iterations, 10_000))
        )

    def first(self, client_first: bytes) -> bytes:
        self.gs2, self.bare = self.split(client_first)
        self.nonce = self.bare.split(b"r=")[1] + b"server"
        self.reply = b"r=%s,s=%s,i=%d" % (
            self.nonce,
            base64.b64encode(self.salt),
            self.iterations,
        )
        return self.reply

    @staticmethod
    def split(client_first: bytes) -> tuple[bytes, bytes]:
        flag, authzid, bare = client_first.split(b",", 2)
        return flag + b"," + authzid + b",", bare

    def final(self, client_final: bytes, binding: bytes = b"") -> bytes:
        without, _, proof = client_final.rpartition(b",p=")

        assert base64.b64encode(self.gs2 + binding) in without

        message = self.bare + b"," + self.reply + b"," + without
        client_key = hmac.digest(self.salted, b"Client Key", self.hash_name)
        stored = hashlib.new(self.hash_name, client_key).digest()
        signature = hmac.digest(stored, message, self.hash_name)
        want = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))

        assert want == base64.b64decode(proof)

        server_key = hmac.digest(self.salted, b"Server Key", self.hash_name)
        return b"v=" + base64.b64encode(
            hmac.digest(server_key, message, self.hash_name)
        )


def test_plain():
    """PLAIN is RFC 4616's example."""
    said = answers(sasl.exchange("PLAIN", "tim", "tanstaaftanstaaf"))

    assert [b"\0tim\0tanstaaftanstaaf"] == said


def test_octets_that_are_no_text():
    """A password that is not UTF-8 goes out with the octets it was written with."""
    password = b"s\xe9cret".decode("utf-8", "surrogateescape")

    assert [b"\0u\0s\xe9cret"] == answers(sasl.exchange("PLAIN", "u", password))
    assert b"s\xe9cret" == answers(sasl.exchange("LOGIN", "u", password), b"", b"")[-1]


def test_login():
    """LOGIN answers two prompts without reading them."""
    said = answers(sasl.exchange("LOGIN", "u", "p"), b"Username:", b"whatever")

    assert [None, b"u", b"p"] == said


def test_login_the_old_way():
    """UseOldAUTH gives the user name with the command."""
    said = answers(sasl.exchange("LOGIN", "u", "p", old_auth=True), b"Password:")

    assert [b"u", b"p"] == said


def test_cram_md5():
    """CRAM-MD5 is RFC 2195's example."""
    said = answers(
        sasl.exchange("CRAM-MD5", "tim", "tanstaaftanstaaf"),
        b"<1896.697170952@postoffice.reston.mci.net>",
    )

    assert [None, b"tim b913a602c7eda7a495b4e6e7334d3890"] == said


def test_cram_md5_long_password():
    """A password over 64 octets is hashed first (RFC 2104 §2)."""
    said = answers(sasl.exchange("CRAM-MD5", "u", "p" * 70), b"<1@hub>")

    assert (
        b"u " + hmac.new(b"p" * 70, b"<1@hub>", "md5").hexdigest().encode() == said[1]
    )


def test_cram_md5_empty_challenge():
    """An empty challenge, the same for ever, is not answered."""
    exchange = sasl.exchange("CRAM-MD5", "u", "p")
    next(exchange)

    with pytest.raises(AuthRefused, match="empty CRAM-MD5 challenge"):
        exchange.send(b"")


def test_scram_sha_1():
    """SCRAM-SHA-1 is RFC 5802's example, when the server cannot bind and we cannot."""
    said = answers(
        sasl.exchange(
            "SCRAM-SHA-1", "user", "pencil", nonce="fyko+d2lbbFgONRv9qkxdawL"
        ),
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    )

    assert [
        b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        (
            b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,"
            b"p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
        ),
        b"",
    ] == said


def test_scram_sha_256():
    """SCRAM-SHA-256 is RFC 7677's example."""
    said = answers(
        sasl.exchange("SCRAM-SHA-256", "user", "pencil", nonce="rOprNGfwEbeRWgbNEkqO"),
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    )

    assert (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=" == said[1]
    )


@pytest.mark.parametrize(
    ("mechanism", "hash_name", "binding", "offered", "gs2"),
    [
        ("SCRAM-SHA-256", "sha256", None, ["SCRAM-SHA-256"], b"n,,"),
        ("SCRAM-SHA-256", "sha256", BINDING, ["SCRAM-SHA-256"], b"y,,"),
        (
            "SCRAM-SHA-256",
            "sha256",
            BINDING,
            ["scram-sha-256", "scram-sha-256-plus"],
            b"n,,",
        ),
        ("SCRAM-SHA-1", "sha1", BINDING, ["SCRAM-SHA-1"], b"y,,"),
        (
            "SCRAM-SHA-256-PLUS",
            "sha256",
            BINDING,
            ["SCRAM-SHA-256-PLUS"],
            b"p=tls-server-end-point,,",
        ),
        (
            "SCRAM-SHA-1-PLUS",
            "sha1",
            BINDING,
            ["SCRAM-SHA-1-PLUS"],
            b"p=tls-server-end-point,,",
        ),
    ],
)
def test_scram_binding(mechanism, hash_name, binding, offered, gs2):
    """The first words say truly whether binding is used, possible or out of reach."""
    server = Scram(hash_name, b"pencil")
    exchange: Any = sasl.exchange(
        mechanism, "user", "pencil", binding=binding, offered=offered, nonce="abc"
    )
    client_final = exchange.send(server.first(next(exchange)))
    bound = BINDING if mechanism.endswith("-PLUS") else b""

    assert gs2 == server.gs2
    assert b"" == exchange.send(server.final(client_final, bound))
    with pytest.raises(StopIteration):
        exchange.send(None)


@pytest.mark.parametrize("hash_name", ["sha1", "sha256"])
@pytest.mark.parametrize("plus", [False, True])
@pytest.mark.parametrize(
    ("user", "password"),
    [("user", "pencil"), ("a=b,c", "x,y=z"), ("Jürgen", "geheim\xadnis Ⅸ")],
)
def test_scram_against_scramp(hash_name, plus, user, password):
    """The server half of another implementation accepts us, and we accept it."""
    scramp = pytest.importorskip("scramp")
    mechanism = "SCRAM-SHA-" + {"sha1": "1", "sha256": "256"}[hash_name]
    mechanism += "-PLUS" if plus else ""
    server_mechanism = scramp.ScramMechanism(mechanism)
    auth = server_mechanism.make_auth_info(password, iteration_count=4096)
    binding = ("tls-server-end-point", BINDING) if plus else None
    server = server_mechanism.make_server(lambda _: auth, channel_binding=binding)
    exchange: Any = sasl.exchange(
        mechanism,
        user,
        password,
        binding=BINDING if plus else None,
        offered=[mechanism],
        nonce="rOprNGfwEbeRWgbNEkqO",
    )
    server.set_client_first(next(exchange).decode())
    server.set_client_final(exchange.send(server.get_server_first().encode()).decode())

    assert b"" == exchange.send(server.get_server_final().encode())


def begun(password: str = "pencil", **changes):
    """Begin SCRAM-SHA-256 and return it with its server."""
    server = Scram("sha256", b"pencil", **changes)
    exchange: Any = sasl.exchange("SCRAM-SHA-256", "user", password, nonce="abc")
    server.first(next(exchange))
    return exchange, server


@pytest.mark.parametrize("iterations", [0, 1, 4095, 1_000_001, 2**31, 10**19])
def test_scram_iterations(iterations):
    """Too few iterations are no protection, too many are an attack."""
    exchange, server = begun(iterations=iterations)

    with pytest.raises(AuthRefused, match="iterations"):
        exchange.send(server.reply)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"r=abc",
        b"r=abcX,s=QQ==",
        b"r=abcX,s=QQ==,i=",
        b"r=abcX,s=QQ==,i=4_096",
        b"r=abcX,s=QQ==,i=-4096",
        b"r=abcX,s=QQ==,i=" + b"9" * 5000,
        b"r=abcX,s=,i=4096",
        b"r=abcX,s=%%%,i=4096",
        b"r=abcX,s=QQ,i=4096",
        b"r=ab,s=QQ==,i=4096",
        b"r=abc,s=QQ==,i=4096",
        b"r=xabcX,s=QQ==,i=4096",
        b"r=abc\xff,s=QQ==,i=4096",
        b"r=abc\r\nX,s=QQ==,i=4096",
        b"s=QQ==,r=abcX,i=4096",
        b"m=new,r=abcX,s=QQ==,i=4096",
        b"e=other-error",
        b"x" * 12289,
    ],
)
def test_scram_first_challenge(reply):
    """A first challenge that is not exactly in order ends the exchange."""
    exchange, _ = begun()

    with pytest.raises(AuthRefused):
        exchange.send(reply)


@pytest.mark.parametrize(
    "final",
    [
        b"",
        b"v=",
        b"v=%%%",
        b"v=" + base64.b64encode(bytes(32)),
        b"x=y",
        b"e=invalid-proof",
        b"e=\x1b[2Jboo",
    ],
)
def test_scram_server_signature(final):
    """Only the right signature is a proof."""
    exchange, server = begun()
    exchange.send(server.reply)

    with pytest.raises(AuthRefused) as caught:
        exchange.send(final)
    assert caught.value.sentence().isprintable()


def test_scram_early_success():
    """A 235 before the server's signature is an impostor's."""
    exchange, server = begun()
    with pytest.raises(AuthRefused, match="did not prove that it knows the password"):
        exchange.send(None)

    exchange, server = begun()
    exchange.send(server.reply)
    with pytest.raises(AuthRefused, match="did not prove that it knows the password"):
        exchange.send(None)


def test_scram_names():
    """`=` and `,` in a user name are escaped (RFC 5802 §5.1)."""
    exchange = sasl.exchange("SCRAM-SHA-256", "a=b,c", "p", nonce="N")

    assert b"n,,n=a=3Db=2Cc,r=N" == next(exchange)


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\xadX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\xaa", "a"),
        ("Ⅸ", "IX"),
        ("a\xa0b", "a b"),
    ],
)
def test_saslprep(text, prepared):
    """SASLprep gives what RFC 4013 §3 gives."""
    assert prepared.encode() == saslprep.prepare(text, "password", "SCRAM-SHA-1")


@pytest.mark.parametrize("text", ["\7", "\u0627\x31", "\udcff", "\u200e"])
def test_saslprep_refuses(text):
    """What RFC 4013 forbids, or is no UTF-8, is refused with the way out."""
    with pytest.raises(AuthRefused) as caught:
        saslprep.prepare(text, "password", "SCRAM-SHA-1")
    assert "AuthMethod=PLAIN" in caught.value.next_step


def test_xoauth2():
    """XOAUTH2 has the form that Google documents."""
    said = answers(sasl.exchange("XOAUTH2", "someuser@example.com", "ya29.vF9dft4"))

    assert [b"user=someuser@example.com\1auth=Bearer ya29.vF9dft4\1\1"] == said


def test_xoauth2_error():
    """An error report is answered with an empty line."""
    exchange = sasl.exchange("XOAUTH2", "u", "token")
    next(exchange)

    assert b"" == exchange.send(b'{"status":"401"}')
    with pytest.raises(AuthRefused, match="token"):
        exchange.send(b'{"status":"401"}')


def test_oauthbearer():
    """OAUTHBEARER has the form of RFC 7628 §4.1, names escaped."""
    said = answers(sasl.exchange("OAUTHBEARER", "u=1,2", "vF9dft4qmTc2Nvb3RlckBh"))

    assert [b"n,a=u=3D1=2C2,\1auth=Bearer vF9dft4qmTc2Nvb3RlckBh\1\1"] == said


def test_oauthbearer_error():
    """An error report is answered with a lone %x01 (RFC 7628 §3.2.3)."""
    exchange = sasl.exchange("OAUTHBEARER", "u", "token")
    next(exchange)

    assert b"\1" == exchange.send(b'{"status":"invalid_token"}')


@pytest.mark.parametrize("token", ["", "a b", "a\1b", "tök", "a\nb"])
@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_token_characters(mechanism, token):
    """A token that would change the form of the message is not sent."""
    with pytest.raises(AuthRefused):
        next(sasl.exchange(mechanism, "u", token))


def test_external():
    """EXTERNAL leaves the identity to the certificate."""
    assert [b""] == answers(sasl.exchange("EXTERNAL", "", ""))
    assert [b"", b""] == answers(sasl.exchange("EXTERNAL", "", ""), b"")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"])
@pytest.mark.parametrize(("user", "secret"), [("a\0b", "p"), ("u", "hush\0hush")])
def test_nul(mechanism, user, secret):
    """A NUL would move the border between user and password."""
    with pytest.raises(AuthRefused, match="NUL") as caught:
        sasl.exchange(mechanism, user, secret)

    assert "hush" not in caught.value.sentence()


@pytest.mark.parametrize("mechanism", ["LOGIN", "CRAM-MD5"])
def test_early_success(mechanism):
    """A yes before anything was said belongs to some other question."""
    exchange = sasl.exchange(mechanism, "u", "p")
    next(exchange)

    with pytest.raises(AuthRefused, match="before AUTH"):
        exchange.send(None)


@pytest.mark.parametrize("mechanism", [m for m in sasl.MECHANISMS if "PLUS" not in m])
def test_challenges_for_ever(mechanism):
    """No server keeps an exchange going for ever."""
    exchange = sasl.exchange(mechanism, "u", "p", nonce="abc")
    next(exchange)

    with pytest.raises(AuthRefused):
        for _ in range(10):
            exchange.send(b"r=abcX,s=QQ==,i=4096")


@given(
    st.sampled_from([m for m in sasl.MECHANISMS if "PLUS" not in m]),
    st.lists(st.one_of(st.none(), st.binary(max_size=40)), max_size=5),
)
def test_any_challenge(mechanism, challenges):
    """Whatever a server says, the end is success or AuthRefused, in plain words."""
    exchange = sasl.exchange(mechanism, "u", "hush-hush", nonce="abc")
    next(exchange)
    for challenge in challenges:
        try:
            exchange.send(challenge)
        except (AuthRefused, StopIteration) as end:
            sentence = end.sentence() if isinstance(end, AuthRefused) else "yes"
            break
    else:
        return

    assert challenge is None or sentence != "yes"
    assert sentence.isascii()
    assert sentence.isprintable()
    assert "hush-hush" not in sentence


@pytest.mark.parametrize(
    ("offered", "binding", "chosen"),
    [
        (["PLAIN", "LOGIN"], None, "PLAIN"),
        (["login", "plain"], None, "PLAIN"),
        (["LOGIN", "CRAM-MD5"], None, "LOGIN"),
        (["CRAM-MD5"], None, "CRAM-MD5"),
        (["PLAIN", "SCRAM-SHA-1"], None, "SCRAM-SHA-1"),
        (["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"], None, "SCRAM-SHA-256"),
        (["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"], None, "SCRAM-SHA-256"),
        (["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"], BINDING, "SCRAM-SHA-256-PLUS"),
        (["SCRAM-SHA-1-PLUS", "SCRAM-SHA-256"], BINDING, "SCRAM-SHA-256"),
        (["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"], BINDING, "SCRAM-SHA-1-PLUS"),
        (["XOAUTH2", "OAUTHBEARER", "PLAIN"], None, "PLAIN"),
    ],
)
def test_automatic_choice(offered, binding, chosen):
    """The strongest mechanism that both sides can is chosen."""
    assert chosen == sasl.choose(offered, credentials(), tls=True, binding=binding)


@pytest.mark.parametrize("method", ["login", "CRAM-MD5", "XOAUTH2", "EXTERNAL"])
def test_insisted_choice(method):
    """AuthMethod decides when it is offered."""
    offered = ["SCRAM-SHA-256", "PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2", "EXTERNAL"]

    assert method.upper() == sasl.choose(
        offered, credentials(method), tls=True, binding=None
    )


@pytest.mark.parametrize(
    ("offered", "method", "words"),
    [
        ([], None, "does not offer AUTH"),
        (["GSSAPI", "NTLM"], None, "GSSAPI NTLM"),
        (["GSSAPI", "NTLM"], None, "ask its administrator for SCRAM or PLAIN"),
        (["XOAUTH2", "EXTERNAL"], None, "AuthMethod can be XOAUTH2 or EXTERNAL"),
        (["SCRAM-SHA-256-PLUS"], None, "SCRAM-SHA-256-PLUS"),
        (["PLAIN", "LOGIN"], "CRAM-MD5", "offered: PLAIN LOGIN"),
        ([], "LOGIN", "offered: none"),
        (["PLAIN"], "NTLM", "NTLM is not a mechanism"),
        (["SCRAM-SHA-256-PLUS"], "SCRAM-SHA-256-PLUS", "certificate to bind to"),
        (["\x1b[2J"], None, "\\x1b[2J"),
    ],
)
def test_no_choice(offered, method, words):
    """Without a usable mechanism the sentence lists what is offered."""
    with pytest.raises(AuthRefused) as caught:
        sasl.choose(offered, credentials(method), tls=True, binding=None)

    assert 77 == caught.value.exit_code
    assert words in caught.value.sentence()
    assert caught.value.sentence().isprintable()


def test_cleartext():
    """Without TLS there is no AUTH, unless the configuration says so."""
    with pytest.raises(AuthRefused, match="without verified TLS"):
        sasl.choose(["PLAIN"], credentials(), tls=False, binding=None)

    assert "PLAIN" == sasl.choose(
        ["PLAIN"], credentials(cleartext_ok=True), tls=False, binding=None
    )


def test_unknown_mechanism():
    """A mechanism nobody wrote is refused with the list of those that are."""
    with pytest.raises(AuthRefused, match="GSSAPI"):
        sasl.exchange("GSSAPI", "u", "p")
    with pytest.raises(AuthRefused, match="SCRAM-SHA-9"):
        next(sasl.exchange("SCRAM-SHA-9", "u", "p"))
    with pytest.raises(AuthRefused, match="certificate"):
        next(sasl.exchange("SCRAM-SHA-256-PLUS", "u", "p"))


def test_cram_md5_without_md5(monkeypatch):
    """Where MD5 is forbidden, the way out is another mechanism."""

    def forbidden(*_):
        raise ValueError("unsupported hash type md5")

    monkeypatch.setattr(hmac, "digest", forbidden)
    exchange = sasl.exchange("CRAM-MD5", "u", "p")
    next(exchange)

    with pytest.raises(AuthRefused, match="forbids") as caught:
        exchange.send(b"<1@hub>")
    assert "AuthMethod" in caught.value.next_step


@pytest.mark.parametrize("mechanism", ["LOGIN", "CRAM-MD5"])
def test_endless_challenge(mechanism):
    """A challenge longer than RFC 4954 allows is not answered."""
    exchange = sasl.exchange(mechanism, "u", "p")
    next(exchange)

    with pytest.raises(AuthRefused, match="too long"):
        exchange.send(b"x" * (sasl.CHALLENGE_LIMIT + 1))


def test_user_of_a_token():
    """A user name that would change the form of XOAUTH2's message is not sent."""
    with pytest.raises(AuthRefused, match="control character"):
        next(sasl.exchange("XOAUTH2", "u\1auth=Bearer x", "token"))
