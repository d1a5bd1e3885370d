"""Write the file of a new message, whose size nobody knows before its end."""

from __future__ import annotations

import binascii
import os

from ssmtp.spool import durable, queuefile
from ssmtp.spool.keptfile import OCTETS_WIDTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ssmtp.spool.queuefile import Draft

# What fits in here is written in one go.
_GATHER = 1 << 18


class BrokenOff(Exception):
    """The source of the content has failed, not the disk; `error` says how."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error


def fill(fd: int, draft: Draft, name: str, blocks: Iterable[bytes]) -> int:
    """Write head, content and trailer; return the size.

    Raises OSError for what the disk does, BrokenOff for an OSError of the blocks.
    """
    source = _read(blocks)
    first, octets, crc = _gather(source)
    if octets <= _GATHER:
        head = queuefile.render_head(draft, name, octets)
        trailer = queuefile.render_trailer(octets, binascii.crc32(head), crc)
        durable.write(fd, b"".join((head, first, trailer)))
        return len(head) + octets + len(trailer)
    durable.write(fd, queuefile.render_head(draft, name) + first)
    for block in source:
        octets += len(block)
        crc = binascii.crc32(block, crc)
        durable.write(fd, block)
    head = queuefile.render_head(draft, name, octets)
    trailer = queuefile.render_trailer(octets, binascii.crc32(head), crc)
    durable.write(fd, trailer)
    place = queuefile.octets_place(head)
    _overwrite(fd, head[place : place + OCTETS_WIDTH], place)
    return len(head) + octets + len(trailer)


def _read(blocks: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from blocks
    except OSError as error:
        raise BrokenOff(error) from None


def _gather(source: Iterator[bytes]) -> tuple[bytes, int, int]:
    """Return the first blocks, up to a limit or the end, their octets and CRC-32."""
    held: list[bytes] = []
    octets = 0
    for block in source:
        held.append(block)
        octets += len(block)
        if octets > _GATHER:
            break
    text = b"".join(held)
    return text, octets, binascii.crc32(text)


def _overwrite(fd: int, data: bytes, place: int) -> None:
    while data:
        written = os.pwrite(fd, data, place)
        data, place = data[written:], place + written
