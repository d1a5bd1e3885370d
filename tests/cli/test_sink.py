"""`ssmtpctl sink` takes mail as a provider's mailhub does, and shows it."""

from __future__ import annotations

import contextlib
import json
import select
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
from email import message_from_bytes, policy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SSMTPCTL = ROOT / "bin" / "ssmtpctl"
MESSAGE = "Subject: Grüße\r\n\r\nhallo\r\n.\r\nWelt\x1b[2J\r\n".encode()

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="no openssl command"
)


class Sink:
    """A sink on a free port; `lines` are the JSON objects that it prints."""

    def __init__(self, tmp: Path, *args: str) -> None:
        self.process = subprocess.Popen(
            [SSMTPCTL, "sink", "--port", "0", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp)},
            text=True,
        )
        self.first = self.line()

    def line(self) -> str:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 20)
        assert ready, "the sink says nothing"
        return self.process.stdout.readline()

    @property
    def about(self) -> dict:
        about: dict = json.loads(self.first)["listening"]
        return about

    def end(self) -> tuple[int, str, str]:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        with self.process.stdout, self.process.stderr:
            out, err = self.process.stdout.read(), self.process.stderr.read()
        return self.process.wait(20), out, err

    def stop(self, number: int = signal.SIGINT) -> tuple[int, str, str]:
        self.process.send_signal(number)
        return self.end()

    def connect(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.about["port"], "client.example")


@pytest.fixture
def sink(tmp_path):
    """A function that starts sinks, and ends those still running."""
    started: list[Sink] = []

    def start(*args: str) -> Sink:
        started.append(Sink(tmp_path, *args))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.stop()
    assert [] == list(tmp_path.glob("ssmtp-sink-*"))


def test_json(sink):
    """A message comes out as one JSON object, and the count ends the sink."""
    one = sink("--json", "--count", "1")
    with one.connect() as client:
        client.sendmail(
            "a@b.example",
            ["c@d.example", "e@f.example"],
            MESSAGE,
            mail_options=["BODY=8BITMIME"],
            rcpt_options=["NOTIFY=NEVER"],
        )
    code, out, err = one.end()
    message = json.loads(out)

    assert (0, "") == (code, err)
    assert "a@b.example" == message["sender"]
    assert ["c@d.example", "e@f.example"] == message["recipients"]
    assert [{"NOTIFY": "NEVER"}] * 2 == message["recipient_parameters"]
    assert "8BITMIME" == message["parameters"]["BODY"]
    assert MESSAGE.decode() == message["content"]
    assert (None, None) == (message["tls"], message["user"])
    assert "client.example" == message["hello"]


def test_for_a_person(sink):
    """A person sees envelope and message, and no control character."""
    one = sink("--count", "1")
    port = int(one.first.split(":")[1].split()[0])
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.sendmail("a@b.example", ["c@d.example"], MESSAGE)
    code, out, err = one.end()

    assert (0, "") == (code, err)
    assert f"mailhub=127.0.0.1:{port}\n" in out
    assert "MAIL FROM  <a@b.example>" in out
    assert "RCPT TO    <c@d.example>\n" in out
    assert "    Subject: Grüße\n\n    hallo\n    .\n" in out
    assert "    Welt\\x1b[2J\n" in out
    assert "\x1b" not in out


def test_stored_messages(sink, tmp_path):
    """--dir stores every message in a file that only its owner can read."""
    mails = tmp_path / "new" / "mails"
    one = sink("--dir", str(mails), "--quiet", "--count", "2")
    port = int(one.first.split(":")[1].split()[0])
    with smtplib.SMTP("127.0.0.1", port) as client:
        for _ in "ab":
            client.sendmail("a@b.example", ["c@d.example"], MESSAGE)
    code, out, err = one.end()
    files = sorted(mails.iterdir())

    assert (0, "") == (code, err)
    assert [f"1: {files[0]}", f"2: {files[1]}"] == out.splitlines()
    for file in files:
        assert ".eml" == file.suffix
        assert 0o600 == file.stat().st_mode & 0o777
        parsed = message_from_bytes(file.read_bytes(), policy=policy.default)
        assert "Grüße" == parsed["Subject"]


@needs_openssl
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_tls_and_auth(sink, tls):
    """TLS has a certificate that the named authority signed; AUTH is demanded."""
    one = sink("--json", "--tls", tls, "--auth", "me:se:cret", "--count", "1")
    context = ssl.create_default_context(cafile=one.about["authority"])
    if tls == "starttls":
        client: smtplib.SMTP = smtplib.SMTP("localhost", one.about["port"])
        client.starttls(context=context)
    else:
        client = smtplib.SMTP_SSL("localhost", one.about["port"], context=context)
    with client:
        with pytest.raises(smtplib.SMTPSenderRefused) as caught:
            client.sendmail("a@b.example", ["c@d.example"], MESSAGE)
        assert 530 == caught.value.smtp_code
        assert 535 == client.docmd("AUTH", "PLAIN AG1lAHdyb25n")[0]
        client.login("me", "se:cret")
        client.sendmail("a@b.example", ["c@d.example"], MESSAGE)
    code, out, err = one.end()
    message = json.loads(out)

    assert (0, "") == (code, err)
    assert "me" == message["user"]
    assert message["tls"].startswith("TLSv1.")
    assert not Path(one.about["authority"]).exists()


@needs_openssl
def test_own_certificate(sink, tmp_path):
    """--cert and --key show the certificate of one's own."""
    from ssmtp.ctl import certificate

    authority, cert, key = certificate.make(tmp_path)
    one = sink("--json", "--tls", "implicit", "--cert", str(cert), "--key", str(key))
    context = ssl.create_default_context(cafile=authority)
    with smtplib.SMTP_SSL("localhost", one.about["port"], context=context) as client:
        assert 250 == client.noop()[0]
    assert "authority" not in one.about


def test_client_that_is_no_client(sink):
    """Garbage, a cut message and a port scan leave the sink as it was."""
    one = sink("--json", "--count", "1")
    for data in (b"", b"\x16\x03\x01\0\xff" * 50 + b"\n", b"GET / HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", one.about["port"])) as scan:
            scan.sendall(data)
    with socket.create_connection(("127.0.0.1", one.about["port"])) as cut:
        cut.sendall(
            b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
            b"DATA\r\nSubject: cut\r\n"
        )
    with one.connect() as client:
        client.sendmail("a@b.example", ["c@d.example"], MESSAGE)
    code, out, err = one.end()

    assert (0, "", 1) == (code, err, len(out.splitlines()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_end(sink, number):
    """Ctrl-C and SIGTERM end the sink silently, with clients connected."""
    one = sink("--json")
    client = one.connect()

    assert (0, "", "") == one.stop(number)
    client.close()


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--auth", "nopassword"], 64, "USER:PASSWORD"),
        (["--cert", "/x.pem"], 64, "--tls"),
        (["--tls", "implicit", "--key", "/x.pem"], 64, "--cert"),
        (["--tls", "implicit", "--cert", "/none.pem"], 75, "/none.pem"),
        (["--tls", "maybe"], 64, "maybe"),
        (["--port", "99999"], 64, "choose another --port"),
        (["--port", "-1"], 64, "choose another --port"),
        (["--host", "192.0.2.1"], 75, "192.0.2.1"),
        (["--dir", "/dev/null/x"], 75, "/dev/null/x"),
    ],
)
def test_mistakes(args, code, words):
    """A mistake is one sentence and an exit code."""
    done = subprocess.run(
        [SSMTPCTL, "sink", "--port", "0", *args],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert code == done.returncode
    assert words in done.stderr
    assert 1 == len(done.stderr.splitlines())
    assert "" == done.stdout


def test_port_in_use(sink):
    """A port that is taken is named."""
    one = sink("--json")
    done = subprocess.run(
        [SSMTPCTL, "sink", "--port", str(one.about["port"])],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert 75 == done.returncode
    assert "in use; choose another --port" in done.stderr


def test_disk_that_is_full(sink, tmp_path):
    """A message that cannot be stored is not taken."""
    mails = tmp_path / "mails"
    one = sink("--dir", str(mails), "--json", "--count", "9")
    mails.rmdir()
    with one.connect() as client, pytest.raises(smtplib.SMTPDataError) as caught:
        client.sendmail("a@b.example", ["c@d.example"], MESSAGE)

    assert 451 == caught.value.smtp_code
    assert (0, "", "") == one.stop()


@needs_openssl
def test_plain_words_to_a_tls_port(sink):
    """A client that speaks in clear to a TLS port is no trouble for the next one."""
    one = sink("--json", "--tls", "implicit")
    with socket.create_connection(("127.0.0.1", one.about["port"])) as plain:
        plain.sendall(b"EHLO x\r\n")
        with contextlib.suppress(ConnectionResetError):
            while plain.recv(100):
                pass
    context = ssl.create_default_context(cafile=one.about["authority"])
    with smtplib.SMTP_SSL("localhost", one.about["port"], context=context) as client:
        assert 250 == client.noop()[0]
    assert (0, "", "") == one.stop()
