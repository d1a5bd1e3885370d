"""Exit codes as replies, and replies as exit codes: one table for both directions.

`-bs` and the agent tell an SMTP client of a failure; the hand-off has to tell its own
caller what the agent said. A client takes 5xx for the message's fault, for ever: only
what is wrong with the message gets it.
"""

from __future__ import annotations

from ssmtp.errors import (
    EX_CONFIG,
    EX_DATAERR,
    EX_NOHOST,
    EX_NOPERM,
    EX_NOUSER,
    EX_UNAVAILABLE,
    EX_USAGE,
    AuthRefused,
    ConfigError,
    Deferred,
    Failure,
    InputRefused,
    MailhubRefused,
    MessageRefused,
    RecipientRefused,
    UnknownHost,
    UsageError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssmtp.smtp.reply import Reply

REPLIES: dict[int, tuple[int, str]] = {
    EX_USAGE: (554, "5.5.4"),
    EX_DATAERR: (554, "5.6.0"),
    EX_NOUSER: (550, "5.1.1"),
    EX_UNAVAILABLE: (554, "5.0.0"),
    EX_NOPERM: (454, "4.7.0"),
    EX_CONFIG: (451, "4.3.5"),
}
LATER = (451, "4.3.0")
# Trouble with a mailhub, for who waits for the agent: the message is queued.
SITES: dict[int, tuple[int, str]] = {
    EX_NOPERM: REPLIES[EX_NOPERM],
    EX_CONFIG: REPLIES[EX_CONFIG],
    EX_NOHOST: (454, "4.4.4"),
    EX_UNAVAILABLE: (454, "4.3.2"),
}
NO_RELAY = "5.7.8"  # credentials that do for the mailhub, but not for this recipient

_KINDS: tuple[type[Failure], ...] = (
    UsageError,
    InputRefused,
    RecipientRefused,
    MessageRefused,
    AuthRefused,
    ConfigError,
)


def reply_code(failure: Failure) -> tuple[int, str]:
    """Return code and status that say of a failure how long it lasts."""
    reply = failure.reply
    if failure.scope == "site":
        ours = failure.exit_code in (EX_NOPERM, EX_CONFIG)
        return REPLIES[failure.exit_code] if ours else LATER
    if reply is not None and 400 <= reply.code < 600 and reply.code != 421:
        return reply.code, reply.status or f"{reply.code // 100}.0.0"
    return REPLIES.get(failure.exit_code, LATER)


def verdict(failure: Failure) -> tuple[int, str]:
    """Return code and status for who waits for the agent, of what is so for good.

    They are those of the table. The mailhub's status may mean another failure there,
    and its own words are in the text.
    """
    if failure.exit_code == EX_NOPERM:
        return 550, NO_RELAY
    return REPLIES[failure.exit_code]


def kind(reply: Reply, of_recipient: bool = False) -> type[Failure]:
    """Return the failure that a refusal by this reply of the agent is.

    Where the table does not know a 5xx, it is the recipient's or the message's.
    """
    for one in _KINDS:
        if REPLIES[one.exit_code] == (reply.code, reply.status):
            return one
    for site in (UnknownHost, MailhubRefused):
        if SITES[site.exit_code] == (reply.code, reply.status):
            return site
    status = reply.status or ""
    if reply.code < 500:
        return Deferred
    if status == NO_RELAY:
        return AuthRefused
    if reply.code == 501 or status == "5.3.4":
        # No address, or more than may be (RFC 3463 §3.4).
        return InputRefused
    # These two are about the sender (RFC 3463 §3.2).
    recipient = reply.code == 550 or status[:4] == "5.1."
    if of_recipient or (recipient and status not in ("5.1.7", "5.1.8")):
        return RecipientRefused
    return MessageRefused
