"""Makes KeyUpdate messages (RFC 8446 §4.6.3) without end, as no library will."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

KEY_UPDATE = b"\x18\x00\x00\x01\x00\x16"  # asks for none in return; then its type
HEADER = b"\x17\x03\x03" + (len(KEY_UPDATE) + 16).to_bytes(2, "big")


def _expand(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446 §7.1), without context."""
    label = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
    return HKDFExpand(hashes.SHA384(), length, info).derive(secret)


def _secret(log: Path, client_random: bytes) -> bytes:
    """Find the secret of what the server sends in a log of keys."""
    for line in reversed(log.read_text().splitlines()):
        label, found, secret = line.split()
        if label == "SERVER_TRAFFIC_SECRET_0":
            if hmac.compare_digest(bytes.fromhex(found), client_random):
                return bytes.fromhex(secret)
    raise LookupError("the key is not in the log")


def records(log: Path, client_random: bytes, sent: int) -> Iterator[bytes]:
    """Yield records for a server that has sent `sent` of its own, for ever.

    The suite has to be TLS_AES_256_GCM_SHA384.
    """
    secret = _secret(log, client_random)
    while True:
        key = AESGCM(_expand(secret, b"key", 32))
        start = int.from_bytes(_expand(secret, b"iv", 12), "big")
        nonce = (start ^ sent).to_bytes(12, "big")
        yield HEADER + key.encrypt(nonce, KEY_UPDATE, HEADER)
        secret, sent = _expand(secret, b"traffic upd", 48), 0
