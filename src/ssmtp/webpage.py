"""The page of an HTML message, and the images that travel with it (RFC 2392)."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from ssmtp import attachment

if TYPE_CHECKING:
    from ssmtp.attachment import Attachment
    from ssmtp.mime import Part

CID = re.compile(r"""\bcid:([^"'\s()<>]+)""", re.IGNORECASE)
IMAGE = re.compile(
    r"""(<img\b[^>]*?\ssrc\s*=\s*)(?:"([^">]*)"|'([^'>]*)'|([^\s"'>]+))""",
    re.IGNORECASE,
)
ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
META = re.compile(rb"""<meta[^>]*?charset\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE)
META_WITHIN = 1024  # octets, as the HTML standard has it


def decoded(page: str | bytes) -> str:
    """Return the text of a page: UTF-8, else what it says of itself, else Latin-1."""
    if isinstance(page, str):
        return page
    try:
        return page.decode("utf-8-sig")
    except UnicodeDecodeError:
        said = META.search(page[:META_WITHIN])
    try:
        return page.decode(said[1].decode() if said else "windows-1252")
    except (LookupError, UnicodeDecodeError):
        return page.decode("latin-1")


def _plain(text: str) -> str:
    """Return what a percent-encoded name stands for (RFC 3986 section 2.1)."""
    octets = ESCAPE.sub(
        lambda at: bytes([int(at[1], 16)]), text.encode(errors="surrogatepass")
    )
    return octets.decode("utf-8", "surrogateescape")


class Page:
    """A page whose images are named as the parts of the message that they become.

    `html` is the page as it is to be sent. An image may be one of `files`; one that is
    found below the directory `beside` is opened, and joins them. `missing` are those
    that a reader will not see.
    """

    def __init__(self, html: str, files: list[Attachment], beside: str | None) -> None:
        self._files = files
        self._beside = os.path.realpath(beside) if beside is not None else None
        self._cids: dict[Attachment, str] = {}
        self.missing: list[str] = []
        html = CID.sub(self._by_name, html)
        self.html = html if beside is None else IMAGE.sub(self._by_path, html)

    @property
    def images(self) -> list[Attachment]:
        """The files that became part of the page."""
        return list(self._cids)

    def parts(self) -> list[Part]:
        """Return the images as parts."""
        return [image.part(cid) for image, cid in self._cids.items()]

    def _cid(self, image: Attachment) -> str:
        if image not in self._cids:
            # Nobody else's part may ever have the same (RFC 2392 section 2).
            self._cids[image] = f"{os.urandom(10).hex()}@inline"
        return self._cids[image]

    def _by_name(self, found: re.Match[str]) -> str:
        name = _plain(found[1])
        for image in self._files:
            if name == image.name:
                return f"cid:{self._cid(image)}"
        if found.string[: found.start()].endswith(('"', "'", "=", "(")):
            self.missing.append(found[0])
        return found[0]

    def _by_path(self, found: re.Match[str]) -> str:
        source = found[2] or found[3] or found[4] or ""
        if not source or SCHEME.match(source) or source.startswith("//"):
            return found[0]
        image = self._image(source)
        if image is None:
            self.missing.append(source)
            return found[0]
        return f'{found[1]}"cid:{self._cid(image)}"'

    def _image(self, source: str) -> Attachment | None:
        """Find the image that a page names.

        A page may come from somebody else, and must not make us send other files:
        only images in its own directory, or below, count.
        """
        if source.startswith(("/", "#", "\\")):
            return None
        assert self._beside is not None
        name = _plain(source)
        if "\0" in name:
            return None
        path = os.path.realpath(os.path.join(self._beside, name))
        if not path.startswith(self._beside.rstrip("/") + "/"):
            return None
        if not attachment.guessed(path).startswith("image/") or not os.path.isfile(
            path
        ):
            return None
        for image in self._files:
            if image.path == path:
                return image
        self._files.append(attachment.opened(path))
        return self._files[-1]
