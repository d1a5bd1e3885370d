"""How the caller's credentials are shown to the mailhub: one small generator each.

Rules

1. One mechanism, one try. A refusal is final: no other mechanism is tried with the
   same password, because the next one may be weaker and the server hostile.
2. Nothing here knows SMTP or base64. A generator is given challenges and yields
   responses, as octets; the dialogue wraps them in `AUTH`, `334` and base64.
3. A SCRAM server has to prove that it knows the password as well. As long as it has
   not, its 235 is worth nothing.
4. A text that came from outside (a challenge, a token, a user name) never reaches an
   error sentence without being escaped, and a secret never reaches one at all.

The talk between the dialogue and a generator

    response = next(g)           the initial response; None: the server speaks first
    response = g.send(challenge) the server said 334
    g.send(None)                 the server said 235: the generator returns
                                 (StopIteration), or raises that this was too early

`AuthRefused` may come out of any of these; the dialogue then cancels with `*`. An
empty initial response (b"") is written `=` on the AUTH line (RFC 4954 §4).

Automatic choice prefers what shows the password to nobody: SCRAM (with channel binding
where both sides can), then PLAIN and LOGIN, which are safe inside verified TLS only.
CRAM-MD5 comes last, since it makes the server store the password in clear.
"""

from __future__ import annotations

from ssmtp.errors import AuthRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from ssmtp.config import Secret

    Exchange = Generator[bytes | None, bytes | None, None]

AUTOMATIC = (
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-1",
    "PLAIN",
    "LOGIN",
    "CRAM-MD5",
)
ON_REQUEST = ("XOAUTH2", "OAUTHBEARER", "EXTERNAL")
MECHANISMS = AUTOMATIC + ON_REQUEST

# RFC 4954 §4: a base64 string of the exchange has at most 12,288 octets.
CHALLENGE_LIMIT = 12288


class Credentials:
    """Whom to be at the mailhub, and how to come by the proof.

    `secret` is called at most once a run, when AUTH is about to start: it may run a
    command or open a file, and raises `ConfigError` or `AuthRefused`. `method` is the
    mechanism that the configuration insists on, in capitals. `cleartext_ok` says that
    AllowCleartextAuth is set.
    """

    __slots__ = ("cleartext_ok", "method", "old_auth", "secret", "user")

    def __init__(
        self,
        user: str,
        secret: Callable[[], Secret],
        method: str | None = None,
        old_auth: bool = False,
        cleartext_ok: bool = False,
    ) -> None:
        self.user = user
        self.secret = secret
        self.method = method
        self.old_auth = old_auth
        self.cleartext_ok = cleartext_ok


def choose(
    offered: Iterable[str],
    credentials: Credentials,
    *,
    tls: bool,
    binding: bytes | None,
) -> str:
    """Pick the one mechanism to try.

    `tls` says that the connection is safe for a password: verified TLS, or one that
    does not leave this machine. `binding` is the tls-server-end-point value if there
    is one (RFC 5929 §4). Raises `AuthRefused` with the list of what is offered.
    """
    if not tls and not credentials.cleartext_ok:
        raise AuthRefused(
            "no AUTH without verified TLS: the password could be read on its way",
            "set UseTLS=yes or UseSTARTTLS=yes, as its port wants (or "
            "AllowCleartextAuth=yes, if you must)",
        )
    names = _upper(offered)
    wanted = credentials.method.upper() if credentials.method else None
    if wanted is not None:
        return _insist(wanted, names, binding)
    for name in AUTOMATIC:
        if name in names and (binding is not None or not name.endswith("-PLUS")):
            return name
    if not names:
        raise AuthRefused(
            "the mailhub does not offer AUTH, though AuthUser is set",
            "check the port and UseSTARTTLS, or take AuthUser out of the configuration",
        )
    others = [name for name in ON_REQUEST if name in names]
    raise AuthRefused(
        f"the mailhub offers no AUTH mechanism that can be used (offered: "
        f"{_listing(names)})",
        f"AuthMethod can be {' or '.join(others)}, which is never chosen by itself"
        if others
        else "ask its administrator for SCRAM or PLAIN",
    )


def exchange(
    mechanism: str,
    user: str,
    secret: str,
    *,
    binding: bytes | None = None,
    offered: Iterable[str] = (),
    nonce: str = "",
    old_auth: bool = False,
) -> Exchange:
    """Return the generator that speaks `mechanism`.

    `nonce` is fresh printable text from the I/O side; SCRAM alone needs it.
    `old_auth` gives the user name with the command of AUTH LOGIN. Raises
    `AuthRefused` for a user name or secret that the mechanism cannot carry.
    """
    if "\0" in user or "\0" in secret:
        raise AuthRefused(
            "the user name or password holds a NUL, which no mechanism can carry",
            "correct AuthUser or the password",
        )
    mechanism = mechanism.upper()
    if mechanism.startswith("SCRAM-"):
        from ssmtp.smtp import scram

        return scram.talk(mechanism, user, secret, binding, _upper(offered), nonce)
    if mechanism == "PLAIN":
        return _plain(user, secret)
    if mechanism == "LOGIN":
        return _login(user, secret, old_auth)
    if mechanism == "CRAM-MD5":
        return _cram_md5(user, secret)
    if mechanism == "XOAUTH2":
        return _xoauth2(user, secret)
    if mechanism == "OAUTHBEARER":
        return _oauthbearer(user, secret)
    if mechanism == "EXTERNAL":
        return _external()
    raise AuthRefused(
        f"AUTH {shown(mechanism)} is not a mechanism that ssmtp speaks",
        f"AuthMethod can be one of {', '.join(MECHANISMS)}",
    )


def _insist(wanted: str, names: list[str], binding: bytes | None) -> str:
    if wanted not in MECHANISMS:
        raise AuthRefused(
            f"AuthMethod={shown(wanted)} is not a mechanism that ssmtp speaks "
            f"(offered: {_listing(names)})",
            f"AuthMethod can be one of {', '.join(MECHANISMS)}",
        )
    if wanted not in names:
        raise AuthRefused(
            f"the mailhub does not offer AUTH {wanted} (offered: {_listing(names)})",
            "set AuthMethod to one that is offered, or take it out",
        )
    if wanted.endswith("-PLUS") and binding is None:
        raise AuthRefused(
            f"AUTH {wanted} needs TLS with a certificate to bind to",
            f"set AuthMethod={wanted.removesuffix('-PLUS')}, or take it out",
        )
    return wanted


# RFC 4616
def _plain(user: str, secret: str) -> Exchange:
    end((yield b"\0" + _octets(user) + b"\0" + _octets(secret)), "PLAIN")


# draft-murchison-sasl-login: the prompts are not to be interpreted.
def _login(user: str, secret: str, old_auth: bool) -> Exchange:
    _asked((yield _octets(user) if old_auth else None), "LOGIN")
    if not old_auth:
        _asked((yield _octets(user)), "LOGIN")
    end((yield _octets(secret)), "LOGIN")


# RFC 2195
def _cram_md5(user: str, secret: str) -> Exchange:
    challenge = _asked((yield None), "CRAM-MD5")
    if not challenge:
        # An empty challenge would make the response the same for ever.
        raise AuthRefused("the mailhub sent an empty CRAM-MD5 challenge")
    import hmac

    try:
        digest = hmac.digest(_octets(secret), challenge, "md5").hex()
    except ValueError:
        raise AuthRefused(
            "CRAM-MD5 needs MD5, which this system forbids",
            "set AuthMethod to another mechanism",
        ) from None
    end((yield _octets(user) + b" " + digest.encode()), "CRAM-MD5")


# developers.google.com/gmail/imap/xoauth2-protocol
def _xoauth2(user: str, secret: str) -> Exchange:
    _check_token(user, secret)
    error = yield (
        b"user=" + _octets(user) + b"\1auth=Bearer " + _octets(secret) + b"\1\1"
    )
    if error is None:
        return
    # The challenge is an error report in JSON. An empty line asks for the reply.
    _token_refused((yield b""))


# RFC 7628 §3.1
def _oauthbearer(user: str, secret: str) -> Exchange:
    _check_token(user, secret)
    authzid = b"a=" + saslname(_octets(user)) if user else b""
    error = yield b"n," + authzid + b",\1auth=Bearer " + _octets(secret) + b"\1\1"
    if error is None:
        return
    # RFC 7628 §3.2.3: the error report is acknowledged with a lone %x01.
    _token_refused((yield b"\1"))


# RFC 4422 appendix A: the empty authorization identity, so that the server derives
# it from the client certificate.
def _external() -> Exchange:
    answer = yield b""
    if answer == b"":
        # A server that overlooked the `=` asks once more.
        answer = yield b""
    end(answer, "EXTERNAL")


def _asked(challenge: bytes | None, mechanism: str) -> bytes:
    if challenge is None:
        raise AuthRefused(
            f"the mailhub said yes before AUTH {mechanism} was complete",
            "check that Mailhub names the right host and port",
        )
    if len(challenge) > CHALLENGE_LIMIT:
        raise AuthRefused("the mailhub's challenge is too long")
    return challenge


def end(answer: bytes | None, mechanism: str) -> None:
    """Raise `AuthRefused` unless the server's answer to the last response is 235."""
    if answer is not None:
        raise AuthRefused(f"the mailhub asks for more than AUTH {mechanism} has to say")


def _token_refused(answer: bytes | None) -> None:
    raise AuthRefused(
        "the mailhub refused the access token"
        if answer is None
        else "the mailhub refused the access token, and keeps asking",
        "it may have expired: check what AuthPassCommand prints",
    )


def _check_token(user: str, token: str) -> None:
    # RFC 6750 §2.1: a token is b64token, a part of printable ASCII.
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise AuthRefused(
            "the access token is empty or holds characters that no token has",
            "check what AuthPassCommand prints",
        )
    if any(char < " " or char == "\x7f" for char in user):
        raise AuthRefused("the user name holds a control character", "correct AuthUser")


def saslname(name: bytes) -> bytes:
    """Escape a name for a comma-separated message (RFC 5801 §4)."""
    return name.replace(b"=", b"=3D").replace(b",", b"=2C")


def _octets(text: str) -> bytes:
    """Give back the octets as the configuration or the command line had them."""
    return text.encode("utf-8", "surrogateescape")


def _upper(names: Iterable[str]) -> list[str]:
    return [name.upper() for name in names]


def _listing(names: list[str]) -> str:
    return " ".join(shown(name) for name in names[:20]) or "none"


def shown(text: str) -> str:
    """Make text from outside fit for an error sentence: short, printable, ASCII."""
    return text.encode("ascii", "backslashreplace").decode()[:60].translate(_ESCAPES)


def shown_octets(text: bytes) -> str:
    """Make octets from outside fit for an error sentence."""
    return shown(text.decode("ascii", "backslashreplace"))


_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), 127)}
