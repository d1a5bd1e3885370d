"""The agent as processes and sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.agent import agents


@pytest.fixture
def box() -> Iterator[agents.Box]:
    """A place for an agent, which does not run yet."""
    with agents.box() as made:
        yield made


@pytest.fixture(scope="module")
def running_agent() -> Iterator[agents.Box]:
    """An acceptor that many tests talk to; its queue grows."""
    with agents.box() as made:
        made.configure("MaxMessagesPerMinute=10000")
        made.start()
        yield made


@pytest.fixture
def agent(running_agent: agents.Box) -> agents.Box:
    """A running acceptor; `fresh` returns what this test has put into its queue."""
    running_agent.fresh()
    return running_agent
