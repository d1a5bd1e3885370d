"""What is read from standard input, and what is made of its lines."""

from __future__ import annotations

import fcntl
import os
import posix
import threading

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ssmtp import header, intake
from ssmtp.errors import InputUnreadable
from tests.unit import strategies as mine

MBOX = b"From someone Sat Nov 21 19:00:00 2026\n"


def take(*blocks: bytes) -> intake.Intake:
    return intake.from_blocks(b"", blocks)


def parts(taken: intake.Intake) -> tuple[bytes, bytes]:
    return taken.header, b"".join(taken.body.blocks())


def piped(data: bytes, *, dot_ends: bool = False) -> intake.Intake:
    """Send data through a pipe, as a caller would."""
    out, into = os.pipe()

    def write() -> None:
        with os.fdopen(into, "wb") as stream:
            stream.write(data)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return intake.read(out, dot_ends=dot_ends, hint=False)
    finally:
        os.close(out)
        writer.join()


@pytest.mark.parametrize(
    ("data", "section", "body"),
    [
        (b"", b"", b""),
        (b"\n", b"", b""),
        (b"\n\n\n", b"", b"\r\n\r\n"),
        (b"Subject: s", b"Subject: s\n", b""),
        (b"Subject: s\n", b"Subject: s\n", b""),
        (b"Subject: s\n\n", b"Subject: s\n", b""),
        (b"Subject: s\n\nb", b"Subject: s\n", b"b\r\n"),
        (b"Subject: s\r\n\r\nb\r\n", b"Subject: s\n", b"b\r\n"),
        (b"Subject: s\r\nX: y\n\nb\r\nc\n", b"Subject: s\nX: y\n", b"b\r\nc\r\n"),
        (b"Subject: s\n\tt\n\nb\n", b"Subject: s\n\tt\n", b"b\r\n"),
        (b"Subject: s\n \n\nb\n", b"Subject: s\n \n", b"b\r\n"),
        (b"\nbody\nmore\n", b"", b"body\r\nmore\r\n"),
        (b"\nSubject: no field\n\nb\n", b"", b"Subject: no field\r\n\r\nb\r\n"),
        (b"just text\nmore: x\n\nb\n", b"", b"just text\r\nmore: x\r\n\r\nb\r\n"),
        (b"hi", b"", b"hi\r\n"),
        (b" folded\nSubject: x\n\nb\n", b"", b" folded\r\nSubject: x\r\n\r\nb\r\n"),
        (b"begin 644 a\n#86)C\n`\n", b"", b"begin 644 a\r\n#86)C\r\n`\r\n"),
        (b": x\nSubject: y\n", b"", b": x\r\nSubject: y\r\n"),
        (b"http://x.example/ is down\n", b"", b"http://x.example/ is down\r\n"),
        (b"X-Url://x.example/\n\nb\n", b"X-Url://x.example/\n", b"b\r\n"),
        (b"Subject: s\n.\nX: y\n\nb\n", b"Subject: s\n", b".\r\nX: y\r\n\r\nb\r\n"),
        (b"Subject: s\nDear all,\n", b"Subject: s\n", b"Dear all,\r\n"),
        (b".X: y\n\nb\n", b".X: y\n", b"b\r\n"),
        (MBOX + b"Subject: s\n\nb\n", b"Subject: s\n", b"b\r\n"),
        (MBOX[:-1] + b"\r\nS: s\r\n\r\nb\r\n", b"S: s\n", b"b\r\n"),
        (b">" + MBOX + b"Subject: s\n\nb\n", b"Subject: s\n", b"b\r\n"),
        (MBOX + b">" + MBOX + b"Subject: s\n\nb\n", b"Subject: s\n", b"b\r\n"),
        (MBOX + b"\nb\n", b"", b"b\r\n"),
        (MBOX, b"", b""),
        (b"From x\nSubject: s\n\nb\n", b"Subject: s\n", b"b\r\n"),
        (b"From x\n>From y\nSubject: s\n", b"Subject: s\n", b""),
        (b"From now on it works", b"", b"From now on it works\r\n"),
        (b"From now on\nit works\n", b"", b"From now on\r\nit works\r\n"),
        (b"From : a@x\nSubject: s\n\nb\n", b"From : a@x\nSubject: s\n", b"b\r\n"),
        (b"Subject: s\n\n" + MBOX, b"Subject: s\n", MBOX[:-1] + b"\r\n"),
        (b"S: a\n\na\rb\r\n\rc\n", b"S: a\n", b"a b\r\n c\r\n"),
        (b"S: a\n\na\r\r\nb\n", b"S: a\n", b"a \r\nb\r\n"),
        (b"S: a\n\na\r.\rb\n", b"S: a\n", b"a . b\r\n"),
        (b"S: a\n\nb\r", b"S: a\n", b"b \r\n"),
        (b"S: a\rb\n\nc\n", b"S: a b\n", b"c\r\n"),
        (b"S: a\n\n\0\nb\0\n", b"S: a\n", b"?\r\nb?\r\n"),
        (b"S: \0\n\nb\n", b"S: \0\n", b"b\r\n"),
    ],
)  # fmt: skip
def test_what_is_made_of_it(data, section, body):
    """Header section and body are found as section 3 of the issue wants."""
    assert (section, body) == parts(take(data))
    assert (section, body) == parts(piped(data))


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (b"S: a\n\nb\rc\r\r\n", "2 CR outside of line ends replaced by blanks"),
        (b"S: a\n\n\0\0\n", "2 NUL replaced by question marks"),
        (MBOX + b"S: a\n\n", "mbox line at the beginning dropped"),
        (b"S: a\ntext\n", "the body begins without an empty line before it"),
        (b"S: a\n\nb\n", None),
        (b"text\n", None),
    ],
)
def test_notes(data, note):
    """Each repair is noted for the log, and nothing else is."""
    assert ([note] if note else []) == take(data).notes


@given(st.data(), mine.raw_bytes)
@example(None, b"a\r\n")
def test_blocks_do_not_matter(data, raw):
    """However a pipe cuts the message into blocks, the same is read."""
    for prefix in (b"", b"Subject: s\n", b"Subject: s\n\n", MBOX, b"From now "):
        whole = take(prefix + raw)
        blocks = data.draw(mine.splits(prefix + raw)) if data else [prefix, raw]
        cut = take(*blocks)

        assert parts(whole) == parts(cut)
        assert whole.notes == cut.notes
        assert whole.separated == cut.separated
        assert (whole.body.size, whole.body.long_lines) == (
            cut.body.size,
            cut.body.long_lines,
        )
        assert (whole.body.eightbit, whole.body.utf8) == (
            cut.body.eightbit,
            cut.body.utf8,
        )


@given(mine.raw_bytes)
def test_nothing_but_crlf(raw):
    """No CR or LF outside of a pair and no NUL leaves, and every line has its end."""
    for prefix in (b"", b"Subject: s\n\n"):
        section, body = parts(take(prefix + raw))
        rest = body.replace(b"\r\n", b"")

        assert b"\r" not in rest
        assert b"\n" not in rest
        assert b"\0" not in rest
        assert b"\r" not in section
        assert not body or body.endswith(b"\r\n")
        assert not section or section.endswith(b"\n")


@given(mine.raw_bytes)
def test_the_header_holds_fields_only(raw):
    """Every line of the header section is a field or continues one."""
    section = take(raw).header
    lines = section.split(b"\n")[:-1]

    assert all(header.is_field(x) or x[:1] in (b" ", b"\t") for x in lines)
    assert not lines or header.is_field(lines[0])


@given(st.lists(mine.field_lines, max_size=4), mine.body_lines)
def test_line_ends_do_not_matter(fields, lines):
    """CRLF and LF input become the same octets."""
    text = "".join(f"X: {f}\n" for f in fields) + "\n" + "\n".join(lines)
    plain = take(text.encode())
    crlf = take(text.encode().replace(b"\n", b"\r\n"))

    assert parts(plain) == parts(crlf)


@given(st.lists(mine.field_lines, max_size=4), mine.body_lines)
def test_text_survives(fields, lines):
    """Nothing of a well-formed message is lost or changed."""
    section = "".join(f"X: {f}\n" for f in fields).encode()
    body = "".join(f"{line}\n" for line in lines).encode()
    taken = take(section + b"\n" + body)

    assert (section, body.replace(b"\n", b"\r\n")) == parts(taken)
    assert [] == taken.notes


@given(mine.raw_bytes)
def test_read_again(raw):
    """A message that was kept as it was read is the same message when read again."""
    for prefix in (b"", b"Subject: s\n", b"Subject: s\n\n"):
        first = take(prefix + raw)
        again = take(*first.blocks())

        assert parts(first) == parts(again)


def test_header_section_handed_in():
    """A header section that is known is taken with the body that belongs to it."""
    taken = intake.from_blocks(
        b"Subject: s\r\nX: y", [b"Not: a field\n", b"b\r", b"\n"]
    )

    assert (b"Subject: s\nX: y\n", b"Not: a field\r\nb\r\n") == parts(taken)


@pytest.mark.parametrize(
    ("data", "section", "body"),
    [
        (b"S: a\n\nb\n.\nc\n", b"S: a\n", b"b\r\n"),
        (b"S: a\n\nb\r\n.\r\nc\n", b"S: a\n", b"b\r\n"),
        (b"S: a\n\n.\nc\n", b"S: a\n", b""),
        (b"S: a\n.\nc: d\n", b"S: a\n", b""),
        (b".\nS: a\n", b"", b""),
        (b"S: a\n\nb\n.", b"S: a\n", b"b\r\n"),
        (
            b"S: a\n\nb\n..\n.c\n .\n. \nd.\n",
            b"S: a\n",
            b"b\r\n..\r\n.c\r\n .\r\n. \r\nd.\r\n",
        ),
        (b"S: a\n\nb", b"S: a\n", b"b\r\n"),
    ],
)
def test_lone_dot(data, section, body):
    """A line of one dot ends the message where that is wanted."""
    assert (section, body) == parts(piped(data, dot_ends=True))


def test_lone_dot_is_data():
    """Elsewhere a line of one dot is a line like any other."""
    assert (b"S: a\n", b".\r\nb\r\n") == parts(piped(b"S: a\n\n.\nb\n"))


@given(
    st.data(),
    st.lists(st.sampled_from([b".", b"\n", b"\r\n", b"a", b".."]), max_size=20),
)
def test_lone_dot_in_blocks(data, pieces):
    """The dot is found wherever the blocks are cut."""
    raw = b"S: a\n\n" + b"".join(pieces)
    expected = parts(intake._gather([raw], True))
    cut = intake._gather(data.draw(mine.splits(raw)), True)

    assert expected == parts(cut)
    lines = expected[1].split(b"\r\n")
    assert b"." not in lines


def test_overflow():
    """A header section without an end does not fill the memory, nor is it lost."""
    field = b"X-Many: value\n"
    taken = take(*[field * 1000] * 100)

    assert taken.overflow
    assert len(taken.header) < header.SECTION_MAX + 100_000
    whole = b"".join(taken.blocks())
    assert (field * 100_000).replace(b"\n", b"\r\n") == whole
    taken.body.close()


def test_overflow_of_one_line():
    """Nor does a field that never ends."""
    taken = take(b"Subject: ", *[b"x" * 65536] * 40)

    assert taken.overflow
    assert len(taken.header) <= header.SECTION_MAX + 65536
    assert b"Subject: " + b"x" * 65536 * 40 + b"\r\n" == b"".join(taken.blocks())
    taken.body.close()


def test_text_of_one_line():
    """A text without fields may be one line of any length."""
    taken = take(*[b"x" * 65536] * 40)

    assert not taken.overflow
    assert (b"", 65536 * 40 + 2) == (taken.header, taken.body.size)
    assert taken.body.long_lines
    taken.body.close()


def test_long_continuations():
    """A continuation of any length belongs to its field, where there is one."""
    line = b" " + b"x" * 200_000 + b"\n"
    with_field = take(b"S: a\n", line[:100_000], line[100_000:], b"\nb\n")
    without = take(line[:100_000], line[100_000:], b"\nb\n")

    assert b"S: a\n" + line == with_field.header
    assert b"" == without.header
    assert without.body.long_lines


def test_large_sections_end():
    """A section just under the limit is taken whole."""
    section = b"X: " + b"word\n " * 150_000 + b"end\n"
    taken = take(section + b"\nbody\n")

    assert (section, b"body\r\n") == parts(taken)
    assert not taken.overflow


def test_closed_descriptor():
    """A descriptor that is closed is said to be unreadable: exit code 66."""
    out, into = os.pipe()
    os.close(out)
    os.close(into)
    with pytest.raises(InputUnreadable) as caught:
        intake.read(out, dot_ends=False, hint=False)

    assert 66 == caught.value.exit_code
    assert caught.value.sentence().startswith("standard input cannot be read: ")


def test_unreadable_descriptors(tmp_path):
    """So is a directory, and a descriptor that is open for writing only."""
    for path, flags in ((tmp_path, os.O_RDONLY), ("/dev/null", os.O_WRONLY)):
        fd = os.open(path, flags)
        with pytest.raises(InputUnreadable):
            intake.read(fd, dot_ends=False, hint=False)
        os.close(fd)


def test_descriptor_that_does_not_block():
    """Somebody else's non-blocking descriptor is waited for, and stays as it is."""
    out, into = os.pipe()
    os.set_blocking(out, False)

    def write() -> None:
        for piece in (b"S: a\n", b"\nb\n"):
            os.write(into, piece)
        os.close(into)

    writer = threading.Timer(0.05, write)
    writer.start()
    taken = intake.read(out, dot_ends=False, hint=False)
    writer.join()

    assert (b"S: a\n", b"b\r\n") == parts(taken)
    assert fcntl.fcntl(out, fcntl.F_GETFL) & os.O_NONBLOCK
    os.close(out)


def test_the_descriptor_stays_open(tmp_path):
    """Standard input is neither closed nor changed; a file is read from where it is."""
    path = tmp_path / "message"
    path.write_bytes(b"skipped\nS: a\n\nb\n")
    fd = os.open(path, os.O_RDONLY)
    os.lseek(fd, 8, os.SEEK_SET)
    before = fcntl.fcntl(fd, fcntl.F_GETFL)
    taken = intake.read(fd, dot_ends=False, hint=False)

    assert (b"S: a\n", b"b\r\n") == parts(taken)
    assert before == fcntl.fcntl(fd, fcntl.F_GETFL)
    os.close(fd)


def test_hint_without_standard_error(monkeypatch):
    """A standard error that is closed is no reason not to read the message."""

    def refuse(*_: object) -> int:
        raise OSError

    out, into = os.pipe()
    os.write(into, b"S: a\n\nb\n")
    os.close(into)
    monkeypatch.setattr(posix, "write", refuse)
    taken = intake.read(out, dot_ends=False, hint=True)
    os.close(out)

    assert (b"S: a\n", b"b\r\n") == parts(taken)


@pytest.mark.parametrize("dot_ends", [False, True])
def test_hint(dot_ends, capfd):
    """With a terminal on standard input one line says how to finish."""
    out, into = os.pipe()
    os.close(into)
    intake.read(out, dot_ends=dot_ends, hint=True)
    os.close(out)
    said = capfd.readouterr()

    assert "" == said.out
    assert 1 == said.err.count("\n")
    assert "Control-D" in said.err
    assert dot_ends == ("dot" in said.err)
