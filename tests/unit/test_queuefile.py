"""The form of a queued message: it comes back as it was written, or not at all."""

from __future__ import annotations

import binascii
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp.spool import queueentry, queuefile, queuerecords, queuewriter
from ssmtp.spool.queuefile import Damaged, Draft, Entry, Newer, Recipient

NAME = "20231114T221320-1000-" + "b" * 26
CONTENT = b"Subject: test\r\n\r\nHello\r\n"

# Whatever Python can hold as text that came in as octets.
texts = st.text(
    st.characters(exclude_categories=["Cs"]) | st.integers(0xDC80, 0xDCFF).map(chr),
    max_size=30,
)
wishes = st.none() | texts
recipients = st.builds(Recipient, texts, wishes, wishes)
drafts = st.builds(
    Draft,
    st.integers(0, 2**32 - 1),
    texts,
    texts,
    st.lists(recipients, min_size=1, max_size=5),
    header=st.integers(0, 10**6),
    message_id=texts,
    kind=st.sampled_from(sorted(queuefile.KINDS)),
    smtputf8=st.booleans(),
    eightbit=st.booleans(),
    ret=wishes,
    envid=wishes,
    body=wishes,
    mailhubs=st.lists(texts, max_size=3),
    time=st.integers(1, 253402300799),
)


def written(draft: Draft, blocks: list[bytes], records: bytes = b"") -> bytes:
    with tempfile.TemporaryFile() as file:
        size = queuewriter.fill(file.fileno(), draft, NAME, blocks)
        text = os.pread(file.fileno(), size + 1, 0)
    assert size == len(text)
    return text + records


def read(text: bytes, *, lock: bool = True) -> tuple[Entry, bytes]:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, NAME).write_bytes(text)
        folder = os.open(directory, os.O_RDONLY)
        try:
            opened = queueentry.open_entry(NAME, folder, os.getuid(), lock=lock)
            assert opened is not None
            fd, entry, _ = opened
            try:
                return entry, b"".join(queueentry.blocks(fd, entry, 0))
            finally:
                os.close(fd)
        finally:
            os.close(folder)


def plain() -> Draft:
    return Draft(1000, "bob", "bob@example.org", [Recipient("ann@example.org")], time=1)


@given(drafts, st.lists(st.binary(max_size=100), max_size=4))
def test_every_draft_comes_back(draft: Draft, blocks: list[bytes]) -> None:
    """Whatever stands in an envelope, no line of the file says anything else."""
    found, content = read(written(draft, blocks))

    assert b"".join(blocks) == content
    for attribute in Draft.__slots__:
        if attribute != "recipients":
            assert getattr(draft, attribute) == getattr(found, attribute)
    assert [[r.address, r.notify, r.orcpt] for r in draft.recipients] == [
        [r.address, r.notify, r.orcpt] for r in found.recipients
    ]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 9), st.sampled_from(sorted(queuefile.OUTCOMES)), texts
        ),
        max_size=12,
    )
)
def test_every_outcome_comes_back(outcomes: list[tuple[int, str, str]]) -> None:
    """The last word on each recipient is what is read, whatever the mailhub said."""
    draft = plain()
    draft.recipients = [Recipient(f"r{n}@example.org") for n in range(10)]
    records = [r for one in outcomes for r in queuerecords.of_outcomes([one], 5)]
    lines = b"".join(map(queuerecords.render, records))
    found, _ = read(written(draft, [CONTENT], lines))
    own, _ = read(written(draft, [CONTENT]))
    for record in records:
        queuerecords.apply(own, record)
    wanted = {number: (state, reply) for number, state, reply in outcomes}

    for entry in (found, own):
        assert [wanted.get(n, ("waiting", "")) for n in range(10)] == [
            (recipient.state, recipient.reply) for recipient in entry.recipients
        ]


@given(st.sampled_from("begin next warned held failed done requeued".split()), texts)
def test_who_writes_a_record_knows_what_others_read(name: str, details: str) -> None:
    """A message is to its sender what it is to everybody who opens it later."""
    record = (name, 1_700_000_000.75, details)
    found, _ = read(WHOLE[0] + queuerecords.render(record))
    own, _ = read(WHOLE[0])
    queuerecords.apply(own, record)

    for attribute in Entry.__slots__:
        if attribute != "size":
            assert getattr(own, attribute) == getattr(found, attribute)


@given(st.sets(st.integers(0, 200), min_size=1))
def test_recipients_that_agree_share_a_line(numbers: set[int]) -> None:
    """A thousand recipients that were all deferred cost one line."""
    outcomes = [(number, "deferred", "451") for number in numbers]
    (record,) = queuerecords.of_outcomes(outcomes, 5)
    line = queuerecords.render(record)
    draft = plain()
    draft.recipients = [Recipient(f"r{n}@example.org") for n in range(201)]
    found, _ = read(written(draft, [CONTENT], line))

    assert numbers == {
        at for at, one in enumerate(found.recipients) if one.state == "deferred"
    }


def test_a_thousand_recipients_are_a_short_range() -> None:
    """The line names the first and the last of a run."""
    outcomes = [(number, "sent", "250 OK") for number in range(1000)]
    (record,) = queuerecords.of_outcomes(outcomes, 5)
    line = queuerecords.render(record)

    assert line.startswith(b"sent: 1970-01-01T00:00:05Z 0-999 250 OK ")


def _cases() -> list[bytes]:
    small = written(plain(), [CONTENT])
    return [small, written(plain(), [CONTENT, b"x" * 100_000])]


WHOLE = _cases()


@given(st.sampled_from(WHOLE), st.data())
def test_no_change_goes_unseen(text: bytes, data: st.DataObject) -> None:
    """A file in which an octet has changed is not sent; nor is one that was cut."""
    at = data.draw(st.integers(0, len(text) - 1))
    changed = bytearray(text)
    changed[at] ^= data.draw(st.integers(1, 255))
    for bad in (bytes(changed), text[:at], text[:at] + text[at + 1 :]):
        with pytest.raises((Damaged, Newer)):
            read(bad)


@given(st.binary(max_size=400))
def test_any_file_is_damaged_or_newer(text: bytes) -> None:
    """What is no message is found to be none, and does nothing else."""
    for bad in (text, queuefile.FIRST_LINE + text, WHOLE[0][:60] + text):
        with pytest.raises((Damaged, Newer)):
            read(bad)


@given(st.binary(max_size=200), st.booleans())
def test_no_record_spoils_the_message(tail: bytes, whole: bool) -> None:
    """Whatever stands below the trailer, the message itself stays what it is."""
    if whole:
        tail = tail.replace(b"\n", b"")
        tail += b" %08x\n" % binascii.crc32(tail)
    found, content = read(WHOLE[0] + tail)

    assert CONTENT == content
    assert ["ann@example.org"] == [one.address for one in found.recipients]


@pytest.mark.parametrize(
    "record",
    ["sent: T 7 250", "sent: T -1", "sent: T 0-9", "sent: T x", "sent: 1 0", "x", ""],
)
def test_records_about_nobody_are_passed_over(record: str) -> None:
    """A record whose recipient does not exist says nothing about the others."""
    record = record.replace("T", "1970-01-01T00:00:05Z")
    line = b"%s %08x\n" % (record.encode(), binascii.crc32(record.encode()))
    found, _ = read(WHOLE[0] + line)

    assert "waiting" == found.recipients[0].state


def test_a_kind_of_a_later_version_is_left_alone() -> None:
    """A message of an unknown kind is for a later version, not damaged."""
    draft = plain()
    draft.kind = "report"
    with pytest.raises(Newer):
        read(written(draft, [CONTENT]))


@pytest.mark.parametrize("cut", range(len(queuefile.FIRST_LINE)))
def test_a_file_cut_in_its_first_line_is_damaged(cut: int) -> None:
    """What was cut is nothing that a later version could make sense of."""
    with pytest.raises(Damaged):
        read(WHOLE[0][:cut])


@pytest.mark.parametrize("line", [b"2", b"10", b"999"])
def test_the_number_of_a_later_version(line: bytes) -> None:
    """Any other number in the first line is a later version's."""
    with pytest.raises(Newer):
        read(b"ssmtp queued message " + line + b"\n" + WHOLE[0][23:])


@pytest.mark.parametrize("line", [b"", b"x", b"1 ", b" 1", b"\xb2", b"-1", b"1\0"])
def test_what_is_no_number_is_damaged(line: bytes) -> None:
    """A first line without a number was written by no version."""
    with pytest.raises(Damaged):
        read(b"ssmtp queued message " + line + b"\n" + WHOLE[0][23:])


def test_a_kind_that_has_changed_is_damaged() -> None:
    """A kind that is unknown because the disk changed it is no later version's."""
    text = WHOLE[0].replace(b"\nkind: message\n", b"\nkind: messagf\n")
    with pytest.raises(Damaged):
        read(text)


def test_many_records_are_read_in_blocks() -> None:
    """A message that was tried for days is read like a new one."""
    begin = queuerecords.render(("begin", 5, "1"))
    reply = queuerecords.render(("deferred", 5, "0 451 " + "x" * 500))
    found, _ = read(WHOLE[0] + (begin + reply) * 500)

    assert (500, 0) == (found.attempts, found.crashed)


def test_holes_below_the_trailer_are_a_torn_line() -> None:
    """However long a file has become, what stands in it is read at once."""
    torn = queuerecords.render(("deferred", 5, "0 451 not now"))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, NAME)
        path.write_bytes(WHOLE[0] + torn)
        os.truncate(path, 1 << 40)
        folder = os.open(directory, os.O_RDONLY)
        opened = queueentry.open_entry(NAME, folder, os.getuid(), lock=True)
        assert opened is not None
        fd, entry, _ = opened
        os.close(fd)
        os.close(folder)

        assert "451 not now" == entry.recipients[0].reply
        assert WHOLE[0] + torn == path.read_bytes()


def test_a_record_of_many_recipients_may_be_long() -> None:
    """A line that fills several blocks is one record."""
    numbers = range(0, 60_000, 2)
    draft = plain()
    draft.recipients = [Recipient("a@b.c") for _ in range(60_000)]
    records = queuerecords.of_outcomes([(n, "deferred", "451") for n in numbers], 5)
    line = queuerecords.render(records[0])
    begin = queuerecords.render(("begin", 9, "1"))
    found, _ = read(written(draft, [CONTENT], begin + line + begin))

    assert len(line) > 2 * queueentry.BLOCK
    assert len(numbers) == sum(one.reply == "451" for one in found.recipients)
    assert 2 == found.attempts


def test_every_word_is_described() -> None:
    """Whoever reads a file with `cat` finds all that may stand there explained."""
    draft = Draft(1, "bob", "", [Recipient("a@b.c", "NEVER", "rfc822;a")], header=1)
    draft.message_id = draft.ret = draft.envid = draft.body = "x"
    draft.smtputf8 = draft.eightbit = True
    draft.mailhubs = ["hub"]
    head = queuefile.render_head(draft, NAME).decode().split("\n")[1:-2]
    text = queuefile.__doc__ or ""
    records = "begin next warned held released failed requeued done".split()

    assert [] == [line for line in head if f"\n    {line.split()[0]} " not in text]
    for word in (*queuefile.OUTCOMES, *records):
        assert f"`{word}`" in text or f"\n    {word}: " in text
