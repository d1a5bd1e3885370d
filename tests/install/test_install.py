"""`ssmtpctl install` and `uninstall`: what they write, refuse, keep and bring back."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ssmtp import __version__
from tests.hub import Hub, running
from tests.install.trees import (
    ROOT,
    SENDMAIL,
    SSMTPCTL,
    old_system,
    snapshot,
    without_bytecode,
)

COMMANDS = ("ssmtp", "sendmail", "mailq", "newaliases", "ssmtpctl")


def call(*words: str | Path, **more) -> subprocess.CompletedProcess[str]:
    more.setdefault("env", {})
    more.setdefault("timeout", 60)
    return subprocess.run(
        words, capture_output=True, text=True, stdin=subprocess.DEVNULL, **more
    )


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """The tree of a machine that has another mailer."""
    root = tmp_path / "system"
    old_system(root)
    return root


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home directory with an installation."""
    home = tmp_path_factory.mktemp("home")
    run = call(
        SSMTPCTL, "install", "--prefix", home / ".local", env={"HOME": str(home)}
    )
    assert (0, "") == (run.returncode, run.stderr)
    return home


def install(root: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return call(SSMTPCTL, "install", "--root", root, "--prefix", "/usr", *words)


def uninstall(root: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return call(SSMTPCTL, "uninstall", "--root", root, "--prefix", "/usr", *words)


def test_the_commands_of_a_home_directory_run(home):
    """Without root: all five are there, wherever they are called from."""
    for name in COMMANDS:
        run = call(home / ".local/bin" / name, "--version", cwd="/")

        assert (0, "") == (run.returncode, run.stderr), name
    assert (home / ".local/lib/sendmail").resolve() == home / ".local/bin/ssmtp"


def test_a_mail_goes_out_from_a_home_directory(home):
    """With the configuration that the installation began, once it has a mailhub."""
    hub = Hub()
    conf = home / ".config/ssmtp/ssmtp.conf"
    begun = conf.read_text()
    assert 0o600 == conf.stat().st_mode & 0o777
    with running(hub):
        conf.write_text(f"{begun}\nmailhub=127.0.0.1:{hub.port}\n")
        run = subprocess.run(
            [home / ".local/lib/sendmail", "a@dest.test"],
            input=b"Subject: s\n\nb\n",
            env={"HOME": str(home)},
            capture_output=True,
            timeout=20,
        )
    conf.write_text(begun)

    assert (0, b"") == (run.returncode, run.stderr)
    assert [["a@dest.test"]] == [mail.recipients for mail in hub.mails]


def test_commands_start_isolated_from_their_own_copy(home):
    """-I -S, an absolute interpreter, and no path but that of the copy."""
    for name in ("ssmtp", "ssmtpctl"):
        text = (home / ".local/bin" / name).read_text()

        assert "#!/usr/bin/python3 -IS" == text.splitlines()[0]
        assert str(ROOT) not in text
        assert f"{home}/.local/lib/ssmtp/" in text


def test_launchers_do_what_those_of_the_checkout_do(home):
    """But for the search for the code, and for what a first run keeps."""
    for name in ("ssmtp", "ssmtpctl"):
        ours = statements((home / ".local/bin" / name).read_text()) - {"_exit(main())"}
        theirs = statements((ROOT / "bin" / name).read_text()) - KEEPING

        assert [f'sys.path.insert(0, "{home}/.local/lib/ssmtp/'] == [
            line.replace("'", '"').rpartition("/")[0] + "/" for line in ours - theirs
        ]
        assert theirs - ours
        assert all("link" in line or line in SEARCH for line in theirs - ours)


KEEPING = {
    "code = main()",
    "if Finder.fresh:",
    "from ssmtp.bytegroups import keep",
    "keep()",
    "_exit(code)",
}
SEARCH = (
    "path = __file__",
    "try:",
    "while True:",
    "except OSError:",
    'sys.path.insert(0, path.rpartition("/")[0] + "/../src")',
    "from posix import _exit, readlink",
)


def statements(text: str) -> set[str]:
    """Return the lines of a launcher without comments."""
    text = text.replace(
        "from posix import _exit\n", "from posix import _exit, readlink\n"
    )
    lines = (line.strip() for line in text.splitlines())
    return {line for line in lines if line and not line.startswith("#")}


def test_nobody_else_has_to_compile(home):
    """Every module lies there with bytecode that its source has not outdated."""
    sources = sorted((home / ".local/lib/ssmtp").rglob("*.py"))
    assert len(sources) > 100
    tag = call(
        "/usr/bin/python3", "-ISc", "import sys; print(sys.implementation.cache_tag)"
    )
    for source in sources:
        cached = (
            source.parent / "__pycache__" / f"{source.stem}.{tag.stdout.strip()}.pyc"
        )
        head = cached.read_bytes()[:16]
        facts = source.stat()

        assert bytes(4) == head[4:8], source
        assert int(facts.st_mtime) == int.from_bytes(head[8:12], "little"), source
        assert facts.st_size == int.from_bytes(head[12:16], "little"), source
    groups = {
        path.name.partition(".")[0] for path in sources[0].parent.rglob("*.group")
    }
    assert {"sendmail", "delivery", "direct"} <= groups


def test_an_installation_can_install_again(home, tmp_path):
    """What was installed has all that another installation needs."""
    own = home / ".local/bin/ssmtpctl"
    run = call(own, "install", "--root", tmp_path, "--prefix", "/usr")

    assert (0, "") == (run.returncode, run.stderr)
    assert (tmp_path / "usr/share/man/man8/ssmtp.8").is_file()


def test_pages_completions_and_links_are_there(home):
    """Manual pages, also under the names of the links; completions for three shells."""
    share = home / ".local/share"
    for name in ("ssmtp", "sendmail", "mailq", "newaliases"):
        assert ".TH SSMTP 8" in (share / f"man/man8/{name}.8").read_text()
    for name in (
        "man/man5/ssmtp.conf.5",
        "bash-completion/completions/ssmtpctl",
        "bash-completion/completions/sendmail",
        "fish/vendor_completions.d/sendmail.fish",
        "zsh/site-functions/_ssmtp",
    ):
        assert (share / name).is_file(), name


def test_what_others_wrote_is_refused(system):
    """Exit 77, a sentence that names it, and nothing is changed."""
    before = snapshot(system)
    run = install(system)

    assert 77 == run.returncode
    assert "" == run.stdout
    assert 1 == run.stderr.count("\n")
    for path in ("/usr/sbin/sendmail", "/usr/bin/mailq", "--replace"):
        assert path in run.stderr
    assert before == snapshot(system)


def test_a_dry_run_changes_nothing(system):
    """It prints what a run prints."""
    before = snapshot(system)
    would = install(system, "--replace", "--dry-run")

    assert (0, "") == (would.returncode, would.stderr)
    assert before == snapshot(system)
    assert would.stdout in install(system, "--replace").stdout
    installed = snapshot(system)
    would = uninstall(system, "--dry-run")
    assert installed == snapshot(system)
    assert would.stdout == uninstall(system).stdout


def test_uninstall_brings_back_exactly_what_was_there(system):
    """Files with their modes, links, and not a directory more."""
    before = snapshot(system)
    run = install(system, "--replace")

    assert (0, "") == (run.returncode, run.stderr)
    assert "ssmtp" == os.readlink(system / "usr/sbin/sendmail")
    assert SENDMAIL == (system / "usr/sbin/sendmail.ssmtp-saved").read_text()
    assert "save    /usr/sbin/sendmail as /usr/sbin/sendmail.ssmtp-saved" in run.stdout
    assert 0 == uninstall(system).returncode
    assert before == snapshot(system)


def test_a_second_run_changes_nothing(system):
    """Install twice and it is as after once; uninstall twice, and that is no error."""
    install(system, "--replace")
    once, written = snapshot(system), (system / "usr/sbin/ssmtp").stat().st_ino
    run = install(system)

    assert (0, "") == (run.returncode, run.stderr)
    assert once == snapshot(system)
    assert written == (system / "usr/sbin/ssmtp").stat().st_ino
    uninstall(system)
    again = uninstall(system)
    assert (0, "") == (again.returncode, again.stderr)
    assert "there is no installation" in again.stdout


def test_what_was_changed_since_stays(system):
    """Neither a new installation nor its end takes what somebody has edited."""
    install(system, "--replace")
    page = system / "usr/share/man/man8/ssmtp.8"
    page.write_text("my own page\n")
    conf = system / "etc/ssmtp/ssmtp.conf"
    conf.write_text("mailhub=mail.test\n")
    refused = install(system)

    assert 77 == refused.returncode
    assert "/usr/share/man/man8/ssmtp.8" in refused.stderr
    ended = uninstall(system)
    assert "keep    /etc/ssmtp/ssmtp.conf, changed since" in ended.stdout
    assert "my own page\n" == page.read_text()
    assert "mailhub=mail.test\n" == conf.read_text()
    assert not (system / "usr/sbin/ssmtp").exists()


def test_nothing_that_was_saved_is_ever_overwritten(system):
    """A mailer that came after ours is not put aside over the one before."""
    install(system, "--replace")
    sendmail = system / "usr/sbin/sendmail"
    sendmail.unlink()
    sendmail.write_text("a third one\n")
    run = install(system, "--replace")

    assert 77 == run.returncode
    assert "/usr/sbin/sendmail.ssmtp-saved already" in run.stderr
    assert SENDMAIL == (system / "usr/sbin/sendmail.ssmtp-saved").read_text()
    ended = uninstall(system)
    assert "/usr/sbin/sendmail.ssmtp-saved is what was there before" in ended.stdout
    assert "a third one\n" == sendmail.read_text()


def test_a_classic_configuration_is_taken_as_it_is(system):
    """Not a letter of it is changed, and what is wrong with it is told."""
    conf = system / "etc/ssmtp/ssmtp.conf"
    for text, said in (
        ("root=postmaster\nmailhub=mail.test\nUseTLS=YES\n", ""),
        ("mailhub=mail.test\nFromLineOverride=perhaps\n", "line 2"),
        ("#mailhub=\n", "write a line mailhub="),
    ):
        conf.write_text(text)
        conf.chmod(0o640)
        run = install(system, "--replace")

        assert (0, "") == (run.returncode, run.stderr)
        assert text == conf.read_text()
        assert said in run.stdout
        notes = [
            line for line in run.stdout.splitlines() if line[:4] in ("note", "next")
        ]
        assert bool(said) == bool(notes), notes
    uninstall(system)
    assert conf.exists()


def test_a_configuration_is_begun_where_there_is_none(system):
    """With comments only, closed to others, in a directory that is closed, too."""
    install(system, "--replace")
    conf = system / "etc/ssmtp/ssmtp.conf"

    assert all(line[:1] in ("#", "") for line in conf.read_text().splitlines())
    assert 0o640 == conf.stat().st_mode & 0o777
    shutil.rmtree(system / "etc/ssmtp")
    install(system)
    assert 0o750 == conf.parent.stat().st_mode & 0o777


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, for groups")


def access(path: Path) -> tuple[int, str]:
    """Return the group of a file or directory, and its mode."""
    found = path.stat()
    return found.st_gid, oct(found.st_mode & 0o7777)


@needs_root
@pytest.mark.parametrize(
    ("groups", "number"),
    [("ssmtp:x:995:\nmail:x:8:\n", 995), ("mail:x:8:\n", 8), ("root:x:0:\n", 0)],
)
def test_the_agent_can_read_a_new_configuration(groups, number, system):
    """Its user, or else the group mail; without either, root alone."""
    (system / "etc/ssmtp").rmdir()
    (system / "etc/group").write_text(groups)
    before = snapshot(system)
    install(system, "--replace")

    assert (number, "0o750") == access(system / "etc/ssmtp")
    assert (number, "0o640") == access(system / "etc/ssmtp/ssmtp.conf")
    uninstall(system)
    assert before == snapshot(system)


@needs_root
def test_a_directory_that_was_closed_is_opened_for_the_group(system):
    """A new configuration can be read by its group where the directory was root's."""
    (system / "etc/ssmtp").chmod(0o700)
    (system / "etc/group").write_text("ssmtp:x:995:\nmail:x:8:\n")
    before = snapshot(system)
    run = install(system, "--replace")

    assert "group   /etc/ssmtp: ssmtp, mode 0750" in run.stdout
    assert (995, "0o750") == access(system / "etc/ssmtp")
    uninstall(system)
    assert before == snapshot(system)


@needs_root
def test_who_opens_the_configuration_is_not_gainsaid(system):
    """What an administrator has made of owner and mode stays, whatever comes."""
    conf = system / "etc/ssmtp/ssmtp.conf"
    conf.write_text("mailhub=mail.test\n")
    conf.chmod(0o600)
    install(system, "--replace", "--agent")
    assert "0o640" == access(conf)[1]
    conf.chmod(0o644)
    install(system)

    assert "0o644" == access(conf)[1]
    uninstall(system)
    assert "0o644" == access(conf)[1]


def test_an_empty_configuration_does_not_hide_that_of_the_system(system):
    """Who has mail by the system's configuration goes on with it."""
    (system / "etc/ssmtp/ssmtp.conf").write_text("mailhub=mail.test\n")
    env = {"HOME": "/home/ann"}
    words = ("install", "--root", system, "--prefix", "/home/ann/.local")
    run = call(SSMTPCTL, *words, env=env)

    assert (0, "") == (run.returncode, run.stderr)
    assert (system / "home/ann/.local/bin/sendmail").exists()
    assert not (system / "home/ann/.config").exists()


def test_the_units_run_the_command_of_the_prefix(system):
    """With --agent: units, user and directories; without, none of it stays."""
    words = ("--root", system, "--prefix", "/opt/ssmtp")
    before = snapshot(system)
    assert 0 == call(SSMTPCTL, "install", "--agent", *words).returncode
    unit = system / "etc/systemd/system/ssmtp-acceptor.service"

    assert "ExecStart=/opt/ssmtp/bin/ssmtpctl agent accept" in unit.read_text()
    assert (system / "etc/sysusers.d/ssmtp.conf").is_file()
    # A run that does not say leaves it as it is.
    assert 0 == call(SSMTPCTL, "install", *words).returncode
    assert unit.exists()
    assert 0 == call(SSMTPCTL, "install", "--no-agent", *words).returncode
    assert not unit.exists()
    call(SSMTPCTL, "uninstall", *words)
    after = snapshot(system)
    assert before == {path: after[path] for path in before}


def test_an_agent_of_ones_own_is_run_from_home(system):
    """The units of a user are those of his manager, and run his own command."""
    words = ("install", "--agent", "--root", system, "--prefix", "/home/ann/.local")
    run = call(SSMTPCTL, *words, env={"HOME": "/home/ann"})

    assert (0, "") == (run.returncode, run.stderr)
    units = system / "home/ann/.config/systemd/user"
    text = (units / "ssmtp-sender.service").read_text()
    assert "ExecStart=/home/ann/.local/bin/ssmtpctl agent send" in text
    assert not (system / "etc/sysusers.d").exists()


def test_mail_that_waits_is_never_removed(system):
    """The queue stays when the agent goes, until it is empty; what the agent wrote down
    for itself is no mail."""
    install(system, "--replace", "--agent")
    queue = system / "var/spool/ssmtp/queue"
    queue.mkdir(parents=True, exist_ok=True)
    (queue / "0message").write_text("mail\n")
    run = uninstall(system)

    assert "keep    /var/spool/ssmtp, there is mail in it" in run.stdout
    assert "mail\n" == (queue / "0message").read_text()
    (queue / "0message").unlink()
    for name in ("site.json", "site.json.new", "receipts", "receipts.1"):
        (queue.parent / name).write_text("{}\n")
    install(system, "--replace", "--agent")
    uninstall(system)
    assert not (system / "var/spool/ssmtp").exists()


def test_nobody_has_to_listen(system):
    """A pipe that is closed at its other end stops no installation."""
    run = call(
        "bash",
        "-c",
        '"$@" | true; exit "${PIPESTATUS[0]}"',
        "bash",
        SSMTPCTL,
        "install",
        "--replace",
        "--prefix",
        "/usr",
        "--root",
        system,
    )

    assert (0, "") == (run.returncode, run.stderr)
    assert (system / "usr/sbin/ssmtp").exists()


def test_a_full_disk_is_told_and_healed(system):
    """What fails in the middle says so in one line; the next run goes on from there."""
    before = snapshot(system)
    limited = 'ulimit -f 24; exec "$0" install --replace --prefix /usr --root "$1"'
    run = call("sh", "-c", limited, SSMTPCTL, system)

    assert 75 == run.returncode
    assert 1 == run.stderr.count("\n")
    assert "File too large" in run.stderr
    assert SENDMAIL == (system / "usr/sbin/sendmail").read_text()
    assert 0 == install(system, "--replace").returncode
    assert 0 == uninstall(system).returncode
    assert before == snapshot(system)


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    """A checkout of its own, to make a later version of."""
    checkout = tmp_path / "checkout"
    for part in ("bin", "docs/man", "share", "src", "pyproject.toml"):
        source = ROOT / part
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, checkout / part, symlinks=True, ignore=ignored)
        else:
            shutil.copy(source, checkout / part)
    return checkout


def test_a_later_version_takes_the_place_of_the_one_before(versions, system):
    """New files come, old ones go; a run that has begun still finds its modules."""
    before = snapshot(system)
    words = ("install", "--root", system, "--prefix", "/usr", "--replace")
    trees = system / "usr/lib/ssmtp"
    assert 0 == call(versions / "bin/ssmtpctl", *words).returncode
    [first] = [path for path in trees.iterdir() if path.is_dir()]
    (versions / "docs/man/ssmtp.conf.5").unlink()
    (versions / "share/completions/fish/ssmtp.fish").write_text("# new\n")
    assert 0 == call(versions / "bin/ssmtpctl", *words).returncode

    assert not (system / "usr/share/man/man5").joinpath("ssmtp.conf.5").exists()
    fish = system / "usr/share/fish/vendor_completions.d/ssmtp.fish"
    assert "# new\n" == fish.read_text()
    assert first.is_dir()
    with (versions / "src/ssmtp/stamp.py").open("a") as file:
        file.write("# later still\n")
    assert 0 == call(versions / "bin/ssmtpctl", *words).returncode
    assert not first.exists()
    assert 0 == uninstall(system).returncode
    assert before == snapshot(system)


def test_a_damaged_copy_is_made_anew(system):
    """A module that was changed or lost is there again after another run."""
    install(system, "--replace")
    [module] = (system / "usr/lib/ssmtp").glob("*/ssmtp/sendmail.py")
    text = module.read_text()
    module.write_text("raise SystemExit(0)\n")
    run = install(system)

    assert 0 == run.returncode
    assert text == module.read_text()


def test_only_one_run_at_a_time(system):
    """A second one says so and changes nothing."""
    install(system, "--replace")
    before = without_bytecode(snapshot(system))
    fd = os.open(system / "usr/lib/ssmtp", os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        runs = [install(system, "--no-agent"), uninstall(system)]
    finally:
        os.close(fd)

    for run in runs:
        assert 77 == run.returncode
        assert "another run is at work" in run.stderr
    assert before == without_bytecode(snapshot(system))


@pytest.mark.parametrize("name", ["py thon", "p" * 130])
def test_an_interpreter_that_no_script_can_name_is_refused(tmp_path, name):
    """Exit 64 before anything is written."""
    (tmp_path / name).symlink_to("/usr/bin/python3")
    home = tmp_path / "home"
    home.mkdir()
    words = ("install", "--prefix", home / ".local", "--python", tmp_path / name)
    run = call(SSMTPCTL, *words, env={"HOME": str(home)})

    assert 64 == run.returncode
    assert "--python" in run.stderr
    assert {} == snapshot(home)


def test_an_interpreter_that_others_cannot_run_is_refused(tmp_path):
    """A system's sendmail is for all users, its interpreter must be, too."""
    (tmp_path / "private").mkdir(0o700)
    python = tmp_path / "private/python3"
    python.symlink_to("/usr/bin/python3")
    run = install(tmp_path, "--python", python)

    assert 77 == run.returncode
    assert f"other users cannot run {python}" in run.stderr


def test_an_interpreter_is_what_was_named(tmp_path):
    """No interpreter, or an old one, is refused."""
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    for python in ("/bin/cat", "/nonexistent", old):
        run = install(tmp_path, "--python", python)

        assert 77 == run.returncode
        assert "is no Python 3.11 or later" in run.stderr


def test_a_home_without_home_needs_a_prefix(tmp_path):
    """Neither HOME nor a passwd entry is needed where the place is named."""
    script = (
        "import os, sys; sys.path.insert(0, sys.argv.pop(1));"
        "os.geteuid = os.getuid = lambda: 424242;"
        "from ssmtp import ctl; sys.exit(ctl.main())"
    )
    python = ("/usr/bin/python3", "-ISc", script, ROOT / "src", "install", "--dry-run")
    unnamed = call(*python)
    named = call(*python, "--prefix", tmp_path / "here")

    assert 64 == unnamed.returncode
    assert "--prefix" in unnamed.stderr
    assert (0, "") == (named.returncode, named.stderr)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "scenario",
    [
        "install, uninstall",
        "install, install",
        "uninstall, uninstall",
        "uninstall, install",
    ],
)
def test_a_run_that_was_killed_is_healed_by_the_next(scenario, tmp_path):
    """Killed before any change of it: the next run makes of it what it should be."""
    script = Path(__file__).with_name("kill.py")
    run = subprocess.run(
        [sys.executable, script, scenario, tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"HOME": "/nonexistent"},
    )

    assert 0 == run.returncode, run.stdout
    assert int(run.stdout) > 30


def test_a_wheel_has_every_page_and_every_shared_file():
    """What `install` needs is in what pip installs: each page is named for it."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())
    data = told["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    pages = {str(p.relative_to(ROOT)) for p in (ROOT / "docs/man").rglob("*.[1-9]")}

    assert "share/ssmtp" == data["share"]
    assert pages == set(data) - {"share"}
    for page in pages:
        folder = Path(page).relative_to("docs/man")
        wanted = Path(
            "share/man", folder.parent, f"man{folder.suffix[1:]}", folder.name
        )
        assert str(wanted) == data[page]


def test_the_debian_packages_have_the_version_of_the_program():
    """The newest entry of the changelog is of this version."""
    first = (ROOT / "debian/changelog").read_text().splitlines()[0]

    assert f"ssmtp-ng ({__version__})" == first.partition(" unstable")[0]


def test_completions_are_up_to_date():
    """The files are what the tables of the program say."""
    run = call(sys.executable, ROOT / "docs/completions/generate.py", "--check")

    assert (0, "") == (run.returncode, run.stdout)


@pytest.mark.parametrize(
    ("words", "among"),
    [
        (("ssmtpctl", "que"), {"queue"}),
        (("ssmtpctl", "queue", "re"), {"retry", "release"}),
        (("ssmtpctl", "install", "--d"), {"--dry-run"}),
        (("ssmtpctl", "queue", "retry", "--al"), {"--all"}),
        (("ssmtpctl", "sink", "--tls", ""), {"none", "starttls", "implicit"}),
        (("sendmail", "-R", ""), {"full", "hdrs"}),
        (("sendmail", "-o"), {"-oi", "-ov"}),
        (("sendmail", "-C", "/etc/pass"), {"/etc/passwd"}),
        (("ssmtp", "--w"), {"--wait"}),
    ],
)
def test_bash_completes(words, among):
    """What bash offers for words that are not finished."""
    file = "ssmtpctl" if words[0] == "ssmtpctl" else "ssmtp"
    script = (
        f"compopt() {{ :; }}; source {ROOT}/share/completions/bash/{file};"
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        f'_{file}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    run = call("bash", "-c", script, "bash", *words)

    assert "" == run.stderr
    offered = set(run.stdout.split())
    assert among <= offered
    assert {word for word in offered if not word.startswith(words[-1])} == set()


@pytest.mark.parametrize(
    ("shell", "name"),
    [
        ("zsh", "_ssmtp"),
        ("zsh", "_ssmtpctl"),
        ("fish", "ssmtp.fish"),
        ("fish", "ssmtpctl.fish"),
    ],
)
def test_other_shells_can_read_their_completions(shell, name):
    """There is no mistake in their syntax."""
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    run = call(shell, "-n", ROOT / "share/completions" / shell / name)

    assert (0, "") == (run.returncode, run.stderr)
