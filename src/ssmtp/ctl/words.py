"""What `ssmtpctl` says, in the language of whoever reads it.

The texts stand in the code in English; `locale/es/LC_MESSAGES/ssmtp.po` has them in
Spanish, and docs/words/generate.py keeps it complete. The language is that of the
locale (LANGUAGE, LC_ALL, LC_MESSAGES, LANG, in this order, as gettext has it); English
where there is no catalogue, and for programs, which ask for JSON. The road of a message
says everything in English and never comes here.
"""

from __future__ import annotations

import gettext
import os
from collections.abc import Iterator, Mapping

PLACE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "locale")
WIDTH = 80  # columns of a help text
NARROWEST = 30

_catalogue: gettext.NullTranslations | None = None


def languages(environ: Mapping[str, str]) -> list[str]:
    """Return the languages that a reader has before English, the dearest first.

    The locale C means English whatever LANGUAGE says, as in other programs.
    """
    names = (environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    locale = next(filter(None, names), "")
    if locale in ("C", "POSIX"):
        return []
    wanted = []
    for word in (environ.get("LANGUAGE") or locale).split(":"):
        language = word.partition(".")[0].partition("_")[0]
        if language in ("en", "C", "POSIX"):
            break
        # A path would lead to a catalogue that is not ours.
        if language.isalpha():
            wanted.append(word)
    return wanted


def catalogue() -> gettext.NullTranslations:
    """Return the catalogue of the reader; one that changes nothing where none is."""
    global _catalogue
    if _catalogue is None:
        wanted = languages(os.environ)
        _catalogue = gettext.translation("ssmtp", PLACE, wanted, fallback=True)
    return _catalogue


def begin() -> None:
    """Take the language of the environment, for argparse as well."""
    global _catalogue
    _catalogue = None
    if isinstance(catalogue(), gettext.GNUTranslations):
        gettext.bindtextdomain("ssmtp", PLACE)
        gettext.textdomain("ssmtp")


def for_programs() -> None:
    """Say everything in English from now on: what is said is read by a program."""
    global _catalogue
    _catalogue = gettext.NullTranslations()


def translating() -> bool:
    """Tell whether there is a catalogue for the reader."""
    return isinstance(catalogue(), gettext.GNUTranslations)


def _(text: str) -> str:
    """Return a text in the reader's language."""
    return catalogue().gettext(text) if text else text


def marked(text: str) -> str:
    """Return a text as it is: it is in the catalogue, and `_` is for later."""
    return text


def counted(one: str, many: str, number: int) -> str:
    """Return the form of a text that goes with a number, in the reader's language."""
    return catalogue().ngettext(one, many, number)


def page(text: str) -> str:
    """Return examples or an epilogue of --help in the reader's language.

    Each paragraph, and each explanation in a list, is a text of its own.
    """
    if not translating():
        return text
    return "\n".join(_page(text)).rstrip() + "\n"


def _page(text: str) -> Iterator[str]:
    from textwrap import TextWrapper

    def wrap(text: str, width: int) -> list[str]:
        # Names of units and options are not to be torn apart.
        return TextWrapper(width, break_long_words=False, break_on_hyphens=False).wrap(
            text
        ) or [""]

    for column, term, meaning in pieces(text):
        said = _(meaning)
        if not term:
            yield from wrap(said, WIDTH)
            continue
        first, *rest = wrap(said, max(WIDTH - column, NARROWEST))
        yield f"{f'  {term}':<{column}}{first}".rstrip()
        yield from (" " * column + line for line in rest)


def pieces(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield what a help text consists of: column of the meaning, term, meaning.

    A paragraph has no term, and its lines are joined; a line that is indented is a
    term, with a meaning behind two blanks or with none; an empty line is nothing.
    """
    plain: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.strip() and not line.startswith("  "):
            plain.append(line)
            continue
        if plain:
            yield 0, "", " ".join(plain)
            plain = []
        term, _blank, meaning = line.strip().partition("  ")
        meaning = meaning.strip()
        if term:
            yield line.rindex(meaning) if meaning else 0, term, meaning
        else:
            yield 0, "", ""
