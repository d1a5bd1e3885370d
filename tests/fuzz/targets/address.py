"""Addresses from anywhere: what is made of them is clean, and read back is the same."""

from __future__ import annotations

from ssmtp import address
from ssmtp.errors import InputRefused
from ssmtp.smtp import lines
from tests.fuzz.choices import Choices


def run(data: bytes) -> None:
    """Read one text as a header field, an argument and a single address."""
    choices = Choices(data)
    way = choices.pick(3)
    text = choices.rest().decode("utf-8", "surrogateescape")
    try:
        if way == 0:
            boxes = address.parse_list(text, "To")
        elif way == 1:
            boxes = address.parse_argument(text)
        else:
            one = address.parse_one(text, "-f")
            boxes = [one] if one is not None else []
    except InputRefused as refused:
        assert refused.what
        return
    for box in boxes:
        assert 0 <= box.start <= box.end <= len(text)
        try:
            made = address.make(box.local, box.domain or "example.org", "recipient")
        except InputRefused as refused:
            assert refused.what
            continue
        _check(made)


def _check(made: address.Address) -> None:
    written = str(made)
    assert not any(char < " " or char == "\x7f" for char in written)
    assert len(made.local.encode("utf-8", "surrogateescape")) <= 64
    again = address.parse_one(written, "again")
    assert again is not None
    assert (made.local, made.domain) == (again.local, again.domain)
    for utf8 in (False, True):
        try:
            line = lines.command(f"RCPT TO:<{made.path(utf8)}>", utf8=utf8)
        except InputRefused:
            assert not written.isascii()
            continue
        assert line.endswith(b">\r\n")
        assert not any(octet < 32 or octet == 127 for octet in line[:-2])
        # Nothing behind the closing bracket: an unquoted > would begin a parameter.
        bare = _unquoted(line[len("RCPT TO:<") : -3])
        assert not set(b" <>") & set(bare)


def _unquoted(path: bytes) -> bytes:
    """Return a path without its quoted local part."""
    if not path.startswith(b'"'):
        return path
    at = 1
    while path[at : at + 1] != b'"':
        at += 2 if path[at : at + 1] == b"\\" else 1
    return path[at + 1 :]
