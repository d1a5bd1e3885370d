"""From an address alone to a configuration that works, by each way to a mailhub."""

from __future__ import annotations

import pytest

from ssmtp import config as configuration
from ssmtp import ctl
from ssmtp.ctl.setup import answers
from ssmtp.ctl.setup.discovery import Sources
from tests.setup.conftest import ADDRESS, PASSWORD

AUTOCONFIG = """\
<clientConfig version="1.1"><emailProvider id="example.org">
  <outgoingServer type="smtp">
    <hostname>localhost</hostname><port>{port}</port><socketType>SSL</socketType>
    <username>%EMAILLOCALPART%</username>
  </outgoingServer>
</emailProvider></clientConfig>
"""


@pytest.fixture
def setup(desk, certificates, monkeypatch, capfd):
    """Run setup in this process, with sources of its own."""
    for name, value in desk.environ.items():
        monkeypatch.setenv(name, value)
    (desk.home / "secret").write_text(PASSWORD + "\n")

    def run(records, files, *words, answering=lambda server: False):
        monkeypatch.setattr(
            answers,
            "sources",
            lambda: Sources(
                lambda name, kind: (
                    None if records is None else records.get((name, kind), [])
                ),
                lambda url: files.get(url.partition("?")[0]),
                answering,
            ),
        )
        code = ctl.main(
            [
                *("setup", "--user-file", ADDRESS, *words),
                *("--password-file", str(desk.home / "secret")),
                *("--ca-file", certificates.text("authority")),
            ]
        )
        said = capfd.readouterr()
        assert PASSWORD not in said.out + said.err
        return code, said.out, said.err

    return run


def read(desk):
    return configuration.parse(desk.config.read_bytes(), str(desk.config))


def srv(hub):
    return {("_submissions._tcp.example.org", "SRV"): [(0, 0, hub.port, "localhost.")]}


def test_srv_outside_of_the_domain(setup, hub, desk):
    """A host that only the DNS vouches for is not given a password, --yes or not."""
    code, _, error = setup(srv(hub), {}, "--yes")

    assert 64 == code
    assert f"--server localhost:{hub.port}" in error
    assert 0 == hub.connections
    assert not desk.config.exists()


def test_srv_that_was_confirmed(setup, hub, desk):
    """Named on the command line, it is used."""
    host = f"localhost:{hub.port}"
    code, _, _ = setup(srv(hub), {}, "--yes", "--server", host, "--tls", "implicit")

    assert 0 == code
    assert [host] == list(map(str, read(desk).mailhubs))


def test_autoconfig(setup, hub, desk):
    """The domain's own file is enough for everything."""
    place = "https://autoconfig.example.org/mail/config-v1.1.xml"
    file = AUTOCONFIG.format(port=hub.port).encode()
    code, out, _ = setup({}, {place: file}, "--yes")
    config = read(desk)

    assert 0 == code
    assert "from the autoconfig file of example.org" in out
    assert "No SRV records for submission were found at example.org" in out
    assert "me" == config.auth_user
    assert [f"localhost:{hub.port}"] == list(map(str, config.mailhubs))


def test_the_next_server_is_tried(setup, hub, desk):
    """Where one server of a domain does not answer, the next one is taken."""
    first = AUTOCONFIG.format(port=1)
    second = AUTOCONFIG.format(port=hub.port).replace("<emailProvider", "<second")
    both = first.replace("</emailProvider>", second[second.index("  <outgoing") :])
    both = both.replace("</clientConfig>", "", 1)
    place = "https://autoconfig.example.org/mail/config-v1.1.xml"
    code, out, _ = setup({}, {place: both.encode()}, "--yes")

    assert 0 == code
    assert "localhost:1" in out
    assert [f"localhost:{hub.port}"] == list(map(str, read(desk).mailhubs))


def test_a_wrong_password_is_not_taken_round(setup, hub, desk):
    """A password that was refused by one server is not shown to the next."""
    hub.users.clear()
    hub.users["me"] = "another"
    server = AUTOCONFIG.format(port=hub.port)
    inner = server[server.index("  <outgoing") : server.index("</emailProvider>")]
    place = "https://autoconfig.example.org/mail/config-v1.1.xml"
    file = server.replace(inner, inner + inner)
    code, _, error = setup({}, {place: file.encode()}, "--yes")

    assert 77 == code
    assert "535" in error
    assert 1 == hub.connections


def test_nobody_knows(setup, desk):
    """When nobody knows, it is said who was asked, and which flag helps."""
    code, out, error = setup(None, {}, "--yes")

    assert 64 == code
    assert "dnspython is not installed" in out
    assert "No autoconfig file was found at example.org" in out
    assert "No smtp.example.org or mail.example.org answers" in out
    assert "--server" in error
    assert not desk.config.exists()


def test_a_password_that_was_put_off_is_not_taken_round(setup, hub, desk):
    """A server that has no time for the password ends the test, too."""
    hub.replies["AUTH"] = "454 4.7.0 later"
    server = AUTOCONFIG.format(port=hub.port)
    inner = server[server.index("  <outgoing") : server.index("</emailProvider>")]
    place = "https://autoconfig.example.org/mail/config-v1.1.xml"
    code, _, error = setup({}, {place: server.replace(inner, inner * 2).encode()})

    assert 75 == code
    assert "454 4.7.0 later" in error
    assert 1 == hub.connections
