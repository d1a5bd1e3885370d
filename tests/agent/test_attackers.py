"""What a user of the machine cannot do to the agent, or to other users' mail.

Each test runs as real users, so it needs root; `.ci/run agent` has it.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import hub as hubs
from tests.agent.sending import until
from tests.agent.town import AGENT, ANN, BOB, PASSWORD, Town
from tests.hub import Hub, running

pytestmark = [
    pytest.mark.skipif(
        os.getuid() != 0, reason="becomes other users, which takes root"
    ),
    pytest.mark.slow,
]
NOBODY_LISTENS = 9  # discard: the mail stays in the queue

BEGIN = b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<x@example.net>\r\n"

# Opens connections, begins a message on each that is served, says how many are not,
# and holds them until its input ends.
HOLD = """
import socket, sys
peers = []
for _ in range(int(sys.argv[2])):
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(sys.argv[1])
    peer.settimeout(20)
    peers.append((peer, peer.recv(200)))
begin = "EHLO x", "MAIL FROM:<>", "RCPT TO:<x@example.net>", "DATA", "Subject: half"
for peer, said in peers:
    if said.startswith(b"220 "):
        peer.sendall("\\r\\n".join(begin).encode())
print(sum(said.startswith(b"421 ") for _, said in peers), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def town() -> Iterator[Callable[..., Town]]:
    """A function that starts an agent with further lines of configuration."""
    towns = []

    def start(*lines: str, port: int = NOBODY_LISTENS) -> Town:
        made = Town(port, *lines)
        towns.append(made)
        made.start()
        return made

    yield start
    for made in towns:
        made.close()


def one_of(town: Town, user: int) -> str:
    """Queue a message of a user; return its id."""
    code, out, err = town.sendmail(user, "-f", "", "x@example.net")
    assert (0, "", "") == (code, out, err)
    (path,) = [path for path in town.queued() if f"-{user}-" in path.name]
    return path.name


def core_limit(pid: int) -> list[str]:
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith("Max core file size"):
            return line.split()[4:6]
    raise AssertionError("no such limit")


@pytest.mark.parametrize("user", [ANN, AGENT])
def test_nobody_reads_the_password(town, user):
    """No file, process or answer gives the password away; not to the agent's user."""
    agent = town()
    one_of(agent, ANN)
    if user != AGENT:
        assert 0 != agent.call(user, "cat", agent.conf)[0]
    for pid in agent.halves().values():
        for name in ("mem", "environ", "maps", "fd", "cwd", "root"):
            look = "ls" if name in ("fd",) else "cat"
            code, out, _ = agent.call(user, look, f"/proc/{pid}/{name}")
            assert 0 != code, name
            assert not out
        code, out, _ = agent.call(user, "cat", f"/proc/{pid}/cmdline")
        assert PASSWORD not in out
        assert ["0", "0"] == core_limit(pid)
    said = [
        agent.ctl(user, "agent", "status", "--json"),
        agent.ctl(user, "queue", "--json"),
        agent.sendmail(user, "-v", "x@example.net"),
    ]

    assert not any(PASSWORD in text for _, *texts in said for text in texts)
    assert PASSWORD not in agent.log.read_text()
    for path in agent.queued():
        assert PASSWORD.encode() not in path.read_bytes()


def test_nobody_traces_a_half(town):
    """Not even a process of the agent's own user may look into a half of it."""
    agent = town()
    attach = (
        "import ctypes, sys\n"
        "sys.exit(ctypes.CDLL(None).ptrace(16, int(sys.argv[1]), 0, 0) != 0)"
    )
    halves = agent.halves()

    assert set(halves) == {"acceptor", "sender"}
    for pid in halves.values():
        for user in (AGENT, BOB):
            code, _, _ = agent.call(user, "/usr/bin/python3", "-c", attach, str(pid))
            assert 1 == code


def test_users_see_their_own_mail_only(town):
    """mailq, ssmtpctl queue and the socket show no mail of somebody else; root all."""
    agent = town()
    hers = one_of(agent, ANN)
    for command in (
        agent.sendmail(BOB, "-bp"),
        agent.ctl(BOB, "queue"),
        agent.ctl(BOB, "queue", "show", hers),
        agent.ctl(BOB, "queue", "--json"),
    ):
        assert "example.net" not in "".join(command[1:])
        assert "hello" not in "".join(command[1:])
    answers = agent.talk(
        BOB,
        f"EHLO x\r\nXLIST\r\nXLIST all\r\nXSHOW {hers}\r\nXSTATUS\r\nQUIT\r\n".encode(),
    ).decode()

    assert "x@example.net" not in answers
    assert "550 5.7.1 only root" in answers
    assert '"messages": 0' in answers
    assert hers in agent.ctl(ANN, "queue")[1]
    assert (
        hers
        in agent.call(0, agent.base / "bin/ssmtpctl", "queue", env=root_of(agent))[1]
    )
    assert 0 != agent.call(BOB, "ls", agent.spool)[0]
    assert 0 != agent.call(BOB, "cat", agent.spool / "queue" / hers)[0]


def root_of(agent: Town) -> dict[str, str]:
    """Let root find this agent."""
    place = agent.base / "user-0"
    place.mkdir(exist_ok=True)
    link = place / "ssmtp"
    if not link.is_symlink():
        link.symlink_to(agent.run)
    return {"XDG_RUNTIME_DIR": str(place)}


@pytest.mark.parametrize("verb", ["XDROP", "XHOLD", "XRELEASE", "XFLUSH"])
def test_users_touch_their_own_mail_only(town, verb):
    """Nobody removes, holds, releases or pushes mail of somebody else."""
    agent = town()
    hers = one_of(agent, ANN)
    before = (agent.spool / "queue" / hers).read_bytes()
    answer = agent.talk(BOB, f"EHLO x\r\n{verb} {hers}\r\nQUIT\r\n".encode())
    lines = answer.decode().splitlines()

    assert lines[-2].startswith("550 "), lines
    after = (agent.spool / "queue" / hers).read_bytes()
    assert before == after[: len(before)]
    assert b"held" not in after[len(before) :]


def test_flush_pushes_own_mail_only(town):
    """Who asks for all to be tried has others' mail tried no more often; root has."""
    with running(Hub(users={"me": PASSWORD}, replies={"RCPT": "451 later"})) as hub:
        agent = town(port=hub.port)
        for user in (ANN, BOB):
            agent.sendmail(user, f"to-{user}@example.net")

        def tries(user: int) -> int:
            return sum(f"<to-{user}@" in line for line in list(hub.commands))

        until(lambda: tries(ANN) == tries(BOB) == 1)
        assert 0 == agent.ctl(BOB, "queue", "flush")[0]
        until(lambda: tries(BOB) == 2)
        assert 0 == agent.sendmail(BOB, "-q")[0]
        until(lambda: tries(BOB) == 3)
        assert 1 == tries(ANN)
        assert 0 == agent.ctl(AGENT, "queue", "flush")[0]
        until(lambda: tries(BOB) == 4)
        until(lambda: tries(ANN) == 2)


def test_the_agents_user_sees_everybodys_mail(town):
    """mailq and ssmtpctl queue show the agent's own user what they show root."""
    agent = town()
    hers = one_of(agent, ANN)

    assert hers in agent.sendmail(AGENT, "-bp")[1]
    assert hers in agent.ctl(AGENT, "queue")[1]


def test_policy_decides_who_writes_as_whom(town):
    """With AllowSender, neither envelope, From nor Sender may be somebody else's."""
    agent = town("FromLineOverride=yes", f"AllowSender=uid{ANN}:*@shop.example")
    ceo = b"From: ceo@example.org\nSubject: money\n\npay\n"
    sender = b"From: a@shop.example\nSender: ceo@example.org\nSubject: money\n\npay\n"
    refused = [
        agent.sendmail(ANN, "-f", "ceo@example.org", "x@example.net"),
        agent.sendmail(ANN, "-f", "a@shop.example", "x@example.net", text=ceo),
        agent.sendmail(ANN, "-f", "a@shop.example", "x@example.net", text=sender),
        agent.sendmail(BOB, "x@example.net"),
    ]
    shop = b"From: a@shop.example\nSubject: order\n\nthanks\n"
    allowed = agent.sendmail(ANN, "-f", "a@shop.example", "x@example.net", text=shop)

    assert [77] * 4 == [code for code, _, _ in refused]
    assert (0, "", "") == allowed
    assert 1 == len(agent.queued())


def test_nobody_is_somebody_else(town):
    """The kernel says who is calling; nothing in the protocol, no namespace does."""
    agent = town()
    code, _, err = agent.call(
        BOB,
        "unshare",
        "-Ur",
        agent.base / "bin/sendmail",
        "-f",
        "",
        "x@example.net",
        text=b"Subject: root?\n\nno\n",
    )
    for parameter in (b"XUID=0", b"XLOGIN=root", b"XNAME"):
        text = b"EHLO x\r\nMAIL FROM:<> " + parameter + b"\r\nQUIT\r\n"
        assert agent.talk(BOB, text).splitlines()[-2][:1] == b"5"

    assert (0, "") == (code, err)
    (path,) = agent.queued()
    assert f"-{BOB}-" in path.name
    text = path.read_text()
    assert f"\nuid: {BOB}\n" in text
    assert "login: root" not in text


@pytest.mark.parametrize(
    ("line", "size", "most"),
    [
        ("MaxQueuedMessages=3", 100, 3),
        ("MaxMessagesPerMinute=3", 100, 3),
        ("MaxQueuedSize=100K", 40_000, 3),
        ("MaxMessageSize=30K", 40_000, 0),
    ],
)
def test_a_user_fills_a_part_only(town, line, size, most):
    """Beyond a limit a user is told to wait or to stop; others are not affected."""
    agent = town(line)
    text = b"Subject: more\n\n" + b"x" * 70 + b"\n"
    text *= size // len(text) + 1
    codes = [agent.sendmail(BOB, "x@example.net", text=text)[0] for _ in range(5)]
    theirs = len(agent.queued())

    assert theirs <= most
    assert [0] * theirs == codes[:theirs]
    assert 0 not in codes[theirs:]
    assert 0 == agent.sendmail(ANN, "x@example.net")[0]


def test_one_message_is_not_larger_than_the_quota(town):
    """MaxQueuedSize holds for the first message, too, whatever it says of its size."""
    agent = town("MaxQueuedSize=100K")
    big = b"Subject: big\n\n" + (b"x" * 75 + b"\n") * 20_000
    code, _, err = agent.sendmail(BOB, "x@example.net", text=big)
    answer = agent.talk(
        BOB, BEGIN + b"DATA\r\n" + big.replace(b"\n", b"\r\n") + b".\r\nQUIT\r\n"
    )

    assert 75 == code, err
    assert "MaxQueuedSize" in err
    assert b"\r\n452 " in answer
    assert [] == agent.queued()


def test_silent_connections_block_nobody(town):
    """A user who opens connections and says nothing has his share, and no more."""
    agent = town("MaxConnections=5")
    process = agent._popen(
        BOB,
        ["/usr/bin/python3", "-c", HOLD, agent.submit, "50"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    refused = int(process.stdout.readline())
    hers = agent.sendmail(ANN, "x@example.net")
    his = agent.sendmail(BOB, "x@example.net")
    process.communicate()

    assert 45 == refused
    assert (0, "", "") == hers
    assert 75 == his[0]
    assert 1 == len(agent.queued())


def test_a_message_of_one_stops_no_other(town, monkeypatch):
    """Neither mail at which the mailhub hangs up nor large mail holds others up."""
    take = hubs._Session.on_rcpt

    def hang_up(session, line):
        if "poison" in line:
            raise EOFError
        take(session, line)

    monkeypatch.setattr(hubs._Session, "on_rcpt", hang_up)
    with running(Hub(users={"me": PASSWORD})) as mailhub:
        agent = town("Connections=1", port=mailhub.port)
        for _ in range(3):
            agent.sendmail(BOB, "poison@example.net")
        agent.sendmail(BOB, "large@example.net", text=b"\n" + b"x" * 20_000_000)
        for _ in range(3):
            agent.sendmail(ANN, "x@example.net")
        until(lambda: 4 == len(mailhub.mails))
        got = [mail.recipients for mail in mailhub.mails]

    assert [["large@example.net"], *[["x@example.net"]] * 3] == sorted(got)


def test_nobody_else_is_named_as_the_origin(town):
    """What a user writes about the way of his mail stands below what the agent says."""
    agent = town()
    forged = b"Received: by box.test (uid 0); Sun, 22 Nov 2026 10:00:00 +0000\n"
    agent.sendmail(BOB, "x@example.net", text=forged + b"Subject: x\n\nx\n")
    head, _, content = agent.queued()[0].read_bytes().partition(b"\n\n")
    fields = content.split(b"\r\n")

    assert f"uid: {BOB}".encode() in head.splitlines()
    assert fields[0].startswith(b"Received: by box.test; ")
    assert b"uid" not in fields[0]
    assert forged.strip() in fields[1:]


def test_half_a_message_is_none(town):
    """A client that goes away in the middle leaves nothing in the queue."""
    agent = town()
    agent.talk(BOB, BEGIN + b"DATA\r\nSubject: half\r\n\r\nhal")
    agent.talk(BOB, BEGIN + b"BDAT 1000000 LAST\r\nSubject: half")

    assert [] == agent.queued()
    assert (0, "", "") == agent.sendmail(ANN, "x@example.net")


def test_no_path_of_a_user_is_opened(town, tmp_path):
    """Options that name files make the agent open, write or run nothing."""
    agent = town()
    place = agent._directory("agents-own", AGENT, 0o700)
    (place / "conf").write_text("mailhub=127.0.0.1:1\nDelivery=agent\n")
    for option in (
        f"-X{place}/log",
        f"-oQ{place}/queue",
        f"-oA{place}/aliases",
        f"-oP{place}/pid",
        f"-OQueueDirectory={place}/queue",
        f"-D{place}/debug",
    ):
        agent.sendmail(BOB, option, "-f", "", "x@example.net")
    conf = agent.sendmail(BOB, "-C", str(place / "conf"), "x@example.net")
    raw = agent.talk(BOB, f"EHLO x\r\nXLIST {place}\r\nXSHOW ../../log\r\n".encode())

    assert {"conf"} == {path.name for path in place.iterdir()}
    assert conf[0] != 0
    assert b"\r\n501 " in raw
    assert b"\r\n550 " in raw


def test_links_lead_nowhere(town):
    """A failed message of a user follows no link of his, and makes no dead.letter."""
    agent = town("MaxMessageSize=10")
    home = agent._directory("home", BOB, 0o755)
    target = agent._directory("agents-own", AGENT, 0o700) / "target"
    target.write_text("as it was\n")
    os.chown(target, AGENT, AGENT)
    (home / "dead.letter").symlink_to(target)
    code, _, _ = agent.sendmail(BOB, "x@example.net", env={"HOME": str(home)})

    assert 0 != code
    assert "as it was\n" == target.read_text()
    assert ["dead.letter"] == sorted(path.name for path in home.iterdir())


def test_nothing_can_be_put_in_the_agents_places(town):
    """Users can put nothing beside the sockets nor into the queue, and replace none."""
    agent = town()
    tries = [
        ("touch", agent.run / "new"),
        ("ln", "-sf", "/etc/passwd", agent.run / "submit.sock"),
        ("rm", "-f", agent.submit),
        ("ln", "-s", "/etc/passwd", agent.spool / "queue" / "x"),
        ("touch", agent.spool / "new"),
        ("mkdir", agent.spool / "queue" / "new"),
    ]
    codes = [agent.call(BOB, *words)[0] for words in tries]
    link = agent.call(
        BOB,
        "/usr/bin/python3",
        "-c",
        "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])",
        agent.run / "sender.sock",
    )

    assert 0 not in codes
    assert "PermissionError" in link[2]


def test_a_hard_link_in_the_queue_is_no_message(town):
    """A file that has a second name, whoever made it, is put aside and never sent."""
    with running(Hub(users={"me": PASSWORD})) as hub:
        agent = town()
        hers = one_of(agent, ANN)
        agent.stop()
        os.link(agent.spool / "queue" / hers, agent.base / "second-name")
        agent.configure(hub.port)
        agent.start()
        code, _, _ = agent.sendmail(BOB, "--wait", "-f", "", "y@example.net")

        assert 0 == code
        assert [["y@example.net"]] == [mail.recipients for mail in hub.mails]
        (aside,) = agent.queued("corrupt")
        assert aside.name.startswith(hers)


def test_a_users_environment_is_his_own(town):
    """Neither variables nor the current directory of a user reach the agent."""
    agent = town()
    evil = agent._directory("evil", BOB, 0o755)
    for name in ("socket.py", "json.py", "ssmtp.py", "sitecustomize.py"):
        (evil / name).write_text(f"open({str(evil / 'ran')!r}, 'w')\n")
    code, _, err = agent.sendmail(
        BOB,
        "-f",
        "",
        "x@example.net",
        cwd=evil,
        env={"PYTHONPATH": str(evil), "PYTHONSTARTUP": str(evil / "json.py")},
    )
    listed = agent.ctl(BOB, "queue", cwd=evil, env={"PYTHONPATH": str(evil)})

    assert (0, "") == (code, err)
    assert 0 == listed[0]
    assert not (evil / "ran").exists()


def test_garbage_ends_one_connection(town):
    """Whatever octets come, both halves live on, and others are served."""
    agent = town()
    halves = agent.halves()
    for octets in (
        b"\0" * 100_000,
        b"\xff" * 100_000,
        b"EHLO " + b"x" * 1_000_000 + b"\r\n",
        b"\r\n" * 10_000,
        b"EHLO x\r\n" + b"XLIST\r\n" * 2000,
        b"EHLO x\r\nXSHOW " + b"[" * 2000 + b"\r\n",
        BEGIN + b"BDAT 99999999999999999\r\n",
        b"EHLO x\r\nMAIL FROM:<>\r\n" + b"RCPT TO:<x@example.net>\r\n" * 20_000,
        BEGIN + b"DATA\r\n" + b"X: y\r\n" * 5000 + b"\r\n.\r\n",
        os.urandom(100_000),
    ):
        agent.talk(BOB, octets)

    assert (0, "", "") == agent.sendmail(ANN, "x@example.net")
    assert halves == agent.halves(), agent.log.read_text()


def test_descriptors_that_are_passed_are_not_kept(town):
    """Open files sent along with a command do not stay open in the agent."""
    agent = town()
    pid = agent.halves()["acceptor"]
    before = len(os.listdir(f"/proc/{pid}/fd"))
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(agent.submit))
        peer.recv(200)
        for _ in range(20):
            socket.send_fds(peer, [b"NOOP\r\n"], [0] * 50)
        peer.settimeout(20)
        got = b""
        while got.count(b"250 ") < 20:
            got += peer.recv(4096)
        during = len(os.listdir(f"/proc/{pid}/fd"))

    assert during <= before + 1


def test_users_do_not_keep_the_agent_from_restarting(town):
    """With a user's connections open, the agent starts anew and serves the others."""
    agent = town("MaxConnections=5")
    first = agent.halves()
    process = agent._popen(
        BOB,
        ["/usr/bin/python3", "-c", HOLD, agent.submit, "5"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    assert agent.process is not None
    agent.process.send_signal(signal.SIGHUP)
    second = agent.halves()
    end = time.monotonic() + 40
    while len(second) < 2 or set(first.values()) & set(second.values()):
        assert time.monotonic() < end, second
        select.select([], [], [], 0.05)
        second = agent.halves()
    hers = agent.sendmail(ANN, "x@example.net")
    process.communicate()

    assert (0, "", "") == hers


@pytest.mark.parametrize(
    "words",
    [
        ("-f", "a@example.org\nRCPT TO:<evil@example.net>", "x@example.net"),
        ("-f", "", "x@example.net\r\nDATA"),
        ("-F", "Ann\nBcc: evil@example.net", "-f", "", "x@example.net"),
        ("-L", "tag\nforged line", "-f", "", "x@example.net"),
        ("-V", "id\nRCPT TO:<evil@example.net>", "-f", "", "x@example.net"),
    ],
)
def test_no_line_is_injected_by_an_option(town, words):
    """A line end in an argument is refused, or becomes harmless."""
    agent = town()
    agent.sendmail(BOB, *words)

    for path in agent.queued():
        text = path.read_text()
        assert "\nto: evil" not in text
        assert "\nBcc:" not in text
        assert "\nforged" not in text
    assert "\nforged" not in agent.log.read_text()


@pytest.mark.parametrize(
    "parameter",
    [
        "XNAME=Ann+0D+0ABcc:+20evil@example.net",
        "XTAG=tag+0Aforged",
        "XNOTES=note+0Aforged",
        "ENVID=id+0D+0Ato:+20evil@example.net",
        "XFROM=NONE XNAME=+00+0A",
    ],
)
def test_no_line_is_injected_by_a_parameter(town, parameter):
    """Line ends that hide in xtext are refused, or become harmless."""
    agent = town()
    agent.talk(
        BOB,
        f"EHLO x\r\nMAIL FROM:<> {parameter}\r\nRCPT TO:<x@example.net>\r\n"
        "DATA\r\nSubject: hi\r\n\r\nhello\r\n.\r\nQUIT\r\n".encode(),
    )

    for path in agent.queued():
        text = path.read_text()
        assert "\nto: evil" not in text
        assert "\nBcc:" not in text
        assert "\nforged" not in text
    assert "\nforged" not in agent.log.read_text()
