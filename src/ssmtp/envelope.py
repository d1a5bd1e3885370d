"""The envelope: who is told when something goes wrong, and who gets the message."""

from __future__ import annotations

from ssmtp import address, message
from ssmtp.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssmtp.accounts import Identity, LocalNames
    from ssmtp.address import Address, Mailbox
    from ssmtp.config import Config
    from ssmtp.header import Field
    from ssmtp.options import Options


class Envelope:
    """What MAIL and RCPT say; a `reverse_path` of None is the null reverse-path.

    `notify`, `ret` and `envid` are wishes for delivery reports (RFC 3461), `body` is
    the body type that the caller stated. `wishes` are NOTIFY and ORCPT of each
    recipient, as RCPT had them, where they were stated one by one.
    """

    __slots__ = (
        "body",
        "envid",
        "notify",
        "recipients",
        "ret",
        "reverse_path",
        "wishes",
    )

    def __init__(
        self,
        reverse_path: Address | None,
        recipients: list[Address],
        notify: str | None = None,
        ret: str | None = None,
        envid: str | None = None,
        body: str | None = None,
    ) -> None:
        self.reverse_path = reverse_path
        self.recipients = recipients
        self.notify = notify
        self.ret = ret
        self.envid = envid
        self.body = body
        self.wishes: list[tuple[str | None, str | None]] | None = None

    @property
    def needs_smtputf8(self) -> bool:
        """Whether an address has no form in ASCII (RFC 6531)."""
        if self.reverse_path is not None and not self.reverse_path.is_ascii:
            return True
        for recipient in self.recipients:
            if not recipient.is_ascii:
                return True
        return False


def build(
    options: Options,
    fields: list[Field],
    config: Config,
    identity: Identity,
    names: LocalNames,
) -> Envelope:
    """Work out the envelope of a message; raises as the two functions below do."""
    fields = message.with_added(fields, config)
    return Envelope(
        reverse_path(options, fields, config, identity, names),
        recipients(options, fields, names),
        options.notify,
        options.ret,
        options.envid,
        options.body,
    )


def reverse_path(
    options: Options,
    fields: list[Field],
    config: Config,
    identity: Identity,
    names: LocalNames,
) -> Address | None:
    """Return the address that bounces go to; None is the null reverse-path.

    `-f ''` and `-f '<>'` count always. Otherwise, under `FromLineOverride`, `-f`
    counts before the first address of the From field, and that before the identity;
    without it the identity does whatever the message says. Raises `InputRefused` (65)
    for an address that cannot be one.
    """
    given = options.reverse_path
    if given is not None and given.strip() in ("", "<>"):
        return None
    if not config.from_line_override:
        return identity.address
    box: Mailbox | None
    if given is not None:
        box = address.parse_one(given, "-f")
        # "< >" and "()" name nobody, either.
        return None if box is None else _address(box, names, "-f")
    if not config.force_from:
        box = message.author_of(fields)
        if box is not None:
            return _address(box, names, "From")
    return identity.address


def recipients(
    options: Options, fields: list[Field], names: LocalNames
) -> list[Address]:
    """Return who gets the message, each once: the arguments, and with `-t` the header.

    Raises `UsageError` (64) when that is nobody, `InputRefused` (65) for an address
    that cannot be one.
    """
    boxes = [
        (box, "recipient argument")
        for argument in options.recipients
        for box in address.parse_argument(argument)
    ]
    if options.read_recipients:
        boxes += [(box, "header") for box in message.recipients_of(fields)]
    found: dict[Address, None] = {}
    bare: set[str] = set()
    for box, where in boxes:
        if box.domain is not None:
            found[address.make(box.local, box.domain, where)] = None
        elif box.local not in bare:
            bare.add(box.local)
            found.update(dict.fromkeys(names.recipient(box.local, where)))
    if not found:
        if options.read_recipients:
            raise UsageError(
                "nobody to send to: no recipient in To, Cc or Bcc",
                "name one in the header or as an argument",
            )
        raise UsageError(
            "nobody to send to: no recipient given",
            "name one as an argument, or give -t to read them from the header",
        )
    return list(found)


def _address(box: Mailbox, names: LocalNames, where: str) -> Address:
    if box.domain is None:
        return names.author(box.local, where)
    return address.make(box.local, box.domain, where)
