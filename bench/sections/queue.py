"""The queue behind a socket: handing over, taking in, sending on, 10,000 of them."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from bench import queues, sinks
from bench.programs import CHECKOUT, PYTHON, RECIPIENT, SENDER, Outcome, Program
from bench.queues import PATIENCE, Agent, Postfix, Trouble, wait_for
from bench.report import Goal, Part, Row, mb, ms
from bench.sections.delay import Line
from bench.stage import ROUND_TRIPS, SMALL, Stage
from bench.turns import Run, take

WRITERS = 10
MESSAGES = 1500  # of all writers together, in one turn
OCTETS = 2000
TURNS = 3
SHORT_TURNS = 9  # of what takes less than a second, and differs more
DRAINED = 3000
COUNT_SECONDS = 20e-6  # to wait for each message that was counted
LENGTHS = (2500, 5000, 10_000)
WAYS = {
    "data": "connections kept open, DATA",
    "bdat": "connections kept open, BDAT",
    "fresh": "a connection for each message",
}
FLOOR = "the interpreter: python3 -IS -c pass"


def measure(stage: Stage) -> Part:
    """Measure ours beside Postfix and, where that makes sense, beside the others."""
    part = Part("The queue (rates in messages per second)", "to reach with the agent")
    with queues.disk(stage.place) as (place, what):
        part.notes.append(f"The queues lie on {what}.")
        _measure(stage, part, place)
    return part


def _measure(stage: Stage, part: Part, place: Path) -> None:
    agent = Agent(place / "agent")
    postfix = Postfix(stage.unpacked / "postfix", place / "postfix")
    try:
        _hand_over(stage, part, agent)
        _accept(part, agent, postfix)
        _drain(part, agent, postfix)
        _wait(stage, part, agent, place)
        _many(part, agent)
        _memory(part, agent)
    finally:
        agent.stop()
        postfix.stop()


# One message, as a whole process


def _hand_over(stage: Stage, part: Part, agent: Agent) -> None:
    (ours,) = stage.named("ours")
    agent.start("accept")
    floor = [PYTHON, "-IS", "-c", "pass"]
    runs: dict[str, Run] = {
        "floor": partial(ours.run, floor, SMALL),
        "ours": partial(ours.run, _sendmail(agent), SMALL),
    }
    road = stage.road("plain")
    for program in stage.programs:
        if not program.delivers:
            runs[program.name] = partial(program.run, _queueing(program, road), SMALL)
        if program.name == "dma":
            argv = program.configure(road)
            path = "/etc/dma/dma.conf"
            conf = (program.root / path.lstrip("/")).read_text()
            program.write(path, conf + "DEFER\n", 0o644)
            runs["dma"] = partial(
                program.run, [w for w in argv if w != "-D"] + [RECIPIENT], SMALL
            )
    taken = take(runs, stage.pairs)
    agent.stop()
    cells = {name: ms(taken.wall(name)) for name in runs if name != "floor"}
    part.rows.append(Row("handed over, durable (ms, whole process)", cells))
    part.rows.append(Row(f"ms, {FLOOR}", {"ours": ms(taken.wall("floor"))}))
    ratio = taken.ratio("ours", "floor")
    part.goals.append(
        Goal(
            "handed over to the agent, durable, whole process",
            "≤ 2.5 × the interpreter alone",
            f"{ratio:.2f} ×",
            ratio <= 2.5,
        )
    )


def _queueing(program: Program, road: object) -> list[str]:
    return [*program.configure(road), RECIPIENT]  # type: ignore[arg-type]


def _sendmail(agent: Agent, *words: str) -> list[str]:
    sendmail = str(CHECKOUT / "bin/sendmail")
    return [sendmail, "-C", str(agent.client), "-f", SENDER, *words, RECIPIENT]


# Many messages


def _write(target: str, count: int, octets: int, way: str) -> tuple[float, float]:
    """Hand messages over; return the seconds, and the writers' own CPU seconds."""
    words = [target, str(WRITERS), str(count), str(octets), way]
    done = subprocess.run(
        [PYTHON, "-IS", str(CHECKOUT / "bench/writers.py"), *words],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Trouble(done.stderr)
    wall, cpu = map(float, done.stdout.split())
    return wall, cpu


def _accept(part: Part, agent: Agent, postfix: Postfix) -> None:
    agent.start("accept")
    postfix.start()
    for way, words in WAYS.items():

        def run(queue: Agent | Postfix, way: str = way) -> Outcome:
            queue.empty()
            seconds, cpu = _write(queue.target, MESSAGES, OCTETS, way)
            if queue.count() != MESSAGES:
                raise Trouble(f"{queue.count()} of {MESSAGES} messages are queued")
            return Outcome(0, seconds, cpu, "")

        runs: dict[str, Run] = {
            "ours": partial(run, agent),
            "postfix": partial(run, postfix),
        }
        taken = take(runs, SHORT_TURNS if way == "data" else TURNS)
        cells = {name: f"{MESSAGES / taken.wall(name):.0f}" for name in runs}
        part.rows.append(Row(f"taken from {WRITERS} writers, {words}", cells))
        if way == "data":
            part.goals.append(_times("accept rate, 10 writers", 2, taken.ratio))
    agent.stop()
    postfix.stop()


def _drain(part: Part, agent: Agent, postfix: Postfix) -> None:
    def run(queue: Agent | Postfix) -> Outcome:
        if isinstance(queue, Postfix):
            queue.start()
        else:
            queue.start("accept")
        try:
            _write(queue.target, DRAINED, OCTETS, "bdat")
            queue.deliver()
            wait_for(lambda: queue.count() < DRAINED, "nothing is delivered")
            left, begun = queue.count(), time.perf_counter()
            _wait_until_empty(queue)
            return Outcome(0, (time.perf_counter() - begun) / left, 0.0, "")
        finally:
            queue.stop()

    runs: dict[str, Run] = {
        "ours": partial(run, agent),
        "postfix": partial(run, postfix),
    }
    taken = take(runs, TURNS)
    cells = {name: f"{1 / taken.wall(name):.0f}" for name in runs}
    part.rows.append(Row(f"sent on to smtp-sink, {DRAINED} of 2 kB", cells))
    part.goals.append(_times("drain of 3,000 × 2 kB to smtp-sink", 3, taken.ratio))


def _wait_until_empty(queue: Agent | Postfix) -> None:
    """Wait for the last message; counting many takes as long as sending some of them.

    So it counts rarely while there are many, and often in the end.
    """
    until = time.monotonic() + PATIENCE
    while count := queue.count():
        if time.monotonic() > until:
            raise Trouble("not everything is delivered")
        time.sleep(min(0.1, 0.002 + count * COUNT_SECONDS))


def _times(words: str, least: float, ratio: Callable[[str, str], float]) -> Goal:
    times = 1 / ratio("ours", "postfix")
    return Goal(words, f"≥ {least:g} × Postfix", f"{times:.2f} ×", times >= least)


# --wait, with a round trip


def _wait(stage: Stage, part: Part, agent: Agent, place: Path) -> None:
    """Measure with two agents in turns, of which one has the mailhub far away."""
    (ours,) = stage.named("ours")
    round_trip = ROUND_TRIPS[1]
    try:
        there = Line(len(ROUND_TRIPS), round_trip)
    except OSError as error:
        part.notes.append(f"--wait with a round trip: not there ({error}).")
        return
    agents = {sinks.LOOPBACK: agent}
    try:
        agents[there.host] = Agent(place / "far")
        for host, one in agents.items():
            # The mailhub with CHUNKING, for DATA needs two round trips (RFC 5321).
            one.configure(
                f"{host}:{sinks.PORTS['tls']}",
                "UseTLS=yes",
                f"TLS_CA_File={stage.authority.file}",
                f"AuthUser={sinks.USER}",
                f"AuthPass={sinks.PASSWORD}",
            )
            one.start("accept", "send")
        runs: dict[str, Run] = {
            host: partial(ours.run, _sendmail(one, "--wait"), SMALL)
            for host, one in agents.items()
        }
        taken = take(runs, stage.pairs)
    finally:
        there.stop()
        for one in agents.values():
            one.stop()
        agent.configure(f"{sinks.LOOPBACK}:{sinks.PORTS['plain']}", "UseSTARTTLS=no")
    near, far = (taken.wall(host) for host in agents)
    part.rows.append(
        Row("sendmail --wait on a warm connection (ms)", {"ours": ms(near)})
    )
    words = f"the same with a round trip of {round_trip * 1000:.0f} ms"
    part.rows.append(Row(words, {"ours": ms(far)}))
    trips = (far - near) / round_trip
    part.goals.append(
        Goal(
            "round trips of a warm --wait at 50 ms",
            "1",
            f"{trips:.2f}",
            trips <= 1.1,
        )
    )


# Ten thousand


_FILL = """
import sys; sys.path.insert(0, sys.argv[1])
import os
from ssmtp.spool import queuenames, queuewriter
from ssmtp.spool.queue import Draft, Queue, Recipient
queue = Queue.open(sys.argv[2], make=True)
head = b"From: bob@example.org\\r\\nTo: ann@example.net\\r\\nSubject: x\\r\\n\\r\\n"
for number in range(int(sys.argv[3])):
    draft = Draft(1000, "bob", "bob@example.org", [Recipient("ann@example.net")],
                  header=len(head), time=1795000000 + number)
    name = queuenames.new_id(draft.time, draft.uid)
    fd = os.open(name, os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=queue.queue.fd)
    queuewriter.fill(fd, draft, name, [head + (b"x" * 70 + b"\\r\\n") * 27])
    os.close(fd)
os.sync()
"""
_RECOVER = """
import sys; sys.path.insert(0, sys.argv[1])
from ssmtp.spool.queue import Queue
Queue.open(sys.argv[2]).recover()
"""


def _many(part: Part, agent: Agent) -> None:
    """Start, list and recover with ever more messages.

    How that grows is seen by the fastest runs: those of one length stand side by side,
    and what disturbs them all is not what they are measured for.
    """
    times: dict[str, list[float]] = {"start": [], "list": [], "recover": []}
    fastest: dict[str, list[float]] = {name: [] for name in times}
    for length in LENGTHS:
        _fill(agent, length)
        runs: dict[str, list[float]] = {name: [] for name in times}
        for _ in range(SHORT_TURNS):
            runs["start"].append(_timed(partial(agent.start, "accept")))
            runs["list"].append(_timed(partial(_list, agent, length)))
            runs["recover"].append(_timed(partial(_python, _RECOVER, str(agent.spool))))
            agent.end()
        for name, found in runs.items():
            times[name].append(median(found))
            fastest[name].append(min(found))
        agent.stop()
    for name, found in times.items():
        lengths = ", ".join(f"{length:,}" for length in LENGTHS)
        shown = " · ".join(map(ms, found))
        part.rows.append(Row(f"{name} with {lengths} queued (ms)", {"ours": shown}))
    worst = max(found[-1] for found in times.values())
    part.goals.append(
        Goal(
            "10,000 queued: start, list, recover", "< 2 s", f"{worst:.2f} s", worst < 2
        )
    )
    growth = max(found[-1] / found[-2] for found in fastest.values())
    part.goals.append(
        Goal("10,000 queued against 5,000", "≤ 2.3 ×", f"{growth:.2f} ×", growth <= 2.3)
    )


def _fill(agent: Agent, length: int) -> None:
    _python(_FILL, str(agent.spool), str(length))


def _python(program: str, *words: str) -> None:
    argv = [PYTHON, "-IS", "-c", program, str(CHECKOUT / "src"), *words]
    subprocess.run(argv, check=True)


def _list(agent: Agent, length: int) -> None:
    mailq = [str(CHECKOUT / "bin/mailq"), "-C", str(agent.client)]
    env = {"XDG_STATE_HOME": str(agent.place)}  # and not what is kept on this machine
    done = subprocess.run(mailq, capture_output=True, text=True, check=True, env=env)
    said = done.stdout
    if not re.search(rf"in {length} Requests", said):
        raise Trouble(f"mailq does not list {length} messages: {said[-200:]}")


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


# Memory


def _memory(part: Part, agent: Agent) -> None:
    """Measure both halves while they take and send messages."""
    peaks: dict[str, list[float]] = {"accept": [], "send": []}
    cases = {
        "100 queued": (100, 0, 0),
        "10,000 queued": (10_000, 0, 0),
        "10 of 10 kB": (0, 10, 10**4),
        "10 of 20 MB": (0, 10, 2 * 10**7),
    }
    for words, (length, count, octets) in cases.items():
        if length:
            _fill(agent, length)
        agent.start("accept", "send")
        try:
            if count:
                _write(agent.target, count, octets, "data")
            else:
                _list(agent, agent.count()) if length == 100 else None
            wait_for(lambda: not agent.count(), "not everything is delivered")
            found = [agent.peak("accept"), agent.peak("send")]
        finally:
            agent.stop()
        for half, peak in zip(peaks, found, strict=True):
            peaks[half].append(peak)
        shown = f"{mb(found[0])} + {mb(found[1])}"
        part.rows.append(Row(f"peak MB of both halves, {words}", {"ours": shown}))
    for half, words in (("accept", "acceptor"), ("send", "sender")):
        short, long, small, large = peaks[half]
        grown = max(long - short, large - small) * 1024 / 1e6
        part.goals.append(
            Goal(
                f"memory of the {words}: 10,000 queued, 20 MB messages",
                "flat (+ 4 MB)",
                f"+ {grown:.1f} MB",
                grown <= 4,
            )
        )
