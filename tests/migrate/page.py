"""Write the tables of `ssmtpctl migrate` into docs/migrating.md.

    python -m tests.migrate.page

A table stands between `<!-- begin table NAME -->` and `<!-- end table -->`; it is made
of the rows that the program itself reads, so that the page cannot drift.
"""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/migrating.md"
TABLE = re.compile(r"(<!-- begin table (\S+) -->\n).*?(<!-- end table -->)", re.DOTALL)


def made(text: str) -> str:
    """Return a page with its tables as they are to be."""
    from ssmtp.ctl import migrate
    from ssmtp.ctl.migrate import render

    def table(found: re.Match[str]) -> str:
        name = migrate.PROGRAMS[found[2]]
        module = importlib.import_module(f"ssmtp.ctl.migrate.{name}")
        rows = "\n".join(render.table(module))
        return f"{found[1]}\n{rows}\n\n{found[3]}"

    return TABLE.sub(table, text)


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C"
    PAGE.write_text(made(PAGE.read_text("utf-8")), "utf-8")
