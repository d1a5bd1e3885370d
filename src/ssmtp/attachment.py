"""Files to attach: what a program or a person names, opened, with a name and a type."""

from __future__ import annotations

import codecs
import io
import mimetypes
import os

from ssmtp import mime
from ssmtp.body import BLOCK
from ssmtp.errors import InputRefused, InputUnreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, TypeAlias

    Path: TypeAlias = str | os.PathLike[str]
    Source: TypeAlias = bytes | str | os.PathLike[str] | IO[bytes]
    Attachable: TypeAlias = (
        Path
        | bytes
        | tuple[str, Source]
        | tuple[str, Source, str | None]
        | "Attachment"
    )

UNTYPED = "application/octet-stream"


class Attachment:
    """An open file, its name for the reader, and its media type."""

    def __init__(
        self,
        name: str,
        stream: IO[bytes],
        kind: str | None = None,
        path: str | None = None,
    ) -> None:
        self.name = "".join(c if c.isprintable() or _is_octet(c) else "_" for c in name)
        self.stream = stream
        self.kind = kind or guessed(name)
        self.path = path
        if "/" not in self.kind or not (
            self.kind.isascii() and self.kind.isprintable()
        ):
            raise InputRefused(f"{self.kind!a} is no media type", "as in image/png")

    def close(self) -> None:
        """Close what was opened here, and nothing that was handed in open."""
        if self.path is not None:
            self.stream.close()

    def part(self, cid: str = "") -> mime.Part:
        """Make it a part of a message: once, because it is read then."""
        kind, charset = self.kind, ""
        main = kind.partition("/")[0].strip().lower()
        if main in ("message", "multipart"):
            # RFC 2046 section 5.2.1: those could not be encoded.
            kind = UNTYPED
        elif main == "text" and "charset" not in kind.lower():
            charset = self._charset()
        return mime.file(self.name, kind, self.stream, charset, cid)

    def _charset(self) -> str:
        """Look at the beginning of a text; the name of its charset, or nothing."""
        try:
            begin = self.stream.read(BLOCK)
            self.stream.seek(-len(begin), io.SEEK_CUR)
        except (OSError, ValueError):
            return ""
        try:
            # At the end of the block a character may be cut.
            codecs.getincrementaldecoder("utf-8")().decode(begin, len(begin) < BLOCK)
        except UnicodeDecodeError:
            return ""
        return "utf-8"


def _is_octet(char: str) -> bool:
    """Whether this stands for an octet of a file name that is no UTF-8 (PEP 383)."""
    return "\udc80" <= char <= "\udcff"


def guessed(name: str) -> str:
    """Guess the media type of a file by its name."""
    kind, encoding = mimetypes.guess_type(name, strict=False)
    if encoding:
        return f"application/{encoding}" if encoding == "gzip" else UNTYPED
    return kind or UNTYPED


def opened(path: Path, name: str | None = None, kind: str | None = None) -> Attachment:
    """Open a file to attach; raises `InputUnreadable` (66)."""
    try:
        stream = open(path, "rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputUnreadable(
            f"{os.fspath(path)} cannot be attached: {reason}", "name a file to read"
        ) from None
    where = os.path.realpath(path)
    return Attachment(name or os.path.basename(os.fspath(path)), stream, kind, where)


def attachment(given: Attachable) -> Attachment:
    """Open what was given: a path, octets, or a tuple of name, source and type.

    Raises `InputUnreadable` for a path that cannot be read, `TypeError` for anything
    else.
    """
    if isinstance(given, Attachment):
        return given
    if isinstance(given, bytes | bytearray | memoryview):
        return Attachment("attachment", io.BytesIO(given))
    if not isinstance(given, tuple):
        if isinstance(given, str | os.PathLike):
            return opened(given)
        raise TypeError(
            "an attachment is a path, bytes, or a tuple of name, source and type, not "
            f"{type(given).__name__}"
        )
    name, source, kind = (*given, None)[:3]
    if isinstance(source, os.PathLike):
        return opened(source, name, kind)
    if isinstance(source, str):
        text = mime.octets(source)
        return Attachment(name, io.BytesIO(text), kind or "text/plain")
    if isinstance(source, bytes | bytearray | memoryview):
        return Attachment(name, io.BytesIO(source), kind)
    if hasattr(source, "read"):
        return Attachment(name, source, kind)
    raise TypeError(
        f"the attachment {name} is bytes, str, a path object or a binary file, not "
        f"{type(source).__name__}"
    )
