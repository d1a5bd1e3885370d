"""Header sections of any size in shapes that programs write, and what repairs them.

Nothing is imported here but what the work itself needs: the tests count instructions.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def _many_fields(size: int) -> bytes:
    line = b"x" * (size // 990 - 14)
    return b"".join(b"X-Field-%03d: %b\n" % (n, line) for n in range(990))


def _folded(size: int) -> bytes:
    line = b" " + b"word " * 14 + b"\n"
    return b"X-Folded: begin\n" + line * ((size - 20) // len(line))


def _long_words(size: int) -> bytes:
    return b"Subject: " + b"word " * ((size - 20) // 5) + b"\n"


def _eight_bit(size: int) -> bytes:
    return b"Subject: " + "wörter ".encode() * ((size - 20) // 8) + b"\n"


def _names(size: int) -> bytes:
    names = (b"name%05d,\n " % n for n in range((size - 60) // 12))
    return b"Cc: " + b"".join(names) + b"bob@example.org\n"


def _encoded(size: int) -> bytes:
    word = b"=?utf-8?q?w=C3=B6rter?="
    return (
        b"To: "
        + (word + b" <person@example.org>,\n ") * ((size - 60) // 48)
        + b"b@example.org\n"
    )


def _eight_bit_names(size: int) -> bytes:
    one = "Jörg Größe <person@example.org>,\n ".encode()
    return b"To: " + one * ((size - 60) // len(one)) + b"b@example.org\n"


def _no_utf8(size: int) -> bytes:
    return b"Subject: " + b"w\xf6rter " * ((size - 20) // 7) + b"\n"


def _quotes(size: int) -> bytes:
    return b"To: " + b'"a\\"b" ' * ((size - 60) // 7) + b"<bob@example.org>\n"


def _plain_addresses(size: int) -> bytes:
    one = b"person@example.org,\n "
    return b"To: " + one * ((size - 60) // len(one)) + b"bob@example.org\n"


def _addresses(size: int) -> bytes:
    one = b'"A. Person" <person@example.org>,\n '
    return b"To: " + one * ((size - 60) // len(one)) + b"bob@example.org\n"


def _comments(size: int) -> bytes:
    return b"To: " + b"(a) " * ((size - 60) // 4) + b"bob@example.org\n"


def _recipient_fields(size: int) -> bytes:
    one = b"person@example.org, " * ((size // 990 - 32) // 20)
    return (b"Resent-To: " + one + b"bob@example.org\n") * 990


def _different_names(size: int) -> bytes:
    names = (
        b"P. %05d <p%05d@example.org>, " % (n, n) for n in range((size - 60) // 31)
    )
    return b"To: " + b"".join(names) + b"bob@example.org\n"


def _groups(size: int) -> bytes:
    one = b"Team: ann@example.org, bob@example.org;,\n "
    return b"To: " + one * ((size - 60) // len(one)) + b"bob@example.org\n"


def _commented(size: int) -> bytes:
    one = b"ann@example.org (Ann),\n "
    return b"To: " + one * ((size - 60) // len(one)) + b"bob@example.org\n"


def _letters(size: int) -> bytes:
    return b"Cc: " + b"a,b,c," * ((size - 60) // 6) + b"bob@example.org\n"


def _references(size: int) -> bytes:
    one = b" <20261122.abc@example.org>"
    return b"References:" + one * ((size - 60) // len(one)) + b"\n"


def _one_word(size: int) -> bytes:
    return b"X-Data: " + b"x" * (size - 20) + b"\n"


def _mixed(size: int) -> bytes:
    return b"Subject: " + b"w\xf6rter word " * ((size - 20) // 12) + b"\n"


def _locals(size: int) -> bytes:
    return b"Cc: " + b"root,\n " * ((size - 60) // 7) + b"bob@example.org\n"


# What a mailhub without SMTPUTF8 gets in another form.
EIGHT_BIT = ("one long line, 8-bit", "8-bit names and addresses")
SHAPES: dict[str, Callable[[int], bytes]] = {
    "990 fields": _many_fields,
    "one folded field": _folded,
    "one long line": _long_words,
    "one long line, 8-bit": _eight_bit,
    "addresses": _plain_addresses,
    "names and addresses": _addresses,
    "8-bit names and addresses": _eight_bit_names,
    "encoded names and addresses": _encoded,
    "no UTF-8": _no_utf8,
    "other local names": _names,
    "local names": _locals,
    "990 address fields": _recipient_fields,
    "different names and addresses": _different_names,
    "groups": _groups,
    "addresses with comments": _commented,
    "References": _references,
    "one word": _one_word,
    "words, every other no UTF-8": _mixed,
}
# What nobody writes but who wants to know.
ODD: dict[str, Callable[[int], bytes]] = {
    "quoted words": _quotes,
    "comments": _comments,
    "names of one letter": _letters,
}


def repairer(ascii_only: bool) -> Callable[[bytes], None]:
    """Return what reads and repairs a header section, as `sendmail` does it.

    With `ascii_only` it is also written for a mailhub that takes nothing else.
    """
    sys.path.insert(0, __file__.rpartition("/bench/")[0] + "/src")
    from ssmtp import accounts, config, intake, message, options, stamp

    settings = config.parse(b"mailhub=hub.example:25\nrewriteDomain=example.org\n", "-")
    caller = accounts.caller()
    identity = accounts.identify(caller, settings, [])
    names = accounts.LocalNames(settings, {}, accounts.uid_of)

    def repair(section: bytes) -> None:
        read = intake.from_blocks(section, [b"body\n"])
        made = message.repair(
            message.parse(read),
            read.body,
            config=settings,
            identity=identity,
            names=names,
            options=options.scan("sendmail", ["ann@example.org"]),
            now=stamp.Stamp(0, 0, "unique"),
            host="client.example.org",
        )
        if ascii_only:
            made.render(False, False)

    return repair
