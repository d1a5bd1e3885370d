"""What Python's `ssl` does not tell about a certificate, read from its DER.

Certificates come from the other end, so whatever is not as it should be makes the
functions return None.
"""

from __future__ import annotations


def _item(der: bytes, at: int) -> tuple[int, int, int]:
    """Return tag, start and end of the content of the DER element at `at`."""
    tag, size = der[at], der[at + 1]
    at += 2
    if size & 0x80:
        count = size & 0x7F
        if not 1 <= count <= 4:
            raise ValueError("not DER")
        size = int.from_bytes(der[at : at + count], "big")
        at += count
    if at + size > len(der):
        raise ValueError("not DER")
    return tag, at, at + size


def public_key(certificate: bytes) -> bytes | None:
    """Return the SubjectPublicKeyInfo of a certificate (RFC 5280 §4.1), in DER."""
    try:
        _, at, _ = _item(certificate, 0)
        _, at, _ = _item(certificate, at)
        tag, _, end = _item(certificate, at)
        if tag == 0xA0:  # the version
            at = end
        for _ in range(5):  # serial number, signature, issuer, validity, subject
            _, _, at = _item(certificate, at)
        _, _, end = _item(certificate, at)
        return certificate[at:end]
    except (IndexError, ValueError):
        return None


# The last octets of signature algorithm identifiers, and their hashes.
_RSA = bytes.fromhex("2a864886f70d0101")
_ECDSA = bytes.fromhex("2a8648ce3d04")
HASHES = {
    _RSA + b"\4": "sha256",  # MD5 counts as SHA-256 (RFC 5929 §4.1)
    _RSA + b"\5": "sha256",  # SHA-1 too
    _RSA + b"\x0b": "sha256",
    _RSA + b"\x0c": "sha384",
    _RSA + b"\x0d": "sha512",
    _RSA + b"\x0e": "sha224",
    _ECDSA + b"\1": "sha256",  # SHA-1
    _ECDSA + b"\3\1": "sha224",
    _ECDSA + b"\3\2": "sha256",
    _ECDSA + b"\3\3": "sha384",
    _ECDSA + b"\3\4": "sha512",
}
_PSS = _RSA + b"\x0a"
_SHA2 = bytes.fromhex("6086480165030402")


def end_point(certificate: bytes) -> bytes | None:
    """Return the tls-server-end-point channel binding (RFC 5929 §4).

    It is the certificate's hash, with the hash function of its signature. None when
    that is not defined, as for Ed25519.
    """
    try:
        _, at, _ = _item(certificate, 0)
        _, _, at = _item(certificate, at)  # past tbsCertificate
        _, at, end = _item(certificate, at)  # signatureAlgorithm
        _, start, stop = _item(certificate, at)
        algorithm = certificate[start:stop]
        name = HASHES.get(algorithm)
        if algorithm == _PSS:
            name = _pss_hash(certificate[stop:end])
    except (IndexError, ValueError):
        return None
    if name is None:
        return None
    from hashlib import new

    return new(name, certificate).digest()


def _pss_hash(parameters: bytes) -> str | None:
    """Find the hash in RSASSA-PSS-params (RFC 4055 §3.1); SHA-1 is the default."""
    _, at, end = _item(parameters, 0)
    if at == end:
        return "sha256"
    tag, at, _ = _item(parameters, at)
    if tag != 0xA0:
        return "sha256"
    _, at, _ = _item(parameters, at)
    _, start, stop = _item(parameters, at)
    names = {1: "sha256", 2: "sha384", 3: "sha512", 4: "sha224"}
    found = parameters[start:stop]
    if found[:-1] != _SHA2:
        return None
    return names.get(found[-1])
