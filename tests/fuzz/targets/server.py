"""A local client that says anything to -bs: clean replies, and an end."""

from __future__ import annotations

from ssmtp.smtp.events import (
    Abandoned,
    Begin,
    Content,
    End,
    Recipient,
    Sender,
    StartTls,
)
from ssmtp.smtp.rules import Rules
from ssmtp.smtp.server import Session
from tests.fuzz import reference
from tests.fuzz.choices import Choices


def run(data: bytes) -> None:
    """Let a client say the octets, in pieces."""
    choices = Choices(data)
    lenient = bool(choices.pick(2))
    tls = bool(choices.pick(2))
    users = {"user": "password"} if choices.pick(2) else {}
    session = Session(
        Rules(
            "hub.test",
            lenient=lenient,
            bare_names=lenient,
            starttls=tls,
            users=users,
            auth_in_clear=bool(choices.pick(2)),
            size_limit=1000,
        )
    )
    verdict = (250, 451, 554)[choices.pick(3)]
    said = bytearray()
    for piece in [*choices.rest_in_pieces(6), b""]:
        session.receive(piece)
        _events(session, said, verdict)
    assert session.closed
    codes, more = reference.replies(bytes(said))
    assert not more
    assert codes[0] == 220
    assert said.isascii()


def _events(session: Session, said: bytearray, verdict: int) -> None:
    while (event := session.next_event()) is not None:
        said += session.output()
        if isinstance(event, End):
            assert session.transaction is not None
            assert session.transaction.recipients
            session.answer(verdict, None, "done")
        elif isinstance(event, StartTls):
            session.tls_started()
        else:
            assert isinstance(event, Abandoned | Begin | Content | Recipient | Sender)
    said += session.output()
