"""Replies from octets cut anywhere: those of a strict reading, clean, within limits."""

from __future__ import annotations

from ssmtp.smtp.reply import DOTS, LINES_MOST, Garbled, Inbox, Reply, forms
from tests.fuzz import reference
from tests.fuzz.choices import Choices

SECRET = "s3cr ét"


def run(data: bytes) -> None:
    """Take replies as they come, and compare with all of them at once."""
    pieces = Choices(data).rest_in_pieces()
    taken, garbled = _take(pieces)
    codes, more = reference.replies(b"".join(pieces))

    assert codes == [reply.code for reply in taken]
    assert more or not garbled
    for reply in taken:
        _check(reply)


def _take(pieces: list[bytes]) -> tuple[list[Reply], bool]:
    inbox = Inbox()
    taken = []
    for piece in pieces:
        inbox.feed(piece)
        try:
            while (reply := inbox.take()) is not None:
                taken.append(reply)
        except Garbled as garbled:
            assert garbled.why
            return taken, True
    return taken, False


def _check(reply: Reply) -> None:
    assert 1 <= len(reply.lines) <= LINES_MOST
    assert all(line.isprintable() for line in reply.lines)
    assert reply.text.isprintable()
    assert len(str(reply)) <= 610
    if reply.status is not None:
        kind, subject, detail = reply.status.split(".")
        assert kind == str(reply.code)[0]
        assert (subject + detail).isdigit()
    hidden = forms(SECRET)
    clean = reply.without(tuple(hidden))
    assert reply.code == clean.code
    assert not any(form in line for form in hidden for line in clean.lines)
    assert clean is not reply or DOTS not in "".join(forms(SECRET))
