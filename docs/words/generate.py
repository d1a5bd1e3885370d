#!/usr/bin/env python3
"""Keep the catalogues of ssmtpctl complete: from the source to the .po and the .mo.

Every text in `_()`, `marked()` or `counted()` below src/ssmtp/ctl is in each catalogue,
and so are the pieces of each EXAMPLES and EPILOG, which `Parser` translates, what
tables in JSON mean (FIELDS), and what the road of a message says; those of its
sentences that have holes are listed in locale/road.txt as well. Run this after a change
of a text, translate what is empty in the .po then, and run it again. With --check it
only tells, by its exit status, what there is to do.
"""

from __future__ import annotations

import ast
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages import mofile, pofile
from babel.messages.catalog import Catalog

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SOURCE = ROOT / "src/ssmtp/ctl"
sys.path[:0] = [str(ROOT / "src"), str(HERE)]

import road  # noqa: E402
from borrowed import ARGPARSE, ROAD  # noqa: E402

from ssmtp.ctl import words  # noqa: E402

Text = str | tuple[str, str]
BLOCKS = ("EXAMPLES", "EPILOG")
FIELDS = ("means", "next")  # of tables in JSON
COMMENT = """\
# What ssmtpctl says, in LANGUAGE.
# docs/words/generate.py writes what is new here and makes the .mo from it."""
HEADERS = ("Project-Id-Version", "Language", "Plural-Forms", "MIME-Version")


class Undated(Catalog):
    """A catalogue that is the same whenever and by whomever it is written."""

    mime_headers = property(  # type: ignore[assignment]
        lambda self: [
            (name, value)
            for name, value in self._get_mime_headers()
            if name in HEADERS or name.startswith("Content-")
        ]
    )


def texts() -> Iterator[tuple[str, int, Text]]:
    """Yield every text with the file and the line where it stands."""
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        tree = ast.parse(path.read_bytes())
        found = [*_called(tree), *_blocks(tree)]
        for line, text in sorted(found, key=lambda row: row[0]):
            yield name, line, text
    for path in sorted(SOURCE.rglob("*.json")):
        name = path.relative_to(ROOT).as_posix()
        for row in json.loads(path.read_bytes()):
            yield from ((name, 1, row[key]) for key in FIELDS if key in row)
    for text in (*ARGPARSE, *ROAD):
        yield "docs/words/borrowed.py", 1, text
    for module, line, text in road.sentences(ROOT / "src/ssmtp"):
        yield f"src/ssmtp/{module}" if module else "docs/words/road.py", line, text


def forms() -> bytes:
    """Return the sentences of the road that have holes, as `retold` reads them."""
    found = [text for *_place, text in road.sentences(ROOT / "src/ssmtp")]
    listed = sorted(text for text in found if "{" in text)
    return "".join(f"{form}\n" for form in listed).encode()


def _called(tree: ast.Module) -> Iterator[tuple[int, Text]]:
    """Yield what stands in calls; unlike babel's own search, in f-strings as well."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        given = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        if node.func.id in ("_", "marked") and given:
            yield node.lineno, given[0]
        elif node.func.id == "counted":
            yield node.lineno, (given[0], given[1])


def _blocks(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield what constants hold: the pieces of help texts, and what each verb does."""
    for node in tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(
            node.targets[0], ast.Name
        ):
            continue
        name, value = node.targets[0].id, node.value
        if name in BLOCKS and isinstance(value, ast.Constant):
            for _column, _term, meaning in words.pieces(value.value):
                if meaning:
                    yield node.lineno, meaning
        elif name == "VERBS" and isinstance(value, ast.Dict):
            for one in value.values:
                if isinstance(one, ast.Constant):
                    yield one.lineno, one.value


def merged(language: str, old: Catalog) -> Catalog:
    """Return the catalogue as it should be, with what is translated already."""
    new = Undated(
        language,
        header_comment=COMMENT.replace("LANGUAGE", old.locale.english_name),
        project="ssmtp",
        version="3",
        fuzzy=False,
    )
    for name, line, text in texts():
        known = old.get(text) or old.obsolete.get(_key(text))
        string = known.string if known else ""
        if isinstance(text, tuple) and not isinstance(string, tuple):
            string = ("",) * new.num_plurals
        elif isinstance(text, str) and isinstance(string, tuple):
            string = ""
        comments = known.user_comments if known else []
        message = new.add(text, string, [(name, line)], user_comments=comments)
        if "{" in _key(text):
            message.flags.discard("python-format")
    for message in old:
        if message.id and message.id not in new:
            new.obsolete[_key(message.id)] = message
    new.obsolete.update(
        (key, message) for key, message in old.obsolete.items() if key not in new
    )
    return new


def _key(text: Text) -> str:
    return text if isinstance(text, str) else text[0]


def complaints(catalog: Catalog) -> Iterator[str]:
    """Yield what a person has to do about a catalogue."""
    for message in catalog:
        if not message.id:
            continue
        strings = message.string
        if not all(strings if isinstance(strings, tuple) else (strings,)):
            yield f"not translated: {_key(message.id)!r}"
        elif message.fuzzy:
            yield f"fuzzy: {_key(message.id)!r}"
    for key in catalog.obsolete:
        yield f"not used, to be removed: {key!r}"


def written(catalog: Catalog) -> tuple[bytes, bytes]:
    """Return the text form and the binary form of a catalogue."""
    po, mo = io.BytesIO(), io.BytesIO()
    pofile.write_po(po, catalog, width=88, include_lineno=False)
    mofile.write_mo(mo, catalog)
    return po.getvalue(), mo.getvalue()


def _keep(path: Path, content: bytes, check: bool, todo: list[str]) -> None:
    """Write a file, or only tell that it is to be written."""
    if path.is_file() and path.read_bytes() == content:
        return
    if check:
        todo.append(f"{path.name} is not up to date: run {Path(__file__).name}")
    else:
        path.write_bytes(content)


def main(arguments: list[str]) -> int:
    todo: list[str] = []
    check = arguments == ["--check"]
    _keep(Path(words.PLACE, "road.txt"), forms(), check, todo)
    for path in sorted(Path(words.PLACE).glob("*/LC_MESSAGES/ssmtp.po")):
        language = path.parts[-3]
        with path.open("rb") as file:
            old = pofile.read_po(file, language)
        new = merged(language, old)
        todo += [f"{language}: {complaint}" for complaint in complaints(new)]
        for file_, content in zip(
            (path, path.with_suffix(".mo")), written(new), strict=True
        ):
            _keep(file_, content, check, todo)
    print(*todo, sep="\n", end="\n" if todo else "")
    return 1 if todo else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
