r"""The text form of a queued message: what the queue writes, appends and reads back.

One message is one file that `cat` shows, written once and then only appended to:

    ssmtp queued message 1
    id: 20261121T211409-1000-mfrggzdfmztwq2lknnwg23tpoa     also the name of the file
    time: 2026-11-21T21:14:09Z        when it was queued
    uid: 1000                         whose message it is
    login: bob
    kind: message                     or bounce, warning, notice
    octets: 000000001234              of the content
    header: 321                       of its header section, with the empty line
    smtputf8: yes                     only if an address or the header needs it
    eightbit: yes                     only if the body holds octets over 127
    message-id: <20261121211409.4af1@host>
    mailhub: [mail.example.org]:587   only if chosen for this sender; several in order
    ret: HDRS                         DSN wishes and body type, as far as given
    envid: abc
    body: 8BITMIME
    from: <bob@example.org>           <> is the null reverse-path
    to: <ann@example.org>             once for each recipient; the first is number 0
    notify: FAILURE                   of the recipient above, if given
    orcpt: rfc822;ann@example.org     the same

After an empty line follows the content in wire form: CRLF line ends, nothing stuffed.
Then comes the trailer, with the octets of the content, the CRC-32 of all above the
content, and that of the content:

    end: 000000001234 5d41402a 7f3a9c04

A file without it is no message. Below it stand the records, one to a line, each with
its own CRC-32 at the end; the part before that is `name: time details`:

    begin: 2026-11-21T21:14:10Z 1                   a try, before anything is sent
    sent: 2026-11-21T21:14:11Z 0,2-4 250 2.0.0 OK   of recipients 0, 2, 3 and 4
    next: 2026-11-21T21:19:11Z                      when to try again

`relayed`, `refused`, `expired`, `deferred`, `doubt` and `reported` are written like
`sent`. The last word on a recipient counts. `warned` tells that the sender knows of the
delay; `held` and `released`, what people wished. `failed` gives the reason for which
the file is to lie in failed/, and `requeued` begins a new life after that; `done`
stands in a file that could not be removed. A line that a crash has torn is passed over,
so are names that a later version may add. A later form that this one would misread has
another number in its first line.

Values are escaped as those of `keptfile`.
"""

from __future__ import annotations

import binascii
import time

from ssmtp.spool.keptfile import OCTETS_WIDTH, escape, seconds, unescape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

FIRST_LINE = b"ssmtp queued message 1\n"
_FAMILY = b"ssmtp queued message "
_NUMBER_END = len(_FAMILY) + 8

HEAD_LIMIT = 16 << 20
TRAILER_SIZE = len("end: ") + OCTETS_WIDTH + 2 * len(" 01234567") + 1

# What the latest word on a recipient may be. Nothing more is to be done about those
# that are closed; one that was refused or has expired still is to be told of, until it
# is `reported`. One that was `relayed` is, too, and has been `sent` then.
WAITING, DOUBT = "waiting", "doubt"
OPEN = frozenset((WAITING, "deferred", DOUBT))
OUTCOMES = frozenset(
    ("sent", "relayed", "refused", "expired", "deferred", DOUBT, "reported")
)
KINDS = frozenset(("message", "bounce", "warning", "notice"))

# Lines that may stand there more than once.
_REPEATED = frozenset(("to", "notify", "orcpt", "mailhub"))

# Most times that are written are those of the same few seconds.
_stamps: dict[int, str] = {}
_STAMPS_MOST = 64


class Damaged(ValueError):
    """A file that is no good message; the text goes on after its name."""


class Newer(ValueError):
    """A file of a later version of ssmtp, which is to be left alone."""


class Recipient:
    """One recipient, its wishes, and the latest word on it."""

    __slots__ = ("address", "notify", "orcpt", "reply", "state")

    def __init__(
        self, address: str, notify: str | None = None, orcpt: str | None = None
    ) -> None:
        self.address = address
        self.notify = notify
        self.orcpt = orcpt
        self.state = WAITING
        self.reply = ""

    @property
    def is_open(self) -> bool:
        """Whether the message still has to be sent to this one."""
        return self.state in OPEN


class Draft:
    """Everything about a message but its content; what `Queue.add` takes.

    `reverse_path` is "" when it is null. `header` is the octets of the header section
    with its empty line. `time` is in seconds since 1970; 0 means now.
    """

    __slots__ = (
        "body",
        "eightbit",
        "envid",
        "header",
        "kind",
        "login",
        "mailhubs",
        "message_id",
        "recipients",
        "ret",
        "reverse_path",
        "smtputf8",
        "time",
        "uid",
    )

    def __init__(
        self,
        uid: int,
        login: str,
        reverse_path: str,
        recipients: list[Recipient],
        *,
        header: int = 0,
        message_id: str = "",
        kind: str = "message",
        smtputf8: bool = False,
        eightbit: bool = False,
        ret: str | None = None,
        envid: str | None = None,
        body: str | None = None,
        mailhubs: Iterable[str] = (),
        time: int = 0,
    ) -> None:
        self.uid = uid
        self.login = login
        self.reverse_path = reverse_path
        self.recipients = recipients
        self.header = header
        self.message_id = message_id
        self.kind = kind
        self.smtputf8 = smtputf8
        self.eightbit = eightbit
        self.ret = ret
        self.envid = envid
        self.body = body
        self.mailhubs = list(mailhubs)
        self.time = time


class Entry(Draft):
    """A message of the queue as it was read: its draft, and what became of it so far.

    `size` is that of the file, `octets` that of the content, which begins at `offset`.
    `attempts` counts all tries, `crashed` the latest ones that ended without a word,
    `rounds` the pauses since its life began: several tries may follow each other at
    once. `put_off` is when it was said that somebody has to wait, 0 once it is known
    until when.
    `last_try` is when the latest began, `next` when to try again, 0 if nobody said so;
    `since` is the begin of its life: `time`, unless it was requeued. `failed` is why it
    lies in failed/, `done` means that it should have been removed, `begun` that nothing
    was heard since a try began, and `cleared` that it was released since a doubt.
    """

    __slots__ = (
        "attempts",
        "begun",
        "cleared",
        "content_crc",
        "crashed",
        "done",
        "failed",
        "held",
        "id",
        "last_try",
        "next",
        "octets",
        "offset",
        "put_off",
        "rounds",
        "since",
        "size",
        "warned",
    )

    def __init__(self, name: str) -> None:
        super().__init__(-1, "", "", [])
        self.id = name
        self.size = 0
        self.octets = -1
        self.offset = 0
        self.content_crc = 0
        self.attempts = 0
        self.crashed = 0
        self.rounds = 0
        self.put_off = 0.0
        self.last_try = 0
        self.next = 0.0
        self.since = 0
        self.held = False
        self.begun = False
        self.cleared = False
        self.warned = False
        self.done = False
        self.failed = ""

    @property
    def in_doubt(self) -> bool:
        """Whether the mailhub may have it, and nobody said since to send it anyhow."""
        doubts = any(one.state == DOUBT for one in self.recipients)
        return self.begun or (doubts and not self.cleared)

    @property
    def open(self) -> list[int]:
        """The numbers of the recipients to whom it still has to be sent."""
        return [at for at, one in enumerate(self.recipients) if one.is_open]


def render_head(draft: Draft, name: str, octets: int = 0) -> bytes:
    """Return all that stands above the content; its octets may be filled in later."""
    lines = [
        f"id: {name}",
        f"time: {stamp(draft.time)}",
        f"uid: {draft.uid}",
        f"login: {escape(draft.login)}",
        f"kind: {draft.kind}",
        f"octets: {octets:0{OCTETS_WIDTH}d}",
        f"header: {draft.header}",
    ]
    if draft.smtputf8:
        lines.append("smtputf8: yes")
    if draft.eightbit:
        lines.append("eightbit: yes")
    if draft.message_id:
        lines.append(f"message-id: {escape(draft.message_id)}")
    for mailhub in draft.mailhubs:
        lines.append(f"mailhub: {escape(mailhub)}")
    for key, wish in (
        ("ret", draft.ret),
        ("envid", draft.envid),
        ("body", draft.body),
    ):
        if wish is not None:
            lines.append(f"{key}: {escape(wish)}")
    lines.append(f"from: <{escape(draft.reverse_path)}>")
    for recipient in draft.recipients:
        lines.append(f"to: <{escape(recipient.address)}>")
        if recipient.notify is not None:
            lines.append(f"notify: {escape(recipient.notify)}")
        if recipient.orcpt is not None:
            lines.append(f"orcpt: {escape(recipient.orcpt)}")
    lines.append("\n")
    return FIRST_LINE + "\n".join(lines).encode("utf-8", "surrogateescape")


def octets_place(head: bytes) -> int:
    """Return where in a rendered head the digits of the octets stand."""
    return head.index(b"\noctets: ") + len(b"\noctets: ")


def render_trailer(octets: int, head_crc: int, content_crc: int) -> bytes:
    """Return the line below the content."""
    return b"end: %0*d %08x %08x\n" % (OCTETS_WIDTH, octets, head_crc, content_crc)


def check_first_line(text: bytes) -> None:
    """Raise Damaged for what is no message, Newer for one that we cannot know."""
    if not text.startswith(FIRST_LINE):
        if text.startswith(_FAMILY):
            number, end, _ = text[len(_FAMILY) : _NUMBER_END].partition(b"\n")
            if number.isdigit() and end:
                raise Newer("was written by a later version of ssmtp")
        raise Damaged("is no queued message")


def parse_head(text: bytes, name: str) -> Entry:
    """Read what stands above the content; raises Damaged."""
    entry = Entry(name)
    fields: dict[str, str] = {}
    try:
        head = text[len(FIRST_LINE) : -2].decode()
        escaped = "\\" in head
        for line in head.split("\n"):
            key, _, value = line.partition(": ")
            if escaped:
                value = unescape(value)
            if key not in _REPEATED:
                fields[key] = value
            elif key == "to":
                entry.recipients.append(Recipient(value[1:-1]))
            elif key == "mailhub":
                entry.mailhubs.append(value)
            else:
                setattr(entry.recipients[-1], key, value)
        _fill(entry, fields)
    except (ValueError, IndexError):
        raise Damaged("has a head that cannot be read") from None
    if fields.get("id", name) != name:
        raise Damaged("has the head of another message")
    whole = "from" in fields and entry.recipients
    if not whole or entry.octets < 0 or entry.header < 0:
        raise Damaged("has a head that is not whole")
    return entry


def _fill(entry: Entry, fields: dict[str, str]) -> None:
    """Put the lines that stand there once into their places; raises ValueError."""
    get = fields.get
    entry.time = entry.since = seconds(fields["time"]) if "time" in fields else 0
    entry.uid = int(get("uid", -1))
    entry.octets = int(get("octets", -1))
    entry.header = int(get("header", 0))
    entry.login = get("login", "")
    entry.kind = get("kind", "message")
    entry.message_id = get("message-id", "")
    entry.smtputf8 = get("smtputf8") == "yes"
    entry.eightbit = get("eightbit") == "yes"
    entry.ret = get("ret")
    entry.envid = get("envid")
    entry.body = get("body")
    entry.reverse_path = get("from", "")[1:-1]


def parse_trailer(line: bytes, head: bytes, entry: Entry) -> None:
    """Check head and kind by the line below the content, and learn its checksum.

    Raises Damaged or Newer.
    """
    digits = line[-9:-1]
    try:
        entry.content_crc = int(digits, 16)
    except ValueError:
        raise Damaged("is not whole") from None
    wanted = render_trailer(entry.octets, binascii.crc32(head), entry.content_crc)
    if len(line) != len(wanted):
        raise Damaged("is not whole")
    if line != wanted:
        raise Damaged("has been changed")
    if entry.kind not in KINDS:
        raise Newer("is of a kind that only a later version of ssmtp knows")


def stamp(at: float) -> str:
    """Return a time as the lines of a file have it."""
    second = int(at)
    text = _stamps.get(second)
    if text is None:
        if len(_stamps) >= _STAMPS_MOST:
            _stamps.clear()
        text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
        _stamps[second] = text
    return text
