"""Octets from a mailhub become replies, within limits (RFC 5321 §4.2).

Rules

1. A code has three digits, from 200 to 599, and is the same on every line of a reply.
   Anything else is not a reply but the end of the session: a server that is out of
   step today says "sent" tomorrow for what it never took.
2. A bare LF ends a line as well as CRLF does. It cannot smuggle anything here, and
   small servers do it.
3. A reply has at most 100 lines and 64 KiB. Of a line the first 4 KiB are kept.
4. Text is made harmless at once: nothing that a terminal or a log could act on leaves
   this module.
"""

from __future__ import annotations

import binascii

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

LINE_KEPT = 4096
LINES_MOST = 100
REPLY_MOST = 65536
DOTS = "••••"
# RFC 3986 §2.3
UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
TEXT_MOST = 600  # characters of a reply in one sentence
# Characters of a secret that are hidden where the rest of it was cut off. They tell
# less than six octets in base64, and mostly of the user name.
PIECE_LEAST = 8
# Short replies of these codes are remembered: "250 2.1.0 Ok" comes with each message.
# No answer to AUTH is among them.
KNOWN_CODES = (b"250", b"354")
KNOWN_OCTETS = 64
KNOWN_MOST = 16


class Reply:
    """One reply. `lines` are escaped texts without the code; `status` is RFC 3463's.

    `challenge` is the text of a 334, as it came: it is for AUTH alone, and not shown.
    """

    __slots__ = ("challenge", "code", "lines", "status")

    def __init__(self, code: int, lines: list[str]) -> None:
        self.code = code
        self.lines = lines
        self.status = _status(code, lines[0])
        self.challenge = lines[0] if code == 334 and len(lines) == 1 else "*"

    @property
    def text(self) -> str:
        """The lines in one, without the code; a repeated status is said once."""
        text = self.lines[0].strip()
        for line in self.lines[1:]:
            if self.status and line.startswith(self.status):
                line = line[len(self.status) :]
            text = f"{text} {line.strip()}".strip()
        return text if len(text) <= TEXT_MOST else text[: TEXT_MOST - 1] + "…"

    def __str__(self) -> str:
        return f"{self.code} {self.text}".rstrip()

    def __repr__(self) -> str:
        return f"Reply({self.code}, {self.lines!r})"

    def without(self, secrets: tuple[str, ...]) -> Reply:
        """Return the reply with every secret that the mailhub echoed made dots."""
        if not secrets:
            return self
        lines = [hidden(line, secrets) for line in self.lines]
        if lines == self.lines:
            return self
        clean = Reply(self.code, lines)
        # What hides a secret may spoil base64 that only looks like it.
        clean.challenge = self.challenge
        return clean


class Garbled(Exception):
    """What came is not a reply. `first` is its beginning, as octets."""

    def __init__(self, why: str, first: bytes = b"") -> None:
        super().__init__(why)
        self.why = why
        self.first = first


class Inbox:
    """Octets that came and replies not yet taken. `keep` is the limit for a line."""

    __slots__ = ("_buffer", "_code", "_known", "_lines", "_octets", "keep")

    def __init__(self) -> None:
        self._buffer = b""
        self._known: dict[bytes, Reply] = {}
        self._lines: list[str] = []
        self._code = b""
        self._octets = 0
        self.keep = LINE_KEPT

    @property
    def empty(self) -> bool:
        """Whether nothing is there, not even the beginning of a reply."""
        return not self._buffer and not self._lines

    def __len__(self) -> int:
        return len(self._buffer)

    @property
    def start(self) -> bytes:
        """The beginning of what is there."""
        return self._buffer[:80] or b"?"

    def feed(self, data: bytes) -> None:
        """Add octets as they came."""
        self._buffer += data

    def take(self) -> Reply | None:
        """Return the next complete reply, or None; raise `Garbled`."""
        while True:
            buffer = self._buffer
            end = buffer.find(b"\n") + 1
            if not end:
                if self._octets + len(buffer) > REPLY_MOST:
                    raise Garbled("a reply without end", buffer[:80])
                if buffer and _hopeless(buffer):
                    raise Garbled("something that is no reply", buffer[:80])
                return None
            line = buffer[:end]
            self._buffer = buffer[end:]
            if line in self._known and not self._lines:
                return self._known[line]
            self._octets += end
            text = line[:-1].rstrip(b"\r")
            if self._octets > REPLY_MOST:
                raise Garbled("a reply without end", text[:80])
            if self._add(text):
                reply = Reply(int(self._code), self._lines)
                if end == self._octets <= KNOWN_OCTETS and self._code in KNOWN_CODES:
                    self._remember(line, reply)
                self._lines, self._code, self._octets = [], b"", 0
                return reply

    def _remember(self, line: bytes, reply: Reply) -> None:
        if len(self._known) >= KNOWN_MOST:
            self._known.clear()
        self._known[line] = reply

    def _add(self, line: bytes) -> bool:
        code = line[:3]
        mark = line[3:4]
        if (
            len(code) < 3
            or not code.isdigit()
            or not b"200" <= code <= b"599"
            or mark not in (b"", b" ", b"-")
        ):
            raise Garbled("something that is no reply", line[:80])
        if self._lines and code != self._code:
            raise Garbled("a reply with two codes", line[:80])
        if len(self._lines) >= LINES_MOST:
            raise Garbled("a reply without end", line[:80])
        self._code = code
        self._lines.append(escaped(line[4 : 4 + self.keep]))
        return mark != b"-"


def _hopeless(start: bytes) -> bool:
    """Whether the beginning of a line can no more become a reply.

    A TLS record or another protocol need not end its line, and is told at once.
    """
    if not start[:3].isdigit():
        return start[:1] not in (b"\r",)
    return len(start) > 3 and start[3:4] not in (b" ", b"-", b"\r")


def escaped(text: bytes | str) -> str:
    """Return text in which nothing is left that a terminal or a log could act on."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _hex(ord(c)) for c in text)


def hidden(line: str, secrets: Collection[str]) -> str:
    """Return a line with dots in the place of secrets.

    Who says back what was said may cut it off, or go on in the next line: the beginning
    and the end of a secret are hidden too.
    """
    for secret in secrets:
        line = line.replace(secret, DOTS)
    # All pieces are found before one is hidden: what is the end of one form of a secret
    # may be a shorter end of another.
    found: list[tuple[int, int]] = []
    back, length = line[::-1], len(line)
    for secret in secrets:
        if len(secret) > PIECE_LEAST:
            found += _begun(line, secret)
            ends = _begun(back, secret[::-1])
            found += [(length - end, length - start) for start, end in ends]
    shown = ""
    at = 0
    for start, end in sorted(found):
        if start >= at:
            shown += line[at:start] + DOTS
        at = max(at, end)
    return shown + line[at:]


def _begun(line: str, secret: str) -> Iterator[tuple[int, int]]:
    """Yield where a line begins as the secret does, and until where it goes on so."""
    end = 0
    while (start := line.find(secret[:PIECE_LEAST], end)) >= 0:
        end = start
        for char in secret:
            if line[end : end + 1] != char:
                break
            end += 1
        yield start, end


def forms(secret: str) -> list[str]:
    """Return the forms in which a mailhub may say a secret back, as a reply has them.

    As it is, quoted for a URL, in hexadecimal, and in base64: alone, or in the middle
    of something longer (RFC 4616), where it begins at any of three places in a group.
    """
    octets = secret.encode("utf-8", "surrogateescape")
    found = {escaped(octets), octets.hex(), octets.hex().upper()}
    if octets.translate(None, UNRESERVED):
        for safe in (UNRESERVED, UNRESERVED + b"/"):
            quoted = "".join(chr(c) if c in safe else f"%{c:02X}" for c in octets)
            lower = "".join(chr(c) if c in safe else f"%{c:02x}" for c in octets)
            found |= {quoted, lower, quoted.replace("%20", "+")}
    if not octets.isascii():
        # As programs print it that are unsure of the character set.
        found.add(octets.decode("ascii", "backslashreplace"))
        found.add(secret.encode("ascii", "backslashreplace").decode())
        found.add("".join(c if c < "\x80" else f"\\u{ord(c):04x}" for c in secret))
    for before in range(3):
        text = binascii.b2a_base64(bytes(before) + octets, newline=False).decode()
        # The first and the last character may hold bits of the neighbours.
        bits = 8 * (before + len(octets))
        found.add(text[(8 * before + 5) // 6 : bits // 6])
    found.discard("")  # a single octet may have only bits of neighbours
    return sorted(found, key=len, reverse=True)


def _hex(point: int) -> str:
    if point == 9:
        return " "
    return f"\\x{point:02x}" if point < 256 else f"\\u{point:04x}"


def _status(code: int, line: str) -> str | None:
    """Read the enhanced status code (RFC 3463 §2) at the beginning of a line."""
    word = line.lstrip().partition(" ")[0].rstrip(":")
    parts = word.split(".")
    if len(parts) != 3 or parts[0] != str(code)[0]:
        return None
    for part in parts[1:]:
        if not (part.isascii() and part.isdigit() and len(part) <= 3):
            return None
    return word
