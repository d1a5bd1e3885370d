"""Flights are counted as a client waits, and those of nothing but TLS apart."""

from __future__ import annotations

import pytest

from bench.flights import CHANGE, DATA, HANDSHAKE, Flights


def record(kind: int, size: int = 100) -> bytes:
    return bytes([kind, 3, 3]) + size.to_bytes(2, "big") + bytes(size)


HELLO = record(HANDSHAKE, 300)
FINISHED = record(CHANGE, 1) + record(DATA, 69)
OLD_FINISHED = record(HANDSHAKE) + record(CHANGE, 1) + record(HANDSHAKE)
SAID = record(DATA)
PLAIN = b"EHLO client.example.org\r\n"


@pytest.mark.parametrize(
    ("flights", "smtp", "tls"),
    [
        ([PLAIN, PLAIN, PLAIN], 3, 0),
        ([HELLO, FINISHED, SAID, SAID, SAID + SAID], 3, 2),
        ([HELLO, FINISHED + SAID, SAID], 2, 1),
        ([PLAIN, PLAIN, HELLO, FINISHED + SAID, SAID, SAID], 5, 1),
        ([HELLO, OLD_FINISHED, SAID, SAID], 2, 2),
        ([HELLO, record(CHANGE, 1) + HELLO, record(DATA), SAID], 1, 3),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 5000])
def test_flights(flights, smtp, tls, size):
    """Whatever pieces the packets are: a flight ends when the server speaks."""
    counted = Flights()
    for flight in flights:
        for at in range(0, len(flight), size):
            counted.client(flight[at : at + size])
        counted.server()
        counted.server()
    counted.done()

    assert (smtp, tls) == (counted.smtp, counted.tls)
