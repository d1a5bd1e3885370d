"""The mailhub of an address is found where providers and domains say it is."""

from __future__ import annotations

import http.server
import json
import re
import sys
import threading
import types

import pytest

from ssmtp import config as configuration
from ssmtp.ctl.setup import autoconfig, discovery, draft, providers, trial
from ssmtp.ctl.setup.discovery import Server, Sources
from ssmtp.values import mailhub
from tests.hub import Hub, running

PROVIDERS = providers.table()


def asked(records=None, files=None, answering=()):
    """Return sources that know only what they are given."""

    def lookup(name, kind):
        return None if records is None else records.get((name, kind), [])

    return Sources(lookup, (files or {}).get, lambda server: str(server) in answering)


def found(address, sources):
    """Return what is found, and what was said on the way."""
    told: list[str] = []
    return discovery.find(address, sources, told.append), " ".join(told)


# -- the table


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda p: p.id)
def test_the_table_is_in_order(provider):
    """Every row is one that setup can use, and its hint one that a person can read."""
    host = provider.host.format(region="eu-west-1")

    assert mailhub(f"{host}:{provider.ports[0]}").host == host
    assert set(provider.ports) <= {465, 587, 1025}
    assert bool(provider.hint) == bool(providers.hint(provider))
    assert "{" not in providers.hint(provider)
    assert not provider.url or provider.url.startswith("https://")
    for name in (*provider.domains, *provider.mx):
        assert re.fullmatch(r"[a-z0-9.-]+\.[a-z]+", name)


def test_no_name_stands_twice():
    """No provider and no domain is in the table twice."""
    rows = json.loads(providers.TABLE.read_text())
    for field in ("id", "domains", "mx"):
        values = [row.get(field, []) for row in rows]
        names = values if field == "id" else [one for many in values for one in many]

        assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("a@gmail.com", "smtp.gmail.com", 465),
        ("a@GMAIL.com", "smtp.gmail.com", 465),
        ("a@outlook.com", "smtp-mail.outlook.com", 587),
        ("a@yahoo.co.uk", "smtp.mail.yahoo.com", 465),
        ("a@icloud.com", "smtp.mail.me.com", 587),
        ("a@gmx.de", "mail.gmx.net", 465),
        ("a@proton.me", "127.0.0.1", 1025),
    ],
)
def test_public_providers(address, host, port):
    """An address of a big provider needs neither network nor questions."""
    servers, told = found(address, asked())

    assert (host, port) == (servers[0].host, servers[0].port)
    assert address == servers[0].user
    assert "" == told


@pytest.mark.parametrize(
    ("mx", "name"),
    [
        ("ASPMX.L.GOOGLE.COM.", "gmail"),
        ("smtp.google.com.", "gmail"),
        ("example-org.mail.protection.outlook.com.", "microsoft365"),
        ("outlook-com.olc.protection.outlook.com.", "outlook"),
        ("mx-aol.mail.gm0.yahoodns.net.", "aol"),
        ("in1-smtp.messagingengine.com.", "fastmail"),
        ("mx.zoho.eu.", "zoho-pro-eu"),
        ("mxa.mailgun.org.", "mailgun"),
        ("mxa.eu.mailgun.org.", "mailgun-eu"),
        ("mx1.mail.ovh.net.", "ovh"),
        ("www123.your-server.de.", "hetzner"),
        ("aspmx1.migadu.com.", "migadu"),
        ("mx00.kundenserver.de.", "ionos-de"),
        ("notgoogle.com.", None),
        ("mail.example.org.", None),
    ],
)
def test_mx(mx, name):
    """The hosts that receive a domain's mail tell who serves it."""
    provider = providers.by_mx([mx])

    assert name == (provider.id if provider else None)


def test_a_domain_that_a_provider_serves():
    """A domain of one's own at a provider has the provider's mailhub."""
    sources = asked({("example.org", "MX"): [(10, "alt1.aspmx.l.google.com.")]})
    servers, _ = found("a@example.org", sources)

    assert ["smtp.gmail.com:465", "smtp.gmail.com:587"] == list(map(str, servers))
    assert servers[0].hosted


def test_names_of_providers():
    """--server takes the name of a provider, with a region where there are several."""
    hosts = [(providers.by_name(n) or ("", ""))[1] for n in ("ses:eu-west-1", "brevo")]

    assert ["email-smtp.eu-west-1.amazonaws.com", "smtp-relay.brevo.com"] == hosts
    assert providers.by_name("ses") is None
    assert providers.by_name("ses:a/b") is None
    assert providers.by_name("mail.example.org") is None
    relay = providers.by_host("email-smtp.us-east-1.amazonaws.com")
    assert relay is not None
    assert "ses" == relay.id
    assert providers.by_host("127.0.0.1", 2525) is None


# -- SRV records


def test_srv():
    """TLS from the first octet comes first, then the lower priority (RFC 8314)."""
    sources = asked(
        {
            ("_submissions._tcp.example.org", "SRV"): [
                (20, 0, 465, "b.example.org."),
                (10, 0, 465, "a.example.org."),
            ],
            ("_submission._tcp.example.org", "SRV"): [(0, 1, 587, "a.example.org.")],
        }
    )
    servers, _ = found("me@example.org", sources)

    expected = ["a.example.org:465", "b.example.org:465", "a.example.org:587"]
    assert expected == list(map(str, servers))
    assert ["implicit", "implicit", "starttls"] == [s.tls for s in servers]
    assert not any(server.foreign for server in servers)


def test_srv_to_another_domain():
    """A host outside of the domain is to be confirmed (RFC 6186 section 6)."""
    sources = asked(
        {("_submissions._tcp.example.org", "SRV"): [(0, 0, 465, "mx.example.net.")]}
    )
    servers, _ = found("me@example.org", sources)

    assert servers[0].foreign


@pytest.mark.parametrize("target", [".", "a b.", "-x.example.org.", "1.2.3.4."])
def test_srv_that_is_none(target):
    """A dot says that there is no such service (RFC 2782); nonsense says nothing."""
    sources = asked({("_submission._tcp.example.org", "SRV"): [(0, 0, 587, target)]})
    servers, _ = found("me@example.org", sources)

    assert [] == servers


def test_without_a_library():
    """Without dnspython it is said what was skipped, and the rest is asked."""
    sources = asked(None, answering=("smtp.example.org:587",))
    servers, told = found("me@example.org", sources)

    assert ["smtp.example.org:587"] == list(map(str, servers))
    assert "dnspython is not installed" in told


def test_with_the_library(monkeypatch):
    """Records come as dnspython has them; no answer is none."""
    host = types.SimpleNamespace(to_text=lambda: "a.example.org.")
    record = types.SimpleNamespace(priority=1, weight=2, port=465, target=host)

    class Trouble(Exception):
        pass

    def resolve(asked_for, kind, lifetime):
        if asked_for == "nothing":
            raise Trouble
        return [record]

    for name, content in (
        ("dns", {}),
        ("dns.resolver", {"resolve": resolve}),
        ("dns.exception", {"DNSException": Trouble}),
    ):
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)

    assert [(1, 2, 465, "a.example.org.")] == discovery.lookup("x", "SRV")
    assert [] == discovery.lookup("nothing", "SRV")


# -- autoconfig

FILE = """\
<?xml version="1.0"?>
<clientConfig version="1.1"><emailProvider id="example.org">
  <incomingServer type="imap"><hostname>imap.example.org</hostname></incomingServer>
  <outgoingServer type="smtp">
    <hostname>%EMAILDOMAIN%</hostname><port>25</port><socketType>plain</socketType>
  </outgoingServer>
  <outgoingServer type="smtp">
    <hostname>out.%EMAILDOMAIN%</hostname><port>587</port>
    <socketType>STARTTLS</socketType><username>%EMAILADDRESS%</username>
    <authentication>OAuth2</authentication>
    <authentication>password-cleartext</authentication>
  </outgoingServer>
  <outgoingServer type="smtp">
    <hostname> out.example.org </hostname><port>465</port><socketType>SSL</socketType>
    <username>%EMAILLOCALPART%</username>
    <authentication>password-cleartext</authentication>
  </outgoingServer>
  <outgoingServer type="smtp">
    <hostname>oauth.example.org</hostname><port>465</port><socketType>SSL</socketType>
    <authentication>OAuth2</authentication>
  </outgoingServer>
</emailProvider></clientConfig>
"""


def test_autoconfig():
    """The domain's own file names hosts, ports and user names; clear text is left."""
    place = "https://example.org/.well-known/autoconfig/mail/config-v1.1.xml"
    servers, _ = found("me@example.org", asked({}, {place: FILE.encode()}))

    told = [(str(s), s.tls, s.user) for s in servers]
    assert [
        ("out.example.org:465", "implicit", "me"),
        ("out.example.org:587", "starttls", "me@example.org"),
    ] == told


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"no xml",
        b'<!DOCTYPE x [<!ENTITY e "x">]><clientConfig>&e;</clientConfig>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><clientConfig/>',
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE x><x/>'.encode("utf-16"),
        b"<a>" * 10000,
        FILE.replace("465", "x").encode(),
        FILE.replace("out.example.org", "a b").encode(),
        FILE.encode()[:-30],
    ],
)
def test_autoconfig_that_is_none(text):
    """What is no such file, or has a document type, is refused with a reason."""
    with pytest.raises(ValueError, match="."):
        autoconfig.read(text, "me@example.org")


def test_a_bad_file_is_told_of():
    """A file that is not used is told of, and the next place is asked."""
    first, second = autoconfig.addresses("me@example.org")
    sources = asked({}, {first: b"<!DOCTYPE x><x/>", second: FILE.encode()})
    servers, told = found("me@example.org", sources)

    assert 2 == len(servers)
    assert "it has a document type" in told


@pytest.fixture
def web(certificates, monkeypatch):
    """A web server with TLS; what is in `pages` it has."""
    pages: dict[str, tuple[int, str | None, bytes]] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, where, body = pages.get(self.path, (404, None, b""))
            self.send_response(status)
            if where:
                self.send_header("Location", where)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = certificates.context("good").wrap_socket(
        server.socket, server_side=True
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("SSL_CERT_FILE", certificates.text("authority"))
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield pages, f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_fetch(web):
    """A file is fetched over verified TLS, and redirections to https are followed."""
    pages, top = web
    pages["/a"] = (200, None, FILE.encode())
    pages["/b"] = (302, "/a", b"")

    assert FILE.encode() == autoconfig.fetch(f"{top}/a")
    assert FILE.encode() == autoconfig.fetch(f"{top}/b")


def test_fetch_refuses(web, monkeypatch, certificates):
    """What is missing, too large, in a circle, in clear or unverified is not read."""
    pages, top = web
    pages["/large"] = (200, None, b"x" * 70000)
    pages["/circle"] = (302, "/circle", b"")
    pages["/clear"] = (302, top.replace("https", "http") + "/a", b"")
    pages["/a"] = (200, None, b"x")
    pages["/file"] = (302, "file:///etc/passwd", b"")

    for path in ("/none", "/large", "/circle", "/clear", "/file"):
        assert autoconfig.fetch(top + path) is None
    monkeypatch.setenv("SSL_CERT_FILE", certificates.text("stranger-authority"))
    assert autoconfig.fetch(f"{top}/a") is None


# -- names that answer


def test_a_guess_must_answer():
    """smtp.DOMAIN and mail.DOMAIN count when they answer with the right certificate."""
    servers, _ = found("me@example.org", asked({}, {}, ("mail.example.org:465",)))
    nothing, told = found("me@example.org", asked({}, {}))

    assert ["mail.example.org:465"] == list(map(str, servers))
    assert [] == nothing
    assert "No smtp.example.org or mail.example.org answers" in told


def test_answers(certificates, monkeypatch):
    """Only a mailhub with a certificate for its name answers."""
    monkeypatch.setenv("SSL_CERT_FILE", certificates.text("authority"))
    good = Hub(tls="starttls", context=certificates.context("good"))
    other = Hub(tls="starttls", context=certificates.context("other-name"))
    told = []
    for hub in (good, other):
        hub.host = "127.0.0.1"
        with running(hub):
            server = Server("127.0.0.1", hub.port, "starttls")
            told.append(trial.answers(server))

    assert [True, False] == told


# -- what becomes of it


def drafted(server, sender="me@example.org"):
    answers = draft.Answers(sender, sender, "", sender, sender, server, "", "")
    text = draft.text(answers, [], "")
    return configuration.parse(text.encode(), "ssmtp.conf"), text


@pytest.mark.parametrize(
    ("address", "records", "domain"),
    [
        ("me@gmail.com", {}, None),
        ("me@example.org", {("example.org", "MX"): [(1, "smtp.google.com.")]}, True),
        ("me@isp.example", {}, None),
    ],
)
def test_rewrite_domain(address, records, domain):
    """Local names get the domain only where they cannot be those of strangers."""
    sources = asked(records, {}, ("smtp.isp.example:465",))
    servers, _ = found(address, sources)
    config, text = drafted(servers[0], address)

    expected = address.partition("@")[2] if domain else None
    assert expected == config.rewrite_domain
    assert bool(domain) != ("rewriteDomain is not set" in text)


def test_a_provider_with_one_sender():
    """Where a provider takes no other sender, programs may not choose one."""
    servers, _ = found("me@yahoo.com", asked())
    strict, _ = drafted(servers[0], "me@yahoo.com")
    servers, _ = found("me@gmail.com", asked())
    free, _ = drafted(servers[0], "me@gmail.com")

    assert not strict.from_line_override
    assert free.from_line_override


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda p: p.id)
def test_what_is_written_means_what_was_found(provider):
    """For each provider the configuration's TLS is that of the port."""
    host = provider.host.format(region="eu-west-1")
    for server in discovery.of_provider(provider, host, "me@example.org", ""):
        config, _ = drafted(server)
        hub = config.mailhubs[0]

        expected = {"auto": "opportunistic"}.get(server.tls, server.tls)
        assert expected == configuration.tls_mode(config, hub)
        assert server.mailhub() == str(hub)
