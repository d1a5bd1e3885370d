"""Encoded words (RFC 2047): text outside ASCII in header fields that must be ASCII."""

from __future__ import annotations

import binascii

# RFC 2047 section 5 (3): what may stand for itself even in a phrase.
_PLAIN = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!*+-/"
_Q = [chr(b) if b in _PLAIN else "_" if b == 32 else f"={b:02X}" for b in range(256)]
_C1 = bytes(range(0x80, 0xA0))
_WORD_MAX = 75


def encode(text: str, longest: int = _WORD_MAX) -> list[str]:
    """Return `text` as encoded words of at most `longest` characters each.

    White space between two of them means nothing to a reader (section 6.2), so the
    caller joins them with a blank or a fold. Bytes that were no UTF-8 (surrogates)
    are labelled with a charset of one octet per character, which loses nothing.
    """
    try:
        data = text.encode()
        charset = "utf-8"
    except UnicodeEncodeError:
        data = text.encode("utf-8", "surrogateescape")
        # ISO 8859-1 has only controls where Windows 1252 has letters.
        latin = len(data.translate(None, _C1)) == len(data)
        charset = "iso-8859-1" if latin else "windows-1252"
    whole = charset == "utf-8"
    room = longest - len(charset) - 7
    cost = _cost(data)
    if cost > (len(data) + 2) // 3 * 4:  # the shorter, or the plainer
        return [
            f"=?{charset}?b?{binascii.b2a_base64(chunk, newline=False).decode()}?="
            for chunk in _chunks(data, room // 4 * 3, whole)
        ]
    if 0 < cost <= room:
        return [f"=?{charset}?q?{''.join(map(_Q.__getitem__, data))}?="]
    return [f"=?{charset}?q?{chunk}?=" for chunk in _q_chunks(data, room, whole)]


def _cost(data: bytes) -> int:
    """Return how long octets become in the Q encoding: three for one that is coded."""
    return len(data) + 2 * len(data.translate(None, _PLAIN + b" "))


def _chunks(data: bytes, room: int, whole: bool) -> list[bytes]:
    """Cut into pieces of at most `room` octets, each as long as it can be.

    With `whole` the cuts are between characters of UTF-8 (RFC 2047 section 5), and a
    character for which there is not enough room stands alone.
    """
    chunks = []
    at = 0
    while at < len(data):
        end = at + room
        if whole:
            while at < end < len(data) and data[end] & 0xC0 == 0x80:
                end -= 1
        if end <= at:
            end = at + 1
            while whole and end < len(data) and data[end] & 0xC0 == 0x80:
                end += 1
        chunks.append(data[at:end])
        at = end
    return chunks


def _q_chunks(data: bytes, room: int, whole: bool) -> list[str]:
    """Write in the Q encoding, and cut that as `_chunks` cuts octets."""
    text = data.decode("latin-1").replace("=", "=3D")
    # The blank comes last: what stands for it is coded itself.
    for octet in set(data.translate(None, _PLAIN + b" =")):
        text = text.replace(chr(octet), _Q[octet])
    text = text.replace(" ", "_")
    chunks = []
    at = 0
    while at < len(text):
        end = at + room
        coded = text.rfind("=", max(at, end - 2), end)
        if coded >= 0 and end < len(text):
            end = coded
        if whole:
            while at < end and _continues(text, end):
                end -= 3
        if end <= at:
            end = at + (3 if text[at] == "=" else 1)
            while whole and _continues(text, end):
                end += 3
        chunks.append(text[at:end])
        at = end
    return chunks


def _continues(text: str, at: int) -> bool:
    """Whether a coded octet stands there that is not the first of its character."""
    return text[at : at + 1] == "=" and text[at + 1] in "89AB"


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
