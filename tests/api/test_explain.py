"""`ssmtpctl explain` tells what sendmail would do, all of it, and does none of it."""

from __future__ import annotations

import collections
import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp import header, intake, message
from ssmtp import options as option_table
from ssmtp.accounts import Caller, LocalNames, identify, parse_aliases
from ssmtp.config import parse
from ssmtp.ctl import reasons
from ssmtp.header import Field
from ssmtp.stamp import Stamp

ROOT = Path(__file__).parents[2]
MESSAGE = b"From: root\nTo: bob, ann@example.org\nBcc: s@example.org\n\nhi\n"


@pytest.fixture
def explain(mailsink, kept):
    """Run `ssmtpctl explain --json`; returns what it told, or its error."""

    def run(*words, text=MESSAGE, config="", revaliases=None):
        with mailsink.config.open("a") as file:
            file.write(config)
        if revaliases is not None:
            (mailsink.config.parent / "revaliases").write_text(revaliases)
        done = subprocess.run(
            [
                ROOT / "bin" / "ssmtpctl",
                "explain",
                "--json",
                "--",
                *("-C", mailsink.config),
                *words,
            ],
            input=text,
            capture_output=True,
        )
        assert [] == [*mailsink.messages, *kept()]
        if done.returncode:
            return done.returncode, done.stderr.decode()
        return json.loads(done.stdout)

    return run


def test_what_it_says_is_what_happens(explain, mailsink, tmp_path):
    """The envelope and the header are those of the message when it is sent."""
    text = b"x:1\nFrom: root\nto: bob\nBcc: s@example.org\nDate: never\n\nh\xc3\xa4\n"
    told = explain(text=text, config="Hostname=h.example\n")
    subprocess.run(
        [ROOT / "bin" / "sendmail", "-C", mailsink.config, "-t"],
        input=text,
        check=True,
    )
    [mail] = mailsink.messages
    sent = [f"{name}: {value}" for name, value in mail.message.raw_items()]
    old = [change["before"] for change in told["header"] if change["before"]]
    new = [change["after"] for change in told["header"] if change["after"]]

    assert mail.sender == told["from"]
    assert mail.recipients == [one["address"] for one in told["to"]]
    assert "To: bob@h.example".lower() in [field.lower() for field in new]
    assert {name.partition(":")[0] for name in new} <= {
        name.partition(":")[0] for name in sent
    }
    assert len(mail.octets) == told["content"][0]["size"]
    assert ["From: root", "to: bob", "Date: never", "Bcc: s@example.org"] == old
    assert ["added", "added", "added", "changed", "changed", "changed", "removed"] == [
        change["change"] for change in told["header"]
    ]
    assert all(change["rule"] for change in told["header"])


@pytest.mark.parametrize(
    ("words", "config", "sender", "rule"),
    [
        ([], "", None, "FromLineOverride is not set"),
        (["-f", "x@y.example"], "", None, "FromLineOverride is not set"),
        (["-f", "x@y.example"], "FromLineOverride=yes\n", "x@y.example", "-f, which"),
        (["-f", ""], "", "", "null reverse-path"),
        ([], "FromLineOverride=yes\n", "me@z.example", "first author"),
        ([], "FromLineOverride=yes\nForceFrom=yes\n", None, "your own address"),
    ],
)
def test_the_sender(explain, words, config, sender, rule):
    """The reverse-path comes with the rule that made it."""
    text = b"From: me@z.example\nTo: ann@example.org\n\nhi\n"
    told = explain(*words, text=text, config=f"Hostname=h.example\n{config}")
    own = told["from"].endswith("@h.example")

    assert rule in told["from_rule"]
    assert own if sender is None else sender == told["from"]


def test_revaliases(explain):
    """The line of revaliases that decides is named, for the address and the mailhub."""
    login = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
    told = explain(revaliases=f"\n{login}:me@corp.example:hub.example:465\n")

    assert "me@corp.example" == told["from"]
    assert "revaliases, line 2 (From" in told["from_rule"]
    assert ["hub.example:465"] == [hub["mailhub"] for hub in told["mailhubs"]]
    assert told["mailhubs"][0]["rule"].endswith("revaliases, line 2")


def test_recipients(explain, tmp_path):
    """Every recipient comes with the argument or field, and the rule for its name."""
    (tmp_path / "aliases").write_text("team: ann@example.org, bob@example.org\n")
    told = explain(
        "-t",
        "team",
        "root",
        "zoe",
        "ann@example.org",
        text=b"To: x@example.org, ann@example.org\n\nhi\n",
        config=f"Aliases={tmp_path}/aliases\nRoot=ops@example.org\n"
        "RewriteDomain=corp.example\n",
    )

    assert {
        "ann@example.org": f"team in an argument: an alias in {tmp_path}/aliases",
        "bob@example.org": f"team in an argument: an alias in {tmp_path}/aliases",
        "ops@example.org": "root in an argument: Root, because its uid is below 1000",
        "zoe@corp.example": "zoe in an argument: a name without @ gets the domain of"
        " RewriteDomain",
        "x@example.org": "the header",
    } == {one["address"]: one["rule"] for one in told["to"]}


@pytest.mark.parametrize(
    ("lines", "tls", "rule"),
    [
        ("mailhub=h:465", "implicit", "port 465"),
        ("mailhub=h:587", "starttls", "port 587"),
        ("mailhub=h", "opportunistic", "port 25"),
        ("mailhub=h:465\nUseSTARTTLS=yes", "implicit", "UseSTARTTLS on port 465"),
        ("mailhub=h\nUseSTARTTLS=yes", "starttls", "UseSTARTTLS"),
        ("mailhub=h\nUseSTARTTLS=no", "none", "UseSTARTTLS=no"),
        ("mailhub=h:587\nUseTLS=yes", "implicit", "UseTLS=yes"),
        ("mailhub=h:587\nUseTLS=no", "none", "UseTLS=no"),
        (f"mailhub=h\nTLSFingerprint={'ab' * 32}", "starttls", "TLSFingerprint"),
        ("mailhub=unix:/run/x", "none", "a Unix socket"),
    ],
)
def test_the_mailhub(explain, mailsink, lines, tls, rule):
    """The mailhub comes with the reason for its TLS."""
    mailsink.config.write_text(f"{lines}\nmailhub=other:2525\n")
    told = explain()
    first, second = told["mailhubs"]

    assert (tls, rule, "none") == (first["tls"], first["tls_rule"], first["auth"])
    assert f"Mailhub in {mailsink.config}" == first["rule"]
    assert second["rule"].endswith(": a fallback")


def test_auth(explain, mailsink):
    """The source of the password is named, and not asked."""
    config = "AuthUser=me\nAuthPassCommand=/bin/false\n"

    assert (
        "as me, password from AuthPassCommand"
        == (explain(config=config)["mailhubs"][0]["auth"])
    )


@pytest.mark.parametrize(
    ("words", "text", "config", "code", "said"),
    [
        ([], b"To: a@@b\n\nx\n", "", 65, "more than one @"),
        ([], b"Subject: x\n\ny\n", "", 64, "nobody to send to"),
        ([], MESSAGE, "Nonsense=1\n", 78, "unknown key"),
        ([], MESSAGE, "AuthUser=me\n", 77, "no password"),
        (["-bp"], MESSAGE, "", 64, "only what sends a message"),
    ],
)
def test_what_sendmail_would_refuse(explain, words, text, config, code, said):
    """What sendmail refuses is refused with the same exit code."""
    ended, err = explain(*words, text=text, config=config)

    assert code == ended
    assert said in err


def test_for_a_person(mailsink, kept):
    """The text holds every part, and nothing that a terminal acts on."""
    with mailsink.config.open("a") as file:
        file.write("UseTLS=yes\nUseSTARTTLS=no\nHostname=_HOSTNAME_\n")
    done = subprocess.run(
        [ROOT / "bin" / "ssmtpctl", "explain", "--", "-C", mailsink.config],
        input=b"From x Mon Jan  1 10:00:00 2026\nTo: a@x.ex\nX: \x1b[2J\xff\n\nhi\n",
        capture_output=True,
        check=True,
    )
    said = done.stdout.decode()
    titles = [line for line in said.splitlines() if line[:1] not in (" ", "")]

    assert ["Envelope", "Mailhub", "Message"] == titles[1:4]
    assert "  Hostname: the placeholder _HOSTNAME_ counts as not set\n" in said
    assert "! mbox line at the beginning dropped" in said
    assert "\n  ~ X: \\x1b[2J\\xff\n" in said
    assert "\x1b" not in said


def test_the_agent(explain, tmp_path):
    """A message that would go to the agent says so."""
    (tmp_path / "sock").touch()
    told = explain(config=f"Delivery=agent\nAgentSocket={tmp_path}/sock\n")

    assert f"{tmp_path}/sock" == told["agent"]


FIELD = st.sampled_from(
    [
        b"From: root",
        b"From:",
        b"from: Ann <ann@x.example>",
        b"From: a@b@c",
        b"To: bob, \xff <x@y.example>",
        b"To:",
        b"CC: undisclosed-recipients:;",
        b"Bcc: s@x.example",
        b"Resent-Bcc: s@x.example",
        b"Resent-To: q@x.example",
        b"Resent-From:",
        b"Date: never",
        b"Date:",
        b"Date: Sat, 21 Nov 2026 21:14:09 +0000",
        b"Message-ID: <1@x.example>",
        b"Message-ID:",
        b"Sender: root",
        b"Reply-To: a@b@c",
        b"Subject: Gr\xc3\xbc\xc3\x9fe",
        b"X-Raw: \xff",
        b"X-Long: " + b"word " * 250,
        b"X-Folded: a\n b\n \n c",
    ]
)
CONFIGS = ("", "ForceFrom=yes\n", "FromLineOverride=yes\n", "AddHeader=X-A: b\n")


@given(st.lists(FIELD, max_size=9), st.sampled_from(CONFIGS), st.booleans())
def test_every_change_is_told(lines, text, dash_f):
    """What is told, done to the header that was read, makes the header that is sent."""
    config = parse(b"mailhub=h\nhostname=h.example\n" + text.encode(), "/c")
    identity = identify(Caller(os.getuid(), "me", "Me", None), config, [])
    names = LocalNames(config, parse_aliases(b"", "a"), lambda name: None)
    taken = intake.from_blocks(b"", [b"\n".join(lines), b"\n\nhi\n"])
    asked = option_table.scan("sendmail", ["-f", "f@x.example"] if dash_f else [])
    before = message.parse(taken)
    done = message.repair(
        message.parse(taken),
        taken.body,
        config=config,
        identity=identity,
        names=names,
        options=asked,
        now=Stamp(0, 0, "u"),
    )

    def written(fields: list[Field]) -> collections.Counter[str]:
        return collections.Counter(map(reasons._written, fields))

    result = written(before)
    for change in reasons.changes(before, done.fields):
        assert change["rule"]
        result.subtract([change["before"]] if change["before"] else [])
        result.update([change["after"]] if change["after"] else [])

    assert written(done.fields) == +result
    assert all(count >= 0 for count in result.values())
    assert header.write(done.fields)
