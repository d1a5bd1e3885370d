"""Every transcript holds for both drivers, and for the command as it is called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ssmtp import address, config, errors, submission
from ssmtp.envelope import Envelope
from ssmtp.receipt import Receipt
from ssmtp.smtp.sasl import Credentials
from ssmtp.trace import Trace
from tests.certificates import Certificates
from tests.transcripts import play, program

TRANSCRIPTS = list(play.all_of_them())
each = pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda t: t.name)


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


def run_blocking(*args: Any) -> Receipt:
    return submission.submit(*args)


def run_asyncio(*args: Any) -> Receipt:
    return asyncio.run(submission.submit_async(*args))


@pytest.mark.parametrize("driver", [run_blocking, run_asyncio])
@each
def test_driver(
    transcript: play.Transcript,
    driver: Callable[..., Receipt],
    certificates: Certificates,
) -> None:
    """The client says what the transcript says, and comes to the same end."""
    rows = program.configuration(transcript, certificates)
    said: list[str] = []
    hub = play.Mailhub(transcript, certificates.context)
    mailhub = config.Mailhub(transcript.host, hub.port)
    if transcript.host != "127.0.0.1":
        rows.append(f"Proxy=http://127.0.0.1:{hub.port}")
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
        outcome, words = "delivered", str(receipt.reply)
    except errors.Failure as failure:
        outcome = f"{failure.exit_code} {type(failure).__name__}"
        words = failure.sentence()
    hub.finish()

    assert transcript.outcome == outcome, words
    for text in transcript.said:
        assert text in words
    if transcript.never_sent:
        assert play.MARK not in hub.seen
    assert all(program.PASSWORD not in line for line in [*said, words])
    assert words.isprintable()


@each
def test_end_to_end(
    transcript: play.Transcript, certificates: Certificates, tmp_path: Path
) -> None:
    """bin/sendmail ends with that exit code, and keeps what was not delivered."""
    run = program.run(transcript, certificates, tmp_path)

    program.judge(transcript, run)
