"""Which peers a test is run against, and the message most tests send."""

from __future__ import annotations

import pytest

from tests.peers.servers import EXTENSIONS, MECHANISMS

every_peer = pytest.mark.parametrize("peer_name", MECHANISMS, indirect=True)

every_mechanism = pytest.mark.parametrize(
    ("peer_name", "mechanism"),
    [(name, mechanism) for name in MECHANISMS for mechanism in MECHANISMS[name]],
    indirect=["peer_name"],
)


def only(*names: str) -> pytest.MarkDecorator:
    """Run a test against the peers of these names."""
    return pytest.mark.parametrize("peer_name", names, indirect=True)


def peers_with(extension: str) -> pytest.MarkDecorator:
    """Run a test against the peers that offer an extension."""
    return only(*(name for name in MECHANISMS if extension in EXTENSIONS[name]))


def simple(token: str, body: bytes = b"Hello,\nworld.\n") -> bytes:
    """Write a message to one recipient of the token."""
    return (
        b"From: Ann Author <ann@example.org>\n"
        b"To: %s@example.net\nSubject: a test\n\n%s" % (token.encode(), body)
    )
