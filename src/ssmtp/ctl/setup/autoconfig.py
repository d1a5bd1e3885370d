"""The file in which a domain tells mail programs about its servers.

Thunderbird reads it from https://autoconfig.DOMAIN/mail/config-v1.1.xml, or from
https://DOMAIN/.well-known/autoconfig/mail/config-v1.1.xml. It comes from strangers:
TLS is verified and never left, what is large or slow is not read to its end, and a
document type, which is where entities come from, is refused.
"""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any
from xml.parsers import expat

from ssmtp.ctl.words import _
from ssmtp.values import mailhub

SECONDS = 5.0
LARGEST = 65536  # octets
PLACES = (
    "https://autoconfig.{domain}/mail/config-v1.1.xml?emailaddress={address}",
    "https://{domain}/.well-known/autoconfig/mail/config-v1.1.xml",
)
SOCKETS = {"SSL": "implicit", "STARTTLS": "starttls"}
# What needs more than a user name and a password.
OTHER_WAYS = {"OAuth2", "NTLM", "GSSAPI", "client-IP-address", "TLS-client-cert"}

# A server: host, port, tls, user.
Told = tuple[str, int, str, str]


def addresses(address: str) -> list[str]:
    """Return where the file of a domain may be."""
    domain = address.rpartition("@")[2].lower()
    quoted = urllib.parse.quote(address, safe="@")
    return [place.format(domain=domain, address=quoted) for place in PLACES]


class _Https(urllib.request.HTTPRedirectHandler):
    """Follows a redirection only where it leads to https again."""

    max_redirections = 3

    def redirect_request(self, *args: Any) -> urllib.request.Request | None:
        if not str(args[-1]).lower().startswith("https://"):
            return None
        return super().redirect_request(*args)


def fetch(url: str) -> bytes | None:
    """Return a file, at most 64 KiB, within about five seconds; None if it fails."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Https(),
    ):
        opener.add_handler(handler)
    deadline = time.monotonic() + SECONDS
    try:
        with opener.open(url, timeout=SECONDS) as answer:
            text = b""
            while block := answer.read1(LARGEST):
                text += block
                if len(text) > LARGEST or time.monotonic() > deadline:
                    return None
            return text
    except urllib.error.HTTPError as error:
        error.close()
        return None
    except (OSError, ValueError, http.client.HTTPException):
        return None


def read(text: bytes, address: str) -> list[Told]:
    """Return the servers that take mail with a password over TLS, as they are listed.

    Raises `ValueError` for what is no such file, with the reason in words.
    """
    found = []
    for server in _outgoing(text):
        ways = server.get("authentication", ["password-cleartext"])
        if all(way in OTHER_WAYS for way in ways):
            continue
        tls = SOCKETS.get("".join(server.get("socketType", [])))
        host = _filled("".join(server.get("hostname", [])), address)
        port = "".join(server.get("port", []))
        if tls is None:
            continue  # in clear: no password goes there
        try:
            hub = mailhub(f"{host}:{port}")
        except ValueError as error:
            raise ValueError(_("a server {error}").format(error=error)) from None
        if hub.host is not None:
            user = _filled("".join(server.get("username", [])), address)
            found.append((hub.host, hub.port, tls, user or address))
    # TLS from the first octet is to be preferred (RFC 8314 section 3.3).
    return sorted(found, key=lambda one: one[2] != "implicit")


def _filled(text: str, address: str) -> str:
    local, _at, domain = address.rpartition("@")
    for name, value in (
        ("%EMAILADDRESS%", address),
        ("%EMAILLOCALPART%", local),
        ("%EMAILDOMAIN%", domain),
    ):
        text = text.replace(name, value)
    return text.strip()


def _outgoing(text: bytes) -> list[dict[str, list[str]]]:
    """Return the elements of each outgoingServer of type smtp."""
    found: list[dict[str, list[str]]] = []
    path: list[str] = []
    inside: list[dict[str, list[str]]] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        path.append(name)
        if len(path) > 20:
            raise ValueError(_("it is nested too deep"))
        if name == "outgoingServer" and attributes.get("type") == "smtp":
            inside.append({})
        elif inside and len(inside) == 1:
            inside[0].setdefault(name, []).append("")

    def end(name: str) -> None:
        path.pop()
        if name == "outgoingServer" and inside:
            found.append({k: [t.strip() for t in v] for k, v in inside.pop().items()})

    def data(words: str) -> None:
        if inside and path[-1] in inside[0]:
            inside[0][path[-1]][-1] += words

    def doctype(*_args: object) -> None:
        raise ValueError(_("it has a document type"))

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = data
    parser.StartDoctypeDeclHandler = doctype
    parser.EntityDeclHandler = doctype
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise ValueError(_("it is no XML: {error}").format(error=error)) from None
    return found
