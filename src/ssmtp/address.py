"""Addresses that SMTP may carry, made from what people write.

The way of an address has two halves, and nothing skips the second: reading
(`addresslist`) is lenient, making is strict. `make` is the only maker of `Address`,
and an `Address` is the only thing that is written into a command. It holds no control
character, its local part is quoted canonically, and it fits the lengths of RFC 5321
section 4.5.3.1.
"""

from __future__ import annotations

from ssmtp.addresslist import (
    Mailbox,
    no_controls,
    parse_argument,
    parse_list,
    parse_one,
    refused,
    shown,
)
from ssmtp.errors import InputRefused

__all__ = [
    "Address",
    "Mailbox",
    "make",
    "parse_argument",
    "parse_list",
    "parse_one",
    "quote",
    "to_ascii",
]

# RFC 5322 section 3.2.3: atext, and the dot.
_ATOM = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~."
)
_HOST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")

# RFC 5321 section 4.5.3.1, and the path of 256 octets less its angles.
_LOCAL_MAX = 64
_DOMAIN_MAX = 255
_ADDRESS_MAX = 254
_LABEL_MAX = 63

# An address of a message is made for each check of it. Those in ASCII are remembered;
# when there are too many, from anew.
_MADE_MOST = 1000
_made: dict[tuple[str, str], Address] = {}


class Address:
    """A mailbox that may be written into an SMTP command; made by `make` only.

    `local` is the local part without quotes, `domain` the domain as it was written
    (perhaps in Unicode). Two addresses are equal when their local parts are the same
    and their domains differ in case or in A-label form at most.
    """

    __slots__ = ("_ascii_domain", "_key", "_local", "_quoted", "domain")

    domain: str
    _ascii_domain: str
    _key: str
    _local: str
    _quoted: str

    def __init__(self, local: str, quoted: str, domain: str, ascii_domain: str) -> None:
        put = object.__setattr__
        put(self, "_local", local)
        put(self, "_quoted", quoted)
        put(self, "domain", domain)
        put(self, "_ascii_domain", ascii_domain)
        put(self, "_key", f"{quoted}@{ascii_domain.lower()}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("an Address never changes")

    @property
    def local(self) -> str:
        """The local part without quotes."""
        return self._local

    @property
    def is_ascii(self) -> bool:
        """Whether the address can be sent without SMTPUTF8 (RFC 6531)."""
        return self._quoted.isascii()

    def path(self, utf8: bool) -> str:
        """Return what stands between the angles of MAIL and RCPT.

        Without `utf8` the domain is written in A-labels, and a local part outside
        ASCII raises `InputRefused`: it has no other form (RFC 6531 section 3.2).
        """
        if utf8:
            return f"{self._quoted}@{self.domain}"
        if not self._quoted.isascii():
            raise InputRefused(
                f"the address {self} needs SMTPUTF8, which the mailhub does not offer",
                "use an address in ASCII letters",
            )
        return f"{self._quoted}@{self._ascii_domain}"

    def __str__(self) -> str:
        return f"{self._quoted}@{self.domain}"

    def __repr__(self) -> str:
        return f"<Address {self}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


def make(local: str, domain: str, where: str) -> Address:
    """Make an `Address`, or raise `InputRefused` naming `where`.

    Checks lengths (RFC 5321 section 4.5.3.1), control characters and the form of the
    domain, and works out the A-labels of a domain outside ASCII (RFC 5890).
    """
    made = _made.get((local, domain))
    if made is None:
        made = _checked(local, domain, where)
        if domain.isascii():
            if len(_made) >= _MADE_MOST:
                _made.clear()
            _made[local, domain] = made
    return made


def _checked(local: str, domain: str, where: str) -> Address:
    whole = f"{local}@{domain}"
    no_controls(whole, where)
    if not local:
        raise refused(where, "nothing before the @", whole)
    quoted = quote(local)
    if domain.startswith("["):
        ascii_domain = domain
        if not domain.endswith("]") or not _is_literal(domain[1:-1]):
            raise refused(where, "a domain literal that is none", whole)
    else:
        ascii_domain = domain if domain.isascii() else to_ascii(domain, where)
        labels = ascii_domain.split(".")
        if not _HOST.issuperset(ascii_domain) or not all(labels):
            raise refused(where, "a domain that cannot be", whole)
        if max(map(len, labels)) > _LABEL_MAX:
            raise refused(where, "a domain label over 63 octets", whole)
    octets = len(quoted.encode())
    if octets > _LOCAL_MAX:
        raise refused(where, f"a local part over {_LOCAL_MAX} octets", whole)
    if len(ascii_domain) > _DOMAIN_MAX or len(domain.encode()) > _DOMAIN_MAX:
        raise refused(where, f"a domain over {_DOMAIN_MAX} octets", whole)
    if octets + 1 + max(len(ascii_domain), len(domain.encode())) > _ADDRESS_MAX:
        raise refused(where, f"an address over {_ADDRESS_MAX} octets", whole)
    return Address(local, quoted, domain, ascii_domain)


def quote(local: str) -> str:
    """Write a local part canonically: quoted only when it has to be.

    RFC 5321 section 4.1.2; RFC 6531 section 3.3 adds everything outside ASCII.
    """
    plain = local if local.isascii() else "".join(c for c in local if c < "\x80") or "a"
    if (
        _ATOM.issuperset(plain)
        and not local.startswith(".")
        and not local.endswith(".")
        and ".." not in local
    ):
        return local
    return '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'


def to_ascii(domain: str, where: str) -> str:
    """Return the A-labels of a domain outside ASCII (RFC 5891).

    Uses the `idna` package where it is installed. The standard library knows only
    IDNA 2003, so without the package a domain that the two read differently, or that
    only the newer one knows, is refused.
    """
    try:
        import idna
    except ImportError:
        pass
    else:
        try:
            return str(idna.encode(domain, uts46=True).decode("ascii"))
        except idna.IDNAError:
            raise refused(where, "a domain that IDNA does not allow", domain) from None
    import unicodedata

    folded = unicodedata.normalize("NFKC", domain.casefold())
    # Deviation characters of UTS 46: sharp s, final sigma, and the two joiners.
    if any(c in "\u00df\u1e9e\u03c2\u200c\u200d" for c in domain) or any(
        c not in _HOST
        and unicodedata.category(c) not in {"Ll", "Lo", "Lm", "Mn", "Mc", "Nd"}
        for c in folded
    ):
        raise InputRefused(
            f"{where}: the domain {shown(domain)} needs the Python package idna",
            "install it, or write the domain in its xn-- form",
        )
    try:
        return folded.encode("idna").decode("ascii")
    except UnicodeError:
        raise refused(where, "a domain that IDNA does not allow", domain) from None


def _is_literal(inner: str) -> bool:
    """Whether this is the inside of an address literal (RFC 5321 section 4.1.3)."""
    tag, colon, rest = inner.partition(":")
    if not colon:
        parts = inner.split(".")
        return len(parts) == 4 and all(
            p.isascii() and p.isdigit() and int(p[:4]) < 256 and len(p) < 4
            for p in parts
        )
    if not rest or not tag.isascii() or not tag.replace("-", "").isalnum():
        return False
    if tag.lower() == "ipv6":
        return frozenset("0123456789abcdefABCDEF:.").issuperset(rest) and ":" in rest
    return all("!" <= c <= "~" and c not in "[\\]" for c in rest)
