"""The commands that programs call: one program under four names.

`ssmtp` and `sendmail` take a message; `mailq` and `newaliases` are the classic names of
`-bp` and `-bi`. This module picks the road, prints the one line that a failure
deserves, and returns the exit code. On success it prints nothing.
"""

from __future__ import annotations

import posix
import sys

from ssmtp import options as option_table
from ssmtp.environment import environ, utf8
from ssmtp.errors import (
    EX_OK,
    EX_TEMPFAIL,
    Failure,
    InputUnreadable,
    Interrupted,
    SystemTrouble,
    UsageError,
    bug,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ssmtp.delivery import Request
    from ssmtp.options import Options
    from ssmtp.values import Secret


def main(argv: Sequence[str] | None = None) -> int:
    """Run as `sendmail` does and return the exit code (sysexits.h)."""
    stdin_open = _reserve_descriptors()
    if argv is None:
        argv = sys.argv
    program = argv[0].rpartition("/")[2] or "sendmail"
    words = list(map(utf8, argv[1:]))
    try:
        options = option_table.scan(program, words)
        if options.auth_pass is not None:
            _guard(options.auth_pass)
        return ROADS[options.mode](options, words, 0 if stdin_open else -1)
    except Failure as failure:
        return complain(program, failure)
    except KeyboardInterrupt:
        return complain(program, Interrupted("interrupted, nothing was sent"))
    except Exception as error:  # the last net: a bug must never look like success
        return complain(program, bug(error))


def _guard(secret: Secret) -> None:
    from ssmtp import guard

    guard.no_core()
    guard.hide_argument(secret.reveal())


def complain(program: str, failure: Failure) -> int:
    """Say on standard error what went wrong, in one line; return the exit code."""
    _say(2, f"{program}: {failure.whole_sentence()}")
    return failure.exit_code


def _say(fd: int, text: str) -> None:
    """Write a line that holds no control characters.

    A complaint that nothing takes is lost; of a list it raises `SystemTrouble`.

    Servers, users and files contribute to what is said: none of them may move the
    cursor or forge a second line.
    """
    clean = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "replace").decode()
        for c in text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    )
    rest = clean.encode() + b"\n"
    while rest:
        try:
            rest = rest[posix.write(fd, rest) :]
        except BlockingIOError:
            if fd == 2:
                return  # mail waits for nobody who reads no complaints
            _wait(fd)
        except BrokenPipeError:
            return  # whoever read it has seen enough
        except OSError as error:
            if fd == 2:
                return
            raise SystemTrouble(
                f"standard output cannot be written: {error.strerror}",
                "see that there is room",
            ) from None


def _wait(fd: int) -> None:
    """Wait until somebody has read of what was written."""
    import select

    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll()


def _reserve_descriptors() -> bool:
    """Fill closed standard descriptors with /dev/null; tell whether stdin was open.

    Otherwise the next socket or file would get the number 0, 1 or 2, and what we read
    or complain would go there.
    """
    stdin_open = True
    for fd in (0, 1, 2):
        try:
            posix.fstat(fd)
        except OSError:
            if fd == 0:
                stdin_open = False
            posix.open("/dev/null", posix.O_RDWR)
    return stdin_open


def _request(
    options: Options, words: list[str], settle: Callable[[], None] = lambda: None
) -> Request:
    from ssmtp import delivery

    watch = None
    if options.verbose:
        from ssmtp import trace

        watch = trace.Trace(lambda line: _say(2, line))
    return delivery.Request(options, None, environ(), words, watch, settle)


def send(options: Options, words: list[str], stdin: int) -> int:
    """Take the message on standard input and submit it."""
    from ssmtp import delivery, intake
    from ssmtp.signals import Signals

    if not options.recipients and not options.read_recipients:
        raise UsageError(
            "nobody to send to",
            "name recipients as arguments, or give -t to read them from the header",
        )
    signals = Signals()
    signals.catch()
    if stdin < 0:
        raise InputUnreadable(
            "standard input is closed, so there is no message",
            "call sendmail with the message on standard input",
        )
    terminal = posix.isatty(stdin)
    taken = intake.read(
        stdin, dot_ends=terminal and not options.ignore_dots, hint=terminal
    )
    try:
        delivery.deliver(_request(options, words, signals.hold), taken)
    except Failure:
        raise
    except Exception as error:  # a mistake of ours, but the message was read
        signals.hold()
        raise delivery.rescue(error, taken, words) from error
    finally:
        taken.body.close()
        signals.ignore()
    return EX_OK


def smtp_session(options: Options, words: list[str], stdin: int) -> int:
    """Hold an SMTP session on standard input and output (`-bs`)."""
    from ssmtp import bs

    return bs.serve(_request(options, words))


def verify(options: Options, words: list[str], stdin: int) -> int:
    """Print what becomes of each recipient, and send nothing (`-bv`)."""
    from ssmtp import address, direct

    account = direct.account(_request(options, words))
    for argument in options.recipients:
        for mailbox in address.parse_argument(argument):
            for recipient in account.names.resolve(mailbox, "recipient"):
                _say(1, f"{argument}: deliverable to <{recipient}>")
    return EX_OK


def _for_everybody() -> bool:
    """Whether the queue is that of all users: root's, unless a store is named."""
    return posix.getuid() == 0 and not environ().get("XDG_STATE_HOME")


def flush(options: Options, words: list[str], stdin: int) -> int:
    """Send again what is kept (`-q`), root for all users; not 0 if one fails."""
    from ssmtp import delivery
    from ssmtp.signals import Signals
    from ssmtp.spool import failed

    code = _flush_agents(options)
    signals = Signals()
    request = _request(options, words, signals.hold)
    for entry in failed.entries(environ()):
        if entry.state == "in-doubt":
            # Sending it again may deliver it twice: that is for a person to decide.
            continue
        with signals:
            try:
                delivery.retry(entry, request)
            except Failure as failure:
                code = complain(options.program, failure)
    return max(code, _flush_others(words)) if _for_everybody() else code


def _flush_agents(options: Options) -> int:
    from ssmtp import handoff

    code = EX_OK
    for path in handoff.agents(options.config_path, environ()):
        from ssmtp.agent import verbs

        try:
            verbs.call(path, "XFLUSH")
        except Failure as failure:
            code = complain(options.program, failure)
    return code


def _flush_others(words: list[str]) -> int:
    from ssmtp.spool import others

    code = EX_OK
    for uid in others.owners():
        try:
            ended, lines = others.run(uid, words)
        except OSError as error:
            ended, lines = EX_TEMPFAIL, [f"{error.strerror}"]
        for line in lines:
            _say(2, f"uid {uid}: {line}")
        if ended != EX_OK:
            code = EX_TEMPFAIL
    return code


def mailq(options: Options, words: list[str], stdin: int) -> int:
    """List what is kept and what the agent has, for root that of all users."""
    from ssmtp import handoff
    from ssmtp.spool import failed, listing

    code = EX_OK
    kept = failed.all_entries if _for_everybody() else failed.entries
    entries = kept(environ())
    for path in handoff.agents(options.config_path, environ(), down=True):
        from ssmtp.agent import verbs

        try:
            question = "XLIST all" if posix.getuid() == 0 else "XLIST"
            entries += map(listing.queued, verbs.rows(path, question))
        except Failure as failure:
            code = complain(options.program, failure)
    if code != EX_OK and not entries:
        return code  # nobody knows whether the queue is empty
    for line in listing.lines(entries):
        _say(1, line)
    return code


def newaliases(options: Options, words: list[str], stdin: int) -> int:
    """Do nothing: aliases are read from their text file each time."""
    return EX_OK


def version(options: Options, words: list[str], stdin: int) -> int:
    """Print the version."""
    from ssmtp import __version__

    _say(1, f"ssmtp {__version__}")
    return EX_OK


def show_help(options: Options, words: list[str], stdin: int) -> int:
    """Print the options, examples first."""
    for line in option_table.help_text(options.program).splitlines():
        _say(1, line)
    return EX_OK


ROADS: dict[str, Callable[[Options, list[str], int], int]] = {
    "send": send,
    "smtp": smtp_session,
    "verify": verify,
    "flush": flush,
    "mailq": mailq,
    "newaliases": newaliases,
    "version": version,
    "help": show_help,
}
