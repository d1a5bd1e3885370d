"""The one maker of TLS contexts, pins, and the words for what goes wrong."""

from __future__ import annotations

import datetime
import hashlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import NameOID

from ssmtp import config
from ssmtp.errors import ConfigError, Failure, NetworkTrouble, SiteTrouble
from ssmtp.smtp.phases import Clocks
from ssmtp.smtp.steps import Broken, Secured
from ssmtp.wire import blocking, certificate, tls
from ssmtp.wire.channel import Channel


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def conf(authority: trustme.CA, tmp_path: Path) -> config.Config:
    """A configuration that trusts the tests' own authority."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return config.parse(b"TLS_CA_File=%b\n" % str(path).encode(), "test.conf")


def server(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def secured(
    conf: config.Config,
    context: ssl.SSLContext | None,
    host: str = "mail.example.org",
    wanted: bool = True,
    seconds: float = 5.0,
    play: Callable[[socket.socket], None] | None = None,
) -> Secured:
    """Set up TLS with a server that has `context`, or plays something else."""
    ours, theirs = socket.socketpair()

    def work() -> None:
        with theirs:
            try:
                if play is not None:
                    play(theirs)
                elif context is not None:
                    with context.wrap_socket(theirs, server_side=True) as session:
                        session.recv(1)
            except OSError:
                pass

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    ours.setblocking(False)
    channel = Channel(ours, Clocks(connect=seconds))
    made = tls.context(conf, wanted)
    deadline = time.monotonic() + seconds
    try:
        return blocking.run(
            tls.start(channel, made, conf, "hub:465", host, wanted, deadline)
        )
    finally:
        channel.close()
        thread.join(5)


def test_verified(conf: config.Config, authority: trustme.CA) -> None:
    """A certificate of a trusted authority for the right name is verified."""
    it = secured(conf, server(authority.issue_cert("mail.example.org")))

    assert it.verified
    assert "TLSv1.3" == it.version
    assert it.binding is not None
    assert f"{it.version} {it.cipher}" == str(it)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("MAIL.example.org", "mail.Example.org"),
        ("*.example.org", "mail.example.org"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("fe80::1", "fe80::1%eth0"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("mail.example.org", "mail.example.org."),
    ],
)
def test_names(
    conf: config.Config, authority: trustme.CA, name: str, host: str
) -> None:
    """Names match without case, one label deep, and addresses as addresses."""
    assert secured(conf, server(authority.issue_cert(name)), host).verified


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("other.example.org", "mail.example.org"),
        ("*.example.org", "a.mail.example.org"),
        ("*.example.org", "example.org"),
        ("localhost", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.1"),
    ],
)
def test_other_names(
    conf: config.Config, authority: trustme.CA, name: str, host: str
) -> None:
    """A certificate for another name is refused for later: 75."""
    with pytest.raises(SiteTrouble, match="is not for") as caught:
        secured(conf, server(authority.issue_cert(name)), host)

    assert 75 == caught.value.exit_code


def test_common_name_is_not_enough(conf: config.Config, authority: trustme.CA) -> None:
    """A name counts in subjectAltName only (RFC 9525 §2)."""
    leaf = authority.issue_cert(common_name="mail.example.org")
    with pytest.raises(SiteTrouble, match="is not for"):
        secured(conf, server(leaf))


def test_stranger(conf: config.Config) -> None:
    """An authority that is not trusted is told, with the key that would trust it."""
    with pytest.raises(SiteTrouble, match="certificate of hub:465") as caught:
        secured(conf, server(trustme.CA().issue_cert("mail.example.org")))

    assert "TLS_CA_File" in caught.value.next_step


def leaf_files(
    key: Any, tmp_path: Path, algorithm: Any = None, **sign: Any
) -> tuple[Path, bytes]:
    """A self-signed certificate; its PEM with key, and its DER."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example.org")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("mail.example.org")]), False
        )
        .sign(key, algorithm, **sign)
    )
    path = tmp_path / "leaf.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path, made.public_bytes(serialization.Encoding.DER)


def file_server(path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def test_self_signed(conf: config.Config, tmp_path: Path) -> None:
    """A self-signed certificate is refused, and both ways out are named."""
    path, _ = leaf_files(ec.generate_private_key(ec.SECP256R1()), tmp_path, SHA256)
    with pytest.raises(SiteTrouble, match="self-signed") as caught:
        secured(conf, file_server(path))

    assert "TLS_CA_File" in caught.value.next_step
    assert "TLSFingerprint" in caught.value.next_step


def test_self_signed_and_named(conf: config.Config, tmp_path: Path) -> None:
    """A self-signed certificate that TLS_CA_File names is trusted."""
    path, _ = leaf_files(ec.generate_private_key(ec.SECP256R1()), tmp_path, SHA256)
    conf.tls_ca_file = str(path)

    assert secured(conf, file_server(path)).verified


def test_intermediate_named(conf: config.Config, authority: trustme.CA) -> None:
    """An intermediate authority in TLS_CA_File is trust enough."""
    between = authority.create_child_ca()
    assert conf.tls_ca_file is not None
    between.cert_pem.write_to_path(conf.tls_ca_file)

    assert secured(conf, server(between.issue_cert("mail.example.org"))).verified


def test_verify_no(conf: config.Config) -> None:
    """TLSVerify=no takes any certificate, and does not call it verified."""
    conf.tls_verify = False
    it = secured(conf, server(trustme.CA().issue_cert("other.example")))

    assert not it.verified


def test_not_wanted(conf: config.Config) -> None:
    """Opportunistic TLS takes any certificate."""
    stranger = server(trustme.CA().issue_cert("other.example"))

    assert not secured(conf, stranger, wanted=False).verified


SHA256 = hashes.SHA256()


@pytest.mark.parametrize("what", ["certificate", "key"])
def test_pin(conf: config.Config, tmp_path: Path, what: str) -> None:
    """A pin names a certificate or its public key, and takes the chain's place."""
    key = ec.generate_private_key(ec.SECP256R1())
    path, der = leaf_files(key, tmp_path, SHA256)
    if what == "key":
        der = key.public_key().public_bytes(
            serialization.Encoding.DER,
            serialization.PublicFormat.SubjectPublicKeyInfo,
        )
    print_ = hashlib.sha256(der).hexdigest()
    conf.tls_fingerprints = ["00" * 32, print_]

    assert secured(conf, file_server(path), "any.example").verified


def test_pin_mismatch(conf: config.Config, authority: trustme.CA) -> None:
    """With a pin that does not match, a good chain does not help: 75."""
    conf.tls_fingerprints = ["ab" * 32]
    with pytest.raises(SiteTrouble, match="TLSFingerprint"):
        secured(conf, server(authority.issue_cert("mail.example.org")))


KEYS: dict[str, Callable[[], Any]] = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}
PSS = padding.PSS(padding.MGF1(hashes.SHA384()), padding.PSS.DIGEST_LENGTH)


@pytest.mark.parametrize(
    ("kind", "algorithm", "sign", "expected"),
    [
        ("rsa", hashes.SHA256(), {}, "sha256"),
        ("rsa", hashes.SHA512(), {}, "sha512"),
        ("rsa", hashes.SHA224(), {}, "sha224"),
        ("rsa", hashes.SHA384(), {"rsa_padding": PSS}, "sha384"),
        ("p256", hashes.SHA256(), {}, "sha256"),
        ("p384", hashes.SHA384(), {}, "sha384"),
        ("p256", hashes.SHA512(), {}, "sha512"),
        ("ed25519", None, {}, None),
    ],
)
def test_end_point(
    tmp_path: Path, kind: str, algorithm: Any, sign: Any, expected: str | None
) -> None:
    """The channel binding uses the hash of the certificate's signature (RFC 5929)."""
    key = KEYS[kind]()
    _, der = leaf_files(key, tmp_path, algorithm, **sign)
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    wanted = hashlib.new(expected, der).digest() if expected else None
    assert wanted == certificate.end_point(der)
    assert public == certificate.public_key(der)


@pytest.mark.parametrize("size", [0, 1, 2, 5, 20, 100, 300])
def test_cut_off_certificates(tmp_path: Path, size: int) -> None:
    """What is no certificate has no binding and no key, and does no harm."""
    _, der = leaf_files(KEYS["p256"](), tmp_path, SHA256)

    assert certificate.end_point(der[:size]) is None
    assert certificate.public_key(der[:size]) is None
    assert certificate.end_point(b"\xff" * size) is None
    assert certificate.public_key(b"\x30\x84" + b"\xff" * size) is None


def test_strict_settings(conf: config.Config) -> None:
    """TLS 1.2 at least, forward secrecy, authenticated encryption, names in SAN."""
    made = tls.context(conf, True)
    suites = {c["name"] for c in made.get_ciphers() if c["protocol"] == "TLSv1.2"}

    assert ssl.TLSVersion.TLSv1_2 == made.minimum_version
    assert suites
    assert all(s.startswith("ECDHE-") for s in suites)
    assert all("GCM" in s or "CHACHA20" in s for s in suites)
    assert ssl.CERT_REQUIRED == made.verify_mode
    assert made.check_hostname
    assert not made.hostname_checks_common_name
    assert made.options & ssl.OP_NO_RENEGOTIATION
    assert not made.verify_flags & ssl.VERIFY_X509_STRICT


def test_min_version(conf: config.Config, authority: trustme.CA) -> None:
    """TLSMinVersion=1.3 refuses TLS 1.2, and says what is wanted."""
    conf.tls_min_version = "1.3"
    old = server(authority.issue_cert("mail.example.org"))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(SiteTrouble, match="version of TLS"):
        secured(conf, old)


def test_tls_1_2(conf: config.Config, authority: trustme.CA) -> None:
    """TLS 1.2 is good enough."""
    old = server(authority.issue_cert("mail.example.org"))
    old.maximum_version = ssl.TLSVersion.TLSv1_2

    assert "TLSv1.2" == secured(conf, old).version


def test_no_common_suite(conf: config.Config, authority: trustme.CA) -> None:
    """A server without forward secrecy is refused in words."""
    old = server(authority.issue_cert("mail.example.org"))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.set_ciphers("ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0")
    with pytest.raises(SiteTrouble, match="no cipher suite"):
        secured(conf, old)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"220 hub ESMTP\r\n", "plain SMTP"),
        (b"SSH-2.0-x\r\n", "SSH"),
        (b"HTTP/1.1 400 Bad\r\n\r\n", "HTTP"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "no cipher suite"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "version of TLS"),
        (b"\xff" * 100, "TLS with hub:465 failed"),
    ],
)
def test_no_tls(conf: config.Config, said: bytes, words: str) -> None:
    """What answers instead of TLS is told in words."""

    def play(peer: socket.socket) -> None:
        peer.recv(4096)
        peer.sendall(said)
        while peer.recv(4096):
            pass

    with pytest.raises(SiteTrouble, match=words) as caught:
        secured(conf, None, play=play)

    assert caught.value.what.isprintable()


def test_silent(conf: config.Config) -> None:
    """A handshake has its deadline."""

    def play(peer: socket.socket) -> None:
        while peer.recv(4096):
            pass

    with pytest.raises(Broken) as caught:
        secured(conf, None, seconds=0.2, play=play)

    assert caught.value.late


def test_closed(conf: config.Config) -> None:
    """A connection that ends in the handshake is a broken connection."""
    with pytest.raises((Broken, NetworkTrouble)):
        secured(conf, None, play=lambda peer: None)


@pytest.mark.parametrize("key", ["tls_ca_file", "tls_ca_dir"])
def test_missing_trust(conf: config.Config, key: str) -> None:
    """Trust that cannot be read is a mistake in the configuration: 78."""
    setattr(conf, key, "/none/there")
    with pytest.raises(ConfigError, match="/none/there"):
        tls.context(conf, True)


def test_garbage_as_trust(conf: config.Config, tmp_path: Path) -> None:
    """A file without certificates is told with its key."""
    path = tmp_path / "garbage.pem"
    path.write_text("no certificate")
    conf.tls_ca_file = str(path)
    with pytest.raises(ConfigError, match="TLS_CA_File=.*garbage"):
        tls.context(conf, True)


@pytest.mark.parametrize("appended", [True, False])
def test_appended_to_the_system_bundle(
    conf: config.Config,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    appended: bool,
) -> None:
    """Who adds an authority to the system's bundle by hand is served, too."""
    other = trustme.CA().cert_pem.bytes()
    subject = x509.load_pem_x509_certificate(other).subject
    (tmp_path / f"{openssl_hash(subject):08x}.0").write_bytes(other)
    bundle = tmp_path / "ca-certificates.crt"
    bundle.write_bytes(other + authority.cert_pem.bytes())
    changed = tmp_path.stat().st_mtime + (60 if appended else -1)
    os.utime(bundle, (changed, changed))
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tls, "SYSTEM", str(tmp_path))
    conf.tls_ca_file = None
    context = server(authority.issue_cert("mail.example.org"))
    if appended:
        assert secured(conf, context).verified
    else:
        with pytest.raises(SiteTrouble, match="certificate"):
            secured(conf, context)


def test_a_damaged_system_bundle(
    conf: config.Config,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bundle that somebody has spoiled takes nothing away from the directory."""
    subject = x509.load_pem_x509_certificate(authority.cert_pem.bytes()).subject
    authority.cert_pem.write_to_path(tmp_path / f"{openssl_hash(subject):08x}.0")
    bundle = tmp_path / "ca-certificates.crt"
    bundle.write_text("spoiled")
    changed = tmp_path.stat().st_mtime + 60
    os.utime(bundle, (changed, changed))
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tls, "SYSTEM", str(tmp_path))
    conf.tls_ca_file = None

    assert secured(conf, server(authority.issue_cert("mail.example.org"))).verified


@pytest.mark.parametrize("hashed", [True, False])
def test_ca_dir(
    conf: config.Config, authority: trustme.CA, tmp_path: Path, hashed: bool
) -> None:
    """TLS_CA_Dir works with the names of `openssl rehash`, and without."""
    directory = tmp_path / "dir"
    directory.mkdir()
    name = "ca.pem"
    if hashed:
        subject = x509.load_pem_x509_certificate(authority.cert_pem.bytes()).subject
        name = f"{openssl_hash(subject):08x}.0"
    authority.cert_pem.write_to_path(directory / name)
    conf.tls_ca_file = None
    conf.tls_ca_dir = str(directory)

    assert secured(conf, server(authority.issue_cert("mail.example.org"))).verified


def openssl_hash(name: x509.Name) -> int:
    """The name hash of OpenSSL: SHA-1 of the canonical form, four octets."""
    out = b""
    for attributes in name.rdns:
        item = b""
        for attribute in attributes:
            text = " ".join(str(attribute.value).lower().split()).encode()
            oid = der_oid(attribute.oid.dotted_string)
            inner = oid + bytes([0x0C, len(text)]) + text
            item += bytes([0x30, len(inner)]) + inner
        out += bytes([0x31, len(item)]) + item
    return int.from_bytes(hashlib.sha1(out).digest()[:4], "little")


def der_oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    octets = bytes([first * 40 + second, *rest])
    return bytes([6, len(octets)]) + octets


def test_environment(
    conf: config.Config,
    authority: trustme.CA,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SSL_CERT_FILE takes the place of the system's trust."""
    assert conf.tls_ca_file is not None
    monkeypatch.setenv("SSL_CERT_FILE", conf.tls_ca_file)
    conf.tls_ca_file = None

    assert secured(conf, server(authority.issue_cert("mail.example.org"))).verified
    monkeypatch.setenv("SSL_CERT_FILE", "/none/there")
    with pytest.raises(SiteTrouble):
        secured(conf, server(authority.issue_cert("mail.example.org")))


def test_client_certificate(
    conf: config.Config, authority: trustme.CA, tmp_path: Path
) -> None:
    """UseTLSCert shows a client certificate; key and certificate may be one file."""
    mine = authority.issue_cert("client@example.org")
    path = tmp_path / "client.pem"
    mine.private_key_and_cert_chain_pem.write_to_path(path)
    conf.use_tls_cert, conf.tls_cert = True, str(path)
    seen: list[object] = []
    context = server(authority.issue_cert("mail.example.org"))
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)

    def play(peer: socket.socket) -> None:
        with context.wrap_socket(peer, server_side=True) as session:
            seen.append(session.getpeercert())

    secured(conf, None, play=play)

    assert seen
    assert seen[0]


@pytest.mark.parametrize("fault", ["missing", "no key", "encrypted", "other key"])
def test_client_certificate_unusable(
    conf: config.Config, authority: trustme.CA, tmp_path: Path, fault: str
) -> None:
    """A client certificate that cannot be used is told before connecting: 78."""
    mine = authority.issue_cert("client@example.org")
    path, key = tmp_path / "client.pem", tmp_path / "key.pem"
    conf.use_tls_cert, conf.tls_cert = True, str(path)
    if fault != "missing":
        mine.cert_chain_pems[0].write_to_path(path)
    if fault == "encrypted":
        secret = KEYS["p256"]().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        )
        key.write_bytes(secret)
        conf.tls_key = str(key)
    if fault == "other key":
        authority.issue_cert("x@example.org").private_key_pem.write_to_path(key)
        conf.tls_key = str(key)

    with pytest.raises(ConfigError, match="TLSCert=.*client.pem") as caught:
        tls.context(conf, True)

    assert 78 == caught.value.exit_code
    assert "_ssl.c" not in caught.value.what


def test_every_code_has_words() -> None:
    """Each reason for distrust is words, and a next step."""

    class Distrust:
        verify_message = "what\x1b?"

        def __init__(self, code: int) -> None:
            self.verify_code = code

    for code in [*tls.DISTRUST, 62, 64, 1]:
        failure: Failure = tls._distrust(Distrust(code), "hub:465", "a.test")

        assert failure.next_step
        assert failure.what.startswith("the certificate of hub:465 ")
        assert failure.what.isprintable()
