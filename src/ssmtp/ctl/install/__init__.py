"""`ssmtpctl install`: make ssmtp the sendmail of this machine, or of one user.

What pip, pipx, uv or a checkout hold belongs to whoever put it there. An installation
is a copy of its own that starts fast and that every user may run; `changes` says by
which rules it is put in place. `ssmtpctl uninstall` takes it away.
"""

from __future__ import annotations

import argparse
import os
import pwd
from dataclasses import dataclass
from typing import Any

from ssmtp import __version__, configfile
from ssmtp.ctl.install import agent, changes, manifest, plan, shared, tree
from ssmtp.ctl.install.changes import Step
from ssmtp.ctl.install.ground import Ground, told
from ssmtp.ctl.install.manifest import Manifest
from ssmtp.ctl.install.plan import Item, Layout
from ssmtp.ctl.install.saying import Teller
from ssmtp.ctl.retold import sentence
from ssmtp.ctl.words import _
from ssmtp.errors import EX_OK, Failure, UsageError
from ssmtp.values import shown

EXAMPLES = """\
Examples:
  sudo ssmtpctl install --dry-run    what would be written, and where
  sudo ssmtpctl install --replace    instead of another sendmail, which is kept
  sudo ssmtpctl install --agent      with the agent, under systemd
  ssmtpctl install                   for you alone, below ~/.local
"""
EPILOG = """\
The commands are written below PREFIX: sbin/sendmail, sbin/ssmtp, bin/mailq,
bin/newaliases, bin/ssmtpctl and lib/sendmail, with their manual pages and completions.
The configuration /etc/ssmtp/ssmtp.conf is made only if there is none. For a PREFIX in
your home directory all commands are in PREFIX/bin, and the configuration is your own.
"""


def add(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "install",
        help=_("make ssmtp the sendmail of this machine, or of you alone"),
        examples=EXAMPLES,
        epilog=EPILOG,
    )
    places(parser)
    parser.add_argument(
        "--replace",
        action="store_true",
        help=_("put files of others aside, as *.ssmtp-saved"),
    )
    parser.add_argument(
        "--agent",
        action=argparse.BooleanOptionalAction,
        help=_("with the units of the agent, started where systemd runs"),
    )
    parser.add_argument(
        "--python",
        metavar=_("PATH"),
        help=_("the interpreter (default: {path})").format(path=tree.USUAL),
    )


def places(parser: argparse.ArgumentParser) -> None:
    """Add the options that `install` and `uninstall` share."""
    parser.add_argument(
        "--prefix", metavar=_("DIR"), help=_("default: /usr for root, else ~/.local")
    )
    parser.add_argument(
        "--root",
        metavar=_("DIR"),
        default="",
        help=_("the tree that is installed into"),
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help=_("say what would be done, and do nothing"),
    )
    parser.add_argument("--json", action="store_true", help=_("for programs"))


@dataclass(frozen=True)
class Job:
    """What is to be installed, and how."""

    where: Layout
    ground: Ground
    items: list[Item]
    code: str  # the directory for the code
    contents: dict[str, bytes]  # what it holds
    python: str
    agent: bool
    replace: bool
    wrappers: frozenset[str]

    def decide(self, known: Manifest) -> list[Step]:
        """Return what there is to do; raises `Refused` for what must not be done."""
        return changes.decide(
            self.ground, known, self.items, self.replace, self.wrappers
        )

    def known(self) -> Manifest:
        """Return what is written down about the installation that is there."""
        return manifest.read(self.ground.real(self.where.base)) or Manifest()


def run(args: argparse.Namespace) -> int:
    """Install; what cannot be is refused before anything is changed."""
    say = Teller(args.json)
    with told():
        job = _job(args)
        steps = job.decide(job.known())
        if args.dry_run:
            say("code", job.code)
            changes.announce(steps, say)
            say.end()
            return EX_OK
        os.umask(0o022)
        lock = changes.begin(job.ground, job.where.base)
        try:
            _perform(job, say)
        finally:
            os.close(lock)
    if job.agent:
        agent.start(job.ground, job.where, say)
    _advise(job, say)
    say.end()
    return EX_OK


def _job(args: argparse.Namespace) -> Job:
    where, ground = placed(args)
    known = manifest.read(ground.real(where.base)) or Manifest()
    wanted = known.agent if args.agent is None else args.agent
    files = shared.files()
    contents = tree.contents(shared.code(), files)
    code = f"{where.base}/{tree.name(contents)}"
    python = tree.interpreter(args.python, known.python, where.system)
    items = plan.items(where, files, python, code, wanted)
    if not _begins_configuration(where, ground):
        items = [item for item in items if not item.private]
    return Job(
        *(where, ground, items, code, contents, python, wanted),
        args.replace,
        shared.wrappers(),
    )


def _perform(job: Job, say: Teller) -> None:
    """Do it all; nobody else is at work here."""
    ground, base = job.ground, job.where.base
    known = job.known()
    steps = job.decide(known)
    if known.agent and not job.agent:
        agent.stop(ground, job.where, say)
    known.version, known.python = __version__, job.python
    known.agent = known.agent or job.agent
    name = os.path.basename(job.code)
    known.trees = [name, *(other for other in known.trees if other != name)]
    changes.intend(ground, known, steps)
    changes.record(ground, base, known)
    tree.sweep(ground, base)
    say("code", job.code)
    tree.make(ground, job.code, job.contents, job.python)
    changes.announce(steps, say)
    _put(job, known, steps, say)
    _retire(job, known, steps, say)
    known.agent = job.agent
    changes.record(ground, base, known)


def placed(args: argparse.Namespace) -> tuple[Layout, Ground]:
    """Return where to install, and into which tree; raises `UsageError`."""
    home = _home()
    prefix = args.prefix or ("/usr" if os.geteuid() == 0 else home and f"{home}/.local")
    if not prefix:
        raise UsageError(
            _("there is no home directory"), _("name a place with --prefix")
        )
    root = os.path.abspath(args.root) if args.root else ""
    if root and not os.path.isdir(root):
        raise UsageError(
            _("{path} is no directory").format(path=shown(root)),
            _("name one with --root"),
        )
    prefix = os.path.abspath(prefix)
    config_home = os.environ.get("XDG_CONFIG_HOME", "")
    if not config_home.startswith("/"):
        config_home = f"{home}/.config"
    prefix = "/usr" if prefix == "/" else prefix
    return plan.layout(prefix, home, config_home.rstrip("/")), Ground(root)


def _begins_configuration(where: Layout, ground: Ground) -> bool:
    """Tell whether a configuration is written where there is none."""
    if where.system:
        possible = ground.obstacle(f"{where.config}/ssmtp.conf") is None
        return possible or os.geteuid() == 0
    # An empty one of their own would hide the one that this user has mail by.
    return not os.path.exists(ground.real(configfile.SYSTEM_FILE))


def _home() -> str:
    home = os.environ.get("HOME", "")
    if not home.startswith("/"):
        try:
            home = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            return ""
    return os.path.normpath(home)


def _put(job: Job, known: Manifest, steps: list[Step], say: Teller) -> None:
    """Put all files in place, and see to it that who is to read them can do so."""
    ground, where, group, begun = job.ground, job.where, -1, False
    for step in steps:
        if step.item.private and where.system:
            if job.agent:
                agent.make_user(ground, say)
            group, begun = agent.group(ground), step.write
        changes.take(ground, step, group)
    if not where.system:
        return
    changed: list[str] = []
    if job.agent:
        changed = agent.share(ground, where, known, say)
    elif begun:
        changed = agent.open_directory(ground, where, known, say, group)
    changes.record(ground, where.base, known)
    agent.give_access(ground, known, changed)


def _retire(job: Job, known: Manifest, steps: list[Step], say: Teller) -> None:
    """Remove what an earlier version had, and this one has not."""
    for path in list(changes.settled(known, steps)):
        changes.undo(job.ground, known, path, say, False)
        del known.files[path]
    for name in known.trees[tree.KEPT :]:
        job.ground.remove_tree(f"{job.where.base}/{name}")
    del known.trees[tree.KEPT :]


def _advise(job: Job, say: Teller) -> None:
    """Say what is left to do for a person."""
    where, ground = job.where, job.ground
    path = f"{where.config}/ssmtp.conf"
    if not os.path.exists(ground.real(path)):
        path = configfile.SYSTEM_FILE
    try:
        config = configfile.load(ground.real(path))
    except Failure as failure:
        say("note", sentence(failure))
    else:
        if not config.mailhubs:
            line = _("write a line mailhub=host:port into {path}")
            say("next", line.format(path=path))
    if not job.agent and not ground.root and agent.is_offered(where):
        command = f"{'sudo ' if where.system else ''}ssmtpctl install --agent"
        offer = _("let an agent queue and send: {command}")
        say("next", offer.format(command=command))
    folder = os.path.dirname(where.command("sbin", "sendmail"))
    if not ground.root and folder not in os.get_exec_path():
        hidden = _("{folder} is not in your PATH; the commands are there")
        say("note", hidden.format(folder=folder))
