"""SCRAM, the mechanism that shows the password to nobody (RFC 5802, RFC 7677).

The server has to prove that it knows the password as well. As long as it has not, its
235 is worth nothing.
"""

from __future__ import annotations

import binascii

from ssmtp.errors import AuthRefused
from ssmtp.smtp.sasl import CHALLENGE_LIMIT, end, saslname, shown, shown_octets
from ssmtp.smtp.saslprep import prepare
from ssmtp.smtp.verdicts import credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssmtp.smtp.sasl import Exchange

# RFC 7677 §4 asks for at least 4,096; the upper end keeps a hostile server from
# making us compute for hours.
ITERATIONS_LEAST = 4096
ITERATIONS_MOST = 1_000_000


def talk(
    mechanism: str,
    user: str,
    secret: str,
    binding: bytes | None,
    offered: list[str],
    nonce: str,
) -> Exchange:
    """Speak SCRAM-SHA-1 or SCRAM-SHA-256, with -PLUS bound to the TLS certificate.

    `binding` is the tls-server-end-point value (RFC 5929 §4), `offered` all that the
    server offers, in capitals. Raises `AuthRefused`.
    """
    import hmac
    from hashlib import new, pbkdf2_hmac

    plus = mechanism.endswith("-PLUS")
    bare = mechanism.removesuffix("-PLUS")
    hash_name = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}.get(bare)
    if hash_name is None:
        raise AuthRefused(f"AUTH {shown(mechanism)} is not a SCRAM that ssmtp speaks")
    name = saslname(prepare(user, "user name", mechanism))
    password = prepare(secret, "password", mechanism)

    # RFC 5802 §6. "y" tells the server that we could bind and saw no -PLUS: if it did
    # offer one, somebody in the middle took it out of the list, and it refuses. "n"
    # is for a client that cannot bind, or was told not to.
    if plus:
        if binding is None:
            raise AuthRefused(f"AUTH {mechanism} needs TLS with a certificate")
        gs2 = b"p=tls-server-end-point,,"
        bound = gs2 + binding
    else:
        blind = binding is None or any(m.endswith("-PLUS") for m in offered)
        gs2 = bound = b"n,," if blind else b"y,,"
    first_bare = b"n=" + name + b",r=" + nonce.encode("ascii")

    server_first = _unproved((yield gs2 + first_bare))
    server_nonce, salt, iterations = _server_first(server_first, nonce, mechanism)
    final = b"c=" + binascii.b2a_base64(bound, newline=False) + b",r=" + server_nonce
    message = first_bare + b"," + server_first + b"," + final

    salted = pbkdf2_hmac(hash_name, password, salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", hash_name)
    stored_key = new(hash_name, client_key).digest()
    signature = hmac.digest(stored_key, message, hash_name)
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    server_key = hmac.digest(salted, b"Server Key", hash_name)
    expected = hmac.digest(server_key, message, hash_name)

    server_final = _unproved(
        (yield final + b",p=" + binascii.b2a_base64(proof, newline=False))
    )
    attributes = server_final.split(b",")
    if attributes[0].startswith(b"e="):
        raise AuthRefused(
            f"the mailhub refused {mechanism}: {shown_octets(attributes[0][2:])}",
            credentials(mechanism),
        )
    verifier = _unbase64(attributes[0][2:]) if attributes[0][:2] == b"v=" else None
    if verifier is None or not hmac.compare_digest(verifier, expected):
        raise AuthRefused(
            "the mailhub did not prove that it knows the password: its SCRAM "
            "signature is wrong",
            "somebody may be playing the mailhub; check Mailhub and the password",
        )
    end((yield b""), mechanism)


def _server_first(text: bytes, nonce: str, mechanism: str) -> tuple[bytes, bytes, int]:
    """Read `r=…,s=…,i=…` (RFC 5802 §7); later attributes are extensions."""
    attributes = text.split(b",")
    if attributes[0].startswith(b"e="):
        raise AuthRefused(
            f"the mailhub refused {mechanism}: {shown_octets(attributes[0][2:])}",
            credentials(mechanism),
        )
    if attributes[0].startswith(b"m="):
        raise AuthRefused("the mailhub asks for a SCRAM extension that nobody knows")
    if len(attributes) < 3 or [a[:2] for a in attributes[:3]] != [b"r=", b"s=", b"i="]:
        raise AuthRefused("the mailhub's SCRAM challenge cannot be understood")
    server_nonce = attributes[0][2:]
    mine = nonce.encode("ascii")
    # RFC 5802 §5.1: r= begins with the client's nonce, and goes on.
    if not server_nonce.startswith(mine) or len(server_nonce) <= len(mine):
        raise AuthRefused(
            "the mailhub's SCRAM nonce does not extend ours",
            "this may be a replayed conversation; nothing was sent",
        )
    if any(not 0x21 <= octet <= 0x7E for octet in server_nonce):
        raise AuthRefused("the mailhub's SCRAM nonce is not printable text")
    salt = _unbase64(attributes[1][2:])
    if not salt:
        raise AuthRefused("the mailhub's SCRAM salt cannot be understood")
    digits = attributes[2][2:]
    if not digits.isdigit() or len(digits) > 20:
        raise AuthRefused("the mailhub's SCRAM iteration count is no number")
    iterations = int(digits)
    if not ITERATIONS_LEAST <= iterations <= ITERATIONS_MOST:
        raise AuthRefused(
            f"the mailhub asks for {iterations} SCRAM iterations, outside of "
            f"{ITERATIONS_LEAST} to {ITERATIONS_MOST}",
            "this is either an attack or a very old password entry on the mailhub",
        )
    return server_nonce, salt, iterations


def _unproved(challenge: bytes | None) -> bytes:
    if challenge is None:
        raise AuthRefused(
            "the mailhub did not prove that it knows the password: it said yes "
            "before the SCRAM exchange was complete",
            "somebody may be playing the mailhub; check Mailhub",
        )
    if len(challenge) > CHALLENGE_LIMIT:
        raise AuthRefused("the mailhub's challenge is too long")
    return challenge


def _unbase64(text: bytes) -> bytes | None:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return None
