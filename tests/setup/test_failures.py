"""What does not work is not written: the reason and the next step are said instead."""

from __future__ import annotations

import socket

import pytest

from tests.hub import Hub, running
from tests.setup.conftest import ADDRESS, PASSWORD


@pytest.fixture
def old(desk):
    """A configuration that works, with its password."""
    desk.config.parent.mkdir(parents=True)
    (desk.config.parent / "password").write_text("pw-12345\n")
    desk.config.write_text(
        f"mailhub=old.example.org:587\nAuthUser=old\n"
        f"AuthPassFile={desk.config.parent}/password\n"
    )
    return desk.files()


def refused(desk, done, exit_code, *words):
    """Check that a run said why and what to do, and left everything as it was."""
    assert exit_code == done.returncode, done.stderr
    for word in words:
        assert word in done.stderr
    assert 1 == done.stderr.count("\n")


def test_a_wrong_password(desk, old, hub, flags):
    """A refused password is said with the mailhub's words; it is tried once only."""
    done = desk.setup(ADDRESS, *flags, "--yes", stdin="no-such-password\n")

    refused(desk, done, 77, "535 5.7.8 wrong", "check the password", "nothing was writ")
    assert 1 == sum(line.startswith("AUTH") for line in hub.commands)
    assert old == desk.files()


def test_a_wrong_user(desk, old, hub, flags):
    """A refused user name is said as well."""
    done = desk.setup(ADDRESS, *flags, "--yes", "--user", "nobody")

    refused(desk, done, 77, "535", "--user")
    assert old == desk.files()


def test_a_sender_that_is_refused(desk, old, hub, flags):
    """An account that may not send as --from is no account for that."""
    hub.replies["MAIL"] = "553 5.7.1 not your address"
    done = desk.setup(ADDRESS, *flags, "--yes", "--from", "boss@example.org")

    refused(desk, done, 69, "553 5.7.1 not your address", "--from")
    assert old == desk.files()


def test_nobody_there(desk, old, flags):
    """A closed port is told from a refusal."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        flags[3] = str(taken.getsockname()[1])
        done = desk.setup(ADDRESS, *flags, "--yes")

    refused(desk, done, 75, "refused", "--server")
    assert old == desk.files()


def test_no_such_host(desk, old, flags):
    """A name that does not exist is said to be one."""
    flags[1] = "mail.invalid"
    done = desk.setup(ADDRESS, *flags, "--yes")

    assert done.returncode in (68, 75)  # 75 where no name server answers
    assert "mail.invalid" in done.stderr
    assert old == desk.files()


def with_hub(desk, certificates, hub, *words):
    with running(hub):
        return desk.setup(
            *(ADDRESS, "--server", f"127.0.0.1:{hub.port}", "--password-stdin"),
            *("--ca-file", certificates.text("authority"), "--yes", *words),
        )


def test_no_tls_there(desk, old, certificates):
    """Plain SMTP where TLS was to begin: the other kind of TLS is named."""
    hub = Hub(users={ADDRESS: PASSWORD})
    done = with_hub(desk, certificates, hub, "--tls", "implicit")

    refused(desk, done, 75, "TLS was to begin", "220 hub.test", "--tls starttls")
    assert old == desk.files()


def test_no_starttls(desk, old, certificates):
    """Nothing goes to a mailhub in clear that was to speak TLS."""
    hub = Hub(users={ADDRESS: PASSWORD})
    done = with_hub(desk, certificates, hub, "--tls", "starttls")

    refused(desk, done, 75, "STARTTLS", "--tls implicit")
    assert not any(line.startswith("AUTH") for line in hub.commands)
    assert old == desk.files()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("stranger", ("not trusted", "--ca-file")),
        ("self-signed", ("self-signed", "--ca-file")),
        ("other-name", ("is not for 127.0.0.1", "--server")),
        ("expired", ("has expired",)),
    ],
)
def test_certificates(desk, old, certificates, kind, words):
    """No password goes to a mailhub whose certificate is not in order."""
    hub = Hub(
        tls="implicit",
        users={ADDRESS: PASSWORD},
        context=certificates.context(kind),
    )
    done = with_hub(desk, certificates, hub, "--tls", "implicit")

    refused(desk, done, 75, "the certificate of", *words)
    assert [] == hub.commands
    assert old == desk.files()


def test_no_auth_there(desk, old, certificates):
    """A mailhub without AUTH is not used with a password."""
    hub = Hub(tls="implicit", context=certificates.context("good"))
    done = with_hub(desk, certificates, hub, "--tls", "implicit")

    refused(desk, done, 77, "does not offer AUTH", "--user ''")
    assert old == desk.files()


def test_force(desk, old, hub, flags):
    """--force writes although the test has failed, and says that it has."""
    done = desk.setup(ADDRESS, *flags, "--yes", "--force", stdin="wrong\n")

    assert 0 == done.returncode
    assert "The test has failed: " in done.stdout
    assert f"mailhub=127.0.0.1:{hub.port}" in desk.config.read_text()


def test_no_test(desk, old, hub, flags):
    """--no-test writes without a word to the mailhub."""
    done = desk.setup(ADDRESS, *flags, "--yes", "--no-test")

    assert 0 == done.returncode
    assert 0 == hub.connections


# -- without a terminal


@pytest.mark.parametrize(
    ("missing", "flag"),
    [
        (ADDRESS, "ADDRESS"),
        ("--password-stdin", "--password-file, --password-command or --password-st"),
        ("--yes", "--yes"),
    ],
)
def test_a_flag_is_missing(desk, old, hub, flags, missing, flag):
    """Without a terminal nothing is asked: the missing flag is named."""
    words = [word for word in (ADDRESS, *flags, "--yes") if word != missing]
    done = desk.setup(*words)

    refused(desk, done, 64, "there is no terminal to ask on", flag)
    assert old == desk.files()


def test_the_user_is_missing(desk, old):
    """Where the user name has nothing to do with the address, it must be said."""
    done = desk.setup(ADDRESS, "--server", "postmark", "--password-stdin", "--yes")

    refused(desk, done, 64, "--user")
    assert old == desk.files()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["me"], "me is no address"),
        (["a@b@c"], "@"),
        ([ADDRESS, "--server", "a b"], "--server"),
        ([ADDRESS, "--server", "h.example", "--port", "70000"], "--port"),
        ([ADDRESS, "--server", "h.example", "--auth-method", "MAGIC"], "--auth-method"),
        ([ADDRESS, "--server", "h.example", "--root-to", "ops"], "ops is no address"),
        (
            [ADDRESS, "--server", "h.example", "--store", "command"],
            "--password-command",
        ),
        ([ADDRESS, "--password", "secret-9"], "--password-stdin"),
        ([ADDRESS, "--password=secret-9"], "--password-stdin"),
        ([ADDRESS, "--pass=secret-9"], "--password-stdin"),
        ([ADDRESS, "--password-stdin", "--password-file", "x"], "not allowed with"),
    ],
)
def test_what_cannot_be_meant(desk, old, words, said):
    """A flag that makes no sense ends the run with 64."""
    done = desk.setup(*words, "--no-test", "--yes")

    assert 64 == done.returncode, done.stderr
    assert said in done.stderr
    assert old == desk.files()


@pytest.mark.parametrize("name", ["a#b", 'a"b', "a:b\n"])
def test_a_name_that_revaliases_cannot_hold(desk, old, hub, flags, name):
    """--name is refused before anything is written, not broken by a comment sign."""
    done = desk.setup(ADDRESS, *flags, "--yes", "--name", name)

    refused(desk, done, 64, "--name")
    assert old == desk.files()


def test_a_keyring_that_is_not_there(desk, old, hub, flags, monkeypatch):
    """Without a keyring the other places are named."""
    monkeypatch.setenv("PATH", "/nonexistent")
    done = desk.setup(ADDRESS, *flags, "--yes", "--store", "keyring")

    refused(desk, done, 78, "keyring", "--store file")
    assert old == desk.files()


def test_a_credential_for_one_user(desk, old, hub, flags):
    """A credential is for the system's agent; --force cannot change that."""
    done = desk.setup(ADDRESS, *flags, "--yes", "--store", "credential")

    assert (64, "") == (done.returncode, done.stdout.partition("\n")[2])
    assert "take --store file or --store keyring" in done.stderr
    assert "--force" not in done.stderr
    assert old == desk.files()


def test_an_empty_password(desk, old, hub, flags):
    """An empty password is a mistake, and is not tried."""
    done = desk.setup(ADDRESS, *flags, "--yes", stdin="\n")

    refused(desk, done, 64, "the password is empty")
    assert 0 == hub.connections
    assert old == desk.files()


def test_a_password_with_signs(desk, hub, flags):
    """Blanks and signs of a password arrive, wherever it is kept."""
    hub.users[ADDRESS] = " pass word#=:1\"' "
    for store in ("file", "inline"):
        done = desk.setup(
            *(ADDRESS, *flags, "--yes", "--store", store),
            stdin=hub.users[ADDRESS] + "\n",
        )
        sent = desk.run("ann@example.net", stdin="Subject: x\n\n", program="sendmail")

        assert (0, 0) == (done.returncode, sent.returncode), done.stderr + sent.stderr
    assert 2 == len(hub.mails)


def test_what_the_format_cannot_hold(desk, old, hub, flags):
    """A password that no line of a configuration can hold is refused for --store."""
    hub.users[ADDRESS] = "pass\x01word#=:1"
    done = desk.setup(
        *(ADDRESS, *flags, "--yes", "--store", "inline"),
        stdin=hub.users[ADDRESS] + "\n",
    )

    assert 78 == done.returncode
    assert "AuthPass" in done.stderr
    assert old == desk.files()
