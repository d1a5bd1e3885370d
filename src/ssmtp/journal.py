"""What became of a message, told to the system log and to `LogFile=`.

One message is one line, through syslog(3) with facility mail, ident `sSMTP` and the
process id. The line begins as that of classic sSMTP did, so that existing log filters
match:

    Sent mail for bob@example.org (250 2.0.0 Ok) uid=1000 username=bob outbytes=412 ...
    RCPT TO:<ann@example.org> (550 5.1.1 No such user): ...
    Cannot open hub.example.org:587: ...

Facts as `name=value` follow, those that people search for first: what is beyond
`LINE_MOST` octets is cut off, and what syslog daemons do with long lines differs. The
recipients stand last because they can be many.

No failure to log is ever a failure to send: every function returns what went wrong, in
words for `-v`, or an empty string. Nothing here may be given a secret; replies of
mailhubs that echo one come here with dots in its place.
"""

from __future__ import annotations

import os
import time

from ssmtp.errors import (
    AuthRefused,
    Failure,
    InDoubt,
    MailhubRefused,
    SiteTrouble,
    UnknownHost,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssmtp.envelope import Envelope
    from ssmtp.receipt import Receipt

    Fact = str | int | float | bool | list[str] | None

IDENT = "sSMTP"
LINE_MOST = 1000  # octets; the header of a datagram comes on top of them (RFC 3164)
TAG_MOST = 32  # characters; more is no tag (RFC 3164 section 4.1.3)
VALUE_MOST = 300  # characters of one value
LISTED_MOST = 100  # recipients in a line of LogFile
_NOTHING: tuple[Fact, ...] = (None, "", [])  # facts that go without saying
SOCKET = "/dev/log"
PATIENCE = 2.0  # seconds for a system log that is behind; then it gets no more lines

_given_up = False


def sent(
    receipt: Receipt,
    *,
    envelope: Envelope,
    message_id: str,
    login: str,
    uid: int,
    seconds: float | None = None,
    repairs: list[str] | None = None,
    log_file: str | None = None,
    tag: str | None = None,
) -> str:
    """Log that the mailhub accepted a message.

    `seconds` is how long all of it took, `repairs` what was not sent as it was read,
    `tag` what stands in the place of `IDENT`.
    """
    facts = _facts(envelope, message_id, login, uid)
    facts["repairs"] = repairs
    facts["size"] = receipt.size
    facts["mailhub"] = receipt.hub
    facts["reply"] = str(receipt.reply)
    facts["queue_id"] = receipt.queue_id
    facts["seconds"] = round(receipt.seconds if seconds is None else seconds, 3)
    facts["tls"] = receipt.tls
    facts["auth"] = receipt.mechanism
    begin = (
        f"Sent mail for {_shown(facts['from'])} ({_shown(facts['reply'])})"
        f" uid={uid} username={_shown(login)} outbytes={receipt.size}"
    )
    names = ("msgid", "mailhub", "queue_id", "seconds", "tls", "auth", "repairs")
    return _both("sent", begin, names, facts, log_file, tag)


def failed(
    failure: Failure,
    *,
    login: str,
    uid: int,
    envelope: Envelope | None = None,
    message_id: str = "",
    size: int | None = None,
    hub: str = "",
    seconds: float | None = None,
    repairs: list[str] | None = None,
    log_file: str | None = None,
    tag: str | None = None,
) -> str:
    """Log that a message was not sent, and where it is kept."""
    facts = _facts(envelope, message_id, login, uid)
    facts["repairs"] = repairs
    facts["exit"] = failure.exit_code
    facts["kept"] = failure.kept_id
    facts["size"] = size
    facts["mailhub"] = hub
    facts["reply"] = str(failure.reply) if failure.reply is not None else None
    facts["seconds"] = None if seconds is None else round(seconds, 3)
    facts["reason"] = failure.what
    facts["in_doubt"] = isinstance(failure, InDoubt) or None
    begin = classic_words(failure, hub)
    if begin != _shown(failure.what):
        begin = f"{begin}: {_shown(failure.what)}"
    names = ("exit", "uid", "username", "kept", "msgid", "from", "mailhub", "size")
    return _both("failed", begin, (*names, "seconds", "repairs"), facts, log_file, tag)


def dialogue(line: str) -> str:
    """Log one line of the dialogue (`Debug=yes`), secrets already made dots."""
    return _syslog(_shown(line, LINE_MOST), bad=False)


def classic_words(failure: Failure, hub: str = "") -> str:
    """Return what classic sSMTP would have logged; our own words where it had none."""
    reply = _shown(str(failure.reply)) if failure.reply is not None else ""
    phase, recipient = failure.phase, failure.recipient
    if recipient and reply:
        return f"RCPT TO:<{_shown(str(recipient))}> ({reply})"
    if isinstance(failure, AuthRefused) and reply:
        return f"Authorization failed ({reply})"
    if isinstance(failure, InDoubt):
        return reply or "Connection lost in middle of processing"
    if reply and (failure.scope != "site" or phase in ("MAIL", "DATA", "content")):
        return reply
    if reply and phase == "EHLO":
        return f"{reply} (H)"
    if isinstance(failure, MailhubRefused) or (reply and phase == "greeting"):
        return "Invalid response SMTP server"
    unreachable = isinstance(failure, (SiteTrouble, UnknownHost))
    if unreachable and hub and failure.culprit not in ("caller", "system"):
        return f"Cannot open {_shown(hub)}"
    return _shown(failure.what)


def _facts(
    envelope: Envelope | None, message_id: str, login: str, uid: int
) -> dict[str, Fact]:
    facts: dict[str, Fact] = {"uid": uid, "username": login, "msgid": message_id}
    if envelope is not None:
        path = envelope.reverse_path
        facts["from"] = "<>" if path is None else str(path)
        facts["to"] = [str(recipient) for recipient in envelope.recipients]
    return facts


def _both(
    event: str,
    begin: str,
    names: tuple[str, ...],
    facts: dict[str, Fact],
    log_file: str | None,
    tag: str | None,
) -> str:
    trouble = _syslog(_line(begin, names, facts), bad=event != "sent", tag=tag)
    if log_file:
        trouble = _append(log_file, event, facts) or trouble
    return trouble


def _line(begin: str, names: tuple[str, ...], facts: dict[str, Fact]) -> str:
    """Put a line together; recipients are listed as far as there is room."""
    line = _cut(begin, LINE_MOST)
    words = [
        f"{name}={_shown(_joined(facts[name]))}"
        for name in names
        if facts.get(name) not in _NOTHING
    ]
    recipients = facts.get("to")
    if isinstance(recipients, list):
        words.append(f"nrcpt={len(recipients)}")
        words.append("to=" + ",".join(f"<{_shown(to)}>" for to in recipients))
    for word in words:
        line += " " + word
    return _cut(line, LINE_MOST)


def _syslog(line: str, *, bad: bool, tag: str | None = None) -> str:
    try:
        if _stuck():
            return "the system log takes no lines"
        import syslog

        syslog.openlog(_shown(tag or IDENT, TAG_MOST), syslog.LOG_PID, syslog.LOG_MAIL)
        syslog.syslog(syslog.LOG_ERR if bad else syslog.LOG_INFO, line)
    except (ImportError, OSError, ValueError) as error:
        return f"the system log could not be written: {error}"
    return ""


def _stuck() -> bool:
    """Tell whether syslog(3) would wait, which it does for ever when a daemon hangs."""
    global _given_up
    try:
        import _socket
        import select

        probe = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        try:
            probe.connect(SOCKET)
            poll = select.poll()
            poll.register(probe, select.POLLOUT)
            _given_up = not poll.poll(0 if _given_up else PATIENCE * 1000)
        finally:
            probe.close()
    except (ImportError, AttributeError, OSError):
        return False  # no such socket here, or of another kind
    return _given_up


def _append(path: str, event: str, facts: dict[str, Fact]) -> str:
    """Add one JSON line to a file, 0600 when it is made now; links are not followed."""
    import json

    recipients = facts.pop("to", None)
    if isinstance(recipients, list):
        facts["recipients"] = len(recipients)
        facts["to"] = recipients[:LISTED_MOST]
    now = time.time()
    told: dict[str, Fact] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        + f".{int(now % 1 * 1000):03d}Z",
        "event": event,
    }
    told.update((name, fact) for name, fact in facts.items() if fact not in _NOTHING)
    line = json.dumps(told).encode("ascii") + b"\n"
    # O_NONBLOCK: a pipe that nobody reads must not hold the message up.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        fd = os.open(path, flags | os.O_NOCTTY | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, line)
        finally:
            os.close(fd)
    except (OSError, ValueError) as error:
        return f"the log file {_shown(path)} could not be written: {error}"
    return ""


def _shown(value: Fact, most: int = VALUE_MOST) -> str:
    """Return a value on one line that no terminal, and no syslog daemon, acts on."""
    text = "" if value is None else str(value)
    if not text.isprintable():
        text = "".join(
            character
            if character.isprintable()
            else character.encode("unicode_escape").decode()
            for character in text
        )
    return text if len(text) <= most else text[: most - 1] + "…"


def _joined(fact: Fact) -> Fact:
    return "; ".join(fact) if isinstance(fact, list) else fact


def _cut(line: str, most: int) -> str:
    """Return at most `most` octets of a line, whole characters."""
    octets = line.encode()
    if len(octets) <= most:
        return line
    return octets[: most - 3].decode("utf-8", "ignore") + "…"
