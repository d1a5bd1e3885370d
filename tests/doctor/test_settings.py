"""Which configuration holds, where its values come from, and the traps in it."""

from __future__ import annotations

import pytest

from ssmtp import config as configuration
from ssmtp.ctl.doctor import people, settings
from tests.doctor.conftest import ME, PASSWORD, USER


@pytest.fixture
def away(bench):
    """Return a function that examines lines, with a mailhub that is not there."""

    def examine(*lines: str):
        bench.configure("mailhub=127.0.0.1:1", *lines)
        return bench.doctor()

    return examine


def test_a_good_one(bench, hub):
    """Everything in order: exit 0, no error, no warning about the configuration."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", "rewriteDomain=corp.test")
    told = bench.doctor("ann@example.org")

    assert 0 == told.code
    assert [] == told.states("error")
    assert {"sendmail"} >= set(told.states("warning"))
    assert [] == hub.mails
    assert "RSET" in hub.commands


def test_values(away):
    """Every value has an origin, and no secret is among them."""
    told = away(
        "Root=me@corp.test",
        f"AuthUser={USER}",
        "AuthPassCommand=/bin/echo no-such-password",
        "AddHeader=X-Token: no-such-password",
    ).one("config.values")
    values = {v["key"]: (v["value"], v["from"]) for v in told["facts"]["values"]}

    assert ("me@corp.test", "line 5") == values["Root"]
    assert ("127.0.0.1:1", "line 4") == values["Mailhub"]
    assert ("2", "line 3") == values["CommandTimeout"]
    assert ("600", "default") == values["DataTimeout"]
    assert ("no", "default") == values["FromLineOverride"]
    assert ("/bin/echo ••••", "line 7") == values["AuthPassCommand"]
    assert ("X-Token: ••••", "line 8") == values["AddHeader"]
    assert "8 lines set something." == told["text"]


def test_every_key_has_an_origin():
    """The last line counts, whatever its case, comments and blanks."""
    text = b"\xef\xbb\xbfmailhub = a\n# root=x\nROOT=b # c\nMailHub=d\r\nroot=e\n"

    assert {"mailhubs": [1, 4], "root": [3, 5]} == settings.origins(text)


@pytest.mark.parametrize("key", configuration.KEYS, ids=lambda key: key.name)
def test_defaults_can_be_shown(key):
    """The default of every key can be written for a person."""
    config = configuration.Config("x")

    assert isinstance(settings.shown(getattr(config, key.attribute), key.kind), str)


@pytest.mark.parametrize(
    ("lines", "name", "state"),
    [
        (["mailhub=127.0.0.1:465", "UseSTARTTLS=yes"], "trap.465-starttls", "warning"),
        (["mailhub=127.0.0.1:587", "UseTLS=no"], "trap.587-clear", "warning"),
        (["mailhub=127.0.0.1:587", "UseTLS=yes"], "trap.587-tls", "warning"),
        (["mailhub=127.0.0.1:993"], "trap.port", "warning"),
        (["TLSVerify=no"], "trap.unverified", "warning"),
        (["hostname=localhost"], "trap.hostname", "warning"),
        (["hostname=web1", "rewriteDomain=corp.test"], "trap.hostname", "note"),
        (["hostname=my_box.corp.test"], "trap.hostname", "note"),
        (["hostname=web1.corp.test"], "trap.hostname", None),
        (["rewriteDomain=me@corp.test"], "config.note", "note"),
        (["mailhub=127.0.0.1:587", "UseSTARTTLS=yes"], "trap.587-tls", None),
    ],
)
def test_traps(away, lines, name, state):
    """Each trap is told of, and what is no trap is not."""
    states = {finding["state"] for finding in away(*lines).all(name)}

    assert (set() if state is None else {state}) == states


@pytest.mark.parametrize("directory", [0o777, 0o722])
def test_writable_by_others(bench, hub, directory):
    """A directory in which others can exchange the configuration."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}")
    bench.conf.parent.chmod(directory)
    told = bench.doctor()

    assert "Others can change" in told.one("config.writable")["text"]
    assert f"chmod go-w {bench.conf.parent}" == told.one("config.writable")["next"]


def test_which_one(bench, hub):
    """Who names the configuration is told, and which other one is not read."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}")
    own = bench.place / "home" / ".config" / "ssmtp" / "ssmtp.conf"
    own.parent.mkdir(parents=True)
    own.write_text(f"mailhub=127.0.0.1:{hub.port}\n")
    bench.environ["HOME"] = str(bench.place / "home")
    by_option = bench.run("-C", str(bench.conf)).stdout.decode()
    own_one = bench.run().stdout.decode()
    bench.environ["SSMTP_CONF"] = str(bench.conf)
    by_variable = bench.run().stdout.decode()

    assert f"{bench.conf}: -C names it." in by_option
    assert f"{own} is there, too, and is not read." in by_option
    assert f"{own}: it is your own." in own_one
    assert f"{bench.conf}: SSMTP_CONF names it." in by_variable


def test_sender(bench, hub):
    """The sender and its rule; a line of revaliases is named."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", "FromLineOverride=yes")
    revaliases = bench.conf.with_name("revaliases")
    revaliases.write_text(f"{ME}:me@corp.test\nuid64123:me@corp.test\n")
    told = bench.doctor().one("people.sender")

    assert "me@corp.test" == told["facts"]["address"]
    assert f"{revaliases}, line 1" in told["text"]
    assert "by FromLineOverride" in told["text"]


def test_bad_revalias(bench, hub):
    """A line of revaliases that means nothing."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}")
    bench.conf.with_name("revaliases").write_text(f"{ME}:me@@corp.test\n")
    told = bench.doctor()

    assert (78, "people.sender") == (told.code, told.first["id"])
    assert "revaliases, line 1" in told.first["text"]


@pytest.mark.parametrize(
    ("aliases", "name", "words"),
    [
        ("bob: ann\nann: bob\n", "people.aliases", "leads in a circle"),
        ("what is this\n", "people.aliases", "line 1: this is no alias"),
        (None, "people.aliases", "does not exist"),
    ],
)
def test_bad_aliases(bench, hub, aliases, name, words):
    """Aliases that lead nowhere."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", "Aliases=aliases")
    if aliases is not None:
        bench.conf.with_name("aliases").write_text(aliases)
    told = bench.doctor("bob")

    assert (78, name) == (told.code, told.first["id"])
    assert words in told.first["text"]


def test_whom_mail_reaches(bench, hub):
    """Who gets root's mail, and that of the name that was asked about."""
    bench.configure(
        f"mailhub=127.0.0.1:{hub.port}", "Root=ops@corp.test", "Aliases=aliases"
    )
    bench.conf.with_name("aliases").write_text("bob: bob@corp.test, ann@corp.test\n")
    told = bench.doctor("bob")

    assert "ops@corp.test" == told.one("people.root")["facts"]["addresses"]
    assert "an alias in " in told.one("people.address")["text"]
    assert "RCPT TO:<ann@corp.test>" in " ".join(hub.commands)


@pytest.mark.parametrize(
    ("lines", "lost"),
    [
        (["rewriteDomain=gmail.com"], True),
        (["rewriteDomain=GMail.com", "MinUserId=0"], True),
        (["rewriteDomain=corp.test"], False),
        ([], False),
    ],
)
def test_strangers(away, lines, lost):
    """A public service as the domain of local users: their mail goes to strangers."""
    told = away(*lines)

    assert lost == bool(told.all("people.strangers"))
    if lost:
        finding = told.one("people.strangers")
        assert "warning" == finding["state"]
        assert "root" in finding["facts"]["users"]
        assert "root@gmail.com" in finding["text"]
        assert "set Root=you@example.org, and name" in finding["next"]


def test_no_strangers_when_all_are_named(away, monkeypatch):
    """Who has another address of his own is not lost."""
    lost = away("rewriteDomain=gmail.com", "Root=me@corp.test").all("people.strangers")

    assert "root" not in [user for one in lost for user in one["facts"]["users"]]


def test_persons_are_no_programs():
    """Users with a uid of a program are nobody's mail."""
    assert "root" not in people._persons(1000)
    assert "nobody" not in people._persons(1000)


def test_other_sender(away):
    """An account of a public service that sends under another name."""
    told = away(f"AuthUser={USER.partition('@')[0]}@gmail.com", f"AuthPass={PASSWORD}")

    assert f"{ME}:me@gmail.com" in told.one("people.other-sender")["next"]


def test_bad_address(bench, hub):
    """An address that cannot be one."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}")
    told = bench.doctor("ann@@example.org")

    assert (65, "people.address") == (told.code, told.first["id"])
