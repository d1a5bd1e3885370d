"""A line with a delay: a network device whose packets come back later.

    line.py NUMBER SECONDS

Makes a TUN device with the addresses 10.99.NUMBER.1 and 10.99.NUMBER.2. Who connects
to the second reaches a server that listens on the first: each packet is held for half
of a round trip, gets its addresses exchanged (which leaves the checksums right), and
goes back into the kernel. So the kernel's own TCP is on the way, with its handshake,
its acknowledgements and whatever Nagle's algorithm makes of them; nothing is answered
by the line. It lies in the network namespace of the benchmark and ends with it.

For every connection that has ended, a line of JSON tells how many flights its client
needed, counted where packets reach the server.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import json
import os
import select
import socket
import struct
import sys
import time

from bench.flights import Flights

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFDSTADDR = 0x8914, 0x8916, 0x8918
IFF_UP = 0x1
TCP = 6
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10


def address(number: int, end: int) -> str:
    """Return one end of a line: 1 is the server's, 2 is where clients connect to."""
    return f"10.99.{number}.{end}"


def _device(number: int) -> int:
    """Make the device and return its descriptor."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    name = f"line{number}".encode()
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name, IFF_TUN | IFF_NO_PI))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        for request, end in ((SIOCSIFADDR, 1), (SIOCSIFDSTADDR, 2)):
            octets = socket.inet_aton(address(number, end))
            fcntl.ioctl(asker, request, struct.pack("16sHH4s16x", name, 2, 0, octets))
        fcntl.ioctl(asker, SIOCSIFFLAGS, struct.pack("16sH22x", name, IFF_UP))
    return fd


def up() -> None:
    """Switch on the loopback device of a new network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        fcntl.ioctl(asker, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", IFF_UP))


class Connection:
    """One TCP connection: its client's flights, and what is expected from it next."""

    def __init__(self, sequence: int) -> None:
        self.flights = Flights()
        self.next = sequence


class Connections:
    """The connections on the line, as their packets reach the other end."""

    def __init__(self) -> None:
        self._open: dict[int, Connection] = {}  # by the port of the client

    def arrived(self, packet: bytes) -> None:
        """Take note of a packet that goes back into the kernel."""
        if packet[0] >> 4 != 4 or packet[9] != TCP:
            return
        head = (packet[0] & 15) * 4
        source, target, sequence = struct.unpack_from(">HHI", packet, head)
        flags = packet[head + 13]
        data = packet[head + (packet[head + 12] >> 4) * 4 :]
        if flags & SYN:
            if not flags & ACK:
                self._open[source] = Connection(sequence + 1)
        elif source in self._open:
            connection = self._open[source]
            old = (connection.next - sequence) % 2**32
            if old < len(data):  # not only what was sent before
                connection.flights.client(data[old:])
                connection.next = (sequence + len(data)) % 2**32
            if flags & (FIN | RST):
                self._ended(source)
        elif target in self._open:
            if data:
                self._open[target].flights.server()
            if flags & RST:
                self._ended(target)

    def _ended(self, port: int) -> None:
        flights = self._open.pop(port).flights
        flights.done()
        print(json.dumps({"smtp": flights.smtp, "tls": flights.tls}), flush=True)


def main() -> None:
    """Hold packets and give them back until standard input ends."""
    number, seconds = int(sys.argv[1]), float(sys.argv[2])
    fd = _device(number)
    connections = Connections()
    held: list[tuple[float, int, bytes]] = []
    turns = itertools.count()
    print("ready", flush=True)
    while True:
        left = held[0][0] - time.monotonic() if held else None
        ready, _, _ = select.select([fd, 0], [], [], left and max(0.0, left))
        if 0 in ready:
            return
        now = time.monotonic()
        if fd in ready:
            while True:
                try:
                    packet = os.read(fd, 65536)
                except BlockingIOError:
                    break
                back = packet[:12] + packet[16:20] + packet[12:16] + packet[20:]
                heapq.heappush(held, (now + seconds / 2, next(turns), back))
        while held and held[0][0] <= now:
            packet = heapq.heappop(held)[2]
            connections.arrived(packet)
            os.write(fd, packet)


if __name__ == "__main__":
    main()
