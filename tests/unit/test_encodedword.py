"""Encoded words (RFC 2047)."""

from __future__ import annotations

import email.header
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp.encodedword import decode, encode

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=120)


@given(texts)
def test_there_and_back(text):
    """Every text survives, and no word is longer than the RFC allows."""
    words = encode(text)

    assert text == decode(" ".join(words))
    assert text == decode("\n ".join(words))
    assert all(len(word) <= 75 and word.isascii() for word in words)
    assert not any(c.isspace() or c in '()<>@,;:"[]' for w in words for c in w)


@given(texts.filter(lambda t: t.strip()))
def test_like_the_standard_library(text):
    """Python's own decoder reads what we write."""
    parts = email.header.decode_header(" ".join(encode(text)))

    assert text == str(email.header.make_header(parts))


@given(st.binary(min_size=1, max_size=60))
def test_no_octet_is_lost(data):
    """Octets that are no UTF-8 are carried in a charset of single octets."""
    text = data.decode("utf-8", "surrogateescape")
    parts = email.header.decode_header(" ".join(encode(text)))

    assert data == b"".join(p if isinstance(p, bytes) else p.encode() for p, _ in parts)


def test_charsets():
    """The charset is UTF-8, or one with a letter for every octet that came."""
    assert ["=?utf-8?q?J=C3=BCrgen?="] == encode("Jürgen")
    assert ["=?iso-8859-1?q?J=FCrgen?="] == encode("J\udcfcrgen")
    assert ["=?windows-1252?q?price_=80?="] == encode("price \udc80")
    assert ["=?iso-8859-1?q?=E9aaaaa?=", "=?iso-8859-1?q?aaaaa?="] == encode(
        "\udce9" + "a" * 10, 25
    )


def test_characters_stay_whole():
    """No word ends within a character."""
    for word in encode("日本語" * 40):
        assert "\ufffd" not in decode(word)


@pytest.mark.parametrize("longest", [14, 16, 20, 21, 24, 40, 75])
@pytest.mark.parametrize(
    "text",
    ["aü€😀" * 9, "ü" * 99, "€" * 40, "ab cü" * 9, "plain text, with =s and ü" * 5],
)
def test_characters_stay_whole_in_any_room(text, longest):
    """Words are as long as they may be; a character too long for that stands alone."""
    words = encode(text, longest)

    assert text == decode(" ".join(words))
    assert not any("\ufffd" in decode(word) for word in words)
    assert all(len(word) <= longest or len(decode(word)) == 1 for word in words)


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("plain", "plain"),
        ("=?utf-8?q?a_b?= c", "a b c"),
        ("=?UTF-8?Q?a?=  =?utf-8?B?Yg==?=", "ab"),
        ("=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b"),
        ("=?utf-8*de?q?a?=", "a"),
        ("=?utf-8?b?Yg?=", "b"),
        ("=?iso-8859-1?q?=E9?=", "é"),
        ("=?utf-8?q?=E9?=", "\ufffd"),
        ("=?nocharset?q?a?=", "=?nocharset?q?a?="),
        ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
        ("=?utf-8?q?a b?=", "=?utf-8?q?a b?="),
        ("=?utf-8?q?a", "=?utf-8?q?a"),
        ("=?utf-8?q?a?b?=", "=?utf-8?q?a?b?="),
        ("=?utf-8?b?a?=", "=?utf-8?b?a?="),
        ("=?", "=?"),
        ("=?=?utf-8?q?a?=", "=?a"),
        ("=?utf-8?q??=", ""),
    ],
)
def test_decoding(text, decoded):
    """What is well formed is decoded, and the rest stays as it is."""
    assert decoded == decode(text)


@given(st.text(st.sampled_from("=?utf-8qb_ \nA"), max_size=40))
def test_never_a_crash(text):
    """Any text can be decoded."""
    assert isinstance(decode(text), str)


@given(st.text("ab =_é日\udcfc\udc80", max_size=200), st.integers(30, 75))
def test_words_as_long_as_can_be(text, longest):
    """No word is too long, and none could hold another character."""
    words = encode(text, longest)
    shown = [decode(word) for word in words]

    assert all(len(word) <= longest for word in words)
    for word, after in pairwise(words):
        charset, how, payload = word.split("?")[1:4]
        width = 4 if how == "b" else 1
        room = (longest - len(charset) - 7) // width * width
        first = shown[words.index(after)][:1].encode(charset)
        more = 3 * len(first) if how == "q" and first not in b"ab " else len(first)
        if how == "b":
            held = len(decode(word).encode(charset))
            assert held + more > room // 4 * 3
        else:
            assert len(payload) + more > room
