"""What is handed over to the agent: the message as it was read, and the words with it.

These are stand-ins for envelope, message and content of the direct road. The dialogue
says them in the same way, but nothing is repaired here and little is parsed.

    MAIL FROM:<path> XFROM=NONE     no -f was given (the path is empty then)
                     XSENDER=xtext  -f as it was given, where it is no address: the
                                    configuration says whether anybody wants one
                     XNAME=xtext    -F, in UTF-8
                     XREAD          -t: recipients also from the header; RCPT may miss
                     XNOTIFY=words  -N, for those recipients
                     XTAG=xtext     -L
                     XNOTES=xtext   what was repaired while the message was read
                     XWAIT          --wait: answer with the mailhub's verdict
"""

from __future__ import annotations

from ssmtp.errors import InputRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssmtp.intake import Intake
    from ssmtp.options import Options

ODD_MOST = 300  # characters of what is no address; the line of MAIL has its limit
RECIPIENTS_MOST = 10_000  # that an agent takes in one message (smtp.rules)

# What may stand in an address argument that needs no parser.
_PLAIN = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@.-_+="
)


def parameters(options: Options, notes: list[str], odd: str | None = None) -> str:
    """Return the private parameters of MAIL, a blank before each.

    `odd` is what the caller has given as -f, if it is no address.
    """
    words = ""
    if options.reverse_path is None:
        words += " XFROM=NONE"
    elif odd:
        words += f" XSENDER={xtext(odd)}"
    if options.full_name:
        words += f" XNAME={xtext(options.full_name)}"
    if options.read_recipients:
        words += " XREAD"
        if options.notify:
            words += f" XNOTIFY={options.notify}"
    if options.log_tag:
        words += f" XTAG={xtext(options.log_tag[:64])}"
    if notes:
        words += f" XNOTES={xtext('; '.join(notes)[:300])}"
    if options.wait:
        words += " XWAIT"
    return words


def xtext(text: str) -> str:
    """Encode any text for a parameter: UTF-8 in xtext (RFC 3461 §4)."""
    return "".join(
        chr(c) if 33 <= c <= 126 and c not in b"+=" else f"+{c:02X}"
        for c in text.encode("utf-8", "surrogateescape")
    )


class _Path:
    """An address or a bare name as the command line had it."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def path(self, utf8: bool) -> str:
        """Return what stands between the angles of MAIL and RCPT."""
        return self.text

    def __str__(self) -> str:
        return self.text


class Envelope:
    """What the command line says about sender, recipients and reports."""

    __slots__ = (
        "body",
        "envid",
        "needs_smtputf8",
        "notify",
        "odd",
        "recipients",
        "ret",
        "reverse_path",
        "wishes",
    )

    def __init__(self, options: Options) -> None:
        paths = [
            text for word in options.recipients for text in _addresses(word, False)
        ]
        if not paths and not options.read_recipients:
            from ssmtp.errors import UsageError

            raise UsageError(
                "nobody to send to: no recipient given",
                "name one as an argument, or give -t to read them from the header",
            )
        if len(paths) > RECIPIENTS_MOST and len({*paths}) > RECIPIENTS_MOST:
            raise InputRefused(
                f"there are more than {RECIPIENTS_MOST} recipients",
                "send the message in several parts",
            )
        given = (options.reverse_path or "").strip()
        try:
            sender = _addresses(given, True)
        except InputRefused:
            if len(given) > ODD_MOST:
                raise
            sender = []
        self.odd = given if not sender and given not in ("", "<>") else None
        self.reverse_path = _Path(sender[0]) if sender else None
        self.recipients = [_Path(text) for text in dict.fromkeys(paths)]
        self.needs_smtputf8 = not all(map(str.isascii, [*paths, *sender]))
        self.notify = options.notify
        self.ret = options.ret
        self.envid = options.envid
        self.body = options.body
        self.wishes = None


def _addresses(argument: str, sender: bool) -> list[str]:
    """Return the addresses in an argument, as they may be said in MAIL and RCPT.

    Raises `InputRefused` (65) for what cannot be one.
    """
    if argument and _PLAIN.issuperset(argument) and argument.count("@") < 2:
        if argument[0] != "@" and argument[-1] != "@":
            return [argument]
    if argument.strip() in ("", "<>"):
        return []
    from ssmtp import address

    where = "-f" if sender else "recipient argument"
    boxes = [address.parse_one(argument, where)] if sender else None
    found = []
    for box in boxes or address.parse_argument(argument):
        if box is None:
            continue
        if box.domain is None:
            address.make(box.local, "localhost", where)
            found.append(address.quote(box.local))
        else:
            found.append(address.make(box.local, box.domain, where).path(True))
    return found


class Message:
    """The message as it was read; the agent repairs it."""

    __slots__ = ("intake",)

    needs_smtputf8 = False  # what its header needs is the agent's business

    def __init__(self, intake: Intake) -> None:
        self.intake = intake

    @property
    def message_id(self) -> str:
        """Its Message-ID, for a sentence."""
        for line in self.intake.header.split(b"\n"):
            if line[:11].lower() == b"message-id:":
                return line[11:].strip().decode("utf-8", "backslashreplace")
        return "without Message-ID"

    def render(self, smtputf8: bool, eightbitmime: bool) -> _Content:
        """Return the content, the same for every agent."""
        return _Content(self.intake)


class _Content:
    """What follows BDAT."""

    __slots__ = ("header", "intake", "size")

    eightbit = False  # BODY says what the caller said, and nothing else

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        self.header = intake.header.replace(b"\n", b"\r\n")
        empty_line = 0 if intake.overflow else 2
        self.size = len(self.header) + empty_line + intake.body.size

    def blocks(self) -> Iterator[bytes]:
        """Yield header section and body; may be called again."""
        return self.intake.blocks()
