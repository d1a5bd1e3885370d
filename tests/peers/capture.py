"""The far end of every peer: an independent SMTP server that keeps what it is sent."""

from __future__ import annotations

import random
import socket
import threading
import time
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

REFUSED = "refused@example.net"
"""The recipient that every peer refuses for good."""

DEFERRED = "deferred@example.net"
"""The recipient that every peer refuses for now."""


def free_port() -> int:
    """Find a TCP port of loopback that nobody listens on.

    It lies below those that the system gives to outgoing connections, so that none of
    them takes it before it is used.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def wait_for_port(port: int, seconds: float = 30) -> None:
    """Wait until somebody accepts connections on a port of loopback."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody listens on port {port}") from None
            time.sleep(0.05)


@dataclass(frozen=True)
class Mail:
    """One transaction as it arrived: the paths, their parameters, the content."""

    sender: str
    sender_parameters: str
    recipients: list[str]
    recipient_parameters: list[str]
    content: bytes

    @property
    def message(self) -> EmailMessage:
        """The content as the standard library's parser understands it."""
        parsed = message_from_bytes(self.content, policy=SMTP_POLICY)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def body(self) -> bytes:
        """The body, decoded from its transfer encoding, with LF line ends."""
        payload = self.message.get_payload(decode=True)
        assert isinstance(payload, bytes)
        return payload.replace(b"\r\n", b"\n")


def _split(argument: str, keyword: str) -> tuple[str, str]:
    """Take "FROM:<path> parameters" apart."""
    path, _, parameters = argument[len(keyword) + 1 :].strip().partition(">")
    return path.lstrip("<"), parameters.strip()


class _Server(SMTP):
    """aiosmtpd, with DSN (RFC 3461), and lines as long as they come."""

    line_length_limit = 1 << 20

    async def smtp_MAIL(self, arg: str | None) -> None:
        self.sender = _split(arg or "", "FROM")
        self.recipients: list[tuple[str, str]] = []
        await super().smtp_MAIL(_without_dsn(arg))

    async def smtp_RCPT(self, arg: str | None) -> None:
        recipient = _split(arg or "", "TO")
        if recipient[0] == REFUSED:
            await self.push("550 5.1.1 There is no such person")
            return
        if recipient[0] == DEFERRED:
            await self.push("450 4.2.1 Come back later")
            return
        self.recipients.append(recipient)
        await super().smtp_RCPT(_without_dsn(arg))


def _without_dsn(argument: str | None) -> str | None:
    if argument is None:
        return None
    head, *parameters = argument.split(" ")
    dsn = ("RET=", "ENVID=", "NOTIFY=", "ORCPT=")
    return " ".join([head, *(p for p in parameters if not p.upper().startswith(dsn))])


class Capture:
    """Keep every mail that arrives, and let tests wait for the one they mean."""

    def __init__(self) -> None:
        self.port = free_port()
        self._mails: list[Mail] = []
        self._arrived = threading.Condition()
        capture = self

        class Listener(Controller):
            def factory(self) -> SMTP:
                return _Server(
                    capture,
                    enable_SMTPUTF8=True,
                    data_size_limit=1 << 28,
                    hostname="far-end.example",
                    loop=self.loop,
                )

        self._listener = Listener(self, "127.0.0.1", self.port)

    def start(self) -> None:
        self._listener.start()

    def stop(self) -> None:
        self._listener.stop()

    async def handle_EHLO(
        self, server: Any, session: Any, envelope: Any, name: str, lines: list[str]
    ) -> list[str]:
        session.host_name = name
        return [*lines[:-1], "250-DSN", lines[-1]]

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = Mail(
            server.sender[0],
            server.sender[1],
            [path for path, _ in server.recipients],
            [parameters for _, parameters in server.recipients],
            envelope.original_content,
        )
        with self._arrived:
            self._mails.append(mail)
            self._arrived.notify_all()
        return "250 2.0.0 Kept"

    def to(self, token: str) -> list[Mail]:
        """List what has arrived so far for a recipient that contains the token."""
        with self._arrived:
            return [m for m in self._mails if any(token in r for r in m.recipients)]

    def wait(self, token: str, recipients: int = 1, seconds: float = 60) -> Mail:
        """Wait for the mail for the token; a peer may split it by recipients.

        The parts are put together again; AssertionError when their contents
        differ by more than the trace fields that the peer put on top.
        """
        deadline = time.monotonic() + seconds
        with self._arrived:
            while True:
                parts = [
                    m for m in self._mails if any(token in r for r in m.recipients)
                ]
                if sum(len(m.recipients) for m in parts) >= recipients:
                    break
                if not self._arrived.wait(deadline - time.monotonic()):
                    raise AssertionError(f"no mail for {token} in {seconds} s")
        first = parts[0]
        for part in parts[1:]:
            assert first.body == part.body
        return Mail(
            first.sender,
            first.sender_parameters,
            [r for m in parts for r in m.recipients],
            [p for m in parts for p in m.recipient_parameters],
            first.content,
        )
