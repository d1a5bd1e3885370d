"""The programs themselves agree, and the files that their packages ship are read.

Needs what `tests/peers/unpack.sh` has unpacked (Debian 12), and skips without.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from ssmtp.ctl.migrate import maincf, msmtp, postfix
from ssmtp.ctl.migrate.sources import Places
from ssmtp.ctl.migrate.taken import Draft
from tests.migrate import cases

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
PEERS = Path(os.environ.get("SSMTP_PEERS") or CACHE / "ssmtp-peers")
# ruff: noqa: E501 (a row of the table is a line)
SMARTHOST = "dc_eximconfig_configtype='smarthost'\ndc_smarthost='mail.example.org'\n"
# Package, files that it ships and where they belong, what was added, exit, what is said.
SHIPPED = [
    ("msmtp", {"usr/share/doc/msmtp/examples/msmtprc-user.example": "home/.msmtprc"}, {}, 0, "Mailhub=smtp.freemail.example:587"),
    ("msmtp", {"usr/share/doc/msmtp/examples/msmtprc-system.example": "etc/msmtprc"}, {}, 0, "RewriteDomain=oursite.example"),
    ("dma", {"usr/share/dma/dma.conf": "etc/dma/dma.conf", "etc/dma/auth.conf": "etc/dma/auth.conf"}, {}, 78, "dma delivers by itself"),
    ("postfix", {"usr/share/postfix/main.cf.debian": "etc/postfix/main.cf"}, {}, 78, "Postfix delivers by itself"),
    ("postfix", {"usr/share/postfix/main.cf.dist": "etc/postfix/main.cf"}, {}, 78, "Postfix delivers by itself"),
    ("exim4-config", {"etc/exim4/passwd.client": "etc/exim4/passwd.client", "etc/email-addresses": "etc/email-addresses"}, {"etc/exim4/update-exim4.conf.conf": SMARTHOST}, 0, "Mailhub=mail.example.org"),
    ("ssmtp", {"etc/ssmtp/revaliases": "etc/ssmtp/revaliases"}, {"etc/ssmtp/ssmtp.conf": "mailhub=mail\n"}, 0, "Mailhub"),
    ("esmtp", {"usr/share/doc/esmtp/examples/sample.esmtprc": "home/.esmtprc"}, {}, 0, "Mailhub=127.0.0.1:25"),
    ("s-nail", {"etc/s-nail.rc": "etc/s-nail.rc"}, {}, 78, "no configuration of s-nail is here"),
]  # fmt: skip
PROGRAMS = {"exim4-config": "exim"}


def missing(what):
    """Skip for want of a package, or fail where all have to be there."""
    if os.environ.get("SSMTP_REQUIRE_PEERS"):
        pytest.fail(what)
    pytest.skip(what)


def shipped(package):
    """Return the files of a Debian package by name; skips without the package."""
    found = sorted(PEERS.glob(f"archives/{package}_*.deb"))
    if not found:
        missing(f"no package {package} in {PEERS}/archives")
    told = subprocess.run(["dpkg-deb", "--fsys-tarfile", found[0]], capture_output=True)
    with tarfile.open(fileobj=io.BytesIO(told.stdout)) as archive:
        return {
            member.name.removeprefix("./"): file.read()
            for member in archive
            if (file := archive.extractfile(member) if member.isfile() else None)
        }


def program(root, name):
    """Return how a program is run that was unpacked into a root of its own."""
    root = PEERS / root
    path = root / name
    if not path.exists():
        missing(f"{path} is not there: tests/peers/unpack.sh")
    places = ("usr/lib/postfix", "usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")
    libraries = ":".join(str(root / place) for place in places)
    return [root / "lib64/ld-linux-x86-64.so.2", "--library-path", libraries, path]


@pytest.mark.parametrize(("package", "files", "more", "code", "says"), SHIPPED)
def test_shipped_files(package, files, more, code, says, tmp_path):
    """A file as the package ships it is read, or it is said why it means nothing."""
    content = shipped(package)
    every = {place: content[name] for name, place in files.items()}
    every |= {place: text.encode() for place, text in more.items()}
    for place, octets in every.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(octets)
    scope = "--user-file" if any(p.startswith("home") for p in every) else "--system"
    output = f"--output={tmp_path}/new/ssmtp.conf"
    name = PROGRAMS.get(package, package)
    told = cases.run(tmp_path, name, scope, "--yes", output)

    assert code == told.code
    assert says in told.out + told.err


MSMTP = sorted(cases.FILES.glob("msmtp/*/home/.msmtprc"))


@pytest.mark.parametrize("path", MSMTP, ids=lambda path: path.parents[1].name)
def test_msmtp_agrees(path, tmp_path):
    """What msmtp says it would use is what was read."""
    text = re.sub(r"^(eval|tls_certchek) .*", "", path.read_text(), flags=re.M)
    # msmtp would run it.
    text = re.sub(r"^passwordeval .*", "passwordeval echo x", text, flags=re.M)
    copy = tmp_path / "msmtprc"
    copy.write_text(text)
    copy.chmod(0o600)
    draft = Draft("msmtp", msmtp.RULES, tmp_path, False, "you")
    known = msmtp._accounts(draft, copy)
    name = "default" if "default" in known else next(iter(known))
    told = subprocess.run(
        [*program("msmtp", "usr/bin/msmtp"), "-C", copy, "-P", f"--account={name}"],
        capture_output=True,
        text=True,
        env={"HOME": "/nowhere"},
    )
    pairs = (line.split(" = ", 1) for line in told.stdout.splitlines() if " = " in line)
    used = {key.replace(" ", "_"): value for key, value in pairs}

    assert 0 == told.returncode, told.stderr
    compared = 0
    commands = known[name].commands
    for key, entry in commands.items():
        if key == "from" and "auto_from" in commands:
            assert used[key].endswith(f"@{commands['maildomain'].value}")
            compared += 1
        elif key in ("host", "port", "user", "from", "timeout", "domain", "proxy_port"):
            assert used[key].removesuffix(" seconds") == entry.value
            compared += 1
        elif key in ("tls", "tls_starttls"):
            assert ("on" == used[key]) == msmtp._on(entry, True)
            compared += 1
    assert compared > 3


# Those whose lines continue and name each other; postconf takes two seconds for one.
POSTFIX = [
    cases.FILES / "postfix" / name / "etc/postfix/main.cf"
    for name in ("continued", "fingerprint", "wrapper")
]


@pytest.mark.slow
@pytest.mark.parametrize("path", POSTFIX, ids=lambda path: path.parents[2].name)
def test_postfix_agrees(path, tmp_path):
    """What postconf says of a main.cf, with every $name put in, is what was read."""
    (tmp_path / "main.cf").write_bytes(path.read_bytes())
    (tmp_path / "master.cf").touch()
    places = Places(path.parents[2], None, None, True)
    read = {entry.key: entry.value for entry in maincf.read(path, places).entries()}
    told = subprocess.run(
        [*program("postfix", "usr/sbin/postconf"), "-c", tmp_path, "-nx"],
        capture_output=True,
        text=True,
    )
    lines = (line.partition(" =") for line in told.stdout.splitlines())
    used = {key: value.strip() for key, _equals, value in lines}

    assert 0 == told.returncode, told.stderr
    for key in used.keys() & read.keys() - {"mydestination"}:
        assert used[key] == " ".join(read[key].split())
    assert len(used) >= len(read) - 2


def test_every_parameter_of_postfix(tmp_path):
    """No parameter that Postfix has is taken for a misspelled one."""
    for name in ("main.cf", "master.cf"):
        (tmp_path / name).touch()
    told = subprocess.run(
        [*program("postfix", "usr/sbin/postconf"), "-c", tmp_path, "-dH"],
        capture_output=True,
        text=True,
    )
    draft = Draft("postfix", postfix.RULES, tmp_path, True, "root")
    names = told.stdout.split()

    assert len(names) > 500
    assert [] == [name for name in names if draft.rule(name) is None]
    assert [] == [
        name
        for name in names
        if postfix.NARROW.match(name) and draft.rule(name) == draft.rule("smtp_x")
    ]
