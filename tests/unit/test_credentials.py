"""The password is found where the configuration says, or the reason is said."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ssmtp import credentials
from ssmtp.config import Mailhub, Secret
from ssmtp.credentials import command as command_module
from ssmtp.credentials import file
from ssmtp.errors import AuthRefused, ConfigError, UsageError

PYTHON = sys.executable


def config(**given):
    """Make what credentials.py reads of a configuration."""
    known = {
        "path": "/etc/ssmtp/ssmtp.conf",
        "mailhubs": [SimpleNamespace(host="mail.corp.example")],
        "auth_user": None,
        "auth_pass": None,
        "auth_pass_file": None,
        "auth_pass_command": None,
        "auth_pass_credential": None,
        "auth_method": None,
        "use_old_auth": False,
        "allow_cleartext_auth": False,
    }
    if isinstance(given.get("auth_pass"), str):
        given["auth_pass"] = Secret(given["auth_pass"])
    return SimpleNamespace(**known | given)


def options(**given):
    """Make what credentials.py reads of a command line."""
    if "auth_pass" in given:
        given["auth_pass"] = Secret(given["auth_pass"])
    known = {"auth_user": None, "auth_pass": None, "auth_method": None}
    return SimpleNamespace(**known | given)


def password(configuration, opts=None) -> str:
    """Fetch the password of a configuration that has one."""
    found = credentials.from_config(configuration, opts or options())
    assert found is not None
    return found.secret().reveal()


def secret_file(tmp_path, text: bytes = b"hush\n", mode: int = 0o600) -> str:
    path = tmp_path / "secret"
    path.write_bytes(text)
    path.chmod(mode)
    return str(path)


def test_nothing():
    """Without AuthUser there is no AUTH."""
    assert credentials.from_config(config(), options()) is None


def test_password_without_user():
    """A password alone asks for nothing, as in the classic."""
    assert credentials.from_config(config(auth_pass="hush"), options()) is None


def test_plain_configuration():
    """AuthUser and AuthPass are what they say."""
    found = credentials.from_config(
        config(
            auth_user="u",
            auth_pass="hush",
            auth_method="login",
            use_old_auth=True,
            allow_cleartext_auth=True,
        ),
        options(),
    )

    assert found is not None
    assert ("u", "LOGIN") == (found.user, found.method)
    assert found.old_auth
    assert found.cleartext_ok
    assert "hush" == found.secret().reveal()


def test_options_win():
    """-au, -ap and -am win over the configuration."""
    found = credentials.from_config(
        config(auth_user="u", auth_pass="one", auth_method="LOGIN"),
        options(auth_user="v", auth_pass="p#2=x:y z", auth_method="plain"),
    )

    assert found is not None
    assert ("v", "PLAIN", "p#2=x:y z") == (
        found.user,
        found.method,
        found.secret().reveal(),
    )


def test_option_user_with_configured_password():
    """-au alone goes with the configured password."""
    assert "one" == password(config(auth_pass="one"), options(auth_user="v"))


@pytest.mark.parametrize(
    ("configuration", "opts"),
    [
        (config(auth_user="u"), options()),
        (config(auth_user="u", auth_pass=""), options()),
        (config(), options(auth_user="u")),
        (config(auth_user="u"), options(auth_pass="")),
    ],
)
def test_user_without_password(configuration, opts):
    """A user without a password is said before a connection is made."""
    with pytest.raises(AuthRefused, match="no password") as caught:
        credentials.from_config(configuration, opts)

    assert 77 == caught.value.exit_code
    assert "AuthPassFile" in caught.value.next_step


def test_empty_user():
    """An empty user is a mistake, not a user."""
    with pytest.raises(ConfigError, match="AuthUser is empty"):
        credentials.from_config(config(auth_user="", auth_pass="x"), options())
    with pytest.raises(UsageError, match="-au"):
        credentials.from_config(config(auth_pass="x"), options(auth_user=""))
    assert credentials.from_config(config(auth_user=""), options()) is None


def test_external():
    """EXTERNAL needs neither user nor password."""
    found = credentials.from_config(config(auth_method="external"), options())

    assert found is not None
    assert ("", "EXTERNAL", "") == (found.user, found.method, found.secret().reveal())


def test_two_sources():
    """Two places for one password is a question, not an answer."""
    with pytest.raises(ConfigError, match="AuthPass and AuthPassFile"):
        credentials.from_config(
            config(auth_user="u", auth_pass="x", auth_pass_file="/y"), options()
        )


@pytest.mark.parametrize(
    ("host", "text", "wanted"),
    [
        ("smtp.gmail.com", "abcd efgh ijkl mnop", "abcdefghijklmnop"),
        ("SMTP.Googlemail.com.", "abcd efgh ijkl mnop", "abcdefghijklmnop"),
        ("smtp-relay.gmail.com", "abcd\xa0efgh\xa0ijkl\xa0mnop", "abcdefghijklmnop"),
        ("smtp.gmail.com", "abcdefghijklmnop", "abcdefghijklmnop"),
        ("smtp.gmail.com", "two words", "two words"),
        ("smtp.gmail.com", "abcd efgh 1234 mnop", "abcd efgh 1234 mnop"),
        ("notgmail.com", "abcd efgh ijkl mnop", "abcd efgh ijkl mnop"),
        ("127.0.0.1", "abcd efgh ijkl mnop", "abcd efgh ijkl mnop"),
        (None, "abcd efgh ijkl mnop", "abcd efgh ijkl mnop"),
    ],
)
def test_app_password(host, text, wanted, tmp_path):
    """Google's app password works with its blanks; no other password is touched."""
    hubs = [SimpleNamespace(host=host)]
    path = secret_file(tmp_path, text.encode())

    assert wanted == password(config(auth_user="u", auth_pass=text, mailhubs=hubs))
    assert wanted == password(config(auth_user="u", auth_pass_file=path, mailhubs=hubs))


def test_app_password_of_the_mailhub_of_this_user():
    """The mailhub that revaliases names counts, not the one it replaces."""
    found = credentials.from_config(
        config(auth_user="u", auth_pass="abcd efgh ijkl mnop"),
        options(),
        [Mailhub("smtp.gmail.com", 587)],
    )

    assert found is not None
    assert "abcdefghijklmnop" == found.secret().reveal()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"hush\n", "hush"),
        (b"hush", "hush"),
        (b"hush\r\nsecond line\n", "hush"),
        (b" with blanks \n", " with blanks "),
        (b"s\xc3\xa9cret\n", "s\xe9cret"),
        (b"s\xe9cret\n", "s\udce9cret"),
    ],
)
def test_file(tmp_path, text, wanted):
    """The first line of the file is the password, octet by octet."""
    path = secret_file(tmp_path, text)

    assert wanted == password(config(auth_user="u", auth_pass_file=path))


def test_file_is_read_when_needed(tmp_path):
    """The file is opened when the password is wanted, and only once."""
    path = secret_file(tmp_path)
    found = credentials.from_config(
        config(auth_user="u", auth_pass_file=path), options()
    )
    assert found is not None
    (tmp_path / "secret").write_bytes(b"changed\n")

    assert "changed" == found.secret().reveal()
    os.unlink(path)
    assert "changed" == found.secret().reveal()


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o666, 0o660])
def test_file_open_to_others(tmp_path, mode):
    """A password file open to others is refused with the command to type."""
    path = secret_file(tmp_path, mode=mode)

    with pytest.raises(ConfigError) as caught:
        file.read(path)
    assert f"chmod o-rwx,g-w {path}" == caught.value.next_step
    os.system(caught.value.next_step)
    assert "hush" == file.read(path)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640])
def test_file_modes(tmp_path, mode):
    """A file for the owner and a group is fine."""
    assert "hush" == file.read(secret_file(tmp_path, mode=mode))


def test_file_of_another_user(tmp_path, monkeypatch):
    """A password file that another user could change is refused."""
    path = secret_file(tmp_path)
    owner = os.stat(path).st_uid
    if owner == 0:
        os.chown(path, 65534, -1)
    else:
        monkeypatch.setattr(os, "getuid", lambda: owner + 1)
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)

    with pytest.raises(ConfigError, match="belongs to another user") as caught:
        file.read(path)
    assert path in caught.value.next_step


def test_file_that_is_none(tmp_path):
    """A directory, a device or a FIFO is no password file, and nothing blocks."""
    os.mkfifo(tmp_path / "fifo", 0o600)

    for path in (tmp_path, tmp_path / "fifo", "/dev/null"):
        with pytest.raises(ConfigError, match="not a regular file"):
            file.read(str(path))


def test_file_missing(tmp_path):
    """A missing file is named, with a next step."""
    with pytest.raises(ConfigError, match="No such file") as caught:
        file.read(str(tmp_path / "none"))

    assert str(tmp_path / "none") in caught.value.what
    assert caught.value.next_step


def test_file_of_which_the_caller_is_kept_out(monkeypatch):
    """Who has to be let in is named, as its number."""

    def refuse(*args: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch, pytest.raises(ConfigError) as caught:
        patch.setattr(os, "open", refuse)
        file.read("/etc/ssmtp/password")

    assert "AuthPassFile /etc/ssmtp/password" in caught.value.what
    assert f"let uid {os.getuid()} read it" in caught.value.next_step


@pytest.mark.parametrize("text", [b"", b"\n", b"\r\n", b"\nsecond"])
def test_file_empty(tmp_path, text):
    """An empty first line is no password."""
    with pytest.raises(AuthRefused, match="empty first line"):
        file.read(secret_file(tmp_path, text))


def test_file_too_long(tmp_path):
    """A file that is no password file is not read to its end."""
    with pytest.raises(ConfigError, match="too long"):
        file.read(secret_file(tmp_path, b"x" * 100_000))


def test_file_below_home(tmp_path, monkeypatch):
    """~ is the home directory; a relative path begins beside the configuration."""
    secret_file(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    conf = str(tmp_path / "ssmtp.conf")

    assert "hush" == password(config(auth_user="u", auth_pass_file="~/secret"))
    assert "hush" == password(config(auth_user="u", auth_pass_file="secret", path=conf))


def test_file_without_home(monkeypatch):
    """Without HOME the passwd entry tells the home directory."""
    pwd = pytest.importorskip("pwd")
    monkeypatch.delenv("HOME", raising=False)
    home = pwd.getpwuid(os.getuid()).pw_dir

    assert f"{home}/x" == file.expanded("~/x")
    assert f"{pwd.getpwuid(0).pw_dir}/x" == file.expanded(
        f"~{pwd.getpwuid(0).pw_name}/x"
    )
    with pytest.raises(ConfigError, match="home directory"):
        file.expanded("~no-such-user-here/x")


def command(code: str) -> list[str]:
    return [PYTHON, "-I", "-S", "-c", code]


def test_command():
    """The command's first line is the password; it has nothing to read."""
    code = "import sys; print('h' + sys.stdin.read() + 'ush'); print('second')"

    assert "hush" == password(config(auth_user="u", auth_pass_command=command(code)))


def test_command_is_run_once(tmp_path):
    """The command is run when the password is wanted, once."""
    mark = tmp_path / "runs"
    code = f"open({str(mark)!r}, 'a').write('x'); print('hush')"
    found = credentials.from_config(
        config(auth_user="u", auth_pass_command=command(code)), options()
    )
    assert found is not None

    assert not mark.exists()
    assert ["hush", "hush"] == [found.secret().reveal() for _ in "ab"]
    assert "x" == mark.read_text()


def test_command_without_shell():
    """Nothing in the words of a command is interpreted."""
    assert "$HOME; `id` *" == command_module.read(["echo", "$HOME; `id` *"])


def test_command_missing():
    """A command that does not exist is the configuration's mistake."""
    with pytest.raises(ConfigError, match="no-such-command") as caught:
        command_module.read(["/nowhere/no-such-command", "--key", "hush"])

    assert "hush" not in caught.value.sentence()


def test_command_fails():
    """A failing command is named, with the last line it said, escaped."""
    code = (
        "import sys; print('hush'); sys.stderr.write('first\\n\\x1b[2Jno key\\n\\n');"
        "sys.exit(3)"
    )
    with pytest.raises(AuthRefused) as caught:
        command_module.read(command(code))

    assert 77 == caught.value.exit_code
    assert PYTHON in caught.value.what
    assert "(exit status 3): \\x1b[2Jno key" in caught.value.what
    assert "first" not in caught.value.what
    assert "hush" not in caught.value.sentence()


def test_command_says_the_password():
    """A password that a failing command also says on stderr is not quoted."""
    code = "import sys; print('hush'); sys.exit('wrong password: hush')"
    with pytest.raises(AuthRefused) as caught:
        command_module.read(command(code))

    assert "hush" not in caught.value.sentence()


def test_command_killed():
    """A command that dies of a signal failed."""
    with pytest.raises(AuthRefused, match="killed by signal 15"):
        command_module.read(
            command("import os; print('hush', flush=True); os.kill(os.getpid(), 15)")
        )


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("pass", "printed no password"),
        ("print()", "printed no password"),
        ("print('x' * 100_000)", "too long"),
    ],
)
def test_command_output(code, words):
    """An empty or endless first line is no password."""
    with pytest.raises(AuthRefused, match=words):
        command_module.read(command(code))


def test_command_much_output():
    """A command that goes on writing is not blocked, and its status counts."""
    code = "import sys; print('hush'); print('x' * 300_000); sys.exit(int(0))"

    assert "hush" == command_module.read(command(code))


def test_command_too_slow(monkeypatch, tmp_path):
    """After the time is up the command and its children are killed."""
    monkeypatch.setattr(command_module, "SECONDS", 0.4)
    pids = tmp_path / "pids"
    code = (
        "import os, time; child = os.fork();"
        f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(60)"
    )
    begun = time.monotonic()
    with pytest.raises(AuthRefused, match="has not ended"):
        command_module.read(command(code))

    assert time.monotonic() - begun < 20
    for pid in map(int, pids.read_text().split()):
        while _alive(pid):
            time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().split()[2] not in "ZX"
    except OSError:
        return False


def test_command_whose_caller_ends(tmp_path):
    """Who ends while another thread waits for the command leaves none behind."""
    told = tmp_path / "pid"
    shell = f"echo $$ >{told}.new; mv {told}.new {told}; exec sleep 600"
    words = (
        "import sys, threading, time; from pathlib import Path;"
        "sys.path.insert(0, sys.argv[1]);"
        "from ssmtp.credentials import command;"
        "listen, known = command._listen, threading.Event();"
        "command._listen = lambda process: known.set() or listen(process);"
        "run = lambda: command.read(['sh', '-c', sys.argv[2]]);"
        "threading.Thread(target=run, daemon=True).start();"
        "known.wait()\n"
        "while not Path(sys.argv[3]).exists(): time.sleep(0.01)"
    )
    source = str(Path(command_module.__file__).parents[2])
    subprocess.run([PYTHON, "-c", words, source, shell, str(told)], timeout=20)

    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


def test_command_with_something_in_the_background(monkeypatch):
    """A process left behind with the pipes open does not keep us waiting."""
    monkeypatch.setattr(command_module, "SECONDS", 20)
    code = (
        "import os, sys, time; print('hush', flush=True);"
        "os.fork() or (time.sleep(1.5), os._exit(0))"
    )
    begun = time.monotonic()

    assert "hush" == command_module.read(command(code))
    assert time.monotonic() - begun < 15


def test_command_with_ignored_children():
    """The exit status counts even when the caller left SIGCHLD ignored."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(AuthRefused, match="exit status 3"):
            command_module.read(command("print('hush'); raise SystemExit(3)"))

        assert signal.SIG_IGN == signal.getsignal(signal.SIGCHLD)
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_credential(tmp_path, monkeypatch):
    """A systemd credential is read from its directory."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "smtp").write_text("hush\n")

    assert "hush" == password(config(auth_user="u", auth_pass_credential="smtp"))


def test_credential_missing(tmp_path, monkeypatch):
    """A credential that is not there says what to add to the unit."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigError, match="CREDENTIALS_DIRECTORY") as caught:
        file.credential("smtp")
    assert "LoadCredential=smtp:" in caught.value.next_step

    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(ConfigError, match="No such file") as caught:
        file.credential("smtp")
    assert "LoadCredential=smtp:" in caught.value.next_step


def test_credential_that_is_no_file(tmp_path, monkeypatch):
    """A directory is no credential."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "smtp").mkdir()

    with pytest.raises(ConfigError, match="not a regular file"):
        file.credential("smtp")


def test_command_that_hides(monkeypatch):
    """A command that closes its output and goes on is killed when the time is up."""
    monkeypatch.setattr(command_module, "SECONDS", 0.3)
    code = "import os, time; print('x', flush=True); os.close(1); os.close(2);"

    with pytest.raises(AuthRefused, match="has not ended"):
        command_module.read(command(code + "time.sleep(60)"))


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "..", "."])
def test_credential_name(name, monkeypatch, tmp_path):
    """A credential is a name, never a way out of its directory."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    with pytest.raises(ConfigError, match="is a path"):
        file.credential(name)
