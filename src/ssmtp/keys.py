"""The table of configuration keys: how each is written, read, kept and explained.

The parser (`config`), the manual page and the tests read it. A row is all that a new
key needs, unless its values are of a new kind: then `values` gets a reader for it, or
`quantities`, when only the agent has a use for it.
"""

from __future__ import annotations

from ssmtp.values import MECHANISMS


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
LISTS = ("mailhub", "field", "fingerprint", "login:patterns", "address:port")

MESSAGE_KEYS: tuple[Key, ...] = (
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

# Only the agent reads these, but for the first two, by which sendmail finds it.
AGENT_KEYS: tuple[Key, ...] = (
    Key(
        "Delivery",
        "delivery",
        "auto, direct or agent",
        "auto",
        "Which way a message takes. With agent, it is handed to the agent and never"
        " goes out otherwise. With direct, it goes straight to the mailhub. With auto,"
        " to the agent if its socket is there, and straight to the mailhub if not.",
    ),
    Key(
        "AgentSocket",
        "agent_socket",
        "path",
        None,
        "The agent's socket. The default is $XDG_RUNTIME_DIR/ssmtp/submit.sock if it"
        " is there, and else /run/ssmtp/submit.sock.",
    ),
    Key(
        "Spool",
        "spool",
        "path",
        None,
        "The directory of the queue. The default is /var/spool/ssmtp for the agent of"
        " the system, and $XDG_STATE_HOME/ssmtp/spool (or ~/.local/state/ssmtp/spool)"
        " for that of one user.",
    ),
    Key(
        "Connections",
        "connections",
        "number",
        4,
        "The most connections to one mailhub at a time.",
    ),
    Key(
        "IdleTimeout",
        "idle_timeout",
        "duration",
        30.0,
        "For how long a connection is kept open when there is nothing to send.",
    ),
    Key(
        "MessagesPerConnection",
        "messages_per_connection",
        "number",
        100,
        "After how many messages a connection is closed.",
    ),
    Key(
        "RateLimit",
        "rate_limit",
        "rate",
        None,
        "The most messages that are sent in a time: 2/s, 20/min, 500/hour, 2000/day."
        " More wait in the queue.",
    ),
    Key(
        "QueueLifetime",
        "queue_lifetime",
        "duration",
        432000.0,
        "How long a message is tried before it comes back to its sender.",
    ),
    Key(
        "WarningAfter",
        "warning_after",
        "duration",
        14400.0,
        "After how long a message that waits is told of, once, to its sender.",
    ),
    Key(
        "HoldInDoubt",
        "hold_in_doubt",
        "yes or no",
        False,
        "Whether a message that the mailhub may have taken, but did not say so, is held"
        " until somebody releases or drops it. With no, it is sent again and may arrive"
        " twice.",
    ),
    Key(
        "MaxQueuedMessages",
        "max_queued_messages",
        "number",
        1000,
        "The most messages that one user may have in the queue.",
    ),
    Key(
        "MaxQueuedSize",
        "max_queued_size",
        "size",
        104857600,
        "The most octets that one user may have in the queue.",
    ),
    Key(
        "MaxMessagesPerMinute",
        "max_messages_per_minute",
        "number",
        1000,
        "The most messages that one user may hand over within a minute.",
    ),
    Key(
        "MaxConnections",
        "max_connections",
        "number",
        20,
        "The most connections that one user may have to the agent at a time.",
    ),
    Key(
        "MinFreeSpace",
        "min_free_space",
        "share or size",
        (0.05, 0),
        "How much of the queue's file system stays free: a share of its space and of"
        " its inodes (5%), or octets (50M). Root's mail may use half of that, too.",
    ),
    Key(
        "MaxMessageSize",
        "max_message_size",
        "size",
        None,
        "The most octets that a message may have.",
    ),
    Key(
        "AllowSender",
        "allow_senders",
        "login:patterns",
        None,
        "Who may send as whom: a login name (* is everybody), a colon, and addresses"
        " with commas between them, in which * and ? stand for any characters; own is"
        " the user's own address. May be repeated. With no such line everybody may"
        " send as anybody; once there is one, a user whom no line names may send as"
        " nobody.",
    ),
    Key(
        "ListenLoopback",
        "listen_loopback",
        "address:port",
        None,
        "Where the agent speaks SMTP over TCP, for programs that cannot run sendmail:"
        " a loopback address in numbers, such as 127.0.0.1:25 or [::1]:587. Any"
        " program of this machine can then send mail as ListenIdentity. May be"
        " repeated.",
    ),
    Key(
        "ListenIdentity",
        "listen_identity",
        "text",
        None,
        "The login name of the user in whose name mail from ListenLoopback is sent."
        " ListenLoopback needs it.",
    ),
)

KEYS = MESSAGE_KEYS + AGENT_KEYS
