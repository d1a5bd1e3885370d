"""Finds our own modules by their cached bytecode: the first that a command imports.

Python's importer takes a quarter of a million instructions and fourteen system calls
for a module, however small, because it is ready for everything. This one knows where a
module lies, which saves a message a tenth of its CPU time. It reads the bytecode if
that is the one of the source that lies there now (by size and time, as ever); in any
other case it finds nothing, and Python does it all.

What a module imports at its top is known from the run before: a group is one file with
the bytecode of all of these, in the order in which they have to be run. That saves
another tenth. It is the module that is asked for first which gives a group its name, so
that what a run does not need stays away; `bytegroups` writes them.

A checkout that belongs to somebody else may have no bytecode and no place for it.
Then it is kept in the home directory of who calls, if that is private.
"""

from __future__ import annotations

import posix
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER
from _thread import _count as threads
from marshal import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType
    from typing import ClassVar

    # Name, whether it is a package, time and size of its source, and what it does.
    Known = tuple[str, bool, bytes, CodeType]

# PEP 552: behind the magic number 0 says that time and size of the source follow.
HEAD = MAGIC_NUMBER + bytes(4)
TAIL = f".{sys.implementation.cache_tag}.pyc"
GROUP = f".{sys.implementation.cache_tag}.group"
GROUP_HEAD = MAGIC_NUMBER + b"ssmtp group\n"


class Finder:
    """A meta path finder and loader (PEP 451) for the modules of this package.

    `fresh` are the groups that no file has yet, by the name of the file.
    """

    fresh: ClassVar[dict[str, list[Known]]] = {}
    _depth = 0  # modules of ours that are being imported just now, one for another
    _group = ""
    _read: ClassVar[list[Known]] = []
    _done: ClassVar[list[Known]] = []

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None, target: object = None
    ) -> ModuleSpec | None:
        """Return how to load a module of ours, or None."""
        if path is None or name[:6] != "ssmtp.":
            return None
        place, last = path[0], name.rpartition(".")[2]
        # With -X importtime somebody wants to see each import.
        if not cls._depth and not threads() and not sys._xoptions:
            cls._group = f"{place}/__pycache__/{last}{GROUP}"
            cls._done = []
            cls._read = _group(cls._group)
            try:
                for known in cls._read:
                    if known[0] == name:
                        return _spec(known)
                    if known[0] not in sys.modules:
                        cls._import(known)
            except Exception:
                # What is wrong with it will be seen without the group, too.
                cls._read = []
        package = False
        try:
            facts = posix.stat(f"{place}/{last}.py")
        except OSError:
            package, place, last = True, f"{place}/{last}", "__init__"
            try:
                facts = posix.stat(f"{place}/{last}.py")
            except OSError:
                return None
        cached = f"{place}/__pycache__/{last}{TAIL}"
        try:
            fd = posix.open(cached, posix.O_RDONLY | posix.O_CLOEXEC)
        except OSError:
            _elsewhere(place)
            return None
        octets = posix.read(fd, posix.fstat(fd).st_size)
        posix.close(fd)
        stamp = _stamp(facts)
        if octets[:16] != HEAD + stamp:
            _elsewhere(place)
            return None
        return _spec((name, package, stamp, loads(memoryview(octets)[16:])))

    @staticmethod
    def create_module(spec: ModuleSpec) -> None:
        """Leave it to Python to make the module."""

    @classmethod
    def exec_module(cls, module: ModuleType) -> None:
        """Run the code of a module."""
        assert module.__spec__ is not None
        known: Known = module.__spec__.loader_state
        cls._depth += 1
        try:
            exec(known[3], module.__dict__)
        finally:
            cls._depth -= 1
        cls._done.append(known)
        if cls._depth or not cls._group:
            return
        # One alone has its own file.
        if len(cls._done) > 1 and posix.access(_folder(cls._group), posix.W_OK):
            names = {known[0] for known in cls._done}
            rest = [known for known in cls._read if known[0] not in names]
            cls.fresh[cls._group] = cls._done[:-1] + rest + cls._done[-1:]
        cls._group = ""

    @classmethod
    def _import(cls, known: Known) -> None:
        """Import a module without Python's importer."""
        name, package, _, code = known
        module = type(sys)(name)
        names = module.__dict__
        names["__file__"] = _source(name, package)
        parent, _, last = name.rpartition(".")
        names["__package__"] = parent
        if package:
            names["__package__"] = name
            names["__path__"] = [_folder(names["__file__"])]
        sys.modules[name] = module
        cls._depth += 1
        try:
            if parent not in sys.modules:  # it was there when the group was written
                __import__(parent)
            exec(code, names)
        except BaseException:
            del sys.modules[name]
            raise
        finally:
            cls._depth -= 1
        setattr(sys.modules[parent], last, module)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _source(name: str, package: bool) -> str:
    place: str = sys.modules["ssmtp"].__path__[0]
    return place + name[5:].replace(".", "/") + ("/__init__.py" if package else ".py")


def _stamp(facts: posix.stat_result) -> bytes:
    time, size = int(facts.st_mtime) & 0xFFFFFFFF, facts.st_size & 0xFFFFFFFF
    return (time | size << 32).to_bytes(8, "little")


def _spec(known: Known) -> ModuleSpec:
    name, package, _, _ = known
    origin = _source(name, package)
    place, _, file = origin.rpartition("/")
    spec = ModuleSpec(name, Finder, origin=origin)  # type: ignore[arg-type]
    spec.loader_state = known
    spec.has_location = True
    spec.cached = f"{place}/__pycache__/{file[:-3]}{TAIL}"
    if package:
        spec.submodule_search_locations = [place]
    return spec


def _group(path: str) -> list[Known]:
    """Return what is known of a group; nothing, if any of its sources has changed."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return []
    try:
        octets = posix.read(fd, posix.fstat(fd).st_size)
        if octets[:16] != GROUP_HEAD:
            return []
        found: list[Known] = loads(memoryview(octets)[16:])
        for name, package, stamp, _ in found:
            if _stamp(posix.stat(_source(name, package))) != stamp:
                return []
        return found
    except (OSError, EOFError, ValueError, TypeError):
        return []
    finally:
        posix.close(fd)


def _elsewhere(place: str) -> None:
    """Have bytecode kept at home when there is no room for it beside its source."""
    if sys.pycache_prefix is not None or posix.access(place, posix.W_OK):
        return
    from pwd import getpwuid

    try:
        home = getpwuid(posix.geteuid()).pw_dir
        facts = posix.stat(home)
    except (KeyError, OSError):
        return
    # The home of this user, whatever the environment says, and nobody else's: who can
    # write bytecode there can do anything in the name of this user.
    if facts.st_uid == posix.geteuid() and not facts.st_mode & 0o022:
        sys.pycache_prefix = f"{home}/.cache/ssmtp/bytecode"
