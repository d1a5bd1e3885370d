"""Reading addresses: what people and programs write in header fields and arguments.

`parse_list` takes an address list as RFC 5322 section 3.4 defines it, with the
obsolete forms of section 4.4 (routes, blanks around dots and the at sign, empty list
members), and besides what real programs write: semicolons as separators, display
names full of specials, an angle or a parenthesis that is never closed. It yields
`Mailbox`es, each with the span of its addr-spec in the source, so that a bare name
can be completed in place.

What cannot be read with one clear meaning is refused rather than guessed: a message
to the wrong person is worse than one that is not sent.

Reading takes time linear in the length of the text, whatever the text: the scanner
jumps from one special character to the next and never looks back.

What is read here is not fit for a command yet: `address.make` sees to that.
"""

from __future__ import annotations

from ssmtp.errors import InputRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_BLANKS = " \t\r\n"
_SPECIALS = '"\\()<>[],;:@'
# Maps every character at which the scanner has to stop to NUL, so that one `find`
# jumps over everything that means nothing.
_STOPS = {ord(c): "\0" for c in _SPECIALS + _BLANKS}

# One message names the same address again and again: in the envelope, in its header,
# in each check. What was read is remembered; when there are too many, from anew.
_KNOWN_MOST = 1000  # texts
_KNOWN_LENGTH = 256  # characters of one
_known: dict[str, list[Mailbox]] = {}


class Mailbox:
    """One mailbox as it was found in a text; nobody changes what `parse_list` returns.

    `local` is without quotes; `domain` is None for a bare name; `start` and `end` are
    the span of the addr-spec in the source, quotes included. `closing` is the text
    that has to be inserted at `end` to close what the writer left open. A phrase that
    names nobody's address has an empty `local` (only where the caller asked for such).
    """

    __slots__ = ("_phrase", "closing", "domain", "end", "local", "start")

    def __init__(
        self,
        phrase: str,
        local: str,
        domain: str | None,
        start: int,
        end: int,
        closing: str = "",
    ) -> None:
        self._phrase = phrase
        self.local = local
        self.domain = domain
        self.start = start
        self.end = end
        self.closing = closing

    @property
    def name(self) -> str:
        """The display name, or the comment that stands for one, decoded."""
        if "=?" in self._phrase:
            from ssmtp.encodedword import decode

            return decode(self._phrase)
        return self._phrase

    def __repr__(self) -> str:
        return f"<Mailbox {self._phrase!r} {self.local!r} {self.domain!r}>"


# A token: what it is, and where it begins and ends. The kinds are "a" (atom),
# "q" (quoted string), "c" (comment), "l" (domain literal), "x" (a special out of its
# place: harmless in a display name, refused in an address), and the separators
# < > , ; : @ as themselves.
Token = tuple[str, int, int]


def tokens(text: str, where: str) -> list[Token]:
    """Cut an address list into tokens (RFC 5322 section 3.2); blanks are left out.

    Raises `InputRefused` for a quoted string that never ends; a comment that never
    ends is taken to end with the text.
    """
    found: list[Token] = []
    stops = text.translate(_STOPS)
    find = stops.find
    size = len(text)
    i = 0
    while i < size:
        j = find("\0", i)
        if j != i:
            if j < 0:
                j = size
            found.append(("a", i, j))
            i = j
            continue
        c = text[i]
        j = i + 1
        if c in _BLANKS:
            pass
        elif c == '"':
            j = _quoted_end(text, find, i)
            if j < 0:
                raise refused(where, "a quote is never closed", text[i:])
            found.append(("q", i, j))
        elif c == "(":
            j = find("\0", j)
            if text[j : j + 1] == ")":  # as nearly all are
                j += 1
            else:
                j = _comment_end(text, find, i)
            found.append(("c", i, j))
        elif c == "[":
            j = _literal_end(text, find, i)
            found.append(("l" if j > i + 1 else "x", i, j))
        elif c in "<>,;:@":
            found.append((c, i, j))
        else:
            found.append(("x", i, j))
        i = j
    return found


def _quoted_end(text: str, find: _Find, i: int) -> int:
    i += 1
    while (i := find("\0", i)) >= 0:
        if text[i] == '"':
            return i + 1
        i += 2 if text[i] == "\\" else 1
    return -1


def _comment_end(text: str, find: _Find, i: int) -> int:
    depth = 0
    while (i := find("\0", i)) >= 0:
        c = text[i]
        if c == "(":
            depth += 1
        elif c == ")":
            depth -= 1
            if not depth:
                return i + 1
        i += 2 if c == "\\" else 1
    return len(text)


def _literal_end(text: str, find: _Find, i: int) -> int:
    """Return the end of a domain literal, or the place after a lone bracket."""
    start = i
    while (i := find("\0", i + 1)) >= 0:
        if text[i] == "]":
            return i + 1
        if text[i] != ":":
            break
    return start + 1


def unquote(text: str) -> str:
    """Return the content of a quoted string: no quotes, escapes or folds."""
    inner = text[1:-1].replace("\r", "").replace("\n", "")
    if "\\" not in inner:
        return inner
    parts = iter(inner.split("\\"))
    out = [next(parts)]
    for part in parts:
        # What stands behind a backslash is meant; nothing, when that is another one.
        out.append(part or "\\" + next(parts, ""))
    return "".join(out)


def parse_list(value: str, where: str, *, phrases: bool = False) -> list[Mailbox]:
    """Read an address list; groups are opened, null addresses left out.

    `where` names the field or argument in the `InputRefused` that is raised for what
    has no clear meaning. With `phrases` a name without any address is no error but a
    `Mailbox` with an empty `local`.
    """
    if len(value) > _KNOWN_LENGTH:
        simple = _parse_simple(value)
    elif (simple := _known.get(value)) is None:
        simple = _parse_simple(value)
        if simple is not None:
            if len(_known) >= _KNOWN_MOST:
                _known.clear()
            _known[value] = simple
    if simple is None:
        return _Reader(value, where, phrases).read()
    return simple.copy()


def _parse_simple(value: str) -> list[Mailbox] | None:
    """Read a list of `a@b`, `Name <a@b>` and `"Name" <a@b>`; None if there is more.

    Most lists are like that, and a hundred thousand recipients should not take a
    second.
    """
    for c in "([:;\\)]":
        if c in value:
            return None
    found = []
    at = 0
    for piece in value.split(","):
        core = piece.strip(_BLANKS)
        if core:
            phrase = ""
            start = at + piece.index(core)
            if core.isalnum():
                found.append(Mailbox("", core, None, start, start + len(core)))
                at += len(piece) + 1
                continue
            if core[-1] == ">":
                phrase, _, core = core[:-1].partition("<")
                start += len(phrase) + 1
                if '"' in phrase:
                    phrase = phrase.rstrip(_BLANKS)
                    if phrase.count('"') != 2 or phrase[0] + phrase[-1] != '""':
                        return None
                    phrase = unquote(phrase).strip(_BLANKS)
                else:
                    phrase = " ".join(phrase.split())
            local, sign, domain = core.partition("@")
            if (
                not local
                or (sign and not domain)
                or "@" in domain
                or "<" in core
                or ">" in core
                or ">" in phrase
                or '"' in core
                or " " in core
                or "\t" in core
                or "\n" in core
                or "\r" in core
                or (not sign and _is_encoded(core))
            ):
                return None
            if domain[-1:] == ".":
                domain = domain[:-1] or domain
            box = Mailbox(
                phrase, local, domain if sign else None, start, start + len(core)
            )
            found.append(box)
        at += len(piece) + 1
    return found


class _Reader:
    """Turns the tokens of one address list into mailboxes."""

    __slots__ = ("comments", "found", "phrases", "text", "where", "words")

    def __init__(self, text: str, where: str, phrases: bool) -> None:
        self.text = text
        self.where = where
        self.phrases = phrases
        self.found: list[Mailbox] = []
        self.words: list[Token] = []
        self.comments: list[Token] = []

    def read(self) -> list[Mailbox]:
        stream = tokens(self.text, self.where)
        angle: Mailbox | None = None
        closed = False  # an angle was seen since the last separator
        i = 0
        while i < len(stream):
            token = stream[i]
            kind = token[0]
            i += 1
            if kind == "c":
                self.comments.append(token)
            elif kind in ",;":
                self._flush(angle, closed)
                angle, closed = None, False
            elif kind == "<":
                if closed:  # a comma was forgotten between two angles
                    self._flush(angle, closed)
                angle, i = self._angle(stream, i)
                closed = True
            elif closed and kind in "aql@x":
                i, more = self._next_angle(stream, i - 1)
                if not more:
                    raise self._refused("text after an address", token[1])
                self._flush(angle, closed)
                angle, closed = None, False
                self.words = [t for t in stream[more:i] if t[0] != "c"]
            elif kind in "aql@x":
                self.words.append(token)
            elif kind == ":":
                # RFC 5322 section 3.4: what stands before it names a group.
                if closed or any(t[0] == "@" for t in self.words):
                    raise self._refused("a colon after an address", token[1])
                self.words = []
                self.comments = []
            else:
                raise self._refused("an angle out of place", token[1])
        self._flush(angle, closed)
        return self.found

    def _next_angle(self, stream: list[Token], i: int) -> tuple[int, int]:
        """Find the next "<" before a separator; return it and where its name began."""
        start = i
        while i < len(stream) and stream[i][0] in "aqlcx@":
            i += 1
        if i < len(stream) and stream[i][0] == "<":
            return i, start
        return i, 0

    def _angle(self, stream: list[Token], i: int) -> tuple[Mailbox | None, int]:
        """Read what follows "<"; return it and where to go on."""
        inner: list[Token] = []
        route = i < len(stream) and stream[i][0] == "@"
        closing = ">"
        while i < len(stream):
            token = stream[i]
            kind = token[0]
            if kind == ">":
                closing = ""
                i += 1
                break
            if route:
                # RFC 5322 section 4.4: obs-route, to be ignored.
                route = kind != ":"
            elif kind in ",;":
                break
            elif kind == "c":
                self.comments.append(token)
            elif kind in "aql@":
                inner.append(token)
            else:
                raise self._refused("a special character in an address", token[1])
            i += 1
        if route:
            raise self._refused("a route without an address", stream[i - 1][1])
        if not inner:
            return None, i
        box = self._addr_spec(inner)
        box.closing = closing
        return box, i

    def _flush(self, angle: Mailbox | None, closed: bool) -> None:
        """End one list member."""
        words, self.words = self.words, []
        comments, self.comments = self.comments, []
        if closed:
            if angle is None:  # the null address: nobody
                return
            box = angle
            box._phrase = self._phrase(words) or self._comment(comments)
        elif words:
            if self.phrases and self._is_phrase(words):
                box = Mailbox(self._phrase(words), "", None, words[0][1], words[-1][2])
            else:
                box = self._addr_spec(words)
                box._phrase = self._comment(comments)
        elif self.phrases and comments:
            at = comments[0][1]
            box = Mailbox(self._comment(comments), "", None, at, at)
        else:
            return
        self.found.append(box)

    def _is_phrase(self, words: list[Token]) -> bool:
        if any(t[0] == "@" for t in words):
            return False
        if len(words) == 1:
            kind, start, end = words[0]
            word = self.text[start:end]
            # `"Backup, daily"`: no user is called so.
            return _is_encoded(word) or (kind == "q" and " " in word)
        return not self._adjoin(words)

    def _phrase(self, words: list[Token]) -> str:
        text = self.text
        parts: list[str] = []
        last = -1
        for kind, s, e in words:
            if parts and s != last:
                parts.append(" ")
            parts.append(unquote(text[s:e]) if kind == "q" else text[s:e])
            last = e
        return "".join(parts).strip(_BLANKS)

    def _comment(self, comments: list[Token]) -> str:
        if not comments:
            return ""
        _, s, e = comments[-1]
        inner = self.text[s + 1 : e - 1 if self.text[e - 1] == ")" else e]
        return " ".join(unquote(f'"{inner}"').split())

    def _adjoin(self, words: list[Token]) -> bool:
        """Whether blanks stand only around dots (RFC 5322 section 4.4)."""
        text = self.text
        for i in range(1, len(words)):
            before, word = words[i - 1], words[i]
            if before[0] == "a" and text[before[2] - 1] == ".":
                continue
            if word[0] != "a" or text[word[1]] != ".":
                return False
        return True

    def _addr_spec(self, words: Sequence[Token]) -> Mailbox:
        start, end = words[0][1], words[-1][2]
        signs = [i for i, t in enumerate(words) if t[0] == "@"]
        if len(signs) > 1:
            raise self._refused("more than one @ in an address", start)
        cut = signs[0] if signs else len(words)
        left, right = list(words[:cut]), list(words[cut + 1 :])
        if not left:
            raise self._refused("nothing before the @", start)
        if signs and not right:
            raise self._refused("nothing after the @", start)
        for kind, s, _ in left:
            if kind not in "aq":
                raise self._refused("a special character in an address", s)
        if not self._adjoin(left):
            raise self._refused("words that are no address", start)
        text = self.text
        local = "".join(
            unquote(text[s:e]) if k == "q" else text[s:e] for k, s, e in left
        )
        if not local:
            raise self._refused("an empty name", start)
        if not signs:
            if _is_encoded(local):
                raise self._refused("a name without an address", start)
            return Mailbox("", local, None, start, end)
        if right[0][0] == "l":
            if len(right) > 1:
                raise self._refused("text after a domain", right[1][1])
            domain = text[right[0][1] : right[0][2]]
        else:
            for kind, s, _ in right:
                if kind != "a":
                    raise self._refused("a special character in a domain", s)
            if not self._adjoin(right):
                raise self._refused("words after a domain", start)
            domain = "".join(text[s:e] for _, s, e in right)
            if len(domain) > 1:
                domain = domain.removesuffix(".")
        return Mailbox("", local, domain, start, end)

    def _refused(self, what: str, at: int) -> InputRefused:
        return refused(self.where, what, self.text[max(0, at - 20) : at + 40])


def _is_encoded(word: str) -> bool:
    """Whether a word can only be the name of a person (RFC 2047 section 5)."""
    return word.startswith("=?") and word.endswith("?=")


def parse_argument(text: str) -> list[Mailbox]:
    """Read a recipient argument: one address, or several with commas between them.

    Blanks around it are forgiven; a control character within is not, because it can
    only be an attempt to write a second command (RFC 5321 section 4.1.2).
    """
    text = text.strip(_BLANKS)
    no_controls(text, "recipient argument")
    return parse_list(text, "recipient argument")


def parse_one(text: str, where: str) -> Mailbox | None:
    """Read a text that names one mailbox; None for the empty text and for `<>`."""
    text = text.strip(_BLANKS)
    no_controls(text, where)
    found = parse_list(text, where)
    if len(found) > 1:
        raise refused(where, "more than one address", text)
    return found[0] if found else None


def no_controls(text: str, where: str) -> None:
    """Refuse C0, DEL, C1, line separators and what was no UTF-8."""
    # All of them, and some harmless blanks, are what Python calls not printable.
    if not text.isprintable() and any(
        c < " "
        or "\x7f" <= c <= "\x9f"
        or c in "\u2028\u2029"
        or "\ud800" <= c <= "\udfff"
        for c in text
    ):
        raise refused(where, "a control character in an address", text)


def refused(where: str, what: str, text: str) -> InputRefused:
    """Return the failure of an address that cannot be one."""
    return InputRefused(f"{where}: {what}: {shown(text)}", "correct the address")


def shown(text: str) -> str:
    """Make a piece of untrusted text fit for one line on a terminal."""
    text = "".join(c if c.isprintable() else "?" for c in text[:80])
    return text if len(text) <= 60 else text[:57] + "..."


if TYPE_CHECKING:
    from typing import Protocol

    class _Find(Protocol):
        def __call__(self, sub: str, start: int, /) -> int: ...
