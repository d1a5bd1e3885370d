"""How it is told: text, JSON, colours, and no secret in any of them."""

from __future__ import annotations

import base64
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from ssmtp.ctl import doctor
from ssmtp.ctl.doctor import findings, talk
from tests.doctor.conftest import ROOT
from tests.hub import Hub, running
from tests.secrets.box import PASSWORD, USER, Box
from tests.secrets.parrot import parrot

CLEAR = "AllowCleartextAuth=yes"


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A place where no secret may be left."""
    return Box(tmp_path)


def test_text(bench, hub):
    """A person reads sections, states, sentences, next steps, and the verdict last."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", "Mialhub=x")
    done = bench.run("-C", str(bench.conf))
    lines = done.stdout.decode().splitlines()

    assert 78 == done.returncode
    assert "Configuration" == lines[0]
    assert f"Mailhub 127.0.0.1:{hub.port}" in lines
    assert f"  error    {bench.conf}, line 5: unknown key Mialhub." in lines
    assert "           next: the nearest known key is Mailhub" in lines
    assert [
        "Mail does not go out.",
        f"  {bench.conf}, line 5: unknown key Mialhub.",
        "  next: the nearest known key is Mailhub",
    ] == lines[-3:]


def test_good_news(bench, hub):
    """When all is well the last line says so."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}")
    done = bench.run("-C", str(bench.conf))

    assert 0 == done.returncode
    assert done.stdout.decode().splitlines()[-1].startswith("Mail goes out")


def test_json(bench, hub):
    """A program gets one object; ids are of letters, dots and hyphens."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}")
    told = json.loads(bench.run("--json", "-C", str(bench.conf)).stdout)

    assert {"exit", "verdict", "configuration", "agent", "findings"} == told.keys()
    assert str(bench.conf) == told["configuration"]
    for finding in told["findings"]:
        assert finding["id"].replace(".", "").replace("-", "").isalnum()
        assert finding["state"] in ("ok", "note", "warning", "error", "skipped")
        assert finding["text"]


@pytest.mark.parametrize("variable", ["", "NO_COLOR"])
def test_colours(bench, hub, variable):
    """On a terminal there are colours, with rich, unless NO_COLOR is set."""
    pytest.importorskip("rich")
    bench.configure(f"mailhub=127.0.0.1:{hub.port}")
    ours, theirs = pty.openpty()
    environ = {**bench.environ, "TERM": "xterm-256color", "COLUMNS": "72"}
    environ["PYTHONPATH"] = str(ROOT / "src")
    if variable:
        environ[variable] = "1"
    script = "import sys; from ssmtp.ctl import main; sys.exit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", script, "doctor", "-C", str(bench.conf)],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        env=environ,
    ):
        os.close(theirs)
        said = b""
        try:
            while block := os.read(ours, 4096):
                said += block
        except OSError:
            pass  # so a terminal ends
    os.close(ours)

    assert (variable == "") == (b"\x1b[" in said)
    assert b"Mail goes out" in said


def test_a_mistake_is_one_finding(monkeypatch):
    """A bug in one check is told, and the others go on."""
    report = findings.Report(lambda finding: None)
    monkeypatch.delenv("SSMTP_TRACEBACK", raising=False)
    doctor._guarded(report, {}.__getitem__, "x")
    doctor._guarded(report, lambda: report.ok("x", "y"))

    assert [("doctor.bug", "error"), ("x", "ok")] == [
        (finding.id, finding.state) for finding in report.findings
    ]
    assert "KeyError" in report.findings[0].text
    assert 70 == report.exit_code


def test_a_report_hides_secrets():
    """Whatever a check says, what was named as a secret is dots, in every form."""
    report = findings.Report(lambda finding: None)
    report.keep_hidden("secret-9")
    encoded = base64.b64encode(b"secret-9").decode()
    report.ok("x", "the secret-9", [f"or {encoded}"], deep={"a": ["secret-9", 1]})
    report.note("y", f"no {encoded}", "type secret-9")
    part = report.part()
    part.warn("z", "secret-9\x1b[31m")
    report.join(part)
    said = repr(report.findings)

    assert "secret-9" not in said
    assert encoded.rstrip("=") not in said
    assert "The ••••." == report.findings[0].text
    assert {"deep": {"a": ["••••", 1]}} == report.findings[0].facts
    assert "••••\\x1b[31m." == report.findings[2].text


def test_every_phase_is_a_step():
    """Each phase in which a session may end belongs to a step."""
    from ssmtp.smtp import phases

    ends = {"DATA", "content", "rest", "QUIT"}  # after RCPT nothing is said

    assert {phase.name for phase in phases.PHASES} - ends == talk.PHASES.keys()
    assert {*talk.IMPLICIT} <= {*talk.STEPS} >= {*talk.PHASES.values()}


@pytest.mark.parametrize("form", [["--send"], ["--json"]])
@pytest.mark.parametrize("good", [True, False])
@pytest.mark.parametrize("source", ["AuthPass", "AuthPassFile", "AuthPassCommand"])
def test_no_secret(box, form, good, source):
    """The password is in nothing that is printed, accepted or refused."""
    file = box.given / "password"
    file.write_text(PASSWORD + "\n", encoding="utf-8")
    file.chmod(0o600)
    lines = {
        "AuthPass": f'AuthPass="{PASSWORD}"',
        "AuthPassFile": f"AuthPassFile={file}",
        "AuthPassCommand": f"AuthPassCommand=cat {file}",
    }
    with running(Hub(users={USER: PASSWORD if good else "another"})) as hub:
        mailhub = f"mailhub=127.0.0.1:{hub.port}"
        box.configure(mailhub, f"AuthUser={USER}", CLEAR, lines[source])
        words = ["doctor", *form, "-C", str(box.conf), "you@dest.test"]
        done = box.run(*words, name="ssmtpctl")

    assert (0 if good else 77) == done.returncode
    box.check()


@pytest.mark.parametrize(
    ("where", "code"),
    [("AUTH", 535), ("MAIL", 550), ("RCPT", 550), ("unasked", 550), ("garbled", 550)],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_mailhub_that_says_it_back(box, where, code, form):
    """What the mailhub echoes is hidden, wherever it says it."""
    with parrot(where, code, "PLAIN") as bird:
        mailhub = f"mailhub=127.0.0.1:{bird.port}"
        box.configure(mailhub, f"AuthUser={USER}", CLEAR, f'AuthPass="{PASSWORD}"')
        words = ["doctor", *form, "-C", str(box.conf), "you@dest.test"]
        box.run(*words, name="ssmtpctl")

    box.check(PASSWORD, *bird.heard)


@pytest.mark.parametrize(
    "line",
    [
        f"AuthPass {PASSWORD}",
        f"AuthPas={PASSWORD}",
        f"Proxy=socks5://me:{PASSWORD}@h:1",
    ],
)
def test_a_typo_beside_a_secret(box, line):
    """A line that is wrong is not quoted, for it may hold the password."""
    box.configure("mailhub=127.0.0.1:1", line)
    box.run("doctor", "-C", str(box.conf), name="ssmtpctl")
    box.run("doctor", "--json", "-C", str(box.conf), name="ssmtpctl")

    box.check()


@pytest.mark.parametrize("mode", [0o600, 0o644])
@pytest.mark.parametrize("user", ["", f"AuthUser={USER}"])
def test_a_secret_of_nobody(box, mode, user):
    """A password without a user, and one that others can read."""
    box.configure("mailhub=127.0.0.1:1", user, f'AuthPass="{PASSWORD}"', mode=mode)
    box.run("doctor", "-C", str(box.conf), name="ssmtpctl")
    box.run("doctor", "--json", "-C", str(box.conf), name="ssmtpctl")

    box.check()
