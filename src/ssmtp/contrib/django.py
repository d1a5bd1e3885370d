"""The mailer of a Django site: settings name it, and ssmtp.conf says the rest.

EMAIL_BACKEND = "ssmtp.contrib.django.EmailBackend"              # before 6.1
SSMTP_CONFIG = "/srv/site/ssmtp.conf"                            # if you like

MAILERS = {"default": {"BACKEND": "ssmtp.contrib.django.EmailBackend",
                       "OPTIONS": {"config": "/srv/site/ssmtp.conf"}}}
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

import ssmtp


class EmailBackend(BaseEmailBackend):  # type: ignore[misc]
    """Send each message through `ssmtp.send`.

    Raises `ssmtp.Failure` unless `fail_silently`; either way the message is kept, but
    for `keep=False`. There is no user or password here: those are in ssmtp.conf.
    """

    def __init__(
        self,
        fail_silently: bool = False,
        *,
        config: str | None = None,
        keep: bool = True,
        username: str | None = None,
        password: str | None = None,
        **options: Any,
    ) -> None:
        # Django 6.1 wants to know of options that nobody knows, but not of this one.
        super().__init__(**options)
        self.fail_silently = fail_silently
        self.config = config or getattr(settings, "SSMTP_CONFIG", None)
        self.keep = keep

    def send_messages(self, email_messages: Iterable[EmailMessage] | None) -> int:
        """Send messages, and return how many the mailhub has taken."""
        return sum(map(self._send, email_messages or ()))

    def _send(self, message: EmailMessage) -> bool:
        recipients = message.recipients()
        if not recipients:
            return False
        try:
            ssmtp.send(
                message.message(),
                to=map(str, recipients),
                sender=str(message.from_email),
                config=self.config,
                keep=self.keep,
            )
        except ssmtp.Failure:
            if not self.fail_silently:
                raise
            return False
        return True
