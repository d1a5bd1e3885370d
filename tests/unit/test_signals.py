"""Signals: they end a run in order, or not at all."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from ssmtp.errors import Interrupted
from ssmtp.signals import NAMES, Signals


@pytest.fixture
def signals() -> Iterator[Signals]:
    before = {number: signal.getsignal(number) for number in NAMES}
    for number in NAMES:
        signal.signal(number, signal.SIG_DFL)
    yield Signals()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NAMES)
def test_the_first_signal_ends_the_run_and_the_next_waits(signals, number):
    """What is still to be written down is written whole."""
    signals.catch()
    with pytest.raises(Interrupted, match=NAMES[number]):
        os.kill(os.getpid(), number)
    os.kill(os.getpid(), signal.SIGTERM)


def test_what_is_ignored_on_purpose_stays_ignored(signals):
    """A run under nohup is not ended by SIGHUP."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals.catch()
    os.kill(os.getpid(), signal.SIGHUP)

    assert signal.SIG_IGN == signal.getsignal(signal.SIGHUP)


def test_what_came_meanwhile_is_handed_on(signals):
    """A program that goes on gets its signal after all."""
    came = []
    signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    signals.catch()
    signals.hold()
    os.kill(os.getpid(), signal.SIGTERM)

    assert [] == came
    signals.release()
    assert [signal.SIGTERM] == came


def test_a_finished_run_keeps_its_exit_code(signals):
    """While the interpreter shuts down, a signal makes no failure of a success."""
    signals.catch()
    signals.hold()
    signals.ignore()

    assert [signal.SIG_IGN] * len(NAMES) == [signal.getsignal(n) for n in NAMES]
