"""Reading addresses as people and programs write them."""

from __future__ import annotations

import email.utils
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp import addresslist
from ssmtp.addresslist import parse_argument, parse_list, parse_one, unquote
from ssmtp.errors import InputRefused
from tests.unit import strategies as mine


def test_as_often_as_wanted(monkeypatch):
    """The same text is read the same, and what one reader does to the list is his."""
    monkeypatch.setattr(addresslist, "_KNOWN_MOST", 2)
    for _ in range(2):
        for domain in ("a.example", "b.example", "c.example"):
            boxes = parse_list(f"x@{domain}", "To")

            assert [("x", domain)] == [(box.local, box.domain) for box in boxes]
            boxes.clear()
    assert len(addresslist._known) <= 2


def read(text: str) -> list[tuple[str, str | None]]:
    return [(box.local, box.domain) for box in parse_list(text, "To")]


def full(text: str) -> list[tuple[str, str, str | None]]:
    return [(box.name, box.local, box.domain) for box in parse_list(text, "To")]


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("", []),
        (" \n ", []),
        (",, ,", []),
        ("a@x.example", [("a", "x.example")]),
        ("root", [("root", None)]),
        ("a@x.example, b@y.example", [("a", "x.example"), ("b", "y.example")]),
        ("a@x.example,b@y.example,", [("a", "x.example"), ("b", "y.example")]),
        ("a@x; b@y", [("a", "x"), ("b", "y")]),
        ("a@x.example,\n b@y.example", [("a", "x.example"), ("b", "y.example")]),
        ("<a@x>", [("a", "x")]),
        ("<root>", [("root", None)]),
        ("Name <a@x>", [("a", "x")]),
        ("a@x (one, two), b@y", [("a", "x"), ("b", "y")]),
        ("(a (nested) comment) a@x", [("a", "x")]),
        ("a@x (an open one, b@y", [("a", "x")]),
        (r"(a \) in it) a@x", [("a", "x")]),
        ('"Doe, John" <j@x>, jane@x', [("j", "x"), ("jane", "x")]),
        (r'"a \" <no@x>" <a@x>', [("a", "x")]),
        ("Team: a@x, b@x;", [("a", "x"), ("b", "x")]),
        ("Team: a@x, b@x;, c@y", [("a", "x"), ("b", "x"), ("c", "y")]),
        ("undisclosed-recipients:;", []),
        ("undisclosed-recipients: ;", []),
        ("Team: <a@x>", [("a", "x")]),
        ("<@relay.example:a@x>", [("a", "x")]),
        ("<@one.example,@two.example:a@x>", [("a", "x")]),
        ("<>, a@x", [("a", "x")]),
        ("< >", []),
        ("<(c) a@x (c)>", [("a", "x")]),
        ('"a b"@x', [("a b", "x")]),
        (r'"a\"\\b"@x', [(r'a"\b', "x")]),
        ('"a\n b"@x', [("a b", "x")]),
        ('"a".b@x', [("a.b", "x")]),
        ("a . b @ x . example", [("a.b", "x.example")]),
        ("a@x.example.", [("a", "x.example")]),
        ("<a@x.example.>", [("a", "x.example")]),
        ("a(c)@(c)x(c).example", [("a", "x.example")]),
        ("a@[192.0.2.1]", [("a", "[192.0.2.1]")]),
        ("<a@[IPv6:2001:db8::1]>, b@y", [("a", "[IPv6:2001:db8::1]"), ("b", "y")]),
        ("X <a@x.example", [("a", "x.example")]),
        ("X <a@x, Y <b@y>", [("a", "x"), ("b", "y")]),
        ("A <a@x> B <b@y>", [("a", "x"), ("b", "y")]),
        ("<a@x> <b@y>", [("a", "x"), ("b", "y")]),
        ("A <a@x> (c) b@z <b@y>", [("a", "x"), ("b", "y")]),
        ("evil@example.com <a@x>", [("a", "x")]),
        ('"evil@example.com" <a@x>', [("a", "x")]),
        ("[Bot] :-) <a@x>", [("a", "x")]),
        (r"DOM\user <a@x>", [("a", "x")]),
        ("jürgen@bücher.example", [("jürgen", "bücher.example")]),
        ("a..b@x", [("a..b", "x")]),
        ("-oQ@x", [("-oQ", "x")]),
    ],
)
def test_what_lists_mean(text, meaning):
    """Lists are read as RFC 5322 section 3.4 has it, and as programs write them."""
    assert meaning == read(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a b@x", "words that are no address"),
        ("John Doe", "words that are no address"),
        ('"oops a@x, b@x', "a quote is never closed"),
        ("x@y.example>\n RCPT TO:<evil@x>\n (c)", "an angle out of place"),
        ("a@x> SIZE=1", "an angle out of place"),
        ("a@x> NOTIFY=SUCCESS", "an angle out of place"),
        ("<a@x> NOTIFY=SUCCESS", "text after an address"),
        ("<a@x> b@y", "text after an address"),
        ("a@", "nothing after the @"),
        ("@x", "nothing before the @"),
        ("@", "nothing before the @"),
        ("a@b@c", "more than one @ in an address"),
        ("a@x oops)", "a special character in a domain"),
        ("a@x)", "a special character in a domain"),
        ("a@x:b@y", "a colon after an address"),
        ("<a@x>:", "a colon after an address"),
        ("a@x y", "words after a domain"),
        ("a@[192.0.2.1] y", "text after a domain"),
        ("a@[192.0.2.1", "a special character in a domain"),
        ('a@"x"', "a special character in a domain"),
        ('"a"b@x', "words that are no address"),
        ("<@relay.example>", "a route without an address"),
        ("<@relay.example", "a route without an address"),
        ("<a b@x>", "words that are no address"),
        ("<a@x<b@y>", "a special character in an address"),
        ("a\\b@x", "a special character in an address"),
        ("a@x]", "a special character in a domain"),
        ("<a:b@x>", "a special character in an address"),
        ('""', "an empty name"),
        ('""@x', "an empty name"),
        ('<"">', "an empty name"),
    ],
)
def test_no_clear_meaning(text, why):
    """What has no one meaning is refused with the place named: nothing is guessed."""
    with pytest.raises(InputRefused) as caught:
        parse_list(text, "Cc")

    assert 65 == caught.value.exit_code
    assert f"Cc: {why}: {text.replace(chr(10), '?')}" == caught.value.what
    assert "correct the address" == caught.value.next_step


OTHERS = "n@y, " * 9


@pytest.mark.parametrize(
    ("before", "rest"),
    [
        ("b", "\\" + "c" * 90),
        ("", '"b' + "c" * 90),
        ("<a@x> ", "b" * 90),
        ("<a@x>", ":" + "b" * 90),
        ("a@x", ">" + "b" * 90),
        ("<a", "\\" + "b" * 90 + ">"),
        ("a@[b] ", "c" * 90),
        ("<@relay.example", ">" + "b" * 90),
        ("", "b c" + "d" * 90),
        ("", "@" + "b" * 90),
        ("a@b", "\\" + "c" * 90),
    ],
)
def test_the_place_is_shown(before, rest):
    """Of a long list the piece is shown that cannot be read, and not too much of it."""
    text = OTHERS + before + rest
    with pytest.raises(InputRefused) as caught:
        parse_list(text, "Cc")

    at = len(OTHERS + before)
    shown = text[at - 20 : at + 40]
    if rest.startswith('"'):
        shown = rest[:57] + "..."  # from the quote on that is never closed
    assert shown == caught.value.what.split(": ", 2)[2]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("b" * 60 + "\x1b", "b" * 57 + "..."),
        ("b" * 59 + "\x1b", "b" * 59 + "?"),
        ("b\x1bc", "b?c"),
    ],
)
def test_what_is_shown(text, shown):
    """Sixty characters are shown, each of them one that does no harm."""
    with pytest.raises(InputRefused) as caught:
        parse_one(text, "-f")

    assert shown == caught.value.what.split(": ", 2)[2]


SPANS = [
    ("a@x", [(0, 3, "")]),
    (" a@x , bb@y", [(1, 4, ""), (7, 11, "")]),
    ("N <a@x>, b@y, <root>", [(3, 6, ""), (9, 12, ""), (15, 19, "")]),
    ("X  Y <a@x>,\tZ<bb@yy>", [(6, 9, ""), (14, 19, "")]),
    ("a@x\n,\r\nb@y", [(0, 3, ""), (7, 10, "")]),
    ('"q" <a@x>, b@y', [(5, 8, ""), (11, 14, "")]),
    ("Team: a@x;, <b@y", [(6, 9, ""), (13, 16, ">")]),
    ("a . b@x(c), bb@[y]", [(0, 7, ""), (12, 18, "")]),
    ('root, "a b"', [(0, 4, ""), (6, 11, "")]),
    ("root(c)", [(0, 4, "")]),
]


@pytest.mark.parametrize(("text", "spans"), SPANS)
def test_where_they_stand(text, spans):
    """The span of each mailbox is told, and what closes an angle that is open."""
    assert spans == [(b.start, b.end, b.closing) for b in parse_list(text, "To")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Cron Daemon", [("Cron Daemon", "", 0, 11)]),
        ("a@x, =?utf-8?q?J=C3=B6rg?=", [("", "a", 0, 3), ("Jörg", "", 5, 26)]),
        ("  (no body), x", [("no body", "", 2, 2), ("", "x", 13, 14)]),
        ('"root"', [("", "root", 0, 6)]),
        ("a . b", [("", "a.b", 0, 5)]),
    ],
)
def test_where_names_stand(text, found):
    """A name without an address has its place too; what can be a user is one."""
    boxes = parse_list(text, "From", phrases=True)

    assert found == [(b.name, b.local, b.start, b.end) for b in boxes]


def test_a_name_is_no_address():
    """Names in the place of an address are for those who ask for them."""
    with pytest.raises(InputRefused, match="words that are no address"):
        parse_list("a b@x", "From", phrases=True)
    assert [] == parse_list("(nobody)", "To")


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ('"a\r\n b"@x', ("", "a b", "x")),
        (r'"\ab"@x', ("", "ab", "x")),
        ("(c) a@x (open", ("open", "a", "x")),
        ("a@x (b\\", ("b\\", "a", "x")),
        (r"a@x (b \) c)", ("b ) c", "a", "x")),
        ("a@x (b) (c)", ("c", "a", "x")),
        ("(c) Team: a@x;", ("", "a", "x")),
        ("Team: a@x (c);", ("c", "a", "x")),
        ('A."B" C<a@x>', ("A.B C", "a", "x")),
        ('"a"@.', ("", "a", ".")),
        ('"a"@x.', ("", "a", "x")),
        ('"a"@.x', ("", "a", ".x")),
        ("=?x", ("", "=?x", None)),
        ("x?=", ("", "x?=", None)),
        ("=?x(c)", ("c", "=?x", None)),
        ("aX.b@[X]", ("", "aX.b", "[X]")),
        ("<a@x>(c)", ("c", "a", "x")),
        ("Name (c) <a@x>", ("Name", "a", "x")),
    ],
)
def test_odd_but_clear(text, meaning):
    """Rare forms have their meaning too."""
    assert [meaning] == full(text)


def test_a_forgotten_comma():
    """What stands between two angles is the name of the second."""
    assert [("A", "a", "x"), ("b@z", "b", "y")] == full("A <a@x> (c) b@z <b@y>")
    assert [("A", "a", "x"), ("", "b", "y"), ("", "c", "z")] == full(
        "A <a@x> <b@y> , c@z"
    )


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("root (Cron Daemon)", ("Cron Daemon", "root", None)),
        ("mdadm monitoring <root>", ("mdadm monitoring", "root", None)),
        ('"Doe, J." <j@x>', ("Doe, J.", "j", "x")),
        ("=?UTF-8?Q?Doe=2C_J=C3=B6rg?= <j@x>", ("Doe, Jörg", "j", "x")),
        ("=?utf-8?b?SsO2?= =?utf-8?b?cmc=?= <j@x>", ("Jörg", "j", "x")),
        ("A\n B <j@x>", ("A B", "j", "x")),
        ('"" <j@x>', ("", "j", "x")),
        ("<j@x> (Jay)", ("Jay", "j", "x")),
        ("A.B. C <j@x>", ("A.B. C", "j", "x")),
        (r"j@x (a \(b\))", ("a (b)", "j", "x")),
    ],
)
def test_names(text, meaning):
    """The display name is what stands before the angle, else the comment."""
    assert [meaning] == full(text)


@given(st.lists(mine.written_mailboxes(), max_size=6), st.sampled_from(",;"))
def test_all_ways_to_write(written, separator):
    """However mailboxes are written and separated, they are found, in their order."""
    text = separator.join(w for w, _ in written)

    assert [meaning for _, meaning in written] == full(text)


@given(st.lists(st.tuples(mine.names, mine.ascii_mailboxes), min_size=1, max_size=5))
def test_like_the_standard_library(entries):
    """What Python's email package writes, we read."""
    pairs = [(name, f"{local}@{domain}") for name, (local, domain) in entries]
    text = ", ".join(email.utils.formataddr(p, "utf-8") for p in pairs)

    assert pairs == [(n, f"{a}@{d}") for n, a, d in full(text)]


@given(st.lists(mine.written_mailboxes(), max_size=5))
def test_spans(written):
    """The span of each mailbox is exactly its addr-spec."""
    text = ", ".join(w for w, _ in written)
    boxes = parse_list(text, "To")

    for box in boxes:
        (again,) = parse_list(text[box.start : box.end], "To")
        assert (box.local, box.domain) == (again.local, again.domain)
        assert (0, box.end - box.start) == (again.start, again.end)


def test_what_was_left_open():
    """An angle that was never closed is told, and where the closing one belongs."""
    text = "X <a@x.example, Y <b@y>, Z <c@z"
    boxes = parse_list(text, "To")

    assert [">", "", ">"] == [box.closing for box in boxes]
    assert "X <a@x.example" == text[: boxes[0].end]
    assert "<Mailbox 'X' 'a' 'x.example'>" == repr(boxes[0])


@given(st.text(st.sampled_from('ab@.,;:<>()[]"\\ \n\r\t\0é=?'), max_size=40))
def test_never_a_crash(text):
    """Any text is read or refused, and what is read has a local part."""
    try:
        boxes = parse_list(text, "To")
    except InputRefused:
        return

    assert all(box.local for box in boxes)
    assert all(0 <= b.start <= b.end <= len(text) for b in boxes)
    assert all(a.end <= b.start for a, b in pairwise(boxes))


@given(st.text(st.sampled_from('ab@.,;:<>()" \n'), max_size=30))
def test_phrases(text):
    """Reading names without addresses finds every address that is found without."""
    try:
        strict = parse_list(text, "To")
    except InputRefused:
        return
    found = parse_list(text, "To", phrases=True)

    def plain(boxes):
        # A bare `"a b"` is the one thing that is read either way.
        return [
            (b.local, b.domain)
            for b in boxes
            if b.local and (b.domain or " " not in b.local)
        ]

    assert plain(strict) == plain(found)


def test_a_name_alone():
    """A name without an address is found where it is asked for."""
    (box,) = parse_list("Cron Daemon", "From", phrases=True)
    (comment,) = parse_list("(nobody)", "From", phrases=True)
    (quoted,) = parse_list('"Backup, daily"', "From", phrases=True)
    (coded,) = parse_list("=?utf-8?q?J=C3=B6rg?=", "From", phrases=True)

    assert ("Cron Daemon", "", None) == (box.name, box.local, box.domain)
    assert ("nobody", "", None) == (comment.name, comment.local, comment.domain)
    assert ("Backup, daily", "", None) == (quoted.name, quoted.local, quoted.domain)
    assert ("Jörg", "", None) == (coded.name, coded.local, coded.domain)


@pytest.mark.parametrize("text", ["=?utf-8?q?a=40x?=", "<=?utf-8?q?a?=>", "b@x, =?a?="])
def test_an_encoded_word_is_no_address(text):
    """An encoded word where an address has to stand is refused, not completed."""
    with pytest.raises(InputRefused, match="without an address"):
        parse_list(text, "To")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("a@x,b@x, c@x", 3),
        ('"Doe, John" <a@x>', 1),
        (" a@x ", 1),
        ("a@x\n", 1),
        ("", 0),
        (" ", 0),
        ("<>", 0),
    ],
)
def test_arguments(text, count):
    """A recipient argument holds addresses with commas between them; quotes count."""
    assert count == len(parse_argument(text))


@pytest.mark.parametrize("code", [0, 1, 9, 10, 13, 27, 31, 127, 0x85, 0x2028, 0xDC80])
def test_control_characters_in_arguments(code):
    """No control character passes through an argument, wherever it stands."""
    for text in (
        f"a{chr(code)}b@x",
        f"a@x>{chr(code)}RCPT TO:<evil@y",
        f'"{chr(code)}"@x',
    ):
        why = ": a control character in an address: "
        with pytest.raises(InputRefused, match=f"^recipient argument{why}"):
            parse_argument(text)
        with pytest.raises(InputRefused, match=f"^-f{why}"):
            parse_one(text, "-f")


@pytest.mark.parametrize("code", [32, 126, 0xA0, 0x2027, 0x202A, 0xD7FF, 0xE000])
def test_what_is_no_control_character(code):
    """What stands beside the control characters is none."""
    text = f'"a{chr(code)}b"@x'
    (box,) = parse_argument(text)

    assert f"a{chr(code)}b" == box.local


def test_arguments_that_cannot_be_read():
    """What is wrong with a recipient argument is told as such."""
    with pytest.raises(InputRefused, match="^recipient argument: nothing after the @"):
        parse_argument("a@")


def test_one():
    """One mailbox is wanted where one is meant; none is None."""
    assert parse_one("", "-f") is None
    assert parse_one(" <> ", "-f") is None
    box = parse_one("Some One <a@x>", "-f")
    assert box is not None
    assert ("a", "x") == (box.local, box.domain)
    with pytest.raises(InputRefused) as caught:
        parse_one("a@x, b@x", "-f")
    assert "-f: more than one address: a@x, b@x" == caught.value.what


@given(st.text(max_size=20))
def test_unquote(text):
    """Unquoting undoes quoting, but for line ends, which were folds."""
    expected = text.replace("\r", "").replace("\n", "")

    assert expected == unquote(mine.quoted(expected))


@pytest.mark.parametrize(
    "piece",
    ["(", ")", '"', '"a', "<", ">", "@", "[", "[:", "a ", "a:", "<@", "\\", "(\\", ",",
     "<a> b ", "=?", "a@b,", "A <a@b>,", "a(", "()", "[a", "a@[b],"],
)  # fmt: skip
def test_linear(piece):
    """Twice the text takes about twice the steps, whatever the text repeats."""
    counts = []
    for size in (2000, 4000):
        counts.append(_steps(piece * size))

    assert counts[1] < 2.5 * counts[0] + 1000


def test_name_of_many_pieces():
    """A name is not copied once more for each of its pieces: a megabyte took 24 s."""
    copied = 0

    class Text(str):
        __slots__ = ()

        def __getitem__(self, at):
            return Text(super().__getitem__(at))

        def __add__(self, other):
            nonlocal copied
            copied += len(self)
            return Text(super().__add__(other))

    [box] = parse_list(Text("\\" * 2000 + " b <a@x>"), "From")

    assert "\\" * 2000 + " b" == box.name
    assert copied < 10_000


def _steps(text: str) -> int:
    """Count the lines of our code that a list takes to read."""
    import sys

    steps = 0

    def trace(frame, event, _arg):
        nonlocal steps
        steps += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        parse_list(text, "To")
    except InputRefused:
        pass
    finally:
        sys.settrace(before)
    return steps
