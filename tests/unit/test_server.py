"""The server's side of SMTP gives the right reply, however the input is cut."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ssmtp.errors import AuthRefused
from ssmtp.smtp import paths, sasl
from ssmtp.smtp.events import (
    Abandoned,
    Begin,
    Content,
    End,
    Recipient,
    Sender,
    StartTls,
    Verb,
)
from ssmtp.smtp.incoming import Chunk, Data
from ssmtp.smtp.rules import Rules
from ssmtp.smtp.server import Session
from ssmtp.smtp.verify import verification

HELLO = b"EHLO c.example\r\n"
MAIL = b"MAIL FROM:<a@b.example>\r\n"
RCPT = b"RCPT TO:<c@d.example>\r\n"
ENVELOPE = HELLO + MAIL + RCPT


class Driver:
    """Feeds a session, accepts everything, and remembers what happened."""

    def __init__(self, rules: Rules | None = None, *, secure: bool = False) -> None:
        self.session = Session(rules or Rules("hub.example"), secure=secure)
        self.replies = b""
        self.messages: list[tuple[str, list[str], bytes]] = []
        self.abandoned = 0
        self.content = b""
        self.begun = False
        self.refuse: dict[str, tuple[int, str, str]] = {}
        self.verdict: tuple[int, str | None, str | list[str]] = (250, "2.0.0", "ok")
        self._run()

    def say(self, *pieces: bytes) -> list[str]:
        """Send pieces and return the new reply lines."""
        before = len(self.replies)
        for piece in pieces:
            if piece:
                self.session.receive(piece)
                self._run()
        return self.replies[before:].decode("ascii").splitlines()

    def codes(self, *pieces: bytes) -> list[int]:
        """Send pieces and return the codes of the replies."""
        lines = self.say(*pieces)
        return [int(line[:3]) for line in lines if line[3:4] != "-"]

    def heads(self, *pieces: bytes) -> list[str]:
        """Send pieces and return codes and statuses, or the reply where none is."""
        lines = [line for line in self.say(*pieces) if line[3:4] != "-"]
        return [
            " ".join(line.split()[:2]) if "." in line[4:7] else line for line in lines
        ]

    def end(self) -> None:
        """Send no more."""
        self.session.receive(b"")
        self._run()

    def _run(self) -> None:
        while (event := self.session.next_event()) is not None:
            transaction = self.session.transaction
            if isinstance(event, Sender | Recipient):
                if event.path.text in self.refuse:
                    self.session.refuse(*self.refuse[event.path.text])
            elif isinstance(event, Begin):
                assert not self.begun
                self.content = b""
                self.begun = True
            elif isinstance(event, Content):
                assert self.begun
                self.content += event.block
            elif isinstance(event, Abandoned):
                assert self.begun
                self.abandoned += 1
                self.begun = False
            elif isinstance(event, StartTls):
                self.session.tls_started()
            elif isinstance(event, End):
                assert self.begun
                assert transaction is not None
                self.begun = False
                self.messages.append(
                    (
                        transaction.sender.text,
                        [path.text for path in transaction.recipients],
                        self.content,
                    )
                )
                self.session.answer(*self.verdict)
        said = self.session.output()
        self.replies += said
        for line in said.decode("ascii").splitlines():
            check_reply(line)


REPLY = re.compile(r"([2-5])\d\d[ -](?:([2-5])\.\d{1,3}\.\d{1,3} )?(.*)")
VERBS = "AUTH BDAT DATA ETRN EXPN FROM:<address> MAIL RFC STARTTLS TO:<address> VRFY"
IN_CAPITALS = {"auth", "bdat", "ehlo", "http", "smtputf8", "starttls", "tls", "vrfy"}


def check_reply(line: str) -> None:
    """A reply has the status of its code (RFC 2034), and words that a person can read.

    Without a status are the greeting, what answers EHLO, 334 and 354.
    """
    match = REPLY.fullmatch(line)
    assert match, line
    if match[2] is None:
        assert line[:3] in ("220", "250", "334", "354"), line
        if line[:3] != "354":
            return
    elif line[:3] != "214":
        assert match[1] == match[2], line
    words = match[3].split()
    assert words[0].islower() or words[0] in VERBS.split() or "cannot be" in line, line
    assert len(words) == 1 or not match[3].isupper(), line
    assert not IN_CAPITALS & {word.strip(":,") for word in words}, line


def test_greeting():
    """The server speaks first."""
    assert b"220 hub.example ESMTP\r\n" == Driver().replies


def test_ehlo():
    """EHLO lists what the rules offer."""
    rules = Rules("hub.example", size_limit=1000, starttls=True)

    assert [
        "250-hub.example",
        "250-PIPELINING",
        "250-SIZE 1000",
        "250-8BITMIME",
        "250-SMTPUTF8",
        "250-CHUNKING",
        "250-DSN",
        "250-ENHANCEDSTATUSCODES",
        "250-STARTTLS",
        "250 HELP",
    ] == Driver(rules).say(HELLO)


def test_one_message():
    """A lockstep session delivers its message."""
    hub = Driver()

    assert [250] == hub.codes(HELLO)
    assert [250] == hub.codes(MAIL)
    assert [250] == hub.codes(RCPT)
    assert ["354 go ahead, and end with a line that is a dot"] == hub.say(b"DATA\r\n")
    assert not hub.session.chunked
    assert [] == hub.codes(b"Subject: x\r\n\r\nbody\r\n")
    assert [250] == hub.codes(b".\r\n")
    assert ["221 2.0.0"] == hub.heads(b"QUIT\r\n")
    assert hub.session.closed
    assert [
        ("a@b.example", ["c@d.example"], b"Subject: x\r\n\r\nbody\r\n")
    ] == hub.messages


def test_pipelined_messages():
    """Two messages and QUIT in one piece are answered in order (RFC 2920)."""
    hub = Driver()
    one = MAIL + RCPT + b"DATA\r\nx\r\n.\r\n"

    assert [250, *(250, 250, 354, 250) * 2, 221] == hub.codes(
        HELLO + one + one + b"QUIT\r\n"
    )
    assert 2 == len(hub.messages)


def test_helo():
    """HELO is enough."""
    assert ["250 hub.example"] == Driver().say(b"HELO c\r\n")


def test_nothing_after_quit():
    """Nothing that follows QUIT is looked at."""
    hub = Driver()

    assert [221] == hub.codes(b"QUIT\r\nNOOP\r\n")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"NOOP whatever", "250 2.0.0"),
        (b"noop", "250 2.0.0"),
        (b"RSET", "250 2.0.0"),
        (b"HELP", "214 2.0.0"),
        (b"VRFY someone", "252 2.5.0"),
        (b"VRFY", "501 5.5.4"),
        (b"EXPN list", "502 5.5.1"),
        (b"ETRN x", "502 5.5.1"),
        (b"EHLO", "501 5.5.4"),
        (b"HELO ", "501 5.5.4"),
        (b"", "500 5.5.2"),
        (b"XYZZY", "500 5.5.2"),
        (b"MAIL FROM:<a@b.example>", "503 5.5.1"),
        (b"RCPT TO:<a@b.example>", "503 5.5.1"),
        (b"DATA", "503 5.5.1"),
        (b"STARTTLS", "502 5.5.1"),
        (b"AUTH PLAIN", "502 5.5.1"),
        (b"NOOP \x1b[2J", "500 5.5.2"),
        (b"NOOP \0", "500 5.5.2"),
        (b"NOOP a\rb", "500 5.5.2"),
        (b"VRFY \xff", "500 5.5.2"),
        (b"x" * 5000, "500 5.5.2"),
        (b"GET / HTTP/1.1", "421 4.7.0"),
    ],
)
def test_replies_before_ehlo(line, code):
    """Every command has its reply, in every state."""
    assert [code] == Driver().heads(line + b"\r\n")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"MAIL FROM:<>", "250 2.1.0"),
        (b"mail from: <a@b.example>", "250 2.1.0"),
        (b"MAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME", "250 2.1.0"),
        (b"MAIL FROM:<a@b.example> ret=full envid=a+2Bb", "250 2.1.0"),
        (b"MAIL FROM:<a@b.example> AUTH=<>", "250 2.1.0"),
        (b'MAIL FROM:<"a >b"@c.example>', "250 2.1.0"),
        (rb'MAIL FROM:<"a\">b"@c.example>', "250 2.1.0"),
        (b'MAIL FROM:<"a b"@c.example>', "250 2.1.0"),
        (b"MAIL FROM:<@r.example,@s.example:a@b.example>", "250 2.1.0"),
        ("MAIL FROM:<jörg@b.example> SMTPUTF8".encode(), "250 2.1.0"),
        ("MAIL FROM:<jörg@b.example>".encode(), "553 5.6.7"),
        (b"MAIL FROM:<root>", "553 5.1.7"),
        (b"MAIL FROM:a@b.example", "501 5.1.7"),
        (b"MAIL FROM:<a@b.example", "501 5.1.7"),
        (b"MAIL FROM:<a b@c.example>", "501 5.1.7"),
        (b"MAIL FROM:<a@b.example>SIZE=1", "501 5.1.7"),
        (b"MAIL FROM:<<a@b.example>>", "501 5.1.7"),
        (b"MAIL FROM:<a<b@c.example>", "501 5.1.7"),
        (b"MAIL FROM:<@b.example>", "501 5.1.7"),
        (b"MAIL FROM:<a@>", "501 5.1.7"),
        (b"MAIL FROM:<" + b"a" * 330 + b"@b.example>", "501 5.1.7"),
        (b"MAIL TO:<a@b.example>", "501 5.5.4"),
        (b"MAIL", "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> SIZE", "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> SIZE=", "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> SIZE=1x", "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> SIZE=" + b"9" * 5 + b"0" * 20, "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> SIZE=1 SIZE=1", "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> SIZE=2000000", "552 5.3.4"),
        (b"MAIL FROM:<a@b.example> BODY=BINARYMIME", "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> SMTPUTF8=yes", "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> RET=SOME", "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> AUTH=a+2B", "250 2.1.0"),
        (b"MAIL FROM:<a@b.example> AUTH=x=y", "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> AUTH", "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> SIZE=" + b"9" * 18, "552 5.3.4"),
        (b"MAIL FROM:<a@b.example> SIZE=" + b"9" * 19, "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> ENVID=a+2", "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> ENVID=a+XX", "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> ENVID=" + b"a" * 100, "250 2.1.0"),
        (b"MAIL FROM:<a@b.example> ENVID=" + b"a" * 101, "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> ENVID=a+2xb", "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> ENVID=a=b", "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> ENVID=a+20+7E", "250 2.1.0"),
        (b"MAIL FROM:<a@b.example> ENVID=a+0D+0Ab", "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> ENVID=+7F", "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> ENVID=+C3+BC", "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> ENVID", "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> ENVID=", "501 5.5.4"),
        (b"MAIL FROM:<a@b.example> XFOO=1", "555 5.5.4"),
        (b"MAIL FROM:<a@b.example> HOLDFOR=1", "555 5.5.4"),
    ],
)
def test_mail(line, code):
    """MAIL takes what RFC 5321, 1870, 6152, 6531, 3461 and 4954 define."""
    hub = Driver(Rules("hub.example", size_limit=1_000_000))
    hub.say(HELLO)

    assert [code] == hub.heads(line + b"\r\n")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"RCPT TO:<c@d.example>", "250 2.1.5"),
        (b"RCPT TO:<Postmaster>", "250 2.1.5"),
        (b"RCPT TO:<c@d.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c@d", "250 2.1.5"),
        (b"RCPT TO:<c@d.example> notify=never", "250 2.1.5"),
        (b"RCPT TO:<>", "501 5.1.3"),
        (b"RCPT TO:<root>", "553 5.1.3"),
        (b"RCPT TO:<c@d.example> NOTIFY=NEVER,DELAY", "501 5.5.4"),
        (b"RCPT TO:<c@d.example> NOTIFY=DELAY,DELAY", "501 5.5.4"),
        (b"RCPT TO:<c@d.example> NOTIFY=FAILURE ORCPT=x;a;b", "250 2.1.5"),
        (b"RCPT TO:<c@d.example> NOTIFY", "501 5.5.4"),
        (b"RCPT TO:<c@d.example> ORCPT", "501 5.5.4"),
        (b"RCPT TO:<c@d.example> ORCPT=;c", "501 5.5.4"),
        (b"RCPT TO:<c@d.example> ORCPT=x;", "501 5.5.4"),
        (b"RCPT TO:<c@d.example> ORCPT=x-y;a+2Bb@d", "250 2.1.5"),
        (b"RCPT TO:<c@d.example> ORCPT=rfc822;a+ZZ", "501 5.5.4"),
        (b"RCPT TO:<c@d.example> ORCPT=rfc822;a=b@d", "501 5.5.4"),
        ("RCPT TO:<c@d.example> ORCPT=rfc822;ü@d".encode(), "501 5.5.4"),
        ("RCPT TO:<c@d.example> ORCPT=utf-8;ü@d".encode(), "250 2.1.5"),
        (b"RCPT TO:<c@d.example> ORCPT=UTF-8;\\x{FC}@d", "250 2.1.5"),
        (b"RCPT TO:<c@d.example> ORCPT=<x>;c@d", "501 5.5.4"),
        ("RCPT TO:<c@d.example> ORCPT=ü;c@d".encode(), "501 5.5.4"),
        (b"RCPT TO:<c@d.example> ORCPT=x;" + b"c" * 498, "250 2.1.5"),
        (b"RCPT TO:<c@d.example> ORCPT=x;" + b"c" * 499, "501 5.5.4"),
        (b"RCPT TO:<c@d.example> NOTIFY=", "501 5.5.4"),
        (b"RCPT TO:<c@d.example> ORCPT=c@d.example", "501 5.5.4"),
        (b"RCPT TO:<c@d.example> SIZE=1", "555 5.5.4"),
        (b"MAIL FROM:<a@b.example>", "503 5.5.1"),
        (b"DATA", "554 5.5.1"),
        (b"DATA now", "501 5.5.4"),
    ],
)
def test_rcpt(line, code):
    """RCPT takes what RFC 5321 and 3461 define."""
    hub = Driver()
    hub.say(HELLO + MAIL)

    assert [code] == hub.heads(line + b"\r\n")


def test_parameters():
    """Parameters reach the driver by their keywords in capitals."""
    hub = Driver()
    hub.say(HELLO + b"MAIL FROM:<a@b.example> size=5 SMTPUTF8\r\n")
    hub.say("RCPT TO:<jörg@d.example> NOTIFY=never\r\n".encode())
    transaction = hub.session.transaction

    assert transaction is not None
    assert {"SIZE": "5", "SMTPUTF8": None} == transaction.sender.parameters
    assert "jörg@d.example" == transaction.recipients[0].text
    assert {"NOTIFY": "never"} == transaction.recipients[0].parameters


@pytest.mark.parametrize(
    ("text", "decoded"),
    [("", ""), ("abc", "abc"), ("a+2Bb+C3+BCc", "a+büc"), ("+FF+20", "\udcff ")],
)
def test_xtext(text, decoded):
    """xtext is read as UTF-8, and octets that are none are kept (RFC 3461 §4)."""
    assert decoded == paths.from_xtext(text)


def test_a_verb_of_its_own():
    """A listener may have commands of its own, answered in any number of lines."""
    session = Session(Rules("h", verbs=("XLIST",)))
    session.output()
    session.receive(b"xlist  all of it \r\nNOOP\r\n")
    verb = session.next_event()

    assert isinstance(verb, Verb)
    assert ("XLIST", "all of it") == (verb.word, verb.argument)
    session.reply(250, "2.0.0", "one\x1b\r\n" + "x" * 600, more=True)
    with pytest.raises(RuntimeError, match="have to be answered"):
        session.next_event()

    session = Session(Rules("h", verbs=("XLIST",)))
    session.receive(b"XLIST\r\nNOOP\r\nQUIT\r\n")
    assert isinstance(session.next_event(), Verb)
    session.output()
    session.reply(250, "2.0.0", "one\x1b\r\n" + "x" * 600, more=True)
    session.reply(250, "2.0.0", "zwölf")
    assert session.next_event() is None

    first, second, *rest = session.output().splitlines()
    assert b"250-2.0.0 one???" + b"x" * 600 == first
    assert b"250 2.0.0 zw\\xf6lf" == second
    assert [b"250 2.0.0 ok", b"221 2.0.0 goodbye"] == rest
    assert [500] == Driver().codes(b"XLIST\r\n")


def test_parameters_of_what_is_not_offered():
    """A parameter of an extension that is not offered is not known."""
    hub = Driver(Rules("hub.example", extensions=("PIPELINING",)))
    hub.say(HELLO)

    assert [555] == hub.codes(b"MAIL FROM:<a@b.example> SIZE=5\r\n")
    assert [421] == hub.codes(b"BDAT 3 LAST\r\n")


def test_the_driver_refuses():
    """What the driver refuses is not part of the transaction."""
    hub = Driver()
    hub.refuse = {"no@b.example": (550, "5.1.1", "nobody"), "a@a": (550, "5.7.1", "x")}
    hub.say(HELLO)

    assert ["550 5.7.1 x"] == hub.say(b"MAIL FROM:<a@a>\r\n")
    assert [250] == hub.codes(MAIL)
    assert ["550 5.1.1 nobody"] == hub.say(b"RCPT TO:<no@b.example>\r\n")
    assert [554] == hub.codes(b"DATA\r\n")
    assert [250, 354, 250] == hub.codes(RCPT + b"DATA\r\n.\r\n")
    assert [("a@b.example", ["c@d.example"], b"")] == hub.messages


def test_the_driver_answers():
    """The reply to the content is the driver's, on one line or several."""
    hub = Driver()
    hub.verdict = (451, "4.3.0", ["a", "b\r\n250 ok", "caf\xe9"])

    assert [
        "451-4.3.0 a",
        "451-4.3.0 b??250 ok",
        "451 4.3.0 caf\\xe9",
    ] == hub.say(ENVELOPE, b"DATA\r\n", b"x\r\n.\r\n")[-3:]
    assert [503] == hub.codes(b"DATA\r\n")


def test_an_unanswered_message():
    """A driver that forgets the answer learns it."""
    session = Session(Rules("hub.example"))
    session.receive(ENVELOPE + b"DATA\r\n.\r\n")
    while not isinstance(session.next_event(), End):
        pass

    with pytest.raises(RuntimeError):
        session.next_event()


@pytest.mark.parametrize(
    ("sent", "content"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"...x\r\n.\r\n", b"..x\r\n"),
        (b".x\r\n.\r\n", b"x\r\n"),
        (b"a\r\n..\r\n..b\r\n.\r\n", b"a\r\n.\r\n.b\r\n"),
        (b"a.\r\n.\r\n", b"a.\r\n"),
        (b"\r\n\r\n\r\n.\r\n", b"\r\n\r\n\r\n"),
        (b"a\n.\nb\r\n.\r\n", b"a\n.\nb\r\n"),
        (b"a\n.\r\nb\r\n.\r\n", b"a\n.\r\nb\r\n"),
        (b"a\r.\rb\r\n.\r\n", b"a\r.\rb\r\n"),
        (b"a\r\n.\nb\r\n.\r\n", b"a\r\n\nb\r\n"),
        (b"a\r\n.\rb\r\n.\r\n", b"a\r\n\rb\r\n"),
        (b"a\r\r\n.\r\n", b"a\r\r\n"),
        (b"\0\xff\r\n.\r\n", b"\0\xff\r\n"),
    ],
)
def test_end_of_data(sent, content):
    """Only CR LF . CR LF ends the data, wherever the input is cut; dots go."""
    for cut in range(len(sent) + 1):
        hub = Driver()
        hub.say(ENVELOPE + b"DATA\r\n")

        assert [250, 221] == hub.codes(sent[:cut], sent[cut:] + b"QUIT\r\n")
        assert [content] == [message[2] for message in hub.messages]


@pytest.mark.parametrize(
    "sent", [b"a\n.\n", b"a\n.\r\n", b"a\r\n.\n", b"a\r\n.\r\n", b"a\n..\n.\n"]
)
def test_end_of_data_of_a_local_caller(sent):
    """A local caller that ends DATA with LF may end lines with LF."""
    for cut in range(len(sent) + 1):
        hub = Driver(Rules("hub", lenient=True))
        hub.say(b"MAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\n")

        assert [250, 221] == hub.codes(sent[:cut], sent[cut:] + b"QUIT\n")
        assert hub.messages[0][2] in (b"a\n", b"a\r\n", b"a\n.\n")


@pytest.mark.parametrize("sent", [b"a\n.\n", b"a\n.\r\n", b"a\r\n.\n", b"\n.\n"])
def test_no_smuggling_by_a_local_caller(sent):
    """A local caller that ends DATA with CR LF is held to it."""
    hub = Driver(Rules("hub", lenient=True))
    hub.say(ENVELOPE + b"DATA\r\n")

    assert [] == hub.codes(sent + b"MAIL FROM:<evil@x.example>\r\n")
    assert [250] == hub.codes(b"\r\n.\r\n")
    assert 1 == len(hub.messages)


@pytest.mark.parametrize("sent", [b"a\n.\n", b"a\n.\r\n"])
def test_no_smuggling_over_the_network(sent):
    """Over a network a bare LF never ends the data, not even after DATA with LF."""
    hub = Driver()
    hub.say(ENVELOPE + b"DATA\n")

    assert [] == hub.codes(sent)


def test_lenient_paths():
    """A local caller may leave out EHLO, brackets and domains."""
    hub = Driver(Rules("hub", lenient=True, bare_names=True))

    assert [250, 250, 250] == hub.codes(
        b"MAIL FROM: a@b.example SIZE=3\r\nRCPT TO:root\r\nRCPT TO: <c>\r\n"
    )
    assert [501] == hub.codes(b"RCPT TO:\r\n")
    assert [501] == hub.codes(b"RCPT TO:<a\r\n")
    assert hub.session.transaction is not None
    assert ["root", "c"] == [p.text for p in hub.session.transaction.recipients]


def test_bdat():
    """Chunks are taken octet by octet, dots and all (RFC 3030)."""
    hub = Driver()
    hub.say(ENVELOPE)

    assert ["250 2.0.0"] * 3 + ["221 2.0.0"] == hub.heads(
        b"BDAT 5\r\n.\r\n.\r" + b"BDAT 0\r\n" + b"BDAT 4 last\r\nQUITQUIT\r\n"
    )
    assert hub.session.chunked
    assert [b".\r\n.\rQUIT"] == [message[2] for message in hub.messages]


def test_bdat_empty_last():
    """An empty last chunk ends the message."""
    hub = Driver()
    hub.say(ENVELOPE)

    assert [250, 250] == hub.codes(b"BDAT 3\r\nabc", b"BDAT 0 LAST\r\n")
    assert [b"abc"] == [message[2] for message in hub.messages]


@pytest.mark.parametrize(
    ("before", "code"),
    [(HELLO, "503 5.5.1"), (HELLO + MAIL, "554 5.5.1"), (b"", "503 5.5.1")],
)
def test_bdat_refused(before, code):
    """The octets of a refused chunk are taken all the same."""
    hub = Driver()
    hub.say(before)

    assert [code, "250 2.0.0"] == hub.heads(b"BDAT 6 LAST\r\nQUIT\r\n", b"NOOP\r\n")
    assert [] == hub.messages
    assert [503] == hub.codes(b"BDAT 0 LAST\r\n") or HELLO + MAIL == before


@pytest.mark.parametrize(
    "argument",
    [b"", b"x", b"-1", b"1 FIRST", b"1 LAST LAST", b"1_0", b"9" * 19, "٣".encode()],
)
def test_bdat_without_number(argument):
    """A chunk of unknown length ends the session: nothing behind it is a command."""
    hub = Driver()
    hub.say(ENVELOPE)

    assert ["421 4.5.4"] == hub.heads(b"BDAT " + argument + b"\r\nNOOP\r\n")
    assert hub.session.closed


def test_bdat_abandoned():
    """RSET, EHLO and QUIT throw away what was begun; other commands wait."""
    for line in (b"RSET\r\n", HELLO, b"QUIT\r\n", b"BDAT x\r\n"):
        hub = Driver()
        hub.say(ENVELOPE + b"BDAT 3\r\nabc")

        assert ["503 5.5.1"] * 3 == hub.heads(MAIL + RCPT + b"DATA\r\n")
        assert [] == hub.messages
        hub.say(line)
        assert 1 == hub.abandoned
        assert [] == hub.messages


@pytest.mark.parametrize(
    "begun", [b"DATA\r\nabc", b"DATA\r\n", b"BDAT 5\r\nabc", b"BDAT 3\r\nabc"]
)
def test_end_of_input(begun):
    """A message that was cut off by the end of input is none."""
    hub = Driver()
    hub.say(ENVELOPE + begun)
    hub.end()

    assert 1 == hub.abandoned
    assert [] == hub.messages
    assert hub.session.closed


def test_end_of_input_behind_a_message():
    """The end of input is no reason to forget what came before it."""
    hub = Driver()
    hub.session.receive(ENVELOPE + b"DATA\r\nx\r\n.\r\n")
    hub.session.receive(b"")
    hub._run()

    assert 1 == len(hub.messages)
    assert hub.session.closed


@pytest.mark.parametrize(
    "content",
    [b"DATA\r\n" + b"x" * 60 + b"\r\n.\r\n", b"BDAT 60 LAST\r\n" + b"x" * 60],
)
def test_too_big(content):
    """Content over the limit is read to its end and refused."""
    for cut in range(0, len(content), 7):
        hub = Driver(Rules("hub.example", size_limit=50))
        hub.say(ENVELOPE)

        heads = hub.heads(content[:cut], content[cut:], b"NOOP\r\n")
        assert ["552 5.3.4", "250 2.0.0"] == heads[-2:]
        assert 1 == hub.abandoned
        assert [] == hub.messages
        assert [250, 250] == hub.codes(MAIL + RCPT)


@pytest.mark.parametrize(("limit", "head"), [(5, "250 2.0.0"), (4, "552 5.3.4")])
def test_as_big_as_the_limit(limit, head):
    """Content may be as long as the limit; the limit holds for each message."""
    hub = Driver(Rules("hub.example", size_limit=limit))
    hub.say(HELLO)
    for _ in range(2):
        hub.say(MAIL + RCPT)
        assert [head] == hub.heads(b"BDAT 5 LAST\r\n12345")

    hub.say(MAIL + RCPT)
    assert ["250 2.0.0"] == hub.heads(b"BDAT 1 LAST\r\n1")


def test_a_limit_of_one_octet():
    """The smallest limit is one octet; 0 is none."""
    hub = Driver(Rules("hub.example", size_limit=1))
    hub.say(ENVELOPE)
    assert [552] == hub.codes(b"BDAT 2 LAST\r\n12")
    assert [552] == hub.codes(MAIL[:-2] + b" SIZE=2\r\n")

    hub = Driver()
    assert [250] == hub.codes(HELLO + MAIL[:-2] + b" SIZE=2\r\n")[1:]


def test_help():
    """HELP names the commands that there are: AUTH where somebody can log in."""
    few = Rules("h", starttls=False)
    every = ["AUTH", "BDAT", "DATA", "EHLO", "HELO", "HELP", "MAIL", "NOOP", "QUIT"]
    every += ["RCPT", "RSET", "STARTTLS", "VRFY"]

    assert [
        "214-2.0.0 commands: " + " ".join(every),
        "214 2.0.0 RFC 5321 tells the rest",
    ] == Driver(Rules("h", starttls=True, users={"ann": "x"})).say(b"HELP\r\n")
    known = Driver(few).say(b"HELP\r\n")[0].split()
    assert {"AUTH", "STARTTLS"} == {*every} - {*known}


def test_too_many_recipients():
    """The limit of recipients is a matter of time, not of the address."""
    hub = Driver(Rules("hub.example", recipient_limit=2))
    hub.say(ENVELOPE)

    assert ["250 2.1.5", "452 4.5.3", "452 4.5.3"] == hub.heads(RCPT * 3)


def test_too_many_errors():
    """A client that makes nothing but mistakes is sent away."""
    hub = Driver(Rules("hub.example", error_limit=3))

    assert ["500 5.5.2", "500 5.5.2", "421 4.7.0"] == hub.heads(
        b"x\r\ny\r\nz\r\nNOOP\r\n"
    )
    assert hub.session.closed


@pytest.mark.parametrize("mail", [b"MAIL FROM:<a@a>\r\n", b"MAIL FROM:<<>\r\n"])
def test_pipeline_behind_a_refused_sender(mail):
    """Who said RCPT before MAIL was refused has made no mistake (RFC 2920 §3.1)."""
    hub = Driver(Rules("hub.example", error_limit=3))
    hub.refuse = {"a@a": (450, "4.7.1", "later")}
    hub.say(HELLO)
    chunks = b"BDAT 1\r\nx" * 3 + b"BDAT 0 LAST\r\n"
    first, *codes = hub.codes(mail + RCPT * 30 + chunks + b"DATA\r\n")

    assert first in (450, 501)
    assert [503] * 35 == codes
    assert [250, 250, 354, 250] == hub.codes(MAIL + RCPT + b"DATA\r\n.\r\n")
    assert [503, 503, 421] == hub.codes(RCPT * 3)


@pytest.mark.parametrize("forgiven", [True, False])
def test_errors_before_a_message(forgiven):
    """Errors are counted from the last accepted message on."""
    hub = Driver(Rules("hub.example", error_limit=3))
    hub.verdict = (250, "2.0.0", "ok") if forgiven else (451, "4.3.0", "later")
    hub.say(b"x\r\n", b"y\r\n", ENVELOPE, b"DATA\r\n.\r\n")

    codes = hub.codes(b"x\r\ny\r\nz\r\n")
    assert ([500, 500, 421] if forgiven else [421]) == codes


def test_long_lines_take_no_memory():
    """An endless line is skipped as it comes in."""
    hub = Driver()
    for _ in range(50):
        assert [] == hub.say(b"x" * 10_000)

    assert len(hub.session._buffer) < 10_000
    assert [500, 250] == hub.codes(b"\r\nNOOP\r\n")


def test_rset_and_ehlo_forget_the_envelope():
    """RSET and EHLO begin afresh (RFC 5321 §4.1.4)."""
    for line in (b"RSET\r\n", HELLO, b"HELO c\r\n"):
        hub = Driver()
        hub.say(ENVELOPE)

        assert [250, 503] == hub.codes(line + b"DATA\r\n")


def test_starttls():
    """After STARTTLS nothing said before it counts (RFC 3207 §4.2)."""
    hub = Driver(Rules("hub.example", starttls=True))
    hub.say(ENVELOPE)

    assert ["220 2.0.0"] == hub.heads(b"STARTTLS\r\n")
    assert hub.session.secure
    assert [503] == hub.codes(b"DATA\r\n")
    assert [503] == hub.codes(MAIL)
    assert "250-STARTTLS" not in hub.say(HELLO)
    assert ["502 5.5.1"] == hub.heads(b"STARTTLS\r\n")


def test_starttls_with_something_behind():
    """A command that was slipped in behind STARTTLS ends the session."""
    hub = Driver(Rules("hub.example", starttls=True))
    hub.say(HELLO)

    assert ["421 4.5.1"] == hub.heads(b"STARTTLS\r\nMAIL FROM:<evil@x.example>\r\n")
    assert not hub.session.secure


def test_starttls_argument():
    """STARTTLS takes no argument."""
    hub = Driver(Rules("h", starttls=True))

    assert ["501 5.5.4"] == hub.heads(b"STARTTLS now\r\n")


def b64(octets: bytes) -> bytes:
    return base64.b64encode(octets)


def auth_rules(**given) -> Rules:
    given.setdefault("auth_in_clear", True)
    given.setdefault("mechanisms", ("SCRAM-SHA-1", *sasl.AUTOMATIC, "XOAUTH2"))
    return Rules(
        "hub.example",
        users={"user": "pencil", "jürgen": "geheim", "": "nobody", "a=b,c d": "x=y,z"},
        nonce=lambda: "servernonce",
        **given,
    )


def authenticate(hub: Driver, mechanism: str, user: str, password: str) -> list[str]:
    """Let our own client half speak to the server; return the last reply."""
    exchange = sasl.exchange(mechanism, user, password, nonce="clientnonce")
    first = next(exchange)
    line = b"AUTH " + mechanism.encode()
    if first is not None:
        line += b" " + (b64(first) or b"=")
    reply = hub.say(line + b"\r\n")
    while reply[0].startswith("334 "):
        response = exchange.send(base64.b64decode(reply[0][4:]))
        assert response is not None
        reply = hub.say(b64(response) + b"\r\n")
    if reply[0].startswith("235"):
        with pytest.raises(StopIteration):
            exchange.send(None)
    return reply


@pytest.mark.parametrize(
    "mechanism",
    ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2"],
)
def test_auth(mechanism):
    """Client and server understand each other in every mechanism."""
    for user, password in (("user", "pencil"), ("jürgen", "geheim")):
        hub = Driver(auth_rules(auth_required=True))
        hub.say(HELLO)

        assert ["530 5.7.0"] == hub.heads(MAIL)
        assert "235" == authenticate(hub, mechanism, user, password)[0][:3]
        assert (user, mechanism) == (hub.session.user, hub.session.mechanism)
        assert ["503 5.5.1"] == hub.heads(b"AUTH PLAIN\r\n")
        assert [250, 250] == hub.codes(MAIL + RCPT)


@pytest.mark.parametrize(
    "mechanism",
    ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2"],
)
@pytest.mark.parametrize(
    ("user", "password"), [("user", "wrong"), ("nobody", "pencil"), ("nobody", "")]
)
def test_auth_refused(mechanism, user, password):
    """A wrong password or user is refused, and nobody is logged in."""
    hub = Driver(auth_rules())
    hub.say(HELLO)
    try:
        reply = authenticate(hub, mechanism, user, password)
    except AuthRefused:
        return

    assert reply[0][:3] in ("535", "501")
    assert hub.session.user is None


def test_auth_too_often():
    """After three wrong passwords the session ends."""
    hub = Driver(auth_rules())
    hub.say(HELLO)
    wrong = b"AUTH PLAIN " + b64(b"\0user\0no") + b"\r\n"

    assert ["535 5.7.8", "535 5.7.8", "421 4.7.0"] == hub.heads(wrong * 3 + b"NOOP\r\n")


@pytest.mark.parametrize(
    ("lines", "codes"),
    [
        (b"AUTH GSSAPI\r\n", ["504 5.5.4"]),
        (b"AUTH\r\n", ["504 5.5.4"]),
        (b"AUTH PLAIN\r\n*\r\n", ["334 ", "501 5.7.0"]),
        (b"AUTH PLAIN ***\r\n", ["501 5.5.2"]),
        (b"AUTH PLAIN\r\n\xff\r\n", ["334 ", "501 5.5.2"]),
        (b"AUTH PLAIN =\r\n", ["501 5.5.2"]),
        (b"AUTH PLAIN " + b64(b"a\0b") + b"\r\n", ["501 5.5.2"]),
        (b"AUTH PLAIN " + b64(b"root\0user\0pencil") + b"\r\n", ["535 5.7.8"]),
        (b"AUTH PLAIN " + b64(b"user\0user\0pencil") + b"\r\n", ["235 2.7.0"]),
        (b"AUTH CRAM-MD5 " + b64(b"x") + b"\r\n", ["501 5.5.2"]),
        (
            b"AUTH LOGIN\r\n" + b"x" * 13000 + b"\r\nNOOP\r\n",
            ["334 VXNlcm5hbWU6", "500 5.5.2", "250 2.0.0"],
        ),
        (
            b"AUTH SCRAM-SHA-256 " + b64(b"p=tls-unique,,n=u,r=x") + b"\r\n",
            ["501 5.5.2"],
        ),
        (b"AUTH SCRAM-SHA-256 " + b64(b"n,,m=u") + b"\r\n", ["501 5.5.2"]),
        (
            b"AUTH SCRAM-SHA-256 " + b64(b"n,,n=u,r=x") + b"\r\nQUJD\r\n",
            [
                "334 cj14c2VydmVybm9uY2Uscz1yMWtCTmZqK3hFWkdMVG1pZGhzS1NBPT0saT00MDk2",
                "501 5.5.2",
            ],
        ),
        (b"AUTH XOAUTH2 QUJD\r\n", ["501 5.5.2"]),
        (b"AUTH XOAUTH2\r\nQUJD\r\n", ["334 ", "501 5.5.2"]),
        (b"AUTH SCRAM-SHA-256\r\nQUJD\r\n", ["334 ", "501 5.5.2"]),
        (b"AUTH LOGIN dXNlcg==\r\ncGVuY2ls\r\n", ["334 UGFzc3dvcmQ6", "235 2.7.0"]),
        (
            b"AUTH PLAIN " + b64(b"\0user\0pencil").replace(b"c", b"!c") + b"\r\n",
            ["501 5.5.2"],
        ),
        (b"AUTH LOGIN =\r\nYQ==\r\n", ["334 UGFzc3dvcmQ6", "535 5.7.8"]),
        (b"AUTH CRAM-MD5\r\n*\r\n", ["334 PHNlcnZlcm5vbmNlQHNzbXRwPg==", "501 5.7.0"]),
        (b"AUTH SCRAM-SHA-256-PLUS\r\n", ["504 5.5.4"]),
    ],
)
def test_auth_nonsense(lines, codes):
    """Whatever stands where credentials should, there is one reply to it."""
    hub = Driver(auth_rules())
    hub.say(HELLO)

    assert codes == hub.heads(lines)


def test_auth_needs_tls():
    """Without TLS neither is AUTH offered, nor does it work."""
    hub = Driver(auth_rules(auth_in_clear=False, starttls=True))

    assert not any("AUTH" in line for line in hub.say(HELLO))
    assert ["538 5.7.11"] == hub.heads(b"AUTH PLAIN\r\n")
    hub.say(b"STARTTLS\r\n")
    assert any(line.startswith("250-AUTH ") for line in hub.say(HELLO))
    assert "235 2.7.0 " == authenticate(hub, "PLAIN", "user", "pencil")[0][:10]


@pytest.mark.parametrize(
    ("starttls", "secure", "words"),
    [
        (True, False, "530 5.7.0 STARTTLS and AUTH required"),
        (False, False, "530 5.7.0 AUTH required"),
        (True, True, "530 5.7.0 AUTH required"),
    ],
)
def test_auth_required(starttls, secure, words):
    """Who has to authenticate is told what comes first."""
    hub = Driver(auth_rules(auth_required=True, starttls=starttls), secure=secure)

    assert words == hub.say(HELLO + MAIL)[-1]


def test_auth_without_nonce():
    """Without fresh text no mechanism is safe, so there is none."""
    hub = Driver(Rules("h", users={"u": "p"}, auth_in_clear=True))

    assert ["504 5.5.4"] == hub.heads(HELLO + b"AUTH PLAIN\r\n")[1:]


def test_auth_has_its_time():
    """AUTH comes after EHLO and before MAIL (RFC 4954 §4)."""
    hub = Driver(auth_rules())

    assert [503] == hub.codes(b"AUTH PLAIN\r\n")
    assert [503] == hub.codes(ENVELOPE + b"AUTH PLAIN\r\n")[-1:]


def test_shut_down():
    """A listener that ends a session says 421, once."""
    hub = Driver()
    hub.session.shut_down("too slow")
    hub.session.shut_down("too slow")
    hub._run()

    assert hub.replies.endswith(b"421 4.3.2 too slow\r\n")
    assert 1 == hub.replies.count(b"421")
    assert [] == hub.say(b"NOOP\r\n")


COMMANDS = st.one_of(
    st.sampled_from(
        [
            HELLO,
            b"HELO x\r\n",
            MAIL,
            RCPT,
            b"RCPT TO:<root>\r\n",
            b"DATA\r\n",
            b"DATA\n",
            b"x\r\n..y\r\n",
            b".\r\n",
            b".\n",
            b"\r",
            b"\n",
            b".",
            b"BDAT 3\r\nabc",
            b"BDAT 4 LAST\r\n.\r\n.",
            b"BDAT 1000000000000\r\n",
            b"BDAT x\r\n",
            b"RSET\r\n",
            b"NOOP\r\n",
            b"AUTH PLAIN\r\n",
            b"AUTH LOGIN\r\n",
            b"dXNlcg==\r\n",
            b"cGVuY2ls\r\n",
            b"*\r\n",
            b"VRFY x\r\n",
            b"QUIT\r\n",
            b"z" * 5000,
        ]
    ),
    st.binary(max_size=12),
)


@settings(max_examples=300)
@given(
    st.lists(COMMANDS, max_size=25),
    st.lists(st.integers(0, 400), max_size=30),
    st.booleans(),
)
@example([ENVELOPE, b"DATA\r\n", b"\r\n.\r\n"], [1] * 100, False)
def test_cuts_do_not_matter(commands, cuts, lenient):
    """The same octets give the same replies and messages, however they are cut."""
    data = b"".join(commands)
    rules = auth_rules(lenient=lenient, size_limit=100)
    whole = Driver(rules)
    whole.say(data)
    whole.end()
    cut = Driver(rules)
    at = 0
    for width in [*cuts, len(data)]:
        cut.say(data[at : at + width])
        at += width
    cut.end()

    assert whole.replies == cut.replies
    assert whole.messages == cut.messages
    assert whole.abandoned == cut.abandoned
    for line in whole.replies.splitlines(keepends=True):
        assert line.endswith(b"\r\n")
        assert line[:3].isdigit()
        assert line[3:4] in b" -"


@given(st.binary(max_size=60), st.lists(st.integers(1, 5), max_size=60))
def test_data_reader(content, widths):
    """What a client stuffs is what comes out."""
    lines = content.split(b"\r\n")
    stuffed = b"".join(
        (b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines
    )
    sent = stuffed + b".\r\nNOOP"
    reader = Data(False)
    out = b""
    rest = None
    for width in [*widths, len(sent)]:
        piece, sent = sent[:width], sent[width:]
        block, rest = reader.take(piece)
        out += block
        if rest is not None:
            break

    assert content + b"\r\n" == out
    assert rest is not None
    assert b"NOOP" == rest + sent


def test_chunk_reader():
    """A chunk is as long as it was said to be."""
    chunk = Chunk(4)

    assert (b"ab", None) == chunk.take(b"ab")
    assert (b"cd", b"ef") == chunk.take(b"cdef")


def test_server_mechanisms():
    """Every mechanism that the rules name by default has its server half."""
    for mechanism in Rules("h").mechanisms:
        assert verification(mechanism, {}, "n") is not None
    assert verification("EXTERNAL", {}, "n") is None
