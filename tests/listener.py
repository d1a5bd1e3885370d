"""What a mailhub in memory hears: octets become commands and content.

The mailhub of the unit tests and the lying one of the fuzz targets listen with it. It
is written apart from the program's own reader (`ssmtp.smtp.incoming`), so that it can
judge what the program says.
"""

from __future__ import annotations


class Listener:
    """Cuts what a client says; who derives from it says what each piece means.

    `reading` says that content after DATA is being read, `need` how many octets a chunk
    still has, or -1. Once `closed`, nothing more is heard.
    """

    def __init__(self) -> None:
        self.buffer = b""
        self.closed = False
        self.reading = False
        self.need = -1

    def hear(self, data: bytes) -> None:
        """Take octets from the client, and hand over what is complete."""
        self.buffer += data
        while not self.closed and self._hand_over():
            pass

    def heard_line(self, line: bytes) -> None:
        """Take a line, without its end."""
        raise NotImplementedError

    def heard_content(self, content: bytes) -> None:
        """Take the content that DATA or BDAT announced, with its dots unstuffed."""
        raise NotImplementedError

    def _hand_over(self) -> bool:
        if self.reading:
            return self._dotted()
        if self.need >= 0:
            return self._chunk()
        line, found, rest = self.buffer.partition(b"\r\n")
        if not found:
            return False
        self.buffer = rest
        self.heard_line(line)
        return True

    def _dotted(self) -> bool:
        # As if a line end stood before: the content may be nothing but its dot.
        text, found, rest = (b"\r\n" + self.buffer).partition(b"\r\n.\r\n")
        if not found:
            return False
        self.buffer, self.reading = rest, False
        self.heard_content((text + b"\r\n").replace(b"\r\n.", b"\r\n")[2:])
        return True

    def _chunk(self) -> bool:
        if len(self.buffer) < self.need:
            return False
        text, self.buffer = self.buffer[: self.need], self.buffer[self.need :]
        self.need = -1
        self.heard_content(text)
        return True
