"""One connection to the acceptor: a session, and the user at its other end.

Who that is, the kernel says. What the message needs is done here as on the direct road
(`direct.prepare`), and 250 is said once the queue has it safe on disk.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Iterator

from ssmtp import bs, direct, journal
from ssmtp import envelope as envelopes
from ssmtp.accounts import Caller
from ssmtp.address import Address
from ssmtp.agent import answers, senders
from ssmtp.agent.hall import Hall
from ssmtp.content import Content
from ssmtp.conversation import BLOCK, Conversation
from ssmtp.envelope import Envelope
from ssmtp.errors import Deferred, Failure, bug
from ssmtp.intake import Intake, from_blocks
from ssmtp.message import Message
from ssmtp.options import Options
from ssmtp.smtp.events import Event, Verb
from ssmtp.smtp.paths import Path, from_xtext
from ssmtp.smtp.reply import Reply
from ssmtp.smtp.rules import Rules
from ssmtp.spool import queuefile
from ssmtp.spool.queue import Draft, NoSpace, Recipient

OFTEN = 1 << 20  # octets of a message, after which the room is looked at again
RESTARTED = "the agent is being restarted, try again"
NAME_AND_END = 100  # octets of a file in the queue, or a few less
AT_ONCE = 50  # lines of an answer that are written at once


class Ready:
    """A message that only has to be written into the queue, and what it was made of."""

    __slots__ = (
        "account",
        "content",
        "draft",
        "envelope",
        "message",
        "options",
        "taken",
    )

    def __init__(
        self,
        taken: Intake,
        account: direct.Account,
        options: Options,
        envelope: Envelope,
        message: Message,
        content: Content,
        draft: Draft,
    ) -> None:
        self.taken = taken
        self.account = account
        self.options = options
        self.envelope = envelope
        self.message = message
        self.content = content
        self.draft = draft

    @property
    def octets(self) -> int:
        """What its file will have at most: recipients take room, too."""
        head = len(queuefile.render_head(self.draft, ""))
        return head + self.content.size + NAME_AND_END


class Desk(Conversation):
    """Takes messages from one user, and answers questions about the queue."""

    __slots__ = (
        "caller",
        "drained",
        "full",
        "hall",
        "heard",
        "held",
        "notice",
        "poll",
        "said",
        "size",
        "sock",
        "trouble",
        "unsaid",
        "until",
    )

    def __init__(
        self,
        hall: Hall,
        sock: socket.socket,
        rules: Rules,
        caller: Caller,
    ) -> None:
        super().__init__(rules, sock.fileno(), sock.fileno())
        self.hall = hall
        self.sock = sock
        self.caller = caller
        self.said = time.monotonic()  # when the last reply was written
        self.heard = self.said  # when the lobby has heard something
        self.until: float | None = None  # when the message has to be complete
        self.full: Failure | None = None  # why the message that comes is refused
        self.notice = True  # the end of the agent is still to be told
        self.drained = False  # the last read took all that was there
        self.held: list[bytes] | None = None  # what the lobby has of a message
        self.size = 0  # of that, in octets
        self.trouble: Failure | None = None  # why the lobby could not queue it
        self.unsaid = b""  # what the client did not take at once
        self.poll = select.poll()
        self.poll.register(sock, select.POLLIN)
        self.poll.register(hall.closing, select.POLLIN)
        sock.setblocking(False)

    def resume(self, event: Event | None) -> None:
        """Go on where the lobby has left off, and hold the session to its end."""
        self.write(self.unsaid)
        if self.held is not None:
            self.message()
        elif event is not None:
            self.handle(event)
        self.run()

    # Octets, and how long to wait for them

    def read(self) -> bytes:
        """Return what came next; nothing once the session is to end."""
        ready: list[tuple[int, int]] = []
        while True:
            now = time.monotonic()
            until = self.deadline(now)
            if now >= until and not ready:
                return self._late()  # also who never stops talking
            if not (self.drained and self.notice):
                try:
                    data = self.sock.recv(BLOCK)
                except BlockingIOError:
                    pass
                else:
                    self.drained = len(data) < BLOCK
                    return data
            self.drained = False
            if not self.notice and self.session.transaction is None:
                return self._end(RESTARTED)
            ready = self.poll.poll(max(0, int((until - now) * 1000)) + 1)
            if not ready:
                return self._late()
            if self.hall.closing in dict(ready):
                self.notice = False
                self.poll.unregister(self.hall.closing)
                closing = time.monotonic() + self.hall.grace_seconds
                self.until = min(self.until or closing, closing)

    def deadline(self, heard: float) -> float:
        """Return until when something has to come: a whole command, but of a message.

        A message may come in small pieces, as long as all of it comes in its time;
        `heard` is when the last one did.
        """
        if self.session.transaction is None or self.until is None:
            return self.said + self.hall.idle_seconds
        return min(heard + self.hall.idle_seconds, self.until)

    def _late(self) -> bytes:
        return self._end("you took too long" if self.notice else RESTARTED)

    def _end(self, words: str) -> bytes:
        self.session.shut_down(words)
        return b""

    def write(self, data: bytes) -> None:
        """Write all of it; raises TimeoutError for a peer that does not read."""
        while data:
            try:
                data = data[self.sock.send(data) :]
            except BlockingIOError:
                poll = select.poll()
                poll.register(self.sock, select.POLLOUT)
                if not poll.poll(self.hall.idle_seconds * 1000):
                    raise TimeoutError("the peer does not read") from None
        self.said = time.monotonic()

    # Messages

    def sender(self, path: Path) -> None:
        """Refuse mail that there is no room for, before it is sent."""
        self.hall.admit(*self.coming(path))

    def coming(self, path: Path) -> tuple[int, int]:
        """Let the time of a message begin; return whose it is, and its size so far."""
        if self.notice:  # else it has been told how long this may go on
            self.until = time.monotonic() + self.hall.message_seconds
        return self.caller.uid, int(path.parameters.get("SIZE") or 0)

    def message(self) -> None:
        self.full = None
        super().message()

    def blocks(self) -> Iterator[bytes]:
        """Yield the content; of one that the queue has no room for, the beginning."""
        size, looked = 0, 0
        for block in self._all_blocks():
            size += len(block)
            if self.full is None and size - looked > OFTEN:
                looked = size
                try:
                    self.hall.room(self.caller.uid, size)
                except Failure as full:
                    self.full = full
            if self.full is None:
                yield block

    def _all_blocks(self) -> Iterator[bytes]:
        held, self.held = self.held, None
        yield from held or ()
        if not self.complete:
            yield from super().blocks()

    def submit(self, taken: Intake) -> str:
        """Put a message into the queue; return the words that say so."""
        if self.full is not None:
            raise self.full
        begun = time.monotonic()
        options = self._options()
        account = self.hall.account(self.caller)
        try:
            trouble, self.trouble = self.trouble, None
            if trouble is not None:
                raise self._refused(trouble)
            ready = self._ready(taken, account, options)
            with self.hall.place(self.caller.uid, ready.octets):
                name = self._queued(ready)
        except Failure as failure:
            self._log_failure(failure, account, options, begun)
            raise
        except Exception as error:  # a mistake of ours is a reply, too
            mistake = bug(error)
            self._log_failure(mistake, account, options, begun)
            raise mistake from error
        self.log(name, ready, account.config.log_file)
        if self.wants("XWAIT"):
            return self._wait(name)
        return self.queued(name)

    def queued(self, name: str) -> str:
        """Tell the sender of a message, and return the words that say it is queued."""
        self.hall.link.new(name)
        return f"queued as {name}"

    def ready(self, account: direct.Account) -> Ready:
        """Prepare the message that the lobby holds, all of it; raises `Failure`."""
        taken = from_blocks(b"", self.held or ())
        return self._ready(taken, account, self._options())

    def _ready(self, taken: Intake, account: direct.Account, options: Options) -> Ready:
        envelope, message = direct.prepare(account, options, taken)
        senders.check(account, self.caller.login, envelope, message)
        content = message.render(True, True)
        draft = self._draft(account, envelope, message, options)
        draft.header = len(content.header)
        draft.eightbit = content.eightbit
        return Ready(taken, account, options, envelope, message, content, draft)

    def _queued(self, ready: Ready) -> str:
        try:
            return self.hall.queue.add(ready.draft, ready.content.blocks())
        except NoSpace as full:
            raise self._refused(full) from full

    def _refused(self, trouble: Failure) -> Failure:
        if not isinstance(trouble, NoSpace):
            return trouble
        words = trouble.sentence()
        return Deferred(words, reply=Reply(452, [f"4.3.1 {words}"]))

    def wants(self, keyword: str) -> bool:
        """Whether MAIL had this parameter."""
        transaction = self.session.transaction
        return transaction is not None and keyword in transaction.sender.parameters

    def _options(self) -> Options:
        """Make the command line that would have sent this one message."""
        transaction = self.session.transaction
        assert transaction is not None
        given = transaction.sender.parameters
        notify = bs.notify_of([path.parameters for path in transaction.recipients])
        options = bs.fill(
            Options("sendmail"),
            transaction.sender.text,
            [path.text for path in transaction.recipients],
            {**given, "NOTIFY": notify or given.get("XNOTIFY")},
        )
        if "XFROM" in given:
            options.reverse_path = None
        elif given.get("XSENDER"):
            options.reverse_path = from_xtext(given["XSENDER"] or "")
        options.full_name = from_xtext(given.get("XNAME") or "") or None
        options.log_tag = from_xtext(given.get("XTAG") or "") or None
        options.read_recipients = "XREAD" in given
        return options

    def _draft(
        self,
        account: direct.Account,
        envelope: Envelope,
        message: Message,
        options: Options,
    ) -> Draft:
        path = envelope.reverse_path
        hubs = account.identity.mailhubs
        own = hubs is not account.config.mailhubs
        return Draft(
            self.caller.uid,
            self.caller.login,
            "" if path is None else str(path),
            self._recipients(envelope, account),
            message_id=message.message_id,
            smtputf8=envelope.needs_smtputf8 or message.needs_smtputf8,
            ret=options.ret,
            envid=options.envid,
            body=options.body,
            mailhubs=map(str, hubs) if own else (),
        )

    def _recipients(
        self, envelope: Envelope, account: direct.Account
    ) -> list[Recipient]:
        """Give each recipient the wishes of the first RCPT that leads to it."""
        transaction = self.session.transaction
        assert transaction is not None
        others = {"NOTIFY": envelope.notify}  # of whom only the header names
        wishes: dict[Address, dict[str, str | None]] = {}
        if any(path.parameters for path in transaction.recipients):
            alone = Options("sendmail")
            for path in transaction.recipients:
                alone.recipients = [path.text]
                for address in envelopes.recipients(alone, [], account.names):
                    wishes.setdefault(address, path.parameters)
        found = [(str(one), wishes.get(one, others)) for one in envelope.recipients]
        return [
            Recipient(address, wish.get("NOTIFY"), wish.get("ORCPT"))
            for address, wish in found
        ]

    def _wait(self, name: str) -> str:
        """Wait for the mailhub's verdict on a queued message; raises it."""
        verdict = self.hall.verdict(name, self._left)
        code, text = int(verdict["code"]), str(verdict["text"])
        if code // 100 == 2:
            return f"sent: {text} (was queued as {name})"
        words = f"queued as {name}; {text}"
        raise Deferred(words, reply=Reply(code, [f"{verdict['status']} {words}"]))

    def _left(self) -> bool:
        """Whether the client has hung up; one that only says no more has not."""
        poll = select.poll()
        poll.register(self.sock, 0)
        return bool(poll.poll(0))

    # The log

    def log(self, name: str, ready: Ready, log_file: str | journal.Page | None) -> None:
        """Log that a message was queued."""
        transaction = self.session.transaction
        assert transaction is not None
        notes = from_xtext(transaction.sender.parameters.get("XNOTES") or "")
        repairs = [notes] if notes else []
        repairs += ready.taken.notes
        repairs += ready.message.notes
        try:
            journal.queued(
                name,
                envelope=ready.envelope,
                message_id=ready.message.message_id,
                login=self.caller.login,
                uid=self.caller.uid,
                size=ready.content.size,
                tag=ready.options.log_tag,
                repairs=repairs,
                log_file=log_file,
            )
        except Exception:
            pass  # the message is queued, and that is what must be said

    def _log_failure(
        self, failure: Failure, account: direct.Account, options: Options, begun: float
    ) -> None:
        try:
            journal.failed(
                failure,
                login=self.caller.login,
                uid=self.caller.uid,
                tag=options.log_tag,
                seconds=time.monotonic() - begun,
                log_file=account.config.log_file,
            )
        except Exception:
            pass

    # The queue

    def verb(self, event: Verb) -> None:
        """Answer a question about the queue, or an order to it."""
        trusted = self.caller.uid in (0, os.getuid())
        asker = answers.Asker(self.caller.uid, trusted, self.hall)
        try:
            found = answers.to(event.word, event.argument, asker)
            for number, text in enumerate(found, 1):
                self.session.reply(250, "2.0.0", text, more=True)
                if number % AT_ONCE == 0:
                    self.flush()
        except answers.Denied as denied:
            self.session.reply(denied.code, denied.status, str(denied))
        except Failure as failure:
            self.session.reply(451, "4.3.0", failure.sentence())
        else:
            self.session.reply(250, "2.0.0", "ok")
