"""One process keeps both halves of the agent alive."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ssmtp.agent import verbs
from ssmtp.errors import SystemTrouble
from tests.agent.agents import Peer

ROOT = Path(__file__).parents[2]

# A half that does as it is told: by its arguments, and over the socket handed to it.
HALF = """
import os, select, signal, socket, sys
name, *orders = sys.argv[1:]
# A signal that comes just before we wait must not be missed.
heard, wakes = os.pipe()
os.set_blocking(wakes, False)
signal.set_wakeup_fd(wakes)
def wait(*more):
    if heard in select.select([heard, *more], [], [])[0]:
        os.read(heard, 100)
def told(*words):
    os.write(1, " ".join([name, *map(str, words), "\\n"]).encode())
if "stubborn" in orders:
    signal.signal(signal.SIGTERM, lambda *_: told("stays"))
else:
    signal.signal(signal.SIGTERM, lambda *_: (told("ends"), sys.exit(0)))
told("pid", os.getpid())
for order in orders:
    if order.startswith("exit"):
        sys.exit(int(order[4:]))
    if order.startswith("/") and os.path.exists(order):
        sys.exit(78)
told("works")
if "listen" in orders:
    pid, count = os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"]
    listening = socket.socket(fileno=3)
    listening.setblocking(False)
    while True:
        wait(listening)
        try:
            peer = listening.accept()[0]
        except BlockingIOError:
            continue
        with peer:
            peer.sendall(f"{pid == str(os.getpid())} {count} {os.getpid()}".encode())
while True:
    wait()
"""

DRIVER = """
import json, os, socket, sys
sys.path.insert(0, sys.argv[1])
from ssmtp.agent import listening, supervise
orders, half = json.loads(sys.argv[3]), sys.argv[4]
vars(supervise).update(json.loads(sys.argv[5]))
listener = listening.submit(sys.argv[2])
halves = [
    supervise.Half(name, [sys.executable, "-c", half, name, *more], "listen" in more)
    for name, more in orders.items()
]
def say(words):
    os.write(1, f"said {words}\\n".encode())
code = supervise.Supervisor(halves, [listener.socket], listener.lock, say).run()
listener.close()
sys.exit(code)
"""


class Agent:
    """A supervisor with halves that do what they are told; `lines` is all they say."""

    def __init__(
        self, path: Path, seconds: dict[str, float], **orders: list[str]
    ) -> None:
        self.path = path
        words = [str(ROOT / "src"), str(path), json.dumps(orders), HALF]
        words.append(json.dumps(seconds))
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, *words], stdout=subprocess.PIPE
        )
        self.lines: list[str] = []
        self.rest = b""

    def until(self, words: str, times: int = 1) -> str:
        """Wait for the n-th line with these words; return it."""
        end = time.monotonic() + 30
        while True:
            found = [line for line in self.lines if words in line]
            if len(found) >= times:
                return found[times - 1]
            assert self.more(end), f"no line {words!r} in {self.lines}"

    def more(self, end: float) -> bool:
        out = self.process.stdout
        assert out is not None
        if not select.select([out], [], [], max(end - time.monotonic(), 0))[0]:
            return False
        data = os.read(out.fileno(), 65536)
        *whole, self.rest = (self.rest + data).split(b"\n")
        self.lines += [line.decode().strip() for line in whole]
        return bool(data)

    def pid(self, name: str, times: int = 1) -> int:
        return int(self.until(f"{name} pid", times).split()[2])

    def ask(self) -> list[str]:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(30)
            peer.connect(str(self.path))
            return peer.recv(100).decode().split()

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.finished()

    def finished(self) -> int:
        """Read to the end, which comes when nobody is left to say anything."""
        while self.more(time.monotonic() + 30):
            pass
        return self.process.wait(30)


@contextlib.contextmanager
def running(
    tmp_path: Path, seconds: dict[str, float] | None = None, **orders: list[str]
) -> Iterator[Agent]:
    """Run halves with orders; `seconds` are constants of the supervisor's."""
    agent = Agent(tmp_path / "run" / "submit.sock", seconds or {}, **orders)
    try:
        yield agent
    finally:
        halves = Path(f"/proc/{agent.process.pid}/task/{agent.process.pid}/children")
        pids = halves.read_text().split() if agent.process.poll() is None else []
        agent.process.kill()
        agent.process.wait()
        for pid in map(int, pids):  # one that is stubborn stays
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert agent.process.stdout is not None
        agent.process.stdout.close()


@contextlib.contextmanager
def serving(
    tmp_path: Path, conf: Path, stderr: Any = subprocess.PIPE
) -> Iterator[subprocess.Popen[str]]:
    """Run `ssmtpctl agent run`, whose words go to `stderr`."""
    spool = str(tmp_path / "spool")
    words = ["-C", str(conf), "--listen", str(place_of(tmp_path)), "--spool", spool]
    agent = subprocess.Popen(
        [sys.executable, ROOT / "bin" / "ssmtpctl", "agent", "run", *words],
        stderr=stderr,
        text=True,
    )
    try:
        yield agent
    finally:
        agent.kill()
        agent.wait()
        if agent.stderr is not None:
            agent.stderr.close()


def place_of(tmp_path: Path) -> Path:
    return tmp_path / "run" / "submit.sock"


def gone(pid: int) -> bool:
    """Wait until a process is no more."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], 30)[0])
    finally:
        os.close(fd)


def test_sockets_are_handed_over(tmp_path):
    """The acceptor gets the open socket as systemd would hand it over."""
    with running(tmp_path, acceptor=["listen"], sender=[]) as agent:
        pid = agent.pid("acceptor")

        assert ["True", "1", str(pid)] == agent.ask()
        assert 0 == agent.end()


def test_a_dead_half_comes_back(tmp_path):
    """A half that is killed is started again, and who calls meanwhile waits for it."""
    with running(tmp_path, acceptor=["listen"], sender=[]) as agent:
        first = agent.pid("acceptor")
        os.kill(first, signal.SIGKILL)
        assert gone(first)  # until then it may still answer the call
        answer = agent.ask()

        assert ["True", "1", str(agent.pid("acceptor", 2))] == answer
        assert first != int(answer[2])
        assert "acceptor ended (SIGKILL); started again in 1 s" in agent.until("said")
        assert 0 == agent.end()
        assert 1 == sum("sender pid" in line for line in agent.lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_both_end_in_order(tmp_path, number):
    """SIGTERM and Ctrl-C end both halves in order, and the socket is gone."""
    with running(tmp_path, acceptor=[], sender=[]) as agent:
        agent.pid("acceptor")
        agent.pid("sender")
        code = agent.end(number)

        assert 0 == code
        assert {"acceptor ends", "sender ends"} <= set(agent.lines)
        assert not agent.path.exists()


@pytest.mark.parametrize("code", [64, 78])
def test_a_half_that_cannot_work_ends_all(tmp_path, code):
    """A half that refuses its configuration at once ends the agent with its code."""
    with running(tmp_path, acceptor=[], sender=[f"exit{code}"]) as agent:
        assert code == agent.finished()
        assert f"sender cannot work (exit code {code})" in agent.until("said")


def test_a_half_that_cannot_work_any_more_ends_nobody(tmp_path):
    """A mistake of today ends no agent that has worked, whatever kills a half of it."""
    mistake = tmp_path / "mistake"
    seconds = {"SETTLED": 0.2, "PAUSE_LEAST": 0.1}
    with running(tmp_path, seconds, acceptor=[], sender=[str(mistake)]) as agent:
        agent.pid("acceptor")
        killed = agent.pid("sender")
        agent.until("sender works")
        mistake.touch()
        begun = time.monotonic()
        while time.monotonic() < begun + 0.3:
            agent.more(begun + 0.3)
        os.kill(killed, signal.SIGKILL)
        agent.until("sender ended (exit code 78)", 2)
        mistake.unlink()
        agent.until("sender works", 2)

        assert 1 == sum("acceptor pid" in line for line in agent.lines)
        assert 0 == agent.end()


def test_other_exit_codes_are_tried_again(tmp_path):
    """A half that has trouble is started again, with growing pauses."""
    with running(tmp_path, acceptor=[], sender=["exit75"]) as agent:
        agent.pid("sender", 2)
        agent.pid("acceptor")

        assert "started again in 1 s" in agent.until("said")
        assert "started again in 2 s" in agent.until("said", 2)
        assert 0 == agent.end()


def test_hangup_starts_both_anew(tmp_path):
    """SIGHUP ends both halves in order and starts them at once."""
    with running(tmp_path, acceptor=[], sender=[]) as agent:
        first = {agent.pid("acceptor"), agent.pid("sender")}
        agent.process.send_signal(signal.SIGHUP)
        second = {agent.pid("acceptor", 2), agent.pid("sender", 2)}

        assert not first & second
        assert {"acceptor ends", "sender ends"} <= set(agent.lines)
        assert not [line for line in agent.lines if line.startswith("said")]
        assert 0 == agent.end()


def test_hangup_and_a_half_that_hangs(tmp_path):
    """A half that does not end on SIGHUP is killed after a while, and started anew."""
    with running(tmp_path, {"GRACE": 0.3}, acceptor=["stubborn"], sender=[]) as agent:
        first = agent.pid("acceptor")
        agent.pid("sender")
        agent.process.send_signal(signal.SIGHUP)
        agent.until("acceptor stays")
        second = agent.pid("acceptor", 2)
        agent.pid("sender", 2)

        assert first != second
        assert gone(first)
        assert not [line for line in agent.lines if line.startswith("said")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nonsense=1", "unknown key nonsense"),
        ("Aliases=/no/such/aliases", "/no/such/aliases"),
        ("ListenIdentity=no-such-user-here", "no user no-such-user-here"),
        ("", "no mailhub is set any more"),  # an editor is about to write it
    ],
)
def test_hangup_with_a_wrong_configuration(tmp_path, line, words):
    """A mistake in the configuration ends no agent that works; it is told."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    conf = tmp_path / "agent.conf"
    good = f"mailhub=127.0.0.1:1\nListenLoopback=127.0.0.1:{port}\n"
    conf.write_text(f"{good}ListenIdentity=nobody\n")
    place = place_of(tmp_path)
    with serving(tmp_path, conf) as agent:
        assert agent.stderr is not None
        said = [agent.stderr.readline()]
        with Peer(place) as peer:
            before = peer.reply()
        # A half that starts only now would not work.
        end = time.monotonic() + 20
        while verbs.call(str(place), "XSTATUS")[0]["sender"] != "connected":
            assert time.monotonic() < end
            time.sleep(0.01)
        conf.write_text(f"{good}{line}\n" if line else "")
        agent.send_signal(signal.SIGHUP)
        said.append(agent.stderr.readline())
        with Peer(place) as peer:
            after = peer.reply()
        agent.terminate()
        code = agent.wait(30)

    assert words in said[1]
    assert ("220", "220", 0) == (before[:3], after[:3], code)


def test_hangup_with_another_place_to_listen(tmp_path):
    """SIGHUP follows `ListenLoopback`; with a place that cannot be had all stays."""
    conf, place = tmp_path / "agent.conf", place_of(tmp_path)
    conf.write_text("mailhub=127.0.0.1:1\nListenIdentity=nobody\n")
    with serving(tmp_path, conf) as agent:
        assert agent.stderr is not None
        first = _sender(agent, place)
        agent.stderr.readline()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            there = taken.getsockname()
            with conf.open("a") as file:
                file.write(f"ListenLoopback=127.0.0.1:{there[1]}\n" * 2)
            agent.send_signal(signal.SIGHUP)
            said = agent.stderr.readline()
            before = _sender(agent, place)
        agent.send_signal(signal.SIGHUP)
        after = _sender(agent, place, first)
        with Peer(there) as peer:
            greeting = peer.reply()
        conf.write_text("mailhub=127.0.0.1:1\n")
        agent.send_signal(signal.SIGHUP)
        _sender(agent, place, after)
        with pytest.raises(ConnectionRefusedError):
            Peer(there)
        agent.terminate()
        code = agent.wait(30)

    assert f"cannot listen at 127.0.0.1:{there[1]}: Address already in use" in said
    assert (first, "220", 0) == (before, greeting[:3], code)


def test_death_before_hangup(tmp_path):
    """An acceptor that is started again listens where it did, until SIGHUP says that
    the configuration was meant; then the new place is free."""
    conf, place = tmp_path / "agent.conf", place_of(tmp_path)
    conf.write_text("mailhub=127.0.0.1:1\nListenIdentity=nobody\n")
    with serving(tmp_path, conf) as agent:
        assert agent.stderr is not None
        first = _sender(agent, place)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            there = free.getsockname()
        with conf.open("a") as file:
            file.write(f"ListenLoopback=127.0.0.1:{there[1]}\n")
        children = Path(f"/proc/{agent.pid}/task/{agent.pid}/children")
        (acceptor,) = {*map(int, children.read_text().split())} - {first}
        os.kill(acceptor, signal.SIGKILL)
        assert first == _sender(agent, place)
        with pytest.raises(ConnectionRefusedError):
            Peer(there)
        agent.send_signal(signal.SIGHUP)
        _sender(agent, place, first)
        with Peer(there) as peer:
            greeting = peer.reply()
        agent.terminate()
        code = agent.wait(30)

    assert ("220", 0) == (greeting[:3], code)


def test_log_that_takes_nothing(tmp_path):
    """An agent whose words cannot be written down, on a full disk say, works on."""
    conf, place = tmp_path / "agent.conf", place_of(tmp_path)
    conf.write_text("mailhub=127.0.0.1:1\n")
    with open("/dev/full", "w") as full, serving(tmp_path, conf, full) as agent:
        _sender(agent, place)
        agent.terminate()
        code = agent.wait(30)

    assert 0 == code


def test_reader_of_the_log_hangs(tmp_path):
    """Who reads standard error and hangs stops neither mail nor a half's next start."""
    conf, place = tmp_path / "agent.conf", place_of(tmp_path)
    conf.write_text("mailhub=127.0.0.1:1\n")
    reads, writes = os.pipe()
    with serving(tmp_path, conf, writes) as agent:
        pid = _sender(agent, place)
        os.set_blocking(writes, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writes, b"x" * 4096)
        os.set_blocking(writes, True)
        conf.write_text("nonsense\n")
        with Peer(place) as peer:
            greeting = peer.reply()
        conf.write_text("mailhub=127.0.0.1:1\n")
        os.kill(pid, signal.SIGKILL)
        after = _sender(agent, place, pid)
        agent.terminate()
        code = agent.wait(30)
    os.close(reads)
    os.close(writes)

    assert pid != after
    assert ("220", 0) == (greeting[:3], code)


def _sender(agent: subprocess.Popen[Any], place: Path, before: int = 0) -> int:
    """Wait for a sender, another than one before; return its pid."""
    end = time.monotonic() + 20
    while True:
        assert agent.poll() is None
        assert time.monotonic() < end
        with contextlib.suppress(SystemTrouble):
            told = verbs.call(str(place), "XSTATUS", 5)[0]
            if told["sender"] == "connected" and told["site"]["pid"] != before:
                return int(told["site"]["pid"])
        time.sleep(0.02)


def test_halves_do_not_outlive_the_supervisor(tmp_path):
    """When the supervisor is killed, its halves end, and a new agent may start."""
    with running(tmp_path, acceptor=[], sender=[]) as agent:
        halves = [agent.pid("acceptor"), agent.pid("sender")]
        agent.process.kill()

        assert all(gone(pid) for pid in halves)
        with running(tmp_path, acceptor=["listen"], sender=[]) as another:
            another.pid("acceptor")
            assert "True" == another.ask()[0]


def test_a_second_signal_kills(tmp_path):
    """A half that does not end on SIGTERM is killed by a second one."""
    with running(tmp_path, acceptor=["stubborn"], sender=[]) as agent:
        pid = agent.pid("acceptor")
        agent.process.send_signal(signal.SIGTERM)
        agent.until("acceptor stays")
        code = agent.end()

        assert 75 == code
        assert gone(pid)


def test_a_second_agent_is_refused(tmp_path):
    """No two agents share a socket: the second one says so, and the first one stays."""
    from ssmtp.agent import listening
    from ssmtp.errors import SystemTrouble

    with running(tmp_path, acceptor=["listen"], sender=[]) as agent:
        agent.pid("acceptor")
        with pytest.raises(SystemTrouble, match="another agent is there already"):
            listening.submit(str(agent.path))

        assert "True" == agent.ask()[0]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: another user")
def test_directory_of_root(tmp_path):
    """A place for the sockets that the agent could not use ends it at once: 78."""
    conf, place = tmp_path / "ssmtp.conf", tmp_path / "run"
    conf.write_text("mailhub=127.0.0.1:1\n")
    place.mkdir(0o755)
    done = subprocess.run(
        [
            *(ROOT / "bin" / "ssmtpctl", "agent", "run", "--user", "64101", "-C", conf),
            *("--listen", place / "submit.sock", "--spool", tmp_path / "spool"),
        ],
        capture_output=True,
        timeout=30,
    )

    assert 78 == done.returncode
    assert b"belongs to uid 0, and the agent runs as uid 64101" in done.stderr
    assert b"chown 64101" in done.stderr
    assert [] == list(place.iterdir())


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: another user")
def test_directories_are_made_for_others(tmp_path):
    """Root's umask keeps nobody out of the places that are made: agent, nor users."""
    from ssmtp.agent import listening, supervise

    tmp_path.chmod(0o755)
    before = os.umask(0o077)
    try:
        supervise._private_directory(str(tmp_path / "data" / "q" / "spool"), (1, 1))
        path = tmp_path / "mail" / "run" / "submit.sock"
        listening.submit(str(path), (1, 1)).close()
    finally:
        os.umask(before)
    made = ("data", "data/q", "data/q/spool", "mail", "mail/run")

    assert [0o755, 0o755, 0o700, 0o755, 0o755] == [
        (tmp_path / name).stat().st_mode & 0o777 for name in made
    ]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: another user")
@pytest.mark.parametrize("user", ["\N{SUPERSCRIPT TWO}", "4294967295", "9" * 30])
def test_number_that_is_no_uid(tmp_path, user):
    """A number that cannot be a user is a name that nobody has: 64."""
    from ssmtp.agent import supervise
    from ssmtp.errors import UsageError

    with pytest.raises(UsageError, match="there is no user"):
        supervise.account(user)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sender.sock", b"is where the halves of the agent talk"),
        ("long/a", b"sender.sock is longer than 107 octets"),
    ],
)
def test_no_place_for_the_link(name, words):
    """A socket beside which the halves cannot meet is refused before it is made: 78."""
    with tempfile.TemporaryDirectory() as base:
        conf = Path(base, "ssmtp.conf")
        conf.write_text("mailhub=127.0.0.1:1\n")
        place = Path(base, name.replace("long", "x" * (104 - len(base))))
        done = subprocess.run(
            [
                *(ROOT / "bin" / "ssmtpctl", "agent", "run", "-C", conf),
                *("--listen", place, "--spool", Path(base, "spool")),
            ],
            capture_output=True,
            timeout=30,
        )
        there = place.parent.exists() and place.exists()

    assert (78, False) == (done.returncode, there)
    assert words in done.stderr


def test_socket_of_somebody_else_stays(tmp_path):
    """An agent that ends removes its own socket, and none that took its place."""
    from ssmtp.agent import listening

    path = tmp_path / "run" / "submit.sock"
    first = listening.submit(str(path))
    shutil.rmtree(path.parent)
    second = listening.submit(str(path))
    first.close()
    there = path.exists()
    second.close()

    assert (True, False) == (there, path.exists())


def test_orphans_are_buried(tmp_path):
    """As process 1 of a container the supervisor buries those whose parent has died."""
    if subprocess.run(["unshare", "-Urpf", "true"], capture_output=True).returncode:
        pytest.skip("no namespaces for processes here")
    script = tmp_path / "in-a-container"
    script.write_text(ORPHANS)
    run = subprocess.run(
        ["unshare", "-Urpf", "--mount-proc", sys.executable, script, ROOT / "src"],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "SUBMIT": str(tmp_path / "submit.sock")},
    )

    assert "buried\n" == run.stdout
    assert 0 == run.returncode, run.stderr


# Process 1: its half leaves an orphan behind, waits until that is gone, and ends all.
ORPHANS = """
import os, sys
sys.path.insert(0, sys.argv[1])
from ssmtp.agent import listening, supervise
half = '''
import os, select, signal
inner, outer = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.write(outer, str(os.getpid()).encode())
        os._exit(0)
    os._exit(0)
os.wait()
pid = int(os.read(inner, 20))
while os.path.exists(f"/proc/{pid}"):
    select.select([], [], [], 0.01)
print("buried", flush=True)
os.kill(1, signal.SIGTERM)
signal.pause()
'''
listener = listening.submit(os.environ["SUBMIT"])
halves = [supervise.Half("sender", [sys.executable, "-c", half], False)]
sys.exit(supervise.Supervisor(halves, [], listener.lock, print).run())
"""
