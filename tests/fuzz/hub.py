"""A mailhub in memory that lies, and a socket in memory to talk to it.

The program's own driver (`ssmtp.wire.channel`) talks to `Line` as if it were a socket:
octets arrive late, in pieces or not at all, time passes at once. What the mailhub does
is decided by `Choices`: without any it is honest. Everything that it said, and when, is
written down, so that a target can tell what a client was allowed to believe.
"""

from __future__ import annotations

import binascii
import errno
import os
import urllib.parse

from tests.fuzz.choices import Choices
from tests.listener import Listener

# What a mailhub may say besides its answer, or instead of it. Nothing here claims to
# be the acceptance of content (a status 2.0.0 does): that would be a lie that no client
# can see through.
EXTRAS = (
    b"250 2.1.5 ok\r\n",
    b"250 2.1.0 ok\r\n",
    b"250 ok\r\n",
    b"250-2.1.5 half",
    b"550 5.1.1 no\r\n",
    b"354 go\r\n",
    b"421 4.3.2 bye\r\n",
    b"nonsense\r\n",
    b"\r\n",
)
INSTEAD = (
    b"",
    b"2",
    b"25",
    b"250",
    b"250-",
    b"250-2.0.0 queued\r\n",
    b"2500 ok\r\n",
    b"25 ok\r\n",
    b"ok\r\n",
    b"250-x\r\n251 x\r\n",
    b"550-x\r\n250 x\r\n",
    b"354 go\r\n",
    b"421 bye\r\n",
    b"600 x\r\n",
    b"199 x\r\n",
    b"\xff\xfe\r\n",
    b"250 " + b"x" * 70000 + b"\r\n",
    b"250-x\r\n" * 101 + b"250 x\r\n",
    b"221 2.0.0 bye\r\n",
    b"451 4.3.0 later\r\n",
    b"550 5.7.1 no\r\n",
    b"530 5.7.0 authenticate\r\n",
    b"555 5.5.4 parameters?\r\n",
    b"501 5.5.4 parameters?\r\n",
    b"502 5.5.1 what?\r\n",
)
OFFERS = (
    (),
    ("PIPELINING",),
    ("PIPELINING", "CHUNKING"),
    ("CHUNKING",),
    ("PIPELINING", "CHUNKING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 1000000"),
    ("PIPELINING", "8BITMIME", "SIZE"),
    ("PIPELINING", "CHUNKING", "SIZE 100"),
    ("8BITMIME", "SMTPUTF8", "DSN", "SIZE 0"),
)
MECHANISMS = ("PLAIN LOGIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256 PLAIN", "XOAUTH2", "")
# A password, in the forms in which a mailhub may say it back.
USER, PASSWORD = "fuzz@hub.test", "S3cr\u00e9t w=rd&"
ECHOES = (
    b"no",
    PASSWORD.encode(),
    binascii.b2a_base64(PASSWORD.encode(), newline=False),
    binascii.b2a_base64(f"\0{USER}\0{PASSWORD}".encode(), newline=False),
    urllib.parse.quote(PASSWORD).encode(),
    urllib.parse.quote_plus(PASSWORD).encode(),
    PASSWORD.encode().hex().encode(),
)
# What poll(2) is asked about: `Line.recv` says whether there is anything.
ALWAYS_READY = os.open(os.devnull, os.O_RDONLY)
CONTENTS = ("250 2.0.0 queued as 1", "250 ok", "554 5.6.0 no", "451 4.3.0 later")


class Hub(Listener):
    """A mailhub that keeps state as a real one does, and says what it decides or not.

    `faults` counts the answers that were not honest. `plain` says that there was one
    at most, and of a kind that happens by itself: lost, doubled, cut off or garbled.
    """

    def __init__(self, choices: Choices) -> None:
        super().__init__()
        self.choices = choices
        self.offers = OFFERS[choices.pick(len(OFFERS))]
        self.mechanisms = MECHANISMS[choices.pick(len(MECHANISMS))]
        self.verdict = CONTENTS[choices.pick(len(CONTENTS))]
        self.refused = choices.pick(8)  # 1 to 3: that recipient; 4: MAIL
        self.hostility = choices.pick(4)
        self.faults = 0
        self.plain = True
        self.secure = self.starting = False
        self.reset = False
        self.accepted = False
        self.out: list[bytes] = []
        self.mail = False
        self.rcpts = self.asked = 0
        self.dialog: list[bytes] | None = None  # an AUTH exchange
        self.authenticated = self.heard_auth = False

    # -- what it says

    def greet(self) -> None:
        """Begin the session."""
        self.answer("GREETING", "220 hub.test")

    def answer(self, verb: str, text: str) -> str:
        octets = text.encode() + b"\r\n"
        if not self.closed:
            spoilt = self._spoilt(verb, octets)
            # An accident arrives in one piece: what comes after its time can be taken
            # for an answer to the next question, and nobody can tell.
            whole = spoilt is not octets or not self.hostility
            self.out += [spoilt] if whole else self.choices.pieces(spoilt)
        return text

    def _spoilt(self, verb: str, octets: bytes) -> bytes:
        pick = self.choices.pick
        if pick(256) < (256, 232, 190, 128)[self.hostility]:
            return octets
        self.faults += 1
        kind = pick(10)
        if kind < 3:
            return octets + EXTRAS[pick(len(EXTRAS))]
        if kind < 6:
            what = INSTEAD[pick(len(INSTEAD))]
            # Another answer than the one decided on is a lie, not an accident.
            self.plain &= not decides(what, verb)
            return what
        self.plain &= kind > 8
        if kind == 6:
            return self.choices.octets(60)
        if kind == 7:
            # It may know the password beforehand, but what we say comes back to us.
            echo = ECHOES[pick(len(ECHOES))] if self.heard_auth else b"no"
            return b"%d %s\r\n" % (100 + pick(256) * 2, echo)
        if kind == 8:
            return octets + self.choices.octets(60)
        self.closed = True
        self.reset = bool(pick(2))
        return octets[: pick(len(octets) + 1)] if pick(2) else b""

    # -- what it hears

    def heard_line(self, line: bytes) -> None:
        if self.dialog is not None:
            self._exchange(line)
            return
        words = line.decode("utf-8", "replace").split(" ")
        method = getattr(self, "on_" + words[0].lower(), None)
        if method is None:
            self.answer("-", "500 5.5.1 what?")
        else:
            method(words)

    def on_ehlo(self, words: list[str]) -> None:
        rows = ["hub.test", *self.offers]
        if not self.secure:
            rows.append("STARTTLS")
        if self.mechanisms:
            rows.append(f"AUTH {self.mechanisms}")
        marks = ["-"] * (len(rows) - 1) + [" "]
        rows = [f"250{mark}{row}" for mark, row in zip(marks, rows, strict=True)]
        self.answer("EHLO", "\r\n".join(rows))

    def on_helo(self, words: list[str]) -> None:
        self.answer("HELO", "250 hub.test")

    def on_starttls(self, words: list[str]) -> None:
        self.starting = self.answer("STARTTLS", "220 2.0.0 go")[0] == "2"

    def on_auth(self, words: list[str]) -> None:
        self.dialog = [b""]
        self.heard_auth = True
        initial = words[2].encode() if len(words) > 2 else None
        mechanism = words[1] if len(words) > 1 else ""
        if mechanism == "PLAIN" and initial:
            self._judge(initial, f"\0{USER}\0{PASSWORD}".encode())
        elif mechanism == "LOGIN":
            self._challenge(b"Username:")
        elif mechanism == "CRAM-MD5":
            self._challenge(b"<1@hub.test>")
        elif mechanism.startswith("SCRAM"):
            nonce = initial and _decoded(initial).rpartition(b"r=")[2]
            self._challenge(b"r=%sx,s=c2FsdA==,i=4096" % (nonce or b""))
        else:
            self._judge(b"", b"no")

    def _challenge(self, text: bytes) -> None:
        self.answer("AUTH", "334 " + binascii.b2a_base64(text, newline=False).decode())

    def _exchange(self, line: bytes) -> None:
        assert self.dialog is not None
        if line == b"*":
            self.dialog = None
            self.answer("AUTH", "501 5.7.0 cancelled")
            return
        self.dialog.append(_decoded(line))
        if self.dialog[1] == USER.encode() and len(self.dialog) == 2:
            self._challenge(b"Password:")
        else:
            self._judge(line, PASSWORD.encode())

    def _judge(self, line: bytes, wanted: bytes) -> None:
        self.dialog = None
        self.authenticated = _decoded(line) == wanted
        self.answer("AUTH", "235 2.7.0 ok" if self.authenticated else "535 5.7.8 wrong")

    def on_mail(self, words: list[str]) -> None:
        text = "550 5.7.1 no" if self.refused == 4 else "250 2.1.0 ok"
        self.mail = self.answer("MAIL", text)[0] == "2"
        self.rcpts = self.asked = 0

    def on_rcpt(self, words: list[str]) -> None:
        self.asked += 1
        if not self.mail:
            self.answer("RCPT", "503 5.5.1 MAIL first")
        elif self.asked == self.refused:
            self.answer("RCPT", "550 5.1.1 who?")
        else:
            self.rcpts += 1
            self.answer("RCPT", "250 2.1.5 ok")

    def on_data(self, words: list[str]) -> None:
        if self.rcpts:
            self.reading = self.answer("DATA", "354 go")[0] == "3"
        else:
            self.answer("DATA", "554 5.5.1 no valid recipients")

    def on_bdat(self, words: list[str]) -> None:
        if "CHUNKING" in self.offers:
            self.need = int(words[1])
        else:
            self.answer("-", "500 5.5.1 what?")

    def on_rset(self, words: list[str]) -> None:
        self.mail, self.rcpts = False, 0
        self.answer("RSET", "250 2.0.0 ok")

    def on_quit(self, words: list[str]) -> None:
        self.answer("QUIT", "221 2.0.0 bye")
        self.closed = True

    def heard_content(self, content: bytes) -> None:
        if not self.rcpts:
            self.answer("CONTENT", "503 5.5.1 no valid recipients")
        else:
            self.accepted |= self.answer("CONTENT", self.verdict)[0] == "2"


class Line:
    """The socket that the driver is given; it never waits and never blocks."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.seen = b""  # by the client
        self.written = b""

    def recv(self, most: int) -> bytes:
        hub = self.hub
        while hub.out:
            data = hub.out.pop(0)
            if len(data) > most:
                hub.out.insert(0, data[most:])
                data = data[:most]
            self.seen += data
            if data:
                return data
        if hub.closed:
            if hub.reset:
                raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
            return b""
        raise BlockingIOError

    def send(self, data: bytes) -> int:
        if self.hub.closed and self.hub.reset:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        octets = bytes(data)
        if self.hub.hostility == 3 and self.hub.choices.pick(8) == 7:
            octets = octets[: 1 + self.hub.choices.pick(256) * len(octets) // 256]
        self.written += octets
        self.hub.hear(octets)
        return len(octets)

    def setsockopt(self, *option: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not TCP")

    def fileno(self) -> int:
        return ALWAYS_READY

    def close(self) -> None:
        pass


def decides(octets: bytes, verb: str) -> bool:
    """Whether these octets are an answer that decides on the message."""
    return verb == "CONTENT" and octets[:1] in b"245" and octets[3:4] == b" "


def _decoded(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return b""
