"""Encoded words (RFC 2047): text outside ASCII in header fields that must be ASCII."""

from __future__ import annotations

import binascii

# RFC 2047 section 5 (3): what may stand for itself even in a phrase.
_PLAIN = frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!*+-/"
)
_WORD_MAX = 75


def encode(text: str, longest: int = _WORD_MAX) -> list[str]:
    """Return `text` as encoded words of at most `longest` characters each.

    White space between two of them means nothing to a reader (section 6.2), so the
    caller joins them with a blank or a fold. Bytes that were no UTF-8 (surrogates)
    are labelled with a charset of one octet per character, which loses nothing.
    """
    try:
        units = [c.encode() for c in text]
        charset = "utf-8"
    except UnicodeEncodeError:
        data = text.encode("utf-8", "surrogateescape")
        units = [data[i : i + 1] for i in range(len(data))]
        # ISO 8859-1 has only controls where Windows 1252 has letters.
        charset = "windows-1252" if _has_c1(data) else "iso-8859-1"
    room = longest - len(charset) - 7
    costs = [sum(1 if b in _PLAIN or b == 32 else 3 for b in u) for u in units]
    octets = sum(map(len, units))
    if sum(costs) <= (octets + 2) // 3 * 4:  # the shorter of the two, or the plainer
        return [f"=?{charset}?q?{_q(chunk)}?=" for chunk in _chunks(units, costs, room)]
    sizes = [len(u) for u in units]
    return [
        f"=?{charset}?b?{binascii.b2a_base64(chunk, newline=False).decode()}?="
        for chunk in _chunks(units, sizes, room // 4 * 3)
    ]


def _has_c1(data: bytes) -> bool:
    return any(0x80 <= b <= 0x9F for b in data)


def _chunks(units: list[bytes], costs: list[int], room: int) -> list[bytes]:
    """Cut between characters, never within one (RFC 2047 section 5)."""
    chunks = []
    current: list[bytes] = []
    used = 0
    for unit, cost in zip(units, costs, strict=True):
        if used + cost > room and current:
            chunks.append(b"".join(current))
            current, used = [], 0
        current.append(unit)
        used += cost
    if current:
        chunks.append(b"".join(current))
    return chunks


def _q(data: bytes) -> str:
    return "".join(
        chr(b) if b in _PLAIN else "_" if b == 32 else f"={b:02X}" for b in data
    )


def decode(text: str) -> str:
    """Decode the encoded words in a text; what is malformed stays as it is."""
    out: list[str] = []
    after_word = False
    i = 0
    while True:
        start = text.find("=?", i)
        word, end = _decode_at(text, start) if start >= 0 else (None, 0)
        if start < 0:
            out.append(text[i:])
            return "".join(out)
        if word is None:
            out.append(text[i : start + 2])
            i = start + 2
            after_word = False
            continue
        between = text[i:start]
        if not (after_word and not between.strip(" \t\r\n")):
            out.append(between)
        out.append(word)
        after_word = True
        i = end


def _decode_at(text: str, start: int) -> tuple[str | None, int]:
    """Decode the encoded word that begins at `start`; None if there is none."""
    # Longer ones than the RFC allows are common; the limit keeps this linear.
    end = text.find("?=", start + 2, start + 1000)
    while end >= 0:
        parts = text[start + 2 : end].split("?")
        if len(parts) == 3:
            break
        if len(parts) > 3:
            return None, 0
        end = text.find("?=", end + 1, start + 1000)
    else:
        return None, 0
    charset, how, payload = parts
    if not payload.isascii() or " " in payload:
        return None, 0
    try:
        if how in "bB":
            raw = binascii.a2b_base64(payload + "=" * (-len(payload) % 4))
        elif how in "qQ":
            raw = binascii.a2b_qp(payload.encode(), header=True)
        else:
            return None, 0
        return raw.decode(charset.partition("*")[0], "replace"), end + 2
    except (ValueError, LookupError, binascii.Error):
        return None, 0
