"""`ssmtpctl queue` and `ssmtpctl agent status` over an agent's queue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ssmtp.ctl import agent as verb
from tests.agent.agents import Box


@pytest.fixture
def machine(box: Box) -> Box:
    """A box whose agent (the acceptor, so that nothing is sent) runs."""
    box.start()
    return box


def ctl(box: Box, *words: str) -> tuple[int, str, str]:
    """Run ssmtpctl as somebody in whose configuration the agent is."""
    run = box.sendmail(
        *words, program="ssmtpctl", conf=Path(), SSMTP_CONF=str(box.conf), text=""
    )
    return run.returncode, run.stdout.decode(), run.stderr.decode()


def queue(box: Box, recipient: str = "ann@example.net") -> str:
    """Let the agent queue a message; return its id."""
    run = box.sendmail("-f", "me@example.org", recipient)
    assert 0 == run.returncode, run.stderr
    return box.fresh()[0].id


def keep(box: Box, before: str = "=agent", after: str = "=direct") -> str:
    """Let a message be kept by a run with a changed configuration; return its id."""
    text = box.conf.read_text()
    box.conf.write_text(text.replace(before, after))
    run = box.sendmail("-f", "me@example.org", "kept@example.net")
    box.conf.write_text(text)
    assert 75 == run.returncode, run.stderr
    return box.kept()[0].name


def test_both_places_are_one_list(machine):
    """What was kept and what is queued stands in one list, oldest first."""
    kept, queued = keep(machine), queue(machine)
    code, out, err = ctl(machine, "queue")
    lines = out.splitlines()

    assert (0, "") == (code, err)
    assert ["ID", kept, queued] == [line.split()[0] for line in lines]
    assert "deferred" in lines[1]
    assert "Connection refused" in lines[1]
    assert ["waiting", "me@example.org", "ann@example.net"] == lines[2].split()[5:8]
    assert lines[2].endswith("not tried yet")


def test_the_list_is_also_for_programs(machine):
    """The JSON list tells of queued messages what it tells of kept ones, and more."""
    kept, queued = keep(machine), queue(machine)
    code, out, _ = ctl(machine, "queue", "--json")
    first, second = json.loads(out)

    assert 0 == code
    assert [kept, queued] == [first["id"], second["id"]]
    for name in ("id", "state", "time", "size", "uid", "reason", "from", "to"):
        assert type(first[name]) is type(second[name])
    assert str(machine.socket) == second["agent"]
    assert ["ann@example.net"] == second["to"]


def test_show(machine):
    """A message is shown with its recipients and its header section; an end of the id
    is enough."""
    name = queue(machine)
    code, out, _ = ctl(machine, "queue", "show", name[-8:])
    as_json = json.loads(ctl(machine, "queue", "show", name, "--json")[1])

    assert 0 == code
    assert out.startswith(f"{name}: waiting\nfrom       me@example.org (uid ")
    assert "recipient  ann@example.net: waiting\n" in out
    assert "\nSubject: x\n" in out
    assert ["ann@example.net"] == [each["recipient"] for each in as_json["recipients"]]
    assert "Subject: x" in as_json["header"]


def test_hold_and_release(machine):
    """A held message is listed as such until it is released."""
    name = queue(machine)
    held = ctl(machine, "queue", "hold", name)
    listed = ctl(machine, "queue")[1]
    released = ctl(machine, "queue", "release", name)

    assert (0, "") == (held[0], held[2])
    assert held[1].startswith(f"{name}: held: ")
    assert "  held  " in listed
    assert released[1].startswith(f"{name}: released: ")
    assert "  waiting  " in ctl(machine, "queue")[1]


def test_drop(machine):
    """Dropped messages are gone, the kept one and the queued one."""
    kept, queued = keep(machine), queue(machine)
    code, out, err = ctl(machine, "queue", "drop", kept, queued)

    assert (0, "") == (code, err)
    assert [f"{kept}: dropped", f"{queued}: dropped"] == [
        ":".join(line.split(":")[:2]) for line in out.splitlines()
    ]
    assert [] == machine.entries()
    assert [] == machine.kept()


@pytest.mark.parametrize("command", ["show", "retry", "drop", "hold", "release"])
def test_a_mistyped_id(machine, command):
    """An id that nobody has is wrong usage (64), and nothing happens."""
    name = queue(machine)
    code, out, err = ctl(machine, "queue", command, "no-such-id")

    assert (64, "") == (code, out)
    assert "no message no-such-id" in err
    assert [name] == [entry.id for entry in machine.entries()]


def test_a_kept_message_cannot_be_held(machine):
    """Hold and release are for what is sent by itself; else they say so (64)."""
    code, _, err = ctl(machine, "queue", "hold", keep(machine))

    assert 64 == code
    assert "ssmtpctl queue retry" in err


def test_retry(machine):
    """Retry lets the agent try a queued message, and sends a kept one."""
    kept, queued = keep(machine, "submit.sock", "no.sock"), queue(machine)
    code, out, err = ctl(machine, "queue", "retry", "--all")

    assert 0 == code, err
    assert f"{queued}: queued: the agent tries it now" in out
    assert f"{kept}: sent: " in out
    # The kept one has gone to the agent, as any new message would.
    assert [] == machine.kept()
    assert 2 == len(machine.entries())


def test_flush(machine, box):
    """Flush is heard by the agent; without one it says so (69)."""
    assert (0, "", "") == ctl(machine, "queue", "flush")
    machine.stop()
    code, _, err = ctl(machine, "queue", "flush")
    assert 69 == code
    assert "no agent" in err


def test_an_agent_that_does_not_answer(machine):
    """The list tells what it can, and that an agent does not answer (75)."""
    kept = keep(machine)
    assert machine.process is not None
    machine.process.kill()
    machine.process.wait()
    code, out, err = ctl(machine, "queue")

    assert 75 == code
    assert kept in out
    assert f"the agent ({machine.socket}) does not answer: Connection refused" in err


def test_status_without_a_sender(machine):
    """Without a sender nothing is sent: exit 75, in words and as JSON."""
    queue(machine)
    code, out, _ = ctl(machine, "agent", "status")
    told = json.loads(ctl(machine, "agent", "status", "--json")[1])

    assert 75 == code
    assert "the sender does not run" in out
    assert "1 message waiting" in out
    assert (75, 1, "away") == (told["exit"], told["messages"], told["sender"])


def test_status_without_an_agent(box):
    """No agent is exit 69, for programs too."""
    code, _, err = ctl(box, "agent", "status")
    as_json = ctl(box, "agent", "status", "--json")

    assert 69 == code
    assert "there is no agent" in err
    assert 69 == as_json[0]
    assert json.loads(as_json[1])["agent"] is None


def test_metrics(machine):
    """Prometheus gets numbers, and a zero when there is no agent."""
    queue(machine)
    code, out, _ = ctl(machine, "agent", "status", "--metrics")
    machine.stop()
    code_without, out_without, _ = ctl(machine, "agent", "status", "--metrics")

    assert (75, 69) == (code, code_without)
    assert {"ssmtp_up 1", "ssmtp_sender_up 0", "ssmtp_queue_messages 1"} <= set(
        out.splitlines()
    )
    assert "ssmtp_up 0" == out_without.splitlines()[-1]


SITE = {
    "mailhubs": ["hub.example:465"],
    "what": "hub.example:465 refused AUTH",
    "next_step": "check the password",
    "next_try": None,
}


@pytest.mark.parametrize(
    ("kind", "state", "expected"),
    [
        ("", "ok", 0),
        ("network", "trouble", 75),
        ("mailhub", "trouble", 75),
        ("auth", "trouble", 77),
        ("login", "trouble", 77),
        ("configuration", "trouble", 78),
    ],
)
def test_what_monitoring_sees(kind, state, expected):
    """The exit code says whose turn it is: time's (75), or a person's (77, 78)."""
    site = {**SITE, "kind": kind, "state": state}
    code, words = verb.judged({"sender": "connected", "site": {"sites": [site]}})

    assert expected == code
    assert state == "ok" or "hub.example:465 refused AUTH; check the password" in words
