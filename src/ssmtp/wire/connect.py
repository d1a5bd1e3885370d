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
import posix
import time

from ssmtp.errors import NetworkTrouble, SystemTrouble, UnknownHost
from ssmtp.smtp.reply import escaped
from ssmtp.wire.wait import WRITE, Lookup, Wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable, Generator
    from typing import Any

    from ssmtp.config import Mailhub, Proxy
    from ssmtp.trace import Trace

    Task = Generator[Any, Any, Any]

STAGGER = 0.25  # seconds between two attempts (RFC 8305 §5)


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
            from ssmtp.wire import proxy

            early = yield from proxy.through(sock, route, route.proxy, deadline)
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
    waiting = found[:]
    going: dict[int, tuple[socket, Address, float]] = {}
    errors: list[str] = []
    turn = 0.0
    try:
        while waiting or going:
            now = time.monotonic()
            if waiting and (not going or now >= turn):
                address = waiting.pop(0)
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
                    problem = posix.strerror(code)
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
    problem = ""
    try:
        if address.family != getattr(_socket, "AF_UNIX", None):
            sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            if source is not None:
                problem = f"SourceAddress={source}: "
                sock.bind((source, 0))
                problem = ""
        code = sock.connect_ex(address.sockaddr)
    except OSError as error:
        return sock, problem + _words(error)
    if code in (0, errno.EINPROGRESS, errno.EINTR):
        return sock, ""
    return sock, posix.strerror(code)


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
