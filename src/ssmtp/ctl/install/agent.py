"""The agent of an installation: its user, its directories, its units under systemd."""

from __future__ import annotations

import grp
import os
import stat
import subprocess

from ssmtp.ctl.install.changes import Tell
from ssmtp.ctl.install.ground import Ground
from ssmtp.ctl.install.manifest import Manifest
from ssmtp.ctl.install.plan import Layout
from ssmtp.ctl.words import _

USER = "ssmtp"
GROUPS = (USER, "mail")  # who may read the configuration: the first that there is
STARTED = ("ssmtp.socket", "ssmtp-sender.service", "ssmtp-flush.path")
UNITS = (*STARTED, "ssmtp-acceptor.service")
SYSTEMD = "/run/systemd/system"
SPOOL = "/var/spool/ssmtp"
RUN = "/run/ssmtp"


def is_offered(where: Layout) -> bool:
    """Tell whether there is a systemd here that could run the agent."""
    if where.system:
        return os.path.isdir(SYSTEMD)
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return bool(runtime) and os.path.exists(f"{runtime}/systemd/private")


def group(ground: Ground) -> int:
    """Return the group that may read the configuration; -1 for that of the file."""
    if os.geteuid() != 0:
        return -1
    for name in GROUPS:
        number = _group(ground, name)
        if number is not None:
            return number
    return -1


def _group(ground: Ground, name: str) -> int | None:
    if ground.root:
        try:
            with open(ground.real("/etc/group"), encoding="utf-8") as file:
                rows = [line.split(":") for line in file]
        except OSError:
            return None
        return next((int(row[2]) for row in rows if row[0] == name), None)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def make_user(ground: Ground, tell: Tell) -> None:
    """Make the user of the agent and its directories, from our entries in /etc."""
    if os.geteuid() != 0:
        return
    root = [f"--root={ground.root}"] if ground.root else []
    made = _run(["systemd-sysusers", *root, ground.real("/etc/sysusers.d/ssmtp.conf")])
    if not made and _group(ground, USER) is None:
        made = _run(
            [
                *("useradd", "--system", "--user-group", "--no-create-home"),
                *(("--root", ground.root) if root else ()),
                *("--home-dir", SPOOL, "--shell", "/usr/sbin/nologin", USER),
            ]
        )
    if not made:
        failed = _("the user {user} could not be made; see docs/agent.md")
        tell("note", failed.format(user=USER))
    rules = ground.real("/etc/tmpfiles.d/ssmtp.conf")
    _run(["systemd-tmpfiles", *root, "--create", rules])


def start(ground: Ground, where: Layout, tell: Tell) -> None:
    """Let systemd run the units, now and from now on; they take up what is new."""
    control = _control(ground, where)
    if ground.root and not where.system:
        tell("note", _("still to be enabled: {units}").format(units=" ".join(STARTED)))
        return
    if ground.root:
        tell("enable", " ".join(STARTED))
        _run([*control, "enable", *STARTED])
        return
    if not is_offered(where):
        tell(
            "note",
            _("no systemd runs here; start the agent with: ssmtpctl agent run"),
        )
        return
    tell("start", " ".join(STARTED))
    _run([*control, "daemon-reload"])
    _run([*control, "try-restart", "ssmtp-acceptor.service", "ssmtp-sender.service"])
    if not _run([*control, "enable", "--now", *STARTED]):
        command = f"{' '.join(control)} status ssmtp.socket"
        tell("note", _("that failed; try: {command}").format(command=command))


def stop(ground: Ground, where: Layout, tell: Tell) -> None:
    """Let systemd forget the units, before they go."""
    if ground.root and not where.system:
        return
    control = _control(ground, where)
    now = [] if ground.root else ["--now"]
    tell("stop", " ".join(UNITS))
    _run([*control, "disable", *now, *UNITS])


def _control(ground: Ground, where: Layout) -> list[str]:
    control = ["systemctl", "--quiet"]
    if ground.root:
        control.append(f"--root={ground.root}")
    return control if where.system else [*control, "--user"]


def share(ground: Ground, where: Layout, known: Manifest, tell: Tell) -> list[str]:
    """Note that the agent may read a configuration that was here before.

    That of classic sSMTP belongs to the group mail, as whose member its program ran.
    Returns what has to change for it.
    """
    paths = (where.config, *_files(ground, where))
    return [path for path in paths if _opens(ground, known, path, USER, tell)]


def open_directory(
    ground: Ground, where: Layout, known: Manifest, tell: Tell, number: int
) -> list[str]:
    """Note that the group of a new configuration may enter a directory of before."""
    names = [name for name in GROUPS if _group(ground, name) == number][:1]
    path = where.config
    return [path for name in names if _opens(ground, known, path, name, tell)]


def _opens(ground: Ground, known: Manifest, path: str, name: str, tell: Tell) -> bool:
    """Note a group for what only root or the group mail can read now."""
    ours = _group(ground, name)
    if ours is None or os.geteuid() != 0:
        return False
    found = os.stat(ground.real(path))
    mode = stat.S_IMODE(found.st_mode)
    needed = 0o050 if stat.S_ISDIR(found.st_mode) else 0o040
    given = found.st_gid == ours and mode & needed == needed
    open_groups = (0, _group(ground, "mail"))
    to_all = mode & needed >> 3 == needed >> 3
    if given or to_all or found.st_gid not in open_groups:
        return False
    before = [found.st_uid, found.st_gid, mode]
    after = [found.st_uid, ours, mode | needed]
    first = known.access.get(path, [before])[0]
    known.access[path] = [first, after]
    shared = _("{path}: {group}, mode {mode:04o}")
    tell("group", shared.format(path=path, group=name, mode=after[2]))
    return True


def _files(ground: Ground, where: Layout) -> list[str]:
    paths = [f"{where.config}/{name}" for name in ("ssmtp.conf", "revaliases")]
    return [path for path in paths if os.path.isfile(ground.real(path))]


def give_access(ground: Ground, known: Manifest, changed: list[str]) -> None:
    """Set owner, group and mode as they are written down.

    But for what has `changed` and what a killed run has not come to, they stay as an
    administrator may have set them since.
    """
    for path, (before, after) in known.access.items():
        now = _access(ground.real(path))
        halfway = [*after[:2], before[2]]
        if path in changed or now in (before, halfway):
            _own(ground.real(path), after)


def take_back_access(ground: Ground, known: Manifest, tell: Tell, dry: bool) -> None:
    """Set owner, group and mode back where they are as we set them."""
    for path, (before, after) in known.access.items():
        if _access(ground.real(path)) == after:
            tell("restore", _("{path}: owner and mode").format(path=path))
            if not dry:
                _own(ground.real(path), before)


def _access(real: str) -> list[int]:
    """Return owner, group and mode; nothing of what is not there."""
    try:
        found = os.stat(real)
    except OSError:
        return []
    return [found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)]


def _own(real: str, facts: list[int]) -> None:
    uid, gid, mode = facts
    os.chown(real, uid, gid)
    os.chmod(real, mode)


def remove_places(ground: Ground, tell: Tell) -> None:
    """Remove the socket, and the queue unless mail is in it; that is told."""
    ground.remove_tree(RUN)
    top = ground.real(SPOOL)
    if not os.path.isdir(top):
        return
    mail = [name for _, _, files in os.walk(top) for name in files]
    if set(mail) <= {"site.json", "site.json.new", "receipts", "receipts.1"}:
        tell("remove", SPOOL)
        ground.remove_tree(SPOOL)
    else:
        tell("keep", _("{path}, there is mail in it").format(path=SPOOL))


def _run(command: list[str]) -> bool:
    """Run a program of the system; tell whether it is there and was successful."""
    try:
        run = subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
    except OSError:
        return False
    return run.returncode == 0
