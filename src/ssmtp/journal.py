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

import posix
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
    from collections.abc import Callable

    from ssmtp.envelope import Envelope
    from ssmtp.receipt import Receipt

    Fact = str | int | float | bool | list[str] | None

IDENT = "sSMTP"
LINE_MOST = 1000  # octets; the header of a datagram comes on top of them (RFC 3164)
BEGIN_MOST = 720  # octets of it until the facts, which no long reply may push out
TAG_MOST = 32  # characters; more is no tag (RFC 3164 section 4.1.3)
VALUE_MOST = 300  # characters of one value
TOGETHER = 4096  # octets of lines that are written at once: a pipe takes them whole
LISTED_MOST = 100  # recipients in a line of LogFile
_NOTHING: tuple[Fact, ...] = (None, "", [])  # facts that go without saying
SOCKET = "/dev/log"
PATIENCE = 2.0  # seconds for a system log that is behind; then it gets no more lines
BEHIND = "the system log takes no lines"
AWAY = 0.2  # seconds in which a system log that is not there is not looked for again
NOBODY = "the system log is not there"
_MAIL, _ERR, _INFO = 2, 3, 6  # RFC 3164 section 4.1.1

# Set by `ssmtp.api`: we are a library in somebody else's process, where openlog(3)
# would put our name before the lines of others.
guest = False

# Set by the agent, which writes many lines, in any thread: what is open stays open.
lasting = False

# Set by the agent, too: who gets a line that the system log does not take.
otherwise: Callable[[str], None] | None = None

_given_up = False
_nobody_until = 0.0
_log: _Open | None = None
_file: _Open | None = None
_second = (0, "", "")
_quoted: Callable[[str], str] | None = None


def sent(
    receipt: Receipt,
    *,
    envelope: Envelope,
    message_id: str,
    login: str,
    uid: int,
    seconds: float | None = None,
    repairs: list[str] | None = None,
    log_file: str | Page | None = None,
    tag: str | None = None,
    name: str | None = None,
) -> str:
    """Log that the mailhub accepted a message.

    `seconds` is how long all of it took, `repairs` what was not sent as it was read,
    `tag` what stands in the place of `IDENT`, `name` its name in the agent's queue.
    """
    facts = _facts(envelope, message_id, login, uid)
    facts["id"] = name
    facts["repairs"] = repairs
    facts["size"] = receipt.size
    facts["mailhub"] = receipt.hub
    facts["reply"] = reply = str(receipt.reply)
    facts["queue_id"] = receipt.queue_id
    facts["seconds"] = round(receipt.seconds if seconds is None else seconds, 3)
    facts["tls"] = receipt.tls
    facts["auth"] = receipt.mechanism
    begin = (
        f"Sent mail for {_shown(facts['from'])} ({_shown(reply)})"
        f" uid={uid} username={_shown(login)} outbytes={receipt.size}"
    )
    names = ("id", "msgid", "mailhub", "queue_id", "seconds", "tls", "auth", "repairs")
    return _both("sent", begin, names, facts, envelope, log_file, tag)


def queued(
    name: str,
    *,
    envelope: Envelope,
    message_id: str,
    login: str,
    uid: int,
    size: int,
    repairs: list[str] | None = None,
    log_file: str | Page | None = None,
    tag: str | None = None,
) -> str:
    """Log that the agent has a message in its queue, under `name`."""
    facts = _facts(envelope, message_id, login, uid)
    facts["id"] = name
    facts["repairs"] = repairs
    facts["size"] = size
    begin = (
        f"Queued mail for {_shown(facts['from'])} uid={uid} username={_shown(login)}"
    )
    names = ("id", "msgid", "size", "repairs")
    return _both("queued", begin, names, facts, envelope, log_file, tag)


def note(sentence: str, *, bad: bool = False) -> str:
    """Log something about the agent itself."""
    return _syslog(_shown(sentence, LINE_MOST), bad=bad)


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
    log_file: str | Page | None = None,
    tag: str | None = None,
    name: str | None = None,
) -> str:
    """Log that a message was not sent, and where it is kept."""
    facts = _facts(envelope, message_id, login, uid)
    facts["id"] = name
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
    if not begin.endswith(_shown(failure.what)):
        begin = f"{begin}: {_shown(failure.what)}"
    names = ("exit", "uid", "username", "id", "kept", "msgid", "from", "mailhub")
    more = ("size", "seconds", "repairs")
    return _both("failed", begin, (*names, *more), facts, envelope, log_file, tag)


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
    return facts


def _both(
    event: str,
    begin: str,
    names: tuple[str, ...],
    facts: dict[str, Fact],
    envelope: Envelope | None,
    log_file: str | Page | None,
    tag: str | None,
) -> str:
    to = list(map(str, envelope.recipients)) if envelope is not None else None
    bad = event not in ("sent", "queued")
    trouble = _syslog(_line(begin, names, facts, to), bad=bad, tag=tag)
    if log_file:
        if to is not None:
            facts["recipients"] = len(to)
            facts["to"] = to[:LISTED_MOST]
        line = _object(event, facts)
        if isinstance(log_file, Page):
            log_file.lines.append(line)
        else:
            trouble = _append(log_file, line) or trouble
    return trouble


def _line(
    begin: str, names: tuple[str, ...], facts: dict[str, Fact], to: list[str] | None
) -> str:
    """Put a line together; recipients are listed as far as there is room."""
    words = [_cut(begin, BEGIN_MOST)]
    for name in names:
        fact = facts.get(name)
        if fact or fact not in _NOTHING:
            words.append(f"{name}={_shown(fact)}")
    if to is not None:
        words.append(f"nrcpt={len(to)}")
        words.append("to=" + ",".join([f"<{_shown(one)}>" for one in to]))
    return _cut(" ".join(words), LINE_MOST)


def _syslog(line: str, *, bad: bool, tag: str | None = None) -> str:
    trouble = _told(line, bad, tag)
    if trouble and otherwise is not None:
        otherwise(line)
    return trouble


def _told(line: str, bad: bool, tag: str | None) -> str:
    try:
        ident = _shown(tag, TAG_MOST) if tag else IDENT
        if guest or lasting:
            return _send(_packet(line, ident, _ERR if bad else _INFO))
        if _stuck():
            return BEHIND
        import syslog

        syslog.openlog(ident, syslog.LOG_PID, syslog.LOG_MAIL)
        syslog.syslog(syslog.LOG_ERR if bad else syslog.LOG_INFO, line)
    except (ImportError, OSError, ValueError) as error:
        return f"the system log could not be written: {error}"
    return ""


def _packet(line: str, ident: str, severity: int) -> bytes:
    """Return a line as the system log wants it (RFC 3164 section 4.1)."""
    when = _words_of(int(time.time()))[1]
    return f"<{_MAIL * 8 + severity}>{when} {ident}[{posix.getpid()}]: {line}".encode()


def _words_of(second: int) -> tuple[int, str, str]:
    """Return a time as the two logs have it, behind itself."""
    global _second
    words = _second
    if words[0] != second:
        ours = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        words = (second, time.ctime(second)[4:19], ours)
        _second = words
    return words


class _Open:
    """An open descriptor; the last thread that has it closes it by letting it go."""

    __slots__ = ("fd", "key")

    def __init__(self, fd: int, *key: object) -> None:
        self.fd = fd
        self.key = key

    def __del__(self, close: Callable[[int], None] = posix.close) -> None:
        close(self.fd)


def _send(packet: bytes) -> str:
    """Send a packet to the system log by a socket of our own, and never wait long."""
    global _given_up, _log, _nobody_until
    log = _log if lasting else None
    until = time.monotonic() + PATIENCE  # others may be quicker, again and again
    while True:
        fresh = log is None
        if log is None:
            if lasting and time.monotonic() < _nobody_until:
                return NOBODY
            try:
                log = _connected()
            except OSError:
                _nobody_until = time.monotonic() + AWAY
                raise
            if lasting:
                _log = log
        try:
            posix.write(log.fd, packet)
        except BlockingIOError:
            _given_up = not _takes_more(log) or time.monotonic() > until
            if _given_up:
                return BEHIND
        except OSError:
            # A daemon that was started anew has another socket.
            if fresh:
                raise
            log = None
        else:
            _given_up = False
            return ""


def _connected() -> _Open:
    import _socket

    log = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    try:
        log.setblocking(False)
        log.connect(SOCKET)
    except OSError:
        log.close()
        raise
    return _Open(log.detach())


def _takes_more(log: _Open) -> bool:
    """Wait until the system log takes more, but not a second time in vain."""
    import select

    poll = select.poll()
    poll.register(log.fd, select.POLLOUT)
    return bool(poll.poll(0 if _given_up else PATIENCE * 1000))


def _stuck() -> bool:
    """Tell whether syslog(3) would wait, which it does for ever when a daemon hangs."""
    global _given_up
    try:
        _given_up = not _takes_more(_connected())
    except (ImportError, AttributeError, OSError):
        return False  # no such socket here, or of another kind
    return _given_up


def _object(event: str, facts: dict[str, Fact]) -> bytes:
    """Return a line of LogFile: one JSON object, ASCII."""
    global _quoted
    if _quoted is None:
        # `json`, which says the same, takes longer to import than all of this.
        from _json import encode_basestring_ascii

        _quoted = encode_basestring_ascii
    now = time.time()
    when = _words_of(int(now))[2]
    words = [f'{{"time": "{when}.{int(now % 1 * 1000):03d}Z", "event": "{event}"']
    for name, fact in facts.items():
        if not fact and fact in _NOTHING:
            continue
        if isinstance(fact, str):
            value = _quoted(fact)
        elif isinstance(fact, list):
            value = f"[{', '.join(map(_quoted, fact))}]"
        elif isinstance(fact, bool):
            value = "true" if fact else "false"
        else:
            value = repr(fact)
        words.append(f'"{name}": {value}')
    return (", ".join(words) + "}\n").encode("ascii")


class Page:
    """Stands for a LogFile whose lines are written together, by `Pages.write`."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        self.lines: list[bytes] = []


class Pages:
    """The pages of one thread."""

    __slots__ = ("_pages",)

    def __init__(self) -> None:
        self._pages: dict[str, Page] = {}

    def of(self, path: str | None) -> Page | None:
        """Return what takes the lines of a file."""
        return self._pages.setdefault(path, Page()) if path else None

    def write(self) -> str:
        """Write all lines; return what went wrong, or nothing."""
        trouble = ""
        pages, self._pages = self._pages, {}
        for path, page in pages.items():
            lines: list[bytes] = []
            room = TOGETHER
            for line in page.lines:
                room -= len(line)
                if room < 0 and lines:
                    trouble = _append(path, b"".join(lines)) or trouble
                    lines, room = [], TOGETHER - len(line)
                lines.append(line)
            trouble = _append(path, b"".join(lines)) or trouble
        return trouble


def _append(path: str, line: bytes) -> str:
    """Add a line to a file, 0600 when it is made now; links are not followed."""
    try:
        file = _opened(path)
        if posix.write(file.fd, line) < len(line):
            return f"the log file {_shown(path)} took a part of it only"
    except (OSError, ValueError) as error:
        return f"the log file {_shown(path)} could not be written: {error}"
    return ""


def _opened(path: str) -> _Open:
    """Open a log file, unless it is still the one that is open."""
    global _file
    file = _file if lasting else None
    if file is not None:
        try:
            found = posix.lstat(path)
        except OSError:
            pass
        else:
            if file.key == (found.st_dev, found.st_ino):
                return file
    # O_NONBLOCK: a pipe that nobody reads must not hold the message up.
    flags = (
        posix.O_WRONLY
        | posix.O_APPEND
        | posix.O_CREAT
        | posix.O_NOFOLLOW
        | posix.O_NONBLOCK
    )
    file = _Open(posix.open(path, flags | posix.O_NOCTTY | posix.O_CLOEXEC, 0o600))
    if lasting:
        found = posix.fstat(file.fd)
        file.key = (found.st_dev, found.st_ino)
        _file = file
    return file


def _shown(value: Fact, most: int = VALUE_MOST) -> str:
    """Return a value on one line that no terminal, and no syslog daemon, acts on."""
    text = value if isinstance(value, str) else _text_of(value)
    if not text.isprintable():
        text = "".join(
            character
            if character.isprintable()
            else character.encode("unicode_escape").decode()
            for character in text
        )
    return text if len(text) <= most else text[: most - 1] + "…"


def _text_of(fact: Fact) -> str:
    if isinstance(fact, list):
        return "; ".join(fact)
    return "" if fact is None else str(fact)


def _cut(line: str, most: int) -> str:
    """Return at most `most` octets of a line, whole characters."""
    if len(line) <= most and line.isascii():
        return line
    octets = line.encode()
    if len(octets) <= most:
        return line
    return octets[: most - 3].decode("utf-8", "ignore") + "…"
