"""Multipart bodies for a mailhub without 8BITMIME: each part is made 7-bit by itself.

RFC 6152 section 3 leaves a client two ways when the mailhub does not take 8-bit
content: not to send it, or to convert it. A conversion changes the header of every
part that it touches (RFC 2045 section 6), so the structure has to be followed line by
line: which boundary begins a part, which ends one, and whether the part has an
encoding of its own already.

What cannot be followed is not touched: signed and encrypted parts, whose octets are
covered by a signature (RFC 1847 section 2.1), and structures without a boundary.
This is the one place that looks at every line of a body; it is taken for 8-bit
multipart messages and old mailhubs only.
"""

from __future__ import annotations

from ssmtp import addresslist, content, fieldform, header
from ssmtp.errors import InputRefused
from ssmtp.header import Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ssmtp.body import Body

_IDENTITY = ("", "7bit", "8bit", "binary")
# A header section within a body that is longer than this is none.
_SECTION_MAX = 65536
_DEPTH_MAX = 20
_CHUNK = 32768
_CTE = "Content-Transfer-Encoding"

_DIGEST = "multipart/digest"

_HEADER = 0
_TEXT = 1
_PASSED = 2
_OUTSIDE = 3


def downgrade(
    kind: str, content_type: str, body: Body
) -> Callable[[], Iterator[bytes]] | None:
    """Return a source of the body with 8-bit parts encoded; None: there is no way.

    `kind` is the media type in lower case, `content_type` the whole field.
    """
    boundary = parameter(content_type, "boundary")
    if kind == "message/rfc822":
        return lambda: _Parts(None, "").run(body.blocks())
    if not kind.startswith("multipart/") or not boundary or _sealed(kind):
        return None
    return lambda: _Parts(boundary, kind).run(body.blocks())


def _sealed(kind: str) -> bool:
    return kind in ("multipart/signed", "multipart/encrypted")


def parameter(value: str, name: str) -> str:
    """Return a parameter of a Content-Type field without quotes, or ""."""
    for part in fieldform.parameters(value)[1:]:
        key, sign, text = part.partition("=")
        if sign and key.strip().lower() == name:
            text = text.strip()
            if text.startswith('"'):
                return addresslist.unquote(text)
            return text.partition(" ")[0]
    return ""


class _Parts:
    """Follows the parts of a body, and encodes those that need it.

    Between two boundaries it is in one of four states: in a part's header, in a text
    that may need encoding, in a part that is passed on, or outside of any part.
    """

    __slots__ = (
        "at_start",
        "boundaries",
        "first",
        "held",
        "place",
        "section",
        "size",
        "text",
    )

    def __init__(self, boundary: str | None, kind: str) -> None:
        # The innermost boundary is the last; with each, whether its parts are
        # messages when they do not say what they are (multipart/digest).
        self.boundaries: list[tuple[bytes, bool]] = []
        self.place = _HEADER
        if boundary is not None:
            self.boundaries.append((_delimiter(boundary), kind == _DIGEST))
            self.place = _OUTSIDE
        self.section: list[bytes] = []  # lines of a part's header
        self.held: list[bytes] = []  # the header as it was, while the text is ASCII
        self.text: list[bytes] = []  # lines of a text
        self.size = 0
        self.at_start = True  # of a line
        self.first = False  # a boundary stands right before this header

    def run(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the body anew."""
        out: list[bytes] = []
        size = 0
        for line in _lines(blocks):
            for piece in self._line(line):
                out.append(piece)
                size += len(piece)
            self.at_start = line.endswith(b"\n")
            if size > _CHUNK:
                yield b"".join(out)
                out, size = [], 0
        out += self._end_part()
        if out:
            yield b"".join(out)

    def _line(self, line: bytes) -> list[bytes]:
        if self.at_start and line.startswith(b"--"):
            depth = self._depth(line)
            if depth:
                return self._at_boundary(line, depth)
        if self.place == _TEXT:
            self.text.append(line)
            self.size += len(line)
            # The codec takes whole lines; a part may be as long as it likes.
            return self._encode() if self.size > _CHUNK else []
        if self.place == _HEADER:
            self.section.append(line)
            self.size += len(line)
            if line == b"\r\n" or self.size > _SECTION_MAX:
                return self._end_header()
            return []
        if self.place == _OUTSIDE and not line.isascii():
            # Nobody is shown what stands before the first part or after the last.
            line = line.decode("ascii", "replace").replace("\ufffd", "?").encode()
        return [line]

    def _depth(self, line: bytes) -> int:
        """Return how deep the boundary lies that this line is, 0 if it is none."""
        for depth in range(len(self.boundaries), 0, -1):
            boundary = self.boundaries[depth - 1][0]
            if line.startswith(boundary):
                rest = line[len(boundary) :].rstrip(b" \t\r\n")
                if rest in (b"", b"--"):
                    return depth
        return 0

    def _at_boundary(self, line: bytes, depth: int) -> list[bytes]:
        out = self._end_part()
        boundary = self.boundaries[depth - 1][0]
        last = line[len(boundary) :].startswith(b"--")
        del self.boundaries[depth - last :]
        self.place = _OUTSIDE if last else _HEADER
        self.first = True
        self.section, self.size = [], 0
        return [*out, line]

    def _end_part(self) -> list[bytes]:
        if self.place == _HEADER:
            return self._end_header() + self._end_text()
        return self._end_text()

    def _end_header(self) -> list[bytes]:
        """Decide, once the header of a part is there, what becomes of its lines."""
        lines, self.section, self.size = self.section, [], 0
        digest = self.first and bool(self.boundaries) and self.boundaries[-1][1]
        self.first = False
        self.place = _PASSED
        whole = b"".join(lines)
        if not whole.endswith(b"\r\n\r\n") and whole != b"\r\n":
            return lines
        section = whole[:-2].replace(b"\r\n", b"\n")
        if not all(
            line[:1] in (b" ", b"\t") or header.is_field(line)
            for line in section.split(b"\n")[:-1]
        ):
            return lines
        fields = header.parse(section)
        encoding = content.value(fields, _CTE.lower()).lower()
        kind = content.value(fields, "content-type")
        parts = parameter(kind, "boundary")
        kind = content.media_type(kind)
        if digest and not kind:
            kind = "message/rfc822"
        if encoding not in _IDENTITY or _sealed(kind):
            return _plain(lines)
        if kind == "message/rfc822":
            self.place = _HEADER
        elif kind.startswith("multipart/"):
            if not parts or len(self.boundaries) > _DEPTH_MAX:
                return _plain(lines)
            self.boundaries.append((_delimiter(parts), kind == _DIGEST))
            self.place = _OUTSIDE
        elif kind.startswith("message/") and not kind.startswith("message/global"):
            return _plain(lines)
        else:
            self.place = _TEXT
            self.held = lines
            return []
        if encoding in ("8bit", "binary"):
            fields = content.with_field(fields, _CTE, "7bit")
        return [_write(fields)]

    def _end_text(self) -> list[bytes]:
        """A part ends: what was ASCII all along keeps its encoding."""
        if self.held and all(map(bytes.isascii, self.text)):
            lines = _plain(self.held) + self.text
            self.held, self.text = [], []
            return lines
        return self._encode()

    def _encode(self) -> list[bytes]:
        out = []
        if self.held:
            fields = _fields(self.held)
            self.held = []
            fields = content.with_field(fields, _CTE, "quoted-printable")
            out.append(_write(fields))
        if self.text:
            text = b"".join(self.text)
            out.append(content.quoted(text))
            if not text.endswith(b"\n"):
                out.append(b"=\r\n")
        self.text, self.size = [], 0
        return out


def _delimiter(boundary: str) -> bytes:
    return b"--" + boundary.encode("utf-8", "surrogateescape")


def _plain(lines: list[bytes]) -> list[bytes]:
    """Return a header as it is if it is ASCII, else anew."""
    return lines if all(map(bytes.isascii, lines)) else [_write(_fields(lines))]


def _fields(lines: list[bytes]) -> list[Field]:
    return header.parse(b"".join(lines)[:-2].replace(b"\r\n", b"\n"))


def _write(fields: list[Field]) -> bytes:
    return header.write([_in_ascii(fieldform.sound(f)) for f in fields])


def _in_ascii(f: Field) -> Field:
    try:
        return fieldform.to_ascii(f)
    except InputRefused:
        # An address that has no ASCII form; the message within is not ours to refuse.
        return f.replaced("".join(c if c.isascii() else "?" for c in f.body))


def _lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield lines with their CRLF; one longer than 64 KiB comes in pieces."""
    held = b""
    for block in blocks:
        lines = (held + block).splitlines(keepends=True)
        held = b""
        if lines and not lines[-1].endswith(b"\n"):
            held = lines.pop()
            if len(held) > _SECTION_MAX:
                # A CR at the end may be half of a pair.
                lines.append(held[:-1])
                held = held[-1:]
        yield from lines
    if held:
        yield held
