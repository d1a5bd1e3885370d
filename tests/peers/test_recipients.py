"""Each real server with the envelope: all recipients or none, and their wishes."""

from __future__ import annotations

import re

import pytest

from tests.peers.capture import DEFERRED, REFUSED, Capture
from tests.peers.marks import every_peer, only, peers_with, simple
from tests.peers.submit import Client, fresh


@every_peer
def test_one_refused_recipient_stops_all(client: Client) -> None:
    """A recipient refused for good is exit 67, and nobody gets the message."""
    token = fresh()
    client.configure()
    outcome = client.run(
        *("-i", f"{token}-a@example.net", REFUSED, f"{token}-b@example.net"),
        message=simple(token),
    )

    assert 67 == outcome.status, outcome.stderr
    assert REFUSED in outcome.stderr
    assert 1 == len(outcome.kept)
    assert [] == client.arrived(token)


@every_peer
def test_the_only_recipient_is_refused(client: Client) -> None:
    """The same for one recipient, where the content may ride in the same flight."""
    client.configure("starttls")
    outcome = client.run("-i", REFUSED, message=simple(fresh()))

    assert 67 == outcome.status, outcome.stderr
    assert REFUSED in outcome.stderr
    assert 1 == len(outcome.kept)


# OpenSMTPD's rules know no refusal for now.
@only("postfix", "exim", "dovecot")
def test_one_deferred_recipient_stops_all(client: Client) -> None:
    """A recipient refused for now is exit 75, and nobody gets the message."""
    token = fresh()
    client.configure()
    outcome = client.run("-i", f"{token}@example.net", DEFERRED, message=simple(token))

    assert 75 == outcome.status, outcome.stderr
    assert 1 == len(outcome.kept)
    assert [] == client.arrived(token)


@every_peer
def test_every_recipient_gets_it_and_bcc_stays_secret(
    client: Client, far_end: Capture
) -> None:
    """To, Cc, Bcc and arguments are recipients, each once; no Bcc field goes out."""
    token = fresh()
    client.configure()
    outcome = client.run(
        *("-t", f"{token}-arg@example.net", f"{token}-to@example.net"),
        message=(
            f"From: ann@example.org\nTo: To <{token}-to@example.net>\n"
            f"Cc: {token}-cc1@example.net,\n {token}-cc2@example.net\n"
            f"bCC : {token}-bcc@example.net\nBcc:\n {token}-bcc2@example.net\n"
            "Subject: to many\n\nHello\n"
        ).encode(),
    )

    assert (0, "") == (outcome.status, outcome.stderr)
    mail = far_end.wait(token, recipients=6)
    wanted = ("arg", "to", "cc1", "cc2", "bcc", "bcc2")
    assert sorted(f"{token}-{w}@example.net" for w in wanted) == sorted(mail.recipients)
    assert f"{token}-bcc".encode() not in mail.content
    assert not re.search(rb"(?im)^bcc", mail.content)


@every_peer
def test_a_hundred_recipients(client: Client, far_end: Capture) -> None:
    """A hundred recipients on the command line all get the message."""
    token = fresh()
    client.configure()
    everybody = [f"{token}-{n}@example.net" for n in range(100)]
    outcome = client.run("-i", *everybody, message=simple(token))

    assert (0, "") == (outcome.status, outcome.stderr)
    assert sorted(everybody) == sorted(far_end.wait(token, 100).recipients)


@every_peer
@pytest.mark.parametrize("argument", ["", "<>"])
def test_the_null_reverse_path(client: Client, far_end: Capture, argument: str) -> None:
    """`-f ''` and `-f '<>'` give the null reverse-path."""
    token = fresh()
    client.configure()
    outcome = client.run("-f", argument, "-t", message=simple(token))

    assert (0, "") == (outcome.status, outcome.stderr)
    assert "" == far_end.wait(token).sender


@peers_with("DSN")
def test_delivery_status_wishes_are_passed_on(client: Client, far_end: Capture) -> None:
    """-N, -R and -V reach the far end through a peer that offers DSN."""
    token = fresh()
    client.configure()
    outcome = client.run(
        *("-v", "-N", "failure,delay", "-R", "hdrs", "-V", "id+42", "-t"),
        message=simple(token),
    )

    assert 0 == outcome.status, outcome.stderr
    mail = far_end.wait(token)
    (wishes,) = mail.recipient_parameters
    notify = re.search(r"NOTIFY=(\S+)", wishes)
    assert notify
    assert {"FAILURE", "DELAY"} == set(notify[1].split(","))
    assert "RET=HDRS" in mail.sender_parameters
    # The + of an xtext is written as +2B (RFC 3461 section 4).
    assert "ENVID=id+2B42" in mail.sender_parameters


@only("dovecot")
def test_delivery_status_wishes_are_no_condition(
    client: Client, far_end: Capture
) -> None:
    """A hub without DSN gets the message all the same."""
    token = fresh()
    client.configure()
    outcome = client.run("-N", "never", "-V", "42", "-t", message=simple(token))

    assert 0 == outcome.status, outcome.stderr
    far_end.wait(token)


@every_peer
def test_an_international_domain(client: Client, far_end: Capture) -> None:
    """A domain that is not ASCII goes out as A-labels, with SMTPUTF8 or without."""
    token = fresh()
    client.configure()
    outcome = client.run("-i", f"{token}@bücher.example", message=simple(token))

    assert (0, "") == (outcome.status, outcome.stderr)
    assert [f"{token}@xn--bcher-kva.example"] == far_end.wait(token).recipients


@peers_with("SMTPUTF8")
def test_an_address_in_utf8(client: Client, far_end: Capture) -> None:
    """SMTPUTF8 carries a local part that is not ASCII."""
    token = fresh()
    client.configure()
    outcome = client.run(
        "-i", f"пошта-{token}@example.net", message=simple("x", "Привіт\n".encode())
    )

    assert (0, "") == (outcome.status, outcome.stderr)
    mail = far_end.wait(token)
    assert [f"пошта-{token}@example.net"] == mail.recipients
    assert "SMTPUTF8" in mail.sender_parameters.upper().split()


@only("opensmtpd", "dovecot")
def test_an_address_in_utf8_needs_smtputf8(client: Client) -> None:
    """Without SMTPUTF8 such an address cannot be sent: exit 65."""
    token = fresh()
    client.configure()
    outcome = client.run("-i", f"пошта-{token}@example.net", message=simple(token))

    assert 65 == outcome.status, outcome.stderr
    assert 1 == len(outcome.kept)
    assert [] == client.arrived(token)
