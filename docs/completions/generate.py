#!/usr/bin/env python3
"""Write share/completions, for bash, zsh and fish, from the tables of the program.

Run this after a change of an option or a command; with --check it only tells, by its
exit status, whether there is something to write.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# The help of the commands is in the language of the reader.
os.environ["LC_ALL"] = "C"

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "src"), str(HERE)]

import bash  # noqa: E402
import commands  # noqa: E402
import fish  # noqa: E402
import zsh  # noqa: E402

NOTE = "# Written by docs/completions/generate.py from the tables of the program.\n"


def written() -> dict[str, str]:
    """Return the files below share/completions."""
    program, people = commands.sendmail(), commands.ssmtpctl()
    return {
        "bash/ssmtp": NOTE + bash.sendmail(program),
        "bash/ssmtpctl": NOTE + bash.ssmtpctl(people),
        "fish/ssmtp.fish": NOTE + fish.sendmail(program),
        "fish/ssmtpctl.fish": NOTE + fish.ssmtpctl(people),
        "zsh/_ssmtp": "#compdef ssmtp sendmail\n" + NOTE + zsh.sendmail(program),
        "zsh/_ssmtpctl": "#compdef ssmtpctl\n" + NOTE + zsh.ssmtpctl(people),
    }


def main(arguments: list[str]) -> int:
    stale = 0
    for name, text in written().items():
        path = ROOT / "share" / "completions" / name
        if path.is_file() and path.read_text() == text:
            continue
        stale = 1
        if arguments == ["--check"]:
            print(f"{name} is not up to date: run {Path(__file__).relative_to(ROOT)}")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return stale if arguments == ["--check"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
