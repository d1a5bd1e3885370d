"""Certificates for the tests, good and bad, and the server's side of TLS with them.

One `Certificates` is made for a whole run of tests; a certificate, a context and a file
are made when they are first asked for, by name.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)
HERE = ("127.0.0.1", "localhost")
# The second Oakley group (RFC 2409 §6.2), of 1024 bits.
OAKLEY_2 = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74"
    "020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437"
    "4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF",
    16,
)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Authority:
    """A certification authority; `parent` makes it an intermediate one."""

    def __init__(
        self, name: str, parent: Authority | None = None, *, usage: bool = True
    ) -> None:
        self.name = name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.identifier = x509.SubjectKeyIdentifier.from_public_key(
            self.key.public_key()
        )
        above = parent or self
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(above.name))
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 30 * DAY)
            .not_valid_after(NOW + 300 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        )
        if usage:
            signs = x509.KeyUsage(
                False, False, False, False, False, True, True, False, False
            )
            builder = builder.add_extension(signs, True)
            builder = builder.add_extension(self.identifier, False)
        self.certificate = builder.sign(above.key, hashes.SHA256())

    def issue(
        self,
        *names: str,
        common_name: str = "hub",
        key: Any = None,
        after: datetime.datetime = NOW - 2 * DAY,
        before: datetime.datetime = NOW + 60 * DAY,
        purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
        self_signed: bool = False,
    ) -> tuple[x509.Certificate, Any]:
        """Make a certificate for `names`, and its key."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        issuer = common_name if self_signed else self.name
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(common_name))
            .issuer_name(_name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(after)
            .not_valid_after(before)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), False)
        )
        if names:
            alternatives = x509.SubjectAlternativeName([_san(n) for n in names])
            builder = builder.add_extension(alternatives, False)
        if not self_signed:
            above = x509.AuthorityKeyIdentifier.from_issuer_public_key(
                self.key.public_key()
            )
            builder = builder.add_extension(above, False)
        return builder.sign(key if self_signed else self.key, hashes.SHA256()), key

    def revoke(self, *certificates: x509.Certificate, until: datetime.datetime) -> str:
        """Make a list of revoked certificates that is valid until then, in PEM."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(_name(self.name))
            .last_update(NOW - 10 * DAY)
            .next_update(until)
        )
        for certificate in certificates:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(certificate.serial_number)
                .revocation_date(NOW - 9 * DAY)
                .build()
            )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(PEM).decode()


PEM = Encoding.PEM
Chain = tuple[x509.Certificate, Any, list[x509.Certificate]]


def _pem(*certificates: x509.Certificate) -> str:
    return "".join(c.public_bytes(PEM).decode() for c in certificates)


def _key(key: Any) -> str:
    private: bytes = key.private_bytes(PEM, PrivateFormat.PKCS8, NoEncryption())
    return private.decode()


class Certificates:
    """Everything that has to do with certificates, by name; files go into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority("Authority of the tests")
        self.plain = Authority("Authority without key usage", usage=False)
        self.issue = self.authority.issue
        self._chains: dict[str, Chain] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._texts: dict[str, str] = {}

    def chain(self, kind: str) -> Chain:
        """Return certificate, key and intermediates of a kind of server."""
        if kind not in self._chains:
            made = CHAINS[kind](self)
            self._chains[kind] = made if len(made) == 3 else (*made, [])
        return self._chains[kind]

    def context(self, kind: str) -> ssl.SSLContext:
        """Return the context of a kind of server: of a certificate, or of a setting."""
        if kind not in self._contexts:
            certificate, _, setting = kind.partition("+")
            if certificate in SETTINGS:
                certificate, setting = "rsa", certificate
            leaf, key, between = self.chain(certificate)
            path = self.folder / f"server-{certificate}.pem"
            path.write_text(_key(key) + _pem(leaf, *between))
            made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            made.set_ciphers("DEFAULT:@SECLEVEL=0")  # the server is not to be the judge
            made.load_cert_chain(path)
            if setting:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)
                    SETTINGS[setting](made, self)
            self._contexts[kind] = made
        return self._contexts[kind]

    def text(self, name: str) -> str:
        """Return what `${name}` stands for in a configuration: a path, or a text."""
        if name not in self._texts:
            text = TEXTS[name](self)
            if "\n" in text:
                path = self.folder / f"{name}.pem"
                path.write_text(text)
                path.chmod(0o600)
                text = str(path)
            self._texts[name] = text
        return self._texts[name]


def _chained(certificates: Certificates) -> Chain:
    between = Authority("Intermediate authority", certificates.authority)
    return (*between.issue(*HERE), [between.certificate])


def _huge(certificates: Certificates) -> Chain:
    """Return a chain of about a megabyte, more than any client should read."""
    names = [f"filler-{number}-{'x' * 50}.example.org" for number in range(150)]
    fat = [certificates.issue(*names)[0] for _ in range(90)]
    return (*certificates.issue(*HERE), fat)


def _strangers(_: Certificates) -> Chain:
    stranger = Authority("Somebody else")
    return (*stranger.issue(*HERE), [stranger.certificate])


# Kinds of certificates.
CHAINS: dict[str, Callable[[Certificates], Any]] = {
    "good": lambda c: c.issue(*HERE),
    "renewed": lambda c: c.issue(*HERE),
    "revoked": lambda c: c.issue(*HERE),
    "rsa": lambda c: c.issue(*HERE, key=rsa.generate_private_key(65537, 2048)),
    "expired": lambda c: c.issue(*HERE, after=NOW - 9 * DAY, before=NOW - DAY),
    "future": lambda c: c.issue(*HERE, after=NOW + DAY),
    "self-signed": lambda c: c.issue(*HERE, self_signed=True),
    "stranger": _strangers,
    "other-name": lambda c: c.issue("mail.example.org", common_name="127.0.0.1"),
    "cn-only": lambda c: c.issue(common_name="localhost"),
    "wildcard": lambda c: c.issue("*.hub.test"),
    "nul-name": lambda c: c.issue("localhost\0.example.org"),
    "client-purpose": lambda c: c.issue(*HERE, purpose=ExtendedKeyUsageOID.CLIENT_AUTH),
    "chain": _chained,
    "missing-intermediate": lambda c: _chained(c)[:2],
    "weak-key": lambda c: c.issue(*HERE, key=rsa.generate_private_key(65537, 1024)),
    "huge-chain": _huge,
    "plain-authority": lambda c: c.plain.issue(*HERE),
}


def _old(made: ssl.SSLContext, _: Certificates) -> None:
    made.minimum_version = ssl.TLSVersion.TLSv1
    made.maximum_version = ssl.TLSVersion.TLSv1_1


def _tls12(made: ssl.SSLContext, _: Certificates) -> None:
    made.maximum_version = ssl.TLSVersion.TLSv1_2


def _tls13(made: ssl.SSLContext, _: Certificates) -> None:
    made.minimum_version = ssl.TLSVersion.TLSv1_3


def _logs_keys(made: ssl.SSLContext, certificates: Certificates) -> None:
    _tls13(made, certificates)
    made.num_tickets = 0
    made.keylog_filename = str(certificates.folder / "keys.log")


def _logs_keys12(made: ssl.SSLContext, certificates: Certificates) -> None:
    _tls12(made, certificates)
    made.set_ciphers("ECDHE+AES128+AESGCM")
    made.keylog_filename = str(certificates.folder / "keys.log")


def _dh1024(made: ssl.SSLContext, certificates: Certificates) -> None:
    _tls12(made, certificates)
    made.set_ciphers("DHE+AES:@SECLEVEL=0")
    # SEQUENCE { INTEGER prime, INTEGER 2 }, PKCS #3
    der = bytes.fromhex(f"30818702818100{OAKLEY_2:0256x}020102")
    text = ssl.DER_cert_to_PEM_cert(der).replace("CERTIFICATE", "DH PARAMETERS")
    path = certificates.folder / "dh1024.pem"
    path.write_text(text)
    made.load_dh_params(str(path))


def _ciphers(names: str) -> Callable[[ssl.SSLContext, Certificates], None]:
    def set_them(made: ssl.SSLContext, certificates: Certificates) -> None:
        _tls12(made, certificates)
        made.set_ciphers(f"{names}:@SECLEVEL=0")

    return set_them


def _asks(made: ssl.SSLContext, certificates: Certificates) -> None:
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(cadata=_pem(certificates.authority.certificate))


# What else can be odd about a server; with an RSA key if no kind is named before a +.
SETTINGS: dict[str, Callable[[ssl.SSLContext, Certificates], None]] = {
    "tls1.1": _old,
    "tls1.2": _tls12,
    "tls1.3": _tls13,
    "logs-keys": _logs_keys,
    "logs-keys1.2": _logs_keys12,
    "dh1024": _dh1024,
    "null-cipher": _ciphers("eNULL"),
    "cbc-only": _ciphers("AES128-SHA"),
    "asks-certificate": _asks,
}


def _fingerprint(certificates: Certificates) -> str:
    return certificates.chain("good")[0].fingerprint(hashes.SHA256()).hex()


def _key_fingerprint(certificates: Certificates) -> str:
    key = certificates.chain("good")[0].public_key()
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize().hex()


def _revocations(days: int) -> Callable[[Certificates], str]:
    def text(certificates: Certificates) -> str:
        revoked = certificates.chain("revoked")[0]
        authority = certificates.authority
        listed = authority.revoke(revoked, until=NOW + days * DAY)
        return _pem(authority.certificate) + listed

    return text


def _client(certificates: Certificates) -> tuple[x509.Certificate, Any]:
    purpose = ExtendedKeyUsageOID.CLIENT_AUTH
    return certificates.authority.issue("client.test", purpose=purpose)


def _client_pem(certificates: Certificates) -> str:
    certificate, key = _client(certificates)
    return _pem(certificate) + _key(key)


# What `${name}` stands for: text of more than one line is written into a file.
TEXTS: dict[str, Callable[[Certificates], str]] = {
    "authority": lambda c: _pem(c.authority.certificate),
    "authority-and-crl": _revocations(30),
    "authority-and-old-crl": _revocations(-1),
    "plain-authority": lambda c: _pem(c.plain.certificate),
    "stranger-authority": lambda c: _pem(*c.chain("stranger")[2]),
    "fingerprint": _fingerprint,
    "key-fingerprint": _key_fingerprint,
    "client": _client_pem,
    "client-without-key": lambda c: _pem(_client(c)[0]),
    "empty": lambda c: "\n\n",
}
