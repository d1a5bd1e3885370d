"""The header section, cut into fields and written again.

A `Field` keeps the text as it was read. Header text is UTF-8; octets that are none
are carried as surrogates. A line of a field ends with a bare newline here, and a
continuation begins with a blank or a tab (RFC 5322 section 2.2.3).
"""

from __future__ import annotations

from ssmtp import addresslist

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ssmtp.addresslist import Mailbox

SECTION_MAX = 1 << 20
FIELDS_MAX = 1000
LINE_MAX = 998
NAME_MAX = 256

# RFC 5322 section 2.2: printable ASCII without the colon.
_NAME = bytes(b for b in range(33, 127) if b != 0x3A)
_NAME_CHARS = frozenset(map(chr, _NAME))
# For a newline that a continuation follows; octets that are no UTF-8 are others.
_FOLD = "\ud800"

ADDRESS_FIELDS = frozenset(
    {
        "from",
        "sender",
        "reply-to",
        "to",
        "cc",
        "bcc",
        "resent-from",
        "resent-sender",
        "resent-reply-to",
        "resent-to",
        "resent-cc",
        "resent-bcc",
        "x-original-from",
    }
)


class Field:
    """One header field: its name as written, and what follows the colon.

    `key` is the name in lower case without the blanks that the obsolete syntax
    allowed before the colon (RFC 5322 section 4.5). `rule` says why a field is not, or
    not so, in the message that was read, and `origin` is what it was there.
    """

    __slots__ = ("_boxes", "body", "key", "name", "origin", "rule")

    def __init__(
        self, name: str, body: str, rule: str = "", origin: Field | None = None
    ) -> None:
        self.name = name
        self.key = name.lower()
        self.body = body
        self.rule = rule
        self.origin = origin
        self._boxes: list[Mailbox] | None = None

    def mailboxes(self) -> list[Mailbox]:
        """Return the mailboxes of an address field; raises `InputRefused` (65)."""
        if self._boxes is None:
            self._boxes = addresslist.parse_list(self.body, self.name)
        return self._boxes

    def replaced(self, body: str, rule: str = "") -> Field:
        """Return a field of the same name with another body."""
        rule = f"{self.rule}; {rule}" if self.rule and rule else self.rule or rule
        return Field(self.name, body, rule, self.origin or self)

    def renamed(self, name: str, rule: str) -> Field:
        """Return a field of another name with the same body."""
        return Field(name, self.body, rule, self.origin or self)

    @property
    def plain(self) -> bool:
        """Whether it can be sent as it is: ASCII, and too short to be folded."""
        size = len(self.name) + 1 + len(self.body)
        return size <= LINE_MAX and self.body.isascii()

    @property
    def value(self) -> str:
        """The body without folds and without blanks around it."""
        return self.body.replace("\n", "").strip(" \t")

    def __repr__(self) -> str:
        return f"<Field {self.name}:{self.body!r}>"


def is_field(line: bytes) -> bool:
    """Whether a line begins a header field.

    A URL at the beginning of a text is taken for text: no field begins with `//`,
    but for one with a hyphen in its name, which no usual scheme has. So is a name
    without an end.
    """
    name, colon, rest = line.partition(b":")
    if not colon or (rest[:2] == b"//" and b"-" not in name):
        return False
    if name.isalnum() or name.replace(b"-", b"").isalnum():  # as nearly all are
        return len(name) <= NAME_MAX
    name = name.rstrip(b" \t")
    return 0 < len(name) <= NAME_MAX and not name.translate(None, _NAME)


def parse(section: bytes) -> list[Field]:
    """Cut a header section into fields.

    `section` holds nothing but fields, as `intake` guarantees. A continuation of
    nothing but blanks is left out: some programs take it for the end of the section.
    """
    text = section.decode("utf-8", "surrogateescape").removesuffix("\n")
    text = text.replace("\n ", _FOLD + " ").replace("\n\t", _FOLD + "\t")
    folded = _FOLD in text
    fields: list[Field] = []
    for first in text.split("\n"):
        rest = ""
        if folded:
            first, _, rest = first.partition(_FOLD)
        name, _, body = first.partition(":")
        name = name.rstrip(" \t")
        if not name or name[0] in " \t":
            continue
        if rest:
            lines = rest.split(_FOLD)
            if "" in map(str.strip, lines):
                lines = [line for line in lines if line.strip(" \t")]
            body = "\n".join([body, *lines])
        fields.append(Field(name, body))
    return fields


def field(line: str) -> Field | None:
    """Make a field of a line like `X-Name: value`; None if it is none."""
    name, colon, rest = line.partition(":")
    name = name.rstrip(" \t")
    if not colon or not 0 < len(name) <= NAME_MAX:
        return None
    if not _NAME_CHARS.issuperset(name):
        return None
    if any(c in rest for c in "\r\n\0"):
        return None
    return Field(name, rest if rest[:1] in (" ", "\t") else f" {rest}")


def write(fields: Iterable[Field]) -> bytes:
    """Write a header section as it goes on the wire, with its empty line."""
    lines = [f"{f.name}:{f.body}" for f in fields]
    lines.append("\n")
    return "\n".join(lines).encode().replace(b"\n", b"\r\n")
