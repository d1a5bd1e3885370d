"""Who calls, under which address they write, and where local names lead."""

from __future__ import annotations

import os
import posix
import pwd
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp import accounts, address
from ssmtp.accounts import Caller, LocalNames, identify, parse_aliases, parse_revaliases
from ssmtp.config import Config, parse
from ssmtp.errors import ConfigError, Failure, InputRefused

PATH = "/etc/ssmtp/ssmtp.conf"
BESIDE = "/etc/ssmtp/revaliases"
ALICE = Caller(1000, "alice", "Alice Example,Room 1,555-1,555-2", "/home/alice")
UIDS = {"root": 0, "daemon": 1, "sysuser": 999, "alice": 1000, "nobody": 65534}


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Be on a machine called testhost."""
    monkeypatch.setattr(posix, "uname", lambda: SimpleNamespace(nodename="testhost"))


def config(text: str = "mailhub=hub.example\nrewriteDomain=corp.example\n") -> Config:
    return parse(text.encode(), PATH)


def refusal(call, *args) -> str:
    with pytest.raises(ConfigError) as caught:
        call(*args)
    assert caught.value.sentence().isprintable()
    return caught.value.sentence()


def identity(revaliases: str | bytes, conf: Config | None = None, who: Caller = ALICE):
    text = revaliases.encode() if isinstance(revaliases, str) else revaliases
    return identify(who, conf or config(), parse_revaliases(text, BESIDE))


def sender(revaliases: str | bytes, conf: Config | None = None) -> tuple[str, str]:
    found = identity(revaliases, conf)
    return str(found.address), str(found.mailhubs[0])


# The caller


def test_caller_is_the_real_user(monkeypatch):
    """The caller is the real uid, whatever LOGNAME, USER and HOME say."""
    for name in ("LOGNAME", "USER", "HOME", "EMAIL", "NAME", "SUDO_USER"):
        monkeypatch.setenv(name, "eve\nX-Injected: 1")
    entry = pwd.getpwuid(os.getuid())
    caller = accounts.caller()

    assert (os.getuid(), entry.pw_name, entry.pw_dir) == (
        caller.uid,
        caller.login,
        caller.home,
    )


def test_caller_without_passwd_entry(monkeypatch):
    """A uid that no passwd file knows still is somebody."""
    monkeypatch.setattr(posix, "getuid", lambda: 987654321)
    caller = accounts.caller()

    assert ("uid987654321", "", None) == (caller.login, caller.gecos, caller.home)
    assert "uid987654321@corp.example" == str(identity("", None, caller).address)


def test_uid_of():
    """A local user is found by the exact name only."""

    assert 0 == accounts.uid_of("root")
    for name in ("ROOT", "no such user", "", "a\0b", "\ud800", "x" * 10000):
        assert accounts.uid_of(name) is None


@pytest.mark.parametrize(
    ("gecos", "login", "expected"),
    [
        ("Alice Example,Room 1,555-1,555-2", "alice", "Alice Example"),
        ("", "bob", ""),
        (",,,", "bob", ""),
        ('Carol "CJ" Jones; PhD,,,', "carol", 'Carol "CJ" Jones; PhD'),
        ("José Pérez,,,", "jose", "José Pérez"),
        ("root at myhost", "root", "root at myhost"),
        ("&,,,", "Nobody", "Nobody"),
        ("&,,,", "alice", "Alice"),
        ("Charlie &", "root", "Charlie Root"),
        ("R&D,room", "rd", "R&D"),
        ("  Odd   Name  ,,,", "odd", "Odd Name"),
        ("a\tb\nc", "x", "a b c"),
        ("&", "", ""),
    ],
)
def test_full_name(gecos, login, expected):
    """The full name is the text of GECOS before the first comma."""

    assert expected == accounts.full_name(gecos, login)


# The machine


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "testhost"),
        ("hostname=ws1.corp.example", "ws1.corp.example"),
        ("hostname=ws1.corp.example\nrewriteDomain=corp.example", "corp.example"),
        ("rewriteDomain=corp.example", "corp.example"),
        ("rewriteDomain=\nhostname=_HOSTNAME_", "testhost"),
    ],
)
def test_domain(text, expected):
    """Names get RewriteDomain, else Hostname, else the machine's name."""

    assert expected == accounts.domain(config(text))
    assert f"alice@{expected}" == str(
        identify(ALICE, config(text + "\nmailhub=h"), []).address
    )


@pytest.mark.parametrize(
    ("nodename", "expected"),
    [
        ("box", "box"),
        ("box.corp.example.", "box.corp.example"),
        ("(none)", "localhost"),
        ("", "localhost"),
        ("a b", "localhost"),
        ("x\r\ny", "localhost"),
    ],
)
def test_machine_name(nodename, expected, monkeypatch):
    """A machine whose name makes no address is localhost."""
    monkeypatch.setattr(posix, "uname", lambda: SimpleNamespace(nodename=nodename))

    assert expected == accounts.host(config(""))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ws1.corp.example", "ws1.corp.example"),
        ("localhost.localdomain", "localhost.localdomain"),
        ("testhost", None),
        ("localhost", None),
        ("my_host.example", None),
        ("bücher.example", "xn--bcher-kva.example"),
        ("a\u05d0.example", None),
        ("192.0.2.1", "[192.0.2.1]"),
        ("[192.0.2.1]", "[192.0.2.1]"),
        ("[IPv6:::1]", "[IPv6:::1]"),
    ],
)
def test_ehlo_name(name, expected):
    """EHLO gets a full domain name or an address literal (RFC 5321 §4.1.4)."""

    assert expected == accounts.ehlo_name(config(f"hostname={name}"))


def test_ehlo_name_of_the_machine(monkeypatch):
    """Without Hostname the machine's own name counts, if it is a full one."""
    assert accounts.ehlo_name(config("")) is None
    monkeypatch.setattr(
        posix, "uname", lambda: SimpleNamespace(nodename="box.corp.example")
    )

    assert "box.corp.example" == accounts.ehlo_name(config(""))


# revaliases

HUB = "hub.example:25"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("alice@corp.example", HUB)),
        ("alice:al@rev.example\n", ("al@rev.example", HUB)),
        ("alice:al@rev.example", ("al@rev.example", HUB)),
        ("alice:al\n", ("al@corp.example", HUB)),
        ("alice:al@rev.example:other", ("al@rev.example", "other:25")),
        ("alice:al@rev.example:other:587", ("al@rev.example", "other:587")),
        ("bob:b@rev.example:other:1", ("alice@corp.example", HUB)),
        ("Alice:al@rev.example", ("alice@corp.example", HUB)),
        ("alice:1@x\nalice:2@x\n", ("2@x", HUB)),
        ("alice:1@x:other:1\nalice:2@x\n", ("2@x", "other:1")),
        ("alice:1@x:other:1\nalice::third\n", ("1@x", "third:25")),
        ("#alice:1@x\nalice:2@x # c\n", ("2@x", HUB)),
        ("alice:2@x#c:127.0.0.1:1\n", ("2@x", HUB)),
        ("alice :al@x\n", ("al@x", HUB)),
        (" alice:al@x\n", ("al@x", HUB)),
        ("\talice\t:\tal@x\t:\tother\t:\t26\n", ("al@x", "other:26")),
        ("alice: al@x : 127.0.0.1 : 2525 ", ("al@x", "127.0.0.1:2525")),
        ("alice::127.0.0.1:2525", ("alice@corp.example", "127.0.0.1:2525")),
        ("alice:al@x:other:", ("al@x", "other:25")),
        ("alice:al@x:", ("al@x", HUB)),
        ("alice:al@x::", ("al@x", HUB)),
        ("alice:", ("alice@corp.example", HUB)),
        ("alice:al@x other 26", ("al@x", "other:26")),
        ("alice:al@x other:26", ("al@x", "other:26")),
        ("alice:al@x:[::1]:2525", ("al@x", "[::1]:2525")),
        ("alice:al@x:[::1]", ("al@x", "[::1]:25")),
        ("alice:al@x:::1:2525", ("al@x", "[::1]:2525")),
        ("alice:al@x:2001:db8::25", ("al@x", "[2001:db8::25]:25")),
        ("alice:<al@x>:other", ("al@x", "other:25")),
        ("alice:Al <al@x>:other:26", ("al@x", "other:26")),
        ('alice:"a:b"@x:other', ('"a:b"@x', "other:25")),
        ("alice:al@[192.0.2.1]:other", ("al@[192.0.2.1]", "other:25")),
        ("alice:al@x:unix:/run/s", ("al@x", "unix:/run/s")),
        ("alice:al@x\r\nbob:b@x\r\n", ("al@x", HUB)),
        ("alice:al@x\rbob:b@x", ("al@x", HUB)),
        ("\ufeffalice:al@x", ("al@x", HUB)),
        ("no colon here\n:no@login\n\nalice:al@x", ("al@x", HUB)),
        ("bob:not an address:::\nalice:al@x", ("al@x", HUB)),
        (b"bob:\xff\x00@x\nalice:al@x", ("al@x", HUB)),
    ],
)
def test_revaliases(text, expected):
    """login:address[:mailhub[:port]], with every blank that people put there."""

    assert expected == sender(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mailhub=first:587\nmailhub=second", "other:587"),
        ("mailhub=first", "other:25"),
        ("RemotePort=2525\nmailhub=first", "other:2525"),
        ("RemotePort=2525", "other:2525"),
        ("mailhub=unix:/s", "other:25"),
        ("", "other:25"),
    ],
)
def test_revaliases_port(text, expected):
    """Without a port the mailhub of revaliases keeps the port of ssmtp.conf."""

    assert [expected] == [
        str(hub) for hub in identity("alice:al@x:other", config(text)).mailhubs
    ]


def test_full_name_in_revaliases():
    """A display name in revaliases is the one to write under."""

    assert "Al X" == identity("alice:Al X <al@x>").full_name
    assert "Alice Example" == identity("alice:al@x").full_name


def test_odd_login_names():
    """Any login name makes an address, and one with @ is one."""
    for login, expected in (
        ("a-b.c_d", "a-b.c_d@corp.example"),
        ("CORP\\alice", '"CORP\\\\alice"@corp.example'),
        ("alice smith", '"alice smith"@corp.example'),
        ("alice@ad.example", "alice@ad.example"),
        ("a@b@c", '"a@b@c"@corp.example'),
    ):
        who = Caller(1000, login, "", None)
        assert expected == str(identity("", None, who).address)
        assert "al@x" == str(identity(f"{login}:al@x", None, who).address)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\nalice:al@x:other:99999", "line 2"),
        ("alice:al@x:other:smtp", "port"),
        ("alice:al@x::587", "mailhub"),
        ("alice:a@b@c", "line 1"),
        ("alice:al\x01@x", "line 1"),
        ("alice:<>", "line 1"),
        ("alice:" + "x" * 70 + "@y", "line 1"),
        ("alice:al@x:smtp://other", "mailhub"),
    ],
)
def test_bad_line_of_the_caller(text, said):
    """A bad line of the caller's is an error (78) that names file and line."""
    sentence = refusal(identity, text)

    assert said in sentence
    assert BESIDE in sentence


def test_no_mailhub():
    """Without any mailhub there is an error (78) that says what to write."""

    assert f"{PATH}: no mailhub is set" in refusal(identity, "", config(""))
    assert ("al@x", "h:25") == sender("alice:al@x:h", config(""))


def test_note_for_the_mailhub_of_revaliases():
    """A mailhub of revaliases on port 465 gets the note about STARTTLS, too."""
    conf = config("mailhub=h\nUseSTARTTLS=yes")
    identity("alice:al@x:other:465", conf)

    assert 1 == len(conf.notes)
    assert "other:465" in conf.notes[0]


@given(st.text(st.sampled_from("alice:@x.[]<>\"#' \t\r\n25%\\"), max_size=40))
def test_any_revaliases(text):
    """Whatever is in revaliases, it is an identity or an error of one line."""
    conf = config()
    try:
        found, said = identity(text, conf), ""
    except ConfigError as error:
        found, said = identity("", conf), error.sentence()

    assert said.isprintable()
    assert found.mailhubs
    assert "@" in str(found.address)


# Local names


def names(text: str = "", aliases: str = "") -> LocalNames:
    conf = config(f"mailhub=h\nrewriteDomain=corp.example\nAliases=/a\n{text}")
    return LocalNames(conf, parse_aliases(aliases.encode(), "/a"), UIDS.get)


def led(name: str, text: str = "", aliases: str = "") -> list[str]:
    return [str(found) for found in names(text, aliases).recipient(name)]


ROOT = "Root=admin@corp2.example\n"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("root", ROOT, ["admin@corp2.example"]),
        ("daemon", ROOT, ["admin@corp2.example"]),
        ("sysuser", ROOT, ["admin@corp2.example"]),
        ("alice", ROOT, ["alice@corp.example"]),
        ("nobody", ROOT, ["nobody@corp.example"]),
        ("unknown", ROOT, ["unknown@corp.example"]),
        ("ROOT", ROOT, ["ROOT@corp.example"]),
        ("root", "", ["root@corp.example"]),
        ("root", "Root=", ["root@corp.example"]),
        ("root", "Root= <>", ["root@corp.example"]),
        ("root", "Root=postmaster", ["postmaster@corp.example"]),
        ("root", "Root=root", ["root@corp.example"]),
        ("root", "Root=alice", ["alice@corp.example"]),
        ("root", "Root=Admin <a@x>", ["a@x"]),
        ("root", "Root=a@x, b@y,c", ["a@x", "b@y", "c@corp.example"]),
        ("alice", ROOT + "MinUserId=2000", ["admin@corp2.example"]),
        ("sysuser", ROOT + "MinUserId=500", ["sysuser@corp.example"]),
        ("root", ROOT + "MinUserId=0", ["root@corp.example"]),
        ("a b", ROOT, ['"a b"@corp.example']),
    ],
)
def test_root(name, text, expected):
    """A local user below MinUserId leads to Root, any other name to the domain."""

    assert expected == led(name, text)


def test_nobody_is_asked_without_root():
    """Without Root the user database is not asked: it may be far away."""
    conf = config("mailhub=h\nrewriteDomain=corp.example")
    lookups: list[str] = []

    def uid_of(name: str) -> int | None:
        lookups.append(name)
        return 0

    assert "root@corp.example" == str(LocalNames(conf, {}, uid_of).author("root"))
    assert [] == lookups


def test_explicit_domain():
    """The domain for names can be handed in."""
    found = LocalNames(config(""), {}, UIDS.get, "given.example")

    assert "given.example" == found.domain
    assert "bob@given.example" == str(found.author("bob"))


def test_resolve():
    """A complete mailbox stays what it is, a bare one is looked up."""
    local = names(ROOT, "alice: al@x")

    for text, expected in (
        ("root", ["admin@corp2.example"]),
        ("root@localhost", ["root@localhost"]),
        ("Alice <alice>", ["al@x"]),
        ("alice@corp.example", ["alice@corp.example"]),
    ):
        mailbox = address.parse_one(text, "test")
        assert mailbox is not None
        assert expected == [str(each) for each in local.resolve(mailbox, "recipient")]


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 100])
def test_name_that_makes_no_address(name):
    """A name that makes no address is refused as input (65), not as configuration."""
    with pytest.raises(InputRefused, match="somewhere"):
        names(ROOT).recipient(name, "somewhere")


def test_bad_root():
    """A Root that is no address is an error of the configuration."""

    assert f"Root in {PATH}" in refusal(led, "root", "Root=a@b@c")
    assert f"Root in {PATH}" in refusal(led, "root", "Root=@x")
    assert f"Root in {PATH}" in refusal(led, "root", f"Root={'x' * 70}@y")


# Aliases


@pytest.mark.parametrize(
    ("name", "aliases", "expected"),
    [
        ("bob", "bob: b@x", ["b@x"]),
        ("BOB", "bob: b@x", ["b@x"]),
        ("bob", "BoB : b@x", ["b@x"]),
        ("bob", "bob:b@x", ["b@x"]),
        ("bob", "bob: b@x, c@y,d", ["b@x", "c@y", "d@corp.example"]),
        ("bob", "bob: b@x,\n  c@y\n\td@z\nroot: e@x", ["b@x", "c@y", "d@z"]),
        ("bob", "bob: b@x,\n# c\n\n  c@y", ["b@x", "c@y"]),
        ("bob", "# c\n\nbob: b@x # c\r\n", ["b@x"]),
        ("bob", "bob: b@x\nbob: c@y", ["c@y"]),
        ("bob", "bob:\n", ["bob@corp.example"]),
        ("bob", "other: b@x", ["bob@corp.example"]),
        ("bob", '"bob": b@x', ["b@x"]),
        ("a b", '"a b" : b@x', ["b@x"]),
        ("bob", 'bob: "B, C" <b@x>, (d, e) f@x', ["b@x", "f@x"]),
        ("bob", "bob: B C <b@x>", ["b@x"]),
        ("bob", 'bob: "B \\", C" <b@x>, c@y', ["b@x", "c@y"]),
        ("postmaster", "postmaster: root", ["admin@corp2.example"]),
        ("postmaster", "postmaster: root\nroot: r@x", ["r@x"]),
        ("root", "root: r@x", ["r@x"]),
        ("root", "root: \\root", ["admin@corp2.example"]),
        ("bob", "bob: bob, archive@x", ["bob@corp.example", "archive@x"]),
        ("bob", "bob: \\bob, archive@x", ["bob@corp.example", "archive@x"]),
        ("a", "a: b, c\nb: d\nc: d\nd: d@x, b@x", ["d@x", "b@x"]),
        ("bob", "bob: root@localhost\nroot: r@x", ["root@localhost"]),
        ("bob", "bob: bücher@bücher.example", ["bücher@bücher.example"]),
        ("bob", "\ufeffbob: b@x", ["b@x"]),
    ],
)
def test_aliases(name, aliases, expected):
    """An alias wins over Root and domain, and may lead to names of all kinds."""

    assert expected == led(name, ROOT, aliases)


@pytest.mark.parametrize(
    ("aliases", "said"),
    [
        ("a: b\nb: a", "circle (a -> b -> a)"),
        ("a: a", "circle (a -> a)"),
        ("a: x@y, b\nb: c\nc: a", "circle"),
        ("a: B\nb: A", "circle"),
        ("a: |/bin/cat", "program"),
        ('a: "|/bin/cat -n"', "program"),
        ("a: x@y, | cat", "program"),
        ("a: /dev/null", "file"),
        ('a: "/var/mail/a b"', "file"),
        ("a: :include:/etc/list", "included list"),
        ("a: x@y@z", "alias a in /a"),
        ("a: @x", "alias a in /a"),
        ("a: x\x01@y", "alias a in /a"),
        ("a: \\", "alias a in /a"),
        ("a: <>", "leads to nobody"),
        (
            "a: b\n" + "".join(f"b{i}: b{i + 1}\n" for i in range(99)) + "b: b0",
            "circle",
        ),
    ],
)
def test_alias_that_leads_nowhere(aliases, said):
    """Loops, programs, files and nonsense are errors (78) with alias and file."""
    sentence = refusal(led, "a", "", aliases)

    assert said in sentence
    assert " in /a" in sentence


@pytest.mark.parametrize(
    ("aliases", "line"),
    [("bob b@x", 1), ("a: b@x\n: c@x", 2), ('"a b: c', 1), ('"a" b: c', 1), ("  x", 1)],
)
def test_lines_that_are_no_alias(aliases, line):
    """A line that is no alias is an error (78) with file and line."""

    assert f"/a, line {line}" in refusal(parse_aliases, aliases.encode(), "/a")


def test_wide_aliases_take_linear_time():
    """Aliases that fan out and in again are followed once each."""
    rows = [f"n{i}: {', '.join([f'n{i + 1}'] * 20)}" for i in range(40)]

    assert ["end@x"] == led("n0", "", "\n".join([*rows, "n40: end@x"]))


def test_author_is_one_address():
    """An author is one address, even when the name has several readers."""

    assert "b@x" == str(names("", "bob: b@x, c@y").author("bob"))


@given(
    st.text(st.sampled_from('ab:@x.,"\\|/<>()# \t\r\n'), max_size=40),
    st.sampled_from(["a", "b", "ab"]),
)
def test_any_aliases(text, name):
    """Whatever is in an alias file, it leads to addresses or to one line of error."""
    try:
        found, said = led(name, ROOT, text), ""
    except Failure as error:
        found, said = ["@"], error.sentence()

    assert said.isprintable()
    assert found
    assert all("@" in each for each in found)
