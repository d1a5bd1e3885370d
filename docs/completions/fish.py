"""Completion for fish: one `complete` line for each option and command."""

from __future__ import annotations

from bash import IDS
from commands import ID, Choice, Command, walk


def sendmail(command: Command) -> str:
    """Return the file for `ssmtp` and `sendmail`."""
    lines = ["for command in ssmtp sendmail", "    complete -c $command -f"]
    for choice in command.choices:
        lines.append(f"    complete -c $command {_choice(choice)}")
    return "\n".join([*lines, "end"]) + "\n"


def ssmtpctl(command: Command) -> str:
    """Return the file for `ssmtpctl`."""
    lines = ["complete -c ssmtpctl -f"]
    _offer(lines, command, "not __fish_seen_subcommand_from", "")
    for path, inner in walk(command):
        seen = "; and ".join(f"__fish_seen_subcommand_from {w}" for w in path.split())
        _offer(lines, inner, f"{seen}; and not __fish_seen_subcommand_from", seen)
    return "\n".join(lines) + "\n"


def _offer(lines: list[str], command: Command, none_of: str, seen: str) -> None:
    names = " ".join(inner.name for inner in command.commands)
    before = f"{none_of} {names}" if names else seen
    start = f"complete -c ssmtpctl -n {_quoted(before)}"
    for inner in command.commands:
        lines.append(f"{start} -a {inner.name} -d {_quoted(inner.help)}")
    for choice in command.choices:
        lines.append(f"{start} {_choice(choice)}")
    if command.value == ID:
        lines.append(f"{start} -a {_quoted(f'({IDS})')}")
    elif command.value in ("file", "path"):
        lines.append(f"{start} -F")


def _choice(choice: Choice) -> str:
    words = []
    for name in choice.names:
        kind = "l" if name.startswith("--") else "s" if len(name) == 2 else "o"
        words.append(f"-{kind} {name.lstrip('-')}")
    if choice.value:
        words.append("-rF" if choice.is_file else "-x")
    if choice.words:
        words.append(f"-a {_quoted(' '.join(choice.words))}")
    return " ".join([*words, f"-d {_quoted(short(choice.help))}"])


def short(text: str) -> str:
    """Return the first sentence of a help text."""
    return text.partition(". ")[0].rstrip(".")


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
