"""What a person is asked: as little as possible, and nothing where nobody is there."""

from __future__ import annotations

import getpass
import sys

from ssmtp.ctl.words import _
from ssmtp.errors import EX_TEMPFAIL, Failure, UsageError


class Declined(Failure):
    """Somebody said no; nothing was written."""

    exit_code = EX_TEMPFAIL
    culprit = "caller"
    when = "never"


class Asker:
    """Asks on the terminal; without one it says which flag would have answered.

    `sure`: --yes, so that nothing has to be confirmed. `mute`: only JSON is printed.
    """

    def __init__(self, sure: bool, mute: bool) -> None:
        self.sure = sure
        self.mute = mute
        self.said: set[str] = set()
        self.present = sys.stdin is not None and sys.stdin.isatty()

    def say(self, text: str) -> None:
        """Tell a person something; the questions are on standard error as well."""
        if not self.mute:
            print(text, flush=True)

    def say_once(self, text: str) -> None:
        """Tell what has not been told yet."""
        if text and text not in self.said:
            self.said.add(text)
            self.say(text)

    def text(self, question: str, flag: str) -> str:
        """Return an answer that is not empty; raises `UsageError` where nobody is."""
        self._need(flag)
        while True:
            answer = self._line(f"{question}: ").strip()
            if answer:
                return answer

    def secret(self, question: str, flag: str) -> str:
        """Return a password, which is not shown while it is typed."""
        self._need(flag)
        while True:
            try:
                answer = getpass.getpass(f"{question}: ", sys.stderr)
            except EOFError:
                raise self._declined() from None
            if answer:
                return answer

    def confirm(self, question: str, flag: str = "--yes") -> None:
        """Go on if the answer is yes; raises `Declined`, or `UsageError`.

        What another flag than --yes is for is asked in spite of --yes.
        """
        if self.sure and flag == "--yes":
            return
        self._need(flag)
        answer = self._line(f"{question} [{_('Y/n')}] ").strip().lower()
        if answer and answer not in ("y", "yes", _("y"), _("yes")):
            raise self._declined()

    def _line(self, prompt: str) -> str:
        sys.stderr.write(prompt)
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise self._declined()
        return line

    def _need(self, flag: str) -> None:
        if not self.present:
            raise UsageError(
                _("there is no terminal to ask on"),
                _("give {flag}; see ssmtpctl setup --help").format(flag=flag),
            )

    def _declined(self) -> Declined:
        return Declined(_("nothing was written"), _("run this again when you like"))
