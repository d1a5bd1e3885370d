"""From a name to a connected socket: addresses, deadlines, proxies."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from ssmtp.config import Mailhub, Proxy, Secret
from ssmtp.errors import (
    AuthRefused,
    Failure,
    NetworkTrouble,
    SystemTrouble,
    UnknownHost,
)
from ssmtp.wire import blocking, connect
from ssmtp.wire.connect import Address, Link, Route
from ssmtp.wire.wait import Lookup, Wait

V4, V6 = socket.AF_INET, socket.AF_INET6


def route(host: str = "hub.test", port: int = 25, **more: Any) -> Route:
    more.setdefault("seconds", 2.0)
    return Route(Mailhub(host, port), host, **more)


def finished(task: Generator[Any, Any, Any], answer: Any) -> Any:
    """Drive a task that looks one name up, and answer that."""
    request = next(task)
    assert isinstance(request, Lookup)
    with pytest.raises(StopIteration) as end:
        task.send(answer)
    return end.value.value


def found(*hosts: str) -> list[Any]:
    """What getaddrinfo returns for these numbers."""
    return [
        (V6, 1, 6, "", (h, 25, 0, 0)) if ":" in h else (V4, 1, 6, "", (h, 25))
        for h in hosts
    ]


def test_families_alternate() -> None:
    """Addresses are tried in the resolver's order, the families in turn (RFC 8305)."""
    answer = found("::1", "::2", "::3", "10.0.0.1", "10.0.0.2")

    addresses = finished(connect.addresses(route()), answer)

    shown = [a.shown for a in addresses]
    assert ["[::1]:25", "10.0.0.1:25", "[::2]:25", "10.0.0.2:25", "[::3]:25"] == shown


def test_an_address_counts_once() -> None:
    """What the resolver says twice is tried once."""
    addresses = finished(connect.addresses(route()), found("10.0.0.1", "10.0.0.1"))

    assert ["10.0.0.1:25"] == [a.shown for a in addresses]


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_NODATA])
def test_unknown_host(code: int) -> None:
    """A name that does not exist is a mistake in the configuration: 68."""
    with pytest.raises(UnknownHost) as caught:
        finished(connect.addresses(route()), socket.gaierror(code, "no"))

    assert 68 == caught.value.exit_code
    assert "hub.test" in caught.value.what


@pytest.mark.parametrize("code", [socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_MEMORY])
def test_name_server_trouble(code: int) -> None:
    """What a name server cannot say now may be said later: 75."""
    with pytest.raises(NetworkTrouble):
        finished(connect.addresses(route()), socket.gaierror(code, "not now"))


def test_late_name_server() -> None:
    """A name server that does not answer is a matter of time."""
    with pytest.raises(NetworkTrouble, match="does not answer"):
        finished(connect.addresses(route()), TimeoutError("it does not answer"))


def test_only_ipv4_with_dash_six() -> None:
    """With -6, a host that has only IPv4 addresses does not exist: 68."""
    with pytest.raises(UnknownHost, match="as an IPv6 host"):
        blocking.run(connect.addresses(route("127.0.0.1", family=6)))


def test_numbers_are_not_looked_up() -> None:
    """A literal address needs no name server."""
    for host, shown in (("127.0.0.1", "127.0.0.1:25"), ("::1", "[::1]:25")):
        task = connect.addresses(route(host))
        with pytest.raises(StopIteration) as end:
            next(task)

        assert [shown] == [a.shown for a in end.value.value]


def test_lookup_in_time() -> None:
    """The blocking driver looks names up, and knows what is wrong with them."""
    deadline = time.monotonic() + 5
    answer = blocking.lookup(Lookup(b"127.0.0.1", 25, 0, deadline))

    assert isinstance(answer, list)
    assert isinstance(blocking.lookup(Lookup(b"a..b", 25, 0, deadline)), OSError)


def test_lookup_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver is waited for until the deadline only."""
    gate = threading.Event()

    def stuck(request: Lookup) -> OSError:
        gate.wait(10)
        return OSError()

    monkeypatch.setattr(blocking, "getaddrinfo", stuck)
    answer = blocking.lookup(Lookup(b"x", 25, 0, time.monotonic() + 0.05))
    gate.set()

    assert isinstance(answer, TimeoutError)


@contextlib.contextmanager
def listening(
    serve: Callable[[socket.socket], None] | None = None, host: str = "127.0.0.1"
) -> Iterator[int]:
    """A port on loopback; `serve` is called with the first connection."""
    family = V6 if ":" in host else V4
    listener = socket.socket(family)
    listener.bind((host, 0))
    listener.listen(5)

    def work() -> None:
        with contextlib.suppress(OSError):
            client, _ = listener.accept()
            with client:
                client.settimeout(5)
                assert serve is not None
                serve(client)

    if serve is not None:
        threading.Thread(target=work, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def connected(way: Route, addresses: list[Address] | None = None, **more: Any) -> Link:
    """Connect for real."""
    if addresses is None:
        addresses = blocking.run(connect.addresses(way))
    link = blocking.run(connect.connect(way, addresses, **more))
    link.sock.setblocking(True)
    return link


def test_connects_and_sets_no_delay() -> None:
    """A connection is made at once, without Nagle's delay."""
    with listening() as port:
        link = connected(route("127.0.0.1", port))

    assert link.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert link.private
    assert "[127.0.0.1]" == link.name
    link.sock.close()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_refused() -> None:
    """A port where nobody listens is told with its address."""
    port = closed_port()
    with pytest.raises(NetworkTrouble, match=f"127.0.0.1:{port}.*refused"):
        connected(route("127.0.0.1", port))


def test_next_address_at_once() -> None:
    """A refused address does not hold the next one up, nor the work meanwhile."""
    calls: list[str] = []
    with listening() as port:
        addresses = [
            Address(V4, ("127.0.0.1", closed_port()), "first"),
            Address(V4, ("127.0.0.1", port), "second"),
        ]
        link = connected(route(), addresses, meanwhile=lambda: calls.append("ready"))

    assert "second" == link.address.shown
    assert ["ready"] == calls
    link.sock.close()


@contextlib.contextmanager
def black_hole() -> Iterator[tuple[str, int]]:
    """A port whose queue is full, so that nothing ever answers."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()


def test_black_hole_first() -> None:
    """An address that does not answer is overtaken by the next."""
    with black_hole() as hole, listening() as port:
        addresses = [
            Address(V4, hole, "hole"),
            Address(V4, ("127.0.0.1", port), "good"),
        ]
        link = connected(route(), addresses)

    assert "good" == link.address.shown
    link.sock.close()


def test_black_hole_only() -> None:
    """An address that never answers has its own deadline."""
    with black_hole() as hole, pytest.raises(NetworkTrouble, match="within 0.2 s"):
        connected(route(seconds=0.2), [Address(V4, hole, "hole")])


def test_losers_are_closed() -> None:
    """However the race ends, no socket is left behind."""
    with black_hole() as hole:
        way = route()
        task = connect.connect(way, [Address(V4, hole, "hole")])
        request = next(task)
        assert isinstance(request, Wait)
        (fd,) = request.wanted
        task.close()

        with pytest.raises(OSError):
            socket.socket(fileno=fd)


def test_unix_socket(tmp_path: Path) -> None:
    """A mailhub may be a Unix socket, which is this machine."""
    path = str(tmp_path / "hub")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        link = connected(Route(Mailhub(None, 25, path), "", seconds=1))

    assert link.private
    assert "localhost" == link.name
    link.sock.close()


def test_unix_socket_missing(tmp_path: Path) -> None:
    """A Unix socket that is not there is told with its path."""
    way = Route(Mailhub(None, 25, str(tmp_path / "none")), "", seconds=1)
    with pytest.raises(NetworkTrouble, match="none.*No such file"):
        connected(way)


def test_unix_socket_with_a_long_name() -> None:
    """A path that no socket can have is a failure, not a crash."""
    with pytest.raises(NetworkTrouble):
        connected(Route(Mailhub(None, 25, "/" + "x" * 200), "", seconds=1))


def test_source_address() -> None:
    """SourceAddress is where connections come from, and picks the family."""
    with listening() as port:
        link = connected(route("127.0.0.1", port, source="127.0.0.9"))

    assert "127.0.0.9" == link.sock.getsockname()[0]
    link.sock.close()
    with pytest.raises(NetworkTrouble, match="SourceAddress"):
        finished(connect.addresses(route(source="::1")), found("10.0.0.1"))


def test_source_address_of_somebody_else() -> None:
    """A SourceAddress that this machine does not have is told."""
    with pytest.raises(NetworkTrouble, match="127.0.0.1.*SourceAddress=192.0.2.77"):
        connected(route("127.0.0.1", 9, source="192.0.2.77"))


def test_no_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """When no socket can be made, this machine is to blame: 75."""
    import _socket

    def none(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(_socket, "socket", none)
    with pytest.raises(SystemTrouble, match="Too many"):
        connected(route(), [Address(V4, ("127.0.0.1", 9), "x")])


@pytest.mark.parametrize(
    ("host", "private"),
    [("127.0.0.1", True), ("127.0.0.2", True), ("localhost", False)],
)
def test_only_numbers_are_private(host: str, private: bool) -> None:
    """Loopback is this machine only when the configuration says it in numbers."""
    with listening(host="127.0.0.2" if host == "127.0.0.2" else "127.0.0.1") as port:
        address = Address(V4, (host if private else "127.0.0.1", port), host)
        link = connected(route(host, port), [address])

    assert private is link.private
    link.sock.close()


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.255.0.1", True),
        ("::1", True),
        ("0:0:0:0:0:0:0:1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.1", False),
        ("128.0.0.1", False),
        ("127.0.0.1.example", False),
        ("127.0.0", False),
        ("127.0.0.999", False),
        ("127.0.0.１", False),
        ("localhost", False),
        ("fe80::1", False),
        ("::1%lo", False),
        ("", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    """A loopback address is told by its number."""
    assert loopback is connect._is_loopback(host)


# -- proxies


def proxy(scheme: str, port: int, user: str = "", password: str = "") -> Proxy:
    return Proxy(scheme, "127.0.0.1", port, user, Secret(password))


def exactly(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = client.recv(count - len(data))
        assert more
        data += more
    return data


def until_blank(client: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(4096)
    return data


def through(
    scheme: str,
    serve: Callable[[socket.socket], None],
    host: str = "mail.example.org",
    user: str = "",
    password: str = "",
    **more: Any,
) -> Link:
    """Connect through a proxy that `serve` plays."""
    with listening(serve) as port:
        way = route(host, 587, proxy=proxy(scheme, port, user, password), **more)
        return connected(way)


@pytest.mark.parametrize(
    ("host", "encoded"),
    [
        ("mail.example.org", b"\3\x10mail.example.org"),
        ("192.0.2.1", b"\1\xc0\0\2\1"),
        ("2001:db8::1", b"\4" + socket.inet_pton(V6, "2001:db8::1")),
    ],
)
@pytest.mark.parametrize("bound", [b"\1" + b"\0" * 6, b"\4" + b"\0" * 18, b"\3\1x\0\0"])
def test_socks5(host: str, encoded: bytes, bound: bytes) -> None:
    """A SOCKS5 proxy is told the name, and looks it up (RFC 1928)."""
    heard = []

    def serve(client: socket.socket) -> None:
        heard.append(exactly(client, 3))
        client.sendall(b"\5\0")
        heard.append(exactly(client, 3 + len(encoded) + 2))
        client.sendall(b"\5\0\0" + bound + b"220 hub\r\n")

    link = through("socks5", serve, host)

    assert [b"\5\1\0", b"\5\1\0" + encoded + b"\2\x4b"] == heard
    assert b"220 hub\r\n" == link.sock.recv(100)
    assert not link.private
    link.sock.close()


def test_socks5_login() -> None:
    """A SOCKS5 proxy may want user name and password (RFC 1929)."""
    heard = []

    def serve(client: socket.socket) -> None:
        heard.append(exactly(client, 4))
        client.sendall(b"\5\2")
        heard.append(exactly(client, 3 + 4 + 4))
        client.sendall(b"\1\0")
        exactly(client, 7 + 16)
        client.sendall(b"\5\0\0\1" + b"\0" * 6)

    through("socks5", serve, user="user", password="word").sock.close()

    assert [b"\5\2\0\2", b"\1\4user\4word"] == heard


def test_socks5_login_refused() -> None:
    """A proxy that refuses the login is a matter of the configuration: 77."""

    def serve(client: socket.socket) -> None:
        exactly(client, 4)
        client.sendall(b"\5\2")
        exactly(client, 13)
        client.sendall(b"\1\1")

    with pytest.raises(AuthRefused, match="refuses") as caught:
        through("socks5", serve, user="user", password="s3cret")

    assert "s3cret" not in caught.value.sentence()


@pytest.mark.parametrize(
    ("answer", "failure", "words"),
    [
        (b"\5\xff", AuthRefused, "wants a login"),
        (b"\5\1", NetworkTrouble, "nobody offered"),
        (b"\5\2", NetworkTrouble, "nobody offered"),
        (b"\4\0", NetworkTrouble, "does not speak SOCKS5"),
        (b"HTTP/1.1 400", NetworkTrouble, "does not speak SOCKS5"),
        (b"\5", NetworkTrouble, "closed the connection"),
        (b"\5\0\5\5\0\1" + b"\0" * 6, NetworkTrouble, "connection refused"),
        (b"\5\0\5\4\0\1" + b"\0" * 6, NetworkTrouble, "host unreachable"),
        (b"\5\0\5\x63\0\1" + b"\0" * 6, NetworkTrouble, "error 99"),
        (b"\5\0\4\0\0\1", NetworkTrouble, "does not speak SOCKS5"),
    ],
)
def test_socks5_trouble(answer: bytes, failure: type[Failure], words: str) -> None:
    """Whatever a proxy does wrong is told in words, and later is another time."""

    def serve(client: socket.socket) -> None:
        exactly(client, 3)
        client.sendall(answer)
        client.shutdown(socket.SHUT_WR)
        while client.recv(4096):
            pass

    with pytest.raises(failure, match=words):
        through("socks5", serve)


def test_silent_proxy() -> None:
    """A proxy has no more time than the attempt."""

    def serve(client: socket.socket) -> None:
        while client.recv(4096):
            pass

    for scheme in ("socks5", "http"):
        with pytest.raises(NetworkTrouble, match="does not answer"):
            through(scheme, serve, seconds=0.2)


@pytest.mark.parametrize(
    ("host", "place"),
    [("mail.example.org", b"mail.example.org:587"), ("::1", b"[::1]:587")],
)
def test_http_connect(host: str, place: bytes) -> None:
    """An HTTP proxy is asked to CONNECT; what comes behind its yes is not lost."""
    heard = []

    def serve(client: socket.socket) -> None:
        heard.append(until_blank(client))
        client.sendall(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n220 hub")

    link = through("http", serve, host)

    request = b"CONNECT " + place + b" HTTP/1.1\r\nHost: " + place + b"\r\n\r\n"
    assert [request] == heard
    assert b"220 hub" == link.early
    link.sock.close()


def test_http_login() -> None:
    """An HTTP proxy may want a login."""
    heard = []

    def serve(client: socket.socket) -> None:
        heard.append(until_blank(client))
        client.sendall(b"HTTP/1.0 200 OK\r\n\r\n")

    through("http", serve, user="user", password="word").sock.close()

    assert b"\r\nProxy-Authorization: Basic dXNlcjp3b3Jk\r\n" in heard[0]


@pytest.mark.parametrize(
    ("answer", "failure", "words"),
    [
        (b"HTTP/1.1 407 Login please\r\n\r\n", AuthRefused, "407 Login please"),
        (b"HTTP/1.1 403 No\x1b[2J\r\n\r\n", NetworkTrouble, "403 No"),
        (b"HTTP/1.1 302 There\r\n\r\n", NetworkTrouble, "302"),
        (b"HTTP/1.1\r\n\r\n", NetworkTrouble, "does not speak HTTP"),
        (b"HTTP/1.1 abc\r\n\r\n", NetworkTrouble, "does not speak HTTP"),
        (b"220 hub ESMTP\r\n\r\n", NetworkTrouble, "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n", NetworkTrouble, "closed the connection"),
        (b"x" * 40000, NetworkTrouble, "without end"),
    ],
)
def test_http_trouble(answer: bytes, failure: type[Failure], words: str) -> None:
    """Whatever an HTTP proxy does wrong is told in words."""

    def serve(client: socket.socket) -> None:
        until_blank(client)
        client.sendall(answer)
        client.shutdown(socket.SHUT_WR)
        while client.recv(4096):
            pass

    with pytest.raises(failure, match=words) as caught:
        through("http", serve)

    assert caught.value.what.isprintable()


def test_proxy_is_not_there() -> None:
    """A proxy that cannot be reached is named, without its password."""
    way = route(proxy=proxy("socks5", closed_port(), "user", "s3cret-word"))
    with pytest.raises(NetworkTrouble, match="the proxy socks5://127.0.0.1") as caught:
        connected(way)

    assert "s3cret" not in caught.value.sentence()


def test_unknown_proxy() -> None:
    """A proxy whose name does not exist does not make the mailhub's name unknown."""
    way = route(proxy=Proxy("http", "none.test", 1, "", Secret("")))
    with pytest.raises(NetworkTrouble, match="the proxy"):
        finished(connect.addresses(way), socket.gaierror(socket.EAI_NONAME, "no"))
