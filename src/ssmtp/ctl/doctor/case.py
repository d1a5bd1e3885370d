"""What is being examined: the request of a test message, as far as it has come."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from ssmtp import delivery, handoff, options
from ssmtp.config import Config
from ssmtp.direct import Account, Site
from ssmtp.envelope import Envelope
from ssmtp.errors import Failure
from ssmtp.message import Message
from ssmtp.smtp.sasl import Credentials

# Nobody waits longer than this for one answer: mail may, a person may not.
CONNECT_MOST = 10.0  # seconds
COMMAND_MOST = 25.0  # postscreen lets everybody wait for six


@dataclass
class Case:
    """The stations of a message: each check fills in what the next one needs.

    `address` is the recipient that was asked about, if any. `faulty` says that lines of
    the configuration mean nothing. `oddities` are what is strange about the login, and
    `unused` is the key of a password that has no user.
    """

    request: delivery.Request
    address: str | None
    path: str = ""
    text: bytes = b""
    config: Config | None = None
    faulty: bool = False
    site: Site | None = None
    account: Account | None = None
    envelope: Envelope | None = None
    message: Message | None = None
    road: handoff.Road | None = None
    no_road: Failure | None = None
    credentials: Credentials | None = None
    locked: bool = False  # the password is for the agent alone
    stop: bool = False  # there is no use in talking to the mailhub
    unused: str = ""
    oddities: list[str] = field(default_factory=list)

    @property
    def agent_only(self) -> bool:
        """Whether nothing but the agent will ever send."""
        return self.road is not None and self.road.only


def made(config: str | None, address: str | None) -> Case:
    """Return the case of a caller who sends with this configuration."""
    words = ["-C", os.path.abspath(config)] if config else []
    asked = options.scan("ssmtpctl", words)
    return Case(delivery.Request(asked, None, os.environ, words), address)


def hurried(config: Config) -> Config:
    """Return a configuration whose time-outs a person can wait for."""
    config.connect_timeout = min(config.connect_timeout, CONNECT_MOST)
    config.command_timeout = min(config.command_timeout, COMMAND_MOST)
    return config
