"""The words after MAIL and RCPT: an address in angle brackets, and parameters.

Only the form is looked at here, so that the server can answer at once; what an address
means is decided where `Address` is made.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # Keyword → the extension it belongs to, and the check of its value.
    Table = Mapping[str, tuple[str, Callable[[str | None], bool]]]

PATH_LIMIT = 320  # octets; RFC 5321 §4.5.3.1.3 asks for 256
DIGITS_LIMIT = 18  # of a number of octets


class Path:
    """An address of the envelope as the client wrote it, with its parameters.

    `text` is what stands between the angle brackets, "" for the null reverse-path;
    `parameters` maps keywords in capitals to values, None where there is no value.
    """

    __slots__ = ("parameters", "text")

    def __init__(self, text: str, parameters: dict[str, str | None]) -> None:
        self.text = text
        self.parameters = parameters


class Refused(Exception):
    """A path or parameter that gets a reply other than 250: code, status, words."""

    def __init__(self, code: int, status: str, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.status = status
        self.words = words


def parse(
    argument: str,
    prefix: str,
    table: Table,
    *,
    extensions: tuple[str, ...],
    lenient: bool,
    bare_names: bool,
    utf8: bool = False,
) -> Path:
    """Read `FROM:<path> parameters` or `TO:<path> parameters`.

    `lenient` lets a path do without its brackets, `bare_names` an address without its
    domain. `utf8` says that the transaction has SMTPUTF8. Raises `Refused`.
    """
    status = "5.1.3" if prefix == "TO:" else "5.1.7"
    if argument[: len(prefix)].upper() != prefix:
        raise Refused(501, "5.5.4", f"{prefix}<address> is missing")
    after = argument[len(prefix) :].lstrip(" ")
    text, rest = split(after)
    if text is None and lenient:
        word, _, rest = after.partition(" ")
        text = word if "<" not in word and ">" not in word else None
    if text is None or (not text and prefix == "TO:"):
        raise Refused(501, status, "the address cannot be understood")
    if len(text.encode()) > PATH_LIMIT:
        raise Refused(501, status, "the address is too long")
    parameters = _parameters(rest, table, extensions) if rest else {}
    local, at, domain = text.rpartition("@")
    if at and not (local and domain):
        raise Refused(501, status, "the address cannot be understood")
    if text and not at and not bare_names and text.lower() != "postmaster":
        raise Refused(553, status, "the address needs a domain")
    if not (text.isascii() or lenient or utf8 or "SMTPUTF8" in parameters):
        # RFC 6531 §3.5
        raise Refused(553, "5.6.7", "this address needs SMTPUTF8")
    return Path(text, parameters)


def _parameters(
    text: str, table: Table, extensions: tuple[str, ...]
) -> dict[str, str | None]:
    parameters: dict[str, str | None] = {}
    for word in text.split():
        keyword, equals, value = word.partition("=")
        keyword = keyword.upper()
        extension, check = table.get(keyword, ("", None))
        if check is None or (extension != "AUTH" and extension not in extensions):
            raise Refused(555, "5.5.4", "a parameter is not known here")
        if keyword in parameters or not check(value if equals else None):
            raise Refused(501, "5.5.4", f"{keyword} cannot be understood")
        parameters[keyword] = value if equals else None
    return parameters


def split(text: str) -> tuple[str | None, str]:
    """Split `<path> rest`, minding quoted strings; path is None if there is none.

    A source route is dropped (RFC 5321 §4.1.1.3, appendix C).
    """
    end = _outside(text, ">")
    if end < 0 or text[0] != "<" or text[end + 1 : end + 2] not in ("", " "):
        return None, ""
    path = text[1:end]
    if "<" in path and _outside(path, "<") >= 0:
        return None, ""
    path = path.strip(" ")
    if path[:1] == "@":
        path = path.partition(":")[2] or "@"
    if " " in path and _outside(path, " ") >= 0:
        return None, ""
    return path, text[end + 1 :]


def _outside(text: str, char: str) -> int:
    """Find a character that stands in no quoted string; -1 if there is none."""
    start = 0
    at = text.find(char)
    while at >= 0:
        quote = text.find('"', start, at)
        if quote < 0:
            return at
        start = _quoted_end(text, quote)
        if at < start:
            at = text.find(char, start)
    return -1


def _quoted_end(text: str, quote: int) -> int:
    """Return where a quoted string has ended, or the end of the text."""
    at = quote + 1
    while at < len(text) and text[at] != '"':
        at += 2 if text[at] == "\\" else 1
    return at + 1


def is_number(text: str | None) -> bool:
    return (
        text is not None
        and text.isascii()
        and text.isdigit()
        and len(text) <= DIGITS_LIMIT
    )


def _is_xtext(text: str | None) -> bool:
    """Check xtext (RFC 3461 §4): printable ASCII, `+` and two hex digits for others."""
    if not text or not text.isascii():
        return False
    _, *escapes = text.split("+")
    return "=" not in text and all(
        len(part) >= 2 and all(digit in "0123456789ABCDEF" for digit in part[:2])
        for part in escapes
    )


def from_xtext(text: str) -> str:
    """Decode xtext (RFC 3461 §4) that `_is_xtext` has let through, as UTF-8."""
    if "+" not in text:
        return text
    first, *escaped = text.split("+")
    octets = first.encode() + b"".join(
        bytes([int(part[:2], 16)]) + part[2:].encode() for part in escaped
    )
    return octets.decode("utf-8", "surrogateescape")


def _is_notify(text: str | None) -> bool:
    # RFC 3461 §4.1
    words = (text or "").upper().split(",")
    return words == ["NEVER"] or (
        len(set(words)) == len(words)
        and all(word in ("SUCCESS", "FAILURE", "DELAY") for word in words)
    )


def _is_envid(text: str | None) -> bool:
    # RFC 3461 §4.4: what is encoded is printable, too.
    return (
        text is not None
        and len(text) <= 100
        and _is_xtext(text)
        and all(" " <= char <= "~" for char in from_xtext(text))
    )


def _is_orcpt(text: str | None) -> bool:
    # RFC 3461 §4.2; utf-8 forms of RFC 6533 are let through as they are.
    kind, _, address = (text or "").partition(";")
    return (
        bool(kind and address)
        and len(text or "") <= 500
        and kind.isascii()
        and kind.replace("-", "").isalnum()
        and (kind.lower() == "utf-8" or _is_xtext(address))
    )


def _is_auth(text: str | None) -> bool:
    # RFC 4954 §5
    return text == "<>" or _is_xtext(text)


MAIL_PARAMETERS: Table = {
    "SIZE": ("SIZE", is_number),
    "BODY": ("8BITMIME", lambda text: (text or "").upper() in ("7BIT", "8BITMIME")),
    "SMTPUTF8": ("SMTPUTF8", lambda text: text is None),
    "RET": ("DSN", lambda text: (text or "").upper() in ("FULL", "HDRS")),
    "ENVID": ("DSN", _is_envid),
    "AUTH": ("AUTH", _is_auth),
    # What `parcel` makes for an agent of ours.
    "XFROM": ("XSUBMIT", lambda text: text == "NONE"),
    "XSENDER": ("XSUBMIT", _is_xtext),
    "XNAME": ("XSUBMIT", _is_xtext),
    "XREAD": ("XSUBMIT", lambda text: text is None),
    "XNOTIFY": ("XSUBMIT", _is_notify),
    "XTAG": ("XSUBMIT", _is_xtext),
    "XNOTES": ("XSUBMIT", _is_xtext),
    "XWAIT": ("XSUBMIT", lambda text: text is None),
}
RCPT_PARAMETERS: Table = {
    "NOTIFY": ("DSN", _is_notify),
    "ORCPT": ("DSN", _is_orcpt),
}
