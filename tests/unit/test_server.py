"""The server's side of SMTP gives the right reply, however the input is cut."""

from __future__ import annotations

import base64

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ssmtp.errors import AuthRefused
from ssmtp.smtp import sasl
from ssmtp.smtp.events import (
    Abandoned,
    Begin,
    Content,
    End,
    Recipient,
    Sender,
    StartTls,
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
                self.content = b""
            elif isinstance(event, Content):
                self.content += event.block
            elif isinstance(event, Abandoned):
                self.abandoned += 1
            elif isinstance(event, StartTls):
                self.session.tls_started()
            elif isinstance(event, End):
                assert transaction is not None
                self.messages.append(
                    (
                        transaction.sender.text,
                        [path.text for path in transaction.recipients],
                        self.content,
                    )
                )
                self.session.answer(*self.verdict)
        self.replies += self.session.output()


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
    assert [354] == hub.codes(b"DATA\r\n")
    assert [] == hub.codes(b"Subject: x\r\n\r\nbody\r\n")
    assert [250] == hub.codes(b".\r\n")
    assert [221] == hub.codes(b"QUIT\r\n")
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
        (b"NOOP whatever", 250),
        (b"noop", 250),
        (b"RSET", 250),
        (b"HELP", 214),
        (b"VRFY someone", 252),
        (b"VRFY", 501),
        (b"EXPN list", 502),
        (b"ETRN x", 502),
        (b"EHLO", 501),
        (b"HELO ", 501),
        (b"", 500),
        (b"XYZZY", 500),
        (b"MAIL FROM:<a@b.example>", 503),
        (b"RCPT TO:<a@b.example>", 503),
        (b"DATA", 503),
        (b"STARTTLS", 502),
        (b"AUTH PLAIN", 502),
        (b"NOOP \x1b[2J", 500),
        (b"NOOP \0", 500),
        (b"NOOP a\rb", 500),
        (b"VRFY \xff", 500),
        (b"x" * 5000, 500),
        (b"GET / HTTP/1.1", 421),
    ],
)
def test_replies_before_ehlo(line, code):
    """Every command has its reply, in every state."""
    assert [code] == Driver().codes(line + b"\r\n")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"MAIL FROM:<>", 250),
        (b"mail from: <a@b.example>", 250),
        (b"MAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME", 250),
        (b"MAIL FROM:<a@b.example> ret=full envid=a+2Bb", 250),
        (b"MAIL FROM:<a@b.example> AUTH=<>", 250),
        (b'MAIL FROM:<"a >b"@c.example>', 250),
        (rb'MAIL FROM:<"a\">b"@c.example>', 250),
        (b"MAIL FROM:<@r.example,@s.example:a@b.example>", 250),
        ("MAIL FROM:<jörg@b.example> SMTPUTF8".encode(), 250),
        ("MAIL FROM:<jörg@b.example>".encode(), 553),
        (b"MAIL FROM:<root>", 553),
        (b"MAIL FROM:a@b.example", 501),
        (b"MAIL FROM:<a@b.example", 501),
        (b"MAIL FROM:<a b@c.example>", 501),
        (b"MAIL FROM:<a@b.example>SIZE=1", 501),
        (b"MAIL FROM:<<a@b.example>>", 501),
        (b"MAIL FROM:<@b.example>", 501),
        (b"MAIL FROM:<a@>", 501),
        (b"MAIL FROM:<" + b"a" * 330 + b"@b.example>", 501),
        (b"MAIL TO:<a@b.example>", 501),
        (b"MAIL", 501),
        (b"MAIL FROM:<a@b.example> SIZE", 501),
        (b"MAIL FROM:<a@b.example> SIZE=", 501),
        (b"MAIL FROM:<a@b.example> SIZE=1x", 501),
        (b"MAIL FROM:<a@b.example> SIZE=" + b"9" * 5 + b"0" * 20, 501),
        (b"MAIL FROM:<a@b.example> SIZE=1 SIZE=1", 501),
        (b"MAIL FROM:<a@b.example> SIZE=2000000", 552),
        (b"MAIL FROM:<a@b.example> BODY=BINARYMIME", 501),
        (b"MAIL FROM:<a@b.example> SMTPUTF8=yes", 501),
        (b"MAIL FROM:<a@b.example> RET=SOME", 501),
        (b"MAIL FROM:<a@b.example> ENVID=a+2xb", 501),
        (b"MAIL FROM:<a@b.example> ENVID=a=b", 501),
        (b"MAIL FROM:<a@b.example> ENVID=", 501),
        (b"MAIL FROM:<a@b.example> XFOO=1", 555),
        (b"MAIL FROM:<a@b.example> HOLDFOR=1", 555),
    ],
)
def test_mail(line, code):
    """MAIL takes what RFC 5321, 1870, 6152, 6531, 3461 and 4954 define."""
    hub = Driver(Rules("hub.example", size_limit=1_000_000))
    hub.say(HELLO)

    assert [code] == hub.codes(line + b"\r\n")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"RCPT TO:<c@d.example>", 250),
        (b"RCPT TO:<Postmaster>", 250),
        (b"RCPT TO:<c@d.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c@d", 250),
        (b"RCPT TO:<c@d.example> notify=never", 250),
        (b"RCPT TO:<>", 501),
        (b"RCPT TO:<root>", 553),
        (b"RCPT TO:<c@d.example> NOTIFY=NEVER,DELAY", 501),
        (b"RCPT TO:<c@d.example> NOTIFY=DELAY,DELAY", 501),
        (b"RCPT TO:<c@d.example> NOTIFY=", 501),
        (b"RCPT TO:<c@d.example> ORCPT=c@d.example", 501),
        (b"RCPT TO:<c@d.example> SIZE=1", 555),
        (b"MAIL FROM:<a@b.example>", 503),
        (b"DATA", 554),
        (b"DATA now", 501),
    ],
)
def test_rcpt(line, code):
    """RCPT takes what RFC 5321 and 3461 define."""
    hub = Driver()
    hub.say(HELLO + MAIL)

    assert [code] == hub.codes(line + b"\r\n")


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

    assert [250, 250, 250, 221] == hub.codes(
        b"BDAT 5\r\n.\r\n.\r" + b"BDAT 0\r\n" + b"BDAT 4 last\r\nQUITQUIT\r\n"
    )
    assert [b".\r\n.\rQUIT"] == [message[2] for message in hub.messages]


def test_bdat_empty_last():
    """An empty last chunk ends the message."""
    hub = Driver()
    hub.say(ENVELOPE)

    assert [250, 250] == hub.codes(b"BDAT 3\r\nabc", b"BDAT 0 LAST\r\n")
    assert [b"abc"] == [message[2] for message in hub.messages]


@pytest.mark.parametrize(
    ("before", "code"), [(HELLO, 503), (HELLO + MAIL, 554), (b"", 503)]
)
def test_bdat_refused(before, code):
    """The octets of a refused chunk are taken all the same."""
    hub = Driver()
    hub.say(before)

    assert [code, 250] == hub.codes(b"BDAT 6 LAST\r\nQUIT\r\n", b"NOOP\r\n")
    assert [] == hub.messages


@pytest.mark.parametrize(
    "argument",
    [b"", b"x", b"-1", b"1 FIRST", b"1 LAST LAST", b"1_0", b"9" * 19, "٣".encode()],
)
def test_bdat_without_number(argument):
    """A chunk of unknown length ends the session: nothing behind it is a command."""
    hub = Driver()
    hub.say(ENVELOPE)

    assert [421] == hub.codes(b"BDAT " + argument + b"\r\nNOOP\r\n")
    assert hub.session.closed


def test_bdat_abandoned():
    """RSET, EHLO and QUIT throw away what was begun; other commands wait."""
    for line in (b"RSET\r\n", HELLO, b"QUIT\r\n", b"BDAT x\r\n"):
        hub = Driver()
        hub.say(ENVELOPE + b"BDAT 3\r\nabc")

        assert [503, 503, 503] == hub.codes(MAIL + RCPT + b"DATA\r\n")
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

        assert [552, 250] == hub.codes(content[:cut], content[cut:], b"NOOP\r\n")[-2:]
        assert 1 == hub.abandoned
        assert [] == hub.messages
        assert [250, 250] == hub.codes(MAIL + RCPT)


def test_too_many_recipients():
    """The limit of recipients is a matter of time, not of the address."""
    hub = Driver(Rules("hub.example", recipient_limit=2))
    hub.say(ENVELOPE)

    assert [250, 452, 452] == hub.codes(RCPT * 3)


def test_too_many_errors():
    """A client that makes nothing but mistakes is sent away."""
    hub = Driver(Rules("hub.example", error_limit=3))

    assert [500, 500, 421] == hub.codes(b"x\r\ny\r\nz\r\nNOOP\r\n")
    assert hub.session.closed


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

    assert [220] == hub.codes(b"STARTTLS\r\n")
    assert hub.session.secure
    assert [503] == hub.codes(b"DATA\r\n")
    assert [503] == hub.codes(MAIL)
    assert "250-STARTTLS" not in hub.say(HELLO)
    assert [502] == hub.codes(b"STARTTLS\r\n")


def test_starttls_with_something_behind():
    """A command that was slipped in behind STARTTLS ends the session."""
    hub = Driver(Rules("hub.example", starttls=True))
    hub.say(HELLO)

    assert [421] == hub.codes(b"STARTTLS\r\nMAIL FROM:<evil@x.example>\r\n")
    assert not hub.session.secure


def test_starttls_argument():
    """STARTTLS takes no argument."""
    assert [501] == Driver(Rules("h", starttls=True)).codes(b"STARTTLS now\r\n")


def b64(octets: bytes) -> bytes:
    return base64.b64encode(octets)


def auth_rules(**given) -> Rules:
    given.setdefault("auth_in_clear", True)
    given.setdefault("mechanisms", ("SCRAM-SHA-1", *sasl.AUTOMATIC, "XOAUTH2"))
    return Rules(
        "hub.example",
        users={"user": "pencil", "jürgen": "geheim"},
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

        assert [530] == hub.codes(MAIL)
        assert "235" == authenticate(hub, mechanism, user, password)[0][:3]
        assert (user, mechanism) == (hub.session.user, hub.session.mechanism)
        assert [503] == hub.codes(b"AUTH PLAIN\r\n")
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

    assert [535, 535, 421] == hub.codes(wrong * 3)


@pytest.mark.parametrize(
    ("lines", "codes"),
    [
        (b"AUTH GSSAPI\r\n", [504]),
        (b"AUTH\r\n", [504]),
        (b"AUTH PLAIN\r\n*\r\n", [334, 501]),
        (b"AUTH PLAIN ***\r\n", [501]),
        (b"AUTH PLAIN\r\n\xff\r\n", [334, 501]),
        (b"AUTH PLAIN =\r\n", [501]),
        (b"AUTH PLAIN " + b64(b"a\0b") + b"\r\n", [501]),
        (b"AUTH PLAIN " + b64(b"root\0user\0pencil") + b"\r\n", [535]),
        (b"AUTH PLAIN " + b64(b"user\0user\0pencil") + b"\r\n", [235]),
        (b"AUTH CRAM-MD5 " + b64(b"x") + b"\r\n", [501]),
        (b"AUTH LOGIN\r\n" + b"x" * 13000 + b"\r\nNOOP\r\n", [334, 500, 250]),
        (b"AUTH SCRAM-SHA-256 " + b64(b"p=tls-unique,,n=u,r=x") + b"\r\n", [501]),
        (b"AUTH SCRAM-SHA-256 " + b64(b"n,,m=u") + b"\r\n", [501]),
        (b"AUTH SCRAM-SHA-256 " + b64(b"n,,n=u,r=x") + b"\r\nQUJD\r\n", [334, 501]),
        (b"AUTH XOAUTH2 QUJD\r\n", [501]),
        (b"AUTH XOAUTH2\r\nQUJD\r\n", [334, 501]),
        (b"AUTH SCRAM-SHA-256\r\nQUJD\r\n", [334, 501]),
        (b"AUTH LOGIN dXNlcg==\r\ncGVuY2ls\r\n", [334, 235]),
        (b"AUTH SCRAM-SHA-256-PLUS\r\n", [504]),
    ],
)
def test_auth_nonsense(lines, codes):
    """Whatever stands where credentials should, there is one reply to it."""
    hub = Driver(auth_rules())
    hub.say(HELLO)

    assert codes == hub.codes(lines)


def test_auth_needs_tls():
    """Without TLS neither is AUTH offered, nor does it work."""
    hub = Driver(auth_rules(auth_in_clear=False, starttls=True))

    assert not any("AUTH" in line for line in hub.say(HELLO))
    assert [538] == hub.codes(b"AUTH PLAIN\r\n")
    hub.say(b"STARTTLS\r\n")
    assert any(line.startswith("250-AUTH ") for line in hub.say(HELLO))
    assert "235" == authenticate(hub, "PLAIN", "user", "pencil")[0][:3]


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
