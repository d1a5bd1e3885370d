"""Where the configuration is, and who may read it."""

from __future__ import annotations

import errno
import grp
import os
import posix
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ssmtp import configfile
from ssmtp.errors import ConfigError, SystemTrouble

ROOT = os.geteuid() == 0


def refusal(path: object) -> str:
    with pytest.raises(ConfigError) as caught:
        configfile.load(str(path))
    assert 78 == caught.value.exit_code
    assert caught.value.sentence().isprintable()
    return caught.value.sentence()


def write(path: Path, text: str = "Mailhub=hub.example\n", mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_search_order(tmp_path):
    """-C wins, then SSMTP_CONF, then the user's own file, then the system's."""
    own = write(tmp_path / "xdg" / "ssmtp" / "ssmtp.conf")
    home = write(tmp_path / "home" / ".config" / "ssmtp" / "ssmtp.conf")
    other = write(tmp_path / "other" / ".config" / "ssmtp" / "ssmtp.conf")
    environ = {
        "SSMTP_CONF": "/named",
        "XDG_CONFIG_HOME": str(tmp_path / "xdg"),
        "HOME": str(tmp_path / "home"),
    }
    passwd = str(tmp_path / "other")

    assert "/option" == configfile.find("/option", environ, passwd)
    assert "/named" == configfile.find(None, environ, passwd)
    environ["SSMTP_CONF"] = ""
    assert str(own) == configfile.find(None, environ, passwd)
    del environ["XDG_CONFIG_HOME"]
    assert str(home) == configfile.find(None, environ, passwd)
    del environ["HOME"]
    assert str(other) == configfile.find(None, environ, passwd)
    assert "/etc/ssmtp/ssmtp.conf" == configfile.find(None, environ, None)
    other.unlink()
    assert "/etc/ssmtp/ssmtp.conf" == configfile.find(None, environ, passwd)


@pytest.mark.skipif(not ROOT, reason="only root can give a file away")
def test_a_strangers_home(tmp_path):
    """A file in HOME that belongs to another user is not the caller's own."""
    own = write(tmp_path / ".config" / "ssmtp" / "ssmtp.conf")
    os.chown(own, 1000, 1000)

    assert "/etc/ssmtp/ssmtp.conf" == configfile.find(
        None, {"HOME": str(tmp_path)}, None
    )


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"XDG_CONFIG_HOME": "relative"},
        {"XDG_CONFIG_HOME": "", "HOME": ""},
        {"HOME": "relative"},
        {"HOME": "/nonexistent\0"},
        {"XDG_CONFIG_HOME": "/dev/null"},
        {"SSMTP_CONF": ""},
    ],
)
def test_nothing_of_the_users_own(environ):
    """Where a user has no file of their own, the system's is the one."""

    assert "/etc/ssmtp/ssmtp.conf" == configfile.find(None, environ, None)


def test_directory_instead_of_home(tmp_path):
    """XDG_CONFIG_HOME that exists but holds no file leads on, not to ~/.config."""
    write(tmp_path / "home" / ".config" / "ssmtp" / "ssmtp.conf")
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path / "home")}

    assert "/etc/ssmtp/ssmtp.conf" == configfile.find(None, environ, None)


@pytest.mark.parametrize("kind", ["dangling", "directory", "unreadable"])
def test_users_file_that_cannot_be_read(tmp_path, kind):
    """A file of the user's that is there but cannot be read stops the search (78)."""
    path = tmp_path / "ssmtp" / "ssmtp.conf"
    path.parent.mkdir()
    if kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "directory":
        path.mkdir()
    else:
        write(path, mode=0)

    found = configfile.find(None, {"XDG_CONFIG_HOME": str(tmp_path)}, None)

    assert str(path) == found
    if kind != "unreadable" or not ROOT:
        assert str(path) in refusal(found)


def test_reads_a_file(tmp_path):
    """What is in the file is the configuration."""
    config = configfile.load(str(write(tmp_path / "ssmtp.conf")))

    assert ["hub.example:25"] == [str(hub) for hub in config.mailhubs]
    assert str(tmp_path / "ssmtp.conf") == config.path


def test_follows_links(tmp_path):
    """The file may be a link, as configuration managers make them."""
    write(tmp_path / "real")
    (tmp_path / "ssmtp.conf").symlink_to("real")

    assert configfile.load(str(tmp_path / "ssmtp.conf")).mailhubs


def test_missing(tmp_path):
    """A missing file is an error with its path and what to write."""
    sentence = refusal(tmp_path / "ssmtp.conf")

    assert f"{tmp_path}/ssmtp.conf does not exist" in sentence
    assert "Mailhub=" in sentence


def test_not_a_directory(tmp_path):
    """A path through a file is an error with the path."""
    write(tmp_path / "file")

    assert f"{tmp_path}/file/ssmtp.conf" in refusal(tmp_path / "file" / "ssmtp.conf")


@pytest.mark.parametrize("kind", ["fifo", "directory", "device", "socket"])
def test_not_a_regular_file(tmp_path, kind):
    """What is no regular file is refused at once, without waiting for a writer."""
    path = tmp_path / "ssmtp.conf"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "device":
        path = Path("/dev/null")
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))

    assert str(path) in refusal(path)


@pytest.mark.parametrize("path", ["a\0b", "", "x" * 5000, "\x1b[2J"])
def test_paths_that_cannot_be(path):
    """Any text may be given as a path, and the error is one clean line."""

    assert "ssmtp" not in refusal(path).partition(" ")[0]


def test_too_large(tmp_path):
    """A file over 1 MiB is no configuration."""
    path = write(tmp_path / "ssmtp.conf", "#" * (1 << 20))
    configfile.load(str(path))
    path.write_text("#" * ((1 << 20) + 1))

    assert "1 MiB" in refusal(path)


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o666, 0o602, 0o777])
@pytest.mark.parametrize("text", ["AuthPass=hunter2", "Proxy=http://me:hunter2@h"])
def test_secret_that_others_can_read(tmp_path, text, mode):
    """A file with a secret that is open to others is refused, with the chmod to type.

    What is typed then cures it.
    """
    path = write(tmp_path / "a file", text, mode)
    sentence = refusal(path)
    command = sentence[sentence.index("chmod ") :]

    assert "hunter2" not in sentence
    assert str(path) in sentence
    subprocess.run(command, shell=True, check=True)
    assert configfile.load(str(path)).has_secret
    assert 0 == path.stat().st_mode & 0o007


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o660, 0o400])
def test_secret_that_is_kept(tmp_path, mode):
    """A secret for the owner and the group is fine."""

    assert configfile.load(str(write(tmp_path / "c", "AuthPass=x", mode))).has_secret


@pytest.mark.parametrize("text", ["Mailhub=h", "AuthUser=me\nAuthPass=", "#AuthPass=x"])
def test_no_secret_no_mode(tmp_path, text):
    """A file without a secret may be readable by everybody."""

    assert not configfile.load(str(write(tmp_path / "c", text, 0o644))).has_secret


def test_mode_of_the_opened_file(tmp_path):
    """Through a link, the mode that counts is that of the file that is read."""
    write(tmp_path / "real", "AuthPass=x", 0o644)
    (tmp_path / "ssmtp.conf").symlink_to("real")

    assert "chmod" in refusal(tmp_path / "ssmtp.conf")


NO_DESCRIPTORS = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from ssmtp import configfile
from ssmtp.errors import SystemTrouble
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
try:
    configfile.load(sys.argv[2])
except SystemTrouble as error:
    print(error.exit_code)
"""


def test_trouble_that_passes(tmp_path):
    """Where the machine is out of descriptors, the configuration is not to blame."""
    source = Path(configfile.__file__).parents[1]
    path = str(write(tmp_path / "c"))
    words = [sys.executable, "-c", NO_DESCRIPTORS, str(source), path]
    run = subprocess.run(words, capture_output=True, text=True, check=True)

    assert f"{SystemTrouble.exit_code}\n" == run.stdout


def test_trouble_while_reading(tmp_path, monkeypatch):
    """A file that can be opened but not read is an error, too."""

    def read(fd: int, size: int) -> bytes:
        raise OSError(errno.EACCES, "no")

    monkeypatch.setattr(posix, "read", read)

    assert "cannot be read" in refusal(write(tmp_path / "c"))


def test_home_in_paths(tmp_path, monkeypatch):
    """A path that begins with ~/ is taken from the caller's home."""
    path = write(tmp_path / "c", "TLS_CA_File=~/ca.pem\nTLSCert=x.pem")
    monkeypatch.setenv("HOME", "/home/me")
    config = configfile.load(str(path))

    assert "/home/me/ca.pem" == config.tls_ca_file
    assert f"{tmp_path}/x.pem" == config.tls_cert
    monkeypatch.delenv("HOME")
    home = configfile.load(str(path)).tls_ca_file
    assert home != "/home/me/ca.pem"


def test_files_beside(tmp_path):
    """revaliases may be missing; aliases that are named may not."""
    write(tmp_path / "revaliases", "root:me@x\n")

    assert b"root:me@x\n" == configfile.read_text(
        str(tmp_path / "revaliases"), "revaliases", missing_ok=True
    )
    assert None is configfile.read_text(
        str(tmp_path / "none"), "revaliases", missing_ok=True
    )
    with pytest.raises(ConfigError, match=r"aliases: .*/none does not exist"):
        configfile.read_text(str(tmp_path / "none"), "aliases")


AS_SOMEBODY = """
import os, sys
sys.path.insert(0, sys.argv[1])
from ssmtp import configfile
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    configfile.read_text(sys.argv[2], "x", missing_ok=True)
    print("read")
except configfile.ConfigError as error:
    print(error.sentence())
"""


def as_somebody(path: Path) -> str:
    """Try to read a file as a user who owns nothing."""
    source = Path(configfile.__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-c", AS_SOMEBODY, str(source), str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout


@pytest.fixture
def public_folder():
    """Make a folder that every user can search, as /etc/ssmtp is."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.skipif(not ROOT, reason="only root can become somebody else")
def test_unreadable(public_folder):
    """A file that cannot be read is an error that names the group which can.

    That holds for a file beside the configuration, too: without it the mail would go
    out under another name.
    """
    path = write(public_folder / "etc" / "ssmtp.conf", mode=0o640)
    os.chown(path, 0, 8)
    path.parent.chmod(0o755)
    group = grp.getgrgid(8).gr_name

    assert f"{path} cannot be read" in as_somebody(path)
    assert f"group {group}" in as_somebody(path)
    path.chmod(0o600)
    assert "group" not in as_somebody(path)
    path.chmod(0o644)
    assert "read\n" == as_somebody(path)
    os.chown(path.parent, 0, 8)
    path.parent.chmod(0o750)
    assert f"group {group}" in as_somebody(path)
    os.chown(path.parent, 0, 54321)
    assert "group 54321" in as_somebody(path)
    path.parent.chmod(0o700)
    assert "group" not in as_somebody(path)


@pytest.mark.skipif(os.getuid() != 0, reason="gives a file away")
@pytest.mark.parametrize(
    "line",
    [
        "AuthPassCommand=/bin/true",
        "AuthPassFile=/etc/shadow",
        "AuthPassCredential=password",
        "LogFile=/root/.profile",
        "Spool=/root",
    ],
)
def test_another_users_file_names_nothing_to_use_in_our_name(tmp_path, line):
    """A configuration of another user names no command and no file to use."""
    path = tmp_path / "ssmtp.conf"
    path.write_text(f"Mailhub=hub.example.org\n{line}\n")
    path.chmod(0o600)
    os.chown(path, 1000, 1000)

    with pytest.raises(ConfigError, match=r"belongs to another user \(uid 1000\)"):
        configfile.load(str(path))
