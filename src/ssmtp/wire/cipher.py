"""TLS as a filter between two memory buffers: octets in, octets out, no socket."""

from __future__ import annotations

from ssmtp.smtp.steps import Broken
from ssmtp.wire import openssl as ssl
from ssmtp.wire.tls import reason

BLOCK = 65536
ANSWERS_MOST = 16384  # octets that TLS itself has to say, but has not yet


class Cipher:
    """One end of a TLS session. `first` is what came first from the other end.

    `certificate` is that of the other end, in DER, once `shake` is done.
    """

    __slots__ = ("_incoming", "_outgoing", "certificate", "first", "session")

    def __init__(self, context: ssl.SSLContext, host: bytes | None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        # Octets as a name, because text would go through the codec for IDNA.
        self.session = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=host
        )
        self.first = self.certificate = b""

    def shake(self) -> bool:
        """Go on with the handshake; return whether it is done, or raise `SSLError`."""
        try:
            self.session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        # Now, for what follows may end the session, which then shows it no more.
        self.certificate = self.session.getpeercert(binary_form=True) or b""
        return True

    def take(self, data: bytes) -> None:
        """Take in what came from the wire."""
        self.first = self.first or data[:80]
        self._incoming.write(data)

    def give(self) -> bytes:
        """Return what is to go on the wire."""
        return self._outgoing.read()

    def encrypt(self, data: bytes) -> bytes:
        """Return what has to be sent for `data` to arrive; raise `Broken`."""
        try:
            if data:
                self.session.write(data)
        except ssl.SSLError as error:
            raise Broken(f"broke TLS off ({reason(error)})") from error
        return self.give()

    def decrypt(self, data: bytes, end: Broken | None) -> tuple[bytes, Broken | None]:
        """Return what `data` means, and why nothing more will come, if so.

        `end` says that the connection has ended already.
        """
        self._incoming.write(data)
        if end is not None:
            self._incoming.write_eof()
        plain = b""
        try:
            while more := self.session.read(BLOCK):
                plain += more
            return plain, end or Broken("closed the connection")
        except ssl.SSLWantReadError:
            if self._outgoing.pending > ANSWERS_MOST:
                # Each HelloRequest of TLS 1.2 is answered (RFC 5246 §7.4.1.1).
                end = end or Broken("asks for another handshake without end")
            return plain, end
        except ssl.SSLZeroReturnError:
            return plain, end or Broken("closed the connection")
        except ssl.SSLError as error:
            return plain, end or Broken(f"broke TLS off ({reason(error)})")

    def farewell(self) -> bytes:
        """Return the word that ends TLS."""
        try:
            self.session.unwrap()
        except (OSError, ValueError):
            pass
        return self.give()
