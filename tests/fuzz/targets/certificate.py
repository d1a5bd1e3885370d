"""A certificate of any octets: a key, a channel binding, or None, and no exception."""

from __future__ import annotations

from ssmtp.wire import certificate


def run(data: bytes) -> None:
    """Read the octets as DER."""
    key = certificate.public_key(data)
    binding = certificate.end_point(data)

    assert key is None or key in data
    assert binding is None or 28 <= len(binding) <= 64
