"""The private extension between our own client and our own agent, without sockets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp import errors
from ssmtp.errors import SiteTrouble
from ssmtp.smtp import exits, paths
from ssmtp.smtp.dialogue import Dialogue
from ssmtp.smtp.events import Begin, Content, End, Sender, Verb
from ssmtp.smtp.paths import MAIL_PARAMETERS, Refused
from ssmtp.smtp.reply import Inbox, Reply
from ssmtp.smtp.rules import EXTENSIONS, Rules
from ssmtp.smtp.server import Session
from ssmtp.smtp.steps import Flight
from tests.unit.rehearsal import Content as Text
from tests.unit.rehearsal import Message, Stage, envelope, facts, perform

AGENT = (*EXTENSIONS, "XSUBMIT")
RULES = Rules("here", extensions=AGENT, verbs=("XLIST",))


def session(*lines: bytes, rules: Rules = RULES) -> tuple[Session, list[str]]:
    """Say lines to a server that accepts all; return it and its replies."""
    server = Session(rules)
    server.receive(b"EHLO me\r\n" + b"".join(lines))
    while (event := server.next_event()) is not None:
        if isinstance(event, End):
            server.answer(250, "2.0.0", "queued as 1")
        elif isinstance(event, Verb):
            assert ("XLIST", "all") == (event.word, event.argument)
            server.reply(250, "2.0.0", "é" + "x" * 600, more=True)
            server.reply(250, "2.0.0", "ok")
        else:
            assert isinstance(event, Sender | Begin | Content)
    return server, server.output().decode("ascii").splitlines()


def parameters(text: str, extensions: tuple[str, ...] = AGENT) -> dict[str, str | None]:
    path = paths.parse(
        f"FROM:<> {text}",
        "FROM:",
        MAIL_PARAMETERS,
        extensions=extensions,
        lenient=False,
        bare_names=True,
    )
    return path.parameters


def test_parameters():
    """The words of a command line can be said as parameters of MAIL."""
    text = "XFROM=NONE XNAME=J+C3+B6rg XREAD XNOTIFY=NEVER XTAG=t XNOTES=n XWAIT"

    assert {
        "XFROM": "NONE",
        "XNAME": "J+C3+B6rg",
        "XREAD": None,
        "XNOTIFY": "NEVER",
        "XTAG": "t",
        "XNOTES": "n",
        "XWAIT": None,
    } == parameters(text)


@pytest.mark.parametrize(
    "text",
    ["XFROM", "XFROM=x", "XNAME=", "XNAME=+4", "XREAD=1", "XNOTIFY=x", "XWAIT=1"],
)
def test_wrong_parameters(text):
    """What is no such parameter is refused."""
    with pytest.raises(Refused) as refused:
        parameters(text)

    assert 501 == refused.value.code


def test_parameters_are_for_agents():
    """A server that does not offer the extension does not know its parameters."""
    with pytest.raises(Refused) as refused:
        parameters("XREAD", EXTENSIONS)

    assert 555 == refused.value.code


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_xtext(text):
    """Xtext brings any text over, as UTF-8."""
    coded = "".join(
        chr(c) if 33 <= c < 127 and c not in b"+=" else f"+{c:02X}"
        for c in text.encode()
    )

    assert text == paths.from_xtext(coded)


def test_recipients_from_the_header():
    """With XREAD, content may come without a RCPT; without it, it may not."""
    _, taken = session(b"MAIL FROM:<> XREAD\r\nBDAT 3 LAST\r\nx\r\n")
    _, data = session(b"MAIL FROM:<> XREAD\r\nDATA\r\nx\r\n.\r\n")
    _, refused = session(b"MAIL FROM:<>\r\nBDAT 3 LAST\r\nx\r\n")
    _, unread = session(b"MAIL FROM:<>\r\nDATA\r\n")

    assert "250 2.0.0 queued as 1" == taken[-1]
    assert "250 2.0.0 queued as 1" == data[-1]
    assert "554 5.5.1" == refused[-1][:9]
    assert "554 5.5.1" == unread[-1][:9]


def test_verbs():
    """A command of the rules is for the driver; its answer has lines of any length."""
    _, replies = session(b"XLIST all\r\nNOOP\r\n")

    assert "250-2.0.0 \\xe9" + "x" * 600 == replies[-3]
    assert ["250 2.0.0 ok", "250 2.0.0 ok"] == replies[-2:]


def test_verbs_have_to_be_answered():
    """A driver that goes on without an answer is told so."""
    server = Session(RULES)
    server.receive(b"XLIST\r\n")
    assert isinstance(server.next_event(), Verb)

    with pytest.raises(RuntimeError):
        server.next_event()


def test_verbs_within_a_message():
    """Nothing is asked between two chunks; the message goes on."""
    session = Session(RULES)
    said = (
        b"EHLO me\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
        b"BDAT 2\r\nx\nXLIST\r\nBDAT 0 LAST\r\n"
    )
    session.receive(said)
    kinds = []
    while (event := session.next_event()) is not None:
        kinds.append(type(event).__name__)
        if isinstance(event, End):
            session.answer(250, "2.0.0", "ok")
    replies = session.output().splitlines()

    assert ["Sender", "Recipient", "Begin", "Content", "End"] == kinds
    assert [b"250", b"503", b"250"] == [line[:3] for line in replies[-3:]]


def test_unknown_verbs():
    """Other servers know no such command."""
    _, replies = session(b"XLIST all\r\n", rules=Rules("here"))

    assert "500 5.5.2" == replies[-1][:9]


# The client


OFFERS = ("8BITMIME", "PIPELINING", "CHUNKING", "XSUBMIT")


@pytest.mark.parametrize(
    ("count", "words", "size", "flights"),
    [
        (1, " XFROM=NONE", 10, 1),
        (0, " XREAD", 10, 1),
        (0, " XREAD", 70_000, 2),
        (1, " XREAD", 10, 2),
        (3, "", 10, 2),
        (1, "", 70_000, 2),
    ],
)
def test_flights(count, words, size, flights):
    """What is small, and has one place to be refused at, goes over in one flight."""
    message = Message(Text(b"x" * (size - 2) + b"\r\n"))
    dialogue = Dialogue(facts(message=message, envelope=envelope(count), handoff=words))
    flown, heads = hand_over(dialogue)

    assert flights == len(flown) - 1  # EHLO was one
    assert words.encode() in heads.splitlines()[1]
    assert count == heads.count(b"RCPT TO")


def hand_over(dialogue: Dialogue) -> tuple[list[Flight], bytes]:
    """Let the client talk to our own server; return its flights, and what it said."""
    server, inbox = Session(RULES), Inbox()
    inbox.feed(server.output())
    talk = dialogue.converse()
    flown: list[Flight] = []
    heads = b""
    answer: object = None
    while True:
        try:
            step = talk.send(answer)
        except StopIteration as end:
            assert "1" == end.value.queue_id
            return flown, heads
        if isinstance(step, Flight):
            flown.append(step)
            heads += step.head
            step.committed = step.content is not None
            server.receive(step.head + b"".join(step.content or ()) + step.tail)
            while (event := server.next_event()) is not None:
                if isinstance(event, End):
                    server.answer(250, "2.0.0", "queued as 1")
            inbox.feed(server.output())
            answer = True
        else:
            answer = inbox.take()
            assert answer is not None


def test_not_an_agent():
    """A server that is no agent is given nothing."""
    stage = Stage(OFFERS[:-1])
    with pytest.raises(SiteTrouble, match="none of ours"):
        perform(Dialogue(facts(handoff="")), stage)

    assert ["QUIT"] == stage.said[1:]


# Exit codes


@pytest.mark.parametrize(
    ("failure", "reply"),
    [
        (errors.UsageError("x"), (554, "5.5.4")),
        (errors.InputRefused("x"), (554, "5.6.0")),
        (errors.RecipientRefused("x"), (550, "5.1.1")),
        (errors.MessageRefused("x"), (554, "5.0.0")),
        (errors.MessageRefused("x", reply=Reply(571, ["5.7.1 no"])), (571, "5.7.1")),
        (errors.MessageRefused("x", reply=Reply(550, ["no"])), (550, "5.0.0")),
        (errors.Deferred("x", reply=Reply(421, ["4.3.2 bye"])), (451, "4.3.0")),
        (errors.Deferred("x", reply=Reply(250, ["ok"])), (451, "4.3.0")),
        (errors.AuthRefused("x"), (454, "4.7.0")),
        (errors.ConfigError("x"), (451, "4.3.5")),
        (errors.UnknownHost("x"), (451, "4.3.0")),
        (errors.SiteTrouble("x", reply=Reply(554, ["go"])), (451, "4.3.0")),
        (errors.InDoubt("x"), (451, "4.3.0")),
        (errors.Bug("x"), (451, "4.3.0")),
    ],
)
def test_replies(failure, reply):
    """A failure is told with a reply that says how long it lasts."""
    assert reply == exits.reply_code(failure)


@pytest.mark.parametrize(
    ("reply", "recipient", "code"),
    [
        *((reply, False, code) for code, reply in exits.REPLIES.items()),
        *((reply, False, code) for code, reply in exits.SITES.items()),
        ((451, "4.3.0"), False, 75),
        ((452, "4.3.1"), True, 75),
        ((501, "5.1.3"), True, 65),
        ((501, "5.1.7"), False, 65),
        ((550, "5.7.1"), True, 67),
        ((550, "5.1.2"), False, 67),
        ((550, ""), True, 67),
        ((551, "5.1.6"), False, 67),
        ((550, "5.1.8"), False, 69),
        ((552, "5.3.4"), False, 65),
        ((554, ""), False, 69),
    ],
)
def test_kinds(reply, recipient, code):
    """A refusal by the agent has the exit code that its cause has here."""
    number, status = reply
    found = exits.kind(Reply(number, [f"{status} words".strip()]), recipient)

    assert code == found.exit_code
