"""What can be completed: the commands of ssmtp with their options, from its own tables.

The options of `sendmail` come from its option table, those of `ssmtpctl` from the
parsers of its verbs.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from ssmtp import ctl
from ssmtp.options import TABLE, WAIT
from ssmtp.values import MECHANISMS

FILES = ("file", "path", "pem", "dir")  # values that name something on the disk
WORDS = {
    "mechanism": MECHANISMS,
    "conditions": ("never", "success", "failure", "delay"),
    "what": ("full", "hdrs"),
    "type": ("7BIT", "8BITMIME"),
}
ID = "id"


@dataclass(frozen=True)
class Choice:
    """An option. `value` is its name, "" for none; `words` are those to choose from."""

    names: tuple[str, ...]
    help: str
    value: str = ""
    words: tuple[str, ...] = ()

    @property
    def is_file(self) -> bool:
        """Tell whether its value is a path."""
        return self.value.lower() in FILES


@dataclass
class Command:
    """A command, and those that may follow it; `value` is what it takes itself."""

    name: str
    help: str
    choices: list[Choice] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    value: str = ""


def sendmail() -> Command:
    """Return the command that programs call."""
    command = Command("ssmtp", "submit a message to the mailhub", value="address")
    for row in TABLE:
        if row.status == "acted":
            words = tuple(map(str, WORDS.get(row.value, ()))) if row.name != "q" else ()
            value = "" if row.arity == "joined" else row.value
            command.choices.append(Choice((f"-{row.name}",), row.help, value, words))
    for name, text in (
        ("--help", "Print the options."),
        ("--version", "Print the version."),
        ("--wait", WAIT),
    ):
        command.choices.append(Choice((name,), text))
    return command


def ssmtpctl() -> Command:
    """Return the command that people type."""
    parser = ctl.Parser(prog="ssmtpctl")
    subparsers = parser.add_subparsers(parser_class=ctl.Parser)
    top = Command("ssmtpctl", "look after the mail of this machine")
    top.choices.append(Choice(("--version",), "print the version and exit"))
    for verb, summary in ctl.VERBS.items():
        importlib.import_module(f"ssmtp.ctl.{verb}").add(subparsers)
        top.commands.append(_command(verb, summary, subparsers.choices[verb]))
    top.choices.append(Choice(("--help",), "show this help message and exit"))
    return top


def _command(name: str, summary: str, parser: argparse.ArgumentParser) -> Command:
    command = Command(name, summary)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            told = {row.dest: row.help or "" for row in action._choices_actions}
            for word, inner in action.choices.items():
                command.commands.append(_command(word, told[word], inner))
        elif action.option_strings:
            command.choices.append(_choice(action))
        elif action.nargs != 0:
            command.value = str(action.metavar or action.dest).lower()
    return command


def _choice(action: argparse.Action) -> Choice:
    value = ""
    if action.nargs != 0:
        value = str(action.metavar or action.dest).lower()
    return Choice(
        tuple(action.option_strings),
        (action.help or "") % {"default": action.default, "prog": ""},
        value,
        tuple(map(str, action.choices or ())) if value else (),
    )


def walk(command: Command, above: str = "") -> Iterator[tuple[str, Command]]:
    """Yield every command below this one, by the words that lead there."""
    for inner in command.commands:
        words = f"{above} {inner.name}".strip()
        yield words, inner
        yield from walk(inner, words)
