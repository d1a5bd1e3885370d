"""The direct road of one message: repaired, and submitted to the mailhub at once.

`delivery` picks the road; this is the one that ends at the mailhub. It knows the order
of its stations: configuration, identity, envelope, repair, submission, log, and the
failed store when something went wrong. The agent's acceptor goes the first half of it
(`site`, `account_of`, `prepare`) for what it is handed.
"""

from __future__ import annotations

import posix
import time

from ssmtp import accounts, configfile, credentials, journal, submission
from ssmtp import envelope as envelopes
from ssmtp import message as messages
from ssmtp.errors import Failure, Interrupted, SystemTrouble, bug
from ssmtp.stamp import Stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssmtp.accounts import Caller, Identity, LocalNames, Revalias
    from ssmtp.config import Config
    from ssmtp.delivery import Request
    from ssmtp.envelope import Envelope
    from ssmtp.intake import Intake
    from ssmtp.message import Message
    from ssmtp.options import Options
    from ssmtp.receipt import Receipt
    from ssmtp.trace import Trace


class Site:
    """What the configuration and the files beside it say, whoever calls."""

    __slots__ = ("aliases", "config", "revaliases")

    def __init__(
        self,
        config: Config,
        revaliases: list[Revalias],
        aliases: dict[str, list[str]],
    ) -> None:
        self.config = config
        self.revaliases = revaliases
        self.aliases = aliases


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
    return account_of(site(config_path(request)), request.caller)


def site(path: str) -> Site:
    """Read a configuration, and the revaliases and aliases that belong to it.

    Raises `ConfigError` (78) naming file, line and key.
    """
    config = configfile.load(path)
    beside = beside_it(path)
    text = None
    if posix.access(beside, posix.R_OK):
        text = configfile.read_text(beside, "revaliases", missing_ok=True)
    elif _is_there(beside):
        # The classic went on without it too: it speaks of senders, not of secrets.
        config.notes.append(f"{beside} cannot be read, so nobody has a line there")
    revaliases = accounts.parse_revaliases(text, beside) if text else []
    aliases: dict[str, list[str]] = {}
    if config.aliases:
        text = configfile.read_text(config.aliases, "aliases")
        aliases = accounts.parse_aliases(text or b"", config.aliases)
    return Site(config, revaliases, aliases)


def _is_there(path: str) -> bool:
    try:
        posix.lstat(path)
    except OSError:
        return False
    return True


def beside_it(path: str) -> str:
    """Return the path of the revaliases that belong to a configuration."""
    return path[: path.rfind("/") + 1] + "revaliases"


def account_of(found: Site, caller: Caller) -> Account:
    """Return what a site's files say about this caller; raises `ConfigError` (78)."""
    identity = accounts.identify(caller, found.config, found.revaliases)
    names = accounts.LocalNames(found.config, found.aliases, accounts.uid_of)
    return Account(found.config, identity, names)


def config_path(request: Request) -> str:
    """Return the path of the configuration that holds, absolute for a later retry."""
    path = configfile.find(
        request.options.config_path, request.environ, request.caller.home
    )
    if path[:1] == "/" and not {"", ".", ".."} & {*path[1:].split("/")}:
        return path
    import os

    try:
        return os.path.abspath(path)
    except OSError:  # the current directory is gone
        return path


def stamp() -> Stamp:
    """Take the time and a unique word for Date and Message-ID."""
    now = time.time()
    offset = time.localtime(now).tm_gmtoff // 60
    return Stamp(int(now), offset, posix.urandom(10).hex())


def prepare(acc: Account, options: Options, intake: Intake) -> tuple[Envelope, Message]:
    """Work out envelope and repaired message of what was read.

    Raises `Failure` when it cannot be sent as it is, or to nobody.
    """
    fields = messages.parse(intake)
    envelope = envelopes.build(options, fields, acc.config, acc.identity, acc.names)
    message = messages.repair(
        fields,
        intake.body,
        config=acc.config,
        identity=acc.identity,
        names=acc.names,
        options=options,
        now=stamp(),
        host=accounts.host(acc.config),
    )
    return envelope, message


def deliver(
    request: Request,
    intake: Intake,
    *,
    keep: bool = True,
    excuse: Failure | None = None,
) -> Receipt:
    """Submit what was read to the mailhub, or keep it and raise `Failure`.

    With `keep=False` nothing is kept: the caller has the message already. `excuse` is
    why this road is taken and not the one to the agent.
    """
    run = Run(request)
    try:
        run.prepare(intake)
        return run.submit()
    except BaseException as error:
        failure = _told(error, excuse)
        raise give_up(run, failure, intake if keep else None) from error


def options_for(given: Options, envelope: Envelope) -> Options:
    """Make the command line that has this envelope as its outcome."""
    from ssmtp.options import copied

    options = copied(given)
    options.read_recipients = False
    options.recipients = [str(recipient) for recipient in envelope.recipients]
    path = envelope.reverse_path
    options.reverse_path = "<>" if path is None else str(path)
    return options


def resend(
    request: Request,
    envelope: Envelope,
    intake: Intake,
    excuse: Failure | None = None,
) -> Receipt:
    """Submit a message that was repaired before, as it was kept.

    `excuse` is that of `deliver`.
    """
    run = Run(request)
    try:
        run.open()
        run.envelope = envelope
        run.message = messages.restore(intake)
        return run.submit()
    except BaseException as error:
        raise give_up(run, _told(error, excuse), None) from error


def give_up(run: Run, error: BaseException, intake: Intake | None) -> Failure:
    """Keep what was read, if it is given, log, and return the failure to raise."""
    run.request.settle()
    failure = _failure(error)
    if intake is not None:
        _keep(run, failure, intake)
    run.log(failure)
    return failure


def _told(error: BaseException, excuse: Failure | None) -> Failure:
    """Make a `Failure` of what ended the run, with why the agent could not help."""
    failure = _failure(error)
    if excuse is not None and _not_fit(failure):
        return _without_agent(excuse, failure)
    return failure


def _not_fit(failure: Failure) -> bool:
    """Whether this user has no configuration to send with, before anybody was asked."""
    return failure.culprit == "configuration" and failure.reply is None


def _without_agent(excuse: Failure, failure: Failure) -> SystemTrouble:
    return SystemTrouble(
        f"{excuse.what}, and this user cannot send without it: {failure.what}",
        "try again later, or see that the agent runs",
    )


def _keep(run: Run, failure: Failure, intake: Intake) -> None:
    """Keep the message as it is known; if that goes wrong, as it was read."""
    request = run.request
    try:
        from ssmtp.spool import failed

        failed.keep(
            reason=failure,
            intake=intake,
            message=run.message,
            envelope=run.envelope,
            argv=request.argv,
            config_path=config_path(request),
            environ=request.environ,
            uid=request.caller.uid,
        )
    except Exception:
        try:
            from ssmtp.spool import failed

            failed.keep(
                reason=failure,
                intake=intake,
                argv=request.argv,
                config_path=request.options.config_path,
            )
        except Exception as error:
            lost(failure, error)


def lost(failure: Failure, error: Exception) -> None:
    """Say in the failure that nothing could be kept, unless something was."""
    if failure.kept_id is None:
        lost = f"the message could NOT be kept ({bug(error).what})"
        failure.next_step = f"{failure.next_step}; {lost}".removeprefix("; ")


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


class Run:
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

    def prepare(self, intake: Intake) -> None:
        """Walk the stations before the mailhub: configuration, envelope, repair."""
        acc = self.open()
        for note in acc.config.notes:
            self.note(note)
        self.repaired(intake.notes)
        self.envelope, self.message = prepare(acc, self.request.options, intake)
        self.repaired(self.message.notes)

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
        receipt.message_id = message.message_id
        receipt.envelope = envelope
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
        login, uid = self.request.who
        try:
            trouble = journal.failed(
                failure,
                login=login,
                uid=uid,
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
