"""Where long lines are folded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ssmtp import addresslist, folding
from ssmtp.errors import InputRefused

words = st.lists(
    st.sampled_from(["", "", "a", ",", "x,", '"a,b"', "(c,", ")", "=" * 9, "é" * 40])
    | st.integers(60, 90).map(lambda size: "x" * size),
    max_size=40,
)
columns = st.sampled_from([0, 1, 2, 9, 75, 76, 77, 200])


def word_by_word(pieces: list[str], column: int, lead: str) -> str:
    """Fold as the rule says: before each word that would end behind column 76."""
    out = lead
    for i, piece in enumerate(pieces):
        end = column + 1 + len(piece)
        if (i or not lead) and piece and column > 1 and end > 76:
            out += "\n"
            column = 0
        out += lead if lead and not i else " "
        out += piece
        column += 1 + len(piece)
    return out[len(lead) :]


@given(words, columns)
def test_folds_at_blanks(pieces, column):
    """A fold stands before each word that would end behind column 76, and nowhere."""
    first = pieces[0] if pieces else ""
    rest = pieces[1:]
    line = " ".join([first, *rest])

    folded = first + word_by_word(rest, column + len(first), "")
    assert folded == folding.fold(line, column, False)
    assert line == folded.replace("\n", "")


@given(words, columns)
def test_joined(pieces, column):
    """Pieces are joined by blanks and folds; the first stands in the first line."""
    written = word_by_word(pieces, column, " ")

    assert written == folding.joined(pieces, column)


@given(words)
def test_folds_at_commas(pieces):
    """Without blanks, folds stand after commas outside quotes and comments."""
    text = "".join(p or " " for p in pieces) * 10
    folded = folding.fold(text, 0, True)

    assert "".join(text.split()) == "".join(folded.split())
    assert meaning(text) == meaning(folded)
    assert all(line.strip() for line in folded.rstrip().split("\n")[1:])


def meaning(text: str) -> object:
    try:
        found = addresslist.tokens(text, "To")
    except InputRefused:
        return None
    return [(kind, text[a:b].replace("\n", "")) for kind, a, b in found]


def test_a_comma_before_a_fold():
    """Where a fold is already, there comes no other: that line would be blank."""
    text = ("x" * 80 + ",") * 12 + " " + "y" * 80

    assert ("x" * 80 + ",\n ") * 12 + "y" * 80 == folding.fold(text, 0, True)
