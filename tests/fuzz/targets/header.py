"""Repair of header and body, whatever was read.

What goes out has fields and nothing else in its header, no bare CR or LF, no NUL, no
line that is too long, no Bcc; and once repaired it stays as it is.
"""

from __future__ import annotations

import re

from ssmtp import intake, message
from ssmtp.errors import ConfigError, InputRefused, UsageError
from ssmtp.message import Message
from tests.fuzz.choices import Choices
from tests.unit import compose

CONFIGS = (
    "",
    "FromLineOverride=yes\n",
    "ForceFrom=yes\nFromLineOverride=yes\n",
    "AddHeader=X-Site: yes\nAddHeader=Bcc: hidden@example.net\nRoot=ops@corp.example\n",
)
ARGUMENTS: tuple[tuple[str, ...], ...] = (
    ("-t",),
    ("rcpt@dest.example",),
    ("-t", "-F", 'Bob "B" <x@y>, Example', "-f", "bob@corp.example"),
    ("-f", "<>", "rcpt@dest.example"),
)
LINE = re.compile(rb"(?:[\x21-\x39\x3b-\x7e]+:|[ \t]+[^ \t\r])[^\r\n\0]*")
ALIASES = {"team": ["ann@dest.example", "bob"]}


def run(data: bytes) -> None:
    """Take octets as a message and look at what would be sent."""
    choices = Choices(data)
    conf = CONFIGS[choices.pick(len(CONFIGS))]
    argv = ARGUMENTS[choices.pick(len(ARGUMENTS))]
    blocks = choices.rest_in_pieces()
    text = b"".join(blocks)
    try:
        sent = compose.send(blocks, *argv, conf=conf, aliases=ALIASES)
    except (InputRefused, UsageError, ConfigError) as refused:
        assert refused.sentence()
        return
    whole = compose.send(text, *argv, conf=conf, aliases=ALIASES)
    assert whole.recipients == sent.recipients
    assert sent.recipients
    for utf8, eightbit in ((False, False), (False, True), (True, True)):
        wire = _wire(sent.message, utf8, eightbit)
        assert wire == _wire(whole.message, utf8, eightbit)
        if wire is not None:
            _check(wire, utf8, eightbit)
            _check_again(wire, utf8, eightbit)


def _wire(mail: Message, utf8: bool, eightbit: bool) -> bytes | None:
    try:
        content = mail.render(utf8, eightbit)
    except InputRefused:
        return None
    wire = b"".join(content.blocks())
    assert content.size == len(wire)
    return wire


def _check(wire: bytes, utf8: bool, eightbit: bool) -> None:
    assert wire.count(b"\r\n") == wire.count(b"\r") == wire.count(b"\n")
    assert b"\0" not in wire
    assert wire.endswith(b"\r\n")
    head, empty, body = wire.partition(b"\r\n\r\n")
    assert empty
    # What is signed, encoded or no text at all is left as it is (see `content`).
    assert eightbit or body.isascii() or b"content-t" in head.lower()
    assert utf8 or head.isascii()
    head.decode()
    lines = head.split(b"\r\n")
    assert lines[0][:1] not in b" \t"
    names = []
    for line in lines:
        assert LINE.fullmatch(line), line
        assert len(line) <= 998
        if line[:1] not in b" \t":
            names.append(line.partition(b":")[0].strip().lower())
    assert not {b"bcc", b"resent-bcc"} & set(names)
    for name in (b"from", b"date", b"message-id", b"to"):
        assert names.count(name) <= 1 or name == b"to", name
    for name in (b"from", b"date", b"message-id"):
        assert name in names, name


def _check_again(wire: bytes, utf8: bool, eightbit: bool) -> None:
    """What was repaired, kept and read back is sent as it would have been."""
    taken = intake.from_blocks(b"", [wire])
    again = _wire(message.restore(taken), utf8, eightbit)
    taken.body.close()
    assert wire == again
