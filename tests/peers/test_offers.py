"""What each real server offers, so that the other tests know what to expect."""

from __future__ import annotations

import smtplib
import ssl

from tests.peers.marks import every_peer
from tests.peers.servers import (
    EXTENSIONS,
    MECHANISMS,
    Certificates,
    Peer,
)


@every_peer
def test_a_peer_offers_what_the_tests_say_it_does(
    peer: Peer, certificates: Certificates
) -> None:
    """The tables of these tests are what the server says of itself."""
    context = ssl.create_default_context(cafile=certificates.authority)
    with smtplib.SMTP_SSL("localhost", peer.implicit, context=context) as hub:
        hub.ehlo()
        features = {name.upper() for name in hub.esmtp_features}
        mechanisms = set(hub.esmtp_features["auth"].split())

    assert set(MECHANISMS[peer.name]) == mechanisms
    used = {"PIPELINING", "CHUNKING", "DSN", "SMTPUTF8", "8BITMIME"}
    assert EXTENSIONS[peer.name] == features & used
