"""The loopback listener: for programs that speak SMTP, and only from this machine."""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import smtplib
import socket
import subprocess
import threading

import pytest

from ssmtp.agent import acceptor as acceptors
from ssmtp.agent import listening
from ssmtp.agent.acceptor import Acceptor
from ssmtp.errors import ConfigError, SystemTrouble
from tests.agent.agents import PYTHON, ROOT, Box, Peer

LOGIN = "nobody"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def port(box: Box) -> int:
    """The port of a running agent that listens on the loopback interface."""
    port = free_port()
    box.configure(f"ListenLoopback=127.0.0.1:{port}", f"ListenIdentity={LOGIN}")
    box.start()
    return port


def test_smtplib(box, port):
    """Python's own client hands over a message, in the name of ListenIdentity."""
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.sendmail(
            "app@shop.example", ["a@b.example", "bob"], "Subject: x\n\nhi\n"
        )
    [entry] = box.entries()

    assert (LOGIN, pwd.getpwnam(LOGIN).pw_uid) == (entry.login, entry.uid)
    assert "app@shop.example" == entry.reverse_path
    assert ["a@b.example", "bob@example.org"] == [r.address for r in entry.recipients]


def test_wishes_of_each_recipient(box, port):
    """NOTIFY and ORCPT stay with the recipient that they were said for."""
    with Peer(("127.0.0.1", port)).greet() as peer:
        answers = peer.say(
            "MAIL FROM:<app@shop.example> RET=HDRS ENVID=e1",
            "RCPT TO:<a@b.example> NOTIFY=SUCCESS ORCPT=rfc822;x@y.example",
            "RCPT TO:<c@d.example> NOTIFY=NEVER",
        )
        peer.socket.sendall(b"BDAT 14 LAST\r\nSubject: x\r\n\r\n")
        answers.append(peer.reply())
    [entry] = box.entries()

    assert ["250"] * 4 == [answer[:3] for answer in answers]
    assert ("HDRS", "e1") == (entry.ret, entry.envid)
    assert [("SUCCESS", "rfc822;x@y.example"), ("NEVER", None)] == [
        (recipient.notify, recipient.orcpt) for recipient in entry.recipients
    ]


@pytest.mark.parametrize("unix", [False, True], ids=["loopback", "submit"])
@pytest.mark.parametrize(
    ("said", "wishes"),
    [
        (
            ["x@d.example NEVER", "x@d.example SUCCESS", "z@d.example SUCCESS"],
            ["x@d.example NEVER", "z@d.example SUCCESS"],
        ),
        (
            ["team NEVER", "x@d.example SUCCESS"],
            ["x@d.example NEVER", "y@d.example NEVER"],
        ),
        (
            ["x@d.example SUCCESS", "team NEVER", "z@d.example"],
            ["x@d.example SUCCESS", "y@d.example NEVER", "z@d.example None"],
        ),
    ],
)
def test_wishes_where_recipients_coincide(box, said, wishes, unix):
    """Who is named twice, or by an alias, has the wish of the first who named him."""
    aliases = box.place / "aliases"
    aliases.write_text("team: x@d.example, y@d.example\n")
    port = free_port()
    box.configure(
        f"ListenLoopback=127.0.0.1:{port}",
        f"ListenIdentity={LOGIN}",
        f"Aliases={aliases}",
    )
    box.start()
    lines = []
    for address, _, wish in (word.partition(" ") for word in said):
        lines.append(f"RCPT TO:<{address}>" + (f" NOTIFY={wish}" if wish else ""))
    with Peer(box.socket if unix else ("127.0.0.1", port)).greet() as peer:
        peer.say("MAIL FROM:<app@shop.example>", *lines)
        peer.socket.sendall(b"BDAT 14 LAST\r\nSubject: x\r\n\r\n")
        answer = peer.reply()
    [entry] = box.entries()

    assert "250" == answer[:3]
    assert wishes == [f"{one.address} {one.notify}" for one in entry.recipients]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("XLIST", "500"),
        ("XDROP 1", "500"),
        ("MAIL FROM:<a@b.example> XFROM=NONE", "555"),
        ("MAIL FROM:a@b.example", "501"),
        ("GET / HTTP/1.1", "421"),
        ("POST / HTTP/1.1", "421"),
    ],
)
def test_no_privileges(port, line, code):
    """Who cannot be told apart gets no private verbs, and no lenience."""
    with Peer(("127.0.0.1", port)).greet() as peer:
        [answer] = peer.say(line)

    assert code == answer[:3]


def test_hello_comes_first(port):
    """A client that does not say EHLO is no mail program."""
    with Peer(("127.0.0.1", port)) as peer:
        peer.reply()
        [answer] = peer.say("MAIL FROM:<a@b.example>")

    assert "503" == answer[:3]


def test_bare_line_feeds_end_nothing(box, port):
    """LF . LF within a message is content (SMTP smuggling)."""
    with Peer(("127.0.0.1", port)).greet() as peer:
        peer.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA")
        peer.socket.sendall(
            b"Subject: x\r\n\r\nx\n.\nMAIL FROM:<evil@x.example>\r\n.\r\n"
        )
        answer = peer.reply()

    assert "250" == answer[:3]
    assert ["a@b.example"] == [entry.reverse_path for entry in box.entries()]


def test_policy_holds(box):
    """AllowSender holds for ListenIdentity like for any user."""
    port = free_port()
    box.configure(
        f"ListenLoopback=127.0.0.1:{port}",
        f"ListenIdentity={LOGIN}",
        f"AllowSender={LOGIN}:*@shop.example",
    )
    box.start()
    with Peer(("127.0.0.1", port)).greet() as peer:
        good = peer.message("<app@shop.example>")
        bad = peer.message("<ceo@corp.example>")

    assert ("250", "454") == (good[2][:3], bad[2][:3])


def test_ipv6(box):
    """[::1] is loopback, too."""
    with contextlib.ExitStack() as stack:
        try:
            probe = stack.enter_context(socket.socket(socket.AF_INET6))
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
        port = probe.getsockname()[1]
    box.configure(f"ListenLoopback=[::1]:{port}", f"ListenIdentity={LOGIN}")
    box.start()
    with Peer(("::1", port)).greet() as peer:
        answer = peer.message()[2]

    assert "250" == answer[:3]


def test_place_that_is_named_twice(box):
    """A line that says the same again is no second listener."""
    port = free_port()
    twice = [f"ListenLoopback={host}:{port}" for host in ("127.0.0.1", "127.0.0.001")]
    box.configure(*twice, f"ListenIdentity={LOGIN}")
    box.start()
    with Peer(("127.0.0.1", port)).greet() as peer:
        answer = peer.message()[2]

    assert "250" == answer[:3]


def test_no_other_address(box, monkeypatch):
    """A socket on another address is refused, even when it is handed over."""
    with socket.socket() as elsewhere:
        elsewhere.bind(("0.0.0.0", 0))
        elsewhere.listen()
        monkeypatch.setattr(
            "ssmtp.agent.listening.inherited", lambda: [elsewhere.dup()]
        )
        with pytest.raises(ConfigError, match="not loopback"):
            Acceptor(str(box.own), str(box.socket), str(box.spool))


def test_strange_peers(box, monkeypatch):
    """Whoever is not on this machine is hung up on, whatever the routes."""
    port = free_port()
    box.configure(f"ListenLoopback=127.0.0.1:{port}", f"ListenIdentity={LOGIN}")
    acceptor = Acceptor(str(box.own), str(box.socket), str(box.spool))
    thread = threading.Thread(target=acceptor.serve)
    thread.start()
    monkeypatch.setattr(acceptors, "_is_loopback", lambda host: False)
    try:
        with Peer(("127.0.0.1", port)) as peer:
            said = peer.reply()
    finally:
        acceptor.stop()
        thread.join(20)
        acceptor.close()

    assert "" == said


@pytest.mark.parametrize("login", ["", "no-such-user-here"])
def test_identity_is_needed(box, login):
    """Without a user in whose name to send, nobody listens."""
    line = [f"ListenIdentity={login}"] if login else []
    box.configure(f"ListenLoopback=127.0.0.1:{free_port()}", *line)

    with pytest.raises(ConfigError, match="ListenIdentity"):
        Acceptor(str(box.own), str(box.socket), str(box.spool))


def test_socket_is_handed_over(box):
    """What systemd listens at is not bound a second time (LISTEN_FDS)."""
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        port = tcp.getsockname()[1]
        box.socket.parent.mkdir()
        unix.bind(str(box.socket))
        unix.listen()
        box.configure(f"ListenLoopback=127.0.0.1:{port}", f"ListenIdentity={LOGIN}")
        fds = [os.dup(unix.fileno()), os.dup(tcp.fileno())]

    def handed() -> None:
        for at, fd in enumerate(fds):
            os.dup2(fd, 10 + at)
        for at in range(2):
            os.dup2(10 + at, 3 + at)
            os.set_inheritable(3 + at, True)
        os.environ["LISTEN_PID"] = str(os.getpid())
        os.environ["LISTEN_FDS"] = "2"

    try:
        child = os.fork()
        if not child:
            try:
                handed()
                acceptor = Acceptor(str(box.own), None, str(box.spool))
                threading.Timer(10, acceptor.stop).start()
                acceptor.serve()
            finally:
                os._exit(0)
        with Peer(("127.0.0.1", port)).greet() as peer:
            tcp_answer = peer.message()[2]
        with Peer(box.socket).greet() as peer:
            unix_answer = peer.message()[2]
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        for fd in fds:
            os.close(fd)

    assert ("250", "250") == (tcp_answer[:3], unix_answer[:3])


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_socket_that_nobody_can_connect_to(box, kind):
    """A socket that is handed over and does not listen is an error, not a busy loop."""
    with socket.socket(socket.AF_UNIX, kind) as useless:
        useless.bind(str(box.place / "useless"))
        done = _handed(box, useless.fileno())

    assert 78 == done.returncode
    assert b"a socket was handed over that nobody can connect to" in done.stderr


@pytest.mark.parametrize("family", ["AF_UNIX", "AF_VSOCK"])
def test_socket_of_another_kind(box, family):
    """A socket of packets, or of virtual machines, is told as no socket for mail."""
    if family == "AF_UNIX":
        other = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        other.bind(str(box.place / "other"))
    else:
        try:
            other = socket.socket(socket.AF_VSOCK)
            other.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
        except OSError:
            pytest.skip("no sockets of virtual machines here")
    with other:
        other.listen()
        done = _handed(box, other.fileno())

    assert 78 == done.returncode
    assert b"a socket was handed over that nobody can connect to" in done.stderr


def test_socket_is_called_like_the_link(box):
    """A socket for mail where the halves talk is refused, and not taken away."""
    path = box.place / "sender.sock"
    with socket.socket(socket.AF_UNIX) as submit:
        submit.bind(str(path))
        submit.listen()
        done = _handed(box, submit.fileno())

    assert 78 == done.returncode
    assert b"is where the halves of the agent talk to each other" in done.stderr
    assert path.is_socket()


@pytest.mark.parametrize("count", [1, 7], ids=["no socket", "not even open"])
def test_no_socket_is_handed_over(box, count):
    """What is handed over and is no socket is the unit's mistake, and told as such."""
    with open(os.devnull, "rb") as useless:
        done = _handed(box, useless.fileno(), count)

    assert 78 == done.returncode
    assert b"a socket was handed over that nobody can connect to" in done.stderr


def test_socket_without_a_path(box):
    """A socket that lies nowhere has no place beside it, where the halves meet."""
    with socket.socket(socket.AF_UNIX) as nowhere:
        nowhere.bind(f"\0{box.place}")
        nowhere.listen()
        done = _handed(box, nowhere.fileno())

    assert 78 == done.returncode
    assert b"a socket without a path was handed over" in done.stderr


def _handed(box: Box, fd: int, count: int = 1) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [
            *(PYTHON, "-c", _HANDED, str(fd), str(count), PYTHON, "-IS"),
            *(str(ROOT / "bin" / "ssmtpctl"), "agent", "accept"),
            *("-C", str(box.own), "--spool", str(box.spool)),
        ],
        pass_fds=[fd],
        capture_output=True,
        timeout=10,
    )


_HANDED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), sys.argv[2]
os.execv(sys.argv[3], sys.argv[3:])
"""


def test_machine_without_ipv6(monkeypatch):
    """A kernel that knows no IPv6 is a trouble in words; an agent that hears SIGHUP
    goes on as before."""

    def unknown(*_: object) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    monkeypatch.setattr(socket, "socket", unknown)

    with pytest.raises(
        SystemTrouble, match=r"cannot listen at \[::1\]:25: Address fam"
    ):
        listening.loopback("::1", 25)
