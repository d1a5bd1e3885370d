"""An account tried out before anything is written: all of a session but the message.

The dialogue is that of every message (`smtp.dialogue`) up to MAIL, whose answer is
heard, and RSET. What comes of it is what would come of mail.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, NamedTuple

from ssmtp import accounts, address, credentials, submission
from ssmtp import config as configuration
from ssmtp.body import Body
from ssmtp.config import Config, Secret
from ssmtp.ctl import confwriter
from ssmtp.ctl.confwriter import Setting
from ssmtp.ctl.setup import draft, providers
from ssmtp.ctl.setup.discovery import Server
from ssmtp.ctl.words import _
from ssmtp.envelope import Envelope
from ssmtp.errors import (
    AuthRefused,
    Failure,
    NetworkTrouble,
    SiteTrouble,
    UnknownHost,
)
from ssmtp.message import Message
from ssmtp.options import Options
from ssmtp.smtp import phases, verdicts
from ssmtp.smtp.dialogue import Dialogue, guarded, introduce
from ssmtp.smtp.sasl import Credentials
from ssmtp.smtp.session import Session
from ssmtp.submission import Attempt
from ssmtp.trace import Trace
from ssmtp.wire import blocking
from ssmtp.wire.connect import Link

CONNECT_SECONDS = 15.0
COMMAND_SECONDS = 30.0  # a person is waiting


class Seen(NamedTuple):
    """What was found out about a mailhub that took the account."""

    mailhub: str
    tls: str | None
    verified: bool
    mechanism: str | None
    size: int
    seconds: float


class Trial(Dialogue):
    """The conversation that tries an account; with no sender, only the mailhub."""

    __slots__ = ()

    def converse(self) -> Generator[Any, Any, tuple[Session, int]]:  # type: ignore[override]
        """Greet, upgrade, authenticate, name the sender, and leave."""
        return guarded(self.session, _try(self.session))


def _try(session: Session) -> Generator[Any, Any, tuple[Session, int]]:
    offers = yield from introduce(session)
    path = session.facts.envelope.reverse_path
    if path is not None:
        utf8 = not path.is_ascii and "SMTPUTF8" in offers
        words = f"MAIL FROM:<{path.path(utf8)}>" + (" SMTPUTF8" if utf8 else "")
        reply = yield from session.ask(words, phases.MAIL)
        if not verdicts.positive(reply):
            raise verdicts.mail(session, reply)
        yield from session.ask("RSET", phases.MAIL)
    yield from session.leave()
    return session, offers.size


def account(
    text: str, path: str, sender: str, password: str | None, trace: Trace | None
) -> Seen:
    """Try what a configuration says, before it is one; raise `Failure`.

    With a `password` it counts, wherever the configuration has it from.
    """
    config = configuration.parse(text.encode("utf-8", "surrogateescape"), path)
    if password is not None:
        config.auth_pass = Secret(password)
        config.auth_pass_file = config.auth_pass_credential = None
        config.auth_pass_command = None
    local, _at, domain = sender.rpartition("@")
    envelope = Envelope(address.make(local, domain, "--from"), [])
    known = credentials.from_config(config, Options("sendmail"))
    return _run(config, envelope, known, trace)


def answers(server: Server) -> bool:
    """Tell whether a mailhub is there, with a certificate for its name."""
    settings = [Setting("mailhub", server.mailhub()), *draft.tls(server, "")]
    text = confwriter.text(settings, "")
    config = configuration.parse(text.encode(), "ssmtp.conf")
    try:
        _run(config, Envelope(None, []), None, None, seconds=5.0)
    except Failure:
        return False
    return True


def _run(
    config: Config,
    envelope: Envelope,
    known: Credentials | None,
    trace: Trace | None,
    seconds: float = CONNECT_SECONDS,
) -> Seen:
    config.connect_timeout = min(config.connect_timeout, seconds)
    config.command_timeout = min(config.command_timeout, COMMAND_SECONDS)
    name = accounts.ehlo_name(config)
    begun = time.monotonic()

    def begin(attempt: Attempt, link: Link, bare: bool, data: bool) -> Dialogue:
        message = Message([], Body(), "", [])
        facts = attempt.facts(
            link, envelope, message, name, known, bare=bare, data=data
        )
        return Trial(facts)

    road = submission.reach(config, config.mailhubs[:1], 0, trace, begin)
    channel, (session, size) = blocking.run(road)
    channel.close()
    secured = session.secured
    return Seen(
        str(config.mailhubs[0]),
        None if secured is None else str(secured),
        secured is not None and secured.verified,
        session.mechanism,
        size,
        time.monotonic() - begun,
    )


def goes_on(failure: Failure) -> bool:
    """Tell whether another port or server may do what this one did not.

    A password that was refused once is not tried elsewhere.
    """
    before = failure.phase not in ("AUTH", "MAIL")
    return before and isinstance(failure, (SiteTrouble, UnknownHost))


def advice(failure: Failure, server: Server) -> str:
    """Say what to do about a trial that failed, in terms of this command."""
    hint = providers.hint(server.provider) if server.provider else ""
    what = failure.what
    if failure.phase == "MAIL":
        return _("give --from with an address that this account may send as")
    if isinstance(failure, AuthRefused):
        if failure.reply is not None:
            return hint or _("check the password, and the user name (--user)")
        if "without verified TLS" in what:
            return _("a password goes out over TLS only: --tls implicit or starttls")
        if "does not offer AUTH" in what:
            return _("check the port, or go without a password: --user ''")
        return failure.next_step
    if isinstance(failure, UnknownHost):
        return _("check the address, or name the right server with --server")
    if "certificate" in what:
        if "is not for" in what:
            return _("give the name that the certificate has, with --server")
        return _("if it is your own, name its authority's certificate with --ca-file")
    if "STARTTLS" in what:
        return _("try --tls implicit, or another port")
    if "plain SMTP where TLS" in what or "TLS" in what:
        return _("try --tls starttls, or another port")
    if isinstance(failure, NetworkTrouble):
        return _(
            "check --server and --port; some networks let nobody out to the ports of"
            " mail"
        )
    return failure.next_step
