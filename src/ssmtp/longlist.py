"""Address lists of many kilobytes: what needs no change is passed over at once.

`addresslist` reads a list token by token. Here a long one is cut into its members by
the regular expressions of the standard library, and a member that stands there many
times is looked at once. What they cannot cut, or what has no clear meaning, is left to
`addresslist`: nothing is decided here that it would decide in another way.
"""

from __future__ import annotations

import sys

from ssmtp import addresslist
from ssmtp.errors import ConfigError, InputRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from ssmtp.accounts import LocalNames

# Loading regular expressions takes as long as reading some 100 KiB without them.
_PATTERNS_FROM = 1 << 17
# Stands in no text: what was no UTF-8 are surrogates of the other half.
_CUT = "\ud800"
_SEPARATORS = ",; \t\r\n"


def _any(*alternatives: str) -> str:
    """Return the pattern of any number of these, which are never tried in other ways.

    The last one never matches: Python before 3.11.5 steps back for nothing else.
    """
    return f"(?:{'|'.join(alternatives)}|(?!))*+"


_BLANK = r"[ \t\r\n]"
_ATOM = r'[^"\\()<>\[\],;:@ \t\r\n]++'
_LITERAL = r'\[[^"\\()<>\[\],;@ \t\r\n]*+\]'
_QUOTED = '"[^"\\\\]*+' + _any(r'\\.[^"\\]*+') + '"'
# Comments may stand in comments (RFC 5322 section 3.2.2); so deep, here.
_COMMENT = r"\([^()\\]*+" + _any(r"\\.[^()\\]*+") + r"\)"
for _ in range(2):
    _COMMENT = r"\([^()\\]*+" + _any(rf"(?:\\.|{_COMMENT})[^()\\]*+") + r"\)"
_SPACE = _any(f"{_BLANK}++", rf"\([^()\\]*+\){_BLANK}*+", _COMMENT)
_ADDRESS = rf'(?:{_ATOM}|"[^"\\\r\n]++")@(?:{_ATOM}|{_LITERAL})'
_PHRASE = _any(r'[^"\\()<>\[\],;:@]++', _QUOTED, _COMMENT)
_ANGLE = rf"{_PHRASE}<{_BLANK}*+{_ADDRESS}{_BLANK}*+>"
_MEMBER = rf"{_SPACE}(?:{_ADDRESS}{_SPACE}|{_ANGLE}{_SPACE}|)"
# Addresses that are complete, and nothing else; names of groups before them.
_WHOLE = _any(f"{_MEMBER}[,;]", f"{_PHRASE}:") + rf"{_MEMBER}\Z"
# One bare name.
_LONE = (
    rf"{_SPACE}(?:({_ATOM}){_SPACE}|{_PHRASE}<{_BLANK}*+({_ATOM}){_BLANK}*+>{_SPACE})"
    r"[,;]?\Z"
)
# Where a quote or a comment is never closed, the last alternative takes the rest.
_PIECE = _any('[^",;(]++', _QUOTED, _COMMENT) + r"(?:[,;]|\Z|.++)"
_HIDDEN = rf'{_QUOTED}|{_COMMENT}|(["(].*+)'

_compiled: dict[str, re.Pattern[str]] = {}


def _pattern(text: str) -> re.Pattern[str]:
    found = _compiled.get(text)
    if found is None:
        import re  # only for what is long

        found = _compiled[text] = re.compile(text, re.DOTALL)
    return found


def _pays(text: str) -> bool:
    """Whether regular expressions are there, or the text is worth loading them."""
    return len(text) >= _PATTERNS_FROM or "re" in sys.modules


def cut(text: str, where: str) -> list[str]:
    """Cut a list behind each comma and semicolon outside quotes and comments.

    Raises `InputRefused` for a quote that is never closed.
    """
    if '"' not in text and "(" not in text and _CUT not in text:
        text = text.replace(",", "," + _CUT)
        return text.replace(";", ";" + _CUT).split(_CUT)
    if _pays(text):
        pieces: list[str] = _pattern(_PIECE).findall(text)
        last = _masked_quickly(pieces[-2] if len(pieces) > 1 else "")
        if '"' not in last and "(" not in last:
            return pieces
    ends = [end for kind, _, end in addresslist.tokens(text, where) if kind in ",;"]
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


def masked(text: str) -> str:
    """Return a text of the same length, with nothing in quotes and comments.

    Raises `InputRefused` for a quote that is never closed.
    """
    if '"' not in text and "(" not in text:
        return text
    if _pays(text):
        quickly = _masked_quickly(text)
        if '"' not in quickly and "(" not in quickly:
            return quickly
    out: list[str] = []
    at = 0
    for kind, start, end in addresslist.tokens(text, ""):
        if kind in "qc":
            out += (text[at:start], "_" * (end - start))
            at = end
    return "".join(out) + text[at:]


def _masked_quickly(text: str) -> str:
    """Mask what is closed; the rest stays behind what is not."""
    return _pattern(_HIDDEN).sub(
        lambda m: m[0] if m.lastindex else "_" * len(m[0]), text
    )


def completed(
    text: str, where: str, names: LocalNames, complete: Callable[[str], str]
) -> str | None:
    """Return a list with its bare names completed; None for one to be read as a whole.

    `complete` does it for one member, and raises `InputRefused` or `ConfigError`.
    """
    if _pays(text) and "@" in text and _pattern(_WHOLE).match(text):
        return text
    try:
        pieces = cut(text, where)
        if len(pieces) < 3:
            return None
        done = dict.fromkeys(pieces, "")
        bare: dict[str, str] = {}
        spans: dict[str, tuple[int, int]] = {}
        for piece in done:
            name = piece.strip(_SEPARATORS)
            if name.isalnum() or _is_plain(name):
                bare[piece] = name
            elif not _pays(text):
                done[piece] = complete(piece)
            elif "@" in piece and _pattern(_WHOLE).match(piece):
                done[piece] = piece
            else:
                found = _pattern(_LONE).match(piece)
                number = (found and found.lastindex) or 0
                if found and _is_plain(found[number]):
                    spans[piece] = found.span(number)
                else:
                    done[piece] = complete(piece)
        asked = [*bare.values(), *[p[a:b] for p, (a, b) in spans.items()]]
        suffix, others = names.suffix(asked)
        for piece, name in bare.items():
            if others and name in others:
                done[piece] = complete(piece)
            else:
                done[piece] = piece.replace(name, name + suffix, 1)
        for piece, (start, end) in spans.items():
            if piece[start:end] in others:
                done[piece] = complete(piece)
            else:
                done[piece] = piece[:end] + suffix + piece[end:]
    except (InputRefused, ConfigError):
        return None
    return "".join(map(done.__getitem__, pieces))


def _is_plain(name: str) -> bool:
    """Whether a name needs no quotes, and is nothing but one."""
    return (
        name.replace(".", "").replace("-", "").replace("_", "").isalnum()
        and name[0] != "."
        and name[-1] != "."
        and ".." not in name
    )
