r"""The text form of a kept message: what the failed store writes and reads back.

A kept message is one file that `cat` shows. It begins with a head of `name: value`
lines, in this order, and is followed by an empty line and the message, with LF line
ends. Everything up to the end of the file belongs to the message.

    ssmtp kept message 1
    id: 20261121-211409-7f3a9c04      also the name of the file
    state: deferred                   or refused, or in-doubt
    exit: 75                          exit code of the run that failed
    time: 2026-11-21T21:14:09Z        when it was kept
    uid: 1000                         whose message it is
    kind: repaired                    or as-read
    octets: 000000001234              of the message in this file
    crc32: 5d41402a                   of the same octets
    reason: <what happened; what to do next>
    reply: <the mailhub's own words>                        only if there were any
    message-id: <20261121211409.4af1@host>                  only if repaired
    config: /etc/ssmtp/ssmtp.conf                           only if known
    argument: -t                      once for each argument of the command
    from: <bob@example.org>           only if repaired; <> is the null reverse-path
    to: <ann@example.org>             once for each recipient, only if repaired
    notify: FAILURE                   DSN wishes and body type, as far as given
    ret: HDRS
    envid: abc
    body: 8BITMIME

A *repaired* message is ready to be sent: its envelope stands above it, and Bcc is gone.
One kept *as read* comes from a run that failed earlier, for instance because the
configuration was missing; it takes the whole road again, with its arguments.

Values are UTF-8. A backslash, a control character, and an octet that is no UTF-8 are
written as `\\`, `\u0085` and `\xff`: no value can hold a line end, so that nobody can
write a second `to:` line by way of an argument. Passwords given as arguments (`-ap`)
are left out. Unknown names are skipped, so that later versions may add some; a later
format that this one would misread has another number in its first line.

`octets` and `crc32` tell whether the file is whole. Whoever wants to mend a message by
hand removes these two lines.
"""

from __future__ import annotations

import binascii
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FIRST_LINE = "ssmtp kept message 1"

# A head can be as large as a command line, which Linux limits to 2 MiB; escaped, it
# can be six times that.
HEAD_LIMIT = 16 << 20

STATES = ("deferred", "refused", "in-doubt")
STATE_WIDTH = 8
OCTETS_WIDTH = 12

# Most times that are read are those of the same few seconds.
_seconds: dict[str, int] = {}
_SECONDS_MOST = 64

# Options whose value is the next word: what follows them is no option, whatever it
# looks like.
_TAKES_VALUE = frozenset("-f -F -r -C -N -R -V -B -L -O -X -h -p -A -au -am".split())


class Head:
    """What stands above a kept message, as text.

    `reverse_path` is None when it is not known (as read) and "" when it is null.
    `octets` and `crc32` are None when they are not to be checked.
    """

    __slots__ = (
        "arguments",
        "body",
        "config_path",
        "crc32",
        "envid",
        "exit_code",
        "id",
        "kind",
        "message_id",
        "notify",
        "octets",
        "reason",
        "recipients",
        "reply",
        "ret",
        "reverse_path",
        "state",
        "time",
        "uid",
    )

    def __init__(self, id: str) -> None:  # noqa: A002
        self.id = id
        self.state = "deferred"
        self.exit_code = 75
        self.time = 0
        self.uid = -1
        self.kind = "as-read"
        self.octets: int | None = None
        self.crc32: int | None = None
        self.reason = ""
        self.reply = ""
        self.message_id = ""
        self.config_path = ""
        self.arguments: list[str] = []
        self.reverse_path: str | None = None
        self.recipients: list[str] = []
        self.notify: str | None = None
        self.ret: str | None = None
        self.envid: str | None = None
        self.body: str | None = None

    def render(self) -> bytes:
        """Return the head with its empty line, UTF-8.

        The state, the octets and the checksum have fixed widths, so that they can be
        filled in after the message has been written.
        """
        lines = [
            FIRST_LINE,
            f"id: {self.id}",
            f"state: {self.state:<{STATE_WIDTH}}",
            f"exit: {self.exit_code}",
            "time: " + time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.time)),
            f"uid: {self.uid}",
            f"kind: {self.kind}",
        ]
        if self.octets is not None and self.crc32 is not None:
            lines.append(f"octets: {self.octets:0{OCTETS_WIDTH}d}")
            lines.append(f"crc32: {self.crc32:08x}")
        lines.append(f"reason: {escape(self.reason)}")
        for name, value in (
            ("reply", self.reply),
            ("message-id", self.message_id),
            ("config", self.config_path),
        ):
            if value:
                lines.append(f"{name}: {escape(value)}")
        lines += [f"argument: {escape(word)}" for word in self.arguments]
        if self.reverse_path is not None:
            lines.append(f"from: <{escape(self.reverse_path)}>")
        lines += [f"to: <{escape(address)}>" for address in self.recipients]
        for name, wish in (
            ("notify", self.notify),
            ("ret", self.ret),
            ("envid", self.envid),
            ("body", self.body),
        ):
            if wish is not None:
                lines.append(f"{name}: {escape(wish)}")
        return ("\n".join(lines) + "\n\n").encode()


def parse(text: bytes) -> Head:
    """Read a head, without its empty line; raises ValueError saying what is wrong."""
    lines = text.decode("utf-8", "replace").split("\n")
    if lines[0] != FIRST_LINE:
        if lines[0].startswith("ssmtp kept message "):
            raise ValueError("was written by a later version of ssmtp")
        raise ValueError("is not a kept message")
    head = Head("")
    for line in lines[1:]:
        name, colon, value = line.partition(": ")
        if not colon:
            name, value = line.rstrip(":"), ""
        if name == "argument":
            head.arguments.append(unescape(value))
        elif name == "to":
            head.recipients.append(unescape(value)[1:-1])
        elif name == "from":
            head.reverse_path = unescape(value)[1:-1]
        elif name == "config":
            head.config_path = unescape(value)
        elif name == "message-id":
            head.message_id = unescape(value)
        elif name == "time":
            head.time = seconds(value)
        elif name == "exit":
            head.exit_code = number(name, value)
        elif name in ("octets", "uid"):
            setattr(head, name, number(name, value))
        elif name == "crc32":
            head.crc32 = number(name, value, 16)
        elif name in ("id", "state", "kind"):
            setattr(head, name, value.strip())
        elif name in ("reason", "reply", "notify", "ret", "envid", "body"):
            setattr(head, name, unescape(value))
    if head.state not in STATES or head.kind not in ("repaired", "as-read"):
        raise ValueError("has a head that this version cannot read")
    if head.kind == "repaired" and (head.reverse_path is None or not head.recipients):
        raise ValueError("has lost its envelope")
    return head


def without_passwords(arguments: Iterable[str]) -> list[str]:
    """Return the arguments without `-ap` and its value, which nobody may keep."""
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            kept.append(word)
            kept.extend(words)
        elif word in _TAKES_VALUE:
            kept.append(word)
            kept.extend(value for value in (next(words, None),) if value is not None)
        elif word == "-ap":
            next(words, None)
        elif not word.startswith("-ap"):
            kept.append(word)
    return kept


def escape(text: str) -> str:
    """Return `text` on one line, in characters that any terminal may show."""
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    out = []
    for character in text:
        code = ord(character)
        if character == "\\":
            out.append("\\\\")
        elif 0xDC80 <= code <= 0xDCFF:  # an octet that was no UTF-8
            out.append(f"\\x{code - 0xDC00:02x}")
        elif character.isprintable():
            out.append(character)
        elif code > 0xFFFF:
            out.append(f"\\U{code:08x}")
        else:
            out.append(f"\\u{code:04x}")
    return "".join(out)


def unescape(text: str) -> str:
    """Undo `escape`; what is no escape sequence stays as it is."""
    if "\\" not in text:
        return text
    out = []
    at = 0
    while (back := text.find("\\", at)) >= 0:
        out.append(text[at:back])
        kind = text[back + 1 : back + 2]
        width = {"x": 2, "u": 4, "U": 8}.get(kind, 0)
        digits = text[back + 2 : back + 2 + width]
        if kind == "\\":
            out.append("\\")
        elif width and len(digits) == width and _is_hex(digits):
            code = int(digits, 16)
            if kind == "x" and code >= 0x80:
                out.append(chr(code + 0xDC00))
            elif code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
                out.append("\ufffd")  # which nobody has escaped
            else:
                out.append(chr(code))
        else:
            out.append("\\")
            width = -1
        at = back + 2 + width
    out.append(text[at:])
    return "".join(out)


def line_feeds(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Turn blocks with CRLF line ends into blocks with LF line ends."""
    held = b""
    for block in blocks:
        block = held + block
        held = b""
        if block.endswith(b"\r"):
            block, held = block[:-1], b"\r"
        yield block.replace(b"\r\n", b"\n")
    if held:
        yield held


def checksum(block: bytes, so_far: int = 0) -> int:
    """Return the CRC-32 of all blocks so far."""
    return binascii.crc32(block, so_far)


def _is_hex(digits: str) -> bool:
    return all(digit in "0123456789abcdefABCDEF" for digit in digits)


def number(name: str, value: str, base: int = 10) -> int:
    """Read the number of a line; raises ValueError."""
    try:
        return int(value, base)
    except ValueError:
        raise ValueError(f"has a strange {name} line") from None


def seconds(value: str) -> int:
    """Read a time as `render` writes it; raises ValueError.

    `calendar`, which could do it, takes 20 ms to import.
    """
    known = _seconds.get(value)
    if known is not None:
        return known
    try:
        year, month, day = map(int, value[:10].split("-"))
        hour, minute, second = map(int, value[11:19].split(":"))
    except ValueError:
        raise ValueError("has a strange time line") from None
    # Years that begin in March have their leap day at the end.
    year, month = (year, month - 3) if month > 2 else (year - 1, month + 9)
    days = year * 365 + year // 4 - year // 100 + year // 400
    days += (153 * month + 2) // 5 + day - 719469
    known = ((days * 24 + hour) * 60 + minute) * 60 + second
    if len(_seconds) >= _SECONDS_MOST:
        _seconds.clear()
    _seconds[value] = known
    return known
