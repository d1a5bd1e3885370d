"""Makes HelloRequest messages (RFC 5246 §7.4.1.1) without end, as no library will."""

from __future__ import annotations

import hmac
import struct
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HELLO_REQUEST = b"\0\0\0\0"
HANDSHAKE, VERSION = 22, 0x303
AT_ONCE = 500  # records
# RFC 5288 §3
KEY, SALT = 16, 4


def _expand(secret: bytes, seed: bytes, length: int) -> bytes:
    """P_SHA256 (RFC 5246 §5)."""
    made = b""
    link = seed
    while len(made) < length:
        link = hmac.digest(secret, link, "sha256")
        made += hmac.digest(secret, link + seed, "sha256")
    return made[:length]


def _secret(log: Path, client_random: bytes) -> bytes:
    """Find the master secret of a session in a log of keys."""
    for line in reversed(log.read_text().splitlines()):
        label, found, secret = line.split()
        if label == "CLIENT_RANDOM" and bytes.fromhex(found) == client_random:
            return bytes.fromhex(secret)
    raise LookupError("the key is not in the log")


def records(
    log: Path, client_random: bytes, server_random: bytes, sent: int
) -> Iterator[bytes]:
    """Yield records for a server that has sent `sent` of its own, many at once.

    The suite has to be one with AES_128_GCM_SHA256.
    """
    seed = b"key expansion" + server_random + client_random
    block = _expand(_secret(log, client_random), seed, 2 * (KEY + SALT))
    key = AESGCM(block[KEY : 2 * KEY])
    salt = block[-SALT:]
    first = sent + 1  # Finished was the first
    while True:
        made = b""
        for number in range(first, first + AT_ONCE):
            nonce = number.to_bytes(8, "big")
            about = nonce + struct.pack(">BHH", HANDSHAKE, VERSION, len(HELLO_REQUEST))
            text = nonce + key.encrypt(salt + nonce, HELLO_REQUEST, about)
            made += struct.pack(">BHH", HANDSHAKE, VERSION, len(text)) + text
        first += AT_ONCE
        yield made
