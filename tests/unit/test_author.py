"""The From field, and names without a domain in the other address fields."""

from __future__ import annotations

import pytest

from ssmtp import address, encodedword
from ssmtp.errors import InputRefused
from tests.unit.compose import send

YES = "FromLineOverride=yes\n"
FORCE = "ForceFrom=yes\n"
MADE = '"Alice Example" <alice@corp.example>'


@pytest.mark.parametrize("conf", ["", YES, FORCE])
@pytest.mark.parametrize(
    "stdin",
    [
        "",
        "\nb\n",
        "Subject: s\n\nb\n",
        "From:\n\nb\n",
        "From: <>\n\nb\n",
        "from :  \n\nb\n",
    ],
)
def test_missing(conf, stdin):
    """A missing or empty From field is made from the identity."""
    assert MADE == send(stdin, conf=conf).field("From")


@pytest.mark.parametrize("conf", ["", YES])
@pytest.mark.parametrize(
    "body",
    [
        " doc@writer.example",
        ' "Doc Writer" <doc@writer.example>',
        "doc@writer.example",
        " Doc\n Writer <doc@writer.example> (c)",
        " a@one.example, b@two.example",
        " Group: a@one.example;",
        " doc@[192.0.2.1]",
        " root@localhost.example",
    ],
)
def test_complete(conf, body):
    """A complete one is left as it is, byte for byte."""
    assert (
        f"From:{body}\n" in send(f"From:{body}\nSubject: s\n\nb\n", conf=conf).header()
    )


@pytest.mark.parametrize(
    ("body", "written"),
    [
        ("root", '"Alice Example" <alice@corp.example>'),
        ("root (Cron Daemon)", '"Cron Daemon" <alice@corp.example>'),
        ("mdadm monitoring <root>", '"mdadm monitoring" <alice@corp.example>'),
        ("alice@localhost", MADE),
        ("Alice <alice@localhost.localdomain>", '"Alice" <alice@corp.example>'),
        ("alice@ws1", MADE),
        ("Cron Daemon", '"Cron Daemon" <alice@corp.example>'),
        ('"Backup, daily"', '"Backup, daily" <alice@corp.example>'),
        ("=?utf-8?q?Backup?=", '"Backup" <alice@corp.example>'),
        ("(nobody)", '"nobody" <alice@corp.example>'),
        ("=?utf-8?q?J=C3=B6rg?= <root>", "=?utf-8?b?SsO2cmc=?= <alice@corp.example>"),
    ],
)
def test_bare_or_local(body, written):
    """A bare or local one becomes the identity, and its display name stays."""
    assert written == send(f"From: {body}\n\nb\n").field("From")


@pytest.mark.parametrize(
    ("body", "written"),
    [
        ("root", "root@corp.example"),
        ("x", "x@corp.example"),
        ("root (Cron Daemon)", "root@corp.example (Cron Daemon)"),
        ("mdadm monitoring <root>", "mdadm monitoring <root@corp.example>"),
        ("alice@localhost", "alice@localhost"),
        ("Cron Daemon", '"Cron Daemon" <alice@corp.example>'),
        ('"Backup, daily"', '"Backup, daily" <alice@corp.example>'),
        ("=?utf-8?q?Backup?=", '"Backup" <alice@corp.example>'),
        ("X <a@b.example", "X <a@b.example>"),
        ("root, a@b.example", "root@corp.example, a@b.example"),
    ],
)
def test_override(body, written):
    """Under FromLineOverride the author counts, and only what lacks is added."""
    assert written == send(f"From: {body}\n\nb\n", conf=YES).field("From")


def test_root_writes():
    """With Root set, a bare root is the address of Root, as for a recipient."""
    sent = send(
        "From: mdadm monitoring <root>\n\nb\n", conf=YES + "Root=admin@x.example\n"
    )

    assert "mdadm monitoring <admin@x.example>" == sent.field("From")


@pytest.mark.parametrize(
    ("argv", "conf", "written"),
    [
        (["-f", "env@s.example"], YES, '"Alice Example" <env@s.example>'),
        (["-fenv"], YES, '"Alice Example" <env@corp.example>'),
        (["-f", "Some One <env@s.example>"], YES, '"Some One" <env@s.example>'),
        (["-f", "Some One <env@s.example>", "-F", "N"], YES, '"N" <env@s.example>'),
        (["-f", ""], YES, MADE),
        (["-f", "<>"], YES, MADE),
        (["-f", "env@s.example"], "", MADE),
        (["-f", "env@s.example"], YES + FORCE, MADE),
        (["-F", 'He said "hi"'], "", r'"He said \"hi\"" <alice@corp.example>'),
        (["-F", ""], "", "alice@corp.example"),
        (["-F", "José"], "", "=?utf-8?b?Sm9zw6k=?= <alice@corp.example>"),
        (["-F", "Eve\nX-Injected: 1"], YES, '"Eve X-Injected: 1" <alice@corp.example>'),
    ],
)
def test_arguments(argv, conf, written):
    """-F is the full name, and -f the address where it may override."""
    assert written == send("\nb\n", *argv, "a@b", conf=conf).field("From")


@pytest.mark.parametrize(
    ("gecos", "written"),
    [
        ("", "alice@corp.example"),
        ("root at myhost", '"root at myhost" <alice@corp.example>'),
        ("A\nBcc: x@y", '"A Bcc: x@y" <alice@corp.example>'),
        ("Jos\udce9", "=?iso-8859-1?q?Jos=E9?= <alice@corp.example>"),
    ],
)
def test_full_name(gecos, written):
    """The full name is quoted or encoded as it must be, and begins no field."""
    assert written == send("\nb\n", gecos=gecos).field("From")


@pytest.mark.parametrize(
    ("body", "written"),
    [
        ("Doc <doc@writer.example>", '"Doc" <alice@corp.example>'),
        ("doc@writer.example", MADE),
        ("root", MADE),
        ("not > readable", MADE),
        ("Jörg <j@x.example>", "=?utf-8?b?SsO2cmc=?= <alice@corp.example>"),
        ("a@x, b@y", MADE),
    ],
)
def test_force(body, written):
    """ForceFrom puts the identity into From, and shows what the author wrote."""
    for conf in (FORCE, FORCE + YES):
        sent = send(f"From: {body}\n\nb\n", conf=conf)

        assert written == sent.field("From", smtputf8=True)
        assert body == sent.field("X-Original-From", smtputf8=True)


def test_force_what_is_right_already():
    """ForceFrom leaves a From field alone that holds the identity already."""
    sent = send("From: Me <alice@CORP.example>\n\nb\n", conf=FORCE)

    assert "Me <alice@CORP.example>" == sent.field("From")
    assert [] == sent.fields("X-Original-From")


@pytest.mark.parametrize("name", ["x" * 5000, "word " * 1000, "ü" * 2000])
def test_endless_names(name):
    """A name of any length is written, in lines that are short enough."""
    sent = send("\nb\n", "-F", name, "a@b")
    head = sent.wire().partition(b"\r\n\r\n")[0]
    (box,) = address.parse_list(sent.field("From"), "From")

    assert name.strip() == box.name
    assert max(map(len, head.split(b"\r\n"))) <= 998


def test_endless_author():
    """A From field of any length is shown, where it is not used."""
    sent = send(f"From: {'x' * 2000}@y\n\nb\n", conf=FORCE)
    (original,) = sent.fields("X-Original-From")

    assert "x" * 2000 + "@y" == encodedword.decode(original)


def test_force_odd_address():
    """An address that could not be sent is no obstacle to ForceFrom."""
    sent = send(f"From: {'x' * 100}@y\n\nb\n", conf=FORCE)

    assert MADE == sent.field("From")


def test_unreadable():
    """A From field that nobody can read is shown, but not used."""
    sent = send("From: x@y.example>\n RCPT TO:<evil@x>\n\nb\n")

    assert MADE == sent.field("From")
    assert "x@y.example> RCPT TO:<evil@x>" == sent.field("X-Original-From")
    assert 1 == len(sent.notes)


def test_hopeless_author():
    """So is a bare name that no address can be made of."""
    sent = send(f"From: {'x' * 80}\n\nb\n", "-f", "a@b", "to@x", conf=YES)

    assert '"Alice Example" <a@b>' == sent.field("From")
    assert "x" * 80 == sent.field("X-Original-From")


def test_unreadable_under_override():
    """Where it would decide who gets bounces, it is refused."""
    with pytest.raises(InputRefused, match="From"):
        send("From: x@y.example>\n RCPT TO:<evil@x>\n\nb\n", conf=YES)


@pytest.mark.parametrize("conf", ["", YES])
def test_two_from_fields(conf):
    """Of two From fields the first counts, and the other stays visible."""
    sent = send("From: a@one.example\nFROM: b@two.example\n\nb\n", conf=conf)

    assert "a@one.example" == sent.field("From")
    assert "b@two.example" == sent.field("X-Original-From")


@pytest.mark.parametrize(
    ("body", "written"),
    [
        ("root", "root@corp.example"),
        ("root, a@x", "root@corp.example, a@x"),
        ("Team: root, bob;", "Team: root@corp.example, bob@corp.example;"),
        ('"Root, R." <root> (r)', '"Root, R." <root@corp.example> (r)'),
        ('"odd name"', '"odd name"@corp.example'),
        ("a@x,\n\troot", "a@x,\troot@corp.example"),
        ("X <a@x", "X <a@x>"),
        ("X <bob, Y <b@y>", "X <bob@corp.example>, Y <b@y>"),
        ("a@x", "a@x"),
        ("John Doe", "John Doe"),
        ("undisclosed-recipients:;", "undisclosed-recipients:;"),
        ("<>", "<>"),
    ],
)
@pytest.mark.parametrize(
    "name", ["To", "Cc", "Reply-To", "Sender", "Resent-To", "Resent-From"]
)
def test_bare_names(name, body, written):
    """Bare names in address fields are completed where they stand."""
    assert written == send(f"{name}: {body}\nX: root\n\nb\n").field(name)


def test_aliases_in_fields():
    """A bare name that is an alias becomes what it stands for."""
    aliases = {"root": ["a@x", "b@y"], "team": ["c@z"]}
    sent = send(
        "To: root\nCc: Root <root>, team\nSender: root\nFrom: team\n\nb\n",
        aliases=aliases,
        conf=YES,
    )

    assert "a@x, b@y" == sent.field("To")
    assert "Root <a@x>, <b@y>, c@z" == sent.field("Cc")
    assert "a@x" == sent.field("Sender")
    assert "c@z" == sent.field("From")


def test_root_in_fields():
    """A bare system user becomes Root, a bare ordinary user gets the domain."""
    sent = send("To: daemon, bob\n\nb\n", conf="Root=admin@x.example\n")

    assert "admin@x.example, bob@corp.example" == sent.field("To")


def test_hopeless_names():
    """A bare name that no address can be made of stays, with a note."""
    sent = send(f"Cc: {'x' * 80}\n\nb\n")

    assert "x" * 80 == sent.field("Cc")
    assert 1 == len(sent.notes)
