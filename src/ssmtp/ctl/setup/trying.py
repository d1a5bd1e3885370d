"""The servers of an account, one after the other, until one takes it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from ssmtp.ctl import say
from ssmtp.ctl.retold import retold
from ssmtp.ctl.setup import answers, draft, providers, secretplace, trial
from ssmtp.ctl.setup.answers import Account
from ssmtp.ctl.setup.discovery import Server
from ssmtp.ctl.setup.draft import Answers
from ssmtp.ctl.setup.questions import Asker
from ssmtp.ctl.setup.secretplace import Place
from ssmtp.ctl.setup.target import Target
from ssmtp.ctl.setup.trial import Seen
from ssmtp.ctl.words import _
from ssmtp.errors import AuthRefused, Failure, UsageError
from ssmtp.spool.keptfile import escape
from ssmtp.trace import Trace

TRIES = 3  # passwords that a person may type


@dataclass(frozen=True)
class Result:
    """What is to be written, and for which account."""

    account: Account
    server: Server
    text: str
    place: Place


def first_that_works(
    args: argparse.Namespace,
    asker: Asker,
    where: Target,
    account: Account,
    told: dict[str, object],
) -> Result:
    """Return what is to be written for the first server that takes the account.

    Raises the `Failure` of the trial, with advice in terms of this command.
    """
    if args.no_test:
        told["test"] = None
        return _drafted(account.servers[0], where, account)
    troubles: list[tuple[Failure, Server]] = []
    for server in account.servers:
        try:
            seen = _tried(args, asker, where, account, server)
        except UsageError:
            raise  # what was asked for cannot be, whatever the mailhub says
        except Failure as failure:
            troubles.append((failure, server))
            if not trial.goes_on(failure):
                break
            asker.say(escape(retold(failure.what)))
        else:
            _tell(asker, seen, account)
            told["test"] = seen._asdict()
            return _drafted(server, where, account)
    # What came of the password tells more than a port that is closed.
    trouble, server = troubles[0 if trial.goes_on(troubles[-1][0]) else -1]
    step = retold(trial.advice(trouble, server))
    if not args.force:
        trouble.next_step = _(
            "{advice} (nothing was written; --force writes it all the same)"
        ).format(advice=step.rstrip("."))
        raise trouble
    told["test"] = {"reason": trouble.what}
    asker.say(
        _("The test has failed: {reason}; {advice}").format(
            reason=escape(retold(trouble.what)), advice=escape(step)
        )
    )
    return _drafted(server, where, account)


def _tried(
    args: argparse.Namespace,
    asker: Asker,
    where: Target,
    account: Account,
    server: Server,
) -> Seen:
    """Try one server; somebody who typed a wrong password may type another."""
    asker.say(_("Testing {hub}").format(hub=server))
    trace = None
    if args.verbose:
        trace = Trace(lambda line: say(escape(line)))
    for left in reversed(range(TRIES)):
        drafted = _drafted(server, where, account)
        try:
            return trial.account(
                drafted.text, where.path, account.sender, account.password, trace
            )
        except AuthRefused as failure:
            refused = failure.phase == "AUTH" and failure.reply is not None
            if not (left and refused and account.typed and asker.present):
                raise
            asker.say(escape(retold(failure.what)))
            hint = providers.hint(server.provider) if server.provider else ""
            if hint:
                asker.say(hint)
            answers.ask_password(asker, account)
    raise AssertionError("the last try returns or raises")


def _drafted(server: Server, where: Target, account: Account) -> Result:
    place = Place()
    if account.user:
        place = secretplace.place(
            account.store,
            where.path,
            where.access,
            (account.user, server.host),
            account.password,
            account.command,
        )
    said = Answers(
        account.address,
        account.sender,
        account.name,
        account.user,
        account.root,
        server,
        account.method,
        account.ca_file,
    )
    return Result(
        account, server, draft.text(said, place.settings, where.before), place
    )


def _tell(asker: Asker, seen: Seen, account: Account) -> None:
    """Say what was seen of a mailhub that took the account."""
    tls = _("no TLS")
    if seen.tls is not None:
        tls = (
            _("{tls}, certificate verified")
            if seen.verified
            else _("{tls}, unverified")
        ).format(tls=seen.tls)
    asker.say(f"  {tls}")
    if seen.mechanism is not None:
        asker.say(
            "  "
            + _("AUTH {mechanism}: accepted as {user}").format(
                mechanism=seen.mechanism, user=escape(account.user)
            )
        )
    asker.say("  " + _("sender {sender}: accepted").format(sender=account.sender))
