"""Completion for zsh: a function for each command, with options for `_arguments`."""

from __future__ import annotations

from bash import IDS
from commands import ID, Choice, Command
from fish import short


def sendmail(command: Command) -> str:
    """Return the file for `ssmtp` and `sendmail`."""
    rows = [*map(_choice, command.choices), "'*:address: '"]
    return "_arguments \\\n" + _folded(rows, "    ") + "\n"


def ssmtpctl(command: Command) -> str:
    """Return the file for `ssmtpctl`."""
    return (
        "_ssmtpctl_ids() {\n"
        f'    compadd -- ${{(f)"$({IDS})"}}\n'
        "}\n" + _function("_ssmtpctl", command) + '_ssmtpctl "$@"\n'
    )


def _function(name: str, command: Command) -> str:
    rows = [*map(_choice, command.choices)]
    if not command.commands:
        rows += _values(command.value)
        return f"{name}() {{\n    _arguments \\\n{_folded(rows, '        ')}\n}}\n"
    rows += ["'1:command:->command'", "'*::argument:->arguments'"]
    inner = "".join(_function(f"{name}_{c.name}", c) for c in command.commands)
    told = "".join(
        f"        {_quoted(f'{c.name}:{_escaped(c.help)}')}\n" for c in command.commands
    )
    cases = "".join(
        f"            {c.name}) {name}_{c.name} ;;\n" for c in command.commands
    )
    return (
        inner
        + f"{name}() {{\n"
        + "    local curcontext=$curcontext state line commands\n"
        + "    typeset -A opt_args\n"
        + f"    commands=(\n{told}    )\n"
        + f"    _arguments -C \\\n{_folded(rows, '        ')}\n"
        + "    case $state in\n"
        + "        command) _describe command commands ;;\n"
        + f"        arguments) case $words[1] in\n{cases}        esac ;;\n"
        + "    esac\n}\n"
    )


def _values(value: str) -> list[str]:
    if value == ID:
        return ["'*:id:_ssmtpctl_ids'"]
    if not value:
        return []
    return [f"'*:{_escaped(value)}:{'_files' if value in ('file', 'path') else ' '}'"]


def _choice(choice: Choice) -> str:
    """Return an argument of `_arguments`; names of one option exclude each other."""
    text = f"[{_escaped(short(choice.help))}]"
    if choice.value:
        action = " "
        if choice.words:
            action = f"({' '.join(choice.words)})"
        elif choice.is_file:
            action = "_files"
        text += f":{_escaped(choice.value)}:{action}"
    if len(choice.names) == 1:
        return _quoted(
            f"*{choice.names[0]}{text}" if choice.value else choice.names[0] + text
        )
    names = " ".join(choice.names)
    return f"{_quoted(f'({names})')}{{{','.join(choice.names)}}}{_quoted(text)}"


def _folded(rows: list[str], indent: str) -> str:
    return " \\\n".join(indent + row for row in rows)


def _escaped(text: str) -> str:
    for char in "\\[]:":
        text = text.replace(char, f"\\{char}")
    return text


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
