"""A sender in a world whose clock runs as fast as the test wants.

The sender, its loop, its pools and its queue are the real ones. The clock jumps to the
next moment at which anybody waits for something, and the mailhub is a function.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from ssmtp import config as configuration
from ssmtp import journal, submission
from ssmtp.agent import carrier, lookout, loop, memory, notices, pool, sender
from ssmtp.agent.link import Ear
from ssmtp.agent.loop import Elsewhere
from ssmtp.agent.sender import Sender
from ssmtp.errors import AuthRefused, Deferred, MessageRefused, NetworkTrouble
from ssmtp.receipt import Receipt
from ssmtp.smtp.outcomes import Outcome, Result
from ssmtp.smtp.reply import Reply
from ssmtp.spool.queue import Draft, Queue, Recipient

HOUR, DAY = 3600.0, 86400.0
START = 1_800_000_000.0


class World:
    """What is outside of the sender. `judge` says what becomes of a message."""

    def __init__(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, **keys: str
    ) -> None:
        random.seed(1)  # the schedule has its jitter from here
        self.boot = 1000.0
        self.offset = START - self.boot
        self.network = self.password = True
        self.judge: Callable[[str], str] = lambda message_id: "250 2.0.0 queued as A1"
        self.opened: list[float] = []
        self.tried: list[tuple[float, str]] = []
        self.logged: list[str] = []
        self.events: list[tuple[float, Callable[[], None]]] = []
        text = "Mailhub=hub.test:25\nHostname=client.test\nRoot=ops@example.org\n"
        text += "".join(f"{key}={value}\n" for key, value in keys.items())
        (path / "ssmtp.conf").write_text(text)
        self.config = configuration.parse(text.encode(), str(path / "ssmtp.conf"))
        world = self

        class SimulatedLoop(loop.Loop):
            """Time passes only when nobody has anything to do."""

            def turn(self, until: float) -> None:
                busy = self._ready or self._posted or world.elsewhere
                if not busy:
                    world.pass_time(
                        min((until, *(task.until for task in self._waiting)))
                    )
                super().turn(world.boot + (0.05 if world.elsewhere else 0.0))

            def _arrange(self, task: loop.Task, request: Any) -> None:
                if isinstance(request, Elsewhere):
                    world.elsewhere += 1
                super()._arrange(task, request)

            def _resume(self, task: loop.Task, *more: Any) -> None:
                if isinstance(task.request, Elsewhere):
                    world.elsewhere -= 1
                super()._resume(task, *more)

        self.elsewhere = 0
        for module in (loop, pool, carrier, sender, lookout, memory, notices):
            monkeypatch.setattr(module, "boottime", lambda: world.boot)
        monkeypatch.setattr(time, "time", lambda: world.boot + world.offset)
        monkeypatch.setattr(carrier, "Loop", SimulatedLoop)
        # Days would take long, second by second.
        monkeypatch.setattr(lookout, "GLANCE_EVERY", 60.0)
        monkeypatch.setattr(lookout, "LOOK_EVERY", 600.0)
        monkeypatch.setattr(memory, "EVERY", HOUR)
        monkeypatch.setattr(loop, "LONGEST_WAIT", 5.0)
        monkeypatch.setattr(submission, "reach", self._reach)
        monkeypatch.setattr(journal, "note", self._note)
        self.queue = Queue.open(str(path / "spool"), make=True)

    def add(self, name: str, *to: str, **more: Any) -> str:
        """Queue a message; `name` is its Message-ID."""
        header = f"Subject: {name}\r\n\r\n".encode()
        recipients = [Recipient(address) for address in to or ("ann@example.net",)]
        draft = Draft(
            1000,
            "bob",
            more.pop("reverse_path", "bob@example.org"),
            recipients,
            header=len(header),
            message_id=name,
            **more,
        )
        return self.queue.add(draft, [header + b"body\r\n"])

    def at(self, seconds: float, event: Callable[[], None]) -> None:
        """Let something happen so many seconds from the beginning."""
        self.events.append((1000.0 + seconds, event))
        self.events.sort(key=lambda item: item[0])

    def pass_time(self, until: float) -> None:
        if self.events and self.events[0][0] <= until:
            self.boot = max(self.boot, self.events[0][0])
            self.events.pop(0)[1]()
        else:
            self.boot = max(self.boot, until)

    def run(
        self, seconds: float, then: Callable[[Sender], object] | None = None
    ) -> None:
        """Let the sender work until so many seconds from the beginning."""
        made = Sender(self.config, self.queue, Ear(None))
        if then is not None:
            then(made)

        def stop() -> None:
            made.stop_wanted = True

        self.at(seconds, stop)
        made.run()

    def sleep(self, seconds: float) -> None:
        """Let the machine sleep now."""
        self.boot += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock."""
        self.offset += seconds

    def left(self) -> list[str]:
        """Return the Message-IDs of what is queued."""
        entries = (self.queue.look(name) for name in self.queue.ids())
        return sorted(entry.message_id for entry in entries if entry is not None)

    def kinds(self) -> list[str]:
        """Return the kinds of what is queued."""
        entries = (self.queue.look(name) for name in self.queue.ids())
        return sorted(entry.kind for entry in entries if entry is not None)

    def tries(self, name: str) -> list[float]:
        """Return when a message was tried, in seconds from the beginning."""
        return [at - 1000.0 for at, tried in self.tried if tried == name]

    def _note(self, text: str, *, bad: bool = False) -> str:
        self.logged.append(text)
        return ""

    def _reach(self, *_: Any) -> Generator[Any, Any, Any]:
        self.opened.append(self.boot - 1000.0)
        if not self.network:
            raise NetworkTrouble("cannot connect to hub.test:25", "check the network")
        if not self.password:
            reply = Reply(535, ["5.7.8 wrong password"])
            raise AuthRefused("hub.test refused the password", "fix it", reply=reply)
        yield from ()
        return Connection(self), Connection(self)


class Connection:
    """A channel and a relay in one."""

    careful = False
    done = size = 0

    def __init__(self, world: World) -> None:
        self.world = world
        self.offers = self.session = self.facts = self
        self.limits: dict[str, int] = {}
        self.bare = False
        self.hub = "hub.test:25"

    def __contains__(self, keyword: str) -> bool:
        return True  # there is nothing that it does not offer

    def close(self) -> None:
        pass

    def fileno(self) -> int:
        return -1

    def farewell(self) -> None:
        return None

    def give(self, envelope: Any, message: Any, last: bool = False) -> Any:
        return envelope, message

    def converse(self, given: Any) -> Generator[Any, Any, Any]:
        yield from ()
        if not isinstance(given, tuple):
            return None
        envelope, message = given
        world = self.world
        world.tried.append((world.boot, message.message_id))
        text = world.judge(message.message_id)
        reply = Reply(int(text[:3]), [text[4:]])
        result = Result()
        result.usable = True
        for number in range(len(envelope.recipients)):
            failure: Any = None
            state = {"2": "sent", "4": "deferred", "5": "refused"}[text[0]]
            if state == "deferred":
                failure = Deferred("not now", reply=reply)
            elif state == "refused":
                failure = MessageRefused("never", reply=reply)
            result.outcomes.append(Outcome(number, state, text, failure))
        if text[0] == "2":
            result.receipt = Receipt("hub.test:25", reply, 100)
        return result
