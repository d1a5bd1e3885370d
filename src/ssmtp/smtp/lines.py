"""The only writers of what goes on the wire: commands, DATA, BDAT.

Whatever the caller promised, nothing else than clean lines leaves here. A control
character in a command would be another command (response and argument injection, as
in aiosmtplib GHSA-v3q9-hj7j-63hq); a bare CR or LF in content is how mail is smuggled
(CVE-2023-51764). So commands are checked character by character, and content is
looked through: no CR and no LF outside of a pair, or nothing more is written.
"""

from __future__ import annotations

import binascii

from ssmtp.errors import Bug, InputRefused
from ssmtp.smtp.reply import escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# RFC 5321 §4.5.3.1.4 says 512 octets; the extensions in use add up to less than this.
COMMAND_MOST = 2048
# RFC 4954 §4: with its CRLF, which is counted here.
AUTH_MOST = 12288
CRLF = b"\r\n"
NUL, LF, CR = 0, 10, 13
# The commands and last words that are always the same.
DATA = b"DATA\r\n"
QUIT = b"QUIT\r\n"
RSET = b"RSET\r\n"
FINAL_DOT = b".\r\n"
CANCEL = b"*\r\n"  # of an AUTH exchange (RFC 4954 §4)


def command(text: str, *, utf8: bool = False, most: int = COMMAND_MOST) -> bytes:
    """Return one command line with its CRLF.

    Raises `InputRefused` for control characters, for non-ASCII text unless `utf8`
    (RFC 6531), and for a line of more than `most` octets.
    """
    try:
        line = text.encode("utf-8" if utf8 else "ascii")
    except UnicodeEncodeError:
        raise _refused(text, "characters that SMTP cannot carry") from None
    if not text.isprintable() and any(map(_controls, text)):
        raise _refused(text, "a control character")
    if len(line) + 2 > most:
        raise _refused(text, f"more than {most} octets")
    return line + CRLF


def response(answer: bytes) -> bytes:
    """Return a line of an AUTH exchange: base64, or nothing (RFC 4954 §4)."""
    line = binascii.b2a_base64(answer, newline=False)
    if len(line) + 2 > AUTH_MOST:
        raise InputRefused("the answer to an AUTH challenge is too long for SMTP")
    return line + CRLF


def bdat(size: int) -> bytes:
    """Return the command that announces the whole content as one chunk (RFC 3030)."""
    return command(f"BDAT {size} LAST")


def chunk(blocks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield content as the one chunk that was announced, octet for octet.

    Raises `Bug` when it is not clean or not as long as announced: then the last
    octets have not been given out, so the mailhub cannot take it for complete.
    """
    left = size
    held = b""
    for block in clean(blocks):
        if held:
            yield held
        left -= len(block)
        if left < 0:
            raise Bug("the content is longer than announced")
        held = block
    if left:
        raise Bug("the content is shorter than announced")
    if held:
        yield held


def dotted(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield content with its leading dots doubled, without the final dot.

    RFC 5321 §4.5.2. A dot may begin a block: what came before decides.
    """
    ended = True
    for block in clean(blocks):
        stuffed = block.replace(b"\n.", b"\n..")
        if ended and block[:1] == b".":
            stuffed = b"." + stuffed
        ended = block[-1:] == b"\n"
        yield stuffed


def clean(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the blocks that are not empty, made of CRLF lines and free of NUL.

    Raises `Bug` at the first block that is not, and at an end without CRLF.
    """
    torn = False
    last = CRLF
    for block in blocks:
        if not block:
            continue
        # One search for pairs, and a look at what is left, is cheaper than to count.
        odd = block.replace(CRLF, b"")
        if torn:
            if block[:1] != b"\n":
                raise Bug("a bare CR was about to be sent")
            odd = odd[1:]
        torn = block[-1:] == b"\r"
        if torn:
            odd = odd[:-1]
        if LF in odd or CR in odd:
            raise Bug("a bare CR or LF was about to be sent")
        if NUL in odd:
            raise Bug("a NUL was about to be sent")
        last = block[-2:] if len(block) > 1 else last[-1:] + block
        yield block
    if last != CRLF:
        raise Bug("the content does not end with a line end")


def xtext(text: str, what: str) -> str:
    """Encode printable ASCII for a DSN parameter (RFC 3461 §4)."""
    if not (text.isascii() and text.isprintable()):
        raise InputRefused(f"{what} holds characters that SMTP cannot carry")
    return "".join(f"+{ord(c):02X}" if c in "+= " else c for c in text)


def _controls(char: str) -> bool:
    """Whether a character controls something: C0, DEL, C1, or a line end of Unicode."""
    return char < " " or "\x7f" <= char <= "\x9f" or char in "\u2028\u2029"


def _refused(text: str, why: str) -> InputRefused:
    shown = escaped(text if len(text) <= 60 else text[:60] + "…")
    return InputRefused(f"{shown!r} cannot be said to a mailhub: it holds {why}")
