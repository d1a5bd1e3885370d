"""The password: where it comes from, what is strange about it, and who refuses it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ssmtp.ctl.doctor import oddities, refusals
from ssmtp.smtp.reply import Reply
from tests.doctor.conftest import PASSWORD, USER
from tests.hub import Hub, running


@pytest.fixture
def members():
    """A mailhub in clear on this machine, with a login."""
    with running(Hub(users={USER: PASSWORD})) as one:
        yield one


@pytest.mark.parametrize("source", ["AuthPass", "AuthPassFile", "AuthPassCommand"])
def test_sources(bench, members, source):
    """Where the password comes from is told, and that it is right."""
    secret = bench.place / "secret"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o600)
    value = {
        "AuthPass": PASSWORD,
        "AuthPassFile": str(secret),
        "AuthPassCommand": f"cat {secret}",
    }[source]
    bench.configure(
        f"mailhub=127.0.0.1:{members.port}", f"AuthUser={USER}", f"{source}={value}"
    )
    told = bench.doctor()

    assert 0 == told.code
    assert f"with the password of {source}." in told.one("auth.password")["text"]
    assert "PLAIN" == told.one("auth.login")["facts"]["mechanism"]
    assert PASSWORD not in told.text


@pytest.mark.parametrize(
    ("lines", "code", "name", "words"),
    [
        ([f"AuthUser={USER}"], 77, "auth.settings", "there is no password"),
        (["AuthUser=", "AuthPass=secret-9"], 78, "auth.settings", "AuthUser is empty"),
        (
            [f"AuthUser={USER}", "AuthPass=secret-9", "AuthPassFile=/x"],
            78,
            "auth.settings",
            "are all set",
        ),
        (
            [f"AuthUser={USER}", "AuthPassFile=/no/such"],
            78,
            "auth.password",
            "No such file",
        ),
        ([f"AuthUser={USER}", "AuthPassCommand=false"], 77, "auth.password", "false"),
    ],
)
def test_no_password(bench, members, lines, code, name, words):
    """Why there is no password."""
    bench.configure(f"mailhub=127.0.0.1:{members.port}", *lines)
    told = bench.doctor()

    assert (code, name) == (told.code, told.first["id"])
    assert words in told.first["text"]
    assert "ok" == told.one("smtp.hello")["state"]  # it goes on
    assert not [line for line in members.commands if line.startswith("MAIL")]


def test_password_file_open_to_others(bench, members):
    """A password file that others can read."""
    secret = bench.place / "secret"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o644)
    bench.configure(
        f"mailhub=127.0.0.1:{members.port}",
        f"AuthUser={USER}",
        f"AuthPassFile={secret}",
    )
    told = bench.doctor()

    assert (78, "auth.password") == (told.code, told.first["id"])
    assert "open to others (mode 0644)" in told.first["text"]
    assert told.first["next"].startswith("chmod ")


def test_password_without_user(bench, hub):
    """A password that nobody uses."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", f"AuthPass={PASSWORD}")
    told = bench.doctor()

    assert 0 == told.code
    assert "AuthUser" in told.one("auth.no-user")["next"]


@pytest.mark.parametrize(
    ("secret", "host", "words"),
    [
        (" secret", "mail.corp.test", ["begins with a blank"]),
        ("secret ", "mail.corp.test", ["ends with a blank"]),
        ("'secret'", "mail.corp.test", ["a quote"]),
        ("sec ret", "mail.corp.test", ["has a blank in it"]),
        ("abcd efgh ijkl mnop", "mail.corp.test", ["four groups"]),
        ("abcd efgh ijkl mnop", "smtp.gmail.com", []),
        ("abcdefghijklmnop", "smtp.gmail.com", []),
        ("correct horse", "smtp.gmail.com", ["a blank in it", "app password"]),
        ("sécret", "mail.corp.test", ["outside of ASCII"]),
        ("\ufeffsecret", "mail.corp.test", ["byte order mark"]),
        ("“secret”", "mail.corp.test", ["a curly quote"]),
        ("AuthPass=secret", "mail.corp.test", ["the name of a key"]),
        ("secret", "mail.corp.test", []),
        ("", "mail.corp.test", []),
    ],
)
def test_oddities(secret, host, words):
    """What is strange about a password is said without showing it."""
    found = oddities.of_password(secret, [host], object())

    assert len(words) == len(found), found
    for word, sentence in zip(words, found, strict=True):
        assert word in sentence
        assert not secret.strip() or secret.strip() not in sentence


REFUSED = [
    line.split("\t")
    for line in Path(__file__).with_name("refused.txt").read_text("utf-8").splitlines()
    if line[:1] != "#"
]


def reply_of(text):
    lines = text.split("|")
    return Reply(int(lines[0][:3]), [line[4:] for line in lines])


@pytest.mark.parametrize(("host", "name", "text"), REFUSED)
def test_refusals(host, name, text):
    """Refusals of providers are recognised, each by its own row."""
    found = refusals.find(reply_of(text), host)

    assert name == (found.id if found is not None else "-")


def test_the_table():
    """Each row is whole, can be compiled, and names the page that says so."""
    rows = refusals.table()

    assert {name for _, name, _ in REFUSED} - {"-"} == {row.id for row in rows}
    for row in rows:
        assert re.compile(row.pattern)
        assert "https" == urlsplit(row.source).scheme
        assert row.means
        assert row.next
        assert not row.means.endswith(".")


def test_the_table_is_plain_json():
    """The data can be read, and corrected, without knowing the code."""
    rows = json.loads(refusals.PLACE.read_text("utf-8"))

    assert len(rows) == len({row["id"] for row in rows})


def test_refusal_in_plain_words(bench):
    """A refusal of the table is explained, with the page that says so."""
    said = "550 5.7.30 Basic authentication is not supported for Client Submission."
    hub = Hub(users={USER: PASSWORD}, replies={"AUTH": said})
    with running(hub):
        bench.configure(
            f"mailhub=127.0.0.1:{hub.port}", f"AuthUser={USER}", f"AuthPass={PASSWORD}"
        )
        told = bench.doctor()

    assert (77, "auth.login") == (told.code, told.first["id"])
    assert "Microsoft 365 no longer accepts a password here" in told.first["text"]
    assert "end of December 2026" in told.first["text"]
    assert said in told.first["text"]
    assert "XOAUTH2" in told.first["next"]
    assert told.first["facts"]["source"] in told.first["next"]
    assert "microsoft-basic" == told.first["facts"]["known"]
