"""When a message is tried again, when its sender is warned, when it has expired; pure.

Only an answer that was about the message (4xx to its transaction, a doubt) comes here.
Trouble with the whole mailhub is `site`'s, and ages nobody.

Theory of clocks. The times in the files are those of the wall clock, which jumps: no
battery, a wrong time server, a laptop that slept for a week. So no age alone ends a
message. It expires

* when it has been tried half as often as its life is long, so that a jump cannot take
  more than half of its life;
* by a try that failed about when it had been planned. After a jump, and after a long
  sleep, the first try comes late, and only plans the next one.

An age that is negative ends nothing. A planned time that is farther off than the
longest pause is now; `spool.queue` sees to that.
"""

from __future__ import annotations

# Seconds from one try to the next (RFC 5321 §4.5.4.1 wants 30 minutes at least, once
# the first tries have failed).
PAUSES = (60, 300, 900, 1800, 3600, 7200, 10800, 14400)
JITTER = 0.2  # share of a pause, both ways, so that tries do not come in herds
# Who wishes a try before its time has so many of one message without a pause. Then each
# is a second longer, up to a minute: nobody has a mailhub asked, and a disk written to,
# without end.
AT_WILL = 20
WISH_PAUSE = 60.0
# A try that comes later than that after its time says that the clock jumped, or that
# nobody could try. It is longer than the longest pause.
LATE = 8 * 3600.0


def pause(tries: int, chance: float) -> float:
    """Return the seconds until the next try, after so many; `chance` is 0.0 to 1.0."""
    planned = PAUSES[min(max(tries, 1), len(PAUSES)) - 1]
    return planned * (1 + JITTER * (2 * chance - 1))


def wish_pause(now: float, last_try: float, tries: int) -> float:
    """Return the seconds until a try that somebody wishes may be made, after so many.

    `last_try` is when the latest began. Once the clock was set back behind that, nobody
    knows how long ago it was.
    """
    if now < last_try:
        return 0.0
    return max(last_try + min(tries - AT_WILL, WISH_PAUSE) - now, 0.0)


def next_try(
    now: float, since: float, lifetime: float, tries: int, chance: float
) -> float:
    """Return when to try again; the last time just when the life of a message ends."""
    planned = now + pause(tries, chance)
    end = since + lifetime
    if now + PAUSES[0] < end < planned:
        return end
    return planned


def expired(
    now: float, since: float, planned: float, lifetime: float, tries: int
) -> bool:
    """Tell whether a message whose try has failed now has had its time.

    `planned` is when that try was to be made, 0 if it was the first; `tries` counts it.
    """
    old = now - since >= lifetime and tries >= tries_within(lifetime / 2)
    return old and _even(now, planned)


def tries_within(seconds: float) -> int:
    """Return how often a message is tried in so many seconds, with the first try."""
    tries = 1
    for pause in PAUSES:
        if seconds < pause:
            return tries
        seconds -= pause
        tries += 1
    return tries + int(seconds // PAUSES[-1])


def warning_due(now: float, since: float, planned: float, after: float) -> bool:
    """Tell whether the sender of a message that waits is to hear of that now."""
    return now - since >= after and _even(now, planned)


def _even(now: float, planned: float) -> bool:
    """Tell whether the clock has run evenly since the try was planned."""
    return planned > 0 and -LATE <= now - planned <= LATE
