"""The whole way of one message, from what was read to what became of it.

This is the only place that knows the order of the stations: configuration, identity,
repair, envelope, submission, log, and the failed store when something went wrong.
`sendmail`, `-bs` and `ssmtpctl queue retry` all come through here, so that a message
takes the same road whoever brought it.

The promise: once `deliver` has been given an `Intake`, the message is either accepted
by the mailhub or it lies in the failed store, and the `Failure` says where. Only when
the store itself cannot be written does the failure say so instead.
"""

from __future__ import annotations

import os
import time

from ssmtp import accounts, configfile, credentials, journal, submission
from ssmtp import envelope as envelopes
from ssmtp import message as messages
from ssmtp.errors import Failure, InDoubt, InputRefused, Interrupted, SystemTrouble, bug
from ssmtp.spool import failed
from ssmtp.stamp import Stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ssmtp.accounts import Caller, Identity, LocalNames
    from ssmtp.config import Config
    from ssmtp.envelope import Envelope
    from ssmtp.intake import Intake
    from ssmtp.message import Message
    from ssmtp.options import Options
    from ssmtp.receipt import Receipt
    from ssmtp.spool.failed import Entry
    from ssmtp.trace import Trace


class Request:
    """Who wants what sent: the command line, the caller and the environment.

    `settle` is called once the outcome is clear, so that no signal disturbs what is
    still to be written down; `trace` shows the dialogue under -v.
    """

    __slots__ = ("argv", "caller", "environ", "options", "settle", "trace")

    def __init__(
        self,
        options: Options,
        caller: Caller,
        environ: Mapping[str, str],
        argv: list[str],
        trace: Trace | None = None,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self.options = options
        self.caller = caller
        self.environ = environ
        self.argv = argv
        self.trace = trace
        self.settle = settle


class Account:
    """What the configuration says about this caller: hub, identity, local names."""

    __slots__ = ("config", "identity", "names")

    def __init__(self, config: Config, identity: Identity, names: LocalNames) -> None:
        self.config = config
        self.identity = identity
        self.names = names


def account(request: Request) -> Account:
    """Read the configuration, revaliases and aliases that hold for this caller.

    Raises `ConfigError` (78) naming file, line and key.
    """
    path = _config_path(request)
    config = configfile.load(path)
    beside = os.path.join(os.path.dirname(path), "revaliases")
    text = None
    if os.access(beside, os.R_OK):
        text = configfile.read_text(beside, "revaliases", missing_ok=True)
    elif os.path.lexists(beside):
        # The classic went on without it too: it speaks of senders, not of secrets.
        config.notes.append(f"{beside} cannot be read, so nobody has a line there")
    revaliases = accounts.parse_revaliases(text, beside) if text else []
    identity = accounts.identify(request.caller, config, revaliases)
    aliases: dict[str, list[str]] = {}
    if config.aliases:
        text = configfile.read_text(config.aliases, "aliases")
        aliases = accounts.parse_aliases(text or b"", config.aliases)
    names = accounts.LocalNames(config, aliases, accounts.uid_of)
    return Account(config, identity, names)


def _config_path(request: Request) -> str:
    """Return the path of the configuration that holds, absolute for a later retry."""
    path = configfile.find(
        request.options.config_path, request.environ, request.caller.home
    )
    try:
        return os.path.abspath(path)
    except OSError:  # the current directory is gone
        return path


def stamp() -> Stamp:
    """Take the time and a unique word for Date and Message-ID."""
    now = time.time()
    offset = time.localtime(now).tm_gmtoff // 60
    return Stamp(int(now), offset, os.urandom(10).hex())


def deliver(request: Request, intake: Intake, *, keep: bool = True) -> Receipt:
    """Submit what was read to the mailhub, or keep it and raise `Failure`.

    With `keep=False` nothing is kept: the caller has the message already.
    """
    run = _Run(request)
    try:
        acc = run.open()
        for note in acc.config.notes:
            run.note(note)
        run.repaired(intake.notes)
        fields = messages.parse(intake)
        run.envelope = envelopes.build(
            request.options, fields, acc.config, acc.identity, acc.names
        )
        run.message = messages.repair(
            fields,
            intake.body,
            config=acc.config,
            identity=acc.identity,
            names=acc.names,
            options=request.options,
            now=stamp(),
            host=accounts.host(acc.config),
        )
        run.repaired(run.message.notes)
        return run.submit()
    except BaseException as error:
        request.settle()
        failure = _failure(error)
        if keep:
            _keep(run, failure, intake)
        run.log(failure)
        raise failure from error


def rescue(error: Exception, intake: Intake, argv: list[str]) -> Failure:
    """Keep what was read when a mistake of ours came before `deliver`; tell and log it.

    Hardly anything is known then: the arguments have to do.
    """
    failure = bug(error)
    try:
        failed.keep(reason=failure, intake=intake, argv=argv)
        journal.failed(failure, login="", uid=os.getuid())
    except Exception as again:
        _lost(failure, again)
    return failure


def _keep(run: _Run, failure: Failure, intake: Intake) -> None:
    """Keep the message as it is known; if that goes wrong, as it was read."""
    request = run.request
    try:
        failed.keep(
            reason=failure,
            intake=intake,
            message=run.message,
            envelope=run.envelope,
            argv=request.argv,
            config_path=_config_path(request),
            environ=request.environ,
            uid=request.caller.uid,
        )
    except Exception:
        try:
            failed.keep(
                reason=failure,
                intake=intake,
                argv=request.argv,
                config_path=request.options.config_path,
            )
        except Exception as error:
            _lost(failure, error)


def _lost(failure: Failure, error: Exception) -> None:
    if failure.kept_id is None:
        lost = f"the message could NOT be kept ({bug(error).what})"
        failure.next_step = f"{failure.next_step}; {lost}".removeprefix("; ")


def retry(entry: Entry, request: Request) -> Receipt:
    """Submit a kept message once more, and remove it once the mailhub has it.

    `request` says who asks and how to watch; what is sent, and with which arguments
    and configuration, is what was kept. Raises `Failure` when the message stays;
    the reason is then written into its file.
    """
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
    try:
        failed.settle(entry, failure)
    except OSError:
        pass  # a disk that takes nothing at all


def _resend(entry: Entry, request: Request) -> Receipt:
    """Send a repaired message as it is; let any other take the whole road again."""
    options = entry.options()
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
        run = _Run(request)
        try:
            run.open()
            run.envelope = envelope
            run.message = messages.restore(intake)
            return run.submit()
        except BaseException as error:
            request.settle()
            failure = _failure(error)
            run.log(failure)
            raise failure from error
    finally:
        intake.body.close()


def _failure(error: BaseException) -> Failure:
    """Make a `Failure` of whatever ended the run."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("interrupted before the mailhub had the message")
    if isinstance(error, MemoryError):
        return SystemTrouble("out of memory", "free some and send the message again")
    if isinstance(error, OSError):
        return SystemTrouble(f"this machine said: {error}", "try again later")
    return bug(error)


def _logged(trace: Trace | None) -> Trace:
    """Let the system log watch the dialogue, and whoever watches already."""
    from ssmtp.trace import Trace

    def say(line: str) -> None:
        journal.dialogue(line)
        if trace is not None:
            trace.say(line)

    return Trace(say)


class _Run:
    """One message on its way: what is known of it so far, for the log and the store."""

    __slots__ = (
        "account",
        "begun",
        "envelope",
        "message",
        "repairs",
        "request",
        "trace",
    )

    def __init__(self, request: Request) -> None:
        self.request = request
        self.trace = request.trace
        self.begun = time.monotonic()
        self.account: Account | None = None
        self.envelope: Envelope | None = None
        self.message: Message | None = None
        self.repairs: list[str] = []

    def open(self) -> Account:
        """Read the configuration, and let the system log watch if it says so."""
        self.account = account(self.request)
        if self.account.config.debug:
            self.trace = _logged(self.trace)
        return self.account

    def note(self, text: str) -> None:
        """Say under -v what was noticed."""
        if self.trace is not None:
            self.trace.note(text)

    def repaired(self, notes: list[str]) -> None:
        """Remember for the log what was not sent as it was read, and say it."""
        self.repairs += notes
        for note in notes:
            self.note(note)

    def submit(self) -> Receipt:
        """Hand message and envelope to the mailhub, and log that it took them."""
        acc, message, envelope = self.account, self.message, self.envelope
        assert acc is not None
        assert message is not None
        assert envelope is not None
        receipt = submission.submit(
            message,
            envelope,
            acc.config,
            acc.identity.mailhubs,
            accounts.ehlo_name(acc.config),
            self.request.options.family,
            credentials.from_config(
                acc.config, self.request.options, acc.identity.mailhubs
            ),
            self.trace,
        )
        # From here on the message is the mailhub's: a late signal changes nothing.
        self.request.settle()
        try:
            trouble = journal.sent(
                receipt,
                envelope=envelope,
                message_id=message.message_id,
                login=self.request.caller.login,
                uid=self.request.caller.uid,
                tag=self.request.options.log_tag,
                seconds=time.monotonic() - self.begun,
                repairs=self.repairs,
                log_file=acc.config.log_file,
            )
        except Exception as error:  # whatever it is, the message was sent
            trouble = f"not logged: {bug(error).what}"
        if trouble:
            self.note(trouble)
        return receipt

    def log(self, failure: Failure) -> None:
        """Log that the message was not sent."""
        acc = self.account
        hub = str(acc.identity.mailhubs[0]) if acc is not None else ""
        try:
            trouble = journal.failed(
                failure,
                login=self.request.caller.login,
                uid=self.request.caller.uid,
                tag=self.request.options.log_tag,
                envelope=self.envelope,
                message_id=self.message.message_id if self.message is not None else "",
                hub=hub,
                seconds=time.monotonic() - self.begun,
                repairs=self.repairs,
                log_file=acc.config.log_file if acc is not None else None,
            )
        except Exception as error:  # it has been kept, and that is what must be said
            trouble = f"not logged: {bug(error).what}"
        if trouble:
            self.note(trouble)
