"""The configuration: the text of ssmtp.conf in, a `Config` out.

A file of `Key=value` lines, as sSMTP has always had it. The rules:

1. What its writer meant is what it means: blanks around `=`, CRLF line ends, a byte
   order mark, a missing last newline, any case of keys and of yes and no.
2. The value is the rest of the line. A `#` begins a comment only at the start of the
   line or after white space, and never inside quotes. A value may stand in single or
   double quotes; nothing is special inside them.
3. What cannot be meant is an error that names file, line and key. Nothing is half-read,
   and nothing is ever taken for "no" because it was spelled unexpectedly.
4. The last occurrence of a key wins, but for the keys that make a list. A key with an
   empty value counts as not set.

Which keys there are stands in `keys`. No secret appears in an error, a note or a
`repr`.
"""

from __future__ import annotations

from ssmtp.errors import ConfigError
from ssmtp.keys import KEYS, LISTS, Key
from ssmtp.values import BLANKS, READERS, Mailhub, Proxy, Secret, shown

__all__ = [
    "KEYS",
    "LISTS",
    "Config",
    "Key",
    "Mailhub",
    "Proxy",
    "Secret",
    "note_tls",
    "parse",
    "tls_mode",
    "uncommented",
    "unquoted",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Config:
    """What the configuration says, every key with its default from `KEYS`.

    `notes` are sentences for a person who asked for them with -v.
    """

    __slots__ = (*(key.attribute for key in KEYS), "has_secret", "notes", "path")

    path: str
    has_secret: bool
    notes: list[str]
    mailhubs: list[Mailhub]
    remote_port: int | None
    root: str | None
    min_user_id: int
    aliases: str | None
    rewrite_domain: str | None
    hostname: str | None
    from_line_override: bool
    force_from: bool
    add_headers: list[tuple[int, str]]
    use_tls: bool | None
    use_starttls: bool | None
    tls_verify: bool
    tls_ca_file: str | None
    tls_ca_dir: str | None
    tls_fingerprints: list[str]
    tls_min_version: str
    use_tls_cert: bool
    tls_cert: str
    tls_key: str | None
    auth_user: str | None
    auth_pass: Secret | None
    auth_pass_file: str | None
    auth_pass_command: list[str] | None
    auth_pass_credential: str | None
    auth_method: str | None
    use_old_auth: bool
    allow_cleartext_auth: bool
    connect_timeout: float
    command_timeout: float
    data_timeout: float
    source_address: str | None
    proxy: Proxy | None
    log_file: str | None
    debug: bool
    delivery: str
    agent_socket: str | None
    spool: str | None
    connections: int
    idle_timeout: float
    messages_per_connection: int
    rate_limit: tuple[int, float] | None
    queue_lifetime: float
    warning_after: float
    hold_in_doubt: bool
    max_queued_messages: int
    max_queued_size: int
    max_messages_per_minute: int
    max_connections: int
    min_free_space: tuple[float, int]
    max_message_size: int | None
    allow_senders: list[tuple[str, list[str]]]
    listen_loopback: list[tuple[str, int]]
    listen_identity: str | None

    def __init__(self, path: str) -> None:
        self.path = path
        self.has_secret = False
        self.notes = []
        for key in KEYS:
            setattr(self, key.attribute, [] if key.kind in LISTS else key.default)


def tls_mode(config: Config, hub: Mailhub) -> str:
    """Return implicit, starttls (required), opportunistic or none.

    A Unix socket has no use for TLS. UseTLS=no beside UseSTARTTLS=yes means what the
    second one says: less protection than asked for is never right.
    """
    if hub.path is not None:
        return "none"
    if config.use_starttls:
        return "implicit" if hub.port == 465 else "starttls"
    if config.use_tls is not None:
        return "implicit" if config.use_tls else "none"
    if hub.port == 465:
        return "implicit"
    if config.use_starttls is not None:
        return "none"
    # Whoever pins a key wants to see it.
    return "starttls" if hub.port == 587 or config.tls_fingerprints else "opportunistic"


def note_tls(config: Config, hub: Mailhub) -> None:
    """Add a note when port and keys do not go together as they are written."""
    note = ""
    if hub.path is not None:
        return
    if config.use_starttls and hub.port == 465:
        note = (
            f"{hub}: port 465 speaks TLS from the first octet,"
            " so UseSTARTTLS=Yes is taken to mean that"
        )
    elif config.use_starttls and config.use_tls is False:
        note = f"{hub}: UseSTARTTLS=Yes is followed, UseTLS=No is not"
    elif config.use_tls and not config.use_starttls and hub.port == 587:
        note = (
            f"{hub}: UseTLS=Yes alone means TLS from the first octet;"
            " port 587 mostly wants UseSTARTTLS=Yes as well"
        )
    if note and note not in config.notes:
        config.notes.append(note)


def parse(text: bytes, path: str, home: str | None = None) -> Config:
    """Read a configuration; `path` is what errors call it.

    Relative paths in it are taken from its directory, and `~/` from `home`. Raises
    `ConfigError` naming file, line and key.
    """
    config = Config(path)
    known = {key.name.lower(): key for key in KEYS}
    for number, raw in enumerate(_lines(text, path), 1):
        line = uncommented(raw).strip(BLANKS)
        if not line:
            continue
        where = f"{shown(path)}, line {number}"
        name, equals, value = line.partition("=")
        name = name.rstrip(BLANKS)
        words = name.split()
        if (not equals or len(words) > 1) and words and words[0].lower() in known:
            key = known[words[0].lower()]
            raise ConfigError(
                f"{where}: {key.name} is not followed by =", f"write {key.name}=value"
            )
        if not equals or not words:
            raise ConfigError(
                f"{where}: this is no Key=value line", "correct it or take it out"
            )
        found = known.get(name.lower())
        if found is None:
            raise ConfigError(
                f"{where}: unknown key {shown(_word(name))}",
                f"the nearest known key is {_nearest(name)}",
            )
        try:
            _set(config, found, value.strip(BLANKS), number, home)
        except ValueError as error:
            step = "correct the line, or take it out"
            raise ConfigError(f"{where}: {found.name} {error}", step) from None
    for hub in config.mailhubs:
        note_tls(config, hub)
    return config


def _lines(text: bytes, path: str) -> Iterator[str]:
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ConfigError(f"{shown(path)} is encoded in UTF-16", "save it as UTF-8")
    if text[:3] == b"\xef\xbb\xbf":
        text = text[3:]
    if b"\n" not in text:
        text = text.replace(b"\r", b"\n")
    return iter(text.decode("utf-8", "surrogateescape").split("\n"))


def uncommented(line: str) -> str:
    """Cut a comment off: a `#` at the start or after white space, outside quotes.

    A quote opens only where a word begins, and only if it is closed on the same line,
    so that an apostrophe within a word protects nothing.
    """
    if "#" not in line:
        return line
    before = " "
    at = 0
    while at < len(line):
        char = line[at]
        if char == "#" and before in BLANKS:
            return line[:at]
        if char in "\"'" and (before in BLANKS or before in "=[,:"):
            end = line.find(char, at + 1)
            if end > 0:
                at = end
        before = char
        at += 1
    return line


def unquoted(value: str) -> str:
    """Take off the quotes around a whole value."""
    if len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]:
        return value[1:-1]
    return value


def _set(config: Config, key: Key, value: str, number: int, home: str | None) -> None:
    """Read one value and put it where it belongs; `ValueError` says what is wrong."""
    for char in value:
        if (char < " " and char != "\t") or char == "\x7f":
            raise ValueError(f"holds a control character (0x{ord(char):02x})")
    # In a command the quotes belong to its words.
    if key.kind != "command" or not unquoted(value).strip(BLANKS):
        value = unquoted(value)
    # A blank within quotes is meant in a password, and nowhere else.
    if key.kind != "secret":
        value = value.strip(BLANKS)
    elif value:
        config.has_secret = True
    if not value:
        if key.kind not in LISTS:
            # Whoever looks for credentials wants to know of an AuthUser left blank.
            blank = "" if key.attribute == "auth_user" else key.default
            setattr(config, key.attribute, blank)
        return
    if key.kind == "path":
        value = _located(value, config.path, home)
    if key.kind == "domain" and value[0] == value[-1] == "_":
        config.notes.append(f"{key.name}: the placeholder {value} counts as not set")
        setattr(config, key.attribute, None)
        return
    result = _read(key.kind, value)
    if key.kind == "mailhub":
        hub = result
        assert isinstance(hub, Mailhub)
        if config.remote_port is not None and hub.host and not hub.explicit_port:
            hub.port, hub.explicit_port = config.remote_port, True
        if str(hub) not in map(str, config.mailhubs):
            config.mailhubs.append(hub)
    elif key.kind == "field":
        config.add_headers.append((number, str(result)))
    elif key.kind == "fingerprint":
        assert isinstance(result, list)
        config.tls_fingerprints.extend(result)
    elif key.kind in LISTS:
        getattr(config, key.attribute).append(result)
    else:
        setattr(config, key.attribute, result)
    if key.kind == "port":
        for hub in config.mailhubs:
            if hub.host and config.remote_port is not None:
                hub.port, hub.explicit_port = config.remote_port, True
    elif key.kind == "proxy" and config.proxy is not None and config.proxy.password:
        config.has_secret = True
    elif key.kind == "domain" and result != value.rstrip("."):
        config.notes.append(f"{key.name}: of {value} only {result} is used")


def _read(kind: str, value: str) -> object:
    if kind in ("path", "text"):
        return value
    read = READERS.get(kind)
    if read is None:
        from ssmtp import agentvalues

        read = agentvalues.READERS[kind]
    return read(value)


def _located(value: str, path: str, home: str | None) -> str:
    if value.startswith("~/") and home:
        return home.rstrip("/") + value[1:]
    directory = path.rpartition("/")[0]
    if value[0] in "/~" or not path.startswith("/"):
        return value
    return f"{directory}/{value}"


def _word(name: str) -> str:
    """Return what may be a key; what stands behind it may be a password."""
    at = 1
    while at < min(len(name), 60) and not (name[at].isspace() or name[at] in ":;,"):
        at += 1
    return name[:at]


def _nearest(name: str) -> str:
    """Return the known key that is most like this one."""
    wanted = name.lower()

    def unlike(key: Key) -> float:
        known = key.name.lower()
        if len(wanted) > 2 and (wanted in known or known in wanted):
            return abs(len(wanted) - len(known)) / 4
        distance = _distance(wanted[:40], known)
        return min(distance, 3) if wanted[:4] in known else distance

    return min(KEYS, key=unlike).name


def _distance(one: str, other: str) -> int:
    """Count the letters to change, add or drop to get from one word to the other."""
    row = list(range(len(other) + 1))
    for at, char in enumerate(one, 1):
        corner, row[0] = row[0], at
        for column, against in enumerate(other, 1):
            change = corner + (char != against)
            corner = row[column]
            row[column] = min(change, row[column] + 1, row[column - 1] + 1)
    return row[-1]
