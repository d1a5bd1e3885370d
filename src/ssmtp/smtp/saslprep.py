"""User names and passwords in the one form that both sides compute with (RFC 4013)."""

from __future__ import annotations

from ssmtp.errors import AuthRefused


def prepare(text: str, what: str, mechanism: str) -> bytes:
    """Apply SASLprep (RFC 4013) and return UTF-8.

    Printable ASCII stays as it is without importing the tables. Unassigned code
    points are let through, as RFC 3454 §7 allows for queries. Raises `AuthRefused`.
    """
    if text.isascii():
        if text.isprintable():
            return text.encode()
        raise _unprepared(what, mechanism, "a control character")
    import stringprep
    from unicodedata import ucd_3_2_0

    try:
        text.encode()
    except UnicodeEncodeError:
        raise _unprepared(what, mechanism, "octets that are not UTF-8") from None
    # RFC 4013 §2.1 and §2.2: mapping, then normalization form KC of Unicode 3.2.
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char
        for char in text
        if not stringprep.in_table_b1(char)
    )
    prepared = ucd_3_2_0.normalize("NFKC", mapped)
    prohibited = (
        stringprep.in_table_c12,
        stringprep.in_table_c21_c22,
        stringprep.in_table_c3,
        stringprep.in_table_c4,
        stringprep.in_table_c5,
        stringprep.in_table_c6,
        stringprep.in_table_c7,
        stringprep.in_table_c8,
        stringprep.in_table_c9,
    )
    if any(table(char) for char in prepared for table in prohibited):
        raise _unprepared(what, mechanism, "a character that SASLprep forbids")
    # RFC 3454 §6: text from right to left begins and ends so, and is not mixed.
    if any(stringprep.in_table_d1(char) for char in prepared) and not (
        stringprep.in_table_d1(prepared[0])
        and stringprep.in_table_d1(prepared[-1])
        and not any(stringprep.in_table_d2(char) for char in prepared)
    ):
        raise _unprepared(what, mechanism, "text in two directions")
    return prepared.encode()


def _unprepared(what: str, mechanism: str, why: str) -> AuthRefused:
    return AuthRefused(
        f"the {what} holds {why}, which {mechanism} cannot carry",
        "set AuthMethod=PLAIN, or change it",
    )
