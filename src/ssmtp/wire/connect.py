"""From a mailhub's name to a connected socket: addresses, deadlines, proxies.

All addresses of a name are tried, IPv6 and IPv4 in turn, each a quarter of a second
after the one before and with a deadline of its own; the first that answers wins (RFC
8305, without its cache). A proxy is reached in the same way, and told the name of the
mailhub, so that it is the one who looks it up.

What the functions raise: `UnknownHost` only when the name certainly does not exist;
what a name server, a network or a proxy cannot do now is `NetworkTrouble`.
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque

from ssmtp.errors import (
    AuthRefused,
    ConfigError,
    NetworkTrouble,
    SystemTrouble,
    UnknownHost,
)
from ssmtp.smtp.reply import escaped
from ssmtp.wire.wait import READ, WRITE, Lookup, Wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable, Generator
    from typing import Any

    from ssmtp.config import Mailhub, Proxy
    from ssmtp.trace import Trace

    Task = Generator[Any, Any, Any]

STAGGER = 0.25  # seconds between two attempts (RFC 8305 §5)
ANSWER_MOST = 16384  # octets of a proxy's answer


class Address:
    """One address to connect to: family, socket address, and how to show it."""

    __slots__ = ("family", "shown", "sockaddr")

    def __init__(self, family: int, sockaddr: Any, shown: str) -> None:
        self.family = family
        self.sockaddr = sockaddr
        self.shown = shown


class Link:
    """A connected socket. `private` says that its peer is this very machine.

    `deadline` is that of the attempt, TLS included where it comes first. `name` is what
    to call ourselves in EHLO for want of a name: an address literal.
    """

    __slots__ = ("address", "deadline", "early", "name", "private", "sock")

    def __init__(
        self,
        sock: socket,
        address: Address,
        private: bool,
        deadline: float,
        early: bytes = b"",
    ) -> None:
        self.sock = sock
        self.deadline = deadline
        self.address = address
        self.private = private
        self.early = early
        self.name = _literal(sock)


class Route:
    """How to get to one mailhub: family 0, 4 or 6; `seconds` hold for each address."""

    __slots__ = ("family", "host", "hub", "proxy", "seconds", "source")

    def __init__(
        self,
        hub: Mailhub,
        host: str,
        family: int = 0,
        seconds: float = 30.0,
        source: str | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        self.hub = hub
        self.host = host
        self.family = family
        self.seconds = seconds
        self.source = source
        self.proxy = proxy


def addresses(route: Route) -> Generator[Any, Any, list[Address]]:
    """Find the addresses to connect to, in the order in which to try them."""
    if route.hub.path is not None:
        from _socket import AF_UNIX

        return [Address(AF_UNIX, route.hub.path, str(route.hub))]
    if route.proxy is not None:
        name, port = route.proxy.host, route.proxy.port
        found = yield from _lookup(name, port, route)
        if isinstance(found, OSError):
            raise NetworkTrouble(
                f"the proxy {route.proxy} cannot be found: {_words(found)}",
                "check Proxy, or try again later",
            )
    else:
        found = yield from _lookup(route.host, route.hub.port, route)
        if isinstance(found, OSError):
            raise _not_found(route, found)
    if route.source is not None:
        found = [a for a in found if (a.family == _inet(6)) == (":" in route.source)]
        if not found:
            raise NetworkTrouble(
                f"{route.hub} has no address of the kind of SourceAddress="
                f"{route.source}",
                "change SourceAddress, or leave it out",
            )
    return _interleaved(found)


def _lookup(
    host: str, port: int, route: Route
) -> Generator[Any, Any, list[Address] | OSError]:
    family = _inet(route.family) if route.family else 0
    deadline = time.monotonic() + route.seconds
    request = Lookup(host.encode("ascii", "replace"), port, family, deadline)
    answer: list[Any] | OSError
    if ":" in host or not host.strip("0123456789."):
        from ssmtp.wire.blocking import getaddrinfo  # a number is looked up nowhere

        answer = getaddrinfo(request)
    else:
        answer = yield request
    if isinstance(answer, OSError):
        return answer
    found: list[Address] = []
    for kind, _, _, _, sockaddr in answer:
        shown = sockaddr[0]
        shown = f"[{shown}]" if ":" in shown else shown
        address = Address(kind, sockaddr, f"{shown}:{port}")
        if all(a.sockaddr != sockaddr for a in found):
            found.append(address)
    return found


def _not_found(route: Route, error: OSError) -> UnknownHost | NetworkTrouble:
    import _socket

    host = escaped(route.host)
    gone = [_socket.EAI_NONAME]
    for name in ("EAI_NODATA", "EAI_ADDRFAMILY"):
        gone.append(getattr(_socket, name, _socket.EAI_NONAME))
    if isinstance(error, _socket.gaierror) and error.errno in gone:
        kind = {4: " as an IPv4 host", 6: " as an IPv6 host"}.get(route.family, "")
        return UnknownHost(
            f"the mailhub's name {host} does not exist{kind}",
            "check Mailhub in the configuration",
        )
    return NetworkTrouble(
        f"the mailhub's name {host} cannot be looked up: {_words(error)}",
        "check the network and its name server, or try again later",
    )


def _interleaved(found: list[Address]) -> list[Address]:
    """Order addresses so that the families alternate (RFC 8305 §4)."""
    first = [a for a in found if a.family == found[0].family]
    other = [a for a in found if a.family != found[0].family]
    ordered = []
    while first or other:
        ordered += first[:1] + other[:1]
        first, other = first[1:], other[1:]
    return ordered


def connect(
    route: Route,
    found: list[Address],
    meanwhile: Callable[[], None] | None = None,
    trace: Trace | None = None,
) -> Generator[Any, Any, Link]:
    """Connect to the first address that answers, through the proxy if there is one.

    `meanwhile` is called once the first attempt is on its way. Raises
    `NetworkTrouble` when none answers, `AuthRefused` when the proxy refuses us.
    """
    sock, address, deadline = yield from _race(route, found, meanwhile, trace)
    early = b""
    try:
        if route.proxy is not None:
            early = yield from _through(sock, route, route.proxy, deadline)
        return Link(sock, address, _is_private(route, sock), deadline, early)
    except BaseException:
        sock.close()
        raise


def _race(
    route: Route,
    found: list[Address],
    meanwhile: Callable[[], None] | None,
    trace: Trace | None,
) -> Generator[Any, Any, tuple[socket, Address, float]]:
    waiting = deque(found)
    going: dict[int, tuple[socket, Address, float]] = {}
    errors: list[str] = []
    turn = 0.0
    try:
        while waiting or going:
            now = time.monotonic()
            if waiting and (not going or now >= turn):
                address = waiting.popleft()
                if trace is not None:
                    trace.note(f"connecting to {address.shown}")
                sock, problem = _begin(address, route.source)
                if problem:
                    sock.close()
                    errors.append(f"{address.shown}: {problem}")
                    continue
                going[sock.fileno()] = (sock, address, now + route.seconds)
                turn = now + STAGGER
                if meanwhile is not None:
                    meanwhile()
                    meanwhile = None
            until = min(deadline for _, _, deadline in going.values())
            if waiting:
                until = min(until, turn)
            ready = yield Wait(dict.fromkeys(going, WRITE), until)
            now = time.monotonic()
            for fd in list(going):
                sock, address, deadline = going[fd]
                if fd in ready:
                    code = _outcome(sock)
                    if not code:
                        del going[fd]
                        return sock, address, deadline
                    problem = os.strerror(code)
                elif now >= deadline:
                    problem = f"no answer within {route.seconds:g} s"
                else:
                    continue
                del going[fd]
                sock.close()
                errors.append(f"{address.shown}: {problem}")
                turn = now
    finally:
        for sock, _, _ in going.values():
            sock.close()
    where = f"the proxy {route.proxy}" if route.proxy is not None else str(route.hub)
    raise NetworkTrouble(
        f"cannot connect to {where} ({', '.join(errors)})",
        "check that it runs and that no firewall stands between, or try again later",
    )


def _begin(address: Address, source: str | None) -> tuple[socket, str]:
    """Start to connect; return the socket, and what went wrong already."""
    import _socket

    try:
        sock = _socket.socket(address.family, _socket.SOCK_STREAM)
    except OSError as error:
        if error.errno in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
            # An address of a family that this kernel does not have.
            return _socket.socket(), _words(error)
        raise SystemTrouble(
            f"no socket could be made: {_words(error)}", "try again later"
        ) from error
    sock.setblocking(False)
    try:
        if address.family != getattr(_socket, "AF_UNIX", None):
            sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            if source is not None:
                sock.bind((source, 0))
        code = sock.connect_ex(address.sockaddr)
    except OSError as error:
        return sock, _words(error)
    if code in (0, errno.EINPROGRESS, errno.EINTR):
        return sock, ""
    return sock, os.strerror(code)


def _outcome(sock: socket) -> int:
    import _socket

    code: int = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
    return code


def _is_private(route: Route, sock: socket) -> bool:
    """Whether the mailhub is this machine, in numbers: a password may go in clear.

    A name is not enough, even when it is localhost: whoever answers for names decides
    where it leads. So the configuration has to give the loopback address itself, and
    the peer has to have it.
    """
    if route.hub.path is not None:
        return True
    if route.proxy is not None or not _is_loopback(route.host):
        return False
    try:
        return _is_loopback(sock.getpeername()[0])
    except OSError:
        return False


def _literal(sock: socket) -> str:
    """Return our own address as a literal (RFC 5321 §4.1.3)."""
    try:
        name = sock.getsockname()
    except OSError:
        return "localhost"
    if not isinstance(name, tuple):
        return "localhost"
    host = name[0].partition("%")[0]
    return f"[IPv6:{host}]" if ":" in host else f"[{host}]"


def _is_loopback(host: str) -> bool:
    if ":" in host:
        import _socket

        try:
            octets = _socket.inet_pton(_socket.AF_INET6, host)
        except OSError:
            return False
        return octets == bytes(15) + b"\1" or octets[:13] == bytes(10) + b"\xff\xff\x7f"
    parts = host.split(".")
    return (
        len(parts) == 4
        and parts[0] == "127"
        and all(p.isascii() and p.isdigit() and int(p) < 256 for p in parts)
    )


def _inet(family: int) -> int:
    import _socket

    return int(_socket.AF_INET6 if family == 6 else _socket.AF_INET)


def _words(error: OSError) -> str:
    return escaped(error.strerror or str(error))


# -- proxies


def _through(
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
        words = f"broke the connection off ({_words(error)})"
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
    shown = escaped(b" ".join(words[1:])[:80])
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
