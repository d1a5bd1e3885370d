"""Who wrote the message: the From field, and names that lack their domain.

There is one From field, with an address in it that a mailhub accepts. A complete one
is left alone; a missing, bare or local one is made from the identity, or from `-f`
under `FromLineOverride`. `ForceFrom` makes it the identity always and shows the
author's own as X-Original-From. A display name is kept whatever happens to the
address behind it.
"""

from __future__ import annotations

from ssmtp import address
from ssmtp.errors import InputRefused
from ssmtp.header import Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssmtp.accounts import Identity, LocalNames
    from ssmtp.address import Address
    from ssmtp.addresslist import Mailbox
    from ssmtp.config import Config
    from ssmtp.options import Options

_AUTHORS = frozenset({"from", "sender", "resent-from", "resent-sender"})
# The fields whose names are completed.
NAMING = frozenset(
    {
        "from",
        "to",
        "cc",
        "reply-to",
        "sender",
        "resent-from",
        "resent-sender",
        "resent-reply-to",
        "resent-to",
        "resent-cc",
    }
)
# Lists of bare names mostly, and lists of any kind, that are worth another road.
_LONG = 512
_LONGEST = 1 << 17
_LOCAL_DOMAINS = frozenset({"localhost", "localhost.localdomain"})


class Author:
    """All that decides what the From field becomes."""

    __slots__ = ("config", "host", "identity", "names", "notes", "options")

    def __init__(
        self,
        config: Config,
        identity: Identity,
        names: LocalNames,
        options: Options,
        host: str,
        notes: list[str],
    ) -> None:
        self.config = config
        self.identity = identity
        self.names = names
        self.options = options
        self.host = host
        self.notes = notes

    def made(self, name: str, why: str) -> Field:
        """Make a From field of the identity, or of `-f` where that may override."""
        who, whose = self.identity.address, "the caller's own address"
        full_name = self.options.full_name
        if self.config.from_line_override and not self.config.force_from:
            text = self.options.reverse_path
            box = address.parse_one(text, "-f") if text else None
            if box is not None:
                who, whose = _made(box, self.names, "-f"), "the address of -f"
                name = name or (full_name or "") or box.name
        if not name:
            name = self.identity.full_name if full_name is None else full_name
        return Field("From", f" {mailbox(name, who)}", f"{why}: {whose}")

    def is_local(self, box: Mailbox) -> bool:
        """Whether the address means nothing to anyone but this host."""
        if box.domain is None:
            return True
        domain = box.domain.lower()
        return domain in _LOCAL_DOMAINS or (
            "." not in domain
            and domain == self.host.lower().partition(".")[0]
            and domain != self.names.domain.lower()
        )


def mailbox(name: str, who: Address) -> str:
    """Write a mailbox for a header field (RFC 5322 section 3.4)."""
    from ssmtp import fieldform

    written = fieldform.phrase(name)
    if written == '""':
        return str(who)
    return fieldform.folded(f"{written} <{who}>", len("Resent-From: "))


def _made(box: Mailbox, names: LocalNames, where: str) -> Address:
    if box.domain is None:
        return names.author(box.local, where)
    return address.make(box.local, box.domain, where)


def one_author(fields: list[Field], top: list[Field], author: Author) -> list[Field]:
    """See to it that there is one From field, with an address in it."""
    out: list[Field] = []
    found = False
    for f in fields:
        if f.key != "from":
            out.append(f)
        elif found:
            author.notes.append("a second From field renamed X-Original-From")
            out.append(f.renamed("X-Original-From", "there is one From field"))
        else:
            found = True
            out += _repaired(f, author)
    if not found:
        top.append(author.made("", "there was no From field (RFC 5322 section 3.6.2)"))
    return out


def _repaired(f: Field, author: Author) -> list[Field]:
    try:
        boxes = address.parse_list(f.body, f.name, phrases=True)
    except InputRefused:
        author.notes.append("a From field that cannot be read renamed X-Original-From")
        return [author.made("", "the From field cannot be read"), _original(f)]
    name = boxes[0].name if boxes else ""
    config = author.config
    if config.force_from:
        if len(boxes) == 1 and boxes[0].domain is not None:
            try:
                who = address.make(boxes[0].local, boxes[0].domain, f.name)
            except InputRefused:
                who = None
            if who == author.identity.address:
                return [f]
        made = author.made(name, "ForceFrom is on")
        return [made, _original(f)] if f.value else [_instead(f, made)]
    boxes = [b for b in boxes if b.local]
    if not boxes or (
        not config.from_line_override and all(author.is_local(b) for b in boxes)
    ):
        return [
            _instead(f, author.made(name, "no address of it means anything elsewhere"))
        ]
    done = completed(f, author.names, author.notes)
    if done is f and any(b.domain is None for b in boxes):
        return [author.made(name, "a name in it is no address"), _original(f)]
    return [done]


def _original(f: Field) -> Field:
    return f.renamed("X-Original-From", "what the author wrote stays visible")


def _instead(f: Field, made: Field) -> Field:
    made.origin = f
    return made


def completed(f: Field, names: LocalNames, notes: list[str]) -> Field:
    """Return a field of `NAMING` with its names completed, and what was open closed."""
    try:
        text = _long_completed(f, names) if len(f.body) > _LONG else None
        if text is None:
            text = _with_completions(f, f.body, f.mailboxes(), names)
    except InputRefused as refused:
        notes.append(f"left as it is: {refused.what}")
        return f
    if text == f.body:
        return f
    return f.replaced(text, "names without a domain completed")


def _long_completed(f: Field, names: LocalNames) -> str | None:
    """Complete the members of a long list, each of them once; None if that fails."""
    if len(f.body) < _LONGEST and 2 * f.body.count("@") >= f.body.count(","):
        return None
    from ssmtp import longlist  # few messages have one

    def complete(member: str) -> str:
        boxes = address.parse_list(member, f.name)
        return _with_completions(f, member, boxes, names)

    return longlist.completed(f.body, f.name, names, complete)


def _with_completions(
    f: Field, text: str, boxes: list[Mailbox], names: LocalNames
) -> str:
    out: list[str] = []
    at = 0
    for box in boxes:
        if box.domain is None:
            new = _completion(f, text, box, names)
            out += (text[at : box.start], new, box.closing)
            at = box.end
        elif box.closing:
            out += (text[at : box.end], box.closing)
            at = box.end
    if not out:
        return text
    out.append(text[at:])
    return "".join(out)


def _completion(f: Field, text: str, box: Mailbox, names: LocalNames) -> str:
    if f.key in _AUTHORS:
        return str(names.author(box.local, f.name))
    found = names.recipient(box.local, f.name)
    # One name may be an alias of several people, and stand within angles.
    if len(found) == 1:
        return str(found[0])
    at = box.start - 1
    while at >= 0 and text[at] in " \t\n":
        at -= 1
    return (">, <" if at >= 0 and text[at] == "<" else ", ").join(map(str, found))
