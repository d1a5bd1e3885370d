"""A configuration that is written is read as it was meant, whole, without a leak."""

from __future__ import annotations

import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp import config as configuration
from ssmtp.ctl import confwriter
from ssmtp.ctl.confwriter import Setting
from ssmtp.errors import ConfigError, Failure


def parsed(text):
    return configuration.parse(text.encode("utf-8", "surrogateescape"), "ssmtp.conf")


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


WORDS = st.text(
    st.one_of(st.sampled_from("ab#=:;,'\" \\\t"), st.characters(codec="utf-8")),
    min_size=1,
    max_size=20,
)


@given(WORDS)
def test_a_password_is_read_back_or_refused(password):
    """Whatever a password holds, it is read back as it is, or it is refused."""
    settings = [Setting("AuthUser", "me"), Setting("AuthPass", password)]
    try:
        text = confwriter.text(settings, "")
    except ConfigError as error:
        assert len(password) < 4 or password not in error.sentence()
    else:
        assert password == parsed(text).auth_pass.reveal()


@given(WORDS)
def test_a_text_is_read_back_or_refused(word):
    """A user name is read back, too; blanks around it mean nothing."""
    try:
        text = confwriter.text([Setting("AuthUser", word)], "")
    except ConfigError:
        pass
    else:
        assert word == parsed(text).auth_user


def test_ordinary_passwords_can_be_written():
    """No password that people have is refused."""
    for password in ("a b c d", "#x", "x #y", "'q'", '"', " x ", "a=b", "ä€", "a'b#"):
        text = confwriter.text([Setting("AuthPass", password)], "")

        assert password == parsed(text).auth_pass.reveal()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("AuthUser", "a\nb"),
        ("AuthPass", "a\rb"),
        ("AuthPass", "a\x01b"),
        ("Mailhub", "a b"),
        ("UseTLS", "perhaps"),
        ("NoSuchKey", "x"),
        ("AuthPassCommand", "a | b"),
    ],
)
def test_what_cannot_be_meant_is_refused(key, value):
    """A value that the parser would not take is not written."""
    with pytest.raises(ConfigError):
        confwriter.text([Setting(key, value)], "")


def test_what_a_person_reads():
    """Comments stand above their settings, and can be no settings themselves."""
    settings = [
        Setting("mailhub", "a.example", "Where it goes.\nroot=evil@example.org"),
        Setting("UseTLS", "yes"),
        Setting("", "", "The end."),
    ]

    assert (
        "# Head\n\n# Where it goes.\n# root=evil@example.org\nmailhub=a.example\n"
        "UseTLS=yes\n\n# The end.\n"
    ) == confwriter.text(settings, "Head")


SECRETS = """\
mailhub=a.example
AuthPass=pw-12345
authpass = "pw-12345"
#AuthPass=pw-12345
AuthPass pw-12345
AuthPas=pw-12345
Password: pw-12345
#SMTP_PASSWD pw-12345 = x
# my password is pw-12345
pw-12345
Proxy=socks5://me:pw-12345@proxy.example:1080
"""


def test_no_secret_in_a_difference(tmp_path):
    """Neither the old nor the new password is shown, however it is written."""
    path = tmp_path / "ssmtp.conf"
    path.write_text(SECRETS)
    new = "mailhub=b.example\nAuthPass=secret-9\n"
    shown = confwriter.difference(str(path), new)
    back = confwriter.difference(str(path), new + "x=1\n")

    assert "-mailhub=a.example\n" in shown
    assert "+mailhub=b.example\n" in shown
    assert "pw-12345" not in shown + back
    assert "secret-9" not in shown


def test_what_is_no_secret_is_shown(tmp_path):
    """A comment that speaks of passwords, and where one is kept, can be read."""
    text = "# The password is elsewhere.\nAuthPassFile=/etc/password\n"
    shown = confwriter.difference(str(tmp_path / "none"), text)

    assert "+# The password is elsewhere.\n+AuthPassFile=/etc/password\n" in shown


def test_another_password_is_a_difference(tmp_path):
    """That a password changes is seen, although both are dots."""
    path = tmp_path / "ssmtp.conf"
    path.write_text("AuthPass=one\n")

    assert "" == confwriter.difference(str(path), "AuthPass=one\n")
    assert "(another one)" in confwriter.difference(str(path), "AuthPass=two\n")


# -- saving


def test_a_new_file(tmp_path):
    """A new configuration is its owner's alone; its directory is made."""
    path = tmp_path / "a/b/ssmtp.conf"

    assert confwriter.save(str(path), "mailhub=a\n") is None
    assert "mailhub=a\n" == path.read_text()
    assert 0o600 == mode(path)
    assert 0o700 == mode(path.parent)


@pytest.mark.parametrize(
    ("before", "new", "after"),
    [
        (0o600, "mailhub=b\n", 0o600),
        (0o640, "mailhub=b\n", 0o640),
        (0o644, "mailhub=b\n", 0o644),
        (0o644, "AuthPass=x\n", 0o640),
        (0o666, "AuthPass=x\n", 0o640),
    ],
)
def test_rights(tmp_path, before, new, after):
    """Who could read the file still can, unless there is a password in it now."""
    path = tmp_path / "ssmtp.conf"
    path.write_text("mailhub=a\n")
    path.chmod(before)
    kept = confwriter.save(str(path), new)

    assert after == mode(path)
    assert 0o600 == mode(kept)
    assert str(kept).startswith(f"{path}.saved-")


def test_backups_do_not_replace_each_other(tmp_path):
    """Two within a second are two files."""
    path = tmp_path / "ssmtp.conf"
    path.write_text("mailhub=a\n")
    kept = [confwriter.save(str(path), f"mailhub={name}\n") for name in "bcd"]

    assert ["mailhub=a\n", "mailhub=b\n", "mailhub=c\n"] == [
        open_and_read(name) for name in kept
    ]


def open_and_read(name):
    with open(name) as file:
        return file.read()


def test_the_same_again(tmp_path):
    """The same text changes nothing, and there is no backup."""
    path = tmp_path / "ssmtp.conf"
    confwriter.save(str(path), "mailhub=a\n")
    before = os.stat(path)

    assert confwriter.save(str(path), "mailhub=a\n") is None
    assert before == os.stat(path)


def test_a_link_stays_one(tmp_path):
    """A configuration behind a link is changed where it lies."""
    real, link = tmp_path / "real", tmp_path / "ssmtp.conf"
    real.write_text("mailhub=a\n")
    link.symlink_to(real)
    confwriter.save(str(link), "mailhub=b\n")

    assert link.is_symlink()
    assert "mailhub=b\n" == real.read_text()


@pytest.mark.parametrize("call", ["open", "fsync", "rename", "fchmod", "write"])
@pytest.mark.parametrize("trouble", [KeyboardInterrupt, OSError])
def test_interrupted(tmp_path, monkeypatch, call, trouble):
    """Whatever breaks off the writing, the old configuration is whole."""
    path = tmp_path / "ssmtp.conf"
    path.write_text("mailhub=a\nroot=me@example.org\n")
    real = getattr(os, call)
    calls = []

    def breaks(*args, **more):
        calls.append(args)
        if len(calls) > (1 if call not in ("rename", "fchmod") else 0):
            raise trouble(5, "trouble")
        return real(*args, **more)

    monkeypatch.setattr(os, call, breaks)
    with pytest.raises((KeyboardInterrupt, Failure)):
        confwriter.save(str(path), "mailhub=b\n")
    monkeypatch.undo()

    assert "mailhub=a\nroot=me@example.org\n" == path.read_text()
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_directory_of_somebody_else(tmp_path):
    """What may not be written is refused in words."""
    tmp_path.chmod(0o500)
    with pytest.raises(confwriter.Refused, match="cannot be changed"):
        confwriter.save(str(tmp_path / "ssmtp.conf"), "mailhub=a\n")


def test_files_of_others_stay(tmp_path):
    """Old hidden files beside a configuration, as in a home directory, are not ours."""
    for name in (".bashrc", ".ssmtp-new", ".other.conf.0.ssmtp-new"):
        (tmp_path / name).write_text("dear")
        os.utime(tmp_path / name, (1, 1))
    before = set(os.listdir(tmp_path))
    path = str(tmp_path / "ssmtp.conf")
    for name in "ab":
        confwriter.save(path, f"mailhub={name}\n")
    confwriter.put_secret(f"{tmp_path}/password", "x")

    assert before <= set(os.listdir(tmp_path))


def test_what_a_killed_run_left_goes(tmp_path):
    """A file that was being written when a run was killed is removed by the next."""
    left = tmp_path / ".ssmtp.conf.0123.ssmtp-new"
    left.write_text("half")
    confwriter.save(str(tmp_path / "ssmtp.conf"), "mailhub=a\n")

    assert ["ssmtp.conf"] == os.listdir(tmp_path)
