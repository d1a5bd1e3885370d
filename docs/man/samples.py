"""What the manual page says of each key besides its help: since when, and an example.

A row is the version that had the key first (2.64 is the last classic one; Fedora's
package of it knows more keys), a line as it may stand in the file, and, where the table
of keys has no default of its own, what holds without such a line.
"""

from __future__ import annotations

CLASSIC, FEDORA, OURS = "2.64", "2.64 (Fedora)", "3.0.0"
NONE = "none"

SAMPLES: dict[str, tuple[str, str] | tuple[str, str, str]] = {
    "Mailhub": (CLASSIC, "smtp.example.org:587", "none, it must be set"),
    "RemotePort": (CLASSIC, "2525", "that of each mailhub"),
    "Root": (CLASSIC, "admin@example.org", NONE),
    "MinUserId": (FEDORA, "500"),
    "Aliases": (OURS, "/etc/aliases", NONE),
    "RewriteDomain": (CLASSIC, "example.org", "what Hostname says"),
    "Hostname": (CLASSIC, "host.example.org", "the name that the system knows"),
    "FromLineOverride": (CLASSIC, "yes"),
    "ForceFrom": (OURS, "yes"),
    "AddHeader": (CLASSIC, "X-Machine: web1", NONE),
    "UseTLS": (CLASSIC, "yes", "the port decides"),
    "UseSTARTTLS": (CLASSIC, "yes", "the port decides"),
    "TLSVerify": (OURS, "no"),
    "TLS_CA_File": (FEDORA, "/etc/ssl/certs/corp-ca.pem", "the system's authorities"),
    "TLS_CA_Dir": (FEDORA, "/etc/ssmtp/authorities", "the system's authorities"),
    "TLSFingerprint": (OURS, "AB:CD:12:…", NONE),
    "TLSMinVersion": (OURS, "1.3"),
    "UseTLSCert": (CLASSIC, "yes"),
    "TLSCert": (CLASSIC, "/etc/ssmtp/client.pem"),
    "TLSKey": (FEDORA, "/etc/ssmtp/client.key", "in the file of TLSCert"),
    "AuthUser": (CLASSIC, "you@example.org", "none: no AUTH"),
    "AuthPass": (CLASSIC, "abcd efgh ijkl mnop", NONE),
    "AuthPassFile": (OURS, "/etc/ssmtp/password", NONE),
    "AuthPassCommand": (OURS, "pass show mail/example", NONE),
    "AuthPassCredential": (OURS, "ssmtp.password", NONE),
    "AuthMethod": (CLASSIC, "SCRAM-SHA-256", "the best that is offered"),
    "UseOldAUTH": (CLASSIC, "yes"),
    "AllowCleartextAuth": (OURS, "yes"),
    "ConnectTimeout": (OURS, "10"),
    "CommandTimeout": (OURS, "2m"),
    "DataTimeout": (OURS, "20m"),
    "SourceAddress": (OURS, "192.0.2.7", "the system chooses"),
    "Proxy": (OURS, "socks5://127.0.0.1:1080", NONE),
    "LogFile": (OURS, "/var/log/ssmtp.json", NONE),
    "Debug": (CLASSIC, "yes"),
    "Delivery": (OURS, "agent"),
    "AgentSocket": (OURS, "/run/mail/submit.sock", "as said above"),
    "Spool": (OURS, "/srv/mail/spool", "as said above"),
    "Connections": (OURS, "2"),
    "IdleTimeout": (OURS, "1m"),
    "MessagesPerConnection": (OURS, "20"),
    "RateLimit": (OURS, "20/min", NONE),
    "QueueLifetime": (OURS, "2d"),
    "WarningAfter": (OURS, "1h"),
    "HoldInDoubt": (OURS, "yes"),
    "MaxQueuedMessages": (OURS, "200"),
    "MaxQueuedSize": (OURS, "20M"),
    "MaxMessagesPerMinute": (OURS, "60"),
    "MaxConnections": (OURS, "5"),
    "MinFreeSpace": (OURS, "200M"),
    "MaxMessageSize": (OURS, "25M", "what the mailhub takes"),
    "AllowSender": (OURS, "www-data:*@shop.example.org", "everybody as anybody"),
    "ListenLoopback": (OURS, "127.0.0.1:25", NONE),
    "ListenIdentity": (OURS, "www-data", NONE),
}
