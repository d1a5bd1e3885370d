"""Which header fields are added, dropped and repaired."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp import config, intake, message
from ssmtp.errors import ConfigError, InputRefused
from tests.unit import strategies as mine
from tests.unit.compose import DATE, NOW, send

SECRET = "secret@hidden.example"
LOST = "From: s@x.example\n"


def test_added_fields():
    """What RFC 5322 wants and the message lacks is put on top."""
    sent = send("Subject: s\n\nb\n")

    assert [
        f"Received: by ws1.corp.example; {DATE}",
        'From: "Alice Example" <alice@corp.example>',
        f"Date: {DATE}",
        "Message-ID: <unique@ws1.corp.example>",
        "Subject: s",
        "To: undisclosed-recipients:;",
        "",
    ] == sent.header().split("\n")
    assert "<unique@ws1.corp.example>" == sent.message.message_id
    assert [] == sent.notes


def test_nothing_else_is_touched():
    """A message that has all is sent byte for byte, behind the Received field."""
    text = (
        "Return-Path: <x@y>\nX-A:1\nreceived: from a by b; c\nSUBJECT:  a\n\tb \n"
        "Message-Id: <p@x>\nDate: Thu, 01 Jan 1970 00:00:00 +0000\nX-A: \tz\n"
        "From:  Z <z@x.example>\ncc: q@x.example\nMIME-version: 1.0\nx-ORDER: last\n"
    )
    sent = send(text + "\nb\n")

    assert f"Received: by ws1.corp.example; {DATE}\n{text}" == sent.header()
    assert "<p@x>" == sent.message.message_id


@given(st.lists(st.tuples(mine.field_names, mine.field_lines), max_size=8))
def test_fields_are_kept(entries):
    """Whatever other fields there are, they arrive in their order, unchanged."""
    entries = [(f"X-{name}", body) for name, body in entries]
    text = "".join(f"{name}:{body}\n" for name, body in entries)
    wire = send(text + "\nb\n").wire(smtputf8=True).decode()

    assert text.replace("\n", "\r\n") in wire


@given(st.text(max_size=200))
def test_only_fields_in_the_header(text):
    """Whatever is piped in, every line of the header section belongs to a field."""
    try:
        sent = send(text)
    except InputRefused:
        return
    for extensions in ({"smtputf8": True}, {"smtputf8": False, "eightbitmime": False}):
        data = sent.wire(**extensions)
        head = data.partition(b"\r\n\r\n")[0].split(b"\r\n")

        assert all(
            (line[:1] in (b" ", b"\t") and line.strip()) or line.partition(b":")[1]
            for line in head
        )
        assert not any(b"\r" in line or b"\n" in line or b"\0" in line for line in head)
        assert all(len(line) <= 998 for line in head)
        assert all(
            1 == len(sent.fields(name, **extensions))
            for name in ("From", "Date", "Message-ID")
        )


@pytest.mark.parametrize("form", mine.BCC_FORMS)
@pytest.mark.parametrize("argv", [["-t"], ["c@x.example"], ["-t", "c@x.example"]])
@pytest.mark.parametrize("crlf", [False, True])
def test_bcc(form, argv, crlf):
    """No form of Bcc leaves, with -t or without, and nobody reads who was in it."""
    text = f"To: t@x.example\n{form.format(SECRET)}\nSubject: s\n\nbody\n"
    sent = send(text.replace("\n", "\r\n") if crlf else text, *argv)
    wire = sent.wire()

    assert SECRET.encode() not in wire
    assert b"bcc" not in wire.lower()
    assert ("-t" in argv) == (SECRET in sent.recipients)


@given(
    st.lists(
        st.sampled_from(mine.BCC_FORMS)
        | st.just("To: t@x.example")
        | st.just("X: y\n z")
        | st.just("Resent-To: r@x.example"),
        max_size=6,
    ),
    st.data(),
)
def test_bcc_anywhere(forms, data):
    """Nor do they in any order, however the input is cut."""
    text = LOST + "".join(f"{f.format(SECRET)}\n" for f in forms) + "\nbody\n"
    blocks = data.draw(mine.splits(text.encode()))

    assert SECRET.encode() not in send(blocks, "c@x.example").wire()


def test_bcc_in_the_body():
    """What looks like a Bcc field in a text is text."""
    assert b"Bcc: a@x\r\n" == send("Subject: s\n\nBcc: a@x\n").body()


def test_bcc_of_the_configuration():
    """An added Bcc is not sent either, but is a recipient where the header counts."""
    sent = send("To: a@x\n\nb\n", "-t", conf=f"AddHeader=Bcc: {SECRET}\n")

    assert SECRET.encode() not in sent.wire()
    assert [SECRET, "a@x"] == sent.recipients


@pytest.mark.parametrize(
    ("head", "to"),
    [
        ("", ["undisclosed-recipients:;"]),
        ("Bcc: x@y\n", ["undisclosed-recipients:;"]),
        ("To:\n", ["undisclosed-recipients:;"]),
        ("To: \nCc: a@x\n", []),
        ("Cc: a@x\n", []),
        ("To: a@x\nCc:\n", ["a@x"]),
        ("To: a@x\nTO: b@x\n", ["a@x", "b@x"]),
    ],
)
def test_destination(head, to):
    """A message without any destination field gets one; an empty one is dropped."""
    sent = send(f"{head}Subject: s\n\nb\n")

    assert to == sent.fields("To")
    assert [f for f in sent.fields("Cc") if not f] == []


@pytest.mark.parametrize(
    ("head", "date", "original"),
    [
        ("", DATE, []),
        ("Date:\n", DATE, []),
        ("Date: yesterday\n", DATE, ["yesterday"]),
        (
            "date : Thu, 1 Jan 1970 00:00:00 +0000\n",
            "Thu, 1 Jan 1970 00:00:00 +0000",
            [],
        ),
        (
            "Date: x\nDate: Thu, 1 Jan 1970 00:00:00 +0000\nDate: x y\n",
            "Thu, 1 Jan 1970 00:00:00 +0000",
            ["x", "x y"],
        ),
    ],
)
def test_date(head, date, original):
    """There is one Date that can be read; another one stays visible."""
    sent = send(f"{head}Subject: s\n\nb\n")

    assert date == sent.field("Date")
    assert original == sent.fields("X-Original-Date")


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ("", "<unique@ws1.corp.example>"),
        ("Message-ID:\n", "<unique@ws1.corp.example>"),
        ("message-id: <a@b>\nMESSAGE-ID: <c@d>\n", "<a@b>"),
        ("Message-ID:\n <a@b>\n", "<a@b>"),
    ],
)
def test_message_id(head, found):
    """There is one Message-ID, and it is known by its text."""
    sent = send(f"{head}Subject: s\n\nb\n")

    assert found == sent.field("Message-ID")
    assert found == sent.message.message_id


def test_received():
    """The Received field says the host and the time, and nothing of the caller."""
    received = send("\nb\n").field("Received")

    assert f"by ws1.corp.example; {DATE}" == received


@pytest.mark.parametrize(
    "host", ["x" * 300, "a b", "a\nb", "wörk", "a;b", 'a"', "a<b>"]
)
def test_odd_host_names(host):
    """A host name that would break a field is not written into one."""
    taken = intake.from_blocks(b"", [b"\nb\n"])
    sent = send("\nb\n")
    mail = message.repair(
        message.parse(taken), taken.body, host=host, now=NOW, **_of(sent)
    )

    assert f" by localhost; {DATE}" == mail.fields[0].body
    assert "<unique@localhost>" == mail.message_id


def _of(sent):
    """Ordinary settings, as `send` makes them."""
    from ssmtp import accounts, address, config, options

    cfg = config.parse(b"mailhub=hub.example\nrewriteDomain=corp.example\n", "x")
    return {
        "config": cfg,
        "identity": accounts.Identity(address.make("a", "x", "t"), "", []),
        "names": accounts.LocalNames(cfg, {}, lambda _: None),
        "options": options.scan("sendmail", ["a@x"]),
    }


@pytest.mark.parametrize(
    ("line", "head", "found"),
    [
        ("X-One: v", "", {"X-One": ["v"]}),
        ("X-One: v", "X-One: w\n", {"X-One": ["v", "w"]}),
        ("From: a@b.example", "", {"From": ["a@b.example"]}),
        ("From: a@b.example", "From: c@d.example\n", {"From": ["c@d.example"]}),
        ("From: root", "", {"From": ['"Alice Example" <alice@corp.example>']}),
        (
            "Date: Thu, 1 Jan 1970 00:00:00 +0000",
            "",
            {"Date": ["Thu, 1 Jan 1970 00:00:00 +0000"]},
        ),
        ("Date: Thu, 1 Jan 1970 00:00:00 +0000", f"Date: {DATE}\n", {"Date": [DATE]}),
        ("Message-ID: <a@b>", "", {"Message-ID": ["<a@b>"]}),
        ("To: root", "", {"To": ["root@corp.example"]}),
        ("X-M: web", "X-M: mine\n", {"X-M": ["web", "mine"]}),
        ("X-M: web", "x-m:  web\n", {"X-M": ["web"]}),
        ("To: root", "To: root@corp.example\n", {"To": ["root@corp.example"]}),
    ],
)
def test_add_header(line, head, found):
    """AddHeader adds a field; one that there may be once counts when it is missing.

    What was kept when the mailhub was away, and goes to the agent, has it already.
    """
    sent = send(f"{head}Subject: s\n\nb\n", conf=f"AddHeader={line}\n")

    assert found == {name: sent.fields(name) for name in found}


@pytest.mark.parametrize("line", ["no field", ": x", "a b: c", "X: a\nY: b"])
def test_add_no_header(line):
    """An AddHeader that is no field is a fault of the configuration, with its line."""
    cfg = config.parse(b"mailhub=hub.example\n", "/etc/x.conf")
    cfg.add_headers.append((4, line))
    with pytest.raises(ConfigError) as caught:
        message.with_added([], cfg)

    assert 78 == caught.value.exit_code
    assert "/etc/x.conf: line 4: AddHeader" in caught.value.what


def test_resent():
    """A resent message gets what RFC 5322 section 3.6.6 wants, before its set."""
    sent = send(
        "Received: x\nResent-To: r@x.example\nFrom: a@b.example\nTo: a@x.example\n"
        "Resent-Bcc: rb@x.example\n\nb\n",
        "-t",
    )

    assert [
        "Received: x",
        'Resent-From: "Alice Example" <alice@corp.example>',
        f"Resent-Date: {DATE}",
        "Resent-Message-ID: <unique.resent@ws1.corp.example>",
        "Resent-To: r@x.example",
        "From: a@b.example",
        "To: a@x.example",
        "",
    ] == sent.header().split("\n")[3:]
    assert ["r@x.example", "rb@x.example"] == sent.recipients


def test_complete_resent_set():
    """A set that is complete gets nothing, and empty fields of it go."""
    head = (
        "Resent-Date: Thu, 1 Jan 1970 00:00:00 +0000\nResent-From: bob\n"
        "Resent-Message-ID: <r@x>\nResent-To: r@x.example\n"
    )
    sent = send(f"{head}Resent-Cc:\nTo: a@x\n\nb\n")

    assert ["bob@corp.example"] == sent.fields("Resent-From")
    assert [1, 1, 1] == [
        len(sent.fields(n)) for n in ("Resent-Date", "Resent-Message-ID", "Resent-To")
    ]
    assert [] == sent.fields("Resent-Cc")


def test_resent_twice():
    """Only the latest resending names recipients; the one before stays as it is."""
    older = "Resent-From: o@x\nResent-Date: x\nResent-To: old@x.example\n"
    for between in ("", "Received: z\n"):
        sent = send(
            f"Resent-From: n@x\nResent-To: new@x.example\n{between}{older}\nb\n",
            "-t",
        )

        assert ["new@x.example"] == sent.recipients
        assert ["new@x.example", "old@x.example"] == sent.fields("Resent-To")
        assert f"{between}{older}" in sent.header()
        assert 2 == len(sent.fields("Resent-Date"))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"Subject: a\nX-Y: b\0c\n\nb\n", "X-Y"),
        (b"Subject: a\n b\0\n\nb\n", "NUL"),
        (b"X-Many: v\n" * 1001 + b"\nb\n", "1001 header fields"),
        (b"X: " + b"y " * 600_000 + b"\n\nb\n", "larger than 1 MiB"),
        (b"X-Many: v\n" * 200_000, "larger than 1 MiB"),
    ],
)
def test_refused(data, complaint):
    """NUL, too many fields and too much of them are refused with exit code 65."""
    with pytest.raises(InputRefused, match=complaint) as caught:
        send(data)

    assert 65 == caught.value.exit_code
    assert caught.value.sentence().isprintable()


def test_thousand_fields():
    """A thousand fields are taken."""
    sent = send(b"X-Many: v\n" * 999 + b"X-Last: 1\n\nb\n")

    assert ["1"] == sent.fields("X-Last")


def test_long_fields():
    """Long lines are folded before anything is sent, whatever the mailhub offers."""
    sent = send("Subject: " + "wörd " * 400 + "\nX-A: " + "word " * 400 + "\n\nb\n")
    for smtputf8 in (True, False):
        head = sent.wire(smtputf8=smtputf8).partition(b"\r\n\r\n")[0]

        assert max(map(len, head.split(b"\r\n"))) <= 998
        assert ("word " * 400).strip() == sent.field("X-A", smtputf8=smtputf8)


def test_restored():
    """A message that was kept goes out again as it is."""
    sent = send("Subject: Größe\nBcc: x@y\n\nñ\n")
    data = sent.wire(smtputf8=True)
    again = message.restore(intake.from_blocks(b"", [data]))

    assert data == b"".join(again.render(True, True).blocks())
    assert sent.message.message_id == again.message_id
    assert [] == again.notes


def test_empty_input():
    """Nothing at all becomes a message with an empty body."""
    sent = send("")

    assert b"" == sent.body()
    assert 1 == len(sent.fields("From"))


@given(mine.raw_bytes, st.data())
def test_wire_is_clean(raw, data):
    """For any input, no bare CR or LF and no NUL is in what would be sent."""
    try:
        sent = send(data.draw(mine.splits(b"Subject: s\n" + raw)))
    except InputRefused:
        return
    for eightbitmime in (True, False):
        wire = sent.wire(eightbitmime=eightbitmime)
        rest = wire.replace(b"\r\n", b"")

        assert not any(c in rest for c in (b"\r", b"\n", b"\0"))
        assert wire.endswith(b"\r\n")
        assert eightbitmime or wire.isascii()
