"""What a header field may need before it may be sent.

Three things, and nothing else changes the text of a field: encoded words (RFC 2047)
where the mailhub takes only ASCII or the octets are no UTF-8; folds where a line is
longer than 998 octets (RFC 5322 section 2.1.1); quotes around a display name.

Where an encoded word may stand depends on the field: for any word of a text for
people, for display names and comments of an address field, as RFC 2231 has it in the
parameters of a MIME field, and nowhere in a field that only programs read.
"""

from __future__ import annotations

from ssmtp import address, addresslist
from ssmtp.errors import InputRefused
from ssmtp.header import ADDRESS_FIELDS, LINE_MAX, Field

TYPE_CHECKING = False

# RFC 2047 section 2 allows no more in a line that holds an encoded word.
_LINE_GOOD = 76
_WORD_LEAST = 40
_BLANKS = " \t\r\n"
# Lists that are worth another road.
_LONG = 512
# The first encoded word fits beside the longest name of an address field.
_NAME_WORD_MAX = _LINE_GOOD - len("X-Original-From: ") - len("()")
# Fields that programs read: an encoded word in them would be taken literally.
_MACHINE_FIELDS = frozenset(
    {
        "date",
        "resent-date",
        "message-id",
        "resent-message-id",
        "in-reply-to",
        "references",
        "received",
        "return-path",
        "mime-version",
        "dkim-signature",
        "domainkey-signature",
        "authentication-results",
        "received-spf",
        "arc-seal",
        "arc-message-signature",
        "arc-authentication-results",
    }
)
# Fields whose lines nothing but a blank can cut.
_EXACT_FIELDS = (_MACHINE_FIELDS | ADDRESS_FIELDS) - {"x-original-from"}


def phrase(name: str) -> str:
    """Write a display name: quoted where it must be, encoded where it is not ASCII.

    RFC 5322 section 3.2.5, RFC 2047 section 5 (3). Control characters, which would
    begin a field of their own, become blanks.
    """
    name = " ".join(
        "".join(
            c if c.isprintable() or "\ud800" <= c <= "\udfff" else " " for c in name
        ).split()
    )
    if not name.isascii() or "=?" in name:
        return " ".join(_encode(name, _NAME_WORD_MAX))
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def folded(body: str, column: int) -> str:
    """Fold the lines that are too long for the encoded words in them.

    `column` is where the first line begins; lines without encoded words stay.
    """
    lines = body.split("\n")
    for i, line in enumerate(lines):
        begin = 0 if i else column
        if "=?" in line and begin + len(line) > _LINE_GOOD:
            lines[i] = _fold(line, begin, True)
    return "\n".join(lines)


def _fold(line: str, column: int, at_commas: bool) -> str:
    from ssmtp import folding  # most messages need none

    return folding.fold(line, column, at_commas)


def sound(f: Field) -> Field:
    """Return the field without octets that are no UTF-8.

    They become encoded words where those may stand, and question marks elsewhere.
    """
    try:
        f.body.encode()
    except UnicodeEncodeError:
        f = _rewritten(f, _is_unsound)
        # What is left stands where no encoded word may.
        data = f.body.encode("utf-8", "surrogateescape")
        text = data.decode("utf-8", "replace").replace("\ufffd", "?")
        return f.replaced(text, "octets that are no UTF-8 encoded")
    return f


def to_ascii(f: Field) -> Field:
    """Return the field in ASCII, for a mailhub without SMTPUTF8.

    Raises `InputRefused` for an address whose local part is not ASCII: it has no
    other form.
    """
    return f if f.body.isascii() else _rewritten(f, _is_foreign)


def fit(f: Field) -> Field:
    """Return the field with no line over 998 octets; raises `InputRefused`."""
    head = len(f.name) + 1
    if head + len(f.body.encode()) <= LINE_MAX:
        return f
    octets = list(map(len, f.body.encode().split(b"\n")))
    octets[0] += head
    if max(octets) <= LINE_MAX:
        return f
    rule = f"line over {LINE_MAX} octets folded (RFC 5322 section 2.1.1)"
    lines = f.body.split("\n")
    for i, size in enumerate(octets):
        if size > LINE_MAX:
            lines[i] = _fold(lines[i], 0 if i else head, f.key in ADDRESS_FIELDS)
    shorter = f.replaced("\n".join(lines), rule)
    if not _is_fit(shorter) and f.key in ADDRESS_FIELDS:
        shorter = _with_encoded_names(f, rule)
    if _is_fit(shorter):
        return shorter
    if f.key in _EXACT_FIELDS or f.key[:8] == "content-":
        raise InputRefused(
            f"the {f.name} field has a line over {LINE_MAX} octets without a blank",
            "put blanks where it may be folded",
        )
    return f.replaced(_encoded_text(f, _is_foreign), rule)


def _is_fit(f: Field) -> bool:
    longest = max(map(len, f.body.encode().split(b"\n")))
    return longest + len(f.name) + 1 <= LINE_MAX


def _with_encoded_names(f: Field, rule: str) -> Field:
    """Encode the names that are too long for a line: between the words it may end."""
    try:
        _members(f)
    except InputRefused:
        return f
    return f.replaced(_encoded_addresses(f, _is_long), rule)


def _members(f: Field) -> list[str]:
    """Cut a long list into its members; raises `InputRefused` for an open quote."""
    if len(f.body) < _LONG:
        addresslist.tokens(f.body, f.name)
        return [f.body]
    from ssmtp import longlist  # few messages have one

    return longlist.cut(f.body, f.name)


def _encode(text: str, longest: int) -> list[str]:
    from ssmtp import encodedword  # most messages need none

    return encodedword.encode(text, longest)


def _decode(text: str) -> str:
    from ssmtp import encodedword

    return encodedword.decode(text)


def _is_foreign(text: str) -> bool:
    return not text.isascii()


def _is_long(text: str) -> bool:
    return len(text) > LINE_MAX // 2


def _is_unsound(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _rewritten(f: Field, wanted: Wanted) -> Field:
    """Encode whatever part of the field is `wanted`."""
    if f.key in ADDRESS_FIELDS:
        try:
            return f.replaced(_encoded_addresses(f, wanted))
        except InputRefused:
            # This one is shown to people; nothing is sent to what stands in it.
            if f.key != "x-original-from":
                raise
    if f.key in _MACHINE_FIELDS:
        return f.replaced(_replaced(f.body, wanted))
    if f.key in ("content-type", "content-disposition"):
        return f.replaced(_encoded_parameters(f.body, wanted))
    return f.replaced(_encoded_text(f, wanted))


def _replaced(text: str, wanted: Wanted) -> str:
    """Put question marks for the `wanted` characters."""
    return text.translate({ord(c): "?" for c in set(text) if wanted(c)})


def _encoded_text(f: Field, wanted: Wanted) -> str:
    """Encode the `wanted` words of an unstructured field, and fold it anew."""
    words = f.body.replace("\n", "").replace("\t", " ").strip(" ").split(" ")
    room = max(_WORD_LEAST, _LINE_GOOD - len(f.name) - 2)
    coded = {w for w in set(words) if wanted(w) or len(w) > LINE_MAX - 100}
    pieces: list[str] = []
    runs: dict[str, list[str]] = {}
    run: list[str] = []
    for word in words:
        if word in coded or (run and not word):
            run.append(word)
            continue
        if run:
            pieces += _of_run(run, runs, room)
            run = []
        pieces.append(word)
    pieces += _of_run(run, runs, room)
    return joined(pieces, len(f.name) + 1)


def _of_run(run: list[str], runs: dict[str, list[str]], room: int) -> list[str]:
    """Encode what has gathered, in words of `room`; blanks at its end stay outside.

    `runs` keeps what was encoded.
    """
    text = " ".join(run)
    if text not in runs:
        inner = text.rstrip(" ")
        trailing = [""] * (len(text) - len(inner))
        runs[text] = (_encode(inner, room) if inner else []) + trailing
    return runs[text]


def joined(pieces: list[str], column: int) -> str:
    """Put blanks between the pieces, and folds where a line becomes long.

    `column` is where the first line begins.
    """
    from ssmtp import folding  # most messages need none

    return folding.joined(pieces, column)


def _encoded_addresses(f: Field, wanted: Wanted) -> str:
    """Encode display names and comments of an address field, and its domains.

    RFC 2047 section 5: an encoded word may stand for a word of a phrase and in a
    comment, never in an addr-spec and never in quotes.
    """
    try:
        members = _members(f)
    except InputRefused:
        # What cannot be read as addresses is a text for people.
        return _encoded_text(f, wanted)
    done: dict[str, str] = {}
    for member in members:
        if member not in done:
            done[member] = _encoded_member(f, member, wanted)
    return folded("".join(map(done.__getitem__, members)), len(f.name) + 1)


def _encoded_member(f: Field, text: str, wanted: Wanted) -> str:
    if not wanted(text):
        return text
    head, angle, tail = text.partition("<")
    name = head.strip(_BLANKS)
    # As most are: a name of some words, and an address.
    if angle and not wanted(tail) and name.replace(" ", "").isalnum():
        words = name.split()
        if not any(map(wanted, words)):
            return text
        coded = " ".join(_encode(" ".join(words), _NAME_WORD_MAX))
        return head.replace(name, coded, 1) + angle + tail
    return _edited_member(f, text, wanted)


def _edited_member(f: Field, text: str, wanted: Wanted) -> str:
    edits: list[tuple[int, int, str]] = []
    words: list[addresslist.Token] = []
    for token in addresslist.tokens(text, f.name):
        kind, s, e = token
        if kind == "c":
            if wanted(text[s:e]):
                inner = text[s + 1 : e - 1 if text[e - 1] == ")" else e]
                inner = addresslist.unquote(f'"{inner}"')
                coded = " ".join(_encode(inner, _NAME_WORD_MAX))
                edits.append((s, e, f"({coded})"))
        elif kind in "aqlx@":
            words.append(token)
        else:
            if kind in "<:":
                _edit_phrase(text, words, wanted, edits)
            else:
                _edit_addr_spec(f, text, words, wanted, edits)
            words = []
    _edit_addr_spec(f, text, words, wanted, edits)
    edits.sort()
    out = []
    at = 0
    for s, e, new in edits:
        out.append(text[at:s])
        out.append(new)
        at = e
    out.append(text[at:])
    return "".join(out)


def _edit_phrase(
    text: str,
    words: list[addresslist.Token],
    wanted: Wanted,
    edits: list[tuple[int, int, str]],
) -> None:
    if not words or not any(wanted(text[s:e]) for _, s, e in words):
        return
    name = " ".join(
        addresslist.unquote(text[s:e]) if k == "q" else text[s:e] for k, s, e in words
    )
    # Words that are encoded already must not be encoded once more.
    if "=?" in name and not _is_unsound(name):
        name = _decode(name)
    new = " ".join(_encode(name, _NAME_WORD_MAX))
    edits.append((words[0][1], words[-1][2], new))


def _edit_addr_spec(
    f: Field,
    text: str,
    words: list[addresslist.Token],
    wanted: Wanted,
    edits: list[tuple[int, int, str]],
) -> None:
    if not words:
        return
    start, end = words[0][1], words[-1][2]
    source = text[start:end]
    if not wanted(source) or _is_unsound(source):
        return
    try:
        box = addresslist.parse_list(source, f.name)[0]
    except InputRefused:
        # Words without an address: a text for people.
        _edit_phrase(text, words, wanted, edits)
        return
    domain = box.domain
    if domain is not None and not domain.isascii():
        domain = address.to_ascii(domain, f.name)
    if not box.local.isascii():
        raise InputRefused(
            f"the {f.name} field holds an address that needs SMTPUTF8, "
            "which the mailhub does not offer",
            "use an address in ASCII letters",
        )
    local = address.quote(box.local)
    edits.append((start, end, local if domain is None else f"{local}@{domain}"))


def _encoded_parameters(body: str, wanted: Wanted) -> str:
    """Write parameters outside ASCII in the form of RFC 2231."""
    first, *others = parameters(body)
    done = {part: _encoded_parameter(part, wanted) for part in set(others)}
    out = [_replaced(first, wanted), *map(done.__getitem__, others)]
    text = ";".join(out)
    if len(text) < _LINE_GOOD:
        return text
    out = [part.strip(" \t\n") for part in out]
    return ";\n ".join(part for part in out if part)


def _encoded_parameter(part: str, wanted: Wanted) -> str:
    name, sign, value = part.partition("=")
    if not sign or not wanted(value) or wanted(name):
        return _replaced(part, wanted)
    value = _extended(value.strip(" \t\n"))
    # One that no line could hold is given up.
    if len(name) + len(value) > LINE_MAX - 10:
        value = "utf-8''"
    return f"{name.rstrip()}*={value}"


def _extended(value: str) -> str:
    """Write the value of a parameter with its charset and percent signs."""
    if value.startswith('"'):
        value = addresslist.unquote(value)
    charset = "iso-8859-1" if _is_unsound(value) else "utf-8"
    coded = "".join(
        chr(b) if (b < 128 and chr(b).isalnum()) or b in b"-._" else f"%{b:02X}"
        for b in value.encode("utf-8", "surrogateescape")
    )
    return f"{charset}''{coded}"


def parameters(body: str) -> list[str]:
    """Cut a field like Content-Type at the semicolons outside quotes."""
    if '"' not in body:
        return body.split(";")
    parts = []
    start = 0
    quoted = escaped = False
    for i, c in enumerate(body):
        if escaped:
            escaped = False
        elif c == "\\":
            escaped = quoted
        elif c == '"':
            quoted = not quoted
        elif c == ";" and not quoted:
            parts.append(body[start:i])
            start = i + 1
    parts.append(body[start:])
    return parts


if TYPE_CHECKING:
    from collections.abc import Callable

    Wanted = Callable[[str], bool]
