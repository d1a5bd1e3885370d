"""What a configuration means."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp.config import KEYS, LISTS, Config, Mailhub, Proxy, Secret, parse, tls_mode
from ssmtp.errors import ConfigError
from ssmtp.values import MECHANISMS

PATH = "/etc/ssmtp/ssmtp.conf"


def read(text: str | bytes, home: str | None = None) -> Config:
    return parse(text.encode() if isinstance(text, str) else text, PATH, home)


def refusal(text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert 78 == caught.value.exit_code
    assert caught.value.sentence().isprintable()
    return caught.value.sentence()


def password(text: str | bytes) -> str | None:
    secret = read(text).auth_pass
    return None if secret is None else secret.reveal()


def test_defaults():
    """An empty file is a configuration with every default of the issue."""
    config = read("")

    assert PATH == config.path
    assert 1000 == config.min_user_id
    assert (30, 300, 600) == (
        config.connect_timeout,
        config.command_timeout,
        config.data_timeout,
    )
    assert (True, False, False, False) == (
        config.tls_verify,
        config.allow_cleartext_auth,
        config.from_line_override,
        config.force_from,
    )
    assert (None, None) == (config.use_tls, config.use_starttls)
    assert ([], [], []) == (
        config.mailhubs,
        config.add_headers,
        config.tls_fingerprints,
    )
    assert not config.has_secret
    assert [] == config.notes


def test_lists_are_not_shared():
    """Two configurations do not share their lists."""
    one = read("Mailhub=a\nAddHeader=X: y")

    assert 1 == len(one.mailhubs)
    assert [] == read("").mailhubs
    assert [] == read("").add_headers


def test_table_and_config_agree():
    """Every key has an attribute, and every attribute a key."""
    config = read("")

    assert {key.attribute for key in KEYS} | {"path", "has_secret", "notes"} == set(
        Config.__slots__
    )
    for key in KEYS:
        expected = [] if key.kind in LISTS else key.default
        assert expected == getattr(config, key.attribute)
        assert key.help[:1].isupper()
        assert key.help.endswith(".")


EXAMPLES = {
    "mailhub": "hub.example:587",
    "port": "587",
    "text": "text",
    "uid": "500",
    "path": "/a/path",
    "domain": "corp.example",
    "yes or no": "yes",
    "field": "X-Name: value",
    "fingerprint": "ab" * 32,
    "version": "1.3",
    "secret": "secret",
    "command": "pass show mail",
    "mechanism": "PLAIN",
    "seconds": "12",
    "IP address": "192.0.2.1",
    "proxy": "socks5://proxy.example",
    "auto, direct or agent": "agent",
    "number": "7",
    "duration": "12h",
    "size": "3M",
    "rate": "20/min",
    "share or size": "10%",
    "login:patterns": "www-data:*@shop.example",
    "address:port": "127.0.0.1:587",
}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
@pytest.mark.parametrize("form", ["{}={}", "{} = {}", "\t{}\t=\t{}  ", "{}={} # c"])
def test_every_key(key, form):
    """Every key is read in any case, with blanks and a comment around."""
    value = EXAMPLES[key.kind]
    plain = read(f"{key.name}={value}\n")
    seen = getattr(plain, key.attribute)

    assert seen not in (None, [], key.default) or key.default is True
    for name in (key.name.lower(), key.name.upper(), key.name):
        again = read(form.format(name, value))
        assert str(seen) == str(getattr(again, key.attribute))


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
@pytest.mark.parametrize("value", ["", "   ", '""', "# comment", "'' # comment"])
def test_empty_value_is_not_set(key, value):
    """A key without a value is as if it were not there."""
    config = read(f"{key.name}= {value}\n")

    default = "" if key.name == "AuthUser" else [] if key.kind in LISTS else key.default
    assert default == getattr(config, key.attribute)
    assert not config.has_secret


@pytest.mark.parametrize(
    "text",
    [
        b"Mailhub=hub.example:587\r\nFromLineOverride=YES\r\n",
        b"\xef\xbb\xbfMailhub=hub.example:587\nFromLineOverride=Yes",
        b"# c\n\n  \t\n mailhub = hub.example:587 \n\tfromlineoverride =\ttrue # c",
        b"Mailhub=hub.example:587\rFromLineOverride=on\r",
        b"Mailhub='hub.example:587'\nFromLineOverride=\"1\"",
        b"MAILHUB=hub.example:587   # comment\nFromLineOverride=tRuE #no\n",
        "Mailhub\xa0=\xa0hub.example:587\nFromLineOverride=yes\xa0\n".encode(),
        b"Mailhub=hub.example:587\n# \x00\nFromLineOverride=yes\n",
    ],
)
def test_tolerant_lines(text):
    """Blanks, CRLF, a byte order mark and a missing newline change no meaning."""
    config = read(text)

    assert ["hub.example:587"] == [str(hub) for hub in config.mailhubs]
    assert config.from_line_override


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("se#cret", "se#cret"),
        ("#secret", "#secret"),
        ("se #cret", "se"),
        ("se\t# cret", "se"),
        ("a=b", "a=b"),
        ("=", "="),
        ("a:b;c", "a:b;c"),
        ("a b", "a b"),
        ("a b #c", "a b"),
        ("abcd efgh ijkl mnop", "abcd efgh ijkl mnop"),
        ("abcd efgh ijkl mnop  # app password", "abcd efgh ijkl mnop"),
        ('"a #b"', "a #b"),
        ("'a #b' # c", "a #b"),
        ('" a "', " a "),
        ('"a\\b"', "a\\b"),
        ('"a"b"', 'a"b'),
        ('"a', '"a'),
        ("a'", "a'"),
        ('"', '"'),
        ("''", None),
        ("it's # the user's", "it's"),
        ("it's #1 and that's all", "it's"),
        ('"it\'s" # c', "it's"),
        ('se "x #y"', 'se "x #y"'),
        ("p\\#q", "p\\#q"),
        ("sécret", "sécret"),
        ("100%", "100%"),
        ("$HOME`id`", "$HOME`id`"),
    ],
)
def test_any_password(value, expected):
    """A value may hold #, =, : and blanks; # is special after white space only."""

    assert expected == password(f"AuthPass={value}\n")


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20),
    st.sampled_from("\"'"),
    st.sampled_from(["\n", "\r\n", "", "  # comment\n"]),
)
def test_quotes_hold_any_password(text, quote, end):
    """Any password can be written in quotes, if it does not hold the quote itself."""
    text = text.replace(quote, "")

    assert (text or None) == password(f"AuthPass={quote}{text}{quote}{end}")


def test_octets_that_are_no_utf8():
    """A password in another encoding keeps its octets."""
    secret = password(b"AuthPass=s\xe9cret\n")

    assert secret is not None
    assert b"s\xe9cret" == secret.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("word", ["yes", "YES", "yEs", "true", "True", "on", "ON", "1"])
def test_yes(word):
    """All usual spellings of yes mean yes, in any case."""

    assert read(f"UseTLS={word}").use_tls is True


@pytest.mark.parametrize("word", ["no", "NO", "false", "False", "off", "0"])
def test_no(word):
    """All usual spellings of no mean no, in any case."""

    assert read(f"TLSVerify={word}").tls_verify is False


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("UseTLS=maybe", "line 1: UseTLS"),
        ("\n\nUseSTARTTLS=yes please", "line 3: UseSTARTTLS"),
        ("UseTLS=2", "UseTLS"),
        ("UseTLS=y\0es", "UseTLS"),
        ("mailhub 127.0.0.1:25", "Mailhub is not followed by ="),
        ("mailhub\t127.0.0.1:25 # a=b", "Mailhub is not followed by ="),
        ("hostname h1.example x=y", "Hostname is not followed by ="),
        ("mailhub", "Mailhub is not followed by ="),
        ("gibberish", "line 1"),
        ("=x", "line 1"),
        ("==", "line 1"),
        ("NoSuchKey=val\nMinUserId\n", "NoSuchKey"),
        ("mail_hub=x", "nearest known key is Mailhub"),
        ("Mailhubb=x", "nearest known key is Mailhub"),
        ("UseStartTL=x", "nearest known key is UseSTARTTLS"),
        ("AuthPassword=x", "nearest known key is AuthPass"),
        ("Password=x", "nearest known key is AuthPass"),
        ("Port=x", "nearest known key is RemotePort"),
        ("TLSCAFile=x", "nearest known key is TLS_CA_File"),
        ("Fromline_Override=x", "nearest known key is FromLineOverride"),
        ("X" * 3000 + "=1", "unknown key XXX"),
        ("\x1b[2J=1", "unknown key \\x1b[2J"),
        ("Hostname=a\0b", "Hostname holds a control character (0x00)"),
        ("Root=a\x1bb", "Root holds a control character"),
        ("Root=a\rb\n", "Root holds a control character"),
        ("Hostname=h.example#comment", "Hostname"),
        ("Hostname=a b", "Hostname"),
        ("Hostname=" + "h" * 2100, "Hostname"),
        ("RewriteDomain=a..b", "RewriteDomain"),
        ("RewriteDomain=@", "RewriteDomain"),
        ("RewriteDomain=-a.example", "RewriteDomain"),
        ("RewriteDomain=a.example,b.example", "RewriteDomain"),
        (b"RewriteDomain=caf\xe9.example", "RewriteDomain"),
        ("RemotePort=0", "RemotePort"),
        ("RemotePort=65536", "RemotePort"),
        ("RemotePort=smtp", "RemotePort"),
        ("RemotePort=٢٥", "RemotePort"),
        ("MinUserId=-1", "MinUserId"),
        ("MinUserId=1e3", "MinUserId"),
        ("ConnectTimeout=0", "ConnectTimeout"),
        ("ConnectTimeout=-5", "ConnectTimeout"),
        ("ConnectTimeout=inf", "ConnectTimeout"),
        ("ConnectTimeout=nan", "ConnectTimeout"),
        ("ConnectTimeout=1e9", "ConnectTimeout"),
        ("ConnectTimeout=86401", "ConnectTimeout"),
        ("ConnectTimeout=s", "ConnectTimeout"),
        ("ConnectTimeout=.", "ConnectTimeout"),
        ("ConnectTimeout=1.2.3", "ConnectTimeout"),
        ("TLSMinVersion=1.1", "below 1.2"),
        ("TLSMinVersion=SSLv3", "TLSMinVersion"),
        ("TLSFingerprint=abcd", "TLSFingerprint"),
        ("TLSFingerprint=" + "xy" * 32, "TLSFingerprint"),
        ("TLSFingerprint=" + "ab" * 20, "TLSFingerprint"),
        ("AuthMethod=ROT13", "SCRAM-SHA-256"),
        ("AuthMethod=PLAIN LOGIN", "AuthMethod"),
        ("SourceAddress=eth0", "SourceAddress"),
        ("SourceAddress=1.2.3", "SourceAddress"),
        ("AddHeader=X-Name", "AddHeader"),
        ("AddHeader=: value", "AddHeader"),
        ("AddHeader=X Name: value", "AddHeader"),
        ("AddHeader=X-N\xe4me: value", "AddHeader"),
        ("AddHeader=X-A: a\x0bb", "AddHeader"),
        (b"\xff\xfeM\0a\0", "UTF-16"),
        ("Delivery=queue", "Delivery is auto, direct or agent"),
        ("Connections=0", "Connections needs a number from 1 on"),
        ("Connections=-1", "Connections"),
        ("Connections=four", "Connections"),
        ("Connections=99999999999", "Connections"),
        ("QueueLifetime=0", "QueueLifetime"),
        ("QueueLifetime=5 weeks", "such as 90s, 15m, 4h or 5d"),
        ("QueueLifetime=d", "QueueLifetime"),
        ("QueueLifetime=367d", "at most 366 days"),
        ("QueueLifetime=-5d", "QueueLifetime"),
        ("MaxQueuedSize=0", "MaxQueuedSize"),
        ("MaxQueuedSize=much", "such as 50M or 2G"),
        ("MaxQueuedSize=M", "MaxQueuedSize"),
        ("MaxQueuedSize=5%", "MaxQueuedSize"),
        ("MaxQueuedSize=9999999999T", "MaxQueuedSize"),
        ("MinFreeSpace=100%", "from 0% to 99%"),
        ("MinFreeSpace=-1%", "MinFreeSpace"),
        ("MinFreeSpace=%", "MinFreeSpace"),
        ("RateLimit=20", "such as 2/s, 20/min or 500/hour"),
        ("RateLimit=0/min", "RateLimit"),
        ("RateLimit=20/fortnight", "RateLimit"),
        ("RateLimit=/min", "RateLimit"),
        ("AllowSender=www-data", "AllowSender needs LOGIN:PATTERN"),
        ("AllowSender=:a@b.example", "AllowSender"),
        ("AllowSender=me:", "AllowSender"),
        ("AllowSender=me:own,,", "AllowSender"),
        ("AllowSender=me:a b@c.example", "AllowSender has a blank"),
        ("ListenLoopback=0.0.0.0:25", "a loopback address in numbers"),
        ("ListenLoopback=192.0.2.1:25", "a loopback address in numbers"),
        ("ListenLoopback=localhost:25", "a loopback address in numbers"),
        ("ListenLoopback=[::]:25", "a loopback address in numbers"),
        ("ListenLoopback=[2001:db8::1]:25", "a loopback address in numbers"),
        ("ListenLoopback=::1:25", "a loopback address in numbers"),
        ("ListenLoopback=[::ffff:127.0.0.1]:25", "ListenLoopback"),
        ("ListenLoopback=25", "ListenLoopback"),
        ("ListenLoopback=127.0.0.1:", "ListenLoopback needs a port"),
        ("ListenLoopback=127.0.0.1:0", "ListenLoopback needs a port"),
        ("ListenLoopback=127.0.0.1:65536", "ListenLoopback needs a port"),
    ],
)
def test_refused(text, said):
    """What cannot be meant is refused (78) with file, line and key."""
    sentence = refusal(text)

    assert said in sentence
    assert PATH in sentence


@pytest.mark.parametrize(
    "text",
    [
        "AuthPass hunter2",
        "AuthPass hunter2 = x",
        "AuthPass=hunter2\x07",
        "Proxy=socks5://me:hunter2@",
        "Proxy=socks5://me:hunter2@host:port",
        "Proxy=socks5://me:hunter2%@host",
        "Proxy=ftp://me:hunter2@host",
        "Proxy=http://me:hunter2@host/path",
        "AuthPass=x\nhunter2 and more words",
    ],
)
def test_no_secret_in_errors(text):
    """No error repeats what may be a password."""

    assert "hunter2" not in refusal(text)


def test_secret_prints_as_dots():
    """A Secret prints as dots, is not pickled or copied, and can be asked for."""
    secret = Secret("hunter2")

    for shown in (
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret:>9}",
        f"{[secret]}",
    ):
        assert "hunter2" not in shown
        assert "••••••" in shown
    assert "hunter2" == secret.reveal()
    assert secret
    assert not Secret("")
    for how in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            how(secret)
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AuthPass=x", True),
        ("AuthPass=x\nAuthPass=", True),
        ("AuthPass=\nAuthUser=me", False),
        ("#AuthPass=x", False),
        ("Proxy=socks5://me:x@host", True),
        ("Proxy=socks5://me@host", False),
        ("Proxy=socks5://host", False),
        ("AuthPassFile=/x\nAuthPassCommand=x", False),
    ],
)
def test_holds_a_secret(text, expected):
    """A configuration knows whether its file holds a password."""

    assert expected == read(text).has_secret


def test_last_occurrence_wins():
    """The last occurrence of a key wins, also when it is an empty one."""
    config = read(
        "Root=a@x\nroot=b@x\nAuthUser=a\nAUTHUSER=b\nAuthPass=a\nAuthPass=b\n"
        "Hostname=a.example\nHostname=\nUseTLS=no\nUseTLS=yes\n"
    )

    assert "b@x" == config.root
    assert "b" == config.auth_user
    assert config.auth_pass is not None
    assert "b" == config.auth_pass.reveal()
    assert config.hostname is None
    assert config.use_tls is True


def hubs(text: str) -> list[str]:
    return [str(hub) for hub in read(text).mailhubs]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("hub.example", "hub.example:25"),
        ("hub.example.", "hub.example:25"),
        ("hub.example:587", "hub.example:587"),
        ("hub.example : 587", "hub.example:587"),
        ("mail", "mail:25"),
        ("my_hub.example", "my_hub.example:25"),
        ("bücher.example:25", "bücher.example:25"),
        ("192.0.2.1", "192.0.2.1:25"),
        ("192.0.2.1:2525", "192.0.2.1:2525"),
        ("[::1]", "[::1]:25"),
        ("[::1]:587", "[::1]:587"),
        ("[ ::1 ] : 587", "[::1]:587"),
        ("[IPv6:::1]:587", "[::1]:587"),
        ("::1", "[::1]:25"),
        ("::", "[::]:25"),
        ("2001:db8::25", "[2001:db8::25]:25"),
        ("2001:db8:0:0:0:0:0:1", "[2001:db8:0:0:0:0:0:1]:25"),
        ("2001:db8:0:0:0:0:0:1:587", "[2001:db8:0:0:0:0:0:1]:587"),
        ("::ffff:192.0.2.1", "[::ffff:192.0.2.1]:25"),
        ("fe80::1%eth0", "[fe80::1%eth0]:25"),
        ("[fe80::1%eth0]:25", "[fe80::1%eth0]:25"),
        ("[192.0.2.1]:25", "192.0.2.1:25"),
        ("[smtp.example.com]:587", "smtp.example.com:587"),
        ("unix:/run/hub.sock", "unix:/run/hub.sock"),
        ("UNIX:/run/a b#c", "unix:/run/a b#c"),
        ("smtp.gmail.com:465 # comment", "smtp.gmail.com:465"),
    ],
)
def test_mailhub(value, expected):
    """A mailhub is a host, host:port, an IP address, [IPv6]:port or a Unix socket."""

    assert [expected] == hubs(f"Mailhub={value}")


@pytest.mark.parametrize(
    "value",
    [
        "hub.example:",
        "hub.example:smtp",
        "hub.example:25abc",
        "hub.example:0",
        "hub.example:65536",
        "hub.example:-1",
        "hub.example:+25",
        "hub.example: 2 5",
        "hub.example:٢٥",
        ":25",
        ":",
        "[::1",
        "[::1]587",
        "[::1]:",
        "[]:25",
        "[::g]:25",
        "::1:2525",
        "1:2:3",
        "a:b:c",
        "hub example",
        "hub,other",
        "a/b",
        "user@hub.example",
        "smtps://hub.example:465",
        "smtp://hub.example",
        "/run/hub.sock",
        "unix:run/hub.sock",
        "unix:",
        "-hub.example",
        "hub..example",
        "h" * 64 + ".example",
        ".".join(["h" * 63] * 4) + ".example",
    ],
)
def test_bad_mailhub(value):
    """What is no mailhub is refused, and never half-read as one."""
    assert "line 1: Mailhub " in refusal(f"Mailhub={value}")


def test_ambiguous_ipv6():
    """An IPv6 address that may or may not end in a port is refused with both forms."""
    sentence = refusal("Mailhub=::1:2525")

    assert "[::1:2525]" in sentence
    assert "[::1]:2525" in sentence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RemotePort=2525\nMailhub=a", ["a:2525"]),
        ("Mailhub=a\nRemotePort=2525", ["a:2525"]),
        ("Mailhub=a:1\nRemotePort=2525", ["a:2525"]),
        ("RemotePort=1\nMailhub=a:2525", ["a:2525"]),
        ("RemotePort=1\nRemotePort=2525\nMailhub=a", ["a:2525"]),
        ("Mailhub=a\nMailhub=b:26", ["a:25", "b:26"]),
        ("Mailhub=a\nMailhub=b\nRemotePort=26", ["a:26", "b:26"]),
        ("Mailhub=a\nMailhub=A2\nMailhub=a", ["a:25", "A2:25"]),
        ("Mailhub=unix:/s\nRemotePort=26\nMailhub=a", ["unix:/s", "a:26"]),
        ("Mailhub=a\nMailhub=", ["a:25"]),
        ("RemotePort=26\nRemotePort=\nMailhub=a", ["a:25"]),
    ],
)
def test_ports_and_fallbacks(text, expected):
    """A later RemotePort wins over an earlier port; more mailhubs are fallbacks."""

    assert expected == hubs(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mailhub=h", "opportunistic"),
        ("Mailhub=h:25", "opportunistic"),
        ("Mailhub=h:2525", "opportunistic"),
        ("Mailhub=h:465", "implicit"),
        ("Mailhub=h:587", "starttls"),
        ("Mailhub=h\nRemotePort=465", "implicit"),
        ("Mailhub=h\nUseTLS=Yes", "implicit"),
        ("Mailhub=h:587\nUseTLS=Yes", "implicit"),
        ("Mailhub=h:465\nUseTLS=Yes", "implicit"),
        ("Mailhub=h:587\nUseTLS=Yes\nUseSTARTTLS=Yes", "starttls"),
        ("Mailhub=h\nUseTLS=Yes\nUseSTARTTLS=Yes", "starttls"),
        ("Mailhub=h:465\nUseTLS=Yes\nUseSTARTTLS=Yes", "implicit"),
        ("Mailhub=h:465\nUseSTARTTLS=Yes", "implicit"),
        ("Mailhub=h\nUseSTARTTLS=Yes", "starttls"),
        ("Mailhub=h:465\nUseTLS=Yes\nUseSTARTTLS=No", "implicit"),
        ("Mailhub=h:587\nUseTLS=Yes\nUseSTARTTLS=No", "implicit"),
        ("Mailhub=h:465\nUseSTARTTLS=No", "implicit"),
        ("Mailhub=h:587\nUseSTARTTLS=No", "none"),
        ("Mailhub=h\nUseSTARTTLS=No", "none"),
        ("Mailhub=h\nUseTLS=No", "none"),
        ("Mailhub=h:587\nUseTLS=No", "none"),
        ("Mailhub=h\nUseTLS=No\nUseSTARTTLS=Yes", "starttls"),
        ("Mailhub=h\nUseSTARTTLS=Yes\nUseTLS=No", "starttls"),
        ("Mailhub=h\nUseTLS=No\nUseSTARTTLS=No", "none"),
        ("Mailhub=unix:/s", "none"),
        ("Mailhub=unix:/s\nUseTLS=Yes\nUseSTARTTLS=Yes", "none"),
        ("Mailhub=h\nUseSTARTTLS = YES", "starttls"),
        ("Mailhub=h\r\nUseSTARTTLS=YES\r\n", "starttls"),
        ("Mailhub=h\nUseTLS=", "opportunistic"),
        # Whoever pins a key wants to see it.
        ("Mailhub=h\nTLSFingerprint=" + "ab" * 32, "starttls"),
        ("Mailhub=h:465\nTLSFingerprint=" + "ab" * 32, "implicit"),
        ("Mailhub=h\nUseTLS=No\nTLSFingerprint=" + "ab" * 32, "none"),
    ],
)
def test_tls_mode(text, expected):
    """UseTLS and UseSTARTTLS say how TLS begins; when neither does, the port does."""
    config = read(text)

    assert expected == tls_mode(config, config.mailhubs[0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Mailhub=h:465\nUseTLS=Yes\nUseSTARTTLS=Yes", ["h:465", "465", "UseSTARTTLS"]),
        ("UseSTARTTLS=Yes\nMailhub=h:465\nMailhub=g", ["h:465"]),
        ("Mailhub=h:587\nUseTLS=Yes", ["h:587", "UseSTARTTLS"]),
        ("Mailhub=h\nUseTLS=No\nUseSTARTTLS=Yes", ["UseTLS=No"]),
        ("Hostname=me@gmail.example", ["Hostname", "gmail.example"]),
        ("RewriteDomain=@corp.example", ["RewriteDomain", "corp.example"]),
        ("Hostname=_HOSTNAME_", ["Hostname", "_HOSTNAME_"]),
    ],
)
def test_notes(text, words):
    """What is read otherwise than it is written is noted for -v."""
    notes = read(text).notes

    assert 1 == len(notes)
    assert all(word in notes[0] for word in words)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("corp.example", "corp.example"),
        ("corp.example.", "corp.example"),
        ("@corp.example", "corp.example"),
        ("user@corp.example", "corp.example"),
        ("a@b@corp.example", "corp.example"),
        ("_HOSTNAME_", None),
        ("testhost", "testhost"),
        ("my_host.example", "my_host.example"),
        ("bücher.example", "bücher.example"),
        ("[192.0.2.1]", "[192.0.2.1]"),
    ],
)
@pytest.mark.parametrize("key", ["RewriteDomain", "Hostname"])
def test_domain(key, value, expected):
    """Of an address in the place of a domain the domain is taken."""
    config = read(f"{key}={value}")

    assert expected == (config.hostname if key == "Hostname" else config.rewrite_domain)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("30", 30.0),
        ("2.5", 2.5),
        ("0.5", 0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("30s", 30.0),
        ("2 m", 120.0),
        ("1H", 3600.0),
        ("86400", 86400.0),
    ],
)
def test_seconds(value, expected):
    """Durations are seconds, and may say so."""

    assert expected == read(f"DataTimeout={value}").data_timeout


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("90", 90.0),
        ("90s", 90.0),
        ("15m", 900.0),
        ("4 h", 14400.0),
        ("5D", 432000.0),
        ("366d", 31622400.0),
    ],
)
def test_durations(value, expected):
    """A long time is given in days, hours, minutes or seconds."""

    assert expected == read(f"QueueLifetime={value}").queue_lifetime


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1", 1),
        ("512b", 512),
        ("64K", 65536),
        ("100M", 104857600),
        ("100 mb", 104857600),
        ("2GiB", 2147483648),
    ],
)
def test_sizes(value, expected):
    """Octets may be counted in powers of 1,024."""

    assert expected == read(f"MaxQueuedSize={value}").max_queued_size


@pytest.mark.parametrize(
    ("value", "expected"),
    [("7%", (0.07, 0)), ("0%", (0.0, 0)), ("50M", (0.0, 52428800))],
)
def test_free_space(value, expected):
    """What stays free is a share of the file system or a number of octets."""

    assert expected == read(f"MinFreeSpace={value}").min_free_space


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2/s", (2, 1.0)),
        ("20/min", (20, 60.0)),
        ("20 / Minute", (20, 60.0)),
        ("500/hour", (500, 3600.0)),
        ("2000/d", (2000, 86400.0)),
    ],
)
def test_rates(value, expected):
    """A rate is how many messages in how many seconds."""

    assert expected == read(f"RateLimit={value}").rate_limit


def test_senders():
    """Each AllowSender line adds a user, or everybody, and patterns of addresses."""
    text = "AllowSender=*:own\nallowsender = www-data : *@shop.example, a@b.example # c"

    assert [
        ("*", ["own"]),
        ("www-data", ["*@shop.example", "a@b.example"]),
    ] == read(text).allow_senders


def test_loopback():
    """The agent listens on any loopback address in numbers, on port 25 by default."""
    text = "".join(
        f"ListenLoopback={place}\n"
        for place in ("127.0.0.1", "127.0.0.2:587", "[::1]", "[::1]:465")
    )

    assert [
        ("127.0.0.1", 25),
        ("127.0.0.2", 587),
        ("::1", 25),
        ("::1", 465),
    ] == read(text).listen_loopback


def test_loopback_place_has_one_name():
    """However an address is written, its socket is known when it is handed over."""
    text = "".join(
        f"ListenLoopback={place}:25\n"
        for place in ("127.000.000.001", "[0:0:0:0:0:0:0:1]")
    )

    assert [("127.0.0.1", 25), ("::1", 25)] == read(text).listen_loopback


def test_agent_defaults():
    """The agent's limits without a line about them."""
    config = read("")

    assert ("auto", 4, 30.0, 100, None) == (
        config.delivery,
        config.connections,
        config.idle_timeout,
        config.messages_per_connection,
        config.rate_limit,
    )
    assert (5 * 86400, 4 * 3600) == (config.queue_lifetime, config.warning_after)
    assert (1000, 100 << 20, 1000, 20) == (
        config.max_queued_messages,
        config.max_queued_size,
        config.max_messages_per_minute,
        config.max_connections,
    )
    assert (0.05, 0) == config.min_free_space


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1.2", "1.2"), ("1.3", "1.3"), ("TLSv1.2", "1.2"), ("tls1_3", "1.3")],
)
def test_tls_version(value, expected):
    """A version of TLS is 1.2 or 1.3, with or without its name."""

    assert expected == read(f"TLSMinVersion={value}").tls_min_version


ONE, TWO = "0a" * 32, "ff" * 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"TLSFingerprint={ONE}", [ONE]),
        (f"TLSFingerprint={ONE.upper()}", [ONE]),
        (f"TLSFingerprint=sha256:{ONE}", [ONE]),
        (f"TLSFingerprint={':'.join(['0A'] * 32)}", [ONE]),
        (f"TLSFingerprint=SHA256 Fingerprint={':'.join(['0A'] * 32)}", [ONE]),
        (f"TLSFingerprint={ONE},{TWO}", [ONE, TWO]),
        (f"TLSFingerprint={ONE} {TWO} # old, new", [ONE, TWO]),
        (f"TLSFingerprint={ONE}\ntlsfingerprint={TWO}", [ONE, TWO]),
        (f'TLSFingerprint="{ONE}, {TWO}"', [ONE, TWO]),
    ],
)
def test_fingerprints(text, expected):
    """Fingerprints may be several, with or without colons, prefix and capitals."""

    assert expected == read(text).tls_fingerprints


@pytest.mark.parametrize("name", MECHANISMS)
def test_mechanisms(name):
    """Every mechanism that we know may be asked for, in any case."""

    assert name == read(f"AuthMethod={name.lower()}").auth_method
    assert name == read(f"AuthMethod={name.replace('-', '_')}").auth_method


def test_automatic_mechanism():
    """AuthMethod=auto is the automatic choice."""

    assert read("AuthMethod=Auto").auth_method is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AddHeader=X-One: v", [(1, "X-One: v")]),
        ("AddHeader = X-One : a=b:c ", [(1, "X-One: a=b:c")]),
        ("AddHeader=X-One:v", [(1, "X-One: v")]),
        ("AddHeader=X-One:", [(1, "X-One: ")]),
        ("AddHeader=X-One: v # c", [(1, "X-One: v")]),
        ("AddHeader=X-One: v#c", [(1, "X-One: v#c")]),
        ('AddHeader=X-One: "a # b"', [(1, 'X-One: "a # b"')]),
        ('AddHeader="X-One: a # b"', [(1, "X-One: a # b")]),
        ("AddHeader=A: 1\n\nAddHeader=B: 2", [(1, "A: 1"), (3, "B: 2")]),
    ],
)
def test_added_fields(text, expected):
    """Added header fields gather in their order, with the line they come from."""

    assert expected == read(text).add_headers


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("pass show mail", ["pass", "show", "mail"]),
        ("  pass   show\tmail ", ["pass", "show", "mail"]),
        ('pass show "my mail"', ["pass", "show", "my mail"]),
        ("pass 'a # b' # c", ["pass", "a # b"]),
        ("'/opt/my tool/x' y", ["/opt/my tool/x", "y"]),
        ("/opt/my\\ tool/x y", ["/opt/my tool/x", "y"]),
        ('"pass show mail"', ["pass", "show", "mail"]),
        ("x --user=\"a b\"'c'", ["x", "--user=a bc"]),
        ('x "a\\"b" "c\\\\d" "e\\f"', ["x", 'a"b', "c\\d", "e\\f"]),
        ("x 'a\\b'", ["x", "a\\b"]),
        ('x ""', ["x", ""]),
        ('sh -c "gpg -d x | head -1"', ["sh", "-c", "gpg -d x | head -1"]),
        ('["pass", "show", "a, b"]', ["pass", "show", "a, b"]),
        ("['pass','it\"s']", ["pass", 'it"s']),
        ('[ "pass" , "a b", ]', ["pass", "a b"]),
        ('["sh", "-c", "x # y"] # c', ["sh", "-c", "x # y"]),
        ("~/bin/mail-password", ["~/bin/mail-password"]),
        ("awk {print}", ["awk", "{print}"]),
    ],
)
def test_command(value, expected):
    """A command is words with quotes, or a list; no shell has a hand in it."""

    assert expected == read(f"AuthPassCommand={value}").auth_pass_command


@pytest.mark.parametrize(
    "value",
    [
        "gpg -d x | head -1",
        "cat x; true",
        "cat x ; true",
        "a && b",
        "a || b",
        "cat < x",
        "cat x > y",
        "cat x 2>/dev/null",
        "echo $(cat x)",
        "echo `cat x`",
        "x 'a",
        'x "a',
        '["a"',
        "[a, b]",
        "[]",
        "['', 'a']",
        "'' a",
    ],
)
def test_bad_command(value):
    """What only a shell understands is refused instead of becoming an argument."""

    assert "AuthPassCommand" in refusal(f"AuthPassCommand={value}")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("socks5://proxy.example", ("socks5", "proxy.example", 1080, "", "")),
        ("SOCKS5://proxy.example:99/", ("socks5", "proxy.example", 99, "", "")),
        ("socks5h://proxy.example", ("socks5", "proxy.example", 1080, "", "")),
        ("http://proxy.example", ("http", "proxy.example", 8080, "", "")),
        ("http://[::1]:3128", ("http", "::1", 3128, "", "")),
        ("http://me:pw@h:1", ("http", "h", 1, "me", "pw")),
        ("socks5://me:p%40:%20w@x@h:1", ("socks5", "h", 1, "me", "p@: w@x")),
        ("socks5://m%C3%A9@h", ("socks5", "h", 1080, "mé", "")),
    ],
)
def test_proxy(value, expected):
    """A proxy is a socks5:// or http:// URL with an optional login."""
    proxy = read(f"Proxy={value}").proxy

    assert isinstance(proxy, Proxy)
    assert expected == (
        proxy.scheme,
        proxy.host,
        proxy.port,
        proxy.user,
        proxy.password.reveal(),
    )
    assert "pw" not in str(proxy) + repr(proxy)


@pytest.mark.parametrize(
    "value",
    [
        "proxy.example:1080",
        "https://proxy.example",
        "socks4://proxy.example",
        "socks5://",
        "socks5://@h",
        "socks5://:pw@h",
        "socks5://h:0",
        "socks5://h/path",
        "socks5://unix:/s",
        "socks5://h%zz@x",
        "socks5://" + "u" * 256 + "@h",
    ],
)
def test_bad_proxy(value):
    """What is no proxy is refused."""

    assert "line 1: Proxy " in refusal(f"Proxy={value}")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/etc/x", "/etc/x"),
        ("secrets/x", "/etc/ssmtp/secrets/x"),
        ("~/x", "/home/me/x"),
        ("~other/x", "~other/x"),
        ('"/a b/c"', "/a b/c"),
    ],
)
def test_paths(value, expected):
    """A relative path is taken from the configuration's directory, ~/ from home."""

    assert expected == read(f"TLS_CA_File={value}", "/home/me").tls_ca_file


def test_home_may_be_unknown():
    """Without a home a path that needs one stays as it is written."""

    assert "~/x" == read("TLSKey=~/x").tls_key
    assert "x" == parse(b"TLSKey=x", "ssmtp.conf").tls_key


@pytest.mark.parametrize(
    ("value", "expected"),
    [("192.0.2.1", "192.0.2.1"), ("::1", "::1"), ("[2001:db8::1]", "2001:db8::1")],
)
def test_source_address(value, expected):
    """The address to connect from is an IPv4 or IPv6 address."""

    assert expected == read(f"SourceAddress={value}").source_address


def test_mailhub_record():
    """A Mailhub knows whether its port was said, and prints as it is written."""

    assert not read("Mailhub=a").mailhubs[0].explicit_port
    assert read("Mailhub=a:25").mailhubs[0].explicit_port
    assert read("RemotePort=25\nMailhub=a").mailhubs[0].explicit_port
    assert "[::1]:25" == repr(Mailhub("::1"))
    socket = read("Mailhub=unix:/s").mailhubs[0]
    assert (None, "/s") == (socket.host, socket.path)


RECIPES: dict[str, tuple[str, dict, tuple[str, str]]] = {
    # What the packages install.
    "debian": (
        (
            "#\n# comments, as they are\n#\nroot=postmaster\n\n# more of them\n"
            "mailhub=mail\n\n#rewriteDomain=\n\n# and more\n"
            "hostname=box.corp.example\n\n#FromLineOverride=YES\n"
        ),
        {"root": "postmaster", "hostname": "box.corp.example", "rewrite_domain": None},
        ("mail:25", "opportunistic"),
    ),
    "upstream": (
        (
            "root=postmaster\nmailhub=mail\nrewriteDomain=\nhostname=_HOSTNAME_\n"
            "#FromLineOverride=YES\n#UseTLS=YES\n#TLSCert=/etc/ssl/certs/ssmtp.pem\n"
        ),
        {"rewrite_domain": None, "hostname": None},
        ("mail:25", "opportunistic"),
    ),
    "fedora": (
        (
            "root=postmaster\nmailhub=mail\n#RewriteDomain=marvin.example\n"
            "hostname=localhost\nFromLineOverride=YES\n#UseTLS=YES\n"
            "TLS_CA_File=/etc/pki/tls/certs/ca-bundle.crt\nMinUserId=500\n#Debug=YES\n"
        ),
        {"min_user_id": 500, "tls_ca_file": "/etc/pki/tls/certs/ca-bundle.crt"},
        ("mail:25", "opportunistic"),
    ),
    # What people have copied from each other.
    "wiki, gmail on 587": (
        (
            "# a comment\nroot=username@gmail.com\n\nmailhub=smtp.gmail.com:587\n\n"
            "rewriteDomain=gmail.com\n\nhostname=yourlocalhost.yourlocaldomain.tld\n\n"
            "TLS_CA_FILE=/etc/ssl/certs/ca-certificates.crt\nUseTLS=Yes\n"
            "UseSTARTTLS=Yes\n\nAuthUser=username\nAuthPass=abcd efgh ijkl mnop\n"
            "AuthMethod=LOGIN\n\nFromLineOverride=yes\n"
        ),
        {
            "auth_user": "username",
            "auth_method": "LOGIN",
            "from_line_override": True,
            "tls_ca_file": "/etc/ssl/certs/ca-certificates.crt",
        },
        ("smtp.gmail.com:587", "starttls"),
    ),
    "gmail on 465 with STARTTLS": (
        (
            "root=me@gmail.com\nmailhub=smtp.gmail.com:465\nFromLineOverride=YES\n"
            "AuthUser=me@gmail.com\nAuthPass=testing123\nUseTLS=YES\nUseSTARTTLS=YES\n"
            "hostname=me@gmail.com\n"
        ),
        {"hostname": "gmail.com", "auth_user": "me@gmail.com"},
        ("smtp.gmail.com:465", "implicit"),
    ),
    "gmail on 465": (
        (
            "mailhub=smtp.gmail.com:465\nUseTLS=YES\nUseSTARTTLS=NO\nAuthUser=me\n"
            "AuthPass=x\nFromLineOverride=YES\nUseTLSCert=NO\n"
        ),
        {"use_tls_cert": False},
        ("smtp.gmail.com:465", "implicit"),
    ),
    "gmail, STARTTLS only": (
        "mailhub=smtp.gmail.com:587\nUseSTARTTLS=YES\nAuthUser=me\nAuthPass=x\n",
        {},
        ("smtp.gmail.com:587", "starttls"),
    ),
    "spaced out, from a web page": (
        (
            "Root = me@outlook.com\r\nMailHub = smtp.office365.com:587\r\n"
            "UseSTARTTLS = YES\r\nAuthUser = me@outlook.com\r\n"
            "AuthPass = p#ss=w:rd\r\nFromLineOverride = YES"
        ),
        {"root": "me@outlook.com", "from_line_override": True},
        ("smtp.office365.com:587", "starttls"),
    ),
    "a company hub without TLS": (
        "root=\nmailhub=10.0.0.25\nrewriteDomain=@corp.example\nUseTLS=No\n",
        {"root": None, "rewrite_domain": "corp.example"},
        ("10.0.0.25:25", "none"),
    ),
    "a container": (
        'mailhub="mailhog:1025"\nhostname="app"\nFromLineOverride="YES"\n',
        {"hostname": "app", "from_line_override": True},
        ("mailhog:1025", "opportunistic"),
    ),
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipes(name):
    """The files of the distributions and of half the web do what was meant."""
    text, attributes, (hub, mode) = RECIPES[name]
    config = read(text)

    assert attributes == {key: getattr(config, key) for key in attributes}
    assert [hub] == [str(found) for found in config.mailhubs]
    assert mode == tls_mode(config, config.mailhubs[0])


LINES = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda key, middle, value: f"{key}{middle}{value}".encode(),
        st.sampled_from([key.name for key in KEYS]),
        st.sampled_from(["=", " = ", " ", "==", ": "]),
        st.one_of(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
            st.text("0123456789.:[]%@/,\"'# abcdefx=", max_size=20),
        ),
    ),
)


@given(st.lists(LINES, max_size=8).map(b"\n".join))
def test_any_octets(text):
    """Whatever is in the file, it is a configuration or an error of one line."""
    try:
        config, said = parse(text, PATH), PATH
    except ConfigError as error:
        config, said = Config(PATH), error.sentence()

    assert PATH in said
    assert said.isprintable()
    for hub in config.mailhubs:
        assert tls_mode(config, hub) in (
            "implicit",
            "starttls",
            "opportunistic",
            "none",
        )
        assert hub.path or 0 < hub.port < 65536
    for value in (config.root, config.hostname, config.rewrite_domain):
        assert value is None or (value and not any(char < " " for char in value))


@given(
    st.one_of(
        st.ip_addresses(v=6).map(str),
        st.text("0123456789abcdef:.%", max_size=24),
    )
)
def test_ipv6_like_the_standard_library(text):
    """What is an IPv6 address, the ipaddress module agrees on."""
    import ipaddress

    from ssmtp.values import is_ipv6

    try:
        expected = bool(ipaddress.IPv6Address(text))
    except ValueError:
        expected = False

    assert expected == is_ipv6(text)
