"""Who gets the message, and who is told when something goes wrong."""

from __future__ import annotations

import pytest

from ssmtp.errors import InputRefused, UsageError
from tests.unit.compose import send

YES = "FromLineOverride=yes\n"
TEXT = "From: Doc <doc@writer.example>\nTo: a@x.example\n\nb\n"


@pytest.mark.parametrize(
    ("conf", "argv", "head", "path"),
    [
        ("", [], "", "alice@corp.example"),
        ("", [], "From: doc@writer.example\n", "alice@corp.example"),
        ("", ["-f", "env@s.example"], "", "alice@corp.example"),
        ("", ["-f", "not > one"], "", "alice@corp.example"),
        ("", ["-f", ""], "", ""),
        ("", ["-f", "<>"], "From: a@b\n", ""),
        ("", ["-f", " <> "], "", ""),
        ("", ["-r", "<>"], "", ""),
        (YES, [], "", "alice@corp.example"),
        (YES, [], "From: Doc <doc@writer.example>\n", "doc@writer.example"),
        (YES, [], "from: a@one, b@two\n", "a@one"),
        (YES, [], "From: Team: a@one, b@two;\n", "a@one"),
        (YES, [], "From: bob\n", "bob@corp.example"),
        (YES, [], "From: bob (Bob)\n", "bob@corp.example"),
        (YES, [], "From: <>\n", "alice@corp.example"),
        (YES, [], "From: (nobody)\n", "alice@corp.example"),
        (YES, [], "From: Cron Daemon\n", "alice@corp.example"),
        (YES, [], "From:\nFrom: b@two\n", "b@two"),
        (YES, [], "From: a@one\nFrom: b@two\n", "a@one"),
        (YES, ["-f", "env@s.example"], "From: a@b\n", "env@s.example"),
        (YES, ["-f", "Some One <env@s.example>"], "", "env@s.example"),
        (YES, ["-renv"], "From: a@b\n", "env@corp.example"),
        (YES, ["-f", ""], "From: a@b\n", ""),
        (YES, ["-f", "<>"], "From: a@b\n", ""),
        (YES, ["-f", "( )"], "From: a@b\n", ""),
        (YES, [], "Resent-From: r@b\nResent-To: x@y\nFrom: a@b\n", "r@b"),
        (YES, [], "Resent-To: x@y\nFrom: a@b\n", "a@b"),
        (YES + "AddHeader=From: add@b\n", [], "", "add@b"),
        (YES + "AddHeader=From: add@b\n", [], "From: own@b\n", "own@b"),
        (YES + "Root=admin@x\n", ["-f", "root"], "", "admin@x"),
        (YES + "ForceFrom=yes\n", [], "From: a@b\n", "alice@corp.example"),
        (YES + "ForceFrom=yes\n", ["-f", "env@s"], "From: a@b\n", "env@s"),
        ("ForceFrom=yes\n", [], "From: a@b\n", "alice@corp.example"),
    ],
)
def test_reverse_path(conf, argv, head, path):
    """The rules of FromLineOverride: -f, else the author, else the identity."""
    sent = send(f"{head}Subject: s\n\nb\n", *argv, "to@x.example", conf=conf)

    assert path == sent.reverse_path


def test_revaliases_address():
    """The identity's address stands wherever nobody may override it."""
    sent = send("Subject: s\n\nb\n", identity="alias@rev.example")

    assert "alias@rev.example" == sent.reverse_path
    assert '"Alice Example" <alias@rev.example>' == sent.field("From")


@pytest.mark.parametrize(
    "what", ["s@x>\nRCPT TO:<evil@y", "s@x\rX: 1", "a b", "a@x, b@x", "x@y> SIZE=1"]
)
def test_bad_f(what):
    """An -f that would count and cannot be an address is refused."""
    with pytest.raises(InputRefused) as caught:
        send("\nb\n", "-f", what, "to@x.example", conf=YES)

    assert 65 == caught.value.exit_code


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["a@x", "b@x"], ["a@x", "b@x"]),
        (["a@x,b@x, c@x"], ["a@x", "b@x", "c@x"]),
        (['"Doe, John" <a@x>'], ["a@x"]),
        (["a@x (Some One)"], ["a@x"]),
        ([" a@x "], ["a@x"]),
        (["a@x", "<a@x>", "a@X"], ["a@x"]),
        (["A@x", "a@x"], ["A@x", "a@x"]),
        (["", "a@x", "<>"], ["a@x"]),
        (["bob"], ["bob@corp.example"]),
        (["bob", "bob"], ["bob@corp.example"]),
        (["bob", "bob@corp.example", "Bob"], ["bob@corp.example", "Bob@corp.example"]),
        (["--", "-oQ@x"], ["-oQ@x"]),
        (['"a b"@x'], ['"a b"@x']),
        (["-t"], ["a@x.example"]),
        (["-t", "b@x", "a@X.example"], ["b@x", "a@X.example"]),
        (["jürgen@bücher.example"], ["jürgen@bücher.example"]),
    ],
)
def test_recipients(argv, found):
    """Arguments and, with -t, the header together are the recipients, each once."""
    assert found == send(TEXT, *argv).recipients


def test_fields_with_recipients():
    """-t takes To, Cc and Bcc, however often they come."""
    sent = send(
        "To: a@x, root\nCC : c@x\nBcc: b@x\nto: d@x\nReply-To: no@x\nX-To: no@x\n\nb\n",
        "-t",
        conf="Root=admin@y\n",
    )

    assert ["a@x", "admin@y", "c@x", "b@x", "d@x"] == sent.recipients


def test_aliases():
    """A bare name that is an alias means everybody whom it stands for, once."""
    sent = send("\nb\n", "team", "b@y", aliases={"team": ["a@x", "b@y", "bob"]})

    assert ["a@x", "b@y", "bob@corp.example"] == sent.recipients


@pytest.mark.parametrize(
    ("argv", "head"),
    [
        ([""], "To: a@x\n"),
        ([" "], ""),
        (["<>"], ""),
        (["-t"], "Subject: s\n"),
        (["-t"], "To:\n"),
        (["-t"], "To: undisclosed-recipients:;\n"),
        (["-t"], "Resent-From: a@b\nTo: a@x\n"),
        (["-t"], "\nTo: a@x\n"),
    ],
)
def test_nobody(argv, head):
    """Nobody to send to is a usage error: exit code 64, and what to do."""
    with pytest.raises(UsageError) as caught:
        send(f"{head}\nb\n", *argv)

    assert 64 == caught.value.exit_code
    assert caught.value.next_step


@pytest.mark.parametrize(
    "argument",
    [
        "a@x>\r\nRCPT TO:<evil@y",
        "a@x>\x01RCPT",
        "a@x> NOTIFY=SUCCESS",
        "a b@x",
        "x" * 100_000 + "@y",
        "a@[evil]",
        "a@x..y",
    ],
)
def test_bad_recipients(argument):
    """A recipient that could mean a second command is refused: exit code 65."""
    with pytest.raises(InputRefused) as caught:
        send("\nb\n", argument)

    assert 65 == caught.value.exit_code
    assert caught.value.sentence().isprintable()
    assert len(caught.value.sentence()) < 200


def test_bad_recipient_in_the_header():
    """With -t one list that cannot be read stops all: nobody is left out silently."""
    with pytest.raises(InputRefused, match="Cc"):
        send("To: a@x\nCc: John Doe\n\nb\n", "-t")


def test_wishes():
    """Delivery report wishes and the body type are passed on."""
    sent = send(
        "\nb\n",
        "-N",
        "success,failure",
        "-R",
        "hdrs",
        "-V",
        "id1",
        "-B",
        "8BITMIME",
        "a@x",
    )
    env = sent.envelope

    assert ("SUCCESS,FAILURE", "HDRS", "id1", "8BITMIME") == (
        env.notify,
        env.ret,
        env.envid,
        env.body,
    )


def test_smtputf8():
    """Only a local part beyond ASCII needs SMTPUTF8."""
    assert not send("\nb\n", "a@bücher.example").envelope.needs_smtputf8
    assert send("\nb\n", "jürgen@x").envelope.needs_smtputf8
    assert send("\nb\n", "-f", "jürgen@x", "a@x", conf=YES).envelope.needs_smtputf8
    assert not send("\nb\n", "-f", "", "a@x").envelope.needs_smtputf8
