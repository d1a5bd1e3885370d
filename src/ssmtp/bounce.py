"""Reports about messages that did not arrive, for those who sent them (RFC 3464).

Pure: the facts are handed in, the content of a message comes out, ready for the queue.
It says in words what happened, once more for programs, and shows the header section of
the message that it is about (all of it for RET=FULL).
"""

from __future__ import annotations

import io
from email.generator import BytesGenerator
from email.message import Message
from email.policy import compat32

from ssmtp.address import to_ascii
from ssmtp.errors import InputRefused
from ssmtp.smtp.reply import escaped
from ssmtp.stamp import Stamp

FULL_MOST = 1 << 20  # octets; of a larger message only the header is sent back
# Octets of what others said; with a name before it, it fits on a line of 998
# (RFC 5322 section 2.1.1), however many of them a letter has.
SAID_MOST = 900
FAILED, DELAYED, RELAYED = "failed", "delayed", "relayed"

_SUBJECTS = {
    FAILED: "Your mail could not be delivered",
    DELAYED: "Your mail is delayed",
    RELAYED: "Your mail was handed on",
}
_FIRST = {
    FAILED: "Your message could not be delivered to:",
    DELAYED: "Your message has not been delivered yet to:",
    RELAYED: "Your message, of which you wish to hear, was handed on for:",
}
# How the part for programs begins, and how if it is more than ASCII (RFC 6533
# section 4); the generator knows the first form alone.
_ASCII_FACTS = b"\r\nContent-Type: message/delivery-status\r\n"
_FACTS = (
    b"\r\nContent-Type: message/global-delivery-status\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n"
)
# Classes of status codes, the usual one last (RFC 3463 section 2).
_CLASSES = {FAILED: ("4", "5"), DELAYED: ("4",), RELAYED: ("2",)}


class Victim:
    """A recipient to be told of: address, ORCPT, and what the mailhub said."""

    __slots__ = ("address", "orcpt", "reply")

    def __init__(self, address: str, orcpt: str | None, reply: str) -> None:
        self.address = address
        self.orcpt = orcpt
        self.reply = reply


class Original:
    """The message that a report is about; `content` is None unless it is sent back."""

    __slots__ = ("arrived", "content", "envid", "header", "message_id")

    def __init__(
        self,
        message_id: str,
        arrived: Stamp,
        header: bytes,
        content: bytes | None = None,
        envid: str | None = None,
    ) -> None:
        self.message_id = message_id
        self.arrived = arrived
        self.header = header
        self.content = content
        self.envid = envid


def report(
    action: str,
    victims: list[Victim],
    original: Original,
    *,
    to: str,
    host: str,
    domain: str,
    hub: str,
    now: Stamp,
    tried: Stamp,
    until: Stamp | None = None,
) -> bytes:
    """Return the content of a report, with CRLF line ends.

    `action` is FAILED, RELAYED, or DELAYED, and then it is tried `until`; `tried` is
    when it was tried last. `host` is the name of this machine, `domain` that of the
    addresses that belong to it.
    """
    made = _outer(_SUBJECTS[action], to=to, domain=domain, host=host, now=now)
    made["Auto-Submitted"] = "auto-replied"
    answered = escaped(original.message_id)
    if answered and answered == _said(answered):
        made["In-Reply-To"] = made["References"] = answered
    made["Content-Type"] = (
        f'multipart/report; report-type=delivery-status; boundary="={now.unique}="'
    )
    made.attach(_part("text/plain", _words(action, victims, original, hub, until)))
    status = Message()
    status["Content-Type"] = "message/delivery-status"
    groups = _machine(action, victims, original, host, hub, tried, until)
    for group in groups:
        status.attach(group)
    made.attach(status)
    kind = "text/rfc822-headers" if original.content is None else "message/rfc822"
    shown = original.header if original.content is None else original.content
    # The generator would not leave every octet as it is.
    place = f"{now.unique}+"
    part = _part(kind, place)
    if not shown.isascii():
        part["Content-Transfer-Encoding"] = "8bit"
    made.attach(part)
    text = _flat(made)
    facts = [text for group in groups for _, text in group.raw_items()]
    if not all(map(str.isascii, facts)):
        text = text.replace(_ASCII_FACTS, _FACTS)
    return text.replace(place.encode(), shown)


def notice(
    subject: str, text: str, *, to: str, host: str, domain: str, now: Stamp
) -> bytes:
    """Return the content of a message from the agent to its administrator."""
    text = "\n".join(map(_said, text.split("\n")))
    made = _outer(subject, to=to, domain=domain, host=host, now=now)
    made["Auto-Submitted"] = "auto-generated"
    made["Content-Type"] = "text/plain; charset=utf-8"
    if not text.isascii():
        made["Content-Transfer-Encoding"] = "8bit"
    made.set_payload(text.encode().decode("ascii", "surrogateescape"))
    return _flat(made)


def message_id(host: str, now: Stamp) -> str:
    """Return the Message-ID of what is made at this time."""
    return f"<{now.unique}@{_ascii(host)}>"


def _outer(subject: str, *, to: str, domain: str, host: str, now: Stamp) -> Message:
    made = Message()
    made["Date"] = now.date()
    made["From"] = f"Mail delivery <MAILER-DAEMON@{_ascii(domain)}>"
    made["To"] = _header_text(f"<{to}>")
    made["Subject"] = subject
    made["Message-ID"] = message_id(host, now)
    made["MIME-Version"] = "1.0"
    return made


def _ascii(domain: str) -> str:
    try:
        return to_ascii(domain, "the domain")
    except InputRefused:
        return "localhost"


def _header_text(text: str) -> str:
    # UTF-8 in a header field (RFC 6532), as the octets that it is.
    return escaped(text).encode().decode("ascii", "surrogateescape")


def _part(kind: str, text: str) -> Message:
    part = Message()
    charset = "" if kind.startswith("message/") else "; charset=utf-8"
    part["Content-Type"] = kind + charset
    if not text.isascii():
        part["Content-Transfer-Encoding"] = "8bit"
    part.set_payload(text)
    return part


def _flat(made: Message) -> bytes:
    out = io.BytesIO()
    policy = compat32.clone(linesep="\r\n", max_line_length=0)
    BytesGenerator(out, mangle_from_=False, policy=policy).flatten(made)
    text = out.getvalue()
    return text if text.endswith(b"\r\n") else text + b"\r\n"


def _words(
    action: str,
    victims: list[Victim],
    original: Original,
    hub: str,
    until: Stamp | None,
) -> str:
    lines = []
    lines.append(_FIRST[action])
    for victim in victims:
        lines += ["", f"  <{victim.address}>", f"    {_said(victim.reply)}"]
    lines.append("")
    if any(_is_reply(victim.reply) for victim in victims):
        lines.append(f"Words that begin with three digits are those of {hub}.")
    if action == RELAYED:
        lines.append("It does not confirm deliveries: you hear no more if all is well.")
    if until is not None:
        lines.append(f"It is tried again until {until.date()}; nothing has to be done.")
    lines.append(f"The message was given to this machine on {original.arrived.date()}.")
    if original.message_id:
        lines.append(f"Its Message-ID is {_said(original.message_id)}")
    text = "\n".join(lines) + "\n"
    return text.encode("utf-8", "replace").decode("ascii", "surrogateescape")


def _machine(
    action: str,
    victims: list[Victim],
    original: Original,
    host: str,
    hub: str,
    tried: Stamp,
    until: Stamp | None,
) -> list[Message]:
    """Return the groups of fields for programs (RFC 3464 section 2)."""
    first = Message()
    first["Reporting-MTA"] = f"dns; {_ascii(host)}"
    if original.envid:
        first["Original-Envelope-Id"] = _header_text(original.envid)
    first["Arrival-Date"] = original.arrived.date()
    groups = [first]
    for victim in victims:
        group = Message()
        if victim.orcpt:
            group["Original-Recipient"] = _header_text(_decoded(victim.orcpt))
        kind = "rfc822" if victim.address.isascii() else "utf-8"
        group["Final-Recipient"] = f"{kind}; {_header_text(victim.address)}"
        group["Action"] = action
        group["Status"] = _status(victim.reply, action)
        said = _said(victim.reply)
        if _is_reply(said):
            name = _mta(hub)
            if name:
                group["Remote-MTA"] = f"dns; {name}"
            if victim.address.isascii():
                said = said.encode("ascii", "replace").decode()
            group["Diagnostic-Code"] = f"smtp; {_header_text(said)}"
        group["Last-Attempt-Date"] = tried.date()
        if until is not None:
            group["Will-Retry-Until"] = until.date()
        groups.append(group)
    return groups


def _said(text: str) -> str:
    """Return what somebody else said, harmless and not too long for a line."""
    text = escaped(text)
    octets = text.encode()
    if len(octets) <= SAID_MOST:
        return text
    return octets[:SAID_MOST].decode("utf-8", "ignore") + "…"


def _is_reply(text: str) -> bool:
    """Tell what a mailhub said from words of ours, which may begin with its address."""
    return text[:3].isdigit() and text[3:4] in ("", " ")


def _mta(hub: str) -> str:
    """Return the name that DNS has of a mailhub, or its address as a literal.

    RFC 3464 section 2.1.2, RFC 5321 section 4.1.3; a socket of this machine has none.
    """
    if hub.startswith("unix:"):
        return ""
    name = hub.rpartition(":")[0] or hub
    address = name.strip("[]").partition("%")[0]
    if ":" in address:
        return f"[IPv6:{address}]"
    if address.replace(".", "").isdigit():
        return f"[{address}]"
    return _ascii(name)


def _status(reply: str, action: str) -> str:
    """Return the enhanced status code (RFC 3463) of a reply as it was noted.

    It is one that fits the action.
    """
    code = reply[:3]
    word = reply[4:].partition(" ")[0]
    parts = word.split(".")
    classes = _CLASSES[action]
    if len(parts) == 3 and all(p.isascii() and p.isdigit() for p in parts):
        if parts[0] in classes:
            return word
    known = code.isdigit() and code[0] in classes
    return f"{code[0] if known else classes[-1]}.0.0"


def _decoded(orcpt: str) -> str:
    """Undo xtext (RFC 3461 section 4)."""
    first, *rest = orcpt.split("+")
    out = first
    for piece in rest:
        try:
            out += chr(int(piece[:2], 16)) + piece[2:]
        except ValueError:
            out += f"+{piece}"
    return out
