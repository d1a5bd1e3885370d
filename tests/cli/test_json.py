"""Every command of `ssmtpctl` that tells facts tells them to programs, too."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssmtp import ctl

SSMTPCTL = Path(__file__).parents[2] / "bin" / "ssmtpctl"
# They run until they are stopped, and tell nothing but what goes to the log.
SERVICES = {"agent run", "agent accept", "agent send"}


def commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield every command that does something, by the words that call it."""
    top = ctl.Parser(prog="ssmtpctl").add_subparsers(parser_class=ctl.Parser)
    for verb in ctl.VERBS:
        importlib.import_module(f"ssmtp.ctl.{verb}").add(top)
    waiting = list(top.choices.items())
    while waiting:
        name, parser = waiting.pop()
        needed = False
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                needed = action.required
                waiting += [(f"{name} {w}", p) for w, p in action.choices.items()]
        if not needed:
            yield name, parser


def test_every_command_has_it():
    """There is --json wherever something is told."""
    lacking = {name for name, parser in commands() if "--json" not in options(parser)}

    assert SERVICES == lacking


def options(parser: argparse.ArgumentParser) -> set[str]:
    return {word for action in parser._actions for word in action.option_strings}


@pytest.fixture
def call(tmp_path):
    conf = tmp_path / "ssmtp.conf"
    conf.write_text("mailhub=mail.example.org\nhostname=box.example.org\n")

    def call(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SSMTPCTL, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "XDG_STATE_HOME": str(tmp_path),
                "SSMTP_CONF": str(conf),
                **env,
            },
        )

    return call


def test_a_message_that_is_not_sent(call):
    """`send --dry-run --json` has the message, and who would get it."""
    run = call(
        *("send", "--dry-run", "--json", "-s", "Hi", "-m", "Hello.", "ann@example.org"),
    )
    told = json.loads(run.stdout)
    header, _blank, body = told["message"].partition("\n\n")

    assert (0, "") == (run.returncode, run.stderr)
    assert ("not sent", ["ann@example.org"]) == (told["result"], told["to"])
    assert "\nSubject: Hi\n" in header
    assert "Hello.\n" == body
    assert told["from"].endswith("@box.example.org")
    assert told["size"] > len(told["message"])


@pytest.mark.slow
def test_an_installation(call, tmp_path):
    """`install --json` and `uninstall --json` have each step, and do it."""
    root = tmp_path / "root"
    root.mkdir()
    place = ("--root", str(root), "--prefix", "/opt/mail")
    planned = json.loads(call("install", "--json", "--dry-run", *place).stdout)
    there = list(root.iterdir())
    done = json.loads(call("install", "--json", *place).stdout)
    undone = json.loads(call("uninstall", "--json", *place).stdout)
    nothing = json.loads(call("uninstall", "--json", *place).stdout)

    assert [] == there
    assert {"step": "write", "what": "/opt/mail/bin/ssmtp"} in planned
    assert planned == done[: len(planned)]
    assert {"step": "remove", "what": "/opt/mail/bin/ssmtp"} in undone
    assert ["none"] == [step["step"] for step in nothing]


def test_nobody_to_flush(call):
    """Without an agent `queue flush --json` names none, and the exit code is 69."""
    run = call("queue", "flush", "--json")

    assert (69, {"agents": []}) == (run.returncode, json.loads(run.stdout))


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("send", "-m", "x", "-a", "missing.pdf", "ann@example.org"), 66),
        (("send", "-m", "x"), 64),
        (("explain", "--json", "--", "-bp"), 64),
        (("migrate", "--from", "/nonexistent/msmtprc"), 64),
        (("queue", "show", "zzz"), 64),
        (("setup",), 64),
    ],
    ids=str,
)
def test_what_did_not_work(call, command, code):
    """Whatever goes wrong is an object, too, and still a sentence on stderr."""
    run = call(*command, *([] if "--json" in command else ["--json"]))
    told = json.loads(run.stdout)

    assert (code, code, "failed") == (run.returncode, told["exit"], told["result"])
    assert run.stderr.startswith(f"ssmtpctl: {told['reason']}; {told['next_step']}")


@pytest.mark.parametrize(
    "words",
    [
        ("queue", "show"),
        ("queue", "--bogus"),
        ("nonsense",),
        ("agent", "status", "--metrics"),
        ("sink", "--port", "x"),
        (),
    ],
    ids=str,
)
def test_a_command_line_that_is_wrong(call, words):
    """A command line that is not understood is an object, too, in English."""
    run = call(*words, "--json", LC_ALL="es_ES.UTF-8")
    told = json.loads(run.stdout)

    assert (64, 64, "failed") == (run.returncode, told["exit"], told["result"])
    assert f"{told['reason']}; {told['next_step']}\n" in run.stderr
    assert told["next_step"].startswith("try ssmtpctl")


def test_json_that_is_not_for_us(call):
    """What follows -- asks for no JSON, and gets none."""
    run = call("explain", "--bogus", "--", "--json")

    assert (64, "") == (run.returncode, run.stdout)
