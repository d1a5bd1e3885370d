"""Every way to fail: whose fault, how far it reaches, when again, which exit code.

Anything that keeps a message from being submitted ends as a `Failure`. It carries
what a person needs (what happened, what to do next) and what a program needs (scope,
time, culprit, exit code), so that no caller has to guess from a text.

Two rules hold everywhere:

1. Only an explicit 5xx reply to MAIL, RCPT, DATA or the content may become *never*.
   Whatever the network, TLS, DNS or a babbling server does is *later*.
2. What happens before MAIL says nothing about the message: its scope is the *site*.

The exit codes are those of sysexits.h.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssmtp.smtp.reply import Reply

EX_OK = 0
EX_USAGE = 64
EX_DATAERR = 65
EX_NOINPUT = 66
EX_NOUSER = 67
EX_NOHOST = 68
EX_UNAVAILABLE = 69
EX_SOFTWARE = 70
EX_TEMPFAIL = 75
EX_NOPERM = 77
EX_CONFIG = 78

EXIT_CODES: tuple[tuple[int, str], ...] = (
    (EX_OK, "the mailhub has the message for every recipient, or the agent's queue"),
    (EX_USAGE, "wrong usage, or nobody to send to"),
    (EX_DATAERR, "the message or an address cannot be sent as it is"),
    (EX_NOINPUT, "standard input cannot be read"),
    (EX_NOUSER, "a recipient was refused for good, so nobody got the message"),
    (EX_NOHOST, "the mailhub's name does not exist"),
    (EX_UNAVAILABLE, "the mailhub refused the message for good"),
    (EX_SOFTWARE, "a bug in ssmtp"),
    (EX_TEMPFAIL, "anything that time can cure: network, TLS, a busy mailhub"),
    (EX_NOPERM, "credentials refused or missing, or a policy of ours"),
    (EX_CONFIG, "the configuration is missing, wrong, or readable by others"),
)


class Failure(Exception):
    """A message that was not submitted, and everything worth knowing about why.

    `what` is the beginning of a sentence for a person, without a full stop;
    `next_step` is what that person can do about it. `reply` is the mailhub's own
    answer where there was one, `phase` the step of the session (smtp.phases), and
    `recipient` the one it was about. `kept` and `kept_id` are set once the message lies
    in the failed store.
    """

    exit_code = EX_TEMPFAIL
    scope = "site"  # site | message | recipient
    when = "later"  # now | later | never
    culprit = "mailhub"  # caller | configuration | network | mailhub | system | ssmtp

    def __init__(
        self, what: str, next_step: str = "", *, reply: Reply | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.next_step = next_step
        self.reply = reply
        self.phase = ""
        self.recipient = ""
        self.kept: str | None = None
        self.kept_id: str | None = None

    def sentence(self) -> str:
        """Return the one line that a person reads, without the program's name."""
        return f"{self.what}; {self.next_step}" if self.next_step else self.what

    def whole_sentence(self) -> str:
        """Return the sentence, and where the message is kept if it is."""
        if not self.kept_id:
            return self.sentence()
        return (
            f"{self.sentence()} [kept as {self.kept}; to send it again: "
            f"ssmtpctl queue retry {self.kept_id}]"
        )


class UsageError(Failure):
    """The command line cannot be meant, or names nobody to send to."""

    exit_code = EX_USAGE
    scope = "message"
    when = "never"
    culprit = "caller"


class InputRefused(Failure):
    """The message or an address cannot go on the wire as it is."""

    exit_code = EX_DATAERR
    scope = "message"
    when = "never"
    culprit = "caller"


class InputUnreadable(Failure):
    """Standard input could not be read to its end."""

    exit_code = EX_NOINPUT
    scope = "message"
    when = "never"
    culprit = "caller"


class RecipientRefused(Failure):
    """The mailhub refused a recipient with a 5xx reply; nobody got the message."""

    exit_code = EX_NOUSER
    scope = "recipient"
    when = "never"


class UnknownHost(Failure):
    """The mailhub's name does not exist."""

    exit_code = EX_NOHOST
    culprit = "configuration"


class MessageRefused(Failure):
    """The mailhub refused the sender or the message with a 5xx reply."""

    exit_code = EX_UNAVAILABLE
    scope = "message"
    when = "never"


class MailhubRefused(Failure):
    """The mailhub refused the whole session for good, before MAIL."""

    exit_code = EX_UNAVAILABLE


class Bug(Failure):
    """Something in ssmtp itself is wrong."""

    exit_code = EX_SOFTWARE
    culprit = "ssmtp"


PLACES_MOST = 4


def bug(error: BaseException) -> Bug:
    """Return the failure that a mistake of ours is: its kind and its place.

    The text of the exception is left out. It may quote what was being worked on, and
    that may be a password.
    """
    places: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        places.append(f"{path.rpartition('/')[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    where = " < ".join(places[: -PLACES_MOST - 1 : -1]) or "unknown place"
    return Bug(f"internal error: {type(error).__name__} ({where})", "please report it")


class SiteTrouble(Failure):
    """The mailhub cannot be used now: network, DNS, TLS or a protocol error."""


class NetworkTrouble(SiteTrouble):
    """The network, not the mailhub, stands in the way."""

    culprit = "network"


class SystemTrouble(SiteTrouble):
    """This machine stands in the way: no descriptors, no memory, no disk."""

    culprit = "system"


class Interrupted(Failure):
    """A signal ended the run before the mailhub had the message."""

    scope = "message"
    culprit = "caller"


class Deferred(Failure):
    """The mailhub said not now: a 4xx reply once the transaction had begun."""

    scope = "message"


class InDoubt(Failure):
    """The content went out, and no clear answer came back.

    The mailhub may have the message: sending it again may deliver it twice.
    """

    scope = "message"


class AuthRefused(Failure):
    """The credentials were refused or are missing, or a policy of ours forbids."""

    exit_code = EX_NOPERM
    culprit = "configuration"


class ConfigError(Failure):
    """The configuration is missing, cannot be understood, or is unsafe."""

    exit_code = EX_CONFIG
    culprit = "configuration"
