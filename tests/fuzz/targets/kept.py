"""A file of the failed store with any content: read as it is, or told to be damaged."""

from __future__ import annotations

import os

from ssmtp.errors import Failure
from ssmtp.spool import keptfile
from ssmtp.spool.entry import Entry, read, verify
from tests.fuzz.choices import Choices


def run(data: bytes) -> None:
    """Read the octets as a kept message, and write a head of them."""
    fd = os.memfd_create("kept", os.MFD_CLOEXEC)
    try:
        os.write(fd, data)
        entry = Entry("/nowhere/kept", "kept", os.getuid())
        read(entry, fd)
        if not entry.damage:
            verify(entry, fd)
        entry.fd = fd
        assert entry.state in (*keptfile.STATES, "damaged")
        if not entry.damage:
            _check(entry, data)
    finally:
        os.close(fd)
    _check_there_and_back(Choices(data))


def _check(entry: Entry, data: bytes) -> None:
    assert entry.size == len(data) - entry.offset
    assert b"".join(entry.blocks()) == data[entry.offset :]
    try:
        envelope = entry.envelope
        entry.options()
        taken = entry.intake()
    except Failure as failure:
        assert failure.sentence()
        return
    taken.body.close()
    if entry.head.kind == "repaired":
        assert envelope is not None
        assert envelope.recipients
        for recipient in envelope.recipients:
            assert not any(char < " " for char in str(recipient))


def _check_there_and_back(choices: Choices) -> None:
    def text() -> str:
        return choices.octets(40).decode("utf-8", "surrogateescape")

    head = keptfile.Head("id")
    head.kind = "repaired"
    head.reason, head.reply, head.message_id, head.config_path = (
        text() for _ in range(4)
    )
    head.arguments = [text() for _ in range(choices.pick(4))]
    head.reverse_path = text()
    head.recipients = [text() for _ in range(1 + choices.pick(3))]
    head.envid = text()
    written = head.render()
    assert written.endswith(b"\n\n")
    assert written.count(b"\n\n") == 1
    again = keptfile.parse(written[:-2])
    for name in ("reason", "reply", "message_id", "config_path", "arguments"):
        assert getattr(head, name) == getattr(again, name), name
    for name in ("reverse_path", "recipients", "envid"):
        assert getattr(head, name) == getattr(again, name), name
