"""The server's half of AUTH: one small generator per mechanism.

The mirror of `sasl`, for the demo mailhub, `ssmtpctl sink` and tests. It is no account
database: passwords are handed in as text, by user name. A generator yields challenges
and is sent responses, as octets without base64; it returns the user name, or None when
the credentials are wrong. A `ValueError` says that the client's words make no sense.

The first thing sent to a generator is the initial response, or None if there was none.
"""

from __future__ import annotations

import binascii

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    Verification = Generator[bytes, bytes | None, str | None]

MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2")
ITERATIONS = 4096


def verification(
    mechanism: str, users: Mapping[str, str], nonce: str
) -> Verification | None:
    """Return the generator for `mechanism`, or None if there is none of that name.

    `nonce` is fresh printable text; it makes CRAM-MD5's challenge, and SCRAM's nonce
    and salt.
    """
    if mechanism == "PLAIN":
        return _plain(users)
    if mechanism == "LOGIN":
        return _login(users)
    if mechanism == "CRAM-MD5":
        return _cram_md5(users, nonce)
    if mechanism == "SCRAM-SHA-256":
        return _scram("sha256", users, nonce)
    if mechanism == "SCRAM-SHA-1":
        return _scram("sha1", users, nonce)
    if mechanism == "XOAUTH2":
        return _xoauth2(users)
    return None


def _check(users: Mapping[str, str], user: str, password: str) -> str | None:
    from hmac import compare_digest

    known = users.get(user)
    right = compare_digest(_octets(known or ""), _octets(password))
    return user if right and known is not None else None


# RFC 4616
def _plain(users: Mapping[str, str]) -> Verification:
    response = yield b""
    if response is None:
        response = yield b""
    parts = (response or b"").split(b"\0")
    if len(parts) != 3:
        raise ValueError("PLAIN takes authzid NUL user NUL password")
    authzid, user, password = map(_text, parts)
    if authzid not in ("", user):
        return None
    return _check(users, user, password)


def _login(users: Mapping[str, str]) -> Verification:
    user = yield b""
    if user is None:
        user = yield b"Username:"
    password = yield b"Password:"
    return _check(users, _text(user or b""), _text(password or b""))


# RFC 2195
def _cram_md5(users: Mapping[str, str], nonce: str) -> Verification:
    import hmac

    if (yield b"") is not None:
        raise ValueError("CRAM-MD5 has no initial response")
    challenge = b"<" + nonce.encode() + b"@ssmtp>"
    response = (yield challenge) or b""
    name, _, digest = response.rpartition(b" ")
    user = _text(name)
    known = users.get(user)
    wanted = hmac.digest(_octets(known or ""), challenge, "md5").hex().encode()
    if known is None or not hmac.compare_digest(wanted, digest):
        return None
    return user


# developers.google.com/gmail/imap/xoauth2-protocol
def _xoauth2(users: Mapping[str, str]) -> Verification:
    response = yield b""
    if response is None:
        response = yield b""
    parts = (response or b"").split(b"\1")
    if (
        len(parts) != 4
        or not parts[0].startswith(b"user=")
        or not parts[1].startswith(b"auth=Bearer ")
    ):
        raise ValueError("XOAUTH2 takes user= and auth=Bearer")
    user = _check(users, _text(parts[0][5:]), _text(parts[1][12:]))
    if user is None:
        yield b'{"status":"401","schemes":"bearer"}'
    return user


# RFC 5802, RFC 7677; without channel binding.
def _scram(hash_name: str, users: Mapping[str, str], nonce: str) -> Verification:
    import hmac
    from hashlib import new, pbkdf2_hmac

    from ssmtp.smtp.saslprep import prepare

    first = yield b""
    if first is None:
        first = yield b""
    flag, comma, rest = (first or b"").partition(b",")
    authzid, comma2, bare = rest.partition(b",")
    # "p=" asks for a binding that was not offered; "y" is fine, since it was not.
    if flag not in (b"n", b"y") or authzid or not comma or not comma2:
        raise ValueError("SCRAM: the first message has no gs2 header of ours")
    attributes = bare.split(b",")
    if (
        len(attributes) < 2
        or attributes[0][:2] != b"n="
        or attributes[1][:2] != b"r="
        or len(attributes[1]) < 3
    ):
        raise ValueError("SCRAM: the first message takes n= and r=")
    user = _text(attributes[0][2:].replace(b"=2C", b",").replace(b"=3D", b"="))
    salt = new(hash_name, nonce.encode()).digest()[:16]
    both = attributes[1][2:] + nonce.encode()
    challenge = b"r=%s,s=%s,i=%d" % (
        both,
        binascii.b2a_base64(salt, newline=False),
        ITERATIONS,
    )
    final = (yield challenge) or b""
    without, found, proof_text = final.rpartition(b",p=")
    header = binascii.b2a_base64(flag + b",,", newline=False)
    if not found or without.split(b",")[:2] != [b"c=" + header, b"r=" + both]:
        raise ValueError("SCRAM: the final message does not belong to the first")
    proof = binascii.a2b_base64(proof_text, strict_mode=True)

    known = users.get(user)
    password = prepare(known or "", "password", "SCRAM")
    salted = pbkdf2_hmac(hash_name, password, salt, ITERATIONS)
    message = bare + b"," + challenge + b"," + without
    client_key = hmac.digest(salted, b"Client Key", hash_name)
    stored_key = new(hash_name, client_key).digest()
    signature = hmac.digest(stored_key, message, hash_name)
    if known is None or len(proof) != len(signature):
        return None
    shown = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    if not hmac.compare_digest(new(hash_name, shown).digest(), stored_key):
        return None
    server_key = hmac.digest(salted, b"Server Key", hash_name)
    server_signature = hmac.digest(server_key, message, hash_name)
    yield b"v=" + binascii.b2a_base64(server_signature, newline=False)
    return user


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
