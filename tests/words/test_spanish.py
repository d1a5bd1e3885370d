"""`ssmtpctl` speaks the language of its reader; programs and the road get English."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ssmtp import ctl
from ssmtp.ctl import words

# In English, before anything is called in Spanish: verbs have tables of texts.
for _verb in ctl.VERBS:
    importlib.import_module(f"ssmtp.ctl.{_verb}")

BIN = Path(__file__).parents[2] / "bin"
SPANISH = {"LC_ALL": "es_ES.UTF-8", "LANGUAGE": "es"}
MESSAGE = "To: ann\nSubject: caf\xe9\nBcc: bob@example.org\n\nhola\n"


@pytest.fixture
def call(tmp_path):
    conf = tmp_path / "ssmtp.conf"
    conf.write_text("mailhub=mail.example.org\nhostname=box.example.org\n")

    def call(*words: str, text: str = "", **environ: str):
        return subprocess.run(
            [BIN / words[0], *words[1:]],
            input=text.encode(),
            capture_output=True,
            timeout=50,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(tmp_path),
                "XDG_STATE_HOME": str(tmp_path),
                "XDG_CONFIG_HOME": str(tmp_path),
                "SSMTP_CONF": str(conf),
                "TMPDIR": str(tmp_path),
                **environ,
            },
        )

    return call


@pytest.mark.parametrize(
    "environ",
    [
        {"LC_ALL": "es_ES.UTF-8", "LANGUAGE": "es"},
        {"LC_ALL": "es_ES.UTF-8"},
        {"LC_MESSAGES": "es_AR.UTF-8", "LANG": "C.UTF-8"},
        {"LANG": "es_MX.UTF-8"},
        {"LANG": "es"},
        {"LANG": "es_ES@euro"},
        {"LANGUAGE": "es"},
        {"LANGUAGE": "gl:es:en", "LANG": "gl_ES.UTF-8"},
    ],
    ids=str,
)
def test_spanish_where_the_locale_is_spanish(call, environ):
    """The variables count, whether or not the C library has that locale."""
    run = call("ssmtpctl", "--help", **environ)
    said = run.stdout.decode()

    assert (0, b"") == (run.returncode, run.stderr)
    assert said.startswith("Ejemplos:\n")
    assert "\nuso: ssmtpctl [-h] [--version] ORDEN ...\n" in said
    assert "muestra esta ayuda y termina" in said


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LANG": "C.UTF-8"},
        {"LANG": "en_GB.UTF-8"},
        {"LANG": "de_DE.UTF-8"},
        {"LC_ALL": "C", "LANG": "es_ES.UTF-8", "LANGUAGE": "es"},
        {"LC_ALL": "POSIX", "LANGUAGE": "es"},
        {"LC_ALL": "en_US.UTF-8", "LANG": "es_ES.UTF-8"},
        {"LANGUAGE": "en:es", "LANG": "es_ES.UTF-8"},
        {"LANGUAGE": "../locale/es", "LANG": "C.UTF-8"},
    ],
    ids=str,
)
def test_english_everywhere_else(call, environ):
    """Where there is no catalogue, or English comes first, nothing is translated."""
    assert (
        call("ssmtpctl", "--help").stdout
        == call("ssmtpctl", "--help", **environ).stdout
    )
    assert call("ssmtpctl", "--help").stdout.startswith(b"Examples:\n")


@pytest.mark.parametrize("verb", ctl.VERBS)
def test_every_help_is_spanish(verb, monkeypatch, capsys):
    """The help of every verb has Spanish headings, and no English one."""
    monkeypatch.setenv("LANG", "es_ES.UTF-8")
    with pytest.raises(SystemExit) as ended:
        ctl.main([verb, "--help"])
    monkeypatch.undo()
    words.begin()
    said = capsys.readouterr().out

    assert 0 == ended.value.code
    assert f"uso: ssmtpctl {verb} [-h]" in said
    assert "\nopciones:\n" in said
    for english in ("usage:", "options:", "Example", "show this", "positional"):
        assert english not in said


def test_mistakes_are_told_in_spanish(call):
    """A wrong command line gets a Spanish sentence, and the usual exit code."""
    unknown = call("ssmtpctl", "queue", "--nonsense", **SPANISH)
    missing = call("ssmtpctl", "queue", "drop", **SPANISH)
    nobody = call("ssmtpctl", "send", "-m", "hola", **SPANISH)

    assert (64, "ssmtpctl: argumentos no reconocidos: --nonsense; ") == (
        unknown.returncode,
        unknown.stderr.decode().partition("véase")[0],
    )
    assert "faltan estos argumentos obligatorios: ID" in missing.stderr.decode()
    assert nobody.stderr.decode().startswith("ssmtpctl: no hay a quién enviar; ")


def test_an_empty_queue(call):
    """The queue says in Spanish that it is empty."""
    run = call("ssmtpctl", "queue", **SPANISH)

    assert (0, "La cola de correo está vacía\n", b"") == (
        run.returncode,
        run.stdout.decode(),
        run.stderr,
    )


def test_a_queue_with_a_message(call):
    """The table has Spanish headings; states and ids are the same in all languages."""
    call("sendmail", "-t", "-C", "/nonexistent/ssmtp.conf", text=MESSAGE, **SPANISH)
    run = call("ssmtpctl", "queue", **SPANISH)
    english = call("ssmtpctl", "queue")
    shown = call("ssmtpctl", "queue", "show", "2", **SPANISH)

    assert ["ID", "EDAD", "TAMAÑO", "ESTADO"] == run.stdout.decode().split()[:4]
    assert ["ID", "AGE", "SIZE", "STATE"] == english.stdout.decode().split()[:4]
    assert " deferred " in run.stdout.decode()
    assert "/nonexistent/ssmtp.conf no existe" in run.stdout.decode()
    assert "/nonexistent/ssmtp.conf does not exist" in english.stdout.decode()
    assert ": deferred, se puede enviar de nuevo" in shown.stderr.decode()


def test_no_agent(call, tmp_path):
    """That there is no agent is said in Spanish, with the same exit code."""
    socket = str(tmp_path / "none")
    command = ("ssmtpctl", "agent", "status", "-C", str(tmp_path / "ssmtp.conf"))
    (tmp_path / "ssmtp.conf").write_text(f"mailhub=x.test\nAgentSocket={socket}\n")
    spanish, english = call(*command, **SPANISH), call(*command)

    assert 69 == english.returncode == spanish.returncode
    assert spanish.stderr.startswith(b"ssmtpctl: agent: ")


def test_a_dry_run(call):
    """The message is the same in every language; what is said about it is not."""
    command = (
        "ssmtpctl",
        "send",
        "--dry-run",
        "-s",
        "Hola",
        "-m",
        "x",
        "ann@example.org",
    )
    spanish, english = call(*command, **SPANISH), call(*command)

    assert 0 == spanish.returncode
    assert spanish.stderr.startswith(b"no enviado: de <")
    assert spanish.stderr.endswith(b", para <ann@example.org>\n")
    assert english.stderr.startswith(b"not sent: from <")
    assert english.stdout.splitlines()[4:] == spanish.stdout.splitlines()[4:] != []


def test_explain(call):
    """Headings and reasons are Spanish, those that the road has left as well."""
    said = call("ssmtpctl", "explain", text=MESSAGE, **SPANISH).stdout.decode()

    assert "\nSobre\n" in said
    assert "ann en la cabecera: un nombre sin @ recibe el dominio de Hostname\n" in said
    assert "no había campo Date (RFC 5322, sección 3.6.1)" in said
    assert "la dirección propia de quien llama" in said
    assert "STARTTLS si se ofrece: puerto 25" in said
    assert "Si el servidor de correo no ofrece SMTPUTF8" in said
    for english in (" the ", " was ", "section", "octets"):
        assert english not in said


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")
def test_demo(call):
    """The demo tells its tale in Spanish, and all of it is true."""
    run = call("ssmtpctl", "demo", **SPANISH)
    said = run.stdout.decode()

    assert (0, b"") == (run.returncode, run.stderr)
    assert 13 == said.count("[bien]")
    assert "[->] BDAT " in said
    for english in (" the ", " was ", " and it"):
        assert english not in said.replace("The line above is a lone dot, and", "")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (("queue", "--json"), ""),
        (("queue", "flush", "--json"), ""),
        (("queue", "hold", "--json", "2"), ""),
        (("agent", "status", "--json", "--socket", "/nonexistent"), ""),
        (("version", "--json"), ""),
        (("uninstall", "--dry-run", "--json", "--prefix", "/nonexistent"), ""),
        (("explain", "--js", "--", "ann@example.org"), "Date: 1 Jan 2026 1:0\n\nx\n"),
        (("migrate", "--json", "--dry-run", "--from", "/nonexistent/msmtprc"), ""),
    ],
    ids=str,
)
def test_programs_are_answered_in_english(call, command, text):
    """JSON is the same whatever the language of the one who calls."""
    call("sendmail", "-t", "-C", "/nonexistent/ssmtp.conf", text=MESSAGE)
    spanish = call("ssmtpctl", *command, text=text, **SPANISH)
    english = call("ssmtpctl", *command, text=text)

    assert english.returncode == spanish.returncode
    assert _told(english) == _told(spanish)


def _told(run: subprocess.CompletedProcess[bytes]) -> tuple[object, ...]:
    try:
        out = json.loads(run.stdout)
    except ValueError:
        out = run.stdout
    if isinstance(out, dict) and "header" in out:
        out = {**out, "header": [row["rule"] for row in out["header"]]}
    return out, run.stderr


def test_the_road_of_a_message_stays_english(call, tmp_path):
    """`sendmail` says the same in every locale: programs and logs read it."""
    command = ("sendmail", "-t", "-C", str(tmp_path / "none.conf"))
    spanish = call(*command, text="To: a@@b\n\n", **SPANISH)
    english = call(*command, text="To: a@@b\n\n")
    usage = call("sendmail", "--help", **SPANISH)

    assert spanish.returncode == english.returncode != 0
    assert (
        spanish.stderr.partition(b"[kept")[0] == english.stderr.partition(b"[kept")[0]
    )
    assert usage.stdout == call("sendmail", "--help").stdout


def test_the_road_does_not_know_of_languages(tmp_path):
    """Neither gettext nor ctl is imported on the road, Spanish or not."""
    script = [BIN / "sendmail", "-t", "-C", tmp_path / "none.conf"]
    run = subprocess.run(
        ["/usr/bin/python3", "-IS", "-X", "importtime", *script],
        input=b"To: ann@example.org\n\n",
        capture_output=True,
        timeout=20,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path), **SPANISH},
    )
    lines = run.stderr.decode().splitlines()
    loaded = {row.rpartition("|")[2].strip() for row in lines if "|" in row}

    assert 78 == run.returncode
    assert "ssmtp.sendmail" in loaded
    assert [] == sorted(
        name for name in loaded if name == "gettext" or name.startswith("ssmtp.ctl")
    )
