"""Forms of a header field that the wire may take."""

from __future__ import annotations

import email
import email.header
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp import address, fieldform
from ssmtp.errors import InputRefused
from ssmtp.header import Field
from tests.unit import strategies as mine

foreign_texts = st.text(
    st.characters(
        min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=["Cc", "Zl", "Zp"]
    ),
    max_size=200,
).map(lambda s: " ".join(s.split()))


def read(f: Field) -> str:
    """Let Python's email package read a field as a mail reader would."""
    raw = f"{f.name}:{f.body}\n\n".replace("\n", "\r\n")
    return str(email.message_from_string(raw, policy=email.policy.default)[f.name])


def decoded(f: Field) -> str:
    """Decode the encoded words of a field without looking at its structure."""
    text = f.body.replace("\n", "").strip()
    return str(email.header.make_header(email.header.decode_header(text)))


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("", '""'),
        ("Alice Example", '"Alice Example"'),
        ('Carol "CJ" Jones; PhD', r'"Carol \"CJ\" Jones; PhD"'),
        ("back\\slash", r'"back\\slash"'),
        ("Eve\nX-Injected: 1", '"Eve X-Injected: 1"'),
        ("Eve\r\n\x1b[2J\x7f", '"Eve [2J"'),
        ("José", "=?utf-8?b?Sm9zw6k=?="),
        ("J\udce9", "=?iso-8859-1?q?J=E9?="),
    ],
)
def test_phrases(name, written):
    """A display name is quoted, encoded when it is not ASCII, and stays one line."""
    assert written == fieldform.phrase(name)


@given(st.text(max_size=60))
def test_names_survive(name):
    """Whatever the name, it is read again as it was, but for control characters."""
    text = f"{fieldform.phrase(name)} <a@x>"
    (box,) = address.parse_list(text, "From")
    shown = "".join(c if c.isprintable() else " " for c in name)

    assert "\n" not in text
    assert " ".join(shown.split()) == box.name
    assert ("a", "x") == (box.local, box.domain)


@given(foreign_texts)
def test_unstructured_text(text):
    """A text for people reads the same when it has become ASCII."""
    f = fieldform.to_ascii(Field("Subject", f" {text}"))

    assert f.body.isascii()
    assert text == decoded(f).strip() or "=?" in text
    assert max(map(len, f"Subject:{f.body}".split("\n"))) <= 998


def test_ascii_words_stay():
    """Only the words that need it are encoded; blanks between them are kept."""
    f = fieldform.to_ascii(Field("Subject", " Re: grüße  aus Köln [x]"))

    assert " Re: =?utf-8?b?Z3LDvMOfZQ==?=  aus =?utf-8?b?S8O2bG4=?= [x]" == f.body


def test_blanks_between_encoded_words():
    """Blanks between two encoded words mean nothing, so they are encoded, too."""
    f = fieldform.to_ascii(Field("Subject", " ü  ö ascii"))

    assert "ü  ö ascii" == read(f)


@given(st.lists(st.tuples(mine.names, mine.ascii_mailboxes), min_size=1, max_size=4))
def test_address_fields(entries):
    """Display names become encoded words; the addresses do not change."""
    body = ", ".join(f"{mine.quoted(n)} <{a}@{d}>" for n, (a, d) in entries)
    f = fieldform.to_ascii(Field("To", f" {body}"))

    assert f.body.isascii()
    found = address.parse_list(f.body, "To")
    assert entries == [(b.name, (b.local, b.domain)) for b in found]
    assert max(map(len, f"To:{f.body}".split("\n"))) <= 998


@pytest.mark.parametrize(
    ("body", "written"),
    [
        (' "Doe, Jörg" <a@x>, b@y', " =?utf-8?q?Doe=2C_J=C3=B6rg?= <a@x>, b@y"),
        (" a@x (Größe)", " a@x (=?utf-8?b?R3LDtsOfZQ==?=)"),
        (" a@x (plain), Ü <b@y>", " a@x (plain), =?utf-8?b?w5w=?= <b@y>"),
        (" a@x (Größe", " a@x (=?utf-8?b?R3LDtsOfZQ==?=)"),
        (" Größe: a@x;", " =?utf-8?b?R3LDtsOfZQ==?=: a@x;"),
        (" a@bücher.example", " a@xn--bcher-kva.example"),
        (" <a@bücher.example>", " <a@xn--bcher-kva.example>"),
        (" =?utf-8?q?J=C3=B6rg?= ü <a@x>", " =?utf-8?b?SsO2cmcgw7w=?= <a@x>"),
        (" Jörg Müller", " =?utf-8?b?SsO2cmcgTcO8bGxlcg==?="),
        (' "Jörg', " =?utf-8?b?IkrDtnJn?="),
    ],
)
def test_where_encoded_words_stand(body, written):
    """Encoded words stand in phrases and comments, never in an address or in quotes."""
    assert written == fieldform.to_ascii(Field("Cc", body)).body


@given(
    st.sampled_from(["Subject", "To", "X-A-Rather-Long-Name"]),
    st.lists(st.text("äö b", min_size=1, max_size=90), min_size=1, max_size=6),
)
def test_lines_with_encoded_words(name, words):
    """No line with an encoded word in it is longer than RFC 2047 allows."""
    names = [" ".join(f"ü{w}".split()) for w in words]
    body = ", ".join(f'"{n}" <someone@x.example> ({n})' for n in names)
    f = fieldform.to_ascii(Field(name, f" {body if name == 'To' else names[0]}"))

    coded = [line for line in lines(f) if b"=?" in line]
    assert coded
    assert max(map(len, coded)) <= 76
    if name == "To":
        assert names == [b.name for b in address.parse_list(f.body, "To")]


def test_what_is_shown_only_needs_no_smtputf8():
    """The author's own From, shown as X-Original-From, becomes a text for people."""
    f = fieldform.to_ascii(Field("X-Original-From", " Jürgen <jürgen@x>"))

    assert f.body.isascii()
    assert "Jürgen <jürgen@x>" == decoded(f)


def test_no_ascii_form():
    """An address with a local part beyond ASCII has no form without SMTPUTF8."""
    with pytest.raises(InputRefused, match="SMTPUTF8"):
        fieldform.to_ascii(Field("To", " jürgen@x"))


def test_machine_fields():
    """What only programs read gets no encoded words."""
    assert " <a?@x>" == fieldform.to_ascii(Field("Message-ID", " <aü@x>")).body


@pytest.mark.parametrize(
    ("body", "written"),
    [
        (' text/plain; name="ü x.txt"', " text/plain; name*=utf-8''%C3%BC%20x.txt"),
        (
            " text/plain; name=ü; charset=utf-8",
            " text/plain; name*=utf-8''%C3%BC; charset=utf-8",
        ),
        (' a/b; name="a\\"ü;x"', " a/b; name*=utf-8''a%22%C3%BC%3Bx"),
        (" a/ü; x=y", " a/?; x=y"),
        (' a/b; name="\udcfc"', " a/b; name*=iso-8859-1''%FC"),
    ],
)
def test_parameters(body, written):
    """Parameters beyond ASCII are written as RFC 2231 has it."""
    f = Field("Content-Type", body)
    f = fieldform.sound(f) if "\udcfc" in body else fieldform.to_ascii(f)

    assert written == f.body


@pytest.mark.parametrize("size", [10, 100, 160, 200])
def test_long_parameters(size):
    """A parameter that has become long has a line of its own, or is given up."""
    f = fieldform.to_ascii(
        Field("Content-Type", f" a/b; charset=c; name={'ü' * size}; ; x=y;")
    )

    assert f.body.isascii()
    assert ["a/b", "charset=c", "x=y"] == [
        p.strip(" ;\n")
        for p in fieldform.parameters(f.body)
        if "name" not in p and p.strip()
    ]
    assert max(map(len, f.body.split("\n"))) <= 998
    assert all(map(str.strip, f.body.split("\n")))
    assert (size < 200) == ("%C3%BC" * size in f.body)


def test_ascii_fields_stay():
    """A field that needs nothing is handed back itself."""
    f = Field("Subject", " a\n\tb")

    assert f is fieldform.to_ascii(f)
    assert f is fieldform.sound(f)
    assert f is fieldform.fit(f)


@pytest.mark.parametrize(
    ("name", "body", "written"),
    [
        ("Subject", " Gr\udcfc\udcdfe", " =?iso-8859-1?b?R3L832U=?="),
        ("Subject", " ü \udcfc", " ü =?iso-8859-1?q?=FC?="),
        ("Subject", " \udcfc a" * 2, " =?iso-8859-1?q?=FC?= a" * 2),
        ("To", " J\udcfcrgen <a@x>", " =?iso-8859-1?q?J=FCrgen?= <a@x>"),
        ("To", " j\udcfcrgen@x", " j?rgen@x"),
        ("To", ' "\udcfc" <\udcfc@x>', " =?iso-8859-1?q?=FC?= <?@x>"),
        ("Message-ID", " <\udcfc@x>", " <?@x>"),
    ],
)
def test_no_raw_octets(name, body, written):
    """Octets that are no UTF-8 never go out: they are encoded, or replaced."""
    assert written == fieldform.sound(Field(name, body)).body


@given(
    st.sampled_from(["Subject", "To", "Message-ID", "Content-Type", "X-Y"]),
    st.binary(max_size=60),
)
def test_always_sound(name, data):
    """Whatever came in, what comes out is UTF-8."""
    text = (
        data.replace(b"\n", b"").replace(b"\r", b"").decode("utf-8", "surrogateescape")
    )

    assert fieldform.sound(Field(name, text)).body.encode() is not None


def lines(f: Field) -> list[bytes]:
    return f"{f.name}:{f.body}".encode().split(b"\n")


@given(
    st.sampled_from(["Subject", "References", "X-Y"]),
    st.lists(
        st.text("abc\té", max_size=300).map(lambda s: s.replace("\t", " ")), max_size=30
    ),
)
def test_folding(name, words):
    """Long lines are folded at blanks, and nothing but blanks changes."""
    body = " " + " ".join(words)
    f = fieldform.fit(Field(name, body))

    assert max(map(len, lines(f))) <= 998
    assert body.split() == f.body.split()
    assert all(line[:1] == b" " and line.strip() for line in lines(f)[1:])


def test_only_long_lines_are_folded():
    """The lines of a field that are short enough stay as they are."""
    f = fieldform.fit(Field("Subject", " short  one\n" + " word" * 300 + "\n\tlast"))

    assert b"Subject: short  one" == lines(f)[0]
    assert b"\tlast" == lines(f)[-1]
    assert max(map(len, lines(f))) <= 998


def test_folded_fields_stay():
    """A field of many lines, none of them too long, is handed back itself."""
    f = Field("References", "\n <a@x>" * 1000)

    assert f is fieldform.fit(f)


def test_998_octets():
    """A line of 998 octets is as long as a line may be."""
    whole = Field("Subject", " " + "x" * (998 - 9))

    assert whole is fieldform.fit(whole)
    assert "x" * 990 == read(fieldform.fit(Field("Subject", " " + "x" * 990)))


@given(st.text("ab é", min_size=1000, max_size=3000))
def test_words_too_long_to_fold(text):
    """A text for people without a blank to fold at becomes encoded words."""
    text = " ".join(text.split())
    f = fieldform.fit(Field("X-Text", f" {text}"))

    assert max(map(len, lines(f))) <= 998
    assert text == decoded(f).strip()


def test_lists_without_blanks():
    """An address list is folded after its commas, where that changes nothing."""
    entries = [f"user{i}@example.com" for i in range(200)] + ['"a, b"@x']
    f = fieldform.fit(Field("To", " " + ",".join(entries)))

    assert max(map(len, lines(f))) <= 998
    assert "".join(",".join(entries).split()) == "".join(f.body.split())
    assert len(entries) == len(address.parse_list(f.body, "To"))


def test_lists_with_long_names():
    """A list that has become long by encoding is folded again."""
    entry = '"Größe, ä ö ü" <a@x.example>'
    f = fieldform.to_ascii(Field("To", " " + ",".join([entry] * 60)))

    assert max(map(len, lines(f))) <= 998
    assert ["Größe, ä ö ü"] * 60 == [b.name for b in address.parse_list(f.body, "To")]


def test_names_of_many_words():
    """A name that may be folded stays, whatever is done with the others."""
    name = "ab " * 200
    f = fieldform.fit(Field("To", f' "{"n" * 1500}" <a@x>, {name}<b@y>'))

    assert max(map(len, lines(f))) <= 998
    assert "=?" in f.body.partition("<a@x>")[0]
    assert name.split() == f.body.partition("<a@x>,")[2].split()[:-1]


def test_names_too_long_for_a_line():
    """A display name without a blank to fold at becomes encoded words."""
    f = fieldform.fit(Field("To", f' "{"n" * 1500}" <a@x>, b@y ({"c" * 1200})'))

    assert max(map(len, lines(f))) <= 998
    boxes = address.parse_list(f.body, "To")
    assert ["n" * 1500, "c" * 1200] == [b.name for b in boxes]
    assert [("a", "x"), ("b", "y")] == [(b.local, b.domain) for b in boxes]


@pytest.mark.parametrize("name", ["References", "To", "Content-Type"])
@pytest.mark.parametrize("body", [" <" + "x" * 1200 + "@y>", ' "' + "x," * 600])
def test_unfoldable(name, body):
    """A line that nothing can fold is refused, with the field named."""
    with pytest.raises(InputRefused, match=name) as caught:
        fieldform.fit(Field(name, body))

    assert 65 == caught.value.exit_code
