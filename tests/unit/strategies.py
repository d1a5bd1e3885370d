"""What messages are made of, for Hypothesis: every new feature extends this file."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

ATEXT = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~"
)
LETTERS = "abcdefghijklmnopqrstuvwxyz"

atoms = st.text(ATEXT, min_size=1, max_size=12)
dot_atoms = st.lists(atoms, min_size=1, max_size=3).map(".".join)
# What a quoted local part may hold: printable ASCII, and letters beyond.
odd_locals = st.text(
    st.characters(min_codepoint=32, max_codepoint=126) | st.sampled_from("éüñ日"),
    min_size=1,
    max_size=15,
)
labels = st.text(LETTERS + "0123456789", min_size=1, max_size=8)
domains = st.lists(labels, min_size=1, max_size=3).map(".".join)
ascii_mailboxes = st.tuples(dot_atoms, domains)

# A display name without blanks at its ends, as everybody would write one.
names = (
    st.text(
        st.characters(min_codepoint=32, max_codepoint=126) | st.sampled_from("äÉ日ß"),
        max_size=20,
    )
    .map(lambda s: " ".join(s.split()))
    .filter(lambda s: "=?" not in s)
)

# Separators of words: the fold is part of RFC 5322 section 3.2.2.
blanks = st.sampled_from([" ", "  ", "\t", "\n ", " \n\t"])
comment_texts = st.text(LETTERS + ' ,;:@<>."', max_size=12).map(lambda s: f"({s})")

field_names = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"),
    min_size=1,
    max_size=15,
)
# One line of a field: anything but line ends and NUL.
field_lines = st.text(
    st.characters(min_codepoint=32, max_codepoint=126) | st.sampled_from("\té日"),
    max_size=60,
)

line_texts = st.text(
    st.characters(
        max_codepoint=0x2FFF, exclude_characters="\r\n\0", exclude_categories=["Cs"]
    ),
    max_size=40,
)
body_lines = st.lists(line_texts, max_size=12)
# Everything that can go wrong with line ends and NUL.
raw_bytes = st.lists(
    st.sampled_from(
        [
            b"\r\n",
            b"\n",
            b"\r",
            b"\0",
            b".",
            b"a",
            b"From ",
            b": ",
            b" ",
            b"\xc3\xbc",
            b"\xff",
            b"x" * 70,
        ]
    ),
    max_size=40,
).map(b"".join)


def quoted(name: str) -> str:
    """Write a name as a quoted string, by the book."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


@st.composite
def splits(draw, data: bytes) -> list[bytes]:
    """Cut data into blocks anywhere, as a pipe would."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    edges = [0, *cuts, len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@st.composite
def written_mailboxes(draw) -> tuple[str, tuple[str, str, str]]:
    """A mailbox in one of the ways to write it: the text; name, local, domain."""
    local, domain = draw(ascii_mailboxes)
    name = draw(names)
    gap = draw(blanks)
    how = draw(st.integers(0, 5))
    if how == 0:
        return f"{local}@{domain}", ("", local, domain)
    if how == 1:
        return f"{gap}<{local}@{domain}>{gap}", ("", local, domain)
    if how == 2:
        return f"{quoted(name)}{gap}<{local}@{domain}>", (name, local, domain)
    if how == 3:
        comment = draw(comment_texts)
        return f"{comment}{quoted(name)} {comment}<{local}@{domain}>{comment}", (
            name or " ".join(comment[1:-1].split()),
            local,
            domain,
        )
    if how == 4:
        route = draw(domains)
        return f"{quoted(name)} <@{route},@{route}:{local}@{domain}>", (
            name,
            local,
            domain,
        )
    return f"{local.replace('.', gap + '.' + gap)}{gap}@{gap}{domain}", (
        "",
        local,
        domain,
    )


# The ways in which a secret recipient gets into a header (shown with the address).
BCC_FORMS = [
    "Bcc: {}",
    "bcc: {}",
    "BCC: {}",
    "bCc:{}",
    "Bcc : {}",
    "Bcc\t:\t{}",
    "Bcc:\n {}",
    "Bcc:\n\t{}",
    "Bcc: a@visible.example,\n {}",
    'Bcc: "Secret, Agent" <{}>',
    "Bcc: Secret Agent <{}>",
    "Bcc: {} (hidden)",
    "Bcc: (hidden) {}",
    "Bcc: hidden: {}, b@visible.example;",
    "Bcc: =?utf-8?q?Gehe=C3=ADm?= <{}>",
    "Bcc: <@route.example:{}>",
    "Bcc: {};",
    "Bcc: a@visible.example\nBcc: {}",
    "Resent-Bcc: {}",
    "RESENT-BCC : {}",
    "resent-bcc:\n {}",
    "Bcc:\n \n {}",
]
