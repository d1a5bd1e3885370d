"""Making addresses that may be written into a command."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp import address
from ssmtp.errors import InputRefused
from tests.unit import strategies as mine


def test_plain():
    """An ordinary address is written as it came."""
    who = address.make("alice", "Corp.example", "To")

    assert "alice@Corp.example" == str(who)
    assert "alice@Corp.example" == who.path(utf8=False)
    assert ("alice", "Corp.example") == (who.local, who.domain)
    assert who.is_ascii
    assert "<Address alice@Corp.example>" == repr(who)


@pytest.mark.parametrize(
    ("local", "written"),
    [
        ("a b", '"a b"'),
        ('a"b', r'"a\"b"'),
        ("a\\b", r'"a\\b"'),
        (".a", '".a"'),
        ("a.", '"a."'),
        ("a..b", '"a..b"'),
        ("a.b", "a.b"),
        ("a@b", '"a@b"'),
        ("a<b>", '"a<b>"'),
        ("a b é", '"a b é"'),
        ("é", "é"),
        ("-f", "-f"),
        ("{|}~!#$%&'*+/=?^_`", "{|}~!#$%&'*+/=?^_`"),
    ],
)
def test_quoting(local, written):
    """The local part is quoted when it has to be, and only then."""
    assert f"{written}@x" == str(address.make(local, "x", "To"))


@given(mine.odd_locals, mine.domains)
def test_read_again(local, domain):
    """What is written is read again as the same address."""
    who = address.make(local, domain, "To")
    (box,) = address.parse_list(str(who), "To")

    assert (local, domain) == (box.local, box.domain)


@given(st.text(max_size=12), st.text(max_size=12))
def test_nothing_slips_through(local, domain):
    """Whatever becomes an Address is one token within angles, and short enough."""
    try:
        who = address.make(local, domain, "To")
    except InputRefused:
        return
    path = who.path(utf8=True)

    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl") for c in path)
    assert len(path.encode()) <= 254
    (box,) = address.parse_list(f"<{path}>", "To")
    assert box.local == local


@pytest.mark.parametrize("code", [*range(32), 127, 0x80, 0x9F, 0x2028, 0x2029, 0xDCFF])
def test_control_characters(code):
    """No control character and no invalid UTF-8 is in an address."""
    for local, domain in ((f"a{chr(code)}", "x"), ("a", f"x{chr(code)}y")):
        with pytest.raises(InputRefused, match="control character"):
            address.make(local, domain, "To")


@pytest.mark.parametrize(
    ("local", "domain"),
    [
        ("a" * 64, "x.example"),
        ("é" * 32, "x.example"),
        ("a", "x" * 63 + ".example"),
        ("a" * 62, ".".join(["x" * 63] * 2 + ["y" * 62])[:190]),
        ("a", "[192.0.2.255]"),
        ("a", "[IPv6:2001:db8::1]"),
        ("a", "[tag:content]"),
        ("a", "under_score.example"),
    ],
)
def test_within_limits(local, domain):
    """Addresses up to the lengths of RFC 5321 section 4.5.3.1 are made."""
    assert f"{local}@{domain}" == str(address.make(local, domain, "To"))


@pytest.mark.parametrize(
    ("local", "domain"),
    [
        ("", "x"),
        ("a", ""),
        ("a" * 65, "x"),
        ("a" * 63 + " ", "x"),  # its quotes count
        ("é" * 33, "x"),
        ("a", "x" * 64),
        ("a", ".".join(["x" * 60] * 5)),
        ("a" * 64, ".".join(["x" * 60] * 3 + ["y" * 20])),
        ("a", "x..y"),
        ("a", ".x"),
        ("a", "x."),
        ("a", "x y"),
        ("a", "x>"),
        ("a", "x,y"),
        ("a", "x@y"),
        ("a", "[192.0.2.256]"),
        ("a", "[192.0.2]"),
        ("a", "[192.0.2.0001]"),
        ("a", "[IPv6:zz::1]"),
        ("a", "[IPv6:1]"),
        ("a", "[x]"),
        ("a", "[]"),
        ("a", "[tag:]"),
        ("a", "[:a]"),
        ("a", "[tag:a b]"),
        ("a", "[192.0.2.1"),
        ("a", "[192.0.2.1]x"),
    ],
)
def test_refused(local, domain):
    """What no mailhub could take is refused with exit code 65 and the place named."""
    with pytest.raises(InputRefused) as caught:
        address.make(local, domain, "Root")

    assert 65 == caught.value.exit_code
    assert caught.value.what.startswith("Root: ")
    assert len(caught.value.sentence()) < 200


def test_equality():
    """Addresses are the same when local parts are, and domains but for their case."""
    one = address.make("a", "Bücher.example", "To")

    assert one == address.make("a", "bücher.EXAMPLE", "To")
    assert one == address.make("a", "xn--bcher-kva.example", "To")
    assert one != address.make("A", "bücher.example", "To")
    assert one != "a@bücher.example"
    assert 1 == len({one, address.make("a", "bÜcher.example", "To")})


def test_immutable():
    """An Address never changes."""
    who = address.make("a", "x", "To")
    with pytest.raises(AttributeError):
        who.domain = "y"


def test_without_smtputf8():
    """A domain has its A-labels; a local part beyond ASCII needs SMTPUTF8."""
    who = address.make("a", "bücher.example", "To")
    jürgen = address.make("jürgen", "bücher.example", "To")

    assert who.is_ascii
    assert "a@xn--bcher-kva.example" == who.path(utf8=False)
    assert "a@bücher.example" == who.path(utf8=True)
    assert not jürgen.is_ascii
    assert "jürgen@bücher.example" == jürgen.path(utf8=True)
    with pytest.raises(InputRefused, match="SMTPUTF8"):
        jürgen.path(utf8=False)


@pytest.fixture
def without_idna(monkeypatch):
    """The road of a message has only the standard library."""
    monkeypatch.setitem(sys.modules, "idna", None)


@pytest.mark.parametrize(
    ("domain", "labels"),
    [
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("例え.jp", "xn--r8jz45g.jp"),
        ("a.пример", "a.xn--e1afmkfd"),
    ],
)
def test_a_labels_without_a_package(without_idna, domain, labels):
    """Domains that both editions of IDNA read alike need no package."""
    assert labels == address.to_ascii(domain, "To")


@pytest.mark.parametrize("domain", ["straße.example", "βόλος.example", "♥.example"])
def test_idna_disagrees(without_idna, domain):
    """A domain that the editions of IDNA read differently is refused, not guessed."""
    with pytest.raises(InputRefused, match="package idna"):
        address.make("a", domain, "To")


def test_idna_package():
    """With the package such a domain gets its present A-labels."""
    pytest.importorskip("idna")

    assert "xn--strae-oqa.example" == address.to_ascii("straße.example", "To")
    with pytest.raises(InputRefused, match="IDNA"):
        address.to_ascii("♥.example", "To")


def test_hopeless_domain(without_idna):
    """A label that is too long in its A-form is refused."""
    with pytest.raises(InputRefused, match="IDNA"):
        address.to_ascii("ü" * 64 + ".example", "To")
