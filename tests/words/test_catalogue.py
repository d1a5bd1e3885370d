"""The Spanish catalogue has every text of ssmtpctl, whole and true to the English."""

from __future__ import annotations

import argparse
import ast
import gettext
import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages import pofile
from babel.messages.catalog import Catalog

from ssmtp import ctl
from ssmtp.ctl import words

ROOT = Path(__file__).parents[2]
CTL = ROOT / "src" / "ssmtp" / "ctl"
PO = Path(words.PLACE, "es", "LC_MESSAGES", "ssmtp.po")
PLACEHOLDER = re.compile(r"\{[^{}]*\}|%(?:\(\w+\))?[sr]")
# What stands for a value, and is the same in both languages.
SAME = {None, "DIR", "ID", "N", "PEM"}
# What argparse says only to those who call it wrongly.
FOR_PROGRAMMERS = {
    ".__call__() not defined",
    "'required' is an invalid argument for positionals",
    "%r is not callable",
    'argument "-" with mode %r',
    "cannot have multiple subparser arguments",
    "cannot merge actions - two groups are named %r",
    "conflicting option string: %s",
    "conflicting subparser alias: %s",
    "conflicting subparser: %s",
    "dest= is required for options like %r",
    "invalid conflict_resolution value: %r",
    "invalid option string %(option)r: must start with a character %(prefix_chars)r",
    "mutually exclusive arguments must be optional",
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    with PO.open("rb") as file:
        return pofile.read_po(file, "es")


@pytest.fixture
def spanish(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LC_ALL", "es_ES.UTF-8")
    words.begin()
    yield
    monkeypatch.delenv("LC_ALL")
    words.begin()


def check(root: Path) -> tuple[int, str]:
    run = subprocess.run(
        [sys.executable, root / "docs/words/generate.py", "--check"],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert "" == run.stderr
    return run.returncode, run.stdout


def test_every_text_is_in_spanish():
    """No text lacks a translation, none is left over, and the .mo has them all."""
    assert (0, "") == check(ROOT)


def test_what_is_missing_is_told(tmp_path):
    """A text that is new, one that is gone and a .mo that is old do not go unseen."""
    for part in ("src/ssmtp", "docs/words"):
        shutil.copytree(ROOT / part, tmp_path / part)
    place = tmp_path / "src/ssmtp/ctl"
    source = (place / "scratch.py").read_text()
    source = source.replace("no directory for temporary", "no place for temporary")
    (place / "scratch.py").write_text(source)
    mo = place / "locale/es/LC_MESSAGES/ssmtp.mo"
    mo.write_bytes(mo.read_bytes()[:-1])

    code, said = check(tmp_path)

    assert 1 == code
    assert "not translated: 'no place for temporary files: {reason}'" in said
    assert "to be removed: 'no directory for temporary files: {reason}'" in said
    assert "ssmtp.mo is not up to date" in said


def test_placeholders_agree(catalog):
    """A translation names what the text names, in whatever order."""
    wrong = []
    for message in catalog:
        if not message.id:
            continue
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        strings = message.string
        strings = strings if isinstance(strings, tuple) else (strings,)
        for number, string in enumerate(filter(None, strings)):
            one = ids[min(number, len(ids) - 1)]
            if sorted(PLACEHOLDER.findall(string)) != sorted(PLACEHOLDER.findall(one)):
                wrong.append((one, string))

    assert [] == wrong


def test_what_runs_is_what_is_written(catalog):
    """The binary catalogue says what the text says, for each message."""
    with PO.with_suffix(".mo").open("rb") as file:
        spoken = gettext.GNUTranslations(file)
    wrong = []
    for message in catalog:
        if isinstance(message.id, tuple):
            one, many = message.id
            forms = tuple(spoken.ngettext(one, many, number) for number in (1, 2))
            wrong += [message.id] if forms != message.string else []
        elif message.id and spoken.gettext(message.id) != message.string != "":
            wrong.append(message.id)

    assert len(catalog) > 300
    assert [] == wrong


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 mensajes"), (1, "1 mensaje"), (2, "2 mensajes"), (21, "21 mensajes")],
)
def test_plural_forms(spanish, number, expected):
    """One is singular, all else is plural."""
    text = words.counted(
        "{number} message waiting", "{number} messages waiting", number
    )

    assert f"{expected} en espera" == text.format(number=number)


def test_texts_are_whole():
    """What goes through `_` is one literal: f-strings and sums have no entry."""
    wrong = []
    for path in CTL.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id in ("_", "marked", "counted"):
                    wrong += [
                        f"{path.name}:{node.lineno}"
                        for argument in node.args
                        if isinstance(argument, ast.JoinedStr | ast.BinOp)
                    ]

    assert [] == wrong


def test_argparse_is_known(catalog):
    """Every text that argparse has for a person is in the catalogue."""
    tree = ast.parse(Path(argparse.__file__).read_text())
    texts = {
        str(node.args[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("_", "ngettext")
        and isinstance(node.args[0], ast.Constant)
    }

    assert "usage: " in texts
    assert [] == sorted(text for text in texts - FOR_PROGRAMMERS if text not in catalog)


def test_what_the_road_says_is_known():
    """The reasons that `explain` and `queue` translate are those that the road has."""
    spec = importlib.util.spec_from_file_location(
        "borrowed", ROOT / "docs/words/borrowed.py"
    )
    assert spec is not None
    assert spec.loader is not None
    borrowed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(borrowed)
    said = {
        node.value
        for path in (ROOT / "src/ssmtp").rglob("*.py")
        if CTL not in path.parents
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    beginnings = tuple(text for text in said if len(text) > 30)

    assert [] == [
        text
        for text in borrowed.ROAD
        if text not in said and not text.startswith(beginnings)
    ]


def parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield the parser of every command by the words that call it."""
    top = ctl.Parser(prog="ssmtpctl").add_subparsers(parser_class=ctl.Parser)
    for verb in ctl.VERBS:
        importlib.import_module(f"ssmtp.ctl.{verb}").add(top)
    waiting = list(top.choices.items())
    while waiting:
        name, parser = waiting.pop()
        yield name, parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting += [(f"{name} {w}", p) for w, p in action.choices.items()]


def helps() -> dict[tuple[str, str], str]:
    """Return every text that --help shows, by command and place."""
    found = {}
    for name, parser in parsers():
        found[name, "description"] = parser.description or ""
        found[name, "epilog"] = parser.epilog or ""
        for action in parser._actions:
            place = action.option_strings[-1] if action.option_strings else action.dest
            found[name, place] = action.help or ""
            if action.metavar not in SAME:
                found[name, f"{place} {action.metavar}"] = str(action.metavar)
            if isinstance(action, argparse._SubParsersAction):
                for row in action._choices_actions:
                    found[f"{name} {row.dest}", "summary"] = row.help or ""
    return found


def test_every_help_is_translated(monkeypatch):
    """Nothing that --help shows is the same in both languages."""
    english = helps()
    monkeypatch.setenv("LC_ALL", "es_ES.UTF-8")
    words.begin()
    spanish = helps()
    monkeypatch.delenv("LC_ALL")
    words.begin()
    same = [
        key
        for key, text in english.items()
        if text and text != argparse.SUPPRESS and spanish.get(key) == text
    ]

    assert [] == same


def test_every_verb_says_what_the_list_says():
    """What a verb is for is said in the same words wherever it is said."""
    parser = ctl.Parser(prog="ssmtpctl")
    top = parser.add_subparsers(parser_class=ctl.Parser)
    for verb in ctl.VERBS:
        importlib.import_module(f"ssmtp.ctl.{verb}").add(top)

    assert ctl.VERBS == {row.dest: row.help for row in top._choices_actions}
