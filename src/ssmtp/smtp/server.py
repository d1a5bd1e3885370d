"""The server's side of SMTP: octets in, replies and events out, no socket, no clock.

The same code holds a session for `sendmail -bs`, `ssmtpctl sink` and the demo mailhub.
It is a `Session` under `Rules`; a driver moves octets and decides about messages:

    session = Session(rules)
    while True:
        event = session.next_event()
        write(session.output())                  # before waiting for anything
        if event is None:
            if session.closed: break
            session.receive(read() or end)       # b"" is the end of input
        elif isinstance(event, Content): ...     # a block of the message
        elif isinstance(event, End): session.answer(250, "2.0.0", "accepted")

Events come in this order for each message:

    Sender, Recipient (one or more), Begin, Content*, End     or Abandoned

`Sender` and `Recipient` are accepted unless the driver calls `refuse` before it asks
for the next event. `End` has to be answered with `answer`: until then nothing that the
client sent after its message is looked at. `Abandoned` may come instead of anything
after `Begin`: the collected content is to be thrown away, and nothing is answered.
`StartTls` asks the driver to write the output, shake hands, and call `tls_started`.
`Verb` is a command of `Rules.verbs`; it has to be answered with `reply`.

Theory

1. The state of a session is one of: command, AUTH line, data, chunk. In each, the
   buffer is read by one function, which takes what is complete and leaves the rest, so
   the replies do not depend on how the network cut the input into pieces.
2. Every command gets exactly one reply, in order, also when commands were pipelined
   (RFC 2920). A reply that closes the session (221, 421) is the last one.
3. Content is streamed: memory is one block of input, whatever the message's size.

Warnings

- *Where a message ends* is the most dangerous question of SMTP: when two servers
  disagree, what one takes for content the other takes for commands (SMTP smuggling).
  Over a network only CR LF . CR LF ends it (RFC 5321 §4.1.1.4). A local caller of -bs
  may end its lines with LF; then LF . LF ends the data, but only if the DATA command
  itself ended with a bare LF. A caller that ends commands with CR LF is held to it, for
  its content may come from somebody else.
- The octets of a BDAT chunk are consumed even if the command is refused (RFC 3030 §2).
  When their number cannot be read, the session ends: what follows cannot be told from
  commands.
- Nothing may follow STARTTLS in the clear (RFC 3207 §4.1; the 2011 and 2021 injection
  bugs), nothing said before it counts after it (§4.2).
"""

from __future__ import annotations

import binascii

from ssmtp.smtp import paths
from ssmtp.smtp.events import (
    Abandoned,
    Begin,
    Content,
    End,
    Event,
    Recipient,
    Sender,
    StartTls,
    Transaction,
    Verb,
)
from ssmtp.smtp.incoming import Chunk, Data
from ssmtp.smtp.verify import verification

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ssmtp.smtp.paths import Path
    from ssmtp.smtp.rules import Rules
    from ssmtp.smtp.verify import Verification

# RFC 5321 §4.5.3.1.4 asks for 512 octets, and extensions add to that; an AUTH line has
# up to 12,288 (RFC 4954 §4). We are generous, but not endless.
LINE_LIMIT = 4096
AUTH_LINE_LIMIT = 12288 + 64
AUTH_TRIES = 3


class Session:
    """One SMTP session, from the greeting to its end."""

    def __init__(self, rules: Rules, *, secure: bool = False) -> None:
        self.rules = rules
        self.secure = secure
        self.closed = False
        self.hello: str | None = None
        self.user: str | None = None
        self.mechanism: str | None = None
        self.transaction: Transaction | None = None
        self._buffer = b""
        self._at = 0
        self._ended = False
        self._out: list[bytes] = []
        self._pending: Event | None = None
        self._reader: Callable[[], Event | None] = self._read_command
        self._more = True  # whether the reader may find something in the buffer
        self._skipping = False
        self._bare_lf = False
        self._errors = 0
        self._no_sender = False  # MAIL was refused, which its pipeline does not know
        self._verification: Verification | None = None
        self._auth_failures = 0
        self.chunked = False  # whether the content comes by BDAT
        self._begun = False  # Begin was given, neither End nor Abandoned yet
        self._size = 0
        self._too_big = False
        self._content: Data | Chunk | None = None
        self._last = False  # whether the content being read is the last of its message
        self._chunk_refusal: tuple[int, str, str] | None = None
        self._say(220, None, f"{rules.name} {rules.greeting}")

    # What the driver calls

    def receive(self, data: bytes) -> None:
        """Take octets from the client; b"" says that no more will come."""
        if data:
            self._buffer = self._buffer[self._at :] + data
            self._at = 0
        else:
            self._ended = True
        self._more = True

    def output(self) -> bytes:
        """Return the replies that have to be written now."""
        if not self._out:
            return b""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def next_event(self) -> Event | None:
        """Return what happened next; None when more input is needed, or none will come.

        Raises `RuntimeError` if the driver forgot to answer `End`.
        """
        if self._pending is not None:
            self._accept()
        while self._more and not self.closed:
            event = self._reader()
            if event is not None:
                return event
        if self._ended or self.closed:
            self.closed = True
            return self._abandon()
        return None

    def _accept(self) -> None:
        """Accept the sender or the recipient that was not refused."""
        pending, self._pending = self._pending, None
        if isinstance(pending, Sender):
            self._no_sender = False
            self.transaction = Transaction(pending.path)
            self._out.append(_SENDER_OK)
        elif isinstance(pending, Recipient):
            assert self.transaction is not None
            self.transaction.recipients.append(pending.path)
            self._out.append(_RECIPIENT_OK)
        else:
            raise RuntimeError("End, StartTls and Verb have to be answered")

    def refuse(self, code: int, status: str, text: str) -> None:
        """Refuse the sender or the recipient of the event just given."""
        assert isinstance(self._pending, Sender | Recipient)
        self._pending = None
        self._say(code, status, text)

    def answer(self, code: int, status: str | None, text: str | list[str]) -> None:
        """Say what became of the message; 2xx takes the responsibility for it."""
        assert isinstance(self._pending, End)
        self._pending = None
        self.transaction = None
        if code // 100 == 2:
            self._errors = 0
        self._say(code, status, text)

    def reply(self, code: int, status: str, text: str, *, more: bool = False) -> None:
        """Answer `Verb`, line by line; each line but the last has `more`.

        A line may be of any length: whoever knows the verb reads it.
        """
        assert isinstance(self._pending, Verb)
        if not more:
            self._pending = None
        shown = f"{code}{'-' if more else ' '}{status} {text}"
        self._out.append(_printable(shown.encode("ascii", "backslashreplace")))

    def tls_started(self) -> None:
        """Forget all that was said in the clear (RFC 3207 §4.2)."""
        assert isinstance(self._pending, StartTls)
        self._pending = None
        self.secure = True
        self.hello = self.user = self.mechanism = None

    def shut_down(self, text: str) -> None:
        """Say 421 and end the session: a time limit, or the listener closes."""
        if not self.closed:
            self._say(421, "4.3.2", text)
            self.closed = True

    # Replies

    def _say(self, code: int, status: str | None, text: str | list[str]) -> None:
        lines = [text] if isinstance(text, str) else text or [""]
        prefix = f"{status} " if status else ""
        left = len(lines)
        for line in lines:
            left -= 1
            shown = f"{code}{'-' if left else ' '}{prefix}{line}"
            octets = shown.encode("ascii", "backslashreplace")
            self._out.append(_printable(octets[:510]))

    def _error(self, code: int, status: str, text: str) -> None:
        """Say that the client made a mistake; close when it makes too many."""
        self._errors += 1
        if self._errors >= self.rules.error_limit:
            self._say(421, "4.7.0", "too many errors")
            self.closed = True
        else:
            self._say(code, status, text)

    # Lines

    def _take_line(self, limit: int) -> bytes | None:
        """Take one line without its end; None if there is none yet.

        A line that is too long is skipped without being stored, and answered here.
        """
        end = self._buffer.find(b"\n", self._at)
        if end < 0:
            if self._skipping or len(self._buffer) - self._at > limit:
                self._skipping = True
                self._buffer, self._at = b"", 0
            self._more = False
            return None
        line = self._buffer[self._at : end]
        self._at = end + 1
        too_long = self._skipping or len(line) > limit
        self._skipping = False
        self._bare_lf = not line.endswith(b"\r")
        if too_long:
            self._verification = None
            self._reader = self._read_command
            self._error(500, "5.5.2", "line too long")
            return None
        return line if self._bare_lf else line[:-1]

    def _read_command(self) -> Event | None:
        line = self._take_line(LINE_LIMIT)
        if line is None:
            return None
        try:
            text = line.decode()
        except UnicodeDecodeError:
            text = "\0"
        if not text.isprintable() and line.translate(None, _HARMLESS):
            self._error(500, "5.5.2", "control character in a command")
            return None
        if text == "\0":
            self._error(500, "5.5.2", "command is neither ASCII nor UTF-8")
            return None
        word, _, rest = text.partition(" ")
        verb = word.upper()
        command = _COMMANDS.get(verb)
        if command is not None:
            return command(self, rest.strip(" "))
        if verb in self.rules.verbs:
            if self._begun:
                self._error(503, "5.5.1", "the content has begun")
                return None
            self._pending = Verb(verb, rest.strip(" "))
            return self._pending
        if verb in _OTHER_PROTOCOLS and not self.rules.lenient:
            # Somebody's browser was talked into posting mail commands to us.
            self._say(421, "4.7.0", "this is no HTTP server")
            self.closed = True
        elif verb in _NOT_OFFERED:
            self._error(502, "5.5.1", f"{verb} is not offered here")
        else:
            self._error(500, "5.5.2", "unknown command")
        return None

    # Commands. Each leaves exactly one reply, or an event that will.

    def _helo(self, argument: str) -> Event | None:
        return self._greet(argument, False)

    def _ehlo(self, argument: str) -> Event | None:
        return self._greet(argument, True)

    def _greet(self, argument: str, extended: bool) -> Event | None:
        if not argument:
            self._error(501, "5.5.4", "name yourself, as in EHLO client.example")
            return None
        self.hello = argument
        event = self._reset()
        if extended:
            self._say(250, None, [self.rules.name, *self._keywords()])
        else:
            self._say(250, None, self.rules.name)
        return event

    def _keywords(self) -> list[str]:
        rules = self.rules
        lines = [
            f"SIZE {rules.size_limit}" if name == "SIZE" and rules.size_limit else name
            for name in rules.extensions
        ]
        if rules.starttls and not self.secure:
            lines.append("STARTTLS")
        if self._may_authenticate():
            lines.append("AUTH " + " ".join(rules.mechanisms))
        return [*lines, "HELP"]

    def _may_authenticate(self) -> bool:
        rules = self.rules
        return bool(rules.users) and (self.secure or rules.auth_in_clear)

    def _mail(self, argument: str) -> Event | None:
        self._no_sender = self.transaction is None
        if self.hello is None and not self.rules.lenient:
            self._error(503, "5.5.1", "say EHLO first")
        elif self.transaction is not None:
            self._error(503, "5.5.1", "there is a sender already")
        elif self.rules.auth_required and self.user is None:
            first = "" if self.secure or not self.rules.starttls else "STARTTLS and "
            self._say(530, "5.7.0", f"{first}AUTH required")
        elif path := self._path(argument, "FROM:", paths.MAIL_PARAMETERS):
            size = path.parameters.get("SIZE")
            if size and 0 < self.rules.size_limit < int(size):
                self._say(552, "5.3.4", "message is too big")
            else:
                self._pending = Sender(path)
        return self._pending

    def _rcpt(self, argument: str) -> Event | None:
        if self.transaction is None:
            self._mail_first()
        elif self._begun:
            self._error(503, "5.5.1", "the content has begun")
        elif len(self.transaction.recipients) >= self.rules.recipient_limit:
            self._say(452, "4.5.3", "too many recipients")
        elif path := self._path(argument, "TO:", paths.RCPT_PARAMETERS):
            self._pending = Recipient(path)
        return self._pending

    def _mail_first(self) -> None:
        if self._no_sender:
            # RFC 2920 §3.1: it was said before the client could know.
            self._say(503, "5.5.1", "MAIL was refused")
        else:
            self._error(503, "5.5.1", "MAIL comes first")

    def _path(self, argument: str, prefix: str, table: paths.Table) -> Path | None:
        """Read the argument of MAIL or RCPT; what is wrong with it is answered here."""
        rules, transaction = self.rules, self.transaction
        try:
            return paths.parse(
                argument,
                prefix,
                table,
                extensions=rules.extensions,
                lenient=rules.lenient,
                bare_names=rules.bare_names,
                utf8=bool(transaction and "SMTPUTF8" in transaction.sender.parameters),
            )
        except paths.Refused as refused:
            self._error(refused.code, refused.status, refused.words)
            return None

    def _data(self, argument: str) -> Event | None:
        if argument:
            self._error(501, "5.5.4", "DATA takes no argument")
        elif self.transaction is None:
            self._mail_first()
        elif self._begun:
            self._error(503, "5.5.1", "BDAT has begun this message")
        elif self._nobody():
            self._error(554, "5.5.1", "no valid recipients")
        else:
            self._say(354, None, "go ahead, and end with a line that is a dot")
            self._content = Data(self._bare_lf and self.rules.lenient)
            self._last = True
            self._reader = self._read_content
            self._more = self._at < len(self._buffer)
            return self._begin(False)
        return None

    def _bdat(self, argument: str) -> Event | None:
        words = argument.upper().split()
        if (
            not words
            or not paths.is_number(words[0])
            or words[1:] not in ([], ["LAST"])
            or "CHUNKING" not in self.rules.extensions
        ):
            # How many octets follow is unknown: none of them may become a command.
            self._say(421, "4.5.4", "BDAT takes a number of octets, and LAST")
            self.closed = True
            return None
        self._content = Chunk(int(words[0]))
        self._last = words[1:] == ["LAST"]
        self._reader = self._read_content
        if self.transaction is None:
            self._chunk_refusal = (503, "5.5.1", "MAIL comes first")
        elif self._nobody():
            self._chunk_refusal = (554, "5.5.1", "no valid recipients")
        elif not self._begun:
            return self._begin(True)
        return None

    def _nobody(self) -> bool:
        """Whether there is no recipient, nor one to be found in the header."""
        transaction = self.transaction
        assert transaction is not None
        from_header = "XREAD" in transaction.sender.parameters
        return not transaction.recipients and not from_header

    def _rset(self, argument: str) -> Event | None:
        event = self._reset()
        self._say(250, "2.0.0", "ok")
        return event

    def _noop(self, argument: str) -> None:
        self._say(250, "2.0.0", "ok")

    def _vrfy(self, argument: str) -> None:
        if argument:
            self._say(252, "2.5.0", "cannot say, but will try to deliver")
        else:
            self._error(501, "5.5.4", "VRFY takes a name")

    def _help(self, argument: str) -> None:
        known = set(_COMMANDS)
        if not self.rules.starttls:
            known.discard("STARTTLS")
        if not self.rules.users:
            known.discard("AUTH")
        lines = ["commands: " + " ".join(sorted(known)), "RFC 5321 tells the rest"]
        self._say(214, "2.0.0", lines)

    def _quit(self, argument: str) -> Event | None:
        self._say(221, "2.0.0", "goodbye")
        self.closed = True
        return self._reset()

    def _starttls(self, argument: str) -> Event | None:
        if argument:
            self._error(501, "5.5.4", "STARTTLS takes no argument")
        elif self.secure or not self.rules.starttls:
            self._error(502, "5.5.1", "STARTTLS is not offered now")
        elif self._at < len(self._buffer):
            self._say(421, "4.5.1", "nothing may follow STARTTLS")
            self.closed = True
        else:
            self._reset()
            self._say(220, "2.0.0", "ready for TLS")
            self._pending = StartTls()
        return self._pending

    # AUTH, RFC 4954

    def _auth(self, argument: str) -> None:
        mechanism, _, initial = argument.partition(" ")
        mechanism = mechanism.upper()
        if not self.rules.users:
            self._error(502, "5.5.1", "AUTH is not offered here")
        elif not self._may_authenticate():
            self._error(538, "5.7.11", "AUTH needs TLS: say STARTTLS first")
        elif self.hello is None or self.user is not None or self.transaction:
            self._error(503, "5.5.1", "AUTH comes once, after EHLO and before MAIL")
        elif mechanism not in self.rules.mechanisms or self.rules.nonce is None:
            self._error(504, "5.5.4", "unknown AUTH mechanism")
        else:
            self.mechanism = mechanism
            self._verification = verification(
                mechanism, self.rules.users, self.rules.nonce()
            )
            if self._verification is None:
                self._error(504, "5.5.4", "unknown AUTH mechanism")
                return
            next(self._verification)
            # RFC 4954 §4: "=" is the initial response that is empty.
            self._verify("" if initial == "=" else initial or None)

    def _read_auth(self) -> Event | None:
        line = self._take_line(AUTH_LINE_LIMIT)
        if line == b"*":
            self._reader = self._read_command
            self._error(501, "5.7.0", "AUTH cancelled")
        elif line is not None:
            self._verify(line.decode("ascii", "replace"))
        return None

    def _verify(self, response: str | None) -> None:
        """Go on with the exchange by one response, given in base64."""
        assert self._verification is not None
        self._reader = self._read_command
        try:
            octets = (
                None
                if response is None
                else binascii.a2b_base64(response, strict_mode=True)
                if response
                else b""
            )
            challenge = self._verification.send(octets)
        except StopIteration as stop:
            self._verified(stop.value)
        except Exception:
            # Whatever a client makes a mechanism stumble over is its own fault.
            self._error(501, "5.5.2", "this AUTH response makes no sense")
        else:
            self._say(334, None, binascii.b2a_base64(challenge, newline=False).decode())
            self._reader = self._read_auth

    def _verified(self, user: str | None) -> None:
        if user is not None:
            self.user = user
            self._say(235, "2.7.0", "welcome")
            return
        self._auth_failures += 1
        if self._auth_failures >= AUTH_TRIES:
            self._say(421, "4.7.0", "too many wrong credentials")
            self.closed = True
        else:
            self._say(535, "5.7.8", "wrong user name or password")

    # Content

    def _read_content(self) -> Event | None:
        assert self._content is not None
        block, rest = self._content.take(self._buffer[self._at :])
        self._buffer, self._at = rest or b"", 0
        if rest is None:
            self._more = False
        else:
            # The block first, then the end.
            self._reader = self._end_of_content
        self._size += len(block)
        if self._chunk_refusal or self._too_big or not block:
            return None
        if 0 < self.rules.size_limit < self._size:
            self._too_big = True
            return self._abandon()
        return Content(block)

    def _end_of_content(self) -> Event | None:
        self._content = None
        self._reader = self._read_command
        if self._chunk_refusal:
            if self.transaction is None:
                self._mail_first()
            else:
                self._error(*self._chunk_refusal)
            self._chunk_refusal = None
        elif self._too_big:
            self._too_big = False
            self.transaction = None
            self._say(552, "5.3.4", "message is too big")
        elif self._last:
            self._begun = False
            self._pending = End()
            return self._pending
        else:
            self._say(250, "2.0.0", "chunk taken")
        return None

    def _begin(self, chunked: bool) -> Event:
        self._begun = True
        self.chunked = chunked
        self._size = 0
        self._too_big = False
        return Begin()

    def _reset(self) -> Event | None:
        self._no_sender = False
        self.transaction = None
        return self._abandon()

    def _abandon(self) -> Event | None:
        begun, self._begun = self._begun, False
        return Abandoned() if begun else None


def _printable(line: bytes) -> bytes:
    """Return a line of a reply with its end; nothing in it acts on a terminal."""
    return line.translate(_MARKED) + b"\r\n"


_SENDER_OK = b"250 2.1.0 sender ok\r\n"
_RECIPIENT_OK = b"250 2.1.5 recipient ok\r\n"
_HARMLESS = bytes(c for c in range(32, 256) if c != 127)
_MARKED = bytes(c if 32 <= c < 127 else 63 for c in range(256))
_COMMANDS: dict[str, Callable[[Session, str], Event | None]] = {
    "HELO": Session._helo,
    "EHLO": Session._ehlo,
    "MAIL": Session._mail,
    "RCPT": Session._rcpt,
    "DATA": Session._data,
    "BDAT": Session._bdat,
    "RSET": Session._rset,
    "NOOP": Session._noop,
    "VRFY": Session._vrfy,
    "HELP": Session._help,
    "QUIT": Session._quit,
    "STARTTLS": Session._starttls,
    "AUTH": Session._auth,
}
_NOT_OFFERED = ("EXPN", "SEND", "SOML", "SAML", "TURN", "ETRN", "ATRN", "LHLO")
_OTHER_PROTOCOLS = ("GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS", "HOST:")
