"""One message, several mailhubs: which is tried, and what comes of it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ssmtp import config, submission
from ssmtp.config import Mailhub, Proxy, Secret
from ssmtp.errors import (
    AuthRefused,
    ConfigError,
    Deferred,
    Interrupted,
    MailhubRefused,
    NetworkTrouble,
    SiteTrouble,
    SystemTrouble,
    UnknownHost,
)
from ssmtp.receipt import Receipt, queue_id
from ssmtp.smtp.reply import Reply
from ssmtp.smtp.steps import Secured
from ssmtp.trace import Trace
from ssmtp.wire import aio, blocking
from tests.hub import Hub, running
from tests.unit.rehearsal import Content, Message, envelope


@pytest.fixture
def conf() -> config.Config:
    made = config.parse(b"UseTLS=no\n", "test.conf")
    made.connect_timeout = made.command_timeout = made.data_timeout = 3.0
    return made


def at(hub: Hub) -> Mailhub:
    return Mailhub("127.0.0.1", hub.port)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def submit(conf: config.Config, hubs: list[Mailhub], **more: Any) -> Receipt:
    message: Any = more.pop("message", None) or Message()
    wrapping = more.pop("envelope", None) or envelope()
    name = more.pop("name", "client.test")
    return submission.submit(message, wrapping, conf, hubs, name, **more)


def test_sent(conf: config.Config) -> None:
    """A receipt says where the message went, what was said, and how long it took."""
    with running(Hub()) as hub:
        receipt = submit(conf, [at(hub)])

    assert [b"Subject: rehearsal\r\n\r\nbody\r\n.dot\r\n"] == [
        m.data for m in hub.mails
    ]
    assert (f"127.0.0.1:{hub.port}", "4F2A1") == (receipt.hub, receipt.queue_id)
    assert 34 == receipt.size
    assert receipt.seconds > 0
    assert receipt.tls is None


def test_our_own_address_as_name(conf: config.Config) -> None:
    """Without a name, EHLO says our address (RFC 5321 §4.1.4)."""
    with running(Hub()) as hub:
        submit(conf, [at(hub)], name=None)

    assert "EHLO [127.0.0.1]" == hub.commands[0]


def test_unix_socket(conf: config.Config, tmp_path: Path) -> None:
    """A mailhub may be a Unix socket; TLS has no use there."""
    path = str(tmp_path / "hub")
    conf.use_tls = None
    with running(Hub(path=path)) as hub:
        receipt = submit(conf, [Mailhub(None, 25, path)], name=None)

    assert 1 == len(hub.mails)
    assert f"unix:{path}" == receipt.hub


@pytest.mark.parametrize(
    "first",
    [{"GREETING": "421 4.3.2 busy"}, {"EHLO": "450 later"}, {"GREETING": "close"}],
)
def test_next_mailhub(conf: config.Config, first: dict[str, str]) -> None:
    """A mailhub that is not ready before MAIL is passed over."""
    said: list[str] = []
    with running(Hub(replies=first)) as busy, running(Hub()) as good:
        receipt = submit(conf, [at(busy), at(good)], trace=Trace(said.append))

    assert str(at(good)) == receipt.hub
    assert any(line.startswith(f"[--] {at(busy)}") for line in said)


def test_unreachable_mailhub(conf: config.Config) -> None:
    """A mailhub that cannot be reached, or whose name is unknown, is passed over."""
    gone = Mailhub("127.0.0.1", closed_port())
    with running(Hub()) as good:
        submit(conf, [gone, Mailhub("a..invalid", 25), at(good)])

    assert 1 == len(good.mails)


@pytest.mark.parametrize(
    ("replies", "failure"),
    [
        ({"GREETING": "554 go away"}, MailhubRefused),
        ({"EHLO": "550 5.7.1 not with that name"}, SiteTrouble),
        ({"MAIL": "451 later"}, Deferred),
        ({"RCPT": "450 later"}, Deferred),
        ({"DOT": "451 later"}, Deferred),
        ({"MAIL": "530 5.7.0 who?"}, AuthRefused),
    ],
)
def test_no_next_mailhub(
    conf: config.Config, replies: dict[str, str], failure: type[Exception]
) -> None:
    """What a mailhub says for good, or about the message, is not asked of another."""
    with running(Hub(replies=replies)) as first, running(Hub()) as second:
        with pytest.raises(failure):
            submit(conf, [at(first), at(second)])

    assert 0 == second.connections


def test_all_fail(conf: config.Config) -> None:
    """When no mailhub can be used, each is named, and what time can cure decides."""
    unknown = Mailhub("a..invalid", 25)
    gone = Mailhub("127.0.0.1", closed_port())
    with pytest.raises(NetworkTrouble, match="cannot connect.*; and .*a..invalid"):
        submit(conf, [unknown, gone])
    with pytest.raises(UnknownHost):
        submit(conf, [unknown])
    with pytest.raises(ConfigError):
        submit(conf, [])


def test_all_fail_alike(conf: config.Config) -> None:
    """What keeps every mailhub from being reached is said once."""
    conf.proxy = Proxy("socks5", "127.0.0.1", closed_port(), "", Secret(""))
    hubs = [Mailhub("a.example", 25), Mailhub("b.example", 25)]
    with pytest.raises(NetworkTrouble) as caught:
        submit(conf, hubs)

    assert 1 == caught.value.what.count("cannot connect to the proxy")


def test_next_address(conf: config.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that accepts and hangs up is as good as dead: try the next one."""
    with running(Hub(replies={"GREETING": "close"})) as dead, running(Hub()) as good:
        numbers = [
            (socket.AF_INET, 1, 6, "", ("127.0.0.1", hub.port)) for hub in (dead, good)
        ]
        monkeypatch.setattr(blocking, "lookup", lambda request: numbers)
        submit(conf, [Mailhub("two.test", 25)])

    assert 1 == len(good.mails)
    assert 1 == dead.connections


def test_no_next_address(conf: config.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the next address is dead too, what the first one did is told."""
    with running(Hub(replies={"GREETING": "close"})) as dead:
        numbers = [
            (socket.AF_INET, 1, 6, "", ("127.0.0.1", port))
            for port in (dead.port, closed_port())
        ]
        monkeypatch.setattr(blocking, "lookup", lambda request: numbers)
        with pytest.raises(NetworkTrouble, match="closed the connection"):
            submit(conf, [Mailhub("two.test", 25)])


def test_no_next_address_after_the_greeting(
    conf: config.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once an address has greeted, another one is not tried."""
    with running(Hub(replies={"EHLO": "close"})) as first, running(Hub()) as good:
        numbers = [
            (socket.AF_INET, 1, 6, "", ("127.0.0.1", hub.port)) for hub in (first, good)
        ]
        monkeypatch.setattr(blocking, "lookup", lambda request: numbers)
        with pytest.raises(NetworkTrouble):
            submit(conf, [Mailhub("two.test", 25)])

    assert 0 == good.connections


def test_large_message(conf: config.Config) -> None:
    """Content larger than one flight goes as one chunk."""
    body = (b"x" * 70 + b"\r\n") * 20000
    with running(Hub()) as hub:
        receipt = submit(conf, [at(hub)], message=Message(Content(body)))

    assert body == hub.mails[0].body
    assert len(body) + 22 == receipt.size


def test_content_that_cannot_be_read(conf: config.Config) -> None:
    """A message that cannot be read back is this machine's trouble, and not ended."""

    class Torn(Content):
        def blocks(self) -> Iterator[bytes]:
            yield self.header
            raise OSError(5, "Input/output error")

    for extensions in ((), ("PIPELINING", "CHUNKING")):
        with running(Hub(extensions=extensions)) as hub:
            with pytest.raises(SystemTrouble, match="Input/output"):
                submit(conf, [at(hub)], message=Message(Torn()))

        assert [] == hub.mails


def test_unusable_client_certificate(conf: config.Config) -> None:
    """A client certificate that cannot be loaded is told before connecting: 78."""
    conf.use_tls, conf.use_tls_cert, conf.tls_cert = True, True, "/none/there.pem"
    with running(Hub()) as hub, pytest.raises(ConfigError, match="there.pem"):
        submit(conf, [at(hub)])

    assert 0 == hub.connections


def test_name_outside_of_ascii(conf: config.Config) -> None:
    """The mailhub's name goes to the resolver as A-labels."""
    asked = []

    def driver(task: Any) -> None:
        asked.append(next(task).host)
        task.close()

    message: Any = Message()
    hub = Mailhub("bücher.example", 25)
    driver(submission.attempts(message, envelope(), conf, [hub], "x", 0, None, None))

    assert [b"xn--bcher-kva.example"] == asked


def test_interrupted(conf: config.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal ends the run in order, wherever it waits."""

    def interrupt(request: object) -> set[int]:
        raise Interrupted("ended by SIGTERM")

    monkeypatch.setattr(blocking, "wait", interrupt)
    with running(Hub()) as hub, pytest.raises(Interrupted):
        submit(conf, [at(hub)])


def test_asyncio_is_cancelled(conf: config.Config) -> None:
    """Cancelling the task closes the connection."""

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            hub = Mailhub("127.0.0.1", listener.getsockname()[1])
            message: Any = Message()
            task = asyncio.create_task(
                submission.submit_async(message, envelope(), conf, [hub], "x")
            )
            client, _ = await loop.sock_accept(listener)
            with client:
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                return await loop.sock_recv(client, 10)

    assert b"" == asyncio.run(main())


def test_asyncio_silent_name_server(
    conf: config.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lookup that is late holds up neither the submission nor the loop's end."""
    over = threading.Event()
    ended: list[bool] = []

    def resolve(request: object) -> OSError:
        over.wait(2)
        ended.append(True)
        return OSError("too late")

    monkeypatch.setattr(aio, "getaddrinfo", resolve)
    conf.connect_timeout = 0.05
    message: Any = Message()
    hub = Mailhub("slow.example", 25)
    with pytest.raises(NetworkTrouble, match="name server does not answer"):
        asyncio.run(submission.submit_async(message, envelope(), conf, [hub], "x"))
    while_it_ran = list(ended)
    over.set()

    assert [] == while_it_ran


def test_asyncio_many_at_once(conf: config.Config) -> None:
    """The asyncio driver serves many submissions at a time."""
    message: Any = Message()

    async def main(hub: Hub) -> list[Receipt]:
        return await asyncio.gather(
            *(
                submission.submit_async(message, envelope(), conf, [at(hub)], "x")
                for _ in range(10)
            )
        )

    with running(Hub()) as hub:
        receipts = asyncio.run(main(hub))

    assert 10 == len(receipts) == len(hub.mails)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("2.0.0 Ok: queued as 4F2A1B", "4F2A1B"),
        ("OK id=1tAbCd-0000001-2x", "1tAbCd-0000001-2x"),
        ("2.0.0 u9KAbc12345 Message accepted for delivery", "u9KAbc12345"),
        ("2.0.0: 5d2f0f1c Message accepted for delivery", "5d2f0f1c"),
        ("2.0.0 OK  1700000000 ab12-20020a0.7 - gsmtp", "ab12-20020a0.7"),
        ("ok", None),
        ("queued as", None),
        ("queued as nothing", None),
        ("", None),
        ("queued as 1" + "2" * 200, None),
    ],
)
def test_queue_id(text: str, name: str | None) -> None:
    """The queue id is found in what common mailhubs say."""
    assert name == queue_id(text)


def test_trace() -> None:
    """Arrows, timings, version and cipher; nothing that a terminal could act on."""
    said: list[str] = []
    trace = Trace(said.append)
    trace.sent(["EHLO x", "bad\x1b"])
    trace.received(Reply(250, ["hub", "SIZE"]))
    trace.secured(Secured("TLSv1.3", "SUITE", True, None))
    trace.secured(Secured("TLSv1.2", "SUITE", False, None))
    trace.note("so")

    assert ["[->] EHLO x", "[->] bad\\x1b", "[<-] 250-hub"] == said[:3]
    assert said[3].startswith("[<-] 250 SIZE  (")
    assert said[3].endswith(" ms)")
    assert said[4].startswith("[--] TLSv1.3 SUITE, verified  (")
    assert said[5].startswith("[--] TLSv1.2 SUITE, not verified  (")
    assert "[--] so" == said[6]
