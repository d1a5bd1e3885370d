"""Arguments and environment of this process, without `os`.

To import `os` takes as long as to load twenty modules of ours, because of the abstract
classes behind `os.environ`. The road of a message does with `posix`, which has the
system calls, and with this. Where `os` is loaded, its environment is the one that
counts, for somebody may have changed it.
"""

from __future__ import annotations

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def environ() -> Mapping[str, str]:
    """Return the environment, as `os.environ` has it."""
    loaded = sys.modules.get("os")
    if loaded is not None:
        found: Mapping[str, str] = loaded.environ
        return found
    code = sys.getfilesystemencoding()
    return {
        name.decode(code, "surrogateescape"): value.decode(code, "surrogateescape")
        for name, value in posix.environ.items()
    }


def utf8(text: str) -> str:
    """Return what the system gave us as UTF-8, whatever the locale made of it."""
    octets = text.encode(sys.getfilesystemencoding(), "surrogateescape")
    return octets.decode("utf-8", "surrogateescape")
