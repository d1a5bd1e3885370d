"""What the wire asks of a driver: to wait, and to look up a name.

Everything in this package that would block is a generator which yields one of these
instead. So connecting, TLS and the SMTP dialogue are written once; `blocking` and `aio`
are nothing but two ways of waiting.
"""

from __future__ import annotations

READ = 1
WRITE = 4  # the values of select.POLLIN and select.POLLOUT


class Wait:
    """Until one of the descriptors is ready, or `deadline` (monotonic) has passed.

    Answered with the set of descriptors that are ready; empty when it is too late.
    """

    __slots__ = ("deadline", "wanted")

    def __init__(self, wanted: dict[int, int], deadline: float) -> None:
        self.wanted = wanted
        self.deadline = deadline


class Lookup:
    """The addresses of a host (`getaddrinfo`), by `deadline`.

    Answered with its list, or with the `OSError` that it raised.
    """

    __slots__ = ("deadline", "family", "host", "port")

    def __init__(self, host: bytes, port: int, family: int, deadline: float) -> None:
        self.host = host
        self.port = port
        self.family = family
        self.deadline = deadline
