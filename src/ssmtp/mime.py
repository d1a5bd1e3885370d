"""The parts of a composed message (RFC 2045, RFC 2046), written block by block.

An attachment is read and encoded while the message is written, so that one of 100 MB
takes no more memory than one of 100 KB. Everything is written in 7 bits: a mailhub
has nothing to re-encode in it, and nothing on its further way can damage it.
"""

from __future__ import annotations

import binascii
import os
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from ssmtp import content, fieldform, header
from ssmtp.body import BLOCK, Body
from ssmtp.header import Field

LINE_OCTETS = 57  # they become 76 characters, RFC 2045 section 6.8
STRIDE = LINE_OCTETS * 1024


class Part:
    """Fields that say what it is, and its content as often as it is wanted."""

    def __init__(
        self, fields: list[Field], blocks: Callable[[], Iterator[bytes]]
    ) -> None:
        self.fields = fields
        self.blocks = blocks

    def write(self) -> Iterator[bytes]:
        """Yield fields, an empty line, and the content."""
        yield header.write(self.fields)
        yield from self.blocks()


def field(name: str, text: str) -> Field:
    """Make a field in ASCII: encoded words, or RFC 2231 in the fields of MIME."""
    made = Field(name, f" {text}")
    return fieldform.fit(fieldform.to_ascii(fieldform.sound(made)))


def octets(text: str | bytes) -> bytes:
    """Return a text as UTF-8; octets that were no UTF-8 are themselves again."""
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # Halves of characters, as JSON and Windows file names have them.
        pairs = text.encode("utf-16-le", "surrogatepass")
        return pairs.decode("utf-16-le", "replace").encode()


def whole(text: str) -> str:
    """Return a text for a header field: without halves of characters."""
    return octets(text).decode("utf-8", "surrogateescape")


def text(body: Body, subtype: str, charset: str) -> Part:
    """Make a text part; `charset` is for octets that are no UTF-8.

    It is sent as it is if every mailer can take it, else in one of the two
    encodings.
    """
    if not body.eightbit:
        charset = "us-ascii"
    elif body.utf8:
        charset = "utf-8"
    encoding, blocks = _encoded(body)
    return Part(
        [
            field("Content-Type", f"text/{subtype}; charset={charset}"),
            field("Content-Transfer-Encoding", encoding),
        ],
        blocks,
    )


def _encoded(body: Body) -> tuple[str, Callable[[], Iterator[bytes]]]:
    if not body.eightbit and not body.long_lines:
        return "7bit", body.blocks
    quoted = sum(map(len, content.quoted_printable(body.blocks())))
    if quoted > 2 * body.size:  # hardly a letter of it could be read
        return "base64", lambda: base64(body.blocks())
    return "quoted-printable", lambda: content.quoted_printable(body.blocks())


def base64(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Encode octets as lines of 76 characters (RFC 2045 section 6.8)."""
    held = b""
    for block in blocks:
        held += block
        if len(held) >= STRIDE:
            cut = len(held) - len(held) % LINE_OCTETS
            yield _lines(held[:cut])
            held = held[cut:]
    if held:
        yield _lines(held)


def _lines(octets: bytes) -> bytes:
    coded = binascii.b2a_base64(octets, newline=False)
    lines = [coded[at : at + 76] for at in range(0, len(coded), 76)]
    return b"\r\n".join(lines) + b"\r\n"


def file(
    name: str, kind: str, stream: IO[bytes], charset: str = "", cid: str = ""
) -> Part:
    """Make a part of a file: an attachment, or with a `cid` an image of a page.

    The stream is read once, when the part is written.
    """
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    where = "inline" if cid else "attachment"
    fields = [
        field("Content-Type", f"{kind}; charset={charset}" if charset else kind),
        field("Content-Disposition", f'{where}; filename="{quoted}"'),
        field("Content-Transfer-Encoding", "base64"),
    ]
    if cid:
        fields.append(field("Content-ID", f"<{cid}>"))
    return Part(fields, lambda: base64(iter(lambda: stream.read(BLOCK), b"")))


def multipart(subtype: str, parts: list[Part]) -> Part:
    """Put parts together (RFC 2046 section 5.1); one alone stays what it is."""
    if len(parts) == 1:
        return parts[0]
    # Neither encoding ever writes "=_", and no text is likely to guess the rest.
    boundary = f"=_{os.urandom(12).hex()}"
    kind = f'multipart/{subtype}; boundary="{boundary}"'
    if subtype == "related":
        # RFC 2387 section 3.1: the type of the root.
        root = content.media_type(content.value(parts[0].fields, "content-type"))
        kind += f'; type="{root}"'

    def blocks() -> Iterator[bytes]:
        line = f"--{boundary}\r\n".encode()
        for part in parts:
            yield line
            yield from part.write()
            # It belongs to the boundary: the last line end of the part stays its own.
            yield b"\r\n"
        yield f"--{boundary}--\r\n".encode()

    return Part([field("Content-Type", kind)], blocks)
