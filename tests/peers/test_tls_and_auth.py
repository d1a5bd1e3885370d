"""Each real server with TLS and AUTH: whom we trust, and who we are."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import ssl
import time
from pathlib import Path

import pytest
import trustme

from tests.peers.capture import Capture, free_port
from tests.peers.marks import every_mechanism, every_peer, only, simple
from tests.peers.servers import (
    MECHANISMS,
    TOKEN_KEY,
    USER,
    Certificates,
)
from tests.peers.submit import Client, fresh


def token_for(key: bytes) -> str:
    """Sign a JSON Web Token (RFC 7519) for the user, good for an hour."""

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    head = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    now = int(time.time())
    claims = {"sub": USER, "iat": now - 60, "nbf": now - 60, "exp": now + 3600}
    signed = head + b"." + part(json.dumps(claims).encode())
    signature = hmac.new(key, signed, hashlib.sha256).digest()
    return (signed + b"." + part(signature)).decode()


@every_peer
@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_a_message_arrives(client: Client, far_end: Capture, tls: str) -> None:
    """A message goes through TLS and AUTH, and the caller hears nothing."""
    token = fresh()
    client.configure(tls)
    outcome = client.run("-t", message=simple(token))

    assert (0, "", "") == (outcome.status, outcome.stdout, outcome.stderr)
    mail = far_end.wait(token)
    assert "ann@example.org" == mail.sender
    assert [f"{token}@example.net"] == mail.recipients
    assert b"Hello,\nworld.\n" == mail.body
    assert "a test" == mail.message["Subject"]
    assert "Ann Author <ann@example.org>" == mail.message["From"]
    assert 1 == len(mail.message.get_all("Date", []))
    assert 1 == len(mail.message.get_all("Message-ID", []))
    assert [] == outcome.kept


@every_mechanism
def test_each_mechanism_is_accepted(
    client: Client, far_end: Capture, mechanism: str
) -> None:
    """AUTH with the mechanism that AuthMethod names succeeds."""
    token = fresh()
    if mechanism in ("XOAUTH2", "OAUTHBEARER"):
        client.configure(AuthMethod=mechanism, AuthPass=token_for(TOKEN_KEY))
    else:
        client.configure(AuthMethod=mechanism)
    outcome = client.run("-v", "-t", message=simple(token))

    assert 0 == outcome.status, outcome.stderr
    assert re.search(rf"\[->\].*AUTH {mechanism}\b", outcome.stderr), outcome.stderr
    far_end.wait(token)


@every_peer
def test_the_old_form_of_login(client: Client, far_end: Capture) -> None:
    """UseOldAUTH gives the user name with AUTH LOGIN itself."""
    token = fresh()
    client.configure(UseOldAUTH="yes", AuthMethod="LOGIN")
    outcome = client.run("-t", message=simple(token))

    assert (0, "") == (outcome.status, outcome.stderr)
    far_end.wait(token)


@every_peer
def test_starttls_is_taken_where_nothing_is_said(
    client: Client, far_end: Capture
) -> None:
    """Without UseTLS and UseSTARTTLS, on a port of its own: STARTTLS if offered."""
    token = fresh()
    client.configure("starttls", UseTLS=None, UseSTARTTLS=None)
    outcome = client.run("-v", "-t", message=simple(token))

    assert 0 == outcome.status, outcome.stderr
    said = re.findall(r"\[->\] (\w+)", outcome.stderr)
    assert ["EHLO", "STARTTLS", "EHLO", "AUTH"] == said[:4]
    far_end.wait(token)


@every_peer
def test_the_best_mechanism_is_taken(client: Client, far_end: Capture) -> None:
    """Without AuthMethod: SCRAM where it is offered, else PLAIN."""
    token = fresh()
    client.configure("starttls")
    outcome = client.run("-v", "-t", message=simple(token))

    offered = MECHANISMS[client.peer.name]
    best = "SCRAM-SHA-256" if "SCRAM-SHA-256" in offered else "PLAIN"
    assert 0 == outcome.status
    assert re.search(rf"\[->\].*AUTH {best}\b", outcome.stderr), outcome.stderr
    far_end.wait(token)


@every_mechanism
def test_a_wrong_password_is_said(
    client: Client, far_end: Capture, mechanism: str
) -> None:
    """A refused password is exit 77; nothing was sent, the message is kept."""
    token = fresh()
    wrong = "no-such-password"
    if mechanism in ("XOAUTH2", "OAUTHBEARER"):
        wrong = token_for(b"some other key")
    client.configure(AuthMethod=mechanism, AuthPass=wrong)
    outcome = client.run("-t", message=simple(token))

    assert 77 == outcome.status, outcome.stderr
    assert "" == outcome.stdout
    assert 1 == outcome.stderr.count("\n"), outcome.stderr
    assert wrong not in outcome.stderr
    assert 1 == len(outcome.kept)
    assert 0o600 == outcome.kept[0].stat().st_mode & 0o777
    assert token.encode() in outcome.kept[0].read_bytes()
    assert wrong.encode() not in outcome.kept[0].read_bytes()
    assert [] == client.arrived(token)


@every_peer
def test_a_kept_message_is_sent_again(client: Client, far_end: Capture) -> None:
    """`ssmtpctl queue retry ID` delivers what a refused password kept."""
    token = fresh()
    client.configure(AuthPass="no-such-password")
    kept = client.run("-t", message=simple(token, b".\n..\nFrom here\n")).kept
    client.configure()
    assert 1 == len(kept)
    retried = client.run("queue", "retry", kept[0].name, command="ssmtpctl")

    assert 0 == retried.status, retried.stderr
    mail = far_end.wait(token)
    assert b".\n..\nFrom here\n" == mail.body
    assert "ann@example.org" == mail.sender
    assert [] == retried.kept


@every_peer
@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_an_unknown_authority_is_not_trusted(
    client: Client, tmp_path: Path, tls: str
) -> None:
    """A certificate of nobody we know is exit 75, and nothing is sent."""
    token = fresh()
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(stranger)
    client.configure(tls, TLS_CA_File=str(stranger))
    outcome = client.run("-v", "-t", message=simple(token))

    assert 75 == outcome.status, outcome.stderr
    assert "AUTH" not in "".join(re.findall(r"\[->\].*", outcome.stderr))
    assert 1 == len(outcome.kept)
    assert [] == client.arrived(token)


@every_peer
@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_another_host_s_certificate_is_not_trusted(client: Client, tls: str) -> None:
    """A good certificate for another name is exit 75, and nothing is sent."""
    token = fresh()
    port = getattr(client.peer, tls)
    client.configure(tls, Mailhub=f"127.0.0.1:{port}")
    outcome = client.run("-t", message=simple(token))

    assert 75 == outcome.status, outcome.stderr
    assert 1 == outcome.stderr.count("\n"), outcome.stderr
    assert 1 == len(outcome.kept)
    assert [] == client.arrived(token)


@every_peer
@pytest.mark.parametrize("pinned", ["certificate", "another"])
def test_a_pin_replaces_the_chain(
    client: Client, certificates: Certificates, far_end: Capture, pinned: str
) -> None:
    """The pinned certificate is trusted without an authority, another one is not."""
    token = fresh()
    der = ssl.PEM_cert_to_DER_cert(
        certificates.chain.decode().partition("-----END CERTIFICATE-----")[0]
        + "-----END CERTIFICATE-----\n"
    )
    pin = hashlib.sha256(der if pinned == "certificate" else b"another").hexdigest()
    client.configure(TLS_CA_File=None, TLSFingerprint=pin)
    outcome = client.run("-t", message=simple(token))

    if pinned == "certificate":
        assert (0, "") == (outcome.status, outcome.stderr)
        far_end.wait(token)
    else:
        assert 75 == outcome.status
        assert 1 == len(outcome.kept)


@only("exim")
def test_a_client_certificate_authenticates(
    client: Client, authority: trustme.CA, far_end: Capture, tmp_path: Path
) -> None:
    """AUTH EXTERNAL says who the client certificate says we are."""
    token = fresh()
    leaf = authority.issue_cert("client.example.org", common_name=USER)
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(0o600)
    for part in leaf.cert_chain_pems:
        part.write_to_path(tmp_path / "certificate.pem", append=True)
    client.configure(
        UseTLSCert="yes",
        TLSCert=str(tmp_path / "certificate.pem"),
        TLSKey=str(tmp_path / "key.pem"),
        AuthMethod="EXTERNAL",
        AuthPass=None,
    )
    outcome = client.run("-v", "-t", message=simple(token))

    assert 0 == outcome.status, outcome.stderr
    assert re.search(r"\[->\].*AUTH EXTERNAL", outcome.stderr)
    far_end.wait(token)
    client.peer.box.wait_for_log(client.peer.log, f"A=external:{USER}")


@only("dovecot24")
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256"])
def test_channel_binding_is_not_promised_where_it_is_declined(
    client: Client, far_end: Capture, mechanism: str
) -> None:
    """A hub that offers -PLUS takes the plain mechanism that AuthMethod names.

    It would refuse one that says "you cannot bind" as a downgrade (RFC 5802 section 6).
    """
    token = fresh()
    client.configure(AuthMethod=mechanism)
    outcome = client.run("-t", message=simple(token))

    assert (0, "") == (outcome.status, outcome.stderr)
    far_end.wait(token)


@only("dovecot24")
def test_a_binding_that_the_hub_does_not_know(client: Client) -> None:
    """Dovecot 2.4.1 drops who binds to tls-server-end-point: the message is kept.

    It offers -PLUS, and knows tls-unique and tls-exporter alone.
    """
    token = fresh()
    client.configure()
    outcome = client.run("-v", "-t", message=simple(token))

    assert "AUTH SCRAM-SHA-256-PLUS" in outcome.stderr
    assert outcome.status in (75, 77), outcome.stderr
    assert 1 == outcome.stderr.count("[->] AUTH"), outcome.stderr
    assert 1 == len(outcome.kept)


@every_peer
def test_the_second_mailhub_is_a_fallback(client: Client, far_end: Capture) -> None:
    """Where nobody listens on the first mailhub, the second gets the message."""
    token = fresh()
    second = f"localhost:{client.peer.implicit}"
    client.configure(Mailhub=f"localhost:{free_port()}\nMailhub={second}")
    outcome = client.run("-t", message=simple(token))

    assert (0, "") == (outcome.status, outcome.stderr)
    far_end.wait(token)
