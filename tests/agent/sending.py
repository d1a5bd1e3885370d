"""A sender and the mailhub that it sends to."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssmtp import configfile
from ssmtp.agent.link import Ear
from ssmtp.agent.sender import Sender
from ssmtp.spool.queue import Draft, Entry, Queue, Recipient
from tests.hub import Hub

ROOT = Path(__file__).parents[2]
PYTHON = "/usr/bin/python3"
HEADER = b"Subject: %s\r\nMessage-ID: <%s@x.test>\r\n\r\n"


@dataclass
class Mailhub(Hub):
    """A mailhub whose connections can be cut."""

    open: list[socket.socket] = field(default_factory=list)

    def _serve(self, connection: socket.socket) -> None:
        self.open.append(connection)
        super()._serve(connection)

    def stop_sessions(self) -> None:
        """Hang up on everybody."""
        for connection in self.open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.open.clear()


class Post:
    """A queue, a configuration, and a mailhub; the sender runs when it is told to."""

    def __init__(self, place: Path, hub: Mailhub) -> None:
        self.place = place
        self.hub = hub
        self.conf = place / "ssmtp.conf"
        self.spool = place / "spool"
        self.log = place / "log"
        self.configure()
        self.queue = Queue.open(str(self.spool), make=True)
        self.processes: list[subprocess.Popen[bytes]] = []

    def configure(self, *lines: str, mailhub: str = "") -> None:
        """Write the configuration, with these lines besides."""
        hub = mailhub or f"127.0.0.1:{self.hub.port}"
        text = f"Mailhub={hub}\nHostname=box.test\nLogFile={self.log}\n"
        whole = self.conf.with_name("ssmtp.conf.new")  # nobody reads half of it
        whole.write_text(text + "".join(f"{line}\n" for line in lines))
        whole.chmod(0o600)
        whole.replace(self.conf)

    def add(
        self,
        name: str,
        *to: str,
        body: bytes = b"body\r\n",
        notify: str | None = None,
        **more: Any,
    ) -> str:
        """Queue a message."""
        header = HEADER % (name.encode(), name.encode())
        draft = Draft(
            1000,
            "bob",
            "bob@example.org",
            [Recipient(address, notify) for address in to or ("ann@example.net",)],
            header=len(header),
            message_id=f"<{name}@x.test>",
            **more,
        )
        return self.queue.add(draft, [header, body])

    @contextlib.contextmanager
    def sender(self, link: str | None = None) -> Iterator[Sender]:
        """Run a sender on a thread of this process."""
        made = Sender(configfile.load(str(self.conf)), self.queue, Ear(link))
        thread = threading.Thread(target=made.run)
        thread.start()
        try:
            yield made
        finally:
            made.stop_wanted = True
            made.loop.post(lambda: None)
            thread.join(40)
            assert not thread.is_alive()

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a sender as a process."""
        process = subprocess.Popen(
            [
                *(PYTHON, "-IS", str(ROOT / "bin" / "ssmtpctl"), "agent", "send"),
                *("-C", str(self.conf), "--spool", str(self.spool), *words),
            ],
            stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin"},
        )
        self.processes.append(process)
        return process

    def end(self) -> None:
        """See to it that no process stays."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(20)
        self.queue.close()

    def drained(self) -> None:
        """Wait until the queue is empty."""
        until(lambda: self.queue.count() == 0)

    def entries(self, *, failed: bool = False) -> list[Entry]:
        """What is in the queue, or in failed/, the oldest first."""
        names = sorted(self.queue.failed_ids() if failed else self.queue.ids())
        found = [self.queue.look(name, failed=failed) for name in names]
        return [entry for entry in found if entry is not None]

    def site(self) -> dict[str, Any]:
        """The first mailhub in site.json."""
        path = self.spool / "site.json"
        if not path.exists():
            return {"state": "", "kind": ""}
        status = json.loads(path.read_text())
        found: dict[str, Any] = status["sites"][0]
        return found

    def logged(self) -> list[dict[str, Any]]:
        """What the log file says."""
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextlib.contextmanager
def post(place: Path, **more: Any) -> Iterator[Post]:
    """A mailhub that runs, and all that a sender needs."""
    hub = Mailhub(**more)
    hub.start()
    made = Post(place, hub)
    try:
        yield made
    finally:
        made.end()
        hub.stop()
