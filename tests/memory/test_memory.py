"""A message of 100 MB goes through TLS and AUTH in under 40 MB of memory."""

from __future__ import annotations

import binascii
import hashlib
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import IO

import pytest
import trustme

CHECKOUT = Path(__file__).parents[2]
SIZE = 100_000_000
CEILING = 40 * 1024  # KiB

# The peak of a child counts the memory of the process that it was forked from until it
# runs its own program, so a small process stands between it and pytest.
MEASURE = """
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


class Hub:
    """Take one message over TLS after AUTH, and keep only the digest of its body.

    `encoded` says that the body comes as quoted-printable, line by line.
    """

    def __init__(
        self, context: ssl.SSLContext, extensions: list[str], encoded: bool
    ) -> None:
        self._context = context
        self._extensions = extensions
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._encoded = encoded
        self.digest = hashlib.sha256()
        self.length = 0
        self._in_header = True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        self._thread.join(30)
        self._listener.close()
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        plain, _ = self._listener.accept()
        with plain, self._context.wrap_socket(plain, server_side=True) as secure:
            stream = secure.makefile("rb")

            def say(*lines: str) -> None:
                secure.sendall("".join(f"{line}\r\n" for line in lines).encode())

            say("220 hub.example ESMTP")
            while line := stream.readline():
                verb, *words = line.split()
                match verb.upper():
                    case b"EHLO":
                        say("250-hub.example", *self._extensions, "250 AUTH PLAIN")
                    case b"AUTH":
                        say("235 2.7.0 Welcome")
                    case b"DATA":
                        say("354 Go on")
                        self._lines(stream)
                        say("250 2.0.0 Taken")
                    case b"BDAT":
                        self._octets(stream, int(words[0]))
                        say("250 2.0.0 Taken")
                    case b"QUIT":
                        say("221 2.0.0 Bye")
                    case _:
                        say("250 2.1.0 Fine")

    def _lines(self, stream: IO[bytes]) -> None:
        while (line := stream.readline()) != b".\r\n":
            assert line.endswith(b"\r\n")
            self._take(line.removeprefix(b"."))

    def _octets(self, stream: IO[bytes], count: int) -> None:
        while self._in_header and count:
            line = stream.readline(count)
            count -= len(line)
            self._take(line)
        while count:
            block = stream.read(min(count, 1 << 16))
            assert block
            count -= len(block)
            self._take(block)

    def _take(self, data: bytes) -> None:
        if self._in_header:
            self._in_header = data != b"\r\n"
        else:
            data = binascii.a2b_qp(data) if self._encoded else data
            self.digest.update(data)
            self.length += len(data)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def context(authority: trustme.CA) -> ssl.SSLContext:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(made)
    return made


DATA = ["250-PIPELINING", "250-8BITMIME", "250-SIZE 200000000"]
BDAT = [*DATA, "250-CHUNKING"]
BARE: list[str] = []

DIGITS = b".%s\n" % (b"0123456789" * 7)
EIGHT_BIT = "žluťoučký kůň\n".encode()
ENDLESS = b"0123456789" * 7


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("extensions", "line", "source"),
    [
        pytest.param(BDAT, DIGITS, "pipe", id="BDAT from a pipe"),
        pytest.param(BDAT, DIGITS, "file", id="BDAT from a file"),
        pytest.param(DATA, DIGITS, "pipe", id="DATA from a pipe"),
        pytest.param(DATA, DIGITS, "file", id="DATA from a file"),
        pytest.param(BARE, EIGHT_BIT, "pipe", id="8-bit, made quoted-printable"),
        pytest.param(DATA, ENDLESS, "file", id="one line, made quoted-printable"),
    ],
)
def test_100_mb_in_under_40_mb(
    authority: trustme.CA,
    context: ssl.SSLContext,
    tmp_path: Path,
    extensions: list[str],
    line: bytes,
    source: str,
) -> None:
    """100 MB through TLS and AUTH arrive whole; the process peaks below 40 MB."""
    encoded = line in (EIGHT_BIT, ENDLESS)
    hub = Hub(context, extensions, encoded)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    configuration = tmp_path / "ssmtp.conf"
    configuration.touch(0o600)
    configuration.write_text(
        f"Mailhub=localhost:{hub.port}\nUseTLS=yes\n"
        f"TLS_CA_File={tmp_path}/authority.pem\n"
        "Hostname=client.example\nAuthUser=me\nAuthPass=secret\n"
    )
    block = line * 1000
    message = tmp_path / "message"
    wanted = hashlib.sha256()
    with message.open("wb") as file:
        file.write(b"Subject: large\n\n")
        for _ in range(SIZE // len(block) + 1):
            file.write(block)
            wanted.update(block.replace(b"\n", b"\r\n"))
    if line == ENDLESS:
        wanted.update(b"\r\n")

    command = ["/usr/bin/python3", "-I", "-S", "-c", MEASURE]
    command += [str(CHECKOUT / "bin/sendmail"), "-i", "you@example.net"]
    environment = {
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "SSMTP_CONF": str(configuration),
        "XDG_STATE_HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
    }
    with message.open("rb") as file:
        feeder = None
        if source == "pipe":
            feeder = subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE)
        done = subprocess.run(
            command,
            stdin=feeder.stdout if feeder else file,
            capture_output=True,
            text=True,
            timeout=150,
            env=environment,
        )
        if feeder:
            assert feeder.stdout
            feeder.stdout.close()
            feeder.wait()
    message.unlink()

    assert (0, "") == (done.returncode, done.stderr)
    hub.finish()
    assert hub.length > SIZE
    assert wanted.hexdigest() == hub.digest.hexdigest()
    assert int(done.stdout) < CEILING
