"""The whole way of one message, from what was read to what became of it.

There are two roads: to the agent of this machine when its socket is there (`handoff`),
and straight to the mailhub (`direct`). `sendmail`, `-bs` and `ssmtpctl queue retry` all
come through here, so that a message takes the same road whoever brought it. The direct
road is imported when it is taken: a hand-off has no use for it.

The promise: once `deliver` has been given an `Intake`, the message is accepted by the
mailhub, or lies in the queue of the agent, or in the failed store, and the `Failure`
says where. Only when the store itself cannot be written does the failure say so.
"""

from __future__ import annotations

import posix

from ssmtp import handoff
from ssmtp.errors import Failure, InDoubt, InputRefused, bug

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ssmtp.accounts import Caller
    from ssmtp.intake import Intake
    from ssmtp.options import Options
    from ssmtp.receipt import Receipt
    from ssmtp.spool.failed import Entry
    from ssmtp.trace import Trace


class Request:
    """Who wants what sent: the command line, the caller and the environment.

    `settle` is called once the outcome is clear, so that no signal disturbs what is
    still to be written down; `trace` shows the dialogue under -v. The caller is looked
    up when somebody asks, unless given.
    """

    __slots__ = ("_caller", "argv", "environ", "options", "settle", "trace")

    def __init__(
        self,
        options: Options,
        caller: Caller | None,
        environ: Mapping[str, str],
        argv: list[str],
        trace: Trace | None = None,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self.options = options
        self.environ = environ
        self.argv = argv
        self.trace = trace
        self.settle = settle
        self._caller = caller

    @property
    def caller(self) -> Caller:
        """The user who runs us."""
        if self._caller is None:
            from ssmtp import accounts

            self._caller = accounts.caller()
        return self._caller

    @property
    def who(self) -> tuple[str, int]:
        """Login and real uid for the log, which must be told whatever went wrong."""
        try:
            return self.caller.login, self.caller.uid
        except Exception:
            return "", posix.getuid()


def deliver(request: Request, intake: Intake, *, keep: bool = True) -> Receipt:
    """Bring what was read to the agent or the mailhub, or keep it and raise `Failure`.

    With `keep=False` nothing is kept: the caller has the message already.
    """
    receipt, excuse = _hand_over(request, intake, keep)
    if receipt is not None:
        return receipt
    from ssmtp import direct

    return direct.deliver(request, intake, keep=keep, excuse=excuse)


def _hand_over(
    request: Request, intake: Intake, keep: bool
) -> tuple[Receipt | None, Failure | None]:
    """Take the road to the agent, if it is the one; return the receipt.

    Without a receipt the direct road is to be taken; then the second part tells why the
    agent could not be reached, if that was tried. Raises `Failure` as `deliver` does.
    """
    try:
        road = handoff.road(request)
        if road is None:
            return None, None
        try:
            receipt = handoff.submit(road, request, intake)
        except handoff.Unreachable as away:
            if road.only:
                raise
            if request.trace is not None:
                request.trace.note(away.what)
            return None, away
        request.settle()
        return receipt, None
    except BaseException as error:
        from ssmtp import direct

        mine = keep and not isinstance(error, handoff.Queued)
        run = direct.Run(request)
        raise direct.give_up(run, error, intake if mine else None) from error


def rescue(error: Exception, intake: Intake, argv: list[str]) -> Failure:
    """Keep what was read when a mistake of ours came before `deliver`; tell and log it.

    Hardly anything is known then: the arguments have to do.
    """
    from ssmtp import direct, journal
    from ssmtp.spool import failed

    failure = bug(error)
    try:
        failed.keep(reason=failure, intake=intake, argv=argv)
        journal.failed(failure, login="", uid=posix.getuid())
    except Exception as again:
        direct.lost(failure, again)
    return failure


def retry(entry: Entry, request: Request) -> Receipt:
    """Submit a kept message once more, and remove it once somebody else has it.

    `request` says who asks and how to watch; what is sent, and with which arguments
    and configuration, is what was kept. Raises `Failure` when the message stays;
    the reason is then written into its file.
    """
    from ssmtp.spool import failed

    with failed.claim(entry) as claimed:
        if claimed.damage:
            raise InputRefused(
                f"{claimed.id} {claimed.damage}",
                f"look at {claimed.path}, then drop it or send what is in it anew",
            )
        try:
            receipt = _resend(claimed, request)
        except Failure as failure:
            failed.settle(claimed, failure)
            raise
        try:
            failed.remove(claimed)
        except OSError as error:
            # It was sent: failing now, or finding it again, would have it sent twice.
            stays = f"{claimed.path} stays: {error.strerror}"
            _doubt(claimed, InDoubt(f"the mailhub has it, but {stays}", "drop it"))
            if request.trace is not None:
                request.trace.note(stays)
        return receipt


def _doubt(entry: Entry, failure: InDoubt) -> None:
    from ssmtp.spool import failed

    try:
        failed.settle(entry, failure)
    except OSError:
        pass  # a disk that takes nothing at all


def _resend(entry: Entry, request: Request) -> Receipt:
    """Send a repaired message as it is; let any other take the whole road again."""
    options = entry.options()
    # Nobody waits any more; what the agent has must not be found here again.
    options.wait = False
    if request.options.config_path is not None:
        options.config_path = request.options.config_path
    request = Request(
        options,
        request.caller,
        request.environ,
        entry.head.arguments,
        request.trace,
        request.settle,
    )
    intake = entry.intake()
    try:
        envelope = entry.envelope
        if envelope is None:
            return deliver(request, intake, keep=False)
        from ssmtp import direct

        request.options = direct.options_for(options, envelope)
        receipt, excuse = _hand_over(request, intake, False)
        return receipt or direct.resend(request, envelope, intake, excuse)
    finally:
        intake.body.close()
