"""The mailhub of the callers: aiosmtpd with STARTTLS and AUTH, keeping each mail."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as POLICY
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

USER = "box"
PASSWORD = "no-such-password"


class Mail:
    """One mail as it arrived."""

    def __init__(self, sender: str, recipients: list[str], content: bytes) -> None:
        # That is how the library writes the null reverse-path.
        self.sender = "" if sender == "<>" else sender
        self.recipients = recipients
        self.content = content
        parsed = message_from_bytes(content, policy=POLICY)
        assert isinstance(parsed, EmailMessage)
        self.message = parsed

    def __repr__(self) -> str:
        shown = self.content.decode("utf-8", "replace").replace("\r\n", "\n")
        return f"MAIL FROM:<{self.sender}> RCPT TO:{self.recipients}\n{shown}"

    def field(self, name: str) -> str:
        """Return the text of the only field of a name, decoded."""
        values = self.message.get_all(name, [])
        assert 1 == len(values), f"{len(values)} fields {name} in\n{self!r}"
        return str(values[0])

    @property
    def text(self) -> str:
        """The first part that is text, decoded, with LF at the ends of lines."""
        for part in self.message.walk():
            if part.get_content_maintype() == "text":
                payload = part.get_payload(decode=True)
                assert isinstance(payload, bytes)
                text = payload.decode(part.get_content_charset("utf-8"))
                return text.replace("\r\n", "\n")
        raise AssertionError(f"no text in\n{self!r}")


class Relay:
    """A server on a listening socket, of whatever network that is."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.mails: list[Mail] = []
        self.refused: set[str] = set()
        self._sessions: list[SMTP] = []
        self._arrived = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def open(self, listener: socket.socket) -> None:
        """Accept mail from now on; the socket is ours from here."""
        self._server = self._wait(self._loop.create_server(self._smtp, sock=listener))

    def close(self) -> None:
        """Refuse connections from now on, like a mailhub that is down."""
        if self._server is not None:
            self._loop.call_soon_threadsafe(self._server.close)
            self._wait(self._server.wait_closed())
            self._server = None

    def stop(self) -> None:
        """End for good."""
        self.close()
        self._wait(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def wait(self, count: int, seconds: float) -> list[Mail]:
        """Return what has arrived when it is so many mails, or time is up."""
        deadline = time.monotonic() + seconds
        with self._arrived:
            while len(self.mails) < count:
                if not self._arrived.wait(deadline - time.monotonic()):
                    break
            return list(self.mails)

    def _wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _finish(self) -> None:
        for session in self._sessions:
            if isinstance(session.transport, asyncio.WriteTransport):
                session.transport.abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)

    def _smtp(self) -> SMTP:
        session = SMTP(
            self,
            hostname="mail.example.org",
            enable_SMTPUTF8=True,
            require_starttls=True,
            tls_context=self.context,
            auth_required=True,
            authenticator=_authenticate,
            loop=self._loop,
        )
        self._sessions.append(session)
        return session

    async def handle_RCPT(
        self, server: SMTP, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address in self.refused:
            return "550 5.1.1 There is no such person"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Go on"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        mail = Mail(envelope.mail_from, envelope.rcpt_tos, envelope.original_content)
        with self._arrived:
            self.mails.append(mail)
            self._arrived.notify_all()
        return "250 2.0.0 Kept"


def _authenticate(
    server: SMTP, session: Any, envelope: Any, mechanism: str, said: Any
) -> AuthResult:
    expected = LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=expected == said)
