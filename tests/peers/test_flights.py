"""Each real server on the fast roads: PIPELINING and CHUNKING."""

from __future__ import annotations

import re
import socket
import threading

import pytest

from tests.peers.capture import Capture
from tests.peers.marks import every_peer, only, peers_with, simple
from tests.peers.servers import (
    EXTENSIONS,
    USER,
)
from tests.peers.submit import Client, fresh


class Tap:
    """Pass one connection on to a peer, and note who said what in which order."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._target = port
        self._order = threading.Lock()
        self.turns: list[tuple[str, bytes]] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        near, _ = self._listener.accept()
        with near, socket.create_connection(("127.0.0.1", self._target)) as far:
            back = threading.Thread(target=self._pump, args=("hub", far, near))
            back.start()
            self._pump("client", near, far)
            back.join()

    def _pump(self, who: str, source: socket.socket, sink: socket.socket) -> None:
        while data := source.recv(65536):
            with self._order:
                if self.turns and self.turns[-1][0] == who:
                    self.turns[-1] = (who, self.turns[-1][1] + data)
                else:
                    self.turns.append((who, data))
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)

    def finish(self) -> list[bytes]:
        """Wait for the end of the connection; return the client's turns."""
        self._thread.join(30)
        self._listener.close()
        assert not self._thread.is_alive()
        return [data for who, data in self.turns if who == "client"]


@peers_with("PIPELINING")
@pytest.mark.parametrize("count", [1, 3])
def test_pipelining_saves_round_trips(
    client: Client, far_end: Capture, count: int
) -> None:
    """MAIL, every RCPT and, for one recipient, the content are one flight."""
    token = fresh()
    assert client.peer.clear
    tap = Tap(client.peer.clear)
    client.configure("clear", Mailhub=f"127.0.0.1:{tap.port}", AuthMethod="PLAIN")
    recipients = [f"{token}-{n}@example.net" for n in range(count)]
    outcome = client.run("-i", *recipients, message=simple(token))
    turns = tap.finish()

    assert (0, "") == (outcome.status, outcome.stderr)
    far_end.wait(token, count)
    flights = [t for t in turns if re.search(rb"(?m)^MAIL FROM:", t)]
    assert 1 == len(flights)
    assert count == len(re.findall(rb"(?m)^RCPT TO:", flights[0]))
    assert (count == 1) == (b"\r\nBDAT " in flights[0])
    # EHLO, AUTH, the envelope and the content: QUIT waits for nobody.
    assert (3 if count == 1 else 4) == len(turns), turns


@every_peer
def test_chunking_where_it_is_offered(client: Client, far_end: Capture) -> None:
    """The content goes by BDAT where CHUNKING is offered, else by DATA."""
    token = fresh()
    client.configure()
    outcome = client.run("-v", "-t", message=simple(token))
    said = "\n".join(re.findall(r"\[->\].*", outcome.stderr))

    assert 0 == outcome.status, outcome.stderr
    far_end.wait(token)
    chunked = "CHUNKING" in EXTENSIONS[client.peer.name]
    assert chunked == bool(re.search(r"\bBDAT \d+ LAST", said)), said
    assert chunked != bool(re.search(r"\bDATA\b", said)), said


@only("postfix")
def test_postfix_counts_the_commands(client: Client, far_end: Capture) -> None:
    """Postfix's own log says which commands it got: none twice, none refused."""
    token = fresh()
    client.configure()
    outcome = client.run("-t", message=simple(token))

    assert 0 == outcome.status
    mail = far_end.wait(token)
    queued = re.search(r"by mailhub\.example.*?id (\w+)", str(mail.message["Received"]))
    log = client.peer.box.wait_for_log(
        client.peer.log, "ehlo=1 auth=1 mail=1 rcpt=1 bdat=1 quit=1 commands=6"
    )
    assert f"sasl_method=SCRAM-SHA-256, sasl_username={USER}" in log
    assert queued is not None or "status=sent" in log


@only("exim")
def test_exim_notes_chunking_and_pipelining(client: Client, far_end: Capture) -> None:
    """Exim's own log says so: K for CHUNKING, L for PIPELINING."""
    token = fresh()
    client.configure()
    outcome = client.run("-t", message=simple(token))

    assert 0 == outcome.status
    far_end.wait(token)
    log = client.peer.box.wait_for_log(client.peer.log, f"{token}@example.net")
    (line,) = [x for x in log.splitlines() if " <= " in x and f"{token}@" in x]
    assert " K " in line, line
    # A dot after it: PIPECONNECT was there for the taking.
    assert re.search(r" L\.? ", line), line
    assert f"A=plain:{USER}" in line, line
    assert "TLS1.3" in line, line
