"""Whether a mailhub can be used now, and when to look again; one for the whole queue.

What goes wrong before MAIL says nothing about any message (`errors`, rule 2): the
network, DNS, TLS, AUTH, a server that talks nonsense. So it is the site that waits, not
the messages: one probe with growing pauses, however many messages there are. Pure: the
clock (seconds that never jump, and that count while the machine sleeps) and chance are
handed in.

    network         cannot be reached, no such name     10 s, doubled up to 15 min
    mailhub         greets with 4xx, speaks no SMTP     the same
    busy            takes connections, and no message   the same
    configuration   ours cannot be used                 the same
    login           there is no way to log in           the same
    auth            refuses the password                30 min: twice an hour, not more

A new message, a network that comes up and `ssmtpctl queue flush` end a pause; but never
that of AUTH, for accounts are locked after too many tries. Whoever changes the
configuration ends that, too.
"""

from __future__ import annotations

from ssmtp.errors import (
    AuthRefused,
    Bug,
    ConfigError,
    Failure,
    NetworkTrouble,
    SystemTrouble,
    UnknownHost,
)
from ssmtp.smtp.phases import AUTH

FIRST_PAUSE = 10.0  # seconds; also the least between two probes for new messages
LONGEST_PAUSE = 900.0
LEAST_PAUSE = 1.0  # between two probes, whoever asks for them
AUTH_PAUSE = 1800.0
AUTH_MOST = 2  # refusals in an hour
HOUR = 3600.0
# Seconds after a connection came about in which several are opened at once.
PROVEN = 10.0
# So many messages in a row of which none came through, and the mailhub is busy.
STUMBLES = 5


class Site:
    """What is known of one mailhub and its fallbacks.

    `kind` is "" while all is well, `exit_code` that of the direct way, 0 if it is not
    known. `since`, `next_try`, `last_ok` and the refusals are times of the clock that
    is handed in; `told` says that the administrator was told.
    """

    def __init__(self, mailhubs: tuple[str, ...]) -> None:
        self.mailhubs = mailhubs
        self.kind = ""
        self.exit_code = 0
        self.since = 0.0
        self.what = ""
        self.next_step = ""
        self.next_try = 0.0
        self.tries = 0
        self.told = False
        self.last_ok: float | None = None
        self.refusals: list[float] = []
        self._last_try = 0.0
        self._opened: float | None = None
        self._stumbles = 0

    def may_open(
        self, now: float, busy: int, opening: int, most: int, *, login: bool = False
    ) -> bool:
        """Tell whether a connection may be opened beside those there are.

        With a `login` one after the other: else all would be refused at once when the
        password has been changed, and the account locked.
        """
        if now < self._auth_from():
            return False  # though one that had logged in before has come about since
        if self.kind:
            return not busy and not opening and now >= self.next_try
        if opening and (login or not self.is_proven(now)):
            return False  # one shows the way
        if self.last_ok is None and now < self.next_try:
            return False  # what an earlier run was refused counts
        return busy + opening < most

    def may_log_in(self, now: float) -> bool:
        """Tell whether a connection may go on that was begun some time ago."""
        return now >= max(self.next_try if self.kind else 0.0, self._auth_from())

    def is_proven(self, now: float) -> bool:
        """Tell whether so short a time ago there was a connection to be had."""
        return self._opened is not None and now - self._opened < PROVEN

    def failed(self, now: float, failure: Failure, chance: float) -> bool:
        """Note that no connection came about; True when this is news."""
        kind = kind_of(failure)
        news = self.troubled(now, kind, failure.what, failure.next_step, chance)
        self.exit_code = failure.exit_code
        return news

    def troubled(
        self, now: float, kind: str, what: str, next_step: str, chance: float
    ) -> bool:
        """Do as `failed` does, for a failure that is told in words."""
        if kind == "auth":
            self.refusals = [at for at in self.refusals if 0 <= now - at < HOUR]
            self.refusals.append(now)
        return self._trouble(now, kind, what, next_step, chance)

    def stumbled(self, now: float, what: str, chance: float) -> bool:
        """Note a message that the mailhub would not look at; True when this is news."""
        self._stumbles += 1
        if self._stumbles < STUMBLES or self.kind not in ("", "busy"):
            return False
        return self._trouble(now, "busy", what, "", chance)

    def _trouble(
        self, now: float, kind: str, what: str, next_step: str, chance: float
    ) -> bool:
        news = kind != self.kind
        self.exit_code = 0  # goes by the kind
        if not self.kind:
            self.since, self.told = now, False
        if news:
            self.kind, self.tries = kind, 0
        self.tries += 1
        self.what, self.next_step = what, next_step
        self._last_try = now
        pause = min(FIRST_PAUSE * 2.0 ** min(self.tries - 1, 20), LONGEST_PAUSE)
        pause *= 0.8 + 0.4 * chance
        if kind == "auth":
            pause = AUTH_PAUSE * (1 + 0.05 * chance)
        self.next_try = now + pause
        self._wait_for_auth()
        return news

    def _wait_for_auth(self) -> None:
        """Put off the next try until the refusals allow it."""
        self.next_try = max(self.next_try, self._auth_from())

    def _auth_from(self) -> float:
        """Return from when on the refusals allow a try."""
        if len(self.refusals) < AUTH_MOST:
            return 0.0
        return self.refusals[-AUTH_MOST] + HOUR

    def opened(self, now: float) -> bool:
        """Note that a connection is ready; True when that ends a trouble."""
        self._opened = now
        if self.kind == "busy":
            return False
        return self._well(now)

    def worked(self, now: float) -> bool:
        """Note that the mailhub judged a message; True when that ends a trouble."""
        self._stumbles = 0
        if self.kind in ("", "busy"):
            return self._well(now)
        # A connection that was there before; new ones still cannot be had.
        self.last_ok = now
        return False

    def _well(self, now: float) -> bool:
        ended = bool(self.kind)
        self.last_ok = now
        self.kind = self.what = self.next_step = ""
        self.tries, self.told = 0, False
        return ended

    def nudge(self, now: float, *, hard: bool = False) -> None:
        """End a pause, but for AUTH's; `hard`: people or the network asked for it."""
        if not self.kind or self.kind == "auth":
            return
        if hard:
            self.tries = 0
            self.next_try = max(now, self._last_try + LEAST_PAUSE)
        else:
            self.next_try = min(self.next_try, self._last_try + FIRST_PAUSE)
        self._wait_for_auth()

    def mended(self, now: float) -> None:
        """End a pause, AUTH's too: it is another password, perhaps."""
        self.refusals.clear()
        self.next_try = now

    def news_due(self, now: float, after: float) -> bool:
        """Tell whether the administrator should be written to about this trouble."""
        return bool(self.kind) and not self.told and self.silence(now) >= after

    def silence(self, now: float) -> float:
        """Return for how long no mail has gone out; an old connection may still do."""
        return now - max(self.since, self.last_ok or self.since)

    # -- what outlives the process

    def record(self, now: float, wall: float) -> dict[str, object]:
        """Return the state as it stands in site.json, in times of the wall clock."""

        def at(time: float | None) -> int | None:
            return None if time is None else round(wall + time - now)

        return {
            "mailhubs": list(self.mailhubs),
            "state": "trouble" if self.kind else "ok",
            "kind": self.kind,
            "exit": (self.kind and self.exit_code) or None,
            "since": at(self.since) if self.kind else None,
            "what": self.what,
            "next_step": self.next_step,
            "next_try": at(self.next_try) if self.kind else None,
            "tries": self.tries,
            "told": self.told,
            "last_ok": at(self.last_ok),
            "refusals": [at(time) for time in self.refusals],
        }

    def restore(self, record: dict[str, object], now: float, wall: float) -> None:
        """Take over what an earlier run has left.

        Its trouble goes on until a probe says otherwise, and that is made at once; but
        whoever starts us again and again gets no third try at AUTH in an hour.
        """
        self.refusals = [now - seconds for seconds in refused_ago(record, wall)]
        kind = record.get("kind")
        if record.get("state") == "trouble" and isinstance(kind, str) and kind:
            self.kind = kind
            self.since = now - _ago(record.get("since"), wall)
            self.what = str(record.get("what", ""))
            self.next_step = str(record.get("next_step", ""))
            self.told = record.get("told") is True
            self.next_try = now
        self._wait_for_auth()


def refused_ago(record: dict[str, object], wall: float) -> list[float]:
    """Return how long ago AUTH was refused in the last hour, the latest last."""
    refusals = record.get("refusals")
    if not isinstance(refusals, list):
        return []
    past = sorted((_ago(at, wall) for at in refusals[-100:]), reverse=True)
    return [seconds for seconds in past if seconds < HOUR]


def _ago(value: object, wall: float) -> float:
    """Return how long ago; a clock that was set back makes it now."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0.0
    return max(0.0, wall - value)


def kind_of(failure: Failure) -> str:
    """Return what sort of trouble a failure before MAIL is."""
    if isinstance(failure, AuthRefused):
        # What we refuse before AUTH was tried on nobody. Who breaks AUTH off has said
        # the password, or its proof, to a mailhub that may count tries.
        said = failure.reply is not None or failure.phase == AUTH.name
        return "auth" if said else "login"
    if isinstance(failure, (ConfigError, Bug)):
        return "configuration"
    if isinstance(failure, (NetworkTrouble, UnknownHost)):
        return "network"
    if isinstance(failure, SystemTrouble):
        return "system"
    return "mailhub"
