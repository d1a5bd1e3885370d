"""SIGTERM, SIGHUP and SIGINT while a message is in our hands.

The first one ends the run in order: the submission stops where it is, and the message
is kept. Once its fate is clear they wait, so that what is still to be written down is
written whole.
"""

from __future__ import annotations

import posix

from ssmtp.errors import Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    try:
        # `signal` itself adds enumerations to this, and takes 2.5 ms for it.
        import _signal as signal
    except ImportError:
        import signal

NAMES: dict[int, str] = {
    signal.SIGTERM: "SIGTERM",
    signal.SIGHUP: "SIGHUP",
    signal.SIGINT: "SIGINT",
}


class Signals:
    """The handlers that stood before ours, and what came while they were away.

    As a context it catches signals, and releases them when what became of the message
    is written down.
    """

    __slots__ = ("_before", "_waiting")

    def __init__(self) -> None:
        self._before: dict[int, object] = {}
        self._waiting: list[int] = []

    def __enter__(self) -> Signals:
        self.catch()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def catch(self) -> None:
        """Raise `Interrupted` from now on, wherever the run is."""
        for number in NAMES:
            before = signal.getsignal(number)
            # nohup and the like ignore a signal on purpose.
            if before != signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._interrupt)

    def hold(self) -> None:
        """Let nothing disturb what is still to be written down."""
        for number in self._before:
            signal.signal(number, self._note)

    def ignore(self) -> None:
        """Let nothing change the exit code of a run that has nothing left to do.

        The interpreter takes Python's own handlers away before the process has ended.
        """
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)

    def release(self) -> None:
        """Put back the handlers that stood before, and let them have what came."""
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]
        self._before.clear()
        for number in self._waiting:
            posix.kill(posix.getpid(), number)
        self._waiting.clear()

    def _interrupt(self, number: int, frame: object) -> None:
        self.hold()
        self._waiting.append(number)
        name = NAMES[number]
        raise Interrupted(f"ended by {name} before the mailhub had the message")

    def _note(self, number: int, frame: object) -> None:
        self._waiting.append(number)
