"""Completion for bash: one function for each command, called by the word typed last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from commands import ID, Choice, Command, walk

_HEAD = """\
_{name}() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}}
    COMPREPLY=()
"""
_TAIL = "}}\ncomplete -F _{name} {names}\n"
_FILES = 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur")'
_WORDS = "mapfile -t COMPREPLY < <(compgen -W '{words}' -- \"$cur\")"
IDS = "ssmtpctl queue 2>/dev/null | sed -e 1d -e 's/ .*//'"
_IDS = f'mapfile -t COMPREPLY < <(compgen -W "$({IDS})" -- "$cur")'


def sendmail(command: Command) -> str:
    """Return the file for `ssmtp` and `sendmail`."""
    lines = list(_values(command.choices, "", "$prev"))
    names = " ".join(name for choice in command.choices for name in choice.names)
    return (
        _HEAD.format(name="ssmtp")
        + _case("$prev", lines)
        + f"    {_WORDS.format(words=names)}\n"
        + _TAIL.format(name="ssmtp", names="ssmtp sendmail")
    )


def ssmtpctl(command: Command) -> str:
    """Return the file for `ssmtpctl`."""
    values = list(_values(command.choices, "", ""))
    words, ids = [_offer("", command)], []
    for path, inner in walk(command):
        values += _values(inner.choices, path, "")
        words.append(_offer(path, inner))
        if inner.value == ID:
            ids.append(f"'{path}'")
    outer = [f"' {c.name}'" for c in command.commands]
    inner_ones = [f"'{path}'" for path, _ in walk(command) if " " in path]
    return (
        _HEAD.format(name="ssmtpctl")
        + "    local command='' word\n"
        + '    for word in "${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do\n'
        + '        case "$command $word" in\n'
        + _pattern(outer, "command=$word")
        + _pattern(inner_ones, 'command+=" $word"')
        + "        esac\n    done\n"
        + _case("$command:$prev", values)
        + '    case "$cur:$command" in\n'
        + "        -*) ;;\n"
        + "".join(f"        *:{pattern}) {_IDS}; return ;;\n" for pattern in ids)
        + "    esac\n"
        + '    case "$command" in\n'
        + "".join(words)
        + "    esac\n"
        + _TAIL.format(name="ssmtpctl", names="ssmtpctl")
    )


def _offer(path: str, command: Command) -> str:
    words = [inner.name for inner in command.commands]
    words += [name for choice in command.choices for name in choice.names]
    return f"        '{path}') {_WORDS.format(words=' '.join(words))} ;;\n"


def _values(choices: Iterable[Choice], path: str, subject: str) -> Iterator[str]:
    """Yield what follows the options that take a value."""
    by_action: dict[str, list[str]] = {}
    for choice in choices:
        if not choice.value:
            continue
        names = choice.names if subject else [f"{path}:{n}" for n in choice.names]
        action = "return"
        if choice.words:
            action = _WORDS.format(words=" ".join(choice.words)) + "; return"
        elif choice.is_file:
            action = f"{_FILES}; return"
        by_action.setdefault(action, []).extend(f"'{name}'" for name in names)
    for action, patterns in by_action.items():
        yield f"        {' | '.join(patterns)}) {action} ;;\n"


def _pattern(words: list[str], action: str) -> str:
    return f"            {' | '.join(words)}) {action} ;;\n"


def _case(subject: str, lines: list[str]) -> str:
    return f'    case "{subject}" in\n' + "".join(lines) + "    esac\n"
