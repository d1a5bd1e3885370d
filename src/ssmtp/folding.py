"""Folds: where a line of a header field that has become too long may end.

A long line is cut at the blanks between its words, as late as it may be (RFC 5322
section 2.2.3); where an address list has none, behind its commas.
"""

from __future__ import annotations

from ssmtp import longlist
from ssmtp.errors import InputRefused
from ssmtp.header import LINE_MAX

# RFC 2047 section 2 allows no more in a line that holds an encoded word.
LINE_GOOD = 76


def fold(line: str, column: int, at_commas: bool) -> str:
    """Fold one line at its blanks, and after commas where that changes nothing.

    `column` is where the line begins.
    """
    text = _fold_at_blanks(line.replace("\t", " "), column, 0)
    if at_commas and max(map(len, text.split("\n"))) > LINE_MAX - 80:
        text = _fold_at_commas(text)
    return text


def joined(pieces: list[str], column: int) -> str:
    """Put blanks between the pieces, and folds where a line becomes long.

    `column` is where the first line begins; the first piece stands in it.
    """
    return _fold_at_blanks(" " + " ".join(pieces), column, 1) if pieces else ""


def _fold_at_blanks(text: str, column: int, first: int) -> str:
    """Put a newline before the blank before each word that would end too late.

    No fold stands before `first`, before another blank, or at the begin of a line.
    """
    out: list[str] = []
    size = len(text)
    begin = 0  # of what is not yet in `out`
    start = -column  # where this line would begin in the text
    late = max(start + LINE_GOOD, 0)
    while late < size:
        # The blank before the first word that ends behind `late`.
        at = late if text[late] == " " else text.rfind(" ", begin, late)
        if at < first or at < start + 2:
            at = text.find(" ", late or first)
            if at < 0:
                break
        while text[at + 1 : at + 2] == " ":
            at += 1
        if at + 1 == size:
            break
        out.append(text[begin:at])
        begin = start = at
        late = start + LINE_GOOD
    out.append(text[begin:])
    return "\n".join(out)


def _fold_at_commas(text: str) -> str:
    """Fold after commas outside quotes and comments, where there is no blank yet."""
    try:
        hidden = longlist.masked(text)
    except InputRefused:
        return text
    out = []
    at = line = 0  # what was copied, and where the line begins
    has_folds = "\n" in text
    comma = hidden.find(",", LINE_GOOD)
    while comma >= 0:
        end = comma + 1
        newline = text.rfind("\n", line, end) if has_folds else -1
        if newline > line:
            line = newline
        elif text[end : end + 1] not in ("", " ", "\t", "\n"):
            out.append(text[at:end])
            at = line = end
        else:
            comma = hidden.find(",", end)
            continue
        comma = hidden.find(",", line + LINE_GOOD)
    out.append(text[at:])
    return "\n ".join(out)
