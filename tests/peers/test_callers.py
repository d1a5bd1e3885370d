"""Each real server behind the other ways in: -bs, and many callers at once."""

from __future__ import annotations

import base64
import re
import subprocess

from tests.peers.capture import REFUSED, Capture
from tests.peers.marks import every_peer, simple
from tests.peers.servers import (
    PASSWORD,
    USER,
)
from tests.peers.submit import CHECKOUT, Client, fresh


@every_peer
def test_a_session_on_standard_input(client: Client, far_end: Capture) -> None:
    """-bs takes two messages in one session and submits each to the peer."""
    tokens = [fresh(), fresh()]
    client.configure()
    lines = ["EHLO localhost"]
    for token in tokens:
        lines += ["MAIL FROM:<ann@example.org>", f"RCPT TO:<{token}@example.net>"]
        lines += ["DATA", "Subject: by -bs", "", "..a dot", "."]
    outcome = client.run("-bs", message="\r\n".join([*lines, "QUIT", ""]).encode())

    assert (0, "") == (outcome.status, outcome.stderr)
    assert 2 == len(re.findall("(?m)^354 ", outcome.stdout)), outcome.stdout
    for token in tokens:
        assert b".a dot\n" == far_end.wait(token).body


@every_peer
def test_a_session_passes_a_refusal_on(client: Client) -> None:
    """A recipient that the peer refuses is refused in the -bs session, for all."""
    token = fresh()
    client.configure()
    lines = ["EHLO localhost", "MAIL FROM:<ann@example.org>"]
    lines += [f"RCPT TO:<{token}@example.net>", f"RCPT TO:<{REFUSED}>"]
    lines += ["DATA", "Subject: by -bs", "", "text", ".", "QUIT", ""]
    outcome = client.run("-bs", message="\r\n".join(lines).encode())

    after = outcome.stdout.partition("\r\n354 ")[2].splitlines()
    assert after[1].startswith("5"), outcome.stdout
    assert after[2].startswith("221 "), outcome.stdout
    assert [] == client.arrived(token)


@every_peer
def test_several_at_once(client: Client, far_end: Capture) -> None:
    """Eight callers at the same time do not get in each other's way."""
    client.configure()
    tokens = [fresh() for _ in range(8)]
    environment = {"SSMTP_CONF": str(client.configuration), "PATH": "/usr/bin:/bin"}
    running = []
    for token in tokens:
        process = subprocess.Popen(
            [CHECKOUT / "bin/sendmail", "-t"],
            stdin=subprocess.PIPE,
            env={**environment, "XDG_STATE_HOME": str(client.state)},
        )
        assert process.stdin
        process.stdin.write(simple(token))
        process.stdin.close()
        running.append(process)

    assert [0] * 8 == [process.wait(60) for process in running]
    for token in tokens:
        far_end.wait(token)


@every_peer
def test_the_password_is_nowhere(client: Client) -> None:
    """-v shows the dialogue without the password, in any form."""
    client.configure(AuthMethod="PLAIN")
    outcome = client.run("-v", "-t", message=simple(fresh()))

    assert 0 == outcome.status
    shown = outcome.stderr + outcome.stdout
    plain = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
    alone = base64.b64encode(PASSWORD.encode()).decode()
    for secret in (PASSWORD, plain, alone):
        assert secret not in shown
