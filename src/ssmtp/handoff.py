"""The road to the agent: the same dialogue over a Unix socket, with nothing to keep.

The agent's acceptor knows who calls from the socket itself (SO_PEERCRED), so there is
no password here, no TLS, and no configuration to parse: the message goes over as it was
read, the words of the command line as parameters of MAIL (`parcel` lists them), and the
acceptor repairs it.

Which road is taken:

1. `Delivery=direct`, a configuration that was named (-C, SSMTP_CONF) or credentials on
   the command line mean the direct one, unless that file says `Delivery=agent`.
2. `Delivery=agent` means this one, whatever happens.
3. Else this one, if a socket is there. When nobody answers there within `PATIENCE`, the
   direct one may be tried; that is over once the message may have been handed over.

A user with a configuration of their own has an agent of their own, or none: mail never
goes through the system's agent when its owner wrote down another mailhub.
"""

from __future__ import annotations

import posix
import time

from ssmtp import configfile
from ssmtp.errors import (
    Deferred,
    Failure,
    InDoubt,
    MailhubRefused,
    SiteTrouble,
)
from ssmtp.values import BLANKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Mapping

    from ssmtp.delivery import Request
    from ssmtp.intake import Intake
    from ssmtp.receipt import Receipt
    from ssmtp.smtp.phases import Clocks
    from ssmtp.smtp.reply import Reply
    from ssmtp.trace import Trace

SYSTEM_SOCKET = "/run/ssmtp/submit.sock"
PATIENCE = 2.0  # seconds for an agent to greet
LONG_PATIENCE = 20.0  # where there is no other road, and the agent may be starting
COMMAND_SECONDS = 60.0  # for a reply to MAIL or RCPT
CONTENT_SECONDS = 300.0  # for the disk of a busy machine
WAIT_SECONDS = 1200.0  # for the mailhub's verdict (--wait)
_BEFORE_CONTENT = ("MAIL", "RCPT")  # phases in which nothing can have been taken
# What the agent says of a message that it will not try again by itself.
_AT_REST = ("(HoldInDoubt)", "(ssmtpctl queue hold)", "it has left the queue")


class Road:
    """The way to an agent, by the first socket that leads to one.

    `only` forbids the direct road; it leads nowhere for who is `barred` from reading
    the configuration.
    """

    __slots__ = ("barred", "only", "paths")

    def __init__(self, paths: list[str], only: bool, barred: bool = False) -> None:
        self.paths = paths
        self.only = only
        self.barred = barred

    @property
    def path(self) -> str:
        """The socket that is tried first."""
        return self.paths[0]


class Unreachable(SiteTrouble):
    """No agent answers; it has been handed nothing."""

    culprit = "system"


class Queued(Failure):
    """The agent has the message in its queue, but the mailhub does not have it.

    Only who waits for the mailhub (--wait) gets to know. The caller must not keep it.
    """

    scope = "message"


def agents(
    config_path: str | None, environ: Mapping[str, str], *, down: bool = False
) -> list[str]:
    """Return the sockets that are there, this user's own before the system's.

    `config_path` is the configuration that was named, if any. With `down`, one that
    it wants counts when it is not there, too: it may have a queue all the same.
    """
    named = config_path or environ.get("SSMTP_CONF") or _usual(environ)
    delivery, place = _keys(_readable(named) or b"", named)
    places = [place] if place else sockets(environ)
    there = [path for path in places if _exists(path)]
    if there or not down or delivery != "agent":
        return there
    return places[-1:] if named == configfile.SYSTEM_FILE else places[:1]


def sockets(environ: Mapping[str, str]) -> list[str]:
    """Return where an agent may listen: this user's own, then the system's."""
    own = environ.get("XDG_RUNTIME_DIR") or ""
    if own.startswith("/"):
        try:
            if posix.stat(own).st_uid == posix.getuid():
                return [f"{own.rstrip('/')}/ssmtp/submit.sock", SYSTEM_SOCKET]
        except (OSError, ValueError):
            pass
    return [SYSTEM_SOCKET]


def road(request: Request) -> Road | None:
    """Return the way to an agent, None when the direct road is to be taken.

    Raises `Unreachable` when the agent is wanted, and nowhere to be found.
    """
    options, environ = request.options, request.environ
    usual = _usual(environ)
    named = options.config_path or environ.get("SSMTP_CONF") or usual
    text = _readable(named)
    delivery, path = _keys(text or b"", named)
    if delivery not in ("auto", "agent"):
        return None  # direct, or a mistake, which that road tells
    if delivery != "agent" and (
        named != usual or options.auth_user or options.auth_pass or options.auth_method
    ):
        return None
    places = [path] if path else sockets(environ)
    if delivery != "agent" and usual != configfile.SYSTEM_FILE and not path:
        places.remove(SYSTEM_SOCKET)
    # One that is named and not there is one that is down just now.
    there = places if path else [place for place in places if _exists(place)]
    if there:
        return Road(there, delivery == "agent", text is None)
    if delivery == "agent":
        raise Unreachable(
            f"there is no agent at {' or '.join(places)}",
            "start it (ssmtpctl agent run), or set Delivery=auto",
        )
    return None


def _exists(path: str) -> bool:
    try:
        posix.stat(path)
    except (OSError, ValueError):
        return False
    return True


def _usual(environ: Mapping[str, str]) -> str:
    """Return the configuration that holds when none is named."""
    names = ("HOME", "XDG_CONFIG_HOME")
    unnamed = {name: environ[name] for name in names if name in environ}
    return configfile.find(None, unnamed, _home(environ))


def _home(environ: Mapping[str, str]) -> str | None:
    if (environ.get("HOME") or "").startswith("/"):
        return None  # nobody will ask
    import pwd

    try:
        return pwd.getpwuid(posix.getuid()).pw_dir
    except KeyError:
        return None


def _readable(path: str) -> bytes | None:
    """Return a configuration, None when it cannot be read: users need not."""
    try:
        return configfile.read_text(path, "the configuration", missing_ok=True) or b""
    except Failure:
        return None


def _keys(text: bytes, path: str) -> tuple[str, str | None]:
    """Find Delivery and AgentSocket in a configuration without parsing the rest.

    What is wrong with the file is for the direct road to tell.
    """
    delivery, place = "auto", None
    lower = text.lower()
    if b"delivery" not in lower and b"agentsocket" not in lower:
        return delivery, place
    if b"\n" not in text:
        text = text.replace(b"\r", b"\n")
    for line in text.decode("utf-8", "surrogateescape").split("\n"):
        name, _, value = line.partition("=")
        key = name.strip(BLANKS + "\ufeff").lower()
        if key == "delivery":
            word = value.partition("#")[0]
            delivery = word.strip(BLANKS + "\"'").lower() or "auto"
        elif key == "agentsocket":
            place = _place(line, value.strip(BLANKS), path)
    return delivery, place


def _place(line: str, value: str, path: str) -> str | None:
    """Read the value of AgentSocket."""
    if value[:1] == "/" and not any(c in "\"'# \t" for c in value):
        return value
    import os

    from ssmtp import config

    # Quotes, comments, ~ and relative paths: as the parser has them.
    text = f"{line}\n".encode("utf-8", "surrogateescape")
    try:
        path = os.path.abspath(path)
        return config.parse(text, path, configfile.home()).agent_socket
    except (Failure, OSError):
        return None


def submit(way: Road, request: Request, intake: Intake) -> Receipt:
    """Hand a message over; return the receipt of the queue, or raise `Failure`.

    `Unreachable`: the agent was given nothing. `InDoubt`: it was, and did not answer.
    Where there is no other road, one that takes no more connections is asked again.
    """
    until = time.monotonic() + LONG_PATIENCE
    pause = 0.05
    while True:
        try:
            return _submit(way, request, intake)
        except Unreachable as away:
            full = away.reply is not None and away.reply.code == 421
            alone = way.only or way.barred
            if not (alone and full) or time.monotonic() + pause > until:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 1.0)


def _submit(way: Road, request: Request, intake: Intake) -> Receipt:
    from ssmtp import parcel
    from ssmtp.smtp.dialogue import Dialogue
    from ssmtp.smtp.session import Facts
    from ssmtp.smtp.steps import Again
    from ssmtp.wire import blocking
    from ssmtp.wire.channel import Channel

    options = request.options
    if b"\0" in intake.header:
        from ssmtp import message

        message.parse(intake)  # says what is wrong, and where
    envelope = parcel.Envelope(options)
    patience = LONG_PATIENCE if way.only else PATIENCE
    sock, hub = reach(way.paths, patience, request.trace)
    if request.trace is not None:
        for note in intake.notes:
            request.trace.note(note)
    channel = Channel(sock, _clocks(patience, options.wait), request.trace)
    dialogue = Dialogue(
        Facts(
            hub,
            "localhost",
            "none",
            envelope,  # type: ignore[arg-type]
            parcel.Message(intake),  # type: ignore[arg-type]
            private=True,
            handoff=parcel.parameters(options, intake.notes, envelope.odd),
        )
    )
    try:
        receipt: Receipt = blocking.run(channel.converse(dialogue))
        return receipt
    except Again as again:
        raise Unreachable(f"{hub} does not speak as an agent does") from again
    except Failure as failure:
        nobody = isinstance(failure, (SiteTrouble, MailhubRefused))
        if dialogue.session.stage == "session" and nobody:
            raise _unreachable(failure.what, failure.reply) from failure
        if _ended_before(failure):
            words = f"{hub} ended the session: {failure.reply}"
            raise _unreachable(words, failure.reply) from failure
        raise _translated(failure, options.wait) from failure
    finally:
        if dialogue.session.stage == "content":
            channel.close_late()
        else:
            channel.close()


def reach(
    paths: list[str], patience: float, trace: Trace | None = None
) -> tuple[socket, str]:
    """Connect to the first socket that somebody listens at; return what to call him."""
    away: Unreachable | None = None
    for path in paths:
        hub = f"the agent ({path})"
        if trace is not None:
            trace.note(f"connecting to {hub}")
        try:
            return _connect(path, patience), hub
        except Unreachable as error:
            away = away or error
    assert away is not None
    raise away


def _connect(path: str, patience: float) -> socket:
    import _socket
    import struct

    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        # Blocking, so that it waits for its turn when many call at once (unix(7)).
        limit = struct.pack("@ll", int(patience), 0)
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, limit)
        sock.connect(path)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        why = error.strerror or str(error)
        if isinstance(error, BlockingIOError):
            why = f"no answer within {patience:g} s"
        raise Unreachable(
            f"the agent ({path}) cannot be reached: {why}", "try again later"
        ) from error
    return sock


def _clocks(patience: float, wait: bool) -> Clocks:
    from ssmtp.smtp import phases

    class Patience(phases.Clocks):
        """Little time for a sign of life, much for the disk."""

        __slots__ = ()

        def of(self, phase: phases.Phase) -> float:
            first = phase is phases.GREETING or phase is phases.HELLO
            return patience if first else super().of(phase)

    content = WAIT_SECONDS if wait else CONTENT_SECONDS
    return Patience(patience, COMMAND_SECONDS, content)


def _unreachable(what: str, reply: Reply | None) -> Unreachable:
    step = "" if "try again" in what else "try again later"
    return Unreachable(what, step, reply=reply)


def _ended_before(failure: Failure) -> bool:
    """Whether it shuts down, and looks at no content any more (RFC 5321 §3.8)."""
    reply = failure.reply
    return reply is not None and reply.code == 421 and failure.phase in _BEFORE_CONTENT


def _translated(failure: Failure, waited: bool) -> Failure:
    """Return what the agent's refusal means for the caller of sendmail."""
    reply = failure.reply
    if reply is None or isinstance(failure, InDoubt):
        return failure
    from ssmtp.smtp import exits

    words = _words(reply)
    kind = exits.kind(reply, bool(failure.recipient))
    if waited and words.startswith("queued as "):
        queued = Queued(words, reply=reply)
        queued.exit_code = kind.exit_code
        queued.when = "never" if reply.code >= 500 else "later"
        rests = reply.code >= 500 or any(mark in words for mark in _AT_REST)
        queued.next_step = "" if rests else "the agent will try again"
        return queued
    told = kind is not Deferred or "try again" in words
    step = "" if told else "try again later"
    result = kind(words, step, reply=reply)
    result.recipient, result.phase = failure.recipient, failure.phase
    return result


def _words(reply: Reply) -> str:
    text = reply.text
    if reply.status and text.startswith(reply.status):
        text = text[len(reply.status) :].lstrip()
    return text or str(reply)
