"""What one user may ask of the acceptor: connections, messages, room in the queue.

A program that runs wild, or somebody who means harm, must leave room for the others.
Every limit is told with the name of its key. Nothing here knows a clock or a disk:
times are handed in, in seconds.
"""

from __future__ import annotations

from ssmtp.agent.tally import Tally
from ssmtp.config import Config
from ssmtp.errors import Deferred
from ssmtp.smtp.reply import Reply

CONNECTIONS = 400  # in all
FOR_ROOT = 40  # of these, so that root gets in when users have taken the rest


class Limits:
    """The limits of a configuration, and how far each uid has come."""

    def __init__(self, config: Config, tally: Tally) -> None:
        self.config = config
        self.tally = tally
        self._connections: dict[int, int] = {}

    def enter(self, uid: int) -> str:
        """Count a connection in; return why it is not to be, or nothing."""
        mine = self._connections.get(uid, 0)
        if mine >= self.config.max_connections:
            return f"uid {uid} has {mine} connections, which is MaxConnections"
        everybody = sum(self._connections.values())
        if everybody >= CONNECTIONS - (FOR_ROOT if uid else 0):
            return f"there are {everybody} connections, which is enough"
        self._connections[uid] = mine + 1
        return ""

    def leave(self, uid: int) -> None:
        """Count a connection out."""
        left = self._connections.get(uid, 1) - 1
        if left:
            self._connections[uid] = left
        else:
            self._connections.pop(uid, None)

    def message(self, uid: int, now: float) -> None:
        """Count a message; raises `Deferred` when it comes too early.

        A bucket of MaxMessagesPerMinute tokens that is full again after a minute:
        a burst may take all of them at once. Root may do as root likes.
        """
        most = self.config.max_messages_per_minute
        if uid and not self.tally.take(uid, now, most):
            words = f"uid {uid} has sent {most} messages within a minute"
            raise _later(450, "4.7.1", words, "MaxMessagesPerMinute")

    def room(self, uid: int, messages: int, octets: int, more: int = 0) -> None:
        """Raise `Deferred` when a user has filled his part of the queue.

        `more` is the size of the message that is coming, as far as it is known.
        """
        config = self.config
        if messages >= config.max_queued_messages:
            words = f"uid {uid} has {messages} messages in the queue"
            raise _later(452, "4.3.1", words, "MaxQueuedMessages")
        if octets + more >= config.max_queued_size:
            words = f"uid {uid} has {octets} octets in the queue"
            words += f", and {more} are coming" if more else ""
            raise _later(452, "4.3.1", words, "MaxQueuedSize")


def _later(code: int, status: str, words: str, key: str) -> Deferred:
    reply = Reply(code, [f"{status} {words}"])
    return Deferred(f"{words}, and that is all ({key}); try again later", reply=reply)
