"""Counts the flights of a client, from the octets that pass beside the server.

A flight is all that a client says until it hears something. The flights of nothing but
a TLS handshake are counted apart: the ClientHello, and a Finished that stands alone.
Where a command follows the Finished at once, both are one flight of SMTP.
"""

from __future__ import annotations

PLAIN, CHANGE, HANDSHAKE, DATA = 0, 20, 22, 23


class Flights:
    """What one connection has said: flights of `smtp`, and flights of `tls` only."""

    def __init__(self) -> None:
        self.smtp = 0
        self.tls = 0
        self._kinds: list[int] = []  # the records of the flight that goes on
        self._heard = True
        self._finished = False
        self._records = Records()

    def client(self, octets: bytes) -> None:
        """Take what reached the server."""
        if self._heard:
            self.done()
            self._heard = False
        self._kinds += self._records.take(octets)

    def server(self) -> None:
        """Take notice that the server spoke."""
        self._heard = True

    def done(self) -> None:
        """Count the flight that has ended."""
        kinds, self._kinds = self._kinds, []
        if not kinds:
            return
        words = kinds.count(DATA) + kinds.count(PLAIN)
        if DATA in kinds and not self._finished:
            # TLS 1.3 hides its Finished: it is the first record that looks like data.
            self._finished = True
            words -= 1
        elif kinds[0] == HANDSHAKE and CHANGE in kinds:
            self._finished = True  # that of TLS 1.2, which is seen
        if words:
            self.smtp += 1
        else:
            self.tls += 1


class Records:
    """Cuts a stream into the kinds of its TLS records; what comes before is plain."""

    def __init__(self) -> None:
        self._begun = False
        self._held = b""

    def take(self, octets: bytes) -> list[int]:
        """Return the kinds of the records that end within these octets."""
        self._begun = self._begun or octets[0] == HANDSHAKE
        if not self._begun:
            return [PLAIN]
        kinds = []
        held = self._held + octets
        while len(held) >= 5:
            size = 5 + int.from_bytes(held[3:5], "big")
            if len(held) < size:
                break
            kinds.append(held[0])
            held = held[size:]
        self._held = held
        return kinds
