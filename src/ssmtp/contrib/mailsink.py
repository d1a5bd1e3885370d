"""A pytest fixture: a mailhub on this machine that keeps what tests send to it.

    def test_welcome(mailsink):
        sign_up("ann@example.org", smtp=(mailsink.host, mailsink.port))

        [mail] = mailsink.wait()
        assert "Welcome" == mail["Subject"]

pytest finds it by its entry point. Nothing is imported, and no port opened, before a
test asks for it.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage

    from ssmtp.ctl.mailhub import Received, Verdict

STAGES = ("connection", "sender", "recipient", "content")
SECONDS = 10.0


class Mail:
    """A message that was accepted: its envelope, and its octets as they came."""

    def __init__(self, received: Received) -> None:
        received.content.seek(0)
        self.sender = received.sender.text
        self.recipients = [path.text for path in received.recipients]
        self.octets = received.content.read()
        self.tls = received.tls
        self.user = received.user

    @property
    def message(self) -> EmailMessage:
        """The message as the standard library reads it."""
        from email import message_from_bytes, policy

        return message_from_bytes(self.octets, policy=policy.default)

    @property
    def text(self) -> str:
        """The text of the message in LF form, without the line ends at its end."""
        body = self.message.get_body(("plain", "html"))
        text = "" if body is None else str(body.get_content())
        return text.replace("\r\n", "\n").rstrip("\n")

    def __getitem__(self, name: str) -> str | None:
        value = self.message[name]
        return None if value is None else str(value)

    def __repr__(self) -> str:
        return f"<Mail {self['Subject']!r} to {', '.join(self.recipients)}>"


class Sink:
    """A mailhub in clear on a free port of the loopback interface.

    `messages` are those that it has accepted. `config` is an `ssmtp.conf` that leads
    here, `url` the same for other libraries.
    """

    def __init__(self, directory: Path) -> None:
        from ssmtp.ctl.mailhub import Mailhub

        self.messages: list[Mail] = []
        self._refusals: list[_Refusal] = []
        self._changed = threading.Condition()
        self._hub = Mailhub(self._take, judge=self._judge)
        self.host, self.port = self._hub.host, self._hub.port
        self.url = f"smtp://{self.host}:{self.port}"
        self.config = directory / "mailsink.conf"
        self.config.write_text(f"mailhub={self.host}:{self.port}\n")
        self._hub.start()

    def close(self) -> None:
        """Stop listening."""
        self._hub.close()

    def wait(self, count: int = 1, seconds: float = SECONDS) -> list[Mail]:
        """Return the messages as soon as there are `count`; else raise TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.messages) >= count, seconds):
                raise TimeoutError(
                    f"{len(self.messages)} of {count} messages within {seconds:g} s: "
                    f"{self.messages}"
                )
            return list(self.messages)

    def refuse(
        self, stage: str, reply: str, address: str = "", times: int | None = None
    ) -> None:
        """Say no from now on, `times` times: `refuse("recipient", "550 5.1.1 who?")`.

        The stage is connection, sender, recipient or content. With an `address` only
        senders or recipients with that text in theirs are refused.
        """
        if stage not in STAGES:
            raise ValueError(f"a stage is one of {', '.join(STAGES)}, not {stage}")
        self._refusals.append(_Refusal(stage, _verdict(reply), address, times))

    def clear(self) -> None:
        """Forget messages and refusals."""
        with self._changed:
            self.messages.clear()
            self._refusals.clear()

    def _take(self, received: Received) -> None:
        with self._changed:
            self.messages.append(Mail(received))
            self._changed.notify_all()

    def _judge(self, stage: str, address: str) -> Verdict:
        with self._changed:
            for refusal in self._refusals:
                if refusal.holds(stage, address):
                    return refusal.verdict
        return None


class _Refusal:
    def __init__(
        self, stage: str, verdict: Verdict, address: str, times: int | None
    ) -> None:
        self.stage = stage
        self.verdict = verdict
        self.address = address.lower()
        self.left = times

    def holds(self, stage: str, address: str) -> bool:
        """Whether it is this one's turn, which it then has had once more."""
        if stage != self.stage or self.address not in address.lower() or self.left == 0:
            return False
        if self.left is not None:
            self.left -= 1
        return True


def _verdict(reply: str) -> Verdict:
    """Read `550 5.1.1 No such user`."""
    code, _, text = reply.partition(" ")
    status, _, words = text.partition(" ")
    if not (code.isdigit() and code[0] in "45" and len(code) == 3):
        raise ValueError(f"a refusal begins with 4xx or 5xx, not as {reply!r}")
    if not status.replace(".", "").isdigit():
        status, words = f"{code[0]}.0.0", text
    return int(code), status, words


@pytest.fixture
def mailsink(tmp_path: Path) -> Iterator[Sink]:
    """A mailhub that keeps what it is sent: `messages`, `wait`, `refuse`."""
    sink = Sink(tmp_path)
    yield sink
    sink.close()
