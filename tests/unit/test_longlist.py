"""Long address lists: the quick way to read them, and the thorough one."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp import accounts, addresslist, author, config, longlist
from ssmtp.errors import InputRefused
from ssmtp.header import Field

SETTINGS = "mailhub=hub.example\nrewriteDomain=corp.example\n"
ALIASES = {"staff": ["ann@x.example", "bob"], "nobody": ["|program"]}
PIECES = [
    *("a", "b.c", "ö", "staff", "daemon", ".d", "d..e", "x" * 70, "nobody"),
    *('"q"', '"q,;"', '"\\""', '"', "(c)", "(c,)", "((d))", "(", "(((((e)))))", ")"),
    *("<", ">", "@", "a@b", "<a@b>", "Name <a@b>", "Name <a>", "<staff>", "x@[1:2]"),
    *(",", ",", ";", ":", " ", "\n ", "\\", "[", "]", "=?x?=", '""', "\ud800"),
]
lists = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
MEMBERS = [
    *("a", "b.c", "ö", "staff", "daemon", "a@b", "Name <a@b>", "Name <a>", ".d"),
    *("(c) staff", "A <staff>", "A (c) <daemon>", '"q" (c)', "T: a@x", '"n" <"o"@b>'),
]
members = st.lists(st.sampled_from(MEMBERS), min_size=3, max_size=9).map(", ".join)


def names(root: str = "") -> accounts.LocalNames:
    def uid_of(name: str) -> int | None:
        return 1 if name == "daemon" else None

    settings = config.parse((SETTINGS + root).encode(), "-")
    return accounts.LocalNames(settings, ALIASES, uid_of)


def said(call, *words):
    try:
        return call(*words)
    except Exception as error:
        return repr(error)


@pytest.fixture(params=[True, False], ids=["patterns", "no patterns"], autouse=True)
def patterns(request, monkeypatch):
    """Everything holds with and without the module `re`."""
    monkeypatch.setattr(longlist, "_pays", lambda text: request.param)


@given(lists)
def test_cut_where_tokens_are(text):
    """A list is cut behind its separators, and nowhere else."""

    def thoroughly() -> list[str]:
        found = addresslist.tokens(text, "To")
        ends = [end for kind, _, end in found if kind in ",;"]
        edges = zip([0, *ends], [*ends, len(text)], strict=True)
        return [text[a:b] for a, b in edges if a < b]

    def quickly() -> list[str]:
        return [piece for piece in longlist.cut(text, "To") if piece]

    assert said(thoroughly) == said(quickly)


@given(lists)
def test_masked_where_tokens_are(text):
    """What stands in quotes and comments is hidden, and nothing else."""

    def thoroughly() -> str:
        out = list(text)
        for kind, start, end in addresslist.tokens(text, ""):
            if kind in "qc":
                out[start:end] = "_" * (end - start)
        return "".join(out)

    assert said(thoroughly) == said(longlist.masked, text)


@given(
    lists | members,
    st.sampled_from(["To", "Sender"]),
    st.sampled_from(["", "root=adm@x\n"]),
)
def test_completed_as_a_short_one(text, name, root):
    """A long list becomes what it would become if it were read as a short one is."""
    ways = []
    with pytest.MonkeyPatch.context() as patch:
        for long in (0, sys.maxsize):
            patch.setattr(author, "_LONG", long - 1)
            patch.setattr(author, "_LONGEST", long)
            notes: list[str] = []
            f = Field(name, text)
            done = said(author.completed, f, names(root), notes)
            ways.append((done.body if isinstance(done, Field) else done, notes))

    assert ways[1] == ways[0]


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("a, b\n , c;", "a@corp.example, b@corp.example\n , c@corp.example;"),
        ("a, staff, a@b", "a@corp.example, ann@x.example, bob@corp.example, a@b"),
        ("ö, <a>, d", "ö@corp.example, <a@corp.example>, d@corp.example"),
        (
            "A (b) <staff>, (c) c",
            "A (b) <ann@x.example>, <bob@corp.example>, (c) c@corp.example",
        ),
    ],
)
def test_completed(text, completed, monkeypatch):
    """Bare names of a long list are completed where they stand."""
    monkeypatch.setattr(author, "_LONGEST", 512)
    f = Field("To", " " + text + ", x@y.example" * 100)
    done = author.completed(f, names(), [])

    assert " " + completed + ", x@y.example" * 100 == done.body


def test_a_long_list_of_names():
    """Names that are others' are found among a great many."""
    body = "".join(f"n{n}, " for n in range(300)) + "daemon, staff"
    done = author.completed(Field("Cc", body), names("root=adm@x\n"), [])

    assert [
        *(f"n{n}@corp.example" for n in range(300)),
        *("adm@x", "ann@x.example", "bob@corp.example"),
    ] == done.body.split(", ")


@pytest.mark.parametrize("longest", [1, 1 << 20], ids=["long", "short"])
def test_whole_addresses_are_left_alone(monkeypatch, longest):
    """A list in which nothing is to be done is the one that was written."""
    monkeypatch.setattr(author, "_LONGEST", longest)
    f = Field("To", " a@x.example" + ",\n A <b@y.example>" * 100)

    assert f is author.completed(f, names(), [])


def test_what_has_no_clear_meaning():
    """A member that cannot be read leaves the field as it is, with the place named."""
    notes: list[str] = []
    f = Field("Cc", "ann, " * 200 + "a b, c")

    assert f is author.completed(f, names(), notes)
    (note,) = notes
    assert "left as it is: Cc: words that are no address" in note
    assert "ann, a b, c" in note


def test_an_open_quote():
    """A quote that is never closed is said by the thorough way."""
    with pytest.raises(InputRefused, match="never closed"):
        longlist.cut('a, "b, c', "To")
    with pytest.raises(InputRefused, match="never closed"):
        longlist.masked('a, "b, c')
