"""Everything can be said with flags: what is written, where, and what it does."""

from __future__ import annotations

import json
import os
import pwd
import stat
from pathlib import Path

import pytest

from ssmtp import config as configuration
from ssmtp.ctl.install import agent
from ssmtp.ctl.install.ground import Ground
from tests.hub import Hub, running
from tests.setup.conftest import ADDRESS, PASSWORD


def read(desk):
    """Return what the program itself reads in the configuration."""
    return configuration.parse(desk.config.read_bytes(), str(desk.config))


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def login():
    return pwd.getpwuid(os.getuid()).pw_name


def test_an_account_is_configured_and_sends(desk, hub, flags):
    """With flags alone an account is set up, and then sendmail sends by it."""
    done = desk.setup(ADDRESS, *flags, "--yes")
    sent = desk.run("ann@example.net", stdin="Subject: x\n\nhi\n", program="sendmail")

    assert (0, "") == (done.returncode, done.stderr)
    assert (0, "") == (sent.returncode, sent.stderr)
    assert [ADDRESS] == [mail.sender for mail in hub.mails]
    assert [ADDRESS] == [mail.user for mail in hub.mails]


def test_the_configuration_says_what_was_asked_for(desk, hub, flags):
    """The program reads back server, TLS, user, root and the place of the password."""
    desk.setup(ADDRESS, *flags, "--yes", "--root-to", "ops@example.org, b@example.org")
    config = read(desk)

    assert [f"127.0.0.1:{hub.port}"] == list(map(str, config.mailhubs))
    assert "implicit" == configuration.tls_mode(config, config.mailhubs[0])
    assert ADDRESS == config.auth_user
    assert "ops@example.org, b@example.org" == config.root
    assert PASSWORD + "\n" == Path(config.auth_pass_file).read_text()
    assert not config.has_secret
    assert config.rewrite_domain is None
    assert config.from_line_override


def test_only_the_owner_can_read_it(desk, hub, flags):
    """The configuration and the password are closed to everybody else."""
    desk.setup(ADDRESS, *flags, "--yes")

    assert 0o600 == mode(desk.config)
    assert 0o600 == mode(desk.config.parent / "password")


def test_a_second_run_changes_nothing(desk, hub, flags):
    """The same answers once more change nothing, and that is said."""
    desk.setup(ADDRESS, *flags, "--yes")
    before = desk.files()
    done = desk.setup(ADDRESS, *flags)

    assert 0 == done.returncode
    assert "Nothing to change" in done.stdout
    assert before == desk.files()


def test_comments_of_people_stay(desk, hub, flags):
    """A configuration that says the same with other comments is left alone."""
    desk.setup(ADDRESS, *flags, "--yes")
    desk.config.write_text("# mine\n" + desk.config.read_text())
    before = desk.files()
    done = desk.setup(ADDRESS, *flags, "--yes", "--json")

    assert "unchanged" == json.loads(done.stdout)["result"]
    assert before == desk.files()


def test_the_old_configuration_is_kept(desk, hub, flags):
    """What was there lies beside the new configuration, closed to others."""
    desk.config.parent.mkdir(parents=True)
    desk.config.write_text("mailhub=old.example.org\n")
    desk.config.chmod(0o644)
    done = desk.setup(ADDRESS, *flags, "--yes", "--json")
    (kept,) = desk.config.parent.glob("ssmtp.conf.saved-*")

    assert "mailhub=old.example.org\n" == kept.read_text()
    assert 0o600 == mode(kept)
    assert str(kept) == json.loads(done.stdout)["backup"]


def test_other_settings_are_taken_over(desk, hub, flags):
    """What no answer is about stays; what belonged to the other mailhub goes."""
    desk.config.parent.mkdir(parents=True)
    desk.config.write_text(
        "mailhub=old.example.org\nUseSTARTTLS=yes\nAuthUser=old\nAuthPass=pw-12345\n"
        "TLSFingerprint=" + "ab" * 32 + "\nhostname=web1.example.org\n"
        "AddHeader=X-One: 1\nAddHeader=X-Two: 2 # two\nConnectTimeout = 9s\n"
    )
    desk.config.chmod(0o600)
    done = desk.setup(ADDRESS, *flags, "--yes")
    config = read(desk)

    assert 0 == done.returncode
    assert "web1.example.org" == config.hostname
    assert ["X-One: 1", "X-Two: 2"] == [field for _, field in config.add_headers]
    assert 9 == config.connect_timeout
    assert [] == config.tls_fingerprints
    assert not config.has_secret
    assert "pw-12345" not in done.stdout


def test_name_and_sender(desk, hub, flags):
    """--from and --name decide what the mail is from."""
    desk.setup(
        ADDRESS, *flags, "--yes", "--from", "web@example.org", "--name", "A. Web"
    )
    desk.run("ann@example.net", stdin="Subject: x\n\nhi\n", program="sendmail")

    assert "web@example.org" == hub.mails[0].sender
    assert ['"A. Web" <web@example.org>'] == hub.mails[0].field("From")


def test_lines_of_other_users_stay(desk, hub, flags):
    """In revaliases only the line of the account's user is another one."""
    desk.config.parent.mkdir(parents=True)
    other = desk.config.parent / "revaliases"
    other.write_text(f"# people\nbob:bob@example.org\n{login()}:old@example.org:h:25\n")
    desk.setup(ADDRESS, *flags, "--yes")

    expected = f"# people\nbob:bob@example.org\n{login()}:{ADDRESS}\n"
    assert expected == other.read_text()


def test_dry_run(desk, hub, flags):
    """--dry-run tests and shows, and writes nothing."""
    done = desk.setup(ADDRESS, *flags, "--dry-run")

    assert 0 == done.returncode
    assert f"+mailhub=127.0.0.1:{hub.port}" in done.stdout
    assert any(line.startswith("AUTH") for line in hub.commands)
    assert {} == desk.files()


def test_json(desk, hub, flags):
    """--json prints one object that says what was done, and nothing else."""
    done = desk.setup(ADDRESS, *flags, "--yes", "--json")
    told = json.loads(done.stdout)

    assert "written" == told["result"]
    assert str(desk.config) == told["path"]
    assert f"127.0.0.1:{hub.port}" == told["mailhub"]
    assert (True, "PLAIN") == (told["test"]["verified"], told["test"]["mechanism"])
    assert "file" == told["store"]


def test_json_of_a_failure(desk, hub, flags):
    """A failure is an object too, and the exit code says the same."""
    done = desk.setup(ADDRESS, *flags, "--yes", "--json", stdin="wrong\n")
    told = json.loads(done.stdout)

    assert ("failed", 77) == (told["result"], told["exit"])
    assert 77 == done.returncode
    assert "535" in told["reason"]


def test_the_test_is_a_real_session(desk, hub, flags):
    """The account is tried with AUTH and MAIL, and no message is begun."""
    desk.setup(ADDRESS, *flags, "--yes")
    verbs = [line.partition(" ")[0] for line in hub.commands]

    assert ["EHLO", "AUTH", "MAIL", "RSET", "QUIT"] == verbs
    assert f"MAIL FROM:<{ADDRESS}>" in hub.commands
    assert [] == hub.mails


def test_starttls_on_any_port(desk, certificates):
    """--tls starttls is written down for a port that does not say so itself."""
    made = Hub(
        tls="starttls",
        users={ADDRESS: PASSWORD},
        context=certificates.context("good"),
    )
    with running(made):
        done = desk.setup(
            *(ADDRESS, "--server", f"127.0.0.1:{made.port}", "--tls", "starttls"),
            *("--ca-file", certificates.text("authority"), "--password-stdin", "--yes"),
        )

    assert 0 == done.returncode
    assert read(desk).use_starttls


def test_without_authentication(desk):
    """A hub that asks for no password is configured with --user ''."""
    with running(Hub()) as made:
        done = desk.setup(
            *(ADDRESS, "--server", f"127.0.0.1:{made.port}", "--tls", "none"),
            *("--user", "", "--yes"),
            stdin="",
        )

    assert 0 == done.returncode
    assert read(desk).auth_user is None
    assert read(desk).use_tls is False


def test_a_bridge_on_this_machine(desk, certificates):
    """A program at a loopback address may have a certificate of its own making."""
    made = Hub(
        tls="starttls",
        users={ADDRESS: PASSWORD},
        context=certificates.context("self-signed"),
    )
    with running(made):
        server = f"127.0.0.1:{made.port}"
        done = desk.setup(ADDRESS, "--server", server, "--password-stdin", "--yes")
        sent = desk.run("a@example.net", stdin="Subject: x\n\n", program="sendmail")

    assert (0, 0) == (done.returncode, sent.returncode)
    assert "unverified" in done.stdout


def test_an_agent_that_runs(desk, hub, flags):
    """An agent has to read the new configuration; the command for that is named."""
    socket = desk.home / "run/ssmtp/submit.sock"
    socket.parent.mkdir(parents=True)
    socket.touch()
    desk.more["XDG_RUNTIME_DIR"] = str(desk.home / "run")
    done = desk.setup(ADDRESS, *flags, "--yes")
    again = desk.setup(ADDRESS, *flags, "--yes")

    assert "systemctl --user try-restart ssmtp-acceptor" in done.stdout
    assert "try-restart" not in again.stdout


def test_another_configuration_wins(desk, hub, flags):
    """Whoever writes a file that is not the one they send by is told so."""
    desk.more["SSMTP_CONF"] = "/etc/other.conf"
    done = desk.setup(ADDRESS, *flags, "--yes")

    assert "another configuration, /etc/other.conf" in done.stdout
    assert f"-C {desk.config} {ADDRESS}" in done.stdout


# -- where the password is kept


def test_inline(desk, hub, flags):
    """--store inline writes the password into the configuration, and shows dots."""
    done = desk.setup(ADDRESS, *flags, "--yes", "--store", "inline")

    assert PASSWORD == read(desk).auth_pass.reveal()
    assert "+AuthPass=••••••" in done.stdout
    assert ["revaliases", "ssmtp.conf"] == sorted(os.listdir(desk.config.parent))


def test_a_new_password_inline(desk, hub, flags):
    """That the password is another one is shown, but not which; the old one is kept."""
    desk.setup(ADDRESS, *flags, "--yes", "--store", "inline")
    hub.users[ADDRESS] = "pw-12345"
    done = desk.setup(
        *(ADDRESS, *flags, "--yes", "--store", "inline"), stdin="pw-12345\n"
    )
    (kept,) = desk.config.parent.glob("ssmtp.conf.saved-*")

    assert "-AuthPass=••••••\n+AuthPass=•••••• (another one)" in done.stdout
    assert "pw-12345" not in done.stdout
    assert f"AuthPass={PASSWORD}" in kept.read_text()
    assert 0o600 == mode(kept)


def test_a_new_password_in_a_file(desk, hub, flags):
    """A new password gets a file of its own, so that the backup goes on to work."""
    desk.setup(ADDRESS, *flags, "--yes")
    hub.users[ADDRESS] = "pw-12345"
    desk.setup(ADDRESS, *flags, "--yes", stdin="pw-12345\n")
    folder = desk.config.parent

    assert PASSWORD + "\n" == (folder / "password").read_text()
    assert "pw-12345\n" == (folder / "password-2").read_text()
    assert str(folder / "password-2") == read(desk).auth_pass_file


def test_a_command(desk, hub, flags):
    """--password-command is run for the test, and is what the configuration names."""
    store = desk.home / "store"
    store.write_text(PASSWORD + "\n")
    flags.remove("--password-stdin")
    done = desk.setup(
        ADDRESS, *flags, "--yes", "--password-command", f"cat '{store}'", stdin=""
    )

    assert 0 == done.returncode
    assert ["cat", str(store)] == read(desk).auth_pass_command
    assert not (desk.config.parent / "password").exists()


def test_a_command_for_once(desk, hub, flags):
    """What a command prints can be kept in a file as well."""
    store = desk.home / "store"
    store.write_text(PASSWORD + "\n")
    flags.remove("--password-stdin")
    given = ["--password-command", f"cat '{store}'", "--store", "file"]
    done = desk.setup(ADDRESS, *flags, "--yes", *given, stdin="")

    assert 0 == done.returncode
    assert PASSWORD + "\n" == (desk.config.parent / "password").read_text()


def test_a_file(desk, hub, flags):
    """--password-file is read, and the password gets into a file of its own."""
    store = desk.home / "store"
    store.write_text(PASSWORD + "\nsecond line\n")
    flags.remove("--password-stdin")
    done = desk.setup(ADDRESS, *flags, "--yes", "--password-file", "store", stdin="")

    assert 0 == done.returncode
    assert PASSWORD + "\n" == (desk.config.parent / "password").read_text()


KEYRING = """\
#!/bin/sh
# A keyring of one password, in the place of the real program.
case $1 in
store) cat > "$HOME/ring" ;;
lookup) cat "$HOME/ring" ;;
esac
"""


def test_a_keyring(desk, hub, flags, monkeypatch):
    """With secret-tool the password is in the keyring, and mail goes out by it."""
    programs = desk.home / "programs"
    programs.mkdir()
    (programs / "secret-tool").write_text(KEYRING)
    (programs / "secret-tool").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    done = desk.setup(ADDRESS, *flags, "--yes", "--store", "keyring")
    sent = desk.run("ann@example.net", stdin="Subject: x\n\nhi\n", program="sendmail")

    assert 0 == done.returncode
    assert PASSWORD == (desk.home / "ring").read_text()
    assert str(programs / "secret-tool") == read(desk).auth_pass_command[0]
    assert 0 == sent.returncode


@pytest.mark.skipif(os.getuid() != 0, reason="the system's file is root's")
def test_a_credential(desk, hub, flags):
    """A systemd credential is named in the configuration; the commands are shown."""
    path = desk.home / "etc/ssmtp/ssmtp.conf"
    done = desk.run(
        *("setup", "--system", "-C", str(path), ADDRESS, *flags),
        *("--yes", "--store", "credential"),
        stdin=PASSWORD + "\n",
    )
    config = configuration.parse(path.read_bytes(), str(path))

    assert 0 == done.returncode
    assert "ssmtp.password" == config.auth_pass_credential
    assert "agent" == config.delivery
    assert "systemd-creds encrypt --name=ssmtp.password" in done.stdout
    assert not (path.parent / "password").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="the system's file is root's")
def test_a_new_file_of_the_system(desk, hub, flags):
    """A new file of the system is for the group that an installation gives it."""
    path = desk.home / "etc/ssmtp/ssmtp.conf"
    desk.run(
        *("setup", "--system", "-C", str(path), ADDRESS, *flags, "--yes"),
        stdin=PASSWORD + "\n",
    )
    group = agent.group(Ground(""))

    for name in ("ssmtp.conf", "password"):
        found = (path.parent / name).stat()
        assert (0, group, 0o640) == (found.st_uid, found.st_gid, found.st_mode & 0o777)
    assert (group, 0o750) == (path.parent.stat().st_gid, mode(path.parent))


@pytest.mark.skipif(os.getuid() != 0, reason="the system's file is root's")
def test_for_the_system(desk, hub, flags):
    """The system's file keeps group and mode, and the password file has them too."""
    path = desk.home / "etc/ssmtp/ssmtp.conf"
    path.parent.mkdir(parents=True)
    path.write_text("mailhub=old.example.org\n")
    os.chown(path, 0, 8)  # mail, on Debian
    path.chmod(0o640)
    done = desk.run(
        *("setup", "--system", "-C", str(path), ADDRESS, *flags, "--yes"),
        stdin=PASSWORD + "\n",
    )

    assert 0 == done.returncode
    for name in ("ssmtp.conf", "password"):
        found = (path.parent / name).stat()
        assert (0, 8, 0o640) == (found.st_uid, found.st_gid, found.st_mode & 0o777)
    assert 0o644 == mode(path.parent / "revaliases")
