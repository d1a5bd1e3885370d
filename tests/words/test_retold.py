"""What the road of a message said is told again in Spanish, but for foreign words."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ssmtp.ctl import agent, words
from ssmtp.ctl.install import shared
from ssmtp.ctl.retold import HOLE, retold

BIN = Path(__file__).parents[2] / "bin"
FORMS = Path(words.PLACE, "road.txt").read_text().splitlines()


@pytest.fixture
def spanish(monkeypatch):
    monkeypatch.setenv("LC_ALL", "es_ES.UTF-8")
    words.begin()
    yield
    monkeypatch.delenv("LC_ALL")
    words.begin()


def test_every_sentence_is_recognized(spanish):
    """A sentence with any values in it is the Spanish one with the same values."""
    wrong = []
    for form in FORMS:
        values = {name: f"x{n}y" for n, name in enumerate(HOLE.findall(form))}
        expected = words._(form).format(**values)
        if retold(form.format(**values)) != expected:
            wrong.append(form)

    assert len(FORMS) > 150
    assert [] == wrong


@pytest.mark.parametrize(
    ("english", "expected"),
    [
        ("mail.example.org:587 closed the connection",
         "mail.example.org:587 ha cerrado la conexión"),
        ("/etc/x.conf, line 3: unknown key AuthPas",
         "/etc/x.conf, línea 3: clave desconocida AuthPas"),
        ("/etc/x.conf, line 2: Mailhub is no host: it holds '!'",
         "/etc/x.conf, línea 2: Mailhub no es un servidor: tiene '!'"),
        ("the certificate of hub:465 has expired",
         "el certificado de hub:465 ha caducado"),
        (("cannot connect to hub:25 (192.0.2.1: no answer within 20 s, "
         "[2001:db8::1]: Network is unreachable)"),
         ("no se puede conectar con hub:25 (192.0.2.1: sin respuesta en 20 s, "
         "[2001:db8::1]: la red está fuera de alcance)")),
        ("AuthPassCommand pass failed (exit status 1): gpg: no key",
         "AuthPassCommand pass ha fallado (estado de salida 1): gpg: no key"),
        ("Nada escucha: the proxy p:1 does not answer.",
         "Nada escucha: el proxy p:1 no responde."),
        ("the mailhub's name x.invalid does not exist",
         "el nombre del servidor de correo, x.invalid, no existe"),
        ("nothing was sent; try again later",
         "no se ha enviado nada; hay que intentarlo más tarde"),
        ("hub:25 is not ready: 421 4.3.2 try again later",
         "hub:25 no está listo: 421 4.3.2 try again later"),
        ("535 5.7.8 check AuthUser and the password",
         "535 5.7.8 check AuthUser and the password"),
        ("the agent (/run/x/submit.sock) does not answer: Connection refused",
         "el agente (/run/x/submit.sock) no responde: conexión rechazada"),
        ("20261122T21-0-x is being sent just now, or has left the queue",
         ("20261122T21-0-x se está enviando en este momento, o ha salido de la"
          " cola")),
        (("20261122T21-0-x is held until it is released; `ssmtpctl queue` lists what"
          " is there"),
         ("20261122T21-0-x está retenido hasta que se libere; `ssmtpctl queue` lista"
          " lo que hay")),
        ("as many as RateLimit allows have been sent",
         "se han enviado tantos como permite RateLimit"),
        ("what nobody has ever said", "what nobody has ever said"),
    ],
)  # fmt: skip
def test_sentences(spanish, english, expected):
    """Sentences within sentences are recognized; what a mailhub said stays as it is."""
    assert expected == retold(english)


def test_a_mailhub_in_trouble(spanish):
    """What the agent says of its mailhub is told again, too."""
    site = {
        "mailhubs": ["hub.example:465"],
        "state": "trouble",
        "kind": "network",
        "what": "the certificate of hub:465 has expired",
        "next_step": "try again later",
    }
    _, text = agent.judged({"sender": "connected", "site": {"sites": [site]}})

    assert "hub.example:465: el certificado de hub:465 ha caducado; hay que" in text


def test_english_stays(monkeypatch):
    """Without a catalogue nothing is changed."""
    monkeypatch.setenv("LC_ALL", "C")
    words.begin()

    assert "try again later" == retold("try again later")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("send", "-m", "x", "-a", "missing.pdf", "ann@example.org"),
         ("missing.pdf no se puede adjuntar: no existe el archivo o el directorio;"
         " hay que nombrar un archivo que se pueda leer")),
        (("send", "-m", "x", "ann@example.org"),
         ("no se puede conectar con 127.0.0.1:1 (127.0.0.1:1: conexión rechazada);"
         " hay que comprobar que esté en marcha y que no haya ningún cortafuegos por"
         " medio, o intentarlo más tarde [guardado como ")),
        (("queue", "show", "zzz"),
         "no hay ningún mensaje guardado zzz; `ssmtpctl queue` muestra los que hay"),
        (("explain", "--", "-t"),
         ("no hay a quién enviar: ningún destinatario en To, Cc o Bcc;"
         " hay que nombrar uno en la cabecera o como argumento")),
        (("send", "-C", "/nonexistent", "-m", "x", "a@example.org"),
         ("/nonexistent no existe; hay que escribir uno con una línea"
         " Mailhub=servidor:puerto, o nombrar otro con -C")),
        (("setup", "--yes", "--server", "127.0.0.1:1", "--user", "", "a@example.org"),
         "no se puede conectar con 127.0.0.1:1 (127.0.0.1:1: conexión rechazada); "),
    ],
)  # fmt: skip
def test_failures(tmp_path, command, expected):
    """What went wrong, and what to do, is said in Spanish by every command."""
    conf = tmp_path / "ssmtp.conf"
    conf.write_text("mailhub=127.0.0.1:1\nhostname=box.example.org\n")
    run = subprocess.run(
        [BIN / "ssmtpctl", *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "XDG_STATE_HOME": str(tmp_path),
            "SSMTP_CONF": str(conf),
            "LC_ALL": "es_ES.UTF-8",
        },
    )

    assert 0 != run.returncode
    assert run.stderr.startswith(f"ssmtpctl: {expected}")


def test_installations_have_the_list():
    """What `ssmtpctl install` copies is the whole package, with all of its data."""
    package = Path(words.PLACE).parents[1]
    there = {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }

    assert there == set(shared.code())
