"""What a manual page says of `ssmtpctl`, from the parsers that its verbs make.

Every command and every option is there, with the help text that --help shows. `say`
gives a text in the language of the page.
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Iterator

import roff
from catalogue import Say

# The help is that of the parsers in English; `say` translates it.
os.environ["LC_ALL"] = "C"
os.environ.pop("LANGUAGE", None)

from ssmtp import ctl
from ssmtp.ctl.words import pieces


def commands() -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Yield every command: the words that call it, what it does, and its parser."""
    top = ctl.Parser(prog="ssmtpctl").add_subparsers(parser_class=ctl.Parser)
    for verb, summary in ctl.VERBS.items():
        importlib.import_module(f"ssmtp.ctl.{verb}").add(top)
        yield from _walk(verb, summary, top.choices[verb])


def _walk(
    words: str, summary: str, parser: argparse.ArgumentParser
) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    yield words, summary, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            told = {row.dest: row.help or "" for row in action._choices_actions}
            for word, inner in action.choices.items():
                yield from _walk(f"{words} {word}", told.get(word, ""), inner)


def section(say: Say) -> Iterator[str]:
    """Yield a subsection for each command."""
    for words, summary, parser in commands():
        yield f".SS {roff.roff(words)}"
        yield from roff.wrapped(_usage(words, parser, say))
        yield ".PP"
        yield from roff.filled(sentence(say(parser.description or summary)))
        yield from roff.paragraphs(_options(parser, say))
        for text in (parser.epilog, getattr(parser, "examples", "")):
            yield from _told(text or "", say)


def _is_untold(action: argparse.Action) -> bool:
    return isinstance(action, argparse._HelpAction) or action.help == argparse.SUPPRESS


def _usage(words: str, parser: argparse.ArgumentParser, say: Say) -> str:
    parts = [rf"\fBssmtpctl {roff.roff(words)}\fR"]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            parts.append(r"\fICOMMAND\fR ...")
        elif _is_untold(action):
            continue
        elif action.option_strings:
            name = _names(action, say)[0]
            parts.append(name if action.required else f"[{name}]")
        else:
            name = rf"\fI{_value(action, say)}\fR"
            several = {"*": f"[{name} ...]", "+": f"{name} [...]", "?": f"[{name}]"}
            parts.append(several.get(str(action.nargs), name))
    return " ".join(parts)


def _value(action: argparse.Action, say: Say) -> str:
    """Return what stands for the value of an option, in roff."""
    if action.choices and not action.metavar:
        return roff.roff("|".join(map(str, action.choices)))
    return roff.roff(say.word(str(action.metavar or action.dest.upper())))


def _names(action: argparse.Action, say: Say) -> list[str]:
    """Return the names of an option, each with its value, in roff."""
    value = rf" \fI{_value(action, say)}\fR" if action.nargs != 0 else ""
    return [rf"\fB{roff.roff(name)}\fR{value}" for name in action.option_strings]


def _options(parser: argparse.ArgumentParser, say: Say) -> Iterator[tuple[str, str]]:
    for action in parser._actions:
        if _is_untold(action) or isinstance(action, argparse._SubParsersAction):
            continue
        text = (action.help or "") % {"default": action.default, "prog": ""}
        if action.option_strings:
            # A help that says nothing is the one of the other commands.
            text = text or UNSAID[action.option_strings[-1]]
            yield ", ".join(_names(action, say)), sentence(say(text))
        elif text:
            yield rf"\fI{_value(action, say)}\fR", sentence(say(text))


UNSAID = {"--json": "for programs"}


def sentence(text: str) -> str:
    """Give a text a capital and a full stop."""
    end = "" if text.endswith(("…", "?")) else "."
    return text[:1].upper() + text[1:].rstrip(".") + end


def _told(text: str, say: Say) -> Iterator[str]:
    """Yield examples or an epilogue: paragraphs, and lists of indented lines.

    A catalogue has the whole of it, or else its pieces.
    """
    if text and text in say.whole:
        text, say = say(text), Say()
    for _column, term, meaning in pieces(text):
        if term and meaning:
            yield from roff.paragraphs([(rf"\fB{roff.roff(term)}\fR", say(meaning))])
        elif meaning:
            yield ".PP"
            yield from roff.filled(say(meaning))
        elif term:
            yield from roff.shown([term])
