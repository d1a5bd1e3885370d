"""What follows DATA: the header section and the body, in the form this mailhub takes.

The body of a message is not ours to change, with two exceptions that SMTP forces:

* Lines over 998 octets (RFC 5321 section 4.5.3.1.6). A body that is known to be text,
  because its Content-Type says so or because there is no MIME field at all, becomes
  quoted-printable. Anything else is sent as it is.
* Octets over 127 for a mailhub without 8BITMIME (RFC 6152). Text becomes
  quoted-printable, and so do the parts of a multipart message, each on its own; what
  is signed is left alone, because a signature covers the very octets.

An 8-bit text without MIME fields is given some, so that it can be read.

All of it is streamed. Because SMTP wants the size before the content (RFC 1870), an
encoded body is worked out twice: once to count, once to send.
"""

from __future__ import annotations

import binascii

from ssmtp import header
from ssmtp.header import Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ssmtp.body import Body

_QP_LINE_MAX = 76
_IDENTITY = ("", "7bit", "8bit", "binary")


class Content:
    """A message ready to be sent, in CRLF form and not dot-stuffed.

    `header` ends with the empty line; `size` counts header and body; `eightbit` says
    whether the body holds octets over 127. `notes` say what had to be re-encoded.
    """

    __slots__ = ("_body", "eightbit", "header", "notes", "size")

    def __init__(
        self,
        head: bytes,
        body: Callable[[], Iterator[bytes]],
        body_size: int,
        eightbit: bool,
        notes: list[str],
    ) -> None:
        self.header = head
        self.notes = notes
        self._body = body
        self.size = len(head) + body_size
        self.eightbit = eightbit

    def blocks(self) -> Iterator[bytes]:
        """Yield header section and body; may be called again."""
        yield self.header
        yield from self._body()


def render(
    fields: list[Field], body: Body, *, smtputf8: bool, eightbitmime: bool
) -> Content:
    """Put fields and body together for a mailhub with or without these extensions.

    Raises `InputRefused` for an address field that only SMTPUTF8 could carry.
    """
    kind = media_type(value(fields, "content-type"))
    encoding = value(fields, "content-transfer-encoding").lower()
    textual = encoding in _IDENTITY and (kind == "" or kind.startswith("text/"))
    blocks: Callable[[], Iterator[bytes]] = body.blocks
    size = body.size
    eightbit = body.eightbit
    notes: list[str] = []
    stated = fields
    if textual and (body.long_lines or (eightbit and not eightbitmime)):
        fields = _described(fields, body, "quoted-printable")
        blocks = _Encoded(body)
        size = sum(map(len, blocks()))
        eightbit = False
        if body.long_lines:
            notes.append("quoted-printable: lines too long (RFC 5321 section 4.5.3.1)")
        else:
            notes.append("quoted-printable: no 8BITMIME (RFC 6152)")
    elif textual and eightbit:
        fields = _described(fields, body, "8bit")
        if fields != stated:
            notes.append("MIME fields say what the 8-bit text is (RFC 2045)")
    elif eightbit and not eightbitmime and encoding in _IDENTITY:
        from ssmtp.multipart import downgrade

        lower = downgrade(kind, value(fields, "content-type"), body)
        if lower is None:
            notes.append("8-bit content stays as it is, although 8BITMIME is missing")
        else:
            notes.append("8-bit parts re-encoded: no 8BITMIME (RFC 6152)")
            blocks = lower
            size = 0
            eightbit = False
            for block in blocks():
                size += len(block)
                eightbit = eightbit or not block.isascii()
            if encoding in ("8bit", "binary") and not eightbit:
                fields = with_field(fields, "Content-Transfer-Encoding", "7bit")
    if not smtputf8:
        foreign = [f.name for f in fields if not f.body.isascii()]
        if foreign:
            notes.append(f"{', '.join(foreign)} in ASCII: no SMTPUTF8 (RFC 2047)")
        fields = [f if f.plain else _in_ascii(f) for f in fields]
    return Content(header.write(fields), blocks, size, eightbit, notes)


def _in_ascii(f: Field) -> Field:
    from ssmtp import fieldform  # most messages do without

    return fieldform.fit(fieldform.to_ascii(f))


class _Encoded:
    """The body as quoted-printable, as often as it is wanted."""

    __slots__ = ("_body",)

    def __init__(self, body: Body) -> None:
        self._body = body

    def __call__(self) -> Iterator[bytes]:
        return quoted_printable(self._body.blocks())


def quoted_printable(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Encode text in CRLF form as quoted-printable (RFC 2045 section 6.7).

    The codec sees whole lines. A line that is longer than a block is cut, and a soft
    line break stands where it was cut.
    """
    held = b""
    for block in blocks:
        block = held + block
        cut = block.rfind(b"\n") + 1
        if not cut and len(block) > 65536:
            # A CR at the end may be half of a pair.
            cut = len(block) - 1
            yield quoted(block[:cut]) + b"=\r\n"
        elif cut:
            yield quoted(block[:cut])
        held = block[cut:]
    if held:
        yield quoted(held)


def quoted(text: bytes) -> bytes:
    """Encode whole lines in CRLF form as quoted-printable."""
    # The codec breaks lines with the newline that it sees first, so it is shown one
    # kind only.
    lines = binascii.b2a_qp(text.replace(b"\r\n", b"\n"), istext=True)
    # A line that begins with "From " gets a ">" in many mailboxes.
    lines = lines.replace(b"\nFrom ", b"\n=46rom ")
    if lines.startswith(b"From "):
        lines = b"=46" + lines[1:]
    # With an encoded blank at its end a line of the codec may have 78 octets.
    if max(map(len, lines.split(b"\n"))) > _QP_LINE_MAX:
        lines = b"\n".join(map(_broken, lines.split(b"\n")))
    return lines.replace(b"\n", b"\r\n")


def _broken(line: bytes) -> bytes:
    """Put one more soft line break into a line that is too long."""
    if len(line) <= _QP_LINE_MAX:
        return line
    cut = _QP_LINE_MAX - 1
    coded = line.rfind(b"=", 0, cut)
    if 0 <= coded and cut < coded + 3:  # within an encoded octet
        cut = coded
    return line[:cut] + b"=\n" + line[cut:]


def _described(fields: list[Field], body: Body, encoding: str) -> list[Field]:
    """Give a text the MIME fields that it lacks (RFC 2045)."""
    if not value(fields, "mime-version"):
        fields = with_field(fields, "MIME-Version", "1.0")
    if not value(fields, "content-type"):
        charset = "us-ascii"
        if body.eightbit:
            # RFC 1428 has a name for a charset that nobody stated.
            charset = "utf-8" if body.utf8 else "unknown-8bit"
        fields = with_field(fields, "Content-Type", f"text/plain; charset={charset}")
    stated = value(fields, "content-transfer-encoding").lower()
    if encoding != "8bit" or stated not in ("8bit", "binary"):
        fields = with_field(fields, "Content-Transfer-Encoding", encoding)
    # A length that somebody counted before is wrong now.
    return [f for f in fields if f.key not in ("content-length", "lines")]


def with_field(fields: list[Field], name: str, text: str) -> list[Field]:
    """Set a field: in its place where there is one, else at the end."""
    new = Field(name, f" {text}")
    out: list[Field] = []
    for f in fields:
        if f.key != new.key:
            out.append(f)
        elif new not in out:
            out.append(new)
    return out if new in out else [*out, new]


def value(fields: list[Field], key: str) -> str:
    """Return the value of the first field of that name without comments, or ""."""
    for f in fields:
        if f.key == key:
            return _without_comments(f.value)
    return ""


def media_type(text: str) -> str:
    """Return type and subtype of a Content-Type field in lower case."""
    return "".join(text.partition(";")[0].split()).lower()


def _without_comments(value: str) -> str:
    if "(" not in value:
        return value.strip()
    depth = 0
    out = []
    for c in value:
        if c == "(":
            depth += 1
        elif c == ")" and depth:
            depth -= 1
        elif not depth:
            out.append(c)
    return "".join(out).strip()
