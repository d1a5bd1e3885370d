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

pytestmark = pytest.mark.usefixtures("failures_read_well")
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

    with pytest.raises(
        AuthRefused, match=f"asks for {iterations} SCRAM iter"
    ) as caught:
        exchange.send(server.reply)
    assert caught.value.next_step.startswith("this is either an attack or a very old")


@pytest.mark.parametrize("iterations", [4096, 1_000_000])
def test_scram_iterations_at_the_limits(iterations):
    """From 4,096 to a million iterations are done."""
    exchange, _ = begun()

    assert exchange.send(b"r=abcX,s=QQ==,i=%d" % iterations).startswith(
        b"c=biws,r=abcX"
    )


NO_CHALLENGE = "the mailhub's SCRAM challenge cannot be understood"
NO_SALT = "the mailhub's SCRAM salt cannot be understood"
NO_COUNT = "the mailhub's SCRAM iteration count is no number"
NOT_OURS = "the mailhub's SCRAM nonce does not extend ours; this may be a replayed"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"", NO_CHALLENGE),
        (b"r=abc", NO_CHALLENGE),
        (b"r=abcX,s=QQ==", NO_CHALLENGE),
        (b"s=QQ==,r=abcX,i=4096", NO_CHALLENGE),
        (b"r=abcX,s=QQ==,i=", NO_COUNT),
        (b"r=abcX,s=QQ==,i=4_096", NO_COUNT),
        (b"r=abcX,s=QQ==,i=-4096", NO_COUNT),
        (b"r=abcX,s=QQ==,i=" + b"9" * 21, NO_COUNT),
        (b"r=abcX,s=QQ==,i=" + b"9" * 5000, NO_COUNT),
        (b"r=abcX,s=,i=4096", NO_SALT),
        (b"r=abcX,s=%%%,i=4096", NO_SALT),
        (b"r=abcX,s=QQ,i=4096", NO_SALT),
        (b"r=abcX,s=QQ==\n,i=4096", NO_SALT),
        (b"r=ab,s=QQ==,i=4096", NOT_OURS),
        (b"r=abc,s=QQ==,i=4096", NOT_OURS),
        (b"r=xabcX,s=QQ==,i=4096", NOT_OURS),
        (b"r=abc\xff,s=QQ==,i=4096", "the mailhub's SCRAM nonce is not printable text"),
        (b"r=abc\x7f,s=QQ==,i=4096", "the mailhub's SCRAM nonce is not printable text"),
        (b"r=abc X,s=QQ==,i=4096", "the mailhub's SCRAM nonce is not printable text"),
        (b"r=abc\r\nX,s=QQ==,i=4096", "the mailhub's SCRAM nonce is not printable"),
        (b"m=new,r=abcX,s=QQ==,i=4096", "the mailhub asks for a SCRAM extension that"),
        (
            b"e=other-error",
            "the mailhub refused SCRAM-SHA-256: other-error; check AuthUser",
        ),
        (b"x" * 12289, "the mailhub's challenge is too long"),
        (b"x" * 12288, NO_CHALLENGE),
    ],
)
def test_scram_first_challenge(reply, words):
    """A first challenge that is not exactly in order ends the exchange."""
    exchange, _ = begun()

    with pytest.raises(AuthRefused) as caught:
        exchange.send(reply)
    assert caught.value.sentence().startswith(words)


@pytest.mark.parametrize("more", [b"", b",x=later", b",x=later,y=more"])
def test_scram_extensions(more):
    """Later attributes of the challenge are extensions, any printable nonce is good."""
    exchange, _ = begun()

    assert exchange.send(b"r=abc!~,s=QQ==,i=4096" + more).startswith(b"c=biws,r=abc!~")


UNPROVED = (
    "the mailhub did not prove that it knows the password: its SCRAM signature is"
)


@pytest.mark.parametrize(
    ("final", "words"),
    [
        (b"", UNPROVED),
        (b"v=", UNPROVED),
        (b"v=%%%", UNPROVED),
        (b"v=" + base64.b64encode(bytes(32)), UNPROVED),
        (b"x=y", UNPROVED),
        (b"e=invalid-proof", "the mailhub refused SCRAM-SHA-256: invalid-proof; check"),
        (b"e=no,x=y", "the mailhub refused SCRAM-SHA-256: no; check AuthUser"),
        (b"e=\x1b[2Jb\xff", "the mailhub refused SCRAM-SHA-256: \\x1b[2Jb\\xff; "),
    ],
)
def test_scram_server_signature(final, words):
    """Only the right signature is a proof."""
    exchange, server = begun()
    exchange.send(server.reply)

    with pytest.raises(AuthRefused) as caught:
        exchange.send(final)
    assert caught.value.sentence().isprintable()
    assert caught.value.sentence().startswith(words)
    if words is UNPROVED:
        assert caught.value.next_step.endswith("check Mailhub and the password")


def test_scram_signature_in_another_place():
    """The signature counts as v= alone, with extensions behind it."""
    exchange, server = begun()
    final = server.final(exchange.send(server.reply))
    with pytest.raises(AuthRefused, match="did not prove"):
        exchange.send(b"w" + final[1:])

    exchange, server = begun()
    final = server.final(exchange.send(server.reply))

    assert b"" == exchange.send(final + b",x=later")
    with pytest.raises(AuthRefused, match="more than AUTH SCRAM-SHA-256 has to say"):
        exchange.send(b"")


@pytest.mark.parametrize("rounds", [0, 1])
def test_scram_early_success(rounds):
    """A 235 before the server's signature is an impostor's."""
    exchange, server = begun()
    for _ in range(rounds):
        exchange.send(server.reply)
    with pytest.raises(AuthRefused) as caught:
        exchange.send(None)

    assert caught.value.what == (
        "the mailhub did not prove that it knows the password:"
        " it said yes before the SCRAM exchange was complete"
    )
    assert caught.value.next_step.startswith("somebody may be playing the mailhub; ch")
    assert "check Mailhub" in caught.value.next_step


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
        ("a\u1680b", "a b"),
        ("\u0627\u0628", "\u0627\u0628"),
        ("\u06271\u0628", "\u06271\u0628"),
        ("\u0627", "\u0627"),
    ],
)
def test_saslprep(text, prepared):
    """SASLprep gives what RFC 4013 §3 gives."""
    assert prepared.encode() == saslprep.prepare(text, "password", "SCRAM-SHA-1")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("\7", "a control character"),
        ("a\x7f", "a control character"),
        ("\udcff", "octets that are not UTF-8"),
        ("\u200e", "a character that SASLprep forbids"),
        ("\xad\x80", "a character that SASLprep forbids"),
        ("\u06271", "text in two directions"),
        ("1\u0627", "text in two directions"),
        ("\u0627a\u0628", "text in two directions"),
    ],
)
@pytest.mark.parametrize("what", ["password", "user name"])
def test_saslprep_refuses(text, why, what):
    """What RFC 4013 forbids, or is no UTF-8, is refused with the way out."""
    pair = (text, "pencil") if what == "user name" else ("user", text)
    with pytest.raises(AuthRefused) as caught:
        next(sasl.exchange("SCRAM-SHA-1", *pair))
    assert (
        f"the {what} holds {why}, which SCRAM-SHA-1 cannot carry" == caught.value.what
    )
    assert "set AuthMethod=PLAIN, or change it" == caught.value.next_step


def test_xoauth2():
    """XOAUTH2 has the form that Google documents."""
    said = answers(sasl.exchange("XOAUTH2", "someuser@example.com", "ya29.vF9dft4"))

    assert [b"user=someuser@example.com\1auth=Bearer ya29.vF9dft4\1\1"] == said


@pytest.mark.parametrize(
    ("mechanism", "said"), [("XOAUTH2", b""), ("OAUTHBEARER", b"\1")]
)
@pytest.mark.parametrize(
    ("answer", "words"),
    [(None, "refused the access token; it"), (b"{}", "token, and keeps asking; it")],
)
def test_token_refused(mechanism, said, answer, words):
    """An error report is answered as Google (RFC 7628 §3.2.3) asks, and never twice."""
    exchange = sasl.exchange(mechanism, "u", "token")
    next(exchange)

    assert said == exchange.send(b'{"status":"401"}')
    with pytest.raises(AuthRefused) as caught:
        exchange.send(answer)
    assert caught.value.what.startswith("the mailhub refused the access token")
    assert words in caught.value.sentence()
    assert caught.value.next_step.endswith("check what AuthPassCommand prints")


def test_oauthbearer():
    """OAUTHBEARER has the form of RFC 7628 §4.1, names escaped."""
    said = answers(sasl.exchange("OAUTHBEARER", "u=1,2", "vF9dft4qmTc2Nvb3RlckBh"))

    assert [b"n,a=u=3D1=2C2,\1auth=Bearer vF9dft4qmTc2Nvb3RlckBh\1\1"] == said


def test_oauthbearer_without_user():
    """Without a user name there is no authorization identity."""
    assert [b"n,,\1auth=Bearer t\1\1"] == answers(sasl.exchange("OAUTHBEARER", "", "t"))


@pytest.mark.parametrize("token", ["", "a b", "a\1b", "tök", "a\nb"])
@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_token_characters(mechanism, token):
    """A token that would change the form of the message is not sent."""
    with pytest.raises(AuthRefused) as caught:
        next(sasl.exchange(mechanism, "u", token))
    assert caught.value.sentence() == (
        "the access token is empty or holds characters that no token has;"
        " check what AuthPassCommand prints"
    )


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
    assert "correct AuthUser or the password" == caught.value.next_step
    assert caught.value.what.endswith("holds a NUL, which no mechanism can carry")


@pytest.mark.parametrize(
    ("mechanism", "rounds"), [("LOGIN", 0), ("LOGIN", 1), ("CRAM-MD5", 0)]
)
def test_early_success(mechanism, rounds):
    """A yes before anything was said belongs to some other question."""
    exchange = sasl.exchange(mechanism, "u", "p")
    next(exchange)
    for _ in range(rounds):
        exchange.send(b"Username:")

    with pytest.raises(AuthRefused, match=f"yes before AUTH {mechanism} was") as caught:
        exchange.send(None)
    assert "check that Mailhub names the right host and port" == caught.value.next_step


@pytest.mark.parametrize("mechanism", [m for m in sasl.MECHANISMS if "PLUS" not in m])
def test_challenges_for_ever(mechanism):
    """No server keeps an exchange going for ever."""
    exchange = sasl.exchange(mechanism, "u", "p", nonce="abc")
    next(exchange)

    with pytest.raises(AuthRefused) as caught:
        for _ in range(10):
            exchange.send(b"r=abcX,s=QQ==,i=4096")
    if mechanism in ("PLAIN", "LOGIN", "CRAM-MD5", "EXTERNAL"):
        words = f"the mailhub asks for more than AUTH {mechanism} has to say"
        assert words == caught.value.what


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


def test_insisted_binding():
    """A mechanism with channel binding is taken where there is something to bind to."""
    plus = "SCRAM-SHA-256-PLUS"

    assert plus == sasl.choose([plus], credentials(plus), tls=True, binding=BINDING)


ONE_OF = f"AuthMethod can be one of {', '.join(sasl.MECHANISMS)}"
UNUSABLE = "the mailhub offers no AUTH mechanism that can be used (offered: "


@pytest.mark.parametrize(
    ("offered", "method", "what", "step"),
    [
        (
            [],
            None,
            "the mailhub does not offer AUTH, though AuthUser is set",
            "check the port and UseSTARTTLS, or take AuthUser out of the configuration",
        ),
        (
            ["GSSAPI", "NTLM"],
            None,
            UNUSABLE + "GSSAPI NTLM)",
            "ask its administrator for SCRAM or PLAIN",
        ),
        (
            ["XOAUTH2", "EXTERNAL"],
            None,
            UNUSABLE + "XOAUTH2 EXTERNAL)",
            "AuthMethod can be XOAUTH2 or EXTERNAL, which is never chosen by itself",
        ),
        (
            ["SCRAM-SHA-256-PLUS"],
            None,
            UNUSABLE + "SCRAM-SHA-256-PLUS)",
            "ask its administrator for SCRAM or PLAIN",
        ),
        (
            ["PLAIN", "LOGIN"],
            "CRAM-MD5",
            "the mailhub does not offer AUTH CRAM-MD5 (offered: PLAIN LOGIN)",
            "set AuthMethod to one that is offered, or take it out",
        ),
        (
            [],
            "LOGIN",
            "the mailhub does not offer AUTH LOGIN (offered: none)",
            "set AuthMethod to one that is offered, or take it out",
        ),
        (
            ["PLAIN"],
            "NTLM",
            "AuthMethod=NTLM is not a mechanism that ssmtp speaks (offered: PLAIN)",
            ONE_OF,
        ),
        (
            ["SCRAM-SHA-256-PLUS"],
            "SCRAM-SHA-256-PLUS",
            "AUTH SCRAM-SHA-256-PLUS needs TLS with a certificate to bind to",
            "set AuthMethod=SCRAM-SHA-256, or take it out",
        ),
        (
            ["\x1b[2J"],
            None,
            UNUSABLE + "\\x1b[2J)",
            "ask its administrator for SCRAM or PLAIN",
        ),
        (
            ["X\x7fÄ" + "Y" * 99],
            None,
            UNUSABLE + "X\\x7f\\xc4" + "Y" * 54 + ")",
            "ask its administrator for SCRAM or PLAIN",
        ),
        (
            [f"X{n}" for n in range(99)],
            None,
            UNUSABLE + " ".join(f"X{n}" for n in range(20)) + ")",
            "ask its administrator for SCRAM or PLAIN",
        ),
    ],
)
def test_no_choice(offered, method, what, step):
    """Without a usable mechanism the sentence lists what is offered, in part."""
    with pytest.raises(AuthRefused) as caught:
        sasl.choose(offered, credentials(method), tls=True, binding=None)

    assert 77 == caught.value.exit_code
    assert what == caught.value.what
    assert step == caught.value.next_step
    assert caught.value.sentence().isprintable()


def test_cleartext():
    """Without TLS there is no AUTH, unless the configuration says so."""
    with pytest.raises(AuthRefused, match="without verified TLS") as caught:
        sasl.choose(["PLAIN"], credentials(), tls=False, binding=None)
    assert "set UseTLS=yes or UseSTARTTLS=yes" in caught.value.next_step
    assert "AllowCleartextAuth=yes" in caught.value.next_step

    assert "PLAIN" == sasl.choose(
        ["PLAIN"], credentials(cleartext_ok=True), tls=False, binding=None
    )


def test_unknown_mechanism():
    """A mechanism nobody wrote is refused with the list of those that are."""
    with pytest.raises(AuthRefused, match="GSSAPI") as caught:
        sasl.exchange("GSSAPI", "u", "p")
    assert ONE_OF == caught.value.next_step
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
    assert "set AuthMethod to another mechanism" == caught.value.next_step
    assert caught.value.what.startswith("CRAM-MD5 needs MD5")


@pytest.mark.parametrize("mechanism", ["LOGIN", "CRAM-MD5"])
def test_endless_challenge(mechanism):
    """A challenge longer than RFC 4954 allows is not answered."""
    exchange = sasl.exchange(mechanism, "u", "p")
    next(exchange)

    with pytest.raises(AuthRefused, match="the mailhub's challenge is too long"):
        exchange.send(b"x" * (sasl.CHALLENGE_LIMIT + 1))

    exchange = sasl.exchange(mechanism, "u", "p")
    next(exchange)
    assert exchange.send(b"x" * sasl.CHALLENGE_LIMIT)


@pytest.mark.parametrize("user", ["u\1auth=Bearer x", "u\x7f"])
def test_user_of_a_token(user):
    """A user name that would change the form of XOAUTH2's message is not sent."""
    with pytest.raises(AuthRefused, match="holds a control character") as caught:
        next(sasl.exchange("XOAUTH2", user, "token"))
    assert "correct AuthUser" == caught.value.next_step

    assert (next(sasl.exchange("XOAUTH2", "a b", "token")) or b"")[
        :10
    ] == b"user=a b\1a"
