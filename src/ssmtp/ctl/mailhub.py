"""A mailhub that listens on this machine and shows what it is sent.

Threads and blocking sockets around `smtp.server`, for the demo and the sink. It hands
every complete message to a function and forgets it; it never sends mail anywhere.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from ssmtp.ctl.words import _
from ssmtp.errors import SystemTrouble, UsageError
from ssmtp.smtp.events import (
    Abandoned,
    Begin,
    Content,
    End,
    Recipient,
    Sender,
    StartTls,
    Transaction,
)
from ssmtp.smtp.paths import Path
from ssmtp.smtp.rules import Rules
from ssmtp.smtp.server import Session

IDLE_SECONDS = 300.0  # RFC 5321 §4.5.3.2.7
FAREWELL_SECONDS = 2.0
BLOCK = 65536
MEMORY = 1 << 20  # octets of a message before it goes to a temporary file


Verdict = tuple[int, str, str] | None


@dataclass(frozen=True)
class Received:
    """One message as it came in; `content` is open while the handler runs."""

    number: int
    seconds: float  # since the epoch
    peer: str
    hello: str
    tls: str | None  # version and cipher
    user: str | None
    mechanism: str | None
    chunked: bool
    sender: Path
    recipients: list[Path]
    size: int  # octets
    content: IO[bytes]

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of the content without their ends."""
        self.content.seek(0)
        for line in self.content:
            yield line.rstrip(b"\r\n")


class Mailhub:
    """A listener; every connection has a thread of its own.

    `tls` is none, starttls or implicit, `context` is needed for the latter two.
    `handle` is called for one message at a time; if it raises `OSError`, the client
    hears 451. `judge` may refuse: it is given connection, sender, recipient or content
    and the address that it is about, and returns code, status and text of the reply, or
    None. Raises `SystemTrouble` when the port cannot be had.
    """

    def __init__(
        self,
        handle: Callable[[Received], None],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: str = "none",
        context: ssl.SSLContext | None = None,
        users: dict[str, str] | None = None,
        judge: Callable[[str, str], Verdict] = lambda stage, address: None,
    ) -> None:
        self._handle = handle
        self._judge = judge
        self._implicit = context if tls == "implicit" else None
        self._context = context
        self._rules = Rules(
            "localhost",
            greeting="ESMTP ssmtp sink",
            starttls=tls == "starttls",
            users=users,
            auth_required=bool(users),
            auth_in_clear=tls == "none",
            nonce=secrets.token_urlsafe,
        )
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._listener = socket.create_server((host, port), family=family)
        except (OSError, OverflowError) as error:
            # The words of create_server would say the address again.
            number = getattr(error, "errno", None)
            reason = os.strerror(number) if number and number > 0 else error
            # What cannot be the number of a port will never be free.
            kind = UsageError if isinstance(error, OverflowError) else SystemTrouble
            raise kind(
                _("cannot listen on {host} port {port}: {reason}").format(
                    host=host, port=port, reason=reason
                ),
                _("choose another --port; 0 takes any that is free"),
            ) from None
        self.host: str = self._listener.getsockname()[0]
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._count = 0
        self._conversations: dict[threading.Thread, _Conversation] = {}
        self._closing = threading.Event()

    def start(self) -> None:
        """Accept connections in a thread, until `close`."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self, grace: float = 0.0) -> None:
        """Stop listening, and end what is still going on after `grace` seconds."""
        self._closing.set()
        # Wakes accept() on every system, as close() alone does not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        deadline = time.monotonic() + grace
        for thread, conversation in list(self._conversations.items()):
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                with contextlib.suppress(OSError):
                    conversation.connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, address = self._listener.accept()
            except OSError:
                # No descriptors left for the moment, or the end.
                self._closing.wait(0.05)
                continue
            conversation = _Conversation(self, connection, f"{address[0]}:{address[1]}")
            thread = threading.Thread(
                target=self._serve, args=(conversation,), daemon=True
            )
            self._conversations[thread] = conversation
            thread.start()

    def _serve(self, conversation: _Conversation) -> None:
        try:
            conversation.begin()
            conversation.run()
        except OSError:
            pass  # the client's connection is the client's business
        finally:
            conversation.connection.close()
            self._conversations.pop(threading.current_thread(), None)


class _Conversation:
    """One connection: octets to the session, its events to the mailhub."""

    def __init__(self, hub: Mailhub, connection: socket.socket, peer: str) -> None:
        self.hub = hub
        self.connection = connection
        self.peer = peer
        self.session = Session(hub._rules, secure=hub._implicit is not None)
        self.content: IO[bytes] | None = None
        self.chunked = False

    def begin(self) -> None:
        self.connection.settimeout(IDLE_SECONDS)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        verdict = self.hub._judge("connection", "")
        if verdict is not None:
            code, status, text = verdict
            self.connection.sendall(f"{code} {status} {text}\r\n".encode())
            raise ConnectionRefusedError
        if self.hub._implicit is not None:
            self.secure(self.hub._implicit)

    def run(self) -> None:
        session = self.session
        try:
            while True:
                event = session.next_event()
                if event is None:
                    self.connection.sendall(session.output())
                    if session.closed:
                        break
                    session.receive(self.receive())
                elif isinstance(event, Sender):
                    self.judge("sender", event.path)
                elif isinstance(event, Recipient):
                    self.judge("recipient", event.path)
                elif isinstance(event, Begin):
                    self.content = tempfile.SpooledTemporaryFile(MEMORY)
                    self.chunked = session.chunked
                elif isinstance(event, Content) and self.content is not None:
                    self.content.write(event.block)
                elif isinstance(event, Abandoned):
                    self.forget()
                elif isinstance(event, End):
                    self.complete()
                elif isinstance(event, StartTls):
                    self.upgrade()
        finally:
            self.forget()
        if isinstance(self.connection, ssl.SSLSocket):
            self.connection.settimeout(FAREWELL_SECONDS)
            # A ValueError: the connection was shut down by `close` meanwhile.
            with contextlib.suppress(ValueError):
                self.connection.unwrap()

    def judge(self, stage: str, path: Path) -> None:
        verdict = self.hub._judge(stage, path.text)
        if verdict is not None:
            self.session.refuse(*verdict)

    def receive(self) -> bytes:
        try:
            return self.connection.recv(BLOCK)
        except TimeoutError:
            self.session.shut_down("nothing heard for too long")
            return b""

    def upgrade(self) -> None:
        assert self.hub._context is not None
        self.connection.sendall(self.session.output())
        self.secure(self.hub._context)
        self.session.tls_started()

    def secure(self, context: ssl.SSLContext) -> None:
        self.connection = context.wrap_socket(self.connection, server_side=True)

    def complete(self) -> None:
        transaction = self.session.transaction
        assert transaction is not None
        assert self.content is not None
        verdict = self.hub._judge("content", transaction.sender.text)
        if verdict is not None:
            self.session.answer(*verdict)
            self.forget()
            return
        with self.hub._lock:
            self.hub._count += 1
            number = self.hub._count
            try:
                self.hub._handle(self.received(number, transaction, self.content))
            except OSError as error:
                self.session.answer(451, "4.3.0", f"cannot store it: {error.strerror}")
            else:
                self.session.answer(250, "2.0.0", f"Ok: queued as SINK{number}")
        self.forget()

    def received(
        self, number: int, transaction: Transaction, content: IO[bytes]
    ) -> Received:
        tls = None
        if isinstance(self.connection, ssl.SSLSocket):
            cipher = self.connection.cipher()
            tls = f"{self.connection.version()} {cipher[0] if cipher else ''}".strip()
        return Received(
            number=number,
            seconds=time.time(),
            peer=self.peer,
            hello=self.session.hello or "",
            tls=tls,
            user=self.session.user,
            mechanism=self.session.mechanism if self.session.user else None,
            chunked=self.chunked,
            sender=transaction.sender,
            recipients=transaction.recipients,
            size=content.tell(),
            content=content,
        )

    def forget(self) -> None:
        if self.content is not None:
            self.content.close()
        self.content = None
