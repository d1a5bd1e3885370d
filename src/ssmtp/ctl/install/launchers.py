"""The commands that an installation writes: they start a program the shortest way.

What they do is what the commands of bin/ do, but for the search for the code: that is
at a place known when they are written.
"""

from __future__ import annotations

from ssmtp.ctl.words import _
from ssmtp.errors import UsageError
from ssmtp.values import shown

_START = """\
#!{python} -IS
# {name}, written by an installation of ssmtp.
import sys

if sys.version_info < (3, 11):
    sys.stderr.write("{name}: needs Python 3.11 or later as {python}\\n")
    sys.exit(78)
"""

# For a second of life: a collection when there is something to collect, modules found
# the short way, and no taking down of what ends with the process anyway.
_SENDMAIL = """
import gc
from posix import _exit

sys.path.insert(0, {library!r})
gc.set_threshold(100_000)

from ssmtp.bytecode import Finder

sys.meta_path.insert(0, Finder)

from ssmtp.sendmail import main

_exit(main())
"""

_CTL = """
sys.path.insert(0, {library!r})

from ssmtp.ctl import main

sys.exit(main())
"""

BODIES = {"ssmtp": _SENDMAIL, "ssmtpctl": _CTL}
_LONGEST = 120  # octets of a first line that every kernel reads to its end


def text(name: str, python: str, library: str) -> str:
    """Return the command `name` for an interpreter and the directory of the package.

    Raises `UsageError` when no first line of a script can name that interpreter.
    """
    if any(c.isspace() for c in python) or len(python.encode()) > _LONGEST:
        raise UsageError(
            _("{path} cannot stand in the first line of a program").format(
                path=shown(python)
            ),
            _("name an interpreter with a short path without blanks, with --python"),
        )
    return (_START + BODIES[name]).format(name=name, python=python, library=library)
