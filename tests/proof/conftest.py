"""How much of the proofs is run: all of it, or a sample.

`SSMTP_PROOF=all` takes every point, a number every so-manyth one; without it there are
a few, and what takes long is left out. With `SSMTP_REQUIRE_PROOF` a proof that cannot
be run here fails.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest

from tests.proof import trace

T = TypeVar("T")

FEW = 3

# Seconds after which a proof hangs: all points take half an hour, a sample a minute.
LONG = 3600 if os.environ.get("SSMTP_PROOF") == "all" else 300


def sample(points: Sequence[T]) -> list[T]:
    """Return the points to try, spread evenly, in another place for each process."""
    wish = os.environ.get("SSMTP_PROOF", "")
    if wish == "all":
        return list(points)
    step = int(wish) if wish else max(1, len(points) // FEW)
    return list(points[os.getpid() % step :: step])


@pytest.fixture(scope="session")
def need() -> Callable[[str], None]:
    """Skip a proof for a reason, unless all of them are required."""

    def skip(reason: str) -> None:
        if reason and os.environ.get("SSMTP_REQUIRE_PROOF"):
            pytest.fail(reason)
        elif reason:
            pytest.skip(reason)

    return skip


@pytest.fixture(scope="session")
def asked() -> None:
    """Leave out what takes long, unless somebody says how much of it is wanted."""
    if not os.environ.get("SSMTP_PROOF"):
        pytest.skip("only with SSMTP_PROOF, as `make proof` has it")


@pytest.fixture(scope="session")
def strace(need: Callable[[str], None]) -> None:
    """Whether programs can be traced here."""
    need(trace.works())
