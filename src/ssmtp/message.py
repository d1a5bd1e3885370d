"""The message on its way: which header fields are added, dropped and repaired.

Rules, in the order in which they are applied:

1. Bcc and Resent-Bcc never leave this module (RFC 5322 section 3.6.3), whatever
   their case, their folds, or the blanks before their colon.
2. `AddHeader` fields join the message's own; a message that has a From, Date or
   Message-ID field keeps it.
3. There is one From field. A complete one is left alone; a missing, bare or local one
   is made from the identity, or from `-f` under `FromLineOverride`. `ForceFrom` makes
   it the identity always and shows the author's own as X-Original-From.
4. Bare names in the other address fields are completed where they stand.
5. Date, Message-ID and a destination are added when missing (section 3.6), the
   Resent-* fields that section 3.6.6 wants to stand together, and a Received field
   (RFC 5321 section 4.4) that says nothing but the host.
6. What no mailhub may see is repaired: octets that are no UTF-8, and lines over 998
   octets.

A field that needs none of this keeps every byte, its place and its case. What was
changed is said in `notes`, for the log.
"""

from __future__ import annotations

from ssmtp import address, content, header
from ssmtp.author import NAMING, Author, completed, mailbox, one_author
from ssmtp.errors import ConfigError, InputRefused
from ssmtp.header import Field
from ssmtp.stamp import Stamp, is_date

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssmtp.accounts import Identity, LocalNames
    from ssmtp.address import Mailbox
    from ssmtp.body import Body
    from ssmtp.config import Config
    from ssmtp.content import Content as Content
    from ssmtp.intake import Intake
    from ssmtp.options import Options

_SECRET = frozenset({"bcc", "resent-bcc"})
_ONCE = frozenset({"from", "date", "message-id"})
_DESTINATION = frozenset({"to", "cc"})
_NOT_IN_HOSTS = frozenset(' ()<>@,;:\\"')


class Message:
    """A repaired message; `render` gives it the form that a mailhub takes."""

    __slots__ = ("body", "fields", "message_id", "notes")

    def __init__(
        self, fields: list[Field], body: Body, message_id: str, notes: list[str]
    ) -> None:
        self.fields = fields
        self.body = body
        self.message_id = message_id
        self.notes = notes

    @property
    def needs_smtputf8(self) -> bool:
        """Whether a header field holds more than ASCII (RFC 6532)."""
        for f in self.fields:
            if not f.body.isascii():
                return True
        return False

    def render(self, smtputf8: bool, eightbitmime: bool) -> Content:
        """Return the content for a mailhub with or without these two extensions.

        Raises `InputRefused` when it cannot be written without SMTPUTF8.
        """
        return content.render(
            self.fields, self.body, smtputf8=smtputf8, eightbitmime=eightbitmime
        )


def parse(intake: Intake) -> list[Field]:
    """Cut the header section into fields.

    Raises `InputRefused` for a NUL in it, for more than 1 MiB, and for more than
    1,000 fields.
    """
    if intake.overflow or len(intake.header) > header.SECTION_MAX:
        raise InputRefused(
            "the header section is larger than 1 MiB",
            "put an empty line between the header fields and the text",
        )
    at = intake.header.find(b"\0")
    if at >= 0:
        line = intake.header[:at].rpartition(b"\n")[2]
        name = line.partition(b":")[0][:40].decode("ascii", "replace")
        raise InputRefused(
            f"there is a NUL in the header section, in or after {name!a}",
            "remove it",
        )
    fields = header.parse(intake.header)
    if len(fields) > header.FIELDS_MAX:
        raise InputRefused(
            f"there are {len(fields)} header fields, which is more than "
            f"{header.FIELDS_MAX}",
            "put an empty line between the header fields and the text",
        )
    return fields


def with_added(fields: list[Field], config: Config) -> list[Field]:
    """Put the `AddHeader` fields of the configuration before the message's own."""
    if not config.add_headers:
        return fields
    own = {f.key for f in fields}
    added = []
    for number, line in config.add_headers:
        f = header.field(line)
        if f is None:
            raise ConfigError(
                f"{config.path}: line {number}: AddHeader: no header field",
                "write it as AddHeader=Name: value",
            )
        if f.key not in _ONCE or f.key not in own:
            f.rule = f"AddHeader, line {number} of {config.path}"
            added.append(f)
    return added + fields


def recipients_of(fields: list[Field]) -> list[Mailbox]:
    """Return whom the header names as recipients, as `-t` wants.

    When there are Resent-* fields, those of the latest resending count and no others
    (RFC 5322 section 3.6.6).
    """
    latest = _latest_resending(fields)
    wanted = ("resent-to", "resent-cc", "resent-bcc") if latest else ("to", "cc", "bcc")
    return [box for f in (latest or fields) if f.key in wanted for box in f.mailboxes()]


def author_of(fields: list[Field]) -> Mailbox | None:
    """Return the first address of the From field, or None.

    Of a message that is sent on, whoever sends it on is the author. Raises
    `InputRefused` when the field cannot be read.
    """
    latest = _latest_resending(fields)
    for group, key in ((latest, "resent-from"), (fields, "from")):
        for f in group:
            if f.key == key:
                boxes = address.parse_list(f.body, f.name, phrases=True)
                if boxes and boxes[0].local:
                    return boxes[0]
    return None


def repair(
    fields: list[Field],
    body: Body,
    *,
    config: Config,
    identity: Identity,
    names: LocalNames,
    options: Options,
    now: Stamp,
    host: str = "",
) -> Message:
    """Return the message as it may be sent; the rules stand above.

    `host` is the name of this machine, for Received and Message-ID.
    Raises `InputRefused` for a line that cannot be folded, `ConfigError` for an
    `AddHeader` that is no field.
    """
    notes: list[str] = []
    host = _fit_host(host or config.hostname or names.domain)
    fields = [f for f in with_added(fields, config) if f.key not in _SECRET]
    trace = "trace information (RFC 5321 section 4.4)"
    top = [Field("Received", f" by {host}; {now.date()}", trace)]
    fields = one_author(
        fields, top, Author(config, identity, names, options, host, notes)
    )
    fields = _one_date(fields, top, now, notes)
    fields, message_id = _one_message_id(fields, top, f"<{now.unique}@{host}>", notes)
    fields = [completed(f, names, notes) if f.key in NAMING else f for f in fields]
    if config.add_headers:
        fields = _not_again(fields)
    fields = _with_destination(fields)
    fields = _with_resent_fields(fields, identity, now, host)
    fields = [f if f.plain else _fit(f, notes) for f in top + fields]
    return Message(fields, body, message_id, notes)


def _not_again(fields: list[Field]) -> list[Field]:
    """Drop the `AddHeader` fields that are there in the form that they have now.

    A message that was kept comes here once more on its way to the agent.
    """
    own = {(f.key, f.body.strip()) for f in fields if f.rule[:9] != "AddHeader"}
    return [
        f
        for f in fields
        if f.rule[:9] != "AddHeader" or (f.key, f.body.strip()) not in own
    ]


def _fit(f: Field, notes: list[str]) -> Field:
    """Return the field in a form that every mailhub takes."""
    from ssmtp import fieldform

    fit = fieldform.fit(fieldform.sound(f))
    if fit is not f:
        notes.append(f"{f.name}: {fit.rule.rpartition('; ')[2]}")
    return fit


def restore(intake: Intake) -> Message:
    """Take a message that was repaired before, as it was kept."""
    fields = parse(intake)
    message_id = next((f.value for f in fields if f.key == "message-id"), "")
    return Message(fields, intake.body, message_id, [])


def _fit_host(host: str) -> str:
    """Return a host name that may stand in a header field."""
    if 0 < len(host) < 256 and host.isascii() and host.isprintable():
        if _NOT_IN_HOSTS.isdisjoint(host):
            return host
    return "localhost"


def _one_date(
    fields: list[Field], top: list[Field], now: Stamp, notes: list[str]
) -> list[Field]:
    out: list[Field] = []
    found = False
    for f in fields:
        if f.key != "date":
            out.append(f)
        elif not found and is_date(f.value):
            found = True
            out.append(f)
        elif f.value:
            notes.append("a Date field that is not wanted renamed X-Original-Date")
            why = "there is one Date field, and it is a date (RFC 5322 section 3.6.1)"
            out.append(f.renamed("X-Original-Date", why))
    if not found:
        why = "there was no Date field (RFC 5322 section 3.6.1)"
        top.append(Field("Date", f" {now.date()}", why))
    return out


def _one_message_id(
    fields: list[Field], top: list[Field], made: str, notes: list[str]
) -> tuple[list[Field], str]:
    out: list[Field] = []
    found = ""
    for f in fields:
        if f.key != "message-id":
            out.append(f)
        elif not found and f.value:
            found = f.value
            out.append(f)
        elif f.value:
            notes.append("a second Message-ID field dropped")
    if not found:
        found = made
        why = "there was no Message-ID field (RFC 5322 section 3.6.4)"
        top.append(Field("Message-ID", f" {made}", why))
    return out, found


def _with_destination(fields: list[Field]) -> list[Field]:
    """Drop empty destination fields, and say so when there is none."""
    fields = [f for f in fields if f.key not in _DESTINATION or f.value]
    for f in fields:
        if f.key in _DESTINATION:
            return fields
    # The appendix shows this form.
    why = "there was no To or Cc field (RFC 5322 appendix A.1.3)"
    return [*fields, Field("To", " undisclosed-recipients:;", why)]


def _latest_resending(fields: list[Field]) -> list[Field]:
    """Return the Resent-* fields of the latest resending.

    RFC 5322 section 3.6.6: each resending puts its own set on top of those before. A
    trace field between, or the same Resent-Date or Resent-From once more, begins an
    earlier one.
    """
    latest: list[Field] = []
    seen = set()
    for f in fields:
        if f.key.startswith("resent-"):
            if f.key in seen and f.key in ("resent-date", "resent-from"):
                break
            seen.add(f.key)
            latest.append(f)
        elif latest and f.key in ("received", "return-path"):
            break
    return latest


def _with_resent_fields(
    fields: list[Field], identity: Identity, now: Stamp, host: str
) -> list[Field]:
    """Add what a resent message must have: Resent-Date, Resent-From, and an id."""
    latest = _latest_resending(fields)
    if not latest:
        return fields
    there = {f.key for f in latest if f.value}
    whole = {
        "Resent-From": mailbox(identity.full_name, identity.address),
        "Resent-Date": now.date(),
        "Resent-Message-ID": f"<{now.unique}.resent@{host}>",
    }
    why = "Resent fields stand together (RFC 5322 section 3.6.6)"
    new = [
        Field(name, f" {text}", why)
        for name, text in whole.items()
        if name.lower() not in there
    ]
    empty = {id(f) for f in latest if not f.value}
    at = next(i for i, f in enumerate(fields) if f is latest[0])
    return [
        *fields[:at],
        *new,
        *(f for f in fields[at:] if id(f) not in empty),
    ]
