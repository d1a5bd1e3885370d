"""What cannot be read is told with file and line; what is not there, too."""

from __future__ import annotations

import os

import pytest

from tests.migrate import cases

# ruff: noqa: E501 (a row of the table is a line)
GOOD = {
    "msmtp": {"home/.msmtprc": "account default\nhost smtp.example.org\n"},
    "dma": {"etc/dma/dma.conf": "SMARTHOST smtp.example.org\nNULLCLIENT\n"},
    "postfix": {"etc/postfix/main.cf": "relayhost = [smtp.example.org]\n"},
}
EXIM = "dc_eximconfig_configtype='smarthost'\n"
# Program, file, its text, and what the complaint begins with behind the directory.
BAD = [
    ("msmtp", "home/.msmtprc", "account a\nport 99999\nhost b\n", ".msmtprc, line 2: port: this is no port"),
    ("msmtp", "home/.msmtprc", "account a\nuser x\n", ".msmtprc, line 1: account: this account has no host"),
    ("msmtp", "home/.msmtprc", "account a\nhost b_!\n", ".msmtprc, line 2: host: it cannot be a mailhub"),
    ("msmtp", "home/.msmtprc", "account a : b\nhost c\n", ".msmtprc, line 1: account: the account b is not defined"),
    ("msmtp", "home/.msmtprc", "account a\nhost c\naccount a\n", ".msmtprc, line 3: account: there is an account"),
    ("msmtp", "home/.msmtprc", "account a\nhost c\ntls maybe\n", ".msmtprc, line 3: tls: it is neither on nor off"),
    ("msmtp", "home/.msmtprc", "account a\nhost c\nauth on\n", ".msmtprc, line 3: auth: auth is on, but there is no user"),
    ("msmtp", "home/.msmtprc", "account\nhost c\n", ".msmtprc, line 1: account: the name is missing"),
    ("msmtp", "home/.msmtprc", "# nothing\n", ".msmtprc defines no account"),
    ("nullmailer", "etc/nullmailer/remotes", "a smtp\nb smtp --pass='secret-9\n", "remotes, line 2: remotes: a quote is not closed"),
    ("nullmailer", "etc/nullmailer/remotes", "# nobody\n", "remotes: remotes: it names no host"),
    ("nullmailer", "etc/nullmailer/remotes", "a smtp --port=x\n", "remotes, line 1: port: this is no port"),
    ("nullmailer", "etc/nullmailer/remotes", "a smtp pass secret-9\n", "remotes, line 1: pass: it has no value"),
    ("nullmailer", "etc/nullmailer/remotes", "a smtp --source\n", "remotes, line 1: source: the value is missing"),
    ("dma", "etc/dma/dma.conf", "SMARTHOST a\nMASQUERADE a b@x.example\n", "dma.conf, line 2: MASQUERADE: this is no address"),
    ("esmtp", "home/.esmtprc", "hostname = a\npassword = x secret-9\n", ".esmtprc, line 2: password: more than one word"),
    ("esmtp", "home/.esmtprc", "hostname = a\n'secret-9' = x\n", ".esmtprc, line 2: a value stands where a keyword"),
    ("msmtp", "home/.msmtprc", "account a\nhost c\ntimeout never\n", ".msmtprc, line 3: timeout: ConnectTimeout needs a number of seconds"),
    ("msmtp", "home/.msmtprc", "account a\nhost c\nsource_ip here\n", ".msmtprc, line 3: source_ip: SourceAddress needs an IP address"),
    ("postfix", "etc/postfix/main.cf", "relayhost = a\nmessage_size_limit = huge\n", "main.cf, line 2: message_size_limit: MaxMessageSize"),
    ("dma", "etc/dma/dma.conf", "NULLCLIENT\n", "dma.conf: SMARTHOST: there is none: dma delivers by itself"),
    ("dma", "etc/dma/dma.conf", "SMARTHOST a\n\nPORT smpt\n", "dma.conf, line 3: PORT: this is no port"),
    ("esmtp", "home/.esmtprc", "hostname = a\nusername = 'me\n", ".esmtprc, line 2: ': a quote is not closed"),
    ("esmtp", "home/.esmtprc", "hostname = a\nstarttls = yes\n", ".esmtprc, line 2: starttls: it is neither enabled"),
    ("esmtp", "home/.esmtprc", "hostname = a\nusername\n", ".esmtprc, line 2: username: the value is missing"),
    ("esmtp", "home/.esmtprc", "username = a\n", ".esmtprc: identity: there is no hostname"),
    ("postfix", "etc/postfix/main.cf", "a = b\n", "main.cf: relayhost: there is none: Postfix delivers by itself"),
    ("postfix", "etc/postfix/main.cf", "relayhost = a\nnonsense\n", "main.cf, line 2: nonsense: this is no line name = value"),
    ("postfix", "etc/postfix/main.cf", "relayhost = [a]:99999\n", "main.cf, line 1: relayhost: this is no port"),
    ("postfix", "etc/postfix/main.cf", "relayhost = a\nsmtp_tls_security_level = yes\n", "main.cf, line 2: smtp_tls_security_level: this is no level"),
    ("postfix", "etc/postfix/main.cf", "relayhost = a\nsmtp_use_tls = 1\n", "main.cf, line 2: smtp_use_tls: it is neither yes nor no"),
    ("exim", "etc/exim4/update-exim4.conf.conf", "dc_eximconfig_configtype='internet'\n", "update-exim4.conf.conf, line 1: dc_eximconfig_configtype: Exim delivers by itself"),
    ("exim", "etc/exim4/update-exim4.conf.conf", EXIM + "dc_smarthost='a\n", "update-exim4.conf.conf, line 2: dc_smarthost: a quote is not closed"),
    ("exim", "etc/exim4/update-exim4.conf.conf", EXIM + "dc_smarthost=''\n", "update-exim4.conf.conf, line 2: dc_smarthost: there is no smarthost"),
    ("exim", "etc/exim4/update-exim4.conf.conf", EXIM + "dc smarthost=a b\n", "update-exim4.conf.conf, line 2: dc: this is no line"),
    ("s-nail", "home/.mailrc", "set x\nset mta=smtp://a:x@b:99999 'q\n", ".mailrc, line 2: set: a quote is not closed"),
    ("s-nail", "home/.mailrc", "set mta=imap://secret-9@smtp.b\n", ".mailrc, line 1: mta: there is no such protocol"),
    ("s-nail", "home/.mailrc", "set mta=/opt/smtp\n", ".mailrc, line 1: mta: s-nail sends with a sendmail here"),
    ("ssmtp", "etc/ssmtp/ssmtp.conf", "mailhub=a\nAuthPas=secret-9\n", "ssmtp.conf, line 2: unknown key AuthPas"),
    ("ssmtp", "etc/ssmtp/ssmtp.conf", "mailhub=a:smtp\n", "ssmtp.conf, line 1: Mailhub needs a port"),
]  # fmt: skip


def put(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(("program", "name", "text", "says"), BAD)
def test_bad_input(program, name, text, says, tmp_path):
    """A line that cannot be meant ends it, with file and line, and without a secret."""
    put(tmp_path, {name: text})
    scope = "--user-file" if name.startswith("home") else "--system"
    told = cases.run(tmp_path, program, scope, "--yes")

    assert 78 == told.code
    assert told.err.startswith(f"ssmtpctl: {(tmp_path / name).parent}/{says}")
    assert 1 == told.err.count("\n")
    assert "secret-9" not in told.out + told.err
    assert not list(tmp_path.glob("**/ssmtp/password"))


@pytest.mark.parametrize(
    ("name", "address"), [("adminaddr", "@example.org"), ("allmailfrom", "a b@@c")]
)
def test_no_address(name, address, tmp_path):
    """What could not be sent to, or from, is said now and not with the first mail."""
    files = {"remotes": "smtp.example.org\n", name: f"{address}\n"}
    put(tmp_path / "etc/nullmailer", files)
    told = cases.run(tmp_path, "nullmailer", "--system", "--yes")

    assert 78 == told.code
    assert f"/{name}, line 1: {name}: this is no address; correct it" in told.err


@pytest.mark.parametrize(
    ("program", "name", "text", "key", "near"),
    [
        ("msmtp", "home/.msmtprc", "host a\ntls_certchek off\n", "tls_certchek", "tls_certcheck"),
        ("postfix", "etc/postfix/main.cf", "relayhost = a\nsmtp_tls_securty_level = may\n", "smtp_tls_securty_level", "smtp_tls_security_level"),
        ("dma", "etc/dma/dma.conf", "SMARTHOST a\nSECURETRANFER\n", "SECURETRANFER", "SECURETRANSFER"),
    ],
)  # fmt: skip
def test_misspelled(program, name, text, key, near, tmp_path):
    """A key that nobody knows is named with file and line, and with what is like it."""
    put(tmp_path, {name: text})
    scope = "--user-file" if name.startswith("home") else "--system"
    told = cases.run(tmp_path, program, scope, "--dry-run", "--json").facts
    [one] = [one for one in told["keys"] if one["outcome"] == "unknown"]

    assert (key, str(tmp_path / name), 2) == (one["key"], one["file"], one["line"])
    assert f"is it {near}?" in one["why"]


def test_several(tmp_path):
    """Of several configurations none is chosen; each is named, with what to type."""
    for files in GOOD.values():
        put(tmp_path, files)
    told = cases.run(tmp_path, "--user-file", "--dry-run")

    assert 64 == told.code
    for program in GOOD:
        assert f"{program}: " in told.out
    assert "there are several configurations: msmtp, dma, postfix" in told.err
    assert "ssmtpctl migrate msmtp" in told.err


def test_one_of_two(tmp_path):
    """A program that delivers by itself is named, and the other one is taken."""
    put(tmp_path, GOOD["dma"])
    put(tmp_path, {"etc/postfix/main.cf": "inet_interfaces = all\n"})
    told = cases.run(tmp_path, "--system", "--dry-run")

    assert 0 == told.code
    assert "Postfix delivers by itself" in told.out
    assert "+Mailhub=smtp.example.org\n" in told.out


def test_own_files_only(tmp_path):
    """Where only sSMTP's files are, they are ours, and what differs is said."""
    put(tmp_path, {"etc/ssmtp/ssmtp.conf": "mailhub=hub.example.org\n"})
    told = cases.run(tmp_path)

    assert 0 == told.code
    assert not (tmp_path / "home").exists()
    assert "a second line is a fallback" in told.out
    assert "all of it is there already" in told.out


@pytest.mark.parametrize("words", [["--dry-run"], ["msmtp"], ["exim", "--yes"]])
def test_nothing_there(words, tmp_path):
    """Without any configuration there is nothing to do: 78, and where it looked."""
    (tmp_path / "home").mkdir()
    told = cases.run(tmp_path, "--user-file", *words)

    assert 78 == told.code
    assert "--from" in told.err


def test_named_files(tmp_path):
    """With --from nothing of this machine is mixed in, and tables lie beside it."""
    put(tmp_path, {"etc/postfix/sasl_passwd": "[smtp.example.org] me:secret-9\n"})
    old = tmp_path / "old"
    put(
        old,
        {
            "main.cf": "relayhost = [smtp.example.org]\n"
            "smtp_sasl_auth_enable = yes\n"
            "smtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd\n"
        },
    )
    without = cases.run(
        tmp_path, "--system", "--dry-run", "--from", str(old / "main.cf")
    )
    put(old, {"sasl_passwd": "[smtp.example.org] you:pw-12345\n"})
    beside = cases.run(tmp_path, "postfix", "--system", "--dry-run", "--from", str(old))

    assert (0, 0) == (without.code, beside.code)
    assert f"{old}/sasl_passwd is not there" in without.out
    assert "AuthUser" not in without.out.partition("---")[2]
    assert "+AuthUser=you\n" in beside.out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--from", "@/nothing"], 64, "does not tell whose file it is"),
        (["msmtp", "--from", "@/nothing"], 64, "is not there"),
        (["sendmail"], 64, "invalid choice: 'sendmail'"),
        (["msmtp", "--account", "no"], 64, "there is no account no"),
        (["msmtp", "--user-file", "--system"], 64, "not allowed with"),
    ],
)
def test_usage(words, code, says, tmp_path):
    """What cannot be meant on the command line is told in one line."""
    put(tmp_path, GOOD["msmtp"])
    told = cases.run(tmp_path, *(word.replace("@", str(tmp_path)) for word in words))

    assert code == told.code
    assert says in told.err


def test_no_default(tmp_path):
    """Several accounts without a default one are named, none is taken."""
    text = "account a\nhost one.example\naccount b\nhost two.example\n"
    put(tmp_path, {"home/.msmtprc": text})
    told = cases.run(tmp_path, "msmtp", "--user-file", "--yes")

    assert 64 == told.code
    assert "choose with --account: a, b" in told.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(tmp_path):
    """A file that may not be read is told of with 66, and how to go on."""
    put(tmp_path, GOOD["msmtp"])
    (tmp_path / "home/.msmtprc").chmod(0)
    told = cases.run(tmp_path, "msmtp", "--user-file", "--yes")

    assert 66 == told.code
    assert "with sudo" in told.err


def test_no_text(tmp_path):
    """A compiled table is told from a text file."""
    put(tmp_path, GOOD["postfix"])
    (tmp_path / "etc/postfix/main.cf").write_bytes(b"\0\0\0\0hash")
    told = cases.run(tmp_path, "postfix", "--system", "--yes")

    assert 78 == told.code
    assert "is no text file" in told.err
