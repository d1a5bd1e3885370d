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

`KEYS` is the one table of keys; the parser, the manual page and the tests read it.
No secret appears in an error, a note or a `repr`.
"""

from __future__ import annotations

from ssmtp.errors import ConfigError
from ssmtp.values import BLANKS, MECHANISMS, READERS, Mailhub, Proxy, Secret, shown

__all__ = [
    "KEYS",
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


class Key:
    """A row of `KEYS`: how a key is written, read, kept and explained."""

    __slots__ = ("attribute", "default", "help", "kind", "name")

    def __init__(
        self, name: str, attribute: str, kind: str, default: object, text: str
    ) -> None:
        self.name = name
        self.attribute = attribute
        self.kind = kind
        self.default = default
        self.help = text


# Kinds whose values gather instead of replacing the one before.
LISTS = ("mailhub", "field", "fingerprint")

KEYS: tuple[Key, ...] = (
    Key(
        "Mailhub",
        "mailhubs",
        "mailhub",
        None,
        "The host that takes the mail: host, host:port, an IP address, [IPv6]:port, or"
        " unix:/path for a Unix socket. The port is 25 when none is given. A further"
        " Mailhub line is a fallback: it is tried when the ones before cannot be"
        " reached or answer 4xx before MAIL.",
    ),
    Key(
        "RemotePort",
        "remote_port",
        "port",
        None,
        "The port of every mailhub above this line, and of those below that name none.",
    ),
    Key(
        "Root",
        "root",
        "text",
        None,
        "Who gets the mail for local users with a uid below MinUserId: an address, or"
        " several with commas between them. Without it, or blank, such mail is"
        " addressed like that of any other local name.",
    ),
    Key(
        "MinUserId",
        "min_user_id",
        "uid",
        1000,
        "The lowest uid that belongs to a person and not to the system; see Root.",
    ),
    Key(
        "Aliases",
        "aliases",
        "path",
        None,
        "A file in the form of /etc/aliases. A recipient without @, and a name without"
        " @ in an address field, is looked up there first.",
    ),
    Key(
        "RewriteDomain",
        "rewrite_domain",
        "domain",
        None,
        "The domain that names without @ get. When it is not set they get Hostname.",
    ),
    Key(
        "Hostname",
        "hostname",
        "domain",
        None,
        "The full name of this machine, as the mailhub gets to see it. The default is"
        " the name that the system knows.",
    ),
    Key(
        "FromLineOverride",
        "from_line_override",
        "yes or no",
        False,
        "Whether the caller may choose the sender. With yes, the -f option sets the"
        " reverse-path, or else the first address of the From field does. With no, the"
        " reverse-path is the caller's own address whatever the message says. A"
        " complete From field is kept in both cases.",
    ),
    Key(
        "ForceFrom",
        "force_from",
        "yes or no",
        False,
        "Whether every From field becomes the caller's own address, with its display"
        " name kept. What the author wrote stays visible as X-Original-From.",
    ),
    Key(
        "AddHeader",
        "add_headers",
        "field",
        None,
        "A header field, name: value, that is added to every message. May be repeated.",
    ),
    Key(
        "UseTLS",
        "use_tls",
        "yes or no",
        None,
        "With yes, TLS from the first octet on (or STARTTLS, when UseSTARTTLS=yes is"
        " there too). With no, no TLS. When neither key is set, the port decides: 465"
        " means TLS from the first octet, 587 means that STARTTLS is required, and any"
        " other port means STARTTLS if the mailhub offers it.",
    ),
    Key(
        "UseSTARTTLS",
        "use_starttls",
        "yes or no",
        None,
        "With yes, STARTTLS is required, except on port 465, where TLS begins with the"
        " first octet.",
    ),
    Key(
        "TLSVerify",
        "tls_verify",
        "yes or no",
        True,
        "Whether the mailhub's certificate and name are verified. With no, anybody on"
        " the way can read the mail and take the password.",
    ),
    Key(
        "TLS_CA_File",
        "tls_ca_file",
        "path",
        None,
        "A file of certificates (PEM) to trust besides the system's. Once a list of"
        " revoked certificates (CRL) is in it or in TLS_CA_Dir, the issuer of the"
        " mailhub's certificate must have a list there, up to date, and the certificate"
        " must not be on it.",
    ),
    Key(
        "TLS_CA_Dir",
        "tls_ca_dir",
        "path",
        None,
        "A directory of certificates to trust besides, with the hashed names that"
        " openssl rehash makes.",
    ),
    Key(
        "TLSFingerprint",
        "tls_fingerprints",
        "fingerprint",
        None,
        "The SHA-256 fingerprint of the mailhub's certificate or of its public key, 64"
        " hexadecimal digits, colons allowed. Several may be given, with blanks or"
        " commas between them or on lines of their own. When set, this replaces the"
        " verification of the chain and the name, and TLS is required where the port"
        " would leave it to the mailhub.",
    ),
    Key(
        "TLSMinVersion",
        "tls_min_version",
        "version",
        "1.2",
        "The oldest version of TLS to accept: 1.2 or 1.3.",
    ),
    Key(
        "UseTLSCert",
        "use_tls_cert",
        "yes or no",
        False,
        "Whether to present a client certificate.",
    ),
    Key(
        "TLSCert",
        "tls_cert",
        "path",
        "/etc/ssl/certs/ssmtp.pem",
        "The client certificate (PEM), and its key when TLSKey is not set.",
    ),
    Key(
        "TLSKey",
        "tls_key",
        "path",
        None,
        "The key of the client certificate (PEM).",
    ),
    Key(
        "AuthUser",
        "auth_user",
        "text",
        None,
        "The user name for AUTH. When it is set, mail goes out authenticated or not at"
        " all, and over verified TLS only; see AllowCleartextAuth.",
    ),
    Key(
        "AuthPass",
        "auth_pass",
        "secret",
        None,
        "The password, blanks and signs included. The file must then not be readable by"
        " others.",
    ),
    Key(
        "AuthPassFile",
        "auth_pass_file",
        "path",
        None,
        "A file whose first line is the password. It belongs to root or the calling"
        " user, and only they and, to read it, its group have access.",
    ),
    Key(
        "AuthPassCommand",
        "auth_pass_command",
        "command",
        None,
        "A command whose first line of output is the password: words with quotes as"
        ' needed, or a list ["program", "argument"]. It is run without a shell, with'
        " nothing on standard input, and has 30 seconds.",
    ),
    Key(
        "AuthPassCredential",
        "auth_pass_credential",
        "text",
        None,
        "The name of a systemd credential (LoadCredential=) that holds the password.",
    ),
    Key(
        "AuthMethod",
        "auth_method",
        "mechanism",
        None,
        "The one mechanism to use: " + ", ".join(MECHANISMS) + ". When it is not set,"
        " the best one that the mailhub offers is taken.",
    ),
    Key(
        "UseOldAUTH",
        "use_old_auth",
        "yes or no",
        False,
        "Whether LOGIN sends the user name in the AUTH command itself.",
    ),
    Key(
        "AllowCleartextAuth",
        "allow_cleartext_auth",
        "yes or no",
        False,
        "Whether the password may go over a connection without verified TLS. It always"
        " may to this machine, when Mailhub is a loopback address in numbers, such as"
        " 127.0.0.1 or [::1], or a Unix socket; a name, even localhost, may lead"
        " elsewhere.",
    ),
    Key(
        "ConnectTimeout",
        "connect_timeout",
        "seconds",
        30.0,
        "Seconds for connecting, TLS included.",
    ),
    Key(
        "CommandTimeout",
        "command_timeout",
        "seconds",
        300.0,
        "Seconds for the reply to a command.",
    ),
    Key(
        "DataTimeout",
        "data_timeout",
        "seconds",
        600.0,
        "Seconds for the reply to the end of the message.",
    ),
    Key(
        "SourceAddress",
        "source_address",
        "IP address",
        None,
        "The IP address of this machine to connect from.",
    ),
    Key(
        "Proxy",
        "proxy",
        "proxy",
        None,
        "A proxy to connect through: socks5://host:port or http://host:port (CONNECT),"
        " with user:password@ before the host if it asks for them. The file must then"
        " not be readable by others.",
    ),
    Key(
        "LogFile",
        "log_file",
        "path",
        None,
        "A file that gets a line of JSON for each message, besides the system log.",
    ),
    Key(
        "Debug",
        "debug",
        "yes or no",
        False,
        "Whether the dialogue goes to the system log. Passwords are never logged.",
    ),
)


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
    read = READERS.get(key.kind)
    result = read(value) if read is not None else value
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
