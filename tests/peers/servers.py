"""The servers: how each is configured, what each offers.

Each listens on loopback, knows the user `USER`, relays all that it accepts to the
capturing server, takes up to `LIMIT` octets, and refuses two recipients of `capture`.
"""

from __future__ import annotations

import base64
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.peers.box import Box
from tests.peers.capture import DEFERRED, REFUSED, free_port, wait_for_port

USER = "sender"
PASSWORD = "correct horse #1 = battery: staple"
TOKEN_KEY = b"the key that signs the tokens of OAUTHBEARER"
LIMIT = 25_000_000


@dataclass(frozen=True)
class Certificates:
    """The server's certificate and key, and the file of the authority behind them."""

    authority: Path
    chain: bytes
    key: bytes


@dataclass(frozen=True)
class Peer:
    """A running server, and what the tests may expect of it."""

    name: str
    box: Box
    log: str
    """Where the server writes its log, in the box."""
    implicit: int
    """Port with TLS from the first octet."""
    starttls: int
    clear: int | None = None
    """Port where AUTH is offered without TLS."""


MECHANISMS = {
    "postfix": (
        *("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"),
        *("OAUTHBEARER", "XOAUTH2"),
    ),
    "dovecot": (
        *("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"),
        *("OAUTHBEARER", "XOAUTH2"),
    ),
    "exim": ("PLAIN", "LOGIN", "CRAM-MD5"),
    "opensmtpd": ("PLAIN", "LOGIN"),
}
"""What each offers; Exim adds EXTERNAL for those who show a certificate. Dovecot 2.4
stands apart: it is there for the channel binding that it alone offers."""

EXTENSIONS = {
    "postfix": {"PIPELINING", "CHUNKING", "DSN", "SMTPUTF8", "8BITMIME"},
    "dovecot": {"PIPELINING", "CHUNKING", "8BITMIME"},
    "exim": {"PIPELINING", "CHUNKING", "DSN", "SMTPUTF8", "8BITMIME"},
    "opensmtpd": {"DSN", "8BITMIME"},
}
"""What the tests know each to offer, of what the program uses."""


def _passwords(box: Box, certificates: Certificates) -> None:
    # In Base64: a colon would end the field.
    secret = base64.b64encode(PASSWORD.encode()).decode()
    box.write("/etc/peer/passwd", f"{USER}:{{PLAIN.b64}}{secret}\n")
    box.write("/etc/peer/chain.pem", certificates.chain)


def _dovecot(box: Box, text: str) -> None:
    """Write what both uses of Dovecot need: its users, its certificate, no delays."""
    box.write("/etc/peer/tokens/default/HS256/default", base64.b64encode(TOKEN_KEY))
    box.write(
        "/etc/peer/oauth2.conf",
        "introspection_mode = local\n"
        "local_validation_key_dict = fs:posix:prefix=/etc/peer/tokens/\n"
        "username_attribute = sub\n",
    )
    box.write(
        "/etc/dovecot/peer.conf",
        f"""\
log_path = /var/log/dovecot.log
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256 \
    oauthbearer xoauth2
auth_failure_delay = 0
first_valid_uid = 1
auth_verbose = yes
auth_username_format = %n
disable_plaintext_auth = no
mail_location = maildir:/var/vmail/%n
passdb {{
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = /etc/peer/oauth2.conf
}}
passdb {{
  driver = passwd-file
  mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
  args = username_format=%n /etc/peer/passwd
}}
userdb {{
  driver = static
  args = uid=vmail gid=vmail home=/var/vmail/%n
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
ssl_cert = </etc/peer/chain.pem
ssl_key = </etc/peer/key.pem
{text}
""",
    )
    box.directory("/var/vmail", 204, 204)
    box.directory("/var/lib/dovecot", 0, 0)


def postfix(box: Box, certificates: Certificates, far_end: int) -> Peer:
    """Start Postfix, with SASL through Dovecot's auth service."""
    implicit, starttls, clear = free_port(), free_port(), free_port()
    _passwords(box, certificates)
    box.write("/etc/peer/key.pem", certificates.key, 0o600)
    box.write("/etc/peer/both.pem", certificates.key + certificates.chain, 0o600)
    _dovecot(
        box,
        """\
protocols =
ssl = no
service auth {
  unix_listener /var/spool/postfix/private/auth {
    mode = 0660
    user = postfix
    group = postfix
  }
}""",
    )
    box.write(
        "/etc/postfix/main.cf",
        f"""\
compatibility_level = 3.6
myhostname = mailhub.example
mydestination =
mynetworks =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relayhost = [127.0.0.1]:{far_end}
disable_dns_lookups = yes
maillog_file = /var/log/postfix.log
message_size_limit = {LIMIT}
smtp_line_length_limit = 0
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_tls_chain_files = /etc/peer/both.pem
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = check_recipient_access
 inline:{{{{{REFUSED} = 550 5.1.1 There is no such person}},
 {{{DEFERRED} = 450 4.2.1 Come back later}}}}
smtputf8_enable = yes
""",
    )
    inner = "\n".join(
        f"{name} unix {kind} - n - {limit} {program}"
        for name, kind, limit, program in [
            ("cleanup", "n", "0", "cleanup"),
            ("tlsmgr", "-", "1", "tlsmgr"),
            ("rewrite", "-", "-", "trivial-rewrite"),
            ("bounce", "-", "0", "bounce"),
            ("defer", "-", "0", "bounce"),
            ("trace", "-", "0", "bounce"),
            ("verify", "-", "1", "verify"),
            ("proxymap", "-", "-", "proxymap"),
            ("smtp", "-", "-", "smtp"),
            ("relay", "-", "-", "smtp"),
            ("error", "-", "-", "error"),
            ("retry", "-", "-", "error"),
            ("discard", "-", "-", "discard"),
            ("local", "-", "-", "local"),
            ("anvil", "-", "1", "anvil"),
            ("scache", "-", "1", "scache"),
        ]
    )
    box.write(
        "/etc/postfix/master.cf",
        f"""\
127.0.0.1:{implicit} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
127.0.0.1:{starttls} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
127.0.0.1:{clear} inet n - n - - smtpd
  -o smtpd_tls_security_level=none
pickup unix n - n 60 1 pickup
qmgr unix n - n 300 1 qmgr
flush unix n - n 1000? 0 flush
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
{inner}
""",
    )
    box.directory("/var/spool/postfix", 0, 0)
    for queue in (
        *("active", "bounce", "corrupt", "defer", "deferred", "flush"),
        *("hold", "incoming", "private", "saved", "trace"),
    ):
        box.directory(f"/var/spool/postfix/{queue}", 201, 0, 0o700)
    box.directory("/var/spool/postfix/maildrop", 201, 208, 0o730)
    box.directory("/var/spool/postfix/public", 201, 208, 0o710)
    box.directory("/var/spool/postfix/pid", 0, 0)
    box.directory("/var/lib/postfix", 201, 201)
    box.start(
        "/usr/sbin/dovecot -c /etc/dovecot/peer.conf", "/usr/sbin/postfix start-fg"
    )
    for port in (implicit, starttls, clear):
        wait_for_port(port)
    return Peer("postfix", box, "/var/log/postfix.log", implicit, starttls, clear)


def dovecot(box: Box, certificates: Certificates, far_end: int) -> Peer:
    """Start Dovecot's submission service, which passes each command on as it comes."""
    implicit, starttls = free_port(), free_port()
    _passwords(box, certificates)
    box.write("/etc/peer/key.pem", certificates.key, 0o600)
    _dovecot(
        box,
        f"""\
protocols = submission
ssl = yes
hostname = mailhub.example
submission_relay_host = 127.0.0.1
submission_relay_port = {far_end}
submission_max_mail_size = {LIMIT}
service submission-login {{
  inet_listener submission {{
    address = 127.0.0.1
    port = {starttls}
  }}
  inet_listener submissions {{
    address = 127.0.0.1
    port = {implicit}
    ssl = yes
  }}
}}""",
    )
    box.start("/usr/sbin/dovecot -F -c /etc/dovecot/peer.conf")
    for port in (implicit, starttls):
        wait_for_port(port)
    return Peer("dovecot", box, "/var/log/dovecot.log", implicit, starttls, starttls)


def dovecot24(box: Box, certificates: Certificates, far_end: int) -> Peer:
    """Start the submission service of Dovecot 2.4, which offers channel binding."""
    implicit, starttls = free_port(), free_port()
    _passwords(box, certificates)
    box.write("/etc/peer/key.pem", certificates.key, 0o600)
    box.write(
        "/etc/dovecot/peer.conf",
        f"""\
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
log_path = /var/log/dovecot.log
protocols = submission
hostname = mailhub.example
first_valid_uid = 1
auth_mechanisms = scram-sha-1 scram-sha-256 scram-sha-1-plus scram-sha-256-plus
auth_failure_delay = 0
auth_verbose = yes
auth_username_format = %{{user | username}}
mail_driver = maildir
mail_path = /var/vmail/%{{user | username}}
passdb passwd-file {{
  passwd_file_path = /etc/peer/passwd
}}
userdb static {{
  fields {{
    uid = vmail
    gid = vmail
    home = /var/vmail/%{{user | username}}
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
ssl = yes
ssl_server_cert_file = /etc/peer/chain.pem
ssl_server_key_file = /etc/peer/key.pem
submission_relay_host = 127.0.0.1
submission_relay_port = {far_end}
submission_max_mail_size = {LIMIT}
service submission-login {{
  inet_listener submission {{
    listen = 127.0.0.1
    port = {starttls}
  }}
  inet_listener submissions {{
    listen = 127.0.0.1
    port = {implicit}
    ssl = yes
  }}
}}
""",
    )
    box.directory("/var/vmail", 204, 204)
    box.directory("/var/lib/dovecot", 0, 0)
    box.start("/usr/sbin/dovecot -F -c /etc/dovecot/peer.conf")
    for port in (implicit, starttls):
        wait_for_port(port)
    return Peer("dovecot24", box, "/var/log/dovecot.log", implicit, starttls)


def exim(box: Box, certificates: Certificates, far_end: int) -> Peer:
    """Start Exim's daemon, with an authenticator for each mechanism it knows alone."""
    implicit, starttls = free_port(), free_port()
    box.write("/etc/peer/chain.pem", certificates.chain)
    box.write("/etc/peer/key.pem", certificates.key)
    box.write("/etc/peer/authority.pem", certificates.authority.read_bytes())
    box.write(
        "/etc/exim4/exim4.conf",
        f"""\
primary_hostname = mailhub.example
local_interfaces = <; 127.0.0.1
daemon_smtp_ports = {implicit} : {starttls}
tls_on_connect_ports = {implicit}
tls_advertise_hosts = *
tls_certificate = /etc/peer/chain.pem
tls_privatekey = /etc/peer/key.pem
tls_verify_certificates = /etc/peer/authority.pem
tls_try_verify_hosts = *
disable_ipv6
host_lookup =
rfc1413_hosts =
keep_environment =
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4/%slog
log_selector = +pipelining +smtp_protocol_error +received_recipients
message_size_limit = {LIMIT}
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
chunking_advertise_hosts = *
smtp_accept_max = 0
recipients_max = 1000
acl_smtp_rcpt = rcpt

begin acl
rcpt:
  deny !authenticated = *
  deny recipients = {REFUSED}
       message = There is no such person
  defer recipients = {DEFERRED}
       message = Come back later
  accept

begin routers
far_end:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = far_end

begin transports
far_end:
  driver = smtp
  port = {far_end}
  allow_localhost
  hosts_avoid_tls = *
  hosts_require_dane =
  hosts_try_dane =
  message_linelength_limit = 100000000

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and {{{{eq{{$auth2}}{{{USER}}}}}\
    {{eq{{$auth3}}{{{PASSWORD}}}}}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and {{{{eq{{$auth1}}{{{USER}}}}}\
    {{eq{{$auth2}}{{{PASSWORD}}}}}}}}}
  server_set_id = $auth1
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{if eq{{$auth1}}{{{USER}}}{{{PASSWORD}}}fail}}
  server_set_id = $auth1
external:
  driver = external
  public_name = EXTERNAL
  server_advertise_condition = ${{if eq{{$tls_in_certificate_verified}}{{1}}}}
  server_param2 = ${{certextract{{subject,CN}}{{$tls_in_peercert}}}}
  server_condition = ${{if eq{{$auth2}}{{{USER}}}}}
  server_set_id = $auth2
""",
    )
    for place in ("/var/spool/exim4", "/var/log/exim4"):
        box.directory(place, 205, 205, 0o750)
    box.start("/usr/sbin/exim4 -bdf -q1m")
    for port in (implicit, starttls):
        wait_for_port(port)
    return Peer("exim", box, "/var/log/exim4/mainlog", implicit, starttls, starttls)


def opensmtpd(box: Box, certificates: Certificates, far_end: int) -> Peer:
    """Start OpenSMTPD, which offers AUTH under TLS only."""
    implicit, starttls = free_port(), free_port()
    box.write("/etc/peer/chain.pem", certificates.chain)
    box.write("/etc/peer/key.pem", certificates.key, 0o600)
    box.write("/etc/ssl/certs/ca-certificates.crt", certificates.authority.read_bytes())
    crypted = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"],
        input=PASSWORD,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    box.write("/etc/peer/credentials", f"{USER} {crypted}")
    box.write(
        "/etc/smtpd.conf",
        f"""\
pki mailhub cert "/etc/peer/chain.pem"
pki mailhub key "/etc/peer/key.pem"
table credentials file:/etc/peer/credentials
queue ttl 1h
smtp max-message-size {LIMIT}
listen on 127.0.0.1 port {implicit} smtps pki mailhub auth <credentials> \
    hostname mailhub.example
listen on 127.0.0.1 port {starttls} tls-require pki mailhub auth <credentials> \
    hostname mailhub.example
action far_end relay host smtp://127.0.0.1:{far_end}
match from any for rcpt-to "{REFUSED}" reject
match auth from any for any action far_end
""",
    )
    box.directory("/var/lib/opensmtpd/empty", 0, 0, 0o711)
    box.directory("/var/spool/smtpd", 0, 0, 0o711)
    box.start("/usr/sbin/smtpd -dv")
    for port in (implicit, starttls):
        wait_for_port(port)
    return Peer("opensmtpd", box, "/output", implicit, starttls)


SERVERS = {
    "postfix": postfix,
    "dovecot": dovecot,
    "dovecot24": dovecot24,
    "exim": exim,
    "opensmtpd": opensmtpd,
}
