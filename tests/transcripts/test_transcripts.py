"""Every transcript holds for the blocking and for the asyncio driver."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from ssmtp import address, config, errors, submission
from ssmtp.envelope import Envelope
from ssmtp.receipt import Receipt
from ssmtp.smtp.sasl import Credentials
from ssmtp.trace import Trace
from tests.transcripts import play

TRANSCRIPTS = list(play.all_of_them())


class Content:
    """Content as the dialogue knows it."""

    def __init__(self, header: bytes, body: bytes, eightbit: bool) -> None:
        self.header, self.body, self.eightbit = header, body, eightbit
        self.size = len(header) + len(body)

    def blocks(self) -> Iterator[bytes]:
        yield self.header
        for at in range(0, len(self.body), 65536):
            yield self.body[at : at + 65536]


class Message:
    """A message as the dialogue knows it."""

    message_id = "<1@transcript.test>"
    needs_smtputf8 = False

    def __init__(self, transcript: play.Transcript) -> None:
        self.transcript = transcript

    def render(self, smtputf8: bool, eightbitmime: bool) -> Content:
        body = self.transcript.body
        return Content(play.HEADER, body, self.transcript.eightbit)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def contexts(authority: trustme.CA) -> Callable[[str], ssl.SSLContext]:
    """The server's side of TLS, by the kind of its certificate."""
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    stranger = trustme.CA()
    between = authority.create_child_ca()
    certificates = {
        "good": lambda: authority.issue_cert("127.0.0.1", "localhost"),
        "other-name": lambda: authority.issue_cert("mail.example.org"),
        "stranger": lambda: stranger.issue_cert("127.0.0.1"),
        "expired": lambda: authority.issue_cert("127.0.0.1", not_after=now - day),
        "future": lambda: authority.issue_cert("127.0.0.1", not_before=now + day),
        "chain": lambda: between.issue_cert("127.0.0.1"),
        "tls1.2": lambda: authority.issue_cert("127.0.0.1"),
    }

    def make(kind: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificates[kind]().configure_cert(context)
        if kind == "tls1.2":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context

    return make


def run_blocking(*args: Any) -> Receipt:
    return submission.submit(*args)


def run_asyncio(*args: Any) -> Receipt:
    return asyncio.run(submission.submit_async(*args))


@pytest.mark.parametrize("driver", [run_blocking, run_asyncio])
@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda t: t.name)
def test_transcript(
    transcript: play.Transcript,
    driver: Callable[..., Receipt],
    contexts: Callable[[str], ssl.SSLContext],
    authority: trustme.CA,
    tmp_path: Path,
) -> None:
    """The client says what the transcript says, and comes to the same end."""
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    rows = [*transcript.config, f"TLS_CA_File={ca}"]
    conf = config.parse("\n".join(rows).encode(), "test.conf")
    conf.connect_timeout = transcript.seconds
    conf.command_timeout = transcript.seconds
    conf.data_timeout = transcript.seconds
    credentials = None
    if conf.auth_user:
        secret = conf.auth_pass
        assert secret is not None
        credentials = Credentials(
            conf.auth_user,
            lambda: secret,
            conf.auth_method,
            conf.use_old_auth,
            conf.allow_cleartext_auth,
        )
    path = address.make("s", "example.org", "-f")
    pairs = [name.split("@") for name in transcript.recipients]
    recipients = [address.make(local, domain, "to") for local, domain in pairs]
    envelope = Envelope(path, recipients, **transcript.envelope)
    said: list[str] = []
    hub = play.Mailhub(transcript, contexts)
    mailhub = config.Mailhub("127.0.0.1", hub.port)

    try:
        receipt = driver(
            Message(transcript),
            envelope,
            conf,
            [mailhub],
            "client.test",
            0,
            credentials,
            Trace(said.append),
        )
        outcome, words = "sent", str(receipt.reply)
    except errors.Failure as failure:
        outcome = f"{failure.exit_code} {type(failure).__name__}"
        words = failure.sentence()
    hub.finish()

    assert transcript.expect == outcome, words
    for text in transcript.says:
        assert text in words
    if transcript.never_sent:
        assert play.MARK not in hub.seen
    assert all("s3cret-word" not in line for line in [*said, words])
    assert words.isprintable()
