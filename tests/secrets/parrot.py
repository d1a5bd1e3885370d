"""A mailhub that says every secret back, in all forms that it can think of."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator

from tests.secrets.box import PASSWORD, forms


class Parrot:
    """It repeats what it heard in AUTH, at one place of the session.

    `where` is AUTH, MAIL, RCPT, CONTENT or, between the questions, unasked or garbled.
    `heard` are the lines of AUTH exchanges: none of them may show up anywhere.
    """

    def __init__(
        self, where: str, code: int, mechanism: str = "PLAIN", secret: str = PASSWORD
    ) -> None:
        self.where = where
        self.code = code
        self.mechanism = mechanism
        self.secret = secret
        self.heard: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection, contextlib.suppress(OSError, EOFError):
                    self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        self.socket, self.file = connection, connection.makefile("rb")
        self.begun = len(self.heard)
        self._say(b"220 parrot.test")
        while True:
            line = self._line()
            verb = line.partition(b" ")[0]
            if verb == b"EHLO":
                mechanism = self.mechanism.encode()
                self._say(b"250-parrot.test\r\n250-8BITMIME\r\n250 AUTH " + mechanism)
            elif verb == b"AUTH":
                self._auth(line)
            elif verb in (b"MAIL", b"RCPT"):
                self._answer(verb.decode(), b"250 2.1.0 ok")
            elif verb == b"DATA":
                self._say(b"354 go")
                while self._line() != b".":
                    pass
                self._answer("CONTENT", b"250 2.0.0 queued as 4F")
            else:
                self._say(b"221 bye")
                return

    def _auth(self, line: bytes) -> None:
        words = line.split()
        initial = words[2] if len(words) > 2 else b""
        self.heard += [initial] if len(initial) > 8 else []
        if not initial and self.mechanism in ("XOAUTH2", "OAUTHBEARER"):
            self._challenge(b"")
        if self.mechanism.startswith("SCRAM"):
            nonce = base64.b64decode(initial).rpartition(b"r=")[2]
            self._challenge(b"r=%sparrot,s=c2FsdHNhbHQ=,i=4096" % nonce)
        elif self.mechanism == "LOGIN":
            self._challenge(b"Username:")
            self._challenge(b"Password:")
        elif self.mechanism == "CRAM-MD5":
            self._challenge(b"<1@parrot.test>")
        elif self.mechanism == "XOAUTH2" and self.code >= 400:
            # Google's error report; here it repeats the token as well.
            self._challenge(b'{"status":"401","x":"%s"}' % self.secret.encode())
        self._answer("AUTH", b"235 2.7.0 ok")
        if self.where == "unasked":
            self._say(self._echo())
        elif self.where == "garbled":
            self._say(
                b"%s\r\n" % self.secret.encode() + self._echo().replace(b"-", b"!")
            )

    def _challenge(self, text: bytes) -> None:
        self._say(b"334 " + base64.b64encode(text))
        self.heard.append(self._line())

    def _answer(self, where: str, text: bytes) -> None:
        self._say(self._echo() if self.where == where else text)

    def _echo(self) -> bytes:
        """Say each form on a line of its own, and within words."""
        known = forms(self.secret)
        del known["a part"]
        echoes = [*known.values(), *self.heard[self.begun :]]
        echoes = [b"you said [%s], didn't you" % echo for echo in echoes] + echoes
        code = b"%d" % self.code
        return (
            b"\r\n".join(code + b"-5.7.8 " + e for e in echoes) + b"\r\n%s end" % code
        )

    def _say(self, text: bytes) -> None:
        self.socket.sendall(text + b"\r\n")

    def _line(self) -> bytes:
        line = self.file.readline()
        if not line:
            raise EOFError
        return line.rstrip(b"\r\n")


@contextlib.contextmanager
def parrot(*args, **more) -> Iterator[Parrot]:
    """Run a parrot for the length of a `with` block."""
    bird = Parrot(*args, **more)
    try:
        yield bird
    finally:
        bird.listener.close()
