"""Puts an installation in place, and takes it away again.

The rules:

1. A file that we did not write is not touched, unless `--replace` was said: then it
   gets a second name, with `SAVED` behind, before ours takes its place.
2. Nothing is changed before all of it was found possible.
3. What will be done is written down before it is done (`manifest`). Each step puts
   something whole in its place. So whatever a killed run has left is a state from which
   the next run, of either kind, goes on.
4. To take away is to look at each path that is written down: what is ours goes, what
   was saved comes back, what somebody else has changed since stays, and is told.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ssmtp.ctl.install import manifest
from ssmtp.ctl.install.ground import (
    Ground,
    Refused,
    content_print,
    link_print,
    ways_up,
)
from ssmtp.ctl.install.manifest import Entry, Manifest
from ssmtp.ctl.install.plan import Item
from ssmtp.ctl.words import _, counted
from ssmtp.values import shown

SAVED = ".ssmtp-saved"

Tell = Callable[[str, str], None]


@dataclass(frozen=True)
class Step:
    """What is to be done about an item, and what its entry will say."""

    item: Item
    entry: Entry | None
    save: bool = False
    write: bool = True


def print_of(item: Item) -> str:
    """Return the fingerprint that an item will have."""
    return link_print(item.link) if item.link else content_print(item.content)


def decide(
    ground: Ground,
    known: Manifest,
    items: list[Item],
    replace: bool,
    wrappers: frozenset[str] = frozenset(),
) -> list[Step]:
    """Return the steps that put all items in place.

    `wrappers` are commands that may be put aside unasked: they run this very code.
    Raises `Refused` when an item cannot be put in place, or must not be without
    --replace.
    """
    steps, foreign = [], []
    for item in items:
        _possible(ground, item.path)
        wrapped = os.path.realpath(ground.real(item.path)) in wrappers
        entry = known.files.get(item.path)
        step = _step(ground, entry, item, replace or wrapped)
        if step is None:
            foreign.append(item.path)
        else:
            steps.append(step)
    if foreign:
        words = counted(
            "{paths} was not written by an installation of ssmtp",
            "{paths} were not written by an installation of ssmtp",
            len(foreign),
        )
        raise Refused(
            words.format(paths=_list(foreign)),
            _("with --replace, what is there is kept as *{suffix}").format(
                suffix=SAVED
            ),
        )
    return steps


def _possible(ground: Ground, path: str) -> None:
    obstacle = ground.obstacle(path)
    if obstacle is not None:
        raise Refused(
            _("nothing can be put at {path}: {reason}").format(
                path=shown(ground.real(path)), reason=obstacle
            ),
            _(
                "run this as root, or name a place that can be written to with --prefix"
                " (/usr/local, or ~/.local without root)"
            ),
        )


def _list(paths: list[str]) -> str:
    words = ", ".join(map(shown, paths[:3]))
    more = len(paths) - 3
    if more <= 0:
        return words
    whole = counted("{paths} and {number} more", "{paths} and {number} more", more)
    return whole.format(paths=words, number=more)


def _step(
    ground: Ground, known: Entry | None, item: Item, replace: bool
) -> Step | None:
    """Return what to do about an item; None for what must not be done."""
    now, wanted = ground.fingerprint(item.path), print_of(item)
    if item.private and now is not None:
        return Step(item, known, write=False)
    before = known.before if known and known.before != "same" else "nothing"
    ours = [wanted, *(p for p in (known.ours if known else ()) if p != wanted)]
    saved = item.path + SAVED
    if now is None:
        return Step(item, Entry(ours, before))
    if known and known.before != "same" and now in ours:
        right = item.link != "" or ground.mode(item.path) == item.mode
        return Step(item, Entry(ours, before), write=now != wanted or not right)
    if now == wanted:
        return Step(item, Entry(ours, "same"), write=False)
    if before == "saved" and ground.exists(saved) and ground.same(item.path, saved):
        # A run was killed between the two names and the new file.
        return Step(item, Entry(ours, before))
    if now in ("directory", "special"):
        raise Refused(
            _("{path} is no file").format(path=shown(item.path)), _("move it away")
        )
    if ground.exists(saved):
        raise Refused(
            _("{path} is not ours, and there is a {saved} already").format(
                path=shown(item.path), saved=shown(saved)
            ),
            _("move one of them away"),
        )
    return Step(item, Entry(ours, "saved"), save=True) if replace else None


def announce(steps: list[Step], tell: Tell) -> None:
    """Tell what the steps are going to do."""
    there = 0
    for step in steps:
        path = step.item.path
        if step.save:
            saved = _("{path} as {saved}")
            tell("save", saved.format(path=path, saved=path + SAVED))
        if step.write:
            link = step.item.link
            tell("link" if link else "write", f"{path} -> {link}" if link else path)
        elif step.item.private:
            tell("keep", _("{path}, as it is").format(path=path))
        else:
            there += 1
    if there:
        words = counted(
            "{number} file is as it should be",
            "{number} files are as they should be",
            there,
        )
        tell("there", words.format(number=there))


def begin(ground: Ground, base: str) -> int:
    """Make the directory of an installation if there is none, and lock it."""
    new = ground.missing(f"{base}/{manifest.NAME}")
    if new:
        ground.found(new, manifest.NAME, Manifest(directories=new).text())
    return ground.lock(base)


def record(ground: Ground, base: str, known: Manifest) -> None:
    """Write down what the installation consists of."""
    ground.put(f"{base}/{manifest.NAME}", known.text(), 0o644)


def intend(ground: Ground, known: Manifest, steps: list[Step]) -> None:
    """Enter what the steps are going to do into the record."""
    for step in steps:
        path = step.item.path
        if step.entry is not None:
            known.files[path] = step.entry
        if step.write:
            new = ground.missing(path)
            known.directories += [p for p in new if p not in known.directories]


def take(ground: Ground, step: Step, group: int) -> None:
    """Do one step; what is private belongs to `group`, and so does its directory."""
    item = step.item
    ground.sweep(item.path)
    if not step.write:
        return
    group = group if item.private else -1
    for folder in ground.missing(item.path):
        ground.sweep(folder)
        closed = item.private and folder == os.path.dirname(item.path)
        # Who may read the file may enter the directory.
        mode = item.mode | (item.mode & 0o444) >> 2 | 0o100 if closed else 0o755
        ground.make_directory(folder, mode, group)
    if step.save:
        ground.keep(item.path, item.path + SAVED)
    if item.link:
        ground.link(item.path, item.link)
    else:
        ground.put(item.path, item.content, item.mode, group)


def settled(known: Manifest, steps: list[Step]) -> Iterator[str]:
    """Yield what is not part of the installation any more; forget earlier contents."""
    wanted = {step.item.path: step for step in steps}
    for path, entry in list(known.files.items()):
        if path not in wanted:
            yield path
        elif not wanted[path].item.private:
            entry.ours = [print_of(wanted[path].item)]


def undo(ground: Ground, known: Manifest, path: str, tell: Tell, dry: bool) -> None:
    """Bring a path back to what it was, unless somebody else has changed it since."""
    entry, saved = known.files[path], path + SAVED
    now = ground.fingerprint(path)
    if not dry:
        ground.sweep(path)
    ours = now is not None and now in entry.ours
    if entry.before == "saved" and ground.exists(saved):
        if now is None or ours or ground.same(path, saved):
            tell("restore", path)
            if not dry:
                ground.restore(saved, path)
        else:
            kept = _("{path}, changed since; {saved} is what was there before")
            tell("keep", kept.format(path=path, saved=saved))
    elif ours and entry.before != "same":
        tell("remove", path)
        if not dry:
            ground.remove(path)
    elif now is not None and entry.before == "nothing":
        tell("keep", _("{path}, changed since").format(path=path))


def finish(ground: Ground, base: str, known: Manifest) -> None:
    """Remove the directories that were made, as far as they are empty, and the record.

    That goes with the outermost of them in one step, and so is there to the last.
    """
    ground.sweep(f"{base}/{manifest.NAME}")
    chain = list(ways_up(base))
    for folder in reversed(known.directories):
        if folder not in chain:
            ground.sweep(folder)
            ground.remove_directory(folder)
    outermost, inside = "", manifest.NAME
    for folder in chain:
        only = os.listdir(ground.real(folder)) == [inside]
        if folder not in known.directories or not only:
            break
        outermost, inside = folder, os.path.basename(folder)
    if outermost:
        ground.remove_tree(outermost)
    else:
        ground.remove(f"{base}/{manifest.NAME}")


def tidy(ground: Ground, base: str) -> None:
    """Remove what runs that were killed left on the way to a directory."""
    for folder in ways_up(base):
        if folder != "/":
            ground.sweep(folder)
