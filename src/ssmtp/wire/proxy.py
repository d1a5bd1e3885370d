"""The ways through a proxy: SOCKS5 (RFC 1928, RFC 1929) and HTTP CONNECT.

The proxy is told the mailhub's name and looks it up itself. What it does wrong is
`NetworkTrouble`; a login that it refuses is `AuthRefused`, for the configuration's.
"""

from __future__ import annotations

from ssmtp.errors import AuthRefused, ConfigError, NetworkTrouble
from ssmtp.smtp.reply import escaped, forms, hidden
from ssmtp.smtp.session import SECRET_LEAST
from ssmtp.wire.wait import READ, WRITE, Wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Generator
    from typing import Any

    from ssmtp.config import Proxy
    from ssmtp.wire.connect import Route

    Task = Generator[Any, Any, Any]

ANSWER_MOST = 16384  # octets of a proxy's answer


def through(
    sock: socket, route: Route, proxy: Proxy, deadline: float
) -> Generator[Any, Any, bytes]:
    """Have the proxy connect to the mailhub; return octets that came behind its yes."""
    host = route.host
    if not host.isascii() or not host.isprintable() or " " in host:
        raise ConfigError(f"{escaped(host)!r} is no host name", "check Mailhub")
    try:
        if proxy.scheme == "socks5":
            yield from _socks5(sock, route, proxy, deadline)
            return b""
        return (yield from _http(sock, route, proxy, deadline))
    except OSError as error:
        words = f"broke the connection off ({escaped(error.strerror or str(error))})"
        raise _proxy_trouble(proxy, words) from error


def _proxy_trouble(proxy: Proxy, does: str) -> NetworkTrouble:
    return NetworkTrouble(
        f"the proxy {proxy} {does}", "check Proxy, or try again later"
    )


def _proxy_refusal(proxy: Proxy, why: str) -> AuthRefused:
    return AuthRefused(
        f"the proxy {proxy} {why}", "check the user name and password in Proxy"
    )


# RFC 1928, and RFC 1929 for user name and password
def _socks5(sock: socket, route: Route, proxy: Proxy, deadline: float) -> Task:
    yield from _send(sock, proxy, b"\5\2\0\2" if proxy.user else b"\5\1\0", deadline)
    version, method = yield from _exactly(sock, proxy, 2, deadline)
    if version != 5:
        raise _proxy_trouble(proxy, "does not speak SOCKS5")
    if method == 2 and proxy.user:
        user = proxy.user.encode("utf-8", "surrogateescape")
        word = proxy.password.reveal().encode("utf-8", "surrogateescape")
        if len(user) > 255 or len(word) > 255:
            raise _proxy_refusal(proxy, "cannot be told so long a user or password")
        login = bytes([1, len(user)]) + user + bytes([len(word)]) + word
        yield from _send(sock, proxy, login, deadline)
        _, status = yield from _exactly(sock, proxy, 2, deadline)
        if status:
            raise _proxy_refusal(proxy, "refuses the user name and password")
    elif method == 0xFF:
        why = "refuses every way of login" if proxy.user else "wants a login"
        raise _proxy_refusal(proxy, why)
    elif method:
        raise _proxy_trouble(proxy, "chose a way of login that nobody offered")

    port = route.hub.port.to_bytes(2, "big")
    request = b"\5\1\0" + _socks_host(route.host) + port
    yield from _send(sock, proxy, request, deadline)
    head = yield from _exactly(sock, proxy, 4, deadline)
    if head[0] != 5:
        raise _proxy_trouble(proxy, "does not speak SOCKS5")
    if head[1]:
        words = SOCKS_ERRORS.get(head[1], f"error {head[1]}")
        raise _proxy_trouble(proxy, f"cannot reach {route.hub}: {words}")
    if head[3] == 3:
        size = (yield from _exactly(sock, proxy, 1, deadline))[0]
    else:
        size = 16 if head[3] == 4 else 4
    yield from _exactly(sock, proxy, size + 2, deadline)


SOCKS_ERRORS = {
    1: "general failure",
    2: "not allowed",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "time to live expired",
    7: "command not supported",
    8: "address type not supported",
}


def _socks_host(host: str) -> bytes:
    import _socket

    for family, kind in ((_socket.AF_INET, b"\1"), (_socket.AF_INET6, b"\4")):
        try:
            return kind + _socket.inet_pton(family, host)
        except OSError:
            pass
    name = host.encode("ascii")
    if len(name) > 255:
        raise ConfigError("the mailhub's name is too long for SOCKS5", "check Mailhub")
    return b"\3" + bytes([len(name)]) + name


# RFC 9110 §9.3.6
def _http(
    sock: socket, route: Route, proxy: Proxy, deadline: float
) -> Generator[Any, Any, bytes]:
    import binascii

    host = f"[{route.host}]" if ":" in route.host else route.host
    place = f"{host}:{route.hub.port}"
    request = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n".encode("ascii")
    if proxy.user:
        login = f"{proxy.user}:{proxy.password.reveal()}"
        octets = login.encode("utf-8", "surrogateescape")
        word = binascii.b2a_base64(octets, newline=False)
        request += b"Proxy-Authorization: Basic " + word + b"\r\n"
    yield from _send(sock, proxy, request + b"\r\n", deadline)
    answer = b""
    while b"\r\n\r\n" not in answer:
        if len(answer) > ANSWER_MOST:
            raise _proxy_trouble(proxy, "answers without end")
        answer += yield from _some(sock, proxy, 4096, deadline)
    head, _, early = answer.partition(b"\r\n\r\n")
    words = head.split(b"\r\n")[0].split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise _proxy_trouble(proxy, "does not speak HTTP")
    status = int(words[1][:4])
    if 200 <= status <= 299:
        return early
    # A shorter one would turn every text to dots.
    said = [f for f in forms(proxy.password.reveal()) if len(f) >= SECRET_LEAST]
    shown = hidden(escaped(b" ".join(words[1:])), said)[:80]
    if status == 407:
        raise _proxy_refusal(proxy, f"wants another login ({shown})")
    raise _proxy_trouble(proxy, f"cannot reach {route.hub}: {shown}")


def _send(sock: socket, proxy: Proxy, data: bytes, deadline: float) -> Task:
    while data:
        try:
            data = data[sock.send(data) :]
        except (BlockingIOError, InterruptedError):
            ready = yield Wait({sock.fileno(): WRITE}, deadline)
            if not ready:
                raise _proxy_trouble(proxy, "does not answer") from None


def _some(
    sock: socket, proxy: Proxy, most: int, deadline: float
) -> Generator[Any, Any, bytes]:
    while True:
        try:
            data: bytes = sock.recv(most)
        except (BlockingIOError, InterruptedError):
            ready = yield Wait({sock.fileno(): READ}, deadline)
            if not ready:
                raise _proxy_trouble(proxy, "does not answer") from None
            continue
        if not data:
            raise _proxy_trouble(proxy, "closed the connection")
        return data


def _exactly(
    sock: socket, proxy: Proxy, size: int, deadline: float
) -> Generator[Any, Any, bytes]:
    data = b""
    while len(data) < size:
        data += yield from _some(sock, proxy, size - len(data), deadline)
    return data
