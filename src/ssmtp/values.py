"""What the value of a key may be: text in, value out.

A reader takes the text of a value, without blanks or quotes around it, and returns
what it means or raises `ValueError`. What the error says is the end of a sentence that
begins with the name of the key: `Mailhub needs a port from 1 to 65535`. No reader
repeats a text that may hold a secret.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BLANKS = " \t\r\v\f\xa0"
MECHANISMS = (
    "PLAIN",
    "LOGIN",
    "CRAM-MD5",
    "SCRAM-SHA-1",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-256-PLUS",
    "XOAUTH2",
    "OAUTHBEARER",
    "EXTERNAL",
)
DOTS = "••••••"
LONGEST_WAIT = 86400.0  # seconds; more than that is a mistake, or for ever


class Secret:
    """A password: it prints as dots, and gives itself away only to `reveal`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the password itself."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return DOTS

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(DOTS, spec)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a secret does not leave the process")


class Mailhub:
    """Where to submit: a host and port, or the path of a Unix socket."""

    __slots__ = ("explicit_port", "host", "path", "port")

    def __init__(
        self,
        host: str | None,
        port: int = 25,
        path: str | None = None,
        explicit_port: bool = False,
    ) -> None:
        self.host = host
        self.port = port
        self.path = path
        self.explicit_port = explicit_port

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        host = self.host or ""
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    __repr__ = __str__


class Proxy:
    """A proxy on the way to the mailhub: `scheme` is socks5 or http (CONNECT)."""

    __slots__ = ("host", "password", "port", "scheme", "user")

    def __init__(
        self, scheme: str, host: str, port: int, user: str, password: Secret
    ) -> None:
        self.scheme = scheme
        self.host = host
        self.port = port
        self.user = user
        self.password = password

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    __repr__ = __str__


def shown(text: str) -> str:
    """Make text from outside fit for a line on a terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _yes_or_no(value: str) -> bool:
    word = value.lower()
    if word in ("yes", "true", "on", "1"):
        return True
    if word in ("no", "false", "off", "0"):
        return False
    raise ValueError(f"is {shown(value[:40])!r}, which is neither yes nor no")


def _number(text: str) -> int:
    """Read a decimal number as people write it; -1 for anything else."""
    if text.isascii() and text.isdigit() and len(text) <= 10:
        return int(text)
    return -1


def _port(value: str) -> int:
    number = _number(value)
    if not 0 < number < 65536:
        raise ValueError(f"needs a port from 1 to 65535, not {shown(value[:40])!r}")
    return number


def _uid(value: str) -> int:
    number = _number(value)
    if number < 0:
        raise ValueError(f"needs a number, not {shown(value[:40])!r}")
    return number


def _seconds(value: str) -> float:
    number, unit = value, 1
    if value[-1:].lower() in ("s", "m", "h"):
        number = value[:-1].rstrip(BLANKS)
        unit = {"s": 1, "m": 60, "h": 3600}[value[-1].lower()]
    whole, _, part = number.partition(".")
    if not (whole + part).isascii() or not (whole + part).isdigit():
        raise ValueError(f"needs a number of seconds, not {shown(value[:40])!r}")
    seconds = float(number) * unit
    if not 0 < seconds <= LONGEST_WAIT:
        raise ValueError("needs more than 0 and at most 86400 seconds")
    return seconds


def _version(value: str) -> str:
    word = value.lower().removeprefix("tls").lstrip(" v_-").replace("_", ".")
    if word in ("1.2", "1.3"):
        return word
    if word in ("1", "1.0", "1.1"):
        raise ValueError("cannot be below 1.2: older versions are broken (RFC 8996)")
    raise ValueError(f"is 1.2 or 1.3, not {shown(value[:40])!r}")


def mechanism(value: str) -> str | None:
    """Return a mechanism's name in capitals, None for automatic choice.

    Raises `ValueError` with the list of those we know.
    """
    word = value.upper().replace("_", "-")
    if word == "AUTO":
        return None
    if word not in MECHANISMS:
        known = ", ".join(MECHANISMS)
        raise ValueError(f"is one of {known}, not {shown(value[:40])!r}")
    return word


def _domain(value: str) -> str:
    """Read a domain; of something with @ in it, take what follows.

    People do write `@example.com` and `me@example.com` there.
    """
    name = value.rpartition("@")[2].rstrip(".")
    if name[:1] == "[" and name[-1:] == "]":
        return name
    reason = _bad_host(name)
    if reason:
        raise ValueError(f"is no domain: {reason}")
    return name


def _bad_host(name: str) -> str:
    """Say what is wrong with a host name, in words; an empty string if nothing is.

    RFC 1123 §2.1 and RFC 5321 §4.5.3.1.2. Underscores do occur, and names that are
    not ASCII are the business of whoever makes A-labels.
    """
    if not name:
        return "it is empty"
    if len(name) > 255:
        return "it is longer than 255 characters"
    for char in name:
        if not (char.isalnum() or char in "-._"):
            return f"it holds {shown(char)!r}"
    for label in name.split("."):
        if not label:
            return "a part between dots is empty"
        if len(label) > 63:
            return "a part is longer than 63 characters"
        if label[0] == "-" or label[-1] == "-":
            return "a part begins or ends with -"
    return ""


def is_ipv4(text: str) -> bool:
    """Tell whether this is a dotted quad."""
    parts = text.split(".")
    return len(parts) == 4 and all(
        0 <= _number(part) < 256 and len(part) < 4 for part in parts
    )


def is_ipv6(text: str) -> bool:
    """Tell whether this is an IPv6 address, maybe with a zone (RFC 4291 §2.2)."""
    text, percent, zone = text.partition("%")
    head, double, tail = text.partition("::")
    groups = head.split(":") if head else []
    groups += tail.split(":") if tail else []
    if percent and not zone:
        return False
    if groups and is_ipv4(groups[-1]):
        groups[-1:] = ["0", "0"]
    for group in groups:
        if not 0 < len(group) < 5 or group.strip("0123456789abcdefABCDEF"):
            return False
    return len(groups) < 8 if double else len(groups) == 8


def mailhub(value: str, fields: bool = False) -> Mailhub:
    """Read a mailhub as Mailhub= and revaliases have it; `ValueError` says why not.

    With `fields` the text comes from a file whose fields are separated by colons:
    there `::1:25` is host and port, which in Mailhub= would be a guess.
    """
    scheme, rest, path = value.partition(":")
    if rest and scheme.lower() == "unix":
        if not path.startswith("/"):
            raise ValueError("needs an absolute path after unix:")
        return Mailhub(None, 0, path)
    if "://" in value:
        raise ValueError("is a host or host:port, not a URL; UseTLS= turns TLS on")
    if value.startswith("/"):
        raise ValueError("needs unix: before the path of a socket")
    if value.startswith("["):
        return _bracketed(value)
    if value.count(":") > 1:
        return _bare_ipv6(value, fields)
    host, colon, port = value.partition(":")
    host = host.strip(BLANKS)
    if not is_ipv4(host):
        host = host.rstrip(".")
        reason = _bad_host(host)
        if reason:
            raise ValueError(f"is no host: {reason}")
    if not colon:
        return Mailhub(host)
    return Mailhub(host, _port(port.strip(BLANKS)), None, True)


def _bracketed(value: str) -> Mailhub:
    """Read [v6]:port; a name in brackets is how Postfix's relayhost has it."""
    host, bracket, rest = value[1:].partition("]")
    host = host.strip(BLANKS)
    rest = rest.strip(BLANKS)
    if host[:5].lower() == "ipv6:":
        host = host[5:]
    if not bracket or (rest and rest[0] != ":"):
        raise ValueError("has brackets that do not match; write [address]:port")
    if not is_ipv6(host):
        reason = "it is no IPv6 address" if ":" in host else _bad_host(host)
        if reason:
            raise ValueError(f"is no host: {reason}")
    if not rest:
        return Mailhub(host)
    return Mailhub(host, _port(rest[1:].strip(BLANKS)), None, True)


def _bare_ipv6(value: str, fields: bool) -> Mailhub:
    host, _, port = value.rpartition(":")
    host, port = host.strip(BLANKS), port.strip(BLANKS)
    whole = is_ipv6(value)
    # An address that ends in :: has no host part, so nobody submits mail to it.
    with_port = is_ipv6(host) and not host.endswith("::") and 0 < _number(port) < 65536
    if with_port and (fields or not whole):
        return Mailhub(host, int(port), None, True)
    if with_port:
        raise ValueError(f"can be read in two ways; write [{value}] or [{host}]:{port}")
    if not whole:
        raise ValueError("is no host: write host:port, or [IPv6 address]:port")
    return Mailhub(value)


def _field(value: str) -> str:
    """Read a header field (RFC 5322 §2.2): a name, a colon, and text."""
    name, colon, body = value.partition(":")
    name = name.rstrip(BLANKS)
    if not colon or not name:
        raise ValueError("needs a header field, name: value")
    if not all("!" <= char <= "~" for char in name):
        raise ValueError(f"cannot be a header field named {shown(name[:60])!r}")
    return f"{name}: {body.strip(BLANKS)}"


def _fingerprints(value: str) -> list[str]:
    """Read SHA-256 fingerprints, in the form of openssl and of others."""
    # openssl writes "sha256 Fingerprint=AB:CD…".
    text = value.lower().replace("sha256 fingerprint=", " ").replace(",", " ")
    prints = []
    for word in text.split():
        digits = word.removeprefix("sha256:").removeprefix("sha-256:").replace(":", "")
        if len(digits) != 64 or digits.strip("0123456789abcdef"):
            raise ValueError("needs SHA-256 fingerprints, 64 hexadecimal digits each")
        prints.append(digits)
    return prints


def _secret(value: str) -> Secret:
    return Secret(value)


def _address(value: str) -> str:
    bare = value[1:-1] if value[0] == "[" and value[-1] == "]" else value
    if not is_ipv4(bare) and not is_ipv6(bare):
        raise ValueError(f"needs an IP address, not {shown(value[:60])!r}")
    return bare


def _proxy(value: str) -> Proxy:
    """Read socks5://user:password@host:port (or http://); errors hide the password."""
    scheme, found, rest = value.partition("://")
    scheme = scheme.lower()
    ports = {"socks5": 1080, "socks5h": 1080, "http": 8080}
    if not found or scheme not in ports:
        raise ValueError("needs socks5://host:port or http://host:port")
    login, at, place = rest.rstrip("/").rpartition("@")
    user, _, password = login.partition(":")
    if at and not user:
        raise ValueError("has no user name before the @")
    if "/" in place or "?" in place:
        raise ValueError("takes nothing after host:port")
    try:
        hub = mailhub(place)
    except ValueError as error:
        raise ValueError(f"is no proxy: its place {error}") from None
    assert hub.host is not None  # the path of a socket holds a slash
    port = hub.port if hub.explicit_port else ports[scheme]
    name, word = _percent_decoded(user), _percent_decoded(password)
    if len(name.encode("utf-8", "replace")) > 255 or len(word) > 255:
        raise ValueError("has a user name or password of more than 255 octets")
    scheme = "socks5" if scheme == "socks5h" else scheme
    return Proxy(scheme, hub.host, port, name, Secret(word))


def _percent_decoded(text: str) -> str:
    first, *rest = text.split("%")
    octets = first.encode("utf-8", "surrogateescape")
    for part in rest:
        digits = part[:2]
        if len(digits) < 2 or digits.strip("0123456789abcdefABCDEF"):
            raise ValueError("has a % that is not followed by two hexadecimal digits")
        octets += bytes([int(digits, 16)]) + part[2:].encode("utf-8", "surrogateescape")
    return octets.decode("utf-8", "surrogateescape")


def command_words(value: str) -> list[str]:
    """Split a command into words without a shell; `ValueError` says why it cannot be.

    Blanks separate words, quotes keep them together, a backslash takes the next
    character as it is (within single quotes it is an ordinary character). A list has
    brackets around and commas between quoted words. What only a shell understands is
    refused, for it would be handed to the command as an argument.
    """
    if value[0] in "\"'" and value.find(value[0], 1) == len(value) - 1:
        value = value[1:-1].strip(BLANKS)
    listed = value[:1] == "["
    if listed:
        if value[-1:] != "]":
            raise ValueError("is a list without its closing bracket")
        value = value[1:-1].strip(BLANKS).removesuffix(",")
    words: list[str] = []
    at = 0
    while at < len(value):
        if value[at] in BLANKS:
            at += 1
            continue
        word, quoted, at = _word(value, at, "," if listed else BLANKS)
        if not quoted and (listed or word.strip("|&;<>") == "" or _for_shell(word)):
            raise ValueError(
                "wants each word of a list in quotes"
                if listed
                else "is run without a shell: write sh -c '…' if it needs one"
            )
        words.append(word)
        if listed:
            at += 1
    if not words or not words[0]:
        raise ValueError("names no command")
    return words


def _for_shell(word: str) -> bool:
    return word.startswith(("$(", "`", "2>", ">", "<", "|")) or word[-1:] in "|;"


def _word(value: str, at: int, stops: str) -> tuple[str, bool, int]:
    """Return the word that begins at `at`, whether it had quotes, and where it ends."""
    word = ""
    quoted = False
    quote = ""
    while at < len(value):
        char = value[at]
        if not quote and char in stops:
            break
        if char == "\\" and quote != "'" and at + 1 < len(value):
            at += 1
            # In double quotes a backslash is special before a few characters only.
            word += value[at] if not quote or value[at] in '"\\' else char + value[at]
        elif char == quote:
            quote = ""
        elif not quote and char in "\"'":
            quote = char
            quoted = True
        elif quote or not quoted or stops != "," or char not in BLANKS:
            word += char
        at += 1
    if quote:
        raise ValueError("has a quote that is not closed")
    return word, quoted, at


READERS: dict[str, Callable[[str], object]] = {
    "IP address": _address,
    "command": command_words,
    "domain": _domain,
    "field": _field,
    "fingerprint": _fingerprints,
    "mailhub": mailhub,
    "mechanism": mechanism,
    "port": _port,
    "proxy": _proxy,
    "secret": _secret,
    "seconds": _seconds,
    "uid": _uid,
    "version": _version,
    "yes or no": _yes_or_no,
}
