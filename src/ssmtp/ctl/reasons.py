"""Why a message would go out as it would: the reasons, gathered station by station.

It walks the direct road up to the mailhub, and compares what was read with what would
be written. The reasons are those that the stations themselves left in the fields; here
they are only collected.
"""

from __future__ import annotations

import collections
from typing import Any

from ssmtp import address, credentials, delivery, direct, handoff
from ssmtp import message as messages
from ssmtp.config import Config, Mailhub, tls_mode
from ssmtp.ctl.words import _, marked
from ssmtp.direct import Account, Site
from ssmtp.errors import InputRefused
from ssmtp.header import Field
from ssmtp.intake import Intake
from ssmtp.message import Message
from ssmtp.options import Options

PASSWORDS = (
    ("AuthPass", "auth_pass"),
    ("AuthPassFile", "auth_pass_file"),
    ("AuthPassCommand", "auth_pass_command"),
    ("AuthPassCredential", "auth_pass_credential"),
)


# What mailhubs may offer, the most of them first.
OFFERS = ("SMTPUTF8 8BITMIME", "8BITMIME", "")


def explained(request: delivery.Request, taken: Intake) -> dict[str, Any]:
    """Return all there is to tell; raises `Failure` where sendmail would."""
    path = direct.config_path(request)
    site = direct.site(path)
    account = direct.account_of(site, request.caller)
    asked, config = request.options, site.config
    before = messages.parse(taken)
    envelope, message = direct.prepare(account, asked, taken)
    credentials.from_config(config, asked, account.identity.mailhubs)
    agent = handoff.road(request)
    whose = _identity(site, request.caller.login)
    reverse = envelope.reverse_path
    return {
        "configuration": path,
        "notes": config.notes,
        "agent": agent.path if agent is not None else None,
        "from": "" if reverse is None else str(reverse),
        "from_rule": _sender_rule(asked, config, before, whose),
        "to": _recipients(asked, before, account),
        "mailhubs": _mailhubs(site, account, asked, request.caller.login),
        "header": changes(before, message.fields),
        "input": taken.notes,
        "log": [*taken.notes, *message.notes],
        "content": _content(message),
    }


def _identity(site: Site, login: str) -> str:
    for line in reversed(site.revaliases):
        if line.login == login and line.address:
            return _("your own address: {path}, line {line}").format(
                path=line.path, line=line.line
            )
    return _("your own address: the login name")


def _sender_rule(
    asked: Options, config: Config, fields: list[Field], whose: str
) -> str:
    """Say why the reverse-path is what it is; the order is that of `envelope`."""
    given = asked.reverse_path
    if given is not None and given.strip() in ("", "<>"):
        return _("-f asks for the null reverse-path")
    if not config.from_line_override:
        return _("{why} (FromLineOverride is not set)").format(why=whose)
    if given is not None:
        return _("-f, which counts because of FromLineOverride")
    if not config.force_from and messages.author_of(fields) is not None:
        return _("the first author of the message, because of FromLineOverride")
    return whose


def _recipients(
    asked: Options, fields: list[Field], account: Account
) -> list[dict[str, str]]:
    """Return every recipient once, with where it comes from."""
    boxes = [
        (box, marked("an argument"))
        for argument in asked.recipients
        for box in address.parse_argument(argument)
    ]
    if asked.read_recipients:
        fields = messages.with_added(fields, account.config)
        boxes += [(box, marked("the header")) for box in messages.recipients_of(fields)]
    found: dict[address.Address, str] = {}
    for box, where in boxes:
        rule = _(where)
        if box.domain is None:
            rule = _("{name} in {place}: {rule}").format(
                name=box.local, place=_(where), rule=_(account.names.rule(box.local))
            )
        for one in account.names.resolve(box, where):
            found.setdefault(one, rule)
    return [{"address": str(one), "rule": rule} for one, rule in found.items()]


def _mailhubs(
    site: Site, account: Account, asked: Options, login: str
) -> list[dict[str, str]]:
    config, hubs = site.config, account.identity.mailhubs
    where = _("Mailhub in {path}").format(path=config.path)
    if hubs is not config.mailhubs:
        line = [r for r in site.revaliases if r.login == login and r.mailhub][-1]
        where = _("{path}, line {line}").format(path=line.path, line=line.line)
    fallback = _("{where}: a fallback").format(where=where)
    return [
        {
            "mailhub": str(hub),
            "rule": where if hub is hubs[0] else fallback,
            "tls": tls_mode(config, hub),
            "tls_rule": _tls_rule(config, hub),
            "auth": _auth(config, asked),
        }
        for hub in hubs
    ]


def _tls_rule(config: Config, hub: Mailhub) -> str:
    """Say why TLS is as it is; the order is that of `config.tls_mode`."""
    if hub.path is not None:
        return _("a Unix socket")
    port = _("port {port}").format(port=hub.port)
    if config.use_starttls:
        on_465 = _("UseSTARTTLS on port 465")
        return on_465 if hub.port == 465 else "UseSTARTTLS"
    if config.use_tls is not None:
        return f"UseTLS={'yes' if config.use_tls else 'no'}"
    if hub.port == 465:
        return port
    if config.use_starttls is not None:
        return "UseSTARTTLS=no"
    if hub.port == 587:
        return port
    return "TLSFingerprint" if config.tls_fingerprints else port


def _auth(config: Config, asked: Options) -> str:
    user = asked.auth_user if asked.auth_user is not None else config.auth_user
    if not user:
        return _("none")
    given = asked.auth_pass is not None
    sources = [name for name, attribute in PASSWORDS if getattr(config, attribute)]
    return _("as {user}, password from {source}").format(
        user=user, source="-ap" if given else ", ".join(sources)
    )


def changes(before: list[Field], after: list[Field]) -> list[dict[str, str]]:
    """Return what is done to the header section, in the order of the result.

    A field that keeps every octet is not listed.
    """
    told = []
    left = collections.Counter((f.name, f.body) for f in before)
    for f in after:
        root = f.origin or f
        if not root.rule:  # it was in the message that was read
            left[root.name, root.body] -= 1
        if f.rule:
            kind = "added" if root.rule else "changed"
            old = "" if root.rule else _written(root)
            told.append(_change(kind, old, _written(f), f.rule))
    for name, body in left.elements():
        f = Field(name, body)
        told.append(_change("removed", _written(f), "", _removal(f)))
    return told


def _change(kind: str, before: str, after: str, rule: str) -> dict[str, str]:
    return {"change": kind, "before": before, "after": after, "rule": rule}


def _written(f: Field) -> str:
    text = f"{f.name}: {f.value}".encode("utf-8", "surrogateescape")
    return text.decode("utf-8", "backslashreplace")


def _removal(f: Field) -> str:
    if f.key in ("bcc", "resent-bcc"):
        return _("nobody gets to see it (RFC 5322 section 3.6.3)")
    if not f.value:
        return _("an empty field says nothing")
    return _("there is one such field (RFC 5322 section 3.6)")


def _content(message: Message) -> list[dict[str, Any]]:
    """Return in which form mailhubs get the message, by what they offer."""
    told: list[dict[str, Any]] = []
    for offers in OFFERS:
        try:
            content = message.render("SMTPUTF8" in offers, "8BITMIME" in offers)
        except InputRefused as refused:
            told.append({"offers": offers, "size": None, "notes": [refused.what]})
        else:
            told.append(
                {"offers": offers, "size": content.size, "notes": content.notes}
            )
    return told
