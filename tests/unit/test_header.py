"""The header section, cut into fields and written again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp import header
from ssmtp.header import Field
from tests.unit import strategies as mine


@pytest.mark.parametrize(
    "line",
    [
        b"Subject: x",
        b"Subject:x",
        b"Subject :x",
        b"Subject\t : x",
        b"X:",
        b".X: y",
        b"12:30",
        b"!~: x",
        b"x" * 256 + b":",
    ],
)
def test_fields(line):
    """A field is a name of printable ASCII and a colon; blanks between are obsolete."""
    assert header.is_field(line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b".",
        b"just text",
        b": no name",
        b" : blank",
        b" Subject: x",
        b"two words: x",
        b"From someone Sat Nov 21 19:00:00 2026",
        b"https://x.example/ is down",
        b"Betr\xc3\xa4ff: x",
        b"A\0B: x",
        b"begin 644 file.txt",
        b"x" * 257 + b": y",
    ],
)
def test_no_fields(line):
    """Anything else is text."""
    assert not header.is_field(line)


@given(
    st.lists(
        st.tuples(
            mine.field_names,
            st.lists(
                mine.field_lines.filter(lambda s: s.strip(" \t")),
                min_size=1,
                max_size=3,
            ),
        ),
        max_size=6,
    )
)
def test_there_and_back(entries):
    """Fields are written byte for byte as they were read, in their order."""
    section = "".join(
        f"{name}:" + "\n ".join(lines) + "\n" for name, lines in entries
    ).encode()
    fields = header.parse(section)

    assert [name for name, _ in entries] == [f.name for f in fields]
    assert [name.lower() for name, _ in entries] == [f.key for f in fields]
    assert section.replace(b"\n", b"\r\n") + b"\r\n" == header.write(fields)


def test_obsolete_blank():
    """A blank before the colon is understood, and not sent on."""
    (f,) = header.parse(b"From \t: a@x\n")

    assert ("From", "from", " a@x") == (f.name, f.key, f.body)


def test_blank_continuation():
    """A continuation of blanks alone is left out: some take it for the end."""
    (f,) = header.parse(b"Subject: a\n \n\t\n b\n")

    assert " a\n b" == f.body
    assert "a b" == f.value


def test_no_utf8():
    """Octets that are no UTF-8 are carried until it is decided what to do with them."""
    (f,) = header.parse(b"Subject: \xfc\n")

    assert " \udcfc" == f.body


def test_empty_section():
    """No section has no fields, and is written as an empty line."""
    assert [] == header.parse(b"")
    assert b"\r\n" == header.write([])


@pytest.mark.parametrize(
    ("line", "name", "body"),
    [
        ("X-A: b", "X-A", " b"),
        ("X-A:b", "X-A", " b"),
        ("X-A : b: c", "X-A", " b: c"),
        ("X-A:", "X-A", " "),
    ],
)
def test_field_of_a_line(line, name, body):
    """A line of the configuration becomes a field."""
    f = header.field(line)

    assert f is not None
    assert (name, body) == (f.name, f.body)


@pytest.mark.parametrize(
    "line", ["", "x", ": x", "a b: c", "é: x", "X: a\nY: b", "X: a\rb", "X: \0"]
)
def test_no_field_of_a_line(line):
    """What is no field, or more than one, is none."""
    assert header.field(line) is None


def test_shown():
    """A field shows itself in a failing test."""
    assert "<Field To:' a@x'>" == repr(Field("To", " a@x"))


def test_mailboxes_are_read_once():
    """An address list is read once, however often it is asked for."""
    f = Field("To", " a@x, b@y")

    assert f.mailboxes() is f.mailboxes()
    assert ["a", "b"] == [box.local for box in f.mailboxes()]
