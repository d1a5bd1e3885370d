"""A new message from what a person has: texts, files, addresses.

What `ssmtpctl send` and `ssmtp.send` make here enters the way of a message where
standard input does, so that all the rest (identity, repair, envelope, failed store) is
as with `sendmail`. The recipients are handed on as arguments; nobody in Bcc is ever
written into the message.

    multipart/mixed
      multipart/alternative
        text/plain
        multipart/related
          text/html
          image/png       named in the page as cid:…
      application/pdf     attached
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping

from ssmtp import address, fieldform, header, intake, mime, webpage
from ssmtp.attachment import Attachment, attachment
from ssmtp.body import Body
from ssmtp.errors import InputRefused
from ssmtp.header import Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from email.headerregistry import Address
    from typing import TypeAlias

    from ssmtp.attachment import Attachable

    Mailbox: TypeAlias = str | tuple[str, str] | Address
    Mailboxes: TypeAlias = str | Address | Iterable[Mailbox] | None

# Fields that have an argument of their own, or that are ours to write.
RESERVED = frozenset({"bcc", "cc", "from", "mime-version", "reply-to", "subject", "to"})
# The charset of octets that nobody knows (RFC 1428).
UNKNOWN = "unknown-8bit"


class Draft:
    """A message that can be read once, and who is to get it.

    As a context it closes the files that were opened for it. `missing` are images that
    its page names and that do not travel with it.
    """

    def __init__(
        self,
        recipients: list[str],
        fields: list[Field],
        part: mime.Part,
        opened: contextlib.ExitStack,
        missing: list[str],
    ) -> None:
        self.recipients = recipients
        self.missing = missing
        self._fields = fields
        self._part = part
        self._opened = opened

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def blocks(self) -> Iterator[bytes]:
        """Yield the message, header section first."""
        fields = [*self._fields, Field("MIME-Version", " 1.0")]
        yield header.write([*fields, *self._part.fields])
        yield from self._part.blocks()


def compose(
    *,
    to: Mailboxes = None,
    cc: Mailboxes = None,
    bcc: Mailboxes = None,
    from_: Mailboxes = None,
    reply_to: Mailboxes = None,
    subject: str | None = None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    text: str | bytes | Iterable[bytes] | None = None,
    html: str | bytes | None = None,
    beside: str | None = None,
    attachments: Iterable[Attachable] = (),
    charset: str = UNKNOWN,
) -> Draft:
    """Put a message together; what it needs from disk is opened now and read later.

    Images of the page below the directory `beside` become part of it, and so do
    attachments that it names as `cid:NAME`. `charset` is that of texts in octets that
    are no UTF-8. Raises `InputRefused` (65) for what cannot stand in a header field
    or is no address, and `InputUnreadable` (66) for a file.
    """
    recipients: list[str] = []
    fields: list[Field] = []
    for name, given in (("From", from_), ("Reply-To", reply_to)):
        boxes = written(given, name)
        if boxes:
            fields.append(_addresses(name, boxes))
    for name, given in (("To", to), ("Cc", cc), ("Bcc", bcc)):
        boxes = written(given, name)
        recipients += _specs(boxes, name)
        if boxes and name != "Bcc":
            fields.append(_addresses(name, boxes))
    if subject is not None:
        fields.append(_text("Subject", subject))
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    fields += [_extra(name, value) for name, value in pairs]
    if isinstance(attachments, str | bytes):
        # A text is a list, too: of files with names of one letter.
        raise TypeError("attachments is a list, be it of one attachment")
    with contextlib.ExitStack() as opened:
        files: list[Attachment] = []
        opened.callback(_close, files)
        # One by one, so that those before one that is missing are closed.
        files += map(attachment, attachments)
        page = None
        if html is not None:
            page = webpage.Page(webpage.decoded(html), files, beside)
        part = _whole(text, page, charset, files, opened)
        missing = page.missing if page is not None else []
        return Draft(recipients, fields, part, opened.pop_all(), missing)


def _whole(
    text: str | bytes | Iterable[bytes] | None,
    page: webpage.Page | None,
    charset: str,
    files: list[Attachment],
    opened: contextlib.ExitStack,
) -> mime.Part:
    """Put the parts together; images of the page are among `files`, to be closed."""
    bodies = []
    inside: list[Attachment] = []
    if text is not None or page is None:
        blocks: Iterable[bytes]
        if text is None or isinstance(text, str | bytes):
            blocks = [mime.octets(text or "")]
        else:
            blocks = text
        bodies.append(mime.text(_read(blocks, opened), "plain", charset))
    if page is not None:
        inside = page.images
        root = mime.text(_read([mime.octets(page.html)], opened), "html", "utf-8")
        bodies.append(mime.multipart("related", [root, *page.parts()]))
    whole = mime.multipart("alternative", bodies)
    attached = [one.part() for one in files if one not in inside]
    return mime.multipart("mixed", [whole, *attached])


def _close(files: list[Attachment]) -> None:
    for file in files:
        file.close()


def _read(blocks: Iterable[bytes], opened: contextlib.ExitStack) -> Body:
    """Bring a text to CRLF line ends, whatever it had, and out of memory if large."""
    body = intake.from_blocks(b"X-Text:\n", blocks).body
    opened.callback(body.close)
    return body


def written(given: Mailboxes, where: str) -> list[str]:
    """Return mailboxes as a header field has them: `Ann <ann@example.org>`.

    Takes a text with commas, or a list of texts, (name, address) pairs and the
    standard library's `Address` objects, or one of these alone.
    """
    if given is None:
        return []
    alone = isinstance(given, str) or _is_object(given) or _is_pair(given)
    listed: list[object] = [given] if alone else list(given)  # type: ignore[arg-type]
    found = []
    for one in listed:
        if isinstance(one, tuple):
            name, spec = one
            shown = fieldform.phrase(mime.whole(name))
            found += [f"{shown} <{_harmless(spec, where)}>"]
        elif isinstance(one, str) or _is_object(one):
            found += [_harmless(str(one), where).strip()]
        else:
            raise TypeError(
                f"{where}: an address is a str or a (name, address) pair, not "
                f"{type(one).__name__}"
            )
    return [one for one in found if one]


def _is_object(given: object) -> bool:
    return hasattr(given, "addr_spec")  # email.headerregistry.Address


def _is_pair(given: object) -> bool:
    """Whether it is one (name, address); two addresses may stand in a tuple as well."""
    match given:
        case (str(name), str(spec)) if isinstance(given, tuple):
            return "@" in spec and "@" not in name
    return False


def _harmless(text: str, where: str) -> str:
    """Refuse what would begin a field of its own."""
    if any(c < " " or c == "\x7f" for c in text if c != "\t"):
        raise InputRefused(
            f"the {where} field would hold a line end or another control character",
            "take it out",
        )
    return text


def addresses(**given: Mailboxes) -> list[str]:
    """Return the addresses alone of all that is given, by the names of fields."""
    return [
        spec
        for name, boxes in given.items()
        for spec in _specs(written(boxes, name), name)
    ]


def _specs(boxes: list[str], where: str) -> list[str]:
    """Return the addresses alone, as arguments of sendmail have them."""
    specs = []
    for written in boxes:
        for box in address.parse_list(written, where):
            local = address.quote(box.local)
            if box.domain is not None:
                address.make(box.local, box.domain, where)
                local += f"@{box.domain}"
            specs.append(local)
    return specs


def _addresses(name: str, boxes: list[str]) -> Field:
    """Make an address field, in ASCII unless an address itself is not."""
    pieces = []
    for box in boxes:
        one = Field(name, mime.whole(box))
        try:
            one = fieldform.to_ascii(fieldform.sound(one))
        except InputRefused:
            pass  # a local part that needs SMTPUTF8: the mailhub may have it
        pieces += [f"{one.body},"]
    pieces[-1] = pieces[-1][:-1]
    return Field(name, fieldform.joined(pieces, len(name) + 1))


def _text(name: str, text: str) -> Field:
    made = mime.field(name, mime.whole(_harmless(text, name)))
    if len(name) + len(made.body) < 78:
        return made
    return made.replaced(fieldform.joined(made.value.split(" "), len(name) + 1))


def _extra(name: str, value: object) -> Field:
    key = name.lower().strip()
    if key in RESERVED or key.startswith("content-"):
        raise InputRefused(
            f"{_harmless(name, 'extra')} is not given as an extra header field",
            "there is an argument for it, or it follows from the parts",
        )
    if header.field(f"{name}:") is None:
        raise InputRefused(f"{name!a} is no name of a header field", "correct it")
    return _text(name, str(value))
