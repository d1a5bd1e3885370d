"""`sendmail -bs` says 250 only for what the mailhub has, and the truth otherwise."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp import bs, errors
from ssmtp.options import scan
from ssmtp.receipt import Receipt
from ssmtp.smtp import paths
from ssmtp.smtp.reply import Reply
from ssmtp.smtp.rules import Rules

RULES = Rules("here.example", lenient=True, bare_names=True)
ENVELOPE = b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"


def session(data: bytes, submit=None) -> tuple[int, list[str], list[tuple]]:
    """Hold a session whose whole input is there; return code, replies, messages."""
    taken: list[tuple] = []

    def take(reverse_path, recipients, parameters, intake):
        text = b"".join(intake.blocks())
        taken.append((reverse_path, recipients, parameters, text))
        if submit is not None:
            return submit()
        return Receipt("hub.example:587", Reply(250, ["2.0.0 Ok: queued as 4F1"]), 9)

    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    os.write(in_write, data)  # less than a pipe holds
    os.close(in_write)
    code = bs.hold(RULES, take, stdin=in_read, stdout=out_write)
    os.close(out_write)
    replies = b""
    while block := os.read(out_read, 65536):
        replies += block
    os.close(in_read)
    os.close(out_read)
    return code, replies.decode("ascii").splitlines(), taken


def never(*_) -> Receipt:
    raise AssertionError("nothing was to be submitted")


def raising(failure: errors.Failure):
    def submit():
        raise failure

    return submit


def test_messages_in_one_session():
    """Each message is submitted, and its sender hears under which name."""
    one = b"MAIL FROM:<>\r\nRCPT TO:<root>\r\nDATA\r\nSubject: x\r\n\r\ny\r\n.\r\n"
    code, replies, taken = session(
        ENVELOPE
        + b"BDAT 17\r\nSubject: z\n\nhello\r\n"
        + b"BDAT 2 LAST\r\n\r\n"
        + one
        + b"QUIT\r\n"
    )

    assert 0 == code
    assert "250 2.0.0 Ok: queued as 4F1 by hub.example:587" in replies
    assert "221 2.0.0 goodbye" == replies[-1]
    assert [
        ("a@b.example", ["c@d.example"], {}, taken[0][3]),
        ("", ["root"], {}, b"Subject: x\r\n\r\ny\r\n"),
    ] == taken


def test_end_of_input():
    """A caller that just hangs up is no error, and half a message is none."""
    code, replies, taken = session(ENVELOPE + b"DATA\r\nSubject: x\r\n\r\nhalf")

    assert 0 == code
    assert "354" == replies[-1][:3]
    assert [] == taken


@pytest.mark.parametrize(
    ("failure", "reply"),
    [
        (errors.InputRefused("NUL in Subject"), "554 5.6.0 NUL in Subject"),
        (errors.UsageError("nobody", "name one"), "554 5.5.4 nobody; name one"),
        (
            errors.RecipientRefused("no <c>", reply=Reply(550, ["5.1.1 unknown"])),
            "550 5.1.1 no <c>",
        ),
        (
            errors.MessageRefused("spam", "x", reply=Reply(571, ["5.7.1 spam"])),
            "571 5.7.1 spam",
        ),
        (errors.MessageRefused("no", reply=Reply(550, ["no"])), "550 5.0.0 no"),
        (
            errors.Deferred("busy", reply=Reply(452, ["4.3.1 disk"])),
            "452 4.3.1 busy",
        ),
        (errors.Deferred("bye", reply=Reply(421, ["4.3.2 x"])), "451 4.3.0 bye"),
        (errors.RecipientRefused("no <c>"), "550 5.1.1 no <c>"),
        (errors.InDoubt("no answer"), "451 4.3.0 no answer"),
        (errors.NetworkTrouble("no route"), "451 4.3.0 no route"),
        (errors.UnknownHost("no such host"), "451 4.3.0 no such host"),
        (errors.MailhubRefused("go", reply=Reply(554, ["5.7.1 x"])), "451 4.3.0 go"),
        (errors.AuthRefused("no", reply=Reply(535, ["5.7.8 x"])), "454 4.7.0 no"),
        (errors.ConfigError("line 1: what"), "451 4.3.5 line 1: what"),
        (errors.Bug("oops"), "451 4.3.0 oops"),
    ],
)
def test_failures(failure, reply):
    """The mailhub's no about a message is passed on; trouble at this end is 4xx."""
    code, replies, _ = session(
        ENVELOPE + b"DATA\r\nx\r\n.\r\nNOOP\r\n", raising(failure)
    )

    assert 0 == code
    assert [reply, "250 2.0.0 ok"] == replies[-2:]


def test_failure_in_one_line():
    """A reply is one line of ASCII, whatever the failure says, and names the id."""
    failure = errors.NetworkTrouble("ö\r\n250 ok " + "x" * 900)
    failure.kept, failure.kept_id = "/var/tmp/x", "20261121-7f3a"
    _, replies, _ = session(ENVELOPE + b"DATA\r\nx\r\n.\r\n", raising(failure))

    assert replies[-1].startswith("451 4.3.0 \\xf6??250 ok xxx")
    assert replies[-1].endswith("(kept: ssmtpctl queue retry 20261121-7f3a)")
    assert len(replies[-1]) <= 510


def test_interrupted():
    """A signal ends the session after the answer."""
    failure = errors.Interrupted("interrupted")
    _, replies, _ = session(ENVELOPE + b"DATA\r\nx\r\n.\r\nNOOP\r\n", raising(failure))

    assert ["451 4.3.0 interrupted", "421 4.3.2 interrupted"] == replies[-2:]


@pytest.mark.parametrize(
    "line",
    [
        b"RCPT TO:<a,b@c.example>",
        b"RCPT TO:<a@b.example,c@d.example>",
        b"RCPT TO:<a@b..example>",
        b"RCPT TO:<()>",
        b"MAIL FROM:<a b>",
        b"MAIL FROM:<a,b>",
    ],
)
def test_addresses(line):
    """An address that could not be sent is refused at once."""
    start = b"EHLO c\r\n" + (b"MAIL FROM:<>\r\n" if line.startswith(b"R") else b"")
    _, replies, _ = session(start + line + b"\r\n")

    assert "501" == replies[-1][:3]


def test_delivery_report_wishes():
    """DSN parameters and SMTPUTF8 reach the submission."""
    _, _, taken = session(
        b"EHLO c\r\nMAIL FROM:<a@b> RET=hdrs ENVID=a+2Bb BODY=8bitmime\r\n"
        b"RCPT TO:<c@d> NOTIFY=NEVER\r\nRCPT TO:<e@f> NOTIFY=delay,success\r\n"
        b"DATA\r\nx\r\n.\r\n"
    )

    assert {
        "RET": "hdrs",
        "ENVID": "a+2Bb",
        "BODY": "8bitmime",
        "NOTIFY": "SUCCESS,DELAY",
    } == taken[0][2]


@pytest.mark.parametrize(
    ("recipients", "wish"),
    [
        ([None], None),
        (["NEVER"], "NEVER"),
        (["NEVER", "NEVER"], "NEVER"),
        (["NEVER", None], "FAILURE"),
        (["SUCCESS", None], "SUCCESS,FAILURE"),
        (["DELAY,SUCCESS", "NEVER"], "SUCCESS,DELAY"),
    ],
)
def test_united_wishes(recipients, wish):
    """Different wishes of recipients become one that none of them would miss."""
    assert wish == bs.notify_of([{"NOTIFY": r} if r else {} for r in recipients])


def test_command_line_of_one_message():
    """The failed store gets the arguments that would send this message."""
    given = scan("sendmail", ["-bs", "-C", "/x.conf", "-F", "Shop", "-4"])
    options = bs.options_for(
        given,
        "",
        ["-c@d.example", "root"],
        {"ENVID": "a+2Bb", "RET": "full", "NOTIFY": "DELAY", "BODY": "8bitmime"},
    )
    again = scan("sendmail", bs.arguments(options))

    assert "smtp" == given.mode
    for name in options.__slots__:
        if name != "reverse_path":
            assert getattr(options, name) == getattr(again, name), name
    assert "<>" == again.reverse_path
    assert ["-c@d.example", "root"] == again.recipients


def test_no_secret_among_the_arguments():
    """A password of the command line does not go into the failed store."""
    given = scan("sendmail", ["-bs", "-au", "me", "-ap", "hush"])

    assert "hush" not in " ".join(
        bs.arguments(bs.options_for(given, "a@b", ["c@d"], {}))
    )


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_xtext(text):
    """Xtext decodes to what was encoded (RFC 3461 §4)."""
    encoded = "".join(c if c not in "+= " else f"+{ord(c):02X}" for c in text)

    assert text == paths.from_xtext(encoded)


def test_replies_that_nobody_reads():
    """A caller that is gone is not worth a traceback."""
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    os.close(out_read)
    os.close(in_write)

    assert 75 == bs.hold(RULES, never, stdin=in_read, stdout=out_write)
    os.close(in_read)
    os.close(out_write)


def test_descriptors_that_do_not_block():
    """A descriptor in non-blocking mode is waited for, and left in its mode."""
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    os.set_blocking(in_read, False)
    os.set_blocking(out_write, False)
    ended: list[int] = []
    thread = threading.Thread(
        target=lambda: ended.append(
            bs.hold(RULES, never, stdin=in_read, stdout=out_write)
        )
    )
    thread.start()
    greeting = os.read(out_read, 100)
    writer = threading.Thread(target=os.write, args=(in_write, b"NOOP\r\n" * 20_000))
    writer.start()
    replies = 0
    while replies < 20_000 * len(b"250 2.0.0 ok\r\n"):
        replies += len(os.read(out_read, 65536))
    writer.join()
    os.close(in_write)
    thread.join()

    assert greeting.startswith(b"220 ")
    assert [0] == ended
    assert not os.get_blocking(in_read)
    for fd in (in_read, out_read, out_write):
        os.close(fd)


@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [
                    b"EHLO c\r\n",
                    b"MAIL FROM:<a@b.example>\r\n",
                    b"MAIL FROM:<>\n",
                    b"RCPT TO:<c@d.example>\r\n",
                    b"RCPT TO:root\n",
                    b"DATA\r\n",
                    b"DATA\n",
                    b"Subject: x\r\n\r\ny\r\n.\r\n",
                    b"x\n.\n",
                    b"BDAT 3\r\nabc",
                    b"BDAT 3 LAST\r\nabc",
                    b"RSET\r\n",
                    b"QUIT\r\n",
                ]
            ),
            st.binary(max_size=20),
        ),
        max_size=20,
    )
)
def test_any_session(pieces):
    """Whatever a caller says, it gets one line of ASCII for each reply, and 0."""
    code, replies, taken = session(b"".join(pieces))

    assert 0 == code
    for reply in replies:
        assert reply[:3].isdigit()
        assert reply[3] in " -"
        assert reply.isprintable()
    queued = [reply for reply in replies if "queued as" in reply]
    assert len(queued) == len(taken)
