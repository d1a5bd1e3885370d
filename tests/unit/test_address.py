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


def test_as_often_as_wanted(monkeypatch):
    """The same text makes the same address, however many others come between."""
    monkeypatch.setattr(address, "_MADE_MOST", 2)
    for _ in range(2):
        for domain in ("a.example", "b.example", "c.example"):
            who = address.make("x", domain, "To")

            assert f"x@{domain}" == str(who)
    assert len(address._made) <= 2


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
        why = "^To: a control character in an address: a"
        with pytest.raises(InputRefused, match=why):
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
        ("a", "[ipv6:::FFFF:192.0.2.1]"),
        ("a", "[IPv6:ABCDEF:0123456789abcdef]"),
        ("a", "[0.0.0.0]"),
        ("a", "[x-tag:!X~]"),
        ("a" * 9, ".".join(["x" * 60] * 3 + ["y" * 61])),
        ("a", "[tag:content]"),
        ("a", "under_score.example"),
    ],
)
def test_within_limits(local, domain):
    """Addresses up to the lengths of RFC 5321 section 4.5.3.1 are made."""
    assert f"{local}@{domain}" == str(address.make(local, domain, "To"))


@pytest.mark.parametrize(
    ("local", "domain", "why"),
    [
        ("", "x", "nothing before the @"),
        ("a", "", "a domain that cannot be"),
        ("a" * 65, "x", "a local part over 64 octets"),
        ("a" * 63 + " ", "x", "a local part over 64 octets"),  # its quotes count
        ("é" * 33, "x", "a local part over 64 octets"),
        ("a", "x" * 64, "a domain label over 63 octets"),
        ("a", ".".join(["x" * 60] * 5), "a domain over 255 octets"),
        ("a" * 64, ".".join(["x" * 60] * 3 + ["y" * 20]), "an address over 254 octets"),
        ("a", "x..y", "a domain that cannot be"),
        ("a", ".x", "a domain that cannot be"),
        ("a", "x.", "a domain that cannot be"),
        ("a", "x y", "a domain that cannot be"),
        ("a", "x>", "a domain that cannot be"),
        ("a", "x,y", "a domain that cannot be"),
        ("a", "x@y", "a domain that cannot be"),
        ("a", "[192.0.2.256]", "a domain literal that is none"),
        ("a", "[192.0.2]", "a domain literal that is none"),
        ("a", "[192.0.2.0001]", "a domain literal that is none"),
        ("a", "[1920.0.2.1]", "a domain literal that is none"),
        ("a", "[192.0.2.x]", "a domain literal that is none"),
        ("a", "[192.0.2.²]", "a domain literal that is none"),
        ("a", "[ipv6:X::1]", "a domain literal that is none"),
        ("a", "[IPv6:1.2]", "a domain literal that is none"),
        ("a", "[täg:x]", "a domain literal that is none"),
        ("a", "[ta_g:x]", "a domain literal that is none"),
        ("a", "[tag:x[y]", "a domain literal that is none"),
        ("a", "[tag:x]y]", "a domain literal that is none"),
        ("a", "[tag:x\\y]", "a domain literal that is none"),
        ("a", "[tag:xé]", "a domain literal that is none"),
        ("a" * 10, ".".join(["x" * 60] * 3 + ["y" * 61]), "an address over 254 octets"),
        ("a", "[IPv6:zz::1]", "a domain literal that is none"),
        ("a", "[IPv6:1]", "a domain literal that is none"),
        ("a", "[x]", "a domain literal that is none"),
        ("a", "[]", "a domain literal that is none"),
        ("a", "[tag:]", "a domain literal that is none"),
        ("a", "[:a]", "a domain literal that is none"),
        ("a", "[tag:a b]", "a domain literal that is none"),
        ("a", "[192.0.2.1", "a domain literal that is none"),
        ("a", "[192.0.2.1]x", "a domain literal that is none"),
    ],
)
def test_refused(local, domain, why):
    """What no mailhub could take is refused with exit code 65 and the place named."""
    with pytest.raises(InputRefused) as caught:
        address.make(local, domain, "Root")

    assert 65 == caught.value.exit_code
    assert caught.value.what.startswith(f"Root: {why}: ")
    assert f"{local}@{domain}"[:57] in caught.value.what
    assert "correct the address" == caught.value.next_step
    assert len(caught.value.sentence()) < 200


def test_equality():
    """Addresses are the same when local parts are, and domains but for their case."""
    one = address.make("a", "Bücher.example", "To")

    assert one == address.make("a", "bücher.EXAMPLE", "To")
    assert one == address.make("a", "xn--bcher-kva.example", "To")
    assert one != address.make("A", "bücher.example", "To")
    assert one != "a@bücher.example"
    assert 1 == len({one, address.make("a", "bÜcher.example", "To")})
    assert hash(one) != hash(address.make("b", "bücher.example", "To"))


def test_immutable():
    """An Address never changes."""
    who = address.make("a", "x", "To")
    with pytest.raises(AttributeError, match="an Address never changes"):
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
    with pytest.raises(InputRefused) as caught:
        jürgen.path(utf8=False)
    assert caught.value.sentence() == (
        "the address jürgen@bücher.example needs SMTPUTF8, which the mailhub does not"
        " offer; use an address in ASCII letters"
    )


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
        ("スキー.jp", "xn--nckxa6r.jp"),
        ("q\u0307.example", "xn--q-9bb.example"),
        ("का१.example", "xn--11b6f9e.example"),
    ],
)
def test_a_labels_without_a_package(without_idna, domain, labels):
    """Domains that both editions of IDNA read alike need no package."""
    assert labels == address.to_ascii(domain, "To")


@pytest.mark.parametrize("domain", ["straße.example", "βόλος.example", "♥.example"])
def test_idna_disagrees(without_idna, domain):
    """A domain that the editions of IDNA read differently is refused, not guessed."""
    with pytest.raises(InputRefused) as caught:
        address.make("a", domain, "To")
    assert caught.value.sentence() == (
        f"To: the domain {domain} needs the Python package idna;"
        " install it, or write the domain in its xn-- form"
    )


def test_idna_package():
    """With the package such a domain gets its present A-labels."""
    pytest.importorskip("idna")

    assert "xn--strae-oqa.example" == address.to_ascii("straße.example", "To")
    with pytest.raises(InputRefused) as caught:
        address.to_ascii("♥.example", "To")
    assert caught.value.what == "To: a domain that IDNA does not allow: ♥.example"


def test_hopeless_domain(without_idna):
    """A label that is too long in its A-form is refused."""
    with pytest.raises(InputRefused, match="^To: a domain that IDNA does not allow: ü"):
        address.to_ascii("ü" * 64 + ".example", "To")
