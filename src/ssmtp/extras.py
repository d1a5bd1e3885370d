"""Find an optional library late, even though the launchers start without site-packages.

`bin/sendmail` runs under `-S`, so that start-up reads no `.pth` file and searches no
package directory. The few messages that need an optional library (a non-ASCII domain,
for one) look for it here, and only then.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

_searched = False


def optional(name: str) -> ModuleType | None:
    """Import and return the top-level module `name`, or None where it is missing.

    The first call that does not find its module puts the interpreter's own package
    directories at the end of `sys.path`, where they shadow nothing.
    """
    global _searched
    try:
        return __import__(name)
    except ImportError:
        if _searched:
            return None
    _searched = True
    import site

    sys.path += [place for place in site.getsitepackages() if place not in sys.path]
    try:
        return __import__(name)
    except ImportError:
        return None
