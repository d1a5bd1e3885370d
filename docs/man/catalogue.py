"""The sentences of the generated tables in another language, from a gettext file.

What `--help` of ssmtpctl says is in the catalogue of ssmtpctl; all else, and what is
not there, is in `pages.po` beside the pages of the language.
"""

from __future__ import annotations

import ast
from collections.abc import Container
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAM = HERE.parents[1] / "src/ssmtp/ctl/locale"


class Say:
    """Says everything in English; `whole` are longer texts that it knows as one."""

    whole: Container[str] = ()

    def __call__(self, text: str) -> str:
        """Return a text in the language of the page."""
        return text

    def word(self, text: str) -> str:
        """Return the name of a value, which need not have a translation."""
        return text


class Catalogue(Say):
    """Says everything in another language, and notes what it was asked for."""

    def __init__(self, language: str) -> None:
        self.own = read(HERE / language / "pages.po")
        program = PROGRAM / language / "LC_MESSAGES/ssmtp.po"
        self.program = read(program) if program.is_file() else {}
        self.known = {k: v for k, v in {**self.program, **self.own}.items() if v}
        self.whole = self.known
        self.asked: list[str] = []

    def __call__(self, text: str) -> str:
        """Return the text in this language, or as it is if no catalogue has it."""
        self.asked.append(text)
        return self.word(text)

    def word(self, text: str) -> str:
        """Return a text without noting it."""
        return self.known.get(text, text)

    def missing(self) -> list[str]:
        """Return what was asked for and is in no catalogue."""
        return [text for text in dict.fromkeys(self.asked) if text not in self.known]

    def unused(self) -> list[str]:
        """Return what the pages no longer have."""
        return sorted(set(self.own) - set(self.asked))


def read(path: Path) -> dict[str, str]:
    """Return the texts of a .po file; of a plural, the first form."""
    found: dict[str, str] = {}
    kind, parts = "", {"msgid": "", "msgstr": ""}
    for line in [*path.read_text("utf-8").splitlines(), 'msgid ""']:
        word, _, rest = line.partition(" ")
        if line.startswith('"'):
            word, rest = "", line
        elif word.startswith("msg"):
            word = word.partition("[")[0]
            if word == "msgid":
                found[parts["msgid"]] = parts["msgstr"]
                parts = {"msgid": "", "msgstr": ""}
            kind = word if not parts.get(word) else "skipped"
        else:
            continue
        if kind in parts:
            parts[kind] += ast.literal_eval(rest)
    found.pop("", None)
    return found
