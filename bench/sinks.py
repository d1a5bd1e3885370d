"""The mailhubs: Postfix's own smtp-sink in clear, and its smtpd in front of that one.

TLS and AUTH are those of Postfix's smtpd, which asks Dovecot for passwords and hands
each message on to a smtp-sink while it comes in (a before-queue filter). So no queue
file and no fsync of a server is measured with the client.

Postfix leaves Nagle's algorithm on, so that its greeting waits until the tickets of TLS
before it are acknowledged. TCP_NODELAY is set from outside, on its listening sockets,
whose children inherit it; one port is left as Postfix has it.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bench import line
from tests.peers.box import Box

USER = "sender"
PASSWORD = "correct-horse-battery"
RELAY = "2500"  # where the smtpd hands its messages to
PORTS = {"plain": 2525, "starttls": 2587, "tls": 2465, "tls-nagle": 2466}
LOOPBACK = "127.0.0.1"

_DOVECOT = """\
protocols =
ssl = no
log_path = /var/log/dovecot.log
auth_mechanisms = plain login
auth_failure_delay = 0
first_valid_uid = 1
disable_plaintext_auth = no
passdb {
  driver = passwd-file
  args = /etc/bench/passwd
}
userdb {
  driver = static
  args = uid=vmail gid=vmail home=/var/vmail
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service auth {
  unix_listener /var/spool/postfix/private/auth {
    mode = 0666
  }
}
"""

_MAIN = f"""\
compatibility_level = 3.6
myhostname = mailhub.example
mydestination =
mynetworks =
alias_maps =
alias_database =
inet_interfaces = all
inet_protocols = ipv4
maillog_file = /var/log/postfix.log
message_size_limit = 0
mailbox_size_limit = 0
max_use = 1000000
max_idle = 86400
smtpd_recipient_limit = 10000
smtpd_client_connection_count_limit = 0
smtpd_proxy_filter = 127.0.0.1:{RELAY}
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_tls_chain_files = /etc/bench/both.pem
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_peername_lookup = no
"""

_MASTER = f"""\
{PORTS["tls"]} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
{PORTS["tls-nagle"]} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
{PORTS["starttls"]} inet n - n - - smtpd -o smtpd_tls_security_level=encrypt
postlog unix-dgram n - n - 1 postlogd
tlsmgr unix - - n - 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
"""


class Authority:
    """A certification authority, and the certificate of the mailhubs, for numbers."""

    def __init__(self, place: Path, addresses: list[str]) -> None:
        self.file = place / "authority.pem"
        key, self.leaf = place / "authority.key", place / "mailhub.pem"
        request, names = place / "mailhub.csr", place / "names"
        names.write_text(f"subjectAltName={','.join(f'IP:{a}' for a in addresses)}\n")
        _openssl(
            f"req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=Bench "
            f"-addext keyUsage=critical,keyCertSign -keyout {key} -out {self.file}"
        )
        _openssl(
            f"req -newkey rsa:2048 -nodes -subj /CN=mailhub.example "
            f"-keyout {place / 'mailhub.key'} -out {request}"
        )
        _openssl(
            f"x509 -req -in {request} -CA {self.file} -CAkey {key} -CAcreateserial "
            f"-days 30 -extfile {names} -out {self.leaf}"
        )
        self.both = (place / "mailhub.key").read_text() + self.leaf.read_text()


def _openssl(words: str) -> None:
    subprocess.run(["openssl", *words.split()], check=True, capture_output=True)


class Sinks:
    """The running mailhubs; they listen on all addresses of the namespace."""

    def __init__(self, root: Path, place: Path, authority: Authority) -> None:
        self.box = box = Box(root, place)
        box.write("/etc/bench/passwd", f"{USER}:{{PLAIN}}{PASSWORD}\n")
        box.write("/etc/bench/both.pem", authority.both, 0o600)
        box.write("/etc/dovecot/bench.conf", _DOVECOT)
        box.write("/etc/postfix/main.cf", _MAIN)
        box.write("/etc/postfix/master.cf", _MASTER)
        box.directory("/var/lib/dovecot", 0, 0)
        box.directory("/var/vmail", 204, 204)
        box.directory("/var/spool/postfix", 0, 0)
        for queue in ("active", "bounce", "corrupt", "defer", "deferred", "flush"):
            box.directory(f"/var/spool/postfix/{queue}", 201, 0, 0o700)
        for queue in ("hold", "incoming", "private", "saved", "trace"):
            box.directory(f"/var/spool/postfix/{queue}", 201, 0, 0o700)
        box.directory("/var/spool/postfix/maildrop", 201, 208, 0o730)
        box.directory("/var/spool/postfix/public", 201, 208, 0o710)
        box.directory("/var/spool/postfix/pid", 0, 0)
        box.directory("/var/lib/postfix", 201, 201)
        box.write(
            "/etc/bench/start",
            f"/usr/sbin/smtp-sink -u nobody 0.0.0.0:{PORTS['plain']} 100 &\n"
            f"/usr/sbin/smtp-sink -u nobody {LOOPBACK}:{RELAY} 100 &\n",
        )

    def start(self) -> None:
        """Start them and wait until all listen."""
        self.box.start(
            "/bin/sh /etc/bench/start",
            "/usr/sbin/dovecot -c /etc/dovecot/bench.conf",
            "/usr/sbin/postfix start-fg",
        )
        for port in (*PORTS.values(), int(RELAY)):
            _wait(port)
            if port != PORTS["tls-nagle"]:
                _no_delay(port)

    def stop(self) -> None:
        """End them."""
        self.box.stop()


def _wait(port: int, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((LOOPBACK, port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody listens on port {port}") from None
            time.sleep(0.05)


PIDFD_GETFD = 438  # of x86-64, and of all machines that came later
LISTENS = "0A"


def _no_delay(port: int) -> None:
    """Set TCP_NODELAY on the socket that listens on a port, whosever it is."""
    libc = ctypes.CDLL(None, use_errno=True)
    for pid, number in _holders(_inode(port)):
        process = os.pidfd_open(pid)
        fd = libc.syscall(PIDFD_GETFD, process, number, 0)
        os.close(process)
        if fd < 0:
            raise OSError(ctypes.get_errno(), f"no TCP_NODELAY for port {port}")
        with socket.socket(fileno=fd) as listener:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return  # they share the one socket


def _inode(port: int) -> str:
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = row.split()
        local, state = words[1], words[3]
        if state == LISTENS and local.endswith(f":{port:04X}"):
            return words[9]
    raise OSError(f"nobody listens on port {port}")


def _holders(inode: str) -> Iterator[tuple[int, int]]:
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) == f"socket:[{inode}]":
                yield int(link.parts[2]), int(link.name)
        except OSError:  # it has ended
            pass


def addresses(lines: int) -> list[str]:
    """Return all addresses that the certificate has to be for."""
    return [LOOPBACK, *(line.address(n + 1, 2) for n in range(lines))]
